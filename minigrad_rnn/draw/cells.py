"""The unrolled network with one frame for each cell and step, on a grid."""

from __future__ import annotations

import numpy as np

from minigrad import Tensor
from minigrad.graph import Node
from minigrad.pictures.annotations import Annotations
from minigrad.pictures.builder import runs
from minigrad.pictures.folded_steps import SCISSORS, strip
from minigrad.pictures.picture import Arrow, Picture, Place

from ..stepwise import Line, Run, node_of
from .annotations import state_name, state_stem, track_name
from .grid import Grid, kind_of, tooltip_of
from .overlays import Measured, Scale, number

__all__ = ["cell_view"]


def cell_view(made: Run, annotations: Annotations, title: str, found: Measured | None, scale: Scale | None) -> Picture:
    """A frame for each cell and step with its state in it, the input below, output, loss and target above."""
    return CellView(made, annotations, title, found, scale).picture


def weights_of_decoder(made: Run) -> dict[int | None, np.ndarray]:
    """The weights of attention in each step of a decoder that attends, of the first sequence."""
    found = {}
    for node in made.graph:
        place = node.scope or ()
        if node.name == "a" and "attention" in place and "decoder" in place and "layer" not in place:
            found[made.column(node)] = node.recall()[0][0, 0]
    return found


