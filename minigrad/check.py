"""Is a gradient right? Compare it with finite differences, which know nothing of the rules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .graph import ancestors
from .tensor import Tensor, plain
from .transforms import Traced, jvp, vjp
from .trees import leaves, mapped

__all__ = ["GradientError", "check_grads"]

MODES = ("reverse", "forward")


class GradientError(AssertionError):
    """A derivative and the finite difference do not agree; the message says where, what was expected and what came."""


def check_grads(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    modes: Sequence[str] = MODES,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float = 1e-4,
    seed: int = 0,
) -> None:
    """Check every derivative of ``f(*args)``, up to `order`, against central differences in float64.

    Arguments are arrays, numbers or containers of them. Reverse mode is checked element by element for a random cotangent,
    forward mode along a random direction; order 2 does the same to the function that computes the derivative.
    A function that computes in float32 or float16 is checked with a larger step, and as exactly as its rounding allows.
    Where f has a kink (relu at 0, a tie of max) the one-sided differences do not meet; there any value between them is
    accepted, and it is no failure.

    Raises `GradientError` with the argument, the index, the expected and the computed value; ValueError if f is not finite.

    >>> import numpy as np, minigrad
    >>> minigrad.check_grads(lambda x, y: np.tanh(x @ y), np.ones((2, 3)), np.ones(3), order=2)
    """
    unknown = set(modes) - set(MODES)
    if unknown or order < 1:
        raise ValueError(f"modes are of {MODES} and order is at least 1, not modes={tuple(modes)}, order={order}")
    point = tuple(mapped(as_float64, x) for x in args)
    rng = np.random.default_rng(seed)
    limits = (rtol, atol, step)
    if (eps := coarsest(f, point)) > np.finfo(np.float64).eps:
        size = sum(float(np.abs(np.asarray(plain(y), dtype=np.float64)).sum()) for y in leaves(f(*point)))
        wide = max(step, eps**0.2)  # the best for a difference of fourth order
        limits = (max(rtol, eps**0.5), atol + 16 * eps * size / wide, wide)
    if "reverse" in modes:
        check_reverse(f, point, rng, *limits, "reverse mode")
    if "forward" in modes:
        check_forward(f, point, rng, *limits, "forward mode")
    if order > 1:
        shapes = [np.shape(plain(y)) for y in leaves(f(*point))]
        cotangents = [rng.standard_normal(shape) for shape in shapes]

        @functools.wraps(f)
        def gradient(*x: Any) -> Any:
            y, pull_back = vjp(f, *x)
            rest = iter(cotangents)
            return pull_back(mapped(lambda _: next(rest), y))

        try:
            check_grads(gradient, *point, order=order - 1, modes=modes, rtol=rtol, atol=atol, step=step, seed=seed + 1)
        except GradientError as error:
            raise GradientError(f"in the gradient of the gradient: {error}") from None


def as_float64(x: Any) -> np.ndarray:
    array = np.array(x.data if isinstance(x, Tensor) else x)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"check_grads checks real numbers, not {array.dtype}")
    return array.astype(np.float64)


def coarsest(f: Callable[..., Any], point: tuple[Any, ...]) -> float:
    """The machine epsilon of the smallest floating dtype that f computes in."""
    run = Traced(f, tuple(range(len(point))), point, {})
    ends = [y._node for y in run.outputs if isinstance(y, Tensor) and y._node is not None]
    return max((float(np.finfo(node.dtype).eps) for node in ancestors(ends) if node.op is not None), default=0.0)


def weighted(f: Callable[..., Any], point: tuple[Any, ...], weights: list[np.ndarray]) -> float:
    """The sum of f's values times the weights."""
    values = [np.asarray(plain(y), dtype=np.float64) for y in leaves(f(*point))]
    return float(sum(np.sum(w * y) for w, y in zip(weights, values, strict=True)))


def check_reverse(f: Any, point: Any, rng: np.random.Generator, rtol: float, atol: float, step: float, what: str) -> None:
    y, pull_back = vjp(f, *point)
    weights = [rng.standard_normal(np.shape(v)) for v in leaves(y)]
    if not np.isfinite(weighted(f, point, weights)):
        raise ValueError("f is not finite at this point, so there is no difference to compare a derivative with")
    rest = iter(weights)
    computed = pull_back(mapped(lambda _: next(rest), y))
    for position, (x, g) in enumerate(zip(leaves(point), leaves(computed), strict=True)):
        for index in np.ndindex(x.shape):

            def moved(h: float, x: np.ndarray = x, index: tuple[int, ...] = index) -> float:
                kept = x[index]
                x[index] = kept + h
                try:
                    return weighted(f, point, weights)
                finally:
                    x[index] = kept

            where = f"array {position} at {index}" if index else f"array {position}"
            compare(moved, float(np.asarray(plain(g))[index]), rtol, atol, step * max(1.0, abs(x[index])), f"{what}, {where}")


def check_forward(f: Any, point: Any, rng: np.random.Generator, rtol: float, atol: float, step: float, what: str) -> None:
    direction = tuple(mapped(lambda x: rng.standard_normal(x.shape), x) for x in point)
    y, t = jvp(f, point, direction)
    weights = [rng.standard_normal(np.shape(v)) for v in leaves(y)]
    computed = float(sum(np.sum(w * np.asarray(plain(v))) for w, v in zip(weights, leaves(t), strict=True)))
    ways = iter(leaves(direction))
    pairs = {id(x): next(ways) for x in leaves(point)}

    def moved(h: float) -> float:
        return weighted(f, tuple(mapped(lambda x: x + h * pairs[id(x)], x) for x in point), weights)

    compare(moved, computed, rtol, atol, step, f"{what}, along a random direction")


def compare(moved: Callable[[float], float], computed: float, rtol: float, atol: float, h: float, where: str) -> None:
    """Fourth-order central difference against the computed derivative; at a kink, against what lies between its sides."""
    middle = moved(0.0)
    with np.errstate(all="ignore"):
        expected = central(moved, h)
        scale = max(abs(expected), abs(computed))
        error = abs(computed - expected)
        if error <= atol + rtol * scale:
            return
        finer = abs(computed - central(moved, h / 8))
        if finer < error / 4 and finer < 1e-4 * max(scale, 1.0):
            return  # the difference, not the derivative, is off: it converges to it
        right = [(moved(s) - middle) / s for s in (h, h / 8)]
        left = [(middle - moved(-s)) / s for s in (h, h / 8)]
    jump, size = abs(right[1] - left[1]), max(abs(right[1]), abs(left[1]), 1.0)
    kink = jump > 0.5 * abs(right[0] - left[0]) and jump > 1e-3 * size  # of a smooth f an eighth of it would be left
    low, high = sorted((left[1], right[1]))
    if kink and low - 1e-3 * size <= computed <= high + 1e-3 * size:
        return
    sides = f"; there is a kink: from the left {left[1]:.8g}, from the right {right[1]:.8g}" if kink else ""
    raise GradientError(f"{where}: expected {expected:.8g} (finite difference), got {computed:.8g}{sides}")


def central(moved: Callable[[float], float], h: float) -> float:
    return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
