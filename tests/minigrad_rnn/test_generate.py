"""What a model says: against loops written by hand."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

HIELO = rnn.Alphabet("hielo")


def lab(kind: Any = rnn.RNN, seed: int = 0, gain: float = 8.0, **options: Any) -> rnn.Sequence:
    """An untrained model with weights large enough to say different things."""
    rng = np.random.default_rng(seed)
    model = rnn.Sequence(kind(5, 5, rng=rng, **options), rnn.Linear(5, 5, rng=rng, **options))
    for p in model.parameters():
        p.data = p.data * gain
    return model


def by_hand(model: rnn.Sequence, prompt: str, length: int) -> str:
    state, output, said, t = None, None, "", 0
    for symbol in prompt:
        x = mg.tensor(np.eye(5)[["hielo".index(symbol)]], dtype=model.readout.weight.dtype)
        output, state = model.step(x, state, t)
        t += 1
    while len(said) < length:
        said += "hielo"[int(output.data[0].argmax())]
        x = mg.tensor(np.eye(5)[["hielo".index(said[-1])]], dtype=model.readout.weight.dtype)
        output, state = model.step(x, state, t)
        t += 1
    return said


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
@pytest.mark.parametrize("prompt", ["h", "hi", "ollehihi"])
@pytest.mark.parametrize("length", [0, 1, 12])
def test_greedy_is_the_loop_one_would_write(kind: Any, prompt: str, length: int) -> None:
    for seed in range(5):
        model = lab(kind, seed)
        said = rnn.greedy(model, HIELO, prompt, length)
        assert said == by_hand(model, prompt, length)
        assert len(said) == length


def test_the_models_compared_say_different_things() -> None:
    said = {rnn.greedy(lab(seed=seed), HIELO, "h", 12) for seed in range(5)}
    assert len(said) >= 4
    assert max(len(set(text)) for text in said) >= 3


def test_what_comes_before_the_last_symbol_of_a_prompt_matters() -> None:
    assert any(rnn.greedy(lab(seed=s), HIELO, "hl", 3) != rnn.greedy(lab(seed=s), HIELO, "ol", 3) for s in range(10))


def test_greedy_works_in_the_dtype_of_the_model() -> None:
    model = lab(rnn.LSTM, dtype=float)
    assert rnn.greedy(model, HIELO, "hi", 8) == by_hand(model, "hi", 8)


def test_predict_is_the_likeliest_symbol_after_each_true_one() -> None:
    task = rnn.tasks.hello()
    for seed in range(5):
        model = lab(rnn.LSTM, seed)
        expected = "".join(rnn.greedy(model, HIELO, "hihell"[: t + 1], 1) for t in range(6))
        assert rnn.predict(model, task) == expected


def test_a_trained_model_says_hello_by_itself() -> None:
    task = rnn.tasks.hello()
    model = lab(rnn.LSTM, gain=1.0)
    rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, epochs=50, progress=False)
    assert rnn.predict(model, task) == "ihello"
    assert rnn.greedy(model, task.alphabet, "h", 6) == "ihello"
    assert rnn.greedy(model, task.alphabet, "hihe", 3) == "llo"


class Watched(rnn.Sequence):
    """Remembers whether its outputs were recorded."""

    def forward(self, x: Any) -> mg.Tensor:
        output = super().forward(x)
        self.recorded.append(output.requires_grad)
        return output

    def step(self, x: mg.Tensor, state: Any, t: int) -> Any:
        output, state = super().step(x, state, t)
        self.recorded += [output.requires_grad, *(part.requires_grad for part in state)]
        return output, state


def test_nothing_is_recorded() -> None:
    model = Watched(rnn.LSTM(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    model.recorded = []
    rnn.greedy(model, HIELO, "hi", 4)
    rnn.predict(model, rnn.tasks.hello())
    assert model.recorded == [False] * (3 * 5 + 1)
    assert all(p.grad is None for p in model.parameters())
    assert model(np.ones((1, 1, 5))).requires_grad


def test_recording_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="alphabet"):
        rnn.greedy(lab(), HIELO, "x", 4)
    assert lab()(np.ones((1, 1, 5))).requires_grad


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="the prompt is empty; the model needs at least one symbol to begin with"):
        rnn.greedy(lab(), HIELO, "", 3)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length is -1; it cannot be negative"):
        rnn.greedy(lab(), HIELO, "h", -1)


def test_a_symbol_outside_the_alphabet_is_named() -> None:
    with pytest.raises(ValueError, match="'z' is not in this alphabet, 'hielo'"):
        rnn.greedy(lab(), HIELO, "hiz", 3)
