"""Sequences of different lengths: each is what it is alone, in arrays, in batches by length, and in training."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn.data import IGNORED, Batch, Examples, pad_sequences

lengths = st.lists(st.integers(1, 20), min_size=1, max_size=12)


def sequences_of(lengths: list[int], kind: str = "symbols") -> list[Any]:
    rng = np.random.default_rng(0)
    if kind == "symbols":
        return [rng.integers(5, size=n) for n in lengths]
    return [rng.normal(size=n if kind == "numbers" else (n, 3)) for n in lengths]


@settings(deadline=None, max_examples=30)
@given(lengths, st.sampled_from(["symbols", "numbers", "vectors"]), st.sampled_from([0, -100]))
def test_padded_sequences_are_found_again(lengths: list[int], kind: str, value: int) -> None:
    sequences = sequences_of(lengths, kind)
    for form in (
        sequences,
        [s.tolist() for s in sequences],
        tuple(map(mg.tensor, sequences)) if kind != "symbols" else sequences,
    ):
        array, found = pad_sequences(form, value)
        assert found.tolist() == lengths
        assert array.shape == (max(lengths), len(lengths), *{"symbols": (), "numbers": (1,), "vectors": (3,)}[kind])
        for i, sequence in enumerate(sequences):
            np.testing.assert_array_equal(array[: len(sequence), i].reshape(sequence.shape), sequence)
            assert (array[len(sequence) :, i] == value).all()


@settings(deadline=None, max_examples=30)
@given(lengths)
def test_sequences_are_labelled_tagged_or_continued(lengths: list[int]) -> None:
    sequences, rng = sequences_of(lengths), np.random.default_rng(1)
    labels, values = rng.integers(3, size=len(lengths)), rng.normal(size=(len(lengths), 2))
    for form in (labels, labels.tolist()):
        assert Batch.of((sequences, form)).targets.tolist() == labels.tolist()
    assert Batch.of((sequences, labels.astype(float))).targets.shape == (len(lengths), 1)
    np.testing.assert_array_equal(Batch.of((sequences, values)).targets, values)
    longer = [np.append(sequence, 4) for sequence in sequences]
    for batch, tags in ((Batch.of((sequences, [s % 2 for s in sequences])), [s % 2 for s in sequences]),
                        (Batch.of(longer), [s[1:] for s in longer])):  # fmt: skip
        np.testing.assert_array_equal(batch.targets, pad_sequences(tags, IGNORED)[0])
        np.testing.assert_array_equal(batch.inputs, pad_sequences(sequences)[0])
        assert batch.lengths is not None
        assert batch.lengths.tolist() == lengths
    numbers = Batch.of(([[0.0] * n for n in lengths], [[[1.0, 2.0]] * n for n in lengths]))
    assert (numbers.inputs.shape, numbers.targets.shape) == ((max(lengths), len(lengths), 1), (max(lengths), len(lengths), 2))


def test_batches_by_length_have_few_shapes_and_little_padding() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, size=1000).tolist()
    source = Examples([np.full(n + 1, n) for n in lengths], batch_size=8, seed=3)
    epochs = [[source.batch(i) for i in range(e * len(source), (e + 1) * len(source))] for e in range(2)]
    for batches in epochs:
        assert sorted(n for b in batches for n in b.lengths) == sorted(lengths)  # type: ignore[union-attr]
        assert all((b.inputs[0] == b.lengths).all() for b in batches)
        assert all(
            n.max() <= len(b.inputs) <= 1.25 * n.max() and np.ptp(n) < 5 for b in batches if (n := b.lengths) is not None
        )
        assert len({len(b.inputs) for b in batches}) < 24
    assert {b.inputs.shape for b in epochs[0]} == {b.inputs.shape for b in epochs[1]}
    assert [b.inputs.tobytes() for b in epochs[0]] != [b.inputs.tobytes() for b in epochs[1]]


@pytest.mark.parametrize("wiring", ["labelled", "tagged", "continued", "numbers", "translated"])
def test_a_cropped_batch_trains_as_the_whole_one(wiring: str) -> None:
    lengths = [3, 9, 4, 11]
    symbols, made = sequences_of(lengths), {"dtype": float, "rng": 0}
    layer, readout = rnn.GRU(2, 3, bidirectional=True, **made), rnn.Linear(6, 5, **made)
    model: Any = rnn.Sequence(layer, readout, embedding=rnn.Embedding(5, 2, **made))
    batch = {
        "tagged": lambda: Batch.of((symbols, symbols)),
        "continued": lambda: Batch.of([np.append(s, 1) for s in symbols]),
    }.get(wiring, lambda: Batch.of((symbols, [0, 1, 2, 3])))()
    if wiring == "labelled":
        model = rnn.ManyToOne(layer, readout, embedding=model.embedding)
    elif wiring == "numbers":
        numbers = sequences_of(lengths, "numbers")
        model, batch = rnn.Sequence(rnn.GRU(1, 3, **made), rnn.Linear(3, 1, **made)), Batch.of((numbers, numbers))
    elif wiring == "translated":  # the targets, another sequence, are as long as the inputs, and not cropped
        targets = pad_sequences([s[:n] for s, n in zip(sequences_of([11] * 4), (11, 2, 2, 7), strict=True)], IGNORED)[0]
        batch = Batch.of((symbols, targets))._replace(inputs=np.eye(5)[batch.inputs])
        model = rnn.EncoderDecoder(rnn.GRU(5, 3, **made), rnn.GRU(6, 3, **made), rnn.Linear(3, 5, **made), start=5)
    kind = "mse" if wiring == "numbers" else "cross_entropy"
    part = Examples(batch, 2, seed=None, axis=0 if wiring == "labelled" else 1).take(np.array([0, 2]))
    assert len(part.inputs) == (11 if wiring == "translated" else 4)
    whole = batch.take([0, 2], axis=0 if wiring == "labelled" else 1)
    assert rnn.evaluate(model, part, loss=kind).loss == pytest.approx(rnn.evaluate(model, whole, loss=kind).loss, rel=1e-12)


def test_lists_are_trained_on() -> None:
    letters, names = rnn.Alphabet("abn."), ["anna.", "nab.", "ban."]
    layers = (rnn.GRU(4, 8, rng=1), rnn.Linear(8, 4, rng=2))
    model = rnn.Sequence(*layers, embedding=rnn.Embedding(4, 4, rng=3))
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.05))
    history = trainer.fit([letters.encode(name) for name in names], 60, progress=False)
    assert trainer.not_compiled == ""
    assert history.loss[-1] < 0.4 * history.loss[0]
    last = rnn.ManyToOne(*layers, embedding=model.embedding)
    trainer = rnn.Trainer(last, rnn.Adam(last.parameters(), lr=0.05))
    trainer.fit(([letters.encode(name) for name in names], [0, 1, 2]), 60, progress=False)
    assert rnn.evaluate(last, ([letters.encode(name) for name in names], [0, 1, 2])).accuracy == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "there are no sequences"),
        (([[1], []], [0, 1]), "sequence 1 is empty; leave it out"),
        ([[1, 2], [3]], "sequence 1 has one element, and no next one to predict"),
        (([[1], [2]], 3), "the targets are 3; expected a list or an array, with one for each of 2 sequences"),
        ([Batch(np.zeros((2, 3, 1)), np.zeros(3))], r"sequence 0, a Batch, is no array, .* give a tuple of both"),
        ([1, 2], r"sequence 0 is int64 of shape \(\); expected integers"),
        ([np.zeros((3, 4, 2))], r"sequence 0 is float64 of shape \(3, 4, 2\); .* for a list of time steps, give np.stack"),
        (([[[1.0]], [[1.0, 2.0]]], [0, 1]), r"sequence 1 has steps of shape \(2,\), sequence 0 of shape \(1,\)"),
        ((["anna", "bob"], [0, 1]), r"the sequences are text, 'anna'; .* \[alphabet.encode\(text\) for text in texts\]"),
        (([list("anna")], [0]), "the sequences are text, 'a'"),
        (([[1], [2]], ["it", "fr"]), r"the targets are text, 'it'; .* alphabet.encode\(targets\)"),
        (([[1], [2]], np.array(["it", "fr"])), "the targets are text, 'it'"),
        (([[1], [2]], [0]), "there are 1 targets for 2 sequences"),
        (([[1], [2]], np.array([0])), "do not fit inputs of shape"),
        (([[1, 2], [2]], [[0, 1], [0, 1]]), "target 1 is for 2 steps, and its sequence has 1; .* EncoderDecoder.*pad_seq"),
        (([[1, 2]], [0], [2]), "a list of sequences has its own lengths"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_list_is_named(data: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Batch.of(data)
