"""Recording: run a function once with stand-ins for its arrays, and write down every NumPy call that they meet.

The engine itself runs as always, forward and backward; its Tensors hold stand-ins, so what comes out is the program it would
run on arrays. Every call is also carried out at once, which gives shapes and dtypes, and the result of the first run.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any
from weakref import ref

import numpy as np

from ..graph import CURRENT, Leaf, Node, Scope, move_to
from ..state import Stateful
from ..tensor import Tensor
from ..trees import tree_leaves, tree_map
from ..watch import Watch
from .functions import numpy_name, record_function, record_ufunc
from .standins import Array, Number, Standin
from .trace import CONTAINERS, Call, CompileError, Var, replaced, same_bits

__all__ = ["WRITTEN", "Recorder", "contents"]

AFTERWARDS = "a value that a compiled function has kept while it was recorded is used; it has no value"
value_of = operator.attrgetter("value")
AS_THEY_ARE = (bool, int, float, str, type(None))  # arguments of calls that stand for themselves
NUMBERS = "biufcmM"  # kinds of dtypes
WRITTEN = object()  # in the place of a gradient that was not read before it was overwritten


class States(list[Any]):
    """The list of states of an object while a function is recorded. A state that is read becomes placeholders. What is
    computed until there is a new one belongs to it, since an update does the same for every state."""

    def __init__(self, recorder: Recorder, owner: Stateful, first: int) -> None:
        super().__init__(getattr(owner, owner.updated))
        self.recorder, self.owner, self.first = recorder, owner, first
        self.was: dict[int, Any] = {}
        self.at = len(self)
        self.update: Scope | None = None

    def __getitem__(self, i: Any) -> Any:
        if i not in self.was:
            places = count()
            self.was[i] = tree_map(lambda x: self.input(i, next(places), x), super().__getitem__(i))
            super().__setitem__(i, self.was[i])
        if i <= self.at:
            self.update = Scope(CURRENT.get()[1], "update")
        self.at = i
        move_to(Scope(self.update, "parameter", self.first + i))
        return super().__getitem__(i)

    def input(self, i: int, n: int, x: Any) -> Any:
        owner = self.owner
        return self.recorder.input(x, lambda: tree_leaves(getattr(owner, owner.updated)[i])[n])

    def __setitem__(self, i: Any, new: Any) -> None:
        assert self.update is not None
        move_to(self.update.parent)
        super().__setitem__(i, new)

    def replaced(self) -> list[tuple[int, Any]]:
        """Return the states that have been replaced, by their number."""
        return [(i, new) for i, new in enumerate(self) if i in self.was and new is not self.was[i]]


class Recorder(Watch):
    """A program being recorded."""

    function = record_function
    ufunc = record_ufunc

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.guards: list[tuple[Var, bool]] = []
        self.vars: list[Var] = []
        self.constants: dict[int, Var] = {}  # by id of the array
        self.kept: list[Any] = []  # so that no id is used twice
        self.inputs: list[tuple[Callable[[], Any], Var]] = []  # where each comes from, at each run
        self.cells: dict[int, tuple[Any, Any, Any]] = {}  # by id of the Tensor: it, its stand-in, and its array
        # By id of the leaf: it, its gradient, and the stand-in if it was read.
        self.grads: dict[int, tuple[Callable[[], Leaf | None], Any, Any]] = {}
        # Objects with a state, with what their attributes were, and the placeholders in their place.
        self.states: list[tuple[Stateful, dict[str, Any], dict[str, Any]]] = []
        self.replaced = ""  # an attribute of them that the function has set, in words
        self.notes: list[tuple[Any, Var]] = []
        self.gradients: list[tuple[Any, Var]] = []  # of nodes
        self.of_leaves: list[tuple[Var, str]] = []  # gradients of leaves, and whose they are
        self.labels: dict[Var, str] = {}
        self.live: list[Callable[[], Array | None]] = []  # all arrays' stand-ins, weakly
        self.closed = False
        # By id of a generator: it, and its states before the first recorded draw and after the last one.
        self.drawn_from: dict[int, tuple[np.random.Generator, Any, Any]] = {}

    # -- values ----------------------------------------------------------------------------------------------

    def var(self, value: Any, call: Call | None = None, source: str = "") -> Var:
        made = Var(len(self.vars) + 1, value, call, source)
        self.vars.append(made)
        return made

    def input(self, value: Any, where: Callable[[], Any]) -> Standin:
        """A stand-in for a value that is asked for anew at each run."""
        number = is_number(value)
        var = self.var(value if number else np.array(plain_array(value)), source="input")
        self.inputs.append((where, var))
        if number:
            return Number(self, var)
        var.kind = kind_of(value)
        return Array(self, var, var.value)

    def constant(self, array: np.ndarray) -> Var:
        found = self.constants.get(id(array))
        if found is None or not same_bits(found.value, array):  # somebody may have written to it
            self.kept.append(array)
            found = self.constants[id(array)] = self.var(np.array(array), source="constant")
        return found

    def as_constant(self, array: np.ndarray) -> Array:
        var = self.constant(array)
        return Array(self, var, var.value)

    def read(self, x: Any) -> Any:
        """Return a placeholder for the values of a Tensor, which may be others at the next run, or for a constant array."""
        if CURRENT.get()[2] is not self:
            raise CompileError(
                "debug mode looks at the values of each op: call the compiled function inside of it, not it inside"
            )
        if isinstance(x, Tensor):
            return x._data if isinstance(x._data, Standin) else self.cell(x)
        return self.as_constant(x) if isinstance(x, np.ndarray) and not isinstance(x, Standin) else x

    def cell(self, tensor: Tensor) -> Any:
        """The values of a Tensor from outside."""
        found = self.cells.get(id(tensor))
        if found is not None:
            return found[1] if tensor._data is found[2] else self.as_constant(tensor._data)
        weak, old = ref(tensor), tensor._data
        made = self.input(old, lambda: old if (there := weak()) is None else there._data)
        self.cells[id(tensor)] = (weak, made, old)
        self.kept.append(tensor)
        return made

    def gradient(self, leaf: Leaf, replaced: bool) -> None:
        """Replace the gradient that a leaf has gathered before by a placeholder, unless it is replaced anyway."""
        if id(leaf) not in self.grads:
            there, before, read = ref(leaf), leaf.grad, WRITTEN if replaced else None
            if before is not None and not replaced:
                leaf.grad = read = self.input(before, lambda: there().grad)  # type: ignore
            self.grads[id(leaf)] = (there, before, read)
            self.kept.append(leaf)

    def record_draw(self, rng: np.random.Generator, draw: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
        """Record a call that draws from a generator, which `restored` puts back unless others drew from it, too."""
        now = contents(rng.bit_generator.state)
        _, first, last = self.drawn_from.get(id(rng), (rng, rng.bit_generator.state, now))
        try:
            return self.record_call(draw, args, options, pure=False)
        finally:
            self.drawn_from[id(rng)] = rng, first, contents(rng.bit_generator.state) if last == now else None

    def restored(self) -> list[tuple[str, Any, Any]]:
        """Return what the function has written outside, and put everything back as it was before."""
        effects: list[tuple[str, Any, Any]] = []
        self.name_results()
        self.kept.clear()  # and with the notes the graph: of what the function has changed, only what is outside is left
        for weak, _, old in self.cells.values():
            tensor = weak()
            if tensor is not None and tensor._data is not old:  # otherwise the function itself made it
                effects.append(("data", tensor, tensor._data))
                tensor._data = old
        for there, before, read in self.grads.values():
            leaf = there()
            if leaf is not None:
                if leaf.grad is not read:
                    effects.append(("grad", leaf, leaf.grad))
                leaf.grad = before
        for owner, before, made in self.states:
            own = vars(owner)
            for name in [name for name, x in made.items() if own.get(name) is not x]:
                self.replaced = f"{name} of {type(owner).__name__}"
            own.update(before)
            if owner.updated in made:
                effects += [("slot", (owner, owner.updated, i), new) for i, new in made[owner.updated].replaced()]
        self.states.clear()
        for rng, first, last in self.drawn_from.values():
            if contents(rng.bit_generator.state) == last:
                rng.bit_generator.state = first
        return effects

    def made(self, name: str, arrays: list[Any], out: Any, node: Node | None, place: Scope | None) -> None:
        """An op was run; the name of its result is known later."""
        if node is not None:
            self.notes.append((node, out.stands_for))

    def arrived(self, node: Node, g: Any) -> None:
        """The gradient of a node is complete; a name of the node is known later."""
        if isinstance(g, Array):
            self.gradients.append((node, g.stands_for))

    def name_results(self) -> None:
        leaves = sorted((note for note in self.gradients if note[0].op is None), key=lambda note: note[0].number)
        self.of_leaves = [(var, node.name) for node, var in leaves if node.name]
        for d, notes in (("", self.notes), ("∂", [note for note in self.gradients if note[0].op is not None])):
            for node, var in notes:
                if node.name and var.call is not None:
                    t = node.scope.get("t") if node.scope else None
                    self.labels.setdefault(var, f"{d}{node.name}{'' if t is None else t}")
        self.gradients.clear()
        self.notes.clear()

    def forget(self, calls: list[Call]) -> None:
        """Let go of the values of the recorded run, for a program has arrays of its own, and of all calls but the program's."""
        shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        used = {call.out for call in calls}
        for var in self.vars:
            if var in used or var.source:
                var.value, var.strides, var.shape = None, (), shapes.setdefault(var.shape, var.shape)
            else:
                var.call = None
        self.labels = {v: label for v, label in self.labels.items() if v in used or v.source}
        self.vars.clear()
        self.calls.clear()
        self.constants.clear()
        self.kept.clear()
        self.of_leaves.clear()

    def name_values(self) -> None:
        gone = set()
        for weak, made, _ in self.cells.values():
            tensor = weak()
            if tensor is None:  # made by the function itself, of values that are always the same
                made.stands_for.source = "constant"
                gone.add(made.stands_for)
            elif tensor.name:
                self.labels[made.stands_for] = tensor.name
        self.inputs = [(where, var) for where, var in self.inputs if var not in gone]

    def close(self) -> None:
        """The end of the recording. CompileError if somebody has kept a stand-in, which would never get a value."""
        self.closed = True
        if self.kept_by_others():
            gc.collect()
        for array in self.kept_by_others():
            raise CompileError(
                f"the function keeps a value of shape {array.shape} outside of itself (in an attribute or a list); "
                "a program does not do so again at its next run. Return it, and pass it in as an argument at the next call"
            )

    def kept_by_others(self) -> list[Array]:
        """List the stand-ins that are still there, but for those of this recording itself."""
        own = {id(made) for _, made, _ in self.cells.values()} | {id(read) for _, _, read in self.grads.values()}
        return [array for there in self.live if (array := there()) is not None and id(array) not in own]

    def read_state(self, owner: Stateful) -> None:
        """Replace by placeholders what an object may have another of at each run."""
        own = vars(owner)
        made = {name: self.option(own, name) for name in owner.varying if name in own}  # the groups of an optimizer have them
        if owner.updated in own:
            made[owner.updated] = States(self, owner, sum(len(before.get(o.updated, ())) for o, before, _ in self.states))
        self.states.append((owner, {name: own[name] for name in made}, made))
        own.update(made)

    def option(self, options: dict[str, Any], name: str) -> Any:
        """Return placeholders for a number, or for several, that are read at each run."""
        value = options[name]
        if isinstance(value, tuple):
            return tuple(self.input(x, lambda i=i: options[name][i]) for i, x in enumerate(value))  # type: ignore[misc]
        read = self.input(value, lambda: options[name])
        self.labels[read.stands_for] = name
        return read

    # -- calls -----------------------------------------------------------------------------------------------

    def record(
        self, fn: Callable[..., Any], args: Iterable[Any], options: dict[str, Any], pure: bool = True,
        held: Callable[[Var], Any] = value_of,
    ) -> Any:  # fmt: skip
        """Carry out a call with what its arguments hold, and write it down. Return stand-ins for its results."""
        if self.closed:
            raise CompileError(AFTERWARDS)
        plain: list[Any] = []
        values: list[Any] = []
        for x in args:
            if type(x) is Array and x.recorder is self and held is value_of:  # the usual one: half the time
                plain.append(x.stands_for)
                values.append(x.value)
            else:
                plain.append(self.plain(x))
                values.append(replaced(plain[-1], held))
        named = {key: self.plain(x) for key, x in options.items()} if options else {}
        result = fn(*values, **{key: replaced(x, held) for key, x in named.items()}) if named else fn(*values)
        if type(result) is np.ndarray and result.dtype.kind in NUMBERS:
            value: Any = result
        elif isinstance(result, CONTAINERS):
            value = tuple(result)
        else:
            value = result if is_number(result) else as_numbers(fn, tuple(plain), result)
        call = Call(fn, tuple(plain), named, CURRENT.get()[1], pure)
        call.out = self.var(value, call)
        self.calls.append(call)
        if type(value) is np.ndarray:
            call.out.kind = kind_of(result)
            return Array(self, call.out, value)
        if type(value) is not tuple:
            return Number(self, call.out)
        parts = [self.record(operator.getitem, (call.out, i), {}) for i in range(len(result))]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)

    def record_call(self, fn: Callable[..., Any], args: Iterable[Any], options: dict[str, Any], pure: bool = True) -> Any:
        """The same for a function that somebody else calls, which may write into its arguments: they are read-only then."""
        try:
            return self.record(fn, args, options, pure, held=read_only)
        except ValueError as error:
            if "read-only" in str(error) or "writ" in str(error):
                raise CompileError(
                    f"{numpy_name(fn)} writes into an array, which is not recorded; use a function that returns a new one"
                ) from None
            raise

    def plain(self, x: Any) -> Any:
        """An argument with Vars in the place of stand-ins and arrays."""
        if type(x) in AS_THEY_ARE:
            return x
        if isinstance(x, Standin):
            if x.recorder is not self:
                raise CompileError("a value of another recording has leaked into this one")
            return x.stands_for
        if isinstance(x, np.ndarray):
            return self.constant(plain_array(x))
        if isinstance(x, list):
            return [self.plain(y) for y in x]
        if isinstance(x, tuple):
            return tuple([self.plain(y) for y in x])
        if isinstance(x, slice):
            return slice(*[y if y is None else operator.index(y) for y in (x.start, x.stop, x.step)])
        if isinstance(x, dict) and any(isinstance(y, Standin) for y in x.values()):
            raise CompileError("a dict of recorded values is given to a NumPy function; give them one by one")
        return x

    def guard(self, var: Var) -> bool:
        outcome = bool(var.value)
        self.guards.append((var, outcome))
        return outcome


