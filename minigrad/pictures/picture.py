"""What a picture shows, before anything is said of how: boxes, arrows between them, and groups of boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Arrow", "Box", "Group", "Picture"]


@dataclass(slots=True)
class Box:
    """One thing in a picture. `role` says what it is, and so what it looks like; `lines` is its text."""

    id: str
    role: str  # op, tensor, input, state, parameter, alias, initial, output, target, constant, loss
    lines: list[str]
    tooltip: str = ""
    track: str = ""  # boxes of one track stand on one straight line
    heat: float | None = None  # 0 to 1, how strongly it is coloured; None: not at all


@dataclass(slots=True)
class Arrow:
    """From one box to another.

    `role` is flow, recurrent, gathered (a sum that grows), loop or sum loop (leads back), first (taken at one step only) or
    order (not drawn).
    """

    source: str
    target: str
    role: str = "flow"
    label: str = ""
    operand: str = ""  # which operand it is, where that is not plain
    straight: bool = False  # part of a track
    heat: float | None = None


@dataclass(slots=True)
class Group:
    """Boxes in a frame of their own, such as those of one time step, with the arrows between them."""

    id: str
    title: str
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    repeated: bool = False  # stands for many: a double frame
    framed: bool = True


@dataclass(slots=True)
class Picture:
    """Boxes and groups from left to right, and the arrows that cross from one group to another."""

    title: str = ""
    boxes: list[Box] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
