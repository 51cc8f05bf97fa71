# %% [markdown]
# # Adding binary numbers
#
# At each step the network reads two bits, the lowest first, and writes one bit of the sum. It has to remember one bit, the
# carry. A network that has found this out adds numbers of any length; one that has memorised its examples does not.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results next to the published
# ones.

# %%
import sys
import time

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
BITS, SEEN, UPDATES, SEEDS = (5, 200, 600, 1) if QUICK else (8, 500, 3000, 5)
HIDDEN = 5

task = rnn.tasks.binary_addition(BITS)
example = task.sample(1, np.random.default_rng(0))
for row in (*example.inputs[:, 0].T, example.targets[:, 0, 0]):
    print(
        "".join(str(int(bit)) for bit in row),
        "is",
        sum(int(bit) << t for t, bit in enumerate(row)),
    )
print({name: round(bound, 4) for name, bound in task.bounds.items()})

# %% [markdown]
# It is trained on some hundred pairs of numbers of 8 bits, again and again. There are 65,536 such pairs, and all of them are
# the test. A second test has numbers of 50 bits, a length that it has never met.

# %%
seen = task.sample(SEEN, np.random.default_rng(1))
every, far = (
    rnn.tasks.binary_pairs(BITS),
    rnn.tasks.binary_addition(50).sample(1000, np.random.default_rng(2)),
)


def exact(model, batch):
    """The share of sums with every bit right."""
    return (
        ((model(batch.inputs).data > 0) == (batch.targets > 0.5))
        .all(axis=(0, 2))
        .mean()
    )


source = rnn.Examples(seen, batch_size=20)
source.loss = "binary"
for name, make in (
    ("RNN", lambda rng: rnn.RNN(2, HIDDEN, rng=rng)),
    ("LSTM", lambda rng: rnn.LSTM(2, HIDDEN, forget_bias=1.0, rng=rng)),
):
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        model, start = (
            rnn.Sequence(make(rng), rnn.Linear(HIDDEN, 1, rng=rng)),
            time.perf_counter(),
        )
        trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.02))
        history = trainer.fit(source, UPDATES // len(source), progress=False)
        print(
            f"{name:4} seed {seed}: loss {np.mean(history.loss[-len(source):]):.4f}, exact: seen {exact(model, seen):.3f}, "
            f"all {every.size} pairs {exact(model, every):.4f}, 50 bits {exact(model, far):.3f}"
            f"  ({time.perf_counter() - start:.1f} s)", flush=True,
        )  # fmt: skip

# %% [markdown]
# What is in the state? Here is the mean of each unit over all pairs, at steps with a carry and at steps without one. Which
# unit keeps it?

# %%
carry = np.zeros((BITS + 1, every.size), bool)
for t in range(BITS):
    carry[t + 1] = every.inputs[t].sum(axis=-1) + carry[t] > 1
h = model.recurrent(every.inputs)[0].data[:-1]
for unit in range(HIDDEN):
    a, b = h[carry[1:], unit], h[~carry[1:], unit]
    print(
        f"h{unit}: with a carry {a.mean():+.2f} +- {a.std():.2f}, without {b.mean():+.2f} +- {b.std():.2f}"
    )
