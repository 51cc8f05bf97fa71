"""Types as mypy and an editor should see them; `test_types.py` gives this file to mypy, and nothing runs it."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import minigrad as mg


def functions(t: mg.Tensor, x: NDArray[Any]) -> None:
    assert_type(mg.tanh(t), mg.Tensor)
    assert_type(mg.tanh(x), NDArray[Any])
    assert_type(mg.tanh(0.5), NDArray[Any])
    assert_type(mg.maximum(x, t), mg.Tensor)
    assert_type(mg.maximum(x, 0), NDArray[Any])
    assert_type(mg.sum(t, axis=0), mg.Tensor)
    assert_type(mg.where(x > 0, t, 0.0), mg.Tensor)
    assert_type(mg.clip(x, t), mg.Tensor)
    assert_type(mg.clip(x, None, t), mg.Tensor)
    assert_type(mg.clip(x, max=t), mg.Tensor)
    assert_type(mg.clip(t, 0, 1), mg.Tensor)
    assert_type(mg.clip(x, 0, 1), NDArray[Any])
    assert_type(mg.linear(t, np.eye(2)), mg.Tensor)
    assert_type(mg.linalg.solve(np.eye(2), t), mg.Tensor)
    assert_type(mg.linalg.eigh(t).eigenvectors, mg.Tensor)
    assert_type(mg.linalg.slogdet(np.eye(2)).logabsdet, NDArray[Any])


def functions_of_sequences(t: mg.Tensor, x: NDArray[Any]) -> None:
    assert_type(mg.concatenate([t, t]), mg.Tensor)
    assert_type(mg.concatenate([np.ones(2), np.zeros(2)]), NDArray[Any])
    assert_type(mg.concatenate([x, t]), mg.Tensor)
    assert_type(mg.stack((t, 1.0)), mg.Tensor)
    assert_type(mg.split(t, 2), list[mg.Tensor])
    assert_type(mg.split(x, 2), list[NDArray[Any]])


def operators_and_methods(t: mg.Tensor, x: NDArray[Any]) -> None:
    assert_type(t + 1, mg.Tensor)
    assert_type(1 - t, mg.Tensor)
    assert_type(t @ x, mg.Tensor)
    assert_type(t[0], mg.Tensor)
    assert_type(-t, mg.Tensor)
    assert_type(abs(t), mg.Tensor)
    assert_type(t.T, mg.Tensor)
    assert_type(t.tanh(), mg.Tensor)
    assert_type(t.sum(0).reshape(1, -1), mg.Tensor)
    t -= 1
    assert_type(t, mg.Tensor)


def loss(w: mg.Tensor, scale: float) -> mg.Tensor:
    return (w * scale).sum()


def transforms(t: mg.Tensor) -> None:
    assert_type(mg.grad(loss(t, 2.0), t), mg.Tensor)
    assert_type(mg.grad(loss(t, 2.0), [t]), list[mg.Tensor])
    assert_type(mg.value_and_grad(loss)(t, 2.0), tuple[Any, Any])
    assert_type(mg.checkpoint(loss)(t, 2.0), mg.Tensor)
    assert_type(mg.compile(loss)(t, scale=2.0), mg.Tensor)


@mg.compile(static=("scale",))
def step(w: mg.Tensor, scale: float) -> mg.Tensor:
    return w * scale


class Layer:
    @mg.compile
    def twice(self, w: mg.Tensor) -> mg.Tensor:
        return w * 2

    @mg.checkpoint
    def half(self, w: mg.Tensor) -> mg.Tensor:
        return w / 2


def decorated(t: mg.Tensor) -> None:
    assert_type(step(t, 2.0), mg.Tensor)
    assert_type(Layer().twice(t), mg.Tensor)
    assert_type(Layer().half(t), mg.Tensor)
