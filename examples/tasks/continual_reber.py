# %% [markdown]
# # The continual Reber task: why an LSTM has to forget
#
# Embedded Reber strings follow each other without end, and nothing marks where one ends. The LSTM of 1997 could only add to
# its memory: c' = c + i * g. This keeps the gradient alive. But if nothing resets the state, all that was added stays, and
# old and new cannot be told apart. Gers, Schmidhuber and Cummins (2000) added a gate to forget with: c' = f * c + i * g.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results next to the published
# ones.

# %%
import sys
import time

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
SEEDS, UPDATES, TESTED = (1, 60, 200) if QUICK else (3, 5000, 2000)
STREAMS, T, HIDDEN = 8, 25, 8


class NoForget(rnn.LSTMCell):
    """The cell of 1997. A cell of one's own needs a step; the forget gate's block of the weights is there, and unused."""

    def step(self, x, state):
        h, c = state
        i, _, g, o = mg.split(self.affine(x, h), 4, axis=-1)
        c = c + mg.sigmoid(i) * mg.tanh(g)
        return mg.sigmoid(o) * mg.tanh(c), c


# %% [markdown]
# A text from the grammar is cut into eight streams, which are read side by side, 25 symbols at a time. The state is carried
# from one batch to the next and never reset. The gradient goes back through these 25 symbols only.

# %%
grammar = rnn.grammars.continual_reber
T_, P, E = grammar.alphabet.encode("TPE")
text = grammar.sample(np.random.default_rng(0), STREAMS * T * UPDATES + 1)
source = rnn.Streams(grammar.alphabet.encode(text), T, STREAMS, one_hot=7)
print(text[:60], "...", f"{len(text)} symbols, {len(source)} batches")

# %% [markdown]
# The test is 20 new streams of 2000 symbols. It asks for what has to be remembered, the last but one symbol of each string:
# it comes after the E that ends the inner string, and is T or P. A network that has forgotten guesses, and is right half the
# time. A second number is for all symbols: does every symbol that can come next have a larger output than every one that
# cannot?

# %%
test = grammar.batch(
    [grammar.sample(np.random.default_rng([1, b]), TESTED + 1) for b in range(20)]
)
asked = (test.inputs.argmax(-1) == E) & np.isin(test.targets, (T_, P))


@mg.no_grad()
def evaluated(model):
    outputs, state = model.run(test.inputs)
    outputs = outputs.data
    kept = (outputs.argmax(-1) == test.targets)[asked].mean()
    return kept, grammar.correct(outputs, test).mean(), abs(state[-1].data).max()


for name, cell in (("with a forget gate", rnn.LSTMCell), ("without", NoForget)):
    for seed in range(SEEDS):
        rng, start = np.random.default_rng(seed), time.perf_counter()
        made = cell(7, HIDDEN, rng=rng)
        rnn.init.keras(made, rng=rng)
        model = rnn.Sequence(rnn.Recurrent(made), rnn.Linear(HIDDEN, 7, rng=rng))
        optimizer = rnn.Adam(model.parameters(), lr=0.01)
        schedule = rnn.schedule.StepLR(
            optimizer, step_size=max(UPDATES // 4, 1), gamma=0.5
        )
        trainer = rnn.Trainer(model, optimizer, schedule=schedule, clip_norm=1.0)
        trainer.fit(source, epochs=1, progress=False)
        kept, steps, largest = evaluated(model)
        print(
            f"{name:18} seed {seed}: second last symbol {kept:.3f}, all symbols {steps:.4f}, "
            f"largest |c| {largest:.0f}  ({time.perf_counter() - start:.0f} s)", flush=True,
        )  # fmt: skip
print(
    "published: second last symbol right about 0.5 without, 1.0 with a forget gate"
)
