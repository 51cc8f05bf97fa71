# %% [markdown]
# # Lesson 20: what the hidden units learned
#
# A trained network predicts well, so it must keep something in mind while it reads. But its state is only a list of numbers.
# Can you read them? Karpathy, Johnson and Fei-Fei (2015) trained LSTMs on program code and found single numbers that were
# high inside quotes, inside brackets, or at the end of a line. Nobody had told the networks about quotes.
#
# It is also easy to fool yourself. If you search long enough among many numbers, one of them will look like what you are
# looking for. In this lesson you find a unit that seems to know about brackets, and then you attack the finding in four ways:
# another text, chance, a network that was never trained, and surgery.
#
# **You need:** lesson 14 (the states `h` and `c` of an LSTM), lesson 17 (a network that predicts characters), and
# correlation.
#
# **You will be able to** read the states of a network, search for a unit that follows a feature, give the chance level of
# your search, and test whether the network uses the unit.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import html

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. A text that needs a memory
#
# We need a text of which we know what there is to remember. So we write it ourselves: random words, and now and then a remark
# in brackets of two to four words.

# %%
WORDS = ["cat", "dog", "sun", "sea", "red", "old", "sky", "ice", "hen", "fox"]


def write(words, seed):
    rng = np.random.default_rng(seed)
    text, left = [], 0  # left: how many words are still to come in the remark
    for _ in range(words):
        word = WORDS[rng.integers(len(WORDS))]
        if left == 0 and rng.random() < 0.25:
            word, left = "(" + word, int(rng.integers(2, 5))
        elif left == 1:
            word, left = word + ")", 0
        elif left:
            left -= 1
        text.append(word)
    return " ".join(text)


to_learn, to_choose, to_test = write(6000, 0), write(350, 1), write(350, 2)
print(to_learn[:75], "...")
print(len(to_learn), "characters to learn from,", len(to_test), "to test on")

# %% [markdown]
# After a word comes a space or a `)`. A `)` is possible only if there is an open bracket, and that may be 15 characters ago.
# Whoever predicts `)` well must remember the bracket. Everything else can be predicted from the word itself.
#
# We train an LSTM with 24 units to predict the next character, as in lesson 17. Its **twin** has the same size and is never
# trained. We shall need it later.

# %%
alphabet = rnn.Alphabet.of(to_learn)
UNITS = 24


def network(seed):
    rng = np.random.default_rng(seed)
    layer = rnn.LSTM(
        len(alphabet), UNITS, forget_bias=1.0, dtype=np.float64, rng=rng
    )
    return rnn.Sequence(
        layer, rnn.Linear(UNITS, len(alphabet), dtype=np.float64, rng=rng)
    )


def streams(text, batch_size):
    numbers = alphabet.encode(text)
    return rnn.Streams(numbers, 25, batch_size, one_hot=len(alphabet))


def trained(seed):
    model = network(seed)
    trainer = rnn.Trainer(
        model, rnn.Adam(model.parameters(), lr=0.02), clip_norm=1.0
    )
    trainer.fit(streams(to_learn, 32), 20, progress=False)
    return model


model, twin = trained(seed=1), network(seed=101)
print("loss on the test text, in nats for each character")
for name, net in (("trained", model), ("twin", twin)):
    print(f"  {name:8} {rnn.evaluate(net, streams(to_test, 1)).loss:.3f}")
for known in (0, 1, 2, 3):
    entropy = rnn.text.entropy(to_learn, known)
    print(f"  {entropy:.3f} is the least loss with {known} characters in mind")

# %% tags=["remove-cell"]
loss = rnn.evaluate(model, streams(to_test, 1)).loss
assert loss < 0.69 < rnn.text.entropy(to_learn, 3)
assert rnn.evaluate(twin, streams(to_test, 1)).loss > 2.7

