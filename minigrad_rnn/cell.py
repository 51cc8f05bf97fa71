"""The base of the cells: one time step of a recurrent network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad import Tensor
from minigrad.tensor import values

from .data.batch import whole
from .init import Seed, generator, uniform
from .module import Module, Parameter, in_dtype

__all__ = ["Cell", "State"]

State = tuple[Tensor, ...]


class Cell(Module):
    """One time step of a recurrent network: the base of the cells.

    A subclass lists the parts of its state in `state_names`, and defines ``step(x, state)``, which returns the new state.
    The first part of the state is the output. `gate_names` lists the gates in the order of their blocks in the weights:
    ``{"i": "input gate"}`` is the tensor with ``i.name = "i"``. Pictures and `gradient_flow` show these.

    The base class creates weights of `gates` blocks, uniform between -1/sqrt(hidden) and 1/sqrt(hidden). ``bias=True``
    creates two bias vectors, as in PyTorch. ``bias="single"`` creates only ``bias_ih``. With ``learn_state=True`` the initial
    state is a parameter, ``h0``, which starts at zero.
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
            whole(what, size)
        if bias not in (True, False, "single"):
            raise ValueError(f"bias must be True (two, as in PyTorch), 'single' or False, not {bias!r}")
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

    @classmethod
    def shapes(cls, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters with the default options. Override it in a cell that has others."""
        rows = cls.gates * hidden_size
        return {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias_ih": (rows,), "bias_hh": (rows,)}

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The number of features of each part of the state."""
        return (self.hidden_size,) * len(self.state_names)

    def affine(self, x: Tensor, h: Tensor) -> Tensor:
        """Return W_ih x + b_ih + W_hh h + b_hh, for a batch of rows."""
        total: Tensor = mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(h, self.weight_hh, self.bias_hh)
        return total

    def step(self, x: Tensor, state: State) -> State:
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def initial_state(self, batch: int) -> State:
        """Return the initial state of `batch` sequences: zeros, or the learned state."""
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


def checked_step(cell: Cell, x: Tensor, state: State) -> State:
    """Return the new state. TypeError unless it has the parts and shapes of the state before."""
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
        f"step of {type(cell).__name__} returned {shown(new)}; it must return the new state, a tuple of Tensors of shape "
        f"{shapes}: write `return {names}`"
    )


def shown(new: Any) -> str:
    """Return a description of the result of a step, for an error message."""
    if isinstance(new, tuple | list):
        return f"{type(new).__name__} of {len(new)}" + (": " if new else "") + ", ".join(map(shown, new))
    return f"{type(new).__name__}" + (f" of shape {new.shape}" if hasattr(new, "shape") else "")


def as_input(x: Any, cell: Cell, axes: tuple[str, ...]) -> Tensor:
    """Return x as a Tensor of shape (*axes, input_size), in the dtype of the weights. ValueError for another shape."""
    tensor = in_dtype(x, cell.weight_ih.dtype)
    if tensor.ndim != len(axes) + 1 or tensor.shape[-1] != cell.input_size:
        expected = ", ".join([*axes, f"input_size={cell.input_size}"])
        more = "; for class indices use an embedding, or one-hot vectors" if values(x).dtype.kind in "iu" else ""
        raise ValueError(f"the input has shape {tensor.shape}; expected ({expected}){more}")
    return tensor


def as_state(state: tuple[Any, ...], cell: Cell, batch: int) -> State:
    """Return a state as Tensors of shape (batch, hidden_size), in the dtype of the weights. ValueError for other shapes."""
    names = cell.state_names
    if not isinstance(state, tuple | list) or len(state) != len(names):
        raise ValueError(f"the state of {type(cell).__name__} is ({', '.join(names)}), not {describe(state)}")
    tensors = []
    for name, size, part in zip(names, cell.state_sizes, state, strict=True):
        tensor = in_dtype(part, cell.weight_hh.dtype)
        if not isinstance(part, Tensor):
            tensor.name = f"{name}0"
        if tensor.shape != (batch, size):
            what = "hidden_size" if size == cell.hidden_size else "proj_size"
            raise ValueError(f"the state {name} has shape {tensor.shape}; expected (batch, {what}) = {(batch, size)}")
        tensors.append(tensor)
    return tuple(tensors)


def describe(state: Any) -> str:
    """Return a description of a state of the wrong kind, for an error message."""
    return f"{len(state)} parts" if isinstance(state, tuple | list) else f"{type(state).__name__}"
