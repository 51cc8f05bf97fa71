# %% [markdown]
# # Lesson 14: LSTM and GRU: the carousel
#
# In lesson 13 a gradient had to pass one Jacobian for every step, and it vanished. The cure of Hochreiter and Schmidhuber
# (1997) is a path on which there is nothing to multiply by. They called it the **constant error carousel**. In this lesson
# you build it, find out what is wrong with it, repair that with gates, and arrive at the LSTM. Then you train it on a task
# that needs memory, and look into its state.
#
# **You need:** lesson 13 (the gain of a step, and what is left of a gradient).
#
# **You will be able to** write an LSTM and a cell of your own, choose the biases of its gates, and measure what training
# does to the gradient.
#
# **Time:** about 60 minutes, 3 exercises.

# %%
import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. A task that needs nothing but memory
#
# The network reads 32 letters. The first is `a`, `b`, `c` or `d`. The other 31 are noise, drawn from `w`, `x`, `y` and `z`.
# After the last letter the network has to say which letter was the first. A guess is right in 25 % of all cases.

# %%
T, UNITS = 32, 8
letters = rnn.Alphabet("abcdwxyz")


def sample(n, rng):
    """Return n sequences of one-hot vectors and their first letters."""
    numbers = rng.integers(4, 8, size=(T, n))
    numbers[0] = rng.integers(4, size=n)
    return rnn.Batch(letters.one_hot(numbers, dtype=np.float64), numbers[0])


test = sample(400, np.random.default_rng(0))
example = letters.decode(test.inputs[:, 0].argmax(axis=-1))
print(example, "->", letters.symbols[test.targets[0]])

# %% [markdown]
# We train each network on three seeds, because one run says little. The next cell uses a few ready-made parts of minigrad:
#
# - `rnn.ManyToOne(layer, readout)` reads the whole sequence and answers once, from the last state. A `Batch` is a pair of
#   inputs and targets.
# - `Trainer` does the training step: loss, `backward`, update. `clip_norm=1.0` shortens a gradient whose norm is above 1, so
#   that none explodes. `Generated` makes a new batch for each update; here 120 of them.
# - `rnn.evaluate` measures the share of right answers (accuracy). `Fixed(test)` gives it the same 400 sequences each time.
#
# Predict: how many of the three tanh networks learn the task?


# %%
def classifier(cell, seed):
    readout = rnn.Linear(UNITS, 4, dtype=np.float64, rng=seed + 1)
    return rnn.ManyToOne(rnn.Recurrent(cell), readout)


def train(model):
    """120 updates on new sequences; returns the share of right answers."""
    optimizer = rnn.Adam(model.parameters(), lr=0.015)
    trainer = rnn.Trainer(model, optimizer, clip_norm=1.0)
    source = rnn.Generated(sample, batch_size=16, batches=120)
    trainer.fit(source, epochs=1, progress=False)
    return rnn.evaluate(model, rnn.Fixed(test)).accuracy


def three_seeds(make_cell):
    """Train three networks; returns the first of them, and the three results."""
    models = [classifier(make_cell(seed), seed) for seed in range(3)]
    return models[0], [float(train(model)) for model in models]


def report(name, right):
    print(f"{name:26}" + "".join(f"{share:8.0%}" for share in right))


def tanh_cell(seed):
    return rnn.RNNCell(8, UNITS, dtype=np.float64, rng=seed)


results, trained = {}, {}
trained["tanh"], results["tanh"] = three_seeds(tanh_cell)
report("right, of a tanh network", results["tanh"])

# %% [markdown]
# None: all three guess. After lesson 13 you know why: what the last step has to say about the first is multiplied by 31
# factors below 1.
#
# ## 2. The carousel
#
# The smallest change that helps: *add* to the state, do not replace it.
#
# ```text
# c[t] = c[t-1] + i[t] * g[t]
# h[t] = tanh(c[t])
# ```
#
# `g[t]` is the **candidate**: what the step could write into the state (lesson 13 called it `n`). `i[t]` is the **input
# gate**: numbers between 0 and 1, how much of it is written. Both are computed from `x[t]` and `h[t-1]`. And the gradient?
# Along this line, `dc[t]/dc[t-1]` is 1. It goes round and round and does not change: a carousel.
#
# In minigrad, a cell is a class with a method `step(x, state)` that returns the new state. `state_names` names the parts of
# the state, the output first. `gates` says how many blocks of weights there are. `self.affine(x, h)` computes
# `W_ih x + b_ih + W_hh h + b_hh` for all blocks at once, and `mg.split` cuts the result into the blocks.


