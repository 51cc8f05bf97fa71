"""Tasks and texts as batches, the configuration of a new model, and the lines that describe them."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import unicodedata
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import minigrad_rnn as rnn

from ..limits import RANGES
from . import UsageError

__all__ = [
    "UPDATES", "Text", "check_data", "describe", "loss_of", "model_line", "new_config", "own_text", "plain", "read_text",
    "show_bounds", "streams", "task_of", "training_data", "validation_data",
]  # fmt: skip

UPDATES = 1000  # the least number of updates, if no number of epochs is given
SYMBOLS = 5000  # the largest alphabet of a text; all other symbols count as one, the unknown
LONGEST = 50_000_000  # bytes of a text
VALIDATION_SEED = 2**63  # of the sequences kept for validation; --seed cannot be so large
INVISIBLE = ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp")  # control characters, marks of direction, other ends of lines


class Text(NamedTuple):
    """The symbols of a text, characters or words, and its checksum."""

    symbols: Sequence[str]
    sha256: str

    @property
    def seen(self) -> int:
        """The number of symbols, from the beginning, to train on; the last tenth is kept for validation."""
        return len(self.symbols) - len(self.symbols) // 10

    def bounds(self) -> dict[str, float]:
        """Return the losses that need no training, by their names."""
        part = self.symbols[:2_000_000]
        return {
            "every symbol equally likely": math.log(len(set(self.symbols))),
            "always the same answer": rnn.text.entropy(part),
            "without memory": rnn.text.entropy(part, 1),
        }


def read_text(path: str, words: bool, encoding: str) -> Text:
    """Read a text file, or with "this" the text that comes with Python. ValueError if it cannot be trained on."""
    if path != "this":
        if Path(path).exists() and not Path(path).is_dir() and not Path(path).is_file():
            raise ValueError(f"{path} is not a regular file, but a device or a pipe; give the path of a text file")
        if Path(path).is_file() and (size := Path(path).stat().st_size) > LONGEST:
            raise ValueError(f"{path} has {size:,} bytes; a text must have at most {LONGEST:,}. Give a part of it")
    text = rnn.text.read(path, encoding)
    symbols = rnn.text.words(text) if words else text
    if len(symbols) < 20:
        raise ValueError(f"{path} has {len(symbols)} {'words' if words else 'characters'}; training needs at least 20")
    return Text(symbols, hashlib.sha256(text.encode()).hexdigest())


def check_data(name: str) -> None:
    """Raise FileNotFoundError unless there is a task or a file of this name."""
    if name not in rnn.tasks.TASKS and name != "this" and not os.path.lexists(name):
        near = difflib.get_close_matches(name, [*rnn.tasks.TASKS, "this"], 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FileNotFoundError(f"there is no file and no task {name!r}; {hint}`minigrad-rnn tasks` lists the tasks")


def training_data(config: dict[str, Any], text: Text | None) -> rnn.Source:
    """Return the batches to train on."""
    if text is None:
        return task_of(config).data(config["batch"], seed=config["seed"])
    return streams(config, text.symbols[: text.seen], config["batch"])


def validation_data(config: dict[str, Any], text: Text | None) -> rnn.Source:
    """Return the batches to validate on: the last tenth of a text, other sequences of a task."""
    if text is None:
        return task_of(config).data(config["batch"], -(-1000 // config["batch"]), VALIDATION_SEED)
    return streams(config, text.symbols[text.seen :])


def streams(config: dict[str, Any], symbols: Sequence[str], batch: int | None = None) -> rnn.Streams:
    """Return the symbols as `batch` streams; by default as many as keep the streams from being too short."""
    alphabet = rnn.config.alphabet_of(config) or rnn.Alphabet("?")
    if len(symbols) < 2:
        raise ValueError("the text is too short; it must have at least two symbols")
    length = config["length"] if batch else min(config["length"], len(symbols) - 1)
    batch = batch or min(config["batch"], max(1, len(symbols) // 500))
    return rnn.Streams(alphabet.encode(symbols), length, batch, one_hot=None if config["embedding"] else len(alphabet))


def task_of(config: dict[str, Any]) -> rnn.tasks.Task:
    """Return the task of a configuration that has one."""
    task = rnn.config.task_of(config)
    assert task is not None
    return task


def loss_of(config: dict[str, Any]) -> str:
    """Return the kind of loss that the model is trained with."""
    return "cross_entropy" if config["task"] is None else task_of(config).loss


def new_config(options: Namespace) -> tuple[dict[str, Any], Text | None]:
    """Return the configuration of a new model, and its text, if it is trained on one."""
    check_data(options.data)
    given = {name: getattr(options, name) for name in (*RANGES, "cell", "optimizer")}
    optimizer = given["optimizer"] or "adam"
    config: dict[str, Any] = {
        "program": "minigrad-rnn", "cell": "lstm", "optimizer": optimizer, "lr": rnn.config.OPTIMIZERS[optimizer].usual_lr,
        "clip": 1.0, "layers": 1, "dropout": 0.0, "zoneout": 0.0, "weight_dropout": 0.0,
        "embedding": 0, "seed": 0, "epochs": 1,
    }  # fmt: skip
    text = None
    if options.data in rnn.tasks.TASKS:
        config |= config_of_task(options)
    else:
        text = read_text(options.data, bool(options.words), options.encoding or "utf-8")
        config |= config_of_text(options, text)
    config |= {name: value for name, value in given.items() if value is not None}
    if config["dropout"] and config["layers"] == 1:
        raise UsageError("--dropout acts between layers, and there is only one; add --layers 2, or leave out --dropout")
    try:
        rnn.config.checked(config)
        updates = len(training_data(config, text))
    except ValueError as error:
        raise UsageError(str(error)) from None
    config["epochs"] = options.epochs or max(3, -(-UPDATES // updates))
    return config, text


def config_of_task(options: Namespace) -> dict[str, Any]:
    """Return the settings of a model for a task."""
    if options.words or options.encoding or options.embedding is not None:
        raise UsageError(
            f"--words, --encoding and --embedding are for texts; {options.data} is a task (for a file write ./{options.data})"
        )
    if options.length is not None and not rnn.config.has_length(options.data):
        raise UsageError(f"the task {options.data} has no length to choose; leave out --length")
    return {"task": options.data, "text": None, "hidden": 64, "batch": 32, "length": None}


def config_of_text(options: Namespace, text: Text) -> dict[str, Any]:
    """Return the settings of a model for a text."""
    unknown = "<unknown>" if options.words else "\ufffd"
    alphabet = rnn.Alphabet.of(text.symbols, SYMBOLS, unknown if len(set(text.symbols)) > SYMBOLS else None)
    return {
        "task": None, "hidden": 128, "embedding": 64 if options.words else 0,
        "batch": min(32, max(1, text.seen // 500)), "length": min(50, text.seen - 1),
        "text": {
            "path": options.data, "sha256": text.sha256, "words": bool(options.words),
            "encoding": options.encoding or "utf-8", "symbols": list(alphabet.symbols), "unknown": alphabet.unknown,
        },
    }  # fmt: skip


def own_text(config: dict[str, Any], model: Path, path: str | None = None) -> Text:
    """Read the text that a model was trained on, from its old path or from `path`. An error if it is gone or has changed."""
    entry = config["text"]
    if path in rnn.tasks.TASKS:
        raise ValueError(f"{model} is a model of the text {entry['path']}, not of the task {path}")
    try:
        text = read_text(path or entry["path"], entry["words"], entry.get("encoding", "utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; it is the text of {model}: give its present path as FILE") from None
    if text.sha256 != entry["sha256"]:
        raise ValueError(f"{path or entry['path']} is not the text that {model} was trained on, or has changed since")
    return text


def describe(config: dict[str, Any], text: Text | None) -> str:
    """Return a line about the data of a model."""
    task = rnn.config.task_of(config)
    if task is not None:
        length = "" if config["length"] is None else f", length {config['length']}"
        return f"The task {task.name}{length}: {task.summary}"
    entry = config["text"]
    unit, kinds = "words" if entry["words"] else "characters", f"{len(entry['symbols']):,}"
    if text is None:
        return f"The text {plain(entry['path'])}, by {unit}, {kinds} different; its sha256 is {plain(entry['sha256'])}"
    count = len(text.symbols)
    return f"The text {entry['path']}: {count:,} {unit}, {kinds} different; the last {count - text.seen:,} for validation"


def show_bounds(bounds: Mapping[str, float]) -> None:
    """Print the losses to compare a model with."""
    if bounds:
        print("To compare with: " + ", ".join(f"{what} {value:.4f}" for what, value in bounds.items()))


def model_line(config: dict[str, Any], model: rnn.Module) -> str:
    """Return a line about the model and its size."""
    size = f"{config['layers']} x {config['hidden']}" if config["layers"] > 1 else config["hidden"]
    count = sum(p.size for p in model.parameters())
    return f"{type(model).__name__} of {config['cell'].upper()}({size}), {count:,} parameters"


def plain(text: str, most: int | None = 200, keep: str = "") -> str:
    """Return the text with escapes for control characters and for marks that change the direction of writing."""
    return "".join(c if c in keep or unicodedata.category(c) not in INVISIBLE else ascii(c)[1:-1] for c in text[:most])
