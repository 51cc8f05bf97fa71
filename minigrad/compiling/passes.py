"""The passes: small functions from a list of calls to a better one that computes the same.

A program is a list of `Call`, each after those it needs. `keep` are the Vars that the program is for.
"""

from __future__ import annotations

import heapq
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from itertools import pairwise
from typing import Any

import numpy as np

from .recorder import Recorder
from .trace import CONTAINERS, Call, Var, dot, replaced, reshape, stack, transpose, viewed, zeros

__all__ = [
    "added", "alike", "axis_of", "base_of", "constants_folded", "dead_code_removed", "duplicates_removed", "flat",
    "in_order", "in_turn", "is_array", "is_elementwise", "is_row", "is_view", "made_instead", "members_of", "rewritten",
    "rows_in_order", "rows_restacked", "settled", "signature", "sorted_by_need", "updates_together", "users_of", "uses_of",
]  # fmt: skip

Calls = list[Call]
BASIC = (slice, int, np.integer, type(None), type(Ellipsis))  # parts of an index that makes a view
VIEWS = {reshape, transpose, np.broadcast_to, np.expand_dims, viewed}


def alike(*vs: Var) -> bool:
    """True if they have one shape and one dtype: integers of few bits overflow sooner if they meet in another order."""
    return len({(v.shape, v.dtype) for v in vs}) == 1


def is_array(x: Any) -> bool:
    """True for a value that is an array, and not a number of Python."""
    return isinstance(x, Var) and x.dtype is not None


def is_elementwise(fn: Any) -> bool:
    """True for a ufunc that makes one array, element by element."""
    return isinstance(fn, np.ufunc) and fn.nout == 1 and fn.signature is None


def is_view(call: Call) -> bool:
    """True if the result is another look at the first argument."""
    if call.fn in VIEWS:
        return True
    return call.fn is operator.getitem and is_array(call.args[0]) and all(isinstance(i, BASIC) for i in call.args[1])


def rewritten(calls: Iterable[Call], by: Callable[[Var], Var]) -> None:
    """Put in the place of each Var, in all arguments, what `by` gives for it."""
    for call in calls:
        call.args = replaced(call.args, by)
        if call.options:
            call.options = {key: replaced(x, by) for key, x in call.options.items()}


def added(calls: Calls, recorder: Recorder, fn: Callable[..., Any], args: tuple[Any, ...], scope: Any, **options: Any) -> Var:
    """Append a new call, and return what it makes."""
    call = Call(fn, args, options, scope, True)
    call.out = recorder.var(outcome(fn, args, options), call)
    calls.append(call)
    return call.out


