"""The cells: one time step of each kind of recurrent network, as a textbook writes it.

Parameter names, shapes and the order of the gates are PyTorch's, so weights go both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad import Tensor
from minigrad.tensor import values

from .init import Seed, generator, uniform
from .module import Module, Parameter, in_dtype

__all__ = ["NONLINEARITIES", "Cell", "GRUCell", "LSTMCell", "RNNCell"]

NONLINEARITIES: dict[str, Callable[[Any], Any]] = {"tanh": mg.tanh, "relu": mg.relu, "sigmoid": mg.sigmoid}

State = tuple[Tensor, ...]


class Cell(Module):
    """What a recurrent layer runs at each time step.

    A subclass names its state in `state_names`, and its ``step(x, state)`` gives the new state, whose first part is the
    output. `gate_names` says which of the tensors that it names are gates: ``{"i": "input gate"}`` is the one with
    ``i.name = "i"``; pictures and `gradient_flow` show these. The base class makes the weights of `gates` blocks, uniform
    between -1/sqrt(hidden) and 1/sqrt(hidden). With ``bias=True`` there are two biases, as in PyTorch, with ``bias="single"``
    only that of the input, ``bias_ih``. With ``learn_state=True`` the state that a sequence begins with is a parameter, ``h0``,
    which starts at zero.
    """

    state_names: tuple[str, ...] = ("h",)
    gate_names: ClassVar[Mapping[str, str]] = {}
    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | str = True,
        *,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        for what, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ValueError(f"{what} is {size}; it must be at least 1")
        if bias not in (True, False, "single"):
            raise ValueError(f"bias is True (two, as in PyTorch), 'single' or False, not {bias!r}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        rng = generator(rng)
        bound, rows = hidden_size**-0.5, self.gates * hidden_size
        self.weight_ih = uniform((rows, input_size), bound, rng, dtype, "weight_ih")
        self.weight_hh = uniform((rows, self.state_sizes[0]), bound, rng, dtype, "weight_hh")
        self.bias_ih: Parameter | None = uniform((rows,), bound, rng, dtype, "bias_ih") if bias else None
        two = bias and bias != "single"
        self.bias_hh: Parameter | None = uniform((rows,), bound, rng, dtype, "bias_hh") if two else None
        self.learn_state = learn_state
        if learn_state:
            for name, size in zip(self.state_names, self.state_sizes, strict=True):
                setattr(self, f"{name}0", Parameter(np.zeros(size), dtype=dtype, name=f"{name}0"))

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The number of features of each part of the state."""
        return (self.hidden_size,) * len(self.state_names)

    def affine(self, x: Tensor, h: Tensor) -> Tensor:
        """W_ih x + b_ih + W_hh h + b_hh, for a batch of rows."""
        total: Tensor = mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(h, self.weight_hh, self.bias_hh)
        return total

    def step(self, x: Tensor, state: State) -> State:
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def initial_state(self, batch: int) -> State:
        """What a sequence begins with: for each part of the state its size of zeros, or what was learned, times `batch`."""
        sizes, dtype = self.state_sizes, self.weight_hh.dtype
        if self.learn_state:
            return tuple(
                mg.broadcast_to(getattr(self, f"{name}0"), (batch, size))
                for name, size in zip(self.state_names, sizes, strict=True)
            )
        return tuple(
            mg.tensor(np.zeros((batch, size), dtype), name=f"{name}0")
            for name, size in zip(self.state_names, sizes, strict=True)
        )  # fmt: skip

    def forward(self, x: Any, state: Any = None) -> Any:
        x = as_input(x, self, ("batch",))
        given = (state,) if len(self.state_names) == 1 else state
        new = checked_step(self, x, as_state(self.initial_state(x.shape[0]) if state is None else given, self, x.shape[0]))
        return new[0] if len(self.state_names) == 1 else new


