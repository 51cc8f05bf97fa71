"""Pictures of recorded graphs.

What is shown: `board` and the views `unroll`, `fold` and `scopes` make a `picture` of boxes and arrows; `timeline` and
`matching` say which step a node belongs to, and what is the same in each. Where it stands: `upright`, with `template`, `ranks`
and `section` for the layout of one step, or `table`. How it looks: `theme` has the colours; `svg` draws it without a renderer;
`dot` writes it for Graphviz, which `render` runs for PNG and PDF. `drawing` saves it and shows it in a notebook; `page` plays
the forward and the backward pass on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph_view import Graph
from ..tensor import Tensor
from .board import Block, Marks
from .details import as_names, marks_for, named_sequences, values_at_hand, values_saved
from .dot import to_dot
from .drawing import Drawing, Page, drawn, keep_within
from .fold import drawn_as, fold
from .fold import fold as folded
from .page import Playback, Shown, own_boxes
from .render import render, renderers
from .scopes import nested
from .timeline import Timeline
from .unroll import unroll

__all__ = [
    "Block",
    "Drawing",
    "Graph",
    "Marks",
    "Page",
    "Playback",
    "Shown",
    "Timeline",
    "draw",
    "drawn",
    "drawn_as",
    "fold",
    "keep_within",
    "render",
    "renderers",
    "to_dot",
    "unroll",
]


def draw(
    result: Tensor | Sequence[Tensor],
    *,
    show: Iterable[str] = ("shape",),
    order: bool = False,
    names: Mapping[str, Any] | None = None,
    fold: bool = False,
    steps: str | Iterable[int] | None = None,
    depth: int | None = None,
    highlight: tuple[Tensor, Tensor] | None = None,
    backward: bool = False,
    title: str = "",
    limit: int | None = 20_000,
) -> Drawing:
    """A picture of the graph that led to `result`: ops as ellipses, leaves and named tensors as boxes.

    Loops are found (see `loops`), and each iteration stands in a frame for its time step, with the parameters that it shares
    with others drawn small in each; so does what was made inside ``scope("t", ...)``. Of more than eight steps the first and
    the last three are drawn; ``steps="all"``, ``"0-3,48-49"`` or a list of numbers chooses others. ``fold=True`` draws each
    loop once, with an arrow back for what it carries. With `depth` instead every scope is a frame in that of its parent, as
    deep as that. Save it with ``.save("graph.svg")`` (also .png, .pdf, .dot); in a notebook it shows itself. As .html it is a
    page that plays the forward and the backward pass, with the values and gradients: ``.page()`` shows that in a notebook,
    ``.view()`` in the web browser.

    `show` is what is written at the nodes: "shape", "dtype", "value" and "grad", small arrays in full, others as least, mean
    and greatest element. A value is known if the backward pass needs it, if `names` has its tensor, or if it follows from
    such values; a dash stands for one that is not, and the title says how to get it. ``order=True`` numbers the ops as the
    backward pass comes to them. `names` gives names to tensors that have none: a dict, such as ``locals()``; in a loop
    h is then h[0], h[1] and so on.
    ``highlight=(loss, W)`` makes all ways from W to loss stand out. ``backward=True`` draws the backward pass too. The tooltip
    of an op says its rule. A tensor that no op made, or that was not recorded, is a box.

    Raises TypeError for anything but tensors, and ValueError for more than `limit` boxes; above 2000 there is a warning.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> drawing = minigrad.draw(loss, show=("shape", "value", "grad"), names={"x": x, "loss": loss})
    >>> [box.lines for box in drawing.picture.boxes if box.role == "parameter"]
    [['x', '(2,)', '[1., 2.]', 'grad [2., 4.]']]
    """
    outputs = tensors_in(result)
    if fold and (steps is not None or depth is not None):
        raise ValueError("fold=True draws each loop once; steps= and depth= are for the unrolled picture: leave them out")
    graph = Graph(outputs, backward=backward, constants=True)
    timeline = Timeline(graph, named_sequences(names), values_saved(graph))
    marks, legend = marks_for(graph, outputs, show, order, names, highlight, timeline)
    if fold and marks.notes and timeline.folded.home:
        legend = ["What is written in a loop is that of its first iteration.", *legend]
    marks.shown = timeline.shown(steps, marks)
    advice = "a part of it (an earlier tensor, or fewer steps)"
    if not fold:
        keep_within(sum(node.op is not None and marks.in_full(node) for node in graph), limit, advice)
    title = "\n".join(line for line in (title, *legend) if line)
    if depth is not None:
        picture = nested(graph, marks, title, depth)
    else:
        picture = folded(graph, marks, title, timeline) if fold else unroll(graph, marks, title)
    hand = [*outputs, *(t for t in as_names(names).values() if isinstance(t, Tensor))]
    known = values_at_hand(graph, hand)

    def shown() -> Shown:
        twins = drawn_as(graph, picture, timeline) if fold and depth is None else {}
        return Shown(own_boxes(graph, picture, twins), marks.names, steps=timeline.steps)

    playback = Playback(graph, known=known, shown=shown)
    return drawn(picture, graph, limit, advice, playback)


def tensors_in(result: Any) -> list[Tensor]:
    """One tensor or several, as a list; an error says what else was given."""
    several = isinstance(result, Iterable) and not isinstance(result, Tensor | np.ndarray | Mapping | str)
    outputs = list(result) if several else [result]
    if not outputs:
        raise ValueError("there is nothing to draw: give a tensor, or several")
    for given in outputs:
        if not isinstance(given, Tensor):
            hint = "call it, and draw its result" if callable(given) else "only tensors remember how they were computed"
            raise TypeError(f"draw takes a tensor, or a list of tensors, not {type(given).__name__}: {hint}")
    return outputs
