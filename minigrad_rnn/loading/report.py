"""The report of a loaded model: which arrays it took, and which it left."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Report"]


class Report(NamedTuple):
    """A table of the arrays in a file. ``print(report)`` shows it.

    `rows` has for each array its name in the file, its shape, and the parameter that it became, or "left". `assumed` lists
    the properties of the model that weights do not contain.

    >>> print(Report((("fc.weight", (2, 4), "readout.weight"), ("step", (), "left")), ("inputs (T, batch, ...)",)))
    array      shape   became
    fc.weight  (2, 4)  readout.weight
    step       ()      left
    assumed: inputs (T, batch, ...)
    """

    rows: tuple[tuple[str, tuple[int, ...], str], ...]
    assumed: tuple[str, ...]

    @property
    def taken(self) -> dict[str, str]:
        """The parameters by the names of the arrays that they came from."""
        return {name: became for name, _, became in self.rows if became != "left"}

    @property
    def left(self) -> list[str]:
        """The names of the arrays that are not in the model."""
        return [name for name, _, became in self.rows if became == "left"]

    def __repr__(self) -> str:
        return f"Report({len(self.taken)} arrays taken, {len(self.left)} left; print it for the table)"

    def __str__(self) -> str:
        cells = [("array", "shape", "became"), *((name, str(shape), became) for name, shape, became in self.rows)]
        wide = [max(len(row[i]) for row in cells) for i in range(2)]
        lines = [f"{name:<{wide[0]}}  {shape:<{wide[1]}}  {became}" for name, shape, became in cells]
        return "\n".join([*lines, *([f"assumed: {', '.join(self.assumed)}"] if self.assumed else [])])
