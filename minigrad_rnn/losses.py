"""Losses over a sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor

__all__ = ["SequenceLoss", "sequence_cross_entropy"]


class SequenceLoss(NamedTuple):
    """A loss and the share that each time step has in it."""

    total: Tensor
    steps: np.ndarray  # (T,); its sum is the total


def sequence_cross_entropy(logits: Any, targets: Any, *, reduction: str = "mean") -> SequenceLoss:
    """Cross-entropy of the logits (T, batch, classes) against the targets (T, batch), class numbers.

    The total is the mean over all steps and sequences, or with ``reduction="sum"`` the sum over the steps of the batch's
    mean. `steps` are the parts that add up to it, one a time step: how the loss gathers along the sequence.

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
    losses = mg.cross_entropy(logits, targets, reduction="none")
    T, batch = losses.shape
    if reduction == "sum":
        return SequenceLoss(losses.sum() / batch, losses._data.sum(axis=1) / batch)
    return SequenceLoss(losses.mean(), losses._data.sum(axis=1) / (T * batch))
