# %% [markdown]
# # Lesson 17: characters, and a text of your own
#
# Give a network a text, let it predict the next character, and then let it write. Karpathy's program min-char-rnn (2015)
# made this famous: from Shakespeare it learned to write something that looks like Shakespeare. But "looks like" is not a
# measurement. How good is such a model? How much of the text did it learn by heart? Does it write better if you draw its
# characters more carefully?
#
# In this lesson you train it on a text for which we can *check* what it writes: numbers in words.
#
# **You need:** lessons 15 and 16.
#
# **You will be able to** train on a long text with truncated backpropagation, judge the loss with honest baselines, sample
# with a temperature, and see when a model only memorises.
#
# **Time:** about 60 minutes, 4 exercises.

# %%
import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. The text
#
# A list of random numbers from 1 to 999, in words, one on each line. It looks like a real text to the network: words,
# hyphens, line ends. But we know how it was made. So we know how good a model can get, and we can tell a correct line from
# an incorrect one.

# %%
SMALL = (
    "one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
)
LARGE = "twenty thirty forty fifty sixty seventy eighty ninety"
ONES, TENS = SMALL.split(), LARGE.split()


def spell(n):
    if n < 20:
        return ONES[n - 1]
    if n < 100:
        return TENS[n // 10 - 2] + (f"-{ONES[n % 10 - 1]}" if n % 10 else "")
    rest = f" and {spell(n % 100)}" if n % 100 else ""
    return f"{ONES[n // 100 - 1]} hundred{rest}"


def text_of(count, seed):
    numbers = np.random.default_rng(seed).integers(1, 1000, size=count)
    return "".join(spell(n) + "\n" for n in numbers)


train_text, test_text = text_of(2000, seed=0), text_of(500, seed=1)
alphabet = rnn.Alphabet.of(train_text)
print(test_text[:130])
print(len(train_text), "characters,", len(alphabet), "different ones")

# %% [markdown]
# ## 2. What is a good loss?
#
# The loss is the mean of `-log p(next character)`. Before training, find numbers to compare it with.
#
# - **A guess** among all characters.
# - **Counting pairs**: how often does each character follow each other one? That is the best model without memory.
# - **Perfect.** Whoever knows that all 999 numbers are equally likely pays `log 999` for each line, however long it is. No
#   model can do better in the long run.
#
# ### Exercise 1
#
# Count pairs in one text, and compute the loss on *another*. If a pair of the test never occurred in training, its
# probability would be 0 and the loss infinite. So add 1 to every count (**add-one smoothing**). `train` and `test` are
# arrays of class indices, `V` is the number of characters.


# %%
def pair_loss(train, test, V):
    return ...


def check_1(f):
    loss = f(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0]), 2)
    assert np.isfinite(loss), "the loss is infinite: add 1 to every count"
    right = -(np.log(3 / 4) + np.log(1 / 3) + np.log(2 / 3)) / 3
    assert np.isclose(loss, right), (
        f"for train 0101, test 0110 it is {right:.4f}, not {loss:.4f}: after 0 "
        "comes 1 with (2 + 1) / (2 + 2), after 1 comes 1 with (0 + 1) / (1 + 2)"
    )
    loss = f(np.array([2, 2, 2]), np.array([0, 1]), 3)
    assert np.isclose(loss, np.log(3)), (
        "after a character without counts, all V characters are equally likely"
    )


exercise(1, check_1, pair_loss)

# %%
train, test = alphabet.encode(train_text), alphabet.encode(test_text)
V = len(alphabet)
perfect = 500 * np.log(999) / len(test_text)
print(f"a guess               {np.log(V):.3f}")
for context in (1, 2, 3):
    bound = rnn.text.entropy(test_text, context)
    print(f"knowing {context} before      {bound:.3f}")
print(f"perfect               {perfect:.3f}")

