"""The lines of loops: which array each iteration and each block has for a value, and the names that the lines bind to them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from .blocks import rows_summed
from .distribution import bodies
from .folding import LINEAR, PRODUCTS, NotFolded, Repeat, advance, carried, collected, history, marker, row
from .memory import Memory
from .passes import Calls, base_of, is_view, users_of
from .trace import Call, Var, dot

__all__ = ["BLOCK", "LoopCode", "escaped", "indented", "index_text", "last_for_the_next", "same_array", "whole_index"]

ALL, BEFORE, BLOCK = -1, -2, -3  # whose lines are written: of every iteration, of the one before, of a block; or of that one
NAMES = re.compile(r"[A-Za-z_]\w*")


class LoopCode:
    """The part of a program that writes loops."""

    calls: Calls
    memory: Memory
    made: set[Var]
    names: dict[Var, str]
    legend: dict[str, str]
    space: dict[str, Any]
    placed: dict[Var, tuple[Var, Any]]
    copies: set[Var]  # views that have arrays of their own
    collected: dict[Var, Var]  # the array that has what all iterations made of a value
    next: dict[Var, Var]  # what a carried value becomes
    tails: dict[Repeat, set[Var]]  # what each loop makes only for its next iteration
    array: Callable[[Var], np.ndarray]
    argument: Callable[[Any], str]
    label: Callable[..., None]
    hint: Callable[[Var], str]
    numbered: Callable[[str], str]
    lines_of: Callable[[Call], list[str]]
    name_of_array: Callable[[np.ndarray, str], str]

    def __init__(self) -> None:
        self.turns: dict[Var, list[Any] | None] = {}
        self.turn = ALL
        self.repeat: Repeat = None  # type: ignore[assignment]  # whose blocks are written
        self.parts: dict[Any, list[Any]] = {}
        self.derivatives: dict[Any, list[Any]] = {}
        self.bound: set[str] = set()  # all names that loops bind
        self.handed: set[Var] = set()  # what one iteration makes just for the next, and that has the same name there
        self.before = "prev"  # the time step of the iteration before
        self.one = 0  # the first iteration that the lines of a loop are for
        self.moving: dict[str, list[Any]] = {}  # those that the loop which is written binds anew in each iteration

    def turns_of(self, v: Var) -> list[Any] | None:
        """The array of each iteration, for a value that is in another place each time; None where an iteration has none."""
        if v not in self.turns:
            self.turns[v] = None
            if v.call is not None and v.call.loop is not None and v in self.made and v.dtype is not None:
                self.turns[v] = self.found_turns(v, v.call, v.call.loop)
        return self.turns[v]

    def found_turns(self, v: Var, call: Call, repeat: Repeat) -> list[Any] | None:
        if call.fn is row:
            return self.elements(call.args[0], repeat, call.args[1])
        if call.fn is carried:
            new = self.turns_of(self.next[v])
            if new is None:
                raise NotFolded("a state that stays as it is")
            start = None if call.args[0] is None else self.array(call.args[0])
            return [start, *new[:-1]]
        if v in self.collected:
            whole = self.collected[v]
            return self.elements(whole, repeat, int(whole.call.fn is history and not repeat.back))  # type: ignore[union-attr]
        if v in self.memory.twice:
            two = self.memory.two(v)
            return [two[n % 2, ...] for n in range(repeat.n)]
        if v in self.placed:
            whole, place = self.placed[v]
            return self.mapped(whole, lambda array: array[whole_index(place)])
        return self.mapped(call.args[0], lambda array: view_of(call, array)) if is_view(call) else None

    def all_of(self, v: Var) -> np.ndarray:
        """The array of a value that is not another one in each iteration, with the rows of all blocks."""
        turn, self.turn = self.turn, ALL
        array = self.array(v)
        self.turn = turn
        return array

    def elements(self, whole: Var, repeat: Repeat, offset: int) -> list[Any]:
        """The rows that the iterations have of an array over time."""
        array = self.all_of(whole)
        root = base_of(whole)
        if root in self.memory.scratch:
            begins = {t: begin for begin, end in repeat.blocks for t in range(begin, end)}
            start = repeat.times[root][0]
            return [array[t - max(begins[t], start), ...] for t in map(repeat.time, range(repeat.n))]
        places = [repeat.time(n) + offset for n in range(repeat.n)]
        return [array[i, ...] if 0 <= i < len(array) else None for i in places]

    def parts_of(self, v: Var, like: Var | None = None) -> list[Any]:
        """The parts of an array over time that belong to each block, its steps perhaps those of another with as many rows."""
        key = (v, self.repeat)
        if key not in self.parts:
            repeat, (start, each) = self.repeat, self.repeat.times[v if like is None else like]
            array = self.all_of(v)
            steps = v.shape[0] // each
            spans = [(min(max(a, start), start + steps), min(max(b, start), start + steps)) for a, b in repeat.blocks]
            if base_of(v) in self.memory.scratch:
                self.parts[key] = [array[: (b - a) * each] for a, b in spans]
            else:
                self.parts[key] = [array[(a - start) * each : (b - start) * each] for a, b in spans]
            if not all(map(len, self.parts[key])):
                raise NotFolded("a block without a step")
        return self.parts[key]

    def mapped(self, v: Var, f: Callable[[np.ndarray], np.ndarray]) -> list[Any] | None:
        turns = self.turns_of(v)
        return None if turns is None else [None if array is None else f(array) for array in turns]

    def in_turn(self, v: Var, turns: list[Any]) -> np.ndarray:
        """The array of a value in the iteration whose lines are written; of a loop any, for they are all alike."""
        if v not in self.names:
            if v.call is not None and v.call.fn is carried and self.next[v] in self.tails[v.call.loop]:
                self.array(self.next[v])  # which is made just before it is read, and has one name
                self.names[v] = self.names[self.next[v]]
                self.handed.add(self.next[v])
            else:
                self.label(v, self.hint(v))
                self.legend[self.names[v]] = self.told_of_turn(v)
        if self.turn >= 0:
            if turns[self.turn] is None:
                raise NotFolded("a step reads what is not there")
            return turns[self.turn]  # type: ignore[no-any-return]
        return next(array for array in turns if array is not None)

    def named(self, name: str, turns: list[Any], handed: bool = False) -> str:
        """The name, in the lines that are written now, of what is another array in each iteration."""
        if self.turn >= 0:
            return self.name_of_array(turns[self.turn], f"{name}_first")
        if self.turn == BEFORE:
            turns, name = [None, *turns[:-1]], name if handed else f"{name}_{self.before}"
        for other, arrays in self.moving.items():
            if len(arrays) == len(turns) and all(map(operator.is_, arrays[self.one :], turns[self.one :])):
                return other
        while self.is_taken(name, turns):
            name += "_"
        self.moving[name] = turns
        self.space.setdefault(name, None)
        self.bound.add(name)
        return name

    def is_taken(self, name: str, turns: list[Any]) -> bool:
        if name in self.moving:
            return not all(map(operator.is_, self.moving[name], turns))
        return self.space.get(name) is not None or (name in self.bound and name not in self.names.values())

    def derived(self, v: Var, f: Callable[[np.ndarray], np.ndarray], name: str) -> str:
        """A name for something made of a value's array, such as a part of it."""
        key = (v, name, self.turn == BEFORE)
        turns = self.derivatives.get(key) if self.turn < 0 else None
        if turns is None:
            in_block = self.turn == BLOCK and v in self.repeat.times
            turns = list(map(f, self.parts_of(v))) if in_block else self.mapped(v, f)
            if turns is not None and self.turn < 0:
                self.derivatives[key] = turns
        return self.name_of_array(f(self.array(v)), name) if turns is None else self.named(name, turns)

    def told_of_turn(self, v: Var) -> str:
        """Return which part of another array a value of a loop is, if it is one."""
        call: Any = v.call
        if call.fn is carried:
            self.array(self.next[v])
            return f"{self.names[self.next[v]]} of t{'+' if call.loop.back else '-'}1"
        whole: Any = call.args[0] if call.args else None
        index = ""
        if call.fn is row:
            index = f"t{call.args[1]:+d}" if call.args[1] else "t"
        elif v in self.collected:
            whole = self.collected[v]
            index = "t+1" if whole.call.fn is history and not call.loop.back else "t"
        elif v in self.placed:
            whole, index = self.placed[v][0], index_text(self.placed[v][1])
        elif is_view(call) and call.fn is operator.getitem:
            index = index_text(call.args[1])
        if not index:
            return ""
        self.array(whole)
        return f"{self.names[whole]}[{index}]"

    def loop_lines(self, repeat: Repeat) -> str:
        """The lines of a loop. What the last iteration need not do is done by the next one, before its own calls, and the first
        iteration has lines of its own then."""
        start = self.start_lines(repeat)
        first, inner, moving = self.body_lines(repeat)
        one = int(bool(first))
        if not repeat.blocks:
            label = self.name_of_table(self.rows(moving, range(one, repeat.n)), "steps")
            return "\n".join([*start, *first, self.head(moving, label), *indented(inner)])
        lengths = [end - begin for begin, end in repeat.blocks]
        before, after, columns = self.block_lines(repeat, start)
        columns["steps"] = [self.rows(moving, range(max(a, one), b)) for a, b in pairwise(accumulate(lengths, initial=0))]
        if first:
            columns["at_first"] = [k == 0 for k in range(len(lengths))]
            before += ["if at_first:", *indented(first)]
        self.bound.update(columns)
        label = self.name_of_table(list(zip(*columns.values(), strict=True)), "blocks")
        block = [*before, self.head(moving, "steps"), *indented(inner), *after]
        return "\n".join([*start, f"{self.head(columns, label)}  # {max(lengths)} steps each", *indented(block)])

    def block_lines(self, repeat: Repeat, start: list[str]) -> tuple[list[str], list[str], dict[str, list[Any]]]:
        """The lines of a block before and after its steps, and what they bind each time; those that begin sums are added
        to `start`."""
        self.moving, self.derivatives, self.turn, self.repeat = {}, {}, BLOCK, repeat
        region = [call for call in self.calls if call.loop is repeat or call.block is repeat]
        before: list[str] = []
        after: list[str] = []
        lines = before
        for call in region:
            if call.loop is repeat:
                lines = after
            elif call.out in repeat.sums:
                start += self.sum_lines(call, lines)
            else:
                lines += self.lines_of(call)
        self.turn = ALL
        return before, after, self.used_in([*before, *after])

    def start_lines(self, repeat: Repeat) -> list[str]:
        """Put the first value of a state into the array of all of them."""
        lines = []
        for call in self.calls:
            if call.fn is history and call.args[0].call.loop is repeat:
                start, whole = call.args[1], self.array(call.out)
                place = whole[repeat.n if repeat.back else 0, ...]
                if start.source == "constant":  # which nobody overwrites
                    place[...] = start.value
                    continue
                lines.append(f"copyto({self.name_of_array(place, f'{self.argument(call.out)}_start')}, {self.argument(start)})")
        return lines

    def body_lines(self, repeat: Repeat) -> tuple[list[str], list[str], dict[str, list[Any]]]:
        """The lines of the first iteration, if it has its own, and of the others, and what they bind each time."""
        body = [call for call in self.calls if call.loop is repeat and call.fn is not advance]
        self.before = "next" if repeat.back else "prev"
        states = [call for call in body if call.fn is carried]
        for call in states:
            self.array(call.out)
        zero = {call.out for call in states if call.args[0] is None}
        late = [call for call in body if call.out in self.tails[repeat]]
        early = [call for call in body if call.out not in self.tails[repeat]]
        first: list[str] = []
        if late or zero:
            read = {v for call in late for v in call.inputs()}
            first = self.lines_at(0, early, lambda call: self.first_lines(call, zero, read)) or ["pass"]
        self.moving, self.derivatives = {}, {}
        self.one = int(bool(first))
        inner = self.lines_at(BEFORE, late, self.lines_of) + self.lines_at(ALL, early, self.lines_of)
        return first, inner or ["pass"], self.used_in(inner)

    def used_in(self, lines: list[str]) -> dict[str, list[Any]]:
        """Select the names that are in these lines, with the arrays that they mean each time."""
        return {name: self.moving[name] for name in NAMES.findall("\n".join(lines)) if name in self.moving}

    def lines_at(self, turn: int, calls: Calls, lines: Callable[[Call], list[str]]) -> list[str]:
        """The lines of calls, as they are in one iteration, the one before or all."""
        self.turn = turn
        return [line for call in calls for line in lines(call)]

    @staticmethod
    def rows(moving: dict[str, list[Any]], turns: range) -> list[tuple[Any, ...]]:
        """List the arrays that the names of a loop mean in these iterations."""
        rows = [tuple(arrays[n] for arrays in moving.values()) for n in turns]
        if any(array is None for row_ in rows for array in row_):
            raise NotFolded("a step reads what is not there")
        return rows

    def name_of_table(self, table: list[Any], stem: str) -> str:
        name = self.numbered(stem)
        self.space[name] = table
        return name

    @staticmethod
    def head(moving: dict[str, list[Any]], label: str) -> str:
        return f"for {', '.join(moving) or '_'}{',' * (len(moving) <= 1)} in {label}:"

    @staticmethod
    def loop_title(repeat: Repeat) -> str:
        """The place where a loop was recorded, and the way that t runs in it."""
        where = escaped(str(repeat.scope.parent)) if repeat.scope is not None and repeat.scope.parent is not None else ""
        return f"{where}{', ' if where else ''}t from {repeat.time(0)} to {repeat.time(repeat.n - 1)}"

    def sum_lines(self, call: Call, lines: list[str]) -> list[str]:
        """Add to the lines of a block those of its part of a sum over all steps; returns the line that begins the sum."""
        if is_view(call):
            self.array(call.out)
            if call.out in self.copies:
                raise NotFolded("a copy of a part of all steps")
            return []
        self.turn = ALL
        out = self.argument(call.out)
        self.turn = BLOCK
        part = self.name_of_array(np.empty(call.out.shape, call.out.dtype), f"{out}_of_block")
        if call.fn is dot:
            left, right = rows_summed(call)
            like = left if getattr(base_of(left).call, "block", None) is self.repeat else right
            turned = self.same_rows(left, like, turned=True)
            lines.append(f"{turned}.dot({self.same_rows(right, like)}, {part})")
        else:
            self.space["add_reduce"] = np.add.reduce
            lines.append(f"add_reduce({self.argument(call.args[0])}, 0, None, {part})")
        self.space["add"] = np.add
        lines.append(f"add({out}, {part}, {out})")
        return [f"{out}.fill(0)"]

    def same_rows(self, v: Var, like: Var, turned: bool = False) -> str:
        """The rows of an array that a block has of another one."""
        parts, name = self.parts_of(v, like), f"{self.names[v]}_part"
        if turned:
            name += "_turned"
            parts = self.derivatives.setdefault((v, name, False), [x.T for x in parts])
        return self.named(name, parts)

    def first_lines(self, call: Call, zero: set[Var], late: set[Var]) -> list[str]:
        """The lines of a call in the first iteration, where nothing is carried yet. The second one begins with what it needs
        of values of the first, `late`."""
        if zero.isdisjoint(call.inputs()) or call.fn is carried:
            return self.lines_of(call)
        others = [a for a in call.args if isinstance(a, Var) and a not in zero]
        if call.fn in (np.add, np.subtract) and not all(isinstance(a, Var) for a in call.args):
            raise NotFolded("a first step that computes with zeros")
        filled = call.out in self.collected or call.out in self.memory.twice or call.out in late
        if call.fn in PRODUCTS or not others:
            if call.fn not in PRODUCTS and call.fn not in LINEAR:
                raise NotFolded("a first step that computes with zeros")
            zero.add(call.out)
            self.array(call.out)
            return [f"{self.argument(call.out)}.fill(0)"] if filled else []
        if call.fn is np.add or (call.fn is np.subtract and call.args[0] is others[0]):
            (other,) = others
            if other.shape == call.out.shape:
                mine, its = self.array(call.out), self.array(other)
                return [] if same_array(mine, its) else [f"copyto({self.argument(call.out)}, {self.argument(other)})"]
        raise NotFolded("a first step that computes with zeros")


