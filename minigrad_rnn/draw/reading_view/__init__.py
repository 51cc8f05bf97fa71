"""The reading view: a page on which each symbol of a text is coloured by what the network does there."""

from __future__ import annotations

import html
from typing import Any

from minigrad.pictures.dot import printable
from minigrad.pictures.drawing import Page
from minigrad.pictures.web import as_json, filled, head, sources

from ...data.text import Alphabet
from ...models import Sequence
from ...reading import Reading, Unit, read
from .colours import css
from .numbers import level, levels_of, page_data
from .sentences import NOTHING, heading_of

__all__ = ["reading"]

TITLE = "What a network does as it reads"
LISTED = 24  # units in the table
VISIBLE = {" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5"}


def reading(
    model: Sequence | Reading,
    text: Any = None,
    alphabet: Alphabet | None = None,
    *,
    title: str | None = None,
    note: str = "",
    height: int = 860,
    **options: Any,
) -> Page:
    """Draw what a trained model of symbols does as it reads a text: a page on which each symbol has a colour.

    There are four views. Units: one unit of a state, with the feature of the text that it follows, and the next symbols that
    suffer when it is held at its mean. Gates: how far a gate is open. Surprise: -log p of each symbol, with the guesses under
    it, as in Karpathy, Johnson and Fei-Fei (2015). Looking back: the size of the gradient of the guess with respect to each
    symbol before.

    `model`, `text`, `alphabet` and the `options` are those of `rnn.read`: `probe`, `layer`, `features`, `window`, `top` and
    `twin`. You can give a `Reading` instead. `title` is the title of the page, `note` a line below the text. A notebook shows
    the page in a frame of `height` pixels; ``.save("reading.html")`` writes it. It is one file, which loads nothing.

    Raises what `rnn.read` does, and TypeError for a text or options with a Reading.

    >>> import minigrad_rnn as rnn
    >>> text = "to be or not to be, that is the question. " * 3
    >>> alphabet = rnn.Alphabet.of(text)
    >>> model = rnn.Sequence(rnn.LSTM(len(alphabet), 8, rng=0), rnn.Linear(8, len(alphabet), rng=1))
    >>> page = rnn.draw.reading(model, text, alphabet)
    >>> page.html[:15], "http://" in page.html.replace("http://www.w3.org/", "")
    ('<!doctype html>', False)
    """
    if isinstance(model, Reading):
        if text is not None or alphabet is not None or options:
            raise TypeError("a Reading has its text already; give reading(r), or reading(model, text, alphabet, ...)")
        return Page(written(model, title, note), height, TITLE)
    if text is None or alphabet is None:
        raise TypeError("reading needs a text and its alphabet: reading(model, text, alphabet)")
    return reading(read(model, text, alphabet, **options), title=title, note=note, height=height)


def written(made: Reading, title: str | None, note: str) -> str:
    """Return the page as HTML."""
    script, style, frame = sources(__package__, "page.js", "page.css", "page.html")
    inflate, shared = sources("minigrad.pictures", "inflate.js", "colours.css")
    script = f'"use strict";\n{{\n{inflate}{script}}}\n'
    style = shared + style + css()
    facts, data = page_data(made)
    gates, first = facts["gates"], made.units[0]
    shown = html.escape(printable(title or TITLE))
    parts = {
        "title": shown, "note": html.escape(printable(note)),
        "heading": html.escape(heading_of(made, first) or NOTHING),
        "head": head(shown, style, script), "script": script,
        "states": radios("state", [*made.states, "together"]), "gates": radios("gate", [*gates]),
        "no gates": "" if gates else " hidden", "no window": "" if made.saliency.shape[1] else " hidden",
        "features": "".join(f"<option value={k}>{html.escape(name)}</option>" for k, name in enumerate(made.features)),
        "kind": "words" if max(map(len, made.text)) > 1 else "characters", "count": str(len(made.text)),
        "text": coloured(made, first), "plain": escaped("".join(made.text)),
        "rows": "".join(row(made, unit) for unit in made.units[:LISTED]),
        "data": as_json(facts), "bytes": data,
    }  # fmt: skip
    return filled(frame, parts)


def radios(name: str, values: list[str]) -> str:
    """Return a radio button for each value."""
    shown = [(html.escape(value), html.escape("all" if value == "together" else value)) for value in values]
    return "".join(f'<label><input type="radio" name="{name}" value="{v}"><span>{words}</span></label>' for v, words in shown)


def coloured(made: Reading, unit: Unit) -> str:
    """Return the text with the colours of a unit."""
    (levels,), _ = levels_of(made.states[unit.state][:, [unit.index]])
    classes = [f'"n p{level(k)}"' if s == "\n" else f"p{level(k)}" for s, k in zip(made.text, levels.tolist(), strict=True)]
    return "".join(f"<i class={c}>{escaped(s)}</i>" for c, s in zip(classes, made.text, strict=True))


def row(made: Reading, unit: Unit) -> str:
    """Return the row of a unit in the table."""
    numbers = [f"{x:+.2f}" for x in (unit.r, unit.r_chosen)] + [f"{unit.chance:.2f}"] if unit.feature else [""] * 3
    held, suffers = unit.held, ""
    if held.symbol is not None:
        symbol = made.alphabet.symbols[held.symbol]
        suffers = f"<code>{escaped(VISIBLE.get(symbol, symbol))}</code> {held.cost:+.2f} nats, others {held.others:+.2f}"
    cells = [html.escape(unit.name), html.escape(unit.feature or "nothing single"), *numbers, suffers]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def escaped(text: str) -> str:
    """Return a text for HTML, without control characters that a parser would change or refuse."""
    return html.escape("".join(c if c in "\n\t" or c.isprintable() else "\ufffd" for c in text), quote=False)
