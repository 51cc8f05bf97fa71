"""The gradient's way back through time, against backpropagation written out by hand with Jacobians, and finite differences."""

import importlib.util
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.watch import WATCH, Watch
from minigrad_rnn.flow import GradientRecorder, compare, gradient_flow, norm

TASK = rnn.tasks.hello()
SYMBOLS, H = 3, 4
KINDS = ["tanh", "relu", "sigmoid", "LSTM", "GRU"]


def layer(kind: str, hidden: int = H, *, dtype=np.float64, symbols: int = SYMBOLS, **options) -> rnn.Recurrent:
    if kind in ("LSTM", "GRU"):
        return getattr(rnn, kind)(symbols, hidden, dtype=dtype, rng=0, **options)
    return rnn.RNN(symbols, hidden, nonlinearity=kind, dtype=dtype, rng=0, **options)


def network(kind: str, hidden: int = H, *, dtype=np.float64, symbols: int = SYMBOLS, **options) -> rnn.Sequence:
    made = layer(kind, hidden, dtype=dtype, symbols=symbols, **options)
    return rnn.Sequence(made, rnn.Linear(made.output_size, symbols, dtype=dtype, rng=1))


def sequences(T: int, batch: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((T, batch, SYMBOLS)), rng.integers(SYMBOLS, size=(T, batch))


# -- by hand ---------------------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def step_by_hand(kind: str, W: dict, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple:
    """One step of one sequence: h', c', the Jacobian of the state by the state before, dh'/dc', and what else there is."""
    pre, hid = W["weight_ih"] @ x + W["bias_ih"], W["weight_hh"] @ h + W["bias_hh"]
    R = W["weight_hh"]
    n = len(h)
    if kind == "LSTM":
        i, f, g, o = np.split(pre + hid, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new_c = f * c + i * g
        th = np.tanh(new_c)
        di, df, do = (np.diag(s * (1 - s)) @ R[k * n : (k + 1) * n] for s, k in ((i, 0), (f, 1), (o, 3)))
        dg = np.diag(1 - g * g) @ R[2 * n : 3 * n]
        c_by_h, through = np.diag(g) @ di + np.diag(c) @ df + np.diag(i) @ dg, np.diag(o * (1 - th * th))
        J = np.block([[np.diag(th) @ do + through @ c_by_h, through @ np.diag(f)], [c_by_h, np.diag(f)]])
        return o * th, new_c, J, through, {"i": i, "f": f, "g": g, "o": o, "tanh(c)": th}
    if kind == "GRU":
        (xr, xz, xn), (hr, hz, hn) = np.split(pre, 3), np.split(hid, 3)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        new = np.tanh(xn + r * hn)
        dr, dz = np.diag(r * (1 - r)) @ R[:n], np.diag(z * (1 - z)) @ R[n : 2 * n]
        dn = np.diag(1 - new * new) @ (np.diag(hn) @ dr + np.diag(r) @ R[2 * n :])
        J = np.diag(z) + np.diag(h - new) @ dz + np.diag(1 - z) @ dn
        return (1 - z) * new + z * h, c, J, np.zeros((n, 0)), {"r": r, "z": z, "n": new}
    a = pre + hid
    y = {"tanh": np.tanh(a), "relu": np.maximum(a, 0), "sigmoid": sigmoid(a)}[kind]
    slope = {"tanh": 1 - y * y, "relu": (a > 0) * 1.0, "sigmoid": y * (1 - y)}[kind]
    return y, c, np.diag(slope) @ R, np.zeros((n, 0)), {"h": y, "slope": slope}


class ByHand:
    """Everything about one layer and a readout, for each sequence on its own, with the loss summed over steps and batch."""

    def __init__(self, kind: str, model: rnn.Sequence, x: np.ndarray, y: np.ndarray, at: dict | None = None) -> None:
        W = {name.removeprefix("recurrent.").removesuffix("_l0"): a for name, a in model.state_dict().items()}
        self.T, self.B, n = *y.shape, W["weight_hh"].shape[1]
        self.n, self.size = n, 2 * n if kind == "LSTM" else n
        self.J = np.zeros((self.T, self.B, self.size, self.size))
        self.through = np.zeros((self.T, self.B, n, self.size - n))
        self.G = np.zeros((self.T, self.B, self.size))
        self.h, self.losses = np.zeros((self.T + 1, self.B, n)), np.zeros(self.T)
        self.more = [[{}] * self.B for _ in range(self.T)]
        for b in range(self.B):
            c = np.zeros(n)
            for t in range(self.T):
                now = W if at is None or t not in at else W | at[t]
                self.h[t + 1, b], c, self.J[t, b], self.through[t, b], self.more[t][b] = step_by_hand(
                    kind, now, x[t, b], self.h[t, b], c
                )
                logits = now["readout.weight"] @ self.h[t + 1, b] + now["readout.bias"]
                p = np.exp(logits) / np.exp(logits).sum()
                self.losses[t] -= np.log(p[y[t, b]]) / y.size
                p[y[t, b]] -= 1
                self.G[t, b, :n] = now["readout.weight"].T @ p / y.size

    def back(self, t: int, G: np.ndarray) -> np.ndarray:
        """From the cotangent of the state after step t to that of the state before it, of each sequence."""
        return np.einsum("bij,bi->bj", self.J[t], G)

    def parts(self, t: int, G: np.ndarray) -> tuple[float, float]:
        """|dL/dh[t]| and |dL/dc[t]|: the memory also acts through the output of its own step."""
        memory = G[:, self.n :] + np.einsum("bij,bi->bj", self.through[t], G[:, : self.n])
        return np.linalg.norm(G[:, : self.n]), np.linalg.norm(memory)

    def totals(self) -> list[np.ndarray]:
        A = [self.G[-1]]
        for t in range(self.T - 1, 0, -1):
            A.insert(0, self.G[t - 1] + self.back(t, A[0]))
        return A


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("T", "batch"), [(1, 1), (7, 1), (6, 3)])
def test_every_number_is_that_of_backpropagation_by_hand(kind, T, batch):
    model = network(kind)
    x, y = sequences(T, batch)
    flow = gradient_flow(model, x, y)
    hand = ByHand(kind, model, x, y)
    close = {"rtol": 1e-11, "atol": 1e-14}
    np.testing.assert_allclose(flow.losses, hand.losses, **close)
    A = hand.totals()
    np.testing.assert_allclose(flow.norms["h"][0], [hand.parts(t, A[t])[0] for t in range(T)], **close)
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    if kind == "LSTM":
        np.testing.assert_allclose(flow.norms["c"][0], [hand.parts(t, A[t])[1] for t in range(T)], **close)
    for t in range(T):
        G = hand.G[t]
        for k in range(t, -1, -1):
            for state, expected in zip(states, hand.parts(k, G), strict=False):
                assert flow.matrix[state][0, t, k] == pytest.approx(expected, rel=1e-11)
            G = hand.back(k, G)
        for state in states:
            assert (flow.matrix[state][0, t, t + 1 :] == 0).all()
    assert np.isnan(flow.gains["total"][0, 0])
    for t in range(1, T):
        gain = np.linalg.norm(hand.back(t, A[t])) / np.linalg.norm(A[t])
        assert flow.gains["total"][0, t] == pytest.approx(gain, rel=1e-11)
        more = {name: np.array([m[name] for m in hand.more[t]]) for name in hand.more[t][0]}
        if kind == "LSTM":
            S = A[t][:, H:] + np.einsum("bij,bi->bj", hand.through[t], A[t][:, :H])
            assert flow.gains["carry"][0, t] == pytest.approx(np.linalg.norm(more["f"] * S) / np.linalg.norm(S), rel=1e-11)
        elif kind == "GRU":
            assert flow.gains["carry"][0, t] == pytest.approx(
                np.linalg.norm(more["z"] * A[t]) / np.linalg.norm(A[t]), rel=1e-11
            )
        else:
            d = np.linalg.norm(more["slope"] * A[t])
            assert flow.gains["activation"][0, t] == pytest.approx(d / np.linalg.norm(A[t]), rel=1e-11)
            assert flow.gains["weight"][0, t] == pytest.approx(gain * np.linalg.norm(A[t]) / d, rel=1e-11)
            assert np.isnan(flow.gains["carry"]).all()
    left = [
        sum(flow.matrix[states[-1]][0, t, t - d] for t in range(d, T))
        / sum(flow.matrix[states[-1]][0, t, t] for t in range(d, T))
        for d in range(T)
    ]
    np.testing.assert_allclose(flow.decay(), left, rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_and_saturation(kind):
    model = network(kind)
    for p in model.recurrent.parameters():
        p.data = p.data * 6
    x, y = sequences(5, 3)
    flow, hand = gradient_flow(model, x, y), ByHand(kind, model, x, y)
    seen = 0.0
    for t in range(5):
        more = {name: np.array([m[name] for m in hand.more[t]]) for name in hand.more[t][0]}
        for name, v in more.items():
            if name == "slope":
                continue
            if name in ("g", "n", "tanh(c)") or kind == "tanh":
                expected = np.mean(1 - v * v < 0.1)
            elif kind == "relu":
                expected = np.mean(v == 0)
            else:
                expected = np.mean(4 * v * (1 - v) < 0.1)  # of its largest slope, 1/4
            assert flow.saturation[name][0, t] == pytest.approx(expected)
            seen += expected
            if name not in ("h", "tanh(c)"):
                assert flow.gates[name][0, t] == pytest.approx(v.mean())
    assert seen > 0
    assert set(flow.gates) == {"LSTM": {"i", "f", "g", "o"}, "GRU": {"r", "z", "n"}}.get(kind, set())


@pytest.mark.parametrize("kind", KINDS)
def test_the_share_of_a_step_is_the_slope_by_the_weights_of_that_step_alone(kind):
    model = network(kind, hidden=2)
    x, y = sequences(4, 2)
    flow = gradient_flow(model, x, y, gradients=True)
    W = {name.removeprefix("recurrent.").removesuffix("_l0"): a for name, a in model.state_dict().items()}
    for name in ("weight_hh", "bias_ih", "readout.weight"):
        share = flow.gradients[name if name in flow.gradients else f"recurrent.{name}_l0"]
        for t in range(4):
            for index in list(np.ndindex(W[name].shape))[::3]:
                losses = []
                for eps in (1e-5, -1e-5):
                    moved = W[name].copy()
                    moved[index] += eps
                    losses.append(ByHand(kind, model, x, y, {t: {name: moved}}).losses.sum())
                assert share[(t, *index)] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        *(lambda kind=kind: network(kind, num_layers=2) for kind in KINDS),
        lambda: network("LSTM", peepholes=True, proj_size=2, learn_state=True),
        lambda: network("GRU", reset_after=False, learn_state=True, bias=False),
        lambda: rnn.Sequence(
            rnn.Recurrent(
                rnn.RNNCell(SYMBOLS, H, dtype=np.float64, rng=0), rnn.LSTMCell(H, 5, bias="single", dtype=np.float64, rng=1)
            ),
            rnn.Sequential(rnn.Linear(5, H, dtype=np.float64, rng=2), mg.tanh, rnn.Linear(H, SYMBOLS, dtype=np.float64, rng=3)),
        ),
    ],
)
def test_the_shares_add_up_to_the_gradient(make):
    model = make()
    x, y = sequences(6, 2)
    flow = gradient_flow(model, x, y, gradients=True)
    rnn.sequence_cross_entropy(model(x), y).total.backward()
    named = dict(model.named_parameters())
    assert set(flow.gradients) == set(flow.shares) == set(named)
    for name, p in named.items():
        np.testing.assert_allclose(flow.gradients[name].sum(0), p.grad, rtol=1e-12, atol=1e-16, err_msg=name)
        np.testing.assert_allclose(flow.shares[name], [np.linalg.norm(part) for part in flow.gradients[name]], rtol=1e-13)
        assert flow.gradients[name].shape == (6, *p.shape)
    for name in set(named) & {"recurrent.h0_l0", "recurrent.c0_l0"}:
        assert flow.shares[name][0] > 0
        assert not flow.shares[name][1:].any()


