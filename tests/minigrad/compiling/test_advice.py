"""What `report()` advises where steps became no loop makes them one."""

import numpy as np
import pytest

import minigrad as mg

T, B, D, H = 12, 2, 3, 4
ORDER = [5 * t % T for t in range(T)]
MASK = np.where(np.arange(T) % 3, 0.0, 1.0)[:, None, None]


def states(x, W, U, start, inputs=lambda x, t: x[t]):
    h, found = start, []
    for t in range(len(x)):
        a = inputs(x, t) @ U
        h = np.tanh(a if h is None else a + h @ W)
        found.append(h)
    return np.stack(found)


def zeros():
    return np.zeros((B, H))


ADVISED = {  # by advice: a loss that is not folded, and what it becomes
    "multiply those that do not count by 0": (
        lambda x, W, U: (states(x, W, U, zeros())[::3] ** 2).sum(),
        lambda x, W, U: (states(x, W, U, zeros()) ** 2 * MASK).sum(),
    ),
    "start with an array of zeros": (
        lambda x, W, U: (states(x, W, U, None) ** 2).sum(),
        lambda x, W, U: (states(x, W, U, zeros()) ** 2).sum(),
    ),
    "in the order of the steps before the loop": (
        lambda x, W, U: (states(x, W, U, zeros(), lambda _, t: x[ORDER[t]]) ** 2).sum(),
        lambda x, W, U: (states(x[ORDER], W, U, zeros()) ** 2).sum(),
    ),
}


@pytest.mark.parametrize("advice", ADVISED)
def test_who_follows_the_advice_gets_a_loop_and_the_same_gradients(advice):
    rng = np.random.default_rng(0)
    W, U = (mg.tensor(rng.normal(size=(n, H)), requires_grad=True) for n in (H, D))
    x = rng.normal(size=(T, B, D))
    before, after = (mg.compile(lambda x, f=f: mg.grad(f(x, W, U), [W, U])) for f in ADVISED[advice])
    for one, other in zip(before(x), after(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    assert advice in before.report()
    assert "without loops" not in after.report()
    assert "\n    for " in after.source
