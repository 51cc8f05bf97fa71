"""Features of a text: a number after each symbol, such as whether it is inside brackets, or its position in the line.

They are made for English and for source code. None looks ahead except those that end in "next".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Features", "features_of", "varied"]

Features = dict[str, np.ndarray]
Own = Mapping[str, Callable[[Any], Any]]

LEAST = 6  # times that a feature must cross its mean
LONGEST_WORD = 12

KINDS: dict[str, Callable[[str], bool]] = {  # of the symbol itself
    "a vowel": lambda s: s.lower() in tuple("aeiou"),
    "a consonant": lambda s: len(s) == 1 and s.isalpha() and s.lower() not in "aeiou",
    "a capital": lambda s: s.strip()[:1].isupper(),
    "a digit": lambda s: s.strip().isdigit(),
    "a space": lambda s: s == " ",
    "a new line": lambda s: s == "\n",
    "punctuation": lambda s: bool(s.strip()) and not any(c.isalnum() for c in s),
    "an opening bracket": lambda s: s.strip() in tuple("([{"),
    "a quote mark": lambda s: s.strip() in tuple("\"'"),
    "a full stop": lambda s: s.strip() == ".",
}


def features_of(text: Sequence[str], own: Own | None = None) -> Features:
    """Return the features of a text by name, each (len(text),). `own` adds functions of the text.

    >>> features_of("f(x)")["inside brackets"]
    array([0., 1., 1., 0.])
    """
    found = {name: np.array([is_kind(symbol) for symbol in text], float) for name, is_kind in KINDS.items()}
    joined = "".join(text)
    last = np.cumsum([len(symbol) for symbol in text]) - 1  # of each symbol its last character
    for scan in (marks, brackets, lines, words):
        found |= {name: np.array([*values], float)[last] for name, values in scan(joined).items()}
    for name, function in (own or {}).items():
        found[name] = checked(name, function(text), len(text))
    return found


def checked(name: str, values: Any, count: int) -> np.ndarray:
    """Return the values of your own feature; ValueError unless there is a finite number for each symbol."""
    array = np.asarray(values, float)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(
            f"the feature {name!r} must return {count} finite numbers, one for each symbol, not shape {array.shape}"
        )
    return array


def varied(values: np.ndarray) -> bool:
    """Return True if a feature crosses its mean often enough. One that only grows correlates with anything that drifts."""
    return int(np.count_nonzero(np.diff(values > values.mean()))) >= LEAST


def marks(text: str) -> dict[str, Iterable[float]]:
    """Scan quotations and comments. The end of a line ends a comment and ‘quotes’, a blank line “quotes”."""
    inside, found = "", []
    for before, c in zip("\n" + text, text, strict=False):
        if inside:
            ends = (c == "\n" and (inside != '"' or before == "\n")) or c == inside != "#"
            inside = "" if ends else inside
        elif c in '"#' or (c == "'" and not before.isalnum()):
            inside = c
        found.append(inside)
    names = {"inside “quotes”": '"', "inside ‘quotes’": "'", "inside a comment": "#"}
    return {name: [mark == one for mark in found] for name, one in names.items()}


def brackets(text: str) -> dict[str, Iterable[float]]:
    """Scan brackets; a blank line closes all."""
    depth, found = 0, []
    for before, c in zip("\n" + text, text, strict=False):
        depth = max(0, depth + (c in "([{") - (c in ")]}"))
        if before == c == "\n":
            depth = 0
        found.append(depth)
    return {"inside brackets": [depth > 0 for depth in found], "bracket depth": found}


def lines(text: str) -> dict[str, Iterable[float]]:
    """Scan the lines: the column, the spaces at the beginning, and the end."""
    columns, indented, leading = [], [], []
    for line in text.split("\n"):
        spaces = len(line) - len(line.lstrip(" "))
        columns += [*range(1, len(line) + 1), 0]  # the last is the new line
        indented += [*(min(k + 1, spaces) for k in range(len(line))), 0]
        leading += [*(k < spaces for k in range(len(line))), False]
    return {
        "position in line": columns[:-1], "indentation": indented[:-1], "leading spaces": leading[:-1],
        "line ends next": [c == "\n" for c in text[1:] + " "],
    }  # fmt: skip


def words(text: str) -> dict[str, Iterable[float]]:
    """Scan words and sentences. A sentence begins after a full stop or a blank line."""
    count, first = 0, True
    counts, firsts = [], []
    for before, c in zip("\n" + text, text, strict=False):
        count = min(count + 1, LONGEST_WORD) if in_word(c) else 0
        if c in ".!?" or before == c == "\n":
            first = True
        elif c == " " and before.isalpha():
            first = False
        counts.append(count)
        firsts.append(first)
    ends = [in_word(c) and not in_word(after) for c, after in zip(text, text[1:] + "_", strict=True)]
    return {"position in word": counts, "first word of a sentence": firsts, "word ends next": ends}


def in_word(c: str) -> bool:
    return c.isalnum() or c == "_"