@pytest.mark.parametrize(
    ("kind", "options"), [*((k, {}) for k in KINDS), ("LSTM", {"peepholes": True}), ("LSTM", {"proj_size": 2})]
)
def test_two_layers_against_finite_differences(kind, options):
    model = network(kind, hidden=3, num_layers=2, **options)
    x, y = sequences(4, 1)

    def losses(k: int, at: int, move: np.ndarray) -> np.ndarray:
        """The L_t if the state h of layer k is moved after step `at`."""
        states = [layer[0].initial_state(1) for layer in model.recurrent.cells]
        found = []
        for t in range(4):
            below = mg.tensor(x[t])
            for number, (cell,) in enumerate(model.recurrent.cells):
                new = cell.step(below, states[number])
                if (number, t) == (k, at):
                    new = (new[0] + move, *new[1:])
                states[number], below = new, new[0]
            found.append(mg.cross_entropy(model.readout(below), y[t], reduction="sum").item() / 4)
        return np.array(found)

    flow = gradient_flow(model, x, y)
    for k in (0, 1):
        for at in range(4):
            units = np.eye(flow.cells[k].state_sizes[0])[:, None] * 1e-5
            slopes = np.array([(losses(k, at, u) - losses(k, at, -u)) / 2e-5 for u in units])
            np.testing.assert_allclose(flow.matrix["h"][k, :, at], np.linalg.norm(slopes, axis=0), rtol=2e-6, atol=1e-10)
            assert flow.norms["h"][k, at] == pytest.approx(np.linalg.norm(slopes.sum(1)), rel=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["tanh", "relu", "sigmoid"]), scale=st.floats(0.01, 30), seed=st.integers(0, 2**20),
    T=st.integers(1, 9), layers=st.integers(1, 2),
)  # fmt: skip
def test_no_gain_is_above_the_bound(kind, scale, seed, T, layers):
    model = network(kind, num_layers=layers)
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.data = scale * rng.standard_normal(p.shape)
    flow = gradient_flow(model, *sequences(T, 2, seed))
    s = [np.linalg.norm(layer[0].weight_hh.data, 2) for layer in model.recurrent.cells]
    np.testing.assert_allclose(flow.bound, np.array(s) * (0.25 if kind == "sigmoid" else 1), rtol=1e-12)
    gains = flow.gains["total"]
    assert (np.isnan(gains) | (gains <= flow.bound[:, None] * (1 + 1e-12))).all()
    M, hops = flow.matrix["h"][-1], np.arange(T)[:, None] - np.arange(T)
    with np.errstate(over="ignore"):
        allowed = np.where(hops < 0, 0.0, flow.bound[-1] ** np.maximum(hops, 0)) * np.diagonal(M)[:, None]
    np.testing.assert_array_less(M, allowed * (1 + 1e-10) + 1e-320)
    left = flow.decay()
    assert (np.isnan(left) | (left <= flow.bound[-1] ** np.arange(T) * (1 + 1e-10))).all()
    for kind_of in ("activation", "weight"):
        assert np.nanmax(flow.gains[kind_of], initial=0) <= max(1.0, *s) * (1 + 1e-12)


