# %% [markdown]
# # Lesson 10: why a network needs memory
#
# A network of layers is a function: the same input gives the same output. For a picture that is what you want. For a
# sequence it is not enough. In the word "hello" the letter `l` is followed once by `l` and once by `o`. Whoever sees
# only the letter cannot know which. You need to know what came *before*.
#
# In this lesson you measure how well a network can do without memory, then with a window of the last letters, then
# with a state that it carries along. The last one is the **recurrent network**, the subject of the rest of the
# course.
#
# **You need:** matrix products, softmax and cross-entropy, and a loop that trains a network (lesson 0).
#
# **You will be able to** compute the best loss that a network without memory can reach, say when a window is enough,
# and write a recurrent network and choose its weights by hand.
#
# **Time:** about 45 minutes, 4 exercises.

# %%
import math
from collections import Counter

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Without memory
#
# The task: read "hihell" letter by letter, and say after each letter which one comes next. The right answers are
# "ihello". A letter becomes a vector with a single 1, its place in the alphabet; this is called **one-hot**.

# %%
task = rnn.tasks.hello()
letters = task.alphabet
print("alphabet:", "".join(letters.symbols))
for t in range(6):
    read = letters.decode(task.inputs[t].argmax(-1))
    vector = task.inputs[t, 0].astype(int)
    print(f"t = {t}: read {read} {vector}, say {letters.decode(task.targets[t])}")

# %% [markdown]
# The arrays have the shape (steps, sequences, features), here (6, 1, 5): time comes first.
#
# Our first network looks at one letter and returns five numbers, the **logits**, one for each letter that may come
# next. Softmax makes probabilities of them. The loss at a step is `-log(p)`, where `p` is the probability of the
# right answer, and the loss of the sequence is the mean over its steps. A second network has a hidden layer with 20
# units. Predict: will the larger one be better?


# %%
def train(model, batch, updates=300, lr=0.05):
    """Train the model on what batch() returns, and return the last loss."""
    optimizer = rnn.Adam(model.parameters(), lr=lr)

    @mg.compile
    def update(x, y):
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(updates):
        loss = update(*batch())
    return loss.item()


def two_layers(inputs, hidden, outputs):
    first, second = (
        rnn.Linear(inputs, hidden, rng=0),
        rnn.Linear(hidden, outputs, rng=1),
    )
    return rnn.Sequential(first, mg.tanh, second)


linear, deep = rnn.Linear(5, 5, rng=0), two_layers(5, 20, 5)
for name, model in (("one layer", linear), ("two layers", deep)):
    loss = train(model, lambda: (task.inputs, task.targets), 600)
    print(f"{name:10}  loss {loss:.4f}")
    assert 0.462 < loss < 0.467

p = mg.softmax(deep(task.inputs)).data
for t in range(6):
    read = letters.decode(task.inputs[t].argmax(-1))
    right = p[t, 0, task.targets[t, 0]]
    print(f"t = {t}: read {read}, probability of the right answer {right:.2f}")

# %% [markdown]
# (`mg.compile` only makes the loop faster; lesson 12 looks inside.) Both stop at the same loss, 0.462. More layers do
# not help, and more training would not. After `h` and `l` the network is right with probability 1/2: it has seen each
# of them followed by two different letters, once each. So it pays `log(2)` at four of six steps, and `4 * log(2) / 6`
# is 0.4621.
#
# That is a limit for *every* function of one letter. The best it can do is to answer with the frequencies in the
# text. In information theory this limit is called the **conditional entropy**.
#
# ### Exercise 1
#
# Compute this limit for any two sequences of the same length. For each pair (read, say) in the sequences the best
# probability is the number of such pairs, divided by the number of times that this letter was read. Return the mean
# of `-log(p)`.


# %%
def best_without_memory(read, say):
    return ...  # Counter(zip(read, say, strict=True)) counts the pairs


