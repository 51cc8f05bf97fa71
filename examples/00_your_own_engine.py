# %% [markdown]
# # Lesson 0: your own engine
#
# A network learns by changing its weights. To know the direction, it needs the derivative of one number, its error,
# with respect to every weight, and there may be a million of them. Nobody writes these derivatives by hand. A program
# computes them, and you can write that program: it takes fewer than 80 lines of Python, and after this lesson you will
# have read every one of them.
#
# Later lessons use `minigrad`, which is the same program made fast and complete. At the end you compare the two. Each
# exercise has a check: it prints "not yet" with a reason, or "right". Solutions are at the end of the page.
#
# **You need:** Python, the chain rule, and what `@` means in NumPy. You need no experience with neural networks.
#
# **You will be able to** build an engine for derivatives, explain in which order it works and why, write the rule of a
# new operation, and train a small network with nothing but your own code.
#
# **Time:** about 90 minutes, 6 exercises.

# %%
import math
import time
import tracemalloc
from itertools import count

import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. The problem
#
# Training means: change each weight a little, in the direction that makes the loss smaller. The **loss** is one number
# that says how wrong the network is. The direction is given by the **gradient**: for every weight, how much the loss
# changes when that weight changes.
#
# You can find it by trying. Change one input by a little, run the program again, and compare.


# %%
def program(x, y):
    return math.tanh(x * y + x)


def slope_by_trying(f, inputs, i, step=1e-6):
    up, down = list(inputs), list(inputs)
    up[i] += step
    down[i] -= step
    return (f(*up) - f(*down)) / (2 * step)


print("d/dx", slope_by_trying(program, (0.5, -0.8), 0))
print("d/dy", slope_by_trying(program, (0.5, -0.8), 1))

# %% [markdown]
# This is called a **finite difference**. It is easy and it needs no calculus, so we will use it to check our work. But
# it needs two runs of the program for every input. A network with a million weights would need two million runs for one
# step of training. We want all derivatives at once, for the price of a few runs.
#
# ## 2. The idea: remember, then walk back
#
# A program is a chain of small operations, and we know the derivative of each: that of `a * b` with respect to `a` is
# `b`. The chain rule says how to combine them. So let every result remember two things:
#
# - its **parents**: the values it was computed from;
# - its **rule**: a function that takes the gradient of the result and returns the gradient of each parent.
#
# A value that was not computed, such as a weight, has no parents and no rule. We call it a **leaf**. Values and parents
# together form the **computation graph**.

# %% tags=["engine"]
numbers = count()


class Value:
    """A number that remembers how it was computed."""

    def __init__(self, data, parents=(), rule=None):
        self.data = data
        self.parents = parents
        self.rule = rule
        self.number = next(numbers)  # section 4 needs this

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), lambda g: (g, g))

    def __mul__(self, other):
        def rule(g):
            return g * other.data, g * self.data

        return Value(self.data * other.data, (self, other), rule)

    def tanh(self):
        out = math.tanh(self.data)
        return Value(out, (self,), lambda g: (g * (1 - out * out),))


# %% [markdown]
# Read the three rules aloud. In each, `g` is the gradient of the result: how much the loss changes when the result
# changes.
#
# - **Addition.** If `a + b` grows by a little, it does not matter which of the two grew. Both parents receive `g`.
# - **Multiplication.** A change of `a` is multiplied by `b` on its way to the result. So `a` receives `g * b`, and `b`
#   receives `g * a`.
# - **tanh.** Its slope is `1 - tanh(a)**2`. The rule reuses `out`, which has been computed already.
#
# Now run the small program on values. `mg.draw_graph` draws any graph that you describe with two dicts: a label for
# each node, and the parents of each node. Our values have their parents, so we only choose the labels.

# %%
x, y = Value(0.5), Value(-0.8)
product = x * y
total = product + x
result = total.tanh()

labels = {x: "x", y: "y", product: "*", total: "+", result: "tanh"}
parents = {value: value.parents for value in labels}
nodes = {value: f"{label}\n{value.data:.3f}" for value, label in labels.items()}
mg.draw_graph(nodes, parents)

