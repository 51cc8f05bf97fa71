# %% [markdown]
# # Lesson 7: checking a gradient
#
# A mistake in the forward pass shows: the answers are wrong. A mistake in a *derivative* hides. No error is raised,
# the loss falls, and the network learns worse than it could.
#
# So we need a second way to compute a derivative that shares nothing with the first, and a comparison that says which
# element is wrong.
#
# **You need:** lessons 4 and 5 (your own op, `mg.jvp` and `mg.vjp`), and Taylor's formula for `f(x + h)`.
#
# **You will be able to** choose the step of a finite difference, check any rule or model with `mg.check_grads`, and
# repair a program that loses a part of its gradient.
#
# **Time:** about 45 minutes, 5 exercises.

# %%
import textwrap

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. A mistake without an error
#
# The slope of tanh is `1 - out**2`. Somebody forgot the square. We train the same network twice, from the same start,
# once with the right rule and once with the wrong one. The task is to learn one period of a sine.
#
# Predict: will the wrong one learn anything?


# %%
@mg.custom_op(lambda out: 1 - out, kind="elementwise")
def wrong_tanh(x):
    return np.tanh(x)


inputs = np.linspace(-1, 1, 41)[:, None]
targets = np.sin(np.pi * inputs)


def train(tanh, updates=400):
    first = rnn.Linear(1, 10, dtype=np.float64, rng=0)
    second = rnn.Linear(10, 1, dtype=np.float64, rng=1)
    parameters = [*first.parameters(), *second.parameters()]
    optimizer = rnn.SGD(parameters, lr=0.2)
    losses = []
    for _ in range(updates):
        optimizer.zero_grad()
        loss = ((second(tanh(first(inputs))) - targets) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


right, wrong = train(np.tanh), train(wrong_tanh)
print("update   right    wrong")
for update in (1, 10, 50, 100, 400):
    print(f"{update:5} {right[update - 1]:9.4f} {wrong[update - 1]:8.4f}")
assert wrong[-1] < 0.5 * wrong[0]
assert wrong[-1] > 3 * right[-1]

# %% [markdown]
# It does learn. The loss falls, quickly at first. If you had only the last column, you would think that the network
# is too small or that the learning rate is bad. The gradient points *roughly* in the right direction, and that is
# enough to make progress.
#
# ## 2. Finite differences, and how small to make the step
#
# The second way needs no rule at all. Move the input by `h` and look at the change of the result:
#
# ```text
# forward difference   (f(x + h) - f(x)) / h            error about h * f''(x) / 2
# central difference   (f(x + h) - f(x - h)) / (2 h)    error about h**2 * f'''(x) / 6
# ```
#
# The errors come from Taylor's formula: they are the terms that the quotient cuts off.
#
# ### Exercise 1
#
# Write the central difference for a function of a *vector*: one number for each element of `x`. Do not change the
# caller's `x`.


# %%
def central_difference(f, x, h):
    return ...


def check_1(central_difference):
    def f(x):
        return float(x[0] ** 2 * x[1] + 3 * x[2])

    x = np.array([2.0, 5.0, -1.0])
    found = central_difference(f, x, 1e-4)
    assert np.array_equal(x, [2.0, 5.0, -1.0]), "your function changed x: copy it"
    assert np.shape(found) == (3,), (
        f"return one slope for each element, shape (3,), not {np.shape(found)}"
    )
    assert not np.allclose(found, [40, 8, 6], atol=0.01), (
        "you moved by 2 h, so divide by 2 h"
    )
    assert np.allclose(found, [20, 4, 3], atol=1e-6), (
        f"it returned {found}, not [20, 4, 3]. A forward difference is not as "
        "accurate as a central one"
    )
    coarse = central_difference(lambda x: float(x[0] ** 3), np.array([2.0]), 1.0)
    assert np.allclose(coarse, 13), (
        "for x**3 at 2 with h = 1 the central difference is (27 - 1) / 2 = 13, "
        f"not {coarse[0]}"
    )


exercise(1, check_1, central_difference)

# %% [markdown]
# A smaller `h` cuts off less. So take `h` as small as possible? Try it. The function is a well-known test (Squire and
# Trapp, 1998), and we know its slope from paper. Each star is one correct digit.


# %%
def f(x):
    return np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)


