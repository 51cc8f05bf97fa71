"""``minigrad-rnn train``: train a model on a text or a task, and save it."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import minigrad_rnn as rnn

from ..additions import names_in
from ..limits import RANGES
from . import UsageError
from ._data import (
    UPDATES,
    Text,
    check_data,
    describe,
    loss_of,
    model_line,
    new_config,
    own_text,
    show_bounds,
    task_of,
    training_data,
    validation_data,
)  # fmt: skip
from ._model import check_place as check_picture
from ._model import is_checkpoint
from ._options import add_cell, number_of

HELP = "train a model on a text or a task"
DESCRIPTION = "Train a model and save it, with everything that is needed to continue the training. Ctrl-C saves it too."
WRITTEN = 120  # symbols that a model of a text writes for each snapshot
SAVE_EVERY = 1.0  # seconds; a save may take a twentieth of the time
NUMBERS = {
    "hidden": "size of the hidden state (default: 128 for a text, 64 for a task)",
    "layers": "number of layers (default: 1)",
    "embedding": "for a text: size of the vector of a symbol; 0: one-hot vectors (default: 0, with --words 64)",
    "dropout": "share of the outputs between layers set to zero in training (default: 0)",
    "zoneout": "probability that a unit of the state keeps its value in training (default: 0)",
    "weight_dropout": "share of the recurrent weights set to zero in training (default: 0)",
    "length": "for a text: number of time steps that the gradient flows back (default: 50); for some tasks, their length",
    "batch": "number of sequences in a batch (default: 32; fewer for short texts)",
    "epochs": f"number of epochs in all (default: enough for {UPDATES} updates, at least 3)",
    "lr": "learning rate (default: one for each optimizer, 0.003 for adam)",
    "clip": "largest norm of the gradient; 0: no clipping (default: 1)",
    "seed": "random seed of the weights and of everything else (default: 0)",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "data", nargs="?", metavar="FILE|TASK|this",
        help="a text file: the model learns to predict its next character; or a task of `minigrad-rnn tasks`; or `this`, "
        "a short text that comes with Python. (Write ./NAME for a file that has the name of a task.)",
    )  # fmt: skip
    add_cell(parser)
    for name, text in NUMBERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="N", type=number_of(name), help=text)
    parser.add_argument("--optimizer", choices=names_in("optim"), help="(default: adam)")
    parser.add_argument("--words", action="store_true", default=None, help="predict words instead of characters")
    parser.add_argument("--encoding", metavar="NAME", help="encoding of the text, such as gb18030 (default: utf-8)")
    parser.add_argument("--save", metavar="PATH", type=Path, help="file of the checkpoint (default: NAME.safetensors)")
    parser.add_argument("--no-compile", action="store_true", help="run each step directly, not as a compiled program")
    parser.add_argument("--force", action="store_true", help="replace an existing checkpoint or history")
    parser.add_argument("--resume", metavar="PATH", type=Path, help="continue with this checkpoint, up to --epochs in all")
    parser.add_argument("--history", metavar="PATH", type=Path, help="write the losses to this .csv or .jsonl file")
    parser.add_argument(
        "--watch", metavar="FILE", type=Path,
        help="write a page (.html) with a slider over the training: the gradient through time, what the model says, the loss",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="show no progress bar and no line for each epoch")


def run(options: argparse.Namespace) -> int:
    """Train a new model, or continue with a checkpoint."""
    config, text = config_of(options)
    path = options.save or options.resume or Path(f"{config['task'] or Path(options.data).stem}.safetensors")
    check_places(options, path)
    model = rnn.config.build(config)
    optimizer = rnn.config.OPTIMIZERS[config["optimizer"]](model.parameters(), lr=config["lr"])
    trainer = rnn.Trainer(
        model, optimizer, loss=loss_of(config), clip_norm=config["clip"] or None, compile=config["compile"], config=config
    )  # fmt: skip
    if options.resume is not None:
        restore(trainer, options.resume)
    source, epochs = training_data(config, text), config["epochs"]
    if trainer.batches >= epochs * len(source):
        done = trainer.batches / len(source)
        raise UsageError(f"{path} has {done:g} epochs of training already; give a larger --epochs N, their number in all")
    print(describe(config, text))
    bounds = text.bounds() if text is not None else task_of(config).bounds
    show_bounds(bounds)
    print(f"{model_line(config, model)}; {len(source):,} updates an epoch, {epochs:,} epochs in all", flush=True)
    if not fit(trainer, source, config, text, path, options):
        return 130
    show_result(trainer, config, path)
    warn_of_divergence(trainer, bounds)
    return 0


def config_of(options: argparse.Namespace) -> tuple[dict[str, Any], Text | None]:
    """Return the configuration of the new model or of the checkpoint, and the text, if there is one."""
    if options.data is None and options.resume is None:
        raise UsageError(
            "nothing to train on; give a text file, a task of `minigrad-rnn tasks`, or `this`. See minigrad-rnn train --help"
        )
    if options.resume is not None:
        return resumed(options)
    config, text = new_config(options)
    config["compile"] = not options.no_compile
    return config, text


def resumed(options: argparse.Namespace) -> tuple[dict[str, Any], Text | None]:
    """Return the configuration in a checkpoint, and its text. UsageError if an argument differs from it."""
    config, _, _ = rnn.config.load(options.resume)
    entry = config["text"] or {"path": config["task"], "words": None}
    for name in ("cell", "optimizer", "words", "encoding", *RANGES):
        value = entry.get(name) if name in ("words", "encoding") else config[name]
        if name != "epochs" and getattr(options, name) not in (None, value):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{options.resume} was begun with {flag} {value}; leave out {flag}, or start without --resume")
    if options.no_compile and config["compile"]:
        raise UsageError(f"{options.resume} was begun compiled; leave out --no-compile, or start without --resume")
    config["epochs"] = options.epochs or config["epochs"]
    if options.data is not None:
        check_data(options.data)
    if config["task"] is not None:
        if options.data not in (None, config["task"]):
            raise ValueError(f"{options.resume} is a model of the task {config['task']}, not of {options.data}")
        return config, None
    text = own_text(config, options.resume, options.data)
    config["text"]["path"] = options.data or config["text"]["path"]
    return config, text


def check_places(options: argparse.Namespace, path: Path) -> None:
    """Raise an error unless the checkpoint, history and page can be written without replacing the files of others."""
    history, page = options.history, options.watch
    if history is not None and (history.suffix not in (".csv", ".jsonl") or history == path):
        raise UsageError(f"--history must be a .csv or .jsonl file of its own, not {history}")
    resuming = options.resume is not None
    check_place(path, "--save", is_checkpoint(path), options.force or path == options.resume)
    if history is not None:
        check_place(history, "--history", is_history(history), options.force or resuming)
    if page is not None:
        if page.suffix != ".html":
            raise UsageError(f"--watch must be a .html file, not {page}")
        check_picture(page, "--watch")


def check_place(path: Path, option: str, ours: bool, replace: bool) -> None:
    """Raise OSError unless the file can be written, in place of nothing or of a file of this command."""
    if os.path.lexists(path) and not ours:
        raise FileExistsError(f"{path} exists and was not written by this command; choose another {option} PATH")
    if path.exists() and not replace:
        hint = f"--resume {shlex.quote(str(path))} continues with it, " if option == "--save" else ""
        raise FileExistsError(f"{path} exists already; {hint}--force replaces it, {option} PATH chooses another name")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(f"cannot write into the folder {path.parent}: {error.strerror}; choose another {option} PATH") from None


def is_history(path: Path) -> bool:
    """Return True for a history that this command wrote."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(12) in (b"update,loss,", b'{"update": 1', b"")


