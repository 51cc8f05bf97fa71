"""The commands that look at what was trained: sample, eval, tasks and info."""

from __future__ import annotations

import hashlib
import math
import os
from argparse import Namespace
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

import numpy as np

import minigrad_rnn as rnn

from .. import building
from ..data.batch import Fixed
from ..data.tasks import TASKS
from ..generate import sample as sampled
from .source import Text, check_data, describe, loss_of, model_line, own_text, plain, read_text, streams, tell_bounds, unseen

__all__ = ["evaluate", "info", "sample", "tasks"]


def sample(options: Namespace) -> int:
    about, model, _ = building.load(options.model)
    alphabet = building.alphabet_of(about)
    if alphabet is None or not isinstance(model, rnn.Sequence):
        raise ValueError(f"{options.model} is a model of the task {about['task']}, which has no text to write on; see `eval`")
    prompt = options.prompt
    if prompt is None:
        prompt = "\n" if "\n" in alphabet.number else alphabet.symbols[0]
    symbols: SequenceOf[str] = prompt
    if about["text"] is not None and about["text"]["words"]:
        symbols = rnn.text.words(prompt)
        if symbols and symbols[0] not in alphabet.number and f" {symbols[0]}" in alphabet.number:
            symbols[0] = f" {symbols[0]}"  # words carry the space before them
    said = sampled(model, alphabet, symbols, options.length, options.temperature, options.seed, top_k=options.top_k)
    print(plain((options.prompt or "") + said, None, keep="\n\t"))
    return 0


def evaluate(options: Namespace) -> int:
    about, model, _ = building.load(options.model)
    if options.data is not None:
        check_data(options.data)
    source, what, bounds = judging(about, options.model, options.data)
    result = rnn.evaluate(model, source, loss=loss_of(about))
    print(what)
    print(f"loss                 {result.loss:.6f}{'' if loss_of(about) == 'mse' else ' nats'}")
    if about["text"] is not None:
        print(f"bits a {'word     ' if about['text']['words'] else 'character'}     {result.loss / math.log(2):.4f}")
        print(f"perplexity           {math.exp(min(result.loss, 700)):.4f}")
    if not math.isnan(result.accuracy):
        print(f"right answers        {result.accuracy:.2%}")
    if about["task"] is not None and not math.isnan(result.exact):
        print(f"sequences all right  {result.exact:.2%}")
    if isinstance(model, rnn.EncoderDecoder):
        said, right = 0, 0
        for batch in map(source.batch, range(len(source))):
            hits = model.generate(batch.inputs, len(batch.targets), batch.lengths) == batch.targets
            said, right = said + batch.size, right + int((hits | (batch.targets == rnn.IGNORED)).all(axis=0).sum())
        print(f"strings all right    {right / said:.2%}, of {said:,} in free running")
    tell_bounds(bounds)
    return 0


def judging(about: dict[str, Any], model: Path, data: str | None) -> tuple[rnn.Source, str, Mapping[str, float]]:
    """What a model is evaluated on: batches, what they are, and bounds."""
    task = building.task_of(about)
    if task is not None:
        if data not in (None, task.name):
            raise ValueError(f"{model} is a model of the task {task.name}, and cannot be evaluated on {data}")
        source = unseen(about, None)
        what = "its one batch" if isinstance(source, Fixed) else "sequences that it was not trained on"
        return source, f"{model} on the task {task.name}: {what}", task.bounds
    if data in TASKS:
        raise ValueError(f"{model} is a model of the text {about['text']['path']}, not of the task {data}")
    text = own_text(about, model) if data is None else read_text(data, about["text"]["words"])
    if text.sha256 == about["text"]["sha256"]:
        text, what = Text(text.symbols[text.seen :], ""), "the last tenth, not trained on"
        source = streams(about, text.symbols)
    else:
        source, what = streams(about, text.symbols), "all of it"
    return source, f"{model} on {data or about['text']['path']}: {what}, {len(text.symbols):,} symbols", text.bounds()


def tasks(options: Namespace) -> int:
    for name, make in TASKS.items():
        task = make()
        length = ", --length" if building.has_length(name) else ""
        print(f"{name:<18}{task.summary} ({task.wiring}, {task.loss}{length})")
        print(" " * 18 + "; ".join(f"{what}: {value:.4f}" for what, value in task.bounds.items()))
    return 0


def info(options: Namespace) -> int:
    arrays, _ = rnn.load_weights(options.model)
    with open(options.model, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"{options.model}: {os.path.getsize(options.model):,} bytes, sha256 {checksum}")
    try:
        about, model, more = building.load(options.model)
    except ValueError as error:
        print(f"No model that this program can build: {str(error).removeprefix(f'{options.model}: ')}")
        shown = arrays
    else:
        print(describe(about, None))
        print(model_line(about, model))
        print(", ".join(f"{name} {about[name]}" for name in (*building.RANGES, "optimizer") if about[name] is not None))
        loss = arrays.get("history.loss", np.zeros(0)).ravel().astype(float)
        seen = f"; loss {loss[0]:.4f} before the first, {loss[-1]:.4f} before the last" if loss.size else ""
        print(f"{loss.size:,} updates done{seen}")
        match more.get("best"):
            case [int() | float() as lowest, int() as epoch]:
                print(f"Lowest validation loss {lowest:.4f}, after epoch {epoch + 1}")
        shown = {name: array for name, array in arrays.items() if name.startswith("model.")}
    for name, array in shown.items():
        print(f"  {plain(name):<30} {array.dtype!s:<8} {array.shape}")
    return 0
