"""The layout of any graph, as it is seen: random recurrent cells, and names of every kind."""

import contextlib
import itertools
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.pictures.picture import Arrow, Box, Group, Legend, Picture
from minigrad.pictures.sizes import text_width
from minigrad.pictures.svg import to_svg
from minigrad.pictures.upright import upright

MEASURES = runpy.run_path(str(Path(__file__).with_name("measures.py")))
scene, defects = MEASURES["scene"], MEASURES["defects"]
thorough = settings().max_examples > 100

OPS = {
    "tanh": lambda a, b, W: np.tanh(a),
    "sigmoid": lambda a, b, W: mg.sigmoid(a),
    "@": lambda a, b, W: a @ W,
    "+": lambda a, b, W: a + b,
    "×": lambda a, b, W: a * b,
    "-": lambda a, b, W: a - b,
    "1 -": lambda a, b, W: 1 - a,
    "linear": lambda a, b, W: mg.linear(a, W),
}
TIMES = 4


def cell(seed):
    """How many states a cell has, its ops, each with the numbers of what it reads, and what the new states are."""
    rng = np.random.default_rng(seed)
    states, count = int(rng.integers(1, 4)), int(rng.integers(3, 12))
    ops = []
    for k in range(count):
        one, other = rng.integers(0, states + k + 1, size=2)  # the input, the states, and what was computed
        ops.append((str(rng.choice(sorted(OPS))), k + 1 if k < states else int(one), int(other)))  # every state is read
    return states, ops, [int(k) for k in rng.integers(states + 1, states + count + 1, size=states)]


def recorded(states, ops, new):
    """The loss of a cell over four steps, and its names."""
    rng = np.random.default_rng(0)
    W = [mg.tensor(rng.normal(size=(3, 3)) / 2, requires_grad=True, name=f"W{k}") for k in range(len(ops))]
    U = mg.tensor(rng.normal(size=(3, 3)) / 2, requires_grad=True, name="U")
    h = [np.zeros((2, 3)) for _ in range(states)]
    x = rng.normal(size=(TIMES, 2, 3))
    loss = 0.0
    every = {f"h{i}": [] for i in range(states)}
    for t in range(TIMES):
        values = [x[t] @ U, *h]
        for k, (op, i, j) in enumerate(ops):
            values.append(OPS[op](values[i], values[j], W[k]))
        h = [values[k] for k in new]
        for name, state in zip(every, h, strict=True):
            every[name].append(state)
        loss = loss + (sum(h, values[0]) ** 2).mean()
    return loss, {name: found[-1] for name, found in every.items()}


def test_random_cells_are_drawn_and_nothing_is_in_the_way():
    seen = {}

    @settings(max_examples=300 if thorough else 15)
    @given(st.integers(0, 2**32 - 1))
    def law(seed):
        loss, names = recorded(*cell(seed))
        seen[seed] = defects(scene(mg.draw(loss, names={**names, "loss": loss}).svg()))

    law()
    spoiled = {seed: found for seed, found in seen.items() if found}
    print(f"{len(seen)} cells, {len(spoiled)} with a defect")
    assert len(spoiled) <= len(seen) / 100, spoiled


# -- names -----------------------------------------------------------------------------------------------------

