"""Orders of a graph: each node after those that lead to it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

N = TypeVar("N", bound=Hashable)

__all__ = ["topological"]


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
