"""Attention: its formula and laws, in an encoder-decoder, and over a cell's own earlier states."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn.attention import KINDS

T, S, BATCH, QUERY, KEY, SYMBOLS = 3, 4, 2, 3, 3, 5
DOUBLE: dict[str, Any] = {"dtype": np.float64}


def attention(kind: str, query: int = QUERY, key: int = KEY, **options: Any) -> rnn.Attention:
    return rnn.Attention(query, key, kind, **{"rng": 0, **DOUBLE, **options})


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def translator(kind: str | None, cell: Any = rnn.GRU, hidden: int = KEY, **options: Any) -> rnn.EncoderDecoder:
    rng = np.random.default_rng(0)
    attends = None if kind is None else attention(kind, hidden, hidden, rng=rng)
    width = hidden if kind is None else 2 * hidden
    return rnn.EncoderDecoder(
        cell(2, hidden, rng=rng, **DOUBLE), cell(SYMBOLS, hidden, rng=rng, **DOUBLE),
        rnn.Linear(width, SYMBOLS, rng=rng, **DOUBLE), start=SYMBOLS - 1, attention=attends, **options,
    )  # fmt: skip


def attentive(kind: str, cell: Any = rnn.GRUCell, window: int = 2) -> rnn.Sequence:
    inner = cell(2 + KEY, KEY, rng=0, **DOUBLE)
    layer = rnn.Recurrent(rnn.AttentionCell(inner, window, attention(kind)))
    return rnn.Sequence(layer, rnn.Linear(KEY, SYMBOLS, rng=1, **DOUBLE))


SOURCE, TARGETS = numbers(S, BATCH, 2), np.array([[1, 0], [2, 3], [0, -100]])
MODELS = {
    **{f"translator, {kind}": (lambda kind=kind: translator(kind)) for kind in KINDS},
    **{f"attentive, {kind}": (lambda kind=kind: attentive(kind)) for kind in KINDS},
}


def batch_of(model: rnn.Module, lengths: Any = None) -> rnn.Batch:
    targets = TARGETS if isinstance(model, rnn.EncoderDecoder) else np.resize(TARGETS, (S, BATCH))
    return rnn.Batch(SOURCE, targets, lengths)


# -- the formula -------------------------------------------------------------------------------------------------------


def by_hand(module: rnn.Attention, query: np.ndarray, keys: np.ndarray, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
    """Attention as its docstring has it, one query and one sequence after the other."""
    contexts, weights = np.zeros((*query.shape[:2], keys.shape[2])), np.zeros((query.shape[1], len(query), len(keys)))
    W_q, W_k, v = (None if p is None else p.data for p in (module.weight_query, module.weight_key, module.vector))
    for t, b in np.ndindex(query.shape[:2]):
        q, k = query[t, b], keys[: lengths[b], b]
        compared = k if W_k is None else k @ W_k.T
        scores = compared @ q if W_q is None else np.tanh(W_q @ q + compared) @ v[0]
        e = np.exp(module.scale * scores)
        weights[b, t, : lengths[b]] = e / e.sum()
        contexts[t, b] = weights[b, t, : lengths[b]] @ k
    return contexts, weights


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 99), data=st.data())
def test_attention_is_its_formula_and_a_mean_of_the_keys_that_count(kind: str, seed: int, data: st.DataObject) -> None:
    t, s, batch, query_size, key_size = (data.draw(st.integers(1, 4)) for _ in range(5))
    query_size = key_size if kind == "dot" else query_size
    options: dict[str, Any] = {"hidden_size": data.draw(st.sampled_from([None, 1, 3]))} if kind == "additive" else {}
    scale = data.draw(st.sampled_from([None, 1.0, 2.5]))
    module = attention(kind, query_size, key_size, scale=scale, rng=seed, **options)
    query, keys = numbers(t, batch, query_size, seed=seed), numbers(s, batch, key_size, seed=seed + 1)
    lengths = np.array([data.draw(st.integers(1, s)) for _ in range(batch)])
    padded = np.where((np.arange(s)[:, None] < lengths)[..., None], keys, np.nan)
    context, weights = module(query, padded, lengths)
    for found, expected in zip((context, weights), by_hand(module, query, keys, lengths), strict=True):
        np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(weights.data.sum(-1), 1, rtol=1e-12)
    one = module(query[0], padded, lengths)  # a single step
    np.testing.assert_allclose(one[0].data, context.data[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one[1].data, weights.data[:, 0], rtol=1e-12, atol=1e-15)
    order = np.random.default_rng(seed).permutation(s)
    again, permuted = module(query, keys[order])
    plain, whole = module(query, keys)
    np.testing.assert_allclose(permuted.data, whole.data[..., order], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(again.data, plain.data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [1, 3]])
def test_the_gradients_of_attention(kind: str, lengths: Any) -> None:
    module = attention(kind, 2, 2)
    query = numbers(2, BATCH, 2) if lengths else numbers(BATCH, 2)
    keys = numbers(3, BATCH, 2, seed=1)
    mg.check_grads(lambda q, k: module(q, k, lengths), query, keys, parameters=module.parameters(), order=1 + (lengths is None))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_attention_keeps_its_dtype(kind: str, dtype: Any) -> None:
    keys = numbers(S, BATCH, KEY).astype(dtype)
    for found in attention(kind, dtype=dtype)(numbers(T, BATCH, QUERY), keys, [1, 4]):
        assert found.dtype == dtype
        assert np.isfinite(found.data).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 4), 'keys of one size, not 3 and 4; use kind="general"'),
        ((3, 3, "bilinear"), "kind must be one of dot, general, additive, not 'bilinear'"),
        ((0, 3, "general"), "query_size"),
    ],
)
def test_wrong_attention(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rnn.Attention(*arguments)
    with pytest.raises(ValueError, match='hidden_size is for kind="additive"'):
        rnn.Attention(3, 3, hidden_size=2)
    for scale in (float("nan"), "large"):
        with pytest.raises(ValueError, match=f"scale is {scale!r}; expected a finite number"):
            rnn.Attention(3, 3, scale=scale)  # type: ignore[arg-type]
    for query, keys in (((2, 2, 3), (5, 3)), ((2, 2, 3), (0, 2, 3)), ((3, 3), (5, 2, 3)), ((2, 2, 4), (5, 2, 3))):
        with pytest.raises(ValueError, match="expected"):
            rnn.Attention(3, 3)(np.ones(query), np.ones(keys))


# -- over the states of an encoder -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_that_attends_is_the_wiring_by_hand(kind: str) -> None:
    model = translator(kind, rnn.LSTM)
    found = model(SOURCE, TARGETS, [4, 2])
    states, last = model.encoder(SOURCE, lengths=[4, 2])
    inputs = np.eye(SYMBOLS)[np.concatenate([[[SYMBOLS - 1] * BATCH], TARGETS[:-1]])]
    output, _ = model.decoder(inputs, last)
    context, weights = model.attention(output, states, [4, 2])
    expected = model.readout(mg.concatenate([output, context], -1))
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-12)
    seen = model.attention_weights(SOURCE, TARGETS, [4, 2])
    np.testing.assert_allclose(seen, weights.data, rtol=1e-12)
    assert seen.shape == (BATCH, T, S)
    assert not seen[1, :, 2:].any()
    said = model.generate(SOURCE, T, [4, 2])
    np.testing.assert_array_equal(model(SOURCE, said, [4, 2]).data.argmax(-1), said)
    for b, length in enumerate([4, 2]):  # as each sequence alone
        alone = model(SOURCE[:length, b : b + 1], TARGETS[:, b : b + 1])
        np.testing.assert_allclose(found.data[:, b], alone.data[:, 0], rtol=1e-12)


def test_a_model_that_attends_is_checked_saved_and_loaded(tmp_path: Path) -> None:
    model = translator("additive")
    names = [f"attention.{name}" for name in ("weight_query", "weight_key", "vector")]
    assert [name for name in model.state_dict() if name.startswith("attention")] == names
    assert [p.name for p in model.attention.parameters()] == names
    rnn.save_weights(tmp_path / "weights.safetensors", model.state_dict())
    other = translator("additive")
    for p in other.parameters():
        p.data = p.data * 0
    other.load_state_dict(rnn.load_weights(tmp_path / "weights.safetensors")[0])
    np.testing.assert_array_equal(other(SOURCE, TARGETS).data, model(SOURCE, TARGETS).data)
    with pytest.raises(ValueError, match=r"has no attention; make it with EncoderDecoder\(\.\.\., attention=rnn"):
        translator(None).attention_weights(SOURCE, TARGETS)
    with pytest.raises(ValueError, match="targets must be below 5, as many as the decoder reads, not 6"):
        model.attention_weights(SOURCE, TARGETS + 3)
    parts = rnn.GRU(2, 3), rnn.GRU(SYMBOLS, 3)
    with pytest.raises(ValueError, match="has 3, and the context of the attention 3: give it 6"):
        rnn.EncoderDecoder(*parts, rnn.Linear(3, 5), start=0, attention=rnn.Attention(3, 3))
    with pytest.raises(ValueError, match="the attention has query_size=4 and key_size=3"):
        rnn.EncoderDecoder(*parts, rnn.Linear(6, 5), start=0, attention=rnn.Attention(4, 3, "general"))
    with pytest.raises(TypeError, match="must be an Attention\\(query_size, key_size, kind\\), not str"):
        rnn.EncoderDecoder(*parts, rnn.Linear(6, 5), start=0, attention="additive")  # type: ignore[arg-type]


# -- over earlier states -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [rnn.RNNCell, rnn.LSTMCell])
@pytest.mark.parametrize("window", [1, 3, 9])
def test_a_cell_that_attends_to_its_earlier_states_is_the_loop_by_hand(cell: Any, window: int) -> None:
    model = attentive("additive", cell, window)
    outer: Any = model.recurrent.cell
    inner, x = outer.cell, numbers(6, BATCH, 2)
    output, _ = model.recurrent.run(x)
    state = inner.initial_state(BATCH)
    states, weights = [state[0]] * window, np.zeros((BATCH, 6, window + 6))
    for t in range(6):
        context, a = outer.attention(state[0], mg.stack(states[-window:]))
        weights[:, t, t : t + window] = a.data
        state = inner.step(mg.concatenate([mg.tensor(x[t]), context], -1), state)
        states.append(state[0])
        np.testing.assert_allclose(output.data[t], state[0].data, rtol=1e-12)
    np.testing.assert_allclose(outer.weights(output), weights[..., window:], rtol=1e-12, atol=1e-15)
    _, middle = model.run(x[:2])  # in parts, and step by step
    np.testing.assert_allclose(model.run(x[2:], middle)[0].data, model(x).data[2:], rtol=1e-12)
    np.testing.assert_allclose(model.step(x[2], middle, 2)[0].data, model(x).data[2], rtol=1e-12)


def test_the_first_memory_is_the_learned_state_and_wrong_sizes_are_errors() -> None:
    inner = rnn.GRUCell(5, 3, learn_state=True, rng=0, **DOUBLE)
    inner.h0.data = np.array([1.0, 2.0, 3.0])
    *_, m = rnn.AttentionCell(inner, 2).initial_state(4)
    assert m.tolist() == [[1.0, 2.0, 3.0] * 2] * 4
    with pytest.raises(ValueError, match="more than the 3 of the context: input_size=3 \\+ the features of x"):
        rnn.AttentionCell(rnn.GRUCell(3, 3), 2)
    with pytest.raises(TypeError, match="needs a cell, such as GRUCell, not GRU"):
        rnn.AttentionCell(rnn.GRU(5, 3), 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the attention has query_size=4 and key_size=4"):
        rnn.AttentionCell(inner, 2, rnn.Attention(4, 4))
    with pytest.raises(TypeError, match=r"must be an Attention\(3, 3, kind\), not str"):
        rnn.AttentionCell(inner, 2, "dot")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window is 0"):
        rnn.AttentionCell(inner, 0)
    with pytest.raises(ValueError, match=r"outputs have shape \(3, 2\)"):
        rnn.AttentionCell(inner, 2).weights(np.ones((3, 2)))


# -- trained, compiled, measured ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_its_compiled_training_is_the_eager_one(name: str) -> None:
    histories, models = [], []
    for compiled in (True, False):
        model = MODELS[name]()
        trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.01), compile=compiled)
        histories.append(trainer.fit(rnn.Fixed(batch_of(model)), 4, progress=False).loss)
        models.append(model.state_dict())
        assert trainer.not_compiled == ("" if compiled else "compile=False")
    np.testing.assert_allclose(*histories, rtol=1e-10)
    for key, values in models[0].items():
        np.testing.assert_allclose(values, models[1][key], rtol=1e-8, atol=1e-10)


class Nudged(rnn.GRUCell):
    """A GRU cell that adds a constant to its output at one of its calls."""

    at, nudge, calls = -1, 0.0, 0

    def step(self, x: mg.Tensor, state: Any) -> Any:
        (h,) = super().step(x, state)
        self.calls += 1
        return (h + self.nudge if self.calls - 1 == self.at else h,)


@pytest.mark.parametrize("name", ["translator", "attentive"])
def test_gradient_flow_counts_the_paths_of_attention(name: str) -> None:
    if name == "translator":
        model: Any = translator("general")
        model.encoder = rnn.Recurrent(Nudged(2, KEY, rng=3, **DOUBLE))
        cell = model.encoder.cell
    else:
        model = attentive("additive", Nudged, window=3)
        cell = model.recurrent.cell.cell
    batch = batch_of(model)
    flow = rnn.gradient_flow(model, batch)
    for k in range(S - 1):

        def loss(nudge: Any, k: int = k) -> Any:
            cell.at, cell.nudge, cell.calls = k, nudge, 0
            return rnn.sequence_loss("cross_entropy", model.predict_batch(batch)[0], batch.targets).total

        slope = np.zeros((BATCH, KEY))
        for place in np.ndindex(slope.shape):
            step = np.zeros_like(slope)
            step[place] = 1e-5
            slope[place] = (loss(step).item() - loss(-step).item()) / 2e-5
        np.testing.assert_allclose(flow.norms["h"][0, k], np.linalg.norm(slope), rtol=1e-6)
    cell.at = -1
    without = {**flow.shares}
    parts = rnn.gradient_flow(model, batch, gradients=True).gradients
    model.zero_grad()
    loss(0.0).backward()
    for key, p in model.named_parameters():
        np.testing.assert_allclose(parts[key].sum(axis=0), p.grad, rtol=1e-8, atol=1e-12)
    assert all((share > 0).any() for key, share in without.items() if "attention" in key)


def test_attention_shortens_the_way_of_the_gradient() -> None:
    """Without it the loss of the last symbol reaches the first state through every state between them."""
    model = translator("general", rnn.RNN)
    for part in (model.encoder, model.decoder):
        part.cell.weight_hh.data = part.cell.weight_hh.data * 0
    flow = rnn.gradient_flow(model, numbers(S, BATCH, 2), TARGETS)
    assert (flow.norms["h"][0, :S] > 1e-3).all()
    model.attention.scale = 0.0
    model.readout.weight.data = model.readout.weight.data * (np.arange(2 * KEY) < KEY)
    assert not rnn.gradient_flow(model, numbers(S, BATCH, 2), TARGETS).norms["h"][0, :S].any()


def test_a_copy_attends_alike() -> None:
    model = translator("additive", teacher_forcing=rnn.forcing.exponential(0.9), rng=0)
    other = copy.deepcopy(model)
    np.testing.assert_array_equal(other(SOURCE, TARGETS).data, model(SOURCE, TARGETS).data)
