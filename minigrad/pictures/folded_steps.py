"""The choice of time steps that are drawn in full, and the strip that shows the others."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping

from .builder import runs
from .picture import Box, Piece

__all__ = ["ALL_UP_TO", "SCISSORS", "chosen_steps", "strip"]

ALL_UP_TO = 8
AT_EACH_END = 3
MOST_PIECES = 100  # of a strip
SCISSORS = "\N{BLACK SCISSORS}"
MEANING = 'steps are written "all", "0-3,48-49" or as a list of numbers, not {!r}'
Values = Mapping[int, tuple[str, float | None]]  # by step a note, and a heat


def chosen_steps(steps: str | Iterable[int] | None, count: int, also: Collection[int] = ()) -> set[int]:
    """The steps of `count` that are drawn in full: "all", "0-3,48-49", or numbers; those from -1 back count from the end.

    None is all of them up to 8, otherwise the first three and the last three; a single step is never folded. Raises ValueError
    for anything else, and for a step that is not there.

    >>> sorted(chosen_steps("0-2, -1", 50))
    [0, 1, 2, 49]
    >>> sorted(chosen_steps(None, 50))
    [0, 1, 2, 47, 48, 49]
    """
    if (count <= ALL_UP_TO and steps is None) or steps == "all":
        return set(range(count))
    if steps is None:
        found = {*range(AT_EACH_END), *range(count - AT_EACH_END, count)}
    elif isinstance(steps, str):
        found = {t for part in steps.split(",") for t in range_of(part, steps, count)}
    elif isinstance(steps, Iterable):
        found = {within(t, count) for t in steps}
    else:
        raise ValueError(MEANING.format(steps))
    if not found:
        raise ValueError(f"steps={steps!r} chooses no step; there are steps 0 to {count - 1}")
    found |= {t for t in also if t < count}
    return found | {first for first, last in runs(set(range(count)) - found) if first == last}


def range_of(part: str, steps: str, count: int) -> range:
    """The steps of "3" or "0-3", a part of `steps`."""
    ends = re.fullmatch(r"\s*(-?\d+)\s*(?:-\s*(-?\d+)\s*)?", part)
    if ends is None:
        raise ValueError(MEANING.format(steps))
    first, last = (within(int(end), count) for end in (ends[1], ends[2] or ends[1]))
    if last < first:
        raise ValueError(f"steps={steps!r} has a range that ends before it begins: step {first} to step {last}")
    return range(first, last + 1)


def within(t: int, count: int) -> int:
    """The number of a step, counted from the beginning."""
    if not hasattr(t, "__index__") or isinstance(t, bool):
        raise ValueError(f"a step must be an integer, not {t!r}")
    if not -count <= t < count:
        raise ValueError(f"there is no step {t}; this sequence has steps 0 to {count - 1}")
    return t % count


def strip(id: str, name: str, first: int, last: int, values: Values, cuts: Collection[int] = ()) -> Box:
    """The box of folded steps: a piece for each, or for several where they are more than a hundred, with a tooltip.

    `values` has a note for the tooltip and a heat for each step. Without any the box has only "...". Scissors mark `cuts`,
    the steps before which the state is detached from the step before.
    """
    inside = sorted(t for t in cuts if first < t <= last)
    scissors = [f"{SCISSORS} x{len(inside)}"] if inside else []
    if not values:
        lines = [name, "..."] if name else ["..."]
        return Box(id, "strip", lines + scissors, f"steps {first} to {last}" + cut_before(inside))
    width = math.ceil((last - first + 1) / MOST_PIECES)
    begins = range(first, last + 1, width)
    pieces = [piece(name, t, min(t + width - 1, last), values, inside) for t in begins]
    ends = [values[t][0] for t in (first, last) if t in values and values[t][0]]
    lines = [f"{name}[{first}] ... {name}[{last}]"] + ([f"{ends[0]} ... {ends[-1].split()[-1]}"] if ends else [])
    return Box(id, "strip", lines + scissors, pieces=pieces)


def piece(name: str, first: int, last: int, values: Values, cuts: list[int]) -> Piece:
    """The piece of a strip for these steps: in its tooltip the notes of both ends, as its colour the greatest heat."""
    inside = [values[t] for t in range(first, last + 1) if t in values]
    notes = " ... ".join(dict.fromkeys(note for note, _ in (*inside[:1], *inside[-1:]))) or "-"
    steps = f"{first}" if first == last else f"{first} ... {last}"
    here = cut_before([t for t in cuts if first <= t <= last])
    return Piece(f"{name}[{steps}]: {notes}{here}", max((heat for _, heat in inside if heat is not None), default=None))


def cut_before(steps: list[int]) -> str:
    return f"  {SCISSORS} before {', '.join(map(str, steps))}" if steps else ""
