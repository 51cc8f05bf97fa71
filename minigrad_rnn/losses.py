"""Loss functions, and how they accumulate along a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

import minigrad as mg
from minigrad import Tensor
from minigrad.arrays import item
from minigrad.ops.nn import class_losses, mean_scale, of_probabilities, scaled_mean
from minigrad.ops.precision import at_least_single
from minigrad.tensor import values

from .by_step import observer
from .data.batch import IGNORED, checked_lengths, step_mask

__all__ = ["SequenceLoss", "binary_cross_entropy_with_logits", "mse_loss", "sequence_cross_entropy", "sequence_loss"]


class SequenceLoss(NamedTuple):
    """A loss, and the share of each time step in it."""

    total: Tensor
    steps: np.ndarray  # (T,); their sum is the total. (1,) if there is one output for each sequence

    def backward(self) -> None:
        """``total.backward()``: the gradient of the total."""
        self.total.backward()

    def item(self) -> float:
        """``total.item()``: the total as a Python number."""
        return float(self.total.item())


def sequence_loss(
    kind: str,
    outputs: Any,
    targets: Any,
    lengths: ArrayLike | None = None,
    reduction: str = "mean",
    *,
    label_smoothing: float = 0.0,
) -> SequenceLoss:
    """Return the loss of a task: "cross_entropy", "mse" or "binary", of outputs at each step or of one for each sequence.

    The outputs have shape (T, batch, O), or (batch, O) if there is one for each sequence. For the cross-entropy, targets are
    class indices of shape (T, batch) or (batch,), of which -100 does not count, or class probabilities. For the other losses
    they have the shape of the outputs. Steps from `lengths` (batch,) on are padding and do not count, whatever they contain.
    `label_smoothing` is only for the cross-entropy; see `minigrad.cross_entropy`.

    The total is the mean over everything that counts. With ``reduction="sum"`` it is the sum over the steps of the mean over
    the batch. `steps` are the shares of the time steps, which add up to the total.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.sequence_loss("mse", np.ones((3, 2, 1)), np.zeros((3, 2, 1))).steps
    array([0.33333333, 0.33333333, 0.33333333])
    >>> rnn.sequence_loss("mse", np.ones((3, 2, 1)), np.zeros((3, 2, 1)), lengths=[1, 3]).steps
    array([0.5 , 0.25, 0.25])
    """
    if kind not in LOSSES:
        raise ValueError(f"a loss must be one of {', '.join(LOSSES)}, not {kind!r}")
    outputs, targets = as_tensor(outputs), targets if isinstance(targets, Tensor) else values(targets)
    if outputs.ndim not in (2, 3):
        raise ValueError(f"outputs have shape {outputs.shape}; expected (T, batch, O), or (batch, O) for one for each sequence")
    of_classes = kind == "cross_entropy"
    if not of_classes and label_smoothing:
        raise ValueError(f"label_smoothing is for the cross-entropy; leave it out for {kind!r}")
    expected = outputs.shape[:-1] if of_classes and not of_probabilities(targets, outputs.shape) else outputs.shape
    if targets.shape != expected:
        raise ValueError(f"targets have shape {targets.shape}, the outputs {outputs.shape}: {advice(targets.shape, expected)}")
    if lengths is not None:
        checked_lengths(lengths, targets.shape[outputs.ndim - 2])
    if (seen := observer()) is not None:
        if label_smoothing:
            raise ValueError("a picture shows the loss without label_smoothing; leave it out")
        loss: SequenceLoss = seen.loss(kind, outputs, targets, lengths, reduction)
        return loss
    if outputs.ndim == 2:  # from the last step of each sequence: all of it counts
        outputs, targets, lengths = mg.expand_dims(outputs, 0), targets[None], None
    if of_classes:
        return sequence_cross_entropy(outputs, targets, reduction=reduction, lengths=lengths, label_smoothing=label_smoothing)
    losses = LOSSES[kind](outputs, targets, reduction="none", lengths=lengths)
    mask = step_mask(lengths, *losses.shape[:2])
    return accumulated(losses, reduction, None if mask is None else item(mask.size / mask.sum()))


def accumulated(losses: Tensor, reduction: str, scale: Any) -> SequenceLoss:
    """Return the total of losses (T, batch, ...), and the share of each step. The mean over what counts is `scale` times
    the mean over all; None if all count. The losses that do not count must be 0."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    T = len(losses)
    factor = float(T) if reduction == "sum" else scale
    total = losses.mean() if factor is None else scaled_mean(losses, factor)
    steps = mg.mean(at_least_single(losses._data), tuple(range(1, losses.ndim)))
    steps = steps / T if factor is None else steps * (values(factor) / T)
    return SequenceLoss(total, steps.astype(losses.dtype, copy=False))


