"""A graph of plain data: the picture of an engine of your own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .drawing import Drawing, drawn
from .picture import Arrow, Box, Picture

__all__ = ["draw_graph"]


def draw_graph(
    nodes: Mapping[Any, object], parents: Mapping[Any, Iterable[Any]], *, title: str = "", limit: int | None = 20_000
) -> Drawing:
    """Draw a graph that is given as plain data, such as that of an engine you wrote yourself.

    `nodes` maps each node to its label, a text of one or more lines. `parents` maps a node to the nodes that it was computed
    from, in their order; a node that is not in it has none. Nodes are anything that can be a key of a dict. Those without
    parents are drawn as boxes, the others as ellipses, with an arrow from each parent. The order of `nodes` does not matter.

    Raises ValueError for a parent that is not in `nodes`, for parents of a node that is not, for a cycle, for no nodes, and
    for more than `limit` of them.

    >>> import minigrad
    >>> drawing = minigrad.draw_graph({1: "x\\n2", 2: "w\\n3", 3: "*\\n6"}, {3: [2, 1]}, title="w x")
    >>> [(box.role, box.lines) for box in drawing.picture.boxes]
    [('input', ['x', '2']), ('input', ['w', '3']), ('op', ['*', '6'])]
    """
    if not isinstance(nodes, Mapping) or not isinstance(parents, Mapping):
        given = type(parents if isinstance(nodes, Mapping) else nodes).__name__
        raise TypeError(f"draw_graph takes two dicts, node: label and node: its parents, not a {given}")
    if not nodes:
        raise ValueError("there is nothing to draw: give at least one node")
    read = {node: list(parents.get(node, ())) for node in nodes}
    check(read, parents)
    picture = Picture(title)
    names = {node: f"n{i}" for i, node in enumerate(nodes)}
    for node in in_order(read):
        lines = str(nodes[node]).splitlines() or [""]
        picture.boxes.append(Box(names[node], "op" if read[node] else "input", lines))
        picture.arrows += [Arrow(names[parent], names[node], place=i) for i, parent in enumerate(read[node])]
    text = "\n".join(f"{label}".replace("\n", " ") for label in nodes.values())
    return drawn(picture, text, limit, "a part of it")


def check(read: Mapping[Hashable, list[Any]], parents: Mapping[Any, object]) -> None:
    """Raise ValueError where a node is used that has no label."""
    for node in parents:
        if node not in read:
            raise ValueError(f"parents has {node!r}, which is not in nodes: give it a label there")
    for node, several in read.items():
        for parent in several:
            if parent not in read:
                raise ValueError(f"a parent of {node!r} is {parent!r}, which is not in nodes: give it a label there")


def in_order(read: Mapping[Any, list[Any]]) -> list[Any]:
    """The nodes, parents first. Raise ValueError for a cycle."""
    try:
        return list(TopologicalSorter(read).static_order())
    except CycleError as error:
        around = " -> ".join(repr(node) for node in error.args[1])
        raise ValueError(f"{around}: a value cannot be computed from itself, so look at how parents was made") from None
