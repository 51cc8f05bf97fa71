"""Training: an update after each batch, and checkpoints from which a training continues bit for bit."""

from __future__ import annotations

import functools
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from tqdm import tqdm

import minigrad as mg
from minigrad import Tensor
from minigrad.compiling import Compiled
from minigrad.files import regular_file
from minigrad.graph import CURRENT

from .clip import clip_grad_norm, clip_grad_value
from .data.batch import IGNORED, Batch, Fixed, Source, cleared, step_mask, whole
from .data.tasks import Task
from .history import History
from .losses import LOSSES, sequence_loss
from .module import Module, mode
from .optimizer import Optimizer
from .recurrent import Recurrent
from .saving import load_checkpoint, save_checkpoint
from .schedule import LRScheduler, ReduceLROnPlateau
from .watching import Watch, followed

__all__ = ["Evaluation", "History", "Trainer", "evaluate"]

Path_ = str | os.PathLike[str]
Data = Task | Source | tuple[Any, ...] | list[Any]  # what source_of takes


class Evaluation(NamedTuple):
    """The mean loss of a model on some data, the share of right predictions (accuracy), and the share of sequences with every
    prediction right (exact). Both shares are NaN for "mse"."""

    loss: float
    accuracy: float
    exact: float


def evaluate(model: Module, data: Data, *, loss: str | None = None) -> Evaluation:
    """Evaluate a model on one epoch of the data, in evaluation mode. Padding and targets that are IGNORED do not count.

    Give the data and `loss` as to a `Trainer`. A task makes the same sequences as for training; for others give
    ``task.data(seed=1)``.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.LSTM(5, 5, rng=1), rnn.Linear(5, 5, rng=2))
    >>> result = rnn.evaluate(model, rnn.tasks.hello())
    >>> 1.5 < result.loss < 1.8, result.exact
    (True, 0.0)
    """
    source = source_of(data)
    kind = loss_of(source, loss)
    total = right = count = exact = sequences = 0.0
    state = None
    with mode(model, training=False), mg.no_grad():
        for i in range(len(source)):
            batch = source.batch(i)
            outputs, state = outputs_of(model, batch, None if source.begins(i) else state)
            lengths = lengths_of(model, outputs, batch)
            mean = sequence_loss(kind, outputs, batch.targets, lengths).item()
            hits, counted = hits_of(kind, outputs.data, np.asarray(batch.targets), lengths)
            total += mean * counted.sum()
            right += (hits & counted).sum()
            count += counted.sum()
            steps = tuple(range(counted.ndim - 1))
            exact += ((hits | ~counted).all(axis=steps) & counted.any(axis=steps)).sum()
            sequences += counted.any(axis=steps).sum()
    if kind == "mse":
        right = exact = math.nan
    return Evaluation(float(total / count), float(right / count), float(exact / sequences))


