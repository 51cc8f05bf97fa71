"""gradient_flow(loss): of a loop that somebody wrote, against the gradients of its states taken one by one."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn import gradient_flow

OWN = runpy.run_path(str(Path(__file__).with_name("own_loops.py")))
PROGRAMS, elman, data, weights = (OWN[name] for name in ("PROGRAMS", "elman", "data", "weights"))
seq2seq = runpy.run_path(str(Path(__file__).parents[1] / "minigrad" / "zoo.py"))["seq2seq"]
BATCH, IN, HIDDEN, OUT = (OWN[name] for name in ("BATCH", "IN", "HIDDEN", "OUT"))


def norms_of(loss, states):
    return np.array([np.linalg.norm(g.data) for g in mg.grad(loss, states, retain_graph=True)])


@pytest.mark.parametrize("T", [3, 4, 6, 70])
@pytest.mark.parametrize("program", PROGRAMS)
def test_norms_are_the_gradients_of_the_states(program, T):
    loss, losses, states, names = program(T)
    flow = gradient_flow(loss, names=names, matrix=False)
    assert set(flow.norms) == set(states)
    for name, tensors in states.items():
        np.testing.assert_allclose(flow.norms[name][0], norms_of(loss, tensors), rtol=1e-12)
    np.testing.assert_allclose(flow.losses, [part.item() for part in losses], rtol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_matrix_is_the_gradient_of_each_part_of_the_loss(program):
    loss, losses, states, names = program(6)
    flow = gradient_flow(loss, names=names)
    for name, tensors in states.items():
        for t, part in enumerate(losses):
            expected = np.zeros(6)
            expected[: t + 1] = norms_of(part, tensors[: t + 1])
            np.testing.assert_allclose(flow.matrix[name][0, t], expected, rtol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_parts_of_a_weight_add_up_to_its_gradient(program):
    loss, _, _, names = program(6)
    flow = gradient_flow(loss, names=names, gradients=True)
    (W, V) = (names[name] for name in ("W" if "W" in names else "gates", "V"))
    for p in [*(W if isinstance(W, list) else [W]), V]:
        (g,) = mg.grad(loss, [p], retain_graph=True)
        np.testing.assert_allclose(flow.gradients[p].sum(axis=0), g.data, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(flow.shares[p], [np.linalg.norm(part) for part in flow.gradients[p]], rtol=1e-12)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_gains_are_those_of_the_jacobian(nonlinearity):
    f = {"tanh": np.tanh, "relu": mg.relu, "sigmoid": mg.sigmoid}[nonlinearity]
    slope = {"tanh": lambda h: 1 - h * h, "relu": lambda h: h > 0, "sigmoid": lambda h: h * (1 - h)}[nonlinearity]
    loss, _, states, names = elman(7, f)
    flow = gradient_flow(loss, names=names)
    W = names["W"].data
    for t, (h, g) in enumerate(zip(states["h"], mg.grad(loss, states["h"], retain_graph=True), strict=True)):
        if t:
            delta = slope(h.data) * g.data
            sizes = [np.linalg.norm(x) for x in (g.data, delta, delta @ W.T)]
            for kind, expected in {"activation": sizes[1] / sizes[0], "weight": sizes[2] / sizes[1]}.items():
                np.testing.assert_allclose(flow.gains[kind][0, t], expected, rtol=1e-12)
            np.testing.assert_allclose(flow.gains["total"][0, t], sizes[2] / sizes[0], rtol=1e-12)
    np.testing.assert_allclose(flow.singular_values[0][0], np.linalg.svd(W)[1])
    assert nonlinearity in flow.verdict()
    assert (flow.gain("total") <= flow.bound * (1 + 1e-12)).all()


@pytest.mark.parametrize("constant", ["no", "x[t]", "x[:, t]", "x[t] of a numpy array that is named"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_may_go_from_the_last_step_to_the_first(backwards, constant):
    T = 7
    (x, U, W) = weights((T, BATCH, IN), (IN, HIDDEN), (HIDDEN, HIDDEN))
    names = {"W": W}
    if "numpy" in constant:
        x = names["x"] = x.numpy()
    elif constant == "x[:, t]":
        whole = mg.tensor(x.numpy().swapaxes(0, 1))
        x = [whole[:, t] for t in range(T)]
    elif constant == "x[t]":
        x = x.detach()
    h, loss, states = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0, {}
    for t in reversed(range(T)) if backwards else range(T):
        h = states[t] = np.tanh(x[t] @ U + h @ W)
        loss = loss + (h * np.cos(t)).sum()
    flow = gradient_flow(loss, names=names | {"h": h})
    gs = dict(zip(states, mg.grad(loss, list(states.values()), retain_graph=True), strict=True))
    first = T - 1 if backwards else 0
    for t in range(T):
        np.testing.assert_allclose(flow.norms["h"][0, t], np.linalg.norm(gs[t].data), rtol=1e-12)
        np.testing.assert_allclose(flow.losses[t], (states[t].data * np.cos(t)).sum(), rtol=1e-12)
        back = ((1 - states[t].data ** 2) * gs[t].data) @ W.data.T
        expected = np.nan if t == first else np.linalg.norm(back) / np.linalg.norm(gs[t].data)
        np.testing.assert_allclose(flow.gains["total"][0, t], expected, rtol=1e-12)


def test_a_bound_is_told_where_there_is_one():
    x, _ = data(6)
    U, W = weights((IN, HIDDEN), (HIDDEN, HIDDEN))
    bounds = {}
    for name, step in {
        "skip": lambda x, h: np.tanh(x @ U + h @ W + h),
        "turned": lambda x, h: np.tanh(x @ U + h @ W.T),
        "linear": lambda x, h: x @ U + h @ W,
    }.items():
        h = mg.tensor(np.zeros((BATCH, HIDDEN)))
        for t in range(6):
            h = step(x[t], h)
        flow = gradient_flow((h * h).sum(), names={"h": h})
        bounds[name] = flow.bound[0]
        assert np.isnan(flow.gains["activation"]).all() == (name != "turned")
    assert np.isnan(list(bounds.values())).all()


def test_a_loop_that_goes_backwards_decays_backwards():
    x, U, W = weights((6, BATCH, IN), (IN, HIDDEN), (HIDDEN, HIDDEN))
    flows = []
    for order in (range(6), range(5, -1, -1)):
        h, loss = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0
        for t in order:
            h = np.tanh(x[t] @ U + h @ W)
            loss = loss + h.sum()
        flows.append(gradient_flow(loss, names={"h": h}))
    x.data = x.data[::-1].copy()
    h, loss = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0
    for t in range(6):
        h = np.tanh(x[t] @ U + h @ W)
        loss = loss + h.sum()
    turned = gradient_flow(loss, names={"h": h})
    np.testing.assert_allclose(flows[1].decay(), turned.decay(), rtol=1e-12)
    np.testing.assert_allclose(flows[1].gain()[::-1], turned.gain(), rtol=1e-12)
    assert flows[1].half_life() == pytest.approx(turned.half_life())


def test_a_decoder_goes_on_where_its_encoder_has_ended():
    x, _ = data(6)
    U, W, W2, V = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT))
    h, loss, hs, gs = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0, [], []
    for t in range(6):
        h = np.tanh(x[t] @ U + h @ W)
        hs.append(h)
    g = h
    for _ in range(5):
        g = np.tanh(g @ W2)
        gs.append(g)
        loss = loss + ((g @ V) ** 2).mean()
    flow = gradient_flow(loss, names={"h": h, "g": g})
    np.testing.assert_allclose(flow.norms["h"][0, :6], norms_of(loss, hs), rtol=1e-12)
    np.testing.assert_allclose(flow.norms["g"][1, 6:], norms_of(loss, gs), rtol=1e-12)
    assert np.isnan(flow.norms["h"][0, 6:]).all()
    assert np.isfinite(flow.losses[6:]).all()
    expected = [flow.matrix["g"][1][range(6 + d, 11), range(6, 11 - d)].sum() for d in range(5)]
    here = [flow.matrix["g"][1][range(6 + d, 11), range(6 + d, 11)].sum() for d in range(5)]
    np.testing.assert_allclose(flow.decay()[:5], np.divide(expected, here), rtol=1e-12)


@pytest.mark.parametrize(("T", "S"), [(4, 4), (5, 12), (12, 5)])
@pytest.mark.parametrize("attention", [None, "before"])
def test_the_flow_through_a_decoder_and_its_encoder_is_the_gradient_of_each_state(attention, T, S):
    loss, (hs, ss), _ = seq2seq(T, S, attention=attention)
    flow = gradient_flow(loss, names={"h": hs[-1], "s": ss[-1]})
    for name, states, layer, steps in (("h", hs, 0, range(T)), ("s", ss, 1, range(T, T + S))):
        np.testing.assert_allclose(flow.norms[name][layer, steps], norms_of(loss, states), rtol=1e-10)


def test_a_verdict_says_where_the_gradient_is_cut():
    x, _ = data(6)
    U, W = weights((IN, HIDDEN), (HIDDEN, HIDDEN))
    h, loss = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0
    for t in range(6):
        h = np.tanh(x[t] @ U + h @ W) if t != 3 else np.tanh(x[t] @ U + h.detach() @ W)
        loss = loss + h.sum()
    assert "at 1 step nothing comes back" in gradient_flow(loss, names={"h": h}).verdict()


class Leaky(rnn.Cell):
    state_names = ("s",)

    def step(self, x, state):
        (s,) = state
        return (0.5 * s + 0.5 * mg.tanh(self.affine(x, s)),)


def layer(kind):
    if kind is Leaky:
        return rnn.Recurrent(Leaky(IN, HIDDEN, dtype=np.float64, rng=0))
    kind, layers = (kind, 1) if isinstance(kind, str) else kind
    return getattr(rnn, kind)(IN, HIDDEN, layers, dtype=np.float64, rng=0)


@pytest.mark.parametrize("T", [6, 70])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", ("LSTM", 2), ("GRU", 3), Leaky])
def test_the_flow_of_a_model_is_that_of_the_loss_it_records(kind, T):
    model = rnn.Sequence(layer(kind), rnn.Linear(HIDDEN, OUT, dtype=np.float64, rng=1))
    x, _ = data(T)
    y = np.random.default_rng(2).integers(OUT, size=(T, BATCH))
    of_model = gradient_flow(model, x, y)
    of_loss = gradient_flow(rnn.sequence_cross_entropy(model(x), y).total)
    for name in of_model.norms:
        np.testing.assert_allclose(of_loss.norms[name], of_model.norms[name], rtol=1e-12)
        np.testing.assert_allclose(of_loss.matrix[name], of_model.matrix[name], rtol=1e-12, atol=1e-300)
    for kind, gains in of_model.gains.items():
        np.testing.assert_allclose(of_loss.gains[kind], gains, rtol=1e-12)
    for name, share in of_loss.shares.items():
        np.testing.assert_allclose(share, of_model.shares[name], rtol=1e-12)
    assert {f"recurrent.{name}" for name in of_loss.shares} == {n for n in of_model.shares if n.startswith("recurrent.")}
    np.testing.assert_allclose(of_loss.decay(), of_model.decay(), rtol=1e-10)


@pytest.mark.parametrize("T", [6, 40])
@pytest.mark.parametrize("readout", ["loss", "largest"])
def test_a_running_loss_is_no_state(readout, T):
    x, y = data(T)
    U, W, V = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT))
    h, loss, hs, parts = mg.tensor(np.zeros((BATCH, HIDDEN))), mg.tensor(0.0), [], []
    for t in range(T):
        h = np.tanh(x[t] @ U + h @ W)
        part = ((h @ V - y[t]) ** 2).mean()
        loss = 0.9 * loss + part if readout == "loss" else np.maximum(loss, part)
        hs.append(h)
        parts.append(part.item() * 0.9 ** (T - 1 - t))
    flow = gradient_flow(loss, names={"h": h}, matrix=False)
    assert set(flow.norms) == {"h"}
    np.testing.assert_allclose(np.nan_to_num(flow.norms["h"][0]), norms_of(loss, hs), rtol=1e-12)
    if readout == "loss":
        np.testing.assert_allclose(flow.losses, parts, rtol=1e-12)


@pytest.mark.parametrize("made", ["W.T", "exp(W)", "W @ W2", "W"])
def test_a_function_of_parameters_made_before_the_loop_has_shares(made):
    T = 6
    x, _ = data(T)
    U, W, W2 = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN))
    M = {"W.T": lambda: W.T, "exp(W)": lambda: np.exp(W - 2), "W @ W2": lambda: W @ W2, "W": lambda: W}[made]()
    h, loss = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0
    hs = [h.data]
    for t in range(T):
        h = np.tanh(x[t] @ U + h @ M)
        hs.append(h.data)
        loss = loss + (h * h).sum()
    flow = gradient_flow(loss, names={"h": h, "M": M, "U": U}, gradients=True)
    g, parts = np.zeros((BATCH, HIDDEN)), []
    for t in reversed(range(T)):
        d = (g + 2 * hs[t + 1]) * (1 - hs[t + 1] ** 2)
        parts.append(hs[t].T @ d)
        g = d @ M.data.T
    np.testing.assert_allclose(flow.gradients["M"], parts[::-1], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(flow.shares["M"], [np.linalg.norm(part) for part in parts[::-1]], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(flow.singular_values[0], [np.linalg.svd(M.data)[1]])
    assert set(flow.shares) == {"M", "U"}


def test_the_state_of_an_encoder_is_no_parameter_of_its_decoder():
    x, _ = data(6)
    U, W, W2, C = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN))
    h = g = mg.tensor(np.zeros((BATCH, HIDDEN)))
    for t in range(6):
        h = np.tanh(x[t] @ U + h @ W)
    for _ in range(6):
        g = np.tanh(g @ W2 + h @ C)
    flow = gradient_flow((g * g).sum(), names=locals())
    assert set(flow.shares) == {"U", "W", "W2", "C"}


@pytest.mark.parametrize("initial", ["an array for each", "a tensor for each", "one that is learnt"])
@pytest.mark.parametrize(("T", "N"), [(12, 2), (30, 3), (4, 20)])
def test_no_state_goes_from_one_sequence_to_the_next(T, N, initial):
    x = np.random.default_rng(0).normal(size=(N, T, BATCH, IN))
    U, W, V, h0 = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT), (BATCH, HIDDEN))
    loss, hs = 0.0, []
    for sequence in x:
        h = {"an array for each": np.zeros(h0.shape), "a tensor for each": mg.tensor(np.zeros(h0.shape))}.get(initial, h0)
        for t in range(T):
            h = np.tanh(sequence[t] @ U + h @ W)
            hs.append(h)
            loss = loss + ((h @ V) ** 2).mean()
    flow = gradient_flow(loss, matrix=False)
    (norms,) = flow.norms.values()
    np.testing.assert_allclose(norms, norms_of(loss, hs).reshape(N, T), rtol=1e-12)
    assert np.isnan(flow.gains["total"][:, 0]).all()
    assert (flow.gains["total"][:, 1:] > 0).all()


# -- steps that differ, such as those of `if t % 2` ----------------------------------------------------------------------


KINDS = ("halved", "loss", "more loss", "detached", "sigmoid", "sigmoid without inputs")


def uneven(kind, special):
    """A loss whose loop does something of its own at the special steps."""
    x, y = data(len(special))
    U, W, V, A = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT), (HIDDEN, HIDDEN))
    h, loss = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0
    for t, odd in enumerate(special):
        fed = 0.0 if "without" in kind else x[t] @ U
        h = mg.sigmoid(fed + h @ A) if odd and "sigmoid" in kind else np.tanh(fed + h @ W)
        h = h / 2 if odd and kind == "halved" else h
        loss = loss + ((h @ V - y[t]) ** 2).mean() if odd or kind != "loss" else loss
        loss = loss + (h * h).sum() if odd and kind == "more loss" else loss
        h = h.detach() if odd and kind == "detached" else h
    return loss, {"h": h, "W": W}


def backpropagated(kind, special):
    """|dL/dh[t]| of the same loss: NumPy alone."""
    x, y = data(len(special))
    U, W, V, A = (w.data for w in weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT), (HIDDEN, HIDDEN)))
    h, steps = np.zeros((BATCH, HIDDEN)), []
    for t, odd in enumerate(special):
        M = A if odd and "sigmoid" in kind else W
        a = h @ M + (0 if "without" in kind else x[t] @ U)
        h, slope = (1 / (1 + np.exp(-a)), np.exp(-a) / (1 + np.exp(-a)) ** 2) if M is A else (np.tanh(a), 1 / np.cosh(a) ** 2)
        h, slope = (h / 2, slope / 2) if odd and kind == "halved" else (h, slope)
        steps.append((h, slope, M))
    g, norms = np.zeros_like(h), []
    for (h, slope, M), target, odd in list(zip(steps, y, special, strict=True))[::-1]:
        g = np.zeros_like(g) if odd and kind == "detached" else g
        g = g + 2 * (h @ V - target) @ V.T / target.size if odd or kind != "loss" else g
        g = g + 2 * h if odd and kind == "more loss" else g
        norms.append(np.linalg.norm(g))
        g = (slope * g) @ M.T
    return norms[::-1]


@st.composite
def patterns(draw):
    """Which steps are special: a pattern of one to five steps, three times or more."""
    pattern = draw(st.lists(st.booleans(), min_size=1, max_size=5).filter(any))
    return [pattern[t % len(pattern)] for t in range(draw(st.integers(3 * len(pattern) + 3, 40)))]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5 + settings().max_examples // 2)
@given(special=patterns())
def test_an_iteration_is_one_step_whatever_differs_from_step_to_step(kind, special):
    if kind == "detached" and all(special):
        return  # no state
    while kind == "loss" and not special[-1]:
        special.pop()  # the loss does not depend on these steps
    loss, names = uneven(kind, special)
    flow = gradient_flow(loss, names=names, matrix=False)
    (norms,) = flow.norms.values()
    np.testing.assert_allclose(np.nan_to_num(norms), [backpropagated(kind, special)], rtol=1e-12)


def test_what_has_no_loop_is_refused():
    (W,) = weights((3, 3))
    with pytest.raises(ValueError, match=r"no loop that carries a state.*print\(minigrad.loops\(loss\)\)"):
        gradient_flow(np.tanh(np.ones(3) @ W).sum())
    with pytest.raises(ValueError, match=r"one number, a loss; this tensor has shape \(3,\)"):
        gradient_flow(np.tanh(np.ones(3) @ W))
    with pytest.raises(ValueError, match="it depends on nothing that requires grad"):
        gradient_flow(mg.tensor(1.0))
    with pytest.raises(TypeError, match="takes a loss alone"):
        gradient_flow(W.sum(), np.ones(3))
    for names in ([W], "h", {1: W}):
        with pytest.raises(TypeError, match=r"names is a dict from names to tensors, such as locals\(\)"):
            gradient_flow(elman(6)[0], names=names)
    loss, *_ = elman(6)
    loss.backward()
    with pytest.raises(mg.GraphFreedError):
        gradient_flow(loss)
