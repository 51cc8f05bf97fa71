# %% [markdown]
# # Lesson 9: memory and checkpoints
#
# The backward pass goes through the program in reverse, and its rules need values of the forward pass. So these
# values have to be kept. For a recurrent network this means: something for *every step*. Twice as long a sequence
# takes twice as much memory, and at some length the computer has no more. Time is rarely the limit, memory often.
#
# In this lesson you see what is kept and why, and you learn to pay with time for memory: keep little, and compute the
# rest again.
#
# **You need:** lessons 1 and 4 (the backward pass, rules), and loops over a sequence.
#
# **You will be able to** say what an op keeps for its rules, measure the memory of a training step, and train on
# sequences that would not fit, with `mg.checkpoint` or by hand.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import textwrap
import time
import tracemalloc

import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. What a rule needs
#
# Look at the rules of three ops. `g` is the gradient of the result:
#
# ```text
# z = x + y        x receives g                      needs nothing
# z = x * y        x receives g * y                  needs the operands
# y = tanh(x)      x receives g * (1 - y * y)        needs the result
# ```
#
# minigrad records for each op only what its rules ask for. A node has it in `saved`: first the result, then the
# operands, None for what is not needed. Predict each line: what do `exp`, `sin`, `sum` and `relu` keep?


# %%
def keeps(node):
    """Return the names of the arrays that a node keeps for its rules."""
    if not isinstance(node.saved, tuple):
        return "nothing"
    names = ["result", "x", "y"]
    saved = zip(names, node.saved, strict=False)
    return ", ".join(n for n, array in saved if array is not None) or "nothing"


x = mg.tensor(np.ones((2, 2)), requires_grad=True, name="x")
y = mg.tensor(np.ones((2, 2)), requires_grad=True, name="y")
for result in (
    x + y,
    x * y,
    x @ y,
    np.tanh(x),
    np.exp(x),
    np.sin(x),
    np.sum(x),
    mg.relu(x),
):
    node = mg.Graph(result).nodes[-1]
    print(f"{node.op.name:9} keeps {keeps(node)}")

# %% [markdown]
# - `x + y` and `sum` keep nothing. They only pass the gradient on.
# - A product keeps both operands, because the slope in one direction is the other operand.
# - The derivative of `exp` is `exp`, so it keeps its result. `sin` needs a cosine, and keeps `x` to compute it.
# - `relu` keeps its result: it is positive exactly where `x` is.
#
# To keep an array means to hold a reference to it, so that Python does not free it. If another op keeps the same
# array, it costs nothing more. So a rule that uses the *result* is often cheaper: the next op needs it anyway.
#
# ### Exercise 1
#
# The slope of the square root is `0.5 / sqrt(x)`. Written like this, the op keeps `x`. Return a rule that keeps only
# the result. (Lesson 4: a rule whose parameter is called `out` receives the result.)


# %%
def root_rule():
    return ...  # a lambda; somebody wrote: lambda x: 0.5 / np.sqrt(x)


def check_1(root_rule):
    rule = root_rule()
    assert callable(rule), "return the rule itself, a lambda"

    @mg.custom_op(rule, kind="elementwise")
    def root(x):
        return np.sqrt(x)

    mg.check_grads(root, np.array([0.5, 2.0, 9.0]))
    node = mg.Graph(root(x)).nodes[-1]
    assert keeps(node) == "result", (
        f"the rule is right, but the op keeps {keeps(node)}"
    )


exercise(1, check_1, root_rule)

# %% [markdown]
# ## 2. A whole sequence
#
# Here is a recurrent network as a loop. It has 64 units and reads a batch of 32 sequences. One state is an array of
# 16 kB; we call that **one unit of memory** from here on.

# %%
T, BATCH, UNITS = 400, 32, 64
STATE = BATCH * UNITS * 8  # bytes of one state in float64

