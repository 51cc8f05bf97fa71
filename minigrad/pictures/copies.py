"""Parts of a picture that look the same, such as time steps, written once: patterns, and the places of their copies."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Copies", "copied"]

ID = re.compile(r'( data-(?:group|box|from|to))="([^"]*)"')
WORDS = re.compile(r"(<text [^>]*>)([^<]*)(?=</text>)")


class Copies(NamedTuple):
    """The patterns and their copies, as SVG, and of each copy the ids of its frames, boxes and ends of arrows, in order."""

    patterns: list[str]
    columns: list[str]
    ids: list[list[str]]


def copied(parts: Sequence[tuple[float, str]]) -> Copies:
    """Write parts as copies of few patterns. A part is its left end and its SVG, as if that were at 0.

    Parts with the same shapes share a pattern; a copy has only the words that differ from those of the others.

    >>> one, two = (f'<g data-box="n{t}"><text x="1">h[{t}]</text><text x="2">tanh</text></g>' for t in (0, 1))
    >>> made = copied([(10, one), (20, two)])
    >>> made.patterns
    ['<g id="like0"><g data-box=""><text x="1"></text><text x="2">tanh</text></g></g>']
    >>> made.columns[1], made.ids
    ('<g class="column"><use href="#like0" x="20.0"/><text x="21.0">h[1]</text></g>', [['n0'], ['n1']])
    """
    alike: dict[str, list[int]] = {}
    for k, (_, text) in enumerate(parts):
        alike.setdefault(WORDS.sub(r"\1", ID.sub(r'\1=""', text)), []).append(k)
    words = [[found[2] for found in WORDS.finditer(text)] for _, text in parts]
    patterns, columns = [], [""] * len(parts)
    for n, (shape, which) in enumerate(alike.items()):
        shared = [each[0] if len(set(each)) == 1 else "" for each in zip(*(words[k] for k in which), strict=True)]
        patterns.append(f'<g id="like{n}">{with_words(shape, shared)}</g>')
        places = [found[1] for found in WORDS.finditer(shape)]
        for k in which:
            x = parts[k][0]
            each = zip(places, words[k], shared, strict=True)
            own = "".join(f"{moved(place, x)}{text}</text>" for place, text, common in each if not common)
            columns[k] = f'<g class="column"><use href="#like{n}" x="{x:.1f}"/>{own}</g>'
    return Copies(patterns, columns, [[html.unescape(found[2]) for found in ID.finditer(text)] for _, text in parts])


def with_words(shape: str, words: Iterable[str]) -> str:
    """Return a shape with these words in its text elements."""
    each = iter(words)
    return WORDS.sub(lambda found: found[1] + next(each), shape)


def moved(text: str, by: float) -> str:
    """Return the beginning of a text element, moved to the right."""
    return re.sub(r'(?<= x=")[^"]*', lambda found: f"{float(found[0]) + by:.1f}", text, count=1)
