"""Reductions: many numbers into one, along axes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..arrays import array_function, is_lazy
from ..tensor import Tensor, plain
from . import elementwise
from .elementwise import astype, divide, multiply, sqrt, subtract
from .entry import Operand, only_defaults, public
from .op import REAL, Domain, Op, general, linear, shape_of
from .precision import at_least_single, by_way_of_single, floating
from .shape import as_array, broadcast_to, concatenate, plain_array, reshape, transpose

Axis = int | tuple[int, ...] | None


def normalized(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes as a tuple of non-negative numbers; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and 0 <= axis < ndim:
        return (axis,)
    if ndim == 0 and axis in (0, -1):
        return ()  # NumPy reduces a single number along its missing axis
    if isinstance(axis, float):
        raise TypeError(f"axis is an integer, a tuple of integers or None, not {axis!r}")
    return np.lib.array_utils.normalize_axis_tuple(axis, ndim)


def restored(g: Any, x_shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """Put the reduced axes back into `g`, each of length 1."""
    if keepdims or len(axis) == 0:
        return g
    return g.reshape(tuple([1 if i in axis else n for i, n in enumerate(x_shape)]))


def spread(g: Any, x_shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """Give every element the cotangent of the result it went into: the transpose of a sum."""
    if len(axis) == len(x_shape) and not isinstance(g, Tensor) and not is_lazy(g):
        whole = np.empty(x_shape, g.dtype)  # in a quarter of the time of np.broadcast_to
        whole[...] = g
        return whole
    return np.broadcast_to(restored(g, x_shape, axis, keepdims), x_shape)


def reduced_size(x_shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    size = 1
    for i in axis:
        size *= x_shape[i]
    return size


def shared(g: Any, out: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The elements equal to the extreme value share its cotangent equally. NaN equals nothing: 0 / 0, a share of NaN."""
    g, out = restored(g, shape_of(x), axis, keepdims), restored(out, shape_of(x), axis, keepdims)
    chosen = np.equal(x, out)
    share = chosen / np.sum(chosen, axis=axis, keepdims=True)
    return np.where(np.equal(share, 0), 0, g * share)


