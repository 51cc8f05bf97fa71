# %% [markdown]
# # Lesson 11: the network folded and unrolled
#
# Textbooks draw a recurrent network in two ways: once as a small loop, an arrow from the state back to itself, and
# once as a long chain. The first picture is the program that you write. The second is what the computer runs, and
# only the second has a gradient: you cannot walk backwards through an arrow that leads back to where it started. In
# the chain you can.
#
# In this lesson you go from one picture to the other and back, and you see what the loop means for the gradient of
# the weights.
#
# **You need:** lesson 2 (the order of the sweep) and lesson 10 (the state of a recurrent network).
#
# **You will be able to** read both pictures, compute what each time step contributes to a gradient, fold a chain of
# equations into one step, and cut a sequence for training.
#
# **Time:** about 40 minutes, 4 exercises.

# %%
import textwrap

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. One program, two pictures
#
# Here is a recurrent network as you would write it. Its weights have the letters of most textbooks: `U` for the
# input, `W` for the state, `V` for the output. It should return zeros, so the loss of a step is the sum of the
# squares of its outputs.

# %%
rng = np.random.default_rng(0)
U, W, V = (
    mg.tensor(0.6 * rng.normal(size=shape), requires_grad=True, name=name)
    for name, shape in (("U", (3, 4)), ("W", (4, 4)), ("V", (4, 2)))
)
x = rng.normal(size=(1000, 1, 3))  # steps, sequences, features


def network(T):
    h, loss = np.zeros((1, 4)), 0.0
    for t in range(T):
        h = np.tanh(x[t] @ U + h @ W)
        o = h @ V
        loss = loss + (o * o).sum()
    return loss, h


loss, h = network(3)
names = {"x": x, "h": h, "loss": loss}  # for the boxes: h[0], h[1], ...
mg.draw(loss, names=names)

# %% [markdown]
# This is the network **unrolled** over three steps. Time runs to the right; each step has a frame with its ops in it.
# Follow the blue line: the state, handed from step to step. The red line adds up the loss. The small yellow boxes are
# the weights. They are drawn in every step, but there is only *one* `U`, one `W` and one `V`.
#
# ### Exercise 1
#
# How many ops does the engine record for `T` steps? Count them in a picture, predict, and return the number. (Every
# box with an op counts, the addition to the loss too. A box such as `h[0]` is a name, and its op is the one that
# leads to it.)


# %%
def recorded_ops(T):
    return ...


def check_1(recorded_ops):
    for T in (4, 6, 100):
        found = recorded_ops(T)
        nodes = mg.Graph(network(T)[0]).nodes
        expected = sum(node.op is not None for node in nodes)
        assert found != expected - T, (
            "nearly: one op of each step is missing. Did you count the three @, "
            "the two + and the three others?"
        )
        assert found == expected, f"for {T} steps it is {expected}, not {found}"


exercise(1, check_1, recorded_ops)

# %% [markdown]
# Python's `for` left no trace in the graph. The engine recorded ops, one after the other. But the same ops come again
# and again, and minigrad finds what repeats:

# %%
print(mg.loops(loss))
mg.draw(loss, names=names, fold=True)

# %% [markdown]
# This is the same graph **folded**. The step is drawn once. An arrow leads back for each value that a step hands to
# the next: the state (blue) and the sum of the losses (red). "used x3" says how often a weight is used. Read the
# printed line above the picture:
#
# - **carried**: `tanh` and `add`, values of the step before;
# - **enters**: another input at each step, `x[t]`. It is called a *constant* because it needs no gradient;
# - **shared**: the same in all steps, the weights.
#
# Textbooks leave out the ops and draw both pictures side by side:

# %%
rnn.draw.both(loss, names=names)

# %% [markdown]
# The graph grows with the sequence; the folded picture does not. Of a long unrolled graph minigrad draws only both
# ends.

