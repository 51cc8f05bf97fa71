"""What the commands work on: tasks and texts, as batches, and what is told about them."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import unicodedata
from argparse import Namespace
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any, NamedTuple

import minigrad_rnn as rnn

from .. import building
from ..data.tasks import TASKS

__all__ = ["Text", "UsageError"]

RATES = {
    "sgd": 0.1, "adagrad": 0.01, "adam": 0.003, "adamw": 0.003, "nadam": 0.003, "radam": 0.003, "rmsprop": 0.001,
    "rprop": 0.001,
}  # fmt: skip
UPDATES = 1000  # about so many, if no number of epochs is given
SYMBOLS = 5000  # the most that the alphabet of a text has; the others count as one, the unknown
LONGEST = 50_000_000  # bytes of a text
UNSEEN = 2**63  # the seed of the sequences kept for validation: no seed that one may give for training

UNSEEN_KINDS = ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp")  # control characters, marks of direction, other ends of lines


class UsageError(ValueError):
    """Options that do not go together."""


class Text(NamedTuple):
    """A text as symbols, characters or words, and its checksum."""

    symbols: SequenceOf[str]
    sha256: str

    @property
    def seen(self) -> int:
        """How many symbols, from the beginning, are trained on; the last tenth is kept for validation."""
        return len(self.symbols) - len(self.symbols) // 10

    def bounds(self) -> dict[str, float]:
        part = self.symbols[:2_000_000]
        return {
            "every symbol equally likely": math.log(len(set(self.symbols))),
            "always the same answer": rnn.text.entropy(part),
            "without memory": rnn.text.entropy(part, 1),
        }


def read_text(path: str, words: bool) -> Text:
    if path != "this":
        if Path(path).exists() and not Path(path).is_dir() and not Path(path).is_file():
            raise ValueError(f"{path} is a device or the like; give the path of a text file")
        if Path(path).is_file() and (size := Path(path).stat().st_size) > LONGEST:
            raise ValueError(f"{path} has {size:,} bytes, and {LONGEST:,} is the most; cut it")
    text = rnn.text.read(path)
    symbols = rnn.text.words(text) if words else text
    if len(symbols) < 20:
        raise ValueError(f"{path} has {len(symbols)} {'words' if words else 'characters'}, and 20 is the least to train on")
    return Text(symbols, hashlib.sha256(text.encode()).hexdigest())


def check_data(name: str) -> None:
    if name not in TASKS and name != "this" and not os.path.lexists(name):
        near = difflib.get_close_matches(name, [*TASKS, "this"], 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FileNotFoundError(f"there is no file and no task {name!r}; {hint}`minigrad-rnn tasks` lists the tasks")


def training(about: dict[str, Any], text: Text | None) -> rnn.Source:
    if text is None:
        return the_task(about).data(about["batch"], seed=about["seed"])
    return streams(about, text.symbols[: text.seen], about["batch"])


def unseen(about: dict[str, Any], text: Text | None) -> rnn.Source:
    """What validates: of a text the last tenth, of a task sequences of its own."""
    if text is None:
        return the_task(about).data(about["batch"], -(-1000 // about["batch"]), UNSEEN)
    return streams(about, text.symbols[text.seen :])


def streams(about: dict[str, Any], symbols: SequenceOf[str], batch: int | None = None) -> rnn.Streams:
    """The symbols side by side, by default in streams that are not too short."""
    alphabet = building.alphabet_of(about) or rnn.Alphabet("?")
    if len(symbols) < 2:
        raise ValueError("the text is too short: two symbols is the least")
    length = about["length"] if batch else min(about["length"], len(symbols) - 1)
    batch = batch or min(about["batch"], max(1, len(symbols) // 500))
    return rnn.Streams(alphabet.encode(symbols), length, batch, one_hot=None if about["embedding"] else len(alphabet))


def the_task(about: dict[str, Any]) -> rnn.tasks.Task:
    task = building.task_of(about)
    assert task is not None
    return task


def loss_of(about: dict[str, Any]) -> str:
    return "cross_entropy" if about["task"] is None else the_task(about).loss


def begun(options: Namespace) -> tuple[dict[str, Any], Text | None]:
    """The description of a new model, and its text."""
    check_data(options.data)
    given = {name: getattr(options, name) for name in (*building.RANGES, "cell", "optimizer")}
    optimizer = given["optimizer"] or "adam"
    about: dict[str, Any] = {
        "program": "minigrad-rnn", "cell": "lstm", "optimizer": optimizer, "lr": RATES[optimizer], "clip": 1.0, "layers": 1,
        "dropout": 0.0, "embedding": 0, "seed": 0, "epochs": 1,
    }  # fmt: skip
    text = None
    if options.data in TASKS:
        if options.words or options.embedding is not None:
            raise UsageError(
                f"--words and --embedding are for texts, and {options.data} is a task (a file is ./{options.data})"
            )
        if options.length is not None and not building.has_length(options.data):
            raise UsageError(f"the task {options.data} has no length to choose; leave out --length")
        about |= {"task": options.data, "text": None, "hidden": 64, "batch": 32, "length": None}
    else:
        text = read_text(options.data, bool(options.words))
        unknown = "<unknown>" if options.words else "\ufffd"
        alphabet = rnn.Alphabet.of(text.symbols, SYMBOLS, unknown if len(set(text.symbols)) > SYMBOLS else None)
        about |= {
            "task": None, "hidden": 128, "embedding": 64 if options.words else 0,
            "batch": min(32, max(1, text.seen // 500)), "length": min(50, text.seen - 1),
            "text": {
                "path": options.data, "sha256": text.sha256, "words": bool(options.words),
                "symbols": list(alphabet.symbols), "unknown": alphabet.unknown,
            },
        }  # fmt: skip
    about |= {name: value for name, value in given.items() if value is not None}
    if about["dropout"] and about["layers"] == 1:
        raise UsageError("--dropout acts between layers, and there is only one; add --layers 2, or leave it out")
    try:
        building.checked(about)
        source = training(about, text)
        about["epochs"] = options.epochs or max(3, -(-UPDATES // len(source)))
        return about, text
    except ValueError as error:
        raise UsageError(str(error)) from None


def own_text(about: dict[str, Any], model: Path, path: str | None = None) -> Text:
    """The text that a model was trained on, if it is still there and the same."""
    told = about["text"]
    if path in TASKS:
        raise ValueError(f"{model} is a model of the text {told['path']}, not of the task {path}")
    try:
        text = read_text(path or told["path"], told["words"])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; it is the text of {model}: say where it is now, as FILE") from None
    if text.sha256 != told["sha256"]:
        raise ValueError(f"{path or told['path']} is not the text that {model} was trained on, or has changed since")
    return text


def describe(about: dict[str, Any], text: Text | None) -> str:
    """What is trained on."""
    task = building.task_of(about)
    if task is not None:
        length = "" if about["length"] is None else f", length {about['length']}"
        return f"The task {task.name}{length}: {task.summary}"
    told = about["text"]
    unit, kinds = "words" if told["words"] else "characters", f"{len(told['symbols']):,}"
    if text is None:
        return f"The text {plain(told['path'])}, by {unit}, {kinds} different; its sha256 is {plain(told['sha256'])}"
    count = len(text.symbols)
    return f"The text {told['path']}: {count:,} {unit}, {kinds} different; the last {count - text.seen:,} for validation"


def tell_bounds(bounds: Mapping[str, float]) -> None:
    if bounds:
        print("To compare with: " + ", ".join(f"{what} {value:.4f}" for what, value in bounds.items()))


def model_line(about: dict[str, Any], model: rnn.Module) -> str:
    size = f"{about['layers']} x {about['hidden']}" if about["layers"] > 1 else about["hidden"]
    count = sum(p.size for p in model.parameters())
    return f"{type(model).__name__} of {about['cell'].upper()}({size}), {count:,} parameters"


def plain(text: str, most: int | None = 200, keep: str = "") -> str:
    """The text, with what a terminal would take for a command, or for another direction of writing, written out."""
    return "".join(c if c in keep or unicodedata.category(c) not in UNSEEN_KINDS else ascii(c)[1:-1] for c in text[:most])
