"""Networks to draw and to measure: the model of a file, or an untrained one for a task; and sequences for it to read."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import minigrad_rnn as rnn

from ..limits import RANGES
from . import UsageError
from ._data import describe, loss_of, model_line, new_config, own_text, plain, streams, task_of

__all__ = [
    "Network", "check_place", "is_checkpoint", "loaded", "measurable", "network_of", "one_sequence", "sequences",
    "text_and_probe",
]  # fmt: skip

READING, PROBE = 1000, 6000  # symbols of a reading, and of the other text

SHORT, LONG = 6, 50  # steps of random sequences to draw, and to measure
SIGNATURES = {  # bytes near the beginning of each kind of picture
    ".svg": b"<svg", ".png": b"\x89png", ".pdf": b"%pdf", ".dot": b"digraph", ".gv": b"digraph", ".html": b"<!doctype html",
}  # fmt: skip


class Network(NamedTuple):
    """A model with its configuration, {} for weights alone, and a name; and a line that describes it."""

    config: dict[str, Any]
    model: Any
    name: str
    trained: bool
    line: str

    def __str__(self) -> str:
        return f"{describe(self.config, None)}\n{self.line}" if self.config else self.line

    @property
    def loss(self) -> str | None:
        """The kind of loss that the model is trained with; None for weights alone, where the targets decide."""
        return loss_of(self.config) if self.config else None


def network_of(options: Namespace) -> Network:
    """Return the model of a file, or for a task the untrained model that `train` begins with."""
    name = options.model
    if name in rnn.tasks.TASKS:
        given = {key: getattr(options, key, None) for key in (*RANGES, "cell", "optimizer")}
        config, _ = new_config(Namespace(data=name, words=None, encoding=None, **given))
        model = rnn.config.build(config).eval()
        return Network(config, model, name, trained=False, line=f"{model_line(config, model)}, untrained")
    if not os.path.lexists(name):
        near = difflib.get_close_matches(name, rnn.tasks.TASKS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise FileNotFoundError(f"there is no model and no task {name!r}; {hint}`minigrad-rnn tasks` lists the tasks")
    if not is_checkpoint(Path(name)):
        return from_weights(options)
    config, model, _ = rnn.config.load(name)
    for key in ("cell", "hidden", "layers"):
        if getattr(options, key, None) not in (None, config[key]):
            raise UsageError(f"{name} was trained with --{key} {config[key]}; leave out --{key}, or give the name of a task")
    if options.length is not None:
        change_length(config, options.length)
    return Network(config, model.eval(), Path(name).stem, trained=True, line=f"{model_line(config, model)}, trained")


def is_checkpoint(path: Path) -> bool:
    """Return True for a checkpoint of `minigrad-rnn train`."""
    try:
        return "about" in rnn.load_checkpoint(path)[1]
    except (OSError, ValueError):
        return False


def from_weights(options: Namespace) -> Network:
    """Return the model of a file that has weights alone."""
    for key in ("cell", "hidden", "layers"):
        if getattr(options, key, None) is not None:
            raise UsageError(f"--{key} is for a task, and {options.model} is a file of weights; leave out --{key}")
    model, report = loaded(options.model)
    count = sum(p.size for p in model.parameters())
    line = f"{type(model).__name__}, {count:,} parameters, reads random numbers; assumed: {', '.join(report.assumed)}"
    return Network({}, model, Path(options.model).stem, trained=True, line=line)


def loaded(path: str | Path) -> tuple[Any, Any]:
    """Return the model of a file that has weights alone, and the report; a warning is printed in a line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model, report = rnn.load(path)
        except (ValueError, ImportError) as error:
            raise rnn.WeightsError(plain(str(error), None, keep="\n")) from None
    for warning in caught:
        print(f"minigrad-rnn: {plain(str(warning.message))}", file=sys.stderr)
    return model, report


def measurable(model: Any) -> Any:
    """Return a model that has a loss: a recurrent layer alone becomes a `Sequence` whose outputs are its own."""
    return rnn.Sequence(model, rnn.Sequential()) if isinstance(model, rnn.Recurrent) else model


def random_batch(model: Any, T: int, size: int, seed: int) -> rnn.Batch:
    """Return random sequences for a model, and random targets if it is more than a recurrent layer."""
    import numpy as np

    rng = rnn.init.generator(seed)
    if isinstance(model, rnn.EncoderDecoder):
        symbols = rng.integers(model.encoder.input_size, size=(T, size))
        return rnn.Batch(np.eye(model.encoder.input_size)[symbols], rng.integers(len(model.readout.weight), size=(T, size)))
    first = model if isinstance(model, rnn.Recurrent) else model.embedding or model.recurrent
    inputs: np.ndarray
    if isinstance(first, rnn.Embedding):
        inputs = rng.integers(len(first.weight), size=(T, size))
    else:
        width = first.input_size if isinstance(first, rnn.Recurrent) else first.weight.shape[1]
        inputs = rng.standard_normal((T, size, width))
    if isinstance(model, rnn.Recurrent):
        return rnn.Batch(inputs, None)  # type: ignore[arg-type]  # there is no loss
    shape = model(inputs).shape
    classes = isinstance(model.readout, rnn.Linear) and shape[-1] > 1
    return rnn.Batch(inputs, rng.integers(shape[-1], size=shape[:-1]) if classes else rng.standard_normal(shape))