def test_the_identity_and_relu_pass_the_gradient_on_as_it_is():
    model = network("relu", bias=False)
    model.recurrent.weight_hh_l0.data = np.eye(H)
    model.recurrent.weight_ih_l0.data = abs(model.recurrent.weight_ih_l0.data)
    x, y = sequences(9)
    flow = gradient_flow(model, abs(x), y)
    for kind in ("total", "activation", "weight"):
        assert (flow.gains[kind][0, 1:] == 1).all()
    np.testing.assert_allclose(flow.decay(), 1, rtol=1e-15)
    assert flow.half_life() == np.inf
    assert flow.bound == 1
    assert flow.spectral_radius[0] == 1


def test_a_gradient_that_is_halved_at_every_hop_has_a_half_life_of_one_step():
    model = network("relu", bias=False)
    model.recurrent.weight_hh_l0.data = np.eye(H) / 2
    model.recurrent.weight_ih_l0.data = abs(model.recurrent.weight_ih_l0.data)
    x, y = sequences(12)
    flow = gradient_flow(model, abs(x), y)
    assert flow.half_life() == pytest.approx(1, rel=1e-12)
    model.recurrent.weight_hh_l0.data = np.eye(H) * 0.5**0.1
    assert gradient_flow(model, abs(x), y).half_life() == pytest.approx(10, rel=1e-9)


