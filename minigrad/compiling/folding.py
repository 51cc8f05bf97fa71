"""Folding: the calls of one iteration in the place of those of all, with tables of what each iteration reads.

`folded` finds the loops of a record and keeps one body of each. In a body, `row` reads an array of all iterations, `carried`
a value of the iteration before, and `advance` says what that value becomes. Outside of it, `collected` is the array of the
values that all iterations made, `history` the same with the value that the first one started from.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from ..graph import NO_OPTIONS, Node, Scope, next_number
from ..loop import Loop, loops, sequences
from .passes import Calls, Circle, added, axis_of, base_of, in_order, in_turn, is_row, is_view, settled, sorted_by_need
from .recorder import Recorder
from .rewrites import SCATTERED
from .trace import CONTAINERS, Call, Var, cast, dot, replaced, reshape, same_bits, stack, transpose, zeros

__all__ = [
    "NotFolded",
    "Repeat",
    "adopted",
    "advance",
    "carried",
    "collected",
    "folded",
    "history",
    "in_units",
    "marker",
    "row",
    "states_of",
]

LEAST = 3  # iterations that are worth a loop
STRAIGHT = 2  # iterations of time steps that may be left outside of loops, in calls of one body


ALIKE = "let all steps do the same calls"
START = "start with an array of zeros of the shape that the state has later, so that the first step does what the others do"
ADVICE = {  # by reason, where there is something that the user can do
    "a value of more than one iteration ago": "let the loss read all states, and multiply those that do not count by 0",
    "ops that only some steps have": ALIKE,
    "states that are set again": ALIKE,
    "steps that read different things": ALIKE,
    "a first step that lacks ops": START,
    "a first step that computes with zeros": START,
    "steps that read an array in another order": "make an array in the order of the steps before the loop, such as x[order]",
}


class NotFolded(Exception):
    """The calls are not those of loops that this module can write; the message says why, and what to do where there is
    something."""

    def __str__(self) -> str:
        reason = super().__str__()
        return f"{reason}: {ADVICE[reason]}" if reason in ADVICE else reason


class Repeat:
    """A loop of the program: how often its body runs, and whether it goes back in time.

    Arrays of all iterations are in the order of time: iteration n is at place n, or at the place counted from the end.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.back = False
        self.scope: Scope | None = None
        self.times: dict[Var, tuple[int, int]] = {}  # of arrays over time: the time of the first row, and rows a step
        self.batched: set[Var] = set()  # what is made for many steps at once
        self.blocks: list[tuple[int, int]] = []  # from when to when, if it is made for so many steps at a time
        self.sums: set[Var] = set()  # over all steps, of which each block has a part

    def time(self, n: int) -> int:
        """The place of iteration n in arrays of all iterations."""
        return self.n - 1 - n if self.back else n


# -- what only a loop has: functions that are never called -----------------------------------------------------


def row(array: Any, offset: int, repeat: Repeat) -> Any:
    """In a body: the element of an array at the place of the iteration, moved by `offset`."""
    raise NotImplementedError


def carried(start: Any, number: int, repeat: Repeat) -> Any:
    """In a body: a value of the iteration before; in the first one `start`, or zeros if that is None."""
    raise NotImplementedError


def advance(old: Any, new: Any) -> Any:
    """At the end of a body: what was `old` in this iteration is `new` in the next one."""
    raise NotImplementedError


def collected(value: Any) -> Any:
    """After a loop: the array of what all its iterations made."""
    raise NotImplementedError


def history(value: Any, start: Any) -> Any:
    """After a loop: the array of what all its iterations made, and of what the first one started from."""
    raise NotImplementedError


MARKERS = {row, carried, advance, collected, history}


def marker(call: Call) -> bool:
    return call.fn in MARKERS


def marked(
    recorder: Recorder, fn: Callable[..., Any], args: tuple[Any, ...], shape: tuple[int, ...], like: Var, repeat: Repeat | None
) -> Call:
    """A call of one of these functions, whose result has this shape, and otherwise is like another value."""
    call = Call(fn, args, {}, repeat.scope if repeat is not None else None, fn is not advance)
    call.loop = repeat
    call.out = recorder.var(zeros(shape, like.dtype), call)
    return call


# -- from calls to nodes ---------------------------------------------------------------------------------------


