"""Passes that rewrite what is computed: sums and products in another order, several calls as one, nothing left out of sums.

Each changes at most the last digits.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..ops.shape import is_advanced, scattered
from .passes import Calls, added, is_row, is_view, made_instead, rewritten, settled, signature, users_of, uses_of
from .recorder import Recorder
from .trace import Call, Var, contiguous, dot, reshape, transpose, variables

__all__ = [
    "factors_first",
    "invariants_first",
    "is_tiled",
    "is_turned",
    "neighbours_merged",
    "parts_for_rows",
    "products_by_parts",
    "products_first",
    "signs_first",
    "sums_of_products",
    "times_written",
    "weights_turned",
    "zeros_left_out",
]

Parts = dict[Var, int]  # which of the recurrences a value is part of, forward or backward; of the others nothing

MOST = 1024  # elements of a gate: beyond, a call costs less than rows that are not contiguous
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
    """x + row, where the row is one of an array of zeros in which nothing was put: x.

    So it is with a loss of the last step only, whose gradient by the outputs of all others is zero.
    """
    empty: dict[Var, set[int]] = {}
    same: dict[Var, Var] = {}
    left = []
    for call in calls:
        if same and any(v in same for v in call.inputs()):
            rewritten([call], same)
        if call.fn is SCATTERED and call.out.shape:
            indices = call.options["indices"]
            if not any(is_advanced(i) or list(variables(i)) or i == () for i in indices):
                rows = np.ones(call.out.shape[0], bool)
                for index in indices:
                    rows[index[0] if isinstance(index, tuple) and index and index[0] is not Ellipsis else slice(None)] = False
                empty[call.out] = set(np.flatnonzero(rows).tolist())
        elif empty and call.fn is np.add and not call.options:
            for zero, other in (call.args, call.args[::-1]):
                if nothing_in(zero, empty) and isinstance(other, Var) and alike(other, call.out):
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


def sums_of_products(calls: Calls, recorder: Recorder, of_all: bool = False) -> Calls:
    """A.T B + C.T D + E.T F ..., as the gradient of a weight is that is used in many steps: one product, of A, C, E ... below
    each other and B, D, F ... below each other. And sums over the rows of B, D, F ..., of a bias, in the same way.

    They have as many rows each, or `of_all` any number of them."""
    uses = uses_of(calls)
    made_by = {call.out: call for call in calls}
    inner: set[Var] = set()  # sums that are a part of other ones
    for call in calls:
        if is_sum(call):
            inner.update(v for v in call.args if uses[v] == 1 and v in made_by and is_sum(made_by[v]))
    left: Calls = []
    for call in calls:
        if not is_sum(call) or call.out in inner:
            left.append(call)
            continue
        terms: list[Var] = []
        ahead = [call.out]
        while ahead:
            v = ahead.pop()
            if v is call.out or v in inner:
                ahead += made_by[v].args
            else:
                terms.append(v)
        pairs = {v: pair for v in terms if uses[v] == 1 and (pair := rows_of(v, made_by, uses, recorder))}
        merged = False
        for of_products in (True, False):
            those = [v for v in terms if v in pairs and (pairs[v][0] is not None) is of_products]
            if len(those) < (2 if of_all else 3):
                continue
            if len({tuple(x and x.shape[of_all:] for x in pairs[v]) for v in those}) > 1:
                continue
            those.sort(key=lambda v: first_step(pairs[v][0] or pairs[v][1]) if of_all else made_by[v].step or 0)
            a, b = (
                added(left, recorder, np.concatenate, (list(xs),), None) if None not in xs else None
                for xs in zip(*(pairs[v] for v in those), strict=True)
            )
            if a is not None:
                total = added(left, recorder, dot, (added(left, recorder, transpose, (a, (1, 0)), None), b), None)
            else:
                total = added(left, recorder, np.add.reduce, (b,), None, axis=0)
            terms = [v for v in terms if v not in those] + [total]
            merged = True
        if merged and len(terms) == 1:
            left[-1].out, call.out.call = call.out, left[-1]
            continue
        if merged:
            first, *rest = terms
            for v in rest[:-1]:
                first = added(left, recorder, np.add, (first, v), None)
            call.args = (first, rest[-1])
        left.append(call)
    return left


def first_step(v: Var) -> int:
    """The time step that made the first rows of an array."""
    call = v.call
    while call is not None and call.step is None and call.fn is np.concatenate:
        call = call.args[0][0].call
    return 0 if call is None else call.step or 0


def alike(*vs: Var) -> bool:
    """Whether they have one shape and one dtype: integers of few bits overflow sooner if they meet in another order."""
    return len({(v.shape, v.dtype) for v in vs}) == 1


def is_sum(call: Call) -> bool:
    """Whether it is a sum of two arrays of its own shape."""
    return call.fn is np.add and not call.options and all(isinstance(v, Var) and alike(v, call.out) for v in call.args)


def rows_of(v: Var, made_by: dict[Var, Call], uses: dict[Var, int], recorder: Recorder) -> tuple[Var | None, Var] | None:
    """Of A.T B the matrices A and B, of a sum over the rows of B None and B."""
    call = made_by.get(v)
    while call is not None and call.fn is reshape and uses.get(call.args[0]) == 1:
        call = made_by.get(call.args[0])
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
        """Whether it is a product, or a sum with one that is used for nothing else."""
        call = made_by.get(v) if isinstance(v, Var) else None
        if call is None or call.options or call.step is None:
            return False
        if call.fn is dot:
            return len(call.args[1].shape) == len(v.shape) == 2
        return call.fn is np.add and any(len(users[a]) == 1 and divisible(a) for a in variables(call.args))

    def worth_it(v: Var) -> bool:
        slices = [last_slice(call.out) for call in users[v]]
        return len(slices) > 1 and v.shape[-1] > 1 and all(s is not None and v.shape[0] * (s[2] - s[1]) > MOST for s in slices)

    def part(x: Any, start: int, stop: int, scope: Any, first: bool = False) -> Any:
        if not isinstance(x, Var) or not x.shape or x.shape[-1] == 1:
            return x
        call = made_by.get(x)
        if call is None or not (first or (len(users[x]) == 1 and divisible(x))):
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
        key = (fn, x, signature(what))
        if key not in views:
            views[key] = added(left, recorder, fn, (x, what), scope)
        return views[key]

    views: dict[Any, Var] = {}
    divided = {v for v in users if len(v.shape) == 2 and divisible(v) and worth_it(v)}
    left: Calls = []
    for call in calls:
        cut = last_slice(call.out) if call.fn is operator.getitem and call.args[0] in divided else None
        if cut is None:
            left.append(call)
        else:
            part(*cut, call.scope, first=True)
            left[-1].out, call.out.call = call.out, left[-1]
    return left


def invariants_first(calls: Calls, recorder: Recorder, part: Parts) -> Calls:
    """p + (r + c) or (p + r) + c, where c is the same at every step and p does not wait for the recurrence: (p + c) + r.

    The bias of a recurrent network then joins what is computed for all steps at once.
    """
    uses = uses_of(calls)
    made_by = {call.out: call for call in calls}
    both_biases: dict[tuple[Var, Var], Var] = {}
    left: Calls = []

    def waits(v: Any) -> bool:
        """For the step before, or, in the first step, for nothing but what is given."""
        return v in part or (v in made_by and all(settled(x) for x in made_by[v].inputs()))

    def addends(v: Any, step: int | None) -> tuple[Var, ...]:
        """The two that a sum is of, if it is one of this step, and one of the two waits."""
        call = made_by.get(v) if uses.get(v) == 1 else None
        if call is None or call.fn is not np.add or call.options or call.step != step or not any(map(waits, call.args)):
            return ()
        return call.args if all(isinstance(x, Var) for x in call.args) else ()

    for call in calls:
        if call.fn is np.add and not call.options and call.step is not None and all(isinstance(v, Var) for v in call.args):
            for one, q in (call.args, call.args[::-1]):
                three = (one, *addends(q, call.step))
                biases = [v for v in three if settled(v) and len(v.shape) < len(call.out.shape) and v.dtype == call.out.dtype]
                late = [v for v in three if waits(v) and v not in biases]
                early = [v for v in three if v not in late and v not in biases]
                if (len(biases), len(late), len(early)) != (1, 1, 1) or not alike(early[0], late[0], call.out):
                    continue
                (c,), (r,), (p,) = biases, late, early
                sides = made_by[p].args if p in made_by and made_by[p].fn is np.add else ()
                if len(sides) == 2 and all(isinstance(v, Var) for v in sides) and settled(sides[1]) and alike(sides[1], c):
                    p, other = sides  # the two biases of PyTorch's cells: their sum once, not twice a sum with the rest
                    if (other, c) not in both_biases:
                        both_biases[other, c] = added(left, recorder, np.add, (other, c), None)
                    c = both_biases[other, c]
                first = added(left, recorder, np.add, (p, c), call.scope)
                made_by[first] = left[-1]
                call.args = (first, r)
                uses[q] = 0
                break
        left.append(call)
    return left


def signs_first(calls: Calls, recorder: Recorder, part: Parts) -> Calls:
    """-(p + r), where p does not wait for the recurrence: (-p) - r. And p + (-q): p - q.

    The exponent of a sigmoid then costs a step no call for its sign.
    """
    uses = uses_of(calls)
    made_by = {call.out: call for call in calls}
    left: Calls = []

    def alone(v: Any, fn: Any, step: int | None) -> Call | None:
        """The call that makes v with this function in this step, if v is used once."""
        call = made_by.get(v) if isinstance(v, Var) else None
        if call is None or call.fn is not fn or call.options or uses[v] != 1 or call.step != step:
            return None
        return call

    for call in calls:
        step = call.step
        if step is not None and not call.options and call.out in part:
            inner = alone(call.args[0], np.add, step) if call.fn is np.negative else None
            for p, r in (inner.args, inner.args[::-1]) if inner is not None else ():
                if isinstance(p, Var) and isinstance(r, Var) and p not in part and alike(p, r, call.out):
                    call.fn, call.args = np.subtract, (added(left, recorder, np.negative, (p,), call.scope), r)
                    break
            for p, q in (call.args, call.args[::-1]) if call.fn is np.add else ():
                minus = alone(q, np.negative, step)
                if minus is not None and isinstance(p, Var) and alike(p, q, call.out):
                    call.fn, call.args = np.subtract, (p, minus.args[0])
                    break
        left.append(call)
    return left


def factors_first(calls: Calls, recorder: Recorder, part: Parts) -> Calls:
    """d a + d b, where d waits for the step after and a and b do not: d (a + b). So it is with a difference."""
    uses = uses_of(calls)
    made_by = {call.out: call for call in calls}
    left: Calls = []
    for call in calls:
        chain = part.get(call.out)
        if chain is not None and call.fn in (np.add, np.subtract) and not call.options and call.step is not None:
            products = [made_by.get(v) for v in call.args if isinstance(v, Var) and uses[v] == 1]
            if len(products) == 2 and all(p is not None and p.fn is np.multiply and not p.options for p in products):
                (d, a), (e, b) = (sorted(p.args, key=lambda v: part.get(v) != chain) for p in products if p is not None)
                if (
                    d is e and part.get(d) == chain and isinstance(a, Var) and isinstance(b, Var)
                    and part.get(a) != chain and part.get(b) != chain
                    and alike(a, b, d, call.out)
                ):  # fmt: skip
                    factor = added(left, recorder, call.fn, (a, b), call.scope)
                    call.fn, call.args = np.multiply, (d, factor)
        left.append(call)
    return left


def weights_turned(calls: Calls, recorder: Recorder) -> Calls:
    """x W.T of many steps: W.T is written down once, for some BLAS are slower with a matrix that is only said to be turned."""
    times: dict[Var, int] = {}
    for call in calls:
        if call.fn is dot and len(call.out.shape) == 2 and call.out.shape[0] >= MANY and turned_weight(call.args[1]):
            times[call.args[1]] = times.get(call.args[1], 0) + (1 if call.loop is None else call.loop.n)
    turned: dict[Var, Var] = {}
    left: Calls = []
    for call in calls:
        if call.fn is dot and times.get(call.args[1], 0) >= MANY:
            x, w = call.args
            if w not in turned:
                turned[w] = added(left, recorder, contiguous, (w,), None)
            call.args = (x, turned[w])
        left.append(call)
    return left


def is_turned(v: Any) -> bool:
    """Whether it is another matrix, transposed."""
    return isinstance(v, Var) and v.call is not None and v.call.fn is transpose and v.call.args[1] == (1, 0)


def turned_weight(v: Any) -> bool:
    return is_turned(v) and settled(v)


def products_first(calls: Calls, recorder: Recorder, part: Parts) -> Calls:
    """(d a) b, where d waits for the step after and a and b do not: d (a b).

    The factors of a cotangent that the forward pass has left, slopes and gates, are multiplied for all steps at once.
    """
    uses = uses_of(calls)
    made_by = {call.out: call for call in calls}
    left: Calls = []
    made: dict[tuple[Var, Var], Var] = {}
    for call in calls:
        chain = part.get(call.out)
        if call.fn is np.multiply and not call.options and call.step is not None and chain is not None:
            for q, b in (call.args, call.args[::-1]):
                inner = made_by.get(q) if isinstance(q, Var) else None
                if (
                    inner is None
                    or inner.fn is not np.multiply
                    or uses[q] != 1
                    or inner.step != call.step
                    or part.get(q) != chain
                ):
                    continue
                d, a = inner.args if part.get(inner.args[0]) == chain else inner.args[::-1]
                if not all(isinstance(v, Var) and alike(v, call.out) for v in (d, a, b)):
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
    place = {call.out: i for i, call in enumerate(calls)}
    rows: dict[Any, list[tuple[tuple[tuple[int, int], ...], Call]]] = {}
    for call in calls:
        if not isinstance(call.fn, np.ufunc) or call.fn.nout != 1 or call.fn.signature or call.options or not call.pure:
            continue
        if call.scope is None or call.step is None or not 0 < call.out.size <= MOST or not call.out.shape:
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
                first = min(together, key=lambda call: place[call.out])
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


def all_but_last(v: Var) -> tuple[slice, ...]:
    """The index of everything along all axes but the last."""
    return (slice(None),) * (len(v.shape) - 1)


def wide_call(members: list[Call], recorder: Recorder) -> Calls:
    """One call for those on slices that follow each other, and their results as slices of its own."""
    new: Calls = []
    model, last = members[0], members[-1]
    lead = all_but_last(model.out)

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


def parts_for_rows(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """A row of an array of zeros in which one part was put in its place: the part.

    So it is with a loss of the last step only: no array of the gradients by all outputs is made for the one.
    """
    parts: dict[tuple[Var, int], Var] = {}
    same: dict[Var, Var] = {}
    left = []
    for call in calls:
        if same and any(v in same for v in call.inputs()):
            rewritten([call], same)
        if call.fn is SCATTERED and all(is_row(index) for index in call.options["indices"]):
            rows = [index[0] % call.out.shape[0] for index in call.options["indices"]]
            parts |= {(call.out, row): v for v, row in zip(call.args, rows, strict=True) if rows.count(row) == 1}
        elif call.fn is operator.getitem and is_row(call.args[1]):
            part = parts.get((call.args[0], call.args[1][0] % call.args[0].shape[0]))
            if part is not None and alike(part, call.out):
                same[call.out] = part
                continue
        left.append(call)
    keep.update(same)
    return left
