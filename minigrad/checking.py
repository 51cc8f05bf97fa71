"""Gradient checking: compare derivatives with finite differences, which do not use the rules."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .graph import ancestors
from .tensor import Tensor, plain
from .transforms import Traced, jvp, vjp
from .trees import tree_leaves, tree_map

__all__ = ["GradientError", "check_grads"]

MODES = ("reverse", "forward")
ROUNDING = float(np.finfo(np.float64).eps)


class GradientError(AssertionError):
    """Raised when a derivative and the finite difference differ. The message names the argument, the index and both values."""


def check_grads(
    f: Callable[..., Any],
    *args: Any,
    parameters: Iterable[Tensor] | None = None,
    order: int = 1,
    modes: Sequence[str] = MODES,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float = 1e-4,
    seed: int = 0,
) -> None:
    """Check all derivatives of ``f(*args)``, up to `order`, against central differences in float64.

    Arguments are arrays, numbers or containers of them. f is called with Tensors and may return arrays of any shape, or
    containers of them. Reverse mode is checked element by element, with random weights for the elements of f's result; forward
    mode along a random direction. With ``order=2`` the function that computes the derivative is checked in the same way.

    The difference is (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h. It starts with h = `step` (in reverse mode times abs(x)
    where that is above 1), and h shrinks as long as rounding allows. A derivative passes if it differs by at most
    ``atol + rtol * size``. A function that computes in float32 or float16 is checked with a larger step and wider tolerances.
    At a kink of f (relu at 0, a tie of max) any value between the two one-sided differences passes.

    `parameters` are tensors that f reads but does not receive as arguments, such as ``model.parameters()``. Derivatives with
    respect to them are checked as well, with their values in float64. Afterwards they are restored, also after an error.

    Raises `GradientError` with the argument, the index, the expected and the computed value; ValueError if f is not finite, if
    it returns another value each time, or if there is nothing to check.

    >>> import numpy as np, minigrad
    >>> minigrad.check_grads(lambda x, y: np.tanh(x @ y), np.ones((2, 3)), np.ones(3), order=2)
    >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True, dtype="float32")
    >>> minigrad.check_grads(lambda: (w * w).sum(), parameters=[w])
    """
    if not set(modes) or set(modes) - set(MODES) or order < 1:
        raise ValueError(f"modes must be from {MODES} and order at least 1, not modes={tuple(modes)}, order={order}")
    if not callable(f):
        raise TypeError(f"check_grads takes a function and its arguments, not a {type(f).__name__}")
    weights = checked_parameters(parameters)
    point = tuple(tree_map(as_float64, x) for x in args)
    if not tree_leaves(point) and not weights:
        raise ValueError(
            "there is nothing to check: f received no arrays. Pass its arguments, check_grads(f, x, y), or the weights of a "
            "model, check_grads(f, parameters=model.parameters())"
        )
    labels = [f"parameter {w.name or i}" for i, w in enumerate(weights)]
    labels += [f"array {i}" for i in range(len(tree_leaves(point)))]
    with put_back(weights):
        if weights:
            f, point = with_parameters(f, weights), ([as_float64(w) for w in weights], *point)
        Check(labels, modes, *limits(f, point, rtol, atol, step)).run(f, point, order, seed)


def checked_parameters(parameters: Iterable[Tensor] | None) -> list[Tensor]:
    if hasattr(parameters, "parameters"):
        raise TypeError(f"parameters must be tensors, not a {type(parameters).__name__}; write parameters=model.parameters()")
    weights = list({id(p): p for p in ((parameters,) if isinstance(parameters, Tensor) else parameters or ())}.values())
    for p in weights:
        if not isinstance(p, Tensor) or not p.is_leaf or p.dtype.kind != "f":
            what = type(p).__name__ if not isinstance(p, Tensor) else f"the result of an op, or of dtype {p.dtype}"
            raise TypeError(f"parameters must be leaves of floating-point numbers that f reads; one of them is {what}")
    return weights


@contextlib.contextmanager
def put_back(weights: list[Tensor]) -> Iterator[None]:
    """Restore values, nodes and leaves of the weights at the end of the block."""
    kept = [(w, w._data, w._node, w._leaf) for w in weights]
    try:
        yield
    finally:
        for w, data, node, leaf in kept:
            w._data, w._node, w._leaf = data, node, leaf


def with_parameters(f: Callable[..., Any], weights: list[Tensor]) -> Callable[..., Any]:
    """Return f as a function of its weights and its arguments. The weights keep the values of the last call, because a backward
    pass may compute something again."""

    def of_all(values: list[Tensor], *args: Any) -> Any:
        for w, value in zip(weights, values, strict=True):
            w._data, w._node, w._leaf = value._data, value._node, value._leaf
        return f(*args)

    return of_all


def as_float64(x: Any) -> np.ndarray:
    array = np.array(x.numpy() if isinstance(x, Tensor) else x)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"check_grads needs arrays of real numbers, not of {array.dtype}")
    return array.astype(np.float64)


def limits(f: Callable[..., Any], point: tuple[Any, ...], rtol: float, atol: float, step: float) -> tuple[float, float, float]:
    """Return the tolerances and the step, widened for the coarsest dtype in which f computes."""
    run = Traced(f, tuple(range(len(point))), point, {})
    ends = [y._node for y in run.outputs if isinstance(y, Tensor) and y._node is not None]
    eps = max((float(np.finfo(node.dtype).eps) for node in ancestors(ends) if node.op is not None), default=0.0)
    if eps <= np.finfo(np.float64).eps:
        return rtol, atol, step
    size = sum(float(np.abs(np.asarray(plain(y), dtype=np.float64)).sum()) for y in run.outputs)
    wide = max(step, eps**0.2)  # best for a difference of fourth order
    return max(rtol, eps**0.5), atol + 16 * eps * size / wide, wide


def weighted(f: Callable[..., Any], point: tuple[Any, ...], weights: list[np.ndarray]) -> float:
    """Return the sum of f's values times the weights."""
    values = [np.asarray(plain(y), dtype=np.float64) for y in tree_leaves(f(*tree_map(Tensor, point)))]
    return float(sum(np.sum(w * y) for w, y in zip(weights, values, strict=True)))


