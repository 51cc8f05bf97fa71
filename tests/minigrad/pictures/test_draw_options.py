"""What `minigrad.draw` can show of any graph."""

from dataclasses import asdict
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.pictures import renderers
from minigrad.pictures.picture import Arrow
from minigrad.pictures.upright import upright

needs_renderer = pytest.mark.skipif(not renderers(), reason="neither dot nor pygraphviz is installed")


def small():
    """loss = sum((tanh(x W + b) v)^2), in two scopes; the leaves without names."""
    x, W = mg.tensor([[1.0, 2.0]]), mg.tensor(np.eye(2), requires_grad=True)
    b, v = (mg.tensor([0.5, -0.5], requires_grad=True) for _ in "bv")
    with mg.scope("layer", 0), mg.scope("inner"):
        h = np.tanh(x @ W + b)
    with mg.scope("head"):
        loss = ((h @ v) ** 2).sum()
    return x, W, b, v, h, loss


def stacked(steps: int = 5, slices: bool = False):
    """A recurrent network, whose loss is over a stack of its steps; with `slices` its input is one tensor that learns too."""
    w = mg.tensor([0.5, 0.5], requires_grad=True, name="w")
    x = mg.tensor(np.ones((steps, 2)), requires_grad=slices, name="x")
    h = mg.tensor([0.0, 0.0], name="h0")
    outputs = []
    for t in range(steps):
        with mg.scope("t", t):
            h = np.tanh(h * w + x[t])
            h.name = "h"
        outputs.append(h)
    return w, mg.stack(outputs).sum()


def by_name(drawing) -> dict[str, object]:
    return {box.lines[0]: box for box in drawing.picture.all_boxes() if box.lines}


def test_names_come_from_the_caller():
    x, W, b, v, h, loss = small()
    found = by_name(mg.draw(loss, names=locals()))
    assert {"x", "W", "b", "v", "h", "loss"} <= set(found)
    assert found["W"].role == "parameter"
    assert found["x"].role == "input"


def test_a_name_of_its_own_is_kept():
    x = mg.tensor(1.0, requires_grad=True, name="mine")
    assert "mine" in by_name(mg.draw(x * 2, names={"other": x}))


def test_values_and_gradients_are_those_of_the_tensors():
    x, W, b, v, h, loss = small()
    found = by_name(mg.draw(loss, names=locals(), show=("dtype", "value", "grad")))
    loss.backward()
    assert found["b"].lines == ["b", "float64", "[ 0.5, -0.5]", f"grad {np.array2string(b.grad, precision=4, separator=', ')}"]
    assert found["loss"].lines[:3] == ["loss", "sum", "float64"]
    assert found["loss"].lines[3:] == [np.array2string(loss.data, precision=4), "grad 1."]
    assert found["h"].lines[:2] == ["h", "tanh"]  # a result with a name and its op share a box


def test_large_arrays_are_summarized():
    x = mg.tensor(np.arange(100.0), requires_grad=True, name="x")
    assert by_name(mg.draw((x * x).sum(), show=("value",)))["x"].lines == ["x", "min 0 mean 49.5 max 99"]


def test_after_a_backward_pass_the_leaves_still_have_their_gradients():
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    loss = (x * x).sum()
    loss.backward()
    assert by_name(mg.draw(loss, show="grad"))["x"].lines == ["x", "grad [2., 4.]"]


def lines_of(drawing):
    return [box.lines for box in drawing.picture.all_boxes()]


def test_a_value_that_is_not_known_is_a_dash_and_the_title_says_how_to_get_it():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x + 1.0
    loss = (np.exp(y) + mg.tensor([3.0, 4.0])).sum()
    drawing = mg.draw(loss, show=("value", "grad"), title="mine")
    assert lines_of(drawing)[:3] == [
        ["–", "grad [ 7.3891, 20.0855]"], ["+ 1", "–", "grad [ 7.3891, 20.0855]"],
        ["exp", "[ 7.3891, 20.0855]", "grad [1., 1.]"],
    ]  # fmt: skip
    assert drawing.picture.title.startswith("mine\n– : not known")
    assert "names=locals()" in drawing.picture.title
    assert "names=locals()" in drawing.source
    named = mg.draw(loss, show=("value", "grad"), names=locals(), title="mine")
    assert ["x", "[1., 2.]", "grad [ 7.3891, 20.0855]"] in lines_of(named)
    assert "–" in "".join(line for lines in lines_of(named) for line in lines)  # the tensor that nobody holds
    assert mg.draw(loss, show=("grad",), title="mine").picture.title == "mine"


@pytest.mark.parametrize("depth", [None, 1])
def test_once_the_graph_is_freed_the_title_says_so(depth):
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = np.exp(x)
    loss = y.sum()
    loss.backward()
    drawing = mg.draw(loss, show=("value", "grad"), depth=depth)
    assert lines_of(drawing) == [["x", "–", "grad [2.7183, 7.3891]"], ["exp", "–", "grad –"], ["sum", "10.1073", "grad –"]]
    assert "backward() has freed" in drawing.picture.title
    assert "retain_graph=True" in drawing.picture.title
    drawing = mg.draw(loss, show=("value",), names=locals(), depth=depth)
    assert not [lines for lines in lines_of(drawing) if "–" in lines]
    assert drawing.picture.title == ""


