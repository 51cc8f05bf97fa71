"""``minigrad-rnn info``: show the contents of a file of weights."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

import minigrad_rnn as rnn

from ..limits import RANGES
from ._data import describe, model_line, plain
from ._model import is_checkpoint, loaded

HELP = "show the contents of a file of weights"
DESCRIPTION = "Show the contents of a file of weights: the model, how it was trained, and the shape of each array."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model", type=Path, metavar="FILE", help="a trained model, or any other safetensors, .npz or .onnx file"
    )


def run(options: argparse.Namespace) -> int:
    """Print the file's checksum, its model if it has one, and a line for each array."""
    from ..loading.sources import read_file

    try:
        arrays = read_file(options.model).arrays
    except ImportError as error:  # of the package that reads the file
        raise rnn.WeightsError(str(error)) from None
    with open(options.model, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"{options.model}: {os.path.getsize(options.model):,} bytes, sha256 {checksum}")
    became: dict[str, str] = {}
    try:
        if is_checkpoint(options.model):
            show_model(*rnn.config.load(options.model), arrays)
            arrays = {name: array for name, array in arrays.items() if name.startswith("model.")}
        else:
            model, report = loaded(options.model)
            became = {name: f"  {place}" for name, _, place in report.rows}
            print(f"{model!r}\nassumed: {', '.join(report.assumed)}")
    except ValueError as error:
        print(f"No model that this program can build: {plain(str(error).removeprefix(f'{options.model}: '), None)}")
    for name, array in arrays.items():
        print(f"  {plain(name):<30} {array.dtype!s:<8} {array.shape!s:<12}{became.get(name, '')}".rstrip())
    return 0


def show_model(config: dict[str, Any], model: rnn.Model, info: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Print the model, its settings and its training so far."""
    print(describe(config, None))
    print(model_line(config, model))
    print(", ".join(f"{name} {config[name]}" for name in (*RANGES, "optimizer") if config[name] is not None))
    loss = [float(x) for x in arrays["history.loss"].ravel()] if "history.loss" in arrays else []
    seen = f"; loss {loss[0]:.4f} before the first, {loss[-1]:.4f} before the last" if loss else ""
    print(f"{len(loss):,} updates done{seen}")
    match info.get("best"):
        case [int() | float() as lowest, int() as epoch]:
            print(f"Lowest validation loss {lowest:.4f}, after epoch {epoch + 1}")