class RNNCell(Cell):
    """One step of an Elman network (Elman, Finding Structure in Time, 1990):

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    with tanh, relu or sigmoid as `nonlinearity`. x has shape (batch, input_size), h and h' (batch, hidden_size); without an h
    it is zeros. The weights are ``weight_ih`` (hidden, input), ``weight_hh`` (hidden, hidden), ``bias_ih`` and ``bias_hh``
    (hidden,), of `dtype`, drawn with `rng` (a seed or a NumPy generator).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> cell = rnn.RNNCell(3, 4, rng=0)
    >>> cell(np.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | str = True,
        nonlinearity: str = "tanh",
        *,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, learn_state=learn_state, dtype=dtype, rng=rng)
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"nonlinearity is one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self.activation = NONLINEARITIES[nonlinearity]

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        return (self.activation(self.affine(x, h)),)


class LSTMCell(Cell):
    """One step of a long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000):

        i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      input gate
        f = sigmoid(W_if x + b_if + W_hf h + b_hf)      forget gate
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)         candidate
        o = sigmoid(W_io x + b_io + W_ho h + b_ho)      output gate
        c' = f * c + i * g
        h' = o * tanh(c')

    x has shape (batch, input_size), each of h, c, h', c' (batch, hidden_size); without a state (h, c) both are zeros.
    The four blocks stand in this order in ``weight_ih`` (4 hidden, input), ``weight_hh`` (4 hidden, hidden), ``bias_ih`` and
    ``bias_hh`` (4 hidden,). With a `forget_bias` the bias of the forget gate begins at that number: its block of ``bias_ih``
    is set to it and that of ``bias_hh`` to 0. With 1.0 the cell begins by remembering (Jozefowicz, Zaremba & Sutskever 2015).

    With ``peepholes=True`` the gates see the memory too (Gers & Schmidhuber 2000): ``weight_ci * c`` is added in i,
    ``weight_cf * c`` in f, ``weight_co * c'`` in o, each of shape (hidden,). With a `proj_size`, h' = W_hr (o * tanh(c')) has
    that many features (Sak, Senior & Beaufays 2014), ``weight_hr`` being (proj_size, hidden).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> h, c = rnn.LSTMCell(3, 4, rng=0)(np.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    state_names = ("h", "c")
    gate_names: ClassVar = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}
    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | str = True,
        *,
        forget_bias: float | None = None,
        peepholes: bool = False,
        proj_size: int = 0,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        if proj_size and not 0 < proj_size < hidden_size:
            raise ValueError(f"proj_size is {proj_size}; it must be less than hidden_size={hidden_size}, or 0 for none")
        self.proj_size = proj_size
        rng = generator(rng)
        super().__init__(input_size, hidden_size, bias, learn_state=learn_state, dtype=dtype, rng=rng)
        bound = hidden_size**-0.5
        self.weight_hr = uniform((proj_size, hidden_size), bound, rng, dtype, "weight_hr") if proj_size else None
        self.peepholes = peepholes
        if peepholes:
            self.weight_ci, self.weight_cf, self.weight_co = (
                uniform((hidden_size,), bound, rng, dtype, f"weight_c{gate}") for gate in "ifo"
            )
        if forget_bias is not None:
            if self.bias_ih is None and forget_bias:
                raise ValueError(f"forget_bias is {forget_bias}, and this cell has bias=False, so there is no bias to set")
            for part, value in ((self.bias_ih, forget_bias), (self.bias_hh, 0.0)):
                if part is not None:
                    start = part.data.copy()
                    start[hidden_size : 2 * hidden_size] = value
                    part.data = start

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.proj_size or self.hidden_size, self.hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = mg.split(self.affine(x, h), 4, axis=-1)
        if self.peepholes:
            i, f = i + self.weight_ci * c, f + self.weight_cf * c
        i, f, g = mg.sigmoid(i), mg.sigmoid(f), mg.tanh(g)
        c = f * c + i * g
        if self.peepholes:
            o = o + self.weight_co * c
        o = mg.sigmoid(o)
        i.name, f.name, g.name, o.name = "i", "f", "g", "o"
        h = o * mg.tanh(c)
        return (h if self.weight_hr is None else mg.linear(h, self.weight_hr)), c


class GRUCell(Cell):
    """One step of a gated recurrent unit (Cho et al. 2014):

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)              reset gate
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)              update gate
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))           candidate
        h' = (1 - z) * n + z * h

    as in PyTorch, with the reset after the product; with ``reset_after=False`` before it, as in the paper:
    n = tanh(W_in x + b_in + W_hn (r * h) + b_hn). x has shape (batch, input_size), h and h' (batch, hidden_size). The three
    blocks stand in this order in ``weight_ih`` (3 hidden, input), ``weight_hh`` (3 hidden, hidden) and the biases.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.GRUCell(3, 4, rng=0)(np.ones((2, 3))).shape
    (2, 4)
    """

    gate_names: ClassVar = {"r": "reset gate", "z": "update gate", "n": "candidate"}
    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | str = True,
        *,
        reset_after: bool = True,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, learn_state=learn_state, dtype=dtype, rng=rng)
        self.reset_after = reset_after

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        r, z, n = mg.split(mg.linear(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        if self.reset_after:
            h_r, h_z, h_n = mg.split(mg.linear(h, self.weight_hh, self.bias_hh), 3, axis=-1)
            r, z = mg.sigmoid(r + h_r), mg.sigmoid(z + h_z)
            n = mg.tanh(n + r * h_n)
        else:
            W_rz, W_n = mg.split(self.weight_hh, [2 * self.hidden_size])
            b_rz, b_n = (None, None) if self.bias_hh is None else mg.split(self.bias_hh, [2 * self.hidden_size])
            h_r, h_z = mg.split(mg.linear(h, W_rz, b_rz), 2, axis=-1)
            r, z = mg.sigmoid(r + h_r), mg.sigmoid(z + h_z)
            n = mg.tanh(n + mg.linear(r * h, W_n, b_n))
        r.name, z.name, n.name = "r", "z", "n"
        return ((1 - z) * n + z * h,)


def checked_step(cell: Cell, x: Tensor, state: State) -> State:
    """The new state after a step. Raises TypeError unless it has the parts and shapes of the one before."""
    new = cell.step(x, state)
    if isinstance(new, tuple) and len(new) == len(state):
        for part, old in zip(new, state):  # noqa: B905 strict costs as much as the loop
            if not isinstance(part, Tensor) or part.shape != old.shape:
                break
        else:
            return new
    names, shapes = ", ".join(cell.state_names), " and ".join(str(part.shape) for part in state)
    names = f"({names},)" if len(state) == 1 else f"({names})"
    raise TypeError(
        f"step of {type(cell).__name__} returned {told(new)}; it must return the new state, a tuple of Tensors of shape "
        f"{shapes}: write `return {names}`"
    )


def told(new: Any) -> str:
    """What a step returned, for an error message."""
    if isinstance(new, tuple | list):
        return f"a {type(new).__name__} of {len(new)}" + (": " if new else "") + ", ".join(map(told, new))
    return f"a {type(new).__name__}" + (f" of shape {new.shape}" if hasattr(new, "shape") else "")


def as_input(x: Any, cell: Cell, axes: tuple[str, ...]) -> Tensor:
    """x as a Tensor of shape (*axes, input_size) and of the dtype of the weights."""
    tensor = in_dtype(x, cell.weight_ih.dtype)
    if tensor.ndim != len(axes) + 1 or tensor.shape[-1] != cell.input_size:
        expected = ", ".join([*axes, f"input_size={cell.input_size}"])
        more = "; for numbers of symbols use an embedding, or one-hot vectors" if values(x).dtype.kind in "iu" else ""
        raise ValueError(f"the input has shape {tensor.shape}; expected ({expected}){more}")
    return tensor


def as_state(state: tuple[Any, ...], cell: Cell, batch: int) -> State:
    """A state as Tensors of shape (batch, hidden_size)."""
    names = cell.state_names
    if not isinstance(state, tuple | list) or len(state) != len(names):
        raise ValueError(f"the state of {type(cell).__name__} is ({', '.join(names)}), not {describe(state)}")
    made = []
    for name, size, part in zip(names, cell.state_sizes, state, strict=True):
        tensor = in_dtype(part, cell.weight_hh.dtype)
        if not isinstance(part, Tensor):
            tensor.name = f"{name}0"
        if tensor.shape != (batch, size):
            what = "hidden_size" if size == cell.hidden_size else "proj_size"
            raise ValueError(f"the state {name} has shape {tensor.shape}; expected (batch, {what}) = {(batch, size)}")
        made.append(tensor)
    return tuple(made)


def describe(state: Any) -> str:
    return f"{len(state)} parts" if isinstance(state, tuple | list) else f"a {type(state).__name__}"
