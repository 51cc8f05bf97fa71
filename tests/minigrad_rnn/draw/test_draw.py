"""The pictures of recurrent networks: their structure, their numbers, and where the renderer puts the states."""

import itertools
import re
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.pictures import renderers
from minigrad.pictures.grid import grid_layout
from minigrad.pictures.picture import Box
from minigrad.pictures.theme import shade
from minigrad.pictures.upright import upright
from minigrad_rnn.data import IGNORED
from minigrad_rnn.draw.overlays import shares
from minigrad_rnn.stepwise import run

TASK = rnn.tasks.hello()
SVG = "{http://www.w3.org/2000/svg}"
needs_renderer = pytest.mark.skipif(not renderers(), reason="neither dot nor pygraphviz is installed")


def network(kind: str = "RNN", symbols: int = 5, hidden: int = 5, **options) -> rnn.Sequence:
    return rnn.Sequence(
        getattr(rnn, kind)(symbols, hidden, dtype=np.float64, rng=0, **options),
        rnn.Linear(hidden, symbols, dtype=np.float64, rng=1),
    )


def last_only(kind: str = "RNN", hidden: int = 5, **options) -> rnn.ManyToOne:
    layer = getattr(rnn, kind)(5, hidden, dtype=np.float64, rng=0, **options)
    return rnn.ManyToOne(layer, rnn.Linear(layer.output_size, 5, dtype=np.float64, rng=1))


