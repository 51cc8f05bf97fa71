# %% [markdown]
# # Lab 12-2: a sentence
#
# " if you want you", letter by letter, and at each letter the next. Ten symbols, fifteen steps, an LSTM with 10 units. Where
# is a memory needed? After a space comes i, y or w; after u a space, and at last the end.

# %%
import sys

import numpy as np

import minigrad_rnn as rnn

SEEDS = 2 if "--quick" in sys.argv else 30

task = rnn.tasks.sentence()
answer = task.alphabet.decode(task.targets[:, 0])
print(repr(task.alphabet.decode(task.inputs[:, 0].argmax(-1))), "to", repr(answer))
for name, bound in task.bounds.items():
    print(f"{name}: {bound:.4f}")

# %% [markdown]
# It begins as TensorFlow's networks do: see lab 12-1.


# %%
def trained(seed, iterations=50):
    """The loss and the words before each update, and after the last."""
    rng = np.random.default_rng(seed)
    layer, readout = rnn.LSTM(10, 10, bias="single", rng=rng), rnn.Linear(10, 10, rng=rng)
    rnn.init.keras(layer.cell, rng=rng)
    readout.weight.data = rnn.init.xavier_uniform((10, 10), rng=rng)
    readout.bias.data = np.zeros(10)
    model = rnn.Sequence(layer, readout)
    losses, words = [], [rnn.predict(model, task)]
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1))
    trainer.fit(task, iterations, progress=False, after_epoch=lambda epoch, loss: words.append(rnn.predict(model, task)))
    losses = [*trainer.history.loss, rnn.evaluate(model, task).loss]
    return losses, words, trainer.history.steps


losses, words, steps = trained(0)
for i, published in {0: "", 4: "", 8: "", 11: "exact", 12: "0.2086", 25: "", 50: ""}.items():
    print(f"iteration {i:2}   {losses[i]:.4f}  {words[i]!r}   {'published: ' + published if published else ''}".rstrip())

# %% [markdown]
# Which letters are hard? The share of each step in the loss, times the number of steps. At first all are alike. Soon those
# that the letter before decides are known, and what is left are the beginnings of words.

# %%
print("it.  " + "".join(f"{letter!r:>6}" for letter in answer))
for i in (0, 6, 9, 15):
    print(f"{i:3}  " + "".join(f"{15 * share:6.2f}" for share in steps[i]))

# %% [markdown]
# Over thirty seeds:

# %%
runs = [trained(seed) for seed in range(SEEDS)]
first = [words.index(answer) for _, words, _ in runs if answer in words]
print(f"exact at the end on {sum(words[-1] == answer for _, words, _ in runs)} of {SEEDS} seeds; published 30 of 30")
print(f"first exact at iteration {np.median(first):.0f} in the median, {min(first)} to {max(first)}; published 11 (one seed)")
print(f"largest loss after 50 iterations {max(losses[-1] for losses, _, _ in runs):.5f}; published: below 0.001")

# %% [markdown]
# The full run gave: exact on 30 of 30 seeds, first at iteration 12 in the median (8 to 19), the largest loss at the end
# 0.0012. That is a little above the published 0.001; with other initial weights (`rnn.LSTM` as it begins by itself) it is
# exact at 11.
