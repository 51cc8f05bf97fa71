"""How did this gradient come about? The way back from a result to an input, node by node, with the rules as they stand."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from .graph import Node, ancestors, leading_to, reverse
from .norms import norm
from .snapshot import Graph
from .tensor import Tensor, differentiable

__all__ = ["explain"]


def explain(y: Tensor, x: Tensor) -> str:
    """The backward pass from y to x as text: for each node on the way, newest first, the cotangent that reached it (shape and
    norm), and for each operand towards x the rule of the table that turned it into that operand's.

    y is a single number; the graph is kept. Raises ValueError if y or x does not require grad, or if y does not depend on x.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([0.0, 1.0], requires_grad=True, name="x")
    >>> print(minigrad.explain(np.tanh(x).sum(), x))
    %2 sum(%1)  ()
        its cotangent: shape (), norm 1
        to %1: lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims)
    %1 tanh(%0)  (2,)
        its cotangent: shape (2,), norm 1.414
        to %0: g * (lambda out: 1 - out * out)
    %0 x  requires grad  (2,)
        the gradient: shape (2,), norm 1.085
    """
    root, goal = differentiable(y), differentiable(x)
    graph = Graph(y)
    way = leading_to(ancestors([root]), {goal})
    if root not in way:
        raise ValueError("y does not depend on x, so there is nothing between them; its gradient is zero")
    found = reverse(root, y._seed(None), way, retain=True)
    lines: list[str] = []
    for node in reversed(graph.nodes):
        if node in way:
            what = "the gradient" if node is goal else "its cotangent"
            g = found.get(node)
            size = "none reached it" if g is None else f"shape {np.shape(g)}, norm {norm(g):.4g}"
            lines += [heading(graph, node), f"    {what}: {size}"]
            if node is not goal:
                lines += [
                    f"    to %{graph.index[operand]}: {rule_text(node, i)}"
                    for i, operand in enumerate(node.operands)
                    if isinstance(operand, Node) and operand in way
                ]
    return "\n".join(lines)


def heading(graph: Graph, node: Node) -> str:
    name = f" {node.name}" if node.name else ""
    where = f"  in {node.scope}" if node.scope else ""
    space = "  " if name and node.op is None else " "
    return f"%{graph.index[node]}{name}{space}{graph.expression(node)}  {node.shape}{where}"


def rule_text(node: Node, i: int) -> str:
    """A rule as it stands in the table; of an elementwise op with the product that the engine makes of it."""
    op = node.op
    rule = op.rules[0 if op.variadic else i]
    if rule == 1:
        return "g"
    if rule == -1:
        return "-g"
    text = source_of(rule)
    return f"g * ({text})" if op.kind == "elementwise" else text


def source_of(rule: Callable[..., Any]) -> str:
    """The source of a rule: of a lambda in a table only its own part of the line."""
    try:
        source = textwrap.dedent(inspect.getsource(rule)).strip()
    except OSError:
        return f"{rule.__name__}, whose source is not at hand"
    if rule.__name__ != "<lambda>":
        return source.splitlines()[0].removeprefix("def ").rstrip(":")
    parameters = ", ".join(inspect.signature(rule).parameters)
    start = source.find(f"lambda {parameters}:" if parameters else "lambda:")
    return until_the_end_of_the_argument(source[max(start, 0) :])


def until_the_end_of_the_argument(text: str) -> str:
    """Cut behind the expression that the text begins with: at a comma or bracket of the call around it."""
    depth = 0
    seen_colon = False
    for i, c in enumerate(text):
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return text[:i].strip()
        elif c == ":" and depth == 0:
            seen_colon = True
        elif c in ",\n" and depth == 0 and seen_colon:
            return text[:i].strip()
    return text.strip()