# %% [markdown]
# Green boxes are leaves, the others are operations. The arrows point from a parent to the result that was computed
# from it. `x` has two arrows, because the program uses it twice.
#
# ### Exercise 1
#
# Write subtraction. `a - b` has two parents; which gradient does each receive?


# %%
def subtract(a, b):
    return ...  # Value(..., (a, b), lambda g: ...)


def check_1(subtract):
    a, b = Value(5.0), Value(3.0)
    result = subtract(a, b)
    assert isinstance(result, Value), "return a Value"
    assert result.data == 2.0, f"5 - 3 is 2, not {result.data}"
    assert result.parents == (a, b), "the parents are a and b, in this order"
    assert result.rule is not None, "the result needs a rule"
    parts = result.rule(10.0)
    assert isinstance(parts, tuple), "a rule returns a tuple: (..., ...)"
    assert parts != (10.0, 10.0), "when b grows, a - b falls: think of the sign"
    assert parts == (10.0, -10.0), (
        f"for g = 10 the rule gives {parts}; does it use g for both parents?"
    )


exercise(1, check_1, subtract)

# %% [markdown]
# ### Exercise 2
#
# Write `exp`. Hint: the derivative of `exp` is `exp`, so the rule can reuse the result.


# %%
def exp(a):
    return ...


def check_2(exp):
    for x in (0.7, -1.2):
        a = Value(x)
        result = exp(a)
        assert isinstance(result, Value), "return a Value"
        assert abs(result.data - math.exp(x)) < 1e-12, f"exp({x}) is wrong"
        assert result.parents == (a,), "the parents are a tuple of one: (a,)"
        assert result.rule is not None, "the result needs a rule"
        parts = result.rule(3.0)
        assert isinstance(parts, tuple), "a rule returns a tuple: (g * ...,)"
        expected = 3.0 * slope_by_trying(math.exp, (x,), 0)
        assert abs(parts[0] - expected) < 1e-6, (
            f"for g = 3 and x = {x} the rule gives {parts[0]:.4f}; "
            f"finite differences give {expected:.4f}"
        )


exercise(2, check_2, exp)

# %% [markdown]
# ## 3. A first walk, and what is wrong with it
#
# Start at the result, whose gradient is 1: when the result changes by some amount, it changes by exactly that amount.
# Call its rule, then do the same for each parent. When we reach a leaf, we add what arrives to the leaf's gradient. We
# must *add*, because a leaf may be used several times, and then the loss depends on it in several ways.


# %%
def first_walk(value, g, grads, calls):
    if value.rule is None:
        grads[value] = grads.get(value, 0.0) + g
        return
    calls.append(value)
    for parent, part in zip(value.parents, value.rule(g), strict=True):
        first_walk(parent, part, grads, calls)


grads = {}
first_walk(result, 1.0, grads, [])
print("d/dx", grads[x])
print("d/dy", grads[y])

# %% [markdown]
# The numbers agree with section 1, to ten digits. Now count the work for a program that doubles a number several
# times.


# %%
def doubled(x, times):
    for _ in range(times):
        x = x + x
    return x


for times in (1, 2, 5, 10, 15):
    calls = []
    first_walk(doubled(Value(1.0), times), 1.0, {}, calls)
    print(f"{times:2} operations, {len(calls):6,} calls of a rule")
    assert len(calls) == 2**times - 1

# %% [markdown]
# Fifteen additions need 32,767 calls. Each addition uses its parent twice, so the walk goes through everything before
# it twice, and again twice before that. Recursion has a second problem: Python stops it after about a thousand levels,
# and a recurrent network of a few hundred steps is deeper than that.
#
# ## 4. The right order
#
# The cure is to wait. Do not pass a gradient on until *all* of it has arrived, then call the rule once. All of it has
# arrived when every result that used the value is done.
#
# There is a simple order with this property: **newest first**. A parent is always created before its result, so when we
# reach a value by descending number, everything that used it is done. An order in which parents come before results is
# called a **topological order**; the numbers give us one without any work.


# %% tags=["engine"]
def ancestors(result):
    """Return `result` and all it was computed from, oldest first."""
    found, to_visit = {result}, [result]
    while to_visit:
        for parent in to_visit.pop().parents:
            if parent not in found:
                found.add(parent)
                to_visit.append(parent)
    return sorted(found, key=lambda value: value.number)