# %% [markdown]
# The trained network is below the best that anybody can do with three characters in mind. It remembers more than the last
# word.
#
# ## 2. The numbers
#
# Now we let the network read and write down its state after every character: the 24 numbers of `h` and the 24 numbers of `c`.
# A **unit** is one of the 24 places; it has a number in `h` and one in `c`. So we have 48 numbers for each character.


# %%
def log_softmax(logits):
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@mg.no_grad()
def read(net, text):
    """The states (characters, 48) after each character of a text."""
    state, found = None, []
    for t, x in enumerate(alphabet.one_hot(alphabet.encode(text))[:, None]):
        _, state = net.step(x, state, t)
        found.append(np.concatenate([part.data[0] for part in state]))
    return np.array(found)


states = read(model, to_choose)
print(states.shape)

x = alphabet.one_hot(alphabet.encode("(s"))[:, None]
rnn.draw.unrolled(model, x, level="gate", overlay="activation", symbols=alphabet)

# %% [markdown]
# In the picture the coloured boxes are the states, each with the mean size of its 24 numbers. Averages tell us little, so we
# look at single numbers.
#
# A **feature** is what we look for: one number for each character, computed from the text alone. Ours is 1 inside brackets
# and 0 outside.
#
# ### Exercise 1
#
# Write it. The state after reading `(` may already know that a bracket is open, and after reading `)` that it is closed: so
# the feature is 1 at `(` and 0 at `)`.


# %%
def inside(text):
    return ...  # an array with one number for each character


def check_1(f):
    found = np.asarray(f("a (bc d) e"), dtype=float)
    assert found.shape == (10,), (
        f"return 10 numbers for 10 characters, not {found.shape}"
    )
    assert found[2] == 1, "at the opening bracket the feature is 1"
    assert found[7] == 0, "at the closing bracket the feature is 0"
    assert found.tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0, 0], (
        f"for 'a (bc d) e' you return {found.tolist()}"
    )
    found = np.asarray(f("(a) (b) c"), dtype=float)
    assert found.tolist() == [1, 1, 0, 0, 1, 1, 0, 0, 0], (
        f"with two remarks, '(a) (b) c', you return {found.tolist()}"
    )


exercise(1, check_1, inside)

# %% [markdown]
# The lesson goes on with its own version of each exercise, in a folded cell. Here are two more features. `position` is the
# place of a letter in its word: 1, 2, 3, and 0 between words. `stripes` has nothing to do with the text: it changes between 0
# and 1 every 50 characters.


# %% tags=["hide-cell"]
def brackets(text):
    return np.cumsum([(symbol == "(") - (symbol == ")") for symbol in text])


# %%
def position(text):
    found = [0]
    for symbol in text:
        found.append(found[-1] + 1 if symbol.isalpha() else 0)
    return np.array(found[1:])


def stripes(text):
    return np.arange(len(text)) // 50 % 2


FEATURES = {"brackets": brackets, "position": position, "stripes": stripes}

# %% [markdown]
# ## 3. The search
#
# The **correlation** `r` of two lists of numbers is 1 if they rise and fall together, -1 if one falls when the other rises,
# and 0 if they have nothing to do with each other:
#
# ```text
# r = mean((u - mean(u)) * (f - mean(f))) / (std(u) * std(f))
# ```
#
# ### Exercise 2
#
# Compute it for all numbers at once: `states` has a row for each character and a column for each of the 48.


# %%
def correlations(states, feature):
    return ...  # an array with one r for each column


def check_2(f):
    rng = np.random.default_rng(0)
    feature = rng.integers(2, size=50).astype(float)
    unit = feature + rng.normal(size=50)
    states = np.stack(
        [feature, -3 * feature + 7, unit, rng.normal(size=50)], axis=1
    )
    found = np.asarray(f(states, feature))
    assert found.shape == (4,), (
        f"return one r for each of 4 columns, not an array of shape {found.shape}"
    )
    assert np.isclose(found[0], 1), (
        f"the feature itself has r = 1, not {found[0]:.3f}"
    )
    assert np.isclose(found[1], -1), (
        f"-3 * feature + 7 has r = -1, not {found[1]:.3f}: subtract the mean, "
        "divide by the standard deviation, and keep the sign"
    )
    expected = np.corrcoef(unit, feature)[0, 1]
    assert np.isclose(found[2], expected), f"{found[2]:.4f} is not {expected:.4f}"