# %% [markdown]
# The rows "knowing k before" are entropies, counted on the test text itself: the least loss of any model that sees only the
# last `k` characters. Even with three, something is missing: after "ven" it matters whether the word is "seven" or "eleven".
# Only "seven" can go on with " hundred".
#
# ## 3. A long text in pieces
#
# One sequence of 51,404 steps is too long for one backward pass. So we cut: compute 25 steps, go back through these 25,
# update, go on. The *state* is carried from piece to piece. Only the *gradient* stops at the cut. This is **truncated
# backpropagation through time** (Williams and Peng, 1990). And we read 32 parts of the text at once, as a batch.
# `rnn.Streams` does both.

# %%
streams = rnn.Streams(train, length=25, batch_size=32)
batch = streams.batch(0)
print("batches in an epoch:", len(streams))
for name, numbers in (("inputs ", batch.inputs), ("targets", batch.targets)):
    print(name, numbers.shape, repr(alphabet.decode(numbers[:, 0])))
print("next   ", repr(alphabet.decode(streams.batch(1).inputs[:, 0])))


def new_model(alphabet, units, seed=0):
    return rnn.Sequence(
        rnn.GRU(12, units, rng=seed),
        rnn.Linear(units, len(alphabet), rng=seed),
        embedding=rnn.Embedding(len(alphabet), 12, rng=seed),
    )


model = new_model(alphabet, units=32)
rnn.draw.unrolled(
    model,
    batch.inputs[:6, :1],
    batch.targets[:6, :1],
    level="cell",
    gradients=True,
    chunk=3,
    symbols=alphabet,
    title="six characters in pieces of three",
)

# %% [markdown]
# The scissors mark the cut after `h[2]`. The forward pass crosses it: `h[3]` is computed from `h[2]`. The gradient does not:
# what `h[2]` receives comes from the losses up to `t = 2`. So a dependence longer than a piece can be used, but it is hard
# to learn.
#
# ### Exercise 2
#
# The targets are the inputs, one character later. Return inputs and targets for pieces of `length` characters of one text:
# two arrays of shape (pieces, length), without the characters that do not fill a piece.


# %%
def pieces(numbers, length):
    return ...


def check_2(f):
    for total, length, count in ((10, 3, 3), (9, 4, 2), (9, 3, 2)):
        numbers = np.arange(total) + 5
        x, y = f(numbers, length)
        shape = (count, length)
        assert np.shape(x) == shape, (
            f"{total} characters make {count} pieces of {length} with targets; "
            f"your inputs have shape {np.shape(x)}"
        )
        assert np.shape(y) == shape, (
            f"targets have shape {np.shape(y)}, not {shape}"
        )
        assert (np.ravel(x) == numbers[: count * length]).all(), (
            "the inputs are the text in its order, without gap or overlap"
        )
        assert (np.asarray(y) == np.asarray(x) + 1).all(), (
            "in this test the text counts up, so each target is its input + 1, "
            "also at the end of a piece"
        )


exercise(2, check_2, pieces)

# %% [markdown]
# ## 4. Training
#
# Predict: which row of the table in section 2 will it reach on the test text, after reading the training text four times?

# %%
trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.02), clip_norm=1.0)
test_streams = rnn.Streams(test, length=25, batch_size=4)
before = rnn.evaluate(model, test_streams).loss
print(f"untrained   test {before:.3f}")
for epoch in range(1, 5):
    history = trainer.fit(streams, epochs=1, progress=False)
    result = rnn.evaluate(model, test_streams).loss
    recent = np.mean(history.loss[-30:])
    print(f"epoch {epoch}     test {result:.3f}   training {recent:.3f}")
print(f"perfect          {perfect:.3f}")

# %% tags=["remove-cell"]
assert perfect < result < rnn.text.entropy(test_text, 3)
assert abs(result - recent) < 0.03

# %% [markdown]
# It is far below every model with a short memory, and close to perfect. Training and test losses are about equal: with new
# numbers it is as good as with those it has read. It has learned *how numbers are written*.
#
# ## 5. Let it write
#
# The model gives a probability for each next character. To write, *draw* one of them, feed it back, and go on.

