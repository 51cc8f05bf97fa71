"""What Python may do with a number or an array: in a compiled function it is right, or an error; never the other branch."""

import copy
import fractions
import functools
import json
import math
import numbers
import operator
import pickle
import statistics
from decimal import Decimal

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.trees import tree_leaves

X = np.arange(1.0, 4.0)
KINDS = (
    bool, int, float, complex, str, np.ndarray, np.generic, np.floating, np.float64, np.integer, np.int64, np.bool_,
    numbers.Number,
    numbers.Real, numbers.Integral, type(None), mg.Tensor, list, tuple,
)  # fmt: skip
TABLE = {1.0: "one", 2: "two", 2.5: "two and a half"}


@functools.cache
def cached(k):
    return k * 2


def matched(k):
    match k:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
    return "something else"


def matched_value(k):
    match k:
        case 2.5:
            return 1
    return 0


USES = {
    **{f"isinstance {kind.__name__}": lambda k, kind=kind: isinstance(k, kind) for kind in KINDS},
    "isscalar": np.isscalar, "scalar by numbers": lambda k: isinstance(k, numbers.Number), "match kinds": matched,
    "get": lambda k: TABLE.get(k, "no"), "in dict": lambda k: k in TABLE, "in set": lambda k: k in {1.0, 2.5},
    "in list": lambda k: k in [1.0, 2.5],
    "in tuple": lambda k: k in (7,), "str": str, "repr": repr, "f-string": lambda k: f"{k}", "formatted": lambda k: f"{k:.1f}",
    "percent": lambda k: f"{k:g}",
    "format": lambda k: format(k, "e"), "hash": hash, "int": int, "float": float, "bool": bool, "complex": complex,
    "not": lambda k: not k, "equal": lambda k: k == 2.5,
    "unequal": lambda k: k != 2.5, "less": lambda k: k < 2, "if equal": lambda k: 1 if k == 2.5 else 0,
    "if less": lambda k: 1 if k < 2 else 0, "if": lambda k: 1 if k else 0,
    "if unequal": lambda k: 1 if k != 2.5 else 0, "and": lambda k: k and 3, "or": lambda k: k or 3, "max": lambda k: max(k, 2),
    "min": lambda k: min(k, 2), "sum": lambda k: sum([k, k]),
    "sorted": lambda k: sorted([k, 2]), "range": lambda k: list(range(k)), "repeat": lambda k: [0] * k,
    "text": lambda k: "ab" * k, "index": operator.index,
    "element": lambda k: [1, 2, 3, 4][k], "slice": lambda k: [1, 2, 3, 4][:k], "round": round,
    "round to": lambda k: round(k, 1), "floor": math.floor, "ceil": math.ceil,
    "trunc": math.trunc, "sqrt": math.sqrt, "np.sqrt": np.sqrt, "isnan": math.isnan, "isclose": lambda k: math.isclose(k, 2.5),
    "pow": lambda k: k**2, "power": lambda k: 2**k,
    "root": lambda k: (k - 2) ** 0.5, "inverse power": lambda k: 2 ** (k - 2), "divmod": lambda k: divmod(k, 2),
    "floor division": lambda k: k // 2, "reversed": lambda k: 7 % k, "negative": lambda k: -k, "abs": lambda k: abs(1 - k),
    "bits": lambda k: k & 1, "shift": lambda k: 1 << k, "invert": lambda k: ~k, "is_integer": lambda k: k.is_integer(),
    "real": lambda k: k.real, "imag": lambda k: k.imag, "conjugate": lambda k: k.conjugate(),
    "ratio": lambda k: k.as_integer_ratio(), "bit_length": lambda k: k.bit_length(),
    "hasattr dtype": lambda k: hasattr(k, "dtype"), "hasattr shape": lambda k: hasattr(k, "shape"),
    "getattr": lambda k: getattr(k, "ndim", 7), "callable": callable, "copy": copy.copy, "deepcopy": copy.deepcopy,
    "pickle": lambda k: len(pickle.dumps(k)), "json": json.dumps, "cache": cached,
    "fraction": lambda k: fractions.Fraction(k), "fraction sum": lambda k: float(fractions.Fraction(1, 2) + k),
    "decimal": Decimal, "mean": lambda k: statistics.mean([k, k]), "fsum": lambda k: math.fsum([k, 1]),
    "asarray": np.asarray, "array": lambda k: np.array([k, 1]), "full": lambda k: np.full(3, k),
    "arange": lambda k: np.arange(k), "zeros": lambda k: np.zeros(k), "linspace": lambda k: np.linspace(0, k, 4),
    "clip": lambda k: np.clip(k, 0, 2), "where": lambda k: np.where([True, False], k, 0), "np.sum": np.sum,
    "full_like": lambda k: np.full_like(X, k), "result_type": lambda k: str(np.result_type(k, np.float32)),
    "np.shape": np.shape, "np.ndim": np.ndim, "iter": iter, "len": len, "match value": matched_value,
    "with complex": lambda k: k + 1j, "with numpy": lambda k: k + np.float64(2),
    "with float32": lambda k: np.float32(2) * k, "with integer": lambda k: np.int8(2) * k, "with text": lambda k: k == "a",
    "with None": lambda k: k == None,  # noqa: E711
    "times array": lambda k: k * X, "array times": lambda k: X.astype(np.float32) * k, "tensor": lambda k: mg.tensor(k) * 2,
    "times tensor": lambda k: k * mg.tensor(X), "over tensor": lambda k: k / mg.tensor(X),
    "tensor power": lambda k: mg.tensor(X) ** k, "shape": lambda k: X.reshape(k, -1), "take": lambda k: np.take(X, k),
    "roll": lambda k: np.roll(X, k), "bool of array": lambda k: bool(np.any(k < X)),
    "of tensor": lambda k: mg.tensor(X)[k], "gradient of an element": lambda k: mg.grad(lambda x: (x[k] * x[0] * k))(X),
    "repeated": lambda k: np.repeat(X, k), "split": lambda k: np.split(np.arange(12.0), k),
    "sum axis": lambda k: np.sum(X, axis=k),
}  # fmt: skip


