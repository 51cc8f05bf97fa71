"""Passes that rewrite what is computed: sums and products in another order, several calls as one, nothing left out of sums.

Each changes at most the last digits.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..ops.shape import is_advanced, scattered
from .passes import Calls, added, grouped, is_view, made_instead, rewritten, signature, step_of
from .trace import Call, Recorder, Var, reshape, variables

__all__ = ["neighbours_merged", "products_first", "zeros_left_out"]

MOST = 1024  # elements of a gate: beyond, a call costs less than rows that are not contiguous
SCATTERED = scattered.__wrapped__  # type: ignore[attr-defined]


def zeros_left_out(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """x + row, where the row is one of an array of zeros in which nothing was put: x.

    So it is with a loss of the last step only, whose gradient by the outputs of all others is zero.
    """
    empty: dict[Var, set[int]] = {}
    same: dict[Var, Var] = {}
    left = []
    for call in calls:
        if same:
            rewritten([call], same)
        indices = call.options["indices"] if call.fn is SCATTERED and call.out.shape else [()]
        if not any(is_advanced(i) or list(variables(i)) or i == () for i in indices):
            rows = np.ones(call.out.shape[0], bool)
            for index in indices:
                rows[index[0] if isinstance(index, tuple) and index and index[0] is not Ellipsis else slice(None)] = False
            empty[call.out] = set(np.flatnonzero(rows).tolist())
        if call.fn is np.add and not call.options:
            for zero, other in (call.args, call.args[::-1]):
                if (
                    nothing_in(zero, empty)
                    and isinstance(other, Var)
                    and (other.shape, other.dtype) == (call.out.shape, call.out.dtype)
                ):
                    same[call.out] = other
                    break
            if call.out in same:
                continue
        left.append(call)
    keep.update(same)
    return left


def nothing_in(v: Any, empty: dict[Var, set[int]]) -> bool:
    if not isinstance(v, Var) or v.call is None or not is_view(v.call):
        return False
    if v.call.fn is reshape:
        return nothing_in(v.call.args[0], empty)
    rows = empty.get(v.call.args[0])
    index = v.call.args[1] if v.call.fn is operator.getitem else None
    if rows is None or not isinstance(index, tuple) or not index or type(index[0]) is not int:
        return False
    return index[0] % v.call.args[0].shape[0] in rows


def products_first(calls: Calls, recorder: Recorder) -> Calls:
    """(d a) b, where d waits for the step after and a and b do not: d (a b).

    The factors of a cotangent that the forward pass has left, slopes and gates, are multiplied for all steps at once.
    """
    groups = grouped(calls)
    part = groups.component
    uses: dict[Var, int] = {}
    for call in calls:
        for v in call.inputs():
            uses[v] = uses.get(v, 0) + 1
    made_by = {call.out: call for call in calls}
    left: Calls = []
    made: dict[tuple[Var, Var], Var] = {}
    for call in calls:
        chain = part.get(call.out)
        if call.fn is np.multiply and not call.options and step_of(call) is not None and chain is not None:
            for q, b in (call.args, call.args[::-1]):
                inner = made_by.get(q) if isinstance(q, Var) else None
                if (
                    inner is None
                    or inner.fn is not np.multiply
                    or uses[q] != 1
                    or step_of(inner) != step_of(call)
                    or part.get(q) != chain
                ):
                    continue
                d, a = inner.args if part.get(inner.args[0]) == chain else inner.args[::-1]
                if not all(isinstance(v, Var) and v.dtype is not None and v.shape == call.out.shape for v in (d, a, b)):
                    continue
                if part.get(d) != chain or part.get(a) == chain or part.get(b) == chain:
                    continue
                factor = made.get((a, b))
                if factor is None:
                    factor = made[a, b] = added(left, recorder, np.multiply, (a, b), call.scope)
                call.args = (d, factor)
                uses[q] -= 1
                uses[d] = uses.get(d, 0) + 1
                break
        left.append(call)
    return left


def neighbours_merged(calls: Calls, recorder: Recorder) -> Calls:
    """The same elementwise op on slices that lie side by side in one array, such as two gates: one op on both."""
    for _ in range(8):  # each round takes the next op of a chain
        merged = merged_once(calls, recorder)
        if merged is None:
            break
        calls = merged
    return calls


def merged_once(calls: Calls, recorder: Recorder) -> Calls | None:
    rows: dict[Any, list[tuple[tuple[tuple[int, int], ...], Call]]] = {}
    for call in calls:
        if not isinstance(call.fn, np.ufunc) or call.fn.nout != 1 or call.fn.signature or call.options or not call.pure:
            continue
        if call.scope is None or step_of(call) is None or not 0 < call.out.value.size <= MOST or not call.out.shape:
            continue
        slices: list[Any] = [last_slice(a) if isinstance(a, Var) and a.dtype is not None else None for a in call.args]
        arrays = [isinstance(a, Var) and a.dtype is not None for a in call.args]
        width = call.out.shape[-1]
        if not any(arrays) or any(x and (s is None or s[2] - s[1] != width) for x, s in zip(arrays, slices, strict=True)):
            continue
        key = (
            call.fn, str(call.scope), call.out.shape, call.out.dtype,
            tuple(s[0].number if x else signature(a) for x, s, a in zip(arrays, slices, call.args, strict=True)),
        )  # fmt: skip
        rows.setdefault(key, []).append((tuple((s[1], s[2]) for x, s in zip(arrays, slices, strict=True) if x), call))
    joined: dict[Var, list[Call]] = {}  # by the first of them
    dropped: set[Var] = set()
    for group in rows.values():
        if len(group) < 2:
            continue
        group.sort(key=lambda item: item[0])
        run = [group[0]]
        for item in [*group[1:], None]:
            if item is not None and all(a[1] == b[0] for a, b in zip(run[-1][0], item[0], strict=True)):
                run.append(item)
                continue
            if len(run) > 1:
                together = [call for _, call in run]
                first = min(together, key=lambda call: call.out.number)
                joined[first.out] = together
                dropped.update(call.out for call in together)
            if item is not None:
                run = [item]
    if not joined:
        return None
    left: Calls = []
    for call in calls:
        members = joined.get(call.out)
        if members is not None:
            left += wide_call(members, recorder)
        elif call.out not in dropped:
            left.append(call)
    return left


def last_slice(v: Var) -> tuple[Var, int, int] | None:
    """Of a slice along the last axis: of what, from, to."""
    call = v.call
    if call is None or call.fn is not operator.getitem or not is_view(call) or not isinstance(call.args[1], tuple):
        return None
    base, index = call.args
    if len(index) != len(base.shape) or any(i != slice(None) for i in index[:-1]) or not isinstance(index[-1], slice):
        return None
    start, stop, step = index[-1].indices(base.shape[-1])
    return (base, start, stop) if step == 1 else None


def wide_call(members: list[Call], recorder: Recorder) -> Calls:
    """One call for those on slices that follow each other, and their results as slices of its own."""
    new: Calls = []
    model, last = members[0], members[-1]
    lead = (slice(None),) * (len(model.out.shape) - 1)

    def view(base: Var, start: int, stop: int) -> Var:
        if (start, stop) == (0, base.shape[-1]):
            return base
        return added(new, recorder, operator.getitem, (base, (*lead, slice(start, stop))), model.scope)

    args = []
    for a, b in zip(model.args, last.args, strict=True):
        if isinstance(a, Var) and a.dtype is not None:
            one, other = last_slice(a), last_slice(b)
            assert one is not None
            assert other is not None
            args.append(view(one[0], one[1], other[2]))
        else:
            args.append(a)
    wide = added(new, recorder, model.fn, tuple(args), model.scope)
    start = 0
    for member in members:
        stop = start + member.out.shape[-1]
        made_instead(new, member.out, operator.getitem, (wide, (*lead, slice(start, stop))), member.scope)
        start = stop
    return new
