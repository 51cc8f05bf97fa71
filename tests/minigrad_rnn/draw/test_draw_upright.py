"""Unrolled networks as they are seen: nothing in the way of anything else, states on level rows, every step like the others."""

import functools
import hashlib
import itertools
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.pictures.sizes import text_width

MEASURES = runpy.run_path(str(Path(__file__).parents[2] / "minigrad/pictures/measures.py"))
scene, defects, loose = MEASURES["scene"], MEASURES["defects"], MEASURES["loose"]
SIZE, HIDDEN, BATCH = 3, 4, 2


class Own(rnn.Cell):
    state_names = ("s", "m")

    def step(self, x, state):
        s, m = state
        k = mg.sigmoid(self.affine(x, s))
        m = k * m + (1 - k) * mg.tanh(x @ self.weight_ih.T)
        return mg.tanh(m), m


def sequence(kind, **options):
    layer = rnn.Recurrent(Own(SIZE, HIDDEN, rng=0)) if kind == "own" else getattr(rnn, kind)(SIZE, HIDDEN, rng=0, **options)
    return rnn.Sequence(layer, rnn.Linear(layer.output_size, SIZE, rng=1))


def translator():
    readout = rnn.Linear(HIDDEN, SIZE, rng=1)
    return rnn.EncoderDecoder(rnn.LSTM(SIZE, HIDDEN, rng=0), rnn.LSTM(SIZE + 1, HIDDEN, rng=2), readout, start=SIZE)


def steps(T, lengths=None):
    rng = np.random.default_rng(0)
    return rnn.Batch(rng.normal(size=(T, BATCH, SIZE)), rng.integers(SIZE, size=(T, BATCH)), lengths)


MODELS = {
    "tanh": (lambda: sequence("RNN"), steps),
    "relu": (lambda: sequence("RNN", nonlinearity="relu"), steps),
    "LSTM": (lambda: sequence("LSTM"), steps),
    "peepholes": (lambda: sequence("LSTM", peepholes=True), steps),
    "proj_size": (lambda: sequence("LSTM", proj_size=2), steps),
    "GRU": (lambda: sequence("GRU"), steps),
    "GRU, reset before": (lambda: sequence("GRU", reset_after=False), steps),
    "two layers": (lambda: sequence("LSTM", num_layers=2), steps),
    "bidirectional": (lambda: sequence("GRU", bidirectional=True), steps),
    "own cell": (lambda: sequence("own"), steps),
    "lengths": (lambda: sequence("LSTM"), lambda T: steps(T, [T, max(T - 2, 1)])),
    "many to one": (
        lambda: rnn.ManyToOne(rnn.LSTM(SIZE, HIDDEN, rng=0), rnn.Linear(HIDDEN, SIZE, rng=1)),
        lambda T: rnn.Batch(steps(T).inputs, steps(T).targets[0]),
    ),
    "one to many": (
        lambda: rnn.OneToMany(rnn.GRU(SIZE, HIDDEN, rng=0), rnn.Linear(HIDDEN, SIZE, rng=1)),
        lambda T: rnn.Batch(steps(1).inputs, steps(T).inputs),
    ),
    "encoder-decoder": (translator, lambda T: rnn.Batch(steps(T).inputs, steps(T).targets[: max(T - 1, 1)])),
}
thorough = settings().max_examples > 100
LONG = [(level, T, None) for level in ("op", "gate") for T in (1, 2, 3, 6, 12)]
SHORT = [("op", 6, None), ("gate", 12, None)]
CASES = [
    pytest.param(name, *case, id=f"{name}-{case[0]}-{case[1]}{'-all' * bool(case[2])}")
    for name in MODELS
    for case in ([*LONG, ("op", 12, "all")] if thorough else LONG[:3] + SHORT if name in ("tanh", "own cell") else SHORT)
]


@functools.cache
def drawn(name, level, T, shown):
    model, batch = MODELS[name]
    drawing = rnn.draw.unrolled(model(), batch(T), level=level, steps=shown)
    return drawing, scene(drawing.svg())


def framed(drawing):
    return [group for group in drawing.picture.groups if group.framed]


@pytest.mark.parametrize(("name", "level", "T", "shown"), CASES)
def test_nothing_is_in_the_way_of_anything_else(name, level, T, shown):
    drawing, seen = drawn(name, level, T, shown)
    assert defects(seen) == {}
    assert seen.boxes.keys() == {box.id for box in drawing.picture.all_boxes()}
    assert len(seen.lines) == len([arrow for arrow in drawing.picture.all_arrows() if arrow.role != "order"])


@pytest.mark.parametrize("name", MODELS)
def test_arrows_reach_their_boxes_in_all_views(name):
    model, batch = MODELS[name]
    grids = [rnn.draw.unrolled(model(), batch(10), level="cell")]
    if name != "encoder-decoder":  # two networks
        grids.append(rnn.draw.both(model(), batch(10)))
        assert defects(scene(rnn.draw.folded(model(), batch(4)).svg())) == {}
    for drawing in grids:
        seen = scene(drawing.svg())
        assert loose(seen) == []
        assert titles_struck(drawing, seen) == []


def titles_struck(drawing, seen):
    """The titles of cells, and the lines that run through them."""
    found = []
    for box in drawing.picture.boxes:
        for x, y, size, words in seen.texts[box.id] if box.role == "cell" else ():
            width = text_width(words, size)
            place = (x + width / 2, y - 0.35 * size, width, 0.7 * size)
            found += [(words, line.source, line.target) for line in seen.lines if crosses_box(line, place)]
    return found


def crosses_box(line, place):
    x, y, width, height = place
    return any(
        abs((a + u) / 2 - x) < (abs(a - u) + width) / 2 and abs((b + v) / 2 - y) < (abs(b - v) + height) / 2
        for (a, b), (u, v) in itertools.pairwise(line.points)
    )


