"""Nodes and scopes: how a computation is recorded. No op is named here.

A recorded op is a `Node`. It knows its op, its operands (the nodes it was computed from), and the few arrays
that the op's rules need. Nodes are numbered as they are made, and an operand is always made before its user,
so their numbers are a topological order: newest first is how gradients flow. Nothing recurses.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from .errors import GraphFreedError, freed_message
from .watch import Watch

__all__ = ["Leaf", "Node", "Scope", "ancestors", "no_grad", "scope"]

next_number = count().__next__
NO_OPTIONS: dict[str, Any] = {}


class Node:
    """One recorded op: what it was, what it was computed from, and what its rules need."""

    __slots__ = ("__weakref__", "dtype", "hooks", "name", "number", "op", "operands", "options", "saved", "scope", "shape")
    requires_grad = True

    op: Any
    operands: tuple[Any, ...]  # Nodes, and Python scalars as they were written
    options: dict[str, Any]  # axis, index, ...: what is not differentiated
    saved: tuple[Any, ...] | Forgotten | None  # (out, *operands), None where no rule needs it; as a whole None once freed
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scope: Scope | None
    number: int
    name: str | None
    hooks: list[Callable[[Any], Any]] | None  # what its cotangent goes through: `Tensor.register_hook`

    @property
    def parents(self) -> Iterator[Node]:
        """The operands that are nodes, constants among them."""
        return (operand for operand in self.operands if isinstance(operand, Node))

    def recall(self) -> tuple[Any, ...]:
        """Return the arrays that the rules of its op need. Recompute them if a checkpoint discarded them."""
        while isinstance(self.saved, Forgotten):  # once more for each checkpoint inside another
            self.saved.recompute()
        if not isinstance(self.saved, tuple):
            raise GraphFreedError(freed_message(self))
        return self.saved

    def __repr__(self) -> str:
        what = self.op.name if self.op else "leaf"
        name = f" {self.name!r}" if self.name else ""
        where = f" in {self.scope}" if self.scope else ""
        return f"<Node {self.number}: {what}{name} {self.shape} {self.dtype}{where}>"


class Forgotten:
    """Placeholder in `Node.saved` for values that a checkpoint discarded and can recompute; see `minigrad.checkpoint`."""

    __slots__ = ()

    def recompute(self) -> None:
        """Save them again, in every node that has this object."""
        raise NotImplementedError


class Leaf(Node):
    """A node that no op made: a tensor that requires grad, or a constant that a recorded op read."""

    __slots__ = ("gathered", "requires_grad", "thawed")

    def __init__(self, array: np.ndarray, requires_grad: bool, name: str | None = None, thawed: Leaf | None = None) -> None:
        self.op = self.saved = self.hooks = None
        self.operands, self.options, self.number = (), NO_OPTIONS, next_number()
        self.shape, self.dtype, self.scope = array.shape, array.dtype, CURRENT.get()[1]
        self.requires_grad = requires_grad
        self.gathered: Any = None  # its gradient, or a function that puts it here when it is read
        self.thawed = thawed  # of a frozen tensor: the leaf it has when it requires grad
        self.name = name

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient that has been gathered, or None."""
        if callable(self.gathered):
            self.gathered(self)
        return self.gathered  # type: ignore[no-any-return]

    @grad.setter
    def grad(self, new: np.ndarray | None) -> None:
        self.gathered = new

    def of(self, result: np.ndarray) -> Leaf | None:
        """Return the leaf of an unrecorded result that this leaf went into; None unless a subclass marks such results."""
        return None


# -- where we are: the scope, and whether ops are recorded -----------------------------------------------------


