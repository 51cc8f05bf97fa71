"""A user's op is an op like any other."""

import numpy as np
import pytest

import minigrad as mg

X = np.array([[0.3, -0.7], [1.2, 0.1]])


@mg.custom_op(lambda out: 1 - out * out, kind="elementwise")
def my_tanh(x):
    return np.tanh(x)


@mg.custom_op(lambda g, y: g @ np.swapaxes(y, -1, -2), lambda g, x: np.swapaxes(x, -1, -2) @ g, kind="linear")
def my_product(x, y):
    return x @ y


@mg.custom_op(lambda g, x, out, p: g * np.abs(x) ** (p - 1) * np.sign(x) * out ** (1 - p))
def p_norm(x, *, p=3.0):
    return (np.abs(x) ** p).sum() ** (1 / p)


@mg.custom_op(None, lambda g, mask: g * mask)
def masked(mask, x):
    return mask * x


def test_it_has_derivatives_of_every_order_in_both_modes():
    mg.check_grads(my_tanh, X, order=3)
    mg.check_grads(my_product, X, X + 1, order=2)
    mg.check_grads(p_norm, X, order=2)
    mg.check_grads(lambda x: masked(np.array([[1.0, 0.0], [0.0, 1.0]]), x), X)


def test_it_agrees_with_the_built_in_one():
    x = mg.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(mg.grad(my_tanh(x).sum(), x).data, mg.grad(np.tanh(x).sum(), x).data)


def test_it_takes_arrays_broadcasts_and_stands_in_the_graph():
    assert isinstance(my_tanh(X), np.ndarray)
    x = mg.tensor(X, requires_grad=True)
    y = p_norm(x, p=4.0)
    assert "p_norm(%0, p=4.0)" in str(mg.Graph(y))
    assert mg.grad(my_product(x, X).sum(), x).shape == X.shape


def test_a_rule_that_asks_for_what_there_is_not_is_refused():
    with pytest.raises(TypeError, match="op f: a rule asks for 'z'; it may ask for g, out"):

        @mg.custom_op(lambda g, z: g * z)
        def f(x):
            return x


def test_each_operand_needs_a_rule():
    with pytest.raises(TypeError, match=r"f has the operands \(x, y\) and 1 rules; each needs one"):

        @mg.custom_op(lambda g: g)
        def f(x, y):
            return x + y


def test_kinds_and_calls_are_checked():
    with pytest.raises(TypeError, match="kind is one of"):
        mg.custom_op(lambda g: g, kind="strange")
    with pytest.raises(TypeError, match="unexpected keyword argument 'q'"):
        p_norm(X, q=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        my_product(X)


def test_an_elementwise_rule_does_not_get_the_cotangent_nor_any_other_the_number_of_the_operand():
    with pytest.raises(TypeError, match="a rule asks for 'g'"):
        mg.custom_op(lambda g, x: g * 2 * x, kind="elementwise")(lambda x: x * x)
    with pytest.raises(TypeError, match="a rule asks for 'i'"):
        mg.custom_op(lambda g, i: g)(lambda x: x)
