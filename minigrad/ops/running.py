"""Running an op: its forward function on arrays and, if an operand requires grad, a node of the graph for the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import array_of, is_lazy
from ..errors import add_note, not_real
from ..graph import CURRENT, NO_OPTIONS, Leaf, Node, Scope, next_number
from ..tensor import Tensor

if TYPE_CHECKING:
    from .op import Op

__all__ = ["apply", "record", "runner"]

ndarray = np.ndarray
NUMBERS = (float, int, type(None))  # kept in a node as they are
current = CURRENT.get
new = object.__new__
asarray = np.asarray
DOUBLE = np.dtype(float)


def apply(op: Op, operands: Sequence[Any], options: dict[str, Any] = NO_OPTIONS) -> Any:
    """Run `op` on its operands, and record it if one of them requires grad.

    Arrays in, array out; with a Tensor among the operands, Tensor out.
    """
    paused, place, watch = current()
    arrays: list[Any] = []
    nodes: list[Any] = []
    tensors = False
    wanted = 1  # a binary number, in which behind the first digit each operand has one: 1 if it requires grad
    for x in operands:
        node = None
        if isinstance(x, Tensor):
            tensors = True
            node = x._node
            arrays.append(x._data)
        else:
            arrays.append(x if type(x) is ndarray or x is None or (op.weak and isinstance(x, NUMBERS)) else array_of(x))
        nodes.append(node)
        wanted += wanted + (node is not None)
    try:
        if watch is None:
            out = op.forward(*arrays, **options)
        else:
            arrays = [watch.read(x if isinstance(x, Tensor) else array) for x, array in zip(operands, arrays, strict=True)]
            with np.errstate(all="ignore"):  # an observer has better words than NumPy's warning
                out = op.forward(*arrays, **options)
    except Exception as error:
        add_note(error, f"in {op.name}", arrays, place)
        raise
    if not tensors:
        return out
    if type(out) is not ndarray:
        out = array_of(out)
    if paused or wanted == 1 << len(nodes):
        made = record(op, out) if paused else unrecorded(op, operands, out)
    else:
        kept, pick = op.keepers.get(wanted) or op.keeper(wanted)
        if None in nodes:
            hold_constants(operands, nodes, arrays, kept)
        made = record(op, out, tuple(nodes), pick((None, out, *arrays)), options, place)
    if watch is not None:
        watch.made(op.name, arrays, made._data, made._node, place)
    return made


def hold_constants(operands: Sequence[Any], nodes: list[Any], arrays: list[Any], kept: Sequence[bool]) -> None:
    """Put in a node for each operand that has none: a leaf, or a number itself. An array that a rule will need is copied, since
    its owner may change it before the backward pass."""
    for i, x in enumerate(operands):
        if nodes[i] is not None:
            continue
        if isinstance(x, Tensor):
            nodes[i] = x._leaf or x._constant()
        elif type(arrays[i]) in NUMBERS or (isinstance(arrays[i], NUMBERS) and not is_lazy(x)):
            nodes[i] = x
        elif hasattr(arrays[i], "shape"):  # which a number that is not there yet has not
            if kept[i + 1]:
                arrays[i] = arrays[i].copy("K")
            nodes[i] = Leaf(arrays[i], requires_grad=False)


def unrecorded(op: Op, operands: Sequence[Any], out: Any) -> Tensor:
    """Return the Tensor of a result that is a constant. A leaf of the operands that marks what was computed from it does."""
    made = record(op, out)
    for x in operands:
        if isinstance(x, Tensor) and x._leaf is not None and (leaf := x._leaf.of(out)) is not None:
            made._leaf = leaf
    return made


def record(
    op: Op, out: Any, operands: tuple[Any, ...] = (), saved: Any = None, options: Any = NO_OPTIONS, place: Scope | None = None
) -> Tensor:
    """The Tensor of a result, and its node if it has operands. Written out, without constructors, which would take half as
    long again."""
    dtype = out.dtype
    if dtype is not DOUBLE and dtype.kind not in ("f" if operands else "fbiu"):
        raise TypeError(not_real(op.name, dtype))
    made = new(Tensor)
    made._data = out
    made._node = made._leaf = None
    if operands:
        made._node = node = Node()
        node.op = op
        node.operands = operands
        node.options = options
        node.saved = saved
        node.shape = out.shape
        node.dtype = dtype
        node.scope = place
        node.number = next_number()
        node.name = node.hooks = None
    return made


# -- ways in ---------------------------------------------------------------------------------------------------
# `apply` reads operands of all kinds, in a loop. For one, two and three Tensors there are ways that are shorter, by half a
# microsecond each operand.


def runner(op: Op) -> Callable[..., Any]:
    """The function that runs an op, of its operands and, if the op has options, a dict of them."""
    if op.variadic:
        return lambda *arrays, **options: apply(op, arrays, options)
    count = len(op.operands)
    if None not in op.rules and count <= 3 and (count == 1 or not op.options):
        return (unary, binary, ternary)[count - 1](op)
    if op.options:
        return lambda *operands: apply(op, operands[:-1], operands[-1])
    return lambda *operands: apply(op, operands)


def unary(op: Op) -> Callable[..., Any]:
    forward = op.forward
    (keeps_out, keeps_x), _ = op.keeper(0b11)

    def run(x: Any, options: dict[str, Any] = NO_OPTIONS) -> Any:
        if isinstance(x, Tensor):
            paused, place, watch = current()
            if watch is None:
                array, node = x._data, x._node
                try:
                    out = forward(array, **options) if options else forward(array)
                except Exception as error:
                    add_note(error, f"in {op.name}", (array,), place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                if paused or node is None:
                    return record(op, out) if paused or x._leaf is None else unrecorded(op, (x,), out)
                return record(op, out, (node,), (out if keeps_out else None, array if keeps_x else None), options, place)
        elif type(x) is ndarray:
            return forward(x, **options)
        return apply(op, (x,), options)

    return run


def binary(op: Op) -> Callable[[Any, Any], Any]:
    forward = op.forward
    (keeps_out, keeps_x, keeps_y), _ = op.keeper(0b111)
    for_x, for_y = op.keeper(0b110)[1], op.keeper(0b101)[1]

    def run(x: Any, y: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            paused, place, watch = current()
            if watch is None:
                a, b, node, other = x._data, y._data, x._node, y._node
                try:
                    out = forward(a, b)
                except Exception as error:
                    add_note(error, f"in {op.name}", (a, b), place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                if paused or node is None is other:
                    return record(op, out) if paused else unrecorded(op, (x, y), out)
                if node is not None and other is not None:
                    saved = out if keeps_out else None, a if keeps_x else None, b if keeps_y else None
                else:
                    saved = (for_x if other is None else for_y)((None, out, a, b))
                    node, other = node or x._leaf or x._constant(), other or y._leaf or y._constant()
                return record(op, out, (node, other), saved, NO_OPTIONS, place)
        elif type(x) is ndarray and type(y) is ndarray:
            return forward(x, y)
        return apply(op, (x, y))

    return run


def ternary(op: Op) -> Callable[[Any, Any, Any], Any]:
    forward = op.forward
    of_all, of_last = op.keeper(0b1111)[1], op.keeper(0b1011)[1]

    def run(x: Any, y: Any, z: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(y, Tensor) and isinstance(z, Tensor):
            paused, place, watch = current()
            node, second, third = x._node, y._node, z._node
            if watch is None and not paused and second is not None and third is not None:
                arrays = x._data, y._data, z._data
                try:
                    out = forward(*arrays)
                except Exception as error:
                    add_note(error, f"in {op.name}", arrays, place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                saved = (of_last if node is None else of_all)((None, out, *arrays))
                return record(op, out, (node or x._leaf or x._constant(), second, third), saved, NO_OPTIONS, place)
        return apply(op, (x, y, z))

    return run
