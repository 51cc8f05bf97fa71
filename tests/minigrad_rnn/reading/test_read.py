"""read(model, text): its numbers against those of the model, and units that are planted, to be found."""

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn.reading.features import features_of
from minigrad_rnn.reading.units import Sample, compare

ZEN = rnn.text.read("this")
ALPHABET = rnn.Alphabet.of(ZEN)
V = len(ALPHABET)
DOUBLE = {"dtype": np.float64}


def sequence(layer, size=6, **options):
    return rnn.Sequence(layer, rnn.Linear(size, V, rng=1, **DOUBLE), **options)


MODELS = {
    "rnn": lambda: sequence(rnn.RNN(V, 6, rng=0, **DOUBLE)),
    "lstm": lambda: sequence(rnn.LSTM(V, 6, rng=0, peepholes=True, **DOUBLE)),
    "projected": lambda: sequence(rnn.LSTM(V, 6, proj_size=4, rng=0, **DOUBLE), 4),
    "deep": lambda: sequence(rnn.LSTM(V, 6, 2, dropout=0.5, rng=0, **DOUBLE)),
    "embedding": lambda: sequence(rnn.GRU(4, 6, rng=0, **DOUBLE), embedding=rnn.Embedding(V, 4, rng=2, **DOUBLE)),
    "learnt state": lambda: sequence(rnn.GRU(V, 6, learn_state=True, rng=0, **DOUBLE)),
}


def inputs_of(model, text):
    numbers = ALPHABET.encode(text)[:, None]
    return numbers if model.embedding else ALPHABET.one_hot(numbers, np.float64)


def outputs_of(model, text):
    with mg.no_grad():
        return model.eval()(inputs_of(model, text)).data[:, 0]


# -- the model's own numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_states_surprise_and_guesses_are_those_of_the_model(kind):
    model, text = MODELS[kind](), ZEN[:230]  # more than two pieces of 100 steps
    reading = rnn.read(model, text, ALPHABET, twin=False, top=3)
    logits = outputs_of(model, text)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = rnn.sequence_cross_entropy(logits[:-1, None], ALPHABET.encode(text)[1:, None]).total.item()
    assert np.nanmean(reading.surprise) == pytest.approx(loss, abs=1e-6)
    assert np.isnan(reading.surprise[0])
    np.testing.assert_allclose(reading.probabilities, -np.sort(-p, 1)[:, :3], atol=1e-7)
    assert np.array_equal(reading.guesses[:, 0], logits.argmax(1))
    assert reading.accuracy == np.mean(logits[:-1].argmax(1) == ALPHABET.encode(text)[1:])
    top = [name for name in reading.states if name.startswith("h")][-1]
    outputs, _ = model.recurrent.run(model.embedded(inputs_of(model, text)))
    np.testing.assert_allclose(reading.states[top], outputs.data[:, 0], atol=1e-7)


@pytest.mark.parametrize("kind", MODELS)
def test_looking_back_is_the_gradient_through_the_whole_graph(kind):
    model, text, window = MODELS[kind](), ZEN[:150], 20
    reading = rnn.read(model, text, ALPHABET, twin=False, window=window)
    model.eval()
    for t in (0, 5, 18, 19, 20, 127, 128, 149):
        x = inputs_of(model, text[: t + 1])
        u = mg.tensor(x if model.embedding is None else model.embedding(x).data, requires_grad=True)
        output, _ = model.recurrent.run(u)
        g = mg.grad(model.readout(output)[t, 0, int(reading.guesses[t, 0])], u).data[:, 0]
        expected = np.linalg.norm(g, axis=-1)[::-1][:window]
        found = reading.saliency[t]
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-6, atol=1e-6 * expected.max())
        assert np.isnan(found[len(expected) :]).all()


def test_gates_are_those_of_the_equations():
    lstm = rnn.read(MODELS["deep"](), ZEN[:130], ALPHABET, twin=False)
    assert sorted(lstm.gates) == ["f0", "f1", "g0", "g1", "i0", "i1", "o0", "o1"]
    assert lstm.gate_names["f1"] == "forget gate"
    for k in "01":
        h, c = lstm.states[f"h{k}"], lstm.states[f"c{k}"]
        f, i, g, o = (lstm.gates[name + k] for name in "figo")
        np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-7)
        np.testing.assert_allclose(c[1:], f[1:] * c[:-1] + i[1:] * g[1:], atol=1e-7)
    gru = rnn.read(MODELS["embedding"](), ZEN[:130], ALPHABET, twin=False)
    h, z, n = gru.states["h"], gru.gates["z"], gru.gates["n"]
    np.testing.assert_allclose(h[1:], (1 - z[1:]) * n[1:] + z[1:] * h[:-1], atol=1e-7)
    assert rnn.read(MODELS["rnn"](), ZEN[:30], ALPHABET, twin=False).gates == {}