# %%
for T in (6, 60, 600):
    long, last = network(T)
    ops = sum(node.op is not None for node in mg.Graph(long).nodes)
    boxes = [
        len(
            mg.draw(
                long, names={"x": x, "h": last}, fold=fold
            ).picture.all_boxes()
        )
        for fold in (True, False)
    ]
    print(f"T = {T:3}: {ops:4} ops; boxes folded {boxes[0]}, unrolled {boxes[1]}")

# %% [markdown]
# ## 2. One weight, many uses
#
# `W` is used at each step. So a change of `W` changes the loss in many ways at once, and its gradient is the *sum*
# over all uses. To see the terms of this sum, give each step a copy of its own: `+W` is a new node with the same
# value.
#
# ### Exercise 2
#
# Return the gradients of the loss with respect to these copies: a list with one array for each of the `T` steps.
# Write the loop of `network` with them, and use `mg.grad(loss, copies)`.


# %%
def gradient_by_step(T):
    return ...  # copies = [+W for _ in range(T)], then the loop


def check_2(gradient_by_step):
    for T in (2, 6):
        parts = [np.asarray(g) for g in gradient_by_step(T)]
        assert len(parts) == T, f"{T} steps have {T} terms, not {len(parts)}"
        whole = mg.grad(network(T)[0], W).data
        assert not np.allclose(parts, 0), (
            "all terms are 0: compute h with copies[t], not with W"
        )
        assert np.allclose(sum(parts), whole), (
            "the sum of the terms is not the gradient of W"
        )


exercise(2, check_2, gradient_by_step)

# %% [markdown]
# `rnn.gradient_flow` computes the same terms for all weights, here as their sizes (norms) at each step.

# %%
loss6, h6 = network(6)
flow = rnn.gradient_flow(loss6, names={"x": x, "h": h6})
print("step      " + "".join(f"{t:8}" for t in range(6)))
for name in "UWV":
    print(f"|term| {name}  " + "".join(f"{s:8.3f}" for s in flow.shares[name]))
assert flow.shares["W"][0] == 0

# %% [markdown]
# `W` has no term at step 0: it is multiplied by the state before the first step, which is zero, so nothing depends on
# it there. In general the term of a step is a product of two things: what the step *received* (its input or state)
# and the gradient that came *back* to it.
#
# This way to compute the gradient, unroll, go backward, add up the terms of each weight, is called **backpropagation
# through time** (BPTT; Werbos, 1990). It is no other algorithm than the reverse sweep of lesson 2. It only has a name
# of its own.
#
# The picture shows the gradient at the states, for three steps. The number in the box of a state is the size (norm)
# of the gradient there. The darker the box, the more the loss would change if that state changed. A blue arrow is
# wide where much of the gradient comes back along it.

# %%
rnn.draw.unrolled(loss, names=names, gradients=True)

# %% [markdown]
# ## 3. What can be folded
#
# Not every repetition is a loop that can be folded. Predict for each of these four programs: is it one, and what does
# it carry?


# %%
def six_layers():  # a deep network: a new weight for each layer
    h = np.ones((1, 4))
    for _ in range(6):
        h = np.tanh(h @ mg.tensor(rng.normal(size=(4, 4)), requires_grad=True))
    return h


def two_states():
    h = c = np.zeros((1, 4))
    for t in range(6):
        c = 0.9 * c + np.tanh(x[t] @ U + h @ W)
        h = np.tanh(c)
    return h


def sometimes():  # every fourth step has one op more
    h = np.zeros((1, 4))
    for t in range(12):
        h = np.tanh(x[t] @ U + h @ W)
        if t % 4 == 3:
            h = 0.5 * h
    return h


def all_before():  # each step reads all states before it
    states = [np.zeros((1, 4))]
    for t in range(6):
        mean = np.mean(np.concatenate(states), axis=0, keepdims=True)
        states.append(np.tanh(x[t] @ U + mean @ W))
    return states[-1]


for program in (six_layers, two_states, sometimes, all_before):
    found = str(mg.loops(program().sum())).splitlines()[0]
    text = f"{program.__name__}: {found}"
    print(textwrap.fill(text, 80, subsequent_indent="    "))

