"""Numbers in time: read, scaled, cut in windows, and the forecast that any other has to beat."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .batch import Batch, whole
from .text import read

__all__ = ["Scaler", "Series", "parse", "persistence", "read_csv", "split", "sunspots", "windows"]


class Series(NamedTuple):
    """Columns of numbers: their names, and values (N, columns), float64."""

    names: tuple[str, ...]
    values: np.ndarray

    def __repr__(self) -> str:
        return f"Series({', '.join(map(repr, self.names))}; {len(self.values):,} rows)"


MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)  # float() also reads 1_000


def read_csv(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    header: bool = True,
    delimiter: str | None = None,
    comment: str = "#",
    missing: str | None = None,
) -> Series:
    """The numbers in a CSV file: all columns, or those of these names, in the order given.

    The first line has the names; with ``header=False`` there is none, and the columns are called "0", "1" and so on.
    Lines that begin with `comment` are skipped (none if it is ""), but if the first line that is left has numbers, the last
    comment before it may have the names. The `delimiter` between cells is the one of ";", tab and "," that cuts each line into
    as many cells, or any number of blanks, " ", if none does.

    A missing value (an empty cell, NA, NaN, null, ?) is an error, unless `missing` is "drop", which leaves out such lines, or
    "previous", which repeats the value before.

    Raises FileNotFoundError, IsADirectoryError, and ValueError, with the line, for rows of unequal length and for what is
    not a finite number.
    """
    return parse(
        read(Path(path)), columns, header=header, delimiter=delimiter, comment=comment, missing=missing, source=str(path)
    )


def parse(
    text: str,
    columns: Sequence[str] | None = None,
    *,
    header: bool = True,
    delimiter: str | None = None,
    comment: str = "#",
    missing: str | None = None,
    source: str = "the text",
) -> Series:
    """As `read_csv`, of a text; `source` is what errors call it.

    >>> import minigrad_rnn as rnn
    >>> rnn.series.parse("day,high,low\\nmonday,2,1\\ntuesday,3,2", columns=["low", "high"]).values
    array([[1., 2.],
           [2., 3.]])
    """
    if isinstance(columns, str):
        raise TypeError(f"columns is {columns!r}; give a list of names, as in columns=[{columns!r}]")
    if missing not in (None, "drop", "previous"):
        raise ValueError(f"missing is None (an error), 'drop' or 'previous', not {missing!r}")
    lines, comments = rows_of(text, delimiter or found_delimiter(text, comment), comment, source)
    names, rows = (numbered(lines[0].cells), lines) if not header else named(lines, comments, source)
    if not rows:
        raise ValueError(f"{source} has the column names {names}, but no numbers")
    wanted = list(names if columns is None else columns)
    for name in wanted:
        if names.count(name) != 1:
            problem = "there is no column" if name not in names else "there is more than one column"
            raise ValueError(f"{source}: {problem} {name!r}; there are {names}")
    values: list[list[float]] = []
    for row in rows:
        if len(row.cells) != len(names):
            raise ValueError(f"{source}, line {row.line}: {len(row.cells)} cells, but there are {len(names)} columns, {names}")
        chosen = [(name, row.cells[names.index(name)].strip()) for name in wanted]
        if missing != "drop" or not any(is_missing(cell) for _, cell in chosen):
            before = values[-1] if values and missing == "previous" else None
            values.append(numbers_of(chosen, before, f"{source}, line {row.line}", missing, columns is None))
    if not values:
        raise ValueError(f"{source} has a missing value in every line, so missing='drop' leaves none")
    return Series(tuple(wanted), np.array(values))


class Row(NamedTuple):
    """The cells of a row, and the number of its line."""

    line: int
    cells: list[str]


def rows_of(text: str, delimiter: str, comment: str, source: str) -> tuple[list[Row], list[list[str]]]:
    """Return the rows of a text, and the cells of the comments before the first row."""
    rows: list[Row] = []
    comments: list[list[str]] = []
    for row in cut(text, delimiter, source):
        start = row.cells[0].lstrip()
        if comment and start.startswith(comment):
            if not rows:
                comments.append([cell for cell in (start.lstrip(comment), *row.cells[1:]) if cell.strip()])
        elif any(cell.strip() for cell in row.cells):
            rows.append(row)
    if not rows:
        raise ValueError(f"{source} is empty; expected lines of numbers")
    return rows, comments


def numbered(cells: list[str]) -> list[str]:
    """Return the names "0", "1" and so on, one for each cell."""
    return [str(i) for i in range(len(cells))]


def named(rows: list[Row], comments: list[list[str]], source: str) -> tuple[list[str], list[Row]]:
    """Return the names of the columns and the rows of numbers. The names are in the first row or in the last comment."""
    first = [name.strip() for name in rows[0].cells]
    if not all(is_number(name) for name in first):
        return first, rows[1:]
    names = [name.strip() for name in comments[-1]] if comments else []
    if len(names) != len(first) or all(is_number(name) for name in names):
        raise ValueError(
            f"{source}, line {rows[0].line}: {first} are numbers, but the names of the columns are expected; "
            "if there are no names, give header=False"
        )
    return names, rows


def numbers_of(
    cells: list[tuple[str, str]], before: list[float] | None, where: str, missing: str | None, all_columns: bool
) -> list[float]:
    """Return the numbers in the cells of a row, given by name; in place of a missing one that of the row `before`."""
    numbers = []
    for i, (name, cell) in enumerate(cells):
        if is_number(cell):
            numbers.append(float(cell))
        elif before is not None and is_missing(cell):
            numbers.append(before[i])
        elif missing == "previous" and is_missing(cell):
            raise ValueError(f"{where}, column {name!r}: a value is missing, and there is none before it")
        else:
            raise ValueError(f"{where}, column {name!r}: {wrong(cell, all_columns)}")
    return numbers


def cut(text: str, delimiter: str, source: str) -> Iterator[Row]:
    """Cut the lines of a text that are not empty into cells."""
    if delimiter == " ":
        yield from (Row(i, line.split()) for i, line in enumerate(text.splitlines(), 1) if line.strip())
        return
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield Row(reader.line_num, row)
    except csv.Error as error:
        raise ValueError(f"{source}, line {reader.line_num}: {error}") from None


def found_delimiter(text: str, comment: str) -> str:
    """Return the first of ";", tab and "," that cuts each line into as many cells; blanks, " ", if none of them cuts a line."""
    lines = [line for line in text.splitlines() if line.strip() and not (comment and line.lstrip().startswith(comment))][:100]
    counts = {d: {len(row) for row in csv.reader(lines, delimiter=d)} for d in ";\t,"}
    for delimiter, widths in counts.items():
        if len(widths) == 1 and widths != {1}:
            return delimiter
    if all(widths == {1} for widths in counts.values()) and cut_by_blanks(lines):
        return " "
    return next((d for d in ";\t," if lines and d in lines[0]), ",")


def cut_by_blanks(lines: list[str]) -> bool:
    """Return True if the first two lines have blanks between cells; a single line must be of numbers."""
    first = [line.split() for line in lines[:2]]
    if not all(len(cells) > 1 for cells in first):
        return False
    return len(first) != 1 or all(map(is_number, first[0]))


def is_missing(cell: str) -> bool:
    """Return True for a cell that has no value."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell.strip()) is not None and math.isfinite(float(cell))