class Leaky(rnn.Cell):
    """A cell of one's own with a gate that no rule needs."""

    gate_names = {"a": "leak"}

    def step(self, x, state):
        a = self.affine(x, state[0])
        a.name = "a"
        return (0.5 * state[0] + 0.5 * (a - 1.0),)


def test_gates_of_an_own_cell_and_of_frozen_weights():
    cell = Leaky(V, 6, rng=0, **DOUBLE)
    model = sequence(rnn.Recurrent(cell))
    for p in model.parameters():
        p.requires_grad = False
    reading = rnn.read(model, ZEN[:120], ALPHABET, twin=False)
    h, a = reading.states["h"], reading.gates["a"]
    np.testing.assert_allclose(h[1:], 0.5 * h[:-1] + 0.5 * (a[1:] - 1), atol=1e-7)
    assert np.nanmax(reading.saliency) > 0


def test_a_model_is_as_it_was_and_reads_the_same_twice():
    model = MODELS["deep"]().train()
    for p in model.parameters():
        p.grad = np.ones(p.shape)
    before, modes = model.state_dict(), [m.training for m in model.modules()]
    one, other = (rnn.read(model, ZEN[:60], ALPHABET) for _ in range(2))
    assert [m.training for m in model.modules()] == modes
    assert all((p.grad == 1).all() for p in model.parameters())
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert repr(one) == repr(other)
    assert [unit.name for unit in one.twin.units] == [unit.name for unit in other.twin.units]
    assert np.array_equal(one.together.values, other.together.values)


# -- correlation ---------------------------------------------------------------------------------------------------------


def bracketed(count, seed):
    """A text of random letters with brackets, nested at most three deep."""
    rng = np.random.default_rng(seed)
    text, depth = "", 0
    while len(text) < count:
        text += "".join(rng.choice([*"abcdefghij "], rng.integers(2, 9)))
        if rng.random() < 0.4:
            text, depth = (text + "(", depth + 1) if depth < 3 else (text + ")", depth - 1)
        elif depth:
            text, depth = text + ")", depth - 1
    return text


def test_r_is_measured_on_another_text_than_it_was_chosen_on():
    model, text, probe = sequence(rnn.LSTM(V, 48, forget_bias=1.0, rng=5, **DOUBLE), 48), ZEN[500:], ZEN[:500]
    reading = rnn.read(model, text, ALPHABET, probe=probe, twin=False)
    chosen = rnn.read(model, probe, ALPHABET, twin=False)
    assert reading.probed
    assert not chosen.probed
    labelled = [unit for unit in reading.units if unit.feature]
    assert labelled
    squash = {"h": lambda x: x, "c": np.tanh}
    for unit in labelled:
        for made, r, text_of in ((reading, unit.r, text), (chosen, unit.r_chosen, probe)):
            state = squash[unit.state](made.states[unit.state][:, unit.index])
            expected = np.corrcoef(state, features_of(text_of)[unit.feature])[0, 1]
            # c is squashed only where it leaves -1...1
            assert r == pytest.approx(expected, abs=0.02)
        assert abs(unit.r) > unit.chance < abs(unit.r_chosen)


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_unit_is_found_and_no_random_walk_is_labelled(seed):
    rng = np.random.default_rng(seed)
    samples = []
    for text in (bracketed(4000, seed), bracketed(1000, seed + 50)):
        features = features_of(text)
        walks = np.cumsum(rng.standard_normal((len(text), 128)), 0)
        states = walks / np.abs(walks).max(0)
        states[:, 77] = 0.5 * features["inside brackets"] - 0.2 + 0.2 * rng.standard_normal(len(text))
        samples.append(Sample({"h": states}, features))
    chosen, measured = samples
    numbers = np.unique([*bracketed(4000, seed)], return_inverse=True)[1]
    held = {"h": [rnn.reading.Held(np.zeros(2), 0.0, None, 0.0, 0.0)] * 128}
    units = compare(measured.states, chosen, measured, numbers, held)[1].units
    assert (units[0].name, units[0].feature) == ("h[77]", "inside brackets")
    assert units[0].r > 0.6
    assert [unit.name for unit in units if unit.feature] == ["h[77]"]