x, s, c = 1.5, np.sin(1.5), np.cos(1.5)
inner_slope = 3 * s * s * c - 3 * c * c * s
exact = f(x) * (1 - 0.5 * inner_slope / (s**3 + c**3))


def digits(found):
    """Return a star for each correct digit."""
    error = abs(found - exact) / abs(exact)
    return "*" * int(-np.log10(max(error, 1e-16)))


print("     h   forward           central")
for k in range(1, 15):
    h = 10.0**-k
    forward = (f(x + h) - f(x)) / h
    central = (f(x + h) - f(x - h)) / (2 * h)
    print(f"1e-{k:02}   {digits(forward):17} {digits(central)}")

# %% [markdown]
# Read each column from above. First the number of digits grows: by one for each line with the forward difference,
# whose error is proportional to `h`; by two with the central difference. Then it shrinks again, by one for each line.
# Why?
#
# `f(x + h)` and `f(x - h)` share more and more leading digits, and the subtraction cancels them. What remains is
# rounding error, about `eps * f(x)`, and it is divided by `h`. (`eps` is the distance from 1 to the next larger
# number: 2.2e-16 in float64, 1.2e-7 in float32.) The best step balances the two errors:
#
# ```text
# forward   h     = eps / h   gives   h = eps**(1/2)
# central   h**2  = eps / h   gives   h = eps**(1/3)
# ```
#
# So even the best finite difference has only about two thirds of the digits. That is enough to find a mistake, and
# the reason why checks are done in float64.
#
# ### Exercise 2
#
# A central difference of fourth order uses four points, and what it cuts off is proportional to `h**4`. Which step is
# best for it? Return `h` for a given `eps`.


# %%
def best_step(eps):
    return ...


def check_2(best_step):
    for dtype in (np.float64, np.float32):
        eps = float(np.finfo(dtype).eps)
        h = best_step(eps)
        assert not np.isclose(h, eps**0.25), (
            "nearly: h**4 = eps / h, so h**5 = eps"
        )
        assert np.isclose(h, eps**0.2, rtol=0.1), (
            f"for eps = {eps:.1e} the errors balance at another h than {h:.1e}"
        )


exercise(2, check_2, best_step)

# %% [markdown]
# There is a way around the cancellation. Take the step in the *imaginary* direction:
#
# ```text
# f(x + i h) = f(x) + i h f'(x) - h**2 f''(x) / 2 - ...
# ```
#
# The imaginary part, divided by `h`, is the slope. Nothing is subtracted, so `h` may be as small as you like.

# %%
print("complex step", f(x + 1e-200j).imag / 1e-200)
print("minigrad    ", mg.grad(f)(x))
print("on paper    ", exact)
print("abs at 1.5: complex step", np.abs(1.5 + 1e-200j).imag / 1e-200, end="")
print(", minigrad", mg.grad(np.abs)(1.5))
assert np.isclose(mg.grad(f)(x), exact, rtol=1e-14)

# %% [markdown]
# The three agree to the last digit or two: nothing is cancelled. A reverse sweep uses no differences either. The last
# line is the catch. `abs` of a complex number has no imaginary part, so the complex step finds 0 where the slope is
# 1. The method needs functions that are **analytic**, made of sums, products, `exp`, `sin` and the like.
#
# ## 3. `check_grads`
#
# `mg.check_grads(f, x)` does all this for you: central differences of fourth order, in float64, with smaller steps if
# the first do not agree, for each element of each argument; and it tests the forward mode too. If all is right it is
# silent. If not, it raises `GradientError` and says where.


# %%
def report(name, f, *arguments, **options):
    try:
        mg.check_grads(f, *arguments, **options)
    except mg.GradientError as error:
        print(textwrap.fill(f"{name}: {error}", 80, subsequent_indent="    "))
    else:
        print(f"{name}: passes")


report("tanh", np.tanh, np.array([0.5, -1.0]))
report("wrong_tanh", wrong_tanh, np.array([0.5, -1.0]))

# %% [markdown]
# Read the second line: which mode, which argument, which element, what a finite difference says and what the rule
# says. (The two numbers are not the slopes 0.786 and 0.538 themselves. The result of `f` may be an array, so
# `check_grads` multiplies its elements by random weights and adds them up. A random sum exposes mistakes that a plain
# sum could hide.)
#
# ### Exercise 3
#
# A cheap relative of tanh is `x / sqrt(1 + x**2)`. The rule below is wrong. Return the right rule, a function of `x`.
# (Take the derivative of the quotient on paper, and simplify.)