exercise(2, check_2, correlations)


# %% tags=["hide-cell"]
def all_r(states, feature):
    u, f = states - states.mean(axis=0), feature - feature.mean()
    return (u * f[:, None]).mean(axis=0) / (u.std(axis=0) * f.std())


# %%
def best(states, feature):
    """The column with the largest |r|."""
    return int(abs(all_r(states, feature)).argmax())


def name(unit):
    return f"{'hc'[unit // UNITS]}[{unit % UNITS}]"


unit = best(states, brackets(to_choose))
r = all_r(states, brackets(to_choose))
print(f"the best is {name(unit)}: r = {r[unit]:+.2f}")
largest = np.sort(abs(r))[::-1]
print("the largest of 48:", *(f"{value:.2f}" for value in largest[:8]), "...")

# %% [markdown]
# Two numbers stand out, and they belong together: `c` and `h` of unit 20. Here is what `c` does at the beginning of the text:
# first in digits, 0 for its lowest and 9 for its highest value, then in colours. Orange is low, blue is high.


# %%
class Coloured:
    """A text in which each character has the colour of a number from 0 to 1."""

    def __init__(self, text, values):
        self.text, self.values = text, values

    def _repr_html_(self):
        spans = []
        for symbol, value in zip(self.text, self.values, strict=True):
            strength = abs(2 * value - 1)
            hue = "30, 120, 220" if value > 0.5 else "240, 140, 20"
            colour = f"background: rgba({hue}, {strength:.2f})"
            spans.append(f'<span style="{colour}">{html.escape(symbol)}</span>')
        style = (
            "background: white; color: black; padding: 1em; white-space: pre-wrap"
        )
        return f'<pre style="{style}">{"".join(spans)}</pre>'


def scaled(values):
    return (values - values.min()) / (values.max() - values.min())


shown = scaled(states[:, unit])
print(to_choose[:75])
print("".join(str(int(9.99 * value)) for value in shown[:75]))
Coloured(to_choose[:300], shown[:300])

# %% [markdown]
# It falls at `(`, stays low over all the letters of the remark, and rises again after `)`. Nobody told it to.
#
# Are you convinced? Wait.
#
# ## 4. First attack: another text
#
# We have chosen the unit on this text, so its `r` there is too good: it is the largest of 48. The honest number is the `r` of
# the *same* unit on a text that had no part in the choice.
#
# ## 5. Second attack: chance
#
# How large is the best of 48 if the states have nothing to do with the feature? We can destroy the connection and keep
# everything else: shift the feature against the states, by hundreds of characters, with the end moved to the front
# (`np.roll`). Then search again. Do this for many shifts. The value that the best of 48 does not exceed in 95 % of them is
# the **chance level**.
#
# ### Exercise 3
#
# Write it. For each shift take the largest `|r|` of all columns, then the 95 % quantile of these (`np.quantile`).


# %%
def chance_level(states, feature, shifts):
    return ...


def check_3(f):
    rng = np.random.default_rng(0)
    states, feature = rng.normal(size=(200, 30)), rng.normal(size=200)
    states[:, 0] = feature
    shifts = range(10, 190, 10)
    found = f(states, feature, shifts)
    every = np.array([abs(all_r(states, np.roll(feature, s))) for s in shifts])
    assert np.ndim(found) == 0, "return one number"
    assert not np.isclose(found, 1), (
        "this is r without a shift: shift the feature before you correlate"
    )
    assert not np.isclose(found, np.quantile(every, 0.95)), (
        "you searched 30 columns, so chance may search them too: take the "
        "largest |r| of each shift first, then the quantile"
    )
    assert not np.isclose(found, every.max(axis=1).mean()), (
        "this is the mean of the largest; take their 95 % quantile"
    )
    expected = np.quantile(every.max(axis=1), 0.95)
    assert np.isclose(found, expected), f"{found:.3f} is not {expected:.3f}"


