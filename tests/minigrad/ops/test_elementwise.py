"""Elementwise functions: they give what NumPy gives, and their derivatives hold where formulas are in trouble."""

import math
import operator
import runpy
import warnings
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import TABLE, UFUNCS

getcontext().prec = 60
SHARED = runpy.run_path(str(Path(__file__).with_name("derivatives.py")))
leaf, gradient, partials, hessian, assert_same = (
    SHARED[name] for name in ("leaf", "gradient", "partials", "hessian", "assert_same")
)
RANDOM = np.random.default_rng(0)
A = RANDOM.uniform(-2.0, 2.0, (2, 3, 4))
INF, NAN = np.inf, np.nan


# -- NumPy's names and results ---------------------------------------------------------------------------------

OTHER_NAMES = {
    "abs": "absolute", "true_divide": "divide", "mod": "remainder", "pow": "power", "acos": "arccos", "acosh": "arccosh",
    "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh", "degrees": "rad2deg",
    "radians": "deg2rad",
}  # fmt: skip


@pytest.mark.parametrize(("other", "name"), OTHER_NAMES.items())
def test_numpys_second_names_arrive_at_the_op(other: str, name: str) -> None:
    ufunc = getattr(np, other)
    assert UFUNCS[ufunc].op is TABLE[name]
    arguments = [np.full((2, 3), 1.3 if name == "arccosh" else 0.3)] * ufunc.nin
    assert_same(ufunc(*map(leaf, arguments)), ufunc(*arguments))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_ufuncs_are_numpys_in_every_precision(ufunc: np.ufunc, dtype: str) -> None:
    low = max(UFUNCS[ufunc].op.domain.low, -2.0) if hasattr(UFUNCS[ufunc], "op") else -2.0
    high = min(UFUNCS[ufunc].op.domain.high, low + 2.0) if hasattr(UFUNCS[ufunc], "op") else 2.0
    arguments = [np.linspace(low, high, 12)[1:-1].astype(dtype) + np.asarray(i / 64, dtype) for i in range(ufunc.nin)]
    assert_same(ufunc(*map(leaf, arguments)), ufunc(*arguments))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sinc_and_nan_to_num_are_numpys(dtype: str) -> None:
    x = np.array([-1.5, -0.0, 0.0, 1e-4, 0.3, 2.0], dtype)
    with np.errstate(invalid="ignore"):  # of float16 zeros NumPy 2.0 makes NaN
        assert_same(np.sinc(leaf(x)), np.sinc(x))
    odd = np.array([NAN, INF, -INF, -0.0, 1.5], dtype)
    for options in ({}, {"nan": 2.0}, {"posinf": 3.0, "neginf": -3.0}, {"copy": True}):
        assert_same(np.nan_to_num(leaf(odd), **options), np.nan_to_num(odd, **options))
        assert_same(minigrad.nan_to_num(odd, **options), np.nan_to_num(odd, **options))


def test_nan_to_num_does_not_write() -> None:
    with pytest.raises(TypeError, match="copy=False"):
        np.nan_to_num(leaf([NAN]), copy=False)


def test_remainder_is_an_operator() -> None:
    x = np.array([-2.5, 0.5, 3.25])
    for left, right in ((x, 2.0), (2.0, x), (x, x[::-1])):
        expected = operator.mod(left, right)
        assert_same(operator.mod(leaf(left), right), expected)
        assert_same(operator.mod(left, leaf(right)), expected)
    assert_same(minigrad.mod(leaf(x), 2), x % 2)


