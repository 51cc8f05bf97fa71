"""Time in a graph: the step that each node belongs to, as its scope says, or the loop that it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..graph import Leaf, Node
from ..loops import Folded, Loop, loops
from ..snapshot import Graph
from .board import Marks, step_of
from .strips import chosen_steps

__all__ = ["Timeline"]


class Timeline:
    """Where the nodes of a graph are in time. `steps` has the step of each node that belongs to one; `tracks`, of each value
    that a loop carries, a name that is the same in all steps; `initial` what the first steps read in its place."""

    def __init__(self, graph: Graph) -> None:
        self.folded: Folded = loops(graph)
        self.steps: dict[Node, int] = {node: t for node in graph if (t := step_of(node)) is not None}
        self.tracks: dict[Node, str] = {}
        self.initial: dict[Node, str] = {}  # and the track that it begins
        every = sorted((*self.folded.loops, *self.folded.maps), key=lambda loop: next(iter(loop.iterations[0].values())).number)
        self.backwards: set[Loop] = set()  # those that go from the last step to the first
        for number, loop in enumerate(every):
            sign, start = self.aligned(loop)
            if sign < 0:
                self.backwards.add(loop)
            for n, step in enumerate(loop.iterations):
                for node in step.values():
                    self.steps.setdefault(node, start + sign * n)
            for place, entry in loop.carried.items():
                track = f"loop{number}.{entry.ops[-1]}"
                self.tracks |= {step[j]: track for step in loop.iterations for j in entry.ops if j in step}
                self.initial |= {
                    x: track for x in loop.first.get(place, {}).values() if isinstance(x, Node) and x not in self.steps
                }
        users: dict[Node, set[int | None]] = {}
        for node in graph:
            for x in node.operands:
                if isinstance(x, Leaf) and x not in self.steps and x not in self.initial:
                    users.setdefault(x, set()).add(self.steps.get(node))
        self.steps |= {leaf: t for leaf, ts in users.items() if len(ts) == 1 and (t := next(iter(ts))) is not None}

    def step(self, node: Node) -> int | None:
        return self.steps.get(node)

    def track(self, node: Node) -> str:
        return self.tracks.get(node, "")

    def named(self, node: Node, name: str) -> Iterator[tuple[Node, str]]:
        """A name for a node; in a loop one for each iteration, h[0], h[1], ..."""
        if node not in self.folded.home:
            yield node, name
            return
        loop, _, i = self.folded.home[node]
        stem = name.rpartition("[")[0] or name
        yield from ((step[i], f"{stem}[{self.steps[step[i]]}]") for step in loop.iterations if i in step)

    def shown(self, steps: Any, marks: Marks) -> set[int] | None:
        """The steps that are drawn in full; of a backward pass those of the same t."""
        if not self.steps:
            if steps is not None:
                raise ValueError(f"steps={steps!r} chooses time steps, and this graph has none: no loop, no scope ('t', ...)")
            return None
        chosen = chosen_steps(steps, max(self.steps.values()) + 1)
        return {t for node in self.steps if self.steps[node] in chosen and (t := marks.step(node)) is not None}

    def aligned(self, loop: Loop) -> tuple[int, int]:
        """(sign, start): iteration n is step start + sign * n. So that x[t] is read at step t, and what another loop made at
        step t as well, forwards or backwards."""
        votes = Counter[tuple[int, int]]()
        for n, t in self.sightings(loop):
            votes[1, t - n] += 1
            votes[-1, t + n] += 1
        return max(votes, key=lambda way: (votes[way], way[0]), default=(1, 0))

    def sightings(self, loop: Loop) -> Iterator[tuple[int, int]]:
        """Iterations, and steps that they read something of."""
        for n, step in enumerate(loop.iterations):
            yield from ((n, t) for node in step.values() if (t := step_of(node)) is not None)
        for each in loop.per_step.values():
            yield from ((n, self.steps[x]) for n, x in each.items() if x in self.steps)
        for (i, key), values in loop.options.items():
            if key == "index":
                length = loop.body[i].operands[0].shape[:1]
                yield from ((n, t) for n, index in values.items() if (t := first_of(index, *length)) is not None)


def first_of(index: Any, length: int) -> int | None:
    """The t of an index like t, or (t, ...)."""
    first = index[0] if isinstance(index, tuple) and index else index
    return int(first) % max(length, 1) if isinstance(first, int | np.integer) and not isinstance(first, bool) else None
