"""Time series: reading, scaling, windows, and the error of the simplest forecast."""

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
    """Columns of numbers: their names, and their values (N, columns) in float64."""

    names: tuple[str, ...]
    values: np.ndarray

    def __repr__(self) -> str:
        return f"Series({', '.join(map(repr, self.names))}; {len(self.values):,} rows)"


MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)  # float() also reads 1_000
THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:([,.' _\u00a0\u202f])\d{3})(?:\1\d{3})*(?:[,.]\d+)?")
MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\\.?"
DAY = rf"\d{{4}}[-/]\d\d?|\d{{1,4}}([-/.])\d\d?\1\d{{1,4}}|\d\d?[- ]{MONTH}[- ]\d{{2,4}}|{MONTH}[- ](?:\d\d?,? )?\d{{2,4}}"
TIME = r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)? ?(?:z|utc|[ap]m|[+-]\d\d:?\d\d)?"
DATE = re.compile(rf"(?:{DAY})(?:[t ]+{TIME})?|{TIME}", re.ASCII | re.IGNORECASE)


class Cells(NamedTuple):
    """The format of the cells of a file: the decimal mark, and what a missing value can be besides an empty cell."""

    decimal: str = "."
    na_values: tuple[str | float, ...] = ()

    def number(self, cell: str) -> float:
        """Return the number in a cell, NaN if there is no finite one."""
        text = cell.strip()
        if self.decimal != ".":
            text = text.translate({ord("."): self.decimal, ord(self.decimal): "."})
        value = float(text) if NUMBER.fullmatch(text) else math.nan
        return value if math.isfinite(value) else math.nan

    def is_number(self, cell: str) -> bool:
        """Return True for a cell with a finite number."""
        return not math.isnan(self.number(cell))

    def is_missing(self, cell: str) -> bool:
        """Return True for a cell that has no value."""
        text = cell.strip()
        return text.lower() in MISSING or text in self.na_values or self.number(text) in self.na_values


def read_csv(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    header: bool = True,
    delimiter: str | None = None,
    decimal: str = ".",
    comment: str = "#",
    missing: str | None = None,
    na_values: Any = (),
    encoding: str = "utf-8",
) -> Series:
    """Read the numbers in a CSV file: all columns but those of dates, or the columns with these names, in the given order.

    The first line has the names. With ``header=False`` there are no names, and the columns are called "0", "1" and so on.
    Lines that begin with `comment` are skipped (none if it is ""). If the first other line has numbers, the names can be in
    the last comment before it. The default `delimiter` is the one of ";", tab and "," that cuts all lines into the same
    number of cells, or any number of blanks, " ", if none cuts a line. With ``decimal=","`` 1,5 is one and a half.

    A missing value is an empty cell, NA, NaN, null, ?, or one of `na_values`, such as ``[-99.99, "***"]``. It is an error. With
    ``missing="drop"`` its line is skipped, with ``missing="previous"`` the value of the line before is repeated.

    Raises FileNotFoundError, IsADirectoryError, and ValueError, with the number of the line and the column, for rows of unequal
    length and for cells without a finite number. See `text.read` for the `encoding`.
    """
    return parse(
        read(Path(path), encoding), columns, header=header, delimiter=delimiter, decimal=decimal, comment=comment,
        missing=missing, na_values=na_values, source=str(path),
    )  # fmt: skip


def parse(
    text: str,
    columns: Sequence[str] | None = None,
    *,
    header: bool = True,
    delimiter: str | None = None,
    decimal: str = ".",
    comment: str = "#",
    missing: str | None = None,
    na_values: Any = (),
    source: str = "the text",
) -> Series:
    """Read the numbers in a CSV text, as `read_csv` does. `source` is its name in errors.

    >>> import minigrad_rnn as rnn
    >>> rnn.series.parse("day,high,low\\nmonday,2,1\\ntuesday,3,2", columns=["low", "high"]).values
    array([[1., 2.],
           [2., 3.]])
    """
    if isinstance(columns, str):
        raise TypeError(f"columns is {columns!r}; give a list of names, as in columns=[{columns!r}]")
    if missing not in (None, "drop", "previous"):
        raise ValueError(f"missing must be None (an error), 'drop' or 'previous', not {missing!r}")
    if decimal not in (".", ",") or decimal == delimiter:
        raise ValueError(f"decimal must be '.' or ',', and not the delimiter; it is {decimal!r}")
    if told := re.match(r"sep=(.)\n", text):  # Excel's first line
        text, delimiter = text[told.end() - 1 :], delimiter or told[1]
    reading = Cells(decimal, (na_values,) if np.ndim(na_values) == 0 else tuple(na_values))
    lines, comments = rows_of(text, delimiter or found_delimiter(text, comment, reading), comment, source)
    names, rows = (numbered(lines[0].cells), lines) if not header else named(lines, comments, source, reading)
    check_widths(names, rows, lines[0], source)
    wanted = wanted_columns(names, rows, columns, source, reading)
    places = [names.index(name) for name in wanted]
    values: list[list[float]] = []
    for row in rows:
        chosen = [(names[i], row.cells[i].strip()) for i in places]
        if missing != "drop" or not any(reading.is_missing(cell) for _, cell in chosen):
            before = values[-1] if values and missing == "previous" else None
            values.append(numbers_of(chosen, before, f"{source}, line {row.line}", missing, columns is None, reading))
    if not values:
        raise ValueError(f"{source} has a missing value in every line, so missing='drop' leaves none")
    return Series(tuple(wanted), np.array(values))


def check_widths(names: list[str], rows: list[Row], first: Row, source: str) -> None:
    """Raise a ValueError unless there are rows, and each has a cell for each name."""
    if not rows:
        raise ValueError(f"{source} has the column names {names}, but no numbers")
    for row in rows:
        if len(row.cells) != len(names):
            title = names[0].split(maxsplit=1)[0] if len(names) == 1 and names[0] else None
            raise ValueError(
                f"{source}, line {row.line}: {len(row.cells)} cells, but there are {len(names)} columns, {names}"
                + ("" if title is None else f"; if line {first.line} is a title, skip it with comment={title!r}")
            )


def wanted_columns(names: list[str], rows: list[Row], columns: Sequence[str] | None, source: str, reading: Cells) -> list[str]:
    """Return the names of the columns to read: these, or all that do not consist of dates, and are not an empty last one."""
    wanted = list(columns) if columns is not None else [
        name for i, name in enumerate(names)
        if not is_dates(cells := [row.cells[i].strip() for row in rows], reading) and (name or any(cells))
    ]  # fmt: skip
    for name in wanted:
        if names.count(name) != 1:
            problem = "there is no column" if name not in names else "there is more than one column"
            raise ValueError(f"{source}: {problem} {name!r}; there are {names}")
    if not wanted:
        raise ValueError(f"{source} has no column of numbers, only dates: {names}")
    return wanted


def is_dates(cells: list[str], reading: Cells) -> bool:
    """Return True for the cells of a column of dates or times."""
    there = [cell for cell in cells if not reading.is_missing(cell)]
    return bool(there) and all(DATE.fullmatch(cell) for cell in there) and not all(map(reading.is_number, there))


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


def named(rows: list[Row], comments: list[list[str]], source: str, reading: Cells) -> tuple[list[str], list[Row]]:
    """Return the names of the columns and the rows of numbers. The names are in the first row or in the last comment."""
    first = [name.strip() for name in rows[0].cells]
    if not all(map(reading.is_number, first)):
        return first, rows[1:]
    names = [name.strip() for name in comments[-1]] if comments else []
    if len(names) != len(first) or all(map(reading.is_number, names)):
        raise ValueError(
            f"{source}, line {rows[0].line}: {first} are numbers, but the names of the columns are expected; "
            "if there are no names, give header=False"
        )
    return names, rows


def numbers_of(
    cells: list[tuple[str, str]],
    before: list[float] | None,
    where: str,
    missing: str | None,
    all_columns: bool,
    reading: Cells,
) -> list[float]:
    """Return the numbers in the cells of a row, given by name; in place of a missing one that of the row `before`."""
    numbers = []
    for i, (name, cell) in enumerate(cells):
        absent = reading.is_missing(cell)
        if not absent and reading.is_number(cell):
            numbers.append(reading.number(cell))
        elif before is not None and absent:
            numbers.append(before[i])
        elif missing == "previous" and absent:
            raise ValueError(f"{where}, column {name!r}: a value is missing, and there is none before it")
        else:
            raise ValueError(f"{where}, column {name!r}: {wrong(cell, all_columns, reading)}")
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


def found_delimiter(text: str, comment: str, reading: Cells) -> str:
    """Return the first of ";", tab and "," that cuts each line into as many cells; blanks, " ", if none of them cuts a line."""
    lines = [line for line in text.splitlines() if line.strip() and not (comment and line.lstrip().startswith(comment))][:100]
    counts = {d: {len(row) for row in csv.reader(lines, delimiter=d)} for d in (";\t," if reading.decimal == "." else ";\t")}
    for delimiter, widths in counts.items():
        if len(widths) == 1 and widths != {1}:
            return delimiter
    if all(widths == {1} for widths in counts.values()) and cut_by_blanks(lines, reading):
        return " "
    return next((d for d in counts if lines and d in lines[0]), ",")


def cut_by_blanks(lines: list[str], reading: Cells) -> bool:
    """Return True if the first two lines have blanks between cells; a single line must be of numbers."""
    first = [line.split() for line in lines[:2]]
    if not all(len(cells) > 1 for cells in first):
        return False
    return len(first) != 1 or all(map(reading.is_number, first[0]))


def wrong(cell: str, all_columns: bool, reading: Cells) -> str:
    """Return an error message for a cell without a number."""
    problem = f"{cell!r} is not a finite number"
    choose = "; choose the columns to read with columns=[...]" if all_columns else ""
    if reading.is_missing(cell):
        return f"{problem}; it is missing: missing='drop' leaves out such lines, 'previous' repeats the value before{choose}"
    other = "," if reading.decimal == "." else "."
    advice = [f"if its decimal mark is {other!r}, give decimal={other!r}"] if Cells(other).is_number(cell) else []
    if THOUSANDS.fullmatch(cell):
        advice.append("write thousands without a mark, 1000 for 1,000")
    if re.fullmatch(r"[$€£¥] ?[\d.,]+|[\d.,]+ ?[%$€£¥]", cell):
        advice.append("write it without the sign")
    return "; ".join([problem, *advice]) + ("" if advice else choose)


def sunspots() -> Series:
    """Return the number of sunspots in each year from 1700 to 2008: (309, 2), the year and its mean number. Their period is
    about eleven years. Published by the National Geophysical Data Center, in the public domain.

    >>> import minigrad_rnn as rnn
    >>> rnn.series.sunspots().values[-1]
    array([2008. ,    2.9])
    """
    place = resources.files(__package__) / "sunspots.csv"
    return parse(place.read_text(encoding="utf-8"), source="sunspots.csv")


@dataclass(frozen=True, eq=False)
class Scaler:
    """Subtract `shift` from each column and divide it by `scale`; `inverse` undoes it. Make it from the training data only,
    because later data are unknown when the model is trained. A constant column is only shifted.

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
        """Return the scaler that maps the training data (N, columns) to 0...1."""
        values = numbers(training)
        return cls._of(values.min(axis=0), values.max(axis=0) - values.min(axis=0))

    @classmethod
    def standard(cls, training: ArrayLike) -> Scaler:
        """Return the scaler that gives the training data (N, columns) mean 0 and standard deviation 1."""
        values = numbers(training)
        beyond = values - values[0]  # of equal numbers 0; their standard deviation may be 1e-15
        return cls._of(values[0] + beyond.mean(axis=0), beyond.std(axis=0))

    @classmethod
    def _of(cls, shift: np.ndarray, scale: np.ndarray) -> Scaler:
        return cls(shift, np.where(scale > 0, scale, 1.0))

    def __call__(self, values: ArrayLike) -> np.ndarray:
        """Scale values (..., columns)."""
        scaled: np.ndarray = (self._checked(values) - self.shift) / self.scale
        return scaled

    def inverse(self, values: ArrayLike) -> np.ndarray:
        """Undo the scaling of values (..., columns)."""
        original: np.ndarray = self._checked(values) * self.scale + self.shift
        return original

    def __getitem__(self, columns: Any) -> Scaler:
        """Return the scaler of some columns, given as a list of their numbers or as a slice."""
        return Scaler(np.atleast_1d(self.shift[columns]), np.atleast_1d(self.scale[columns]))

    def _checked(self, values: ArrayLike) -> np.ndarray:
        array = np.asarray(values, np.float64)
        if array.ndim == 0 or array.shape[-1] != len(self.shift):
            raise ValueError(
                f"the values have shape {array.shape}; this scaler is for {len(self.shift)} columns, the last axis. "
                "For some of them write scaler[[numbers of the columns]]"
            )
        return array


def numbers(values: ArrayLike) -> np.ndarray:
    """Return the series as an array (N, columns); ValueError if it is empty or not finite."""
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
    """Split a series in time into training, validation and test data. It is not shuffled, because a test is about the future.
    A share of 0 is an empty part.

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
    """Return all windows of `length` values, in the order of time. The target is `horizon` steps after the end of the window.

    `series` is (N, columns) or (N,). `targets` are the numbers of the columns to predict, by default all. The inputs are
    (length, windows, columns), the targets (windows, O), float32. `Examples` makes small batches of them.
    Raises ValueError for a series that is too short.

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
    """Return the root mean squared error of the simplest forecast: the last value of a window. A model that is not better is
    useless. See `windows` for `targets`.

    >>> import minigrad_rnn as rnn
    >>> rnn.series.persistence(rnn.series.windows([1, 3, 5, 7], length=2))
    2.0
    """
    last = batch.inputs[-1].astype(np.float64)
    last = last if targets is None else last[:, list(targets)]
    if last.shape != batch.targets.shape:
        raise ValueError(
            f"the windows have {last.shape[1]} columns, the targets shape {batch.targets.shape}: give the columns that are "
            "predicted, as for windows, with targets=[...]"
        )
    return float(np.sqrt(np.mean((last - batch.targets) ** 2)))


def __dir__() -> list[str]:
    return __all__