def hits_of(kind: str, outputs: np.ndarray, targets: np.ndarray, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return which predictions are right and which of them count; the last axis is the batch."""
    mask: Any = None if lengths is None else step_mask(lengths, *outputs.shape[:2])
    mask = True if mask is None else mask
    if kind == "cross_entropy":
        if targets.ndim == outputs.ndim:  # class probabilities
            targets = targets.argmax(axis=-1)
        return outputs.argmax(axis=-1) == targets, (targets != IGNORED) & mask
    hits = np.moveaxis((outputs > 0) == (targets > 0.5), -1, 0)
    return hits, np.broadcast_to(mask, hits.shape)


class Trainer:
    """Train a model on data with an optimizer.

    The model is a `Model`, such as `Sequence`, or any module that takes the inputs of a batch. Options:

    - `loss`: "cross_entropy", "mse" or "binary", by default that of the task, or "cross_entropy" for targets that are integers;
    - `schedule`: one of `minigrad_rnn.schedule`, stepped after each update, or after each epoch with ``schedule_by="epoch"``;
      ReduceLROnPlateau after each epoch with the validation loss, or without validation with the loss of the last update;
    - `clip_norm`, `clip_value`: largest norm of the whole gradient, and largest absolute value of its elements;
    - `accumulate`: number of batches for an update, which uses the mean of their gradients;
    - `compile`: run the loss and its gradient as a NumPy program (`minigrad.compile`), recorded for each shape of batch. A
      model that cannot be recorded runs directly, and `not_compiled` has the reason;
    - `config`: a description of the model (JSON values) that its checkpoints contain, under the name "about".

    If sequences continue in the next batch (`Streams`), the state is carried over, detached: truncated backpropagation
    through time.

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
        schedule: LRScheduler | ReduceLROnPlateau | None = None,
        schedule_by: str = "update",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        compile: bool = True,
        config: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(model, Module) or isinstance(model, Recurrent):
            raise TypeError(f"the Trainer needs a model, such as Sequence(recurrent, readout), not {type(model).__name__}")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"the Trainer needs an optimizer such as Adam(model.parameters()), not {type(optimizer).__name__}")
        own = {id(p) for p in model.parameters()}
        if not all(id(p) in own for p in optimizer.parameters):
            raise ValueError("the optimizer holds parameters that are not this model's; make it with model.parameters()")
        if schedule is not None and not isinstance(schedule, LRScheduler | ReduceLROnPlateau):
            raise TypeError(f"schedule must be one of minigrad_rnn.schedule, not {type(schedule).__name__}")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError("the schedule sets the learning rate of another optimizer; make it with the one given here")
        if schedule_by not in ("update", "epoch"):
            raise ValueError(f"schedule_by must be 'update' or 'epoch', not {schedule_by!r}")
        if loss not in (None, *LOSSES):
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.schedule = schedule
        self.schedule_by = schedule_by
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.accumulate = whole("accumulate", accumulate)
        self.compile = compile
        self.not_compiled = "" if compile else "compile=False"
        self._compiles = compile
        self._program = program_of(model)
        self.config = config or {}
        self.batches = 0  # the position in the data: number of batches so far
        self.history = History()
        self.best: tuple[float, int, dict[str, np.ndarray]] | None = None  # lowest validation loss, after which epoch, weights
        self._carried: tuple[Tensor, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_program": self._program.history()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _program=program_of(state["model"]))
        self._program.resume(state["_program"])

    def __repr__(self) -> str:
        model, optimizer = type(self.model).__name__, type(self.optimizer).__name__
        return f"<Trainer of a {model} with {optimizer}, lr {self.optimizer.param_groups[0].lr:g}: {self.history!r}>"

    def fit(
        self,
        data: Data,
        epochs: int | None = None,
        *,
        until: int | None = None,
        validation: Data | None = None,
        patience: int | None = None,
        progress: bool = True,
        after_epoch: Callable[[int, float], None] | None = None,
        after_update: Callable[[Trainer], bool | None] | None = None,
        save: Path_ | None = None,
        save_every: int | None = None,
        watch: Watch | None = None,
    ) -> History:
        """Train for `epochs` more epochs, or `until` that number of epochs in all, and return the history of this call.

        The data are a task, a source of batches such as ``task.data(batch_size)`` or `Examples`, or one batch: a `Batch`, or a
        pair ``(inputs, targets)`` or a list of sequences, as in `Batch.of`. Targets that are not integers need a `loss`.

        `progress` shows a bar with the loss, the norm of the gradient, and the mean number of time steps per second.
        ``after_epoch(epoch, loss)`` is called after each epoch with the loss of its last update. ``after_update(trainer)``
        is called after each update, and ends the training if it returns True. After each epoch the model is evaluated on the
        `validation` data. After `patience` epochs without a lower loss, training ends with the weights of the lowest loss.

        `watch` keeps snapshots of the weights, from which it measures the gradient through time and what the model writes.

        With `save` a checkpoint is written there every `save_every` updates and at the end (by default after each epoch).
        Ctrl-C lets the update finish, saves, and raises KeyboardInterrupt; a second one does not wait. Raises
        FloatingPointError if the loss, the gradient or the step is not finite, with the op and time step where that began.
        An update that raises changes nothing, and the last checkpoint stays.
        """
        source = source_of(data)
        kind = loss_of(source, self.loss)
        goal = self._goal(len(source), epochs, until)
        check_options(validation, patience, save, save_every)
        length, start = len(source), len(self.history.loss)
        over = self.batches >= goal or (until is not None and self._gives_up(length, patience))
        with (
            patient_interrupt(save) as interrupted,
            mode(self.model, training=True),
            progress_bar(data, length, goal, self.batches, progress) as bar,
            followed(watch, self, data, source, kind, bar) as watched,
        ):
            began, steps = time.perf_counter(), 0
            while not over:
                epoch, place = divmod(self.batches, length)
                count = min(self.accumulate, length - place, goal - self.batches)
                loss, norm, read = self._update(source, kind, count)
                steps, line = steps + read, watched()
                ended = self.batches % length == 0
                if ended and validation is not None:
                    self._validate(validation, kind, epoch)
                    over = self._gives_up(length, patience)
                self._schedule(ended)
                show(bar, count, loss, norm, steps / (time.perf_counter() - began), line)
                over = bool(after_update and after_update(self)) or over
                if ended and after_epoch:
                    after_epoch(epoch, loss)
                over = over or interrupted() or self.batches >= goal
                if save is not None and (over or self._saves_now(ended, save_every)):
                    self.save(save)
        return self.history.since(start)

    def _goal(self, length: int, epochs: int | None, until: int | None) -> int:
        """Return the number of batches after which training ends."""
        if until is not None and epochs is None:
            return length * whole("until", until, 0)
        if epochs is None or until is not None:
            raise ValueError("give either epochs, the number of epochs to train now, or until, their number in all")
        return self.batches + length * whole("epochs", epochs)

    def _saves_now(self, ended: bool, save_every: int | None) -> bool:
        """Return True after an epoch, or after every `save_every` updates."""
        return ended if save_every is None else len(self.history.loss) % save_every == 0

    # -- one update ------------------------------------------------------------------------------------------

    def _update(self, source: Source, kind: str, count: int) -> tuple[float, float, int]:
        """Update on the next `count` batches; return the mean loss, the norm of the gradient, and the number of time steps."""
        lr = self.optimizer.param_groups[0].lr
        if hasattr(self.model, "before_update"):
            self.model.before_update(len(self.history.loss))
        try:
            with self._all_or_nothing() as learnt:
                with np.errstate(all="ignore"):  # the error has the place instead
                    loss, steps, state, read = self._gradient(source, kind, count, learnt)
                    norm = clip_grad_norm(self.optimizer.parameters, math.inf if self.clip_norm is None else self.clip_norm)
                if not math.isfinite(loss) or not math.isfinite(norm):
                    what = f"loss is {loss}" if not math.isfinite(loss) else f"norm of the gradient is {norm}"
                    raise FloatingPointError(f"the {what}")
                if self.clip_value is not None:
                    clip_grad_value(self.optimizer.parameters, self.clip_value)
                with np.errstate(over="raise", divide="raise", invalid="raise"):
                    self.optimizer.step()
                self.batches += count
                self._carried = state
        except FloatingPointError as error:
            self._explain(error, source, kind, count)
        self.history.loss.append(loss)
        self.history.steps.append(steps)
        self.history.grad_norm.append(norm)
        self.history.lr.append(lr)
        return loss, norm, read

    @contextmanager
    def _all_or_nothing(self) -> Iterator[bytes]:
        """Restore the trainer, model, optimizer, schedule and random states if anything is raised inside.
        Yield which parameters require grad."""
        draws = [(rng, rng.bit_generator.state) for rng in self.model.generators()]
        weights = [(p, p.data) for p in self.model.parameters()]  # arrays that nobody can write to
        groups = self.optimizer.param_groups
        attributes = [(x, dict(vars(x))) for x in (self, *groups, self.schedule) if x is not None]
        compiled = self._program.state()
        for group in groups:
            group.states = list(group.states)  # an update changes this list
        try:
            yield bytes(p.requires_grad for p, _ in weights)
        except BaseException:
            for rng, state in draws:
                rng.bit_generator.state = state
            for p, values in weights:
                p.data = values
            for x, before in attributes:
                vars(x).clear()
                vars(x).update(before)
            self._program.restore(compiled)
            raise

    def _gradient(
        self, source: Source, kind: str, count: int, learnt: bytes
    ) -> tuple[float, np.ndarray, tuple[Tensor, ...] | None, int]:
        """Set each ``.grad`` to the mean gradient of the next `count` batches; return the mean loss, the share of each time
        step, the final state, and the number of time steps."""
        self.optimizer.zero_grad()
        total, shares, state, read = 0.0, [], self._carried, 0
        for i in range(self.batches, self.batches + count):
            batch = source.batch(i)
            loss, share, state = self._learn(batch, None if source.begins(i) else state, kind, count, learnt)
            total += loss
            shares.append(share)
            read += int(np.prod(batch.inputs.shape[:2]))
        steps = np.zeros(max(map(len, shares)))
        for share in shares:
            steps[: len(share)] += share / count
        return total / count, steps, state if source.stateful else None, read

    def _learn(
        self, batch: Batch, state: Any, kind: str, count: int, learnt: bytes
    ) -> tuple[float, np.ndarray, tuple[Tensor, ...] | None]:
        """Add the gradient of loss / count to each ``.grad``; return the loss, the share of each time step, and the final
        state, detached. No graph is left."""
        if self._compiles and CURRENT.get()[2] is None:
            learner: Any = self._program.f
            if learner.args[0] is not self.model:  # another model was assigned
                self._program = program_of(self.model)
            try:
                loss, share, after = self._program(batch.inputs, batch.targets, state, kind, count, learnt, batch.lengths)
                self.not_compiled = self._program.not_compiled
                return float(loss.item()), share, after
            except mg.CompileError as error:
                self._compiles, self.not_compiled = False, str(error)
        loss, share, after = learn(self.model, batch.inputs, batch.targets, state, kind, count, learnt, batch.lengths)
        return float(loss.item()), share, after

    def _explain(self, error: FloatingPointError, source: Source, kind: str, count: int) -> NoReturn:
        """Repeat the update in debug mode, and raise the error with the op where it began."""
        batches = range(self.batches, self.batches + count)
        parts = [(what, i) for what in ("inputs", "targets") for i in batches]
        spoilt = [f"{what} of batch {i}" for what, i in parts if not finite(source.batch(i), what)]
        if spoilt:
            advice = ": look at the data"
        elif self.batches:
            lr = max(group.lr for group in self.optimizer.param_groups)
            advice = f"; earlier updates made the weights too large. Try a learning rate below {lr}"
            advice += ", or clip_norm=1.0" if self.clip_norm is None else ""
        else:
            advice = ", before any update: look at the initial weights, the learning rate, and at how large the inputs are"
        spoilt += [name for name, p in self.model.named_parameters() if not np.isfinite(p.data).all()]
        where = f"\nNot finite already: {', '.join(spoilt)}" if spoilt else ""
        with self._all_or_nothing() as learnt:
            try:
                with mg.debug(), np.errstate(all="ignore"):
                    self._gradient(source, kind, count, learnt)
            except FloatingPointError as found:
                where += f"\nIt began here: {found}"
            raise FloatingPointError(f"{error} in epoch {self.batches // len(source)}{advice}{where}") from error

    # -- after an update -------------------------------------------------------------------------------------

    def _validate(self, data: Data, kind: str, epoch: int) -> None:
        """Evaluate the model, and keep the best weights."""
        loss = evaluate(self.model, data, loss=kind).loss
        self.history.validation[len(self.history.loss)] = loss
        loss = math.inf if math.isnan(loss) else loss
        if self.best is None or loss < self.best[0]:
            self.best = (loss, epoch, self.model.state_dict())

    def _gives_up(self, length: int, patience: int | None) -> bool:
        """Return True after `patience` epochs without a lower validation loss, with the weights of the lowest loss restored."""
        if patience is None or self.best is None or self.batches // length - 1 - self.best[1] < patience:
            return False
        self.model.load_state_dict(self.best[2])
        return True

    def _schedule(self, ended: bool) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            if ended:
                loss = self.history.loss
                self.schedule.step(self.history.validation.get(len(loss), loss[-1]))
        elif self.schedule is not None and (ended or self.schedule_by == "update"):
            self.schedule.step()

    # -- checkpoints -----------------------------------------------------------------------------------------

    def save(self, path: Path_) -> None:
        """Write everything that is needed to continue: weights, optimizer, schedule, random states, position, history.

        It is one safetensors file, which replaces an older one only when it is complete; see `minigrad_rnn.saving`.
        """
        history, optimizer = self.history, self.optimizer.state_dict()
        arrays = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": value for name, value in optimizer["arrays"].items()}
        arrays |= {f"carried.{i}": part.data for i, part in enumerate(self._carried or ())}
        arrays |= {f"history.{name}": np.array(getattr(history, name), float) for name in ("loss", "grad_norm", "lr")}
        arrays["history.steps"] = np.concatenate([np.zeros(0), *history.steps])  # they need not be equally long
        arrays["history.lengths"] = np.array([len(steps) for steps in history.steps], int)
        if self.best is not None:
            arrays |= {f"best.{name}": value for name, value in self.best[2].items()}
        info = {
            "about": self.config,
            "compiled": {**self._program.history(), "compiles": self._compiles, "not_compiled": self.not_compiled},
            "batches": self.batches,
            "optimizer": optimizer["options"],
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "generators": [plain(rng.bit_generator.state) for rng in self.model.generators()],
            "best": None if self.best is None else list(self.best[:2]),
            "validation": {str(i): loss for i, loss in history.validation.items()},
        }
        save_checkpoint(path, arrays, info)

    def load(self, path: Path_) -> None:
        """Restore what `save` wrote, in a trainer made in the same way. Training continues as if it had not stopped.

        Raises ValueError, and changes nothing, if the file is not a checkpoint of this model, optimizer and schedule.
        """
        arrays, info = load_checkpoint(path)
        with self._all_or_nothing():
            try:
                self._take(arrays, info)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{path} is not a checkpoint of a training like this one: {error}") from error

    def _take(self, arrays: dict[str, np.ndarray], info: dict[str, Any]) -> None:
        kinds = ("model", "optimizer", "carried", "history", "best")
        parts = {k: {name[len(k) + 1 :]: a for name, a in arrays.items() if name.startswith(f"{k}.")} for k in kinds}
        if missing := {"batches", "optimizer", "schedule", "generators", "best", "validation"} - info.keys():
            raise ValueError(f"it has no {min(missing)}")
        self.model.load_state_dict(parts["model"])
        for name, p in self.model.named_parameters():
            if parts["model"][name].dtype != p.dtype:
                raise ValueError(f"{name} is {parts['model'][name].dtype} there and {p.dtype} here")
        self.optimizer.load_state_dict({"arrays": parts["optimizer"], "options": info["optimizer"]})
        if (self.schedule is None) != (info["schedule"] is None):
            raise ValueError("it has a schedule and this trainer none" if self.schedule is None else "it has no schedule")
        if self.schedule is not None:
            self.schedule.load_state_dict(info["schedule"])
        for rng, state in zip(self.model.generators(), info["generators"], strict=True):
            rng.bit_generator.state = state
        if "compiled" in info and self.compile:
            self._program.resume(info["compiled"])
            self._compiles, self.not_compiled = bool(info["compiled"]["compiles"]), str(info["compiled"]["not_compiled"])
        self.batches = whole("batches", info["batches"], 0)
        self._carried = tuple(mg.tensor(parts["carried"][str(i)]) for i in range(len(parts["carried"]))) or None
        self.best = None if info["best"] is None else (float(info["best"][0]), int(info["best"][1]), parts["best"])
        saved = parts["history"]
        self.history = History(
            loss=saved["loss"].tolist(),
            steps=np.split(saved["steps"], np.cumsum(saved["lengths"]))[:-1],
            grad_norm=saved["grad_norm"].tolist(),
            lr=saved["lr"].tolist(),
            validation={int(i): loss for i, loss in info["validation"].items()},
        )


def check_options(validation: Data | None, patience: int | None, save: Path_ | None, save_every: int | None) -> None:
    """Raise an error for options of `Trainer.fit` that are wrong or lack another."""
    if patience is not None and validation is None:
        raise ValueError("patience needs validation data")
    if save_every is not None and save is None:
        raise ValueError("save_every needs save, the path to save to")
    for name, value in (("patience", patience), ("save_every", save_every)):
        if value is not None:
            whole(name, value)
    if validation is not None:
        source_of(validation)
    if save is not None and not regular_file(os.path.realpath(save)).parent.is_dir():
        raise FileNotFoundError(f"there is no folder {Path(os.path.realpath(save)).parent}; create it first")


def progress_bar(data: Data, length: int, goal: int, done: int, shown: bool) -> Any:
    """Return a bar for batches, or for epochs if each is one batch."""
    name, unit = data.name if isinstance(data, Task) else "train", "epoch" if length == 1 else "batch"
    return tqdm(total=goal, initial=done, desc=name, unit=unit, disable=not shown)


def show(bar: Any, count: int, loss: float, norm: float, speed: float, line: str) -> None:
    """Move the bar by `count` batches and show the loss, the norm of the gradient, the steps per second, and the line."""
    bar.set_postfix_str(f"loss {loss:.4f}, |g| {norm:.2e}, {speed:,.0f} steps/s{line}", refresh=False)
    bar.update(count)


def source_of(data: Data) -> Source:
    if isinstance(data, tuple | list):
        return Fixed(Batch.of(data))
    if not isinstance(data, Task | Source):
        raise TypeError(
            f"data must be a task, or a source of batches such as task.data(batch_size), not {type(data).__name__}; "
            "give arrays as a pair (inputs, targets), as in fit((inputs, targets), epochs)"
        )
    source = data.data() if isinstance(data, Task) else data
    if len(source) < 1:
        raise ValueError(f"this {type(source).__name__} has no batches")
    return source


def loss_of(source: Source, given: str | None) -> str:
    if kind := given or source.loss:
        return kind
    targets = np.asarray(source.batch(0).targets)
    if targets.dtype.kind not in "iu":
        raise ValueError(
            f"the targets of these batches are numbers ({targets.dtype} of shape {targets.shape}), not class indices: give "
            "loss='mse', loss='binary' (for 0 or 1) or loss='cross_entropy' (for class probabilities); for classes give "
            "integers, targets.astype(int), or targets.argmax(-1) if they are one-hot"
        )
    return "cross_entropy"


def outputs_of(model: Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
    """Return the outputs of the model for a batch, and its final state."""
    if batch.lengths is not None and len(batch.inputs) > 1:  # a NaN in the padding would reach the weights, as 0 times NaN
        batch = batch._replace(inputs=cleared(batch.inputs, batch.lengths))
    outputs, state = model.predict_batch(batch, state) if hasattr(model, "predict_batch") else (model(batch.inputs), None)
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the model must return one Tensor of outputs, or define predict_batch; it returned {type(outputs).__name__}"
        )
    return outputs, state


def finite(batch: Batch, what: str) -> bool:
    """Return True if the inputs or the targets of a batch are finite, except in the padding."""
    array = np.asarray(getattr(batch, what))
    padded = batch.lengths is not None and array.shape[:2] == batch.inputs.shape[:2]
    return bool(np.isfinite(cleared(array, batch.lengths) if padded else array).all())


def lengths_of(model: Module, outputs: Tensor, batch: Batch) -> Any:
    """Return the lengths of the outputs; None if all count."""
    if outputs.ndim < 3 or batch.lengths is None:
        return None
    lengths = model.output_lengths(batch) if hasattr(model, "output_lengths") else batch.lengths
    if lengths is batch.lengths and len(outputs) != len(batch.inputs) > 1:
        raise ValueError(
            f"the {type(model).__name__} reads {len(batch.inputs)} steps and has outputs at {len(outputs)}, so the lengths of "
            "the batch are not those of its outputs; define output_lengths(batch), which returns their lengths or None"
        )
    return lengths


def learn(
    model: Module,
    inputs: Any,
    targets: Any,
    state: Any,
    kind: str,
    count: int,
    learnt: bytes = b"",
    lengths: Any = None,
) -> tuple[Tensor, Any, Any]:
    """Compute what `Trainer._learn` returns. `learnt`, which parameters require grad, distinguishes compiled programs."""
    batch = Batch(inputs, targets, lengths)
    outputs, after = outputs_of(model, batch, state)
    loss = sequence_loss(kind, outputs, targets, lengths_of(model, outputs, batch))
    (loss.total if count == 1 else loss.total / count).backward()
    return loss.total.detach(), loss.steps, None if after is None else tuple(part.detach() for part in after)


def program_of(model: Module) -> Compiled:
    return Compiled(functools.partial(learn, model), static=(3, 4, 5), at_once=1)


@contextmanager
def patient_interrupt(save: Path_ | None) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag, and raise KeyboardInterrupt at the end; a second Ctrl-C raises it at once. In a
    thread, or if SIGINT has another handler, change nothing."""
    caught = False

    def remember(number: int, frame: Any) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: caught
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if caught:
        error = KeyboardInterrupt()
        error.add_note(
            "the last complete update is in the model; fit() continues from here" if save is None
            else f"saved to {save}; trainer.load({str(save)!r}) and fit(until=...) continue from here"
        )  # fmt: skip
        raise error


def plain(value: Any) -> Any:
    """Return a random state as JSON values."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
