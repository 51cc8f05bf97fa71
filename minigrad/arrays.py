"""Conversion of arguments to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["HALF", "array_of", "at_least_single"]

HALF = np.dtype(np.float16)


def array_of(x: Any) -> np.ndarray:
    """Return ``np.asarray(x)``. Raise TypeError for a masked array or an np.matrix, which would lose their meaning.

    >>> import numpy as np
    >>> array_of([1.0, 2.0])
    array([1., 2.])
    >>> array_of(np.ma.array([1.0, 2.0], mask=[True, False]))
    Traceback (most recent call last):
    TypeError: a masked array would lose its mask; pass x.filled(value), or mask the result: np.where(x.mask, 0, y)
    """
    if isinstance(x, np.ndarray) and type(x) is not np.ndarray:
        if isinstance(x, np.matrix):
            raise TypeError("x * y would no longer be the matrix product of an np.matrix; pass np.asarray(x), and write x @ y")
        if hasattr(x, "mask"):
            raise TypeError(
                "a masked array would lose its mask; pass x.filled(value), or mask the result: np.where(x.mask, 0, y)"
            )
    return np.asarray(x)


def at_least_single(x: Any) -> Any:
    """An array of float16 as one of float32, anything else as it is."""
    return x.astype(np.float32) if getattr(x, "dtype", None) == HALF else x
