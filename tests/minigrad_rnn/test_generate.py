"""What a model says: against loops written by hand."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn.generate import sample

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
    with pytest.raises(ValueError, match="the prompt is empty; the model needs at least one symbol to start from"):
        rnn.greedy(lab(), HIELO, "", 3)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length is -1; it cannot be negative"):
        rnn.greedy(lab(), HIELO, "h", -1)


def test_a_symbol_outside_the_alphabet_is_named() -> None:
    with pytest.raises(ValueError, match="'z' is not in this alphabet, 'hielo'"):
        rnn.greedy(lab(), HIELO, "hiz", 3)


# -- sample ------------------------------------------------------------------------------------------------------------


def saying(chances: Any) -> rnn.Sequence:
    """A model that gives the symbols these probabilities, whatever it reads."""
    model = rnn.Sequence(rnn.GRU(5, 3, rng=0), rnn.Linear(3, 5, rng=0))
    model.readout.weight.data = np.zeros((5, 3))
    assert model.readout.bias is not None
    model.readout.bias.data = np.log(chances)
    return model


CHANCES = np.array([0.5, 0.25, 0.15, 0.08, 0.02])


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (3.0, None), (1.0, 3), (2.0, 2)])
def test_symbols_come_as_often_as_the_model_says(temperature: float, top_k: int | None) -> None:
    expected = CHANCES ** (1 / temperature) * (np.arange(5) < (top_k or 5))
    expected /= expected.sum()
    said = sample(saying(CHANCES), HIELO, "h", 4000, temperature, rng=1, top_k=top_k)
    counts = np.array([said.count(symbol) for symbol in "hielo"])
    assert (counts[expected == 0] == 0).all()
    likely = expected > 0
    chi_square = ((counts - 4000 * expected)[likely] ** 2 / (4000 * expected[likely])).sum()
    assert chi_square < 18.5  # 4 degrees of freedom: one seed in a thousand


def test_a_seed_says_the_same_again() -> None:
    model = saying(CHANCES)
    assert sample(model, HIELO, "h", 50, rng=3) == sample(model, HIELO, "h", 50, rng=np.random.default_rng(3))
    assert sample(model, HIELO, "h", 50, rng=3) != sample(model, HIELO, "h", 50, rng=4)


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"temperature": 5e-324}, {"top_k": 1}, {"top_k": 1, "temperature": 9.0}]
)
@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_without_chance_it_is_greedy(kind: Any, options: dict[str, Any]) -> None:
    for seed in range(5):
        model = lab(kind, seed)
        assert sample(model, HIELO, "hi", 12, rng=seed, **options) == rnn.greedy(model, HIELO, "hi", 12)


def test_of_equally_likely_symbols_the_first() -> None:
    model = saying(np.full(5, 0.2))
    assert sample(model, HIELO, "o", 3, temperature=0) == sample(model, HIELO, "o", 3, top_k=1) == "hhh"
    assert set(sample(model, HIELO, "o", 60, top_k=2, rng=0)) == {"h", "i"}


def test_the_state_is_carried_as_if_all_were_read_at_once() -> None:
    model = lab(rnn.LSTM)
    said = sample(model, HIELO, "hi", 30, rng=0)
    logits = model(HIELO.one_hot(HIELO.encode("hi" + said)[:-1])[:, None]).data[1:, 0].astype(float)
    rng = np.random.default_rng(0)
    for step, symbol in zip(logits, said, strict=True):
        order = np.argsort(-step, kind="stable")
        chances = np.exp(step[order] - step.max())
        assert "hielo"[order[np.searchsorted(np.cumsum(chances), rng.random() * chances.sum(), side="right")]] == symbol


def test_models_with_an_embedding_and_with_dropout() -> None:
    model = rnn.Sequence(rnn.GRU(4, 5, 2, dropout=0.5, rng=0), rnn.Linear(5, 5, rng=0), embedding=rnn.Embedding(5, 4, rng=0))
    assert sample(model, HIELO, "hel", 20, rng=0) == sample(model, HIELO, "hel", 20, rng=0)
    assert model.training
    assert model.recurrent.training
    expected = model.eval()(HIELO.encode("hel")[:, None]).data[-1, 0].argmax()
    assert rnn.greedy(model, HIELO, "hel", 1) == "hielo"[expected]
    assert not model.training


def test_a_prompt_of_words() -> None:
    alphabet = rnn.Alphabet(["the", " cat", " sat", " on", "."])
    assert sample(saying([0.01, 0.01, 0.96, 0.01, 0.01]), alphabet, ["the", " cat"], 2, temperature=0) == " sat sat"


def test_nothing_is_recorded_while_sampling() -> None:
    model = Watched(rnn.LSTM(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    model.recorded = []
    sample(model, HIELO, "hi", 4, rng=0)
    assert model.recorded == [False] * (3 * 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; it must be a number from 0 on"),
        ({"temperature": np.nan}, "temperature is nan"),
        ({"temperature": np.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
    ],
)
def test_impossible_numbers_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sample(lab(), HIELO, "h", 3, **options)


def test_outputs_that_are_not_finite_are_refused() -> None:
    model = lab()
    model.readout.weight.data = np.full((5, 5), np.nan)
    with pytest.raises(ValueError, match="the model's outputs are not finite"):
        sample(model, HIELO, "h", 3)


# -- evaluation mode -----------------------------------------------------------------------------------------------------


def dropping() -> rnn.EncoderDecoder:
    options: dict[str, Any] = {"num_layers": 2, "dropout": 0.9}
    return rnn.EncoderDecoder(
        rnn.LSTM(3, 8, **options, rng=0), rnn.LSTM(5, 8, **options, rng=1), rnn.Linear(8, 5, rng=2), start=4
    )


def test_an_encoder_and_decoder_generate_without_dropping() -> None:
    source = np.random.default_rng(0).normal(size=(7, 20, 3))
    expected = dropping().eval().generate(source, steps=6)
    model = dropping()
    for _ in range(2):
        np.testing.assert_array_equal(model.generate(source, steps=6), expected)


def test_what_generates_leaves_each_module_in_its_mode() -> None:
    model = dropping()
    text = rnn.Sequence(rnn.GRU(5, 4, num_layers=2, dropout=0.5, rng=0), rnn.Linear(4, 5, rng=1))
    task = rnn.tasks.hello()
    calls: list[tuple[Any, Any]] = [
        (model, lambda: model.generate(np.ones((3, 2, 3)), steps=2)),
        (text, lambda: rnn.predict(text, task)),
        (text, lambda: rnn.predict(text, task.inputs)),
        (text, lambda: rnn.greedy(text, task.alphabet, "h", 3)),
        (text, lambda: rnn.sample(text, task.alphabet, "h", 3, rng=0)),
        (text, lambda: rnn.evaluate(text, task)),
    ]
    for owner, call in calls:
        for frozen in owner.modules():
            owner.train()
            frozen.training = False
            before = [module.training for module in owner.modules()]
            call()
            assert [module.training for module in owner.modules()] == before


def test_predictions_of_arrays_are_the_outputs_in_evaluation() -> None:
    model = rnn.Sequence(rnn.GRU(3, 4, num_layers=2, dropout=0.5, rng=0), rnn.Linear(4, 2, rng=1))
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    found = rnn.predict(model, x)
    np.testing.assert_array_equal(found, model.eval()(x).data)
    np.testing.assert_array_equal(rnn.predict(model, mg.tensor(x)), found)
    padded = x.copy()
    padded[2:, 0] = np.nan
    np.testing.assert_array_equal(rnn.predict(model, padded, lengths=[2, 5])[:, 1], found[:, 1])
    np.testing.assert_array_equal(rnn.predict(model, [x[:2, 0], x[:, 1]]), rnn.predict(model, padded, lengths=[2, 5]))
    with pytest.raises(TypeError, match="the model must return one Tensor of outputs, not tuple"):
        rnn.predict(model.recurrent, x)


def test_a_condition_is_an_input_at_each_step() -> None:
    names, classes = ["rossi", "ivanov", "ferrari", "petrov"], rnn.text.one_hot([0, 1, 0, 1], 2)
    letters = rnn.Alphabet.of("\n" + "".join(names))
    size = len(letters)
    plain = rnn.Batch.of([letters.encode(f"\n{name}\n") for name in names])
    batch = rnn.text.conditioned(plain, classes, symbols=size)
    assert (batch.inputs[..., :size] == letters.one_hot(plain.inputs)).all()
    assert (batch.inputs[..., size:] == classes).all()
    model = rnn.Sequence(rnn.GRU(size + 2, 24, rng=0), rnn.Linear(24, size, rng=1))
    rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.03)).fit(batch, 150, progress=False)
    for which, expected in enumerate((names[::2], names[1::2])):
        vector = rnn.text.one_hot(which, 2)
        written = {rnn.sample(model, letters, "\n", 9, rng=seed, condition=vector).split("\n")[0] for seed in range(8)}
        assert written == set(expected)
    said = rnn.text.conditioned(batch._replace(inputs=batch.inputs[..., :size]), classes)
    np.testing.assert_array_equal(said.inputs, batch.inputs)
    for wrong, words in {
        "alone": (
            lambda: rnn.sample(model, letters, "\n", 9),
            rf"shape \(1, {size}\); expected \(batch, input_size={size + 2}\)",
        ),
        "class": (lambda: rnn.sample(model, letters, "\n", 9, condition=1), r"expected numbers of shape \(1, C\)"),
        "classes": (lambda: rnn.text.conditioned(plain, [0, 1, 0, 1], symbols=size), "For classes give one-hot vectors"),
        "integers": (lambda: rnn.text.conditioned(plain, classes), "give their number, symbols="),
        "vectors": (lambda: rnn.text.conditioned(batch, classes, symbols=size), "leave out symbols"),
    }.values():
        with pytest.raises(ValueError, match=words):
            wrong()
    embedded = rnn.Sequence(rnn.GRU(3, 4, rng=0), rnn.Linear(4, size, rng=1), embedding=rnn.Embedding(size, 3, rng=2))
    with pytest.raises(ValueError, match="this model has an embedding instead"):
        rnn.sample(embedded, letters, "\n", 9, condition=classes[0])
