"""Adam: running means of the gradient and of its square, corrected for their start at zero."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..optimizer import Optimizer, Parameters
from ..settings import flag, number, pair

__all__ = ["Adam", "AdamState", "adam"]


BETAS = pair("two numbers, each at least 0 and less than 1", lambda b1, b2: 0 <= b1 < 1 and 0 <= b2 < 1)


class AdamState(NamedTuple):
    """The state of Adam: running means of the gradient and of its square, the number of steps; with amsgrad, the largest v."""

    m: np.ndarray
    v: np.ndarray
    t: int
    largest: Any = None


def adam(
    p: np.ndarray,
    g: np.ndarray,
    state: AdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> tuple[np.ndarray, AdamState]:
    """Adam (Kingma & Ba 2015), in the dtype of p:

        g = g + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    With `amsgrad` (Reddi, Kale & Kumar 2018) the last line has the largest v so far in place of v.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, state = rnn.optim.adam(np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.9, 0.999), eps=0.0)
    >>> p, state.t
    (array([0.5]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    if weight_decay:
        g = g + weight_decay * p
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    largest = None
    root = v
    if amsgrad:
        root = largest = np.maximum(state.largest, v)
    step = m / (np.sqrt(root / (1 - b2**t)) + eps)
    return p - lr / (1 - b1**t) * step, AdamState(m, v, t, largest)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015). See `adam` for the formulas.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.Adam(rnn.Linear(2, 1).parameters(), lr=0.01)
    >>> optimizer.betas
    (0.9, 0.999)
    """

    betas: tuple[float, float] = BETAS
    eps: float = number()
    weight_decay: float = number()
    amsgrad: bool = flag(lasting=True)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)

    def initial(self, p: np.ndarray) -> AdamState:
        return AdamState(np.zeros_like(p), np.zeros_like(p), 0, np.zeros_like(p) if self.amsgrad else None)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return adam(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, amsgrad=self.amsgrad
        )