def sequence(T: int, symbols: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.eye(symbols)[rng.integers(symbols, size=(T, 1))], rng.integers(symbols, size=(T, 1))


def frames(drawing) -> dict[str, list[Box]]:
    """The boxes in each frame by its title."""
    return {group.title: group.boxes for group in drawing.picture.groups if group.framed}


SHORT = {"weight_ih_l0": "W_ih", "weight_hh_l0": "W_hh", "bias_ih_l0": "b_ih", "bias_hh_l0": "b_hh",
         "readout.weight": "V", "readout.bias": "c"}  # fmt: skip


def two_digits(size: float) -> str:
    """Such as 5.2e-2."""
    digits, _, power = f"{size:.1e}".partition("e")
    return f"{digits}e{int(power)}" if size else "0"


def states_by_hand(model: rnn.Sequence, x: np.ndarray, y: np.ndarray) -> list[float]:
    """|dL/dh[t]| for every t, by backpropagation through time written out."""
    return [total for total, _ in gradients_by_hand(model, x, y)]


def gradients_by_hand(model: rnn.Sequence, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """|dL/dh[t]| for every t, and the norm of its part that comes back from step t+1."""
    W = model.state_dict()
    U, R, V = W["recurrent.weight_ih_l0"], W["recurrent.weight_hh_l0"], W["readout.weight"]
    b = W["recurrent.bias_ih_l0"] + W["recurrent.bias_hh_l0"]
    h = [np.zeros((1, U.shape[0]))]
    for x_t in x:
        h.append(np.tanh(x_t @ U.T + h[-1] @ R.T + b))
    norms = []
    later = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        e = np.exp(h[t + 1] @ V.T + W["readout.bias"])
        p = e / e.sum()
        p[0, y[t, 0]] -= 1
        g = p @ V + later
        norms.append((float(np.linalg.norm(g)), float(np.linalg.norm(later))))
        later = (g * (1 - h[t + 1] ** 2)) @ R
    return norms[::-1]


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_unrolled_shows_each_step_with_all_its_parameters(kind):
    drawing = rnn.draw.unrolled(network(kind), TASK.inputs, TASK.targets)
    steps = frames(drawing)
    assert list(steps) == [f"t = {t}" for t in range(6)]
    for t, part in enumerate(steps.values()):
        aliases = [box for box in part if box.role == "alias"]
        assert [box.lines for box in aliases] == [["W_ih, b_ih"], ["W_hh, b_hh"], ["V, c"]]
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "readout.weight", "readout.bias"):
            assert sum(name in box.tooltip for box in aliases) == 1
        named = {box.lines[0] for box in part if box.lines}
        assert {f"{name}[{t}]" for name in ("x", "h", "o", "y", "L", *("c" * (kind == "LSTM")))} <= named
    assert [box.lines[0] for box in drawing.picture.boxes] == ["loss"]


def test_the_gates_of_an_lstm_are_named():
    part = frames(rnn.draw.unrolled(network("LSTM"), TASK.inputs, TASK.targets))["t = 2"]
    gates = [box.lines for box in part if box.role == "tensor"]
    assert gates == [["i", "sigmoid"], ["f", "sigmoid"], ["g", "tanh"], ["o", "sigmoid"]]


def test_the_recurrent_arrow_leads_from_each_state_to_the_next_step():
    drawing = rnn.draw.unrolled(network(), TASK.inputs, TASK.targets)
    assert arrows(drawing, "recurrent") == [(f"h[{t}]", "linear") for t in range(5)]
    assert [target for source, target in arrows(drawing, "flow") if source == "h[-1]"] == ["linear"]
    sums = [(source.split("[")[0], target) for source, target in arrows(drawing, "gathered")]
    assert sorted(sums) == sorted([("L", "+"), *[("+", "+")] * 4, ("+", "loss")])  # the sum of the losses


@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("embedded", [False, True])
def test_symbols_are_written_at_inputs_and_targets(embedded, level):
    model, inputs = network(), TASK.inputs
    if embedded:
        model.embedding, inputs = rnn.Embedding(5, 5, rng=0), inputs.argmax(-1)
    source = rnn.draw.unrolled(model, inputs, TASK.targets, symbols=TASK.alphabet, level=level).source
    assert [re.search(rf"x\[{t}\] = '(.)'", source).group(1) for t in range(6)] == list("hihell")
    assert [re.search(rf"y\[{t}\] = '(.)'", source).group(1) for t in range(6)] == list("ihello")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_losses_are_written_at_their_steps(reduction):
    model = network()
    drawing = rnn.draw.unrolled(model, TASK.inputs, TASK.targets, reduction=reduction)
    total, steps = rnn.sequence_cross_entropy(model(TASK.inputs), TASK.targets, reduction=reduction)
    assert f"loss: the {reduction} of the cross-entropy" in drawing.picture.title
    for t in range(6):
        (box,) = [box for box in drawing.picture.all_boxes() if box.lines[:1] == [f"L[{t}]"]]
        assert re.fullmatch(rf"(\S+ )+= {steps[t]:.3g}", box.lines[1])
    assert [box.lines for box in drawing.picture.boxes] == [["loss", f"{total.item():.3g}"]]


@pytest.mark.parametrize(("counted", "words"), [(1, "of 1 answer,"), (2, "of 2 answers,")])
def test_the_title_counts_the_answers(counted, words):
    targets = np.where(np.arange(6)[:, None] < counted, TASK.targets, IGNORED)
    assert words in rnn.draw.unrolled(network(), TASK.inputs, targets).picture.title


@pytest.mark.parametrize("T", [1, 6, 30])
def test_gradients_are_those_of_backpropagation_by_hand(T):
    model = network()
    x, y = sequence(T)
    drawing = rnn.draw.unrolled(model, x, y, gradients=True, steps="all", reduction="sum")
    shown = [box.lines for box in boxes(drawing, "state").values()]
    assert shown == [[f"h[{t}]", two_digits(norm)] for t, norm in enumerate(states_by_hand(model, x, y))]
    assert drawing.picture.legend.words == "size of dL/dh"


def test_the_larger_gradient_is_the_darker():
    model = network(hidden=5)
    x, y = sequence(30)
    drawing = rnn.draw.unrolled(model, x, y, gradients=True, steps="all")
    reds = [int(re.search(rf'\t{id} \[.*? fillcolor="#(..)', drawing.source)[1], 16) for id in boxes(drawing, "state")]
    by_size = [red for _, red in sorted(zip(states_by_hand(model, x, y), reds, strict=True))]
    assert by_size == sorted(by_size, reverse=True)
    assert by_size[-1] == int(shade(1.0)[1:3], 16)


def test_colours_and_widths_stand_on_the_scale_of_the_colour_bar():
    model = network()
    x, y = sequence(12)
    drawing = rnn.draw.unrolled(model, x, y, gradients=True, steps="all", reduction="sum")
    low, high = (float(text) for text in drawing.picture.legend[1:])
    by_hand = gradients_by_hand(model, x, y)
    assert high == pytest.approx(max(max(pair) for pair in by_hand), rel=0.05)
    decades = round(np.log10(high / low))

    def share(size: float) -> float:
        return 1 + np.log10(size / high) / decades

    states = list(boxes(drawing, "state").values())
    assert [box.heat for box in states] == pytest.approx([share(total) for total, _ in by_hand], abs=0.03)
    carried = [arrow for arrow in drawing.picture.all_arrows() if arrow.role == "recurrent"]
    assert [arrow.heat for arrow in carried] == pytest.approx([share(back) for _, back in by_hand[:-1]], abs=0.03)
    svg = ElementTree.fromstring(drawing.svg())
    drawn = [text.text for text in svg.iter(f"{SVG}text")]
    assert {"size of dL/dh", *drawing.picture.legend[1:]} <= set(drawn)
    for arrow in carried:
        (group,) = [g for g in svg.iter(f"{SVG}g") if (g.get("data-from"), g.get("data-to")) == (arrow.source, arrow.target)]
        assert float(group.find(f"{SVG}path").get("stroke-width")) == pytest.approx(1 + 3.4 * arrow.heat, abs=0.06)


def test_a_frozen_layer_is_drawn_with_what_still_learns():
    model = network()
    for p in model.recurrent.parameters():
        p.requires_grad = False
    drawing = rnn.draw.unrolled(model, TASK.inputs, TASK.targets, gradients=True)
    assert len([box for box in boxes(drawing, "alias").values() if box.lines == ["V, c"]]) == 6
    assert len(boxes(drawing, "state")) == 6


def test_a_gradient_that_was_computed_to_be_zero_is_zero():
    model = network("RNN", nonlinearity="relu")
    for name, p in model.named_parameters():
        p.data = np.full(p.shape, -1.0) if name.startswith("recurrent") else np.zeros(p.shape)
    drawing = rnn.draw.unrolled(model, TASK.inputs, TASK.targets, gradients=True)
    assert [box.lines[1] for box in boxes(drawing, "state").values()] == ["0"] * 6


def test_a_state_the_loss_does_not_depend_on_gets_a_dash():
    drawing = rnn.draw.unrolled(last_only(), TASK.inputs, TASK.targets[0], gradients=True, chunk=4)
    shown = [box.lines[1] for box in boxes(drawing, "state").values()]
    assert shown[:4] == ["-"] * 4
    assert all(float(text) > 0 for text in shown[4:])


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_folded_draws_each_parameter_once(kind):
    drawing = rnn.draw.folded(network(kind), TASK.inputs, TASK.targets)
    assert [box.lines[-1] for box in boxes(drawing, "parameter").values()] == ["used x6"] * 6
    assert list(frames(drawing)) == ["one step, repeated 6 times  (t = 0 ... 5)"]
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    labels = [(arrow.role, arrow.label) for arrow in drawing.picture.all_arrows() if arrow.label]
    assert sorted(labels) == sorted([*(("loop", f"{name}[t-1]") for name in states), ("sum loop", "sum so far")])
    first = {source for source, _ in arrows(drawing, "first")}
    assert {f"{name}[-1]" for name in states} <= first


def test_a_layer_alone_and_a_model_without_targets_can_be_drawn():
    source = rnn.draw.unrolled(rnn.RNN(5, 3, rng=0), TASK.inputs).source
    assert "x-ent" not in source
    assert 'label="h[5]' in source
    assert "label=<o[5]<br/>" in rnn.draw.unrolled(network(), TASK.inputs).source
    assert 'label="h[t]' in rnn.draw.folded(rnn.LSTM(5, 3, rng=0), TASK.inputs).source


@pytest.mark.parametrize("T", [1, 2, 50])
@pytest.mark.parametrize("gradients", [False, True])
def test_two_runs_give_identical_text(T, gradients):
    x, y = sequence(T)
    first, second = (rnn.draw.unrolled(network("LSTM"), x, y, gradients=gradients).source for _ in range(2))
    assert first == second
    if T > 2:
        assert rnn.draw.folded(network(), x, y).source == rnn.draw.folded(network(), x, y).source


@needs_renderer
@pytest.mark.parametrize(("kind", "state"), [("RNN", "h"), ("LSTM", "h"), ("LSTM", "c"), ("GRU", "h")])
def test_fifty_states_stand_on_one_horizontal_line_in_order_of_time(kind, state):
    x, y = sequence(50)
    svg = ElementTree.fromstring(rnn.draw.unrolled(network(kind), x, y, steps="all").svg())
    text = "{http://www.w3.org/2000/svg}text"
    places = {e.text: (float(e.get("x")), float(e.get("y"))) for e in svg.iter(text) if e.text}
    along = [places[f"{state}[{t}]"] for t in range(50)]
    assert [x for x, _ in along] == sorted(x for x, _ in along)
    assert max(y for _, y in along) - min(y for _, y in along) < 1.0
    steps = {e.text: float(e.get("y")) for e in svg.iter(text) if re.fullmatch(r"t = \d+", e.text or "")}
    assert len(steps) == 50


def test_what_cannot_be_drawn_is_refused_with_words():
    with pytest.raises(ValueError, match="a gradient begins at a loss: give targets too"):
        rnn.draw.unrolled(network(), TASK.inputs, gradients=True)
    with pytest.raises(TypeError, match=r"can draw a Sequence, .* or a recurrent layer .*, not str"):
        rnn.draw.unrolled("RNN", TASK.inputs)
    with pytest.raises(ValueError, match="no loop that carries a state"):
        rnn.draw.unrolled(rnn.Linear(5, 5), TASK.inputs)
    with pytest.raises(ValueError, match=r"targets have shape \(5, 1\), .* expected targets of shape \(6, 1\)"):
        rnn.draw.folded(network(), TASK.inputs, TASK.targets[1:])
    with pytest.raises(ValueError, match="T=0 steps"):
        rnn.draw.unrolled(network(), TASK.inputs[:0])
    with pytest.raises(ValueError, match="targets need a readout"):
        rnn.draw.unrolled(rnn.RNN(5, 5), TASK.inputs, TASK.targets)


def boxes(drawing, role: str | None = None) -> dict[str, Box]:
    return {box.id: box for box in drawing.picture.all_boxes() if role in (None, box.role)}


def arrows(drawing, role: str) -> list[tuple[str, str]]:
    """The arrows of a role, by the first lines of the boxes at their ends."""
    names = {id: (box.lines or [""])[0] for id, box in boxes(drawing).items()}
    return [(names[a.source], names[a.target]) for a in drawing.picture.all_arrows() if a.role == role]


# Which steps are shown.


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_of_many_steps_three_at_each_end_are_shown_and_a_strip(level):
    x, y = sequence(50)
    drawing = rnn.draw.unrolled(network(), x, y, level=level, gradients=True, reduction="sum")
    shown = [box.lines[0] for box in boxes(drawing, "state").values()]
    assert sorted(shown) == sorted(f"h[{t}]" for t in (0, 1, 2, 47, 48, 49))
    (strip,) = (box for box in boxes(drawing, "strip").values() if box.pieces)
    norms = states_by_hand(network(), x, y)
    assert [piece.tooltip for piece in strip.pieces] == [f"h[{t}]: |dL/dh| {two_digits(norms[t])}" for t in range(3, 47)]
    heats = [piece.heat for piece in strip.pieces]
    assert np.argsort(heats).tolist() == np.argsort(norms[3:47]).tolist()


@pytest.mark.parametrize("steps", ["0-2, 20-21", [0, 1, 2, 20, 21]])
def test_steps_that_were_asked_for_are_shown(steps):
    x, y = sequence(50)
    drawing = rnn.draw.unrolled(network(), x, y, level="cell", steps=steps)
    assert [box.lines[0] for box in boxes(drawing, "state").values()] == [f"h[{t}]" for t in (0, 1, 2, 20, 21)]
    assert len([box for box in boxes(drawing, "strip").values() if box.pieces]) == 2
    assert drawing.picture.legend.words == "size of dL/dh"  # what the colours of the strips mean
    assert rnn.draw.unrolled(network(), x, y, level="cell", steps="all").picture.legend is None


def test_a_strip_of_more_than_a_hundred_steps_is_binned():
    x, y = sequence(300)
    drawing = rnn.draw.unrolled(network(), x, y, level="cell")
    (strip,) = (box for box in boxes(drawing, "strip").values() if box.pieces)
    assert len(strip.pieces) == 98
    assert strip.pieces[0].tooltip.startswith("h[3 ... 5]: |dL/dh| ")


@pytest.mark.parametrize(("steps", "words"), [("5-", "steps are written"), ([60], "no step 60"), ("0-99", "no step 99")])
def test_steps_that_are_not_there_are_refused(steps, words):
    x, y = sequence(50)
    with pytest.raises(ValueError, match=words):
        rnn.draw.unrolled(network(), x, y, steps=steps)


# Levels and kinds of networks.


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", "ifgo"), ("GRU", "rzn")])
def test_gates_are_boxes(kind, gates):
    drawing = rnn.draw.unrolled(network(kind), TASK.inputs, TASK.targets, level="gate")
    for group in (group for group in drawing.picture.groups if group.framed):
        blocks = [box.lines[0] for box in group.boxes if box.role == "block"]
        assert sorted(blocks) == sorted([*gates, "U x + W h + b"])


def test_cells_stand_in_rows_by_layer_and_columns_by_step():
    drawing = rnn.draw.unrolled(network("LSTM", num_layers=2), TASK.inputs, TASK.targets, level="cell")
    found = {box.lines[0]: box.at for box in boxes(drawing).values() if box.role != "cell"}
    rows = [found[name].row for name in ("x[0]", "c0[0]", "h0[0]", "c1[0]", "h1[0]", "o[0]", "L[0]", "y[0]", "t = 0")]
    assert rows == sorted(set(rows))
    for name in ("x", "c0", "h1", "o", "y"):
        assert [found[f"{name}[{t}]"].column for t in range(6)] == [found[f"x[{t}]"].column for t in range(6)]
    assert arrows(drawing, "gathered") == [*((f"L[{t}]", f"L[{t + 1}]") for t in range(5)), ("L[5]", "loss")]


@pytest.mark.parametrize("level", ["op", "cell"])
def test_the_second_direction_leads_back(level):
    drawing = rnn.draw.unrolled(both_ways(), TASK.inputs, TASK.targets, level=level)
    forward = [(a, b) for a, b in arrows(drawing, "recurrent") if a.startswith("h[")]
    backward = [a for a, b in arrows(drawing, "recurrent") if a.startswith("h_rev[")]
    assert len(set(forward)) >= 1
    assert backward[:2] == (["h_rev[6]", "h_rev[5]"] if level == "cell" else ["h_rev[5]", "h_rev[4]"])


def both_ways() -> rnn.Sequence:
    layer = rnn.RNN(5, 4, bidirectional=True, rng=0)
    return rnn.Sequence(layer, rnn.Linear(8, 5, rng=1))


@needs_renderer
@pytest.mark.parametrize("level", ["op", "cell"])
def test_both_directions_stand_on_lines_of_their_own(level):
    drawing = rnn.draw.unrolled(both_ways(), TASK.inputs, TASK.targets, level=level)
    places = positions(drawing)
    for name in ("h", "h_rev"):
        along = [places[f"{name}[{t}]"] for t in range(6)]
        assert len({y for _, y in along}) == 1
        assert [x for x, _ in along] == sorted(x for x, _ in along)


def positions(drawing) -> dict[str, tuple[float, float]]:
    root = ElementTree.fromstring(drawing.svg())
    return {e.text: (float(e.get("x")), float(e.get("y"))) for e in root.iter(f"{SVG}text") if e.text}


def test_an_encoder_hands_its_state_to_the_decoder():
    model = rnn.EncoderDecoder(rnn.LSTM(3, 8, rng=0), rnn.LSTM(5, 8, rng=1), rnn.Linear(8, 5, rng=2), start=4)
    drawing = rnn.draw.unrolled(model, np.ones((4, 1, 3)), [[0], [1], [2]], gradients=True)
    titles = [group.title for group in drawing.picture.groups if group.framed]
    assert titles == [*(f"encoder t = {t}" for t in range(4)), *(f"decoder t = {t}" for t in range(3))]
    assert ("c[3]", "×") in arrows(drawing, "recurrent")
    with pytest.raises(ValueError, match="two networks"):
        rnn.draw.folded(model, np.ones((4, 1, 3)), [[0], [1], [2]])


def test_a_many_to_one_has_its_loss_at_the_end():
    x, y = sequence(20)
    drawing = rnn.draw.unrolled(last_only("LSTM"), x, y[0], level="cell", gradients=True)
    (loss,) = boxes(drawing, "loss").values()
    last = next(box for box in boxes(drawing).values() if box.lines[0] == "h[19]")
    assert loss.at.column == last.at.column


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
@pytest.mark.parametrize(
    ("chunk", "drawn", "within"), [(4, [], 5), (3, ["c[2]", "c[3] ... c[20]", "h[2]", "h[3] ... h[20]"], 5)]
)
def test_scissors_of_folded_steps_are_on_the_strip(level, chunk, drawn, within):
    x, y = sequence(24)
    drawing = rnn.draw.unrolled(network("LSTM"), x, y, level=level, gradients=True, chunk=chunk)
    assert sorted({source for source, _ in arrows(drawing, "cut")}) == drawn
    strips = [box for box in boxes(drawing, "strip").values() if box.pieces]
    assert [box.lines[-1] for box in strips] == [f"✂ x{within}"] * 2
    cut = [piece.tooltip.split("[")[1].split("]")[0] for piece in strips[0].pieces if "✂" in piece.tooltip]
    assert cut == [str(t) for t in range(4, 21) if t % chunk == 0]
    assert f"the states are cut every {chunk} steps" in drawing.source


@pytest.mark.parametrize("level", ["op", "cell"])
def test_scissors_are_where_the_states_are_cut(level):
    drawing = rnn.draw.unrolled(network(), TASK.inputs, TASK.targets, level=level, gradients=True, chunk=2)
    assert [source for source, _ in arrows(drawing, "cut")] == ["h[1]", "h[3]"]
    assert drawing.source.count("✂") == 2


# Overlays.


def test_the_shares_of_the_steps_add_up_to_the_gradient():
    model = network()
    x, y = sequence(6)
    made = run(model, x, y)
    found = shares(made)
    made.loss.backward()
    for p in model.parameters():
        assert found.totals[p._node] == pytest.approx(np.linalg.norm(p.grad))
    drawing = rnn.draw.unrolled(model, x, y, overlay="share")
    totals = next(box for box in drawing.picture.all_boxes() if box.id == "totals")
    short = {"readout.weight": "V", "readout.bias": "c"}
    names = [
        short.get(leaf.name, leaf.name.replace("weight", "W").replace("bias", "b").removesuffix("_l0")) for leaf in found.totals
    ]
    assert totals.lines == [f"|dL/d{name}| {two_digits(size)}" for name, size in zip(names, found.totals.values(), strict=True)]
    steps = frames(drawing)
    for (leaf, t), size in found.uses.items():
        assert f"{SHORT[leaf.name]} {two_digits(size)}" in [line for box in steps[f"t = {t}"] for line in box.lines]
    drawing = rnn.draw.unrolled(model, x, y, overlay="share", level="cell")
    assert len(boxes(drawing, "alias")) == 6 * 6
    assert len([box for box in boxes(drawing, "parameter").values() if box.lines[0].startswith("sum ")]) == 6


def test_activations_and_saturation_are_those_of_the_states():
    model = network(nonlinearity="relu")
    made = run(model, TASK.inputs)
    for kind, expected in (
        ("activation", lambda h: f"{np.abs(h).mean():.2f}"),
        ("saturation", lambda h: f"{(h <= 0).mean():.0%}"),
    ):
        drawing = rnn.draw.unrolled(model, TASK.inputs, overlay=kind, level="cell")
        shown = [box.lines[1] for box in boxes(drawing, "state").values()]
        assert shown == [expected(state[0].data) for _, state in sorted(next(iter(made.states.values())).items())]


def test_a_given_scale_is_used():
    x, y = sequence(6)
    drawing = rnn.draw.unrolled(network(), x, y, gradients=True, level="cell", scale=(1e-30, 1e-20))
    assert {box.heat for box in boxes(drawing, "state").values()} == {1.0}
    with pytest.raises(ValueError, match=r"scale must be \(low, high\)"):
        rnn.draw.unrolled(network(), x, y, gradients=True, scale=(0, 1))


def test_networks_are_compared_on_one_scale():
    x, y = sequence(50)
    models = {"plain": last_only("RNN"), "LSTM": last_only("LSTM"), "GRU": last_only("GRU")}
    drawing = rnn.draw.compare(models, x, y[0])
    frames = sorted(boxes(drawing, "cell").values(), key=lambda box: -box.at.row)
    assert [box.lines[0] for box in frames] == ["plain", "LSTM", "GRU"]
    assert len(boxes(drawing, "strip")) == 4  # h of each, c of the LSTM
    assert drawing.picture.legend is not None
    numbers = [(float(box.lines[1]), box.heat) for box in boxes(drawing, "state").values()]
    assert [heat for _, heat in sorted(numbers)] == sorted(heat for _, heat in numbers)
    with pytest.raises(ValueError, match="nothing to compare"):
        rnn.draw.compare({}, x, y)


# The textbook's figure.


def test_both_has_the_folded_network_and_each_step():
    drawing = rnn.draw.both(network(), TASK.inputs[:3], TASK.targets[:3])
    shown = [box.lines[0] for box in boxes(drawing).values()]
    for name in "xhoLy":
        assert [text for text in shown if re.fullmatch(rf"{name}\[[t0-9]\]", text)] == [f"{name}[{t}]" for t in ("t", 0, 1, 2)]
    assert arrows(drawing, "loop") == [("h[t]", "h[t]")]
    assert arrows(drawing, "recurrent") == [("h[-1]", "h[0]"), ("h[0]", "h[1]"), ("h[1]", "h[2]")]
    assert "U = weight_ih_l0 (5,5); W = weight_hh_l0 (5,5); V = readout.weight (5,5)" in drawing.source
    labels = [arrow.label for arrow in drawing.picture.arrows]
    assert (labels.count("U"), labels.count("V"), labels.count("W")) == (4, 4, 4)


def test_both_of_a_long_sequence_leaves_out_the_middle():
    x, y = sequence(40)
    shown = [box.lines[0] for box in boxes(rnn.draw.both(network("GRU"), x, y)).values()]
    assert [text for text in shown if text.startswith("h[")] == ["h[t]", "h[-1]", "h[0]", "h[1]", "h[38]", "h[39]"]
    assert shown.count("...") == 2


def test_both_of_many_to_one_has_one_loss():
    x, y = sequence(4)
    drawing = rnn.draw.both(last_only(), x, y[0])
    shown = [box.lines for box in boxes(drawing).values()]
    assert [lines[0] for lines in shown if re.match(r"o|y|L|loss", lines[0])] == ["o", "loss", "y", "o[3]", "loss", "y[3]"]
    assert arrows(drawing, "first") == [("h[t]", "o")]  # the state of the last step only
    assert arrows(drawing, "gathered") == []
    assert sorted(arrows(drawing, "flow")) == sorted(
        [
            *((f"x[{t}]", f"h[{t}]") for t in "t0123"),
            ("h[3]", "o[3]"),
            ("o[3]", "loss"),
            ("y[3]", "loss"),
            ("o", "loss"),
            ("y", "loss"),
        ]
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_both_has_a_circle_for_each_state(layers):
    x, y = sequence(3)
    drawing = rnn.draw.both(network("LSTM", num_layers=layers), x, y)
    numbers = [""] if layers == 1 else ["0", "1"]
    for name in [f"{state}{k}" for k in numbers for state in "hc"]:
        assert (f"{name}[t]", f"{name}[t]") in arrows(drawing, "loop")
        assert [a for a, _ in arrows(drawing, "recurrent") if a.startswith(f"{name}[")] == [f"{name}[{t}]" for t in (-1, 0, 1)]
    assert len(arrows(drawing, "loop")) == 2 * layers


def test_both_shows_the_embedding():
    model = rnn.Sequence(rnn.RNN(3, 5, rng=0), rnn.Linear(5, 5, rng=1), embedding=rnn.Embedding(5, 3, rng=2))
    numbers = np.array([[2], [0], [4]])
    drawing = rnn.draw.both(model, numbers, numbers)
    assert "E = embedding.weight (5,3)" in drawing.source
    for t, x in enumerate(numbers[:, 0]):
        assert (f"x[{t}] = {x}", f"e[{t}]") in arrows(drawing, "flow")
        assert (f"e[{t}]", f"h[{t}]") in arrows(drawing, "flow")


def test_both_shows_both_directions():
    drawing = rnn.draw.both(both_ways(), TASK.inputs[:3], TASK.targets[:3])
    ahead, back = ["h[-1]", "h[0]", "h[1]", "h[2]"], ["h_rev[3]", "h_rev[2]", "h_rev[1]", "h_rev[0]"]
    assert sorted(arrows(drawing, "recurrent")) == sorted([*itertools.pairwise(ahead), *itertools.pairwise(back)])
    for t in range(3):
        for h in ("h", "h_rev"):
            assert {(f"x[{t}]", f"{h}[{t}]"), (f"{h}[{t}]", f"o[{t}]")} <= set(arrows(drawing, "flow"))
    assert "U' = weight_ih_l0_reverse" in drawing.source


def test_what_both_cannot_draw_is_refused_with_words():
    translator = rnn.EncoderDecoder(rnn.GRU(3, 8, rng=0), rnn.GRU(5, 8, rng=1), rnn.Linear(8, 5, rng=2), start=4)
    with pytest.raises(ValueError, match=r"an encoder and a decoder are two: use unrolled\(\)"):
        rnn.draw.both(translator, np.ones((4, 1, 3)), [[0], [1]])


def test_a_model_of_another_forward_pass_is_drawn_with_what_it_computes():
    class Doubled(rnn.Sequence):
        def run(self, x, state=None, lengths=None):
            output, state = super().run(x, state, lengths)
            return 2 * output, state

    parts = rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1)
    loss = rnn.sequence_loss("cross_entropy", Doubled(*parts).predict_batch(TASK._one())[0], TASK.targets).total.item()
    drawings = [rnn.draw.unrolled(Doubled(*parts), TASK, level=level) for level in ("op", "gate", "cell")]
    for drawing in (*drawings, rnn.draw.both(Doubled(*parts), TASK, steps="all")):
        found = {box.lines[0]: box.lines for box in boxes(drawing).values() if box.lines}
        assert found["loss"][-1] == f"{loss:.3g}"
        assert found.keys() >= {f"{name}[{t}]" for name in "xhoyL" for t in range(6)}
    loops = [arrow.label for arrow in rnn.draw.folded(Doubled(*parts), TASK).picture.all_arrows() if arrow.role == "loop"]
    assert loops == ["h[t-1]"]
    np.testing.assert_allclose(rnn.gradient_flow(Doubled(*parts), TASK).losses.sum(), loss, rtol=1e-6)


def test_what_has_no_place_in_a_picture_is_refused():
    class Backwards(rnn.Sequence):
        def predict_batch(self, batch, state=None):
            y = self.recurrent.run(batch.inputs[::-1])[0] + self.recurrent.run(batch.inputs)[0]
            return self.readout(y), None

    class Last(rnn.Sequence):
        def predict_batch(self, batch, state=None):
            return super().predict_batch(batch)[0][-3:], None

    class Without(rnn.Sequence):
        def predict_batch(self, batch, state=None):
            return self.readout(batch.inputs), None

    parts = rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1)
    with pytest.raises(ValueError, match=r"runs a step twice, .*draw.unrolled\(loss\)"):
        rnn.draw.unrolled(Backwards(*parts), TASK)
    with pytest.raises(
        ValueError, match=r"6 steps of recurrent layers .* outputs of shape \(3, 1, 5\); expected \(6, batch, O\)"
    ):
        rnn.draw.unrolled(Last(*parts), TASK.inputs, TASK.targets[-3:])
    with pytest.raises(ValueError, match="0 steps of recurrent layers"):
        rnn.draw.unrolled(Without(*parts), TASK)
    for model in (rnn.OneToMany(*parts), rnn.EncoderDecoder(parts[0], rnn.RNN(5, 5, rng=2), parts[1], start=4)):
        with pytest.raises(ValueError, match="reads the targets: give them too"):
            rnn.draw.unrolled(model, TASK.inputs)
        if isinstance(model, rnn.EncoderDecoder):
            with pytest.raises(ValueError, match="only what reads forwards, without a decoder, is trained in chunks"):
                rnn.draw.unrolled(model, TASK.inputs, TASK.targets, chunk=2)
    with pytest.raises(ValueError, match="only what reads forwards, without a decoder, is trained in chunks"):
        rnn.draw.unrolled(both_ways(), TASK, chunk=2)


