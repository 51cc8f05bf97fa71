# %% [markdown]
# # Lesson 2: the order of the sweep
#
# A value that is used twice receives a gradient from each use. When may it be passed on? Too early, and the result is
# wrong, without any error message. Too often, and the result is right, but you wait forever. There is an order in which
# neither happens.
#
# A recurrent network is the extreme case: one weight is used at every time step, and every state is used by the next
# step and by the output. Backpropagation through time is simply the right order on such a graph.
#
# **You need:** lessons 0 and 1, and Python's dicts.
#
# **You will be able to** write a reverse sweep for any graph, explain what goes wrong in another order, and say what
# each time step contributes to the gradient of a shared weight.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import math

import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. Two gradients meet
#
# In this program `h` is used twice: by `exp`, and by the product.

# %%
x = mg.tensor(0.5, requires_grad=True, name="x")
h = np.tanh(x)
e = np.exp(h)
p = h * e
p.backward(retain_graph=True)
mg.draw(p, show=("grad",), order=True, names={"x": x, "h": h, "e": e, "p": p})

# %% [markdown]
# The numbers after `#` are the order of the backward pass. At `h` two arrows leave, so two parts come back:
#
# - from the product, `1 * e`;
# - from `exp`, the gradient of `e`, which is `h`, times the slope of `exp`, which is `e`.
#
# Their sum is the gradient of `h`. Only then can the rule of tanh run. A **hook** shows that the engine waits: it is a
# function that is called with the gradient of a tensor as soon as *all* of it has arrived.

# %%
tensors = {"p": p, "h": h, "e": e}
for name, t in tensors.items():
    t.register_hook(lambda g, name=name: print(f"complete: {name} {g:.4f}"))
mg.grad(p, x)
print(f"the two parts of h: {e.item():.4f} + {h.item() * e.item():.4f}")

# %% [markdown]
# `e` comes before `h`, although we listed `h` first. An order is right if every node comes after *all* nodes that use
# it. Read in the other direction, from the leaves to the result, this is a **topological order**: every node comes
# after its operands.
#
# ### Exercise 1
#
# ```text
# a = 2 * x
# b = sin(a)
# c = cos(a)
# d = b * c
# ```
#
# Which of these orders are right for the backward pass from `d`? Answer with a set of letters, such as `{"A", "D"}`.
#
# ```text
# A  d c b a x
# B  d b c a x
# C  d b a c x
# D  d a c b x
# ```

# %%
right_orders = ...


def check_1(answer):
    users = {"x": "a", "a": "bc", "b": "d", "c": "d", "d": ""}
    orders = {"A": "dcbax", "B": "dbcax", "C": "dbacx", "D": "dacbx"}
    for letter, order in orders.items():
        late = [
            (node, user)
            for node in order
            for user in users[node]
            if order.index(user) > order.index(node)
        ]
        if late and letter in answer:
            node, user = late[0]
            raise AssertionError(
                f"in {letter}, {node} comes before {user} has sent its part"
            )
        assert late or letter in answer, f"order {letter} is right as well"


exercise(1, check_1, right_orders)

# %% [markdown]
# ## 2. A gradient is a sum over paths
#
# To study the order alone, we describe the program by its graph. For each node we write its operands, each with a
# **slope**: the derivative of the node with respect to that operand.

# %%
h_value = math.tanh(0.5)
e_value = math.exp(h_value)
graph = {
    "x": [],
    "h": [("x", 1 - h_value**2)],
    "e": [("h", e_value)],
    "p": [("h", e_value), ("e", h_value)],
}

# %% [markdown]
# The chain rule says: multiply the slopes along a path from the result to `x`, and add the products of all paths. Here
# there are two paths, `p h x` and `p e h x`. The simplest program that does this walks along every path.


# %%
def every_path(graph, node, g, grads, steps):
    grads[node] = grads.get(node, 0.0) + g
    for operand, slope in graph[node]:
        steps.append(operand)
        every_path(graph, operand, g * slope, grads, steps)