class Function:
    """Stands for a NumPy function where an op is expected."""

    def __init__(self, name: str) -> None:
        self.name = name


class Nodes:
    """Recorded calls as nodes of a graph, in which loops can be found."""

    def __init__(self, calls: Calls) -> None:
        self.call: dict[Node, Call] = {}
        self.var: dict[Node, Var] = {}
        self.of: dict[Var, Node] = {}
        self.rows: dict[Node, tuple[Var, int]] = {}  # elements of arrays, x[t]
        functions: dict[Any, Function] = {}
        for call in calls:
            out = call.out
            if settled(out) and call.inputs() and base_of(out).source != "constant":
                continue  # another look at a weight is one of all iterations: it is read like the weight
            op = functions.get(call.fn)
            if op is None:
                op = functions[call.fn] = Function(getattr(call.fn, "__name__", "value"))
            options = {f"argument {i}": inside(x) for i, x in enumerate(call.args) if type(x) is not Var}
            options |= {key: inside(x) for key, x in call.options.items()}
            if call.fn is operator.getitem:
                options = {"index": call.args[1]}
            node = node_of(op, tuple(map(self.node, call.inputs())), options, out, call.scope)
            self.call[node], self.var[node], self.of[out] = call, out, node
            if call.fn is operator.getitem and is_row(call.args[1]) and not call.args[0].is_tuple:
                self.rows[node] = call.args[0], call.args[1][0] % call.args[0].shape[0]

    def node(self, v: Var) -> Node:
        found = self.of.get(v)
        if found is None:
            found = self.of[v] = node_of(None, (), NO_OPTIONS, v, None)
            self.var[found] = v
        return found


def node_of(op: Any, operands: tuple[Node, ...], options: dict[str, Any], out: Var, scope: Scope | None) -> Node:
    node: Any = Node()
    node.op, node.operands, node.options, node.saved = op, operands, options, None
    node.shape, node.dtype, node.scope = out.shape, out.dtype, scope
    node.number, node.name, node.hooks = next_number(), None, None
    return node  # type: ignore[no-any-return]


def inside(x: Any) -> Any:
    """An argument without its Vars, which are operands."""
    if type(x) is Var:
        return None
    return tuple(map(inside, x)) if type(x) in CONTAINERS else x


# -- bodies ----------------------------------------------------------------------------------------------------

Read = tuple[Any, ...]  # ("inside", op), ("carried", op, node it starts from or None), ("same", node), ("each", {n: node})


class Op:
    """An op of a body: its call in some iteration, and what it reads."""

    def __init__(self, call: Call, reads: list[Read]) -> None:
        self.call = self.like = call
        self.reads = reads


