"""Where a derivative is a decision (ties, kinks, edges), and where naive formulas overflow."""

from decimal import Decimal, getcontext
from typing import Any

import numpy as np
import pytest

import minigrad

getcontext().prec = 60


def leaf(array: Any) -> minigrad.Tensor:
    return minigrad.tensor(array, requires_grad=True)


def gradient(f: Any, array: Any, order: int = 1) -> np.ndarray:
    """The derivative of that order of the sum of f, by each element of its argument."""
    x = leaf(array)
    y = f(x)
    for left in range(order, 0, -1):
        y = minigrad.grad(y.sum(), x, create_graph=left > 1)
    return y.data


# -- ties and kinks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_equal_operands_get_half_each(f: Any) -> None:
    x, y = leaf([1.0, 2.0, 3.0]), leaf([1.0, 5.0, 0.0])
    gx, gy = minigrad.grad(f(x, y).sum(), [x, y])
    assert gx[0].item() == gy[0].item() == 0.5
    np.testing.assert_array_equal(gx.data + gy.data, 1)
    assert gx[1].item() == (f is np.minimum)


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_an_operand_against_itself_gets_all(f: Any) -> None:
    np.testing.assert_array_equal(gradient(lambda x: f(x, x), [1.0, 2.0]), 1)


@pytest.mark.parametrize(("f", "sign"), [(np.max, 1), (np.min, -1)])
def test_extremes_that_tie_share_equally(f: Any, sign: int) -> None:
    x = sign * np.array([[1.0, 3.0, 3.0], [3.0, 0.0, 1.0]])
    np.testing.assert_array_equal(gradient(f, x), np.array([[0, 1, 1], [1, 0, 0]]) / 3)
    np.testing.assert_array_equal(gradient(lambda t: f(t, axis=1), x), [[0, 0.5, 0.5], [1, 0, 0]])
    np.testing.assert_array_equal(gradient(lambda t: f(t, axis=0), x), [[0, 1, 1], [1, 0, 0]])


def test_clip_lets_the_gradient_through_at_its_bounds() -> None:
    np.testing.assert_array_equal(gradient(lambda x: np.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]), [0, 1, 1, 1, 0])


def test_bounds_of_clip_get_the_gradient_of_what_they_replaced() -> None:
    low, high = leaf([-1.0, 0.0]), leaf(1.0)
    by_low, by_high = minigrad.grad(np.clip(np.array([[-2.0, -2.0], [3.0, 3.0]]), low, high).sum(), [low, high])
    np.testing.assert_array_equal(by_low.data, [1, 1])
    assert by_high.item() == 2


def test_clip_with_crossed_bounds_is_its_upper_bound() -> None:
    x, low, high = leaf([0.0, 1.5, 3.0]), leaf(2.0), leaf(1.0)
    y = np.clip(x, low, high)
    np.testing.assert_array_equal(y.data, 1)
    by_x, by_low, by_high = minigrad.grad(y.sum(), [x, low, high])
    np.testing.assert_array_equal(by_x.data, 0)
    assert (by_low.item(), by_high.item()) == (0, 3)


def test_relu_and_abs_have_derivative_0_at_0() -> None:
    np.testing.assert_array_equal(gradient(minigrad.relu, [-1.0, 0.0, -0.0, 1.0]), [0, 0, 0, 1])
    np.testing.assert_array_equal(gradient(np.abs, [-1.0, 0.0, -0.0, 1.0]), [-1, 0, 0, 1])


# -- the branch not taken --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_keeps_an_infinite_derivative_out(order: int) -> None:
    d = gradient(lambda x: np.where(x > 0, np.sqrt(x), 0), [0.0, 4.0], order)
    np.testing.assert_allclose(d, [0, {1: 1 / 4, 2: -1 / 32, 3: 3 / 256}[order]], rtol=1e-15)


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), 0.0),
        (lambda x: np.where(x < 1, x * 0, np.sqrt(x - 1)), 1.0 - 2**-53),
        (lambda x: np.where(x != 0, x**0.5, x * x), 0.0),
    ],
    ids=["log", "sqrt", "power"],
)
def test_where_keeps_what_is_not_finite_out(f: Any, at: float) -> None:
    with np.errstate(invalid="ignore"):
        assert np.isfinite(gradient(f, at))
        assert np.isfinite(gradient(f, at, 2))


def test_derivatives_that_are_infinite_are_infinite() -> None:
    assert gradient(np.sqrt, 0.0) == np.inf
    assert gradient(lambda x: x**0.5, 0.0) == np.inf


