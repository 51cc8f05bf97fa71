"""Optimizers: pure functions from (parameter, gradient, state) to the new ones, and a small object around each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .module import Parameter

__all__ = ["SGD", "Adam", "AdamState", "Optimizer", "adam", "sgd"]


def sgd(p: np.ndarray, g: np.ndarray, *, lr: float) -> np.ndarray:
    """Gradient descent: p - lr g, in the dtype of p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.optim.sgd(np.array([1.0]), np.array([2.0]), lr=0.25)
    array([0.5])
    """
    return p - lr * g


class AdamState(NamedTuple):
    """Adam's running means: of the gradient, of its square, and after how many steps."""

    m: np.ndarray
    v: np.ndarray
    t: int


def adam(
    p: np.ndarray, g: np.ndarray, state: AdamState, *, lr: float, betas: tuple[float, float], eps: float
) -> tuple[np.ndarray, AdamState]:
    """Adam (Kingma & Ba 2015), in the dtype of p:

        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, state = rnn.optim.adam(np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.9, 0.999), eps=0.0)
    >>> p, state.t
    (array([0.5]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    step = m / (np.sqrt(v / (1 - b2**t)) + eps)
    return p - lr / (1 - b1**t) * step, AdamState(m, v, t)


class Optimizer:
    """Holds the parameters and what the update remembers of each. Subclasses define ``update``."""

    def __init__(self, parameters: Iterable[Parameter], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("an optimizer needs parameters: give it model.parameters()")
        for p in self.parameters:
            if not isinstance(p, Parameter):
                raise TypeError(f"an optimizer takes the parameters of a model, model.parameters(), not {type(p).__name__}")
        if len({id(p) for p in self.parameters}) != len(self.parameters):
            raise ValueError("a parameter is given twice and would be updated twice at each step")
        if not (np.isfinite(lr) and lr >= 0):
            raise ValueError(f"lr is {lr}; it must be a number that is not negative")
        self.lr = float(lr)
        self.states: list[Any] = [self.initial(p.data) for p in self.parameters]

    def initial(self, p: np.ndarray) -> Any:
        """What the update remembers of a parameter before the first step."""
        return None

    def update(self, p: np.ndarray, g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define update()")

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for i, p in enumerate(self.parameters):
            g = p.grad
            if g is not None:
                # An update makes a new array, which the parameter takes over; p.data = new would copy it once more. Neither
                # it nor the old one can be written to.
                new, self.states[i] = self.update(p._data, g, self.states[i])
                p._rebind(new if type(new) is np.ndarray and new.dtype == g.dtype else np.asarray(new, p.dtype))

    def zero_grad(self) -> None:
        """Forget the gradients gathered so far."""
        for p in self.parameters:
            p.grad = None


class SGD(Optimizer):
    """Gradient descent, p - lr g.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5])
    """

    def update(self, p: np.ndarray, g: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        return sgd(p, g, lr=float(self.lr)), None


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015); the formulas stand at `adam`.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.Adam(rnn.Linear(2, 1).parameters(), lr=0.01)
    >>> optimizer.betas
    (0.9, 0.999)
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
            raise ValueError(f"betas are {betas}; they must be two numbers, each at least 0 and less than 1")
        if not eps >= 0:
            raise ValueError(f"eps is {eps}; it cannot be negative")
        super().__init__(parameters, lr)
        self.betas = (float(betas[0]), float(betas[1]))
        self.eps = float(eps)

    def initial(self, p: np.ndarray) -> AdamState:
        return AdamState(np.zeros_like(p), np.zeros_like(p), 0)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return adam(p, g, state, lr=float(self.lr), betas=self.betas, eps=self.eps)
