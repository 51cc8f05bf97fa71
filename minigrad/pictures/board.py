"""The drawing board that the views share: from nodes to boxes and arrows, and which group they stand in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..graph import Leaf, Node
from ..snapshot import Graph
from .picture import Arrow, Box, Group, Picture

__all__ = ["Board", "Marks", "default_role", "step_of"]

UNNUMBERED = {
    "add",
    "multiply",
    "masked_multiply",
    "maximum",
    "minimum",
    "linear",
    "cross_entropy",
}  # it is plain which operand is which
LONGEST_NAME = 40


def default_role(node: Node) -> str:
    """Leaves by whether they are learnt and named, results by whether they are named."""
    if isinstance(node, Leaf):
        return "parameter" if node.requires_grad else "input" if node.name else "constant"
    return "tensor" if node.name else "op"


@dataclass
class Marks:
    """What a picture says beyond the graph itself."""

    role: Callable[[Node], str] = default_role  # one of the roles of `Box`; a result with the role "op" has no box of its own
    names: dict[Node, str] = field(default_factory=dict)  # in place of the node's own name
    notes: dict[Node, str] = field(default_factory=dict)  # a line below name and shape
    heat: dict[Node, float] = field(default_factory=dict)  # of boxes, 0 to 1
    flow: dict[tuple[Node, Node], float] = field(default_factory=dict)  # of arrows from one step to the next, 0 to 1
    sums: set[str] = field(default_factory=set)  # names of what is added up from step to step
    # What is handed from step to step stands on a straight line: the names of such tensors, by a name for the line.
    tracks: dict[str, set[str]] = field(default_factory=dict)


def step_of(node: Node) -> int | None:
    """The time step a node was made in, from its scope."""
    t = node.scope.get("t") if node.scope else None
    return t if isinstance(t, int) else None


class Board:
    """A picture being drawn."""

    def __init__(self, graph: Graph, marks: Marks, title: str) -> None:
        self.graph = graph
        self.marks = marks
        self.picture = Picture(title)
        self.boxes: dict[str, Box] = {}
        self.place: dict[str, Group | None] = {}
        self.exits: dict[Node, str] = {}  # the box from which the value of a node goes on

    def add(self, box: Box, group: Group | None) -> str:
        (self.picture.boxes if group is None else group.boxes).append(box)
        self.boxes[box.id] = box
        self.place[box.id] = group
        return box.id

    def connect(self, arrow: Arrow) -> None:
        here, there = self.place[arrow.source], self.place[arrow.target]
        (self.picture.arrows if here is None or here is not there else here.arrows).append(arrow)

    def add_result(self, node: Node, group: Group | None) -> str:
        """The ellipse of an op and, if the result has a name, its box; returns the ellipse."""
        number = self.graph.index[node]
        role = self.marks.role(node)
        op = self.add(Box(f"n{number}", "op", self.op_lines(node, role), self.tooltip(node)), group)
        self.exits[node] = op
        if role != "op":
            self.exits[node] = self.add(self.value_box(node, role), group)
            self.connect(Arrow(op, self.exits[node]))
        return op

    def value_box(self, node: Node, role: str) -> Box:
        return Box(f"v{self.graph.index[node]}", role, self.lines(node), self.tooltip(node), heat=self.marks.heat.get(node))

    def op_lines(self, node: Node, role: str) -> list[str]:
        symbol = self.graph.index_text(node) if "index" in node.options else node.op.symbol
        literals = [f"{x:g}" for x in node.operands if isinstance(x, int | float)]
        lines = [" ".join([symbol, *literals])]
        return [*lines, shortened(node.name)] if role == "op" and node.name else lines

    def name(self, node: Node) -> str:
        t = step_of(node)
        return self.marks.names.get(node) or ("" if node.name is None else node.name if t is None else f"{node.name}[{t}]")

    def lines(self, node: Node) -> list[str]:
        shape = str(node.shape).replace(" ", "") if node.shape else ""
        lines = [shortened(self.name(node)), shape, self.marks.notes.get(node, "")]
        return [line for line in lines if line]

    def tooltip(self, node: Node) -> str:
        where = f" in {node.scope}" if node.scope else ""
        return f"%{self.graph.index[node]} {self.graph.expression(node)} {node.shape} {node.dtype}{where}"

    def operand_number(self, node: Node, i: int) -> str:
        count = sum(isinstance(x, Node) for x in node.operands)
        return "" if count < 2 or node.op.variadic or node.op.name in UNNUMBERED else str(i + 1)


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def operand_nodes(node: Node) -> list[tuple[int, Any]]:
    """The operands that are nodes, with their numbers."""
    return [(i, x) for i, x in enumerate(node.operands) if isinstance(x, Node)]
