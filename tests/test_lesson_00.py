"""The engine that lesson 0 builds computes the same gradients as minigrad, in at most 90 lines."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

SCRIPT = Path(__file__).parent.parent / "examples" / "00_your_own_engine.py"
SHAPES = [(), (1,), (4,), (1, 4), (3, 1), (3, 4), (4, 3), (4, 4), (2, 3, 4), (2, 1, 1)]


@pytest.fixture(scope="module")
def lesson():
    return runpy.run_path(str(SCRIPT))


def test_the_engine_has_at_most_90_lines():
    cells = re.findall(r'^# %% tags=\["engine"\]\n(.*?)(?=^# %%)', SCRIPT.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert {"ancestors", "gradients", "Tensor"} <= set(re.findall(r"(?:def|class) (\w+)", "".join(cells)))
    assert len([line for cell in cells for line in cell.splitlines() if line.strip()]) <= 90


def scalar_program(rng, leaves):
    """Compute a random program of +, * and tanh, the same for the same state of `rng`."""
    pool = list(leaves)
    for _ in range(rng.integers(1, 30)):
        kind, i, j = rng.integers(3), *rng.integers(len(pool), size=2)
        x, y = pool[i], pool[j]
        pool.append([lambda: x + y, lambda: (x * y).tanh(), x.tanh][kind]())  # noqa: B023 called at once
    return pool[-1] * pool[rng.integers(len(pool))]


def array_program(rng, leaves):
    """Compute a random program of +, *, @, tanh and sum on arrays of many shapes. It ends in a number."""
    pool = list(leaves)
    for _ in range(rng.integers(3, 25)):
        kind = rng.integers(5)
        if kind == 4:
            x = pool[rng.integers(len(pool))]
            axis = int(rng.integers(-1, len(x.shape)))
            pool.append(x.sum(axis=None if axis < 0 else axis))
        elif kind == 3:
            pool.append(pool[rng.integers(len(pool))].tanh())
        else:
            pairs = [(x, y) for x in pool for y in pool if fit(x.shape, y.shape, product=kind == 2)]
            x, y = pairs[rng.integers(len(pairs))]
            pool.append(x + y if kind == 0 else (x * y if kind == 1 else x @ y).tanh())
    total = pool[-1].sum()
    for x in pool[:-1]:
        if rng.integers(2):
            total = total + x.tanh().sum()
    return total


def fit(a, b, product):
    """Return True if arrays of these shapes can be multiplied as matrices (`product`), or broadcast."""
    if product:
        return len(a) == len(b) == 2 and a[1] == b[0]
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(a), reversed(b), strict=False))


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize(
    ("kind", "program", "shapes"),
    [("Value", scalar_program, [()] * 4), ("Tensor", array_program, SHAPES)],
    ids=["Value", "Tensor"],
)
def test_its_gradients_are_those_of_minigrad(lesson, kind, program, shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in shapes]
    ours = [lesson[kind](float(x) if kind == "Value" else x) for x in arrays]
    theirs = [mg.tensor(x, requires_grad=True) for x in arrays]
    result, expected = (program(np.random.default_rng(seed), leaves) for leaves in (ours, theirs))
    np.testing.assert_allclose(result.data, expected.data, rtol=1e-10, atol=1e-14)
    found, wanted = lesson["gradients"](result), mg.grad(expected, theirs)
    for leaf, g in zip(ours, wanted, strict=True):
        assert np.shape(found.get(leaf, g)) == g.shape
        np.testing.assert_allclose(found.get(leaf, np.zeros(g.shape)), g.data, rtol=1e-8, atol=1e-10)
