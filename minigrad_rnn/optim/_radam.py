"""RAdam: Adam whose first steps are scaled down, so that it needs no warm-up."""

from __future__ import annotations

import numpy as np

from ..optimizer import Optimizer, Parameters, decayed
from ..settings import flag, number
from ._adam import BETAS, AdamState

__all__ = ["RAdam", "radam"]


def radam(
    p: np.ndarray,
    g: np.ndarray,
    state: AdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> tuple[np.ndarray, AdamState]:
    """RAdam (Liu et al. 2020), Adam that scales its steps by a factor r while v is still the mean of few gradients:

        g = g + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        rho_inf = 2 / (1 - b2) - 1
        rho = rho_inf - 2 t b2^t / (1 - b2^t)
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
        p - lr m / (1 - b1^t) r sqrt(1 - b2^t) / (sqrt(v) + eps)    if rho > 5
        p - lr m / (1 - b1^t)                                       otherwise

    With `decoupled_weight_decay` the first line is p = (1 - lr weight_decay) p, as in AdamW. The result has the dtype of p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, state = rnn.optim.radam(np.array([1.0]), np.array([2.0]), state, lr=0.25, betas=(0.5, 0.999), eps=0.0)
    >>> p, state.t
    (array([0.5]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    step = lr / (1 - b1**t) * m
    correction = 1 - b2**t
    most = 2 / (1 - b2) - 1
    rho = most - 2 * t * b2**t / correction
    if rho > 5:
        r = ((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)) ** 0.5
        step = step * (r * correction**0.5 / (np.sqrt(v) + eps))
    return p - step, AdamState(m, v, t)


class RAdam(Optimizer):
    """Adam with rectified steps (Liu et al. 2020), which needs no warm-up. See `radam` for the formulas.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.RAdam([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.5])
    """

    betas: tuple[float, float] = BETAS
    eps: float = number()
    weight_decay: float = number()
    decoupled_weight_decay: bool = flag()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )  # fmt: skip

    def initial(self, p: np.ndarray) -> AdamState:
        return AdamState(np.zeros_like(p), np.zeros_like(p), 0)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return radam(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay,
            decoupled_weight_decay=self.decoupled_weight_decay,
        )  # fmt: skip
