"""Training: what it does to the model, what it tells, and that the lab's models learn hello whatever the seed."""

import itertools
import re
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn


def lab(kind: Any = rnn.LSTM, seed: int = 0, **options: Any) -> rnn.Sequence:
    """Five symbols, five hidden numbers."""
    rng = np.random.default_rng(seed)
    return rnn.Sequence(kind(5, 5, rng=rng, **options), rnn.Linear(5, 5, rng=rng))


def trainer(model: rnn.Sequence, lr: float = 0.1) -> rnn.Trainer:
    return rnn.Trainer(model, rnn.Adam(model.parameters(), lr=lr))


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [rnn.LSTM, rnn.RNN])
def test_fifty_epochs_teach_hello_whatever_the_seed(kind: Any) -> None:
    task = rnn.tasks.hello()
    said = []
    for seed in range(30):
        model = lab(kind, seed)
        trainer(model).fit(task, epochs=50, progress=False)
        said.append(rnn.predict(model, task))
    assert said.count("ihello") >= 29, said


def test_loss_falls_below_every_bound_of_the_task() -> None:
    task = rnn.tasks.hello()
    loss = trainer(lab()).fit(task, epochs=50, progress=False).loss
    assert loss[-1] < 0.1 * loss[0]
    assert loss[-1] < min(task.bounds.values())


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_fit_is_the_loop_one_would_write(kind: Any) -> None:
    task = rnn.tasks.hello()
    fitted, looped = lab(kind), lab(kind)
    history = trainer(fitted).fit(task, epochs=7, progress=False)
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


# -- history and after_epoch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [0, 1, 5])
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
    trainer(model).fit(rnn.tasks.hello(), epochs=0, progress=False)
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_a_negative_number_of_epochs_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs is -1; it cannot be negative"):
        trainer(lab()).fit(rnn.tasks.hello(), epochs=-1, progress=False)


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
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as error:
        rnn.Trainer(model, rnn.SGD(model.parameters(), lr=1e30)).fit(rnn.tasks.hello(), epochs=50, progress=False)
    first, second = str(error.value).splitlines()
    assert first in [
        f"the loss is {value} in epoch {epoch}; the updates before made the weights too large. Try a learning rate below 1e+30"
        for value in ("nan", "inf")
        for epoch in (1, 2)
    ]
    assert re.fullmatch("It began here: .*, in scope rnn/layer=0/t=[0-5], made (nan|inf) out of finite operands.*", second)


@pytest.mark.parametrize(("bias", "loss"), [([np.inf, 0, 0, 0, 0], "nan"), ([3e38, *[-3e38] * 4], "inf")])
def test_a_loss_that_is_no_number_stops_training_before_the_update(bias: list[float], loss: str) -> None:
    model = lab()
    model.readout.bias.data = np.array(bias)
    before = model.state_dict()
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=f"the loss is {loss} in epoch 0, before any update"),
    ):
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


def test_an_optimizer_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="none of this model's parameters"):
        rnn.Trainer(lab(), rnn.SGD(lab().parameters(), lr=0.1))
    layer = rnn.RNN(5, 5)
    with pytest.raises(TypeError, match="not a RNN"):
        rnn.Trainer(layer, rnn.SGD(layer.parameters(), lr=0.1))  # type: ignore[arg-type]
