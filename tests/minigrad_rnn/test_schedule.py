"""Schedules by their formulas, what they save, and what they refuse. PyTorch's numbers are in test_optim_torch.py."""

import copy
import json
import math
import re
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad_rnn.schedule import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    WarmupLR,
)


def optimizer_of(lr: float = 0.1) -> rnn.Optimizer:
    return rnn.SGD([rnn.Parameter([1.0])], lr=lr)


def thirds(t: int) -> float:
    return 3.0**-t


SCHEDULES: dict[str, Any] = {
    "LambdaLR": lambda o: LambdaLR(o, thirds),
    "StepLR": lambda o: StepLR(o, 4, 0.3),
    "MultiStepLR": lambda o: MultiStepLR(o, [2, 5, 5], 0.7),
    "ExponentialLR": lambda o: ExponentialLR(o, 0.9),
    "LinearLR": lambda o: LinearLR(o, 0.1, 0.8, 7),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, 30, 0.001),
    "WarmupLR": lambda o: WarmupLR(CosineAnnealingLR(o, 30, 0.001), 0.1, 4),
    "two warm-ups": lambda o: WarmupLR(WarmupLR(StepLR(o, 3), 0.5, 2), 0.1, 4),
    "CosineAnnealingWarmRestarts": lambda o: CosineAnnealingWarmRestarts(o, 4, 2, 0.01),
    "OneCycleLR": lambda o: OneCycleLR(o, 1.0, 50, pct_start=0.22, cycle_momentum=False, div_factor=10, three_phase=True),
    "SequentialLR": lambda o: SequentialLR(o, [LinearLR(o, 0.1, 0.8, 7), ExponentialLR(o, 0.9), StepLR(o, 5, 0.5)], [9, 20]),
}


# -- formulas ----------------------------------------------------------------------------------------------------------


