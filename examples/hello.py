# %% [markdown]
# # "hihell" to "ihello"
#
# The smallest task that needs a memory. The network reads a letter and says which comes next. After `h` comes first `i` and
# then `e`, after `l` first `l` and then `o`: from the letter alone it cannot be known, only from what came before.
# The first of the recurrent labs of DeepLearningZeroToAll; here without a trainer, so that every step is in sight.

# %%
import sys
from pathlib import Path

import numpy as np

import minigrad_rnn as rnn

# %% [markdown]
# The letters become rows with a single one: shape (6 steps, 1 sequence, 5 letters).

# %%
task = rnn.tasks.hello()
print(task.alphabet, task.inputs.shape)
print(task.inputs[:, 0].astype(int))

# %% [markdown]
# An LSTM with 5 units reads them; a linear layer makes a score for each letter out of every state.

# %%
rng = np.random.default_rng(0)
model = rnn.Sequence(rnn.LSTM(5, 5, rng=rng), rnn.Linear(5, 5, rng=rng))
for name, parameter in model.named_parameters():
    print(f"{name:24} {parameter.shape}")

# %% [markdown]
# Training: compute the loss, go back through the graph, move every weight a little. Before it has learned anything the loss
# is near ln 5 = 1.61, that of a guess among five letters.

# %%
optimizer = rnn.Adam(model.parameters(), lr=0.1)
for iteration in range(50):
    optimizer.zero_grad()
    loss, per_step = rnn.sequence_cross_entropy(model(task.inputs), task.targets)
    loss.backward()
    optimizer.step()
    if iteration in (0, 5, 10, 20, 49):
        print(f"{iteration:3}  loss {loss.item():.4f}  {rnn.predict(model, task)}  by step {np.round(per_step, 3)}")

# %% [markdown]
# Given only the first letter and fed with its own words, it says the rest by heart.

# %%
print("h", "->", rnn.greedy(model, task.alphabet, "h", 6))

# %% [markdown]
# And the pictures: with a folder as argument they are saved there.

# %%
folded = rnn.draw.folded(model, task.inputs, task.targets)
gradient = rnn.draw.unrolled(model, task.inputs, task.targets, symbols=task.alphabet, gradients=True)
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    print(folded.save(folder / "hello-folded.svg"), gradient.save(folder / "hello-gradient.svg"))
