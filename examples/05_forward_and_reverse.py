# %% [markdown]
# # Lesson 5: forward and reverse
#
# The reverse sweep walks *back*, so it can only start when the program has ended, and it needs what was kept on the
# way. For a sequence that never ends, or one that does not fit into memory, this is a problem. But nothing forces us to
# go back. The chain rule can be multiplied out from the other side as well, together with the computation itself.
#
# That is **forward mode**. It is easier to understand than reverse mode, it keeps nothing, and for most networks it is
# far too slow. In this lesson you build it, compare the two, and see when each of them wins.
#
# **You need:** lessons 0 to 3. Lesson 4 is not necessary.
#
# **You will be able to** write a forward-mode engine, say how many sweeps a derivative costs in each mode, choose the
# cheaper one, and explain real-time recurrent learning.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import math
import time

import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Carry the derivative along
#
# Let each number carry a second one: how fast it changes when the input changes. It is called the **tangent** of the
# number. The pair is a **dual number**. Each operation computes both.


# %%
class Dual:
    """A number, and how fast it changes."""

    def __init__(self, value, tangent=0.0):
        self.value, self.tangent = value, tangent

    def __add__(self, other):
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __mul__(self, other):
        tangent = self.tangent * other.value + self.value * other.tangent
        return Dual(self.value * other.value, tangent)

    def tanh(self):
        out = math.tanh(self.value)
        return Dual(out, (1 - out * out) * self.tangent)


# %% [markdown]
# These are the sum rule, the product rule and the chain rule, as you learned them at school. There is no graph, no
# order and no second walk. Here is the program of lesson 0, `tanh(x * y + x)`. The tangent of `x` is 1 and that of `y`
# is 0: we ask how the result changes when only `x` changes.

# %%
x, y = Dual(0.5, 1.0), Dual(-0.8, 0.0)
product = x * y
total = product + x
result = total.tanh()

labels = {x: "x", y: "y", product: "*", total: "+", result: "tanh"}
parents = {product: [x, y], total: [product, x], result: [total]}
mg.draw_graph(
    {
        d: f"{s}\n{d.value:.3f}\ntangent {d.tangent:.3f}"
        for d, s in labels.items()
    },
    parents,
)

# %% [markdown]
# Read it from the bottom to the top. The product changes at the rate -0.8, the value of `y`. The sum changes at the
# rate -0.8 + 1 = 0.2. tanh multiplies it by its slope 0.990, and the result is **0.198**, the same as in lesson 0.
#
# But this is only the derivative by `x`. For the derivative by `y` we have to run the program again, with the tangents
# 0 and 1. Compare it with lesson 0: there, one walk back gave both.
#
# ### Exercise 1
#
# Write division for dual numbers. The derivative of `a / b` is `(a' b - a b') / b**2`.


# %%
def divide(a, b):
    return ...


def check_1(divide):
    for a, b in (
        ((6.0, 1.0), (2.0, 0.0)),
        ((6.0, 0.0), (2.0, 1.0)),
        ((1.0, 3.0), (-4.0, 5.0)),
    ):
        found = divide(Dual(*a), Dual(*b))
        assert isinstance(found, Dual), "return a Dual"
        value, tangent = mg.jvp(lambda a, b: a / b, (a[0], b[0]), (a[1], b[1]))
        assert np.isclose(found.value, value), f"the value is {found.value}"
        assert not np.isclose(found.tangent, -tangent), "the sign is wrong"
        assert np.isclose(found.tangent, tangent), (
            f"for {a} / {b} the tangent is {tangent:.4f}, not {found.tangent:.4f}"
        )


exercise(1, check_1, divide)

# %% [markdown]
# ## 2. Columns and rows
#
# Let `f` have `n` inputs and `m` outputs. All its derivatives form a matrix of `m` rows and `n` columns, the
# **Jacobian** `J`. Row `i` has the derivatives of output `i`. Column `j` says how all outputs change with input `j`.

# %%
A = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])


def f(v):
    return np.tanh(A @ v)


v = np.array([0.1, 0.2, 0.3])
J = mg.jacobian(f)(v)
print(J.round(3))

# %% [markdown]
# Neither mode computes `J` itself. Each computes a product with it:
#
# - **Forward**: give a tangent `t` for the inputs, and get `J t`, the tangent of the outputs. In minigrad: `mg.jvp`,
#   the Jacobian-vector product. With `t = (0, 1, 0)` it is column 1.
# - **Reverse**: give a gradient `u` for the outputs, and get `u J`, the gradient of the inputs. In minigrad: `mg.vjp`,
#   the vector-Jacobian product. With `u = (1, 0)` it is row 0.

# %%
value, column = mg.jvp(f, (v,), (np.array([0.0, 1.0, 0.0]),))
value, pull_back = mg.vjp(f, v)
(row,) = pull_back(np.array([1.0, 0.0]))
print("column 1:", column.round(3))
print("row 0:   ", row.round(3))

