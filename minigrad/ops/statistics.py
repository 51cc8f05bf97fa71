"""Statistics: reductions that skip NaN, quantiles, covariances. All are made of the table's ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import plain
from .arranging import atleast_2d, diagonal, sort
from .elementwise import astype, divide, multiply, sqrt, where
from .entry import Operand, only_defaults, public
from .precision import floating
from .products import matmul
from .reduce import (
    Axis,
    average,
    cumprod,
    cumsum,
    in_dtype,
    mask_of,
    max,
    mean,
    min,
    normalized,
    one_of,
    prod,
    std,
    sum,
    var,
)
from .shape import as_array, concatenate, reshape, transpose


def present(x: Any, where: Any) -> Any:
    """Return a mask of the elements that are not NaN, and for which `where` is true."""
    return ~np.isnan(plain(x)) & mask_of(where, x.shape)


@public(np.nansum)
def nansum(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Operand = None,
    where: Any = True,
) -> Operand:  # fmt: skip
    """`sum` of what is not NaN; where all are it is 0. As ``np.nansum``.

    The nan-functions leave NaN out as if by `where`: it gets a gradient of 0. Their other options are those of the functions
    whose names they bear.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([1.0, np.nan, 2.0], requires_grad=True)
    >>> y = minigrad.nansum(x)
    >>> y.backward()
    >>> y.item(), x.grad.tolist()
    (3.0, [1.0, 0.0, 1.0])
    """
    x = as_array(x)
    return sum(x, axis, dtype, out, keepdims, initial, present(x, where))


@public(np.nanprod)
def nanprod(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Operand = None,
    where: Any = True,
) -> Operand:  # fmt: skip
    """`prod` of what is not NaN; where all are it is 1. As ``np.nanprod``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanprod(minigrad.tensor([2.0, np.nan, 3.0])).item()
    6.0
    """
    x = as_array(x)
    return prod(x, axis, dtype, out, keepdims, initial, present(x, where))


@public(np.nanmean)
def nanmean(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True
) -> Operand:  # fmt: skip
    """`mean` of what is not NaN; where all are it is NaN, with a RuntimeWarning. As ``np.nanmean``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanmean(minigrad.tensor([1.0, np.nan, 3.0])).item()
    2.0
    """
    x = as_array(x)
    return mean(x, axis, dtype, out, keepdims, where=present(x, where))


@public(np.nanvar)
def nanvar(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, *,
    where: Any = True, mean: Operand = None, correction: float | None = None,
) -> Operand:  # fmt: skip
    """`var` of what is not NaN; where all are it is NaN, with a RuntimeWarning. As ``np.nanvar``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanvar(minigrad.tensor([1.0, np.nan, 3.0])).item()
    1.0
    """
    x = as_array(x)
    here, ddof = present(x, where), one_of(ddof, correction)
    return of_enough(var(x, axis, dtype, out, ddof, keepdims, where=here, mean=mean), here, axis, ddof, keepdims)


@public(np.nanstd)
def nanstd(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, *,
    where: Any = True, mean: Operand = None, correction: float | None = None,
) -> Operand:  # fmt: skip
    """`std` of what is not NaN; where all are it is NaN, with a RuntimeWarning. As ``np.nanstd``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanstd(minigrad.tensor([1.0, np.nan, 3.0])).item()
    1.0
    """
    x = as_array(x)
    here, ddof = present(x, where), one_of(ddof, correction)
    return of_enough(std(x, axis, dtype, out, ddof, keepdims, where=here, mean=mean), here, axis, ddof, keepdims)


def of_enough(found: Any, here: Any, axis: Axis, ddof: float, keepdims: bool) -> Any:
    """NaN in place of what has no degrees of freedom; without NaN among the elements it is infinite or NaN, as in NumPy."""
    return where(np.sum(here, axis=axis, keepdims=keepdims) <= ddof, np.nan, found)


@public(np.nanmax)
def nanmax(
    x: Operand, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Operand = None, where: Any = True
) -> Operand:  # fmt: skip
    """`max` of what is not NaN; where all are it is NaN. As ``np.nanmax``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanmax(minigrad.tensor([1.0, np.nan, 3.0])).item()
    3.0
    """
    return nan_extreme(max, -np.inf, x, axis, out, keepdims, initial, where)


@public(np.nanmin)
def nanmin(
    x: Operand, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Operand = None, where: Any = True
) -> Operand:  # fmt: skip
    """`min` of what is not NaN; where all are it is NaN. As ``np.nanmin``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanmin(minigrad.tensor([1.0, np.nan, 3.0])).item()
    1.0
    """
    return nan_extreme(min, np.inf, x, axis, out, keepdims, initial, where)


def nan_extreme(
    extreme: Callable[..., Any], worst: float, x: Any, axis: Axis, out: Any, keepdims: bool, initial: Any, mask: Any
) -> Any:  # fmt: skip
    x = as_array(x)
    if x.dtype.kind != "f":
        return extreme(x, axis, out, keepdims, initial, mask)
    if initial is not None or mask is not True:
        return extreme(x, axis, out, keepdims, initial, present(x, mask))
    here = present(x, True)
    found = extreme(where(here, x, worst), axis, out, keepdims)
    return where(np.any(here, axis=normalized(axis, x.ndim), keepdims=keepdims), found, np.nan)


@public(np.nancumsum)
def nancumsum(x: Operand, axis: int | None = None, dtype: Any = None, out: None = None) -> Operand:
    """`cumsum` with 0 for NaN. As ``np.nancumsum``.

    >>> import numpy as np, minigrad
    >>> minigrad.nancumsum(minigrad.tensor([1.0, np.nan, 3.0]))
    tensor([1., 1., 4.])
    """
    x = as_array(x)
    return cumsum(where(np.isnan(plain(x)), 0, x), axis, dtype, out)


@public(np.nancumprod)
def nancumprod(x: Operand, axis: int | None = None, dtype: Any = None, out: None = None) -> Operand:
    """`cumprod` with 1 for NaN. As ``np.nancumprod``.

    >>> import numpy as np, minigrad
    >>> minigrad.nancumprod(minigrad.tensor([2.0, np.nan, 3.0]))
    tensor([2., 2., 6.])
    """
    x = as_array(x)
    return cumprod(where(np.isnan(plain(x)), 1, x), axis, dtype, out)


# -- quantiles -------------------------------------------------------------------------------------------------


@public(np.quantile)
def quantile(
    x: Operand, q: Operand, axis: Axis = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False,
) -> Operand:  # fmt: skip
    """The value below which a share `q` of the elements lies, over `axis`. As ``np.quantile``.

    With `q` from 0 to 1, it is at the place q * (n - 1) among the n sorted elements, on the line between its neighbours. The
    gradient goes to these two, and to `q`, whose axes come first in the result. NaN among the elements makes it NaN.
    Raises ValueError for a `method` other than "linear", for a `q` out of range, or if there are no elements.

    >>> import minigrad
    >>> x = minigrad.tensor([5.0, 1.0, 2.0], requires_grad=True)
    >>> y = minigrad.quantile(x, 0.25)
    >>> y.backward()
    >>> y.item(), x.grad.tolist()
    (1.5, [0.0, 0.5, 0.5])
    """
    return quantile_of("quantile", x, q, axis, out, method, keepdims, skip=False)


def quantile_of(name: str, x: Any, q: Any, axis: Axis, out: Any, method: str, keepdims: bool, *, skip: bool) -> Any:
    if out is not None:
        only_defaults(getattr(np, name), {"out": out})
    if method != "linear":
        raise ValueError(f"{name} takes the method 'linear' only, not {method!r}")
    x = floating(as_array(x))
    q = astype(as_array(q), x.dtype) if is_number(q) else floating(as_array(q))
    if np.any(~((plain(q) >= 0) & (plain(q) <= 1))):
        raise ValueError("quantiles lie between 0 and 1 (percentiles between 0 and 100)")
    axes, shape = normalized(axis, x.ndim), x.shape
    kept = tuple([i for i in range(x.ndim) if i not in axes])
    n, lengths = math.prod(shape[i] for i in axes), [shape[i] for i in kept]
    if n == 0:
        raise ValueError(f"the quantiles of no elements (shape {shape}, axis {axis}) do not exist")
    x = sort(reshape(transpose(x, (*axes, *kept)), (n, math.prod(lengths))), 0)  # NaN is sorted to the end
    numbers = np.sum(~np.isnan(plain(x)), axis=0)
    last = np.maximum(numbers - 1, 0) if skip else np.full(x.shape[1], n - 1)
    place = reshape(q, (-1, 1)) * last.astype(q.dtype)
    low = np.floor(plain(place))
    index = low.astype(np.intp)
    first, second = (np.take_along_axis(x, np.minimum(i, last), 0) for i in (index, index + 1))
    found = where(numbers == 0 if skip else numbers < n, np.nan, first + (place - low) * (second - first))
    return reshape(found, (*q.shape, *([1 if i in axes else n for i, n in enumerate(shape)] if keepdims else lengths)))


@public(np.percentile)
def percentile(
    x: Operand, q: Operand, axis: Axis = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False,
) -> Operand:  # fmt: skip
    """`quantile` of q / 100. As ``np.percentile``.

    >>> import minigrad
    >>> minigrad.percentile(minigrad.tensor([5.0, 1.0, 2.0]), 50).item()
    2.0
    """
    return quantile_of("percentile", x, hundredths(q), axis, out, method, keepdims, skip=False)


def hundredths(q: Any) -> Any:
    return q / 100 if is_number(q) else divide(as_array(q), 100)


def is_number(q: Any) -> bool:
    """True for a Python number, which promotes nothing."""
    return not hasattr(q, "dtype") and not isinstance(q, list | tuple)


@public(np.nanquantile)
def nanquantile(
    x: Operand, q: Operand, axis: Axis = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False,
) -> Operand:  # fmt: skip
    """`quantile` of what is not NaN; where all are it is NaN. As ``np.nanquantile``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanquantile(minigrad.tensor([5.0, np.nan, 1.0, 2.0]), 0.25).item()
    1.5
    """
    return quantile_of("nanquantile", x, q, axis, out, method, keepdims, skip=True)


@public(np.nanpercentile)
def nanpercentile(
    x: Operand, q: Operand, axis: Axis = None, out: None = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False,
) -> Operand:  # fmt: skip
    """`percentile` of what is not NaN; where all are it is NaN. As ``np.nanpercentile``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanpercentile(minigrad.tensor([5.0, np.nan, 1.0, 2.0]), 25).item()
    1.5
    """
    return quantile_of("nanpercentile", x, hundredths(q), axis, out, method, keepdims, skip=True)


@public(np.nanmedian)
def nanmedian(
    x: Operand, axis: Axis = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> Operand:  # fmt: skip
    """`median` of what is not NaN; where all are it is NaN. As ``np.nanmedian``.

    >>> import numpy as np, minigrad
    >>> minigrad.nanmedian(minigrad.tensor([5.0, np.nan, 1.0, 2.0])).item()
    2.0
    """
    return quantile_of("nanmedian", x, 0.5, axis, out, "linear", keepdims, skip=True)


# -- covariances -----------------------------------------------------------------------------------------------


@public(np.cov)
def cov(
    x: Operand, y: Operand = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Operand = None, *, dtype: Any = None,
) -> Operand:  # fmt: skip
    """The covariances of variables, which are the rows of x (and of y), or its columns if not `rowvar`. As ``np.cov``.

    They are divided by the number of observations less `ddof`, which is 1, or 0 if `bias`. Each observation may count
    `fweights` times, or be weighted by `aweights`, which have a gradient.
    Raises ValueError for more than two axes.

    >>> import minigrad
    >>> minigrad.cov(minigrad.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    x = variables(x, rowvar, dtype)
    if y is not None:
        x = concatenate([x, variables(y, rowvar, dtype)], 0)
    weights: Any = None
    if fweights is not None:
        counts = as_array(fweights)
        if counts.dtype.kind not in "iu":
            raise TypeError(f"fweights count observations, as integers, not {counts.dtype}; aweights take others")
        weights = floating(counts)
    if aweights is not None:
        weights = as_array(aweights) if weights is None else multiply(weights, aweights)
    ddof = (0 if bias else 1) if ddof is None else ddof
    apart = x - average(x, 1, weights, keepdims=True)
    if weights is None:
        free, weighted = x.shape[1] - ddof, apart
    else:
        total = sum(weights)
        free = total - ddof if aweights is None or ddof == 0 else total - ddof * sum(weights * aweights) / total
        weighted = apart * weights
    found = divide(matmul(apart, transpose(weighted)), free)
    return reshape(found, [n for n in found.shape if n != 1])


def variables(x: Any, rowvar: bool, dtype: Any) -> Any:
    x = as_array(x)
    if x.ndim > 2:
        raise ValueError(f"cov takes one variable or a matrix of them, not an array of shape {x.shape}")
    x = in_dtype(x, np.result_type(x.dtype, np.float64) if dtype is None else np.dtype(dtype))
    return transpose(x) if x.ndim == 2 and not rowvar else atleast_2d(x)


@public(np.corrcoef)
def corrcoef(x: Operand, y: Operand = None, rowvar: bool = True, *, dtype: Any = None) -> Operand:
    """The correlations of variables: their covariances, divided by the standard deviations of both. As ``np.corrcoef``.

    >>> import minigrad
    >>> minigrad.corrcoef(minigrad.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    found = cov(x, y, rowvar, dtype=dtype)
    if found.ndim == 0:
        return divide(found, found)
    deviations = sqrt(diagonal(found))
    return found / deviations[:, None] / deviations