class Body:
    """A loop that was found, as ops that all iterations have."""

    def __init__(self, loop: Loop, nodes: Nodes) -> None:
        self.loop, self.nodes = loop, nodes
        self.n = len(loop)
        self.repeat = Repeat(self.n)
        self.missing = {i: set(range(self.n)) - set(there) for i, there in loop.optional.items()}
        self.outside = {i for i, missing in self.missing.items() if 2 * len(missing) > self.n}  # by few: no op of the body
        self.ops: dict[int, Op] = {}
        self.elements: dict[int, tuple[Node, dict[int, int]]] = {}  # x[t]: of what, and which
        for i, like in enumerate(loop.body):
            if i in self.outside:
                continue
            places = self.index(i)
            if places is not None:
                self.elements[i] = like.operands[0], places
                continue
            if any(key[0] == i for key in loop.options):
                raise NotFolded("options that change from step to step")
            if not nodes.call[like].pure or nodes.var[like].dtype is None:
                raise NotFolded("random numbers, or numbers of Python, in a loop")
            self.ops[i] = Op(nodes.call[like], [self.read(i, k) for k in range(len(like.operands))])
        if not self.missing.keys().isdisjoint(self.elements):
            raise NotFolded("elements that only some steps read")
        self.absorbed()

    def index(self, i: int) -> dict[int, int] | None:
        """For an element x[t]: which one each iteration takes."""
        like = self.loop.body[i]
        changing = self.loop.options.get((i, "index"))
        if like not in self.nodes.rows or changing is None or (i, 0) not in self.loop.invariant:
            return None
        return {n: self.nodes.rows[step[i]][1] for n, step in enumerate(self.loop.iterations) if i in step}

    def read(self, i: int, k: int) -> Read:
        place = (i, k)
        first = self.loop.first.get(place, {})
        if place in self.loop.invariant:
            return "same", self.loop.invariant[place]
        if place in self.loop.per_step:
            return "each", dict(self.loop.per_step[place])
        ops = self.loop.inside.get(place)
        if ops is not None:
            return self.read_inside(ops, first)
        found = self.loop.carried[place]
        if found.lag == 0 and len(found.ops) == 1 and self.missing.get(found.ops[0]) == {*range(1, self.n)} and not first:
            return "same", self.loop.iterations[0][found.ops[0]]
        if len(found.ops) == 2 and found.lag == 1 and not first and self.lacks_first(max(found.ops)):
            return "carried", max(found.ops), None, min(found.ops)  # a sum, of which the first iteration has the first term
        if len(found.ops) > 1 or found.lag != 1:
            raise NotFolded("a value of more than one iteration ago")
        if found.ops[0] in self.outside:
            raise NotFolded("ops that only some steps have")
        if set(first) != (set() if 0 in self.missing.get(i, ()) else {0}):
            raise NotFolded("states that are set again")
        return "carried", found.ops[0], first.get(0)

    def lacks_first(self, i: int) -> bool:
        """True if all iterations but the first, and perhaps the last, have an op."""
        return self.missing.get(i, set()) - {self.n - 1} == {0}

    def read_inside(self, ops: tuple[int, ...], first: dict[int, Any]) -> Read:
        """Read an op of the same iteration; the first iteration, which may lack it, reads another one."""
        last = max(ops)
        if set(first) - {0} or last in self.outside:
            raise NotFolded("steps that read different things")
        if first:
            return "inside", last, first[0]
        if len(ops) == 1:
            return "inside", last
        if len(ops) == 2 and self.lacks_first(last):
            return "inside", last, min(ops)
        raise NotFolded("steps that read different things")

    def absorbed(self) -> None:
        """Complete the first iteration with the ops that it lacks, if they give there what it reads in their place."""
        early = self.early()
        self.instead = self.read_instead(early)
        known = {read[1]: read[2] for op in self.ops.values() for read in op.reads if read[0] == "carried" and read[2]}
        for op in self.ops.values():
            op.reads = [(*r[:2], r[2] or known.get(r[1])) if r[0] == "carried" else r[:2] for r in op.reads]
        values: dict[int, Any] = {}
        for i in sorted(early):
            values[i] = result(self.ops[i].call, [self.first_read(read, values) for read in self.ops[i].reads])
            if i in self.instead:
                self.complete(self.ops[i].call.out, values[i], self.instead[i])
                self.missing[i].discard(0)

    def early(self) -> set[int]:
        """The ops that the first iteration lacks, for it has nothing that they could read."""
        some = {i: missing - {self.n - 1} for i, missing in self.missing.items() if i in self.ops}
        if any(missing - {0} for missing in some.values()):
            raise NotFolded("ops that only some steps have")
        return {i for i, missing in some.items() if missing}

    def read_instead(self, early: set[int]) -> dict[int, Node]:
        """For ops that the first iteration lacks, the node that it reads in their place."""
        found: dict[int, set[Any]] = {}
        for j, op in self.ops.items():
            for kind, i, *others in op.reads:
                others = others[kind == "carried" :]
                if kind not in ("inside", "carried") or not (others or (i in early and kind == "inside" and j not in early)):
                    continue
                if i not in early:
                    raise NotFolded("steps that read different things")
                found.setdefault(i, set()).update(others or [None])
        first = self.loop.iterations[0]
        if any(len(others) > 1 or not all(isinstance(x, Node) or x in first for x in others) for others in found.values()):
            raise NotFolded("a first step that lacks ops")
        return {i: first[x] if isinstance(x, int) else x for i, (x,) in found.items()}

    def first_read(self, read: Read, values: dict[int, Any]) -> Any:
        """Return what an op reads in the first iteration: an array if it is known, a node, or what is not there yet."""
        kind, what = read[:2]
        if kind == "carried":
            like = self.loop.body[what]
            return zeros(like.shape, like.dtype) if read[2] is None else self.constant(read[2])
        if kind == "inside":
            node = self.loop.iterations[0].get(what)
            return values.get(what) if node is None else self.constant(node)
        return self.constant(what.get(0, what) if kind == "each" else what)

    def constant(self, node: Any) -> Any:
        """The array of a constant; anything else as it is."""
        var = self.nodes.var.get(node) if isinstance(node, Node) else None
        return var.value if var is not None and var.source == "constant" else node

    def complete(self, out: Var, value: Any, node: Node) -> None:
        """Check that an op gives in the first iteration what is read in its place, or have it read that itself."""
        if isinstance(value, dict):
            value[0] = value = node
        call = self.nodes.call.get(node)
        found = node if value is node or call is None else result(call, [self.constant(x) for x in node.operands])
        found = self.constant(node if found is None else found)
        same = same_bits(value, found) if all(isinstance(x, np.ndarray) for x in (value, found)) else value is found
        if not same or (node.shape, node.dtype) != (out.shape, out.dtype):
            raise NotFolded("a first step that lacks ops")


