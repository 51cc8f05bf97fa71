"""Watching a training: its weights at chosen updates, and from them the gradient through time and what the model writes."""

from __future__ import annotations

import copy
import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import Tensor

from .data.batch import Batch, Source, whole
from .data.tasks import Task
from .generate import predict
from .history import History

if TYPE_CHECKING:
    from .train import Trainer

__all__ = ["Snapshot", "Watch", "followed"]

SHARE = 60  # a live view takes at most one part in so many of the time of the training, 1.7 %
PAUSE = 0.5  # seconds between two live views, of this thread's own time: on a busy machine a second has fewer of them
CELLS = 16  # characters of the line in a terminal
BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", "_.-:=+*#"  # for a terminal with Unicode, and for others


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A model after `update` updates, as a `Watch` measures it.

    `weights` are those of `Module.state_dict`. `loss` is the loss of the watched sequences with these weights, and `norms` is
    that of `rnn.gradient_flow`: by state (layers, T), ``|dL/dh[t]|``. `says` is the text that the model writes, or None.

    >>> import minigrad_rnn as rnn
    >>> task, watch = rnn.tasks.hello(), rnn.Watch()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, 20, progress=False, watch=watch)
    >>> watch.snapshots[-1]
    Snapshot(update 20: loss 0.02872, says 'ihello')
    """

    update: int
    weights: dict[str, np.ndarray]
    loss: float
    norms: dict[str, np.ndarray]
    says: str | None

    def __repr__(self) -> str:
        says = "" if self.says is None else f", says {self.says!r}"
        return f"Snapshot(update {self.update:,}: loss {self.loss:.4g}{says})"


class Watch:
    """Watch a training: ``fit(data, epochs, watch=watch)`` keeps the weights at up to `keep` updates, the first and the last
    among them. From the weights, `snapshots` has the loss, the gradient through time, and what the model wrote at that time.

    - `inputs`, `targets`: the sequences to measure on, as for `rnn.gradient_flow`; by default the first batch of the training.
      `loss` is the kind of loss, by default that of the training;
    - `says`: a function that returns a text for a model, such as ``lambda model: rnn.greedy(model, alphabet, "h", 20)``. For
      a task with one fixed batch, such as "hello", the default is `rnn.predict` of the task;
    - `every`: the number of updates between two snapshots. It doubles when there would be more than `keep` of them;
    - `live`: show the latest snapshot during the training, where progress is shown: in a notebook a picture, in a terminal a
      line of ``|dL/dh[t]|``, from the first time step to the last, on a logarithmic scale.

    The training computes the same numbers with a Watch as without. It only collects the weights. Everything else is computed
    when you read `snapshots` or `norms`, or call `rnn.draw.training`, which draws a page with a slider over training time.
    Several calls of ``fit`` of one trainer can have the same Watch.

    >>> import minigrad_rnn as rnn
    >>> task, watch = rnn.tasks.hello(), rnn.Watch()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, 20, progress=False, watch=watch)
    >>> [watch.snapshots[k].says for k in (0, 2, 4, -1)]
    ['ioiool', 'elllll', 'ehelll', 'ihello']
    >>> watch.norms["h"].shape  # snapshots, layers, time steps
    (21, 1, 6)
    >>> model.load_state_dict(watch.snapshots[4].weights)  # back to update 4
    """

    def __init__(
        self,
        inputs: Any = None,
        targets: Any = None,
        *,
        says: Callable[[Any], str] | None = None,
        loss: str | None = None,
        every: int = 1,
        keep: int = 64,
        live: bool = True,
    ) -> None:
        if says is not None and not callable(says):
            raise TypeError(
                f"says must be a function that returns a text for a model, not {type(says).__name__}; write for example "
                'says=lambda model: rnn.greedy(model, alphabet, "h", 20)'
            )
        if inputs is None and targets is not None:
            raise ValueError("a Watch has targets, but no inputs; give both, or neither for the first batch of the training")
        self.every = whole("every", every)
        self.keep = whole("keep", keep, least=2)
        self.live = live
        self._sequences = None if inputs is None else (inputs, targets)
        self._says = says
        self._loss = loss
        self._trainer: Trainer | None = None
        self._model: Any = None  # a copy; weights of the past are loaded into copies of it
        self.batch: Batch | None = None  # the watched sequences
        self._parameters: dict[str, Tensor] = {}
        self._latest: tuple[int, dict[str, np.ndarray]] = 0, {}
        self._weights: dict[int, dict[str, np.ndarray]] = {}  # by the number of updates
        self._measured: dict[int, Snapshot] = {}

    def __repr__(self) -> str:
        if not self._weights:
            return "<Watch of no training yet: give it to Trainer.fit(..., watch=watch)>"
        count = len(self._weights)
        return f"<Watch: {count} snapshot{'s' * (count != 1)}, from update {min(self._weights):,} to {max(self._weights):,}>"

    def _repr_html_(self) -> str:
        from .draw import training

        return training(self)._repr_html_() if self._weights else html.escape(repr(self))

    @property
    def updates(self) -> list[int]:
        """The number of updates before each snapshot."""
        return list(self._weights)

    @property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots, from first to last. Reading them takes a pass forward and back for each, the first time."""
        return [self._snapshot(update) for update in self._weights]

    @property
    def norms(self) -> dict[str, np.ndarray]:
        """The norms of all snapshots, ``|dL/dh[t]|``, by state (snapshots, layers, T)."""
        found = self.snapshots
        return {name: np.stack([shot.norms[name] for shot in found]) for name in (found[0].norms if found else ())}

    @property
    def history(self) -> History:
        """The history of the trainer."""
        return History() if self._trainer is None else self._trainer.history

    # -- taking snapshots ----------------------------------------------------------------------------------------------

    def _begin(self, trainer: Trainer, data: Any, source: Source, kind: str) -> None:
        """Take the first snapshot of a call of fit. Raises an error for a model that cannot be measured."""
        from .flow import Model, check_model  # which imports the trainer
        from .stepwise import as_batch

        if self._trainer not in (None, trainer):
            raise ValueError("this Watch has the snapshots of another trainer; make a new one, Watch()")
        check_model(trainer.model)
        own = self._sequences is not None or self._says is not None or not isinstance(trainer.model, Model)
        if self._trainer is None:
            if self._says is None and isinstance(data, Task) and data.fixed is not None:
                self._says = partial(predict, data=data)
            inputs, targets = self._sequences or (source.batch(0), None)
            self.batch, self._loss = as_batch(inputs, targets, self._loss or getattr(inputs, "loss", None) or kind, "mean")
            self._trainer, self._model = trainer, copy.deepcopy(trainer.model).eval()
        self._parameters = dict(trainer.model.named_parameters())
        now = len(trainer.history.loss)
        self._keep_only(lambda update: update < now)  # an older checkpoint may have been loaded
        self._keep_grid()
        self._look()
        if not self._weights or now % self.every == 0:
            self._take()
        if own:  # your own model, sequences or function: an error comes now, and not after the training
            self._snapshot(max(self._weights))

    def _look(self) -> None:
        """Hold the present weights. Nobody writes to these arrays: an update makes new ones. ``p.data`` would take ten times as
        long, 3 % of an update of a small model."""
        assert self._trainer is not None
        self._latest = len(self._trainer.history.loss), {name: p._data for name, p in self._parameters.items()}

    def _take(self) -> None:
        """Keep the weights of the latest update."""
        update, weights = self._latest
        self._weights[update] = weights

    def _updated(self) -> None:
        """Take a snapshot, if it is time for that. There is room for one more at the end of the training."""
        self._look()
        if self._latest[0] % self.every == 0:
            self._take()
            while len(self._weights) >= self.keep:
                self.every *= 2
                self._keep_grid()

    def _keep_grid(self) -> None:
        """Drop snapshots between those at multiples of `every`, except the first."""
        first = min(self._weights, default=0)
        self._keep_only(lambda update: update % self.every == 0 or update == first)

    def _keep_only(self, wanted: Callable[[int], bool]) -> None:
        self._weights = {update: weights for update, weights in self._weights.items() if wanted(update)}
        self._measured = {update: shot for update, shot in self._measured.items() if update in self._weights}

    # -- measuring them --------------------------------------------------------------------------------------------------

    def _snapshot(self, update: int) -> Snapshot:
        if update not in self._measured:
            from .flow import gradient_flow

            model = copy.deepcopy(self._model)  # its own: another thread may measure too, and `says` may change it
            model.load_state_dict(self._weights[update])
            with np.errstate(all="ignore"):  # of a training that diverges, the numbers show it
                flow = gradient_flow(model, self.batch, loss=self._loss, matrix=False)
                says = None if self._says is None else self._says(model)
            if self._says is not None and not isinstance(says, str):
                raise TypeError(f"says must return a text, not {says!r}")
            self._measured[update] = Snapshot(update, self._weights[update], flow.loss, flow.norms, says)
        return self._measured[update]

    def _so_far(self) -> list[Snapshot]:
        """Measure the latest snapshot; return all that are measured."""
        self._snapshot(max(self._weights))
        return [self._measured[update] for update in sorted(self._measured)]


