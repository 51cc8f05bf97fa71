"""Arguments that several commands have, and their types."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from ..additions import names_in
from ..limits import RANGES, Limits, number

__all__ = ["TRAINED", "add_cell", "add_network", "number_of", "one_of"]

TRAINED = "a file that `minigrad-rnn train` saved"


def number_of(name: str, limits: Limits | None = None) -> Callable[[str], float]:
    """Return the type of the argument `name`: a number within its limits."""
    whole = (limits or RANGES[name])[0] is int

    def read(text: str) -> float:
        value: Any = text
        with contextlib.suppress(ValueError):
            if not whole and text.isascii() and "_" not in text:
                value = float(text)
            elif text.isascii() and text.isdigit():
                value = int(text)
        try:
            return number(name, value, limits)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def one_of(names: Callable[[], Iterable[str]]) -> Callable[[str], str]:
    """Return the type of an argument that is one of `names()`, which are computed only if the argument is given."""

    def read(text: str) -> str:
        if text not in (choices := list(names())):
            raise argparse.ArgumentTypeError(f"invalid choice: {text[:40]!r} (choose from {', '.join(choices)})")
        return text

    return read


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a network and a sequence for it to read."""
    parser.add_argument("model", metavar="MODEL|TASK", help=f"{TRAINED}, a file of weights, or a task of `minigrad-rnn tasks`")
    parser.add_argument(
        "--length", metavar="T", type=number_of("length"), help="number of time steps (for some tasks, their own length)"
    )
    parser.add_argument(
        "--hidden", metavar="N", type=number_of("hidden"), help="for a task: size of the hidden state (default: 64)"
    )
    parser.add_argument("--layers", metavar="N", type=number_of("layers"), help="for a task: number of layers (default: 1)")
    parser.add_argument(
        "--seed", metavar="N", type=number_of("seed"), help="random seed of new weights and of the sequence (default: 0)"
    )


def add_cell(parser: argparse.ArgumentParser, note: str = "") -> None:
    """Add the argument that chooses the kind of recurrent network."""
    parser.add_argument("--cell", choices=names_in("cells"), help=f"{note}kind of recurrent network (default: lstm)")
