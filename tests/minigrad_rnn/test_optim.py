"""Optimizers by their formulas, and what they leave alone."""

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn.optim import AdamState, adam, sgd

OPTIMIZERS = [rnn.SGD, rnn.Adam]


def set_gradients(parameters: list[rnn.Parameter], rng: np.random.Generator) -> list[np.ndarray]:
    gradients = [rng.normal(size=p.shape).astype(p.dtype) for p in parameters]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g
    return gradients


# -- formulas ----------------------------------------------------------------------------------------------------------


def test_sgd_goes_down_the_gradient() -> None:
    p, g = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(sgd(p, g, lr=0.3), p - 0.3 * g)


def test_adam_function_is_its_formula_over_many_steps() -> None:
    rng = np.random.default_rng(1)
    p = p_hand = rng.normal(size=(3, 4))
    state = AdamState(np.zeros((3, 4)), np.zeros((3, 4)), 0)
    gradients = rng.normal(size=(12, 3, 4))
    for t in range(1, 13):
        p, state = adam(p, gradients[t - 1], state, lr=0.1, betas=(0.8, 0.95), eps=1e-3)
        # The running means written out: each gradient with the weight it still has.
        m = sum(0.2 * 0.8 ** (t - s) * gradients[s - 1] for s in range(1, t + 1))
        v = sum(0.05 * 0.95 ** (t - s) * gradients[s - 1] ** 2 for s in range(1, t + 1))
        p_hand = p_hand - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        np.testing.assert_allclose(p, p_hand, rtol=1e-12)
        np.testing.assert_allclose(state.m, m, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(state.v, v, rtol=1e-10, atol=1e-14)
        assert state.t == t


def test_first_step_of_adam_has_the_length_of_the_learning_rate() -> None:
    g = np.array([-1e3, -1e-3, 1e-3, 1e3])
    p, _ = adam(np.zeros(4), g, AdamState(np.zeros(4), np.zeros(4), 0), lr=0.5, betas=(0.9, 0.999), eps=0.0)
    np.testing.assert_allclose(p, [0.5, 0.5, -0.5, -0.5], rtol=1e-12)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizer_is_its_function_for_each_parameter(kind: Any) -> None:
    rng = np.random.default_rng(2)
    parameters = rnn.Linear(3, 2, dtype=float, rng=rng).parameters()
    optimizer = kind(parameters, lr=0.2)
    expected = [p.data.copy() for p in parameters]
    states = [AdamState(np.zeros(p.shape), np.zeros(p.shape), 0) for p in parameters]
    for _ in range(5):
        for i, g in enumerate(set_gradients(parameters, rng)):
            if kind is rnn.SGD:
                expected[i] = sgd(expected[i], g, lr=0.2)
            else:
                expected[i], states[i] = adam(expected[i], g, states[i], lr=0.2, betas=(0.9, 0.999), eps=1e-8)
        optimizer.step()
        for p, value in zip(parameters, expected, strict=True):
            np.testing.assert_array_equal(p.data, value)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_find_the_bottom_of_a_bowl(kind: Any) -> None:
    w = rnn.Parameter([3.0, -2.0])
    optimizer = kind([w], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        ((w - np.array([1.0, 2.0])) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, [1.0, 2.0], atol=1e-3)


def test_settings_of_adam_are_used() -> None:
    w = rnn.Parameter([1.0])
    optimizer = rnn.Adam([w], lr=0.5, betas=(0.5, 0.25), eps=2.0)
    w.grad = np.array([4.0])
    optimizer.step()
    np.testing.assert_allclose(w.data, [1.0 - 0.5 * 4.0 / (4.0 + 2.0)], rtol=1e-12)


def test_a_learning_rate_changed_between_steps_is_used() -> None:
    w = rnn.Parameter([1.0])
    optimizer = rnn.SGD([w], lr=0.5)
    w.grad = np.array([1.0])
    optimizer.lr = 0.25
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0.75])


# -- what is left alone ------------------------------------------------------------------------------------------------


