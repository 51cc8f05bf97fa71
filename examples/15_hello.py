# %% [markdown]
# # Lesson 15: hello
#
# Read `hihell`, one letter at a time. After each letter, name the letter that comes next: `ihello`. This is the smallest
# task that needs a memory. After the first `h` comes `i`, after the second `h` comes `e`; after the first `l` comes `l`,
# after the second `o`. The letter alone does not tell you. (It is the first recurrent lab of Sung Kim's course
# DeepLearningZeroToAll.)
#
# In this lesson nothing is hidden in a trainer. You turn letters into arrays, run the network in NumPy, write the training
# step, and let the network write.
#
# **You need:** lessons 10 to 12 (the recurrent network, unrolled), softmax and cross-entropy.
#
# **You will be able to** train a network on a text, say which loss a model *without* memory cannot beat, and let a trained
# network continue a text.
#
# **Time:** about 60 minutes, 5 exercises.

# %%
from itertools import pairwise

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Letters become arrays
#
# A network computes with numbers, so each letter gets one: its position in the **alphabet** of the task. But the number 4
# for `o` does not mean that `o` is twice as much as 2, `e`. So the network does not read the number. It reads a **one-hot**
# vector: all zeros, and a single 1 at the position of the letter.

# %%
task = rnn.tasks.hello()
x, y = task.inputs, task.targets
print("alphabet", task.alphabet.symbols)
print("inputs  ", x.shape, " (time steps, sequences, letters)")
print("targets ", y.shape, " (time steps, sequences)")
for t in range(6):
    letter, next_letter = (
        task.alphabet.symbols[k] for k in (x[t, 0].argmax(), y[t, 0])
    )
    print(t, letter, x[t, 0].astype(int), "->", next_letter, y[t, 0])

# %% [markdown]
# The inputs have three axes. The first is time. The second is for sequences that are processed together, a **batch**; here
# it has length 1. The targets are not one-hot: they are **class indices**, the numbers of the right letters.
#
# ### Exercise 1
#
# Write it yourself: the one-hot vectors of a text, shape `(len(text), len(symbols))`.


# %%
def one_hot(text, symbols):
    return ...


def check_1(f):
    for text, symbols in (("hihell", "hielo"), ("aab", "ba")):
        found = np.asarray(f(text, symbols))
        shape = (len(text), len(symbols))
        assert found.shape != shape[::-1] or shape[0] == shape[1], (
            "each letter needs a row, not a column: transpose"
        )
        assert found.shape == shape, f"the shape is {found.shape}, not {shape}"
        assert (found.sum(axis=1) == 1).all(), "every row must have one 1"
        right = [symbols[k] for k in found.argmax(axis=1)]
        assert right == list(text), f"these rows say {''.join(right)}, not {text}"


exercise(1, check_1, one_hot)

# %% [markdown]
# ## 2. How far can you get without memory?
#
# Before you train anything, find out what a good result is. Two numbers need no network at all.
#
# - **A guess.** Five letters, all equally likely: each costs `-log(1/5) = log 5`, which is 1.609.
# - **No memory.** A model that sees only the current letter knows that `i` is followed by `h`, `e` by `l`. For `h` and for
#   `l` it must split its bet: 1/2 and 1/2. That costs `log 2` at four of the six steps, `4/6 * log 2 = 0.462` on average. No
#   training makes it better.
#
# ### Exercise 2
#
# Write the second number for any text: the mean of `-log p(next | letter)` over all letters but the last, where `p` is the
# share with which `next` follows `letter` in this text.


# %%
def loss_without_memory(text):
    return ...


def check_2(f):
    assert abs(f("hihello") - 4 / 6 * np.log(2)) > 1e-9 or abs(f("ab")) < 1e-9, (
        "in 'ab' a is always followed by b, so the loss is 0: count the pairs"
    )
    for text in ("hihello", "ab", "aab", "mississippi", " if you want you"):
        expected = rnn.text.entropy(text, 1)
        assert np.isclose(f(text), expected), (
            f"for {text!r} it is {expected:.4f}, not {f(text):.4f}. Is it a mean "
            "over letters (not over kinds of pairs), and the natural logarithm?"
        )


exercise(2, check_2, loss_without_memory)

# %% [markdown]
# Is it true? Here is a model without memory: a matrix that turns each letter into five scores (**logits**). We train it for
# 300 updates.

