# %% [markdown]
# # Lesson 12: backpropagation through time, by hand and by a compiler
#
# You can call `backward()` and never know what it computes. But to say why a gradient vanishes (lesson 13), to write
# a fast implementation, or to read a paper, you need to have the formulas in your fingers. They are not long: one
# loop forward, one loop backward, and a product for each weight.
#
# In this lesson you write them in NumPy, next to automatic differentiation, which checks every line. Then you look at
# the program that minigrad's compiler writes for the same training step. It has the same parts.
#
# **You need:** lessons 10 and 11 (the recurrent network, the terms of a shared weight), and the gradient of a matrix
# product (lesson 0).
#
# **You will be able to** write backpropagation through time for a recurrent network without a framework, move work
# out of its loops, and compile a training step.
#
# **Time:** about 60 minutes, 5 exercises.

# %%
import re
import textwrap
import time

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Forward
#
# The task is again "hihell" to "ihello". This time there are no tensors, only arrays. One row is one step:
#
# ```text
# a[t] = U x[t] + W h[t-1] + b       h[t] = tanh(a[t])
# s[t] = V h[t] + c                  the logits
# L    = mean over t of -log(softmax(s[t])[y[t]])
# ```
#
# The array `h` gets one row more than there are steps. The last row stays zero, and in Python `h[-1]` *is* the last
# row. So `h[t - 1]` is right for `t = 0` too.

# %%
task = rnn.tasks.hello()
x, y = task.inputs[:, 0].astype(float), task.targets[:, 0]  # (6, 5) and (6,)
HIDDEN, SYMBOLS = 8, 5


def start():
    rng = np.random.default_rng(0)
    shapes = {
        "U": (HIDDEN, SYMBOLS),
        "W": (HIDDEN, HIDDEN),
        "b": (HIDDEN,),
        "V": (SYMBOLS, HIDDEN),
        "c": (SYMBOLS,),
    }
    return {name: 0.3 * rng.normal(size=size) for name, size in shapes.items()}


def forward(w, x):
    """Return the states, with a row of zeros at the end, and the logits."""
    T = len(x)
    h = np.zeros((T + 1, HIDDEN))
    for t in range(T):
        h[t] = np.tanh(w["U"] @ x[t] + w["W"] @ h[t - 1] + w["b"])
    return h, h[:T] @ w["V"].T + w["c"]


def cross_entropy(s, y):
    s = s - s.max(axis=1, keepdims=True)  # lesson 8: nothing overflows
    logs = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    return -logs[np.arange(len(y)), y].mean()


w = start()
h, s = forward(w, x)
print(f"loss {cross_entropy(s, y):.4f}; a guess among 5 costs {np.log(5):.4f}")

# %% [markdown]
# For the comparison, the same network with tensors. This is our reference: whatever you write by hand must agree with
# it.


# %%
def by_autodiff(w, x, y):
    """Return the gradients of the loss by name."""
    leaves = {
        name: mg.tensor(array, requires_grad=True, name=name)
        for name, array in w.items()
    }
    h, loss = np.zeros(HIDDEN), 0.0
    for t in range(len(x)):
        h = np.tanh(leaves["U"] @ x[t] + leaves["W"] @ h + leaves["b"])
        s = leaves["V"] @ h + leaves["c"]
        loss = loss + mg.cross_entropy(s, y[t]) / len(x)
    grads = mg.grad(loss, list(leaves.values()))
    return dict(zip(w, (g.data for g in grads), strict=True))


expected = by_autodiff(w, x, y)
print({name: g.shape for name, g in expected.items()})

# %% [markdown]
# ## 2. Backward, from the end
#
# We write `dA` for the gradient of the loss with respect to `A`. It has the shape of `A`.
#
# **The logits.** For one step, the gradient of `-log(softmax(s)[y])` with respect to `s` is the probabilities, minus
# 1 at the right answer. The loss is a mean over `T` steps, so everything is divided by `T`:
#
# ```text
# ds[t] = (softmax(s[t]) - onehot(y[t])) / T
# ```
#
# ### Exercise 1
#
# Write it for all steps at once: `s` has shape (T, symbols), `y` has shape (T,). Do not change `s`.


# %%
def d_logits(s, y):
    return ...


