"""Sequences of different lengths: names to countries, compiled, next to PyTorch's packed LSTM and to ``compile=False``.

    python benchmarks/lengths.py

Both train an embedding, an LSTM and a readout of its last state with Adam, from the same weights, on the same batches, which
`rnn.Examples` makes by length. First their losses are compared over 100 updates in float64. Then epochs are timed in turns, in
float32, on one thread, in time of the processor; ratios are taken epoch by epoch. The names are drawn at random, with lengths
from 2 to 19 as real ones have. Needs PyTorch (extra `bench`).
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ[variable] = "1"

# ruff: noqa: E402
import statistics
import time
from typing import Any

import numpy as np
import torch

import minigrad_rnn as rnn

LETTERS, COUNTRIES, EMBEDDED = 58, 18, 32
SIZES = ((128, 64), (64, 32), (256, 64))  # hidden units, batch
NAMES, EPOCHS = 2560, 7


def names(rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Return names, with letters that are more frequent in some countries, and their countries."""
    countries = rng.integers(COUNTRIES, size=NAMES)
    frequent = rng.dirichlet(np.full(LETTERS, 0.3), size=COUNTRIES)
    lengths = np.clip(np.round(rng.normal(7.5, 2.2, size=NAMES)), 2, 19).astype(int)
    return [rng.choice(LETTERS, size=n, p=frequent[c]) for n, c in zip(lengths, countries, strict=True)], countries


class Packed(torch.nn.Module):
    """The same model in PyTorch, which does not compute the padding."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(LETTERS, EMBEDDED)
        self.recurrent = torch.nn.LSTM(EMBEDDED, hidden)
        self.readout = torch.nn.Linear(hidden, COUNTRIES)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = torch.nn.utils.rnn.pack_padded_sequence(self.embedding(x), lengths, enforce_sorted=False)
        return self.readout(self.recurrent(packed)[1][0][-1])  # type: ignore[no-any-return]


def both(hidden: int, dtype: str, compile: bool = True) -> tuple[rnn.Trainer, Packed, Any]:
    """Return a trainer, and a model and an optimizer of PyTorch with the same weights."""
    made = {"dtype": np.dtype(dtype), "rng": 0}
    model = rnn.ManyToOne(
        rnn.LSTM(EMBEDDED, hidden, **made),
        rnn.Linear(hidden, COUNTRIES, **made),
        embedding=rnn.Embedding(LETTERS, EMBEDDED, **made),
    )
    packed = Packed(hidden).to(getattr(torch, dtype))
    packed.load_state_dict({name: torch.tensor(array) for name, array in model.state_dict().items()})
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.005), compile=compile)
    return trainer, packed, torch.optim.Adam(packed.parameters(), lr=0.005)


def torch_epoch(packed: Packed, optimizer: Any, batches: list[rnn.Batch]) -> list[float]:
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        logits = packed(torch.from_numpy(batch.inputs), torch.from_numpy(batch.lengths))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.targets))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def compare_losses(source: rnn.Examples, updates: int = 100) -> None:
    trainer, packed, optimizer = both(64, "float64")
    trainer.fit(source, -(-updates // len(source)), progress=False)
    expected = torch_epoch(packed, optimizer, [source.batch(i) for i in range(updates)])
    difference = np.abs(np.subtract(trainer.history.loss[:updates], expected)).max()
    reason = f", not compiled: {trainer.not_compiled}" if trainer.not_compiled else ""
    print(
        f"losses of {updates} updates, {expected[0]:.3f} to {expected[-1]:.3f}: "
        f"they differ from PyTorch's by at most {difference:.1e}{reason}"
    )


def compare_times(source: rnn.Examples, hidden: int) -> None:
    trainer, packed, optimizer = both(hidden, "float32")
    plain = both(hidden, "float32", compile=False)[0]
    times: list[list[float]] = []
    for epoch in range(EPOCHS):
        batches = [source.batch(epoch * len(source) + i) for i in range(len(source))]
        ways = (
            lambda: trainer.fit(source, 1, progress=False),
            lambda: torch_epoch(packed, optimizer, batches),  # noqa: B023
            lambda: plain.fit(source, 1, progress=False),
        )
        took = []
        for way in ways:
            began = time.process_time()
            way()
            took.append(time.process_time() - began)
        times.append(took)
    first, *later = times
    torch_, plain_ = (sorted(t[0] / t[i] for t in later) for i in (1, 2))
    print(
        f"{hidden} units, batch {source.batch_size}: {statistics.median(t[0] for t in later) / len(source) * 1e3:.2f} ms an "
        f"update, {statistics.median(torch_):.2f} ({torch_[0]:.2f} - {torch_[-1]:.2f}) of PyTorch's packed LSTM, "
        f"{statistics.median(plain_):.2f} of compile=False; the first epoch, which records the programs, "
        f"{first[0] / first[1]:.2f} of PyTorch's",
        flush=True,
    )


def main() -> None:
    torch.set_num_threads(1)
    data = names(np.random.default_rng(0))
    compare_losses(rnn.Examples(data, 64))
    for hidden, batch_size in SIZES:
        compare_times(rnn.Examples(data, batch_size), hidden)


if __name__ == "__main__":
    main()
