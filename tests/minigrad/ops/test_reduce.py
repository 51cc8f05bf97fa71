"""Reductions and running totals: they give what NumPy gives, and their derivatives hold where formulas are in trouble."""

import math
import runpy
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import ACCUMULATIONS, FUNCTIONS, REDUCTIONS

SHARED = runpy.run_path(str(Path(__file__).with_name("derivatives.py")))
leaf, gradient, partials, hessian, assert_same = (
    SHARED[name] for name in ("leaf", "gradient", "partials", "hessian", "assert_same")
)
RANDOM = np.random.default_rng(0)
A = RANDOM.uniform(-2.0, 2.0, (2, 3, 4))


# -- reductions: what NumPy gives ------------------------------------------------------------------------------

AXES = [None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2), ()]
reductions = pytest.mark.parametrize("name", ["prod", "var", "std", "median", "ptp", "average", "sum", "mean", "max", "min"])


@reductions
@pytest.mark.parametrize(("axis", "keepdims"), list(product(AXES, [False, True])))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions_are_numpys(name: str, axis: Any, keepdims: bool, dtype: str) -> None:
    x = A.astype(dtype)
    t, f = leaf(x), getattr(np, name)
    expected = f(x, axis=axis, keepdims=keepdims)
    spellings = [f, getattr(minigrad, name), *([getattr(minigrad.Tensor, name)] if hasattr(minigrad.Tensor, name) else [])]
    assert len(spellings) == (2 if name in ("ptp", "median", "average") else 3)
    for spelling in spellings:
        found = spelling(t, axis=axis, keepdims=keepdims)
        assert found.requires_grad
        assert_same(found, expected)
    assert minigrad.grad(f(t, axis), t, seed=np.ones(f(t, axis).shape)).shape == x.shape


@reductions
def test_reductions_of_one_number(name: str) -> None:
    for axis in (None, 0, -1, ()):
        x = np.array(2.5)
        f = getattr(np, name)
        t = leaf(x)
        y = f(t, axis=axis)
        y.backward()
        assert_same(y, f(x, axis=None))
        assert t.grad.item() == (0 if name in ("var", "std", "ptp") else 1)


@reductions
def test_axes_that_are_not_there(name: str) -> None:
    for axis in (3, -4, (0, 0)):
        with pytest.raises(ValueError, match=r"out of bounds|repeated|duplicate"):
            getattr(np, name)(leaf(A), axis=axis)


POSITIONAL = {
    "sum": (None, None, True), "prod": (None, None, True), "mean": (None, None, True), "var": (None, None, 1, True),
    "std": (None, None, 1, True), "max": (None, True), "min": (None, True), "ptp": (None, True),
    "median": (None, False, True), "cumsum": (None, None), "cumprod": (None, None),
}  # fmt: skip


@pytest.mark.parametrize(("name", "rest"), POSITIONAL.items())
def test_numpys_positional_arguments(name: str, rest: tuple[Any, ...]) -> None:
    expected = getattr(np, name)(A, 1, *rest)
    assert_same(getattr(np, name)(leaf(A), 1, *rest), expected)
    assert_same(getattr(minigrad, name)(A, 1, *rest), expected)
    if hasattr(minigrad.Tensor, name):
        assert_same(getattr(leaf(A), name)(1, *rest), expected)


@pytest.mark.parametrize("name", POSITIONAL)
def test_options_that_are_not_taken_are_named(name: str) -> None:
    f = getattr(np, name)
    assert_same(f(leaf(A), out=None), f(A))
    if name not in ("max", "min", "ptp", "median"):
        assert_same(f(leaf(A), dtype=None), f(A))
    for function in (f, getattr(minigrad, name)):
        with pytest.raises(TypeError, match=rf"np\.a?{name} of a Tensor supports only out="):
            function(leaf(A), out=np.zeros(()))


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("ddof", [0, 1, 2, 0.5])
def test_degrees_of_freedom(name: str, ddof: float) -> None:
    f = getattr(np, name)
    for axis in (None, 1, (0, 2)):
        expected = f(A, axis=axis, ddof=ddof)
        assert_same(f(leaf(A), axis=axis, ddof=ddof), expected)
        assert_same(f(leaf(A), axis=axis, correction=ddof), expected)
        assert_same(getattr(leaf(A), name)(axis, ddof=ddof), expected)
    with pytest.raises(ValueError, match="ddof and correction"):
        f(leaf(A), ddof=1, correction=1)


