"""Models from a description: a dict of JSON values, which stands in the model's checkpoint as `about`.

A checkpoint may come from anywhere: what it says is checked before anything is made of it, and is no larger than its arrays.
"""

from __future__ import annotations

import inspect
import math
import os
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .data.tasks import TASKS, Task
from .data.text import Alphabet
from .layers import Embedding, Linear
from .models import EncoderDecoder, ManyToOne, Model, Sequence
from .optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop, Rprop
from .recurrent import GRU, LSTM, RNN, Recurrent
from .saving import WeightsError, load_checkpoint

__all__ = ["build", "checked", "load", "number"]

CELLS: dict[str, tuple[type[RNN | LSTM | GRU], int]] = {"rnn": (RNN, 1), "lstm": (LSTM, 4), "gru": (GRU, 3)}  # and gates
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "adagrad": Adagrad, "adam": Adam, "adamw": AdamW, "nadam": NAdam, "radam": RAdam, "rmsprop": RMSprop,
    "rprop": Rprop,
}  # fmt: skip
Limits = tuple[type, float, float]
RANGES: dict[str, Limits] = {
    "hidden": (int, 1, 100_000), "layers": (int, 1, 100), "embedding": (int, 0, 100_000), "dropout": (float, 0, 0.99),
    "length": (int, 1, 10_000), "batch": (int, 1, 1_000_000), "epochs": (int, 1, 10**9), "lr": (float, 1e-12, 1e6),
    "clip": (float, 0, 1e9), "seed": (int, 0, 2**63 - 1),
}  # fmt: skip
MEMORY = 4e9  # the most bytes that an update may take


def number(name: str, value: Any, limits: Limits | None = None) -> int | float:
    """The value of an option, if it is in its range; ValueError says what is expected.

    >>> number("hidden", 64), number("lr", 1)
    (64, 1.0)
    """
    kind, least, most = limits or RANGES[name]
    if type(value) not in ({int} if kind is int else {int, float}) or not least <= value <= most:
        expected = f"a whole number from {least:,} to {most:,}" if kind is int else f"a number from {least:g} to {most:g}"
        raise ValueError(f"{name} is {expected}, not {reprlib.repr(value)}")
    return kind(value)  # type: ignore[no-any-return]


def checked(given: Any) -> dict[str, Any]:
    """The description, if a model can be built of it; else ValueError says what is wrong with it."""
    if not isinstance(given, dict) or given.get("program") != "minigrad-rnn":
        raise ValueError("it has no description of the model; only what `minigrad-rnn train` saves has one")
    about: dict[str, Any] = {"task": None, "text": None, "length": None, "compile": True} | given
    if not isinstance(about["compile"], bool):
        raise ValueError("compile is true or false")
    for name in RANGES:
        if name != "length" or about.get(name) is not None:
            number(name, about.get(name))
    for name, choices in (("cell", [*CELLS]), ("optimizer", [*OPTIMIZERS]), ("task", [*TASKS, None])):
        if about.get(name) not in choices:
            raise ValueError(f"{name} is one of {', '.join(filter(None, choices))}, not {str(about.get(name))[:40]!r}")
    text, task, length = about["text"], about["task"], about["length"]
    if task is not None:
        if about["embedding"] or text is not None or (length is not None and not has_length(task)):
            raise ValueError(f"the task {task} has no such embedding, text or length")
    else:
        kinds = {"path": str, "sha256": str, "words": bool, "symbols": list, "unknown": str | None}
        if not isinstance(text, dict) or not all(isinstance(text.get(name, 0), kind) for name, kind in kinds.items()):
            raise ValueError("it describes neither a task nor a text")
        symbols = text["symbols"]
        alphabet = all(isinstance(x, str) and x for x in symbols) and 0 < len(set(symbols)) == len(symbols)
        if not alphabet or text["unknown"] not in (None, *symbols) or length is None:
            raise ValueError("the text's length is missing, or its alphabet is not of symbols that differ")
    if (need := memory(about)) > MEMORY:
        told = f"an update would take about {need / 1e9:,.0f} GB of memory, and {MEMORY / 1e9:.0f} is the most"
        raise ValueError(f"{told}; choose a smaller hidden, layers, length or batch")
    return about


def has_length(task: str) -> bool:
    return "length" in inspect.signature(TASKS[task]).parameters


