"""Training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from .data.tasks import Task
from .layers import Sequence
from .losses import sequence_cross_entropy
from .optim import Optimizer

__all__ = ["History", "Trainer"]


@dataclass(eq=False)
class History:
    """What training saw: before each update the loss, and the share of each time step in it."""

    loss: list[float] = field(default_factory=list)
    steps: list[np.ndarray] = field(default_factory=list)


class Trainer:
    """Trains a model on a task with an optimizer.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.LSTM(5, 5, rng=1), rnn.Linear(5, 5, rng=2))
    >>> history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, epochs=50, progress=False)
    >>> rnn.predict(model, task)
    'ihello'
    """

    def __init__(self, model: Sequence, optimizer: Optimizer) -> None:
        if not isinstance(model, Sequence):
            raise TypeError(f"the Trainer trains a Sequence(recurrent, readout), not a {type(model).__name__}")
        if not {id(p) for p in model.parameters()} & {id(p) for p in optimizer.parameters}:
            raise ValueError("the optimizer holds none of this model's parameters; make it with model.parameters()")
        self.model = model
        self.optimizer = optimizer

    def fit(
        self,
        task: Task,
        epochs: int,
        *,
        progress: bool = True,
        after_epoch: Callable[[int, float], None] | None = None,
    ) -> History:
        """Show the model the whole task `epochs` times, with an update after each; returns the losses.

        `progress` shows a bar with the loss; ``after_epoch(epoch, loss)`` is called after each update, with the loss
        before it. Raises FloatingPointError as soon as the loss is not a finite number.
        """
        if epochs < 0:
            raise ValueError(f"epochs is {epochs}; it cannot be negative")
        history = History()
        with tqdm(range(epochs), desc=task.name, unit="epoch", disable=not progress) as bar:
            for epoch in bar:
                self.optimizer.zero_grad()
                loss = sequence_cross_entropy(self.model(task.inputs), task.targets)
                value = loss.total.item()
                if not np.isfinite(value):
                    raise FloatingPointError(
                        f"the loss is {value} in epoch {epoch}"
                        + (
                            f"; the updates before made the weights too large. Try a learning rate below {self.optimizer.lr}"
                            if epoch
                            else ", before any update: look for NaN or inf in the inputs and in the initial weights"
                        )
                    )
                loss.total.backward()
                self.optimizer.step()
                history.loss.append(value)
                history.steps.append(loss.steps)
                bar.set_postfix(loss=f"{value:.4f}", refresh=False)
                if after_epoch is not None:
                    after_epoch(epoch, value)
        return history
