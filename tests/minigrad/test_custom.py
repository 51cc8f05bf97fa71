"""A user's op is an op like any other."""

import weakref

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


# -- buffers and complex numbers -------------------------------------------------------------------------------

BUFFER = np.empty(3)
V = np.array([0.0, 1.0, -0.5])
BUFFERED = {
    "the buffer": lambda x: np.exp(x, out=BUFFER),
    "a view of it": lambda x: np.exp(x, out=BUFFER)[:],
    "another view": lambda x: np.exp(x[::-1], out=BUFFER)[::-1],
    "read-only": lambda x: np.broadcast_to(np.exp(x, out=BUFFER), 3),
    "a new array": lambda x: np.exp(x),
}


@pytest.mark.parametrize("forward", BUFFERED)
@pytest.mark.parametrize("kind", ["general", "elementwise"])
@pytest.mark.parametrize("inside", [lambda f: f, mg.checkpoint], ids=["", "checkpoint"])
def test_what_it_returns_may_be_a_buffer_that_it_uses_again(forward, kind, inside):
    exp = mg.custom_op((lambda g, out: g * out) if kind == "general" else (lambda out: out), kind=kind)(BUFFERED[forward])
    x = mg.tensor(V, requires_grad=True)
    once, twice = inside(exp)(x), inside(exp)(2 * x)
    np.testing.assert_array_equal(once.data, np.exp(V))
    np.testing.assert_array_equal(twice.data, np.exp(2 * V))
    (once.sum() + twice.sum()).backward()
    np.testing.assert_allclose(x.grad, np.exp(V) + 2 * np.exp(2 * V), rtol=1e-14)


def test_a_new_array_is_not_copied():
    made = []

    def exp(x):
        made.append(weakref.ref(y := np.exp(x)))
        return y

    y = mg.custom_op(lambda g, out: g * out)(exp)(mg.tensor(V))
    assert made[0]() is not None, y


@pytest.mark.parametrize("recorded", [False, True])
def test_what_a_rule_returns_may_be_a_buffer_that_it_uses_again(recorded):
    def rule(g, out):
        g, out = (x.detach().numpy() if recorded else x for x in (g, out))
        return np.multiply(g, out, out=BUFFER)

    exp = mg.custom_op(rule)(lambda x: np.exp(x))
    x, y = mg.tensor(V, requires_grad=True), mg.tensor(2 * V, requires_grad=True)
    by_x, by_y = mg.grad(exp(x).sum() + exp(y).sum(), [x, y], create_graph=recorded)
    np.testing.assert_array_equal(by_x.data, np.exp(V))
    np.testing.assert_array_equal(by_y.data, np.exp(2 * V))


def test_a_buffer_in_forward_mode():
    scaled = mg.custom_op(lambda g: np.multiply(g, 2.0, out=BUFFER) if type(g) is np.ndarray else 2.0 * g)(lambda x: 2.0 * x)
    x, y = mg.jvp(lambda x, y: (scaled(x), scaled(y)), (V, V), (V, 3 * V))[1]
    np.testing.assert_array_equal((x, y), (2 * V, 6 * V))


COMPLEX = {
    "general": (lambda g: g * (1 + 2j), {}),
    "linear": (lambda g: g * (1 + 2j), {"kind": "linear"}),
    "elementwise": (lambda x: x * (1 + 2j), {"kind": "elementwise"}),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_the_imaginary_part_of_a_rule_is_not_dropped(name):
    rule, options = COMPLEX[name]
    f = mg.custom_op(rule, **options)(lambda x: x * 1.0)
    with pytest.raises(TypeError, match=r"complex128.*imaginary part would be lost.*return g\.real"):
        f(mg.tensor(V, requires_grad=True)).sum().backward()
    with pytest.raises(TypeError, match="complex"):
        mg.jvp(f, (V,), (V,))
    with pytest.raises(TypeError, match="complex"):
        mg.grad(lambda x: mg.grad(lambda x: f(x).sum())(x).sum())(V)


def test_complex_numbers_are_refused_on_their_way_in_and_out():
    x = mg.tensor(V, requires_grad=True)
    for call in (
        lambda: mg.tensor([1j]), lambda: x * 1j, lambda: mg.custom_op(lambda g: g)(lambda x: x * 1j)(x),
        lambda: (x * 1).backward(V * 1j), lambda: mg.jvp(np.sin, (V,), (V * 1j,)), lambda: setattr(x, "grad", V * 1j),
        lambda: setattr(x, "data", V * 1j), lambda: x.astype(complex), lambda: mg.grad(np.sum)(V * 1j),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"complex"):
            call()
    with x.register_hook(lambda g: g * 1j), pytest.raises(TypeError, match="a rule or a hook returned complex128"):
        (x * 1).sum().backward()


@pytest.mark.parametrize("rule", [0, 2, "g", np.ones(2), [1]], ids=repr)
def test_what_is_no_rule_is_refused_at_once(rule):
    with pytest.raises(TypeError, match="a rule of f must be a function, 1 or -1, or None"):

        @mg.custom_op(rule)
        def f(x):
            return x
