"""What the page of a recurrent network plays: which box stands for which node in each view, and the values at hand."""

from __future__ import annotations

import re
from typing import Any

from minigrad.graph import Node
from minigrad.pictures import Graph, Marks, Playback, Shown, Timeline, drawn_as
from minigrad.pictures.details import values_at_hand
from minigrad.pictures.picture import Box, Picture

from ..reading import Reading
from ..stepwise import Line, Run
from .marks import gate_blocks, role

__all__ = ["playback"]


def playback(model: Any, made: Run, graph: Graph, marks: Marks, picture: Picture, folded: Timeline | None = None) -> Playback:
    """The playback of a picture of this run, of a folded one with its loops; backward from the loss, if there is one."""
    run = (made.inputs, made.targets, made.outputs, made.shares)
    tensors = [*(() if isinstance(made, Reading) else model.parameters()), *(t for part in run for t in part.values())]
    known = values_at_hand(graph, tensors)
    roots = [made.loss._node] if made.loss is not None and made.loss._node is not None else []
    notes = () if roots else ("Without targets there is no loss, and no backward pass: only the forward pass is played.",)

    def shown() -> Shown:
        named = {node: text for node in graph if (text := name_of(node, made, marks))}
        twins = drawn_as(graph, picture, folded) if folded else {}
        finder = Finder(picture, graph, marks, made)
        where = {node: finder.boxes(twins.get(node, node), named) for node in graph}
        return Shown(where, named, gates(made, graph, marks, picture))

    return Playback(graph, roots, known, shown, notes)


def name_of(node: Node, made: Run, marks: Marks) -> str:
    """What the pictures call it: h[3]."""
    t = made.column(node)
    own = node.name or ""
    if own and t is not None and role(made, node) not in ("op", "parameter", "tensor"):
        own = f"{own}[{t - made.source_steps * (t >= made.source_steps > 0)}]"
    return marks.names.get(node) or own


def gates(made: Run, graph: Graph, marks: Marks, picture: Picture) -> dict[Node, tuple[str, str]]:
    """What can be folded of a step where its ops are drawn: each gate, and the affine map before them."""
    ids = {box.id for box in picture.all_boxes()}
    blocks = {} if marks.blocks else gate_blocks(made, graph)
    return {
        node: (block.id, " ".join(dict.fromkeys((block.lines[-1], block.lines[0]))))
        for node, block in blocks.items()
        if f"n{graph.index[node]}" in ids
    }


class Finder:
    """The boxes of a picture by their ids and by what is written in them."""

    def __init__(self, picture: Picture, graph: Graph, marks: Marks, made: Run) -> None:
        self.graph, self.marks, self.made = graph, marks, made
        boxes = picture.all_boxes()
        self.ids = {box.id for box in boxes}
        self.texts: dict[str, str] = {}
        self.aliases: dict[str, list[str]] = {}
        for box in boxes:
            if box.lines and box.role not in ("alias", "op", "words", "strip", "sign"):
                self.texts.setdefault(box.lines[0], box.id)
            for number in box.also:
                self.aliases.setdefault(f"p{number}", []).append(box.id)
            if box.role == "alias":
                for number in re.findall(r"\d+(?=_)", box.id.partition("n")[0].partition("v")[0]):
                    self.aliases.setdefault(f"p{number}", []).append(box.id)
        groups = [group for group in picture.groups if group.id.startswith("folded")]
        self.folded: list[tuple[int, list[Box]]] = [(int(group.id.removeprefix("folded")), group.boxes) for group in groups]
        for box in boxes:  # of the view with a frame for each cell
            if box.role == "strip" and box.id.startswith("strip"):
                self.folded.append((int(box.id.rpartition("_")[2]), [box]))

    def boxes(self, node: Node, named: dict[Node, str]) -> list[str]:
        """Those that stand for a node: its own, or the one that it is inside of."""
        node = self.made.cuts.get(node, node)
        i = self.graph.index[node]
        own = [id for id in (f"n{i}", f"v{i}") if id in self.ids] + self.aliases.get(f"p{i}", [])
        block = self.marks.blocks.get(node)
        if block is not None and block.id in self.ids:
            own = [block.id, *own]
        t = self.marks.step(node)
        if own or t is None:
            return own or [self.texts[text] for text in [named.get(node, "")] if text in self.texts]
        line, place = self.made.line(node) or Line("", 0, False), node.scope
        inside = self.made.line(node) is not None
        frame = f"cell{line.layer}{'r' * line.reverse}_{t}"
        texts = [named.get(node, "")]
        if place is not None:
            short = t - self.made.source_steps * (t >= self.made.source_steps > 0)
            output = self.made.cells[line].state_names[0] if line in self.made.cells else ""
            texts += [f"{output}[{short}]", f"{output}{line.layer}[{short}]"] * inside
            texts += [f"o[{short}]"] * ("readout" in place) + [f"L[{short}]"] * ("loss" in place)
        candidates = [f"{node.name}{frame}", frame] if inside else []
        candidates += [self.texts[text] for text in texts if text in self.texts]
        once = [self.texts[text] for text in (f"{text.rpartition('[')[0]}[t]" for text in texts) if text in self.texts]
        for id in candidates:
            if id in self.ids:
                return [id, *once[:1]]
        if once:  # the figure shows the network folded, too
            return once[:1]
        if self.marks.shown is None or t in self.marks.shown:
            return []
        first = max((begin for begin, _ in self.folded if begin <= t), default=None)
        strips = [box for begin, boxes in self.folded if begin == first for box in boxes]
        track = self.marks.track(node)
        return [box.id for box in strips if track and box.track == track] or [box.id for box in strips]