# %%
class Carousel(rnn.Cell):
    state_names = ("h", "c")
    gate_names = {"i": "input gate", "g": "candidate"}
    gates = 2

    def step(self, x, state):
        h, c = state
        i, g = mg.split(self.affine(x, h), 2, axis=-1)
        i, g = mg.sigmoid(i), mg.tanh(g)
        i.name, g.name = "i", "g"  # for the picture
        c = c + i * g
        return mg.tanh(c), c


def carousel(seed):
    return Carousel(8, UNITS, dtype=np.float64, rng=seed)


some = rnn.Batch(test.inputs[:, :32], test.targets[:32])
carry = rnn.gradient_flow(classifier(carousel(0), 0), some).gains["carry"]
print("gain along c, least and largest:", np.nanmin(carry), np.nanmax(carry))

# three letters, so that the picture fits on the page
few = rnn.Batch(test.inputs[-3:, :1], test.targets[:1])
rnn.draw.unrolled(
    classifier(carousel(0), 0), few.inputs, few.targets, level="gate"
)

# %% [markdown]
# Find the line of `c` in the picture. From one step to the next there is a single `+` on it. All weights and activations are
# outside this line. They write to it or read from it. (`gains["carry"]` has the gain of each step along this line alone, one
# number for each layer and step. The first step has no step before it, so its number is NaN, and `nanmin` leaves it out.)

# %%
trained["carousel"], results["carousel"] = three_seeds(carousel)
for name, right in results.items():
    report(name, right)

# %% [markdown]
# Much better: with tanh, no network learned anything. Is that the whole answer? Let a new carousel read noise for a long
# time, and look at the size of `c`.

# %%
numbers = np.random.default_rng(1).integers(4, 8, size=(1000, 1))
noise = letters.one_hot(numbers, dtype=np.float64)
cell, state = carousel(0), None
with mg.no_grad():
    for t in range(1000):
        state = cell(noise[t], state)
        h, c = (part.data for part in state)
        if t + 1 in (10, 100, 1000):
            saturated = (abs(h) > 0.99).mean()
            print(
                f"after {t + 1:4} steps: mean size of c {abs(c).mean():6.1f}, ",
                end="",
            )
            print(f"saturated units {saturated:.0%}")
assert saturated > 0.5

# %% [markdown]
# What is added stays, also when it is noise. `c` grows without limit, most units of `h = tanh(c)` are saturated at 1 or -1,
# and new content hardly changes them. On long sequences this memory is full. It has to *forget*.
#
# ## 3. The gates of the LSTM
#
# Gers, Schmidhuber and Cummins (2000) multiply the old state by a **forget gate** `f`. It is 1 where the state is kept and 0
# where it is erased. The **output gate** `o`, which the paper of 1997 had already, decides how much of the state is shown to
# the rest of the network. Together they make the LSTM of today:
#
# ```text
# i = sigmoid(W_ii x + W_hi h + b_i)      input gate:  write?
# f = sigmoid(W_if x + W_hf h + b_f)      forget gate: keep?
# g = tanh   (W_ig x + W_hg h + b_g)      candidate:   what to write
# o = sigmoid(W_io x + W_ho h + b_o)      output gate: show?
# c = f * c + i * g
# h = o * tanh(c)
# ```

# %%
rnn.draw.unrolled(rnn.LSTM(8, 4, rng=0), few.inputs[:2], level="gate")

# %% [markdown]
# Follow the line of `c` again. There is a product with `f` and a sum on it, and still no matrix and no activation. The line
# of `h` is the other way back: from `h` to the four gates of the next step, through `W_hh`.
#
# ### Exercise 1
#
# Write the step of an LSTM. `cell.affine(x, h)` has the four blocks in the order i, f, g, o. Return `h` and `c`.