# -- powers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exponent", "derivatives"),
    [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [0, 2, 0]), (3, [0, 0, 6]), (2.0, [0, 2, 0]), (np.array([3.0]), [0, 0, 6])],
    ids=str,
)
def test_derivatives_of_powers_at_0(exponent: Any, derivatives: list[float]) -> None:
    assert [gradient(lambda x: x**exponent, [0.0], order)[0] for order in (1, 2, 3)] == derivatives


def test_derivatives_of_integer_powers_of_negative_numbers() -> None:
    x = np.array([-2.0, -0.5])
    np.testing.assert_allclose(gradient(lambda t: t**3, x), 3 * x**2, rtol=1e-15)
    np.testing.assert_allclose(gradient(lambda t: t**-2, x), -2 * x**-3.0, rtol=1e-15)
    np.testing.assert_allclose(gradient(lambda t: t**3, x, 2), 6 * x, rtol=1e-15)


def test_power_by_the_exponent_is_0_at_base_0() -> None:
    base, exponent = leaf([0.0, 0.0, 2.0]), leaf([2.0, 0.0, 3.0])
    by_exponent = minigrad.grad((base**exponent).sum(), exponent)
    np.testing.assert_allclose(by_exponent.data, [0, 0, 8 * np.log(2)], rtol=1e-15)


@pytest.mark.parametrize("f", [np.square, lambda x: x * x, lambda x: x**2])
def test_a_square_has_second_derivative_2_at_0(f: Any) -> None:
    assert gradient(f, 0.0, 2) == 2


# -- no overflow, no lost digits -------------------------------------------------------------------------------


def test_sigmoid_and_softplus_of_huge_numbers() -> None:
    huge = np.array([-1e4, 1e4])
    np.testing.assert_array_equal(minigrad.sigmoid(huge), [0, 1])
    np.testing.assert_array_equal(gradient(minigrad.sigmoid, huge), [0, 0])
    np.testing.assert_array_equal(minigrad.softplus(huge), [0, 1e4])
    np.testing.assert_array_equal(gradient(minigrad.softplus, huge), [0, 1])
    np.testing.assert_array_equal(np.tanh(leaf(huge)).data, [-1, 1])
    for f in (minigrad.sigmoid, minigrad.softplus, np.tanh):
        np.testing.assert_array_equal(gradient(f, huge, 2), [0, 0])


@pytest.mark.parametrize("x", [-700.0, -40.0, -1.0, -1e-9, 0.0, 0.3, 5.0, 40.0])
def test_sigmoid_and_softplus_to_the_last_digits(x: float) -> None:
    e = Decimal(-x).exp()
    assert minigrad.sigmoid(x) == pytest.approx(float(1 / (1 + e)), rel=5e-16)
    assert minigrad.softplus(x) == pytest.approx(float((1 + 1 / e).ln()), rel=5e-16)
    assert gradient(minigrad.softplus, x) == pytest.approx(float(1 / (1 + e)), rel=5e-16)


def test_functions_of_huge_logits_are_exact() -> None:
    x = np.array([[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4]])
    ln2 = np.log(2)
    np.testing.assert_array_equal(minigrad.logsumexp(x, axis=1), [1e4, -1e4 + ln2, 1e4 + ln2])
    np.testing.assert_array_equal(minigrad.log_softmax(x), [[0, -2e4], [-ln2, -ln2], [-ln2, -ln2]])
    np.testing.assert_array_equal(minigrad.softmax(x), [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(minigrad.cross_entropy(x, [1, 0, 1], reduction="none"), [2e4, ln2, ln2])


def test_gradients_of_functions_of_huge_logits_are_exact() -> None:
    x = np.array([[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4]])
    p = np.array([[1, 0], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(gradient(lambda t: minigrad.log_softmax(t)[:, 0], x), [1, 0] - p)
    np.testing.assert_array_equal(gradient(lambda t: minigrad.softmax(t)[:, 0], x), [[0, 0], *[[0.25, -0.25]] * 2])
    each = gradient(lambda t: minigrad.cross_entropy(t, [1, 0, 1], reduction="none"), x)
    np.testing.assert_array_equal(each, p - np.eye(2)[[1, 0, 1]])


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8, 1e16])
def test_gradient_of_logsumexp_is_softmax_however_large(size: float) -> None:
    x = np.array([size, size, -size])
    p = 1 / (2 + np.exp(-2 * size))
    expected = [p, p, 1 - 2 * p]
    np.testing.assert_allclose(gradient(minigrad.logsumexp, x), expected, rtol=1e-15, atol=1e-16)


def test_logsumexp_of_minus_infinities() -> None:
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])
    np.testing.assert_array_equal(minigrad.logsumexp(x, axis=1), [-np.inf, 1])
    np.testing.assert_array_equal(gradient(lambda t: minigrad.logsumexp(t, axis=1), x), [[0, 0], [0, 1]])
    np.testing.assert_array_equal(gradient(lambda t: minigrad.logsumexp(t, axis=1), x, 2), 0)


