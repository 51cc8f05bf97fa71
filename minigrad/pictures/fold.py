"""The folded view: one time step for all, with arrows that lead from its end back to its beginning."""

from __future__ import annotations

from ..graph import Leaf, Node
from ..snapshot import Graph
from .board import Board, Marks, operand_nodes, step_of
from .picture import Arrow, Group, Picture

__all__ = ["fold"]


def fold(graph: Graph, marks: Marks, title: str = "") -> Picture:
    """The picture of a graph whose time steps repeat the same ops, with the steps folded into one.

    What the steps have in common is read from the scopes: the nodes of step t in the order in which they were made. The
    first step may differ (it begins from initial states), so the second stands for all.
    Raises ValueError if there are no steps, or if they differ.
    """
    steps: dict[int, list[Node]] = {}
    for node in graph:
        t = step_of(node)
        if t is not None and not isinstance(node, Leaf):
            steps.setdefault(t, []).append(node)
    if not steps:
        raise ValueError("nothing to fold: no node of this graph has a scope ('t', ...)")
    times = sorted(steps)
    model = times[min(1, len(times) - 1)]
    for t in times[2:]:
        if [n.op.name for n in steps[t]] != [n.op.name for n in steps[model]]:
            raise ValueError(f"cannot fold: the ops of step {t} are not those of step {model}; draw it unrolled")
    return Folding(graph, marks, title, steps, model).picture


class Folding(Board):
    """The board of the folded view."""

    def __init__(self, graph: Graph, marks: Marks, title: str, steps: dict[int, list[Node]], model: int) -> None:
        super().__init__(graph, marks, title)
        first, last = min(steps), max(steps)
        many = len(steps) > 1
        title = f"one step, repeated {len(steps)} times  (t = {first} ... {last})" if many else f"the only step, t = {first}"
        self.cell = Group("cell", title, repeated=many)
        self.picture.groups.append(self.cell)
        self.model = model
        self.uses: dict[Node, int] = {}
        for node in graph:
            for operand in dict.fromkeys(x for _, x in operand_nodes(node)):
                self.uses[operand] = self.uses.get(operand, 0) + 1

        for node in steps[model]:
            self.add_result(node, self.cell)
        twins = {kind(node): node for node in steps[model] if node.name}
        for node in steps[model]:
            for i, operand in operand_nodes(node):
                t = step_of(operand)
                number = self.operand_number(node, i)
                if t is not None and t != model:  # what the step before hands over
                    again = twins.get(kind(operand))
                    if again is not None and self.marks.role(operand) == "state":
                        label = f"{self.stem(again)}[t{t - model:+}]"
                        arrow = Arrow(self.exits[again], self.ellipse(node), "loop", label)
                    else:
                        arrow = Arrow(self.exits[node], self.ellipse(node), "sum loop", "sum so far")
                    self.connect(arrow)
                else:
                    self.connect(Arrow(self.source(operand), self.ellipse(node), operand=number))
        for t in dict.fromkeys((first, last)):
            if t != model:
                self.draw_first(steps[t], steps[model], t)
        for node, again in zip(steps[last], steps[model], strict=False):
            if self.marks.role(node) != "op" and self.marks.role(again) == "op":  # the total, which the last step has
                box = self.add(self.value_box(node, self.marks.role(node)), None)
                self.connect(Arrow(self.exits[again], box, "first", f"t = {last}"))
        for node in graph:
            if step_of(node) is None and not isinstance(node, Leaf):
                self.draw_outside(node, steps)

    def ellipse(self, node: Node) -> str:
        return f"n{self.graph.index[node]}"

    def source(self, operand: Node) -> str:
        """The box of an operand; leaves get theirs when they are first used."""
        if operand not in self.exits:
            inside = step_of(operand) is not None
            self.exits[operand] = self.add(self.value_box(operand, self.marks.role(operand)), self.cell if inside else None)
        return self.exits[operand]

    def draw_first(self, first: list[Node], model: list[Node], t: int) -> None:
        """What enters the first step only, or the last if it runs backwards: initial states."""
        for node, again in zip(first, model, strict=False):
            if node.op is not again.op:
                break
            for _, operand in operand_nodes(node):
                if step_of(operand) is None and self.marks.role(operand) == "initial":
                    self.connect(Arrow(self.source(operand), self.ellipse(again), "first", f"t = {t}"))

    def draw_outside(self, node: Node, steps: dict[int, list[Node]]) -> None:
        """A node that belongs to no step, such as a loss over all of them."""
        op = self.add_result(node, None)
        same = {old: new for t in steps for old, new in zip(steps[t], steps[self.model], strict=False)}
        seen = set()
        for _, operand in operand_nodes(node):
            origin = self.source(same.get(operand, operand))
            if origin not in seen:
                self.connect(Arrow(origin, op))
            seen.add(origin)

    def name(self, node: Node) -> str:
        plain = step_of(node) is None or not node.name or self.marks.role(node) == "op"
        return super().name(node) if plain or self.stem(node) == self.marks.names.get(node) else f"{self.stem(node)}[t]"

    def stem(self, node: Node) -> str:
        """Its name without the step."""
        name = self.marks.names.get(node) or node.name or ""
        return name.rpartition("[")[0] or name

    def lines(self, node: Node) -> list[str]:
        lines = super().lines(node)
        if self.marks.role(node) == "parameter" and self.uses.get(node, 0) > 1:
            lines.append(f"used x{self.uses[node]}")
        return lines


def kind(node: Node) -> tuple[object, ...]:
    """What a node has in common with its like in other steps: its name, and its place but for the step."""
    return node.name, *((place.name, place.value) for place in node.scope or () if place.name != "t")
