"""Peak memory of a recurrent network's forward and backward pass, with and without checkpoints.

Measured with tracemalloc, which NumPy tells of its arrays, and given as a ratio to what any implementation of backpropagation
through time keeps: the hidden states and the pre-activations of all steps.
"""

import time
import tracemalloc

import numpy as np

import minigrad as mg

T, BATCH, HIDDEN = 1000, 16, 128


def loss_of(piece_length: int | None, dtype: type) -> tuple[mg.Tensor, list[mg.Tensor]]:
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((T, BATCH, HIDDEN)), dtype=dtype)
    U, W = (mg.tensor(rng.standard_normal((HIDDEN, HIDDEN)) / HIDDEN, requires_grad=True, dtype=dtype) for _ in range(2))
    b = mg.tensor(np.zeros(HIDDEN), requires_grad=True, dtype=dtype)

    def piece(h: mg.Tensor, start: int, stop: int) -> tuple[mg.Tensor, mg.Tensor]:
        loss = mg.tensor(0.0, dtype=dtype)
        for t in range(start, stop):
            h = np.tanh(mg.linear(x[t], U, b) + mg.linear(h, W))
            loss = loss + (h * h).mean()
        return h, loss

    tracemalloc.reset_peak()  # the inputs and weights are there anyway
    step = piece_length or T
    run = mg.checkpoint(piece) if piece_length else piece
    h, total = mg.tensor(np.zeros((BATCH, HIDDEN)), dtype=dtype), mg.tensor(0.0, dtype=dtype)
    for start in range(0, T, step):
        h, loss = run(h, start, min(start + step, T))
        total = total + loss
    return total, [U, W, b]


def measure(piece_length: int | None, dtype: type) -> tuple[float, float]:
    """Peak over the bytes of states and pre-activations, and seconds without measuring."""
    tracemalloc.start()
    before = T * BATCH * HIDDEN * np.dtype(dtype).itemsize  # x
    total, _ = loss_of(piece_length, dtype)
    total.backward()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    began = time.perf_counter()
    loss_of(piece_length, dtype)[0].backward()
    return peak / (2 * T * BATCH * HIDDEN * np.dtype(dtype).itemsize), time.perf_counter() - began


def main() -> None:
    print(f"tanh RNN, T={T}, batch {BATCH}, hidden {HIDDEN}: peak memory / (states + pre-activations); time, as it is = 1")
    for dtype in (np.float64, np.float32):
        first = None
        for piece_length in (None, 32):
            ratio, seconds = measure(piece_length, dtype)
            first = first or seconds
            what = f"checkpoint every {piece_length}" if piece_length else "as it is"
            print(f"  {np.dtype(dtype).name}  {what:20}  {ratio:5.2f}  {seconds / first:5.2f}")


if __name__ == "__main__":
    main()
