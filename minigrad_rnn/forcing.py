"""Teacher forcing schedules: how often a decoder reads the true symbol of the step before, in the course of its training.

Scheduled sampling (Bengio, Vinyals, Jaitly & Shazeer 2015) begins with the targets and goes over to the model's own outputs,
which are all that it will have when it is used. A schedule is a function from the number of updates so far to a probability:
one of these, or your own. Give it to a model as ``teacher_forcing=``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.arrays import array_function

__all__ = ["exponential", "inverse_sigmoid", "linear"]

Schedule = Callable[[int], float]


def linear(slope: float, *, start: float = 1.0, least: float = 0.0) -> Schedule:
    """Return the schedule max(least, start - slope * update).

    >>> import minigrad_rnn as rnn
    >>> [rnn.forcing.linear(0.25, least=0.1)(i) for i in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.1, 0.1]
    """
    return partial(_linear, in_range("slope", slope, 0, math.inf), probability("start", start), probability("least", least))


def exponential(base: float) -> Schedule:
    """Return the schedule base^update, with a base from 0 to 1.

    >>> import minigrad_rnn as rnn
    >>> [rnn.forcing.exponential(0.5)(i) for i in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    return partial(pow, probability("base", base))


def inverse_sigmoid(k: float) -> Schedule:
    """Return the schedule k / (k + exp(update / k)), with k from 1 on: 1/2 is reached after k log(k) updates.

    >>> import math, minigrad_rnn as rnn
    >>> [round(rnn.forcing.inverse_sigmoid(10)(i), 3) for i in (0, 10 * math.log(10), 60)]
    [0.909, 0.5, 0.024]
    """
    return partial(_inverse_sigmoid, in_range("k", k, 1, math.inf))


def _linear(slope: float, start: float, least: float, update: int) -> float:
    return max(least, start - slope * update)


def _inverse_sigmoid(k: float, update: int) -> float:
    return k / (k + math.exp(min(update / k, 700.0)))


def probability(name: str, value: Any) -> float:
    return in_range(name, value, 0, 1)


def in_range(name: str, value: Any, least: float, most: float) -> float:
    """Return a number as a float. TypeError for what is not a number, ValueError outside of this range."""
    expected = f"a number from {least:g} " + ("on" if most == math.inf else f"to {most:g}")
    if not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be {expected}, not {type(value).__name__}")
    if not (least <= value <= most and math.isfinite(value)):
        raise ValueError(f"{name} must be {expected}, not {value}")
    return float(value)


@array_function
def uniform_numbers(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Return numbers from 0 to less than 1, drawn uniformly."""
    return rng.random(shape, dtype=np.float32)


def __dir__() -> list[str]:
    return __all__