def check_1(best_without_memory):
    assert np.isclose(best_without_memory("abab", "baba"), 0), (
        "after a always b, after b always a: the best loss is 0"
    )
    found = best_without_memory("aaaa", "aaab")
    assert np.isclose(found, -(3 * math.log(3 / 4) + math.log(1 / 4)) / 4), (
        "after a comes a three times and b once: p is 3/4 and 1/4, and three of "
        f"four steps pay -log(3/4). You return {found}"
    )
    for text in ("hihello", " if you want you", "mississippi"):
        found = best_without_memory(text[:-1], text[1:])
        expected = rnn.tasks.next_symbol(text).bounds["without memory"]
        assert np.isclose(found, expected), (
            f"for {text!r} it is {expected:.4f}, not {found:.4f}"
        )


exercise(1, check_1, best_without_memory)

# %% [markdown]
# ## 2. A window
#
# The simplest memory: show the network the last *two* letters. After `el` comes `l`, after `ll` comes `o`. Nothing
# else about the network changes; its input is twice as long. In the picture each output sees two inputs. (Before the
# first letter there are zeros.)


# %%
def windows(x, k):
    """Return for each step the last k inputs, side by side."""
    padded = np.concatenate([np.zeros((k - 1, *x.shape[1:]), x.dtype), x])
    return np.concatenate([padded[i : i + len(x)] for i in range(k)], axis=-1)


loss = train(
    two_layers(10, 20, 5), lambda: (windows(task.inputs, 2), task.targets)
)
print(f"a window of 2 letters: loss {loss:.5f}")
assert loss < 0.001

nodes, seen_by = {}, {}
for t in range(6):
    nodes["x", t], nodes["o", t] = f"x[{t}]", f"o[{t}]"
    seen_by["o", t] = [("x", s) for s in (t - 1, t) if s >= 0]
mg.draw_graph(nodes, seen_by)

# %% [markdown]
# Solved? For this word, yes. But how large must the window be?
#
# ### Exercise 2
#
# Return the smallest `k` such that the last `k` letters always determine the next one, in one text. Read `text[:-1]`,
# say `text[1:]`. At the start the window is shorter: there it is what has been read so far.


# %%
def smallest_window(text):
    return ...


def check_2(smallest_window):
    for text, expected in (
        ("abababab", 1),
        ("hihello", 2),
        ("aaaaab", 5),
        ("abcabdabcabd", 3),
        ("mississippi", 5),
    ):
        found = smallest_window(text)
        assert found == expected, (
            f"for {text!r} the smallest window is {expected}, not {found}"
        )


exercise(2, check_2, smallest_window)

# %% [markdown]
# In a real text the answer is long. "The *keys* that he had left on the table in the hall *are* gone": the verb
# depends on a word far before it. And a window has a price: `k` times the inputs need `k` times the weights, and what
# the network learns about a letter at one place of the window does not help at the other places.
#
# Here is a task that makes the point. The network reads random letters from an alphabet of four, and at *each* step
# it must name the **first** one. We train a window of 3 on sequences of 10 letters.


# %%
def first_letter(T, sequences, rng):
    letters = rng.integers(4, size=(T, sequences))
    targets = np.repeat(letters[:1], T, axis=0)
    return np.eye(4, dtype=np.float32)[letters], targets


def accuracy(model, x, y):
    """Return the share of right answers at each step."""
    return (model(x).data.argmax(-1) == y).mean(axis=1)


rng = np.random.default_rng(0)
window = two_layers(12, 32, 4)


def batch_of_windows():
    x, y = first_letter(10, 32, rng)
    return windows(x, 3), y


train(window, batch_of_windows, lr=0.02)
x, y = first_letter(10, 500, np.random.default_rng(1))
by_window = accuracy(window, windows(x, 3), y)
print("step    " + "".join(f"{t:6}" for t in range(10)))
print("window 3" + "".join(f"{a:6.2f}" for a in by_window))
assert by_window[:2].min() > 0.9
assert by_window[3:].max() < 0.35

