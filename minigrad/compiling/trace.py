"""Recording: run a function once with stand-ins for its arrays, and write down every NumPy call that they meet.

The engine itself runs as always, forward and backward; its Tensors hold stand-ins, so what comes out is the program it would
run on arrays. Every call is also carried out at once, which gives shapes and dtypes, and the result of the first run.
"""

from __future__ import annotations

import functools
import gc
import inspect
import math
import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from math import prod
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakValueDictionary, ref

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..graph import CURRENT, Leaf, Node, Scope, move_to
from ..state import Stateful
from ..tensor import Tensor
from ..trees import tree_map
from ..watch import Watch
from .functions import IN_PLACE, METADATA, meaningful, numpy_name, opaque, refusal

__all__ = ["Array", "Call", "CompileError", "Number", "Recorder", "Var", "contents"]


class CompileError(RuntimeError):
    """A function cannot be compiled; the message says what in it, and what to do."""


class Var:
    """A value of the program: what it is, and the call that makes it (None: it comes from outside).

    What it was in the recorded run is there as long as the function needs it, and always of what comes from outside. After
    that `value` is an array of zeros of the same shape and dtype, which takes no memory.
    """

    __slots__ = ("_held", "_weak", "call", "dtype", "kind", "number", "shape", "source", "strides")

    def __init__(self, number: int, value: Any, call: Call | None = None, source: str = "") -> None:
        self.number = number
        is_array = isinstance(value, np.ndarray)
        self.kind: type = type(value)  # of the function's own value; NumPy makes numbers of arrays without axes
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


AFTERWARDS = "a value that a compiled function has kept while it was recorded is used; it has no value"


@functools.lru_cache(maxsize=4)
def step_of(scope: Scope | None) -> int | None:
    """The time step of a scope. The calls of a step follow each other."""
    t = scope.get("t") if scope is not None else None
    return t if isinstance(t, int) else None


class Call:
    """One NumPy call: function, arguments with Vars among them, and the Var it makes."""

    __slots__ = ("args", "block", "fn", "loop", "options", "out", "pure", "scope", "step")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], scope: Any, pure: bool) -> None:
        self.fn = fn
        self.args = args
        self.options = options
        self.scope = scope
        self.step = step_of(scope)  # of the loop over time
        self.pure = pure  # no other effect than its result, and the same result for the same arguments
        self.loop: Any = None  # the loop whose body it is in, see `folding`
        self.block: Any = None  # the loop with whose blocks of steps it is done
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


class Standin:
    """The base of the placeholders for arrays and numbers while a function is recorded."""

    __slots__ = ()

    if TYPE_CHECKING:  # it has what arrays have

        def __getattr__(self, name: str) -> Any: ...

    def __format__(self, spec: str) -> str:
        return format(self.stands_for.value, spec) if by_own_code() else self._text()

    def __str__(self) -> str:
        return str(self.stands_for.value) if by_own_code() else self._text()

    def __repr__(self) -> str:
        return repr(self.stands_for.value) if by_own_code() else self._text()


METHODS = {  # of arrays that are functions of NumPy with the same arguments
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "cumprod", "cumsum",
    "diagonal", "max", "mean", "min", "nonzero", "prod", "repeat", "round", "searchsorted", "std", "sum", "take", "trace",
    "var",
}  # fmt: skip


def refused(what: str) -> Callable[..., NoReturn]:
    """A method that ends the recording."""

    def refusing(self: Any, *_: Any, **__: Any) -> NoReturn:
        raise CompileError(what)

    return refusing


def by_whom() -> str:
    """The function of NumPy that is running, in words."""
    frame, name = sys._getframe(2), ""
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "numpy":
        name, frame = frame.f_code.co_name, frame.f_back  # type: ignore[assignment]
    return f" by np.{name}" if name else ""


OWN = ("minigrad", "minigrad_rnn")
HANDED_ON = ("minigrad.tensor", "minigrad.methods")  # where a Tensor asks what it is asked itself


