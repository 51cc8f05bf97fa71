"""The table of ops, and the maps by which NumPy's own functions find them.

`TABLE` lists every op by name. A family of ops is a module; where is the derivative of tanh? in `elementwise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import elementwise, linalg, nn, reduce, shape
from .elementwise import (
    abs,
    absolute,
    add,
    astype,
    clip,
    cos,
    divide,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    positive,
    power,
    reciprocal,
    relu,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)  # fmt: skip
from .kinds import Op, masked_multiply
from .linalg import dot, matmul
from .nn import cross_entropy, linear, log_softmax, logsumexp, softmax
from .reduce import max, mean, min, sum
from .shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    getitem,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    transpose,
)  # fmt: skip

FAMILIES = (elementwise, reduce, shape, linalg, nn)
TABLE: dict[str, Op] = {op.name: op for family in FAMILIES for op in family.OPS}

# np.f(tensor) finds its way here.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    f.op.forward: f
    for f in vars(elementwise).values()
    if hasattr(f, "op") and isinstance(f.op.forward, np.ufunc)
} | linalg.UFUNCS  # fmt: skip
REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {np.add: sum, np.maximum: max, np.minimum: min}
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: where, np.clip: clip, **reduce.FUNCTIONS, **shape.FUNCTIONS, **linalg.FUNCTIONS,
}  # fmt: skip

# Functions whose result does not change under small changes of their argument, or is not numbers: they take tensors
# and give plain arrays.
PLAIN: set[Callable[..., Any]] = {
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.isfinite, np.isinf, np.isnan, np.signbit,
    np.sign, np.floor, np.ceil, np.rint, np.trunc, np.floor_divide,
    np.all, np.any, np.argmax, np.argmin, np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero,
    np.count_nonzero, np.searchsorted, np.digitize, np.isclose, np.allclose, np.array_equal, np.array_equiv,
    np.isposinf, np.isneginf, np.isreal, np.iscomplex, np.round,
    np.shape, np.ndim, np.size, np.result_type, np.zeros_like, np.ones_like, np.empty_like, np.full_like,
    np.array_repr, np.array_str, np.array2string, np.shares_memory, np.may_share_memory,
}  # fmt: skip

__all__ = [
    "FAMILIES",
    "FUNCTIONS",
    "PLAIN",
    "REDUCTIONS",
    "TABLE",
    "UFUNCS",
    "Op",
    "abs",
    "absolute",
    "add",
    "astype",
    "broadcast_to",
    "clip",
    "concatenate",
    "cos",
    "cross_entropy",
    "divide",
    "dot",
    "exp",
    "expand_dims",
    "expm1",
    "getitem",
    "linear",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "masked_multiply",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "negative",
    "positive",
    "power",
    "reciprocal",
    "relu",
    "reshape",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "tanh",
    "transpose",
    "where",
]  # fmt: skip
