"""Compiled training steps beside other ways: forward over the sequence, loss, backward, gradient descent.

    python benchmarks/compile.py --sizes hello minchar --cells RNN LSTM --markdown
    python benchmarks/compile.py --scaling
    python benchmarks/compile.py --profile --sizes small --cells LSTM

In one run, in turns, in float32 and on one thread (``--threads``): minigrad, minigrad compiled, backpropagation through time
written by hand in NumPy, and, where they are installed, PyTorch (its layers, a loop over its cells, that loop compiled), JAX
(jit of a scan), autograd and MyGrad. All start from the same weights. The script first checks that the gradients written by
hand are minigrad's, and that all arrive at the same losses. Ratios are taken round by round: the median, and the quartiles.

OpenBLAS, which NumPy's wheels come with, does not know every processor, and takes slower kernels for those it does not know.
Which ones it has taken is printed first; ``--kernels SkylakeX`` asks for those with AVX-512.
"""

from __future__ import annotations

import argparse
import os

early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
early.add_argument("--threads", default="1")
early.add_argument("--kernels")
EARLY = early.parse_known_args()[0]
THREADS = EARLY.threads
if EARLY.kernels:
    os.environ["OPENBLAS_CORETYPE"] = EARLY.kernels
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):  # read when NumPy, JAX are imported
    os.environ[variable] = THREADS
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'false' if THREADS == '1' else 'true'}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

# ruff: noqa: E402
import ast
import ctypes
import gc
import signal
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import repeat
from types import CodeType
from typing import Any, TypeGuard

import numpy as np
from timing import calibrate

import minigrad as mg
import minigrad_rnn as rnn

LR = 0.01
CELLS = ("RNN", "LSTM", "GRU")
Clock = Callable[[], float]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
COMPILE_SECONDS = 60  # at most, of torch.compile

Weights = dict[str, np.ndarray]
Step = Callable[[], float]  # one training step; gives the loss before it


@dataclass(frozen=True)
class Case:
    """What is trained: a layer of this cell, and a readout, of every output (cross-entropy) or of the last one (MSE)."""

    cell: str
    T: int
    batch: int
    inputs: int
    hidden: int
    outputs: int
    last: bool = False
    layers: int = 1

    @property
    def title(self) -> str:
        return f"{self.cell}, T={self.T}, batch {self.batch}, {self.inputs} inputs, {self.hidden} hidden"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        if self.last:
            x = rng.random((self.T, self.batch, self.inputs), dtype=np.float32)
            return x, x.mean(axis=(0, 2))[:, None]
        symbols = rng.integers(self.inputs, size=(self.T, self.batch))
        return np.eye(self.inputs, dtype=np.float32)[symbols], rng.integers(self.outputs, size=(self.T, self.batch))

    def model(self) -> rnn.Model:
        layer = getattr(rnn, self.cell)(self.inputs, self.hidden, self.layers, rng=1)
        readout = rnn.Linear(self.hidden, self.outputs, rng=2)
        return rnn.ManyToOne(layer, readout) if self.last else rnn.Sequence(layer, readout)

    def weights(self) -> Weights:
        return self.model().state_dict()


SIZES = {
    "hello": Case("", 6, 1, 5, 5, 5), "minchar": Case("", 25, 1, 65, 100, 65), "small": Case("", 50, 32, 65, 128, 65),
    "adding": Case("", 400, 16, 2, 100, 1, last=True), "mid": Case("", 100, 64, 65, 512, 65),
}  # fmt: skip


# -- minigrad ----------------------------------------------------------------------------------------------------------


def naive_step(case: Case) -> tuple[rnn.Model, Callable[[np.ndarray, np.ndarray], mg.Tensor]]:
    model = case.model()
    optimizer = rnn.SGD(model.parameters(), lr=LR)
    last = case.last

    def step(x: np.ndarray, y: np.ndarray) -> mg.Tensor:
        optimizer.zero_grad()
        loss = rnn.mse_loss(model(x), y) if last else rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def with_minigrad(case: Case) -> Step:
    _, step = naive_step(case)
    x, y = case.data()
    return lambda: step(x, y).item()


def with_compile(case: Case) -> Step:
    step = mg.compile(naive_step(case)[1])
    x, y = case.data()
    return lambda: step(x, y).item()


# -- by hand -----------------------------------------------------------------------------------------------------------


