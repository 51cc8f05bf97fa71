"""The program: every value gets its place in memory once, and the calls become lines of NumPy code that write there."""

from __future__ import annotations

import builtins
import keyword
import linecache
import operator
import re
import unicodedata
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from types import CodeType
from typing import Any

import numpy as np

from ..ops.shape import is_advanced, scattered
from .blocks import base_of as viewed_by
from .blocks import rows_summed
from .folding import LINEAR, PRODUCTS, NotFolded, Repeat, advance, carried, collected, history, marker, row
from .memory import Chains, Memory, collections_of, placements
from .passes import Calls, flat, is_view
from .trace import Call, Recorder, Var, cast, contiguous, dot, replaced, reshape, stack, transpose

__all__ = ["Program"]

# Names that programs use for other things.
OWN = re.compile(r"(run|lines_\d+|OtherWay|copyto|store|several|matmul|just_.*|.*_reduce_*|_.*|.*_)$")
ALL, BEFORE, BLOCK = -1, -2, -3  # whose lines are written: of every iteration, of the one before, of a block; or of that one
NAMES = re.compile(r"[A-Za-z_]\w*")
LINES = 2000  # in one function of the source: Python compiles long ones slowly
numbers = count()
gone: deque[str] = deque()  # sources of programs that are no more; not forgotten at once, for somebody may be walking over them


