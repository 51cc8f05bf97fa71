# %% [markdown]
# # The embedded Reber grammar
#
# A string is a walk through an automaton, and at most places two letters can come next. A network can learn that from the
# last few letters. But the second letter, T or P, comes back as the last but one, with a whole string of the inner grammar in
# between. Hochreiter and Schmidhuber (1997), experiment 1: the first task of the LSTM.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results next to the published
# ones.

# %%
import sys
import time

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
SEEDS, MOST, EVERY, TESTED = (1, 300, 100, 50) if QUICK else (5, 20_000, 200, 256)

task = rnn.tasks.embedded_reber()
grammar = task.grammar
rng = np.random.default_rng(0)
for _ in range(3):
    string = grammar.sample(rng)
    print(f"{string:24} may come next:", *grammar.legal(string)[:-1])
print({name: round(bound, 4) for name, bound in task.bounds.items()})

# %% [markdown]
# When is a prediction right? Nobody can know the next letter, but which letters can come next: each of them must have a
# larger output than each that cannot. A string is right if all its steps are, and the task is solved when all 256 test
# strings are right. A second number is for the last but one letter alone: a network that knows the grammar and has forgotten
# the second letter gets half of them.
#
# Training is online, as in the paper: an update after each string. The layer has 8 units and starts as in Keras; Adam with a
# rate of 0.01.

# %%
test = task.sample(TESTED, np.random.default_rng(1_000_000))


def evaluated(model):
    outputs = model(test.inputs, test.lengths).data
    return grammar.correct(outputs, test).all(
        axis=0
    ).mean(), rnn.grammars.second_last(outputs, test).mean()


def trained(kind, seed):
    """Trained until it is solved; after how many strings, and the two shares at the end."""
    rng = np.random.default_rng(seed)
    model = rnn.Sequence(kind(7, 8, rng=rng), rnn.Linear(8, 7, rng=rng))
    rnn.init.keras(model.recurrent.cell, rng=rng)
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.01))
    source = task.data(batch_size=1, batches=EVERY, seed=seed)
    for epoch in range(1, MOST // EVERY + 1):
        trainer.fit(source, until=epoch, progress=False)
        strings, kept = evaluated(model)
        if strings == 1:
            break
    return epoch * EVERY, strings, kept


for name, kind, seeds in (
    ("LSTM", rnn.LSTM, SEEDS),
    ("RNN", rnn.RNN, min(SEEDS, 2)),
):
    needed = []
    for seed in range(seeds):
        start = time.perf_counter()
        read, strings, kept = trained(kind, seed)
        needed.append(read if strings == 1 else np.inf)
        outcome = (
            f"solved after {read} strings"
            if strings == 1
            else f"not solved after {read} strings"
        )
        print(
            f"{name:4} seed {seed}: {outcome}; strings right {strings:.3f}, second last letter {kept:.3f}"
            f"  ({time.perf_counter() - start:.1f} s)", flush=True,
        )  # fmt: skip
    solved = np.isfinite(needed).sum()
    print(
        f"{name:4} solved on {solved} of {seeds} seeds, after {np.median(needed):.0f} strings in the median",
        flush=True,
    )
print(
    "published: LSTM after 8440 strings (the paper), 4800 (a reproduction with 8 units and Adam 0.01)"
)
