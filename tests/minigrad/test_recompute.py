"""checkpoint: the same values and gradients, in every mode, with less kept."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad
from minigrad.recompute import Segment


def parameters(seed=0, size=3):
    rng = np.random.default_rng(seed)
    return [minigrad.tensor(rng.standard_normal((size, size)), requires_grad=True, name=name) for name in "UW"]


def steps(U, W, x, h, start, stop):
    for t in range(start, stop):
        with minigrad.scope("t", t):
            h = np.tanh(x[t] @ U + h @ W)
    return h


def run(U, W, x, pieces, wrapped):
    h = minigrad.tensor(np.zeros((2, 3)))
    piece = wrapped(lambda h, start, stop: steps(U, W, x, h, start, stop))
    for start, stop in pieces:
        h = piece(h, start, stop)
    return (h * h).sum()


X = np.random.default_rng(1).standard_normal((9, 2, 3))
PIECES = [(0, 3), (3, 6), (6, 9)]


def test_gradients_are_bit_for_bit_those_without_it():
    plain, saving = parameters(), parameters()
    run(*plain, X, PIECES, lambda f: f).backward()
    run(*saving, X, PIECES, minigrad.checkpoint).backward()
    for one, other in zip(plain, saving, strict=True):
        assert np.array_equal(one.grad, other.grad)


def test_what_the_ops_saved_is_forgotten_and_their_structure_is_not():
    U, W = parameters()
    text = str(minigrad.Graph(run(U, W, X, PIECES, lambda f: f)))
    loss = run(U, W, X, PIECES, minigrad.checkpoint)
    inside = [node for node in minigrad.Graph(loss) if node.op and node.scope and "t" in node.scope]
    assert len(inside) == 9 * 4  # two products, a sum, tanh
    assert all(isinstance(node.saved, Segment) for node in inside)
    assert str(minigrad.Graph(loss)) == text


def test_the_function_runs_once_forward_and_once_more_in_the_backward_pass():
    calls = []

    @minigrad.checkpoint
    def f(x):
        calls.append(1)
        return np.exp(np.sin(x))

    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    y = f(x).sum()
    assert len(calls) == 1
    y.backward(retain_graph=True)
    assert len(calls) == 2
    y.backward()
    assert len(calls) == 2  # what was computed again is kept where the graph is
    assert np.allclose(x.grad, 2 * np.exp(np.sin(x.data)) * np.cos(x.data), rtol=1e-14)


@pytest.mark.parametrize("mask", [1.0, np.array([1.0, 1.0, 0.0])], ids=["all", "mask"])
def test_a_piece_runs_again_when_the_sweep_comes_to_it(mask):
    """Not before, although the loss has an op with infinite slopes, for which a sweep looks for factors of 0."""
    events = []
    W = parameters()[1]

    @minigrad.checkpoint
    def piece(h, k):
        events.append(f"run {k}")
        h = np.tanh(h @ W) * mask
        h.register_hook(lambda g: events.append(f"back {k}"))
        return h

    h = minigrad.tensor(np.ones((2, 3)))
    for k in range(3):
        h = piece(h, k)
    (h**2).sum().backward()
    assert events[:3] == ["run 0", "run 1", "run 2"]
    assert events[3:] == ["back 2", "run 2", "back 1", "run 1", "back 0", "run 0"]


def test_containers_keywords_and_results_that_are_not_used():
    @minigrad.checkpoint
    def f(pair, *, options):
        a, b = pair
        return {"product": a * b * options["scale"], "unused": np.exp(a), "same": a, "number": 3}

    a = minigrad.tensor([1.0, 2.0], requires_grad=True)
    b = minigrad.tensor([3.0, 4.0], requires_grad=True)
    result = f((a, b), options={"scale": 2.0})
    assert result["same"] is a
    assert result["number"] == 3
    total = (result["product"] + result["same"]).sum()
    del result
    total.backward()
    assert np.array_equal(a.grad, 2 * b.data + 1)
    assert np.array_equal(b.grad, 2 * a.data)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_second_order_in_both_modes(mode):
    A = np.random.default_rng(2).standard_normal((3, 3))

    def f(x):
        return np.tanh(A @ np.exp(np.sin(x))).sum()

    point = np.array([0.1, 0.5, -0.3])
    plain = minigrad.jacobian(minigrad.grad(f), mode=mode)(point)
    saving = minigrad.jacobian(minigrad.grad(minigrad.checkpoint(f)), mode=mode)(point)
    assert np.allclose(plain, saving, rtol=1e-12, atol=1e-12)
    minigrad.check_grads(minigrad.checkpoint(f), point, order=2)


def test_nested_checkpoints():
    inner = minigrad.checkpoint(lambda x: (np.sin(x) * x, np.cos(x)))

    @minigrad.checkpoint
    def outer(x):
        for _ in range(3):
            x, _unused = inner(x)
        return x

    def plain(x):
        for _ in range(3):
            x = np.sin(x) * x
        return x

    point = np.array([0.7, 1.3])
    assert np.array_equal(minigrad.elementwise_grad(outer)(point), minigrad.elementwise_grad(plain)(point))
    hessians = [minigrad.hessian(lambda x, f=f: f(x).sum())(point) for f in (outer, plain)]
    assert np.allclose(*hessians, rtol=1e-13)


def test_under_no_grad_nothing_is_recorded():
    x = minigrad.tensor(1.0, requires_grad=True)
    with minigrad.no_grad():
        assert not minigrad.checkpoint(np.sin)(x).requires_grad
    y = minigrad.checkpoint(lambda x: np.sin(np.exp(x)))(x)
    with minigrad.no_grad():
        y.backward()
    assert np.isclose(x.grad, np.cos(np.exp(1.0)) * np.exp(1.0), rtol=1e-15)


def test_on_arrays_it_is_the_function_itself():
    assert minigrad.checkpoint(np.sin)(1.0) == np.sin(1.0)


def test_a_function_that_draws_random_numbers_is_found_out():
    rng = np.random.default_rng(0)
    x = minigrad.tensor(np.ones(5), requires_grad=True)
    with minigrad.scope("layer", 1):
        y = minigrad.checkpoint(lambda x: np.exp(x * rng.standard_normal(5)))(x).sum()
    with pytest.raises(RuntimeError, match=r"layer=1 did not compute the same when it ran again.*draw them outside"):
        y.backward()
    assert x.grad is None


def test_a_parameter_that_was_updated_in_between_is_found_out():
    U, W = parameters()
    loss = run(U, W, X, PIECES, minigrad.checkpoint)
    W.data = W.data * 1.001
    with pytest.raises(RuntimeError, match="such as a parameter, change in between"):
        loss.backward()


def test_a_function_that_records_other_ops_is_found_out():
    ops = iter([np.sin, lambda x: np.sin(np.cos(x))])
    x = minigrad.tensor(1.0, requires_grad=True)
    y = minigrad.checkpoint(lambda x: next(ops)(x))(x)
    with pytest.raises(RuntimeError, match="did not compute the same"):
        y.backward()


def test_results_that_are_not_finite_or_cancel_are_no_false_alarm():
    x = minigrad.tensor([1e-17, -1e-17, 1.0], requires_grad=True)
    y = minigrad.checkpoint(lambda x: (x / 0.0, x - x, np.sum(x - 1 / 3), np.exp(x)))
    with np.errstate(all="ignore"):
        y(x)[3].sum().backward()
    assert np.allclose(x.grad, np.exp(x.data))


def test_it_takes_a_function():
    with pytest.raises(TypeError, match=r"takes a function, not Tensor: write checkpoint\(f\)\(x\)"):
        minigrad.checkpoint(minigrad.tensor(1.0))


def test_memory_of_a_long_sequence():
    def peak(every):
        T, B, H = 400, 8, 64
        rng = np.random.default_rng(0)
        x = minigrad.tensor(rng.standard_normal((T, B, H)))
        U, W = (minigrad.tensor(rng.standard_normal((H, H)) / H, requires_grad=True) for _ in range(2))
        pieces = [(t, t + every) for t in range(0, T, every)]

        def piece(h, start, stop):
            return steps(U, W, x, h, start, stop)

        gc.collect()
        tracemalloc.start()
        h = minigrad.tensor(np.zeros((B, H)))
        for start, stop in pieces:
            h = (piece if every == T else minigrad.checkpoint(piece))(h, start, stop)
        (h * h).sum().backward()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest / (2 * T * B * H * 8)

    without, with_it = peak(400), peak(20)
    assert without < 2.5
    assert with_it < 2.5 / 4
    assert with_it < 0.6 * without


def test_the_graph_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        U, W = parameters()
        loss = run(U, W, X, PIECES, minigrad.checkpoint)
        nodes = [weakref.ref(node) for node in minigrad.Graph(loss) if node.op]
        loss.backward()
        del loss
        assert not any(node() for node in nodes)
        loss = run(U, W, X, PIECES, minigrad.checkpoint)
        nodes = [weakref.ref(node) for node in minigrad.Graph(loss) if node.op]
        del loss  # without a backward pass, too
        assert not any(node() for node in nodes)
    finally:
        gc.enable()


def test_in_debug_mode_a_nan_in_the_second_run_is_named():
    x = minigrad.tensor([0.0, 1.0], requires_grad=True)
    with minigrad.debug(), minigrad.scope("t", 17):
        y = minigrad.checkpoint(lambda x: np.sqrt(x) * 2)(x).sum()
        with pytest.raises(FloatingPointError, match="backward pass of sqrt, in scope t=17"):
            y.backward()


def test_in_threads():
    expected = parameters()
    run(*expected, X, PIECES, lambda f: f).backward()
    results = []

    def work():
        mine = parameters()
        run(*mine, X, PIECES, minigrad.checkpoint).backward()
        results.append(mine)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(a.grad, b.grad) for mine in results for a, b in zip(mine, expected, strict=True))
