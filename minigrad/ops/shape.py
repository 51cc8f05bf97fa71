"""Ops that move elements and compute nothing: each one's transpose moves the cotangents back."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..arrays import array_of
from ..graph import Piece
from ..standin import Standin, primitive
from ..tensor import Tensor, plain, values, wrap
from .op import apply, linear, shape_of

Shape = int | Sequence[int]


def as_tuple(shape: Shape) -> tuple[int, ...]:
    if type(shape) is tuple:
        return shape
    return tuple(operator.index(n) for n in np.atleast_1d(np.asarray(shape, dtype=object)))


@primitive
def scattered(*arrays: Any, indices: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Zeros of this shape, with each array added at its index: the transpose of many slices at once."""
    out = np.zeros(shape, np.result_type(*arrays))
    for array, index in zip(arrays, indices, strict=True):
        if is_advanced(index):
            np.add.at(out, index, array)  # an index array may name an element twice
        else:
            out[index] += array
    return out


def is_advanced(index: Any) -> bool:
    return any(isinstance(i, np.ndarray) and i.dtype.kind != "b" for i in index)


def gathered(shape: tuple[int, ...], pieces: list[Piece]) -> Any:
    """The cotangent of an array from those of its slices: one buffer, however many slices there are."""
    return scatter([g for g, _, _ in pieces], [node.options["index"] for _, node, _ in pieces], shape)


def scatter(cotangents: Sequence[Any], indices: Sequence[Any], shape: tuple[int, ...]) -> Any:
    return apply(scatter_op, cotangents, {"indices": indices, "shape": shape})


def stacked(*arrays: Any, axis: int) -> Any:
    # np.stack without its own loop over the arrays, whose shapes np.concatenate compares anyway: 40 % of its time.
    new = (slice(None),) * axis + (None,)
    if isinstance(arrays[0], Standin):
        return np.stack(arrays, axis)
    try:
        return np.concatenate([x[new] for x in arrays], axis)
    except ValueError:
        shapes = sorted({x.shape for x in arrays})
        raise ValueError(f"arrays to be stacked have one shape, and these have {', '.join(map(str, shapes))}") from None


reshape_op = linear("reshape", lambda x, *, shape: np.reshape(x, shape), lambda g, x_shape: g.reshape(x_shape))
transpose_op = linear(
    "transpose", lambda x, *, axes: x.transpose(axes), lambda g, axes: g.transpose(axes and tuple(np.argsort(axes))),
    symbol="T",
)  # fmt: skip
broadcast_to_op = linear("broadcast_to", lambda x, *, shape: np.broadcast_to(x, shape), lambda g: g)
concatenate_op = linear(
    "concatenate", lambda *arrays, axis, bounds: np.concatenate(arrays, axis),
    lambda g, i, axis, bounds: g[(slice(None),) * axis + (slice(bounds[i], bounds[i + 1]),)],
)  # fmt: skip
stack_op = linear("stack", stacked, lambda g, i, axis: g[(slice(None),) * axis + (i,)])
getitem_op = linear(
    "getitem", lambda x, *, index: x[index], lambda g, x_shape, index: scatter([g], [index], x_shape),
    gathers={0: gathered}, selects="index",
)  # fmt: skip
scatter_op = linear("scatter", scattered, lambda g, i, indices: g[indices[i]])


