# %% [markdown]
# # Strings backwards: an encoder and a decoder with attention
#
# The network reads ten letters, such as "minigradxy", and writes them from the last to the first. Without attention all ten
# letters must pass through the one state between encoder and decoder: sequence to sequence, Sutskever, Vinyals and Le (2014).
# With attention the decoder looks at all states of the encoder, and finds the letter it needs: Bahdanau, Cho and Bengio
# (2014), Luong, Pham and Manning (2015). Section 8 of lesson 19 explains it.
#
# `--quick` runs the same steps with shorter strings, fewer seeds and updates. [RESULTS.md](RESULTS.md) has our results.

# %%
import sys
import time

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
SEEDS, UPDATES = (1, 40) if QUICK else (3, 1000)
LENGTH, UNITS = (3, 8) if QUICK else (10, 32)

letters = rnn.Alphabet("abcdefghijklmnopqrstuvwxyz ")


def sample(n, rng, length=LENGTH):
    numbers = rng.integers(26, size=(length, n))
    return rnn.Batch(letters.one_hot(numbers), numbers[::-1].copy())


fresh = sample(1000, np.random.default_rng(99))  # never trained on
print(
    "read", letters.decode(fresh.inputs[:, 0].argmax(-1)),
    "say", letters.decode(fresh.targets[:, 0]),
)  # fmt: skip

# %% [markdown]
# A GRU with 32 units reads, another one writes. With attention the readout reads the state of the decoder and the context, a
# weighted mean of the encoder's states. Everything else is the same: the batches, the number of updates, the learning rate.


# %%
def made(kind, seed, **options):
    rng = np.random.default_rng(seed)
    size = len(letters)
    attention = rnn.Attention(UNITS, UNITS, kind, rng=rng) if kind else None
    return rnn.EncoderDecoder(
        rnn.GRU(size, UNITS, rng=rng),
        rnn.GRU(size, UNITS, rng=rng),
        rnn.Linear(2 * UNITS if kind else UNITS, size, rng=rng),
        start=letters.number[" "], attention=attention, rng=seed, **options,
    )  # fmt: skip


def trained(model, seed):
    optimizer = rnn.Adam(model.parameters(), lr=0.01)
    schedule = rnn.schedule.CosineAnnealingLR(optimizer, UPDATES)
    trainer = rnn.Trainer(model, optimizer, schedule=schedule, clip_norm=1.0)
    trainer.fit(rnn.Generated(sample, 64, UPDATES, seed), 1, progress=False)
    return model


def exact(model, batch):
    """The share of answers without an error, written on its own."""
    said = model.generate(batch.inputs, steps=len(batch.targets))
    return (said == batch.targets).all(axis=0).mean()


# %%
print(f"whole answers right on 1000 fresh strings, after {UPDATES} updates:")
models = {}
for kind in (None, "dot", "general", "additive"):
    start = time.perf_counter()
    models[kind] = [trained(made(kind, seed), seed) for seed in range(SEEDS)]
    count = sum(p.size for p in models[kind][0].parameters())
    print(
        f"  {kind or 'no attention':12} {count:6} weights: ",
        *(f"{exact(model, fresh):.3f}" for model in models[kind]),
        f" ({(time.perf_counter() - start) / SEEDS:.0f} s a seed)", flush=True,
    )  # fmt: skip

# %% [markdown]
# Where does it look? A row for each letter that it writes, a column for each letter that it read. The weights are large on
# the diagonal from the top right: the last letter first. `rnn.draw.attention(...)` is a picture; `.text` is the same in
# numbers.

# %%
model = models["general"][0]
said = model.generate(fresh.inputs[:, :1], steps=LENGTH)
weights = model.attention_weights(fresh.inputs[:, :1], said)[0]
question = letters.decode(fresh.inputs[:, 0].argmax(-1))
print(rnn.draw.attention(weights, question, letters.decode(said[:, 0])).text)
hits = model.attention_weights(fresh.inputs, fresh.targets).argmax(-1)
print(
    "the largest weight is that of the letter to write:",
    f"{(hits == np.arange(LENGTH)[::-1]).mean():.3f} of all steps",
)

# %% [markdown]
# Other lengths than the one it was trained with? It has learned to count the steps: where to look follows from the state of
# the decoder, and in training that always counted to the same number.

# %%
for length in range(LENGTH - 2, LENGTH + 3):
    batch = sample(500, np.random.default_rng(length), length)
    print(f"  length {length:2}: {exact(model, batch):.3f}")

# %% [markdown]
# In training the decoder reads the right letters (teacher forcing). With a schedule it reads more and more of its own
# (scheduled sampling, Bengio et al., 2015).

# %%
for name, share in (
    ("always the right letter", 1.0),
    ("inverse sigmoid", rnn.forcing.inverse_sigmoid(UPDATES / 10)),
    ("always its own", 0.0),
):
    shares = [
        exact(trained(made("general", seed, teacher_forcing=share), seed), fresh)
        for seed in range(SEEDS)
    ]
    print(f"  {name:24}", *(f"{share:.3f}" for share in shares), flush=True)
