# %% [markdown]
# # Lesson 4: an op of your own
#
# You want to try an activation from a new paper. Or a formula that is right on paper gives `inf` in your program, and
# its gradient gives NaN. Or you want the backward pass to do something that no formula says, such as to limit a
# gradient inside the network. In all three cases you need an **op** of your own: a function, and a rule for the
# derivative by each of its operands.
#
# In minigrad an op of your own is a few lines, and afterwards it is like any other: it is recorded, drawn, explained,
# and you can differentiate it twice. The work is to find the rule and to be sure that it is right.
#
# **You need:** lessons 0 to 3, and the product rule and chain rule of derivatives.
#
# **You will be able to** say when a new op is worth it, write elementwise and general rules, make an op stable for
# large numbers, and check what you wrote.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Do you need one?
#
# Often not. If you can write the function with ops that exist, the chain rule does the rest. The activation **swish**
# is `x * sigmoid(b * x)`, where the number `b` is learned as well (Ramachandran, Zoph and Le, 2017).


# %%
def swish(x, b):
    return x * mg.sigmoid(b * x)


mg.check_grads(
    swish, np.linspace(-2, 2, 5), 1.5
)  # silent: all gradients are right

x = mg.tensor(np.linspace(-2, 2, 5), requires_grad=True, name="x")
b = mg.tensor(1.5, requires_grad=True, name="b")
mg.draw(swish(x, b))

# %% [markdown]
# No rule was written, and the gradients are right. There are three good reasons to write an op all the same.
#
# - **Fewer nodes, less memory.** Here each call records three ops, and each keeps arrays until the backward pass.
# - **Stability.** The formula overflows for some inputs, but a better one exists (section 3).
# - **Another backward pass**, on purpose (section 5).
#
# ## 2. Elementwise: the rule is the derivative
#
# An **elementwise** function computes each element of its result from one element of each operand. Then a rule is only
# the derivative, as in a calculus book. `mg.custom_op` takes one rule for each operand, in the same order. With
# `s = sigmoid(b * x)`:
#
# ```text
# d/dx  x * s  =  s + b * x * s * (1 - s)
# d/db  x * s  =  x * x * s * (1 - s)
# ```
#
# A rule may be a lambda or a function with a name.


# %%
def swish_by_x(x, b):
    s = mg.sigmoid(b * x)
    return s + b * x * s * (1 - s)


def swish_by_b(x, b):
    s = mg.sigmoid(b * x)
    return x * x * s * (1 - s)


@mg.custom_op(swish_by_x, swish_by_b, kind="elementwise")
def swish_op(x, b):
    return x * mg.sigmoid(b * x)


mg.check_grads(swish_op, np.linspace(-2, 2, 5), 1.5, order=2)
mg.draw(swish_op(x, b))

# %% [markdown]
# One node instead of three. (`order=2` checks the second derivative as well; section 4 says why it exists.) The names
# of a rule's parameters say what it needs: operands by their names, `out` for the result. The engine keeps exactly
# these. It also multiplies by the gradient that comes back, and sums where NumPy broadcast (`b` is one number, `x` an
# array). How much is kept?


# %%
def kept(y):
    """Return how many different arrays the ops of y keep, and their numbers."""
    arrays = [
        a for node in mg.Graph(y) for a in node.saved or () if a is not None
    ]
    different = {id(a): a for a in arrays}
    return len(different), sum(a.size for a in different.values())


big = mg.tensor(np.linspace(-2, 2, 10_000), requires_grad=True)
for f in (swish, swish_op):
    arrays, numbers = kept(f(big, b))
    print(f"{f.__name__:9} keeps {arrays} arrays with {numbers:6,} numbers")

# %% tags=["remove-cell"]
assert kept(swish(big, b))[1] == 20_001
assert kept(swish_op(big, b))[1] == 10_001

# %% [markdown]
# Half the memory. The price is time: our rules compute the sigmoid again. To keep little and recompute, or to keep much
# and be fast, is a choice that you make with the parameter names of a rule.
#
# And if a rule is wrong? Here the factor `b` is missing. Nothing happens when the op is defined or used; the gradient
# is only wrong. `mg.check_grads` compares with finite differences, which do not use the rule (lesson 7). It
# multiplies the result by random weights and adds it up, to have one number, and compares the derivative of that
# number. So the two numbers in its message are not derivatives of `swish` itself. Look at *which* operand is wrong.