def reshape(x: Any, shape: Shape) -> Any:
    """The same elements, in the same order, in another shape; one length may be -1. As ``np.reshape``.

    >>> import minigrad
    >>> minigrad.reshape(minigrad.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).shape
    (2, 2)
    """
    return reshape_op.run(x, {"shape": as_tuple(shape)})


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, reversed by default. As ``np.transpose``.

    >>> import numpy as np, minigrad
    >>> minigrad.transpose(minigrad.tensor(np.zeros((2, 3, 4))), (1, 0, 2)).shape
    (3, 2, 4)
    """
    if axes is not None:
        axes = normalize_axis_tuple(axes, len(shape_of(x)))
    return transpose_op.run(x, {"axes": axes})


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged. As ``np.swapaxes``.

    >>> import numpy as np, minigrad
    >>> minigrad.swapaxes(minigrad.tensor(np.zeros((2, 3, 4))), 0, -1).shape
    (4, 3, 2)
    """
    axes = list(range(len(shape_of(x))))
    i, j = normalize_axis_tuple((axis1, axis2), len(axes), allow_duplicate=True)
    axes[i], axes[j] = j, i
    return transpose(x, axes)


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Without the axes of length 1, or without those named. As ``np.squeeze``.

    >>> import numpy as np, minigrad
    >>> minigrad.squeeze(minigrad.tensor(np.zeros((1, 3, 1))), axis=0).shape
    (3, 1)
    """
    return reshape(x, np.squeeze(np.broadcast_to(0, shape_of(x)), axis).shape)


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Any:
    """With new axes of length 1 at these places of the result. As ``np.expand_dims``.

    >>> import minigrad
    >>> minigrad.expand_dims(minigrad.tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    return reshape(x, np.expand_dims(np.broadcast_to(0, shape_of(x)), axis).shape)


def broadcast_to(x: Any, shape: Shape) -> Any:
    """Repeated along axes of length 1 and along new leading axes, to this shape. As ``np.broadcast_to``.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> minigrad.broadcast_to(x, (3, 2)).sum().backward()
    >>> x.grad
    array([3., 3.])
    """
    return broadcast_to_op.run(x, {"shape": as_tuple(shape)})


def full_like(x: Any, fill_value: Any, dtype: Any = None, *, shape: Shape | None = None) -> Any:
    """`fill_value`, broadcast to the shape and in the dtype of x, or those given. As ``np.full_like``.

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


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an axis they have; flattened first if `axis` is None. As ``np.concatenate``.

    >>> import minigrad
    >>> minigrad.concatenate([minigrad.tensor([1.0]), [2.0, 3.0]])
    tensor([1., 2., 3.])
    """
    if axis is None:
        arrays, axis = [reshape(x, -1) for x in arrays], 0
    arrays = tuple(arrays)
    axis = normalize_axis_index(axis, len(shape_of(arrays[0]))) if arrays else axis
    bounds = [0, *accumulate(shape_of(x)[axis] for x in arrays)]
    return apply(concatenate_op, arrays, {"axis": axis, "bounds": bounds})


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis. As ``np.stack``.

    >>> import minigrad
    >>> minigrad.stack([minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0])], axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    arrays = tuple(arrays)
    if arrays:
        axis = normalize_axis_index(axis, len(shape_of(arrays[0])) + 1)
    return apply(stack_op, arrays, {"axis": axis})


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut along `axis` into that many equal parts, or at the given places. As ``np.split``.

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
    """The indices of equal parts along an axis; the same objects each time, which is how `leaves_out` meets them again."""
    step = length // number
    return tuple([along(axis, slice(step * i, step * (i + 1))) for i in range(number)])


