"""What a call writes outside: gradients that are copied when they are read are those of the last run, and nobody else's."""

import threading

import numpy as np
import pytest

import minigrad as mg


@pytest.fixture
def w() -> mg.Tensor:
    return mg.tensor([1.0, -2.0], requires_grad=True)


def test_a_gradient_that_was_read_stays_and_one_that_was_not_is_the_last(w: mg.Tensor) -> None:
    @mg.compile
    def step(x: np.ndarray) -> None:
        w.grad = None
        (np.tanh(w) * x).sum().backward()

    found = []
    for k in range(4):
        step(np.full(2, float(k)))
        if k != 2:
            found.append((k, w.grad))
    slope = 1 - np.tanh(w.data) ** 2
    for k, gradient in found:
        np.testing.assert_allclose(gradient, k * slope)
    assert w.grad is found[-1][1]


def test_a_run_that_ends_another_way_leaves_the_gradients(w: mg.Tensor) -> None:
    @mg.compile
    def step(y: np.ndarray) -> None:
        loss = mg.cross_entropy(w, y)
        w.grad = None
        loss.backward()

    step(np.array(0))
    step(np.array(1))
    expected = mg.grad(mg.cross_entropy(w, np.array(1)), w)
    with pytest.raises(ValueError, match="class"):
        step(np.array(2))
    np.testing.assert_allclose(w.grad, expected)


def test_gradients_gather_over_calls_and_two_programs(w: mg.Tensor) -> None:
    @mg.compile
    def step(x: np.ndarray) -> None:
        (w * x).sum().backward()

    step(np.ones(2))
    step(np.ones((3, 2)))
    step(np.ones(2))
    step(np.ones((3, 2)))
    assert w.grad is not None
    assert w.grad.tolist() == [8.0, 8.0]


def test_a_gradient_read_in_another_thread_is_of_one_run():
    w = mg.tensor(np.ones(300_000), requires_grad=True)

    @mg.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()

    arrays = [np.full(w.shape, float(i)) for i in range(3)]
    step(arrays[0])
    spreads, done = [], threading.Event()

    def look():
        while not done.is_set():
            spreads.append(np.ptp(w.grad))

    thread = threading.Thread(target=look)
    thread.start()
    for i in range(300):
        step(arrays[i % 3])
    done.set()
    thread.join()
    assert not any(spreads)
    assert w.grad[0] == 2.0