def gradients(result, seed=1.0):
    """Return the gradient of `result` with respect to each ancestor."""
    grads = {result: seed}
    for value in reversed(ancestors(result)):
        if value.rule is not None:
            parts = value.rule(grads[value])
            for parent, part in zip(value.parents, parts, strict=True):
                grads[parent] = grads.get(parent, 0.0) + part
    return grads


# %% [markdown]
# Here is the picture again, now with the gradient of each value. Follow it from the top to the bottom, and compute each
# gradient from the one above it, with the rules of section 2. At `x` two gradients meet and are added:
# `0.990 * -0.800 + 0.990 = 0.198`.

# %%
grads = gradients(result)
mg.draw_graph(
    {
        value: f"{label}\n{value.data:.3f}\ngradient {grads[value]:.3f}"
        for value, label in labels.items()
    },
    parents,
)

# %%
print("d/dx", grads[x])
print("d/dy", grads[y])

long = start = Value(1.0)
for _ in range(10_000):
    long = long * Value(0.5) + long * Value(0.5)
print(f"after 30,000 operations: {gradients(long)[start]}")

# %% [markdown]
# One call of a rule for each operation, and no recursion. This method is **reverse-mode automatic differentiation**;
# for neural networks it is also called **backpropagation**. The walk is called the **reverse sweep**, or backward pass,
# and the first gradient, 1, is its **seed**. Papers call the gradient that flows back into a value its **cotangent**.
#
# The next picture shows a program that doubles three times. The sweep calls the rule with the highest number first.
# Each value waits until both arrows above it have delivered their part.

# %%
top = doubled(Value(1.0), 3)
grads, first = gradients(top), ancestors(top)[0].number
order = {value: value.number - first for value in ancestors(top)}
mg.draw_graph(
    {
        value: f"{'+' if value.parents else 'x'}\nnumber {number}"
        f"\ngradient {grads[value]:g}"
        for value, number in order.items()
    },
    {value: value.parents for value in order},
)

# %% [markdown]
# ### Exercise 3
#
# Before you run anything: what is the gradient of `x * x * x + x` at `x = 2`? Set `prediction` to your number. The
# check runs the engine.

# %%
prediction = ...


def check_3(prediction):
    assert isinstance(prediction, int | float), "write a number"
    x = Value(2.0)
    found = gradients(x * x * x + x)[x]
    assert prediction != 12, "the part x * x * x has 12; what does + x add?"
    assert prediction != 10, "10 is the value; the question is the gradient"
    assert prediction == found, (
        "the engine found another number: use the product rule for x * x * x"
    )


exercise(3, check_3, prediction)

# %% [markdown]
# ### Exercise 4
#
# Somebody wrote the sweep below with one mistake: it *replaces* the gradient of a parent where it should add to it. For
# many programs it is still right. Write a program `exposes(x)`, using `+`, `*` and `tanh`, for which it is wrong. (A
# number must be a `Value` too: `x * Value(2.0)`.)


# %%
def replacing_gradients(result, seed=1.0):
    grads = {result: seed}
    for value in reversed(ancestors(result)):
        if value.rule is not None:
            parts = value.rule(grads[value])
            for parent, part in zip(value.parents, parts, strict=True):
                grads[parent] = part
    return grads


def exposes(x):
    return ...


def check_4(exposes):
    x = Value(0.3)
    result = exposes(x)
    assert isinstance(result, Value), "return a Value"
    wrong = replacing_gradients(result).get(x, 0.0)
    right = gradients(result).get(x, 0.0)
    assert abs(wrong - right) > 1e-9, (
        f"both sweeps find {right:.4f}; when do two gradients meet at a value?"
    )


exercise(4, check_4, exposes)

