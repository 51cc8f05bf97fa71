"""The names of a public function, written where it is defined: what NumPy calls it, and a Tensor. The docstring of one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .op import Op

__all__ = ["Elementwise", "Entry", "Operand", "function_of", "numpy_name", "only_defaults", "public"]

Operand = Any  # a Tensor, an array, a number or nested lists of numbers; as a result, a Tensor if an operand is one

F = TypeVar("F", bound=Callable[..., Any])


class Entry(NamedTuple):
    """The names by which a function can be called, besides its own."""

    numpy: tuple[Callable[..., Any], ...] = ()  # functions of NumPy that call it when they get a Tensor
    reduces: np.ufunc | None = None  # it is the `reduce` of this ufunc
    accumulates: np.ufunc | None = None  # it is the `accumulate` of this ufunc
    associative: bool = False  # so that its ufunc can accumulate by joining pairs
    method: str = ""  # of a Tensor
    attribute: str = ""  # of a Tensor
    operator: str = ""  # "+", or the name of a special method: "neg" for __neg__

    @property
    def modules(self) -> set[str]:
        """The modules of minigrad that have the function: "linalg" if NumPy has it there, "" for minigrad itself."""
        return {"linalg" if numpy_name(f).startswith("np.linalg.") else "" for f in self.numpy} or {""}


def public(
    *numpy: Callable[..., Any] | str, method: bool = False, attribute: str = "", operator: str = "",
    reduces: np.ufunc | None = None, accumulates: np.ufunc | None = None,
) -> Callable[[F], F]:  # fmt: skip
    """Make a function public, in `minigrad` and by these names of NumPy: a decorator that returns the same function.

    A name in quotes is one that NumPy 2.0 does not have yet. With `method` a Tensor has it, too.
    """
    found = tuple([getattr(np, f) if isinstance(f, str) else f for f in numpy if not isinstance(f, str) or hasattr(np, f)])

    def described(f: F) -> F:
        f.entry = Entry(found, reduces, accumulates, False, f.__name__ * method, attribute, operator)  # type: ignore[attr-defined]
        return f

    return described


class Elementwise(Protocol):
    """The public function of an elementwise op."""

    __name__: str
    op: Op
    entry: Entry

    def __call__(self, *operands: Any) -> Any: ...


def function_of(op: Op, doc: str, entry: Entry) -> Elementwise:
    """The public function of an elementwise op."""
    function: Any = op.run
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = describe(op, doc)
    function.__module__ = "minigrad"
    function.op, function.entry = op, entry
    return function  # type: ignore[no-any-return]


def describe(op: Op, doc: str) -> str:
    """Return the docstring of an elementwise function: its formula, operands, errors and an example."""
    numpy_name = f"np.{op.forward.__name__}" if isinstance(op.forward, np.ufunc) else None
    names = ", ".join(op.operands)
    same = f" The same as ``{numpy_name}({names})``." if numpy_name else ""
    inside = "1.25, 1.5" if op.domain.low >= 1 else "0.25, 0.5"
    arguments = ", ".join(["x"] * len(op.operands))
    return f"""{doc}

    Elementwise; operands are Tensors, arrays or numbers, broadcast and promoted as NumPy does.{same}
    A Tensor among them gives a Tensor, recorded if one requires grad; otherwise an array.
    Raises ValueError if the shapes do not broadcast.

    >>> import minigrad
    >>> x = minigrad.tensor([{inside}], requires_grad=True)
    >>> y = minigrad.{op.name}({arguments})
    >>> y.shape, y.dtype, y.requires_grad
    ((2,), dtype('float64'), True)
    """


# -- options of NumPy's functions that a function here does not have -------------------------------------------

# Ufuncs show theirs since NumPy 2.4, functions written in C not always.
OF_UFUNCS = {"out": None, "where": True, "casting": "same_kind", "order": "K", "dtype": None, "subok": True}
OF_C = {"out": None, "dtype": None, "casting": "same_kind"}
NOT_SHOWN: dict[Any, dict[str, Any]] = {
    np.clip: OF_UFUNCS, np.ndarray.astype: {"casting": "unsafe", "order": "K", "subok": True},
    np.einsum: {"out": None, "dtype": None, "order": "K", "casting": "safe"},
}  # fmt: skip


def only_defaults(numpys: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise TypeError for options that a function here does not have, unless they have the default of NumPy's function."""
    defaults = default_options(numpys)
    for option, value in options.items():
        if option not in defaults:
            raise TypeError(f"{numpy_name(numpys)} has no option {option}=")
        if not is_default(value, defaults[option]):
            raise TypeError(f"{numpy_name(numpys)} of a Tensor supports only {option}={defaults[option]!r}, not {value!r}")


def default_options(numpys: Callable[..., Any]) -> dict[str, Any]:
    if isinstance(numpys, np.ufunc) or numpys in NOT_SHOWN:
        return NOT_SHOWN.get(numpys, OF_UFUNCS)
    try:
        return {p.name: p.default for p in inspect.signature(numpys).parameters.values() if p.default is not p.empty}
    except ValueError:  # a function written in C
        return OF_C


def is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))


def numpy_name(f: Callable[..., Any]) -> str:
    """Return the name of a NumPy function as you write it: "np.linalg.inv"."""
    return "np." + f"{getattr(f, '__module__', None) or 'numpy'}.{f.__name__}".removeprefix("numpy.")