class Check(NamedTuple):
    """Labels, modes, tolerances and step of one call of `check_grads`."""

    labels: list[str]
    modes: Sequence[str]
    rtol: float
    atol: float
    step: float

    def run(self, f: Callable[..., Any], point: tuple[Any, ...], order: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        if "reverse" in self.modes:
            self.reverse(f, point, rng)
        if "forward" in self.modes:
            self.forward(f, point, rng)
        if order == 1:
            return
        shapes = [np.shape(plain(y)) for y in tree_leaves(f(*tree_map(Tensor, point)))]
        cotangents = [rng.standard_normal(shape) for shape in shapes]

        def gradient(*x: Any) -> Any:
            y, pull_back = vjp(f, *x)
            rest = iter(cotangents)
            return pull_back(tree_map(lambda _: next(rest), y))

        try:
            self.run(gradient, point, order - 1, seed + 1)
        except GradientError as error:
            raise GradientError(f"in the gradient of the gradient: {error}") from None

    def reverse(self, f: Any, point: Any, rng: np.random.Generator) -> None:
        y, pull_back = vjp(f, *point)
        weights = [rng.standard_normal(np.shape(v)) for v in tree_leaves(y)]
        rest = iter(weights)
        computed = pull_back(tree_map(lambda _: next(rest), y))
        repeatable(f, point, weights)
        for label, x, g in zip(self.labels, tree_leaves(point), tree_leaves(computed), strict=True):
            for index in np.ndindex(x.shape):

                def moved(h: float, x: np.ndarray = x, index: tuple[int, ...] = index) -> float:
                    kept = x[index]
                    x[index] = kept + h
                    try:
                        return weighted(f, point, weights)
                    finally:
                        x[index] = kept

                where = f"reverse mode, {label}" + (f" at {index}" if index else "")
                self.compare(moved, float(np.asarray(plain(g))[index]), self.step * max(1.0, abs(x[index])), where)

    def forward(self, f: Any, point: Any, rng: np.random.Generator) -> None:
        direction = tuple(tree_map(lambda x: rng.standard_normal(x.shape), x) for x in point)
        y, t = jvp(f, point, direction)
        weights = [rng.standard_normal(np.shape(v)) for v in tree_leaves(y)]
        repeatable(f, point, weights)
        computed = float(sum(np.sum(w * np.asarray(plain(v))) for w, v in zip(weights, tree_leaves(t), strict=True)))
        ways = iter(tree_leaves(direction))
        pairs = {id(x): next(ways) for x in tree_leaves(point)}

        def moved(h: float) -> float:
            return weighted(f, tuple(tree_map(lambda x: x + h * pairs[id(x)], x) for x in point), weights)

        self.compare(moved, computed, self.step, "forward mode, along a random direction")

    def compare(self, moved: Callable[[float], float], computed: float, h: float, where: str) -> None:
        """Compare the computed derivative with central differences of smaller and smaller steps, as long as rounding allows.

        At a kink, accept any value between the two one-sided differences.
        """
        middle = moved(0.0)
        expected = np.nan
        with np.errstate(all="ignore"):
            for finer in (h, h / 8, h / 64, h / 512, h / 4096):
                if np.isfinite(expected) and finer < 16 * ROUNDING * abs(middle) / (self.atol + self.rtol * abs(expected)):
                    break
                expected = central(moved, finer)
                if abs(computed - expected) <= self.atol + self.rtol * max(abs(expected), abs(computed)):
                    return
            right = [(moved(s) - middle) / s for s in (h, h / 8)]
            left = [(middle - moved(-s)) / s for s in (h, h / 8)]
        jump, size = abs(right[1] - left[1]), max(abs(right[1]), abs(left[1]), 1.0)
        kink = jump > 0.5 * abs(right[0] - left[0]) and jump > 1e-3 * size  # for a smooth f an eighth of it would remain
        low, high = sorted((left[1], right[1]))
        if kink and low - 1e-3 * size <= computed <= high + 1e-3 * size:
            return
        sides = f"; there is a kink: from the left {left[1]:.8g}, from the right {right[1]:.8g}" if kink else ""
        raise GradientError(f"{where}: expected {expected:.8g} (finite difference), got {computed:.8g}{sides}")


def repeatable(f: Any, point: Any, weights: list[np.ndarray]) -> None:
    """Raise ValueError if f returns nothing, is not finite, or returns another value each time."""
    if not weights:
        raise ValueError("there is nothing to check: f returned no array")
    first, second = weighted(f, point, weights), weighted(f, point, weights)
    if not np.isfinite(first):
        raise ValueError("f is not finite at this point, so there is no difference to compare with; choose another point")
    if first != second:
        raise ValueError(
            "f returns another value each time, so there is no difference to compare with. Does it draw random numbers, "
            "as dropout does in training mode, or keep a state from call to call?"
        )


def central(moved: Callable[[float], float], h: float) -> float:
    """Return the central difference of fourth order."""
    return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
