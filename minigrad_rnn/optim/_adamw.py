"""AdamW: Adam with weight decay that does not go through the gradient."""

from __future__ import annotations

import numpy as np

from ..optimizer import Parameters
from ._adam import Adam, AdamState, adam

__all__ = ["AdamW", "adamw"]


def adamw(
    p: np.ndarray,
    g: np.ndarray,
    state: AdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool = False,
) -> tuple[np.ndarray, AdamState]:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): `adam` of (1 - lr weight_decay) p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, _ = rnn.optim.adamw(
    ...     np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.9, 0.999), eps=0.0, weight_decay=0.5
    ... )
    >>> p
    array([0.25])
    """
    return adam((1 - lr * weight_decay) * p, g, state, lr=lr, betas=betas, eps=eps, amsgrad=amsgrad)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019). See `adamw` for the formula.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.AdamW([w], lr=0.5, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.25])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return adamw(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, amsgrad=self.amsgrad
        )
