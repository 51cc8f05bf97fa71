"""Series of numbers: reading, scaling, cutting."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minigrad_rnn.data import Examples
from minigrad_rnn.data.series import Scaler, parse, persistence, read_csv, split, sunspots, windows

STOCK = "date,open,close\n2024-01-02,1.5,2\n2024-01-03,-3e2, 4\n"


def test_columns_are_read_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("\ufeff" + STOCK + "\n", encoding="utf-8")
    series = read_csv(tmp_path / "stock.csv", columns=["close", "open"])
    assert series.names == ("close", "open")
    assert series.values.dtype == np.float64
    assert series.values.tolist() == [[2, 1.5], [4, -300]]
    assert parse(STOCK, ["open"]).values.tolist() == [[1.5], [-300]]


def test_names_delimiters_and_quotes() -> None:
    assert parse("1;2\n3;4", header=False, delimiter=";") == (("0", "1"), pytest.approx(np.array([[1, 2], [3, 4]])))
    assert parse('"a,b","c"\n"1","2"').names == ("a,b", "c")
    assert parse("a,b,\n1,2,\n3,4,").names == ("a", "b")
    assert parse("sep=|\na,5|b\n1|2").names == ("a,5", "b")
    with pytest.raises(ValueError, match="line 3, column 'a': 'x' is not"):
        parse("sep=;\na;b\nx;2")
    assert parse("a,b\n1,2\n\n  ,\n3,4").values.tolist() == [[1, 2], [3, 4]]


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-1e300, 1e300)))
def test_numbers_written_are_read(values: np.ndarray) -> None:
    text = "\n".join([",".join("abcd"[: values.shape[1]]), *(",".join(map(repr, row)) for row in values.tolist())])
    np.testing.assert_array_equal(parse(text).values, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n,b\nIBM,1\n", r"stock, line 2, column 'n': 'IBM' is not a finite number; choose the columns to read with columns="),
        ("a;b\n1;2,5", "column 'b': '2,5' is not a finite number; if its decimal mark is ',', give decimal=','$"),
        ('a,b\n1,"1,234,567.8"', "column 'b': '1,234,567.8' is not .*; write thousands without a mark, 1000 for 1,000$"),
        ("a,b\n1,12 345", "write thousands without a mark"),
        ("a,b\n1,$2.50", "write it without the sign"),
        ("Global: Means\nyear,mean\n1880,.3", "line 2: 2 cells, .* if line 1 is a title, skip it with comment='Global:'"),
        ("day\n2024-01-02", r"stock has no column of numbers, only dates: \['day'\]"),
        ("a,b\n1,2\n3,x", "stock, line 3, column 'b': 'x' is not a finite number"),
        ("a,b\n1,2\n\n3,", "stock, line 4, column 'b': '' is not a finite number"),
        ("a,b\n1,nan", "'nan' is not a finite number"),
        ("a,b\n1,2\n3", r"stock, line 3: 1 cells, but there are 2 columns, \['a', 'b'\]"),
        ("a,b\n1,2,3", "stock, line 2: 3 cells, but there are 2 columns"),
        ("1,2\n3,4", "stock, line 1: .* are numbers, but the names of the columns are expected; .* header=False"),
        ("a,b\n", r"stock has the column names \['a', 'b'\], but no numbers"),
        ("\n\n", "stock is empty"),
        ('a,b\n1,"2', "stock, line 2: unexpected end of data"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text, source="stock")


def test_columns_that_are_not_there_or_twice_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no column 'high'; there are \['date', 'open', 'close'\]"):
        parse(STOCK, ["high"])
    with pytest.raises(ValueError, match="there is more than one column 'a'"):
        parse("a,a\n1,2", ["a"])
    with pytest.raises(TypeError, match=r"columns is 'open'; give a list of names, as in columns=\['open'\]"):
        parse(STOCK, "open")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_csv(tmp_path / "missing.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match=r"empty\.csv is empty"):
        read_csv(tmp_path / "empty.csv")


def test_the_sunspots() -> None:
    names, values = sunspots()
    assert names == ("year", "sunspots")
    assert values.shape == (309, 2)
    np.testing.assert_array_equal(values[:, 0], np.arange(1700, 2009))
    spots = dict(values.tolist())
    assert [spots[year] for year in (1700, 1712, 1957, 2008)] == [5, 0, 190.2, 2.9]
    assert (values[:, 1] >= 0).all()
    spectrum = np.abs(np.fft.rfft(values[:, 1] - values[:, 1].mean()))
    assert 10 < 309 / spectrum.argmax() < 12  # years


@pytest.mark.parametrize(
    ("date", "later"),
    [
        ("2024-01-02", ""), ("2024-01", "NA"), ("1/2/24", "12/31/99"), ("02.01.2024", "3.1.2024"), ("10:30", "10:30:05.5"),
        ("2024-01-02T10:30:00Z", "2024-01-02 10:30:00+02:00"), ("2 Jan 2024", "31-Dec-99"), ("Jan 2, 2024", "January 2024"),
        ("9:30 PM", "12:00 am"), ("1/2/24 9:30 pm", "2024/1/2"),
    ],
)  # fmt: skip
def test_dates_are_left_aside(date: str, later: str) -> None:
    text = f't;x\n"{date}";1.5\n"{later or date}";2'
    assert (series := parse(text)).names == ("x",)
    assert series.values.tolist() == [[1.5], [2]]
    with pytest.raises(ValueError, match=r"column 't': .* is not a finite number"):
        parse(text, ["t"])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_a_decimal_comma_is_read(values: list[float]) -> None:
    text = "".join(f"{i};{value!r}\n" for i, value in enumerate(values)).replace(".", ",")
    assert parse("i;x\n" + text, decimal=",").values[:, 1].tolist() == values
    for wrong in (";", "x"):
        with pytest.raises(ValueError, match=r"decimal must be '.' or ','"):
            parse("a\n1", decimal=wrong)


def test_other_marks_of_missing_values_are_read() -> None:
    text = "year,co2\n1958.2,315.71\n1958.3,-99.99\n1958.4,***\n1958.5,314.7"
    for na_values, wrong in ((-99.99, r"line 4, column 'co2': '\*\*\*' is not a finite number"), ([-99.99, "***"], "line 3")):
        with pytest.raises(ValueError, match=wrong):
            parse(text, na_values=na_values, missing=None if na_values != -99.99 else "drop")
    assert parse(text, ["co2"], na_values=["-99.99", "***"], missing="previous").values.ravel().tolist() == [
        315.71, 315.71, 315.71, 314.7,
    ]  # fmt: skip


tables = arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.floats(-1e6, 1e6, width=32))


@settings(deadline=None)
@given(tables, st.sampled_from(["min_max", "standard"]))
def test_scaling_is_undone(table: np.ndarray, kind: str) -> None:
    scaler = getattr(Scaler, kind)(table)
    np.testing.assert_allclose(scaler.inverse(scaler(table)), table, rtol=1e-9, atol=1e-6)
    for column in range(table.shape[1]):
        part = table[:, [column]]
        np.testing.assert_array_equal(scaler[[column]](part), scaler(table)[:, [column]])


def test_scalers_know_the_training_part_only() -> None:
    train, later = np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[5.0, 9.0]])
    scaler = Scaler.min_max(train)
    assert scaler(train).tolist() == [[0, 0], [1, 0]]
    assert scaler(later).tolist() == [[2, 2]]
    scaler = Scaler.standard(train)
    assert scaler(train).tolist() == [[-1, 0], [1, 0]]
    assert scaler(later).tolist() == [[3, 2]]
    with pytest.raises(ValueError, match=r"shape \(2, 1\); this scaler is for 2 columns"):
        scaler(train[:, :1])


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 4))
def test_windows_end_before_what_they_foretell(count: int, length: int, horizon: int) -> None:
    series = np.stack([np.arange(count), -np.arange(count)], axis=1)
    if count < length + horizon:
        with pytest.raises(ValueError, match=f"the series has {count} values; .* need {length + horizon}"):
            windows(series, length, horizon)
        return
    batch = windows(series, length, horizon)
    assert batch.inputs.shape == (length, count - length - horizon + 1, 2)
    assert batch.inputs.dtype == batch.targets.dtype == np.float32
    for b in range(batch.size):
        np.testing.assert_array_equal(batch.inputs[:, b], series[b : b + length])
        np.testing.assert_array_equal(batch.targets[b], series[b + length - 1 + horizon])
    np.testing.assert_array_equal(windows(series, length, horizon, targets=[1]).targets, batch.targets[:, 1:])


@settings(deadline=None)
@given(st.integers(1, 100), st.floats(0, 0.6), st.floats(0, 0.6))
def test_a_series_is_cut_in_time(count: int, validation: float, test: float) -> None:
    sizes = [round(count * validation), round(count * test)]
    if validation + test >= 1 or sum(sizes) >= count or (validation and not sizes[0]) or (test and not sizes[1]):
        with pytest.raises(ValueError, match=r"too few for shares|add up to less than 1"):
            split(np.arange(count), validation, test)
        return
    parts = split(np.arange(count), validation, test)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(count))
    assert [len(part) for part in parts[1:]] == sizes


def test_persistence_is_the_error_of_no_change() -> None:
    spots = sunspots().values[:, 1]
    batch = windows(spots, 10)
    assert persistence(batch) == pytest.approx(np.sqrt(np.mean(np.diff(spots[9:]) ** 2)), rel=1e-6)
    three = windows(np.array([[1, 0], [2, 0], [4, 0], [8, 5]]), 1, 2, targets=[1])
    assert persistence(three, targets=[1]) == pytest.approx(np.sqrt((0 + 25) / 2))
    with pytest.raises(ValueError, match=r"the windows have 2 columns, the targets shape \(2, 1\): give the columns"):
        persistence(three)


def test_windows_in_small_batches() -> None:
    source = Examples(windows(np.arange(20), 3), batch_size=4, seed=0)
    batch = source.batch(0)
    assert batch.inputs.shape == (3, 4, 1)
    np.testing.assert_array_equal(batch.targets, batch.inputs[-1] + 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: windows([], 1), r"the series has shape \(0,\)"),
        (lambda: windows(np.zeros((2, 2, 2)), 1), r"the series has shape \(2, 2, 2\); expected \(N,\) or \(N, columns\)"),
        (lambda: windows([1.0, np.nan, 3.0], 1), "the series has nan in row 1, column 0"),
        (lambda: windows([1.0, 2.0], 0), "length is 0"),
        (lambda: Scaler.standard(np.zeros((0, 3))), r"the series has shape \(0, 3\)"),
        (lambda: split(range(10), 0.5, 0.5), "validation is 0.5 and test 0.5; expected shares"),
        (lambda: split(range(10), -0.5), "validation is -0.5"),
        (lambda: split(range(3), 0.1, 0.1), "3 values are too few"),
    ],
)
def test_bad_series_are_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# -- files as they are -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    tables, st.sampled_from([",", ";", "\t", " ", ", ", "    "]), st.sampled_from(["", "# a note\n", "#\n# another, note\n"])
)
def test_any_delimiter_is_found_and_comments_are_skipped(table: np.ndarray, delimiter: str, comments: str) -> None:
    lines = [
        delimiter.join(f"n{j}" for j in range(table.shape[1])),
        *(delimiter.join(map(repr, row)) for row in table.tolist()),
    ]
    names, values = parse(comments + "\n".join(lines) + "\n# the end")
    assert names == tuple(f"n{j}" for j in range(table.shape[1]))
    np.testing.assert_array_equal(values, table)
    _, values = parse(comments + "\n".join(lines[1:]), header=False)
    np.testing.assert_array_equal(values, table)


def test_one_line_of_numbers_apart_by_blanks() -> None:
    assert parse("0.5 -1  2e3", header=False).values.tolist() == [[0.5, -1.0, 2000.0]]


def test_the_names_may_stand_in_a_comment() -> None:
    rows = "828.65,833.45,828.34,1247700,831.65\n823.02,828.07,821.65,1597800,828.07"
    text = f"# a stock, by day\n# Open,High,Low,Volume,Close\n{rows}"
    names, values = parse(text)
    assert names == ("Open", "High", "Low", "Volume", "Close")
    assert values[:, 3].tolist() == [1247700, 1597800]
    assert parse("#  x   y\n 1.0   2.0\n10.0  20.0").names == ("x", "y")
    assert parse("# by hand\nday,x\n1,2").names == ("day", "x")
    with pytest.raises(ValueError, match=r"line 2: .* are numbers, but the names of the columns are expected; .*header=False"):
        parse("# three, more, words\n1,2\n3,4")
    with pytest.raises(ValueError, match="line 3, column 'a': '#3' is not a finite number"):
        parse("a,b\n1,2\n#3,4", comment="")


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "NaN", "null", "N/A", "?", "-"])
def test_missing_values_are_named_left_out_or_filled(cell: str) -> None:
    text = f"a,b\n1,2\n{cell},4\n5,6\n7,8"
    with pytest.raises(ValueError, match=r"the text, line 3, column 'a': .* missing='drop' leaves out .* 'previous' repeats"):
        parse(text)
    assert parse(text, missing="drop").values.tolist() == [[1, 2], [5, 6], [7, 8]]
    assert parse(text, missing="previous").values.tolist() == [[1, 2], [1, 4], [5, 6], [7, 8]]
    assert parse(text, ["b"]).values.tolist() == [[2], [4], [6], [8]]
    with pytest.raises(ValueError, match="line 2, column 'a': a value is missing, and there is none before it"):
        parse(f"a,b\n{cell},1\n1,2", missing="previous")
    with pytest.raises(ValueError, match="a missing value in every line"):
        parse(f"a,b\n{cell},1", missing="drop")
    with pytest.raises(ValueError, match=r"missing must be None .* not 'fill'"):
        parse(text, missing="fill")


@pytest.mark.parametrize(
    "cell", ["1_000", "'1'", "1,5", "1,000", "１２", "0x10", "inf", "-Infinity", "1e999", "1 000", "5%", "1__0", "--1"]
)
def test_what_is_no_number_in_a_file_is_not_read_as_one(cell: str) -> None:
    with pytest.raises(ValueError, match=r"line 2, column 'a': .* is not a finite number"):
        parse(f'a;b\n"{cell}";1')
    for right in ("1", "-1.5", "+.5", "5.", "1e3", "-1.5E-3", " 7 "):
        assert parse(f"a;b\n{right};1").values[0, 0] == float(right)


@pytest.mark.parametrize("value", [14.62, 0.1, 1e-300, 1e300, 1e16 / 3, 0.0, -7.0])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("kind", ["min_max", "standard"])
def test_a_column_that_does_not_change_is_only_moved(value: float, count: int, kind: str) -> None:
    table = np.stack([np.full(count, value), np.arange(count)], axis=1)
    scaler = getattr(Scaler, kind)(table)
    assert scaler(table)[:, 0].tolist() == [0] * count
    assert scaler([[value + 1, 0.0]])[0, 0] == (value + 1) - value
    assert scaler.scale[0] == 1
