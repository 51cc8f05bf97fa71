"""The playback of a recurrent network on a page: which boxes show which node in each view, and the known values."""

from __future__ import annotations

import re
from typing import Any

from minigrad.graph import Node
from minigrad.pictures import Annotations, Graph, Playback, Shown, Timeline, drawn_as
from minigrad.pictures.known_values import values_held
from minigrad.pictures.picture import Box, Picture

from ..recorded_run import RecordedRun
from ..stepwise import Line, Run
from .annotations import gate_blocks, role

__all__ = ["playback"]


def playback(
    model: Any, made: Run, graph: Graph, annotations: Annotations, picture: Picture, folded: Timeline | None = None
) -> Playback:
    """The playback of a picture of this run, of a folded one with its loops; backward from the loss, if there is one."""
    run = (made.inputs, made.targets, made.outputs, made.shares)
    tensors = [*(() if isinstance(made, RecordedRun) else model.parameters()), *(t for part in run for t in part.values())]
    known = values_held(graph, tensors)
    roots = [made.loss._node] if made.loss is not None and made.loss._node is not None else []
    notes = () if roots else ("Without targets there is no loss, and no backward pass: only the forward pass is played.",)

    def shown() -> Shown:
        named = {node: text for node in graph if (text := name_of(node, made, annotations))}
        twins = drawn_as(graph, picture, folded) if folded else {}
        finder = Finder(picture, graph, annotations, made)
        where = {node: finder.boxes(twins.get(node, node), named) for node in graph}
        return Shown(where, named, gates(made, graph, annotations, picture))

    return Playback(graph, roots, known, shown, notes)


def name_of(node: Node, made: Run, annotations: Annotations) -> str:
    """The name of a node in the pictures, h[3]."""
    t = made.column(node)
    own = node.name or ""
    if own and t is not None and role(made, node) not in ("op", "parameter", "tensor"):
        own = f"{own}[{made.own_step(t)}]"
    return annotations.names.get(node) or own


def gates(made: Run, graph: Graph, annotations: Annotations, picture: Picture) -> dict[Node, tuple[str, str]]:
    """The parts of a step that can be folded where its ops are drawn: each gate, and the affine map before them."""
    ids = {box.id for box in picture.all_boxes()}
    blocks = {} if annotations.blocks else gate_blocks(made, graph)
    return {
        node: (block.id, " ".join(dict.fromkeys((block.lines[-1], block.lines[0]))))
        for node, block in blocks.items()
        if f"n{graph.index[node]}" in ids
    }


class Finder:
    """The boxes of a picture, by their ids and by their first lines."""

    def __init__(self, picture: Picture, graph: Graph, annotations: Annotations, made: Run) -> None:
        self.graph, self.annotations, self.made = graph, annotations, made
        boxes = picture.all_boxes()
        self.ids = {box.id for box in boxes}
        self.texts: dict[str, str] = {}
        self.aliases: dict[str, list[str]] = {}
        for box in boxes:
            if box.lines and box.role not in ("alias", "op", "words", "strip", "sign"):
                self.texts.setdefault(box.lines[0], box.id)
            of_alias = re.findall(r"\d+(?=_)", re.split("[nv]", box.id)[0]) if box.role == "alias" else []
            for number in (*box.also, *of_alias):
                self.aliases.setdefault(f"p{number}", []).append(box.id)
        groups = [group for group in picture.groups if group.id.startswith("folded")]
        self.folded: list[tuple[int, list[Box]]] = [(int(group.id.removeprefix("folded")), group.boxes) for group in groups]
        strips = [box for box in boxes if box.role == "strip" and box.id.startswith("strip")]  # of `cell_view`
        self.folded += [(int(box.id.rpartition("_")[2]), [box]) for box in strips]

    def boxes(self, node: Node, named: dict[Node, str]) -> list[str]:
        """The boxes that show a node: its own, or the one that it is inside of."""
        node = self.made.cuts.get(node, node)
        own, t = self.own_boxes(node), self.annotations.step(node)
        if own or t is None:
            return own or self.written([named.get(node, "")])
        line = self.made.line(node)
        texts = [named.get(node, ""), *self.labels(node, line, t)]
        by_column = "equals" in self.ids  # the cells of the figure are numbered by columns
        cell = [f"{node.name}cell{line.id}_{t}", f"cell{line.id}_{t}"] if line and not by_column else []
        if line is None and node.scope is not None and "attention" in node.scope:
            cell = [f"attention{t}", "states"]  # of the view of cells, in a decoder and in an encoder
        near = [id for id in cell if id in self.ids] + self.written(texts)
        once = self.written([f"{text.rpartition('[')[0]}[t]" for text in texts])  # the figure shows the network folded, too
        return near[:1] + once[:1] or self.strips(node, t)

    def own_boxes(self, node: Node) -> list[str]:
        i, block = self.graph.index[node], self.annotations.blocks.get(node)
        ids = [*([block.id] if block else []), f"n{i}", f"v{i}"]
        return [id for id in ids if id in self.ids] + self.aliases.get(f"p{i}", [])

    def written(self, texts: list[str]) -> list[str]:
        """The boxes that have one of these texts as their first line."""
        return [self.texts[text] for text in texts if text in self.texts]

    def labels(self, node: Node, line: Line | None, t: int) -> list[str]:
        """The texts of boxes that a node may be inside of: the output of its cell, of the readout, the loss of its step."""
        found, step = [], self.made.own_step(t)
        if line is not None and node.scope is not None:
            output = self.made.cells[line].state_names[0] if line in self.made.cells else ""
            found += [f"{output}[{step}]", f"{output}{line.layer}[{step}]"]
        if node in self.made.sums:  # the running sum is not L[t]
            return found
        return found + [f"{letter}[{step}]" for name, letter in (("readout", "o"), ("loss", "L")) if name in (node.scope or ())]

    def strips(self, node: Node, t: int) -> list[str]:
        """The strips of a folded step: that of the node's track, or all."""
        if self.annotations.shown is None or t in self.annotations.shown:
            return []
        first = max((begin for begin, _ in self.folded if begin <= t), default=None)
        strips = [box for begin, boxes in self.folded if begin == first for box in boxes]
        track = self.annotations.track(node)
        return [box.id for box in strips if track and box.track == track] or [box.id for box in strips]
