# %% [markdown]
# # From digits to letters: an encoder and a decoder
#
# The network reads "3014159" and writes "dabebfj", with the letters a to j for the digits. The rule is a table of ten. But
# the answer begins only after all seven digits are read, so the network has to keep them: sequence to sequence, Cho et al.
# (2014), Sutskever, Vinyals and Le (2014). It is the last of the recurrent labs of DeepLearningZeroToAll. Lesson 19 explains
# the network.
#
# `--quick` runs the same steps with fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results next to the published
# ones.

# %%
import sys
import time

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
EPOCHS = 8 if QUICK else 1000

task = rnn.tasks.digits_to_letters()
pairs = task.sample(1000, np.random.default_rng(0))
fresh = task.sample(1000, np.random.default_rng(1))
strings = {tuple(column) for column in pairs.inputs.argmax(-1).T}
print(
    "read",
    task.source_alphabet.decode(pairs.inputs[:, 0].argmax(-1)),
    "say",
    task.alphabet.decode(pairs.targets[:, 0]),
)
print(
    "strings both to train and to test on:",
    sum(tuple(column) in strings for column in fresh.inputs.argmax(-1).T),
)

# %% [markdown]
# An LSTM with 32 units reads. Its final state is the initial state of another LSTM with 32 units, which reads at each step
# the letter it wrote before (in training: the right one). Before the first letter it reads a space.


# %%
def made(seed):
    rng = np.random.default_rng(seed)
    encoder, decoder, readout = (
        rnn.LSTM(10, 32, rng=rng),
        rnn.LSTM(11, 32, rng=rng),
        rnn.Linear(32, 11, rng=rng),
    )
    for part in (encoder, decoder):
        rnn.init.keras(part.cell, rng=rng)
    return rnn.EncoderDecoder(encoder, decoder, readout, start=task.start)


def exact(model, batch):
    """The share of answers without an error, written on its own."""
    return (
        (model.generate(batch.inputs, steps=7) == batch.targets)
        .all(axis=0)
        .mean()
    )


# %% [markdown]
# The lab trains on a thousand pairs for a thousand epochs, and tests on the same pairs. Here the test also has strings that
# were not among them, and a second network gets as many pairs, but new ones each time.

# %%
for name, data in (
    ("the same 1000 pairs", rnn.Examples(pairs, batch_size=32)),
    ("new pairs each time", task.data(batch_size=32, batches=32)),
):
    model, start = made(seed=0), time.perf_counter()
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.001))
    for until in sorted({max(EPOCHS // 20, 1), EPOCHS // 4, EPOCHS}):
        trainer.fit(data, until=until, progress=False)
        print(
            f"{name}, epoch {until:4}: loss {np.mean(trainer.history.loss[-32:]):.4f}, exact on the 1000 pairs "
            f"{exact(model, pairs):.3f}, on 1000 fresh strings {exact(model, fresh):.3f}"
            f"  ({time.perf_counter() - start:.0f} s)", flush=True,
        )  # fmt: skip
print(f"a guess, letter by letter: loss {np.log(10):.4f}, exact {0.1**7:.7f}")

# %% [markdown]
# Some answers of the second network:

# %%
for read, said in zip(
    fresh.inputs[:, :5].argmax(-1).T,
    model.generate(fresh.inputs[:, :5], steps=7).T,
    strict=True,
):
    print(task.source_alphabet.decode(read), "->", task.alphabet.decode(said))
