"""Gradient descent, with or without momentum."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from ..optimizer import Optimizer, Parameters
from ..settings import flag, number

__all__ = ["SGD", "SGDState", "sgd", "sgd_momentum"]


def sgd(p: np.ndarray, g: np.ndarray, *, lr: float, weight_decay: float = 0.0) -> np.ndarray:
    """Gradient descent: p - lr g, in the dtype of p. With `weight_decay` g is g + weight_decay p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.optim.sgd(np.array([1.0]), np.array([2.0]), lr=0.25)
    array([0.5])
    """
    if weight_decay:
        g = g + weight_decay * p
    return p - lr * g


class SGDState(NamedTuple):
    """The state of momentum: the velocity, and the number of steps."""

    buffer: np.ndarray
    t: int


def sgd_momentum(
    p: np.ndarray,
    g: np.ndarray,
    state: SGDState,
    *,
    lr: float,
    momentum: float,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> tuple[np.ndarray, SGDState]:
    """Gradient descent with momentum (Polyak 1964), in the dtype of p:

        g = g + weight_decay p
        buffer = momentum buffer + (1 - dampening) g        without dampening in the first step
        p - lr buffer

    With `nesterov` (Nesterov 1983, as in Sutskever et al. 2013) the last line is p - lr (g + momentum buffer).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> p, state = np.array([1.0]), rnn.optim.SGDState(np.zeros(1), 0)
    >>> for _ in range(2):
    ...     p, state = rnn.optim.sgd_momentum(p, np.array([2.0]), state, lr=0.25, momentum=0.5)
    >>> p, state.buffer
    (array([-0.25]), array([3.]))
    """
    if weight_decay:
        g = g + weight_decay * p
    buffer = momentum * state.buffer + (g if not dampening or state.t == 0 else (1 - dampening) * g)
    step = g + momentum * buffer if nesterov else buffer
    return p - lr * step, SGDState(buffer, state.t + 1)


class SGD(Optimizer):
    """Gradient descent, p - lr g. With momentum, see `sgd_momentum` for the formulas.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5])
    """

    usual_lr: ClassVar = 0.1
    momentum: float = number(lasting=True)
    dampening: float = number("a number", lambda x: True)
    weight_decay: float = number()
    nesterov: bool = flag()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def check(self) -> None:
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError(
                f"nesterov needs momentum, and no dampening; here momentum is {self.momentum}, dampening {self.dampening}"
            )

    def initial(self, p: np.ndarray) -> SGDState | None:
        return SGDState(np.zeros_like(p), 0) if self.momentum else None

    def update(self, p: np.ndarray, g: np.ndarray, state: SGDState | None) -> tuple[np.ndarray, SGDState | None]:
        if state is None:
            return sgd(p, g, lr=self.lr, weight_decay=self.weight_decay), None
        return sgd_momentum(
            p, g, state, lr=self.lr, momentum=self.momentum, dampening=self.dampening, weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )  # fmt: skip
