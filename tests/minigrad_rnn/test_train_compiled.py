"""Training, compiled and not, of a model whose Python side changes meanwhile: the same, and if not compiled it says why."""

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

GLOBAL = {"scale": 1.0}


class Model(rnn.Module):
    def __init__(self):
        self.layer = rnn.RNN(5, 6, rng=0)
        self.dropout = rnn.Dropout(0.4, rng=2)
        self.readout = rnn.Linear(6, 5, rng=1)
        self.scale, self.flag, self.count, self.steps = 1.0, False, 0, [1.0]
        self.counts = self.noisy = False
        self.activation = np.tanh
        self.mask = np.ones(6, np.float32)
        self.rng = np.random.default_rng(3)
        self.teaching, self.averages = 1.0, False
        self.mean = np.zeros(6, np.float32)

    def forward(self, x):
        h, _ = self.layer(x)
        h = self.dropout(self.activation(h)) * self.mask * (self.scale * GLOBAL["scale"] * self.steps[-1])
        if self.counts:
            self.count += 1
            h = h * (1 + 0.1 * self.count)
        if self.noisy:
            h = h + self.rng.normal(scale=0.1, size=h.shape).astype(np.float32)
        if self.teaching < 1 and self.rng.random() > self.teaching:
            h = h * 0.5
        if self.averages:
            self.mean = 0.9 * self.mean + 0.1 * h.data.mean(axis=(0, 1))
            h = h - self.mean
        return self.readout(-h if self.flag else h)


def anneals(model, k):
    model.scale *= 0.9


def flips(model, k):
    model.flag = k % 2 == 1


def drops_less(model, k):
    model.dropout.p = 0.4 if k < 3 else 0.0


def counts(model, k):
    model.counts = k > 1


def makes_noise(model, k):
    model.noisy = k > 1


def appends(model, k):
    model.steps.append(1.0 + k / 10)


def masks_in_place(model, k):
    model.mask[k % 6] = 0


def masks_anew(model, k):
    model.mask = np.where(np.arange(6) == k % 6, 0, 1).astype(np.float32)


def activates_otherwise(model, k):
    model.activation = mg.relu if k > 2 else np.tanh


def replaces_a_layer(model, k):
    if k == 3:
        model.dropout = rnn.Dropout(0.1, rng=9)


def replaces_a_parameter(model, k):
    if k == 3:
        model.readout.bias = rnn.Parameter(np.ones(5, np.float32), name="bias")


def hooks(model, k):
    if k == 2:
        model.readout.weight.register_hook(lambda g: g * 0.5)


def changes_a_global(model, k):
    GLOBAL["scale"] = 1.0 + 0.05 * k


def replaces_a_generator(model, k):
    if k == 3:
        model.dropout.rng = np.random.default_rng(11)


def prunes(model, k):
    weight = model.readout.weight.data
    model.readout.weight.data = np.where(np.abs(weight) < np.quantile(np.abs(weight), k / 20), 0, weight)


def samples_as_scheduled(model, k):
    model.teaching = 1 - k / 12


def keeps_a_running_mean(model, k):
    model.averages = k > 1


CHANGES = [
    anneals, flips, drops_less, counts, makes_noise, appends, masks_in_place, masks_anew, activates_otherwise,
    replaces_a_layer, replaces_a_parameter, hooks, changes_a_global, replaces_a_generator,
    prunes, samples_as_scheduled, keeps_a_running_mean,
]  # fmt: skip


def trained(change, compile, updates=12):
    GLOBAL["scale"] = 1.0
    model = Model()
    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), compile=compile)
    trainer.fit(
        rnn.tasks.hello(), epochs=updates, progress=False,
        after_update=lambda t: change(model, len(t.history.loss)),
    )  # fmt: skip
    return trainer


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_changes_while_it_trains(change):
    plain, compiled = trained(change, False), trained(change, True)
    np.testing.assert_allclose(compiled.history.loss, plain.history.loss, rtol=1e-4)
    for a, b in zip(compiled.model.parameters(), plain.model.parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-3, atol=1e-5)
    if change in (counts, makes_noise, samples_as_scheduled, keeps_a_running_mean):
        assert compiled.not_compiled


def test_programs_are_kept_between_fits():
    model = rnn.Sequence(rnn.RNN(5, 6, rng=0), rnn.Linear(6, 5, rng=1))
    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1))
    for _ in range(5):
        trainer.fit(rnn.tasks.hello(), epochs=1, progress=False)
    assert trainer.not_compiled == ""
    assert [len(known) for known in trainer._program.programs.values()] == [1]
