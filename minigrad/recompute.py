"""Checkpointing: discard what a part of the computation saved, and recompute it in the backward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from weakref import ref

import numpy as np

from .graph import CURRENT, Forgotten, Node, Scope, ancestors, move_to, next_number, same_place
from .tensor import Tensor, values
from .trees import tree_leaves, tree_map

__all__ = ["checkpoint"]

Function = TypeVar("Function", bound=Callable[..., Any])


def checkpoint(f: Function) -> Function:
    """Return f with less memory: values saved for the backward pass are discarded and recomputed when they are needed.

    Call it on pieces of a long sequence. Memory then holds the state at each checkpoint and the saved values of one piece:
    with pieces of sqrt(T) steps about sqrt(T) instead of T, for the time of a second forward pass (Chen, Xu, Zhang & Guestrin,
    Training Deep Nets with Sublinear Memory Cost, 2016).

    Arguments and results are tensors, arrays or containers of them. Parameters that f closes over receive their gradients too.
    The graph keeps its structure, so you can draw, explain and differentiate it in every mode and order. You can nest
    checkpoints. f must compute the same when it runs again: draw random numbers outside and pass them to f.
    Raises TypeError if f is not a function, and RuntimeError in the backward pass if f does not compute the same again, for
    example because a parameter was updated in between.

    >>> import numpy as np, minigrad
    >>> W = minigrad.tensor(np.eye(2), requires_grad=True)
    >>> @minigrad.checkpoint
    ... def ten_steps(h):
    ...     for _ in range(10):
    ...         h = np.tanh(h @ W)
    ...     return h
    >>> ten_steps(ten_steps(np.ones((1, 2)))).sum().backward()
    >>> W.grad.shape
    (2, 2)
    """
    if not callable(f):
        raise TypeError(f"checkpoint takes a function, not {type(f).__name__}: write checkpoint(f)(x)")

    @functools.wraps(f)
    def discarding(*args: Any, **options: Any) -> Any:
        began = next_number()
        result = f(*args, **options)
        nodes = recorded(result, began)
        if nodes:
            again = functools.partial(f, *tree_map(stand_in, args), **tree_map(stand_in, options))
            segment = Segment(again, nodes, fingerprint(result), CURRENT.get()[1])
            for node in nodes:
                node.saved = segment
        return result

    return discarding  # type: ignore[return-value]


class Segment(Forgotten):
    """Part of a graph whose nodes discarded what they saved, and the call that computes it again."""

    __slots__ = ("again", "marks", "nodes", "place")

    def __init__(self, again: functools.partial[Any], nodes: list[Node], marks: list[Mark], place: Scope | None) -> None:
        self.again = again
        self.nodes: list[Callable[[], Node | None]] = [ref(node) for node in nodes]  # weak, because the nodes hold this object
        self.marks = marks
        self.place = place

    def recompute(self) -> None:
        began = next_number()
        with same_place():
            move_to(self.place, recording=True)  # under no_grad, too
            result = self.again()
        twins = recorded(result, began)
        nodes = [node() for node in self.nodes]
        same = len(twins) == len(nodes) and all(
            node is None or (node.op is twin.op and node.shape == twin.shape)
            for node, twin in zip(nodes, twins, strict=True)
        )  # fmt: skip
        if not same or not alike(fingerprint(result), self.marks):
            name = getattr(self.again.func, "__name__", "")
            where = f" in scope {self.place}" if self.place else ""
            raise RuntimeError(
                f"the checkpointed function {name}{where} did not compute the same when it ran again for the backward pass. "
                "Does it draw random numbers (draw them outside and pass them to it), or did something that it reads, such "
                "as a parameter, change in between (call backward() first)?"
            )
        originals = dict(zip(twins, nodes, strict=True))
        for twin, node in originals.items():
            if node is not None:
                node.saved = twin.saved
        for inner in {twin.saved for twin in twins if isinstance(twin.saved, Segment)}:
            found = [None if (made := weak()) is None else originals.get(made) for weak in inner.nodes]
            inner.nodes = [ref(node) if node is not None else lambda: None for node in found]


def recorded(result: Any, began: int) -> list[Node]:
    """Return the ops that led to `result` and were recorded since number `began`, oldest first."""
    roots = [y._node for y in tree_leaves(result) if isinstance(y, Tensor) and y._node is not None]
    return [node for node in ancestors(roots, since=began) if node.op is not None]


def stand_in(x: Any) -> Any:
    """Return an argument for running the function again: the same values, detached from their graph."""
    if not isinstance(x, Tensor):
        return x
    made = x.detach()
    made.requires_grad = x.requires_grad
    return made


class Mark(NamedTuple):
    """Checksums of a result, to compare with without keeping it."""

    size: float  # sum of |y|
    total: float  # sum of y, each element with a weight of its own
    epsilon: float


def fingerprint(result: Any) -> list[Mark]:
    marks: list[Mark] = []
    with np.errstate(all="ignore"):
        for y in tree_leaves(result):
            array = values(y)
            if type(array) is np.ndarray and array.dtype.kind in "biuf":
                flat = array.ravel().astype(float)
                epsilon = np.finfo(array.dtype).eps if array.dtype.kind == "f" else 0.0
                marks.append(Mark(float(np.abs(flat).sum()), float(flat @ np.cos(np.arange(flat.size))), float(epsilon)))
    return marks


def alike(one: list[Mark], other: list[Mark]) -> bool:
    """Return True if the marks are equal up to rounding: a sum may round differently at another place in memory."""
    return len(one) == len(other) and all(
        np.allclose(a[:2], b[:2], rtol=0, atol=b.epsilon ** (2 / 3) * abs(b.size), equal_nan=True)
        if np.isfinite(b.size)
        else str(a) == str(b)
        for a, b in zip(one, other, strict=True)
    )