grads, steps = {}, []
every_path(graph, "p", 1.0, grads, steps)
print("every path:", grads["x"], "in", len(steps), "steps:", *steps)
print("minigrad:  ", mg.grad(lambda x: np.tanh(x) * np.exp(np.tanh(x)))(0.5))

# %% [markdown]
# Right. But look at the steps, written as the node that each one reached: `x` comes twice, because `h` was passed on
# to it twice, once for each path. An obvious saving is to pass on each node only once, at the first visit. Predict
# whether the result is too small or too large.


# %%
def first_visit_only(graph, node, g, grads, steps):
    first = node not in grads
    grads[node] = grads.get(node, 0.0) + g
    if first:
        for operand, slope in graph[node]:
            steps.append(operand)
            first_visit_only(graph, operand, g * slope, grads, steps)


grads, steps = {}, []
first_visit_only(graph, "p", 1.0, grads, steps)
print("first visit only:", grads["x"], "in", len(steps), "steps")

# %% [markdown]
# Too small. `h` was passed on when only the first of its two parts had arrived; the second part was added later, and
# nobody passed it on. There is no error, only a wrong number. Mistakes of this kind are the reason for lesson 7.
#
# ## 3. Newest first
#
# In our dict the nodes are in the order in which they were computed. So the reversed dict is a right order: when we
# come to a node, all its users are done.


# %%
def newest_first(graph, root):
    grads, steps = {root: 1.0}, 0
    for node in reversed(graph):
        if node in grads:  # the root depends on it
            for operand, slope in graph[node]:
                part = grads[node] * slope
                grads[operand] = grads.get(operand, 0.0) + part
                steps += 1
    return grads, steps


grads, steps = newest_first(graph, "p")
print("newest first:", grads["x"], "in", steps, "steps")


def doublings(n):
    """Return the graph of x1 = x0 + x0, x2 = x1 + x1, and so on."""
    rest = {i: [(i - 1, 1), (i - 1, 1)] for i in range(1, n + 1)}
    return {0: []} | rest


print("\ndoublings  every path  newest first  gradient")
for n in (2, 4, 8, 12):
    steps = []
    every_path(doublings(n), n, 1, {}, steps)
    grads, few = newest_first(doublings(n), n)
    print(f"{n:9}  {len(steps):10,}  {few:12}  {grads[0]:8,.0f}")
    assert (len(steps), few, grads[0]) == (2 ** (n + 1) - 2, 2 * n, 2**n)

# %% [markdown]
# Read the last line. Twelve doublings have 4,096 paths, so the gradient is 4,096. To walk along every path takes 8,190
# steps; the sweep needs 24, one for each arrow of the graph. With 40 doublings it would be two million million steps
# against 80.
#
# The sweep does not list the paths. It adds what arrives at a node, and then treats the sum as one number. That is all:
# **backpropagation is the chain rule, with each sum computed only once.**

# %% tags=["remove-cell"]
assert 2**41 - 2 > 2e12

# %%
grads, _ = newest_first(doublings(4), 4)
mg.draw_graph(
    {i: f"{'x' if i == 0 else '+'}\ngradient {grads[i]:g}" for i in doublings(4)},
    {i: [j for j, _ in operands] for i, operands in doublings(4).items()},
    title="Each node is visited once; its two arrows double the gradient.",
)

# %% [markdown]
# ### Exercise 2
#
# How many paths lead from `root` to the node `end`? Write a function that also works for 200 doublings. (There are more
# paths than atoms in the earth.)


# %%
def number_of_paths(graph, root, end):
    return ...


class CountedGraph(dict):
    """A dict that complains when it is read too often."""

    reads = 0

    def __getitem__(self, node):
        self.reads += 1
        assert self.reads < 10_000, "your function walks along every path"
        return super().__getitem__(node)

    def get(self, node, default=None):
        try:
            return self[node]
        except KeyError:
            return default


