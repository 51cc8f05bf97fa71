"""The view of a graph in nested frames: those of its scopes, to any depth."""

from __future__ import annotations

from itertools import pairwise

from ..graph import Leaf, Node
from ..graph_view import Graph
from .annotations import Annotations
from .builder import Builder, operand_nodes
from .picture import Arrow, Box, Group, Picture

__all__ = ["nested"]


def nested(graph: Graph, annotations: Annotations, title: str, depth: int) -> Picture:
    """The picture of a graph with a frame for each scope, as deep as `depth`; 0 is none.

    Parameters that are used in several frames have a small box in each.
    """
    if depth < 0:
        raise ValueError(f"depth must be at least 0, the number of frames around a node, not {depth}")
    builder = Nesting(graph, annotations, title)
    builder.depth = depth
    builder.picture.nested = True
    for node in graph:
        if not isinstance(node, Leaf):
            builder.draw(node)
    builder.add_leaves(builder.group_of)
    for group in [None, *builder.picture.all_groups()]:  # the steps of one sequence in a row
        inside = builder.picture.groups if group is None else group.groups
        keep_order(builder.picture, [part for part in inside if part.title.startswith("t = ") and not part.groups])
    return builder.picture


class Nesting(Builder):
    """The builder of nested frames."""

    depth = 0

    def group_of(self, node: Node) -> Group | None:
        """The innermost frame of a node; frames are made when they are first needed."""
        here: Group | None = None
        for place in list(node.scope or ())[: self.depth]:
            inside = self.picture.groups if here is None else here.groups
            title = place.name if place.value is None else f"{place.name} = {place.value}"
            found = next((group for group in inside if group.title == title), None)
            if found is None:
                found = Group(f"{'s' if here is None else here.id}_{len(inside)}", title)
                inside.append(found)
            here = found
        return here

    def draw(self, node: Node) -> None:
        here = self.group_of(node)
        sources = [(i, operand, self.source(operand, here)) for i, operand in operand_nodes(node)]
        op = self.add_result(node, here)
        for i, operand, source in sources:
            role, number = self.arrow_role(node), self.operand_number(node, i)
            self.connect(Arrow(source, op, role, operand=number, emphasis=self.emphasis(operand, node)))

    def source(self, operand: Node, group: Group | None) -> str:
        if group is not None and self.is_parameter(operand):
            alias = f"p{self.graph.index[operand]}_{group.id}"
            if alias not in self.boxes:
                lines = self.lines(operand)[:1]
                self.add(Box(alias, "alias", lines, self.tooltip(operand), emphasis=self.emphasis(operand)), group)
            return alias
        if operand not in self.exits:
            self.exits[operand] = self.add(self.value_box(operand, self.annotations.role(operand)), self.group_of(operand))
        return self.exits[operand]


def keep_order(picture: Picture, groups: list[Group]) -> None:
    """Unseen arrows from every end of a step to every op that the next one begins with keep the steps in a row."""
    for group, following in pairwise([group for group in groups if group.boxes]):
        left = {arrow.source for arrow in group.arrows}
        ends = [box.id for box in group.boxes if box.id not in left]
        picture.arrows += [Arrow(end, op, "order") for end in ends for op in first_boxes(following)]


def first_boxes(group: Group) -> list[str]:
    """The ops that wait for no other op of the group."""
    ends = [(a.source, a.target) for a in group.arrows]
    made = {target for _, target in ends}
    waiting = {target for source, target in ends if source in made}
    first = [box.id for box in group.boxes if box.role in ("op", "backward") and box.id not in waiting]
    return first or [box.id for box in group.boxes if box.id not in made]