def sequence_cross_entropy(
    logits: Any,
    targets: Any,
    *,
    reduction: str = "mean",
    ignore_index: int = IGNORED,
    weight: Any = None,
    lengths: ArrayLike | None = None,
    label_smoothing: float = 0.0,
) -> SequenceLoss:
    """Return the cross-entropy of logits (T, batch, classes) and targets: class indices (T, batch), or class probabilities in
    the shape of the logits.

    The total is the mean over all steps and sequences, or with ``reduction="sum"`` the sum over the steps of the mean over
    the batch. `steps` are the shares of the time steps in the total. Targets equal to `ignore_index`, and steps from
    `lengths` (batch,) on, do not count. `weight` (classes,) weighs the classes; see `minigrad.cross_entropy` for it and for
    `label_smoothing`.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> loss = rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros((3, 1), int), reduction="sum")
    >>> float(loss.item() / np.log(4)), loss.steps / np.log(4)
    (3.0, array([1., 1., 1.]))
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    logits = as_tensor(logits)
    if logits.ndim != 3 or 0 in logits.shape:
        raise ValueError(f"logits have shape {logits.shape}; expected (T, batch, classes), none of them 0")
    T, batch = logits.shape[:2]
    mask = step_mask(lengths, T, batch)
    if mask is not None:
        logits = np.where(mask[..., None], logits, 0.0)  # a NaN there would reach the gradient, as 0 times NaN
        if np.shape(targets) == (T, batch):
            targets = np.where(mask, targets, ignore_index)
        elif np.shape(targets) == logits.shape:
            targets = np.where(mask[..., None], targets, 0)
    losses, factors = class_losses(logits, targets, ignore_index, weight, label_smoothing)
    if mask is not None and of_probabilities(targets, logits.shape):
        losses, factors = np.where(mask, losses, 0.0), mask.astype(losses.dtype)
    return accumulated(losses, reduction, None if factors is None or reduction == "sum" else mean_scale(losses, factors))


def mse_loss(outputs: Any, targets: Any, *, reduction: str = "mean", lengths: ArrayLike | None = None) -> Tensor:
    """Return the ``"mean"`` or ``"sum"`` of the squared errors (output - target)^2, or with ``"none"`` each of them.

    Both arguments get gradients. With `lengths` (batch,), for outputs (T, batch, ...), the steps from there on are padding:
    their losses are 0 and do not count in the mean. The result has the dtype of the outputs.
    Raises ValueError unless both have the same shape, because broadcasting would compare every output with every target.

    >>> import minigrad_rnn as rnn
    >>> rnn.mse_loss([1.0, 2.0], [1.0, 4.0]).item()
    2.0
    """
    x, y, mask = pair(outputs, targets, lengths)
    return reduced(np.square(x - y), reduction, mask)


def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, *, reduction: str = "mean", pos_weight: Any = None, lengths: ArrayLike | None = None
) -> Tensor:
    """Return -y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)), exact for logits x of any size; `targets` y are from 0 to 1.

    It is computed as y softplus(-x) + (1 - y) softplus(x). `pos_weight` multiplies the first of the two terms. All three
    arguments get gradients. See `mse_loss` for `reduction`, `lengths` and errors.

    >>> import minigrad_rnn as rnn
    >>> rnn.binary_cross_entropy_with_logits([0.0, 1000.0], [1.0, 1.0], reduction="none")
    tensor([0.69314718, 0.        ])
    """
    x, y, mask = pair(logits, targets, lengths)
    seen = values(y)
    if seen.size and not (np.min(seen) >= 0) & (np.max(seen) <= 1):
        raise ValueError(f"targets of this cross-entropy must be from 0 to 1; these are from {np.min(seen)} to {np.max(seen)}")
    positive = y if pos_weight is None else y * of_dtype(pos_weight, y.dtype)
    if positive.shape != y.shape:
        raise ValueError(f"pos_weight has shape {np.shape(pos_weight)}; it must broadcast to that of the logits, {y.shape}")
    return reduced(positive * mg.softplus(-x) + (1 - y) * mg.softplus(x), reduction, mask)


def pair(outputs: Any, targets: Any, lengths: ArrayLike | None) -> tuple[Tensor, Any, np.ndarray | None]:
    """Return outputs as a Tensor, targets in their dtype if that is floating, and a mask of what counts, None if all count.
    Padding becomes zeros, because a NaN there would reach the gradient, as 0 times NaN."""
    x = as_tensor(outputs)
    if not (isinstance(targets, Tensor) and targets.requires_grad):
        targets = values(targets)
    if targets.shape != x.shape:
        raise ValueError(
            f"targets have shape {targets.shape}, the outputs {x.shape}; they must be equal: {advice(targets.shape, x.shape)}"
        )
    mask = None
    if lengths is not None:
        if x.ndim < 2:
            raise ValueError(f"lengths are for outputs of shape (T, batch, ...); these have shape {x.shape}")
        mask = step_mask(lengths, *x.shape[:2])
    if mask is not None:
        mask = np.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), x.shape)
        x, targets = mg.where(mask, x, 0.0), np.where(mask, targets, 0.0)
    return x, of_dtype(targets, x.dtype if x.dtype.kind == "f" else float), mask


def as_tensor(outputs: Any) -> Tensor:
    """Return outputs as a Tensor, in their own dtype if that is floating."""
    if isinstance(outputs, Tensor):
        return outputs
    array = np.asarray(outputs)
    return mg.tensor(array, dtype=array.dtype if array.dtype.kind == "f" else float)


def of_dtype(x: Any, dtype: Any) -> Any:
    """Return an array or a Tensor in this dtype; as a Tensor only if it requires grad."""
    if isinstance(x, Tensor) and x.requires_grad:
        return x if x.dtype == dtype else x.astype(dtype)
    return values(x).astype(dtype)


def reduced(losses: Tensor, reduction: str, mask: np.ndarray | None) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    if mask is not None:
        losses = mg.where(mask, losses, 0.0)
    if reduction == "mean":
        return losses.mean() if mask is None else scaled_mean(losses, item(mask.size / mask.sum()))
    return losses if reduction == "none" else losses.sum()


def advice(given: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Return advice on targets of the wrong shape."""
    if given[:-1] == expected:
        return "class indices have no axis of classes; for one-hot targets use targets.argmax(-1)"
    if (*given, 1) == expected:
        return "targets need an axis for the one output, targets[..., None]"
    if len(given) == len(expected) > 1 and (given[1], given[0], *given[2:]) == expected:
        return "targets must have the time first, np.swapaxes(targets, 0, 1)"
    if given == expected[1:]:
        return "these targets are for one output for each sequence, as ManyToOne has; this model has outputs at each step"
    if given[1:] == expected:
        return "these targets are for outputs at each step, as Sequence has; this model has one output for each sequence"
    return f"expected targets of shape {expected}"


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": mg.cross_entropy,
    "mse": mse_loss,
    "binary": binary_cross_entropy_with_logits,
}
