"""The page of a training: a slider over its snapshots, with the gradient through time, the text that it says, and the loss."""

from __future__ import annotations

import html
import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.pictures.dot import printable
from minigrad.pictures.drawing import Page
from minigrad.pictures.web import as_json, filled, head, sources

from ...data.text import Alphabet, checked
from ...history import History
from ...watching import Snapshot, Watch
from ..reading_view import VISIBLE, escaped
from .stills import curve, heat, ramp, range_of

__all__ = ["Live", "training"]

TITLE = "A network as it learns"
LONGEST = 90  # characters of a text in the table
NAMED = 60  # time steps that have room for a symbol


class Line(NamedTuple):
    """The norms of a state of a layer (snapshots, T), its name, and the ends of their scale."""

    name: str
    norms: np.ndarray
    low: float
    high: float


def training(
    watch: Watch, *, symbols: Alphabet | None = None, title: str | None = None, note: str = "", height: int = 860
) -> Page:
    """Draw a training that a `Watch` has followed: a page with a slider over its snapshots.

    For each snapshot it shows the gradient along the sequence, ``|dL/dh[t]|`` on a logarithmic scale, the text that the model
    says, and its place on the curve of the loss. Below are all snapshots at once, a row for each, in which you see a gradient
    vanish or explode. If the Watch has one sequence, `symbols`, the alphabet of its inputs, names the time steps. `title` is
    the title of the page, `note` a line at its end. A notebook shows the page in a frame of `height` pixels;
    ``.save("training.html")`` writes it. It is one file, which loads nothing.

    Raises TypeError unless it gets a Watch, and ValueError if the Watch has followed no training, or for another alphabet.

    >>> import minigrad_rnn as rnn
    >>> task, watch = rnn.tasks.hello(), rnn.Watch()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(task, 20, progress=False, watch=watch)
    >>> page = rnn.draw.training(watch, symbols=task.alphabet)
    >>> "After 20 updates" in page.html
    True
    """
    if not isinstance(watch, Watch):
        raise TypeError(f"training needs a Watch, such as fit(..., watch=watch) has filled, not {type(watch).__name__}")
    if not isinstance(symbols, Alphabet | None):
        raise TypeError(f"symbols must be the Alphabet of the inputs, such as task.alphabet, not {type(symbols).__name__}")
    if not watch.updates:
        raise ValueError("this Watch has followed no training; give it to Trainer.fit(..., watch=watch) first")
    labels = labels_of(watch, symbols)
    return Page(written(watch.snapshots, watch.history, labels, title or TITLE, note), height, TITLE)


def labels_of(watch: Watch, symbols: Alphabet | None) -> list[str]:
    """Return the symbols that one sequence has at its time steps; nothing without an alphabet, or for several sequences."""
    if symbols is None or watch.batch is None or watch.batch.size > 1:
        return []
    inputs = np.asarray(watch.batch.inputs)[:, 0]
    if inputs.ndim == 2 and inputs.shape[1] != len(symbols):
        raise ValueError(f"the inputs have {inputs.shape[1]} features, and symbols has {len(symbols)}; give their own alphabet")
    return [symbols.symbols[k] for k in (inputs.argmax(-1) if inputs.ndim == 2 else checked(inputs, len(symbols))).tolist()]


def written(shots: list[Snapshot], history: History, labels: list[str], title: str, note: str) -> str:
    """Return the page as HTML."""
    script, style, frame = sources(__package__, "page.js", "page.css", "page.html")
    lines, last = lines_of(shots), shots[-1]
    picture, top = curve(history.loss, history.validation)
    T = max(line.norms.shape[1] for line in lines)
    named = labels if len(labels) == T <= NAMED else []
    shown = html.escape(printable(title))
    parts = {
        "title": shown, "note": html.escape(printable(note)),
        "heading": heading_of(last), "sub": f"Loss {number(last.loss)}.",
        "head": head(shown, style, script), "script": script,
        "last": str(len(shots) - 1), "no text": " hidden" if last.says is None else "", "says": escaped(last.says or ""),
        "column": "" if last.says is None else "it says",
        "lines": "".join(radio(k, line.name) for k, line in enumerate(lines)), "one line": " hidden" if len(lines) == 1 else "",
        "heats": "".join(figure(k, line) for k, line in enumerate(lines)), "ramp": ramp(),
        "low": number(lines[0].low), "high": number(lines[0].high),
        "first update": f"{shots[0].update:,}", "last update": f"{last.update:,}",
        "steps": steps_of(named) or f"<span>t = 0</span><span>t = {T - 1}</span>", "named": "named" if named else "plain",
        "curve": picture, "top": number(top), "updates": f"{len(history.loss):,}",
        "name": html.escape(lines[0].name), "rows": "".join(row(k, shot, lines[0]) for k, shot in enumerate(shots)),
        "data": as_json(facts_of(shots, lines, len(history.loss))),
    }  # fmt: skip
    return filled(frame, parts)


