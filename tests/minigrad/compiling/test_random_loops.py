"""Loops made at random that read each other, forward and backward, with views as states and with small blocks."""

import importlib
import os
import random

import numpy as np
import pytest

import minigrad as mg
from minigrad.trees import tree_leaves

COUNT = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 150
ONE = {  # of an array of shape (B, H), and of a matrix
    "tanh": lambda a, W: np.tanh(a),
    "minus": lambda a, W: -a,
    "a number more": lambda a, W: a + 0.25,
    "times a number": lambda a, W: 0.5 * a,
    "product": lambda a, W: a @ W,
    "turned": lambda a, W: a[:, ::-1],
    "rolled": lambda a, W: np.concatenate([a[:, 1:], a[:, :1]], axis=1),
    "reshaped": lambda a, W: a.T.reshape(a.shape),
    "centred": lambda a, W: a - a.mean(axis=1, keepdims=True),
    "size": lambda a, W: abs(a),
}
TWO = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "product": lambda a, b: np.tanh(a) * b,
    "largest": np.maximum,
    "choice": lambda a, b: np.where(np.isfinite(a), a, b),
    "quotient": lambda a, b: a / (2.0 + b * b),
}


def expression(chance, depth, states, arrays):
    """A function of the states, of arrays of all steps at t or at T - 1 - t, and of weights, as nested tuples."""
    if depth == 0 or chance.random() < 0.15:
        return chance.choice(
            [("state", chance.randrange(states)), ("row", chance.randrange(arrays), chance.random() < 0.25), ("bias",)]
        )
    if chance.random() < 0.5:
        return chance.choice(list(ONE)), expression(chance, depth - 1, states, arrays)
    return "two", chance.choice(list(TWO)), *(expression(chance, depth - 1, states, arrays) for _ in range(2))


def value(what, states, arrays, t, p):
    kind, *rest = what
    if kind == "state":
        return states[rest[0]]
    if kind == "row":
        array = arrays[rest[0]]
        return array[len(arrays[1]) - 1 - t if rest[1] else t]
    if kind == "bias":
        return p["b"] + np.zeros_like(arrays[0][t])
    if kind == "two":
        return TWO[rest[0]](*(value(x, states, arrays, t, p) for x in rest[1:]))
    return ONE[kind](value(rest[0], states, arrays, t, p), p["W"])


def random_function(chance):
    T, B, H = chance.choice([3, 4, 5, 7, 9]), chance.choice([1, 2, 3]), chance.choice([1, 2, 3])
    loops = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        states = chance.choice([1, 1, 2])
        steps = [expression(chance, 3, states, 2 + len(loops)) for _ in range(states)]
        starts = [chance.choice(["zeros", "parameter", "argument"]) for _ in range(states)]
        loops.append((chance.random() < 0.35, starts, steps))
    alike, end = chance.random() < 0.5, chance.choice(["all", "last", "none"])

    def f(p, x):
        arrays = [x, list(x) if alike else x]
        for back, starts, steps in loops:
            begin = {"zeros": np.zeros((B, H)), "parameter": p["h"], "argument": x[0] * 1.0}
            states, made = [begin[start] for start in starts], [None] * T
            for t in range(T - 1, -1, -1) if back else range(T):
                states = [value(step, states, arrays, t, p) for step in steps]
                made[t] = states[0]
            arrays.append(made)
        outs = np.stack(arrays[-1])
        loss = (outs * outs).mean() if end == "all" else np.sin(arrays[-1][-1]).sum()
        return (outs, loss) if end == "none" else (loss, outs)

    def run(p, x):
        if end == "none":
            return f(p, x)
        loss, slopes = mg.value_and_grad(lambda p: f(p, x)[0])(p)
        return loss, slopes, f(p, x)[1]

    shapes = {"W": (H, H), "b": (H,), "h": (B, H)}
    return run, shapes, (T, B, H)


@pytest.mark.parametrize("seed", range(COUNT))
def test_loops_that_read_each_other(seed, monkeypatch):
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    if seed % 2:  # what is done only where steps have many numbers is done with these few
        small = {
            "rewrites": {"MOST": 0, "MANY": 2},
            "batching": {"BLOCK": chance.choice([1, 64, 200]), "FEWEST": 2},
        }
        for module, settings in small.items():
            for name, number in settings.items():
                monkeypatch.setattr(importlib.import_module(f"minigrad.compiling.{module}"), name, number)
    run, shapes, size = random_function(chance)
    compiled = mg.compile(run)
    for _ in range(3):
        p = {name: numbers.standard_normal(shape) * 0.4 for name, shape in shapes.items()}
        x = numbers.standard_normal(size)
        for found, expected in zip(tree_leaves(compiled(p, x)), tree_leaves(run(p, x)), strict=True):
            found, expected = (np.asarray(getattr(each, "data", each)) for each in (found, expected))
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * max(1.0, np.abs(expected).max()))
