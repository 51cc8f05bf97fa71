"""The builder that all views share: it makes boxes and arrows of nodes, and puts them into groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..graph import Leaf, Node
from ..graph_view import Graph
from .annotations import Annotations, step_of
from .picture import Arrow, Box, Group, Picture

__all__ = ["Builder", "changed", "operand_nodes", "runs", "shortened", "stem"]

# ops of which it is plain which operand is which
UNNUMBERED = {"add", "multiply", "maximum", "minimum", "linear", "cross_entropy"}
LONGEST_NAME = 40
KEEPING = ("sum", "mean", "reshape")  # ops that leave one number as it is
SHORT = {"*": "×", "cross_entropy": "x-ent", "concatenate": "concat"}
NAMED = ("tensor", "output", "loss")  # results that share a box with their op


class Builder:
    """A picture being drawn."""

    def __init__(self, graph: Graph, annotations: Annotations, title: str) -> None:
        self.graph = graph
        self.annotations = annotations
        self.picture = Picture(title)
        self.boxes: dict[str, Box] = {}
        self.place: dict[str, Group | None] = {}
        self.exits: dict[Node, str] = {}  # the box from which the value of a node goes on
        self.users: dict[Node, list[Node]] = {}
        for node in graph:
            for _, operand in operand_nodes(node):
                self.users.setdefault(operand, []).append(node)

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
        role = self.annotations.role(node)
        same = self.unchanged(node)
        if same is not None:
            self.exits[node] = self.exits[same]
            return self.exits[node]
        if self.is_named(node):  # the op and its result are one box
            box = self.value_box(node, "gradient" if node in self.annotations.backward else role)
            symbol, *more = self.op_lines(node, role)
            if role == "loss" and len(box.lines) == 2 and node not in self.annotations.heat:  # the number is its value
                box.lines[1] = f"{symbol} = {box.lines[1]}"
            else:
                box.lines[1:1] = [symbol, *more]
            box.slot = self.slot(node)
            self.exits[node] = self.add(box, group)
            return box.id
        total = role == "loss" and node in self.annotations.sums  # only the last sum has a box, which stands behind the steps
        op = self.add_op(node, "" if total else role, group)
        self.exits[node] = op
        if role != "op" and node not in self.annotations.blocks and not (total and node not in self.graph.outputs):
            box = self.value_box(node, role)
            box.slot = "" if total else self.exit_slot(node)
            self.exits[node] = self.add(box, None if total else group)
            role = "gathered" if total else self.arrow_role(node)
            self.connect(Arrow(op, box.id, role=role, emphasis=self.emphasis(node)))
        return op

    def is_named(self, node: Node) -> bool:
        """True if an op and its result share one box: of what is carried and of the total the result has a box of its own."""
        return (
            self.annotations.role(node) in NAMED and node not in self.annotations.sums and node not in self.annotations.blocks
        )

    def unchanged(self, node: Node) -> Node | None:
        """The operand, one number, that an op in a step returns unchanged: such ops are not drawn."""
        if node.op.name not in KEEPING or self.annotations.role(node) != "op" or not self.slot(node):
            return None
        operand = next(iter(node.parents))
        alone = operand.shape and all(n == 1 for n in operand.shape) and len(self.users[operand]) == 1
        return operand if alone and operand.op is not None and self.group_of(operand) is self.group_of(node) else None

    def is_parameter(self, node: Node) -> bool:
        return isinstance(node, Leaf) and self.annotations.role(node) == "parameter"

    def group_of(self, node: Node) -> Group | None:
        """The frame that a node stands in."""
        return None

    def slot(self, node: Node) -> str:
        """The key of an op that is the same in other time steps."""
        return ""

    def exit_slot(self, node: Node) -> str:
        """The slot of the box from which the value of a node goes on."""
        slot, role = self.slot(node), self.annotations.role(node)
        total = role == "loss" and node in self.annotations.sums
        apart = slot and role != "op" and not self.is_named(node) and not total and node not in self.annotations.blocks
        if apart and role == "state" and self.annotations.track(node):  # whatever op has made it
            return f"{self.annotations.track(node)} value"
        return f"{slot} value" if apart else slot

    def box_of(self, node: Node) -> str:
        """The box in which an op is computed."""
        return f"{'v' if self.is_named(node) else 'n'}{self.graph.index[node]}"

    def add_leaves(self, group: Callable[[Node], Group | None]) -> None:
        """Boxes for the leaves that are results themselves, and so have no user to draw them."""
        graph = self.graph
        for node in (*graph.outputs, *graph.gradients.values()):
            if isinstance(node, Leaf) and node not in self.exits:
                self.exits[node] = self.add(self.value_box(node, self.annotations.role(node)), group(node))

    def add_op(self, node: Node, role: str, group: Group | None) -> str:
        block = self.annotations.blocks.get(node)
        if block is not None:
            if block.id not in self.boxes:
                self.add(Box(block.id, "block", list(block.lines), self.tooltip(node), block.slot), group)
            else:
                self.boxes[block.id].tooltip += f"\n{self.tooltip(node)}"
            if node in self.annotations.heat and self.annotations.role(node) != "state":
                self.boxes[block.id].heat = self.annotations.heat[node]
                self.boxes[block.id].lines += self.notes(node)
            return block.id
        heat = self.annotations.heat.get(node) if role == "op" else None
        look = "backward" if node in self.annotations.backward else "slice" if "index" in node.options else "op"
        id, lines, slot, emphasis = (
            f"n{self.graph.index[node]}",
            self.op_lines(node, role),
            self.slot(node),
            self.emphasis(node),
        )
        return self.add(Box(id, look, lines, self.tooltip(node), slot, heat=heat, emphasis=emphasis), group)

    def value_box(self, node: Node, role: str) -> Box:
        return Box(
            f"v{self.graph.index[node]}", role, self.lines(node), self.tooltip(node),
            heat=self.annotations.heat.get(node), emphasis=self.emphasis(node),
        )  # fmt: skip

    def emphasis(self, *nodes: Node) -> str:
        if self.annotations.path is None:
            return ""
        return "strong" if all(node in self.annotations.path for node in nodes) else "faint"

    def arrow_role(self, node: Node) -> str:
        return "backward" if node in self.annotations.backward else "flow"

    def op_lines(self, node: Node, role: str) -> list[str]:
        symbol = changed(self.index_text(node)) if "index" in node.options else SHORT.get(node.op.symbol, node.op.symbol)
        first = next((i for i, x in enumerate(node.operands) if isinstance(x, Node)), 0)
        literals = [(i, self.literal(node, i)) for i, x in enumerate(node.operands) if isinstance(x, int | float)]
        before, after = ([text for i, text in literals if (i < first) is side] for side in (True, False))
        lines = [" ".join([*before, symbol, *after])]
        if role != "op" or node in self.annotations.sums:
            return lines
        name = self.name(node)
        return [*lines, *([shortened(name)] if name else []), *self.notes(node)]

    def index_text(self, node: Node) -> str:
        return self.graph.index_text(node)

    def literal(self, node: Node, i: int) -> str:
        """An operand that is a number."""
        return f"{node.operands[i]:g}"

    def name(self, node: Node) -> str:
        t = step_of(node)
        plain = self.annotations.role(node) in ("op", "parameter", "tensor")
        own = "" if node.name is None else node.name if t is None or plain else f"{node.name}[{t}]"
        return self.annotations.names.get(node) or own

    def notes(self, node: Node) -> list[str]:
        note = self.annotations.notes.get(node, "")
        return note.split("\n") if note else []

    def lines(self, node: Node) -> list[str]:
        shape = str(node.shape).replace(" ", "") if node.shape and self.annotations.shapes else ""
        dtype = str(node.dtype) if self.annotations.dtypes else ""
        lines = [shortened(self.name(node)), f"{shape} {dtype}".strip(), *self.notes(node)]
        return [line for line in lines if line] or [f"%{self.graph.index[node]}"]

    def tooltip(self, node: Node) -> str:
        where = f" in {node.scope}" if node.scope else ""
        text = f"%{self.graph.index[node]} {self.graph.expression(node)} {node.shape} {node.dtype}{where}"
        more = self.annotations.tooltip(node)
        return f"{text}\n{more}" if more else text

    def operand_number(self, node: Node, i: int) -> str:
        plain = node.op.variadic or node.op.name in UNNUMBERED or node in self.annotations.blocks
        return "" if plain or sum(isinstance(x, Node) for x in node.operands) < 2 else str(i + 1)


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def stem(name: str) -> str:
    """A name without its step.

    >>> stem("h[3]"), stem("loss")
    ('h', 'loss')
    """
    return name.rpartition("[")[0] or name


def changed(index: str) -> str:
    """An index without the axes that it leaves whole.

    >>> changed("[:, 8:16]"), changed("[3]")
    ('8:16', '[3]')
    """
    parts = [part for part in index.strip("[]").split(", ") if part not in (":", "...")]
    return parts[0] if len(parts) == 1 and ":" in parts[0] else index


def operand_nodes(node: Node) -> list[tuple[int, Any]]:
    """The operands that are nodes, with their numbers."""
    return [(i, x) for i, x in enumerate(node.operands) if isinstance(x, Node)]


def runs(steps: Iterable[int]) -> list[tuple[int, int]]:
    """Steps that follow one another, as (first, last).

    >>> runs([3, 4, 5, 9])
    [(3, 5), (9, 9)]
    """
    found: list[tuple[int, int]] = []
    for t in sorted(steps):
        if found and found[-1][1] == t - 1:
            found[-1] = (found[-1][0], t)
        else:
            found.append((t, t))
    return found