def lines_of(shots: list[Snapshot]) -> list[Line]:
    """Return the norms of each state of each layer that has them."""
    found: list[Line] = []
    for name in shots[0].norms:
        every = np.stack([shot.norms[name] for shot in shots])
        for layer in range(every.shape[1]):
            norms = every[:, layer]
            if not np.isnan(norms).all() or not found:
                found.append(Line(name + (str(layer) if every.shape[1] > 1 else ""), norms, *range_of(norms)))
    return found


def facts_of(shots: list[Snapshot], lines: list[Line], count: int) -> dict[str, Any]:
    """Return the numbers that the script shows, with digits enough that it rounds them as the table does."""
    return {
        "updates": [shot.update for shot in shots], "losses": [digits(shot.loss) for shot in shots], "count": count,
        "says": [shot.says for shot in shots],
        "lines": [
            {"name": line.name, "low": digits(line.low), "high": digits(line.high),
             "norms": [[digits(x) for x in row] for row in line.norms.tolist()]}
            for line in lines
        ],
    }  # fmt: skip


def digits(x: float) -> float | None:
    return float(f"{x:.8g}") if math.isfinite(x) else None


def number(x: float) -> str:
    """Return a number for people, with three digits.

    >>> number(0.012345), number(1.2e-7)
    ('0.0123', '1.2e-07')
    """
    return f"{x:.3g}"


def heading_of(shot: Snapshot) -> str:
    count = f"After {shot.update:,} update{'s' * (shot.update != 1)}"
    return count + ("" if shot.says is None else " it says")


def radio(k: int, name: str) -> str:
    checked = "" if k else " checked"
    return f'<label><input type="radio" name="line" value="{k}"{checked}><span>{html.escape(printable(name))}</span></label>'


def figure(k: int, line: Line) -> str:
    return f'<div class="heat"{" hidden" if k else ""}>{heat(line.norms, line.low, line.high)}</div>'


def steps_of(labels: list[str]) -> str:
    return "".join(f"<i>{escaped(VISIBLE.get(label, label))}</i>" for label in labels)


def row(k: int, shot: Snapshot, line: Line) -> str:
    """Return the row of a snapshot in the table."""
    says = shot.says or ""
    text = escaped(says[:LONGEST].replace("\n", VISIBLE["\n"])) + "\u2026" * (len(says) > LONGEST)
    cells = [f"{shot.update:,}", number(shot.loss), number(float(line.norms[k, 0]))]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}<td><code>{text}</code></td></tr>"


class Live:
    """A picture of the snapshots so far, which a notebook shows and updates in place during the training."""

    def __init__(self, shots: list[Snapshot], history: History) -> None:
        self.shots, self.history = shots, history

    def _repr_html_(self) -> str:
        last, line = self.shots[-1], lines_of(self.shots)[0]
        picture, top = curve(self.history.loss, self.history.validation)
        says = "" if last.says is None else f'<pre style="margin: 0; white-space: pre-wrap">{escaped(last.says)}</pre>'
        parts = [
            f"<b>{heading_of(last)}</b>, loss {number(last.loss)}", says,
            f"loss by update, 0 to {number(top)}", framed(picture, "#c23c4a", 90),
            f"|dL/d{html.escape(printable(line.name))}[t]| by time step, the latest snapshot at the bottom",
            framed(heat(line.norms, line.low, line.high), "#7a52d6", 140),
        ]  # fmt: skip
        return f'<div style="max-width: 640px">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def framed(picture: str, colour: str, height: int) -> str:
    return picture.replace("<svg ", f'<svg width="100%" height="{height}" style="color: {colour}; border: 1px solid #8886" ', 1)
