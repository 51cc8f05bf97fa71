# %% [markdown]
# # Lesson 16: words
#
# Somebody says "I want to play". What comes next? You expect a noun, and not any noun: a game, or an instrument. *Which* one
# depends on what was said before. If the sentence began with "I am a musician", you expect a guitar. A network that reads
# words needs the same two kinds of knowledge: what fits after this word, and what fits after this story.
#
# In this lesson you turn words into vectors, watch what the state holds after each word, and see a network learn the two
# kinds of knowledge one after the other.
#
# **You need:** lesson 15, and what an LSTM or a GRU is (lesson 14).
#
# **You will be able to** use an embedding and derive its gradient, compute what context is worth, and find out what a state
# holds.
#
# **Time:** about 50 minutes, 3 exercises.

# %%
from itertools import pairwise, product

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Words become vectors
#
# As in lesson 15, each symbol gets a number; now the symbols are words.

# %%
sentence = ["I", "want", "to", "play", "basketball"]
five = rnn.Alphabet(sentence)
numbers = five.encode(sentence)
print(numbers)
print(five.one_hot(numbers).astype(int))

# %% [markdown]
# One-hot vectors are fine for five words. A language has a hundred thousand, and then each vector would have 99,999 zeros.
# Look at what a layer does with such a vector: `W @ one_hot` picks one *column* of `W`. All the multiplications by zero are
# wasted. An **embedding** stores these columns as the rows of a table `E` and looks the row up:

# %%
embedding = rnn.Embedding(5, 3, rng=0)
E = embedding.weight.data
print("looked up  ", embedding([3]).data[0].round(3))
print("multiplied ", (five.one_hot([3]) @ E)[0].round(3))
assert np.allclose(embedding(numbers).data, five.one_hot(numbers) @ E)

# %% [markdown]
# It is the same function, only faster. And it is a better picture of what happens: each word *has* a vector of three
# numbers. The table is a parameter; training moves the vectors.
#
# ### Exercise 1
#
# Write the backward pass of the lookup. The loss has gradient `G` of shape `(T, D)` at the rows that were looked up;
# `numbers` (T,) says which rows they were. Return the gradient of the whole table, shape `(V, D)`. Think of a word that
# occurs twice, and of a word that does not occur.


# %%
def table_gradient(G, numbers, V):
    return ...


def check_1(f):
    rng = np.random.default_rng(0)
    for numbers in (np.array([0, 2, 1]), np.array([3, 1, 3, 3])):
        G = rng.normal(size=(len(numbers), 2))
        table = mg.tensor(rng.normal(size=(5, 2)), requires_grad=True)
        (mg.take(table, numbers, axis=0) * G).sum().backward()
        found = np.asarray(f(G, numbers, 5))
        assert found.shape == (5, 2), f"the shape is {found.shape}, not (5, 2)"
        unused = [k for k in range(5) if k not in numbers]
        assert (found[unused] == 0).all(), "an unused word has gradient 0"
        assert np.allclose(found, table.grad), (
            f"wrong for numbers {numbers}: a word that is used more than once "
            "receives the *sum* of its gradients"
        )


exercise(1, check_1, table_gradient)

# %% [markdown]
# ## 2. Word after word
#
# Now let a network read the sentence. It has not been trained; its state has three numbers.

# %%
cell = rnn.RNNCell(3, 3, rng=1)


def read(text):
    """The state after each word, of a network that nobody has trained."""
    state, states = None, []
    for number in five.encode(text.split()):
        state = cell(embedding([number]), state)
        states.append(state.data[0])
    return states


for word, h in zip(sentence, read("I want to play"), strict=False):
    print(f"after {word:5}", *(f"{number:+.2f}" for number in h))

# %% [markdown]
# Only four words are read: the fifth, "basketball", is only an answer. Each word changes all three numbers. What does the
# last state depend on, the word or the story? Let the same word "play" come after different stories.

# %%
stories = ("play", "I want to play", "to want I play", "want want want play")
ends = {text: read(text)[-1] for text in stories}
for text, h in ends.items():
    print(f"{text:20}", *(f"{number:+.2f}" for number in h))
