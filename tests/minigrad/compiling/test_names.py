"""Names in the source of a program are made for it: tensors, scopes, keys and classes may be called as they like."""

import enum
import keyword
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

X = np.arange(3.0)
ODD = [
    "\u00b5", "\u03bc", "x²", "x2", "W₁", "W1", "ﬁ", "fi", "é", "e\u0301", "a b", "a-b", "1st", "", "_", "__builtins__",
    "__name__", "None",
    "class", "print", "type", "bool", "np", "run", "copyto", "store", "several", "OtherWay", "lines_0", "global",
    "x\nimport os", "x'", 'x"',
    "a#b", "\x00", "\ud800", "名", "x\u2028y", "just_2_0_d", "add_reduce", "part_0", "input_0", "space", "multiply", "number_0",
    "x;y",
]  # fmt: skip
HARM = "raise AssertionError('executed')"


def test_two_names_that_python_takes_for_one():
    micro = mg.tensor(np.full(3, 2.0), requires_grad=True, name="\u00b5")
    mu = mg.tensor(np.full(3, 5.0), requires_grad=True, name="\u03bc")
    compiled = mg.compile(lambda x: x * micro - mu)
    assert np.array_equal(compiled(X).numpy(), X * 2 - 5)
    assert np.array_equal(compiled(X + 1).numpy(), X * 2 - 3)


@pytest.mark.parametrize("batch", [True, False])
def test_tensors_of_any_name(batch):
    tensors = [mg.tensor(np.full(3, float(i + 1)), requires_grad=True, name=name) for i, name in enumerate(ODD)]

    def f(x):
        total = x
        for t in tensors:
            total = total * 1.5 + t
        return total

    compiled = mg.compile(f, batch=batch)
    for x in (X, X + 1):
        np.testing.assert_allclose(compiled(x).numpy(), f(x).numpy(), rtol=1e-12)
    assert compiled.source.isascii()


@given(st.lists(st.text(max_size=6), min_size=1, max_size=6))
def test_tensors_and_scopes_of_random_names(names):
    def f(x):
        for i, name in enumerate(names):
            p = mg.tensor(x, name=name)
            with mg.scope(name or "scope", i):
                x = (p * 2 + i).data
        return x

    compiled = mg.compile(f)
    for x in (X, X + 1):
        np.testing.assert_allclose(np.asarray(compiled(x)), np.asarray(f(x)), rtol=1e-12)


def test_readable_names_stay():
    W, h = mg.tensor(np.ones(3), name="W_hh", requires_grad=True), mg.tensor(np.ones(3), name="x²", requires_grad=True)
    compiled = mg.compile(lambda x: x * W + h)
    compiled(X)
    assert "W_hh" in compiled.source
    assert "x2" in compiled.source


@pytest.mark.parametrize("text", [f"a\n    {HARM}", f"a\r{HARM}", f"a\x0c{HARM}", f"'\n{HARM}", '"""', "\\", "\x00", "\ud800"])
def test_scopes_are_comments(text):
    def f(x):
        with mg.scope(text, text):
            return np.tanh(x) * 2

    compiled = mg.compile(f)
    assert np.array_equal(compiled(X), f(X))
    assert not any(line.strip().startswith("raise") for line in compiled.source.splitlines())
    assert compiled.report()


class Color(enum.Enum):
    RED = 1


class Count(enum.IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()

    def __repr__(self):
        return HARM


class Key:
    def __repr__(self):
        return HARM


KEY = Key()


@pytest.mark.parametrize(
    "key", [Color.RED, Count.ONE, Text("a"), KEY, (1, "a"), frozenset({2}), None, 1.5, b"x", float("inf"), Key]
)
def test_keys_of_any_kind(key):
    compiled = mg.compile(lambda x: {key: x + 1, "other": [x * 2, {key: None}]})
    for x in (X, X + 1):
        found = compiled(x)
        assert list(found) == [key, "other"]
        assert np.array_equal(found[key], x + 1)
        assert found["other"][1] == {key: None}


@pytest.mark.parametrize(
    "name", ["copyto", "run", "np", "wrap", "value", "result", "call", "a0", "OtherWay", "space", "ndarray", "b0", "k9"]
)
def test_namedtuples_of_any_name(name):
    kind = namedtuple(name, ["first", "second"])
    tensor = mg.tensor(np.ones(3), requires_grad=True)
    compiled = mg.compile(lambda x, k: kind(x * k + tensor, kind(k * 2, 1)))
    for x in (X, X + 1):
        found = compiled(x, 3.0)
        assert type(found) is kind
        assert type(found.second) is kind
        assert np.array_equal(found.first.numpy(), x * 3 + 1)
        assert found.second == (6.0, 1)


class Pair(list):
    pass


def test_containers_keep_their_class():
    compiled = mg.compile(lambda x: (Pair([x + 1]), [x], (x,)))
    assert [type(part) for part in compiled(X)] == [Pair, list, tuple]
    assert compiled({"a": X}["a"])[0][0].tolist() == [1.0, 2.0, 3.0]
    ordered = mg.compile(lambda x: OrderedDict(b=x, a=x))(X)
    assert list(ordered) == ["b", "a"]


@pytest.mark.parametrize("option", [Count.ONE, Text("C"), np.float64(0.5), np.True_])
def test_arguments_whose_text_is_no_python(option):
    def f(x):
        if isinstance(option, Count):
            return np.roll(x, option)
        return (
            np.asarray(np.where(x > 0, x, option)) if not isinstance(option, str) else np.searchsorted(x, x, side=Text("left"))
        )

    compiled = (
        mg.compile(f, batch=False) if not isinstance(option, str) else mg.compile(lambda x: np.searchsorted(x, x, Text("left")))
    )
    if isinstance(option, str):
        assert compiled(X).tolist() == [0, 1, 2]
    elif isinstance(option, Count):
        assert compiled(X).tolist() == [2, 0, 1]


def test_functions_of_any_name():
    def named(text):
        def function(row):
            return row * 2

        function.__name__ = text
        return function

    for text in ("copyto", "run", "a\nb", "class", "", "<lambda>", "sum", "f(x)", "store", *keyword.kwlist[:3]):
        function = named(text)
        compiled = mg.compile(lambda x, function=function: np.apply_along_axis(function, 0, x) + 1)
        assert np.array_equal(compiled(X), X * 2 + 1)
        op = mg.custom_op(lambda g, row: 2 * g)(function)
        compiled = mg.compile(lambda x, op=op: mg.grad(lambda x: (op(x) * x).sum())(x))
        np.testing.assert_allclose(compiled(X), 4 * X, rtol=1e-12)
