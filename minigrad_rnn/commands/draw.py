"""``minigrad-rnn draw``: draw a network, folded or unrolled in time."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import minigrad_rnn as rnn

from . import UsageError
from ._data import describe
from ._model import Network, check_place, measurable, network_of, one_sequence, text_and_probe
from ._options import add_cell, add_network, number_of, one_of

if TYPE_CHECKING:
    import minigrad as mg

HELP = "draw a network, folded or unrolled in time"
DESCRIPTION = (
    "Draw a trained model, or an untrained network for a task, while it reads one sequence. A file of weights alone, such as "
    "PyTorch's, reads random numbers."
)
ONLY_UNROLLED = ("level", "gradients", "overlay", "chunk")
IN_WORDS = {  # from the arguments of the library to those of the command line
    'level="cell"': "--level cell", 'steps="0-2,-1"': "--steps=0-2,-1", ", or force it with limit=None": "",
    '"all", "0-3,48-49" or as a list of numbers': "all, or 0-3,48-49",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_network(parser)
    parser.add_argument(
        "--view", choices=("folded", "unrolled", "both", "reading"),
        help="folded: one step that stands for all; unrolled: a frame for each step (default); both: side by side; reading: a "
        "page on which each symbol of a text is coloured by what the network does there",
    )  # fmt: skip
    parser.add_argument(
        "--level", metavar="LEVEL", type=one_of(lambda: rnn.draw.LEVELS),
        help="unrolled, a box for each op (default), gate or cell",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=steps, metavar="STEPS",
        help="time steps drawn in full: all, or for example 0-3,48-49, or --steps=0,-1 to count from the end (default: of many "
        "steps three at each end)",
    )  # fmt: skip
    parser.add_argument("--gradients", action="store_true", help="colour the states by the gradient that reaches them")
    parser.add_argument(
        "--overlay", metavar="NAME", type=one_of(overlays),
        help="colour by the gradient, or by another quantity, such as saturation",
    )  # fmt: skip
    parser.add_argument(
        "--chunk", type=number_of("chunk", (int, 1, 1_000_000)), metavar="K", help="detach the states every K steps"
    )
    add_cell(parser, "for a task: ")
    parser.add_argument("--prompt", metavar="TEXT", help="symbols to read (default: a part of the model's text or task)")
    parser.add_argument(
        "--out", metavar="FILE", type=Path,
        help="a .svg, .html (a page that plays both passes) or .dot file, or, with Graphviz, a .png or .pdf "
        "(default: NAME-VIEW.svg, NAME-reading.html); an existing picture is replaced",
    )  # fmt: skip


def steps(text: str) -> str:
    """Return the time steps as they were given; an error for a range that runs backwards."""
    for first, last in re.findall(r"(?<![\d-])(\d+)\s*-\s*(\d+)", text):
        if len(first + last) < 100 and int(first) > int(last):
            raise argparse.ArgumentTypeError(f"there are no steps from {first} to {last}; write the smaller number first")
    return text[:1000]


def overlays() -> tuple[str, ...]:
    """Return the quantities that a picture can be coloured by."""
    from ..draw.overlays import OVERLAYS

    return OVERLAYS


def run(options: argparse.Namespace) -> int:
    """Draw the network and write the picture."""
    from minigrad.pictures.drawing import FORMATS

    network = network_of(options)
    view = options.view or "unrolled"
    check_view(network, view, options)
    formats = ("html",) if view == "reading" else FORMATS
    path = options.out or Path(f"{network.name}-{view}.{'html' if view == 'reading' else 'svg'}")
    if path.suffix[1:].lower() not in formats:
        raise UsageError(
            f"--out must be a file name that ends in {'one of ' * (len(formats) > 1)}.{', .'.join(formats)}, not {path.name!r}"
        )
    check_place(path, "--out")
    if view == "reading":
        return save_reading(network, options, path)
    if options.gradients or options.overlay:
        network = network._replace(model=measurable(network.model))
    batch = one_sequence(network, options)
    count = len(batch.inputs) + (len(batch.targets) if isinstance(network.model, rnn.EncoderDecoder) else 0)
    if options.chunk is not None and options.chunk >= count:
        raise UsageError(f"--chunk {options.chunk} cuts nothing: there are {count} steps")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawing = picture_of(network, batch, view, options)
    print(f"{network}; {count:,} step{'s' * (count != 1)}")
    for warning in caught:
        print(f"minigrad-rnn: {in_words(warning.message)}", file=sys.stderr)
    return save(drawing, path)


def check_view(network: Network, view: str, options: argparse.Namespace) -> None:
    """Raise UsageError unless the view has these options, and the network has this view."""
    given = [name for name in ONLY_UNROLLED if getattr(options, name)]
    if view in ("folded", "reading") and options.steps is not None:
        given.append("steps")
    if view != "unrolled" and given:
        raise UsageError(f"--{given[0]} is for --view unrolled, not for --view {view}")
    if options.gradients and options.overlay not in (None, "gradient"):
        raise UsageError(f"a picture has one colouring: --gradients or --overlay {options.overlay}")
    if view == "reading":
        if not network.config or network.config["task"] is not None:
            task = f"is for the task {network.config['task']}" if network.config else "has weights alone, without an alphabet"
            raise UsageError(
                f"--view reading needs a model of a text, and {network.name} {task}; train one with `minigrad-rnn train FILE`"
            )
    elif isinstance(network.model, rnn.EncoderDecoder):
        if view != "unrolled":
            raise UsageError(f"{network.name} has an encoder and a decoder, two networks; draw it with --view unrolled")
        if options.chunk is not None:
            raise UsageError(f"{network.name} has an encoder and a decoder, and is not trained in chunks; leave out --chunk")


def picture_of(network: Network, batch: rnn.Batch, view: str, options: argparse.Namespace) -> mg.Drawing:
    """Return the picture of this view."""
    model, loss, alphabet = network.model, network.loss, alphabet_of(network.config)
    try:
        if view == "folded":
            return rnn.draw.folded(model, batch, loss=loss)
        if view == "both":
            return rnn.draw.both(model, batch, loss=loss, steps=options.steps)
        return rnn.draw.unrolled(
            model, batch, loss=loss, level=options.level or "op", steps=options.steps,
            gradients=options.gradients, overlay=options.overlay, chunk=options.chunk, symbols=alphabet,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(in_words(error)) from None


def save_reading(network: Network, options: argparse.Namespace, path: Path) -> int:
    """Write the page of a text as the network reads it, and print what the first unit follows; return the exit status."""
    alphabet = rnn.config.alphabet_of(network.config)
    assert alphabet is not None and isinstance(network.model, rnn.Sequence)  # noqa: PT018
    text, probe = text_and_probe(network, options)
    try:
        found = rnn.read(network.model, text, alphabet, probe=probe)
    except ValueError as error:
        raise UsageError(str(error)) from None
    print(f"{network}; {len(text):,} symbols")
    unit = found.units[0]
    if unit.feature is not None:
        twin = "" if found.twin is None else f", in an untrained twin up to {found.twin.best(unit.feature):.2f}"
        print(f"{unit.name} follows {unit.feature!r}: r = {unit.r:+.2f}, by chance up to {unit.chance:.2f}{twin}")
    if unit.held.symbol is not None:
        print(f"Held at its mean, {alphabet.symbols[unit.held.symbol]!r} costs {unit.held.cost:.2f} nats more")
    print(f"Wrote {rnn.draw.reading(found, note=describe(network.config, None)).save(path)}")
    return 0


def alphabet_of(config: dict[str, Any]) -> rnn.Alphabet | None:
    """Return the symbols that a picture names, or None."""
    if not config:
        return None
    task = rnn.config.task_of(config)
    alphabet = rnn.config.alphabet_of(config) if task is None else task.answers
    # a vector as long as the alphabet is not a one-hot vector
    return None if alphabet is not None and config["embedding"] == len(alphabet) else alphabet


def in_words(message: object) -> str:
    """Return a message of the library with the options of the command line in place of its arguments."""
    text = str(message)
    for there, here in IN_WORDS.items():
        text = text.replace(there, here)
    return text


def save(drawing: mg.Drawing, path: Path) -> int:
    """Write the picture, or its DOT text if there is no renderer for it; return the exit status."""
    from minigrad.errors import RendererMissing, RenderError, RenderTimeout

    try:
        print(f"Wrote {drawing.save(path)}")
    except RenderTimeout as error:  # the DOT text is written already
        raise OSError(str(error)) from None
    except RenderError as error:
        dot = path.with_suffix(".dot")
        try:
            check_place(dot, "--out")
        except OSError as other:
            raise OSError(f"{error}; {other}") from None
        print(f"The picture is saved as DOT text only: {drawing.save(dot)}\nThe reason: {error}", file=sys.stderr)
        return 0 if isinstance(error, RendererMissing) else 1
    return 0
