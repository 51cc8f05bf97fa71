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
    assert parse("a,b\n1,2\n\n  ,\n3,4").values.tolist() == [[1, 2], [3, 4]]


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-1e300, 1e300)))
def test_numbers_written_are_read(values: np.ndarray) -> None:
    text = "\n".join([",".join("abcd"[: values.shape[1]]), *(",".join(map(repr, row)) for row in values.tolist())])
    np.testing.assert_array_equal(parse(text).values, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (STOCK, r"stock, line 2, column 'date': '2024-01-02' is not a finite number; choose the columns to read with columns="),
        ("a,b\n1,2\n3,x", "stock, line 3, column 'b': 'x' is not a finite number"),
        ("a,b\n1,2\n\n3,", "stock, line 4, column 'b': '' is not a finite number"),
        ("a,b\n1,nan", "'nan' is not a finite number"),
        ("a,b\n1,2\n3", r"stock, line 3: 1 cells where there are 2 columns, \['a', 'b'\]"),
        ("a,b\n1,2,3", "stock, line 2: 3 cells where there are 2 columns"),
        ("1,2\n3,4", "stock, line 1: .* are numbers where the names of the columns are expected; .* header=False"),
        ("a,b\n", r"stock has the names \['a', 'b'\] and no numbers"),
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
    with pytest.raises(ValueError, match=r"shape \(2, 1\); this scaler knows 2 columns"):
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
    with pytest.raises(ValueError, match=r"the windows have 2 columns, the targets shape \(2, 1\): name the columns"):
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