# %% [markdown]
# - The **layers** are not a loop: nothing is shared, each has a weight of its own. All ops are outside of loops.
# - **Two states** are carried, `add` (that is `c`) and `tanh` (`h`). The LSTM of lesson 14 is of this kind. (In its
#   first step `0.9 * c` is plain NumPy and leaves no op: "multiply only in 5 of 6".)
# - **Sometimes** is a loop whose body has an op that only 3 of 12 steps use, `0.5 * h`. That `multiply` is the last
#   op that can write `h`, so the state is named after it; in the other steps it is the result of `tanh`.
# - **All before** does not carry a state of a fixed size: what a step reads *grows*. No arrow from one step to the
#   next can replace it. (Its first step reads only zeros. That is plain NumPy, so 5 of 6 steps are alike.) (This is
#   how attention works, and why its cost grows with the square of the length.)
#
# Often you have the chain and need the loop: a paper writes down the first steps, and you have to find the function
# that is applied each time. Ask again what is carried, what enters, and what is shared.
#
# ### Exercise 3
#
# Here are three steps of a network with a leaky memory `m`:
#
# ```text
# a0 = tanh(x0 @ U)               m0 = a0
# a1 = tanh(x1 @ U + m0 @ W)      m1 = 0.9 * m0 + a1
# a2 = tanh(x2 @ U + m1 @ W)      m2 = 0.9 * m1 + a2
# ```
#
# Fold it: write one step that receives what is carried and the input, and returns the new carried value. With which
# start is the first line a step like the others? Return that too: `start` has shape (1, 4).


# %%
def leaky_step(m, x):
    return ...


def leaky_start():
    return ...


def check_3(answers):
    step, start = answers
    m = start()
    assert m is not ..., "replace the ... with your answer"
    assert np.shape(m) == (1, 4), f"the start has shape (1, 4), not {np.shape(m)}"
    assert np.allclose(m, 0), (
        "with this start, the first step is not tanh(x0 @ U) alone"
    )
    expected = np.tanh(x[0] @ U.data)
    for t in range(5):
        m = step(m, x[t])
        assert m is not ..., "replace the ... with your answer"
        assert np.allclose(m, expected), f"m{t} is wrong"
        a = np.tanh(x[t + 1] @ U.data + expected @ W.data)
        expected = 0.9 * expected + a
    assert isinstance(m, mg.Tensor), (
        "the values are right, but the graph is lost: do not use .data"
    )
    report = str(mg.loops((m * m).sum()))
    assert "5 times" in report, (
        f"the values are right, but the steps are not alike: {report}"
    )


exercise(3, check_3, (leaky_step, leaky_start))

# %% [markdown]
# ## 4. Cutting a long chain
#
# Of a text with a million letters you cannot keep the whole graph. So one trains on pieces: run 20 steps, go backward
# through these 20, and go on with the state, but *without its history*. This is **truncated BPTT**. The forward pass
# is that of the whole sequence; only the gradient is cut.
#
# In practice it is a loop over pieces, each with a graph of its own:


# %%
def gradient_in_pieces(T, k):
    h, total = np.zeros((1, 4)), np.zeros((4, 4))
    for first in range(0, T, k):
        loss = 0.0
        for t in range(first, first + k):
            h = np.tanh(x[t] @ U + h @ W)
            o = h @ V
            loss = loss + (o * o).sum()
        total = total + mg.grad(loss, W).data  # or an update of the weights
        h = h.data  # the state goes on, its history does not
    return total


# %% [markdown]
# What is lost? We compare it with the whole gradient over 60 steps. (The **cosine** is 1 for the same direction and 0
# for a right angle.)

# %%
complete = mg.grad(network(60)[0], W).data
for k in (1, 2, 5, 10, 30):
    part = gradient_in_pieces(60, k)
    norms = np.linalg.norm(part) * np.linalg.norm(complete)
    print(f"pieces of {k:2}: cosine {(part * complete).sum() / norms:.3f}")