# %% [markdown]
# ## 5. From numbers to arrays
#
# A layer with 1000 inputs and 1000 outputs multiplies and adds a million times. With one `Value` for each number we
# would create two million Python objects for one layer. So let a node hold a whole array, and let NumPy do the
# arithmetic. The graph stays small: one node for the whole matrix product.
#
# Nothing changes in `ancestors` and `gradients`. They never look at the data. A gradient now is an array, with the
# shape of the value it belongs to.
#
# One thing is new. NumPy **broadcasts**: in `X + b`, with shapes `(3, 2)` and `(2,)`, it uses `b` for every row. So `b`
# is used three times, and, as in section 3, what comes back along the three ways is *added*. The rule has to sum over
# the axes along which NumPy repeated the array.


# %% tags=["engine"]
def unbroadcast(g, shape):
    """Sum `g` over the axes along which an array of this shape was repeated."""
    while np.ndim(g) > len(shape):
        g = g.sum(axis=0)
    for axis, length in enumerate(shape):
        if length == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


# %%
print(unbroadcast(np.ones((3, 2)), (2,)))
print(unbroadcast(np.ones((3, 2)), (3, 1)))

# %% [markdown]
# Now the class. Compare each method with its twin in `Value`. Two methods are new:
#
# - **Matrix product.** Let `Y = A @ B` and let `G` be the gradient of `Y`. Then `A` receives `G @ B.T` and `B` receives
#   `A.T @ G`. You can check the shapes in your head: with `A` of shape `(n, k)` and `B` of shape `(k, m)`, `G` is
#   `(n, m)`, and only these products have the shapes of `A` and `B`.
# - **Sum.** Every element enters the sum with weight 1. So each receives the gradient of the sum it was in: the rule
#   spreads `g` back over the summed axis.


# %% tags=["engine"]
class Tensor:
    """An array that remembers how it was computed."""

    def __init__(self, data, parents=(), rule=None):
        self.data = np.asarray(data, dtype=float)
        self.parents = parents
        self.rule = rule
        self.number = next(numbers)
        self.shape = self.data.shape

    def __add__(self, other):
        def rule(g):
            return unbroadcast(g, self.shape), unbroadcast(g, other.shape)

        return Tensor(self.data + other.data, (self, other), rule)

    def __mul__(self, other):
        def rule(g):
            for_self = unbroadcast(g * other.data, self.shape)
            for_other = unbroadcast(g * self.data, other.shape)
            return for_self, for_other

        return Tensor(self.data * other.data, (self, other), rule)

    def __matmul__(self, other):  # of matrices: both have two axes
        def rule(g):
            return g @ other.data.T, self.data.T @ g

        return Tensor(self.data @ other.data, (self, other), rule)

    def tanh(self):
        out = np.tanh(self.data)
        return Tensor(out, (self,), lambda g: (g * (1 - out * out),))

    def sum(self, axis=None):
        def rule(g):
            g = g if axis is None else np.expand_dims(g, axis)
            return (np.broadcast_to(g, self.shape),)

        return Tensor(self.data.sum(axis=axis), (self,), rule)


# %% [markdown]
# That is the engine. Does it work? We ask for the gradient of a small layer and compare it with minigrad's.

# %%
rng = np.random.default_rng(0)
arrays = {
    "X": rng.normal(size=(3, 4)),
    "W": rng.normal(size=(4, 2)),
    "b": rng.normal(size=2),
}


def layer(X, W, b):
    return (X @ W + b).tanh().sum()


ours = {name: Tensor(array) for name, array in arrays.items()}
grads = gradients(layer(**ours))
theirs = {
    name: mg.tensor(array, requires_grad=True, name=name)
    for name, array in arrays.items()
}
loss = layer(**theirs)
loss.backward()
for name in arrays:
    g = grads[ours[name]]
    difference = abs(g - theirs[name].grad).max()
    print(f"{name}: shape {g.shape}, largest difference {difference:.1e}")
    assert difference < 1e-12

mg.draw(loss)

# %% [markdown]
# The function `layer` ran on both kinds of tensor, because they have the same methods, and the gradients agree. The
# picture is the graph that minigrad recorded. Yellow boxes are leaves that require a gradient; a `1` or `2` at an
# arrow marks the first or second operand.
#
# ### Exercise 5
#
# Write ReLU for tensors: `max(x, 0)`. Where `x` is positive, the gradient passes unchanged; elsewhere it is 0.


# %%
def relu(x):
    return ...


