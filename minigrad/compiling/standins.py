"""Stand-ins for arrays, numbers and generators, with which a function that is recorded computes.

Each NumPy call that meets one is written down and carried out at once.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .trace import CompileError, Var, as_array, cast, dot, reshape, transpose, viewed, zeros

if TYPE_CHECKING:
    from .recorder import Recorder

__all__ = ["Array", "Draws", "Number", "Standin"]


class Standin:
    """The base of the placeholders for arrays and numbers while a function is recorded."""

    __slots__ = ("recorder", "stands_for")

    def __init__(self, recorder: Recorder, var: Var) -> None:
        self.recorder = recorder
        self.stands_for = var

    if TYPE_CHECKING:  # it has what arrays have

        def __getattr__(self, name: str) -> Any: ...

    __class__ = property(lambda self: self.stands_for.kind)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return self.recorder.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        return self.recorder.function(function, types, args, options)

    def __copy__(self, _: Any = None) -> Standin:
        return self

    __deepcopy__ = __copy__

    def __format__(self, spec: str) -> str:
        return format(self.stands_for.value, spec) if by_own_code() else self._text()

    def __str__(self) -> str:
        return str(self.stands_for.value) if by_own_code() else self._text()

    def __repr__(self) -> str:
        return repr(self.stands_for.value) if by_own_code() else self._text()


IN_PLACE = {  # methods that write into the array, and what to write instead
    "fill": "np.full_like(x, value)", "sort": "np.sort(x)", "partition": "np.partition(x, k)", "resize": "np.resize(x, shape)",
    "put": "np.where(mask, new, old)", "setfield": "np.where(mask, new, old)",
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


def check_order(name: str, order: str) -> None:
    if order not in ("C", "F"):
        raise CompileError(f"{name}(order={order!r}) depends on how an array lies in memory; say order='C' or order='F'")


def comparable(x: Any) -> Any:
    if x is None or isinstance(x, str | bytes):
        raise CompileError(f"an array is compared with {x!r} (== or !=), which is not recorded; for None, write `x is None`")
    return x


class Array(Standin, NDArrayOperatorsMixin):
    """Stands for an array. To `isinstance` it is one, or the number of NumPy that the function would have in its place."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, recorder: Recorder, var: Var, value: np.ndarray) -> None:
        self.recorder = recorder
        self.stands_for = var
        self.value = value
        recorder.live.append(ref(self))

    _assigned = refused("an attribute of an array is set while a function is recorded; use a method, such as x.reshape(shape)")
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
        return self.swapaxes(-1, -2)

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
        check_order("reshape", order)
        if copy is False:
            raise CompileError("reshape(copy=False) depends on how an array lies in memory; leave copy= away")
        given = shape[0] if len(shape) == 1 else shape
        full = np.reshape(zeros(self.shape, bool), given).shape
        if order == "F":
            return self.transpose().reshape(full[::-1]).transpose()
        return self.recorder.record(reshape, (self, full), {})

    def transpose(self, *axes: Any) -> Any:
        numbers = zeros(tuple(range(self.ndim)), bool)  # whose shape has the numbers of its axes
        return self.recorder.record(transpose, (self, numbers.transpose(*axes).shape), {})

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return self.transpose(zeros(tuple(range(self.ndim)), bool).swapaxes(axis1, axis2).shape)

    def squeeze(self, axis: Any = None) -> Any:
        return self.reshape(zeros(self.shape, bool).squeeze(axis).shape)

    def ravel(self, order: str = "C") -> Any:
        check_order("ravel or flatten", order)
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
        if name in IN_PLACE:
            refusing = refused(f"ndarray.{name} writes into the array; use a new one, such as {IN_PLACE[name]}")
            return functools.partial(refusing, self)
        if name.startswith("__") or not (hasattr(np.ndarray, name) or hasattr(self.stands_for.kind, name)):
            raise AttributeError(f"a recorded array has no attribute {name!r}")
        if name == "compress":
            return lambda condition, axis=None, out=None: np.compress(condition, self, axis=axis, out=out)
        if hasattr(np.ndarray, name) and hasattr(np, name):  # a function of NumPy with the same arguments
            return functools.partial(self._method, getattr(np, name))
        raise CompileError(
            f"ndarray.{name} is not recorded: it says how the array lies in memory, or turns it into something that is no "
            "array, and that is another one at each run. Use NumPy functions on the array, or leave this function uncompiled"
        )


class Number(Standin):
    """Stands for a Python number, such as a learning rate; what is computed with it stays one, and so promotes nothing.

    To `isinstance` it is a number; only `type` tells that it is not.
    """

    __slots__ = ()

    _static = "If it is always the same, say so: compile(f, static=('its name',))"
    _plain = __index__ = __int__ = __float__ = __complex__ = __array__ = __iter__ = refused(
        "a number that may be another at each run is used as a size, an index or in a condition, or is turned into an array "
        f"or a plain number (math.sqrt does so; np.sqrt does not). {_static}"
    )
    __hash__ = refused(f"a number that may be another at each run is used as a key (in a dict, a set or a cache). {_static}")
    _text = refused(f"the text of a number that may be another at each run is asked for (str, print, an f-string). {_static}")
    __reduce_ex__ = refused(f"a number that may be another at each run is pickled. {_static}")
    real = property(lambda self: self)

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
    def operation(reflected: bool) -> Callable[[Number, Any], Any]:
        def computed(self: Number, other: Any) -> Any:
            if isinstance(other, Array) or not isinstance(other, int | float | complex):
                return NotImplemented
            return self.recorder.record(fn, (other, self) if reflected else (self, other), {})

        return computed

    setattr(Number, f"__{name}__", operation(False))
    if name not in COMPARISONS:
        setattr(Number, f"__r{name}__", operation(True))


COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
for _name in ("neg", "abs", "pos", "invert"):
    unary(_name, getattr(operator, _name))
for _name in ("floor", "ceil", "trunc"):
    unary(_name, getattr(math, _name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_", "xor", *COMPARISONS):
    binary(_name.strip("_"), getattr(operator, _name))
binary("divmod", divmod)


NOT_DRAWN = {
    "shuffle": "it writes into an array; use x = rng.permutation(x)",
    "spawn": "its generators are others at each run; give them as arguments",
    "bit_generator": "it is another at each run; draw numbers with the generator itself",
    "bytes": "it gives bytes, not an array; use rng.integers(256, size=n, dtype=np.uint8)",
}


class Draws:
    """A random generator given to a recorded function: what is drawn from it is drawn anew at each run, from the one given
    then."""

    def __init__(self, recorder: Recorder, rng: np.random.Generator) -> None:
        self._recorder = recorder
        self.rng = rng

    __class__ = property(lambda self: np.random.Generator)

    def __getattr__(self, name: str) -> Any:
        if name in NOT_DRAWN or name.startswith("_"):
            raise CompileError(f"Generator.{name} is not recorded: {NOT_DRAWN.get(name, 'it does not return numbers drawn')}")
        if not hasattr(np.random.Generator, name):
            raise AttributeError(f"'numpy.random.Generator' object has no attribute {name!r}")

        def draw(*args: Any, **options: Any) -> Any:
            return getattr(self.rng, name)(*args, **options)

        def recorded(*args: Any, **options: Any) -> Any:
            if options.get("out") is not None:
                raise CompileError(f"Generator.{name}(out=) writes into an array; use the result: a = rng.{name}(...)")
            return self._recorder.record_draw(self.rng, draw, args, {k: x for k, x in options.items() if k != "out"})

        draw.__name__ = name
        return recorded

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise CompileError("a generator is copied or pickled while a function is recorded; its state is another at each run")
