"""Whole training steps of a tanh RNN: forward over the sequence, softmax loss, backward, gradient descent.

    python benchmarks/training_step.py

In one run, in turns, in float32 and on one thread: minigrad, backpropagation through time written by hand in NumPy,
and, where PyTorch is installed (extra `bench`), ``torch.nn.RNNCell`` in a loop. All start from the same weights, and
the script first checks that all arrive at the same loss.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ[variable] = "1"

# ruff: noqa: E402
from collections.abc import Callable

import numpy as np
from timing import compare, table

import minigrad_rnn as rnn

SIZES = {"hello": (6, 1, 5, 5), "minchar": (25, 1, 65, 100), "small": (50, 32, 65, 128)}  # T, batch, symbols, hidden
LR = 0.01

Weights = dict[str, np.ndarray]
Step = Callable[[], float]


def with_minigrad(weights: Weights, x: np.ndarray, y: np.ndarray) -> Step:
    symbols, hidden = weights["readout.weight"].shape
    model = rnn.Sequence(rnn.RNN(symbols, hidden), rnn.Linear(hidden, symbols))
    model.load_state_dict(weights)
    optimizer = rnn.SGD(model.parameters(), lr=LR)

    def step() -> float:
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def by_hand(weights: Weights, x: np.ndarray, y: np.ndarray) -> Step:
    W = {name: value.copy() for name, value in weights.items()}
    T, batch, _ = x.shape
    hidden = W["recurrent.weight_hh_l0"].shape[0]
    rows = np.arange(T * batch)

    def step() -> float:
        U, R, V = W["recurrent.weight_ih_l0"], W["recurrent.weight_hh_l0"], W["readout.weight"]
        bias = W["recurrent.bias_ih_l0"] + W["recurrent.bias_hh_l0"]
        h = np.zeros((T + 1, batch, hidden), np.float32)
        for t in range(T):
            h[t + 1] = np.tanh(x[t].dot(U.T) + h[t].dot(R.T) + bias)
        states = h[1:].reshape(-1, hidden)
        logits = states.dot(V.T) + W["readout.bias"]
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        total = p.sum(axis=1, keepdims=True)
        targets = y.reshape(-1)
        loss = (np.log(total[:, 0]) - logits[rows, targets]).mean()
        p /= total
        p[rows, targets] -= 1
        p /= len(rows)
        dh = p.dot(V).reshape(T, batch, hidden)
        da = np.empty_like(dh)
        following = np.zeros((batch, hidden), np.float32)
        for t in reversed(range(T)):
            da[t] = (dh[t] + following) * (1 - h[t + 1] * h[t + 1])
            following = da[t].dot(R)
        flat = da.reshape(-1, hidden)
        db = flat.sum(axis=0)
        gradients = {
            "recurrent.weight_ih_l0": flat.T.dot(x.reshape(T * batch, -1)),
            "recurrent.weight_hh_l0": flat.T.dot(h[:-1].reshape(-1, hidden)),
            "recurrent.bias_ih_l0": db,
            "recurrent.bias_hh_l0": db,
            "readout.weight": p.T.dot(states),
            "readout.bias": p.sum(axis=0),
        }
        for name, g in gradients.items():
            W[name] -= LR * g
        return float(loss)

    return step


def with_torch(weights: Weights, x: np.ndarray, y: np.ndarray) -> Step | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    symbols, hidden = weights["readout.weight"].shape
    cell, readout = torch.nn.RNNCell(symbols, hidden), torch.nn.Linear(hidden, symbols)
    cell.load_state_dict(
        {name: torch.tensor(weights[f"recurrent.{name}_l0"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    )
    readout.load_state_dict({name: torch.tensor(weights[f"readout.{name}"]) for name in ("weight", "bias")})
    optimizer = torch.optim.SGD([*cell.parameters(), *readout.parameters()], lr=LR)
    inputs, targets = torch.tensor(x), torch.tensor(y).reshape(-1)

    def step() -> float:
        optimizer.zero_grad()
        h = torch.zeros(inputs.shape[1], hidden)
        outputs = []
        for t in range(inputs.shape[0]):
            h = cell(inputs[t], h)
            outputs.append(h)
        logits = readout(torch.stack(outputs))
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, symbols), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    for size, (T, batch, symbols, hidden) in SIZES.items():
        rng = np.random.default_rng(0)
        x = np.eye(symbols, dtype=np.float32)[rng.integers(symbols, size=(T, batch))]
        y = rng.integers(symbols, size=(T, batch))
        weights = rnn.Sequence(rnn.RNN(symbols, hidden, rng=1), rnn.Linear(hidden, symbols, rng=2)).state_dict()
        made = {"NumPy by hand": by_hand, "minigrad": with_minigrad, "torch RNNCell loop": with_torch}
        steps = {name: step for name, make in made.items() if (step := make(weights, x, y)) is not None}
        losses = {name: [step() for _ in range(3)] for name, step in steps.items()}
        for name, values in losses.items():
            np.testing.assert_allclose(values, losses["NumPy by hand"], rtol=1e-4, err_msg=name)
        base = "torch RNNCell loop" if "torch RNNCell loop" in steps else "NumPy by hand"
        title = f"{size}: T={T}, batch {batch}, {symbols} symbols, {hidden} hidden"
        print(table(title, compare(steps, rounds=20, seconds=0.05), base))
        if "torch RNNCell loop" not in steps:
            print("  (torch is not installed: pip install torch==2.13.0)")


if __name__ == "__main__":
    main()
