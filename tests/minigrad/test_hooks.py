"""register_hook: see, and change, a gradient on its way."""

import gc
import weakref

import numpy as np
import pytest

import minigrad


def test_a_hook_sees_the_whole_gradient_once():
    seen = []
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    h = x * x
    h.register_hook(lambda g: seen.append(g.copy()))
    (3 * h + h * h + h[0]).sum().backward()  # three users
    assert len(seen) == 1
    expected = 3 + 2 * x.data**2 + np.array([2.0, 0.0])
    assert np.allclose(seen[0], expected)
    assert np.allclose(x.grad, expected * 2 * x.data)


def test_what_it_returns_goes_on():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    h = x * x
    h.register_hook(lambda g: np.zeros(2))
    (x + h).sum().backward()
    assert np.array_equal(x.grad, [1.0, 1.0])


def test_hooks_of_a_leaf_and_their_order():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (3 * x).sum().backward()
    assert np.array_equal(x.grad, [31.0, 31.0])
    x.grad = None
    (3 * x).sum().backward()  # and at the next pass again
    assert np.array_equal(x.grad, [31.0, 31.0])


def test_remove_and_with():
    x = minigrad.tensor(1.0, requires_grad=True)
    handle = x.register_hook(lambda g: g * 10)
    handle.remove()
    handle.remove()
    with x.register_hook(lambda g: g * 100):
        assert minigrad.grad(x * 2, x).item() == 200
    assert minigrad.grad(x * 2, x).item() == 2


def test_the_same_function_twice_is_two_hooks():
    def double(g):
        return g * 2

    x = minigrad.tensor(1.0, requires_grad=True)
    first, second = x.register_hook(double), x.register_hook(double)
    assert minigrad.grad(x * 1, x).item() == 4
    second.remove()
    assert minigrad.grad(x * 1, x).item() == 2
    first.remove()
    assert minigrad.grad(x * 1, x).item() == 1


def test_the_gradient_given_to_a_hook_cannot_be_written_to_and_does_not_change_later():
    kept = []
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(kept.append)
    (x * x + x).sum().backward()
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0] = 5.0
    x.grad[0] = 99.0
    assert np.array_equal(kept[0], [3.0, 5.0])


def test_what_a_hook_returns_is_copied():
    mine = np.array([5.0, 6.0])
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: mine)
    (x * x).sum().backward()
    x.grad[0] = 0.0
    assert np.array_equal(mine, [5.0, 6.0])


def test_in_a_recorded_pass_it_gets_and_may_return_tensors():
    x = minigrad.tensor(2.0, requires_grad=True)
    x.register_hook(lambda g: g * g)
    slope = minigrad.grad(x**3, x, create_graph=True)
    assert slope.item() == 144.0  # (3 x^2)^2
    x.register_hook(lambda g: 7.0)
    again = minigrad.grad(x**3, x, create_graph=True)
    assert again.item() == 7.0
    assert not again.requires_grad


def test_dtype_and_shape():
    x = minigrad.tensor(np.ones(3, np.float32), requires_grad=True)
    with x.register_hook(lambda g: g.astype(np.float64) * 2):
        x.sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad[0] == 2
    with x.register_hook(lambda g: g[:2]), pytest.raises(ValueError, match=r"shape \(3,\); this one returned shape \(2,\)"):
        x.sum().backward()


def test_bad_input():
    with pytest.raises(ValueError, match="does not depend on any tensor"):
        minigrad.tensor(1.0).register_hook(print)
    with pytest.raises(TypeError, match="a hook is a function of the gradient, not int"):
        minigrad.tensor(1.0, requires_grad=True).register_hook(3)


def test_hooks_go_with_their_node():
    gc.collect()
    x = minigrad.tensor([1.0], requires_grad=True)
    h = x * x
    h.register_hook(lambda g: g)
    node = weakref.ref(h._node)
    del h
    assert node() is None


def test_the_gradient_of_each_state_through_time():
    W = minigrad.tensor(0.5 * np.eye(2), requires_grad=True)
    h = minigrad.tensor(np.ones((1, 2)))
    norms = {}
    for t in range(5):
        h = h @ W
        h.register_hook(lambda g, t=t: norms.update({t: np.linalg.norm(g)}))
    h.sum().backward()
    assert list(norms) == [4, 3, 2, 1, 0]
    assert np.allclose([norms[t] for t in range(5)], np.sqrt(2) * 0.5 ** np.arange(4, -1, -1))
