"""Elementwise ops: a page of derivatives.

Each entry gives NumPy's ufunc and the partial derivative with respect to each operand, in terms of the operands
``x`` and ``y`` and of the result ``out``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor
from .kinds import POSITIVE, REAL, Domain, Op, elementwise, linear, masked_multiply, shape_of

# -- arithmetic ------------------------------------------------------------------------------------------------

add = elementwise(np.add, 1, 1, domain=REAL, symbol="+", doc="Sum, x + y.")
subtract = elementwise(np.subtract, 1, -1, domain=REAL, symbol="-", doc="Difference, x - y.")
multiply = elementwise(np.multiply, lambda y: y, lambda x: x, domain=REAL, symbol="*", doc="Product, x * y.")
divide = elementwise(
    np.divide,
    lambda y: 1 / y,
    lambda out, y: -out / y,
    domain=POSITIVE,
    singular=True,
    symbol="/",
    doc="Quotient, x / y.",
)
negative = elementwise(np.negative, -1, domain=REAL, symbol="neg", doc="Negative, -x.")
positive = elementwise(np.positive, 1, domain=REAL, symbol="pos", doc="Itself, +x.")
reciprocal = elementwise(np.reciprocal, lambda out: -out * out, domain=POSITIVE, singular=True, doc="Reciprocal, 1 / x.")
square = elementwise(np.square, lambda x: 2 * x, domain=REAL, doc="Square, x * x.")
sqrt = elementwise(np.sqrt, lambda out: 0.5 / out, domain=POSITIVE, singular=True, doc="Square root.")
absolute = elementwise(
    np.absolute, lambda x: np.sign(x), domain=Domain(kinks=(0.0,)), analytic=False, symbol="abs",
    doc="Absolute value, abs(x). Its derivative at 0 is taken as 0.",
)  # fmt: skip


def power_by_x(x: Any, y: Any) -> Any:
    # y * x**(y - 1), where y = 0 means a constant function: 0 also at x = 0, and in every further derivative.
    zero = np.equal(y, 0)
    if not np.any(zero):
        return y * x ** (y - 1)
    return np.where(zero, 0, y * x ** np.where(zero, 1, y - 1))


def power_by_y(out: Any, x: Any) -> Any:
    # out * log(x), whose limit for x -> 0 is 0.
    zero = np.equal(x, 0)
    return np.where(zero, 0, out * np.log(np.where(zero, 1, x)))


power = elementwise(
    np.power, power_by_x, power_by_y, domain=POSITIVE, singular=True, symbol="**",
    doc="Power, x ** y. The derivative by y is given for x >= 0; at x = 0 it is taken as 0.",
)  # fmt: skip

# -- exponentials and logarithms -------------------------------------------------------------------------------

exp = elementwise(np.exp, lambda out: out, domain=REAL, doc="Exponential, e^x.")
expm1 = elementwise(np.expm1, lambda out: out + 1, domain=REAL, doc="e^x - 1, exact for small x.")
log = elementwise(np.log, lambda x: 1 / x, domain=POSITIVE, singular=True, doc="Natural logarithm.")
log1p = elementwise(
    np.log1p, lambda x: 1 / (1 + x), domain=Domain(low=-1.0), singular=True, doc="log(1 + x), exact for small x."
)

# -- trigonometric functions -----------------------------------------------------------------------------------

sin = elementwise(np.sin, lambda x: np.cos(x), domain=REAL, doc="Sine of x radians.")
cos = elementwise(np.cos, lambda x: -np.sin(x), domain=REAL, doc="Cosine of x radians.")

# -- activation functions --------------------------------------------------------------------------------------

tanh = elementwise(
    np.tanh, lambda out: 1 - out * out, domain=REAL,
    doc="Hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x), between -1 and 1; its derivative, 1 - tanh(x)^2, is at most 1.",
)  # fmt: skip


def stable_sigmoid(x: Any) -> Any:
    # exp of a negative number only: it never overflows, and 1 / (1 + exp(-x)) keeps its digits where it is small.
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)


sigmoid = elementwise(
    stable_sigmoid, lambda out: out * (1 - out), domain=REAL, name="sigmoid", analytic=False,
    doc="Logistic sigmoid, 1 / (1 + e^-x), between 0 and 1; its derivative is at most 1/4.",
)  # fmt: skip
relu = elementwise(
    lambda x: np.maximum(x, 0), lambda out: np.greater(out, 0), domain=Domain(kinks=(0.0,)), name="relu", analytic=False,
    doc="Rectified linear unit, max(x, 0). Its derivative at 0 is taken as 0.",
)  # fmt: skip
softplus = elementwise(
    lambda x: np.logaddexp(x, 0), lambda x: sigmoid(x), domain=REAL, name="softplus", analytic=False,
    doc="log(1 + e^x), a smooth relu, without overflow.",
)  # fmt: skip

# -- choosing --------------------------------------------------------------------------------------------------


def share(chosen: Any, other: Any) -> Any:
    # 1 where chosen, half where both are equal.
    return np.greater(chosen, other) + 0.5 * np.equal(chosen, other)


maximum = elementwise(
    np.maximum, lambda x, y: share(x, y), lambda x, y: share(y, x), domain=Domain(ties=True), analytic=False,
    doc="The larger of x and y. Where they are equal each gets half of the gradient.",
)  # fmt: skip
minimum = elementwise(
    np.minimum, lambda x, y: share(y, x), lambda x, y: share(x, y), domain=Domain(ties=True), analytic=False,
    doc="The smaller of x and y. Where they are equal each gets half of the gradient.",
)  # fmt: skip
where_op = linear(
    "where",
    lambda condition, x, y: np.where(condition, x, y),
    None,
    lambda g, condition: np.where(condition, g, 0),
    lambda g, condition: np.where(condition, 0, g),
)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where `condition` is true, y elsewhere, broadcast against each other, as ``np.where``.

    The branch not taken gets a gradient of exactly 0, also where its value or its derivative is not finite.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([0.0, 4.0], requires_grad=True)
    >>> y = minigrad.where(x > 0, np.sqrt(x), 0)
    >>> y.sum().backward()
    >>> x.grad
    array([0.  , 0.25])
    """
    if isinstance(condition, Tensor):
        condition = condition.data
    return where_op.run(condition, x, y)


