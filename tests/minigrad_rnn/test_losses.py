"""The cross-entropy of a sequence and the share of each step."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn


def by_hand(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log of the target's probability, and the probabilities."""
    e = np.exp(logits)
    p = e / e.sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0]), p


def data(T: int, batch: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(T, batch, classes)), rng.integers(classes, size=(T, batch))


sizes = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1))


@settings(deadline=None, max_examples=25)
@given(sizes)
def test_mean_is_its_formula(sizes: tuple[int, int, int, int]) -> None:
    logits, targets = data(*sizes)
    losses, _ = by_hand(logits, targets)
    loss = rnn.sequence_cross_entropy(logits, targets)
    np.testing.assert_allclose(loss.total.item(), losses.mean(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.steps, losses.mean(1) / len(losses), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(sizes)
def test_sum_is_its_formula(sizes: tuple[int, int, int, int]) -> None:
    logits, targets = data(*sizes)
    losses, _ = by_hand(logits, targets)
    loss = rnn.sequence_cross_entropy(logits, targets, reduction="sum")
    np.testing.assert_allclose(loss.total.item(), losses.mean(1).sum(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.steps, losses.mean(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@settings(deadline=None, max_examples=25)
@given(sizes=sizes)
def test_steps_add_up_to_the_total(reduction: str, sizes: tuple[int, int, int, int]) -> None:
    logits, targets = data(*sizes)
    loss = rnn.sequence_cross_entropy(logits, targets, reduction=reduction)
    assert loss.steps.shape == (sizes[0],)
    np.testing.assert_allclose(loss.steps.sum(), loss.total.item(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("reduction", "share"), [("mean", 1 / 15), ("sum", 1 / 3)])
def test_gradient_is_probabilities_minus_one_hot(reduction: str, share: float) -> None:
    logits, targets = data(5, 3, 4, seed=0)
    x = mg.tensor(logits, requires_grad=True)
    rnn.sequence_cross_entropy(x, targets, reduction=reduction).total.backward()
    _, p = by_hand(logits, targets)
    np.testing.assert_allclose(x.grad, (p - np.eye(4)[targets]) * share, rtol=1e-12, atol=1e-14)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss = rnn.sequence_cross_entropy(np.zeros((3, 2, 5)), np.ones((3, 2), int))
    assert loss.total.item() == pytest.approx(np.log(5), rel=1e-12)


def test_huge_logits_stay_finite() -> None:
    logits = np.array([[[1000.0, 0.0]], [[0.0, -1000.0]]])
    loss = rnn.sequence_cross_entropy(logits, np.array([[1], [0]]), reduction="sum")
    np.testing.assert_array_equal(loss.steps, [1000.0, 0.0])


def test_targets_may_be_a_list_or_a_tensor() -> None:
    logits, targets = data(4, 1, 3, seed=1)
    expected = rnn.sequence_cross_entropy(logits, targets).total.item()
    assert rnn.sequence_cross_entropy(logits, targets.tolist()).total.item() == expected
    assert rnn.sequence_cross_entropy(logits, mg.tensor(targets)).total.item() == expected


def test_steps_are_outside_the_graph() -> None:
    logits, targets = data(4, 2, 3, seed=2)
    loss = rnn.sequence_cross_entropy(mg.tensor(logits, requires_grad=True), targets)
    assert type(loss.steps) is np.ndarray
    assert loss.total.requires_grad


@pytest.mark.parametrize("wrong", ["none", "MEAN", None])
def test_unknown_reduction_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"reduction is 'mean' or 'sum', not {wrong!r}")):
        rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros((3, 1), int), reduction=wrong)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (3, 1, 4, 1), (0, 1, 4), (3, 0, 4), (3, 1, 0)])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    expected = re.escape(f"logits have shape {shape}; expected (T, batch, classes), none of them 0")
    with pytest.raises(ValueError, match=expected):
        rnn.sequence_cross_entropy(np.zeros(shape), np.zeros(shape[:-1], int))


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (3, 2), (3, 1, 4)])
def test_targets_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"targets have shape {shape};") + r".* must have \(3, 1\)"):
        rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros(shape, int))


def test_targets_that_are_not_class_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="targets are class numbers, integers; these are float64"):
        rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros((3, 1)))
    for outside in (4, -1):
        with pytest.raises(ValueError, match=f"targets are from 0 to 3, .* these go from {outside} to {outside}"):
            rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.full((3, 1), outside))
