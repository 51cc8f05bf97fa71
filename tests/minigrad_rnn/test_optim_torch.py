"""The same training as PyTorch: optimizers, schedules and clipping, step by step."""

import copy
import math
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad_rnn import optim, schedule
from minigrad_rnn.clip import clip_grad_norm, clip_grad_value

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")

torch.set_num_threads(1)  # on a busy machine several threads wait for each other, for arrays of a few numbers

STEPS = 200
SEEDS = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 3


@pytest.fixture(autouse=True)
def scalars_in_double_precision() -> Iterator[None]:
    """PyTorch's NAdam keeps the product of its momenta in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# Training is chaotic where normalised steps are long for the valley they go through: from weights moved by 1e-16, PyTorch
# itself is off by 1e-5 after 200 steps of RMSprop at lr 0.0016 and alpha 0.92, by 1e-8 of Adam at lr 0.009 and betas
# (0.6, 0.9), and by 2e-7 of NAdam at lr 0.0043 and betas (0.77, 0.97). The draws stay below that; for given gradients, where
# nothing can grow, there are wilder ones.


def rate(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def sometimes(rng: np.random.Generator, value: float) -> float:
    return value if rng.random() < 0.5 else 0.0


def decay(rng: np.random.Generator) -> float:
    return sometimes(rng, rate(rng, 1e-4, 1e-2))


def sgd_settings(rng: np.random.Generator) -> dict[str, Any]:
    momentum = sometimes(rng, rng.uniform(0.3, 0.95))
    nesterov = bool(momentum and rng.random() < 0.5)
    dampening = 0.0 if nesterov else sometimes(rng, rng.uniform(0, 0.9))
    return {
        "lr": rate(rng, 0.01, 0.1), "momentum": momentum, "dampening": dampening, "nesterov": nesterov,
        "weight_decay": decay(rng),
    }  # fmt: skip


def adagrad_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lr": rate(rng, 0.01, 0.1), "lr_decay": sometimes(rng, rate(rng, 1e-3, 1e-1)), "weight_decay": decay(rng),
        "initial_accumulator_value": sometimes(rng, rng.uniform(0, 0.5)), "eps": rate(rng, 1e-10, 1e-6),
    }  # fmt: skip


def rmsprop_settings(rng: np.random.Generator) -> dict[str, Any]:
    centered = bool(rng.random() < 0.5)
    return {
        "lr": rate(rng, 0.0001, 0.001), "alpha": rng.uniform(0.9, 0.99), "weight_decay": decay(rng),
        "eps": rate(rng, 1e-2, 1e-1) if centered else rate(rng, 1e-8, 1e-4),
        "momentum": sometimes(rng, rng.uniform(0.2, 0.9)), "centered": centered,
    }  # fmt: skip


def adam_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lr": rate(rng, 0.001, 0.01), "betas": (rng.uniform(0.7, 0.95), rng.uniform(0.97, 0.999)),
        "eps": rate(rng, 1e-8, 1e-4), "weight_decay": decay(rng), "amsgrad": bool(rng.random() < 0.5),
    }  # fmt: skip


def nadam_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {**radam_settings(rng), "lr": rate(rng, 0.0005, 0.002), "momentum_decay": rate(rng, 1e-3, 1e-1)}


def radam_settings(rng: np.random.Generator) -> dict[str, Any]:
    options = adam_settings(rng)
    del options["amsgrad"]
    return {**options, "decoupled_weight_decay": bool(rng.random() < 0.5)}


def rprop_settings(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lr": rate(rng, 0.001, 0.03), "etas": (rng.uniform(0.3, 0.7), rng.uniform(1.1, 1.4)),
        "step_sizes": (rate(rng, 1e-6, 1e-3), rate(rng, 0.05, 1)),
    }  # fmt: skip


SETTINGS: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "SGD": sgd_settings, "Adagrad": adagrad_settings, "RMSprop": rmsprop_settings, "Adam": adam_settings,
    "AdamW": adam_settings, "NAdam": nadam_settings, "RAdam": radam_settings, "Rprop": rprop_settings,
}  # fmt: skip

CASES = [(kind, {"lr": 0.01}) for kind in SETTINGS]
CASES += [(kind, draw(np.random.default_rng(seed))) for kind, draw in SETTINGS.items() for seed in range(5)]
# Whatever the draws were, each of these is there.
CASES += [
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    ("RMSprop", {"lr": 0.005, "centered": True, "momentum": 0.9, "weight_decay": 1e-3, "eps": 1e-2}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 1e-2}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
]


class Pair:
    """A tanh RNN with a readout, here and in PyTorch, with the same weights and data."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.y = rng.normal(size=(6, 5, 3)), rng.normal(size=(6, 5, 2))
        self.ours = rnn.Sequence(rnn.RNN(3, 4, dtype=float, rng=rng), rnn.Linear(4, 2, dtype=float, rng=rng))
        self.layer, self.readout = torch.nn.RNN(3, 4, dtype=torch.float64), torch.nn.Linear(4, 2, dtype=torch.float64)
        for part, theirs in ((self.ours.recurrent, self.layer), (self.ours.readout, self.readout)):
            theirs.load_state_dict({name: torch.tensor(value) for name, value in part.state_dict().items()})
        self.theirs = [*self.layer.parameters(), *self.readout.parameters()]
        self.x_torch, self.y_torch = torch.tensor(self.x), torch.tensor(self.y)

    def losses(self) -> tuple[float, float]:
        """Both losses, with all gradients computed anew."""
        for p in [*self.ours.parameters(), *self.theirs]:
            p.grad = None
        loss = ((self.ours(self.x) - self.y) ** 2).mean()
        loss_torch = ((self.readout(self.layer(self.x_torch)[0]) - self.y_torch) ** 2).mean()
        loss.backward()
        loss_torch.backward()
        return loss.item(), loss_torch.item()


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_two_hundred_steps_of_training_agree(kind: str, options: dict[str, Any]) -> None:
    pair = Pair(8)
    optimizer = getattr(optim, kind)(pair.ours.parameters(), **options)
    optimizer_torch = getattr(torch.optim, kind)(pair.theirs, **options)
    losses = []
    for _ in range(STEPS):
        losses.append(pair.losses())
        optimizer.step()
        optimizer_torch.step()
    ours, theirs = np.array(losses).T
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    assert ours[-1] < ours[0]
    for p, q in zip(pair.ours.parameters(), pair.theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-6, atol=1e-9)


