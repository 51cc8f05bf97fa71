"""Blocks: what a loop needs for all its steps at once is made for some steps at a time, so that it stays in the cache.

The program then goes through the sequence block by block: first what the loop needs, then its steps, then what needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .batching import steps_of_a_block
from .distribution import bodies
from .folding import NotFolded, Repeat, collected, history, in_units, marker, row
from .passes import Calls, is_view
from .trace import Call, Var, dot, reshape, transpose

__all__ = ["blocked", "scratch_of"]


def blocked(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """Give loops blocks whose arrays of all steps are larger than the cache."""
    for repeat, body in bodies(calls).items():
        for kept in (repeat.times, repeat.batched):
            for v in [v for v in kept if v in keep]:
                now = v
                while now in keep:
                    now = keep[now]
                if isinstance(kept, dict):
                    kept.setdefault(now, kept[v])
                else:
                    kept.add(now)
        there = {call.out: call for call in calls if call.loop is None}
        batched = {v for v in repeat.batched if v in there}
        each = sum(v.nbytes for v in batched if not is_view(there[v])) // repeat.n
        length = steps_of_a_block(each, repeat.n)
        if length >= repeat.n:
            continue
        arrays = {call.out for call in calls if call.fn in (collected, history) and call.args[0] in {c.out for c in body}}
        for v in arrays:
            moved = there[v].fn is history and not repeat.back
            repeat.times[v] = -int(moved), 1
        sums = sums_over(calls, repeat)
        for with_sums in (True, False):
            chosen = {v for v in batched | arrays | (sums if with_sums else set()) if there[v].block is None}
            chosen = {v for v in chosen if base_of(v) in chosen}  # other views are looks at what is made before
            for v in chosen:
                there[v].block = repeat
            try:
                calls = in_units(calls)
            except NotFolded:
                for v in chosen:
                    there[v].block = None
                continue
            starts = range(0, repeat.n, length)
            repeat.blocks = [(s, min(s + length, repeat.n)) for s in (reversed(starts) if repeat.back else starts)]
            repeat.sums = sums if with_sums else set()
            break
    return calls


def sums_over(calls: Calls, repeat: Repeat) -> set[Var]:
    """Products and sums over the rows of all steps, such as the gradients of weights, with the views that they are made of."""
    found: set[Var] = set()
    for call in calls:
        if call.loop is not None or call.out in repeat.batched or not isinstance(call.args[0] if call.args else None, Var):
            continue
        views: list[Var] = []
        rows = call.args[0]
        if call.fn is dot and is_turned(rows) and len(call.out.shape) == 2:
            views.append(rows)
            rows = rows.call.args[0]  # type: ignore[union-attr]
            views += over(call.args[1], repeat, call.args[1].shape[0])
        elif not (call.fn == np.add.reduce and call.options in ({"axis": 0}, {"axis": (0,)}) and len(rows.shape) == 2):
            continue
        below = over(rows, repeat, rows.shape[0])
        if not below:
            continue
        start, each = repeat.times[rows]
        if (start, each * repeat.n) == (0, rows.shape[0]) and not isinstance(call.args[-1], tuple):
            found.update(v for v in (*views, *below) if v not in repeat.batched and not marker(v.call))  # type: ignore[arg-type]
            found.add(call.out)
    return found


def base_of(v: Var) -> Var:
    """What a view is a view of."""
    while v.call is not None and is_view(v.call):
        v = v.call.args[0]
    return v


def is_turned(v: Var) -> bool:
    return v.call is not None and v.call.fn is transpose and v.call.args[1] == (1, 0)


def over(v: Var, repeat: Repeat, rows: int) -> list[Var]:
    """v and the views that it is made of, if it is an array over time of so many rows; their times are noted."""
    if v in repeat.times:
        return [v] if v.call is not None and v.call.loop is None else []
    call = v.call
    if call is None or call.fn is not reshape or not rows or rows % repeat.n:
        return []
    below = over(call.args[0], repeat, call.args[0].shape[0])
    if not below:
        return []
    start, each = repeat.times[call.args[0]]
    steps = call.args[0].shape[0] // each
    if v.shape[0] % steps:
        return []
    repeat.times[v] = start, v.shape[0] // steps
    return [v, *below]


def scratch_of(calls: Calls, outputs: set[Var], tails: dict[Any, set[Var]]) -> dict[Var, int]:
    """The arrays over time of which only one block is needed at a time, and how many rows that are."""
    users: dict[Var, list[Call]] = {}
    for call in calls:
        for v in call.inputs():
            users.setdefault(v, []).append(call)
    found: dict[Var, int] = {}
    for call in calls:
        repeat: Repeat = call.block
        if repeat is None or not repeat.blocks or is_view(call) or call.fn is history or call.out not in repeat.times:
            continue
        if call.out in repeat.sums or not inner(call.out, repeat, users, outputs, tails[repeat]):
            continue
        _, each = repeat.times[call.out]
        found[call.out] = each * max(end - begin for begin, end in repeat.blocks)
    return found


def inner(v: Var, repeat: Repeat, users: dict[Var, list[Call]], outputs: set[Var], tail: set[Var]) -> bool:
    """True if nothing outside of the blocks reads an array over time, and each step and each block only its own part."""
    if v in outputs:
        return False
    start, each = repeat.times[v]
    for user in users.get(v, ()):
        if user.fn is row and user.loop is repeat:
            if user.args[1] != -start or any(c.out in tail for c in users.get(user.out, ())):
                return False
        elif user.block is not repeat:
            return False
        elif is_view(user) and user.out not in repeat.sums:
            if user.fn is not reshape and not (isinstance(user.args[1], tuple) and user.args[1][:1] == (slice(None),)):
                return False
            if not inner(user.out, repeat, users, outputs, tail):
                return False
    return each > 0
