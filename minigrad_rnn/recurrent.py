"""Recurrent layers: a cell run over a sequence, one time step after the other.

The loop tells the engine where it is (``lstm/layer=0/t=17``), and calls the input, the state and the gates by their names;
pictures, error messages and per-step gradients read these tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad import Tensor

from .cells import Cell, LSTMCell, RNNCell, State, as_input, as_state
from .init import Seed
from .module import Module, Parameter, found_in

__all__ = ["LSTM", "RNN", "Recurrent"]


class Recurrent(Module):
    """A layer that runs a cell over a sequence.

    Its parameters are the cell's, named as in PyTorch: ``weight_ih_l0`` is the ``weight_ih`` of the cell of layer 0.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        for name, p in cell.named_parameters():
            p.name = f"{name}_l0"

    @property
    def input_size(self) -> int:
        return self.cell.input_size

    @property
    def hidden_size(self) -> int:
        return self.cell.hidden_size

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, p in self.cell.named_parameters():
            yield f"{name}_l0", p
        yield from found_in({name: value for name, value in vars(self).items() if name != "cell"}, "")

    def __getattr__(self, name: str) -> Any:
        cell = vars(self).get("cell")
        if cell is not None and name.endswith("_l0") and hasattr(cell, name[:-3]):
            return getattr(cell, name[:-3])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        cell = vars(self).get("cell")
        if cell is not None and name.endswith("_l0") and hasattr(cell, name[:-3]):
            setattr(cell, name[:-3], value)
        else:
            super().__setattr__(name, value)

    def step(self, x: Any, state: State, t: int) -> State:
        """One time step, with its tags: `x` of shape (batch, input_size) and the state before it to the state after it."""
        x = as_input(x, self.cell, ("batch",))
        state = as_state(state, self.cell, x.shape[0])
        with mg.scope(type(self).__name__.lower()), mg.scope("layer", 0), mg.scope("t", t):
            if x.name is None:
                x.name = "x"
            return self._tagged_step(x, state)

    def _tagged_step(self, x: Tensor, state: State) -> State:
        cell = self.cell
        state = cell.step(x, state)
        for name, part in zip(cell.state_names, state):  # noqa: B905 strict costs as much as the loop
            part.name = name
        return state

    def run(self, x: Any, state: State | None) -> tuple[Tensor, State]:
        """The outputs (T, batch, hidden_size) and the final state, its parts of shape (batch, hidden_size)."""
        x = as_input(x, self.cell, ("T", "batch"))
        if x.shape[0] == 0:
            raise ValueError(f"the input has shape {x.shape}: a sequence of no steps has no output")
        batch = x.shape[1]
        state = self.cell.initial_state(batch) if state is None else as_state(state, self.cell, batch)
        outputs = []
        with mg.scope(type(self).__name__.lower()), mg.scope("layer", 0):
            for t in range(x.shape[0]):
                with mg.scope("t", t):
                    x_t = x[t]
                    x_t.name = "x"
                    state = self._tagged_step(x_t, state)
                outputs.append(state[0])
        return mg.stack(outputs), state


class RNN(Recurrent):
    """An Elman network over a sequence: h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh).

    `nonlinearity` is tanh, relu or sigmoid. The input has shape (T, batch, input_size). Returns the outputs, all h[t], of
    shape (T, batch, hidden_size), and the last h, of shape (1, batch, hidden_size), which is also the shape of an
    initial state h0 (zeros if not given). Arrays are cast to the dtype of the weights. Raises ValueError on other shapes.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> output, h = rnn.RNN(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(RNNCell(input_size, hidden_size, bias, nonlinearity, dtype=dtype, rng=rng))

    def forward(self, x: Any, h0: Any = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self.run(x, None if h0 is None else per_layer((h0,), self.cell))
        return output, mg.expand_dims(h, 0)


class LSTM(Recurrent):
    """A long short-term memory over a sequence; the equations stand at `LSTMCell`.

    The input has shape (T, batch, input_size). Returns the outputs, all h[t], of shape (T, batch, hidden_size), and the
    last (h, c), each of shape (1, batch, hidden_size), which are also the shapes of an initial state (h0, c0) (zeros if not
    given). Arrays are cast to the dtype of the weights. Raises ValueError on other shapes.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> output, (h, c) = rnn.LSTM(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, c.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        forget_bias: float = 0.0,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(LSTMCell(input_size, hidden_size, bias, forget_bias=forget_bias, dtype=dtype, rng=rng))

    def forward(self, x: Any, state: tuple[Any, Any] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, (h, c) = self.run(x, None if state is None else per_layer(state, self.cell))
        return output, (mg.expand_dims(h, 0), mg.expand_dims(c, 0))


def per_layer(state: tuple[Any, ...], cell: Cell) -> State:
    """An initial state of shape (1, batch, hidden_size) as the cell takes it."""
    if not isinstance(state, tuple | list):
        raise ValueError(f"the initial state is ({', '.join(cell.state_names)}), not a {type(state).__name__}")
    for part in state:
        shape = np.shape(part)
        if len(shape) != 3 or shape[0] != 1:
            raise ValueError(f"an initial state has shape (1, batch, hidden_size={cell.hidden_size}), not {shape}")
    return tuple(part[0] for part in state)
