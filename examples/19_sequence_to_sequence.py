# %% [markdown]
# # Lesson 19: sequence to sequence
#
# Until now the network answered at each step, or once at the end. A translation is different. It is a sequence of its own,
# and its first word may depend on the last word that was read. In this lesson a network reads digits and writes them
# *sorted*, as letters: it reads `30141` and writes `abbde` (`a` is 0, `b` is 1, and so on). The first letter is the smallest
# digit, and the smallest digit may come last.
#
# The method is that of the first neural translators (Cho et al., 2014; Sutskever, Vinyals and Le, 2014): one network reads, a
# second one writes.
#
# **You need:** lesson 14 (the LSTM and its state), lesson 15 (one-hot vectors), lesson 17 (a network that reads its own
# output).
#
# **You will be able to** build an encoder and a decoder, train them with teacher forcing, let them write on their own, and
# measure whether they have learned the rule or the examples. You will see where a decoder with attention looks.
#
# **Time:** about 55 minutes, 5 exercises.

# %%
import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. An answer that cannot begin
#
# Here is the task: `LENGTH` random digits and the same digits sorted. Inputs are one-hot vectors of shape `(time, batch,
# 10)`, targets are the numbers of the letters, of shape `(time, batch)`.

# %%
LENGTH = 5
digits, letters = rnn.Alphabet("0123456789"), rnn.Alphabet("abcdefghij ")


def sample(n, rng, length=LENGTH):
    numbers = rng.integers(10, size=(length, n))
    return rnn.Batch(digits.one_hot(numbers), np.sort(numbers, axis=0))


fresh = sample(500, np.random.default_rng(99))  # to test on, never trained on
for b in range(3):
    question = digits.decode(fresh.inputs[:, b].argmax(axis=-1))
    print(question, "->", letters.decode(fresh.targets[:, b]))

# %% [markdown]
# First we try what we know: a network that must write a letter at each step, while it reads. Before you run the cell,
# predict: which of the five letters will be right most often, which most rarely?

# %%
rng = np.random.default_rng(0)
at_once = rnn.Sequence(
    rnn.LSTM(10, 32, forget_bias=1.0, dtype=np.float64, rng=rng),
    rnn.Linear(32, 10, dtype=np.float64, rng=rng),
)
trainer = rnn.Trainer(
    at_once, rnn.Adam(at_once.parameters(), lr=0.02), clip_norm=1.0
)
trainer.fit(rnn.Generated(sample, 64, batches=300), epochs=1, progress=False)
right = rnn.predict(at_once, fresh.inputs).argmax(axis=-1) == fresh.targets
print("right at each step:", *(f"{share:.0%}" for share in right.mean(axis=1)))
print(f"all five right: {right.all(axis=0).mean():.0%}")

# %% tags=["remove-cell"]
assert right.mean(axis=1).max() == right.mean(axis=1)[-1] > 0.9
assert right.mean(axis=1)[0] < 0.5
assert right.all(axis=0).mean() < 0.1

# %% [markdown]
# The last letter is always right, because at that step all digits have been read. The first one is a guess: the network has
# seen one digit, and it must name the smallest of five. No training can repair this. The answer has to wait.
#
# ## 2. Two networks
#
# - The **encoder** reads the digits. We do not look at its outputs. All we keep is its final state, `h` and `c`.
# - The **decoder** starts from that state and writes the letters. At each step it reads the letter that it wrote at the step
#   before. At its first step there is none, so it reads a symbol that means "start". We use the space.
# - A **readout**, one linear layer, turns the decoder's `h` into a score for each letter.
#
# They are trained together, as one network: the gradient flows from the letters through the decoder's steps into the encoder.


# %%
def encoder_decoder(seed, units=32):
    rng = np.random.default_rng(seed)
    return rnn.EncoderDecoder(
        rnn.LSTM(10, units, forget_bias=1.0, dtype=np.float64, rng=rng),
        rnn.LSTM(11, units, forget_bias=1.0, dtype=np.float64, rng=rng),
        rnn.Linear(units, 11, dtype=np.float64, rng=rng),
        start=letters.number[" "],
    )


model = encoder_decoder(seed=0)
three = sample(1, np.random.default_rng(3), length=3)
question = digits.decode(three.inputs[:, 0].argmax(axis=-1))
print("read", question, "write", letters.decode(three.targets[:, 0]))
rnn.draw.unrolled(model, three.inputs, three.targets, level="cell")

