"""What the unrolled and the folded view show, as a `Picture`, and how that is written as DOT."""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.pictures import Graph, Marks, fold, to_dot, unroll
from minigrad.pictures.dot import heat_colour
from minigrad.pictures.picture import Arrow, Box, Group, Picture


def chain(steps: int) -> mg.Tensor:
    """h = tanh(h * w + x[t]), the states named, the steps scoped."""
    w = mg.tensor([0.5, 0.5], requires_grad=True, name="w")
    h = mg.tensor([0.0, 0.0], name="h0")
    for t in range(steps):
        with mg.scope("t", t):
            x = mg.tensor([1.0, float(t)], name="x")
            h = np.tanh(h * w + x)
            h.name = "h"
    return h.sum()


def marks() -> Marks:
    def role(node):
        if node.name == "h0":
            return "initial"
        return "parameter" if node.name == "w" else {"x": "input", "h": "state"}.get(node.name, "op")

    return Marks(role=role, track=lambda node: "h" if node.name in ("h", "h0") else "")


def boxes(picture: Picture) -> dict[str, Box]:
    return {box.id: box for box in picture.all_boxes()}


def arrows(picture: Picture, role: str) -> list[tuple[str, str]]:
    """Arrows of a role, by the first line of the boxes at their ends."""
    names = {id: (box.lines or [""])[0] for id, box in boxes(picture).items()}
    return [(names[a.source], names[a.target]) for a in picture.all_arrows() if a.role == role]


def test_every_step_is_a_group_with_its_own_nodes():
    picture = unroll(Graph(chain(3)), marks())
    assert [group.title for group in picture.groups] == ["", "t = 0", "t = 1", "t = 2"]
    for t, group in enumerate(picture.groups[1:]):
        assert sorted(box.lines[0] for box in group.boxes) == sorted(["w", "*", f"x[{t}]", "+", "tanh", f"h[{t}]"])


def test_a_parameter_is_an_alias_in_each_step_and_no_node_is_shared():
    picture = unroll(Graph(chain(4)), marks())
    aliases = [box for box in boxes(picture).values() if box.role == "alias"]
    assert [box.lines for box in aliases] == [["w"]] * 4
    assert len(boxes(picture)) == 1 + 4 * 6 + 1  # h0, the steps, the sum


def test_states_are_handed_on_by_recurrent_arrows_on_a_straight_track():
    picture = unroll(Graph(chain(3)), marks())
    assert arrows(picture, "recurrent") == [("h0", "*"), ("h[0]", "*"), ("h[1]", "*")]
    tracked = [box.lines[0] for box in boxes(picture).values() if box.track == "h"]
    assert sorted(tracked) == sorted(["h0", *["*", "+", "tanh"] * 3, "h[0]", "h[1]", "h[2]"])


def test_a_graph_without_steps_has_no_groups_and_one_box_for_each_parameter():
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    picture = unroll(Graph((x * x - x).sum()), Marks())
    assert picture.groups == []
    assert [box.lines[0] for box in picture.boxes] == ["x", "*", "-", "sum"]


def test_operands_are_numbered_where_their_order_matters():
    a, b = (mg.tensor([1.0, 2.0], requires_grad=True, name=n) for n in "ab")
    numbers = {
        symbol: [arrow.operand for arrow in unroll(Graph(made), Marks()).arrows]
        for symbol, made in (("-", a - b), ("+", a + b), ("@", a @ b))
    }
    assert numbers == {"-": ["1", "2"], "+": ["", ""], "@": ["1", "2"]}


def test_numbers_and_indices_stand_in_the_op():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    picture = unroll(Graph((x[0, 1:] * 2.5).sum()), Marks())
    assert [box.lines[0] for box in picture.boxes if box.role == "op"] == ["[0, 1:]", "* 2.5", "sum"]


def test_folding_draws_one_step_with_a_loop():
    picture = fold(Graph(chain(5)), marks())
    (cell,) = picture.groups
    assert cell.title == "one step, repeated 5 times  (t = 0 ... 4)"
    assert cell.repeated
    assert sorted(box.lines[0] for box in cell.boxes) == sorted(["*", "+", "tanh", "x[t]", "h[t]"])
    assert arrows(picture, "loop") == [("h[t]", "*")]
    assert arrows(picture, "first") == [("h0", "*")]
    (w,) = [box for box in boxes(picture).values() if box.role == "parameter"]
    assert w.lines == ["w", "(2,)", "used x5"]
    assert ("h[t]", "sum") in arrows(picture, "flow")


def test_one_step_folds_without_a_loop():
    picture = fold(Graph(chain(1)), marks())
    assert arrows(picture, "loop") == []
    assert not picture.groups[0].repeated


