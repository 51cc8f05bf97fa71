# %% [markdown]
# # Counting: as many b as there were a
#
# In S a a a b b b T nobody can know how many a will come. But from the first b on, everything is certain for a network that
# has counted: as many b, then T. It is trained on strings with up to ten a. Does it count further? Gers and Schmidhuber
# (2001).
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results next to the published
# ones.

# %%
import sys
import time

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
SEEDS, UPDATES, FURTHEST = (1, 100, 20) if QUICK else (3, 10_000, 200)

task = rnn.tasks.anbn(most=10)
grammar = task.grammar
print("Saabb... may come next:", grammar.legal("Saabb"))
print({name: round(bound, 4) for name, bound in task.bounds.items()})

# %% [markdown]
# The layer has two units. There is an update after each string, by Adam with a rate of 0.02 that is not lowered. The noise of
# single strings helps: to predict T after n b, and b before, the counter must become exact. (Batches of ten strings with a
# rate that is lowered gave a lower loss, and networks that counted to 15.)
#
# A string is right if at each step every symbol that can come next has a larger output than every symbol that cannot. A
# network counts to the largest n for which all strings from 1 to n are right. It is tested five times during the training.

# %%
strings = ["S" + n * "a" + n * "b" + "T" for n in range(1, FURTHEST + 1)]
test = grammar.batch(strings)


def counts_to(model):
    right = grammar.correct(model(test.inputs, test.lengths).data, test).all(
        axis=0
    )
    return FURTHEST if right.all() else int(right.argmin())


for name, kind, seeds in (
    ("LSTM", rnn.LSTM, SEEDS),
    ("GRU", rnn.GRU, 1),
    ("RNN", rnn.RNN, 1),
):
    for seed in range(seeds):
        rng, start = np.random.default_rng(seed), time.perf_counter()
        options = {"forget_bias": 1.0} if kind is rnn.LSTM else {}
        model = rnn.Sequence(
            kind(4, 2, rng=rng, **options), rnn.Linear(2, 4, rng=rng)
        )
        trainer = rnn.Trainer(
            model, rnn.Adam(model.parameters(), lr=0.02), clip_norm=1.0
        )
        source = task.data(batch_size=1, batches=UPDATES // 5, seed=seed)
        reached = []
        for epoch in range(1, 6):
            trainer.fit(source, until=epoch, progress=False)
            reached.append(counts_to(model))
        print(
            f"{name} seed {seed}: counts to",
            *reached,
            f" ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
print("published: LSTM to 65")
