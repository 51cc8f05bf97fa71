"""The size of a gradient, the same in text, pictures, pages, flows and clipping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["norm"]


def norm(*arrays: Any) -> np.float64:
    """The Euclidean norm of all elements together, computed in float64 in units of the largest element.

    So it neither underflows nor overflows where the elements do not: float32 squares of 1e-24 are 0.

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
