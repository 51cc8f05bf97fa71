"""Pictures of what somebody's own code recorded: a loss of a Python loop, a Model or Module of one's own."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn import gradient_flow

OWN = runpy.run_path(str(Path(__file__).parents[1] / "own_loops.py"))
PROGRAMS, elman, lstm = (OWN[name] for name in ("PROGRAMS", "elman", "lstm"))


def boxes(drawing, role):
    return {box.lines[0]: box for box in drawing.picture.all_boxes() if box.role == role}


def two_digits(size):
    """Such as 5.2e-2."""
    digits, _, power = f"{size:.1e}".partition("e")
    return f"{digits}e{int(power)}" if size else "0"


def looped(drawing):
    return {arrow.label for arrow in drawing.picture.all_arrows() if arrow.role == "loop"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_picture_shows_what_the_flow_measures(program):
    loss, _, states, names = program(6)
    flow = gradient_flow(loss, names=names)
    drawing = rnn.draw.unrolled(loss, gradients=True, names=names)
    found = boxes(drawing, "state")
    assert found.keys() == {f"{name}[{t}]" for name in states for t in range(6)}
    for name in states:
        for t in range(6):
            text = found[f"{name}[{t}]"].lines[-1]
            assert text == two_digits(flow.norms[name][0, t])
    assert looped(rnn.draw.folded(loss, names=names)) == {f"{name}[t-1]" for name in states}


def test_the_number_at_a_last_state_that_is_the_loss_is_its_gradient():
    w, h = mg.tensor(1.0, requires_grad=True), mg.tensor(0.5)
    for _ in range(5):
        h = mg.sigmoid(w * h)
    drawing = rnn.draw.unrolled(h, gradients=True, names={"w": w, "h": h})
    assert boxes(drawing, "loss")["h[4]"].lines == ["h[4]", "sigmoid", "1.0e0"]
    assert boxes(drawing, "state")["h[3]"].lines[-1] == two_digits(gradient_flow(h, names={"h": h}).norms["h"][0, 3])


def test_shares_and_saturation_are_those_of_the_flow():
    loss, _, _, names = elman(6)
    flow = gradient_flow(loss, names=names)
    drawing = rnn.draw.unrolled(loss, overlay="share", names=names)
    for t, group in enumerate(group for group in drawing.picture.groups if group.id.startswith("t") and group.framed):
        notes = sorted(line for box in group.boxes if box.role == "alias" for line in box.lines)
        if group.id != "totals":
            assert notes == [f"{name} {two_digits(flow.shares[name][t])}" for name in "UVWb"]
    drawing = rnn.draw.unrolled(loss, overlay="saturation", names=names)
    for t in range(6):
        assert boxes(drawing, "state")[f"h[{t}]"].lines[-1] == f"{flow.saturation['tanh'][0, t]:.0%}"


@pytest.mark.parametrize("overlay", ["gradient", "activation", "saturation", "share"])
def test_long_sequences_are_folded_in_the_middle(overlay):
    loss, _, _, names = lstm(50)
    drawing = rnn.draw.unrolled(loss, overlay=overlay, names=names)
    assert [group.title for group in drawing.picture.groups if group.repeated] == ["t = 3 ... 46, folded"]
    assert len(drawing.picture.all_boxes()) < 500


class Mine(rnn.Model):
    """A layer, and something of one's own after it."""

    def __init__(self, layer, embedding=None):
        self.layer, self.embedding = layer, embedding
        self.out = rnn.Linear(layer.output_size, 5, dtype=np.float64, rng=1)

    def predict_batch(self, batch, state=None):
        x = batch.inputs if self.embedding is None else self.embedding(batch.inputs)
        y, _ = self.layer.run(x, None, batch.lengths)
        return self.out(2 * y), None


