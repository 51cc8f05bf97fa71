"""Training: batches in order, an update after each, and all that is needed to stop at any moment and go on."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import minigrad as mg
from minigrad import Tensor

from .clip import clip_grad_norm, clip_grad_value
from .data.batch import IGNORED, Batch, Source
from .data.tasks import Task
from .losses import SequenceLoss, sequence_loss
from .module import Module
from .optim import Optimizer
from .recurrent import Recurrent
from .saving import load_checkpoint, save_checkpoint

__all__ = ["Evaluation", "History", "Trainer", "evaluate"]

Path_ = str | os.PathLike[str]


@dataclass(eq=False)
class History:
    """What training saw, an entry for each update: before it the loss, the share of each time step in it and the norm of the
    gradient; and the learning rate. `validation` has the loss after each epoch that was validated.

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

    def rows(self) -> Iterator[dict[str, float]]:
        """A dict for each update, with the validation loss where there is one."""
        for i, (loss, norm, lr) in enumerate(zip(self.loss, self.grad_norm, self.lr, strict=True), 1):
            row: dict[str, float] = {"update": i, "loss": loss, "grad_norm": norm, "lr": lr}
            if i in self.validation:
                row["validation"] = self.validation[i]
            yield row

    def save(self, path: Path_) -> None:
        """Write a line for each update, as CSV or, if the name ends in .jsonl, as JSON lines."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            if Path(path).suffix == ".jsonl":
                file.writelines(json.dumps(row) + "\n" for row in self.rows())
            elif Path(path).suffix == ".csv":
                writer = csv.DictWriter(file, ["update", "loss", "grad_norm", "lr", "validation"])
                writer.writeheader()
                writer.writerows(self.rows())
            else:
                raise ValueError(f"a history is saved as .csv or .jsonl, not as {Path(path).name}")

    def plot(self, path: Path_ | None = None) -> Any:
        """A figure of loss and gradient norm by update, saved if a path is given. Needs matplotlib (the extra `plot`)."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("plots need matplotlib: pip install 'minigrad-rnn[plot]'") from error
        figure = Figure(figsize=(7, 5), layout="constrained")
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
        """What was seen after the first `start` updates."""
        validation = {i - start: loss for i, loss in self.validation.items() if i > start}
        return History(self.loss[start:], self.steps[start:], self.grad_norm[start:], self.lr[start:], validation)


class Evaluation(NamedTuple):
    """How good a model is on some data: its mean loss, and for classes the share of right answers and of sequences with every
    answer right (NaN for other losses)."""

    loss: float
    accuracy: float
    exact: float


def evaluate(model: Module, data: Task | Source, *, loss: str | None = None) -> Evaluation:
    """The model on an epoch of the data, in evaluation mode; nothing is learned.

    `loss` is "cross_entropy", "mse" or "binary", by default that of the task.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.LSTM(5, 5, rng=1), rnn.Linear(5, 5, rng=2))
    >>> result = rnn.evaluate(model, rnn.tasks.hello())
    >>> 1.5 < result.loss < 1.8, result.exact
    (True, 0.0)
    """
    kind = loss_of(data, loss)
    source = source_of(data)
    total = right = asked = exact = sequences = 0.0
    before, state = model.training, None
    model.eval()
    try:
        with mg.no_grad():
            for i in range(len(source)):
                batch = source.batch(i)
                outputs, after = answer(model, batch, None if source.begins(i) else state)
                state = after if source.stateful else None
                part = sequence_loss(kind, outputs, batch.targets)
                hits, counted = judged(kind, outputs.data, np.asarray(batch.targets))
                total += part.total.item() * counted.sum()
                right += float((hits & counted).sum())
                asked += float(counted.sum())
                along = tuple(i for i in range(counted.ndim) if i != counted.ndim - 1)
                exact += float((hits | ~counted).all(axis=along).sum())
                sequences += counted.shape[-1]
    finally:
        model.train(before)
    nan = math.nan if kind == "mse" else 1.0
    return Evaluation(total / asked, nan * right / asked, nan * exact / sequences)