def along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``, for slices, integers, ``...``, None, and arrays of integers or booleans, as NumPy indexes.

    Its cost is that of the slice, also in the backward pass: the cotangents of all slices of one array are added
    into one buffer.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> minigrad.getitem(x, [0, 0, 2]).sum().backward()
    >>> x.grad
    array([2., 0., 1.])
    """
    if type(index) is int and isinstance(x, Tensor) and x._node is None:
        return wrap(x._data[index])  # x[t] of an input, in a loop over time: no table needed, 1 µs less
    items = index if type(index) is tuple else (index,)
    for i in items:
        if type(i) is not int and type(i) is not slice:
            items = tuple([own_index(i) for i in items])
            break
    return getitem_op.run(x, {"index": items})


def own_index(i: Any) -> Any:
    """Index arrays are copied: what the backward pass will use must not change."""
    if (isinstance(i, int | slice) and not isinstance(i, Standin)) or i is None or i is Ellipsis:
        return i
    given = plain(i)
    array = (
        given.as_array() if isinstance(given, Standin) else np.array(given if type(given) is np.ndarray else array_of(given))
    )
    if array.size == 0 and isinstance(i, list):
        array = array.astype(np.intp)
    if array.dtype.kind not in "biu":
        raise IndexError(f"an index is an integer, a slice, ..., None or an array of integers or booleans, not {i!r}")
    return array


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements at these indices along `axis`, or of the flattened array. As ``np.take``.

    >>> import numpy as np, minigrad
    >>> minigrad.take(minigrad.tensor(np.arange(6.0).reshape(2, 3)), [2, 0], axis=1)
    tensor([[2., 0.],
            [5., 3.]])
    """
    if axis is None or not shape_of(x):
        axis = axis if axis is None else normalize_axis_index(axis, 1)  # NumPy takes a number for an array of one
        x, axis = reshape(x, -1), 0
    index = plain_array(indices)
    if index.dtype.kind == "b":
        index = index.astype(np.intp)  # numbers, as NumPy has them here, and no mask
    return getitem(x, (slice(None),) * normalize_axis_index(axis, len(shape_of(x))) + (index,))


def plain_array(x: Any) -> Any:
    """Anything but a tensor that requires grad as an array: indices, conditions."""
    return plain(x) if isinstance(plain(x), Standin) else array_of(x)


def as_array(x: Any) -> Any:
    """A Tensor as it is, anything else as an array."""
    return x if isinstance(x, Tensor) else values(x)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Some axes moved to other places, the rest left in their order. As ``np.moveaxis``.

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


def rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    """One axis moved to stand before the axis that is now at `start`. As ``np.rollaxis``.

    >>> import numpy as np, minigrad
    >>> minigrad.rollaxis(minigrad.tensor(np.zeros((2, 3, 4))), 2).shape
    (4, 2, 3)
    """
    ndim = len(shape_of(x))
    axis = normalize_axis_index(axis, ndim)
    start = normalize_axis_index(start, ndim + 1) if start >= 0 else normalize_axis_index(start, ndim)
    return moveaxis(x, axis, start - (axis < start))


def matrix_transpose(x: Any) -> Any:
    """The last two axes exchanged: every matrix of a stack transposed. As ``np.matrix_transpose``.

    Raises ValueError if x has fewer than two axes.

    >>> import numpy as np, minigrad
    >>> minigrad.matrix_transpose(minigrad.tensor(np.zeros((2, 3, 4)))).shape
    (2, 4, 3)
    """
    if len(shape_of(x)) < 2:
        raise ValueError(f"matrix_transpose takes an array of at least two axes, not one of shape {shape_of(x)}")
    return swapaxes(x, -1, -2)


