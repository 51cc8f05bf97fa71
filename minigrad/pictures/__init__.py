"""Pictures of recorded graphs.

`board` and the views `unroll` and `fold` decide what is shown, as a `picture`; `dot` says how, as DOT text (`table` where a
picture is one); `render` turns that into SVG, PNG or PDF; `drawing` saves it and shows it in a notebook. `page` makes a web
page of it that plays the forward and the backward pass; `inline` puts the picture into that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..snapshot import Graph
from ..tensor import Tensor
from .board import Block, Marks
from .details import marks_for, values_at_hand
from .dot import to_dot
from .drawing import Drawing, drawn, keep_within
from .fold import fold
from .page import Playback, Shown, own_boxes
from .render import render, renderers
from .scopes import nested
from .unroll import unroll

__all__ = [
    "Block",
    "Drawing",
    "Graph",
    "Marks",
    "Playback",
    "Shown",
    "draw",
    "drawn",
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
    depth: int | None = None,
    highlight: tuple[Tensor, Tensor] | None = None,
    backward: bool = False,
    title: str = "",
    limit: int | None = 20_000,
) -> Drawing:
    """A picture of the graph that led to `result`: ops as ellipses, leaves and named tensors as boxes.

    What was made inside ``scope("t", ...)`` stands in a frame for its time step; with `depth` instead every scope is a frame
    in that of its parent, as deep as that. Save it with ``.save("graph.svg")`` (also .png, .pdf, .dot); in a notebook it shows
    itself. As .html it is a page that plays the forward and the backward pass, with the values and gradients.

    `show` is what is written at the nodes: "shape", "dtype", "value" and "grad", small arrays in full, others as least, mean
    and greatest element. (Values are shown where they are known: of what was saved for the backward pass, and what follows
    from it.) ``order=True`` numbers the ops as the backward pass comes to them. `names` gives names to tensors that have none:
    a dict, such as ``locals()``. ``highlight=(loss, W)`` makes all ways from W to loss stand out. ``backward=True`` draws the
    backward pass too. The tooltip of an op says its rule.

    Raises ValueError for a tensor that was not recorded, and for more than `limit` boxes; above 2000 there is a warning.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> drawing = minigrad.draw(loss, show=("shape", "value", "grad"), names={"x": x, "loss": loss})
    >>> [box.lines for box in drawing.picture.boxes if box.role == "parameter"]
    [['x', '(2,)', '[1., 2.]', 'grad [2., 4.]']]
    """
    outputs: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
    if not outputs:
        raise ValueError("there is nothing to draw: give a tensor, or several")
    graph = Graph(outputs, backward=backward)
    advice = "a part of it (an earlier tensor, or fewer steps)"
    keep_within(sum(node.op is not None for node in graph), limit, advice)
    marks = marks_for(graph, outputs, show, order, names, highlight)
    picture = unroll(graph, marks, title) if depth is None else nested(graph, marks, title, depth)
    hand = [*outputs, *(t for t in (names or {}).values() if isinstance(t, Tensor))]
    known = values_at_hand(graph, hand)
    playback = Playback(graph, known=known, shown=lambda: Shown(own_boxes(graph, picture), marks.names))
    return drawn(picture, graph, limit, advice, playback)
