"""Losses, and how they gather along a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.ops.nn import class_losses, sum_of_factors
from minigrad.standin import decide
from minigrad.tensor import values

__all__ = ["SequenceLoss", "binary_cross_entropy_with_logits", "mse_loss", "sequence_cross_entropy", "sequence_loss"]


class SequenceLoss(NamedTuple):
    """A loss and the share that each time step has in it."""

    total: Tensor
    steps: np.ndarray  # (T,); its sum is the total. Where there is one answer a sequence, (1,)


def sequence_cross_entropy(
    logits: Any, targets: Any, *, reduction: str = "mean", ignore_index: int = -100, weight: Any = None
) -> SequenceLoss:
    """Cross-entropy of the logits (T, batch, classes) against the targets (T, batch), class numbers.

    The total is the mean over all steps and sequences, or with ``reduction="sum"`` the sum over the steps of the batch's
    mean. `steps` are the parts that add up to it, one a time step: how the loss gathers along the sequence. Targets that are
    `ignore_index` do not count, and `weight` (classes,) says how much the others do; see `minigrad.cross_entropy`.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> loss = rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros((3, 1), int), reduction="sum")
    >>> float(loss.total.item() / np.log(4)), loss.steps / np.log(4)
    (3.0, array([1., 1., 1.]))
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is 'mean' or 'sum', not {reduction!r}")
    if not isinstance(logits, Tensor):
        logits = mg.tensor(logits)
    if logits.ndim != 3 or 0 in logits.shape:
        raise ValueError(f"logits have shape {logits.shape}; expected (T, batch, classes), none of them 0")
    losses, factors = class_losses(logits, targets, ignore_index, weight)
    T, batch = losses.shape
    if reduction == "sum":
        return SequenceLoss(losses.sum() / batch, losses._data.sum(axis=1) / batch)
    count = float(T * batch) if factors is None else sum_of_factors(factors.astype(float))
    if decide(count == T * batch):
        return SequenceLoss(losses.mean(), losses._data.sum(axis=1) / count)
    return SequenceLoss(losses.sum() / count, losses._data.sum(axis=1) / count)


def mse_loss(outputs: Any, targets: Any, *, reduction: str = "mean") -> Tensor:
    """The squared error (output - target)^2, its ``"mean"``, ``"sum"``, or with ``"none"`` each.

    Raises ValueError unless both have the same shape: broadcasting would compare every output with every target.

    >>> import minigrad_rnn as rnn
    >>> rnn.mse_loss([1.0, 2.0], [1.0, 4.0]).item()
    2.0
    """
    outputs, expected = pair(outputs, targets)
    return reduced(np.square(outputs - expected), reduction)


def binary_cross_entropy_with_logits(logits: Any, targets: Any, *, reduction: str = "mean", pos_weight: Any = None) -> Tensor:
    """-y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)), exact for logits x of any size; `targets` y are from 0 to 1.

    It is computed as y softplus(-x) + (1 - y) softplus(x). A `pos_weight` p multiplies the first of the two terms.
    `reduction` and errors as for `mse_loss`.

    >>> import minigrad_rnn as rnn
    >>> rnn.binary_cross_entropy_with_logits([0.0, 1000.0], [1.0, 1.0], reduction="none")
    tensor([0.69314718, 0.        ])
    """
    x, y = pair(logits, targets)
    if y.size and not decide((np.min(y) >= 0) & (np.max(y) <= 1)):
        raise ValueError(f"targets of the binary cross-entropy are from 0 to 1; these go from {np.min(y)} to {np.max(y)}")
    positive = y if pos_weight is None else y * np.asarray(pos_weight, dtype=y.dtype)
    if positive.shape != y.shape:
        raise ValueError(f"pos_weight has shape {np.shape(pos_weight)}; it must broadcast to that of the logits, {y.shape}")
    return reduced(positive * mg.softplus(-x) + (1 - y) * mg.softplus(x), reduction)


def pair(outputs: Any, targets: Any) -> tuple[Tensor, np.ndarray]:
    """Outputs as a Tensor, targets as an array of their shape, and of their dtype if that is floating."""
    if not isinstance(outputs, Tensor):
        array = np.asarray(outputs)
        outputs = mg.tensor(array, dtype=array.dtype if array.dtype.kind == "f" else float)
    given = values(targets)
    if given.shape != outputs.shape:
        raise ValueError(f"targets have shape {given.shape}, the outputs {outputs.shape}; they must be equal")
    return outputs, given.astype(outputs.dtype if outputs.dtype.kind == "f" else float)


def reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def sequence_loss(kind: str, outputs: Tensor, targets: np.ndarray) -> SequenceLoss:
    """The loss of a task, "cross_entropy", "mse" or "binary", of answers at each step or one a sequence.

    The answers have shape (T, batch, O), or (batch, O) where there is one a sequence. Targets are class numbers of shape
    (T, batch) or (batch,), of which -100 does not count, or for the other losses numbers of the answers' shape.

    >>> import numpy as np, minigrad as mg, minigrad_rnn as rnn
    >>> rnn.sequence_loss("mse", mg.tensor(np.ones((3, 2, 1))), np.zeros((3, 2, 1))).steps
    array([0.33333333, 0.33333333, 0.33333333])
    """
    if kind not in LOSSES:
        raise ValueError(f"a loss is one of {', '.join(LOSSES)}, not {kind!r}")
    if outputs.ndim == 2:
        outputs, targets = mg.expand_dims(outputs, 0), values(targets)[None]
    if kind == "cross_entropy":
        return sequence_cross_entropy(outputs, targets)
    if outputs.ndim != 3:
        raise ValueError(f"answers have shape {outputs.shape}; expected (T, batch, O), or (batch, O) for one a sequence")
    losses = LOSSES[kind](outputs, targets, reduction="none")
    return SequenceLoss(losses.mean(), losses._data.sum(axis=(1, 2)) / losses.size)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": mg.cross_entropy,
    "mse": mse_loss,
    "binary": binary_cross_entropy_with_logits,
}