def result(call: Call, given: list[Any]) -> Any:
    """The result of a call for arrays that are known, nodes, and what is not there yet; None if it is neither of these."""
    zero = [isinstance(x, np.ndarray) and not x.any() for x in given]
    if call.fn in PRODUCTS and any(zero):
        return zeros(call.out.shape, call.out.dtype)
    if all(isinstance(x, np.ndarray) for x in given):
        known = Call(call.fn, (), {}, None, True)
        put_into(known, call, given)
        with np.errstate(all="ignore"):
            return np.asarray(known.fn(*known.args, **known.options))
    if call.fn not in (np.add, np.subtract):
        return None
    left, right = (x == 0 if isinstance(x, int | float) else zero.pop(0) for x in call.args)
    return given[-1 if left else 0] if left != right and (right or call.fn is np.add) else None


PRODUCTS: set[Any] = {np.multiply, dot}  # zero if one operand is
LINEAR: set[Any] = {np.add, np.subtract, np.negative, operator.getitem, reshape, transpose, cast, SCATTERED}  # or if all are


class Folding:
    """The pass, from a list of calls to one with loops."""

    def __init__(self, calls: Calls, recorder: Recorder) -> None:
        steps, sums = sums_last(calls)
        calls = [*steps, *sums]
        for call in calls:
            if call.fn is np.concatenate:  # a list, a tuple, axis=: one way to say it
                call.args, call.options = (list(call.args[0]), axis_of(call)), {}
        self.calls, self.recorder = calls, recorder
        self.nodes = Nodes(calls)
        last = {call.out for call in sums}
        found = sequences(loops([node for node, call in self.nodes.call.items() if call.out not in last]))
        self.recurrent = {node for node, (loop, _, _) in found.home.items() if loop.carried}
        there = sorted((*found.loops, *found.maps), key=lambda x: x.body[0].number)
        self.bodies = [self.peeled(loop) for loop in there if self.is_wanted(loop)]
        self.home = {
            node: (body, n, i)
            for body in self.bodies
            for n, step in enumerate(body.loop.iterations)
            for i, node in step.items()
            if i in body.ops
        }
        self.stacks: dict[tuple[Body, int], Var] = {}
        self.starts: dict[tuple[Body, int], Node] = {}  # of ops that are carried, what the first iteration reads
        self.piled = {c.out: list(c.args[0]) for c in calls if c.fn is np.concatenate and axis_of(c) == 0}
        self.new: Calls = []
        self.cache: dict[Any, Var] = {}

    def peeled(self, loop: Loop) -> Body:
        """The body of a loop, without the last or the first iteration if that does other ops."""
        try:
            return Body(loop, self.nodes)
        except NotFolded:
            for steps in (loop.iterations[:-1], loop.iterations[1:]):
                for found in loops(node for step in steps for node in step.values()).loops:
                    if len(found) == len(steps):
                        with contextlib.suppress(NotFolded):
                            return Body(found, self.nodes)
            raise

    def is_wanted(self, loop: Loop) -> bool:
        """True for loops over time, for others that carry something, and for what is made of their values."""
        if len(loop) < LEAST or all(is_view(self.nodes.call[node]) for node in loop.body):
            return False
        scopes = [node.scope for node in loop.body if node.scope is not None]
        if loop.carried or any("t" in scope for scope in scopes):
            return True
        return any(x in self.recurrent for node in loop.body for x in node.operands)

    def run(self) -> Calls:
        """Make the bodies; returns the calls outside of them, which read what loops made from arrays of all iterations."""
        for number, body in enumerate(self.bodies):
            self.start(body, number)
        for body in self.bodies:
            self.fill(body)
        outside = [call for call in self.calls if self.nodes.of.get(call.out) not in self.home]
        self.leftovers(outside)
        for call in outside:
            self.resolve(call)
        return outside

    def leftovers(self, outside: Calls) -> None:
        """Raise NotFolded if many calls of time steps are in no loop."""
        steps = sum(call.step is not None and not is_view(call) and call.out not in self.piled for call in outside)
        most = max((len(body.ops) for body in self.bodies), default=0)
        if not self.bodies:
            raise NotFolded  # nothing repeats
        if steps > STRAIGHT * most * len(self.bodies):
            raise NotFolded(f"{steps} calls of time steps are in no loop: {ALIKE}")

    def start(self, body: Body, number: int) -> None:
        """Make the calls of a body, without arguments."""
        repeat = body.repeat
        for op in body.ops.values():
            like = op.call
            scope = without_time(like.scope, number)
            call = Call(like.fn, (), {}, scope, True)
            call.loop = repeat
            call.out = self.recorder.var(zeros(like.out.shape, like.out.dtype), call)
            call.out.kind = like.out.kind
            op.call = call
            label = self.recorder.labels.get(like.out)
            if label:
                self.recorder.labels[call.out] = label.rstrip("0123456789") or label
            repeat.scope = scope
            for read in op.reads:
                if read[0] == "carried" and read[2] is not None:
                    self.starts.setdefault((body, read[1]), read[2])
        repeat.back = self.goes_back(body)

    def goes_back(self, body: Body) -> bool:
        """True if most of what the iterations read, they read from the end."""
        slopes = [line(places)[0] for _, places in body.elements.values()]
        for op in body.ops.values():
            for read in op.reads:
                found = self.in_one([*read[1].values()]) if read[0] == "each" else None
                if found is not None:
                    slopes.append(line(dict(zip(read[1], found[1], strict=True)))[0])
        return sum(slopes) < 0

    def place(self, node: Any) -> tuple[Any, int] | None:
        """Find a value of one iteration in an array of all iterations: that array, and the place in it."""
        if node in self.home:
            body, n, i = self.home[node]
            return (body, i), self.row_at(body, i, n)
        base_and_index = self.nodes.rows.get(node)
        if base_and_index is not None and self.nodes.of.get(base_and_index[0]) not in self.home:
            return base_and_index
        call = self.nodes.call.get(node)
        if call is not None and call.fn is operator.getitem and is_view(call):
            whole = self.place(node.operands[0])  # a part of a row is a row of that part
            if whole is not None:
                return (whole[0], call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)), whole[1]
        return None

    def row_at(self, body: Body, i: int, n: int) -> int:
        """The place of iteration n in the array of what an op makes, which may have the value in front that it starts from."""
        return body.repeat.time(n) + ((body, i) in self.starts and not body.repeat.back)

    def in_one(self, nodes: list[Any]) -> tuple[Any, list[int]] | None:
        """The array that has all of these values, and their places in it."""
        places = [self.place(node) for node in nodes]
        for place in (places[0], places[-1]):
            if place is not None:
                key = place[0]
                rows = [
                    at[1] if at is not None and at[0] == key else self.equal(node, key)
                    for node, at in zip(nodes, places, strict=True)
                ]
                found = [row for row in rows if row is not None]
                if len(found) == len(nodes):
                    return key, found
        return None

    def equal(self, node: Any, key: Any) -> int | None:
        """The place in an array of all iterations of what the first one starts from, or reads in the place of an op."""
        if isinstance(key, Var) or not isinstance(key[0], Body) or node is None:
            return None
        body, i = key
        if key in self.starts and self.is_same(node, self.starts[key]):
            return body.repeat.n if body.repeat.back else 0
        return self.row_at(body, i, 0) if body.instead.get(i) is node else None

    def is_same(self, node: Node, other: Node) -> bool:
        """True if these are one value, or equal constants."""
        x, y = self.nodes.var[node], self.nodes.var[other]
        return x is y or (x.source == y.source == "constant" and same_bits(x.value, y.value))

    def base(self, key: Any) -> Var:
        """The array of all iterations that `place` speaks of."""
        if isinstance(key, Var):
            return key
        body, i = key
        if not isinstance(body, Body):  # a part of each row
            return self.getitem(self.base(body), (slice(None), *i))
        if key not in self.stacks:
            repeat, out = body.repeat, body.ops[i].call.out
            fn, args = (history, (out, self.outer(self.starts[key]))) if key in self.starts else (collected, (out,))
            call = marked(self.recorder, fn, args, (repeat.n + (fn is history), *out.shape), out, None)
            call.scope = repeat.scope.parent if repeat.scope is not None else None
            self.new.append(call)
            self.stacks[key] = call.out
        return self.stacks[key]

    def outer(self, node: Node) -> Var:
        """A value as the calls outside of loops read it."""
        if node not in self.home:
            return self.nodes.var[node]
        body, n, i = self.home[node]
        return self.getitem(self.base((body, i)), (self.row_at(body, i, n),))

    def getitem(self, base: Var, index: Any) -> Var:
        key = (base, str(index))
        if key not in self.cache:
            self.cache[key] = added(self.new, self.recorder, operator.getitem, (base, index), None)
        return self.cache[key]

    # -- a body ----------------------------------------------------------------------------------------------

    def fill(self, body: Body) -> None:
        """Give the calls of a body their arguments."""
        repeat = body.repeat
        carries: dict[tuple[int, Any], Call] = {}
        if any(base in self.home for base, _ in body.elements.values()):
            raise NotFolded("elements of an array that a loop makes")
        elements = {i: self.row_of(repeat, self.nodes.var[base], places) for i, (base, places) in body.elements.items()}

        def value(read: Read) -> Any:
            kind, what = read[:2]
            if kind == "inside":
                return elements[what] if what in elements else body.ops[what].call.out
            if kind == "same":
                return self.outer(what)
            if kind == "each":
                return self.read_each(repeat, what)
            key = (what, read[2])
            if key not in carries:
                if what in elements:
                    return self.element_before(body, what, read[2])
                start = None if read[2] is None else self.outer(read[2])
                out = body.ops[what].call.out
                if start is not None and (start.shape, start.dtype) != (out.shape, out.dtype):
                    raise NotFolded("a state that changes its shape")
                carries[key] = marked(self.recorder, carried, (start, len(carries), repeat), out.shape, out, repeat)
                label = self.recorder.labels.get(out)
                if label:
                    self.recorder.labels[carries[key].out] = f"{label}_next" if repeat.back else f"{label}_prev"
            return carries[key].out

        for op in body.ops.values():
            put_into(op.call, op.like, [value(read) for read in op.reads])
        ends = []
        for (what, _), call in carries.items():
            new = body.ops[what].call.out
            ends.append(marked(self.recorder, advance, (call.out, new), (), new, repeat))
        self.new += [*carries.values(), *(op.call for op in body.ops.values()), *ends]

    def read_each(self, repeat: Repeat, nodes: dict[int, Any]) -> Var:
        """Return, as a row of an array, the value that each iteration reads from outside of the loop."""
        found = self.in_one([*nodes.values()])
        if found is not None:
            return self.row_of(repeat, found[0], dict(zip(nodes, found[1], strict=True)))
        at = {repeat.time(n): node for n, node in nodes.items()}  # the rows of an array that is made for it
        first, last = min(at), max(at)
        if len(at) <= last - first:
            raise NotFolded("values from outside that only some steps read")
        members = [self.nodes.var[at[t]] for t in range(first, last + 1)]
        if len({(v.shape, v.dtype) for v in members}) > 1 or members[0].dtype is None:
            raise NotFolded("values from outside of several shapes")
        inputs = [v for v in members if v.source != "constant"]
        if len(set(inputs)) < len(inputs):  # such as weights that take turns: there would be a copy for each step
            raise NotFolded("steps that read different things")
        made: Calls = []
        whole = added(made, self.recorder, stack, tuple(members), None)
        self.resolve(made[0])
        self.new += made
        return self.element(repeat, whole, -first)

    def row_of(self, repeat: Repeat, key: Any, places: dict[int, int]) -> Var:
        slope, at = line(places)
        base, step = self.base(key), abs(slope)
        if step > 1:  # x[2 t] is element t of every second element
            base, at = self.getitem(base, (slice(at % step, None, step),)), at // step
        if (slope < 0) != repeat.back:
            base = self.getitem(base, (slice(None, None, -1),))
            at = base.shape[0] - 1 - at
        return self.element(repeat, base, at - repeat.time(0))

    def element_before(self, body: Body, i: int, start: Node | None) -> Var:
        """x[t-1], as a row of x with what the first iteration reads instead in front, or behind where a loop goes back."""
        repeat, (base, places) = body.repeat, body.elements[i]
        (slope, at), x = line(places), self.base(self.nodes.var[base])
        if slope != (-1 if repeat.back else 1):
            raise NotFolded("steps that read an array in another order")
        first = self.recorder.constant(np.zeros(x.shape[1:], x.dtype)) if start is None else self.outer(start)
        if (first.shape, first.dtype) != (x.shape[1:], x.dtype):
            raise NotFolded("a state that changes its shape")
        last = at + slope * (repeat.n - 2)
        parts = [
            added(self.new, self.recorder, reshape, (first, (1, *first.shape)), None),
            self.getitem(x, (slice(min(at, last), max(at, last) + 1),)),
        ]
        return self.element(repeat, added(self.new, self.recorder, np.concatenate, (parts[::slope], 0), None), 0)

    def element(self, repeat: Repeat, base: Var, offset: int) -> Var:
        key = (repeat, base, offset)
        if key not in self.cache:
            call = marked(self.recorder, row, (base, offset, repeat), base.shape[1:], base, repeat)
            self.new.append(call)
            self.cache[key] = call.out
        return self.cache[key]

    # -- outside ---------------------------------------------------------------------------------------------

    def resolve(self, call: Call) -> None:
        """Put into the arguments of a call outside what it read of loops."""
        if call.fn is stack or call.out in self.piled:
            members = list(call.args) if call.fn is stack else self.members(call.out)
            parts = self.parts(members, call.fn is stack)
            if len(parts) < len(members):
                call.fn, call.args = (np.concatenate, (parts, 0)) if len(parts) > 1 else (reshape, (parts[0], call.out.shape))
                return
        call.args = replaced(call.args, self.outer_var)
        call.options = {key: replaced(x, self.outer_var) for key, x in call.options.items()}

    def members(self, v: Var) -> list[Var]:
        """List the arrays that v concatenates; v itself if it is no concatenation."""
        return [m for each in self.piled[v] for m in self.members(each)] if v in self.piled else [v]

    def outer_var(self, v: Var) -> Var:
        node = self.nodes.of.get(v)
        return v if node is None else self.outer(node)

    def parts(self, members: list[Var], stacked: bool) -> list[Var]:
        """Return the arrays to put below each other to have these values stacked, or concatenated: parts of arrays of all
        iterations that have several of them, one after the other, and the rest as they are."""
        runs: list[list[Var]] = [members] if self.together(members) is not None else []
        before: Any = None
        for v in members if not runs else ():
            place = self.place(self.nodes.of.get(v))
            if place is not None and before is not None and (place[0], place[1] - 1) == before:
                runs[-1].append(v)
            else:
                runs.append([v])
            before = place
        found = []
        for run in runs:
            rows = (len(run), *run[0].shape) if stacked else (sum(v.shape[0] for v in run), *run[0].shape[1:])
            whole = self.together(run) or self.outer_var(run[0])
            found.append(
                whole if len(runs) == 1 or whole.shape == rows else added(self.new, self.recorder, reshape, (whole, rows), None)
            )
        return found

    def together(self, members: list[Var]) -> Var | None:
        """The part of an array of all iterations that these are, one after the other."""
        found = self.in_one([self.nodes.of.get(v) for v in members]) if len(members) > 1 else None
        if found is None:
            return None
        rows, base = found[1], self.base(found[0])
        step = rows[1] - rows[0]
        if step == 0 or any(b - a != step for a, b in pairwise(rows)):
            return None
        if step == 1 and len(rows) == base.shape[0]:
            return base
        end = rows[-1] + (1 if step > 0 else -1)
        return self.getitem(base, (slice(rows[0], None if end < 0 else end, None if step == 1 else step),))


