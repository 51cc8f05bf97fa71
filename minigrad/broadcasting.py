"""Undo broadcasting: the gradient of an operand that NumPy repeated is the sum over the repetitions."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["unbroadcast"]


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an operand of this shape was broadcast: the transpose of broadcasting.

    >>> unbroadcast(np.ones((4, 2, 3)), (2, 1))
    array([[12.],
           [12.]])
    """
    lead = len(g.shape) - len(shape)
    axes = (*range(lead), *(i for i, n in enumerate(shape, lead) if n == 1 and g.shape[i] != 1))
    if all(g.shape[i] == 1 for i in axes):
        return g.reshape(shape)
    if g.dtype == np.float16:
        g = g.astype(np.float32)  # in which many small parts are not rounded away
    return np.add.reduce(g, axis=axes).reshape(shape)