def check_5(relu):
    x = Tensor([[-2.0, 3.0], [0.5, -0.1]])
    result = relu(x)
    assert isinstance(result, Tensor), "return a Tensor"
    assert result.shape == (2, 2), f"the result has shape {result.shape}"
    assert (result.data == [[0, 3], [0.5, 0]]).all(), (
        f"the value is {result.data.tolist()}"
    )
    assert result.parents == (x,), "the parents are a tuple of one: (x,)"
    assert result.rule is not None, "the result needs a rule"
    assert isinstance(result.rule(np.ones((2, 2))), tuple), (
        "a rule returns a tuple: (g * ...,)"
    )
    g = gradients((result * Tensor([[1.0, 2.0], [3.0, 4.0]])).sum())[x]
    assert not np.array_equal(g, [[1, 2], [3, 4]]), (
        "the gradient also passes where x is negative"
    )
    assert not np.array_equal(g, [[0, 1], [1, 0]]), (
        "this is only the slope; the rule multiplies it by g"
    )
    assert np.array_equal(g, [[0, 2], [3, 0]]), (
        f"the gradient is {np.asarray(g).tolist()}"
    )


exercise(5, check_5, relu)

# %% [markdown]
# ### Exercise 6
#
# Write the mean over all elements. Its gradient must have the shape of `x`. You do not need a new rule, if you
# combine what `Tensor` has. (It has no division, and a number must be a `Tensor` too: `x * Tensor(2.0)`.)


# %%
def mean(x):
    return ...


def check_6(mean):
    for shape in ((2, 3), (5,)):
        x = Tensor(np.arange(math.prod(shape)).reshape(shape))
        result = mean(x)
        assert isinstance(result, Tensor), "return a Tensor"
        assert np.allclose(result.data, x.data.mean()), (
            f"the mean is {x.data.mean()}, not {result.data}"
        )
        g = gradients(result).get(x)
        assert g is not None, "no gradient reaches x: is x a parent?"
        assert np.shape(g) == shape, (
            f"the gradient has shape {np.shape(g)}, and x has {shape}"
        )
        assert np.allclose(g, 1 / x.data.size), f"the gradient is {g.tolist()}"


exercise(6, check_6, mean)

# %% [markdown]
# ## 6. It learns
#
# A network of two layers learns "exclusive or": the answer is 1 when exactly one input is 1. No straight line separates
# the two answers, so one layer is not enough. Each round computes the loss and its gradients, and moves every weight a
# little against its gradient. That is called **gradient descent**.

# %%
X, target = Tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), Tensor([[0], [1], [1], [0]])
rng = np.random.default_rng(1)
weights = [
    rng.normal(size=(2, 8)),
    np.zeros(8),
    rng.normal(size=(8, 1)),
    np.zeros(1),
]
for step in range(501):
    W1, b1, W2, b2 = leaves = [Tensor(w) for w in weights]
    answer = (X @ W1 + b1).tanh() @ W2 + b2
    error = answer + target * Tensor(-1.0)
    loss = (error * error).sum()
    grads = gradients(loss)
    weights = [
        w - 0.05 * grads[leaf] for w, leaf in zip(weights, leaves, strict=True)
    ]
    if step % 100 == 0:
        answers = answer.data[:, 0].round(2)
        print(f"step {step:3}  loss {loss.data:.4f}  answers {answers}")

# %% tags=["remove-cell"]
assert loss.data < 1e-4
assert (abs(answers - target.data[:, 0]) < 0.01).all()

# %% [markdown]
# The answers begin at 0, -0.22, -0.43 and -0.55 and end at 0, 1, 1, 0, which is what we asked for. No line of this
# network says how to compute a gradient.