def sums_last(calls: Calls) -> tuple[Calls, Calls]:
    """The calls, and by themselves those of sums over many steps that no other step reads, such as gradients of weights: they
    are recorded within a step."""
    piles = {c.out: 1 << i for i, c in enumerate(c for c in calls if c.fn is np.concatenate and len(c.args[0]) >= LEAST)}
    own = {bit: pile.call.step for pile, bit in piles.items()}  # type: ignore[union-attr]
    of: dict[Var, int] = {}  # which piles a value needs
    elsewhere = 0  # piles that other steps need
    for call in calls:
        bits = piles.get(call.out, 0)
        for v in call.inputs():
            bits |= of.get(v, 0)
        if bits:
            of[call.out] = bits
            if call.step is not None and bits & ~elsewhere:
                elsewhere |= sum(bit for bit, step in own.items() if bits & bit and step != call.step)
    late = {v for v, bits in of.items() if not bits & elsewhere}
    return [c for c in calls if c.out not in late], [c for c in calls if c.out in late]


def put_into(call: Call, like: Call, values: list[Any]) -> None:
    """Give a call the arguments of another one, with these values in the place of its Vars."""
    ahead = iter(values)
    call.args = replaced(like.args, lambda _: next(ahead))
    call.options = {key: replaced(x, lambda _: next(ahead)) for key, x in like.options.items()}


