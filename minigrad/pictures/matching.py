"""Counterparts of nodes in other time steps: steps are matched by their ops, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from typing import Any

from ..graph import Leaf, Node
from ..graph_view import Graph

__all__ = ["slots_of"]

PARTS = ("t", "encoder", "decoder")


def slots_of(graph: Graph, steps: Mapping[Node, int], kind: Callable[[int], str]) -> dict[Node, str]:
    """For each op the name of its place in a step: the same in all steps that have such an op there.

    Steps of one kind are matched with the longest of them, and those of an encoder with those of its decoder. What has no match
    gets a slot of its own.
    """
    inside: dict[int, list[Node]] = defaultdict(list)
    for node in graph:
        if node in steps and not isinstance(node, Leaf):
            inside[steps[node]].append(node)
    longest: dict[str, int] = {}
    for t, nodes in inside.items():
        if kind(t) not in longest or len(nodes) > len(inside[longest[kind(t)]]):
            longest[kind(t)] = t
    own = {node: str(number) for node, number in graph.index.items()}  # a number in the graph: the same in every process
    found: dict[Node, str] = {}

    def what(node: Node) -> tuple[Any, ...]:
        """The kind of an op: its name, shape and scope without the step."""
        return node.op.name, node.shape, tuple((part.name, part.value) for part in node.scope or () if part.name not in PARTS)

    def made_of(node: Node) -> tuple[Any, ...]:
        """Its kind, and its operands in the same step."""
        return *what(node), *(x.op.name if x.op is not None and steps.get(x) == steps[node] else "" for x in node.parents)

    def with_parameters(node: Node) -> tuple[Any, ...]:
        return *made_of(node), *(x.number for x in node.parents if isinstance(x, Leaf) and x.requires_grad)

    models: dict[str, list[Node]] = {}
    for t in sorted(longest.values(), key=lambda t: -len(inside[t])):
        family = "parts" if kind(t) in PARTS else kind(t)
        match(models.get(family, []), inside[t], own, found, (made_of, what))
        models.setdefault(family, inside[t])
    known: dict[tuple[Any, ...], list[str]] = {}
    for t, nodes in inside.items():
        like = inside[longest[kind(t)]]
        if nodes is like:
            continue
        key = (kind(t), *map(with_parameters, nodes))
        if key not in known:  # steps that are equal are matched once
            match(like, nodes, own, found, (with_parameters, made_of, what))
            known[key] = [found[node] for node in nodes]
        found |= zip(nodes, known[key], strict=True)
    return found


def match(
    model: list[Node],
    nodes: list[Node],
    own: Mapping[Node, str],
    found: dict[Node, str],
    keys: tuple[Callable[[Node], tuple[Any, ...]], ...],
) -> None:
    """Give the nodes of a step the places of those of a model that they are like, by the first key; what lies between those
    that have one, by the next keys. What has no match gets its `own`."""
    if not keys or not model:
        found |= {node: own[node] for node in nodes}
        return
    key, *others = keys
    i = j = 0
    blocks = SequenceMatcher(None, list(map(key, model)), list(map(key, nodes)), autojunk=False).get_matching_blocks()
    for a, b, count in blocks:
        match(model[i:a], nodes[j:b], own, found, tuple(others))
        found |= {nodes[b + k]: found[model[a + k]] for k in range(count)}
        i, j = a + count, b + count