# %% [markdown]
# As long as the first letter is in the window, the network can name it. From step 3 on it guesses: one of four is
# right by chance. (At step 2 the first letter is still there. But a window of three letters looks the same at all
# later steps, where its oldest letter is usually the wrong answer. So the network cannot know that it is the right
# one here.)
#
# ## 3. A state
#
# Do what you do when you read: keep a short summary, and update it with each letter. The summary is a vector `h`, the
# **hidden state**. The network becomes a function of *two* things, the input and the old state:
#
# ```text
# h[t] = tanh(W_ih x[t] + W_hh h[t-1] + b)      the new state
# o[t] = V h[t] + c                             the output
# ```
#
# `W_ih` has shape (hidden, input), `W_hh` (hidden, hidden). Both are the same at all steps. So the number of weights
# does not depend on how long the sequence is, nor on how far back the network can look. This is the **recurrent
# neural network** (RNN) of Elman (1990).
#
# ### Exercise 3
#
# Write the loop. `x` has shape (T, input) and `h` is the state before the first step. Return all states, an array of
# shape (T, hidden). Plain NumPy.


# %%
def states_of(x, h, W_ih, W_hh, b):
    return ...


def check_3(states_of):
    for inputs, hidden, T in ((5, 3, 6), (2, 4, 1)):
        layer = rnn.RNN(inputs, hidden, bias="single", dtype=np.float64, rng=T)
        cell = layer.cell
        weights = [p.data for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih)]
        x = np.random.default_rng(T).normal(size=(T, inputs))
        h = np.linspace(-1, 1, hidden)
        found = states_of(x, h, *weights)
        assert np.shape(found) == (T, hidden), (
            f"return all states, shape {(T, hidden)}, not {np.shape(found)}"
        )
        expected, _ = layer(x[:, None], h.reshape(1, 1, hidden))
        assert np.allclose(found[0], expected.data[0, 0]), (
            "the first state is wrong"
        )
        assert np.allclose(found, expected.data[:, 0]), (
            "the first state is right, the later ones are not: does each step "
            "use the state of the step before?"
        )


exercise(3, check_3, states_of)

# %% [markdown]
# In the picture there is a path from every input to every later output, along the line of the states. That is the
# memory.

# %%
model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
rnn.draw.unrolled(model, task.inputs, symbols=letters, level="cell")

# %% [markdown]
# Now train it on both tasks, with the same training function as the others.

# %%
loss = train(model, lambda: (task.inputs, task.targets))
print(f"hello: loss {loss:.4f}, the network says {rnn.predict(model, task)}")
assert rnn.predict(model, task) == "ihello"

recurrent = rnn.Sequence(rnn.RNN(4, 16, rng=0), rnn.Linear(16, 4, rng=1))
train(recurrent, lambda: first_letter(10, 32, rng), lr=0.02)
by_state = accuracy(recurrent, x, y)
print("\nfirst letter, share of right answers")
print("step    " + "".join(f"{t:6}" for t in range(10)))
print("window 3" + "".join(f"{a:6.2f}" for a in by_window))
print("state   " + "".join(f"{a:6.2f}" for a in by_state))
assert by_state.min() > 0.95


def size(model):
    return sum(p.size for p in model.parameters())


print(f"weights: window {size(window)}, state {size(recurrent)}")
longer = accuracy(recurrent, *first_letter(60, 500, np.random.default_rng(2)))
print(f"sequences of 60 letters, last step: {longer[-1]:.2f}")
assert longer[-1] > 0.95
assert size(recurrent) < size(window)

# %% [markdown]
# Without memory the loss on hello could not go below 0.46; with a state it is almost 0. On the second task the window
# guesses from step 3 on, and the recurrent network answers at every step, with fewer weights. It was trained on 10
# letters, and it still holds the first one after 60: it has learned to *keep* a value, not to look at a place.
#
# What does the state hold? Look at hello. The letter `h` is read twice, at steps 0 and 2:

# %%
states, _ = model.recurrent(task.inputs)
for t in (0, 2, 4, 5):
    read = letters.decode(task.inputs[t].argmax(-1))
    numbers = " ".join(f"{value:5.2f}" for value in states.data[t, 0])
    print(f"t = {t}: read {read}, state {numbers}")
assert abs(states.data[0] - states.data[2]).max() > 0.5

