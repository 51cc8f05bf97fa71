# %% [markdown]
# # Lab 12-1: "hihell" to "ihello"
#
# The first recurrent lab of DeepLearningZeroToAll, as it was published, and over many seeds. One sequence of six letters, five
# different ones; an LSTM with 5 units, a linear layer, Adam with a rate of 0.1, fifty iterations. `hello.py` explains the
# network; this script asks how sure one can be that it learns.

# %%
import sys

import numpy as np

import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv  # fewer seeds
SEEDS, RNN_SEEDS = (3, 10) if QUICK else (60, 300)

task = rnn.tasks.hello()
answer = task.alphabet.decode(task.targets[:, 0])
for name, bound in task.bounds.items():
    print(f"{name}: {bound:.4f}")

# %% [markdown]
# The lab was written in TensorFlow, and there networks begin in a way of their own: weights uniform by Glorot's rule, biases
# zero, but 1 in the forget gate. `rnn.init.keras` does that for a cell (its recurrent weights orthogonal, as came later).


# %%
def made(seed):
    rng = np.random.default_rng(seed)
    layer, readout = rnn.LSTM(5, 5, bias="single", rng=rng), rnn.Linear(5, 5, rng=rng)
    rnn.init.keras(layer.cell, rng=rng)
    readout.weight.data = rnn.init.xavier_uniform((5, 5), rng=rng)
    readout.bias.data = np.zeros(5)
    return rnn.Sequence(layer, readout)


def trained(model, iterations):
    """The loss and the words before each update, and after the last."""
    optimizer = rnn.Adam(model.parameters(), lr=0.1)
    losses, words = [], []
    for _ in range(iterations + 1):
        optimizer.zero_grad()
        outputs = model(task.inputs)
        loss, _ = rnn.sequence_cross_entropy(outputs, task.targets)  # the mean over the six steps
        losses.append(loss.item())
        words.append(task.alphabet.decode(outputs.data[:, 0].argmax(axis=-1)))
        if len(losses) <= iterations:
            loss.backward()
            optimizer.step()
    return losses, words


losses, words = trained(made(0), 50)
print("iteration   ours, seed 0       published")
for i, published in {0: "1.71584", 3: "", 6: "", 9: "        ihello", 10: "0.676   ihello", 20: "", 50: ""}.items():
    print(f"{i:9}   {losses[i]:.4f}  {words[i]}   {published}".rstrip())

# %% [markdown]
# One run says little: another seed is another run. So sixty of them: how many end with every letter right, and when is that
# so for the first time?

# %%
runs = [trained(made(seed), 50) for seed in range(SEEDS)]
first = [words.index(answer) for _, words in runs if answer in words]
ended = [losses[-1] for losses, _ in runs]
right = sum(words[-1] == answer for _, words in runs)
print(f"LSTM: exact after 50 iterations on {right} of {SEEDS} seeds; published 60 of 60")
print(f"first exact at iteration {np.median(first):.0f} in the median, {min(first)} to {max(first)}; published 10")
print(f"largest loss at the end {max(ended):.4f}; published: below 0.0082")

# %% [markdown]
# In the lab's other form, in PyTorch, the network is a plain RNN with tanh, begins as PyTorch's do (and this package's), and
# is given fifteen iterations. Now and then they are not enough, and it takes more than one or two seeds to notice.

# %%
exact = {15: 0, 50: 0}
for seed in range(RNN_SEEDS):
    rng = np.random.default_rng(seed)
    model = rnn.Sequence(rnn.RNN(5, 5, rng=rng), rnn.Linear(5, 5, rng=rng))
    _, words = trained(model, max(exact))
    for i in exact:
        exact[i] += words[i] == answer
print(f"RNN: exact after 15 iterations on {exact[15] / RNN_SEEDS:.1%} of {RNN_SEEDS} seeds; published 96.7 % of 300")
print(f"RNN: exact after 50 iterations on {exact[50] / RNN_SEEDS:.1%}")

# %% [markdown]
# The full run gave: LSTM exact on 60 of 60 seeds, first at iteration 10 in the median (6 to 19), as published. The largest
# loss at the end is 0.0116, and not below 0.0082. Begun as PyTorch's networks it is 0.009: it is the worst of sixty seeds,
# and those are not the same sixty. RNN: 97.0 % of 300 seeds after 15 iterations, 100 % after 50.
