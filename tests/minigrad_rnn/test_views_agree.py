"""What is shown twice is equal: loss, |dL/dh[t]|, shares, saturation and values in pictures, pages, `gradient_flow`, `.grad`
and a Trainer, compared with a plain forward pass whose states are looked at as they come."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.pictures.page import recorded

array = runpy.run_path(str(Path(__file__).parents[1] / "minigrad" / "pictures" / "written.py"))["array"]

T, B, SIZE, HIDDEN = 5, 3, 3, 4
LENGTHS = np.array([5, 3, 2])


OPTIONS = {
    "": {},
    "reverse": {"reverse": True, "clip": 0.3},
    "coupled": {"input_forget": True, "recurrent_activation": "hard_sigmoid", "output_activation": "elu"},
}


class Leaky(rnn.Cell):
    """A cell of one's own, with two states and gates of other names."""

    state_names = ("s", "trace")
    gates = 2
    gate_names = {"open": "how much is new", "new": "what is new"}

    def step(self, x, state):
        s, trace = state
        both = x @ self.weight_ih.T + self.bias_ih + s @ self.weight_hh.T + self.bias_hh
        gate, new = mg.sigmoid(both[:, :HIDDEN]), mg.tanh(both[:, HIDDEN:])
        gate.name, new.name = "open", "new"
        return gate * new + (1 - gate) * s, 0.5 * trace + new


def layer(kind, dtype, rng=0, size=SIZE):
    if kind == "own":
        return rnn.Recurrent(Leaky(size, HIDDEN, rng=rng, dtype=dtype))
    word, _, other = kind.partition(", ")
    return {"rnn": rnn.RNN, "lstm": rnn.LSTM, "gru": rnn.GRU}[word](size, HIDDEN, **OPTIONS[other], rng=rng, dtype=dtype)


def wired(wiring, kind, dtype, loss):
    """A model and a batch for it."""
    rng = np.random.default_rng(7)
    inputs = rng.standard_normal((T, B, SIZE)).astype(dtype)
    readout = rnn.Linear(HIDDEN, SIZE, rng=1, dtype=dtype)

    def targets(*shape):
        if loss == "cross_entropy":
            return rng.integers(SIZE, size=shape)
        return (rng.integers(2, size=(*shape, SIZE)) if loss == "binary" else rng.standard_normal((*shape, SIZE))).astype(dtype)

    if wiring == "many to one":
        return rnn.ManyToOne(layer(kind, dtype), readout), rnn.Batch(inputs, targets(B), LENGTHS)
    if wiring == "one to many":
        return rnn.OneToMany(layer(kind, dtype), readout), rnn.Batch(inputs[:1], targets(T, B))
    if wiring == "encoder-decoder":
        parts = layer(kind, dtype), layer(kind, dtype, 2, SIZE + 1), readout
        return rnn.EncoderDecoder(*parts, start=SIZE), rnn.Batch(inputs, targets(T - 1, B))
    return rnn.Sequence(layer(kind, dtype), readout), rnn.Batch(inputs, targets(T, B), LENGTHS if wiring == "padded" else None)


def plainly(model, batch, loss, monkeypatch):
    """Loss, gradients of the parameters and norms of those of the states of each cell, in the order of time."""
    states = []
    original = rnn.recurrent.checked_step

    def seen(cell, x, state):
        new = original(cell, x, state)
        states.append(new)
        return new

    monkeypatch.setattr(rnn.recurrent, "checked_step", seen)
    outputs, _ = model.predict_batch(batch)
    monkeypatch.undo()
    lengths = None if outputs.ndim < 3 else batch.lengths
    total = rnn.sequence_loss(loss, outputs, batch.targets, lengths).total
    parts = [part for state in states for part in state]
    norms = [float(np.linalg.norm(np.asarray(g, float))) for g in mg.grad(total, parts, retain_graph=True)]
    total.backward()
    width = len(states[0])
    by_step = np.array(norms).reshape(-1, width).T
    if isinstance(model, rnn.Sequence | rnn.ManyToOne) and model.recurrent.reverse:
        by_step = by_step[:, ::-1]
    return total.item(), by_step, [p.grad.copy() for p in model.parameters()]


WIRINGS = [
    (wiring, kind, loss)
    for wiring in ("many to many", "padded", "many to one", "one to many", "encoder-decoder")
    for kind in ("rnn", "lstm", "gru", "own")
    for loss in ("cross_entropy", "mse", "binary")
    if (wiring != "encoder-decoder" or loss == "cross_entropy") and (wiring != "one to many" or loss != "cross_entropy")
] + [(wiring, "gru, reverse", "mse") for wiring in ("many to many", "padded", "many to one")]
WIRINGS += [("many to many", "lstm, coupled", "cross_entropy"), ("many to one", "rnn, reverse", "cross_entropy")]
# By turns in one dtype and in the other; in the thorough profile each in both.
CASES = [
    (*case, dtype)
    for i, case in enumerate(WIRINGS)
    for j, dtype in enumerate((np.float32, np.float64))
    if settings().max_examples > 100 or (i + j) % 2
]