def outcome(fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """An array like the result: of that only shape and dtype are right, and where it is quick, nothing is computed."""
    if fn is dot and all(isinstance(v, Var) and len(v.shape) == 2 for v in args):
        x, y = args
        return zeros((x.shape[0], y.shape[1]), np.result_type(x.dtype, y.dtype))
    if is_elementwise(fn) and not options and all(isinstance(v, Var | int | float) for v in args):
        kinds = (fn, *((v.dtype or type(v.value)) if isinstance(v, Var) else type(v) for v in args))
        dtype = DTYPES.get(kinds)
        if dtype is None:
            with np.errstate(all="ignore"):
                dtype = DTYPES[kinds] = fn(*(kind() if isinstance(kind, type) else zeros((), kind) for kind in kinds[1:])).dtype
        return zeros(np.broadcast_shapes(*(v.shape for v in args if isinstance(v, Var))), dtype)
    values = [replaced(x, lambda v: v.value) for x in args]
    with np.errstate(all="ignore"):
        return np.asarray(fn(*values, **{k: replaced(x, lambda v: v.value) for k, x in options.items()}))


DTYPES: dict[Any, Any] = {}  # of results, by ufunc and the dtypes of its arguments


def made_instead(calls: Calls, out: Var, fn: Callable[..., Any], args: tuple[Any, ...], scope: Any) -> None:
    """Append a call that makes what another call has made until now."""
    call = Call(fn, args, {}, scope, True)
    call.out, out.call = out, call
    calls.append(call)


def uses_of(calls: Calls) -> Counter[Var]:
    """Count how many arguments each Var is."""
    return Counter(v for call in calls for v in call.inputs())


def users_of(calls: Calls) -> dict[Var, Calls]:
    """The calls that each Var is an argument of; a call twice of which it is two."""
    users: dict[Var, Calls] = {}
    for call in calls:
        for v in call.inputs():
            users.setdefault(v, []).append(call)
    return users


def axis_of(call: Call) -> Any:
    """The axis along which a call concatenates."""
    return call.options.get("axis", call.args[1] if len(call.args) > 1 else 0)


def members_of(call: Call) -> list[Any]:
    """List what a call puts one below the other, if all have one shape."""
    if call.fn is stack:
        return list(call.args)
    if call.fn is not np.concatenate or axis_of(call) != 0:
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
        row = call.args[1][0] % call.args[0].shape[0]
        if rows and (call.args[0] is not base or row != rows[-1] + 1):
            return None
        base = call.args[0]
        rows.append(row)
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


def constants_folded(calls: Calls, views: bool = True) -> Calls:
    """Without the calls whose arguments are the same at each run: their results are known. Without `views`, another look at a
    constant stays a call, as it is for the values that other steps have in its place."""
    left = []
    for call in calls:
        first = call.args[0] if call.args else None
        if type(first) is Var and first.source != "constant":
            left.append(call)
            continue
        if call.pure and (views or not is_view(call)) and all(v.source == "constant" for v in call.inputs()):
            values = replaced(call.args, lambda v: v.value)
            options = {key: replaced(x, lambda v: v.value) for key, x in call.options.items()}
            value = call.fn(*values, **options)
            call.out.value = tuple(value) if call.out.is_tuple else value if call.out.dtype is None else np.asarray(value)
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
    kind = type(x)
    if kind is Var:
        return x
    if isinstance(x, CONTAINERS):
        return (kind.__name__, *map(signature, x))
    if kind is slice:
        return ("slice", x.start, x.stop, x.step)
    if kind in (int, float, bool):
        return (kind.__name__, repr(x))  # 0.0 is not -0.0
    return x if x is None or kind is str or isinstance(x, np.dtype) else (kind.__name__, id(x))


def duplicates_removed(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """Without the calls that compute what an earlier one did; `keep` gets the Vars that take their place."""
    seen: dict[Any, Var] = {}
    same: dict[Var, Var] = {}
    left = []
    for call in calls:
        if same and any(v in same for v in call.inputs()):
            rewritten([call], lambda v: same.get(v, v))
        if call.pure:
            key: Any = (call.fn, *map(signature, call.args))
            if call.options:
                key = (key, *((k, signature(x)) for k, x in sorted(call.options.items())))
            found = seen.setdefault(key, call.out)
            if found is not call.out:
                same[call.out] = found
                continue
        left.append(call)
    keep.update(same)
    return left


def settled(v: Var) -> bool:
    """True if it comes from outside, or is a view of what does."""
    while v.call is not None and is_view(v.call) and not (v.call.fn is operator.getitem and is_row(v.call.args[1])):
        v = v.call.args[0]
    return v.call is None


def base_of(v: Var) -> Var:
    """Return the value that a view is a view of, or the value itself."""
    while v.call is not None and is_view(v.call):
        v = v.call.args[0]
    return v


def latest(v: Var, keep: dict[Var, Var]) -> Var:
    """Follow a value to the one that took its place."""
    while v in keep:
        v = keep[v]
    return v


def is_row(index: Any) -> bool:
    return isinstance(index, tuple) and len(index) == 1 and type(index[0]) is int


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
            if is_elementwise(call.fn) and not call.options and call.pure and is_array(call.out):
                rows.setdefault((id(call.scope.parent), count[i], call.fn, call.out.dtype, len(call.args)), {})[i] = call
    new: Calls = []
    done: set[Var] = set()
    whole: dict[tuple[Var, ...], Var] = {}
    for by_parameter in rows.values():
        group = [by_parameter[i] for i in sorted(by_parameter)]
        args = side_by_side(group, whole, new, recorder) if len(group) > 1 else ()
        if not any(is_array(a) and a.shape for a in args):
            continue
        together = added(new, recorder, group[0].fn, args, group[0].scope.parent)
        whole[tuple(c.out for c in group)] = together
        start = 0
        for call in group:
            stop = start + call.out.size
            part = added(new, recorder, operator.getitem, (together, (slice(start, stop),)), call.scope)
            made_instead(new, call.out, reshape, (part, call.out.shape), call.scope)
            done.add(call.out)
            start = stop
    try:
        return sorted_by_need([c for c in calls if c.out not in done] + new)
    except Circle:  # a parameter's update needs another's, which is no optimizer's
        for call in calls:
            call.out.call = call
        return calls


def side_by_side(group: Calls, whole: dict[tuple[Var, ...], Var], calls: Calls, recorder: Recorder) -> tuple[Any, ...]:
    """The arguments of one call in the place of those of a group: arrays laid side by side, and what all have; () if there is
    another argument. `whole` has the arrays that are side by side already."""
    args: list[Any] = []
    for column in zip(*(call.args for call in group), strict=True):
        if all(is_array(v) and v.shape == call.out.shape for v, call in zip(column, group, strict=True)):
            if len({v.dtype for v in column}) > 1:
                return ()
            if column not in whole:
                whole[column] = added(calls, recorder, flat, column, group[0].scope.parent)
            args.append(whole[column])
        elif len(set(map(signature, column))) > 1 or (isinstance(column[0], Var) and column[0].shape):
            return ()
        else:
            args.append(column[0])
    return tuple(args)


def sorted_by_need(calls: Calls, late: Set[Var] = frozenset()) -> Calls:
    """Each call after those whose results it needs, otherwise in the order in which they are given; those of `late` just before
    what needs them."""
    made = {call.out: i for i, call in enumerate(calls)}
    sources = [{made[v] for v in call.inputs() if v in made and made[v] != i} for i, call in enumerate(calls)]
    in_turn(sources, [not call.pure for call in calls])
    turn = None
    if late:
        needed = set().union(*sources)
        turn = [len(calls) if call.out in late and i in needed else i for i, call in enumerate(calls)]
        for i in reversed(in_order(sources)):
            for source in sources[i]:
                if calls[source].out in late:
                    turn[source] = min(turn[source], turn[i])
    return [calls[i] for i in in_order(sources, turn)]


def in_turn(sources: list[set[int]], draws: list[bool]) -> None:
    """Have each of those that draw random numbers wait for the one before: they are drawn in the order of the function."""
    for before, after in pairwise(i for i, draw in enumerate(draws) if draw):
        sources[after].add(before)


def in_order(sources: Sequence[Set[int]], turn: Sequence[int] | None = None) -> list[int]:
    """The numbers of what has to wait, such as calls: none before its sources, of the rest that with the lowest turn."""
    if turn is None:
        turn = range(len(sources))
        if all(source < i for i, those in enumerate(sources) for source in those):
            return [*turn]
    after: list[list[int]] = [[] for _ in sources]
    for i, those in enumerate(sources):
        for source in those:
            after[source].append(i)
    waiting = [len(those) for those in sources]
    ready = [(turn[i], i) for i, n in enumerate(waiting) if n == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, i = heapq.heappop(ready)
        order.append(i)
        for following in after[i]:
            waiting[following] -= 1
            if waiting[following] == 0:
                heapq.heappush(ready, (turn[following], following))
    if len(order) < len(sources):
        raise Circle
    return order


class Circle(Exception):
    """Calls wait for one another."""
