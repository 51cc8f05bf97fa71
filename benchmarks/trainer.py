"""What compiling costs a `Trainer`: beside the same training with ``compile=False``, and of fits in pieces beside one; and what
a `Watch` costs.

    python benchmarks/trainer.py

On one thread, in turns, in time of the processor; ratios are taken round by round. The guards are what is looked at before each
run of a program, to see whether what the model reads from outside is still what it was.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ[variable] = "1"

# ruff: noqa: E402
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from timing import compare

import minigrad_rnn as rnn

CELLS = ("RNN", "LSTM", "GRU")
UPDATES = 600
LENGTHS = 55
ROUNDS = 5


class Lengths(rnn.Source):
    """Batches of one sequence each, of so many different lengths in turn."""

    loss = "cross_entropy"

    def __init__(self, lengths: int) -> None:
        rng = np.random.default_rng(0)
        symbols = [rng.integers(5, size=(5 + i, 1)) for i in range(lengths)]
        self.batches = [rnn.Batch(np.eye(5, dtype=np.float32)[x], np.roll(x, -1, axis=0)) for x in symbols]

    def __len__(self) -> int:
        return len(self.batches)

    def batch(self, i: int) -> rnn.Batch:
        return self.batches[i % len(self.batches)]


def trainer(cell: str, compile: bool = True) -> rnn.Trainer:
    model = rnn.Sequence(getattr(rnn, cell)(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    return rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1), compile=compile)


def guards(cell: str) -> float:
    """Microseconds for each run of the program of the hello step."""
    compiled = trainer(cell)
    compiled.fit(rnn.tasks.hello(), 3, progress=False)
    program = compiled._program.last
    assert program is not None
    times = compare({"guards": program.outside.changed})["guards"]
    return statistics.median(times) * 1e6


def many_lengths(cell: str, compile: bool) -> None:
    source = Lengths(LENGTHS)
    trainer(cell, compile).fit(
        source, UPDATES // LENGTHS + 1, progress=False, after_update=lambda t: len(t.history.loss) >= UPDATES
    )


def fits(cell: str, count: int, epochs: int) -> None:
    made, task = trainer(cell), rnn.tasks.hello()
    for _ in range(count):
        made.fit(task, epochs, progress=False)


def watched(cell: str, watch: bool) -> None:
    trainer(cell).fit(rnn.tasks.hello(), UPDATES, progress=False, watch=rnn.Watch() if watch else None)


def ratio(one: Callable[[], None], other: Callable[[], None], rounds: int = ROUNDS) -> tuple[float, float, float]:
    """The median over rounds of what `one` takes, in times of `other`; the least and the most."""
    found = []
    for i in range(rounds + 1):
        took = []
        for run in (one, other):
            began = time.process_time()
            run()
            took.append(time.process_time() - began)
        if i:  # the first warms up
            found.append(took[0] / took[1])
    return statistics.median(found), min(found), max(found)


def main() -> None:
    for cell in CELLS:
        print(f"{cell}: guards of the hello step {guards(cell):.2f} µs a run")
        ways = {
            f"{LENGTHS} lengths in turn, {UPDATES} updates, compiled / compile=False": (
                partial(many_lengths, cell, True), partial(many_lengths, cell, False), ROUNDS,
            ),
            "with a Watch / without": (partial(watched, cell, True), partial(watched, cell, False), 4 * ROUNDS),
            "ten fit(1) / one fit(10)": (partial(fits, cell, 10, 1), partial(fits, cell, 1, 10), 4 * ROUNDS),
        }  # fmt: skip
        for what, (one, other, rounds) in ways.items():
            middle, low, high = ratio(one, other, rounds)
            print(f"  {what}: {middle:.2f} ({low:.2f} - {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