WILD: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "SGD": lambda rng: {"lr": rate(rng, 1e-3, 0.3), "momentum": rng.uniform(0.1, 0.99), "dampening": rng.uniform(-0.5, 1.2)},
    "Adagrad": lambda rng: {"lr": rate(rng, 1e-3, 3), "lr_decay": rate(rng, 1e-3, 3)},
    "RMSprop": lambda rng: {"lr": rate(rng, 1e-3, 0.3), "alpha": rng.uniform(0.1, 0.9), "centered": True, "eps": 1e-3},
    "Adam": lambda rng: {"lr": rate(rng, 1e-3, 3), "betas": tuple(rng.uniform(0, 0.9999, size=2).tolist()), "amsgrad": True},
    "AdamW": lambda rng: {"lr": rate(rng, 1e-3, 0.3), "betas": tuple(rng.uniform(0, 0.9999, size=2).tolist())},
    "NAdam": lambda rng: {"lr": rate(rng, 1e-3, 3), "betas": tuple(rng.uniform(0, 0.9999, size=2).tolist())},
    "RAdam": lambda rng: {"lr": rate(rng, 1e-3, 0.3), "betas": tuple(rng.uniform(0, 0.9999, size=2).tolist())},
    "Rprop": lambda rng: {"lr": rate(rng, 1e-6, 3), "step_sizes": (rate(rng, 1e-6, 1e-2), rate(rng, 0.1, 10))},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", WILD)
