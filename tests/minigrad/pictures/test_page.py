"""The web page of a drawing: what is written into it, and, in a real browser where there is one, what it does."""

import json
import os
import re
import runpy
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.errors import RendererMissing
from minigrad.pictures import page as page_module
from minigrad.pictures.inline import compact
from minigrad.pictures.page import digits, packed
from minigrad.watch import WATCH

WRITTEN = runpy.run_path(str(Path(__file__).with_name("written.py")))
array, boxes_of, data_of, sent = (WRITTEN[name] for name in ("array", "boxes_of", "data_of", "sent"))
DRIVEN = runpy.run_path(str(Path(__file__).with_name("browser.py")))
Browser, CHROMIUM, HOSTILE, rectangle = (DRIVEN[name] for name in ("Browser", "CHROMIUM", "HOSTILE", "rectangle"))

STEPS = 4


def network(kind=rnn.LSTM, hidden=3, length=STEPS):
    rng = np.random.default_rng(0)
    model = rnn.Sequence(kind(4, hidden, dtype=np.float64, rng=1), rnn.Linear(hidden, 4, dtype=np.float64, rng=2))
    return model, np.eye(4)[rng.integers(0, 4, (length, 1))], rng.integers(0, 4, (length, 1))


def gradients(model, inputs, targets):
    """By name, of the mean loss, computed without the drawing."""
    total, _ = rnn.sequence_cross_entropy(model(inputs), targets)
    parameters = list(model.parameters())
    return {p.name: g for p, g in zip(parameters, mg.grad(total, parameters), strict=True)}


def picture_of_a_layer(**options):
    x, W = mg.tensor([[1.0, -2.0]], name="x"), mg.tensor([[0.5, 0.1], [0.2, -0.3]], requires_grad=True, name="W")
    b = mg.tensor([0.1, -0.1], requires_grad=True, name="b")
    out = np.tanh(x @ W + b)
    loss = (out * out).sum()
    return (x, W, b, out, loss), mg.draw(loss, **options)


# -- what is written -------------------------------------------------------------------------------------------


def test_values_and_cotangents_are_those_of_the_engine():
    (x, W, b, out, loss), _ = picture_of_a_layer()
    data = data_of(mg.draw(loss, names={"x": x, "W": W, "b": b, "out": out}).html())
    shown = {node["name"]: node for node in data["nodes"] if "name" in node}
    for t in (x, W, b):
        assert np.allclose(array(shown[t.name]["value"], t.shape), t.data)
    assert data["notes"] == []
    back = {step["node"]: step for step in data["back"]}
    graph = mg.Graph(loss)
    for t, g in zip((W, b, out), mg.grad(loss, [W, b, out], retain_graph=True), strict=True):
        assert np.allclose(array(back[graph.index[t._node]]["g"], t.shape), g)
    assert all("value" in node for node in data["nodes"])


def test_the_order_is_that_of_the_engine():
    _, drawing = picture_of_a_layer()
    order = []

    class Watch(mg.graph.Watch):
        def entering(self, node):
            order.append(node)

    watch = Watch()
    WATCH.append(watch)
    try:
        (*_, loss), drawing = picture_of_a_layer()
        with mg.debug():
            loss.backward(retain_graph=True)
    finally:
        WATCH.remove(watch)
    graph = mg.Graph(loss)
    data = data_of(drawing.html())
    back = [step["node"] for step in data["back"]]
    leaves = [i for i in back if graph.nodes[i].op is None]
    assert [i for i in back if i not in leaves] == [graph.index[node] for node in order]
    assert back == [i for i in reversed(data["order"]) if i in back]


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.GRU])
def test_the_order_is_one_of_time_and_each_node_comes_after_its_operands(kind):
    drawing = rnn.draw.unrolled(*network(kind))
    data, nodes = data_of(drawing.html()), drawing._playback.graph.nodes
    assert sorted(data["order"]) == list(range(len(nodes)))
    seen = set()
    for i in data["order"]:
        assert seen.issuperset(data["nodes"][i].get("from", []))
        seen.add(i)
    times = [data["nodes"][i]["t"] for i in data["order"] if "t" in data["nodes"][i]]
    assert times == sorted(times)


def test_what_is_not_known_is_said():
    _, drawing = picture_of_a_layer()
    data = data_of(drawing.html())
    assert "values are not known" in data["notes"][0]
    assert any("value" not in node for node in data["nodes"])
    (*_, loss), drawing = picture_of_a_layer()
    loss.backward()
    data = data_of(drawing.html())
    assert data["back"] == []
    assert "backward() has freed" in data["notes"][0]
    assert {node["name"] for node in data["nodes"] if "left" in node} == {"W", "b"}


def test_rules_stand_as_in_the_table():
    (_, W, *_, loss), drawing = picture_of_a_layer()
    data = data_of(drawing.html())
    assert "g * (lambda out: 1 - out * out)" in data["rules"]
    told = mg.explain(loss, W)
    assert all(
        f": {data['rules'][part['rule']]}" in told
        for step in data["back"]
        for part in step["parts"]
        if data["nodes"][part["to"]]["expr"] != "requires grad"
    )


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM, rnn.GRU])
@pytest.mark.parametrize("how", ["unrolled", "folded", "both"])
def test_the_shares_of_a_parameter_add_up_to_its_gradient(kind, how):
    model, inputs, targets = network(kind)
    if kind is not rnn.RNN and how == "both":
        pytest.skip("the same as unrolled")
    data = data_of(getattr(rnn.draw, how)(model, inputs, targets).html())
    assert data["notes"] == []
    assert all("value" in node for node in data["nodes"])
    expected = gradients(model, inputs, targets)
    outputs = model(inputs).numpy()
    shown = {node.get("label"): node for node in data["nodes"]}
    for t in range(STEPS):
        assert np.allclose(array(shown[f"o[{t}]"]["value"], outputs[t].shape), outputs[t])
    checked = 0
    for i, node in enumerate(data["nodes"]):
        if node.get("name") not in expected or node["expr"] != "requires grad":
            continue
        parts = [(step, part) for step in data["back"] for part in step["parts"] if part["to"] == i]
        (cotangent,) = [step["g"] for step in data["back"] if step["node"] == i]
        assert len(parts) == STEPS
        assert np.allclose(array(cotangent, node["shape"]), expected[node["name"]])
        assert np.allclose(sum(sent(data, *pair) for pair in parts), expected[node["name"]], atol=1e-7)  # in float32 each
        assert parts[-1][1]["sum"] == pytest.approx(np.linalg.norm(expected[node["name"]].numpy()))
        checked += 1
    assert checked == len(expected)