# %% [markdown]
# The same letter, two different states: the state is the letter *and* what came before. The next layer has only to
# read it.
#
# ## 4. A state by hand
#
# To see that there is no magic, choose the weights yourself. The task is **parity**: read zeros and ones, and say
# after each whether the number of ones so far is odd. No window is enough, because a single 1 at the very beginning
# changes all answers. But one bit of memory is: the new parity is `x + parity`, where `1 + 1` gives 0.
#
# With ReLU, `relu(a) = max(a, 0)`, and two units that both receive `a = x + parity`:
#
# ```text
# a      relu(a)    relu(a - 1)    relu(a) - 2 relu(a - 1)
# 0         0            0                   0
# 1         1            0                   1
# 2         2            1                   0
# ```
#
# The last column is the new parity. So the state has two units, `h[0] = relu(a)` and `h[1] = relu(a - 1)`, and the
# parity is `h[0] - 2 h[1]`. It is not stored itself, but the next step can compute it from `h`.
#
# ### Exercise 4
#
# Return `W_ih` (2, 1), `W_hh` (2, 2), `b` (2,) of `h[t] = relu(W_ih x[t] + W_hh h[t-1] + b)`, and `V` (1, 2) of the
# output `V h[t]`.


# %%
def parity_weights():
    return ...  # W_ih, W_hh, b, V


def check_4(parity_weights):
    W_ih, W_hh, b, V = map(np.array, parity_weights())
    shapes = (W_ih.shape, W_hh.shape, b.shape, V.shape)
    assert shapes == ((2, 1), (2, 2), (2,), (1, 2)), f"the shapes are {shapes}"
    for seed, T in ((0, 6), (1, 300)):
        bits = np.random.default_rng(seed).integers(2, size=T)
        h, said = np.zeros(2), []
        for x in bits:
            h = np.maximum(W_ih @ [x] + W_hh @ h + b, 0)
            said.append((V @ h).item())
        right = np.cumsum(bits) % 2
        wrong = np.flatnonzero(~np.isclose(said, right))
        assert not len(wrong), (
            f"after {bits[: wrong[0] + 1]} it says {said[wrong[0]]:.1f}"
        )


exercise(4, check_4, parity_weights)

# %% [markdown]
# Two units and ten numbers do what no window can, for sequences of any length. Whether a network can *learn* such
# weights from examples is another question, and the subject of lessons 13 and 14.
#
# ## What to remember
#
# - A function of the current input cannot do better than the conditional entropy of the task, however large it is.
# - A window is a memory with a fixed end, and its weights grow with its length.
# - A recurrent network carries a state: `h[t] = tanh(W_ih x[t] + W_hh h[t-1] + b)`. The weights are the same at all
#   steps, for sequences of any length.
# - The same input gives different states after different histories. That is what we mean by memory.
#
# **Next:** lesson 11 looks at this network in two ways, folded and unrolled, and at its gradient.
#
# ## Solutions


# %% tags=["hide-cell"]
def best_without_memory_solution(read, say):
    pairs, reads = Counter(zip(read, say, strict=True)), Counter(read)
    losses = [
        -math.log(pairs[x, y] / reads[x]) for x, y in zip(read, say, strict=True)
    ]
    return sum(losses) / len(losses)


def smallest_window_solution(text):
    for k in range(1, len(text)):
        follows = {}
        for t in range(len(text) - 1):
            follows.setdefault(text[max(0, t + 1 - k) : t + 1], set()).add(
                text[t + 1]
            )
        if all(len(next_letters) == 1 for next_letters in follows.values()):
            return k


def states_of_solution(x, h, W_ih, W_hh, b):
    states = []
    for t in range(len(x)):
        h = np.tanh(W_ih @ x[t] + W_hh @ h + b)
        states.append(h)
    return np.array(states)


def parity_weights_solution():
    W_ih = [[1.0], [1.0]]
    W_hh = [[1.0, -2.0], [1.0, -2.0]]
    b = [0.0, -1.0]
    V = [[1.0, -2.0]]
    return W_ih, W_hh, b, V


solution(1, check_1, best_without_memory_solution)
solution(2, check_2, smallest_window_solution)
solution(3, check_3, states_of_solution)
solution(4, check_4, parity_weights_solution)