def test_numbers_of_1e_300_have_ratios():
    model = network("relu", bias=False)
    model.recurrent.weight_hh_l0.data = 1e-20 * np.eye(H)
    model.recurrent.weight_ih_l0.data = abs(model.recurrent.weight_ih_l0.data)
    x, y = sequences(17)
    x, y = abs(x), np.where(np.arange(17)[:, None] == 16, y, rnn.IGNORED)
    flow = gradient_flow(model, x, y)
    assert flow.norms["h"][0, 1] < 1e-299
    assert flow.norms["h"][0, 1] > 0
    for kind in ("total", "activation", "weight"):
        np.testing.assert_allclose(flow.gains[kind][0, 2:], 1 if kind == "activation" else 1e-20, rtol=1e-9)
    assert np.isfinite(flow.decay()[1:]).all()
    assert flow.half_life() == pytest.approx(-1 / np.log2(1e-20), rel=1e-6)
    assert norm([np.array([3e-300, 4e-300])]) == pytest.approx(5e-300)
    assert (norm([np.zeros(3)]), norm([np.array([np.inf, 1.0])])) == (0.0, np.inf)


def test_where_nothing_arrives_there_is_no_gain():
    model = network("relu")
    for name, p in model.named_parameters():
        p.data = np.full(p.shape, -1.0) if name.startswith("recurrent") else np.zeros(p.shape)
    x, y = sequences(5)
    flow = gradient_flow(model, abs(x), y)
    assert (flow.norms["h"] == 0).all()
    assert np.isnan(flow.gains["total"]).all()
    assert np.isnan(flow.half_life())
    assert (flow.saturation["h"] == 1).all()
    assert "relu" in flow.table()


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_near_and_stays(kind):
    x, y = sequences(6)
    small, large = (network(kind, dtype=dtype) for dtype in (np.float32, np.float64))
    small.load_state_dict(large.state_dict())
    a, b = (gradient_flow(model, x, y, gradients=True) for model in (small, large))
    np.testing.assert_allclose(a.matrix["h"], b.matrix["h"], rtol=2e-4, atol=1e-9)
    np.testing.assert_allclose(a.gains["total"], b.gains["total"], rtol=2e-4)
    assert a.gradients["recurrent.weight_hh_l0"].dtype == np.float32
    assert all(array.dtype == np.float64 for array in (*a.norms.values(), *a.matrix.values(), *a.shares.values()))


