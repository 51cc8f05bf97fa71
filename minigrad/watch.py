"""Observers: what may look on while a computation runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .graph import Leaf, Node, Scope

__all__ = ["WATCH", "Watch"]


class Watch:
    """An observer of a computation: of the values it reads, of its ops and of its rules."""

    def read(self, x: Any) -> Any:
        """Return the array on which the computation goes on, of a tensor or array from outside that it reads."""
        return getattr(x, "_data", x)

    def gradient(self, leaf: Leaf, replaced: bool) -> None:
        """The gradient of a leaf is about to be read, or replaced."""

    def made(self, name: str, arrays: list[Any], out: np.ndarray, node: Node | None, place: Scope | None) -> None:
        """An op was run."""

    def arrived(self, node: Node, g: Any) -> None:
        """The cotangent of a node is complete."""

    def of_rules(self) -> Sequence[Watch]:
        """Return those who look at the rules of a backward pass, too: they get the calls below."""
        return ()

    def entering(self, node: Node) -> None:
        """The reverse sweep is at a node."""

    def sent(self, node: Node, i: int, g: Any, part: Any) -> None:
        """A rule turned the cotangent g of a node into the part of its operand i."""

    def origin(self, node: Node) -> str:
        """The line that ran a node's op, in words."""
        return ""


WATCH: list[Watch] = []  # further observers, for the one in `CURRENT` to call
