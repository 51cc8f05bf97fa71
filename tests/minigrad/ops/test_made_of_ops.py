"""Functions that are made of other ops: value, shape and dtype are NumPy's, derivatives those of differences, in every mode.

A case is a function of arrays; those that it is given are differentiated by. The options are in the function.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import ACCUMULATIONS, FUNCTIONS

RANDOM = np.random.default_rng(5)
V, W = RANDOM.normal(size=6), RANDOM.normal(size=4)
M, S = RANDOM.normal(size=(3, 5)), RANDOM.normal(size=(3, 3))
A = RANDOM.normal(size=(2, 3, 4))
N = np.array(0.7)
UP = np.array([0.1, 0.4, 1.1, 1.5, 2.3, 2.9])  # rising
AT = np.array([[-0.6, 0.3, 0.9], [1.2, 2.6, 3.4]])  # below, inside and beyond it
MASK = RANDOM.random((3, 5)) > 0.4
HOLES = np.where(RANDOM.random((3, 5)) > 0.3, M, np.nan)
GONE = np.where(np.arange(3)[:, None] == 1, np.nan, HOLES)  # a row of NaN only
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
MODES = ("full", "same", "valid")
Case = tuple[Callable[..., Any], tuple[Any, ...]]


def tried(function: Callable[..., Any], *calls: Any) -> dict[str, Case]:
    """Cases of one function: arrays, and then options in a dict."""
    name = f"{function.__module__}.{function.__name__}".removeprefix("numpy.")
    found = {}
    for *arrays, last in calls:
        options = last if isinstance(last, dict) else {}
        arrays = arrays if isinstance(last, dict) else [*arrays, last]
        shapes = ", ".join(str(np.shape(x)) for x in arrays)
        shown = ", ".join(f"{k}={v if np.ndim(v) == 0 else '...'}" for k, v in options.items())
        found[f"{name}({shapes}; {shown})"] = (lambda *xs, _o=options: function(*xs, **_o)), tuple(arrays)
    return found


CASES: dict[str, Case] = {
    **tried(np.copy, [A]), **tried(np.real, [A]), **tried(np.real_if_close, [A]), **tried(np.conj, [A]),
    **tried(np.dsplit, [A, {"indices_or_sections": 2}], [A, {"indices_or_sections": [1, 3]}]),
    **tried(np.broadcast_arrays, [A, N, W]), **tried(np.meshgrid, [V], [V, W], [V, W, N], [V, W, {"indexing": "ij"}],
        [V, W, UP, {"sparse": True}], [V, W, {"copy": True}]),
    **tried(np.linspace, [N, 2 * N, {"num": 5}], [W, 2 * W, {"num": 4, "endpoint": False}], [W, A[0], {"num": 3, "axis": -1}],
        [N, W, {"num": 1}], [N, W, {"retstep": True, "num": 3}], [N, N + 1, {"num": 0}]),
    **tried(np.gradient, [V], [V, N], [V, UP], [A[0]], [M, N], [S, V[:3].cumsum() * 0 + UP[:3], UP[:3]], [A, {"axis": 1}],
        [V, UP, {"edge_order": 2}], [A, {"axis": (2, 1), "edge_order": 2}]),
    **tried(np.trapezoid, [V], [V, UP], [A, {"dx": 0.5}], [A, {"axis": 1}], [S, UP[:3], {"axis": 0}], [S, S]),
    **tried(np.convolve, *[[x, y, {"mode": m}] for m in MODES for x, y in ((V, W), (W, V), (V, N), (W, W))]),
    **tried(np.correlate, *[[x, y, {"mode": m}] for m in MODES for x, y in ((V, W), (W, V), (W, W))]),
    **tried(np.interp, [AT, UP, V], [N, UP, V], [AT, UP, V, {"left": -3.0, "right": 4.0}], [AT, UP, V, {"period": 3.1}],
        [AT, UP[:1], V[:1]]),
    **tried(np.nancumsum, [HOLES], [HOLES, {"axis": 0}]), **tried(np.nancumprod, [HOLES], [HOLES, {"axis": 1}]),
    **{name: case for f in (np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin)
       for name, case in tried(f, [HOLES], [HOLES, {"axis": 1, "keepdims": True}], [HOLES, {"axis": -2}]).items()},
    **tried(np.nansum, [GONE, {"axis": 1, "where": MASK, "initial": 2.0}]), **tried(np.nanmax, [GONE, {"axis": 1}],
        [GONE, {"axis": 1, "where": MASK, "initial": -0.2}]), **tried(np.nanmin, [GONE, {"axis": 1}]),
    **tried(np.nanprod, [GONE, {"axis": 1}]), **tried(np.nanvar, [HOLES, {"ddof": 1}], [HOLES, {"where": MASK, "axis": 1}]),
    **tried(np.quantile, *[[x, np.array(q), o] for x, o in ((V, {}), (A, {"axis": 1}), (A, {"axis": (0, -1), "keepdims": True}))
                           for q in (0.31, [0.07, 0.83], [[0.07, 0.47], [0.93, 0.61]])], [V, {"q": 0.5}], [V, {"q": 1}]),
    **tried(np.nanquantile, [HOLES, np.array([0.31, 0.83])], [GONE, np.array(0.31), {"axis": 1, "keepdims": True}]),
    **tried(np.nanpercentile, [HOLES, {"q": 31, "axis": 0}]), **tried(np.nanmedian, [HOLES], [GONE, {"axis": 1}]),
    **tried(np.quantile, [HOLES, np.array(0.4), {"axis": 1}]),
    **tried(np.percentile, [V, np.array(31.0)], [A, {"q": [11, 77], "axis": -1}]),
    **tried(np.cov, [V], [M], [M, {"rowvar": False}], [M, M[::-1]], [M, {"bias": True}], [M, {"ddof": 0}],
        [M, {"fweights": [1, 2, 1, 3, 1]}], [M, {"aweights": np.abs(M[0])}],
        [M, {"fweights": [1, 2, 1, 3, 1], "aweights": np.abs(M[0]), "ddof": 2}]),
    **tried(np.corrcoef, [M], [V, V**2], [V], [M, {"rowvar": False}], [M[:1], V[:5], {"rowvar": True}]),
    **tried(np.linalg.matmul, [S, M]), **tried(np.linalg.outer, [V, W]), **tried(np.linalg.cross, [S, S[::-1]]),
    **tried(np.linalg.tensordot, [A, A, {"axes": ((0, 2), (0, 2))}]), **tried(np.linalg.vecdot, [A, W], [S, S, {"axis": 0}]),
    **tried(np.trace, [A, {"dtype": np.float32}]),
    **tried(np.linalg.trace, [S], [A, {"offset": 1}], [S, {"dtype": np.float32}]),
    **tried(np.linalg.diagonal, [A], [A, {"offset": -1}]), **tried(np.linalg.matrix_transpose, [A]),
    **tried(np.linalg.vector_norm, [A], [A, {"axis": 1}], [A, {"axis": (0, 2), "keepdims": True, "ord": 3}],
        [A, {"ord": np.inf}], [A, {"ord": 0, "axis": 1}]),
    **tried(np.linalg.matrix_norm, [S], [A, {"keepdims": True}], [A, {"ord": "nuc"}], [A, {"ord": 1}]),
    **tried(np.linalg.norm, [V, {"ord": 0}], [A, {"ord": 0, "axis": 1, "keepdims": True}]),
    **tried(np.linalg.matrix_power, *[[S, {"n": n}] for n in (-2, -1, 0, 1, 2, 3, 6)], [np.stack([S, S.T]), {"n": 3}]),
    **{f"linalg.lstsq of {a.shape} and {b.shape}": ((lambda a, b: [np.linalg.lstsq(a, b)[i] for i in (0, 1, 3)]), (a, b))
       for a, b in ((M.T, V[:5]), (M.T, A.reshape(6, 4)[:5]), (S, V[:3]), (M, V[:3]))},
    "linalg.multi_dot": (lambda *xs: np.linalg.multi_dot(xs), (M.T, S, M)),
    "linalg.multi_dot of vectors": (lambda *xs: np.linalg.multi_dot(xs), (V[:3], S, M, M[0])),
    "linalg.multi_dot of two": (lambda *xs: np.linalg.multi_dot(xs), (S, V[:3])),
    **{f"{f.__name__}.accumulate along {axis}": ((lambda x, _f=f, _axis=axis: _f.accumulate(x, axis=_axis)), (A,))
       for f in ACCUMULATIONS for axis in (0, 1, -1)},
    "logaddexp.reduce": (np.logaddexp.reduce, (A,)),
    "logaddexp.reduce along 1": (lambda x: np.logaddexp.reduce(x, axis=1), (A,)),
    "maximum.reduce": (np.maximum.reduce, (A,)), "minimum.reduce": (np.minimum.reduce, (A,)),
    "maximum.reduce where": (lambda x: np.maximum.reduce(x, axis=1, where=MASK, initial=0.1), (M,)),
    "add.reduce where": (lambda x: np.add.reduce(x, where=MASK, initial=0.1), (M,)),
    **({"unstack": (lambda x: np.unstack(x, axis=1), (A,)), "cumulative_sum": (np.cumulative_sum, (V,)),
        "cumulative_sum from 0": (lambda x: np.cumulative_sum(x, axis=1, include_initial=True), (A,)),
        "cumulative_prod": (lambda x: np.cumulative_prod(x, axis=-1, include_initial=True), (A,)),
        "astype": (lambda x: np.astype(x, np.float64, copy=True), (A,))} if hasattr(np, "unstack") else {}),
}  # fmt: skip
WHERE = {np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min}
AXES = [None, 0, -1, (0, 2), (0, 1, 2), ()]


def parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def assert_near(found: Any, expected: Any) -> None:
    """The same in shape and dtype, and but for rounding in value."""
    assert len(parts(found)) == len(parts(expected))
    for x, y in zip(parts(found), parts(expected), strict=True):
        assert (np.shape(x), np.result_type(x)) == (np.shape(y), np.result_type(y))
        x, y = (np.asarray(z.detach() if isinstance(z, mg.Tensor) else z, np.float64) for z in (x, y))
        tolerance = {"float64": 1e-12, "float32": 3e-5}.get(str(np.result_type(*parts(expected))), 2e-2)
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def differentiable(f: Callable[..., Any]) -> Callable[..., Any]:
    """The numbers that are in a graph, as one vector."""

    def joined(*xs: Any) -> Any:
        tensors = [x for x in parts(f(*xs)) if isinstance(x, mg.Tensor)]
        flat = np.concatenate([np.ravel(x) for x in tensors]) if tensors else 0 * np.ravel(xs[0])
        return np.where(np.isnan(flat), 0, flat)

    return joined


@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("name", CASES)
def test_values_are_numpys(name: str) -> None:
    f, arrays = CASES[name]
    for dtype in ("float64", "float32"):
        given = [np.asarray(x, dtype) for x in arrays]
        assert_near(f(*[mg.tensor(x, requires_grad=True) for x in given]), f(*given))


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_differences(name: str) -> None:
    f, arrays = CASES[name]
    if THOROUGH:
        mg.check_grads(differentiable(f), *arrays, order=2, rtol=1e-4, atol=1e-5)
    for seed in range(5 if THOROUGH else 1):  # by all elements at once, along a line
        rng = np.random.default_rng(seed)
        lines = [(x, rng.normal(size=np.shape(x))) for x in arrays]
        mg.check_grads(
            lambda t, lines=lines: differentiable(f)(*[x + t * d for x, d in lines]), 0.0, order=2, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", CASES)
def test_compiled_is_the_same(name: str) -> None:
    f, arrays = CASES[name]
    arrays = tuple(np.asarray(x) for x in arrays)

    def loss(*xs: Any) -> Any:
        flat = differentiable(f)(*xs)
        return np.sum(flat * np.cos(np.arange(flat.size)))

    for i in range(len(arrays)):  # a function of this array, to which the others are constants; of all if it is the first
        eager = mg.value_and_grad((lambda x, i=i: loss(*arrays[:i], x, *arrays[i + 1 :])) if i else loss)
        compiled, given = mg.compile(eager), (arrays[i], *(() if i else arrays[1:]))
        for _ in range(2):
            (y, g), (expected, by) = compiled(*given), eager(*given)
            np.testing.assert_allclose(y, expected, rtol=1e-12)
            np.testing.assert_allclose(np.ravel(g), np.ravel(by), rtol=1e-9, atol=1e-12)
            given = tuple(x * 1.0625 for x in given)


def test_numbers_may_be_arguments_of_a_compiled_function() -> None:
    for f in (
        lambda x, k: np.max(x, initial=k) + np.prod(x, initial=k),
        lambda x, k: np.quantile(x, k) + np.percentile(x, k),
        lambda x, k: np.sum(np.linspace(x, k, 3)) + np.sum(np.linspace(k, x, 3)),
        lambda x, k: np.sum(np.interp(x, UP, V, left=k, right=k)) + np.sum(np.interp(x, UP, V, period=2 + k)),
        lambda x, k: np.sum(np.gradient(x, k + 1, axis=0)) + np.trapezoid(x[0], dx=k),
        lambda x, k: np.sum(np.convolve(x[0], k)),
    ):
        compiled = mg.compile(f)
        for k in (0.25, 0.75, 0.5):
            np.testing.assert_allclose(compiled(mg.tensor(M), k).data, f(M, k), rtol=1e-12)


# -- reductions with options -----------------------------------------------------------------------------------


@st.composite
def calls(draw: st.DrawFn, f: Callable[..., Any]) -> tuple[np.ndarray, dict[str, Any]]:
    shape = draw(st.sampled_from([(2, 3, 4), (1, 2, 3), (2, 0, 3)]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    options = {"axis": draw(st.sampled_from(AXES)), "keepdims": draw(st.booleans())}
    if f in (np.max, np.min):
        options["initial"] = draw(st.sampled_from([0.25, -9, np.float64(9)]))
    elif f in (np.sum, np.prod) and draw(st.booleans()):
        options["initial"] = draw(st.sampled_from([2, -0.5]))
    if f not in (np.max, np.min) and draw(st.booleans()):
        options["dtype"] = draw(st.sampled_from([np.float32, np.float64, "float16"]))
    if f in (np.var, np.std) and options["axis"] in (None, (0, 1, 2)):
        options["ddof"] = draw(st.sampled_from([0, 1]))
    if draw(st.booleans()):
        options["where"] = rng.random(draw(st.sampled_from([shape, shape[1:], (*shape[:2], 1)]))) > 0.3
    return rng.normal(size=shape), options


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("f", sorted(WHERE, key=lambda f: f.__name__), ids=lambda f: f.__name__)
@given(st.data())
def test_reductions_with_options_are_numpys(f: Callable[..., Any], data: st.DataObject) -> None:
    x, options = data.draw(calls(f))
    for dtype in (float, np.float32, np.float16, int):
        given = (4 * x).astype(dtype) if dtype is int else x.astype(dtype)
        assert_near(f(mg.tensor(given), **options), f(given, **options))
    value = f(x, **options)
    if np.all(np.isfinite(value)) and options.get("dtype") != "float16" and np.size(value):
        mg.check_grads(lambda t: f(t, **options), x, rtol=1e-4, atol=1e-6)


def test_what_is_left_out_gets_a_gradient_of_0_whatever_it_is() -> None:
    x = mg.tensor([1.0, np.nan, np.inf, 3.0], requires_grad=True)
    for f in WHERE:
        options = {"initial": -9.0} if f in (np.max, np.min) else {}
        g = mg.grad(f(x, where=[True, False, False, True], **options), x)
        assert np.all(np.isfinite(g.data)), f
        assert g.data[1:3].tolist() == [0, 0]


def test_the_deviation_of_equal_elements_has_a_gradient_of_0() -> None:
    x = mg.tensor([0.1, 0.1, 0.1, 5.0], requires_grad=True)  # whose mean is not exactly 0.1
    assert mg.grad(np.std(x, where=[True, True, True, False]), x).data.tolist() == [0, 0, 0, 0]


def test_without_degrees_of_freedom_there_is_a_warning_and_nan_as_in_numpy() -> None:
    for f in (np.nanvar, np.nanstd):
        for x in (HOLES, GONE):
            for ddof in (0, 3, 4):
                options = {"axis": 1, "ddof": ddof, "keepdims": True}
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = f(x, **options)
                    found = f(mg.tensor(x, requires_grad=True), **options)
                assert_near(found, expected)
    with pytest.warns(RuntimeWarning, match="divide"):
        np.nanmean(mg.tensor([np.nan]))


def test_least_squares_of_a_matrix_without_full_rank() -> None:
    a, b = np.outer(V, V[:2]), V**2
    x, residuals, rank, s = np.linalg.lstsq(mg.tensor(a, requires_grad=True), b)
    expected = np.linalg.lstsq(a, b)
    assert (residuals.shape, rank) == ((0,), 1)
    np.testing.assert_allclose(x.data, expected[0], rtol=1e-12)
    np.testing.assert_allclose(s.data, expected[3], atol=1e-12)
    assert np.linalg.lstsq(mg.tensor(M.T), V[:5], rcond=2.0)[2] == 0


def test_initial_and_mean_have_gradients() -> None:
    x = np.array([0.3, -0.2, 1.4])
    for f in (np.sum, np.prod, np.max, np.min):
        for initial in (0.7, 5.0, -5.0):
            mg.check_grads(lambda x, i, f=f: f(x, initial=i), x, np.array(initial), order=2)
    for f in (np.var, np.std):
        mg.check_grads(lambda x, m, f=f: f(x, mean=m), x, np.array([0.7]), order=2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda t: np.linalg.lstsq(t, V), np.linalg.LinAlgError, r"as many rows, not \(3, 5\) and \(6,\)"),
        (lambda t: np.max(t, where=MASK), ValueError, "np.max with where= needs initial="),
        (lambda t: np.sum(t, where=[1, 0, 1, 1, 0]), TypeError, "booleans, not of int64"),
        (lambda t: np.sum(t, initial=[1.0]), ValueError, r"one number, not an array of shape \(1,\)"),
        (lambda t: np.var(t[0], mean=M), ValueError, r"mean= of shape \(3, 5\) does not fit x of \(5,\)"),
        (lambda t: np.quantile(t, 1.5), ValueError, "between 0 and 1"),
        (lambda t: np.quantile(t, 0.5, method="lower"), ValueError, "'linear' only, not 'lower'"),
        (lambda t: np.quantile(t[:0], 0.5), ValueError, "no elements"),
        (lambda t: np.cov(t[None]), ValueError, r"not an array of shape \(1, 3, 5\)"),
        (lambda t: np.cov(t, fweights=np.ones(5)), TypeError, "integers, not float64; aweights"),
        (lambda t: np.linspace(t, 1.0, -1), ValueError, "num >= 0"),
        (lambda t: np.gradient(t[:1], axis=0), ValueError, "2 samples along axis 0, and there are 1"),
        (lambda t: np.gradient(t, 1.0, 2.0, 3.0), TypeError, "along 2 axes"),
        (lambda t: np.gradient(t, edge_order=3), ValueError, "edge_order 1 or 2, not 3"),
        (lambda t: np.convolve(t, V), ValueError, r"two vectors that are not empty, not shapes \(3, 5\)"),
        (lambda t: np.convolve(t[0], V, "half"), ValueError, "'valid', not 'half'"),
        (lambda t: np.interp(t, V, W), ValueError, r"one length as xp and fp, not shapes \(6,\) and \(4,\)"),
        (lambda t: np.dsplit(t, 1), ValueError, "at least three axes"),
        (lambda t: np.meshgrid(t[0], indexing="yx"), ValueError, "'xy' or 'ij', not 'yx'"),
        (lambda t: np.linalg.outer(t, t), ValueError, "np.outer flattens"),
        (lambda t: np.linalg.matrix_power(t, 2), np.linalg.LinAlgError, r"square matrices, not an array of shape \(3, 5\)"),
        (lambda t: np.linalg.multi_dot([t]), ValueError, "at least two arrays, not 1"),
        (lambda t: np.linalg.multi_dot([t, t[0], t]), np.linalg.LinAlgError, r"array 1 has shape \(5,\)"),
        (lambda t: np.maximum.accumulate(t, dtype="float32"), TypeError, "does not take dtype="),
        (lambda t: np.take(t, [0], mode="clip"), TypeError, "np.take of a Tensor supports only mode="),
        (lambda t: mg.cumulative_sum(t), ValueError, "of several the axis"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_errors_say_what_was_given_and_what_to_do(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(mg.tensor(M, requires_grad=True))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.take(t, [0, 1], mode="raise"), lambda t: np.linalg.pinv(t, hermitian=False),
        lambda t: np.copy(t, order="K"),
        lambda t: np.linalg.svd(t, full_matrices=False, hermitian=False)[1], lambda t: np.reshape(t, (5, 3), order="C"),
        lambda t: np.exp(t, casting="same_kind", order="K", subok=True, where=True), lambda t: np.copy(t, subok=False),
        lambda t: np.concatenate([t, t], casting="same_kind"), lambda t: np.stack([t, t], casting="same_kind", dtype=None),
        lambda t: np.sort(t, order=None), lambda t: np.broadcast_to(t, (2, 3, 5), subok=False),
        lambda t: np.trace(t, dtype=None), lambda t: np.astype(t, float, copy=True), lambda t: np.copy(t, "C"),
        lambda t: np.quantile(t, 0.5, weights=None), lambda t: np.var(t, axis=None, dtype=None, ddof=0),
        lambda t: np.add.reduce(t, axis=0, dtype=None, keepdims=False, where=True), lambda t: np.einsum("ij->j", t, out=None),
    ],
)  # fmt: skip
def test_numpys_own_default_given_is_no_option(call: Any) -> None:
    assert_near(call(mg.tensor(M, requires_grad=True)), call(M))


def test_every_function_of_these_families_is_tried() -> None:
    named = {name.split("(")[0].split(" ")[0] for name in CASES}
    assert {f.__name__ for f, own in FUNCTIONS.items() if own.__module__.endswith(("sampled", "statistics"))} <= named
    of_linalg = {f"linalg.{f.__name__}" for f in FUNCTIONS if f.__module__ == "numpy.linalg"}
    assert {name for name in named if name.startswith("linalg.")} <= of_linalg
