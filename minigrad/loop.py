"""The loops of a recorded graph, found in the record alone: which ops repeat, and what each iteration reads.

A Python loop leaves the same ops in the record again and again. `loop_search` finds the iterations. The tables here have for
each operand of the loop's body what it reads: another op of the body, a result of an earlier iteration, a weight, x[t].
`Loop.expanded` gives the nodes back from the tables alone. All views of time steps read the tables.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .graph import Node
from .graph_view import Graph
from .loop_search import INSIDE, INVARIANT, LEAST, PER_STEP, Place, Record, Sources, needed, numbered, reached, runs
from .tensor import Tensor

__all__ = ["Carried", "Folded", "Growing", "Loop", "loops"]

Steps = dict[int, Any]  # in iteration n


class Carried(NamedTuple):
    """An operand that an earlier iteration made: the newest result of `ops` in iterations up to n - `lag`.

    With `lag` 0, results made before the reader in the same iteration count as well: ``h`` after ``if t in (4, 9): h = h / 2``.
    """

    ops: tuple[int, ...]
    lag: int


@dataclass(eq=False, repr=False)
class Loop:
    """One loop: its iterations, and tables that say what each operand of the body reads.

    ``iterations[n][i]`` is the node of op i of the body in iteration n. An op that only some iterations have is missing in
    the others. Operand k of op i is in one of four tables, at the key (i, k):

    - `inside`: (j,), op j of the same iteration; (j1, j2): the last of several that the iteration has;
    - `carried`: an op of an earlier iteration, see `Carried`. A loop without is a map;
    - `invariant`: one node or number, the same in all iterations, such as a weight;
    - `per_step`: {n: node} from outside the loop, such as ``x[t]``.

    `first` tells where iterations read something else: {(i, k): {n: node}}, such as the initial value, {(2, 0): {0: h0}}.
    `options` are the options that differ, {(i, key): {n: value}}. `collected` are the ops that are read outside, and in
    which iterations. `inner` are the loops within the fullest iteration.

    >>> import minigrad as mg
    >>> a, x = (mg.tensor(2.0, requires_grad=True, name=name) for name in "ax")
    >>> for _ in range(5):
    ...     x = x - (x * x - a) / (2 * x)  # Newton's method
    >>> loop = mg.loops(x).loops[0]
    >>> print(loop)
    5 times: 5 ops, carries x; a is shared
    >>> loop.inside[1, 0], loop.carried[0, 0].ops, loop.invariant[1, 1].name
    ((0,), (4,), 'a')
    >>> [node is x._node for node, op, operands, options in loop.expanded()][-1]
    True
    """

    iterations: list[dict[int, Node]]
    inside: dict[Place, tuple[int, ...]] = field(default_factory=dict)
    carried: dict[Place, Carried] = field(default_factory=dict)
    invariant: dict[Place, Any] = field(default_factory=dict)
    per_step: dict[Place, Steps] = field(default_factory=dict)
    first: dict[Place, Steps] = field(default_factory=dict)
    options: dict[tuple[int, str], Steps] = field(default_factory=dict)
    collected: dict[int, list[int]] = field(default_factory=dict)
    inner: list[Loop] = field(default_factory=list)

    def __post_init__(self) -> None:
        middle = self.iterations[len(self.iterations) // 2]
        example = {i: node for step in (*self.iterations, middle) for i, node in step.items()}
        self.body: list[Node] = [example[i] for i in range(len(example))]

    def __len__(self) -> int:
        return len(self.iterations)

    @property
    def state(self) -> list[int]:
        """The ops that end an iteration with a value that later ones read: one for each thing carried."""
        return sorted({entry.ops[-1] for entry in self.carried.values()})

    @property
    def optional(self) -> dict[int, list[int]]:
        """The ops that only some iterations have, and which iterations have them."""
        there = ([n for n, step in enumerate(self.iterations) if i in step] for i in range(len(self.body)))
        return {i: steps for i, steps in enumerate(there) if len(steps) < len(self)}

    # -- the law -----------------------------------------------------------------------------------------------

    def operand(self, n: int, i: int, k: int) -> Any:
        """Operand k of op i in iteration n, from the tables alone."""
        place = (i, k)
        if n in self.first.get(place, ()):
            return self.first[place][n]
        if place in self.inside:
            step = self.iterations[n]
            return step[max(j for j in self.inside[place] if j in step)]
        if place in self.invariant:
            return self.invariant[place]
        if place in self.per_step:
            return self.per_step[place][n]
        ops, lag = self.carried[place]
        for m in range(n - lag, -1, -1):
            made = [j for j in ops if j in self.iterations[m] and (m < n or j < i)]
            if made:
                return self.iterations[m][max(made)]
        raise LookupError(f"operand {k} of op {i} has no value in iteration {n}")

    def expanded(self) -> Iterator[tuple[Node, Any, tuple[Any, ...], dict[str, Any]]]:
        """Each node of the loop in order, with its op, operands and options as the tables say."""
        for n, step in enumerate(self.iterations):
            for i in sorted(step):
                like = self.body[i]
                options = {key: self.options[i, key][n] if (i, key) in self.options else x for key, x in like.options.items()}
                yield step[i], like.op, tuple(self.operand(n, i, k) for k in range(len(like.operands))), options

    def holds(self) -> bool:
        """True if the tables give back what was recorded."""
        try:
            return all(
                len(operands) == len(node.operands) and all(map(operator.is_, operands, node.operands))
                for node, _, operands, _ in self.expanded()
            )
        except LookupError:
            return False

    # -- readings of the tables --------------------------------------------------------------------------------

    def reads(self) -> list[list[int]]:
        """For each op of the body those that it reads in the same iteration."""
        found: list[list[int]] = [[] for _ in self.body]
        for (i, _), ops in self.inside.items():
            found[i] += ops
        for (i, _), entry in self.carried.items():
            found[i] += [j for j in entry.ops if entry.lag == 0 and j < i]
        return found

    def reaches(self, late: Iterable[int]) -> set[int]:
        """The ops `late`, and all that read them within the iteration."""
        return reached(late, self.reads())

    def leading_to(self, ops: Iterable[int]) -> set[int]:
        """The ops that are read, by whatever way, by `ops` within the iteration, themselves included."""
        return needed(ops, self.reads())

    def waits(self) -> set[int]:
        """The ops that need an earlier iteration. All others can be computed for all iterations at once."""
        return self.reaches({i for i, _ in self.carried})

    def sums(self) -> dict[int, list[Place]]:
        """Sums over the iterations, such as a loss or dL/dW: the op that holds the sum, and the operands that are added."""
        adds: dict[int, tuple[int, ...]] = {i: (0, 1) for i, node in enumerate(self.body) if node.op.name == "add"}
        adds |= {i: (0,) for i, node in enumerate(self.body) if node.op.name == "subtract"}
        readers: dict[int, set[Place]] = {}
        for place, ops in [*self.inside.items(), *((place, entry.ops) for place, entry in self.carried.items())]:
            for j in ops:
                readers.setdefault(j, set()).add(place)
        found = {}
        for i, k in self.carried:
            chain, places = {i}, {(i, k)}
            while more := set().union(*(readers.get(j, set()) for j in chain)) - places:
                places |= more
                chain |= {j for j, _ in more}
            alone = len(places) == len(chain) and all(k in adds.get(j, ()) for j, k in places)
            if alone and any(chain & set(self.carried[place].ops) for place in places if place in self.carried):
                found[max(chain)] = [(j, 1 - k) for j, k in sorted(places)]
        return found

    def adds(self) -> set[int]:
        """The ops that add to these sums, and those of a number that only its next value reads: ``loss = 0.9 * loss + x``."""
        found = {i for places in self.sums().values() for i, _ in places}
        for j in self.state if any(self.body[j].shape for j in self.state) else ():
            own = self.reaches({i for (i, _), entry in self.carried.items() if j in entry.ops}) & self.leading_to({j})
            others = [place for place in (*self.inside, *self.carried) if place[0] not in own]
            read = {i for place in others for i in (self.inside.get(place) or self.carried[place].ops)}
            if self.body[j].shape == () and own.isdisjoint(read):
                found |= own
        return found

    def recurrence(self) -> set[int]:
        """The ops between what is carried in and what is carried out, without sums: these have to run one after another."""
        summing = self.adds()
        late = self.reaches({i for i, _ in self.carried} - summing)
        needed = {j for (i, _), entry in self.carried.items() if i not in summing for j in entry.ops}
        return (late & self.leading_to(needed)) - summing

    # -- in words ----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<Loop: {self}>"

    def __str__(self) -> str:
        (enter, shared), states = self.names_read(), self.state_names()
        parts = [f"{len(self)} times: {counted(len(self.body), 'op')}"]
        parts[0] += f", carries {listed(states)}" if states else ""
        parts += [f"{listed(enter)} enter{'s' * (len(set(enter)) == 1)}"] if enter else []
        parts += [f"{listed(shared)} {'is' if len(set(shared)) == 1 else 'are'} shared"] if shared else []
        some: dict[int, list[str]] = {}
        for i, steps in self.optional.items():
            some.setdefault(len(steps), []).append(self.body[i].op.name)
        parts += [f"{listed(names)} only in {count} of {len(self)}" for count, names in some.items()]
        return "; ".join([*parts, *(f"within: {inner}" for inner in self.inner)])

    def state_names(self) -> list[str]:
        """The names of what is carried: those of the initial values, or of the ops."""
        found = {j: called(self.body[j]) for j in self.state}
        for place, entry in self.carried.items():
            names = (x.name for x in self.first.get(place, {}).values() if isinstance(x, Node) and x.name)
            found[entry.ops[-1]] = next(names, found[entry.ops[-1]])
        return list(found.values())

    def names_read(self) -> tuple[list[str], list[str]]:
        """The names of what enters, x[t], and of what all iterations share."""
        moving = {i for i, key in self.options if key == "index"}
        weights = [(i, x) for (i, _), x in self.invariant.items() if isinstance(x, Node)]
        each = [x for i, x in weights if i in moving] + [next(iter(steps.values())) for steps in self.per_step.values()]
        enter = [called(x).removesuffix("[t]") + "[t]" for x in each if isinstance(x, Node)]
        return enter, [called(x) for i, x in weights if i not in moving]


def called(x: Node) -> str:
    """A node by its name, as x[t], or by its op and shape."""
    if x.name or x.op is None:
        return x.name or f"{'weight' if x.requires_grad else 'constant'} {x.shape}"
    of = x.operands[0]
    return f"{of.name}[t]" if x.op.name == "getitem" and of.name else f"{x.op.name} {x.shape}"


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names without those that come twice, and how many are left out."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:most]) + (f" and {len(different) - most} more" if len(different) > most else "")


@dataclass(eq=False, repr=False)
class Growing:
    """Iterations of the same ops that read more in each: attention over all earlier states. Not a loop, for shapes change.

    ``iterations[n][i]`` is the node of op i; `sizes` are the shapes and numbers of operands that grow, {i: [for each n]};
    `by` are the ops whose results of all iterations are read: the body grows by these.
    """

    iterations: list[list[Node]]
    sizes: dict[int, list[tuple[tuple[int, ...], int]]]
    by: list[int]

    def __repr__(self) -> str:
        return f"<Growing: {self}>"

    def __str__(self) -> str:
        body = self.iterations[-1]
        return f"{len(self.iterations)} times: {counted(len(body), 'op')}, grows by {listed(called(body[i]) for i in self.by)}"


class Folded:
    """The result of `loops`. Each op of the record is in one of `loops`, `maps` (loops that carry nothing) and `outside`.

    ``home[node]`` is (loop, n, i) for op i of iteration n. `growing` are stretches of `outside`, see `Growing`.
    """

    def __init__(self, found: list[Loop], nodes: list[Node]) -> None:
        self.loops = [loop for loop in found if loop.carried]
        self.maps = [loop for loop in found if not loop.carried]
        self.home = {node: (loop, n, i) for loop in found for n, step in enumerate(loop.iterations) for i, node in step.items()}
        self.outside = [node for node in nodes if node not in self.home]

    @cached_property
    def growing(self) -> list[Growing]:
        return growing([node for node in self.outside if node.op is not None])

    def adds(self) -> set[Node]:
        """The ops that add to a sum over iterations, such as a loss, in every iteration."""
        return {step[i] for loop in self.loops for i in loop.adds() for step in loop.iterations if i in step}

    def __repr__(self) -> str:
        ops = sum(node.op is not None for node in self.outside)
        return f"<Folded: {counted(len(self.loops), 'loop')}, {counted(len(self.maps), 'map')}, {counted(ops, 'op')} outside>"

    def __str__(self) -> str:
        ops = sum(node.op is not None for node in self.outside)
        lines = [*map(str, self.loops), *(f"{loop} (a map)" for loop in self.maps), *map(str, self.growing)]
        return "\n".join([*lines, f"{counted(ops, 'op')} outside"])


def sequences(found: Folded) -> Folded:
    """The same with the loops over time, one for each sequence, in the place of a loop over sequences."""
    loops_of: list[Loop] = []
    for loop in (*found.loops, *found.maps):
        outer = not loop.recurrence() and any(inner.recurrence() for inner in loop.inner)
        loops_of += [inner for step in loop.iterations for inner in loops(step.values()).loops] if outer else [loop]
    return Folded(loops_of, sorted((*found.outside, *found.home), key=operator.attrgetter("number")))


def loops(what: Tensor | Graph | Iterable[Node]) -> Folded:
    """Find the loops of a recorded graph: of a Tensor, of a `Graph` (with ``backward=True`` of both passes), or of nodes.

    Works for any code: an RNN layer, an RNN or an LSTM written by hand, Newton's method. Time grows with the length of the
    record. Raises TypeError for anything else.

    >>> import numpy as np, minigrad as mg
    >>> shapes = {"x": (50, 3), "W": (3, 4), "U": (4, 4), "h": 4}
    >>> x, W, U, h = (mg.tensor(np.ones(shape), requires_grad=True, name=name) for name, shape in shapes.items())
    >>> for t in range(50):
    ...     h = mg.tanh(x[t] @ W + h @ U)
    >>> print(mg.loops(h))
    50 times: 5 ops, carries h; x[t] enters; W, U are shared
    0 ops outside
    >>> loop = mg.loops(h).loops[0]
    >>> len(loop), [node.op.name for node in loop.body]
    (50, ['getitem', 'matmul', 'matmul', 'add', 'tanh'])
    >>> loop.carried[2, 0].ops  # operand 0 of op 2 is op 4 of the iteration before
    (4,)
    """
    nodes = recorded(what)
    record = numbered([node for node in nodes if node.op is not None])
    rows = record.loops()
    found = [tables(record, *each) for each in rows]
    for few in record.few():
        sources = record.sources(few, strict=False)
        if sources is not None and (loop := tables(record, few, sources)).holds():
            rows.append((few, sources))
            found.append(loop)
    collect(record, list(zip(found, (few for few, _ in rows), strict=True)))
    return Folded(found, nodes)


def recorded(what: Any) -> list[Node]:
    """The nodes of the argument of `loops`, oldest first."""
    if isinstance(what, Tensor):
        what = Graph(what, constants=True)
    if isinstance(what, Graph):
        return list(what.nodes)
    wanted = "give a Tensor, a Graph (for several tensors: mg.Graph([a, b])), or an iterable of Nodes"
    if isinstance(what, str | bytes | dict | np.ndarray) or not isinstance(what, Iterable):
        raise TypeError(f"loops() finds loops in a recorded graph and was given {type(what).__name__}; {wanted}")
    nodes = list(what)
    for i, node in enumerate(nodes):
        if not isinstance(node, Node):
            raise TypeError(f"loops() was given an iterable with {type(node).__name__} as item {i}; {wanted}")
    return sorted(dict.fromkeys(nodes), key=operator.attrgetter("number"))


# -- from numbers to tables ---------------------------------------------------------------------------------


def tables(record: Record, rows: np.ndarray, sources: Sources) -> Loop:
    """The loop whose iterations are these rows."""
    loop = Loop([{i: record.ops[at] for i, at in enumerate(row) if at >= 0} for row in rows.tolist()])
    for place, (kind, *what) in sources.items():
        add_source(loop, place, kind, *what)
    for i, like in enumerate(loop.body):
        for key, x in like.options.items():
            each = {n: step[i].options[key] for n, step in enumerate(loop.iterations) if i in step}
            if not all(y is x or alike(x, y) for y in each.values()):
                loop.options[i, key] = each
    if len(loop.body) >= 2 * LEAST:
        fullest = rows[int((rows >= 0).sum(1).argmax())]
        within = numbered([record.ops[at] for at in fullest[fullest >= 0]])
        loop.inner = [inner for each in within.loops() if (inner := tables(within, *each)).carried]
    return loop


def add_source(loop: Loop, place: Place, kind: str, *what: Any) -> None:
    """Write into a table what an operand of the body reads."""
    (i, k), steps = place, loop.iterations
    if kind == INVARIANT:
        loop.invariant[place] = loop.body[i].operands[k]
    elif kind == PER_STEP:
        loop.per_step[place] = {n: step[i].operands[k] for n, step in enumerate(steps) if i in step}
    else:
        ops, lag, others = what
        if kind == INSIDE:
            loop.inside[place] = ops
        else:
            loop.carried[place] = Carried(ops, lag)
        if others:
            loop.first[place] = {n: steps[n][i].operands[k] for n in others}


def collect(record: Record, loops: list[tuple[Loop, np.ndarray]]) -> None:
    """Note for each loop which of its results are read outside of it, or by no op: results of the whole."""
    of, slot, turn = (np.full(record.n, -1) for _ in range(3))
    for number, (_, rows) in enumerate(loops):
        turns, slots = np.nonzero(rows >= 0)
        at = rows[turns, slots]
        of[at], slot[at], turn[at] = number, slots, turns
    made, reader = record.reads[record.reads >= 0], record.owner[record.reads >= 0]
    unread = np.ones(record.n, bool)
    unread[made] = False
    unread[made[of[made] != of[reader]]] = True
    for op in np.flatnonzero(unread & (of >= 0)).tolist():
        loops[of[op]][0].collected.setdefault(int(slot[op]), []).append(int(turn[op]))


def alike(x: Any, y: Any) -> bool:
    if isinstance(x, tuple) and isinstance(y, tuple):
        return len(x) == len(y) and all(map(alike, x, y))
    return x is y or (type(x) is type(y) and not isinstance(x, np.ndarray | Node | list) and bool(x == y))


# -- loops that would be loops if nothing grew -----------------------------------------------------------------


def growing(ops: list[Node]) -> list[Growing]:
    """Stretches that would be a loop if shapes did not grow: those that read the results of all earlier iterations."""
    best: list[Growing] = []
    record, done = numbered(ops, shapes=False), 0
    for p in sorted(record.periods()):
        same = runs(record.words[p:] == record.words[:-p])
        start, end = max(((a, b + p) for a, b in same), key=lambda x: x[1] - x[0], default=(0, 0))
        times = (end - start) // p
        if times >= LEAST and (times - 1) * p > done:
            found = grown([ops[start + n * p : start + (n + 1) * p] for n in range(times)])
            if found is not None:
                best, done = [found], (times - 1) * p
    return best


def grown(steps: list[list[Node]]) -> Growing | None:
    """The result for these iterations; None if nothing grows, or not in each."""
    sizes = {i: [(step[i].shape, len(step[i].operands)) for step in steps] for i in range(len(steps[0]))}
    sizes = {i: each for i, each in sizes.items() if len(set(each)) > 1}
    turn = {node: (n, i) for n, step in enumerate(steps) for i, node in enumerate(step)}
    read = [turn[x] for i in sizes for x in steps[-1][i].operands if x in turn]
    by = {j for n, j in read if n < len(steps) - 2}  # older than the iteration before
    return Growing(steps, sizes, sorted(by)) if by and all(len(set(each)) == len(steps) for each in sizes.values()) else None
