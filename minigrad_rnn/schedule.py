"""Learning-rate schedules: the rate as a function of the number of steps, and a small object that sets it.

A schedule sets the learning rate of one optimizer, for each group of parameters from the initial rate of the group.
``step()`` counts one more step: a batch or an epoch, as you like. Names, settings and numbers are PyTorch's.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from .optimizer import Optimizer
from .settings import Configured, choice, flag, mapping, maybe, number, numbers, whole, wholes

__all__ = [
    "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR",
    "OneCycleLR", "ReduceLROnPlateau", "SequentialLR", "StepLR", "WarmupLR",
]  # fmt: skip


class LRScheduler(Configured):
    """The base of the schedules. Subclasses define ``rate(t)``, the learning rate after t steps, from t and the settings.

    >>> import minigrad_rnn as rnn
    >>> class Halving(rnn.schedule.LRScheduler):
    ...     def rate(self, t):
    ...         return self.base_lr / 2**t
    >>> optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=0.5)
    >>> schedule = Halving(optimizer)
    >>> schedule.step()
    >>> optimizer.lr
    0.25
    """

    base_lrs: tuple[float, ...] = numbers()
    last_epoch: int = whole(0)
    group = 0  # the index of the group for `base_lr` and `rate`

    def __init__(self, optimizer: Optimizer, **options: Any) -> None:
        self.optimizer = over(optimizer)
        begun = [group.lr if group.initial_lr is None else group.initial_lr for group in optimizer.param_groups]
        self.configure({"base_lrs": begun, "last_epoch": 0, **options})
        self.set_options(0)

    def check(self) -> None:
        self.one_for_each_group("base_lrs")

    def one_for_each_group(self, name: str) -> None:
        given, groups = len(getattr(self, name)), len(self.optimizer.param_groups)
        if given != groups:
            raise ValueError(f"{name} has length {given}; give one for each of the {groups} groups of parameters")

    @property
    def base_lr(self) -> float:
        """The initial learning rate of the group."""
        return self.base_lrs[self.group]

    def of_group(self, i: int) -> Self:
        """Return this schedule for one group of parameters."""
        copied = copy.copy(self)
        copied.group = i
        return copied

    def options_at(self, t: int) -> dict[str, Any]:
        """Return the options of the optimizer after t steps."""
        return {"lr": self.rate(t)}

    def set_options(self, t: int) -> None:
        """Set the options of each group after t steps. ValueError, and nothing changes, if one is out of range."""
        groups = self.optimizer.param_groups
        found = [(self.of_group(i) if i else self).options_at(t) for i in range(len(groups))]
        plain = [
            {name: group.settings[name].checked(group, name, value) for name, value in options.items()}
            for group, options in zip(groups, found, strict=True)
        ]
        for group, options, base in zip(groups, plain, self.base_lrs, strict=True):
            vars(group).update(options, initial_lr=base)

    def rate(self, t: int) -> float:
        """Return the learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate()")

    def step(self) -> None:
        """Count one more step, and set the learning rate of the optimizer."""
        self.set_options(self.last_epoch + 1)
        self.last_epoch += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and the number of steps as JSON values.

        >>> import minigrad_rnn as rnn
        >>> rnn.schedule.StepLR(rnn.SGD([rnn.Parameter([1.0])], lr=0.5), step_size=3).state_dict()
        {'class': 'StepLR', 'base_lrs': [0.5], 'last_epoch': 0, 'step_size': 3, 'gamma': 0.1}
        """
        return self.options()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` saved, and set the learning rate. ValueError, and nothing changes, if it does not fit."""
        copied = self.restored(state)
        copied.set_options(copied.last_epoch)
        vars(self).update(vars(copied))

    def restored(self, state: Mapping[str, Any]) -> Self:
        """Return a copy with this state."""
        return self.configured(state)


