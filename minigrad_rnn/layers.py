"""Layers without a memory, and the model that reads a sequence through one with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad import Tensor

from .cells import State
from .init import Seed, generator, uniform
from .module import Module, Parameter
from .recurrent import Recurrent

__all__ = ["Linear", "Sequence"]


class Linear(Module):
    """x W^T + b, on the last axis of x: shape (..., in_features) to (..., out_features).

    ``weight`` has shape (out_features, in_features), ``bias`` (out_features,); both begin uniform between
    -1/sqrt(in_features) and 1/sqrt(in_features), as in PyTorch.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.Linear(3, 2, rng=0)(np.ones((7, 3))).shape
    (7, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: DTypeLike = np.float32, rng: Seed = None
    ) -> None:
        for what, size in (("in_features", in_features), ("out_features", out_features)):
            if size < 1:
                raise ValueError(f"{what} is {size}; it must be at least 1")
        rng = generator(rng)
        bound = in_features**-0.5
        self.weight = uniform((out_features, in_features), bound, rng, dtype, "weight")
        self.bias: Parameter | None = uniform((out_features,), bound, rng, dtype, "bias") if bias else None

    def forward(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            x = mg.tensor(np.asarray(x), dtype=self.weight.dtype)
        if not x.ndim or x.shape[-1] != self.weight.shape[1]:
            raise ValueError(f"the input has shape {x.shape}; expected (..., in_features={self.weight.shape[1]})")
        return mg.linear(x, self.weight, self.bias)  # type: ignore[no-any-return]


class Sequence(Module):
    """A recurrent layer and a readout for its every output: inputs (T, batch, I) to outputs (T, batch, O).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.LSTM(3, 4, rng=0), rnn.Linear(4, 2, rng=1))
    >>> model(np.ones((5, 1, 3))).shape
    (5, 1, 2)
    """

    def __init__(self, recurrent: Recurrent, readout: Linear) -> None:
        if readout.weight.shape[1] != recurrent.output_size:
            raise ValueError(
                f"the readout takes {readout.weight.shape[1]} features, but the recurrent layer gives {recurrent.output_size}"
            )
        self.recurrent = recurrent
        self.readout = readout
        for name, p in readout.named_parameters():
            p.name = f"readout.{name}"

    def forward(self, x: Any) -> Tensor:
        output, _ = self.recurrent.run(x, None)
        return self.readout(output)  # type: ignore[no-any-return]

    def step(self, x: Any, state: State | None, t: int) -> tuple[Tensor, State]:
        """One time step: x (batch, I) and the state before it (None: zeros) to the output (batch, O) and the state after it."""
        if state is None:
            state = self.recurrent.initial_state(len(x))
        state = self.recurrent.step(x, state, t)
        with mg.scope("readout"), mg.scope("t", t):
            output: Tensor = self.readout(self.recurrent.output_of(state))
            output.name = "o"
        return output, state