@pytest.mark.parametrize("options", [{}, {"depth": 2}, {"order": True, "show": ("value", "grad", "shape", "dtype")}])
def test_a_tensor_that_no_op_made_is_a_box(options):
    parameter = mg.tensor([1.0, 2.0], requires_grad=True, name="p")
    with mg.no_grad():
        unrecorded = parameter * 2
    with mg.scope("t", 0):
        inside = mg.tensor(1.0, requires_grad=True, name="inside")
    given = {"p": (parameter, "parameter"), "c": (mg.tensor([3.0]), "constant"), "r": (unrecorded, "constant"),
             "i": (inside, "parameter"), "named": (mg.tensor([1], name="k"), "input")}  # fmt: skip
    for tensor, role in given.values():
        drawing = mg.draw(tensor, **options)
        (box,) = drawing.picture.all_boxes()
        assert box.role == role
        assert ("not recorded" in box.tooltip) == (not tensor.requires_grad)
        if "show" in options:
            assert np.array2string(tensor.data, separator=", ") in box.lines
        assert len(drawing.html()) > 1000
    several = mg.draw([t for t, _ in given.values()] + [parameter * 2], **options)
    aliases = [box for box in several.picture.all_boxes() if box.role == "alias"]
    assert len(several.picture.all_boxes()) - len(aliases) == len(given) + 1
    whole = "depth" in options or "show" in options
    assert len(aliases) == (0 if whole else 1)  # beside frames of steps parameters are drawn small, if nothing is said of them
    twice = mg.draw(parameter, backward=True)
    assert [box.lines[0] for box in twice.picture.all_boxes()] == ["p", "grad p"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x: x, "not function: call it, and draw its result"), (3.0, "not float: only tensors remember"),
        (np.ones(2), "not ndarray"), ({"a": mg.tensor(1.0)}, "not dict"), ("loss", "not str"), (None, "not NoneType"),
        ([mg.tensor(1.0), 2.0], "not float"), ([np.tanh], "not ufunc: call it"),
    ],
)  # fmt: skip
def test_only_tensors_are_drawn(given, message):
    with pytest.raises(TypeError, match=f"draw takes a tensor, or a list of tensors, {message}"):
        mg.draw(given)


def test_something_else_cannot_be_shown():
    with pytest.raises(ValueError, match="show takes shape, dtype, value, grad, not 'colour'"):
        mg.draw(mg.tensor(1.0, requires_grad=True) * 2, show=("colour",))


def test_ops_are_numbered_as_the_backward_pass_comes_to_them():
    x = mg.tensor(1.0, requires_grad=True)
    drawing = mg.draw(np.tanh(np.exp(x) * 2), order=True)
    assert [box.lines for box in drawing.picture.boxes if box.role == "op"] == [["exp", "#3"], ["× 2", "#2"], ["tanh", "#1"]]


def test_the_rule_is_the_tooltip():
    x = mg.tensor(1.0, requires_grad=True)
    assert "to %0: g * (lambda out: 1 - out * out)" in by_name(mg.draw(np.tanh(x)))["tanh"].tooltip


@pytest.mark.parametrize(("depth", "titles"), [(0, []), (1, ["layer = 0", "head"]), (9, ["layer = 0", "inner", "head"])])
def test_scopes_are_frames_inside_frames(depth, titles):
    _x, _W, _b, _v, _h, loss = small()
    drawing = mg.draw(loss, depth=depth)
    assert [group.title for group in drawing.picture.all_groups()] == titles
    assert len(drawing.picture.all_boxes()) == len(mg.draw(loss).picture.all_boxes())


def test_a_way_is_highlighted():
    x, W, b, v, h, loss = small()
    found = by_name(mg.draw(loss, names=locals(), highlight=(loss, b)))
    looks = {name: found[name].emphasis for name in ("x", "W", "b", "h", "v", "loss", "+", "@")}
    assert {name for name, look in looks.items() if look == "strong"} == {"b", "+", "h", "loss", "@"}
    with pytest.raises(ValueError, match="there is no way between"):
        mg.draw(loss, highlight=(h, v))


def test_the_backward_pass_looks_different():
    x, W, b, v, h, loss = small()
    drawing = mg.draw(loss, names=locals(), backward=True)
    gradients = [box.lines[0] for box in drawing.picture.all_boxes() if box.role == "gradient"]
    assert sorted(gradients) == ["dL/dh", "grad W", "grad b", "grad v", "seed"]
    assert any(box.role == "backward" for box in drawing.picture.all_boxes())


def test_the_backward_pass_of_steps_goes_on_to_the_right():
    _, loss = stacked(3)
    titles = [(group.title, group.backward) for group in mg.draw(loss, backward=True).picture.groups if group.framed]
    forward = [(f"t = {t}", False) for t in range(3)]
    assert titles == [*forward, *((f"t = {t}, backward", True) for t in (2, 1, 0))]


