# %% [markdown]
# # Lesson 1: one gradient, from the inside
#
# You write `loss.backward()`, and `W.grad` is there. What happened in between? If you do not know, you cannot explain
# why a second `backward()` is an error, why a gradient is twice as large as it should be, or why a network of 1000
# steps needs so much memory.
#
# In lesson 0 you built a small engine. In this lesson you look into a complete one and find the same parts: what it
# records, what it keeps, what it computes, and what it throws away.
#
# **You need:** lesson 0, and how NumPy multiplies matrices.
#
# **You will be able to** read a computation graph, compute a gradient by hand with the rules of its ops, say which
# arrays are kept for the backward pass, and write a training loop without its three usual mistakes.
#
# **Time:** about 45 minutes, 5 exercises.

# %%
import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Going forward: the graph
#
# A `Tensor` is an array that remembers how it was computed. You make one with `mg.tensor`, and compute with NumPy's
# functions and operators as usual. `requires_grad=True` says: I want the gradient with respect to this one. A `name`
# makes the output easier to read.
#
# Before you run the cell: how many operations are in this program, and what is the shape of each result?

# %%
x = mg.tensor([[1.0, 2.0]], name="x")
W = mg.tensor([[0.5, -1.0], [0.25, 0.75]], requires_grad=True, name="W")

a = x @ W
h = np.tanh(a)
loss = (h * h).sum()
print(mg.Graph(loss))

# %% [markdown]
# Each line is a **node**: a number, a name if it has one, the operation with its operands, the shape and the dtype.
# There are two kinds.
#
# - **Leaves** were not computed by an operation. `W` requires a gradient; `x` is a **constant**, for which no gradient
#   is computed.
# - The others are **ops**, operations that were recorded. `matmul` is NumPy's name for `@`. Their **operands** are the
#   nodes they were computed from; in lesson 0 we called them parents.
#
# An operand is always above its user, because it was created earlier. So the list is in topological order. The same
# graph as a picture:

# %%
mg.draw(loss)

# %% [markdown]
# Yellow boxes are leaves that require a gradient, green boxes are constants. (Inside the frame of a time step, from
# lesson 2 on, small boxes of constants are grey. In the pictures of `mg.draw_graph`, as in lesson 0, all leaves are
# green.) A small 1 or 2 at an arrow says which operand it is: the first or the second. Two arrows lead from `tanh` to
# the product, because `h * h` uses `h` twice.
#
# ### Exercise 1
#
# Here is the graph of another program. Write the program.
#
# ```text
# %0  x  requires grad  (3,)  float64
# %1     exp(%0)        (3,)  float64
# %2     sum(%1)        ()    float64
# %3     log(%2)        ()    float64
# ```


# %%
def program(x):
    return ...


def check_1(program):
    for array in (np.array([0.0, 1.0, -1.0]), np.array([2.0, 0.5])):
        x = mg.tensor(array, requires_grad=True)
        with np.errstate(all="ignore"):  # such as the logarithm of -1
            y = program(x)
        assert isinstance(y, mg.Tensor), "return a Tensor: use np.exp and np.log"
        found = mg.Graph(y).ops
        assert found == ["exp", "sum", "log"], f"your graph has the ops {found}"
        assert y.shape == (), f"the result has shape {y.shape}, not ()"
        assert np.isclose(y.item(), np.log(np.exp(array).sum())), "wrong value"


exercise(1, check_1, program)

# %% [markdown]
# ## 2. The rules, and what they need
#
# Each op has a **rule** for each operand: a function that turns the gradient of the result into the gradient of that
# operand. `mg.explain(y, x)` shows the rules on the way from `y` back to `x`. Here from the loss to `a`:

# %%
print(mg.explain(loss, a))

# %% [markdown]
# Read it from top to bottom; this is the direction of the backward pass. `g` is the gradient of the result. A line
# such as `g * (lambda y: y)` means: the engine multiplies `g` by what the rule in brackets returns. The **norm** is
# the length of a gradient, the root of the sum of its squares.
#
# - **sum.** Each element of its operand receives the same gradient, so `spread` repeats `g` in the operand's shape.
# - **multiply** has two rules, one for each operand. The derivative of `x * y` by `x` is `y`. The engine multiplies by
#   `g`.
# - **tanh.** Its rule needs `out`, the *result* of tanh, and not the operand.
#
# The parameter names of a rule say what it needs: `x` and `y` are the operands, `out` is the result, `x_shape` is only
# a shape. The engine reads these names when an op runs, and keeps exactly the arrays that will be needed.


