"""Recording NumPy's functions: the form of each call, refusals and their reasons, keywords without effect."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tensor import Tensor
from ..trees import tree_map
from .standins import Array, Standin
from .trace import CONTAINERS, CompileError, dot, stack, zeros

if TYPE_CHECKING:
    from .recorder import Recorder

__all__ = ["numpy_name", "record_function", "record_ufunc"]

# Their results depend on shapes and dtypes only.
METADATA = {np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.iscomplexobj, np.isrealobj}

WRITES = "it writes into an array; use a new one, such as"
REFUSED: dict[Any, str] = {
    **dict.fromkeys((np.copyto, np.putmask, np.place, np.put, np.put_along_axis), f"{WRITES} np.where(mask, new, old)"),
    np.fill_diagonal: f"{WRITES} np.where(np.eye(n, dtype=bool), value, x)",
    np.empty_like: "what is in its elements is left to chance; use np.zeros_like(x)",
    **dict.fromkeys(
        (np.save, np.savez, np.savez_compressed, np.savetxt),
        "it writes a file, once and not at each run; return the array and save it outside",
    ),
    **dict.fromkeys(
        (np.shares_memory, np.may_share_memory, np.min_scalar_type),
        "its answer depends on where the arrays lie in memory or on their values, which are others at each run",
    ),
}

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
    known, ignored = (UFUNC_DEFAULTS, LAYOUT) if isinstance(fn, np.ufunc) else (defaults(fn), ())
    return {k: x for k, x in options.items() if k not in ignored and not (k in known and same(x, known[k]))}


def refusal(fn: Any, args: tuple[Any, ...], options: dict[str, Any]) -> str:
    """Why a call cannot be recorded and what to write instead; an empty text if it can."""
    if fn in REFUSED:
        return REFUSED[fn]
    if options.get("out") is not None:
        return "out= writes into an array; use the result: a = f(x)"
    if fn is np.where and len(args) == 1:
        return "with one argument it gives as many elements as the mask says, other ones at each run; use np.where(mask, x, y)"
    if fn in SIZED_BY:
        try:
            given = inspect.signature(fn).bind(*args, **options).arguments
        except (TypeError, ValueError):
            return ""
        if any(has_standin(given.get(name)) for name in SIZED_BY[fn]):
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
    """Return the same function under another identity, which the passes have no rules for."""
    of = getattr(fn, "__self__", None)

    def opaque_call(*args: Any, **options: Any) -> Any:
        return fn(*args, **options)

    opaque_call.__name__ = f"{of.__name__}_{fn.__name__}" if isinstance(of, np.ufunc) else fn.__name__
    opaque_call.__wrapped__ = fn  # type: ignore[attr-defined]
    return opaque_call


# -- a function, or a ufunc, has met a stand-in ----------------------------------------------------------------


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
SEQUENCES = (*CONTAINERS, str, bytes)
VIEWS = {np.broadcast_to, np.expand_dims}
KNOWN = {*VIEWS, np.where, np.concatenate, np.stack, np.dot}  # to the passes, in their usual form


def record_function(recorder: Recorder, fn: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
    """A NumPy function has met a stand-in."""
    if any(issubclass(t, Tensor) for t in types):
        return NotImplemented
    if type(fn) is FunctionType and hasattr(fn, "__wrapped__"):  # not one of NumPy's, but of `array_function`
        return own_called(recorder, fn, args, options)
    if fn in (np.asarray, np.array):
        return made_array(recorder, args[0], args[1] if len(args) > 1 else options.get("dtype"))
    if fn in METADATA:
        return fn(*tree_map(value_of, args), **tree_map(value_of, options))
    if why := refusal(fn, args, options):
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
            return recorder.record(np.stack, (list(args[0]), axis), {}) if axis else recorder.record(stack, args[0], {})
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
    """Return True if a call has the form that the passes have rules for."""
    if fn is np.where:
        return len(args) == 3
    if fn is np.concatenate:
        axis = args[1] if len(args) > 1 else options.get("axis", 0)
        arrays = args and isinstance(args[0], list | tuple) and all(isinstance(x, Array | np.ndarray) for x in args[0])
        return arrays and len(args) <= 2 and options.keys() <= {"axis"} and (axis is None or type(axis) is int)
    return len(args) == 2 and type(args[0]) is Array and not options and not has_standin(args[1]) and fn in VIEWS


def record_ufunc(recorder: Recorder, ufunc: np.ufunc, method: str, inputs: Any, options: Any) -> Any:
    """A ufunc, or a method of it, has met a stand-in."""
    for x in inputs:
        if type(x) is not Array and isinstance(x, Tensor):
            return NotImplemented
    if options and any(x is not None for x in options.pop("out", ())):
        raise CompileError(
            f"writing into an array (a += b, out=a) is not recorded, here by np.{ufunc.__name__}; use the result: a = a + b"
        )
    if method == "__call__":
        return called(recorder, ufunc, inputs, meaningful(ufunc, options))
    if method == "reduce":
        return reduced(recorder, ufunc, inputs, options)
    if method == "at":
        raise CompileError(
            f"np.{ufunc.__name__}.at is not recorded: it writes into an array; write it as a gather, a[i], of another one"
        )
    return recorder.record_call(opaque(getattr(ufunc, method)), inputs, options)


def called(recorder: Recorder, ufunc: np.ufunc, inputs: Any, options: dict[str, Any]) -> Any:
    """Record a call of a ufunc itself. The passes have rules for those without keywords."""
    texts = ufunc is np.multiply and any(isinstance(x, SEQUENCES) for x in inputs)
    if texts and any(type(x) is Array and x.stands_for.kind is not np.ndarray for x in inputs):
        raise CompileError("a list or a text times a number of NumPy is not recorded; give an array")
    if not options:
        return recorder.record(ufunc, inputs, options)
    if "where" in options:
        raise CompileError(
            f"np.{ufunc.__name__}(where=mask) without an array to write into leaves the other elements to chance; use "
            "np.where(mask, result, other)"
        )
    return recorder.record_call(opaque(ufunc), inputs, options)


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
    return made.reshape(np.add.reduce(zeros(inputs[0].shape, int), axis=axis, keepdims=True).shape)


def has_standin(x: Any) -> bool:
    """True for a stand-in, or a container of some."""
    return isinstance(x, Standin) or (isinstance(x, CONTAINERS) and any(map(has_standin, x)))


def value_of(x: Any) -> Any:
    return x.stands_for.value if isinstance(x, Standin) else x