# %%
plain = rnn.Linear(5, 5, rng=0)
trainer = rnn.Trainer(plain, rnn.Adam(plain.parameters(), lr=0.1))
trainer.fit(task, epochs=300, progress=False)
result = rnn.evaluate(plain, task)
print(f"without memory: loss {result.loss:.4f}, never below", end=" ")
print(
    f"{task.bounds['without memory']:.4f}; it says {rnn.predict(plain, task)!r}"
)
assert task.bounds["without memory"] < result.loss < 0.47
assert round(6 * result.accuracy) == 4

# %% [markdown]
# Four of six letters are right. At `h` it says the same letter both times, and at `l` too: it *cannot* do anything else.
#
# ## 3. A network with a state
#
# Now the recurrent network. Four numbers are its state. At each step it computes a new state from the letter and the old
# state, and five logits from the state.

# %%
model = rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
for name, parameter in model.named_parameters():
    print(f"{name:23} {parameter.shape}")
rnn.draw.both(model, task, steps="all", title="a network of four units")

# %% [markdown]
# On the left the network is **folded**: one cell, with an arrow that goes back to itself. On the right it is **unrolled**: a
# copy of the same cell for each time step. `U`, `W` and `V` are the same arrays in every copy. At the top is the loss: each
# step adds its share, and at the end you see the sum.
#
# Follow the arrows from `x[0]`. It enters only at the first step, but through the states it reaches every later output. That
# is the memory.
#
# ### Exercise 3
#
# Run the network by hand. Return the logits of all steps, shape `(6, 5)`, for `letters` of shape `(6, 5)`. The first state
# is zero. `p` has the arrays under the names that were printed above, and
#
# ```text
# h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)
# o[t] = V h[t] + c
# ```
#
# where `W_ih` is `p["recurrent.weight_ih_l0"]`, `V` is `p["readout.weight"]` and `c` is `p["readout.bias"]`.


# %%
def run_by_hand(p, letters):
    return ...


def check_3(f):
    for seed in (0, 5):
        net = rnn.Sequence(
            rnn.RNN(5, 4, dtype=np.float64, rng=seed),
            rnn.Linear(4, 5, dtype=np.float64, rng=seed),
        )
        p = {name: q.data for name, q in net.named_parameters()}
        found = np.asarray(f(p, x[:, 0].astype(float)))
        assert found.shape == (6, 5), f"the shape is {found.shape}, not (6, 5)"
        right = net(x).data[:, 0]
        assert np.allclose(found[0], right[0]), (
            "step 0 is wrong already: W_ih @ x[0] + b_ih + b_hh, tanh, V @ h + c"
        )
        assert np.allclose(found, right), (
            "step 0 is right, a later one is not: is h carried to the next step?"
        )


exercise(3, check_3, run_by_hand)

# %% [markdown]
# ## 4. The loss gathers along the sequence
#
# At each step, softmax turns the logits into probabilities, and the loss of the step is `-log` of the probability of the
# right letter. The loss of the sequence is the mean over its steps.

# %%
loss, per_step = rnn.sequence_cross_entropy(model(x), y)
print("share of each step ", per_step.round(3))
print("sum so far         ", per_step.cumsum().round(3))
print(f"loss {loss.item():.3f}; a guess costs {np.log(5):.3f}")
assert np.isclose(per_step.sum(), loss.item())

# %% [markdown]
# ## 5. Train it
#
# One training step is four lines: clear the old gradients, compute the loss, go back through the graph, change the weights.

# %%
optimizer = rnn.Adam(model.parameters(), lr=0.1)
losses, said = [], []
for _update in range(51):
    said.append(rnn.predict(model, task))
    optimizer.zero_grad()
    loss, _ = rnn.sequence_cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

for k in (0, 2, 4, 6, 8, 10, 15, 20, 30, 50):
    bar = "#" * round(20 * losses[k])
    print(f"{k:3} {said[k]}  {losses[k]:.3f} {bar}")
first = said.index("ihello")
print(f"all right for the first time after {first} updates")

# %% tags=["remove-cell"]
assert said[4] == "elello"
assert said[6] == "ilello"
assert said[8] == "ihello"
assert losses[50] < 0.01

# %% [markdown]
# Read the column of answers from top to bottom. After 4 updates it says `e` after both `h`, as a model without memory would.
# After 6 updates the first `h` gets its `i`: the same letter, two answers, so the state must make the difference. After 8
# updates all is right, and the loss is below 0.462, where no model without memory can be.
#
# Where is that memory? In the state. Look at it after the first and after the second `h`, the same letter:

