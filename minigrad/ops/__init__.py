"""The table of ops, and the maps by which NumPy's own functions find them.

`TABLE` lists every op by name. A family of ops is a module; where is the derivative of tanh? in `elementwise`.
"""

# isort: skip_file
# Sorted imports would take a line for each name.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import elementwise, linalg, linalg_functions, nn, reduce, sampled, shape, statistics
from .elementwise import (
    abs, absolute, add, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, astype, cbrt, clip, cos, cosh,
    deg2rad, divide, erf, erfc, exp, exp2, expm1, fabs, float_power, fmax, fmin, fmod, gelu, hypot, log, log1p, log2,
    log10, logaddexp, logaddexp2, maximum, minimum, mod, multiply, nan_to_num, negative, positive, power, rad2deg,
    reciprocal, relu, remainder, sigmoid, sign, silu, sin, sinc, sinh, softplus, sqrt, square, subtract, tan, tanh,
    where,
)  # fmt: skip
from .op import Op
from .linalg import (
    cross, dot, einsum, inner, matmul, outer, tensordot, vdot, vecdot,
)  # fmt: skip
from .nn import cross_entropy, linear, log_softmax, logsumexp, softmax
from .reduce import (
    average, cumprod, cumsum, cumulative_prod, cumulative_sum, diff, max, mean, median, min, prod, ptp, std, sum, var,
)  # fmt: skip
from .sampled import convolve, correlate, gradient, interp, linspace, trapezoid
from .shape import (
    append, array_split, atleast_1d, atleast_2d, atleast_3d, broadcast_arrays, broadcast_to, choose, column_stack, concat,
    concatenate, copy, diag, diagonal, dsplit, dstack, expand_dims, flip, fliplr, flipud, full_like, getitem, hsplit, hstack,
    kron, matrix_transpose, meshgrid, moveaxis, pad, partition, permute_dims, ravel, real, repeat, reshape, roll, rollaxis,
    rot90, select, sort, split, squeeze, stack, swapaxes, take, take_along_axis, tile, trace, transpose, tril, triu, unstack,
    vsplit, vstack,
)  # fmt: skip
from .statistics import (
    corrcoef, cov, nancumprod, nancumsum, nanmax, nanmean, nanmedian, nanmin, nanpercentile, nanprod, nanquantile, nanstd,
    nansum, nanvar, percentile, quantile,
)  # fmt: skip

FAMILIES = (elementwise, reduce, shape, linalg, linalg_functions, nn)
TABLE: dict[str, Op] = {op.name: op for family in FAMILIES for op in family.OPS}

# np.f(tensor) finds its way here.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    f.op.forward: f
    for f in vars(elementwise).values()
    if hasattr(f, "op") and isinstance(f.op.forward, np.ufunc)
} | {np.radians: deg2rad, np.degrees: rad2deg, np.conjugate: real, **linalg.UFUNCS}  # fmt: skip
REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: sum, np.multiply: prod, np.maximum: max, np.minimum: min, np.logaddexp: logsumexp,
}  # fmt: skip
ACCUMULATIONS: dict[np.ufunc, Callable[..., Any]] = reduce.ACCUMULATIONS
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: where, np.clip: clip, np.sinc: sinc, np.nan_to_num: nan_to_num,
    **reduce.FUNCTIONS, **shape.FUNCTIONS, **linalg.FUNCTIONS,
    **linalg_functions.FUNCTIONS, **statistics.FUNCTIONS, **sampled.FUNCTIONS,
    **({np.astype: astype} if hasattr(np, "astype") else {}),  # since NumPy 2.1
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
    np.around, np.fix, np.imag, np.angle, np.iscomplexobj, np.isrealobj, np.nanargmax, np.nanargmin,
    np.shape, np.ndim, np.size, np.result_type, np.zeros_like, np.ones_like, np.empty_like,
    np.array_repr, np.array_str, np.array2string, np.shares_memory, np.may_share_memory,
}  # fmt: skip

# The functions, which `minigrad` gives on.
__all__ = [  # noqa: RUF022
    "abs", "absolute", "add", "append", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "array_split", "astype", "atleast_1d", "atleast_2d", "atleast_3d", "average", "broadcast_arrays", "broadcast_to",
    "cbrt", "choose", "clip", "column_stack", "concat", "concatenate", "convolve", "copy", "corrcoef", "correlate",
    "cos", "cosh", "cov", "cross", "cross_entropy", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum",
    "deg2rad", "diag", "diagonal", "diff", "divide", "dot", "dsplit", "dstack", "einsum", "erf", "erfc", "exp",
    "exp2", "expand_dims", "expm1", "fabs", "flip", "fliplr", "flipud", "float_power", "fmax", "fmin", "fmod",
    "full_like", "gelu", "getitem", "gradient", "hsplit", "hstack", "hypot", "inner", "interp", "kron", "linear",
    "linspace", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp", "logaddexp2", "logsumexp", "matmul",
    "matrix_transpose", "max", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod", "moveaxis",
    "multiply", "nan_to_num", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile",
    "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "negative", "outer", "pad", "partition", "percentile",
    "permute_dims", "positive", "power", "prod", "ptp", "quantile", "rad2deg", "ravel", "real", "reciprocal", "relu",
    "remainder", "repeat", "reshape", "roll", "rollaxis", "rot90", "select", "sigmoid", "sign", "silu", "sin", "sinc",
    "sinh", "softmax", "softplus", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum",
    "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace", "transpose", "trapezoid",
    "tril", "triu", "unstack", "var", "vdot", "vecdot", "vsplit", "vstack", "where",
]  # fmt: skip
