"""The passes: small functions from a list of calls to a better one that computes the same.

A program is a list of `Call`, each after those it needs. `keep` are the Vars that the program is for.
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .trace import Call, Recorder, Var, cast, dot, replaced, reshape, stack, transpose, variables, viewed

__all__ = [
    "batched_over_time", "constants_folded", "dead_code_removed", "duplicates_removed", "flat", "invariants_first", "is_view",
    "rows_restacked", "updates_together",
]  # fmt: skip

Calls = list[Call]
VIEWS = {reshape, transpose, np.broadcast_to, np.expand_dims, viewed}


def is_view(call: Call) -> bool:
    """Whether the result is another look at the first argument."""
    if call.fn in VIEWS:
        return True
    return call.fn is operator.getitem and basic(call.args[1]) and isinstance(call.args[0].value, np.ndarray)


def basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, slice | int | np.integer) for i in parts)


def step_of(call: Call) -> int | None:
    t = call.scope.get("t") if call.scope else None
    return t if isinstance(t, int) else None


def rewritten(calls: Iterable[Call], by: dict[Var, Var]) -> None:
    """Put other Vars in the place of some, in all arguments."""
    for call in calls:
        call.args = replaced(call.args, lambda v: by.get(v, v))
        if call.options:
            call.options = {key: replaced(x, lambda v: by.get(v, v)) for key, x in call.options.items()}


def added(calls: Calls, recorder: Recorder, fn: Callable[..., Any], args: tuple[Any, ...], scope: Any, **options: Any) -> Var:
    """Append a new call; its result has the value that the function gives for those of the arguments."""
    call = Call(fn, args, options, scope, True)
    value = fn(*replaced(args, lambda v: v.value), **{k: replaced(x, lambda v: v.value) for k, x in options.items()})
    call.out = recorder.var(np.asarray(value), call)
    calls.append(call)
    return call.out


def made_instead(calls: Calls, out: Var, fn: Callable[..., Any], args: tuple[Any, ...], scope: Any) -> None:
    """Append a call that makes what another call has made until now."""
    call = Call(fn, args, {}, scope, True)
    call.out, out.call = out, call
    calls.append(call)


def uses_of(calls: Calls) -> dict[Var, int]:
    """How many arguments each Var is."""
    uses: dict[Var, int] = {}
    for call in calls:
        for v in call.inputs():
            uses[v] = uses.get(v, 0) + 1
    return uses


def members_of(call: Call) -> list[Any]:
    """What a call puts one below the other, of equal shapes."""
    if call.fn is stack:
        return list(call.args)
    if call.fn is not np.concatenate or call.options.get("axis", call.args[1] if len(call.args) > 1 else 0) != 0:
        return []
    members = list(call.args[0])
    return members if len({getattr(m, "shape", None) for m in members}) == 1 and members[0].shape else []


def rows_in_order(members: Sequence[Any]) -> tuple[Var, int, int] | None:
    """If these are rows of one array that follow each other: the array, from, to."""
    base: Var | None = None
    rows: list[int] = []
    for v in members:
        call = v.call if isinstance(v, Var) else None
        if call is None or call.fn is not operator.getitem or not is_view(call) or not is_row(call.args[1]):
            return None
        if rows and (call.args[0] is not base or call.args[1][0] != rows[-1] + 1):
            return None
        base = call.args[0]
        rows.append(call.args[1][0])
    return (base, rows[0], rows[-1] + 1) if base is not None else None


# -- the usual ones --------------------------------------------------------------------------------------------


def dead_code_removed(calls: Calls, keep: Iterable[Var]) -> Calls:
    """Without the calls whose result nobody needs."""
    needed = set(keep)
    kept = []
    for call in reversed(calls):
        if call.out in needed or not call.pure:
            needed.update(call.inputs())
            kept.append(call)
    return kept[::-1]


def constants_folded(calls: Calls) -> Calls:
    """Without the calls whose arguments are the same at each run: their results are known."""
    left = []
    for call in calls:
        asked = call.args[:1] if is_view(call) else tuple(call.inputs())
        if call.pure and all(v.source == "constant" for v in asked):
            call.out.source, call.out.call = "constant", None
        else:
            left.append(call)
    return left


def rows_restacked(calls: Calls, recorder: Recorder) -> Calls:
    """Rows of one array, in order, that are stacked again: a part of that array."""
    left: Calls = []
    for call in calls:
        found = rows_in_order(members_of(call))
        if found is not None:
            base, start, stop = found
            if (start, stop) != (0, base.shape[0]):
                base = added(left, recorder, operator.getitem, (base, (slice(start, stop),)), call.scope)
            call.fn, call.args, call.options = reshape, (base, call.out.shape), {}
        left.append(call)
    return left


def signature(x: Any) -> Any:
    """Something to compare arguments by."""
    if isinstance(x, Var):
        return ("v", x.number)
    if isinstance(x, list | tuple):
        return (type(x).__name__, *map(signature, x))
    if isinstance(x, slice):
        return ("slice", x.start, x.stop, x.step)
    if isinstance(x, int | float | bool):
        return (type(x).__name__, repr(x))  # 0.0 is not -0.0
    return x if isinstance(x, str | type(None) | np.dtype) else (type(x).__name__, id(x))


def duplicates_removed(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """Without the calls that compute what an earlier one did; `keep` gets the Vars that take their place."""
    seen: dict[Any, Var] = {}
    same: dict[Var, Var] = {}
    left = []
    for call in calls:
        if same and any(v in same for v in call.inputs()):
            rewritten([call], same)
        if call.pure:
            key = (call.fn, signature(call.args), *((k, signature(x)) for k, x in sorted(call.options.items())))
            found = seen.setdefault(key, call.out)
            if found is not call.out:
                same[call.out] = found
                continue
        left.append(call)
    keep.update(same)
    return left


def invariants_first(calls: Calls, recorder: Recorder) -> Calls:
    """p + (q + c), where c is the same at every step and p does not wait for the recurrence: (p + c) + q.

    The bias of a recurrent network then joins the part that is computed for all steps at once.
    """
    uses = uses_of(calls)
    made_by = {call.out: call for call in calls}
    late = recurrent(calls)
    sums: dict[tuple[Var, Var], Var] = {}
    left: Calls = []
    for call in calls:
        pair = call.args if call.fn is np.add and not call.options else ()
        if len(pair) == 2 and all(isinstance(v, Var) for v in pair) and step_of(call) is not None:
            p, q = pair
            inner = made_by.get(q)
            if (
                inner is not None and inner.fn is np.add and uses[q] == 1 and step_of(inner) == step_of(call)
                and p not in late and p.shape == call.out.shape == q.shape and all(isinstance(v, Var) for v in inner.args)
            ):  # fmt: skip
                c, r = sorted(inner.args, key=lambda v: len(v.shape))
                if settled(c) and not settled(r) and len(c.shape) < len(p.shape):
                    sides = made_by[p].args if p in made_by and made_by[p].fn is np.add else ()
                    if len(sides) == 2 and isinstance(sides[1], Var) and settled(sides[1]) and sides[1].shape == c.shape:
                        p, other = sides  # the two biases of PyTorch's cells: their sum once, not twice a sum with the rest
                        both = sums.get((other, c))
                        if both is None:
                            both = sums[other, c] = added(left, recorder, np.add, (other, c), None)
                        c = both
                    first = added(left, recorder, np.add, (p, c), call.scope)
                    made_by[first] = left[-1]
                    call.args = (first, r)
                    uses[q] = 0
        left.append(call)
    return left


# -- batching over time ----------------------------------------------------------------------------------------


def recurrent(calls: Calls) -> set[Var]:
    """The results that a step makes of what the step before made of the same."""
    groups = grouped(calls)
    return {call.out for group in groups.waiting for call in groups.members[group]}


class Groups:
    """Calls that are the same but for the time step, and which of them wait for one another."""

    def __init__(self, members: list[list[Call]]) -> None:
        self.members = members
        self.of = {call.out: number for number, group in enumerate(members) for call in group}
        after: list[set[int]] = [set() for _ in members]
        for number, group in enumerate(members):
            for call in group:
                for v in call.inputs():
                    source = self.of.get(v)
                    if source is not None:
                        after[source].add(number)
        parts = [part for part in strongly_connected(after) if len(part) > 1 or part[0] in after[part[0]]]
        self.waiting = {number for part in parts for number in part}
        # Which of the chains of groups that wait for one another a result belongs to.
        self.component = {call.out: i for i, part in enumerate(parts) for number in part for call in members[number]}


LOOKS = 8  # how many calls away two calls of different steps are compared


def grouped(calls: Calls) -> Groups:
    """A group for each call of a step with those of other steps that look the same from as near as tells the calls of one
    step apart: function, options, what their arguments come from, what those come from, and so on. (From further away the
    first step looks different, for there is none before it.) A wrong guess does no harm: what is done with a group checks its
    arguments."""
    looks: dict[Var, list[int]] = {}  # from 0, 1, 2 ... calls away
    names: dict[Any, int] = {}
    several: set[int] = set()  # looks that more than one call of a step has
    taken: set[tuple[int, int]] = set()
    scopes: dict[int, str] = {}
    for call in calls:
        t = step_of(call)
        if t is None:
            continue
        where = scopes.get(id(call.scope))
        if where is None:
            where = scopes[id(call.scope)] = str(call.scope).replace(f"t={t}", "t")
        itself: tuple[Any, ...] = (call.fn, call.out.shape, where, fixed(call.args, t if call.fn is operator.getitem else 0))
        if call.options:
            itself += tuple((key, fixed((x,), 0)) for key, x in sorted(call.options.items()))
        sources = [
            (v.number,) * LOOKS if settled(v) else looks[v] if v.call is not None and step_of(v.call) == t else ELSEWHERE
            for v in variables(call.args)
        ]
        look = looks[call.out] = [names.setdefault(itself, len(names))]
        for before in zip(*sources, strict=True):
            look.append(names.setdefault((look[0], before), len(names)))
        look += look[-1:] * (LOOKS + 1 - len(look))
        for one in set(look):
            if (one, t) in taken:
                several.add(one)
            taken.add((one, t))
        del look[LOOKS:]
    places: dict[Any, list[Call]] = {}
    seen: dict[tuple[int, int], int] = {}
    for call in calls:
        t = step_of(call)
        if t is None:
            places[call.out] = [call]
            continue
        look = looks[call.out]
        near = next((one for one in look[1:] if one not in several), look[-1])
        key = (near, seen.get((near, t), 0))
        seen[near, t] = key[1] + 1
        places.setdefault(key, []).append(call)
    return Groups([sorted(group, key=lambda c: step_of(c) or 0) for group in places.values()])


ELSEWHERE = (-1,) * LOOKS  # of what comes from another step


def fixed(args: Any, t: int) -> tuple[Any, ...]:
    """What of the arguments is no Var; of an index, how far from the step."""
    found: list[Any] = []
    for x in args:
        if isinstance(x, Var):
            continue
        if isinstance(x, list | tuple):
            found.append(tuple(i - t if type(i) is int else fixed((i,), t) for i in x))
        else:
            found.append(signature(x))
    return tuple(found)


def settled(v: Var) -> bool:
    """Whether it comes from outside, or is a view of what does."""
    while v.call is not None and is_view(v.call) and not is_row(v.call.args[1] if len(v.call.args) > 1 else None):
        v = v.call.args[0]
    return v.call is None


def flat(*arrays: Any) -> Any:
    """The elements of all, one array after the other."""
    return np.concatenate([x.reshape(-1) for x in arrays])


def updates_together(calls: Calls, recorder: Recorder) -> Calls:
    """The same elementwise op for each parameter, as an optimizer has them, as one op on all parameters laid side by side."""
    rows: dict[Any, dict[int, Call]] = {}
    count: dict[int, int] = {}
    for call in calls:
        i = call.scope.get("parameter") if call.scope else None
        if isinstance(i, int):
            count[i] = count.get(i, 0) + 1
            rows.setdefault((count[i], call.fn, call.out.dtype), {})[i] = call
    new: Calls = []
    done: set[Var] = set()
    whole: dict[tuple[Var, ...], Var] = {}
    for (_, fn, dtype), by_parameter in rows.items():
        group = [by_parameter[i] for i in sorted(by_parameter)]
        if (
            len(group) < 2
            or not isinstance(fn, np.ufunc)
            or fn.nout != 1
            or any(c.options or not c.pure for c in group)
            or dtype is None
        ):
            continue
        columns = list(zip(*(c.args for c in group), strict=True)) if len({len(c.args) for c in group}) == 1 else []
        args: list[Any] = []
        for column in columns:
            if all(
                isinstance(v, Var) and v.dtype is not None and v.shape == c.out.shape
                for v, c in zip(column, group, strict=True)
            ):
                key = tuple(column)
                if len({v.dtype for v in column}) > 1:
                    break
                if key not in whole:
                    whole[key] = added(new, recorder, flat, key, group[0].scope.parent)
                args.append(whole[key])
            elif len({signature(v) for v in column}) == 1 and (not isinstance(column[0], Var) or column[0].shape == ()):
                args.append(column[0])
            else:
                break
        if not columns or len(args) < len(columns) or not any(isinstance(a, Var) and a.shape for a in args):
            continue
        together = added(new, recorder, fn, tuple(args), group[0].scope.parent)
        whole[tuple(c.out for c in group)] = together
        start = 0
        for call in group:
            stop = start + call.out.value.size
            part = added(new, recorder, operator.getitem, (together, (slice(start, stop),)), call.scope)
            made_instead(new, call.out, reshape, (part, call.out.shape), call.scope)
            done.add(call.out)
            start = stop
    return sorted_by_need([c for c in calls if c.out not in done] + new)


def strongly_connected(after: list[set[int]]) -> list[list[int]]:
    """Tarjan's algorithm, without recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    parts = []
    for root in range(len(after)):
        if root in index:
            continue
        work = [(root, iter(after[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for following in rest:
                if following not in index:
                    index[following] = low[following] = len(index)
                    stack.append(following)
                    on_stack.add(following)
                    work.append((following, iter(after[following])))
                    break
                if following in on_stack:
                    low[node] = min(low[node], index[following])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while True:
                        part.append(stack.pop())
                        on_stack.discard(part[-1])
                        if part[-1] == node:
                            break
                    parts.append(part)
    return parts


class Batching:
    """The pass that makes one call of those of all steps, where they do not wait for one another."""

    def __init__(self, calls: Calls, recorder: Recorder) -> None:
        self.recorder = recorder
        self.groups = grouped(calls)
        self.stacks: dict[tuple[Var, ...], Var] = {}
        self.done: set[Var] = set()
        self.new: Calls = []
        for number in self.in_order():
            group = self.groups.members[number]
            if len(group) > 2 and number not in self.groups.waiting and all(c.pure for c in group):
                parts: dict[Any, Calls] = {}
                for call in group:
                    parts.setdefault(tuple(origin(x) for x in call.args), []).append(call)
                for part in parts.values():
                    if len(part) > 2:
                        self.batch(part)
        self.calls = sorted_by_need([c for c in calls if c.out not in self.done] + self.new)

    def in_order(self) -> list[int]:
        """Groups after those they need; of those that wait for one another any order."""
        after: list[set[int]] = [set() for _ in self.groups.members]
        count = [0] * len(after)
        for number, group in enumerate(self.groups.members):
            for call in group:
                for v in call.inputs():
                    source = self.groups.of.get(v)
                    if source is not None and source != number and number not in after[source]:
                        after[source].add(number)
        for following in after:
            for n in following:
                count[n] += 1
        ready = [n for n, c in enumerate(count) if c == 0]
        order = []
        done: set[int] = set()
        rest = iter(range(len(after)))
        while True:
            while ready:
                number = ready.pop()
                if number in done:
                    continue
                done.add(number)
                order.append(number)
                for n in after[number]:
                    count[n] -= 1
                    if count[n] == 0:
                        ready.append(n)
            left = next((n for n in rest if n not in done and n in self.groups.waiting), None)
            if left is None:
                return order
            ready.append(left)

    def record(self, fn: Callable[..., Any], args: tuple[Any, ...], scope: Any, **options: Any) -> Var:
        return added(self.new, self.recorder, fn, args, scope, **options)

    def together(self, vs: tuple[Var, ...]) -> Var | None:
        """One Var of these stacked, or None where that would cost a copy."""
        rows = rows_in_order(vs)
        if rows is not None:
            base, start, stop = rows
            if (start, stop) == (0, base.shape[0]):
                return base
            return self.record(operator.getitem, (base, (slice(start, stop),)), None)
        if any(v.call is None or is_view(v.call) for v in vs[1:]):
            return None
        found = self.stacks.get(vs)
        if found is None:
            found = self.stacks[vs] = self.record(stack, vs, None)
        return found

    def batch(self, group: Calls) -> None:
        model = group[0]
        if any(
            len(c.args) != len(model.args) or c.out.shape != model.out.shape or c.out.dtype != model.out.dtype for c in group
        ):
            return
        if any(signature(tuple(sorted(c.options.items()))) != signature(tuple(sorted(model.options.items()))) for c in group):
            return
        if model.fn is operator.getitem and is_view(model) and is_row(model.args[1]):
            return  # x[t]: what uses it finds x
        arguments: list[tuple[Any, bool]] = []
        for column in zip(*(c.args for c in group), strict=True):
            if all(isinstance(v, Var) for v in column):
                if all(v is column[0] for v in column):
                    arguments.append((column[0], False))
                    continue
                if len({(v.shape, v.dtype) for v in column}) > 1 or column[0].dtype is None:
                    return
                one = self.together(column)
                if one is None:
                    return
                arguments.append((one, True))
            elif any(variables(v) for v in column) or len({signature(v) for v in column}) > 1:
                return
            else:
                arguments.append((column[0], False))
        if not any(many for _, many in arguments):
            return
        whole = self.lifted(model, arguments, len(group))
        if whole is None:
            return
        for i, call in enumerate(group):
            made_instead(self.new, call.out, operator.getitem, (whole, (i,)), call.scope)
            self.done.add(call.out)

    def lifted(self, model: Call, arguments: list[tuple[Any, bool]], n: int) -> Var | None:
        """The call for all steps at once, or None if this function cannot be."""
        scope, ndim = model.scope and model.scope.parent, len(model.out.shape)
        args = [a for a, _ in arguments]
        if (isinstance(model.fn, np.ufunc) and model.fn.signature is None and model.fn.nout == 1) or model.fn in (
            np.where,
            cast,
        ):
            for i, (a, many) in enumerate(arguments):
                missing = ndim - (len(a.shape) - 1) if many else 0
                if missing:
                    args[i] = self.record(reshape, (a, (n, *(1,) * missing, *a.shape[1:])), scope)
            return self.record(model.fn, tuple(args), scope, **model.options)
        if model.fn is dot:
            (x, many), (y, also) = arguments
            if not many or also or len(x.shape) != 3 or len(y.shape) != 2:
                return None
            rows = self.record(reshape, (x, (x.shape[0] * x.shape[1], x.shape[2])), scope)
            product = self.record(dot, (rows, y), scope)
            return self.record(reshape, (product, (x.shape[0], x.shape[1], y.shape[1])), scope)
        if not arguments[0][1] or any(many for _, many in arguments[1:]):
            return None
        if getattr(model.fn, "__name__", "") == "reduce":
            axis = model.options.get("axis")
            if axis is None:
                axis = tuple(range(len(args[0].shape) - 1))
            axes = (axis,) if isinstance(axis, int) else tuple(axis)
            own = len(args[0].shape) - 1
            options = {**model.options, "axis": tuple(a % own + 1 for a in axes)}
            return self.record(model.fn, tuple(args), scope, **options)
        if model.fn is operator.getitem and is_view(model):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            return self.record(operator.getitem, (args[0], (slice(None), *index)), scope)
        if model.fn is reshape:
            return self.record(reshape, (args[0], (n, *args[1])), scope)
        if model.fn is transpose:
            return self.record(transpose, (args[0], (0, *(a + 1 for a in args[1]))), scope)
        return None


def origin(x: Any) -> Any:
    """Where an argument comes from, as far as stacking it is concerned: an array that it is a row of, outside, or a call."""
    if not isinstance(x, Var):
        return None
    if x.call is not None and x.call.fn is operator.getitem and is_row(x.call.args[1]):
        return x.call.args[0]
    return x if settled(x) else "made"


def is_row(index: Any) -> bool:
    return isinstance(index, tuple) and len(index) == 1 and type(index[0]) is int


def batched_over_time(calls: Calls, recorder: Recorder) -> Calls:
    """The same op of every step as one op on the stack, where it does not wait for the recurrence."""
    return Batching(calls, recorder).calls


def sorted_by_need(calls: Calls) -> Calls:
    """Each call after those whose results it needs, otherwise in the order in which they were recorded."""
    made = {call.out: i for i, call in enumerate(calls)}
    after: list[list[int]] = [[] for _ in calls]
    waiting = [0] * len(calls)
    last_draw = None
    for i, call in enumerate(calls):
        sources = {made[v] for v in call.inputs() if v in made and made[v] != i}
        if not call.pure:  # random numbers are drawn in the order of the function
            if last_draw is not None:
                sources.add(last_draw)
            last_draw = i
        waiting[i] = len(sources)
        for source in sources:
            after[source].append(i)
    ready = [(call.out.number, i) for i, call in enumerate(calls) if waiting[i] == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, i = heapq.heappop(ready)
        order.append(calls[i])
        for following in after[i]:
            waiting[following] -= 1
            if waiting[following] == 0:
                heapq.heappush(ready, (calls[following].out.number, following))
    assert len(order) == len(calls)
    return order