@pytest.mark.parametrize(("name", "level", "T", "shown"), CASES)
def test_states_stand_on_level_rows_and_stay_on_them_between_the_steps(name, level, T, shown):
    drawing, seen = drawn(name, level, T, shown)
    rows, stems = {}, {}
    for box in drawing.picture.all_boxes():
        if box.role == "state":
            stems[box.id] = box.lines[0].partition("[")[0]
            rows.setdefault(stems[box.id], set()).add(seen.boxes[box.id][1])
    assert rows
    assert all(len(heights) == 1 for heights in rows.values())
    edges = sorted((x - width / 2, x + width / 2) for x, _, width, _ in seen.frames.values())
    gaps = [(right, left) for (_, right), (left, _) in itertools.pairwise(edges)]
    crossings = 0
    for line in seen.lines:
        if line.source in stems:
            (row,) = rows[stems[line.source]]
            for right, left in gaps:
                inside = [(a, b) for a, b in itertools.pairwise(line.points) if crosses(a, b, right, left)]
                assert all(y == v == pytest.approx(row, abs=0.06) for (_, y), (_, v) in inside)
                crossings += len(inside)
    assert crossings or len(gaps) < 1


def crosses(one, other, right, left):
    """Whether a piece of a line is in a gap between two frames."""
    low, high = sorted((one[0], other[0]))
    return low < left - 0.5 and high > right + 0.5


@pytest.mark.parametrize(("name", "level", "T", "shown"), CASES)
def test_everything_has_the_same_place_in_every_step(name, level, T, shown):
    drawing, seen = drawn(name, level, T, shown)
    places = {}
    for group in framed(drawing):
        x, y, width, _ = seen.frames[group.id]
        for box in group.boxes:
            if box.slot and box.role not in ("strip", "initial"):
                u, v, a, b = seen.boxes[box.id]
                places.setdefault((group.kind, box.slot), []).append((u - x + width / 2, v - y, a, b))
        assert y == seen.frames[framed(drawing)[0].id][1]
    for found in places.values():
        np.testing.assert_allclose(np.ptp(found, axis=0), 0, atol=0.11)
    assert max(map(len, places.values())) == max(len([g for g in framed(drawing) if g.kind == k and not g.repeated])
                                                 for k in {kind for kind, _ in places})  # fmt: skip


@pytest.mark.parametrize(("name", "level", "T", "shown"), CASES)
def test_words_stay_in_their_boxes(name, level, T, shown):
    drawing, seen = drawn(name, level, T, shown)
    strips = {box.id for box in drawing.picture.all_boxes() if box.pieces}
    for id, texts in seen.texts.items():
        x, y, width, height = seen.boxes[id]
        for u, v, size, words in texts if id not in strips else ():
            assert u == pytest.approx(x, abs=0.11)
            assert text_width(words, size) <= width + 0.1
            assert y - height / 2 <= v - 0.7 * size
            assert v <= y + height / 2


# -- how large -------------------------------------------------------------------------------------------------


def of_letters(kind, T, layers=1):
    rng = np.random.default_rng(0)
    layer = getattr(rnn, kind)(5, 8, num_layers=layers, rng=0)
    model = rnn.Sequence(layer, rnn.Linear(8, 5, rng=1))
    return rnn.Batch(np.eye(5)[rng.integers(5, size=(T, 1))], rng.integers(5, size=(T, 1))), model


@pytest.mark.parametrize(
    ("kind", "layers", "width", "height"),
    [("RNN", 1, 1500, 420), ("LSTM", 1, 2100, 600), ("GRU", 1, 1900, 600), ("LSTM", 2, 2100, 850)],
)
def test_six_steps_fit_on_a_screen(kind, layers, width, height):
    batch, model = of_letters(kind, 6, layers)
    seen = scene(rnn.draw.unrolled(model, batch, gradients=True).svg())
    assert seen.width <= width
    assert seen.height <= height
    assert defects(seen) == {}


@pytest.mark.parametrize("T", [50, 1000])
def test_a_long_sequence_is_no_wider_than_a_short_one(T):
    batch, model = of_letters("RNN", T)
    seen = scene(rnn.draw.unrolled(model, batch, gradients=True).svg())
    assert seen.width <= 2600
    assert defects(seen) == {}


# -- the same, everywhere and always -----------------------------------------------------------------------------


def fingerprint(name):
    model, batch = MODELS[name]
    return hashlib.sha256(rnn.draw.unrolled(model(), batch(4), gradients=True).svg().encode()).hexdigest()


def test_the_same_network_gives_the_same_bytes_in_every_process():
    names = ("own cell",) if not thorough else tuple(MODELS)
    here = [fingerprint(name) for name in names]
    assert here == [fingerprint(name) for name in names]
    code = f"import runpy; f = runpy.run_path({__file__!r})['fingerprint']; print(*map(f, {names!r}))"
    for seed in ("0", "7") if thorough else ("7",):
        child = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert child.stdout.split() == here


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_an_svg_says_what_it_shows_and_has_plain_colours(level):
    drawing = rnn.draw.unrolled(sequence("LSTM"), steps(3), level=level, gradients=True)
    svg = drawing.svg()
    root = scene(svg).root
    title, about = (root.find(f"{MEASURES['SVG']}{tag}").text for tag in ("title", "desc"))
    assert title == drawing.picture.title.split("\n")[0]
    assert all(f"h[{t}]" in about and f"c[{t}]" in about for t in range(3))
    assert {len(colour) for colour in re.findall(r"#[0-9a-fA-F]+", svg)} == {7}
    assert "script" not in svg
