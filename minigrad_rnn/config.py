"""Models from a configuration: a dict of JSON values, the entry `about` of a checkpoint.

A checkpoint may come from anywhere. Its configuration is checked before a model is built, which is never larger than the
arrays in the checkpoint.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .additions import classes_in
from .cell import Cell
from .data.tasks import TASKS, Task
from .data.text import Alphabet
from .layers import Embedding, Linear
from .limits import RANGES, number
from .models import EncoderDecoder, ManyToOne, Model, Sequence
from .optimizer import Optimizer
from .recurrent import Recurrent
from .saving import WeightsError, load_checkpoint

__all__ = ["CELLS", "LAYERS", "OPTIMIZERS", "alphabet_of", "build", "checked", "has_length", "load", "task_of"]

CELLS: dict[str, type[Cell]] = classes_in("cells", Cell)
LAYERS: dict[str, Callable[..., Recurrent]] = classes_in("cells", Recurrent)
OPTIMIZERS: dict[str, type[Optimizer]] = classes_in("optim", Optimizer)
SINCE: dict[str, Any] = {"zoneout": 0.0, "weight_dropout": 0.0}  # settings that checkpoints of earlier versions do not have
MEMORY = 4e9  # bytes that an update may take at most


def checked(given: Any) -> dict[str, Any]:
    """Return the configuration with its defaults, if a model can be built from it; else ValueError says what is wrong."""
    if not isinstance(given, dict) or given.get("program") != "minigrad-rnn":
        raise ValueError("it has no configuration of a model; only `minigrad-rnn train` saves one")
    config: dict[str, Any] = {"task": None, "text": None, "length": None, "compile": True, **SINCE} | given
    check_settings(config)
    if config["task"] is None:
        check_text(config)
    elif config["embedding"] or config["text"] is not None or not (config["length"] is None or has_length(config["task"])):
        raise ValueError(f"the task {config['task']} has no such embedding, text or length")
    if (need := memory(config)) > MEMORY:
        raise ValueError(
            f"an update would take about {need / 1e9:,.0f} GB of memory, and {MEMORY / 1e9:.0f} is the most; choose a smaller "
            "hidden, layers, length or batch"
        )
    return config


def check_settings(config: Mapping[str, Any]) -> None:
    """Raise ValueError for a number out of its range, and for a name that there is not."""
    if not isinstance(config["compile"], bool):
        raise ValueError("compile must be true or false")
    for name in RANGES:
        if name != "length" or config.get(name) is not None:
            number(name, config.get(name))
    for name, choices in (("cell", [*CELLS]), ("optimizer", [*OPTIMIZERS]), ("task", [*TASKS, None])):
        if config.get(name) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(filter(None, choices))}, not {str(config.get(name))[:40]!r}")


def check_text(config: Mapping[str, Any]) -> None:
    """Raise ValueError unless the configuration describes a text and its alphabet."""
    text = config["text"]
    kinds = {"path": str, "sha256": str, "words": bool, "symbols": list, "unknown": str | None}
    optional = isinstance(text, dict) and isinstance(text.get("encoding", "utf-8"), str)
    if not optional or not all(isinstance(text.get(name, 0), kind) for name, kind in kinds.items()):
        raise ValueError("it describes neither a task nor a text")
    symbols = text["symbols"]
    alphabet = all(isinstance(x, str) and x for x in symbols) and 0 < len(set(symbols)) == len(symbols)
    if not alphabet or text["unknown"] not in (None, *symbols) or config["length"] is None:
        raise ValueError("the text's length is missing, or the symbols of its alphabet are not all different")


def has_length(task: str) -> bool:
    """Return True for a task whose sequences have a length that you can choose."""
    return "length" in inspect.signature(TASKS[task]).parameters


def task_of(config: Mapping[str, Any]) -> Task | None:
    """Return the task, or None for a model of a text."""
    options = {} if config["length"] is None else {"length": config["length"]}
    return None if config["task"] is None else TASKS[config["task"]](**options)


def alphabet_of(config: Mapping[str, Any]) -> Alphabet | None:
    """Return the symbols that the model reads and predicts, or None if it does not predict the next symbol."""
    if (task := task_of(config)) is None:
        return Alphabet(config["text"]["symbols"], config["text"]["unknown"])
    return task.answers if task.wiring == "steps" else None


def shapes_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the parameters without building the model."""
    task, hidden = task_of(config), config["hidden"]
    symbols = len(alphabet_of(config) or ())
    reads, predicts = (symbols, symbols) if task is None else (task.input_size, task.output_size)
    parts = {"recurrent": config["embedding"] or reads}
    if task is not None and task.wiring == "translate":
        parts = {"encoder": reads, "decoder": predicts}
    shapes: dict[str, tuple[int, ...]] = {}
    for part, width in parts.items():
        for k in range(config["layers"]):
            of_cell = CELLS[config["cell"]].shapes(hidden if k else width, hidden)
            shapes |= {f"{part}.{name}_l{k}": shape for name, shape in of_cell.items()}
    shapes |= {"readout.weight": (predicts, hidden), "readout.bias": (predicts,)}
    return shapes | ({"embedding.weight": (symbols, config["embedding"])} if config["embedding"] else {})


def memory(config: Mapping[str, Any]) -> float:
    """Return roughly the bytes that training takes: weights, gradients and optimizer, and the values that an update saves."""
    shapes = shapes_of(config)
    weights = sum(math.prod(shape) for shape in shapes.values())
    kept = sum(2 * shape[0] for name, shape in shapes.items() if len(shape) == 1) + 2 * max(s[-1] for s in shapes.values())
    return 4 * float(8 * weights + config["batch"] * (config["length"] or 200) * kept)


def build(config: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> Model:
    """Build the model of a configuration, with new weights or with `arrays`. ValueError if the arrays do not fit.

    >>> config = {"program": "minigrad-rnn", "task": "parity", "length": 20, "cell": "gru", "hidden": 8, "layers": 1,
    ...     "embedding": 0, "dropout": 0, "batch": 32, "epochs": 5, "optimizer": "adam", "lr": 0.01, "clip": 1, "seed": 0}
    >>> build(config).readout
    Linear with 9 parameters: weight (1, 8), bias (1,)
    """
    config = checked(config)
    if arrays is not None and (wanted := shapes_of(config)) != (found := {name: a.shape for name, a in arrays.items()}):
        name = min(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise ValueError(f"{name[:60]!r} should have shape {wanted.get(name)} and has {found.get(name)}")
    rng = np.random.default_rng(config["seed"])
    task, kind = task_of(config), LAYERS[config["cell"]]

    def layer(width: int) -> Recurrent:
        others = {name: config[name] for name in SINCE if config[name]}  # a layer that was added may not have them
        return kind(width, config["hidden"], config["layers"], dropout=config["dropout"], rng=rng, **others)

    def readout(size: int) -> Linear:
        return Linear(config["hidden"], size, rng=rng)

    if task is None:
        symbols, size = len(config["text"]["symbols"]), config["embedding"]
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
    """Read the configuration in a checkpoint, its trained model, and its other info; WeightsError if it has no model."""
    arrays, info = load_checkpoint(path)
    weights = {name.removeprefix("model."): array for name, array in arrays.items() if name.startswith("model.")}
    try:
        config = checked(info.get("about"))
        if damaged := [name for name, array in weights.items() if not np.isfinite(array).all()]:
            raise ValueError(f"{damaged[0][:60]!r} has NaN or infinity in it")
        return config, build(config, weights), info
    except ValueError as error:
        raise WeightsError(f"{os.fspath(path)}: {error}") from None


def __dir__() -> list[str]:
    return __all__
