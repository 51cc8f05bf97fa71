# %% [markdown]
# # A network that writes
#
# It reads a text letter by letter and says at each which comes next; fed with its own letters, it writes. After min-char-rnn
# (Karpathy 2015): one layer of tanh, 25 letters at a time, the state carried from one piece to the next, Adagrad with a rate
# of 0.1.
#
# The text is the one that comes with Python, `this`, or a file: ``python char_rnn.py shakespeare.txt --updates 20000``.

# %%
import argparse

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

parser = argparse.ArgumentParser(description="Learn a text letter by letter, and write.")
parser.add_argument("text", nargs="?", default="this", help="a text file, UTF-8; by default the Zen of Python")
parser.add_argument("--updates", type=int, default=3000, help="(default: %(default)s)")
parser.add_argument("--hidden", type=int, default=100, help="units (default: %(default)s)")
parser.add_argument("--temperature", type=float, default=1.0, help="below 1 surer, above 1 freer (default: %(default)s)")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--quick", action="store_true", help="a few updates")
options = parser.parse_args()
updates = 150 if options.quick else options.updates

text = rnn.text.read(options.text)
alphabet = rnn.Alphabet.of(text)
source = rnn.Streams(alphabet.encode(text), length=25, batch_size=1, one_hot=len(alphabet))
print(f"{len(text)} symbols, {len(alphabet)} different ones; once through the text takes {len(source)} updates")

# %% [markdown]
# What the loss can be compared with, in nats a symbol: a guess; the best that can be said without looking at the text before;
# and knowing one symbol before, or two. A network with enough units can learn a short text by heart, and go below them all.

# %%
print(f"a guess: {np.log(len(alphabet)):.3f}")
for context in range(3):
    print(f"knowing {context} symbols before: {rnn.text.entropy(text, context):.3f}")

# %%
rng = np.random.default_rng(options.seed)
size, hidden = len(alphabet), options.hidden
model = rnn.Sequence(rnn.RNN(size, hidden, bias="single", rng=rng), rnn.Linear(hidden, size, rng=rng))
for p in model.parameters():  # as there: small, and the biases 0
    p.data = 0.01 * rng.standard_normal(p.shape) if p.ndim == 2 else np.zeros(p.shape)

# %% [markdown]
# To write, draw each letter with the chance that the network gives it. The scores are divided by the temperature before.


# %%
@mg.no_grad()
def written(prompt, length, temperature=options.temperature):
    rng, said, state = np.random.default_rng(options.seed), prompt, None
    for t in range(len(prompt) + length - 1):
        scores, state = model.step(alphabet.one_hot(alphabet.encode(said[t])), state, t)
        if t >= len(prompt) - 1:
            scores = scores.data[0].astype(float) / temperature
            chances = np.exp(scores - scores.max())
            said += alphabet.symbols[rng.choice(size, p=chances / chances.sum())]
    return said


# %% [markdown]
# min-char-rnn adds up the losses of the 25 steps and limits each element of the gradient to 5; here the loss is their mean,
# and so the limit is a 25th. To Adagrad, which divides by the gradients it has seen, the rest is the same. One update is
# noisy; the mean over the last hundred says more.

# %%
trainer = rnn.Trainer(model, rnn.Adagrad(model.parameters(), lr=0.1), clip_value=5 / 25)


def tell(trainer):
    done = len(trainer.history.loss)
    if done in (1, updates // 10, updates // 3, updates):
        print(f"-- after {done} updates: loss {np.mean(trainer.history.loss[-100:]):.3f}")
        print(written(text[0], 150))
    return done == updates


trainer.fit(source, until=-(-updates // len(source)), progress=False, after_update=tell)
whole = rnn.evaluate(model, source)
print(f"-- the whole text: loss {whole.loss:.3f}, right {whole.accuracy:.1%}")
