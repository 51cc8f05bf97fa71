"""The program: every value gets its place in memory once, and the calls become lines of NumPy code that write there."""

from __future__ import annotations

import builtins
import keyword
import linecache
import operator
import re
import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from itertools import count
from types import CodeType
from typing import Any

import numpy as np

from ..ops.shape import is_advanced, scattered
from .folding import NotFolded, carried, collected, history, marker, row, states_of
from .loop_code import BLOCK, NAMES, LoopCode, escaped, index_text, last_for_the_next, same_array, whole_index
from .memory import Memory, collections_of, parts_of, placements
from .naming import identifier, is_update, names_of, plural
from .passes import Calls, base_of, flat, is_view, members_of
from .recorder import Recorder
from .rewrites import times_written
from .trace import Call, Var, cast, contiguous, dot, replaced, reshape, stack, transpose

__all__ = ["Program"]

# Names that programs use for other things.
OWN = re.compile(r"(run|lines_\d+|OtherWay|copyto|store|several|matmul|just_.*|.*_reduce_*|_.*|.*_)$")
RESERVED = {*dir(np), *dir(builtins), *keyword.kwlist}
PARTS = {"getitem": "part", "broadcast_to": "wide", "expand_dims": "part", "transpose": "T"}  # words for views
BETWEEN = {  # by the loops before and after a part of the program: what it does
    ("", "forward"): "before the loops", ("forward", "backward"): "outputs, loss, and what the way back needs",
    ("backward", ""): "gradients of the weights", ("forward", ""): "after the loops",
}  # fmt: skip
WIDTH = 126  # of a comment
RULES = {"_T": "x_T is x transposed", "_2d": "x_2d is x in another shape", "_t": "x_t is row t of x"}
LINES = 2000  # in one function of the source: Python compiles long ones slowly
numbers = count()
gone: deque[str] = deque()  # sources of programs that are no more; not forgotten at once, for somebody may be walking over them


