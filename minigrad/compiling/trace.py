"""The trace of a recorded function: its values, and the NumPy calls that make them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod
from typing import Any
from weakref import ref

import numpy as np

from ..graph import Scope

__all__ = ["Call", "CompileError", "Var"]


class CompileError(RuntimeError):
    """A function cannot be compiled; the message says what in it, and what to do."""


class Var:
    """A value of the program: what it is, and the call that makes it (None: it comes from outside).

    What it was in the recorded run is there as long as the function needs it, and always of what comes from outside. After
    that `value` is an array of zeros of the same shape and dtype, which takes no memory.
    """

    __slots__ = ("_held", "_weak", "call", "dtype", "kind", "number", "shape", "source", "strides")
    _weak: Callable[[], Any] | None

    def __init__(self, number: int, value: Any, call: Call | None = None, source: str = "") -> None:
        self.number = number
        self.kind: type = type(value)  # of the function's own value; NumPy makes numbers of arrays without axes
        self.call = call
        self.source = source  # "constant" or "input", of what no call makes
        self.shape: tuple[int, ...] = ()
        self.strides: tuple[int, ...] = ()
        self.dtype: Any = None  # of a number of Python
        self._held, self._weak = value, None
        if isinstance(value, np.ndarray):
            self.shape, self.strides, self.dtype = value.shape, value.strides, value.dtype
            if call is not None:
                self._held, self._weak = None, ref(value)

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


NOTHING = bytes(64)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that are all the same one."""
    return np.ndarray(shape, dtype, NOTHING, 0, (0,) * len(shape))


@functools.lru_cache(maxsize=4)
def step_of(scope: Scope | None) -> int | None:
    """The time step of a scope. The calls of a step follow each other."""
    t = scope.get("t") if scope is not None else None
    return t if isinstance(t, int) else None


class Call:
    """One NumPy call: function, arguments with Vars among them, and the Var it makes."""

    __slots__ = ("_inputs", "_named", "_of", "args", "block", "fn", "loop", "options", "out", "pure", "scope", "step")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], scope: Any, pure: bool) -> None:
        self.fn = fn
        self.args = args
        self.options = options
        self.scope = scope
        self.step = step_of(scope)  # of the loop over time
        self.pure = pure  # no other effect than its result, and the same result for the same arguments
        self.loop: Any = None  # the loop whose body it is in, see `folding`
        self.block: Any = None  # the loop with whose blocks of steps it is done
        self._of: Any = None  # the arguments of which it has the inputs,
        self._named: Any = None  # and those with names
        self._inputs: list[Var] = []
        self.out: Var = None  # type: ignore[assignment]

    def inputs(self) -> list[Var]:
        """List the Vars among the arguments. Those of the same arguments are looked for once: every pass asks for them."""
        if self._of is not self.args or self._named is not self.options:
            self._of, self._named = self.args, self.options
            self._inputs = variables(self.args)
            if self.options:
                self._inputs = self._inputs + variables(tuple(self.options.values()))
        return self._inputs


CONTAINERS = (list, tuple)


def variables(x: Any) -> list[Var]:
    """List those in an argument, or a tuple of them."""
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


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """True if two arrays have one shape, one dtype and the same bits."""
    return x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()


# -- calls that stand for methods of arrays --------------------------------------------------------------------


def reshape(x: Any, shape: Any) -> Any:
    return np.reshape(x, shape)


def transpose(x: Any, axes: Any) -> Any:
    return np.transpose(x, axes)


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


def stack(*arrays: Any) -> Any:
    """Arrays of one shape, one after the other along a new first axis."""
    return np.stack(arrays)
