"""What is drawn and measured: the model of a file, or an untrained one for a task, and sequences for it to read."""

from __future__ import annotations

import difflib
import os
import tempfile
from argparse import Namespace
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad_rnn as rnn

from .. import building
from ..data.batch import Batch
from ..data.tasks import TASKS
from ..models import Model
from .source import UsageError, begun, describe, model_line, own_text, streams, the_task

__all__ = ["Subject", "check_place", "one_sequence", "sequences", "subject"]

MARKS = {  # what the beginning of a picture has in it
    ".svg": b"<svg", ".png": b"\x89png", ".pdf": b"%pdf", ".dot": b"digraph", ".gv": b"digraph", ".html": b"<!doctype html",
}  # fmt: skip


class Subject(NamedTuple):
    """A model, its description, and what it is called."""

    about: dict[str, Any]
    model: Model
    name: str
    trained: bool

    def __str__(self) -> str:
        state = "trained" if self.trained else "untrained"
        return f"{describe(self.about, None)}\n{model_line(self.about, self.model)}, {state}"


def subject(options: Namespace) -> Subject:
    """The model of a file; of a task what `train` would begin with."""
    name = options.model
    if name in TASKS:
        given = {key: getattr(options, key, None) for key in (*building.RANGES, "cell", "optimizer")}
        about, _ = begun(Namespace(data=name, words=None, **given))
        return Subject(about, building.build(about).eval(), name, trained=False)
    if not os.path.lexists(name):
        near = difflib.get_close_matches(name, TASKS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FileNotFoundError(f"there is no model and no task {name!r}; {hint}`minigrad-rnn tasks` lists the tasks")
    about, model, _ = building.load(name)
    for key in ("cell", "hidden", "layers"):
        if getattr(options, key, None) not in (None, about[key]):
            raise UsageError(f"{name} was trained with --{key} {about[key]}; leave out --{key}, or give the name of a task")
    if options.length is not None:
        if about["task"] is not None and not building.has_length(about["task"]):
            raise UsageError(f"the task {about['task']} has no length to choose; leave out --length")
        about["length"] = options.length
        try:
            building.checked(about)
            building.task_of(about)
        except ValueError as error:
            raise UsageError(str(error)) from None
    return Subject(about, model.eval(), Path(name).stem, trained=True)


def text_of(told: Subject, path: str) -> SequenceOf[str]:
    """The part of a model's text that it was not trained on; all of it where that is too short."""
    text = own_text(told.about, Path(path))
    unseen = text.symbols[text.seen :]
    found = unseen if len(unseen) > told.about["length"] else text.symbols
    if len(found) <= told.about["length"]:
        raise UsageError(f"the text has {len(found):,} symbols, too few for --length {told.about['length']}")
    return found


def one_sequence(told: Subject, options: Namespace) -> Batch:
    """A sequence for the model to read: of the task, of its text, or the prompt, in which each symbol foretells the next."""
    about, seed = told.about, options.seed or 0
    alphabet = building.alphabet_of(about)
    if options.prompt is None and about["task"] is not None:
        task = the_task(about)
        batch = task.data(1, 1, seed).batch(0)
        batch = batch.take([seed % batch.size], axis=0 if task.wiring == "last" else 1)
        if batch.lengths is None:
            return batch
        return Batch(batch.inputs[: batch.lengths[0]], batch.targets[: batch.lengths[0]])
    if alphabet is None:
        raise UsageError(f"the task {about['task']} has no text to go on with; leave out --prompt")
    if options.prompt is None:
        try:
            symbols = text_of(told, options.model)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{str(error).rpartition(':')[0]}, or give symbols to read with --prompt") from None
        begin = int(np.random.default_rng(seed).integers(len(symbols) - about["length"]))
        symbols = symbols[begin : begin + about["length"] + 1]
    else:
        words = about["text"] is not None and about["text"]["words"]
        symbols = rnn.text.words(options.prompt) if words else options.prompt
    if len(symbols) < 2:
        raise UsageError("--prompt is too short: the model reads all but its last symbol, and is to foretell all but the first")
    numbers = alphabet.encode(symbols)[:, None]
    return Batch(numbers[:-1] if about["embedding"] else alphabet.one_hot(numbers[:-1]), numbers[1:])


def sequences(told: Subject, options: Namespace) -> Batch:
    """Up to 32 sequences side by side."""
    if told.about["task"] is not None:
        return the_task(told.about).data(32, 1, options.seed or 0).batch(0)
    return streams(told.about, text_of(told, options.model)).batch(0)


def check_place(path: Path, option: str) -> None:
    """That a picture can be written there, and that there is nothing but a picture of that kind."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(f"cannot write into the folder {path.parent}: {error.strerror}; choose another {option} FILE") from None
    if os.path.lexists(path) and not is_picture(path):
        raise FileExistsError(f"{path} is there already and is no picture that could be replaced; choose another {option} FILE")


def is_picture(path: Path) -> bool:
    mark = MARKS.get(path.suffix.lower())
    if mark is None or not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(2000).lower()
    return not start or mark in start