def fit(
    trainer: rnn.Trainer,
    source: rnn.Source,
    config: dict[str, Any],
    text: Text | None,
    path: Path,
    options: argparse.Namespace,
) -> bool:
    """Train and save; False if Ctrl-C ended the training early."""
    import numpy as np

    validation = None if isinstance(source, rnn.Fixed) else validation_data(config, text)
    before = None if options.resume is not None else stamp(path)
    watch = None if options.watch is None else watch_of(config, text, source)
    try:
        with np.errstate(all="ignore"):
            trainer.fit(
                source, until=config["epochs"], validation=validation, save=path, save_every=sys.maxsize,
                progress=not options.quiet and sys.stderr is not None, after_update=saver(path),
                after_epoch=reporter(trainer, source, config["epochs"], options.quiet), watch=watch,
            )  # fmt: skip
    except FloatingPointError as error:
        raise FloatingPointError(f"{in_words(error)}\n{path} {'is unchanged' if path.exists() else 'is not saved'}") from None
    except KeyboardInterrupt as error:
        if getattr(error, "__notes__", None):
            found = f"Interrupted after {trainer.batches:,} updates, and saved to {path}."
        elif stamp(path) not in (None, before):
            found = f"Interrupted in the middle of an update; {path} has an earlier one."
        else:  # a second Ctrl-C, before anything was saved
            raise
        history = "" if options.history is None else f" --history {shlex.quote(str(options.history))}"
        print(f"\n{found} Go on with: minigrad-rnn train --resume {shlex.quote(str(path))}{history}", flush=True)
        return False
    finally:
        if options.history is not None:
            trainer.history.save(options.history)
        if watch is not None and watch.updates:
            page = rnn.draw.training(watch, symbols=symbols_of(config, text), note=describe(config, None))
            print(f"Wrote {page.save(options.watch)}: {len(watch.updates)} snapshots of the training", flush=True)
    return True


