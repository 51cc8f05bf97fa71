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
    """The base of objects that keep a state between calls, such as optimizers. They declare what it consists of."""

    varying: tuple[str, ...] = ()  # attributes that may differ from call to call: numbers, or tuples of numbers
    updated: str = ""  # the attribute that is a list of states; a call reads its elements and replaces them

    def read(self) -> Iterable[str]:
        """Return the names of the attributes that a call reads, also those that vary."""
        return vars(self)