# %%
def lstm_step(cell, x, state):
    return ...


def check_1(step):
    class Own(rnn.Cell):
        state_names = ("h", "c")
        gates = 4

    for seed in (0, 1):
        own = Own(3, 5, dtype=np.float64, rng=seed)
        x, h, c = np.random.default_rng(seed).normal(size=(3, 2, 5))
        x = mg.tensor(x[:, :3])
        new = step(own, x, (mg.tensor(h), mg.tensor(c)))
        assert isinstance(new, tuple), "return h and c: `return h, c`"
        reference = rnn.LSTMCell(3, 5, dtype=np.float64, rng=seed)
        right_h, right_c = (part.data for part in reference(x, (h, c)))
        new_h, new_c = (np.asarray(part.data) for part in new)
        assert not np.allclose(new_h, right_c), "return h first, then c"
        assert np.allclose(new_c, right_c), (
            "the new c is wrong. Is it f * c + i * g, with g from tanh, and the "
            "blocks in the order i, f, g, o?"
        )
        assert np.allclose(new_h, right_h), (
            "the new c is right, the new h is not: is it o * tanh(c), with the "
            "new c?"
        )


exercise(1, check_1, lstm_step)

# %% [markdown]
# ## 4. How the gates must start
#
# Now the gain along `c` is `f`, and `f` depends on a bias. With small weights, a bias `b` gives `f = sigmoid(b)`, and after
# 31 steps `f**31` is left.


# %%
def set_bias(cell, block, value):
    bias = cell.bias_ih.data.copy()
    bias[block * UNITS : (block + 1) * UNITS] = value
    cell.bias_ih.data = bias


def lstm(forget_bias, input_bias=0.0):
    def make(seed):
        cell = rnn.LSTMCell(8, UNITS, dtype=np.float64, rng=seed)
        set_bias(cell, 0, input_bias)  # the blocks are i, f, g, o
        set_bias(cell, 1, forget_bias)
        return cell

    return make


print("forget bias   sigmoid   measured gain along c   sigmoid**31")
for bias in (0.0, 1.0, 3.0, 5.0):
    flow = rnn.gradient_flow(classifier(lstm(bias)(0), 0), some)
    f, carry = 1 / (1 + np.exp(-bias)), np.nanmean(flow.gains["carry"])
    print(f"{bias:11.1f} {f:9.3f} {carry:23.3f} {f**31:13.1e}")
    assert abs(f - carry) < 0.03

# %% [markdown]
# With a bias of 0 the LSTM forgets half of everything in every step. A bias of 1 is a common default (Jozefowicz, Zaremba
# and Sutskever, 2015); over our 31 steps it leaves 6 parts in 100,000. With 5, four fifths are left.
#
# ### Exercise 2
#
# Choose the bias `b` of the forget gate so that half of the gradient along `c` is left after `steps` steps:
# `sigmoid(b)**steps == 0.5`. Find `f` first, with `f**steps == 0.5`. Then solve `f = 1 / (1 + exp(-b))` for `b`.


# %%
def forget_bias(steps):
    return ...


def check_2(f):
    for steps in (10, 1, 100):
        left = (1 / (1 + np.exp(-f(steps)))) ** steps
        assert not np.isclose(f(steps), 0.5 ** (1 / steps)), (
            "that is f itself. The bias is the number whose sigmoid is f"
        )
        assert np.isclose(left, 0.5), (
            f"with your bias {left:.3f} is left after {steps} steps, not 0.5"
        )


exercise(2, check_2, forget_bias)

# %% [markdown]
# Predict the order: an LSTM with a forget bias of 0, of 5, and of 5 together with an *input* bias of -3, so that the input
# gate starts at `sigmoid(-3) = 0.05`.

# %%
for name, make in {
    "LSTM, f 0": lstm(0.0),
    "LSTM, f 5": lstm(5.0),
    "LSTM, f 5, i -3": lstm(5.0, -3.0),
}.items():
    trained[name], results[name] = three_seeds(make)
for name, right in results.items():
    report(name, right)