# %%
with mg.no_grad():
    states = model.recurrent(x)[0].data[:, 0]  # (6, 4)
for t in (0, 2):
    print(f"after 'h' at t={t}:", states[t].round(2), "->", said[-1][t])
assert abs(states[0] - states[2]).max() > 0.5

# %% [markdown]
# The input is the same, the state is not. The readout only has to tell these two vectors apart.
#
# ### Exercise 4
#
# Write a training step as a function, and protect it against large gradients (lesson 13): if the **norm** of the whole
# gradient, the root of the sum of all squares over all parameters, is larger than `most`, multiply every gradient by
# `most / norm`. Return the loss *before* the update, as a number. (`for p in model.parameters()` gives the parameters;
# `p.grad` is an array, and `p.grad *= 0.5` works.)


# %%
def clipped_step(model, optimizer, x, y, most):
    return ...


def check_4(step):
    def losses_with(step, most):
        net = rnn.Sequence(rnn.RNN(5, 4, rng=2), rnn.Linear(4, 5, rng=3))
        sgd = rnn.SGD(net.parameters(), lr=0.5)
        return [step(net, sgd, x, y, most) for _ in range(3)]

    def right_step(net, sgd, x, y, most):
        sgd.zero_grad()
        loss = rnn.sequence_cross_entropy(net(x), y).total
        loss.backward()
        rnn.clip_grad_norm(net.parameters(), most)
        sgd.step()
        return loss.item()

    found, right = losses_with(step, 1e9), losses_with(right_step, 1e9)
    assert all(isinstance(loss, float) for loss in found), (
        "return the loss as a number: loss.item()"
    )
    assert found[1] != found[0], "the weights did not change: optimizer.step()?"
    assert np.isclose(found[:2], right[:2]).all(), (
        f"without clipping, the losses are {found[:2]}, and should be {right[:2]}"
    )
    assert np.isclose(found[2], right[2]), (
        "the first two steps are right, the third is not. Gradients are added "
        "up: optimizer.zero_grad() belongs before backward()"
    )
    found, right = losses_with(step, 0.1), losses_with(right_step, 0.1)
    assert np.allclose(found, right, atol=1e-5), (
        f"with most=0.1 the losses are {found}, and should be {right}. Is it one "
        "norm for all parameters together, and is the update after the clipping?"
    )


exercise(4, check_4, clipped_step)

# %% [markdown]
# Here is the trained network, a box for each step. Colour and number of a state show the size of the gradient that reaches
# it.

# %%
_, per_step = rnn.sequence_cross_entropy(model(x), y)
assert set(per_step.argsort()[-2:]) == {0, 4}
rnn.draw.unrolled(
    model,
    task,
    level="cell",
    gradients=True,
    symbols=task.alphabet,
    title="the trained network",
)

# %% [markdown]
# The gradients are small now, because the loss is small. Look at the red row: the two largest losses are at `t = 0` and
# `t = 4`. There the network reads `h` and `l`, the letters that alone are not enough.
#
# A `Trainer` has these four lines too. With a `Watch` it keeps the weights of every update, so you can go back to any of them:
# move the slider from the first update to the last. The text changes letter by letter. The gradient is largest where the
# loss is large, and fades when the loss does.

# %%
again = rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
trainer = rnn.Trainer(again, rnn.Adam(again.parameters(), lr=0.1))
watch = rnn.Watch()
trainer.fit(task, epochs=50, progress=False, watch=watch)
assert [snapshot.says for snapshot in watch.snapshots] == said
rnn.draw.training(watch, symbols=task.alphabet, title="hello, as it learns")

# %% [markdown]
# ## 6. Let it write
#
# A network that names the next letter can write: give it `h`, take its answer, and feed that in as the next input. This is
# called **free running**. During training it was different: there, the next input was always the right letter, whatever the
# network said (**teacher forcing**).

# %%
for prompt in ("h", "hi", "e", "l", "o"):
    answer = rnn.greedy(model, task.alphabet, prompt, 6)
    print(f"{prompt!r:5} -> {answer}")
assert rnn.greedy(model, task.alphabet, "h", 6) == "ihello"