# %%
def without_the_factor(x, b):
    s = mg.sigmoid(b * x)
    return s + x * s * (1 - s)


@mg.custom_op(without_the_factor, swish_by_b, kind="elementwise")
def wrong(x, b):
    return x * mg.sigmoid(b * x)


try:
    mg.check_grads(wrong, np.linspace(-2, 2, 5), 1.5)
except mg.GradientError as error:
    print(error)

# %% [markdown]
# ### Exercise 1
#
# **Softsign** is `x / (1 + abs(x))`: like tanh, but it approaches 1 much more slowly. Make an op of it. Write the
# function, and put `@mg.custom_op(..., kind="elementwise")` with the rule above it. (A wrong parameter name in a rule
# is an error as soon as the op is defined. Read the last line of the message: it lists the names that a rule can
# have. You do not need `mask`.)


# %%
def softsign(x):
    return ...


def check_1(softsign):
    points = np.array([-3.0, -0.5, 0.5, 2.0])
    value = softsign(points)
    assert np.allclose(value, points / (1 + abs(points))), f"the value is {value}"
    assert hasattr(softsign, "op"), "put @mg.custom_op(...) above the function"
    assert softsign.op.kind == "elementwise", (
        'without kind="elementwise" the rule receives g and must multiply by it'
    )
    mg.check_grads(softsign, points, order=2)


exercise(1, check_1, softsign)

# %% [markdown]
# ## 3. Right on paper, wrong in the computer
#
# **Softplus**, `log(1 + exp(x))`, is a smooth form of ReLU. For large `x` it is almost `x`. Predict what the program
# says for 1000.

# %%
points = np.array([-1000.0, 0.0, 1000.0])


def softplus_on_paper(x):
    return np.log(1 + np.exp(x))


with np.errstate(all="ignore"):  # NumPy would warn about the overflow
    print("value   ", softplus_on_paper(points))
    print("gradient", mg.elementwise_grad(softplus_on_paper)(points))

# %% [markdown]
# `exp(1000)` is larger than the largest float, so it becomes `inf`, and the logarithm of `inf` is `inf`. In the
# backward pass the rule of `log` gives `1 / inf = 0`, the rule of `exp` multiplies by `inf`, and `0 * inf` is NaN. One
# such number in a batch is enough: in the next step all weights are NaN.
#
# The cure for the *value* is an identity: `log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x)))`. Now `exp` only sees
# numbers below 0. The cure for the *gradient* is to know what it is: the derivative of softplus is the sigmoid.


# %%
@mg.custom_op(lambda x: mg.sigmoid(x), kind="elementwise")
def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


print("value   ", softplus(points))
print("gradient", mg.elementwise_grad(softplus)(points))
mg.check_grads(softplus, np.array([-2.0, 0.5, 3.0]), order=2)

# %% [markdown]
# (`log1p(z)` is `log(1 + z)`, exact also for tiny `z`.)
#
# ### Exercise 2
#
# `log(cosh(x))` is a loss that is like `x**2 / 2` near 0 and like `abs(x)` far away. But `cosh(1000)` overflows. Write
# it as a stable op. Two facts: `cosh(x) = (exp(x) + exp(-x)) / 2`, and the derivative of `log(cosh(x))` is `tanh(x)`.
# Take `exp(abs(x))` out of the sum.


# %%
def log_cosh(x):
    return ...


def check_2(log_cosh):
    points = np.array([-2.0, -0.3, 0.0, 0.7, 3.0])
    value = log_cosh(points)
    assert np.allclose(value, np.log(np.cosh(points))), f"the value is {value}"
    assert hasattr(log_cosh, "op"), "put @mg.custom_op(...) above the function"
    mg.check_grads(log_cosh, points, order=2)
    with np.errstate(all="ignore"):
        value = log_cosh(np.array([1000.0, -1000.0]))
        g = mg.elementwise_grad(log_cosh)(np.array([1000.0, -1000.0]))
    assert np.isfinite(value).all(), f"at 1000 the value is {value[0]}"
    assert np.allclose(value, 1000 - np.log(2)), (
        f"at 1000 the value is {value[0]}"
    )
    assert np.allclose(g, [1, -1]), f"at 1000 and -1000 the gradient is {g}"