exercise(3, check_3, chance_level)

# %% [markdown]
# ## 6. Third attack: the untrained twin
#
# Search the twin in the same way. It has learned nothing. Whatever it reaches, you cannot call learned.


# %% tags=["hide-cell"]
def chance(states, feature):
    shifted = [np.roll(feature, s) for s in range(100, len(feature) - 100, 100)]
    return np.quantile([abs(all_r(states, f)).max() for f in shifted], 0.95)


# %%
tested = read(model, to_test)
twin_states, twin_tested = read(twin, to_choose), read(twin, to_test)
print("           r on the text   r on the   by chance   r of the twin's")
print("           of the choice  test text              best, test text")
table = {}
for feature, f in FEATURES.items():
    u = best(states, f(to_choose))
    v = best(twin_states, f(to_choose))
    table[feature] = (
        all_r(states, f(to_choose))[u],
        all_r(tested, f(to_test))[u],
        chance(tested, f(to_test)),
        all_r(twin_tested, f(to_test))[v],
    )
    print(
        "{:9} {:+14.2f} {:+10.2f} {:11.2f} {:+14.2f}".format(
            feature, *table[feature]
        )
    )

# %% tags=["remove-cell"]
chosen_r, tested_r, by_chance, of_twin = abs(np.array(list(table.values()))).T
assert tested_r[0] > 0.85
assert 0.15 < of_twin[0] < 0.45
assert of_twin[0] > chance(twin_tested, brackets(to_test))
assert 0.4 < of_twin[1] < tested_r[1]
assert tested_r[2] < by_chance[2]
assert (by_chance < 0.25).all()

# %% [markdown]
# Read the rows.
#
# - **Brackets.** The `r` is as large on the test text, far above chance, and far above the twin. But look at the twin: with
#   random weights it is above chance as well! A random LSTM is an echo of what it has read. The `(` rings on for a few
#   characters, and that is enough for some correlation.
# - **Position.** The `r` is large and far above chance, but the twin reaches most of it without any learning. **So "above
#   chance" does not mean "learned".** Compare with the twin.
# - **Stripes.** There is nothing to find. On the first text some unit had the largest `r`, as always, but on the second text
#   it is below chance.
#
# ## 7. Fourth attack: surgery
#
# A unit may follow the brackets and still be of no use to the network. An aircraft's altimeter follows its height, and yet
# the aircraft stays up if you cover it. To find out what a unit *does*, we **hold** it: after each step we set it to its
# mean, in `h` and in `c`, and let the network read on. If the network needs it, its predictions get worse, and only where it
# is needed: at `)`.
#
# ### Exercise 4
#
# Write the operation for many copies of the network at once. `h` has shape `(copies, units)`. In copy `k`, and only there,
# unit `k` is set to `levels[k]`. There may be more copies than units: the others stay as they are. Return a new array.


# %%
def held(h, levels):
    return ...


def check_4(f):
    h, levels = np.arange(12.0).reshape(4, 3), np.array([-1.0, -2.0, -3.0])
    before = h.copy()
    found = np.asarray(f(h, levels))
    assert np.array_equal(h, before), (
        "the array that you were given has changed: copy it"
    )
    assert found.shape == (4, 3), f"return shape (4, 3), not {found.shape}"
    assert not np.array_equal(found[0], levels), "hold only one unit in each copy"
    assert np.array_equal(found[3], h[3]), "the last copy has no unit to hold"
    expected = [[-1, 1, 2], [3, -2, 5], [6, 7, -3], [9, 10, 11]]
    assert np.array_equal(found, expected), f"you return {found.tolist()}"


