"""Programs that have gone wrong once: each is what the function itself gives."""

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.trees import tree_leaves


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def in_steps(body, T):
    def run(*args):
        total = 0.0
        for t in range(T):
            with mg.scope("t", t):
                total = total + body(t, *args)
        return total

    return run


def not_really_turned(t, x):
    z = x[t] @ np.transpose(SQUARE, (0, 1))
    return (np.tanh(z[:, :4]) * z[:, 4:]).sum()


def one_column_twice(t, x):
    z = x[t] @ COLUMN
    return (z[:, :1] * z[:, 0:1]).sum()


def gates_of_other_widths(h, x):
    for t in range(3):
        with mg.scope("t", t):
            z = x[t] + h
            a, b = np.tanh(z[:, :1]), np.tanh(z[:, 1:2])
            h = np.concatenate([a * b, b, np.tanh(z[:, 2:])], 1)
    return h


def slope_of_a_bias(b, x):
    return mg.grad(lambda b: sum((np.tanh(x[t] + b).sum() for t in range(3)), start=0.0))(b)


SQUARE = mg.tensor(np.arange(64.0).reshape(8, 8) / 64)
COLUMN = mg.tensor(np.array([[0.5], [2.0]]))
CASES = {
    "a transpose that changes nothing": (in_steps(not_really_turned, 3), [numbers(0, 3, 600, 8)]),
    "one column in two spellings": (in_steps(one_column_twice, 3), [numbers(0, 3, 2000, 2)]),
    "gates of widths n, n, 2n": (gates_of_other_widths, [numbers(0, 1, 4), numbers(1, 3, 1, 4)]),
    "a bias of shape (1, m)": (slope_of_a_bias, [numbers(0, 1, 2), numbers(1, 3, 4, 2)]),
    "rows counted from the end": (lambda x: np.stack([x[t - 1] for t in range(3)]), [numbers(0, 3, 2)]),
    "the last rows": (lambda x: np.stack([x[-3], x[-2], x[-1]]), [numbers(0, 5, 2)]),
    "one array in two shapes": (lambda x, y, c: (x + c, y * c), [numbers(0, 1, 3), numbers(1, 1, 1, 3), numbers(2, 3)]),
    "where, by a number": (lambda k, x: np.where(k, x, 0.0), [np.array([0, 2, 0]), numbers(0, 3)]),
    "a product with a number": (lambda x: np.dot(2.0, x.T) + np.dot(x.sum(), x.T), [numbers(0, 3, 2)]),
}


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_case(name, batch):
    f, args = CASES[name]
    compiled = mg.compile(f, batch=batch)
    for scale in (1, 2):
        now = [x * scale for x in args]
        found, expected = (list(tree_leaves(g(*now))) for g in (compiled, f))
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            one, other = (x.numpy() if isinstance(x, mg.Tensor) else x for x in (a, b))
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["run", "OtherWay", "add_reduce", "just_1_d", "copyto", "lines_0"])
def test_a_tensor_may_have_any_name(name):
    p = mg.tensor(np.ones(2), requires_grad=True, name=name)
    compiled = mg.compile(lambda x: (x * p + 1.0 * p).sum())
    assert compiled(np.full(2, 3.0)).item() == 8.0
    assert compiled(np.full(2, 4.0)).item() == 10.0


@pytest.mark.parametrize("batch", [True, False])
def test_values_are_taken_before_anything_is_written(batch):
    a, b = (mg.tensor(np.full(2, v), requires_grad=True) for v in (1.0, 5.0))

    @mg.compile(batch=batch)
    def swap():
        a.data, b.data = b.data, a.data

    @mg.compile(batch=batch)
    def step(x):
        old = a.data
        a.data = a.data * 2 + x
        b.grad = old
        return old

    for _ in range(3):
        before = a.data.copy(), b.data.copy()
        swap()
        assert np.array_equal(a.data, before[1])
        assert np.array_equal(b.data, before[0])
        before = a.data.copy()
        assert np.array_equal(np.asarray(tree_leaves(step(np.ones(2)))[0]), before)
        assert np.array_equal(b.grad, before)
        assert np.array_equal(a.data, before * 2 + 1)


@pytest.mark.parametrize("kind", [rnn.SGD, rnn.Adam, rnn.RMSprop])
def test_two_optimizers_in_one_step(kind):
    def training():
        a, b, c = (rnn.Parameter(np.full(2, v)) for v in (1.0, 2.0, 3.0))
        first, second = kind([a], lr=0.1), kind([b, c], lr=0.1)

        def step(x):
            (x * a * b).sum().backward()
            first.step()
            first.zero_grad(), second.zero_grad()
            (a * b * c * x).sum().backward()
            second.step()
            first.zero_grad(), second.zero_grad()

        return step, (a, b, c)

    (eager, expected), (step, found) = training(), training()
    compiled = mg.compile(step)
    for _ in range(3):
        eager(np.ones(2)), compiled(np.ones(2))
        for p, q in zip(expected, found, strict=True):
            np.testing.assert_allclose(q.data, p.data, rtol=1e-12)


def test_updates_that_need_one_another():
    p = [mg.tensor(np.full(2, float(i + 1))) for i in range(3)]

    @mg.compile
    def step(x):
        new = []
        for i in range(3):
            with mg.scope("update"), mg.scope("parameter", i):
                new.append(p[i] - 0.1 * (new[i - 1] if i else x))
        return tuple(new)

    found = step(np.ones(2))
    np.testing.assert_allclose([t.numpy()[0] for t in found], [0.9, 1.91, 2.809], rtol=1e-12)
