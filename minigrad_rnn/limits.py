"""The range of each setting of a model and of its training. It imports nothing, so that the command line starts at once."""

from __future__ import annotations

import reprlib
from typing import Any

__all__ = ["RANGES", "Limits", "number"]

Limits = tuple[type, float, float]
RANGES: dict[str, Limits] = {
    "hidden": (int, 1, 100_000), "layers": (int, 1, 100), "embedding": (int, 0, 100_000), "dropout": (float, 0, 0.99),
    "zoneout": (float, 0, 1), "weight_dropout": (float, 0, 0.99),
    "length": (int, 1, 10_000), "batch": (int, 1, 1_000_000), "epochs": (int, 1, 10**9), "lr": (float, 1e-12, 1e6),
    "clip": (float, 0, 1e9), "seed": (int, 0, 2**63 - 1),
}  # fmt: skip


def number(name: str, value: Any, limits: Limits | None = None) -> int | float:
    """Return the value of a setting as its type; ValueError says which values it can have.

    >>> number("hidden", 64), number("lr", 1)
    (64, 1.0)
    """
    kind, least, most = limits or RANGES[name]
    if type(value) not in ({int} if kind is int else {int, float}) or not least <= value <= most:
        expected = f"a whole number from {least:,} to {most:,}" if kind is int else f"a number from {least:g} to {most:g}"
        raise ValueError(f"{name} must be {expected}, not {reprlib.repr(value)}")
    converted: int | float = kind(value)
    return converted