# -- during the training ---------------------------------------------------------------------------------------------------


@contextmanager
def followed(
    watch: Watch | None, trainer: Trainer, data: Any, source: Source, kind: str, bar: Any
) -> Iterator[Callable[[], str]]:
    """Let a Watch follow a training inside. Yield a function to call after each update, which returns a line for the bar."""
    if watch is None:
        yield lambda: ""
        return
    if not isinstance(watch, Watch):
        raise TypeError(f"watch must be a Watch, such as rnn.Watch(), not {type(watch).__name__}")
    watch._begin(trainer, data, source, kind)
    view = View(watch, bar) if watch.live and not bar.disable else None

    def after_update() -> str:
        watch._updated()
        return "" if view is None else view.line()

    try:
        yield after_update
    finally:
        watch._take()
    if view is not None and view.display is not None:
        view.show()


class View:
    """The live view of a training: a picture in a notebook, a line in a terminal, nothing elsewhere."""

    def __init__(self, watch: Watch, bar: Any) -> None:
        self.watch, self.bar = watch, bar
        self.display = notebook_display()
        self.picture: Any = None  # its handle in a notebook
        stream = getattr(bar, "fp", None)
        self.terminal = bool(stream is not None and stream.isatty())
        self.text = ""
        self.due = time.thread_time() + PAUSE

    def line(self) -> str:
        """Return the line, and measure again if it is time for that."""
        if (began := time.thread_time()) > self.due:
            self.show()
            ended = time.thread_time()
            self.due = ended + max(PAUSE, SHARE * (ended - began))
        return self.text

    def show(self) -> None:
        if self.display is not None:
            from .draw.training_view import Live

            made = Live(self.watch._so_far(), self.watch.history)
            if self.picture is None:
                self.picture = self.display(made, display_id=True)
            else:
                self.picture.update(made)
        elif self.terminal:
            shot = self.watch._so_far()[-1]
            name, norms = next(iter(shot.norms.items()))
            self.text = f", |dL/d{name}[t]| {sparkline(norms[-1], PLAIN if self.bar.ascii is True else BLOCKS)}"


def notebook_display() -> Any:
    """Return the function that shows an object in a notebook; None outside of one."""
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return ipython.display.display if hasattr(shell, "kernel") else None  # type: ignore[union-attr]


@np.errstate(divide="ignore", invalid="ignore")
def sparkline(norms: np.ndarray, levels: str = BLOCKS) -> str:
    """Return numbers as characters, on a logarithmic scale over at least a factor of ten. A space is a 0, or NaN.

    >>> sparkline(np.array([0.0, 1e-6, 1e-4, 1e-2, 1.0]))
    ' ▁▃▆█'
    """
    parts = np.array_split(norms, min(CELLS, len(norms)))
    logs = np.array([np.log10(np.max(part, initial=0.0, where=~np.isnan(part))) for part in parts])
    some = np.isfinite(logs)
    high = logs[some].max(initial=-np.inf)
    span = max(1.0, high - logs[some].min(initial=np.inf))
    steps = np.where(some, 1 - (high - logs) / span, 0.0) * (len(levels) - 1)
    return "".join(levels[round(step)] if seen else " " for step, seen in zip(steps.tolist(), some.tolist(), strict=True))
