"""Gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minigrad import Tensor
from minigrad.arrays import array_function, is_lazy

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients by max_norm / (norm + 1e-6) if that is less than 1, and return the norm before.

    The norm is of all gradients as one vector (Pascanu, Mikolov & Bengio 2013). `norm_type` is its exponent, or inf for the
    largest element. If the norm is not finite, the clipped gradients are not finite either, as in PyTorch. With
    `error_if_nonfinite` that is a ValueError, and nothing changes. Each ``.grad`` is replaced, never written to.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0, 1.0])
    >>> w.grad = np.array([3.0, 4.0])
    >>> rnn.clip.clip_grad_norm([w], max_norm=1.0)
    5.0
    >>> w.grad.round(4)
    array([0.6, 0.8])
    """
    if isinstance(max_norm, str | bytes) or not max_norm >= 0:
        raise ValueError(f"max_norm is {max_norm!r}; it must be a number that is not negative")
    if isinstance(norm_type, str | bytes) or not norm_type > 0:
        raise ValueError(f"norm_type is {norm_type!r}; it must be a number greater than 0, or math.inf for the largest element")
    max_norm, norm_type = float(max_norm), float(norm_type)
    found = with_gradient(parameters)
    norm: float = total_norm(norm_type, *(g for _, g in found))
    if error_if_nonfinite and not np.isfinite(norm):
        bad = [p.name or f"number {i}" for i, (p, g) in enumerate(found) if not np.all(np.isfinite(g))]
        raise ValueError(
            f"the norm of the gradients is {norm}, so they cannot be clipped; these have gradients that are not finite: "
            f"{', '.join(bad)}. minigrad.debug() shows where it began; leave out error_if_nonfinite to clip anyway"
        )
    factor = at_most_one(max_norm / (norm + 1e-6))
    if is_lazy(factor) or factor != 1:
        with np.errstate(invalid="ignore"):  # 0 times infinity is NaN, which is correct here
            for p, g in found:
                p.grad = g * factor
    return norm


def clip_grad_value(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Clip every element of every gradient to -clip_value..clip_value; NaN stays. Each ``.grad`` is replaced.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0, 1.0])
    >>> w.grad = np.array([3.0, -0.5])
    >>> rnn.clip.clip_grad_value([w], 1.0)
    >>> w.grad
    array([ 1. , -0.5])
    """
    if isinstance(clip_value, str | bytes) or not clip_value >= 0:
        raise ValueError(f"clip_value is {clip_value!r}; it must be a number that is not negative")
    for p, g in with_gradient(parameters):
        p.grad = np.clip(g, -float(clip_value), float(clip_value))


def with_gradient(parameters: Iterable[Tensor] | Tensor) -> list[tuple[Tensor, np.ndarray]]:
    """Return the parameters that have a gradient, each once, with the gradient."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in given:
        if not isinstance(p, Tensor):
            raise TypeError(f"only gradients of parameters can be clipped, not of {type(p).__name__}; give model.parameters()")
    return [(p, g) for p in {id(p): p for p in given}.values() if (g := p.grad) is not None]


@array_function
def at_most_one(factor: float) -> float:
    return 1.0 if factor >= 1 else factor


@array_function
def total_norm(norm_type: float, *gradients: np.ndarray) -> float:
    largest = float(np.max([np.max(np.abs(g), initial=0) for g in gradients], initial=0))
    if not 0 < largest < math.inf or norm_type == math.inf:
        return largest
    # In units of the largest nothing overflows; and sums of float32 are made in float64.
    total = sum(float(np.sum((np.abs(g).astype(float, copy=False) / largest) ** norm_type)) for g in gradients)
    return float(largest * total ** (1 / norm_type))


def __dir__() -> list[str]:
    return __all__