def last_for_the_next(calls: Calls) -> tuple[Calls, dict[Repeat, set[Var]]]:
    """Move to the end of each body the calls whose results only the next iteration reads; the last iteration needs none.
    Returns the calls, and for each loop these results."""
    users = users_of(calls)
    copied = {c.args[0] for c in calls if c.fn in (collected, history)}  # a view that is one of these is copied into an array
    needed = {c.args[0] for c in calls if c.fn is collected or (c.fn is history and reads_the_last(c, users.get(c.out, [])))}
    tails: dict[Repeat, set[Var]] = {}
    sorted_bodies: dict[Repeat, Calls] = {}
    for repeat, body in bodies(calls).items():
        early, late, ends = parts_of_a_body(body, needed)
        tails[repeat] = {c.out for c in late if c.out in copied or not is_view(c)}
        sorted_bodies[repeat] = [*early, *late, *ends]
    left: Calls = []
    for call in calls:
        left += [call] if call.loop is None else sorted_bodies.pop(call.loop, [])
    return left, tails


def parts_of_a_body(body: Calls, needed: set[Var]) -> tuple[Calls, Calls, Calls]:
    """The calls that each iteration needs, those that only the next one does, and the marks of what is carried on. All that
    is needed for the first is added to `needed`."""
    for call in reversed(body):
        if call.out in needed:
            needed.update(call.inputs())
    ends = [c for c in body if c.fn is advance]
    early = [c for c in body if c.fn is not advance and (c.out in needed or marker(c))]
    return early, [c for c in body if c.out not in needed and not marker(c)], ends


