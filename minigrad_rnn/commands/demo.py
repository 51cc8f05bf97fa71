"""``minigrad-rnn demo``: train a small network on 'hihell' -> 'ihello' and draw it."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

import minigrad_rnn as rnn

from ._options import number_of

HELP = "train a network on 'hihell' -> 'ihello' and draw it"
DESCRIPTION = (
    "Train a small recurrent network to predict, after each letter of 'hihell', the next one ('ihello'). Print the loss and "
    "the predictions. Draw the network three times: folded, unrolled over its six time steps, and unrolled with the "
    "gradient that flows back. The last picture is also a web page that plays the forward and the backward pass. No other "
    "program is needed."
)
EPOCHS = 50
SHOWN = (1, 2, 3, 5, 10, 20, EPOCHS)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("minigrad-demo"), help="folder for the pictures (default: %(default)s)"
    )
    parser.add_argument("--seed", type=number_of("seed"), default=0, help="seed of the random weights (default: %(default)s)")
    parser.add_argument(
        "--cell", choices=("rnn", "lstm"), default="rnn",
        help="rnn: a plain recurrent network with tanh; lstm: long short-term memory (default: %(default)s)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Train on the hello task and write the pictures."""
    prepare_folder(options.out)
    task = rnn.tasks.hello()
    model = build(len(task.alphabet), options.cell, options.seed)
    train(model, task, options.seed)
    print(f"The loss is the mean over the {len(task.inputs)} steps; a guess has ln {len(task.alphabet)} = ", end="")
    print(f"{math.log(len(task.alphabet)):.4f}")
    print(f"Fed 'hihell', the network says:  {rnn.predict(model, task)}")
    print(f"Fed 'h' and then its own words:  {rnn.greedy(model, task.alphabet, 'h', 6)}")
    draw(model, task, options.out)
    return 0


def prepare_folder(folder: Path) -> None:
    """Create the folder; OSError if no file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"cannot write into the folder {folder}: {error.strerror}; choose another with --out DIR") from error


def build(size: int, cell: str, seed: int) -> rnn.Sequence:
    """Build an untrained network that reads and predicts `size` symbols."""
    rng = rnn.init.generator(seed)
    layer: rnn.Recurrent = rnn.RNN(size, 5, rng=rng) if cell == "rnn" else rnn.LSTM(size, 5, rng=rng)
    return rnn.Sequence(layer, rnn.Linear(5, size, rng=rng))


def train(model: rnn.Sequence, task: rnn.tasks.Task, seed: int) -> None:
    """Train the network, and print the loss and the predictions after some of the updates."""
    from tqdm import tqdm

    def show(updates: int) -> None:
        loss = rnn.evaluate(model, task).loss
        tqdm.write(f"  after {updates:2} updates: loss {loss:.4f}, says {rnn.predict(model, task)!r}", file=sys.stdout)

    def after_epoch(epoch: int, loss: float) -> None:
        if epoch + 1 in SHOWN:
            show(epoch + 1)

    kind = type(model.recurrent).__name__
    print(f"Training {kind}(5) on 'hihell' -> 'ihello', {EPOCHS} epochs, Adam 0.1, seed {seed}")
    show(0)
    rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, EPOCHS, after_epoch=after_epoch)


def draw(model: rnn.Sequence, task: rnn.tasks.Task, folder: Path) -> None:
    """Write the pictures into the folder."""
    gradient = rnn.draw.unrolled(model, task.inputs, task.targets, symbols=task.alphabet, gradients=True)
    drawings = {
        "folded.svg": rnn.draw.folded(model, task.inputs, task.targets),
        "unrolled.svg": rnn.draw.unrolled(model, task.inputs, task.targets, symbols=task.alphabet),
        "gradient.svg": gradient,
        "gradient.html": gradient,
    }
    for name, drawing in drawings.items():
        print(f"Wrote {drawing.save(folder / name)}")
    print(f"Open them in a web browser; this page plays both passes: {(folder / 'gradient.html').resolve().as_uri()}")
