"""Products of vectors, matrices and stacks of them."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Sequence
from functools import cache
from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..graph import Node
from ..sweep import Gather, Piece
from .arranging import moveaxis
from .elementwise import multiply
from .entry import Operand, only_defaults, public
from .op import apply, linear, shape_of
from .shape import as_array, reshape, scatter, transpose


def product(x: Any, y: Any) -> Any:
    # For two matrices .dot gives the same numbers as np.matmul, 0.5 µs sooner.
    return x.dot(y) if x.ndim == y.ndim == 2 else x @ y


def swapped(x: Any) -> Any:
    return x.T if x.ndim == 2 else x.swapaxes(-1, -2)


def rows(x: Any) -> Any:
    """A stack of matrices as one tall matrix."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


def rowwise(x: Any, M: Any) -> Any:
    """x @ M for x of any rank, as one product of two matrices."""
    return x.dot(M) if x.ndim <= 2 else rows(x).dot(M).reshape((*x.shape[:-1], M.shape[1]))


def matmul_by_x(g: Any, x_shape: tuple[int, ...], y: Any) -> Any:
    if y.ndim == 1:
        return g[..., None] * y
    if len(x_shape) == 1:
        return (y @ g[..., None])[..., 0]
    return product(g, swapped(y))


def matmul_by_y(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    if x.ndim == 1:
        return x * g if len(y_shape) == 1 else x[:, None] * g[..., None, :]
    if len(y_shape) == 1:
        return (swapped(x) @ g[..., None])[..., 0]
    if len(y_shape) == 2 and x.ndim > 2:
        return rows(x).T.dot(rows(g))  # one product, where multiplying matrix by matrix would make a stack to sum up
    return product(swapped(x), g)


# A matrix that is used at every time step gets one product of the stacked steps, not the sum of many outer products.


def stacked(arrays: list[Any]) -> Any:
    """Stack arrays below each other. The pieces come newest first; stacked oldest first, they lie as the forward pass went."""
    tall = [x if x.ndim == 2 else rows(x) for x in reversed(arrays)]
    return tall[0] if len(tall) == 1 else np.concatenate(tall)


def side_by_side(arrays: list[Any]) -> Any:
    """Matrices of the same height, and vectors as columns, as one wide matrix."""
    return stacked([x.T if x.ndim == 2 else x[None] for x in arrays]).T


def left_gathered(shape: tuple[int, ...], pieces: list[Piece]) -> Any:
    return side_by_side([g for g, _, _ in pieces]).dot(side_by_side([saved[2] for _, _, saved in pieces]).T)


def right_gathered(shape: tuple[int, ...], pieces: list[Piece]) -> Any:
    return stacked([saved[1] for _, _, saved in pieces]).T.dot(stacked([g for g, _, _ in pieces]))


def weight_gathered(node: Node) -> dict[int, Gather]:
    """Gather for a matrix that is multiplied by at most an eighth as many rows as it has columns: for more it does not pay."""
    left, right = node.operands
    x, y = left.shape, right.shape
    if len(y) == 2 and len(x) <= 2 and (x[0] if len(x) == 2 else 1) * 8 <= y[1]:
        return RIGHT
    if len(x) == 2 and len(y) <= 2 and (y[1] if len(y) == 2 else 1) * 8 <= x[0]:
        return LEFT
    return NEITHER


LEFT: dict[int, Gather] = {0: left_gathered}
RIGHT: dict[int, Gather] = {1: right_gathered}
NEITHER: dict[int, Gather] = {}


def matrix_product(x: Any, y: Any) -> Any:
    return product(x, y) if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) else np.matmul(x, y)


matmul_op = linear("matmul", matrix_product, matmul_by_x, matmul_by_y, symbol="@", gathers=weight_gathered, gather_limit=32)


@public(np.linalg.matmul, np.matmul, operator="@")
def matmul(x: Operand, y: Operand) -> Operand:
    """Matrix product, ``x @ y``: of vectors, matrices, and stacks of matrices broadcast against each other.

    (n,) @ (n,) -> (); (n, k) @ (k, m) -> (n, m); (..., n, k) @ (..., k, m) -> (..., n, m). As ``np.matmul``.
    Raises ValueError if the inner lengths differ.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x @ np.array([[3.0], [4.0]])).item()
    11.0
    """
    return matmul_op.run(x, y)