ends = list(ends.values())
assert all(abs(a - b).max() > 0.01 for a, b in pairwise(ends))

# %% [markdown]
# Four different states after the same word. Even the order counts: "I want to" and "to want I" are the same words. In
# principle the state can tell every story from every other. Training decides *which* differences it keeps.

# %%
model = rnn.Sequence(
    rnn.Recurrent(cell), rnn.Linear(3, 5, rng=2), embedding=embedding
)
rnn.draw.unrolled(
    model,
    numbers[:4, None],
    numbers[1:, None],
    level="cell",
    gradients=True,
    symbols=five,
    title="four words are read, the next word is the target",
)

# %% [markdown]
# In the picture, each column is a step: the word that is read at the bottom, its target at the top. "basketball" appears
# only as a target.
#
# ## 3. A language in which context counts
#
# To learn from one sentence means to memorise it, and here no word occurs twice: a table "after *to* comes *play*" would do.
# So we make a small language, in which the first half of a sentence decides how it ends.

# %%
KIND = {
    "musician": "instrument",
    "singer": "instrument",
    "goalkeeper": "game",
    "champion": "game",
}
NOUNS = {
    "instrument": ["guitar", "piano", "violin"],
    "game": ["basketball", "tennis", "football"],
}
sentences = [
    f"{when} I am a {person} and {verb} to play {noun}".split()
    for when, person, verb in product(
        ["today", "now", "soon"], KIND, ["want", "hope", "love"]
    )
    for noun in NOUNS[KIND[person]]
]
words = rnn.Alphabet.of(word for s in sentences for word in s)
ids = np.array([words.encode(s) for s in sentences])
ids = np.random.default_rng(0).permutation(ids)
train, test = ids[:81].T, ids[81:].T  # (words, sentences): time first
print(len(words), "words,", len(sentences), "sentences, for example:")
for s in train.T[:3]:
    print("  ", " ".join(words.symbols[k] for k in s))

# %% [markdown]
# We train on 81 sentences and keep 27 for the test. The network has seen every word, but none of the sentences of the test.
#
# ### Exercise 2
#
# Before you train: what is the best possible loss at the *noun*? All nouns that fit are equally likely. Write two numbers:
# for a model that only knows the word before (`play`), and for a model that remembers the person. (Natural logarithm.)

# %%
noun_losses = ...  # (without memory, with memory)


def check_2(answer):
    assert len(answer) == 2, "write two numbers, (without, with)"
    without, memory = answer
    assert without > 0, "a loss is -log(p), so it is positive"
    assert without > memory, "memory makes the loss smaller"
    counts = np.bincount(ids[:, -1])
    assert np.isclose(without, np.log(np.count_nonzero(counts))), (
        f"without memory it is not {without:.3f}: how many nouns follow 'play'?"
    )
    nouns = {s[-1] for s in sentences if s[4] == "musician"}
    assert np.isclose(memory, np.log(len(nouns))), (
        f"with memory it is not {memory:.3f}: how many nouns fit a musician?"
    )


exercise(2, check_2, noun_losses)

# %% [markdown]
# ## 4. First the grammar, then the story
#
# We train a GRU with 16 units. During training we ask two questions about the last word of the test sentences: how much
# probability is on nouns at all, and how much is on the nouns that fit the *person*? Predict: which of the two is learned
# first?


# %%
def probabilities(model, inputs):
    """The probabilities of the next word, (T, sentences, words)."""
    with mg.no_grad():
        return mg.softmax(model(inputs), axis=-1).data


def noun_report(model, inputs):
    """The mean probability of any noun, and of the nouns that fit."""
    p = probabilities(model, inputs)[-1]
    nouns = words.encode(NOUNS["instrument"] + NOUNS["game"])
    persons = [words.symbols[k] for k in inputs[4]]
    fitting = [words.encode(NOUNS[KIND[person]]) for person in persons]
    fits = [row[among].sum() for row, among in zip(p, fitting, strict=True)]
    return float(p[:, nouns].sum(axis=1).mean()), float(np.mean(fits))


def new_model(seed):
    return rnn.Sequence(
        rnn.GRU(8, 16, rng=seed),
        rnn.Linear(16, len(words), rng=seed),
        embedding=rnn.Embedding(len(words), 8, rng=seed),
    )


