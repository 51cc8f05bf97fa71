"""Objects that hold what a computation reads and changes besides Tensors: modules, optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

__all__ = ["Counted", "Stateful"]


class Counted:
    """The base of objects whose attributes a computation reads.

    `changes` counts how often any of them was set: while the count is the same nobody need look at them again.
    """

    changes: ClassVar[list[int]] = [0]

    def __setattr__(self, name: str, value: Any) -> None:
        Counted.changes[0] += 1
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        Counted.changes[0] += 1
        super().__delattr__(name)


class Stateful:
    """The base of objects with a state that they update themselves, such as optimizers, and that say what there is in it."""

    varying: tuple[str, ...] = ()  # attributes that may change from one call to the next: numbers, or tuples of them
    updated: str = ""  # an attribute, the list of states, of which a call reads and replaces elements

    def parts(self) -> Iterable[Stateful]:
        """Return those of which it consists, each with a state of its own."""
        return (self,)

    def fixed(self) -> Iterable[tuple[Any, str]]:
        """Return the attributes that are read and seldom changed, each with the object that has it."""
        return ()
