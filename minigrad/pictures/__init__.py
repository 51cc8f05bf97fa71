"""Pictures of recorded graphs.

Content: `builder` and the views `unroll`, `fold` and `scopes` make a `picture` of boxes and arrows, with the `annotations` of
the nodes. `timeline` finds the time step of each node, `matching` its counterparts in other steps. Layout: `upright`, with
`template`, `ranks` and `section` for one step, or `grid`. Look: `theme` has the colours; `svg` draws without a renderer; `dot`
writes for Graphviz, which `render` runs for PNG and PDF. `drawing` saves a picture and shows it in a notebook; `page` plays the
forward and the backward pass on it; `web` puts the parts of such a page together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph_view import Graph
from ..tensor import Tensor
from .annotations import Annotations, Block
from .details import annotate, as_names, named_sequences
from .dot import to_dot
from .drawing import Drawing, Page, drawn, keep_within
from .fold import drawn_as, fold
from .fold import fold as folded
from .known_values import values_held, values_saved
from .page import Playback, Shown, own_boxes
from .picture import Picture
from .plain import draw_graph
from .render import render, renderers
from .scopes import nested
from .timeline import Timeline
from .unroll import unroll

__all__ = [
    "Annotations",
    "Block",
    "Drawing",
    "Graph",
    "Page",
    "Playback",
    "Shown",
    "Timeline",
    "draw",
    "draw_graph",
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
    """Draw the graph that led to `result`: ops as ellipses, leaves and named tensors as boxes.

    Loops are found (see `loops`). Each iteration is drawn in a frame for its time step, with small boxes for the parameters
    that it shares with others. So is everything created inside ``scope("t", ...)``. Of more than eight steps, the first and the
    last three are drawn; ``steps="all"``, ``"0-3,48-49"`` or a list of numbers chooses others. ``fold=True`` draws each loop
    once, with an arrow back for what it carries. `depth` draws a frame for each scope instead, nested as deep as this number.

    ``.save("graph.svg")`` writes a file (also .png, .pdf, .dot, .html). A notebook shows the picture. The .html page plays the
    forward and the backward pass, with values and gradients: ``.page()`` shows it in a notebook, ``.view()`` in the browser.

    `show` selects the lines at the nodes: "shape", "dtype", "value" and "grad", small arrays in full, others as least, mean
    and greatest element. A value is known if the backward pass needs it, if `names` has its tensor, or if it follows from
    such values. A dash marks an unknown value; the title explains how to get it. ``order=True`` numbers the ops in the order
    of the backward pass. `names`, a dict such as ``locals()``, names tensors that have no name; in a loop h becomes h[0], h[1]
    and so on. ``highlight=(loss, W)`` highlights all paths from W to loss. ``backward=True`` draws the backward pass too. The
    tooltip of an op shows its rule. A tensor that no op made, or that was not recorded, is a box.

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
    annotations, legend = annotate(graph, outputs, show, order, names, highlight, timeline)
    if fold and annotations.notes and timeline.folded.home:
        legend = ["What is written in a loop is that of its first iteration.", *legend]
    annotations.shown = timeline.shown(steps, annotations)
    advice = "a part of it (an earlier tensor, or fewer steps)"
    if not fold:
        keep_within(sum(node.op is not None and annotations.in_full(node) for node in graph), limit, advice)
    picture = view(graph, annotations, "\n".join(filter(None, (title, *legend))), timeline, fold, depth)
    held = [*outputs, *(t for t in as_names(names).values() if isinstance(t, Tensor))]

    def shown() -> Shown:
        twins = drawn_as(graph, picture, timeline) if fold and depth is None else {}
        return Shown(own_boxes(graph, picture, twins), annotations.names, steps=timeline.steps)

    return drawn(picture, graph, limit, advice, Playback(graph, known=values_held(graph, held), shown=shown))


def view(graph: Graph, annotations: Annotations, title: str, timeline: Timeline, fold: bool, depth: int | None) -> Picture:
    """The picture in nested frames, folded or unrolled."""
    if depth is not None:
        return nested(graph, annotations, title, depth)
    return folded(graph, annotations, title, timeline) if fold else unroll(graph, annotations, title)


def tensors_in(result: Any) -> list[Tensor]:
    """One tensor or several, as a list. Raise TypeError for anything else, ValueError for none."""
    several = isinstance(result, Iterable) and not isinstance(result, Tensor | np.ndarray | Mapping | str)
    outputs = list(result) if several else [result]
    if not outputs:
        raise ValueError("there is nothing to draw: give a tensor, or several")
    for given in outputs:
        if not isinstance(given, Tensor):
            hint = "call it, and draw its result" if callable(given) else "only tensors remember how they were computed"
            raise TypeError(f"draw takes a tensor, or a list of tensors, not {type(given).__name__}: {hint}")
    return outputs
