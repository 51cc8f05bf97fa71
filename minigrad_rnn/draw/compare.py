"""Several networks on the same sequence, one above the other, on one colour scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigrad.pictures import Drawing, Graph, drawn
from minigrad.pictures.builder import runs, shortened
from minigrad.pictures.folded_steps import chosen_steps, strip
from minigrad.pictures.picture import Arrow, Box, Picture, Place

from ..stepwise import Run, run
from .annotations import annotations_of, loss_words
from .overlays import Measured, Scale, measure, put

__all__ = ["compare"]


def compare(
    models: Mapping[str, Any],
    inputs: Any,
    targets: Any = None,
    *,
    loss: str | None = None,
    reduction: str = "mean",
    steps: str | Iterable[int] | None = None,
    overlay: str = "gradient",
    scale: tuple[float, float] | None = None,
    title: str | None = None,
) -> Drawing:
    """Networks of one layer, by name, run over the same sequence: the states of each in a row, all on one colour scale.

    The states are coloured by the norm of dL/dh[t] (and dL/dc[t]), or by the "activation" or "saturation", as `unrolled` does.
    `inputs`, `targets`, `loss` and `reduction` are as for `unrolled`.
    A ManyToOne has its loss at the end only, so that its row shows what the network carries back from there.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> kinds = {"RNN": rnn.RNN(1, 4, rng=0), "LSTM": rnn.LSTM(1, 4, rng=0)}
    >>> models = {name: rnn.ManyToOne(layer, rnn.Linear(4, 2, rng=1)) for name, layer in kinds.items()}
    >>> drawing = rnn.draw.compare(models, np.ones((50, 1, 1)), [1])
    >>> [box.lines for box in drawing.picture.boxes if box.role == "cell"]
    [['LSTM'], ['RNN']]
    """
    if not isinstance(models, Mapping) or not models:
        given = "an empty dict" if isinstance(models, Mapping) else type(models).__name__
        raise ValueError(f"there is nothing to compare: give models by name, {{'RNN': ..., 'LSTM': ...}}, not {given}")
    if overlay not in ("gradient", "activation", "saturation"):
        raise ValueError(f"overlay must be gradient, activation or saturation, not {overlay!r}")
    runs_made = {name: run(model, inputs, targets, loss=loss, reduction=reduction) for name, model in models.items()}
    for name, made in runs_made.items():
        if overlay == "gradient" and made.loss is None:
            raise ValueError("a gradient begins at a loss: give targets too")
        if len(made.states) != 1:
            raise ValueError(f"{name} has more than one row of states; compare networks of one layer that read forwards")
    graphs = {name: Graph(made.roots) for name, made in runs_made.items()}
    found = {name: measure(overlay, made, graphs[name]) for name, made in runs_made.items()}
    everything = Measured(overlay, {node: x for part in found.values() for node, x in part.sizes.items()})
    for part in found.values():
        everything.flows |= part.flows
    on = everything.scale(scale)
    count = next(iter(runs_made.values())).columns
    shown = chosen_steps(steps, count)
    picture = Picture()
    rows = max(len(cell.state_names) for made in runs_made.values() for cell in made.cells.values())
    for i, (name, made) in enumerate(reversed(runs_made.items())):
        annotations = annotations_of(made, graphs[name], None)
        picture.legend = put(found[name], annotations, made, on)
        add_row(picture, name, made, annotations.pieces, found[name], on, shown, 1 + rows * i)
    picture.title = f"{len(models)} networks over the same {count} steps{loss_words(made)}" if title is None else title
    return drawn(picture, graphs[next(iter(graphs))], None, "")


def add_row(
    picture: Picture, name: str, made: Run, pieces: Any, found: Measured, scale: Scale, shown: set[int], base: int
) -> None:
    """One network: a frame with the states in full at both ends, and strips between."""
    ((line, steps),) = made.states.items()
    cell = made.cells[line]
    places = sorted([*((t, t) for t in shown), *runs(set(range(made.columns)) - shown)])
    picture.boxes.append(
        Box(f"frame{base}", "cell", [shortened(name)], name, at=Place(1, base, len(places), len(cell.state_names)))
    )
    for k, state in enumerate(cell.state_names):
        row = base + len(cell.state_names) - 1 - k  # the output on top
        before = ""
        for column, (first, last) in enumerate(places, 1):
            id = f"{state}{base}_{first}"
            node = steps[last][k]._node
            if first != last:
                values = [v for track, v in pieces.items() if track.startswith(f"{state} ")]
                box = strip(id, state, first, last, *(values or [{}])[:1])
                box.lines = []
            else:
                size = found.sizes.get(node) if node is not None else None
                heat = None if size is None else scale.heat(size)
                box = Box(id, "state", [f"{state}[{first}]", found.text(size)], heat=heat)
            box.at = Place(column, row)
            picture.boxes.append(box)
            if before:
                previous = steps[first - 1][k]._node
                size = found.returns.get(previous) if previous is not None else None
                picture.arrows.append(Arrow(before, id, "recurrent", heat=None if size is None else scale.heat(size)))
            before = id
        if not k and made.loss is not None:
            loss = Box(f"loss{base}", "loss", ["loss", f"{made.loss.item():.3g}"], at=Place(len(places) + 1, row))
            picture.boxes.append(loss)
            picture.arrows.append(Arrow(before, loss.id))