# %%
def root_unit_rule(x):
    return ...  # somebody wrote 1 / np.sqrt(1 + x**2)


def check_3(root_unit_rule):
    @mg.custom_op(lambda x: root_unit_rule(x), kind="elementwise")
    def root_unit(x):
        return x / np.sqrt(1 + x**2)

    assert root_unit_rule(0.0) == 1, (
        f"the slope at 0 is 1, not {root_unit_rule(0.0)}"
    )
    mg.check_grads(root_unit, np.array([0.5, 2.0, 10.0]))
    mg.check_grads(root_unit, np.array([-0.5, -2.0, -10.0]))
    mg.check_grads(root_unit, np.array([0.5, -2.0]), order=2)


exercise(3, check_3, root_unit_rule)

# %% [markdown]
# A whole model is checked the same way. With `parameters=` the weights are tested too: here all weights of a
# recurrent cell, over three steps.

# %%
cell = rnn.RNNCell(2, 3, rng=0)
sequence = np.random.default_rng(0).normal(size=(3, 1, 2))


def three_steps(h):
    for x in sequence:
        h = cell(x, h)
    return h


report("cell", three_steps, np.zeros((1, 3)), parameters=cell.parameters())

# %% [markdown]
# ## 4. When the rules are right and the program is wrong
#
# Every rule in the next program is right. It divides a vector by its length, so that the result has length 1.
# Somebody took the length from `x.data`, "because it is only a scale".


# %%
def unit_vector(x):
    return x / np.sqrt((x.data**2).sum())


report("unit_vector", unit_vector, np.array([3.0, 4.0]))

x = mg.tensor([3.0, 4.0], requires_grad=True, name="x")
mg.draw(unit_vector(x), show=("shape", "value"), names={"x": x})

# %% [markdown]
# The picture explains the failure: the length is a constant, 5. It *was* computed from `x`, but on plain arrays, so
# no gradient can reach `x` through it. The engine differentiates the program that it sees: `x / 5`.
#
# With NumPy's functions on `x` itself the length is a part of the graph. Two paths (red) lead from `x` to the result,
# and the gradient is a sum over both.


# %%
def repaired(x):
    length = np.sqrt((x * x).sum())
    return x / length, length


report("repaired", lambda x: repaired(x)[0], np.array([3.0, 4.0]))

result, length = repaired(x)
mg.draw(
    result,
    show=("shape", "value"),
    names={"x": x, "length": length, "result": result},
    highlight=(result, x),
)

# %% [markdown]
# ### Exercise 4
#
# To standardise data means to give it mean 0 and standard deviation 1. Repair the program below: the same values,
# with the whole gradient.


# %%
def standardised(x):
    return ...  # somebody wrote (x - x.data.mean()) / x.data.std()


def check_4(standardised):
    for point in (np.array([3.0, 4.0, 8.0]), np.array([1.0, -2.0, 2.0, 0.5])):
        found = standardised(mg.tensor(point))
        assert np.allclose(found, (point - point.mean()) / point.std()), (
            f"{point} became {found}"
        )
        try:
            mg.check_grads(standardised, point)
        except mg.GradientError as error:
            raise AssertionError(
                "a part of the gradient is still missing: the mean and the "
                f"deviation must both be in the graph. {error}"
            ) from None


exercise(4, check_4, standardised)

# %% [markdown]
# ## 5. Kinks
#
# At a kink there is no derivative. `relu(x) = max(x, 0)` has slope 0 on the left of 0 and slope 1 on the right, so an
# engine must choose. minigrad takes 0 there, and equal shares where two elements tie for a maximum:

# %%
for name, function in (("relu", mg.relu), ("abs", np.abs)):
    left = (function(0.0) - function(-1e-4)) / 1e-4
    at_0, up = mg.grad(function)(0.0), function(1e-4) / 1e-4
    print(f"{name:5} slope on the left {left:4.1f}, minigrad {at_0}, right {up}")
print("max  ", mg.grad(np.max)(np.array([1.0, 3.0, 3.0])))