def task_of(about: Mapping[str, Any]) -> Task | None:
    """The task, or None where the model is of a text."""
    options = {} if about["length"] is None else {"length": about["length"]}
    return None if about["task"] is None else TASKS[about["task"]](**options)


def alphabet_of(about: Mapping[str, Any]) -> Alphabet | None:
    """The symbols that the model reads and says, if it goes on with what it has read."""
    if (task := task_of(about)) is None:
        return Alphabet(about["text"]["symbols"], about["text"]["unknown"])
    return task.answers if task.wiring == "steps" else None


def shapes_of(about: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the parameters, without making them."""
    task, hidden = task_of(about), about["hidden"]
    symbols = len(alphabet_of(about) or ())
    reads, says = (symbols, symbols) if task is None else (task.input_size, task.output_size)
    parts = {"recurrent": about["embedding"] or reads}
    if task is not None and task.wiring == "translate":
        parts = {"encoder": reads, "decoder": says}
    shapes: dict[str, tuple[int, ...]] = {}
    for part, width in parts.items():
        rows = CELLS[about["cell"]][1] * hidden
        for k in range(about["layers"]):
            shapes |= {f"{part}.weight_ih_l{k}": (rows, hidden if k else width), f"{part}.weight_hh_l{k}": (rows, hidden)}
            shapes |= {f"{part}.bias_{side}_l{k}": (rows,) for side in ("ih", "hh")}
    shapes |= {"readout.weight": (says, hidden), "readout.bias": (says,)}
    return shapes | ({"embedding.weight": (symbols, about["embedding"])} if about["embedding"] else {})


def memory(about: Mapping[str, Any]) -> float:
    """The bytes that training takes, roughly: weights with all that belongs to them, and what one update keeps."""
    shapes = shapes_of(about)
    weights = sum(math.prod(shape) for shape in shapes.values())
    kept = sum(2 * shape[0] for name, shape in shapes.items() if len(shape) == 1) + 2 * max(s[-1] for s in shapes.values())
    return 4 * float(8 * weights + about["batch"] * (about["length"] or 200) * kept)


def build(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> Model:
    """The model of a description, with new weights; with `arrays` these, which have to fit.

    >>> about = {"program": "minigrad-rnn", "task": "parity", "length": 20, "cell": "gru", "hidden": 8, "layers": 1,
    ...     "embedding": 0, "dropout": 0, "batch": 32, "epochs": 5, "optimizer": "adam", "lr": 0.01, "clip": 1, "seed": 0}
    >>> build(about).readout
    Linear with 9 parameters: weight (1, 8), bias (1,)
    """
    about = checked(about)
    if arrays is not None and (wanted := shapes_of(about)) != (found := {name: a.shape for name, a in arrays.items()}):
        name = min(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise ValueError(f"{name[:60]!r} should have shape {wanted.get(name)} and has {found.get(name)}")
    rng = np.random.default_rng(about["seed"])
    task, kind = task_of(about), CELLS[about["cell"]][0]

    def layer(width: int) -> Recurrent:
        return kind(width, about["hidden"], about["layers"], dropout=about["dropout"], rng=rng)

    def readout(size: int) -> Linear:
        return Linear(about["hidden"], size, rng=rng)

    if task is None:
        symbols, size = len(about["text"]["symbols"]), about["embedding"]
        embedding = Embedding(symbols, size, rng=rng) if size else None
        model: Model = Sequence(layer(size or symbols), readout(symbols), embedding=embedding)
    elif task.wiring == "translate":
        encoder, decoder = layer(task.input_size), layer(task.output_size)
        model = EncoderDecoder(encoder, decoder, readout(task.output_size), start=task.start or 0)
    else:
        model = (Sequence if task.wiring == "steps" else ManyToOne)(layer(task.input_size), readout(task.output_size))
    if arrays is not None:
        model.load_state_dict(arrays)
    return model


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Model, dict[str, Any]]:
    """The description in a checkpoint, its trained model, and what else it tells; WeightsError if it is no such file."""
    arrays, info = load_checkpoint(path)
    weights = {name.removeprefix("model."): array for name, array in arrays.items() if name.startswith("model.")}
    try:
        about = checked(info.get("about"))
        if spoilt := [name for name, array in weights.items() if not np.isfinite(array).all()]:
            raise ValueError(f"{spoilt[0][:60]!r} has NaN or infinity in it")
        return about, build(about, weights), info
    except ValueError as error:
        raise WeightsError(f"{os.fspath(path)}: {error}") from None