# %% [markdown]
# The picture shows it for three digits. The left half reads, and has no loss. The blue arrows in the middle, `h` and `c`, are
# the only connection between the two halves. Everything that the decoder ever learns about the digits passes through these 64
# numbers.
#
# ## 3. Teacher forcing
#
# In training we know the right letters. So the decoder reads the *right* letter of the step before, not its own guess. This
# is called **teacher forcing**. It makes training quick: a wrong first letter does not spoil the rest of the answer, and the
# inputs of all steps are known in advance.
#
# ### Exercise 1
#
# Write the numbers that the decoder reads. `targets` has shape `(T, batch)`. At step 0 the decoder reads `start`, at step `t`
# the target of step `t - 1`.


# %%
def decoder_inputs(targets, start):
    return ...


def check_1(f):
    targets = np.array([[1, 5], [2, 6], [3, 7]])
    found = np.asarray(f(targets, 9))
    assert found.shape == (3, 2), (
        f"as many steps as targets: shape (3, 2), not {found.shape}"
    )
    assert not np.array_equal(found, targets), (
        "these are the targets themselves: the decoder would read the answer "
        "that it has to give"
    )
    assert found[0].tolist() == [9, 9], (
        f"the first step reads {found[0]}, not start"
    )
    assert found[1:].tolist() == [[1, 5], [2, 6]], (
        f"step 1 reads the target of step 0, [1, 5], not {found[1].tolist()}"
    )


exercise(1, check_1, decoder_inputs)

# %% [markdown]
# ## 4. On its own
#
# When the network is used, nobody knows the right letters. The decoder reads its own: at each step take the letter with the
# largest score and feed it back. This is called **greedy decoding**.
#
# ### Exercise 2
#
# Write the loop. The parts are:
#
# ```text
# _, state = model.encoder.run(inputs)          the final state of the encoder
# x = model.one_hot(numbers)                    (batch,) numbers to (batch, 11)
# state = model.decoder.step(x, state, t)       one step of the decoder
# h = model.decoder.output_of(state)            its output
# scores = model.readout(h).data                (batch, 11)
# ```


# %%
def write(model, inputs, steps):
    return ...  # the numbers of the letters, of shape (steps, batch)


def check_2(f):
    net = encoder_decoder(seed=5, units=8)
    net.readout.weight.data = net.readout.weight.data * 20  # it shall vary
    batch = sample(6, np.random.default_rng(1))
    with mg.no_grad():
        found = np.asarray(f(net, batch.inputs, 4))
    expected = net.generate(batch.inputs, steps=4)
    assert found.shape == (4, 6), f"return shape (4, 6), not {found.shape}"
    assert np.array_equal(found[0], expected[0]), (
        "the first letter is wrong: begin with the encoder's state and start"
    )
    assert np.array_equal(found, expected), (
        "the later letters are wrong: feed each letter and the new state back"
    )


exercise(2, check_2, write)

# %% [markdown]
# `model.generate(inputs, steps)` is the library's version. Now we train, and look at both ways of decoding as we go.


# %%
def trainer_of(net):
    return rnn.Trainer(net, rnn.Adam(net.parameters(), lr=0.01), clip_norm=1.0)


trainer = trainer_of(model)
source = rnn.Generated(sample, 64, batches=40)  # each batch is new
history = []
print("updates    letters right       letters right   whole answers")
print("          (teacher forcing)    (on its own)    (on its own)")
for epoch in range(1, 6):
    trainer.fit(source, epochs=1, progress=False)
    own = model.generate(fresh.inputs, steps=LENGTH) == fresh.targets
    forced = rnn.evaluate(model, fresh).accuracy
    history.append((forced, own.mean(), own.all(axis=0).mean()))
    print("{:7} {:15.3f} {:18.3f} {:14.3f}".format(40 * epoch, *history[-1]))

# %% tags=["remove-cell"]
assert history[0][0] > history[0][1] + 0.02
assert history[0][2] < 0.2
assert history[-1][2] > 0.99
assert abs(history[1][1] ** 5 - history[1][2]) < 0.05