def by_own_code() -> bool:
    """True if a function of these packages reads the truth or the text of a value, and not one of a user. A program may depend
    on the truth, which it reads again at each run; texts are for errors, which end the recording."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in HANDED_ON:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__"))
    return name.partition(".")[0] in OWN and not name.startswith(__package__)  # which calls the user's function


def comparable(x: Any) -> Any:
    if x is None or isinstance(x, str | bytes):
        raise CompileError(f"an array is compared with {x!r} (== or !=), which is not recorded; for None, write `x is None`")
    return x


class Array(Standin, NDArrayOperatorsMixin):
    """Stands for an array. To `isinstance` it is one, or the number of NumPy that the function would have in its place."""

    __slots__ = ("__weakref__", "recorder", "stands_for", "value")

    def __init__(self, recorder: Recorder, var: Var) -> None:
        self.recorder = recorder
        self.stands_for = var
        self.value = var.value
        recorder.live[id(self)] = self

    _assigned = refused("an attribute of an array is set while a function is recorded; use a method, such as x.reshape(shape)")
    __class__ = property(lambda self: self.stands_for.kind)
    shape = property(lambda self: self.stands_for.shape, _assigned)
    dtype = property(lambda self: self.stands_for.dtype, _assigned)
    ndim = property(lambda self: len(self.stands_for.shape))
    size = property(lambda self: self.stands_for.size)
    itemsize = property(lambda self: self.stands_for.dtype.itemsize)
    nbytes = property(lambda self: self.stands_for.nbytes)
    device = property(lambda self: "cpu")
    T = property(lambda self: self.transpose())
    real = property(lambda self: np.real(self) if self.dtype.kind == "c" else self, _assigned)
    imag = property(lambda self: np.imag(self), _assigned)

    @property
    def mT(self) -> Any:
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return self.swapaxes(-1, -2)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return ufunc_called(self.recorder, ufunc, method, inputs, options)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        return function_called(self.recorder, func, types, args, options)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise CompileError(
            f"the values of an array were asked for{by_whom()} while a function is recorded for compile (np.asarray, np.array, "
            "float(), an assignment into another array): the program runs later, on other values. Use NumPy functions on it as "
            "it is, and np.stack for a list of arrays"
        )

    _control = refused(
        "Python's control flow depends on the values of an array (if, while, int(), float(), .item(), .tolist(), a slice), and "
        "a compiled program takes the same way each time. Use np.where, or leave this function uncompiled"
    )
    __float__ = __int__ = __index__ = item = tolist = __complex__ = __round__ = __trunc__ = _control
    __hash__ = refused(
        "an array is used as a key (in a dict, a set, a cache) while a function is recorded; its values are others at each run"
    )
    _text = refused(
        "the text of an array is asked for (str, print, an f-string) while a function is recorded; its values are others at "
        "each run. Return the array and print it outside, or leave this function uncompiled"
    )
    __reduce_ex__ = refused("an array is pickled while a function is recorded; return it, and save it outside")
    __setitem__ = refused("assigning into an array is not recorded; use np.where, np.stack or np.concatenate")

    def __copy__(self, _: Any = None) -> Array:
        return self

    __deepcopy__ = __copy__

    def __eq__(self, other: Any) -> Any:
        return np.equal(self, comparable(other))

    def __ne__(self, other: Any) -> Any:
        return np.not_equal(self, comparable(other))

    def __bool__(self) -> bool:
        return self.recorder.guard(self.stands_for) if by_own_code() else self._control()

    def setflags(self, write: bool | None = None, align: bool | None = None, uic: bool | None = None) -> None:
        if write:
            raise CompileError("ndarray.setflags(write=True) is not recorded: use a new array, and write into none")

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

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        if order not in ("C", "F"):
            raise CompileError("reshape(order='A') depends on how an array lies in memory; say order='C' or order='F'")
        if copy is False:
            raise CompileError("reshape(copy=False) depends on how an array lies in memory; leave copy= away")
        given = shape[0] if len(shape) == 1 else shape
        full = np.reshape(np.broadcast_to(0, self.shape), given).shape
        if order == "F":
            return self.transpose().reshape(full[::-1]).transpose()
        return self.recorder.record(reshape, (self, full), {})

    def transpose(self, *axes: Any) -> Any:
        given = axes[0] if len(axes) == 1 else axes or None
        order = tuple(range(self.ndim))[::-1] if given is None else normalize_axis_tuple(given, self.ndim)
        return self.recorder.record(transpose, (self, order), {})

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        order = list(range(self.ndim))
        i, j = (normalize_axis_tuple(axis, self.ndim)[0] for axis in (axis1, axis2))
        order[i], order[j] = order[j], order[i]
        return self.transpose(order)

    def squeeze(self, axis: Any = None) -> Any:
        return self.reshape(np.squeeze(np.broadcast_to(0, self.shape), axis).shape)

    def ravel(self, order: str = "C") -> Any:
        if order not in ("C", "F"):
            raise CompileError(
                f"ravel or flatten(order={order!r}) depends on how an array lies in memory; say order='C' or order='F'"
            )
        return self.reshape(-1, order=order)

    flatten = ravel

    def conjugate(self) -> Any:
        return np.conjugate(self) if self.dtype.kind == "c" else self

    conj = conjugate

    def view(self, dtype: Any = None, type: Any = np.ndarray) -> Any:
        if type is not np.ndarray or (hasattr(dtype, "__mro__") and issubclass(dtype, np.ndarray) and dtype is not np.ndarray):
            raise CompileError("a view as another class of arrays is not recorded")
        return self if dtype in (None, np.ndarray) else self.recorder.record(viewed, (self, np.dtype(dtype)), {})

    def copy(self, order: str = "C") -> Array:
        return self

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool | None = True
    ) -> Any:
        wanted = np.dtype(dtype)
        if casting != "unsafe" and not np.can_cast(self.dtype, wanted, casting):
            raise TypeError(f"Cannot cast array data from {self.dtype!r} to {wanted!r} according to the rule {casting!r}")
        return self if wanted == self.dtype else self.recorder.record(cast, (self, wanted), {})

    def as_array(self) -> Array:
        return self

    def dot(self, other: Any, out: Any = None) -> Any:
        if out is not None:
            raise CompileError("out= writes into an array; use the result: a = x.dot(y)")
        return self.recorder.record(dot, (self, other), {})

    def _method(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        unknown = options.keys() - inspect.signature(function).parameters.keys()
        if any(options[key] is not None for key in unknown):
            raise CompileError(
                f"ndarray.{function.__name__}({'=, '.join(sorted(unknown))}=) is not recorded; use np.{function.__name__}"
            )
        return function(self, *args, **{key: x for key, x in options.items() if key not in unknown})

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            return functools.partial(self._method, getattr(np, name))
        if name in IN_PLACE:
            refusing = refused(f"ndarray.{name} writes into the array; use a new one, such as {IN_PLACE[name]}")
            return functools.partial(refusing, self)
        if name.startswith("__") or not (hasattr(np.ndarray, name) or hasattr(self.stands_for.kind, name)):
            raise AttributeError(f"a recorded array has no attribute {name!r}")
        if name == "compress":
            return lambda condition, axis=None, out=None: np.compress(condition, self, axis=axis, out=out)
        raise CompileError(
            f"ndarray.{name} is not recorded: it says how the array lies in memory, or turns it into something that is no "
            "array, and that is another one at each run. Use NumPy functions on the array, or leave this function uncompiled"
        )


def stack(*arrays: Any) -> Any:
    """Arrays of one shape, one after the other along a new first axis."""
    return np.stack(arrays)


def stacked(arrays: Any, axis: int = 0) -> Any:
    if axis:
        return first(*arrays).recorder.record(np.stack, (list(arrays), axis), {})
    return first(*arrays).recorder.record(stack, tuple(arrays), {})


def reduction(ufunc: np.ufunc) -> Callable[..., Any]:
    return lambda x, axis=None, keepdims=False: ufunc.reduce(x, axis=axis, keepdims=keepdims)


REDUCTIONS = {np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum}
USUAL: dict[Any, Callable[..., Any]] = {  # as the passes know them; their keywords are those in the lambda, and no others
    np.reshape: lambda x, shape, order="C", copy=None: x.reshape(shape, order=order, copy=copy),
    np.transpose: lambda x, axes=None: x.transpose(axes),
    np.swapaxes: lambda x, axis1, axis2: x.swapaxes(axis1, axis2),
    np.squeeze: lambda x, axis=None: x.squeeze(axis),
    np.ravel: lambda x, order="C": x.ravel(order),
    np.copy: lambda x, order="K", subok=False: x,
    **{fn: reduction(ufunc) for fn, ufunc in REDUCTIONS.items()},
}
VIEWS = {np.broadcast_to, np.expand_dims}
KNOWN = {*VIEWS, np.where, np.concatenate, np.stack, np.dot}  # to the passes, in their usual form


def function_called(recorder: Recorder, fn: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
    """A NumPy function has met a stand-in."""
    if any(issubclass(t, Tensor) for t in types):
        return NotImplemented
    if type(fn) is FunctionType and hasattr(fn, "__wrapped__"):  # not one of NumPy's, but of `array_function`
        return own_called(recorder, fn, args, options)
    if fn in (np.asarray, np.array):
        return made_array(recorder, args[0], args[1] if len(args) > 1 else options.get("dtype"))
    if fn in METADATA:
        return fn(*tree_map(value_of, args), **tree_map(value_of, options))
    why = refusal(fn, args, options, has_standin)
    if why:
        raise CompileError(f"{numpy_name(fn)} is not recorded: {why}")
    options = meaningful(fn, options)
    if fn in USUAL and has_usual_options(fn, args, options):
        return USUAL[fn](*args, **options)
    if fn in KNOWN:
        return known_called(recorder, fn, args, options)
    return recorder.record_call(fn, args, options)


def has_usual_options(fn: Any, args: Any, options: Any) -> bool:
    """True if a call has only such options as its function in `USUAL` has."""
    return (
        type(args[0] if args else None) is Array
        and not has_standin((args[1:], *options.values()))
        and (len(args) <= 2 or fn not in REDUCTIONS)
        and options.keys() <= set(USUAL[fn].__code__.co_varnames)
    )


def known_called(recorder: Recorder, fn: Any, args: Any, options: Any) -> Any:
    """Record a call of a function that passes rewrite: in its usual form as it is, otherwise as an opaque one."""
    if fn is np.dot and len(args) == 2 and not options:
        return recorder.record(dot, args, {})
    if fn is np.stack and len(args) <= 2 and options.keys() <= {"axis"} and any(type(x) is Array for x in args[0]):
        axis = args[1] if len(args) > 1 else options.get("axis", 0)
        if type(axis) is int:
            return stacked(args[0], axis)
    if is_usual(fn, args, options):
        return recorder.record(fn, args, options)
    return recorder.record_call(opaque(fn), args, options)


def own_called(recorder: Recorder, fn: Any, args: Any, options: Any) -> Any:
    """A function of these packages, or of a user's op, has met a stand-in: its call is recorded as one."""
    function = fn.__wrapped__
    generator = next((x for x in args if isinstance(x, np.random.Generator)), None)
    if generator is None:
        return recorder.record(function, args, options)
    if type(generator) is not np.random.Generator:  # an argument of the recorded function, which records what it draws
        return function(*args, **options)

    def draw() -> Any:
        return function(*args, **options)

    draw.__name__ = function.__name__
    return recorder.record_draw(generator, draw, (), {})