@pytest.mark.parametrize("kind", ["tanh", "LSTM"])
def test_the_sweep_of_a_step_is_linear_in_its_number(kind):
    visits = []

    class Count(Watch):
        def entering(self, node):
            visits[-1] += node.scope is not None and "layer" in node.scope

    def counted(T: int) -> int:
        visits.append(0)
        WATCH.append(count := Count())
        try:
            with mg.debug():
                gradient_flow(network(kind), *sequences(T))
        finally:
            WATCH.remove(count)
        return visits[-1]

    totals = [counted(T) for T in range(2, 9)]
    assert not np.diff(totals, n=3).any()  # T sweeps of at most T steps: quadratic
    assert np.diff(totals, n=2)[0] > 0


def test_the_matrix_takes_a_sweep_for_each_step(monkeypatch):
    modules = [importlib.import_module(name) for name in ("minigrad_rnn.flow", "minigrad_rnn.stepwise")]
    calls = Counter()

    def counting(*args, **options):
        calls["sweeps"] += 1
        return original(*args, **options)

    original = modules[0].reverse
    for module in modules:
        monkeypatch.setattr(module, "reverse", counting)
    gradient_flow(network("tanh"), *sequences(9))
    assert calls["sweeps"] == 1 + 9
    gradient_flow(network("tanh"), *sequences(9), matrix=False)
    assert calls["sweeps"] == 1 + 9 + 1


# -- models, losses, tasks -------------------------------------------------------------------------------------


