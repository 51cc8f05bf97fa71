# %% [markdown]
# # Adding decimal numbers, as text
#
# The network reads "535+61" letter by letter and writes "596" letter by letter. Nothing tells it what a digit is, or a carry.
# This is the example `addition_rnn` of Keras, after Zaremba and Sutskever (2014) and Sutskever, Vinyals and Le (2014). The
# question is read backwards, so that the digits that are needed first come last.
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
HIDDEN, DRAWN, QUESTIONS, EPOCHS = (
    (32, 6000, 3000, 2) if QUICK else (128, 200_000, 50_000, 24)
)

task = rnn.tasks.decimal_addition()
drawn = task.sample(DRAWN, np.random.default_rng(0))
read = [task.alphabet.decode(numbers) for numbers in drawn.inputs.argmax(-1).T]
print(
    [
        (question, task.alphabet.decode(answer))
        for question, answer in zip(read[:3], drawn.targets.T[:3], strict=True)
    ]
)

# %% [markdown]
# There are 50,000 different questions. 12+7 and 7+12 count as one, so that no test question has been trained on in the other
# order. A tenth is held out.

# %%
first = {
    frozenset(question.strip().split("+")): i for i, question in enumerate(read)
}
chosen = np.random.default_rng(1).permutation(list(first.values()))[:QUESTIONS]
held_out = QUESTIONS // 10
training = rnn.Examples(drawn.take(chosen[held_out:]), batch_size=32)
validation = rnn.Examples(
    drawn.take(chosen[:held_out]), batch_size=500, seed=None
)
print(
    f"{len(chosen)} questions, {held_out} of them held out; {len(training)} updates an epoch"
)

# %% [markdown]
# First the wiring of that example. All that the decoder gets is the encoder's last output, the same at each of its four
# steps. Your own model is a `Model` with a method `predict_batch`:


# %%
class Repeating(rnn.Model):
    def __init__(self, encoder, decoder, readout, steps):
        self.encoder, self.decoder, self.readout, self.steps = (
            encoder,
            decoder,
            readout,
            steps,
        )

    def forward(self, question):
        read, _ = self.encoder.run(question)
        said, _ = self.decoder.run(mg.stack([read[-1]] * self.steps))
        return self.readout(said)

    def predict_batch(self, batch, state=None):
        return self(batch.inputs), None


rng = np.random.default_rng(0)
model = Repeating(
    rnn.LSTM(12, HIDDEN, bias="single", rng=rng),
    rnn.LSTM(HIDDEN, HIDDEN, bias="single", rng=rng),
    rnn.Linear(HIDDEN, 12, rng=rng),
    steps=4,
)
for part in (model.encoder, model.decoder):
    rnn.init.keras(part.cell, rng=rng)
model.readout.weight.data = rnn.init.xavier_uniform(
    model.readout.weight.shape, rng=rng
)
model.readout.bias.data = np.zeros(12)
counts = [
    sum(p.size for p in part.parameters())
    for part in (model.encoder, model.decoder, model.readout)
]
print(
    "parameters:",
    counts,
    "" if QUICK else "as Keras counts them: [72192, 131584, 1548]",
)

# %% [markdown]
# Two numbers are counted: right letters, as in Keras, including the spaces after a short answer; and right answers.

# %%
start = time.perf_counter()
published = {1: "0.41", 5: "0.74", 24: "0.995"}


def tell(epoch, loss):
    if epoch + 1 in (1, 2, 5, 10, 15, 20, EPOCHS):
        result = rnn.evaluate(model, validation)
        print(
            f"epoch {epoch + 1:2}: loss {result.loss:.4f}, letters {result.accuracy:.4f}, answers {result.exact:.4f}, "
            f"{time.perf_counter() - start:.0f} s; letters published {published.get(epoch + 1, '')}",
            flush=True,
        )


print({name: round(bound, 4) for name, bound in task.bounds.items()})
rnn.Trainer(model, rnn.Adam(model.parameters())).fit(
    training, EPOCHS, progress=False, after_epoch=tell
)

# %% [markdown]
# The other wiring: the final state of the encoder is the initial state of the decoder, and the decoder reads its own last
# letter. In training it reads the right letter instead (teacher forcing), and also in `evaluate`. After an error it is put
# right again, so more of its letters are right than on its own. With `generate` it reads only its own letters. The number of
# whole answers is the same either way: before the first error both read the same.

# %%
rng = np.random.default_rng(0)
fed_back = rnn.EncoderDecoder(
    rnn.LSTM(12, HIDDEN, rng=rng),
    rnn.LSTM(12, HIDDEN, rng=rng),
    rnn.Linear(HIDDEN, 12, rng=rng),
    start=task.start,
)
for part in (fed_back.encoder, fed_back.decoder):
    rnn.init.keras(part.cell, rng=rng)
start = time.perf_counter()
rnn.Trainer(fed_back, rnn.Adam(fed_back.parameters())).fit(
    training, EPOCHS, progress=False
)
held = validation.examples
said = fed_back.generate(held.inputs, steps=4)
print(
    f"epoch {EPOCHS}, on its own: letters {(said == held.targets).mean():.4f}, "
    f"answers {(said == held.targets).all(axis=0).mean():.4f}; teacher forcing: "
    f"letters {rnn.evaluate(fed_back, validation).accuracy:.4f}; {time.perf_counter() - start:.0f} s"
)
for question, answer in list(zip(held.inputs.argmax(-1).T, said.T, strict=True))[
    :5
]:
    print(
        task.alphabet.decode(question)[::-1].strip(),
        "=",
        task.alphabet.decode(answer),
    )