def made_array(recorder: Recorder, x: Any, dtype: Any) -> Any:
    if not isinstance(x, Standin):
        return recorder.as_constant(np.array(x, dtype))
    made = x.as_array()
    return made if dtype is None else made.astype(dtype)


def is_usual(fn: Any, args: Any, options: Any) -> bool:
    """Whether a call has the form in which the passes know the function."""
    if fn is np.where:
        return len(args) == 3
    if fn is np.concatenate:
        axis = args[1] if len(args) > 1 else options.get("axis", 0)
        arrays = args and isinstance(args[0], list | tuple) and all(isinstance(x, Array | np.ndarray) for x in args[0])
        return arrays and len(args) <= 2 and options.keys() <= {"axis"} and (axis is None or type(axis) is int)
    return len(args) == 2 and type(args[0]) is Array and not options and not has_standin(args[1]) and fn in VIEWS


def ufunc_called(recorder: Recorder, ufunc: np.ufunc, method: str, inputs: Any, options: Any) -> Any:
    """A ufunc, or a method of it, has met a stand-in."""
    if any(isinstance(x, Tensor) for x in inputs):
        return NotImplemented
    out = options.pop("out", None)
    if any(x is not None for x in (out if isinstance(out, tuple) else (out,))):
        raise CompileError(
            f"writing into an array (a += b, out=a) is not recorded, here by np.{ufunc.__name__}; use the result: a = a + b"
        )
    if method == "at":
        raise CompileError(
            f"np.{ufunc.__name__}.at is not recorded: it writes into an array; write it as a gather, a[i], of another one"
        )
    texts = ufunc is np.multiply and any(isinstance(x, list | tuple | str | bytes) for x in inputs)
    if texts and any(type(x) is Array and x.stands_for.kind is not np.ndarray for x in inputs):
        raise CompileError("a list or a text times a number of NumPy is not recorded; give an array")
    if method == "__call__":
        options = meaningful(ufunc, options)
        if "where" in options:
            raise CompileError(
                f"np.{ufunc.__name__}(where=mask) without an array to write into leaves the other elements to chance; use "
                "np.where(mask, result, other)"
            )
        if options or has_standin(options):
            return recorder.record_call(opaque(ufunc), inputs, options)
        return recorder.record(ufunc, inputs, {})
    if method == "reduce":
        return reduced(recorder, ufunc, inputs, options)
    return recorder.record_call(opaque(getattr(ufunc, method)), inputs, options)


