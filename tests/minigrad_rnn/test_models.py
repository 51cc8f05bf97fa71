"""Models against the same wiring by hand, one step after the other."""

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

KINDS = rnn.config.LAYERS.values()


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def same_gradients(model: rnn.Module, one: Any, other: Any) -> None:
    """Both are functions to the loss; every parameter has to get the same from both."""
    found = []
    for loss in (one, other):
        model.zero_grad()
        loss().backward()
        found.append([p.grad for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        close(a, b)
        assert np.abs(a).max() > 0


# -- Sequence ----------------------------------------------------------------------------------------------------------


def embedded(kind: Any, bidirectional: bool = False) -> rnn.Sequence:
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"dtype": float, "rng": rng}
    layer = kind(3, 4, 2, bidirectional=bidirectional, **options)
    readout = rnn.Linear(layer.output_size, 6, **options)
    return rnn.Sequence(layer, readout, embedding=rnn.Embedding(6, 3, 0, **options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [5, 2]])
def test_sequence_embeds_runs_and_reads_out(kind: Any, lengths: Any) -> None:
    model = embedded(kind, bidirectional=True)
    symbols = np.random.default_rng(1).integers(6, size=(5, 2))
    outputs, _ = model.recurrent(model.embedding(symbols), None, lengths)
    expected = model.readout(outputs)
    found = model(symbols, lengths)
    assert found.shape == (5, 2, 6)
    np.testing.assert_array_equal(found.data, expected.data)
    answer, _ = model.predict_batch(rnn.Batch(symbols, symbols, None if lengths is None else np.array(lengths)))
    np.testing.assert_array_equal(answer.data, expected.data)


@pytest.mark.parametrize("kind", KINDS)
def test_run_goes_on_where_it_stopped(kind: Any) -> None:
    model = embedded(kind)
    symbols = np.random.default_rng(1).integers(6, size=(7, 2))
    whole = model(symbols)
    head, state = model.run(symbols[:3])
    tail, final = model.run(symbols[3:], state)
    close(np.concatenate([head.data, tail.data]), whole.data)
    answer, after = model.predict_batch(rnn.Batch(symbols[3:], symbols[3:]), state)
    np.testing.assert_array_equal(answer.data, tail.data)
    for a, b in zip(after, final, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_an_embedding_are_those_of_forward(kind: Any) -> None:
    model = embedded(kind)
    symbols = np.random.default_rng(1).integers(6, size=(5, 2))
    expected, state = model(symbols), None
    for t in range(5):
        output, state = model.step(symbols[t], state, t)
        close(output.data, expected.data[t])


def test_sequence_begins_with_a_learned_state() -> None:
    model = rnn.Sequence(rnn.GRU(2, 3, learn_state=True, dtype=float, rng=0), rnn.Linear(3, 1, dtype=float, rng=1))
    model.recurrent.h0_l0.data = np.array([1.0, -2.0, 3.0])
    x = np.random.default_rng(1).normal(size=(1, 4, 2))
    output, _ = model.step(x[0], None, 0)
    np.testing.assert_array_equal(output.data, model(x).data[0])
    np.testing.assert_array_equal(
        output.data, model.readout(model.recurrent.cell(x[0], np.tile([1.0, -2.0, 3.0], (4, 1)))).data
    )


# -- ManyToOne ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", [None, [5, 1, 3]])
def test_many_to_one_reads_out_the_end_of_each_sequence(kind: Any, directions: int, lengths: Any) -> None:
    rng = np.random.default_rng(0)
    layer = kind(2, 4, 2, bidirectional=directions == 2, dtype=float, rng=rng)
    model = rnn.ManyToOne(layer, rnn.Linear(4 * directions, 3, dtype=float, rng=rng))
    x = rng.normal(size=(5, 3, 2))
    each = [
        model.readout(rnn.last_output(layer(x[:length, b : b + 1])[0], bidirectional=directions == 2))
        for b, length in enumerate(lengths or [5, 5, 5])
    ]
    found = model(x, lengths)
    assert found.shape == (3, 3)
    close(found.data, np.concatenate([y.data for y in each]))
    same_gradients(model, lambda: (model(x, lengths) ** 2).sum(), lambda: sum((y**2).sum() for y in each))
    answer, state = model.predict_batch(rnn.Batch(x, np.zeros(3, int), lengths), None)
    np.testing.assert_array_equal(answer.data, found.data)
    assert state is None


def test_many_to_one_embeds_symbols() -> None:
    layer, table = rnn.GRU(3, 4, rng=0), rnn.Embedding(5, 3, rng=1)
    model = rnn.ManyToOne(layer, rnn.Linear(4, 2, rng=2), embedding=table)
    symbols = np.array([[1, 2], [0, 4]])
    np.testing.assert_array_equal(model(symbols).data, model.readout(layer(table(symbols))[0][-1]).data)
    assert "embedding.weight" in model.state_dict()


# -- OneToMany ---------------------------------------------------------------------------------------------------------


def one_to_many(kind: Any, **options: Any) -> rnn.OneToMany:
    rng = np.random.default_rng(0)
    return rnn.OneToMany(kind(3, 4, 2, dtype=float, rng=rng, **options), rnn.Linear(4, 3, dtype=float, rng=rng))


def one_to_many_by_hand(model: rnn.OneToMany, x: Any, steps: int, targets: Any = None) -> mg.Tensor:
    state, said = None, []
    for t in range(steps):
        output, state = model.recurrent(x[None] if isinstance(x, mg.Tensor) else mg.tensor(x)[None], state)
        said.append(model.readout(output[0]))
        x = said[-1] if targets is None else targets[t]
    return mg.stack(said)


@pytest.mark.parametrize("kind", KINDS)
def test_one_to_many_reads_what_it_said(kind: Any) -> None:
    model = one_to_many(kind)
    x = np.random.default_rng(1).normal(size=(2, 3))
    found = model(x, steps=5)
    assert found.shape == (5, 2, 3)
    close(found.data, one_to_many_by_hand(model, x, 5).data)
    same_gradients(model, lambda: (model(x, steps=5) ** 2).sum(), lambda: (one_to_many_by_hand(model, x, 5) ** 2).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_one_to_many_with_targets_reads_what_it_should_have_said(kind: Any) -> None:
    model = one_to_many(kind)
    rng = np.random.default_rng(1)
    x, targets = rng.normal(size=(2, 3)), rng.normal(size=(5, 2, 3))
    found = model(x, targets=targets)
    close(found.data, one_to_many_by_hand(model, x, 5, targets).data)
    same_gradients(
        model,
        lambda: (model(x, targets=targets) ** 2).sum(),
        lambda: (one_to_many_by_hand(model, x, 5, targets) ** 2).sum(),
    )
    np.testing.assert_array_equal(model(x, targets=mg.tensor(targets)).data, found.data)
    answer, state = model.predict_batch(rnn.Batch(x[None], targets))
    np.testing.assert_array_equal(answer.data, found.data)
    assert state is None


def test_one_to_many_passes_the_gradient_back_to_its_vector() -> None:
    model = one_to_many(rnn.GRU, learn_state=True)
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    model(x, steps=3)[-1].sum().backward()
    assert np.abs(x.grad).min() > 0
    assert np.abs(model.recurrent.h0_l1.grad).min() > 0


# -- EncoderDecoder ----------------------------------------------------------------------------------------------------


def encoder_decoder(kind: Any, num_layers: int = 1) -> rnn.EncoderDecoder:
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"dtype": float, "rng": rng}
    return rnn.EncoderDecoder(
        kind(2, 4, num_layers, **options), kind(6, 4, num_layers, **options), rnn.Linear(4, 5, **options), start=5
    )


def decoder_by_hand(model: rnn.EncoderDecoder, source: Any, told: Any, lengths: Any = None) -> mg.Tensor:
    _, state = model.encoder(source, None, lengths)
    logits = []
    for symbols in told:
        output, state = model.decoder(np.eye(6)[symbols][None], state)
        logits.append(model.readout(output[0]))
    return mg.stack(logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("lengths", [None, [7, 2, 4]])
def test_encoder_decoder_is_told_the_true_symbols(kind: Any, num_layers: int, lengths: Any) -> None:
    model = encoder_decoder(kind, num_layers)
    rng = np.random.default_rng(1)
    source, targets = rng.normal(size=(7, 3, 2)), rng.integers(5, size=(4, 3))
    told = np.concatenate([np.full((1, 3), 5), targets[:-1]])
    found = model(source, targets, lengths)
    assert found.shape == (4, 3, 5)
    close(found.data, decoder_by_hand(model, source, told, lengths).data)
    same_gradients(
        model,
        lambda: mg.cross_entropy(model(source, targets, lengths), targets),
        lambda: mg.cross_entropy(decoder_by_hand(model, source, told, lengths), targets),
    )
    answer, state = model.predict_batch(rnn.Batch(source, targets, lengths))
    np.testing.assert_array_equal(answer.data, found.data)
    assert state is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [7, 2, 4]])
def test_generate_is_told_what_it_said(kind: Any, lengths: Any) -> None:
    model = encoder_decoder(kind, 2)
    for seed in range(20):  # with some weights a cell says the same all the time
        rng = np.random.default_rng(seed)
        for p in model.parameters():
            p.data = rng.normal(size=p.shape, scale=2)
        model.readout.bias.data = np.zeros(5)
        source = rng.normal(size=(7, 3, 2))
        said = model.generate(source, 6, lengths)
        assert (said.shape, said.dtype) == ((6, 3), np.intp)
        told = np.concatenate([np.full((1, 3), 5), said[:-1]])
        logits = decoder_by_hand(model, source, told, lengths).data
        np.testing.assert_array_equal(said, logits.argmax(-1))
        np.testing.assert_array_equal(model(source, said, lengths).data.argmax(-1), said)  # told the same, it says the same
        if len(np.unique(said)) > 1:
            return
    pytest.fail("it says the same all the time with all of these weights")


def test_generate_records_nothing_and_may_say_nothing() -> None:
    model = encoder_decoder(rnn.GRU)
    assert model.generate(np.ones((2, 3, 2)), 0).shape == (0, 3)
    with pytest.raises(ValueError, match="steps is -1; it cannot be negative"):
        model.generate(np.ones((2, 3, 2)), -1)


def test_targets_that_do_not_count_tell_nothing() -> None:
    model = encoder_decoder(rnn.GRU)
    source = np.ones((2, 1, 2))
    _, state = model.encoder(source)
    outputs, _ = model.decoder(np.stack([np.eye(6)[[5]], np.zeros((1, 6))]), state)
    np.testing.assert_allclose(model(source, [[rnn.IGNORED], [1]]).data, model.readout(outputs).data, rtol=1e-14)


def test_encoder_and_decoder_are_scopes() -> None:
    scopes = {str(node.scope) for node in mg.Graph(encoder_decoder(rnn.LSTM)(np.ones((2, 1, 2)), [[0], [1], [2]]))}
    assert {"encoder/lstm/layer=0/t=1", "decoder/lstm/layer=0/t=2"} <= scopes
    assert "encoder/lstm/layer=0/t=2" not in scopes


# -- training ----------------------------------------------------------------------------------------------------------


def test_a_model_that_does_not_answer_says_so() -> None:
    with pytest.raises(NotImplementedError, match=re.escape("Model does not define predict_batch(batch, state)")):
        rnn.Model().predict_batch(rnn.Batch(np.ones((1, 1, 1)), np.ones((1, 1), int)))


def test_dropout_in_a_model_stops_in_evaluation() -> None:
    layer = rnn.GRU(2, 4, 2, dropout=0.5, rng=0)
    model = rnn.Sequence(layer, rnn.Sequential(rnn.Dropout(0.5, rng=1), rnn.Linear(4, 1, rng=2)))
    x = np.ones((3, 2, 2))
    assert not np.array_equal(model(x).data, model(x).data)
    model.eval()
    np.testing.assert_array_equal(model(x).data, model(x).data)
    assert {m.training for m in model.modules()} == {False}
    assert model.generators() == [layer.rng, model.readout[0].rng]


# -- errors ------------------------------------------------------------------------------------------------------------

GRU, LINEAR = rnn.GRU(3, 4), rnn.Linear(4, 3)
BOTH_WAYS = rnn.GRU(3, 4, bidirectional=True)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rnn.Sequence(GRU, rnn.Linear(5, 2)), "the readout reads 5 features, but the recurrent layer has 4"),
        (lambda: rnn.ManyToOne(BOTH_WAYS, LINEAR), "the readout reads 4 features, but the recurrent layer has 8"),
        (lambda: rnn.OneToMany(GRU, rnn.Linear(5, 3)), "the readout reads 5 features, but the recurrent layer has 4"),
        (
            lambda: rnn.OneToMany(GRU, rnn.Linear(4, 2)),
            "the readout must have input_size=3 features, because an output is the next input; it has 2",
        ),
        (
            lambda: rnn.ManyToOne(rnn.Recurrent((rnn.GRUCell(3, 4), rnn.GRUCell(3, 2))), rnn.Linear(6, 1)),
            "both directions must have outputs of one size, the halves of the last output; they have {2, 4}",
        ),
        (
            lambda: rnn.EncoderDecoder(rnn.GRU(2, 5), GRU, LINEAR, start=0),
            "encoder and decoder must have states of the same sizes; they have [[(5,)]] and [[(4,)]]",
        ),
        (lambda: rnn.EncoderDecoder(rnn.LSTM(2, 4), GRU, LINEAR, start=0), "they have [[(4, 4)]] and [[(4,)]]"),
        (lambda: rnn.EncoderDecoder(rnn.GRU(2, 4, 2), GRU, LINEAR, start=0), "they have [[(4,)], [(4,)]] and [[(4,)]]"),
        (
            lambda: rnn.EncoderDecoder(BOTH_WAYS, rnn.GRU(3, 4, 2), LINEAR, start=0),
            "they have [[(4,), (4,)]] and [[(4,)], [(4,)]]",
        ),
        (lambda: rnn.EncoderDecoder(BOTH_WAYS, BOTH_WAYS, LINEAR, start=0), "the decoder cannot be bidirectional"),
        (lambda: rnn.EncoderDecoder(GRU, GRU, rnn.Linear(5, 3), start=0), "the readout reads 5 features, but"),
        (
            lambda: rnn.EncoderDecoder(GRU, GRU, rnn.Linear(4, 5), start=0),
            "the readout predicts 5 symbols, and the decoder can read only 3",
        ),
        (lambda: rnn.EncoderDecoder(GRU, GRU, LINEAR, start=3), "start is 3; it must be a class index from 0 to 2"),
        (lambda: rnn.EncoderDecoder(GRU, GRU, LINEAR, start=-1), "start is -1; it must be a class index from 0 to 2"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_models_have_the_time_first() -> None:
    first = rnn.GRU(3, 4, batch_first=True)
    for make in (
        lambda: rnn.Sequence(first, LINEAR),
        lambda: rnn.ManyToOne(first, LINEAR),
        lambda: rnn.OneToMany(first, LINEAR),
        lambda: rnn.EncoderDecoder(first, GRU, LINEAR, start=0),
        lambda: rnn.EncoderDecoder(GRU, first, LINEAR, start=0),
    ):
        with pytest.raises(ValueError, match=re.escape("a model's recurrent layer cannot have batch_first")):
            make()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: m(np.ones((2, 3))), "give either steps or targets, not both"),
        (lambda m: m(np.ones((2, 3)), 2, np.ones((2, 2, 3))), "give either steps or targets"),
        (lambda m: m(np.ones((2, 3)), 0), "the number of steps is 0; it must be at least 1"),
        (lambda m: m(np.ones((2, 3)), targets=np.ones((0, 2, 3))), "the number of steps is 0; it must be at least 1"),
        (lambda m: m(np.ones((2, 4)), 2), "the input has shape (2, 4); expected (batch, input_size=3)"),
        (lambda m: m(np.ones(3), 2), "the input has shape (3,); expected (batch, input_size=3)"),
        (
            lambda m: m(np.ones((2, 3)), targets=np.ones((4, 2), int)),
            "targets have shape (4, 2); expected (T, batch, features) = (T, 2, 3)",
        ),
    ],
)
def test_one_to_many_tells_what_is_wrong(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        call(one_to_many(rnn.RNN))


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        ([0, 1], "targets must be class indices of shape (T, batch), T at least 1, not int64 of shape (2,)"),
        ([[0.0], [1.0]], "targets must be class indices of shape (T, batch), T at least 1, not float64 of shape (2, 1)"),
        (np.zeros((0, 1), int), "targets must be class indices of shape (T, batch), T at least 1, not int64 of shape (0, 1)"),
        ([[0, 1]], "the state h has shape (1, 4); expected (batch, hidden_size) = (2, 4)"),
    ],
)
def test_encoder_decoder_tells_what_is_wrong(targets: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        encoder_decoder(rnn.GRU)(np.ones((2, 1, 2)), targets)
