"""Long short-term memory (LSTM): a memory, and gates for what it keeps, reads and shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

import minigrad as mg
from minigrad import Tensor

from ..activations import activation, check_activations
from ..cell import Cell, State
from ..init import Seed, generator, uniform
from ..recurrent import Recurrent, stacked

__all__ = ["LSTM", "LSTMCell"]


class LSTMCell(Cell):
    """One step of a long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000):

        i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      input gate
        f = sigmoid(W_if x + b_if + W_hf h + b_hf)      forget gate
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)         candidate
        o = sigmoid(W_io x + b_io + W_ho h + b_ho)      output gate
        c' = f * c + i * g
        h' = o * tanh(c')

    x has shape (batch, input_size), each of h, c, h', c' (batch, hidden_size); without a state (h, c) both are zeros.
    The four blocks are in this order in ``weight_ih`` (4 hidden, input), ``weight_hh`` (4 hidden, hidden), ``bias_ih`` and
    ``bias_hh`` (4 hidden,). `forget_bias` is the initial bias of the forget gate: its block of ``bias_ih`` is set to that
    number, and its block of ``bias_hh`` to 0. 1.0 makes it keep its memory at first (Jozefowicz, Zaremba & Sutskever 2015).

    With ``peepholes=True`` the gates read the memory too (Gers & Schmidhuber 2000): ``weight_ci * c`` is added in i,
    ``weight_cf * c`` in f, ``weight_co * c'`` in o, each of shape (hidden,). With a `proj_size`, h' = W_hr (o * tanh(c')) has
    `proj_size` features (Sak, Senior & Beaufays 2014). ``weight_hr`` has shape (proj_size, hidden).

    With ``input_forget=True`` the gates are coupled, f = 1 - i (Greff et al. 2017); the blocks of f are there, as in ONNX, and
    have no effect. `activation` takes the place of tanh, `recurrent_activation` that of the sigmoids, as in Keras, and
    `output_activation`, by default the same as `activation`, that of tanh(c'). Their names are in `minigrad_rnn.activations`.
    With a `clip` the arguments of the gates and of the candidate are cut off at -clip and clip, as in onnxruntime.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> h, c = rnn.LSTMCell(3, 4, rng=0)(np.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    state_names = ("h", "c")
    gate_names: ClassVar = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}
    gates = 4
    activation, recurrent_activation, output_activation = "tanh", "sigmoid", "tanh"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | str = True,
        *,
        forget_bias: float | None = None,
        peepholes: bool = False,
        proj_size: int = 0,
        input_forget: bool = False,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        output_activation: str | None = None,
        clip: float | None = None,
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
        output_activation = activation if output_activation is None else output_activation
        check_activations(
            clip, activation=activation, recurrent_activation=recurrent_activation, output_activation=output_activation
        )
        self.activation, self.recurrent_activation, self.output_activation = activation, recurrent_activation, output_activation
        self.input_forget, self.clip = input_forget, clip
        self.weight_hr = uniform((proj_size, hidden_size), bound, rng, dtype, "weight_hr") if proj_size else None
        self.peepholes = peepholes
        if peepholes:
            self.weight_ci, self.weight_cf, self.weight_co = (
                uniform((hidden_size,), bound, rng, dtype, f"weight_c{gate}") for gate in "ifo"
            )
        if forget_bias is not None:
            if input_forget:
                raise ValueError(
                    f"forget_bias is {forget_bias}, and with input_forget=True f = 1 - i, so there is no bias to set"
                )
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

    if TYPE_CHECKING:

        def forward(self, x: Any, state: Any = None) -> tuple[Tensor, Tensor]: ...

    def step(self, x: Tensor, state: State) -> State:
        h, c = state
        gate, candidate = activation(self.recurrent_activation, self.clip), activation(self.activation, self.clip)
        i, f, g, o = mg.split(self.affine(x, h), 4, axis=-1)
        if self.peepholes:
            i, f = i + self.weight_ci * c, f + self.weight_cf * c
        i = gate(i)
        f, g = 1 - i if self.input_forget else gate(f), candidate(g)
        c = f * c + i * g
        if self.peepholes:
            o = o + self.weight_co * c
        o = gate(o)
        i.name, f.name, g.name, o.name = "i", "f", "g", "o"
        h = o * activation(self.output_activation)(c)
        return (h if self.weight_hr is None else mg.linear(h, self.weight_hr)), c


class LSTM(Recurrent):
    """A long short-term memory over a sequence. See `LSTMCell` for the equations, `forget_bias`, `peepholes`, `proj_size`,
    `input_forget`, the activations and `clip`.

    The input has shape (T, batch, input_size). Returns the outputs, all h[t], of shape (T, batch, hidden_size), and the
    last (h, c), each of shape (num_layers, batch, hidden_size), which are also the shapes of an initial state (h0, c0). See
    `Cell` for `bias` and `learn_state`, and `Recurrent` for the other options.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> output, (h, c) = rnn.LSTM(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, c.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool | str = True,
        forget_bias: float | None = None,
        peepholes: bool = False,
        proj_size: int = 0,
        input_forget: bool = False,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        output_activation: str | None = None,
        clip: float | None = None,
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
            return LSTMCell(
                width, hidden_size, bias, forget_bias=forget_bias, peepholes=peepholes, proj_size=proj_size,
                input_forget=input_forget, activation=activation, recurrent_activation=recurrent_activation,
                output_activation=output_activation, clip=clip,
                learn_state=learn_state, dtype=dtype, rng=rng,
            )  # fmt: skip

        layers, rng = stacked(make, input_size, num_layers, bidirectional, rng)
        super().__init__(
            *layers, reverse=reverse, batch_first=batch_first, dropout=dropout, zoneout=zoneout,
            weight_dropout=weight_dropout, rng=rng,
        )  # fmt: skip

    if TYPE_CHECKING:

        def forward(
            self, x: Any, state: Any = None, lengths: ArrayLike | None = None
        ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