@pytest.mark.parametrize("f", [np.var, np.std])
def test_no_degrees_of_freedom_warn_as_numpy_does(f: Any) -> None:
    x = leaf([1.0])
    with pytest.warns(RuntimeWarning):
        y = f(x, ddof=1)
    assert np.isnan(y.item())
    assert minigrad.grad(y, x).shape == (1,)


@pytest.mark.parametrize("ufunc", [f for f in REDUCTIONS if f is not np.logaddexp], ids=lambda f: f.__name__)
def test_reduce_with_numpys_keywords(ufunc: np.ufunc) -> None:
    for options in ({}, {"axis": -1}, {"axis": (0, 2), "keepdims": True}, {"axis": None}):
        assert_same(ufunc.reduce(leaf(A), **options), ufunc.reduce(A, **options))


EXACT = [f for f in ACCUMULATIONS if f not in (np.logaddexp, np.logaddexp2, np.hypot)]  # the others add in another order


@pytest.mark.parametrize("ufunc", EXACT, ids=lambda f: f.__name__)
def test_accumulate_of_a_ufunc(ufunc: np.ufunc) -> None:
    for options in ({}, {"axis": 1}, {"axis": -1, "dtype": None}):
        assert ufunc.accumulate(leaf(A), **options).requires_grad
        assert_same(ufunc.accumulate(leaf(A), **options), ufunc.accumulate(A, **options))


def test_products_and_sums_of_no_elements() -> None:
    for shape, axis in product([(0,), (2, 0), (0, 3)], [None, 0, -1]):
        x = np.zeros(shape)
        t = leaf(x)
        for f in (np.prod, np.sum, np.cumsum, np.cumprod):
            y = f(t, axis=axis)
            assert_same(y, f(x, axis=axis))
            assert minigrad.grad(y, t, seed=np.ones(y.shape)).shape == shape


@pytest.mark.parametrize("f", [np.median, np.var, np.std])
def test_what_has_no_value_without_elements_warns_as_numpy_does(f: Any) -> None:
    t = leaf(np.zeros((2, 0)))
    with pytest.warns(RuntimeWarning):
        y = f(t, axis=1)
    assert np.isnan(y.data).all()
    assert minigrad.grad(y, t, seed=np.ones(2)).shape == (2, 0)
    assert minigrad.grad(f(t, axis=0), t, seed=np.ones(0)).shape == (2, 0)


@pytest.mark.parametrize("f", [np.max, np.min, np.ptp])
def test_extremes_of_no_elements_are_an_error(f: Any) -> None:
    with pytest.raises(ValueError, match="zero-size"):
        f(leaf(np.zeros((2, 0))), axis=1)


# -- products with zeros ---------------------------------------------------------------------------------------


def products_of_others(x: np.ndarray) -> np.ndarray:
    return np.array([math.prod(np.delete(x, i)) for i in range(x.size)])


ZEROS = {
    "none": [2.0, -3.0, 5.0, 0.5], "one": [2.0, 0.0, 5.0, 0.5], "first": [0.0, 3.0, 5.0], "last": [2.0, 3.0, 0.0],
    "two": [0.0, 3.0, 0.0, 2.0], "three": [0.0, 0.0, 2.0, 0.0], "alone": [0.0], "minus": [-0.0, 2.0],
}  # fmt: skip


@pytest.mark.parametrize("values", ZEROS.values(), ids=ZEROS)
def test_derivatives_of_prod_with_zeros(values: list[float]) -> None:
    x = np.array(values)
    np.testing.assert_array_equal(gradient(np.prod, x), products_of_others(x))
    expected = np.array([[0 if i == j else math.prod(np.delete(x, [i, j])) for j in range(x.size)] for i in range(x.size)])
    np.testing.assert_array_equal(hessian(np.prod, x), expected)