class Program:
    """Straight-line NumPy code that writes into arrays made beforehand. ``run()`` computes."""

    def __init__(
        self, calls: Calls, outputs: Sequence[Var], recorder: Recorder, in_place: dict[Var, Var], exact: bool = False
    ) -> None:
        self.calls, self.tails = last_for_the_next(calls)
        calls = self.calls
        self.outputs = list(outputs)
        self.recorder = recorder
        self.arrays: dict[Var, np.ndarray] = {}
        self.names: dict[Var, str] = {}
        self.space: dict[str, Any] = {"np": np, "copyto": np.copyto, "store": store, "several": several}
        self.names_of: dict[int, tuple[str, Any]] = {}  # of other objects, by id
        self.taken: dict[str, int] = {}
        self.legend: dict[str, str] = {}
        self.guards = [(v, outcome) for v, outcome in recorder.guards]
        self.conditional = bool(self.guards)  # a run may end with OtherWay
        self.exact = exact
        self.chains = Chains([] if exact else calls)
        self.placed = {} if exact else placements(calls, self.chains)
        self.collected = collections_of(calls)
        self.next = {call.args[0]: call.args[1] for call in calls if call.fn is advance}
        self.turns: dict[Var, list[Any] | None] = {}
        self.turn = ALL
        self.repeat: Repeat = None  # type: ignore[assignment]  # whose blocks are written
        self.parts: dict[Any, list[Any]] = {}
        self.bound: set[str] = set()  # all these names
        self.moving: dict[str, list[Any]] = {}  # names that a loop binds anew in each iteration
        self.in_place = self.harmless(in_place)
        self.memory = Memory(
            calls, {*outputs, *(v for v, _ in recorder.guards)}, self.chains, self.placed, self.in_place, exact, self.tails
        )
        lines = self.written()
        self.source = self.text(lines)
        filename = f"<minigrad program {next(numbers)}>"
        while gone:
            linecache.cache.pop(gone.popleft(), None)
        weakref.finalize(self, gone.append, filename)
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(keepends=True), filename)
        self.code = compile(self.source, filename, "exec")
        exec(self.code, self.space)
        self.run: Callable[[], None] = self.space["run"]

    def harmless(self, in_place: dict[Var, Var]) -> dict[Var, Var]:
        """Of new values and the old ones in whose place they could be written, those whose old ones nobody needs any more."""
        last: dict[Var, int] = {}
        base: dict[Var, Var] = {}
        for i, call in enumerate(self.calls):
            for v in call.inputs():
                last[base.get(v, v)] = i
            if is_view(call):
                base[call.out] = base.get(call.args[0], call.args[0])
        index = {call.out: i for i, call in enumerate(self.calls)}
        taken = {base.get(v, v) for v in self.outputs}
        for (whole, arena), olds in self.arenas(in_place).items():
            if max([last.get(v, -1) for v in (arena, *olds)]) <= index[whole] and not taken & {arena, *olds}:
                in_place = {**in_place, whole: arena}
        return {
            new: old
            for new, old in in_place.items()
            if new in index and isinstance(self.calls[index[new]].fn, np.ufunc) and new.shape == old.shape
            and new.dtype == old.dtype and last.get(old, -1) <= index[new] and old not in taken
            and new not in self.chains.place and new not in self.placed
        }  # fmt: skip

    def arenas(self, in_place: dict[Var, Var]) -> dict[tuple[Var, Var], list[Var]]:
        """Where all new values are parts of one array, and the old ones of another, in the same places: that pair of arrays."""
        found: dict[tuple[Var, Var], list[Var]] = {}
        for new, old in in_place.items():
            part = new.call.args[0].call if new.call is not None and new.call.fn is reshape else None
            if (
                old not in self.placed
                or part is None
                or part.fn is not operator.getitem
                or not isinstance(self.placed[old][1], int)
            ):
                continue
            arena, i = self.placed[old]
            start = sum(m.size for m in arena.call.args[:i])  # type: ignore[union-attr]
            if part.args[1] == (slice(start, start + old.size),):
                found.setdefault((part.args[0], arena), []).append(old)
        return {pair: olds for pair, olds in found.items() if len(olds) == len(pair[1].call.args)}  # type: ignore[union-attr]

    # -- memory ----------------------------------------------------------------------------------------------

    def array(self, v: Var) -> np.ndarray:
        """The array that holds v while the program runs."""
        turns = self.turns_of(v)
        if turns is not None:
            return self.in_turn(v, turns)
        if self.turn == BLOCK and v in self.repeat.times:
            return self.parts_of(v)[0]
        found = self.arrays.get(v)
        if found is not None:
            return found
        if (v.call is None or v not in self.made) and v not in self.placed:
            made = v.value if v.source == "constant" else np.array(v.value)
            self.label(v, v.source or "input")
        elif v in self.in_place:
            made = self.array(self.in_place[v])
            self.label(v, self.hint(v))
        elif v in self.chains.place or v in self.chains.wholes:
            made = self.in_chain(v)
            self.label(v, self.hint(v))
        elif v in self.placed and isinstance(self.placed[v][1], int):
            made = self.slot_of(*self.placed[v])
            self.label(v, self.hint(v) if v.call else v.source)
        elif v in self.placed:
            whole, row = self.placed[v]
            base = self.array(whole)
            made = base[whole_index(row)]
            self.label(v, self.hint(v))
        elif v.call is not None and is_view(v.call):
            fn, (source, *rest) = v.call.fn, v.call.args
            base = self.array(source)
            if viewed_by(v) in self.memory.scratch and fn is reshape:
                rest = [(-1, *v.shape[1:])]
            made = base[whole_index(rest[0])] if fn is operator.getitem else fn(base, *rest)
            if made.size and not np.shares_memory(made, base):
                made = np.empty(v.shape, v.dtype)
                self.copies.add(v)
            self.label(v, self.hint(v))
        else:
            made = self.memory.array(v)
            self.label(v, self.hint(v))
        self.arrays[v] = made
        self.space[self.names[v]] = made
        self.legend[self.names[v]] = self.told(v, made)
        return made

    # -- what is another array in each iteration --------------------------------------------------------------

    def turns_of(self, v: Var) -> list[Any] | None:
        """The array of each iteration, for a value that is in another place each time; None where an iteration has none."""
        if v not in self.turns:
            self.turns[v] = None
            if v.call is not None and v.call.loop is not None and v in self.made and v.dtype is not None:
                self.turns[v] = self.found_turns(v, v.call, v.call.loop)
        return self.turns[v]

    def found_turns(self, v: Var, call: Call, repeat: Repeat) -> list[Any] | None:
        if call.fn is advance:
            return None
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
        if is_view(call):
            fn, (source, *rest) = call.fn, call.args
            if fn is operator.getitem:
                return self.mapped(source, lambda array: array[whole_index(rest[0])])
            return self.mapped(source, lambda array: fn(array, *rest))
        return None

    def elements(self, whole: Var, repeat: Repeat, offset: int) -> list[Any]:
        """The rows that the iterations have of an array over time."""
        turn, self.turn = self.turn, ALL
        array = self.array(whole)
        self.turn = turn
        root = viewed_by(whole)
        if root in self.memory.scratch:
            begins = {t: begin for begin, end in repeat.blocks for t in range(begin, end)}
            start = repeat.times[root][0]
            return [array[t - max(begins[t], start)] for t in map(repeat.time, range(repeat.n))]
        places = [repeat.time(n) + offset for n in range(repeat.n)]
        return [array[i, ...] if 0 <= i < len(array) else None for i in places]

    def parts_of(self, v: Var) -> list[Any]:
        """The parts of an array over time that belong to each block."""
        key = (v, self.repeat)
        if key not in self.parts:
            repeat, (start, each) = self.repeat, self.repeat.times[v]
            turn, self.turn = self.turn, ALL
            array = self.array(v)
            self.turn = turn
            steps = v.shape[0] // each
            spans = [(min(max(a, start), start + steps), min(max(b, start), start + steps)) for a, b in repeat.blocks]
            if viewed_by(v) in self.memory.scratch:
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
            self.label(v, self.hint_of_turn(v))
            self.legend[self.names[v]] = self.told_of_turn(v)
        if self.turn >= 0:
            if turns[self.turn] is None:
                raise NotFolded("a step reads what is not there")
            return turns[self.turn]  # type: ignore[no-any-return]
        return next(array for array in turns if array is not None)

    def named(self, name: str, turns: list[Any]) -> str:
        """The name, in the lines that are written now, of what is another array in each iteration."""
        if self.turn >= 0:
            return self.name_of_array(turns[self.turn], f"{name}_first")
        if self.turn == BEFORE:
            turns, name = [None, *turns[:-1]], f"{name}_before"
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

    def hint_of_turn(self, v: Var) -> str:
        if v.call is not None and v.call.fn is row:
            return "row"
        if v.call is not None and v.call.fn is carried:
            return "before" if not v.call.loop.back else "after"
        return self.hint(v)

    def told_of_turn(self, v: Var) -> str:
        call = v.call
        assert call is not None
        if call.fn is row:
            offset = call.args[1]
            self.array(call.args[0])
            return f"{self.names[call.args[0]]}[t{f'{offset:+d}' if offset else ''}]"
        if v in self.collected:
            whole = self.collected[v]
            self.array(whole)
            moved = whole.call.fn is history and not call.loop.back  # type: ignore[union-attr]
            return f"{self.names[whole]}[t{'+1' if moved else ''}]"
        if call.fn is carried:
            self.array(self.next[v])
            return f"{self.names[self.next[v]]} of the step before"
        if v in self.placed:
            self.array(self.placed[v][0])
            return f"{self.names[self.placed[v][0]]}[{index_text(self.placed[v][1])}]"
        if is_view(call) and call.fn is operator.getitem:
            self.array(call.args[0])
            return f"{self.names[call.args[0]]}[{index_text(call.args[1])}]"
        return ""

    def loop_lines(self, repeat: Repeat) -> str:
        """The lines of a loop. What the last iteration need not do is done by the next one, before its own calls, and the first
        iteration has lines of its own then."""
        start = self.start_lines(repeat)
        first, inner, moving = self.body_lines(repeat)
        one = int(bool(first))
        if not repeat.blocks:
            label = self.name_of_steps([self.rows(moving, range(one, repeat.n))])[0]
            return "\n".join([*start, *first, self.head(repeat, moving, label, one), *indented(inner)])
        ends = [0]
        for begin, end in repeat.blocks:
            ends.append(ends[-1] + end - begin)
        steps = [self.rows(moving, range(max(a, one), b)) for a, b in zip(ends, ends[1:], strict=False)]
        self.moving, self.derivatives, self.turn, self.repeat = {}, {}, BLOCK, repeat
        region = [call for call in self.calls if call.loop is repeat or call.block is repeat]
        at = next(i for i, call in enumerate(region) if call.loop is repeat)
        before = [line for call in region[:at] for line in self.lines_of(call)]
        after: list[str] = []
        for call in region[at:]:
            if call.loop is None and call.out in repeat.sums:
                start += self.sum_lines(call, after)
            elif call.loop is None:
                after += self.lines_of(call)
        self.turn = ALL
        blocks = self.moving
        text = "\n".join((*before, *after))
        names = [name for name in dict.fromkeys(NAMES.findall(text)) if name in blocks]
        self.bound.update(("steps", "at_first"))
        table = [
            tuple([*(blocks[name][k] for name in names), rows, k == 0][: len(names) + 1 + one])
            for k, rows in enumerate(steps)
        ]
        (label,) = self.name_of_steps([table], "blocks")
        bound = ", ".join([*names, "steps", *["at_first"] * one])
        length = max(b - a for a, b in repeat.blocks)
        head = f"for {bound}{',' if len(names) + one == 0 else ''} in {label}:  # {length} steps each"
        guard = ["if at_first:", *indented(first)] if first else []
        return "\n".join(
            [*start, head, *indented([*before, *guard, self.head(repeat, moving, "steps", one), *indented(inner), *after])]
        )

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
        """The lines of the first iteration, if it has its own, and of the others, and what they bind anew each time."""
        body = [call for call in self.calls if call.loop is repeat and call.fn is not advance]
        tail = self.tails[repeat]
        zero = {call.out for call in body if call.fn is carried and call.args[0] is None}
        first: list[str] = []
        if tail or zero:
            self.turn = 0
            for call in body:
                if call.out not in tail:
                    first += self.first_lines(call, zero)
            first = first or ["pass"]
        inner: list[str] = []
        self.moving, self.derivatives = {}, {}
        self.turn = BEFORE
        for call in body:
            if call.out in tail:
                inner += self.lines_of(call)
        self.turn = ALL
        for call in body:
            if call.out not in tail:
                inner += self.lines_of(call)
        used = dict.fromkeys(NAMES.findall("\n".join(inner)))
        return first, inner or ["pass"], {name: self.moving[name] for name in used if name in self.moving}

    @staticmethod
    def rows(moving: dict[str, list[Any]], turns: range) -> list[tuple[Any, ...]]:
        """What the names of a loop stand for in these iterations."""
        rows = [tuple(arrays[n] for arrays in moving.values()) for n in turns]
        if any(array is None for row_ in rows for array in row_):
            raise NotFolded("a step reads what is not there")
        return rows

    def name_of_steps(self, tables: list[Any], stem: str = "steps") -> list[str]:
        names = []
        for table in tables:
            names.append(self.fresh_name(stem))
            self.space[names[-1]] = table
        return names

    def head(self, repeat: Repeat, moving: dict[str, list[Any]], label: str, first: int) -> str:
        where = escaped(str(repeat.scope.parent)) if repeat.scope is not None and repeat.scope.parent is not None else ""
        comment = f"  # {where}{', ' if where else ''}t from {repeat.time(first)} to {repeat.time(repeat.n - 1)}"
        if repeat.blocks:
            comment = f"  # {where}{', ' if where else ''}t {'falls' if repeat.back else 'rises'}"
        names = ", ".join(moving) or "_"
        return f"for {names}{',' * (len(moving) <= 1)} in {label}:{comment}"

    def sum_lines(self, call: Call, after: list[str]) -> list[str]:
        """Add the part of a block to a sum over all steps; returns the line that begins the sum."""
        if is_view(call):
            return []
        self.turn = ALL
        out = self.argument(call.out)
        self.turn = BLOCK
        part = self.name_of_array(np.empty(call.out.shape, call.out.dtype), f"{out}_of_block")
        if call.fn is dot:
            left, right = rows_summed(call)
            like = left if getattr(viewed_by(left).call, "block", None) is self.repeat else right
            turned = self.same_rows(left, like, turned=True)
            after.append(f"{turned}.dot({self.same_rows(right, like)}, {part})")
        else:
            self.space["add_reduce"] = np.add.reduce
            after.append(f"add_reduce({self.argument(call.args[0])}, 0, None, {part})")
        self.space["add"] = np.add
        after.append(f"add({out}, {part}, {out})")
        return [f"{out}.fill(0)"]

    def same_rows(self, v: Var, like: Var, turned: bool = False) -> str:
        """The rows of an array that a block has of another one."""
        if v in self.repeat.times:
            parts, name = self.parts_of(v), self.argument(v)
        else:
            start, each = self.repeat.times[like]
            array = self.array(v)
            parts = [array[(a - start) * each : (b - start) * each] for a, b in self.repeat.blocks]
            name = f"{self.names[v]}_part"
        return self.named(f"{name}_turned" if turned else name, [x.T for x in parts] if turned else parts)

    def fresh_name(self, stem: str) -> str:
        n = self.taken.get(stem, 0)
        while f"{stem}_{n}" in self.space:
            n += 1
        self.taken[stem] = n + 1
        return f"{stem}_{n}"

    def first_lines(self, call: Call, zero: set[Var]) -> list[str]:
        """The lines of a call in the first iteration, where nothing is carried yet."""
        if zero.isdisjoint(call.inputs()) or call.fn is carried:
            return self.lines_of(call)
        others = [a for a in call.args if isinstance(a, Var) and a not in zero]
        filled = call.out in self.collected or call.out in self.memory.twice
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

    def told(self, v: Var, made: np.ndarray) -> str:
        """What a name of the program stands for, where no line of it says so."""
        if v in self.in_place:
            return f"{self.names[self.in_place[v]]}, overwritten"
        if v in self.chains.place:
            number, row = self.chains.place[v]
            return f"chain_{number}[{row}]"
        if v in self.chains.wholes:
            number, row = self.chains.rows[self.chains.wholes[v][0]]
            return f"chain_{number}[{row}:{row + len(self.chains.wholes[v])}]" + shaped(v, self.chains.wholes[v])
        if v in self.placed and v.call is not None:
            whole, row = self.placed[v]
            return (
                f"the place of part {row} in {self.names[whole]}"
                if isinstance(row, int)
                else f"{self.names[whole]}[{index_text(row)}]"
            )
        if v.call is not None and v in self.made and is_view(v.call) and v not in self.copies:
            source = self.names[v.call.args[0]]
            if v.call.fn is operator.getitem:
                return f"{source}[{index_text(v.call.args[1])}]"
            if v.call.fn is transpose and v.call.args[1] == (1, 0):
                return f"{source}.T"
            word = {"viewed": "view"}.get(v.call.fn.__name__, v.call.fn.__name__)
            return f"{source}.{word}({', '.join(map(str, v.call.args[1:]))})"
        if v.source == "constant":
            return f"always {made.tolist()!r}" if made.size <= 8 else f"a constant of shape {made.shape}"
        return ""

    def in_chain(self, v: Var) -> np.ndarray:
        """A row of a chain, or the rows that are a stack."""
        if v in self.chains.place:
            number, row = self.chains.place[v]
            return self.memory.chain(number)[row, ...]
        keys = self.chains.wholes[v]
        number, row = self.chains.rows[keys[0]]
        part = self.memory.chain(number)[row : row + len(keys)]
        for key in keys:
            if isinstance(key, Var) and key.source == "constant":
                part[self.chains.rows[key][1] - row] = key.value
        return part.reshape(v.shape)

    def rows_to_copy(self, v: Var) -> list[tuple[int, Var, np.ndarray]]:
        """The members of a stack that are not made in their place."""
        copies = []
        for i, key in enumerate(self.chains.wholes[v]):
            if not isinstance(key, Var):
                number, row = self.chains.rows[key]
                copies.append((i, key[0], self.memory.chain(number)[row, ...]))
        return copies

    def slot_of(self, whole: Var, i: int) -> np.ndarray:
        """The place of a member in arrays that are laid side by side."""
        members = whole.call.args  # type: ignore[union-attr]
        start = sum(m.size for m in members[:i])
        return self.array(whole)[start : start + members[i].size].reshape(members[i].shape)

    def hint(self, v: Var) -> str:
        fn = v.call.fn  # type: ignore[union-attr]
        if fn is operator.getitem:
            return "part"
        name = getattr(fn, "__name__", "value")
        return {"reduce": "total", "reshape": "shaped", "transpose": "turned", "true_divide": "quotient"}.get(name, name).strip(
            "<>"
        )

    def label(self, v: Var, hint: str) -> None:
        known = identifier(self.recorder.labels.get(v) or "")
        stem = known or identifier(hint) or "value"
        reserved = stem in self.space or hasattr(np, stem) or hasattr(builtins, stem) or keyword.iskeyword(stem)
        if known and not reserved and not OWN.match(stem):
            self.names[v] = stem
            self.space[stem] = None  # taken
            return
        n = self.taken.get(stem, 0)
        while f"{stem}_{n}" in self.space:
            n += 1
        self.taken[stem] = n + 1
        self.names[v] = f"{stem}_{n}"
        self.space[self.names[v]] = None  # taken

    def forget(self) -> None:
        """Let go of what was needed only to write the program."""
        room = self.memory.room
        others = {id(base): base for base in map(base_of, self.arrays.values()) if base is not base_of(room)}
        # How many arrays there are that share no memory at the same time, and the bytes they take together.
        self.size = len(self.memory.offsets) + len(others), room.nbytes + sum(x.nbytes for x in others.values())
        self.arrays = {v: array for v, array in self.arrays.items() if v.call is None}
        codes, used = [self.code], set[str]()
        while codes:
            code = codes.pop()
            used.update(code.co_names)
            codes += [x for x in code.co_consts if isinstance(x, CodeType)]
        for name in [name for name, x in self.space.items() if isinstance(x, np.ndarray) and name not in used]:
            del self.space[name]
        del self.memory, self.chains, self.placed, self.in_place, self.made, self.copies

    # -- code ------------------------------------------------------------------------------------------------

    def written(self) -> list[str]:
        self.made = {call.out for call in self.calls}
        self.copies: set[Var] = {v for v in self.collected if v.call is not None and is_view(v.call)}
        self.derivatives: dict[Any, list[Any]] = {}
        written: set[Any] = set()
        lines: list[str] = []
        asked = dict(self.guards)
        for v in [v for _, v in self.recorder.inputs]:
            if v.dtype is None:
                self.label(v, "number")
                self.space[self.names[v]] = v.value
            else:
                self.array(v)
        for v, outcome in asked.items():
            if v not in self.made:
                lines.append(f"if bool({self.argument(v)}) is not {outcome}: raise OtherWay()")
        used = {v for call in self.calls for v in call.inputs()}.union(self.outputs)
        for call in self.calls:
            repeat = call.loop or (call.block if call.block is not None and call.block.blocks else None)
            if repeat is not None:
                if repeat not in written:
                    written.add(repeat)
                    lines.append(self.loop_lines(repeat))
                continue
            condition = self.comparison(call) if call.out in asked and call.out not in used else ""
            if condition:
                lines.append(f"if ({condition}) is not {asked[call.out]}: raise OtherWay()")
                continue
            for line in self.lines_of(call):
                where = f"  # {escaped(str(call.scope))}" if call.scope else ""
                lines.append(line + where)
            if call.out in asked:
                lines.append(f"if bool({self.argument(call.out)}) is not {asked[call.out]}: raise OtherWay()")
        for v in self.outputs:
            self.argument(v)
        return lines

    def argument(self, x: Any) -> str:
        if isinstance(x, Var):
            if x.dtype is None:
                if x not in self.names:
                    self.label(x, "number")
                    if x.call is None:
                        self.space[self.names[x]] = x.value
            else:
                self.array(x)
                turns = self.turns_of(x)
                if turns is not None:
                    return self.named(self.names[x], turns)
                if self.turn == BLOCK and x in self.repeat.times:
                    return self.named(f"{self.names[x]}_part", self.parts_of(x))
            return self.names[x]
        if isinstance(x, tuple) and not hasattr(x, "_fields"):
            inside = ", ".join(map(self.argument, x))
            return f"({inside},)" if len(x) == 1 else f"({inside})"
        if isinstance(x, list):
            return "[" + ", ".join(map(self.argument, x)) + "]"
        if x is None or type(x) in (bool, int, str) or (type(x) is float and np.isfinite(x)):
            return repr(x)
        return self.name_of(x)

    def comparison(self, call: Call) -> str:
        """Of two integers, in Python, which is quicker than a ufunc."""
        x, y = (*call.args, None, None)[:2]
        whole = isinstance(x, Var) and x.dtype is not None and x.dtype.kind in "iu" and x.shape == () and type(y) is int
        symbol = COMPARISONS.get(call.fn)  # type: ignore[call-overload]
        return f"{self.argument(x)}.item() {symbol} {y}" if whole and symbol else ""

    def quick(self, a: Any, call: Call) -> str:
        """An operand of a ufunc in the form that it takes in the least time: of a number, and of a constant that is the same
        everywhere, an array without axes; of what is broadcast without being repeated a view of the result's shape."""
        v = call.out
        arrays = [x for x in call.inputs() if x.dtype is not None]
        if call.fn in ARITHMETIC and v.dtype is not None and v.dtype.kind == "f" and {x.dtype for x in arrays} == {v.dtype}:
            number = a if type(a) in (int, float) else None
            if a in arrays and a.source == "constant" and a.shape and any(x.shape == v.shape for x in arrays if x is not a):
                same = a.value.tobytes() == a.value.flat[0].tobytes() * a.size if a.size else False
                number = a.value.flat[0].item() if same else None
            if number is not None:
                words = str(number).replace("-", "minus_").replace(".", "_").replace("+", "")
                return self.name_of_array(np.array(number, v.dtype), f"just_{words}_{v.dtype.char}")
        text = self.argument(a)
        if (
            isinstance(a, Var)
            and a.dtype is not None
            and a.shape
            and a.shape != v.shape
            and np.prod(a.shape) == np.prod(v.shape)
        ):
            array = self.array(a)
            if array.flags.c_contiguous:
                shape = (-1, *v.shape[1:]) if self.turn == BLOCK else v.shape
                return self.derived(a, lambda x: x.reshape(shape), f"{text}_wide")
        return text

    def function(self, fn: Any) -> str:
        """The name of a ufunc, NumPy's own where it can be."""
        name: str = fn.__name__
        if name.isidentifier() and getattr(np, name, None) is fn and self.space.setdefault(name, fn) is fn:
            return name
        return self.name_of(fn)

    def name_of(self, x: Any) -> str:
        """A name for what is no array: made of its own name, where that is one."""
        if id(x) not in self.names_of:
            own = getattr(x, "__name__", None)
            stem = identifier(own if isinstance(own, str) else type(x).__name__) or "value"
            name = f"{stem}_"
            while name in self.space:
                name = f"{stem}_{len(self.names_of)}_"
            self.space[name] = x
            self.names_of[id(x)] = name, x
        return self.names_of[id(x)][0]

    def lines_of(self, call: Call) -> list[str]:
        v, fn = call.out, call.fn
        if marker(call):
            return []
        if v.is_tuple:
            self.label(v, "parts")
            self.conditional = True
            return [f"global {self.names[v]}; {self.names[v]} = several({len(v.value)}, {self.call_text(call)})"]
        if v.dtype is None:
            args = [self.argument(a) for a in call.args]
            self.label(v, "number")
            symbol = SYMBOLS.get(fn)
            expression = f"{args[0]} {symbol} {args[1]}" if symbol and len(args) == 2 else self.call_text(call)
            lines = [f"global {self.names[v]}; {self.names[v]} = {expression}"]
            x, y = (*call.args, None, None)[:2]
            settled = (type(x) is float and x > 0) or (type(y) is int and y >= 0)
            if fn is operator.pow and not settled:  # of integers it may be a fraction, of fractions a complex number
                self.conditional = True
                lines.append(f"if type({self.names[v]}) is not {v.kind.__name__}: raise OtherWay()")
            return lines
        self.array(v)
        if is_view(call) and v not in self.copies and v not in self.placed:
            return []
        out = self.argument(v)
        quick = isinstance(fn, np.ufunc) and fn.nout == 1 and not self.exact and not call.options and fn.signature is None
        args = [self.quick(a, call) if quick else self.argument(a) for a in call.args]
        if isinstance(fn, np.ufunc) and fn.nout == 1:
            options = "".join(f", {k}={self.argument(x)}" for k, x in call.options.items())
            place = f"out={out}" if fn in (np.maximum, np.minimum) else out  # of these NumPy wants it by name
            return [f"{self.function(fn)}({', '.join(args)}, {place}{options})"]
        if getattr(fn, "__name__", "") == "reduce":
            rest = {**call.options}
            axis, keepdims, dtype = rest.pop("axis", 0), rest.pop("keepdims", False), rest.pop("dtype", None)
            ufunc = fn.__self__  # type: ignore[attr-defined]
            self.space[f"{ufunc.__name__}_reduce"] = fn
            options = "".join(f", {k}={self.argument(x)}" for k, x in rest.items())
            keep = ", True" if keepdims else ""
            return [f"{ufunc.__name__}_reduce({args[0]}, {self.argument(axis)}, {self.argument(dtype)}, {out}{keep}{options})"]
        if fn is dot and not all(isinstance(a, Var) and a.shape for a in call.args):
            return [f"copyto({out}, np.dot({args[0]}, {args[1]}))"]
        if fn is dot:
            if self.array(v).flags.c_contiguous and v.shape:
                return [f"{args[0]}.dot({args[1]}, {out})"]
            self.space["matmul"] = np.matmul
            return [f"matmul({args[0]}, {args[1]}, {out})"] if v.shape else [f"{out}[...] = {args[0]}.dot({args[1]})"]
        if fn is contiguous:
            return [f"copyto({out}, {args[0]})"]
        if fn is cast or fn in (reshape, transpose, np.broadcast_to, np.expand_dims):
            if self.turn == BLOCK and fn is not cast:
                raise NotFolded("a copy of a part of all steps")
            source = args[0] if fn is cast else self.view_text(call, args)
            return [f"copyto({out}, {source}, casting='unsafe')"]
        if fn is np.where and len(args) == 3 and isinstance(call.args[0], Var) and call.args[0].dtype == bool:
            return [f"copyto({out}, {args[2]})", f"copyto({out}, {args[1]}, where={args[0]})"]
        if v in self.chains.wholes:
            return [
                f"copyto({self.name_of_array(row, f'{out}_{i}')}, {self.argument(m)})" for i, m, row in self.rows_to_copy(v)
            ]
        if fn is flat:
            return [
                f"copyto({self.name_of_array(self.slot_of(v, i), f'{out}_{i}')}, {self.argument(m)})"
                for i, m in enumerate(call.args)
                if self.placed.get(m) != (v, i)
            ]
        if fn is np.concatenate or fn is stack:
            members = call.args[0] if fn is np.concatenate else call.args
            if all(self.placed.get(m, (None,))[0] is v for m in members):
                return []
            if fn is stack:
                return [
                    f"copyto({self.derived(v, lambda x, i=i: x[whole_index(i)], f'{out}_{i}')}, {self.argument(m)})"
                    for i, m in enumerate(members)
                    if self.placed.get(m, (None,))[0] is not v
                ]
            others = "".join(f", {self.argument(a)}" for a in call.args[1:])
            axis = call.options.get("axis", 0)
            return [f"np.concatenate({args[0]}{others or f', axis={axis}'}, out={out})"]
        if fn is scattered.__wrapped__:  # type: ignore[attr-defined]
            return self.scatter_lines(call, out, args)
        if (fn is operator.getitem and not call.args[0].is_tuple) or not (call.pure or call.inputs()):
            return [f"copyto({out}, {self.call_text(call)})"]  # the shape is the same at each run
        self.conditional = True
        return [f"store({out}, {self.call_text(call)})"]

    def call_text(self, call: Call) -> str:
        args = [self.argument(a) for a in call.args]
        args += [f"{k}={self.argument(x)}" for k, x in call.options.items()]
        if call.fn is operator.getitem:
            return f"{args[0]}[{args[1]}]"
        name = getattr(call.fn, "__name__", "")
        module = getattr(call.fn, "__module__", "") or ""
        known = getattr(np.linalg if module.startswith("numpy.linalg") else np, name, None) is call.fn
        known = known and name.isidentifier()
        where = f"np.linalg.{name}" if known and module.startswith("numpy.linalg") else f"np.{name}"
        return f"{where if known else self.name_of(call.fn)}({', '.join(args)})"

    def view_text(self, call: Call, args: list[str]) -> str:
        if call.fn is np.broadcast_to:
            return args[0]
        return f"np.{call.fn.__name__}({args[0]}, {args[1]})"

    def name_of_array(self, array: np.ndarray, name: str) -> str:
        while name in self.bound or not same_array(self.space.get(name, array), array):
            name += "_"
        self.space[name] = array
        return name

    def scatter_lines(self, call: Call, out: str, args: list[str]) -> list[str]:
        """Zeros, and each array added at its index; where the indices are slices that meet nowhere, each copied."""
        indices = call.options["indices"]
        if any(is_advanced(i) for i in values_of(indices)):
            lines = [f"{out}.fill(0)"]
            for a, index in zip(args, indices, strict=True):
                lines.append(f"np.add.at({out}, {self.argument(index)}, {a})")
            return lines
        marks = np.zeros(call.out.shape, np.int8)
        for index in values_of(indices):
            marks[index] += 1
        alone = bool((marks <= 1).all())
        lines = [] if alone and bool((marks == 1).all()) else [f"{out}.fill(0)"]
        for i, (v, a, index) in enumerate(zip(call.args, args, indices, strict=True)):
            if self.placed.get(v, (None,))[0] is call.out:
                continue
            if any(isinstance(j, Var | np.ndarray) for j in index):  # of booleans
                lines.append(f"{out}[{self.argument(index)}] {'=' if alone else '+='} {a}")
                continue
            part = self.derived(call.out, lambda x, index=index: x[whole_index(index)], f"{out}_{i}")
            lines.append(f"copyto({part}, {a})" if alone else f"np.add({part}, {a}, out={part})")
        return lines

    def text(self, lines: list[str]) -> str:
        self.space["OtherWay"] = OtherWay
        lines = [line.replace("\n", "\n    ") for line in lines]  # of a loop
        parts = [lines[i : i + LINES] for i in range(0, len(lines), LINES)] or [[]]
        if len(parts) == 1:
            return "def run():\n" + "".join(f"    {line}\n" for line in parts[0] or ["pass"])
        text = "".join(f"def lines_{i}():\n" + "".join(f"    {line}\n" for line in part) for i, part in enumerate(parts))
        return text + "def run():\n" + "".join(f"    lines_{i}()\n" for i in range(len(parts)))


