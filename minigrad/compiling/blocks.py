"""Blocks: what a loop needs for all its steps at once is made for some steps at a time, so that it stays in the cache.

The program then goes through the sequence block by block: first what the loop needs, then its steps, then what needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .batching import steps_of_a_block
from .distribution import bodies
from .folding import NotFolded, Repeat, advance, collected, history, in_units, marker, row
from .passes import Calls, base_of, is_view, latest, users_of
from .rewrites import is_turned
from .trace import Call, Var, dot, reshape, transpose

__all__ = ["blocked", "scratch_of"]

SMALL = 4  # times as many bytes as the rows of a block that it sums has a sum that is added to in each block, at most


def blocked(calls: Calls, keep: dict[Var, Var]) -> Calls:
    """Give blocks to loops whose arrays of all steps are larger than the cache. `keep` has what took the place of values."""
    for repeat, body in bodies(calls).items():
        followed(repeat, keep)
        there = {call.out: call for call in calls if call.loop is None}
        made = {v for v in repeat.batched if v in there}
        each = sum(v.nbytes for v in made if not is_view(there[v])) // repeat.n
        length = steps_of_a_block(each, repeat.n)
        if length < repeat.n:
            calls = in_blocks(calls, repeat, made | arrays_of(body, repeat, calls), length)
    return calls


def followed(repeat: Repeat, keep: dict[Var, Var]) -> None:
    """Have the notes of a loop speak of the values that took the place of others."""
    for v in [v for v in repeat.times if v in keep]:
        now = latest(v, keep)
        repeat.times.setdefault(now, repeat.times[v])
        if v in repeat.batched:
            repeat.batched.add(now)


def arrays_of(body: Calls, repeat: Repeat, calls: Calls) -> set[Var]:
    """The arrays of what all iterations of a body make; their times are noted."""
    made = {call.out for call in body}
    found = set()
    for call in calls:
        if call.fn in (collected, history) and call.args[0] in made:
            repeat.times[call.out] = -int(call.fn is history and not repeat.back), 1
            found.add(call.out)
    return found


def in_blocks(calls: Calls, repeat: Repeat, made: set[Var], length: int) -> Calls:
    """The calls with those together that go from block to block: the loop, what is made for it, and, if they can wait for
    nothing else, the sums over what it makes."""
    there = {call.out: call for call in calls if call.loop is None}
    for sums in (sums_over(calls, repeat, made, length), set[Var]()):
        chosen = {v for v in made | sums if there[v].block is None}
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
        repeat.sums = sums
        break
    return calls


def sums_over(calls: Calls, repeat: Repeat, made: set[Var], length: int) -> set[Var]:
    """Products and sums over the rows of all steps that the loop has `made`, such as the gradients of weights, with the views
    that they are made of. Not those so large that to add one for each block, of `length` steps, would take long."""
    found: set[Var] = set()
    for call in calls:
        rows = rows_summed(call) if call.loop is None and call.out not in repeat.batched else []
        if SMALL * sum(v.nbytes for v in rows) * length < call.out.nbytes * repeat.n:
            continue
        below = [over(v, repeat) if base_of(v) in made else [] for v in rows]
        if not any(below):
            continue
        found.add(call.out)
        found.update(v for views in below for v in views if v not in repeat.batched and not marker(v.call))  # type: ignore[arg-type]
        if call.fn is dot and below[0]:
            found.add(call.args[0])
    return found


def rows_summed(call: Call) -> list[Var]:
    """The arrays over whose rows a call sums: A and B of A.T B, or that of a sum along the first axis."""
    if call.fn is dot and is_turned(call.args[0]) and len(call.out.shape) == 2:
        return [call.args[0].call.args[0], call.args[1]]
    if call.fn == np.add.reduce and call.options in ({"axis": 0}, {"axis": (0,)}) and len(call.args[0].shape) == 2:
        return [call.args[0]]
    return []


def over(v: Var, repeat: Repeat) -> list[Var]:
    """v and the views that it is made of, if it has rows of all steps and is made with them; their times are noted."""
    call = v.call
    if call is None or call.loop is not None:
        return []
    if v in repeat.times:
        start, each = repeat.times[v]
        return [v] if (start, each * repeat.n) == (0, v.shape[0]) else []
    if call.fn is not reshape or not v.shape or v.shape[0] % repeat.n or not v.shape[0]:
        return []
    below = over(call.args[0], repeat)
    if below:
        repeat.times[v] = 0, v.shape[0] // repeat.n
        below = [v, *below]
    return below


def scratch_of(calls: Calls, outputs: set[Var], tails: dict[Any, set[Var]]) -> dict[Var, int]:
    """The arrays over time of which only one block is needed at a time, and how many rows that are."""
    users = users_of(calls)
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
            if user.args[1] != -start or read_later(user.out, users, tail):
                return False
        elif user.block is not repeat:
            return False
        elif is_view(user):
            kept = user.fn is reshape or (isinstance(user.args[1], tuple) and user.args[1][:1] == (slice(None),))
            if not kept and user.out not in repeat.sums:
                return False
            turned = user.out in repeat.sums and user.fn is transpose
            summed = turned and all(each.out in repeat.sums for each in users.get(user.out, ()))
            if not summed and (turned or not inner(user.out, repeat, users, outputs, tail)):
                return False
    return each > 0


def read_later(v: Var, users: dict[Var, list[Call]], tail: set[Var]) -> bool:
    """True if the next iteration, which may be of another block, reads a value, or a view of it."""
    return any(
        user.fn is advance or user.out in tail or (is_view(user) and read_later(user.out, users, tail))
        for user in users.get(v, ())
    )
