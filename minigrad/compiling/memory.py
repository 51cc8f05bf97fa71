"""The memory of a program: values that share an array, and those that use the same memory in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from .blocks import scratch_of
from .folding import advance, carried, collected, history, marker, row, states_of
from .passes import Calls, axis_of, flat, is_view, members_of
from .rewrites import is_tiled
from .trace import Call, Var, reshape, stack

__all__ = ["Memory", "collections_of", "parts_of", "placements"]

LINE = 64  # bytes of a line of the cache; where an array begins
ALWAYS = 1 << 60

Home = Any  # what memory is planned for: a Var


class Memory:
    """The memory of a program: one array, of which each value has a part for as long as somebody needs it.

    What an elementwise call makes takes the place of an operand that is not needed any more.
    """

    def __init__(
        self,
        calls: Calls,
        kept: set[Var],
        placed: dict[Var, tuple[Var, Any]],
        in_place: dict[Var, Var],
        exact: bool,
        tails: dict[Any, set[Var]],
    ) -> None:
        self.placed, self.in_place = placed, in_place
        self.exact = exact  # laid out as the function's own arrays are, for sums depend on that in the last digits
        self.made = {call.out for call in calls}
        self.scratch = self.settled(scratch_of(calls, kept, tails))
        self.collected = collections_of(calls)
        self.next = states_of(calls)
        self.homes: dict[Var, Home | None] = {}
        self.sizes: dict[Home, int] = {}
        self.first: dict[Home, int] = {}
        self.last: dict[Home, int] = {}
        for i, call in enumerate(calls):
            for v in (*call.inputs(), call.out):
                home = self.home(v)
                if home is not None:
                    self.first.setdefault(home, i)
                    self.last[home] = i
        self.twice = self.of_two_iterations()
        self.through_loops(calls, tails)
        from_outside = [v for v in placed if v.call is None]
        for v in (*kept, *from_outside):
            self.last[self.home(v)] = ALWAYS
        started = [call.out for call in calls if call.fn is history and call.args[1].source == "constant"]
        for home in (*map(self.home, from_outside), *started):
            self.first[home], self.last[home] = -1, ALWAYS
        self.joined: dict[Home, Home] = {}
        for i, call in enumerate(calls):
            self.join(call, i)
        self.offsets: dict[Home, int] = {}
        self.parts: dict[Any, np.ndarray] = {}  # one array for one place: NumPy is faster if out is an operand, not like one
        total = self.lay_out()
        room = np.empty(total + LINE, np.uint8)
        start = -room.ctypes.data % LINE
        self.room = room[start : start + total]

    def home(self, v: Var) -> Home | None:
        """Return the home of the memory that a value is in; None for what comes from outside and for what is no array."""
        inside = []
        while v not in self.homes and (other := self.lies_in(v)) is not None:
            inside.append(v)
            v = other
        if v not in self.homes:
            home = self.homes[v] = v if self.has_memory(v) and (v.call is None or v.call.fn is not advance) else None
            if home is not None:
                self.sizes[home] = self.nbytes(v)
        self.homes.update(dict.fromkeys(inside, self.homes[v]))
        return self.homes[v]

    def has_memory(self, v: Var) -> bool:
        return v.dtype is not None and not v.is_tuple and (v in self.made or v in self.placed)

    def lies_in(self, v: Var) -> Var | None:
        """Return the value in whose memory another one is: an array of all steps, an old value, a whole, an array viewed."""
        if not self.has_memory(v):
            return None
        fn, args = (v.call.fn, v.call.args) if v.call is not None else (None, ())
        if fn in (row, carried, advance):
            return None if fn is advance else args[0] if fn is row else self.next[v]
        for other in (self.collected, self.in_place):
            if v in other:
                return other[v]
        if v in self.placed:
            return self.placed[v][0]
        return args[0] if v.call is not None and is_view(v.call) else None

    def settled(self, scratch: dict[Var, int]) -> dict[Var, int]:
        """The same without what is made in another array, unless that has the rows of one block only as well."""
        wholes = {v: self.whole_of(v) for v in self.placed}
        for v, whole in wholes.items():
            if v not in scratch:
                scratch.pop(whole, None)
        for v, whole in wholes.items():
            if whole in scratch:
                scratch[v] = scratch[whole]
            else:
                scratch.pop(v, None)
        return scratch

    def whole_of(self, v: Var) -> Var:
        while v in self.placed:
            v = self.placed[v][0]
        return v

    def nbytes(self, v: Var) -> int:
        return v.nbytes // v.shape[0] * self.scratch[v] if v in self.scratch else v.nbytes

    def of_two_iterations(self) -> set[Home]:
        """Give two places, used in turn, to values that the next iteration reads and that no array of all iterations holds."""
        found = set()
        for v in self.next:
            home = self.home(v)
            if loop_of(home) is not None and home not in found:
                found.add(home)
                self.sizes[home] = 2 * padded(self.sizes[home])
        return found

    def through_loops(self, calls: Calls, tails: dict[Any, set[Var]]) -> None:
        """Keep until the end of a loop the memory of values that come from outside of it, or leave an iteration; with blocks,
        until the last block ends."""
        for repeat in tails:
            body = [i for i, call in enumerate(calls) if call.loop is repeat]
            region = [i for i, call in enumerate(calls) if call.loop is repeat or (repeat.blocks and call.block is repeat)]
            carried_on = [calls[i] for i in body if calls[i].out in tails[repeat] or calls[i].fn is carried]
            leaving = self.twice | self.homes_at(carried_on)
            in_body = self.homes_at(calls[i] for i in body)
            for home in self.homes_at(calls[i] for i in region):
                of_step = loop_of(home) is repeat
                if home in leaving or not (of_step or home in self.scratch):
                    self.needed_for(home, region)
                elif not of_step and home in in_body:
                    self.needed_for(home, body)

    def homes_at(self, calls: Iterable[Call]) -> set[Home]:
        """The memory that calls read or write."""
        return {self.homes[v] for call in calls for v in (*call.inputs(), call.out)} - {None}

    def needed_for(self, home: Home, span: list[int]) -> None:
        """Something is needed from the first to the last of some calls."""
        self.first[home] = min(self.first[home], span[0])
        self.last[home] = max(self.last[home], span[-1] + 1)

    def root(self, home: Home | None) -> Home:
        while home in self.joined:
            home = self.joined[home]
        return home

    def join(self, call: Call, i: int) -> None:
        """Let the result of an elementwise call have the home of an operand that nobody needs after it."""
        out = call.out
        if not isinstance(call.fn, np.ufunc) or call.fn.signature is not None or call.options or self.home(out) is not out:
            return
        if out in self.twice or (call.block is not None and call.block.blocks and out not in self.scratch):
            return
        for a in call.inputs():
            home = self.root(self.homes[a])
            if self.has_the_place_for(a, out) and self.last[home] == i and self.sizes[home] == self.nbytes(out):
                self.joined[out] = home
                self.first[home] = min(self.first[home], self.first[out])
                self.last[home] = self.last[out]
                return

    def has_the_place_for(self, a: Var, out: Var) -> bool:
        """True if an operand is laid out like the result, and is all that is in its home."""
        if (a.shape, a.dtype) != (out.shape, out.dtype) or self.homes[a] is None:
            return False
        source = a
        while source.call is not None and source.call.fn is reshape:
            source = source.call.args[0]
        return source is self.homes[a] and (not self.exact or (source is a and a.strides == out.strides))

    def lay_out(self) -> int:
        """Give each home a place: the largest first, each at the lowest place that is free all the time that it is needed.
        Returns where they end."""
        homes = [h for h in self.first if h not in self.joined]
        homes.sort(key=lambda h: (-self.sizes[h], self.first[h]))
        first, last = (np.array([x[h] for h in homes]) for x in (self.first, self.last))
        begins, ends = np.zeros(len(homes), int), np.zeros(len(homes), int)
        for n, home in enumerate(homes):
            size = padded(self.sizes[home])
            together = np.flatnonzero((first[:n] <= last[n]) & (last[:n] >= first[n]))
            together = together[np.argsort(begins[together])]
            free = np.maximum.accumulate(np.append(0, ends[together]))  # from here on, until the next begins
            begins[n] = free[np.argmax(np.append(begins[together], ALWAYS) - free >= size)]
            ends[n] = begins[n] + size
            self.offsets[home] = int(begins[n])
        return int(ends.max(initial=0))

    def part(self, home: Home, shape: tuple[int, ...], dtype: Any, strides: Any = None) -> np.ndarray:
        key = (self.offsets[self.root(home)], shape, dtype, strides)
        if key not in self.parts:
            self.parts[key] = np.ndarray(shape, dtype, self.room, key[0], strides)
        return self.parts[key]

    def array(self, v: Var) -> np.ndarray:
        """The array of a value that is not in another one's; with the rows of one block, if only these are needed."""
        shape = (self.scratch[v], *v.shape[1:]) if v in self.scratch else v.shape
        return self.part(v, shape, v.dtype, packed(v) if self.exact else None)

    def two(self, v: Var) -> np.ndarray:
        """The two places of a value that the next iteration reads."""
        return self.part(v, (2, *v.shape), v.dtype, (padded(v.nbytes), *np.empty(v.shape, v.dtype).strides))


