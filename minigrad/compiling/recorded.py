"""A recording of a function, ready to run: its program, and what comes in from outside and goes out at each run."""

from __future__ import annotations

import contextlib
import gc
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..graph import CURRENT
from ..tensor import Tensor
from ..trees import tree_leaves, tree_map
from .algebra import RULES, reordered
from .batching import batched_over_time, recurrences
from .blocks import blocked
from .calling import CallCode, Out
from .clocks import unrepeatable_refused
from .distribution import distributed, recurrences_of
from .folding import NotFolded, adopted, folded, in_units, marker
from .naming import identifier
from .outside import Outside
from .passes import Calls, constants_folded, dead_code_removed, duplicates_removed, latest, rows_restacked, updates_together
from .program import Program
from .recorder import Recorder
from .rewrites import (
    neighbours_merged,
    products_by_parts,
    sums_of_products,
    weights_turned,
    zeros_left_out,
)  # fmt: skip
from .standins import Array, Draws, Number, Standin
from .trace import CompileError, Var

__all__ = ["CHANGING", "Recorded"]

CHANGING = (float, int, np.ndarray, np.generic, Tensor, np.random.Generator)  # arguments that may be others at each run


Show = Callable[[str, Calls, Recorder], None]  # gets the calls after each pass, and its name


def nothing() -> None:
    """The source of an argument, which is the call itself."""


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A recording makes many objects, and they stay: looking through them again and again takes a third of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Snapshot:
    """The calls as they were, for passes change them."""

    def __init__(self, calls: Calls, recorder: Recorder, keep: dict[Var, Var]) -> None:
        self.recorder, self.keep = recorder, keep
        self.calls = [(call, call.fn, call.args, call.options, call.out, call.out.source) for call in calls]
        self.kept, self.guards, self.labels = dict(keep), list(recorder.guards), dict(recorder.labels)

    def restore(self) -> None:
        for call, fn, args, options, out, source in self.calls:
            call.fn, call.args, call.options, call.out, call.loop = fn, args, options, out, None
            out.call, out.source = call, source
        self.keep.clear()
        self.keep.update(self.kept)
        self.recorder.guards, self.recorder.labels = self.guards, self.labels


