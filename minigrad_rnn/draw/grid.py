"""A picture of a network on a grid: time runs to the right, layers upwards."""

from __future__ import annotations

from typing import Any

from minigrad.pictures.picture import Arrow, Box, Picture, Place

from ..recorded_run import Body
from ..stepwise import Line, Run

__all__ = ["Grid", "kind_of", "tooltip_of"]


class Grid:
    """A picture on a grid being filled."""

    def __init__(self, made: Run, title: str) -> None:
        self.made, self.picture = made, Picture(title)
        self.both = len({line.reverse for line in made.cells}) > 1  # the directions of a layer are next to each other
        self.outputs = made.read_out()
        self.only = next(iter(self.outputs)) if len(self.outputs) == 1 < made.columns else None  # the one answer's step

    def add(self, id: str, role: str, lines: list[str], at: Place, tooltip: str = "", heat: float | None = None) -> str:
        self.picture.boxes.append(Box(id, role, [line for line in lines if line], tooltip, heat=heat, at=at))
        return id

    def connect(self, sources: list[str], target: str, role: str = "flow", label: str = "") -> None:
        self.picture.arrows += [Arrow(source, target, role, label) for source in sources]

    def last_read(self, t: int) -> list[str]:
        """The boxes that the one answer is read from: of both directions the ends, with lengths each sequence's last step."""
        read = ((line, self.made.cells[line].state_names[0], s) for line, s in self.made.read_by(t))
        return list(dict.fromkeys(self.output_box(line, name, s) for line, name, s in read))

    def output_box(self, line: Line, name: str, t: int) -> str:
        """The box of a cell's output, its state of this name."""
        raise NotImplementedError


def kind_of(cell: Any) -> str:
    return "loop" if isinstance(cell, Body) else type(cell).__name__.removesuffix("Cell")


def tooltip_of(cell: Any) -> str:
    """The loop that a cell is, or its parameters."""
    if isinstance(cell, Body):
        return str(cell.loop)
    return f"{type(cell).__name__}: {', '.join(f'{name} {tuple(p.shape)}' for name, p in cell.named_parameters())}"