def test_an_excluded_class_gets_no_gradient() -> None:
    x = np.array([-np.inf, 0.0, 0.0])
    np.testing.assert_array_equal(minigrad.softmax(x), [0, 0.5, 0.5])
    np.testing.assert_array_equal(gradient(lambda t: minigrad.cross_entropy(t, 1), x), [0, -0.5, 0.5])


# -- one number, and none --------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.sum, np.mean, np.max, np.min, minigrad.logsumexp])
def test_reductions_of_one_number_are_itself(f: Any) -> None:
    x = leaf(2.5)
    y = f(x)
    y.backward()
    assert (y.shape, y.item()) == ((), 2.5)
    assert type(x.grad) is np.ndarray
    assert (x.grad.shape, x.grad.item()) == ((), 1)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)], ids=str)
def test_sum_of_no_elements(shape: tuple[int, ...]) -> None:
    x = leaf(np.zeros(shape))
    y = (x * 2).sum()
    y.backward()
    assert y.item() == 0
    assert x.grad.shape == shape


def test_mean_of_no_elements_warns_as_numpy_does() -> None:
    x = leaf(np.zeros((2, 0)))
    with pytest.warns(RuntimeWarning):
        y = x.mean(axis=1)
    assert np.isnan(y.data).all()
    assert minigrad.grad(y, x, seed=np.ones(2)).shape == (2, 0)


def test_broadcast_against_no_elements() -> None:
    x = leaf([3.0])
    (x * np.zeros((2, 0))).sum().backward()
    np.testing.assert_array_equal(x.grad, [0])


@pytest.mark.parametrize("f", [minigrad.softmax, minigrad.log_softmax])
def test_softmax_of_no_classes_is_empty(f: Any) -> None:
    assert f(np.zeros((2, 0))).shape == (2, 0)
    assert gradient(f, np.zeros((2, 0))).shape == (2, 0)


def test_logsumexp_of_no_elements_is_minus_infinity() -> None:
    assert minigrad.logsumexp(np.zeros(0)) == -np.inf


@pytest.mark.filterwarnings("ignore:overflow", "ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("f", "point", "expected"),
    [
        (lambda x: np.where(x > 20, x, minigrad.log(1 + np.exp(x))), 800.0, (1.0, 0.0)),
        (lambda x: np.where(x < 10, np.exp(x), 0), 1000.0, (0.0, 0.0)),
        (lambda x: np.where(x > 0, (1 / x) * x, 0), 0.0, (0.0, 0.0)),
        (lambda x: np.where(x > 0, np.sqrt(x) * x, 0), 0.0, (0.0, 0.0)),
        (lambda x: np.where(x > 0, np.log(x), x), -1.0, (1.0, 0.0)),
    ],
)
def test_nothing_comes_back_into_the_branch_that_where_did_not_take(f, point, expected):
    x = minigrad.tensor([point], requires_grad=True)
    slope = minigrad.grad(f(x).sum(), x, create_graph=True)
    curvature = minigrad.grad(slope.sum(), x).item() if slope.requires_grad else 0.0
    assert (slope.item(), curvature) == expected


def test_division_by_a_zero_of_python_gives_infinity_as_numpy_does():
    x = minigrad.tensor([1.0], requires_grad=True)
    with np.errstate(divide="ignore"):
        y = (x / 0.0).sum()
    y.backward()
    assert x.grad.tolist() == [np.inf]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_sigmoid_of_integers(dtype):
    numbers = np.array([0, 1], dtype)
    np.testing.assert_allclose(minigrad.sigmoid(numbers), 1 / (1 + np.exp(-numbers.astype(float))), rtol=1e-15)


