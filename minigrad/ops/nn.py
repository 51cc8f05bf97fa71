"""What classification and sequence models need: softmax and cross-entropy, from logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor
from .kinds import REAL, apply, general
from .reduce import mean, sum

# Each forward shifts by the maximum, so that the largest exponential is 1 and nothing overflows.


def soft_max(x: Any, *, axis: int) -> Any:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.add.reduce(e, axis=axis, keepdims=True)


def log_soft_max(x: Any, *, axis: int) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))


def soft_max_vjp(g: Any, out: Any, axis: int) -> Any:
    return out * (g - np.add.reduce(g * out, axis=axis, keepdims=True))


def log_soft_max_vjp(g: Any, out: Any, axis: int) -> Any:
    return g - np.exp(out) * np.add.reduce(g, axis=axis, keepdims=True)


def negative_log_likelihood(logits: Any, targets: Any) -> Any:
    shifted = logits - np.max(logits, axis=-1, keepdims=True, initial=-np.inf)
    at_target = np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
    return np.log(np.add.reduce(np.exp(shifted), axis=-1)) - at_target


def negative_log_likelihood_vjp(g: Any, logits: Any, targets: Any) -> Any:
    one_hot = np.equal(targets[..., None], np.arange(logits.shape[-1]))
    return g[..., None] * (softmax(logits) - one_hot)


softmax_op = general("softmax", soft_max, soft_max_vjp, domain=REAL, analytic=False)
log_softmax_op = general("log_softmax", log_soft_max, log_soft_max_vjp, domain=REAL, analytic=False)
cross_entropy_op = general(
    "cross_entropy", negative_log_likelihood, negative_log_likelihood_vjp, None, domain=REAL, analytic=False
)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along `axis`: positive, and summing to 1.

    >>> import minigrad
    >>> minigrad.softmax(minigrad.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    return apply(softmax_op, (x,), {"axis": axis})


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - log(sum(exp(x))) along `axis`: the logarithm of `softmax`, exact where that underflows.

    >>> import minigrad
    >>> minigrad.log_softmax(minigrad.tensor([0.0, 1000.0]))
    tensor([-1000.,     0.])
    """
    return apply(log_softmax_op, (x,), {"axis": axis})


def cross_entropy(logits: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """-log softmax(logits)[target], in nats: how surprised the model is by the class that came.

    `logits` has shape (..., classes), unnormalised; `targets` shape (...), integers from 0 to classes - 1. The result is
    the ``"mean"`` over all leading axes, their ``"sum"``, or with ``"none"`` an array of shape (...).
    The gradient by the logits is softmax(logits) minus the one-hot target, times the cotangent.

    Raises ValueError or TypeError if shapes, dtype or range of the targets do not fit.

    >>> import minigrad
    >>> logits = minigrad.tensor([[2.0, 2.0], [0.0, 1000.0]])
    >>> minigrad.cross_entropy(logits, [0, 1], reduction="none")
    tensor([0.69314718, 0.        ])
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    shape = np.shape(logits)
    classes = np.array(targets.data if isinstance(targets, Tensor) else targets)
    if classes.dtype.kind not in "iu" and classes.size:
        raise TypeError(f"targets are class numbers, integers; these are {classes.dtype}")
    if not shape or classes.shape != shape[:-1]:
        raise ValueError(
            f"targets have shape {classes.shape}; for logits of shape {shape} (classes along the last axis) they "
            f"must have {shape[:-1]}"
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < shape[-1]:
        raise ValueError(
            f"targets are from 0 to {shape[-1] - 1}, one for each of the {shape[-1]} classes of the logits; these go "
            f"from {classes.min()} to {classes.max()}"
        )
    losses = apply(cross_entropy_op, (logits, targets if isinstance(targets, Tensor) else classes.astype(np.intp)))
    return {"mean": mean, "sum": sum, "none": lambda x: x}[reduction](losses)


OPS = [softmax_op, log_softmax_op, cross_entropy_op]
