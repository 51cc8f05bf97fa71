"""The command line: ``python -m minigrad_rnn demo``, and train, sample, eval, draw, gradflow, tasks and info."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from tqdm import tqdm

import minigrad as mg
import minigrad_rnn as rnn

from . import building, commands, interrupt
from .draw import LEVELS
from .draw.overlays import OVERLAYS

__all__ = ["main"]

EPOCHS = 50
WHOLE = (int, 1, 1_000_000)
TOLD = (1, 2, 3, 5, 10, 20, EPOCHS)


def main(arguments: SequenceOf[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 when done, 1 after an error, 2 after options that do not go together,
    130 when interrupted.

    >>> from minigrad_rnn.cli import main
    >>> main([])  # doctest: +ELLIPSIS
    usage: minigrad-rnn ...
    """
    interrupt.as_usual()
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal has no letter for
    try:
        status: int = options.run(options)
        print(end="", flush=True)
        return status
    except BrokenPipeError:  # as in `minigrad-rnn demo | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        return failed("there is not enough memory; choose a smaller --hidden, --layers, --length or --batch, or a shorter text")
    except commands.UsageError as error:
        return failed(error, 2)
    except (OSError, ValueError, ArithmeticError) as error:
        return failed(error)
    except KeyboardInterrupt:
        print("\nminigrad-rnn: interrupted; nothing is half written", file=sys.stderr)
        return 130


def failed(error: object, status: int = 1) -> int:
    """Say what is wrong in one line."""
    text = "; ".join(line.strip() for line in str(error).splitlines())
    print(f"minigrad-rnn: {text if len(text) < 2000 else text[:2000] + '...'}", file=sys.stderr)
    return status