def judged(kind: str, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which answers are right, and which count; the last axis is that of the sequences."""
    if kind == "cross_entropy":
        return outputs.argmax(axis=-1) == targets, targets != IGNORED
    hits = np.moveaxis((outputs > 0) == (targets > 0.5), -1, 0)
    return hits, np.ones(hits.shape, bool)


class Trainer:
    """Trains a model on data with an optimizer.

    The model is a `Model`, such as `Sequence`, or any module that takes the inputs of a batch. Options:

    - `loss`: "cross_entropy", "mse" or "binary", by default that of the task;
    - `schedule`: one of `minigrad_rnn.schedule`, stepped after each update, or after each epoch with ``schedule_by="epoch"``;
      ReduceLROnPlateau after each epoch with the validation loss;
    - `clip_norm`, `clip_value`: the most that the norm of the whole gradient, or each of its elements, may be;
    - `accumulate`: an update after so many batches, with the mean of their gradients;
    - `about`: what should be known of the model, put into its checkpoints (JSON values).

    Sequences that go on in the next batch (`Streams`) carry their state there, detached: truncated backpropagation through
    time.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.LSTM(5, 5, rng=1), rnn.Linear(5, 5, rng=2))
    >>> history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, epochs=50, progress=False)
    >>> rnn.predict(model, task)
    'ihello'
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        *,
        loss: str | None = None,
        schedule: Any = None,
        schedule_by: str = "update",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        about: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(model, Module) or isinstance(model, Recurrent):
            raise TypeError(f"the Trainer trains a model, such as Sequence(recurrent, readout), not a {type(model).__name__}")
        if not {id(p) for p in model.parameters()} & {id(p) for p in optimizer.parameters}:
            raise ValueError("the optimizer holds none of this model's parameters; make it with model.parameters()")
        if accumulate < 1:
            raise ValueError(f"accumulate is {accumulate}; an update takes at least 1 batch")
        if schedule_by not in ("update", "epoch"):
            raise ValueError(f"schedule_by is 'update' or 'epoch', not {schedule_by!r}")
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.schedule = schedule
        self.schedule_by = schedule_by
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.accumulate = accumulate
        self.about = about or {}
        self.batches = 0  # the position in the data: how many have been seen
        self.history = History()
        self.best: tuple[float, int, dict[str, np.ndarray]] | None = None  # lowest validation loss, after which epoch, weights
        self._carried: tuple[Tensor, ...] | None = None

    def fit(
        self,
        data: Task | Source,
        epochs: int | None = None,
        *,
        until: int | None = None,
        validation: Task | Source | None = None,
        patience: int | None = None,
        progress: bool = True,
        after_epoch: Callable[[int, float], None] | None = None,
        after_update: Callable[[Trainer], bool | None] | None = None,
        save: Path_ | None = None,
        save_every: int | None = None,
    ) -> History:
        """Train for so many more `epochs`, or `until` so many have been trained in all; returns what it saw.

        `progress` shows a bar with the loss, the norm of the gradient, and the time steps read in a second.
        ``after_epoch(epoch, loss)`` is called after each epoch with the loss of its last update, ``after_update(trainer)``
        after each update, and ends the training by True. After each epoch the model is evaluated on the `validation` data;
        after `patience` epochs without a lower loss training ends, with the weights that had the lowest.

        With `save` a checkpoint is written there, every `save_every` updates and at the end (by default after each epoch).
        Ctrl-C lets the update finish, saves, and raises KeyboardInterrupt. Raises FloatingPointError before the update if the
        loss or the gradient is not finite, naming the op and time step where that began; what was saved before stays.
        """
        source, kind = source_of(data), loss_of(data, self.loss)
        if (epochs is None) == (until is None):
            raise ValueError("give either epochs, how many more to train, or until, how many in all")
        if (epochs if epochs is not None else until) < 0:  # type: ignore[operator]
            raise ValueError(
                f"{'until' if epochs is None else 'epochs'} is {until if epochs is None else epochs}; it cannot be negative"
            )
        if patience is not None and validation is None:
            raise ValueError("patience counts epochs without a lower validation loss: give validation data")
        length = len(source)
        goal = length * until if until is not None else self.batches + length * epochs  # type: ignore[operator]
        seen, start = self.history, len(self.history.loss)
        generators = self.model.generators()
        name = data.name if isinstance(data, Task) else "train"
        unit = "epoch" if length == 1 else "batch"
        with (
            patient_interrupt() as interrupted,
            tqdm(total=goal, initial=self.batches, desc=name, unit=unit, disable=not progress) as bar,
        ):
            while self.batches < goal:
                began = time.perf_counter()
                epoch, place = divmod(self.batches, length)
                count = min(self.accumulate, length - place, goal - self.batches)
                loss, norm, read = self._update(source, kind, count, epoch, generators)
                seen.loss.append(loss.total.item())
                seen.steps.append(loss.steps)
                seen.grad_norm.append(norm)
                seen.lr.append(self.optimizer.lr)
                self.batches += count
                ended = self.batches % length == 0
                stop = ended and validation is not None and self._validate(validation, kind, epoch, patience)
                self._schedule(ended)
                bar.update(count)
                if progress:
                    speed = read / (time.perf_counter() - began)
                    bar.set_postfix_str(f"loss {seen.loss[-1]:.4f}, |g| {norm:.2e}, {speed:,.0f} steps/s", refresh=False)
                if after_update is not None and after_update(self):
                    stop = True
                if ended and after_epoch is not None:
                    after_epoch(epoch, seen.loss[-1])
                over = stop or interrupted() or self.batches >= goal
                if save is not None and (over or (ended if save_every is None else len(seen.loss) % save_every == 0)):
                    self.save(save)
                if interrupted():
                    raise interruption(save)
                if stop:
                    break
        return seen.since(start)

    # -- one update ------------------------------------------------------------------------------------------

    def _update(
        self, source: Source, kind: str, count: int, epoch: int, generators: list[np.random.Generator]
    ) -> tuple[SequenceLoss, float, int]:
        """Learn from the next `count` batches: the mean loss, the norm of the gradient, and how many steps were read."""
        self.optimizer.zero_grad()
        losses, read = [], 0
        for i in range(self.batches, self.batches + count):
            batch = source.batch(i)
            before = None if source.begins(i) else self._carried
            draws = [rng.bit_generator.state for rng in generators]
            with np.errstate(all="ignore"):  # what is not finite is told with its place below
                outputs, state = answer(self.model, batch, before)
                loss = sequence_loss(kind, outputs, batch.targets)
            value = loss.total.item()
            if not math.isfinite(value):
                self._explain(f"the loss is {value}", batch, before, kind, draws, epoch)
            (loss.total if count == 1 else loss.total / count).backward()
            self._carried = tuple(part.detach() for part in state) if source.stateful and state is not None else None
            losses.append(loss)
            read += int(np.prod(batch.inputs.shape[:2]))
        norm = clip_grad_norm(self.optimizer.parameters, self.clip_norm if self.clip_norm is not None else math.inf)
        if not math.isfinite(norm):
            self._explain(f"the norm of the gradient is {norm}", batch, before, kind, draws, epoch)
        if self.clip_value is not None:
            clip_grad_value(self.optimizer.parameters, self.clip_value)
        self.optimizer.step()
        if count == 1:
            return losses[0], norm, read
        total = mg.tensor(sum(part.total.item() for part in losses) / count)
        return SequenceLoss(total, sum(part.steps for part in losses) / count), norm, read  # type: ignore[arg-type]

    def _explain(self, what: str, batch: Batch, state: Any, kind: str, draws: list[Any], epoch: int) -> None:
        """Do it again in debug mode, to say where it began; raises FloatingPointError."""
        for rng, drawn in zip(self.model.generators(), draws, strict=True):
            rng.bit_generator.state = drawn
        spoilt = [name for name, p in self.model.named_parameters() if not np.isfinite(p.data).all()]
        where = f"\nNot finite already: {', '.join(spoilt)}" if spoilt else ""
        try:
            with mg.debug():
                outputs, _ = answer(self.model, batch, state)
                sequence_loss(kind, outputs, batch.targets).total.backward()
        except FloatingPointError as error:
            where += f"\nIt began here: {error}"
        finally:
            self.optimizer.zero_grad()
        if self.batches:
            advice = f"; the updates before made the weights too large. Try a learning rate below {self.optimizer.lr}"
            advice += "" if self.clip_norm else ", or clip_norm=1.0" if "gradient" in what else ""
        else:
            advice = ", before any update: look for NaN or inf in the inputs and in the initial weights"
        raise FloatingPointError(f"{what} in epoch {epoch}{advice}{where}")

    def _validate(self, data: Task | Source, kind: str, epoch: int, patience: int | None) -> bool:
        """Evaluate and remember the best weights; at the end of patience go back to them and say so."""
        loss = evaluate(self.model, data, loss=kind).loss
        self.history.validation[len(self.history.loss)] = loss
        if self.best is None or loss < self.best[0]:
            self.best = (loss, epoch, self.model.state_dict())
        if patience is None or epoch - self.best[1] < patience:
            return False
        self.model.load_state_dict(self.best[2])
        return True

    def _schedule(self, ended: bool) -> None:
        if self.schedule is None:
            return
        if hasattr(self.schedule, "patience"):
            if ended:
                loss = self.history.loss
                self.schedule.step(self.history.validation.get(len(loss), loss[-1]))
        elif ended or self.schedule_by == "update":
            self.schedule.step()

    # -- checkpoints -----------------------------------------------------------------------------------------

    def save(self, path: Path_) -> None:
        """Write all that is needed to go on bit for bit: weights, optimizer, schedule, random states, position, history.

        One safetensors file, put in the place of an older one only when it is whole; see `minigrad_rnn.saving`.
        """
        history = self.history
        optimizer = self.optimizer.state_dict()
        arrays = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": value for name, value in optimizer["arrays"].items()}
        arrays |= {f"carried.{i}": part.data for i, part in enumerate(self._carried or ())}
        arrays |= {f"history.{name}": np.array(getattr(history, name)) for name in ("loss", "grad_norm", "lr")}
        if history.steps and len({x.shape for x in history.steps}) == 1:
            arrays["history.steps"] = np.stack(history.steps)
        if self.best is not None:
            arrays |= {f"best.{name}": value for name, value in self.best[2].items()}
        info = {
            "about": self.about,
            "batches": self.batches,
            "optimizer": optimizer["options"],
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "generators": [rng.bit_generator.state for rng in self.model.generators()],
            "best": None if self.best is None else list(self.best[:2]),
            "validation": {str(i): loss for i, loss in history.validation.items()},
        }
        save_checkpoint(path, arrays, info)

    def load(self, path: Path_) -> None:
        """Take over what `save` wrote, into a trainer made in the same way; training goes on as if it had not stopped.

        Raises ValueError, and changes nothing, if the file is not a checkpoint, or that of another model or optimizer.
        """
        arrays, info = load_checkpoint(path)
        parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in ("model", "optimizer", "carried", "history", "best")}
        for name, array in arrays.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = array
        generators = self.model.generators()
        missing = {"batches", "optimizer", "schedule", "generators", "best", "validation"} - info.keys()
        if missing:
            raise ValueError(f"{path} has the weights of a model, but is no checkpoint of a training run: no {min(missing)}")
        if len(generators) != len(info["generators"]) or (self.schedule is None) != (info["schedule"] is None):
            raise ValueError(f"{path} is of a training run with another model or schedule than this one's")
        before = self.model.state_dict(), self.optimizer.state_dict()
        try:
            self.model.load_state_dict(parts["model"])
            self.optimizer.load_state_dict({"arrays": parts["optimizer"], "options": info["optimizer"]})
            if self.schedule is not None:
                self.schedule.load_state_dict(info["schedule"])
            for rng, state in zip(generators, info["generators"], strict=True):
                rng.bit_generator.state = state
        except Exception:
            self.model.load_state_dict(before[0])
            self.optimizer.load_state_dict(before[1])
            raise
        self.batches = int(info["batches"])
        self._carried = tuple(mg.tensor(parts["carried"][str(i)]) for i in range(len(parts["carried"]))) or None
        told = parts["history"]
        self.history = History(
            loss=told["loss"].tolist(),
            steps=list(told.get("steps", ())),
            grad_norm=told["grad_norm"].tolist(),
            lr=told["lr"].tolist(),
            validation={int(i): loss for i, loss in info["validation"].items()},
        )
        self.best = None if info["best"] is None else (info["best"][0], int(info["best"][1]), parts["best"])


def source_of(data: Task | Source) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, Task):
        return data.data()
    raise TypeError(f"data are a task, or a source of batches such as task.data(batch_size), not {type(data).__name__}")


def loss_of(data: Task | Source, given: str | None) -> str:
    return given or str(getattr(data, "loss", "cross_entropy"))


def answer(model: Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
    """What the model says to a batch, and its state afterwards."""
    if hasattr(model, "answer"):
        return model.answer(batch, state)  # type: ignore[no-any-return]
    outputs = model(batch.inputs)
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the model gives a {type(outputs).__name__}; expected one Tensor of outputs, or a method answer(batch, state)"
        )
    return outputs, None


@contextmanager
def patient_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C once: a flag, for the update in hand to be finished. Twice: KeyboardInterrupt, as usual."""
    caught = False

    def remember(number: int, frame: Any) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: caught
    finally:
        signal.signal(signal.SIGINT, before)


def interruption(save: Path_ | None) -> KeyboardInterrupt:
    error = KeyboardInterrupt()
    error.add_note(
        "the model is as the last whole update left it; fit() again goes on from here" if save is None
        else f"saved to {save}; trainer.load({str(save)!r}) and fit(until=...) go on from here"
    )  # fmt: skip
    return error
