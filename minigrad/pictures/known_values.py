"""Known values and gradients of nodes: held by somebody, saved for the rules, or computed from these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import GraphFreedError
from ..graph import Leaf, Node, ancestors, reverse
from ..graph_view import Graph
from ..tensor import Tensor

__all__ = ["cotangents", "values_held", "values_saved", "values_that_follow"]


def values_held(graph: Graph, tensors: Iterable[Tensor]) -> dict[Node, np.ndarray]:
    """The values of these tensors, by their nodes."""
    return {node: t.data for t in tensors for node in (t._node, t._leaf) if node in graph.index}


def values_saved(graph: Graph) -> dict[Node, np.ndarray]:
    """Values that were saved for the rules, of operands and results."""
    found: dict[Node, np.ndarray] = {}
    for node in graph:
        if isinstance(node.saved, tuple):
            for which, array in zip((node, *node.operands), node.saved, strict=False):
                if isinstance(which, Node) and isinstance(array, np.ndarray | np.generic) and np.shape(array) == which.shape:
                    found.setdefault(which, np.asarray(array))
    return found


def values_that_follow(graph: Graph, known: Mapping[Node, np.ndarray]) -> dict[Node, np.ndarray]:
    """Known values, and those that the ops compute from them."""
    found = dict(known)
    for node in graph:
        if node not in found and node.op is not None and all(x in found for x in node.parents):
            operands = [found[x] if isinstance(x, Node) else x for x in node.operands]
            with np.errstate(all="ignore"):
                found[node] = np.asarray(node.op.forward(*operands, **node.options))
    return found


def cotangents(graph: Graph) -> dict[Node, np.ndarray]:
    """The gradient of the sum of the outputs for every node; once the graph is freed, the `.grad` of its leaves."""
    found: dict[Node, np.ndarray] = {}
    try:
        for root in graph.outputs:
            if not root.requires_grad:
                continue
            every = set(ancestors([root]))
            for node, g in reverse(root, np.ones(root.shape, root.dtype), every, retain=True).items():
                found[node] = found[node] + g if node in found else g
    except GraphFreedError:
        return {node: node.grad for node in graph if isinstance(node, Leaf) and node.grad is not None}
    return found
