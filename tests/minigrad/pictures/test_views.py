"""What the unrolled and the folded view show, as a `Picture`, and how that is written as DOT."""

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg
from minigrad.pictures import Annotations, Graph, fold, to_dot, unroll
from minigrad.pictures.picture import Arrow, Box, Group, Picture
from minigrad.pictures.svg import to_svg
from minigrad.pictures.theme import HEATS, heat_class, shade
from minigrad.pictures.upright import upright


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


def marks() -> Annotations:
    def role(node):
        if node.name == "h0":
            return "initial"
        return "parameter" if node.name == "w" else {"x": "input", "h": "state"}.get(node.name, "op")

    return Annotations(role=role, track=lambda node: "h" if node.name in ("h", "h0") else "")


def boxes(picture: Picture) -> dict[str, Box]:
    return {box.id: box for box in picture.all_boxes()}


def arrows(picture: Picture, role: str) -> list[tuple[str, str]]:
    """Arrows of a role, by the first line of the boxes at their ends."""
    names = {id: (box.lines or [""])[0] for id, box in boxes(picture).items()}
    return [(names[a.source], names[a.target]) for a in picture.all_arrows() if a.role == role]


def test_every_step_is_a_group_with_its_own_nodes():
    picture = unroll(Graph(chain(3)), marks())
    assert [group.title for group in picture.groups] == ["t = 0", "t = 1", "t = 2"]
    for t, group in enumerate(picture.groups):
        assert sorted(box.lines[0] for box in group.boxes if box.role != "initial") == sorted(
            ["w", "×", f"x[{t}]", "+", "tanh", f"h[{t}]"]
        )


def test_a_parameter_is_an_alias_in_each_step_and_no_node_is_shared():
    picture = unroll(Graph(chain(4)), marks())
    aliases = [box for box in boxes(picture).values() if box.role == "alias"]
    assert [box.lines for box in aliases] == [["w"]] * 4
    assert len(boxes(picture)) == 1 + 4 * 6 + 1  # h0, the steps, the sum


def test_states_are_handed_on_by_recurrent_arrows():
    picture = unroll(Graph(chain(3)), marks())
    assert arrows(picture, "recurrent") == [("h[0]", "×"), ("h[1]", "×")]


def test_what_is_the_same_in_every_step_has_one_slot():
    picture = unroll(Graph(chain(5)), marks())
    groups = [[box for box in group.boxes if box.role != "initial"] for group in picture.groups]
    steps = [{box.slot: box.lines[0].split("[")[0] for box in group} for group in groups]
    assert steps[0] == steps[1] == steps[2] == steps[3] == steps[4]
    assert sorted(steps[0].values()) == sorted(["w", "×", "x", "+", "tanh", "h"])


def test_a_graph_without_steps_has_no_groups_and_one_box_for_each_parameter():
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    picture = unroll(Graph((x * x - x).sum()), Annotations())
    assert picture.groups == []
    assert [box.lines[0] for box in picture.boxes] == ["x", "×", "-", "sum"]


def test_operands_are_numbered_where_their_order_matters():
    a, b = (mg.tensor([1.0, 2.0], requires_grad=True, name=n) for n in "ab")
    numbers = {
        symbol: [arrow.operand for arrow in unroll(Graph(made), Annotations()).arrows]
        for symbol, made in (("-", a - b), ("+", a + b), ("@", a @ b))
    }
    assert numbers == {"-": ["1", "2"], "+": ["", ""], "@": ["1", "2"]}


def test_numbers_and_indices_stand_in_the_op():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    picture = unroll(Graph((x[0, 1:] * 2.5).sum()), Annotations())
    assert [box.lines[0] for box in picture.boxes if box.role in ("slice", "op")] == ["[0, 1:]", "× 2.5", "sum"]


@pytest.mark.parametrize(
    ("index", "shown"),
    [((slice(None), slice(1, 3)), "1:3"), ((..., slice(2, None)), "2:"), (1, "[1]"), ((slice(None), 0), "[:, 0]"),
     ((slice(0, 1), slice(1, 2)), "[0:1, 1:2]"), (slice(None), "[:]")],
)  # fmt: skip
def test_a_slice_shows_the_axes_that_it_changes(index, shown):
    x = mg.tensor(np.ones((2, 4)), requires_grad=True)
    (box,) = [box for box in unroll(Graph(x[index]), Annotations()).boxes if box.role == "slice"]
    assert box.lines == [shown]