# %% [markdown]
# Both contain the number in row 0 and column 1, each from another direction. In general, for every `u` and every `t`:
#
# ```text
# u . (J t)  =  (u J) . t
# ```
#
# It is the dot product test of lesson 3, and it checks one mode with the other.

# %%
u, t = (
    np.random.default_rng(0).normal(size=2),
    np.random.default_rng(1).normal(size=3),
)
_, change = mg.jvp(f, (v,), (t,))
print(f"u . (J t) = {u @ change:.15f}")
print(f"(u J) . t = {pull_back(u)[0] @ t:.15f}")
assert np.isclose(u @ change, pull_back(u)[0] @ t)

# %% [markdown]
# ### Exercise 2
#
# Compute the whole Jacobian of `f` at the vector `v`, column by column, with `mg.jvp` only.


# %%
def jacobian_by_columns(f, v):
    return ...


def check_2(jacobian_by_columns):
    B = np.random.default_rng(2).normal(size=(4, 2))
    for g, point in ((f, v), (lambda x: np.exp(B @ x) * x[0], np.ones(2))):
        answer = np.asarray(jacobian_by_columns(g, point))
        right = mg.jacobian(g)(point)
        assert answer.shape != right.T.shape, (
            f"shape {answer.shape}: you stacked the columns as rows"
        )
        assert answer.shape == right.shape, (
            f"shape {answer.shape}, not {right.shape}"
        )
        assert np.allclose(answer, right), "wrong numbers"


exercise(2, check_2, jacobian_by_columns)

# %% [markdown]
# ## 3. Which one is cheaper?
#
# ```text
#              one sweep gives    the whole Jacobian needs    it keeps
# forward      a column           n sweeps, one per input     nothing
# reverse      a row              m sweeps, one per output    what the rules need
# ```
#
# A loss is one number, and a network has many weights: `m = 1` and `n` is large. Reverse mode gives the whole gradient
# in a single sweep. That is why almost all deep learning uses it. Count and measure:

# %%
layers = np.random.default_rng(0).normal(size=(10, 30, 30)) / 30**0.5


def network(x):
    for matrix in layers:
        x = np.tanh(matrix @ x)
    return x


def milliseconds(function, point, mode):
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        mg.jacobian(function, mode=mode)(point)
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


cases = {
    "30 inputs,  1 output": (lambda x: network(x).sum(), np.ones(30)),
    " 1 input,  30 outputs": (lambda s: network(s * np.ones(30)), 1.0),
}
print("                       forward            reverse")
for name, (function, point) in cases.items():
    n, m = np.size(point), np.size(function(point))
    forward = milliseconds(function, point, "forward")
    reverse = milliseconds(function, point, "reverse")
    print(f"{name:21}  {n:2} sweeps {forward:5.1f} ms", end="")
    print(f"  {m:2} sweeps {reverse:5.1f} ms")

# %% [markdown]
# In the first line reverse mode wins by far, in the second forward mode. The times depend on your machine, the numbers
# of sweeps do not. (In minigrad a single forward sweep costs more than a reverse one. It has rules for reverse mode
# only, and computes `J t` from them, over a recorded graph. So it does keep arrays; `Dual` does not.)
#
# ### Exercise 3
#
# How fast does a loss change when all weights move along a given direction? One number is asked for, whatever the
# number of weights. Write `slope_along(loss, w, direction)` with a single sweep of forward mode.


# %%
def slope_along(loss, w, direction):
    return ...


def check_3(slope_along):
    rng = np.random.default_rng(3)
    for size in (2, 50):
        w, direction = rng.normal(size=size), rng.normal(size=size)
        calls = []

        def loss(w, calls=calls):
            calls.append(w)
            return (np.tanh(w) ** 2).sum()

        answer = slope_along(loss, w, direction)
        assert np.shape(answer) == (), f"one number, not shape {np.shape(answer)}"
        assert len(calls) == 1, (
            f"the loss was computed {len(calls)} times, not once"
        )
        out = np.tanh(w)
        right = (2 * out * (1 - out**2)) @ direction
        assert np.isclose(answer, right), (
            f"the slope is {right:.4f}, not {answer:.4f}"
        )


exercise(3, check_3, slope_along)

# %% [markdown]
# ## 4. A sequence without an end
#
# Here is a recurrent network with a single weight, `h = tanh(w * h + x)`, and a loss at each step.


# %%
def loss_of_sequence(w, xs):
    h = total = 0.0
    for x in xs:
        h = np.tanh(w * h + x)
        total = total + h * h
    return total


w = mg.tensor(0.9, requires_grad=True, name="w")
mg.draw(loss_of_sequence(w, [0.5, -0.3, 0.8, 0.1]))

