"""Optimizers by their formulas, what they leave alone, and what they save; and the clipping of gradients."""

import io
import json
import math
import re
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn import optim
from minigrad_rnn.clip import clip_grad_norm, clip_grad_value
from minigrad_rnn.optim import (
    AdagradState,
    AdamState,
    NAdamState,
    RMSpropState,
    RpropState,
    SGDState,
    adagrad,
    adam,
    adamw,
    nadam,
    radam,
    rmsprop,
    rprop,
    sgd,
    sgd_momentum,
)

VARIANTS: dict[str, Any] = {
    **{kind.__name__: kind for kind in rnn.config.OPTIMIZERS.values()},
    "SGD, momentum": partial(optim.SGD, momentum=0.9),
    "SGD, dampening": partial(optim.SGD, momentum=0.8, dampening=0.3, weight_decay=1e-3),
    "SGD, nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "Adagrad, decay": partial(optim.Adagrad, lr_decay=1e-3, weight_decay=1e-3, initial_accumulator_value=0.1),
    "RMSprop, all": partial(optim.RMSprop, centered=True, momentum=0.5, weight_decay=1e-3),
    "Adam, all": partial(optim.Adam, amsgrad=True, weight_decay=1e-3),
    "AdamW, amsgrad": partial(optim.AdamW, amsgrad=True),
    "NAdam, decay": partial(optim.NAdam, weight_decay=1e-3, momentum_decay=0.1),
    "RAdam, AdamW's decay": partial(optim.RAdam, betas=(0.8, 0.9), weight_decay=1e-3, decoupled_weight_decay=True),
}
OPTIMIZERS = [pytest.param(make, id=name) for name, make in VARIANTS.items()]
SIMPLE = [rnn.SGD, rnn.Adam]


def set_gradients(parameters: list[rnn.Parameter], rng: np.random.Generator) -> list[np.ndarray]:
    gradients = [rng.normal(size=p.shape).astype(p.dtype) for p in parameters]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g
    return gradients


# -- formulas ----------------------------------------------------------------------------------------------------------


def test_sgd_goes_down_the_gradient() -> None:
    p, g = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(sgd(p, g, lr=0.3), p - 0.3 * g)


