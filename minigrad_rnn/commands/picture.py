"""The command that draws a network."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from pathlib import Path

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.errors import RenderTimeout
from minigrad.pictures.drawing import FORMATS

from .. import building
from ..data.batch import Batch
from .source import UsageError, loss_of
from .subject import Subject, check_place, one_sequence, subject

__all__ = ["draw"]

ONLY_UNROLLED = ("level", "gradients", "overlay", "chunk")
WORDS = {  # of the library, and of the command line
    'level="cell"': "--level cell", 'steps="0-2,-1"': "--steps=0-2,-1", ", or force it with limit=None": "",
    '"all", "0-3,48-49" or as a list of numbers': "all, or 0-3,48-49",
}  # fmt: skip


def draw(options: Namespace) -> int:
    told = subject(options)
    view = options.view or "unrolled"
    check_view(told, view, options)
    path = options.out or Path(f"{told.name}-{view}.svg")
    if path.suffix[1:].lower() not in FORMATS:
        raise UsageError(f"--out is the name of a file that ends in one of .{', .'.join(FORMATS)}, not {path.name!r}")
    check_place(path, "--out")
    batch = one_sequence(told, options)
    steps = len(batch.inputs) + (len(batch.targets) if isinstance(told.model, rnn.EncoderDecoder) else 0)
    if options.chunk is not None and options.chunk >= steps:
        raise UsageError(f"--chunk {options.chunk} cuts nothing: there are {steps} steps")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = drawn(told, batch, view, options)
    print(f"{told}; {steps:,} step{'s' * (steps != 1)}")
    for warning in said:
        print(f"minigrad-rnn: {in_words(warning.message)}", file=sys.stderr)
    return save(made, path)


def check_view(told: Subject, view: str, options: Namespace) -> None:
    """That the view knows the options, and the network has such a view."""
    given = [name for name in ONLY_UNROLLED if getattr(options, name)]
    if view == "folded" and options.steps is not None:
        given.append("steps")
    if view != "unrolled" and given:
        raise UsageError(f"--{given[0]} is for --view unrolled, not for --view {view}")
    if options.gradients and options.overlay not in (None, "gradient"):
        raise UsageError(f"a picture has one colouring: --gradients or --overlay {options.overlay}")
    if isinstance(told.model, rnn.EncoderDecoder):
        if view != "unrolled":
            raise UsageError(f"{told.name} has an encoder and a decoder, two networks; draw it with --view unrolled")
        if options.chunk is not None:
            raise UsageError(f"{told.name} has an encoder and a decoder, and is not trained in chunks; leave out --chunk")


def drawn(told: Subject, batch: Batch, view: str, options: Namespace) -> mg.Drawing:
    about, model = told.about, told.model
    task = building.task_of(about)
    alphabet = building.alphabet_of(about) if task is None else task.answers
    if alphabet is not None and about["embedding"] == len(alphabet):
        alphabet = None  # a vector as long as the alphabet is not a one-hot
    loss = loss_of(about)
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


def in_words(message: object) -> str:
    """A message of the library, with the options of the command line in the place of arguments."""
    text = str(message)
    for there, here in WORDS.items():
        text = text.replace(there, here)
    return text


def save(made: mg.Drawing, path: Path) -> int:
    """Write the picture, or the DOT text where there is nothing to render it with."""
    try:
        print(f"Wrote {made.save(path)}")
    except RenderTimeout as error:  # it has left the DOT text there
        raise OSError(str(error)) from None
    except mg.RenderError as error:
        beside = path.with_suffix(".dot")
        try:
            check_place(beside, "--out")
        except OSError as other:
            raise OSError(f"{error}; {other}") from None
        print(f"The picture is saved as DOT text only: {made.save(beside)}\nThe reason: {error}", file=sys.stderr)
        return 0 if isinstance(error, mg.RendererMissing) else 1
    return 0
