# %% [markdown]
# # Lab 12-3: the same sentence without a memory
#
# The sentence of lab 12-2, and no recurrent layer: a matrix of 10 by 10 turns a letter into ten scores. However long it
# trains, such a model can learn only which letter follows which. How much does it lose?
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](../tasks/RESULTS.md) has our results next to the
# published ones.

# %%
import sys
from itertools import pairwise

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
UPDATES = 300 if QUICK else 3000

task = rnn.tasks.sentence()
text = " if you want you"
after = {
    letter: [b for a, b in pairwise(text) if a == letter]
    for letter in task.alphabet.symbols
}
print(
    {
        letter: "".join(following)
        for letter, following in after.items()
        if len(set(following)) > 1
    }
)

# %% [markdown]
# Only the letter after a space is uncertain: four spaces, followed once by i, once by w, twice by y. The best model without
# memory predicts these shares, i 1/4, w 1/4, y 1/2. Then the four steps cost ln 4, ln 4, ln 2 and ln 2, and the others
# nothing: this is the entropy of a letter given the one before. If the model must decide, it says y and is right twice, so 13
# of the 15 letters are right.

# %%
floor = task.bounds["without memory"]
print(
    f"least loss {floor:.7f}; 6 ln 2 / 15 = {6 * np.log(2) / 15:.7f}; at most {15 - 2}/15 right"
)

# %% [markdown]
# The loss is convex, so every seed reaches the same place. But the minimum is at infinity, where letters that never follow
# have the probability 0. The loss approaches it more and more slowly.

# %%
for seed in (0, 1):
    model = rnn.Linear(10, 10, rng=seed)
    history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(
        task, UPDATES, progress=False
    )
    result, says = rnn.evaluate(model, task), rnn.predict(model, task)
    for i in (0, 10, 100, 1000):
        if i < UPDATES:
            print(f"seed {seed}, iteration {i:4}: {history.loss[i]:.6f}")
    above = result.loss - floor
    print(
        f"seed {seed}, iteration {UPDATES}: {result.loss:.6f}, published 0.277323; above the floor by {above:.6f}"
    )
    print(
        f"says {says!r}, right {round(15 * result.accuracy)}/15; published 'yf you yant you'"
    )

# %% [markdown]
# After every space the model says y, because it cannot tell one space from another. Its probabilities there:

# %%
scores = model(task.alphabet.one_hot(task.alphabet.encode(" "))).data[0]
chances = np.exp(scores) / np.exp(scores).sum()
print(
    {
        letter: round(float(p), 4)
        for letter, p in zip(task.alphabet.symbols, chances, strict=True)
        if p > 0.01
    }
)
