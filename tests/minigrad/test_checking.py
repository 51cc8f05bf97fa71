"""`check_grads`: right derivatives pass, wrong ones fail, and it never checks nothing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import GradientError, check_grads

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.5, 1.5, 3)


# -- right and wrong rules -------------------------------------------------------------------------------------


def op(forward: Any, rule: Any) -> Any:
    return own(forward, lambda g, x: g * rule(x))


def own(forward: Any, vjp: Any) -> Any:
    def function(x: Any) -> Any:
        return forward(x)

    return mg.custom_op(vjp)(function)


RULES: dict[str, tuple[Any, Any]] = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "large": (lambda x: 1e6 * np.sin(x), lambda x: 1e6 * np.cos(x)),
    "small": (lambda x: 1e-3 * np.sin(x), lambda x: 1e-3 * np.cos(x)),
    "steep": (lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x)),
    "offset": (lambda x: 1e5 + np.sin(x), np.cos),
    "inverse": (lambda x: x**-4.0, lambda x: -4 * x**-5.0),
}
WRONG: dict[str, Any] = {
    "off by 1e-3": lambda d: d * 1.001,
    "off by 1 %": lambda d: d * 1.01,
    "sign": lambda d: -d,
    "twice": lambda d: 2 * d,
    "none": lambda d: 0 * d,
    "shifted": lambda d: d + 0.01 * np.max(np.abs(d)),
    "one element": lambda d: d * np.array([1, 1, 1.01]),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_right_rules_pass(name: str, mode: str) -> None:
    check_grads(op(*RULES[name]), X, modes=[mode])


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", RULES)
def test_wrong_rules_fail_in_both_modes(name: str, wrong: str) -> None:
    forward, rule = RULES[name]
    spoilt = op(forward, lambda x: WRONG[wrong](rule(x)))
    for mode in ("reverse", "forward"):
        with pytest.raises(GradientError, match=f"{mode} mode.*expected .*finite difference.*got"):
            check_grads(spoilt, X, modes=[mode])


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("f", [np.sort, lambda x: np.max(x), lambda x: mg.median(x), lambda x: np.abs(x[0] - x[1])])
def test_right_derivatives_near_a_kink_pass(f: Any, gap: float) -> None:
    check_grads(f, np.array([0.3, 0.3 + gap, 2.0]))


@pytest.mark.parametrize("gap", [1e-3, 1e-5])
def test_wrong_derivatives_near_a_kink_fail(gap: float) -> None:
    backwards = own(np.sort, lambda g, x: g[::-1])
    with pytest.raises(GradientError):
        check_grads(backwards, np.array([0.3, 0.3 + gap, 2.0]))


def test_many_random_points_of_sort() -> None:
    for seed in range(40):
        check_grads(np.sort, np.random.default_rng(seed).standard_normal(7))


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(RULES)))
def test_a_rule_that_is_a_little_wrong_somewhere_fails(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    forward, rule = RULES[name]
    x = rng.uniform(0.6, 1.4, 3)
    errors = np.zeros(3)
    errors[rng.integers(3)] = rng.choice([-1, 1]) * 10 ** rng.uniform(-2, 1)
    with pytest.raises(GradientError):
        check_grads(op(forward, lambda x: rule(x) + errors * np.abs(rule(x)).max()), x, modes=["reverse"])


# -- nothing to check ------------------------------------------------------------------------------------------


def test_nothing_to_check_is_an_error() -> None:
    w = mg.tensor([1.0], requires_grad=True)
    for arguments in ((), ([],), ({}, None)):
        with pytest.raises(ValueError, match=r"nothing to check.*check_grads\(f, x, y\).*parameters=model\.parameters\(\)"):
            check_grads(lambda *x: (w * w).sum(), *arguments)
    with pytest.raises(ValueError, match="nothing to check: f returned no array"):
        check_grads(lambda x: None, X)
    with pytest.raises(ValueError, match="modes must be from"):
        check_grads(np.sin, X, modes=[])
    with pytest.raises(TypeError, match="takes a function and its arguments, not a Tensor"):
        check_grads(w)  # type: ignore[arg-type]


def test_a_function_that_is_another_each_time_is_an_error() -> None:
    rng = np.random.default_rng(0)
    for mode in ("reverse", "forward"):
        with pytest.raises(ValueError, match=r"another value each time.*random numbers"):
            check_grads(lambda x: x * rng.random(3), X, modes=[mode])
    with pytest.raises(ValueError, match="not finite"), np.errstate(all="ignore"):
        check_grads(np.log, np.array([-1.0]))


def test_f_sees_tensors_each_time() -> None:
    kinds = set()

    def f(x: Any) -> Any:
        kinds.add(type(x))
        return x * (2.0 if isinstance(x, mg.Tensor) else 3.0)

    check_grads(f, X, order=2)
    assert kinds == {mg.Tensor}


# -- weights that f reads --------------------------------------------------------------------------------------


def model(dtype: str = "float32") -> tuple[mg.Tensor, mg.Tensor]:
    W = mg.tensor(RANDOM.standard_normal((2, 3)), requires_grad=True, dtype=dtype, name="W")
    return W, mg.tensor(RANDOM.standard_normal(2), requires_grad=True, dtype=dtype, name="b")


def test_weights_are_checked_in_float64_and_put_back() -> None:
    W, b = model()
    W.grad = np.ones((2, 3))
    seen = set()

    def loss() -> Any:
        seen.add((W.dtype, b.dtype))
        return np.tanh(W @ X + b).sum()

    before = [(w._data, w._node, w._leaf) for w in (W, b)]
    check_grads(loss, parameters=[W, b], order=2)
    after = [(w._data, w._node, w._leaf) for w in (W, b)]
    assert all(one is other for a, z in zip(before, after, strict=True) for one, other in zip(a, z, strict=True))
    assert seen == {(np.dtype(np.float64), np.dtype(np.float64))}
    assert W.grad is not None
    assert W.grad.tolist() == np.ones((2, 3)).tolist()
    assert (W.name, W.dtype) == ("W", np.float32)


def test_they_are_put_back_after_an_error() -> None:
    W, b = model()
    before = [(w._data, w._node) for w in (W, b)]
    cut = own(lambda x: x * 2, lambda g, x: g)
    with pytest.raises(GradientError, match=r"reverse mode, parameter W at \(0, 0\): expected"):
        check_grads(lambda: cut(W).sum() + b.sum(), parameters=[b, W])
    with pytest.raises(ZeroDivisionError):
        check_grads(lambda: W.sum() / (1 // 0), parameters=[W])
    assert all(w._data is data and w._node is node for w, (data, node) in zip((W, b), before, strict=True))


def test_weights_and_arguments_together() -> None:
    W, b = model("float16")
    check_grads(lambda x: np.tanh(W @ x + b), X, parameters=(p for p in (W, b, W)))
    detached = own(np.sin, lambda g, x: 0 * g)
    with pytest.raises(GradientError, match="parameter b"):
        check_grads(lambda x: W @ x + detached(b), X, parameters=[W, b])
    with pytest.raises(GradientError, match="array 0"):
        check_grads(lambda x: W @ detached(x) + b, X, parameters=[W, b])


def test_a_wrong_second_derivative_of_weights_fails() -> None:
    _, b = model()
    square = own(lambda x: x * x, lambda g, x: g * 2 * (x.detach() if isinstance(x, mg.Tensor) else x))
    check_grads(lambda: square(b).sum(), parameters=[b])
    with pytest.raises(GradientError, match="in the gradient of the gradient"):
        check_grads(lambda: square(b).sum(), parameters=[b], order=2)


def test_frozen_weights_and_recomputed_ones_are_checked() -> None:
    W, b = model()
    b.requires_grad = False
    check_grads(lambda: mg.checkpoint(lambda x: np.tanh(W @ x + b))(mg.tensor(X)).sum(), parameters=[W, b], order=2)
    assert not b.requires_grad


def test_what_are_no_weights_is_named() -> None:
    W, _ = model()

    class Model:
        def parameters(self) -> list[mg.Tensor]:
            return [W]

    with pytest.raises(TypeError, match=r"write parameters=model\.parameters\(\)"):
        check_grads(lambda: W.sum(), parameters=Model())  # type: ignore[arg-type]
    for wrong in (W * 2, mg.tensor([1]), 3.0):
        with pytest.raises(TypeError, match="leaves of floating-point numbers"):
            check_grads(lambda: W.sum(), parameters=[W, wrong])  # type: ignore[list-item]
