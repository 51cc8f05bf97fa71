# %% [markdown]
# # "I want to play basketball": one sentence, one state
#
# A text is a sequence: "play" makes one expect a noun, and which one may depend on what was said long before. A recurrent
# network reads the words one after the other. What it has read so far is in its state h, a few numbers; each word changes
# them.

# %%
import numpy as np

import minigrad_rnn as rnn

task = rnn.tasks.words("I want to play basketball")
words = task.alphabet.symbols
print(words)
print(task.inputs[:, 0].astype(int))  # four words are read; the fifth is only to be said

# %% [markdown]
# At each step the new state is computed from the word and the state before, with the same weights at every step:
# h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh). Three numbers will do. Before the first word they are zero.

# %%
rng = np.random.default_rng(0)
cell = rnn.RNNCell(len(words), 3, rng=rng)
readout = rnn.Linear(3, len(words), rng=rng)


def read(inputs):
    """The state after each word, by hand."""
    h = np.zeros(3)
    states = []
    for x in inputs:
        h = np.tanh(cell.weight_ih.data @ x + cell.bias_ih.data + cell.weight_hh.data @ h + cell.bias_hh.data)
        states.append(h)
    return np.array(states)


model = rnn.Sequence(rnn.Recurrent(cell), readout)


def show(title):
    print(title)
    states, scores = read(task.inputs[:, 0]), model(task.inputs).data[:, 0]
    for t, (h, logits) in enumerate(zip(states, scores, strict=True)):
        chance = np.exp(logits) / np.exp(logits).sum()
        guess = words[chance.argmax()].strip()
        print(f"  h[{t}] after {words[t].strip():5}", *(f"{value:+.2f}" for value in h), f" next: {guess} {chance.max():.2f}")


show("before training:")
output, last = model.recurrent(task.inputs)
print("by hand and by the layer the same:", np.allclose(read(task.inputs[:, 0]), output.data[:, 0], atol=1e-6))

# %% [markdown]
# The state holds what was read, not only the last word. Read "play" at once, after "I want to", or after these in another
# order: the word is the same, h is not.

# %%
for text in (["play"], ["I", "want", "to", "play"], ["to", "want", "I", "play"]):
    numbers = [[word.strip() for word in words].index(word) for word in text]
    h = read(task.alphabet.one_hot(numbers))[-1]
    print(f"{' '.join(text):16}", *(f"{value:+.3f}" for value in h))

# %% [markdown]
# Training changes the weights, and with them what the state says about the words. The loss begins near ln 5, a guess among
# five words; as no word comes twice, the best is 0.

# %%
history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.05)).fit(task, epochs=100, progress=False)
print(f"ln 5 = {np.log(5):.4f}; loss", *(f"{history.loss[i]:.4f}" for i in (0, 10, 20, 50, 99)))
show("after training:")

# %% [markdown]
# One weight, many steps: the loss of the last word goes back through all the words before. How much of it arrives at each
# state is what `activations.py` is about.

# %%
states = []
state = None
for t, x in enumerate(task.inputs):
    scores, state = model.step(x, state, t)
    state[0].register_hook(lambda g, t=t: states.append((t, float(np.linalg.norm(g)))))
loss, _ = rnn.sequence_cross_entropy(scores[None], task.targets[-1:])  # of the last word alone
loss.backward()
print("the last word's loss, |dL/dh[t]|:", {t: float(f"{size:.1e}") for t, size in sorted(states)})
