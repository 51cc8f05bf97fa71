"""The command that trains."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minigrad_rnn as rnn

from .. import building
from ..data.batch import Fixed
from .source import (
    Text,
    UsageError,
    begun,
    check_data,
    describe,
    loss_of,
    model_line,
    own_text,
    tell_bounds,
    the_task,
    training,
    unseen,
)

__all__ = ["train"]

SAVE_EVERY = 1.0  # seconds, and twenty times what saving takes


def resumed(options: Namespace) -> tuple[dict[str, Any], Text | None]:
    """The description in the checkpoint that training goes on with, and its text; no option may say anything else."""
    about, _, _ = building.load(options.resume)
    told = about["text"] or {"path": about["task"], "words": None}
    for name in ("cell", "optimizer", "words", *building.RANGES):
        was = told["words"] if name == "words" else about[name]
        if name != "epochs" and getattr(options, name) not in (None, was):
            raise UsageError(
                f"{options.resume} was begun with --{name} {was}; leave out --{name}, or train anew without --resume"
            )
    about["epochs"] = options.epochs or about["epochs"]
    if options.data is not None:
        check_data(options.data)
    if about["task"] is not None:
        if options.data not in (None, about["task"]):
            raise ValueError(f"{options.resume} is a model of the task {about['task']}, not of {options.data}")
        return about, None
    text = own_text(about, options.resume, options.data)
    about["text"]["path"] = options.data or about["text"]["path"]
    return about, text


def check_places(options: Namespace, path: Path) -> None:
    """That the files can be written, and nothing of others is there."""
    history = options.history
    if history is not None and (history.suffix not in (".csv", ".jsonl") or history == path):
        raise UsageError(f"--history is the name of a .csv or .jsonl file of its own, not {history}")
    for place, option, ours in ((path, "--save", is_ours), (history, "--history", is_history)):
        if place is None:
            continue
        if os.path.lexists(place) and not ours(place):
            raise FileExistsError(
                f"{place} is there already and not a file that this command wrote; choose another {option} PATH"
            )
        if place.exists() and not options.force and place != options.resume and not (options.resume and place == history):
            hint = f"--resume {shlex.quote(str(place))} goes on with it, " if option == "--save" else ""
            raise FileExistsError(f"{place} is there already; {hint}--force replaces it, {option} PATH chooses another name")
        try:
            tempfile.TemporaryFile(dir=place.parent).close()
        except OSError as error:
            raise OSError(
                f"cannot write into the folder {place.parent}: {error.strerror}; choose another {option} PATH"
            ) from None


def is_ours(path: Path) -> bool:
    try:
        return "about" in rnn.load_checkpoint(path)[1]
    except (OSError, ValueError):
        return False


def is_history(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(12) in (b"update,loss,", b'{"update": 1', b"")


def train(options: Namespace) -> int:
    if options.data is None and options.resume is None:
        raise UsageError(
            "train what? Give a text file, a task of `minigrad-rnn tasks`, or `this`; see minigrad-rnn train --help"
        )
    about, text = begun(options) if options.resume is None else resumed(options)
    if options.resume is None:
        about["compile"] = not options.no_compile
    elif options.no_compile and about["compile"]:
        raise UsageError(f"{options.resume} was begun compiled; leave out --no-compile, or train anew without --resume")
    path = options.save or options.resume or Path(f"{about['task'] or Path(options.data).stem}.safetensors")
    check_places(options, path)
    model = building.build(about)
    optimizer = building.OPTIMIZERS[about["optimizer"]](model.parameters(), lr=about["lr"])
    trainer = rnn.Trainer(
        model, optimizer, loss=loss_of(about), clip_norm=about["clip"] or None, compile=about["compile"], about=about
    )  # fmt: skip
    if options.resume is not None:
        take_over(trainer, options.resume)
    source, epochs = training(about, text), about["epochs"]
    each = len(source)
    if trainer.batches >= epochs * each:
        raise UsageError(f"{path} has {trainer.batches / each:g} epochs behind it already; --epochs N is their number in all")
    fixed = isinstance(source, Fixed)
    print(describe(about, text))
    tell_bounds(text.bounds() if text is not None else the_task(about).bounds)
    print(f"{model_line(about, model)}; {each:,} updates an epoch, {epochs:,} epochs in all", flush=True)
    shows = not options.quiet and sys.stdout is not None
    due = time.monotonic() + SAVE_EVERY

    def after_update(trainer: rnn.Trainer) -> None:
        nonlocal due
        if (began := time.monotonic()) > due:
            trainer.save(path)
            due = time.monotonic() + max(SAVE_EVERY, 20 * (time.monotonic() - began))

    def after_epoch(epoch: int, loss: float) -> None:
        if shows and (not fixed or (epoch + 1) % max(1, epochs // 10) == 0):
            line = f"epoch {epoch + 1}: training loss {np.mean(trainer.history.loss[-each:]):.4f}"
            if not fixed:
                line += f", validation loss {trainer.history.validation[len(trainer.history.loss)]:.4f}"
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    go_on = f"minigrad-rnn train --resume {shlex.quote(str(path))}"
    try:
        with np.errstate(all="ignore"):
            trainer.fit(
                source, until=epochs, validation=None if fixed else unseen(about, text), save=path, save_every=sys.maxsize,
                progress=not options.quiet and sys.stderr is not None, after_epoch=after_epoch, after_update=after_update,
            )  # fmt: skip
    except FloatingPointError as error:
        kept = f"{path} is as it was saved before" if path.exists() else "nothing is saved"
        told = str(error).partition(". Look at the operands")[0].replace("clip_norm=1.0", "--clip 1")
        raise FloatingPointError(f"{told}\n{kept}") from None
    except KeyboardInterrupt as error:
        if not getattr(error, "__notes__", None):  # a second one, in the middle of an update
            raise
        print(f"\nInterrupted after {trainer.batches:,} updates, and saved to {path}. Go on with: {go_on}", flush=True)
        return 130
    finally:
        if options.history is not None:
            trainer.history.save(options.history)
    if trainer.not_compiled and about["compile"]:
        print(f"The steps ran as they are, not compiled: {trainer.not_compiled}")
    if trainer.best is not None and trainer.best[1] < epochs - 1:
        print(f"The validation loss was lowest after epoch {trainer.best[1] + 1}: {trainer.best[0]:.4f}")
    print(f"Saved to {path}. How good is it?  minigrad-rnn eval {shlex.quote(str(path))}")
    if text is not None:
        print(f"Let it write:  minigrad-rnn sample {shlex.quote(str(path))} --temperature 0.7")
    return 0


def take_over(trainer: rnn.Trainer, path: Path) -> None:
    """Load the checkpoint; what a program other than this one may have put there is an error of one line."""
    try:
        trainer.load(path)
        seen = trainer.history
        whole = trainer.best is None or isinstance(trainer.best[0], int | float)
        whole = whole and all(isinstance(x, list) and len(x) == trainer.batches for x in (seen.loss, seen.grad_norm, seen.lr))
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint to go on with: {type(error).__name__}: {error}") from None
    if not whole:
        raise ValueError(f"{path} is not a checkpoint to go on with: its history is not that of {trainer.batches} updates")
