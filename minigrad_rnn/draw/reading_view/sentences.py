"""The sentences at the top of a reading."""

from __future__ import annotations

from ...reading import Reading, Unit

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


def heading_of(reading: Reading, unit: Unit) -> str:
    """Return a sentence about a unit, empty if it follows no feature. That a unit marks or counts something is said only if the
    model needs it and it follows the feature better than the units of the untrained twin, some of which follow a text too."""
    feature, twin, needed = unit.feature, reading.twin, unit.held.symbol is not None
    if feature is None:
        return ""
    if twin is not None and twin.best(feature) >= abs(unit.r):
        return f"A unit that {'the model needs and that ' if needed else ''}follows “{feature}” as untrained units do"
    follows = f"A unit that follows “{feature}”"
    return HEADINGS.get(feature, follows) if needed else f"{follows}, but that the model does not need"