def test_memory_comes_before_echo_and_many_copies_after_it():
    """A unit that needs memory comes before one that the symbol alone explains; its sixth copy does not."""
    text = bracketed(3000, 4)
    features = features_of(text)
    columns = [features["inside brackets"]] * 6 + [features["a vowel"]]
    states = 0.5 * np.stack(columns, 1) - 0.3 + 0.2 * np.random.default_rng(0).standard_normal((len(text), 7))
    parts = slice(2000), slice(2000, None)
    samples = [Sample({"h": states[rows]}, {name: f[rows] for name, f in features.items()}) for rows in parts]
    numbers = np.unique([*text[:2000]], return_inverse=True)[1]
    held = {"h": [rnn.reading.Held(np.zeros(2), 0.0, None, 0.0, 0.0)] * 7}
    order = [unit.feature for unit in compare({"h": states}, *samples, numbers, held)[1].units]
    assert 1 <= order.index("a vowel") < 6
    assert order.count("inside brackets") == 6


# -- the hold test -------------------------------------------------------------------------------------------------------


class Counter(rnn.Cell):
    """A cell in which a unit can count; the others decay."""

    def step(self, x, state):
        return (state[0] * self.decay + mg.matmul(x, self.weight_ih.T),)


def planted(alphabet, units=16):
    """A model whose unit 3 alone makes ")"."""
    cell = Counter(len(alphabet), units, bias=False, rng=0, **DOUBLE)
    cell.decay = np.where(np.arange(units) == 3, 1.0, 0.5)
    weights = cell.weight_ih.data.copy()
    weights[3] = 0
    weights[3, alphabet.number["("]], weights[3, alphabet.number[")"]] = 0.25, -0.25
    cell.weight_ih.data = weights
    readout = rnn.Linear(units, len(alphabet), rng=0, **DOUBLE)
    readout.weight.data = 8.0 * (np.arange(units) == 3) * (np.arange(len(alphabet)) == alphabet.number[")"])[:, None]
    return rnn.Sequence(rnn.Recurrent(cell), readout)


@pytest.mark.parametrize(("kind", "layer", "index"), [("deep", 1, 2), ("projected", 0, 3), ("embedding", 0, 5)])
def test_holding_all_units_at_once_is_holding_one(kind, layer, index):
    model, text = MODELS[kind](), ZEN[:80]
    for p in model.parameters():
        p.data = 3 * p.data
    reading = rnn.read(model, text, ALPHABET, twin=False)
    names = [name for name in reading.states if name.endswith(str(layer)) or len(model.recurrent.cells) == 1]
    name = names[-1]  # c, or h of a GRU
    size = reading.states[name].shape[1]
    places = {k: reading.states[n][:, index].mean() for k, n in enumerate(reading.states) if n in names}
    places = {k: mean for k, mean in places.items() if reading.states[[*reading.states][k]].shape[1] == size}
    inputs, numbers = inputs_of(model, text), ALPHABET.encode(text)
    losses = []
    for held in (False, True):
        state, found = model.recurrent.initial_state(1), []
        model.eval()
        for t in range(len(text) - 1):
            parts = [part.data.copy() for part in state]
            for k, mean in places.items():
                parts[k][0, index] = mean if held and t else parts[k][0, index]
            output, state = model.step(inputs[t], tuple(map(mg.tensor, parts)), t)
            found.append(-mg.log_softmax(output).data[0, numbers[t + 1]])
        losses.append(np.array(found))
    rises = losses[1] - losses[0]
    unit = next(unit for unit in reading.units if (unit.state, unit.index) == (name, index))
    assert unit.held.mean == pytest.approx(rises.mean(), abs=1e-6)
    for symbol in np.flatnonzero(np.bincount(numbers[1:]) >= 5):
        assert unit.held.costs[symbol] == pytest.approx(rises[numbers[1:] == symbol].mean(), abs=1e-6)


def test_a_planted_use_is_named_by_the_hold_test():
    text, probe = bracketed(600, 1), bracketed(1500, 2)
    alphabet = rnn.Alphabet.of(probe)
    reading = rnn.read(planted(alphabet), text, alphabet, probe=probe)
    assert [(unit.name, alphabet.symbols[unit.held.symbol]) for unit in reading.needed] == [("h[3]", ")")]
    unit = reading.needed[0]
    assert unit.feature == "bracket depth"
    assert unit.r == pytest.approx(1)
    assert reading.units[0] is unit
    assert reading.held["h"][3, alphabet.number[")"]] == unit.held.cost > 0.25 > unit.held.others
    assert reading.twin.needed == []


def test_an_untrained_network_needs_no_unit_though_some_follow_the_text():
    model = rnn.Sequence(rnn.LSTM(V, 48, forget_bias=1.0, rng=5), rnn.Linear(48, V, rng=6))
    reading = rnn.read(model, ZEN[500:], ALPHABET, probe=ZEN[:500], twin=model)
    assert reading.needed == reading.twin.needed == []
    assert any(unit.feature for unit in reading.units)
    assert reading.best("a space") == reading.twin.best("a space")


# -- texts ---------------------------------------------------------------------------------------------------------------


