# %% [markdown]
# # Lesson 8: finding a NaN
#
# You train a network overnight. In the morning the loss is `nan`, and so is every weight. NaN means "not a number":
# it is what floating-point arithmetic returns when there is no answer. Everything computed from a NaN is NaN, so in
# the end the whole network is, and nothing shows where the first one came from.
#
# In this lesson you find the place where a NaN is born, forward or backward, and you write formulas in which none is
# born.
#
# **You need:** lesson 1 (forward and backward pass), the chain rule, and logarithm and exponential function.
#
# **You will be able to** find the op, the time step and the line of code that made a NaN, and to rewrite a formula
# that overflows.
#
# **Time:** about 45 minutes, 5 exercises.

# %%
import re
import textwrap

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

_ = np.seterr(all="ignore")  # this lesson makes NaNs on purpose

# %% [markdown]
# ## 1. How a NaN is born and spreads
#
# A floating-point number can be infinite (`inf`): a division by 0 gives it, or a number that is too large to store. A
# NaN is born where the answer could be anything, or does not exist. Predict each line before you run the cell.

# %%
inf, zero = np.float64("inf"), np.float64(0)
print("1 / 0     ", 1 / zero)
print("exp(1000) ", np.exp(1000.0))
print("0 / 0     ", zero / zero)
print("inf - inf ", inf - inf)
print("0 * inf   ", zero * inf)
print("log(-1)   ", np.log(-1.0))
print("nan == nan", np.float64("nan") == np.float64("nan"))

# %% [markdown]
# The first two lines are infinite, the next four NaN. The last line is why you test with `np.isnan(x)`: a NaN is not
# even equal to itself.
#
# Here is a recurrent network of one unit whose step takes a logarithm. The picture shows its values over four steps.
# It is wide: scroll it to the right.

# %%
w = mg.tensor(1.5, requires_grad=True, name="w")
x = np.array([0.5, -1.0, -4.0, 0.8])
h, loss = 0.1, 0.0
for t in range(4):
    h = np.log(2 + w * h + x[t])
    loss = loss + h
mg.draw(loss, show=("value",), names={"w": w, "x": x, "h": h, "loss": loss})

# %% [markdown]
# Follow the blue line of the state `h`. At step 2 the operand of the logarithm is negative, and `h[2]` is NaN. `h[3]`
# is NaN too, although step 3 reads a harmless input, and so is the loss. If you look only at the loss, you see the
# end of the story.
#
# What about the gradients? A NaN spreads *backward* as well.

# %%
loss.backward()
print("loss", loss.item(), " gradient of w", w.grad)
assert np.isnan(w.grad)

# %% [markdown]
# The steps 0 and 1 were fine, and their part of the gradient would be too. But `w` is shared by all steps, and a sum
# with one NaN in it is NaN. After the next update, so is `w`. From then on every loss is NaN, and the trace of the
# first one is lost.
#
# ### Exercise 1
#
# Given an array of states of shape (steps, units), return the number of the first step with a NaN *or* an infinity in
# it, or None if there is none.


# %%
def first_bad_step(states):
    return ...


def check_1(first_bad_step):
    states = np.ones((6, 3))
    assert first_bad_step(states) is None, "all is finite here: return None"
    states[4, 1] = np.nan
    found = first_bad_step(states)
    assert found is not None, "there is a NaN in step 4. Test with np.isnan"
    assert np.shape(found) == (), "return one number, not an array"
    assert found == 4, f"the NaN is in step 4, not {found}"
    states[2, 0] = -np.inf
    assert first_bad_step(states) == 2, "step 2 has an infinity"


exercise(1, check_1, first_bad_step)

# %% [markdown]
# ## 2. Debug mode
#
# `with mg.debug():` watches each op. The first one that makes a NaN or an infinity out of finite operands raises an
# error. (It reads every result, so the program is slower. Use it for the search, not for training.) Here is the same
# idea in a layer with three units, whose cell we wrote ourselves. (`self.affine(x, h)` is
# `W_ih x + b_ih + W_hh h + b_hh`; lesson 10 explains these letters.)


# %%
class Logarithmic(rnn.Cell):
    def step(self, x, state):
        return (np.log(2 + self.affine(x, *state)),)


