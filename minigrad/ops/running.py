"""Running an op: its forward function on arrays and, if an operand requires grad, a node of the graph for the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import array_of
from ..graph import CURRENT, DEBUG, NO_OPTIONS, RECORDING, WATCH, Leaf, Node, Scope, add_note, next_number
from ..standin import RECORDER, Standin, known
from ..tensor import Tensor

if TYPE_CHECKING:
    from .op import Op

__all__ = ["apply", "picker", "runner"]

ndarray = np.ndarray
SCALARS = (float, int, type(None))  # kept in a node as they are
current = CURRENT.get
new = object.__new__
asarray = np.asarray
DOUBLE = np.dtype(float)


def apply(op: Op, operands: Sequence[Any], options: dict[str, Any] = NO_OPTIONS) -> Any:
    """Run `op` on its operands, and record it if one of them requires grad.

    Arrays in, array out; with a Tensor among the operands, Tensor out.
    """
    state, place = current()
    recorder = RECORDER.get() if state >= RECORDING else None
    arrays: list[Any] = []
    nodes: list[Any] = []
    tensors = False
    wanted = 0
    for x in operands:
        node = None
        if isinstance(x, Tensor):
            tensors = True
            arrays.append(x._data if recorder is None else recorder.cell(x))
            node = x._node
            if node is not None:
                wanted |= 1 << len(nodes)
        elif type(x) is ndarray or x is None or (op.weak and isinstance(x, SCALARS)) or isinstance(x, Standin):
            arrays.append(x if recorder is None else known(x))
        else:
            arrays.append(array_of(x) if recorder is None else known(array_of(x)))
        nodes.append(node)
    try:
        if state < DEBUG:
            out = op.forward(*arrays, **options)
        else:
            with np.errstate(all="ignore"):  # debug mode has better words than NumPy's warning
                out = op.forward(*arrays, **options)
    except Exception as error:
        add_note(error, f"in {op.name}", arrays, place)
        raise
    if not tensors:
        return out
    if type(out) is not ndarray and not isinstance(out, Standin):
        out = np.asarray(out)
    made = finished(op, operands, nodes, arrays, wanted, out, options, state, place)
    if state >= DEBUG:
        shown(op, arrays, made, state, place)
    return made


def shown(op: Op, arrays: list[Any], made: Tensor, state: int, place: Scope | None) -> None:
    """Show a result to who looks on."""
    if state >= RECORDING:
        if made._node is not None:
            RECORDER.get().note(made._node, made._data)
    else:
        for watch in WATCH:
            watch.made(op.name, arrays, made._data, made._node, place)


def finished(
    op: Op, operands: Sequence[Any], nodes: list[Any], arrays: list[Any], wanted: int, out: Any, options: dict[str, Any],
    state: int, place: Scope | None,
) -> Tensor:  # fmt: skip
    """The Tensor around a result: recorded if an operand requires grad (a bit of `wanted` for each), otherwise a constant."""
    if not wanted or state % DEBUG:
        return unrecorded(op, operands, out, state)
    kept, pick = op.keeper(wanted | 1 << len(nodes))
    for i, node in enumerate(nodes):
        if node is None:
            x = operands[i]
            if isinstance(x, Tensor):
                nodes[i] = x._leaf or x._constant()
            else:
                nodes[i], arrays[i] = constant(op, x, arrays[i], kept[i + 1])
    return record(op, out, tuple(nodes), pick((None, out, *arrays)), options, place)


def record(
    op: Op, out: Any, operands: tuple[Any, ...], saved: tuple[Any, ...], options: dict[str, Any], place: Scope | None
) -> Tensor:
    """The Tensor and the node of a recorded result. Written out, without constructors, which would take half as long again."""
    dtype = out.dtype
    if dtype is not DOUBLE and dtype.kind != "f":
        raise TypeError(not_real(op, dtype))
    made = new(Tensor)
    made._data = out
    made._leaf = None
    made._node = node = new(Node)
    node.op = op
    node.operands = operands
    node.options = options
    node.saved = saved
    node.shape = out.shape
    node.dtype = dtype
    node.scope = place
    node.number = next_number()
    node.name = None
    node.hooks = None
    return made


def constant(op: Op, x: Any, array: Any, kept: bool) -> tuple[Any, Any]:
    """Return the node of an operand that is not a Tensor (a leaf, or the number itself), and its array. An array that a rule
    will need is copied, since its owner may change it before the backward pass."""
    if isinstance(array, Standin):
        return Leaf(array, requires_grad=False) if hasattr(array, "shape") else None, array  # type: ignore[arg-type]
    if x is None or (op.weak and isinstance(x, SCALARS)) or not hasattr(array, "shape"):
        return x, array
    if kept:
        array = np.array(x)
    return Leaf(array, requires_grad=False), array


def picker(kept: Sequence[bool]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """The function that picks what is kept from (None, out, *operands), with None in the place of what is not."""
    return itemgetter(*(k if keep else 0 for k, keep in enumerate(kept, 1)))


def unrecorded(op: Op, operands: Sequence[Any], out: Any, state: int) -> Tensor:
    """Return the Tensor around the result of an op on constants. A leaf of theirs that marks what was computed from it does."""
    made = wrapped(op, out)
    if not state % DEBUG:
        for x in operands:
            if isinstance(x, Tensor) and x._leaf is not None and (leaf := x._leaf.of(out)) is not None:
                made._leaf = leaf
                break
    return made


def wrapped(op: Op, out: Any) -> Tensor:
    if out.dtype.kind not in "fbiu":
        raise TypeError(not_real(op, out.dtype))
    made = new(Tensor)
    made._data = out
    made._node = made._leaf = None
    return made


def not_real(op: Op, dtype: np.dtype[Any]) -> str:
    if dtype.kind in "biu":
        return (
            f"{op.name} of a tensor that requires grad came out as {dtype}, which cannot be differentiated. "
            "Compute on .detach() if you do not need the gradient"
        )
    what = "complex numbers are" if dtype.kind == "c" else "this dtype is"
    return f"{op.name} came out as {dtype}: {what} not supported, only real numbers are"


# -- ways in ---------------------------------------------------------------------------------------------------
# `apply` reads operands of all kinds, in a loop. For up to three Tensors there are ways that are half a microsecond shorter.


def runner(op: Op) -> Callable[..., Any]:
    """The function that runs an op, of its operands and, if the op has options, a dict of them."""
    if op.variadic:
        return lambda *arrays, **options: apply(op, arrays, options)
    if None not in op.rules and len(op.operands) <= 3 and not op.options:
        return (unary, binary, ternary)[len(op.operands) - 1](op)
    if None not in op.rules and len(op.operands) == 1:
        return unary_with_options(op)
    if op.options:
        return lambda *operands: apply(op, operands[:-1], operands[-1])
    return lambda *operands: apply(op, operands)


def unary(op: Op) -> Callable[[Any], Any]:
    forward = op.forward
    keeps_out, keeps_x = op.kept((True,))

    def run(x: Any) -> Any:
        if isinstance(x, Tensor):
            state, place = current()
            if state < DEBUG:
                array, node = x._data, x._node
                try:
                    out = forward(array)
                except Exception as error:
                    add_note(error, f"in {op.name}", (array,), place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                if node is not None and not state:
                    saved = out if keeps_out else None, array if keeps_x else None
                    return record(op, out, (node,), saved, NO_OPTIONS, place)
                return wrapped(op, out) if state or x._leaf is None else unrecorded(op, (x,), out, state)
        elif type(x) is ndarray:
            return forward(x)
        return apply(op, (x,))

    return run


def unary_with_options(op: Op) -> Callable[[Any, dict[str, Any]], Any]:
    forward = op.forward
    keeps_out, keeps_x = op.kept((True,))

    def run(x: Any, options: dict[str, Any]) -> Any:
        if isinstance(x, Tensor):
            state, place = current()
            if state < DEBUG:
                array, node = x._data, x._node
                try:
                    out = forward(array, **options)
                except Exception as error:
                    add_note(error, f"in {op.name}", (array,), place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                if node is not None and not state:
                    saved = out if keeps_out else None, array if keeps_x else None
                    return record(op, out, (node,), saved, options, place)
                return wrapped(op, out) if state or x._leaf is None else unrecorded(op, (x,), out, state)
        elif type(x) is ndarray:
            return forward(x, **options)
        return apply(op, (x,), options)

    return run


def binary(op: Op) -> Callable[[Any, Any], Any]:
    forward = op.forward
    keeps_out, keeps_x, keeps_y = op.kept((True, True))
    for_x, for_y = picker(op.kept((True, False))), picker(op.kept((False, True)))

    def run(x: Any, y: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            state, place = current()
            if state < DEBUG:
                a, b, node, other = x._data, y._data, x._node, y._node
                try:
                    out = forward(a, b)
                except Exception as error:
                    add_note(error, f"in {op.name}", (a, b), place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                if state:
                    return wrapped(op, out)
                if node is not None and other is not None:
                    saved = out if keeps_out else None, a if keeps_x else None, b if keeps_y else None
                    return record(op, out, (node, other), saved, NO_OPTIONS, place)
                if node is not None:
                    return record(op, out, (node, y._leaf or y._constant()), for_x((None, out, a, b)), NO_OPTIONS, place)
                if other is not None:
                    return record(op, out, (x._leaf or x._constant(), other), for_y((None, out, a, b)), NO_OPTIONS, place)
                no_leaf = x._leaf is None and y._leaf is None
                return wrapped(op, out) if no_leaf else unrecorded(op, (x, y), out, state)
        elif type(x) is ndarray and type(y) is ndarray:
            return forward(x, y)
        return apply(op, (x, y))

    return run


def ternary(op: Op) -> Callable[[Any, Any, Any], Any]:
    forward = op.forward
    pick = picker(op.kept((True, True, True)))

    def run(x: Any, y: Any, z: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(y, Tensor) and isinstance(z, Tensor):
            state, place = current()
            if state < DEBUG:
                a, b, c, nodes = x._data, y._data, z._data, [x._node, y._node, z._node]
                try:
                    out = forward(a, b, c)
                except Exception as error:
                    add_note(error, f"in {op.name}", (a, b, c), place)
                    raise
                if type(out) is not ndarray:
                    out = asarray(out)
                if state:
                    return wrapped(op, out)
                if None not in nodes:
                    return record(op, out, tuple(nodes), pick((None, out, a, b, c)), NO_OPTIONS, place)
                wanted = sum([1 << i for i, node in enumerate(nodes) if node is not None])
                return finished(op, (x, y, z), nodes, [a, b, c], wanted, out, NO_OPTIONS, state, place)
        return apply(op, (x, y, z))

    return run
