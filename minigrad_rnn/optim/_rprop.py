"""Rprop: each element has its own step size, and only the sign of the gradient counts."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from ..optimizer import Optimizer, Parameters
from ..settings import pair

__all__ = ["Rprop", "RpropState", "rprop"]


class RpropState(NamedTuple):
    """The state of Rprop: for each element its last gradient, and the size of its step."""

    previous: np.ndarray
    size: np.ndarray


def rprop(
    p: np.ndarray, g: np.ndarray, state: RpropState, *, etas: tuple[float, float], step_sizes: tuple[float, float]
) -> tuple[np.ndarray, RpropState]:
    """Rprop (Riedmiller & Braun 1993), in its form iRprop- (Igel & Hüsken 2003), in the dtype of p; each element for itself:

        size = etas[1] size    where g has the sign it had in the last step
        size = etas[0] size    and then g = 0, where it has the other
        p - sign(g) size       with the size kept within `step_sizes`

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.RpropState(np.array([1.0, -1.0, 0.0]), np.ones(3))
    >>> p, state = rnn.optim.rprop(np.zeros(3), np.array([2.0, 2.0, 2.0]), state, etas=(0.5, 1.25), step_sizes=(0.1, 9.0))
    >>> p, state.size
    (array([-1.25,  0.  , -1.  ]), array([1.25, 0.5 , 1.  ]))
    """
    shrink, grow = etas
    same = g * state.previous
    flipped = np.less(same, 0)
    size = np.where(np.greater(same, 0), grow * state.size, np.where(flipped, shrink * state.size, state.size))
    size = np.clip(size, *step_sizes)
    g = np.where(flipped, 0, g)
    return p - np.sign(g) * size, RpropState(g, size)


class Rprop(Optimizer):
    """Rprop (Riedmiller & Braun 1993), for gradients of the whole data. See `rprop` for the formulas.

    `lr` is the size of the first step. After that each element has its own size, and changing `lr` has no effect.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.Rprop([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.75])
    """

    usual_lr: ClassVar = 0.001
    etas: tuple[float, float] = pair(
        "two numbers, the first between 0 and 1, the second greater than 1", lambda shrink, grow: 0 < shrink < 1 < grow
    )
    step_sizes: tuple[float, float] = pair(
        "two numbers, the smallest step and the largest, greater than 0 and in this order", lambda low, high: 0 < low <= high
    )

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def initial(self, p: np.ndarray) -> RpropState:
        return RpropState(np.zeros_like(p), np.full_like(p, self.lr))

    def update(self, p: np.ndarray, g: np.ndarray, state: RpropState) -> tuple[np.ndarray, RpropState]:
        return rprop(p, g, state, etas=self.etas, step_sizes=self.step_sizes)