def over(optimizer: Any) -> Optimizer:
    """Return the optimizer; TypeError for anything else."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a schedule needs an optimizer, such as rnn.Adam, not {type(optimizer).__name__}")
    return optimizer


class LambdaLR(LRScheduler):
    """Multiply base_lr by a function of t. The function is not saved; `load_state_dict` keeps the present one.

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.LambdaLR(rnn.SGD([rnn.Parameter([1.0])], lr=0.5), lambda t: 1 / (1 + t))
    >>> [schedule.rate(t) for t in (0, 1, 4)]
    [0.5, 0.25, 0.1]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        if not callable(lr_lambda):
            raise TypeError(
                f"lr_lambda must be a function of the number of steps, such as lambda t: 0.95**t, not {lr_lambda!r}"
            )
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        return self.base_lr * self.lr_lambda(t)

    def __repr__(self) -> str:
        name = getattr(self.lr_lambda, "__name__", type(self.lr_lambda).__name__)
        return f"{super().__repr__()} of the function {name}"


class StepLR(LRScheduler):
    """Multiply the rate by `gamma` after every `step_size` steps: base_lr gamma^(t // step_size).

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.StepLR(rnn.SGD([rnn.Parameter([1.0])], lr=1.0), step_size=2, gamma=0.5)
    >>> [schedule.rate(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    step_size: int = whole(1)
    gamma: float = number()

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer, step_size=step_size, gamma=gamma)

    def rate(self, t: int) -> float:
        return self.base_lr * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply the rate by `gamma` at each milestone: base_lr gamma^n, with n the number of `milestones` up to t.

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.MultiStepLR(rnn.SGD([rnn.Parameter([1.0])], lr=1.0), milestones=[1, 3], gamma=0.5)
    >>> [schedule.rate(t) for t in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    milestones: tuple[int, ...] = wholes(0)
    gamma: float = number()

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        super().__init__(optimizer, milestones=milestones, gamma=gamma)

    def rate(self, t: int) -> float:
        return self.base_lr * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """Multiply the rate by `gamma` at each step: base_lr gamma^t.

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.ExponentialLR(rnn.SGD([rnn.Parameter([1.0])], lr=1.0), gamma=0.5)
    >>> [schedule.rate(t) for t in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    gamma: float = number()

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer, gamma=gamma)

    def rate(self, t: int) -> float:
        return self.base_lr * self.gamma**t


class LinearLR(LRScheduler):
    """Multiply base_lr by a factor that changes linearly from `start_factor` to `end_factor` in `total_iters` steps.

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.LinearLR(rnn.SGD([rnn.Parameter([1.0])], lr=1.0), start_factor=0.5, total_iters=4)
    >>> [schedule.rate(t) for t in range(6)]
    [0.5, 0.625, 0.75, 0.875, 1.0, 1.0]
    """

    start_factor: float = number("a number greater than 0, at most 1", lambda x: 0 < x <= 1)
    end_factor: float = number("a number from 0 to 1", lambda x: 0 <= x <= 1)
    total_iters: int = whole(1)

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        super().__init__(optimizer, start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)

    def rate(self, t: int) -> float:
        way = min(self.total_iters, t) / self.total_iters
        return self.base_lr * (self.start_factor + (self.end_factor - self.start_factor) * way)