def test_what_does_not_repeat_is_not_folded():
    with pytest.raises(ValueError, match="no node of this graph has a scope"):
        fold(Graph(mg.tensor(1.0, requires_grad=True) * 2), Marks())
    h = mg.tensor(1.0, requires_grad=True)
    for t in range(4):
        with mg.scope("t", t):
            h = np.tanh(h) if t != 3 else np.exp(h)
    with pytest.raises(ValueError, match="nothing to fold"):
        fold(Graph(h), Marks())


def test_ten_thousand_steps_are_drawn_without_recursion():
    picture = unroll(Graph(chain(10_000)), marks())
    assert len(picture.groups) == 10_001


def test_the_same_graph_gives_the_same_text():
    assert to_dot(unroll(Graph(chain(4)), marks(), "title")) == to_dot(unroll(Graph(chain(4)), marks(), "title"))


NASTY = [
    'say "hi"',
    "<b>bold</b>",
    "a & b",
    "back\\slash",
    "\\N",
    "two\nlines",
    "räksmörgås 🎉",
    "x" * 10_000,
    "{a|b}",
    "]; evil",
]


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_no_name_breaks_the_text(name):
    x = mg.tensor([1.0], requires_grad=True, name=name)
    source = mg.draw(x * 2).source
    assert len(source) < 3000
    assert source.count("\n") == len(source.splitlines())  # a newline in a name does not become one in the text
    quoted = re.findall(r'"(?:[^"\\]|\\.)*"', source)
    assert "evil" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", source)
    assert quoted or name.isalnum()


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_any_name_is_drawn_as_it_is(name):
    if not mg.pictures.renderers():
        pytest.skip("neither dot nor pygraphviz is installed")
    from xml.etree import ElementTree

    x = mg.tensor(1.0, requires_grad=True, name=name)
    with mg.scope("t", 0):
        root = ElementTree.fromstring(mg.draw(x * 2, title=name).svg())
    shown = [" ".join((e.text or "").split()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
    expected = " ".join("".join(c if c.isprintable() else " " for c in name.replace("\n", " ")).split())
    assert (expected if len(expected) <= 40 else expected[:37] + "...") in shown
    assert not [e for e in root.iter() if e.tag.endswith("script")]


def test_all_colours_have_six_digits():
    picture = unroll(Graph(chain(2)), marks())
    picture.groups[1].boxes[0].heat = 0.3
    colours = re.findall(r"#[0-9a-fA-F]+", to_dot(picture))
    assert colours
    assert all(len(colour) == 7 for colour in colours)


def test_the_ramp_goes_from_light_to_dark_blue_evenly():
    values = [int(heat_colour(h / 10)[1:3], 16) for h in range(11)]
    assert values == sorted(values, reverse=True)
    assert heat_colour(0) == "#f7fbff"
    assert heat_colour(1) == heat_colour(7) == "#08306b"


def test_heat_widens_arrows_and_fills_boxes():
    picture = Picture(groups=[Group("a", "A", [Box("x", "state", ["x"], heat=1.0), Box("y", "op", ["y"])])])
    picture.arrows.append(Arrow("x", "y", "recurrent", heat=0.5))
    source = to_dot(picture)
    assert 'fillcolor="#08306b"' in source
    assert "penwidth=2.30" in source


def test_a_number_stands_on_the_side_where_it_is():
    x = mg.tensor(2.0, requires_grad=True, name="x")
    lines = [box.lines[0] for box in unroll(Graph(1 - x), Marks()).all_boxes() if box.role == "op"]
    assert lines == ["1 -"]
    assert [box.lines[0] for box in unroll(Graph(x - 1), Marks()).all_boxes() if box.role == "op"] == ["- 1"]


def test_attention_over_the_past_is_drawn_as_it_grows():
    W = mg.tensor(np.eye(3), requires_grad=True, name="W")
    x = np.random.default_rng(0).normal(size=(5, 3))
    past = [mg.tensor(np.zeros(3), requires_grad=True, name="h0")]
    for t in range(5):
        K = np.stack(past)
        weights = np.exp((K * past[-1]).sum(axis=1))
        h = np.tanh(x[t] + (weights / weights.sum()) @ K @ W)
        past.append(h)
    drawing = mg.draw(h, names={"h": h}, fold=True)
    (group,) = drawing.picture.groups
    assert group.title == "one step, repeated 5 times  (t = 0 ... 4), as it is at t = 4: it grows by h"
    ops = [box.lines[0] for box in drawing.picture.all_boxes() if box.role == "op"]
    assert ops == [node.op.symbol for node in mg.loops(h).growing[0].iterations[-1]]
    labels = sorted(arrow.label for arrow in drawing.picture.all_arrows() if arrow.role == "loop")
    assert labels == ["all h[s], s < t", "h[t-1]"]
    unrolled = mg.draw(h, names={"h": h}).picture
    assert [box.lines[0] for box in unrolled.all_boxes() if box.lines and box.lines[0].startswith("h[")] == [
        f"h[{t}]" for t in range(5)
    ]
    assert [group.title for group in unrolled.groups if group.framed] == [f"t = {t}" for t in range(5)]