def rates_by_hand(name: str, steps: int) -> list[float]:
    """The rates of the schedules above over a rate of 0.1, from one step to the next."""
    rates, lr = [], 0.1
    for t in range(steps):
        if name == "LambdaLR":
            rates.append(0.1 / 3**t)
        elif name == "StepLR":
            lr *= 0.3 if t and t % 4 == 0 else 1
            rates.append(lr)
        elif name == "MultiStepLR":
            lr *= {2: 0.7, 5: 0.49}.get(t, 1)
            rates.append(lr)
        elif name == "ExponentialLR":
            rates.append(lr)
            lr *= 0.9
        elif name == "LinearLR":
            rates.append(0.01 + 0.01 * t if t < 7 else 0.08)
        elif name == "CosineAnnealingLR":
            rates.append(0.001 + 0.099 * math.cos(math.pi * t / 60) ** 2)
        elif name == "WarmupLR":
            warm = [0.01, 0.0325, 0.055, 0.0775]
            rates.append(warm[t] if t < 4 else 0.001 + 0.099 * math.cos(math.pi * (t - 4) / 60) ** 2)
        elif name == "CosineAnnealingWarmRestarts":
            begin, length = next((b, n) for b, n in ((28, 32), (12, 16), (4, 8), (0, 4)) if t >= b)
            rates.append(0.01 + 0.09 * math.cos(math.pi * (t - begin) / length / 2) ** 2)
        elif name == "OneCycleLR":  # up to step 10, down to step 20, out at step 49
            low, high, share = (0.1, 1.0, 1 - t / 10) if t <= 10 else (0.1, 1.0, t / 10 - 1)
            if t > 20:
                low, high, share = 1e-5, 0.1, (t - 20) / 29
            rates.append(low + (high - low) * math.cos(math.pi * share / 2) ** 2)
        elif name == "SequentialLR":
            line = 0.01 + 0.01 * t if t < 7 else 0.08
            rates.append(line if t < 9 else 0.1 * 0.9 ** (t - 9) if t < 20 else 0.1 * 0.5 ** ((t - 20) // 5))
        else:
            warm = [0.01, 0.0325, 0.055, 0.0775, 0.05, 0.075]
            rates.append(warm[t] if t < 6 else 0.1 ** (1 + (t - 6) // 3))
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_their_formulas(name: str) -> None:
    optimizer = optimizer_of()
    schedule = SCHEDULES[name](optimizer)
    seen = []
    for _ in range(50):
        seen.append(optimizer.lr)
        schedule.step()
    np.testing.assert_allclose(seen, rates_by_hand(name, 50), rtol=1e-12)
    assert seen == [schedule.rate(t) for t in range(50)]
    assert schedule.last_epoch == 50


def test_a_schedule_sets_the_rate_that_the_next_step_takes() -> None:
    w = rnn.Parameter([1.0])
    optimizer = rnn.SGD([w], lr=0.5)
    schedule = ExponentialLR(optimizer, 0.5)
    for _ in range(2):
        w.grad = np.array([1.0])
        optimizer.step()
        schedule.step()
    np.testing.assert_array_equal(w.data, [0.25])


def test_float32_stays_float32_under_a_schedule() -> None:
    w = rnn.Parameter([1.0], dtype=np.float32)
    optimizer = rnn.Adam([w], lr=0.5)
    schedule = LambdaLR(optimizer, lambda t: np.cos(t / 10))
    for _ in range(3):
        w.grad = np.ones(1, np.float32)
        optimizer.step()
        schedule.step()
    assert w.dtype == optimizer.states[0].m.dtype == np.float32


def test_a_rate_set_by_hand_is_a_new_beginning() -> None:
    optimizer = optimizer_of(0.5)
    schedule = ExponentialLR(optimizer, 0.5)
    schedule.step()
    assert StepLR(optimizer, 3).base_lrs == (0.5,)
    optimizer.lr = 0.25
    assert StepLR(optimizer, 3).base_lrs == (0.25,)


def test_groups_each_have_the_schedule_from_their_own_rate() -> None:
    for name, make in SCHEDULES.items():
        optimizer = rnn.SGD([{"params": [rnn.Parameter([1.0])], "lr": lr} for lr in (0.1, 0.3)])
        alone = [optimizer_of(lr) for lr in (0.1, 0.3)]
        schedules = [make(o) for o in (optimizer, *alone)]
        for _ in range(30):
            assert [group.lr for group in optimizer.param_groups] == [o.lr for o in alone], name
            for schedule in schedules:
                schedule.step()
        new = rnn.SGD([{"params": [rnn.Parameter([1.0])]} for _ in range(2)])
        again = make(new)
        again.load_state_dict(json.loads(json.dumps(schedules[0].state_dict())))
        assert [group.lr for group in new.param_groups] == [o.lr for o in alone], name
        with pytest.raises(ValueError, match="has length 2; give one for each of the 1 groups"):
            make(optimizer_of()).load_state_dict(schedules[0].state_dict())


def test_a_cycle_moves_the_momentum_too_and_saves_it() -> None:
    for optimizer in (rnn.SGD([rnn.Parameter([1.0])], momentum=0.5), rnn.Adam([rnn.Parameter([1.0])])):
        schedule = OneCycleLR(optimizer, 1.0, 11, pct_start=0.5, anneal_strategy="linear", base_momentum=0.1, max_momentum=0.9)
        seen = []
        for _ in range(11):
            o: Any = optimizer
            seen.append(o.betas[0] if isinstance(o, rnn.Adam) else o.momentum)
            schedule.step()
        np.testing.assert_allclose(seen[:5], 0.9 - 0.8 * np.arange(5) / 4.5, rtol=1e-12)
        np.testing.assert_allclose(seen[5:], 0.1 + 0.8 * (np.arange(5, 11) - 4.5) / 5.5, rtol=1e-12)
        again = copy.deepcopy(optimizer)
        schedule.load_state_dict({**schedule.state_dict(), "last_epoch": 3})
        assert again.options() != optimizer.options()
        again.load_state_dict(optimizer.state_dict())
        assert again.options() == optimizer.options()


# -- plateaus ----------------------------------------------------------------------------------------------------------


def rates_of(metrics: list[float], **options: Any) -> list[float]:
    optimizer = optimizer_of(1.0)
    schedule = ReduceLROnPlateau(optimizer, **options)
    rates = []
    for metric in metrics:
        schedule.step(metric)
        rates.append(optimizer.lr)
    return rates


def test_the_rate_falls_when_patience_is_at_its_end() -> None:
    assert rates_of([3, 2, 2, 2, 2, 2, 2], factor=0.5, patience=1) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates_of([3, 2, 2, 1, 2, 2], factor=0.5, patience=1) == [1, 1, 1, 1, 1, 0.5]


def test_after_a_reduction_there_is_a_cooldown() -> None:
    assert rates_of([1] * 7, factor=0.5, patience=0, cooldown=2) == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_better_means_better_by_the_threshold() -> None:
    options = {"factor": 0.5, "patience": 0}
    assert rates_of([10, 9.5], threshold=0.1, **options)[-1] == 0.5
    assert rates_of([10, 8.9], threshold=0.1, **options)[-1] == 1
    assert rates_of([10, 9.5], threshold=0.1, threshold_mode="abs", **options)[-1] == 1
    assert rates_of([10, 10.5], threshold=0.1, mode="max", **options)[-1] == 0.5
    assert rates_of([10, 11.5], threshold=0.1, mode="max", **options)[-1] == 1
    assert rates_of([10, 10.5], threshold=0.1, mode="max", threshold_mode="abs", **options)[-1] == 1


def test_the_rate_does_not_fall_below_its_minimum_nor_by_next_to_nothing() -> None:
    assert rates_of([1] * 4, factor=0.5, patience=0, min_lr=0.3) == [1, 0.5, 0.3, 0.3]
    assert rates_of([1] * 4, factor=0.5, patience=0, eps=0.3) == [1, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_not_better(metric: float) -> None:
    assert rates_of([metric, 1, metric, 0.5], factor=0.5, patience=0) == [0.5, 0.5, 0.25, 0.25]


# -- saving ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("stop", [0, 3, 17])
def test_a_schedule_goes_on_bit_for_bit_after_saving_and_loading(name: str, stop: int) -> None:
    straight, stopped = optimizer_of(), optimizer_of()
    one, other = SCHEDULES[name](straight), SCHEDULES[name](stopped)
    for _ in range(stop):
        one.step()
        other.step()
    text = json.dumps(other.state_dict(), allow_nan=False)
    new = optimizer_of(0.77)
    again = SCHEDULES[name](new)
    again.load_state_dict(json.loads(text))
    for _ in range(20):
        assert new.lr == straight.lr
        one.step()
        again.step()
    assert again.state_dict() == one.state_dict()


def test_other_settings_are_taken_over() -> None:
    optimizer = optimizer_of(0.3)
    schedule = WarmupLR(MultiStepLR(optimizer, [9]), 0.5, 2)
    saved = WarmupLR(MultiStepLR(optimizer_of(), [1, 2], gamma=0.5), 0.1, 4)
    for _ in range(5):
        saved.step()
    schedule.load_state_dict(saved.state_dict())
    assert optimizer.lr == saved.optimizer.lr == 0.05
    assert schedule.after.milestones == (1, 2)


def test_a_plateau_goes_on_bit_for_bit_after_saving_and_loading() -> None:
    def make(lr: float) -> tuple[rnn.Optimizer, ReduceLROnPlateau]:
        optimizer = optimizer_of(lr)
        return optimizer, ReduceLROnPlateau(optimizer, factor=0.7, patience=1, cooldown=2)

    metrics = np.random.default_rng(0).normal(size=60).tolist()
    for stop in (0, 1, 7, 30):
        (straight, one), (_, other) = make(0.1), make(0.1)
        for metric in metrics[:stop]:
            one.step(metric)
            other.step(metric)
        new, again = make(0.9)
        again.load_state_dict(json.loads(json.dumps(other.state_dict(), allow_nan=False)))
        for metric in metrics[stop:]:
            assert new.lr == straight.lr
            one.step(metric)
            again.step(metric)
        assert again.state_dict() == one.state_dict()


def test_loading_is_the_same_before_the_optimizer_and_after_it() -> None:
    def make(lr: float) -> tuple[rnn.Optimizer, LRScheduler]:
        optimizer = optimizer_of(lr)
        return optimizer, StepLR(optimizer, 2)

    optimizer, schedule = make(0.1)
    for _ in range(3):
        schedule.step()
    for first in (0, 1):
        new = make(0.9)
        states = (optimizer.state_dict(), schedule.state_dict())
        for i in (first, 1 - first):
            new[i].load_state_dict(states[i])  # type: ignore[arg-type]
        new[1].step()
        assert new[0].lr == schedule.rate(4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: {**s, "class": "ExponentialLR"},
            "this is the state of ExponentialLR, and this is StepLR; make ExponentialLR",
        ),
        (lambda s: {k: v for k, v in s.items() if k != "gamma"}, "these are not the options of StepLR:\n  missing: gamma"),
        (lambda s: {**s, "T_max": 3}, "these are not the options of StepLR:\n  not an option of StepLR: T_max"),
        (
            lambda s: {**s, "last_epoch": -1},
            "not the options of StepLR:\n  last_epoch is -1; it must be a whole number, at least 0",
        ),
        (lambda s: {**s, "gamma": "x"}, "not the options of StepLR:\n  gamma is 'x'; it must be a number that is not negative"),
        (lambda s: [s], "the options of an optimizer or a schedule are a dict, as state_dict() makes it, not list"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change: Any, message: str) -> None:
    optimizer = optimizer_of()
    schedule = StepLR(optimizer, 3)
    before = schedule.state_dict()
    other = StepLR(optimizer_of(0.7), 5)
    other.step()
    with pytest.raises(ValueError, match=re.escape(message)):
        schedule.load_state_dict(change(other.state_dict()))
    assert schedule.state_dict() == before
    assert optimizer.lr == 0.1


def test_a_warm_up_or_plateau_that_does_not_fit_changes_nothing() -> None:
    optimizer = optimizer_of()
    warm = WarmupLR(StepLR(optimizer, 3), 0.5, 2)
    for state in (WarmupLR(ExponentialLR(optimizer_of(), 0.5)).state_dict(), {"class": "WarmupLR"}, 3):
        before = warm.state_dict()
        with pytest.raises(ValueError, match=r"this is the state of|not the options of|are a dict"):
            warm.load_state_dict(state)  # type: ignore[arg-type]
        assert (warm.state_dict(), optimizer.lr) == (before, 0.05)
    plateau = ReduceLROnPlateau(optimizer)
    before = plateau.state_dict()
    for wrong in ({**before, "lrs": [-1.0], "patience": 3}, {**before, "best": "x"}, {**before, "mode": "least"}):
        with pytest.raises(ValueError, match=r"lr is -1\.0|best is 'x'; it must be a number, or None|mode is 'least'"):
            plateau.load_state_dict(wrong)
        assert plateau.state_dict() == before


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: StepLR(o, 0), "step_size is 0; it must be a whole number, at least 1"),
        (lambda o: StepLR(o, 2.5), "step_size is 2.5; it must be a whole number, at least 1"),
        (lambda o: StepLR(o, 2, gamma=-1), "gamma is -1; it must be a number that is not negative"),
        (lambda o: MultiStepLR(o, [3, 1]), "milestones are [3, 1]; they must be whole numbers, at least 0, in rising order"),
        (lambda o: MultiStepLR(o, 3), "milestones are 3; they must be whole numbers, at least 0, in rising order"),
        (lambda o: LinearLR(o, 0.0), "start_factor is 0.0; it must be a number greater than 0, at most 1"),
        (lambda o: LinearLR(o, end_factor=2), "end_factor is 2; it must be a number from 0 to 1"),
        (lambda o: CosineAnnealingLR(o, T_max=0), "T_max is 0; it must be a whole number, at least 1"),
        (lambda o: LambdaLR(o, lambda t: -1.0), "lr is -0.1; it must be a number that is not negative"),
        (lambda o: ReduceLROnPlateau(o, "least"), "mode is 'least'; it must be 'min' or 'max'"),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), "factor is 1.0; it must be a number, at least 0 and less than 1"),
        (lambda o: WarmupLR(StepLR(o, 2), total_iters=0), "total_iters is 0; it must be a whole number, at least 1"),
        (lambda o: CosineAnnealingWarmRestarts(o, 0), "T_0 is 0; it must be a whole number, at least 1"),
        (lambda o: CosineAnnealingWarmRestarts(o, 2, 1.5), "T_mult is 1.5; it must be a whole number, at least 1"),
        (
            lambda o: OneCycleLR(o, 1.0),
            "a cycle needs total_steps, or epochs and steps_per_epoch; epochs is None, steps_per_epoch None",
        ),
        (lambda o: OneCycleLR(o, -1.0, 9), "max_lr are [-1.0]; they must be numbers that are not negative"),
        (
            lambda o: OneCycleLR(o, [1.0, 2.0], 9),
            "max_lr has length 2; give one for each of the 1 groups of parameters",
        ),
        (lambda o: OneCycleLR(o, 1.0, 9, pct_start=1.5), "pct_start is 1.5; it must be a number from 0 to 1"),
        (lambda o: OneCycleLR(o, 1.0, 9, anneal_strategy="step"), "anneal_strategy is 'step'; it must be 'cos' or 'linear'"),
        (lambda o: OneCycleLR(o, 1.0, 9, div_factor=0), "div_factor is 0; it must be a number greater than 0"),
        (
            lambda o: OneCycleLR(rnn.Rprop([rnn.Parameter([1.0])]), 1.0, 9),
            "Rprop has no momentum and no betas; give cycle_momentum=False",
        ),
        (
            lambda o: OneCycleLR(o, 1.0, 9, cycle_momentum=False).rate(10),
            "step 10 is after the end of the cycle of 9 steps; give a larger total_steps",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(o, 2)], [3]),
            "there are 1 schedulers and 1 milestones; give one milestone between each two schedulers",
        ),
        (
            lambda o: SequentialLR(o, [StepLR(optimizer_of(), 2)], []),
            "the schedules of a sequence must be of its optimizer; one of these is of another",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(optimizer_of())


def test_what_is_not_an_optimizer_a_function_or_a_schedule_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a schedule needs an optimizer, such as rnn\.Adam, not float"):
        StepLR(0.1, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"lr_lambda must be a function of the number of steps, such as .*, not 0\.5"):
        LambdaLR(optimizer_of(), 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a warm-up needs a schedule .*, not ReduceLROnPlateau; .* use LinearLR"):
        WarmupLR(ReduceLROnPlateau(optimizer_of()))  # type: ignore[arg-type]
    o = optimizer_of()
    with pytest.raises(TypeError, match=r"a sequence is of schedules whose rate depends .*, not ReduceLROnPlateau"):
        SequentialLR(o, [StepLR(o, 3), ReduceLROnPlateau(o)], [4])  # type: ignore[list-item]
    begun = StepLR(optimizer_of(), 3)
    begun.step()
    with pytest.raises(ValueError, match="a warm-up needs a new schedule; this one is at step 1"):
        WarmupLR(begun)


def test_a_rate_that_makes_no_sense_leaves_the_count() -> None:
    schedule = LambdaLR(optimizer_of(), lambda t: 1 - t * 2)
    with pytest.raises(ValueError, match=r"lr is -0\.1"):
        schedule.step()
    assert (schedule.last_epoch, schedule.optimizer.lr) == (0, 0.1)


def test_a_schedule_without_a_rate_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"LRScheduler does not define rate\(\)"):
        LRScheduler(optimizer_of())


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("best", [-5.0, -1e-3, 0.0, 1e-3, 5.0])
@pytest.mark.parametrize("threshold", [0.0, 1e-4, 0.5])
def test_better_is_by_the_threshold_times_the_size_of_the_best(mode: str, best: float, threshold: float) -> None:
    margin = threshold * abs(best)
    sign = 1 if mode == "max" else -1
    for step, better in ((0.0, False), (0.99 * margin, False), (1.01 * margin, True), (margin + 1e-9, True), (-1.0, False)):
        if better and step == 0:
            continue
        schedule = ReduceLROnPlateau(optimizer_of(), mode=mode, threshold=threshold)
        schedule.step(best)
        assert schedule.better(best + sign * step) == better


@pytest.mark.parametrize(("mode", "metric"), [("min", -2.0), ("max", -2.0), ("min", 2.0), ("max", 2.0), ("min", 0.0)])
def test_a_metric_that_stands_still_reduces_the_rate_whatever_its_sign(mode: str, metric: float) -> None:
    optimizer = optimizer_of(1.0)
    schedule = ReduceLROnPlateau(optimizer, mode=mode, factor=0.5, patience=2)
    for _ in range(4):
        schedule.step(metric)
    assert optimizer.lr == 0.5