# %% [markdown]
# Read the first row. With teacher forcing more letters are right than on its own. That number is too good: after each error
# the decoder is put back on the right way. On its own, a wrong letter is the input of the next step, and one error leads to
# another. And of ten whole answers only one is right. **Report what the network does on its own, and count whole answers**:
# half a translation helps nobody.
#
# After 200 updates the difference is gone, because there are hardly any errors left.
#
# ### Exercise 3
#
# Suppose that each letter is right with probability `p`, independently of the others. How many of the whole answers of `T`
# letters are right? And which `p` do you need for a share `q` of right answers? Return both.


# %%
def share_and_letter(p, q, T):
    return ...  # two numbers: the share for p, and the p for the share q


def check_3(f):
    answer = f(0.9, 0.99, 5)
    assert np.size(answer) == 2, "return two numbers: a share, and a p"
    share, letter = answer
    assert np.isclose(share, 0.9**5), (
        f"all five must be right: 0.9 five times, {0.9**5:.3f}, not {share:.3f}"
    )
    assert np.isclose(letter**5, 0.99), (
        f"with p = {letter:.4f} the share is {letter**5:.4f}, not 0.99"
    )
    share, letter = f(0.5, 0.5, 1)
    assert np.isclose(share, 0.5), (
        "an answer of one letter is right as often as it"
    )
    assert np.isclose(letter, 0.5), "for one letter p and q are equal"


exercise(3, check_3, share_and_letter)

# %% [markdown]
# Compare with the second row of the table: `0.935**5` is 0.71, and 0.74 of the answers are right. Errors are almost
# independent here. In section 7 they are not.
#
# ## 5. The rule or the examples?
#
# There are 100,000 different questions, and the network above has seen a new batch at each update. Often data are rare. Let
# us train the same network on 100 questions, again and again, for 250 updates.

# %%
known = sample(100, np.random.default_rng(0))
learner = encoder_decoder(seed=0)
trainer_of(learner).fit(
    rnn.Examples(known, batch_size=50), epochs=125, progress=False
)


def exact(net, batch):
    said = net.generate(batch.inputs, steps=len(batch.targets))
    return (said == batch.targets).all(axis=0).mean()


print("whole answers right       known questions   fresh questions")
for name, net in (("100 questions", learner), ("new questions", model)):
    print(
        f"trained on {name} {exact(net, known):14.3f} {exact(net, fresh):17.3f}"
    )

# %% tags=["remove-cell"]
assert exact(learner, known) > 0.99
assert 0.5 < exact(learner, fresh) < 0.85
assert min(exact(model, known), exact(model, fresh)) > 0.99

# %% [markdown]
# On the 100 questions both are perfect. The fresh questions show the difference: a part of what looked like success was
# knowing the answers by heart. With new questions all the time, there is nothing to know by heart.
#
# ## 6. Other lengths
#
# The encoder can read any number of digits. It was trained with five. What happens with two, or with nine? Make a guess
# first.

# %%
shares = {}
print("digits   whole answers right")
for length in range(2, 10):
    batch = sample(300, np.random.default_rng(length), length)
    shares[length] = exact(model, batch)
    print(
        f"{length:6} {shares[length]:10.2f}  " + "#" * round(40 * shares[length])
    )

# %% tags=["remove-cell"]
assert min(shares[3], shares[4], shares[5], shares[6]) > 0.95
assert max(shares[8], shares[9]) < 0.4

# %% [markdown]
# From three to six digits it sorts nearly everything, although it met only five. With eight or nine it fails: the state in
# the middle must then hold more than it ever held in training. Whoever tests only five digits does not notice.
#
# ## 7. The way of the gradient
#
# How does a digit at the beginning learn from a letter at the end? The gradient has to come back through every step between
# them, and through the one state in the middle.

# %%
rnn.draw.unrolled(
    model, three.inputs, three.targets, level="cell", gradients=True
)

# %% tags=["remove-cell"]
flows = [
    rnn.gradient_flow(net, three.inputs, three.targets).norms["c"][0]
    for net in (model, encoder_decoder(seed=0))
]
assert flows[0][0] > 0.9 * flows[0].max()
assert flows[1][0] < 0.6 * flows[1].max()

# %% [markdown]
# In this trained network the gradient along `c` arrives almost undiminished at the first digit. Before the training about
# half of it was lost over these few steps: the longer the way, the harder it is to learn. Sutskever, Vinyals and Le found a
# cheap help for translations: read the question *backwards*.
#
# ### Exercise 4
#
# Think of a task that copies `length` symbols: the answer is the question. It begins right after the last symbol is read. How
# many steps are there from reading symbol `i` (from 0) to writing it? If it is read at step 2 and written at step 3, that is
# 1.