layer = rnn.Recurrent(Logarithmic(2, 3, rng=0))
inputs = np.random.default_rng(0).normal(size=(12, 1, 2))
states, _ = layer(inputs)
print("steps with NaN:", np.flatnonzero(np.isnan(states.data).any(axis=(1, 2))))


def find(program):
    """Run a program in debug mode, print the first sentence of the error."""
    try:
        with mg.debug():
            program()
        print("found nothing")
    except FloatingPointError as error:
        first = str(error).split(". ")[0]
        found = "found: " + re.sub(r"\S*[/\\](?=\S+, line)", "", first)
        print(textwrap.fill(found, 80, subsequent_indent="    "))


find(lambda: layer(inputs))

# %% [markdown]
# The message names the op (`log`), the layer and the time step (`t=7`), the shapes, and the line of *your* code, the
# one in `step`.
#
# Often no op is wrong by itself; the numbers grow until they are too large. Our next network is linear, and its
# weights are a little too large. The first infinity and the first NaN come at different steps, and debug mode stops
# at the infinity.

# %%
W = np.array([[1.0, -1.2], [1.2, 1.0]], dtype=np.float32)


def growing(steps=300):
    h = mg.tensor([1.0, 1.0], dtype=np.float32, requires_grad=True)
    states = []
    for t in range(steps):
        with mg.scope("t", t):
            h = W @ h
        states.append(h.data)
    return np.array(states)


states = growing()
print("first infinity at step", np.flatnonzero(np.isinf(states).any(axis=1))[0])
print("first NaN at step     ", np.flatnonzero(np.isnan(states).any(axis=1))[0])
find(growing)

# %% [markdown]
# In each step the state grows by a factor of about 1.56, and float32 ends at 3.4e38. Then the product computes
# `inf - inf`. This is the **exploding** network; lesson 13 has the theory. `mg.scope("t", t)` is how your own loop
# tells the step to error messages and pictures. The layers of `minigrad_rnn` do it themselves.
#
# ## 3. Born on the way back
#
# The forward pass can be finite, and the backward pass not. The square root of 0 is 0, but its slope there is
# infinite. We want a state that moves little, so we add up how far it moves in each step, the length of the
# difference. The sequence begins with two steps of zeros, and there the state does not move at all.

# %%
quiet = np.concatenate([np.zeros((2, 1, 2)), inputs])
network = rnn.RNN(2, 3, bias=False, dtype=np.float64, rng=0)


def movement(length):
    """Return the total movement and its gradient, for a kind of length."""
    network.zero_grad()
    states, _ = network(quiet)
    total = 0.0
    for t in range(1, len(quiet)):
        with mg.scope("movement"), mg.scope("t", t):
            total = total + length(states[t] - states[t - 1])
    total.backward()
    return total.item(), network.cell.weight_hh.grad


def root_of_squares(d):
    return np.sqrt((d * d).sum())


total, gradient = movement(root_of_squares)
print(f"movement {total:.3f}, NaNs in the gradient: {np.isnan(gradient).sum()}")
find(lambda: movement(root_of_squares))
assert np.isfinite(total)
assert np.isnan(gradient).all()

# %% [markdown]
# The penalty itself is finite. "The *backward pass* of sqrt" is what failed, in step 1 of the loop. The picture shows
# how: read the gradients from the top.

# %%
d = mg.tensor([0.0, 0.0], requires_grad=True, name="d")
squares = (d * d).sum()
length = np.sqrt(squares)
length.backward(retain_graph=True)
mg.draw(
    length,
    show=("value", "grad"),
    names={"d": d, "squares": squares, "length": length},
)

# %% [markdown]
# The loss has gradient 1. The slope of the root at 0 is infinite, so `squares` receives `inf`. The slope of `d * d`
# at 0 is 0, and `inf * 0` is NaN.
#
# ### Exercise 2
#
# Write a length whose gradient is finite everywhere. At most points it must not differ from the true one by more than
# 1e-5. (Keep the operand of the root away from 0, with a number so small that you do not see it in the result.)


# %%
def safe_length(d):
    return ...