rng = np.random.default_rng(0)
weights = 0.9 * rng.normal(size=(UNITS, UNITS)) / 8
W = mg.tensor(weights, requires_grad=True, name="W")
inputs = rng.normal(size=(T, BATCH, UNITS))
start = np.zeros((BATCH, UNITS))


def steps(h, first, last):
    """Run the network over the steps first, ..., last - 1."""
    for t in range(first, last):
        h = np.tanh(h @ W + inputs[t])
    return h


def whole(length=T):
    return (steps(start, 0, length) ** 2).sum()


# %% [markdown]
# What is kept for three steps? In the picture each node says it.


# %%
def picture(result):
    nodes, parents = {}, {}
    for node in mg.Graph(result).nodes:
        leaf = node.name or ("input" if node.shape == start.shape else "")
        label = f"{node.op.name}\nkeeps {keeps(node)}" if node.op else leaf
        nodes[node], parents[node] = label, list(node.parents)
    return mg.draw_graph(nodes, parents)


picture(steps(start, 0, 3))

# %% [markdown]
# Each step has a product, a sum and a tanh. The sum keeps nothing. The result of tanh is an operand of the next
# product: two nodes keep it, but it is one array. So a step should cost one unit. (The first product keeps only `x`,
# the start: nobody needs the gradient of the start, so nobody needs `W` there.) We measure it with `tracemalloc`,
# which counts all memory that Python and NumPy ask for.


# %%
def peak(program):
    """Return the largest amount of memory in use while it runs, in units."""
    tracemalloc.start()
    program()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / STATE


print(" steps   forward only   with backward   no_grad")
for length in (100, 200, 400):
    forward = peak(lambda n=length: whole(n))
    both = peak(lambda n=length: whole(n).backward())
    with mg.no_grad():
        free = peak(lambda n=length: whole(n))
    print(f"{length:6} {forward:11.0f} {both:15.0f} {free:13.0f}")
    assert length < forward < 1.25 * length
    assert free < 10

# %% [markdown]
# A little more than one unit for each step, as predicted. Twice the length, twice the memory. The backward pass adds
# almost nothing, because it *frees* what a node has saved as soon as its rule has run. And under `mg.no_grad()`
# nothing is recorded, so nothing is kept: use it when you only want predictions.
#
# Let us watch the memory over time. A hook on each state (`register_hook`) is called when the backward pass comes by.


# %%
def watched(run):
    """Run a program, and draw its memory in use at some moments as bars."""
    moments = []

    def note(t, way):
        used = tracemalloc.get_traced_memory()[0] / STATE
        moments.append((way, t, used))

    tracemalloc.start()
    run(note)
    tracemalloc.stop()
    W.grad = None
    for i in np.linspace(0, len(moments) - 1, 16).astype(int):
        way, t, used = moments[i]
        print(f"{way:8} t = {t:3}  {used:4.0f} " + "#" * int(used / 8))


def noted_steps(note):
    def steps(h, first, last):
        for t in range(first, last):
            h = np.tanh(h @ W + inputs[t])
            h.register_hook(lambda g, t=t: note(t, "backward"))
            note(t, "forward")
        return h

    return steps


watched(lambda note: (noted_steps(note)(start, 0, T) ** 2).sum().backward())

# %% [markdown]
# The mountain is the memory of backpropagation through time. It rises through the forward pass, and falls through the
# backward pass. The top is in the middle: everything is kept, and nothing has been used yet.
#
# ## 3. Keep little, compute again
#
# The first value that the backward pass needs is the *last* that the forward pass made. The first state is kept the
# longest, for almost the whole time, and used at the very end. It would be better to compute it shortly before it is
# needed.
#
# The idea of **checkpointing**: cut the sequence into pieces. In the forward pass keep only the state at the start of
# each piece, a **checkpoint**. In the backward pass take the last piece, run it again from its checkpoint, now with
# everything kept, and go back through it; free it all, take the piece before. Each step is computed twice, but only
# one piece is in memory at a time.
#
# With pieces of `k` steps, the memory is about
#
# ```text
# T / k       checkpoints
#   + k       states of one piece
# ```
#
# Very short pieces have many checkpoints, very long ones are almost the whole sequence.
#
# ### Exercise 2
#
# Return the `k`, a whole number, for which `T / k + k` is smallest. Then think about its value: how much memory does
# a sequence of a million steps need?


