"""Recurrent networks that somebody wrote as a loop. Each gives the loss, its parts, by name the states, and all names."""

import numpy as np

import minigrad as mg

BATCH, IN, HIDDEN, OUT = 2, 3, 4, 2


def weights(*shapes):
    rng = np.random.default_rng(1)
    return [mg.tensor(rng.normal(size=shape) / 2, requires_grad=True) for shape in shapes]


def data(T):
    rng = np.random.default_rng(0)
    return rng.normal(size=(T, BATCH, IN)), rng.normal(size=(T, BATCH, OUT))


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


def concatenated(T):
    """The cell of the textbooks, one matrix for [x, h]; of constants the first concatenation is not recorded."""
    x, y = data(T)
    W, V = weights((IN + HIDDEN, HIDDEN), (HIDDEN, OUT))
    h, loss, losses, hs = mg.tensor(np.zeros((BATCH, HIDDEN))), 0.0, [], []
    for t in range(T):
        h = np.tanh(np.concatenate([x[t], h], axis=1) @ W)
        hs.append(h)
        losses.append(((h @ V - y[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs}, locals()


def fed_back(T):
    """Each output is the next input."""
    _, targets = data(T)
    U, W, b, V = weights((OUT, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN, OUT))
    h, y = mg.tensor(np.zeros((BATCH, HIDDEN))), mg.tensor(np.zeros((BATCH, OUT)))
    loss, losses, hs, ys = 0.0, [], [], []
    for t in range(T):
        h = np.tanh(y @ U + h @ W + b)
        y = h @ V
        hs.append(h)
        ys.append(y)
        losses.append(((y - targets[t]) ** 2).mean())
        loss = loss + losses[-1]
    return loss, losses, {"h": hs, "y": ys}, locals()


PROGRAMS += [concatenated, fed_back]