def check_2(safe_length):
    for point in (np.array([3.0, 4.0]), np.array([0.1, -0.2, 0.05])):
        value, slope = mg.value_and_grad(safe_length)(point)
        true = np.linalg.norm(point)
        assert abs(value - true) < 1e-5, f"the length is {true}, not {value}"
        assert np.allclose(slope, point / true, atol=1e-4), (
            f"the gradient at {point} should be d / length, {point / true}"
        )
    slope = mg.grad(safe_length)(np.zeros(3))
    assert np.isfinite(slope).all(), f"the gradient at 0 is {slope}"
    assert np.isfinite(movement(safe_length)[1]).all(), (
        "the gradient of the movement is still NaN"
    )


exercise(2, check_2, safe_length)

# %% [markdown]
# ## 4. `where` does not protect
#
# A famous trap: choose the good elements with `where` *after* the op.

# %%
x = np.array([0.0, 4.0])
chosen = np.where(x > 0, np.sqrt(x), 0.0)
print("forward ", chosen)
g = np.where(x > 0, 1.0, 0.0)  # where sends a gradient only to chosen elements
print("backward", g * (0.5 / np.sqrt(x)), "by the chain rule")

# %% [markdown]
# The forward pass is fine. In the backward pass `where` sends 0 to the element that it did not choose, and the chain
# rule multiplies it by the slope of the root: `0 * inf` is NaN. PyTorch and JAX compute it in this way. minigrad
# remembers which zeros come from a choice and sends nothing back from there:

# %%
leaf = mg.tensor(x, requires_grad=True)
np.where(x > 0, np.sqrt(leaf), 0.0).sum().backward()
print("minigrad", leaf.grad)
assert np.array_equal(leaf.grad, [0, 0.25])

# %% [markdown]
# Do not rely on it. Even the forward pass computes values that nobody wants, with warnings. The remedy works in every
# library: choose *twice*, the first time before the op, and put something harmless where the op has no answer.
#
# ### Exercise 3
#
# Write `log(x)` where `x` is positive, and 0 elsewhere. No logarithm may ever see a number that is not positive. (The
# check makes NumPy raise an error if one does.)


# %%
def log_or_zero(x):
    return ...


def check_3(log_or_zero):
    x = np.array([-2.0, 0.0, 1.0, 4.0])
    with np.errstate(all="raise"):
        try:
            found = log_or_zero(x)
        except FloatingPointError:
            raise AssertionError(
                "a logarithm still sees 0 or a negative number. Replace these "
                "elements in its operand, with another np.where inside"
            ) from None
    assert np.allclose(found, [0, 0, 0, np.log(4)]), f"it returned {found}"
    g = mg.grad(lambda x: log_or_zero(x).sum())(x)
    assert np.allclose(g, [0, 0, 1, 0.25]), f"the gradient is {g}"


exercise(3, check_3, log_or_zero)

# %% [markdown]
# ## 5. The same function, another formula
#
# Often the function is harmless and only the formula is not. `log(1 / (1 + exp(-x)))`, the log of a sigmoid, is about
# `x` for very negative `x`. The formula overflows on the way: `exp(1000)` is infinite. The table compares naive
# formulas and those of minigrad, at -1000 and 1000.

# %%
formulas = {
    "log sigmoid": (
        lambda x: np.log(1 / (1 + np.exp(-x))),
        lambda x: -mg.softplus(-x),
    ),
    "log sum exp": (
        lambda x: np.log(np.exp(x) + np.exp(x + 1)),
        lambda x: mg.logsumexp(np.stack([x, x + 1])),
    ),
    "cross-entropy": (
        lambda x: -np.log(mg.softmax(np.stack([x, 0]))[0]),
        lambda x: mg.cross_entropy(np.stack([x, 0]), 0),
    ),
}
print("                        naive          stable")
print("                  value slope     value slope")
for name, (naive, stable) in formulas.items():
    for point in (-1000.0, 1000.0):
        v, s = mg.value_and_grad(naive)(point)
        good, slope = mg.value_and_grad(stable)(point)
        print(f"{name:13}{point:6.0f}{v:5.0f}{s:6.1f}{good:10.1f}{slope:6.1f}")
        assert np.isfinite([good, slope]).all()

