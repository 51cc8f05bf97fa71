"""The plain recurrent network of Elman: h' = tanh(W_ih x + b_ih + W_hh h + b_hh)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

import minigrad as mg
from minigrad import Tensor

from ..cell import Cell, State
from ..init import Seed
from ..recurrent import Recurrent, stacked

__all__ = ["RNN", "RNNCell"]

NONLINEARITIES: dict[str, Callable[[Any], Any]] = {"tanh": mg.tanh, "relu": mg.relu, "sigmoid": mg.sigmoid}


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
            raise ValueError(f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self.activation = NONLINEARITIES[nonlinearity]

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None) -> Tensor: ...

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        return (self.activation(self.affine(x, h)),)


class RNN(Recurrent):
    """An Elman network over a sequence: h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh).

    `nonlinearity` is tanh, relu or sigmoid. The input has shape (T, batch, input_size). Returns the outputs, all h[t], of
    shape (T, batch, hidden_size), and the last h, of shape (num_layers, batch, hidden_size), which is also the shape of an
    initial state h0. See `Cell` for `bias` and `learn_state`, and `Recurrent` for the other options.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> output, h = rnn.RNN(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        bias: bool | str = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        def make(width: int, rng: Seed) -> Cell:
            return RNNCell(width, hidden_size, bias, nonlinearity, learn_state=learn_state, dtype=dtype, rng=rng)

        layers, rng = stacked(make, input_size, num_layers, bidirectional, rng)
        super().__init__(*layers, batch_first=batch_first, dropout=dropout, rng=rng)

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None, lengths: ArrayLike | None = None) -> tuple[Tensor, Tensor]: ...
