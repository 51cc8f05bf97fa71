"""Ops that move elements and compute nothing. The transpose of each moves the cotangents back."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..arrays import array_function, array_of, is_lazy
from ..graph import CURRENT
from ..sweep import Piece
from ..tensor import Tensor, plain, values, wrap
from .entry import Operand, only_defaults, public
from .op import apply, linear, shape_of

Shape = int | Sequence[int]
current = CURRENT.get


def as_tuple(shape: Shape) -> tuple[int, ...]:
    if type(shape) is tuple:
        return shape
    return tuple(operator.index(n) for n in np.atleast_1d(np.asarray(shape, dtype=object)))


@array_function
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
    if type(arrays[0]) is not np.ndarray:  # but one of another kind
        return np.stack(arrays, axis)
    # np.stack without its own loop over the arrays, whose shapes np.concatenate compares anyway: 40 % of its time.
    new = (slice(None),) * axis + (None,)
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


@public(np.reshape)
def reshape(x: Operand, shape: Shape, **others: Any) -> Operand:
    """Give the elements, in the same order, another shape; one length may be -1. As ``np.reshape``.

    >>> import minigrad
    >>> minigrad.reshape(minigrad.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).shape
    (2, 2)
    """
    if others:
        only_defaults(np.reshape, others)
    return reshape_op.run(x, {"shape": as_tuple(shape)})


@public(np.transpose, attribute="T")
def transpose(x: Operand, axes: Sequence[int] | None = None) -> Operand:
    """Put the axes in another order, by default the reverse. As ``np.transpose``.

    >>> import numpy as np, minigrad
    >>> minigrad.transpose(minigrad.tensor(np.zeros((2, 3, 4))), (1, 0, 2)).shape
    (3, 2, 4)
    """
    if axes is not None:
        axes = normalize_axis_tuple(axes, len(shape_of(x)))
    return transpose_op.run(x, {"axes": axes})


@public(np.broadcast_to)
def broadcast_to(x: Operand, shape: Shape) -> Operand:
    """Repeat x along axes of length 1 and along new leading axes, to this shape. As ``np.broadcast_to``.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> minigrad.broadcast_to(x, (3, 2)).sum().backward()
    >>> x.grad
    array([3., 3.])
    """
    return broadcast_to_op.run(x, {"shape": as_tuple(shape)})


@public(np.concatenate)
def concatenate(arrays: Sequence[Operand], axis: int | None = 0) -> Operand:
    """Join arrays along an axis they have; flattened first if `axis` is None. As ``np.concatenate``.

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


@public(np.stack)
def stack(arrays: Sequence[Operand], axis: int = 0) -> Operand:
    """Join arrays of one shape along a new axis. As ``np.stack``.

    >>> import minigrad
    >>> minigrad.stack([minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0])], axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    arrays = tuple(arrays)
    if arrays:
        axis = normalize_axis_index(axis, len(shape_of(arrays[0])) + 1)
    return apply(stack_op, arrays, {"axis": axis})


@public(operator="getitem")
def getitem(x: Operand, index: Any) -> Operand:
    """Index x as NumPy does: ``x[index]`` with slices, integers, ``...``, None, arrays of integers or booleans.

    Its cost is that of the slice, also in the backward pass: the cotangents of all slices of one array are added
    into one buffer.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> minigrad.getitem(x, [0, 0, 2]).sum().backward()
    >>> x.grad
    array([2., 0., 1.])
    """
    if type(index) is int and isinstance(x, Tensor) and x._node is None and current()[2] is None:
        return wrap(x._data[index])  # x[t] of an input, in a loop over time: no table needed, 1 µs less
    items = index if type(index) is tuple else (index,)
    for i in items:
        if type(i) is not int and type(i) is not slice:
            items = tuple([own_index(i) for i in items])
            break
    return getitem_op.run(x, {"index": items})


def own_index(i: Any) -> Any:
    """Copy index arrays: what the backward pass will use must not change."""
    if i is None or i is Ellipsis or (isinstance(i, int | slice) and not is_lazy(i)):
        return i
    if isinstance(i, list):
        array = array_of(i)
        array = array if array.size else array.astype(np.intp)
    else:
        array = array_of(plain(i)).copy("K")
    if array.dtype.kind not in "biu":
        raise IndexError(f"an index is an integer, a slice, ..., None or an array of integers or booleans, not {i!r}")
    return array


def plain_array(x: Any) -> Any:
    """Return anything but a tensor that requires grad as an array: indices, conditions."""
    return plain(x) if is_lazy(plain(x)) else array_of(x)


def as_array(x: Any) -> Any:
    """Return a Tensor as it is, and anything else as an array."""
    return x if isinstance(x, Tensor) else values(x)


concat = concatenate
permute_dims = transpose