# %%
def kept(node):
    """Return the names of the arrays that an op keeps."""
    names = ["out", *node.op.operands]
    pairs = zip(names, node.saved, strict=True)
    return [name for name, array in pairs if array is not None]


for node in mg.Graph(loss):
    if node.op is not None:
        print(f"{node.op.name:9} keeps {kept(node)}")

# %% [markdown]
# - The product `h * h` keeps both operands; here they are one array.
# - The sum keeps nothing. Its rule needs a shape, and a shape costs no memory.
# - `x @ W` keeps `x`, because the gradient of `W` is computed from `x`. The gradient of `x` would need `W`, but nobody
#   asked for it.
#
# What is kept stays in memory until the backward pass. That is why training a long recurrent network needs much more
# memory than running it. Lesson 9 comes back to this.
#
# ### Exercise 2
#
# Which arrays does each of these ops keep, if all operands require a gradient? Think of the derivative of each.
# Answer with a dict that has a set of names for each op, for example `{"x", "out"}` or `set()`. (A derivative can
# often be written in several ways. minigrad writes that of `x / y` with respect to `y` as `-(x / y) / y`.)
#
# ```text
# add        x + y
# multiply   x * y
# exp        exp(x)
# log        log(x)
# divide     x / y
# ```

# %%
kept_by = ...  # {"add": set(), ...}


def check_2(kept_by):
    programs = {
        "add": lambda x, y: x + y,
        "multiply": lambda x, y: x * y,
        "exp": lambda x, y: np.exp(x),
        "log": lambda x, y: np.log(x),
        "divide": lambda x, y: x / y,
    }
    hints = {
        "add": "the derivative of a sum is 1",
        "multiply": "it has a rule for each of its two operands",
        "exp": "exp is its own derivative",
        "log": "the derivative of log(x) is 1 / x",
        "divide": "d/dy (x / y) = -(x / y) / y, and x / y is the result",
    }
    for name, f in programs.items():
        x, y = (mg.tensor(v, requires_grad=True) for v in (2.0, 3.0))
        node = mg.Graph(f(x, y)).nodes[-1]
        right = set(kept(node))
        assert name in kept_by, f"there is no answer for {name}"
        assert set(kept_by[name]) == right, f"not right for {name}: {hints[name]}"


exercise(2, check_2, kept_by)

# %% [markdown]
# ## 3. Going backward, by hand
#
# Now you do the work of `backward()`. Start with 1 at the loss and go up the list, one rule for each line. Where a
# value was used twice, add.

# %%
g_loss = np.ones(())
g_square = np.broadcast_to(g_loss, (1, 2))  # sum: the same for each element
g_h = g_square * h.data + g_square * h.data  # h * h: two operands, both are h
g_a = g_h * (1 - h.data * h.data)  # tanh
g_W = x.data.T @ g_a  # matmul, by its second operand

loss.backward(retain_graph=True)  # section 5 explains the option
print("by hand\n", g_W)
print("W.grad\n", W.grad)
assert np.array_equal(W.grad, g_W)

# %% [markdown]
# The numbers are equal to the last bit: the engine performs the same operations in the same order. The next picture
# shows all of them. (`names=` gives the variables of your program to the picture.) The numbers after `#` are the order
# of the backward pass.

# %%
names = {"W": W, "a": a, "h": h, "loss": loss}
mg.draw(loss, show=("value", "grad"), order=True, names=names)

# %% [markdown]
# Follow the lines `grad` from the top to the bottom. Between `×` and `h` the gradient changes from 1 to `2 * h`,
# because two parts are added there. Between `h` and `a` it is multiplied by the slope of tanh, which is below 1.
#
# ### Exercise 3
#
# Add a bias and a batch: `x` has the shape `(n, k)`, `W` `(k, m)`, `b` `(m,)`. The loss is
# `(tanh(x @ W + b) ** 2).sum()`. Return the gradients with respect to `W` and `b`, with NumPy only.


# %%
def by_hand(x, W, b):
    return ...  # g_W, g_b


def loss_of_layer(x, W, b):
    return (np.tanh(x @ W + b) ** 2).sum()