# %%
def distance(i, length, backwards):
    return ...


def check_4(f):
    plain = [f(i, 4, False) for i in range(4)]
    assert plain[0] != 3, (
        "symbol 0 is read at step 0 and written at step 4, after four symbols"
    )
    assert plain == [4, 4, 4, 4], (
        f"reading forwards each symbol has the same distance, 4; you say {plain}"
    )
    reverse = [f(i, 4, True) for i in range(4)]
    assert reverse[0] == 1, (
        "reading backwards, symbol 0 is read last and written at the next step"
    )
    assert reverse == [1, 3, 5, 7], f"1, 3, 5, 7 for 4 symbols, not {reverse}"
    assert np.mean([f(i, 9, True) for i in range(9)]) == 9, (
        "the mean distance is the same as forwards"
    )


exercise(4, check_4, distance)

# %% [markdown]
# The mean distance stays the same, but the first symbols become near. Does it help? We let the network copy six digits, with
# two seeds each way. (For sorting it could not help: there the order of the digits means nothing.)


# %%
def copied(n, rng):
    numbers = rng.integers(10, size=(6, n))
    return rnn.Batch(digits.one_hot(numbers), numbers)


def backwards(n, rng):
    batch = copied(n, rng)
    return batch._replace(inputs=batch.inputs[::-1])


results = {}
print("250 updates        letters right     whole answers right")
for name, task in (("copied", copied), ("backwards", backwards)):
    results[name] = []
    test = task(500, np.random.default_rng(99))
    for seed in range(2):
        net = encoder_decoder(seed)
        trainer = rnn.Trainer(
            net, rnn.Adam(net.parameters(), lr=0.02), clip_norm=1.0
        )
        trainer.fit(rnn.Generated(task, 64, 250, seed), epochs=1, progress=False)
        own = net.generate(test.inputs, steps=6) == test.targets
        results[name].append((own.mean(), own.all(axis=0).mean()))
    columns = zip(*results[name], strict=True)
    print(
        f"{name:12}", *("   " + " ".join(f"{v:.2f}" for v in c) for c in columns)
    )

# %% tags=["remove-cell"]
pairs = zip(results["copied"], results["backwards"], strict=True)
assert all(forwards[1] + 0.1 < back[1] for forwards, back in pairs)
assert all(share > p**6 + 0.03 for p, share in results["copied"])

# %% [markdown]
# Backwards is better with both seeds. The explanation of Sutskever, Vinyals and Le: the short ways are learned first, and
# once the first letters are right, the later ones have a good start.
#
# And look at the errors of the first row: with `p` letters right, many more than `p**6` of the whole answers are right. Here
# the errors are not independent. They gather in the same, difficult answers.
#
# ### Exercise 5
#
# Real answers differ in length. So the alphabet gets a symbol for "end", and the decoder stops when it writes it. In a batch,
# shorter answers are padded, and the padding must not count in the loss: minigrad ignores targets that are `rnn.data.IGNORED`
# (-100).
#
# Build the targets of a list of words: an array `(T, batch)` of integers with the numbers of the letters, then one `end`,
# then `IGNORED`. `T` is the length of the longest word plus 1.


# %%
def targets_of(words, alphabet, end):
    return ...


def check_5(f):
    found = np.asarray(f(["bad", "a"], letters, 10))
    assert found.shape != (2, 4), (
        "time comes first: shape (T, batch), not (batch, T)"
    )
    assert found.shape == (4, 2), f"the shape is (4, 2), not {found.shape}"
    assert found.dtype.kind == "i", (
        f"class indices are integers, not {found.dtype}"
    )
    assert found[:, 0].tolist() == [1, 0, 3, 10], (
        f"'bad' is 1, 0, 3 and then end, 10; you have {found[:, 0].tolist()}"
    )
    assert found[1, 1] == 10, (
        "the end symbol counts: the network must learn to stop"
    )
    assert found[:, 1].tolist() == [0, 10, -100, -100], (
        f"after the end come ignored targets; you have {found[:, 1].tolist()}"
    )


exercise(5, check_5, targets_of)

