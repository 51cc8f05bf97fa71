"""The colours of a reading: ramps from the paper to a colour, in light and in dark, on which one ink can be read."""

from __future__ import annotations

import numpy as np

__all__ = ["DARK", "LEVELS", "LIGHT", "contrast", "css", "ramp"]

LEVELS = 16  # of a ramp

# The ends of the ramps are as strong as one ink for all levels allows, with a contrast of at least 4.5.
LIGHT = {
    "paper": "#ffffff", "ink": "#10141a",
    "plus": "#3f8cf0", "minus": "#ec7c2f", "gates": "#9570ea", "surprise": "#ee5f68", "back": "#3fae69",
}  # fmt: skip
DARK = {
    "paper": "#15181c", "ink": "#f2f4f7",
    "plus": "#2a6dd2", "minus": "#b3530d", "gates": "#7a52d6", "surprise": "#c23c4a", "back": "#207d46",
}  # fmt: skip

# OKLab (Ottosson 2020), in which equal steps look equal
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colour: str) -> np.ndarray:
    """Return the linear red, green and blue of "#rrggbb", from 0 to 1."""
    c = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def hexadecimal(rgb: np.ndarray) -> str:
    """Return "#rrggbb" of linear red, green and blue."""
    c = np.clip(rgb, 0, 1)
    c = np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(float(x) * 255):02x}" for x in c)


def ramp(paper: str, colour: str) -> list[str]:
    """Return the colours from the paper to a colour, in steps that look equal.

    >>> ramp("#ffffff", "#000000")[::8]
    ['#ffffff', '#636363', '#000000']
    """
    begin, end = (TO_LAB @ np.cbrt(TO_CONES @ linear(c)) for c in (paper, colour))
    steps = [begin + (end - begin) * k / LEVELS for k in range(LEVELS + 1)]
    return [hexadecimal(np.linalg.solve(TO_CONES, np.linalg.solve(TO_LAB, lab) ** 3)) for lab in steps]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2)."""
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


def css() -> str:
    """Return the rules of the classes p0 to p32, from orange over the paper to blue, and s1 to s16 of the other views."""
    return f"{rules(LIGHT)}\n@media screen and (prefers-color-scheme: dark) {{\n{rules(DARK)}\n}}\n"


def rules(colours: dict[str, str]) -> str:
    paper = colours["paper"]
    both = ramp(paper, colours["minus"])[:0:-1] + ramp(paper, colours["plus"])
    found = [f".p{k}{{background:{c}}}" for k, c in enumerate(both) if k != LEVELS]
    for view in ("gates", "surprise", "back"):
        found += [f".{view} .s{k}{{background:{c}}}" for k, c in enumerate(ramp(paper, colours[view])) if k]
    return "\n".join([f"#text,#glyph{{color:{colours['ink']}}}", *found])