def check_3(by_hand):
    rng = np.random.default_rng(0)
    for n, k, m in ((1, 2, 2), (5, 3, 4)):
        x, W, b = rng.normal(size=(n, k)), rng.normal(size=(k, m)), np.ones(m)
        answer = by_hand(x, W, b)
        assert isinstance(answer, tuple | list), "return two arrays: g_W, g_b"
        assert len(answer) == 2, "return two arrays: g_W, g_b"
        g_W, g_b = answer
        assert np.shape(g_W) == (k, m), (
            f"your g_W has shape {np.shape(g_W)}, and W {(k, m)}"
        )
        assert np.shape(g_b) == (m,), (
            f"your g_b has shape {np.shape(g_b)}, and b {(m,)}: "
            "b is used in every row, so its gradients are added"
        )

        right_W, right_b = mg.grad(loss_of_layer, (1, 2))(x, W, b)  # section 4
        assert not np.allclose(2 * np.asarray(g_W), right_W), (
            "half of it: h * h uses h twice"
        )
        flat = x.T @ (2 * np.tanh(x @ W + b))
        assert not np.allclose(g_W, flat), (
            "the slope of tanh is missing: multiply by 1 - h * h"
        )
        assert np.allclose(g_W, right_W), "minigrad finds another g_W"
        assert np.allclose(g_b, right_b), "minigrad finds another g_b"


exercise(3, check_3, by_hand)

# %% [markdown]
# ## 4. `.grad` adds up
#
# `backward()` *adds* to `.grad` of each leaf that requires a gradient. Predict what the second line prints.

# %%
W.grad = None
for _ in range(2):
    (np.tanh(x @ W) ** 2).sum().backward()
    print(W.grad[0])

# %% [markdown]
# The second line is twice the first. This is useful when one step of training needs the gradients of several losses. It
# is a mistake when you forget it: the steps become larger and larger. So a training loop clears the gradient first.
#
# Three usual mistakes, and what to write instead:
#
# - The gradient is not cleared: `W.grad = None` before each `backward()`, or `optimizer.zero_grad()`.
# - `W = W - lr * W.grad` makes a *new* tensor, the result of an op. It is not the leaf, and has no `.grad`. Write
#   `W.data -= lr * W.grad`: it changes the values of the leaf and records nothing.
# - You look for `.grad` of a result in the middle. Only leaves have one. For the others there is `mg.grad(loss, h)`.
#
# `mg.grad` returns gradients and leaves `.grad` alone. You can call it in four ways:
#
# ```text
# mg.grad(loss, h)            the gradient of a recorded loss with respect to h
# mg.grad(loss, [W, h])       several: a list of gradients
# mg.grad(f)(x)               of a function, with respect to its first argument
# mg.grad(f, (1, 2))(x, W, b) with respect to the arguments 1 and 2, counted from 0
# ```

# %%
loss = ((h := np.tanh(x @ W)) ** 2).sum()
try:
    print(h.grad)
except AttributeError as error:
    print("error:", error)
print("mg.grad(loss, h):", mg.grad(loss, h).data)

# %% [markdown]
# ### Exercise 4
#
# Write gradient descent. `train(W, steps, lr)` takes `steps` steps of size `lr` that make `((x @ W - 1) ** 2).sum()`
# smaller. `W` is a tensor; change its values in place. `x` is the tensor from section 1.


# %%
def train(W, steps, lr):
    return ...  # return W


def check_4(train):
    def descent(steps, lr, keep=0.0):
        W, slope = start, mg.grad(lambda W: ((x.data @ W - 1) ** 2).sum())
        g = 0.0
        for _ in range(steps):
            g = keep * g + slope(W)
            W = W - lr * g
        return W

    start = np.array([[0.5, -1.0], [0.25, 0.75]])
    for steps, lr in ((1, 0.05), (5, 0.02)):
        W = mg.tensor(start, requires_grad=True)
        result = train(W, steps, lr)
        assert result is W, "change the values of W in place, and return W"
        assert not np.allclose(W.data, start), "the values of W did not change"
        added = descent(steps, lr, keep=1.0)
        right = descent(steps, lr)
        if steps > 1:
            assert not np.allclose(W.data, added), (
                "the gradients add up: clear W.grad before each backward()"
            )
        uphill = descent(steps, -lr)
        assert not np.allclose(W.data, uphill), "the loss grows: wrong sign"
        assert np.allclose(W.data, right), "these are not the expected values"


