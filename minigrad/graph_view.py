"""View of a recorded graph: a list of nodes, and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from .graph import Leaf, Node, ancestors, move_to, same_place
from .sweep import reverse
from .tensor import Tensor, differentiable, lifted

__all__ = ["Graph"]


class Graph:
    """Computation graph of one or more tensors: all nodes that they depend on, oldest first.

    ``print(Graph(loss))`` shows a line for each node: its number, its name if it has one, the op and its operands, shape,
    dtype, and the scope in which it was created. The structure remains after ``backward()``. `nodes` and `index` give the nodes
    and their numbers, `ops` the names of the recorded ops.

    ``Graph(loss, backward=True)`` also shows the backward pass, from its seed to the gradient of every leaf: the nodes that the
    rules record when they run on tensors, each in the scope of its op. `cotangents` maps each node to the node that is its
    gradient, `gradients` does so for the leaves only. `loss` must then be one tensor whose graph is not freed.
    Raises ValueError for a tensor that was not recorded; with ``constants=True`` such a tensor is a node of its own.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([[1.0, 2.0]], name="x")
    >>> W = minigrad.tensor(np.eye(2), requires_grad=True, name="W")
    >>> print(minigrad.Graph(np.tanh(x @ W).sum()))
    %0  x  constant        (1, 2)  float64
    %1  W  requires grad   (2, 2)  float64
    %2     matmul(%0, %1)  (1, 2)  float64
    %3     tanh(%2)        (1, 2)  float64
    %4     sum(%3)         ()      float64
    >>> minigrad.Graph(np.tanh(x @ W).sum()).ops
    ['matmul', 'tanh', 'sum']
    >>> x = minigrad.tensor(2.0, requires_grad=True, name="x")
    >>> print(minigrad.Graph(x.tanh(), backward=True))
    %0  x       requires grad     ()  float64
    %1          tanh(%0)          ()  float64
    -- backward
    %2  seed    requires grad     ()  float64
    %3          multiply(%1, %1)  ()  float64
    %4          subtract(1, %3)   ()  float64
    %5  grad x  multiply(%2, %4)  ()  float64
    """

    def __init__(self, outputs: Tensor | Sequence[Tensor], *, backward: bool = False, constants: bool = False) -> None:
        tensors: list[Any] = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        self.outputs: tuple[Node, ...] = tuple(t._node or t._constant() if constants else differentiable(t) for t in tensors)
        self.cotangents: dict[Node, Node] = {}  # with `backward`: each node's gradient
        self.gradients: dict[Node, Node] = {}  # those of the leaves
        self.seed: Node | None = None
        if backward:
            if len(tensors) != 1:
                raise ValueError(f"a backward pass starts at one tensor, not at {len(tensors)}; pass one, such as their sum")
            self._go_back(tensors[0])
        roots = [*self.outputs, *self.gradients.values()] + ([self.seed] if self.seed else [])
        self.nodes: tuple[Node, ...] = tuple(ancestors(roots, constants=True))
        self.index: dict[Node, int] = {node: i for i, node in enumerate(self.nodes)}

    def _go_back(self, y: Tensor) -> None:
        """Record the whole backward pass. Every rule is recorded because the seed requires grad."""
        root = y._differentiable()
        seed = Tensor(np.ones(y.shape, y.dtype), requires_grad=True, name="seed")
        self.seed = seed._differentiable()
        every = set(ancestors([root]))
        with same_place():
            move_to(None, recording=True)  # under no_grad, too
            found = reverse(root, seed, every, retain=True, lift=lifted)
        self.cotangents = {node: found[node]._differentiable() for node in sorted(found, key=attrgetter("number"))}
        self.gradients = {leaf: g for leaf, g in self.cotangents.items() if leaf.op is None}

    @property
    def ops(self) -> list[str]:
        """Names of the recorded ops, oldest first, without leaves."""
        return [node.op.name for node in self.nodes if node.op is not None]

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes; print() shows them>"

    def __str__(self) -> str:
        names = {node: [node.name] for node in self.nodes if node.name}
        for leaf, g in self.gradients.items():
            names.setdefault(g, []).append(f"grad {leaf.name or f'%{self.index[leaf]}'}")
        rows = [
            (
                f"%{i}",
                " ".join(", ".join(names.get(node, ())).split()),
                self.expression(node),
                str(node.shape),
                str(node.dtype),
                " ".join(str(node.scope or "").split()),
            )
            for i, node in enumerate(self.nodes)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True) if w) for row in rows)
        text = [line.rstrip() for line in lines]
        if self.seed is not None:
            text.insert(self.index[self.seed], "-- backward")
        return "\n".join(text)

    def expression(self, node: Node) -> str:
        """Return a node as the text of a call: ``getitem(%0, index=(3,))``."""
        if isinstance(node, Leaf):
            return "requires grad" if node.requires_grad else "constant"
        arguments = [f"%{self.index[x]}" if isinstance(x, Node) else repr(x) for x in node.operands]
        arguments += [f"{key}={brief(value)}" for key, value in node.options.items() if worth_showing(key, value, node)]
        return f"{node.op.name}({', '.join(arguments)})"

    def index_text(self, node: Node) -> str:
        """Return the index of a getitem as you would write it: ``[3, 0:5]``."""
        return f"[{', '.join(brief(i) for i in node.options['index'])}]"


def worth_showing(option: str, value: Any, node: Node) -> bool:
    """Return False for options that add nothing: keepdims=False, all axes, the shape shown in the same line."""
    if value is None or value is False or option in ("shape", "bounds", "indices"):
        return False
    return not (option == "axis" and isinstance(value, tuple) and node.shape == ())


def brief(value: Any) -> str:
    if isinstance(value, tuple | list):
        inside = ", ".join(brief(v) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, slice):
        parts = ["" if v is None else str(v) for v in (value.start, value.stop)]
        return ":".join(parts if value.step is None else [*parts, str(value.step)])
    if isinstance(value, np.ndarray):
        return f"array{value.shape}" if value.size > 6 else str(value.tolist())
    if value is Ellipsis:
        return "..."
    return str(value)