def check_1(d_logits):
    rng = np.random.default_rng(1)
    for T in (1, 4):
        s, y = rng.normal(size=(T, 5)), rng.integers(5, size=T)
        kept = s.copy()
        found = d_logits(s, y)
        assert np.array_equal(s, kept), "s has changed: copy it first"
        assert np.shape(found) == (T, 5), (
            f"the gradient has the shape of s, {(T, 5)}, not {np.shape(found)}"
        )
        right = mg.grad(lambda s, y=y: mg.cross_entropy(s, y))(s)
        assert T == 1 or not np.allclose(found, T * right), (
            "the loss is the mean over the steps: divide by their number"
        )
        assert not np.allclose(found, -right), "the sign is turned round"
        assert np.allclose(np.sum(found, axis=1), 0), (
            "each row must have the sum 0: probabilities have the sum 1 in each "
            "row (axis=1), and 1 is subtracted once"
        )
        assert np.allclose(found, right), (
            "the 1 is not subtracted at the right answer, y[t] in row t"
        )


exercise(1, check_1, d_logits)

# %% [markdown]
# **One step back.** Suppose you have `dh`, the gradient at the state `h[t]`. The picture shows one step, with the
# loss replaced by a sum, and in orange the ops of the *backward* pass.

# %%
U, W, before = (
    mg.tensor(array, requires_grad=True, name=name)
    for name, array in (("U", w["U"]), ("W", w["W"]), ("h[t-1]", h[:1]))
)
a = mg.linear(x[1:2], U) + mg.linear(before, W)  # linear(x, U) is x @ U.T
after = np.tanh(a)
mg.draw(after.sum(), backward=True, names={"h[t]": after, "a[t]": a})

# %% [markdown]
# Read the orange part from the seed upwards. `dL/dh[t]` is multiplied by the slope of tanh, `1 - h[t] * h[t]`. The
# result is `dL/da[t]`, and from there one product (`@`) leads to each operand. The `T` in the picture transposes a
# matrix. (In the formulas, `T` without a dot is the number of steps.)
#
# In the picture a state is a *row*, so the gradient to `h[t-1]` is `da @ W`, without a transpose. Our arrays `h[t]`
# are vectors, written as columns in the formulas. There the same numbers are `W.T da`:
#
# ```text
# da     = dh * (1 - h[t]**2)
# dU    += outer(da, x[t])           dW += outer(da, h[t-1])         db += da
# to h[t-1]:   W.T da
# ```
#
# `outer(u, v)` is the matrix with `u[i] * v[j]` at row `i`, column `j`. There is a `+=` because each step adds its
# term, as in lesson 11.
#
# ### Exercise 2
#
# Write the step. Given `dh`, the new state `h` and `W`, return `da` and what the state before receives.


# %%
def step_back(dh, h, W):
    return ...  # da, to_before


def check_2(step_back):
    rng = np.random.default_rng(2)
    W, old, rest, dh = (rng.normal(size=n) for n in ((3, 3), 3, 3, 3))
    new, pull_back = mg.vjp(lambda a: np.tanh(a), W @ old + rest)
    found = step_back(dh, new, W)
    assert len(found) == 2, "return two arrays: da, to_before"
    da, to_before = found
    assert np.allclose(da, pull_back(dh)[0]), (
        "da is wrong: multiply dh by the slope of tanh, 1 - h * h"
    )
    assert not np.allclose(to_before, W @ da), "W must be transposed: W.T @ da"
    assert np.allclose(to_before, W.T @ da), "to_before is wrong"


exercise(2, check_2, step_back)

# %% [markdown]
# **The whole.** A state has *two* users: its logits, and the next step. So it receives two gradients, and they add
# up:
#
# ```text
# dh[t] = V.T ds[t]  +  W.T da[t+1]         (the last step has no next step)
# ```
#
# The picture shows three steps. The arrow from `h[0]` leads up to its output, and on to the next step. The number in
# the box of a state is the size (norm) of `dh[t]`. The network is made of minigrad's layers, and three weights have
# longer names there: `U` is `W_ih`, `W` is `W_hh`, and `b` is `b_ih`.
#
# PyTorch and minigrad give a step two biases, `b_ih` and `b_hh`. Only their sum matters. With `bias="single"` there
# is one, as in our formulas.

# %%
small = rnn.Sequence(
    rnn.RNN(SYMBOLS, HIDDEN, bias="single", rng=0),
    rnn.Linear(HIDDEN, SYMBOLS, rng=1),
)
rnn.draw.unrolled(
    small,
    task.inputs[:3],
    task.targets[:3],
    symbols=task.alphabet,
    gradients=True,
)