@public(np.dot, method=True)
def dot(x: Operand, y: Operand, **others: Any) -> Operand:
    """Dot product as ``np.dot``: like `matmul` up to two dimensions; beyond, the last axis of x with the second to last of y.

    >>> import minigrad
    >>> minigrad.dot(minigrad.tensor([1.0, 2.0]), [3.0, 4.0]).item()
    11.0
    """
    if others:
        only_defaults(np.dot, others)
    if len(shape_of(x)) == 0 or len(shape_of(y)) == 0:
        return multiply(x, y)
    if len(shape_of(y)) <= 2:
        return matmul(x, y)
    ndim = len(shape_of(y))
    columns = transpose(y, (ndim - 2, *range(ndim - 2), ndim - 1))
    length, *rest = shape_of(columns)
    product = matmul(x, reshape(columns, (length, math.prod(rest))))
    return reshape(product, (*shape_of(x)[:-1], *rest))


# -- einsum ----------------------------------------------------------------------------------------------------


def einsum_vjp(g: Any, arrays: Sequence[Any], i: int, shapes: Sequence[Any], subscripts: str, optimize: Any) -> Any:
    """The einsum with `g` in the place of operand i, whose own axes come out."""
    inputs, output = subscripts.split("->")
    labels = inputs.split(",")
    own, x_shape = labels.pop(i), shapes[i]
    others = [x for k, x in enumerate(arrays) if k != i]
    known = "".join(c for c in dict.fromkeys(own) if c in output or any(c in other for other in labels))
    # An order of the products that was given for the forward pass would not fit this one.
    options = {"subscripts": ",".join([output, *labels]) + "->" + known, "optimize": bool(optimize)}
    found = apply(einsum_op, (g, *others), options)
    # An axis that only this operand has was summed over: each of its elements gets the same.
    every = "".join(dict.fromkeys(own))
    own_lengths = {c: x_shape[own.index(c)] for c in every}
    lengths = {c: found.shape[known.index(c)] if c in known else 1 for c in every}
    found = found.reshape(tuple(lengths[c] for c in every))
    full = tuple(own_lengths[c] if lengths[c] == 1 else lengths[c] for c in every)
    found = np.broadcast_to(found, full)
    if len(every) == len(own):
        return found
    # Of a diagonal, only its elements get something. (Those of an axis of length 1 that was broadcast, all of it.)
    places = {c: np.arange(n) % max(own_lengths[c], 1) for c, n in zip(every, full, strict=True)}
    mesh = {c: places[c].reshape((-1,) + (1,) * (len(every) - 1 - k)) for k, c in enumerate(every)}
    return scatter([found], [tuple(mesh[c] for c in own)], x_shape)


@cache
def einsum_gathered(i: int, subscripts: str) -> Gather:
    """Gather the cotangents of operand i: one einsum of all cotangents and other operands stacked, summed over the uses."""
    inputs, output = subscripts.split("->")
    use = next(c for c in ascii_letters if c not in subscripts)
    labels = [label if k == i else use + label for k, label in enumerate(inputs.split(","))]
    stacked = f"{','.join(labels)}->{use}{output}"

    def gather(shape: tuple[int, ...], pieces: list[Piece]) -> Any:
        pieces = pieces[::-1]
        many = zip(*(saved[1:] for _, _, saved in pieces), strict=True)
        arrays = [arrays[0] if k == i else np.stack(arrays) for k, arrays in enumerate(many)]
        return einsum_vjp(np.stack([g for g, _, _ in pieces]), arrays, i, [shape] * len(arrays), stacked, True)

    return gather


def outweighing_gathered(node: Node) -> dict[int, Gather]:
    """Gather for the operand that is at least eight times as large as all others together, if there is one."""
    sizes = [math.prod(operand.shape) for operand in node.operands]
    subscripts = node.options["subscripts"]
    return {i: einsum_gathered(i, subscripts) for i, size in enumerate(sizes) if 9 * size >= 8 * sum(sizes) > 8 * size}


einsum_op = linear(
    "einsum",
    lambda *arrays, subscripts, optimize: np.einsum(subscripts, *arrays, optimize=optimize),
    einsum_vjp,
    gathers=outweighing_gathered,
    gather_limit=32,
)