def contents(state: Any) -> Any:
    """The state of a generator as something to compare; the text of its arrays takes 5 ms."""
    if isinstance(state, dict):
        return {key: contents(x) for key, x in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state


def plain_array(x: Any) -> Any:
    """The array itself, unless it is of a class that computes in another way."""
    if isinstance(x, np.matrix | np.ma.MaskedArray):
        raise CompileError(
            f"a {type(x).__name__} is given to a compiled function or meets an array of it, and these are plain ones: give "
            "np.asarray(x), and the mask alone"
        )
    return x


def as_numbers(fn: Callable[..., Any], args: tuple[Any, ...], result: Any) -> np.ndarray:
    """Return a number of NumPy, or a truth value, as an array without axes; CompileError if a result is something else."""
    array = np.asarray(result)
    if array.dtype.kind in NUMBERS and type(result) is not complex:
        return array
    what = f"an array of {array.dtype}" if isinstance(result, np.ndarray) else f"a {type(result).__name__}"
    while fn is operator.getitem and args[0].call is not None:  # of a function with several results
        fn, args = args[0].call.fn, args[0].call.args
    raise CompileError(
        f"{numpy_name(fn)} gives {what}, not an array of numbers, and is not recorded; call it outside of the "
        "compiled function, or leave this function uncompiled"
    )


def is_number(x: Any) -> bool:
    """True for a number of Python that is no truth value."""
    return isinstance(x, float | int) and not isinstance(x, bool | np.generic)


def kind_of(x: Any) -> type:
    """Return the type that `isinstance` is to find: an array, a number of NumPy, or a bool of Python."""
    return type(x) if isinstance(x, bool | np.generic) else np.ndarray


def read_only(v: Var) -> Any:
    """Return the value of a Var as the function would have it, and read-only."""
    if not isinstance(v.value, np.ndarray):
        return v.value
    if v.kind is not np.ndarray:
        return v.value[()]
    view = v.value.view()
    view.flags.writeable = False
    return view
