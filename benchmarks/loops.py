"""How long it takes to find the loops of a record, and to draw it, beside the time it took to record it.

    python benchmarks/loops.py

For each program and number of steps: the ops of the forward and the backward pass, the microseconds an op that `mg.loops`
needs, and the ratio to recording both passes. The ratio is the median of rounds in which both are measured one after the other.
Then the microseconds an op of the forward pass that `mg.draw` needs, folded and unrolled.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

STEPS = {50: 15, 1000: 3, 10_000: 1}  # rounds for each number of steps


def by_hand(T: int) -> mg.Tensor:
    draw = np.random.default_rng(0).normal
    W, U, V = (mg.tensor(draw(size=shape) / 3, requires_grad=True) for shape in ((3, 4), (4, 4), (4, 3)))
    x, h, loss = mg.tensor(draw(size=(T, 2, 3))), mg.tensor(np.zeros((2, 4))), mg.tensor(0.0)
    for t in range(T):
        h = mg.tanh(x[t] @ W + h @ U)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


def of_layer(make: Callable[..., rnn.Recurrent], **kwargs: object) -> Callable[[int], mg.Tensor]:
    def build(T: int) -> mg.Tensor:
        outputs, _ = make(3, 4, rng=0, **kwargs)(np.ones((T, 2, 3)))
        return (outputs**2).sum()

    return build


PROGRAMS = {
    "RNN by hand": by_hand,
    "RNN": of_layer(rnn.RNN),
    "LSTM": of_layer(rnn.LSTM),
    "GRU in both directions": of_layer(rnn.GRU, bidirectional=True),
    "LSTM of three layers": of_layer(rnn.LSTM, num_layers=3),
}


def measured(build: Callable[[int], mg.Tensor], T: int) -> tuple[float, float, int]:
    """Seconds to record both passes and to find the loops, and how many ops there are."""
    gc.collect()
    start = time.process_time()
    graph = mg.Graph(build(T), backward=True)
    recorded = time.process_time()
    mg.loops(graph)
    return recorded - start, time.process_time() - recorded, sum(node.op is not None for node in graph)


def drawn(build: Callable[[int], mg.Tensor], T: int) -> list[float]:
    """Microseconds an op to draw the forward pass, folded and unrolled."""
    result, times = build(T), [time.process_time()]
    for fold in (True, False):
        mg.draw(result, fold=fold, limit=None)
        times.append(time.process_time())
    ops = sum(node.op is not None for node in mg.Graph(result))
    return [(end - start) / ops * 1e6 for start, end in itertools.pairwise(times)]


def main() -> None:
    print(f"{'':26}{'T':>8}{'ops':>10}{'µs an op':>10}{'ratio':>8}{'folded':>8}{'unrolled':>10}")
    for name, build in PROGRAMS.items():
        for T, rounds in STEPS.items():
            runs = [measured(build, T) for _ in range(rounds)]
            ops = runs[0][2]
            found = statistics.median(seconds for _, seconds, _ in runs)
            ratio = statistics.median(seconds / recording for recording, seconds, _ in runs)
            print(f"{name:26}{T:8}{ops:10}{found / ops * 1e6:10.1f}{ratio:8.2f}", end="", flush=True)
            folded, unrolled = drawn(build, T)
            print(f"{folded:8.1f}{unrolled:10.1f}", flush=True)


if __name__ == "__main__":
    main()