def spelled_out(labels: Sequence[Sequence[Any]], output: Sequence[Any] | None, ndims: Sequence[int]) -> str:
    """Subscripts with an output, and with letters in the place of each ellipsis."""
    used = {c for part in (*labels, output or ()) for c in part if c is not Ellipsis}
    free = "".join(c for c in ascii_letters if c not in used)
    covered = [ellipsis_length(k, part, ndim) for k, (part, ndim) in enumerate(zip(labels, ndims, strict=True))]
    most = max(covered, default=0)
    output = implicit_output(labels) if output is None else output
    if most and Ellipsis not in output:
        raise ValueError(f"einsum: the output {shown(output)!r} has no '...' for the axes that those of the operands stand for")
    parts = zip((*labels, output), (*covered, most), strict=True)
    written = ["".join(free[most - n : most] if c is Ellipsis else c for c in part) for part, n in parts]
    return ",".join(written[:-1]) + "->" + written[-1]


def ellipsis_length(k: int, part: Sequence[Any], ndim: int) -> int:
    """The number of axes that the ellipsis of operand k covers."""
    length = ndim - len(part) + 1 if Ellipsis in part else 0
    if length < 0 or (Ellipsis not in part and len(part) != ndim):
        raise ValueError(f"einsum: operand {k} has {ndim} axes, which its subscripts {shown(part)!r} do not fit")
    return length


def implicit_output(labels: Sequence[Sequence[Any]]) -> list[Any]:
    """The indices that occur once, in alphabetical order, after the ellipsis if there is one."""
    counts = Counter(c for part in labels for c in part)
    once = sorted(c for c, n in counts.items() if n == 1 and c is not Ellipsis)
    return [Ellipsis, *once] if Ellipsis in counts else once


def shown(part: Sequence[Any]) -> str:
    return "".join("..." if c is Ellipsis else c for c in part)


def parsed(text: str) -> list[Any]:
    if text.count(".") not in (0, 3) or text.count("...") != text.count(".") // 3:
        raise ValueError(f"einsum: the subscripts {text!r} may have one '...'")
    return [Ellipsis if c == "." else c for c in text.replace("...", ".")]


def lettered(part: Sequence[Any]) -> list[Any]:
    """The labels of the list form: 0 to 51, in the order in which NumPy numbers letters."""
    letters = dict(enumerate(ascii_uppercase + ascii_lowercase))
    try:
        return [c if c is Ellipsis else letters[operator.index(c)] for c in part]
    except (KeyError, TypeError):
        raise ValueError(f"einsum: subscripts in a list are integers from 0 to 51 and ..., not {list(part)!r}") from None