# Cells of one's own.


class Leaky(rnn.Cell):
    """A state that is no h, and a sigmoid called z that is no gate."""

    state_names = ("s",)

    def step(self, x, state):
        (s,) = state
        z = mg.sigmoid(self.affine(x, s))
        z.name = "z"
        return (0.5 * s + z * mg.tanh(x @ self.weight_ih.T),)


class TwoStates(rnn.Cell):
    state_names = ("s", "m")
    gate_names: ClassVar = {"k": "keep gate"}

    def step(self, x, state):
        s, m = state
        a = self.affine(x, s)
        k = mg.sigmoid(a)
        k.name = "k"
        m = k * m + (1 - k) * mg.tanh(a)
        return mg.tanh(m), m


def own(cell: type[rnn.Cell]) -> rnn.Sequence:
    return rnn.Sequence(rnn.Recurrent(cell(5, 5, dtype=np.float64, rng=0)), rnn.Linear(5, 5, dtype=np.float64, rng=1))


@pytest.mark.parametrize(("cell", "states"), [(Leaky, "s"), (TwoStates, "sm")])
def test_the_states_of_a_cell_of_ones_own_are_states_in_every_view(cell, states):
    drawing = rnn.draw.folded(own(cell), TASK)
    looped = {label.split("[")[0] for label in (a.label for a in drawing.picture.all_arrows() if a.role == "loop")}
    assert looped == set(states)
    expected = sorted(f"{name}[{t}]" for name in states for t in range(6))
    for level in ("op", "gate", "cell"):
        drawing = rnn.draw.unrolled(own(cell), TASK, level=level, gradients=True)
        found = boxes(drawing, "state").values()
        assert sorted(box.lines[0] for box in found) == expected
        assert all(box.heat is not None and re.search(r"\d\.\de", box.lines[-1]) for box in found)
        assert {box.lines[0] for box in boxes(drawing, "initial").values()} >= {f"{name}[-1]" for name in states}
        sources = {source for source, _ in arrows(drawing, "recurrent")}
        assert sources >= {f"{name}[{t}]" for name in states for t in range(5)}
    loops = arrows(rnn.draw.both(own(cell), TASK), "loop")
    assert sorted(loops) == sorted((f"{name}[t]", f"{name}[t]") for name in states)


