"""A recording of a function, ready to run: its program, and what comes in from outside and goes out at each run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import CURRENT, RECORDING
from ..standin import RECORDER, Standin
from ..tensor import Tensor, wrap
from ..trees import leaves, mapped
from .passes import (
    Calls,
    batched_over_time,
    constants_folded,
    dead_code_removed,
    duplicates_removed,
    invariants_first,
    rows_restacked,
    updates_together,
)
from .program import OtherWay, Program
from .trace import Array, CompileError, Number, Recorder, Var

__all__ = ["Recorded"]


def nothing() -> None:
    """Where an argument comes from: from the call itself."""


class Draws:
    """A random generator in a recorded function: what is drawn from it is drawn anew at each run."""

    def __init__(self, recorder: Recorder, rng: np.random.Generator) -> None:
        self._recorder, self._rng = recorder, rng

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._rng, name)
        self._recorder.will_draw(self._rng)
        return lambda *args, **options: self._recorder.record(method, args, options, pure=False)


class Recorded:
    """One recording of a function: its program, and what comes in from outside and goes out."""

    def __init__(self, f: Callable[..., Any], args: Any, options: Any, is_static: Any, batch: bool) -> None:
        self.recorder = recorder = Recorder()
        self.now: list[Any] = []
        self.argument_of: dict[Var, int] = {}

        def stand_in(x: Any) -> Any:
            if x is None or isinstance(x, bool | str):
                return x
            if isinstance(x, np.random.Generator):
                return Draws(recorder, x)
            if not isinstance(x, Tensor | np.ndarray | np.generic | int | float):
                return x
            n = len(self.now)
            self.now.append(x)
            if isinstance(x, Tensor):
                if x.requires_grad:
                    raise CompileError(
                        "a Tensor that requires grad is given to a compiled function; close over it, as over a model's "
                        "parameters, or give its values, t.data, and use value_and_grad inside"
                    )
                standin = recorder.input(x._data, nothing)
                self.argument_of[standin.var] = n
                made = Tensor(standin)
                made.name = x.name
                return made
            standin = recorder.input(x, nothing)
            self.argument_of[standin.var] = n
            return standin

        given = [x if is_static(i, x) else mapped(stand_in, x) for i, x in enumerate(args)]
        named = {key: x if is_static(key, x) else mapped(stand_in, x) for key, x in sorted(options.items())}
        self.is_static = is_static
        token, mark = RECORDER.set(recorder), CURRENT.get()
        CURRENT.set((mark[0] + RECORDING, mark[1]))
        try:
            result = f(*given, **named)
        finally:
            RECORDER.reset(token)
            CURRENT.set(mark)
            effects = recorder.restored()
        self.result = mapped(self.as_var, result)
        self.effects = [(kind, owner, mapped(self.as_var, new)) for kind, owner, new in effects]
        recorder.name_values()
        outs = [
            x.var for tree in (self.result, *(new for _, _, new in self.effects)) for x in leaves(tree) if isinstance(x, Out)
        ]
        self.passes: list[tuple[str, int]] = [("recorded", len(recorder.calls))]
        self.keep: dict[Var, Var] = {}
        calls = self.improved(outs, batch)
        outs = [self.kept(v) for v in outs]
        old = {weak(): made.var for weak, made in recorder.cells.values()}
        in_place = {
            self.kept(new.var): old[owner]
            for kind, owner, new in self.effects
            if kind == "data" and isinstance(new, Out) and owner in old
        }
        self.program = Program(calls, outs, recorder, in_place)
        self.flat = not options and all(isinstance(x, np.ndarray | Tensor) for x in args) and len(args) == len(self.now)
        self.call = self.written()
        self.now = []

    def improved(self, outs: list[Var], batch: bool) -> Calls:
        """The recorded calls after all passes."""
        recorder, keep = self.recorder, self.keep
        calls = dead_code_removed(recorder.calls, [*outs, *(v for v, _ in recorder.guards)])
        calls = constants_folded(calls)
        self.passes.append(("without what is not needed", len(calls)))
        calls = duplicates_removed(calls, keep)
        self.passes.append(("without duplicates", len(calls)))
        if batch:
            calls = invariants_first(rows_restacked(calls, recorder), recorder)
            calls = batched_over_time(calls, recorder)
            calls = dead_code_removed(calls, [self.kept(v) for v in (*outs, *(v for v, _ in recorder.guards))])
            self.passes.append(("batched over time", len(calls)))
            calls = updates_together(calls, recorder)
            calls = duplicates_removed(calls, keep)
        recorder.guards = [(self.kept(v), outcome) for v, outcome in recorder.guards]
        calls = dead_code_removed(calls, [*(self.kept(v) for v in outs), *(v for v, _ in recorder.guards)])
        if batch:
            self.passes.append(("updates side by side", len(calls)))
        return calls

    def kept(self, v: Var) -> Var:
        """The Var that took the place of v."""
        while v in self.keep:
            v = self.keep[v]
        return v

    def report(self) -> str:
        width = max(len(name) for name, _ in self.passes)
        lines = [f"{name.ljust(width)}  {count} calls" for name, count in self.passes]
        arrays = {id(base_of(x)): base_of(x) for x in self.program.arrays.values()}
        return "\n".join([*lines, f"{len(arrays)} arrays, {sum(x.nbytes for x in arrays.values()):,} bytes"])

    def as_var(self, x: Any) -> Any:
        if isinstance(x, Tensor) and isinstance(x._data, Standin):
            standin: Any = x._data
            return Out(standin.var, True)
        if isinstance(x, Array | Number):
            return Out(x.var, False)
        return x

    def written(self) -> Callable[..., Any]:
        """What happens at each run around the program, as code of its own: values in, effects and results out."""
        program = self.program
        space: dict[str, Any] = {
            "np": np,
            "copyto": np.copyto,
            "OtherWay": OtherWay,
            "run": program.run,
            "wrap": wrap,
            "ndarray": np.ndarray,
        }
        inside: list[str] = []
        given = [f"a{i}" for i in range(len(self.now))]
        after: list[str] = []
        cells = {id(made.var): weak for weak, made in self.recorder.cells.values()}
        fed: dict[int, int] = {}
        for leaf, before in self.recorder.grads.values():
            name = f"leaf{len(space)}"
            space[name] = leaf
            inside.append(f"if {name}.grad is {'not ' if before is None else ''}None: raise OtherWay")
        for i, (where, v) in enumerate(self.recorder.inputs):
            space[f"in{i}"] = program.arrays.get(v)
            if v in self.argument_of:
                value = given[self.argument_of[v]]
                if v.dtype is None:
                    inside.append(f"space[{program.names[v]!r}] = {value}")
                    continue
                value = f"{value}._data" if isinstance(self.now[self.argument_of[v]], Tensor) else value
                space[f"dtype{i}"] = v.dtype
                inside.append(f"if {value}.shape != {v.shape} or {value}.dtype != dtype{i}: raise OtherWay")
                inside.append(f"copyto(in{i}, {value})")
                continue
            space[f"where{i}"] = where
            if v.dtype is None:
                inside.append(f"space[{program.names[v]!r}] = where{i}()")
                continue
            space[f"last{i}"] = None
            space[f"dtype{i}"] = v.dtype
            if id(v) in cells and cells[id(v)]() is not None:
                space[f"t{i}"] = cells[id(v)]()
                value = f"t{i}._data"
                fed[id(cells[id(v)]())] = i
            else:
                value = f"where{i}()"
            inside.append(f"value = {value}")
            inside.append(f"if value is not last{i}:")
            inside.append(f"    if value.shape != {v.shape} or value.dtype != dtype{i}: raise OtherWay")
            inside.append(f"    copyto(in{i}, value)")
            inside.append(f"    last{i} = value" if id(v) in cells else "    pass")

        def array(x: Out) -> str:
            v = self.kept(x.var)
            if v.dtype is None:
                return f"space[{program.names[v]!r}]"
            name = f"b{len(space)}"
            space[name] = program.arrays[v]
            return name

        def fresh(x: Any) -> str:
            if isinstance(x, Out):
                name = array(x)
                if x.var.dtype is None:
                    return name
                copy = f"{name}.copy()"
                return f"wrap({copy})" if x.tensor else copy if x.var.shape else f"{copy}[()]"
            if isinstance(x, tuple) and hasattr(x, "_fields"):
                space[type(x).__name__] = type(x)
                return f"{type(x).__name__}({', '.join(map(fresh, x))})"
            if isinstance(x, tuple | list):
                inner = "".join(f"{fresh(y)}, " for y in x)
                return f"({inner})" if isinstance(x, tuple) else f"[{inner}]"
            if isinstance(x, dict):
                return "{" + ", ".join(f"{key!r}: {fresh(y)}" for key, y in x.items()) + "}"
            name = f"k{len(space)}"
            space[name] = x
            return name

        before_of = {id(leaf): before for leaf, before in self.recorder.grads.values()}
        for kind, owner, new in self.effects:
            name = f"o{len(space)}"
            if kind == "data":
                space[name] = owner
                after.append(f"value = {array(new)}.copy()" if isinstance(new, Out) else f"value = {fresh(new)}")
                if isinstance(new, Out) and owner._leaf is None:
                    after += ["value.flags.writeable = False", f"{name}._data = value"]  # what _rebind does
                else:
                    after.append(f"{name}._rebind(value)")
                place = fed.get(id(owner))
                if place is not None and isinstance(new, Out):
                    if address(program.arrays[self.kept(new.var)]) != address(space[f"in{place}"]):
                        after.append(f"copyto(in{place}, value)")
                    after.append(f"last{place} = value")
            elif kind == "grad":
                space[name] = owner
                if isinstance(new, Out) and before_of[id(owner)] is None:
                    view = program.arrays[self.kept(new.var)].view()
                    view.flags.writeable = False  # seen until the next run, and copied by who adds to it
                    space[f"{name}g"] = view
                    after.append(f"{name}.grad = {name}g")
                else:
                    after.append(f"{name}.grad = {fresh(new)}")
            else:
                container, key = owner
                space[name], space[name + "key"] = container, key
                after.append(f"{name}[{name}key] = {fresh(new)}")
        kept = sorted(n for n in space if n.startswith("last"))
        text = [f"def call({', '.join(given)}):"]
        text += [f"    global {', '.join(kept)}"] if kept else []
        text += [f"    {line}" for line in (*inside, "run()", *after, f"return {fresh(self.result)}")]
        space["space"] = program.space
        exec("\n".join(text), space)
        return space["call"]  # type: ignore[no-any-return]

    def run(self, args: Any, options: Any) -> Any:
        if self.flat and not options:
            now: Any = args
        else:
            now = [
                x
                for tree in (
                    *(a for i, a in enumerate(args) if not self.is_static(i, a)),
                    *(a for k, a in sorted(options.items()) if not self.is_static(k, a)),
                )
                for x in leaves(tree)
                if isinstance(x, Tensor | np.ndarray | np.generic | int | float) and not isinstance(x, bool)
            ]
        with np.errstate(all="ignore"):
            return self.call(*now)


def base_of(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def address(array: np.ndarray) -> Any:
    return array.__array_interface__["data"], array.strides


class Out:
    """The place of a value in what a function returned or wrote."""

    __slots__ = ("tensor", "var")

    def __init__(self, var: Var, tensor: bool) -> None:
        self.var = var
        self.tensor = tensor
