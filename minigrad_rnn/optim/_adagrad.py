"""Adagrad: a step divided by the root of the sum of all squared gradients."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from ..optimizer import Optimizer, Parameters
from ..settings import number

__all__ = ["Adagrad", "AdagradState", "adagrad"]


class AdagradState(NamedTuple):
    """The state of Adagrad: the sum of the squared gradients, and the number of steps."""

    total: np.ndarray
    t: int


def adagrad(
    p: np.ndarray,
    g: np.ndarray,
    state: AdagradState,
    *,
    lr: float,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
) -> tuple[np.ndarray, AdagradState]:
    """Adagrad (Duchi, Hazan & Singer 2011), in the dtype of p:

        g = g + weight_decay p
        total = total + g^2
        p - lr / (1 + (t - 1) lr_decay) g / (sqrt(total) + eps)

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdagradState(np.zeros(1), 0)
    >>> p, state = rnn.optim.adagrad(np.array([1.0]), np.array([2.0]), state, lr=0.5, eps=0.0)
    >>> p, state.total
    (array([0.5]), array([4.]))
    """
    t = state.t + 1
    if weight_decay:
        g = g + weight_decay * p
    total = state.total + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * (g / (np.sqrt(total) + eps)), AdagradState(total, t)


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011). See `adagrad` for the formulas.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.Adagrad([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.75])
    """

    usual_lr: ClassVar = 0.01
    lr_decay: float = number()
    weight_decay: float = number()
    initial_accumulator_value: float = number()
    eps: float = number()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize,
        )  # fmt: skip

    def initial(self, p: np.ndarray) -> AdagradState:
        return AdagradState(np.full_like(p, self.initial_accumulator_value), 0)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdagradState) -> tuple[np.ndarray, AdagradState]:
        return adagrad(p, g, state, lr=self.lr, lr_decay=self.lr_decay, weight_decay=self.weight_decay, eps=self.eps)