class Parser(argparse.ArgumentParser):
    given: SequenceOf[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        for name in self.given:
            if name.startswith("-") and os.path.lexists(name):
                message += f"; the file {name} is ./{name}, for what begins with a dash is an option"
        self.exit(2, f"minigrad-rnn: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="minigrad-rnn", description="Recurrent networks from scratch: train one, and see what flows through time."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {mg.__version__}")
    verbs = parser.add_subparsers(dest="command", metavar="COMMAND")
    command = verbs.add_parser(
        "demo",
        help="train a network on 'hihell' -> 'ihello' and draw it",
        description="Train a small recurrent network to say, after each letter of 'hihell', which comes next ('ihello'), "
        "print the loss falling and what the network says, and draw it: folded, unrolled over its six steps, and unrolled "
        "with the gradient that flows back along it. The last is also a web page that plays the forward and the backward "
        "pass. Nothing else needs to be installed.",
    )
    command.set_defaults(run=lambda options: demo(options.out, options.seed, options.cell))
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

    command = verbs.add_parser(
        "train",
        help="train a model on a text or a task",
        description="Train a model and save it, with all that is needed to go on. Ctrl-C saves too.",
    )
    command.set_defaults(run=commands.train)
    command.add_argument(
        "data", nargs="?", metavar="FILE|TASK|this",
        help="a UTF-8 text, whose next character the model learns to foretell; or a task of `minigrad-rnn tasks`; or `this`, "
        "a short text that comes with Python. (A file that has the name of a task is ./NAME.)",
    )  # fmt: skip
    command.add_argument("--cell", choices=tuple(building.CELLS), help="the kind of network (default: lstm)")
    for name, text in (
        ("hidden", "features of its state (default: 128 for a text, 64 for a task)"),
        ("layers", "how many stand on each other (default: 1)"),
        ("embedding", "of a text: size of the vector for a symbol; 0: one-hot (default: 0, with --words 64)"),
        ("dropout", "share of the outputs between layers set to zero in training (default: 0)"),
        ("length", "symbols that the gradient flows back (default: 50); of a task that has one its length"),
        ("batch", "sequences side by side (default: 32, of short texts fewer)"),
        ("epochs", f"times through the data, in all (default: until {commands.UPDATES} updates, at least 3)"),
        ("lr", "learning rate (default: 0.003 for adam)"),
        ("clip", "the most that the norm of the gradient may be; 0: any (default: 1)"),
        ("seed", "of the weights and of all else that is random (default: 0)"),
    ):
        command.add_argument(f"--{name}", metavar="N", type=ranged(name), help=text)
    command.add_argument("--optimizer", choices=tuple(building.OPTIMIZERS), help="(default: adam)")
    command.add_argument("--words", action="store_true", default=None, help="words instead of characters")
    command.add_argument("--save", metavar="PATH", type=Path, help="the checkpoint (default: NAME.safetensors)")
    command.add_argument("--no-compile", action="store_true", help="run each step as it is, not as a compiled program")
    command.add_argument("--force", action="store_true", help="replace a checkpoint or a history that is there already")
    command.add_argument("--resume", metavar="PATH", type=Path, help="go on with this checkpoint, to --epochs in all")
    command.add_argument("--history", metavar="PATH", type=Path, help="write the losses to this .csv or .jsonl file")
    command.add_argument("--quiet", action="store_true", help="no bar, and no line for each epoch")

    command = verbs.add_parser("sample", help="let a model write", description="Let a model of symbols write on.")
    command.set_defaults(run=commands.sample)
    command.add_argument("model", type=Path, metavar="MODEL", help="what `minigrad-rnn train` saved")
    command.add_argument("--prompt", help="what it reads first (default: a new line)")
    warm, long, top = (float, 0, 1e6), (int, 1, 10_000_000), (int, 1, 1_000_000)
    command.add_argument(
        "--temperature", type=ranged("temperature", warm), default=1.0, metavar="N",
        help="0: always the likeliest symbol; 1: as likely as the model says (default); above: wilder",
    )  # fmt: skip
    command.add_argument("--length", type=ranged("length", long), default=500, metavar="N", help="symbols (default: 500)")
    command.add_argument("--seed", type=seed, default=0, help="of the draws (default: 0)")
    command.add_argument("--top-k", type=ranged("top_k", top), metavar="N", help="draw only among the N likeliest symbols")

    command = verbs.add_parser("eval", help="how good a model is", description="The loss of a model beside the bounds.")
    command.set_defaults(run=commands.evaluate)
    command.add_argument("model", type=Path, metavar="MODEL", help="what `minigrad-rnn train` saved")
    command.add_argument("data", nargs="?", metavar="FILE|TASK",
        help="another text (default: the part of its own that it was not trained on), or its task")  # fmt: skip
    draw_options(verbs)
    command = verbs.add_parser("tasks", help="the tasks that there are", description="The tasks, and bounds.")
    command.set_defaults(run=commands.tasks)
    command = verbs.add_parser("info", help="what is in a file of weights", description="What is in a safetensors file.")
    command.set_defaults(run=commands.info)
    command.add_argument("model", type=Path, metavar="FILE", help="a model, or any other safetensors file")
    return parser


def draw_options(verbs: Any) -> None:
    """The commands that draw and measure."""
    command = verbs.add_parser(
        "draw",
        help="draw a network, folded or unrolled in time",
        description="Draw a trained model, or an untrained network for a task, as it reads one sequence.",
    )
    command.set_defaults(run=commands.draw)
    subject(command)
    command.add_argument(
        "--view", choices=("folded", "unrolled", "both"),
        help="folded: one step for all; unrolled: a frame for each step (default); both: side by side, as in textbooks",
    )  # fmt: skip
    command.add_argument("--level", choices=LEVELS, help="unrolled, one box for each op (default), gate or cell")
    command.add_argument(
        "--steps", type=steps, metavar="STEPS",
        help="the steps drawn in full: all, or as 0-3,48-49, from the end as --steps=0,-1 (default: of many three at each end)",
    )  # fmt: skip
    command.add_argument("--gradients", action="store_true", help="colour the states by the gradient that reaches them")
    command.add_argument("--overlay", choices=OVERLAYS, help="colour by the gradient, or by something else")
    command.add_argument("--chunk", type=ranged("chunk", WHOLE), metavar="K", help="cut the states every K steps")
    command.add_argument("--cell", choices=tuple(building.CELLS), help="for a task: the kind of network (default: lstm)")
    command.add_argument("--prompt", metavar="TEXT", help="the symbols of the sequence (default: some of its text or task)")
    command.add_argument(
        "--out", metavar="FILE", type=Path,
        help="a .svg, .html (a page that plays both passes) or .dot file, or, with Graphviz, a .png or .pdf "
        "(default: NAME-VIEW.svg); a picture that is there is replaced",
    )  # fmt: skip

    command = verbs.add_parser(
        "gradflow",
        help="how the gradient flows back through time, in numbers",
        description="Measure the gradient on its way back through time, in a trained model or in an untrained network for a "
        "task: its norm at each step, by what each hop changes it and why, how fast it decays, and what each step adds to the "
        "gradient of the weights.",
    )
    command.set_defaults(run=commands.gradflow)
    subject(command)
    command.add_argument(
        "--cells", type=cells, metavar="CELL,...",
        help=f"networks to compare, before training: {', '.join(commands.CELLS)} (the last two with that activation for tanh)",
    )  # fmt: skip
    command.add_argument("--matrix", action="store_true", help="also what the loss of each step says to each state")
    command.add_argument("--plot", metavar="FILE", type=Path, help="save a figure (needs matplotlib)")


def subject(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL|TASK", help="what `minigrad-rnn train` saved; or a task")
    command.add_argument("--length", metavar="T", type=ranged("length"), help="steps of the sequence; of a task its length")
    command.add_argument("--hidden", metavar="N", type=ranged("hidden"), help="for a task: features of the state (default: 64)")
    command.add_argument("--layers", metavar="N", type=ranged("layers"), help="for a task: how many on each other (default: 1)")
    command.add_argument("--seed", metavar="N", type=ranged("seed"), help="of new weights, and of the sequence (default: 0)")


def steps(text: str) -> str:
    for first, last in re.findall(r"(?<![\d-])(\d+)\s*-\s*(\d+)", text):
        if len(first + last) < 100 and int(first) > int(last):
            raise argparse.ArgumentTypeError(f"there are no steps from {first} to {last}; write the smaller number first")
    return text[:1000]


def cells(text: str) -> list[str]:
    names = [{"tanh": "rnn"}.get(name.strip(), name.strip()) for name in text.lower().split(",")]
    if strange := [name for name in names if name not in commands.CELLS]:
        raise argparse.ArgumentTypeError(f"cells are {', '.join(commands.CELLS)}, separated by commas, not {strange[0][:40]!r}")
    return list(dict.fromkeys(names))


def seed(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 100 else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 on, not {text[:100]!r}")
    return number


def ranged(name: str, limits: building.Limits | None = None) -> Callable[[str], float]:
    whole = (limits or building.RANGES[name])[0] is int

    def read(text: str) -> float:
        value: Any = text
        with contextlib.suppress(ValueError):
            if not whole and text.isascii() and "_" not in text:
                value = float(text)
            elif text.isascii() and text.isdigit():
                value = int(text)
        try:
            return building.number(name, value, limits)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


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
    return 0