class Scope:
    """A place in the computation, such as ``lstm/layer=0/t=17``. Every node made there carries it."""

    __slots__ = ("name", "parent", "value")

    def __init__(self, parent: Scope | None, name: str, value: Any = None) -> None:
        self.parent = parent
        self.name = name
        self.value = value

    def __iter__(self) -> Iterator[Scope]:
        """From the outermost to this one."""
        chain = [self]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        return reversed(chain)

    def __contains__(self, name: str) -> bool:
        return any(place.name == name for place in self)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of the innermost scope called `name`: ``node.scope.get("t")``."""
        return next((place.value for place in reversed([*self]) if place.name == name), default)

    def __str__(self) -> str:
        return "/".join(s.name if s.value is None else f"{s.name}={s.value}" for s in self)

    def __repr__(self) -> str:
        return f"<Scope {self}>"


# How many times `no_grad` is entered (ops are recorded where it is 0), the scope, and who looks on: one look-up an op. Each
# thread and asyncio task has its own; what a context manager puts back is in here too, not in the object, which threads may
# share.
CURRENT: ContextVar[tuple[int, Scope | None, Watch | None]] = ContextVar("minigrad", default=(0, None, None))


class no_grad(contextlib.ContextDecorator):
    """Inside ``with no_grad():`` ops are computed and not recorded. Also a decorator: ``@no_grad()``.

    It holds for the current thread (and asyncio task) only.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> with minigrad.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __call__(self, function: Any) -> Any:
        if any(
            test(function) for test in (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        ):
            raise TypeError(
                f"@no_grad() would end before the body of {function.__name__} runs, for it is a generator or a coroutine; "
                "write `with no_grad():` inside it"
            )
        return super().__call__(function)

    def __repr__(self) -> str:
        return "no_grad()"

    def __enter__(self) -> None:
        paused, place, watch = CURRENT.get()
        CURRENT.set((paused + 1, place, watch))

    def __exit__(self, *error: object) -> None:
        paused, place, watch = CURRENT.get()
        CURRENT.set((paused - 1, place, watch))


class scope:
    """Say where the computation is: every node made inside carries the place, and so do errors and pictures.

    ``scope("lstm")`` is a name, ``scope("t", 17)`` a name with a value.

    >>> import minigrad
    >>> x = minigrad.tensor(1.0, requires_grad=True)
    >>> with minigrad.scope("lstm"), minigrad.scope("t", 17):
    ...     y = x * 2
    >>> print(y.scope)
    lstm/t=17
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any = None) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"scope({self.name!r})" if self.value is None else f"scope({self.name!r}, {self.value!r})"

    def __enter__(self) -> None:
        paused, place, watch = CURRENT.get()
        CURRENT.set((paused, Scope(place, self.name, self.value), watch))

    def __exit__(self, *error: object) -> None:
        paused, place, watch = CURRENT.get()
        CURRENT.set((paused, place and place.parent, watch))


class same_place:
    """Restore the scope and the recording state after a walk that changes them."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before = CURRENT.get()

    def __exit__(self, *error: object) -> None:
        CURRENT.set(self.before)


def move_to(place: Scope | None, recording: bool = False) -> None:
    """Make this the scope, and with `recording` leave every `no_grad`."""
    paused, _, watch = CURRENT.get()
    CURRENT.set((0 if recording else paused, place, watch))


def read(x: Any) -> Any:
    """Return an array on which a computation starts, as who looks on wants it."""
    watch = CURRENT.get()[2]
    return x if watch is None else watch.read(x)


# -- walks -----------------------------------------------------------------------------------------------------


def ancestors(roots: Iterable[Node], constants: bool = False, since: int = 0) -> list[Node]:
    """List the nodes that `roots` were computed from, with the roots, oldest first; only those numbered `since` or later."""
    seen = {root for root in roots if root.number >= since}
    found = list(seen)
    for node in found:  # which grows meanwhile
        for operand in node.operands:
            if (
                isinstance(operand, Node)
                and operand not in seen
                and (constants or operand.requires_grad)
                and operand.number >= since
            ):
                seen.add(operand)
                found.append(operand)
    found.sort(key=attrgetter("number"))
    return found


def leading_to(order: list[Node], wanted: Collection[Node]) -> set[Node]:
    """Select the nodes of `order` (oldest first) that depend on any node in `wanted`."""
    live: set[Node] = set(wanted)
    for node in order:
        if node not in live and any(parent in live for parent in node.parents):
            live.add(node)
    return live