# %%
steps = 3
nodes, parents = {}, {}
for t in range(steps):
    nodes |= {
        ("x", t): f"x[{t}]",
        ("h", t): f"h[{t}]",
        ("p", t): "softmax(logits / T)",
        ("draw", t): "draw",
    }
    parents |= {
        ("h", t): [("x", t), *([("h", t - 1)] if t else [])],
        ("p", t): [("h", t)],
        ("draw", t): [("p", t)],
    }
    if t:
        parents["x", t] = [("draw", t - 1)]
mg.draw_graph(nodes, parents, title="each drawn character is the next input")

# %% [markdown]
# `T` is the **temperature**. Dividing the logits by a number below 1 makes the differences between them larger: likely
# characters become more likely. Above 1, all become more equal. At 1 the probabilities are the model's own.
#
# ### Exercise 3
#
# Write the softmax with a temperature. Large logits must not overflow: subtract the largest one before `exp`; it does not
# change the result.


# %%
def softmax_with_temperature(logits, T):
    return ...


def check_3(f):
    logits = np.array([1.0, 2.0, 0.0])
    for T in (1.0, 0.5, 2.0):
        p = f(logits, T)
        assert np.isclose(np.sum(p), 1), f"the sum is {np.sum(p):.3f}, not 1"
        right = np.exp(logits / T) / np.exp(logits / T).sum()
        assert T == 1 or not np.allclose(p, f(logits, 1.0)), "T has no effect"
        assert np.allclose(p, right), (
            f"for T = {T} it is {right.round(3)}, not {np.round(p, 3)}. Divide "
            "the logits before exp, not the probabilities after it"
        )
    with np.errstate(over="raise"):
        try:
            p = f(np.array([1000.0, 999.0]), 0.5)
        except FloatingPointError:
            raise AssertionError("exp overflows: subtract the largest") from None
    assert np.isclose(p[0], 1 / (1 + np.exp(-2))), "wrong for logits 1000 and 999"


exercise(3, check_3, softmax_with_temperature)

# %% [markdown]
# ### Exercise 4
#
# Draw. `u` is a random number from 0 to 1. Put the probabilities one after the other on a line from 0 to 1; return the index
# of the piece in which `u` lies: `p[0] + ... + p[k-1] <= u < p[0] + ... + p[k]`.


# %%
def draw(p, u):
    return ...


def check_4(f):
    p = np.array([0.5, 0.0, 0.2, 0.3])
    for u, k in (
        (0.0, 0),
        (0.49, 0),
        (0.51, 2),
        (0.69, 2),
        (0.71, 3),
        (0.999, 3),
    ):
        found = f(p, u)
        assert found != 1, "a character with probability 0 must never be drawn"
        assert found == k, f"for u = {u} it is {k}, not {found}"
    counts = np.bincount([f(p, u) for u in np.linspace(0, 0.9999, 1000)])
    assert np.allclose(counts / 1000, p, atol=0.01), "the shares are not p"


exercise(4, check_4, draw)

# %% [markdown]
# `rnn.sample` is the loop of the picture. It reads a prompt first; ours is a line end. Here is what it writes at three
# temperatures:

# %%
valid = {spell(n) for n in range(1, 1000)}


def lines(temperature, count):
    text = rnn.sample(model, alphabet, "\n", count, temperature, rng=0)
    return text.split("\n")[:-1]  # the last line may be cut


for temperature in (0.3, 1.0, 2.0):
    print(f"temperature {temperature}:")
    for line in lines(temperature, 200)[:4]:
        print("   ", line if line in valid else f"{line}   <- not a number")

# %% [markdown]
# Now measure. Which temperature is best? Count the lines that are correct numbers, and how many *different* correct numbers
# there are in 40 lines.

# %%
print("temperature   correct   correct and different, of 40 lines")
quality = {}
for temperature in (0.0, 0.1, 0.3, 1.0, 1.5, 2.0):
    said = lines(temperature, 1400)[:40]
    correct = [line for line in said if line in valid]
    quality[temperature] = len(correct), len(set(correct))
    print(
        f"{temperature:11.1f} {len(correct):9} {len(set(correct)):11} ", end=" "
    )
    print("#" * len(set(correct)))