def change_length(config: dict[str, Any], length: int) -> None:
    """Set the length of the sequences in a configuration."""
    if config["task"] is not None and not rnn.config.has_length(config["task"]):
        raise UsageError(f"the task {config['task']} has no length to choose; leave out --length")
    config["length"] = length
    try:
        rnn.config.checked(config)
        rnn.config.task_of(config)
    except ValueError as error:
        raise UsageError(str(error)) from None


def one_sequence(network: Network, options: Namespace) -> rnn.Batch:
    """Return a sequence for the model to read: the prompt, or else one of its task or of its text."""
    config, seed = network.config, options.seed or 0
    if not config:
        if options.prompt is not None:
            raise UsageError(f"{options.model} has weights alone, and no alphabet; leave out --prompt")
        return random_batch(network.model, options.length or SHORT, 1, seed)
    if options.prompt is None and config["task"] is not None:
        return sequence_of_task(task_of(config), seed)
    alphabet = rnn.config.alphabet_of(config)
    if alphabet is None:
        raise UsageError(f"the task {config['task']} has no text to go on with; leave out --prompt")
    symbols = sequence_of_text(network, options.model, seed) if options.prompt is None else prompted(network, options.prompt)
    if len(symbols) < 2:
        raise UsageError("--prompt is too short; it needs at least two symbols, because the model predicts all but the first")
    numbers = alphabet.encode(symbols)[:, None]
    return rnn.Batch(numbers[:-1] if config["embedding"] else alphabet.one_hot(numbers[:-1]), numbers[1:])


def prompted(network: Network, prompt: str) -> Sequence[str]:
    """Return the symbols of a prompt: characters, or words for a model of words."""
    text = network.config["text"]
    return rnn.text.words(prompt) if text is not None and text["words"] else prompt


def text_and_probe(network: Network, options: Namespace) -> tuple[Sequence[str], Sequence[str] | None]:
    """Return a text for the reading view, and another one on which its labels are chosen: the prompt and none, or two pieces
    of the text that the model was not trained on, with a random start for a seed."""
    if options.prompt is not None:
        return prompted(network, options.prompt), None
    symbols = text_to_read(network, options.model)
    length = min(options.length or READING, max(len(symbols) // 2, 1))
    last = len(symbols) - length
    start = 0 if options.seed is None else int(rnn.init.generator(options.seed).integers(last + 1))
    others = max(symbols[:start], symbols[start + length :], key=len)
    return symbols[start : start + length], others[:PROBE] if len(others) >= READING // 2 else None


def sequence_of_task(task: rnn.tasks.Task, seed: int) -> rnn.Batch:
    """Return one sequence of a task, without padding."""
    batch = task.data(1, 1, seed).batch(0)
    batch = batch.take([seed % batch.size], axis=0 if task.wiring == "last" else 1)
    if batch.lengths is None:
        return batch
    return rnn.Batch(batch.inputs[: batch.lengths[0]], batch.targets[: batch.lengths[0]])


def sequence_of_text(network: Network, path: str, seed: int) -> Sequence[str]:
    """Return symbols from a random place in the text of a model."""
    symbols = text_to_read(network, path)
    length = network.config["length"]
    start = int(rnn.init.generator(seed).integers(len(symbols) - length))
    return symbols[start : start + length + 1]


def text_to_read(network: Network, path: str) -> Sequence[str]:
    """Return the text for a picture. If its file is not there, the error mentions --prompt."""
    try:
        return unseen_text(network, path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}, or give symbols to read with --prompt") from None


def unseen_text(network: Network, path: str) -> Sequence[str]:
    """Return the part of a model's text that it was not trained on, or all of the text if that part is too short."""
    try:
        text, length = own_text(network.config, Path(path)), network.config["length"]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{str(error).rpartition(':')[0]}: put it back there") from None
    unseen = text.symbols[text.seen :]
    found = unseen if len(unseen) > length else text.symbols
    if len(found) <= length:
        raise UsageError(f"the text has {len(found):,} symbols, too few for --length {length}")
    return found


def sequences(network: Network, options: Namespace) -> rnn.Batch:
    """Return a batch of up to 32 sequences."""
    if not network.config:
        return random_batch(measurable(network.model), options.length or LONG, 32, options.seed or 0)
    if network.config["task"] is not None:
        return task_of(network.config).data(32, 1, options.seed or 0).batch(0)
    return streams(network.config, unseen_text(network, options.model)).batch(0)


def check_place(path: Path, option: str) -> None:
    """Raise OSError unless a picture can be written there, in place of nothing or of another picture of its kind."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(f"cannot write into the folder {path.parent}: {error.strerror}; choose another {option} FILE") from None
    if os.path.lexists(path) and not is_picture(path):
        raise FileExistsError(f"{path} exists and is not a picture of this kind; choose another {option} FILE")


def is_picture(path: Path) -> bool:
    """Return True if the file is empty, or a picture of the kind that its name says."""
    signature = SIGNATURES.get(path.suffix.lower())
    if signature is None or not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(2000).lower()
    return not start or signature in start
