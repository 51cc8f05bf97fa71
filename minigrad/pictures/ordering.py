"""Orders and classes of nodes: each node after those that lead to it, and nodes that belong together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

N = TypeVar("N", bound=Hashable)

__all__ = ["classes", "topological"]


def topological(after: Mapping[N, Iterable[N]]) -> list[N]:
    """The nodes of an acyclic graph, each after those that lead to it; otherwise in the order given.

    >>> topological({"loss": [], "x": ["h"], "h": ["loss"]})
    ['x', 'h', 'loss']
    """
    waiting = dict.fromkeys(after, 0)
    for others in after.values():
        for other in others:
            waiting[other] += 1
    queue = [node for node, count in waiting.items() if not count]
    for node in queue:
        for other in after[node]:
            waiting[other] -= 1
            if not waiting[other]:
                queue.append(other)
    return queue


def classes(pairs: Iterable[tuple[N, N]]) -> dict[N, N]:
    """The first member of the class of each node, where the nodes of a pair are of one class.

    >>> classes([(1, 2), (5, 6), (6, 7)])
    {1: 1, 2: 1, 5: 5, 6: 5, 7: 5}
    """
    parent: dict[N, N] = {}

    def find(x: N) -> N:
        while parent.setdefault(x, x) != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for one, other in pairs:
        parent[find(other)] = find(one)
    return {x: find(x) for x in list(parent)}
