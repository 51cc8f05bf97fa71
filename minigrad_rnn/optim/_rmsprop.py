"""RMSprop: a step divided by the root of the mean squared gradient."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..optimizer import Optimizer, Parameters
from ..settings import flag, number

__all__ = ["RMSprop", "RMSpropState", "rmsprop"]


class RMSpropState(NamedTuple):
    """The state of RMSprop: running means of the squared gradient and, if centered, of the gradient; with momentum, the
    velocity."""

    v: np.ndarray
    m: Any = None
    buffer: Any = None


def rmsprop(
    p: np.ndarray,
    g: np.ndarray,
    state: RMSpropState,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> tuple[np.ndarray, RMSpropState]:
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5), in the dtype of p:

        g = g + weight_decay p
        v = alpha v + (1 - alpha) g^2
        p - lr g / (sqrt(v) + eps)

    If `centered` (Graves 2013), the root is of v - m^2 with the mean gradient m = alpha m + (1 - alpha) g. If rounding makes
    v - m^2 negative, 0 is used. With `momentum` the last line is

        buffer = momentum buffer + g / (sqrt(v) + eps)
        p - lr buffer

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.RMSpropState(np.zeros(1))
    >>> p, state = rnn.optim.rmsprop(np.array([1.0]), np.array([2.0]), state, lr=0.25, alpha=0.75, eps=0.0)
    >>> p, state.v
    (array([0.5]), array([1.]))
    """
    if weight_decay:
        g = g + weight_decay * p
    m, buffer = state.m, state.buffer
    square = v = alpha * state.v + (1 - alpha) * (g * g)
    if centered:
        m = alpha * m + (1 - alpha) * g
        square = np.maximum(v - m * m, 0)
    step = g / (np.sqrt(square) + eps)
    if buffer is not None:
        step = buffer = momentum * buffer + step
    return p - lr * step, RMSpropState(v, m, buffer)


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012). See `rmsprop` for the formulas.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.RMSprop([w], lr=0.25, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.5])
    """

    usual_lr: ClassVar = 0.001
    alpha: float = number("a number, at least 0 and less than 1", lambda x: 0 <= x < 1)
    eps: float = number()
    weight_decay: float = number()
    momentum: float = number(lasting=True)
    centered: bool = flag(lasting=True)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def initial(self, p: np.ndarray) -> RMSpropState:
        m = np.zeros_like(p) if self.centered else None
        return RMSpropState(np.zeros_like(p), m, np.zeros_like(p) if self.momentum else None)

    def update(self, p: np.ndarray, g: np.ndarray, state: RMSpropState) -> tuple[np.ndarray, RMSpropState]:
        return rmsprop(
            p, g, state, lr=self.lr, alpha=self.alpha, eps=self.eps, weight_decay=self.weight_decay, momentum=self.momentum,
            centered=self.centered,
        )  # fmt: skip
