"""Strongly connected components of a directed graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

__all__ = ["on_cycles", "strongly_connected"]

T = TypeVar("T")


def on_cycles(after: Mapping[T, Iterable[T]]) -> set[T]:
    """Return the nodes that lie on a cycle of two or more nodes. ``after[x]`` are the nodes that x leads to.

    >>> on_cycles({1: [2], 2: [1, 3], 3: []})
    {1, 2}
    """
    return {x for part in strongly_connected(after) if len(part) > 1 for x in part}


def strongly_connected(after: Mapping[T, Iterable[T]]) -> list[list[T]]:
    """Return the strongly connected components; each comes after all components that it leads to.

    ``after[x]`` are the nodes that x leads to. Tarjan's algorithm (Depth-first search and linear graph algorithms, 1972)
    without recursion.

    >>> strongly_connected({1: [2], 2: [1, 3], 3: []})
    [[3], [1, 2]]
    """
    index: dict[T, int] = {}
    low: dict[T, int] = {}
    stack: list[T] = []
    on_stack: set[T] = set()
    found: list[list[T]] = []
    for root in after:
        if root in index:
            continue
        work = [(root, iter(after[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            here, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(after[other])))
                    break
                if other in on_stack:
                    low[here] = min(low[here], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == index[here]:
                    component: list[T] = []
                    while not component or component[-1] is not here:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    found.append(component[::-1])
    return found