def test_third_derivative_of_prod_with_zeros() -> None:
    """By x, y and z in turn x * y * z leaves 1, wherever it is."""
    x = leaf([0.0, 0.0, 0.0, 7.0])
    y = np.prod(x)
    for i in range(3):
        y = minigrad.grad(y, x, create_graph=True)[i]
    assert y.item() == 7


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (2, 0), (1, 2), None, ()])
def test_gradient_of_prod_over_axes(axis: Any) -> None:
    x = np.where(RANDOM.uniform(size=A.shape) < 0.2, 0, A)
    g = RANDOM.normal(size=np.prod(x, axis=axis).shape)
    found = gradient(lambda t: np.prod(t, axis=axis) * g, x)
    axes = range(3) if axis is None else np.atleast_1d(np.array(axis, int)) % 3
    expected = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        with_one, at = x.copy(), tuple(slice(None) if i in axes else slice(n, n + 1) for i, n in enumerate(place))
        with_one[place] = 1
        weight = g[tuple(n for i, n in enumerate(place) if i not in axes)]
        expected[place] = weight * np.prod(with_one[at])
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("values", [*ZEROS.values(), list(range(-3, 4)), []], ids=[*ZEROS, "seven", "empty"])
def test_derivatives_of_cumprod_with_zeros(values: list[float]) -> None:
    x = np.array(values, float)
    weights = np.arange(1.0, x.size + 1)

    def total(t: Any) -> Any:
        """The same by products, whose derivatives have been tested above."""
        return sum((weights[k] * np.prod(t[: k + 1]) for k in range(x.size)), start=np.sum(t) * 0)

    np.testing.assert_array_equal(gradient(lambda t: np.cumprod(t) * weights, x), gradient(total, x))
    if x.size:
        np.testing.assert_array_equal(hessian(lambda t: np.cumprod(t) * weights, x), hessian(total, x))


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_running_totals_are_numpys(name: str, axis: int | None) -> None:
    f = getattr(np, name)
    for spelling in (f, getattr(minigrad, name), getattr(minigrad.Tensor, name)):
        assert_same(spelling(leaf(A), axis), f(A, axis))
        assert_same(spelling(leaf(A), axis=axis), f(A, axis))
        assert_same(spelling(leaf(2.5), axis if axis != 1 else 0), f(2.5, axis if axis != 1 else 0))
    with pytest.raises(np.exceptions.AxisError):
        f(leaf(A), 3)


def test_gradient_of_cumsum_counts_what_comes_after() -> None:
    assert gradient(lambda t: np.cumsum(t, 1) * [1.0, 10.0, 100.0], np.zeros((2, 3))).tolist() == [[111, 110, 100]] * 2


# -- variance, median ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.1, 1e16, -3.7e-5])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_std_of_constants_has_gradient_0(value: float, n: int) -> None:
    x = np.full((2, n), value)
    assert gradient(np.std, x).tolist() == np.zeros((2, n)).tolist()
    assert gradient(lambda t: np.std(t, axis=1), x, 2).tolist() == np.zeros((2, n)).tolist()
    if n > 1:
        assert gradient(lambda t: np.std(t, axis=1, ddof=1), x).tolist() == np.zeros((2, n)).tolist()


def test_std_beside_constants() -> None:
    x = [[1.0, 1.0], [1.0, 3.0]]
    assert gradient(lambda t: np.std(t, axis=1), x).tolist() == [[0, 0], [-0.5, 0.5]]
    assert np.isfinite(gradient(lambda t: np.std(t, axis=1) ** 2, x, 2)).all()


def test_std_is_the_root_of_var() -> None:
    for order in (1, 2):
        for axis in (None, 0, (1, 2)):
            expected = gradient(lambda t, axis=axis: np.sqrt(np.var(t, axis=axis, ddof=1)), A, order)
            found = gradient(lambda t, axis=axis: np.std(t, axis=axis, ddof=1), A, order)
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


def test_second_derivatives_of_var() -> None:
    n = 4
    np.testing.assert_allclose(hessian(np.var, np.ones(n)), 2 / n * (np.eye(n) - 1 / n), rtol=1e-15, atol=1e-17)
    np.testing.assert_allclose(hessian(lambda t: np.var(t, ddof=1), A[0, 0]), 2 / (n - 1) * (np.eye(n) - 1 / n), rtol=1e-14)


def test_gradient_of_the_median() -> None:
    assert gradient(np.median, [3.0, 1.0, 2.0]).tolist() == [0, 0, 1]
    assert gradient(np.median, [4.0, 1.0, 2.0, 9.0]).tolist() == [0.5, 0, 0.5, 0]
    assert gradient(np.median, [2.0, 1.0, 2.0, 9.0]).tolist() == [0.5, 0, 0.5, 0]
    assert gradient(np.median, [5.0, 1.0, 2.0, 2.0, 9.0, 8.0]).tolist() == [0.5, 0, 0.25, 0.25, 0, 0]
    assert gradient(lambda t: np.median(t, axis=0), [[1.0, 5.0], [2.0, 4.0], [3.0, 9.0]]).tolist() == [[0, 1], [1, 0], [0, 0]]
    np.testing.assert_array_equal(gradient(np.median, np.full((2, 3), 7.0)), 1 / 6)


