"""Where does a gradient come from? The way back from a result to an input, node by node, with the rules as they are written."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np

from .errors import GraphFreedError
from .graph import Node, ancestors, leading_to
from .graph_view import Graph
from .norms import norm
from .ops.binding import needed_names
from .source import source_of
from .sweep import reverse
from .tensor import Tensor, differentiable

__all__ = ["Explanation", "Rule", "Step", "explain"]


class Rule(NamedTuple):
    """What turns the cotangent of a node into that of one of its operands."""

    operand: Node
    text: str


class Step(NamedTuple):
    """A node of the backward pass: the cotangent that reached it, None if none did, and its rules."""

    node: Node
    cotangent: np.ndarray | None
    rules: tuple[Rule, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the cotangent: the shape of the node."""
        return self.node.shape

    @property
    def norm(self) -> float | None:
        """Of the cotangent."""
        return None if self.cotangent is None else float(norm(self.cotangent))


class Explanation(str):
    """What `explain` returns: a text, shown as it reads, with its `steps`, newest node first."""

    __slots__ = ("steps",)
    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return str(self)

    __str__ = str.__str__


def explain(y: Tensor, x: Tensor) -> Explanation:
    """The backward pass from y to x as text: for each node on the way, newest first, the gradient that reached it (its
    cotangent, with shape and norm), and for each operand towards x the rule that turned it into that operand's.

    y is a single number; the graph is kept. The text has `steps`: of each the `node`, its `cotangent`, `shape`, `norm` and
    `rules`.
    Raises TypeError for anything but tensors; ValueError if y or x does not require grad, if y is not a single number, or if y
    does not depend on x; `GraphFreedError` after ``y.backward()``.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([0.0, 1.0], requires_grad=True, name="x")
    >>> way = minigrad.explain(np.tanh(x).sum(), x)
    >>> print(way)
    %2 sum(%1)  ()
        its cotangent: shape (), norm 1
        to %1: lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims)
    %1 tanh(%0)  (2,)
        its cotangent: shape (2,), norm 1.414
        to %0: g * (lambda out: 1 - out * out)
    %0 x  requires grad  (2,)
        the gradient: shape (2,), norm 1.085
    >>> way.steps[-1].cotangent
    array([1.        , 0.41997434])
    """
    for given in (y, x):
        if not isinstance(given, Tensor):
            hint = ": call it, and give its result" if callable(given) else ""
            raise TypeError(f"explain(y, x) takes two tensors, a result and an input, not {type(given).__name__}{hint}")
    root, goal = differentiable(y), differentiable(x)
    if y.size != 1:
        raise ValueError(f"y has shape {y.shape}, and explain goes back from one number: give y.sum() or one element of y")
    graph = Graph(y)
    way = leading_to(ancestors([root]), {goal})
    if root not in way:
        raise ValueError("y does not depend on x, so there is nothing between them; its gradient is zero")
    try:
        found = reverse(root, y._seed(None), way, retain=True)
    except GraphFreedError:
        raise GraphFreedError(
            "backward() has freed what the rules need, so there is nothing left to explain: call explain before backward(), "
            "call backward(retain_graph=True), or compute y again"
        ) from None
    steps = tuple(step_of(node, goal, way, found.get(node)) for node in reversed(graph.nodes) if node in way)
    told = Explanation("\n".join(line for step in steps for line in lines_of(graph, step, goal)))
    told.steps = steps
    return told


def step_of(node: Node, goal: Node, way: set[Node], cotangent: Any) -> Step:
    towards = [(i, x) for i, x in enumerate(node.operands) if isinstance(x, Node) and x in way and node is not goal]
    g = None if cotangent is None else np.asarray(cotangent)
    return Step(node, g, tuple(Rule(operand, rule_text(node, i)) for i, operand in towards))


def lines_of(graph: Graph, step: Step, goal: Node) -> list[str]:
    what = "the gradient" if step.node is goal else "its cotangent"
    size = "none reached it" if step.norm is None else f"shape {step.shape}, norm {step.norm:.4g}"
    rules = [textwrap.indent(f"to %{graph.index[rule.operand]}: {rule.text}", "    ") for rule in step.rules]
    return [heading(graph, step.node), f"    {what}: {size}", *rules]


def heading(graph: Graph, node: Node) -> str:
    name = f" {node.name}" if node.name else ""
    where = f"  in {node.scope}" if node.scope else ""
    space = "  " if name and node.op is None else " "
    return f"%{graph.index[node]}{name}{space}{graph.expression(node)}  {node.shape}{where}"


def rule_text(node: Node, i: int) -> str:
    """A rule as it is written; of an elementwise op with the product that the engine makes of it.

    A lambda stands there itself; of any other function its call, and below it its definition.
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
