"""Functions that rearrange elements, made of the ops of `shape`: parts, pieces put together, diagonals, margins, sorting."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..tensor import Tensor, plain
from .entry import Operand, only_defaults, public
from .op import shape_of
from .shape import (
    Shape,
    as_array,
    as_tuple,
    broadcast_to,
    concatenate,
    getitem,
    plain_array,
    reshape,
    scatter,
    stack,
    transpose,
)  # fmt: skip


@public(np.swapaxes, method=True)
def swapaxes(x: Operand, axis1: int, axis2: int) -> Operand:
    """Exchange two axes. As ``np.swapaxes``.

    >>> import numpy as np, minigrad
    >>> minigrad.swapaxes(minigrad.tensor(np.zeros((2, 3, 4))), 0, -1).shape
    (4, 3, 2)
    """
    axes = list(range(len(shape_of(x))))
    i, j = normalize_axis_tuple((axis1, axis2), len(axes), allow_duplicate=True)
    axes[i], axes[j] = j, i
    return transpose(x, axes)


@public(np.squeeze, method=True)
def squeeze(x: Operand, axis: int | tuple[int, ...] | None = None) -> Operand:
    """Remove the axes of length 1, or those named. As ``np.squeeze``.

    >>> import numpy as np, minigrad
    >>> minigrad.squeeze(minigrad.tensor(np.zeros((1, 3, 1))), axis=0).shape
    (3, 1)
    """
    return reshape(x, np.squeeze(np.broadcast_to(0, shape_of(x)), axis).shape)


@public(np.expand_dims)
def expand_dims(x: Operand, axis: int | tuple[int, ...]) -> Operand:
    """Add axes of length 1 at these places of the result. As ``np.expand_dims``.

    >>> import minigrad
    >>> minigrad.expand_dims(minigrad.tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    return reshape(x, np.expand_dims(np.broadcast_to(0, shape_of(x)), axis).shape)


@public(np.full_like)
def full_like(x: Operand, fill_value: Operand, dtype: Any = None, *, shape: Shape | None = None) -> Operand:
    """Broadcast `fill_value` to the shape and dtype of x, or to those given. As ``np.full_like``.

    The gradient flows to `fill_value`; of x only shape and dtype count. A plain array unless `fill_value` is a Tensor.

    >>> import minigrad
    >>> value = minigrad.tensor(2.0, requires_grad=True)
    >>> minigrad.full_like(minigrad.tensor([0.0, 0.0, 0.0]), value).sum().backward()
    >>> value.grad
    array(3.)
    """
    x = as_array(plain(x))
    if not isinstance(fill_value, Tensor):
        return np.full_like(x, fill_value, dtype, shape=shape)
    return broadcast_to(fill_value.astype(dtype or x.dtype), x.shape if shape is None else shape)


@public(np.split)
def split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Operand]:
    """Cut x along `axis` into that many equal parts, or at the given places. As ``np.split``.

    >>> import minigrad
    >>> minigrad.split(minigrad.tensor([1.0, 2.0, 3.0, 4.0]), 2)
    [tensor([1., 2.]), tensor([3., 4.])]
    """
    axis = normalize_axis_index(axis, len(shape_of(x)))
    length = shape_of(x)[axis]
    if isinstance(indices_or_sections, int | np.integer):
        if indices_or_sections <= 0 or length % indices_or_sections:
            raise ValueError(f"an axis of length {length} cannot be split into {indices_or_sections} equal parts")
        return [x[index] for index in equal_parts(axis, length, int(indices_or_sections))]
    places = list(indices_or_sections)
    return [x[along(axis, slice(a, b))] for a, b in zip([0, *places], [*places, length], strict=True)]


@functools.lru_cache(maxsize=1024)
def equal_parts(axis: int, length: int, number: int) -> tuple[tuple[slice, ...], ...]:
    """Return the indices of equal parts along an axis, the same objects each time, by which `leaves_out` recognises them."""
    step = length // number
    return tuple([along(axis, slice(step * i, step * (i + 1))) for i in range(number)])


def along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)


