"""Derivatives of functions of one or two arrays, as the tests of several families take them."""

from typing import Any

import numpy as np

import minigrad


def leaf(array: Any, dtype: Any = None) -> minigrad.Tensor:
    return minigrad.tensor(array, requires_grad=True, dtype=dtype)


def gradient(f: Any, array: Any, order: int = 1) -> np.ndarray:
    """The derivative of that order of the sum of f, by each element of its argument; nothing may warn."""
    x = leaf(array)
    y = f(x)
    for left in range(order, 0, -1):
        y = minigrad.grad(y, x, seed=np.ones(y.shape), create_graph=left > 1)
    return y.data


def partials(f: Any, x: Any, y: Any) -> list[list[float]]:
    s, t = leaf(x), leaf(y)
    z = f(s, t)
    return [g.tolist() for g in minigrad.grad(z, [s, t], seed=np.ones(z.shape))]


def hessian(f: Any, array: Any) -> np.ndarray:
    """All second derivatives of the sum of f."""
    x = leaf(array)
    first = minigrad.grad(f(x).sum(), x, create_graph=True).reshape(-1)
    rows = [minigrad.grad(g, x, retain_graph=True).data.reshape(-1) for g in first]
    return np.stack(rows)


def assert_same(found: Any, expected: Any) -> None:
    """The same bits in the same dtype."""
    found, expected = found.data if isinstance(found, minigrad.Tensor) else found, np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.tobytes() == expected.tobytes()


def assert_same_tensor(found: Any, expected: Any) -> None:
    """A Tensor with the same bits in the same dtype."""
    assert isinstance(found, minigrad.Tensor)
    assert_same(found, expected)
