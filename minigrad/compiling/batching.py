"""Batching over time: what does not wait for the recurrence is computed for many steps at once."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..components import strongly_connected
from .passes import (
    Calls,
    added,
    alike,
    is_array,
    is_elementwise,
    is_row,
    is_view,
    made_instead,
    rows_in_order,
    settled,
    signature,
    sorted_by_need,
)
from .recorder import Recorder
from .trace import Call, Var, cast, dot, reshape, stack, transpose, variables

__all__ = ["batched_over_time", "grouped", "lifted", "recurrences", "steps_of_a_block"]

LOOKS = 8  # how many calls away two calls of different steps are compared
BLOCK = 1 << 20  # bytes that the batched calls of all steps of a block make
FEWEST = 8  # steps of a block


def recurrences(calls: Calls) -> dict[Var, int]:
    """The results that a step makes of what the step before made of the same: which recurrence each is part of."""
    return grouped(calls).component


class Groups:
    """Calls that are the same but for the time step, and which of them wait for one another."""

    def __init__(self, members: list[list[Call]]) -> None:
        self.members = members
        self.of = {call.out: number for number, group in enumerate(members) for call in group}
        needs: list[set[int]] = [{self.of[v] for call in group for v in call.inputs() if v in self.of} for group in members]
        parts = strongly_connected(dict(enumerate(needs)))
        self.order = [number for part in parts for number in part]  # each after those it needs, unless they wait for it
        parts = [part for part in parts if len(part) > 1 or part[0] in needs[part[0]]]
        self.waiting = {number for part in parts for number in part}
        # Which of the chains of groups that wait for one another a result belongs to.
        self.component = {call.out: i for i, part in enumerate(parts) for number in part for call in members[number]}


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
        t = call.step
        if t is None:
            continue
        where = scopes.get(id(call.scope))
        if where is None:
            where = scopes[id(call.scope)] = str(call.scope).replace(f"t={t}", "t")
        itself: tuple[Any, ...] = (call.fn, call.out.shape, where, fixed(call.args, t if call.fn is operator.getitem else 0))
        if call.options:
            itself += tuple((key, fixed((x,), 0)) for key, x in sorted(call.options.items()))
        sources = [
            (v.number,) * LOOKS if settled(v) else looks[v] if v.call is not None and v.call.step == t else ELSEWHERE
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
        t = call.step
        if t is None:
            places[call.out] = [call]
            continue
        look = looks[call.out]
        near = next((one for one in look[1:] if one not in several), look[-1])
        key = (near, seen.get((near, t), 0))
        seen[near, t] = key[1] + 1
        places.setdefault(key, []).append(call)
    return Groups([sorted(group, key=lambda c: c.step or 0) for group in places.values()])


ELSEWHERE = (-1,) * LOOKS  # of what comes from another step


def fixed(args: Any, t: int) -> tuple[Any, ...]:
    """Return the arguments that are no Vars; an index as its distance from the step."""
    found: list[Any] = []
    for x in args:
        if isinstance(x, Var):
            continue
        if isinstance(x, list | tuple):
            found.append(tuple(i - t if type(i) is int else fixed((i,), t) for i in x))
        else:
            found.append(signature(x))
    return tuple(found)


class Batching:
    """The pass that makes one call of those of all steps, where they do not wait for one another."""

    def __init__(self, calls: Calls, recorder: Recorder) -> None:
        self.recorder = recorder
        self.groups = grouped(calls)
        self.stacks: dict[tuple[Var, ...], Var] = {}
        self.done: set[Var] = set()
        self.new: Calls = []
        groups = [
            self.groups.members[number]
            for number in self.groups.order
            if number not in self.groups.waiting and len(self.groups.members[number]) > 2
        ]
        each = sum(group[0].out.nbytes for group in groups if not is_view(group[0]))
        length = steps_of_a_block(each, max(map(len, groups), default=1))
        for group in groups:
            parts: dict[Any, Calls] = {}
            for call in group:
                block = (call.step or 0) // length
                parts.setdefault((block, *(origin(x) for x in call.args)), []).append(call)
            for part in parts.values():
                if len(part) > 2 and all(c.pure for c in part):
                    self.batch(part)
        self.calls = sorted_by_need([c for c in calls if c.out not in self.done] + self.new, {c.out for c in self.new})

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
        if model.fn is operator.getitem and is_view(model) and is_row(model.args[1]):
            return  # x[t]: what uses it finds x
        arguments = self.arguments(group) if len({common(call) for call in group}) == 1 else []
        whole = lifted(self.record, model, arguments, len(group)) if any(many for _, many in arguments) else None
        for i, call in enumerate(group) if whole is not None else ():
            made_instead(self.new, call.out, operator.getitem, (whole, (i,)), call.scope)
            self.done.add(call.out)

    def arguments(self, group: Calls) -> list[tuple[Any, bool]]:
        """The arguments of one call for a group, and whether each is of all steps; none if there cannot be such a call."""
        found: list[tuple[Any, bool]] = []
        for column in zip(*(c.args for c in group), strict=True):
            first = column[0]
            one: Any = first
            if len({signature(v) for v in column}) > 1:
                if not all(is_array(v) and alike(v, first) for v in column):
                    return []
                one = self.together(column)
            if one is None or (variables(first) and not isinstance(first, Var)):
                return []
            found.append((one, one is not first))
        return found


def common(call: Call) -> Any:
    """Return a key that calls have to share to be done at once."""
    return len(call.args), call.out.shape, call.out.dtype, signature(tuple(sorted(call.options.items())))


def lifted(record: Callable[..., Var], model: Call, arguments: list[tuple[Any, bool]], n: int) -> Var | None:
    """The call for all steps at once, or None if this function cannot be. Of each argument: is it one of all steps?"""
    fn, scope, ndim = model.fn, model.scope and model.scope.parent, len(model.out.shape)
    if is_elementwise(getattr(fn, "__wrapped__", fn)) or fn in (np.where, cast):
        args = [a for a, _ in arguments]
        for i, (a, many) in enumerate(arguments):
            missing = ndim - (len(a.shape) - 1) if many else 0
            if missing:
                args[i] = record(reshape, (a, (n, *(1,) * missing, *a.shape[1:])), scope)
        return record(fn, tuple(args), scope, **model.options)
    (x, many), *others = arguments
    if not many or any(also for _, also in others):
        return None
    if fn is dot:
        y = others[0][0]
        if len(x.shape) != 3 or len(y.shape) != 2:
            return None
        rows = record(reshape, (x, (x.shape[0] * x.shape[1], x.shape[2])), scope)
        return record(reshape, (record(dot, (rows, y), scope), (*x.shape[:2], y.shape[1])), scope)
    if getattr(fn, "__name__", "") == "reduce":
        options = {**model.options, "axis": axes_after_one_more(model.options.get("axis"), len(x.shape) - 1)}
        return record(fn, (x, *(a for a, _ in others)), scope, **options)
    if fn in MOVED and is_view(model):
        return record(fn, (x, MOVED[fn](n, others[0][0])), scope)
    return None


MOVED: dict[Any, Callable[[int, Any], tuple[Any, ...]]] = {  # what a view is given, for an array with one more axis in front
    operator.getitem: lambda n, index: (slice(None), *index),
    reshape: lambda n, shape: (n, *shape),
    transpose: lambda n, axes: (0, *(a + 1 for a in axes)),
}


def axes_after_one_more(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction, for an array with one more axis in front."""
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(a % ndim + 1 for a in axes)


def steps_of_a_block(each: int, steps: int) -> int:
    """Return the number of steps to batch at a time, so that their results, `each` bytes a step, stay in the cache."""
    blocks = -(-steps // max(FEWEST, BLOCK // max(each, 1)))
    return -(-steps // blocks)


def origin(x: Any) -> Any:
    """Return a key for the origin of an argument: the array that it is a row of, itself if it comes from outside, or "made"."""
    if not isinstance(x, Var):
        return None
    if x.call is not None and x.call.fn is operator.getitem and is_row(x.call.args[1]):
        return x.call.args[0]
    return x if settled(x) else "made"


def batched_over_time(calls: Calls, recorder: Recorder) -> Calls:
    """The same op of every step as one op on the stack, where it does not wait for the recurrence."""
    return Batching(calls, recorder).calls