@needs_renderer
@pytest.mark.parametrize("level", ["op", "cell"])
def test_the_states_of_a_cell_of_ones_own_stand_on_a_line(level):
    places = positions(rnn.draw.unrolled(own(TwoStates), TASK, level=level))
    for name in "sm":
        assert len({places[f"{name}[{t}]"][1] for t in range(6)}) == 1


def test_a_gate_is_what_the_cell_says():
    def blocks(cell):
        drawing = rnn.draw.unrolled(own(cell), TASK, level="gate")
        return {tuple(box.lines) for box in boxes(drawing, "block").values()}

    assert blocks(Leaky) == set()
    assert ("k", "keep") in blocks(TwoStates)
    assert rnn.gradient_flow(own(Leaky), TASK).gates.keys() == set()
    assert rnn.gradient_flow(own(TwoStates), TASK).gates.keys() == {"k"}


# Folded.


@pytest.mark.parametrize(
    ("model", "loops"),
    [
        (network("LSTM", num_layers=2), {"h0[t-1]", "c0[t-1]", "h1[t-1]", "c1[t-1]"}),
        (both_ways(), {"h[t-1]", "h_rev[t+1]"}),
        (network("GRU"), {"h[t-1]"}),
    ],
    ids=["stack", "both ways", "GRU"],
)
def test_every_state_has_its_own_loop(model, loops):
    drawing = rnn.draw.folded(model, TASK.inputs, TASK.targets)
    names = {id: box.lines[0] for id, box in boxes(drawing).items()}
    found = {arrow.label: names[arrow.source] for arrow in drawing.picture.all_arrows() if arrow.role == "loop"}
    assert set(found) == loops
    for label, source in found.items():
        assert label.split("[")[0] == source.split("[")[0]


