# %% [markdown]
# # The adding problem
#
# There are a hundred steps, each with a number and a mark. Two of the marks are 1, one in each half; all others are 0. After
# the last step the network must give the sum of the two marked numbers. Nothing near the end helps, so it has to keep what it
# read up to a hundred steps before. Hochreiter and Schmidhuber (1997), experiment 4.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results next to the published
# ones.

# %%
import sys
import time

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
T, SEEDS, UPDATES, HALVED = (20, 1, 60, 60) if QUICK else (100, 3, 8000, 1500)

task = rnn.tasks.adding(T)
example = task.sample(1, np.random.default_rng(0))
marked = np.flatnonzero(example.inputs[:, 0, 1])
print(
    f"marks at {marked}, numbers {example.inputs[marked, 0, 0].round(3)}, answer {example.targets[0].round(3)}"
)

# %% [markdown]
# Two bounds: the sum has mean 1, and the mean squared error of always 1 is 1/6, the variance of a sum of two. A model that
# knows one of the two numbers and takes 1/2 for the other has half of it.

# %%
print(
    f"always 1: {task.bounds['always 1']:.4f}, only one of the two known: {1 / 12:.4f}"
)

# %% [markdown]
# Three layers of 8 units are trained in the same way: 8000 batches of 32 new sequences, Adam with a rate of 0.005 that is
# halved every 1500 updates, gradients clipped to a norm of 1. They start as in Keras: orthogonal recurrent weights, which
# keep the length of a vector, and a bias of 1 in the forget gate of the LSTM.

# %%
layers = {"RNN": rnn.RNN, "LSTM": rnn.LSTM, "GRU": rnn.GRU}
test = task.data(batch_size=500, batches=1 if QUICK else 10, seed=1_000_000)


def trained(kind, seed):
    rng = np.random.default_rng(seed)
    model = rnn.ManyToOne(kind(2, 8, rng=rng), rnn.Linear(8, 1, rng=rng))
    rnn.init.keras(model.recurrent.cell, rng=rng)
    optimizer = rnn.Adam(model.parameters(), lr=0.005)
    schedule = rnn.schedule.StepLR(optimizer, step_size=HALVED, gamma=0.5)
    trainer = rnn.Trainer(model, optimizer, schedule=schedule, clip_norm=1.0)
    trainer.fit(
        task.data(batch_size=32, batches=UPDATES, seed=seed),
        epochs=1,
        progress=False,
    )
    return model, trainer.history


curves, errors = {}, {name: [] for name in layers}
for name, kind in layers.items():
    for seed in range(SEEDS):
        start = time.perf_counter()
        model, curves[name] = trained(kind, seed)
        errors[name].append(rnn.evaluate(model, test).loss)
        seconds = time.perf_counter() - start
        print(
            f"{name:4} seed {seed}: mean squared error {errors[name][-1]:.5f}  ({seconds:.0f} s)",
            flush=True,
        )
print("published: LSTM 0.0007 to 0.0046, RNN 0.0706")

# %% [markdown]
# The training loss of the last seed, as means over a tenth of the updates:

# %%
for name, history in curves.items():
    parts = np.array_split(history.loss, 10)
    print(f"{name:4}", *(f"{np.mean(part):.4f}" for part in parts))

# %% [markdown]
# The plateau at 1/6 is where the network says 1. Once some gradient has found its way from the end to a mark, the loss falls
# quickly. What is left at the end is precision. The root of the mean squared error is the size of a typical error:

# %%
print(
    "typical error of a sum:",
    {name: round(float(np.sqrt(np.mean(errors[name]))), 3) for name in layers},
)