def test_words_layers_and_own_features():
    symbols = rnn.text.words(ZEN)
    alphabet = rnn.Alphabet.of(symbols, 60, "<unknown>")
    layer = rnn.GRU(8, 6, 2, rng=0)
    model = rnn.Sequence(layer, rnn.Linear(6, len(alphabet), rng=1), embedding=rnn.Embedding(len(alphabet), 8, rng=2))
    own = {"length of the word": lambda text: [len(symbol) for symbol in text]}
    reading = rnn.read(model, symbols, alphabet, features=own, twin=False)
    assert list(reading.states) == ["h0", "h1"]
    assert reading.features["length of the word"].tolist() == [len(symbol) for symbol in symbols]
    assert {"punctuation", "position in line", "a capital"} <= set(reading.features)
    one = rnn.read(model, symbols, alphabet, layer=-1, twin=False)
    assert list(one.states) == ["h1"]
    assert np.array_equal(one.states["h1"], reading.states["h1"])
    assert {unit.state for unit in one.units} == {"h1"}
    assert set(one.gates) == {"r1", "z1", "n1"}
    with pytest.raises(ValueError, match=r"give the text as a list of them, as in rnn\.text\.words"):
        rnn.read(model, ZEN, alphabet)


def test_features():
    text = "a = f(\"x (y\", 'it', [1])  # don't\n    \"It's.\" So\n\n("
    found = features_of(text)
    marked = {name: "".join(c for c, on in zip(text, values, strict=True) if on) for name, values in found.items()}
    assert marked["inside “quotes”"] == '"x (y"It\'s.'
    assert marked["inside ‘quotes’"] == "'it"
    assert marked["inside a comment"] == "# don't"
    assert marked["leading spaces"] == "    "
    assert marked["a capital"] == "IS"
    assert marked["an opening bracket"] == "(([("
    assert marked["line ends next"] == "'to"[0:0] + "to\n"
    assert found["bracket depth"].max() == 3
    assert found["bracket depth"][-2:].tolist() == [0, 1]  # a blank line closes them
    assert found["position in line"][text.index("\n") :][:3].tolist() == [0, 1, 2]
    assert found["indentation"][text.index('"It')] == 4


def test_bad_arguments():
    model = MODELS["rnn"]()
    both = rnn.Sequence(rnn.RNN(V, 3, bidirectional=True, rng=0), rnn.Linear(6, V, rng=0))
    nan = MODELS["rnn"]()
    nan.readout.bias.data = np.full(V, np.nan)
    for error, message, arguments in (
        (TypeError, "needs a Sequence.*not ManyToOne", {"model": rnn.ManyToOne(rnn.RNN(V, 3), rnn.Linear(3, V))}),
        (ValueError, "reads a text from both ends", {"model": both}),
        (ValueError, "not finite", {"model": nan}),
        (ValueError, "the text has 19 symbols; a reading needs at least 20", {"text": ZEN[:19]}),
        (ValueError, "the probe has 2 symbols", {"probe": "ab"}),
        (TypeError, "text must be a string or a list of symbols, not NoneType", {"text": None}),
        (TypeError, "probe must be a string or a list of symbols, not bytes", {"probe": b"abc"}),
        (TypeError, r"alphabet must be an Alphabet, such as rnn.Alphabet.of\(text\), not str", {"alphabet": "abc"}),
        (TypeError, "layer is 'h'; expected a whole number", {"layer": "h"}),
        (ValueError, "'é' is not in this alphabet", {"text": "é" * 20}),
        (ValueError, "predicts 9 symbols and the alphabet has 45", {"model": rnn.Sequence(rnn.RNN(V, 3), rnn.Linear(3, 9))}),
        (ValueError, "layer is 1; this model has layers 0 to 0", {"layer": 1}),
        (ValueError, "window", {"window": -1}),
        (ValueError, "top", {"top": 0}),
        (ValueError, "the feature 'two' must return 50 finite numbers", {"features": {"two": lambda text: [1, 2]}}),
        (TypeError, "needs a Sequence", {"twin": "yes"}),
    ):
        with pytest.raises(error, match=message):
            rnn.read(**{"model": model, "text": ZEN[:50], "alphabet": ALPHABET, "twin": False} | arguments)


def test_a_text_of_one_symbol_and_a_window_longer_than_the_text():
    alphabet = rnn.Alphabet("ab")
    model = rnn.Sequence(rnn.RNN(2, 4, rng=0), rnn.Linear(4, 2, rng=1))
    reading = rnn.read(model, "a" * 30, alphabet, window=60, top=9)
    assert reading.features == {}
    assert reading.saliency.shape == (30, 30)
    assert reading.guesses.shape == (30, 2)
    assert reading.units[0].feature is None
    assert rnn.read(model, "a" * 30, alphabet, window=0, twin=False).saliency.shape == (30, 0)