def check_2(number_of_paths):
    assert number_of_paths(graph, "p", "x") == 2, "the first graph has 2 paths"
    halves = {0: [], 1: [(0, 0.5)], 2: [(1, 0.5), (0, 0.5)]}
    found = number_of_paths(halves, 2, 0)
    assert found == 2, f"with slopes of 1/2 there are still 2 paths, not {found}"
    found = number_of_paths(CountedGraph(doublings(200)), 200, 0)
    assert found == 2**200, "wrong for 200 doublings"


exercise(2, check_2, number_of_paths)

# %% [markdown]
# ## 4. When nobody numbered the nodes
#
# minigrad numbers each node when it is created, so the right order costs nothing. A graph that comes from a file, or
# from another program, may have no such numbers. Then you find an order by counting. For each node, count the uses
# whose part has not yet arrived. When the count falls to 0, the node is ready (Kahn, 1962).
#
# ### Exercise 3
#
# Write `backward_order(graph, root)`. It returns a list of all nodes that `root` depends on, with `root` first, and
# each node after *all* its users. The dict may be in any order. Be careful: the graph can have nodes that `root` does
# not depend on, such as a second output. They will never send anything, so do not wait for them.


# %%
def backward_order(graph, root):
    return ...


def check_3(backward_order):
    shuffled = {name: graph[name] for name in ("p", "x", "e", "h")}
    chain = {i: [(i - 1, 1.0)] if i else [] for i in range(3000)}
    second = {"accuracy": [("h", 1.0)], **shuffled}
    cases = [
        (shuffled, "p", 4),
        (doublings(30), 30, 31),
        (second, "p", 4),
        (chain, 2999, 3000),
    ]
    for nodes, root, size in cases:
        order = list(backward_order(nodes, root))
        if nodes is second:
            assert "accuracy" not in order, "p does not depend on accuracy"
            assert len(order) == size, (
                "your function waits for accuracy, which sends nothing to h"
            )
        assert len(order) == len(set(order)), "a node is there twice"
        assert len(order) == size, (
            f"your order has {len(order)} nodes instead of {size}"
        )
        assert order[0] == root, "the root comes first"
        place = {node: i for i, node in enumerate(order)}
        for node in order:
            for operand, _ in nodes[node]:
                assert place[operand] > place[node], (
                    f"in your order {operand} comes before {node}, which uses it"
                )


exercise(3, check_3, backward_order)

# %% [markdown]
# ## 5. One weight, many time steps
#
# A recurrent network uses the same weight `W` at each step: `h = tanh(W @ h + x)`. Here are four steps, and a picture
# of three. `+W` is a copy of `W` that is recorded as a node of its own, so that we can see what each step
# contributes.

# %%
rng = np.random.default_rng(0)
W = mg.tensor(0.6 * rng.normal(size=(3, 3)), requires_grad=True, name="W")
inputs = rng.normal(size=(4, 3))


def run(W, inputs):
    h, copies = mg.tensor(np.ones(3)), []
    for x in inputs:
        copies.append(+W)
        h = np.tanh(copies[-1] @ h + x)
    return (h * h).sum(), copies


loss, copies = run(W, inputs)
three, _ = run(W, inputs[:3])
mg.draw(three, order=True, names={"loss": three})

# %% [markdown]
# Follow the numbers: the sweep starts at the loss on the right, and goes back in time, one step after the other.
# `pos` is the op of `+W`. The small boxes `W` all are the same leaf. Its gradient is complete only when the sweep has
# come to the first step. The **norm** of an array, below, is the root of the sum of its squares: one number for its
# size.

# %%
parts = [part.data for part in mg.grad(loss, copies, retain_graph=True)]
loss.backward()
print(
    "norm of the part of each step:", *(f"{np.linalg.norm(g):.3f}" for g in parts)
)
print("their sum is W.grad:", np.allclose(sum(parts), W.grad))