class CosineAnnealingLR(LRScheduler):
    """Follow a cosine: eta_min + (base_lr - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov & Hutter 2017).

    The rate falls to `eta_min` in `T_max` steps, and rises again after that.

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.CosineAnnealingLR(rnn.SGD([rnn.Parameter([1.0])], lr=1.0), T_max=4)
    >>> [round(schedule.rate(t), 4) for t in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.1464]
    """

    T_max: int = whole(1)
    eta_min: float = number()

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        super().__init__(optimizer, T_max=T_max, eta_min=eta_min)

    def rate(self, t: int) -> float:
        return self.eta_min + (self.base_lr - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Follow a cosine with restarts: eta_min + (base_lr - eta_min) (1 + cos(pi s / T)) / 2, s steps after a restart (SGDR,
    Loshchilov & Hutter 2017).

    The first restart is after T = `T_0` steps. Then T is multiplied by `T_mult` at each restart.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=1.0)
    >>> schedule = rnn.schedule.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> [round(schedule.rate(t), 4) for t in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """

    T_0: int = whole(1)
    T_mult: int = whole(1)
    eta_min: float = number()

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> None:
        super().__init__(optimizer, T_0=T_0, T_mult=T_mult, eta_min=eta_min)

    def rate(self, t: int) -> float:
        T = self.T_0
        if self.T_mult == 1:
            t %= T
        while t >= T:
            t -= T
            T *= self.T_mult
        return self.eta_min + (self.base_lr - self.eta_min) * (1 + math.cos(math.pi * t / T)) / 2


class OneCycleLR(LRScheduler):
    """One cycle of `total_steps` steps: up to `max_lr`, and down to almost 0 (Smith & Topin 2018).

    The rate rises from max_lr / div_factor to `max_lr` in the share `pct_start` of the steps, and then falls to the first
    rate / final_div_factor. With `three_phase` it first falls to the first rate in as many steps, and then further. It follows
    half a cosine wave, or with ``anneal_strategy="linear"`` a straight line. The learning rate of the optimizer is replaced by
    the first rate, for other schedules too. `max_lr` is a number, or one for each group of parameters.

    With `cycle_momentum` the momentum, or the first of the betas, falls from `max_momentum` to `base_momentum` and rises again.
    Instead of `total_steps` you can give `epochs` and `steps_per_epoch`, their factors. More steps are a ValueError.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.Adam([rnn.Parameter([1.0])])
    >>> schedule = rnn.schedule.OneCycleLR(optimizer, max_lr=1.0, total_steps=6, pct_start=0.5, div_factor=10)
    >>> [round(schedule.rate(t), 4) for t in range(6)]
    [0.1, 0.55, 1.0, 0.75, 0.25, 0.0]
    >>> optimizer.betas
    (0.95, 0.999)
    """

    max_lr: tuple[float, ...] = numbers()
    total_steps: int = whole(1)
    pct_start: float = number("a number from 0 to 1", lambda x: 0 <= x <= 1)
    anneal_strategy: str = choice("cos", "linear")
    cycle_momentum: bool = flag()
    base_momentum: float = number("a number, at least 0 and less than 1", lambda x: 0 <= x < 1)
    max_momentum: float = number("a number, at least 0 and less than 1", lambda x: 0 <= x < 1)
    div_factor: float = number("a number greater than 0", lambda x: x > 0)
    final_div_factor: float = number("a number greater than 0", lambda x: x > 0)
    three_phase: bool = flag()

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "a cycle needs total_steps, or epochs and steps_per_epoch; epochs is "
                    f"{epochs}, steps_per_epoch {steps_per_epoch}"
                )
            total_steps = epochs * steps_per_epoch
        groups = over(optimizer).param_groups
        name = next((name for name in ("betas", "momentum") if name in optimizer.settings), None)
        if cycle_momentum and name is None:
            raise ValueError(f"{type(optimizer).__name__} has no momentum and no betas; give cycle_momentum=False")
        self.max_lr = [max_lr] * len(groups) if np.ndim(max_lr) == 0 else max_lr  # type: ignore[assignment]
        self.div_factor = div_factor
        super().__init__(
            optimizer, base_lrs=[lr / self.div_factor for lr in self.max_lr], total_steps=total_steps, pct_start=pct_start,
            anneal_strategy=anneal_strategy, cycle_momentum=cycle_momentum, base_momentum=base_momentum,
            max_momentum=max_momentum, final_div_factor=final_div_factor, three_phase=three_phase,
        )  # fmt: skip
        for group in groups:
            if self.cycle_momentum and name not in group.varying:
                group.varying = (*group.varying, str(name))

    def check(self) -> None:
        self.one_for_each_group("max_lr")
        super().check()

    def rate(self, t: int) -> float:
        return self.along(t, self.base_lr, self.max_lr[self.group], self.base_lr / self.final_div_factor)

    def options_at(self, t: int) -> dict[str, Any]:
        options = super().options_at(t)
        if self.cycle_momentum:
            low, high = self.base_momentum, self.max_momentum
            momentum = self.along(t, high, low, high)
            group: Any = self.optimizer.param_groups[self.group]
            options |= {"betas": (momentum, *group.betas[1:])} if "betas" in group.settings else {"momentum": momentum}
        return options

    def along(self, t: int, first: float, middle: float, last: float) -> float:
        """Return a value on the way from `first` to `middle` to `last`, in three phases through `first` again."""
        if t > self.total_steps:
            raise ValueError(f"step {t} is after the end of the cycle of {self.total_steps} steps; give a larger total_steps")
        rise = self.pct_start * self.total_steps
        ends: list[tuple[float, float]] = [(0.0, first), (rise - 1, middle), (self.total_steps - 1, last)]
        if self.three_phase:
            ends.insert(2, (2 * rise - 2, first))
        i = next((i for i in range(1, len(ends) - 1) if t <= ends[i][0]), len(ends) - 1)
        (begin, x), (end, y) = ends[i - 1], ends[i]
        share = min((t - begin) / (end - begin), 1.0) if end != begin else 1.0
        if self.anneal_strategy == "linear":
            return x + (y - x) * share
        return y + (x - y) * (1 + math.cos(math.pi * share)) / 2


class SequentialLR(LRScheduler):
    """Schedules one after another: the first until the first of the `milestones`, then the second from its start, and so on.

    They must be new schedules of the same optimizer. Call ``step()`` only on this one.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=1.0)
    >>> rising, falling = rnn.schedule.LinearLR(optimizer, 0.5, total_iters=2), rnn.schedule.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = rnn.schedule.SequentialLR(optimizer, [rising, falling], milestones=[2])
    >>> [schedule.rate(t) for t in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    milestones: tuple[int, ...] = wholes(0)

    def __init__(self, optimizer: Optimizer, schedulers: Iterable[LRScheduler], milestones: Iterable[int]) -> None:
        self.schedulers = tuple(schedulers)
        for schedule in self.schedulers:
            not_begun(schedule, "a sequence is of schedules")
            if schedule.optimizer is not optimizer:
                raise ValueError("the schedules of a sequence must be of its optimizer; one of these is of another")
        super().__init__(optimizer, milestones=milestones)

    def check(self) -> None:
        super().check()
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"there are {len(self.schedulers)} schedulers and {len(self.milestones)} milestones; give one milestone "
                "between each two schedulers"
            )

    def of_group(self, i: int) -> Self:
        copied = super().of_group(i)
        copied.schedulers = tuple(schedule.of_group(i) for schedule in self.schedulers)
        return copied

    def at(self, t: int) -> tuple[LRScheduler, int]:
        """Return the schedule after t steps, and the number of its own steps."""
        i = bisect_right(self.milestones, t)
        return self.schedulers[i], t - self.milestones[i - 1] if i else t

    def rate(self, t: int) -> float:
        schedule, own = self.at(t)
        return schedule.rate(own)

    def options_at(self, t: int) -> dict[str, Any]:
        schedule, own = self.at(t)
        return schedule.options_at(own)

    def __repr__(self) -> str:
        return f"{super().__repr__()} of {', '.join(map(repr, self.schedulers))}"

    def state_dict(self) -> dict[str, Any]:
        return {**self.options(), "schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def restored(self, state: Mapping[str, Any]) -> Self:
        rest = mapping(state, "the settings of a schedule")
        given = rest.pop("schedulers", [])
        copied = self.configured(rest)
        if not isinstance(given, list | tuple) or len(given) != len(self.schedulers):
            raise ValueError(f"this is the state of other schedulers, {given!r}; this sequence has {len(self.schedulers)}")
        copied.schedulers = tuple(own.restored(there) for own, there in zip(self.schedulers, given, strict=True))
        return copied


def not_begun(schedule: Any, what: str) -> None:
    """Raise an error unless this is a new schedule."""
    if not isinstance(schedule, LRScheduler):
        raise TypeError(f"{what} whose rate depends on the number of steps, not {type(schedule).__name__}")
    if schedule.last_epoch:
        raise ValueError(f"{what} that have not begun; one of these is at step {schedule.last_epoch}")


class WarmupLR(LRScheduler):
    """A warm-up before another schedule, which starts after it. Call ``step()`` only on this one.

    For `total_iters` steps the rate rises linearly from start_factor base_lr towards base_lr, as in PyTorch with a
    ``SequentialLR`` of a ``LinearLR`` and the other schedule. For a warm-up alone use `LinearLR`.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=1.0)
    >>> after = rnn.schedule.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = rnn.schedule.WarmupLR(after, start_factor=0.25, total_iters=3)
    >>> [schedule.rate(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    start_factor: float = number("a number greater than 0, at most 1", lambda x: 0 < x <= 1)
    total_iters: int = whole(1)

    def __init__(self, after: LRScheduler, start_factor: float = 1 / 3, total_iters: int = 5) -> None:
        if not isinstance(after, LRScheduler):
            raise TypeError(
                f"a warm-up needs a schedule whose rate depends on the number of steps, not {type(after).__name__}; "
                "for a warm-up alone use LinearLR(optimizer, ...)"
            )
        if after.last_epoch:
            raise ValueError(f"a warm-up needs a new schedule; this one is at step {after.last_epoch}")
        self.after = after
        super().__init__(after.optimizer, start_factor=start_factor, total_iters=total_iters)

    def rate(self, t: int) -> float:
        if t >= self.total_iters:
            return self.after.rate(t - self.total_iters)
        return self.base_lr * (self.start_factor + (1 - self.start_factor) * t / self.total_iters)

    def options_at(self, t: int) -> dict[str, Any]:
        return super().options_at(t) if t < self.total_iters else self.after.options_at(t - self.total_iters)

    def of_group(self, i: int) -> Self:
        copied = super().of_group(i)
        copied.after = self.after.of_group(i)
        return copied

    def __repr__(self) -> str:
        return f"{super().__repr__()} before {self.after!r}"

    def state_dict(self) -> dict[str, Any]:
        return {**self.options(), "after": self.after.state_dict()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        rest = mapping(state, "the settings of a schedule")
        after = rest.pop("after", {})
        copied = self.configured(rest)
        copied.after = self.after.restored(after)
        return copied


class ReduceLROnPlateau(Configured):
    """Multiply the rate by `factor` if the metric did not improve for more than `patience` steps; call ``step(metric)``.

    An improvement is a metric less than best - threshold abs(best), or with `threshold_mode` "abs" less than best - threshold.
    With `mode` "max" it is greater than best + threshold abs(best), or best + threshold. After a reduction, `cooldown` steps
    do not count. A metric that is not finite is no improvement.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=1.0)
    >>> schedule = rnn.schedule.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (2.0, 1.0, 1.0, 1.0):
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    mode: str = choice("min", "max")
    factor: float = number("a number, at least 0 and less than 1", lambda x: 0 <= x < 1)
    patience: int = whole(0)
    threshold: float = number()
    threshold_mode: str = choice("rel", "abs")
    cooldown: int = whole(0)
    min_lr: float = number()
    eps: float = number()
    best: float | None = maybe(number("a number", lambda x: True))
    num_bad_epochs: int = whole(0)
    cooldown_counter: int = whole(0)
    last_epoch: int = whole(0)

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = over(optimizer)
        self.configure({
            "mode": mode, "factor": factor, "patience": patience, "threshold": threshold, "threshold_mode": threshold_mode,
            "cooldown": cooldown, "min_lr": min_lr, "eps": eps, "best": None, "num_bad_epochs": 0, "cooldown_counter": 0,
            "last_epoch": 0,
        })  # fmt: skip

    def step(self, metric: float) -> None:
        """Count one more step with this metric, and reduce the learning rate if it is time."""
        metric = float(metric)
        self.last_epoch += 1
        if self.better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lr = max(group.lr * self.factor, self.min_lr)
                if group.lr - lr > self.eps:
                    group.lr = lr
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def better(self, metric: float) -> bool:
        """Return True if the metric is better than the best so far."""
        if self.best is None or not math.isfinite(metric):
            return math.isfinite(metric)
        sign = 1 if self.mode == "max" else -1
        rel = self.threshold_mode == "rel"
        away = sign if self.best >= 0 else -sign  # from zero, or towards it
        bound = self.best * (1 + away * self.threshold) if rel else self.best + sign * self.threshold
        return sign * metric > sign * bound

    def state_dict(self) -> dict[str, Any]:
        """Return the settings, the progress, and the learning rates of the groups as JSON values."""
        return {**self.options(), "lrs": [group.lr for group in self.optimizer.param_groups]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` saved, and set the learning rate. ValueError, and nothing changes, if it does not fit."""
        rest = mapping(state, "the settings of a schedule")
        lrs = rest.pop("lrs", None)
        copied = self.configured(rest)
        groups = self.optimizer.param_groups
        if not isinstance(lrs, list | tuple) or len(lrs) != len(groups):
            raise ValueError(f"lrs are {lrs!r}; this optimizer has {len(groups)} groups, each with a learning rate")
        lrs = [group.settings["lr"].checked(group, "lr", lr) for group, lr in zip(groups, lrs, strict=True)]
        for group, lr in zip(groups, lrs, strict=True):
            group.lr = lr
        vars(self).update(vars(copied))


def __dir__() -> list[str]:
    return __all__