def test_many_to_one_has_its_only_loss_at_the_last_step():
    task = rnn.tasks.temporal_order(12)
    made = rnn.LSTM(8, H, dtype=np.float64, rng=0)
    model = rnn.ManyToOne(made, rnn.Linear(H, 4, dtype=np.float64, rng=1))
    batch = task.data(3).batch(0)
    flow = gradient_flow(model, batch)
    total = rnn.sequence_loss("cross_entropy", model(batch.inputs), batch.targets).total
    assert flow.losses[-1] == pytest.approx(total.item())
    assert not flow.losses[:-1].any()
    assert not flow.matrix["h"][0, :-1].any()
    np.testing.assert_allclose(flow.matrix["h"][0, -1], flow.norms["h"][0], rtol=1e-14)
    total.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", ["sine", "parity", "copy_memory", "hello", "embedded_reber"])
def test_a_task_is_measured_by_the_loss_that_a_trainer_minimises(name):
    task = getattr(rnn.tasks, name)()
    model = rnn.Sequence(
        rnn.GRU(task.input_size, H, dtype=np.float64, rng=0), rnn.Linear(H, task.output_size, dtype=np.float64, rng=1)
    )
    flow = gradient_flow(model, task, gradients=True)
    batch = task.data().batch(0)
    loss = rnn.sequence_loss(task.loss, model(batch.inputs, batch.lengths), batch.targets)
    np.testing.assert_allclose(flow.losses, loss.steps, rtol=1e-10, atol=1e-16)
    loss.total.backward()
    for key, p in model.named_parameters():
        np.testing.assert_allclose(flow.gradients[key].sum(0), p.grad, rtol=1e-9, atol=1e-15)


def test_the_sum_over_steps_is_the_mean_times_the_steps():
    model = network("tanh")
    x, y = sequences(5, 3)
    mean, total = gradient_flow(model, x, y), gradient_flow(model, x, y, reduction="sum")
    np.testing.assert_allclose(total.norms["h"], 5 * mean.norms["h"], rtol=1e-13)
    np.testing.assert_allclose(total.losses, rnn.sequence_cross_entropy(model(x), y, reduction="sum").steps, rtol=1e-13)
    np.testing.assert_allclose(total.gains["total"], mean.gains["total"], rtol=1e-12)


def test_an_embedding_has_shares_too():
    model = rnn.Sequence(
        rnn.RNN(2, H, dtype=np.float64, rng=0), rnn.Linear(H, SYMBOLS, dtype=np.float64, rng=1),
        embedding=rnn.Embedding(6, 2, dtype=np.float64, rng=2),
    )  # fmt: skip
    _, y = sequences(5)
    x = np.arange(10).reshape(5, 2) % 6
    flow = gradient_flow(model, x, y, gradients=True)
    rnn.sequence_cross_entropy(model(x), y).total.backward()
    np.testing.assert_allclose(flow.gradients["embedding.weight"].sum(0), model.embedding.weight.grad, rtol=1e-12)
    assert (np.abs(flow.gradients["embedding.weight"][0]).sum(1) > 0).tolist() == [True, True, False, False, False, False]


def test_the_model_is_left_as_it_was():
    model = network("LSTM", num_layers=2, dropout=0.5)
    model.recurrent.rng.bit_generator.state = before = model.recurrent.rng.bit_generator.state
    x, y = sequences(5)
    first, second = (gradient_flow(model, x, y) for _ in range(2))
    assert np.array_equal(first.matrix["h"], second.matrix["h"])
    assert model.recurrent.rng.bit_generator.state == before
    assert model.training
    assert model.recurrent.training
    assert all(p.grad is None for p in model.parameters())


def test_frozen_layers_are_measured_and_have_no_shares():
    model = network("tanh")
    x, y = sequences(5)
    whole = gradient_flow(model, x, y)
    for p in model.recurrent.parameters():
        p.requires_grad = False
    frozen = gradient_flow(model, x, y)
    np.testing.assert_allclose(frozen.matrix["h"], whole.matrix["h"], rtol=1e-14)
    assert set(frozen.shares) == {"readout.weight", "readout.bias"}


