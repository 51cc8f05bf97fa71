"""Arrays: conversion to them, and functions of them that other kinds of arrays may take over, as they do with NumPy's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "HALF", "array_function", "array_of", "as_dtype", "as_gradient", "at_least_single", "frozen", "is_lazy", "item",
    "read_only",
]  # fmt: skip

ndarray = np.ndarray
HALF = np.dtype(np.float16)
OWN = (ndarray, np.generic, float, int)


def array_of(x: Any) -> np.ndarray:
    """Return ``np.asarray(x)``, of another kind of array one of this kind. Raise TypeError for a masked array or an np.matrix,
    which would lose their meaning.

    >>> import numpy as np
    >>> array_of([1.0, 2.0])
    array([1., 2.])
    >>> array_of(np.ma.array([1.0, 2.0], mask=[True, False]))
    Traceback (most recent call last):
    TypeError: a masked array would lose its mask; pass x.filled(value), or mask the result: np.where(x.mask, 0, y)
    """
    kind = type(x)
    if kind is ndarray:
        return x  # type: ignore[no-any-return]
    if hasattr(kind, "__array_function__"):
        if is_lazy(x):
            return x if isinstance(x, ndarray) else np.asarray(x, like=x)
        if isinstance(x, np.matrix):
            raise TypeError("x * y would no longer be the matrix product of an np.matrix; pass np.asarray(x), and write x @ y")
        if isinstance(x, ndarray) and hasattr(x, "mask"):
            raise TypeError(
                "a masked array would lose its mask; pass x.filled(value), or mask the result: np.where(x.mask, 0, y)"
            )
    return np.asarray(x)


def is_lazy(x: Any) -> bool:
    """True for what passes for an array or number of NumPy or Python, and computes by NumPy's protocols: its values may not be
    there yet. Code that looks at values only to save work does not look at these. Arrays of other libraries are converted.

    >>> is_lazy(np.ones(2)), is_lazy(1.0)
    (False, False)
    """
    kind = type(x)
    return hasattr(kind, "__array_function__") and not issubclass(kind, ndarray) and isinstance(x, OWN)


def frozen(x: Any) -> Any:
    """Return an array to which nobody can write any more, nor to the one that it is a view of; another kind as it is."""
    if type(x) is ndarray:
        owner = x.base if isinstance(x.base, ndarray) else x
        owner.setflags(write=False)
    return x


def read_only(x: Any) -> Any:
    """Return a view of an array that cannot be written to; another kind of array as it is."""
    if type(x) is not ndarray:
        x = array_of(x)
        if type(x) is not ndarray:
            return x
    view = x.view()
    view.setflags(write=False)
    return view


def array_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays that another kind of array may take over, as it may NumPy's own functions.

    The positional arguments are looked at, or instead of them the one called `like`, which the function itself does not get:
    the first with a method ``__array_function__`` (NEP 18) is given the call. So a function that looks at values, or writes
    into arrays, is one call to arrays of other kinds.

    >>> @array_function
    ... def largest(x):
    ...     return max(x.tolist())
    >>> largest(np.array([1.0, 3.0]))
    3.0
    """

    @functools.wraps(function)
    def offered(*args: Any, like: Any = None, **options: Any) -> Any:
        for x in args if like is None else (like,):
            kind = type(x)
            if kind is not ndarray and hasattr(kind, "__array_function__") and is_lazy(x):
                return x.__array_function__(offered, (kind,), args, options)
        return function(*args, **options)

    return offered


@array_function
def item(x: Any) -> Any:
    """The value of an array of one element as a Python number, which promotes nothing."""
    return x.item()


def at_least_single(x: Any) -> Any:
    """An array of float16 as one of float32, anything else as it is."""
    return x.astype(np.float32) if getattr(x, "dtype", None) == HALF else x


def as_dtype(array: Any, dtype: Any) -> Any:
    """An array in the dtype of its tensor; a change of kind, such as from floating point to integers, is a TypeError."""
    return array.astype(dtype, casting="same_kind", copy=False)


def as_gradient(g: Any, dtype: Any) -> Any:
    """A cotangent or tangent in the dtype of its node; complex numbers are a TypeError."""
    if g.dtype.kind == "c":
        raise TypeError(
            f"a rule or a hook returned {g.dtype} for the gradient of a {dtype} tensor, and its imaginary part would be "
            "lost; gradients are real: return g.real if that is what you mean"
        )
    return g.astype(dtype)