# %% [markdown]
# Read the third row, "log sum exp" at -1000. The right answer is -998.7. The naive formula adds two numbers that are
# too small to store, and takes the logarithm of 0. The cure for this family is always the same: **subtract the
# largest before you take the exponential**.
#
# ```text
# log(sum(exp(x))) = m + log(sum(exp(x - m)))     for any m
# ```
#
# With `m = max(x)` the largest exponential is `exp(0) = 1`. Nothing overflows, and the sum is at least 1.
#
# ### Exercise 4
#
# Write it for a vector, with NumPy's functions only.


# %%
def log_sum_exp(x):
    return ...


def check_4(log_sum_exp):
    points = ([0.0, 1.0, 2.0], [-1000.0, -999.0], [1000.0, 999.0, 0.0])
    for x in map(np.array, points):
        value, slope = mg.value_and_grad(log_sum_exp)(x)
        expected = mg.logsumexp(x)
        assert np.isclose(value, expected), (
            f"for {x} the value is {expected:.3f}, not {value}"
        )
        assert np.allclose(slope, mg.softmax(x)), (
            f"for {x} the gradient is softmax(x), not {slope}"
        )


exercise(4, check_4, log_sum_exp)

# %% [markdown]
# ### Exercise 5
#
# A network that answers yes or no returns one number `a`, the **logit**; `p = sigmoid(a)` is its probability of
# "yes". With the target `y`, 0 or 1, its loss is
#
# ```text
# loss = -y log(p) - (1 - y) log(1 - p)
# ```
#
# Write it as a function of `a`, without an overflow. (Hint: with `-log(sigmoid(a)) = softplus(-a)` and
# `1 - sigmoid(a) = sigmoid(-a)` two terms remain. `mg.softplus` is stable.)


# %%
def yes_or_no_loss(a, y):
    return ...


def check_5(yes_or_no_loss):
    for a, y in ((0.3, 1.0), (-1.5, 0.0), (2.0, 0.0)):
        p = 1 / (1 + np.exp(-a))
        expected = -np.log(p if y else 1 - p)
        value = float(np.asarray(yes_or_no_loss(a, y)))
        assert np.isclose(value, expected), (
            f"for a = {a}, y = {y:.0f} the loss is {expected:.4f}, not {value}"
        )
    for a, y, loss, slope in (
        (800, 0, 800, 1),
        (-800, 1, 800, -1),
        (800, 1, 0, 0),
    ):
        found = mg.value_and_grad(yes_or_no_loss)(float(a), float(y))
        assert np.allclose(found, (loss, slope)), (
            f"for a = {a}, y = {y} loss and slope are {(loss, slope)}, not "
            f"{float(found[0]), float(found[1])}"
        )


exercise(5, check_5, yes_or_no_loss)

# %% [markdown]
# ## What to remember
#
# - A NaN spreads to everything that is computed from it, and through shared weights to the whole network. Look for
#   the first one.
# - `with mg.debug():` raises an error at the first op, forward or backward, that makes a NaN or an infinity. It names
#   the time step and your line.
# - A finite forward pass can have an infinite slope: a root at 0, a length of 0.
# - `where` after the op comes too late. Choose a harmless operand before it.
# - Subtract the largest before an exponential, or use a function that does: `logsumexp`, `softplus`, `cross_entropy`.
#
# **Next:** lesson 9 is about what the backward pass has to keep in memory.
#
# ## Solutions


# %% tags=["hide-cell"]
def first_bad_step_solution(states):
    bad = np.flatnonzero(~np.isfinite(states).all(axis=1))
    return bad[0] if len(bad) else None


def safe_length_solution(d):
    return np.sqrt((d * d).sum() + 1e-12)


def log_or_zero_solution(x):
    positive = np.asarray(x > 0)
    return np.where(positive, np.log(np.where(positive, x, 1.0)), 0.0)


def log_sum_exp_solution(x):
    m = np.max(x)
    return m + np.log(np.sum(np.exp(x - m)))


def yes_or_no_loss_solution(a, y):
    return y * mg.softplus(-a) + (1 - y) * mg.softplus(a)


solution(1, check_1, first_bad_step_solution)
solution(2, check_2, safe_length_solution)
solution(3, check_3, log_or_zero_solution)
solution(4, check_4, log_sum_exp_solution)
solution(5, check_5, yes_or_no_loss_solution)
