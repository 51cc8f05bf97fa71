"""Training: what it does to the model, what it tells, and that the lab's models learn hello whatever the seed."""

import copy
import csv
import gc
import itertools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.graph import Node


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """As in the foreground; a process in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def lab(kind: Any = rnn.LSTM, seed: int = 0, **options: Any) -> rnn.Sequence:
    """Five symbols, five hidden numbers."""
    rng = np.random.default_rng(seed)
    return rnn.Sequence(kind(5, 5, rng=rng, **options), rnn.Linear(5, 5, rng=rng))


def trainer(model: rnn.Sequence, lr: float = 0.1, compile: bool = True) -> rnn.Trainer:
    return rnn.Trainer(model, rnn.Adam(model.parameters(), lr=lr), compile=compile)


# -- learning ----------------------------------------------------------------------------------------------------------


thorough = settings().max_examples > 100


@pytest.mark.parametrize("kind", [rnn.LSTM, rnn.RNN])
def test_fifty_epochs_teach_hello_whatever_the_seed(kind: Any) -> None:
    task, seeds = rnn.tasks.hello(), range(30 if thorough else 10)
    said = []
    for seed in seeds:
        model = lab(kind, seed)
        trainer(model).fit(task, epochs=50, progress=False)
        said.append(rnn.predict(model, task))
    assert said.count("ihello") >= len(seeds) - 1, said


def test_loss_falls_below_every_bound_of_the_task() -> None:
    task = rnn.tasks.hello()
    loss = trainer(lab()).fit(task, epochs=50, progress=False).loss
    assert loss[-1] < 0.1 * loss[0]
    assert loss[-1] < min(task.bounds.values())


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_fit_is_the_loop_one_would_write(kind: Any) -> None:
    task = rnn.tasks.hello()
    fitted, looped = lab(kind), lab(kind)
    history = trainer(fitted, compile=False).fit(task, epochs=7, progress=False)
    optimizer = rnn.Adam(looped.parameters(), lr=0.1)
    for epoch in range(7):
        looped.zero_grad()
        loss = rnn.sequence_cross_entropy(looped(task.inputs), task.targets)
        assert history.loss[epoch] == loss.total.item()
        np.testing.assert_array_equal(history.steps[epoch], loss.steps)
        loss.total.backward()
        optimizer.step()
    for p, q in zip(fitted.parameters(), looped.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_same_seed_same_training() -> None:
    one, same, other = lab(seed=3), lab(seed=3), lab(seed=4)
    losses = [trainer(model).fit(rnn.tasks.hello(), epochs=10, progress=False).loss for model in (one, same, other)]
    assert losses[0] == losses[1] != losses[2]
    for p, q in zip(one.parameters(), same.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_training_goes_on_where_it_stopped() -> None:
    task = rnn.tasks.hello()
    once, twice = trainer(lab()), trainer(lab())
    whole = once.fit(task, epochs=6, progress=False).loss
    parts = twice.fit(task, epochs=2, progress=False).loss + twice.fit(task, epochs=4, progress=False).loss
    assert parts == whole


# -- compiled ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_compiled_training_is_training(kind: Any, accumulate: int) -> None:
    losses, models = [], []
    for compile in (False, True):
        model = rnn.Sequence(kind(5, 4, dropout=0.5, num_layers=2, dtype=float, rng=0), rnn.Linear(4, 5, dtype=float, rng=1))
        optimizer = rnn.AdamW(model.parameters(), lr=0.01)
        training = rnn.Trainer(model, optimizer, clip_norm=1.0, accumulate=accumulate, compile=compile)
        source = rnn.Streams(np.arange(200) % 5, 7, 3, one_hot=5)
        losses.append(training.fit(source, 3, progress=False).loss)
        models.append(model)
        assert training.not_compiled == ("" if compile else "compile=False")
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-11)
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-9, atol=1e-12)


def test_what_cannot_be_compiled_is_trained_as_it_is_and_says_why() -> None:
    class Deciding(rnn.Sequence):
        def forward(self, x: Any, lengths: Any = None) -> mg.Tensor:
            y = super().forward(x, lengths)
            return y if y.data.sum() > -1e9 else -y

        def predict_batch(self, batch: rnn.Batch, state: Any = None) -> Any:
            return self(batch.inputs), None

    model = Deciding(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    training = trainer(model)
    assert training.fit(rnn.tasks.hello(), 20, progress=False).loss[-1] < 1.0
    assert "Python's control flow depends on the values" in training.not_compiled


def test_frozen_between_two_fits_stays_frozen() -> None:
    model = lab()
    training = trainer(model)
    training.fit(rnn.tasks.hello(), 2, progress=False)
    frozen = model.recurrent.weight_hh_l0
    frozen.requires_grad = False
    before = frozen.data
    training.fit(rnn.tasks.hello(), 2, progress=False)
    assert np.array_equal(frozen.data, before)


# -- history and after_epoch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 5])
def test_history_has_an_entry_for_every_epoch(epochs: int) -> None:
    history = trainer(lab()).fit(rnn.tasks.hello(), epochs, progress=False)
    assert len(history.loss) == len(history.steps) == epochs
    for loss, steps in zip(history.loss, history.steps, strict=True):
        assert type(loss) is float
        assert steps.shape == (6,)
        assert steps.sum() == pytest.approx(loss, rel=1e-6)


def test_no_epochs_leave_the_model_as_it_is() -> None:
    model = lab()
    before = model.state_dict()
    trainer(model).fit(rnn.tasks.hello(), until=0, progress=False)
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_after_epoch_is_told_the_epoch_and_its_loss_after_the_update() -> None:
    model = lab()
    calls, weights = [], [model.readout.weight.data]

    def after_epoch(epoch: int, loss: float) -> None:
        calls.append((epoch, loss))
        weights.append(model.readout.weight.data)

    history = trainer(model).fit(rnn.tasks.hello(), epochs=3, progress=False, after_epoch=after_epoch)
    assert calls == list(enumerate(history.loss))
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(weights))


def test_an_interrupt_leaves_the_model_as_the_last_whole_epoch_left_it() -> None:
    task = rnn.tasks.hello()
    interrupted, whole = lab(), lab()

    def stop(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    training = trainer(interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.fit(task, epochs=50, progress=False, after_epoch=stop)
    reference = trainer(whole)
    reference.fit(task, epochs=3, progress=False)
    for p, q in zip(interrupted.parameters(), whole.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert len(rnn.predict(interrupted, task)) == 6
    assert training.fit(task, 5, progress=False).loss == reference.fit(task, 5, progress=False).loss


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_divergence_stops_training_and_says_what_to_do() -> None:
    model = lab(rnn.RNN, nonlinearity="relu")
    with pytest.raises(FloatingPointError) as error:
        rnn.Trainer(model, rnn.SGD(model.parameters(), lr=1e30)).fit(rnn.tasks.hello(), epochs=50, progress=False)
    first, second = str(error.value).splitlines()
    assert first in [
        f"the loss is {value} in epoch {epoch}; earlier updates made the weights too large. Try a learning rate below 1e+30"
        ", or clip_norm=1.0"
        for value in ("nan", "inf")
        for epoch in (1, 2)
    ]
    assert re.fullmatch("It began here: .*, in scope rnn/layer=0/t=[0-5], made (nan|inf) out of finite operands.*", second)


@pytest.mark.parametrize(("bias", "loss"), [([np.inf, 0, 0, 0, 0], "nan"), ([3e38, *[-3e38] * 4], "inf")])
def test_a_loss_that_is_no_number_stops_training_before_the_update(bias: list[float], loss: str) -> None:
    model = lab()
    model.readout.bias.data = np.array(bias)
    before = model.state_dict()
    with pytest.raises(FloatingPointError, match=f"the loss is {loss} in epoch 0, before any update"):
        trainer(model).fit(rnn.tasks.hello(), epochs=50, progress=False)
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_a_frozen_parameter_is_not_trained() -> None:
    model = lab()
    frozen = model.recurrent.weight_hh_l0
    frozen.requires_grad = False
    before = frozen.data
    loss = trainer(model).fit(rnn.tasks.hello(), epochs=20, progress=False).loss
    np.testing.assert_array_equal(frozen.data, before)
    assert loss[-1] < loss[0]


# -- the progress bar --------------------------------------------------------------------------------------------------


def test_without_progress_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    trainer(lab()).fit(rnn.tasks.hello(), epochs=3, progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_the_task_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    trainer(lab()).fit(rnn.tasks.hello(), epochs=3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello" in err
    assert "3/3" in err


def test_the_bar_counts_batches_and_shows_loss_norm_and_speed(capsys: pytest.CaptureFixture[str]) -> None:
    model = dropped()
    training = rnn.Trainer(model, rnn.Adam(model.parameters()), accumulate=2)
    history = training.fit(streams(), 1)
    err = capsys.readouterr().err
    assert f"{len(streams())}/{len(streams())}" in err
    assert re.search(rf"loss {history.loss[-1]:.4f}, \|g\| {history.grad_norm[-1]:.2e}, [\d,]+ steps/s", err)


def test_the_bar_goes_on_where_training_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    training = trainer(lab())
    training.fit(rnn.tasks.hello(), 3, progress=False)
    training.fit(rnn.tasks.hello(), until=5)
    err = capsys.readouterr().err
    assert "3/5" in err.split("\r")[1]
    assert "5/5" in err
    assert "0/5" not in err


# -- batches, states, accumulation, clipping, schedules ----------------------------------------------------------------

TEXT = "if you want to build a ship, do not drum up people to collect wood"
ALPHABET = rnn.Alphabet.of(TEXT)
SIZE = len(ALPHABET)


def streams(batch_size: int = 2) -> rnn.Streams:
    return rnn.Streams(ALPHABET.encode(TEXT), length=5, batch_size=batch_size, one_hot=SIZE)


def dropped(seed: int = 0, dtype: Any = np.float32) -> rnn.Sequence:
    recurrent = rnn.LSTM(SIZE, 4, num_layers=2, dropout=0.3, rng=seed, dtype=dtype)
    return rnn.Sequence(recurrent, rnn.Linear(4, SIZE, rng=seed + 1, dtype=dtype))


def everything(training: rnn.Trainer) -> Any:
    """All that may not change where something is refused, as text."""
    carried = training._carried
    return repr((
        {name: p.data.tobytes() for name, p in training.model.named_parameters()},
        {name: a.tobytes() for name, a in training.optimizer.state_dict()["arrays"].items()},
        training.optimizer.state_dict()["options"],
        training.schedule and training.schedule.state_dict(),
        [rng.bit_generator.state for rng in training.model.generators()],
        [module.training for module in training.model.modules()],
        training.batches, training.history, training.best, carried and [part.data.tobytes() for part in carried],
    ))  # fmt: skip


def assert_same_weights(one: rnn.Module, other: rnn.Module, **tolerance: float) -> None:
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, err_msg=name, **{"rtol": 0, "atol": 0, **tolerance})


def test_streams_are_the_loop_one_would_write() -> None:
    """Truncated backpropagation through time: the state is carried, the gradient is not."""
    source, fitted, looped = streams(), dropped(), dropped()
    history = rnn.Trainer(fitted, rnn.SGD(fitted.parameters(), lr=0.5), compile=False).fit(source, 2, progress=False)
    optimizer, state = rnn.SGD(looped.parameters(), lr=0.5), None
    losses, begun = [], 0
    for i in range(2 * len(source)):
        batch = source.batch(i)
        if source.begins(i):
            state, begun = None, begun + 1
        outputs, state = looped.run(batch.inputs, state)
        state = tuple(mg.tensor(part.numpy()) for part in state)
        loss = rnn.sequence_cross_entropy(outputs, batch.targets).total
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert begun == 2
    assert history.loss == losses
    assert_same_weights(fitted, looped)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_graph_does_not_grow(accumulate: int) -> None:
    model = dropped()
    training = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), accumulate=accumulate, compile=False)
    left, made = [], []

    def count(training: rnn.Trainer) -> None:
        gc.collect()
        left.append(sum(issubclass(type(x), Node) for x in gc.get_objects()))  # x.__class__ may warn
        assert training._carried is not None
        assert not any(part.requires_grad for part in training._carried)

    gc.collect()
    gc.freeze()  # what other tests left need not be counted
    training.fit(streams(), 1, progress=False, after_update=count)
    assert len(set(left)) == 1

    answer = rnn.Sequence.predict_batch

    def counted(self: Any, batch: Any, state: Any = None) -> Any:
        outputs, after = answer(self, batch, state)
        made.append((len(batch.inputs), len(mg.Graph(outputs))))
        return outputs, after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rnn.Sequence, "predict_batch", counted)
        training.fit(streams(), 3, progress=False)
    of_full = [nodes for steps, nodes in made if steps == 5]
    assert len(of_full) > 10
    assert max(of_full) <= of_full[0] + 8  # a state that is given is one node more than zeros, for each of its parts


def test_accumulation_is_one_larger_batch() -> None:
    big = rnn.tasks.adding(6).sample(24, np.random.default_rng(0))
    models = []
    for batch_size, accumulate in ((4, 3), (12, 1)):
        model = rnn.ManyToOne(rnn.GRU(2, 3, rng=0, dtype=float), rnn.Linear(3, 1, rng=1, dtype=float))
        training = rnn.Trainer(
            model, rnn.SGD(model.parameters(), lr=0.5, momentum=0.9), loss="mse", accumulate=accumulate, clip_norm=0.1
        )
        models.append((model, training.fit(rnn.Examples(big, batch_size, seed=None), 4, progress=False)))
    (one, first), (other, second) = models
    assert len(first.loss) == len(second.loss) == 8
    assert_same_weights(one, other, rtol=1e-12)
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-12)
    np.testing.assert_allclose(first.grad_norm, second.grad_norm, rtol=1e-12)
    np.testing.assert_allclose(first.steps, second.steps, rtol=1e-12)


def test_the_last_batches_of_an_epoch_may_be_fewer_and_shorter() -> None:
    source, model = streams(), dropped()
    training = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.0), accumulate=3)
    model.recurrent.dropout = 0.0
    history = training.fit(source, 2, progress=False)
    assert len(source) == 7
    alone = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.0)).fit(source, 1, progress=False)
    assert [len(steps) for steps in alone.steps] == [5] * 6 + [3]
    np.testing.assert_allclose(history.loss, [np.mean(alone.loss[:3]), np.mean(alone.loss[3:6]), alone.loss[6]] * 2)
    for steps, loss in zip(history.steps, history.loss, strict=True):
        assert steps.sum() == pytest.approx(loss, rel=1e-6)
    uneven = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.0), accumulate=7).fit(source, 1, progress=False)
    np.testing.assert_allclose(uneven.steps[0][3:], np.sum([x[3:] for x in alone.steps[:6]], axis=0) / 7)


def test_clipping_by_norm_and_value_is_the_loop_one_would_write() -> None:
    fitted, looped, task = lab(), lab(), rnn.tasks.hello()
    training = rnn.Trainer(fitted, rnn.SGD(fitted.parameters(), lr=0.5), clip_norm=0.1, clip_value=0.02, compile=False)
    history = training.fit(task, 5, progress=False)
    for norm in history.grad_norm:
        looped.zero_grad()
        rnn.sequence_cross_entropy(looped(task.inputs), task.targets).total.backward()
        assert norm == rnn.clip_grad_norm(looped.parameters(), 0.1) > 0.1
        rnn.clip_grad_value(looped.parameters(), 0.02)
        assert max(abs(p.grad).max() for p in looped.parameters()) == np.float32(0.02)  # type: ignore[type-var,arg-type]
        for p in looped.parameters():
            p.data = p.data - 0.5 * p.grad  # type: ignore[operator]
    assert_same_weights(fitted, looped)


@pytest.mark.parametrize(
    ("by", "rates"), [("update", [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]), ("epoch", [1, 1, 1, 0.5, 0.5, 0.5])]
)
def test_schedules_step_by_update_or_by_epoch(by: str, rates: list[float]) -> None:
    model = rnn.ManyToOne(rnn.RNN(2, 3, rng=0), rnn.Linear(3, 1, rng=0))
    optimizer = rnn.SGD(model.parameters(), lr=1.0)
    schedule = rnn.schedule.ExponentialLR(optimizer, gamma=0.5)
    training = rnn.Trainer(model, optimizer, loss="mse", schedule=schedule, schedule_by=by)
    assert training.fit(rnn.tasks.adding(4).data(2, batches=3), 2, progress=False).lr == rates


@pytest.mark.parametrize("validated", [True, False])
def test_plateau_uses_the_validation_loss(validated: bool) -> None:
    model = rnn.ManyToOne(rnn.RNN(2, 3, rng=0), rnn.Linear(3, 1, rng=0))
    optimizer = rnn.SGD(model.parameters(), lr=0.01)
    schedule = rnn.schedule.ReduceLROnPlateau(optimizer)
    task = rnn.tasks.adding(4)
    training = rnn.Trainer(model, optimizer, loss="mse", schedule=schedule)
    validation = rnn.Fixed(task.sample(5, np.random.default_rng(7)))
    history = training.fit(task.data(2, batches=3), 1, validation=validation if validated else None, progress=False)
    assert schedule.last_epoch == 1
    assert schedule.best == (history.validation[3] if validated else history.loss[-1])


# -- validation and early stopping -------------------------------------------------------------------------------------


class Learnt(rnn.Module):
    """A weight and an offset; the validation data below make its loss fall and then rise."""

    def __init__(self) -> None:
        self.w = rnn.Parameter([0.0])

    def forward(self, x: Any) -> Any:
        return self.w + 0.0 * np.asarray(x)


def number(target: float) -> rnn.Fixed:
    return rnn.Fixed(rnn.Batch(np.zeros((1, 1, 1)), np.full((1, 1, 1), target)))


def test_early_stopping_waits_patience_epochs_and_goes_back() -> None:
    """w goes 0.2, 0.4, ... towards 1 by a step of 0.2 (Rprop without growth); for validation 0.6 is the best."""
    model = Learnt()
    optimizer = rnn.Rprop(model.parameters(), lr=0.2, etas=(0.5, 1.0000001))
    training = rnn.Trainer(model, optimizer, loss="mse")
    seen = []
    history = training.fit(
        number(100.0),
        50,
        validation=number(0.6),
        patience=4,
        progress=False,
        after_update=lambda t: seen.append(model.w.item()),
    )
    assert len(history.loss) == 7
    np.testing.assert_allclose(list(history.validation.values()), [(0.2 * i - 0.6) ** 2 for i in range(1, 8)], atol=1e-6)
    assert list(history.validation) == list(range(1, 8))
    assert training.best is not None
    assert training.best[:2] == (history.validation[3], 2)
    assert model.w.item() == seen[2] == pytest.approx(0.6)


def test_without_patience_the_best_is_kept_and_training_goes_on() -> None:
    model = Learnt()
    training = rnn.Trainer(model, rnn.Rprop(model.parameters(), lr=0.2, etas=(0.5, 1.0000001)), loss="mse")
    training.fit(number(100.0), 9, validation=number(0.6), progress=False)
    assert model.w.item() == pytest.approx(1.8)
    assert training.best is not None
    assert training.best[2]["w"] == pytest.approx(0.6)


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_a_validation_loss_that_is_no_number_is_not_the_best(monkeypatch: pytest.MonkeyPatch, worst: float) -> None:
    told = iter([worst, 2.0, worst, 1.0, worst, worst, worst])
    monkeypatch.setattr("minigrad_rnn.train.evaluate", lambda *args, **options: rnn.Evaluation(next(told), 0, 0))
    training = trainer(lab())
    training.fit(rnn.tasks.hello(), 50, validation=rnn.tasks.hello(), patience=2, progress=False)
    assert training.best is not None
    assert training.best[:2] == (1.0, 3)
    assert len(training.history.loss) == 6


def test_validation_changes_nothing_but_the_history() -> None:
    """Dropout is off in it, and draws nothing; gradients stay; each module is put back in what it was in."""
    with_it, without, source = dropped(), dropped(), streams()
    grads: list[Any] = []
    training = rnn.Trainer(with_it, rnn.SGD(with_it.parameters(), lr=0.5))
    training.fit(
        source, 2, validation=source, progress=False,
        after_update=lambda t: grads.append([p.grad is not None for p in with_it.parameters()]),
    )  # fmt: skip
    rnn.Trainer(without, rnn.SGD(without.parameters(), lr=0.5)).fit(source, 2, progress=False)
    assert_same_weights(with_it, without)
    assert all(map(all, grads))
    with_it.eval()
    assert training.history.validation[len(training.history.loss)] == rnn.evaluate(with_it, source).loss


class Broken(rnn.Sequence):
    broken = False

    def predict_batch(self, batch: Any, state: Any = None) -> Any:
        assert self.recurrent.training == self.readout.training
        if self.broken and not self.recurrent.training:
            raise RuntimeError("broken")
        return super().predict_batch(batch, state)


@pytest.mark.parametrize("broken", [True, False])
def test_modes_are_put_back_one_by_one_whatever_happens(broken: bool) -> None:
    model = Broken(rnn.LSTM(5, 5, rng=1), rnn.Linear(5, 5, rng=2))
    model.broken = broken
    model.readout.training = False
    before = [module.training for module in model.modules()]
    assert len(set(before)) == 2
    for call in (
        lambda: rnn.evaluate(model, rnn.tasks.hello()),
        lambda: trainer(model).fit(rnn.tasks.hello(), 1, validation=rnn.tasks.hello(), progress=False),
    ):
        if broken:
            with pytest.raises(RuntimeError, match="broken"):
                call()
        else:
            call()
        assert [module.training for module in model.modules()] == before


def test_fit_drops_even_where_the_model_was_left_in_evaluation() -> None:
    one, other = dropped(), dropped().eval()
    for model in (one, other):
        rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.5)).fit(streams(), 1, progress=False)
    assert_same_weights(one, other)
    assert not other.recurrent.training


# -- evaluate ----------------------------------------------------------------------------------------------------------


class Says(rnn.Module):
    """Its inputs are its outputs; or of the last step only."""

    def __init__(self, last: bool = False) -> None:
        self.last = last

    def forward(self, x: Any) -> Any:
        return mg.tensor(x[-1] if self.last else x)


def one_after_the_other(*batches: rnn.Batch) -> rnn.Source:
    class These(rnn.Source):
        def __len__(self) -> int:
            return len(batches)

        def batch(self, i: int) -> rnn.Batch:
            return batches[i]

    return These()


def test_evaluate_cross_entropy_by_hand() -> None:
    a, b = np.log([0.7, 0.2, 0.1]), np.log([0.1, 0.3, 0.6])
    first = rnn.Batch(np.array([[a, b, a], [b, a, a]]), np.array([[0, 2, -100], [2, 1, -100]]))  # right; half; nothing asked
    second = rnn.Batch(np.array([[a], [b], [b]]), np.array([[0], [-100], [1]]))
    result = rnn.evaluate(Says(), one_after_the_other(first, second))
    asked = [0.7, 0.6, 0.6, 0.2, 0.7, 0.3]
    assert result.loss == pytest.approx(-np.mean(np.log(asked)))
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.exact == pytest.approx(1 / 3)
    single = rnn.Batch(np.array([[a, b, b]]), np.array([0, 0, 2]))
    result = rnn.evaluate(Says(last=True), rnn.Fixed(single))
    assert (result.accuracy, result.exact) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert result.loss == pytest.approx(-np.mean(np.log([0.7, 0.1, 0.6])))


def test_evaluate_binary_by_hand() -> None:
    x = np.array([[[2.0, -1.0], [3.0, -2.0]], [[-1.0, -1.0], [1.0, 1.0]]])  # T, B, O
    y = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]]])
    p = 1 / (1 + np.exp(-x))
    result = rnn.evaluate(Says(), rnn.Fixed(rnn.Batch(x, y)), loss="binary")
    assert result.loss == pytest.approx(-np.mean(np.log(np.where(y == 1, p, 1 - p))))
    assert (result.accuracy, result.exact) == (7 / 8, 1 / 2)


def test_evaluate_mse_weighs_unequal_batches_right() -> None:
    rng = np.random.default_rng(0)
    big = rnn.Batch(rng.normal(size=(3, 7, 2)), rng.normal(size=(3, 7, 2)))
    result = rnn.evaluate(Says(), rnn.Examples(big, batch_size=3), loss="mse")
    assert result.loss == pytest.approx(np.mean((big.inputs - big.targets) ** 2))
    assert np.isnan(result.accuracy)
    assert np.isnan(result.exact)


def test_evaluate_carries_the_state_of_streams() -> None:
    model = dropped()
    whole = rnn.Streams(ALPHABET.encode(TEXT), length=40, batch_size=2, one_hot=SIZE)
    assert len(whole) == 1
    one, parts = rnn.evaluate(model, whole), rnn.evaluate(model, streams())
    assert parts.loss == pytest.approx(one.loss, rel=1e-6)
    assert parts.accuracy == one.accuracy
    cut = rnn.Windows(ALPHABET.encode(TEXT), 5, 13, stride=5, one_hot=SIZE)
    assert rnn.evaluate(model, cut).loss != pytest.approx(parts.loss, rel=1e-6)
    assert all(p.grad is None for p in model.parameters())


# -- what is not finite ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_nan_is_told_with_op_layer_and_time_step(accumulate: int) -> None:
    """All is silent but for step 17, where layer 1 overflows; one step later that is NaN."""
    hidden = 8
    recurrent = rnn.LSTM(1, hidden, num_layers=2, dropout=0.1, rng=0)
    model = rnn.Sequence(recurrent, rnn.Linear(hidden, 1, rng=0))
    x = np.zeros((20, 1, 1), np.float32)
    x[17] = 1
    data = one_after_the_other(*[rnn.Batch(x, np.zeros((20, 1, 1)))] * 4)
    training = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1, momentum=0.9), loss="mse", accumulate=accumulate)
    training.fit(data, 1, progress=False, after_update=lambda t: True)
    for p in recurrent.parameters():
        p.data = np.zeros(p.shape)
    recurrent.weight_ih_l0.data = np.repeat([50, 0, 50, 50], hidden)[:, None]
    recurrent.weight_ih_l1.data = np.full((4 * hidden, hidden), 3e38)
    recurrent.weight_hh_l1.data = np.full((4 * hidden, hidden), -3e38)
    before = everything(training)
    with pytest.raises(FloatingPointError) as error:
        training.fit(data, 1, progress=False)
    assert "the loss is nan in epoch 0; earlier updates made the weights too large" in str(error.value)
    assert "It began here: linear, in scope lstm/layer=1/t=17, made inf" in str(error.value)
    assert everything(training) == before


class Edge(rnn.Module):
    """sqrt(y^2), whose slope at 0 is not a number."""

    def __init__(self) -> None:
        self.linear = rnn.Linear(5, 5, bias=False, rng=0)

    def forward(self, x: Any) -> Any:
        return np.sqrt(np.square(self.linear(x)))


def test_a_nan_in_the_gradient_alone_is_told(tmp_path: Path) -> None:
    model = rnn.Sequence(rnn.LSTM(5, 5, rng=1), Edge())
    model.readout.linear.weight.data = np.zeros((5, 5))
    training = trainer(model)
    before = everything(training)
    with pytest.raises(FloatingPointError) as error:
        training.fit(rnn.tasks.hello(), 1, progress=False, save=tmp_path / "c")
    assert re.search("the norm of the gradient is (nan|inf) in epoch 0, before any update", str(error.value))
    assert "It began here: the backward pass of sqrt" in str(error.value)
    assert everything(training) == before
    assert not (tmp_path / "c").exists()


def test_what_is_spoilt_already_is_told_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    training = trainer(lab())
    training.fit(rnn.tasks.hello(), 2, progress=False, save=tmp_path / "c")
    saved = (tmp_path / "c").read_bytes()
    weight = training.model.recurrent.weight_hh_l0
    weight.data = np.where(np.eye(20, 5), np.nan, weight.data)
    with pytest.raises(FloatingPointError, match=r"the loss is nan in epoch 2; .*\nNot finite already: recurrent.weight_hh_l0"):
        training.fit(rnn.tasks.hello(), 2, progress=False, save=tmp_path / "c", save_every=1)
    assert (tmp_path / "c").read_bytes() == saved


@pytest.mark.parametrize("which", ["inputs", "targets"])
def test_data_that_are_spoilt_are_told(which: str) -> None:
    good = rnn.tasks.adding(4).sample(3, np.random.default_rng(0))
    bad = good._replace(**{which: np.where(getattr(good, which) > 0.5, np.nan, getattr(good, which))})
    model = rnn.ManyToOne(rnn.RNN(2, 3, rng=0), rnn.Linear(3, 1, rng=0))
    training = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), loss="mse")
    message = f"the loss is nan in epoch 0: look at the data\nNot finite already: {which} of batch 2"
    with pytest.raises(FloatingPointError, match=message):
        training.fit(one_after_the_other(good, good, bad), 1, progress=False)
    assert training.batches == 2


def test_a_step_that_overflows_is_not_made(tmp_path: Path) -> None:
    """The gradient is finite, lr times it is not: no weight and no checkpoint is spoilt by it."""
    model = lab()
    optimizer = rnn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    training = rnn.Trainer(model, optimizer)
    training.fit(rnn.tasks.hello(), 2, progress=False, save=tmp_path / "c")
    saved = (tmp_path / "c").read_bytes()
    optimizer.lr = 1e40
    before = everything(training)
    with pytest.raises(FloatingPointError, match=r"overflow .*Try a learning rate below 1e\+40"):
        training.fit(rnn.tasks.hello(), 2, progress=False, save=tmp_path / "c", save_every=1)
    assert everything(training) == before
    assert (tmp_path / "c").read_bytes() == saved


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, sys, time
import minigrad_rnn as rnn

class Slow(rnn.Sequence):
    def predict_batch(self, batch, state=None):
        if slow:
            print("within", flush=True)
            time.sleep(0.3)
            outputs = super().predict_batch(batch, state)
            print("learnt", flush=True)
            return outputs
        return super().predict_batch(batch, state)

slow = False
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it may be ignored
model = Slow(rnn.LSTM(5, 5, num_layers=2, dropout=0.5, rng=1), rnn.Linear(5, 5, rng=2))
trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1, momentum=0.9))
trainer.fit(rnn.tasks.hello(), 2, progress=False)
trainer.save(sys.argv[1] + "before")
slow = True
try:
    trainer.fit(rnn.tasks.hello(), 50, progress=False, save=sys.argv[1])
except KeyboardInterrupt as error:
    print("interrupted", len(trainer.history.loss), *getattr(error, "__notes__", []), flush=True)
    trainer.save(sys.argv[1] + "after")
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_is_patient_and_twice_is_not(times: int, tmp_path: Path) -> None:
    path = tmp_path / "c"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(rnn.__file__).parent.parent)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "within\n"
    process.send_signal(signal.SIGINT)
    if times == 2:
        time.sleep(0.05)  # two signals at the same time are one
        process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    told = out.splitlines()
    assert told.pop() == "True", errors
    if times == 1:
        assert told == [
            "learnt", f"interrupted 3 saved to {path}; trainer.load({str(path)!r}) and fit(until=...) continue from here"
        ]  # fmt: skip
        assert path.read_bytes() == (tmp_path / "cafter").read_bytes() != (tmp_path / "cbefore").read_bytes()
    else:
        assert told == ["interrupted 2"]
        assert not path.exists()
        assert (tmp_path / "cafter").read_bytes() == (tmp_path / "cbefore").read_bytes()


def test_an_interrupt_ends_after_the_update_and_training_goes_on(tmp_path: Path) -> None:
    whole, model = dropped(), dropped()
    training = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.5))

    def at_the_third(training: rnn.Trainer) -> None:
        if len(training.history.loss) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        training.fit(streams(), until=2, progress=False, after_update=at_the_third)
    assert caught.value.__notes__ == ["the last complete update is in the model; fit() continues from here"]
    assert len(training.history.loss) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    training.fit(streams(), until=2, progress=False)
    rnn.Trainer(whole, rnn.SGD(whole.parameters(), lr=0.5)).fit(streams(), 2, progress=False)
    assert_same_weights(model, whole)


def test_an_interrupt_at_the_very_end_is_not_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It comes while the last checkpoint is written, which is not disturbed."""
    training = trainer(lab())
    save = training.save
    monkeypatch.setattr(training, "save", lambda path: (signal.raise_signal(signal.SIGINT), save(path)))
    with pytest.raises(KeyboardInterrupt):
        training.fit(rnn.tasks.hello(), 3, progress=False, save=tmp_path / "c", save_every=3)
    assert rnn.load_checkpoint(tmp_path / "c")[1]["batches"] == 3


