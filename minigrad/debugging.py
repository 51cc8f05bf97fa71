"""Debug mode: where did this NaN come from?"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .graph import CURRENT, Node, Scope
from .watch import WATCH, Watch

__all__ = ["debug"]

OURS = ("minigrad", "minigrad_rnn")


class Origin(NamedTuple):
    """The line that made a node, and checksums of the arrays it saved."""

    line: str
    checksums: tuple[int, ...]


ORIGINS: WeakKeyDictionary[Node, Origin] = WeakKeyDictionary()


class debug:
    """Inside ``with debug():`` every op is watched, forward and backward, at some cost in time.

    The first op whose result has a NaN or an infinity that its operands did not have raises FloatingPointError, which names
    the op, the shapes, the scope (layer and time step) and the line of yours that ran it; in the backward pass the same for
    the first rule. Errors of any kind in the backward pass tell the line of the forward call. An array that somebody
    changed between forward and backward raises RuntimeError.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([0.0, 1.0], requires_grad=True)
    >>> with minigrad.debug(), minigrad.scope("t", 17):
    ...     try:
    ...         np.sqrt(x).sum().backward()
    ...     except FloatingPointError as error:
    ...         print(str(error)[:89])
    the backward pass of sqrt, in scope t=17, made inf out of a finite gradient of shape (2,)
    """

    def __repr__(self) -> str:
        return "debug()"

    def __enter__(self) -> None:
        paused, place, outer = CURRENT.get()
        CURRENT.set((paused, place, Watcher(outer)))

    def __exit__(self, *error: object) -> None:
        paused, place, watch = CURRENT.get()
        assert isinstance(watch, Watcher)
        CURRENT.set((paused, place, watch.outer))


class Watcher(Watch):
    """The observer of debug mode."""

    def __init__(self, outer: Watch | None) -> None:
        self.outer = outer

    def read(self, x: Any) -> Any:
        return super().read(x) if self.outer is None else self.outer.read(x)

    def of_rules(self) -> Sequence[Watch]:
        return (self, *WATCH)

    def made(self, name: str, arrays: list[Any], out: np.ndarray, node: Node | None, place: Scope | None) -> None:
        line = users_line()
        if node is not None:
            ORIGINS[node] = Origin(line, checksums(node))
        if odd(out) and not any(odd(x) for x in arrays):
            raise FloatingPointError(
                f"{name}{inside(place)} made {odd(out)} out of finite operands of shapes {shapes(arrays)}, in {line}. "
                "Look at the operands there: a logarithm or root of 0 or less, a division by 0, an exponential above 700? "
                "If np.where discards these elements later, put something harmless in their place before this op, too"
            )
        for watch in WATCH:
            watch.made(name, arrays, out, node, place)

    def entering(self, node: Node) -> None:
        origin = ORIGINS.get(node)
        if origin is not None and origin.checksums != checksums(node):
            raise RuntimeError(
                f"an array that {node.op.name}{inside(node.scope)} had kept for its gradient was changed after the forward "
                f"pass; the op was run in {origin.line}"
            )

    def sent(self, node: Node, i: int, g: Any, part: Any) -> None:
        part, g = (x.data if hasattr(x, "backward") else x for x in (part, g))
        if odd(part) and not odd(g):
            raise FloatingPointError(
                f"the backward pass of {node.op.name}{inside(node.scope)} made {odd(part)} out of a finite gradient of shape "
                f"{np.shape(g)}{self.origin(node)}. The function has no finite slope there: keep its operand away from that "
                "point (np.clip, an epsilon), or choose with np.where what it is not needed for"
            )

    def origin(self, node: Node) -> str:
        origin = ORIGINS.get(node)
        return f"; the op was run in {origin.line}" if origin else ""


def odd(x: Any) -> str:
    """'nan' or 'inf' if there is one in x, otherwise nothing."""
    array = np.asarray(x) if x is not None else np.zeros(0)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return ""
    return "nan" if np.isnan(array).any() else "inf"


def checksums(node: Node) -> tuple[int, ...]:
    """Return the checksums of the arrays that a node saved; none if a checkpoint discarded them."""
    saved = node.saved if isinstance(node.saved, tuple) else ()
    return tuple(zlib.crc32(x.tobytes()) for x in saved if isinstance(x, np.ndarray))


def users_line() -> str:
    """The innermost line of code outside of these packages."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in OURS:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def inside(place: Scope | None) -> str:
    return f", in scope {place}," if place else ""


def shapes(arrays: list[Any]) -> str:
    return ", ".join(str(np.shape(x)) for x in arrays if x is not None)