class Recorded:
    """One recording of a function: its program, and what comes in from outside and goes out."""

    @no_garbage_collection()
    def __init__(
        self, f: Callable[..., Any], args: Any, options: Any, is_static: Any, batch: bool, show: Show | None = None,
        loops: bool = True,
    ) -> None:  # fmt: skip
        self.recorder = recorder = Recorder()
        self.show, self.is_static = show, is_static
        self.now: list[Any] = []
        self.argument_of: dict[Var, int] = {}
        self.draws: dict[int, Draws] = {}  # by argument
        given = [x if is_static(i, x) else tree_map(self.stand_in, x) for i, x in enumerate(args)]
        named = {key: x if is_static(key, x) else tree_map(self.stand_in, x) for key, x in sorted(options.items())}
        self.name_arguments(f, (*given, *named.values()), [*named])
        fixed = [x for place, x in (*enumerate(args), *options.items()) if is_static(place, x)]
        fixed += [x for tree in (*args, *options.values()) if isinstance(tree, list | tuple | dict) for x in tree_leaves(tree)]
        self.outside = Outside(f, (x for x in fixed if not isinstance(x, CHANGING)))
        self.record(f, given, named)
        recorder.name_values()
        del given, named
        recorder.close()
        self.outside.include(weak() for weak, _, _ in recorder.cells.values())
        self.passes: list[tuple[str, int]] = []
        self.keep: dict[Var, Var] = {}
        self.not_folded = ""  # why there are no loops in the program, if it was tried
        self.compile(batch, loops)
        if show is not None:  # that was all
            recorder.forget([])
            return
        self.flat = not options and all(isinstance(x, np.ndarray | Tensor) for x in args) and len(args) == len(self.now)
        self.expected = self.results()  # until the first run is compared with them
        code = CallCode(self)
        self.call, self.fits = code.function(), code.fitting()
        self.forget()

    def stand_in(self, x: Any) -> Any:
        """Return what the function is given in the place of an argument that may be another one at each run."""
        if isinstance(x, bool) or not isinstance(x, CHANGING):
            return x
        n = len(self.now)
        self.now.append(x)
        if isinstance(x, np.random.Generator):
            self.draws[n] = Draws(self.recorder, x)
            return self.draws[n]
        if isinstance(x, Tensor) and x.requires_grad:
            raise CompileError(
                "a Tensor that requires grad is given to a compiled function; close over it, as over a model's "
                "parameters, or give its values, t.data, and use value_and_grad inside"
            )
        standin = self.recorder.input(x._data if isinstance(x, Tensor) else x, nothing)
        self.argument_of[standin.stands_for] = n
        if not isinstance(x, Tensor):
            return standin
        made = Tensor(standin)
        made.name = x.name
        return made

    def record(self, f: Callable[..., Any], given: list[Any], named: dict[str, Any]) -> None:
        """Run the function once, and put back what it has changed outside."""
        mark = CURRENT.get()
        CURRENT.set((*mark[:2], self.recorder))
        try:
            for owner in reversed(self.outside.stateful):  # they were found from the last to the first
                self.recorder.read_state(owner)
            with unrepeatable_refused(self.outside):
                self.result = tree_map(self.as_var, f(*given, **named))
        finally:
            CURRENT.set(mark)
            self.effects = [(kind, owner, tree_map(self.as_var, new)) for kind, owner, new in self.recorder.restored()]
            drew = self.outside.drew()
            changed = self.outside.undo() or self.recorder.replaced
        if drew:
            raise CompileError(
                f"the function draws from {drew}, and a program would have the same numbers at each run: "
                "make the generator an argument, f(x, rng), and draw with rng.normal(...)"
            )
        if changed:
            raise CompileError(
                f"the function gives {changed} another value, and a program does not do so again at its next run: return the "
                "new value, and pass it in as an argument at the next call"
            )

    def compile(self, batch: bool, loops: bool) -> None:
        """Make the program of what was recorded: with loops, or without where that cannot be done."""
        self.passed("recorded", self.recorder.calls)
        outs = [x.var for x in self.outs()]
        before = Snapshot(self.recorder.calls, self.recorder, self.keep)
        try:
            self.build(outs, batch, loops=batch and loops)
        except NotFolded as reason:
            self.not_folded = str(reason)
            before.restore()
            del self.passes[1:]
            self.build(outs, batch, loops=False)

    def outs(self) -> list[Out]:
        """List all values that go out: results, and what is written outside."""
        trees = (self.result, *(new for _, _, new in self.effects))
        return [x for tree in trees for x in tree_leaves(tree) if isinstance(x, Out)]

    def forget(self) -> None:
        """Let go of what only the recording needed."""
        self.program.forget()
        self.now = []
        dtypes = {v.dtype for v in self.recorder.vars if v.dtype is not None and v.dtype.kind in "fc"}
        self.epsilon = max((float(np.finfo(dtype).eps) for dtype in dtypes), default=0.0)  # of the coarsest values
        self.keep = {x.var: self.kept(x.var) for x in self.outs() if x.var in self.keep}
        self.recorder.forget(self.program.calls)

    def name_arguments(self, f: Callable[..., Any], given: tuple[Any, ...], keywords: list[str]) -> None:
        """Name the values of arguments as the function does."""
        try:
            own = [p.name for p in inspect.signature(f).parameters.values() if p.kind is not p.VAR_POSITIONAL]
        except (TypeError, ValueError):
            return
        for name, x in zip([*own[: len(given) - len(keywords)], *keywords], given, strict=False):
            standin = x._data if isinstance(x, Tensor) else x
            if isinstance(standin, Array | Number) and not (isinstance(x, Tensor) and x.name):
                self.recorder.labels[standin.stands_for] = name

    def build(self, outs: list[Var], batch: bool, loops: bool) -> None:
        """Make the program of the recorded calls; NotFolded if it is to have loops and cannot."""
        recorder, keep = self.recorder, self.keep
        calls = dead_code_removed(recorder.calls, [*outs, *(v for v, _ in recorder.guards)])
        calls = self.passed("without what is not needed", constants_folded(calls, views=not loops))
        calls = self.passed("without duplicates", duplicates_removed(calls, keep))
        if batch:
            calls = self.seen("zeros left out", zeros_left_out(calls, keep))
            calls = self.improved(calls, outs, loops)
        recorder.guards = [(self.kept(v), outcome) for v, outcome in recorder.guards]
        calls = dead_code_removed(calls, self.needed(outs))
        if batch:
            self.passed("updates side by side", calls)
        if self.show is not None:
            return
        outs = [self.kept(v) for v in outs]
        old = {weak(): made.stands_for for weak, made, _ in recorder.cells.values()}
        in_place = {
            self.kept(new.var): old[owner]
            for kind, owner, new in self.effects
            if kind == "data" and isinstance(new, Out) and owner in old
        }
        gradients = [(self.kept(v), identifier(name)) for v, name in recorder.of_leaves]
        self.program = Program(calls, outs, recorder, in_place, gradients, exact=not batch)

    def improved(self, calls: Calls, outs: list[Var], loops: bool) -> Calls:
        """The calls after all passes, folded into loops (NotFolded if they cannot be) or as they are, of every step."""
        recorder, keep = self.recorder, self.keep

        def needed(calls: Calls) -> Calls:
            return adopted(dead_code_removed(calls, self.needed(outs)))

        calls = dead_code_removed(sums_of_products(calls, recorder), self.needed(outs))
        self.seen("sums of products as one", calls)
        if loops:
            calls = rows_restacked(folded(calls, recorder, self.needed(outs), keep), recorder)
            left = {*constants_folded([c for c in calls if c.loop is None and not marker(c)])}
            calls = [c for c in calls if c.loop is not None or marker(c) or c in left]
            calls = self.passed("folded into loops", in_units(adopted(dead_code_removed(calls, self.needed(outs)))))
        else:
            calls = self.seen("rows stacked again as parts", rows_restacked(calls, recorder))
        calls = self.seen("neighbours merged", adopted(neighbours_merged(calls, recorder)))
        calls = self.seen("products by parts", in_units(needed(products_by_parts(calls, recorder))))
        part = recurrences_of(calls) if loops else recurrences(calls)
        for name in RULES:
            changed = reordered(calls, recorder, part, name)
            calls = self.seen(name, calls if changed is calls else needed(changed))
        calls = self.passed("merged and reordered", in_units(duplicates_removed(calls, keep)))
        if loops:
            calls = self.passed("done for all steps at once", distributed(calls, recorder, self.needed(outs)))
        else:
            calls = self.passed("batched over time", needed(batched_over_time(calls, recorder)))
        calls = self.seen("weights turned", adopted(weights_turned(calls, recorder)))
        calls = updates_together(calls, recorder)
        return blocked(in_units(duplicates_removed(calls, keep)), keep)

    def passed(self, name: str, calls: Calls) -> Calls:
        """A pass has come to its end: how many calls there are now."""
        self.passes.append((name, len(calls)))
        return self.seen(name, calls)

    def seen(self, name: str, calls: Calls) -> Calls:
        """Show the calls to whoever wants to see them; the passes after this one may change them."""
        if self.show is not None:
            self.show(name, calls, self.recorder)
        return calls

    def needed(self, outs: list[Var]) -> list[Var]:
        return [self.kept(v) for v in (*outs, *(v for v, _ in self.recorder.guards))]

    def kept(self, v: Var) -> Var:
        """The Var that took the place of v."""
        return latest(v, self.keep)

    def report(self) -> str:
        width = max(len(name) for name, _ in self.passes)
        lines = [f"{name.ljust(width)}  {count} calls" for name, count in self.passes]
        lines += [f"without loops: {self.not_folded}"] if self.not_folded else []
        return "\n".join([*lines, "{} arrays in {:,} bytes".format(*self.program.size)])

    def as_var(self, x: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(x._data, Standin):
            standin: Any = x._data
            return Out(standin.stands_for, True, x._node is not None)
        if isinstance(x, Array | Number):
            return Out(x.stands_for, False)
        return x

    def results(self) -> list[tuple[Out, Any]]:
        """All that goes out, with the array of the program that has it, or the name of a number."""
        program, places = self.program, [(x, self.kept(x.var)) for x in self.outs()]
        return [(x, program.names[v] if v.dtype is None else program.arrays[v]) for x, v in places]

    @property
    def has_loops(self) -> bool:
        return any(call.loop is not None for call in self.program.calls)

    def check(self) -> None:
        """Compare what the program has given at its first run with what the function itself gave, on the same values."""
        space = self.program.space
        pairs = [(x.expected, np.asarray(space[where] if isinstance(where, str) else where)) for x, where in self.expected]
        largest = max((size_of(expected) for expected, _ in pairs), default=0.0)
        with np.errstate(all="ignore"):  # of differences of infinite values
            right = all(agree(found, expected, largest, self.epsilon) for expected, found in pairs)
        if not right:
            raise CompileError(
                "the program does not give what the function gave on the same values (does it use something that is not "
                "an argument, or is it so sensitive that the order of a sum matters?); compile(f, batch=False) leaves "
                "every sum in its order"
            )
        for x, _ in self.expected:
            x.expected = None
        self.expected.clear()

    def run(self, args: Any, options: Any) -> Any:
        if self.flat and not options:
            return self.call(*args)
        changing = [
            x
            for tree in (
                *(a for i, a in enumerate(args) if not self.is_static(i, a)),
                *(a for k, a in sorted(options.items()) if not self.is_static(k, a)),
            )
            for x in tree_leaves(tree)
            if isinstance(x, CHANGING) and not isinstance(x, bool)
        ]
        return self.call(*changing)


def size_of(array: np.ndarray) -> float:
    """The largest finite element."""
    finite = np.abs(array[np.isfinite(array)]) if array.dtype.kind == "f" else np.zeros(0)
    return float(finite.max(initial=0))


def agree(found: np.ndarray, expected: np.ndarray, largest: float, epsilon: float) -> bool:
    """Equal but for rounding, which is relative to the largest element of an array, and of all of them. It is that of the
    coarsest values on the way: a sum in float64 of float32 numbers is no better than they are."""
    if found.shape != expected.shape or found.dtype != expected.dtype or expected.dtype.kind not in "fc":
        return bool(np.array_equal(found, expected))
    near = epsilon**0.5 * size_of(expected) + 64 * epsilon * largest
    if np.abs(found - expected).max(initial=0) <= near:  # which takes a third of the time
        return True
    return bool(np.allclose(found, expected, rtol=0, atol=near, equal_nan=True))