def ravel(x: Any, order: str = "C") -> Any:
    """The elements as a vector, the last axis running fastest. As ``np.ravel``.

    Raises ValueError for an `order` other than "C".

    >>> import minigrad
    >>> minigrad.ravel(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    if order != "C":
        raise ValueError(f"ravel knows the order 'C' only, not {order!r}; for 'F' take the transpose first")
    return reshape(x, -1)


def each(f: Callable[[Any], Any], arrays: tuple[Any, ...]) -> Any:
    return f(arrays[0]) if len(arrays) == 1 else tuple(f(x) for x in arrays)


def atleast_1d(*arrays: Any) -> Any:
    """A number as an array of one element; others as they are. Of several, a tuple. As ``np.atleast_1d``.

    >>> import minigrad
    >>> minigrad.atleast_1d(minigrad.tensor(3.0))
    tensor([3.])
    """
    return each(lambda x: reshape(x, shape_of(x) or (1,)), arrays)


def atleast_2d(*arrays: Any) -> Any:
    """A vector as a matrix of one row; matrices and more as they are. Of several, a tuple. As ``np.atleast_2d``.

    >>> import minigrad
    >>> minigrad.atleast_2d(minigrad.tensor([3.0, 4.0])).shape
    (1, 2)
    """
    return each(lambda x: reshape(x, (1,) * (2 - len(shape_of(x))) + shape_of(x)), arrays)


def atleast_3d(*arrays: Any) -> Any:
    """With at least three axes: (n,) becomes (1, n, 1), and (m, n) becomes (m, n, 1). As ``np.atleast_3d``.

    >>> import minigrad
    >>> minigrad.atleast_3d(minigrad.tensor([3.0, 4.0])).shape
    (1, 2, 1)
    """
    return each(lambda x: reshape(x, np.atleast_3d(np.broadcast_to(0, shape_of(x))).shape), arrays)


def vstack(arrays: Sequence[Any]) -> Any:
    """Arrays on top of each other, vectors as rows. As ``np.vstack``.

    >>> import minigrad
    >>> minigrad.vstack([minigrad.tensor([1.0, 2.0]), [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return concatenate([atleast_2d(x) for x in arrays], 0)


def hstack(arrays: Sequence[Any]) -> Any:
    """Arrays side by side: along the second axis, vectors along their only one. As ``np.hstack``.

    >>> import minigrad
    >>> minigrad.hstack([minigrad.tensor([1.0, 2.0]), 3.0])
    tensor([1., 2., 3.])
    """
    parts = [atleast_1d(x) for x in arrays]
    return concatenate(parts, 0 if parts and len(shape_of(parts[0])) == 1 else 1)


def dstack(arrays: Sequence[Any]) -> Any:
    """Arrays behind each other, along the third axis. As ``np.dstack``.

    >>> import minigrad
    >>> minigrad.dstack([minigrad.tensor([1.0, 2.0]), [3.0, 4.0]]).shape
    (1, 2, 2)
    """
    return concatenate([atleast_3d(x) for x in arrays], 2)


def column_stack(arrays: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix, and matrices side by side. As ``np.column_stack``.

    >>> import minigrad
    >>> minigrad.column_stack([minigrad.tensor([1.0, 2.0]), [3.0, 4.0]])
    tensor([[1., 3.],
            [2., 4.]])
    """
    return concatenate([x if len(shape_of(x)) > 1 else transpose(atleast_2d(x)) for x in map(as_array, arrays)], 1)


def append(x: Any, values: Any, axis: int | None = None) -> Any:
    """x with `values` after it along `axis`, both flattened if it is None. As ``np.append``.

    >>> import minigrad
    >>> minigrad.append(minigrad.tensor([1.0, 2.0]), 3.0)
    tensor([1., 2., 3.])
    """
    return concatenate([x, values], axis)


def tile(x: Any, reps: Shape) -> Any:
    """x laid side by side, `reps` times along each axis. As ``np.tile``.

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


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element along `axis` (of the flattened array if None) `repeats` times: one number, or one each. As ``np.repeat``.

    >>> import minigrad
    >>> minigrad.repeat(minigrad.tensor([1.0, 2.0]), [1, 2])
    tensor([1., 2., 2.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    if not shape_of(x):
        x = reshape(x, 1)
    return take(x, np.repeat(np.arange(shape_of(x)[axis]), repeats), axis)


def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The elements in reverse order along `axis`, along all axes if None. As ``np.flip``.

    >>> import minigrad
    >>> minigrad.flip(minigrad.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    ndim = len(shape_of(x))
    axes = range(ndim) if axis is None else normalize_axis_tuple(axis, ndim)
    return getitem(x, tuple(slice(None, None, -1 if i in axes else None) for i in range(ndim)))


def flipud(x: Any) -> Any:
    """The first axis reversed: upside down. As ``np.flipud``.

    >>> import minigrad
    >>> minigrad.flipud(minigrad.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    return flip(x, 0)


def fliplr(x: Any) -> Any:
    """The second axis reversed: left to right. As ``np.fliplr``.

    >>> import minigrad
    >>> minigrad.fliplr(minigrad.tensor([[1.0, 2.0]]))
    tensor([[2., 1.]])
    """
    return flip(x, 1)


def roll(x: Any, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Any:
    """The elements moved on by `shift` places along `axis`, those at the end coming in at the start. As ``np.roll``.

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


def rot90(x: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """Turned by 90 degrees `k` times, from the first of `axes` towards the second. As ``np.rot90``.

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


def pad(
    x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0, reflect_type: str = "even", **others: Any
) -> Any:
    """x with a margin on either side of each axis. As ``np.pad``.

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
        raise ValueError(f"pad knows the modes {', '.join(modes)}, not {mode!r}")
    if reflect_type != "even":
        raise ValueError(f"pad knows the reflect_type 'even' only, not {reflect_type!r}")
    if others:
        raise TypeError(f"pad does not take {', '.join(others)}=")
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


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
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


def diag(x: Any, k: int = 0) -> Any:
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


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """The sum along a diagonal, of every matrix along two axes. As ``np.trace``.

    >>> import minigrad
    >>> minigrad.trace(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    return np.sum(diagonal(x, offset, axis1, axis2), axis=-1, dtype=dtype)


def below(x: Any, k: int) -> Any:
    """Where the matrices x are on or below the diagonal `k`."""
    rows, columns = x.shape[-2:] if x.ndim > 1 else 2 * x.shape
    return np.tri(rows, columns, k, bool)


def tril(x: Any, k: int = 0) -> Any:
    """Lower triangles: zeros above the diagonal `k` of every matrix. As ``np.tril``.

    >>> import minigrad
    >>> minigrad.tril(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 0.],
            [3., 4.]])
    """
    x = as_array(x)
    return np.where(below(x, k), x, np.zeros(1, x.dtype))


def triu(x: Any, k: int = 0) -> Any:
    """Upper triangles: zeros below the diagonal `k` of every matrix. As ``np.triu``.

    >>> import minigrad
    >>> minigrad.triu(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [0., 4.]])
    """
    x = as_array(x)
    return np.where(below(x, k - 1), np.zeros(1, x.dtype), x)


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
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


def sort(x: Any, axis: int | None = -1, kind: Any = None, *, stable: bool | None = None) -> Any:
    """Sorted along `axis`, the flattened array if it is None. As ``np.sort``. Each gradient goes where its element was.

    >>> import minigrad
    >>> minigrad.sort(minigrad.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, np.argsort(x, axis, kind, stable=stable), axis)


def partition(x: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Any:
    """The element at `kth` as if sorted along `axis`, none larger before it, none smaller after. As ``np.partition``.

    >>> import minigrad
    >>> minigrad.partition(minigrad.tensor([3.0, 1.0, 2.0]), 1)[1].item()
    2.0
    """
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, np.argpartition(x, kth, axis, kind), axis)


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut along `axis` as by `split`, but the parts need not be equal: the first may be longer by 1. As ``np.array_split``.

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


def hsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """Cut along the second axis, a vector along its only one. As ``np.hsplit``.

    >>> import minigrad
    >>> minigrad.hsplit(minigrad.tensor([[1.0, 2.0]]), 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    x = as_array(x)
    if x.ndim == 0:
        raise ValueError("hsplit takes an array of at least one axis")
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


def vsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """Cut along the first axis, of an array of two or more. As ``np.vsplit``.

    >>> import minigrad
    >>> minigrad.vsplit(minigrad.tensor([[1.0], [2.0]]), 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    x = as_array(x)
    if x.ndim < 2:
        raise ValueError(f"vsplit takes an array of at least two axes, not one of shape {x.shape}")
    return split(x, indices_or_sections, 0)


def dsplit(x: Any, indices_or_sections: int | Sequence[int]) -> list[Any]:
    """Cut along the third axis, of an array of three or more. As ``np.dsplit``.

    >>> import minigrad
    >>> minigrad.dsplit(minigrad.tensor([[[1.0, 2.0]]]), 2)
    [tensor([[[1.]]]), tensor([[[2.]]])]
    """
    x = as_array(x)
    if x.ndim < 3:
        raise ValueError(f"dsplit takes an array of at least three axes, not one of shape {x.shape}")
    return split(x, indices_or_sections, 2)


def unstack(x: Any, *, axis: int = 0) -> tuple[Any, ...]:
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


def copy(x: Any, order: str = "K") -> Any:
    """The same values in another tensor or array, through which the gradient flows back. As ``np.copy``.

    `order` is the layout in memory of an array; a tensor has none that matters.

    >>> import minigrad
    >>> minigrad.copy(minigrad.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return reshape(x, shape_of(x)) if isinstance(x, Tensor) else np.array(x, order=order)  # type: ignore[call-overload]


def real(x: Any) -> Any:
    """x itself, for all numbers here are real. As ``np.real``, ``np.conj`` and ``np.real_if_close``.

    >>> import minigrad
    >>> minigrad.real(minigrad.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    return as_array(x)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All arrays in the shape that they broadcast to. As ``np.broadcast_arrays``.

    >>> import minigrad
    >>> minigrad.broadcast_arrays(minigrad.tensor([1.0, 2.0]), 3.0)[1]
    array([3., 3.])
    """
    shape = np.broadcast_shapes(*map(shape_of, arrays))
    return tuple([broadcast_to(x, shape) for x in map(as_array, arrays)])


def meshgrid(*arrays: Any, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """Coordinates of a grid, from those along each of its axes. As ``np.meshgrid``.

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


def kron(x: Any, y: Any) -> Any:
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


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """At each place the first of the choices whose condition is true there, else `default`. As ``np.select``.

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


def choose(x: Any, choices: Sequence[Any], *, mode: str = "raise") -> Any:
    """At each place the element of that one of `choices` whose number x has there. As ``np.choose``.

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


concat = concatenate
permute_dims = transpose

OPS = [
    reshape_op, transpose_op, broadcast_to_op, concatenate_op, stack_op, getitem_op, scatter_op,
]  # fmt: skip
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.reshape: reshape,
    np.transpose: transpose,
    np.swapaxes: swapaxes,
    np.squeeze: squeeze,
    np.expand_dims: expand_dims,
    np.broadcast_to: broadcast_to,
    np.full_like: full_like,
    np.concatenate: concatenate,
    np.stack: stack,
    np.split: split,
    np.take: take,
    np.moveaxis: moveaxis,
    np.rollaxis: rollaxis,
    np.matrix_transpose: matrix_transpose,
    np.ravel: ravel,
    np.atleast_1d: atleast_1d,
    np.atleast_2d: atleast_2d,
    np.atleast_3d: atleast_3d,
    np.vstack: vstack,
    np.hstack: hstack,
    np.dstack: dstack,
    np.column_stack: column_stack,
    np.append: append,
    np.tile: tile,
    np.repeat: repeat,
    np.flip: flip,
    np.flipud: flipud,
    np.fliplr: fliplr,
    np.roll: roll,
    np.rot90: rot90,
    np.pad: pad,
    np.diagonal: diagonal,
    np.diag: diag,
    np.trace: trace,
    np.tril: tril,
    np.triu: triu,
    np.take_along_axis: take_along_axis,
    np.sort: sort,
    np.partition: partition,
    np.array_split: array_split,
    np.hsplit: hsplit,
    np.vsplit: vsplit,
    np.kron: kron,
    np.select: select,
    np.choose: choose,
    np.dsplit: dsplit,
    np.copy: copy,
    np.real: real,
    np.real_if_close: real,
    np.broadcast_arrays: broadcast_arrays,
    np.meshgrid: meshgrid,
    **({np.unstack: unstack} if hasattr(np, "unstack") else {}),  # since NumPy 2.1
}