@public(np.einsum)
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """Products summed over indices that are named: ``einsum("ij,jk->ik", x, y)`` is x @ y. As ``np.einsum``.

    An index that the output lacks is summed over, one that an operand has twice takes its diagonal, ``...`` stands for
    the axes not named. Without ``->`` the output has the indices that occur once, in alphabetical order. Indices may also
    be lists of integers: ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.
    `optimize` looks for a cheap order of the products, for the gradients as well.
    Raises ValueError if the subscripts do not fit the operands.

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> y = minigrad.einsum("ii->", x)
    >>> y.backward()
    >>> y.item(), x.grad.tolist()
    (5.0, [[1.0, 0.0], [0.0, 1.0]])
    """
    if not operands:
        raise ValueError("einsum takes subscripts and operands")
    output: list[Any] | None = None
    if isinstance(operands[0], str):
        inputs, arrow, result = operands[0].replace(" ", "").partition("->")
        labels = [parsed(text) for text in inputs.split(",")]
        arrays = [as_array(x) for x in operands[1:]]
        if arrow:
            output = parsed(result)
    else:
        arrays = [as_array(x) for x in operands[: len(operands) // 2 * 2 : 2]]
        labels = [lettered(part) for part in operands[1::2]]
        if len(operands) % 2:
            output = lettered(operands[-1])
    if len(labels) != len(arrays):
        raise ValueError(f"einsum: subscripts for {len(labels)} operands, but there are {len(arrays)}")
    subscripts = spelled_out(labels, output, [x.ndim for x in arrays])
    return apply(einsum_op, arrays, {"subscripts": subscripts, "optimize": optimize})


# -- products by way of others ---------------------------------------------------------------------------------


@public(np.linalg.tensordot, np.tensordot)
def tensordot(x: Operand, y: Operand, axes: Any = 2) -> Operand:
    """Products summed over axes of x and axes of y: the last and the first `axes`, or those of a pair. As ``np.tensordot``.

    Raises ValueError if the lengths of the axes differ.

    >>> import numpy as np, minigrad
    >>> minigrad.tensordot(minigrad.tensor(np.ones((2, 3, 4))), np.ones((4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    x, y = as_array(x), as_array(y)
    if isinstance(axes, int | np.integer):
        axes = list(range(-int(axes), 0)), list(range(int(axes)))
    of_x, of_y = (normalize_axis_tuple(of, z.ndim) for of, z in zip(axes, (x, y), strict=True))
    summed = [x.shape[i] for i in of_x]
    if summed != [y.shape[i] for i in of_y]:
        raise ValueError(f"tensordot: axes {of_x} of {x.shape} and {of_y} of {y.shape} are not of the same lengths")
    x_rest, y_rest = ([i for i in range(z.ndim) if i not in of] for z, of in ((x, of_x), (y, of_y)))
    left, right = [x.shape[i] for i in x_rest], [y.shape[i] for i in y_rest]
    size = math.prod(summed)
    tall = matrix(x, (*x_rest, *of_x), (math.prod(left), size))
    wide = matrix(y, (*of_y, *y_rest), (size, math.prod(right)))
    return reshape(matmul(tall, wide), (*left, *right))


def matrix(x: Any, axes: tuple[int, ...], shape: tuple[int, int]) -> Any:
    """x with its axes in this order, in this shape; x itself if it has both, so that all uses of a weight are uses of one."""
    x = x if axes == tuple(range(x.ndim)) else transpose(x, axes)
    return x if x.shape == shape else reshape(x, shape)


@public(np.inner)
def inner(x: Operand, y: Operand) -> Operand:
    """Products summed over the last axis of both. As ``np.inner``.

    >>> import minigrad
    >>> minigrad.inner(minigrad.tensor([1.0, 2.0]), [3.0, 4.0]).item()
    11.0
    """
    if len(shape_of(x)) == 0 or len(shape_of(y)) == 0:
        return multiply(x, y)
    return tensordot(x, y, (-1, -1))


@public(np.outer)
def outer(x: Operand, y: Operand) -> Operand:
    """Every element of x times every element of y, both flattened. As ``np.outer``.

    >>> import minigrad
    >>> minigrad.outer(minigrad.tensor([1.0, 2.0]), [3.0, 4.0])
    tensor([[3., 4.],
            [6., 8.]])
    """
    return multiply(reshape(x, (-1, 1)), reshape(y, (1, -1)))


@public(np.vdot)
def vdot(x: Operand, y: Operand) -> Operand:
    """The sum of all products, of both flattened. As ``np.vdot``.

    >>> import minigrad
    >>> minigrad.vdot(minigrad.tensor([[1.0], [2.0]]), [3.0, 4.0]).item()
    11.0
    """
    return matmul(reshape(x, -1), reshape(y, -1))


@public(np.linalg.vecdot, np.vecdot)
def vecdot(x: Operand, y: Operand, axis: int = -1) -> Operand:
    """Dot products of vectors that lie along `axis`, the other axes broadcast. As ``np.vecdot``.

    Raises ValueError if the vectors differ in length.

    >>> import minigrad
    >>> minigrad.vecdot(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), [1.0, 10.0])
    tensor([21., 43.])
    """
    x, y = (moveaxis(z, axis, -1) for z in (x, y))
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"vecdot: vectors of {x.shape[-1]} and {y.shape[-1]} elements; they must be equal")
    return matmul(x[..., None, :], y[..., None])[..., 0, 0]


@public(np.cross, np.linalg.cross)
def cross(x: Operand, y: Operand, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Operand:
    """Vector products of vectors of three elements, the other axes broadcast. As ``np.cross``.

    The vectors lie along `axisa` and `axisb`, the products along `axisc`; `axis` is all three.
    Raises ValueError for vectors that do not have three elements.

    >>> import minigrad
    >>> minigrad.cross(minigrad.tensor([1.0, 0.0, 0.0]), [0.0, 1.0, 0.0])
    tensor([0., 0., 1.])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ValueError(f"cross takes vectors of 3 elements, not of {x.shape[-1]} and {y.shape[-1]}")
    one, two = [1, 2, 0], [2, 0, 1]
    return moveaxis(x[..., one] * y[..., two] - x[..., two] * y[..., one], -1, axisc)
