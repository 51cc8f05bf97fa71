"""Recording: run a function once with stand-ins for its arrays, and write down every NumPy call that they meet.

The engine itself runs as always, forward and backward; its Tensors hold stand-ins, so what comes out is the program it would
run on arrays. Every call is also carried out at once, which gives shapes and dtypes, and the result of the first run.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any, NoReturn
from weakref import WeakSet, ref

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..graph import CURRENT, Leaf
from ..standin import Standin
from ..tensor import Tensor
from ..trees import mapped

__all__ = ["Array", "Call", "CompileError", "Number", "Recorder", "Var"]


class CompileError(RuntimeError):
    """A function cannot be compiled; the message says what in it, and what to do."""


class Var:
    """A value of the program: what it is, and the call that makes it (None: it comes from outside).

    What it was in the recorded run is there as long as the function needs it, and always of what comes from outside. After
    that `value` is an array of zeros of the same shape and dtype, which takes no memory.
    """

    __slots__ = ("_held", "_weak", "call", "dtype", "number", "shape", "source", "strides")

    def __init__(self, number: int, value: Any, call: Call | None = None, source: str = "") -> None:
        self.number = number
        is_array = isinstance(value, np.ndarray)
        self._held: Any = None
        self._weak: Callable[[], Any] | None = None
        if is_array and call is not None:
            self._weak = ref(value)
        else:
            self._held = value
        self.shape: tuple[int, ...] = () if isinstance(value, tuple) else np.shape(value)
        self.strides: tuple[int, ...] = value.strides if is_array else ()
        self.dtype = value.dtype if is_array else None  # None: a Python number
        self.call = call
        self.source = source  # "constant" or "input", of what no call makes

    @property
    def value(self) -> Any:
        if self._weak is None:
            return self._held
        value = self._weak()
        return zeros(self.shape, self.dtype) if value is None else value

    @value.setter
    def value(self, value: Any) -> None:
        self._held, self._weak = value, None

    @property
    def is_tuple(self) -> bool:
        return isinstance(self._held, tuple)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize if self.dtype is not None else 0

    def __repr__(self) -> str:
        return f"v{self.number}"


NOTHING = bytes(64)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that are all the same one."""
    return np.ndarray(shape, dtype, NOTHING, 0, (0,) * len(shape))


class Call:
    """One NumPy call: function, arguments with Vars among them, and the Var it makes."""

    __slots__ = ("args", "fn", "options", "out", "pure", "scope", "step")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], scope: Any, pure: bool) -> None:
        self.fn = fn
        self.args = args
        self.options = options
        self.scope = scope
        t = scope.get("t") if scope else None
        self.step: int | None = t if isinstance(t, int) else None  # of the loop over time
        self.pure = pure  # no other effect than its result, and the same result for the same arguments
        self.out: Var = None  # type: ignore[assignment]

    def inputs(self) -> list[Var]:
        found: list[Var] = []
        for x in self.args:
            if type(x) is Var:
                found.append(x)
            elif isinstance(x, CONTAINERS):
                found += variables(x)
        return found + variables(tuple(self.options.values())) if self.options else found

    def __repr__(self) -> str:
        return f"{self.out} = {getattr(self.fn, '__name__', self.fn)}{self.args} {self.options or ''}"


CONTAINERS = (list, tuple)


def variables(x: Any) -> list[Var]:
    """Those in an argument, or a tuple of them."""
    if type(x) is Var:
        return [x]
    found: list[Var] = []
    if isinstance(x, CONTAINERS):
        for y in x:
            if type(y) is Var:
                found.append(y)
            elif isinstance(y, CONTAINERS):
                found += variables(y)
    return found


def replaced(x: Any, by: Callable[[Var], Any]) -> Any:
    """The same containers, with something else in the place of each Var."""
    if type(x) is Var:
        return by(x)
    if not isinstance(x, CONTAINERS):
        return x
    made = [replaced(y, by) for y in x]
    return type(x)(*made) if hasattr(x, "_fields") else type(x)(made)


# -- views -----------------------------------------------------------------------------------------------------


def reshape(x: Any, shape: Any) -> Any:
    return np.reshape(x, shape)


def transpose(x: Any, axes: Any) -> Any:
    return np.transpose(x, axes)


def copy(x: Any) -> Any:
    return np.array(x)


def cast(x: Any, dtype: Any) -> Any:
    return x.astype(dtype)


def as_array(x: Any, dtype: Any) -> Any:
    return np.asarray(x, dtype)