def test_adam_function_is_its_formula_over_many_steps() -> None:
    rng = np.random.default_rng(1)
    p = p_hand = rng.normal(size=(3, 4))
    state = AdamState(np.zeros((3, 4)), np.zeros((3, 4)), 0)
    gradients = rng.normal(size=(12, 3, 4))
    for t in range(1, 13):
        p, state = adam(p, gradients[t - 1], state, lr=0.1, betas=(0.8, 0.95), eps=1e-3)
        # The running means written out: each gradient with the weight it still has.
        m = sum(0.2 * 0.8 ** (t - s) * gradients[s - 1] for s in range(1, t + 1))
        v = sum(0.05 * 0.95 ** (t - s) * gradients[s - 1] ** 2 for s in range(1, t + 1))
        p_hand = p_hand - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        np.testing.assert_allclose(p, p_hand, rtol=1e-12)
        np.testing.assert_allclose(state.m, m, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(state.v, v, rtol=1e-10, atol=1e-14)
        assert state.t == t


def test_first_step_of_adam_has_the_length_of_the_learning_rate() -> None:
    g = np.array([-1e3, -1e-3, 1e-3, 1e3])
    p, _ = adam(np.zeros(4), g, AdamState(np.zeros(4), np.zeros(4), 0), lr=0.5, betas=(0.9, 0.999), eps=0.0)
    np.testing.assert_allclose(p, [0.5, 0.5, -0.5, -0.5], rtol=1e-12)


@pytest.mark.parametrize("kind", SIMPLE)
def test_optimizer_is_its_function_for_each_parameter(kind: Any) -> None:
    rng = np.random.default_rng(2)
    parameters = rnn.Linear(3, 2, dtype=float, rng=rng).parameters()
    optimizer = kind(parameters, lr=0.2)
    expected = [p.data.copy() for p in parameters]
    states = [AdamState(np.zeros(p.shape), np.zeros(p.shape), 0) for p in parameters]
    for _ in range(5):
        for i, g in enumerate(set_gradients(parameters, rng)):
            if kind is rnn.SGD:
                expected[i] = sgd(expected[i], g, lr=0.2)
            else:
                expected[i], states[i] = adam(expected[i], g, states[i], lr=0.2, betas=(0.9, 0.999), eps=1e-8)
        optimizer.step()
        for p, value in zip(parameters, expected, strict=True):
            np.testing.assert_array_equal(p.data, value)


@pytest.mark.parametrize("kind", SIMPLE)
def test_optimizers_find_the_bottom_of_a_bowl(kind: Any) -> None:
    w = rnn.Parameter([3.0, -2.0])
    optimizer = kind([w], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        ((w - np.array([1.0, 2.0])) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, [1.0, 2.0], atol=1e-3)


# Each of these is one element after another, in Python's numbers, as the papers and PyTorch's documentation write it.


def sgd_by_hand(p: float, gradients: list[float], *, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    velocity = None
    for g in gradients:
        d = g + weight_decay * p
        if momentum:
            velocity = d if velocity is None else momentum * velocity + (1 - dampening) * d
            d = d + momentum * velocity if nesterov else velocity
        p -= lr * d
        yield p


def adagrad_by_hand(p, gradients, *, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    seen = [initial_accumulator_value]
    for n, g in enumerate(gradients):
        g += weight_decay * p
        seen.append(g**2)
        p -= lr / (1 + n * lr_decay) * g / (math.fsum(seen) ** 0.5 + eps)
        yield p


def rmsprop_by_hand(p, gradients, *, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    seen = []
    velocity = 0.0
    for g in gradients:
        g += weight_decay * p
        seen.append(g)
        weights = [(1 - alpha) * alpha**age for age in reversed(range(len(seen)))]
        v = math.fsum(w * old**2 for w, old in zip(weights, seen, strict=True))
        if centered:
            v -= math.fsum(w * old for w, old in zip(weights, seen, strict=True)) ** 2
        velocity = momentum * velocity + g / (v**0.5 + eps)
        p -= lr * velocity
        yield p


def adam_by_hand(
    p, gradients, *, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False
):  # fmt: skip
    seen = []
    highest = 0.0
    for t, g in enumerate(gradients, 1):
        if decoupled:
            p -= lr * weight_decay * p
        else:
            g += weight_decay * p
        seen.append(g)
        m, v = (math.fsum((1 - b) * b ** (t - s) * old**k for s, old in enumerate(seen, 1)) for k, b in enumerate(betas, 1))
        highest = max(highest, v) if amsgrad else v
        p -= lr * (m / (1 - betas[0] ** t)) / ((highest / (1 - betas[1] ** t)) ** 0.5 + eps)
        yield p


def nadam_by_hand(
    p, gradients, *, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3, decoupled_weight_decay=False
):  # fmt: skip
    seen, momenta = [], [betas[0] * (1 - 0.96 ** (momentum_decay * t) / 2) for t in range(1, len(gradients) + 2)]
    for t, g in enumerate(gradients, 1):
        p, g = (p - lr * weight_decay * p, g) if decoupled_weight_decay else (p, g + weight_decay * p)
        seen.append(g)
        m, v = (math.fsum((1 - b) * b ** (t - s) * old**k for s, old in enumerate(seen, 1)) for k, b in enumerate(betas, 1))
        now = (1 - momenta[t - 1]) * g / (1 - math.prod(momenta[:t]))
        ahead = momenta[t] * m / (1 - math.prod(momenta[: t + 1]))
        p -= lr * (now + ahead) / ((v / (1 - betas[1] ** t)) ** 0.5 + eps)
        yield p


def radam_by_hand(p, gradients, *, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False):
    seen, longest = [], 2 / (1 - betas[1]) - 1
    for t, g in enumerate(gradients, 1):
        p, g = (p - lr * weight_decay * p, g) if decoupled_weight_decay else (p, g + weight_decay * p)
        seen.append(g)
        m, v = (math.fsum((1 - b) * b ** (t - s) * old**k for s, old in enumerate(seen, 1)) for k, b in enumerate(betas, 1))
        correction = 1 - betas[1] ** t
        length = longest - 2 * t * betas[1] ** t / correction
        step = m / (1 - betas[0] ** t)
        if length > 5:
            part = (length - 4) / (longest - 4) * (length - 2) / (longest - 2) * longest / length
            step *= math.sqrt(part) * math.sqrt(correction) / (math.sqrt(v) + eps)
        p -= lr * step
        yield p


def rprop_by_hand(p, gradients, *, lr, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    size, before = lr, 0.0
    for g in gradients:
        if g * before > 0:
            size *= etas[1]
        elif g * before < 0:
            size *= etas[0]
            g = 0.0
        size = min(max(size, step_sizes[0]), step_sizes[1])
        p -= math.copysign(size, g) if g else 0.0
        before = g
        yield p


BY_HAND = [
    (optim.SGD, sgd_by_hand, {}),
    (optim.SGD, sgd_by_hand, {"weight_decay": 0.1}),
    (optim.SGD, sgd_by_hand, {"momentum": 0.9}),
    (optim.SGD, sgd_by_hand, {"momentum": 0.7, "dampening": 0.4, "weight_decay": 0.1}),
    (optim.SGD, sgd_by_hand, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
    (optim.Adagrad, adagrad_by_hand, {}),
    (optim.Adagrad, adagrad_by_hand, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    (optim.RMSprop, rmsprop_by_hand, {}),
    (optim.RMSprop, rmsprop_by_hand, {"alpha": 0.7, "eps": 0.1, "weight_decay": 0.1}),
    (optim.RMSprop, rmsprop_by_hand, {"alpha": 0.8, "centered": True, "eps": 0.01}),
    (optim.RMSprop, rmsprop_by_hand, {"momentum": 0.9}),
    (optim.RMSprop, rmsprop_by_hand, {"alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 0.01}),
    (optim.Adam, adam_by_hand, {}),
    (optim.Adam, adam_by_hand, {"betas": (0.8, 0.9), "eps": 1e-2, "weight_decay": 0.1}),
    (optim.Adam, adam_by_hand, {"betas": (0.5, 0.7), "amsgrad": True}),
    (optim.AdamW, partial(adam_by_hand, decoupled=True, weight_decay=1e-2), {}),
    (optim.AdamW, partial(adam_by_hand, decoupled=True), {"betas": (0.7, 0.6), "weight_decay": 0.2, "amsgrad": True}),
    (optim.NAdam, nadam_by_hand, {}),
    (optim.NAdam, nadam_by_hand, {"betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.3}),
    (optim.NAdam, nadam_by_hand, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.RAdam, radam_by_hand, {}),
    (optim.RAdam, radam_by_hand, {"betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.RAdam, radam_by_hand, {"betas": (0.7, 0.5), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.Rprop, rprop_by_hand, {}),
    (optim.Rprop, rprop_by_hand, {"etas": (0.3, 1.5), "step_sizes": (0.02, 0.15)}),
]


@pytest.mark.parametrize(("kind", "by_hand", "options"), BY_HAND)
def test_optimizers_are_their_formulas_written_out_for_one_number(kind: Any, by_hand: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    start, gradients = rng.normal(size=(2, 3)), rng.normal(size=(30, 2, 3))
    gradients[4:7, 0, 0] = 0.0
    expected = np.empty_like(gradients)
    for at in np.ndindex(2, 3):
        expected[(slice(None), *at)] = list(
            by_hand(float(start[at]), gradients[(slice(None), *at)].tolist(), lr=0.05, **options)
        )
    w = rnn.Parameter(start)
    optimizer = kind([w], lr=0.05, **options)
    for g, p in zip(gradients, expected, strict=True):
        w.grad = g
        optimizer.step()
        np.testing.assert_allclose(w.data, p, rtol=1e-11, atol=1e-13)


def test_defaults_are_those_of_pytorch() -> None:
    w = rnn.Parameter([1.0])

    def defaults(kind: Any) -> dict[str, Any]:
        options = kind([w]).options()
        assert not options.pop("maximize")
        return options  # type: ignore[no-any-return]

    assert {kind.__name__: defaults(kind) for kind in (optim.SGD, optim.Adagrad, optim.RMSprop)} == {
        "SGD": {"class": "SGD", "lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False},
        "Adagrad": {
            "class": "Adagrad", "lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10,
        },
        "RMSprop": {
            "class": "RMSprop", "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False,
        },
    }  # fmt: skip
    adam = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
    assert defaults(optim.Adam) == {"class": "Adam", **adam}
    assert defaults(optim.AdamW) == {"class": "AdamW", **adam, "weight_decay": 1e-2}
    assert defaults(optim.Rprop) == {"class": "Rprop", "lr": 1e-2, "etas": [0.5, 1.2], "step_sizes": [1e-6, 50]}
    del adam["amsgrad"]
    assert defaults(optim.RAdam) == {"class": "RAdam", **adam, "decoupled_weight_decay": False}
    assert defaults(optim.NAdam) == {
        "class": "NAdam", **adam, "lr": 2e-3, "momentum_decay": 4e-3, "decoupled_weight_decay": False
    }  # fmt: skip


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_goes_down(kind: Any) -> None:
    w = rnn.Parameter([3.0, -2.0])
    optimizer = kind([w], lr=0.05)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = ((w - np.array([1.0, 2.0])) ** 2).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2  # Adagrad is slow
    assert losses[1] < losses[0]


def test_rmsprop_centered_survives_a_gradient_that_does_not_change() -> None:
    # v - m^2 is 0 then, and rounding can make it negative, whose root would be NaN.
    w = rnn.Parameter(np.linspace(0.1, 3, 50), dtype=np.float32)
    g = w.data.copy()
    optimizer = optim.RMSprop([w], lr=1e-9, alpha=0.5, centered=True)
    for _ in range(200):
        w.grad = g
        optimizer.step()
    assert np.all(np.isfinite(w.data))


def test_settings_of_adam_are_used() -> None:
    w = rnn.Parameter([1.0])
    optimizer = rnn.Adam([w], lr=0.5, betas=(0.5, 0.25), eps=2.0)
    w.grad = np.array([4.0])
    optimizer.step()
    np.testing.assert_allclose(w.data, [1.0 - 0.5 * 4.0 / (4.0 + 2.0)], rtol=1e-12)


def test_a_learning_rate_changed_between_steps_is_used() -> None:
    w = rnn.Parameter([1.0])
    optimizer = rnn.SGD([w], lr=0.5)
    w.grad = np.array([1.0])
    optimizer.lr = 0.25
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0.75])


# -- what is left alone ------------------------------------------------------------------------------------------------


def test_functions_write_to_nothing_they_are_given() -> None:
    rng = np.random.default_rng(3)
    p, g, m = rng.normal(size=(3, 4))
    v = rng.random(4)
    for array in (p, g, m, v):
        array.flags.writeable = False
    new = sgd(p, g, lr=0.1)
    moved, state = adam(p, g, AdamState(m, v, 7), lr=0.1, betas=(0.9, 0.999), eps=1e-8)
    for made in (new, moved, state.m, state.v):
        assert not any(np.shares_memory(made, array) for array in (p, g, m, v))


B = (0.9, 0.999)
FUNCTIONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "sgd_momentum": (sgd_momentum, lambda a, b, c: SGDState(a, 3), {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
    "first step": (sgd_momentum, lambda a, b, c: SGDState(0 * a, 0), {"momentum": 0.9, "dampening": 0.1}),
    "nesterov": (sgd_momentum, lambda a, b, c: SGDState(a, 3), {"momentum": 0.9, "nesterov": True}),
    "adagrad": (adagrad, lambda a, b, c: AdagradState(a, 3), {"lr_decay": 0.1, "weight_decay": 0.1}),
    "rmsprop": (rmsprop, lambda a, b, c: RMSpropState(a), {"alpha": 0.9, "eps": 1e-8}),
    "rmsprop, all": (
        rmsprop,
        lambda a, b, c: RMSpropState(a + 9, b, c),
        {"alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.5, "centered": True},
    ),
    "adam": (adam, lambda a, b, c: AdamState(b, a, 3), {"betas": B, "eps": 1e-8}),
    "adam, all": (
        adam, lambda a, b, c: AdamState(b, a, 3, c), {"betas": B, "eps": 1e-8, "weight_decay": 0.1, "amsgrad": True}
    ),
    "adamw": (adamw, lambda a, b, c: AdamState(b, a, 3), {"betas": B, "eps": 1e-8, "weight_decay": 0.1}),
    "nadam": (nadam, lambda a, b, c: NAdamState(b, a, 3, c[0]), {"betas": B, "eps": 1e-8, "weight_decay": 0.1}),
    "radam": (radam, lambda a, b, c: AdamState(b, a, 3), {"betas": B, "eps": 1e-8, "weight_decay": 0.1}),
    "radam, rectified": (radam, lambda a, b, c: AdamState(b, a, 9), {"betas": (0.8, 0.9), "eps": 1e-8}),
    "rprop": (rprop, lambda a, b, c: RpropState(b, a), {"etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_function_writes_to_nothing_and_keeps_the_dtype(name: str, dtype: Any) -> None:
    function, state_of, options = FUNCTIONS[name]
    rng = np.random.default_rng(3)
    given = [a.astype(dtype) for a in (*rng.normal(size=(2, 5)), *rng.random((3, 5)))]
    p, g, a, b, c = given
    state = state_of(a, b, c)
    lr = {} if function is rprop else {"lr": 0.1}
    for array in given:
        array.flags.writeable = False
    new, after = function(p, g, state, **lr, **options)
    made = [new, *(x for x in after if isinstance(x, np.ndarray))]
    assert {x.dtype for x in made} == {np.dtype(dtype)}
    assert not any(np.shares_memory(x, array) for x in made for array in given)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_runs_on_tensors_and_can_be_differentiated(name: str) -> None:
    function, state_of, options = FUNCTIONS[name]
    rng = np.random.default_rng(3)
    p, g, a, b, c = *rng.normal(size=(2, 5)), *rng.random((3, 5))
    if function is not rprop:
        options = {**options, "lr": 0.1}
    expected, after = function(p, g, state_of(a, b, c), **options)
    tensors = [mg.tensor(x, requires_grad=True) for x in (p, g, a, b, c)]
    new, state = function(tensors[0], tensors[1], state_of(*tensors[2:]), **options)
    np.testing.assert_array_equal(new.data, expected)
    for ours, theirs in zip(state, after, strict=True):
        np.testing.assert_array_equal(ours.data if isinstance(ours, mg.Tensor) else ours, theirs)
    mg.check_grads(lambda p, g: function(p, g, state_of(a, b, c), **options)[0], p, g)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_graphs_recorded_before_a_step_keep_their_values(kind: Any) -> None:
    w = rnn.Parameter([1.0, 2.0, 3.0])
    optimizer = kind([w], lr=0.5)
    before = w.data
    loss = (w * w).sum()
    w.grad = np.ones(3)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    np.testing.assert_array_equal(w.grad, [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(before, [1.0, 2.0, 3.0])
    assert not np.array_equal(w.data, before)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_leaves_gradients_as_they_are(kind: Any) -> None:
    w = rnn.Parameter([1.0, 2.0])
    w.grad = np.array([3.0, 4.0])
    kind([w], lr=0.5).step()
    np.testing.assert_array_equal(w.grad, [3.0, 4.0])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_parameter_without_gradient_is_left_alone(kind: Any) -> None:
    moved, still = rnn.Parameter([1.0]), rnn.Parameter([1.0])
    optimizer = kind([moved, still], lr=0.5)
    moved.grad = np.array([1.0])
    optimizer.step()
    assert moved.data[0] != 1.0
    assert still.data[0] == 1.0
    if kind is optim.Adam:
        assert [state.t for state in optimizer.states] == [1, 0]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_frozen_parameter_is_left_alone(kind: Any) -> None:
    layer = rnn.Linear(3, 2, rng=0)
    optimizer = kind(layer.parameters(), lr=0.5)
    layer.bias.requires_grad = False
    weight, bias = layer.weight.data, layer.bias.data
    optimizer.zero_grad()
    layer(np.ones((1, 3))).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(layer.bias.data, bias)
    assert not np.array_equal(layer.weight.data, weight)


def test_zero_grad_forgets_the_gradients() -> None:
    parameters = rnn.Linear(3, 2).parameters()
    set_gradients(parameters, np.random.default_rng(4))
    rnn.SGD(parameters, lr=0.1).zero_grad()
    assert [p.grad for p in parameters] == [None, None]


# -- dtypes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_parameter_of_no_axes_can_be_learned(kind: Any) -> None:
    w = rnn.Parameter(1.0)
    optimizer = kind([w], lr=0.25)
    for _ in range(2):
        optimizer.zero_grad()
        (w * w).backward()
        optimizer.step()
    assert w.data.shape == ()
    assert w.item() < 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (rnn.SGD, {"lr": np.float64(0.1)}),
        (rnn.Adam, {"lr": np.float64(0.1)}),
        (rnn.Adam, {"betas": tuple(np.array([0.9, 0.999]))}),
        (rnn.Adam, {"eps": np.float64(1e-8)}),
    ],
)
def test_settings_that_are_numpy_numbers_keep_the_dtype(kind: Any, options: dict[str, Any], dtype: Any) -> None:
    w = rnn.Parameter([1.0], dtype=dtype)
    optimizer = kind([w], **{"lr": 0.1, **options})
    w.grad = np.ones(1, dtype)
    optimizer.step()
    assert w.dtype == dtype


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_remembered_keeps_the_dtype(kind: Any, shape: tuple[int, ...]) -> None:
    w = rnn.Parameter(np.ones(shape, np.float32))
    plain = kind([w])
    given = {"lr": np.float64(0.1)}
    for name, value in plain.options().items():
        if isinstance(value, float) and name != "lr":
            given[name] = np.float64(value)
    optimizer = kind([w], **given)
    for _ in range(3):
        w.grad = np.full(shape, 0.5, np.float32)
        optimizer.step()
    assert w.dtype == np.float32
    arrays = optimizer.state_dict()["arrays"]
    assert {a.dtype for name, a in arrays.items() if not name.endswith(".t")} <= {np.dtype(np.float32)}
    assert all(type(v) in (float, bool, tuple) for name, v in vars(optimizer).items() if name not in ("parameters", "states"))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_learning_rate_schedule_in_numpy_keeps_the_dtype(kind: Any) -> None:
    w = rnn.Parameter([1.0], dtype=np.float32)
    optimizer = kind([w], lr=0.1)
    w.grad = np.ones(1, np.float32)
    optimizer.lr = 0.1 * np.cos(0.5)
    optimizer.step()
    assert w.dtype == np.float32


# -- groups and the other direction --------------------------------------------------------------------------------------


def after_steps(optimizer: rnn.Optimizer, parameters: list[rnn.Parameter], sign: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    for _ in range(12):
        for p in parameters:
            p.grad = sign * rng.normal(size=p.shape)
        optimizer.step()
    return [p.data for p in parameters]


def some() -> list[rnn.Parameter]:
    return [rnn.Parameter(np.ones(shape)) for shape in [(2, 3), (3,), ()]]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_maximize_is_a_step_along_the_other_gradient(kind: Any) -> None:
    up, down = some(), some()
    for a, b in zip(after_steps(kind(up, maximize=True), up), after_steps(kind(down), down, -1.0), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_groups_are_optimizers_next_to_each_other(kind: Any) -> None:
    both, alone = some(), some()
    options: dict[str, Any] = {"lr": 0.02, "maximize": True}
    grouped = kind([{"params": both[:2]}, {"params": both[2], **options}], lr=0.05)
    first, second = kind(alone[:2], lr=0.05), kind(alone[2:], **options)
    found = after_steps(grouped, both)
    for p in alone:
        p.grad = None
    rng = np.random.default_rng(0)
    for _ in range(12):
        for p in alone:
            p.grad = rng.normal(size=p.shape)
        first.step()
        second.step()
    for a, p in zip(found, alone, strict=True):
        np.testing.assert_array_equal(a, p.data)
    assert [group.lr for group in grouped.param_groups] == [0.05, 0.02]
    grouped.zero_grad()
    assert all(p.grad is None for p in both)

    new = some()
    again = kind([{"params": new[:2]}, {"params": new[2:]}])
    state = grouped.state_dict()
    again.load_state_dict({"arrays": state["arrays"], "options": json.loads(json.dumps(state["options"]))})
    assert again.state_dict()["options"] == state["options"]
    for p, q in zip(new, both, strict=True):
        p.data = q.data
    for a, b in zip(after_steps(again, new), after_steps(grouped, both), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_option_of_all_groups_is_set_and_read_on_the_optimizer() -> None:
    a, b = rnn.Parameter([1.0]), rnn.Parameter([2.0])
    optimizer = rnn.Adam([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.2}], eps=0.5)
    assert optimizer.eps == 0.5
    with pytest.raises(AttributeError, match=r"lr is not the same for all groups, \[0\.1, 0\.2\]; read that of one, optimizer"):
        _ = optimizer.lr
    optimizer.lr = 0.3
    assert [group.lr for group in optimizer.param_groups] == [0.3, 0.3]
    with pytest.raises(ValueError, match=r"eps is -1; it must be a number that is not negative"):
        optimizer.eps = -1
    assert optimizer.eps == 0.5
    assert repr(optimizer).startswith("Adam of 2 groups:\n  Adam(lr=0.3, ")
    assert rnn.Adam([a, b]).param_groups[0].lr == 1e-3
    with pytest.raises(AttributeError, match="'Adam' object has no attribute 'ls'"):
        _ = optimizer.ls  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda p: [{"params": p[:1]}, p[1]], TypeError, "dicts such as {'params': parameters, 'lr': 0.1}; these are both"),
        (lambda p: [{"lr": 0.1}], ValueError, "a group is a dict with its parameters as 'params'; this one has ['lr']"),
        (lambda p: [{"params": []}], ValueError, "an optimizer needs parameters: give it model.parameters()"),
        (lambda p: [{"params": p}, {"params": p}], ValueError, "a parameter is given twice and would be updated twice"),
        (lambda p: [{"params": p, "lr": -1}], ValueError, "lr is -1; it must be a number that is not negative"),
        (lambda p: [{"params": p, "rate": 1}], TypeError, "Adam has no option rate; it has lr, "),
        (lambda p: [{"params": [{"params": p}]}], TypeError, "needs the parameters of a model, model.parameters(), not dict"),
        (lambda p: [{"params": [np.ones(3)]}], TypeError, "needs the parameters of a model, model.parameters(), not ndarray"),
    ],
)
def test_groups_that_make_no_sense_are_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        rnn.Adam(given(some()))


def test_the_state_of_other_groups_is_refused() -> None:
    p = some()
    two = rnn.Adam([{"params": p[:1]}, {"params": p[1:]}])
    for one, other, words in ((two, rnn.Adam(p), "2 groups .* has 1"), (rnn.Adam(p), two, "1 groups .* has 2")):
        before = other.state_dict()["options"]
        with pytest.raises(ValueError, match=f"this is the state of {words}"):
            other.load_state_dict(one.state_dict())
        assert other.state_dict()["options"] == before
    state = two.state_dict()
    state["options"]["groups"][1]["eps"] = -1
    with pytest.raises(ValueError, match="eps is -1; it must be"):
        two.load_state_dict(state)


@pytest.mark.parametrize("kind", [rnn.Adam, partial(rnn.SGD, momentum=0.5), partial(rnn.RMSprop, momentum=0.5), rnn.NAdam])
def test_a_compiled_step_of_groups_under_a_cycle_is_recorded_once(kind: Any) -> None:
    def training(compiled: bool) -> tuple[list[np.ndarray], Any]:
        model = rnn.Sequence(rnn.RNN(2, 3, dtype=float, rng=1), rnn.Linear(3, 2, dtype=float, rng=2))
        p = model.parameters()
        optimizer = kind([{"params": p[:2]}, {"params": p[2:], "weight_decay": 0.1}])
        schedule = rnn.schedule.OneCycleLR(optimizer, [0.01, 0.03], 20)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = mg.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        for _ in range(20):
            run(rng.normal(size=(3, 2, 2)))
            schedule.step()
        return [q.data for q in p], run

    found, run = training(compiled=True)
    for a, b in zip(found, training(compiled=False)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    assert "1 programs" in repr(run)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_no_parameters_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"an optimizer needs parameters: give it model\.parameters\(\)"):
        kind([], lr=0.1)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_not_a_parameter_is_refused(kind: Any) -> None:
    for wrong in (mg.tensor([1.0], requires_grad=True), np.ones(3), "weight"):
        with pytest.raises(TypeError, match=rf"needs the parameters of a model, .*, not {type(wrong).__name__}"):
            kind([wrong], lr=0.1)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf")])
def test_a_learning_rate_that_makes_no_sense_is_refused(kind: Any, lr: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"lr is {lr}; it must be a number that is not negative")):
        kind(rnn.Linear(2, 1).parameters(), lr=lr)


@pytest.mark.parametrize("betas", [(1.0, 0.999), (0.9, 1.0), (-0.1, 0.999), (0.9, float("nan")), (0.9,)])
def test_betas_outside_zero_to_one_are_refused(betas: tuple[float, float]) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"betas are {betas}; they must be two numbers, each at least 0 and less than 1")
    ):
        rnn.Adam(rnn.Linear(2, 1).parameters(), betas=betas)


def test_an_optimizer_without_an_update_says_so() -> None:
    w = rnn.Parameter([1.0])
    w.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match=r"Optimizer does not define update\(\)"):
        rnn.Optimizer([w], lr=0.1).step()


def test_a_parameter_given_twice_is_refused() -> None:
    w = rnn.Parameter([1.0])
    with pytest.raises(ValueError, match="given twice"):
        rnn.SGD([w, w], lr=0.1)


def test_an_update_that_writes_where_a_graph_may_look_is_stopped() -> None:
    class Overwriting(rnn.Optimizer):
        def update(self, p, g, state):  # type: ignore[no-untyped-def]
            p -= self.lr * g
            return p, state

    w = rnn.Parameter([1.0, 2.0])
    (w * w).sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        Overwriting([w], lr=0.1).step()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (optim.SGD, {"momentum": -0.1}, "momentum is -0.1; it must be a number that is not negative"),
        (optim.SGD, {"lr": "0.1"}, "lr is '0.1'; it must be a number that is not negative"),
        (optim.SGD, {"lr": None}, "lr is None; it must be a number that is not negative"),
        (optim.SGD, {"dampening": float("nan")}, "dampening is nan; it must be a number"),
        (optim.SGD, {"weight_decay": -1}, "weight_decay is -1; it must be a number that is not negative"),
        (optim.SGD, {"nesterov": 1}, "nesterov is 1; it must be True or False"),
        (optim.SGD, {"nesterov": True}, "nesterov needs momentum, and no dampening; here momentum is 0.0, dampening 0.0"),
        (
            optim.SGD,
            {"nesterov": True, "momentum": 0.9, "dampening": 0.5},
            "nesterov needs momentum, and no dampening; here momentum is 0.9, dampening 0.5",
        ),
        (optim.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value is -1; it must be a number that is not"),
        (optim.RMSprop, {"alpha": 1.0}, "alpha is 1.0; it must be a number, at least 0 and less than 1"),
        (optim.Adam, {"betas": 0.9}, "betas are 0.9; they must be two numbers, each at least 0 and less than 1"),
        (optim.Adam, {"eps": -1e-8}, "eps is -1e-08; it must be a number that is not negative"),
        (optim.Rprop, {"etas": (1.2, 0.5)}, "etas are (1.2, 0.5); they must be two numbers, the first between 0 and 1, the"),
        (optim.Rprop, {"step_sizes": (50, 1e-6)}, "step_sizes are (50, 1e-06); they must be two numbers, the smallest step"),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        kind([rnn.Parameter([1.0])], **options)


def test_a_setting_is_checked_also_when_it_is_changed() -> None:
    optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"lr is -1; it must be a number that is not negative"):
        optimizer.lr = -1
    optimizer.momentum = 0.8
    assert (optimizer.lr, optimizer.momentum) == (0.1, 0.8)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (optim.SGD, "momentum", 0.9),
        (optim.RMSprop, "momentum", 0.9),
        (optim.RMSprop, "centered", True),
        (optim.Adam, "amsgrad", True),
    ],
)  # fmt: skip
def test_a_setting_that_would_need_another_memory_cannot_be_changed(kind: Any, name: str, value: Any) -> None:
    optimizer = kind([rnn.Parameter([1.0])])
    with pytest.raises(
        ValueError, match=rf"{name} is \S+ and cannot become {value}, because the state of {kind.__name__} depends"
    ):
        setattr(optimizer, name, value)
    assert not getattr(optimizer, name)


def test_a_setting_that_there_is_not_is_refused() -> None:
    class Mine(rnn.Optimizer):
        pass

    with pytest.raises(TypeError, match="Mine has no option momentun; it has lr"):
        Mine([rnn.Parameter([1.0])], lr=0.1, momentun=0.9)


# -- saving ------------------------------------------------------------------------------------------------------------


def trained(kind: Any, dtype: Any, steps: int, *, reload: bool = False) -> tuple[list[np.ndarray], rnn.Optimizer]:
    """The weights of a small network after some steps; halfway all is written to bytes and read into new objects."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 4, 3, 2)).astype(dtype)

    def make(**options: Any) -> tuple[rnn.Sequence, rnn.Optimizer]:
        model = rnn.Sequence(rnn.RNN(2, 4, dtype=dtype, rng=1), rnn.Linear(4, 2, dtype=dtype, rng=2))
        return model, kind(model.parameters(), **options)

    model, optimizer = make(lr=0.01)
    for i in range(steps):
        if reload and i == steps // 2:
            state = optimizer.state_dict()
            file = io.BytesIO()
            np.savez(file, **state["arrays"])
            text = json.dumps(state["options"], allow_nan=False)
            weights = model.state_dict()
            model, optimizer = make(lr=0.9)
            model.load_state_dict(weights)
            file.seek(0)
            with np.load(file) as arrays:
                optimizer.load_state_dict({"arrays": dict(arrays), "options": json.loads(text)})
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()
    return [p.data for p in model.parameters()], optimizer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on_bit_for_bit_after_saving_and_loading(kind: Any, dtype: Any) -> None:
    straight, optimizer = trained(kind, dtype, 20)
    stopped, loaded = trained(kind, dtype, 20, reload=True)
    for a, b in zip(straight, stopped, strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    before, after = optimizer.state_dict(), loaded.state_dict()
    assert before["options"] == after["options"]
    assert {k: (a.dtype, a.tobytes()) for k, a in before["arrays"].items()} == {
        k: (a.dtype, a.tobytes()) for k, a in after["arrays"].items()
    }
    for a, b in zip(optimizer.states, loaded.states, strict=True):
        assert type(a) is type(b)
        assert a is None or [type(x) for x in a] == [type(x) for x in b]


def test_names_of_what_is_saved() -> None:
    parameters = rnn.Linear(3, 2).parameters()
    assert list(rnn.Adam(parameters).state_dict()["arrays"]) == ["0.m", "0.v", "0.t", "1.m", "1.v", "1.t"]
    assert list(optim.RMSprop(parameters, momentum=0.9).state_dict()["arrays"]) == ["0.v", "0.buffer", "1.v", "1.buffer"]
    assert rnn.SGD(parameters, lr=0.5).state_dict()["arrays"] == {}


def test_a_parameter_of_no_axes_is_saved() -> None:
    w = rnn.Parameter(1.0)
    optimizer = rnn.Adam([w])
    w.grad = np.array(2.0)
    optimizer.step()
    state = optimizer.state_dict()
    other = rnn.Adam([w])
    other.load_state_dict(state)
    assert other.states[0] == optimizer.states[0]


def test_what_is_saved_is_a_copy() -> None:
    optimizer = rnn.Adam([rnn.Parameter([1.0])])
    state = optimizer.state_dict()
    state["arrays"]["0.m"][:] = 7
    assert optimizer.states[0].m == 0
    optimizer.load_state_dict(state)
    state["arrays"]["0.m"][:] = 8
    assert optimizer.states[0].m == 7


def changed(part: str, **values: Any) -> Any:
    def change(state: dict[str, Any]) -> dict[str, Any]:
        new = {**state[part], **values}
        return {**state, part: {name: value for name, value in new.items() if value is not ...}}

    return change


ADAM_IS_WRONG = {
    "another class": (
        changed("options", **{"class": "SGD"}),
        r"this is the state of SGD, and this is Adam; make SGD and load it",
    ),
    "an option less": (changed("options", eps=...), r"not the options of Adam:\n  missing: eps$"),
    "an option more": (changed("options", alpha=0.9), r"\n  not an option of Adam: alpha$"),
    "a value": (changed("options", lr=-1.0), r"\n  lr is -1\.0; it must be a number that is not negative$"),
    "two values": (changed("options", lr=-1.0, betas=[0.9]), r"\n  lr is -1\.0.*\n  betas are \[0\.9\]; they must be two"),
    "no mapping": (lambda state: [state], r"the arrays and options of an optimizer are a dict, .*, not list"),
    "no arrays": (lambda state: {"options": state["options"]}, r"has arrays and options, .*; given are \['options'\]"),
    "options are a text": (lambda state: {**state, "options": "lr"}, r"are a dict, as state_dict\(\) makes it, not str"),
    "arrays are a list": (lambda state: {**state, "arrays": [1]}, r"the arrays of an optimizer are a dict, .*, not list"),
}
ADAM_IS_WRONG["an array less"] = (
    lambda state: {**state, "arrays": {k: a for k, a in state["arrays"].items() if k != "1.v"}},
    r"does not fit the 2 parameters of this Adam; it needs those of .*, in the same order:\n  missing: 1\.v \(2,\)$",
)
for wrong, array, message in [
    ("2.m", np.zeros(4), r"\n  not of these parameters: 2\.m \(4,\)$"),
    ("0.v", np.zeros((3, 2)), r"\n  0\.v has shape \(3, 2\), its parameter here has \(2, 3\)$"),
    ("1.m", np.zeros(2, np.float32), r"\n  1\.m has dtype float32, its parameter here has float64$"),
    ("0.t", np.array(1.5), r"\n  0\.t is 1\.5 \(float64\); it counts steps and must be an integer from 0 on$"),
    ("0.t", np.array(-1), r"\n  0\.t is -1 \(int64\); it counts steps"),
    ("0.t", np.array([1]), r"\n  0\.t is \[1\] \(int64\); it counts steps"),
]:
    ADAM_IS_WRONG[f"{wrong} {array.dtype} {array.tolist()}"] = (
        lambda state, wrong=wrong, array=array: {**state, "arrays": {**state["arrays"], wrong: array}},
        message,
    )


@pytest.mark.parametrize("wrong", ADAM_IS_WRONG)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(wrong: str) -> None:
    change, message = ADAM_IS_WRONG[wrong]
    parameters = rnn.Linear(3, 2, dtype=float, rng=0).parameters()
    optimizer, other = rnn.Adam(parameters, lr=0.1), rnn.Adam(parameters, lr=0.7, betas=(0.5, 0.6))
    for one in (optimizer, other):
        set_gradients(parameters, np.random.default_rng(7))
        one.step()
    before, states = optimizer.options(), list(optimizer.states)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(change(other.state_dict()))
    assert optimizer.options() == before
    assert all(a is b for a, b in zip(optimizer.states, states, strict=True))


def test_settings_that_do_not_go_together_are_not_loaded() -> None:
    optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=0.1)
    state = optimizer.state_dict()
    state["options"]["nesterov"] = True
    with pytest.raises(ValueError, match="nesterov needs momentum"):
        optimizer.load_state_dict(state)
    assert not optimizer.nesterov


def test_adam_does_not_load_the_state_of_adamw() -> None:
    parameters = rnn.Linear(3, 2).parameters()
    with pytest.raises(ValueError, match="this is the state of AdamW, and this is Adam; make AdamW and load it there"):
        optim.Adam(parameters).load_state_dict(optim.AdamW(parameters).state_dict())


def test_a_state_that_cannot_be_saved_says_so() -> None:
    class Mine(rnn.Optimizer):
        def initial(self, p: np.ndarray) -> Any:
            return {"m": p}

    with pytest.raises(TypeError, match="is a NamedTuple of arrays and counts, or None, not dict"):
        Mine([rnn.Parameter([1.0])], lr=0.1).state_dict()


# -- clipping ----------------------------------------------------------------------------------------------------------


def with_gradients(*gradients: Any, dtype: Any = float) -> list[rnn.Parameter]:
    parameters = [rnn.Parameter(np.zeros(np.shape(g)), dtype=dtype) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = np.asarray(g, dtype)
    return parameters


def test_gradients_are_scaled_to_the_norm() -> None:
    parameters = with_gradients([3.0, 0.0], [[4.0]], 12.0)
    assert clip_grad_norm(parameters, 2.6) == 13.0
    factor = 2.6 / (13 + 1e-6)
    for p, g in zip(parameters, ([3.0, 0.0], [[4.0]], 12.0), strict=True):
        np.testing.assert_allclose(p.grad, factor * np.array(g), rtol=1e-15)


@pytest.mark.parametrize(("norm_type", "norm"), [(1, 7.0), (2.0, 5.0), (3, 91 ** (1 / 3)), (math.inf, 4.0)])
def test_norms_of_other_kinds(norm_type: float, norm: float) -> None:
    parameters = with_gradients([3.0, 0.0], [-4.0])
    assert clip_grad_norm(parameters, norm / 2, norm_type) == pytest.approx(norm, rel=1e-14)
    np.testing.assert_allclose(parameters[1].grad, [-4.0 * (norm / 2) / (norm + 1e-6)], rtol=1e-14)


def test_gradients_that_are_small_enough_stay_as_they_are() -> None:
    (p,) = with_gradients([3.0, 4.0])
    before = p.grad
    assert clip_grad_norm([p], 5.1) == 5.0
    assert p.grad is before


def test_clipping_replaces_gradients_and_writes_to_none() -> None:
    for clip in (lambda p: clip_grad_norm(p, 0.1), lambda p: clip_grad_value(p, 0.1)):
        (p,) = with_gradients([3.0, -4.0])
        held = p.grad
        held.flags.writeable = False
        clip([p])
        np.testing.assert_array_equal(held, [3.0, -4.0])
        assert not np.shares_memory(held, p.grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_keeps_the_dtype(dtype: Any) -> None:
    parameters = with_gradients([3.0, 4.0], 12.0, dtype=dtype)
    clip_grad_norm(parameters, np.float64(1.0))
    clip_grad_value(parameters, np.float64(0.5))
    assert [p.grad.dtype for p in parameters] == [dtype, dtype]


def test_a_norm_whose_square_overflows() -> None:
    (p,) = with_gradients([3e30, 4e30], dtype=np.float32)
    assert clip_grad_norm([p], 1.0) == pytest.approx(5e30, rel=1e-6)
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-6)
    (p,) = with_gradients([3e-200, 4e-200])
    assert clip_grad_norm([p], 1.0) == pytest.approx(5e-200, rel=1e-14)


def test_gradients_are_clipped_by_value() -> None:
    parameters = with_gradients([3.0, -0.5, np.nan], -7.0)
    clip_grad_value(parameters, 1)
    np.testing.assert_array_equal(parameters[0].grad, [1.0, -0.5, np.nan])
    np.testing.assert_array_equal(parameters[1].grad, -1.0)


def test_parameters_without_gradient_or_given_twice_or_none_at_all() -> None:
    (p,) = with_gradients([3.0, 4.0])
    assert clip_grad_norm(iter([p, rnn.Parameter([1.0]), p]), 1.0) == 5.0
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-6)
    clip_grad_value(p, 0.7)
    np.testing.assert_allclose(p.grad, [0.6, 0.7], rtol=1e-6)
    assert clip_grad_norm([], 1.0) == 0.0
    assert clip_grad_norm([rnn.Parameter([1.0])], 1.0) == 0.0
    assert clip_grad_norm(with_gradients(np.zeros((0, 3))), 1.0) == 0.0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_norm_that_is_not_finite(wrong: float) -> None:
    parameters = with_gradients([1.0], [2.0, wrong])
    parameters[1].name = "weight"
    with pytest.raises(
        ValueError, match=rf"the norm of the gradients is {wrong}, so .* gradients that are not finite: weight\. "
    ):
        clip_grad_norm(parameters, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(parameters[0].grad, [1.0])
    norm = clip_grad_norm(parameters, 1.0)
    assert not math.isfinite(norm)
    np.testing.assert_array_equal(parameters[0].grad, [np.nan if math.isnan(wrong) else 0.0])
    np.testing.assert_array_equal(parameters[1].grad, [np.nan if math.isnan(wrong) else 0.0, np.nan])


def test_a_norm_that_is_not_finite_in_a_later_run_of_a_compiled_function() -> None:
    w = rnn.Parameter([1.0], name="weight")

    def clipped(x: np.ndarray) -> float:
        w.grad = None
        (w * x).sum().backward()
        return clip_grad_norm(w, 1.0, error_if_nonfinite=True)

    compiled = mg.compile(clipped)
    assert compiled(np.array([3.0])) == 3.0
    with pytest.raises(ValueError, match=r"the norm of the gradients is nan, .* weight\. "):
        compiled(np.array([np.nan]))
    assert compiled(np.array([2.0])) == 2.0


def test_bad_limits_and_bad_parameters_are_refused() -> None:
    parameters = with_gradients([1.0])
    for bad in (-1.0, math.nan, "1"):
        with pytest.raises(ValueError, match=f"max_norm is {bad!r}; it must be a number that is not negative"):
            clip_grad_norm(parameters, bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=f"clip_value is {bad!r}; it must be a number that is not negative"):
            clip_grad_value(parameters, bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="norm_type is 0; it must be a number greater than 0"):
        clip_grad_norm(parameters, 1.0, 0)
    with pytest.raises(TypeError, match=r"only gradients of parameters can be clipped, not of ndarray"):
        clip_grad_norm([np.ones(3)], 1.0)  # type: ignore[list-item]
