"""Lengths reach the model when a Trainer learns from a padded batch."""

import numpy as np
import pytest

import minigrad_rnn as rnn


class Watched(rnn.Sequence):
    """Keeps the lengths of the batches that it answers."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.seen = []

    def predict_batch(self, batch, state=None):
        self.seen.append(None if batch.lengths is None else batch.lengths.tolist())
        return super().predict_batch(batch, state)


@pytest.mark.parametrize("compile", [False, True])
def test_a_model_is_given_the_lengths_of_a_batch(compile):
    inputs = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32)
    targets = np.where(np.arange(4)[:, None] < [4, 2, 1], 1, rnn.data.batch.IGNORED)
    data = rnn.Fixed(rnn.Batch(inputs, targets, np.array([4, 2, 1])))
    model = Watched(rnn.RNN(2, 3, bidirectional=True, rng=0), rnn.Linear(6, 2, rng=1))
    rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), compile=compile).fit(data, epochs=2, progress=False)
    assert model.seen == [[4, 2, 1]] * 2


@pytest.mark.parametrize(
    ("wiring", "kind"), [(rnn.Sequence, "cross_entropy"), (rnn.Sequence, "mse"), (rnn.ManyToOne, "binary")]
)
def test_a_compiled_step_serves_batches_of_any_lengths(wiring, kind):
    rng = np.random.default_rng(0)
    lengths = [[2, 5, 1], [5, 5, 5], [5, 5, 4], [1, 1, 3]]
    inputs = np.where(np.arange(5)[:, None, None] < np.array(lengths)[:, None, :, None], rng.normal(size=(4, 5, 3, 2)), np.nan)
    shape = (5, 3) if wiring is rnn.Sequence else (3,)
    targets = rng.integers(2, size=(4, *shape) if kind == "cross_entropy" else (4, *shape, 2)).astype(
        int if kind == "cross_entropy" else float
    )
    batches = [rnn.Batch(x, y, np.array(n)) for x, y, n in zip(inputs, targets, lengths, strict=True)]
    losses = []
    for compile in (True, False):
        model = wiring(rnn.GRU(2, 3, bidirectional=True, dtype=float, rng=0), rnn.Linear(6, 2, dtype=float, rng=1))
        trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1), loss=kind, compile=compile)
        for batch in batches:
            trainer.fit(batch, 2, progress=False)
        assert trainer.not_compiled == ("" if compile else "compile=False")
        losses.append(trainer.history.loss)
    np.testing.assert_allclose(*losses, rtol=1e-10)
