"""Padding never counts: each sequence on its own, without padding, is the truth for loss, gradient, accuracy and answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn

KINDS = ["cross_entropy", "mse", "binary"]
LENGTHS = np.array([3, 6, 1, 4])
T, B, FEATURES, OUTPUTS = 6, 4, 3, 2
PADDING = st.floats(allow_nan=True, allow_infinity=True)


def data(kind: str, last: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (B,) if last else (T, B)
    if kind == "cross_entropy":
        return rng.normal(size=(T, B, FEATURES)), rng.integers(OUTPUTS, size=shape)
    return rng.normal(size=(T, B, FEATURES)), rng.integers(2, size=(*shape, OUTPUTS)).astype(float)


def padded(array: np.ndarray, value: Any, lengths: np.ndarray = LENGTHS) -> np.ndarray:
    """The array with `value` in the padding."""
    array = array.copy()
    array[np.arange(len(array))[:, None] >= lengths] = value
    return array


def model_of(wiring: str = "steps", cell: Any = rnn.LSTM, bidirectional: bool = False) -> Any:
    layer = cell(FEATURES, 4, bidirectional=bidirectional, dtype=float, rng=0)
    readout = rnn.Linear(4 * (1 + bidirectional), OUTPUTS, dtype=float, rng=1)
    return (rnn.Sequence if wiring == "steps" else rnn.ManyToOne)(layer, readout)


def one_by_one(kind: str, model: Any, x: np.ndarray, y: np.ndarray, last: bool = False) -> tuple[float, list[np.ndarray]]:
    """The loss and gradients as a mean over the answers of sequences that are run one after the other, unpadded."""
    each = {"cross_entropy": mg.cross_entropy, "mse": rnn.mse_loss, "binary": rnn.binary_cross_entropy_with_logits}[kind]
    model.zero_grad()
    total, count = 0.0, 0
    losses = []
    for b, n in enumerate(LENGTHS):
        out = model(x[:n, b : b + 1])
        target = y[b : b + 1] if last else y[:n, b : b + 1]
        losses.append(each(out, target, reduction="sum"))
        count += target.size
    for loss in losses:
        (loss / count).backward()
        total += loss.item() / count
    gradients = [p.grad.copy() for p in model.parameters()]
    model.zero_grad()
    return total, gradients


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**32 - 1), PADDING, st.data())
def test_sequence_loss_is_that_of_the_unpadded_sequences(
    kind: str, lengths: list[int], seed: int, garbage: float, more: Any
) -> None:
    rng = np.random.default_rng(seed)
    n, steps = np.array(lengths), 5
    x = rng.normal(size=(steps, len(n), 3))
    y = rng.integers(3, size=x.shape[:2]) if kind == "cross_entropy" else rng.uniform(size=x.shape)
    rubbish = more.draw(st.sampled_from([0, -100, -7, 3, 10**9])) if kind == "cross_entropy" else garbage
    outputs = mg.tensor(padded(x, garbage, n), requires_grad=True)
    loss = rnn.sequence_loss(kind, outputs, padded(y, rubbish, n), n)
    loss.backward()
    clean = mg.tensor(x, requires_grad=True)
    parts = [rnn.sequence_loss(kind, clean[:m, b : b + 1], y[:m, b : b + 1]).total * float(m) for b, m in enumerate(n.tolist())]
    expected = sum(parts[1:], parts[0]) / float(n.sum())
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-12)
    np.testing.assert_allclose(outputs.grad, clean.grad, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(loss.steps.sum(), loss.item(), rtol=1e-12)
    assert not loss.steps[n.max() :].any()

    total, shares = rnn.sequence_loss(kind, padded(x, garbage, n), padded(y, rubbish, n), n, "sum")
    np.testing.assert_allclose(total.item(), sum(part.item() for part in parts) / len(n), rtol=1e-12)
    np.testing.assert_allclose(shares.sum(), total.item(), rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", [rnn.mse_loss, rnn.binary_cross_entropy_with_logits])
def test_losses_of_numbers_leave_out_the_padding(loss: Any, reduction: str) -> None:
    x, y = np.random.default_rng(0).uniform(size=(2, T, B, OUTPUTS))
    each = loss(x, y, reduction="none").data
    counted = np.arange(T)[:, None] < LENGTHS
    expected = {"mean": each[counted].mean(), "sum": each[counted].sum(), "none": np.where(counted[..., None], each, 0)}
    found = loss(padded(x, np.nan), padded(y, np.inf), reduction=reduction, lengths=LENGTHS)
    np.testing.assert_allclose(found.data, expected[reduction], rtol=1e-13)


@pytest.mark.parametrize(
    ("garbage", "compiled"),
    [*((value, False) for value in (0.0, np.nan, np.inf, -np.inf, -100.0, 1e300)), (np.nan, True)],
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("wiring", "bidirectional"), [("steps", False), ("steps", True), ("last", False), ("last", True)])
def test_training_and_evaluation_are_those_of_the_unpadded_sequences(
    wiring: str, bidirectional: bool, kind: str, garbage: float, compiled: bool
) -> None:
    last = wiring == "last"
    x, y = data(kind, last)
    model = model_of(wiring, bidirectional=bidirectional)
    loss, gradients = one_by_one(kind, model, x, y, last)
    rubbish = -7 if kind == "cross_entropy" else garbage
    batch = rnn.Batch(padded(x, garbage), y if last else padded(y, rubbish), LENGTHS)
    assert rnn.evaluate(model, batch, loss=kind).loss == pytest.approx(loss, rel=1e-12)
    before = [p.data for p in model.parameters()]
    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=1.0), loss=kind, compile=compiled)
    history = trainer.fit(batch, 1, progress=False)
    assert history.loss[0] == pytest.approx(loss, rel=1e-12)
    assert history.steps[0].sum() == pytest.approx(loss, rel=1e-12)
    for p, was, expected in zip(model.parameters(), before, gradients, strict=True):
        np.testing.assert_allclose(was - p.data, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", ["cross_entropy", "binary"])
@pytest.mark.parametrize("wiring", ["steps", "last"])
def test_accuracy_and_exact_are_those_of_the_unpadded_sequences(wiring: str, kind: str) -> None:
    last = wiring == "last"
    model = model_of(wiring)
    for seed in range(5):
        x, y = data(kind, last, seed)
        right, exact = [], []
        for b, n in enumerate(LENGTHS):
            out = model(x[:n, b : b + 1]).data
            target = y[b : b + 1] if last else y[:n, b : b + 1]
            hits = (out.argmax(-1) == target) if kind == "cross_entropy" else ((out > 0) == (target > 0.5))
            right += hits.ravel().tolist()
            exact.append(hits.all())
        batch = rnn.Batch(padded(x, np.nan), y if last else padded(y, 10**6), LENGTHS)
        result = rnn.evaluate(model, batch, loss=kind)
        assert result.accuracy == pytest.approx(np.mean(right), rel=1e-12)
        assert result.exact == pytest.approx(np.mean(exact), rel=1e-12)


@pytest.mark.parametrize("kind", ["mse", "binary"])
def test_one_to_many_leaves_out_the_padding_of_its_targets(kind: str) -> None:
    rng = np.random.default_rng(0)
    model = rnn.OneToMany(rnn.GRU(2, 4, dtype=float, rng=0), rnn.Linear(4, 2, dtype=float, rng=1))
    x, y = rng.normal(size=(1, B, 2)), rng.integers(2, size=(T, B, 2)).astype(float)
    results = []
    for garbage in (0.0, np.nan, np.inf):
        batch = rnn.Batch(x, padded(y, garbage), LENGTHS)
        model.zero_grad()
        outputs, _ = model.predict_batch(batch)
        loss = rnn.sequence_loss(kind, outputs, batch.targets, LENGTHS)
        loss.backward()
        assert rnn.evaluate(model, batch, loss=kind).loss == loss.item()
        results.append([loss.item(), *[p.grad.copy() for p in model.parameters()]])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    counted = np.arange(T)[:, None] < LENGTHS
    each = {"mse": rnn.mse_loss, "binary": rnn.binary_cross_entropy_with_logits}[kind]
    losses = each(model(x[0], targets=y), y, reduction="none").data
    assert results[0][0] == pytest.approx(losses[counted].mean(), rel=1e-12)


def test_the_lengths_of_an_encoder_decoder_are_those_of_the_source() -> None:
    rng = np.random.default_rng(0)
    make = {"dtype": float}
    model = rnn.EncoderDecoder(
        rnn.GRU(3, 4, rng=0, **make), rnn.GRU(5, 4, rng=1, **make), rnn.Linear(4, 5, rng=2, **make), start=4
    )
    x, y = rng.normal(size=(T, B, 3)), rng.integers(4, size=(T, B))
    expected = np.mean([mg.cross_entropy(model(x[:n, [b]], y[:, [b]]), y[:, [b]]).item() for b, n in enumerate(LENGTHS)])
    batch = rnn.Batch(padded(x, np.nan), y, LENGTHS)
    assert rnn.evaluate(model, batch).loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("garbage", [0, -100, 99, -1])
@pytest.mark.parametrize("wiring", ["steps", "last"])
def test_symbols_in_the_padding_of_an_embedding_do_not_matter(wiring: str, garbage: int) -> None:
    rng = np.random.default_rng(0)
    kind = rnn.Sequence if wiring == "steps" else rnn.ManyToOne
    embedding = rnn.Embedding(7, FEATURES, dtype=float, rng=2)
    model = kind(rnn.GRU(FEATURES, 4, dtype=float, rng=0), rnn.Linear(4, OUTPUTS, dtype=float, rng=1), embedding=embedding)
    x = rng.integers(7, size=(T, B))
    y = rng.integers(OUTPUTS, size=(B,) if wiring == "last" else (T, B))
    loss, gradients = one_by_one("cross_entropy", model, x, y, wiring == "last")
    batch = rnn.Batch(padded(x, garbage), y if wiring == "last" else padded(y, garbage), LENGTHS)
    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=1.0))
    before = [p.data for p in model.parameters()]
    assert trainer.fit(batch, 1, progress=False).loss[0] == pytest.approx(loss, rel=1e-12)
    for p, was, expected in zip(model.parameters(), before, gradients, strict=True):
        np.testing.assert_allclose(was - p.data, expected, rtol=1e-10, atol=1e-14)


def test_a_model_without_a_notion_of_lengths_is_not_spoilt_by_the_padding() -> None:
    x, y = data("mse")
    model = rnn.Linear(FEATURES, OUTPUTS, dtype=float, rng=0)
    batch = rnn.Batch(padded(x, np.nan), padded(y, np.nan), LENGTHS)
    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), loss="mse")
    assert np.isfinite(trainer.fit(batch, 3, progress=False).loss).all()
    assert np.isfinite(model.weight.data).all()


def test_lengths_that_are_not_those_of_the_outputs_are_refused() -> None:
    class Halved(rnn.Sequence):
        def predict_batch(self, batch: rnn.Batch, state: Any = None) -> Any:
            outputs, state = super().predict_batch(batch, state)
            return outputs[::2], state

    model = Halved(rnn.GRU(FEATURES, 4, rng=0), rnn.Linear(4, OUTPUTS, rng=1))
    x, y = data("mse")
    batch = rnn.Batch(x, y[::2], LENGTHS)
    with pytest.raises(ValueError, match=r"reads 6 steps and has outputs at 3, .* define output_lengths\(batch\)"):
        rnn.evaluate(model, batch, loss="mse")
    Halved.output_lengths = lambda self, batch: -(-batch.lengths // 2)  # type: ignore[method-assign]
    assert np.isfinite(rnn.evaluate(model, batch, loss="mse").loss)


@pytest.mark.parametrize("lengths", [[1, 2], [0, 1, 1, 1], [1, 1, 1, 7], [1.0, 1.0, 1.0, 1.0]])
@pytest.mark.parametrize("kind", KINDS)
def test_impossible_lengths_are_refused(kind: str, lengths: Any) -> None:
    _, y = data(kind)
    with pytest.raises(ValueError, match="lengths "):
        rnn.sequence_loss(kind, np.zeros((T, B, OUTPUTS)), y, lengths)


def test_numbers_that_are_not_finite_in_the_padding_are_not_blamed() -> None:
    x, y = data("mse")
    x = padded(x, np.nan)
    x[0, 0, 0] = 1e308
    model = rnn.Sequence(
        rnn.RNN(FEATURES, 4, nonlinearity="relu", dtype=float, rng=0), rnn.Linear(4, OUTPUTS, dtype=float, rng=1)
    )
    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), loss="mse")
    with pytest.raises(FloatingPointError) as found:
        trainer.fit(rnn.Batch(x, padded(y, np.nan), LENGTHS), 1, progress=False)
    assert "inputs of batch" not in str(found.value)


# -- PyTorch's packed sequences ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_the_gradient_is_that_of_packed_sequences_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    x, y = data("mse")
    ours = rnn.Sequence(getattr(rnn, name)(FEATURES, 4, dtype=float, rng=0), rnn.Linear(4, OUTPUTS, dtype=float, rng=1))
    layer, readout = getattr(torch.nn, name)(FEATURES, 4).double(), torch.nn.Linear(4, OUTPUTS).double()
    theirs = [*layer.named_parameters(prefix="recurrent"), *readout.named_parameters(prefix="readout")]
    weights = dict(ours.named_parameters())
    with torch.no_grad():
        for key, p in theirs:
            p.copy_(torch.from_numpy(weights[key].data.copy()))
    pack = torch.nn.utils.rnn.pack_padded_sequence
    lengths = torch.from_numpy(LENGTHS)
    output, _ = layer(pack(torch.from_numpy(x), lengths, enforce_sorted=False))
    target = pack(torch.from_numpy(y), lengths, enforce_sorted=False)
    expected = torch.nn.functional.mse_loss(readout(output.data), target.data)
    expected.backward()
    outputs, _ = ours.predict_batch(rnn.Batch(padded(x, 7.0), y, LENGTHS))
    loss = rnn.sequence_loss("mse", outputs, padded(y, np.nan), LENGTHS)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for key, p in theirs:
        np.testing.assert_allclose(weights[key].grad, p.grad.numpy(), rtol=1e-9, atol=1e-13)
