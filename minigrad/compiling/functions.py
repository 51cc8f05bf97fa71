"""How NumPy's functions are recorded: which are refused and why, and which keywords say nothing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["METADATA", "meaningful", "numpy_name", "opaque", "refusal"]

# Their results depend on shapes and dtypes only.
METADATA = {np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.iscomplexobj, np.isrealobj}

WHERE = "np.where(mask, new, old)"
WRITES: dict[Any, str] = {
    np.copyto: WHERE,
    np.putmask: WHERE,
    np.place: WHERE,
    np.put: WHERE,
    np.put_along_axis: WHERE,
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), value, x)",
}
IN_PLACE = {
    "fill": "np.full_like(x, value)", "sort": "np.sort(x)", "partition": "np.partition(x, k)", "resize": "np.resize(x, shape)",
    "put": WHERE, "setfield": WHERE,
}  # fmt: skip
FILES = {np.save, np.savez, np.savez_compressed, np.savetxt}
MEMORY = {np.shares_memory, np.may_share_memory, np.min_scalar_type}

# By the arguments whose values decide how many elements the result has.
SIZED_BY: dict[Any, tuple[str, ...]] = {
    np.unique: ("ar",), np.unique_all: ("x",), np.unique_counts: ("x",), np.unique_inverse: ("x",), np.unique_values: ("x",),
    np.nonzero: ("a",), np.flatnonzero: ("a",), np.argwhere: ("a",), np.compress: ("condition",), np.extract: ("condition",),
    np.trim_zeros: ("filt",), np.union1d: ("ar1", "ar2"), np.intersect1d: ("ar1", "ar2"), np.setdiff1d: ("ar1", "ar2"),
    np.setxor1d: ("ar1", "ar2"), np.bincount: ("x",), np.delete: ("obj",), np.repeat: ("repeats",), np.roots: ("p",),
}  # fmt: skip

UFUNC_DEFAULTS = {
    "dtype": None, "casting": "same_kind", "where": True, "signature": None, "sig": None, "out": None,
    "axis": None, "axes": None, "keepdims": False, "initial": np._NoValue,
}  # fmt: skip
LAYOUT = ("order", "subok")  # of a ufunc: how the result lies in memory, not what it is


@functools.cache
def defaults(fn: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return {}
    return {name: p.default for name, p in parameters.items() if p.default is not p.empty}


def same(x: Any, default: Any) -> bool:
    return x is default or (type(x) is type(default) and isinstance(x, str | bool | int | float) and x == default)


def meaningful(fn: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The keywords without those that are NumPy's defaults, which are as good as not given."""
    if not options:
        return options
    if isinstance(fn, np.ufunc):
        return {k: x for k, x in options.items() if k not in LAYOUT and not same(x, UFUNC_DEFAULTS.get(k, inspect.Parameter))}
    known = defaults(fn)
    return {k: x for k, x in options.items() if k not in known or not same(x, known[k])}


def refusal(fn: Any, args: tuple[Any, ...], options: dict[str, Any], is_standin: Callable[[Any], bool]) -> str:
    """Why a call cannot be recorded and what to write instead; an empty text if it can."""
    if fn in WRITES:
        return f"it writes into an array; use a new one, such as {WRITES[fn]}"
    if options.get("out") is not None:
        return "out= writes into an array; use the result: a = f(x)"
    if fn is np.empty_like:
        return "what is in its elements is left to chance; use np.zeros_like(x)"
    if fn in FILES:
        return "it writes a file, once and not at each run; return the array and save it outside"
    if fn in MEMORY:
        return "its answer depends on where the arrays lie in memory or on their values, which are others at each run"
    if fn is np.where and len(args) == 1:
        return "with one argument it gives as many elements as the mask says, other ones at each run; use np.where(mask, x, y)"
    if fn in SIZED_BY:
        try:
            given = inspect.signature(fn).bind(*args, **options).arguments
        except (TypeError, ValueError):
            return ""
        if any(is_standin(given.get(name)) for name in SIZED_BY[fn]):
            return (
                f"how many elements the result has depends on the values of {' and '.join(SIZED_BY[fn])}, which are others at "
                "each run; use a mask and np.where, or leave this function uncompiled"
            )
    return ""


def numpy_name(fn: Any) -> str:
    """A function's name as one writes it.

    >>> import numpy as np
    >>> numpy_name(np.linalg.inv), numpy_name(np.add), numpy_name(np.add.reduce)
    ('np.linalg.inv', 'np.add', 'np.add.reduce')
    """
    of = getattr(fn, "__self__", None)
    name = getattr(fn, "__name__", type(fn).__name__)
    if isinstance(of, np.ufunc):
        return f"np.{of.__name__}.{name}"
    module = getattr(fn, "__module__", None) or ("numpy" if isinstance(fn, np.ufunc) else "")
    if module.partition(".")[0] != "numpy":
        return str(name)
    return f"np.{'.'.join(part for part in [*module.split('.')[1:], name] if not part.startswith('_'))}"


@functools.lru_cache(maxsize=1024)
def opaque(fn: Any) -> Callable[..., Any]:
    """The same function under another identity, so that the passes take it for one they know nothing of."""
    of = getattr(fn, "__self__", None)

    def called(*args: Any, **options: Any) -> Any:
        return fn(*args, **options)

    called.__name__ = f"{of.__name__}_{fn.__name__}" if isinstance(of, np.ufunc) else fn.__name__
    called.__wrapped__ = fn  # type: ignore[attr-defined]
    return called
