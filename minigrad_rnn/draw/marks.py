"""What the nodes of a recurrent network are called and look like, read from the names and scopes that its layers give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.graph import Leaf, Node
from minigrad.pictures import Block, Graph, Marks
from minigrad.pictures.board import default_role

from ..data.text import Alphabet
from .run import Line, Run, column, line_of

__all__ = ["GATES", "describe", "gate_blocks", "marks_of", "role"]

GATES = ("i", "f", "g", "o", "r", "z", "n")
FIXED = {"x": "input", "y": "target", "h0": "initial", "c0": "initial"}


def role(node: Node) -> str:
    """What a node of a recurrent network is."""
    place = node.scope
    if node.name in ("h", "c") and place is not None and "layer" in place:
        return "state"
    if node.name == "o" and place is not None and "readout" in place:
        return "output"
    if node.name in ("L", "loss") and place is not None and "loss" in place:
        return "loss"
    if node.name in FIXED and not node.requires_grad:
        return FIXED[node.name]
    if node.name == "x" and node.op is not None:
        return "input"
    return "op" if node.op is not None else default_role(node)


def marks_of(made: Run, graph: Graph, symbols: Alphabet | None) -> Marks:
    """The marks that every picture of an unrolled network has."""
    tracked = tracks(made, graph)
    back = any(line.reverse for line in made.states)
    marks = Marks(
        role=role,
        sums={"sum", "loss"},
        names=names(made, graph, symbols),
        step=lambda node: column(made, node),
        step_name=lambda t: column_name(made, t),
        track=lambda node: tracked.get(node) or ("sum" if node.name in ("L", "sum", "loss") else ""),
        back=(lambda node: node.scope is not None and node.scope.get("direction") == "reverse") if back else lambda node: False,
        cuts=made.cuts,
    )
    for part in (*made.shares.values(), made.loss):
        if part is not None and part._node is not None:
            marks.notes[part._node] = f"{part.item():.3g}"
    return marks


def column_name(made: Run, t: int) -> str:
    if not made.source_steps:
        return f"t = {t}"
    return f"encoder t = {t}" if t < made.source_steps else f"decoder t = {t - made.source_steps}"


def track_name(line: Line, name: str) -> str:
    return f"{name} {line.layer}{' reverse' * line.reverse}"


def tracks(made: Run, graph: Graph) -> dict[Node, str]:
    """The straight line that each state stands on: of an encoder and a decoder the same."""
    found = {node: track_name(line_of(user), node.name[0]) for node, user in beginnings(graph) if node.name}
    for line, steps in made.states.items():
        for state in steps.values():
            for name, part in zip(made.cells[line].state_names, state, strict=True):
                if part._node is not None:
                    found[part._node] = track_name(line, name)
    return found


def names(made: Run, graph: Graph, symbols: Alphabet | None) -> dict[Node, str]:
    """Names other than the nodes' own: initial states, deep layers' states, the total loss, and the symbols that went in."""
    found: dict[Node, str] = {}
    layers = len({line.layer for line in made.states})
    for line, steps in made.states.items():
        for t, state in steps.items():
            for name, part in zip(made.cells[line].state_names, state, strict=True):
                if part._node is not None:
                    found[part._node] = state_name(made, line, name, t, layers)
    for node, user in beginnings(graph):
        line = line_of(user)._replace(part="")
        found[node] = state_name(made, line, (node.name or "h")[0], made.columns if line.reverse else -1, layers)
    if made.loss is not None and made.loss._node is not None and len(made.shares) > 1:
        found[made.loss._node] = "loss"
    if symbols is not None:
        for t, x in made.inputs.items():
            if (made.source_steps == 0) and x.ndim == 2 and x.shape[1] == len(symbols):
                found[x._node or x._constant()] = f"x[{t}] = {symbols.decode([int(np.argmax(x.data[0]))])!r}"
        for t, y in made.targets.items():
            if y.ndim == 1:
                found[y._node or y._constant()] = f"y[{t - made.source_steps}] = {symbols.decode([int(y.data[0])])!r}"
    return found


def beginnings(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Each initial state, and an op of the cell that reads it."""
    for user in graph:
        for node in user.parents:
            if role(node) == "initial":
                yield node, user


def state_name(made: Run, line: Line, name: str, t: int, layers: int) -> str:
    layer = str(line.layer) if layers > 1 else ""
    t -= made.source_steps * (line.part == "decoder")
    return f"{name}{layer}{'_rev' * line.reverse}[{t}]"


def gate_blocks(graph: Graph) -> dict[Node, Block]:
    """The ops between two gates, or between the inputs of a cell and its gates, as one box for each step.

    What leads to several gates is the affine map of the cell; what leads to one belongs to it.
    """
    inside = [node for node in graph if not isinstance(node, Leaf) and node.scope is not None and "layer" in node.scope]
    users: dict[Node, list[Node]] = {}
    for node in graph:
        for operand in node.parents:
            users.setdefault(operand, []).append(node)
    places = {node: str(node.scope) for node in inside}
    goals: dict[Node, set[Node]] = {}
    for node in reversed(inside):
        if node.name in GATES:
            goals[node] = {node}
        elif role(node) != "state":
            after = [goals.get(user, set()) if places.get(user) == places[node] else set() for user in users.get(node, [])]
            if after and all(after):
                goals[node] = set().union(*after)
    blocks = {}
    for node, gates in goals.items():
        if len(gates) == 1:
            (gate,) = gates
            kind = {"i": "input", "f": "forget", "o": "output", "r": "reset", "z": "update"}.get(gate.name or "", "candidate")
            blocks[node] = Block(
                f"g{graph.index[gate]}", (f"{gate.name}", gate.op.name, f"{kind}{' gate' * (kind != 'candidate')}")
            )
        else:
            where = "".join(c for c in places[node] if c.isalnum())
            blocks[node] = Block(f"a_{where}", ("U x + W h + b",))
    return blocks


def describe(model: Any) -> str:
    layer = getattr(model, "recurrent", None) or getattr(model, "encoder", None) or model
    kind = type(layer).__name__
    nonlinearity = getattr(layer.cell, "nonlinearity", None)
    words = f"{kind}({nonlinearity})" if nonlinearity else kind
    if len(layer.cells) > 1:
        words += f", {len(layer.cells)} layers"
    if layer.bidirectional:
        words += ", bidirectional"
    return words
