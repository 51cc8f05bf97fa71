"""The unrolled network with one frame for each cell and step, as a table: time to the right, layers upwards."""

from __future__ import annotations

from minigrad.graph import Node
from minigrad.pictures.board import Marks, runs
from minigrad.pictures.picture import Arrow, Box, Picture, Place
from minigrad.pictures.strips import SCISSORS, strip

from ..stepwise import Line, Run
from .marks import state_name, track_name
from .overlays import Measured, Scale, number

__all__ = ["cell_view"]


def cell_view(made: Run, marks: Marks, title: str, found: Measured | None, scale: Scale | None) -> Picture:
    """A frame for each cell and step with its state in it, the input below, output, loss and target above."""
    return CellView(made, marks, title, found, scale).picture


class CellView:
    """The table being filled."""

    def __init__(self, made: Run, marks: Marks, title: str, found: Measured | None, scale: Scale | None) -> None:
        self.made, self.marks, self.found, self.scale = made, marks, found, scale
        self.picture = Picture(title)
        self.layers = len({line.layer for line in made.states})
        self.both = any(line.reverse for line in made.states)
        self.once = len(made.outputs) == 1 < made.columns  # one answer for all steps
        shown = set(range(made.columns)) if marks.shown is None else marks.shown
        self.shown = sorted(shown)
        self.folded = runs(set(range(made.columns)) - shown)
        wide = 3 if self.both else 1  # forward cell, input and output, backward cell
        places = sorted([*((t, t) for t in shown), *self.folded])
        self.columns = {t: 1 + i * wide for i, (first, last) in enumerate(places) for t in range(first, last + 1)}
        self.end = 1 + len(places) * wide
        self.ids: dict[Node, str] = {}
        self.rows_of_lines()
        for t in self.shown:
            self.step(t)
        for first, last in self.folded:
            self.fold(first, last)
        for line in made.states:
            self.lead(line)
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
        merged = {line._replace(part="") for line in self.made.states}
        for line in sorted(merged):
            cell = next(cell for other, cell in self.made.cells.items() if other._replace(part="") == line)
            names = [name for name, _ in cell.named_parameters()] if share else []
            for name in (*names, *reversed(cell.state_names)):
                self.row[line, name] = row
                row += 1
            if self.both and line.reverse:
                self.joins[line.layer] = row
                row += 1
        readout = (
            {leaf.name: leaf for leaf in self.found.totals if (leaf.name or "").startswith("readout.")} if self.found else {}
        )
        self.readout = {leaf: row + i for i, leaf in enumerate(readout.values())}
        self.above = row + len(self.readout)

    def at(self, t: int, line: Line | None = None) -> int:
        column = self.columns[t]
        return column if not self.both else column + (1 if line is None else 2 * line.reverse)

    # -- one step --------------------------------------------------------------------------------------------

    def step(self, t: int) -> None:
        below = [self.add(f"x{t}", "input", self.node_name(self.made.inputs[t], f"x[{t}]"), Place(self.at(t), 0))]
        for layer in range(self.layers):
            lines = [line for line in self.made.states if line.layer == layer and t in self.made.states[line]]
            tops = [self.cell(line, t, below) for line in lines]
            if self.both and not (self.once and layer == self.layers - 1):
                id = self.add(f"join{layer}_{t}", "op", ["concat"], Place(self.at(t), self.joins[layer]))
                self.picture.arrows += [Arrow(top, id) for top in tops]
                tops = [id]
            below = tops
        if t in self.made.outputs and self.made.outputs[t].name == "o":
            self.output(t, self.last_read(t) if self.once else below)
        elif t in self.made.outputs and not self.both:
            self.ids.setdefault(self.made.outputs[t]._differentiable(), below[0])
        self.add(f"t{t}", "words", [self.marks.step_name(t)], Place(self.at(t), self.above + 3))

    def last_read(self, t: int) -> list[str]:
        """What the one answer is read from: of both directions the ends, with lengths the last step of each sequence."""
        folded = {s: first for first, last in self.folded for s in range(first, last + 1)}
        ids = []
        for line, s in self.made.read_by(t):
            name, ending = self.made.cells[line].state_names[0], f"{line.layer}{'r' * line.reverse}_"
            ids.append(f"strip{name}{ending}{folded[s]}" if s in folded else f"cell{ending}{s}")
        return list(dict.fromkeys(ids))

    def cell(self, line: Line, t: int, below: list[str]) -> str:
        """The frame of a cell, and in it the parts of its state; returns the frame."""
        made, cell = self.made, self.made.cells[line]
        plain = line._replace(part="")
        rows = [row for (other, _), row in self.row.items() if other == plain]
        column = self.at(t, line)
        frame = f"cell{line.layer}{'r' * line.reverse}_{t}"
        kind = type(cell).__name__.removesuffix("Cell") + " reverse" * line.reverse
        parameters = ", ".join(f"{name} {tuple(p.shape)}" for name, p in cell.named_parameters())
        self.add(frame, "cell", [kind], Place(column, min(rows), 1, len(rows)), f"{type(cell).__name__}: {parameters}")
        for name, part in zip(cell.state_names, made.states[line][t], strict=True):
            node = part._node
            words = [state_name(made, line, name, t, self.layers), *self.note(node)]
            box = f"{name}{frame}"
            heat = self.marks.heat.get(node) if node is not None and self.found is not None else None
            self.add(box, "state", words, Place(column, self.row[plain, name]), f"{kind} {name} {part.shape}", heat)
            if node is not None:
                self.ids[node] = box
        if self.found is not None and self.found.kind == "share":
            for name, p in cell.named_parameters():
                self.share(p._node, t, Place(column, self.row[plain, name]))
        self.picture.arrows += [Arrow(source, frame) for source in below]
        return frame

    def note(self, node: Node | None) -> list[str]:
        if self.found is None or self.found.kind == "share":
            return []
        return [self.found.text(None if node is None else self.found.sizes.get(node))]

    def share(self, leaf: Node | None, t: int, place: Place) -> str:
        note, heat = self.marks.uses.get((leaf, t), ("-", None)) if leaf is not None else ("-", None)
        name = leaf.name if leaf is not None else "frozen"
        return self.add(f"share{place.row}_{t}_{place.column}", "alias", [f"{name}  {note}"], place, "", heat)

    def output(self, t: int, below: list[str]) -> None:
        made = self.made
        for leaf, row in self.readout.items():
            share = self.share(leaf, t, Place(self.at(t), row))
            self.picture.arrows += [Arrow(source, share) for source in below]
            below = [share]
        output = self.add(f"o{t}", "output", self.node_name(made.outputs[t], f"o[{t}]"), Place(self.at(t), self.above))
        self.picture.arrows += [Arrow(source, output) for source in below]
        if t in made.shares:
            number = f"{made.shares[t].item():.3g}"
            words = "loss" if len(made.shares) == 1 else f"L[{t - made.source_steps}]"
            loss = self.add(f"L{t}", "loss", [words, number], Place(self.at(t), self.above + 1))
            target = self.add(f"y{t}", "target", self.node_name(made.targets[t], f"y[{t}]"), Place(self.at(t), self.above + 2))
            self.picture.arrows += [Arrow(output, loss), Arrow(target, loss)]

    def node_name(self, tensor: object, default: str) -> list[str]:
        node = getattr(tensor, "_node", None) or getattr(tensor, "_leaf", None)
        name = self.marks.names.get(node) if node is not None else None
        if name is None and self.made.source_steps:
            t = int(default[2:-1])
            default = f"{default[0]}[{t - self.made.source_steps * (t >= self.made.source_steps)}]"
        return [name or default]

    # -- along time ------------------------------------------------------------------------------------------

    def fold(self, first: int, last: int) -> None:
        """The strips for steps without boxes of their own."""
        for line, steps in self.made.states.items():
            for name in self.made.cells[line].state_names if first in steps else ():
                track = track_name(line, name)
                values = self.marks.pieces.get(track, {})
                stem = state_name(self.made, line, name, 0, self.layers).split("[")[0]
                id = f"strip{name}{line.layer}{'r' * line.reverse}_{first}"
                box = strip(id, stem, first, last, values, self.marks.cut_steps(track))
                self.picture.boxes.append(box)
                column = self.columns[first] + (1 if self.both else 0)
                box.at = Place(column, self.row[line._replace(part=""), name])
        words = f"{self.marks.step_name(first)} ... {last - self.made.source_steps * (first >= self.made.source_steps > 0)}"
        self.add(f"t{first}", "words", [words, f"{last - first + 1} steps folded"], Place(self.at(first), self.above + 3))

    def lead(self, line: Line) -> None:
        """The arrows of a cell's states along time, from the initial state on."""
        steps = self.made.states[line]
        cell = self.made.cells[line]
        plain = line._replace(part="")
        order = sorted(steps, reverse=line.reverse)
        ending = f"{line.layer}{'r' * line.reverse}_"
        folded = {t: first for first, last in self.folded for t in range(first, last + 1)}
        for i, name in enumerate(cell.state_names):

            def box(t: int, name: str = name) -> str:
                return f"strip{name}{ending}{folded[t]}" if t in folded else f"{name}cell{ending}{t}"

            before = ""
            if line.part != "decoder":
                words = state_name(self.made, line._replace(part=""), name, len(steps) if line.reverse else -1, self.layers)
                column = self.end if line.reverse else 0
                before = self.add(f"begin{name}{ending}", "initial", [words], Place(column, self.row[plain, name]))
            else:
                before = box(self.made.source_steps - 1)
            node: Node | None = None
            if line.part == "decoder":
                node = self.made.states[line._replace(part="encoder")][self.made.source_steps - 1][i]._node
            cuts = self.marks.cut_steps(track_name(line, name))
            for t in order:
                target = f"strip{name}{ending}{folded[t]}" if t in folded else f"cell{ending}{t}"
                if target != before:
                    self.picture.arrows.append(self.recurrent(before, target, node, t in cuts))
                before, node = box(t), steps[t][i]._node

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
                self.picture.arrows.append(Arrow(before, id, "gathered"))
            before = id or before
        self.add("loss", "loss", ["loss", f"{made.loss.item():.3g}"], Place(self.end, self.above + 1))
        self.picture.arrows.append(Arrow(before, "loss", "gathered"))

    def totals(self, found: Measured) -> None:
        """The whole gradient of each parameter, to the right of its shares."""
        rows = dict(self.readout)
        for line, cell in self.made.cells.items():
            rows |= {
                p._node: self.row[line._replace(part=""), name]
                for name, p in cell.named_parameters()
                if p._node in found.totals
            }
        for leaf, row in rows.items():
            words = [f"sum  {number(found.totals[leaf])}"]
            self.add(f"total{row}", "parameter", words, Place(self.end, row), f"|dL/d{leaf.name}|")

    def add(self, id: str, role: str, lines: list[str], at: Place, tooltip: str = "", heat: float | None = None) -> str:
        self.picture.boxes.append(Box(id, role, lines, tooltip, heat=heat, at=at))
        return id