def last_for_the_next(calls: Calls) -> tuple[Calls, dict[Repeat, set[Var]]]:
    """Of each body last what is made only for the next iteration, for the last one need not make it; and what that is."""
    needed = {call.args[0] for call in calls if call.fn in (collected, history)}
    bodies: dict[Repeat, Calls] = {}
    for call in calls:
        if call.loop is not None:
            bodies.setdefault(call.loop, []).append(call)
    tails: dict[Repeat, set[Var]] = {}
    left: Calls = []
    for call in calls:
        body = bodies.get(call.loop)
        if body is None:
            left.append(call)
        elif call.loop not in tails:
            for each in reversed(body):
                if each.out in needed:
                    needed.update(each.inputs())
            tails[call.loop] = {c.out for c in body if c.out not in needed and not marker(c) and not is_view(c)}
            left += sorted(body, key=lambda c: 2 if c.fn is advance else 0 if c.out in needed or marker(c) else 1)
    return left, tails


def indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line.replace("\n", "\n    ") for line in lines]


def values_of(indices: Any) -> Any:
    return replaced(indices, lambda v: v.value)


def index_text(index: Any) -> str:
    """An index as one writes it."""
    parts = index if isinstance(index, tuple) else (index,)

    def part(i: Any) -> str:
        if isinstance(i, slice):
            step = "" if i.step is None else f":{i.step}"
            return f"{'' if i.start is None else i.start}:{'' if i.stop is None else i.stop}{step}"
        return "..." if i is Ellipsis else str(i)

    return ", ".join(map(part, parts)) or "()"