def line(places: dict[int, int]) -> tuple[int, int]:
    """Slope and start of places that are on a line."""
    (n, first), *rest = sorted(places.items())
    slope = (rest[0][1] - first) // (rest[0][0] - n) if rest else 0
    if slope == 0 or any(at != first + slope * (m - n) for m, at in rest):
        raise NotFolded("steps that read an array in another order")
    return slope, first - slope * n


def without_time(scope: Scope | None, number: int) -> Scope:
    """A scope with the number of the loop in the place of the time step."""
    made: Scope | None = None
    for place in scope or ():
        if place.name != "t":
            made = Scope(made, place.name, place.value)
    return Scope(made, "t", number)


def states_of(calls: Calls) -> dict[Var, Var]:
    """The value that each carried one becomes."""
    return {call.args[0]: call.args[1] for call in calls if call.fn is advance}


def adopted(calls: Calls) -> Calls:
    """After a pass: new calls belong to the loop of what they read, and what reads nothing of a loop is done before it."""
    for call in calls:
        if call.fn in MARKERS:
            continue
        loop = None
        for v in call.inputs():
            if v.call is not None and v.call.loop is not None and v.call.loop is not loop:
                if loop is not None:
                    raise NotFolded("a pass has mixed two loops")
                loop = v.call.loop
        call.loop = loop
    return calls


