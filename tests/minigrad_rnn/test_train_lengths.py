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
