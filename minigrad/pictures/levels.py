"""How high the boxes of a row of frames stand: the tracks on lines of their own, all else between these lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

__all__ = ["Item", "settle"]

SPACE = 5.0  # between boxes of one column
ROUNDS = 12  # of moving boxes to where their neighbours are
TIE = 0.15  # so near to a line, measured in the distance of two, above it and below it are the same


@dataclass
class Item:
    """A box of a frame, or the place of an arrow that passes a column."""

    id: str
    width: float
    height: float
    track: str = ""
    column: int = 0
    y: float = 0.0
    near: list[Item] = field(default_factory=list)


def settle(columns: list[list[Item]], lanes: dict[str, int]) -> None:
    """Give every item its height.

    First on a scale on which the lines are 1 apart, each free item in the middle of its neighbours; then in points, with room
    for the fullest column between two lines.
    """
    count = max(len(lanes), 1)
    free = loose(columns, lanes)
    for _ in range(ROUNDS):
        for item in chain(free, reversed(free)):
            if item.near:
                item.y = sum(other.y for other in item.near) / len(item.near)
    for item in free:  # ops on the level of a line go above it, and leaves with them
        if len(item.near) > 1 and abs(item.y - round(item.y)) < TIE and lanes:
            item.y = round(item.y) + 0.3
    for item in free:
        if len(item.near) == 1 and item.near[0].track not in lanes:
            item.y = item.near[0].y
    rooms = [0.0] * (count + 1)  # below the lowest line, between the lines, above the highest
    thick = [0.0] * count  # the lines
    bands: list[tuple[int, list[Item]]] = []
    for column in columns:
        for k, items in enumerate(sorted_in(column, lanes, count)):
            rooms[k] = max(rooms[k], sum(item.height + SPACE for item in items))
            bands.append((k, items))
        for item in column:
            if item.track in lanes:
                thick[lanes[item.track]] = max(thick[lanes[item.track]], item.height)
    levels: list[float] = []
    here = rooms[0]
    for k in range(count):
        levels.append(here + thick[k] / 2)
        here += thick[k] + SPACE + rooms[k + 1]
    for k, items in bands:
        low = 0.0 if k == 0 else levels[k - 1] + thick[k - 1] / 2 + SPACE
        wanted = [low + min(max(item.y - (k - 1), 0.0), 1.0) * rooms[k] for item in items]
        stack(items, wanted, low, low + rooms[k])
    for item in chain.from_iterable(columns):
        if item.track in lanes:
            item.y = levels[lanes[item.track]]


def loose(columns: list[list[Item]], lanes: dict[str, int]) -> list[Item]:
    """The items that stand on no line; where two would share one, the second is let go."""
    free = []
    for column in columns:
        taken: set[str] = set()
        for k, item in enumerate(column):  # the boxes first, then the arrows that pass
            if item.track in taken:
                item.track = ""
            if item.id:
                taken.add(item.track)
            if item.track in lanes:
                item.y = float(lanes[item.track])
            else:
                item.y = max(len(lanes) - 1, 0) / 2 + 0.01 * k
                free.append(item)
    return free


def sorted_in(column: list[Item], lanes: dict[str, int], count: int) -> list[list[Item]]:
    """The free items of a column, from the lowest up, by the lines that they stand between."""
    inside: list[list[Item]] = [[] for _ in range(count + 1)]
    for item in sorted((item for item in column if item.track not in lanes), key=lambda item: item.y):
        nearest = min(max(round(item.y), 0), count - 1)
        band = min(max(int(item.y // 1) + 1, 0), count)
        if abs(item.y - nearest) < TIE and lanes:  # as near above as below: where there is more room
            below, above = (sum(other.height for other in inside[k]) for k in (nearest, nearest + 1))
            band = nearest if below < above else nearest + 1
        inside[band].append(item)
    return inside


def stack(items: list[Item], wanted: list[float], low: float, high: float) -> None:
    """Put items between two heights one above the other, as near as can be to where they want to be."""
    for item, y in zip(items, wanted, strict=True):
        item.y = max(y, low + (item.height + SPACE) / 2)
        low = item.y + (item.height + SPACE) / 2
    for item in reversed(items):
        item.y = min(item.y, high - (item.height + SPACE) / 2)
        high = item.y - (item.height + SPACE) / 2