@pytest.mark.parametrize(
    ("f", "order", "expected"),
    [
        (lambda x: np.where(True, 3 * x, 0) ** 2, 2, 18.0),
        (lambda x: np.where(True, x * x, 0) ** 2, 4, 24.0),
        (lambda x: 1 / (1 + x * x), 6, -720.0),
    ],
)
def test_a_cotangent_that_is_zero_at_one_point_only_keeps_its_derivatives(f, order, expected):
    for _ in range(order):
        f = minigrad.grad(f)
    assert f(0.0) == pytest.approx(expected)


# -- the same in every mode ------------------------------------------------------------------------------------

INF = np.inf


quiet = np.errstate(divide="ignore", invalid="ignore")  # NumPy warns of the branch not taken

# A function, a point, its gradient there, and its Hessian times ones.
POINTS: dict[str, tuple[Any, Any, Any, Any]] = {
    "where of a root": (quiet(lambda x: np.where(x > 0, np.sqrt(x), 0)), [0.0, -1.0, 4.0], [0, 0, 1 / 4], [0, 0, -1 / 32]),
    "where of a product": (lambda x: np.where(x > 0, x * np.sqrt(x), 0), [0.0, 1.0], [0, 1.5], [0, 0.75]),
    "where of a quotient": (quiet(lambda x: np.where(x > 0, (1 / x) * x, 0)), [0.0, 2.0], [0, 0], [0, 0]),
    "length of nothing": (np.linalg.norm, [0.0, 0.0], [0, 0], [0, 0]),
    "product with a zero": (np.prod, [0.0, 2.0, 3.0], [6, 0, 0], [5, 3, 2]),
    "product with two zeros": (np.prod, [0.0, 0.0, 3.0], [0, 0, 0], [3, 3, 0]),
    "running product with two zeros": (np.cumprod, [0.0, 0.0, 3.0], [1, 0, 0], [4, 4, 0]),
    "tie of the largest": (np.max, [1.0, 3.0, 3.0], [0, 0.5, 0.5], [0, 0, 0]),
    "tie of two": (lambda x: np.maximum(x, 1.0), [1.0, 2.0], [0.5, 1], [0, 0]),
    "square": (lambda x: x**2, [0.0], [0], [2]),
    "sigmoid of huge numbers": (minigrad.sigmoid, [-1e4, 1e4], [0, 0], [0, 0]),
    "softplus of huge numbers": (minigrad.softplus, [-1e4, 1e4], [0, 1], [0, 0]),
    "logsumexp of -inf": (lambda x: minigrad.logsumexp(x, axis=1), [[-INF, -INF], [-INF, 1.0]], [[0, 0], [0, 1]], [[0, 0]] * 2),
    "std of a constant": (np.std, [2.0, 2.0], [0, 0], [0, 0]),
    "no elements": (lambda x: np.tanh(x) * x, np.zeros((2, 0)), np.zeros((2, 0)), np.zeros((2, 0))),
    "one number": (lambda x: np.exp(x) * x, 0.5, 1.5 * np.exp(0.5), 2.5 * np.exp(0.5)),
}
FIRST = {
    "reverse": lambda f, x: minigrad.grad(f)(x),
    "forward": lambda f, x: minigrad.jacobian(f, mode="forward")(x),
}
SECOND = {
    "reverse over reverse": lambda f, x: minigrad.grad(lambda x: np.sum(minigrad.grad(f)(x)))(x),
    "forward over reverse": lambda f, x: minigrad.hvp(f, (x,), (np.ones(x.shape),))[0],
    "reverse over forward": lambda f, x: minigrad.grad(lambda x: minigrad.jvp(f, (x,), (np.ones(x.shape),))[1])(x),
    "forward over forward": lambda f, x: minigrad.jacobian(
        lambda x: minigrad.jvp(f, (x,), (np.ones(x.shape),))[1], mode="forward"
    )(x),
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("mode", [*FIRST, *SECOND])
def test_derivatives_at_special_points(point: str, mode: str) -> None:
    f, x, *derivatives = POINTS[point]
    expected = np.asarray(derivatives[mode in SECOND], float)
    found = {**FIRST, **SECOND}[mode](lambda x: np.sum(f(x)), np.asarray(x))
    assert (np.shape(found), found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


def test_an_infinite_tangent_does_not_come_out_of_a_product_with_0() -> None:
    assert minigrad.grad(lambda x: 0.0 * np.sqrt(x))(0.0) == 0
    assert minigrad.jvp(lambda x: 0.0 * np.sqrt(x), (0.0,), (1.0,))[1] == 0
