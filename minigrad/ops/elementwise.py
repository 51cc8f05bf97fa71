"""Elementwise ops: a page of derivatives.

Each entry gives NumPy's ufunc and the partial derivative with respect to each operand, in terms of the operands
``x`` and ``y`` and of the result ``out``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import array_function, is_lazy
from ..tensor import Tensor
from .entry import Operand, only_defaults, public
from .op import POSITIVE, REAL, Domain, Op, elementwise, linear, shape_of
from .precision import floating

LN2, LN10 = math.log(2), math.log(10)


def one_over(y: Any) -> Any:
    if isinstance(y, float | int) and not is_lazy(y):
        return float(np.divide(1.0, y))  # Python's own 1 / 0.0 raises
    return 1 / y


# -- arithmetic ------------------------------------------------------------------------------------------------

add = elementwise(np.add, 1, 1, domain=REAL, operator="+", doc="Sum, x + y.")
subtract = elementwise(np.subtract, 1, -1, domain=REAL, operator="-", doc="Difference, x - y.")
multiply = elementwise(
    np.multiply, lambda y: y, lambda x: x, domain=REAL, multilinear=True, operator="*", doc="Product, x * y."
)
divide = elementwise(
    np.divide, lambda y: one_over(y), lambda out, y: -out / y, domain=POSITIVE, singular=True, operator="/",
    doc="Quotient, x / y.",
)  # fmt: skip
negative = elementwise(np.negative, -1, domain=REAL, operator="neg", doc="Negative, -x.")
positive = elementwise(np.positive, 1, domain=REAL, operator="pos", doc="Itself, +x.")
reciprocal = elementwise(np.reciprocal, lambda out: -out * out, domain=POSITIVE, singular=True, doc="Reciprocal, 1 / x.")
square = elementwise(np.square, lambda x: 2 * x, domain=REAL, method=True, doc="Square, x * x.")
sqrt = elementwise(np.sqrt, lambda out: 0.5 / out, domain=POSITIVE, singular=True, method=True, doc="Square root.")
absolute = elementwise(
    np.absolute, lambda x: np.sign(x), domain=Domain(kinks=(0.0,)), analytic=False, operator="abs", method="abs",
    doc="Absolute value, abs(x). Its derivative at 0 is taken as 0.",
)  # fmt: skip
fabs = elementwise(
    np.fabs, lambda x: np.sign(x), domain=Domain(kinks=(0.0,)), analytic=False,
    doc="Absolute value of real numbers, always floating. Its derivative at 0 is taken as 0.",
)  # fmt: skip
cbrt = elementwise(
    np.cbrt, lambda out: 1 / (3 * out * out), domain=POSITIVE, analytic=False, singular=True,
    doc="Cube root, also of negative numbers. Its derivative at 0 is infinite.",
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


def double(x: Any) -> Any:
    return x.astype(np.promote_types(x.dtype, float)) if hasattr(x, "dtype") else x


power = elementwise(
    np.power, power_by_x, power_by_y, domain=POSITIVE, singular=True, operator="**",
    doc="Power, x ** y. The derivative by y is given for x >= 0; at x = 0 it is taken as 0.",
)  # fmt: skip
float_power = elementwise(
    np.float_power, lambda x, y: power_by_x(double(x), double(y)), lambda out, x: power_by_y(out, double(x)),
    domain=POSITIVE, singular=True,
    doc="Power, x ** y, computed in double precision at least. Its derivatives are those of `power`.",
)  # fmt: skip


def truncated_quotient(x: Any, y: Any) -> Any:
    # Not np.trunc(x / y), which may round up to the next integer where np.fmod does not.
    return np.sign(x) * np.sign(y) * np.floor_divide(np.abs(x), np.abs(y))


remainder = elementwise(
    np.remainder, 1, lambda x, y: -np.floor_divide(x, y), domain=REAL, analytic=False, operator="%",
    doc="Remainder of the division, x - floor(x / y) * y, with the sign of y. The quotient is a constant to the derivatives.",
)  # fmt: skip
fmod = elementwise(
    np.fmod, 1, lambda x, y: -truncated_quotient(x, y), domain=REAL, analytic=False,
    doc="Remainder of the division, x - trunc(x / y) * y, with the sign of x. The quotient is a constant to the derivatives.",
)  # fmt: skip


def over_length(x: Any, length: Any) -> Any:
    # x / length, where the length of nothing gives no direction: 0, also in further derivatives.
    return x * np.not_equal(length, 0) / (length + np.equal(length, 0))


hypot = elementwise(
    np.hypot, lambda out, x: over_length(x, out), lambda out, y: over_length(y, out), domain=POSITIVE, analytic=False,
    associative=True,
    doc="Length of the vector (x, y), sqrt(x^2 + y^2), without overflow. Its derivatives at (0, 0) are taken as 0.",
)  # fmt: skip

# -- exponentials and logarithms -------------------------------------------------------------------------------

exp = elementwise(np.exp, lambda out: out, domain=REAL, method=True, doc="Exponential, e^x.")
expm1 = elementwise(np.expm1, lambda out: out + 1, domain=REAL, doc="e^x - 1, exact for small x.")
log = elementwise(np.log, lambda x: 1 / x, domain=POSITIVE, singular=True, method=True, doc="Natural logarithm.")
log1p = elementwise(
    np.log1p, lambda x: 1 / (1 + x), domain=Domain(low=-1.0), singular=True, doc="log(1 + x), exact for small x."
)
exp2 = elementwise(np.exp2, lambda out: LN2 * out, domain=REAL, doc="2^x.")
log2 = elementwise(np.log2, lambda x: 1 / (LN2 * x), domain=POSITIVE, singular=True, doc="Logarithm to the base 2.")
log10 = elementwise(np.log10, lambda x: 1 / (LN10 * x), domain=POSITIVE, singular=True, doc="Logarithm to the base 10.")


def log_share(x: Any, y: Any) -> Any:
    # sigmoid(x - y), and not exp(x - out), which is off by as much as out is rounded. Two infinities have no difference:
    # of a sum of nothing neither gets anything, at +inf each gets half.
    same = np.isinf(x) & np.equal(x, y)
    if not np.any(same):
        return sigmoid(x - y)
    return np.where(same & np.less(x, 0), 0, sigmoid(np.where(same, 0, x - y)))


logaddexp = elementwise(
    np.logaddexp, lambda x, y: log_share(x, y), lambda x, y: log_share(y, x), domain=REAL, analytic=False, associative=True,
    doc="log(e^x + e^y), without overflow. Where both are -inf its derivatives are taken as 0.",
)  # fmt: skip
logaddexp2 = elementwise(
    np.logaddexp2, lambda x, y: log_share(LN2 * x, LN2 * y), lambda x, y: log_share(LN2 * y, LN2 * x), domain=REAL,
    analytic=False, associative=True,
    doc="log2(2^x + 2^y), without overflow. Where both are -inf its derivatives are taken as 0.",
)  # fmt: skip

# -- trigonometric functions -----------------------------------------------------------------------------------

sin = elementwise(np.sin, lambda x: np.cos(x), domain=REAL, method=True, doc="Sine of x radians.")
cos = elementwise(np.cos, lambda x: -np.sin(x), domain=REAL, method=True, doc="Cosine of x radians.")
tan = elementwise(
    np.tan, lambda out: 1 + out * out, domain=Domain(low=-math.pi / 2, high=math.pi / 2), doc="Tangent of x radians."
)


def one_minus_square(x: Any) -> Any:
    # Digits are kept near 1, where 1 - x * x has few; at 1 a factor of 0 would make NaN of an infinite second derivative.
    edge = np.equal(np.abs(x), 1)
    if not np.any(edge):
        return (1 - x) * (1 + x)
    return np.where(edge, 1 - x * x, (1 - x) * (1 + x))


arcsin = elementwise(
    np.arcsin, lambda x: 1 / np.sqrt(one_minus_square(x)), domain=Domain(low=-1.0, high=1.0), singular=True,
    doc="Inverse sine, in radians from -pi/2 to pi/2. Its derivative at -1 and 1 is infinite.",
)  # fmt: skip
arccos = elementwise(
    np.arccos, lambda x: -1 / np.sqrt(one_minus_square(x)), domain=Domain(low=-1.0, high=1.0), singular=True,
    doc="Inverse cosine, in radians from 0 to pi. Its derivative at -1 and 1 is infinite.",
)  # fmt: skip
arctan = elementwise(np.arctan, lambda x: 1 / (1 + x * x), domain=REAL, doc="Inverse tangent, in radians from -pi/2 to pi/2.")
arctan2 = elementwise(
    np.arctan2,
    lambda x, y: over_length(over_length(y, np.hypot(x, y)), np.hypot(x, y)),
    lambda x, y: -over_length(over_length(x, np.hypot(x, y)), np.hypot(x, y)),
    domain=POSITIVE,
    analytic=False,
    doc="Angle of the point with ordinate x and abscissa y (the order of ``np.arctan2``), in radians from -pi to pi. "
    "Its derivatives at (0, 0) are taken as 0.",
)
deg2rad = elementwise(
    np.deg2rad, lambda: math.pi / 180, domain=REAL, analytic=False, also=(np.radians,),
    doc="Degrees to radians; ``np.radians`` too.",
)  # fmt: skip
rad2deg = elementwise(
    np.rad2deg, lambda: 180 / math.pi, domain=REAL, analytic=False, also=(np.degrees,),
    doc="Radians to degrees; ``np.degrees`` too.",
)  # fmt: skip

# sin(pi x) / (pi x) = 1 - (pi x)^2 / 3! + (pi x)^4 / 5! - ..., term by term: the derivative is x times this series in x^2.
SINC_SERIES = [(-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(1, 14)]


def sinc_slope(x: Any) -> Any:
    # The quotient loses digits near 0, and each further derivative of it loses more; the series does not.
    near = np.less(np.abs(x), 0.5)
    far = ~near
    inner, outer = x * near, x * far + near
    squared = inner * inner
    series = 0 * squared + SINC_SERIES[-1]
    for coefficient in SINC_SERIES[-2::-1]:
        series = series * squared + coefficient
    turns = math.pi * np.remainder(outer, 2)  # not pi times outer, which is off by more than a turn where outer is large
    return inner * series + far * (np.cos(turns) - np.sin(turns) / (math.pi * outer)) / outer


sinc = elementwise(np.sinc, lambda x: sinc_slope(x), domain=REAL, doc="sin(pi x) / (pi x), and 1 at x = 0, as ``np.sinc``.")

# -- hyperbolic functions: see tanh below ----------------------------------------------------------------------

sinh = elementwise(np.sinh, lambda x: np.cosh(x), domain=REAL, doc="Hyperbolic sine, (e^x - e^-x) / 2.")
cosh = elementwise(np.cosh, lambda x: np.sinh(x), domain=REAL, doc="Hyperbolic cosine, (e^x + e^-x) / 2.")
arcsinh = elementwise(np.arcsinh, lambda x: 1 / np.hypot(x, 1), domain=REAL, doc="Inverse hyperbolic sine.")
arccosh = elementwise(
    np.arccosh,
    lambda x: 1 / np.sqrt(x - 1) / np.sqrt(x + 1),  # not of their product, which is too large for float16 from 257 on
    domain=Domain(low=1.0),
    singular=True,
    doc="Inverse hyperbolic cosine, for x >= 1. Its derivative at 1 is infinite.",
)
arctanh = elementwise(
    np.arctanh, lambda x: 1 / one_minus_square(x), domain=Domain(low=-1.0, high=1.0), singular=True,
    doc="Inverse hyperbolic tangent, for -1 <= x <= 1.",
)  # fmt: skip

# -- activation functions --------------------------------------------------------------------------------------

tanh = elementwise(
    np.tanh, lambda out: 1 - out * out, domain=REAL, method=True,
    doc="Hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x), between -1 and 1; its derivative, 1 - tanh(x)^2, is at most 1.",
)  # fmt: skip


def stable_sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):  # where exp(-x) is too large for a number, 1 / (1 + inf) is 0, as it should be
        return 1 / (1 + np.exp(-floating(x)))


sigmoid = elementwise(
    stable_sigmoid, lambda out: out * (1 - out), domain=REAL, name="sigmoid", method=True, analytic=False,
    doc="Logistic sigmoid, 1 / (1 + e^-x), between 0 and 1; its derivative is at most 1/4.",
)  # fmt: skip
relu = elementwise(
    lambda x: np.maximum(x, 0), lambda out: np.sign(out), domain=Domain(kinks=(0.0,)), name="relu", method=True, analytic=False,
    selects=True, nan_wins=True, doc="Rectified linear unit, max(x, 0). Its derivative at 0 is taken as 0.",
)  # fmt: skip
softplus = elementwise(
    lambda x: np.logaddexp(x, 0), lambda x: sigmoid(x), domain=REAL, name="softplus", analytic=False,
    doc="log(1 + e^x), a smooth relu, without overflow.",
)  # fmt: skip


@array_function
def each(function: Any, x: Any) -> Any:
    """A function of the math module, of every element."""
    x = np.asarray(x)
    values = np.fromiter(map(function, x.ravel().tolist()), float, x.size).reshape(x.shape)
    return values.astype(x.dtype if x.dtype.kind == "f" else float, copy=False)


erf = elementwise(
    lambda x: each(math.erf, x), lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x), domain=REAL, name="erf", analytic=False,
    doc="Error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x. Computed one number at a time.",
)  # fmt: skip
erfc = elementwise(
    lambda x: each(math.erfc, x), lambda x: -2 / math.sqrt(math.pi) * np.exp(-x * x), domain=REAL, name="erfc", analytic=False,
    doc="1 - erf(x), exact where erf(x) is close to 1.",
)  # fmt: skip


def gelu_slope(x: Any) -> Any:
    return 0.5 * erfc(-math.sqrt(0.5) * x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


gelu = elementwise(
    lambda x: 0.5 * x * erfc(-math.sqrt(0.5) * x), lambda x: gelu_slope(x), domain=REAL, name="gelu", analytic=False,
    doc="Gaussian error linear unit, x (1 + erf(x / sqrt 2)) / 2, exact also where that is small.",
)  # fmt: skip


def silu_slope(x: Any) -> Any:
    s = sigmoid(x)
    return s * (1 + x * sigmoid(-x))


silu = elementwise(
    lambda x: x * stable_sigmoid(x), lambda x: silu_slope(x), domain=REAL, name="silu", analytic=False,
    doc="Sigmoid linear unit (swish), x / (1 + e^-x).",
)  # fmt: skip

# -- choosing --------------------------------------------------------------------------------------------------


def share(out: Any, x: Any, y: Any) -> Any:
    # x's: 1 where it is the result, half where y is, too. NaN, which equals nothing, comes out as 0 / 0.
    mine, other = np.equal(x, out), np.equal(y, out)
    return mine / np.add(mine, other, dtype=out.dtype)


maximum = elementwise(
    np.maximum, lambda out, x, y: share(out, x, y), lambda out, x, y: share(out, y, x), domain=Domain(ties=True),
    analytic=False, selects=True, nan_wins=True, associative=True,
    doc="The larger of x and y. Where they are equal each gets half of the gradient; where the result is NaN, NaN.",
)  # fmt: skip
minimum = elementwise(
    np.minimum, lambda out, x, y: share(out, x, y), lambda out, x, y: share(out, y, x), domain=Domain(ties=True),
    analytic=False, selects=True, nan_wins=True, associative=True,
    doc="The smaller of x and y. Where they are equal each gets half of the gradient; where the result is NaN, NaN.",
)  # fmt: skip


def share_of_numbers(x: Any, y: Any, larger: Any, smaller: Any) -> Any:
    # A number is chosen over NaN; of two NaN each gets half. A comparison with NaN is false, a share of 0.
    return np.greater(larger, smaller) + 0.5 * np.equal(x, y) + np.isnan(y) * (1 - 0.5 * np.isnan(x))


fmax = elementwise(
    np.fmax, lambda x, y: share_of_numbers(x, y, x, y), lambda x, y: share_of_numbers(y, x, y, x),
    domain=Domain(ties=True), analytic=False, selects=True, associative=True,
    doc="The larger of x and y, or the one that is not NaN. Where they are equal each gets half of the gradient.",
)  # fmt: skip
fmin = elementwise(
    np.fmin, lambda x, y: share_of_numbers(x, y, y, x), lambda x, y: share_of_numbers(y, x, x, y),
    domain=Domain(ties=True), analytic=False, selects=True, associative=True,
    doc="The smaller of x and y, or the one that is not NaN. Where they are equal each gets half of the gradient.",
)  # fmt: skip
where_op = linear(
    "where",
    lambda condition, x, y: np.where(condition, x, y),
    None,
    lambda g, condition: np.where(condition, g, 0),
    lambda g, condition: np.where(condition, 0, g),
    selects=True,
    weak=True,
)


@public(np.where)
def where(condition: Any, x: Operand = None, y: Operand = None) -> Operand:
    """x where `condition` is true, y elsewhere, broadcast against each other, as ``np.where``.

    The branch not taken gets a gradient of exactly 0, and so does all that it was computed from, also where values or
    derivatives there are not finite. With the condition alone: where it is true, as ``np.nonzero``.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([0.0, 4.0], requires_grad=True)
    >>> y = minigrad.where(x > 0, np.sqrt(x), 0)
    >>> y.sum().backward()
    >>> x.grad
    array([0.  , 0.25])
    """
    if isinstance(condition, Tensor):
        condition = condition.data
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("where takes a condition with both x and y, or alone")
    return where_op.run(condition, x, y)


def inside(x: Any, low: Any, high: Any) -> Any:
    within = np.full(shape_of(x), True)
    if low is not None:
        within = within & np.greater_equal(x, low)
    if high is not None:
        within = within & np.less_equal(x, high)
    return within


def chosen(choice: Any, out: Any) -> Any:
    # NaN where the result is, for there a comparison is false, whatever was chosen.
    return np.where(np.isnan(out), np.nan, choice)


def clipped(x: Any, low: Any, high: Any) -> Any:
    return np.positive(x) if low is None and high is None else np.clip(x, low, high)  # which NumPy 2.0 refuses


clip_op = Op(
    "clip",
    "elementwise",
    clipped,
    (
        lambda out, x, low, high: chosen(inside(x, low, high), out),
        lambda out, x, low, high: chosen(np.less(x, low) & (True if high is None else np.less_equal(low, high)), out),
        lambda out, x, low, high: chosen(np.greater(x, high) | (False if low is None else np.greater(low, high)), out),
    ),
    operands=("x", "low", "high"),
    domain=Domain(ties=True),
    analytic=False,
    selects=True,
    nan_wins=True,
)


@public(np.clip, method=True)
def clip(
    x: Operand, min: Operand = None, max: Operand = None, *, a_min: Operand = None, a_max: Operand = None, **others: Any
) -> Operand:
    """x, but not less than `min` and not more than `max` (either may be None), as ``np.clip``.

    The derivative by x is 1 inside and at the bounds, 0 outside; a bound that is a Tensor gets the gradient of the
    elements it replaced. Where the result is NaN, so are they.

    >>> import minigrad
    >>> x = minigrad.tensor([-2.0, 0.5, 1.0], requires_grad=True)
    >>> minigrad.clip(x, -1, 1).sum().backward()
    >>> x.grad
    array([0., 1., 1.])
    """
    if others:
        only_defaults(np.clip, others)
    low = a_min if min is None else min
    high = a_max if max is None else max
    return clip_op.run(x, low, high)


@public(np.nan_to_num)
def nan_to_num(x: Operand, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Operand:
    """x with NaN replaced by `nan`, and infinities by `posinf` and `neginf` (None: the largest finite numbers).

    As ``np.nan_to_num``. The derivative is 1 where x is finite and 0 where it was replaced.
    Raises TypeError if `copy` is false: values are never written to.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([1.0, np.nan, np.inf], requires_grad=True)
    >>> y = minigrad.nan_to_num(x, posinf=9.0)
    >>> y.sum().backward()
    >>> y.data, x.grad
    (array([1., 0., 9.]), array([1., 0., 0.]))
    """
    if not copy:
        raise TypeError("nan_to_num(..., copy=False) would write to its argument; use the result")
    values = x.data if isinstance(x, Tensor) else x
    replaced = np.nan_to_num(values, nan=nan, posinf=posinf, neginf=neginf)
    return where(np.isfinite(values), x, replaced) if isinstance(x, Tensor) else replaced


abs = absolute
mod = remainder


@public()
def sign(x: Operand) -> np.ndarray:
    """-1, 0 or 1. Its derivative is 0 wherever it has one, so the result is a plain array.

    >>> import minigrad
    >>> minigrad.sign(minigrad.tensor([-1.5, 0.0]))
    array([-1.,  0.])
    """
    return np.sign(x)  # type: ignore[no-any-return]


# -- dtype -----------------------------------------------------------------------------------------------------

astype_op = linear("astype", lambda x, *, dtype: x.astype(dtype), lambda g: g, analytic=False)


@public("astype", method=True)
def astype(x: Operand, dtype: Any, *, copy: bool = True, **others: Any) -> Operand:
    """x in another dtype; its gradient comes back in x's own. As ``np.astype``.

    Values are never written to, so it is not to be seen whether they were copied, and `copy` changes nothing.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0], requires_grad=True)
    >>> minigrad.astype(x, "float32").dtype
    dtype('float32')
    """
    if others:
        only_defaults(np.ndarray.astype, others)
    return astype_op.run(x, {"dtype": np.dtype(dtype)})