exercise(4, check_4, train)

# %% [markdown]
# ## 5. What is freed, and what was never recorded
#
# As soon as the rules of an op have run, `backward()` frees what the op had kept. The structure of the graph stays, so
# you can still print it. But a second backward pass would need the arrays, and they are gone:

# %%
loss = (np.tanh(x @ W) ** 2).sum()
loss.backward()
print([node.saved for node in mg.Graph(loss)])
try:
    loss.backward()
except mg.GraphFreedError as error:
    print("error:", error)

# %% [markdown]
# That is what `retain_graph=True` in section 3 was for: nothing is freed, until the tensors themselves are gone.
#
# Sometimes a value should *not* be recorded. `t.detach()` is a constant with the values of `t`: no gradient flows
# through it. Compare two programs with the same value.

# %%
v = mg.tensor(3.0, requires_grad=True, name="v")
for name, y in {"v * v": v * v, "v * v.detach()": v * v.detach()}.items():
    print(f"{name:15} value {y.item()}, gradient {mg.grad(y, v).item()}")

# %%
mg.draw(v * v.detach(), show=("value",), names={"v": v})

# %% [markdown]
# The second factor is a green box of its own, a constant, and no arrow leads to it. For the engine it is the number 3.
#
# If you call a function that cannot be recorded, you get an error that says what to do. The exceptions are functions
# whose slope is 0 wherever they have one, such as `np.round`, `np.sign` and comparisons. They have no gradient to
# pass back, so they return plain arrays.

# %%
try:
    np.array(v)
except mg.LeavesGraphError as error:
    print("error:", error)

# %% [markdown]
# ### Exercise 5
#
# Rounding has slope 0, so nothing before it can learn. A **straight-through estimator** (Bengio, Léonard and
# Courville, 2013) helps with two different passes. Forward: `np.round(x)`. Backward: as if the result were `x`. Write
# it. One line is enough; you need `+`, `-` and `detach()`.


# %%
def round_straight_through(x):
    return ...


def check_5(f):
    for values in ([0.4, 0.6, -1.7], [2.2]):
        x = mg.tensor(values, requires_grad=True)
        y = f(x)
        assert isinstance(y, mg.Tensor), (
            "return a Tensor; np.round(x) alone is a plain array"
        )
        assert np.allclose(y.data, np.round(values)), f"the value is {y.data}"
        assert y.requires_grad, "no gradient flows: the result is a constant"
        g = mg.grad(y.sum(), x).data
        assert np.allclose(g, 1), f"the gradient is {g}, not 1"


exercise(5, check_5, round_straight_through)

# %% [markdown]
# ## What to remember
#
# - Going forward records a graph: one node for each op, with its operands, and the arrays that its rules will need.
# - The names of a rule's parameters say what is kept: operands, the result, or only a shape.
# - Going backward visits the same list from the newest node to the oldest, one rule for each operand, and frees what it
#   has used.
# - `.grad` belongs to leaves and adds up. Clear it before each step, and change the values with `W.data -= ...`.
# - `detach()` cuts the graph: same value, no gradient.
#
# **Next:** lesson 2 asks in which order the nodes must be visited, and what goes wrong in another order.
#
# ## Solutions


# %% tags=["hide-cell"]
def program_solution(x):
    return np.log(np.exp(x).sum())


kept_by_solution = {
    "add": set(),
    "multiply": {"x", "y"},
    "exp": {"out"},
    "log": {"x"},
    "divide": {"y", "out"},
}


def by_hand_solution(x, W, b):
    h = np.tanh(x @ W + b)
    g = 2 * h * (1 - h * h)
    return x.T @ g, g.sum(axis=0)


def train_solution(W, steps, lr):
    for _ in range(steps):
        W.grad = None
        ((x @ W - 1) ** 2).sum().backward()
        W.data -= lr * W.grad
    return W


def round_straight_through_solution(x):
    return x + np.round(x.data) - x.detach()


solution(1, check_1, program_solution)
solution(2, check_2, kept_by_solution)
solution(3, check_3, by_hand_solution)
solution(4, check_4, train_solution)
solution(5, check_5, round_straight_through_solution)
