"""A wrong argument is an error that says what was given and what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn


class Own(rnn.Model):
    def __init__(self) -> None:
        self.table = rnn.Linear(5, 5, rng=0)

    def predict_batch(self, batch: rnn.Batch, state: Any = None) -> Any:
        return self.table(batch.inputs), None


TASK = rnn.tasks.hello()
MODEL: Any = rnn.Sequence(rnn.LSTM(5, 5, rng=1), rnn.Linear(5, 5, rng=2))
DRAW: Any = rnn.draw
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "text to predict": (lambda: rnn.predict(MODEL, "hihell"), "task.alphabet"),
    "text to a model": (lambda: MODEL("hihell"), "the input is text; give one-hot vectors, alphabet.one_hot"),
    "letters to a layer": (lambda: MODEL.recurrent(np.array(list("hihell"))), "the input is text"),
    "name of a task": (lambda: rnn.gradient_flow(MODEL, "hello"), r"a task such as rnn.tasks.hello\(\), not 'hello'"),
    "flow of nothing": (lambda: rnn.gradient_flow(MODEL), "give inputs .* and targets .*, or a task"),
    "flow of nothing, own": (lambda: rnn.gradient_flow(Own()), "give inputs .* and targets .*, or a task"),
    "folded, nothing": (lambda: DRAW.folded(MODEL), "give inputs .* and targets .*, or a task"),
    "unrolled, nothing": (lambda: DRAW.unrolled(Own()), "give inputs .* and targets .*, or a task"),
    "compare a list": (lambda: DRAW.compare([MODEL], TASK.inputs), "give models by name, .*, not list"),
    "size as text": (lambda: rnn.LSTM(5, "5"), "hidden_size is '5'; expected a whole number"),  # type: ignore[arg-type]
    "features as text": (lambda: rnn.Linear(5, "5"), "out_features is '5'; expected a whole number"),  # type: ignore[arg-type]
    "layers as text": (lambda: rnn.GRU(5, 5, "2"), "num_layers is '2'; expected a whole number"),  # type: ignore[arg-type]
    "seed as text": (lambda: rnn.LSTM(5, 5, rng="a"), "rng must be a seed .*, not 'a'"),  # type: ignore[arg-type]
    "model saved": (lambda: rnn.save_weights("x.npz", MODEL), r"model.state_dict\(\)\), not str and Sequence"),
    "saved the wrong way round": (lambda: rnn.save_weights(MODEL, "x"), "first the path, .*, not Sequence and str"),  # type: ignore[arg-type]
    "model as optimizer": (lambda: rnn.Trainer(MODEL, np.ones(3)), "an optimizer such as .*, not ndarray"),  # type: ignore[arg-type]
    "optimizer as model": (lambda: rnn.Trainer(rnn.Adam(MODEL.parameters()), MODEL), "needs a model, .*, not Adam"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("which", WRONG)
def test_the_error_says_what_was_given_and_what_to_do(which: str) -> None:
    call, message = WRONG[which]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("decorate", [lambda f: f, mg.compile])
def test_targets_that_are_no_classes_are_named(decorate: Any) -> None:
    loss = decorate(mg.value_and_grad(mg.cross_entropy))
    with pytest.raises(ValueError, match=r"from 0 to 4, .*; these go from 3 to 7"):
        loss(np.zeros((6, 5)), np.array([3, 7, 4, 3, -100, 5]))