def test_folding_draws_one_step_with_a_loop():
    picture = fold(Graph(chain(5)), marks())
    (cell,) = picture.groups
    assert cell.title == "one step, repeated 5 times  (t = 0 ... 4)"
    assert cell.repeated
    assert sorted(box.lines[0] for box in cell.boxes) == sorted(["w", "×", "+", "tanh", "x[t]", "h[t]"])
    assert arrows(picture, "loop") == [("h[t]", "×")]
    assert arrows(picture, "first") == [("h0", "×")]
    (w,) = [box for box in boxes(picture).values() if box.role == "parameter"]
    assert w.lines == ["w", "(2,)", "used x5"]
    assert ("h[t]", "sum") in arrows(picture, "flow")


def test_one_step_folds_without_a_loop():
    picture = fold(Graph(chain(1)), marks())
    assert arrows(picture, "loop") == []
    assert not picture.groups[0].repeated


def test_what_does_not_repeat_is_not_folded():
    with pytest.raises(ValueError, match="no node of this graph has a scope"):
        fold(Graph(mg.tensor(1.0, requires_grad=True) * 2), Annotations())
    h = mg.tensor(1.0, requires_grad=True)
    for t in range(4):
        with mg.scope("t", t):
            h = np.tanh(h) if t != 3 else np.exp(h)
    with pytest.raises(ValueError, match="nothing to fold"):
        fold(Graph(h), Annotations())


def test_thousands_of_steps_are_drawn_without_recursion():
    steps = 3 * sys.getrecursionlimit()
    picture = unroll(Graph(chain(steps)), marks())
    assert len(picture.groups) == steps


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
    marked_up = re.findall(r"label=<(.*?)>(?= color=)", source)  # lines of several sizes
    assert all(ElementTree.fromstring(f"<label>{label}</label>").iter() for label in marked_up)
    source = re.sub(r"label=<.*?>(?= color=)", "", source)
    quoted = re.findall(r'"(?:[^"\\]|\\.)*"', source)
    assert "evil" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", source)
    assert quoted or name.isalnum()


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_any_name_is_drawn_as_it_is(name):
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


@pytest.mark.parametrize("dark", [False, True])
def test_the_ramp_goes_evenly_from_what_is_near_the_background_to_what_is_far(dark):
    sums = [sum(int(shade(h / 20, dark)[k : k + 2], 16) for k in (1, 3, 5)) for h in range(21)]
    assert sums == sorted(sums, reverse=not dark)
    assert len(set(sums)) == 21
    assert shade(1.0, dark) == shade(7.0, dark)
    assert shade(0.0, dark) == shade(-1.0, dark)


def test_each_heat_has_one_of_the_classes_of_the_ramp():
    classes = [heat_class(h / 100) for h in range(101)]
    assert classes == sorted(classes)
    assert set(classes) == set(range(HEATS))
    assert (heat_class(-1.0), heat_class(7.0)) == (0, HEATS - 1)


@pytest.mark.parametrize("heat", [0.0, 0.25, 0.5, 1.0])
def test_heat_widens_arrows_and_fills_boxes(heat):
    boxes = [Box("x", "state", ["x"], heat=heat), Box("y", "op", ["y"])]
    picture = Picture(groups=[Group("a", "A", boxes, [Arrow("x", "y", "recurrent", heat=heat)])])
    layout = upright(picture)
    for source in (to_dot(picture), to_dot(picture, layout)):
        assert f'fillcolor="{shade(heat)}"' in source
        assert f"penwidth={1 + 3.4 * heat:.1f}" in source
    drawn = to_svg(picture, layout)
    assert f"k{heat_class(heat)}" in re.search(r'class="([^"]*-state[^"]*)"', drawn)[1]
    assert f'stroke-width="{1 + 3.4 * heat:.1f}"' in drawn


def test_a_number_stands_on_the_side_where_it_is():
    x = mg.tensor(2.0, requires_grad=True, name="x")
    lines = [box.lines[0] for box in unroll(Graph(1 - x), Annotations()).all_boxes() if box.role == "op"]
    assert lines == ["1 -"]
    assert [box.lines[0] for box in unroll(Graph(x - 1), Annotations()).all_boxes() if box.role == "op"] == ["- 1"]


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
    assert ops == [node.op.symbol.replace("*", "×") for node in mg.loops(h).growing[0].iterations[-1]]
    labels = sorted(arrow.label for arrow in drawing.picture.all_arrows() if arrow.role == "loop")
    assert labels == ["all h[s], s < t", "h[t-1]"]
    unrolled = mg.draw(h, names={"h": h}).picture
    assert [box.lines[0] for box in unrolled.all_boxes() if box.lines and box.lines[0].startswith("h[")] == [
        f"h[{t}]" for t in range(5)
    ]
    assert [group.title for group in unrolled.groups if group.framed] == [f"t = {t}" for t in range(5)]