# %%
def best_piece(T):
    return ...


def check_2(best_piece):
    for T in (100, 400, 10_000):
        k = best_piece(T)
        assert isinstance(k, int | np.integer), f"return a whole number, not {k}"
        best = min(T / n + n for n in range(1, T + 1))
        assert T / k + k < best + 0.1, (
            f"for T = {T} your k = {k} needs {T / k + k:.0f} units, and "
            f"{best:.0f} are enough"
        )


exercise(2, check_2, best_piece)

# %% [markdown]
# In minigrad you write `mg.checkpoint(f)(arguments)` where you would write `f(arguments)`. We measure memory and time
# for several lengths of a piece.


# %%
def in_pieces(k, steps=steps):
    h = start
    for first in range(0, T, k):
        h = mg.checkpoint(steps)(h, first, first + k)
    return (h**2).sum()


def seconds(program):
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        program()
        times.append(time.perf_counter() - begin)
    return min(times)


def gradient(program):
    W.grad = None
    program().backward()
    return W.grad


expected = gradient(whole)
base = seconds(lambda: gradient(whole))
most = {}
print(f"no pieces: {peak(lambda: gradient(whole)):5.0f} units")
for k in (2, 10, 20, 40, 100):
    ratio = seconds(lambda k=k: gradient(lambda: in_pieces(k))) / base
    most[k] = peak(lambda k=k: gradient(lambda: in_pieces(k)))
    print(f"k = {k:3}:   {most[k]:5.0f} units, time x {ratio:.1f}")
    assert np.allclose(W.grad, expected)
assert min(most, key=most.get) == 20

# %% [markdown]
# The gradient is the same for all `k` (the cell asserts it). The smallest memory is at `k = 20`, the square root of
# 400. The last column is the price: about one more forward pass, and more for very short pieces, because each piece
# has some work of its own. The mountain has become a plain:

# %%
watched(lambda note: in_pieces(20, noted_steps(note)).backward())

# %% [markdown]
# It does not reach the theoretical 40 units. About 32 more are on purpose: minigrad collects the operands of up to 32
# products for the gradient of `W`, and computes them as one product, which is faster. The rest are Python's own
# objects, a few for each op.
#
# The picture shows the graph of two pieces of two steps, before the backward pass. Its structure is complete, but the
# nodes keep nothing. Compare it with section 2.

# %%
twice = mg.checkpoint(steps)
picture(twice(twice(start, 0, 2), 2, 4))

# %% [markdown]
# The law behind this is due to Chen, Xu, Zhang and Guestrin (2016): memory proportional to the root of the length,
# for one more forward pass. A sequence of a million steps needs about 2000 units, not a million.
#
# ## 4. By hand
#
# There is no magic in it. You can write checkpointing with `mg.grad` and a seed (lesson 5): if `g` is the gradient of
# the *end* of a piece,
#
# ```text
# to_start, to_W = mg.grad(end, [h, W], seed=g)
# ```
#
# are the gradients of its start and its share of the gradient of `W`.
#
# ### Exercise 3
#
# Complete the backward pass. `checkpoints[i]` is the state (a plain array) before step `i * k`. Go through the pieces
# from the last to the first. Return the gradient of `W`. The loss is the sum of squares of the last state, so its
# gradient is `2 * last`.


# %%
def forward_by_hand(k):
    checkpoints, h = [], start
    with mg.no_grad():
        for first in range(0, T, k):
            checkpoints.append(np.asarray(mg.tensor(h).data))
            h = steps(h, first, first + k)
    return checkpoints, h.data