NAMES = ["a<b", "R&D", 'say "hi"', "&amp;", "it's", "隐藏状态", "state 🎉", "räksmörgås", "{x|y}", "<!-- -->", "]]>", "%s \\n"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_written_as_typed_and_stay_in_their_boxes(name):
    W = mg.tensor(np.eye(2), requires_grad=True, name=name)
    h = mg.tensor(np.zeros((1, 2)), name=name)
    for t in range(3):
        with mg.scope("t", t):
            h = np.tanh(h @ W + mg.tensor(np.ones((1, 2)), name=name))
            h.name = name
    drawing = mg.draw((h * h).sum(), title=name)
    seen = scene(drawing.svg())
    assert seen.root.find(f"{MEASURES['SVG']}title").text == name
    assert [words for words in seen.words if name in words].count(name) >= 3
    for id, texts in seen.texts.items():
        x, y, width, height = seen.boxes[id]
        for u, v, size, words in texts:
            assert abs(u - x) + text_width(words, size) / 2 <= width / 2 + 0.2
            assert abs(v - size / 3 - y) + size / 3 <= height / 2
    assert defects(seen) == {}


def test_wide_letters_take_more_room():
    assert text_width("隐藏", 10) == pytest.approx(22)
    assert text_width("il", 10) < text_width("ab", 10) < text_width("WM", 10) < text_width("🎉🎉", 10)
    assert text_width("abc", 20) == pytest.approx(2 * text_width("abc", 10))


# -- what the layout makes of a picture --------------------------------------------------------------------------


def boxes_in_a_row(count, readers=1):
    """A state that is handed on from frame to frame, each with an op and what reads it."""
    groups, arrows = [], []
    for t in range(count):
        boxes = [Box(f"op{t}", "op", ["tanh"], slot="op"), Box(f"h{t}", "state", [f"h[{t}]"], slot="h")]
        boxes += [Box(f"r{k}_{t}", "output", [f"o{k}"], slot=f"r{k}") for k in range(readers)]
        inside = [Arrow(f"op{t}", f"h{t}"), *(Arrow(f"h{t}", f"r{k}_{t}") for k in range(readers))]
        groups.append(Group(f"t{t}", f"t = {t}", boxes, inside))
        arrows += [Arrow(f"h{t - 1}", f"op{t}", "recurrent")] if t else []
    return Picture("row", groups=groups, arrows=arrows, in_row=True)


@pytest.mark.parametrize(("count", "readers"), list(itertools.product((2, 7), (0, 1, 3))))
def test_a_state_runs_straight_from_step_to_step(count, readers):
    picture = boxes_in_a_row(count, readers)
    seen = scene(to_svg(picture, upright(picture)))
    assert defects(seen) == {}
    assert len({seen.boxes[f"{name}{t}"][1] for t in range(count) for name in ("op", "h")}) == 1
    for line in seen.lines:
        if line.role == "recurrent":
            assert len({y for _, y in line.points}) == 1
    for t in range(count):
        assert all(seen.boxes[f"r{k}_{t}"][1] < seen.boxes[f"h{t}"][1] for k in range(readers))  # computation runs up
    assert [seen.boxes[f"h{t}"][0] for t in range(count)] == sorted(seen.boxes[f"h{t}"][0] for t in range(count))


@pytest.mark.parametrize("backwards", [False, True])
def test_time_runs_right_also_where_a_loop_runs_from_the_last_step_to_the_first(backwards):
    picture = boxes_in_a_row(5)
    if backwards:
        picture.arrows = [Arrow(f"h{t + 1}", f"op{t}", "recurrent") for t in range(4)]
    seen = scene(to_svg(picture, upright(picture)))
    assert defects(seen) == {}
    lefts = [seen.frames[f"t{t}"][0] for t in range(5)]
    assert lefts == sorted(lefts)
    for line in seen.lines:
        if line.role == "recurrent":
            assert (line.points[0][0] > line.points[-1][0]) is backwards


def test_a_picture_of_nothing_is_drawn():
    seen = scene(to_svg(Picture("nothing"), upright(Picture("nothing"))))
    assert seen.words == ["nothing"]
    assert seen.boxes == {}


def test_the_colour_bar_has_both_ends_of_its_scale():
    picture = boxes_in_a_row(3)
    picture.legend = Legend("size of dL/dh", "1.0e-3", "5.2e-2")
    picture.groups[0].boxes[1].heat = 1.0
    svg = to_svg(picture, upright(picture))
    seen = scene(svg)
    assert {"size of dL/dh", "1.0e-3", "5.2e-2"} <= set(seen.words)
    assert {len(colour) for colour in re.findall(r"#[0-9a-fA-F]+", svg)} == {7}


def test_the_measures_see_what_is_in_the_way():
    picture = boxes_in_a_row(3)
    layout = upright(picture)
    x, y, width, height = layout.boxes["h1"]
    layout.boxes["r0_1"] = (x + 3, y, width, height)
    assert defects(scene(to_svg(picture, layout))).keys() == {"overlapping", "through", "loose"}
    way = layout.arrows[id(picture.arrows[0])]
    way.points = [(u, v + 5 * k) for k, (u, v) in enumerate(way.points)]
    assert "diagonal" in defects(scene(to_svg(picture, layout)))
    assert ("h0", "op1", "target") in defects(scene(to_svg(picture, layout)))["loose"]
    layout = upright(picture)
    other = layout.arrows[id(picture.arrows[1])]
    layout.arrows[id(picture.arrows[0])].points = list(other.points)
    assert defects(scene(to_svg(picture, layout)))["on_each_other"]


ZOO = runpy.run_path(str(Path(__file__).parents[1] / "zoo.py"))
PROGRAMS = {name: build for name, (build, _) in {**ZOO["ZOO"], **(ZOO["LAYERS"] if thorough else {})}.items()}


@pytest.mark.parametrize("T", [3, 6, 50] if thorough else [6])
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_in_the_way_in_pictures_of_loops_written_by_hand(name, T):
    result = PROGRAMS[name](T)
    pictures = [mg.draw(result)]
    with contextlib.suppress(ValueError):  # nothing to fold; of three steps of a layer little of it
        pictures += [mg.draw(result, fold=True)] if T > 3 or name not in ZOO["LAYERS"] else []
    for picture in pictures:
        assert not any(defects(scene(picture.svg())).values())


@pytest.mark.parametrize(
    ("name", "T", "options"),
    [
        ("seq2seq_by_hand", 6, {"backward": True}),
        ("attention_over_the_past", 13, {}),
        ("rnn_with_append_and_stack", 5, {"backward": True, "fold": True}),
    ],
)
def test_a_picture_depends_on_the_graph_alone_not_on_what_ran_before(name, T, options):
    drawings, more = [], []
    for count in (0, 517, 4093):
        more += [mg.tensor(np.ones(2), requires_grad=True) * k for k in range(count)]
        drawings.append(mg.draw(PROGRAMS[name](T), **options))
    assert len({drawing.svg() for drawing in drawings}) == 1
    assert len({drawing.source for drawing in drawings}) == 1
    assert all(drawing.picture == drawings[0].picture for drawing in drawings)