# Whatever it is given.


@needs_renderer
@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["op", "gate", "cell"]))
def test_any_name_is_drawn(name, level):
    model = network()
    for p in model.parameters():
        p.name = name
    drawing = rnn.draw.unrolled(model, TASK.inputs[:2], TASK.targets[:2], level=level, overlay="share", title=name)
    assert (
        drawing.source
        == rnn.draw.unrolled(model, TASK.inputs[:2], TASK.targets[:2], level=level, overlay="share", title=name).source
    )
    root = ElementTree.fromstring(drawing.svg())
    assert not [e for e in root.iter() if e.tag == f"{SVG}script"]


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
@pytest.mark.parametrize("T", [1, 2, 9])
@pytest.mark.parametrize("model", [network("LSTM"), both_ways()], ids=["LSTM", "both ways"])
def test_every_arrow_has_its_boxes_and_ids_are_unique(level, T, model):
    x, y = sequence(T)
    drawing = rnn.draw.unrolled(model, x, y, level=level, gradients=True)
    ids = [box.id for box in drawing.picture.all_boxes()]
    assert len(ids) == len(set(ids))
    assert {end for a in drawing.picture.all_arrows() for end in (a.source, a.target)} <= set(ids)


def test_large_pictures_warn_and_larger_ones_are_refused():
    x, y = sequence(300)
    with pytest.warns(UserWarning, match=r"boxes and is hard to read: better draw level=\"cell\""):
        rnn.draw.unrolled(network(), x, y, steps="all")
    with pytest.raises(ValueError, match=r'above limit=1,000: draw level="cell", .* limit=None'):
        rnn.draw.unrolled(network(), x, y, steps="all", limit=1000)
    rnn.draw.unrolled(network(), x, y, steps="all", limit=None)