@pytest.mark.parametrize("steps", ["all", "0-1", "0,-1"])
@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_every_node_but_parameters_has_a_box_that_is_there(level, steps):
    model, inputs, targets = network()
    drawing = rnn.draw.unrolled(model, inputs, targets, level=level, steps=steps)
    ids = {box.id for box in drawing.picture.all_boxes()}
    for node in data_of(drawing.html())["nodes"]:
        assert set(node.get("boxes", [])) <= ids
        if "t" in node and node["expr"] != "constant":
            assert node.get("boxes") or (level == "cell" and node["name"] == "sum"), node  # the running sum is not L[t]


@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("which", ["two layers", "bidirectional", "many to one", "encoder and decoder", "in chunks"])
def test_networks_of_every_kind_are_played(which, level):
    _, inputs, targets = network()
    head = rnn.Linear(3, 4, rng=2)
    model = {
        "two layers": lambda: rnn.Sequence(rnn.GRU(4, 3, num_layers=2, rng=1), head),
        "bidirectional": lambda: rnn.Sequence(rnn.RNN(4, 3, bidirectional=True, rng=1), rnn.Linear(6, 4, rng=2)),
        "many to one": lambda: rnn.ManyToOne(rnn.LSTM(4, 3, rng=1), head),
        "encoder and decoder": lambda: rnn.EncoderDecoder(rnn.LSTM(4, 3, rng=1), rnn.LSTM(4, 3, rng=3), head, start=0),
        "in chunks": lambda: rnn.Sequence(rnn.LSTM(4, 3, rng=1), head),
    }[which]()
    options = {"chunk": 2} if which == "in chunks" else {}
    targets = targets[0] if which == "many to one" else targets
    drawing = rnn.draw.unrolled(model, inputs, targets, level=level, **options)
    data = data_of(drawing.html())
    ids = {box.id for box in drawing.picture.all_boxes()}
    assert data["notes"] == []
    assert data["back"]
    for node in data["nodes"]:
        assert "value" in node
        assert set(node.get("boxes", [])) <= ids
        assert node.get("boxes") or node["expr"] == "requires grad" or level == "cell", node


def test_without_targets_there_is_only_a_forward_pass():
    model, inputs, _ = network()
    data = data_of(rnn.draw.unrolled(model, inputs).html())
    assert data["back"] == []
    assert "only the forward pass" in data["notes"][0]


def test_several_results_are_gone_back_from_one_after_the_other():
    x = mg.tensor(2.0, requires_grad=True, name="x")
    data = data_of(mg.draw([x * 3, x * x]).html())
    assert [array(step["g"]).item() for step in data["back"] if step["node"] == 0] == [3.0, 4.0]
    assert [step["node"] for step in data["back"] if step.get("root")] == [1, 2]
    assert data["order"] == [0, 1, 2]


def test_a_checkpoint_a_hook_and_infinity():
    x = mg.tensor([0.0, 1.0], requires_grad=True, name="x")
    y = mg.checkpoint(lambda x: np.sqrt(x) * 2)(x)
    y.register_hook(lambda g: g * 10)
    data = data_of(mg.draw(y.sum(), names={"x": x}).html())
    back = {step["node"]: array(step["g"]).tolist() for step in data["back"]}
    assert back[0] == [np.inf, 10.0]
    assert [data["nodes"][step["node"]]["expr"] for step in data["back"] if step.get("hooked")] == ["multiply(%1, 2)"]


def test_the_line_of_code_is_known_where_debug_watched_it():
    x = mg.tensor([0.5, 1.0], requires_grad=True, name="x")
    with mg.debug():
        y = np.tanh(x)
    data = data_of(mg.draw(y.sum()).html())
    lines = [node.get("line", "") for node in data["nodes"]]
    assert [bool(re.search(r"\w+\.py, line \d+$", line)) for line in lines] == [False, True, False]


def test_numbers():
    assert digits(np.float32(1 / 3)) == 0.3333333
    assert digits(np.nan) == "nan"
    assert "values" not in packed(np.zeros(65))
    assert packed(np.linspace(-1, 1, 70))["colours"][::69] == "Ay"
    assert packed(np.eye(9))["colours"] == "yZ9" * 8 + "y"
    assert "colours" not in packed(np.zeros(2000))
    assert packed(np.zeros((0, 3))) == {"norm": 0.0, "values": ""}
    for x in (
        [1e-50, 1.0],
        [1e300],
        [np.nan, np.inf, -np.inf, 0.1],
        [1 / 3, -2e-30],
        [0, 0, 0],
        [0, -0.5, 0, 2, 0, 0],
    ):  # what float32 cannot hold, and can
        assert np.allclose(array(packed(np.array(x))), x, rtol=1e-6, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_becomes_markup(name, tmp_path):
    x = mg.tensor([1.0, 2.0], requires_grad=True, name=name)
    with mg.scope(name):
        text = mg.draw((x * x).sum(), title=name).save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert data_of(text)["nodes"][0]["name"] == name
    assert text.count("<script") == text.count("</script") == 2
    assert "<img" not in text
    assert "<b>bold" not in text


def test_the_page_asks_for_nothing():
    _, drawing = picture_of_a_layer()
    text = drawing.html()
    assert not re.search(r"\b(src|href|action)=|@import|url\(|fetch\(|XMLHttp", text)
    assert set(re.findall(r"https?://[^\"'\s<]*", text)) <= {"http://www.w3.org/2000/svg"}


def test_only_shapes_come_from_the_renderer():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>x</script><g class="node" onclick="x">'
        '<title>n0</title><a href="x"><image/>'
        '<path d="M0,0" style="x" onload="y"/><text x="0">&lt;a&gt;</text></a></g><foreignObject/></svg>'
    )
    found = compact(svg)
    assert '<g class="node" data-box="n0"><path d="M0,0"></path><text x="0" font-size="9">&lt;a&gt;</text></g>' in found
    assert not re.search("script|onclick|onload|href|image|foreign", found)


def no_renderer(*args, **options):
    raise RendererMissing("no working Graphviz renderer was found.")


def test_without_a_renderer_only_nested_scopes_are_listed(monkeypatch):
    monkeypatch.setattr(page_module, "render", no_renderer)
    model, inputs, targets = network()
    for drawing in (
        *(rnn.draw.unrolled(model, inputs, targets, level=level) for level in ("op", "gate", "cell")),
        *(draw(model, inputs, targets) for draw in (rnn.draw.folded, rnn.draw.both)),
        picture_of_a_layer()[1],
    ):
        text = drawing.html()
        assert boxes_of(text) == {box.id for box in drawing.picture.all_boxes()}
        assert not [note for note in data_of(text)["notes"] if "listed instead" in note]
    text = nested_scopes().html()
    assert not boxes_of(text)
    assert any("listed instead" in note for note in data_of(text)["notes"])


