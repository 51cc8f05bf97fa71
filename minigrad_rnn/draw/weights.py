"""The weights of attention as a table with a colour for each: a row for each step that attends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.pictures import Drawing, drawn
from minigrad.pictures.dot import printable
from minigrad.pictures.picture import Box, Legend, Picture, Place
from minigrad.tensor import values

from .reading_view import VISIBLE

__all__ = ["attention"]

LEAST = 0.005  # a smaller weight has a colour only


def attention(
    weights: Any, read: Sequence[Any] | None = None, written: Sequence[Any] | None = None, *, title: str | None = None
) -> Drawing:
    """Draw the weights of attention of one sequence: a row for each query, a column for each state that it reads.

    `weights` has shape (T, S): a sequence of `EncoderDecoder.attention_weights` or of `AttentionCell.weights`. `read` names the
    S columns and `written` the T rows: a text, or a list of texts. Without names they are numbered. The darker a box, the
    larger its weight, from 0 to 1. Raises ValueError for another shape, weights that are not from 0 to 1, and for names that
    are more or fewer than rows or columns.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> print(rnn.draw.attention([[0.1, 0.9], [0.75, 0.25]], "ab", "ba").text)
          a    b
    b  0.10 0.90
    a  0.75 0.25
    """
    table = np.asarray(values(weights), float)
    if table.ndim != 2 or not table.size:
        advice = "; draw one sequence, weights[0]" if table.ndim == 3 else ""
        raise ValueError(f"weights have shape {table.shape}; expected (T, S){advice}")
    if not ((table >= 0) & (table <= 1 + 1e-3)).all():
        raise ValueError(f"weights must be from 0 to 1; these are from {table.min():g} to {table.max():g}")
    T, S = table.shape
    columns, rows = labels("read", read, S), labels("written", written, T)
    picture = Picture(f"attention: {T} x {S} weights" if title is None else title, Legend("weight", "0", "1"), dense=True)
    picture.boxes = [Box(f"read{s}", "words", [name], f"column {s}", at=Place(s + 1, T)) for s, name in enumerate(columns)]
    for t, name in enumerate(rows):
        picture.boxes.append(Box(f"written{t}", "words", [f"{name} "], f"row {t}", at=Place(0, T - 1 - t)))
        for s, weight in enumerate(table[t]):
            words = [f"{weight:.2f}" if weight >= LEAST else ""]
            tooltip = f"{name} reads {columns[s]}: {weight:.3g}"
            box = Box(f"a{t}_{s}", "constant", words, tooltip, heat=min(float(weight), 1.0), at=Place(s + 1, T - 1 - t))
            picture.boxes.append(box)
    return drawn(picture, as_text(table, columns, rows), advice="fewer steps, weights[:20, :20]")


def labels(name: str, given: Sequence[Any] | None, count: int) -> list[str]:
    """Return the names of rows or columns, by default their numbers."""
    found = [printable(VISIBLE.get(label, label)) for label in map(str, range(count) if given is None else given)]
    if len(found) != count:
        raise ValueError(f"{name} has {len(found)} names, for weights of {count} {'columns' if name == 'read' else 'rows'}")
    return found


def as_text(table: np.ndarray, columns: list[str], rows: list[str]) -> str:
    wide = max(map(len, rows)) + 1
    widths = [max(5, len(name) + 1) for name in columns]
    lines = [" " * wide + "".join(f"{name:>{width}}" for name, width in zip(columns, widths, strict=True))]
    for name, row in zip(rows, table, strict=True):
        lines.append(f"{name:<{wide}}" + "".join(f"{a:{width}.2f}" for a, width in zip(row, widths, strict=True)))
    return "\n".join(lines)
