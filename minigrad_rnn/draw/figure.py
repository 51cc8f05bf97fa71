"""The textbook's figure: a network folded on the left, unrolled on the right, drawn as circles on a grid."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

from minigrad.pictures import Graph
from minigrad.pictures.builder import shortened
from minigrad.pictures.picture import Picture, Place

from ..module import Parameter
from ..recorded_run import RecordedRun
from ..stepwise import Line, Run, node_of
from .annotations import state_name, state_stem
from .grid import Grid, kind_of, tooltip_of

__all__ = ["figure"]

Letters = dict[tuple[str, Line | None], str]  # of U and W of a cell, of V and of E, what is written at the arrows


def figure(model: Any, made: Run, graph: Graph, shown: set[int], title: str) -> Picture:
    """x, the states, o, L and y one above the other: once for all steps, with a loop, then for each step, in a row."""
    return Figure(model, made, graph, shown, title).picture


class Figure(Grid):
    """The grid being filled."""

    def __init__(self, model: Any, made: Run, graph: Graph, shown: set[int], title: str) -> None:
        self.letters, legend = letters_of(model, made, graph)
        super().__init__(made, f"{title}\n{legend}".rstrip())
        self.losses = made.step_losses()
        self.rows: dict[tuple[Line, str], int] = {}  # from the bottom: the input, the states of each layer, o, L and y
        row = 2 if made.numbers else 1
        for line, cell in made.cells.items():
            for name in reversed(cell.state_names):
                self.rows[line, name] = row
                row += 1
        self.above = row
        # for each row where arrows end, and where they begin
        self.chains: dict[tuple[Line, str], list[tuple[str, str]]] = {place: [] for place in self.rows}
        self.columns: dict[int, int] = {}  # of the steps
        self.column(0, None)
        middle = sum(self.rows.values()) // len(self.rows)
        self.add("equals", "sign", ["="], Place(1 + self.both, middle), "the same network")
        self.unroll(shown)

    def at(self, column: int, row: int, side: Line | None = None, rows: int = 1) -> Place:
        """The place of a box: of a cell at the side of its direction, of others in the middle."""
        wide = 1 + self.both
        if side is None:
            return Place(column * wide, row, wide)
        return Place(column * wide + (side.reverse and self.both), row, 1, rows)

    def unroll(self, shown: set[int]) -> None:
        """A column for each step that is shown, dots for the others, the states led along, the losses added up."""
        made, column = self.made, 2
        for place in self.rows:
            self.chains[place].clear()
            if not place[0].reverse:
                self.begin(place, column, -1)
        losses: list[str] = []
        for t, following in pairwise([*sorted(shown), made.columns]):
            column += 1
            self.column(column, t)
            if t in self.losses:
                losses.append(f"L{column}")
            if following > t + 1:
                column += 1
                words = f"steps {t + 1} to {following - 1}"
                for place, row in self.rows.items():
                    dots = self.add(f"dots{row}_{column}", "words", ["..."], self.at(column, row, place[0]), words)
                    self.chains[place].append((dots, dots))
                if any(t < s < following for s in self.losses) and following < made.columns:
                    losses.append(self.add(f"Ldots{column}", "words", ["..."], self.at(column, self.above + 1), words))
        for place in self.rows:
            if place[0].reverse:
                self.begin(place, column + 1, made.columns)
            self.lead(place)
        if made.loss is not None and len(self.losses) > 1:
            lines = ["loss", f"{made.loss.item():.3g}"]
            losses.append(self.add("loss", "loss", lines, self.at(column + 1, self.above + 1), made.words))
        for one, other in pairwise(losses):
            self.connect([one], other, "gathered")

    def begin(self, place: tuple[Line, str], column: int, t: int) -> None:
        """The state that the first step reads."""
        row = self.rows[place]
        box = self.add(f"begin{row}", "initial", [state_name(self.made, *place, t)], self.at(column, row, place[0]))
        self.chains[place].append((box, box))

    def lead(self, place: tuple[Line, str]) -> None:
        """The arrows along time, or against it."""
        line, name = place
        chain = self.chains[place][::-1] if line.reverse else self.chains[place]
        for (_, source), (target, _) in pairwise(chain):
            self.connect([source], target, "recurrent", self.recurrent_letter(line, name))

    def recurrent_letter(self, line: Line, name: str) -> str:
        """W, where the matrix acts on this state: the first, which is the output."""
        first = name == self.made.cells[line].state_names[0]
        return self.letters.get(("W", line), "") if first else ""

    def column(self, column: int, t: int | None) -> None:
        """One step, from x up to y; with `t` None the folded one."""
        made = self.made
        time = "t" if t is None else str(t)
        number = made.numbers.get(t) if t is not None else None
        word = f"x[{time}] = {int(number[0])}" if number is not None and number.size == 1 else f"x[{time}]"
        below = [self.add(f"x{column}", "input", [word], self.at(column, 0))]
        if made.numbers:
            below = [self.embedded(below[0], column, time)]
        for _, lines in groupby(made.cells, key=lambda line: line.layer):
            below = [self.cell(line, below, column, t) for line in lines]
        if t is not None:
            self.columns[t] = column
        if self.only is not None and t == self.only and t in made.outputs:
            below = self.last_read(t)
        self.answer(below, column, t)

    def output_box(self, line: Line, name: str, t: int) -> str:
        near = max((s for s in self.columns if s <= t), default=self.only or 0)
        return f"{'s' if near == t else 'dots'}{self.rows[line, name]}_{self.columns[near] + (near != t)}"

    def cell(self, line: Line, below: list[str], column: int, t: int | None) -> str:
        """The circles of a cell's states, and the arrows from what it reads; returns the one that is its output."""
        cell = self.made.cells[line]
        rows = [self.rows[line, name] for name in cell.state_names]
        output = entry = f"s{rows[0]}_{column}"
        if len(rows) > 1:  # a frame for the cell: its states are computed together
            place = self.at(column, min(rows), line, len(rows))
            entry = self.add(f"cell{line.id}_{column}", "cell", [kind_of(cell)], place, tooltip_of(cell))
        for name, row in zip(cell.state_names, rows, strict=True):
            lines = [f"{state_stem(self.made, line, name)}[{'t' if t is None else t}]"]
            unit = self.add(f"s{row}_{column}", "unit", lines, self.at(column, row, line), tooltip_of(cell))
            self.chains[line, name].append((entry, unit))
            if t is None:
                self.connect([unit], unit, "loop", self.recurrent_letter(line, name))
        self.connect(below, entry, label=self.letters.get(("U", line), ""))
        return output

    def embedded(self, below: str, column: int, time: str) -> str:
        vector = self.add(f"e{column}", "op", [f"e[{time}]"], self.at(column, 1), "the row of the embedding")
        self.connect([below], vector, label=self.letters.get(("E", None), ""))
        return vector

    def answer(self, below: list[str], column: int, t: int | None) -> None:
        """The output, its loss and its target, where a step has them; folded what one step at least has."""
        made = self.made
        once = t is None and self.only is not None
        time = "" if once else "[t]" if t is None else f"[{t}]"
        if ("V", None) in self.letters and (t is None or t in self.outputs):
            output = self.add(f"o{column}", "output", [f"o{time}"], self.at(column, self.above))
            label = self.letters["V", None]
            for k, source in enumerate(below):
                last = 0 if k else self.only  # what runs from the last step to the first ends there
                self.connect([source], output, "first" if once else "flow", f"{label}, t = {last}" if once else label)
            below = [output]
        if t in self.losses or (t is None and self.losses):
            value = "" if t is None else f"{self.losses[t]:.3g}"
            words = "loss" if len(self.losses) == 1 else f"L{time}"
            loss = self.add(f"L{column}", "loss", [words, value], self.at(column, self.above + 1), made.words)
            self.connect(below, loss)
            if made.targets:
                self.connect([self.add(f"y{column}", "target", [f"y{time}"], self.at(column, self.above + 2))], loss)


def letters_of(model: Any, made: Run, graph: Graph) -> tuple[Letters, str]:
    """The letters of the weights that were used, and the line that gives their names."""
    if isinstance(made, RecordedRun):
        return made.letters()
    letters: Letters = {}
    words = []

    def say(letter: str, line: Line | None, number: str, p: Any, part: str = "") -> None:
        if isinstance(p, Parameter) and node_of(p) in graph.index:
            letters[letter, line] = letter + number
            name = shortened(part + (p.name or ""))
            words.append(f"{letter}{number} = {name} {str(p.shape).replace(' ', '')}")

    for line, cell in made.cells.items():
        number = (str(line.layer) if made.layers > 1 else "") + "'" * line.reverse
        say("U", line, number, getattr(cell, "weight_ih", None))
        say("W", line, number, getattr(cell, "weight_hh", None))
    if readout := getattr(model, "readout", None):
        say("V", None, "", next((p for _, p in readout.named_parameters() if p.ndim > 1), None))
        if ("V", None) not in letters:
            letters["V", None] = "V"
            words.append("V = the readout")
    if made.numbers:
        say("E", None, "", next(iter(model.embedding.parameters()), None), "embedding.")
    return letters, ";  ".join(words)