# %% [markdown]
# ### Exercise 3
#
# Write backpropagation through time: start with zeros for what comes from the next step, go from the last step to the
# first, and collect the gradients of all five weights in a dict with the names of `w`.


# %%
def backward(w, x, h, ds):
    """h and ds are those of forward() and d_logits()."""
    return ...


HINTS_3 = {
    "c": "It is the sum of ds[t] over all steps: use +=, not =",
    "V": "Each step adds outer(ds[t], h[t])",
    "b": "Do you go from the last step to the first? Does dh[t] get both parts, "
    "and is da = dh * (1 - h[t]**2)?",
    "U": "db is right, so da is. Each step adds outer(da, x[t])",
    "W": "db and dU are right, so da is. The operand of W was h[t-1], not h[t]",
}


def check_3(backward):
    rng = np.random.default_rng(3)
    other = np.eye(SYMBOLS)[rng.integers(SYMBOLS, size=9)]
    for sequence, targets in ((x, y), (other, rng.integers(5, size=9))):
        h, s = forward(w, sequence)
        p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
        ds = (p - np.eye(SYMBOLS)[targets]) / len(targets)
        found, right = (
            backward(w, sequence, h, ds),
            by_autodiff(w, sequence, targets),
        )
        assert set(found) == set(right), f"return a dict of {sorted(right)}"
        for name in "cVbUW":
            assert np.shape(found[name]) == right[name].shape, (
                f"the gradient d{name} has shape {right[name].shape}, not "
                f"{np.shape(found[name])}"
            )
            assert np.allclose(found[name], right[name]), (
                f"the gradient d{name} is wrong. {HINTS_3[name]}"
            )


exercise(3, check_3, backward)

# %% [markdown]
# ## 3. Out of the loop
#
# Which part of the work *has* to be in a loop? Only what depends on the step before. Look at the terms of `W`:
#
# ```text
# dW = sum over t of outer(da[t], h[t-1])
# ```
#
# Once all `da[t]` are known, no term needs another one. And a sum of outer products is *one* matrix product: with the
# vectors as rows of two arrays, `dW = DA.T @ H`. The same holds forward: `U x[t]` needs no state, so it can be
# computed for all steps before the loop.
#
# ### Exercise 4
#
# Given `da` (T, hidden) and `h` (T + 1, hidden; the last row is zero), return `dW` without a loop. Which rows of `h`
# belong to `h[t-1]`?


# %%
def d_recurrent(da, h):
    return ...


def check_4(d_recurrent):
    rng = np.random.default_rng(4)
    for T in (3, 7):
        da, h = rng.normal(size=(T, 2)), rng.normal(size=(T + 1, 2))
        h[T] = 0
        found = d_recurrent(da, h)
        terms = [np.outer(da[t], h[t - 1]) for t in range(T)]
        assert np.shape(found) == (2, 2), (
            f"the shape is that of W, (2, 2), not {np.shape(found)}"
        )
        assert not np.allclose(found, sum(terms).T), "that is the transpose of dW"
        assert not np.allclose(found, da.T @ h[:T]), (
            "you paired da[t] with h[t], but its operand was h[t-1]"
        )
        assert np.allclose(found, sum(terms)), "it is not the sum of the terms"


exercise(4, check_4, d_recurrent)

# %% [markdown]
# Here is the training step of an expert: one line in the first loop, two in the second. Everything else is done for
# all steps at once.


# %%
def by_hand(w, x, y, lr=0.5):
    """Update the weights in place, and return the loss before."""
    T = len(x)
    # before the loop
    inputs = x @ w["U"].T + w["b"]
    h = np.zeros((T + 1, HIDDEN))
    # forward
    for t in range(T):
        h[t] = np.tanh(inputs[t] + w["W"] @ h[t - 1])
    # between the loops
    s = h[:T] @ w["V"].T + w["c"]
    s -= s.max(axis=1, keepdims=True)
    p = np.exp(s)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(T), y]).mean()
    ds = p
    ds[np.arange(T), y] -= 1
    ds /= T
    dh = ds @ w["V"]
    slope = 1 - h[:T] * h[:T]
    # backward
    da = np.zeros((T, HIDDEN))
    later = np.zeros(HIDDEN)
    for t in reversed(range(T)):
        da[t] = (dh[t] + later) * slope[t]
        later = w["W"].T @ da[t]
    # after the loop
    grads = {"U": da.T @ x, "b": da.sum(axis=0), "V": ds.T @ h[:T]}
    grads["W"], grads["c"] = da[1:].T @ h[: T - 1], ds.sum(axis=0)
    for name, g in grads.items():
        w[name] -= lr * g
    return loss