def reduced(recorder: Recorder, ufunc: np.ufunc, inputs: Any, options: Any) -> Any:
    """Record a reduction. The passes rewrite the form without `keepdims`, so those are a reshape."""
    fn = ufunc.reduce
    axis, given = options.pop("axis", 0), meaningful(ufunc, options)
    exact = {"keepdims", "initial"} if ufunc in (np.maximum, np.minimum) else {"keepdims"}
    usual = given.keys() <= exact and type(inputs[0]) is Array and inputs[0].shape
    if not usual or has_standin((axis, *given.values())):
        return recorder.record_call(opaque(fn), inputs, {"axis": axis, **given})
    keepdims = given.pop("keepdims", False)
    made = recorder.record(fn, inputs, {"axis": axis, **given})
    if not keepdims or not isinstance(made, Array):
        return made
    return made.reshape(np.add.reduce(np.broadcast_to(0, inputs[0].shape), axis=axis, keepdims=True).shape)


def first(*args: Any) -> Array:
    return next(x for x in args if isinstance(x, Array))


def has_standin(x: Any) -> bool:
    """Whether it is a stand-in, or a container of some."""
    return isinstance(x, Standin) or (isinstance(x, list | tuple) and any(map(has_standin, x)))


def value_of(x: Any) -> Any:
    return x.stands_for.value if isinstance(x, Standin) else x