def test_numbers_are_found_by_short_names_and_parameters():
    model = network("LSTM", num_layers=2)
    flow = gradient_flow(model, *sequences(5), gradients=True)
    np.testing.assert_array_equal(flow.gain("total", layer=0), flow.gains["total"][0, 1:])
    assert np.isfinite(flow.gain()).all()
    shares = flow.shares
    for key in ("weight_hh_l1", model.recurrent.cells[1][0].weight_hh):
        assert shares[key] is shares["recurrent.weight_hh_l1"]
    assert flow.gradients[model.readout.bias] is flow.gradients["readout.bias"]
    assert gradient_flow(network("GRU"), *sequences(5)).shares["weight_hh"].shape == (5,)
    with pytest.raises(KeyError, match=r"one of recurrent.weight_hh_l0, recurrent.weight_hh_l1"):
        shares["weight_hh"]
    with pytest.raises(KeyError, match=r"'weight_xx' is none of recurrent.weight_ih_l0"):
        shares["weight_xx"]


def test_layers_of_different_cells_have_nan_where_a_state_is_missing():
    model = rnn.Sequence(
        rnn.Recurrent(rnn.LSTMCell(SYMBOLS, H, dtype=np.float64, rng=0), rnn.RNNCell(H, 5, dtype=np.float64, rng=1)),
        rnn.Linear(5, SYMBOLS, dtype=np.float64, rng=2),
    )
    flow = gradient_flow(model, *sequences(5))
    assert np.isnan(flow.norms["c"]).all(1).tolist() == [False, True]
    assert np.isnan(flow.matrix["c"]).all((1, 2)).tolist() == [False, True]
    assert np.isnan(flow.bound).tolist() == [True, False]
    assert [s.shape for s in flow.singular_values] == [(4, H), (1, 5)]
    assert flow.decay()[1] < 1
    assert "LSTMCell" in flow.table()


def test_singular_values_and_spectral_radius_of_each_gate():
    flow = gradient_flow(network("GRU"), *sequences(3))
    blocks = np.split(network("GRU").recurrent.weight_hh_l0.data, 3)
    np.testing.assert_allclose(flow.singular_values[0], [np.linalg.svd(W)[1] for W in blocks])
    np.testing.assert_allclose(flow.spectral_radius[0], [max(abs(np.linalg.eigvals(W))) for W in blocks])
    projected = gradient_flow(network("LSTM", proj_size=2), *sequences(3))
    assert np.isnan(projected.spectral_radius[0]).all()


# -- text, pictures, training ----------------------------------------------------------------------------------


def test_tables_hold_the_numbers():
    flow = gradient_flow(network("tanh"), *sequences(30))
    text = flow.table(rows=4)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["0", "9", "19", "29"]
    assert f"{flow.norms['h'][0, 29]:.3g}" in lines[5]
    assert f"{flow.half_life():.3g}" in lines[-1]
    assert gradient_flow(network("tanh"), *sequences(1)).table()
    both = compare({"tanh": flow, "short": gradient_flow(network("LSTM"), *sequences(4))})
    rows = both.table(hops=[1, 10]).splitlines()
    assert rows[0].split() == ["1", "step", "back", "10", "steps", "back", "half-life"]
    assert repr(both) == both.table()
    assert repr(flow) == flow.table(rows=6)
    assert repr(compare({"none": gradient_flow(network("tanh"), *sequences(4), matrix=False)}))
    assert rows[1].split() == ["tanh", *(f"{flow.decay()[d]:.3g}" for d in (1, 10)), f"{flow.half_life():.3g}"]
    assert rows[2].split()[2] == "nan"


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_plots_are_saved(tmp_path):
    for kind in ("tanh", "LSTM"):
        flow = gradient_flow(network(kind), *sequences(5))
        flow.plot(tmp_path / f"{kind}.png")
        gradient_flow(network(kind), *sequences(5), matrix=False).plot(tmp_path / f"{kind}.svg")
    compare({"a": flow, "b": gradient_flow(network("GRU"), *sequences(9))}).plot(tmp_path / "both.png")
    gradient_flow(network("tanh"), *sequences(1)).plot(tmp_path / "one.png")
    assert len(list(tmp_path.iterdir())) == 6


