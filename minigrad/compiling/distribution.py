"""Distribution: of the calls of a body those that do not wait for the iteration before are done for all iterations at once.

What a loop carries stays in it. What needs nothing carried comes before the loop, on arrays of all iterations; what nobody in
the loop needs comes after it.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from ..components import strongly_connected
from .batching import lifted
from .folding import NotFolded, Repeat, advance, carried, collected, history, in_units, marked, marker, row, states_of
from .passes import Calls, added, alike, dead_code_removed, is_view, latest, rewritten, users_of
from .recorder import Recorder
from .rewrites import SCATTERED, is_tiled
from .trace import Call, Var, variables

__all__ = ["distributed", "recurrences_of"]


def bodies(calls: Calls) -> dict[Repeat, Calls]:
    """The calls of each loop."""
    found: dict[Repeat, Calls] = {}
    for call in calls:
        if call.loop is not None:
            found.setdefault(call.loop, []).append(call)
    return found


def recurrences_of(calls: Calls) -> dict[Var, int]:
    """The results that an iteration makes of what the one before made of the same: which recurrence each is part of."""
    part: dict[Var, int] = {}
    for body in bodies(calls).values():
        states = states_of(body)
        needs = {call.out: [states[call.out]] if call.out in states else call.inputs() for call in body}
        for component in strongly_connected({v: [x for x in those if x in needs] for v, those in needs.items()}):
            if len(component) > 1:
                part |= dict.fromkeys(component, len(part))
    return part


class Body:
    """A body that is being parted."""

    def __init__(self, calls: Calls, body: Calls, recorder: Recorder) -> None:
        self.recorder = recorder
        self.calls = body
        self.repeat: Repeat = body[0].loop
        self.made = {call.out for call in body}
        self.new: Calls = []
        self.stacks = {call.args[0]: call for call in calls if call.fn in (collected, history) and call.args[0] in self.made}
        self.next = states_of(body)
        self.start = {call.out: call.args[0] for call in body if call.fn is carried}
        self.needed = self.leading_to(set(self.next.values()))
        self.pinned = self.late() & self.needed | set(self.next.values()) & self.made
        self.parts = self.parts_of()
        self.at: dict[Var, tuple[Var, int, int]] = {}  # array of all iterations, the place of its first element, its length
        self.kept: list[Call] = []
        self.after: set[Var] = set()

    def late(self) -> set[Var]:
        """Select the values that need one of the iteration before."""
        found = set(self.next)
        for call in self.calls:
            if not found.isdisjoint(call.inputs()):
                found.add(call.out)
        return found

    def leading_to(self, ends: set[Var]) -> set[Var]:
        found = set(ends)
        for call in reversed(self.calls):
            if call.out in found:
                found.update(call.inputs())
        return found

    def record(self, low: int, n: int, fn: Any, args: tuple[Any, ...], scope: Any, **options: Any) -> Var:
        """Add a call whose result is an array over time, of n iterations from `low` on."""
        out = added(self.new, self.recorder, fn, args, scope, **options)
        self.repeat.times[out] = low, out.shape[0] // n
        self.repeat.batched.add(out)
        return out

    def part(self) -> None:
        """Give each call its place: in the loop, before it or after it."""
        for call in self.calls:
            if call.fn is row:
                base, offset = call.args[:2]
                self.at[call.out] = base, -offset, base.shape[0]
                self.repeat.times.setdefault(base, (-offset, 1))
                self.kept.append(call)
            elif call.fn in (carried, advance):
                self.kept.append(call)
            elif call.out in self.pinned or not self.is_lifted(call):
                if not self.after.isdisjoint(call.inputs()):
                    raise NotFolded("a step needs what is done after the loop")
                self.kept.append(call)
                self.pinned.add(call.out)

    def is_lifted(self, call: Call) -> bool:
        """Do a call for all iterations at once. False if that cannot be."""
        own = [v for v in call.inputs() if v in self.made]
        waits = any(v in self.pinned or v in self.start or v in self.after for v in own)
        if (waits and call.out in self.needed) or not own or not is_plain(call):
            return False
        places = {v: self.whole(v) for v in own}
        low = max(0, *(start for _, start, _ in places.values()))
        high = min(self.repeat.n, *(start + length for _, start, length in places.values()))
        if high - low < 2:
            raise NotFolded("a value that few steps have")
        many = [isinstance(a, Var) and a in places for a in call.args]
        arguments = [self.sliced(*places[a], low, high) if m else a for a, m in zip(call.args, many, strict=True)]
        result = self.lifted(call, [*zip(arguments, many, strict=True)], low, high - low)
        if result is None:  # what was made for it is removed with all that nobody needs
            return False
        self.at[call.out] = result, low, high - low
        if waits:
            self.after.add(call.out)
        return True

    def lifted(self, call: Call, arguments: list[tuple[Any, bool]], low: int, n: int) -> Var | None:
        """The call for n iterations from `low` on, or None if there cannot be one. Of each argument: is it one of all steps?"""
        record = functools.partial(self.record, low, n)
        if call.fn is not SCATTERED:
            return lifted(record, call, arguments, n)
        indices = [(slice(None), *index) for index in call.options["indices"]]
        if not all(many for _, many in arguments) or not all(isinstance(i, slice | int) for index in indices for i in index):
            return None
        shape = n, *call.options["shape"]
        return record(SCATTERED, tuple(a for a, _ in arguments), call.scope.parent, shape=shape, indices=indices)

    def whole(self, v: Var) -> tuple[Var, int, int]:
        """The array that has a value of all iterations."""
        if v in self.at:
            return self.at[v]
        n, back = self.repeat.n, self.repeat.back
        view = None if v in self.start or v in self.stacks else self.view(v)
        if view is not None:
            found = view
        elif v in self.start:
            start, new = self.start[v], self.next[v]
            if start is None:
                found = self.whole(new)[0], -1 if back else 1, n
            else:
                found = self.stack(new, start), -1 if back else 0, n + 1
        else:
            stack = self.stack(v, None)
            found = (stack, 0, n) if stack.shape[0] == n else (self.sliced(stack, 0 if back else -1, n + 1, 0, n), 0, n)
        self.at[v] = found
        self.repeat.times.setdefault(found[0], (found[1], 1))
        return found

    def view(self, v: Var) -> tuple[Var, int, int] | None:
        """The same for a value that is a part of another one, or is put into one, as a part of that one's array."""
        call = v.call
        assert call is not None
        if is_view(call) and call.args[0] in self.made:
            array, start, length = self.whole(call.args[0])
            found = self.lifted(call, [(array, True), *((a, False) for a in call.args[1:])], start, length)
            return None if found is None else (found, start, length)
        if v in self.parts:
            whole, index = self.parts[v]
            array, start, length = self.whole(whole)
            part = self.record(start, length, operator.getitem, (array, (slice(None), *index)), call.scope.parent)
            return part, start, length
        return None

    def parts_of(self) -> dict[Var, tuple[Var, tuple[Any, ...]]]:
        """The values that lie side by side in another one that is collected: in which one, at which index."""
        found = {}
        for call in self.calls:
            if call.out in self.pinned and call.out in self.stacks and is_tiled(call):
                for v, index in zip(call.args, call.options["indices"], strict=True):
                    found[v] = call.out, index
        return found

    def stack(self, v: Var, start: Var | None) -> Var:
        """The array of what all iterations made, and of `start`; the one that there is, if it has that."""
        there = self.stacks.get(v)
        if there is not None and (start is None or (there.fn is history and there.args[1] is start)):
            return there.out
        if there is not None:
            raise NotFolded("a state that is collected in two ways")
        fn, args = (collected, (v,)) if start is None else (history, (v, start))
        call = marked(self.recorder, fn, args, (self.repeat.n + (start is not None), *v.shape), v, None)
        call.scope = v.call.scope.parent if v.call is not None and v.call.scope is not None else None
        self.new.append(call)
        self.stacks[v] = call
        return call.out

    def sliced(self, stack: Var, start: int, length: int, low: int, high: int) -> Var:
        if (low - start, high - start) == (0, length):
            return stack
        return self.record(low, high - low, operator.getitem, (stack, (slice(low - start, high - start),)), None)

    def whole_arrays(self, calls: Calls) -> dict[Var, Var]:
        """Replace arrays of all iterations, of values that the loop does not make any more, or makes as parts of others."""
        gone = self.made - {call.out for call in self.kept}
        same: dict[Var, Var] = {}
        for call in calls:
            if call.fn is history and call.args[0] in gone:
                raise NotFolded("a state that waits for nothing")
            v = call.args[0] if call.fn is collected else None
            if v not in self.made:
                continue
            if v not in gone:
                found = self.view(v) if is_view(v.call) else None
                if found is None:
                    continue
                self.at[v] = found
            array, low, length = self.whole(v)
            if (low, length) != (0, self.repeat.n):
                raise NotFolded("a value that not all steps have is read outside")
            same[call.out] = array
        return same

    def finish(self) -> Calls:
        """The calls that stay, reading rows of what is done before them."""
        rows: dict[Var, Var] = {}
        made = {call.out for call in self.kept}
        extra: Calls = []

        def by(v: Var) -> Var:
            if v in made or v not in self.made:
                return v
            if v not in rows:
                array, start, _ = self.at[v]
                call = marked(self.recorder, row, (array, -start, self.repeat), v.shape, v, self.repeat)
                rows[v] = call.out
                extra.append(call)
            return rows[v]

        rewritten(self.kept, by)
        return [*extra, *self.kept]