@pytest.mark.parametrize(("wiring", "kind", "loss", "dtype"), CASES)
def test_all_views_of_a_run_agree(wiring, kind, loss, dtype, monkeypatch):
    model, batch = wired(wiring, kind, dtype, loss)
    total, norms, gradients = plainly(model, batch, loss, monkeypatch)
    near = {"rtol": 2e-4 if dtype == np.float32 else 1e-9, "atol": 1e-6 if dtype == np.float32 else 1e-12}

    flow = rnn.gradient_flow(model, batch, loss=loss, gradients=True)
    names = list(flow.norms)
    assert np.isclose(flow.losses.sum(), total, **near)
    if batch.lengths is None:  # of sequences that have ended the state is carried on, which a plain pass does otherwise
        for name, expected in zip(names, norms, strict=True):
            assert np.allclose(np.nan_to_num(flow.norms[name][0]), expected, **near), name
    for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert np.allclose(flow.gradients[name].sum(0), gradient, **near), name
        by_step = np.linalg.norm(flow.gradients[name].reshape(len(flow.losses), -1).astype(float), axis=1)
        assert np.allclose(flow.shares[name], by_step, **near), name

    trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.0), loss=loss)
    trainer.fit(rnn.Fixed(batch), epochs=1, progress=False)
    assert np.isclose(trainer.history.loss[0], total, **near)
    assert np.isclose(rnn.evaluate(model, batch, loss=loss).loss, total, **near)

    named = dict(model.named_parameters())
    columns = len(flow.losses)
    states = [(name, t) for t in range(columns) for name in names]
    drawing = drawn(model, batch, loss, "op" if dtype == np.float32 else "cell", gradients=True)
    assert sorted(boxes_of(drawing, names)) == sorted(two_digits(flow.norms[name][0, t]) for name, t in states)

    data = recorded(drawing._playback, drawing.picture, [])  # what the page plays, with 17 digits of every norm
    nodes = data["nodes"]
    played = sorted(step["g"]["norm"] for step in data["back"] if is_state(nodes[step["node"]], names))
    expected = sorted(size for norms in flow.norms.values() for size in norms[0] if size > 0)
    assert np.allclose([size for size in played if size], expected, **near)
    sums = {nodes[step["node"]].get("name"): step["g"]["norm"] for step in data["back"]}
    for name, p in named.items():
        if wiring != "encoder-decoder":  # where two parameters have one name
            assert np.isclose(sums[p.name], np.linalg.norm(p.grad.astype(float)), **near), name
    (root,) = [array(nodes[step["node"]]["value"]) for step in data["back"] if "root" in step]
    assert np.allclose(root, total, rtol=1e-6)
    losses = [array(node["value"])[0] for node in nodes if node.get("label", "").startswith("L[")]
    assert np.allclose(losses or root, flow.losses[flow.losses != 0], rtol=1e-6)

    shares = [line for box in drawn(model, batch, loss, "cell", overlay="share").picture.all_boxes() for line in box.lines]
    shown = [text for line in shares if (text := line.partition("  ")[2]) not in ("", "0") and not line.startswith("sum")]
    assert sorted(shown) == sorted(two_digits(size) for name in named for size in flow.shares[name] if size)
    assert len([line for line in shares if line.startswith("sum  ")]) == len(named)

    mean = np.mean([by_step[0] for by_step in flow.saturation.values()], axis=0)
    found = boxes_of(drawn(model, batch, loss, "cell", overlay="saturation"), names[:1])
    assert sorted(found) == sorted(f"{share:.0%}" for share in mean)


@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("wiring", ["many to many", "many to one"])
def test_the_totals_of_the_shares_are_the_gradients(wiring, level):
    model, batch = wired(wiring, "lstm", np.float64, "cross_entropy")
    boxes = drawn(model, batch, None, level, overlay="share").picture.all_boxes()
    shown = [box for box in boxes if box.role == "parameter" or box.id == "totals"]
    outputs, _ = model.predict_batch(batch)
    rnn.sequence_loss("cross_entropy", outputs, batch.targets, None if outputs.ndim < 3 else batch.lengths).total.backward()
    by_norm = sorted(two_digits(np.linalg.norm(p.grad)) for p in model.parameters())
    assert sorted(line.split()[-1] for box in shown for line in box.lines) == by_norm


def drawn(model, batch, loss, level, **options):
    return rnn.draw.unrolled(model, batch, loss=loss, level=level, steps="all", **options)


def boxes_of(drawing, names):
    """What is measured of each state, as it is written in its box."""
    boxes = [box for box in drawing.picture.all_boxes() if box.role == "state" and box.lines[0].startswith(tuple(names))]
    return [box.lines[-1] for box in boxes]


def is_state(node, names):
    return "t" in node and any(re.fullmatch(rf"{name}(_rev)?\[\d+\]", node.get("label", "")) for name in names)


def two_digits(size):
    """Such as 5.2e-2."""
    if not size or np.isnan(size):
        return "-" if size else "0"
    digits, _, power = f"{size:.1e}".partition("e")
    return f"{digits}e{int(power)}"