def nested_scopes():
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    with mg.scope("outer"), mg.scope("inner"):
        y = np.tanh(x * 2)
    return mg.draw(y.sum(), depth=2)


@pytest.mark.parametrize(("steps", "hidden"), [(10, 16), (50, 128)])
def test_the_size_of_a_page_is_linear_in_time(steps, hidden):
    model, inputs, targets = network(rnn.LSTM, hidden, steps)
    assert len(rnn.draw.unrolled(model, inputs, targets, steps="all").html().encode()) < 130_000 + 8_000 * steps


# -- in a browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None or os.name != "posix":
        pytest.skip("there is no Chromium here to try the page in")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def lstm(tmp_path_factory):
    model, inputs, targets = network()
    drawing = rnn.draw.unrolled(model, inputs, targets)
    path = drawing.save(tmp_path_factory.mktemp("page") / "lstm.html")
    return path, drawing, gradients(model, inputs, targets)


def inside(one, other):
    return (
        one["left"] >= other["left"]
        and one["right"] <= other["right"]
        and one["top"] >= other["top"]
        and one["bottom"] <= other["bottom"]
    )


class Own(rnn.Cell):
    state_names = ("s", "m")

    def step(self, x, state):
        s, m = state
        k = mg.sigmoid(self.affine(x, s))
        m = k * m + (1 - k) * mg.tanh(x @ self.weight_ih.T)
        return mg.tanh(m), m


def own_network():
    return rnn.Sequence(rnn.Recurrent(Own(4, 4, dtype=np.float64, rng=0)), rnn.Linear(4, 4, dtype=np.float64, rng=1))


def written_by_hand():
    rng = np.random.default_rng(0)
    W, U = (mg.tensor(rng.normal(size=(3, 3)), requires_grad=True, name=name) for name in "WU")
    x, h, loss = rng.normal(size=(STEPS, 1, 3)), mg.tensor(np.zeros((1, 3))), 0.0
    for t in range(STEPS):
        h = np.tanh(x[t] @ U + h @ W)
        loss = loss + (h * h).sum()
    loss.name = "loss"
    return mg.draw(loss, names={"W": W, "U": U, "h": h})


PLAYED = {
    "RNN": lambda: rnn.draw.unrolled(*network(rnn.RNN)),
    "LSTM": lambda: rnn.draw.unrolled(*network(rnn.LSTM)),
    "GRU": lambda: rnn.draw.unrolled(*network(rnn.GRU)),
    "own cell": lambda: rnn.draw.unrolled(own_network(), *network()[1:]),
    "by hand": written_by_hand,
}


PLACES = ("x", "y", "cx", "cy", "width", "height", "rx", "ry", "d", "points")
SHAPES = (
    "dispatchEvent(new Event('beforeprint')), [...document.querySelectorAll('#picture :is(.node, .edge, .cluster)')].map((g) =>"
    "[[g.dataset.box, g.dataset.group, g.dataset.from, g.dataset.to].join(' ').trim(),"
    "[...g.children].filter((x) => x.tagName !== 'title').map((x) => [x.tagName, x.textContent.replace('▾ ', ''),"
    f"{list(PLACES)}.map((name) => x.getAttribute(name) || '').join(' ')])])"
)


def shapes_of(svg):
    """The boxes, arrows and frames of a picture: each with its ids, and its shapes with their words and places."""
    for g in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        if g.get("class") in ("node", "edge", "cluster"):
            inside = [(x.tag.rpartition("}")[2], x.text or "", " ".join(x.get(name, "") for name in PLACES)) for x in g]
            ids = " ".join(g.get(f"data-{kind}", "") for kind in ("box", "group", "from", "to")).strip()
            yield ids, [shape for shape in inside if shape[0] != "title"]


def looks_like(shown, svg):
    """The page has the picture's shapes, in which each step is the copy of a pattern."""
    expected = sorted(shapes_of(svg))
    assert [ids for ids, _ in sorted(shown)] == [ids for ids, _ in expected]
    for (ids, shapes), (_, others) in zip(sorted(shown), expected, strict=True):
        assert [shape[:2] for shape in shapes] == [[*shape[:2]] for shape in others], ids
        for here, there in zip(shapes, others, strict=True):
            numbers = [[float(x) for x in re.findall(r"-?[\d.]+", places)] for places in (here[2], there[2])]
            assert np.allclose(*numbers, atol=0.11), ids


@pytest.mark.parametrize("which", PLAYED)
def test_all_steps_show_what_the_engine_computed(browser, tmp_path, which):
    drawing = PLAYED[which]()
    path = drawing.save(tmp_path / "x.html")
    page = browser.open(path)
    graph = drawing._playback.graph
    root = next(node for node in graph.outputs if node.requires_grad)
    every = set(mg.graph.ancestors([root]))
    found = mg.sweep.reverse(root, np.ones(()), every, retain=True)
    order = [graph.nodes[i] for i in data_of(path.read_text(encoding="utf-8"))["order"]]
    order += [node for node in reversed(order) if node in found]
    assert page.js("minigrad.length") == len(order)
    shown = page.js(
        "(() => { const all = []; const read = (id) => [...document.querySelectorAll(`#${id} .grid span, #${id} .number`)]"
        ".map((x) => (x.title || x.textContent).replace('−', '-'));"
        "for (let i = 0; i < minigrad.length; i++) { minigrad.go(i); const s = minigrad.state();"
        "all.push([s.phase, s.node, document.querySelector('#panel .phase').textContent, read('value'), read('cotangent'),"
        "document.querySelectorAll('.ring.now').length, document.querySelectorAll('.sends').length,"
        "document.querySelector('#panel .expr').textContent]); } return all; })()"
    )
    values = page_module.values_of(drawing._playback)
    for i, (node, said) in enumerate(zip(order, shown, strict=True)):
        phase, number, words, value, cotangent, rings, sends, expression = said
        close = {"rtol": 1e-6 if node.shape else 1e-3, "atol": 1e-12}  # a single number is written with four digits
        assert number == graph.index[node]
        assert f"%{number}" in words
        assert expression == graph.expression(node)
        assert phase == ("forward" if i < len(graph) else "backward")
        assert rings >= 1
        assert np.allclose(np.array(value, float), values[node].ravel(), **close)
        if phase == "backward":
            assert sends == sum(operand in every for operand in node.operands)
            assert np.allclose(np.array(cotangent, float), found[node].ravel(), **close)
        else:
            assert cotangent == []
    looks_like(page.js(SHAPES), drawing.svg())
    assert page.errors == []