def wrong(cell: str, all_columns: bool) -> str:
    """What is wrong with a cell that has no number, and what to do."""
    said = f"{cell!r} is not a finite number"
    choose = "; choose the columns to read with columns=[...]" if all_columns else ""
    if is_missing(cell):
        return f"{said}; it is missing: missing='drop' leaves out such lines, 'previous' repeats the value before{choose}"
    if re.fullmatch(r"[+-]?[\d.,_' ]+", cell.strip()):
        return f"{said}; write 1.5 for 1,5 and 1000 for 1,000 or 1_000"
    return said + choose


def sunspots() -> Series:
    """How many spots the sun had in each year from 1700 to 2008: (309, 2), year and yearly mean number; they come and go in
    about eleven years. Published by the National Geophysical Data Center, in the public domain.

    >>> import minigrad_rnn as rnn
    >>> rnn.series.sunspots().values[-1]
    array([2008. ,    2.9])
    """
    place = resources.files(__package__) / "sunspots.csv"
    return parse(place.read_text(encoding="utf-8"), source="sunspots.csv")


@dataclass(frozen=True, eq=False)
class Scaler:
    """Moves each column by `shift` and divides it by `scale`; `inverse` undoes it. Make it from the training part alone:
    what comes later is not known when the model learns. A column that does not change there is only moved.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> scaler = rnn.series.Scaler.min_max(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> scaler(np.array([[2.0, 40.0]]))
    array([[0.5, 1.5]])
    >>> scaler[[1]].inverse(np.array([[1.5]]))     # of the second column only
    array([[40.]])
    """

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def min_max(cls, training: ArrayLike) -> Scaler:
        """To 0...1, in the training part (N, columns)."""
        values = numbers(training)
        return cls._of(values.min(axis=0), values.max(axis=0) - values.min(axis=0))

    @classmethod
    def standard(cls, training: ArrayLike) -> Scaler:
        """To mean 0 and standard deviation 1, in the training part (N, columns)."""
        values = numbers(training)
        beyond = values - values[0]  # of equal numbers 0; their standard deviation may be 1e-15
        return cls._of(values[0] + beyond.mean(axis=0), beyond.std(axis=0))

    @classmethod
    def _of(cls, shift: np.ndarray, scale: np.ndarray) -> Scaler:
        return cls(shift, np.where(scale > 0, scale, 1.0))

    def __call__(self, values: ArrayLike) -> np.ndarray:
        """The values (..., columns), scaled."""
        scaled: np.ndarray = (self._checked(values) - self.shift) / self.scale
        return scaled

    def inverse(self, values: ArrayLike) -> np.ndarray:
        """Scaled values (..., columns) as they were."""
        original: np.ndarray = self._checked(values) * self.scale + self.shift
        return original

    def __getitem__(self, columns: Any) -> Scaler:
        """The scaler of these columns alone: a list or a slice of their numbers."""
        return Scaler(np.atleast_1d(self.shift[columns]), np.atleast_1d(self.scale[columns]))

    def _checked(self, values: ArrayLike) -> np.ndarray:
        array = np.asarray(values, np.float64)
        if array.ndim == 0 or array.shape[-1] != len(self.shift):
            raise ValueError(
                f"the values have shape {array.shape}; this scaler knows {len(self.shift)} columns, the last axis. "
                "For some of them: scaler[[numbers of the columns]]"
            )
        return array