def test_two_hundred_steps_along_given_gradients_agree(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = WILD[kind](rng)
    if kind != "Rprop":
        options["weight_decay"] = rate(rng, 1e-4, 0.3)
    options["maximize"] = bool(rng.random() < 0.5)
    start = rng.normal(size=(3, 4))
    p, q = rnn.Parameter(start), torch.tensor(start, requires_grad=True)
    optimizer, optimizer_torch = getattr(optim, kind)([p], **options), getattr(torch.optim, kind)([q], **options)
    for _ in range(STEPS):
        g = rng.normal(size=(3, 4)) * rate(rng, 1e-3, 1e3)
        p.grad, q.grad = g, torch.tensor(g)
        optimizer.step()
        optimizer_torch.step()
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", SETTINGS)
def test_defaults_agree(kind: str) -> None:
    ours = getattr(optim, kind)([rnn.Parameter([1.0])]).options()
    theirs = getattr(torch.optim, kind)([torch.zeros(1, requires_grad=True)]).defaults
    del ours["class"]
    assert ours == {name: list(v) if isinstance(v := theirs[name], tuple) else v for name in ours}


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", SETTINGS)
def test_groups_with_options_of_their_own_agree(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draw = SETTINGS[kind]
    common, starts = draw(rng), [rng.normal(size=shape) for shape in [(3, 4), (4,), (), (2,)]]
    several = [{}, *(draw(rng) for _ in range(2))]
    for own in several:
        own["maximize"] = bool(rng.random() < 0.5)
        own.pop("initial_accumulator_value", None)  # PyTorch overlooks that of a group
    ours, theirs = [rnn.Parameter(x) for x in starts], [torch.tensor(x, requires_grad=True) for x in starts]
    cuts = [slice(0, 2), slice(2, 3), slice(3, 4)]
    optimizer, optimizer_torch = (
        getattr(where, kind)([{"params": p[at], **own} for at, own in zip(cuts, several, strict=True)], **common)
        for where, p in ((optim, ours), (torch.optim, theirs))
    )
    schedules = (schedule.StepLR(optimizer, 7, 0.5), torch.optim.lr_scheduler.StepLR(optimizer_torch, 7, 0.5))
    for _ in range(30):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = rng.normal(size=p.shape)
            q.grad = torch.tensor(p.grad)
        for x in (optimizer, optimizer_torch, *schedules):
            x.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-10, atol=1e-11)
    rates = [group["lr"] for group in optimizer_torch.param_groups]
    np.testing.assert_allclose([group.lr for group in optimizer.param_groups], rates, rtol=1e-14)


# -- schedules ---------------------------------------------------------------------------------------------------------

SCHEDULES = [
    ("StepLR", {"step_size": 7, "gamma": 0.3}),
    ("StepLR", {"step_size": 1}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 40], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.7, "total_iters": 30}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 60}),
    ("CosineAnnealingLR", {"T_max": 100}),
    ("CosineAnnealingLR", {"T_max": 80, "eta_min": 1e-3}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": lambda t: 0.95**t / (1 + t)}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.4, "total_steps": 100, "cycle_momentum": False}),
]


def optimizers(lr: float) -> tuple[rnn.Optimizer, Any]:
    return rnn.SGD([rnn.Parameter([1.0])], lr=lr), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def same_rates(optimizer: rnn.Optimizer, ours: Any, optimizer_torch: Any, theirs: Any) -> None:
    # PyTorch multiplies the last rate, so its error grows from step to step, and most where the rate comes close to 0.
    for t in range(70):
        np.testing.assert_allclose(optimizer.lr, optimizer_torch.param_groups[0]["lr"], rtol=1e-12, atol=1e-16, err_msg=f"{t}")
        ours.step()
        optimizer_torch.step()
        theirs.step()


@pytest.mark.parametrize(("kind", "options"), SCHEDULES)
def test_schedules_agree(kind: str, options: dict[str, Any]) -> None:
    optimizer, optimizer_torch = optimizers(0.1)
    ours = getattr(schedule, kind)(optimizer, **options)
    theirs = getattr(torch.optim.lr_scheduler, kind)(optimizer_torch, **options)
    same_rates(optimizer, ours, optimizer_torch, theirs)