def test_a_frozen_model_is_refused():
    model = network()
    for p in model.parameters():
        p.requires_grad = False
    with pytest.raises(ValueError, match="no parameter of this model has requires_grad=True"):
        rnn.draw.unrolled(model, TASK.inputs)


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
@pytest.mark.parametrize(
    "model",
    [
        network("RNN"),
        network("LSTM", peepholes=True),
        network("LSTM", num_layers=2),
        network("GRU", reset_after=False),
        both_ways(),
    ],
    ids=["RNN", "peepholes", "stack", "GRU", "both ways"],
)
@pytest.mark.parametrize("overlay", [None, "gradient", "share"])
def test_no_two_boxes_overlap(level, model, overlay):
    x, y = sequence(9)
    picture = rnn.draw.unrolled(model, x, y, level=level, overlay=overlay).picture
    layout = grid_layout(picture) if level == "cell" else upright(picture)
    roles = {box.id: box.role for box in picture.all_boxes()}
    places = {id: place for id, place in layout.boxes.items() if roles[id] != "cell"}
    for i, (x1, y1, w1, h1) in enumerate(places.values()):
        for x2, y2, w2, h2 in list(places.values())[:i]:
            assert abs(x1 - x2) >= (w1 + w2) / 2 - 1e-6 or abs(y1 - y2) >= (h1 + h2) / 2 - 1e-6