def test_the_handler_is_put_back_after_an_error_and_another_ones_is_left_alone() -> None:
    def fails(training: rnn.Trainer) -> None:
        handlers.append(signal.getsignal(signal.SIGINT))
        raise RuntimeError

    handlers: list[Any] = []
    before = signal.getsignal(signal.SIGINT)
    for handler in (before, signal.SIG_IGN, lambda number, frame: None):
        signal.signal(signal.SIGINT, handler)
        try:
            with pytest.raises(RuntimeError):
                trainer(lab()).fit(rnn.tasks.hello(), 1, progress=False, after_update=fails)
            assert signal.getsignal(signal.SIGINT) is handler
            assert (handlers.pop() is handler) == (handler is not before)
        finally:
            signal.signal(signal.SIGINT, before)


def test_fit_works_in_a_thread() -> None:
    handlers: list[Any] = []
    model, other = lab(), lab()
    thread = threading.Thread(
        target=lambda: trainer(model).fit(
            rnn.tasks.hello(), 5, progress=False, after_update=lambda t: handlers.append(signal.getsignal(signal.SIGINT))
        )
    )
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler] * 5
    trainer(other).fit(rnn.tasks.hello(), 5, progress=False)
    assert_same_weights(model, other)


def test_an_update_that_is_interrupted_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is: in the forward pass, or when half of the weights are stepped."""
    model = dropped()
    training = rnn.Trainer(model, rnn.Adam(model.parameters()), accumulate=2, compile=False)  # a program calls no method
    training.fit(streams(), 3, progress=False, after_update=lambda t: len(t.history.loss) == 5)
    before = everything(training)
    for owner, name, last in ((rnn.Sequence, "predict_batch", 2), (rnn.Adam, "update", 4)):
        calls = 0
        original = getattr(owner, name)

        def interrupted(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last:  # noqa: B023
                raise KeyboardInterrupt
            return original(*args, **options)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                training.fit(streams(), 3, progress=False)
        assert calls == last
        assert everything(training) == before


# -- the history in files ----------------------------------------------------------------------------------------------


def learnt() -> rnn.History:
    return trainer(lab()).fit(rnn.tasks.hello(), 4, validation=rnn.tasks.hello(), progress=False)


def test_rows_and_what_is_since() -> None:
    history = learnt()
    rows = list(history.rows())
    assert [row["update"] for row in rows] == [1, 2, 3, 4]
    assert rows[2] == {
        "update": 3, "loss": history.loss[2], "grad_norm": history.grad_norm[2], "lr": 0.1, "validation": history.validation[3]
    }  # fmt: skip
    later = history.since(3)
    assert (later.loss, later.validation, len(later.steps)) == (history.loss[3:], {1: history.validation[4]}, 1)
    del history.validation[3]
    assert "validation" not in list(history.rows())[2]


def test_csv_and_json_lines_come_back(tmp_path: Path) -> None:
    history = learnt()
    del history.validation[2]
    rows = list(history.rows())
    for _ in range(2):  # the second in the place of the first
        history.save(tmp_path / "h.csv")
        history.save(str(tmp_path / "h.jsonl"))
    with (tmp_path / "h.csv").open(newline="", encoding="utf-8") as file:
        told = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    assert told == rows
    assert [json.loads(line) for line in (tmp_path / "h.jsonl").read_text(encoding="utf-8").splitlines()] == rows
    assert sorted(os.listdir(tmp_path)) == ["h.csv", "h.jsonl"]
    rnn.History().save(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text(encoding="utf-8").split() == ["update,loss,grad_norm,lr,validation"]


def test_another_suffix_is_refused_and_what_is_there_stays(tmp_path: Path) -> None:
    for name in ("h.txt", "h", "model.safetensors"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(ValueError, match=rf"the name of a history must end in \.csv or \.jsonl; it is {name}"):
            learnt().save(tmp_path / name)
        assert (tmp_path / name).read_text() == "precious"


def test_a_failed_save_of_the_history_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = learnt()
    history.save(tmp_path / "h.csv")
    before = (tmp_path / "h.csv").read_bytes()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    for where in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(where, full)
            with pytest.raises(OSError, match="No space left"):
                rnn.History().save(tmp_path / "h.csv")
        assert (tmp_path / "h.csv").read_bytes() == before
        assert os.listdir(tmp_path) == ["h.csv"]


def test_plot_makes_a_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = learnt()
    figure = history.plot(tmp_path / "h.png")
    above, below = figure.axes
    assert [list(line.get_ydata()) for line in above.lines] == [history.loss, list(history.validation.values())]
    assert list(below.lines[0].get_ydata()) == history.grad_norm
    assert (above.get_ylabel(), below.get_xlabel(), below.get_yscale()) == ("loss", "update", "log")
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
    assert len(rnn.History().plot().axes) == 2


def test_without_matplotlib_there_is_an_error_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'minigrad-rnn[plot]'")):
        learnt().plot()


# -- wrong inputs ------------------------------------------------------------------------------------------------------

HELLO = rnn.tasks.hello()


def unnamed_loss() -> rnn.Source:
    source = rnn.Generated(lambda n, rng: rnn.Batch(rng.random((4, n, 5)), rng.random((n, 1))), 3)
    source.loss = None  # type: ignore[assignment]
    return source


WRONG_FITS: dict[str, tuple[Callable[[rnn.Trainer], Any], type[Exception], str]] = {
    "data": (lambda t: t.fit("hello", 1), TypeError, "data must be a task, or a source .*, not str"),  # type: ignore[arg-type]
    "none": (lambda t: t.fit(HELLO), ValueError, "either epochs"),
    "both": (lambda t: t.fit(HELLO, 1, until=1), ValueError, "either epochs"),
    "no epochs": (lambda t: t.fit(HELLO, 0), ValueError, "epochs is 0; expected a whole number from 1 on"),
    "no loss": (lambda t: rnn.Trainer(t.model, t.optimizer, loss="msee"), ValueError, "loss must be one of .*, not 'msee'"),
    "negative until": (lambda t: t.fit(HELLO, until=-1), ValueError, "until is -1; expected a whole number from 0 on"),
    "half epochs": (lambda t: t.fit(HELLO, 0.5), TypeError, "epochs is 0.5; expected"),  # type: ignore[arg-type]
    "patience alone": (lambda t: t.fit(HELLO, 1, patience=1), ValueError, "patience needs validation data"),
    "patience 0": (lambda t: t.fit(HELLO, 1, patience=0, validation=HELLO), ValueError, "patience is 0"),
    "save_every alone": (lambda t: t.fit(HELLO, 1, save_every=1), ValueError, "save_every needs save, the path"),
    "save_every 0": (lambda t: t.fit(HELLO, 1, save_every=0, save="c"), ValueError, "save_every is 0"),
    "validation": (lambda t: t.fit(HELLO, 1, validation=3), TypeError, "data must be a task"),  # type: ignore[arg-type]
    "no folder": (lambda t: t.fit(HELLO, 1, save="/no/such/folder/c"), FileNotFoundError, "there is no folder"),
    "a folder": (lambda t: t.fit(HELLO, 1, save="/"), IsADirectoryError, "is a folder"),
    "no batches": (lambda t: t.fit(one_after_the_other(), 1), ValueError, "has no batches"),
    "loss of a source": (lambda t: t.fit(unnamed_loss(), 1), ValueError, "give loss='mse', loss='binary'"),
    "another loss": (lambda t: t.fit(rnn.tasks.adding(4), 1), ValueError, "input"),
}


@pytest.mark.parametrize("which", WRONG_FITS)
def test_wrong_arguments_of_fit_change_nothing(which: str) -> None:
    call, kind, message = WRONG_FITS[which]
    model = rnn.Sequence(rnn.LSTM(5, 5, num_layers=2, dropout=0.5, rng=1), rnn.Linear(5, 5, rng=2))
    training = trainer(model, compile=False)
    training.fit(HELLO, 2, progress=False)
    before = everything(training)
    with pytest.raises(kind, match=message):
        call(training)
    assert everything(training) == before


def test_wrong_arguments_of_a_trainer() -> None:
    model = lab()
    optimizer, other = rnn.SGD(model.parameters()), rnn.SGD(lab().parameters())
    mixed = rnn.SGD([*model.parameters(), *lab().parameters()])
    for wrong in (other, mixed):
        with pytest.raises(ValueError, match="parameters that are not this model's"):
            rnn.Trainer(model, wrong)
    layer = rnn.RNN(5, 5)
    with pytest.raises(TypeError, match="not RNN"):
        rnn.Trainer(layer, rnn.SGD(layer.parameters(), lr=0.1))
    wrong_options: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"accumulate": 0}, ValueError, "accumulate is 0"),
        ({"accumulate": 1.5}, TypeError, "accumulate is 1.5"),
        ({"schedule_by": "year"}, ValueError, "schedule_by must be 'update' or 'epoch', not 'year'"),
        ({"schedule": 0.9}, TypeError, "schedule must be one of minigrad_rnn.schedule, not float"),
        ({"schedule": rnn.schedule.LinearLR(other)}, ValueError, "of another optimizer"),
    ]
    for options, kind, message in wrong_options:
        with pytest.raises(kind, match=message):
            rnn.Trainer(model, optimizer, **options)


class Pair(rnn.Module):
    """Its dropout draws before it is refused."""

    def __init__(self) -> None:
        self.linear = rnn.Linear(5, 5, rng=0)
        self.dropout = rnn.Dropout(0.5, rng=0)

    def forward(self, x: Any) -> Any:
        return self.dropout(self.linear(x)), None


def test_a_model_that_gives_a_pair_is_refused() -> None:
    training = rnn.Trainer(model := Pair(), rnn.SGD(model.parameters()))
    before = everything(training)
    with pytest.raises(
        TypeError, match=r"the model must return one Tensor of outputs, or define predict_batch; it returned tuple"
    ):
        training.fit(HELLO, 1, progress=False)
    assert everything(training) == before


def scheduled(
    hidden: int = 5, optimizer: Any = rnn.Adam, schedule: Any = rnn.schedule.LinearLR, dropout: float = 0.5, dtype: Any = "f4"
) -> rnn.Trainer:
    recurrent = rnn.LSTM(5, hidden, num_layers=2, dropout=dropout, rng=1, dtype=dtype)
    model = rnn.Sequence(recurrent, rnn.Linear(hidden, 5, rng=2, dtype=dtype))
    over = optimizer(model.parameters(), lr=0.1)
    return rnn.Trainer(model, over, schedule=schedule and schedule(over))


def with_dropout(training: rnn.Trainer) -> rnn.Trainer:
    training.model.dropout = rnn.Dropout(0.1)
    return training


WRONG_FILES: dict[str, Callable[[Path], Any]] = {
    "weights": lambda path: rnn.save_weights(path, scheduled().model.state_dict()),
    "another checkpoint": lambda path: rnn.save_checkpoint(path, scheduled().model.state_dict(), {"a": 1}),
    "no safetensors": lambda path: path.write_bytes(b"what is this?" * 9),
    "another model": lambda path: scheduled(hidden=6).save(path),
    "another dtype": lambda path: scheduled(dtype="f8", optimizer=rnn.SGD).save(path),
    "another optimizer": lambda path: scheduled(optimizer=rnn.RMSprop).save(path),
    "another schedule": lambda path: scheduled(schedule=lambda o: rnn.schedule.CosineAnnealingLR(o, T_max=9)).save(path),
    "no schedule": lambda path: scheduled(schedule=None).save(path),
    "more generators": lambda path: with_dropout(scheduled()).save(path),
}


@pytest.mark.parametrize("wrong", [*WRONG_FILES, "a schedule", "damaged history", "damaged best", "damaged position"])
def test_a_file_that_does_not_fit_changes_nothing(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "c"
    training = scheduled(
        schedule=None if wrong == "a schedule" else rnn.schedule.LinearLR,
        optimizer=rnn.SGD if wrong == "another dtype" else rnn.Adam,
    )
    if wrong in WRONG_FILES:
        WRONG_FILES[wrong](path)
    else:
        scheduled().save(path)
        arrays, info = rnn.load_checkpoint(path)
        if wrong == "damaged history":
            del arrays["history.loss"]
        elif wrong == "damaged best":
            info["best"] = "the best"
        elif wrong == "damaged position":
            info["batches"] = -1
        rnn.save_checkpoint(path, arrays, info)
    training.fit(HELLO, 3, validation=HELLO, progress=False)
    before = everything(training)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        training.load(path)
    assert everything(training) == before
    history = training.fit(HELLO, 2, progress=False)
    assert len(history.loss) == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        scheduled().load(tmp_path / "c")


# -- arrays in place of a source -----------------------------------------------------------------------------------------


def forecasts() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 4, 3)), rng.normal(size=(6, 4, 1))


def forecaster() -> rnn.Sequence:
    return rnn.Sequence(rnn.GRU(3, 5, rng=0), rnn.Linear(5, 1, rng=1))


def test_a_pair_of_arrays_trains_as_the_source_of_this_batch() -> None:
    x, y = forecasts()
    losses = []
    for data in ((x, y), rnn.Batch(x, y), rnn.Fixed(rnn.Batch(x, y)), (mg.tensor(x), mg.tensor(y))):
        model = forecaster()
        trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1), loss="mse")
        history = trainer.fit(data, 3, validation=data, patience=5, progress=False)
        losses.append([*history.loss, *history.validation.values(), *rnn.evaluate(model, data, loss="mse")[:1]])
    assert all(found == losses[0] for found in losses)
    assert len(losses[0]) == 7


def test_a_forecast_without_a_loss_is_told_what_to_write() -> None:
    x, y = forecasts()
    model = forecaster()
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1))
    words = r"numbers \(float64 of shape \(6, 4, 1\)\), not class indices: give loss='mse', loss='binary'"
    for call in (lambda data: trainer.fit(data, 1), lambda data: rnn.evaluate(model, data)):
        for data in ((x, y), rnn.Examples(rnn.Batch(x, y), 4)):
            with pytest.raises(ValueError, match=words):
                call(data)
    assert rnn.evaluate(model, (x, np.zeros((6, 4), int))).loss == 0  # integers are classes, here of one


@pytest.mark.parametrize("data", [np.zeros((6, 4, 3)), mg.tensor(np.zeros((6, 4, 3))), None])
def test_inputs_alone_are_told_how_arrays_are_given(data: Any) -> None:
    model = forecaster()
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters()), loss="mse")
    words = r"give arrays as a pair \(inputs, targets\), as in fit\(\(inputs, targets\), epochs\)"
    with pytest.raises(TypeError, match=words):
        trainer.fit(data, np.zeros((6, 4, 1)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=words):
        rnn.evaluate(model, data)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_trainer_can_be_copied_and_pickled_after_use(clone: Any, compiled: bool) -> None:
    model = rnn.Sequence(rnn.LSTM(3, 5, num_layers=2, dropout=0.5, rng=0), rnn.Linear(5, 1, rng=1))
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1), loss="mse", compile=compiled)
    data = forecasts()
    trainer.fit(data, 3, progress=False)
    other = clone(trainer)
    assert other.model is not model
    assert [id(p) for p in other.optimizer.parameters] == [id(p) for p in other.model.parameters()]
    assert trainer.fit(data, 3, progress=False).loss == other.fit(data, 3, progress=False).loss
    other.fit(data, 1, progress=False)
    assert len(trainer.history.loss) == 6
    assert len(other.history.loss) == 7
