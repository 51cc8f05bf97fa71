"""The table of ops, and the maps by which NumPy's functions find theirs: all read from the entries of the families."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import arranging, elementwise, matrices, nn, products, reduce, sampled, shape, statistics
from .entry import Entry
from .op import Op

__all__ = ["ACCUMULATIONS", "FAMILIES", "FUNCTIONS", "LINALG", "PLAIN", "PUBLIC", "REDUCTIONS", "TABLE", "UFUNCS"]

Function = Callable[..., Any]

FAMILIES = (elementwise, reduce, shape, arranging, products, matrices, nn, statistics, sampled)
# Some come twice: a family imports functions of others.
THINGS: list[tuple[str, Any]] = [pair for family in FAMILIES for pair in vars(family).items()]
NAMED: list[tuple[str, Function, Entry]] = [
    (name, f, f.entry) for name, f in THINGS if isinstance(getattr(f, "entry", None), Entry)
]

TABLE: dict[str, Op] = {op.name: op for _, x in THINGS if isinstance(op := getattr(x, "op", x), Op)}

# By their names in `minigrad` and in `minigrad.linalg`.
PUBLIC: dict[str, Function] = {name: f for name, f, entry in NAMED if "" in entry.modules}
LINALG: dict[str, Function] = {name: f for name, f, entry in NAMED if "linalg" in entry.modules}

# np.f(tensor) finds its way here.
BY_NUMPYS: dict[Any, Function] = {numpys: f for _, f, entry in NAMED for numpys in entry.numpy}
UFUNCS: dict[np.ufunc, Function] = {ufunc: f for ufunc, f in BY_NUMPYS.items() if isinstance(ufunc, np.ufunc)}
FUNCTIONS: dict[Function, Function] = {numpys: f for numpys, f in BY_NUMPYS.items() if numpys not in UFUNCS}
REDUCTIONS: dict[np.ufunc, Function] = {entry.reduces: f for _, f, entry in NAMED if entry.reduces}
ACCUMULATIONS: dict[np.ufunc, Function] = {
    ufunc: functools.partial(reduce.accumulate, f)
    for _, f, entry in NAMED if entry.associative for ufunc in entry.numpy if isinstance(ufunc, np.ufunc)
} | {entry.accumulates: f for _, f, entry in NAMED if entry.accumulates}  # fmt: skip

# Functions whose result does not change under small changes of their argument, or is not numbers: they take tensors
# and give plain arrays.
PLAIN: set[Function] = {
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.isfinite, np.isinf, np.isnan, np.signbit,
    np.sign, np.floor, np.ceil, np.rint, np.trunc, np.floor_divide,
    np.all, np.any, np.argmax, np.argmin, np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero,
    np.count_nonzero, np.searchsorted, np.digitize, np.isclose, np.allclose, np.array_equal, np.array_equiv,
    np.isposinf, np.isneginf, np.isreal, np.iscomplex, np.round,
    np.around, np.fix, np.imag, np.angle, np.iscomplexobj, np.isrealobj, np.nanargmax, np.nanargmin,
    np.shape, np.ndim, np.size, np.result_type, np.zeros_like, np.ones_like, np.empty_like,
    np.array_repr, np.array_str, np.array2string, np.shares_memory, np.may_share_memory,
}  # fmt: skip
