"""The transforms of functions, forward and backward: against finite differences, formulas, and each other."""

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import LeavesGraphError

RNG = np.random.default_rng(0)


def network(x: Any, W: Any, b: Any) -> Any:
    h = np.tanh(x @ W + b)
    return np.stack([mg.softmax(h[t] * h[t - 1]) for t in range(3)]) / (1 + np.exp(-h.sum()))


POINT = (RNG.standard_normal((3, 4)), RNG.standard_normal((4, 5)), RNG.standard_normal(5))
BY_HAND = {
    "network": (network, POINT),
    "broadcast": (lambda x, y: x * y + np.maximum(x, 0.5) / y, (RNG.standard_normal((3, 1)), RNG.uniform(1, 2, 4))),
    "products": (lambda A, v: mg.logsumexp(A @ v) * (v @ A)[1:], (RNG.standard_normal((3, 3)), RNG.standard_normal(3))),
    "indices": (
        lambda x: np.concatenate([x[[0, 0, 2]], x[::-1] ** 3, np.where(x > 0, x, np.exp(x))]),
        (RNG.standard_normal(3),),
    ),
    "one number": (lambda x: np.sin(x) * x, (0.7,)),
    "reductions": (lambda x: x.max(axis=0) * x.mean(axis=1, keepdims=True) - x.min(), (RNG.standard_normal((3, 4)),)),
    "cross-entropy": (
        lambda x: mg.cross_entropy(mg.linear(x, np.eye(4)[:3]), np.array([0, 2])),
        (RNG.standard_normal((2, 4)),),
    ),
}
programs = pytest.mark.parametrize(("f", "point"), BY_HAND.values(), ids=BY_HAND)


def differences(f: Any, point: tuple[Any, ...], direction: tuple[Any, ...], h: float = 1e-3) -> Any:
    def at(s: float) -> Any:
        return np.asarray(f(*(np.asarray(x) + s * np.asarray(d) for x, d in zip(point, direction, strict=True))))

    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


@programs
def test_jvp_and_vjp_agree_with_differences_and_with_each_other(f, point):
    rng = np.random.default_rng(1)
    direction = tuple(rng.standard_normal(np.shape(x)) for x in point)
    y, moved = mg.jvp(f, point, direction)
    np.testing.assert_allclose(y, f(*map(np.asarray, point)), rtol=1e-14)
    np.testing.assert_allclose(moved, differences(f, point, direction), rtol=1e-8, atol=1e-9)
    u = rng.standard_normal(np.shape(y))
    value, pull_back = mg.vjp(f, *point)
    np.testing.assert_array_equal(value, y)
    pulled = pull_back(u)
    forward, reverse = np.sum(u * moved), sum(np.sum(g * d) for g, d in zip(pulled, direction, strict=True))
    assert abs(forward - reverse) <= 1e-12 * max(abs(forward), 1.0)
    for g, x in zip(pulled, point, strict=True):
        assert np.shape(g) == np.shape(x)


@programs
def test_hessians_are_symmetric_and_agree_with_differences(f, point):
    x, *rest = point

    def scalar(x):
        return np.sum(np.square(f(x, *rest)))

    size = np.size(x)
    H = mg.hessian(scalar)(x).reshape(size, size)
    np.testing.assert_allclose(H, H.T, rtol=0, atol=1e-10 * max(1.0, np.abs(H).max()))
    v = np.random.default_rng(2).standard_normal(np.shape(x))
    (product,) = mg.hvp(scalar, (x,), (v,))
    np.testing.assert_allclose(np.ravel(product), H @ np.ravel(v), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(product, differences(mg.grad(scalar), (x,), (v,)), rtol=1e-6, atol=1e-6)


@programs
def test_jacobians_of_both_modes_are_the_same(f, point):
    for n in range(len(point)):
        by_rows = mg.jacobian(f, n)(*point)
        by_columns = mg.jacobian(f, n, mode="forward")(*point)
        assert by_rows.shape == np.shape(f(*map(np.asarray, point))) + np.shape(point[n])
        np.testing.assert_allclose(by_rows, by_columns, rtol=1e-11, atol=1e-12)


def test_derivatives_of_any_order_of_one_number():
    f = np.tanh
    expected = [np.tanh(0.3)]
    t = expected[0]
    expected += [1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2), 8 * t * (1 - t**2) * (2 - 3 * t**2)]
    for value in expected:
        assert f(0.3) == pytest.approx(value, rel=1e-13)
        f = mg.grad(f)
    g = np.tanh
    for value in expected:
        assert g(0.3) == pytest.approx(value, rel=1e-13)
        g = (lambda inner: lambda x: mg.jvp(inner, (x,), (1.0,))[1])(g)


