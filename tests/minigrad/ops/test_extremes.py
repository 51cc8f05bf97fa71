"""Derivatives in float16 and float32 at the ends of their range: those of the same numbers in float64, cast down."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.ops import TABLE, Op

DTYPES = ["float16", "float32"]
elementwise = [op for op in TABLE.values() if op.kind == "elementwise"]
others = [op for op in TABLE.values() if op.kind != "elementwise" and op.name != "astype"]
few_examples = settings(max_examples=settings().max_examples // 5)
in_both = pytest.mark.parametrize("dtype", DTYPES)
in_both_modes = pytest.mark.parametrize("mode", ["reverse", "forward"])
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, where a result is out of range

# Where not even a derivative of exact formula is exact in its last digits. PyTorch and JAX compute the same.
ULPS = {
    "power": 128, "logaddexp": 64, "logaddexp2": 64,  # y - 1 and x - y are rounded, which the exponential magnifies
}  # fmt: skip
CANCEL = {"gelu", "silu", "softmax", "log_softmax"}  # a sum of terms of both signs is as good as its terms are
NORMAL = {"power", "arctan2"}  # of subnormal operands 1 / x is too large, and a quotient on the way has few digits
VALUE_IN_RANGE = {"prod", "cumprod", "det", "norm", "p_norm"}  # their rules are made of values, or products of as many


def ends(dtype: Any) -> np.ndarray:
    """The largest, smallest normal and subnormal numbers, those whose squares and cubes or exponentials are, and 1 +- eps."""
    info = np.finfo(dtype)
    largest, smallest, eps = float(info.max), float(info.tiny), float(info.eps)
    large = [largest, largest / 2, largest / 3, largest**0.75, *(largest**0.5 * k for k in (4, 1, 0.25)), largest**0.3]
    middle = [1e4, 300, np.log(largest), 2.5, 1 + eps, 1, 1 - eps / 2, 0.75, 0.3, eps**0.5, eps]
    small = [smallest**0.3, *(smallest**0.5 * k for k in (4, 1, 0.25)), smallest * 2, smallest, smallest / 4]
    x = np.array([*large, *middle, *small, float(info.smallest_subnormal)], dtype)
    return np.concatenate([-x[::-1], x])


def operands_of(op: Op, dtype: Any) -> list[np.ndarray]:
    """All pairs (or triples, of fewer) of the ends of the range that lie in the domain."""
    x = ends(dtype)
    x = x[(x.astype(float) > op.domain.low) & (x.astype(float) < op.domain.high)]
    if op.name in NORMAL:
        x = x[np.abs(x) >= np.finfo(dtype).tiny]
    return [y.ravel() for y in np.meshgrid(*[x if len(op.operands) < 3 else x[::3]] * len(op.operands))]


def derivatives(f: Callable[..., Any], xs: list[Any], mode: str, u: Any, ds: list[Any]) -> list[np.ndarray]:
    """J^T u, a part for each of xs, or J d for each of xs alone."""
    if mode == "reverse":
        return [np.asarray(g) for g in minigrad.vjp(f, *xs)[1](u)]
    return [
        np.asarray(minigrad.jvp(lambda x, i=i: f(*xs[:i], x, *xs[i + 1 :]), (xs[i],), (d.astype(xs[i].dtype),))[1])
        for i, d in enumerate(ds)
    ]


def assert_cast_down(found: np.ndarray, expected: np.ndarray, tolerance: Any) -> None:
    """`found` is `expected` in its own dtype, up to `tolerance`; 0 where that is subnormal, not finite where it is not."""
    info = np.finfo(found.dtype)
    cast = expected.astype(found.dtype)
    assert not np.isnan(expected).any()
    exact = np.where(np.isfinite(cast), cast, 0).astype(float)
    close = np.abs(found.astype(float) - exact) <= tolerance + 4 * float(info.smallest_subnormal)
    flushed = (found == 0) & (np.abs(exact) < info.tiny)
    right = np.where(np.isfinite(cast), close | flushed, ~np.isfinite(found))
    assert right.all(), (found[~right][:5], expected[~right][:5])


def rounded_result(op: Op, i: int, xs: list[np.ndarray], dtype: Any) -> Any:
    """How far a rule that reads the result is off because this is kept in `dtype`."""
    rule = op.rules[i]
    if not callable(rule) or isinstance(rule, np.ufunc) or "out" not in inspect.signature(rule).parameters:
        return 0.0
    out = op.forward(*xs)
    known = dict(zip(op.operands, xs, strict=True))
    exact, rounded = (
        1.0 * rule(*[y if name == "out" else known[name] for name in inspect.signature(rule).parameters])
        for y in (out, out.astype(dtype).astype(float))
    )
    return np.where(exact == rounded, 0.0, 2 * np.abs(exact - rounded))


@in_both_modes
@in_both
@pytest.mark.parametrize("op", elementwise, ids=lambda op: op.name)
def test_an_elementwise_derivative_is_that_in_float64(op: Op, dtype: str, mode: str) -> None:
    xs = operands_of(op, dtype)
    exact = [x.astype(float) for x in xs]
    ones = np.ones(xs[0].shape)
    with np.errstate(all="ignore"):
        found = derivatives(op.run, xs, mode, ones, [ones] * len(xs))
        expected = derivatives(op.run, exact, mode, ones, [ones] * len(xs))
        for i, (g, e) in enumerate(zip(found, expected, strict=True)):
            ulp = np.nan_to_num(np.spacing(np.abs(e.astype(g.dtype))).astype(float))
            tolerance = ULPS.get(op.name, 4) * ulp + rounded_result(op, i, exact, op.forward(*xs).dtype)
            assert_cast_down(g, e, tolerance + (op.name in CANCEL) * float(np.finfo(dtype).eps))


@in_both
@pytest.mark.parametrize("op", others, ids=lambda op: op.name)
@few_examples
@given(data=st.data())
def test_any_other_derivative_is_that_in_float64(op: Op, dtype: str, cases: Any, data: st.DataObject) -> None:
    """Of operands as large or small as such that a sum of a few is in range."""
    info = np.finfo(dtype)
    case = data.draw(cases(op))
    scale = float(info.max) ** data.draw(st.sampled_from([0.85, 0.7, 0.42, 0.21, -0.21, -0.42, -0.7, -0.85]))
    places = case.wanted
    scaled = [
        replace(x, base=x.base * scale / max(1, np.max(np.abs(x.base), initial=0))) if i in places else x
        for i, x in enumerate(case.operands)
    ]
    small = replace(case, operands=tuple(scaled)).cast(dtype)

    def f(*xs: Any) -> Any:
        arrays = small.arrays()
        for i, x in zip(places, xs, strict=True):
            arrays[i] = x
        return case(*arrays)

    xs = [np.asarray(small.arrays()[i]) for i in places]
    exact = [x.astype(float) for x in xs]
    random = np.random.default_rng(0)

    def numbers(shape: Any) -> np.ndarray:
        return np.asarray(random.choice([-1, 1], shape) * random.integers(4, 12, shape) / 8)

    with np.errstate(all="ignore"):
        value = np.asarray(f(*exact))
        if op.name in VALUE_IN_RANGE:
            assume(np.all(np.isfinite(value.astype(dtype)) & (np.abs(value) > info.tiny)))
        u, ds = numbers(value.shape), [numbers(x.shape) for x in xs]
        found, expected = ([derivatives(f, points, mode, u, ds) for mode in ("reverse", "forward")] for points in (xs, exact))
        for g, e in zip(zip(*found, strict=True), zip(*expected, strict=True), strict=True):
            size = max(float(np.max(np.abs(x), initial=0)) for x in e)  # of the terms, which may cancel in one of the modes
            for k in range(2):
                tolerance = 64 * min(size, float(np.finfo(g[k].dtype).max)) + (op.name in CANCEL)
                assert_cast_down(g[k], e[k], float(info.eps) * tolerance)


# -- more elements than float16 can count ----------------------------------------------------------------------

MANY = 70_000
COUNTED: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "mean of rows": lambda x: np.mean(x.reshape(2, -1), axis=1),
    "var": np.var,
    "std": np.std,
    "average": np.average,
    "max": lambda x: np.max(np.minimum(x, 0.5)),  # most of them tie
    "softmax": lambda x: minigrad.softmax(x / 8),
    "log_softmax": minigrad.log_softmax,
    "logsumexp": minigrad.logsumexp,
    "cross_entropy of many classes": lambda x: minigrad.cross_entropy(x, 3),
    "cross_entropy": lambda x: minigrad.cross_entropy(x.reshape(-1, 1) * np.array([0.5, 1.5], x.dtype), np.ones(MANY, int)),
    "cross_entropy of few": lambda x: minigrad.cross_entropy(
        np.stack([x, -x], -1), np.where(np.arange(MANY) < 2, 1, -100)
    ),
    "broadcast": lambda x: np.mean(x[:1] + np.zeros(MANY, x.dtype)),
}  # fmt: skip


@in_both_modes
@pytest.mark.parametrize("name", COUNTED)
def test_a_count_is_never_in_float16(name: str, mode: str) -> None:
    f = COUNTED[name]
    x = np.random.default_rng(0).normal(size=MANY).astype("float16")
    value = np.asarray(f(x.astype(float)))
    u, d = np.ones(value.shape), np.ones(MANY) + (np.arange(MANY) % 7 == 0)
    (found,), (expected,) = (derivatives(f, [y], mode, u, [d]) for y in (x, x.astype(float)))
    eps = float(np.finfo("float16").eps)
    assert found.dtype == np.float16
    np.testing.assert_allclose(f(minigrad.tensor(x)).data, value, rtol=8 * eps, atol=1e-7)
    np.testing.assert_allclose(found.astype(float), expected, rtol=8 * eps, atol=max(8 * eps * np.abs(expected).max(), 1e-7))


# -- the numbers themselves ------------------------------------------------------------------------------------


@in_both_modes
@pytest.mark.parametrize(
    ("f", "x", "dtype", "expected"),
    [
        (np.arccosh, [300.0], "float16", [0.0033333519]),
        (np.arccosh, [1e22], "float32", [1e-22]),
        (np.arctan, [300.0], "float16", [1.1111e-5]),
        (np.linalg.norm, [1e25, 1e25], "float32", [0.70710678, 0.70710678]),
        (np.linalg.norm, [1e-30, 1e-30], "float32", [0.70710678, 0.70710678]),
        (np.linalg.norm, [300.0, 400.0], "float16", [0.6, 0.8]),
        (np.std, [1e25, -1e25], "float32", [0.5, -0.5]),
    ],
)  # fmt: skip
def test_derivatives_that_once_were_zero(f: Any, x: list[float], dtype: str, expected: list[float], mode: str) -> None:
    (found,) = derivatives(f, [np.array(x, dtype)], mode, np.ones(np.shape(f(np.array(x)))), [np.eye(1, len(x))[0]])
    wanted = expected if mode == "reverse" else expected[0]
    np.testing.assert_allclose(
        found, np.broadcast_to(wanted, found.shape), rtol=4 * float(np.finfo(dtype).eps), atol=1e-7 * (dtype == "float16")
    )
