"""What the commands of the command line do: train, sample, eval, tasks and info."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import shlex
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import minigrad_rnn as rnn

from . import building
from .data.batch import Fixed
from .data.tasks import TASKS
from .generate import sample as sampled

__all__ = ["UsageError", "evaluate", "info", "sample", "tasks", "train"]

RATES = {"sgd": 0.1, "adagrad": 0.01, "adam": 0.003, "adamw": 0.003, "rmsprop": 0.001, "rprop": 0.001}
UPDATES = 1000  # about so many, if no number of epochs is given
SAVE_EVERY = 1.0  # seconds, and twenty times what saving takes
SYMBOLS = 5000  # the most that the alphabet of a text has; the others count as one, the unknown
LONGEST = 50_000_000  # bytes of a text
UNSEEN = 2**63  # the seed of the sequences kept for validation: no seed that one may give for training


class UsageError(ValueError):
    """Options that do not go together."""


# -- data --------------------------------------------------------------------------------------------------------------


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


# -- train -----------------------------------------------------------------------------------------------------------


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
    path = options.save or options.resume or Path(f"{about['task'] or Path(options.data).stem}.safetensors")
    check_places(options, path)
    model = building.build(about)
    optimizer = building.OPTIMIZERS[about["optimizer"]](model.parameters(), lr=about["lr"])
    trainer = rnn.Trainer(model, optimizer, loss=loss_of(about), clip_norm=about["clip"] or None, about=about)
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
    if trainer.best is not None and trainer.best[1] < epochs - 1:
        print(f"The validation loss was lowest after epoch {trainer.best[1] + 1}: {trainer.best[0]:.4f}")
    print(f"Saved to {path}. How good is it?  minigrad-rnn eval {shlex.quote(str(path))}")
    if building.alphabet_of(about) is not None:
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


# -- the other commands --------------------------------------------------------------------------------------------------


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
    print((options.prompt or "") + said)
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
            said, right = said + batch.size, right + int(hits.all(axis=0).sum())
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


def plain(text: str) -> str:
    """The text, with what a terminal would take for a command written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:200])