def test_several_outputs():
    x, W, b, v, h, loss = small()
    assert {"h", "loss"} <= set(by_name(mg.draw([h, loss], names=locals())))
    with pytest.raises(ValueError, match="nothing to draw"):
        mg.draw([])


@pytest.mark.parametrize("slices", [False, True])
def test_a_stack_of_steps_gets_an_element_in_each_and_no_hub(slices):
    _, loss = stacked(6, slices)
    drawing = mg.draw(loss)
    into = {}
    for arrow in drawing.picture.all_arrows():
        if arrow.role != "order":
            into[arrow.target] = into.get(arrow.target, 0) + 1
            into[arrow.source, "out"] = into.get((arrow.source, "out"), 0) + 1
    assert max(into.values()) <= 2
    for group in drawing.picture.groups:
        if group.framed:
            assert [box.role for box in group.boxes].count("collect") == 1


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_no_two_boxes_overlap(steps, backward):
    _, loss = stacked(steps, slices=True)
    picture = mg.draw(loss, backward=backward).picture
    if picture.in_row:
        check_apart(list(upright(picture).boxes.values()))


class Counted(Arrow):
    """An arrow that counts how often it is looked at."""

    __slots__ = ()
    looks = 0

    def __getattribute__(self, name):
        Counted.looks += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize("backward", [False, True])
def test_the_work_of_the_layout_is_in_proportion_to_the_steps(backward):
    looks = []
    for steps in (100, 200):
        picture = mg.draw(stacked(steps, slices=True)[1], backward=backward, limit=None).picture
        for part in (picture, *picture.all_groups()):
            part.arrows = [Counted(**asdict(arrow)) for arrow in part.arrows]
        Counted.looks = 0
        upright(picture)
        looks.append(Counted.looks)
    assert looks[1] < 2.2 * looks[0]


def test_far_arrows_take_no_place_in_all_the_frames_between():
    layouts = [upright(mg.draw(stacked(steps)[1], backward=True, limit=None).picture) for steps in (60, 120)]
    points = [sum(len(way.points) for way in layout.arrows.values()) for layout in layouts]
    assert points[1] < 2.5 * points[0]


def check_apart(places):
    for i, (x, y, w, h) in enumerate(places):
        for u, v, a, b in places[:i]:
            assert abs(x - u) >= (w + a) / 2 - 1e-6 or abs(y - v) >= (h + b) / 2 - 1e-6


def test_frames_stand_in_a_row_and_states_on_a_line():
    _, loss = stacked(6)
    picture = mg.draw(loss).picture
    layout = upright(picture)
    frames = [layout.frames[group.id] for group in picture.groups if group.framed]
    edges = [edge for x, _, width, _ in frames for edge in (x - width / 2, x + width / 2)]
    assert edges == sorted(edges)
    states = [layout.boxes[box.id] for box in picture.all_boxes() if box.lines and box.lines[0].startswith("h[")]
    assert len({y for _, y, _, _ in states}) == 1
    inner = [
        places for group in picture.groups[2:] if group.framed for places in [[layout.boxes[b.id][1] for b in group.boxes]]
    ]
    assert all(places == inner[0] for places in inner)  # equal steps look equal


def test_a_drawing_can_be_written_as_json():
    import json

    _, loss = stacked(3)
    drawing = mg.draw(loss)
    data = json.loads(json.dumps(drawing.picture.as_dict()))
    assert [group["title"] for group in data["groups"] if group["framed"]] == ["t = 0", "t = 1", "t = 2"]


def test_a_large_graph_warns_and_a_larger_one_is_refused():
    x = mg.tensor(1.0, requires_grad=True)
    for _ in range(2500):
        x = x * 1.0
    with pytest.warns(UserWarning, match="2,501 boxes and is hard to read: better draw a part of it"):
        mg.draw(x, steps="all")
    with pytest.raises(ValueError, match=r"2,500 boxes is above limit=2,000: draw a part of it .* or force it with limit=None"):
        mg.draw(x, steps="all", limit=2000)
    mg.draw(x, steps="all", limit=None)
    assert len(mg.draw(x).picture.all_boxes()) < 50


@needs_renderer
@settings(max_examples=30, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_drawn_the_same_twice(text):
    x = mg.tensor([1.0, 2.0], requires_grad=True, name=text)
    with mg.scope(text, text), mg.scope("t", 0):
        y = x * 2
    for options in ({}, {"depth": 2}):
        one, other = (mg.draw(y, title=text, names={text: y}, show=("value", "grad"), **options) for _ in range(2))
        assert one.source == other.source
        root = ElementTree.fromstring(one.svg())
        assert not [e for e in root.iter() if e.tag.endswith("script") or any(k.endswith("href") and v for k, v in e.items())]


def test_no_label_begins_with_an_empty_line():  # on which Graphviz may crash
    x = mg.tensor([1.0, 2.0], requires_grad=True, name=" ")
    source = mg.draw((x * x).sum(), show=("shape", "value"), names={"": x}).source
    assert "label=< <br/>" in source
    assert "label=<<br/>" not in source
    assert 'label="\\n' not in source