exercise(4, check_4, held)

# %% [markdown]
# With 25 copies side by side we hold each of the 24 units, and none in the last copy.


# %% tags=["hide-cell"]
def hold(values, levels):
    values = values.copy()
    each = np.arange(len(levels))
    values[each, each] = levels
    return values


# %%
@mg.no_grad()
def operated(net, text, levels_h, levels_c):
    """Log-probabilities (characters, copies, symbols) of the next character."""
    state, found = None, []
    for t, x in enumerate(alphabet.one_hot(alphabet.encode(text))):
        _, state = net.step(np.tile(x, (UNITS + 1, 1)), state, t)
        h, c = (part.data for part in state)
        state = mg.tensor(hold(h, levels_h)), mg.tensor(hold(c, levels_c))
        found.append(log_softmax(net.readout(state[0]).data))
    return np.array(found)


def means(states, where=slice(None)):
    """The mean of each unit in h, and in c."""
    h, c = np.split(states[where], 2, axis=1)
    return h.mean(axis=0), c.mean(axis=0)


def damage(net, states, text):
    """The loss that each held unit adds where a `)` comes next, and elsewhere."""
    log_p = operated(net, text, *means(states))[:-1]
    following = alphabet.encode(text)[1:]
    losses = -np.take_along_axis(log_p, following[:, None, None], axis=2)[..., 0]
    added = losses[:, :-1] - losses[:, -1:]
    closing = following == alphabet.number[")"]
    return added[closing].mean(axis=0), added[~closing].mean(axis=0)


text = to_test[:800]
at_closing, elsewhere = damage(model, states, text)
k = unit % UNITS
order = np.argsort(-at_closing)
print("nats added by holding a unit:   where ) comes   elsewhere")
for i in order[:4]:
    mark = "   <- our unit" if i == k else ""
    print(f"unit {i:2} {at_closing[i]:+37.2f} {elsewhere[i]:+11.2f}{mark}")
median = np.median(at_closing), np.median(elsewhere)
print("the median unit {:+27.2f} {:+11.2f}".format(*median))
twin_closing, twin_elsewhere = damage(twin, twin_states, text)
print(
    f"the worst of the twin {twin_closing.max():+21.2f} "
    f"{twin_elsewhere.max():+11.2f}"
)

# %% tags=["remove-cell"]
assert 1.4 < at_closing[k] < 2
assert at_closing[k] > 8 * abs(elsewhere[k])
assert k in order[:4]
assert abs(twin_closing).max() < 0.05
assert abs(np.median(at_closing)) < 0.3

# %% [markdown]
# Now we have evidence. With our unit held, the loss rises by about 1.5 nats where a `)` comes: the probability of the right
# answer falls to less than a quarter. Elsewhere almost nothing happens. It is not the only unit that is needed for `)`, but
# the median unit is not needed. In the twin no unit matters: it has nothing to lose.
#
# The opposite operation is even more direct. Take a text *without* any brackets, set one unit to the mean that it has
# *inside* brackets, and look at the probability of a `)` at the end of a word.

# %%
plain = " ".join(np.random.default_rng(5).choice(WORDS, 60))
on = means(states, brackets(to_choose) == 1)
log_p = operated(model, plain, *on)[:-1]
ends = np.array(list(plain[1:])) == " "
p = np.exp(log_p[ends, :, alphabet.number[")"]]).mean(axis=0)
others = np.delete(p[:-1], k)
print(f"probability of ) at the end of a word: {p[-1]:.2f}")
print(f"with our unit switched on: {p[k]:.2f}")
print(
    f"with another one: {np.median(others):.2f} (median), "
    f"{others.max():.2f} (largest)"
)

# %% tags=["remove-cell"]
assert p[-1] < 0.1
assert p[k] > 0.6
assert np.median(others) < 0.1

