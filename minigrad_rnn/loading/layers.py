"""Layers in a state dict, found by the names and shapes of the arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..cell import Cell
from ..cells.gru import GRUCell
from ..cells.lstm import LSTMCell
from ..cells.rnn import RNNCell
from .renames import TRANSPOSE, advice

__all__ = ["Found", "Matrix", "Stack", "find_layers", "natural", "reordered"]

KINDS: dict[int, type[Cell]] = {cell.gates: cell for cell in (RNNCell, GRUCell, LSTMCell)}
PART = re.compile(
    r"(?:(?P<path>.*)\.)?(?P<part>(?:weight|bias)_(?:ih|hh)|weight_hr|weight_c[ifo]|[hc]0)(?:_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)
WEIGHTS = {"weight_ih", "weight_hh"}
GATED = WEIGHTS | {"bias_ih", "bias_hh"}
Parts = dict[str, str]  # of a cell: the names in the file by the names in the cell


class Stack(NamedTuple):
    """Recurrent layers: for each layer the parts of its cell, or of the cells of both directions.

    `reads` and `returns` are the numbers of features of the inputs and of the outputs. `reverse` is True if there is only the
    backward direction.
    """

    path: str
    layers: list[list[Parts]]
    reads: int
    returns: int
    reverse: bool


class Matrix(NamedTuple):
    """A linear layer or an embedding: the names of its weight (rows, columns) and its bias."""

    path: str
    weight: str
    bias: str | None
    rows: int
    columns: int


class Found(NamedTuple):
    """The layers in a state dict, and its arrays."""

    arrays: dict[str, np.ndarray]
    stacks: list[Stack]
    matrices: list[Matrix]

    def kind(self, parts: Parts) -> type[Cell]:
        """Return the class of a cell."""
        return KINDS[len(self.arrays[parts["weight_hh"]]) // self.hidden(parts)]

    def hidden(self, parts: Parts) -> int:
        """Return the number of units of a cell."""
        return int(self.arrays[parts.get("weight_hr", parts["weight_hh"])].shape[1])


def find_layers(arrays: dict[str, np.ndarray], ties: Mapping[str, str], source: str, gates: str | None = None) -> Found:
    """Find the recurrent, linear and embedding layers. ValueError if there is no recurrent layer, or one does not fit."""
    cells = cells_of(arrays)
    if integers := [name for name, a in arrays.items() if a.dtype.kind != "f" and a.ndim == 2 and PART.fullmatch(name)]:
        raise ValueError(
            f"{integers[0]} in {source} has integers ({arrays[integers[0]].dtype}), and weights must be floating-point; if "
            "they are quantized, pass scale * (integers - zero_point)"
        )
    if not cells:
        raise ValueError(f"no recurrent layer was found in {source}: {advice(arrays)}")
    for group in cells.values():
        for parts in group.values():
            check_cell(arrays, parts)
    stacks = [stack_of(arrays, path, cells[path]) for path in sorted(cells, key=natural)]
    taken = {name for group in cells.values() for parts in group.values() for name in parts.values()}
    rest = {name: a for name, a in arrays.items() if name not in taken}
    found = Found(dict(arrays), stacks, matrices_of(rest, ties))
    if gates is not None:
        reorder(found, gates)
    return found


def cells_of(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[tuple[int, bool], Parts]]:
    """Return the parts of each cell by the path of its layer, the number of the layer, and the direction."""
    cells: dict[str, dict[tuple[int, bool], Parts]] = {}
    for name, array in arrays.items():
        match = PART.fullmatch(name)
        if match and array.dtype.kind == "f" and (array.ndim == 1 or match["part"].startswith("weight")):
            place = int(match["layer"] or 0), bool(match["reverse"])
            cells.setdefault(match["path"] or "", {}).setdefault(place, {})[match["part"]] = name
    return {path: group for path, group in cells.items() if any(parts.keys() & WEIGHTS for parts in group.values())}


def check_cell(arrays: Mapping[str, np.ndarray], parts: Parts) -> None:
    """Raise ValueError unless the arrays of a cell fit together."""
    some = next(iter(parts.values()))
    if missing := WEIGHTS - parts.keys():
        raise ValueError(f"{some} has no {missing.pop()} next to it; a recurrent layer needs weight_ih and weight_hh")
    W_ih, W_hh = arrays[parts["weight_ih"]], arrays[parts["weight_hh"]]
    units = arrays[parts.get("weight_hr", parts["weight_hh"])]
    if not W_ih.ndim == W_hh.ndim == units.ndim == 2 or 0 in W_ih.shape + W_hh.shape + units.shape:
        raise ValueError(f"{parts['weight_hh']} and the weights next to it must be matrices that are not empty")
    rows, columns = W_hh.shape
    turned = columns in (gates * rows for gates in KINDS) and W_ih.shape[1] == columns
    hint = f". If it is stored as (input, {columns}), {TRANSPOSE}" if turned and W_ih.shape[0] != rows else ""
    if rows % units.shape[1] or rows // units.shape[1] not in KINDS:
        expected = ", ".join(f"{gates} ({kind.__name__})" for gates, kind in KINDS.items())
        raise ValueError(
            f"{parts['weight_hh']} has shape {W_hh.shape}; "
            f"its rows must be the number of units, {units.shape[1]}, times {expected}{hint}"
        )
    biases = {"bias_ih", "bias_hh"} & parts.keys()
    if wrong := [part for part in ("weight_ih", *biases) if len(arrays[parts[part]]) != rows]:
        raise ValueError(f"{parts[wrong[0]]} has shape {arrays[parts[wrong[0]]].shape}; it must have {rows} rows{hint}")


def stack_of(arrays: Mapping[str, np.ndarray], path: str, cells: Mapping[tuple[int, bool], Parts]) -> Stack:
    """Return the cells of a stack by layer and direction. ValueError if one is missing."""
    directions = sorted({reverse for _, reverse in cells})
    layers = []
    for k in range(1 + max(k for k, _ in cells)):
        if missing := [reverse for reverse in directions if (k, reverse) not in cells]:
            raise ValueError(f"{path or 'the recurrent layer'} has no weight_ih_l{k}{'_reverse' * missing[0]}")
        layers.append([cells[k, reverse] for reverse in directions])
    returns = sum(arrays[parts["weight_hh"]].shape[1] for parts in layers[-1])
    return Stack(path, layers, arrays[layers[0][0]["weight_ih"]].shape[1], returns, directions == [True])


def matrices_of(arrays: Mapping[str, np.ndarray], ties: Mapping[str, str]) -> list[Matrix]:
    """Return the matrices called weight, each with its bias. A tied weight can be missing under its second name."""
    there = {name: name for name in arrays} | {name: kept for name, kept in ties.items() if kept in arrays}
    found = {}
    for name, kept in there.items():
        W, bias = arrays[kept], name.removesuffix("weight") + "bias"
        if (name == "weight" or name.endswith(".weight")) and W.ndim == 2 and W.dtype.kind == "f":
            fits = bias in arrays and arrays[bias].shape == W.shape[:1]
            found[name] = Matrix(name.removesuffix(".weight"), kept, bias if fits else None, *W.shape)
    for name, b in arrays.items():
        weight = name.removesuffix("bias") + "weight"
        if name.endswith(".bias") and weight not in there and b.ndim == 1:  # its weight is the only other one of so many rows
            tied = [m for m in found.values() if m.bias is None and m.rows == len(b)]
            if len(tied) == 1:
                found[weight] = tied[0]._replace(path=name.removesuffix(".bias"), bias=name)
    return [found[name] for name in sorted(found, key=natural)]


def reorder(found: Found, gates: str) -> None:
    """Put the blocks of the gates, which are in this order in the file, into the order of the cells."""
    kinds = {"".join(kind.gate_names): kind for kind in KINDS.values() if kind.gate_names}
    own = next((order for order in kinds if sorted(order) == sorted(gates)), None)
    if own is None:
        raise ValueError(f"gates must be an order of the letters {' or '.join(kinds)}, not {gates!r}")
    every = [parts for stack in found.stacks for layer in stack.layers for parts in layer]
    cells = [parts for parts in every if found.kind(parts) is kinds[own]]
    if not cells:
        raise ValueError(f"gates={gates!r} is for a {kinds[own].__name__}, and there is none")
    for name in [parts[part] for parts in cells for part in GATED & parts.keys()]:
        found.arrays[name] = reordered(found.arrays[name], own, gates)


def reordered(array: np.ndarray, new: str, old: str) -> np.ndarray:
    """Return the blocks of rows of an array, one for each gate in the order `old`, in the order `new`."""
    blocks = np.split(array, len(old))
    return np.concatenate([blocks[old.index(letter)] for letter in new])


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their value."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