def numbers(values: ArrayLike) -> np.ndarray:
    """Values (N, columns), of one column also (N,); errors if there are none or they are not finite."""
    array = np.asarray(values, np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"the series has shape {np.shape(values)}; expected (N,) or (N, columns), none of them 0")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"the series has {array[row, column]} in row {row}, column {column}; expected finite numbers")
    return array


def split(series: ArrayLike, validation: float = 0.15, test: float = 0.15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut in time: the first part to train on, the one after it to choose by, the last to test on. No shuffling: what is
    tested is the future. A share of 0 is an empty part.

    >>> import minigrad_rnn as rnn
    >>> [len(part) for part in rnn.series.split(range(10), validation=0.2, test=0.3)]
    [5, 2, 3]
    """
    array = np.asarray(series)
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError(f"validation is {validation} and test {test}; expected shares from 0 on that add up to less than 1")
    last, middle = round(len(array) * test), round(len(array) * validation)
    first = len(array) - middle - last
    if first < 1 or (validation and not middle) or (test and not last):
        raise ValueError(f"{len(array)} values are too few for shares of {validation} and {test}: a part would be empty")
    return array[:first], array[first : first + middle], array[first + middle :]


def windows(series: ArrayLike, length: int, horizon: int = 1, targets: Sequence[int] | None = None) -> Batch:
    """Every window of `length` values, and the value `horizon` steps after its last: all examples, in order of time.

    `series` is (N, columns) or (N,); `targets` are the numbers of the columns to foretell, by default all. Inputs
    (length, windows, columns), targets (windows, O), float32. `Examples` makes small batches of it.
    Raises ValueError for a series too short.

    >>> import minigrad_rnn as rnn
    >>> batch = rnn.series.windows([1, 2, 3, 4, 5], length=3)
    >>> batch.inputs[..., 0].T.tolist(), batch.targets.T.tolist()
    ([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], [[4.0, 5.0]])
    """
    array = numbers(series).astype(np.float32)
    count = len(array) - whole("length", length) - whole("horizon", horizon) + 1
    if count < 1:
        raise ValueError(
            f"the series has {len(array)} values; a window of {length} and the value {horizon} after it need {length + horizon}"
        )
    answers = array[length + horizon - 1 :]
    return Batch(
        array[np.arange(count) + np.arange(length)[:, None]],
        answers if targets is None else answers[:, list(targets)],
    )


def persistence(batch: Batch, targets: Sequence[int] | None = None) -> float:
    """The root of the mean squared error of "it stays as it is" on these windows: the last value is the forecast. A model
    that is not better has learnt nothing of use. `targets` as for `windows`.

    >>> import minigrad_rnn as rnn
    >>> rnn.series.persistence(rnn.series.windows([1, 3, 5, 7], length=2))
    2.0
    """
    last = batch.inputs[-1].astype(np.float64)
    last = last if targets is None else last[:, list(targets)]
    if last.shape != batch.targets.shape:
        raise ValueError(
            f"the windows have {last.shape[1]} columns, the targets shape {batch.targets.shape}: name the columns that are "
            "foretold, as for windows, with targets=[...]"
        )
    return float(np.sqrt(np.mean((last - batch.targets) ** 2)))


def __dir__() -> list[str]:
    return __all__
