"""Sizes of texts and boxes in points, rather too large than too small: the reader's fonts are not known here."""

from __future__ import annotations

import unicodedata

from .picture import Box

__all__ = ["FONTS", "PIECE", "STRIP", "lines_at", "size", "text_width"]

PIECE, STRIP, LONGEST_STRIP = 6.0, 16.0, 240.0  # width of a piece of a strip, its height, and the greatest width
FONTS = {"op": 11.0, "backward": 11.0, "slice": 8.5, "alias": 9.0, "constant": 9.0, "unit": 11.0, "sign": 28.0, "cell": 10.0,
         "words": 10.0, "input": 11.0, "target": 11.0, "output": 11.0, "initial": 11.0, "parameter": 11.0}  # fmt: skip
LEAST = {"op": (34.0, 22.0), "backward": (34.0, 22.0), "slice": (30.0, 14.0), "alias": (30.0, 17.0), "constant": (30.0, 17.0),
         "block": (40.0, 32.0),
    "tensor": (40.0, 28.0), "collect": (6.0, 6.0)}  # fmt: skip
WIDTHS = (
    dict.fromkeys("il'|", 0.25)
    | dict.fromkeys("I ,.:;![]/tfj()-rs", 0.36)
    | dict.fromkeys("ABCDEFGHKNOPQRSTUVXYZ&+=<>~", 0.7)
    | {"m": 0.85, "w": 0.75, "W": 0.97, "M": 0.86, "@": 1.02}
)
ROUND = ("op", "backward", "collect", "unit")  # the roles of boxes that are ellipses
SECOND = 2.2  # by so many points later lines are smaller than the first


def text_width(text: str, points: float) -> float:
    """The approximate width of a text; Chinese letters and emoji are as wide as high."""
    wide = (1.1 if unicodedata.east_asian_width(c) in "WF" or ord(c) > 0x2FFF else WIDTHS.get(c, 0.58) for c in text)
    return sum(wide) * points


def font(box: Box, i: int = 0) -> float:
    """The size of the letters of a line of a box."""
    first = FONTS.get(box.role, 11.5)
    return first if i == 0 or box.role in ("alias", "cell", "words", "unit") else first - SECOND


def leading(box: Box) -> list[float]:
    """The height of each line."""
    return [1.2 * font(box, i) for i in range(len(box.lines))]


def lines_at(box: Box) -> list[float]:
    """The base line of each line, downwards from the middle of the box."""
    heights = leading(box)
    top = -sum(heights) / 2
    return [top + sum(heights[:i]) + 0.5 * h + 0.34 * font(box, i) for i, h in enumerate(heights)]


def size(box: Box) -> tuple[float, float]:
    """Width and height of a box."""
    if box.pieces:
        return max(min(len(box.pieces) * PIECE, LONGEST_STRIP), text_width(" ".join(box.lines), 8) + 8), STRIP
    wide = max((text_width(line, font(box, i)) for i, line in enumerate(box.lines)), default=0.0)
    high = sum(leading(box))
    width, height = LEAST.get(box.role, (46.0, 28.0))
    if box.role == "collect":
        return width, height
    if box.role == "unit":
        return (max(wide + 10, 30.0),) * 2
    if box.role == "sign":
        return 64.0, 40.0
    if box.role == "words":
        return wide, high
    if box.role in ("op", "backward"):
        if len(box.lines) == 1 and len(box.lines[0]) == 1:
            return 22.0, 22.0
        return max(width, wide + 12 if len(box.lines) == 1 else 1.2 * wide + 12), max(
            height, high + 9 if len(box.lines) > 1 else 0
        )
    return max(width, wide + 8), max(height, high + 5)