class ByHand:
    """Backpropagation through time without an autodiff: the products of the inputs and of the weights' gradients of all steps
    at once, the gates of a step as one array, the slopes outside of the recurrence, and every array made once."""

    gates = 1
    order: tuple[int, ...] = (0,)  # of the blocks of rows in PyTorch's weights, how they stand here

    def __init__(self, case: Case) -> None:
        T, B, H, G = case.T, case.batch, case.hidden, self.gates
        given = case.weights()
        self.case, self.x, self.y = case, *case.data()
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self.W_ih, self.W_hh, self.b_ih, self.b_hh = (self.ordered(given[f"recurrent.{name}"], self.order) for name in names)
        self.V, self.c = given["readout.weight"].copy(), given["readout.bias"].copy()
        self.flat_x = self.x.reshape(T * B, -1)
        self.h = np.zeros((T + 1, B, H), np.float32)
        self.a = np.empty((T, B, G * H), np.float32)  # the pre-activations, then the gates
        self.da = np.empty((T, B, G * H), np.float32)
        self.slopes = np.empty((T, B, G * H), np.float32)
        self.w = np.empty((B, G * H), np.float32)
        self.rows = np.arange(T * B)

    def ordered(self, rows: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        blocks = rows.reshape(self.gates, -1, *rows.shape[1:])
        return blocks[list(order)].reshape(rows.shape)

    def step(self) -> float:
        case = self.case
        np.dot(self.flat_x, self.W_ih.T, out=self.a.reshape(len(self.flat_x), -1))
        self.forward()
        loss, dh, following = self.of_last() if case.last else self.of_all()
        d_ih, d_hh = self.backward(dh, following)
        d_ih, d_hh = d_ih.reshape(len(self.flat_x), -1), d_hh.reshape(len(self.flat_x), -1)
        db = d_ih.sum(axis=0)
        self.gradients = (
            d_ih.T.dot(self.flat_x), d_hh.T.dot(self.h[:-1].reshape(len(d_hh), -1)), db,
            db if d_ih is d_hh or np.may_share_memory(d_ih, d_hh) else d_hh.sum(axis=0), *self.of_readout,
        )  # fmt: skip
        for p, g in zip((self.W_ih, self.W_hh, self.b_ih, self.b_hh, self.V, self.c), self.gradients, strict=True):
            p -= np.float32(LR) * g
        return float(loss)

    def of_all(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """Cross-entropy of every output."""
        states = self.h[1:].reshape(len(self.rows), -1)
        p = states.dot(self.V.T)
        p += self.c
        p -= p.max(axis=1, keepdims=True)
        targets = self.y.reshape(-1)
        right = p[self.rows, targets]
        np.exp(p, out=p)
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - right).mean()
        p /= total
        p[self.rows, targets] -= 1
        p /= np.float32(len(p))
        self.of_readout = (p.T.dot(states), p.sum(axis=0))
        return loss, p.dot(self.V).reshape(self.h[1:].shape), np.zeros_like(self.h[0])

    def of_last(self) -> tuple[Any, None, np.ndarray]:
        """Squared error of the last output."""
        d = self.h[-1].dot(self.V.T)
        d += self.c
        d -= self.y
        loss = np.square(d).mean()
        d *= np.float32(2 / d.size)
        self.of_readout = (d.T.dot(self.h[-1]), d.sum(axis=0))
        return loss, None, d.dot(self.V)

    def forward(self) -> None:
        raise NotImplementedError

    def backward(self, dh: np.ndarray | None, following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of what W_ih and of what W_hh gave; given those of all outputs, if there are, and of the last state."""
        raise NotImplementedError

    def named_gradients(self) -> Weights:
        back = tuple(int(i) for i in np.argsort(self.order))
        recurrent = [self.ordered(g, back) for g in self.gradients[:4]]
        names = (
            *(f"recurrent.{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
            "readout.weight",
            "readout.bias",
        )
        return dict(zip(names, (*recurrent, *self.gradients[4:]), strict=True))


class RNNByHand(ByHand):
    def forward(self) -> None:
        self.a += self.b_ih + self.b_hh
        R, w = self.W_hh.T, self.w
        for h, a, new in zip(self.h, self.a, self.h[1:], strict=False):
            np.dot(h, R, out=w)
            np.add(a, w, out=a)
            np.tanh(a, out=new)

    def backward(self, dh: np.ndarray | None, following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        np.multiply(self.h[1:], self.h[1:], out=self.slopes)
        np.subtract(1, self.slopes, out=self.slopes)
        for d, da, slope in zip(backwards(dh), self.da[::-1], self.slopes[::-1], strict=False):
            if d is not None:
                np.add(following, d, out=following)
            np.multiply(following, slope, out=da)
            np.dot(da, self.W_hh, out=following)
        return self.da, self.da


def backwards(dh: np.ndarray | None) -> Iterable[np.ndarray | None]:
    return repeat(None) if dh is None else dh[::-1]


def sigmoid(x: np.ndarray) -> None:
    """In place."""
    np.negative(x, out=x)
    np.exp(x, out=x)
    np.add(x, 1, out=x)
    np.reciprocal(x, out=x)


class LSTMByHand(ByHand):
    gates = 4
    order = (3, 0, 1, 2)  # o, i, f, g: the sigmoids stand together, and so do those that the memory's gradient goes to

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.c_ = np.zeros_like(self.h)
        self.tanh_c = np.empty_like(self.h[1:])
        self.through = np.empty_like(self.tanh_c)
        self.scale = np.repeat(np.float32([0.5, 0.5, 0.5, 1]), case.hidden)
        self.shift = np.repeat(np.float32([0.5, 0.5, 0.5, 0]), case.hidden)

    def forward(self) -> None:
        self.a += self.b_ih + self.b_hh
        a, R, w, part = self.a, self.W_hh.T, self.w, np.empty_like(self.h[0])
        gates = self.gates_of(a)
        scale, shift = self.scale, self.shift
        for h, z, o, i, f, g, c, c1, t, h1 in zip(
            self.h, a, *gates, self.c_, self.c_[1:], self.tanh_c, self.h[1:], strict=False
        ):
            np.dot(h, R, out=w)
            np.add(z, w, out=z)
            np.multiply(z, scale, out=z)  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2, so one tanh serves all gates
            np.tanh(z, out=z)
            np.multiply(z, scale, out=z)
            np.add(z, shift, out=z)
            np.multiply(f, c, out=c1)
            np.multiply(i, g, out=part)
            np.add(c1, part, out=c1)
            np.tanh(c1, out=t)
            np.multiply(o, t, out=h1)

    def gates_of(self, a: np.ndarray) -> list[np.ndarray]:
        H = self.case.hidden
        return [a[:, :, k * H : (k + 1) * H] for k in range(4)]

    def backward(self, dh: np.ndarray | None, following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        T, B, H = self.tanh_c.shape
        a, s, da = (x.reshape(T, B, 4, H) for x in (self.a, self.slopes, self.da))
        o, i, f, g = self.gates_of(self.a)
        np.subtract(1, a[:, :, :3], out=s[:, :, :3])
        s[:, :, :3] *= a[:, :, :3]
        s[:, :, 0] *= self.tanh_c
        s[:, :, 1] *= g
        s[:, :, 2] *= self.c_[:-1]
        np.multiply(g, g, out=s[:, :, 3])
        np.subtract(1, s[:, :, 3], out=s[:, :, 3])
        s[:, :, 3] *= i
        np.multiply(self.tanh_c, self.tanh_c, out=self.through)
        np.subtract(1, self.through, out=self.through)
        self.through *= o
        dc, part = np.zeros((B, 1, H), np.float32), np.empty((B, H), np.float32)
        dc_ = dc[:, 0]
        steps = (x[::-1] for x in (s[:, :, 0], s[:, :, 1:], self.through, f, da[:, :, 0], da[:, :, 1:], self.da))
        for d, of_o, of_rest, through, forget, da_o, da_rest, whole in zip(backwards(dh), *steps, strict=False):
            if d is not None:
                np.add(following, d, out=following)
            np.multiply(following, of_o, out=da_o)
            np.multiply(following, through, out=part)
            np.add(dc_, part, out=dc_)
            np.multiply(dc, of_rest, out=da_rest)
            np.multiply(dc_, forget, out=dc_)
            np.dot(whole, self.W_hh, out=following)
        return self.da, self.da


class GRUByHand(ByHand):
    gates = 3
    order = (0, 1, 2)

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        T, B, H = case.T, case.batch, case.hidden
        self.rz = np.empty((T, B, 2 * H), np.float32)
        self.hn = np.empty_like(self.h[1:])
        self.da_ih = np.empty_like(self.da)
        self.dh = np.empty_like(self.hn)

    def forward(self) -> None:
        H = self.case.hidden
        bias = self.b_ih.copy()
        bias[: 2 * H] += self.b_hh[: 2 * H]
        self.a += bias
        a, R, w, b = self.a, self.W_hh.T, self.w, self.b_hh[2 * H :]
        w_rz, w_n, rz = w[:, : 2 * H], w[:, 2 * H :], self.rz
        steps = (self.h, a[:, :, : 2 * H], a[:, :, 2 * H :], rz, rz[:, :, :H], rz[:, :, H:], self.hn, self.h[1:])
        for h, s, n, gates, r, z, hn, h1 in zip(*steps, strict=False):
            np.dot(h, R, out=w)
            np.add(s, w_rz, out=gates)
            sigmoid(gates)
            np.add(w_n, b, out=hn)
            np.multiply(r, hn, out=h1)
            np.add(n, h1, out=n)
            np.tanh(n, out=n)
            np.subtract(h, n, out=h1)
            np.multiply(h1, z, out=h1)
            np.add(h1, n, out=h1)

    def backward(self, dh: np.ndarray | None, following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        T, B, H = self.hn.shape
        rz = self.rz.reshape(T, B, 2, H)
        s, da, da_ih = (x.reshape(T, B, 3, H) for x in (self.slopes, self.da, self.da_ih))
        r, z, n = rz[:, :, 0], rz[:, :, 1], self.a[:, :, 2 * H :]
        of_n = (1 - z) * (1 - n * n)  # of the pre-activation of n
        np.subtract(1, rz, out=s[:, :, :2])
        s[:, :, :2] *= rz
        s[:, :, 0] *= self.hn
        s[:, :, 0] *= of_n
        s[:, :, 1] *= self.h[:-1] - n
        np.multiply(of_n, r, out=s[:, :, 2])
        part = np.empty((B, H), np.float32)
        steps = (x[::-1] for x in (self.dh, self.dh[:, :, None], s, da, self.da, z))
        for given, d, d_of_all, slope, da_t, whole, z_t in zip(backwards(dh), *steps, strict=False):
            if given is None:
                np.copyto(d, following)
            else:
                np.add(following, given, out=d)
            np.multiply(d_of_all, slope, out=da_t)
            np.dot(whole, self.W_hh, out=following)
            np.multiply(d, z_t, out=part)
            np.add(following, part, out=following)
        da_ih[:, :, :2] = da[:, :, :2]
        np.multiply(self.dh, of_n, out=da_ih[:, :, 2])
        return self.da_ih, self.da


HANDS = {"RNN": RNNByHand, "LSTM": LSTMByHand, "GRU": GRUByHand}


def by_hand(case: Case) -> Step:
    return HANDS[case.cell](case).step


# -- others ------------------------------------------------------------------------------------------------------------


def with_torch(case: Case) -> Step:
    import torch

    torch.set_num_threads(int(THREADS))
    layer = getattr(torch.nn, case.cell)(case.inputs, case.hidden, case.layers)
    readout = torch.nn.Linear(case.hidden, case.outputs)
    load_torch({"recurrent": layer, "readout": readout}, case.weights())
    return torch_step(case, lambda x: readout(layer(x)[0][-1] if case.last else layer(x)[0]), [layer, readout])


def torch_cells(case: Case) -> tuple[Any, list[Any]]:
    import torch

    torch.set_num_threads(int(THREADS))
    cell = getattr(torch.nn, f"{case.cell}Cell")(case.inputs, case.hidden)
    readout = torch.nn.Linear(case.hidden, case.outputs)
    weights = {name.replace("_l0", ""): value for name, value in case.weights().items()}
    load_torch({"recurrent": cell, "readout": readout}, weights)

    def forward(x: Any) -> Any:
        h = torch.zeros(case.batch, case.hidden)
        state = (h, h) if case.cell == "LSTM" else h
        outputs = []
        for t in range(case.T):
            state = cell(x[t], state)
            outputs.append(state[0] if case.cell == "LSTM" else state)
        return readout(outputs[-1] if case.last else torch.stack(outputs))

    return forward, [cell, readout]


def with_torch_cells(case: Case) -> Step:
    return torch_step(case, *torch_cells(case))


def with_torch_compile(case: Case) -> Step:
    import torch

    forward, modules = torch_cells(case)
    return torch_step(case, torch.compile(forward), modules)


def load_torch(modules: dict[str, Any], weights: Weights) -> None:
    import torch

    for name, module in modules.items():
        own = {n.removeprefix(f"{name}."): torch.tensor(v) for n, v in weights.items() if n.startswith(f"{name}.")}
        module.load_state_dict(own)


def torch_step(case: Case, forward: Any, modules: list[Any]) -> Step:
    import torch

    optimizer = torch.optim.SGD([p for module in modules for p in module.parameters()], lr=LR)
    x, y = map(torch.tensor, case.data())

    def step() -> float:
        optimizer.zero_grad()
        outputs = forward(x)
        if case.last:
            loss = torch.nn.functional.mse_loss(outputs, y)
        else:
            loss = torch.nn.functional.cross_entropy(outputs.reshape(-1, case.outputs), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def cell_step(case: Case, np: Any, sigmoid: Any, W: dict[str, Any], k: int, part: Any, state: Any) -> Any:
    """A step of the recurrence, given W_ih x + b_ih, with the functions of an `np`."""
    H, h = case.hidden, state[0]
    other = np.dot(h, W[f"recurrent.weight_hh_l{k}"].T) + W[f"recurrent.bias_hh_l{k}"]
    if case.cell == "RNN":
        return (np.tanh(part + other),)
    if case.cell == "LSTM":
        z = part + other
        i, f, o = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H]), sigmoid(z[:, 3 * H :])
        c = f * state[1] + i * np.tanh(z[:, 2 * H : 3 * H])
        return o * np.tanh(c), c
    r, z = sigmoid(part[:, :H] + other[:, :H]), sigmoid(part[:, H : 2 * H] + other[:, H : 2 * H])
    n = np.tanh(part[:, 2 * H :] + r * other[:, 2 * H :])
    return ((1 - z) * n + z * h,)


def with_jax(case: Case) -> Step:
    import jax
    import jax.numpy as jnp

    def loss_of(W: Any, x: Any, y: Any) -> Any:
        for k in range(case.layers):
            parts = x @ W[f"recurrent.weight_ih_l{k}"].T + W[f"recurrent.bias_ih_l{k}"]

            def step(state: Any, part: Any, k: int = k) -> Any:
                new = cell_step(case, jnp, jax.nn.sigmoid, W, k, part, state)
                return new, new[0]

            zero = jnp.zeros((case.batch, case.hidden))
            last, x = jax.lax.scan(step, (zero, zero) if case.cell == "LSTM" else (zero,), parts)
        outputs = (last[0] if case.last else x) @ W["readout.weight"].T + W["readout.bias"]
        if case.last:
            return jnp.square(outputs - y).mean()
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs), y[..., None], -1).mean()

    def training_step(W: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(W, x, y)
        return loss, jax.tree.map(lambda p, g: p - LR * g, W, gradients)

    compiled = jax.jit(training_step, donate_argnums=0)
    x, y = map(jnp.asarray, case.data())
    W = {name: jnp.asarray(value) for name, value in case.weights().items()}

    def step() -> float:
        nonlocal W
        loss, W = compiled(W, x, y)
        return float(loss)

    return step


def with_autograd(case: Case) -> Step:
    import autograd
    import autograd.numpy as anp

    x, y = case.data()
    W = case.weights()
    rows, columns = np.indices(y.shape)

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + anp.exp(-x))

    def loss_of(W: Any) -> Any:
        zero = np.zeros((case.batch, case.hidden), np.float32)
        state: Any = (zero, zero) if case.cell == "LSTM" else (zero,)
        outputs = []
        parts = anp.dot(x, W["recurrent.weight_ih_l0"].T) + W["recurrent.bias_ih_l0"]
        for t in range(case.T):
            state = cell_step(case, anp, sigmoid, W, 0, parts[t], state)
            outputs.append(state[0])
        o = anp.dot(state[0] if case.last else anp.stack(outputs), W["readout.weight"].T) + W["readout.bias"]
        if case.last:
            return anp.mean(anp.square(o - y))
        o = o - anp.max(o, axis=-1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(o), axis=-1)) - o[rows, columns, y])

    slope = autograd.value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = slope(W)
        for name, g in gradients.items():
            W[name] = W[name] - np.float32(LR) * g
        return float(loss)

    return step


def with_mygrad(case: Case) -> Step:
    import mygrad
    from mygrad.nnet.losses import softmax_crossentropy

    x, y = case.data()
    W = {name: mygrad.tensor(value) for name, value in case.weights().items()}

    class Functions:
        tanh = staticmethod(mygrad.tanh)
        dot = staticmethod(mygrad.matmul)

    def step() -> float:
        zero = np.zeros((case.batch, case.hidden), np.float32)
        state: Any = (zero, zero) if case.cell == "LSTM" else (zero,)
        outputs = []
        parts = mygrad.matmul(x, W["recurrent.weight_ih_l0"].T) + W["recurrent.bias_ih_l0"]
        for t in range(case.T):
            state = cell_step(case, Functions, mygrad.nnet.activations.sigmoid, W, 0, parts[t], state)
            outputs.append(state[0])
        o = mygrad.matmul(state[0] if case.last else mygrad.stack(outputs), W["readout.weight"].T) + W["readout.bias"]
        if case.last:
            loss = mygrad.mean(mygrad.square(o - y))
        else:
            loss = softmax_crossentropy(o.reshape(-1, case.outputs), y.reshape(-1))
        loss.backward()
        value = loss.item()
        for name, p in W.items():
            W[name] = mygrad.tensor(p.data - np.float32(LR) * p.grad)
        return float(value)

    return step


WAYS: dict[str, Callable[[Case], Step]] = {
    "by hand": by_hand, "minigrad": with_minigrad, "minigrad compiled": with_compile, "torch.nn layer": with_torch,
    "torch cell loop": with_torch_cells, "torch.compile of it": with_torch_compile, "JAX jit, scan": with_jax,
    "autograd": with_autograd, "MyGrad": with_mygrad,
}  # fmt: skip
UP_TO = {"torch cell loop": 2, "torch.compile of it": 1, "autograd": 1, "MyGrad": 1}  # of SIZES
BASES = {"by hand": "by hand", "torch.nn layer": "torch.nn", "JAX jit, scan": "JAX"}
COMPARED = ("minigrad", "minigrad compiled", "by hand", "torch.nn layer", "JAX jit, scan")  # as sizes grow
TRACED = ("by hand", "minigrad", "minigrad compiled")  # whose memory is NumPy's


# -- measuring ---------------------------------------------------------------------------------------------------------


class TooLongError(Exception):
    """Something took more seconds than it may."""


def first_call(step: Step, seconds: float) -> tuple[float, float]:
    """The loss, and how long it took; TooLongError where that is more than these seconds."""

    def give_up(*_: Any) -> None:
        raise TooLongError(f"more than {seconds:.0f} s")

    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(max(1, round(seconds)))
    began = time.perf_counter()
    try:
        return step(), time.perf_counter() - began
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)


def check_gradients(case: Case) -> None:
    """Those by hand are minigrad's."""
    hand = HANDS[case.cell](case)
    model, step = naive_step(case)
    x, y = case.data()
    np.testing.assert_allclose(hand.step(), step(x, y).item(), rtol=1e-5)
    found = hand.named_gradients()
    for name, p in model.named_parameters():
        largest = np.abs(p.grad).max()
        np.testing.assert_allclose(found[name], p.grad, rtol=1e-3, atol=1e-4 * largest, err_msg=f"{case.title}: {name}")


def memory_of(make: Callable[[Case], Step], case: Case) -> tuple[int, int]:
    """Bytes at most while it is made ready and runs twice, and while it runs later: all that it has made, and its weights."""
    gc.collect()
    tracemalloc.start()
    step = make(case)
    step(), step()
    first = tracemalloc.get_traced_memory()[1]
    gc.collect()
    tracemalloc.reset_peak()
    step()
    later = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return first, later


@dataclass
class Measured:
    size: str
    case: Case
    times: dict[str, list[float]]
    first: dict[str, float]
    second: dict[str, float]
    memory: dict[str, tuple[int, int]]
    missing: dict[str, str]


def measure(size: str, case: Case, rounds: int, budget: float, only: list[str] | None, memory: bool, clock: Clock) -> Measured:
    check_gradients(case)
    steps: dict[str, Step] = {}
    first: dict[str, float] = {}
    second: dict[str, float] = {}
    missing: dict[str, str] = {}
    losses: dict[str, list[float]] = {}
    for name, make in WAYS.items():
        if list(SIZES).index(size) > UP_TO.get(name, 99) or (only and name not in only):
            continue
        try:
            step = make(case)
            loss, first[name] = first_call(step, COMPILE_SECONDS)
            began = time.perf_counter()
            losses[name] = [loss, step()]  # the second may be recorded anew: the gradients are there by then
            second[name] = time.perf_counter() - began
            losses[name].append(step())
            steps[name] = step
        except ImportError as error:
            missing[name] = f"not installed ({error.name})"
        except Exception as error:  # a compiler that is not there, or takes too long
            if not name.startswith("torch.compile"):
                raise
            missing[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["by hand"], rtol=2e-4, err_msg=f"{case.title}: {name}")
    once = sum(max(0.01, min(timed(step) for _ in range(2))) for step in steps.values())
    count = max(5, min(rounds, round(budget / once)))
    times = in_turns(steps, count, clock)
    del steps, step
    found = {name: memory_of(WAYS[name], case) for name in TRACED if name in times and memory}
    return Measured(size, case, times, first, second, found, missing)


def in_turns(steps: dict[str, Step], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds per step of each way, one value a round."""
    calls = {name: calibrate(step, 0.01) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    for _ in range(rounds):
        for name, step in steps.items():
            began = clock()
            for _ in range(calls[name]):
                step()
            times[name].append((clock() - began) / calls[name])
    return times


def timed(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def ratios(times: dict[str, list[float]], name: str, base: str) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    values = [a / b for a, b in zip(times[name], times[base], strict=True)]
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def amount(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def bytes_of(n: int) -> str:
    return f"{n / 2**20:.1f} MB" if n >= 2**20 else f"{n / 2**10:.0f} kB"


def cells_of(m: Measured) -> list[list[str]]:
    """The table: a row for each way."""
    bases = [base for base in BASES if base in m.times]
    rows = [["", "step", "q1 - q3", *(f"/ {BASES[b]}" for b in bases), "first call", "second", "memory", "of first two"]]
    for name, values in m.times.items():
        low, _, high = statistics.quantiles(values, n=4)
        row = [name, amount(statistics.median(values)), f"{amount(low)} - {amount(high)}"]
        for base in bases:
            low, middle, high = ratios(m.times, name, base)
            row.append("1" if base == name else f"{middle:.2f} ({low:.2f}-{high:.2f})")
        first, later = m.memory.get(name, (0, 0))
        rows.append(
            [
                *row,
                amount(m.first[name]),
                amount(m.second[name]),
                bytes_of(later) if later else "",
                bytes_of(first) if first else "",
            ]
        )
    return rows


def shown(rows: list[list[str]], markdown: bool) -> str:
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" + "---:|" * (len(rows[0]) - 1))
        return "\n".join(lines)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(x.ljust(w) if i == 0 else x.rjust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


def plot(found: list[Measured], path: str) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        print("no plot: matplotlib is not installed (extra plot)")
        return
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = [name for name in WAYS if any(name in m.times for m in found) and name != "by hand"]
    figure, axes = plt.subplots(figsize=(max(6, 1.1 * len(found)), 5))
    for i, name in enumerate(names):
        points = [(k, ratios(m.times, name, "by hand")) for k, m in enumerate(found) if name in m.times]
        at = [k + (i - len(names) / 2) * 0.1 for k, _ in points]
        middle = [r[1] for _, r in points]
        errors = [[r[1] - r[0] for _, r in points], [r[2] - r[1] for _, r in points]]
        axes.errorbar(at, middle, yerr=errors, fmt="o", markersize=4, label=name)
    axes.axhline(1, color="gray", linewidth=1)
    axes.set_yscale("log")
    axes.set_xticks(range(len(found)), [f"{m.case.cell}\n{m.size}" for m in found], fontsize=8)
    axes.set_ylabel("time of a training step / by hand")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    print(f"plot in {path}")


# -- how it grows ------------------------------------------------------------------------------------------------------


def scaling(cells: list[str], seconds: float, markdown: bool) -> None:
    """Each point once: how long the first two calls take, and then a step. A series ends where its share of the time would."""
    base = Case("", 25, 1, 16, 16, 16)
    series = {
        "T": [replace(base, T=T) for T in (10, 30, 100, 300, 1000, 3000, 10000)],
        "hidden": [replace(base, hidden=H) for H in (4, 16, 64, 256, 1024)],
        "layers": [replace(base, hidden=64, layers=n) for n in (1, 2, 3, 4)],
    }
    plans = [(cell, what) for cell in cells for what in ("layers", "hidden", "T")]
    end = time.perf_counter() + seconds
    for left, (cell, what) in zip(range(len(plans), 0, -1), plans, strict=True):
        began = time.perf_counter()
        share, last = (end - began) / left, 0.0
        rows = [[f"{cell}, {what}", "eager", "compiled", "by hand", "torch.nn", "JAX", "first two: compiled", "first two: JAX"]]
        for bare in series[what]:
            here = time.perf_counter()
            if here - began + 1.5 * last > share:
                print(f"({cell}, {what} from {getattr(bare, what)}: left out, it takes too long; see --seconds)")
                break
            took = point(replace(bare, cell=cell))
            last = time.perf_counter() - here
            steps = [amount(took[name][1]) if name in took else "" for name in COMPARED]
            first_calls = [amount(took[name][0]) if name in took else "" for name in ("minigrad compiled", "JAX jit, scan")]
            rows.append([str(getattr(bare, what)), *steps, *first_calls])
        if len(rows) > 1:
            print(shown(rows, markdown) + "\n", flush=True)


def point(case: Case) -> dict[str, tuple[float, float]]:
    """Of each way: seconds of the first two calls, and of the fastest of some more, at least 12 (Python, too, warms up)."""
    took: dict[str, tuple[float, float]] = {}
    for name in COMPARED:
        if name == "by hand" and case.layers > 1:
            continue
        try:
            step = WAYS[name](case)
            first = timed(step) + timed(step)
        except ImportError:
            continue
        took[name] = first, min(timed(step) for _ in range(12 if first > 0.5 else 40))
        del step
        gc.collect()
    return took


# -- where the time goes -----------------------------------------------------------------------------------------------


def profile(case: Case, rounds: int) -> list[list[str]]:
    """The lines of a program by what they do, each timed by itself (the fastest of some rounds, less what an empty one takes):
    how many there are, how often they run, what they take together, and what share that is."""
    step = mg.compile(naive_step(case)[1])
    x, y = case.data()
    step(x, y), step(x, y)
    program = step.last.program
    text = program.source.splitlines()
    lines = [line for f in ast.parse(program.source).body if isinstance(f, ast.FunctionDef) for line in f.body]
    fastest: dict[ast.stmt, float] = {}
    nothing = compile("pass", "line", "exec")
    empty = min(run_alone(nothing, {}) for _ in range(1000))
    with np.errstate(all="ignore"):
        for _ in range(rounds):
            took: dict[ast.stmt, list[float]] = {}
            run_timed(lines, dict(program.space), took)
            for line, found in took.items():
                fastest[line] = min(sum(found) - len(found) * empty, fastest.get(line, float("inf")))
    groups: dict[str, list[tuple[int, float]]] = {}
    steps = {line for f in ast.walk(ast.Module(lines, [])) if is_loop(f, "steps") for line in f.body}
    for line, seconds in fastest.items():
        word = ast.unparse(line).partition("(")[0]
        what = "products" if word.endswith(".dot") else "exp, tanh" if word in ("exp", "tanh") else "other calls"
        where = "in steps" if line in steps or "/t=" in text[line.lineno - 1] else "of many steps"
        groups.setdefault(f"{what}, {where}", []).append((len(took[line]), seconds))
    total = sum(fastest.values())
    rows = [["", "lines", "runs", "together", "each", "share"]]
    for name, found in sorted(groups.items(), key=lambda item: -sum(seconds for _, seconds in item[1])):
        runs, seconds = (sum(column) for column in zip(*found, strict=True))
        share = f"{100 * seconds / total:.0f} %"
        rows.append([name, str(len(found)), str(runs), amount(seconds), amount(seconds / runs), share])
    return [*rows, ["all", str(len(fastest)), str(sum(map(len, took.values()))), amount(total), "", ""]]


def is_loop(line: ast.AST, over: str) -> TypeGuard[ast.For]:
    return isinstance(line, ast.For) and isinstance(line.iter, ast.Name) and line.iter.id.startswith(over)


def run_timed(lines: list[ast.stmt], space: dict[str, Any], took: dict[ast.stmt, list[float]]) -> None:
    """Run lines of a program, and note the seconds of each run of a call."""
    for line in lines:
        if is_loop(line, ""):
            names = [name.id for name in line.target.elts]
            for arrays in space[line.iter.id]:
                space.update(zip(names, arrays, strict=True))
                run_timed(line.body, space, took)
        elif isinstance(line, ast.If) and isinstance(line.test, ast.Name):  # of what only the first step does
            run_timed(line.body if space[line.test.id] else [], space, took)
        elif isinstance(line, ast.Expr) and not ast.unparse(line).startswith("lines_"):
            if line not in CODES:
                CODES[line] = compile(ast.Module([line], []), "line", "exec")
            took.setdefault(line, []).append(run_alone(CODES[line], space))


def run_alone(code: CodeType, space: dict[str, Any]) -> float:
    began = time.perf_counter()
    exec(code, space)
    return time.perf_counter() - began


CODES: dict[ast.stmt, CodeType] = {}


def blas_kernels() -> str:
    """Which kernels NumPy's OpenBLAS has taken."""
    try:
        with open("/proc/self/maps") as maps:
            path = next(line.split()[-1] for line in maps if "openblas" in line)
        library = ctypes.CDLL(path)
        name = next(
            n
            for n in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename")
            if hasattr(library, n)
        )
        function = getattr(library, name)
        function.restype = ctypes.c_char_p
        return function().decode()  # type: ignore[no-any-return]
    except (OSError, StopIteration):
        return "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="these, and what is written by hand, and no others")
    parser.add_argument("--rounds", type=int, default=60, help="at most; where a step is long, fewer")
    parser.add_argument(
        "--seconds", type=float, default=15, help="of the rounds of each size and cell; --scaling takes ten times this in all"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kernels", help="of OpenBLAS, such as Haswell or SkylakeX; without it those that it takes itself")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of all threads; for a machine that is not idle")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory, which takes as long again")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--profile", action="store_true", help="instead: what the lines of the compiled program take")
    parser.add_argument("--scaling", action="store_true", help="instead: how time grows with the length, the width, the layers")
    options = parser.parse_args()
    print(f"NumPy {np.__version__}, OpenBLAS kernels: {blas_kernels()}, threads: {options.threads}\n")
    if options.scaling:
        scaling(options.cells, 10 * options.seconds, options.markdown)
        return
    if options.profile:
        for case in (replace(SIZES[size], cell=cell) for size in options.sizes for cell in options.cells):
            print(f"{case.title}\n{shown(profile(case, min(options.rounds, 20)), options.markdown)}\n", flush=True)
        return
    found = []
    for size in options.sizes:
        for cell in options.cells:
            ways = [*options.ways, "by hand"] if options.ways else None
            m = measure(
                size,
                replace(SIZES[size], cell=cell),
                options.rounds,
                options.seconds,
                ways,
                not options.no_memory,
                CLOCKS[options.clock],
            )
            found.append(m)
            title = f"{size}: {m.case.title} ({len(m.times['by hand'])} rounds)"
            print(f"**{title}**\n" if options.markdown else title)
            print(shown(cells_of(m), options.markdown))
            for name, why in m.missing.items():
                print(f"{'' if options.markdown else '  '}{name}: {why}")
            print(flush=True)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
