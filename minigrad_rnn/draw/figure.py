"""The textbook's figure: a network folded on the left, unfolded on the right, drawn as a table of circles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from minigrad.pictures.board import shortened
from minigrad.pictures.picture import Arrow, Box, Picture, Place

from ..recurrent import Recurrent
from .run import Line, Run

__all__ = ["figure"]


def figure(model: Any, made: Run, shown: set[int], title: str) -> Picture:
    """x, h, o, L and y one above the other: once for all steps, with a loop, then for each step, with arrows along time."""
    layers = len(made.states)
    legend, letters = parameters(model, made)
    picture = Picture(f"{title}\n{legend}")
    column_of(picture, made, letters, 0, None)
    picture.boxes.append(Box("equals", "words", ["="], "the same network", at=Place(1, 1 + (layers - 1) // 2)))
    picture.boxes[-1].role = "sign"
    column = 2
    before: list[str] = []
    for k, line in enumerate(made.states):
        name = "h" if layers == 1 else f"h{k}"
        names = ", ".join(n.replace("h", name) if n == "h" else n for n in made.cells[line].state_names)
        picture.boxes.append(
            Box(f"begin{k}", "initial", [f"{name}[-1]"], f"{names} before the first step", at=Place(column, 1 + k))
        )
        before.append(f"begin{k}")
    losses: list[str] = []
    for t, following in pairwise([*sorted(shown), made.columns]):
        column += 1
        column_of(picture, made, letters, column, t)
        if t in made.shares:
            losses.append(f"L{column}")
        before = lead(picture, before, [f"h{k}_{column}" for k in range(layers)], letters)
        if following > t + 1:
            column += 1
            dots = [f"dots{k}_{column}" for k in range(layers)]
            last = following == made.columns
            words = f"steps {t + 1} to {following - 1}"
            picture.boxes += [Box(id, "words", ["..."], words, at=Place(column, 1 + k)) for k, id in enumerate(dots)]
            before = lead(picture, before, dots, letters)
            if made.shares and not last:
                picture.boxes.append(Box(f"Ldots{column}", "words", ["..."], words, at=Place(column, layers + 2)))
                losses.append(f"Ldots{column}")
    if made.loss is not None and len(made.shares) > 1:
        lines = ["loss", f"{made.loss.item():.3g}"]
        picture.boxes.append(Box("loss", "loss", lines, "the sum of the losses of all steps", at=Place(column + 1, layers + 2)))
        losses.append("loss")
    picture.arrows += [Arrow(one, other, "gathered") for one, other in pairwise(losses)]
    return picture


def lead(picture: Picture, before: list[str], after: list[str], letters: dict[tuple[str, int], str]) -> list[str]:
    """The arrows along time."""
    for k, (one, other) in enumerate(zip(before, after, strict=True)):
        picture.arrows.append(Arrow(one, other, "recurrent", letters["W", k]))
    return after


def column_of(picture: Picture, made: Run, letters: dict[tuple[str, int], str], column: int, t: int | None) -> None:
    """One step, from x up to y; with `t` None the folded one."""
    layers = len(made.states)
    time = "t" if t is None else str(t)

    def add(what: str, role: str, row: int, value: str = "") -> str:
        id = f"{what}_{column}" if what[0] == "h" else f"{what}{column}"
        picture.boxes.append(Box(id, role, [f"{what}[{time}]", *([value] if value else [])], at=Place(column, row)))
        return id

    below = add("x", "input", 0)
    for k, line in enumerate(made.states):
        add(f"h{k}", "unit", 1 + k)
        box = picture.boxes[-1]
        name = "h" if layers == 1 else f"h{k}"
        box.lines = [f"{name}[{time}]"]
        box.tooltip = inside(made, line)
        picture.arrows.append(Arrow(below, box.id, label=letters["U", k]))
        if t is None:
            picture.arrows.append(Arrow(box.id, box.id, "loop", letters["W", k]))
        below = box.id
    has_output = ("V", 0) in letters and (t is None or t in made.outputs)
    if has_output:
        output = add("o", "output", layers + 1)
        picture.arrows.append(Arrow(below, output, label=letters["V", 0]))
        below = output
    if made.shares and (t is None or t in made.shares):
        loss = add("L", "loss", layers + 2, "" if t is None else f"{made.shares[t].item():.3g}")
        target = add("y", "target", layers + 3)
        picture.arrows += [Arrow(below, loss), Arrow(target, loss)]


def inside(made: Run, line: Line) -> str:
    """What a circle stands for, as its tooltip."""
    cell = made.cells[line]
    kind = type(cell).__name__
    return f"{kind}: {', '.join(f'{name} {tuple(p.shape)}' for name, p in cell.named_parameters())}"


def parameters(model: Any, made: Run) -> tuple[str, dict[tuple[str, int], str]]:
    """The letters of the weights, and the line that tells what they are called here."""
    letters: dict[tuple[str, int], str] = {}
    words = []
    for k, (_line, cell) in enumerate(made.cells.items()):
        number = str(k) if len(made.cells) > 1 else ""
        for letter, p in (("U", cell.weight_ih), ("W", cell.weight_hh)):
            letters[letter, k] = letter + number
            words.append(f"{letter}{number} = {shortened(p.name or '')} {str(p.shape).replace(' ', '')}")
    if not isinstance(model, Recurrent):
        letters["V", 0] = "V"
        weights = [p for _, p in model.readout.named_parameters() if p.ndim > 1]
        words += [f"V = {shortened(p.name or '')} {str(p.shape).replace(' ', '')}" for p in weights[:1]] or ["V = the readout"]
    return ";  ".join(words), letters
