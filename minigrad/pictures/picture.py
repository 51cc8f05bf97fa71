"""The content of a picture, without places and colours: boxes, arrows between them, and groups of boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

__all__ = ["Arrow", "Box", "Group", "Legend", "Picture", "Piece", "Place"]


LOOPS = ("loop", "sum loop")  # the roles of arrows that lead back


class Place(NamedTuple):
    """The place of a box on a grid: its column and row, and how many of each it spans. Row 0 is lowest."""

    column: float
    row: float
    columns: int = 1
    rows: int = 1


class Piece(NamedTuple):
    """One narrow cell of a strip: a step, or several, that have no box of their own."""

    tooltip: str
    heat: float | None = None


@dataclass(slots=True)
class Box:
    """One thing in a picture. Its `role` decides its look; `lines` is its text."""

    id: str
    # op, backward, slice, tensor, input, state, parameter, alias, initial, output, target, constant, loss, gradient, block (of
    # ops), strip (of folded steps), collect (an element of a list), cell (a frame that others stand on), unit, words, sign
    role: str
    lines: list[str]
    tooltip: str = ""
    slot: str = ""  # what is the same in every time step has the same
    heat: float | None = None  # 0 to 1, how strongly it is coloured; None: not at all
    pieces: list[Piece] = field(default_factory=list)  # of a strip
    track: str = ""  # of a strip: what it shows
    also: list[int] = field(default_factory=list)  # the numbers of nodes that it shows, apart from that of its id
    link: str = ""  # of an alias: the box of the whole parameter, where that is drawn
    emphasis: str = ""  # strong, faint or plain
    at: Place | None = None  # on a grid


@dataclass(slots=True)
class Arrow:
    """From one box to another.

    `role` is flow, recurrent, parameter, gathered (a sum that grows), loop or sum loop (leads back), first (taken at one step
    only), cut (no gradient comes back along it), backward (of a backward pass) or order (not drawn).
    """

    source: str
    target: str
    role: str = "flow"
    label: str = ""
    operand: str = ""  # which operand it is, where that is not plain
    place: int = 0  # the number of the operand
    heat: float | None = None
    emphasis: str = ""


@dataclass(slots=True)
class Group:
    """Boxes in a frame of their own, such as those of one time step, with the arrows between them, and frames inside."""

    id: str
    title: str
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    repeated: bool = False  # shows many steps: a double frame
    framed: bool = True
    groups: list[Group] = field(default_factory=list)
    backward: bool = False  # of a backward pass
    kind: str = ""  # frames of one kind are laid out alike
    begins: bool = False  # what the first steps read in the place of what is carried; no frame of its own


class Legend(NamedTuple):
    """The meaning of the colours of a picture, and the numbers at both ends of the scale."""

    words: str
    low: str
    high: str


@dataclass(slots=True)
class Picture:
    """Boxes and groups from left to right, and the arrows that cross from one group to another.

    Where the boxes have an `at`, they stand on a grid instead: columns from left to right, rows from the bottom up.
    """

    title: str = ""
    legend: Legend | None = None
    boxes: list[Box] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    in_row: bool = False  # the groups are steps of time, one after the other
    nested: bool = False  # the groups are frames in one another, which Graphviz lays out
    dense: bool = False  # the boxes on the grid stand close together: a table

    def all_groups(self) -> Iterator[Group]:
        """Every group, outer ones first."""
        queue = list(self.groups)
        while queue:
            group = queue.pop(0)
            yield group
            queue[:0] = group.groups

    def all_boxes(self) -> list[Box]:
        return [*self.boxes, *(box for group in self.all_groups() for box in group.boxes)]

    def all_arrows(self) -> list[Arrow]:
        return [*self.arrows, *(arrow for group in self.all_groups() for arrow in group.arrows)]

    def as_dict(self) -> dict[str, Any]:
        """The picture as dicts, lists, texts and numbers, ready for JSON.

        >>> list(Picture("empty").as_dict())
        ['title', 'legend', 'boxes', 'groups', 'arrows', 'in_row', 'nested', 'dense']
        """
        return asdict(self)