def viewed(x: Any, dtype: Any) -> Any:
    return x.view(dtype)


def dot(x: Any, y: Any) -> Any:
    return np.dot(x, y)


def contiguous(x: Any) -> Any:
    return np.array(x, order="C")


SHAPES_ONLY = {np.shape, np.ndim, np.size, np.result_type}
FUNCTIONS_AS_METHODS = {
    "all", "any", "argmax", "argmin", "clip", "cumprod", "cumsum", "mean", "repeat", "round", "std", "take", "var",
}  # fmt: skip
METHODS_TO_REDUCTIONS = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


class Array(Standin, NDArrayOperatorsMixin):
    """Stands for an array."""

    __slots__ = ("__weakref__", "recorder", "value", "var")
    __hash__ = object.__hash__

    def __init__(self, recorder: Recorder, var: Var) -> None:
        self.recorder = recorder
        self.var = var
        self.value = var.value
        recorder.live.add(self)

    shape = property(lambda self: self.var.shape)
    dtype = property(lambda self: self.var.dtype)
    ndim = property(lambda self: len(self.var.shape))
    size = property(lambda self: self.var.size)
    itemsize = property(lambda self: self.var.dtype.itemsize)
    nbytes = property(lambda self: self.var.nbytes)
    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))  # noqa: N815
    real = property(lambda self: self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        if out is not None:
            raise CompileError("writing into an array (a += b, out=a) is not recorded; use the result: a = a + b")
        fn = ufunc if method == "__call__" else getattr(ufunc, method)
        if method == "reduce":
            options.setdefault("axis", 0)
            keepdims = options.pop("keepdims", False)
            made = self.recorder.record(fn, inputs, options)
            if not keepdims or not isinstance(made, Array):
                return made
            return made.reshape(
                np.add.reduce(np.broadcast_to(0, np.shape(value_of(inputs[0]))), axis=options["axis"], keepdims=True).shape
            )
        if method == "at":
            raise CompileError("np.ufunc.at writes into an array; write np.add.at(a, i, b) as a gather, a[i], of another one")
        return self.recorder.record(fn, inputs, options)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        if any(issubclass(t, Tensor) for t in types):
            return NotImplemented
        if func in SHAPES_ONLY:
            return func(*mapped(value_of, args), **mapped(value_of, options))
        usual = USUAL.get(func)
        return self.recorder.record(func, args, options) if usual is None else usual(*args, **options)

    def __array__(self, *args: Any, **options: Any) -> NoReturn:
        raise CompileError(
            "the values of an array were asked for while a function is recorded for compile (np.asarray, np.array, float(), "
            "an assignment into another array): the program runs later, on other values. Use NumPy functions on it as it is"
        )

    def _control(self, *_: Any) -> NoReturn:
        raise CompileError(
            "Python's control flow depends on the values of an array (if, while, int(), float(), .item(), a slice), and a "
            "compiled program takes the same way each time. Use np.where, or leave this function uncompiled"
        )

    __bool__ = __float__ = __int__ = __index__ = item = tolist = __complex__ = _control

    def decided(self) -> bool:
        return self.recorder.guard(self.var)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a number")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        for i in index:
            if isinstance(i, Array) and i.dtype is not None and i.dtype.kind == "b":
                raise CompileError("x[mask] has as many elements as the mask says, other ones at each run; use np.where")
        return self.recorder.record(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise CompileError("assigning into an array is not recorded; use np.where, np.stack or np.concatenate")

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        if order != "C":
            raise CompileError("reshape is recorded with order='C' only")
        given = shape[0] if len(shape) == 1 else shape
        full = np.reshape(np.broadcast_to(0, self.shape), given).shape
        return self.recorder.record(reshape, (self, full), {})

    def transpose(self, *axes: Any) -> Any:
        given = axes[0] if len(axes) == 1 else axes or None
        order = tuple(range(self.ndim))[::-1] if given is None else tuple(int(i) % self.ndim for i in given)
        return self.recorder.record(transpose, (self, order), {})

    def swapaxes(self, i: int, j: int) -> Any:
        order = list(range(self.ndim))
        order[i], order[j] = order[j], order[i]
        return self.transpose(order)

    def squeeze(self, axis: Any = None) -> Any:
        return self.reshape(np.squeeze(np.broadcast_to(0, self.shape), axis).shape)

    def ravel(self) -> Any:
        return self.reshape(-1)

    def flatten(self) -> Any:
        return self.reshape(-1)

    def view(self, dtype: Any = None) -> Any:
        return self if dtype is None else self.recorder.record(viewed, (self, np.dtype(dtype)), {})

    def copy(self) -> Array:
        return self

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        wanted = np.dtype(dtype)
        return self if wanted == self.dtype else self.recorder.record(cast, (self, wanted), {})

    def as_array(self) -> Array:
        return self

    def dot(self, other: Any) -> Any:
        return self.recorder.record(dot, (self, other), {})

    def __getattr__(self, name: str) -> Any:
        ufunc = METHODS_TO_REDUCTIONS.get(name)
        if ufunc is not None:
            return lambda axis=None, keepdims=False: ufunc.reduce(self, axis=axis, keepdims=keepdims)
        if name in FUNCTIONS_AS_METHODS:
            function = getattr(np, name)
            return lambda *args, **options: function(self, *args, **options)
        raise AttributeError(f"a recorded array has no attribute {name!r}")


def stack(*arrays: Any) -> Any:
    """Arrays of one shape, one after the other along a new first axis."""
    return np.stack(arrays)


def stacked(arrays: Any, axis: int = 0) -> Any:
    if axis:
        return first(*arrays).recorder.record(np.stack, (list(arrays), axis), {})
    return first(*arrays).recorder.record(stack, tuple(arrays), {})


USUAL: dict[Any, Callable[..., Any]] = {
    np.stack: stacked,
    np.reshape: lambda x, shape, **o: x.reshape(shape),
    np.transpose: lambda x, axes=None: x.transpose(axes) if axes is not None else x.transpose(),
    np.swapaxes: lambda x, i, j: x.swapaxes(i, j),
    np.squeeze: lambda x, axis=None: x.squeeze(axis),
    np.ravel: lambda x, order="C": x.ravel(),
    np.dot: lambda x, y: first(x, y).recorder.record(dot, (x, y), {}),
    np.sum: lambda x, axis=None, keepdims=False, **o: np.add.reduce(x, axis=axis, keepdims=keepdims),
    np.copy: lambda x, **o: x,
}


def first(*args: Any) -> Array:
    return next(x for x in args if isinstance(x, Array))


def value_of(x: Any) -> Any:
    return x.var.value if isinstance(x, Standin) else x


class Number(Standin):
    """Stands for a Python number, such as a learning rate; what is computed with it stays one, and so promotes nothing."""

    __slots__ = ("recorder", "var")
    __hash__ = object.__hash__

    def __init__(self, recorder: Recorder, var: Var) -> None:
        self.recorder = recorder
        self.var = var

    def _control(self, *_: Any) -> NoReturn:
        raise CompileError(
            "a number that may be another at each run is used as a size, an index or in a condition, or is turned into an "
            "array. If it is always the same, say so: compile(f, static=('its name',))"
        )

    __bool__ = __index__ = __int__ = __float__ = __array__ = __iter__ = _control

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        return self.recorder.record(ufunc if method == "__call__" else getattr(ufunc, method), inputs, options)

    dtype = property(lambda self: np.dtype(type(self.var.value)))

    def astype(self, dtype: Any) -> Any:
        return self.recorder.record(as_array, (self, np.dtype(dtype)), {})

    def as_array(self) -> Any:
        return self.astype(self.dtype)

    def decided(self) -> bool:
        return self.recorder.guard(self.var)


def number_operator(name: str) -> None:
    fn = getattr(operator, name)

    def straight(self: Number, other: Any = None) -> Any:
        args = (self,) if name in ("neg", "abs", "pos") else (self, other)
        if isinstance(other, Array):
            return UFUNC_OF[name](self, other) if name in UFUNC_OF else NotImplemented
        return self.recorder.record(fn, args, {}) if isinstance(other, int | float | Number | None) else NotImplemented

    def reflected(self: Number, other: Any) -> Any:
        return self.recorder.record(fn, (other, self), {}) if isinstance(other, int | float) else NotImplemented

    setattr(Number, f"__{name}__", straight)
    if name not in ("neg", "abs", "pos", "lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Number, f"__r{name}__", reflected)


UFUNC_OF = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power}
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "abs", "pos", "lt", "le", "gt", "ge", "eq"):
    number_operator(_name)


WRITTEN = object()  # in the place of a gradient that was not read before it was overwritten


class Recorder:
    """A program being recorded."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.guards: list[tuple[Var, bool]] = []
        self.count = 0
        self.vars: list[Var] = []
        self.constants: dict[int, Var] = {}  # by id of the array
        self.kept: list[Any] = []  # so that no id is used twice
        self.inputs: list[tuple[Callable[[], Any], Var]] = []  # where each comes from, at each run
        self.cells: dict[int, tuple[Any, Any]] = {}  # by id of the Tensor, a weak reference to it
        self.grads: dict[
            int, tuple[Callable[[], Leaf | None], Any, Any]
        ] = {}  # by id of the leaf: it, its gradient, and the stand-in if it was read
        self.settings: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self.slots: dict[tuple[int, str, Any], tuple[Any, Any, Any]] = {}
        self.data_written: dict[int, tuple[Callable[[], Tensor | None], Any]] = {}
        self.notes: list[tuple[Any, Var]] = []
        self.labels: dict[Var, str] = {}
        self.live: WeakSet[Array] = WeakSet()
        self.closed = False
        self.block = 1  # steps that are batched at a time
        self.drawn_from: dict[int, tuple[np.random.Generator, Any]] = {}

    # -- values ----------------------------------------------------------------------------------------------

    def var(self, value: Any, call: Call | None = None, source: str = "") -> Var:
        self.count += 1
        made = Var(self.count, value, call, source)
        self.vars.append(made)
        return made

    def input(self, value: Any, where: Callable[[], Any]) -> Standin:
        """A stand-in for a value that is asked for anew at each run."""
        if isinstance(value, float | int) and not isinstance(value, bool | np.generic):
            var = self.var(value, source="input")
            self.inputs.append((where, var))
            return Number(self, var)
        array = np.array(value)
        var = self.var(array, source="input")
        self.inputs.append((where, var))
        return Array(self, var)

    def constant(self, array: np.ndarray) -> Var:
        found = self.constants.get(id(array))
        if found is None or found.value.tobytes() != array.tobytes():  # it may have been written to
            self.kept.append(array)
            found = self.constants[id(array)] = self.var(np.array(array), source="constant")
        return found

    def as_constant(self, array: np.ndarray) -> Array:
        return Array(self, self.constant(array))

    def cell(self, tensor: Tensor) -> Any:
        """The values of a Tensor from outside, which may be others at the next run."""
        if isinstance(tensor._data, Standin):
            return tensor._data
        found = self.cells.get(id(tensor))
        if found is not None:
            return found[1]
        weak, old = ref(tensor), tensor._data
        made = self.input(old, lambda: old if (there := weak()) is None else there._data)
        self.cells[id(tensor)] = (weak, made)
        self.kept.append(tensor)
        return made

    def written(self, tensor: Tensor) -> None:
        """A Tensor is about to get new values."""
        if id(tensor) not in self.data_written:
            self.data_written[id(tensor)] = (ref(tensor), tensor._data)
            self.kept.append(tensor)

    def gradient(self, leaf: Leaf) -> Any:
        """The gradient a leaf has gathered before; None stays None."""
        if id(leaf) not in self.grads:
            there, before, read = ref(leaf), leaf.grad, None
            if before is not None:
                leaf.grad = read = self.input(before, lambda: there().grad)  # type: ignore
            self.grads[id(leaf)] = (there, before, read)
            self.kept.append(leaf)
        return leaf.grad

    def gradient_written(self, leaf: Leaf) -> None:
        """A leaf is about to get another gradient."""
        if id(leaf) not in self.grads:
            self.grads[id(leaf)] = (ref(leaf), leaf.grad, WRITTEN)
            self.kept.append(leaf)

    def setting(self, owner: Any, name: str) -> Any:
        value = getattr(owner, name)
        self.settings[id(owner), name] = (owner, name, value)
        return value

    def refuse(self, why: str) -> NoReturn:
        raise CompileError(why)

    def will_draw(self, rng: np.random.Generator) -> None:
        """Remember where a generator was, so that the program draws at its first run what the function drew."""
        self.drawn_from.setdefault(id(rng), (rng, rng.bit_generator.state))

    def restored(self) -> list[tuple[str, Any, Any]]:
        """What the function has written outside; all is put back as it was before."""
        effects: list[tuple[str, Any, Any]] = []
        self.name_results()
        self.kept.clear()  # and with the notes the graph: of what the function has changed, only what is outside is left
        for weak, old in self.data_written.values():
            tensor = weak()
            if tensor is not None:  # otherwise the function itself made it
                effects.append(("data", tensor, tensor._data))
                tensor._data = old
        for there, before, read in self.grads.values():
            leaf = there()
            if leaf is not None:
                if leaf.grad is not read:
                    effects.append(("grad", leaf, leaf.grad))
                leaf.grad = before
        for (_, name, key), (owner, old, new) in self.slots.items():
            container = getattr(owner, name)
            if container[key] is not new:
                effects.append(("slot", (owner, name, key), container[key]))
            container[key] = old
        for rng, state in self.drawn_from.values():
            rng.bit_generator.state = state
        return effects

    def note(self, node: Any, array: Any) -> None:
        """An op was recorded; what it is called is known later."""
        self.notes.append((node, array.var))

    def name_results(self) -> None:
        for node, var in self.notes:
            if node.name:
                t = node.scope.get("t") if node.scope else None
                self.labels[var] = node.name if t is None else f"{node.name}{t}"
        self.notes.clear()

    def forget(self) -> None:
        """Let go of the values of the recorded run: the program has its own arrays."""
        shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        for var in self.vars:
            var.value, var.strides, var.shape = None, (), shapes.setdefault(var.shape, var.shape)
        self.vars.clear()
        self.calls.clear()
        self.constants.clear()
        self.kept.clear()

    def name_values(self) -> None:
        gone = set()
        for weak, made in self.cells.values():
            tensor = weak()
            if tensor is None:  # made by the function itself, of values that are always the same
                made.var.source = "constant"
                gone.add(made.var)
            elif tensor.name:
                self.labels[made.var] = tensor.name
        self.inputs = [(where, var) for where, var in self.inputs if var not in gone]

    def close(self) -> None:
        """The end of the recording. CompileError if somebody has kept a stand-in, which would never get a value."""
        known = {id(made) for _, made in self.cells.values()} | {id(read) for _, _, read in self.grads.values()}
        self.slots.clear()
        self.closed = True
        if any(id(array) not in known for array in self.live):
            gc.collect()
        for array in self.live:
            if id(array) not in known:
                raise CompileError(
                    f"the function keeps a value of shape {array.shape} outside of itself (in an attribute or a list); "
                    "a program does not do so again at its next run. Return it, and pass it in as an argument at the next call"
                )

    def slot(self, owner: Any, name: str, key: Any) -> Any:
        """What the container that is an attribute of the owner holds at a key, as stand-ins; a new value there is then a result
        of the program. The container may be another one at each run."""
        container = getattr(owner, name)
        if (id(owner), name, key) in self.slots:
            return container[key]
        places: list[Any] = []

        def read(x: Any) -> Any:
            n = len(places)
            places.append(None)
            return self.input(x, lambda: leaves_of(getattr(owner, name)[key])[n])

        old = container[key]
        new = mapped(read, old)
        self.slots[id(owner), name, key] = (owner, old, new)
        container[key] = new
        return new

    # -- calls -----------------------------------------------------------------------------------------------

    def record(self, fn: Callable[..., Any], args: Iterable[Any], options: dict[str, Any], pure: bool = True) -> Any:
        if self.closed:
            raise CompileError("a value that a compiled function has kept while it was recorded is used; it has no value")
        plain = tuple(self.plain(x) for x in args)
        named = {key: self.plain(x) for key, x in options.items()}
        result = fn(*replaced(plain, lambda v: v.value), **{k: replaced(x, lambda v: v.value) for k, x in named.items()})
        call = Call(fn, plain, named, CURRENT.get()[1], pure)
        if isinstance(result, list | tuple):
            call.out = self.var(tuple(result), call)
            self.calls.append(call)
            parts = [self.record(operator.getitem, (call.out, i), {}) for i in range(len(result))]
            return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
        if isinstance(result, float | int) and not isinstance(result, bool | np.generic):
            call.out = self.var(result, call)
            self.calls.append(call)
            return Number(self, call.out)
        array = np.asarray(result)
        call.out = self.var(array, call)
        self.calls.append(call)
        return Array(self, call.out)

    def plain(self, x: Any) -> Any:
        """An argument with Vars in the place of stand-ins and arrays."""
        if isinstance(x, Array | Number):
            if x.recorder is not self:
                raise CompileError("a value of another recording has leaked into this one")
            return x.var
        if isinstance(x, np.ndarray):
            return self.constant(x)
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return type(x)(*(self.plain(y) for y in x))
        if isinstance(x, list | tuple):
            return type(x)(self.plain(y) for y in x)
        if isinstance(x, slice):
            return slice(*(operator.index(y) if y is not None else None for y in (x.start, x.stop, x.step)))
        return x

    def guard(self, var: Var) -> bool:
        outcome = bool(var.value)
        self.guards.append((var, outcome))
        return outcome


def leaves_of(tree: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, tree)
    return found