w = start()
losses = [by_hand(w, x, y) for _ in range(200)]
print(f"loss {losses[0]:.4f} at first, {losses[-1]:.4f} after 200 steps")
said = forward(w, x)[1].argmax(axis=1)
print("it says", task.alphabet.decode(said))
assert task.alphabet.decode(said) == "ihello"
moved = start()
by_hand(moved, x, y, lr=1.0)
for name, array in start().items():
    assert np.allclose(array - moved[name], expected[name])

# %% [markdown]
# ## 4. The compiler
#
# Nobody wants to do this again for each new cell. `mg.compile` does it: it runs a training step once, records every
# call of NumPy, forward, backward and update, and writes a new program for them. From the second call on only this
# program runs, without a graph and without tensors. Here is the same network, made of layers, with a training step as
# you would write it.

# %%
model = rnn.Sequence(
    rnn.RNN(SYMBOLS, HIDDEN, bias="single", dtype=np.float64, rng=0),
    rnn.Linear(HIDDEN, SYMBOLS, dtype=np.float64, rng=1),
)


def set_weights(w):
    cell, readout = model.recurrent.cell, model.readout
    for parameter, name in (
        (cell.weight_ih, "U"),
        (cell.weight_hh, "W"),
        (cell.bias_ih, "b"),
        (readout.weight, "V"),
        (readout.bias, "c"),
    ):
        parameter.data = w[name]


optimizer = rnn.SGD(model.parameters(), lr=0.5)


def eager(x, y):
    optimizer.zero_grad()
    loss = rnn.sequence_cross_entropy(model(x), y).total
    loss.backward()
    optimizer.step()
    return loss


compiled = mg.compile(eager)
set_weights(start())
batch = (x[:, None], y[:, None])  # (6, 1, 5) and (6, 1): one sequence
compiled_losses = [compiled(*batch).item() for _ in range(200)]
difference = max(abs(np.array(losses) - compiled_losses))
print(f"200 losses, by hand and compiled: largest difference {difference:.0e}")
assert difference < 1e-12

# %% [markdown]
# The losses agree to the last digits, over 200 updates. `print(compiled.source)` shows the program; do it. It is
# plain NumPy with a call in each line. A comment above each part says what the part does, and which layer and which
# steps a loop is for. The next cell prints only an outline: the *names* of the functions that are called, part by
# part.


# %%
def outline(source):
    """Print the functions called in the program, and return them by part."""
    parts, name = [], ""
    for line in source[source.index("def run") :].splitlines()[1:]:
        if line.strip().startswith("#"):
            name = line.strip(" #")
            parts.append((name, []))
        called = re.match(r"\s+(?:\w+\.)?(\w+)\(", line)
        if called:
            inside = line.startswith("        ")
            parts[-1][1].append("*" * inside + called.group(1))
    for name, calls in parts:
        text = " ".join(calls[:8]) + " ..." * (len(calls) > 8)
        print(textwrap.fill(f"{name}: {text}", 82, subsequent_indent="    "))
    return parts


parts = outline(compiled.source)

# %% tags=["remove-cell"]
_loops = {name: calls for name, calls in parts if " t from " in name}
_back, _forth = sorted(_loops)
assert "t from 0 to 5" in _forth
assert "t from 5 to 0" in _back
assert [c for c in _loops[_forth] if "*" in c] == ["*dot", "*add", "*tanh"]
assert [c for c in _loops[_back] if "*" in c] == ["*dot", "*add", "*multiply"]

# %% [markdown]
# A star marks a call inside a loop. Compare the parts with `by_hand`. There are two loops, one forward and one with
# `t` falling from 5 to 0. In the first a product (`dot`), a sum and a tanh. In the second a product, a sum and the
# multiplication with the slope. (The last step has no next step, so only the slope is multiplied: the call without a
# star.) All the rest, the products with the inputs, the softmax, the slopes and the gradients of the weights, is
# outside, for all steps at once. The compiler found for itself what you found in exercise 4.
#
# Two calls at the beginning belong to the targets. `maximum_reduce` finds the largest target. If it is no class
# index, the program stops with `raise OtherWay()`, and the step runs uncompiled, with its usual error. `equal` makes
# the one-hot vectors.
#
# Predict: how many lines has the program for a sequence of 600 letters?

