"""Explanation of a gradient: the backward pass from a result to an input, node by node, with the source of the rules."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np

from .errors import GraphFreedError
from .graph import Node, ancestors, leading_to
from .graph_view import Graph
from .norms import norm
from .ops.pullbacks import needed_names
from .source import source_of
from .sweep import reverse
from .tensor import Tensor, differentiable

__all__ = ["Explanation", "Rule", "Step", "explain"]


class Rule(NamedTuple):
    """Rule that turns the gradient of a node into the gradient of one of its operands, with its source text."""

    operand: Node
    text: str


class Step(NamedTuple):
    """Node of the backward pass: the gradient that reached it (its cotangent; None if none did) and its rules."""

    node: Node
    cotangent: np.ndarray | None
    rules: tuple[Rule, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the node, and so of its gradient."""
        return self.node.shape

    @property
    def norm(self) -> float | None:
        """Norm of the gradient, None if none reached the node."""
        return None if self.cotangent is None else float(norm(self.cotangent))


class Explanation(str):
    """Text that `explain` returns. Its `steps` have the same as data, newest node first."""

    __slots__ = ("steps",)
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return str(self)

    __str__ = str.__str__


def explain(y: Tensor, x: Tensor) -> Explanation:
    """Explain the gradient dy/dx: show the backward pass from y to x as text.

    For each node between them, newest first, the text shows the gradient that reached it (its cotangent) with shape and norm,
    and for each operand on the way to x the rule that computed the operand's gradient. y must be a single number. The graph is
    kept, and no ``.grad`` changes. The `steps` of the text are the same as data: each has a `node`, its `cotangent`, `shape`,
    `norm` and `rules`.
    Raises TypeError if y or x is not a tensor; ValueError if one does not require grad, if y is not a single number, or if y
    does not depend on x; `GraphFreedError` after ``y.backward()``.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([0.0, 1.0], requires_grad=True, name="x")
    >>> way = minigrad.explain(np.tanh(x).sum(), x)
    >>> print(way)
    %2 sum(%1)  ()
        gradient: shape (), norm 1
        to %1: lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims)
    %1 tanh(%0)  (2,)
        gradient: shape (2,), norm 1.414
        to %0: g * (lambda out: 1 - out * out)
    %0 x  requires grad  (2,)
        gradient: shape (2,), norm 1.085
    >>> way.steps[-1].cotangent
    array([1.        , 0.41997434])
    """
    for given in (y, x):
        if not isinstance(given, Tensor):
            hint = "; call the function and pass its result" if callable(given) else ""
            raise TypeError(f"explain(y, x) takes two tensors, a result and an input, not {type(given).__name__}{hint}")
    root, goal = differentiable(y), differentiable(x)
    if y.size != 1:
        raise ValueError(f"y must be a single number, not of shape {y.shape}; pass y.sum() or one element of y")
    graph = Graph(y)
    way = leading_to(ancestors([root]), {goal})
    if root not in way:
        raise ValueError("y does not depend on x, so there is nothing to explain: the gradient is zero")
    try:
        found = reverse(root, y._seed(None), way, retain=True)
    except GraphFreedError:
        raise GraphFreedError(
            "backward() has freed the values that the rules need. Call explain before backward(), call "
            "backward(retain_graph=True), or compute y again"
        ) from None
    steps = tuple(step_of(node, goal, way, found.get(node)) for node in reversed(graph.nodes) if node in way)
    text = Explanation("\n".join(line for step in steps for line in lines_of(graph, step)))
    text.steps = steps
    return text


def step_of(node: Node, goal: Node, way: set[Node], cotangent: Any) -> Step:
    towards = [(i, x) for i, x in enumerate(node.operands) if isinstance(x, Node) and x in way and node is not goal]
    g = None if cotangent is None else np.asarray(cotangent)
    return Step(node, g, tuple(Rule(operand, rule_text(node, i)) for i, operand in towards))


def lines_of(graph: Graph, step: Step) -> list[str]:
    size = "none" if step.norm is None else f"shape {step.shape}, norm {step.norm:.4g}"
    rules = [textwrap.indent(f"to %{graph.index[rule.operand]}: {rule.text}", "    ") for rule in step.rules]
    return [heading(graph, step.node), f"    gradient: {size}", *rules]


def heading(graph: Graph, node: Node) -> str:
    name = f" {node.name}" if node.name else ""
    where = f"  in {node.scope}" if node.scope else ""
    space = "  " if name and node.op is None else " "
    return f"%{graph.index[node]}{name}{space}{graph.expression(node)}  {node.shape}{where}"


def rule_text(node: Node, i: int) -> str:
    """Return the source text of a rule; for an elementwise op, with the multiplication by g that the engine does.

    A lambda is shown itself, any other function as a call followed by its definition.
    """
    op = node.op
    rule = op.rules[0 if op.variadic else i]
    if rule == 1:
        return "g"
    if rule == -1:
        return "-g"
    source = source_of(rule)
    if source.is_lambda:
        return f"g * ({source})" if op.kind == "elementwise" else str(source)
    call = f"{'g * ' * (op.kind == 'elementwise')}{source.text}({', '.join(needed_names(rule))})"
    if source.definition:
        return f"{call}, where\n{textwrap.indent(source.definition, '    ')}"
    return f"{call}  ({source.missing})" if source.missing else call