class Program(LoopCode):
    """Straight-line NumPy code that writes into arrays made beforehand. ``run()`` computes."""

    def __init__(
        self, calls: Calls, outputs: Sequence[Var], recorder: Recorder, in_place: dict[Var, Var],
        gradients: Sequence[tuple[Var, str]],
        exact: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.calls, self.tails = last_for_the_next(calls)
        calls = self.calls
        self.outputs = list(outputs)
        self.recorder = recorder
        self.arrays: dict[Var, np.ndarray] = {}
        self.names: dict[Var, str] = {}
        self.space: dict[str, Any] = {"np": np, "copyto": np.copyto, "store": store, "several": several}
        self.names_of: dict[int, tuple[str, Any]] = {}  # of other objects, by id
        self.taken: dict[str, int] = {}
        self.family: dict[str, list[str]] = {}  # names that are alike but for their numbers
        self.legend: dict[str, str] = {}
        self.guards = [(v, outcome) for v, outcome in recorder.guards]
        self.conditional = bool(self.guards)  # a run may end with OtherWay
        self.early: Calls = []  # all that may have run by then
        self.only_numpy = True  # it calls no other functions
        self.exact = exact
        own = dict(reversed(gradients))  # of two that are equal the first gives its name
        self.stems, self.backward = (dict(recorder.labels), set()) if exact else names_of(calls, recorder.labels, own)
        self.also = [(f"d{name}", f"d{own[v]}") for v, name in gradients if name != own[v]]
        self.placed = {} if exact else placements(calls)
        self.collected = collections_of(calls)
        self.next = states_of(calls)
        self.in_place = self.harmless(in_place)
        kept = {*outputs, *(v for v, _ in recorder.guards)}
        self.memory = Memory(calls, kept, self.placed, self.in_place, exact, self.tails)
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
        """Select the new values whose old ones nobody needs when the new are written in their place."""
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
            and new not in self.placed
        }  # fmt: skip

    def arenas(self, in_place: dict[Var, Var]) -> dict[tuple[Var, Var], list[Var]]:
        """Find the pairs of arrays of which one has all new values as parts and the other the old ones, in the same places."""
        found: dict[tuple[Var, Var], list[Var]] = {}
        for new, old in in_place.items():
            part = new.call.args[0].call if new.call is not None and new.call.fn is reshape else None
            if old not in self.placed or part is None or part.fn is not operator.getitem:
                continue
            arena, index = self.placed[old]
            if arena.call is not None and arena.call.fn is flat and part.args[1] == index:
                found.setdefault((part.args[0], arena), []).append(old)
        return {pair: olds for pair, olds in found.items() if len(olds) == len(pair[1].call.args)}  # type: ignore[union-attr]

    # -- memory ----------------------------------------------------------------------------------------------

    def array(self, v: Var) -> np.ndarray:
        """The array that holds v while the program runs."""
        turns = self.turns_of(v)
        if turns is not None:
            return self.in_turn(v, turns)
        if self.turn == BLOCK and v in self.repeat.times:
            return self.parts_of(v)[0]  # type: ignore[no-any-return]
        found = self.arrays.get(v)
        if found is not None:
            return found
        if v in self.in_place:
            made = self.array(self.in_place[v])
            self.names[v] = self.names[self.in_place[v]]
        else:
            made = self.place(v)
            self.label(v, self.hint(v), made)
        self.arrays[v] = made
        self.space[self.names[v]] = made
        self.legend[self.names[v]] = self.told(v, made)
        return made

    def place(self, v: Var) -> np.ndarray:
        """A new array for v, or the part of another one's memory that it has."""
        if v in self.placed:
            whole, where = self.placed[v]
            part: np.ndarray = self.array(whole)[whole_index(where)]
            return part if v in self.memory.scratch else part.reshape(v.shape)
        if v.call is None or v not in self.made:
            return v.value if v.source == "constant" else np.array(v.value)
        return self.view(v, v.call) if is_view(v.call) else self.memory.array(v)

    def view(self, v: Var, call: Call) -> np.ndarray:
        """The array that is a view of another one, or has its elements where there is no such view."""
        fn, (source, *rest) = call.fn, call.args
        base = self.array(source)
        if base_of(v) in self.memory.scratch and fn is reshape:
            rest = [(-1, *v.shape[1:])]
        made: np.ndarray = base[whole_index(rest[0])] if fn is operator.getitem else fn(base, *rest)
        if made.size and not np.shares_memory(made, base):
            self.copies.add(v)
            return np.empty(v.shape, v.dtype)
        return made

    def told(self, v: Var, made: np.ndarray) -> str:
        """Return what a name of the program stands for, if no line says so."""
        if v in self.in_place:
            return self.legend.get(self.names[v], "")
        if v in self.placed and v.call is not None:
            whole, index = self.placed[v]
            if whole.call is not None and whole.call.fn is flat:
                return ""
            shape = "" if self.array(whole)[index].shape == made.shape else f".reshape{v.shape}"
            return f"{self.names[whole]}[{index_text(index)}]{shape}"
        if v.call is not None and v in self.made and is_view(v.call) and v not in self.copies:
            source = self.names[v.call.args[0]]
            if v.call.fn is operator.getitem:
                return f"{source}[{index_text(v.call.args[1])}]"
            if v.call.fn is transpose and v.call.args[1] == (1, 0):
                return f"{source}.T"
            word = {"viewed": "view"}.get(v.call.fn.__name__, v.call.fn.__name__)
            return f"{source}.{word}({', '.join(map(str, v.call.args[1:]))})"
        if v.source == "constant":
            return f"{made.tolist()!r}" if made.size <= 8 else f"a constant of shape {made.shape}"
        return ""

    def heading(self) -> str:
        """List in comments the names of the source that are parts of other arrays, or constants."""
        used = dict.fromkeys(NAMES.findall(self.source))
        meant = {name: self.meaning(self.legend[name], used) for name in used if self.legend.get(name)}
        plain = [re.sub("[0-9]d$", "2d", name) for name, text in meant.items() if explains_itself(name, text)]
        rules = [rule for end, rule in RULES.items() if any(name.endswith(end) for name in plain)]
        if self.bound:
            rules.append("names in the head of a loop are others at each step")
        told = [f"{name} = {text}" for name, text in meant.items() if not explains_itself(name, text)]
        told += [f"{other} = {name}" for other, name in self.also if name in used]
        for call in self.calls:
            if call.fn is flat and self.names[call.out] in used:
                members = [self.names[v] for v in call.args if v in self.names]
                told.append(f"{self.names[call.out]}: {', '.join(members)}, side by side")
        lines = [*(["; ".join(rules)] if rules else []), *filled(told)]
        return "".join(f"# {line}\n" for line in lines)

    def meaning(self, text: str, used: Collection[str]) -> str:
        """Write a part of an array in names of the source."""
        name = NAMES.match(text)
        while name is not None and name[0] not in used and self.legend.get(name[0]) and text[name.end() :][:1] in ".[":
            text = self.legend[name[0]] + text[name.end() :]
            name = NAMES.match(text)
        return re.sub(r"(\.reshape\([^)]*\)+)+(\.reshape\()", r"\2", text)  # the last one counts

    def hint(self, v: Var) -> str:
        """A name for a value that has none of its own: that of a view is made of the array's, another is its function's."""
        call: Any = v.call
        if call is None or v not in self.made:
            return v.source or "input"
        if call.fn in (collected, history):
            name = self.stem(call.args[0])
            return plural(name) if call.fn is collected else f"all_{name}"
        if call.fn is carried:
            name, repeat = self.stem(self.next[v]), call.loop
            return name if self.next[v] in self.tails[repeat] else f"{name}_{'next' if repeat.back else 'prev'}"
        if call.fn is row:
            whole = call.args[0].call
            over_time = whole is not None and whole.fn in (collected, history)
            return f"{self.stem(whole.args[0]) if over_time else unshaped(self.names[call.args[0]])}_t"
        name = getattr(call.fn, "__name__", "value")
        if is_view(call) and call.args[0] in self.names:
            base = self.names[call.args[0]]
            return f"{unshaped(base)}_{len(v.shape)}d" if call.fn is reshape else f"{base}_{PARTS.get(name, name)}"
        return {"reduce": "total", "true_divide": "quotient"}.get(name, name).strip("<>")

    def stem(self, v: Var) -> str:
        return self.stems.get(v) or self.hint(v)

    def label(self, v: Var, hint: str, made: Any = None, alone: bool = False) -> None:
        """Give a value a name: its own, if it has one and it is free, or `hint` with a number. A hint that stands `alone`
        needs no number. Values that are in one array, one after the other, may have one name."""
        of_view = v.call is not None and (is_view(v.call) or marker(v.call))
        known = identifier(self.stems.get(v) or (hint if alone or of_view else ""))
        stem = known or identifier(hint) or "value"
        if known and made is not None and (same := [name for name in self.family.get(stem, ()) if self.space[name] is made]):
            self.names[v] = same[0]
            return
        self.names[v] = stem if known and self.is_free(stem) else self.numbered(stem, 2 if known and stem in self.space else 0)
        self.space[self.names[v]] = None  # taken
        self.family.setdefault(stem, []).append(self.names[v])

    def is_free(self, name: str) -> bool:
        """True if a name is nobody else's: not the program's own, nor NumPy's or Python's."""
        return name not in self.space and name not in RESERVED and not OWN.match(name)

    def numbered(self, stem: str, first: int = 0) -> str:
        """The first name that is free with a number behind it."""
        n = self.taken.get(stem, first)
        while f"{stem}_{n}" in self.space:
            n += 1
        self.taken[stem] = n + 1
        return f"{stem}_{n}"

    def forget(self) -> None:
        """Let go of what was needed only to write the program."""
        room = self.memory.room
        others = {id(base): base for base in map(owner_of, self.arrays.values()) if base is not owner_of(room)}
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
        del self.memory, self.placed, self.in_place, self.made, self.copies, self.stems, self.backward, self.handed

    # -- code ------------------------------------------------------------------------------------------------

    def written(self) -> list[str]:
        self.made = {call.out for call in self.calls}
        self.copies: set[Var] = {v for v in self.collected if v.call is not None and is_view(v.call)}
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
        parts = self.titles()
        title = ""
        for call in self.calls:
            if parts.get(call.out, title) != title and (new := self.call_lines(call, asked, used, written)):
                title = parts[call.out]
                lines += ["", f"# {title}"] if lines else [f"# {title}"]
            else:
                new = self.call_lines(call, asked, used, written)
            lines += new
        for v in self.outputs:
            self.argument(v)
        return lines

    def call_lines(self, call: Call, asked: dict[Var, bool], used: AbstractSet[Var], written: set[Any]) -> list[str]:
        """The lines of a call, or of a loop at its first one, with the guard of a condition."""
        repeat = call.loop or (call.block if call.block is not None and call.block.blocks else None)
        if repeat is not None:
            if repeat in written:
                return []
            written.add(repeat)
            return [self.loop_lines(repeat)]
        if call.out not in asked:
            return self.lines_of(call)
        self.may_end(call)
        condition = self.comparison(call) if call.out not in used else ""
        if condition:
            return [f"if ({condition}) is not {asked[call.out]}: raise OtherWay()"]
        return [*self.lines_of(call), f"if bool({self.argument(call.out)}) is not {asked[call.out]}: raise OtherWay()"]

    def titles(self) -> dict[Var, str]:
        """By call, what a part of the program does: the loops, what comes before, between and after them, and updates."""
        loops = dict.fromkeys(call.loop for call in self.calls if call.loop is not None)
        ways = {call.loop: "backward" for call in self.calls if call.loop is not None and call.out in self.backward}
        ahead = [ways.get(loop, "forward") for loop in loops]  # the ways of the loops that are still to come
        found: dict[Var, str] = {}
        before, seen = "", set[Any]()
        for call in self.calls:
            if call.loop is not None:
                if call.loop not in seen:
                    seen.add(call.loop)
                    before = ahead.pop(0)
                found[call.out] = f"{before}: {self.loop_title(call.loop)}"
            elif is_update(call):
                found[call.out] = "update"
            elif loops:
                found[call.out] = BETWEEN.get((before, ahead[0] if ahead else ""), "between the loops")
            elif call.scope:
                found[call.out] = escaped(str(call.scope))
        return found

    def may_end(self, call: Call) -> None:
        """Note that a run may end with OtherWay at this call."""
        self.conditional = True
        alone = call.loop is None and call.block is None
        self.early = self.calls[: self.calls.index(call) + 1] if alone else self.calls

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
                    return self.named(self.names[x], turns, x in self.handed)
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
        """Compare two integers in Python, which is quicker than a ufunc."""
        x, y = (*call.args, None, None)[:2]
        whole = isinstance(x, Var) and x.dtype is not None and x.dtype.kind in "iu" and x.shape == () and type(y) is int
        symbol = COMPARISONS.get(call.fn)  # type: ignore[call-overload]
        return f"{self.argument(x)}.item() {symbol} {y}" if whole and symbol else ""

    def quick(self, a: Any, call: Call) -> str:
        """An operand of a ufunc in the form that it takes in the least time: of a number, and of a constant that is the same
        everywhere, an array without axes; of what is broadcast without being repeated a view of the result's shape."""
        v = call.out
        number = self.number(a, call)
        if number is not None:
            words = str(number).replace("-", "minus_").replace(".", "_").replace("+", "")
            return self.name_of_array(np.array(number, v.dtype), f"just_{words}_{v.dtype.char}")
        text = self.argument(a)
        if not isinstance(a, Var) or a.dtype is None or a.shape in ((), v.shape) or a.size != v.size:
            return text
        if not self.array(a).flags.c_contiguous:
            return text
        shape = (-1, *v.shape[1:]) if self.turn == BLOCK else v.shape
        return self.derived(a, lambda x: x.reshape(shape), f"{text}_wide")

    @staticmethod
    def number(a: Any, call: Call) -> Any:
        """The number that an operand of sums and products of one dtype is everywhere, if it is the same there."""
        v, arrays = call.out, [x for x in call.inputs() if x.dtype is not None]
        if call.fn not in ARITHMETIC or v.dtype is None or v.dtype.kind != "f" or {x.dtype for x in arrays} != {v.dtype}:
            return None
        if type(a) in (int, float):
            return a
        if a not in arrays or a.source != "constant" or not a.shape or not a.size:
            return None
        if all(x.shape != v.shape for x in arrays if x is not a):
            return None
        first = a.value.flat[0]
        return first.item() if a.value.tobytes() == first.tobytes() * a.size else None

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
        """The lines that compute what a call makes; none of a view, which is made before the program runs."""
        v, fn = call.out, call.fn
        if marker(call):
            return []
        if v.is_tuple:
            self.label(v, "parts")
            self.may_end(call)
            return [f"global {self.names[v]}; {self.names[v]} = several({len(v.value)}, {self.call_text(call)})"]
        if v.dtype is None:
            return self.number_lines(call)
        self.array(v)
        if is_view(call) and v not in self.copies and v not in self.placed:
            return []
        out = self.argument(v)
        if isinstance(fn, np.ufunc) and fn.nout == 1:
            return [self.ufunc_line(call, out)]
        if getattr(fn, "__name__", "") == "reduce":
            return [self.reduce_line(call, out)]
        return WRITTEN.get(fn, Program.other_lines)(self, call, out)

    def other_lines(self, call: Call, out: str) -> list[str]:
        """Return the line of a function that the passes have no rules for, or of a copy of a part of an array."""
        part = call.fn is operator.getitem and not call.args[0].is_tuple
        if part or not (call.pure or call.inputs()):
            return [f"copyto({out}, {self.call_text(call)})"]  # the shape is the same at each run
        self.may_end(call)
        return [f"store({out}, {self.call_text(call)})"]

    def where_lines(self, call: Call, out: str) -> list[str]:
        args = [self.argument(a) for a in call.args]
        if len(args) != 3 or not isinstance(call.args[0], Var) or call.args[0].dtype != bool:
            return self.other_lines(call, out)
        return [f"copyto({out}, {args[2]})", f"copyto({out}, {args[1]}, where={args[0]})"]

    def number_lines(self, call: Call) -> list[str]:
        """The lines that compute a number of Python, which has no array."""
        v, fn = call.out, call.fn
        args = [self.argument(a) for a in call.args]
        self.label(v, "number")
        symbol = SYMBOLS.get(fn)
        expression = f"{args[0]} {symbol} {args[1]}" if symbol and len(args) == 2 else self.call_text(call)
        lines = [f"global {self.names[v]}; {self.names[v]} = {expression}"]
        x, y = (*call.args, None, None)[:2]
        settled = (type(x) is float and x > 0) or (type(y) is int and y >= 0)
        if fn is operator.pow and not settled:  # of integers it may be a fraction, of fractions a complex number
            self.may_end(call)
            lines.append(f"if type({self.names[v]}) is not {v.kind.__name__}: raise OtherWay()")
        return lines

    def ufunc_line(self, call: Call, out: str) -> str:
        fn: Any = call.fn
        quick = not self.exact and not call.options and fn.signature is None
        args = [self.quick(a, call) if quick else self.argument(a) for a in call.args]
        place = f"out={out}" if fn in (np.maximum, np.minimum) else out  # of these NumPy wants it by name
        return f"{self.function(fn)}({', '.join(args)}, {place}{self.options_text(call.options)})"

    def options_text(self, options: dict[str, Any]) -> str:
        return "".join(f", {key}={self.argument(x)}" for key, x in options.items())

    def reduce_line(self, call: Call, out: str) -> str:
        rest = {**call.options}
        axis, keepdims, dtype = rest.pop("axis", 0), rest.pop("keepdims", False), rest.pop("dtype", None)
        name = f"{call.fn.__self__.__name__}_reduce"  # type: ignore[attr-defined]
        self.space[name] = call.fn
        args = ", ".join([*map(self.argument, (call.args[0], axis, dtype)), out])
        return f"{name}({args}{', True' if keepdims else ''}{self.options_text(rest)})"

    def dot_lines(self, call: Call, out: str) -> list[str]:
        left, right = map(self.argument, call.args)
        array = self.array(call.out)
        if not all(isinstance(a, Var) and a.shape for a in call.args):
            return [f"copyto({out}, np.dot({left}, {right}))"]
        if not call.out.shape:
            return [f"{out}[...] = {left}.dot({right})"]
        if array.flags.c_contiguous:
            return [f"{left}.dot({right}, {out})"]
        self.space["matmul"] = np.matmul
        return [f"matmul({left}, {right}, {out})"]

    def copy_lines(self, call: Call, out: str) -> list[str]:
        """The line of a value in another dtype or layout."""
        return [f"copyto({out}, {self.argument(call.args[0])}{', casting=' + repr('unsafe') if call.fn is cast else ''})"]

    def view_lines(self, call: Call, out: str) -> list[str]:
        """The line of a view that has an array of its own."""
        args = [self.argument(a) for a in call.args]
        if self.turn == BLOCK:
            raise NotFolded("a copy of a part of all steps")
        text = args[0] if call.fn is np.broadcast_to else f"np.{call.fn.__name__}({args[0]}, {args[1]})"
        return [f"copyto({out}, {text}, casting='unsafe')"]

    def joined_lines(self, call: Call, out: str) -> list[str]:
        """The lines that put arrays side by side: of each that is not made in its place, a copy."""
        v = call.out
        if v in self.placed and members_of(call):
            return []
        missing = [(i, m, at) for i, (m, at) in enumerate(parts_of(call)) if self.placed.get(m, (None,))[0] is not v]
        if missing and call.fn is np.concatenate:
            args = [self.argument(a) for a in call.args]
            others = "".join(f", {a}" for a in args[1:]) or f", axis={call.options.get('axis', 0)}"
            return [f"np.concatenate({args[0]}{others}, out={out})"]
        args = [f"{self.argument(m)}.reshape(-1)" if call.fn is flat else self.argument(m) for _, m, _ in missing]
        places = [self.derived(v, part_at(at), f"{out}_{i}") for i, _, at in missing]
        return [f"copyto({place}, {a})" for place, a in zip(places, args, strict=True)]

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
        self.only_numpy = self.only_numpy and known
        return f"{where if known else self.name_of(call.fn)}({', '.join(args)})"

    def name_of_array(self, array: np.ndarray, name: str) -> str:
        while name in self.bound or not same_array(self.space.get(name, array), array):
            name += "_"
        self.space[name] = array
        return name

    def scatter_lines(self, call: Call, out: str) -> list[str]:
        """Zeros, and each array added at its index; where the indices are slices that meet nowhere, each copied."""
        indices, args = call.options["indices"], [self.argument(a) for a in call.args]
        if any(is_advanced(i) for i in values_of(indices)):
            lines = [f"{out}.fill(0)"]
            for a, index in zip(args, indices, strict=True):
                lines.append(f"np.add.at({out}, {self.argument(index)}, {a})")
            return lines
        marks = times_written(call.out.shape, values_of(indices))
        alone = bool((marks <= 1).all())
        lines = [] if alone and bool((marks == 1).all()) else [f"{out}.fill(0)"]
        for i, (v, a, index) in enumerate(zip(call.args, args, indices, strict=True)):
            if self.placed.get(v, (None,))[0] is call.out:
                continue
            if any(isinstance(j, Var | np.ndarray) for j in index):  # of booleans
                lines.append(f"{out}[{self.argument(index)}] {'=' if alone else '+='} {a}")
                continue
            part = self.derived(call.out, part_at(index), f"{out}_{i}")
            lines.append(f"copyto({part}, {a})" if alone else f"np.add({part}, {a}, out={part})")
        return lines

    def text(self, lines: list[str]) -> str:
        self.space["OtherWay"] = OtherWay
        lines = [line.replace("\n", "\n    ") for line in lines]  # of a loop
        parts = [lines[i : i + LINES] for i in range(0, len(lines), LINES)] or [[]]
        if len(parts) == 1:
            return "def run():\n" + "".join(map(indented_line, parts[0] or ["pass"]))
        text = "".join(f"def lines_{i}():\n" + "".join(map(indented_line, part)) for i, part in enumerate(parts))
        return text + "def run():\n" + "".join(f"    lines_{i}()\n" for i in range(len(parts)))


