"""Memory for time: forget what a part of the computation saved, and compute it again when the backward pass comes by."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from weakref import ref

import numpy as np

from .graph import CURRENT, Forgotten, Node, Scope, ancestors, next_number, recording_again, same_place
from .standin import RECORDER
from .tensor import Tensor
from .trees import leaves, mapped

__all__ = ["checkpoint"]

Function = TypeVar("Function", bound=Callable[..., Any])


def checkpoint(f: Function) -> Function:
    """The same function, but what its ops saved for the backward pass is forgotten, and computed again when that comes by.

    So the memory of a long sequence is that of its states where the checkpoints are and of one piece between two of them,
    about sqrt(T) instead of T with pieces of sqrt(T) steps, for the time of a second forward pass (Chen, Xu, Zhang & Guestrin,
    Training Deep Nets with Sublinear Memory Cost, 2016).

    Arguments and results are tensors, arrays or containers of them; parameters that f closes over get their gradients too.
    The graph keeps its structure, so it can be drawn, explained and differentiated in every mode and order. Checkpoints
    may be nested. f must do the same when it is run again: random numbers are drawn outside of it and given to it.
    In the backward pass, RuntimeError says so if it does not (also where a parameter has been updated in between).

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
    def forgetting(*args: Any, **options: Any) -> Any:
        began = next_number()
        result = f(*args, **options)
        nodes = recorded(result, began)
        if nodes:
            again = functools.partial(f, *mapped(stand_in, args), **mapped(stand_in, options))
            segment = Segment(again, nodes, fingerprint(result), CURRENT.get()[1])
            for node in nodes:
                node.saved = segment
        return result

    return forgetting  # type: ignore[return-value]


class Segment(Forgotten):
    """A part of a graph whose nodes have forgotten what they saved, and how to run it again."""

    __slots__ = ("again", "marks", "nodes", "place")

    def __init__(self, again: functools.partial[Any], nodes: list[Node], marks: list[Mark], place: Scope | None) -> None:
        self.again = again
        self.nodes: list[Callable[[], Node | None]] = [ref(node) for node in nodes]  # weak, for the nodes have this object
        self.marks = marks
        self.place = place

    def recompute(self) -> None:
        began = next_number()
        with same_place():
            CURRENT.set((recording_again()[0], self.place))  # recorded under no_grad, too
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
                f"the checkpointed function {name}{where} did not do the same when it was run again for the backward pass. "
                "Did it draw random numbers (draw them outside and give them to it), or was something that it uses, such "
                "as a parameter, changed in between (call backward() first)?"
            )
        originals = dict(zip(twins, nodes, strict=True))
        for twin, node in originals.items():
            if node is not None:
                node.saved = twin.saved
        for inner in {twin.saved for twin in twins if isinstance(twin.saved, Segment)}:
            found = [None if (made := weak()) is None else originals.get(made) for weak in inner.nodes]
            inner.nodes = [ref(node) if node is not None else lambda: None for node in found]


def recorded(result: Any, began: int) -> list[Node]:
    """The ops that led to `result` and were recorded since, oldest first."""
    roots = [y._node for y in leaves(result) if isinstance(y, Tensor) and y._node is not None]
    return [node for node in ancestors(roots, since=began) if node.op is not None]


def stand_in(x: Any) -> Any:
    """An argument for running the function again: the same values, without the graph behind them."""
    if not isinstance(x, Tensor):
        return x
    made = x.detach()
    made.requires_grad = x.requires_grad
    return made


class Mark(NamedTuple):
    """What to know a result by without keeping it."""

    size: float  # sum of |y|
    total: float  # sum of y, each element with a weight of its own
    epsilon: float


def fingerprint(result: Any) -> list[Mark]:
    marks: list[Mark] = []
    if RECORDER.get() is not None:
        return marks
    with np.errstate(all="ignore"):
        for y in leaves(result):
            array = y._data if isinstance(y, Tensor) else np.asarray(y)
            if array.dtype.kind in "biuf":
                flat = array.ravel().astype(float)
                epsilon = np.finfo(array.dtype).eps if array.dtype.kind == "f" else 0.0
                marks.append(Mark(float(np.abs(flat).sum()), float(flat @ np.cos(np.arange(flat.size))), float(epsilon)))
    return marks


def alike(one: list[Mark], other: list[Mark]) -> bool:
    """Equal but for rounding: the sum of an array may round differently at another place in memory."""
    return len(one) == len(other) and all(
        np.allclose(a[:2], b[:2], rtol=0, atol=b.epsilon ** (2 / 3) * abs(b.size), equal_nan=True)
        if np.isfinite(b.size)
        else str(a) == str(b)
        for a, b in zip(one, other, strict=True)
    )