# %% tags=["remove-cell"]
assert len(said) == 40
assert quality[0.0][1] <= 3
assert quality[0.1][0] >= 38
assert quality[1.0][0] >= 30
assert quality[1.0][1] > quality[0.1][1] + 5
assert quality[2.0][0] < 20

# %% [markdown]
# Read both columns. At 0 the most likely character is always taken, and the model writes the same again and again. At 0.1
# all lines are correct, but many repeat. At 2.0 most lines are not numbers. At 1.0 nearly all are correct and different:
# there, the model draws with the probabilities that it has learned, and for this text it has learned them well. A model that
# knows less makes more mistakes at 1; then a lower temperature is the better compromise between mistakes and repetition.
#
# ## 6. A text of your own
#
# Replace the text by your own: `text = rnn.text.read("my_file.txt")`. As an example, here is the short text that comes with
# Python, `import this`. We train on the first 80 %, and test on the rest.

# %%
text = rnn.text.read("this")
own = rnn.Alphabet.of(text)
cut = int(0.8 * len(text))
own_train = rnn.Streams(own.encode(text[:cut]), length=25, batch_size=4)
own_test = rnn.Streams(own.encode(text[cut:]), length=25, batch_size=1)
poet = new_model(own, units=48)
poet_trainer = rnn.Trainer(
    poet, rnn.Adam(poet.parameters(), lr=0.01), clip_norm=1.0
)
print(len(text), f"characters; a guess costs {np.log(len(own)):.2f}")
curve = {}
for epoch in (5, 10, 20, 40, 60):
    poet_trainer.fit(own_train, until=epoch, progress=False)
    curve[epoch] = [
        rnn.evaluate(poet, data).loss for data in (own_train, own_test)
    ]
    print(
        "epoch {:2}   training {:.2f}   test {:.2f}".format(epoch, *curve[epoch])
    )
print(repr(rnn.sample(poet, own, "Beautiful", 60, 0.5, rng=0)))

# %% tags=["remove-cell"]
assert curve[60][0] < 0.3
assert curve[60][1] > np.log(len(own))
assert min(test for _, test in curve.values()) < 3.3

# %% [markdown]
# Look at the two columns. The training loss goes to almost 0: the network knows these 684 characters by heart. The test loss
# falls at first, then rises, until it is *worse than a guess*: the network is sure of itself, and wrong. This is
# **overfitting**. What it writes is nearly a quotation. With the numbers this did not happen, because there was far more
# text than the network can memorise.
#
# For your own text: keep a part for testing, and stop when its loss rises
# (`trainer.fit(..., validation=own_test, patience=3)`). A hundred thousand characters are a good beginning. From the command
# line, `minigrad-rnn train FILE` and `minigrad-rnn sample` do the same.
#
# ## What to remember
#
# - Know the numbers to compare with: a guess, pairs, and, if you made the text yourself, the perfect model.
# - Truncated backpropagation carries the state across the cut, not the gradient.
# - To write, draw from softmax(logits / T). A low temperature repeats, a high one errs. Measure both.
# - A loss on the training text says little. A model that knows a text by heart writes quotations.
#
# **Next:** lesson 18 predicts numbers instead of letters, and meets an honest baseline that is hard to beat.
#
# ## Solutions


# %% tags=["hide-cell"]
def pair_loss_solution(train, test, V):
    counts = np.ones((V, V))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = counts / counts.sum(axis=1, keepdims=True)
    return float(-np.log(p[test[:-1], test[1:]]).mean())


def pieces_solution(numbers, length):
    count = (len(numbers) - 1) // length
    inputs = numbers[: count * length].reshape(count, length)
    return inputs, numbers[1 : count * length + 1].reshape(count, length)


def softmax_with_temperature_solution(logits, T):
    e = np.exp((logits - logits.max()) / T)
    return e / e.sum()


def draw_solution(p, u):
    return int(np.searchsorted(np.cumsum(p), u, side="right"))


solution(1, check_1, pair_loss_solution)
solution(2, check_2, pieces_solution)
solution(3, check_3, softmax_with_temperature_solution)
solution(4, check_4, draw_solution)