# %%
lines = {}
for T in (6, 60, 600):
    many = np.arange(T) % 6
    compiled(batch[0][many], batch[1][many])
    lines[T] = len(
        compiled.source[compiled.source.index("def run") :].splitlines()
    )
    print(f"{T:3} steps: {lines[T]} lines")
assert lines[60] < 2 * lines[6]
assert lines[600] < 2 * lines[6]


# %%
def microseconds(step, calls):
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        for _ in range(calls):
            step()
        times.append((time.perf_counter() - begin) / calls)
    return 1e6 * sorted(times)[3]


w = start()
measured = {
    "autodiff": microseconds(lambda: eager(*batch), 10),
    "by hand": microseconds(lambda: by_hand(w, x, y), 100),
    "compiled": microseconds(lambda: compiled(*batch), 100),
}
for name, value in measured.items():
    print(f"{name:9} {value:7.0f} microseconds a step")
assert measured["compiled"] < 0.7 * measured["autodiff"]

# %% [markdown]
# For such small arrays most of the time goes into calling functions, not into arithmetic. Autodiff makes a node for
# each op and walks through them. The compiled program makes no nodes, and unlike `by_hand` no new arrays: it writes
# its results into arrays that it keeps. So it is no slower than what we wrote by hand, and often faster.
#
# One thing you must know. A program that was recorded once does the same calls each time. So a compiled function must
# not decide by the *values* of its arrays. `mg.compile` refuses if it does:


# %%
@mg.compile
def shortened(g):
    size = np.sqrt((g * g).sum())
    if size > 1:
        g = g / size
    return g


try:
    shortened(np.array([3.0, 4.0]))
except mg.CompileError as error:
    print(textwrap.fill(str(error), 80))

# %% [markdown]
# ### Exercise 5
#
# This is gradient clipping: shorten a vector to length 1 if it is longer, otherwise leave it as it is. Write it
# without an `if`, so that it can be compiled.


# %%
def clipped(g):
    return ...


def check_5(clipped):
    fast = mg.compile(clipped)
    long, short, zero = np.array([3.0, 4.0]), np.array([0.3, 0.4]), np.zeros(2)
    for g, right in ((long, long / 5), (short, short), (zero, zero)):
        for f in (clipped, fast):
            found = f(g)
            assert np.allclose(found, right), f"{g} became {found}, not {right}"


exercise(5, check_5, clipped)

# %% [markdown]
# ## What to remember
#
# - Backward through one step: `da = dh * (1 - h**2)`, and `W.T da` to the step before.
# - A state receives from its own output and from the next step; both are added. A weight receives a term from each
#   step.
# - Only what depends on the step before must be in a loop. Sums over time are matrix products.
# - `mg.compile` writes such a program from an ordinary training step. It needs a step whose calls do not depend on
#   values.
#
# **Next:** lesson 13 looks at the factor `W.T` and the factor `1 - h**2`, multiplied over many steps.
#
# ## Solutions


# %% tags=["hide-cell"]
def d_logits_solution(s, y):
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return p / len(y)


def step_back_solution(dh, h, W):
    da = dh * (1 - h * h)
    return da, W.T @ da


def backward_solution(w, x, h, ds):
    grads = {name: np.zeros_like(array) for name, array in w.items()}
    later = np.zeros(HIDDEN)
    for t in reversed(range(len(x))):
        da, to_before = step_back_solution(w["V"].T @ ds[t] + later, h[t], w["W"])
        grads["U"] += np.outer(da, x[t])
        grads["W"] += np.outer(da, h[t - 1])
        grads["b"] += da
        grads["V"] += np.outer(ds[t], h[t])
        grads["c"] += ds[t]
        later = to_before
    return grads


def d_recurrent_solution(da, h):
    return da[1:].T @ h[: len(da) - 1]


def clipped_solution(g):
    return g / np.maximum(np.sqrt((g * g).sum()), 1.0)


solution(1, check_1, d_logits_solution)
solution(2, check_2, step_back_solution)
solution(3, check_3, backward_solution)
solution(4, check_4, d_recurrent_solution)
solution(5, check_5, clipped_solution)
