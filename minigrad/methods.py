"""Operators and methods of a Tensor, and the protocols by which NumPy calls the functions of the table or reads the values.

They are set on the class here, and so `tensor` needs no import of the table. The functions themselves become methods, with
nothing around them: that saves a Python call (60 ns) in every operator.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .errors import LeavesGraphError
from .graph import CURRENT, Leaf
from .hints import Missing, missing
from .ops.arranging import ravel
from .ops.elementwise import positive
from .ops.entry import numpy_name, only_defaults
from .ops.shape import reshape, transpose
from .ops.table import ACCUMULATIONS, FUNCTIONS, NAMED, PLAIN, PUBLIC, REDUCTIONS, UFUNCS
from .tensor import Tensor, plain

__all__ = ["METHODS"]

# -- NumPy's protocols -----------------------------------------------------------------------------------------


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
    function: Callable[..., Any] | None = None
    if method == "__call__":
        function = UFUNCS.get(ufunc)
    elif method == "reduce":
        function = REDUCTIONS.get(ufunc)
        options.setdefault("axis", 0)
    elif method == "accumulate":
        function = ACCUMULATIONS.get(ufunc)
        options.setdefault("axis", 0)
    if out is None and function is not None:
        return called(function, ufunc, inputs, options)
    name = numpy_name(ufunc) + ("" if method == "__call__" else f".{method}")
    if out is not None:
        if any(isinstance(x, Tensor) for x in out):
            raise TypeError(f"{name}(..., out=tensor): a Tensor's values are never written to; use the result")
        if any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
            raise LeavesGraphError(
                f"{name}(..., out=array), or an operator like a += t, would write a tensor that requires grad into an "
                "array and cut it out of the graph; use the result: a = a + t"
            )
        options["out"] = out
    return outside(name, getattr(ufunc, method), inputs, options, allowed=ufunc in PLAIN and out is None)


def array_function(self: Tensor, func: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
    function = FUNCTIONS.get(func)
    if function is not None:
        return called(function, func, args, options)
    return outside(numpy_name(func), func, args, options, allowed=func in PLAIN)


def as_array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """Return its values; raise LeavesGraphError if it requires grad."""
    self._stays("turning it into a NumPy array (np.asarray, np.array, a[...] = t, a list of tensors)")
    return np.array(self.numpy(), dtype=dtype, copy=copy)


def no_mask(self: Tensor) -> Any:
    """Attribute that `numpy.ma` looks for, to take the values without calling ``__array__``."""
    self._stays("an operation with a masked array")
    return np.ma.nomask


def called(function: Callable[..., Any], numpys: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    """Call the table's own version of a NumPy function. It may have fewer options."""
    try:
        return function(*args, **options)
    except TypeError:
        known = inspect.signature(function).parameters
        unknown = {option: value for option, value in options.items() if option not in known}
        if not unknown:
            raise
    only_defaults(numpys, unknown)
    return function(*args, **{option: value for option, value in options.items() if option in known})


def outside(name: str, function: Callable[..., Any], args: Any, options: Any, allowed: bool) -> Any:
    """Call a NumPy function that has no derivative here on plain arrays, if that cuts no graph."""

    def unwrapped(x: Any) -> Any:
        if isinstance(x, Tensor):
            if x.requires_grad and not allowed:
                raise LeavesGraphError(
                    f"{name} has no derivative in minigrad, and this tensor requires grad. If you need only the "
                    "values, call it on t.detach().numpy(); if you need the gradient, write it with the functions "
                    "that minigrad has, listed by minigrad.ops.TABLE"
                )
            return x.numpy()
        if isinstance(x, list | tuple):
            return type(x)([unwrapped(y) for y in x])
        return x

    return function(*unwrapped(tuple(args)), **{key: unwrapped(value) for key, value in options.items()})


# -- methods that differ from the functions --------------------------------------------------------------------


def reshaped(self: Tensor, *shape: Any, **others: Any) -> Tensor:
    """The same elements in another shape: ``t.reshape(2, 3)``, ``t.reshape((2, -1))``."""
    if others:
        only_defaults(np.reshape, others)
    return reshape(self, shape[0] if len(shape) == 1 else shape)  # type: ignore[no-any-return]


def transposed(self: Tensor, *axes: Any) -> Tensor:
    """The axes in another order, reversed by default: ``t.transpose(1, 0, 2)``, ``t.transpose((1, 0, 2))``."""
    return transpose(self, axes[0] if len(axes) == 1 else axes or None)  # type: ignore[no-any-return]


def flatten(self: Tensor, order: str = "C") -> Tensor:
    """The elements as a vector, the last axis running fastest. `order` is "C" only."""
    return ravel(self, order)  # type: ignore[no-any-return]


def copy(self: Tensor, order: str = "C") -> Tensor:
    """The same values as another tensor, through which the gradient flows back to this one."""
    return positive(self)  # type: ignore[no-any-return]


def not_assignable(self: Tensor, index: Any, value: Any) -> None:
    """Raise TypeError: ``t[i] = v``."""
    raise TypeError(
        "a Tensor's values cannot be assigned to: t[i] = v would change what a recorded graph was computed with. "
        "Build a new tensor: np.where(mask, v, t), np.stack([...]) or np.concatenate([...]); "
        "for a parameter, p.data = new_values"
    )


def contains(self: Tensor, value: Any) -> bool:
    """True if an element is equal to `value`: ``value in t``."""
    return bool((self == value).any())


def rounded(self: Tensor, decimals: int | None = None) -> Any:
    """The values rounded: ``round(t, 2)``."""
    return self.round(decimals or 0)