def drawn_schedule(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """A schedule that can go on for 70 steps."""
    kind = str(rng.choice(["StepLR", "LinearLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR"]))
    eta_min = sometimes(rng, rng.uniform(0, 0.05))
    options: dict[str, dict[str, Any]] = {
        "StepLR": {"step_size": int(rng.integers(1, 20)), "gamma": rng.uniform(0.3, 1.1)},
        "LinearLR": {
            "start_factor": rng.uniform(0.1, 1), "end_factor": rng.uniform(0, 1), "total_iters": int(rng.integers(1, 80)),
        },
        "CosineAnnealingLR": {"T_max": int(rng.integers(70, 200)), "eta_min": eta_min},
        "CosineAnnealingWarmRestarts": {
            "T_0": int(rng.integers(1, 30)), "T_mult": int(rng.integers(1, 4)), "eta_min": eta_min,
        },
        "OneCycleLR": {
            "max_lr": rng.uniform(0.1, 2, size=2).tolist() if rng.random() < 0.5 else rng.uniform(0.1, 2),
            "total_steps": int(rng.integers(70, 150)), "pct_start": rng.uniform(0.1, 0.49),
            "anneal_strategy": str(rng.choice(["cos", "linear"])), "base_momentum": rng.uniform(0.1, 0.9),
            "max_momentum": rng.uniform(0.1, 0.9), "div_factor": rate(rng, 2, 50), "final_div_factor": rate(rng, 2, 1e5),
            "three_phase": bool(rng.random() < 0.5),
        },
    }  # fmt: skip
    return kind, options[kind]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("seed", range(5 * SEEDS))
def test_schedules_of_groups_and_one_after_another_agree(seed: int, several: bool) -> None:
    rng = np.random.default_rng(seed)
    kind, momentum = ("SGD", {"momentum": 0.9}) if rng.random() < 0.5 else ("Adam", {})
    lrs = rng.uniform(0.01, 0.3, size=2).tolist()

    def over(module: Any, make: Any) -> Any:
        return getattr(module, kind)([{"params": [make([1.0])], "lr": lr} for lr in lrs], **momentum)

    optimizer = over(optim, rnn.Parameter)
    optimizer_torch = over(torch.optim, lambda x: torch.tensor(x, requires_grad=True))
    # A cycle made after another schedule changes the learning rate where that one began, but only in PyTorch.
    parts = sorted((drawn_schedule(rng) for _ in range(3 if several else 1)), key=lambda part: part[0] != "OneCycleLR")
    parts = [part for i, part in enumerate(parts) if i == 0 or part[0] != "OneCycleLR"]
    milestones = sorted(rng.choice(np.arange(1, 70), size=len(parts) - 1, replace=False).tolist())
    both = []
    for module, o in ((schedule, optimizer), (torch.optim.lr_scheduler, optimizer_torch)):
        made = [getattr(module, name)(o, **options) for name, options in parts]
        both.append(module.SequentialLR(o, made, milestones) if several else made[0])
    cycles = any(name == "OneCycleLR" for name, _ in parts)
    for t in range(70):
        for group, theirs in zip(optimizer.param_groups, optimizer_torch.param_groups, strict=True):
            np.testing.assert_allclose(group.lr, theirs["lr"], rtol=1e-11, atol=1e-15, err_msg=f"{t} {parts} {milestones}")
            if cycles:
                name = "momentum" if momentum else "betas"
                np.testing.assert_allclose(getattr(group, name), theirs[name], rtol=1e-12)
        optimizer_torch.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a sequence of PyTorch's uses its own deprecated step(0)
            for x in both:
                x.step()


@pytest.mark.parametrize(("kind", "options"), SCHEDULES)
def test_warm_up_is_a_line_and_then_the_other(kind: str, options: dict[str, Any]) -> None:
    optimizer, optimizer_torch = optimizers(0.1)
    ours = schedule.WarmupLR(getattr(schedule, kind)(optimizer, **options), start_factor=0.2, total_iters=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        line = torch.optim.lr_scheduler.LinearLR(optimizer_torch, start_factor=0.2, total_iters=9)
        after = getattr(torch.optim.lr_scheduler, kind)(optimizer_torch, **options)
        theirs = torch.optim.lr_scheduler.SequentialLR(optimizer_torch, [line, after], milestones=[9])
        same_rates(optimizer, ours, optimizer_torch, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2, "factor": 0.5, "cooldown": 3},
        {"mode": "max", "patience": 1, "factor": 0.7, "threshold": 0.05},
        {"patience": 3, "factor": 0.2, "threshold": 0.1, "threshold_mode": "abs", "min_lr": 0.003},
        {"mode": "max", "patience": 0, "factor": 0.9, "threshold": 0.01, "threshold_mode": "abs", "eps": 0.005},
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_plateaus_agree(options: dict[str, Any], seed: int) -> None:
    optimizer, optimizer_torch = optimizers(0.1)
    ours = schedule.ReduceLROnPlateau(optimizer, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer_torch, **options)
    rng = np.random.default_rng(seed)
    for t in range(120):
        metric = float(3 * math.exp(-t / 15) - 0.5 * seed + 0.1 * rng.normal()) if t != 50 else math.nan
        ours.step(metric)
        theirs.step(metric)
        assert optimizer.lr == optimizer_torch.param_groups[0]["lr"]
        assert (ours.best, ours.num_bad_epochs) == (theirs.best, theirs.num_bad_epochs)


def test_training_with_a_schedule_and_clipping_agrees() -> None:
    pair = Pair(9)
    optimizer = rnn.Adam(pair.ours.parameters(), lr=0.01)
    optimizer_torch = torch.optim.Adam(pair.theirs, lr=0.01)
    ours = schedule.CosineAnnealingLR(optimizer, T_max=STEPS, eta_min=1e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer_torch, T_max=STEPS, eta_min=1e-3)
    for _ in range(STEPS):
        loss, loss_torch = pair.losses()
        assert loss == pytest.approx(loss_torch, rel=1e-8)
        norm = clip_grad_norm(pair.ours.parameters(), 0.2)
        assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(pair.theirs, 0.2).item(), rel=1e-7)
        for step in (optimizer, optimizer_torch, ours, theirs):
            step.step()


# -- clipping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 2.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.3, 1e3, math.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipped_gradients_agree(dtype: Any, max_norm: float, norm_type: float) -> None:
    rng = np.random.default_rng(10)
    gradients = [rng.normal(size=shape).astype(dtype) for shape in [(3, 4), (4,), ()]]
    ours = [rnn.Parameter(np.zeros_like(g)) for g in gradients]
    theirs = [torch.zeros(g.shape, dtype=getattr(torch, g.dtype.name), requires_grad=True) for g in gradients]
    for p, q, g in zip(ours, theirs, gradients, strict=True):
        p.grad, q.grad = g, torch.tensor(g)
    rtol = 1e-12 if dtype is np.float64 else 1e-6
    again = copy.deepcopy(theirs)
    for q, g in zip(again, gradients, strict=True):
        q.grad = torch.tensor(g)
    norm = clip_grad_norm(ours, max_norm, norm_type)
    np.testing.assert_allclose(norm, torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type).item(), rtol=rtol)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=rtol)
    for p, g in zip(ours, gradients, strict=True):
        p.grad = g
    clip_grad_value(ours, 0.4)
    torch.nn.utils.clip_grad_value_(again, 0.4)
    for p, q in zip(ours, again, strict=True):
        np.testing.assert_array_equal(p.grad, q.grad.numpy())


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_gradients_that_are_not_finite_agree(wrong: float) -> None:
    p, q = rnn.Parameter([1.0, 1.0]), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    p.grad, q.grad = np.array([1.0, wrong]), torch.tensor([1.0, wrong], dtype=torch.float64)
    np.testing.assert_equal(clip_grad_norm([p], 1.0), torch.nn.utils.clip_grad_norm_([q], 1.0).item())
    np.testing.assert_array_equal(p.grad, q.grad.numpy())