def in_units(calls: Calls) -> Calls:
    """Each call after those it needs, the calls of a loop together."""
    together: dict[Any, Calls] = {}
    for call in calls:
        together.setdefault(call.loop or call.block or call, []).append(call)
    units = [*together.values()]
    of = {call.out: i for i, unit in enumerate(units) for call in unit}
    sources = [{of[v] for call in unit for v in call.inputs() if v in of} - {i} for i, unit in enumerate(units)]
    in_turn(sources, [any(not call.pure and call.fn is not advance for call in unit) for unit in units])
    try:
        order = in_order(sources)
    except Circle:
        raise NotFolded("loops that wait for one another") from None
    return [call for i in order for call in in_body(units[i])]


def in_body(calls: Calls) -> Calls:
    """The calls of a loop, each after those it needs: what is done for many steps at once, then the body, then the rest."""
    if len(calls) == 1:
        return calls
    late = {call.out for call in calls if call.loop is not None}
    for call in calls:
        if not late.isdisjoint(call.inputs()):
            late.add(call.out)
    parts: list[Calls] = [[], [], [], []]
    for call in calls:
        place = (2 if call.fn is advance else 1) if call.loop is not None else 3 if call.out in late else 0
        parts[place].append(call)
    try:
        return [call for part in parts for call in sorted_by_need(part)]
    except Circle:
        raise NotFolded("a step that waits for itself") from None


def folded(calls: Calls, recorder: Recorder, outs: Iterable[Var], keep: dict[Var, Var]) -> Calls:
    """Fold what repeats into loops. `keep` gets what takes the place of the `outs` that loops make.

    Raises NotFolded if there is nothing to fold, or something that loops here cannot say.
    """
    folding = Folding(calls, recorder)
    outside = folding.run()
    for v in outs:
        node = folding.nodes.of.get(v)
        if node in folding.home:
            keep[v] = folding.outer(node)
    return in_units([*outside, *folding.new])
