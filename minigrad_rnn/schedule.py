"""Learning-rate schedules: the rate as a function of the number of steps, and a small object that sets it.

A schedule stands over one optimizer, and an optimizer under one schedule. ``step()`` counts one more step, of a batch or of
an epoch, as one likes, and sets ``optimizer.lr``. Names, settings and numbers are PyTorch's.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from .optim import Configured, Optimizer, choice, mapping, maybe, number, whole, wholes

__all__ = [
    "CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "ReduceLROnPlateau", "StepLR",
    "WarmupLR",
]  # fmt: skip


class LRScheduler(Configured):
    """The base of the schedules. Subclasses define ``rate``: the learning rate after t steps, of t and the settings alone.

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

    base_lr: float = number()
    last_epoch: int = whole(0)

    def __init__(self, optimizer: Optimizer, **options: Any) -> None:
        self.optimizer = over(optimizer)
        self.configure({"base_lr": optimizer.lr, "last_epoch": 0, **options})
        optimizer.lr = self.rate(0)

    def rate(self, t: int) -> float:
        """The learning rate after t steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate()")

    def step(self) -> None:
        """Count one more step, and give the optimizer its learning rate."""
        self.optimizer.lr = self.rate(self.last_epoch + 1)
        self.last_epoch += 1

    def state_dict(self) -> dict[str, Any]:
        """The settings, and how many steps there were, as JSON has them.

        >>> import minigrad_rnn as rnn
        >>> rnn.schedule.StepLR(rnn.SGD([rnn.Parameter([1.0])], lr=0.5), step_size=3).state_dict()
        {'class': 'StepLR', 'base_lr': 0.5, 'last_epoch': 0, 'step_size': 3, 'gamma': 0.1}
        """
        return self.options()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` saved, and set the learning rate. Either all fits, or ValueError and nothing changes."""
        made = self.restored(state)
        self.optimizer.lr = made.rate(made.last_epoch)
        vars(self).update(vars(made))

    def restored(self, state: Mapping[str, Any]) -> Self:
        """A copy with this state."""
        return self.configured(state)


def over(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"a schedule sets the learning rate of an optimizer, such as rnn.Adam, not of {type(optimizer).__name__}"
        )
    return optimizer


class LambdaLR(LRScheduler):
    """base_lr times a function of t. The function is not saved: `load_state_dict` leaves in place the one that is here.

    >>> import minigrad_rnn as rnn
    >>> schedule = rnn.schedule.LambdaLR(rnn.SGD([rnn.Parameter([1.0])], lr=0.5), lambda t: 1 / (1 + t))
    >>> [schedule.rate(t) for t in (0, 1, 4)]
    [0.5, 0.25, 0.1]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        if not callable(lr_lambda):
            raise TypeError(f"lr_lambda is a function of the number of steps, such as lambda t: 0.95**t, not {lr_lambda!r}")
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, t: int) -> float:
        return self.base_lr * self.lr_lambda(t)

    def __repr__(self) -> str:
        name = getattr(self.lr_lambda, "__name__", type(self.lr_lambda).__name__)
        return f"{super().__repr__()} of the function {name}"


class StepLR(LRScheduler):
    """base_lr gamma^(t // step_size): times `gamma` after every `step_size` steps.

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
    """base_lr gamma^n, n the number of `milestones` that are not after t.

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
    """base_lr gamma^t.

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
    """base_lr times a factor that goes in a straight line from `start_factor` to `end_factor`, and stays there.

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
    """eta_min + (base_lr - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov & Hutter 2017, without restarts).

    Half a wave of the cosine, down to `eta_min` after `T_max` steps; and up again if one goes on.

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


class WarmupLR(LRScheduler):
    """A warm-up before another schedule, which begins when it is over; its ``step()`` takes the place of the other's.

    For `total_iters` steps the rate goes in a straight line from start_factor base_lr towards base_lr: what PyTorch makes by
    ``SequentialLR`` of a ``LinearLR`` and the other. A warm-up alone is `LinearLR`.

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
                f"a warm-up comes before a schedule whose rate depends on the number of steps, not {type(after).__name__}; "
                "for one that stands alone there is LinearLR(optimizer, ...)"
            )
        if after.last_epoch:
            raise ValueError(f"a warm-up comes before a schedule that has not begun; this one is at step {after.last_epoch}")
        self.after = after
        after.optimizer.lr = after.base_lr
        super().__init__(after.optimizer, start_factor=start_factor, total_iters=total_iters)

    def rate(self, t: int) -> float:
        if t >= self.total_iters:
            return self.after.rate(t - self.total_iters)
        return self.base_lr * (self.start_factor + (1 - self.start_factor) * t / self.total_iters)

    def __repr__(self) -> str:
        return f"{super().__repr__()} before {self.after!r}"

    def state_dict(self) -> dict[str, Any]:
        return {**self.options(), "after": self.after.state_dict()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        rest = mapping(state, "the settings of a schedule")
        after = rest.pop("after", {})
        made = self.configured(rest)
        made.after = self.after.restored(after)
        return made


class ReduceLROnPlateau(Configured):
    """lr times `factor` when the metric has not got better for more than `patience` steps; ``step(metric)`` tells it.

    Better is less than best - threshold abs(best), in `threshold_mode` "abs" less than best - threshold; in `mode` "max"
    greater than best + threshold abs(best) or best + threshold. After a reduction `cooldown` steps are not counted. A metric
    that is not finite is not better.

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
        """Tell it the metric of one more step; where it is time for that the learning rate is reduced."""
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
            lr = max(self.optimizer.lr * self.factor, self.min_lr)
            if self.optimizer.lr - lr > self.eps:
                self.optimizer.lr = lr
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def better(self, metric: float) -> bool:
        """Whether the metric is better than the best so far."""
        if self.best is None or not math.isfinite(metric):
            return math.isfinite(metric)
        sign = 1 if self.mode == "max" else -1
        rel = self.threshold_mode == "rel"
        away = sign if self.best >= 0 else -sign  # from zero, or towards it
        bound = self.best * (1 + away * self.threshold) if rel else self.best + sign * self.threshold
        return sign * metric > sign * bound

    def state_dict(self) -> dict[str, Any]:
        """The settings, what it has seen, and the learning rate, as JSON has them."""
        return {**self.options(), "lr": self.optimizer.lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` saved, and set the learning rate. Either all fits, or ValueError and nothing changes."""
        rest = mapping(state, "the settings of a schedule")
        lr = rest.pop("lr", None)
        made = self.configured(rest)
        self.optimizer.lr = lr
        vars(self).update(vars(made))