def test_functions_write_to_nothing_they_are_given() -> None:
    rng = np.random.default_rng(3)
    p, g, m = rng.normal(size=(3, 4))
    v = rng.random(4)
    for array in (p, g, m, v):
        array.flags.writeable = False
    new = sgd(p, g, lr=0.1)
    moved, state = adam(p, g, AdamState(m, v, 7), lr=0.1, betas=(0.9, 0.999), eps=1e-8)
    for made in (new, moved, state.m, state.v):
        assert not any(np.shares_memory(made, array) for array in (p, g, m, v))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_graphs_recorded_before_a_step_keep_their_values(kind: Any) -> None:
    w = rnn.Parameter([1.0, 2.0, 3.0])
    optimizer = kind([w], lr=0.5)
    before = w.data
    loss = (w * w).sum()
    w.grad = np.ones(3)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    np.testing.assert_array_equal(w.grad, [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(before, [1.0, 2.0, 3.0])
    assert not np.array_equal(w.data, before)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_leaves_gradients_as_they_are(kind: Any) -> None:
    w = rnn.Parameter([1.0, 2.0])
    w.grad = np.array([3.0, 4.0])
    kind([w], lr=0.5).step()
    np.testing.assert_array_equal(w.grad, [3.0, 4.0])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_parameter_without_gradient_is_left_alone(kind: Any) -> None:
    moved, still = rnn.Parameter([1.0]), rnn.Parameter([1.0])
    optimizer = kind([moved, still], lr=0.5)
    moved.grad = np.array([1.0])
    optimizer.step()
    assert moved.data[0] != 1.0
    assert still.data[0] == 1.0
    if kind is rnn.Adam:
        assert [state.t for state in optimizer.states] == [1, 0]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_frozen_parameter_is_left_alone(kind: Any) -> None:
    layer = rnn.Linear(3, 2, rng=0)
    optimizer = kind(layer.parameters(), lr=0.5)
    layer.bias.requires_grad = False
    weight, bias = layer.weight.data, layer.bias.data
    optimizer.zero_grad()
    layer(np.ones((1, 3))).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(layer.bias.data, bias)
    assert not np.array_equal(layer.weight.data, weight)


def test_zero_grad_forgets_the_gradients() -> None:
    parameters = rnn.Linear(3, 2).parameters()
    set_gradients(parameters, np.random.default_rng(4))
    rnn.SGD(parameters, lr=0.1).zero_grad()
    assert [p.grad for p in parameters] == [None, None]


# -- dtypes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_parameter_of_no_axes_can_be_learned(kind: Any) -> None:
    w = rnn.Parameter(1.0)
    optimizer = kind([w], lr=0.25)
    for _ in range(2):
        optimizer.zero_grad()
        (w * w).backward()
        optimizer.step()
    assert w.data.shape == ()
    assert w.item() < 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (rnn.SGD, {"lr": np.float64(0.1)}),
        (rnn.Adam, {"lr": np.float64(0.1)}),
        (rnn.Adam, {"betas": tuple(np.array([0.9, 0.999]))}),
        (rnn.Adam, {"eps": np.float64(1e-8)}),
    ],
)
def test_settings_that_are_numpy_numbers_keep_the_dtype(kind: Any, options: dict[str, Any], dtype: Any) -> None:
    w = rnn.Parameter([1.0], dtype=dtype)
    optimizer = kind([w], **{"lr": 0.1, **options})
    w.grad = np.ones(1, dtype)
    optimizer.step()
    assert w.dtype == dtype


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_learning_rate_schedule_in_numpy_keeps_the_dtype(kind: Any) -> None:
    w = rnn.Parameter([1.0], dtype=np.float32)
    optimizer = kind([w], lr=0.1)
    w.grad = np.ones(1, np.float32)
    optimizer.lr = 0.1 * np.cos(0.5)
    optimizer.step()
    assert w.dtype == np.float32


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_no_parameters_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"an optimizer needs parameters: give it model\.parameters\(\)"):
        kind([], lr=0.1)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_not_a_parameter_is_refused(kind: Any) -> None:
    for wrong in (mg.tensor([1.0], requires_grad=True), np.ones(3), "weight"):
        with pytest.raises(TypeError, match=rf"takes the parameters of a model, .*, not {type(wrong).__name__}"):
            kind([wrong], lr=0.1)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf")])
def test_a_learning_rate_that_makes_no_sense_is_refused(kind: Any, lr: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"lr is {lr}; it must be a number that is not negative")):
        kind(rnn.Linear(2, 1).parameters(), lr=lr)


@pytest.mark.parametrize("betas", [(1.0, 0.999), (0.9, 1.0), (-0.1, 0.999), (0.9, float("nan")), (0.9,)])
def test_betas_outside_zero_to_one_are_refused(betas: tuple[float, float]) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"betas are {betas}; they must be two numbers, each at least 0 and less than 1")
    ):
        rnn.Adam(rnn.Linear(2, 1).parameters(), betas=betas)


def test_an_optimizer_without_an_update_says_so() -> None:
    w = rnn.Parameter([1.0])
    w.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match=r"Optimizer does not define update\(\)"):
        rnn.Optimizer([w], lr=0.1).step()


def test_a_parameter_given_twice_is_refused() -> None:
    w = rnn.Parameter([1.0])
    with pytest.raises(ValueError, match="given twice"):
        rnn.SGD([w, w], lr=0.1)


def test_an_update_that_writes_where_a_graph_may_look_is_stopped() -> None:
    class Overwriting(rnn.Optimizer):
        def update(self, p, g, state):  # type: ignore[no-untyped-def]
            p -= self.lr * g
            return p, state

    w = rnn.Parameter([1.0, 2.0])
    (w * w).sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        Overwriting([w], lr=0.1).step()