# %% [markdown]
# ## 8. Attention
#
# With **attention** (Bahdanau, Cho and Bengio, 2014) the decoder looks at all states of the encoder, not only at the last
# one. At each step it compares its own state `q` with each state `k` of the encoder. The comparison gives a score, here `q @
# (W @ k)`, softmax makes weights of the scores, and the weighted mean of the states is the **context**. The readout reads the
# state of the decoder and the context. So each letter has a short way to each digit.
#
# We try it on *ten* digits that have to be written backwards: the same updates, with and without.


# %%
def reversed_digits(n, rng):
    numbers = rng.integers(10, size=(10, n))
    return rnn.Batch(digits.one_hot(numbers), numbers[::-1].copy())


def with_attention(seed, units=24):
    rng = np.random.default_rng(seed)
    return rnn.EncoderDecoder(
        rnn.LSTM(10, units, rng=rng),
        rnn.LSTM(11, units, rng=rng),
        rnn.Linear(2 * units, 11, rng=rng),  # reads the state and the context
        start=letters.number[" "],
        attention=rnn.Attention(units, units, "general", rng=rng),
    )


test = reversed_digits(500, np.random.default_rng(99))
nets = {
    "one state": encoder_decoder(0, units=24),
    "attention": with_attention(0),
}
for name, net in nets.items():
    trainer = rnn.Trainer(net, rnn.Adam(net.parameters(), lr=0.02), clip_norm=1.0)
    source = rnn.Generated(reversed_digits, 32, batches=200)
    trainer.fit(source, epochs=1, progress=False)
    print(f"{name}: whole answers right {exact(net, test):.2f}")

# %% tags=["remove-cell"]
assert exact(nets["one state"], test) < 0.2
assert exact(nets["attention"], test) > 0.95

# %% [markdown]
# Where does it look? A row for each letter that it writes, a column for each digit that it read; a row of weights adds up to
# 1. Nothing in the training data says which digit belongs to which letter.

# %%
one = test.inputs[:, :1]
said = nets["attention"].generate(one, steps=10)
weights = nets["attention"].attention_weights(one, said)[0]
rnn.draw.attention(
    weights, digits.decode(one[:, 0].argmax(-1)), letters.decode(said[:, 0])
)

# %% tags=["remove-cell"]
assert weights.argmax(axis=-1).tolist() == list(range(9, -1, -1))

# %% [markdown]
# [tasks/reversal.py](tasks/reversal.py) does the same with letters, compares three kinds of scores, and tries other lengths:
# there it fails. The decoder has learned to count ten steps, and where it looks depends on nothing else.
#
# ## What to remember
#
# - An encoder reads everything first, a decoder writes afterwards. Between them is one state.
# - In training the decoder reads the right symbol of the step before; in use, its own.
# - Measure on its own, count whole answers, and take questions that were not in the training data.
# - A network that is perfect at one length may fail at the next one. Test what you claim.
# - With attention the decoder reads all states of the encoder, and you can see which.
#
# **Next:** lesson 20 looks into the states of a trained network.
#
# ## Solutions


# %% tags=["hide-cell"]
def decoder_inputs_solution(targets, start):
    first = np.full((1, targets.shape[1]), start)
    return np.concatenate([first, targets[:-1]])


def write_solution(model, inputs, steps):
    _, state = model.encoder.run(inputs)
    numbers, said = np.full(inputs.shape[1], model.start), []
    for t in range(steps):
        state = model.decoder.step(model.one_hot(numbers), state, t)
        scores = model.readout(model.decoder.output_of(state)).data
        numbers = scores.argmax(axis=-1)
        said.append(numbers)
    return np.array(said)


def share_and_letter_solution(p, q, T):
    return p**T, q ** (1 / T)


def distance_solution(i, length, backwards):
    read = length - 1 - i if backwards else i
    return length + i - read


def targets_of_solution(words, alphabet, end):
    T = max(len(word) for word in words) + 1
    targets = np.full((T, len(words)), rnn.data.IGNORED)
    for b, word in enumerate(words):
        targets[: len(word), b] = alphabet.encode(word)
        targets[len(word), b] = end
    return targets


solution(1, check_1, decoder_inputs_solution)
solution(2, check_2, write_solution)
solution(3, check_3, share_and_letter_solution)
solution(4, check_4, distance_solution)
solution(5, check_5, targets_of_solution)
