"""`minigrad.check_grads` of models: by their inputs, and by their weights."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

KINDS = rnn.config.LAYERS


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_float32_weights_passes_by_its_inputs(kind: str) -> None:
    mg.check_grads(rnn.Sequence(KINDS[kind](5, 3, rng=0), rnn.Linear(3, 5, rng=1)), rnn.tasks.hello().inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_of_a_model_pass_and_stay(kind: str) -> None:
    task = rnn.tasks.hello()
    model = rnn.Sequence(KINDS[kind](5, 2, rng=0), rnn.Linear(2, 5, rng=1))
    before = [(p, p._data, p._node) for p in model.parameters()]

    def loss() -> Any:
        return rnn.sequence_cross_entropy(model(task.inputs), task.targets).total

    mg.check_grads(loss, parameters=model.parameters())
    mg.check_grads(loss, parameters=[model.readout.bias, model.recurrent.bias_ih_l0], order=2)
    assert all(p._data is data and p._node is node for p, data, node in before)


def test_a_wrong_layer_is_found_and_dropout_is_named() -> None:
    @mg.custom_op(lambda g, x: 0.9 * g * (1 - np.tanh(x) ** 2))
    def wrong(x: Any) -> Any:
        return np.tanh(x)

    first = rnn.Linear(3, 2, rng=0)
    model = rnn.Sequential(first, wrong, rnn.Linear(2, 1, rng=1))
    with pytest.raises(mg.GradientError, match=r"parameter weight at \(0, 0\)"):
        mg.check_grads(lambda: model(np.ones((4, 3))).sum(), parameters=model.parameters())
    drop = rnn.Sequential(first, rnn.Dropout(0.5, rng=0))
    with pytest.raises(ValueError, match="as dropout does in training"):
        mg.check_grads(lambda: drop(np.ones((4, 3))).sum(), parameters=drop.parameters())
    mg.check_grads(lambda: drop.eval()(np.ones((4, 3))).sum(), parameters=drop.parameters())
    assert first.weight.dtype == np.float32