# %% [markdown]
# You switch on one unit, and the network closes a bracket that nobody has opened. This is what it means to say that the unit
# *stands for* an open bracket. One other unit has a similar, smaller effect; most have none.
#
# ## 8. A warning: the same r, another answer
#
# Here is another network, from another seed. Its best unit has almost the same `r`. (We chose these two seeds because they
# show two cases clearly. With many seeds the best `r` is smaller: the fact is then spread over several units.)

# %%
second = trained(seed=6)
second_states = read(second, to_choose)
u = best(second_states, brackets(to_choose))
r_second = all_r(read(second, to_test), brackets(to_test))[u]
second_closing, second_elsewhere = damage(second, second_states, text)
print(f"{name(u)}: r on the test text {r_second:+.2f}")
print(
    f"held: {second_closing[u % UNITS]:+.2f} where ) comes, "
    f"{second_elsewhere[u % UNITS]:+.2f} elsewhere"
)
i = int(second_closing.argmax())
r_i = all_r(second_states, brackets(to_choose))[[i, UNITS + i]]
print(
    f"unit {i}, held: {second_closing[i]:+.2f} where ) comes; "
    f"its r: h {r_i[0]:+.2f}, c {r_i[1]:+.2f}"
)

# %% tags=["remove-cell"]
assert abs(r_second) > 0.85
assert second_closing[u % UNITS] < 1
assert second_closing[i] > 4 * second_closing[u % UNITS]
assert abs(r_i).max() < 0.3

# %% [markdown]
# Hold this unit, and hardly anything happens at `)`. The network must have the information elsewhere as well. And a unit with
# an `r` near 0 matters most of all. Correlation finds *candidates*. Only the operation shows what the network uses.
#
# ## 9. Where the signal comes from
#
# How did training find this? Through the gradient. We let both networks read a remark up to the place where the `)` comes,
# with a loss at that one step, and draw the size of the gradient at each state. The darker the box, the more the loss depends
# on that state.

# %%
remark = "(sea old sun cat)"
numbers = alphabet.encode(remark)[:, None]
targets = np.full((len(remark) - 1, 1), rnn.data.IGNORED)
targets[-1] = numbers[-1]
x = alphabet.one_hot(numbers[:-1])
rnn.draw.compare({"trained": model, "twin": twin}, x, targets)

# %%
kept = []
for label, net in (("trained", model), ("twin", twin)):
    norms = rnn.gradient_flow(net, x, targets).norms["c"][0]
    kept.append(norms[0] / norms[-1])
    print(f"{label:8} |dL/dc| at the ( is {kept[-1]:.2f} times that at the end")

# %% tags=["remove-cell"]
assert kept[0] > 4 * kept[1]

# %% [markdown]
# Over 15 steps the trained network keeps several times as much of the gradient as its twin. Lesson 14 explains how: along `c`
# the gradient is multiplied by the forget gates only, and training has opened the gates that the task needs.
#
# ## What to remember
#
# - Choose a unit on one text, report its `r` on another one.
# - Whoever searches many units must compare with the best of many units by chance.
# - An untrained network correlates too: it echoes its inputs. What the twin reaches, training did not teach.
# - Correlation gives candidates. Hold the unit, or switch it on: what changes then is what the network uses it for.
# - A network may store a fact in several units. Not every network has "the bracket unit".
#
# **Next:** lesson 21 looks at the classic tasks, and at how to compare yourself with published numbers.
#
# ## Solutions


# %% tags=["hide-cell"]
def inside_solution(text):
    return np.cumsum([(symbol == "(") - (symbol == ")") for symbol in text])


def correlations_solution(states, feature):
    return all_r(states, feature)


def chance_level_solution(states, feature, shifts):
    largest = [abs(all_r(states, np.roll(feature, s))).max() for s in shifts]
    return np.quantile(largest, 0.95)


def held_solution(h, levels):
    return hold(h, levels)


solution(1, check_1, inside_solution)
solution(2, check_2, correlations_solution)
solution(3, check_3, chance_level_solution)
solution(4, check_4, held_solution)