def test_a_rule_with_numbers_put_in_gives_what_it_sends(browser, tmp_path):
    page = browser.open(PLAYED["by hand"]().save(tmp_path / "x.html"))
    said = page.js(
        "[...Array(minigrad.length).keys()].flatMap((i) => { minigrad.go(i);"
        "return [...document.querySelectorAll('.sends .numbers')].map((x) => x.textContent); })"
    )
    sums = [line.split(" = ") for line in said if " = " in line and not re.search(r"[a-df-zA-Z]", line)]
    assert any("(1 - " in left for left, _ in sums)  # of tanh
    for left, right in sums:
        assert eval(left) == pytest.approx(float(right), rel=3e-3, abs=1e-12)  # numbers of four digits
    assert "g (1, 3), x (1, 3), y (3, 3) → (3, 3)" in said


UNIT = (
    "[document.getElementById('name').textContent, minigrad.state(), document.querySelectorAll('.ring.now').length,"
    "[...document.querySelectorAll('#unit tr + tr')].map((row) => [...row.cells].map((cell) => cell.textContent))]"
)


def test_playing_by_time_step(browser, lstm):
    page = browser.open(lstm[0])
    assert page.js("document.getElementById('by').value") == "step"
    graph, drawing = lstm[1]._playback.graph, data_of(lstm[0].read_text(encoding="utf-8"))
    values = page_module.values_of(lstm[1]._playback)
    (root,) = lstm[1]._playback.roots
    gradients_of = mg.sweep.reverse(root, np.ones(()), set(mg.graph.ancestors([root])), retain=True)
    seen = []
    for _ in range(2 * STEPS):
        page.press("n")
        name, state, rings, rows = page.js(UNIT)
        seen.append((state["phase"], name))
        sizes = values if state["phase"] == "forward" else gradients_of
        assert len(rows) == len(state["lit"]) > 5  # what lights up is what the panel says
        assert rings == sum(len(drawing["nodes"][i].get("boxes", [])) for i in state["lit"])
        for i, (_, _, size) in zip(state["lit"], rows, strict=True):
            assert float(size) == pytest.approx(np.linalg.norm(sizes[graph.nodes[i]]), rel=1e-3, abs=1e-12)
    times = [f"t = {t}" for t in range(STEPS)]
    assert seen == [("forward", t) for t in times] + [("backward", t) for t in reversed(times)]
    page.press("n")
    assert page.state()["position"] == page.js("minigrad.length - 1")
    page.press("p")
    assert page.state()["t"] == 1


def test_playing_by_gate_and_by_op(browser, lstm):
    page = browser.open(lstm[0])
    page.press("u")
    names = []
    for _ in range(8):
        page.press("n")
        names.append(page.js("document.getElementById('name').textContent"))
    assert names == ["i", "f", "g", "c[0]", "o", "h[0]", "o[0]", "L[0]"]
    page.press("u")
    before = page.state()["position"]
    page.press("n")
    assert page.state()["position"] == before + 1
    page.js("(() => { const by = document.getElementById('by'); by.value = 'step'; by.dispatchEvent(new Event('change')); })()")
    assert page.js("document.getElementById('name').textContent") == "t = 1"


def two_results():
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    return mg.draw([(x * 3).sum(), np.tanh(x * x).sum()])


def encoder_and_decoder():
    model = rnn.EncoderDecoder(rnn.LSTM(4, 3, rng=1), rnn.LSTM(4, 3, rng=3), rnn.Linear(3, 4, rng=2), start=0)
    return rnn.draw.unrolled(model, *network(length=2)[1:])


def both_directions():
    model = rnn.Sequence(rnn.GRU(4, 3, bidirectional=True, rng=1), rnn.Linear(6, 4, rng=2))
    return rnn.draw.unrolled(model, *network(length=2)[1:], level="cell")


@pytest.mark.parametrize("draw", [written_by_hand, two_results, encoder_and_decoder, both_directions])
def test_playing_by_anything_plays_everything_once(browser, tmp_path, draw):
    page = browser.open(draw().save(tmp_path / "x.html"))
    for by in page.js("[...document.getElementById('by').options].filter((x) => !x.hidden).map((x) => x.value)")[:2]:
        there, back, forward, length = page.js(
            f"(() => {{ minigrad.go(0); minigrad.playBy('{by}'); const all = [[], []], end = minigrad.length - 1;"
            "for (let last = 0; last < end; all[0].push(minigrad.state().unit), last = all[0].at(-1)[1]) minigrad.step();"
            "all[1].push(all[0].at(-1));"
            "while (all[1].at(-1)[0] > 0) { minigrad.step(-1); all[1].push(minigrad.state().unit); }"
            "return [...all, minigrad.forward, minigrad.length]; })()"
        )
        assert [first for first, _ in there] == [there[0][0], *(last + 1 for _, last in there[:-1])]
        assert there[0][0] in (0, 1)
        assert there[-1][1] == length - 1
        assert [last for _, last in back] == [last for _, last in reversed(there)] + [0] * (there[0][0] == 1)
        assert all((first < forward) == (last < forward) for first, last in there)
    assert page.errors == []


@pytest.mark.parametrize("backward", [False, True])
def test_pulses_run_in_the_direction_of_what_they_carry(browser, lstm, backward):
    page = browser.open(lstm[0], 1400, 900, ("prefers-reduced-motion", "no-preference"))
    start = "minigrad.forward" if backward else "0"
    page.js(f"document.getElementById('speed').value = 250; minigrad.playBy('op'); minigrad.go({start})")
    for _ in range(6):  # to an op with arrows
        page.press("n")
    path = page.js(
        "(async () => { minigrad.step(); const all = []; for (let k = 0; k < 400; k++) {"
        "await new Promise(requestAnimationFrame); const dot = document.querySelector('.pulse:not([hidden])');"
        "if (dot) all.push([Number(dot.getAttribute('cx')), Number(dot.getAttribute('cy'))]); else if (all.length) break; }"
        "const way = document.querySelector('.edge.active path'), long = way.getTotalLength();"
        "const ends = [0, long].map((u) => way.getPointAtLength(u)).map(({ x, y }) => [x, y]); return [all, ends]; })()"
    )
    dots, (tail, head) = path
    source, target = (head, tail) if backward else (tail, head)
    ways = [np.hypot(*np.subtract(dot, source)) - np.hypot(*np.subtract(dot, target)) for dot in dots]
    assert len(dots) > 1
    assert ways == sorted(ways)
    assert ways[0] < ways[-1]
    for _ in range(100):
        if page.js("document.querySelectorAll('.pulse').length") == 0:
            break
        time.sleep(0.02)
    assert page.js("document.querySelectorAll('.pulse').length") == 0
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    page.press("n")
    assert page.js("document.querySelectorAll('.pulse').length") == 0


