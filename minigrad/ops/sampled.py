"""Functions given by samples: even spacing, slopes, integrals, convolutions, interpolation. All are made of the table's ops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..graph import read
from ..tensor import Tensor, plain, values
from .arranging import flip, moveaxis, pad
from .elementwise import add, astype, divide, multiply, remainder, subtract, where
from .entry import Operand, public
from .precision import floating
from .products import matmul
from .reduce import diff, in_dtype, sum
from .shape import as_array, concatenate, reshape


@public(np.linspace)
def linspace(
    start: Operand, stop: Operand, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:  # fmt: skip
    """`num` values at equal distances from `start` to `stop`, which is the last one if `endpoint`. As ``np.linspace``.

    Both ends have gradients. Of arrays, the values lie along a new `axis`.
    With `retstep` the result is a pair of the values and their distance.

    >>> import minigrad
    >>> minigrad.linspace(0.0, minigrad.tensor(1.0), 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    if num < 0:
        raise ValueError(f"linspace takes num >= 0 values, not {num}")
    start, stop = floating(as_array(start)), floating(as_array(stop))
    parts = num - 1 if endpoint else num
    ndim = len(np.broadcast_shapes(start.shape, stop.shape))
    share = reshape(np.arange(num) / (parts or 1), (-1, *[1] * ndim)).astype(np.result_type(start.dtype, stop.dtype))
    found = moveaxis(add(multiply(start, 1 - share), multiply(stop, share)), 0, axis)
    if dtype is not None:
        found = astype(np.floor(found) if np.dtype(dtype).kind in "iu" else found, dtype)
    return (found, divide(subtract(stop, start), parts or np.nan)) if retstep else found


@public(np.gradient)
def gradient(f: Operand, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes of a function from its samples f: central differences inside, one-sided ones at the ends. As ``np.gradient``.

    Their distance is 1, or that of `varargs`: a number for all axes, or for each axis a number or the coordinates. Those have
    gradients too. `edge_order` is 1, or 2 for parabolas at the ends. Several axes give a tuple, one for each.
    Raises ValueError if an axis has fewer than edge_order + 1 samples, TypeError for a wrong number of `varargs`.

    >>> import minigrad
    >>> minigrad.gradient(minigrad.tensor([0.0, 1.0, 4.0, 9.0]))
    tensor([1., 2., 4., 5.])
    """
    f = floating(as_array(f))
    given = [as_array(h) for h in varargs or (1.0,)]
    axes = range(f.ndim) if axis is None else normalize_axis_tuple(axis, f.ndim)
    if edge_order not in (1, 2):
        raise ValueError(f"gradient takes edge_order 1 or 2, not {edge_order}")
    if len(given) not in (1, len(axes)) or (len(given) == 1 < len(axes) and given[0].ndim):
        raise TypeError(f"gradient along {len(axes)} axes takes no spacing, one number, or one for each axis")
    spacings = given if len(given) == len(axes) else given * len(axes)
    found = tuple([slopes(f, h, i, edge_order) for i, h in zip(axes, spacings, strict=True)])
    return found[0] if len(axes) == 1 else found


def slopes(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"gradient needs {edge_order + 1} samples along axis {axis}, and there are {n}")
    f = moveaxis(f, axis, -1)
    if h.shape not in ((), (n,)):
        raise ValueError(f"gradient along axis {axis} takes a number or {n} coordinates, not shape {h.shape}")
    h = diff(floating(h)) if h.ndim else h + np.zeros(n - 1)
    steep = diff(f) / h  # between neighbours
    before, after = h[:-1], h[1:]
    inner = (steep[..., :-1] * after + steep[..., 1:] * before) / (before + after)
    first, last = steep[..., :1], steep[..., -1:]
    if edge_order == 2:
        first = first - h[:1] * (steep[..., 1:2] - steep[..., :1]) / (h[:1] + h[1:2])
        last = last + h[-1:] * (steep[..., -1:] - steep[..., -2:-1]) / (h[-1:] + h[-2:-1])
    return moveaxis(in_dtype(concatenate([first, inner, last], -1), f.dtype), -1, axis)


@public(np.trapezoid)
def trapezoid(y: Operand, x: Operand = None, dx: Operand = 1.0, axis: int = -1) -> Operand:
    """The integral of samples y along `axis`, by trapezoids; at coordinates x, or `dx` apart. As ``np.trapezoid``.

    x is a vector or has the shape of y. y, x and dx have gradients.

    >>> import minigrad
    >>> minigrad.trapezoid(minigrad.tensor([1.0, 2.0, 3.0]), dx=0.5).item()
    2.0
    """
    y = as_array(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        x = as_array(x)
        dx = diff(x, axis=0 if x.ndim == 1 else axis)
        dx = reshape(dx, [-1 if i == axis else 1 for i in range(y.ndim)]) if x.ndim == 1 else dx
    lead = (slice(None),) * axis
    return sum(dx * (y[(*lead, slice(1, None))] + y[(*lead, slice(None, -1))]) / 2.0, axis)


@public(np.convolve)
def convolve(x: Operand, y: Operand, mode: str = "full") -> Operand:
    """sum(x[k - i] * y[i] for all i) of two vectors. As ``np.convolve``.

    `mode` is "full", "same" (the middle, as many as the longer one has) or "valid" (where they overlap in full).
    Raises ValueError for another mode, and for vectors without elements or arrays of more axes.

    >>> import minigrad
    >>> minigrad.convolve(minigrad.tensor([1.0, 2.0, 3.0]), [1.0, 10.0])
    tensor([ 1., 12., 23., 30.])
    """
    x, y = np.atleast_1d(as_array(x)), np.atleast_1d(as_array(y))
    if x.ndim != 1 or y.ndim != 1 or 0 in (x.size, y.size):
        raise ValueError(f"convolve takes two vectors that are not empty, not shapes {x.shape} and {y.shape}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve takes the mode 'full', 'same' or 'valid', not {mode!r}")
    if x.shape[0] < y.shape[0]:
        x, y = y, x
    n, m = x.shape[0], y.shape[0]
    before, after = {"full": (m - 1, m - 1), "same": (m // 2, (m - 1) // 2), "valid": (0, 0)}[mode]
    x = pad(x, (before, after))
    places = np.arange(n + before + after - m + 1)[:, None] + np.arange(m)
    return matmul(x[places], flip(y))


@public(np.correlate)
def correlate(x: Operand, y: Operand, mode: str = "valid") -> Operand:
    """sum(x[k + i] * y[i] for all i) of two vectors: `convolve` with y reversed. As ``np.correlate``.

    >>> import minigrad
    >>> minigrad.correlate(minigrad.tensor([1.0, 2.0, 3.0]), [1.0, 10.0])
    tensor([21., 32.])
    """
    x, y = np.atleast_1d(as_array(x)), np.atleast_1d(as_array(y))
    if x.shape[0] < y.shape[0]:  # the places are counted from the other end
        return flip(correlate(y, x, mode))
    return convolve(x, flip(y), mode)


@public(np.interp)
def interp(x: Operand, xp: Operand, fp: Operand, left: Operand = None, right: Operand = None, period: Any = None) -> Operand:
    """The function through the points (xp, fp), linear in between, at x. As ``np.interp``.

    Beyond the ends it is `left` and `right`, by default the first and the last of `fp`; or it goes on with a `period`.
    x, xp and fp have gradients, and so have left and right; at a point of xp that of x is the slope to its right.
    It is computed in float64.
    Raises ValueError if xp and fp are not vectors of one length, at least 1.

    >>> import minigrad
    >>> x = minigrad.tensor([0.5, 2.0], requires_grad=True)
    >>> y = minigrad.interp(x, [0.0, 1.0], [0.0, 3.0])
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([1.5, 3.0], [3.0, 0.0])
    """
    x, xp, fp = (in_dtype(z if isinstance(z, Tensor) else read(values(z)), np.dtype(float)) for z in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or xp.shape[0] == 0:
        raise ValueError(f"interp takes vectors of one length as xp and fp, not shapes {xp.shape} and {fp.shape}")
    if period is not None:
        x, xp = remainder(x, period), remainder(xp, period)
        order = np.argsort(plain(xp))
        xp, fp = xp[order], fp[order]
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    n = xp.shape[0]
    place = np.searchsorted(plain(xp), plain(x), "right")
    low, high = np.clip(place - 1, 0, n - 1), np.clip(place, 0, n - 1)
    start, end, y = xp[low], xp[high], fp[low]
    outside = np.equal(low, high)
    along = (x - start) / where(outside, 1, end - start)
    found = where(outside, y, y + along * (fp[high] - y))
    if left is not None:
        found = where(np.less(plain(x), plain(xp)[0]), left, found)
    if right is not None:
        found = where(np.greater(plain(x), plain(xp)[-1]), right, found)
    return where(np.isnan(plain(x)), x, found)