def is_plain(call: Call) -> bool:
    """True if values are arguments of their own, and not in lists or options."""
    inner = [x for x in call.args if not isinstance(x, Var)]
    inner += call.options.values() if call.fn is not SCATTERED else ()
    return call.pure and not variables(inner)


def sums_after(calls: Calls, recorder: Recorder, keep: list[Var]) -> Calls:
    """Sums over all iterations, such as that of a loss, as one call after the loop, if only the last value is read."""
    users = users_of(calls)
    new: Calls = []
    gone: set[Var] = set()
    for repeat, body in bodies(calls).items():
        starts = {call.out: call.args[0] for call in body if call.fn is carried}
        for old, total in states_of(body).items():
            v, stacks = term(old, total, users), [user.out for user in users[total] if user.fn is not advance]
            reads = [read for stack in stacks for read in users.get(stack, ())]
            if v is None or not gone.isdisjoint((v, old)) or not set(keep).isdisjoint(stacks) or not all(map(is_last, reads)):
                continue
            array = array_of(v, repeat, users, new, recorder)
            for read in reads:
                read.fn, read.args, read.options = np.add.reduce, (array,), {"axis": 0}
                if starts[old] is not None:
                    whole = added(new, recorder, read.fn, read.args, read.scope, axis=0)
                    read.fn, read.args, read.options = np.add, (starts[old], whole), {}
            gone |= {old, total, *(user.out for user in users[total])}
    return [call for call in calls if call.out not in gone] + new


