"""Recurrent layers, forward and backward over a whole sequence, beside PyTorch's.

    python benchmarks/layers.py

In one run, in turns, in float32 and on one thread: minigrad's RNN, LSTM and GRU, and, where PyTorch is installed (extra
`bench`), its layers of these names, which run the whole sequence in compiled code. Both start from the same weights, and
the script first checks that both arrive at the same outputs and gradients. A character is one step of one sequence.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ[variable] = "1"

# ruff: noqa: E402
import statistics
from collections.abc import Callable

import numpy as np
from timing import compare, table

import minigrad_rnn as rnn

SIZES = {"hello": (6, 1, 5, 5), "minchar": (25, 1, 65, 100), "small": (50, 32, 65, 128)}  # T, batch, input, hidden

Run = Callable[[], dict[str, np.ndarray]]  # the outputs and the gradients of their sum


def with_minigrad(kind: str, weights: dict[str, np.ndarray], x: np.ndarray, hidden: int) -> Run:
    layer = getattr(rnn, kind)(x.shape[-1], hidden)
    layer.load_state_dict(weights)

    def run() -> dict[str, np.ndarray]:
        layer.zero_grad()
        outputs, _ = layer(x)
        outputs.sum().backward()
        return {"outputs": outputs.data, **{name: p.grad for name, p in layer.named_parameters()}}

    return run


def with_torch(kind: str, weights: dict[str, np.ndarray], x: np.ndarray, hidden: int) -> Run | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    layer = getattr(torch.nn, kind)(x.shape[-1], hidden)
    layer.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    inputs = torch.tensor(x)

    def run() -> dict[str, np.ndarray]:
        layer.zero_grad()
        outputs, _ = layer(inputs)
        outputs.sum().backward()
        return {"outputs": outputs.detach().numpy(), **{name: p.grad.numpy() for name, p in layer.named_parameters()}}

    return run


def main() -> None:
    for size, (T, batch, inputs, hidden) in SIZES.items():
        x = np.random.default_rng(0).standard_normal((T, batch, inputs)).astype(np.float32)
        for kind in ("RNN", "LSTM", "GRU"):
            weights = getattr(rnn, kind)(inputs, hidden, rng=1).state_dict()
            ours, theirs = (make(kind, weights, x, hidden) for make in (with_minigrad, with_torch))
            runs = {f"minigrad {kind}": ours} | ({f"torch.nn.{kind}": theirs} if theirs else {})
            if theirs:
                expected = theirs()
                for name, value in ours().items():
                    np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-4 * np.abs(expected[name]).max())
            times = compare(runs, rounds=20, seconds=0.05)
            print(table(f"{size}: {kind}, T={T}, batch {batch}, {inputs} inputs, {hidden} hidden", times, list(runs)[-1]))
            for name, values in times.items():
                print(f"  {name:32} {T * batch / statistics.median(values):10,.0f} characters per second")
    if not theirs:
        print("(torch is not installed: pip install torch==2.13.0)")


if __name__ == "__main__":
    main()