# %% [markdown]
# Reverse mode is called **backpropagation through time** here. It has to wait for the last step, and to keep every box
# of this picture until then. The longer the sequence, the more memory.
#
# Forward mode carries two numbers from step to step: the state `h`, and its tangent `dh/dw`. At each step it can say
# what the gradient is so far, and it keeps nothing else. This is **real-time recurrent learning**, RTRL (Williams and
# Zipser, 1989). You can learn while the sequence is still coming in.
#
# Then why is it rarely used? A network with `k` units has `k * k` recurrent weights. Each of the `k` states has a
# tangent for each of them:

# %%
print("units  numbers to carry: state   tangents")
for k in (1, 10, 100, 1000):
    print(f"{k:5}  {k:23,} {k**3:16,}")

# %% [markdown]
# With 1000 units these are a thousand million numbers, and all of them change at every step. Reverse mode keeps about
# 1000 numbers for each step. It pays for the *length* of the sequence, forward mode for the *number of weights*.
#
# ### Exercise 4
#
# Write RTRL for this network. `rtrl(w, xs)` returns the loss and its derivative by `w`, in one pass over `xs`, with
# plain numbers and `math.tanh`. `xs` is an iterator: you can go through it only once, and you may not store it.


# %%
def rtrl(w, xs):
    return ...  # loss, gradient


def check_4(rtrl):
    rng = np.random.default_rng(4)
    for length in (1, 2, 50):
        xs = rng.normal(size=length).tolist()
        answer = rtrl(0.9, iter(xs))
        assert len(answer) == 2, "return two numbers: loss, gradient"
        loss, g = mg.value_and_grad(loss_of_sequence)(0.9, xs)
        assert np.isclose(answer[0], loss), f"the loss is {loss:.4f}"
        if length == 2:
            out = [math.tanh(xs[0])]
            out.append(math.tanh(0.9 * out[0] + xs[1]))
            half = out[1] * (1 - out[1] ** 2) * out[0]
            assert not np.isclose(answer[1], half), (
                "the derivative of h*h is 2*h*h'"
            )
        if length == 50:
            assert np.isclose(answer[1], g), (
                f"the gradient is {g:.4f}, not {answer[1]:.4f}. The tangent of "
                "w * h has two parts: w and h both change"
            )
        assert np.isclose(answer[1], g), f"wrong gradient for {length} steps"


exercise(4, check_4, rtrl)

# %% [markdown]
# ## 5. Both together
#
# A gradient is a function of `n` numbers that gives `n` numbers, so it has a Jacobian too: the **Hessian** `H`, all
# second derivatives of the loss. For a million weights nobody can store it. But often one product `H t` is enough, for
# example to find out how strongly the loss curves along a direction. It is the *forward* derivative of the *reverse*
# one: two sweeps, and no matrix (Pearlmutter, 1994).


# %%
def loss(x):
    return (network(x) ** 2).sum()


point, t = np.ones(30), np.random.default_rng(5).normal(size=30)
(product,) = mg.hvp(loss, (point,), (t,))
print(
    "agrees with the whole Hessian:",
    np.allclose(product, mg.hessian(loss)(point) @ t),
)
assert np.allclose(product, mg.hessian(loss)(point) @ t)

# %% [markdown]
# ## What to remember
#
# - Forward mode carries a tangent along with each value. It computes `J t`, a column, in one sweep, and keeps nothing.
# - Reverse mode sends a gradient back. It computes `u J`, a row, in one sweep, and needs what was kept.
# - One output and many inputs: reverse. One input and many outputs: forward.
# - `u . (J t) = (u J) . t` checks one mode with the other.
# - Backpropagation through time is reverse mode. Real-time recurrent learning is forward mode: no memory for the past,
#   but a tangent for each weight and each unit.
#
# **Next:** lesson 6 differentiates a gradient, and shows why minigrad needs no new rules for it.
#
# ## Solutions


# %% tags=["hide-cell"]
def divide_solution(a, b):
    tangent = (a.tangent * b.value - a.value * b.tangent) / b.value**2
    return Dual(a.value / b.value, tangent)


def jacobian_by_columns_solution(f, v):
    columns = [mg.jvp(f, (v,), (t,))[1] for t in np.eye(len(v))]
    return np.stack(columns, axis=1)


def slope_along_solution(loss, w, direction):
    return mg.jvp(loss, (w,), (direction,))[1]


def rtrl_solution(w, xs):
    h = dh = total = gradient = 0.0
    for x in xs:
        new = math.tanh(w * h + x)
        h, dh = new, (1 - new * new) * (h + w * dh)
        total, gradient = total + h * h, gradient + 2 * h * dh
    return total, gradient


solution(1, check_1, divide_solution)
solution(2, check_2, jacobian_by_columns_solution)
solution(3, check_3, slope_along_solution)
solution(4, check_4, rtrl_solution)
