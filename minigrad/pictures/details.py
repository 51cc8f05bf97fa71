"""Labels that `minigrad.draw` writes at the nodes: names, values, gradients, rules, order of the sweep; a path to highlight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import GraphFreedError
from ..explaining import rule_text
from ..graph import Leaf, Node, ancestors, leading_to, reverse
from ..graph_view import Graph
from ..tensor import Tensor
from .board import Marks, default_role, stem
from .timeline import Timeline

__all__ = ["marks_for"]

SHOWN = ("shape", "dtype", "value", "grad")
SMALL = 6  # elements that are printed one by one
DASH = "–"
NOT_KEPT = [
    "– : not known, for no rule needs it and nothing has kept it. Name the tensors,",
    "as in draw(..., names=locals()), and what follows from them is computed.",
]
FREED = [
    "– : not known, for backward() has freed what was saved. Draw before it, call backward(retain_graph=True),",
    "or, for values, name the tensors, as in draw(..., names=locals()).",
]
UNRECORDED = "not recorded: it depends on no tensor with requires_grad=True, or was computed under no_grad, or detached"


def marks_for(
    graph: Graph,
    outputs: list[Tensor],
    show: Iterable[str],
    order: bool,
    names: Mapping[str, Any] | None,
    highlight: tuple[Tensor, Tensor] | None,
    timeline: Timeline,
) -> tuple[Marks, list[str]]:
    """The labels, notes and roles of the nodes, and lines for the title that explain missing values."""
    show = (show,) if isinstance(show, str) else tuple(show)
    for what in show:
        if what not in SHOWN:
            raise ValueError(f"show takes {', '.join(SHOWN)}, not {what!r}")
    named = dict(named_tensors(names))
    marks = Marks(shapes="shape" in show, dtypes="dtype" in show, backward=after_seed(graph), step=timeline.step)
    marks.track, marks.sums = timeline.track, timeline.folded.adds()
    name_nodes(graph, marks, named, timeline)
    gradients = {g: leaf for leaf, g in graph.gradients.items()}
    marks.names |= {g: f"grad {label(graph, marks, leaf)}" for g, leaf in gradients.items()}
    marks.role = lambda node: role(graph, node, marks, gradients, timeline)
    known: dict[tuple[Any, int], str] = {}
    unrecorded = {node for node in graph.outputs if not node.requires_grad}
    marks.tooltip = lambda node: UNRECORDED if node in unrecorded else rules(graph, node, known)
    if highlight is not None:
        marks.path = path(graph, *highlight)
    if marks.backward:
        put_aside(marks, timeline)
        name_turned(graph, marks)
        name_cotangents(graph, marks)
    else:
        kinds = timeline.kinds()
        marks.kind = lambda t: kinds.get(t, "")
    lines = [sweep_numbers(graph)] if order else []
    lines += [value_lines(graph, [*outputs, *named.values()])] if "value" in show else []
    lines += [gradient_lines(graph)] if "grad" in show else []
    return marks, add_notes(graph, marks, lines)


def add_notes(graph: Graph, marks: Marks, lines: list[dict[Node, str]]) -> list[str]:
    """Write these lines below the names; returns the advice to a reader who misses some of them."""
    marks.notes = {node: "\n".join(each[node] for each in lines if node in each) for line in lines for node in line}
    if not any(text.endswith(DASH) for line in lines for text in line.values()):
        return []
    return FREED if any(node.op is not None and node.saved is None for node in graph) else NOT_KEPT


def name_nodes(graph: Graph, marks: Marks, named: Mapping[str, Tensor], timeline: Timeline) -> None:
    """Name the nodes of tensors, in a loop all iterations; elements of sequences, x[3]; and initial states, h[-1]."""
    names = marks.names
    for name, t in named.items():
        for node in (t._node, t._leaf):
            if node in graph.index and not node.name and node not in names:  # nor have others of its loop
                names |= {each: text for each, text in timeline.named(node, name) if each not in names}
    names |= {leaf: f"{name}[{k}]" for leaf, (name, k) in timeline.elements.items() if leaf not in names}
    for leaf, (_, state, before) in timeline.initial.items():
        name = names.get(state) or state.name or ""
        if name and isinstance(leaf, Leaf) and not leaf.name and leaf not in names:
            names[leaf] = f"{stem(name)}[{before}]"


def label(graph: Graph, marks: Marks, node: Node) -> str:
    """The name of a node, or its number."""
    return marks.names.get(node) or node.name or f"%{graph.index[node]}"


# -- lines below the names -------------------------------------------------------------------------------------


def sweep_numbers(graph: Graph) -> dict[Node, str]:
    """The order in which the backward pass reaches the ops."""
    swept = [node for node in reversed(ancestors(graph.outputs)) if node.op is not None]
    return {node: f"#{i}" for i, node in enumerate(swept, 1)}


def value_lines(graph: Graph, tensors: Iterable[Tensor]) -> dict[Node, str]:
    values = values_that_follow(graph, {**values_saved(graph), **values_at_hand(graph, tensors)})
    return {node: summary(values[node]) if node in values else DASH for node in graph}


def gradient_lines(graph: Graph) -> dict[Node, str]:
    found = cotangents(graph)
    return {node: f"grad {summary(found[node]) if node in found else DASH}" for node in graph if node.requires_grad}


# -- names -----------------------------------------------------------------------------------------------------


def as_names(names: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return {} for None. Raise TypeError for anything but a dict whose keys are names."""
    if names is None:
        return {}
    if not isinstance(names, Mapping) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names is a dict from names to tensors, such as locals() or {{'h': h}}, not {names!r:.80}")
    return names


