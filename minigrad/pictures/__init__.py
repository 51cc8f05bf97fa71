"""Pictures of recorded graphs.

`board` and the views `unroll` and `fold` decide what is shown, as a `picture`; `dot` says how, as DOT text; `render` turns
that into SVG, PNG or PDF; `drawing` saves it and shows it in a notebook.
"""

from __future__ import annotations

from ..snapshot import Graph
from ..tensor import Tensor
from .board import Marks
from .dot import to_dot
from .drawing import Drawing
from .fold import fold
from .render import render, renderers
from .unroll import unroll

__all__ = ["Drawing", "Graph", "Marks", "draw", "fold", "render", "renderers", "to_dot", "unroll"]


def draw(result: Tensor, *, title: str = "") -> Drawing:
    """A picture of the graph that led to `result`: ops as ellipses, leaves and named tensors as boxes.

    What was made inside ``scope("t", ...)`` stands in a frame for its time step. Save it with ``.save("graph.svg")`` (also
    .png, .pdf, .dot); in a notebook it shows itself. Raises ValueError for a tensor that was not recorded.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> minigrad.draw((x * x).sum()).source.splitlines()[0]
    'digraph {'
    """
    graph = Graph(result)
    return Drawing(to_dot(unroll(graph, Marks(), title)), text=str(graph))