def floor_and_remainder(self: Any, other: Any) -> tuple[Any, Tensor]:
    """The results of ``//`` and ``%``: ``divmod(t, x)``."""
    return self // other, self % other


def formatted(self: Tensor, spec: str) -> str:
    """One number as Python formats it, several each by itself: ``f"{t:.2f}"``."""
    if not spec:
        return str(self)
    if self.size == 1:
        return format(self.item(), spec)
    return np.array2string(self._data, separator=", ", formatter={"all": lambda x: format(x.item(), spec)})  # type: ignore[arg-type]


def text_of(self: Tensor) -> str:
    """The values, and what is not as usual: ``repr(t)``."""
    parts = [np.array2string(self._data, separator=", ", prefix="tensor(")]
    if self.dtype not in (np.dtype(float), np.dtype(int), np.dtype(bool)):
        parts.append(f"dtype={self.dtype}")
    if self._node is not None:
        parts.append("requires_grad=True" if self.is_leaf else f"op={self._node.op.name}")
    if self.name is not None:
        parts.append(f"name={self.name!r}")
    return f"tensor({', '.join(parts)})"


def reduced(self: Tensor) -> Any:
    """How copies and pickles of a leaf are made."""
    if not self.is_leaf:
        raise TypeError(
            "cannot copy or pickle (as matplotlib does with what it plots) a tensor that a recorded op computed, here "
            f"{self._node.op.name}; use t.detach(), or t.detach().numpy() for a plain array"  # type: ignore[union-attr]
        )
    return rebuilt, (type(self), self._data, self.requires_grad, self.name, self.grad)


def rebuilt(kind: type[Tensor], array: np.ndarray, requires_grad: bool, name: str | None, grad: np.ndarray | None) -> Tensor:
    """The inverse of ``__reduce__``."""
    made = kind.__new__(kind)
    Tensor.__init__(made, array, requires_grad=requires_grad, name=name)
    made.grad = grad
    return made


def directory(self: Tensor) -> list[str]:
    """The names of its attributes, without those that raise a hint: ``dir(t)``."""
    return [name for name in object.__dir__(self) if not isinstance(vars(Tensor).get(name), Missing)]


def of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method for a function of NumPy that gives plain arrays."""

    def method(self: Tensor, *args: Any, **options: Any) -> Any:
        return function(plain(self), *args, **options)

    method.__name__ = method.__qualname__ = function.__name__
    method.__doc__ = f"``np.{function.__name__}`` of the values: plain NumPy, through which no gradient flows."
    method.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return method


# -- operators -------------------------------------------------------------------------------------------------

ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "truediv", "%": "mod", "**": "pow", "@": "matmul"}
STEPPED = ("lt", "le", "gt", "ge", "eq", "ne", "floordiv")  # whose results have no slope, as steps have none


def reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def swapped(self: Tensor, other: Any) -> Any:
        return function(other, self)

    return swapped


def on_values(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator that gives plain arrays, for no gradient flows through it."""

    def compared(self: Any, other: Any) -> Any:
        return function(plain(self), plain(other))

    return compared


def in_place(sign: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``w -= step``: under `no_grad` a leaf that requires grad takes the new values, as in PyTorch; else w becomes the result.

    Where w has a gradient that was an update, and w would be a leaf no more.
    """

    def changed(self: Tensor, other: Any) -> Any:
        if isinstance(self._node, Leaf):
            if CURRENT.get()[0]:
                self.data = function(self, other)
                return self
            if self._node.grad is not None:
                raise TypeError(
                    f"w {sign}= step would make w the result of an op, and leave the leaf and its gradient behind; to "
                    f"update the leaf write w.data {sign}= step, or do it inside `with minigrad.no_grad():`"
                )
        return function(self, other)

    return changed


# -- hung on Tensor --------------------------------------------------------------------------------------------


def of_entries() -> Iterator[tuple[str, Any]]:
    """The operators, methods and attributes that the entries of the table name."""
    for _, function, entry in NAMED:
        if entry.method:
            yield entry.method, function
        if entry.attribute:
            yield entry.attribute, property(function)
        if entry.operator in ARITHMETIC:
            name = ARITHMETIC[entry.operator]
            yield f"__{name}__", function
            yield f"__r{name}__", reflected(function)
            yield f"__i{name}__", in_place(entry.operator, function)
        elif not entry.operator.isidentifier() and entry.operator:
            raise TypeError(f"operator= of {function.__name__} must be one of {', '.join(ARITHMETIC)}, or a name such as neg")
        elif entry.operator:
            yield f"__{entry.operator}__", function


def hang(methods: dict[str, Any]) -> None:
    for name, method in methods.items():
        setattr(Tensor, name, method)
    for hint in missing(PUBLIC, PLAIN):
        if hint.name not in vars(Tensor):
            setattr(Tensor, hint.name, hint)


METHODS: dict[str, Any] = {
    "__array_ufunc__": array_ufunc, "__array_function__": array_function, "__array__": as_array, "_mask": property(no_mask),
    **{f"__{name}__": on_values(getattr(operator, name)) for name in STEPPED},
    "__rfloordiv__": reflected(on_values(operator.floordiv)),
    "__divmod__": floor_and_remainder, "__rdivmod__": reflected(floor_and_remainder),
    "__round__": rounded, "__contains__": contains, "__setitem__": not_assignable, "__dir__": directory,
    "__format__": formatted, "__repr__": text_of, "__reduce__": reduced,
    "reshape": reshaped, "transpose": transposed, "flatten": flatten, "copy": copy,
    **{f.__name__: of_values(f) for f in PLAIN if callable(getattr(np.ndarray, f.__name__, None))},
    **dict(of_entries()),
}  # fmt: skip
hang(METHODS)