def test_an_inner_variable_is_not_confused_with_an_outer_one():
    assert mg.grad(lambda x: x * mg.grad(lambda y: x + y)(2.0))(1.0) == 1.0
    assert mg.grad(lambda x: x * mg.grad(lambda y: x * y)(x))(3.0) == 6.0
    assert mg.jvp(lambda x: x * mg.jvp(lambda y: x + y, (2.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1.0
    assert mg.jvp(lambda x: x * mg.grad(lambda y: x + y)(2.0), (1.0,), (1.0,))[1] == 1.0
    assert mg.grad(lambda x: x * mg.jvp(lambda y: x + y, (2.0,), (1.0,))[1])(1.0) == 1.0
    assert mg.grad(lambda x: mg.grad(lambda y: x * y * y)(3.0))(2.0) == 6.0


def test_forward_over_reverse_reverse_over_forward_and_reverse_over_reverse_agree():
    x, v = RNG.standard_normal(4), RNG.standard_normal(4)

    def f(x):
        return np.sum(np.tanh(x) * mg.logsumexp(x * x[::-1]))

    over = mg.hvp(f, (x,), (v,))[0]
    np.testing.assert_allclose(mg.grad(lambda x: mg.jvp(f, (x,), (v,))[1])(x), over, rtol=1e-12)
    np.testing.assert_allclose(mg.grad(lambda x: np.sum(mg.grad(f)(x) * v))(x), over, rtol=1e-12)
    np.testing.assert_allclose(mg.jvp(lambda x: mg.jvp(f, (x,), (v,))[1], (x,), (v,))[1], v @ over, rtol=1e-12)


Weights = namedtuple("Weights", "W b")


def test_arguments_may_be_containers_of_containers():
    def f(p, x, *, power=1):
        return np.sum(p["cells"][0].W * x) ** power + p["cells"][1][0] * p["cells"][0].b

    p = {"cells": [Weights(np.ones(2), 3.0), (5.0, None)], "none": None}
    value, g = mg.value_and_grad(f)(p, np.array([1.0, 2.0]), power=2)
    assert value == 9 + 15
    assert isinstance(g["cells"][0], Weights)
    np.testing.assert_array_equal(g["cells"][0].W, [6.0, 12.0])
    assert (g["cells"][0].b, g["cells"][1], g["none"]) == (5.0, (3.0, None), None)
    first, second = mg.grad(f, (0, 1))(p, np.array([1.0, 2.0]))
    np.testing.assert_array_equal(second, [1.0, 1.0])
    assert set(first) == {"cells", "none"}


def test_results_may_be_containers_too():
    y, pull_back = mg.vjp(lambda x: {"a": x * 2, "b": (x * x, 3.0)}, np.array([1.0, 2.0]))
    np.testing.assert_array_equal(y["b"][0], [1.0, 4.0])
    (g,) = pull_back({"a": np.ones(2), "b": (np.ones(2), 0.0)})
    np.testing.assert_array_equal(g, [4.0, 6.0])
    _, moved = mg.jvp(lambda x: [x * 2, x * x], (np.array([1.0, 2.0]),), (np.ones(2),))
    np.testing.assert_array_equal(moved, [[2.0, 2.0], [2.0, 4.0]])


def test_what_comes_in_as_arrays_goes_out_as_arrays_and_is_left_as_it_was():
    x = np.array([1.0, 2.0], np.float32)
    value, g = mg.value_and_grad(lambda x: np.sum(x * x))(x)
    assert isinstance(g, np.ndarray)
    assert g.dtype == np.float32
    assert not isinstance(value, mg.Tensor)
    g += 1
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_an_answer_that_depends_on_a_parameter_outside_can_be_differentiated_by_it():
    w = mg.tensor(3.0, requires_grad=True)
    slope = mg.grad(lambda x: w * x * x)(2.0)
    assert slope.item() == 12.0
    assert mg.grad(slope, w).item() == 4.0
    assert w.grad is None


def test_under_no_grad_a_transform_still_differentiates():
    with mg.no_grad():
        assert mg.grad(lambda x: x * x)(3.0) == 6.0
        assert mg.jvp(lambda x: x * x, (3.0,), (1.0,))[1] == 6.0


def test_constant_functions_have_zero_derivatives():
    assert mg.grad(lambda x: 1.0)(2.0) == 0.0
    np.testing.assert_array_equal(mg.grad(lambda x, y: np.sum(y * 2.0))(np.ones(3), np.ones(2)), np.zeros(3))
    assert mg.jvp(lambda x: 5.0, (2.0,), (1.0,)) == (5.0, 0.0)
    np.testing.assert_array_equal(mg.jacobian(lambda x: np.ones(2))(np.ones(3)), np.zeros((2, 3)))


def test_elementwise_grad_is_the_derivative_at_each_element():
    x = RNG.standard_normal((2, 3))
    np.testing.assert_allclose(mg.elementwise_grad(np.tanh)(x), 1 - np.tanh(x) ** 2, rtol=1e-15)
    np.testing.assert_allclose(mg.elementwise_grad(mg.elementwise_grad(np.sin))(x), -np.sin(x), rtol=1e-15)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1000))
def test_linear_maps_are_their_own_forward_derivative(rows, columns, seed):
    rng = np.random.default_rng(seed)
    A, x, t = rng.standard_normal((rows, columns)), rng.standard_normal(columns), rng.standard_normal(columns)
    _, moved = mg.jvp(lambda x: A @ x, (x,), (t,))
    np.testing.assert_allclose(moved, A @ t, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(mg.jacobian(lambda x: A @ x)(x), A, rtol=1e-13, atol=1e-13)


def test_what_cannot_be_differentiated_is_refused_with_words():
    with pytest.raises(TypeError, match=r"must be real floating-point numbers, not int64: 3\. Write 3\.0 for 3"):
        mg.grad(lambda x: x * x)(3)
    with pytest.raises(ValueError, match=r"a single number, not an array of shape \(2,\).*jacobian"):
        mg.grad(lambda x: x * x)(np.ones(2))
    with pytest.raises(ValueError, match="argnums includes argument 2, but the function was called with 1"):
        mg.grad(lambda x: x, 2)(1.0)
    with pytest.raises(ValueError, match="one tangent for each array in primals: 1, not 2"):
        mg.jvp(np.tanh, (1.0,), (1.0, 2.0))
    with pytest.raises(ValueError, match=r"must have the shape of its argument, \(2,\), not \(3,\)"):
        mg.jvp(np.tanh, (np.ones(2),), (np.ones(3),))
    with pytest.raises(ValueError, match="mode must be 'reverse' or 'forward', not 'sideways'"):
        mg.jacobian(np.tanh, mode="sideways")
    with pytest.raises(TypeError, match="expected a function or a Tensor, not int"):
        mg.grad(5)(1.0)
    with pytest.raises(LeavesGraphError):
        mg.grad(lambda x: float(x) * x)(1.0)


def test_a_long_chain_goes_forward_without_recursion():
    def f(x):
        for _ in range(20_000):
            x = x * 1.0001
        return x

    assert mg.jvp(f, (1.0,), (1.0,))[1] == pytest.approx(1.0001**20_000, rel=1e-10)


# -- check_grads -------------------------------------------------------------------------------------------------


@programs
def test_check_grads_accepts_what_is_right(f, point):
    mg.check_grads(f, *point, order=2)


def test_check_grads_says_where_what_was_expected_and_what_came():
    from minigrad.ops.op import REAL, elementwise

    wrong = elementwise(np.sin, lambda x: 1.01 * np.cos(x), domain=REAL, doc="Wrong.", name="wrong")
    with pytest.raises(mg.GradientError, match=r"reverse mode, array 0 at \(0,\): expected .* \(finite difference\), got"):
        mg.check_grads(wrong, np.array([1.0, 2.0]))
    with pytest.raises(mg.GradientError, match="forward mode, along a random direction"):
        mg.check_grads(wrong, np.array([1.0, 2.0]), modes=["forward"])


def test_check_grads_finds_a_second_derivative_that_is_wrong():
    from minigrad.ops.op import REAL, elementwise

    def cut(x):
        return np.cos(x.detach().data if isinstance(x, mg.Tensor) else x)

    half = elementwise(np.sin, lambda x: cut(x), domain=REAL, doc="Its derivative has none.", name="half")
    mg.check_grads(half, np.array([1.0, 2.0]))
    with pytest.raises(mg.GradientError, match="in the gradient of the gradient"):
        mg.check_grads(half, np.array([1.0, 2.0]), order=2)


@pytest.mark.parametrize(
    ("f", "point"),
    [
        (mg.relu, [0.0, 1.0, -1.0]),
        (np.abs, [0.0, 2.0]),
        (np.max, [1.0, 1.0, 0.5]),
        (lambda x: np.maximum(x, x[::-1]), [1.0, 1.0]),
        (lambda x: np.abs(x) * x, [0.0, 1.0]),
    ],
)
def test_check_grads_recognises_a_kink(f, point):
    mg.check_grads(f, np.array(point))


def test_check_grads_refuses_what_it_cannot_check():
    with pytest.raises(ValueError, match="not finite"), np.errstate(all="ignore"):
        mg.check_grads(np.log, np.array([-1.0]))
    with pytest.raises(ValueError, match="modes"):
        mg.check_grads(np.tanh, 1.0, modes=["sideways"])
    with pytest.raises(TypeError, match="complex"):
        mg.check_grads(np.tanh, 1j)
    x = np.ones(2)
    mg.check_grads(np.tanh, x)
    np.testing.assert_array_equal(x, [1.0, 1.0])
