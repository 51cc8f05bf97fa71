"""``minigrad-rnn sample``: let a trained model of symbols write text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import minigrad_rnn as rnn

from ._data import plain
from ._options import TRAINED, number_of

HELP = "let a model write"
DESCRIPTION = "Read a prompt with a trained model of symbols, and let the model write the symbols that follow."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=TRAINED)
    parser.add_argument("--prompt", help="text that the model reads first (default: a new line)")
    parser.add_argument(
        "--temperature", type=number_of("temperature", (float, 0, 1e6)), default=1.0, metavar="N",
        help="0: always the most likely symbol; 1: the probabilities of the model (default); above 1: more surprises",
    )  # fmt: skip
    parser.add_argument(
        "--length", type=number_of("length", (int, 1, 10_000_000)), default=500, metavar="N",
        help="number of symbols to write (default: 500)",
    )  # fmt: skip
    parser.add_argument("--seed", type=number_of("seed"), default=0, metavar="N", help="random seed (default: 0)")
    parser.add_argument(
        "--top-k", type=number_of("top_k", (int, 1, 1_000_000)), metavar="N", help="draw only among the N most likely symbols"
    )


def run(options: argparse.Namespace) -> int:
    """Print the prompt and what the model writes after it."""
    config, model, _ = rnn.config.load(options.model)
    alphabet = rnn.config.alphabet_of(config)
    if alphabet is None or not isinstance(model, rnn.Sequence):
        raise ValueError(f"{options.model} is a model of the task {config['task']}, which has no text to write on; see `eval`")
    prompt = options.prompt
    if prompt is None:
        prompt = "\n" if "\n" in alphabet.number else alphabet.symbols[0]
    words = config["text"] is not None and config["text"]["words"]
    symbols = words_of(prompt, alphabet) if words else prompt
    written = rnn.sample(
        model, alphabet, symbols, options.length, options.temperature, options.seed, top_k=options.top_k
    )  # fmt: skip
    print(plain((options.prompt or "") + written, None, keep="\n\t"))
    return 0


def words_of(prompt: str, alphabet: rnn.Alphabet) -> Sequence[str]:
    """Split a prompt into words. The first gets the space that it has inside a text, if only that word is in the alphabet."""
    words = rnn.text.words(prompt)
    if words and words[0] not in alphabet.number and f" {words[0]}" in alphabet.number:
        words[0] = f" {words[0]}"
    return words
