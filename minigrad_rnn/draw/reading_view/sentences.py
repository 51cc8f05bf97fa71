"""The sentences at the top of a reading."""

from __future__ import annotations

__all__ = ["NOTHING", "heading_of"]

NOTHING = "The network as it reads"

HEADINGS = {
    "inside “quotes”": "A unit that marks quotations",
    "inside ‘quotes’": "A unit that marks single quotes",
    "inside brackets": "A unit that marks what is inside brackets",
    "bracket depth": "A unit that counts open brackets",
    "position in line": "A unit that counts along the line",
    "indentation": "A unit that remembers the indentation",
    "leading spaces": "A unit that marks leading spaces",
    "inside a comment": "A unit that marks comments",
    "position in word": "A unit that counts along the word",
    "first word of a sentence": "A unit that marks the first word of a sentence",
    "word ends next": "A unit that expects the end of a word",
    "line ends next": "A unit that expects the end of a line",
}


def heading_of(feature: str) -> str:
    """Return a sentence about a unit that follows a feature.

    >>> heading_of("bracket depth"), heading_of("a vowel")
    ('A unit that counts open brackets', 'A unit that follows “a vowel”')
    """
    return HEADINGS.get(feature, f"A unit that follows “{feature}”")