def test_links_to_a_moment(browser, lstm):
    for place, phase, t in [("t=2", "forward", 2), ("t=1,backward", "backward", 1), ("backward", "backward", STEPS - 1)]:
        page = browser.open(f"{lstm[0]}#{place}")
        assert (page.state()["phase"], page.state()["t"]) == (phase, t)
        assert page.js("document.getElementById('name').textContent") == (f"t = {t}" if "t=" in place else "loss")
    page.js("location.hash = '#t=3'")
    for _ in range(100):
        if page.state()["phase"] == "forward":
            break
        time.sleep(0.02)
    page.press("p")
    for _ in range(100):
        if page.js("location.hash") == "#t=2":
            break
        time.sleep(0.02)
    assert page.js("location.hash") == "#t=2"
    for nonsense in ("t=99", "step=x", "<img>"):
        page.js(f"minigrad.go(5); location.hash = '#{nonsense}'; new Promise((done) => addEventListener('hashchange', done))")
        assert page.state()["position"] == 0


def test_the_page_opens_and_prints_in_full_colour(browser, lstm):
    pale = "[...document.querySelectorAll('.node, .edge')].filter((x) => getComputedStyle(x).opacity < 1).length"
    page = browser.open(lstm[0])
    assert page.js(pale) == 0
    page.press("n")
    assert page.js(pale) > 50
    page.call("Emulation.setEmulatedMedia", media="print")
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert page.js(pale) == 0
    shown = page.js("['#picture', 'h1', 'footer', '#panel'].map((x) => document.querySelector(x).getClientRects().length > 0)")
    assert shown == [True, True, False, False]
    whole, part = page.js(rectangle("#picture")), page.js(rectangle("#view"))
    assert inside(part, whole)
    colours = (
        "['h1', '.p-state', '.p-op'].map((x) => getComputedStyle(document.querySelector(x))[x[0] === 'h' ? 'color' : 'fill'])"
    )
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", media="print", features=dark)
    printed = page.js(colours)  # as in light
    page.call("Emulation.setEmulatedMedia", media="screen", features=[])
    assert printed == page.js(colours)
    page.call("Emulation.setEmulatedMedia", media="screen", features=dark)
    assert not set(printed) & set(page.js(colours))
    page.call("Emulation.setEmulatedMedia", media="")
    page.js("dispatchEvent(new Event('afterprint'))")
    assert page.js(pale) > 50


def test_without_a_script_the_picture_is_that_of_the_svg(browser, lstm, tmp_path):
    still = re.search(r'<noscript id="drawn">(.*?)</noscript>', lstm[0].read_text(encoding="utf-8"), re.DOTALL)[1]
    still = still.replace("<style>", "<style>.edge { stroke-width: 1.1 }")  # of the page
    view = re.search(r'viewBox="[^"]*"', still)[0]
    (tmp_path / "x.html").write_text("<!doctype html><script>minigrad = {}</script>", encoding="utf-8")
    page = browser.open(tmp_path / "x.html")
    page.js(
        "window.pixels = async (text) => { const image = new Image();"
        "image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;"
        "await image.decode(); const context = new OffscreenCanvas(1000, 340).getContext('2d'); context.fillStyle = 'white';"
        "context.fillRect(0, 0, 1000, 340); context.drawImage(image, 0, 0);"
        "return context.getImageData(0, 0, 1000, 340).data; }"
    )
    for name, text in [("one", still), ("other", lstm[1].svg())]:
        head, rest = text.split(">", 1)
        head = re.sub(r' (width|height|viewBox)="[^"]*"', "", head) + f' width="1000" height="340" {view}>'
        page.js(f"pixels({json.dumps(head + rest)}).then((found) => {{ window.{name} = found; }})")
    differ = "one.filter((x, k) => Math.abs(x - other[k]) > 100).length / one.length"
    assert page.js("other.filter((x) => x < 100).length / other.length") > 0.001  # there is a picture
    assert page.js(differ) < 1e-4


def test_where_the_numbers_cannot_be_unpacked_the_picture_is_shown(browser, lstm):
    without = browser.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    browser.call("Page.navigate", url=lstm[0].as_uri())
    for _ in range(100):
        if browser.js("Boolean(document.querySelector('#stage .column'))"):
            break
        time.sleep(0.02)
    browser.call("Page.removeScriptToEvaluateOnNewDocument", **without)
    assert browser.js("document.querySelectorAll('#stage .column').length") == STEPS
    assert "cannot unpack the numbers" in browser.js("document.getElementById('notes').textContent")