# %% [markdown]
# ## 7. The real thing
#
# Open `minigrad/sweep.py`, in the folder of the project, and find the function `reverse` and the loop that it calls.
# You will recognise the loop: a dictionary of gradients, the newest node first, one rule for each operand, and
# addition where two gradients meet. Most of the other lines solve problems that our engine ignores. (The function
# `forward` is the subject of lesson 5.)
#
# - **It frees memory.** Our rules are closures: functions that keep the variables they use. So every operand stays in
#   memory as long as the result does. minigrad saves only the arrays that a rule needs, and frees them as soon as the
#   rule has run.
# - **It adds in place**, if no one else can see the array. Our addition makes a new array each time.
# - **It collects the uses of a weight.** A recurrent network uses one weight at every time step. Our engine computes a
#   small product for each step and adds them. minigrad keeps the pieces and computes one large product.
# - **It skips what nobody needs.** Our engine also computes the gradients of the data.
# - **It undoes broadcasting in one place**, for all rules. With us every rule calls `unbroadcast` itself.
# - **It can run the same rules on tensors.** Then the sweep is recorded as well, and you can differentiate a gradient.
# - **It helps you to find mistakes.** You can look at a gradient on its way, and an error names the operation and the
#   time step.
#
# How much does it matter? The same recurrent network of 300 steps runs in both engines. We compare the time, and the
# **peak memory**: the largest amount that is in use at one moment. (`mg.linear(h, V)` is `h @ V.T`. It is the product
# whose uses minigrad collects.)

# %%
T, units = 300, 64
rng = np.random.default_rng(0)
start = rng.normal(size=(1, units))
inputs = rng.normal(size=(T, 1, units))
W = rng.normal(size=(units, units)) / 16


def recurrent(h, xs, W, product):
    for x in xs:
        h = (product(h, W) + x).tanh()
    return h.sum()


def with_ours():
    leaf = Tensor(W)
    xs = [Tensor(x) for x in inputs]
    total = recurrent(Tensor(start), xs, leaf, lambda h, W: h @ W)
    return gradients(total)[leaf]


def with_minigrad():
    leaf = mg.tensor(W.T, requires_grad=True)
    xs = [mg.tensor(x) for x in inputs]
    total = recurrent(mg.tensor(start), xs, leaf, mg.linear)
    total.backward()
    return leaf.grad.T


def best_time(f):
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        f()
        times.append(time.perf_counter() - begin)
    return min(times)


def peak_memory(f):
    tracemalloc.start()
    f()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


difference = abs(with_ours() - with_minigrad()).max()
time_ratio = best_time(with_ours) / best_time(with_minigrad)
memory_ratio = peak_memory(with_ours) / peak_memory(with_minigrad)
print(f"largest difference of the gradients: {difference:.1e}")
print(f"our engine takes {time_ratio:.1f} times as long,")
print(f"and {memory_ratio:.1f} times as much memory at its peak")

# %% tags=["remove-cell"]
assert difference < 1e-12
assert memory_ratio > 1.5

# %% [markdown]
# The gradients agree to about 15 digits. What minigrad adds makes them cheaper, or easier to understand; none of it
# changes the method that you wrote today.
#
# ## What to remember
#
# - Every result remembers its parents, and a rule that turns its gradient into theirs. Together they are the
#   computation graph.
# - The reverse sweep visits the newest value first. So a gradient is complete before it is passed on, and each rule
#   runs once.
# - Where a value is used more than once, its gradients are added. Broadcasting is such a case: its rule is a sum.
# - One sweep gives the gradient with respect to all inputs. Finite differences need two runs of the program for each.
#
# **Next:** lesson 1 follows one gradient through minigrad, step by step. If you want more of this lesson first, add
# slices (`x[0]`) to `Tensor`. What must the rule send to the elements that were not taken?
#
# ## Solutions


# %% tags=["hide-cell"]
def subtract_solution(a, b):
    return Value(a.data - b.data, (a, b), lambda g: (g, -g))


def exp_solution(a):
    out = math.exp(a.data)
    return Value(out, (a,), lambda g: (g * out,))


prediction_solution = 13  # 3 x**2 + 1


def exposes_solution(x):
    return x + x  # any program that uses a value more than once


def relu_solution(x):
    return Tensor(np.maximum(x.data, 0), (x,), lambda g: (g * (x.data > 0),))


def mean_solution(x):
    return x.sum() * Tensor(1 / x.data.size)  # needs no new rule


solution(1, check_1, subtract_solution)
solution(2, check_2, exp_solution)
solution(3, check_3, prediction_solution)
solution(4, check_4, exposes_solution)
solution(5, check_5, relu_solution)
solution(6, check_6, mean_solution)