def test_a_sequence_too_short_for_a_loop_is_not_drawn_folded():
    for T in (1, 2):
        with pytest.raises(ValueError, match=f"at least three steps, and this sequence has {T}: draw it unrolled"):
            rnn.draw.folded(network(), TASK.inputs[:T], TASK.targets[:T])


@pytest.mark.parametrize("lengths", [None, [5, 2, 3]])
def test_one_answer_is_read_from_the_last_step_of_each_sequence_and_backwards_from_the_first(lengths):
    model = rnn.ManyToOne(rnn.GRU(3, 4, bidirectional=True, rng=0), rnn.Linear(8, 2, rng=1))
    batch = rnn.Batch(np.random.default_rng(0).normal(size=(5, 3, 3)), np.array([0, 1, 0]), lengths=lengths)
    ahead = {"h[4]"} if lengths is None else {f"h[{length - 1}]" for length in lengths}
    figure = rnn.draw.both(model, batch, steps="all")
    assert {source for source, target in arrows(figure, "flow") if target == "o[4]"} == ahead | {"h_rev[0]"}
    cells = rnn.draw.unrolled(model, batch, level="cell").picture
    read = {arrow.source for arrow in cells.arrows if arrow.target == "o4"}
    assert read == {f"cell0_{name[2]}" for name in ahead} | {"cell0r_0"}
    assert not any(box.lines == ["concat"] for box in cells.boxes)