def train_and_log(seed, updates=275):
    reader, data = new_model(seed), rnn.Batch(train[:-1], train[1:])
    trainer = rnn.Trainer(reader, rnn.Adam(reader.parameters(), lr=0.02))
    log = {0: noun_report(reader, test[:-1])}
    for done in range(25, updates + 1, 25):
        trainer.fit(data, 25, progress=False)
        log[done] = noun_report(reader, test[:-1])
    return reader, log


reader, log = train_and_log(seed=2)
print("updates   a noun   a noun that fits")
for updates, (noun, fits) in log.items():
    print(f"{updates:7} {noun:8.2f} {fits:10.2f}  {'#' * round(20 * fits)}")

# %% tags=["remove-cell"]
assert log[50][0] > 0.95
assert 0.4 < log[50][1] < 0.6
assert log[100][1] < 0.6 < 0.9 < log[125][1]
assert min(log[275]) > 0.95

# %% [markdown]
# Read it from top to bottom. After 50 updates almost all probability is on nouns: the network has learned that *play* is
# followed by a noun. But only half of it is on nouns that fit, and that is a guess between two kinds. It knows the word and
# has forgotten the story. It stays like this for a while. Then, between updates 100 and 125, the fit jumps to almost 1: from
# there on it uses the person, four words back.
#
# Both numbers are for sentences that it has never seen. So it has not memorised sentences; it has learned a rule. Two more
# seeds, to see whether the order was luck:

# %%
for seed in (0, 1):
    _, other = train_and_log(seed, updates=350)
    noun_first = min(done for done, (noun, _) in other.items() if noun > 0.9)
    fits_first = min(done for done, (_, fits) in other.items() if fits > 0.9)
    print(f"seed {seed}: a noun after {noun_first}, fitting after {fits_first}")
    assert noun_first < fits_first

# %% [markdown]
# What needs only the last word is learned first: its gradient does not have to go back in time. What needs the person is
# learned late: its gradient has to go back over four steps, through states that do not keep the person yet. Here is that
# gradient in the trained network, of the loss at the noun alone. (`rnn.IGNORED` marks the targets that do not count.)

# %%
only_noun = np.full((9, 1), rnn.IGNORED)
only_noun[-1] = test[-1, 0]
rnn.draw.unrolled(
    reader,
    test[:-1, :1],
    only_noun,
    level="cell",
    gradients=True,
    symbols=words,
    steps="3-8",
    title="the loss at the noun goes back to the person",
)

# %% [markdown]
# ## 5. What does the state hold after each word?
#
# First, what does the network expect? The three most likely next words, after each word of two sentences:

# %%
for person in ("musician", "champion"):
    text = f"now I am a {person} and want to play".split()
    p = probabilities(reader, words.encode(text)[:, None])[:, 0]
    for t, word in enumerate(text):
        best = [f"{words.symbols[k]} {p[t, k]:.2f}" for k in p[t].argsort()[-3:]]
        print(f"{word:9}", *best[::-1], sep="  ")
    print()

# %% [markdown]
# Until the person is read, both lists are the same, as they must be. After the person both expect "and", then a verb, "to"
# and "play", with almost the same probabilities. Only at the end do they differ. Where was the difference in between? In the
# state. We measure it as in lesson 14: from the training sentences, take the mean state of each kind (instrument or game)
# after each word. For a test sentence, guess the kind whose mean is nearest.


# %%
def states_of(model, inputs):
    with mg.no_grad():
        return model.recurrent(model.embedding(inputs))[0].data


def kinds_of(inputs):
    return np.array([KIND[words.symbols[k]] for k in inputs[4]])


learned, unseen = states_of(reader, train[:-1]), states_of(reader, test[:-1])
means = [
    learned[:, kinds_of(train) == kind].mean(axis=1, keepdims=True)
    for kind in NOUNS
]
distances = [((unseen - mean) ** 2).sum(axis=-1) for mean in means]
guesses = np.array(list(NOUNS))[np.argmin(distances, axis=0)]
places = ["when", "I", "am", "a", "PERSON", "and", "VERB", "to", "play"]
share = (guesses == kinds_of(test)).mean(axis=1)
for t, place in enumerate(places):
    print(f"after {place:7} {share[t]:5.0%} {'#' * round(20 * share[t])}")
