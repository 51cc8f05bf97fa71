"""``minigrad-rnn eval``: measure how good a trained model is."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import minigrad_rnn as rnn

from ._data import Text, check_data, loss_of, own_text, read_text, show_bounds, streams, validation_data
from ._options import TRAINED

HELP = "measure how good a model is"
DESCRIPTION = "Evaluate a trained model, and print its loss next to the losses that need no training."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=TRAINED)
    parser.add_argument(
        "data", nargs="?", metavar="FILE|TASK",
        help="another text (default: the part of its own text that the model was not trained on), or its task",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Evaluate the model and print the results."""
    config, model, _ = rnn.config.load(options.model)
    if options.data is not None:
        check_data(options.data)
    source, title, bounds = evaluation_data(config, options.model, options.data)
    result = rnn.evaluate(model, source, loss=loss_of(config))
    print(title)
    show(config, result)
    if isinstance(model, rnn.EncoderDecoder):
        show_free_running(model, source)
    show_bounds(bounds)
    return 0


def show(config: dict[str, Any], result: rnn.Evaluation) -> None:
    """Print the loss in several units, and the shares of right answers."""
    print(f"loss                 {result.loss:.6f}{'' if loss_of(config) == 'mse' else ' nats'}")
    if config["text"] is not None:
        print(f"bits a {'word     ' if config['text']['words'] else 'character'}     {result.loss / math.log(2):.4f}")
        print(f"perplexity           {math.exp(min(result.loss, 700)):.4f}")
    if not math.isnan(result.accuracy):
        print(f"right answers        {result.accuracy:.2%}")
    if config["task"] is not None and not math.isnan(result.exact):
        print(f"sequences all right  {result.exact:.2%}")


def show_free_running(model: rnn.EncoderDecoder, source: rnn.Source) -> None:
    """Print the share of sequences that the decoder gets right when it reads its own predictions."""
    count = right = 0
    for batch in map(source.batch, range(len(source))):
        hits = model.generate(batch.inputs, len(batch.targets), batch.lengths) == batch.targets
        count, right = count + batch.size, right + int((hits | (batch.targets == rnn.IGNORED)).all(axis=0).sum())
    print(f"strings all right    {right / count:.2%}, of {count:,} in free running")


def evaluation_data(
    config: dict[str, Any], model: Path, data: str | None
) -> tuple[rnn.Source, str, Mapping[str, float]]:  # fmt: skip
    """Return the batches that a model is evaluated on, a title for them, and bounds of the loss."""
    task = rnn.config.task_of(config)
    if task is not None:
        if data not in (None, task.name):
            raise ValueError(f"{model} is a model of the task {task.name}, and cannot be evaluated on {data}")
        source = validation_data(config, None)
        part = "its one batch" if isinstance(source, rnn.Fixed) else "sequences that it was not trained on"
        return source, f"{model} on the task {task.name}: {part}", task.bounds
    if data in rnn.tasks.TASKS:
        raise ValueError(f"{model} is a model of the text {config['text']['path']}, not of the task {data}")
    entry = config["text"]
    text = own_text(config, model) if data is None else read_text(data, entry["words"], entry.get("encoding", "utf-8"))
    part = "all of it"
    if text.sha256 == config["text"]["sha256"]:
        text, part = Text(text.symbols[text.seen :], ""), "the last tenth, not trained on"
    title = f"{model} on {data or config['text']['path']}: {part}, {len(text.symbols):,} symbols"
    return streams(config, text.symbols), title, text.bounds()