# %% tags=["remove-cell"]
assert max(results["tanh"]) < 0.6
assert np.mean(results["carousel"]) > np.mean(results["tanh"]) + 0.2
assert max(results["LSTM, f 0"]) < 0.4
assert np.mean(results["LSTM, f 5"]) > np.mean(results["LSTM, f 0"]) + 0.1
assert min(results["LSTM, f 5, i -3"]) > 0.9

# %% [markdown]
# The LSTM that forgets at the start learns no more than tanh. The name "LSTM" does not help; the open path helps. With `f`
# near 1 it learns something, as the carousel does, and it has the same weakness: it writes half of every noise letter into
# its memory. With the input gate nearly closed as well, all three networks learn the task completely: **keep by default,
# write rarely**. Tallec and Ollivier (2018) derive this rule: for memories of up to `T` steps, let `b_f` be the logarithm of
# a random number between 1 and `T - 1`, and `b_i = -b_f`.
#
# ## 5. Before and after training
#
# What did training do to the gradient? The loss is at the last step only. Each number is the part of its gradient that is
# left so many steps back, at `h` in the tanh network and at `c` in the LSTMs. The **half-life** is the number of steps in
# which half of the gradient is lost, on average over all steps. `inf` means that it does not fall at all.

# %%
starts = {
    "tanh": tanh_cell,
    "LSTM, f 0": lstm(0.0),
    "LSTM, f 5, i -3": lstm(5.0, -3.0),
}
before = {
    name: rnn.gradient_flow(classifier(make(0), 0), some)
    for name, make in starts.items()
}
after = {name: rnn.gradient_flow(trained[name], some) for name in starts}
print("before training")
print(rnn.flow.compare(before).table(hops=(1, 10, 20, 31)))
print("\nafter training")
print(rnn.flow.compare(after).table(hops=(1, 10, 20, 31)))

# %% tags=["remove-cell"]
for _flows in (before, after):
    assert _flows["LSTM, f 5, i -3"].decay()[31] > 0.2
    assert _flows["LSTM, f 0"].decay()[31] < 1e-5
    assert _flows["tanh"].decay()[31] < 1e-4
assert 2 < after["LSTM, f 5, i -3"].decay()[31] < 2.2
assert after["LSTM, f 0"].half_life() < before["LSTM, f 0"].half_life()

# %% [markdown]
# Where the gradient arrived, training kept it. There it even grows on its way back, to 2.09 times. That is possible because
# there is a second way back to `c`: the gradient along `h`, through the gates, is added. Where the gradient did not arrive,
# training did not bring it back, or not enough. With tanh it rose to 5.5e-05, which is still almost nothing. In the LSTM that
# starts with half-closed gates it even fell: this network never learns that it should open them. In the picture, compare the
# first steps with the last.

# %%
rnn.draw.compare(
    {name: trained[name] for name in starts}, some.inputs, some.targets
)

# %% [markdown]
# And what is in the state? At each step, guess the first letter from `h` alone: compare it with the mean state of each
# letter, and take the nearest. The means come from 200 sequences, the guesses are counted on 200 others.


# %%
def readable(model):
    """The share of first letters that can be read from h, at each step."""
    with mg.no_grad():
        h = model.recurrent(test.inputs)[0].data  # (T, 400, UNITS)
    first = test.targets
    means = [h[:, :200][:, first[:200] == k].mean(axis=1) for k in range(4)]
    distances = [((h[:, 200:] - m[:, None]) ** 2).sum(axis=-1) for m in means]
    return (np.argmin(distances, axis=0) == first[200:]).mean(axis=1)


shown = np.array([1, 2, 5, 10, 20, 32])
print("letter readable after".ljust(22) + "".join(f"{t:6}" for t in shown))
for name in starts:
    share = readable(trained[name])
    print(f"{name:22}" + "".join(f"{share[t - 1]:6.0%}" for t in shown))
    assert (share[-1] > 0.9) == (name == "LSTM, f 5, i -3")
    assert share[0] == 1

