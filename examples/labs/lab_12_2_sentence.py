# %% [markdown]
# # Lab 12-2: a sentence
#
# The network reads " if you want you" letter by letter and predicts the next letter at each step: ten symbols, fifteen steps,
# an LSTM with 10 units. Where does it need a memory? After a space comes i, y or w; after u comes a space, or the end.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](../tasks/RESULTS.md) has our results next to the
# published ones.

# %%
import sys

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
SEEDS = 2 if QUICK else 30

task = rnn.tasks.sentence()
answer = task.alphabet.decode(task.targets[:, 0])
print(
    repr(task.alphabet.decode(task.inputs[:, 0].argmax(-1))), "to", repr(answer)
)
for name, bound in task.bounds.items():
    print(f"{name}: {bound:.4f}")

# %% [markdown]
# It starts as TensorFlow's networks do: see lab 12-1.


# %%
def trained(seed, iterations=50):
    """The loss and the words before each update, and after the last."""
    rng = np.random.default_rng(seed)
    layer, readout = (
        rnn.LSTM(10, 10, bias="single", rng=rng),
        rnn.Linear(10, 10, rng=rng),
    )
    rnn.init.keras(layer.cell, rng=rng)
    readout.weight.data = rnn.init.xavier_uniform((10, 10), rng=rng)
    readout.bias.data = np.zeros(10)
    model = rnn.Sequence(layer, readout)
    losses, words = [], [rnn.predict(model, task)]
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1))
    trainer.fit(
        task,
        iterations,
        progress=False,
        after_epoch=lambda epoch, loss: words.append(rnn.predict(model, task)),
    )
    losses = [*trainer.history.loss, rnn.evaluate(model, task).loss]
    return losses, words, trainer.history.steps


losses, words, steps = trained(0)
for i, published in {
    0: "",
    4: "",
    8: "",
    11: "exact",
    12: "0.2086",
    25: "",
    50: "",
}.items():
    print(
        f"iteration {i:2}   {losses[i]:.4f}  {words[i]!r}   {'published: ' + published if published else ''}".rstrip()
    )

# %% [markdown]
# Which letters are hard? The table has the share of each step in the loss, times the number of steps. At first all are alike.
# Soon the letters that follow from the letter before are learned. The beginnings of words take longer.

# %%
print("it.  " + "".join(f"{letter!r:>6}" for letter in answer))
for i in (0, 6, 9, 15):
    print(f"{i:3}  " + "".join(f"{15 * share:6.2f}" for share in steps[i]))

# %% [markdown]
# Over thirty seeds:

# %%
runs = [trained(seed) for seed in range(SEEDS)]
first = [words.index(answer) for _, words, _ in runs if answer in words]
print(
    f"exact at the end on {sum(words[-1] == answer for _, words, _ in runs)} of {SEEDS} seeds; published 30 of 30"
)
print(
    f"first exact at iteration {np.median(first):.0f} in the median, {min(first)} to {max(first)}; published 11 (one seed)"
)
print(
    f"largest loss after 50 iterations {max(losses[-1] for losses, _, _ in runs):.5f}; published: below 0.001"
)