def outcome(f, x):
    try:
        return f(x), None
    except Exception as error:
        return None, error


def plain(x):
    return x.numpy() if isinstance(x, mg.Tensor) else x


def assert_right_or_refused(f, values):
    """Along with an array in the result, so that there is a program whatever the use gives."""

    def g(k):
        return f(k), X + 1

    compiled = mg.compile(g)
    for value in values:
        wanted, error = outcome(g, value)
        found, refused = outcome(compiled, value)
        if refused is not None:
            assert isinstance(refused, mg.CompileError | TypeError) or type(refused) is type(error), refused
            continue
        assert error is None
        a, b = plain(found[0]), plain(wanted[0])
        assert type(a) is type(b)
        if isinstance(b, np.ndarray):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if isinstance(b, list | tuple):
            assert len(a) == len(b)
            assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
        else:
            assert np.allclose(a, b, rtol=1e-14, equal_nan=True) if isinstance(b, KINDS[1:3] + KINDS[5:7]) else a == b


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("use", USES)
def test_numbers(use):
    assert_right_or_refused(USES[use], (2.5, 1.0, 7.25, -3.0))
    assert_right_or_refused(USES[use], (2, 1, 3, 0))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("use", USES)
def test_arrays_and_numbers_of_numpy(use):
    assert_right_or_refused(USES[use], (np.float64(2.5), np.float64(1.0), np.float64(-3.0)))
    assert_right_or_refused(lambda x: USES[use](x.sum()), (X, X + 1))
    assert_right_or_refused(USES[use], (np.array([2.0, 1.0]), np.array([1.0, 7.0])))
    assert_right_or_refused(USES[use], (np.array(2), np.array(1)))


