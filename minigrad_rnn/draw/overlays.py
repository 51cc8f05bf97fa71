"""Overlays of a picture: gradients, activations, their saturation, each step's share of a weight's gradient."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from minigrad.graph import Node
from minigrad.norms import norm
from minigrad.pictures import Annotations, Graph
from minigrad.pictures.picture import Legend

from ..saturation import saturated, saturates
from ..stepwise import Backward, Line, Run

__all__ = ["OVERLAYS", "Measured", "Scale", "measure", "number", "put"]

MOST_DECADES = 8  # of the colour scale
OVERLAYS = ("gradient", "activation", "saturation", "share")


class Scale(NamedTuple):
    """From numbers to colours, 0 to 1."""

    low: float
    high: float
    logarithmic: bool = True

    def heat(self, size: float) -> float | None:
        if not math.isfinite(size):
            return None
        if not self.logarithmic:
            return min(max((size - self.low) / (self.high - self.low or 1), 0.0), 1.0)
        if size <= self.low:
            return 0.0
        return min(max(math.log(size / self.low) / math.log(self.high / self.low), 0.0), 1.0)


@dataclass
class Measured:
    """Numbers of a run: of states and gates, of what crosses from step to step, of the uses of parameters and of their sums."""

    kind: str
    sizes: dict[Node, float] = field(default_factory=dict)
    flows: dict[tuple[Node, Node], float] = field(default_factory=dict)
    returns: dict[Node, float] = field(default_factory=dict)  # of a state all that comes back from the next step
    uses: dict[tuple[Node, int], float] = field(default_factory=dict)
    totals: dict[Node, float] = field(default_factory=dict)

    def scale(self, given: tuple[float, float] | None = None) -> Scale:
        """The colour scale: given, or wide enough for every number, down to eight decades."""
        if given is not None:
            low, high = given
            if not low < high or (low <= 0 and self.kind in ("gradient", "share")):
                raise ValueError(f"scale must be (low, high) with low < high, and low > 0 on a logarithmic scale, not {given}")
            return Scale(low, high, self.kind in ("gradient", "share"))
        if self.kind == "saturation":
            return Scale(0.0, 1.0, False)
        numbers = finite((*self.sizes.values(), *self.flows.values(), *self.uses.values()))
        high = max(numbers, default=1.0)
        if self.kind == "activation":
            return Scale(0.0, high, False)
        decades = min(max(math.ceil(math.log10(high / min(numbers, default=1.0))), 1), MOST_DECADES)
        return Scale(high / 10**decades, high)

    def note(self, node: Node, name: str) -> str:
        """The number, in words."""
        text = self.text(self.sizes.get(node))
        if self.kind == "share":
            return ""
        if self.kind == "gradient":
            return f"|dL/d{name}| {text}"
        return f"mean |{name}| {text}" if self.kind == "activation" else f"{text} saturated"

    @property
    def words(self) -> str:
        """The meaning of the colours."""
        return {
            "gradient": "size of dL/dh",
            "activation": "mean size of the elements",
            "saturation": "units where the slope is less than a tenth of its largest",
            "share": "size of a step's share of dL/dW",
        }[self.kind]

    def text(self, size: float | None) -> str:
        """A number of this kind: a dash where nothing was measured."""
        if size is None or self.kind in ("gradient", "share"):
            return number(size)
        return f"{size:.2f}" if self.kind == "activation" else f"{size:.0%}"


def number(size: float | None) -> str:
    """A norm: a dash where nothing was computed."""
    return "-" if size is None else short(size) if size else "0"


def short(size: float) -> str:
    """A number with two digits.

    >>> short(0.0123)
    '1.2e-2'
    """
    return re.sub(r"e([+-])0", r"e\1", f"{size:.1e}").replace("e+", "e")


def finite(numbers: Iterable[float]) -> list[float]:
    return [x for x in numbers if x > 0 and math.isfinite(x)]


def measure(kind: str, made: Run, graph: Graph) -> Measured:
    if kind == "gradient":
        return gradients(made)
    if kind == "share":
        return shares(made)
    return activations(kind, made, graph)


def gradients(made: Run) -> Measured:
    """The norm of dL/dstate for every state, and of what comes back along every arrow to the next step."""
    back = Backward(made)
    found = Measured("gradient", {node: norm(g) for node, g in back.cotangents.items() if node in made.places})
    for state, parts in back.parts.items():
        crossing = [(node, part) for node, part in parts if made.column(node) != made.column(state)]
        found.flows |= {(state, node): norm(part) for node, part in crossing}
        if crossing:
            found.returns[state] = norm(sum(part for _, part in crossing))
    return found


def shares(made: Run) -> Measured:
    """The norm of the part of each parameter's gradient that comes from each step, and of their sum."""
    back = Backward(made)
    totals = {
        leaf: float(norm(back.cotangents[leaf])) for leaf, _ in back.waiting if leaf in back.cotangents
    }  # as they are used
    return Measured("share", uses=back.shares, totals=totals)


def activations(kind: str, made: Run, graph: Graph) -> Measured:
    """The mean size of the elements of each state; or the saturated share of each activation, and of a cell's output."""
    if kind == "activation":
        values = made.values()
        return Measured(kind, {node: float(np.mean(np.abs(x), dtype=float)) for node, x in values.items()})
    found = Measured(kind)
    cells: dict[tuple[Line, int | None], list[float]] = {}
    for node in graph:
        if node.op is not None and saturates(node.op.name) and (line := made.line(node)) is not None:
            found.sizes[node] = saturated(node.op.name, node.recall()[0])
            cells.setdefault((line, made.column(node)), []).append(found.sizes[node])
    for node, (line, name, t) in made.places.items():
        if name == made.cells[line].state_names[0] and (inside := cells.get((line, t))):
            found.sizes[node] = float(np.mean(inside))
    return found


def put(found: Measured, annotations: Annotations, made: Run, scale: Scale) -> Legend:
    """Write and colour what was measured; returns the legend of the colours."""
    for node in {**made.places, **found.sizes} if found.kind != "share" else ():
        annotations.notes[node] = found.text(found.sizes.get(node))
        if node in found.sizes and (heat := scale.heat(found.sizes[node])) is not None:
            annotations.heat[node] = heat
    annotations.flow |= {pair: heat for pair, size in found.flows.items() if (heat := scale.heat(size)) is not None}
    for key, size in found.uses.items():
        annotations.uses[key] = (number(size), scale.heat(size))
    pieces: dict[str, dict[int, tuple[str, float | None]]] = {}
    for node, (_, name, t) in made.places.items():
        pieces.setdefault(annotations.track(node), {})[t] = (found.note(node, name), annotations.heat.get(node))
    annotations.pieces = pieces
    return Legend(found.words, found.text(scale.low), found.text(scale.high))
