"""When a unit counts as saturated: one definition for numbers, pictures and pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["SATURATED", "saturated", "saturates"]

SATURATED = 0.1  # a unit is saturated where its slope is less than this share of the largest slope of its activation

SLOPES: dict[str, Callable[[Any], Any]] = {  # by the output of an activation, its slope as a share of the largest
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: 4 * y * (1 - y),
    "relu": lambda y: (y > 0) * 1.0,
}


def saturates(activation: str) -> bool:
    """True for the activations that have a definition of saturation: tanh, sigmoid and relu."""
    return activation in SLOPES


def saturated(activation: str, output: Any) -> float:
    """The share of the outputs of an activation at which it is saturated, from 0 to 1.

    >>> import numpy as np
    >>> saturated("sigmoid", np.array([0.5, 0.964, 0.98])), saturated("tanh", np.array([0.0, 0.96]))
    (0.3333333333333333, 0.5)
    """
    return float(np.mean(SLOPES[activation](np.asarray(output, float)) < SATURATED))