# %% [markdown]
# From `h` it recites the word. From `e` and `l` it goes on as the word does. It has never read an `o`; there, nothing in the
# training says what is right, and you see one of many possible answers. This network has *memorised* one word. The
# experiment shows that a recurrent network **can** remember. It does not show that it generalises; for that you need data
# that it has not seen (lesson 17).
#
# ### Exercise 5
#
# Write free running. `model.step(x, state, t)` computes one step: `x` has shape `(1, 5)`, the first `state` is `None`, and
# it returns the logits `(1, 5)` and the new state. `alphabet.one_hot([k])` is the input for letter number `k`. Return the
# text of `length` letters that follow `first`.


# %%
def write(model, alphabet, first, length):
    return ...


def check_5(f):
    for net in (
        model,
        rnn.Sequence(rnn.LSTM(5, 6, rng=4), rnn.Linear(6, 5, rng=4)),
    ):
        for first in "hel":
            found = f(net, task.alphabet, first, 6)
            right = rnn.greedy(net, task.alphabet, first, 6)
            assert isinstance(found, str), "return a text"
            assert len(found) == 6, f"{len(found)} letters, not 6"
            assert found == right or found != first + right[:-1], (
                "the answer begins with the first letter *after* the prompt"
            )
            assert found == right, (
                f"after {first!r} you get {found!r}, not {right!r}. Are both the "
                "answer and the state passed on to the next step?"
            )


exercise(5, check_5, write)

# %% [markdown]
# ## 7. Was it luck?
#
# One run with one seed is a story, not a result. So train ten networks, and count the updates until everything is right.

# %%
needed = []
for seed in range(10):
    rng = np.random.default_rng(seed)
    net = rnn.Sequence(rnn.RNN(5, 4, rng=rng), rnn.Linear(4, 5, rng=rng))
    net_optimizer = rnn.Adam(net.parameters(), lr=0.1)
    updates = 0
    while rnn.predict(net, task) != "ihello" and updates < 100:
        net_optimizer.zero_grad()
        rnn.sequence_cross_entropy(net(x), y).total.backward()
        net_optimizer.step()
        updates += 1
    needed.append(updates)
print("updates needed:", *sorted(needed))

# %% tags=["remove-cell"]
assert max(needed) < 100

# %% [markdown]
# All ten learn it.
#
# ## What to remember
#
# - Letters become one-hot vectors; answers are logits, one for each letter; targets are class indices.
# - Before you train, compute what a guess costs and what a model without memory can reach. Here: 1.609 and 0.462.
# - The same letter in another place gives another state. That is the memory.
# - A training step: `zero_grad`, loss, `backward`, `step`.
# - Fed with its own answers, a network writes. What it has memorised, it recites; more is not shown by one word.
#
# **Next:** lesson 16 reads a sentence word by word, and looks at what the state holds after each word.
#
# ## Solutions


# %% tags=["hide-cell"]
def one_hot_solution(text, symbols):
    rows = np.zeros((len(text), len(symbols)))
    for t, letter in enumerate(text):
        rows[t, symbols.index(letter)] = 1
    return rows


def loss_without_memory_solution(text):
    pairs = list(pairwise(text))
    shares = [pairs.count((a, b)) / text[:-1].count(a) for a, b in pairs]
    return float(-np.log(shares).mean())


def run_by_hand_solution(p, letters):
    h, outputs = np.zeros(4), []
    for x_t in letters:
        a = p["recurrent.weight_ih_l0"] @ x_t + p["recurrent.bias_ih_l0"]
        a += p["recurrent.weight_hh_l0"] @ h + p["recurrent.bias_hh_l0"]
        h = np.tanh(a)
        outputs.append(p["readout.weight"] @ h + p["readout.bias"])
    return np.array(outputs)


def clipped_step_solution(model, optimizer, x, y, most):
    optimizer.zero_grad()
    loss = rnn.sequence_cross_entropy(model(x), y).total
    loss.backward()
    parameters = model.parameters()
    norm = np.sqrt(sum((p.grad**2).sum() for p in parameters))
    if norm > most:
        for p in parameters:
            p.grad *= most / norm
    optimizer.step()
    return loss.item()


def write_solution(model, alphabet, first, length):
    number, state, text = alphabet.symbols.index(first), None, ""
    for t in range(length):
        logits, state = model.step(alphabet.one_hot([number]), state, t)
        number = int(logits.data[0].argmax())
        text += alphabet.symbols[number]
    return text


solution(1, check_1, one_hot_solution)
solution(2, check_2, loss_without_memory_solution)
solution(3, check_3, run_by_hand_solution)
solution(4, check_4, clipped_step_solution)
solution(5, check_5, write_solution)
