"""A model of symbols run over a text: states, gates and logits at each symbol, and the gradient of each guess."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.graph_view import Graph
from minigrad.pictures.known_values import values_held, values_saved, values_that_follow

from ..models import Sequence

__all__ = ["Observed", "Part", "layer_name", "observe", "parts_of", "saliency"]

RECORDED = 100  # steps recorded at a time
WINDOWS = 128  # windows of the text in a batch


class Part(NamedTuple):
    """A part of the state: its place there, its layer, and its name, which is h, or h0 and h1 with several layers."""

    place: int
    layer: int
    name: str
    size: int


class Observed(NamedTuple):
    """The numbers of a run over T symbols. `states` has an array (T + 1, size) for each part: the initial state first."""

    states: list[np.ndarray]
    gates: dict[tuple[int, str], np.ndarray]  # by layer and name, (T, size)
    logits: np.ndarray  # (T, V)


def parts_of(model: Sequence) -> list[Part]:
    """Return the parts of the model's state, in the order of `Recurrent.step`."""
    cells = [cell for (cell,) in model.recurrent.cells]
    parts = [(k, *part) for k, cell in enumerate(cells) for part in zip(cell.state_names, cell.state_sizes, strict=True)]
    return [Part(place, k, layer_name(model, name, k), size) for place, (k, name, size) in enumerate(parts)]


def layer_name(model: Sequence, name: str, layer: int) -> str:
    """Return the name of a state or a gate, with the number of its layer if there are several."""
    return f"{name}{layer}" if len(model.recurrent.cells) > 1 else name


def observe(model: Sequence, inputs: np.ndarray, gates: bool = True) -> Observed:
    """Run the model over inputs (T, V), or over class indices (T,) if it has an embedding. Without `gates` nothing is
    recorded, which takes half the time."""
    state = model.recurrent.initial_state(1)
    states = [[part.data[0]] for part in state]
    opened: dict[tuple[int, str], list[np.ndarray]] = {}
    logits = []
    for t, x in enumerate(inputs):
        if t % RECORDED == 0:
            # what requires a gradient is recorded, also if the weights are frozen
            state = tuple(mg.tensor(part.data, requires_grad=True) for part in state)
            held, outputs = [*state, *model.parameters()], []
        given = x[None] if model.embedding else mg.tensor(x[None], requires_grad=True)
        with nullcontext() if gates else mg.no_grad():
            output, state = model.step(given, state, t)
        held.append(given)
        outputs.append(output)
        logits.append(output.data[0])
        for seen, part in zip(states, state, strict=True):
            seen.append(part.data[0])
        if gates and (len(outputs) == RECORDED or t == len(inputs) - 1):
            for place, value in gate_values(model, outputs, held):
                opened.setdefault(place, []).append(value)
    every = {place: np.array(values) for place, values in opened.items() if len(values) == len(inputs)}
    return Observed([np.array(seen) for seen in states], every, np.array(logits))


def gate_values(model: Sequence, outputs: list[Tensor], held: list[Any]) -> list[tuple[tuple[int, str], np.ndarray]]:
    """Return the layer, the name and the value of each gate in the graph of these outputs, oldest first. Values that no rule
    saved follow from those of the tensors in `held`."""
    graph = Graph(mg.stack(outputs))
    found = []
    for node in graph:
        layer = None if node.scope is None else node.scope.get("layer")
        if node.op is not None and isinstance(layer, int) and node.name in model.recurrent.cells[layer][0].gate_names:
            found.append((node, (layer, str(node.name))))
    known = values_saved(graph)
    if any(node not in known for node, _ in found):
        known = values_that_follow(graph, known | values_held(graph, (t for t in held if isinstance(t, Tensor))))
    return [(place, known[node][0]) for node, place in found if node in known]


def saliency(model: Sequence, inputs: np.ndarray, states: list[np.ndarray], guesses: np.ndarray, window: int) -> np.ndarray:
    """Return |d logit[guess] after t / d x[t-j]| for j = 0...window-1, (T, window); NaN before the beginning of the text.

    Each window of the text is one sequence of a batch and begins with the state that the model had there, so the gradient is
    exact within the window. With an embedding, x is its vector.
    """
    T = len(inputs)
    n = min(window, T)
    found = np.full((T, n), np.nan)
    for first in range(0, T if n else 0, WINDOWS):
        ends = np.arange(first, min(first + WINDOWS, T))
        starts, columns = np.maximum(ends - n + 1, 0), np.arange(len(ends))
        x = inputs[starts + np.arange(n)[:, None]]
        u = mg.tensor(model.embedding(x).data if model.embedding else x, requires_grad=True)
        output, _ = model.recurrent.run(u, tuple(mg.tensor(part[starts]) for part in states))
        logits = model.readout(output[ends - starts, columns])
        sizes = np.linalg.norm(mg.grad(logits[columns, guesses[ends]].sum(), u).data, axis=-1)
        rows = (ends - starts)[:, None] - np.arange(n)
        found[ends] = np.where(rows >= 0, sizes[rows, columns[:, None]], np.nan)
    return found
