"""The command line: ``python -m minigrad_rnn demo``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence as SequenceOf
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minigrad as mg
import minigrad_rnn as rnn

__all__ = ["main"]

EPOCHS = 50
TOLD = (1, 2, 3, 5, 10, 20, EPOCHS)


def main(arguments: SequenceOf[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 when done, 1 after an error, 130 when interrupted.

    >>> from minigrad_rnn.cli import main
    >>> main([])  # doctest: +ELLIPSIS
    usage: minigrad-rnn ...
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return demo(options.out, options.seed, options.cell)
    except BrokenPipeError:  # as in `minigrad-rnn demo | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"minigrad-rnn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nminigrad-rnn: interrupted; nothing is half written", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minigrad-rnn", description="Recurrent networks from scratch: train one, and see what flows through time."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {mg.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    command = commands.add_parser(
        "demo",
        help="train a network on 'hihell' -> 'ihello' and draw it",
        description="Train a small recurrent network to say, after each letter of 'hihell', which comes next ('ihello'), "
        "print the loss falling and what the network says, and write three pictures: the network folded, unrolled "
        "over its six steps, and unrolled with the gradient that flows back along it.",
    )
    command.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("minigrad-demo"),
        help="folder for the pictures (default: %(default)s)",
    )
    command.add_argument("--seed", type=seed, default=0, help="where the random weights begin (default: %(default)s)")
    command.add_argument(
        "--cell", choices=("rnn", "lstm"), default="rnn",
        help="rnn: a plain recurrent network with tanh; lstm: long short-term memory (default: %(default)s)",
    )  # fmt: skip
    return parser


def seed(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 on, not {text!r}")
    return number


def demo(folder: Path, seed: int, cell: str) -> int:
    """Train on the hello task and write the pictures into `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"cannot write into the folder {folder}: {error.strerror}; choose another with --out DIR") from error
    task = rnn.tasks.hello()
    rng = np.random.default_rng(seed)
    size = len(task.alphabet)
    layer: rnn.Recurrent = rnn.RNN(size, 5, rng=rng) if cell == "rnn" else rnn.LSTM(size, 5, rng=rng)
    model = rnn.Sequence(layer, rnn.Linear(5, size, rng=rng))
    print(f"Training {type(layer).__name__}(5) on 'hihell' -> 'ihello', {EPOCHS} epochs, Adam 0.1, seed {seed}")

    def tell(updates: int) -> None:
        with mg.no_grad():
            loss = rnn.sequence_cross_entropy(model(task.inputs), task.targets).total.item()
        tqdm.write(f"  after {updates:2} updates: loss {loss:.4f}, says {rnn.predict(model, task)!r}", file=sys.stdout)

    def after_epoch(epoch: int, loss: float) -> None:
        if epoch + 1 in TOLD:
            tell(epoch + 1)

    tell(0)
    rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, EPOCHS, after_epoch=after_epoch)
    print(f"The loss is the mean over the {len(task.inputs)} steps; a guess among {size} letters: {np.log(size):.4f}")
    print(f"Fed 'hihell', the network says:  {rnn.predict(model, task)}")
    print(f"Fed 'h' and then its own words:  {rnn.greedy(model, task.alphabet, 'h', 6)}")
    drawings = {
        "folded": rnn.draw.folded(model, task.inputs, task.targets),
        "unrolled": rnn.draw.unrolled(model, task.inputs, task.targets, symbols=task.alphabet),
        "gradient": rnn.draw.unrolled(model, task.inputs, task.targets, symbols=task.alphabet, gradients=True),
    }
    return save(drawings, folder)


def save(drawings: dict[str, mg.Drawing], folder: Path) -> int:
    """Write the pictures as SVG, or as DOT text where there is nothing to render them with."""
    try:
        for name, drawing in drawings.items():
            print(f"Wrote {drawing.save(folder / f'{name}.svg')}")
    except mg.RenderError as error:
        names = ", ".join(drawing.save(folder / f"{name}.dot").name for name, drawing in drawings.items())
        print(f"The pictures are saved as DOT text only, in {folder}: {names}\nThe reason: {error}", file=sys.stderr)
        return 0 if isinstance(error, mg.RendererMissing) else 1
    return 0
