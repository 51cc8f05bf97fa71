"""Reductions: many numbers into one, along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import Tensor
from .kinds import Domain, general, linear, shape_of

Axis = int | tuple[int, ...] | None


def normalized(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes as a tuple of non-negative numbers; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and 0 <= axis < ndim:
        return (axis,)
    if ndim == 0 and axis in (0, -1):
        return ()  # NumPy reduces a single number along its missing axis
    return np.lib.array_utils.normalize_axis_tuple(axis, ndim)


def restored(g: Any, x_shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """Put the reduced axes back into `g`, each of length 1."""
    if keepdims or len(axis) == 0:
        return g
    return g.reshape(tuple([1 if i in axis else n for i, n in enumerate(x_shape)]))


def spread(g: Any, x_shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """Give every element the cotangent of the result it went into: the transpose of a sum."""
    if len(axis) == len(x_shape) and not isinstance(g, Tensor):
        return np.full(x_shape, g)  # of one number; half the time of np.broadcast_to
    return np.broadcast_to(restored(g, x_shape, axis, keepdims), x_shape)


def reduced_size(x_shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    size = 1
    for i in axis:
        size *= x_shape[i]
    return size


def shared(g: Any, out: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The elements equal to the extreme value share its cotangent equally."""
    g, out = restored(g, shape_of(x), axis, keepdims), restored(out, shape_of(x), axis, keepdims)
    chosen = np.equal(x, out)
    return g * (chosen / np.sum(chosen, axis=axis, keepdims=True))


def mean_of(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.char in "fd":  # as np.mean does it, in half of its time
        total: Any = x.sum(axis=axis, keepdims=keepdims)
        return total / reduced_size(x.shape, axis)
    return x.mean(axis=axis, keepdims=keepdims)


sum_op = linear(
    "sum",
    lambda x, *, axis, keepdims: np.add.reduce(x, axis=axis, keepdims=keepdims),
    lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims),
)
mean_op = linear(
    "mean",
    mean_of,
    lambda g, x_shape, axis, keepdims: spread(g / reduced_size(x_shape, axis), x_shape, axis, keepdims),
)
max_op = general(
    "max",
    lambda x, *, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    lambda g, out, x, axis, keepdims: shared(g, out, x, axis, keepdims),
    domain=Domain(ties=True),
    analytic=False,
)
min_op = general(
    "min",
    lambda x, *, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims),
    lambda g, out, x, axis, keepdims: shared(g, out, x, axis, keepdims),
    domain=Domain(ties=True),
    analytic=False,
)


def sum(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Sum over `axis` (an int, a tuple of ints, or all axes), as ``np.sum``.

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> minigrad.sum(x, axis=0)
    tensor([4., 6.], op=sum)
    """
    return sum_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


def mean(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Mean over `axis` (an int, a tuple of ints, or all axes), as ``np.mean``.

    >>> import minigrad
    >>> minigrad.mean(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5, 3.5])
    """
    return mean_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


def max(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Maximum over `axis`, as ``np.max``. Elements that tie for it share the gradient equally.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 3.0, 3.0], requires_grad=True)
    >>> minigrad.max(x).backward()
    >>> x.grad
    array([0. , 0.5, 0.5])
    """
    return max_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


def min(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """Minimum over `axis`, as ``np.min``. Elements that tie for it share the gradient equally.

    >>> import minigrad
    >>> minigrad.min(minigrad.tensor([[1.0, 3.0], [0.0, 2.0]]), axis=1)
    tensor([1., 0.])
    """
    return min_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


OPS = [sum_op, mean_op, max_op, min_op]
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: sum, np.mean: mean, np.max: max, np.min: min, np.amax: max, np.amin: min,
}  # fmt: skip