RIGHT = {
    *(name for name in USES if name.startswith("isinstance")), "isscalar", "scalar by numbers", "match kinds", "round",
    "floor", "ceil", "trunc", "pow", "divmod",
    "negative", "abs", "copy", "deepcopy", "clip", "np.sum", "tensor", "hasattr dtype", "hasattr shape", "getattr",
    "with numpy", "of tensor",
}  # fmt: skip


@pytest.mark.parametrize("use", sorted(RIGHT))
def test_what_is_recorded_and_not_refused(use):
    value = 2 if use == "of tensor" else 2.5
    found, wanted = mg.compile(lambda k: USES[use](k))(value), USES[use](value)
    assert np.array_equal(plain(found), plain(wanted))


@pytest.mark.filterwarnings("ignore")
def test_errors_say_what_to_do():
    for use in ("hash", "str", "if", "sqrt"):
        with pytest.raises(mg.CompileError, match=r"compile\(f, static="):
            mg.compile(USES[use])(2.5)
    for f, message in [
        (lambda x: TABLE.get(x), "used as a key"), (lambda x: f"{x}", "the text of an array"),
        (lambda x: pickle.dumps(x), "pickled"),
        (lambda x: setattr(x, "shape", (3, 1)), "is set"), (lambda x: x.flat, "ndarray.flat"),
        (lambda x: np.ma.array(X) * x, "values|Masked"),
        (lambda x: x * np.matrix([[1.0]]), "matrix"),
    ]:  # fmt: skip
        with pytest.raises(mg.CompileError, match=message):
            mg.compile(f)(X)


def test_a_power_whose_kind_depends_on_the_values():
    f = mg.compile(lambda x, n: x * 2**n)
    for n in (2, -1, 3, -2):
        found, wanted = f(np.arange(3), n), np.arange(3) * 2**n
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


PLAIN = {
    "ceil": np.ceil,
    "sign": np.sign,
    "round": np.round,
    "floor division": lambda x: x // 1,
    "ones": np.ones_like,
}


@pytest.mark.parametrize("name", PLAIN)
def test_transforms_of_functions_that_end_in_a_plain_array(name):
    f = PLAIN[name]
    for transform in (
        lambda x: mg.jvp(f, (x,), (x,)), lambda x: mg.vjp(f, x)[0], lambda x: mg.jacobian(f)(x),
        lambda x: mg.jacobian(f, mode="forward")(x),
        lambda x: mg.grad(lambda x: f(x).sum())(x), lambda x: mg.value_and_grad(lambda x: f(x).sum())(x),
        lambda x: mg.hessian(lambda x: f(x).sum())(x),
    ):  # fmt: skip
        compiled = mg.compile(transform)
        for x in (X, X + 0.3, X[::-1] / 7):
            for a, b in zip(tree_leaves(compiled(x)), tree_leaves(transform(x)), strict=True):
                assert np.array_equal(a, b)


@pytest.mark.filterwarnings("ignore")
def test_classes_of_arrays_given_as_arguments():
    compiled = mg.compile(lambda x: x * x)
    for x in (X, mg.tensor(X).data, X + 1):
        assert np.array_equal(compiled(x), np.asarray(x) ** 2)
    assert len(compiled.programs) == 1  # what a tensor gives as its data is an array like others
    for other in (np.matrix([X.tolist()]), np.ma.array(X)):
        with pytest.raises(mg.CompileError, match=r"give np\.asarray"):
            compiled(other)
    number = mg.compile(lambda k: 1.0 if isinstance(k, float) else 2.0)
    assert [number(np.float64(3)), number(np.array(3.0)), number(np.float64(4))] == [1, 2, 1]


def test_a_sum_in_float64_of_float32_values_is_as_exact_as_they_are():
    """The first run of a program is compared with the function; that it sums in another order is no difference."""
    layer = rnn.LSTM(9, 6, rng=0)

    def steps(x):
        return np.mean(layer(x)[0], axis=(1, 2)).astype(float)

    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal((3, 4, 9)).astype(np.float32)
        found = mg.compile(steps)(x)
        assert found.dtype == np.float64
        assert np.allclose(found.data, steps(x).data, rtol=1e-5, atol=1e-6)