assert (part * complete).sum() / norms > 0.99

# %% [markdown]
# With pieces of 10 steps the direction is nearly that of the whole gradient: in *this* network little comes back from
# further away (lesson 13 says why). But a cause that lies further back than a piece is long gets no gradient at all.
#
# In the picture of a network that is cut every two steps, scissors show where. No gradient goes back along an arrow
# with scissors.

# %%
task = rnn.tasks.hello()
model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
rnn.draw.unrolled(
    model,
    task.inputs,
    task.targets,
    level="cell",
    gradients=True,
    chunk=2,
    symbols=task.alphabet,
)

# %% [markdown]
# ### Exercise 4
#
# You can also cut within one graph: `h.detach()` returns the same values without the graph behind them. Write the
# loss of the network of section 1 with a cut before the steps `k`, `2k`, ... (The first state is a plain array and
# has no history to cut.)


# %%
def truncated(T, k):
    return ...


def check_4(truncated):
    whole, _ = network(6)
    cut = truncated(6, 2)
    assert isinstance(cut, mg.Tensor), "return the loss as a Tensor"
    assert np.shape(cut) == (), (
        f"return the loss, one number, not an array of shape {np.shape(cut)}"
    )
    assert np.isclose(cut.item(), whole.item()), (
        f"the loss must stay {whole.item():.4f}; yours is {cut.item():.4f}"
    )
    assert getattr(cut, "requires_grad", False), "detach h only, not the loss"
    found, of_V = (g.data for g in mg.grad(cut, [W, V]))
    everything, all_of_V = (g.data for g in mg.grad(whole, [W, V]))
    assert np.allclose(of_V, all_of_V), (
        "the gradient of V lost terms: detach h only, not the loss"
    )
    assert not np.allclose(found, everything), (
        "the gradient is that of the whole sequence: nothing was cut"
    )
    assert not np.allclose(found, gradient_in_pieces(6, 1)), (
        "you cut before every step"
    )
    assert np.allclose(found, gradient_in_pieces(6, 2)), (
        "with k = 2 cut before step 2 and before step 4"
    )
    longer = mg.grad(truncated(30, 5), W).data
    assert np.allclose(longer, gradient_in_pieces(30, 5)), (
        "it is right for pieces of 2 steps, but not for pieces of 5"
    )


exercise(4, check_4, truncated)

# %% [markdown]
# ## What to remember
#
# - Folded is what you write, unrolled is what runs. The gradient needs the unrolled graph, because it has no cycle.
# - A loop has carried values, inputs that enter, and shared weights.
# - The gradient of a shared weight is the sum of one term for each step. That is all that "backpropagation through
#   time" adds to backpropagation.
# - Truncated BPTT cuts the gradient, not the state.
#
# **Next:** lesson 12 writes this gradient by hand, and lets a compiler write it.
#
# ## Solutions


# %% tags=["hide-cell"]
def recorded_ops_solution(T):
    return 8 * T


def gradient_by_step_solution(T):
    copies, h, loss = [], np.zeros((1, 4)), 0.0
    for t in range(T):
        copies.append(+W)
        h = np.tanh(x[t] @ U + h @ copies[t])
        loss = loss + ((h @ V) ** 2).sum()
    return mg.grad(loss, copies)


def leaky_step_solution(m, x):
    return 0.9 * m + np.tanh(x @ U + m @ W)


def leaky_start_solution():
    return np.zeros((1, 4))


def truncated_solution(T, k):
    h, loss = np.zeros((1, 4)), 0.0
    for t in range(T):
        if t and t % k == 0:
            h = h.detach()
        h = np.tanh(x[t] @ U + h @ W)
        loss = loss + ((h @ V) ** 2).sum()
    return loss


solution(1, check_1, recorded_ops_solution)
solution(2, check_2, gradient_by_step_solution)
solution(3, check_3, (leaky_step_solution, leaky_start_solution))
solution(4, check_4, truncated_solution)
