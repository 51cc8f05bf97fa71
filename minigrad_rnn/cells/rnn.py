"""The plain recurrent network of Elman: h' = tanh(W_ih x + b_ih + W_hh h + b_hh)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minigrad import Tensor

from ..activations import activation, check_activations
from ..cell import Cell, State
from ..init import Seed
from ..recurrent import Recurrent, stacked

__all__ = ["RNN", "RNNCell"]


class RNNCell(Cell):
    """One step of an Elman network (Elman, Finding Structure in Time, 1990):

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    or with another `nonlinearity`, such as "relu" or "leaky_relu(0.2)"; the names are in `minigrad_rnn.activations`. With a
    `clip` its argument is cut off at -clip and clip, as in ONNX. x has shape (batch, input_size), h and h'
    (batch, hidden_size); without an h it is zeros. The weights are ``weight_ih`` (hidden, input), ``weight_hh``
    (hidden, hidden), ``bias_ih`` and ``bias_hh`` (hidden,), of `dtype`, drawn with `rng` (a seed or a NumPy generator).

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
        clip: float | None = None,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, learn_state=learn_state, dtype=dtype, rng=rng)
        check_activations(clip, nonlinearity=nonlinearity)
        self.nonlinearity, self.clip = nonlinearity, clip

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None) -> Tensor: ...

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        return (activation(self.nonlinearity, self.clip)(self.affine(x, h)),)


class RNN(Recurrent):
    """An Elman network over a sequence: h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh).

    See `RNNCell` for `nonlinearity` and `clip`. The input has shape (T, batch, input_size). Returns the outputs, all h[t], of
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
        clip: float | None = None,
        bias: bool | str = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_dropout: float = 0.0,
        bidirectional: bool = False,
        reverse: bool = False,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        def make(width: int, rng: Seed) -> Cell:
            return RNNCell(width, hidden_size, bias, nonlinearity, clip=clip, learn_state=learn_state, dtype=dtype, rng=rng)

        layers, rng = stacked(make, input_size, num_layers, bidirectional, rng)
        super().__init__(
            *layers, reverse=reverse, batch_first=batch_first, dropout=dropout, zoneout=zoneout,
            weight_dropout=weight_dropout, rng=rng,
        )  # fmt: skip

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None, lengths: ArrayLike | None = None) -> tuple[Tensor, Tensor]: ...