exercise(2, check_2, log_cosh)

# %% [markdown]
# ## 4. General: the rule receives the gradient
#
# In **softmax** each element of the result depends on all elements of the operand. A derivative for each element is not
# enough; there is a whole Jacobian, `J[i, j] = out[i] * ((i == j) - out[j])`. A **general** rule receives the gradient
# `g` of the result, and returns the gradient of the operand, `J.T g`. You never build `J`. Write the product and
# simplify:
#
# ```text
# (J.T g)[j]  =  sum over i of  g[i] * out[i] * ((i == j) - out[j])
#             =  out[j] * (g[j] - sum over i of  g[i] * out[i])
# ```


# %%
@mg.custom_op(
    lambda g, out, axis: out * (g - (g * out).sum(axis=axis, keepdims=True))
)
def softmax(x, *, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


mg.check_grads(softmax, np.random.default_rng(0).normal(size=(3, 4)), order=2)
mg.check_grads(lambda x: softmax(x, axis=0), np.eye(3))
scores = mg.tensor([1.0, 2.0, 3.0], requires_grad=True, name="scores")
print(mg.explain(softmax(scores)[2], scores))

# %% [markdown]
# - Without `kind=`, an op is general. The parameter `g` is what distinguishes its rules.
# - Parameters after `*` are **options**, such as `axis`. A rule can read them by name.
# - `keepdims=True` keeps the summed axis with length 1, so that NumPy can broadcast it back. Without it, a matrix of 3
#   by 4 gives an error, and a square matrix a wrong gradient without an error.
# - The rule is NumPy code and runs on tensors too. That is why `order=2`, the gradient of the gradient, works (lesson
#   6).
#
# ### Exercise 3
#
# `unit(x)` divides each row by its length, so that all rows have length 1. With `n = sqrt((x * x).sum())` of a row, the
# Jacobian is `((i == j) - out[i] * out[j]) / n`. Write the op, for the last axis of any array.


# %%
def unit(x):
    return ...


def divided(x):
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True))


def check_3(unit):
    rng = np.random.default_rng(0)
    for shape in ((3,), (2, 3), (3, 3), (2, 2, 4)):
        x = rng.normal(size=shape)
        value = unit(x)
        assert np.shape(value) == shape, f"shape {np.shape(value)}, not {shape}"
        lengths = np.sqrt((np.asarray(value) ** 2).sum(axis=-1))
        assert np.allclose(lengths, 1), (
            f"for shape {shape} the lengths are {lengths}"
        )
        assert np.allclose(np.sign(value), np.sign(x)), "the direction changed"
        assert hasattr(unit, "op"), "put @mg.custom_op(...) above the function"
        w = rng.normal(size=shape)
        g = mg.grad(lambda x, w=w: (unit(x) * w).sum())(x)
        right = mg.grad(lambda x, w=w: (divided(x) * w).sum())(x)
        n = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        assert not np.allclose(g, right * n), "divide by n, the length of the row"
        assert np.allclose(g, right), f"the gradient is {g}, not {right}"


exercise(3, check_3, unit)

# %% [markdown]
# ## 5. A derivative that is wrong on purpose
#
# Sometimes you want another backward pass than the derivative. In **gradient reversal** (Ganin and others, 2016) the
# value passes unchanged and the gradient changes its sign: what lies before the op learns to make the loss *larger*.
# Here is a general op that does it. (`+x` is a copy of `x`. So a change of the result in place does not change `x`.)


# %%
@mg.custom_op(lambda g: -g)
def reverse_gradient(x):
    return +x


v = mg.tensor(3.0, requires_grad=True, name="v")
print("gradient of v * v:                  ", mg.grad(v * v, v).item())
print(
    "gradient of reverse_gradient(v * v):",
    mg.grad(reverse_gradient(v * v), v).item(),
)