def named_tensors(names: Mapping[str, Any] | None) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a dict, such as ``locals()``, then those of lists, tuples and dicts in it."""
    names = as_names(names)
    for name, x in names.items():
        if isinstance(x, Tensor) and not name.startswith("_"):
            yield name, x
    for name, x in names.items():
        if not name.startswith("_"):
            yield from inside(name, x, 3)


def inside(name: str, x: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a list, tuple or dict, and in those in it."""
    items = enumerate(x) if isinstance(x, list | tuple) else x.items() if isinstance(x, dict) else ()
    for key, each in items if depth else ():
        if isinstance(each, Tensor):
            yield f"{name}[{key!r}]", each
        else:
            yield from inside(f"{name}[{key!r}]", each, depth - 1)


def named_sequences(names: Mapping[str, Any] | None) -> dict[str, Sequence[Any]]:
    """Arrays, and lists of arrays, whose elements a loop may read."""
    names = as_names(names)
    found = {name: x.data if isinstance(x, Tensor) else x for name, x in names.items() if not name.startswith("_")}
    return {
        name: [each.data if isinstance(each, Tensor) else each for each in x]
        for name, x in found.items()
        if (isinstance(x, np.ndarray) and x.ndim and x.dtype.kind in "fiub")
        or (isinstance(x, list | tuple) and x and all(isinstance(each, np.ndarray | Tensor) for each in x))
    }


def role(graph: Graph, node: Node, marks: Marks, gradients: Mapping[Node, Node], timeline: Timeline) -> str:
    """The role of the box of a node, see `Box`."""
    if node in gradients or (node.name == "seed" and node in marks.backward):
        return "gradient"
    fixed = isinstance(node, Leaf) and not node.requires_grad
    if fixed and (node in timeline.initial or node in marks.names):
        return "initial" if node in timeline.initial else "input"
    named = node in marks.names or default_role(node) == "tensor"
    if node in marks.sums:
        return "loss" if node in graph.outputs and named else "op"
    if named and node in timeline.tracks and node.op is not None:
        return "state"
    return "tensor" if named and node.op is not None else default_role(node)


def after_seed(graph: Graph) -> set[Node]:
    """The nodes of the backward pass, if it was recorded."""
    return set() if graph.seed is None else set(graph.nodes[graph.index[graph.seed] :])


def put_aside(marks: Marks, timeline: Timeline) -> None:
    """Put the steps of the backward pass after those of the forward pass, the last step first."""
    if not timeline.steps:
        return
    turn = 2 * max(timeline.steps.values()) + 1

    def step(node: Node) -> int | None:
        t = timeline.step(node)
        return turn - t if t is not None and node in marks.backward else t

    marks.step = step
    marks.step_name = lambda t: f"t = {t}" if 2 * t < turn else f"t = {turn - t}, backward"
    marks.kind = lambda t: "forward" if 2 * t < turn else "backward"
    marks.apart = lambda operand, user: user in marks.backward and operand not in marks.backward


def name_turned(graph: Graph, marks: Marks) -> None:
    """Name the x^T that a backward pass makes of a constant x, as in dL/dW = x^T g."""
    values = values_saved(graph)
    leaves = [x for x in graph if isinstance(x, Leaf) and not x.requires_grad and x in values and values[x].ndim == 2]
    known = {(x.shape[::-1], values[x].T.tobytes()): x for x in leaves if x not in marks.backward}
    for x in leaves:
        origin = known.get((x.shape, values[x].tobytes()))
        if x in marks.backward and origin is not None and not x.name:
            marks.turned[x] = origin
            marks.names[x] = f"{label(graph, marks, origin)}.T"


def name_cotangents(graph: Graph, marks: Marks) -> None:
    """Name what a backward pass computes for a result that has a name: dL/dh[3]."""
    for node, g in graph.cotangents.items():
        name = marks.names.get(node) or node.name
        if name and node.op is not None and g in marks.backward and g is not graph.seed and g not in marks.names:
            marks.names[g] = f"dL/d{name}"


def rules(graph: Graph, node: Node, known: dict[tuple[Any, int], str]) -> str:
    """The rule of the table for each operand; what is `known` is not read from the source again."""
    lines = []
    for i, operand in enumerate(node.operands):
        if isinstance(operand, Node) and operand.requires_grad:
            key = node.op, 0 if node.op.variadic else i
            if key not in known:
                known[key] = rule_text(node, i)
            lines.append(f"to %{graph.index[operand]}: {known[key]}")
    return "\n".join(lines)


def values_at_hand(graph: Graph, tensors: Iterable[Tensor]) -> dict[Node, np.ndarray]:
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
    """The gradient of the sum of the outputs for every node; once the graph is freed, what `.grad` of its leaves says."""
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


def summary(array: np.ndarray) -> str:
    """Small arrays as they are, others by their least, mean and greatest element.

    >>> summary(np.arange(100.0))
    'min 0 mean 49.5 max 99'
    """
    if array.size <= SMALL:
        return np.array2string(array, precision=4, separator=", ").replace("\n", "")
    return f"min {array.min():.4g} mean {array.mean(dtype=float):.4g} max {array.max():.4g}"


def path(graph: Graph, result: Tensor, source: Tensor) -> set[Node]:
    """The nodes between two tensors; ValueError if there are none."""
    root, goal = result._differentiable(), source._node or source._leaf
    way = leading_to(ancestors([root], constants=True), {goal}) if goal is not None else set()
    if root not in way or root not in graph.index:
        raise ValueError(
            "highlight takes a result of this graph and a tensor that it depends on: there is no way between these"
        )
    return way
