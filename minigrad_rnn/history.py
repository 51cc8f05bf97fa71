"""The history of a training: losses, gradient norms and learning rates, to save and to plot."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.files import replace_file

from .figure import blank

__all__ = ["History"]

Path_ = str | os.PathLike[str]


@dataclass(eq=False, repr=False)
class History:
    """The history of a training, with an entry for each update.

    `loss`, `steps` (the share of each time step in the loss) and `grad_norm` are from before the update; `lr` is its learning
    rate. `validation` has the validation losses, by the number of updates made before.

    >>> import minigrad_rnn as rnn
    >>> History = rnn.History
    >>> list(History(loss=[2.0], grad_norm=[1.0], lr=[0.1]).rows())
    [{'update': 1, 'loss': 2.0, 'grad_norm': 1.0, 'lr': 0.1}]
    """

    loss: list[float] = field(default_factory=list)
    steps: list[np.ndarray] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    validation: dict[int, float] = field(default_factory=dict)  # by the number of updates made until then

    def __repr__(self) -> str:
        if not self.loss:
            return "<History of 0 updates>"
        low = int(np.argmin(self.loss))
        text = f"<History of {len(self.loss):,} updates: loss {self.loss[0]:.4g} at first, {self.loss[-1]:.4g} at last, "
        text += f"{self.loss[low]:.4g} at least (update {low + 1:,})"
        if self.validation:
            at = min(self.validation, key=lambda i: self.validation[i])
            text += f"; {len(self.validation):,} validations, {self.validation[at]:.4g} at least (after update {at:,})"
        return text + ">"

    def rows(self) -> Iterator[dict[str, float]]:
        """Yield a dict for each update, with the validation loss if there is one."""
        for i, (loss, norm, lr) in enumerate(zip(self.loss, self.grad_norm, self.lr, strict=True), 1):
            row: dict[str, float] = {"update": i, "loss": loss, "grad_norm": norm, "lr": lr}
            if i in self.validation:
                row["validation"] = self.validation[i]
            yield row

    def save(self, path: Path_) -> None:
        """Write a line for each update, as CSV, or as JSON lines if the name ends in .jsonl. The file is replaced whole or
        not at all."""
        text = io.StringIO()
        if Path(path).suffix == ".jsonl":
            text.writelines(json.dumps(row) + "\n" for row in self.rows())
        elif Path(path).suffix == ".csv":
            writer = csv.DictWriter(text, ["update", "loss", "grad_norm", "lr", "validation"])
            writer.writeheader()
            writer.writerows(self.rows())
        else:
            raise ValueError(f"the name of a history must end in .csv or .jsonl; it is {Path(path).name}")
        replace_file(path, text.getvalue().encode())

    def plot(self, path: Path_ | None = None) -> Any:
        """Return a figure of loss and gradient norm by update, which a notebook shows; save it if a path is given. Needs
        matplotlib (the extra ``plot``)."""
        figure = blank(7, 5)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        updates = np.arange(1, len(self.loss) + 1)
        above.plot(updates, self.loss, color="#1f4e79", linewidth=1, label="training")
        if self.validation:
            above.plot(*zip(*self.validation.items(), strict=True), "o-", color="#c0504d", markersize=3, label="validation")
            above.legend(frameon=False)
        above.set_ylabel("loss")
        below.plot(updates, self.grad_norm, color="#7f7f7f", linewidth=1)
        below.set(xlabel="update", ylabel="gradient norm")
        if self.grad_norm and min(self.grad_norm) > 0:
            below.set_yscale("log")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def since(self, start: int) -> History:
        """Return the history without its first `start` updates."""
        validation = {i - start: loss for i, loss in self.validation.items() if i > start}
        return History(self.loss[start:], self.steps[start:], self.grad_norm[start:], self.lr[start:], validation)