def layer(kind, **options):
    return getattr(rnn, kind)(5, 4, dtype=np.float64, rng=0, **options)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_model_of_ones_own_is_drawn_as_it_runs(kind):
    model, task = Mine(layer(kind)), rnn.tasks.hello()
    drawing = rnn.draw.unrolled(model, task, gradients=True)
    flow = gradient_flow(model, task)
    found = boxes(drawing, "state")
    names = model.layer.cell.state_names
    assert found.keys() == {f"{name}[{t}]" for name in names for t in range(6)}
    assert all(found[f"{n}[{t}]"].lines[-1] == two_digits(flow.norms[n][0, t]) for n in names for t in range(6))
    assert looped(rnn.draw.folded(model, task)) == {f"{name}[t-1]" for name in names}
    assert [box.lines[0] for box in drawing.picture.boxes if box.role == "loss"] == ["loss"]

    sequence = rnn.Sequence(model.layer, model.out)  # twice the output is twice the weight of the readout
    model.out.weight.data = model.out.weight.data / 2
    again, plain = gradient_flow(model, task), None
    model.out.weight.data = model.out.weight.data * 2
    plain = gradient_flow(sequence, task)
    for name in names:
        np.testing.assert_allclose(again.norms[name], plain.norms[name], rtol=1e-12)


def test_both_directions_lengths_and_an_embedding():
    drawing = rnn.draw.folded(Mine(layer("GRU", bidirectional=True)), rnn.tasks.hello())
    assert looped(drawing) == {"h[t-1]", "h_rev[t+1]"} or looped(drawing) == {"h0[t-1]", "h1_rev[t+1]"}
    x = np.random.default_rng(0).normal(size=(7, 3, 5))
    y = np.zeros((7, 3), int)
    drawing = rnn.draw.unrolled(Mine(layer("LSTM")), rnn.Batch(x, y, [7, 5, 2]), gradients=True)
    assert boxes(drawing, "state").keys() >= {f"{name}[{t}]" for name in "hc" for t in range(7)}
    embedding = rnn.Embedding(9, 5, dtype=np.float64, rng=2)
    drawing = rnn.draw.unrolled(Mine(layer("RNN"), embedding), np.zeros((6, 1), int), np.zeros((6, 1), int))
    assert boxes(drawing, "state").keys() == {f"h[{t}]" for t in range(6)}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_figure_of_the_textbooks(program):
    loss, losses, states, names = program(6)
    drawing = rnn.draw.both(loss, names=names, steps="all")
    assert boxes(drawing, "unit").keys() == {f"{name}[{t}]" for name in states for t in ("t", *range(6))}
    shown = {box.lines[0]: box.lines[-1] for box in drawing.picture.all_boxes() if box.role == "loss"}
    assert shown == {"L[t]": "L[t]", "loss": f"{loss.item():.3g}"} | {
        f"L[{t}]": f"{x.item():.3g}" for t, x in enumerate(losses)
    }
    assert boxes(drawing, "output").keys() == {f"o[{t}]" for t in ("t", *range(6))}
    legend = [pair.split(" = ") for line in drawing.picture.title.split("\n")[1:] for pair in line.split(";  ")]
    assert [pair for pair in legend if len(set(pair)) < 2] == []  # "V = V" says nothing
    assert "W" in dict(legend) or program is not lstm


def test_what_cannot_be_drawn_is_refused():
    loss, *_ = elman(6)
    with pytest.raises(ValueError, match="level='cell' is for the models of this package"):
        rnn.draw.unrolled(loss, level="cell")
    with pytest.raises(TypeError, match="leave them out with a recorded loss"):
        rnn.draw.unrolled(loss, np.ones(3))
    with pytest.raises(TypeError, match="loss= are for a model"):
        rnn.draw.unrolled(loss, loss="mse")
    with pytest.raises(ValueError, match="a batch, which has its targets"):
        rnn.draw.unrolled(Mine(layer("RNN")), rnn.Batch(np.ones((6, 1, 5)), np.zeros((6, 1), int)), np.zeros((6, 1), int))
    with pytest.raises(ValueError, match="no loop that carries a state"):
        rnn.draw.unrolled(mg.tensor(1.0, requires_grad=True) * 2)
    with pytest.raises(ValueError, match="chunk is for the models of this package"):
        rnn.draw.unrolled(loss, chunk=2)
    with pytest.raises(ValueError, match="give targets after the inputs"):
        gradient_flow(Mine(layer("RNN")), np.ones((6, 1, 5)))


def test_the_page_of_a_loop_plays(tmp_path):
    loss, _, _, names = elman(5)
    page = rnn.draw.unrolled(loss, gradients=True, names=names).save(tmp_path / "loop.html")
    text = Path(page).read_text()
    assert all(re.search(rf"h\[{t}\]", text) for t in range(5))