def watch_of(config: dict[str, Any], text: Text | None, source: rnn.Source) -> rnn.Watch:
    """Return a Watch of the first sequence of a text, whose model writes, or of the first batch of a task."""
    alphabet, batch = rnn.config.alphabet_of(config), source.batch(0)
    if text is not None and alphabet is not None:
        begin, known = text.symbols[:1], alphabet
        return rnn.Watch(batch.take([0], axis=1), says=lambda model: rnn.sample(model, known, begin, WRITTEN, 0.7, rng=0))
    task = task_of(config)
    return rnn.Watch(batch, loss=task.loss, says=None if task.fixed is None else lambda model: rnn.predict(model, task))


def symbols_of(config: dict[str, Any], text: Text | None) -> rnn.Alphabet | None:
    """Return the symbols of the inputs; None for inputs that are numbers."""
    if text is not None:
        return rnn.config.alphabet_of(config)
    task = task_of(config)
    return task.reads or task.answers


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced; None if there is no file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def saver(path: Path) -> Callable[[rnn.Trainer], None]:
    """Return a function that saves the trainer after an update, if it is time for that."""
    due = time.monotonic() + SAVE_EVERY

    def after_update(trainer: rnn.Trainer) -> None:
        nonlocal due
        if (start := time.monotonic()) > due:
            trainer.save(path)
            due = time.monotonic() + max(SAVE_EVERY, 20 * (time.monotonic() - start))

    return after_update


def reporter(trainer: rnn.Trainer, source: rnn.Source, epochs: int, quiet: bool) -> Callable[[int, float], None]:
    """Return a function that prints a line after an epoch; where an epoch is one batch, after every tenth of them."""
    from tqdm import tqdm

    history, length, fixed = trainer.history, len(source), isinstance(source, rnn.Fixed)

    def after_epoch(epoch: int, loss: float) -> None:
        if quiet or sys.stdout is None or (fixed and (epoch + 1) % max(1, epochs // 10)):
            return
        line = f"epoch {epoch + 1}: training loss {fmean(history.loss[-length:]):.4f}"
        if not fixed:
            line += f", validation loss {history.validation[len(history.loss)]:.4f}"
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    return after_epoch


def in_words(error: FloatingPointError) -> str:
    """Return a message of the trainer with the option of the command line."""
    return str(error).partition(". Look at the operands")[0].replace("clip_norm=1.0", "--clip 1")


def show_result(trainer: rnn.Trainer, config: dict[str, Any], path: Path) -> None:
    """Print how the training went, and what to do next."""
    if trainer.not_compiled and config["compile"]:
        print(f"The steps ran directly, not compiled: {trainer.not_compiled}")
    if trainer.best is not None and trainer.best[1] < config["epochs"] - 1:
        best = trainer.best[1] + 1
        print(f"The validation loss was lowest after epoch {best}: {trainer.best[0]:.4f}. {path} has the weights of the last")
        print(f"epoch; for those of epoch {best}, train again with --epochs {best} --force")
    print(f"Saved to {path}. How good is it?  minigrad-rnn eval {shlex.quote(str(path))}")
    if config["text"] is not None:
        print(f"Let it write:  minigrad-rnn sample {shlex.quote(str(path))} --temperature 0.7")


def warn_of_divergence(trainer: rnn.Trainer, bounds: Mapping[str, float]) -> None:
    """Print a warning if the loss ended far above its first value and the losses that need no training."""
    history = trainer.history
    first, last = history.loss[0], fmean(history.loss[-10:])
    finite = all(map(math.isfinite, history.validation.values()))
    if last > 3 * max(first, *bounds.values(), 0.0) or not finite:
        found = f"the training loss went from {first:.4g} to {last:.4g}" if finite else "the validation loss was not finite"
        advice = "try a smaller --lr" + (", or --clip 1" if trainer.clip_norm is None else "")
        print(f"minigrad-rnn: warning: training diverged: {found}; {advice}", file=sys.stderr)


def restore(trainer: rnn.Trainer, path: Path) -> None:
    """Load a checkpoint into the trainer. ValueError, in one line, for anything that another program may have put there."""
    try:
        trainer.load(path)
        seen = trainer.history
        whole = trainer.best is None or isinstance(trainer.best[0], int | float)
        whole = whole and all(isinstance(x, list) and len(x) == trainer.batches for x in (seen.loss, seen.grad_norm, seen.lr))
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint to continue with: {type(error).__name__}: {error}") from None
    if not whole:
        raise ValueError(f"{path} is not a checkpoint to continue with: its history is not of {trainer.batches} updates")
