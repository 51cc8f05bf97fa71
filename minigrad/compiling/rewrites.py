"""Passes that rewrite what is computed: sums and products in another order, several calls as one, nothing left out of sums.

Each changes at most the last digits.
"""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import numpy as np

from ..ops.shape import is_advanced, scattered
from .passes import (
    Calls,
    added,
    alike,
    is_array,
    is_elementwise,
    is_row,
    is_view,
    made_instead,
    rewritten,
    settled,
    signature,
    users_of,
    uses_of,
)
from .recorder import Recorder
from .trace import Call, Var, contiguous, dot, reshape, transpose, variables

__all__ = [
    "is_tiled",
    "is_turned",
    "neighbours_merged",
    "products_by_parts",
    "sums_of_products",
    "times_written",
    "weights_turned",
    "zeros_left_out",
]

MOST = 1024  # elements of a gate: beyond, a call costs less than rows that are not contiguous
TOGETHER = {np.concatenate, transpose, dot, np.add.reduce}  # functions that put together what several steps have made
UNKNOWN = -1  # step
MANY = 8  # products with the same matrix, of as many rows at least: then it is worth it to turn the matrix
SCATTERED = scattered.__wrapped__  # type: ignore[attr-defined]


def times_written(shape: tuple[int, ...], indices: Any) -> np.ndarray:
    """Count how often each element of an array of zeros is written to at these indices."""
    counts = np.zeros(shape, np.int8)
    for index in indices:
        counts[index] += 1
    return counts


def is_tiled(call: Call) -> bool:
    """True for a scattering whose parts lie side by side, so that each element is written to once."""
    if call.fn is not SCATTERED or variables(call.options["indices"]):
        return False
    return bool((times_written(call.out.shape, call.options["indices"]) == 1).all())