def mean_of(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.char in "fd":  # as np.mean does it, in half of its time
        total: Any = x.sum(axis=axis, keepdims=keepdims)
        return total / reduced_size(x.shape, axis)
    return x.mean(axis=axis, keepdims=keepdims)


def masked(x: Any, where: Any, filler: Any) -> Any:
    """x with `filler` in place of what `where` leaves out."""
    return x if where is True else elementwise.where(mask_of(where, x.shape), x, filler)


def mask_of(where: Any, shape: tuple[int, ...]) -> Any:
    mask = plain_array(where)
    if mask.dtype.kind != "b":
        raise TypeError(f"where= of a reduction is an array of booleans, not of {mask.dtype}; write where=(mask != 0)")
    return np.broadcast_to(mask, shape)


def started(initial: Any, dtype: Any) -> Any:
    initial = as_array(initial)
    if initial.ndim:
        raise ValueError(f"initial= of a reduction is one number, not an array of shape {initial.shape}; add it afterwards")
    return astype(initial, dtype)


def folded(
    op: Op, join: Callable[..., Any], neutral: int, x: Any, axis: Axis, dtype: Any, keepdims: bool, initial: Any, where: Any
) -> Any:  # fmt: skip
    """A sum or product of those elements that `where` is true for, computed in `dtype`, and joined with `initial`."""
    x = as_array(x) if dtype is None else astype(as_array(x), dtype)
    options = {"axis": normalized(axis, x.ndim), "keepdims": keepdims}
    found = op.run(masked(x, where, neutral), options)
    if dtype is not None and found.dtype != dtype:  # NumPy adds up small integers as large ones unless it is given a dtype
        found = astype(found, dtype)
    return found if initial is None else join(found, started(initial, found.dtype))


def extreme(op: Op, join: Callable[..., Any], x: Any, axis: Axis, keepdims: bool, initial: Any, where: Any) -> Any:
    """The maximum or minimum of `initial` and of those elements that `where` is true for."""
    if initial is None:
        raise ValueError(
            f"np.{op.name} with where= needs initial=, the result where no element is left; give for example -np.inf"
        )
    x = as_array(x)
    initial = started(initial, x.dtype)
    options = {"axis": normalized(axis, x.ndim), "keepdims": keepdims}
    if 0 in x.shape:
        return broadcast_to(initial, shape_of(sum_op.run(x, options)))
    return join(op.run(masked(x, where, initial), options), initial)


def counted(x: Any, axis: tuple[int, ...], keepdims: bool, where: Any) -> Any:
    """Count the elements for which `where` is true, in the dtype of x."""
    return np.sum(mask_of(where, x.shape), axis=axis, keepdims=keepdims).astype(x.dtype)


def widened(x: Any, dtype: Any) -> tuple[Any, Any]:
    """x in `dtype` but at least in float32, to be divided in; and the dtype of the result."""
    x = floating(as_array(x)) if dtype is None else astype(as_array(x), dtype)
    return at_least_single(x), x.dtype


def mean_where(x: Any, axis: Axis, dtype: Any, keepdims: bool, where: Any) -> Any:
    x, result = widened(x, dtype)
    axes = normalized(axis, x.ndim)
    total = sum_op.run(masked(x, where, 0), {"axis": axes, "keepdims": keepdims})
    return in_dtype(divide(total, counted(x, axes, keepdims, where)), result)


def var_where(x: Any, axis: Axis, dtype: Any, ddof: float, keepdims: bool, where: Any, mean: Any) -> Any:
    x, result = widened(x, dtype)
    axes = normalized(axis, x.ndim)
    middle = mean_where(x, axes, None, True, where) if mean is None else as_array(mean)
    if np.broadcast_shapes(middle.shape, x.shape) != x.shape:
        raise ValueError(f"mean= of shape {middle.shape} does not fit x of {x.shape}; compute it with keepdims=True")
    apart = masked(subtract(x, middle), where, 0)
    total = sum_op.run(multiply(apart, apart), {"axis": axes, "keepdims": keepdims})
    free = np.maximum(counted(x, axes, keepdims, where) - ddof, 0)
    return in_dtype(divide(total, free), result if mean is None else np.result_type(result, middle.dtype))


def std_where(x: Any, axis: Axis, dtype: Any, ddof: float, keepdims: bool, where: Any, mean: Any) -> Any:
    x, result = widened(x, dtype)
    square = var_where(x, axis, None, ddof, keepdims, where, mean)
    zero = np.equal(plain(square), 0)
    if mean is None and 0 not in x.shape:  # all equal: rounding of their mean may make the square differ from 0
        ends = [f(plain(x), axis=axis, keepdims=keepdims, initial=i, where=mask_of(where, x.shape))
                for f, i in ((np.max, -np.inf), (np.min, np.inf))]  # fmt: skip
        zero = zero | np.equal(*ends)
    return in_dtype(
        elementwise.where(zero, 0, sqrt(elementwise.where(zero, 1, square))), result if mean is None else square.dtype
    )


def in_dtype(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else astype(x, dtype)


# -- products and running totals -------------------------------------------------------------------------------


def product_before(x: Any) -> Any:
    """Multiply all elements before each one, along the last axis. Nothing is divided by: it is exact where some are 0."""
    ones = np.ones((*x.shape[:-1], 1), x.dtype)
    return np.cumprod(np.concatenate([ones, x], -1)[..., :-1], -1)


def prod_vjp(g: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    kept = tuple([i for i in range(x.ndim) if i not in axis])
    order = (*kept, *axis)
    flat = x.transpose(order).reshape((*(x.shape[i] for i in kept), reduced_size(x.shape, axis)))
    others = product_before(flat) * product_before(flat[..., ::-1])[..., ::-1]
    others = others.reshape(tuple([x.shape[i] for i in order])).transpose(tuple(np.argsort(order)))
    return restored(g, x.shape, axis, keepdims) * others


def cumprod_vjp(g: Any, x: Any, axis: int) -> Any:
    # total[k] = g[k] + x[k+1] (g[k+1] + x[k+2] (g[k+2] + ...)), from all of its terms at once: after each round it has
    # twice as many, and factor[k] is the product of as many x after k.
    g, x = g.swapaxes(axis, -1), x.swapaxes(axis, -1)
    total, factor, terms = g, x[..., 1:], 1
    while terms < x.shape[-1]:
        total = np.concatenate([total[..., :-terms] + factor * total[..., terms:], total[..., -terms:]], -1)
        factor = factor[..., :-terms] * factor[..., terms:]
        terms *= 2
    return (product_before(x) * total).swapaxes(axis, -1)


def total_after(g: Any, axis: int) -> Any:
    backwards = (slice(None),) * axis + (slice(None, None, -1),)
    return np.cumsum(g[backwards], axis)[backwards]


# -- spread and middle -----------------------------------------------------------------------------------------


def freedom(x_shape: tuple[int, ...], axis: tuple[int, ...], ddof: float) -> float:
    n = reduced_size(x_shape, axis) - ddof
    return n if n > 0 else 0


def deviation(x: Any, axis: tuple[int, ...]) -> Any:
    return x - mean(x, axis, keepdims=True) if 0 not in x.shape else x


def in_range(function: Callable[..., Any]) -> Callable[..., Any]:
    """A norm, or the like: a function of degree 1 that adds up powers of the elements, squares if it has no option `p`.

    Where these leave the range of the dtype, it is computed again in units of the largest element.
    """

    @array_function
    @functools.wraps(function)
    def run(x: Any, *, axis: Any, **options: Any) -> Any:
        if x.dtype.char == "e":
            return function(x.astype(np.float32), axis=axis, **options).astype(np.float16)
        try:
            if axis is None:  # `length` finds out itself
                return function(x, axis=axis, **options)
            with np.errstate(over="raise", under="raise"):
                return function(x, axis=axis, **options)
        except FloatingPointError:
            largest = np.max if options.get("p", 2) > 0 else np.min  # of negative powers the smallest has the largest
            units = largest(np.abs(x), axis=axis, keepdims=True)
        units = np.where((units > 0) & np.isfinite(units), units, 1)
        with np.errstate(under="ignore"):
            found = function(x / units, axis=axis, **options)
        return found * units.reshape(np.shape(found))

    return run


def var_vjp(g: Any, x: Any, axis: tuple[int, ...], keepdims: bool, ddof: float) -> Any:
    return restored(g, x.shape, axis, keepdims) * (2 * deviation(x, axis)) / freedom(x.shape, axis, ddof)


def std_vjp(g: Any, out: Any, x: Any, axis: tuple[int, ...], keepdims: bool, ddof: float) -> Any:
    # 0 where all are equal; rounding of the mean may make `out` differ from 0 there.
    g, out = restored(g, x.shape, axis, keepdims), restored(out, x.shape, axis, keepdims)
    first = x[tuple([slice(1) if i in axis else slice(None) for i in range(x.ndim)])]
    constant = np.all(np.equal(x, first), axis=axis, keepdims=True) | np.equal(out, 0)
    scale = g * ~constant / (out + constant)
    return scale / freedom(x.shape, axis, ddof) * deviation(x, axis)


def median_vjp(g: Any, out: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    # Of an even number of elements it is half way between two; those equal to either share its half.
    g, out = restored(g, x.shape, axis, keepdims), restored(out, x.shape, axis, keepdims)
    if 0 in x.shape:
        return np.broadcast_to(g, x.shape)
    below = np.equal(x, np.max(np.where(np.less_equal(x, out), x, -np.inf), axis=axis, keepdims=True))
    above = np.equal(x, np.min(np.where(np.greater_equal(x, out), x, np.inf), axis=axis, keepdims=True))
    shares = [chosen / np.sum(chosen, axis=axis, keepdims=True) for chosen in (below, above)]
    share = 0.5 * (shares[0] + shares[1])
    return np.where(np.equal(share, 0), 0, g * share)


sum_op = linear(
    "sum",
    lambda x, *, axis, keepdims: np.add.reduce(x, axis=axis, keepdims=keepdims),
    lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims),
)
mean_op = linear(
    "mean",
    mean_of,
    lambda g, x_shape, axis, keepdims: spread(g / reduced_size(x_shape, axis), x_shape, axis, keepdims),
)
max_op = general(
    "max",
    lambda x, *, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    lambda g, out, x, axis, keepdims: shared(g, out, x, axis, keepdims),
    domain=Domain(ties=True),
    analytic=False,
    selects=True,
    nan_wins=True,
)
min_op = general(
    "min",
    lambda x, *, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims),
    lambda g, out, x, axis, keepdims: shared(g, out, x, axis, keepdims),
    domain=Domain(ties=True),
    analytic=False,
    selects=True,
    nan_wins=True,
)
prod_op = general(
    "prod", lambda x, *, axis, keepdims: np.multiply.reduce(x, axis=axis, keepdims=keepdims), prod_vjp, domain=REAL
)
cumsum_op = linear("cumsum", lambda x, *, axis: np.cumsum(x, axis), lambda g, axis: total_after(g, axis))
cumprod_op = general("cumprod", lambda x, *, axis: np.cumprod(x, axis), cumprod_vjp, domain=REAL)
var_op = general(
    "var",
    by_way_of_single(lambda x, *, axis, keepdims, ddof: np.var(x, axis=axis, keepdims=keepdims, ddof=ddof)),
    var_vjp,
    domain=REAL,
    analytic=False,
)
std_op = general(
    "std",
    in_range(lambda x, *, axis, keepdims, ddof: np.std(x, axis=axis, keepdims=keepdims, ddof=ddof)),
    std_vjp,
    domain=Domain(ties=True),
    analytic=False,
)
median_op = general(
    "median",
    lambda x, *, axis, keepdims: np.median(x, axis=axis, keepdims=keepdims),
    median_vjp,
    domain=Domain(ties=True),
    analytic=False,
    selects=True,
    nan_wins=True,
)


@public(np.sum, reduces=np.add, method=True)
def sum(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Operand = None,
    where: Any = True,
) -> Operand:  # fmt: skip
    """Sum over `axis` (an int, a tuple of ints, or all axes), as ``np.sum``.

    Computed in `dtype`, of those elements that the mask `where` is true for, and with `initial` added. An element that is
    left out gets a gradient of 0. `prod`, `mean`, `var` and `std` have these options too, as far as NumPy has them.

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> minigrad.sum(x, axis=0)
    tensor([4., 6.], op=sum)
    """
    if out is not None:
        only_defaults(np.sum, {"out": out})
    if not (dtype is initial is None and where is True):
        return folded(sum_op, elementwise.add, 0, x, axis, dtype, keepdims, initial, where)
    return sum_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(np.mean, method=True)
def mean(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True
) -> Operand:  # fmt: skip
    """Mean over `axis` (an int, a tuple of ints, or all axes), as ``np.mean``.

    >>> import minigrad
    >>> minigrad.mean(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5, 3.5])
    """
    if out is not None:
        only_defaults(np.mean, {"out": out})
    if dtype is not None or where is not True:
        return mean_where(x, axis, dtype, keepdims, where)
    return mean_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(np.max, np.amax, reduces=np.maximum, method=True)
def max(
    x: Operand, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Operand = None, where: Any = True
) -> Operand:  # fmt: skip
    """Maximum over `axis`, as ``np.max``. Elements that tie for it share the gradient equally.

    `initial` counts as one element more, and `where` is a mask of those that count; it needs an `initial`.
    Raises ValueError if there are no elements.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 3.0, 3.0], requires_grad=True)
    >>> minigrad.max(x).backward()
    >>> x.grad
    array([0. , 0.5, 0.5])
    """
    if out is not None:
        only_defaults(np.max, {"out": out})
    if initial is not None or where is not True:
        return extreme(max_op, elementwise.maximum, x, axis, keepdims, initial, where)
    return max_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(np.min, np.amin, reduces=np.minimum, method=True)
def min(
    x: Operand, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Operand = None, where: Any = True
) -> Operand:  # fmt: skip
    """Minimum over `axis`, as ``np.min``. Elements that tie for it share the gradient equally.

    >>> import minigrad
    >>> minigrad.min(minigrad.tensor([[1.0, 3.0], [0.0, 2.0]]), axis=1)
    tensor([1., 0.])
    """
    if out is not None:
        only_defaults(np.min, {"out": out})
    if initial is not None or where is not True:
        return extreme(min_op, elementwise.minimum, x, axis, keepdims, initial, where)
    return min_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(np.prod, reduces=np.multiply, method=True)
def prod(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Operand = None,
    where: Any = True,
) -> Operand:  # fmt: skip
    """Product over `axis` (an int, a tuple of ints, or all axes), as ``np.prod``.

    The gradient by each element is the product of the others, computed as such: it is right where elements are 0.

    >>> import minigrad
    >>> x = minigrad.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> minigrad.prod(x).backward()
    >>> x.grad
    array([0., 6., 0.])
    """
    if out is not None:
        only_defaults(np.prod, {"out": out})
    if not (dtype is initial is None and where is True):
        return folded(prod_op, multiply, 1, x, axis, dtype, keepdims, initial, where)
    return prod_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(np.cumsum, accumulates=np.add, method=True)
def cumsum(x: Operand, axis: int | None = None, dtype: Any = None, out: None = None) -> Operand:
    """Running sum along `axis`, or of the flattened array: y[k] = x[0] + ... + x[k], as ``np.cumsum``.

    >>> import minigrad
    >>> minigrad.cumsum(minigrad.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    if out is not None:
        only_defaults(np.cumsum, {"out": out})
    x, axis = one_axis(x, axis)
    if dtype is not None:
        return in_dtype(cumsum_op.run(astype(as_array(x), dtype), {"axis": axis}), dtype)
    return cumsum_op.run(x, {"axis": axis})


@public(np.cumprod, accumulates=np.multiply, method=True)
def cumprod(x: Operand, axis: int | None = None, dtype: Any = None, out: None = None) -> Operand:
    """Running product along `axis`, or of the flattened array: y[k] = x[0] * ... * x[k], as ``np.cumprod``.

    Its gradient divides by nothing: it is right where elements are 0.

    >>> import minigrad
    >>> x = minigrad.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> minigrad.cumprod(x).sum().backward()
    >>> x.grad
    array([1., 8., 0.])
    """
    if out is not None:
        only_defaults(np.cumprod, {"out": out})
    x, axis = one_axis(x, axis)
    if dtype is not None:
        return in_dtype(cumprod_op.run(astype(as_array(x), dtype), {"axis": axis}), dtype)
    return cumprod_op.run(x, {"axis": axis})


@public("cumulative_sum")
def cumulative_sum(
    x: Operand, *, axis: int | None = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Operand:  # fmt: skip
    """Running sum along `axis`, which an array of several axes needs; 0 comes first if `include_initial`.

    As ``np.cumulative_sum``. Raises ValueError if the axis is missing.

    >>> import minigrad
    >>> minigrad.cumulative_sum(minigrad.tensor([1.0, 2.0, 3.0]), include_initial=True)
    tensor([0., 1., 3., 6.])
    """
    return cumulative("cumulative_sum", cumsum, 0, x, axis, dtype, out, include_initial)


@public("cumulative_prod")
def cumulative_prod(
    x: Operand, *, axis: int | None = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Operand:  # fmt: skip
    """Running product along `axis`, which an array of several axes needs; 1 comes first if `include_initial`.

    As ``np.cumulative_prod``. Raises ValueError if the axis is missing.

    >>> import minigrad
    >>> minigrad.cumulative_prod(minigrad.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """
    return cumulative("cumulative_prod", cumprod, 1, x, axis, dtype, out, include_initial)


def cumulative(
    name: str, function: Callable[..., Any], neutral: int, x: Any, axis: int | None, dtype: Any, out: Any, initial: bool
) -> Any:  # fmt: skip
    x = as_array(x)
    if x.ndim == 0 or (axis is None and x.ndim > 1):
        raise ValueError(
            f"{name} takes an array of at least one axis, and of several the axis, not shape {x.shape} and axis={axis}"
        )
    axis = normalize_axis_index(axis or 0, x.ndim)
    found = function(x, axis, dtype, out)
    if not initial:
        return found
    return concatenate([np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), neutral, found.dtype), found], axis)


def accumulate(join: Callable[[Any, Any], Any], x: Any, axis: int = 0, dtype: None = None) -> Any:
    """join(join(x[0], x[1]), ...) of all elements up to each one along `axis`, as ``ufunc.accumulate`` of an associative one.

    In log2(n) rounds, each of which doubles how many elements a result joins.
    """
    if dtype is not None:
        raise TypeError(f"the accumulate of this ufunc does not take dtype={dtype}; use x.astype({dtype}) first")
    x = as_array(x)
    axis = normalize_axis_index(axis, x.ndim)
    lead, step = (slice(None),) * axis, 1
    while step < x.shape[axis]:
        joined = join(x[(*lead, slice(None, -step))], x[(*lead, slice(step, None))])
        x = concatenate([x[(*lead, slice(None, step))], joined], axis)
        step *= 2
    return x


def one_axis(x: Any, axis: int | None) -> tuple[Any, int]:
    """`x` with at least one axis, flat if `axis` is None, and the number of the axis."""
    if axis is None or len(shape_of(x)) == 0:
        x = reshape(x, -1)
    return x, normalize_axis_index(0 if axis is None else axis, len(shape_of(x)))


@public(np.var, method=True)
def var(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, *,
    where: Any = True, mean: Operand = None, correction: float | None = None,
) -> Operand:  # fmt: skip
    """Variance over `axis`: the sum of (x - mean(x))^2, divided by the number of elements less `ddof`. As ``np.var``.

    `correction` is another name of `ddof`; ValueError if both are given.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> minigrad.var(x, ddof=1).backward()
    >>> x.grad
    array([-1.,  0.,  1.])
    """
    if out is not None:
        only_defaults(np.var, {"out": out})
    if not (dtype is mean is None and where is True):
        return var_where(x, axis, dtype, one_of(ddof, correction), keepdims, where, mean)
    options = {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims, "ddof": one_of(ddof, correction)}
    return var_op.run(x, options)


@public(np.std, method=True)
def std(
    x: Operand, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False, *,
    where: Any = True, mean: Operand = None, correction: float | None = None,
) -> Operand:  # fmt: skip
    """Standard deviation over `axis`, the square root of `var`. As ``np.std``.

    Its gradient where all elements are equal is taken as 0.
    `correction` is another name of `ddof`; ValueError if both are given.

    >>> import minigrad
    >>> x = minigrad.tensor([[0.0, 2.0], [3.0, 3.0]], requires_grad=True)
    >>> y = minigrad.std(x, axis=1)
    >>> y.sum().backward()
    >>> y.data, x.grad
    (array([1., 0.]), array([[-0.5,  0.5],
           [ 0. ,  0. ]]))
    """
    if out is not None:
        only_defaults(np.std, {"out": out})
    if not (dtype is mean is None and where is True):
        return std_where(x, axis, dtype, one_of(ddof, correction), keepdims, where, mean)
    options = {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims, "ddof": one_of(ddof, correction)}
    return std_op.run(x, options)


def one_of(ddof: float, correction: float | None) -> float:
    if correction is None:
        return ddof
    if ddof != 0:
        raise ValueError("ddof and correction are two names of one option; give one of them")
    return correction


@public(np.median)
def median(
    x: Operand, axis: Axis = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> Operand:  # fmt: skip
    """Median over `axis`: the middle element, or the mean of the middle two. As ``np.median``.

    Elements that tie for the middle share the gradient equally. `overwrite_input` permits what is never done.

    >>> import minigrad
    >>> x = minigrad.tensor([5.0, 1.0, 2.0, 4.0], requires_grad=True)
    >>> minigrad.median(x).backward()
    >>> x.grad
    array([0. , 0. , 0.5, 0.5])
    """
    if out is not None:
        only_defaults(np.median, {"out": out})
    return median_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(np.ptp)
def ptp(x: Operand, axis: Axis = None, out: None = None, keepdims: bool = False) -> Operand:
    """Peak to peak, max(x) - min(x) over `axis`, as ``np.ptp``.

    >>> import minigrad
    >>> minigrad.ptp(minigrad.tensor([[1.0, 3.0], [0.0, 5.0]]), axis=1)
    tensor([2., 5.])
    """
    if out is not None:
        only_defaults(np.ptp, {"out": out})
    return subtract(max(x, axis, keepdims=keepdims), min(x, axis, keepdims=keepdims))


@public(np.average)
def average(
    x: Operand, axis: Axis = None, weights: Operand = None, returned: bool = False, *, keepdims: bool = False
) -> Operand:
    """Weighted mean, sum(weights * x) / sum(weights) over `axis`; without weights the mean. As ``np.average``.

    `weights` have the shape of x, or that of the axes named. They may be a Tensor, and have a gradient.
    Raises ZeroDivisionError if weights sum to 0, ValueError or TypeError if their shape does not fit, TypeError
    for ``returned=True``.

    >>> import minigrad
    >>> minigrad.average(minigrad.tensor([1.0, 4.0]), weights=[2.0, 1.0])
    tensor(2.)
    """
    if returned:
        raise TypeError("np.average of a Tensor does not take returned=True; the sum of the weights is np.sum(weights)")
    if weights is None:
        return mean(x, axis, keepdims=keepdims)
    shape, own = shape_of(x), shape_of(weights)
    axes = normalized(axis, len(shape))
    if own != shape:
        if axis is None:
            raise TypeError(f"weights of shape {own} for an array of shape {shape} need an axis")
        if own != tuple(shape[i] for i in axes):
            raise ValueError(f"weights along {axis} of an array of shape {shape} do not have shape {own}")
        weights = transpose(weights, tuple(np.argsort(axes)))
        weights = reshape(weights, tuple(n if i in axes else 1 for i, n in enumerate(shape)))
    total = sum(weights, axes, keepdims=keepdims)
    if np.any(np.equal(total, 0)):
        raise ZeroDivisionError("weights sum to 0, so they have no average")
    return divide(sum(multiply(x, weights), axes, keepdims=keepdims), total)


@public(np.diff)
def diff(x: Operand, n: int = 1, axis: int = -1, prepend: Operand = None, append: Operand = None) -> Operand:
    """Differences of neighbours along `axis`, x[k + 1] - x[k], taken n times. As ``np.diff``.

    `prepend` and `append` are put before and after x first: arrays, or numbers as arrays of length 1 along `axis`.
    Raises ValueError if n is negative or x has no axis.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 4.0, 9.0], requires_grad=True)
    >>> minigrad.diff(x, prepend=0)
    tensor([1., 3., 5.], op=subtract)
    """
    shape = shape_of(x)
    if n < 0 or not shape:
        raise ValueError(f"diff takes n >= 0 and an array of at least one axis, not n = {n} and shape {shape}")
    if n == 0:
        return x
    axis = normalize_axis_index(axis, len(shape))
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [y if len(shape_of(y)) else np.broadcast_to(y, one) for y in (prepend, append) if y is not None]
    if parts:
        before, after = parts[: prepend is not None], parts[prepend is not None :]
        x = concatenate([*before, x, *after], axis)
    later = (slice(None),) * axis + (slice(1, None),)
    earlier = (slice(None),) * axis + (slice(None, -1),)
    x = as_array(x)
    for _ in range(n):
        x = np.not_equal(x[later], x[earlier]) if x.dtype == bool else subtract(x[later], x[earlier])
    return x