# %% [markdown]
# Of course `check_grads` would complain, and it would be right: this is not a derivative. Check such an op by what it
# should do.
#
# ### Exercise 4
#
# When Graves (2013) trained LSTMs on text and handwriting, he limited the gradients *inside* the network, element by
# element, so that they could not explode. Write the op: `limit_gradient(x, limit=1.0)` has the value of `x`, and its
# rule cuts each element of the gradient to `[-limit, limit]`. `limit` is an option.


# %%
def limit_gradient(x, *, limit=1.0):
    return ...


def check_4(limit_gradient):
    x = np.array([1.0, -2.0, 3.0])
    assert np.array_equal(limit_gradient(x), x), "the value must not change"
    assert hasattr(limit_gradient, "op"), (
        "put @mg.custom_op(...) above the function"
    )
    weights = np.array([0.5, 7.0, -7.0])
    for limit in (1.0, 5.0):

        def loss(x, limit=limit):
            return (limit_gradient(x, limit=limit) * weights).sum()

        g = mg.grad(loss)(x)
        expected = np.clip(weights, -limit, limit)
        assert not np.array_equal(g, np.clip(x, -limit, limit)), (
            "you limited the value; the rule has to limit g"
        )
        assert np.array_equal(g, expected), (
            f"for limit={limit} the gradient is {g}, not {expected}"
        )


exercise(4, check_4, limit_gradient)

# %% [markdown]
# Such an op goes between one step of a recurrent network and the next. With the weight 3, the gradient would grow by
# a factor of 3 at each step back. The folded cell has our version of `limit_gradient`, called `limited`.


# %% tags=["hide-cell"]
@mg.custom_op(lambda g, limit: np.clip(g, -limit, limit))
def limited(x, *, limit=1.0):
    return +x


# %%
def run(state, between=lambda h: h):
    h = state
    for _ in range(4):
        h = 3 * between(h)
    return h


start = mg.tensor(1.0, requires_grad=True, name="start")
print("without limit:", mg.grad(run(start), start).item())
print("with limit:   ", mg.grad(run(start, limited), start).item())
mg.draw(run(start, limited), show=("grad",), names={"start": start})

# %% [markdown]
# Without the op, the gradient is 3 * 3 * 3 * 3 = 81. In the picture, read the lines `grad` from the right to the
# left: each factor 3 makes a gradient of 3, and the op cuts it to 1 before it goes back to the step before. (A node
# shows the gradient of its *result*. So the 3 is at `limited`, and the 1 that it makes of it is at the node to its
# left.)
#
# ## What to remember
#
# - A function that you can write with existing ops needs no rule. Write an op for memory, for stability, or for another
#   backward pass.
# - Elementwise: the rule is the derivative. General: the rule receives `g` and returns `J.T g`, without ever building
#   `J`.
# - Parameter names decide what is kept: operands, `out`, options.
# - Large numbers: rewrite the formula so that `exp` only sees numbers below 0, and give the derivative yourself.
# - An op is finished when `mg.check_grads` is silent, for several shapes and for large inputs.
#
# **Next:** lesson 5 turns around: a derivative can also be carried *forward* along with the computation.
#
# ## Solutions


# %% tags=["hide-cell"]
@mg.custom_op(lambda x: 1 / (1 + abs(x)) ** 2, kind="elementwise")
def softsign_solution(x):
    return x / (1 + abs(x))


@mg.custom_op(lambda x: np.tanh(x), kind="elementwise")
def log_cosh_solution(x):
    return abs(x) + np.log1p(np.exp(-2 * abs(x))) - np.log(2)


@mg.custom_op(
    lambda g, out, x: (
        (g - out * (g * out).sum(axis=-1, keepdims=True))
        / np.sqrt((x * x).sum(axis=-1, keepdims=True))
    )
)
def unit_solution(x):
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True))


@mg.custom_op(lambda g, limit: np.clip(g, -limit, limit))
def limit_gradient_solution(x, *, limit=1.0):
    return +x


solution(1, check_1, softsign_solution)
solution(2, check_2, log_cosh_solution)
solution(3, check_3, unit_solution)
solution(4, check_4, limit_gradient_solution)