def read_only(v: Var) -> Any:
    """What a Var stands for, as the function would have it, so that nobody writes into it."""
    if not isinstance(v.value, np.ndarray):
        return v.value
    if v.kind is not np.ndarray:
        return v.value[()]
    view = v.value.view()
    view.flags.writeable = False
    return view


def kind_of(x: Any) -> type:
    """What `isinstance` is to find: an array, a number of NumPy, or a bool of Python."""
    return type(x) if isinstance(x, bool | np.generic) else np.ndarray


class Number(Standin):
    """Stands for a Python number, such as a learning rate; what is computed with it stays one, and so promotes nothing.

    To `isinstance` it is a number; only `type` tells that it is not.
    """

    __slots__ = ("recorder", "stands_for")

    def __init__(self, recorder: Recorder, var: Var) -> None:
        self.recorder = recorder
        self.stands_for = var

    _static = "If it is always the same, say so: compile(f, static=('its name',))"
    __class__ = property(lambda self: self.stands_for.kind)
    _plain = __index__ = __int__ = __float__ = __complex__ = __array__ = __iter__ = refused(
        "a number that may be another at each run is used as a size, an index or in a condition, or is turned into an array "
        f"or a plain number (math.sqrt does so; np.sqrt does not). {_static}"
    )
    __hash__ = refused(f"a number that may be another at each run is used as a key (in a dict, a set or a cache). {_static}")
    _text = refused(f"the text of a number that may be another at each run is asked for (str, print, an f-string). {_static}")
    __reduce_ex__ = refused(f"a number that may be another at each run is pickled. {_static}")
    real = property(lambda self: self)

    def __copy__(self, _: Any = None) -> Number:
        return self

    __deepcopy__ = __copy__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return ufunc_called(self.recorder, ufunc, method, inputs, options)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        return function_called(self.recorder, func, types, args, options)

    def astype(self, dtype: Any) -> Any:
        return self.recorder.record(as_array, (self, np.dtype(dtype)), {})

    def as_array(self) -> Any:
        return self.astype(np.dtype(self.stands_for.kind))

    def __bool__(self) -> bool:
        return self.recorder.guard(self.stands_for) if by_own_code() else self._plain()

    def __round__(self, digits: Any = None) -> Any:
        return self.recorder.record(round, (self,) if digits is None else (self, digits), {})

    def __getattr__(self, name: str) -> Any:
        if hasattr(self.stands_for.kind, name) and not name.startswith("__"):
            raise CompileError(f".{name} of a number that may be another at each run is asked for. {self._static}")
        raise AttributeError(f"{self.stands_for.kind.__name__!r} object has no attribute {name!r}")


