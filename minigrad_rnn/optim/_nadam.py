"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..optimizer import Optimizer, Parameters, decayed
from ..settings import flag, number
from ._adam import BETAS

__all__ = ["NAdam", "NAdamState", "nadam"]


class NAdamState(NamedTuple):
    """The state of NAdam: running means of the gradient and of its square, the number of steps, the product of the momenta."""

    m: np.ndarray
    v: np.ndarray
    t: int
    mu_product: Any


def nadam(
    p: np.ndarray,
    g: np.ndarray,
    state: NAdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> tuple[np.ndarray, NAdamState]:
    """NAdam (Dozat 2016), Adam with Nesterov's momentum, in the dtype of p:

        g = g + weight_decay p
        mu[t] = b1 (1 - 0.96^(t momentum_decay) / 2)
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        step = (1 - mu[t]) g / (1 - mu[1] ... mu[t]) + mu[t + 1] m / (1 - mu[1] ... mu[t + 1])
        p - lr step / (sqrt(v / (1 - b2^t)) + eps)

    With `decoupled_weight_decay` the first line is p = (1 - lr weight_decay) p, as in AdamW.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.NAdamState(np.zeros(1), np.zeros(1), 0, np.ones(()))
    >>> p, state = rnn.optim.nadam(np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.5, 0.999), eps=0.0)
    >>> p.round(3), state.t
    (array([0.433]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    mu, following = (b1 * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in (t, t + 1))
    mu_product = state.mu_product * mu
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    step = (1 - mu) / (1 - mu_product) * g + following / (1 - mu_product * following) * m
    return p - lr * (step / (np.sqrt(v / (1 - b2**t)) + eps)), NAdamState(m, v, t, mu_product)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016). See `nadam` for the formulas.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.NAdam([w], lr=0.5, betas=(0.5, 0.999))
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(3)
    array([0.433])
    """

    betas: tuple[float, float] = BETAS
    eps: float = number()
    weight_decay: float = number()
    momentum_decay: float = number()
    decoupled_weight_decay: bool = flag()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize,
        )  # fmt: skip

    def initial(self, p: np.ndarray) -> NAdamState:
        return NAdamState(np.zeros_like(p), np.zeros_like(p), 0, np.ones((), p.dtype))

    def update(self, p: np.ndarray, g: np.ndarray, state: NAdamState) -> tuple[np.ndarray, NAdamState]:
        return nadam(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay,
            momentum_decay=self.momentum_decay, decoupled_weight_decay=self.decoupled_weight_decay,
        )  # fmt: skip