# -- functions made of others ----------------------------------------------------------------------------------


def test_ptp_pulls_its_ends_apart() -> None:
    assert gradient(np.ptp, [2.0, 5.0, -1.0, 5.0]).tolist() == [0, 0.5, -1, 0.5]
    assert gradient(np.ptp, [3.0, 3.0]).tolist() == [0, 0]


WEIGHTS = {
    "all": (None, RANDOM.uniform(0.5, 1.5, A.shape)), "all, along one": (1, RANDOM.uniform(0.5, 1.5, A.shape)),
    "one axis": (1, np.array([1.0, 2.0, 3.5])), "last": (-1, [1, 2, 3, 4]),
    "two axes": ((0, 2), RANDOM.uniform(0.5, 1.5, (2, 4))), "turned": ((2, 0), RANDOM.uniform(0.5, 1.5, (4, 2))),
}  # fmt: skip


@pytest.mark.parametrize(("axis", "weights"), WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_average_with_weights_is_numpys(axis: Any, weights: Any, keepdims: bool) -> None:
    expected = np.average(A, axis, weights, keepdims=keepdims)
    assert_same(np.average(leaf(A), axis, weights, keepdims=keepdims), expected)
    assert_same(np.average(leaf(A), axis, leaf(weights, float), keepdims=keepdims), expected)
    assert_same(np.average(A, axis, leaf(weights, float), keepdims=keepdims), expected)


def test_gradients_of_average() -> None:
    by_x, by_w = partials(lambda x, w: np.average(x, weights=w), [1.0, 4.0], [2.0, 1.0])
    np.testing.assert_allclose(by_x, [2 / 3, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(by_w, [-1 / 3, 2 / 3], rtol=1e-15)


def test_average_tells_what_is_wrong_with_the_weights() -> None:
    for weights, axis, error, text in (
        ([1.0, 2.0], None, TypeError, "need an axis"),
        ([1.0, 2.0], 1, ValueError, r"do not have shape \(2,\)"),
        ([1.0, -2.0, 1.0], 1, ZeroDivisionError, "sum to 0"),
    ):
        with pytest.raises(error, match=text):
            np.average(leaf(A), axis, weights)
    with pytest.raises(TypeError, match="returned"):
        np.average(leaf(A), returned=True)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_diff_is_numpys(n: int, axis: int) -> None:
    edge = np.take(A, [0, 1], axis)
    for options in ({}, {"prepend": 1.0}, {"append": 2.0}, {"prepend": edge, "append": 0.5}):
        expected = np.diff(A, n, axis, **options)
        assert_same(np.diff(leaf(A), n, axis, **options), expected)
        assert_same(minigrad.diff(A, n=n, axis=axis, **options), expected)
    assert_same(np.diff(A, n, axis, append=leaf(edge)), np.diff(A, n, axis, append=edge))


def test_gradient_of_diff() -> None:
    x, before = leaf([1.0, 4.0, 9.0]), leaf(0.0)
    by_x, by_before = minigrad.grad((np.diff(x, prepend=before) * [1.0, 10.0, 100.0]).sum(), [x, before])
    assert by_x.tolist() == [-9, -90, 100]
    assert by_before.item() == -1


def test_diff_of_truth_values_and_of_nothing() -> None:
    flags = np.array([True, True, False])
    np.testing.assert_array_equal(np.diff(minigrad.tensor(flags)), np.diff(flags))
    assert np.diff(leaf(np.zeros(0))).shape == (0,)
    for n, x in ((-1, [1.0, 2.0]), (1, 2.0)):
        with pytest.raises(ValueError, match="n >= 0 and an array of at least one axis"):
            np.diff(leaf(x), n)


def test_everything_new_is_known_to_numpy() -> None:
    names = ["average", "cumprod", "cumsum", "diff", "median", "nan_to_num", "prod", "ptp", "sinc", "std", "var"]
    assert {getattr(np, name) for name in names} <= set(FUNCTIONS)
    assert [name for name in names if FUNCTIONS[getattr(np, name)] is not getattr(minigrad, name)] == []


def test_layouts_do_not_matter() -> None:
    """Reductions see the same elements in the same order in memory as NumPy does."""
    for order in permutations(range(3)):
        x, t = A.transpose(order), np.transpose(leaf(A), order)
        for f in (np.prod, np.var, np.std, np.median, np.cumsum, np.cumprod, np.ptp):
            assert_same(f(t), f(x))
            assert_same(f(t, axis=1), f(x, axis=1))