# %% tags=["remove-cell"]
assert np.allclose(sum(parts), W.grad)
assert all(np.diff([np.linalg.norm(g) for g in parts]) > 0)

# %% [markdown]
# The gradient of a shared weight is the **sum over the time steps**. Here the last step contributes most, and each
# earlier one less. Lesson 13 explains why.
#
# ### Exercise 4
#
# For very long sequences one often follows the gradient only through the last `k` steps. This is called **truncated**
# backpropagation through time. Write it: compute the loss of `run`, but cut the graph before the last `k` steps. Return
# the gradient of the loss with respect to `W`, an array. (`h.detach()` cuts; use `W` itself, without copies.)


# %%
def truncated_gradient(W, inputs, k):
    return ...


def check_4(truncated_gradient):
    for k in (1, 2, 4):
        W.grad = sum(parts)  # as section 5 left it
        answer = truncated_gradient(W, inputs, k)
        assert not getattr(answer, "requires_grad", False), (
            "return the gradient, not the loss"
        )
        answer = np.asarray(answer)
        assert answer.shape == (3, 3), f"shape {answer.shape}, not (3, 3)"
        assert not np.allclose(answer, sum(parts) + sum(parts[-k:])), (
            "W.grad had a gradient from before, and yours was added to it: use "
            "mg.grad, or W.grad = None first"
        )
        right = sum(parts[-k:])
        if k < 4:
            assert not np.allclose(answer, sum(parts)), (
                f"for k = {k} this is the gradient through all steps: is h cut?"
            )
            assert not np.allclose(answer, sum(parts[-k - 1 :])), (
                f"for k = {k} you followed one step more than asked"
            )
        assert np.allclose(answer, right), f"wrong for k = {k}"


exercise(4, check_4, truncated_gradient)

# %% [markdown]
# ## What to remember
#
# - A derivative is a sum over all paths from the result to the input, of the products of the slopes along each path.
# - The sweep computes it with one step for each arrow, because it waits at every node until all parts have arrived.
# - A right order visits every node after all its users. The order of creation, reversed, is one.
# - A wrong order gives a wrong number, not an error.
# - The gradient of a weight that is shared over time is the sum of what each step contributes.
#
# **Next:** lesson 3 looks at a use that is easy to miss: NumPy repeats an array, and its gradient is a sum as well.
#
# ## Solutions


# %% tags=["hide-cell"]
right_orders_solution = {"A", "B"}


def number_of_paths_solution(graph, root, end):
    paths = {root: 1}  # the reverse sweep, with a slope of 1 for each arrow
    for node in reversed(graph):
        if node in paths:
            for operand, _ in graph[node]:
                paths[operand] = paths.get(operand, 0) + paths[node]
    return paths.get(end, 0)


def backward_order_solution(graph, root):
    reached, to_visit = {root}, [root]
    waiting = {root: 0}  # for each node, the uses that have not arrived
    while to_visit:
        for operand, _ in graph[to_visit.pop()]:
            waiting[operand] = waiting.get(operand, 0) + 1
            if operand not in reached:
                reached.add(operand)
                to_visit.append(operand)
    order = [root]
    for node in order:  # which grows meanwhile
        for operand, _ in graph[node]:
            waiting[operand] -= 1
            if waiting[operand] == 0:
                order.append(operand)
    return order


def truncated_gradient_solution(W, inputs, k):
    h = mg.tensor(np.ones(3))
    for t, x in enumerate(inputs):
        if t == len(inputs) - k:
            h = h.detach()
        h = np.tanh(W @ h + x)
    return mg.grad((h * h).sum(), W).data


solution(1, check_1, right_orders_solution)
solution(2, check_2, number_of_paths_solution)
solution(3, check_3, backward_order_solution)
solution(4, check_4, truncated_gradient_solution)
