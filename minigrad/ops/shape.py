"""Ops that move elements and compute nothing: each one's transpose moves the cotangents back."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..graph import Piece
from ..tensor import Tensor, wrap
from .kinds import apply, linear, shape_of

Shape = int | Sequence[int]


def as_tuple(shape: Shape) -> tuple[int, ...]:
    if type(shape) is tuple:
        return shape
    return tuple(operator.index(n) for n in np.atleast_1d(np.asarray(shape, dtype=object)))


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
stack_op = linear("stack", lambda *arrays, axis: np.stack(arrays, axis), lambda g, i, axis: g[(slice(None),) * axis + (i,)])
getitem_op = linear(
    "getitem", lambda x, *, index: x[index], lambda g, x_shape, index: scatter([g], [index], x_shape),
    gathers={0: gathered},
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
        step = length // indices_or_sections
        places = list(range(step, length, step))
    else:
        places = list(indices_or_sections)
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in zip([0, *places], [*places, length], strict=True)]


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
    if isinstance(i, int | slice) or i is None or i is Ellipsis:
        return i
    array = np.array(i.data if isinstance(i, Tensor) else i)
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
    if axis is None:
        x, axis = reshape(x, -1), 0
    return getitem(x, (slice(None),) * normalize_axis_index(axis, len(shape_of(x))) + (np.asarray(indices),))


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
    np.concatenate: concatenate,
    np.stack: stack,
    np.split: split,
    np.take: take,
}
