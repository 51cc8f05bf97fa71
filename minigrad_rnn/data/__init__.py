"""Toy tasks, text, series of numbers, and batches of them."""

from . import batch, grammars, sequences, series, tasks, text
from .batch import IGNORED, Batch, Examples, Fixed, Generated, Source
from .sequences import pad_sequences
from .text import Alphabet, Streams, Windows

__all__ = [
    "IGNORED",
    "Alphabet",
    "Batch",
    "Examples",
    "Fixed",
    "Generated",
    "Source",
    "Streams",
    "Windows",
    "batch",
    "grammars",
    "pad_sequences",
    "sequences",
    "series",
    "tasks",
    "text",
]


def __dir__() -> list[str]:
    return __all__
