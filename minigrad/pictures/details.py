"""Labels that `minigrad.draw` writes at the nodes: names, values, gradients, rules, order of the sweep; a path to highlight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..explaining import rule_text
from ..graph import Leaf, Node, ancestors, leading_to
from ..graph_view import Graph
from ..tensor import Tensor
from .annotations import Annotations, default_role
from .builder import stem
from .known_values import cotangents, values_held, values_saved, values_that_follow
from .timeline import Timeline

__all__ = ["annotate"]

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


def annotate(
    graph: Graph,
    outputs: list[Tensor],
    show: Iterable[str],
    order: bool,
    names: Mapping[str, Any] | None,
    highlight: tuple[Tensor, Tensor] | None,
    timeline: Timeline,
) -> tuple[Annotations, list[str]]:
    """The labels, notes and roles of the nodes, and lines for the title that explain missing values."""
    show = (show,) if isinstance(show, str) else tuple(show)
    for what in show:
        if what not in SHOWN:
            raise ValueError(f"show takes {', '.join(SHOWN)}, not {what!r}")
    named = dict(named_tensors(names))
    annotations = Annotations(shapes="shape" in show, dtypes="dtype" in show, backward=after_seed(graph), step=timeline.step)
    annotations.track, annotations.sums = timeline.track, timeline.folded.adds()
    name_nodes(graph, annotations, named, timeline)
    gradients = {g: leaf for leaf, g in graph.gradients.items()}
    annotations.names |= {g: f"grad {label(graph, annotations, leaf)}" for g, leaf in gradients.items()}
    annotations.role = lambda node: role(graph, node, annotations, gradients, timeline)
    known: dict[tuple[Any, int], str] = {}
    unrecorded = {node for node in graph.outputs if not node.requires_grad}
    annotations.tooltip = lambda node: UNRECORDED if node in unrecorded else rules(graph, node, known)
    if highlight is not None:
        annotations.path = path(graph, *highlight)
    if annotations.backward:
        put_aside(annotations, timeline)
        name_turned(graph, annotations)
        name_cotangents(graph, annotations)
    else:
        kinds = timeline.kinds()
        annotations.kind = lambda t: kinds.get(t, "")
    lines = [sweep_numbers(graph)] if order else []
    lines += [value_lines(graph, [*outputs, *named.values()])] if "value" in show else []
    lines += [gradient_lines(graph)] if "grad" in show else []
    return annotations, add_notes(graph, annotations, lines)


def add_notes(graph: Graph, annotations: Annotations, lines: list[dict[Node, str]]) -> list[str]:
    """Write these lines below the names; returns the advice to a reader who misses some of them."""
    annotations.notes = {node: "\n".join(each[node] for each in lines if node in each) for line in lines for node in line}
    if not any(text.endswith(DASH) for line in lines for text in line.values()):
        return []
    return FREED if any(node.op is not None and node.saved is None for node in graph) else NOT_KEPT


def name_nodes(graph: Graph, annotations: Annotations, named: Mapping[str, Tensor], timeline: Timeline) -> None:
    """Name the nodes of tensors, in a loop all iterations; elements of sequences, x[3]; and initial states, h[-1]."""
    names = annotations.names
    for name, t in named.items():
        for node in (t._node, t._leaf):
            if node in graph.index and not node.name and node not in names:  # nor have others of its loop
                names |= {each: text for each, text in timeline.named(node, name) if each not in names}
    names |= {leaf: f"{name}[{k}]" for leaf, (name, k) in timeline.elements.items() if leaf not in names}
    for leaf, (_, state, before) in timeline.initial.items():
        name = names.get(state) or state.name or ""
        if name and isinstance(leaf, Leaf) and not leaf.name and leaf not in names:
            names[leaf] = f"{stem(name)}[{before}]"


def label(graph: Graph, annotations: Annotations, node: Node) -> str:
    """The name of a node, or its number."""
    return annotations.names.get(node) or node.name or f"%{graph.index[node]}"


# -- lines below the names -------------------------------------------------------------------------------------


def sweep_numbers(graph: Graph) -> dict[Node, str]:
    """The order in which the backward pass reaches the ops."""
    swept = [node for node in reversed(ancestors(graph.outputs)) if node.op is not None]
    return {node: f"#{i}" for i, node in enumerate(swept, 1)}


def value_lines(graph: Graph, tensors: Iterable[Tensor]) -> dict[Node, str]:
    values = values_that_follow(graph, {**values_saved(graph), **values_held(graph, tensors)})
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


def role(graph: Graph, node: Node, annotations: Annotations, gradients: Mapping[Node, Node], timeline: Timeline) -> str:
    """The role of the box of a node, see `Box`."""
    if node in gradients or (node.name == "seed" and node in annotations.backward):
        return "gradient"
    fixed = isinstance(node, Leaf) and not node.requires_grad
    if fixed and (node in timeline.initial or node in annotations.names):
        return "initial" if node in timeline.initial else "input"
    named = node in annotations.names or default_role(node) == "tensor"
    if node in annotations.sums:
        return "loss" if node in graph.outputs and named else "op"
    if named and node in timeline.tracks and node.op is not None:
        return "state"
    return "tensor" if named and node.op is not None else default_role(node)


def after_seed(graph: Graph) -> set[Node]:
    """The nodes of the backward pass, if it was recorded."""
    return set() if graph.seed is None else set(graph.nodes[graph.index[graph.seed] :])


def put_aside(annotations: Annotations, timeline: Timeline) -> None:
    """Put the steps of the backward pass after those of the forward pass, the last step first."""
    if not timeline.steps:
        return
    turn = 2 * max(timeline.steps.values()) + 1

    def step(node: Node) -> int | None:
        t = timeline.step(node)
        return turn - t if t is not None and node in annotations.backward else t

    annotations.step = step
    annotations.step_name = lambda t: f"t = {t}" if 2 * t < turn else f"t = {turn - t}, backward"
    annotations.kind = lambda t: "forward" if 2 * t < turn else "backward"
    annotations.apart = lambda operand, user: user in annotations.backward and operand not in annotations.backward


def name_turned(graph: Graph, annotations: Annotations) -> None:
    """Name the x^T that a backward pass makes of a constant x, as in dL/dW = x^T g."""
    values = values_saved(graph)
    leaves = [x for x in graph if isinstance(x, Leaf) and not x.requires_grad and x in values and values[x].ndim == 2]
    known = {(x.shape[::-1], values[x].T.tobytes()): x for x in leaves if x not in annotations.backward}
    for x in leaves:
        origin = known.get((x.shape, values[x].tobytes()))
        if x in annotations.backward and origin is not None and not x.name:
            annotations.turned[x] = origin
            annotations.names[x] = f"{label(graph, annotations, origin)}.T"


def name_cotangents(graph: Graph, annotations: Annotations) -> None:
    """Name what a backward pass computes for a result that has a name: dL/dh[3]."""
    for node, g in graph.cotangents.items():
        name = annotations.names.get(node) or node.name
        if name and node.op is not None and g in annotations.backward and g is not graph.seed and g not in annotations.names:
            annotations.names[g] = f"dL/d{name}"


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
