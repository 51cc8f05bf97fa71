"""The textbook's figure: a network folded on the left, unrolled on the right, drawn as a table of circles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from minigrad.pictures import Graph
from minigrad.pictures.board import shortened
from minigrad.pictures.picture import Arrow, Box, Picture, Place

from ..module import Parameter
from ..reading import Body, Reading
from ..stepwise import Line, Run, node_of
from .marks import state_name

__all__ = ["figure"]

Letters = dict[tuple[str, int], str]  # of U, W, V and E, and the number of a layer, what is written at the arrows


def figure(model: Any, made: Run, graph: Graph, shown: set[int], title: str) -> Picture:
    """x, the states, o, L and y one above the other: once for all steps, with a loop, then for each step, in a row."""
    return Figure(model, made, graph, shown, title).picture


class Figure:
    """The table being filled."""

    def __init__(self, model: Any, made: Run, graph: Graph, shown: set[int], title: str) -> None:
        self.made = made
        self.letters, legend = letters_of(model, made, graph)
        self.picture = Picture(f"{title}\n{legend}")
        self.layers = len(made.cells)
        self.losses = made.step_losses()
        self.outputs = made.read_out()
        self.rows: dict[tuple[Line, str], int] = {}  # from the bottom: the input, the states of each layer, o, L and y
        row = 2 if made.numbers else 1
        for line, cell in made.cells.items():
            for name in reversed(cell.state_names):
                self.rows[line, name] = row
                row += 1
        self.above = row
        self.only = next(iter(self.outputs)) if len(self.outputs) == 1 < made.columns else None  # the one answer's step
        self.column(0, None)
        middle = sum(self.rows.values()) // len(self.rows)
        sign = Box("equals", "sign", ["="], "the same network", at=Place(1, middle))
        self.picture.boxes.append(sign)
        self.unroll(shown)

    def add(self, id: str, role: str, lines: list[str], column: int, row: int, tooltip: str = "") -> str:
        self.picture.boxes.append(Box(id, role, [line for line in lines if line], tooltip, at=Place(column, row)))
        return id

    def arrow(self, source: str, target: str, role: str = "flow", label: str = "") -> None:
        self.picture.arrows.append(Arrow(source, target, role, label))

    def unroll(self, shown: set[int]) -> None:
        """A column for each step that is shown, dots for the others, the states led along, the losses added up."""
        made, column = self.made, 2
        before = {
            (line, name): self.add(f"begin{row}", "initial", [state_name(made, line, name, -1, self.layers)], column, row)
            for (line, name), row in self.rows.items()
        }
        losses: list[str] = []
        for t, following in pairwise([*sorted(shown), made.columns]):
            column += 1
            self.lead(before, self.column(column, t))
            before = {place: f"s{row}_{column}" for place, row in self.rows.items()}
            if t in self.losses:
                losses.append(f"L{column}")
            if following > t + 1:
                column += 1
                words = f"steps {t + 1} to {following - 1}"
                dots = {
                    place: self.add(f"dots{row}_{column}", "words", ["..."], column, row, words)
                    for place, row in self.rows.items()
                }
                self.lead(before, dots)
                before = dots
                if any(t < s < following for s in self.losses) and following < made.columns:
                    losses.append(self.add(f"Ldots{column}", "words", ["..."], column, self.above + 1, words))
        if made.loss is not None and len(self.losses) > 1:
            lines = ["loss", f"{made.loss.item():.3g}"]
            losses.append(self.add("loss", "loss", lines, column + 1, self.above + 1, made.words))
        for one, other in pairwise(losses):
            self.arrow(one, other, "gathered")

    def lead(self, before: dict[tuple[Line, str], str], after: dict[tuple[Line, str], str]) -> None:
        """The arrows along time."""
        for (line, name), source in before.items():
            self.arrow(source, after[line, name], "recurrent", self.recurrent_letter(line, name))

    def recurrent_letter(self, line: Line, name: str) -> str:
        """W, where the matrix acts on this state: the first, which is the output."""
        first = name == self.made.cells[line].state_names[0]
        return self.letters.get(("W", line.layer), "") if first else ""

    def column(self, column: int, t: int | None) -> dict[tuple[Line, str], str]:
        """One step, from x up to y; with `t` None the folded one. Returns where the arrows of the states before it lead to."""
        made = self.made
        time = "t" if t is None else str(t)
        number = made.numbers.get(t) if t is not None else None
        word = f"x[{time}] = {int(number[0])}" if number is not None and number.size == 1 else f"x[{time}]"
        below = self.add(f"x{column}", "input", [word], column, 0)
        if made.numbers:
            below = self.embedded(below, column, time)
        into = {}
        for line, cell in made.cells.items():
            rows = [self.rows[line, name] for name in cell.state_names]
            frame = f"cell{line.layer}_{column}"
            if len(rows) > 1:  # a frame for the cell: its states are computed together
                kind = "loop" if isinstance(cell, Body) else type(cell).__name__.removesuffix("Cell")
                place = Place(column, min(rows), 1, len(rows))
                self.picture.boxes.append(Box(frame, "cell", [kind], self.inside(line), at=place))
            for name, row in zip(cell.state_names, rows, strict=True):
                words = state_name(made, line, name, 0, self.layers).split("[")[0]
                unit = self.add(f"s{row}_{column}", "unit", [f"{words}[{time}]"], column, row, self.inside(line))
                into[line, name] = frame if len(rows) > 1 else unit
                if t is None:
                    self.arrow(unit, unit, "loop", self.recurrent_letter(line, name))
            self.arrow(below, into[line, cell.state_names[0]], label=self.letters.get(("U", line.layer), ""))
            below = f"s{rows[0]}_{column}"
        self.answer(below, column, t)
        return into

    def embedded(self, below: str, column: int, time: str) -> str:
        vector = self.add(f"e{column}", "op", [f"e[{time}]"], column, 1, "the row of the embedding")
        self.arrow(below, vector, label=self.letters.get(("E", 0), ""))
        return vector

    def answer(self, below: str, column: int, t: int | None) -> None:
        """The output, its loss and its target, where a step has them; folded what one step at least has."""
        made = self.made
        once = t is None and self.only is not None
        time = "" if once else "[t]" if t is None else f"[{t}]"
        if ("V", 0) in self.letters and (t is None or t in self.outputs):
            output = self.add(f"o{column}", "output", [f"o{time}"], column, self.above)
            label = self.letters["V", 0]
            self.arrow(below, output, "first" if once else "flow", f"{label}, t = {self.only}" if once else label)
            below = output
        if t in self.losses or (t is None and self.losses):
            value = "" if t is None else f"{self.losses[t]:.3g}"
            words = "loss" if len(self.losses) == 1 else f"L{time}"
            loss = self.add(f"L{column}", "loss", [words, value], column, self.above + 1, made.words)
            self.arrow(below, loss)
            if made.targets:
                target = self.add(f"y{column}", "target", [f"y{time}"], column, self.above + 2)
                self.arrow(target, loss)

    def inside(self, line: Line) -> str:
        """What a circle stands for, as its tooltip."""
        cell: Any = self.made.cells[line]
        if isinstance(cell, Body):
            return str(cell.loop)
        return f"{type(cell).__name__}: {', '.join(f'{name} {tuple(p.shape)}' for name, p in cell.named_parameters())}"


def letters_of(model: Any, made: Run, graph: Graph) -> tuple[Letters, str]:
    """The letters of the weights that were used, and the line that tells what they are called here."""
    if isinstance(made, Reading):
        return made.letters()
    letters: Letters = {}
    words = []

    def say(letter: str, layer: int, number: str, p: Any, part: str = "") -> None:
        if isinstance(p, Parameter) and node_of(p) in graph.index:
            letters[letter, layer] = letter + number
            name = shortened(part + (p.name or ""))
            words.append(f"{letter}{number} = {name} {str(p.shape).replace(' ', '')}")

    for line, cell in made.cells.items():
        number = str(line.layer) if len(made.cells) > 1 else ""
        say("U", line.layer, number, getattr(cell, "weight_ih", None))
        say("W", line.layer, number, getattr(cell, "weight_hh", None))
    if readout := getattr(model, "readout", None):
        say("V", 0, "", next((p for _, p in readout.named_parameters() if p.ndim > 1), None))
        if ("V", 0) not in letters:
            letters["V", 0] = "V"
            words.append("V = the readout")
    if made.numbers:
        say("E", 0, "", next(iter(model.embedding.parameters()), None), "embedding.")
    return letters, ";  ".join(words)
