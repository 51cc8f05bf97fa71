"""The norm of a gradient, the same in texts, pictures, pages, flows and clipping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["norm"]


def norm(*arrays: Any) -> np.float64:
    """Return the Euclidean norm of all elements of all arrays together, ``sqrt(sum(x**2))``, as float64.

    The elements are first divided by the largest one, so that the squares neither underflow nor overflow: in float32, the
    square of 1e-24 would be 0. The norm of no elements is 0. An element that is NaN makes it NaN; otherwise an infinite element
    makes it infinite.

    >>> import numpy as np
    >>> from minigrad.norms import norm
    >>> print(f"{norm(np.full(4, 1e-24, np.float32)):.4g}, {norm([3e200], [4e200]):.4g}")
    2e-24, 5e+200
    """
    flat = [np.ravel(np.asarray(array)).astype(np.float64) for array in arrays]
    largest = max((float(np.max(np.abs(x), initial=0.0)) for x in flat), default=0.0)
    if not 0 < largest < math.inf:  # nothing, only zeros, infinity or NaN
        return np.float64(math.nan if any(np.isnan(x).any() for x in flat) else largest)
    return np.float64(largest * math.sqrt(sum(float(np.sum(np.square(x / largest))) for x in flat)))
