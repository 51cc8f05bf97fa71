"""gradient_flow(loss): of a loop that somebody wrote, against the gradients of its states taken one by one."""

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn import gradient_flow

BATCH, IN, HIDDEN, OUT = 2, 3, 4, 2


def weights(*shapes):
    rng = np.random.default_rng(1)
    return [mg.tensor(rng.normal(size=shape) / 2, requires_grad=True) for shape in shapes]


def data(T):
    rng = np.random.default_rng(0)
    return rng.normal(size=(T, BATCH, IN)), rng.normal(size=(T, BATCH, OUT))


# Each program gives the loss, its parts, and by name the states.


def elman(T, nonlinearity=np.tanh):
    x, y = data(T)
    U, W, V, b = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT), (HIDDEN,))
    h, losses, hs = mg.tensor(np.zeros((BATCH, HIDDEN))), [], []
    loss = 0.0
    for t in range(T):
        h = nonlinearity(x[t] @ U + h @ W + b)
        hs.append(h)
        losses.append(((h @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs}, locals()


def columns(T):
    """As min-char-rnn has it: a matrix on the left, a column."""
    x, y = data(T)
    U, W, V = weights((HIDDEN, IN), (HIDDEN, HIDDEN), (OUT, HIDDEN))
    h, losses, hs = mg.tensor(np.zeros((HIDDEN, BATCH))), [], []
    for t in range(T):
        h = np.tanh(U @ x[t].T + W @ h)
        hs.append(h)
        losses.append(((V @ h - y[t].T) ** 2).mean())
    loss = sum(losses)
    return loss, losses, {"h": hs}, locals()


def lstm(T):
    x, y = data(T)
    V, *gates = weights((HIDDEN, OUT), *[(IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,)] * 4)
    h = c = mg.tensor(np.zeros((BATCH, HIDDEN)))
    loss, losses, hs, cs = 0.0, [], [], []
    for t in range(T):
        i, f, g, o = (x[t] @ gates[k] + h @ gates[k + 1] + gates[k + 2] for k in range(0, 12, 3))
        c = mg.sigmoid(f) * c + mg.sigmoid(i) * np.tanh(g)
        h = mg.sigmoid(o) * np.tanh(c)
        hs.append(h)
        cs.append(c)
        losses.append(((h @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs, "c": cs}, locals()


def gru(T):
    x, y = data(T)
    V, *gates = weights((HIDDEN, OUT), *[(IN, HIDDEN), (HIDDEN, HIDDEN)] * 3)
    h = mg.tensor(np.zeros((BATCH, HIDDEN)))
    loss, losses, hs = 0.0, [], []
    for t in range(T):
        z = mg.sigmoid(x[t] @ gates[0] + h @ gates[1])
        r = mg.sigmoid(x[t] @ gates[2] + h @ gates[3])
        n = np.tanh(x[t] @ gates[4] + (r * h) @ gates[5])
        h = (1 - z) * n + z * h
        hs.append(h)
        losses.append(((h @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs}, locals()


def own_states(T):
    """A state s, and a trace m that the loss reads as well."""
    x, y = data(T)
    U, W, V = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT))
    s = m = mg.tensor(np.zeros((BATCH, HIDDEN)))
    loss, losses, ss, ms = 0.0, [], [], []
    for t in range(T):
        s = np.tanh(x[t] @ U + s @ W)
        m = 0.9 * m + 0.1 * s
        ss.append(s)
        ms.append(m)
        losses.append((((s + m) @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"s": ss, "m": ms}, locals()


def two_layers(T):
    x, y = data(T)
    U, W, U2, W2, V = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT))
    h = k = mg.tensor(np.zeros((BATCH, HIDDEN)))
    loss, losses, hs, ks = 0.0, [], [], []
    for t in range(T):
        h = np.tanh(x[t] @ U + h @ W)
        k = np.tanh(h @ U2 + k @ W2)
        hs.append(h)
        ks.append(k)
        losses.append(((k @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs, "k": ks}, locals()


def own_first_step(T):
    x, y = data(T)
    U, W, V = weights((IN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUT))
    h, loss, losses, hs = None, 0.0, [], []
    for t in range(T):
        h = np.tanh(x[t] @ U) if h is None else np.tanh(x[t] @ U + h @ W)
        hs.append(h)
        losses.append(((h @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs}, locals()


PROGRAMS = [elman, columns, lstm, gru, own_states, two_layers, own_first_step]


def norms_of(loss, states):
    return np.array([np.linalg.norm(g.data) for g in mg.grad(loss, states, retain_graph=True)])


@pytest.mark.parametrize("T", [4, 6, 70])
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
    loss, *_ = elman(6)
    loss.backward()
    with pytest.raises(mg.GraphFreedError):
        gradient_flow(loss)