@pytest.mark.parametrize("width", [1400, 390])
def test_title_and_colour_bar_are_whole_in_light_and_dark(browser, tmp_path, width):
    path = rnn.draw.unrolled(*network(), gradients=True).save(tmp_path / "x.html")
    bars = []
    page = browser.open(path, width, 844)
    for scheme in ("light", "dark"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for part in ("h1", "#title", "#legend"):
            whole = "x.scrollWidth <= x.clientWidth && x.scrollHeight <= x.clientHeight"
            assert page.js(f"(() => {{ const x = document.querySelector('{part}'); return {whole}; }})()")
        assert "size of dL/dh" in page.js("document.getElementById('legend').textContent")
        bars.append(page.js("getComputedStyle(document.querySelector('#legend span:nth-child(2)'), '::after').backgroundImage"))
        page.js("minigrad.foldAll('steps'); minigrad.go(minigrad.length - 1)")
        assert "norm of the gradients" in page.js("document.getElementById('legend').textContent")
        page.js("minigrad.foldAll('steps')")
    assert bars[0] != bars[1]


STATE = "JSON.stringify([minigrad.state(), document.getElementById('help').open])"
PRESSED = ["after", "after", "before", "turn", "first", "after", "out", "in", "fit", "steps", "steps", "parts", "parts"]
PRESSED += ["keys", "close", "play", "play"]
USED = [("by", "op", "change"), ("scrub", 70, "input"), ("query", "c[2]", "input"), ("query", "", "input")]
PRESS = """(id) => {
  const it = document.getElementById(id);
  it.scrollIntoView({ block: "nearest" });
  const { x, y, width, height } = it.getBoundingClientRect();
  const seen = width > 0, top = document.elementFromPoint(x + width / 2, y + height / 2);
  it.click();
  return [seen, it.contains(top)];
}"""


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (1280, 720), (390, 844)])
def test_every_control_in_every_size_in_light_and_dark(browser, lstm, width, height):
    page = browser.open(lstm[0], width, height)
    assert set(page.js("[...document.querySelectorAll('button[id]')].map((x) => x.id)")) == {*PRESSED, "screen"}
    assert set(page.js("[...document.querySelectorAll('input, select')].map((x) => x.id)")) == {"query", "scrub", "by", "speed"}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
        page.call("Emulation.setEmulatedMedia", features=features)
        fits = "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"
        assert page.js(fits)
        stage, panel = page.js(rectangle("#stage")), page.js(rectangle("#panel"))
        assert (panel["y"] > stage["y"]) == (width < 800)  # below, or beside
        assert stage["height"] > (0.4 if width < 800 else 0.6) * height
        ink, paper = page.js("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
        light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
        assert (light[0] > light[1]) == (scheme == "dark")
        assert page.js("getComputedStyle(document.getElementById('picture')).filter") == "none"  # it has colours for both
        unseen = set()
        for id in PRESSED:
            before = page.js(STATE)
            seen, on_top = page.js(f"({PRESS})('{id}')")
            assert page.js(STATE) != before, id
            assert on_top == seen, id
            unseen |= set() if seen else {id}
        assert unseen == ({"in", "out"} if width < 800 else set())  # two fingers do it
        for id, value, event in USED:
            before = page.js(STATE)
            change = f"it.value = '{value}'; it.dispatchEvent(new Event('{event}'))"
            page.js(f"{{ const it = document.getElementById('{id}'); {change}; }}")
            assert page.js(STATE) != before, id
        assert page.state()["position"] == 70
        page.js("minigrad.go(0); minigrad.playBy('step')")
    assert page.errors == []


def test_the_picture_fills_the_screen(browser, lstm):
    page = browser.open(lstm[0])
    for expected in (True, False):
        page.press("s")
        for _ in range(100):
            if page.js("Boolean(document.fullscreenElement)") == expected:
                break
            time.sleep(0.02)
        assert page.js("Boolean(document.fullscreenElement)") == expected


def test_the_tabulator_reaches_every_control(browser, lstm):
    page = browser.open(lstm[0])
    page.js("minigrad.fold('t1'); addEventListener('focusin', (event) => event.target.setAttribute('data-reached', ''))")
    there = "[...document.querySelectorAll('button, input, select, [tabindex=\"0\"]')].filter((x) => x.getClientRects().length)"
    count = page.js(f"{there}.length")
    for _ in range(count + 2):
        page.press("Tab")
    assert count > 25  # among them a box, and the titles of the steps
    assert page.js(f"{there}.filter((x) => !x.hasAttribute('data-reached') && !x.disabled).map((x) => x.outerHTML)") == []


def test_single_boxes_are_reached_with_the_keyboard(browser, lstm):
    page = browser.open(lstm[0])
    page.js("minigrad.goTo(minigrad.data.nodes.findIndex((n) => n.label === 'h[1]')); document.getElementById('stage').focus()")
    page.press("Enter")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.js(focused).startswith("h[1]")
    seen = set()
    for key in ["ArrowRight"] * 12 + ["ArrowUp"] * 8 + ["ArrowLeft"] * 25 + ["ArrowDown"] * 8:
        page.press(key)
        seen.add(page.js(focused))
        assert inside(page.js("document.activeElement.getBoundingClientRect().toJSON()"), page.js(rectangle("#stage")))
    assert len(seen) > 15
    label = page.js(focused)
    page.press("Enter")
    assert page.js("document.getElementById('name').textContent") in label
    assert page.js("document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1


def test_a_step_of_a_long_sequence_changes_no_more_than_one_of_a_short_sequence(browser, tmp_path):
    counts = {}
    for steps in (20, 60):
        path = rnn.draw.unrolled(*network(rnn.RNN, length=steps), steps="all").save(tmp_path / "x.html")
        page = browser.open(path)
        for by in ("op", "step"):
            counts[steps, by] = page.js(
                f"(async () => {{ minigrad.playBy('{by}'); minigrad.go(minigrad.forward); minigrad.step(9); let count = 0;"
                "const all = (records) => { for (const one of records) count += 1 + one.addedNodes.length; };"
                "const seen = new MutationObserver(all);"
                "seen.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });"
                "for (let k = 0; k < 8; k++) { minigrad.step(); await new Promise(setTimeout); } return count; })()"
            )
        assert 0 < page.js("document.querySelectorAll('.column').length") < 15  # those in sight, and next to them
    for by in ("op", "step"):
        assert counts[60, by] < 1.5 * counts[20, by]


def test_large_arrays_are_shown_as_colours(browser, tmp_path):
    x = mg.tensor(np.concatenate([np.zeros((9, 20)), np.linspace(-1, 1, 20)[None]]), requires_grad=True, name="x")
    page = browser.open(mg.draw((x * x).sum(), names={"x": x}).save(tmp_path / "x.html"))
    row = "[...document.querySelector('canvas').getContext('2d').getImageData(0, {}, 20, 1).data]"
    zeros, line = (np.reshape(page.js(row.format(y)), (20, 4)) for y in (0, 9))
    assert not zeros.any()
    assert (line[:10, 0] > line[:10, 2]).all()  # orange is negative, and blue positive
    assert (line[10:, 0] < line[10:, 2]).all()
    assert line[0, 3] == line[-1, 3] == 255
    assert re.match(r"least -1, mean \S+, greatest 1, norm 2.714", page.js("document.getElementById('value').textContent"))


def test_the_shares_add_up_before_ones_eyes(browser, lstm):
    path, _, expected = lstm
    page = browser.open(path)
    sums = page.js(
        "(() => { const all = []; for (let i = minigrad.forward; i < minigrad.length; i++) { minigrad.go(i);"
        "all.push([...document.querySelectorAll('.shared')].map((x) => [Number(x.dataset.node), Number(x.dataset.sum)])); }"
        "return all; })()"
    )
    names = page.js("minigrad.data.nodes.map((n) => n.name)")
    assert {names[node]: pytest.approx(0) for node, _ in sums[0]} == {names[node]: value for node, value in sums[0]}
    last = {names[node]: value for node, value in sums[-1]}
    assert last == {name: pytest.approx(np.linalg.norm(g.numpy()), rel=1e-6) for name, g in expected.items()}
    growing = [dict(step)[next(i for i, name in enumerate(names) if name == "weight_hh_l0")] for step in sums]
    assert len(set(growing)) > STEPS - 1  # one value after each step (of the first, whose state is zero, nothing comes)


def test_steps_fold_and_unfold(browser, lstm):
    path, drawing, _ = lstm
    page = browser.open(path)
    wide = page.js("document.getElementById('view').getBBox().width")
    visible = "[...document.querySelectorAll('.node')].filter((x) => !x.hasAttribute('hidden')).length"
    count = page.js(visible)
    group = next(group for group in drawing.picture.groups if group.id == "t1")
    page.js("minigrad.fold('t1')")
    assert page.state()["folded"] == ["t1"]
    assert page.js(visible) == count - len(group.boxes)
    frame = page.js("document.querySelector('[data-group=t1] rect').getBBox().width")
    assert page.js("document.getElementById('view').getBBox().width") < wide - 0.7 * frame
    page.js("document.querySelector('.cell').focus()")
    page.press("Enter")
    assert page.state()["folded"] == []
    assert page.js(visible) == count
    assert page.js("document.getElementById('view').getBBox().width") == pytest.approx(wide, abs=1)
    assert page.js("document.activeElement.getAttribute('aria-label')") == "Fold t = 1"
    page.press("Enter")
    assert page.state()["folded"] == ["t1"]
    page.js("document.getElementById('steps').click()")
    assert page.state()["folded"] == ["t0", "t1", "t2", "t3"]
    page.js("minigrad.go(minigrad.length - 1)")
    words = page.js("[...document.querySelectorAll('.cell text')].map((x) => x.textContent)")
    assert len(words) == 3 * STEPS  # each has its title, and the size of c and of h
    page.js("minigrad.foldAll('steps')")
    assert page.state()["folded"] == []
    assert page.errors == []


def test_gates_fold(browser, lstm):
    page = browser.open(lstm[0])
    page.js("minigrad.foldAll('parts')")
    names = page.js("[...document.querySelectorAll('.cell.part text')].map((x) => x.textContent)")
    assert sorted(set(names)) == ["U x + W h + b", "candidate g", "forget f", "input i", "output o"]
    assert len(names) == 5 * STEPS
    page.js("minigrad.foldAll('parts')")
    assert page.js("document.querySelectorAll('.cell').length") == 0


def test_the_keyboard(browser, lstm):
    page = browser.open(lstm[0])
    page.js("minigrad.playBy('op'); document.getElementById('stage').focus()")
    turn, end = page.js("[minigrad.forward, minigrad.length - 1]")
    for key, position in [("n", 1), ("n", 2), ("p", 1), ("b", turn), ("End", end)]:
        page.press(key)
        assert page.state()["position"] == position
    page.press("Home")
    before = page.state()
    assert before["position"] == 0
    for key, axis, sign in [("ArrowRight", "x", -1), ("ArrowLeft", "x", 1), ("ArrowDown", "y", -1), ("ArrowUp", "y", 1)]:
        here = page.state()["eye"][axis]
        page.press(key)
        assert (page.state()["eye"][axis] - here) * sign > 0
    page.press("+")
    assert page.state()["eye"]["k"] == pytest.approx(before["eye"]["k"] * 1.25)
    page.press("-")
    assert page.state()["eye"]["k"] == pytest.approx(before["eye"]["k"])
    page.press("0")
    assert inside(page.js(rectangle("#view")), page.js(rectangle("#stage")))
    page.press(" ", code="Space")
    assert page.state()["playing"]
    page.press(" ", code="Space")
    assert not page.state()["playing"]
    page.js("minigrad.goTo(minigrad.data.nodes.findIndex((n) => n.label === 'c[1]'))")
    page.press("f")
    assert page.state()["folded"] == ["t1"]
    page.press("f")
    page.press("F")
    assert len(page.state()["folded"]) == STEPS
    page.press("?")
    assert page.js("document.getElementById('help').open")
    page.js("document.getElementById('help').close()")
    page.press("/")
    assert page.js("document.activeElement.id") == "query"


def test_searching(browser, lstm):
    page = browser.open(lstm[0])
    page.press("/")
    for letter in "c[2]":
        page.press(letter)
    page.press("Enter")
    assert page.js("document.getElementById('name').textContent") == "c[2]"
    assert page.js("document.getElementById('hits').textContent") == "1 of 1"
    assert page.js("document.querySelectorAll('.ring.found').length") == 2  # the op and its value
    assert inside(page.js(rectangle(".ring.now")), page.js(rectangle("#stage")))
    assert len(page.js("minigrad.search('sigmoid')")) == 3 * STEPS
    assert page.js("minigrad.search('no such thing')") == []
    assert page.js("document.getElementById('hits').textContent") == "none"


def test_playing_scrubbing_dragging_and_clicking(browser, lstm):
    page = browser.open(f"{lstm[0]}#step=5")
    assert page.state()["position"] == 5
    page.js("document.getElementById('speed').value = 60; document.getElementById('play').click()")
    for _ in range(100):
        if page.state()["position"] > 8:
            break
        time.sleep(0.05)
    page.js("minigrad.pause()")
    assert page.state()["position"] > 8
    page.js("minigrad.playBy('op')")
    page.js("(() => { const s = document.getElementById('scrub'); s.value = 70; s.dispatchEvent(new Event('input')); })()")
    assert page.state()["position"] == 70
    before = page.state()["eye"]
    for kind, x in [("mousePressed", 300), ("mouseMoved", 340), ("mouseMoved", 400), ("mouseReleased", 400)]:
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=700, button="left", buttons=1, clickCount=1)
    assert page.state()["eye"]["x"] == pytest.approx(before["x"] + 100)
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=300, y=400, deltaX=0, deltaY=-200)
    for _ in range(40):
        if page.state()["eye"]["k"] > before["k"]:
            break
        time.sleep(0.05)
    assert page.state()["eye"]["k"] > before["k"]
    page.js("document.querySelector('[data-box^=\"n2\"]').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert page.state()["position"] != 70


def test_the_picture_glides_only_where_motion_is_welcome(browser, lstm):
    page = browser.open(lstm[0])
    for wish in ("reduce", "no-preference"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": wish}])
        before, after = page.js("[(minigrad.zoom(3), minigrad.state().eye.k), (minigrad.fit(), minigrad.state().eye.k)]")
        assert (before != after) == (wish == "reduce")
        for _ in range(100):
            if page.state()["eye"]["k"] < 0.6 * before:
                break
            time.sleep(0.02)
        assert page.state()["eye"]["k"] < 0.6 * before


def test_controls_have_names_and_the_current_node_is_announced(browser, lstm):
    page = browser.open(lstm[0])
    nameless = page.js(
        "[...document.querySelectorAll('button, input, select, [role=button]')].filter((x) => !(x.getAttribute('aria-label') ||"
        "x.textContent.trim() || (x.labels && x.labels.length))).length"
    )
    assert nameless == 0
    page.js("minigrad.foldAll('steps'); minigrad.go(minigrad.forward - 1)")
    names = page.js(
        "[...document.querySelectorAll('.cell, .node[role=button]')].map((x) =>"
        "[x.getAttribute('aria-label'), x.textContent].map((text) => text.replace(/\\s+/g, ' ').trim()))"
    )
    assert any(re.fullmatch(r"Unfold t = 1 [\d.]+ [\d.]+", name) for name, _ in names)
    assert [text for name, text in names if text not in name] == []  # what is seen is a part of what is heard
    page.js("minigrad.foldAll('steps')")
    page.js("minigrad.go(minigrad.forward)")
    assert page.js("document.getElementById('said').textContent") == "backward: loss, add, t = 3, shape (), loss gradient 1"
    assert page.js("document.getElementById('scrub').getAttribute('aria-valuetext')") == "backward, loss"


def test_a_picture_as_high_as_the_window_is_never_cut(browser, tmp_path):
    rng = np.random.default_rng(0)
    model = rnn.Sequence(rnn.LSTM(6, 4, rng=1), rnn.Linear(4, 11, rng=2), embedding=rnn.Embedding(11, 6, rng=3))
    symbols = rng.integers(11, size=(STEPS + 1, 1))
    page = browser.open(rnn.draw.unrolled(model, symbols[:-1], symbols[1:]).save(tmp_path / "x.html"))
    stage = page.js(rectangle("#stage"))
    for where in (0, "minigrad.forward - 1", "minigrad.forward", "minigrad.length - 1"):
        page.js(f"minigrad.go({where})")
        boxes = page.js("[...document.querySelectorAll('#picture .node')].map((x) => x.getBoundingClientRect().toJSON())")
        ends = min(box["top"] for box in boxes), max(box["bottom"] for box in boxes)
        assert stage["top"] <= ends[0] <= ends[1] <= stage["bottom"]


@pytest.mark.parametrize(("height", "hidden"), [(400, True), (600, False)])
def test_a_notebook_shows_the_page_in_a_frame(browser, lstm, tmp_path, height, hidden):
    style = f"width: 1000px; display: {'none' if hidden else 'block'}"
    text = f"<!doctype html><div id='cell' style='{style}'>{lstm[1].page(height)._repr_html_()}</div>"
    (tmp_path / "x.html").write_text(text + "<script>minigrad = 'not in the frame'</script>", encoding="utf-8")
    page = browser.open(tmp_path / "x.html", 1200, 900)
    page.js("cell.style.display = 'block'")
    frame = page.js(rectangle("iframe"))
    assert (frame["height"], frame["width"]) == (height, 1000)
    with page.frame():
        for _ in range(200):
            if page.js("Boolean(window.minigrad)"):
                break
            time.sleep(0.05)
        stage, left, panel, foot = (page.js(rectangle(each)) for each in ("#stage", "#left", "#panel", "footer"))
        assert left["bottom"] == panel["bottom"] == foot["top"]
        assert foot["bottom"] == height
        for position in (
            "",
            "minigrad.go(minigrad.forward, {smoothly: false})",
        ):  # at first, and at the beginning of the backward pass
            page.js(position)
            ring = page.js(rectangle(".ring.now"))
            assert inside(ring, stage)
            assert ring["width"] > 20
        page.js("document.getElementById('keys').click()")
        page.js("document.querySelector('#help button').click()")
        assert not page.js("document.getElementById('help').open")
        page.js("minigrad.search('tanh')")
        page.js("document.getElementById('query').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))")
        assert page.state()["node"] in page.state()["found"]
        assert (
            page.js("(() => { try { return String(parent.document); } catch (error) { return error.name; } })()")
            == "SecurityError"
        )
    assert page.errors == []


def test_no_name_runs_or_breaks_the_page(browser, tmp_path):
    total = 0.0
    for t, name in enumerate(HOSTILE):
        with mg.scope(name), mg.scope("t", t):
            x = mg.tensor([1.0, 2.0], requires_grad=True, name=name)
            total = (x * x).sum() + total
    page = browser.open(mg.draw(total, title="".join(HOSTILE)).save(tmp_path / "x.html"))
    title = page.js("document.title")
    page.js("minigrad.foldAll('steps'); for (let i = 0; i < minigrad.length; i++) minigrad.go(i)")
    page.js("minigrad.foldAll('steps'); for (let i = 0; i < minigrad.length; i++) minigrad.go(i)")
    leaves = page.js("minigrad.data.nodes.flatMap((n, i) => n.expr === 'requires grad' ? [i] : [])")
    for i, name in zip(leaves, HOSTILE, strict=True):
        page.js(f"minigrad.goTo({i})")
        assert page.js("document.getElementById('name').textContent") == name
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
    assert page.js("document.title") == title != "owned"
    assert page.js("document.querySelectorAll('img, script').length") == 2
    assert page.errors == []


def test_no_script_but_the_pages_own_runs(browser, lstm, tmp_path):
    text = lstm[0].read_text(encoding="utf-8")
    text = text.replace("</body>", "<script>document.title = 'owned'</script></body>")
    (tmp_path / "x.html").write_text(text, encoding="utf-8")
    page = browser.open(tmp_path / "x.html")
    assert page.js("document.title") != "owned"


@pytest.mark.parametrize("how", ["plain", "list", "bare", "folded", "both", "cell", "gate"])
def test_the_other_views_play_too(browser, tmp_path, monkeypatch, how):
    if how in ("plain", "list"):
        monkeypatch.setattr(page_module, "render", no_renderer)
    model, inputs, targets = network()
    drawing = {
        "plain": lambda: rnn.draw.unrolled(model, inputs, targets),
        "list": nested_scopes,
        "bare": lambda: mg.pictures.Drawing("digraph {a -> b}"),
        "folded": lambda: rnn.draw.folded(model, inputs, targets),
        "both": lambda: rnn.draw.both(model, inputs, targets),
        "cell": lambda: rnn.draw.unrolled(model, inputs, targets, level="cell", gradients=True),
        "gate": lambda: rnn.draw.unrolled(model, inputs, targets, level="gate"),
    }[how]()
    page = browser.open(drawing.save(tmp_path / "x.html"))
    page.js("for (let i = 0; i < minigrad.length; i++) minigrad.go(i)")
    page.js("minigrad.foldAll('steps'); minigrad.fit()")
    page.press("n")
    assert page.errors == []
    if how == "list":
        assert page.js("document.querySelectorAll('#list .now').length") == 1
    if how in ("plain", "gate"):
        assert len(page.state()["folded"]) == STEPS