steep = mg.custom_op(
    lambda x: np.where(np.equal(x, 0), 2.0, np.greater(x, 0)), kind="elementwise"
)(lambda x: np.maximum(x, 0))
report("relu at 0", mg.relu, np.zeros(1))
report("relu with slope 2 at 0", steep, np.zeros(1))

# %% [markdown]
# A central difference at 0 says 1/2, which agrees with no rule. So `check_grads` looks at both sides: if they do not
# approach each other when `h` shrinks, it is a kink, and any slope between the two is accepted. A slope of 2 is not.
#
# ## 6. A check without differences
#
# Sometimes you write the two directions by hand, as plain NumPy: a linear function `forward(v)`, which computes
# `J v`, and its transpose `back(u)`, which computes `J.T u`. For any `u` and `v` they must fit together, because
#
# ```text
# sum(u * (J v)) = sum((J.T u) * v)
# ```
#
# This **dot-product test** has no step to choose and is exact up to rounding. Here is a running sum and its
# transpose:


# %%
def dot_product_test(forward, back, size, seed=0):
    """Return the difference of the two sides for random v and u."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=size)
    u = rng.normal(size=np.shape(forward(v)))
    return abs((u * forward(v)).sum() - (back(u) * v).sum())


def sum_from_the_end(u):
    return np.cumsum(u[::-1])[::-1]


print(f"running sum: {dot_product_test(np.cumsum, sum_from_the_end, 6):.0e}")
print(f"the wrong transpose: {dot_product_test(np.cumsum, np.cumsum, 6):.2f}")
assert dot_product_test(np.cumsum, sum_from_the_end, 6) < 1e-12

# %% [markdown]
# Element `t` of the running sum adds up everything until `t`. So element `t` of the input receives the gradient of
# everything *from* `t` on. (minigrad derives its forward mode from the same rule as the reverse mode, so there the
# two always fit. A wrong rule is then wrong in both, and only a finite difference finds it.)
#
# ### Exercise 5
#
# `np.diff(x)` has one element less than `x`: element `t` is `x[t+1] - x[t]`. Write its transpose. It receives `u` and
# returns an array with one element more. Each `x[t]` is used at most twice: once with a plus, once with a minus.


# %%
def diff_transposed(u):
    return ...


def check_5(diff_transposed):
    for size in (2, 3, 7):
        found = diff_transposed(np.ones(size - 1))
        assert np.shape(found) == (size,), (
            f"for u with {size - 1} elements return {size}, not "
            f"an array of shape {np.shape(found)}"
        )
        gap = dot_product_test(np.diff, diff_transposed, size)
        flipped = dot_product_test(np.diff, lambda u: -diff_transposed(u), size)
        assert flipped > 1e-12, "the sign is wrong: x[t+1] has the plus"
        assert gap < 1e-12, (
            f"the test finds a difference of {gap:.2f} for x of size {size}"
        )


exercise(5, check_5, diff_transposed)

# %% [markdown]
# ## What to remember
#
# - A wrong derivative raises no error. The loss may fall all the same.
# - The step of a finite difference must be neither large nor tiny: `eps**(1/2)` for a forward, `eps**(1/3)` for a
#   central difference. Check in float64.
# - `mg.check_grads(f, x)` says which element of which argument is wrong. Use it for each rule that you write, at
#   several points.
# - A check also finds programs that lose the graph on their way, although every rule is right.
#
# **Next:** lesson 8 is about numbers that are no numbers.
#
# ## Solutions


# %% tags=["hide-cell"]
def central_difference_solution(f, x, h):
    slopes = []
    for i in range(len(x)):
        step = np.zeros(len(x))
        step[i] = h
        slopes.append((f(x + step) - f(x - step)) / (2 * h))
    return np.array(slopes)


def best_step_solution(eps):
    return eps ** (1 / 5)  # h**4 = eps / h


def root_unit_rule_solution(x):
    return (1 + x**2) ** -1.5


def standardised_solution(x):
    return (x - np.mean(x)) / np.std(x)


def diff_transposed_solution(u):
    received = np.zeros(len(u) + 1)
    received[1:] += u
    received[:-1] -= u
    return received


solution(1, check_1, central_difference_solution)
solution(2, check_2, best_step_solution)
solution(3, check_3, root_unit_rule_solution)
solution(4, check_4, standardised_solution)
solution(5, check_5, diff_transposed_solution)