@pytest.mark.parametrize("f", [minigrad.erf, minigrad.erfc, minigrad.gelu, minigrad.silu])
def test_functions_of_real_numbers_keep_the_precision_and_take_integers(f: Any) -> None:
    x = np.array([[-1.0, 0.0], [2.0, 3.0]])
    for dtype in ("float16", "float32"):
        assert f(x.astype(dtype)).dtype == f(leaf(x, dtype)).dtype == dtype
        np.testing.assert_allclose(f(x.astype(dtype)), f(x), rtol=4 * np.finfo(dtype).eps)
    assert_same(f(x.astype(int)), f(x))
    assert_same(f(minigrad.tensor(x.astype(int))), f(x))
    assert f(2.0) == f(x)[1, 0]
    assert f(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("f", [np.argmax, np.argmin, np.argsort, np.floor, np.ceil, np.trunc, np.rint, np.round, np.isnan,
                               np.isinf, np.isfinite, np.sign, np.signbit, np.nonzero, np.count_nonzero, np.any])  # fmt: skip
def test_functions_without_a_slope_give_plain_arrays(f: Any) -> None:
    found, expected = f(leaf(A)), f(A)
    assert not isinstance(found, minigrad.Tensor)
    np.testing.assert_array_equal(found, expected)


def test_functions_of_two_arguments_without_a_slope_give_plain_arrays() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert np.searchsorted(leaf(x), 2.5) == np.searchsorted(x, leaf(2.5)) == 2
    np.testing.assert_array_equal(np.digitize(leaf(x), [1.5, 2.5]), [0, 1, 2])
    for found in (np.searchsorted(leaf(x), x), np.searchsorted(x, leaf(x)), np.digitize(leaf(x), [1.5]), leaf(x) // 2):
        assert not isinstance(found, minigrad.Tensor)
    assert_same(np.floor_divide(leaf(x), 2), np.floor_divide(x, 2))


# -- exact values ----------------------------------------------------------------------------------------------


def exact_erfc(x: float) -> Decimal:
    """1 - erf(x), by the series of erf in 60 digits."""
    getcontext().prec = 120
    square, term, total = Decimal(x) ** 2, Decimal(x), Decimal(0)
    for k in range(1, 600):
        total += term / (2 * k - 1)
        term = -term * square / k
    return 1 - total * 2 / PI.sqrt()


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651")


@pytest.mark.parametrize("x", [-6.0, -2.5, -1.0, -0.3, -1e-9, 0.0, 1e-30, 0.1, 0.84375, 1.25, 3.0, 5.9])
def test_erf_and_gelu_to_the_last_digits(x: float) -> None:
    exact = exact_erfc(x)
    assert minigrad.erf(x) == pytest.approx(float(1 - exact), rel=1e-15, abs=0)
    assert minigrad.erfc(x) == pytest.approx(float(exact), rel=1e-15, abs=0)
    cdf = exact_erfc(float(-Decimal(x) / Decimal(2).sqrt())) / 2
    assert minigrad.gelu(x) == pytest.approx(float(Decimal(x) * cdf), rel=2e-14, abs=0)  # erfc multiplies a rounding by 2x^2


def test_slopes_of_activations() -> None:
    assert gradient(minigrad.erf, 0.0) == 2 / math.sqrt(math.pi)
    assert gradient(minigrad.gelu, [0.0, 1e4, -1e4]).tolist() == [0.5, 1, 0]
    assert gradient(minigrad.silu, [0.0, 1e4, -1e4]).tolist() == [0.5, 1, 0]
    assert gradient(minigrad.gelu, 0.0, 2) == pytest.approx(2 / math.sqrt(2 * math.pi), rel=1e-15)
    assert gradient(minigrad.silu, 0.0, 2) == 0.5
    for f in (minigrad.erf, minigrad.gelu, minigrad.silu):
        assert gradient(f, [-1e4, 1e4], 2).tolist() == [0, 0]
    assert minigrad.silu(np.array([-1e4, 0, 1e4])).tolist() == minigrad.gelu(np.array([-1e4, 0, 1e4])).tolist() == [0, 0, 1e4]


CONSTANTS = {
    np.exp2: (3.0, 8 * math.log(2)), np.log2: (4.0, 0.25 / math.log(2)), np.log10: (4.0, 0.25 / math.log(10)),
    np.deg2rad: (3.0, math.pi / 180), np.rad2deg: (3.0, 180 / math.pi), np.fabs: (-3.0, -1.0), np.tan: (0.0, 1.0),
    np.arcsin: (0.6, 1.25), np.arccos: (0.6, -1.25), np.arctan: (2.0, 0.2), np.sinh: (0.0, 1.0), np.cosh: (0.0, 0.0),
    np.arcsinh: (0.75, 0.8), np.arccosh: (1.25, 4 / 3), np.arctanh: (0.5, 4 / 3), np.cbrt: (-8.0, 1 / 12),
}  # fmt: skip


@pytest.mark.parametrize(("f", "at", "slope"), [(f, *pair) for f, pair in CONSTANTS.items()], ids=lambda x: str(x))
def test_slopes_that_are_known(f: Any, at: float, slope: float) -> None:
    assert gradient(f, at) == pytest.approx(slope, rel=4e-16, abs=0)


@pytest.mark.parametrize("f", [np.arcsin, np.arccos])
def test_slope_of_arcsin_keeps_its_digits_near_1(f: Any) -> None:
    sign = 1 if f is np.arcsin else -1
    for gap in (1e-3, 1e-8, 1e-15):
        x = 1 - gap
        exact = 1 / ((1 - Decimal(x)) * (1 + Decimal(x))).sqrt()
        assert gradient(f, [x, -x]) == pytest.approx(sign * float(exact), rel=1e-15)


# -- infinite slopes -------------------------------------------------------------------------------------------

EDGES = {np.arcsin: (1.0, INF), np.arccos: (1.0, -INF), np.arccosh: (1.0, INF), np.cbrt: (0.0, INF)}  # fmt: skip


@pytest.mark.parametrize(("f", "at", "slope"), [(f, *pair) for f, pair in EDGES.items()], ids=lambda x: str(x))
def test_slopes_that_are_infinite_are_so_and_reach_nobody_who_does_not_ask(f: Any, at: float, slope: float) -> None:
    assert gradient(f, at) == slope
    x = leaf([at, at])
    assert minigrad.grad(f(x), x, seed=[0.0, 1.0]).tolist() == [0, slope]
    inside = 1.5 if f is np.arccosh else 0.5
    chosen = gradient(lambda x: np.where(np.array([False, True]), f(x), 0), [at, inside])
    assert chosen[0] == 0
    assert np.isfinite(chosen[1])


def test_second_derivatives_at_the_edge_are_infinite() -> None:
    assert gradient(np.arcsin, [-1.0, 1.0], 2).tolist() == [-INF, INF]
    assert gradient(np.arccos, [-1.0, 1.0], 2).tolist() == [INF, -INF]
    assert gradient(np.arccosh, 1.0, 2) == -INF


# -- ties, kinks, NaN ------------------------------------------------------------------------------------------


def test_fmax_and_fmin_share_ties_and_prefer_numbers() -> None:
    x, y = [1.0, 2.0, NAN, 3.0, NAN, INF], [1.0, 5.0, 4.0, NAN, NAN, INF]
    assert partials(np.fmax, x, y) == [[0.5, 0, 0, 1, 0.5, 0.5], [0.5, 1, 1, 0, 0.5, 0.5]]
    assert partials(np.fmin, x, y) == [[0.5, 1, 0, 1, 0.5, 0.5], [0.5, 0, 1, 0, 0.5, 0.5]]
    assert partials(np.fmax, [NAN, 1.0], 0.0) == [[0, 1], 1]


def test_fabs_has_derivative_0_at_0() -> None:
    assert gradient(np.fabs, [-1.0, -0.0, 0.0, 1.0]).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize(("f", "rounded"), [(np.mod, np.floor), (np.fmod, np.trunc)])
def test_derivatives_of_remainders(f: Any, rounded: Any) -> None:
    x, y = np.array([7.0, -7.0, 7.0, -7.0, 0.5]), np.array([2.0, 2.0, -2.0, -2.0, INF])
    assert partials(f, x, y) == [[1] * 5, (-rounded(x / y)).tolist()]
    # 1 / 0.1 is 10.0 when rounded, but the remainder of NumPy is that of a quotient of 9
    assert partials(f, 1.0, 0.1) == [1, -9]
    assert f(1.0, 0.1) == pytest.approx(1 - 9 * 0.1)
    assert gradient(lambda t: f(t, 2.0) * t, 7.0, 2) == 2


def test_nan_to_num_differentiates_what_it_leaves() -> None:
    assert gradient(np.nan_to_num, [1.0, NAN, INF, -INF]).tolist() == [1, 0, 0, 0]
    assert gradient(lambda x: np.nan_to_num(x) ** 3, [2.0, NAN], 2).tolist() == [12, 0]


# -- points that have no direction -----------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.hypot, np.arctan2])
def test_at_the_origin_all_derivatives_are_0(f: Any) -> None:
    assert partials(f, [0.0, -0.0], [0.0, 0.0]) == [[0, 0], [0, 0]]
    assert hessian(lambda v: f(v[0], v[1]), [0.0, 0.0]).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("x", "y"), [(3.0, 4.0), (-3.0, 4.0), (-3.0, -4.0), (3.0, -4.0), (0.0, -4.0), (3.0, 0.0)])
@pytest.mark.parametrize("size", [1.0, 1e200, 1e-200])
def test_derivatives_of_hypot_and_arctan2_all_around(x: float, y: float, size: float) -> None:
    r = math.hypot(x, y)
    np.testing.assert_allclose(partials(np.hypot, size * x, size * y), [x / r, y / r], rtol=1e-15)
    np.testing.assert_allclose(partials(np.arctan2, size * x, size * y), [y / r / r / size, -x / r / r / size], rtol=1e-15)


def test_second_derivatives_of_hypot_and_arctan2() -> None:
    x, y = 3.0, -4.0
    expected = np.array([[y * y, -x * y], [-x * y, x * x]]) / 125
    np.testing.assert_allclose(hessian(lambda v: np.hypot(v[0], v[1]), [x, y]), expected, rtol=1e-14)
    expected = np.array([[-2 * x * y, x * x - y * y], [x * x - y * y, 2 * x * y]]) / 625
    np.testing.assert_allclose(hessian(lambda v: np.arctan2(v[0], v[1]), [x, y]), expected, rtol=1e-14)


def test_derivatives_of_sinc_at_0() -> None:
    expected = [0, -(math.pi**2) / 3, 0, math.pi**4 / 5]
    for order, value in enumerate(expected, 1):
        np.testing.assert_allclose(gradient(np.sinc, [0.0, -0.0], order), value, rtol=1e-15)


@pytest.mark.parametrize("x", [1e-12, 1e-5, 0.01, 0.2, 0.499, 0.501, 0.9, 1.0, 2.3])
def test_derivatives_of_sinc_keep_their_digits(x: float) -> None:
    getcontext().prec = 60
    squared = (PI * Decimal(x)) ** 2

    def series(order: int) -> float:
        total, term = Decimal(0), Decimal(1)
        for k in range(60):
            factor = math.prod(2 * k - i for i in range(order))
            total += term * factor / Decimal(x) ** order
            term = -term * squared / ((2 * k + 2) * (2 * k + 3))
        return float(total)

    for sign in (-1, 1):
        assert gradient(np.sinc, sign * x) == pytest.approx(sign * series(1), rel=2e-15, abs=2e-15)
        assert gradient(np.sinc, sign * x, 2) == pytest.approx(series(2), rel=1e-14, abs=1e-14)


# -- logarithms of sums ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.logaddexp, np.logaddexp2])
def test_logaddexp_of_extremes(f: Any) -> None:
    x, y = [1e4, -1e4, 1e4, -INF, -INF, 0.0, INF, INF], [-1e4, 1e4, 1e4, -INF, 0.0, -INF, INF, 0.0]
    assert partials(f, x, y) == [[1, 0, 0.5, 0, 0, 1, 0.5, 1], [0, 1, 0.5, 0, 1, 0, 0.5, 0]]
    assert np.isfinite(gradient(lambda t: f(t, np.array(y)), x, 2)).all()
    assert np.isfinite(gradient(lambda t: f(np.array(x), t), y, 2)).all()


def test_logaddexp_where_both_are_equal() -> None:
    assert gradient(lambda t: np.logaddexp(t, 3.0), 3.0, 2) == 0.25
    assert gradient(lambda t: np.logaddexp2(t, 3.0), 3.0, 2) == pytest.approx(math.log(2) / 4, rel=1e-15)
    assert gradient(lambda t: np.logaddexp(t, t), [1e16, -INF]).tolist() == [1, 0]


def test_slope_of_logaddexp_is_exact_however_large() -> None:
    for size in (1.0, 1e4, 1e8, 1e15):
        by_x, by_y = partials(np.logaddexp, size + 1, size)
        assert by_x == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-15)
        assert by_y == pytest.approx(1 / (1 + math.exp(1)), rel=1e-15)


def test_a_backward_pass_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        partials(np.logaddexp, [-INF, INF], [-INF, INF])
        partials(np.hypot, 0.0, 0.0)
        partials(np.arctan2, 0.0, 0.0)
        gradient(np.sinc, 0.0, 3)
        gradient(np.cbrt, 0.0, 2)
        gradient(np.std, [1.0, 1.0], 2)
