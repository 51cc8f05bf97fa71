"""Matrices of small numbers as text: each byte as it is, or as the difference to the one before, deflated together."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.pictures.web import deflated

__all__ = ["packed"]


def packed(matrices: Mapping[str, np.ndarray]) -> tuple[dict[str, dict[str, Any]], str]:
    """Return where each matrix of integers from 0 to 255 lies, and all of them as base64 of raw deflate.

    Rows lie one after the other. With ``"difference": True`` a byte is the difference to the byte on its left, modulo 256: for
    numbers that change slowly this is shorter.
    """
    places: dict[str, dict[str, Any]] = {}
    parts, at = [], 0
    for name, matrix in matrices.items():
        plain = np.ascontiguousarray(matrix, np.uint8)
        difference = np.diff(plain, axis=1, prepend=np.uint8(0)).astype(np.uint8)
        shorter = min((plain, difference), key=lambda a: len(zlib.compress(a.tobytes(), 9)))
        rows, columns = plain.shape
        places[name] = {"at": at, "rows": rows, "columns": columns, "difference": shorter is difference}
        parts.append(shorter.tobytes())
        at += plain.size
    return places, deflated(b"".join(parts))