def zeros_left_out(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """Without rows of arrays of zeros in which parts were put: for x + row, where nothing was put into the row, x; for a row
    into which one part was put, that part.

    So it is with a loss of the last step only: no array of the gradients by all outputs is made for the one.
    """
    written: dict[Var, np.ndarray] = {}  # how often, by row
    parts: dict[tuple[Var, int], Var] = {}
    same: dict[Var, Var] = {}
    left = []
    for call in calls:
        if same and any(v in same for v in call.inputs()):
            rewritten([call], lambda v: same.get(v, v))
        if call.fn is SCATTERED and not any(is_advanced(i) or variables(i) for i in call.options["indices"]):
            indices = call.options["indices"]
            written[call.out] = times_written(call.out.shape[:1], [i[:1] for i in indices])
            parts |= {(call.out, i[0] % call.out.shape[0]): v for v, i in zip(call.args, indices, strict=True) if is_row(i)}
        instead = instead_of(call, written, parts) if written else None
        if instead is None:
            left.append(call)
        else:
            same[call.out] = instead
    keep.update(same)
    return left


def instead_of(call: Call, written: dict[Var, np.ndarray], parts: dict[tuple[Var, int], Var]) -> Var | None:
    """The value that a call makes again, of which it only adds a row of zeros, or reads a row that it was put in."""
    if is_sum(call):
        return next((v for zero, v in (call.args, call.args[::-1]) if times_put(zero, written) == 0), None)
    if call.fn is not operator.getitem or not is_row(call.args[1]) or times_put(call.out, written) != 1:
        return None
    part = parts.get((call.args[0], call.args[1][0] % call.args[0].shape[0]))
    return part if part is not None and alike(part, call.out) else None


def times_put(v: Var, written: dict[Var, np.ndarray]) -> int:
    """Count what was put into the row of one of these arrays that a value is, whatever its shape, or a part of; -1 if
    it is none."""
    while v.call is not None and v.call.fn is reshape:
        v = v.call.args[0]
    if v.call is None or v.call.fn is not operator.getitem or not is_view(v.call) or v.call.args[0] not in written:
        return -1
    array, index = v.call.args
    return int(written[array][index[0]]) if is_row(index[:1]) else -1


def sums_of_products(calls: Calls, recorder: Recorder) -> Calls:
    """A.T B + C.T D + E.T F ..., as the gradient of a weight is that is used in many steps: one product, of A, C, E ... below
    each other and B, D, F ... below each other. And sums over the rows of B, D, F ..., of a bias, in the same way."""
    uses = uses_of(calls)
    sums = {call.out for call in calls if is_sum(call)}
    inner = {v for call in calls if call.out in sums for v in call.args if v in sums and uses[v] == 1}
    left: Calls = []
    for call in calls:
        terms = terms_of(call, inner) if call.out in sums and call.out not in inner else []
        rest = joined(terms, uses, left, recorder)
        if len(rest) == 1:
            left[-1].out, call.out.call = call.out, left[-1]
            continue
        if len(rest) < len(terms):
            while len(rest) > 2:
                rest[:2] = [added(left, recorder, np.add, (rest[0], rest[1]), None)]
            call.args = tuple(rest)
        left.append(call)
    return left


def joined(terms: list[Var], uses: dict[Var, int], calls: Calls, recorder: Recorder) -> list[Var]:
    """The terms of a sum with one in the place of the first products of all steps, one in that of the second ones, and so on;
    and in the same way of sums over rows."""
    pairs = {v: pair for v in terms if uses[v] == 1 and (pair := rows_of(v, uses, recorder))}
    turns: dict[Any, list[Var]] = {}
    count: dict[Any, int] = {}
    for v in sorted(pairs, key=first_step):
        kind = pairs[v][0] is not None, first_step(v)
        turns.setdefault((kind[0], count.get(kind, 0)), []).append(v)
        count[kind] = count.get(kind, 0) + (kind[1] != UNKNOWN)
    for those in turns.values():
        least = 3 if first_step(those[-1]) == UNKNOWN else 2  # two products of a program without steps are quicker than copies
        if len(those) >= least and len({tuple(x and x.shape[1:] for x in pairs[v]) for v in those}) == 1:
            total = summed([pairs[v] for v in those], calls, recorder)
            gone = set(those)
            terms = [v for v in terms if v not in gone] + [total]
    return terms


def terms_of(call: Call, inner: set[Var]) -> list[Var]:
    """The terms of a sum, and of those in it."""
    terms, ahead = [], list(call.args)
    while ahead:
        v = ahead.pop()
        if v in inner:
            ahead += v.call.args
        else:
            terms.append(v)
    return terms


def summed(pairs: list[tuple[Var | None, Var]], calls: Calls, recorder: Recorder) -> Var:
    """Add the call for A.T B + C.T D ... of these pairs; of pairs (None, B) that of a sum over rows."""
    a, b = ([x for x in xs if x is not None] for xs in zip(*pairs, strict=True))
    if not a:
        return added(calls, recorder, np.add.reduce, (added(calls, recorder, np.concatenate, (b,), None),), None, axis=0)
    left, right = (added(calls, recorder, np.concatenate, (xs,), None) for xs in (a, b))
    return added(calls, recorder, dot, (added(calls, recorder, transpose, (left, (1, 0)), None), right), None)


def first_step(v: Var) -> int:
    """The time step in which a value was made, or of what is put together from several steps the first that was."""
    call = v.call
    if call is not None and call.step is not None:
        return call.step
    parts = call.inputs() if call is not None and call.fn in TOGETHER else []
    return next((step for x in parts if (step := first_step(x)) != UNKNOWN), UNKNOWN)


def is_sum(call: Call) -> bool:
    """True if it is a sum of two arrays of its own shape."""
    return call.fn is np.add and not call.options and all(isinstance(v, Var) and alike(v, call.out) for v in call.args)


def rows_of(v: Var, uses: dict[Var, int], recorder: Recorder) -> tuple[Var | None, Var] | None:
    """Return the matrices A and B of a product A.T B, and None and B of a sum over the rows of B."""
    call = v.call
    while call is not None and call.fn is reshape and uses.get(call.args[0]) == 1:
        call = call.args[0].call
    if call is None or len(call.args) == 0 or not isinstance(call.args[-1], Var) or len(call.args[-1].shape) != 2:
        return None
    if call.fn is dot and call.out is v and isinstance(call.args[0], Var):
        turned = call.args[0]
        if turned.source == "constant" and len(turned.shape) == 2:
            return recorder.constant(np.ascontiguousarray(turned.value.T)), call.args[1]
        if turned.call is not None and is_turned(turned):
            return turned.call.args[0], call.args[1]
    if call.fn == np.add.reduce and call.options in ({"axis": 0}, {"axis": (0,)}) and call.out.shape == v.shape:
        return None, call.args[0]
    return None


def products_by_parts(calls: Calls, recorder: Recorder) -> Calls:
    """(x W + b)[:, i:j]: x W[:, i:j] + b[i:j], where parts are all that is used of it, such as the gates of a step.

    Parts of rows do not lie side by side, and with these a ufunc takes two to three times as long.
    """
    users = users_of(calls)
    made_by = {call.out: call for call in calls}

    def divisible(v: Any) -> bool:
        """True if it is a product, or a sum with one that is used for nothing else."""
        call = made_by.get(v) if isinstance(v, Var) else None
        if call is None or call.options or call.step is None:
            return False
        if call.fn is dot:
            return len(call.args[1].shape) == len(v.shape) == 2
        return call.fn is np.add and any(len(users[a]) == 1 and divisible(a) for a in variables(call.args))

    def worth_it(v: Var) -> bool:
        slices = [last_slice(call.out) for call in users[v]]
        return len(slices) > 1 and v.shape[-1] > 1 and all(s is not None and v.shape[0] * (s[2] - s[1]) > MOST for s in slices)

    def part(x: Any, start: int, stop: int, scope: Any) -> Any:
        if not isinstance(x, Var) or not x.shape or x.shape[-1] == 1:
            return x
        call = made_by.get(x)
        if call is None or not (x in divided or (len(users[x]) == 1 and divisible(x))):
            return view(operator.getitem, x, (*all_but_last(x), slice(start, stop)), scope)
        if call.fn is np.add:
            return added(left, recorder, np.add, tuple(part(a, start, stop, scope) for a in call.args), scope)
        a, w = call.args
        if is_turned(w):
            columns = view(transpose, view(operator.getitem, w.call.args[0], (slice(start, stop),), scope), (1, 0), scope)
        else:
            columns = part(w, start, stop, scope)
        return added(left, recorder, dot, (a, columns), scope)

    def view(fn: Any, x: Var, what: Any, scope: Any) -> Var:
        return added(left, recorder, fn, (x, what), scope)

    divided = {v for v in users if len(v.shape) == 2 and divisible(v) and worth_it(v)}
    left: Calls = []
    for call in calls:
        cut = last_slice(call.out) if call.fn is operator.getitem and call.args[0] in divided else None
        if cut is None:
            left.append(call)
        else:
            part(*cut, call.scope)
            left[-1].out, call.out.call = call.out, left[-1]
    return left


def weights_turned(calls: Calls, recorder: Recorder) -> Calls:
    """x W.T of many steps: W.T is written down once, for some BLAS are slower with a matrix that is only said to be turned."""
    times: Counter[Var] = Counter()
    for call in calls:
        if call.fn is dot and len(call.out.shape) == 2 and call.out.shape[0] >= MANY:
            times[call.args[1]] += 1 if call.loop is None else call.loop.n
    turned: dict[Var, Var] = {}
    left: Calls = []
    for call in calls:
        if call.fn is dot and times[call.args[1]] >= MANY and is_turned(call.args[1]) and settled(call.args[1]):
            x, w = call.args
            if w not in turned:
                turned[w] = added(left, recorder, contiguous, (w,), None)
            call.args = (x, turned[w])
        left.append(call)
    return left


def is_turned(v: Any) -> bool:
    """True if it is another matrix, transposed."""
    return isinstance(v, Var) and v.call is not None and v.call.fn is transpose and v.call.args[1] == (1, 0)


def neighbours_merged(calls: Calls, recorder: Recorder, rounds: int = 8) -> Calls:
    """The same elementwise op on slices that lie side by side in one array, such as two gates: one op on both. Each round takes
    the next op of a chain."""
    groups: dict[Any, list[tuple[Any, Call]]] = {}
    for call in calls:
        key, places = slices_read(call)
        if places:
            groups.setdefault(key, []).append((places, call))
    place = {call.out: i for i, call in enumerate(calls)}
    joined = {min(run, key=lambda call: place[call.out]).out: run for group in groups.values() for run in adjoining(group)}
    if not joined or not rounds:
        return calls
    dropped = {call.out for run in joined.values() for call in run}
    left: Calls = []
    for call in calls:
        if call.out in joined:
            left += wide_call(joined[call.out], recorder)
        elif call.out not in dropped:
            left.append(call)
    return neighbours_merged(left, recorder, rounds - 1)


def slices_read(call: Call) -> tuple[Any, tuple[tuple[int, int], ...]]:
    """Return the slices along the last axis that are all the arrays an elementwise op of a step reads, and before them a key
    that such ops on other slices of the same arrays have as well."""
    small = 0 < call.out.size <= MOST and bool(call.out.shape) and call.step is not None
    if not small or not is_elementwise(call.fn) or call.options or not call.pure:
        return None, ()
    slices = [last_slice(a) if is_array(a) else None for a in call.args]
    places = tuple((s[1], s[2]) for s in slices if s is not None)
    if len(places) < sum(map(is_array, call.args)) or any(stop - start != call.out.shape[-1] for start, stop in places):
        return None, ()
    common = tuple(signature(a) if s is None else s[0].number for a, s in zip(call.args, slices, strict=True))
    return (call.fn, str(call.scope), call.out.shape, call.out.dtype, common), places


def adjoining(group: list[tuple[Any, Call]]) -> list[Calls]:
    """The calls whose slices follow each other, of those on slices of the same arrays."""
    runs: list[Calls] = []
    before: Any = ()
    for places, call in sorted(group, key=operator.itemgetter(0)):
        if before and all(a[1] == b[0] for a, b in zip(before, places, strict=True)):
            runs[-1].append(call)
        else:
            runs.append([call])
        before = places
    return [run for run in runs if len(run) > 1]


def last_slice(v: Var) -> tuple[Var, int, int] | None:
    """Return the array, the start and the end of a slice along the last axis; None for anything else."""
    call = v.call
    if call is None or call.fn is not operator.getitem or not is_view(call):
        return None
    base, index = call.args
    if len(index) != len(base.shape) or any(i != slice(None) for i in index[:-1]) or not isinstance(index[-1], slice):
        return None
    start, stop, step = index[-1].indices(base.shape[-1])
    return (base, start, stop) if step == 1 else None


def all_but_last(v: Var) -> tuple[slice, ...]:
    """The index of everything along all axes but the last."""
    return (slice(None),) * (len(v.shape) - 1)


def wide_call(members: list[Call], recorder: Recorder) -> Calls:
    """One call for those on slices that follow each other, and their results as slices of its own."""
    new: Calls = []
    model, last = members[0], members[-1]
    lead = all_but_last(model.out)
    args = [*model.args]
    for i, a in enumerate(args):
        if is_array(a):
            (base, start, _), (_, _, stop) = last_slice(a), last_slice(last.args[i])  # type: ignore[misc]
            part = base, (*lead, slice(start, stop))
            args[i] = base if stop - start == base.shape[-1] else added(new, recorder, operator.getitem, part, model.scope)
    wide = added(new, recorder, model.fn, tuple(args), model.scope)
    n = model.out.shape[-1]
    for i, member in enumerate(members):
        made_instead(new, member.out, operator.getitem, (wide, (*lead, slice(i * n, (i + 1) * n))), member.scope)
    return new