def test_the_recorder_measures_every_so_many_updates():
    def trained(recorded: bool) -> tuple[rnn.Sequence, GradientRecorder | None]:
        model = network("LSTM", symbols=5)
        recorder = GradientRecorder(model, TASK, every=4) if recorded else None
        trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1))
        trainer.fit(TASK, epochs=10, after_update=recorder, progress=False)
        return model, recorder

    model, recorder = trained(True)
    assert recorder.updates == [0, 4, 8]
    assert recorder.norms["c"].shape == (3, 1, 6)
    np.testing.assert_array_equal(recorder.norms["h"][0], gradient_flow(network("LSTM", symbols=5), TASK).norms["h"])
    for a, b in zip(model.parameters(), trained(False)[0].parameters(), strict=True):
        assert np.array_equal(a.data, b.data)


# -- what is refused -------------------------------------------------------------------------------------------


def diverged(model):
    model.recurrent.cell.weight_hh.data = np.full_like(model.recurrent.cell.weight_hh.data, np.inf)
    return model


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, x, y: gradient_flow(m, x), ValueError, "give targets after the inputs, or a task"),
        (lambda m, x, y: gradient_flow(m.recurrent, x, y), TypeError, r"rnn.Sequence\(layer, rnn.Linear\(...\)\), not RNN"),
        (lambda m, x, y: gradient_flow(network("tanh", bidirectional=True), x, y), ValueError, "bidirectional=False"),
        (lambda m, x, y: gradient_flow(m, x[:0], y[:0]), ValueError, r"T=0 steps; a sequence needs"),
        (lambda m, x, y: gradient_flow(m, x[:, 0], y), ValueError, r"shape \(4, 3\); expected \(T, batch, input_size=3\)"),
        (lambda m, x, y: gradient_flow(m, x[..., :2], y), ValueError, r"\(4, 2, 2\); expected \(T, batch, input_size=3\)"),
        (
            lambda m, x, y: gradient_flow(m, x, y[1:]),
            ValueError,
            r"targets have shape \(3, 2\), .* expected targets of shape \(4, 2\)",
        ),
        (lambda m, x, y: gradient_flow(m, x, y, loss="mse"), ValueError, r"expected targets of shape \(4, 2, 3\)"),
        (lambda m, x, y: gradient_flow(m, x, y * 0 - 100), ValueError, "every target is IGNORED"),
        (lambda m, x, y: gradient_flow(m, x, y, loss="hinge"), ValueError, "one of cross_entropy, mse, binary"),
        (lambda m, x, y: gradient_flow(m, x, y, reduction="max"), ValueError, "a reduction mean or sum"),
        (lambda m, x, y: mg.no_grad()(gradient_flow)(m, x, y), ValueError, r"outside of no_grad\(\)"),
        (lambda m, x, y: gradient_flow(m, x, y, matrix=False).decay(), ValueError, "measure with matrix=True"),
        (lambda m, x, y: gradient_flow(m, x, y).decay("c"), ValueError, "no matrix for 'c', only for \\['h'\\]"),
        (lambda m, x, y: gradient_flow(m, rnn.Batch(x, y), y), ValueError, "leave out the other targets"),
        (lambda m, x, y: gradient_flow(m, x, y).gain("h"), ValueError, "one of total, activation, weight, carry, not 'h'"),
        (lambda m, x, y: GradientRecorder(m, x, y, every=0), ValueError, "at least 1"),
        (lambda m, x, y: gradient_flow(diverged(m), x, y), ValueError, "weight_hh of layer 0 has infinite or NaN elements"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_words(call, error, words):
    with pytest.raises(error, match=words):
        call(network("tanh"), *sequences(4))


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_sequences_that_have_ended_do_not_change_the_gain(kind):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 2, 2)), rng.integers(4, size=(5, 2))
    model = rnn.Sequence(kind(2, 4, rng=0, dtype=float), rnn.Linear(4, 4, rng=1, dtype=float))
    alone = rnn.gradient_flow(model, x[:, :1], y[:, :1]).gain()
    np.testing.assert_allclose(rnn.gradient_flow(model, rnn.Batch(x, y, np.array([5, 1]))).gain(), alone, rtol=1e-12)
    short = rnn.gradient_flow(model, rnn.Batch(x, y, np.array([3, 1]))).gain()
    assert np.isfinite(short[:2]).all()
    assert np.isnan(short[2:]).all()  # nothing arrives there
