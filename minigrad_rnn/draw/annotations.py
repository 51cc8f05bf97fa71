"""Names and looks of the nodes of a recurrent network, read from the names and scopes that its layers give."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from minigrad.graph import Leaf, Node
from minigrad.pictures import Annotations, Block, Graph
from minigrad.pictures.annotations import default_role

from ..data.text import Alphabet
from ..module import Module
from ..recorded_run import RecordedRun
from ..recurrent import Recurrent
from ..stepwise import Line, Run, node_of

__all__ = ["annotations_of", "describe", "gate_blocks", "loss_words", "role"]


def role(made: Run, node: Node) -> str:
    """The role of a node of a recurrent network."""
    known = made.roles.get(node)
    return "op" if node in made.sums and known is None else known or default_role(node)


def annotations_of(made: Run, graph: Graph, symbols: Alphabet | None) -> Annotations:
    """The annotations that every picture of an unrolled network has."""
    tracked = tracks(made)
    totals = made.sums | {node_of(part) for part in (*made.shares.values(), made.loss) if part is not None}
    annotations = Annotations(
        role=lambda node: role(made, node),
        sums=made.sums,
        shapes=False,
        names=names(made, symbols),
        step=made.column,
        step_name=lambda t: column_name(made, t),
        track=lambda node: tracked.get(node) or ("sum" if node in totals else ""),
        kind=lambda t: "decoder" if t >= made.source_steps > 0 else "encoder" if made.source_steps else "",
        alias=lambda node: short_name(node, made),
        cuts=made.cuts,
    )
    for part in (*made.shares.values(), made.loss):
        if part is not None:
            annotations.notes[node_of(part)] = f"{part.item():.3g}"
    return annotations


def column_name(made: Run, t: int) -> str:
    if not made.source_steps:
        return f"t = {t}"
    return f"encoder t = {t}" if t < made.source_steps else f"decoder t = {t - made.source_steps}"


def track_name(line: Line, name: str) -> str:
    return f"{name} {line.layer}{' reverse' * line.reverse}"


def tracks(made: Run) -> dict[Node, str]:
    """The line of each state along time, the same for an encoder and its decoder."""
    found = {node: track_name(line, name) for node, (line, name) in made.initial.items()}
    return found | {node: track_name(line, name) for node, (line, name, _) in made.places.items()}


def names(made: Run, symbols: Alphabet | None) -> dict[Node, str]:
    """Names other than the nodes' own: initial states, deep layers' states, the total loss, and the symbols that went in."""
    found = dict(made.names)
    found |= {node: state_name(made, *place) for node, place in made.places.items()}
    for node, (line, name) in made.initial.items():
        found[node] = state_name(made, line.whole, name, made.columns if line.reverse else -1)
    if made.loss is not None and (len(made.shares) > 1 or isinstance(made, RecordedRun)):
        found.setdefault(node_of(made.loss), "loss")
    if symbols is not None:
        for t, x in made.inputs.items():
            if (made.source_steps == 0) and (t in made.numbers or x.shape[1:] == (len(symbols),)):
                number = made.numbers[t][0] if t in made.numbers else np.argmax(x.data[0])
                found[node_of(x)] = f"x[{t}] = {symbols.decode([int(number)])!r}"
        for t, y in made.targets.items():
            if y.ndim == 1 and y.data[0] >= 0:
                found[node_of(y)] = f"y[{t - made.source_steps}] = {symbols.decode([int(y.data[0])])!r}"
    return found


def state_name(made: Run, line: Line, name: str, t: int) -> str:
    """The name of a state after a step, h[3]."""
    return f"{state_stem(made, line, name)}[{t - made.source_steps * (line.part == 'decoder')}]"


def state_stem(made: Run, line: Line, name: str) -> str:
    return f"{name}{line.layer if made.layers > 1 else ''}{'_rev' * line.reverse}"


def gate_blocks(made: Run, graph: Graph) -> dict[Node, Block]:
    """The ops between two gates, or between the inputs of a cell and its gates, as one box for each step.

    What leads to several gates is the affine map of the cell; what leads to one belongs to it.
    """
    inside = [node for node in graph if not isinstance(node, Leaf) and node.scope is not None and "layer" in node.scope]
    lines = {node: line for node in inside if (line := made.line(node)) in made.cells and line is not None}
    words = {node: made.cells[line].gate_names.get(node.name or "", "") for node, line in lines.items()}
    every: dict[str, Block] = {}
    said: tuple[str, ...]
    blocks: dict[Node, Block] = {}
    for node, gates in sorted(gates_fed(made, graph, inside, words).items(), key=lambda pair: pair[0].number):
        line, gate = lines[node], next(iter(gates))
        id, name, said = f"g{graph.index[gate]}", gate.name or "", (gate.name or "", words[gate].removesuffix(" gate"))
        if len(gates) > 1:
            id, name, said = f"a_{''.join(c for c in str(node.scope) if c.isalnum())}", "affine", ("U x + W h + b",)
        blocks[node] = every.setdefault(id, Block(id, said, f"{name} {line.layer} {line.reverse}"))
        blocks[node].users.append(node)
    return blocks


def gates_fed(made: Run, graph: Graph, inside: list[Node], words: dict[Node, str]) -> dict[Node, set[Node]]:
    """The gates that an op leads to, for the ops all of whose users in the same step do so; of a gate itself."""
    users: dict[Node, list[Node]] = {}
    for node in graph:
        for operand in node.parents:
            users.setdefault(operand, []).append(node)
    places = {node: str(node.scope) for node in inside}
    found: dict[Node, set[Node]] = {}
    for node in reversed(inside):
        if words.get(node):
            found[node] = {node}
        elif role(made, node) != "state":
            after = [found.get(user, set()) if places.get(user) == places[node] else set() for user in users.get(node, [])]
            if after and all(after):
                found[node] = set().union(*after)
    return found


def short_name(node: Node, made: Run) -> str:
    """A parameter as formulas call it: weight_hh_l0 as W_hh, with the number of its layer if there are several; V and c."""
    name = node.name or ""
    parts = re.fullmatch(r"(?:cell\.)?(weight|bias)_(\w+?)_l(\d+)(_reverse)?", name)
    if parts is None:
        return {"readout.weight": "V", "readout.bias": "c"}.get(name, "") or short_name_of_attention(name)
    number = parts[3] if made.layers > 1 else ""
    if made.source_steps:  # an encoder's and a decoder's
        number += "_dec" if node in made.decoding else "_enc"
    return f"{'W' if parts[1] == 'weight' else 'b'}_{parts[2]}{number}{'_rev' * bool(parts[4])}"


def short_name_of_attention(name: str) -> str:
    """A parameter of attention as its formula calls it: W_q, W_k, v."""
    part = re.fullmatch(r"attention\.(weight_query|weight_key|vector)(_l\d+)?", name)
    return "" if part is None else {"weight_query": "W_q", "weight_key": "W_k"}.get(part[1], "v")


def loss_words(made: Run) -> str:
    """The part of a title that names the loss."""
    return f"  |  loss: {made.words}" if made.words else ""


def describe(model: Any, made: Run) -> str:
    """The part of a title that names the network."""
    if isinstance(made, RecordedRun):
        words = " and ".join(f"a loop of {len(loop.body)} ops" for loop in made.lines)
        return f"{type(model).__name__} ({words})" if isinstance(model, Module) else words
    layer = getattr(model, "recurrent", None) or getattr(model, "encoder", None) or model
    kind = type(layer.cell if type(layer) is Recurrent else layer).__name__
    nonlinearity = getattr(layer.cell, "nonlinearity", None)
    words = f"{kind}({nonlinearity})" if nonlinearity else kind
    if len(layer.cells) > 1:
        words += f", {len(layer.cells)} layers"
    if any(layer.directions):
        words += ", bidirectional" if layer.bidirectional else ", reverse"
    attention = getattr(model, "attention", None)
    return words if attention is None else f"{words} with {attention.kind} attention"