# %% [markdown]
# All three have the letter in their state after the first step. The first two lose it in the noise. The third keeps it to
# the end. *That* is why an LSTM remembers: the path along `c` lets the gradient arrive, and the gradient teaches the gates
# what to write and what to keep.
#
# ## 6. GRU: one gate does both
#
# The **gated recurrent unit** (Cho et al., 2014) has no `c`. Its state `h` is the carousel, and one **update gate** `z`
# decides both, how much is kept and how much is written:
#
# ```text
# r = sigmoid(W_ir x + W_hr h + b_r)                 reset gate
# z = sigmoid(W_iz x + W_hz h + b_z)                 update gate: keep?
# n = tanh   (W_in x + b_in + r * (W_hn h + b_hn))   candidate
# h = z * h + (1 - z) * n
# ```
#
# To keep is not to write: a GRU cannot fill up with noise. And `h` stays between -1 and 1. (Some texts swap `z` and `1 - z`.
# minigrad follows PyTorch.)


# %%
def gru(seed):
    cell = rnn.GRUCell(8, UNITS, dtype=np.float64, rng=seed)
    set_bias(cell, 1, 5.0)  # the blocks are r, z, n
    return cell


trained["GRU, z 5"], results["GRU, z 5"] = three_seeds(gru)
report("GRU, z 5", results["GRU, z 5"])
assert min(results["GRU, z 5"]) > 0.9

# %% [markdown]
# All three again, with fewer weights than the LSTM (three blocks, not four). Which of the two is better depends on the task;
# Jozefowicz, Zaremba and Sutskever (2015) tried ten thousand variants and found none that beats both on every task.
#
# ### Exercise 3
#
# Design a cell of your own, with one state `h` and two blocks of weights, that starts with an open path: 20 steps back,
# between half and twice of the gradient must be left. It must read its input as well. Return the new `h`. (You may add a
# number to the argument of a sigmoid. A sum of old and new, weighted by a gate, is a good beginning.)


# %%
def own_step(cell, x, h):
    return ...  # a, b = mg.split(cell.affine(x, h), 2, axis=-1)


def check_3(step):
    class Own(rnn.Cell):
        gates = 2

        def step(self, x, state):
            new = step(self, x, state[0])
            assert isinstance(new, mg.Tensor), "return h alone, a Tensor"
            return (new,)

    for seed in (0, 1):
        model = classifier(Own(8, UNITS, dtype=np.float64, rng=seed), seed)
        cell = model.recurrent.cell
        one, other = cell(np.eye(8)[:2]).data
        assert abs(one - other).max() > 1e-3, (
            "the state is the same for the letters a and b: read the input"
        )
        left = rnn.gradient_flow(model, some).decay()[20]
        assert left > 0.5, (
            f"only {left:.1e} is left after 20 steps: open the path"
        )
        assert left < 2, (
            f"{left:.1e} is left after 20 steps: the gradient explodes"
        )


exercise(3, check_3, own_step)

# %% [markdown]
# ## What to remember
#
# - Adding to a state, instead of replacing it, gives the gradient a path with a factor of 1: the carousel.
# - Gates make it usable: the forget gate erases, the input gate keeps noise out, the output gate hides.
# - The forget gate must be open at the start, or the gradient that should open it never arrives. The input gate starts nearly
#   closed. Keep by default, write rarely.
# - A GRU does the same with one state and one gate for keeping and writing.
# - Measure on several seeds, next to a guess. "LSTM" in the name of a model says nothing.
#
# **Next:** lesson 15 uses such a cell on letters: a network that reads "hihell" and answers "ihello".
#
# ## Solutions


# %% tags=["hide-cell"]
def lstm_step_solution(cell, x, state):
    h, c = state
    i, f, g, o = mg.split(cell.affine(x, h), 4, axis=-1)
    c = mg.sigmoid(f) * c + mg.sigmoid(i) * mg.tanh(g)
    return mg.sigmoid(o) * mg.tanh(c), c


def forget_bias_solution(steps):
    f = 0.5 ** (1 / steps)
    return np.log(f / (1 - f))


def own_step_solution(cell, x, h):
    f, n = mg.split(cell.affine(x, h), 2, axis=-1)
    f = mg.sigmoid(f + 4.0)
    return f * h + (1 - f) * mg.tanh(n)


solution(1, check_1, lstm_step_solution)
solution(2, check_2, forget_bias_solution)
solution(3, check_3, own_step_solution)
