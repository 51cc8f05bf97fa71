"""The cells: one time step of each kind of recurrent network, as a textbook writes it.

Parameter names, shapes and the order of the gates are PyTorch's, so weights go both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad import Tensor

from .init import Seed, generator, uniform
from .module import Module, Parameter

__all__ = ["NONLINEARITIES", "Cell", "LSTMCell", "RNNCell"]

NONLINEARITIES: dict[str, Callable[[Any], Any]] = {"tanh": mg.tanh, "relu": mg.relu, "sigmoid": mg.sigmoid}

State = tuple[Tensor, ...]


class Cell(Module):
    """What a recurrent layer runs at each time step.

    A subclass names its state in `state_names`, and its ``step(x, state)`` gives the new state, whose first part is the
    output. The base class makes the weights of `gates` blocks, uniform between -1/sqrt(hidden) and 1/sqrt(hidden).
    """

    state_names: tuple[str, ...] = ("h",)
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: DTypeLike = np.float32, rng: Seed = None
    ) -> None:
        for what, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ValueError(f"{what} is {size}; it must be at least 1")
        self.input_size = input_size
        self.hidden_size = hidden_size
        rng = generator(rng)
        bound, rows = hidden_size**-0.5, self.gates * hidden_size
        self.weight_ih = uniform((rows, input_size), bound, rng, dtype, "weight_ih")
        self.weight_hh = uniform((rows, hidden_size), bound, rng, dtype, "weight_hh")
        self.bias_ih: Parameter | None = None
        self.bias_hh: Parameter | None = None
        if bias:
            self.bias_ih = uniform((rows,), bound, rng, dtype, "bias_ih")
            self.bias_hh = uniform((rows,), bound, rng, dtype, "bias_hh")

    def affine(self, x: Tensor, h: Tensor) -> Tensor:
        """W_ih x + b_ih + W_hh h + b_hh, for a batch of rows."""
        total: Tensor = mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(h, self.weight_hh, self.bias_hh)
        return total

    def step(self, x: Tensor, state: State) -> State:
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def initial_state(self, batch: int) -> State:
        """Zeros of shape (batch, hidden_size), one for each part of the state."""
        zeros = np.zeros((batch, self.hidden_size), self.weight_hh.dtype)
        return tuple(mg.tensor(zeros, name=f"{name}0") for name in self.state_names)


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
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"nonlinearity is one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self.activation = NONLINEARITIES[nonlinearity]

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        return (self.activation(self.affine(x, h)),)

    def forward(self, x: Any, h: Any = None) -> Tensor:
        x = as_input(x, self, ("batch",))
        return self.step(x, self.initial_state(x.shape[0]) if h is None else as_state((h,), self, x.shape[0]))[0]


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
    ``bias_hh`` (4 hidden,). `forget_bias` is added to the forget gate's block of ``bias_ih`` at the start: with 1.0 the cell
    begins by remembering (Jozefowicz, Zaremba & Sutskever 2015).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> h, c = rnn.LSTMCell(3, 4, rng=0)(np.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    state_names = ("h", "c")
    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        forget_bias: float = 0.0,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)
        if forget_bias:
            if self.bias_ih is None:
                raise ValueError("forget_bias is added to a bias, and this cell has bias=False")
            start = self.bias_ih.data.copy()
            start[hidden_size : 2 * hidden_size] += forget_bias
            self.bias_ih.data = start

    def step(self, x: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = mg.split(self.affine(x, h), 4, axis=-1)
        i, f, g, o = mg.sigmoid(i), mg.sigmoid(f), mg.tanh(g), mg.sigmoid(o)
        i.name, f.name, g.name, o.name = "i", "f", "g", "o"
        c = f * c + i * g
        h = o * mg.tanh(c)
        return h, c

    def forward(self, x: Any, state: tuple[Any, Any] | None = None) -> State:
        x = as_input(x, self, ("batch",))
        return self.step(x, self.initial_state(x.shape[0]) if state is None else as_state(state, self, x.shape[0]))


def as_input(x: Any, cell: Cell, axes: tuple[str, ...]) -> Tensor:
    """x as a Tensor of shape (*axes, input_size); arrays take the dtype of the weights."""
    tensor = x if isinstance(x, Tensor) else mg.tensor(x, dtype=cell.weight_ih.dtype)
    if tensor.ndim != len(axes) + 1 or tensor.shape[-1] != cell.input_size:
        expected = ", ".join([*axes, f"input_size={cell.input_size}"])
        raise ValueError(f"the input has shape {tensor.shape}; expected ({expected})")
    return tensor


def as_state(state: tuple[Any, ...], cell: Cell, batch: int) -> State:
    """A state as Tensors of shape (batch, hidden_size)."""
    names = cell.state_names
    if not isinstance(state, tuple | list) or len(state) != len(names):
        raise ValueError(f"the state of {type(cell).__name__} is ({', '.join(names)}), not {describe(state)}")
    expected = (batch, cell.hidden_size)
    made = []
    for name, part in zip(names, state, strict=True):
        tensor = part if isinstance(part, Tensor) else mg.tensor(part, dtype=cell.weight_hh.dtype, name=f"{name}0")
        if tensor.shape != expected:
            raise ValueError(f"the state {name} has shape {tensor.shape}; expected (batch, hidden_size) = {expected}")
        made.append(tensor)
    return tuple(made)


def describe(state: Any) -> str:
    return f"{len(state)} parts" if isinstance(state, tuple | list) else f"a {type(state).__name__}"
