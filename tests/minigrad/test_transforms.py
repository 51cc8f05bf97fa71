"""`minigrad.grad`, and how it goes together with threads and with itself."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import GraphFreedError


def leaf(array: Any, **options: Any) -> minigrad.Tensor:
    return minigrad.tensor(array, requires_grad=True, **options)


def test_one_tensor_gives_a_tensor_and_a_sequence_a_list() -> None:
    x, y = leaf(2.0), leaf(3.0)
    assert minigrad.grad(x * y, x).item() == 3
    for xs in ([x, y], (x, y)):
        found = minigrad.grad(x * y, xs)
        assert type(found) is list
        assert [g.item() for g in found] == [3, 2]
    assert minigrad.grad(x * y, []) == []


def test_no_grad_attribute_is_touched() -> None:
    x, y = leaf(2.0), leaf(3.0)
    x.grad = 7.0
    minigrad.grad(x * y, [x, y], create_graph=True)
    assert (x.grad, y.grad) == (7, None)


def test_zeros_for_what_the_result_does_not_depend_on() -> None:
    x, other = leaf([1.0, 2.0]), leaf(np.ones((2, 3)), dtype="float32")
    gx, g = minigrad.grad(x.sum(), [x, other])
    np.testing.assert_array_equal(gx.data, [1, 1])
    assert (g.shape, g.dtype, g.data.any()) == ((2, 3), np.float32, False)


def test_the_same_tensor_twice() -> None:
    x = leaf(3.0)
    first, second = minigrad.grad(x * x, [x, x])
    assert first.item() == second.item() == 6
    assert not np.shares_memory(first.data, second.data)


def test_by_itself() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    np.testing.assert_array_equal(minigrad.grad(y, y, seed=[5.0, 6.0]).data, [5, 6])
    np.testing.assert_array_equal(minigrad.grad(x, x, seed=[5.0, 6.0]).data, [5, 6])


def test_by_intermediate_results() -> None:
    x = leaf([1.0, 2.0])
    h = x * x
    y = (h * h).sum()
    by_h, by_x = minigrad.grad(y, [h, x])
    np.testing.assert_array_equal(by_h.data, [2, 8])
    np.testing.assert_array_equal(by_x.data, [4, 32])


def test_by_an_intermediate_result_whose_own_graph_is_freed() -> None:
    x = leaf([1.0, 2.0])
    h = np.exp(x)
    h.sum().backward()
    np.testing.assert_array_equal(minigrad.grad((h * 2).sum(), h).data, [2, 2])


def test_what_lies_behind_the_wanted_results_is_not_freed() -> None:
    x = leaf([1.0, 2.0])
    h = x * x
    minigrad.grad((h * 2).sum(), h)
    np.testing.assert_array_equal(minigrad.grad((h * 3).sum(), x).data, [6, 12])


def test_other_branches_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    exp = minigrad.ops.TABLE["exp"]
    rule = exp.pullbacks[0]
    monkeypatch.setattr(exp, "pullbacks", (lambda *args: called.append(1) or rule(*args),))
    x, y = leaf(1.0), leaf(2.0)
    z = np.exp(x) * y
    minigrad.grad(z, y, retain_graph=True)
    assert called == []
    minigrad.grad(z, x)
    assert called == [1]


def test_a_seed_makes_a_vector_jacobian_product() -> None:
    x = leaf([1.0, 2.0])
    A = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    for seed in ([1.0, 10.0, 100.0], np.array([1, 10, 100]), minigrad.tensor([1.0, 10.0, 100.0])):
        np.testing.assert_array_equal(minigrad.grad(A @ x, x, seed=seed).data, [531, 642])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_any_order(order: int) -> None:
    x = leaf(0.5)
    y = np.exp(2 * x) + x**3
    for _ in range(order):
        y = minigrad.grad(y, x, create_graph=True)
    power = [3 * 0.5**2, 6 * 0.5, 6, 0][order - 1]
    assert y.item() == pytest.approx(2**order * np.e + power, rel=1e-14)


def test_a_gradient_in_a_loss() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    g = minigrad.grad((w * x * x).sum(), x, create_graph=True)  # 2 w x
    (g * g).sum().backward()  # 4 w² x²
    np.testing.assert_array_equal(w.grad, 8 * np.array([3, 16]))
    np.testing.assert_array_equal(x.grad, 8 * np.array([9, 32]))


def test_a_hessian_times_a_vector() -> None:
    A = np.random.default_rng(0).normal(size=(4, 4))
    x, v = leaf(np.ones(4)), np.arange(4.0)
    g = minigrad.grad(x @ A @ x, x, create_graph=True)
    np.testing.assert_allclose(minigrad.grad(g @ v, x).data, (A + A.T) @ v, rtol=1e-14)


def test_a_seed_may_require_grad() -> None:
    """The derivative by the seed of a vector-Jacobian product is a Jacobian-vector product."""
    x, seed = leaf([1.0, 2.0]), leaf([0.0, 0.0])
    vjp = minigrad.grad(x**3, x, seed=seed, create_graph=True)
    np.testing.assert_array_equal(minigrad.grad(vjp, seed, seed=[1.0, 10.0]).data, [3, 120])


def test_the_graph_is_freed_unless_it_is_retained() -> None:
    x = leaf(2.0)
    y = np.exp(x)
    minigrad.grad(y, x, retain_graph=True)
    minigrad.grad(y, x, create_graph=True)
    minigrad.grad(y, x)
    with pytest.raises(GraphFreedError):
        minigrad.grad(y, x)


def test_recorded_gradients_of_a_freed_graph() -> None:
    x = leaf(2.0)
    y = np.exp(x)
    slope = minigrad.grad(y, x, create_graph=True, retain_graph=False)
    assert slope.item() == pytest.approx(np.exp(2), rel=1e-15)
    with pytest.raises(GraphFreedError):
        minigrad.grad(y, x)


@pytest.mark.parametrize(
    ("xs", "text"),
    [
        (minigrad.tensor(1.0), r"x does not require grad; make it with minigrad.tensor\(..., requires_grad=True\)"),
        ([leaf(1.0), minigrad.tensor(1.0)], r"xs\[1\] does not require grad"),
        ([np.ones(2)], r"xs\[0\] is of type ndarray"),
    ],
    ids=["constant", "constant in a list", "array"],
)
def test_by_what_it_cannot_be(xs: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        minigrad.grad(leaf(1.0) * 2, xs)


def test_of_what_it_cannot_be() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="a gradient starts from one number"):
        minigrad.grad(x * x, x)
    with pytest.raises(ValueError, match=r"the seed has shape \(1,\), but this tensor has \(2,\)"):
        minigrad.grad(x * x, x, seed=[1.0])
    with pytest.raises(ValueError, match="does not depend on any tensor"):
        minigrad.grad(minigrad.tensor(1.0), x)
    with pytest.raises(ValueError, match=r"To differentiate a gradient, .*create_graph=True"):
        minigrad.grad(minigrad.grad((x * x).sum(), x).sum(), x)


def test_eight_threads_on_the_same_parameters() -> None:
    random = np.random.default_rng(0)
    W = leaf(random.normal(size=(5, 5)))
    b = leaf(random.normal(size=5))
    inputs = random.normal(size=(8, 40, 5))

    def work(x: np.ndarray) -> list[np.ndarray]:
        h = minigrad.tensor(np.zeros(5))
        for row in x:
            h = np.tanh(minigrad.linear(h, W, b) + row)
        return [g.data for g in minigrad.grad((h * h).sum(), [W, b])]

    expected = [work(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for found, one in zip(pool.map(work, inputs), expected, strict=True):
                np.testing.assert_array_equal(found[0], one[0])
                np.testing.assert_array_equal(found[1], one[1])
    assert W.grad is None


def test_by_an_independent_tensor_leaves_the_graph_alone():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    z = minigrad.tensor([3.0], requires_grad=True)
    y = np.exp(x).sum()
    assert minigrad.grad(y, z).tolist() == [0.0]
    np.testing.assert_allclose(minigrad.grad(y, x).data, np.exp([1.0, 2.0]))
    assert minigrad.grad(y, z).tolist() == [0.0]  # also when the graph is freed


# -- what is given in the wrong place --------------------------------------------------------------------------


def square(x: Any) -> Any:
    return (x * x).sum()


@pytest.mark.parametrize("transform", ["grad", "value_and_grad", "jacobian", "hessian", "elementwise_grad"])
@pytest.mark.parametrize("x", [np.ones(2), 3.0, minigrad.tensor([1.0]), "x", None, True, (0, 1.5)], ids=str)
def test_arguments_in_the_place_of_argnums_are_refused_at_once(transform: str, x: Any) -> None:
    function: Any = getattr(minigrad, transform)
    with pytest.raises(TypeError, match=rf"{transform}\(f, argnums\): .*{transform}\(f\)\(x\)"):
        function(square, x)


@pytest.mark.parametrize("transform", ["grad", "value_and_grad", "jacobian", "hessian", "elementwise_grad"])
def test_what_is_no_function_is_refused_at_once(transform: str) -> None:
    function: Any = getattr(minigrad, transform)
    with pytest.raises(TypeError, match=r"expected a function.*not float"):
        function(3.0)


def test_the_gradient_of_a_tensor_needs_tensors() -> None:
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"grad\(loss, w\), or grad\(loss, \[w, b\]\)"):
        minigrad.grad(square(w))
    with pytest.raises(TypeError, match=r"grad\(loss, w\)"):
        minigrad.grad(square(w), None)  # type: ignore[call-overload]


def test_argnums_of_grad() -> None:
    def f(x: Any, y: Any) -> Any:
        return (x * y * y).sum()

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert minigrad.grad(f, argnums=0)(x, y).tolist() == minigrad.grad(f)(x, y).tolist() == [9.0, 16.0]
    assert minigrad.grad(f, argnums=1)(x, y).tolist() == minigrad.grad(f, 1)(x, y).tolist() == [6.0, 16.0]
    assert [g.tolist() for g in minigrad.grad(f, argnums=(1, 0))(x, y)] == [[6.0, 16.0], [9.0, 16.0]]


def test_options_of_grad_that_do_not_apply_are_refused() -> None:
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    function: Any = minigrad.grad
    with pytest.raises(TypeError, match=r"argnums=1 and also 2; pass grad\(f, argnums=1\)"):
        function(square, 2, argnums=1)
    with pytest.raises(TypeError, match=r"argnums is for functions.*grad\(loss, \[w, b\]\)"):
        function(square(w), w, argnums=0)
    for options in ({"seed": 2.0}, {"create_graph": True}, {"retain_graph": False}):
        with pytest.raises(TypeError, match=r"grad of a function has no seed=.*grad\(grad\(f\)\)"):
            function(square, **options)


def test_primals_and_tangents_are_tuples() -> None:
    function: Any
    for function, name in ((minigrad.jvp, "jvp"), (minigrad.hvp, "hvp")):
        with pytest.raises(TypeError, match=rf"{name} needs the primals as a tuple, .*\(x,\), not a ndarray"):
            function(square, np.ones(2), np.ones(2))
        with pytest.raises(TypeError, match="needs the tangents as a tuple"):
            function(square, (np.ones(2),), np.ones(2))


@pytest.mark.parametrize("value", [None, "text", 3, np.arange(2).sum(), True, [1.0, 2.0], {"a": 1.0}], ids=str)
def test_what_has_no_derivative_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"the function returned .* one array of floating-point numbers"):
        minigrad.grad(lambda x: value)(1.0)
    with pytest.raises(TypeError, match=r"jacobian needs a function of one array|the function returned"):
        minigrad.jacobian(lambda x: value)(1.0)


FLAT = {
    "ceil": np.ceil, "sign": np.sign, "floor": np.floor, "//": lambda x: x // 2.0, "r//": lambda x: 2.0 // x, "rint": np.rint,
    "trunc": np.trunc, "round": lambda x: x.round(1), "constant": lambda x: np.full(3, 2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAT)
def test_functions_that_are_flat_have_the_gradient_zero(name: str) -> None:
    f, x = FLAT[name], np.array([0.5, 1.5, 2.5])
    assert minigrad.grad(lambda x: f(x).sum())(x).tolist() == [0, 0, 0]
    value, gradient = minigrad.value_and_grad(lambda x: f(x).sum())(x)
    assert (float(value), gradient.tolist()) == (float(f(x).sum()), [0, 0, 0])
    for mode in ("reverse", "forward"):
        np.testing.assert_array_equal(minigrad.jacobian(f, mode=mode)(x), np.zeros((3, 3)))
    np.testing.assert_array_equal(minigrad.hessian(lambda x: f(x).sum())(x), np.zeros((3, 3)))
    assert minigrad.elementwise_grad(f)(x).tolist() == [0, 0, 0]
    assert minigrad.jvp(f, (x,), (x,))[1].tolist() == [0, 0, 0]
    assert minigrad.vjp(f, x)[1](x)[0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(minigrad.grad(lambda x: (f(x) * x).sum())(x), f(x))


def test_counts_have_no_derivative() -> None:
    with pytest.raises(TypeError, match="the function returned int64"):
        minigrad.grad(lambda x: (x > 0).sum())(np.ones(2))
    with pytest.raises(TypeError, match="the function returned bool"):
        minigrad.jacobian(lambda x: x > 0)(np.ones(2))
