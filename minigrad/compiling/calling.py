"""The code around a program at each run: values go in, effects and results come out."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LeavesGraphError
from ..graph import CURRENT, NO_OPTIONS, Leaf, next_number
from ..tensor import Tensor, wrap
from .program import OtherWay
from .recorder import WRITTEN
from .trace import Var

if TYPE_CHECKING:
    from .recorded import Recorded

__all__ = ["CallCode", "Out"]


class Out:
    """A value among the results of a function, or among what it wrote outside."""

    __slots__ = ("cut", "expected", "tensor", "var")

    def __init__(self, var: Var, tensor: bool, cut: bool = False) -> None:
        self.var = var
        self.tensor = tensor
        self.cut = cut  # a Tensor that was in a graph
        self.expected: Any = np.array(var.value)  # the recorded run's, until the first run of the program is compared with it


class CallCode:
    """Write the function that each call runs: it reads inputs, runs the program, writes effects and returns results."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded, self.recorder, self.program = recorded, recorded.recorder, recorded.program
        self.space: dict[str, Any] = {
            "np": np, "OtherWay": OtherWay, "wrap": wrap, "cut": cut, "space": self.program.space, "lock": RLock(),
            "run": silent(self.program.run) if self.program.only_numpy else np.errstate(all="ignore")(self.program.run),
        }  # fmt: skip
        self.given = [f"a{i}" for i in range(len(recorded.now))]
        self.read: list[tuple[str, Tensor, np.ndarray]] = []  # Tensors from outside; see `refreshing`
        self.last: dict[int, str] = {}  # by id of such a Tensor: the name of its values at the last run
        self.later: list[Leaf] = []  # leaves whose gradients are copied only when somebody reads them

    def function(self) -> Callable[..., Any]:
        inputs = [*self.draw_lines(), *self.guard_lines(), *self.input_lines()]
        values, writes = self.effect_lines()
        values.append(f"result = {self.fresh(self.recorded.result)}")
        names = [*self.last.values()]
        self.space["refresh"] = refreshing(self.space, self.read)
        self.space["forget"] = forgetting(self.space, names, self.later)
        looks = " or ".join(f"{self.named(tensor, 't')}._data is not {last}" for last, tensor, _ in self.read)
        lines = [f"global {', '.join(names)}"] if names else []
        lines += [*inputs, f"if {looks}: refresh()"] if looks else inputs
        lines += [*self.running([*values, *writes]), "return result"]
        exec("\n    ".join([f"def call({', '.join(self.given)}):", *lines]), self.space)
        return self.space["call"]  # type: ignore[no-any-return]

    def fitting(self) -> Callable[[int, tuple[Any, ...]], bool]:
        """Return a function that is true if all arguments are arrays of these shapes and dtypes, and the mode is this one."""
        now = self.recorded.now
        if not self.recorded.flat or not all(type(x) is np.ndarray for x in now):
            return lambda mode, args: False
        space: dict[str, Any] = {"ndarray": np.ndarray}
        parts = [f"mode == {CURRENT.get()[0]} and len(args) == {len(now)}"]
        for i, x in enumerate(now):
            space[f"dtype{i}"] = x.dtype
            parts.append(f"type(a := args[{i}]) is ndarray and a.dtype == dtype{i} and a.shape == {x.shape}")
        exec(f"def fits(mode, args): return {' and '.join(parts)}", space)
        return space["fits"]  # type: ignore[no-any-return]

    def named(self, x: Any, stem: str = "k") -> str:
        """Give an object a name in the code."""
        name = f"{stem}{len(self.space)}"
        self.space[name] = x
        return name

    # -- what goes in ----------------------------------------------------------------------------------------------

    def draw_lines(self) -> list[str]:
        return [f"{self.named(draws, 'draws')}.rng = a{n}" for n, draws in self.recorded.draws.items()]

    def guard_lines(self) -> list[str]:
        """Return lines that raise OtherWay if a leaf has a gradient but had none in the recording, or the reverse."""
        lines = []
        for there, before, read in self.recorder.grads.values():
            if read is not WRITTEN and (leaf := there()) is not None:
                lines.append(f"if {self.named(leaf, 'leaf')}.grad is {'not ' if before is None else ''}None: raise OtherWay")
        return lines

    def input_lines(self) -> list[str]:
        program, arguments = self.program, self.recorded.argument_of
        used = {v for call in program.calls for v in call.inputs()}.union(program.outputs, (v for v, _ in program.guards))
        tensors = {made.stands_for: weak() for weak, made, _ in self.recorder.cells.values()}
        lines = []
        for where, v in self.recorder.inputs:
            if v not in used:
                continue
            if v in arguments:
                value = self.given[arguments[v]]
            elif tensors.get(v) is None:
                value = f"{self.named(where, 'where')}()"
            else:
                self.last[id(tensors[v])] = last = self.named(None, "last")
                self.read.append((last, tensors[v], program.arrays[v]))
                continue
            if v.dtype is None:
                lines.append(f"space[{program.names[v]!r}] = {value}")
                continue
            place = self.named(program.arrays[v], "place")
            if v not in arguments:  # shapes of arguments have been compared already
                lines += [
                    f"value = {value}",
                    f"if value.shape != {place}.shape or value.dtype != {place}.dtype: raise OtherWay",
                ]
                value = "value"
            elif isinstance(self.recorded.now[arguments[v]], Tensor):
                value += "._data"
            lines.append(f"{place}[...] = {value}")
        return lines

    # -- what comes out --------------------------------------------------------------------------------------------

    def effect_lines(self) -> tuple[list[str], list[str]]:
        """Return lines that read all new values, then lines that write them: a place may hold the new value of another."""
        values: list[str] = []
        writes: list[str] = []
        for i, (kind, owner, new) in enumerate(self.recorded.effects):
            value = f"v{i}"
            if kind == "grad" and isinstance(new, Out) and self.stays(new):
                self.later.append(owner)
                late = gathering(self.program.arrays[self.recorded.kept(new.var)], self.space["lock"])
                writes.append(f"{self.named(owner, 'leaf')}.gathered = {self.named(late, 'late')}")
            elif kind == "grad":
                values.append(f"{value} = {self.fresh(new)}")
                writes.append(f"{self.named(owner, 'leaf')}.gathered = {value}")
            elif kind == "data":
                values.append(f"{value} = {self.array(new) + '.copy()' if isinstance(new, Out) else self.fresh(new)}")
                writes += self.data_lines(owner, new, value)
            else:
                holder, attribute, key = owner
                values.append(f"{value} = {self.fresh(new)}")
                writes.append(f"{self.named(holder, 'holder')}.{attribute}[{self.named(key)}] = {value}")
        return values, writes

    def data_lines(self, owner: Tensor, new: Any, value: str) -> list[str]:
        """Return lines that give a Tensor new values, and the program too if it does not have them in their place."""
        name = self.named(owner, "t")
        if not isinstance(new, Out) or owner._leaf is not None:
            lines = [f"{name}._rebind({value})"]
        else:
            lines = [f"{name}._data = {value}"]  # nobody else has this array, so nobody can write to it
        if isinstance(new, Out) and id(owner) in self.last:
            place = next(array for _, tensor, array in self.read if tensor is owner)
            if address(self.program.arrays[self.recorded.kept(new.var)]) != address(place):
                lines.append(f"{self.named(place, 'place')}[...] = {value}")
            lines.append(f"{self.last[id(owner)]} = {value}")
        return lines

    def stays(self, x: Out) -> bool:
        """True if the next run cannot overwrite a result before its last condition was checked."""
        arrays, early = self.program.arrays, self.program.early
        array = arrays.get(self.recorded.kept(x.var))
        if array is None or any(call.loop is not None or call.block is not None for call in early):
            return False
        written = [v for _, v in self.recorder.inputs] + [call.out for call in early]
        return not any(np.may_share_memory(array, arrays[v]) for v in written if v in arrays)

    def array(self, x: Out) -> str:
        v = self.recorded.kept(x.var)
        return f"space[{self.program.names[v]!r}]" if v.dtype is None else self.named(self.program.arrays[v], "b")

    def fresh(self, x: Any) -> str:
        """Return an expression for a result, with copies of the program's arrays."""
        if isinstance(x, Out):
            name = self.array(x)
            if x.var.dtype is None:
                return name
            copy = f"{name}.copy()"
            if x.tensor:
                return f"{'cut' if x.cut else 'wrap'}({copy})"
            return copy if x.var.kind is np.ndarray else f"{name}.item()" if x.var.kind is bool else f"{copy}[()]"
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return f"{self.named(type(x))}({', '.join(map(self.fresh, x))})"
        if isinstance(x, tuple | list):
            inner = "".join(f"{self.fresh(y)}, " for y in x)
            made = f"({inner})" if isinstance(x, tuple) else f"[{inner}]"
            return made if type(x) in (tuple, list) else f"{self.named(type(x))}({made})"
        if isinstance(x, dict):
            return "{" + ", ".join(f"{self.named(key)}: {self.fresh(y)}" for key, y in x.items()) + "}"
        return f"{self.named(x)}.copy()" if isinstance(x, np.ndarray) else self.named(x)

    # -- between them ----------------------------------------------------------------------------------------------

    def running(self, then: list[str]) -> list[str]:
        """Return the lines that run the program, with `then` after them. If a run ends early, parameters are read again at the
        next run, for the program may have overwritten them, and generators are put back."""
        states = [self.source_of(rng) for rng, *_ in (self.recorder.drawn_from.values() if self.program.conditional else ())]
        self.space["fresh"], self.space["check"] = self.recorded.expected, self.recorded.check
        running = ["run()", "if fresh: check()", *then]
        if not (states or self.last or self.later):
            return running
        lines = [
            *(f"state{i} = {rng}.bit_generator.state" for i, rng in enumerate(states)),
            "try:",
            *(f"    {line}" for line in running),
            "except BaseException as error:",
            "    forget(error)",
            *(f"    {rng}.bit_generator.state = state{i}" for i, rng in enumerate(states)),
            "    raise",
        ]
        return ["with lock:", *(f"    {line}" for line in lines)] if self.later else lines

    def source_of(self, rng: np.random.Generator) -> str:
        n = next((n for n, draws in self.recorded.draws.items() if draws.rng is rng), None)
        return self.named(rng, "rng") if n is None else f"a{n}"