def loop_of(home: Home | None) -> Any:
    """The loop in which something is made."""
    return home.call.loop if home is not None and home.call is not None else None


def packed(v: Var) -> tuple[int, ...]:
    """The strides of an array that NumPy makes for what is laid out like v."""
    like = np.lib.stride_tricks.as_strided(np.empty(1, v.dtype), v.shape, v.strides)
    return np.empty_like(like, order="K").strides


def collections_of(calls: Calls) -> dict[Var, Var]:
    """For each value that an array of all iterations has: that array."""
    return {call.args[0]: call.out for call in calls if call.fn in (collected, history)}


def padded(size: int) -> int:
    return -(-size // LINE) * LINE


def placements(calls: Calls) -> dict[Var, tuple[Var, Any]]:
    """For parts that are put together, or that scatter to where none meet: the whole and the index where each is made, so that
    it need not be copied there. What has a row of members of a larger whole is the part of that which they are."""
    made = {call.out: call for call in calls}
    elsewhere = collections_of(calls)
    found: dict[Var, tuple[Var, Any]] = {}

    def has_room(call: Call, v: Var, index: Any) -> bool:
        if call.fn is flat and v not in made:
            return v.source == "input"
        fits = v.dtype == call.out.dtype and (call.fn is flat or call.out.value[index].shape == v.shape)
        return fits and v in made and made[v].loop is call.loop and v not in elsewhere and placeable(made[v])

    for call in sorted(calls, key=lambda call: -len(members_of(call))):
        inside = part_of_a_whole(call, found)
        if inside is not None:
            found[call.out] = inside
            continue
        parts = parts_of(call)
        times = Counter(v for v, _ in parts)
        found |= {v: (call.out, i) for v, i in parts if times[v] == 1 and v not in found and has_room(call, v, i)}
    return found


def placeable(call: Call) -> bool:
    return not is_view(call) and not members_of(call) and not call.out.is_tuple and not marker(call)


def part_of_a_whole(call: Call, found: dict[Var, tuple[Var, Any]]) -> tuple[Var, Any] | None:
    """The place of members that follow each other in the same way in another whole, if all are made there."""
    members = members_of(call)
    whole = found[members[0]][0] if members and members[0] in found else None
    if whole is None or whole.call is None or any(m not in found or found[m][0] is not whole for m in members):
        return None
    others = members_of(whole.call)
    start = others.index(members[0]) if others else 0
    if others[start : start + len(members)] != members:
        return None
    rows = whole.shape[0] // len(others)
    return whole, (slice(start * rows, (start + len(members)) * rows),)


def parts_of(call: Call) -> list[tuple[Var, Any]]:
    """What a call puts together, and the index of each part in the result."""
    if call.fn is stack:
        return [(v, (i,)) for i, v in enumerate(call.args)]
    if is_tiled(call):
        return list(zip(call.args, call.options["indices"], strict=True))
    if call.fn is flat:
        ends = [0, *accumulate(v.size for v in call.args)]
        return [(v, (slice(*span),)) for v, span in zip(call.args, pairwise(ends), strict=True)]
    axis = axis_of(call) if call.fn is np.concatenate else None
    if axis is None:
        return []
    ends = [0, *accumulate(v.shape[axis] for v in call.args[0])]
    before = (slice(None),) * (axis % len(call.out.shape))
    return [(v, (*before, slice(*span))) for v, span in zip(call.args[0], pairwise(ends), strict=True)]