def array_of(v: Var, repeat: Repeat, users: dict[Var, Calls], calls: Calls, recorder: Recorder) -> Var:
    """The array of what all iterations made of a value."""
    there = next((user for user in users[v] if user.fn in (collected, history)), None)
    if there is None:
        there = marked(recorder, collected, (v,), (repeat.n, *v.shape), v, None)
        there.scope = repeat.scope.parent if repeat.scope is not None else None
        users[v].append(there)
        calls.append(there)
    if there.fn is collected:
        return there.out
    first = 0 if repeat.back else 1
    return added(calls, recorder, operator.getitem, (there.out, (slice(first, first + repeat.n),)), None)


def is_last(read: Call) -> bool:
    """True for a call that reads what the last iteration of a loop made."""
    if read.fn is not operator.getitem:
        return False
    stack = read.args[0].call
    repeat = stack.args[0].call.loop
    first = stack.fn is history and not repeat.back
    return bool(read.args[1] == (repeat.time(repeat.n - 1) + first,))


def term(old: Var, total: Var, users: dict[Var, Calls]) -> Var | None:
    """Return the value that each iteration adds to a state, if the state is needed for nothing else."""
    call = total.call
    if call is None or call.fn is not np.add or call.options or len(users[old]) != 2:
        return None
    if total.dtype.kind not in "fc":  # a sum of small integers has a larger dtype
        return None
    others = [v for v in call.args if v is not old]
    alone = sum(user.loop is not None for user in users[total]) == 1  # to advance
    v = others[0] if len(others) == 1 and alone and isinstance(others[0], Var) and alike(others[0], total) else None
    return v if v is not None and v.call is not None and v.call.loop is call.loop and not marker(v.call) else None


def distributed(calls: Calls, recorder: Recorder, keep: list[Var]) -> Calls:
    """Each loop parted; `keep` are the values that the program is for."""
    calls = sums_after(calls, recorder, keep)
    found = bodies(calls)
    for body in found.values():
        parted = Body(calls, body, recorder)
        parted.part()
        same = parted.whole_arrays(calls)
        if any(v in same for v in keep):
            raise NotFolded("an array of all steps is a result by itself")
        left = [call for call in calls if call.loop is not parted.repeat and call.out not in same]
        calls = [*left, *parted.new, *parted.finish()]
        if same:
            rewritten(calls, functools.partial(latest, keep=same))
        calls = dead_code_removed(in_units(calls), keep)
    return calls if found else in_units(calls)