def silent(run: Callable[[], None]) -> Callable[[], None]:
    """Return the same function without NumPy's warnings, in a context of its own: 0.04 µs; ``np.errstate`` takes 0.4."""
    context = Context()
    context.run(np.seterr, all="ignore")
    return partial(context.run, run)


def refreshing(space: dict[str, Any], tensors: list[tuple[str, Tensor, np.ndarray]]) -> Callable[[], None]:
    """Return a function that copies the values of Tensors that have got others into the places that a program reads."""

    def refresh() -> None:
        for last, tensor, place in tensors:
            value = tensor._data
            if value is not space[last]:
                if value.shape != place.shape or value.dtype != place.dtype:
                    raise OtherWay
                place[...] = value
                space[last] = value

    return refresh


def gathering(array: np.ndarray, lock: Any) -> Callable[[Leaf], None]:
    """Return a function that copies a gradient out of a program. No thread can run the program meanwhile."""

    def gather(leaf: Leaf) -> None:
        with lock:
            new = array.copy()
            if leaf.gathered is gather:
                leaf.gathered = new

    return gather


def forgetting(space: dict[str, Any], names: list[str], later: list[Leaf]) -> Callable[[BaseException], None]:
    """Return a function that discards what an interrupted run may have overwritten."""

    def forget(error: BaseException) -> None:
        space.update(dict.fromkeys(names))
        for leaf in later:
            if callable(leaf.gathered) and not isinstance(error, OtherWay):
                leaf.gathered = None

    return forget


def address(array: np.ndarray) -> Any:
    return array.__array_interface__["data"], array.strides


class Cut(Leaf):
    """The leaf of a result of a compiled function, which has no graph."""

    __slots__ = ()
    op = saved = scope = thawed = hooks = None  # attributes of the class, so that a run makes it in half the time
    operands = ()
    options = NO_OPTIONS

    def __init__(self, array: np.ndarray) -> None:
        self.name = self.gathered = None
        self.number, self.shape, self.dtype = next_number(), array.shape, array.dtype

    @property
    def requires_grad(self) -> bool:
        raise LeavesGraphError(
            "a result of a compiled function has no graph behind it, and the gradient would stop there without a word. "
            "Compile the whole step, with backward() or value_and_grad inside, or call the function itself; "
            "result.detach() says that it is meant as a constant"
        )

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        pass

    def of(self, result: np.ndarray) -> Leaf | None:
        return Cut(result)


def cut(array: np.ndarray) -> Tensor:
    made = Tensor.__new__(Tensor)
    made._data, made._node, made._leaf = array, None, Cut(array)
    return made
