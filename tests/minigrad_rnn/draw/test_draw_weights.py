"""Attention drawn: its weights as a table, and its boxes in the unrolled network."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn

MEASURES = runpy.run_path(str(Path(__file__).parents[2] / "minigrad/pictures/measures.py"))
data_of = runpy.run_path(str(Path(__file__).parents[2] / "minigrad/pictures/written.py"))["data_of"]
scene, defects, loose = MEASURES["scene"], MEASURES["defects"], MEASURES["loose"]
SOURCE = np.random.default_rng(0).normal(size=(6, 2, 3))
TARGETS = np.random.default_rng(1).integers(4, size=(5, 2))


def translator(kind: str) -> rnn.EncoderDecoder:
    parts = rnn.LSTM(3, 4, rng=0), rnn.LSTM(5, 4, rng=1), rnn.Linear(8, 5, rng=2)
    return rnn.EncoderDecoder(*parts, start=4, attention=rnn.Attention(4, 4, kind, rng=3))


def test_a_table_has_a_box_for_each_weight_in_its_row_and_column() -> None:
    weights = translator("dot").attention_weights(SOURCE, TARGETS)[1]
    picture = rnn.draw.attention(weights, "abcdef", ["one", "two", "three", "four", "five"]).picture
    assert picture is not None
    boxes = {box.id: box for box in picture.boxes}
    assert len(boxes) == 5 * 6 + 5 + 6
    for (t, s), weight in np.ndenumerate(weights):
        box: Any = boxes[f"a{t}_{s}"]
        assert (box.at.column, box.at.row) == (boxes[f"read{s}"].at.column, boxes[f"written{t}"].at.row)
        assert box.heat == pytest.approx(weight)
        assert box.lines == [f"{weight:.2f}"]
        assert box.tooltip.startswith(f"{boxes[f'written{t}'].lines[0].strip()} reads {'abcdef'[s]}: ")
    rows = [boxes[f"written{t}"].at.row for t in range(5)]  # type: ignore[union-attr]
    assert rows == sorted(rows, reverse=True)
    assert defects(scene(rnn.draw.attention(np.eye(3)).svg())) == {}


def test_names_of_any_length_stay_above_their_column() -> None:
    weights, read, written = [[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], ["hello world", "\n", " "], ["two\nlines", "x"]
    head, *rows = rnn.draw.attention(weights, read, written).text.split("\n")
    ends = [head.index(name) + len(name) for name in ("hello world", "\u21b5", "\u2423")]
    assert len(rows) == 2
    assert rows[0].startswith("two lines ")
    for row, numbers in zip(rows, weights, strict=True):
        assert [float(row[end - 4 : end]) for end in ends] == numbers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((1, 2, 2)) / 2,), r"\(1, 2, 2\); expected \(T, S\); draw one sequence, weights\[0\]"),
        ((np.ones((0, 2)),), "expected"),
        ((np.full((1, 2), -0.5),), "from 0 to 1; these are from -0.5 to -0.5"),
        ((np.full((1, 2), np.nan),), "from 0 to 1"),
        ((np.ones((1, 2)) / 2, "abc"), "read has 3 names, for weights of 2 columns"),
        ((np.ones((1, 2)) / 2, "ab", ""), "written has 0 names, for weights of 1 rows"),
    ],
)
def test_a_table_of_something_else(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rnn.draw.attention(*arguments)


def test_each_step_of_the_decoder_reads_the_states_of_the_encoder() -> None:
    model = translator("additive")
    drawing = rnn.draw.unrolled(model, SOURCE, TARGETS, level="cell", gradients=True)
    assert drawing.picture is not None
    boxes = {box.id: box for box in drawing.picture.boxes}
    arrows = {(arrow.source, arrow.target) for arrow in drawing.picture.arrows}
    shown = [t for t in range(6, 11) if f"o{t}" in boxes]
    weights = model.attention_weights(SOURCE, TARGETS)[0]
    for t in shown:
        assert {(f"cell0_{t}", f"attention{t}"), ("states", f"attention{t}"), (f"attention{t}", f"o{t}")} <= arrows
        most = int(weights[t - 6].argmax())
        assert boxes[f"attention{t}"].lines == ["attention", f"h[{most}] {weights[t - 6, most]:.2f}"]
    assert {(f"cell0_{t}", "states") for t in range(6) if f"cell0_{t}" in boxes} <= arrows
    data = data_of(drawing.html())
    where = {(node.get("name"), box) for node in data["nodes"] for box in node.get("boxes", [])}
    assert {(name, f"attention{t}") for name in ("a", "context") for t in shown} <= where
    assert boxes["states"].lines == ["states h[0] ... h[5]"]
    assert loose(scene(drawing.svg())) == []
    drawing = rnn.draw.unrolled(model, SOURCE, TARGETS)
    assert defects(scene(drawing.svg())) == {}
    for words in ("states", "keys", "context", "W_q", "W_k"):
        assert words in drawing.svg()
