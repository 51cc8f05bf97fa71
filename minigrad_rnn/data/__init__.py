"""Toy tasks, text, series of numbers, and batches of them."""

from . import batch, grammars, series, tasks, text
from .batch import IGNORED, Batch, Examples, Fixed, Generated, Source
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
    "series",
    "tasks",
    "text",
]


def __dir__() -> list[str]:
    return __all__