assert (share[:4] < 0.7).all()
assert (share[4:] > 0.95).all()

# %% [markdown]
# Before the person there is nothing to know: about half is a guess between two. From the person on, the state holds the
# kind, through "and", "want" and "to", three words at which it is of no use. At "play" it is needed, and it is there.
#
# A test of this claim: take the memory away. Start to read later, so that the first words never reach the state.

# %%
print("reading begins at     a noun   a noun that fits")
for at, place in ((0, "the start"), (5, "'and'"), (6, "the verb")):
    p = probabilities(reader, test[at:-1])[-1]
    fitting = [words.encode(NOUNS[kind]) for kind in kinds_of(test)]
    fits = np.mean(
        [row[among].sum() for row, among in zip(p, fitting, strict=True)]
    )
    nouns = words.encode(NOUNS["instrument"] + NOUNS["game"])
    print(f"{place:20} {p[:, nouns].sum(axis=1).mean():7.2f} {fits:12.2f}")
    assert (fits > 0.8) == (at == 0)

# %% [markdown]
# Without the person, the noun is a guess again.
#
# ### Exercise 3
#
# The network has learned a rule, but which? Find a text that *fools* it: words of its language, with exactly one person, and
# ending with "and want to play", after which more than half of the probability is on nouns of the *wrong* kind. You may
# search with a loop. Return a list of words.


# %%
def fooling_text():
    return ...


def check_3(f):
    text = f()
    unknown = [word for word in text if word not in words.symbols]
    assert not unknown, f"the network has never seen {unknown[0]!r}"
    assert list(text[-4:]) == ["and", "want", "to", "play"], (
        "the text must end with 'and want to play'"
    )
    persons = [word for word in text if word in KIND]
    assert len(persons) == 1, f"there must be one person, not {len(persons)}"
    (wrong,) = set(NOUNS) - {KIND[persons[0]]}
    p = probabilities(reader, words.encode(text)[:, None])[-1, 0]
    fooled = p[words.encode(NOUNS[wrong])].sum()
    assert fooled > 0.5, f"only {fooled:.2f} of the probability is on a {wrong}"


exercise(3, check_3, fooling_text)

# %% [markdown]
# Such texts exist because the network has seen a person only in the fifth place, and a noun only at the end. About other
# places it has learned nothing. A rule that holds on the test set is a rule about texts *like the test set*.
#
# ## What to remember
#
# - An embedding is a table with a vector for each word: the same function as a layer on one-hot vectors, without the zeros.
#   The gradient of a row is the sum over all places where the word was used.
# - The state after a word depends on all words before it, and on their order.
# - What the last word tells is learned first. What needs memory is learned later: its gradient has a longer way.
# - Look into a state with a simple reader (here the nearest mean), next to a level where there is nothing to know.
# - A test set measures what is like the test set.
#
# **Next:** lesson 17 reads characters of a real text, and writes.
#
# ## Solutions


# %% tags=["hide-cell"]
def table_gradient_solution(G, numbers, V):
    table = np.zeros((V, G.shape[1]))
    np.add.at(table, numbers, G)  # table[numbers] += G would add only once
    return table


noun_losses_solution = (np.log(6), np.log(3))


def fooling_text_solution():
    best, most = None, 0.0
    for person, other in product(KIND, [k for s in NOUNS.values() for k in s]):
        for text in (
            [person, "I", "am", "a", other, "and", "want", "to", "play"],
            [
                person,
                "and",
                "want",
                "to",
                "play",
                other,
                "and",
                "want",
                "to",
                "play",
            ],
        ):
            p = probabilities(reader, words.encode(text)[:, None])[-1, 0]
            (wrong,) = set(NOUNS) - {KIND[person]}
            fooled = p[words.encode(NOUNS[wrong])].sum()
            if fooled > most:
                best, most = text, fooled
    return best


solution(1, check_1, table_gradient_solution)
solution(2, check_2, noun_losses_solution)
solution(3, check_3, fooling_text_solution)