def shaped(v: Var, keys: tuple[Any, ...]) -> str:
    """How the rows of a chain become a stack, or are put one below the other."""
    first = keys[0] if isinstance(keys[0], Var) else keys[0][0]
    return "" if v.shape == (len(keys), *first.shape) else f".reshape{v.shape}"


def whole_index(index: Any) -> tuple[Any, ...]:
    """The same index, but of one element an array without axes, not a number."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(i is Ellipsis for i in parts) else (*parts, Ellipsis)


def same_array(x: Any, y: np.ndarray) -> bool:
    """Whether they are one place in memory, or one number."""
    if x is y:
        return True
    if not isinstance(x, np.ndarray) or (x.shape, x.dtype, x.strides) != (y.shape, y.dtype, y.strides):
        return False
    return x.ctypes.data == y.ctypes.data or (x.shape == () and x.base is y.base is None and x.tobytes() == y.tobytes())


def base_of(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class OtherWay(Exception):
    """A condition came out otherwise than when the program was recorded."""


def store(place: np.ndarray, result: Any) -> None:
    """Write a result into its place, unless it has another shape or dtype than when the program was recorded."""
    array = np.asarray(result)
    if array.shape != place.shape or array.dtype != place.dtype:
        raise OtherWay
    np.copyto(place, array)


def several(n: int, results: Any) -> Any:
    """Results that are as many as when the program was recorded."""
    if len(results) != n:
        raise OtherWay
    return results


def identifier(text: str) -> str:
    """A name in ASCII as near to a text as there is one, or an empty text."""
    near = unicodedata.normalize("NFKD", text)
    name = re.sub(r"\W", "_", "".join(c for c in near if c.isascii() or not unicodedata.combining(c)), flags=re.ASCII)
    return name.strip("_") if name.strip("_").isidentifier() else ""


def escaped(text: str) -> str:
    """A text for a comment, which ends with its line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


ARITHMETIC = {np.add, np.subtract, np.multiply, np.divide}
COMPARISONS = {
    np.less: "<", np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=", np.equal: "==", np.not_equal: "!=",
}  # fmt: skip
SYMBOLS = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.pow: "**", operator.mod: "%",
    operator.floordiv: "//", operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
}  # fmt: skip
