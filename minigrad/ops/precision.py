"""In which precision ops compute: integers in float64, float16 on the way in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import HALF, at_least_single

__all__ = ["HALF", "at_least_single", "by_way_of_single", "floating"]


def floating(x: Any) -> Any:
    """An array of integers or booleans as one of floats, others as they are."""
    return x if x.dtype.kind == "f" else x.astype(float)


def by_way_of_single(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward function that adds up on the way: of float16 computed in float32, and the result cast."""

    @functools.wraps(forward)
    def run(x: Any, *others: Any, **options: Any) -> Any:
        if x.dtype is not HALF:
            return forward(x, *others, **options)
        return forward(x.astype(np.float32), *others, **options).astype(HALF)

    return run
