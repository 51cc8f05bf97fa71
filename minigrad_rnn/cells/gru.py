"""The gated recurrent unit (GRU): one state and two gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

import minigrad as mg
from minigrad import Tensor

from ..activations import activation, check_activations
from ..cell import Cell, State
from ..init import Seed
from ..recurrent import Recurrent, stacked

__all__ = ["GRU", "GRUCell"]


class GRUCell(Cell):
    """One step of a gated recurrent unit (Cho et al. 2014):

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)              reset gate
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)              update gate
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))           candidate
        h' = (1 - z) * n + z * h

    The reset gate acts after the product, as in PyTorch. With ``reset_after=False`` it acts before, as in the paper:
    n = tanh(W_in x + b_in + W_hn (r * h) + b_hn). x has shape (batch, input_size), h and h' (batch, hidden_size). The three
    blocks are in this order in ``weight_ih`` (3 hidden, input), ``weight_hh`` (3 hidden, hidden) and the biases.

    `activation` takes the place of tanh, `recurrent_activation` that of the sigmoids, as in Keras; their names are in
    `minigrad_rnn.activations`. With a `clip` their arguments are cut off at -clip and clip, as in ONNX.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.GRUCell(3, 4, rng=0)(np.ones((2, 3))).shape
    (2, 4)
    """

    gate_names: ClassVar = {"r": "reset gate", "z": "update gate", "n": "candidate"}
    gates = 3
    activation, recurrent_activation = "tanh", "sigmoid"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | str = True,
        *,
        reset_after: bool = True,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        clip: float | None = None,
        learn_state: bool = False,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, learn_state=learn_state, dtype=dtype, rng=rng)
        check_activations(clip, activation=activation, recurrent_activation=recurrent_activation)
        self.reset_after = reset_after
        self.activation, self.recurrent_activation, self.clip = activation, recurrent_activation, clip

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None) -> Tensor: ...

    def step(self, x: Tensor, state: State) -> State:
        (h,) = state
        f, g = activation(self.recurrent_activation, self.clip), activation(self.activation, self.clip)
        r, z, n = mg.split(mg.linear(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        if self.reset_after:
            h_r, h_z, h_n = mg.split(mg.linear(h, self.weight_hh, self.bias_hh), 3, axis=-1)
            r, z = f(r + h_r), f(z + h_z)
            n = g(n + r * h_n)
        else:
            W_rz, W_n = mg.split(self.weight_hh, [2 * self.hidden_size])
            b_rz, b_n = (None, None) if self.bias_hh is None else mg.split(self.bias_hh, [2 * self.hidden_size])
            h_r, h_z = mg.split(mg.linear(h, W_rz, b_rz), 2, axis=-1)
            r, z = f(r + h_r), f(z + h_z)
            n = g(n + mg.linear(r * h, W_n, b_n))
        r.name, z.name, n.name = "r", "z", "n"
        return ((1 - z) * n + z * h,)


class GRU(Recurrent):
    """A gated recurrent unit over a sequence. See `GRUCell` for the equations, `reset_after`, the activations
    and `clip`.

    The input has shape (T, batch, input_size). Returns the outputs, all h[t], of shape (T, batch, hidden_size), and the last
    h, of shape (num_layers, batch, hidden_size), which is also the shape of an initial state h0. See `Cell` for `bias` and
    `learn_state`, and `Recurrent` for the other options.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> output, h = rnn.GRU(3, 4, num_layers=2, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset_after: bool = True,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
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
            return GRUCell(
                width, hidden_size, bias, reset_after=reset_after, activation=activation,
                recurrent_activation=recurrent_activation, clip=clip, learn_state=learn_state, dtype=dtype, rng=rng,
            )  # fmt: skip

        layers, rng = stacked(make, input_size, num_layers, bidirectional, rng)
        super().__init__(
            *layers, reverse=reverse, batch_first=batch_first, dropout=dropout, zoneout=zoneout,
            weight_dropout=weight_dropout, rng=rng,
        )  # fmt: skip

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None, lengths: ArrayLike | None = None) -> tuple[Tensor, Tensor]: ...