class CellView(Grid):
    """The grid being filled."""

    def __init__(self, made: Run, annotations: Annotations, title: str, found: Measured | None, scale: Scale | None) -> None:
        super().__init__(made, title)
        self.annotations, self.found, self.scale = annotations, found, scale
        shown = set(range(made.columns)) if annotations.shown is None else annotations.shown
        self.shown = sorted(shown)
        self.folded = runs(set(range(made.columns)) - shown)
        self.strips = {t: first for first, last in self.folded for t in range(first, last + 1)}  # by step
        wide = 3 if self.both else 1  # forward cell, input and output, backward cell
        places = sorted([*((t, t) for t in shown), *self.folded])
        self.columns = {t: 1 + i * wide for i, (first, last) in enumerate(places) for t in range(first, last + 1)}
        self.end = 1 + len(places) * wide
        self.attended = weights_of_decoder(made)
        self.rows_of_lines()
        for t in self.shown:
            self.step(t)
        for first, last in self.folded:
            self.fold(first, last)
        for line in made.states:
            self.lead(line)
        if self.attended:
            self.states()
        self.losses()
        if found is not None:
            self.totals(found)

    # -- rows ------------------------------------------------------------------------------------------------

    def rows_of_lines(self) -> None:
        """From the bottom: inputs; for each cell the shares of its parameters and its state; output, loss, target, time."""
        self.row: dict[tuple[Line, str], int] = {}
        self.joins: dict[int, int] = {}  # of a bidirectional layer
        row = 1
        share = self.found is not None and self.found.kind == "share"
        cells = {line.whole: cell for line, cell in reversed(self.made.cells.items())}
        for line in sorted(cells):
            names = [name for name, _ in cells[line].named_parameters()] if share else []
            for name in (*names, *reversed(cells[line].state_names)):
                self.row[line, name] = row
                row += 1
            if self.both and line.reverse:
                self.joins[line.layer] = row
                row += 1
        self.reading = row
        row += bool(self.attended)
        totals = self.found.totals if self.found else ()
        readout = {leaf.name: leaf for leaf in totals if (leaf.name or "").startswith("readout.")}
        self.readout = {leaf: row + i for i, leaf in enumerate(readout.values())}
        self.above = row + len(self.readout)

    def at(self, t: int, line: Line | None = None) -> int:
        column = self.columns[t]
        return column if not self.both else column + (1 if line is None else 2 * line.reverse)

    # -- one step --------------------------------------------------------------------------------------------

    def step(self, t: int) -> None:
        below = [self.add(f"x{t}", "input", self.node_name(self.made.inputs[t], "x", t), Place(self.at(t), 0))]
        for layer in range(self.made.layers):
            lines = [line for line in self.made.states if line.layer == layer and t in self.made.states[line]]
            tops = [self.cell(line, t, below) for line in lines]
            if self.both and not (self.only is not None and layer == self.made.layers - 1):
                id = self.add(f"join{layer}_{t}", "op", ["concat"], Place(self.at(t), self.joins[layer]))
                self.connect(tops, id)
                tops = [id]
            below = tops
        if t in self.attended:
            self.output(t, [self.attention(t, below)])
        elif t in self.made.outputs and self.made.outputs[t].name == "o":
            self.output(t, below if self.only is None else self.last_read(t))
        self.add(f"t{t}", "words", [self.annotations.step_name(t)], Place(self.at(t), self.above + 3))

    def output_box(self, line: Line, name: str, t: int) -> str:
        return self.state_box(line, name, t) if t in self.strips else f"cell{line.id}_{t}"

    def state_box(self, line: Line, name: str, t: int) -> str:
        """The box of a state, or the strip of folded steps."""
        return f"strip{name}{line.id}_{self.strips[t]}" if t in self.strips else f"{name}cell{line.id}_{t}"

    def cell(self, line: Line, t: int, below: list[str]) -> str:
        """The frame of a cell, and in it the parts of its state; returns the frame."""
        made, cell = self.made, self.made.cells[line]
        rows = [row for (other, _), row in self.row.items() if other == line.whole]
        column = self.at(t, line)
        kind = kind_of(cell) + " reverse" * line.reverse
        frame = self.add(f"cell{line.id}_{t}", "cell", [kind], Place(column, min(rows), 1, len(rows)), tooltip_of(cell))
        for name, part in zip(cell.state_names, made.states[line][t], strict=True):
            node = part._node
            words = [state_name(made, line, name, t), *self.note(node)]
            heat = self.annotations.heat.get(node) if node is not None and self.found is not None else None
            place = Place(column, self.row[line.whole, name])
            self.add(f"{name}{frame}", "state", words, place, f"{kind} {name} {part.shape}", heat)
        if self.found is not None and self.found.kind == "share":
            for name, p in cell.named_parameters():
                self.share(p._node, t, Place(column, self.row[line.whole, name]))
        self.connect(below, frame)
        return frame

    def encoder(self) -> tuple[Line, str]:
        """The last layer of the encoder, and the name of its output."""
        line = max(line for line in self.made.states if line.part == "encoder")
        return line, self.made.cells[line].state_names[0]

    def states(self) -> None:
        """The frame of what attention reads, above the encoder."""
        line, name = self.encoder()
        columns = {self.columns[t]: t for t in range(self.made.source_steps)}
        at = Place(min(columns), self.reading, len(columns))
        ends = [state_name(self.made, line, name, t) for t in (0, self.made.source_steps - 1)]
        words = f"states {' ... '.join(dict.fromkeys(ends))}"
        self.add("states", "cell", [words], at, "the outputs of the encoder, which attention reads at each step")
        self.connect([self.output_box(line, name, t) for t in columns.values()], "states")

    def attention(self, t: int, below: list[str]) -> str:
        """The box of attention in a step of the decoder, with the state that has the largest weight."""
        weights, (line, name) = self.attended[t], self.encoder()
        names = [state_name(self.made, line, name, s) for s in range(len(weights))]
        most = int(weights.argmax())
        said = ", ".join(f"{name} {weight:.2g}" for name, weight in zip(names, weights, strict=True))
        tooltip = f"the readout reads the state and a mean of the encoder's; weights of the first sequence: {said}"
        words = ["attention", f"{names[most]} {weights[most]:.2f}"]
        box = self.add(f"attention{t}", "block", words, Place(self.at(t), self.reading), tooltip)
        self.connect([*below, "states"], box)
        return box

    def note(self, node: Node | None) -> list[str]:
        if self.found is None or self.found.kind == "share":
            return []
        return [self.found.text(None if node is None else self.found.sizes.get(node))]

    def share(self, leaf: Node | None, t: int, place: Place) -> str:
        note, heat = self.annotations.uses.get((leaf, t), ("-", None)) if leaf is not None else ("-", None)
        name = leaf.name if leaf is not None else "frozen"
        return self.add(f"share{place.row}_{t}_{place.column}", "alias", [f"{name}  {note}"], place, "", heat)

    def output(self, t: int, below: list[str]) -> None:
        made = self.made
        for leaf, row in self.readout.items():
            share = self.share(leaf, t, Place(self.at(t), row))
            self.connect(below, share)
            below = [share]
        output = self.add(f"o{t}", "output", self.node_name(made.outputs[t], "o", t), Place(self.at(t), self.above))
        self.connect(below, output)
        if t in made.shares:
            words = "loss" if len(made.shares) == 1 else f"L[{made.own_step(t)}]"
            loss = self.add(f"L{t}", "loss", [words, f"{made.shares[t].item():.3g}"], Place(self.at(t), self.above + 1))
            target = self.add(f"y{t}", "target", self.node_name(made.targets[t], "y", t), Place(self.at(t), self.above + 2))
            self.connect([output, target], loss)

    def node_name(self, tensor: Tensor, letter: str, t: int) -> list[str]:
        return [self.annotations.names.get(node_of(tensor)) or f"{letter}[{self.made.own_step(t)}]"]

    # -- along time ------------------------------------------------------------------------------------------

    def fold(self, first: int, last: int) -> None:
        """The strips for steps without boxes of their own."""
        for line, steps in self.made.states.items():
            for name in self.made.cells[line].state_names if first in steps else ():
                track, id = track_name(line, name), self.state_box(line, name, first)
                values, cuts = self.annotations.pieces.get(track, {}), self.annotations.cut_steps(track)
                box = strip(id, state_stem(self.made, line, name), first, last, values, cuts)
                box.at = Place(self.columns[first] + self.both, self.row[line.whole, name])
                self.picture.boxes.append(box)
        words = f"{self.annotations.step_name(first)} ... {last - first + self.made.own_step(first)}"
        self.add(f"t{first}", "words", [words, f"{last - first + 1} steps folded"], Place(self.at(first), self.above + 3))

    def lead(self, line: Line) -> None:
        """The arrows of a cell's states along time, from the initial state on."""
        made, steps = self.made, self.made.states[line]
        for i, name in enumerate(made.cells[line].state_names):
            if line.part == "decoder":
                last = made.source_steps - 1
                before, node = self.state_box(line, name, last), made.states[line._replace(part="encoder")][last][i]._node
            else:
                words, place = (
                    state_name(made, line.whole, name, len(steps) if line.reverse else -1),
                    self.row[line.whole, name],
                )
                at = Place(self.end if line.reverse else 0, place)
                before, node = self.add(f"begin{name}{line.id}_", "initial", [words], at), None
            cuts = self.annotations.cut_steps(track_name(line, name))
            for t in sorted(steps, reverse=line.reverse):
                target = self.output_box(line, name, t)
                if target != before:
                    self.picture.arrows.append(self.recurrent(before, target, node, t in cuts))
                before, node = self.state_box(line, name, t), steps[t][i]._node

    def recurrent(self, source: str, target: str, node: Node | None, cut: bool) -> Arrow:
        arrow = Arrow(source, target, "cut", SCISSORS) if cut else Arrow(source, target, "recurrent")
        if self.found is not None and self.scale is not None and node in self.found.returns:
            arrow.heat = self.scale.heat(self.found.returns[node])
        return arrow

    def losses(self) -> None:
        """The losses of the steps, added up to the right."""
        made = self.made
        if made.loss is None or len(made.shares) < 2:
            return
        before = ""
        for t in sorted({*self.shown, *(first for first, _ in self.folded)}):
            id = f"L{t}" if t in made.shares and t in self.shown else ""
            if t not in self.shown and before and any(s >= t for s in made.shares):
                id = self.add(f"Lfold{t}", "words", ["..."], Place(self.at(t), self.above + 1))
            if before and id:
                self.connect([before], id, "gathered")
            before = id or before
        total = self.add("loss", "loss", ["loss", f"{made.loss.item():.3g}"], Place(self.end, self.above + 1))
        self.connect([before], total, "gathered")

    def totals(self, found: Measured) -> None:
        """The whole gradient of each parameter, to the right of its shares."""
        rows = dict(self.readout)
        for line, cell in self.made.cells.items():
            rows |= {p._node: self.row[line.whole, name] for name, p in cell.named_parameters() if p._node in found.totals}
        for leaf, row in rows.items():
            words = [f"sum  {number(found.totals[leaf])}"]
            self.add(f"total{row}", "parameter", words, Place(self.end, row), f"|dL/d{leaf.name}|")
