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

    def __init__(self, n: int, scope: Scope | None) -> None:
        self.n = n
        self.back = False
        self.scope = scope
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
        self.gathers: dict[int, Any] = {}


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
            if call.options:
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
        self.out: Var = None  # type: ignore[assignment]


class Body:
    """A loop that was found, as ops that all iterations have."""

    def __init__(self, loop: Loop, nodes: Nodes) -> None:
        self.loop, self.nodes = loop, nodes
        self.n = len(loop)
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
        for i in self.elements:
            if i in self.missing:
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
        if found.lag == 0 and len(found.ops) == 1 and self.there(found.ops[0]) == [0] and not first:
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

    def there(self, i: int) -> list[int]:
        """The iterations that have an op."""
        return [n for n in range(self.n) if n not in self.missing.get(i, ())]

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
        ahead = iter(given)
        args, options = (replaced(x, lambda _: next(ahead)) for x in (call.args, tuple(call.options.values())))
        with np.errstate(all="ignore"):
            return np.asarray(call.fn(*args, **dict(zip(call.options, options, strict=True))))
    zero = (
        [x == 0 if isinstance(x, int | float) else zero.pop(0) for x in call.args] if call.fn in (np.add, np.subtract) else []
    )
    if zero in ([False, True], [True, False]) and (zero[1] or call.fn is np.add):
        return given[-1 if zero[0] else 0]
    return None


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
        self.bodies: dict[Loop, Body] = {}
        self.repeats: dict[Loop, Repeat] = {}
        self.recurrent = (
            {node for loop in found.loops for step in loop.iterations for node in step.values()} if found.maps else ()
        )
        for loop in sorted((*found.loops, *found.maps), key=lambda x: x.body[0].number):
            if self.is_wanted(loop):
                body = self.peeled(loop)
                self.bodies[body.loop] = body
                self.repeats[body.loop] = Repeat(body.n, None)
        self.home = {
            node: (loop, n, i)
            for loop, body in self.bodies.items()
            for n, step in enumerate(loop.iterations)
            for i, node in step.items()
            if i not in body.outside
        }
        self.stacks: dict[tuple[Loop, int], Var] = {}
        self.starts: dict[tuple[Loop, int], Node] = {}  # of ops that are carried, what the first iteration reads
        self.piled = {c.out: list(c.args[0]) for c in calls if c.fn is np.concatenate and self.along_first(c)}
        self.indices: dict[str, tuple[Any, ...]] = {}
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
        for number, (loop, body) in enumerate(self.bodies.items()):
            self.start(loop, body, number)
        for loop, body in self.bodies.items():
            self.fill(loop, body)
        outside = [call for call in self.calls if self.nodes.of.get(call.out) not in self.home]
        self.leftovers(outside)
        for call in outside:
            self.resolve(call)
        return outside

    def leftovers(self, outside: Calls) -> None:
        """Raise NotFolded if many calls of time steps are in no loop."""
        steps = sum(call.step is not None and not is_view(call) and call.out not in self.piled for call in outside)
        most = max((len(body.ops) for body in self.bodies.values()), default=0)
        if not self.bodies:
            raise NotFolded  # nothing repeats
        if steps > STRAIGHT * most * len(self.bodies):
            raise NotFolded(f"{steps} calls of time steps are in no loop: {ALIKE}")

    def start(self, loop: Loop, body: Body, number: int) -> None:
        """Make the calls of a body, without arguments."""
        repeat = self.repeats[loop]
        for op in body.ops.values():
            like = op.call
            scope = without_time(like.scope, number)
            call = Call(like.fn, (), {}, scope, True)
            call.loop = repeat
            call.out = self.recorder.var(zeros(like.out.shape, like.out.dtype), call)
            call.out.kind = like.out.kind
            op.call, op.like, op.out = call, like, call.out
            label = self.recorder.labels.get(like.out)
            if label:
                self.recorder.labels[call.out] = label.rstrip("0123456789") or label
            repeat.scope = scope
            for read in op.reads:
                if read[0] == "carried" and read[2] is not None:
                    self.starts.setdefault((loop, read[1]), read[2])
        repeat.back = self.goes_back(loop, body)

    def goes_back(self, loop: Loop, body: Body) -> bool:
        """True if most of what the iterations read, they read from the end."""
        slopes = []
        for _, places in body.elements.values():
            slopes.append(line(places)[0])
        for op in body.ops.values():
            for read in op.reads:
                found = self.in_one([*read[1].values()]) if read[0] == "each" else None
                if found is not None:
                    slopes.append(line(dict(zip(read[1], found[1], strict=True)))[0])
        return sum(slopes) < 0

    def place(self, node: Any) -> tuple[Any, int] | None:
        """Find a value of one iteration in an array of all iterations: that array, and the place in it."""
        if not isinstance(node, Node):
            return None
        if node in self.home:
            loop, n, i = self.home[node]
            if i in self.bodies[loop].elements:
                base, places = self.bodies[loop].elements[i]
                return (self.nodes.var[base], places[n]) if base not in self.home else None
            return (loop, i), self.row_at(loop, i, n)
        base_and_index = self.nodes.rows.get(node)
        if base_and_index is not None and self.nodes.of.get(base_and_index[0]) not in self.home:
            return base_and_index
        call = self.nodes.call.get(node)
        if call is not None and call.fn is operator.getitem and is_view(call) and node.operands[0] is not node:
            whole = self.place(node.operands[0])  # a part of a row is a row of that part
            if whole is not None:
                index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
                self.indices[str(index)] = index
                return (whole[0], str(index)), whole[1]
        return None

    def row_at(self, loop: Loop, i: int, n: int) -> int:
        """The place of iteration n in the array of what an op makes, which may have the value in front that it starts from."""
        repeat = self.repeats[loop]
        return repeat.time(n) + ((loop, i) in self.starts and not repeat.back)

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
        if self.is_start(node, key):
            repeat = self.repeats[key[0]]
            return repeat.n if repeat.back else 0
        loop, i = key if isinstance(key, tuple) else (None, 0)
        body = self.bodies.get(loop)
        return self.row_at(loop, i, 0) if body is not None and node is not None and body.instead.get(i) is node else None

    def base(self, key: Any) -> Var:
        """The array of all iterations that `place` speaks of."""
        if isinstance(key, Var):
            return key
        if isinstance(key[1], str):
            return self.getitem(self.base(key[0]), (slice(None), *self.indices[key[1]]))
        if key not in self.stacks:
            loop, i = key
            body, repeat = self.bodies[loop], self.repeats[loop]
            out = body.ops[i].out
            if key in self.starts:
                start = self.outer(self.starts[key])
                call = marked(self.recorder, history, (out, start), (repeat.n + 1, *out.shape), out, None)
            else:
                call = marked(self.recorder, collected, (out,), (repeat.n, *out.shape), out, None)
            call.scope = repeat.scope.parent if repeat.scope is not None else None
            self.new.append(call)
            self.stacks[key] = call.out
        return self.stacks[key]

    def outer(self, node: Node) -> Var:
        """A value as the calls outside of loops read it."""
        if node not in self.home:
            return self.nodes.var[node]
        found = self.place(node)
        if found is None:
            raise NotFolded("a value of a loop is read in another way")
        key, index = found
        return self.getitem(self.base(key), (index,))

    def getitem(self, base: Var, index: Any) -> Var:
        key = (base, str(index))
        if key not in self.cache:
            self.cache[key] = added(self.new, self.recorder, operator.getitem, (base, index), None)
        return self.cache[key]

    # -- a body ----------------------------------------------------------------------------------------------

    def fill(self, loop: Loop, body: Body) -> None:
        """Give the calls of a body their arguments."""
        repeat = self.repeats[loop]
        carries: dict[tuple[int, Any], Call] = {}
        elements = {i: self.row_of(repeat, self.nodes.var[base], places) for i, (base, places) in body.elements.items()
                    if base not in self.home}  # fmt: skip
        if len(elements) < len(body.elements):
            raise NotFolded("elements of an array that a loop makes")
        made: Calls = []

        def value(read: Read) -> Any:
            kind, what = read[:2]
            if kind == "inside":
                return elements[what] if what in elements else body.ops[what].out
            if kind == "same":
                return self.outer(what)
            if kind == "each":
                return self.read_each(repeat, what)
            key = (what, read[2])
            if key not in carries:
                if what in elements:
                    return self.element_before(repeat, body, what, read[2])
                start = None if read[2] is None else self.outer(read[2])
                out = body.ops[what].out
                if start is not None and (start.shape, start.dtype) != (out.shape, out.dtype):
                    raise NotFolded("a state that changes its shape")
                carries[key] = marked(self.recorder, carried, (start, len(carries), repeat), out.shape, out, repeat)
                label = self.recorder.labels.get(out)
                if label:
                    self.recorder.labels[carries[key].out] = f"{label}_next" if repeat.back else f"{label}_prev"
            return carries[key].out

        for op in body.ops.values():
            put_into(op.call, op.like, [value(read) for read in op.reads])
            made.append(op.call)
        ends = []
        for (what, _), call in carries.items():
            new = body.ops[what].out
            ends.append(marked(self.recorder, advance, (call.out, new), (), new, repeat))
        self.new += [*carries.values(), *made, *ends]

    def read_each(self, repeat: Repeat, nodes: dict[int, Any]) -> Var:
        """Return, as a row of an array, the value that each iteration reads from outside of the loop."""
        found = self.in_one([*nodes.values()])
        if found is not None:
            return self.row_of(repeat, found[0], dict(zip(nodes, found[1], strict=True)))
        return self.stacked(repeat, {repeat.time(n): node for n, node in nodes.items()})

    def stacked(self, repeat: Repeat, at: dict[int, Any]) -> Var:
        """Return, as a row of an array that is made for it, the value that is read at each time."""
        first, last = min(at), max(at)
        if len(at) <= last - first or not all(isinstance(node, Node) for node in at.values()):
            raise NotFolded("values from outside that only some steps read")
        members = [self.nodes.var[at[t]] for t in range(first, last + 1)]
        if len({(v.shape, v.dtype) for v in members}) > 1 or members[0].dtype is None:
            raise NotFolded("values from outside of several shapes")
        inputs = [v for v in members if v.source != "constant"]
        if len(set(inputs)) < len(inputs):  # such as weights that take turns: there would be a copy for each step
            raise NotFolded("steps that read different things")
        parts = self.parts(members, True)
        shape = len(members), *members[0].shape
        fn, args = self.below(parts, shape) if len(parts) < len(members) else (stack, tuple(map(self.outer_var, members)))
        return self.element(repeat, added(self.new, self.recorder, fn, args, None), -first)

    def is_start(self, node: Any, key: Any) -> bool:
        """True if a state starts from a value, or from a constant that is equal to it."""
        start = self.starts.get(key)
        if node is start or start is None or not isinstance(node, Node):
            return node is start is not None
        one, other = self.nodes.var.get(node), self.nodes.var[start]
        return one is not None and all(v.source == "constant" for v in (one, other)) and same_bits(one.value, other.value)

    def row_of(self, repeat: Repeat, key: Any, places: dict[int, int]) -> Var:
        slope, at = line(places)
        base, step = self.base(key), abs(slope)
        if step > 1:  # x[2 t] is element t of every second element
            base, at = self.getitem(base, (slice(at % step, None, step),)), at // step
        if (slope < 0) != repeat.back:
            base = self.getitem(base, (slice(None, None, -1),))
            at = base.shape[0] - 1 - at
        return self.element(repeat, base, at - repeat.time(0))

    def element_before(self, repeat: Repeat, body: Body, i: int, start: Node | None) -> Var:
        """x[t-1], as a row of x with what the first iteration reads instead in front, or behind where a loop goes back."""
        base, places = body.elements[i]
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
        if (call.fn is stack or call.fn is np.concatenate) and self.along_first(call):
            members = list(call.args) if call.fn is stack else [m for v in call.args[0] for m in self.members(v)]
            parts = self.parts(members, call.fn is stack)
            if len(parts) < len(members):
                call.fn, call.args, call.options = *self.below(parts, call.out.shape), {}
                return
        call.args = replaced(call.args, self.outer_var)
        call.options = {key: replaced(x, self.outer_var) for key, x in call.options.items()}

    def members(self, v: Var) -> list[Var]:
        """List the arrays that v concatenates; v itself if it is no concatenation."""
        return [m for each in self.piled[v] for m in self.members(each)] if v in self.piled else [v]

    @staticmethod
    def along_first(call: Call) -> bool:
        return call.fn is stack or axis_of(call) == 0

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

    @staticmethod
    def below(parts: list[Var], shape: tuple[int, ...]) -> tuple[Any, Any]:
        """The function and the arguments that put arrays below each other."""
        return (np.concatenate, (parts, 0)) if len(parts) > 1 else (reshape, (parts[0], shape))

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
    chain = [place for place in scope or () if place.name != "t"] if scope is not None else []
    made: Scope | None = None
    for place in chain:
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
    units: list[Calls] = []
    of: dict[Var, int] = {}
    body: dict[Repeat, int] = {}
    for call in calls:
        repeat = call.loop or call.block
        if repeat is None:
            of[call.out] = len(units)
            units.append([call])
            continue
        if repeat not in body:
            body[repeat] = len(units)
            units.append([])
        of[call.out] = body[repeat]
        units[body[repeat]].append(call)
    sources: list[set[int]] = [set() for _ in units]
    draws = [False] * len(units)
    for call in calls:
        i = of[call.out]
        sources[i].update([of[v] for v in call.inputs() if v in of])
        if not call.pure and call.fn is not advance:
            draws[i] = True
    for i in body.values():
        sources[i].discard(i)
    in_turn(sources, draws)
    try:
        order = in_order(sources)
    except Circle:
        raise NotFolded("loops that wait for one another") from None
    bodies = {i: in_body(units[i]) for i in body.values()}
    return [call for i in order for call in bodies.get(i, units[i])]


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
    labels = dict(recorder.labels)
    try:
        outside = folding.run()
        for v in outs:
            node = folding.nodes.of.get(v)
            if node in folding.home:
                keep[v] = folding.outer(node)
        return in_units([*outside, *folding.new])
    except NotFolded:
        recorder.labels = labels
        raise
