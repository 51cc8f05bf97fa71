"""Zoneout and weight dropout: what a layer with them computes, in training and in evaluation mode."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn

T, B, IN, HIDDEN = 4, 3, 2, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(T, B, IN))
KINDS = list(rnn.config.LAYERS)
KEPT: dict[str, Any] = {"rnn": 0.3, "gru": 0.3, "lstm": (0.2, 0.6)}


def layer(kind: str, hidden: int = HIDDEN, **options: Any) -> rnn.Recurrent:
    return rnn.config.LAYERS[kind](IN, hidden, **{"dtype": float, "rng": 0, **options})


def arrays(result: Any) -> list[np.ndarray]:
    output, state = result
    return [output.data, *(part.data for part in (state if isinstance(state, tuple) else (state,)))]


def equal(one: Any, other: Any) -> None:
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_0_are_the_plain_layer(kind: str) -> None:
    for options in ({"zoneout": 0.0}, {"zoneout": (0.0,) * len(layer(kind).cell.state_names)}, {"weight_dropout": 0.0}):
        other = layer(kind, **options)
        equal(other(X), layer(kind)(X))
        equal(other.eval()(X), layer(kind)(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_a_zoneout_of_1_keeps_the_state(kind: str, training: bool) -> None:
    kept = layer(kind, zoneout=1.0, num_layers=2).train(training)
    start = [RNG.normal(size=part.shape) for part in kept.initial_state(B)]
    output, state = kept.run(X, tuple(map(mg.tensor, start)))
    for part, before in zip(state, start, strict=True):
        np.testing.assert_array_equal(part.data, before)
    np.testing.assert_array_equal(output.data, np.broadcast_to(start[-len(kept.cell.state_names)], output.shape))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_each_unit_keeps_its_value_or_has_the_new_one_and_in_evaluation_mode_their_mean(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    zoned, size, state = layer(kind, zoneout=KEPT[kind], rng=rng), 300, []
    state = [rng.normal(size=(size, HIDDEN)) for _ in zoned.cell.state_names]
    x = rng.normal(size=(size, IN))
    new = zoned.cell.step(mg.tensor(x), tuple(map(mg.tensor, state)))
    drawn = zoned.step(x, tuple(state), 0)
    mean = zoned.eval().step(x, tuple(state), 0)
    shares = KEPT[kind] if isinstance(KEPT[kind], tuple) else (KEPT[kind],)
    for p, before, after, some, both in zip(shares, state, new, drawn, mean, strict=True):
        keeps = some.data == before
        assert (keeps | (some.data == after.data)).all()
        assert abs(keeps.mean() - p) < 6 * (p * (1 - p) / keeps.size) ** 0.5
        np.testing.assert_allclose(both.data, p * before + (1 - p) * after.data, rtol=1e-12)
    equal(zoned(X), zoned(X))  # nothing is drawn


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["", "bidirectional", "reverse"])
def test_one_mask_is_drawn_for_the_weights_of_a_sequence(kind: str, direction: str) -> None:
    options: dict[str, Any] = {"num_layers": 2} | ({direction: True} if direction else {})
    thinned, plain = layer(kind, weight_dropout=0.4, **options), layer(kind, **options)
    start = np.random.default_rng(1).bit_generator.state
    thinned.rng.bit_generator.state = start
    rng = np.random.default_rng(1)
    for name, p in plain.named_parameters():
        if name.startswith("weight_hh"):
            mask = (rng.random(p.shape, dtype=np.float32) >= 0.4) / (1 - 0.4)
            p.data = p.data * mask
    found = thinned(X)
    equal(found, plain(X))
    assert not np.array_equal(thinned(X)[0].data, found[0].data)  # another mask
    thinned.rng.bit_generator.state = start
    if not direction:
        steps = thinned.with_dropped_weights()
        state = steps.initial_state(B)
        for t in range(T):
            state = steps.step(X[t], state, t)
            np.testing.assert_array_equal(steps.output_of(state).data, found[0].data[t])
    assert thinned.parameters()[1] is thinned.cell.weight_hh  # its parameters are as they were
    equal(thinned.eval()(X), layer(kind, **options)(X))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_the_slopes(kind: str, training: bool) -> None:
    both = layer(kind, 2, zoneout=KEPT[kind], weight_dropout=0.3).train(training)
    names = [name for name, _ in both.named_parameters()]

    def loss(x: Any, *values: Any) -> Any:
        both.rng.bit_generator.state = np.random.default_rng(3).bit_generator.state
        for name, value in zip(names, values, strict=True):
            cell, own = both._named(name)  # type: ignore[misc]
            vars(cell)[own] = value  # past the guard of parameters
        output, state = both.run(x, lengths=[3, 2])
        return (output * output).sum() + sum(part.sum() for part in state)

    mg.check_grads(loss, X[:3, :2], *both.state_dict().values())


CHANGED = {"clip": 0.7, "activation": "leaky_relu(0.1)", "recurrent_activation": "hard_sigmoid"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("rnn", {"zoneout": 0.3, "reverse": True}),
        ("gru", {"weight_dropout": 0.4, **CHANGED}),
        ("lstm", {"zoneout": (0.2, 0.4), "weight_dropout": 0.3, "dropout": 0.2, "num_layers": 2}),
        ("lstm", {"input_forget": True, "reverse": True, **CHANGED}),
    ],
)
def test_compiled_training_draws_what_training_draws(kind: str, options: dict[str, Any]) -> None:
    losses, states = [], []
    for compiled in (True, False):
        model = rnn.Sequence(layer(kind, **options), rnn.Linear(HIDDEN, 1, dtype=float, rng=1))
        trainer = rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), loss="mse", compile=compiled)
        data = (np.tile(X, (2, 1, 1)), np.tile(X[..., :1], (2, 1, 1)))
        losses.append(trainer.fit(data, 3, progress=False).loss)
        states.append(model.recurrent.rng.bit_generator.state)
    np.testing.assert_allclose(*losses, rtol=1e-10)
    assert states[0] == states[1]


def test_the_same_seed_draws_the_same_and_a_checkpoint_has_the_generator() -> None:
    first, second = (layer("lstm", zoneout=0.3, weight_dropout=0.3, rng=5) for _ in range(2))
    equal(first(X), second(X))
    equal(first(X), second(X))
    assert first.rng in first.generators()


class Around(rnn.Cell):
    """A cell around another."""

    def __init__(self, cell: Any) -> None:
        self.inner, self.input_size, self.hidden_size, self.learn_state = cell, cell.input_size, cell.hidden_size, False

    weight_hh = property(lambda self: self.inner.weight_hh)  # type: ignore[assignment]
    weight_ih = property(lambda self: self.inner.weight_ih)  # type: ignore[assignment]

    def step(self, x: mg.Tensor, state: Any) -> Any:
        return self.inner.step(x, state)


def test_weight_dropout_reaches_a_cell_inside_another() -> None:
    cell = rnn.GRUCell(IN, HIDDEN, dtype=float, rng=0)
    around = rnn.Recurrent(Around(cell), weight_dropout=0.4, rng=1)
    equal(around(X), rnn.Recurrent(cell, weight_dropout=0.4, rng=1)(X))
    around.cell.inner = None  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="weight_dropout is for cells with a parameter weight_hh, and Around has none"):
        around.with_dropped_weights()


def test_a_model_that_feeds_itself_keeps_its_mask() -> None:
    model = rnn.OneToMany(layer("gru", weight_dropout=0.5), rnn.Linear(HIDDEN, IN, dtype=float, rng=1))
    forced = model(X[0], targets=X)
    model.recurrent.rng.bit_generator.state = layer("gru", weight_dropout=0.5).rng.bit_generator.state
    output, _ = model.recurrent(np.concatenate([X[:1], X[:-1]]))
    np.testing.assert_allclose(model.readout(output).data, forced.data, rtol=1e-12)
    with pytest.raises(ValueError, match=r"make the steps with layer\.with_dropped_weights\(\)"):
        model.recurrent.step(X[0], model.recurrent.initial_state(B), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_flow_measures_the_mean(kind: str) -> None:
    model = rnn.Sequence(layer(kind, zoneout=KEPT[kind]), rnn.Linear(HIDDEN, 1, dtype=float, rng=1))
    flow = rnn.gradient_flow(model, X, X[..., :1], gradients=True)
    rnn.mse_loss(model.eval()(X), X[..., :1]).backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(flow.gradients[name].sum(0), p.grad, rtol=1e-9, atol=1e-15)
    assert np.isnan(flow.bound).all()
    if kind == "rnn":
        np.testing.assert_allclose(flow.gain("carry"), KEPT[kind])  # of the path without weights
    source = rnn.draw.unrolled(model, X, steps="0-1").source
    assert all(f"{share:.1f} ×" in source for p in np.atleast_1d(KEPT[kind]) for share in (p, 1 - p))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zoneout": -0.1}, "zoneout is -0.1; it must be the probability that a unit keeps its value, from 0 to 1"),
        ({"zoneout": (0.1, 1.5)}, r"a tuple with those of \(h, c\)"),
        ({"zoneout": (0.1,)}, r"zoneout is \(0.1,\)"),
        ({"zoneout": None}, "zoneout is None"),
        ({"weight_dropout": 1.0}, "weight_dropout is 1.0; it must be the share of recurrent weights set to zero"),
        ({"reverse": True, "bidirectional": True}, "a bidirectional layer reads the sequence in both directions"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer("lstm", **options)