def unary(name: str, fn: Callable[..., Any]) -> None:
    setattr(Number, f"__{name}__", lambda self: self.recorder.record(fn, (self,), {}))


def binary(name: str, fn: Callable[..., Any]) -> None:
    def straight(self: Number, other: Any) -> Any:
        if isinstance(other, Array) or not isinstance(other, int | float | complex):
            return NotImplemented
        return self.recorder.record(fn, (self, other), {})

    def reflected(self: Number, other: Any) -> Any:
        if isinstance(other, Array) or not isinstance(other, int | float | complex):
            return NotImplemented
        return self.recorder.record(fn, (other, self), {})

    setattr(Number, f"__{name}__", straight)
    if fn not in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        setattr(Number, f"__r{name}__", reflected)


for _name in ("neg", "abs", "pos", "invert"):
    unary(_name, getattr(operator, _name))
for _name in ("floor", "ceil", "trunc"):
    unary(_name, getattr(math, _name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_", "xor"):
    binary(_name.strip("_"), getattr(operator, _name))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    binary(_name, getattr(operator, _name))
binary("divmod", divmod)


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
        return self.recorder.input(x, lambda: leaves_of(getattr(owner, owner.updated)[i])[n])

    def __setitem__(self, i: Any, new: Any) -> None:
        assert self.update is not None
        move_to(self.update.parent)
        super().__setitem__(i, new)

    def replaced(self) -> list[tuple[int, Any]]:
        """Return the states that have been replaced, by their number."""
        return [(i, new) for i, new in enumerate(self) if i in self.was and new is not self.was[i]]


class Recorder(Watch):
    """A program being recorded."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.guards: list[tuple[Var, bool]] = []
        self.count = 0
        self.vars: list[Var] = []
        self.constants: dict[int, Var] = {}  # by id of the array
        self.kept: list[Any] = []  # so that no id is used twice
        self.inputs: list[tuple[Callable[[], Any], Var]] = []  # where each comes from, at each run
        self.cells: dict[int, tuple[Any, Any, Any]] = {}  # by id of the Tensor: it, its stand-in, and its array
        self.grads: dict[
            int, tuple[Callable[[], Leaf | None], Any, Any]
        ] = {}  # by id of the leaf: it, its gradient, and the stand-in if it was read
        # Objects with a state, with what their attributes were, and the placeholders in their place.
        self.states: list[tuple[Stateful, dict[str, Any], dict[str, Any]]] = []
        self.replaced = ""  # an attribute of them that the function has set, in words
        self.notes: list[tuple[Any, Var]] = []
        self.gradients: list[tuple[Any, Var]] = []  # of nodes
        self.of_leaves: list[tuple[Var, str]] = []  # gradients of leaves, and whose they are
        self.labels: dict[Var, str] = {}
        self.live: WeakValueDictionary[int, Array] = WeakValueDictionary()
        self.closed = False
        self.block = 1  # steps that are batched at a time
        # By id of a generator: it, and its states before the first recorded draw and after the last one.
        self.drawn_from: dict[int, tuple[np.random.Generator, Any, Any]] = {}

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
        array = np.array(plain_array(value))
        var = self.var(array, source="input")
        var.kind = kind_of(value)
        self.inputs.append((where, var))
        return Array(self, var)

    def constant(self, array: np.ndarray) -> Var:
        found = self.constants.get(id(array))
        if (
            found is None or not same_bits(found.value, array)  # it may have been written to, or its id is another's now
        ):
            self.kept.append(array)
            found = self.constants[id(array)] = self.var(np.array(array), source="constant")
        return found

    def as_constant(self, array: np.ndarray) -> Array:
        return Array(self, self.constant(array))

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
        """What the function has written outside; all is put back as it was before."""
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
            var.value, var.strides, var.shape = None, (), shapes.setdefault(var.shape, var.shape)
            if var not in used:
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
        known = {id(made) for _, made, _ in self.cells.values()} | {id(read) for _, _, read in self.grads.values()}
        self.closed = True
        if any(id(array) not in known for array in self.live.values()):
            gc.collect()
        for array in self.live.values():
            if id(array) not in known:
                raise CompileError(
                    f"the function keeps a value of shape {array.shape} outside of itself (in an attribute or a list); "
                    "a program does not do so again at its next run. Return it, and pass it in as an argument at the next call"
                )

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

    def record(self, fn: Callable[..., Any], args: Iterable[Any], options: dict[str, Any], pure: bool = True) -> Any:
        if self.closed:
            raise CompileError(AFTERWARDS)
        plain: list[Any] = []
        values: list[Any] = []
        for x in args:
            if type(x) is Array and x.recorder is self:
                plain.append(x.stands_for)
                values.append(x.value)
            else:
                plain.append(self.plain(x))
                values.append(replaced(plain[-1], lambda v: v.value))
        if not options:
            return self.recorded(fn, tuple(plain), {}, fn(*values), pure)
        named = {key: self.plain(x) for key, x in options.items()}
        result = fn(*values, **{k: replaced(x, lambda v: v.value) for k, x in named.items()})
        return self.recorded(fn, tuple(plain), named, result, pure)

    def record_call(self, fn: Callable[..., Any], args: Iterable[Any], options: dict[str, Any], pure: bool = True) -> Any:
        """The same for a function that somebody else calls, which may write into its arguments: they are read-only then."""
        plain, named = self.arguments(args, options)
        try:
            result = fn(*replaced(plain, read_only), **{k: replaced(x, read_only) for k, x in named.items()})
        except ValueError as error:
            if "read-only" in str(error) or "writ" in str(error):
                raise CompileError(
                    f"{numpy_name(fn)} writes into an array, which is not recorded; use a function that returns a new one"
                ) from None
            raise
        return self.recorded(fn, plain, named, result, pure)

    def arguments(self, args: Iterable[Any], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.closed:
            raise CompileError(AFTERWARDS)
        return tuple(self.plain(x) for x in args), {key: self.plain(x) for key, x in options.items()}

    def recorded(self, fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], result: Any, pure: bool) -> Any:
        call = Call(fn, args, options, CURRENT.get()[1], pure)
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
        if array.dtype.kind not in "biufcmM" or type(result) is complex:
            what = f"an array of {array.dtype}" if isinstance(result, np.ndarray) else f"a {type(result).__name__}"
            while fn is operator.getitem and args[0].call is not None:  # of a function with several results
                fn, args = args[0].call.fn, args[0].call.args
            raise CompileError(
                f"{numpy_name(fn)} gives {what}, not an array of numbers, and is not recorded; call it outside of the "
                "compiled function, or leave this function uncompiled"
            )
        call.out = self.var(array, call)
        call.out.kind = kind_of(result)
        self.calls.append(call)
        return Array(self, call.out)

    def plain(self, x: Any) -> Any:
        """An argument with Vars in the place of stand-ins and arrays."""
        if isinstance(x, Array | Number):
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
            return slice(*(operator.index(y) if y is not None else None for y in (x.start, x.stop, x.step)))
        if isinstance(x, dict) and any(isinstance(y, Standin) for y in x.values()):
            raise CompileError("a dict of recorded values is given to a NumPy function; give them one by one")
        return x

    def guard(self, var: Var) -> bool:
        outcome = bool(var.value)
        self.guards.append((var, outcome))
        return outcome


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """True if two arrays have one shape, one dtype and the same bits."""
    return x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()


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


def leaves_of(tree: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, tree)
    return found
