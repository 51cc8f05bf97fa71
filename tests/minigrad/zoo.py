"""Programs with loops, for `test_loops.py`: each builds a graph of T steps and returns its root.

`ZOO[name]` is (build, expected): `expected(T)` are the loops that a reader of the program finds in its forward pass, as
(iterations, values carried), or None where only the law is tested. `LAYERS` are those of the package's own layers.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

B, D, H, O = 2, 3, 4, 3  # noqa: E741 batch, inputs, hidden, outputs
Expected = Callable[[int], list[tuple[int, int]] | None]
ZOO: dict[str, tuple[Callable[[int], Any], Expected]] = {}


def once(carried: int) -> Expected:
    return lambda T: [(T, carried)]


def irregular(carried: int) -> Expected:
    """Of a loop some iterations of which have other ops: three alike in a row show it."""
    return lambda T: [(T, carried)] if T > 5 else None


def unknown(T: int) -> None:
    return None


def program(expected: Expected) -> Callable[[Callable[[int], Any]], Callable[[int], Any]]:
    def keep(build: Callable[[int], Any]) -> Callable[[int], Any]:
        ZOO[build.__name__] = build, expected
        return build

    return keep


def weight(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed + sum(shape)).normal(size=shape) * 0.5, requires_grad=True)


def inputs(T: int, requires_grad: bool = False) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(1).normal(size=(T, B, D)), requires_grad=requires_grad)


def weights() -> tuple[mg.Tensor, mg.Tensor, mg.Tensor, mg.Tensor]:
    return weight(D, H, seed=1), weight(H, H, seed=2), weight(H, seed=3), weight(H, O, seed=4)


def start() -> np.ndarray:
    return np.zeros((B, H))


# -- recurrent networks by hand --------------------------------------------------------------------------------


@program(once(2))
def rnn_with_the_loss_inside(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(2))
def rnn_of_a_trainable_x(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T, True), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(2))
def rnn_of_trainable_items(T):
    (W, U, b, V), h, loss = weights(), start(), 0
    for x in [mg.tensor(each.numpy(), requires_grad=True) for each in inputs(T)]:
        h = np.tanh(x @ W + h @ U + b)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(1))
def rnn_with_append_and_stack(T):
    (W, U, b, V), x, h, hs = weights(), inputs(T), start(), []
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        hs.append(h)
    return ((np.stack(hs) @ V) ** 2).mean()


@program(once(1))
def rnn_with_a_readout_of_the_last_h(T):
    (W, U, b, V), x, h = weights(), inputs(T), start()
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
    return ((h @ V) ** 2).sum()


@program(irregular(2))
def a_first_step_of_its_own(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T, True), None, None
    for t in range(T):
        h = np.tanh(x[t] @ W + b) if h is None else np.tanh(x[t] @ W + h @ U + b)
        error = ((h @ V) ** 2).sum()
        loss = error if loss is None else loss + error
    return loss


@program(irregular(2))
def no_readout_at_the_last_step(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        if t < T - 1:
            loss = loss + ((h @ V) ** 2).sum()
    return loss + h.sum()


@program(irregular(2))
def an_op_more_at_two_steps(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        loss = loss + ((h @ V) ** 2).sum()
        if t in (T // 2, T - 2):
            loss = loss + (h * h).sum()
    return loss


@program(irregular(2))
def a_state_halved_at_two_steps(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        if t in (T // 2, T - 2):
            h = h / 2
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(2))
def min_char_rnn(T):
    Wxh, Whh, Why = weight(H, O, seed=1), weight(H, H, seed=2), weight(O, H, seed=3)
    bh, by = weight(H, 1, seed=4), weight(O, 1, seed=5)
    targets = np.random.default_rng(6).integers(0, O, T)
    loss, hs = 0, {-1: np.zeros((H, 1))}
    for t in range(T):
        x = np.eye(O)[:, [t % O]]
        hs[t] = np.tanh(Wxh @ x + Whh @ hs[t - 1] + bh)
        y = Why @ hs[t] + by
        p = np.exp(y) / np.sum(np.exp(y))
        loss = loss - np.log(p[targets[t], 0])
    return loss


@program(once(3))
def lstm_with_four_matrices(T):
    w = {g: (weight(D, H, seed=10 + k), weight(H, H, seed=20 + k), weight(H, seed=30 + k)) for k, g in enumerate("ifog")}
    V, x, loss = weight(H, O), inputs(T), 0
    h = c = start()
    for t in range(T):
        i, f, o, g = (x[t] @ w[k][0] + h @ w[k][1] + w[k][2] for k in "ifog")
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(3))
def two_layers_in_one_loop(T):
    (W, U, b, V), x, h, g, loss = weights(), inputs(T), start(), start(), 0
    W2, U2, b2 = weight(H, H, seed=7), weight(H, H, seed=8), weight(H, seed=9)
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        g = np.tanh(h @ W2 + g @ U2 + b2)
        loss = loss + ((g @ V) ** 2).sum()
    return loss


@program(lambda T: [(T, 1)] * 3)
def three_layers_outside_time(T):
    sequence = list(inputs(T))
    for layer in range(3):
        W, U, b = weight(H if layer else D, H, seed=17 + layer), weight(H, H, seed=27 + layer), weight(H, seed=37 + layer)
        h, outputs = start(), []
        for x in sequence:
            h = np.tanh(x @ W + h @ U + b)
            outputs.append(h)
        sequence = outputs
    return (np.stack(sequence) @ weight(H, O)).sum()


@program(lambda T: [(T, 1), (T, 1)])
def both_directions(T):
    W, U, b, V = weights()
    x, halves = inputs(T), []
    for order, (A, C) in ((range(T), (W, U)), (reversed(range(T)), (weight(D, H, seed=41), weight(H, H, seed=42)))):
        h, outputs = start(), {}
        for t in order:
            h = outputs[t] = np.tanh(x[t] @ A + h @ C + b)
        halves.append(np.stack([outputs[t] for t in range(T)]))
    return ((halves[0] + halves[1]) @ V).sum()


@program(irregular(2))  # h and x
def outputs_fed_back(T):
    (W, U, b, V), h, loss = weights(), start(), 0
    x = mg.tensor(np.ones((B, D)), requires_grad=True)
    for _ in range(T):
        h = np.tanh(x @ W + h @ U + b)
        x = h @ V
    return loss + (x**2).sum()


@program(lambda T: [(T // 2, 2)] if T > 5 else None)  # two steps make an iteration
def every_other_step_another(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b) if t % 2 else np.sin(h @ U)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(irregular(2))
def a_readout_at_odd_steps(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        if t % 2 or t == T - 1:
            loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(lambda T: [(T, 2)] if T > 9 else None)
def another_activation_at_each_third_step(T):
    (W, U, b, V), U2, x, h, loss = weights(), weight(H, H, seed=8), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b) if t % 3 else mg.sigmoid(x[t] @ W + h @ U2 + b)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(lambda T: [(T, 3)] if T > 6 else None)
def a_slow_and_a_fast_state(T):
    (W, U, _, V), x, loss = weights(), inputs(T), 0
    S, Q, R = (weight(H, H, seed=seed) for seed in (7, 8, 9))
    slow = fast = start()
    for t in range(T):
        if t % 2:
            slow = np.tanh(slow @ S + fast @ Q)
        fast = np.tanh(x[t] @ W + fast @ U + slow @ R)
        loss = loss + ((fast @ V) ** 2).sum()
    return loss


@program(once(1))
def runge_kutta(T):
    A, h = weight(H, H), weight(B, H)
    for _ in range(T):
        k1 = np.tanh(h @ A)
        k2 = np.tanh((h + 0.5 * k1) @ A)
        k3 = np.tanh((h + 0.5 * k2) @ A)
        h = h + (k1 + 2 * k2 + 2 * k3 + np.tanh((h + k3) @ A)) / 6
    return h.sum()


@program(once(2))
def two_updates_for_each_input(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        h = np.tanh(h @ U)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(2))
def weights_in_turns(T):
    (W, U, b, V), U2, x, h, loss = weights(), weight(H, H, seed=8), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ (U2 if t % 2 else U) + b)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(once(2))  # where h begins anew, h @ U is a constant: the op lacks
def detached_every_five(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        loss = loss + ((h @ V) ** 2).sum()
        if t % 5 == 4:
            h = h.detach()
    return loss


@program(once(2))
def two_steps_back(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), [start(), start()], 0
    for t in range(T):
        h.append(np.tanh(x[t] @ W + h[-1] @ U + h[-2] @ U + b))
        loss = loss + ((h[-1] @ V) ** 2).sum()
    return loss


@program(once(2))
def embedded_tokens(T):
    (W, U, b, V), E, h, loss = weights(), weight(5, D, seed=3), np.zeros(H), 0
    tokens = np.random.default_rng(0).integers(0, 5, T)
    for token in tokens.tolist():
        h = np.tanh(E[token] @ W + h @ U + b)
        loss = loss - mg.log_softmax(h @ V)[token % O]
    return loss


@program(once(2))
def an_inner_loop(T):
    (W, U, b, V), Q, x, h, loss = weights(), weight(H, H, seed=6), inputs(T), start(), 0
    for t in range(T):
        z = x[t] @ W + b
        for _ in range(3):
            h = np.tanh(z + h @ U)
            h = h + 0.1 * np.sin(h @ Q)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(lambda T: [(T, 1)])
def sequences_in_an_outer_loop(T):
    (W, U, b, V), loss = weights(), 0
    for n in range(T):
        h = start()
        for x in np.random.default_rng(n).normal(size=(4, B, D)):
            h = np.tanh(x @ W + h @ U + b)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(unknown)
def an_inner_loop_of_one_two_three(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), start(), 0
    for t in range(T):
        z = x[t] @ W + b
        for _ in range(1 + t % 3):
            h = np.tanh(z + h @ U)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


# -- an encoder and a decoder ----------------------------------------------------------------------------------


def cell_by_hand(kind: str, inputs: int, bias: bool, seed: int) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]:
    names = {"rnn": "n", "lstm": "ifon", "gru": "rzn"}[kind]
    W, U = ({g: weight(n, H, seed=seed + 9 * n + k) for k, g in enumerate(names)} for n in (inputs, H))
    b = {g: weight(H, seed=seed + k) for k, g in enumerate(names)}

    def gate(g: str, x: Any, h: Any) -> Any:
        z = x @ W[g] + h @ U[g]
        return z + b[g] if bias else z

    def step(x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        h = state[0]
        opened = [mg.sigmoid(gate(g, x, h)) for g in names[:-1]]
        n = np.tanh(gate("n", x, opened[0] * h if kind == "gru" else h))
        if kind == "lstm":
            c = opened[1] * state[1] + opened[0] * n
            return opened[2] * np.tanh(c), c
        return (n if kind == "rnn" else (1 - opened[1]) * n + opened[1] * h,)

    return step


def seq2seq(
    T: int, S: int, kind="rnn", attention=None, feed="own", bias=False, bridge=False, added=True, trainable=False, tied=False
) -> tuple[Any, list[list[mg.Tensor]], list[list[int]]]:
    """A loss, the states h of the encoder and of the decoder, and the numbers of nodes between which each iteration lies."""
    x, target = inputs(T, trainable), np.random.default_rng(2).normal(size=(S, B, O))
    width = O + H * (attention in ("before", "last"))
    encoder, decoder = cell_by_hand(kind, D, bias, 100), cell_by_hand(kind, width, bias, 200)
    V, A, scale = weight(H * (1 + (attention == "after")), O, seed=300), weight(H, H, seed=301), weight(D, seed=302)
    states: tuple[list[mg.Tensor], list[mg.Tensor]] = ([], [])
    ends: tuple[list[int], list[int]] = ([], [])

    def mark(which: int) -> None:
        ends[which].append(mg.tensor(0.0, requires_grad=True)._node.number)

    def context(h: Any) -> Any:
        p = mg.softmax((memory * h[:, None]).sum(-1), axis=1)
        return (p[:, :, None] * memory).sum(1)

    state = tuple(weight(B, H, seed=400 + k) if trainable else start() for k in range(1 + (kind == "lstm")))
    for t in range(T):
        mark(0)
        state = encoder(x[t] * scale if tied else x[t], state)
        states[0].append(state[0])
    mark(0)
    memory, last = np.stack(states[0], axis=1) if attention in ("before", "after") else None, state[0]
    state = tuple(np.tanh(s @ A) for s in state) if bridge else state
    y, outputs, loss = weight(B, O, seed=500) if feed == "learnt" else np.zeros((B, O)), [], 0
    for k in range(S):
        mark(1)
        z = y * scale if tied else y
        if width > O:
            z = np.concatenate([z, last if attention == "last" else context(state[0])], axis=1)
        state = decoder(z, state)
        states[1].append(state[0])
        out = np.concatenate([state[0], context(state[0])], axis=1) if attention == "after" else state[0]
        outputs.append(out @ V)
        y = target[k] if feed == "forced" else outputs[-1]
        loss = loss + ((outputs[-1] - target[k]) ** 2).sum() if added else loss
    mark(1)
    return loss if added else ((np.stack(outputs) - target) ** 2).sum(), list(states), list(ends)


# -- other recurrences -----------------------------------------------------------------------------------------


@program(once(1))
def power_iteration(T):
    A, v = weight(H, H), np.ones(H)
    for _ in range(T):
        v = A @ v
        v = v / np.sqrt((v * v).sum())
    return v @ (A @ v)


@program(once(1))
def newton(T):
    a, x = mg.tensor(2.0, requires_grad=True), mg.tensor(1.0, requires_grad=True)
    for _ in range(T):
        x = x - (x * x - a) / (2 * x)
    return x


@program(once(1))
def descent_through_grad(T):
    X, y = np.random.default_rng(0).normal(size=(5, 3)), np.random.default_rng(1).normal(size=5)
    w, rate = mg.tensor(np.zeros(3), requires_grad=True), mg.tensor(0.1, requires_grad=True)

    def loss(w):
        return ((X @ w - y) ** 2).mean()

    for _ in range(T):
        w = w - rate * mg.grad(loss)(w)
    return loss(w)


@program(irregular(2))
def momentum(T):
    w, velocity, rate = weight(3), np.zeros(3), mg.tensor(0.1, requires_grad=True)
    for _ in range(T):
        velocity = 0.9 * velocity - rate * np.sin(w)
        w = w + velocity
    return w.sum()


@program(once(1))
def horner(T):
    x, total = mg.tensor(0.5, requires_grad=True), mg.tensor(1.0, requires_grad=True)
    for coefficient in np.linspace(-1, 1, T):
        total = total * x + float(coefficient)
    return total


@program(lambda T: [(T, 1)] if T > 4 else [])
def one_op_again_and_again(T):
    x = weight(3)
    for _ in range(T):
        x = np.sin(x)
    return x.sum()


@program(lambda T: [(T, 2)] if T > 6 else None)
def fibonacci(T):
    a, b = mg.tensor(1.0, requires_grad=True), mg.tensor(2.0, requires_grad=True)
    for _ in range(T):
        a, b = b * 0.5, a + b
    return b


@program(once(2))
def oscillator(T):
    position, speed, k = weight(3), weight(3, seed=1), mg.tensor(0.3, requires_grad=True)
    for _ in range(T):
        speed = speed - 0.1 * (k * position)
        position = position + 0.1 * speed
    return (position * speed).sum()


@program(irregular(1))
def a_running_maximum(T):
    x, best = inputs(T, True), mg.tensor(np.full((B, D), -9.0), requires_grad=True)
    for t in range(T):
        best = np.maximum(best, x[t] * 2)
    return best.sum()


@program(once(1))
def a_sum_of_losses(T):
    w, total = weight(3), 0
    for x in np.random.default_rng(2).normal(size=(T, 3)):
        total = total + ((x - w) ** 2).sum()
    return total


# -- no recurrence ---------------------------------------------------------------------------------------------


@program(lambda T: [])
def attention_over_the_past(T):
    (W, U, b, V), x, h, loss = weights(), inputs(T), mg.tensor(start(), requires_grad=True), 0
    past = [h]
    for t in range(T):
        K = np.stack(past)
        p = np.exp((K * h).sum(-1))
        p = p / p.sum(0)
        h = np.tanh(x[t] @ W + (p[..., None] * K).sum(0) @ U + b)
        past.append(h)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


@program(lambda T: [])
def mlp(T):
    h = inputs(1)[0]
    sizes = [D, *[H] * min(T, 30), O]
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        h = np.tanh(h @ weight(a, b, seed=k) + weight(b, seed=100 + k))
    return (h**2).sum()


@program(lambda T: [])
def mlp_of_smaller_and_smaller_widths(T):
    h = mg.tensor(np.ones((B, T + 3)), requires_grad=True)
    for k in range(T):
        h = np.tanh(h @ weight(T + 3 - k, T + 2 - k, seed=k) + weight(T + 2 - k, seed=100 + k))
    return (h**2).sum()


@program(lambda T: [])
def resnet(T):
    h = weight(B, H)
    for k in range(T):
        h = h + np.tanh(h @ weight(H, H, seed=2 * k)) @ weight(H, H, seed=2 * k + 1)
    return (h**2).sum()


@program(lambda T: [])
def transformer_blocks(T):
    x = weight(5, H)
    for k in range(T):
        q, key, v, o = (x @ weight(H, H, seed=4 * k + i) for i in range(4))
        x = np.tanh(x + (mg.softmax(q @ key.T) @ v) * o)
        x = x + np.maximum(x @ weight(H, 2 * H, seed=900 + k), 0) @ weight(2 * H, H, seed=950 + k)
    return x.sum()


@program(lambda T: [])
def heads(T):
    x, outputs = weight(5, H), []
    for k in range(T):
        q, key, v = (x @ weight(H, O, seed=3 * k + i) for i in range(3))
        outputs.append(mg.softmax(q @ key.T) @ v)
    return np.concatenate(outputs, axis=-1).sum()


@program(lambda T: [])
def examples_one_by_one(T):
    W, V, outputs = weight(D, H), weight(H, O), []
    for x in np.random.default_rng(3).normal(size=(T, D)):
        outputs.append(np.tanh(x @ W) @ V)
    return np.stack(outputs).sum()


@program(lambda T: [])
def no_loop_at_all(T):
    W, U, b, V = weights()
    return (np.tanh(inputs(1)[0] @ W + b) @ U @ V).sum()


# -- the package's own layers ----------------------------------------------------------------------------------


def sequence(T: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(T, B, D))


def layer(make: Callable[[], Any], **kwargs: Callable[[int], Any]) -> Callable[[int], Any]:
    def build(T: int) -> Any:
        outputs, _ = make()(sequence(T), **{key: value(T) for key, value in kwargs.items()})
        return (outputs**2).sum()

    return build


class OneState(rnn.Cell):
    state_names = ("s",)

    def step(self, x, state):
        return (mg.tanh(self.affine(x, state[0])),)


def sequence_with_loss(T):
    model = rnn.Sequence(rnn.LSTM(D, H, rng=0), rnn.Linear(H, O, rng=1))
    return mg.cross_entropy(mg.reshape(model(sequence(T)), (T * B, O)), np.random.default_rng(3).integers(0, O, T * B))


def encoder_decoder(T):
    model = rnn.EncoderDecoder(rnn.GRU(D, H, rng=0), rnn.GRU(D, H, rng=1), rnn.Linear(H, D, rng=2), start=0)
    return (model(sequence(T), np.random.default_rng(3).integers(0, D, (T, B))) ** 2).sum()


@program(lambda T: [(T, 1), (T, 3)])
def seq2seq_by_hand(T):
    return seq2seq(T, T)[0]


@program(lambda T: [(T, 1), (T, 3)])
def seq2seq_with_attention(T):
    return seq2seq(T, T, attention="before")[0]


LAYERS: dict[str, tuple[Callable[[int], Any], Expected]] = {
    "RNN": (layer(lambda: rnn.RNN(D, H, rng=0)), once(1)),
    "LSTM": (layer(lambda: rnn.LSTM(D, H, rng=0)), once(2)),
    "GRU": (layer(lambda: rnn.GRU(D, H, rng=0)), once(1)),
    "LSTM with peepholes": (layer(lambda: rnn.LSTM(D, H, rng=0, peepholes=True)), once(2)),
    "GRU, reset before": (layer(lambda: rnn.GRU(D, H, rng=0, reset_after=False)), once(1)),
    "RNN of two layers": (layer(lambda: rnn.RNN(D, H, 2, rng=0)), lambda T: [(T, 1)] * 2),
    "LSTM of three layers": (layer(lambda: rnn.LSTM(D, H, 3, rng=0)), lambda T: [(T, 2)] * 3),
    "GRU in both directions": (layer(lambda: rnn.GRU(D, H, bidirectional=True, rng=0)), lambda T: [(T, 1)] * 2),
    "LSTM with lengths": (layer(lambda: rnn.LSTM(D, H, rng=0), lengths=lambda T: [T, max(T - 3, 1)]), irregular(2)),
    "LSTM in both directions with lengths": (
        layer(lambda: rnn.LSTM(D, H, rng=0, bidirectional=True), lengths=lambda T: [T, max(T // 2, 1)]),
        lambda T: [(T, 2)] * 2 if T > 5 else None,
    ),
    "LSTM of two layers with dropout": (layer(lambda: rnn.LSTM(D, H, 2, dropout=0.5, rng=0)), lambda T: [(T, 2)] * 2),
    "Sequence and loss": (sequence_with_loss, once(2)),
    "EncoderDecoder": (encoder_decoder, lambda T: [(T, 1)] * 2),
    "a cell of one's own": (layer(lambda: rnn.Recurrent(OneState(D, H, rng=0))), once(1)),
}
ZOO |= LAYERS