def reads_the_last(call: Call, users: Calls) -> bool:
    """True if somebody reads of a history what the last iteration made."""
    repeat: Repeat = call.args[0].call.loop
    for user in users:
        index = user.args[1][0] if user.fn is operator.getitem and isinstance(user.args[1], tuple) else None
        if not isinstance(index, slice | int) or (isinstance(index, slice) and index.step is not None):
            return True
        start, stop = (index, index + 1) if isinstance(index, int) else index.indices(repeat.n + 1)[:2]
        if start == 0 if repeat.back else stop == repeat.n + 1:
            return True
    return False


def view_of(call: Call, array: np.ndarray) -> np.ndarray:
    """Return the view of an array that a call makes; not a copy, which would keep what the array had before the program ran."""
    index, *_ = rest = call.args[1:]
    made: np.ndarray = array[whole_index(index)] if call.fn is operator.getitem else call.fn(array, *rest)
    if made.size and not np.shares_memory(made, array):
        raise NotFolded("a copy of a part in a loop")
    return made


def indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line.replace("\n", "\n    ") for line in lines]


def index_text(index: Any) -> str:
    """An index as one writes it."""
    parts = index if isinstance(index, tuple) else (index,)

    def part(i: Any) -> str:
        if isinstance(i, slice):
            step = "" if i.step is None else f":{i.step}"
            return f"{'' if i.start is None else i.start}:{'' if i.stop is None else i.stop}{step}"
        return "..." if i is Ellipsis else str(i)

    return ", ".join(map(part, parts)) or "()"


def whole_index(index: Any) -> tuple[Any, ...]:
    """The same index, but of one element an array without axes, not a number."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(i is Ellipsis for i in parts) else (*parts, Ellipsis)


def same_array(x: Any, y: np.ndarray) -> bool:
    """True if they are one place in memory, or one number."""
    if x is y:
        return True
    if not isinstance(x, np.ndarray) or (x.shape, x.dtype, x.strides) != (y.shape, y.dtype, y.strides):
        return False
    return x.ctypes.data == y.ctypes.data or (x.shape == () and x.base is y.base is None and x.tobytes() == y.tobytes())


def escaped(text: str) -> str:
    """A text for a comment, which ends with its line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
