"""Loops over time as one writes them, with `@` and without the layers of the library."""

import importlib
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.compiling.compiled import Compiled
from minigrad.compiling.recorded import Recorded

WITHOUT_LOOPS = Compiled._without_loops


def slopes(loss, count):
    def run(*args):
        return mg.value_and_grad(loss, argnums=tuple(range(count)))(*args)

    return run, mg.compile(run)


def agree(found, expected, rtol=1e-11):
    np.testing.assert_allclose(found[0], expected[0], rtol=rtol)
    for a, b in zip(found[1], expected[1], strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("order", ["U x + W h + b", "W h + b + U x", "b + (W h + U x)"])
def test_the_loop_of_the_textbook_becomes_the_program_of_an_expert(order):
    """h = tanh(U x + W h + b): in a step a product, a sum and a tanh, backward a factor, a product, a sum; the rest at once."""
    T, random = 7, np.random.default_rng(0)
    x, U, W, b = (random.standard_normal(shape) * 0.4 for shape in ((T, 3, 5), (5, 6), (6, 6), (6,)))

    def loss(U, W, b, x):
        h, states = np.zeros((3, 6)), []
        for t in range(T):
            with mg.scope("t", t):
                Ux, Wh = x[t] @ U, h @ W
                h = np.tanh(Ux + Wh + b if order[0] == "U" else Wh + b + Ux if order[0] == "W" else b + (Wh + Ux))
                states.append(h)
        return (np.stack(states) ** 3).mean()

    eager, compiled = slopes(loss, 3)
    agree(compiled(U, W, b, x), eager(U, W, b, x))
    forward, backward = (
        re.findall(r"^        .*?(\w+)\(", loop, re.MULTILINE)
        for loop in re.findall(r"^    for .*\n((?:        .*\n)*)", compiled.source, re.MULTILINE)
    )
    assert forward == ["dot", "add", "tanh"]
    assert sorted(backward) == ["add", "dot", "multiply"]
    assert compiled.source.count(".dot(") == 1 + 2 + 2  # U x; the recurrence there and back; two gradients


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_random_cells(seed, blocks, monkeypatch):
    if blocks:
        for module, settings in {"rewrites": {"MOST": 0, "MANY": 2}, "batching": {"BLOCK": 1, "FEWEST": 3}}.items():
            for name, value in settings.items():
                monkeypatch.setattr(importlib.import_module(f"minigrad.compiling.{module}"), name, value)
    random = np.random.default_rng(seed)
    T, B, n, m = (int(random.integers(1, high)) for high in (14, 4, 4, 5))
    gated, scoped, shared, biased, early, turned = (bool(random.random() < 0.5) for _ in range(6))
    shapes = [(n, m), (m, m), (m,), (n, m), (m, 2)]
    weights = [random.standard_normal(shape) * 0.5 for shape in shapes]
    x = random.standard_normal((T, B, n))

    def cell(x, h, U, W, b, V):
        z = x @ U + h @ (W.T if turned else W)
        z = z + b if biased else z
        if not gated:
            return np.tanh(z)
        s = mg.sigmoid(x @ V - h @ W) if shared else mg.sigmoid(x @ V)
        return s * h + (1 - s) * np.tanh(z)

    def loss(U, W, b, V, R, x):
        h, outputs = np.ones((B, m)), []
        for t in range(T):
            if scoped:
                with mg.scope("t", t):
                    h = cell(x[t], h, U, W, b, V)
            else:
                h = cell(x[t], h, U, W, b, V)
            if early:
                outputs.append(h @ R + b[:1])
        return (np.stack(outputs) ** 2).mean() if early else (h @ R).sum()

    eager, compiled = slopes(loss, 5)
    for _ in range(2):
        agree(compiled(*weights, x), eager(*weights, x), 1e-10)
        weights = [w + 0.1 for w in weights]
        x = x * 0.5


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "?", "f4"])
def test_small_integers_do_not_meet_where_they_would_overflow(dtype):
    random = np.random.default_rng(0)
    W, k = random.standard_normal((5, 5)), random.integers(60, 120, (2, 7, 3, 5)).astype(dtype)
    bias = np.full(5, 100).astype(dtype)

    def factors(W, k):
        h = np.zeros((3, 5))
        for t in range(7):
            with mg.scope("t", t):
                h = np.tanh((h @ W + 1) * k[0, t] * k[1, t] * 1e-4)
        return (h * h).sum()

    def addends(W, k):
        h = np.zeros((3, 5))
        for t in range(7):
            with mg.scope("t", t):
                h = np.tanh((k[0, t] + (h @ W + bias)) * 1e-2 + mg.sigmoid(-(k[1, t] + h @ W) * 1e-2))
        return (h * h).sum()

    for loss in (factors, addends):
        eager, compiled = slopes(loss, 1)
        agree(compiled(W, k), eager(W, k), 1e-6 if dtype == "f4" else 1e-11)


@pytest.mark.parametrize("draws", [False, True])
def test_of_a_program_with_loops_that_fails_users_get_one_without(draws, monkeypatch):
    monkeypatch.setattr(Compiled, "_without_loops", WITHOUT_LOOPS)
    check = Recorded.check

    def refused(self):
        if self.has_loops:
            raise mg.CompileError("not the same")
        check(self)

    monkeypatch.setattr(Recorded, "check", refused)

    def f(x, rng):
        h = rng.standard_normal(3) if draws else np.zeros(3)
        for t in range(9):
            h = np.tanh(h * x[t] + x[t])
        return h

    compiled = mg.compile(f)
    for seed in range(3):
        x, ours, theirs = np.full((9, 3), 0.1 * seed), np.random.default_rng(seed), np.random.default_rng(seed)
        np.testing.assert_allclose(compiled(x, ours), f(x, theirs), rtol=1e-12)
        assert ours.bit_generator.state == theirs.bit_generator.state
    assert "without loops: a program with loops failed" in compiled.report()
    assert "not the same" in compiled.report()
