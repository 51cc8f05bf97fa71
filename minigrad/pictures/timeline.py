"""Time in a graph: the step that each node belongs to, by its scope, or by the loop that it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph import Leaf, Node
from ..graph_view import Graph
from ..loop import Folded, Growing, Loop, loops
from .annotations import Annotations, step_of
from .builder import stem
from .folded_steps import chosen_steps
from .ordering import classes

__all__ = ["Timeline"]

MOST_TRIED = 8  # of elements that are equal, as the first that a loop reads


class Timeline:
    """The place of each node in time. `steps` has the step of each node that belongs to one. `tracks` gives each value that a
    loop carries a name that is the same in all steps. `initial` has what the first steps read in its place.

    `arrays` are sequences by name. Where a loop reads their elements, these are recognised by their `values`: `elements`.
    """

    def __init__(
        self,
        graph: Graph,
        arrays: Mapping[str, Sequence[Any]] | None = None,
        values: Mapping[Node, np.ndarray] | None = None,
        folded: Folded | None = None,
    ) -> None:
        self.folded = folded or loops(graph)
        self.values = values or {}
        self.steps: dict[Node, int] = {node: t for node in graph if (t := step_of(node)) is not None}
        self.tracks: dict[Node, str] = {}
        self.initial: dict[Node, tuple[str, Node, int]] = {}  # the track that it begins, an op of it, and the step before
        self.elements: dict[Node, tuple[str, int]] = {}  # x[3] as ("x", 3)
        self.ways: dict[Loop, tuple[int, int]] = {}  # (sign, start): iteration n is step start + sign * n
        every = sorted((*self.folded.loops, *self.folded.maps), key=lambda loop: next(iter(loop.iterations[0].values())).number)
        stacked = self.places_in_stacks(graph)
        for number, loop in enumerate(every):
            self.recognise(loop, arrays or {}, self.values)
            self.ways[loop] = self.aligned(loop, stacked.get(loop, []))
            self.place(loop, f"loop{number}")
        self.turns: dict[Node, tuple[Growing, int]] = {}  # of what grows: the op of its body
        for number, growing in enumerate(self.folded.growing):
            for n, each in enumerate(growing.iterations):
                self.turns |= {node: (growing, i) for i, node in enumerate(each)}
                self.steps |= {node: n for node in each if node not in self.steps}
                self.tracks |= {each[i]: f"growing{number}.{i}" for i in growing.by}
        self.place_leaves(graph)

    def place(self, loop: Loop, name: str) -> None:
        """Give the ops of a loop their steps, and tracks to the values that it carries."""
        sign, start = self.ways[loop]
        for n, step in enumerate(loop.iterations):
            for node in step.values():
                self.steps.setdefault(node, start + sign * n)
        for place, entry in loop.carried.items():
            track, state = f"{name}.{entry.ops[-1]}", loop.body[entry.ops[-1]]
            made = [[step[j] for j in entry.ops if j in step] for step in loop.iterations]
            self.tracks |= {each[-1]: track for each in made if each}
            for n, x in loop.first.get(place, {}).items():
                if isinstance(x, Node) and x not in self.steps:
                    self.initial.setdefault(x, (track, state, start + sign * (n - max(entry.lag, 1))))

    def place_leaves(self, graph: Graph) -> None:
        """Give a leaf that only one step reads that step."""
        users: dict[Node, set[int | None]] = {}
        for node in graph:
            for x in node.operands:
                if isinstance(x, Leaf) and x not in self.steps and x not in self.initial:
                    users.setdefault(x, set()).add(self.steps.get(node))
        self.steps |= {leaf: t for leaf, ts in users.items() if len(ts) == 1 and (t := next(iter(ts))) is not None}

    def kinds(self) -> dict[int, str]:
        """A kind for each step. Steps of loops that share no step, such as an encoder and a decoder by hand, differ in kind."""
        same = ((start, start + sign * n) for loop, (sign, start) in self.ways.items() for n in range(len(loop)))
        return {t: f"kind {first}" for t, first in classes(same).items()}

    def step(self, node: Node) -> int | None:
        return self.steps.get(node)

    def track(self, node: Node) -> str:
        return self.initial[node][0] if node in self.initial else self.tracks.get(node, "")

    def equal(self, nodes: Iterable[Node]) -> bool:
        """True if the values of all are known, and equal."""
        return len({content(self.values[x]) if x in self.values else x for x in nodes}) == 1

    def formula(self, loop: Loop, values: Mapping[int, Any]) -> str:
        """A number that differs from iteration to iteration, in t where it is a multiple of it, or else "i[t]"."""
        if all(isinstance(x, int | np.integer) and not isinstance(x, bool) for x in values.values()):
            sign, start = self.ways[loop]
            points = [(start + sign * n, int(x)) for n, x in values.items()]
            (t, x), (last, y) = points[0], points[-1]
            slope = (y - x) // (last - t) if last != t else 1
            rest = x - slope * t
            if slope and all(x == slope * t + rest for t, x in points):
                return {1: "", -1: "-"}.get(slope, str(slope)) + "t" + (f"{rest:+}" if rest else "")
        return "i[t]"

    def in_all_iterations(self, node: Node) -> list[Node]:
        """The op that a node is of, in all iterations of its loop; of what is in none the node alone."""
        if node in self.folded.home:
            loop, _, i = self.folded.home[node]
            return [step[i] for step in loop.iterations if i in step]
        if node in self.turns:
            growing, i = self.turns[node]
            return [step[i] for step in growing.iterations]
        return [node]

    def named(self, node: Node, name: str) -> Iterator[tuple[Node, str]]:
        """A name for a node; in a loop one for each iteration, h[0], h[1], ..."""
        every = self.in_all_iterations(node)
        repeated = node in self.folded.home or node in self.turns
        yield from ((each, f"{stem(name)}[{self.steps[each]}]" if repeated else name) for each in every)

    def shown(self, steps: Any, annotations: Annotations) -> set[int] | None:
        """The steps that are drawn in full; of a backward pass those of the same t."""
        if not self.steps:
            if steps is not None:
                raise ValueError(f"steps={steps!r} chooses time steps, and this graph has none: no loop, no scope ('t', ...)")
            return None
        chosen = chosen_steps(steps, max(self.steps.values()) + 1)
        return {t for node in self.steps if self.steps[node] in chosen and (t := annotations.step(node)) is not None}

    # -- which step an iteration is ------------------------------------------------------------------------------

    def aligned(self, loop: Loop, stacked: list[list[tuple[int, int]]]) -> tuple[int, int]:
        """(sign, start), so that x[t] is read at step t, and what another loop made at step t as well, forwards or backwards.
        Without such hints, by the order in which the results are stacked; or after the loop that it goes on from."""
        for sightings in (self.sightings(loop), stacked):
            votes = Counter[tuple[int, int]]()
            for each in sightings:
                ways = Counter(way for n, t in each for way in ((1, t - n), (-1, t + n)))
                votes.update({way: count for way, count in ways.items() if 3 * count > 2 * len(each)})  # not at random
            last = len(loop) - 1
            possible = [way for way in votes if min(way[1], way[1] + way[0] * last) >= 0]
            if possible:
                return max(possible, key=lambda way: (votes[way], way[0]))
        adds = loop.adds()  # a loss goes on from one sequence to the next
        firsts = [x for (i, _), first in loop.first.items() if i not in adds for x in first.values()]
        before = [self.steps[x] for x in firsts if x in self.steps]
        return 1, max(before, default=-1) + 1  # a decoder begins where its encoder has ended

    def sightings(self, loop: Loop) -> Iterator[list[tuple[int, int]]]:
        """Hints to the steps of iterations: pairs of an iteration and the step that it belongs to, or reads something of."""
        yield [(n, t) for n, step in enumerate(loop.iterations) for node in step.values() if (t := step_of(node)) is not None]
        for each in loop.per_step.values():
            yield [(n, self.steps[x]) for n, x in each.items() if isinstance(x, Node) and x in self.steps]
            yield [(n, self.elements[x][1]) for n, x in each.items() if isinstance(x, Node) and x in self.elements]
            arrays = [(n, self.values[x]) for n, x in each.items() if isinstance(x, Leaf) and x in self.values]
            yield [(n, t) for n, array in arrays if (t := place_in_whole(array)) is not None]
        for (i, key), values in loop.options.items():
            if key == "index":
                length = loop.body[i].operands[0].shape[:1]
                yield [(n, t) for n, index in values.items() if (t := first_of(index, *length)) is not None]

    def places_in_stacks(self, graph: Graph) -> dict[Loop, list[list[tuple[int, int]]]]:
        """For each stack of a result of all iterations of a loop: the iterations, and their places in the stack."""
        found: dict[Loop, list[list[tuple[int, int]]]] = {}
        home = self.folded.home
        for node in graph:
            if node.op is not None and node.op.variadic and all(x in home for x in node.operands):
                made = [home[x] for x in node.operands]
                if len({(loop, i) for loop, _, i in made}) == 1 and len(made) == len(made[0][0]):
                    found.setdefault(made[0][0], []).append([(n, k) for k, (_, n, _) in enumerate(made)])
        return found

    def recognise(self, loop: Loop, arrays: Mapping[str, Sequence[Any]], values: Mapping[Node, np.ndarray]) -> None:
        """Find the leaves that a loop reads, another in each iteration, among the elements of the arrays."""
        elements: dict[str, list[tuple[Any, ...]]] = {}
        for each in loop.per_step.values():
            leaves = {n: x for n, x in each.items() if isinstance(x, Leaf)}
            if len(leaves) < len(each) or any(x.name or x.requires_grad or x not in values for x in leaves.values()):
                continue
            read = {n: content(values[x]) for n, x in leaves.items()}
            for name, array in arrays.items():
                if name not in elements:
                    elements[name] = list(map(content, array))
                found = places_of(read, elements[name])
                if found:
                    self.elements |= {leaves[n]: (name, k) for n, k in found.items()}
                    break


def content(x: Any) -> tuple[Any, ...]:
    """Shape and bytes of an array, to compare it with others."""
    return np.shape(x), np.asarray(x, float).tobytes()


def places_of(read: Mapping[int, Any], elements: Sequence[Any]) -> dict[int, int] | None:
    """The element that each iteration reads. Of several equal ones, such as letters, those that follow one another; None if
    that is ambiguous."""
    every: dict[Any, list[int]] = {}
    for k, x in enumerate(elements):
        every.setdefault(x, []).append(k)
    if any(x not in every for x in read.values()):
        return None
    begin, first = next(iter(read.items()))
    for sign in (1, -1):
        for place in every[first][:MOST_TRIED]:
            found = {n: place + sign * (n - begin) for n in read}
            if all(0 <= k < len(elements) and elements[k] == read[n] for n, k in found.items()):
                return found
    return {n: every[x][0] for n, x in read.items()} if all(len(every[x]) == 1 for x in read.values()) else None


def place_in_whole(array: np.ndarray) -> int | None:
    """The t of an array that is x[t], or x[:, t], of a larger one that it shares memory with."""
    whole: Any = array.base
    for axis in range(whole.ndim if isinstance(whole, np.ndarray) else 0):
        others = [(size, step) for k, (size, step) in enumerate(zip(whole.shape, whole.strides, strict=True)) if k != axis]
        if others == list(zip(array.shape, array.strides, strict=True)) and whole.strides[axis]:
            return int(array.ctypes.data - whole.ctypes.data) // int(whole.strides[axis])
    return None


def first_of(index: Any, length: int) -> int | None:
    """The t of an index like t, or (t, ...)."""
    first = index[0] if isinstance(index, tuple) and index else index
    return int(first) % max(length, 1) if isinstance(first, int | np.integer) and not isinstance(first, bool) else None