@public(np.take, method=True)
def take(x: Operand, indices: Any, axis: int | None = None, **others: Any) -> Operand:
    """Take the elements at these indices along `axis`, or of the flattened array. As ``np.take``.

    >>> import numpy as np, minigrad
    >>> minigrad.take(minigrad.tensor(np.arange(6.0).reshape(2, 3)), [2, 0], axis=1)
    tensor([[2., 0.],
            [5., 3.]])
    """
    if others:
        only_defaults(np.take, others)
    if axis is None or not shape_of(x):
        axis = axis if axis is None else normalize_axis_index(axis, 1)  # NumPy takes a number for an array of one
        x, axis = reshape(x, -1), 0
    index = plain_array(indices)
    if index.dtype.kind == "b":
        index = index.astype(np.intp)  # numbers, as NumPy has them here, and no mask
    return getitem(x, (slice(None),) * normalize_axis_index(axis, len(shape_of(x))) + (index,))


@public(np.moveaxis)
def moveaxis(x: Operand, source: int | Sequence[int], destination: int | Sequence[int]) -> Operand:
    """Move some axes to other places, and leave the rest in their order. As ``np.moveaxis``.

    >>> import numpy as np, minigrad
    >>> minigrad.moveaxis(minigrad.tensor(np.zeros((2, 3, 4))), 0, -1).shape
    (3, 4, 2)
    """
    ndim = len(shape_of(x))
    old, new = normalize_axis_tuple(source, ndim, "source"), normalize_axis_tuple(destination, ndim, "destination")
    if len(old) != len(new):
        raise ValueError(f"moveaxis: as many destinations as sources are needed, not {len(new)} for {len(old)}")
    order = [axis for axis in range(ndim) if axis not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


@public(np.rollaxis)
def rollaxis(x: Operand, axis: int, start: int = 0) -> Operand:
    """Move one axis before the axis that is now at `start`. As ``np.rollaxis``.

    >>> import numpy as np, minigrad
    >>> minigrad.rollaxis(minigrad.tensor(np.zeros((2, 3, 4))), 2).shape
    (4, 2, 3)
    """
    ndim = len(shape_of(x))
    axis = normalize_axis_index(axis, ndim)
    start = normalize_axis_index(start, ndim + 1) if start >= 0 else normalize_axis_index(start, ndim)
    return moveaxis(x, axis, start - (axis < start))


@public(np.linalg.matrix_transpose, np.matrix_transpose, attribute="mT")
def matrix_transpose(x: Operand) -> Operand:
    """Transpose every matrix of a stack: exchange the last two axes. As ``np.matrix_transpose``.

    Raises ValueError if x has fewer than two axes.

    >>> import numpy as np, minigrad
    >>> minigrad.matrix_transpose(minigrad.tensor(np.zeros((2, 3, 4)))).shape
    (2, 4, 3)
    """
    if len(shape_of(x)) < 2:
        raise ValueError(f"matrix_transpose takes an array of at least two axes, not one of shape {shape_of(x)}")
    return swapaxes(x, -1, -2)


@public(np.ravel, method=True)
def ravel(x: Operand, order: str = "C") -> Operand:
    """Return the elements as a vector, the last axis running fastest. As ``np.ravel``.

    Raises ValueError for an `order` other than "C".

    >>> import minigrad
    >>> minigrad.ravel(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    if order != "C":
        raise ValueError(f"ravel supports only order='C', not {order!r}; for 'F' take the transpose first")
    return reshape(x, -1)


def each(f: Callable[[Any], Any], arrays: tuple[Any, ...]) -> Any:
    return f(arrays[0]) if len(arrays) == 1 else tuple(f(x) for x in arrays)


@public(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """Make a number an array of one element, and leave others as they are. Several give a tuple. As ``np.atleast_1d``.

    >>> import minigrad
    >>> minigrad.atleast_1d(minigrad.tensor(3.0))
    tensor([3.])
    """
    return each(lambda x: reshape(x, shape_of(x) or (1,)), arrays)


@public(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """Make a vector a matrix of one row, and leave matrices as they are. Several give a tuple. As ``np.atleast_2d``.

    >>> import minigrad
    >>> minigrad.atleast_2d(minigrad.tensor([3.0, 4.0])).shape
    (1, 2)
    """
    return each(lambda x: reshape(x, (1,) * (2 - len(shape_of(x))) + shape_of(x)), arrays)


@public(np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    """Give x at least three axes: (n,) becomes (1, n, 1), and (m, n) becomes (m, n, 1). As ``np.atleast_3d``.

    >>> import minigrad
    >>> minigrad.atleast_3d(minigrad.tensor([3.0, 4.0])).shape
    (1, 2, 1)
    """
    return each(lambda x: reshape(x, np.atleast_3d(np.broadcast_to(0, shape_of(x))).shape), arrays)


@public(np.vstack)
def vstack(arrays: Sequence[Operand]) -> Operand:
    """Join arrays on top of each other, vectors as rows. As ``np.vstack``.

    >>> import minigrad
    >>> minigrad.vstack([minigrad.tensor([1.0, 2.0]), [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return concatenate([atleast_2d(x) for x in arrays], 0)


@public(np.hstack)
def hstack(arrays: Sequence[Operand]) -> Operand:
    """Join arrays side by side: along the second axis, vectors along their only one. As ``np.hstack``.

    >>> import minigrad
    >>> minigrad.hstack([minigrad.tensor([1.0, 2.0]), 3.0])
    tensor([1., 2., 3.])
    """
    parts = [atleast_1d(x) for x in arrays]
    return concatenate(parts, 0 if parts and len(shape_of(parts[0])) == 1 else 1)


@public(np.dstack)
def dstack(arrays: Sequence[Operand]) -> Operand:
    """Join arrays behind each other, along the third axis. As ``np.dstack``.

    >>> import minigrad
    >>> minigrad.dstack([minigrad.tensor([1.0, 2.0]), [3.0, 4.0]]).shape
    (1, 2, 2)
    """
    return concatenate([atleast_3d(x) for x in arrays], 2)


@public(np.column_stack)
def column_stack(arrays: Sequence[Operand]) -> Operand:
    """Join vectors as the columns of a matrix, and matrices side by side. As ``np.column_stack``.

    >>> import minigrad
    >>> minigrad.column_stack([minigrad.tensor([1.0, 2.0]), [3.0, 4.0]])
    tensor([[1., 3.],
            [2., 4.]])
    """
    return concatenate([x if len(shape_of(x)) > 1 else transpose(atleast_2d(x)) for x in map(as_array, arrays)], 1)


@public(np.append)
def append(x: Operand, values: Operand, axis: int | None = None) -> Operand:
    """Append `values` to x along `axis`. Both are flattened if it is None. As ``np.append``.

    >>> import minigrad
    >>> minigrad.append(minigrad.tensor([1.0, 2.0]), 3.0)
    tensor([1., 2., 3.])
    """
    return concatenate([x, values], axis)


@public(np.tile)
def tile(x: Operand, reps: Shape) -> Operand:
    """Repeat x as a whole, `reps` times along each axis. As ``np.tile``.

    >>> import minigrad
    >>> minigrad.tile(minigrad.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2., 1., 2.],
            [1., 2., 1., 2.]])
    """
    times, shape = as_tuple(reps), shape_of(x)
    ndim = max(len(times), len(shape))
    times, shape = (1,) * (ndim - len(times)) + times, (1,) * (ndim - len(shape)) + shape
    pairs = list(zip(times, shape, strict=True))
    apart = reshape(x, [k for n in shape for k in (1, n)])
    return reshape(broadcast_to(apart, [k for pair in pairs for k in pair]), tuple(t * n for t, n in pairs))


@public(np.repeat, method=True)
def repeat(x: Operand, repeats: Any, axis: int | None = None) -> Operand:
    """Repeat each element along `axis`, or of the flattened array: `repeats` is one number, or one each. As ``np.repeat``.

    >>> import minigrad
    >>> minigrad.repeat(minigrad.tensor([1.0, 2.0]), [1, 2])
    tensor([1., 2., 2.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    if not shape_of(x):
        x = reshape(x, 1)
    return take(x, np.repeat(np.arange(shape_of(x)[axis]), repeats), axis)


@public(np.flip)
def flip(x: Operand, axis: int | tuple[int, ...] | None = None) -> Operand:
    """Reverse the elements along `axis`, along all axes if None. As ``np.flip``.

    >>> import minigrad
    >>> minigrad.flip(minigrad.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    ndim = len(shape_of(x))
    axes = range(ndim) if axis is None else normalize_axis_tuple(axis, ndim)
    return getitem(x, tuple(slice(None, None, -1 if i in axes else None) for i in range(ndim)))


@public(np.flipud)
def flipud(x: Operand) -> Operand:
    """Reverse the first axis: upside down. As ``np.flipud``.

    >>> import minigrad
    >>> minigrad.flipud(minigrad.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    return flip(x, 0)


@public(np.fliplr)
def fliplr(x: Operand) -> Operand:
    """Reverse the second axis: left to right. As ``np.fliplr``.

    >>> import minigrad
    >>> minigrad.fliplr(minigrad.tensor([[1.0, 2.0]]))
    tensor([[2., 1.]])
    """
    return flip(x, 1)


@public(np.roll)
def roll(x: Operand, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Operand:
    """Move the elements on by `shift` places along `axis`; those at the end come in at the start. As ``np.roll``.

    Without an axis the flattened array is rolled. Of several axes each has its own shift, or all the same.

    >>> import minigrad
    >>> minigrad.roll(minigrad.tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    x = as_array(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    for places, along in np.broadcast(shift, normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)):
        n = x.shape[along]
        lead = (slice(None),) * int(along)
        cut = -int(places) % n if n else 0
        x = concatenate([x[(*lead, slice(cut, None))], x[(*lead, slice(None, cut))]], int(along))
    return x


@public(np.rot90)
def rot90(x: Operand, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Operand:
    """Turn by 90 degrees `k` times, from the first of `axes` towards the second. As ``np.rot90``.

    >>> import minigrad
    >>> minigrad.rot90(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[2., 4.],
            [1., 3.]])
    """
    if len(axes) != 2:
        raise ValueError(f"rot90 turns in the plane of two axes, not of {len(axes)}")
    first, second = normalize_axis_tuple(axes, len(shape_of(x)))
    if k % 2 == 0:
        return flip(x, (first, second) if k % 4 else ())
    return flip(swapaxes(x, first, second), first if k % 4 == 1 else second)


@public(np.pad)
def pad(
    x: Operand,
    pad_width: Any,
    mode: str = "constant",
    *,
    constant_values: Operand = 0,
    reflect_type: str = "even",
    **others: Any,
) -> Operand:
    """Add a margin on either side of each axis. As ``np.pad``.

    `pad_width` is one number, a pair (before, after), one pair for each axis, or a dict of axes. Modes are "constant"
    (of `constant_values`, given in the same ways), "edge", "reflect", "symmetric" and "wrap".
    Raises ValueError for any other mode, and for a `reflect_type` other than "even".

    >>> import minigrad
    >>> minigrad.pad(minigrad.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    >>> minigrad.pad(minigrad.tensor([1.0, 2.0, 3.0]), 1, mode="reflect")
    tensor([2., 1., 2., 3., 2.])
    """
    modes = ("constant", "edge", "reflect", "symmetric", "wrap")
    if mode not in modes:
        raise ValueError(f"pad supports the modes {', '.join(modes)}, not {mode!r}")
    if reflect_type != "even":
        raise ValueError(f"pad supports only reflect_type='even', not {reflect_type!r}")
    if others:
        only_defaults(np.pad, others)
    x = as_array(x)
    if isinstance(pad_width, dict):
        given = {normalize_axis_index(axis, x.ndim): width for axis, width in pad_width.items()}
        pad_width = [np.broadcast_to(given.get(axis, 0), 2) for axis in range(x.ndim)]
    widths = np.asarray(pad_width)
    if widths.dtype.kind not in "iu" and widths.size:
        raise TypeError(f"pad_width is of integers, not {widths.dtype}")
    widths = np.broadcast_to(widths, (x.ndim, 2))
    if (widths < 0).any():
        raise ValueError("pad_width cannot be negative")
    if mode != "constant":
        for axis, (before, after) in enumerate(widths):
            if before or after:
                x = take(x, np.pad(np.arange(x.shape[axis]), (before, after), mode), axis)  # type: ignore[call-overload]
        return x
    margins = broadcast_to(as_array(constant_values).astype(x.dtype), (x.ndim, 2))
    for axis, pair in enumerate(widths):
        sides = [(*x.shape[:axis], int(n), *x.shape[axis + 1 :]) for n in pair]
        before, after = (broadcast_to(margins[axis, i], side) for i, side in enumerate(sides))
        x = concatenate([before, x, after], axis)
    return x


@public(np.diagonal, method=True)
def diagonal(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Operand:
    """The diagonals of the matrices along two axes, `offset` places above the main one, as the last axis. As ``np.diagonal``.

    >>> import minigrad
    >>> minigrad.diagonal(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    x = moveaxis(as_array(x), (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    down, right = max(-offset, 0), max(offset, 0)
    i = np.arange(max(min(rows - down, columns - right), 0))
    return x[..., i + down, i + right]


@public(np.diag)
def diag(x: Operand, k: int = 0) -> Operand:
    """A matrix with the vector x on its diagonal `k`; or that diagonal of a matrix x. As ``np.diag``.

    Raises ValueError if x is neither.

    >>> import minigrad
    >>> minigrad.diag(minigrad.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = as_array(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag takes a vector or a matrix, not an array of shape {x.shape}")
    i, n = np.arange(x.size), x.size + max(k, -k)
    return scatter([x], [(i + max(-k, 0), i + max(k, 0))], (n, n))


@public(np.trace, method=True)
def trace(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, **others: Any) -> Operand:
    """The sum along a diagonal, of every matrix along two axes. As ``np.trace``.

    >>> import minigrad
    >>> minigrad.trace(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    if others:
        only_defaults(np.trace, others)
    return np.sum(diagonal(x, offset, axis1, axis2), axis=-1, dtype=dtype)


def below(x: Any, k: int) -> Any:
    """Return a mask of the elements on or below the diagonal `k` of the matrices x."""
    rows, columns = x.shape[-2:] if x.ndim > 1 else 2 * x.shape
    return np.tri(rows, columns, k, bool)


@public(np.tril)
def tril(x: Operand, k: int = 0) -> Operand:
    """Lower triangles: zeros above the diagonal `k` of every matrix. As ``np.tril``.

    >>> import minigrad
    >>> minigrad.tril(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 0.],
            [3., 4.]])
    """
    x = as_array(x)
    return np.where(below(x, k), x, np.zeros(1, x.dtype))


@public(np.triu)
def triu(x: Operand, k: int = 0) -> Operand:
    """Upper triangles: zeros below the diagonal `k` of every matrix. As ``np.triu``.

    >>> import minigrad
    >>> minigrad.triu(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [0., 4.]])
    """
    x = as_array(x)
    return np.where(below(x, k - 1), np.zeros(1, x.dtype), x)


@public(np.take_along_axis)
def take_along_axis(x: Operand, indices: Any, axis: int | None = -1) -> Operand:
    """Elements at these indices along `axis`, other indices at each place of the other axes. As ``np.take_along_axis``.

    What argsort and argmax return are such indices. The flattened array is taken if `axis` is None.
    Raises IndexError if they are not integers, ValueError if they have another number of axes than x.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([[1.0, 3.0], [4.0, 2.0]])
    >>> minigrad.take_along_axis(x, np.array([[1], [0]]), axis=1)
    tensor([[3.],
            [4.]])
    """
    if axis is None:
        x, axis = ravel(x), 0
    index = plain_array(indices)
    shape = shape_of(x)
    axis = normalize_axis_index(axis, len(shape))
    if index.dtype.kind not in "iu":
        raise IndexError(f"take_along_axis takes integers as indices, not {index.dtype}")
    if index.ndim != len(shape):
        raise ValueError(f"take_along_axis: x has {len(shape)} axes, its indices {index.ndim}; they must be equal")
    return getitem(x, tuple(index if i == axis else mesh for i, mesh in enumerate(np.indices(shape, sparse=True))))


@public(np.sort)
def sort(x: Operand, axis: int | None = -1, kind: Any = None, *, stable: bool | None = None) -> Operand:
    """Sort along `axis`, or the flattened array if it is None. As ``np.sort``. Each gradient goes where its element was.

    >>> import minigrad
    >>> minigrad.sort(minigrad.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, np.argsort(x, axis, kind, stable=stable), axis)


@public(np.partition)
def partition(x: Operand, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Operand:
    """Put the element at `kth` where sorting would: none larger before it, none smaller after. As ``np.partition``.

    >>> import minigrad
    >>> minigrad.partition(minigrad.tensor([3.0, 1.0, 2.0]), 1)[1].item()
    2.0
    """
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, np.argpartition(x, kth, axis, kind), axis)


@public(np.array_split)
def array_split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Operand]:
    """Cut x along `axis` as `split` does, but the first parts may be longer by 1. As ``np.array_split``.

    >>> import minigrad
    >>> minigrad.array_split(minigrad.tensor([1.0, 2.0, 3.0]), 2)
    [tensor([1., 2.]), tensor([3.])]
    """
    x = as_array(x)
    if isinstance(indices_or_sections, int | np.integer):
        if indices_or_sections <= 0:
            raise ValueError(f"an axis cannot be split into {indices_or_sections} parts")
        length, longer = divmod(x.shape[axis], int(indices_or_sections))
        indices_or_sections = [i * length + min(i, longer) for i in range(1, int(indices_or_sections))]
    return split(x, indices_or_sections, axis)


@public(np.hsplit)
def hsplit(x: Operand, indices_or_sections: int | Sequence[int]) -> list[Operand]:
    """Cut x along the second axis, a vector along its only one. As ``np.hsplit``.

    >>> import minigrad
    >>> minigrad.hsplit(minigrad.tensor([[1.0, 2.0]]), 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    x = as_array(x)
    if x.ndim == 0:
        raise ValueError("hsplit takes an array of at least one axis")
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@public(np.vsplit)
def vsplit(x: Operand, indices_or_sections: int | Sequence[int]) -> list[Operand]:
    """Cut x, of two axes or more, along the first. As ``np.vsplit``.

    >>> import minigrad
    >>> minigrad.vsplit(minigrad.tensor([[1.0], [2.0]]), 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    x = as_array(x)
    if x.ndim < 2:
        raise ValueError(f"vsplit takes an array of at least two axes, not one of shape {x.shape}")
    return split(x, indices_or_sections, 0)


@public(np.dsplit)
def dsplit(x: Operand, indices_or_sections: int | Sequence[int]) -> list[Operand]:
    """Cut x, of three axes or more, along the third. As ``np.dsplit``.

    >>> import minigrad
    >>> minigrad.dsplit(minigrad.tensor([[[1.0, 2.0]]]), 2)
    [tensor([[[1.]]]), tensor([[[2.]]])]
    """
    x = as_array(x)
    if x.ndim < 3:
        raise ValueError(f"dsplit takes an array of at least three axes, not one of shape {x.shape}")
    return split(x, indices_or_sections, 2)


@public("unstack")
def unstack(x: Operand, *, axis: int = 0) -> tuple[Operand, ...]:
    """The parts of x along `axis`, without that axis: the inverse of `stack`. As ``np.unstack``.

    >>> import minigrad
    >>> minigrad.unstack(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    (tensor([1., 3.]), tensor([2., 4.]))
    """
    x = as_array(x)
    if x.ndim == 0:
        raise ValueError("unstack takes an array of at least one axis")
    axis = normalize_axis_index(axis, x.ndim)
    return tuple([x[(*(slice(None),) * axis, i)] for i in range(x.shape[axis])])


@public(np.copy)
def copy(x: Operand, order: str = "K") -> Operand:
    """Return the same values in another tensor or array; the gradient flows back through it. As ``np.copy``.

    `order` is the layout in memory of an array; a tensor has none that matters.

    >>> import minigrad
    >>> minigrad.copy(minigrad.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return reshape(x, shape_of(x)) if isinstance(x, Tensor) else np.array(x, order=order)  # type: ignore[call-overload]


@public(np.real, np.conjugate, np.real_if_close)
def real(x: Operand) -> Operand:
    """Return x itself, because all numbers here are real. As ``np.real``, ``np.conj`` and ``np.real_if_close``.

    >>> import minigrad
    >>> minigrad.real(minigrad.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return as_array(x)


@public(np.broadcast_arrays)
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Broadcast all arrays against each other. As ``np.broadcast_arrays``.

    >>> import minigrad
    >>> minigrad.broadcast_arrays(minigrad.tensor([1.0, 2.0]), 3.0)[1]
    array([3., 3.])
    """
    shape = np.broadcast_shapes(*map(shape_of, arrays))
    return tuple([broadcast_to(x, shape) for x in map(as_array, arrays)])


@public(np.meshgrid)
def meshgrid(*arrays: Any, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """Return the coordinates of a grid, from those along each of its axes. As ``np.meshgrid``.

    The first two axes are exchanged, unless `indexing` is "ij". If `sparse`, each has one axis that is longer than 1.
    Raises ValueError for another `indexing`.

    >>> import minigrad
    >>> minigrad.meshgrid(minigrad.tensor([1.0, 2.0]), [3.0, 4.0, 5.0])[0]
    tensor([[1., 2.],
            [1., 2.],
            [1., 2.]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid takes the indexing 'xy' or 'ij', not {indexing!r}")
    n = len(arrays)
    places = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    grid = tuple([reshape(x, [-1 if axis == i else 1 for axis in range(n)]) for i, x in zip(places, arrays, strict=True)])
    return grid if sparse else broadcast_arrays(*grid)


@public(np.kron)
def kron(x: Operand, y: Operand) -> Operand:
    """Kronecker product: every element of x times the whole of y, in its place. As ``np.kron``.

    >>> import minigrad
    >>> minigrad.kron(minigrad.tensor([1.0, 10.0]), [1.0, 2.0])
    tensor([ 1.,  2., 10., 20.])
    """
    x, y = as_array(x), as_array(y)
    ndim = max(x.ndim, y.ndim)
    m, n = ((1,) * (ndim - z.ndim) + z.shape for z in (x, y))
    outer = reshape(x, [k for i in m for k in (i, 1)]) * reshape(y, [k for i in n for k in (1, i)])
    return reshape(outer, tuple(i * j for i, j in zip(m, n, strict=True)))


@public(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Operand], default: Operand = 0) -> Operand:
    """Choose, for each element, the first choice whose condition is true, else `default`. As ``np.select``.

    Raises ValueError if there is not one choice for each condition, TypeError if a condition is not of booleans.

    >>> import minigrad
    >>> x = minigrad.tensor([-1.0, 2.0, 7.0])
    >>> minigrad.select([x < 0, x < 5], [0.0, x * 10], 50.0)
    tensor([ 0., 20., 50.])
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(f"select takes one choice for each condition, not {len(choicelist)} for {len(condlist)}")
    conditions = [plain_array(condition) for condition in condlist]
    if any(condition.dtype.kind != "b" for condition in conditions):
        raise TypeError("select takes conditions that are arrays of booleans")
    choices = [x if type(x) in (int, float) else as_array(x) for x in (*choicelist, default)]
    dtype = np.result_type(*[x if type(x) in (int, float) else x.dtype for x in choices])
    out = choices.pop()
    out = as_array(out).astype(dtype)
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        out = np.where(condition, choice, out)
    return out


@public(np.choose)
def choose(x: Operand, choices: Sequence[Operand], *, mode: str = "raise") -> Operand:
    """Choose, for each element, from the array of `choices` whose number is in x. As ``np.choose``.

    Numbers out of range raise ValueError; with `mode` "wrap" they are counted round, with "clip" the nearest is taken.

    >>> import minigrad
    >>> minigrad.choose([1, 0], [minigrad.tensor([1.0, 2.0]), 5.0])
    tensor([5., 2.])
    """
    number, choices = plain_array(x), [as_array(choice) for choice in choices]
    shape = np.broadcast_shapes(number.shape, *(choice.shape for choice in choices))
    places = np.broadcast_to(np.choose(number, np.arange(len(choices)), mode=mode), shape)  # type: ignore[call-overload]
    stacked = stack([broadcast_to(choice, shape) for choice in choices])
    return take_along_axis(stacked, places[None], 0)[0]