def backward_by_hand(checkpoints, last, k):
    # g, total = 2 * last, np.zeros((UNITS, UNITS))
    # for i in reversed(range(len(checkpoints))):
    #     h = mg.tensor(checkpoints[i], requires_grad=True)
    #     ...
    return ...


def check_3(backward_by_hand):
    for k in (20, 100):
        found = backward_by_hand(*forward_by_hand(k), k)
        assert np.shape(found) == (UNITS, UNITS), (
            f"return the gradient of W, shape {(UNITS, UNITS)}"
        )
        assert not np.allclose(found, np.zeros_like(found)), (
            "it is 0: add what each piece contributes to W"
        )
        assert np.allclose(found, expected), (
            "the gradient differs. Does each piece receive the g that its "
            "successor sent, and is `total` the sum over all pieces?"
        )


exercise(3, check_3, backward_by_hand)

# %% [markdown]
# ## 5. One condition
#
# The piece runs twice, so it must compute the same twice. A function that draws random numbers does not. minigrad
# compares the two runs and refuses:


# %%
def noisy(h, rng):
    mask = rng.random(h.shape) < 0.5  # dropout: half of the units are set to 0
    return np.tanh(h @ W) * mask


try:
    rng = np.random.default_rng(0)
    h = mg.checkpoint(noisy)(inputs[0], rng)
    h.sum().backward()
except RuntimeError as error:
    print(textwrap.fill(str(error), 80))

# %% [markdown]
# ### Exercise 4
#
# Repair it. Write `noisy_step(h, rng)` so that it returns the same as `noisy`, uses `mg.checkpoint`, and has a
# backward pass. The message says how.


# %%
def noisy_step(h, rng):
    return ...


def check_4(noisy_step):
    found = noisy_step(inputs[0], np.random.default_rng(5))
    plain = noisy(mg.tensor(inputs[0]), np.random.default_rng(5))
    assert np.allclose(found.data, plain.data), "the values are not the same"
    node = next(n for n in mg.Graph(found).nodes if n.op is not None)
    assert keeps(node) == "nothing", "it is right, but has no checkpoint"
    assert np.allclose(
        mg.grad(found.sum(), W).data, mg.grad(plain.sum(), W).data
    ), "the gradient is not the same"


exercise(4, check_4, noisy_step)

# %% [markdown]
# ## What to remember
#
# - An op keeps what its rules need, and no more. The memory of a training step grows with the length of the sequence.
# - The backward pass frees what it has used. The peak is between the two passes.
# - `mg.no_grad()` keeps nothing. Use it for predictions.
# - `mg.checkpoint(f)` keeps only the arguments of `f`, and runs `f` again. With pieces of `sqrt(T)` steps, memory
#   grows with the root of the length, for one more forward pass.
# - A checkpointed function must compute the same twice.
#
# **Next:** lesson 10 begins with sequences, and asks why a network needs a memory of its own.
#
# ## Solutions


# %% tags=["hide-cell"]
def root_rule_solution():
    return lambda out: 0.5 / out


def best_piece_solution(T):
    return round(np.sqrt(T))


def backward_by_hand_solution(checkpoints, last, k):
    g, total = 2 * last, np.zeros((UNITS, UNITS))
    for i in reversed(range(len(checkpoints))):
        h = mg.tensor(checkpoints[i], requires_grad=True)
        end = steps(h, i * k, (i + 1) * k)
        to_start, to_W = mg.grad(end, [h, W], seed=g)
        g, total = to_start.data, total + to_W.data
    return total


def noisy_step_solution(h, rng):
    mask = rng.random(h.shape) < 0.5
    return mg.checkpoint(lambda h, mask: np.tanh(h @ W) * mask)(h, mask)


solution(1, check_1, root_rule_solution)
solution(2, check_2, best_piece_solution)
solution(3, check_3, backward_by_hand_solution)
solution(4, check_4, noisy_step_solution)