def inside(x: Any, low: Any, high: Any) -> Any:
    within = np.full(shape_of(x), True)
    if low is not None:
        within = within & np.greater_equal(x, low)
    if high is not None:
        within = within & np.less_equal(x, high)
    return within


clip_op = Op(
    "clip",
    "elementwise",
    np.clip,
    [
        lambda x, low, high: inside(x, low, high),
        lambda x, low, high: np.less(x, low) & (True if high is None else np.less_equal(low, high)),
        lambda x, low, high: np.greater(x, high) | (False if low is None else np.greater(low, high)),
    ],
    operands=("x", "low", "high"),
    domain=Domain(ties=True),
    analytic=False,
)


def clip(x: Any, min: Any = None, max: Any = None, *, a_min: Any = None, a_max: Any = None) -> Any:
    """x, but not less than `min` and not more than `max` (either may be None), as ``np.clip``.

    The derivative by x is 1 inside and at the bounds, 0 outside; a bound that is a Tensor gets the gradient of the
    elements it replaced.

    >>> import minigrad
    >>> x = minigrad.tensor([-2.0, 0.5, 1.0], requires_grad=True)
    >>> minigrad.clip(x, -1, 1).sum().backward()
    >>> x.grad
    array([0., 1., 1.])
    """
    low = a_min if min is None else min
    high = a_max if max is None else max
    return clip_op.run(x, low, high)


def abs(x: Any) -> Any:
    """Absolute value; another name of `absolute`.

    >>> import minigrad
    >>> minigrad.abs(minigrad.tensor([-1.5, 2.0]))
    tensor([1.5, 2. ])
    """
    return absolute(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1. Its derivative is 0 wherever it has one, so the result is a plain array.

    >>> import minigrad
    >>> minigrad.sign(minigrad.tensor([-1.5, 0.0]))
    array([-1.,  0.])
    """
    return np.sign(x)


# -- dtype -----------------------------------------------------------------------------------------------------

astype_op = linear("astype", lambda x, *, dtype: np.asarray(x).astype(dtype), lambda g: g, analytic=False)


def astype(x: Any, dtype: Any) -> Any:
    """x in another dtype; its gradient comes back in x's own.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0], requires_grad=True)
    >>> minigrad.astype(x, "float32").dtype
    dtype('float32')
    """
    return astype_op.run(x, {"dtype": np.dtype(dtype)})


OPS = [
    *(f.op for f in (add, subtract, multiply, divide, negative, positive, reciprocal, square, sqrt, absolute, power)),
    *(f.op for f in (exp, expm1, log, log1p, sin, cos, tanh, sigmoid, relu, softplus, maximum, minimum)),
    masked_multiply.op,
    where_op,
    clip_op,
    astype_op,
]