def unshaped(name: str) -> str:
    """The name of an array without what says that it is in another shape."""
    return re.sub("_[0-9]d$", "", name)


def indented_line(line: str) -> str:
    return f"    {line}\n" if line else "\n"


def values_of(indices: Any) -> Any:
    return replaced(indices, lambda v: v.value)


def part_at(index: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: array[whole_index(index)]


def filled(texts: list[str]) -> list[str]:
    """Lines of texts, as many in each as there is room for."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + len(text) < WIDTH:
            lines[-1] += f"; {text}"
        else:
            lines.append(text)
    return lines


def explains_itself(name: str, text: str) -> bool:
    """True for the names of transposes, of arrays in another shape, and of rows."""
    base = NAMES.match(text)
    if base is None or not name.startswith(base[0]):
        return False
    how = text[base.end() :]
    return (name.endswith("_T") and how == ".T") or (name.endswith("_t") and how == "[t]") or how.startswith(".reshape(")


def owner_of(array: np.ndarray) -> np.ndarray:
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


WRITTEN: dict[Any, Callable[[Program, Call, str], list[str]]] = {  # the lines of a call, by its function
    dot: Program.dot_lines,
    np.where: Program.where_lines,
    scattered.__wrapped__: Program.scatter_lines,  # type: ignore[attr-defined]
    **dict.fromkeys((flat, stack, np.concatenate), Program.joined_lines),
    **dict.fromkeys((contiguous, cast), Program.copy_lines),
    **dict.fromkeys((reshape, transpose, np.broadcast_to, np.expand_dims), Program.view_lines),
}
ARITHMETIC = {np.add, np.subtract, np.multiply, np.divide}
COMPARISONS = {
    np.less: "<", np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=", np.equal: "==", np.not_equal: "!=",
}  # fmt: skip
SYMBOLS = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.pow: "**", operator.mod: "%",
    operator.floordiv: "//", operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
}  # fmt: skip
