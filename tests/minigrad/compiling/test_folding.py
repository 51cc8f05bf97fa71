"""Loops of time steps become loops of the program, and compute the same as the function itself."""

import contextlib
import os
import re

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.trees import tree_leaves

B, D, H = 2, 3, 4
SHAPES = {"W": (D, H), "U": (H, H), "b": (H,), "V": (H, H), "h0": (B, H), "s": ()}


def weights(random, dtype=float, shapes=SHAPES):
    return {name: np.asarray(random.standard_normal(shape) * 0.5, dtype) for name, shape in shapes.items()}


def sides(loss, exact=False):
    """The value and the slopes of a loss of a dict of weights and other arguments, eager and compiled."""

    def run(p, *others):
        names = list(p)
        value, slopes = mg.value_and_grad(
            lambda *w: loss(dict(zip(names, w, strict=True)), *others), argnums=tuple(range(len(names)))
        )(*p.values())
        return value, slopes

    return run, mg.compile(run, batch=not exact)


def agree(found, expected, near=1e-12):
    """Equal but for rounding, relative to the largest element of each array, and a little of all."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(tree_leaves(found), tree_leaves(expected), strict=True)]
    largest = max((np.abs(b).max(initial=0) for _, b in pairs), default=0)
    for a, b in pairs:
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=near * max(np.abs(b).max(initial=0), 1e-3 * largest))


def lines(compiled):
    return compiled.source.split("def run():")[1].strip().splitlines()


def has_loop(compiled):
    return any(re.match(r"\s+for .* in ", line) for line in lines(compiled))


# -- kinds of loops -----------------------------------------------------------------------------------------------

KINDS = {}


def kind(text):
    """A loop over x (T, B, D): a function of the weights, x and T that returns a number."""

    def keep(loss):
        KINDS[text] = loss
        return loss

    return keep


def rnn_step(p, x, h):
    return np.tanh(x @ p["W"] + h @ p["U"] + p["b"])


def steps(T):
    """The time steps, each in its scope."""
    for t in range(T):
        with mg.scope("t", t):
            yield t


def states(p, x, T, step=rnn_step, start=None):
    h, found = np.zeros((B, H)) if start is None else start, []
    for t in steps(T):
        h = step(p, x[t], h)
        found.append(h)
    return found


def squares(hs):
    return (np.stack(hs) ** 2).mean()


@kind("the last state")
def _(p, x, T):
    return (states(p, x, T)[-1] ** 2).sum()


@kind("all states, stacked")
def _(p, x, T):
    return squares(states(p, x, T))


@kind("without scopes")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in range(T):
        h = rnn_step(p, x[t], h)
        hs.append(h)
    return squares(hs)


@kind("a readout after the loop, of each state")
def _(p, x, T):
    return squares([np.tanh(h @ p["V"]) for h in states(p, x, T)])


@kind("a readout in the loop")
def _(p, x, T):
    h, ys = np.zeros((B, H)), []
    for t in steps(T):
        h = rnn_step(p, x[t], h)
        ys.append(h @ p["V"])
    return squares(ys)


@kind("a loss that is summed in the loop")
def _(p, x, T):
    h, loss = np.zeros((B, H)), 0
    for t in steps(T):
        h = rnn_step(p, x[t], h)
        loss = loss + ((h @ p["V"]) ** 2).sum()
    return loss


@kind("a loss that is summed after the loop")
def _(p, x, T):
    return sum((h @ p["V"]).sum() for h in states(p, x, T))


@kind("a readout at every third step")
def _(p, x, T):
    return squares([h @ p["V"] for h in states(p, x, T)[::3]])


@kind("the mean of all states")
def _(p, x, T):
    return ((sum(states(p, x, T)) / T) ** 2).sum()


@kind("the largest of all states")
def _(p, x, T):
    return np.stack(states(p, x, T)).max(axis=0).sum()


@kind("the first and the last state")
def _(p, x, T):
    hs = states(p, x, T)
    return (hs[0] * hs[-1]).sum()


@kind("the state before the last")
def _(p, x, T):
    return (states(p, x, T)[-2] ** 2).sum()


@kind("states put below each other")
def _(p, x, T):
    return (np.concatenate(states(p, x, T)) ** 2).mean()


@kind("states stacked backwards")
def _(p, x, T):
    return (np.stack(states(p, x, T)[::-1]) * np.arange(1.0, T + 1).reshape(T, 1, 1)).sum()


@kind("a state that starts as a parameter")
def _(p, x, T):
    return squares(states(p, x, T, start=p["h0"]))


@kind("a state that starts as a constant")
def _(p, x, T):
    return squares(states(p, x, T, start=np.full((B, H), 0.5)))


@kind("a state that starts as None")
def _(p, x, T):
    h, hs = None, []
    for t in steps(T):
        h = np.tanh(x[t] @ p["W"] + p["b"]) if h is None else rnn_step(p, x[t], h)
        hs.append(h)
    return squares(hs)


@kind("an LSTM")
def _(p, x, T):
    h, c, hs = np.zeros((B, H)), np.zeros((B, H)), []
    for t in steps(T):
        z = x[t] @ p["W"] + h @ p["U"] + p["b"]
        i, f, o, g = mg.sigmoid(z), mg.sigmoid(z * p["s"]), mg.sigmoid(z @ p["V"]), np.tanh(z)
        c = f * c + i * g
        h = o * np.tanh(c)
        hs.append(h)
    return squares(hs)


@kind("gates that are parts of one product")
def _(p, x, T):
    h, hs, W = np.zeros((B, H)), [], np.concatenate([p["U"], p["V"]], axis=1)
    for t in steps(T):
        z = h @ W
        h = mg.sigmoid(z[:, :H]) * np.tanh(z[:, H:] + x[t] @ p["W"])
        hs.append(h)
    return squares(hs)


@kind("peepholes")
def _(p, x, T):
    c, hs = np.zeros((B, H)), []
    for t in steps(T):
        i = mg.sigmoid(x[t] @ p["W"] + p["b"] * c)
        c = (1 - i) * c + i * np.tanh(x[t] @ p["W"] + c @ p["U"])
        hs.append(mg.sigmoid(c * p["s"]) * np.tanh(c))
    return squares(hs)


@kind("a GRU")
def _(p, x, T):
    def step(p, x, h):
        z, r = mg.sigmoid(x @ p["W"] + h @ p["U"]), mg.sigmoid(x @ p["W"] - h @ p["V"])
        return z * h + (1 - z) * np.tanh(x @ p["W"] + (r * h) @ p["U"])

    return squares(states(p, x, T, step))


@kind("x and h side by side")
def _(p, x, T):
    K = np.concatenate([p["W"], p["U"]])
    return squares(states(p, x, T, lambda p, x, h: np.tanh(np.concatenate([x, h], axis=1) @ K)))


@kind("a cell with normalised sums")
def _(p, x, T):
    def step(p, x, h):
        z = x @ p["W"] + h @ p["U"]
        z = z - z.mean(axis=-1, keepdims=True)
        return np.tanh(z / np.sqrt((z * z).mean(axis=-1, keepdims=True) + 0.01) * p["b"])

    return squares(states(p, x, T, step))


@kind("a weight that a cell uses twice")
def _(p, x, T):
    return squares(states(p, x, T, lambda p, x, h: np.tanh(x @ p["W"] + np.tanh(h @ p["U"]) @ p["U"].T)))


@kind("two layers in one loop")
def _(p, x, T):
    h, g, gs = np.zeros((B, H)), np.zeros((B, H)), []
    for t in steps(T):
        h = rnn_step(p, x[t], h)
        g = np.tanh(h @ p["V"] + g @ p["U"])
        gs.append(g)
    return squares(gs)


@kind("two layers, one after the other")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    below = states(p, x, T)
    for t in steps(T):
        h = np.tanh(below[t] @ p["V"] + h @ p["U"])
        hs.append(h)
    return squares(hs)


@kind("two cells a step")
def _(p, x, T):
    return squares(states(p, x, T, lambda p, x, h: rnn_step(p, x, rnn_step(p, x, h))))


@kind("from the end to the beginning")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in reversed(range(T)):
        with mg.scope("t", t):
            h = rnn_step(p, x[t], h)
        hs.append(h)
    return squares(hs[::-1])


@kind("both directions")
def _(p, x, T):
    there, back = states(p, x, T), states(p, [x[T - 1 - t] for t in range(T)], T)
    return squares([a + b for a, b in zip(there, back[::-1], strict=True)])


@kind("h of two steps ago")
def _(p, x, T):
    h, g, hs = np.zeros((B, H)), np.zeros((B, H)), []
    for t in steps(T):
        h, g = rnn_step(p, x[t], h) + 0.1 * g, h
        hs.append(h)
    return squares(hs)


@kind("a first step of its own")
def _(p, x, T):
    h, hs = np.tanh(x[0] @ p["W"] * p["s"]), []
    for t in range(1, T):
        with mg.scope("t", t):
            h = rnn_step(p, x[t], h)
        hs.append(h)
    return squares(hs)


@kind("x[t] - x[t-1]")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in steps(T):
        h = np.tanh((x[t] - x[t - 1] if t else x[t]) @ p["W"] + h @ p["U"])
        hs.append(h)
    return squares(hs)


@kind("x[t] - x[t+1], from the end to the beginning")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in reversed(range(T)):
        with mg.scope("t", t):
            h = np.tanh((x[t] - x[t + 1] if t + 1 < T else x[t]) @ p["W"] + h @ p["U"])
            hs.append(h)
    return squares(hs)


@kind("a sum of states that starts as a parameter")
def _(p, x, T):
    h, total = np.zeros((B, H)), p["h0"]
    for t in steps(T):
        h = rnn_step(p, x[t], h)
        total = total + h
    return (total**2).sum()


@kind("a sum of sums")
def _(p, x, T):
    h, one, two = np.zeros((B, H)), 0.0, 0.0
    for t in steps(T):
        h = rnn_step(p, x[t], h)
        one = one + (h**2).sum()
        two = two + one
    return one * two


@kind("x[2 t]")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in steps(T // 2):
        h = rnn_step(p, x[2 * t], h)
        hs.append(h)
    return squares(hs)


@kind("x[:, t]")
def _(p, x, T):
    x = np.swapaxes(x, 0, 1)
    return squares(states(p, [x[:, t] for t in range(T)], T))


@kind("1 / (t + 1) as a number")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in steps(T):
        h = rnn_step(p, x[t], h) * (1 / (t + 1))
        hs.append(h)
    return squares(hs)


@kind("weights that take turns")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in steps(T):
        h = np.tanh(x[t] @ p["W"] + h @ (p["V"] if t % 2 else p["U"]))
        hs.append(h)
    return squares(hs)


@kind("a first state that all steps read")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in steps(T):
        h = rnn_step(p, x[t], h) + (0.3 * hs[0] if hs else 0)
        hs.append(h)
    return squares(hs)


@kind("attention over the states before")
def _(p, x, T):
    h, hs = np.zeros((B, H)), []
    for t in steps(T):
        h = rnn_step(p, x[t], h) + (0.1 * np.stack(hs).mean(axis=0) if hs else 0)
        hs.append(h)
    return squares(hs)


@kind("an output that is the next input")
def _(p, x, T):
    h, y, ys = np.zeros((B, H)), np.zeros((B, D)), []
    for _ in steps(T):
        h = rnn_step(p, y, h)
        y = h @ p["W"].T
        ys.append(y)
    return squares(ys)


@kind("np.where")
def _(p, x, T):
    return squares(states(p, x, T, lambda p, x, h: np.where(x[:, :1] > 0, rnn_step(p, x, h), h)))


@kind("the largest state so far")
def _(p, x, T):
    h, top = np.zeros((B, H)), np.zeros((B, H))
    for t in steps(T):
        h = rnn_step(p, x[t], h)
        top = np.maximum(top, h)
    return (top**2).sum()


@kind("a number as the state")
def _(p, x, T):
    h, hs = p["s"], []
    for t in steps(T):
        h = np.sin(h * p["s"]) + x[t].mean()
        hs.append(h)
    return squares(hs)


@kind("a moving average")
def _(p, x, T):
    return squares(states(p, x, T, lambda p, x, h: 0.9 * h + 0.1 * (x @ p["W"])))


@kind("a sum of all inputs")
def _(p, x, T):
    return squares(states(p, x, T, lambda p, x, h: h + x @ p["W"]))


@kind("power iteration")
def _(p, x, T):
    h, A = p["h0"], p["V"] @ p["V"].T
    for _ in steps(T):
        h = h @ A
        h = h / np.sqrt((h * h).sum() + 0.1)
    return (h @ p["U"]).sum()


@kind("Newton's method")
def _(p, x, T):
    y, a = p["s"] ** 2 + 2.0, p["s"] ** 2 + 1
    for _ in steps(T):
        y = y - (y * y - a) / (2 * y)
    return y


@kind("Euler's method")
def _(p, x, T):
    y, ys = p["h0"], []
    for _ in steps(T):
        y = y + 0.1 * (np.sin(y) @ p["U"] - y)
        ys.append(y)
    return squares(ys)


NOT_FOLDED = {  # and why; an empty text: nothing repeats
    "a readout at every third step": "a value of more than one iteration ago",
    "two cells a step": "a value of more than one iteration ago",
    "both directions": "states that are set again",
    "h of two steps ago": "a value of more than one iteration ago",
    "1 / (t + 1) as a number": "",
    "weights that take turns": "steps that read different things",
    "a first state that all steps read": "steps that read different things",
    "attention over the states before": "calls of time steps are in no loop",
    "Newton's method": "steps that read different things",
}
COPIED = {  # rows of several arrays are put below each other, or values of single steps are, each with a line of its own
    "a GRU",
    "x[:, t]",
    "a readout after the loop, of each state",
    "states put below each other",
}


@pytest.mark.parametrize("text", KINDS)
def test_what_folds(text):
    T, random = 12, np.random.default_rng(0)
    eager, compiled = sides(lambda p, x: KINDS[text](p, x, T))
    for _ in range(3):
        p, x = weights(random), random.standard_normal((T, B, D))
        agree(compiled(p, x), eager(p, x))
    assert has_loop(compiled) == (text not in NOT_FOLDED)
    if text in NOT_FOLDED:
        assert NOT_FOLDED[text] in compiled.last.not_folded


# -- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [text for text in KINDS if text not in {*NOT_FOLDED, *COPIED}])
def test_a_loop_has_as_many_lines_for_four_times_the_steps(text):
    counts = []
    for T in (12, 48):
        _, compiled = sides(lambda p, x, T=T: KINDS[text](p, x, T))
        random = np.random.default_rng(0)
        compiled(weights(random), random.standard_normal((T, B, D)))
        counts.append(len(lines(compiled)))
    assert counts[1] <= 1.05 * counts[0]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("layer", ["RNN", "LSTM", "GRU"])
def test_a_layer_has_as_many_lines_for_four_times_the_steps(layer, layers):
    counts = []
    for T in (12, 48):
        model = getattr(rnn, layer)(D, H, layers, rng=0, dtype=np.float64)

        def step(x, model=model):
            out, _ = model(x)
            loss = (out**2).mean()
            loss.backward()
            return loss

        compiled = mg.compile(step)
        compiled(np.random.default_rng(0).standard_normal((T, B, D)))
        assert has_loop(compiled)
        counts.append(len(lines(compiled)))
    assert counts[1] <= 1.05 * counts[0]


UNARY = [
    lambda a, p: np.tanh(a @ p["U"] + p["b"]),
    lambda a, p: 0.5 * (a @ p["V"].T),
    lambda a, p: np.tanh(a),
    lambda a, p: -0.7 * a,
    lambda a, p: a * p["s"],
    lambda a, p: a - a.mean(axis=-1, keepdims=True),
    lambda a, p: np.concatenate([a[:, 1:], a[:, :1]], axis=1),
    lambda a, p: a / np.sqrt((a * a).sum() + 1),
    lambda a, p: a[0] + p["h0"],
]
BINARY = [
    lambda a, b, p: 0.7 * (a + b),
    lambda a, b, p: a - 0.5 * b,
    lambda a, b, p: a * np.tanh(b),
    lambda a, b, p: np.maximum(a, b),
    lambda a, b, p: np.where(a > 0, a, b),
    lambda a, b, p: mg.sigmoid(a) * b + (1 - mg.sigmoid(a)) * np.tanh(a),
    lambda a, b, p: np.tanh(a @ p["U"] + b @ p["V"] + p["b"]),
]
ENDS = [
    lambda q, p: (q[-1] ** 2).sum(),
    lambda q, p: np.tanh(np.stack(q) @ p["V"]).sum(),
    lambda q, p: sum(np.sin(a).sum() for a in q),
    lambda q, p: sum((a @ p["V"]).sum() for a in q[::2]),
    lambda q, p: (q[0] * q[-1]).sum(),
    lambda q, p: (np.concatenate(q[::-1]) ** 2).mean(),
    lambda q, p: np.stack(q).max(axis=0).sum(),
    lambda q, p: (np.stack(states(p, q, len(q), lambda p, a, h: np.tanh(a @ p["V"] + h @ p["U"]))) ** 2).sum(),
]


class Wired:
    """A loop whose body is wired at random: what each op reads, what the next step starts from, what is read after the loop."""

    def __init__(self, seed):
        random = self.random = np.random.default_rng(seed)
        self.T = int(random.choice([3, 5, 6, 7, 9, 12]))
        self.scoped, self.back, self.summed = (bool(random.random() < share) for share in (0.7, 0.2, 0.3))
        self.states = int(random.choice([1, 1, 1, 2, 3]))
        self.starts = random.choice([0, 1, 1, 2, 2, 3], size=self.states)
        self.ops = [(*self.op(), self.source(i), self.source(i)) for i in range(random.choice([1, 2, 3, 5, 8]))]
        self.new = [self.result() for _ in range(self.states)]
        self.ends = [
            (ENDS[random.choice([0, 1, 1, *range(len(ENDS))])], self.result()) for _ in range(random.choice([1, 1, 2]))
        ]

    def op(self):
        """One of two operands or not, and which."""
        table = (UNARY, BINARY)[self.random.integers(2)]
        return table is BINARY, table[self.random.integers(len(table))]

    def source(self, i):
        """An op before op i, a state or x[t]."""
        kind = self.random.random()
        if i and kind < 0.5:
            return 0, int(self.random.integers(max(0, i - 4), i))
        return (1, int(self.random.integers(self.states))) if kind < 0.85 else (2, 0)

    def result(self):
        return (
            (0, len(self.ops) - 1 - int(self.random.integers(min(3, len(self.ops))))) if self.random.random() < 0.9 else (1, 0)
        )

    def __call__(self, p, x, start):
        now = [(np.zeros((B, H)), start, p["h0"], np.full((B, H), 0.25))[kind] for kind in self.starts]
        total, read = 0, [[] for _ in self.ends]
        for t in reversed(range(self.T)) if self.back else range(self.T):
            with mg.scope("t", t) if self.scoped else contextlib.nullcontext():
                made, values = [], [x[t]]
                for two, op, a, b in self.ops:
                    a, b = ((made, now, values)[kind][i] for kind, i in (a, b))
                    made.append(op(a, b, p) if two else op(a, p))
                if self.summed:
                    total = total + (made[-1] ** 2).mean()
                for q, (_, (kind, i)) in zip(read, self.ends, strict=True):
                    q.append((made, now)[kind][i])
                now = [(made, now)[kind][i] for kind, i in self.new]
        return sum((end(q, p) for q, (end, _) in zip(read, self.ends, strict=True)), total)


FOUND = (92, 731, 975)  # programs that were wrong once
SEEDS = range(1000) if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else (*range(32), *FOUND)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_loops_that_are_wired_at_random(seed, exact):
    wired = Wired(seed)
    eager, compiled = sides(lambda p, x, start: wired(p, x, start), exact)
    random = np.random.default_rng(seed)
    for call in range(3):
        p, x = weights(random), random.standard_normal((wired.T, B, H))
        start = random.standard_normal((B, H)) * (call > 0)  # where the first call has zeros, later ones need not
        found, expected = compiled(p, x, start), eager(p, x, start)
        if exact:
            assert all(map(np.array_equal, tree_leaves(found), tree_leaves(expected)))
        else:
            agree(found, expected, 1e-11)


TIMES = [1, 2, 3, 4, 5, 7, 8]
SOME = ["the last state", "all states, stacked", "a state that starts as a parameter", "a GRU", "from the end to the beginning"]


@pytest.mark.parametrize("text", SOME)
@pytest.mark.parametrize("T", TIMES)
def test_any_number_of_steps(text, T):
    eager, compiled = sides(lambda p, x: KINDS[text](p, x, T))
    random = np.random.default_rng(T)
    for _ in range(2):
        p, x = weights(random), random.standard_normal((T, B, D))
        agree(compiled(p, x), eager(p, x))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("size", [0, 1, 5])
def test_shapes_that_coincide(size, dtype):
    """Steps, sequences, inputs and units are as many; or there are no sequences, or one."""
    T = d = n = size or 5

    def loss(p, x):
        h, hs = np.zeros((size, n), dtype), []
        for t in steps(T):
            h = np.tanh(x[t] @ p["W"] + h @ p["U"] + p["b"])
            hs.append(h)
        return (np.stack(hs) ** 2).sum()

    eager, compiled = sides(loss)
    random = np.random.default_rng(0)
    for _ in range(3):
        p = weights(random, dtype, {"W": (d, n), "U": (n, n), "b": (n,)})
        x = random.standard_normal((T, size, d)).astype(dtype)
        agree(compiled(p, x), eager(p, x), 1e-12 if dtype == "f8" else 1e-5)


def test_integers_and_lengths():
    """Rows of an embedding, and states that are kept where a sequence has ended."""
    T = 9

    def loss(p, symbols, lengths):
        h, hs = np.zeros((B, H)), []
        for t in steps(T):
            h = np.where((t < lengths)[:, None], rnn_step(p, p["E"][symbols[t]], h), h)
            hs.append(h)
        return squares(hs)

    eager, compiled = sides(loss)
    random = np.random.default_rng(0)
    for _ in range(3):
        p = weights(random, shapes=SHAPES | {"E": (5, D)})
        symbols, lengths = random.integers(5, size=(T, B)), random.integers(1, T + 1, size=B)
        agree(compiled(p, symbols, lengths), eager(p, symbols, lengths))


@pytest.mark.parametrize("noise", ["normal", "dropout", "before the loop"])
def test_noise_is_drawn_as_the_function_draws_it(noise):
    T = 9

    def loss(p, x, rng):
        h, hs = p["h0"], []
        before = rng.standard_normal((T, B, H))
        for t in steps(T):
            h = rnn_step(p, x[t], h)
            if noise == "normal":
                h = h + 0.1 * rng.standard_normal((B, H))
            elif noise == "dropout":
                h = h * (rng.random((B, H)) < 0.7)
            else:
                h = h + 0.1 * before[t]
            hs.append(h)
        return squares(hs)

    eager, compiled = sides(loss)
    random = np.random.default_rng(0)
    for seed in range(3):
        p, x = weights(random), random.standard_normal((T, B, D))
        one, other = np.random.default_rng(seed), np.random.default_rng(seed)
        agree(compiled(p, x, one), eager(p, x, other))
        assert one.bit_generator.state == other.bit_generator.state


def test_results_of_earlier_calls_do_not_change():
    T, earlier = 8, []

    @mg.compile
    def run(x, W):
        hs = states({"W": W, "U": np.eye(H), "b": np.zeros(H)}, x, T)
        return hs, np.stack(hs), hs[-1], x[0]

    random = np.random.default_rng(0)
    for _ in range(4):
        found = run(random.standard_normal((T, B, D)), random.standard_normal((D, H)))
        assert all(np.array_equal(a, copy) for a, copy in earlier)
        earlier += [(a, np.array(a)) for a in tree_leaves(found)]
    arrays = [a for a, _ in earlier]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_a_call_that_fails_leaves_all_as_it_was():
    """A singular matrix after the loop and the update: weights, slopes and the generator are those of before the call."""
    T = 8

    class Model:
        def __init__(self):
            random = np.random.default_rng(1)
            self.W, self.U = (mg.tensor(random.standard_normal(n) * 0.5, requires_grad=True) for n in ((D, H), (H, H)))

        def step(self, x, A, rng):
            self.W.grad = self.U.grad = None
            h, noise = np.zeros((B, H)), rng.standard_normal((T, B, H))
            for t in steps(T):
                h = np.tanh(x[t] @ self.W + h @ self.U + 0.1 * noise[t])
            loss = (h**2).sum()
            loss.backward()
            for p in (self.W, self.U):
                p.data = p.data - 0.1 * p.grad
            return loss.detach(), np.linalg.inv(A)

        def values(self):
            return [np.array(a) for p in (self.W, self.U) for a in (p.data, p.grad)]

    model, other = Model(), Model()
    compiled = mg.compile(model.step)
    random, rngs = np.random.default_rng(0), [np.random.default_rng(2) for _ in range(2)]
    for call in range(5):
        x, A = random.standard_normal((T, B, D)), random.standard_normal((2, 2))
        if call == 2:
            before, state = model.values(), rngs[0].bit_generator.state
            with pytest.raises(np.linalg.LinAlgError):
                compiled(x, A * 0, rngs[0])
            assert all(map(np.array_equal, model.values(), before))
            assert rngs[0].bit_generator.state == state
        agree(compiled(x, A, rngs[0]), other.step(x, A, rngs[1]))
        agree(model.values(), other.values())
