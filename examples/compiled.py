# %% [markdown]
# # From a loop over time to a program with loops
#
# `mg.compile` records a training step, call by call, and turns the record into a NumPy program. This lesson follows one step,
# that of a plain RNN on the smallest task, through the passes of the compiler, and ends with what you would write by hand.

# %%
import re
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

task = rnn.tasks.hello()
x, y = task.inputs.astype(np.float64), task.targets  # (6, 1, 5), (6, 1)
T, hidden, lr = 6, 5, 0.1


def training():
    """A network, and a function that trains it by one step. All of them begin with the same weights."""
    model = rnn.Sequence(
        rnn.RNN(5, hidden, rng=0, dtype=np.float64),
        rnn.Linear(hidden, 5, rng=1, dtype=np.float64),
    )
    optimizer = rnn.SGD(model.parameters(), lr=lr)

    def step(x, y):
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    return model, step


# %% [markdown]
# ## What is recorded
#
# The layer is a Python loop over its cell: h' = tanh(Ux + b + Wh + c). While the step is recorded, that loop runs, and the
# record has every call of every iteration: first forward, then backward, then the update. Here are the calls of step 4, in
# both passes.
#
# (`@` is the product of matrices. A name such as `dot_22` is that of the function and a number, and stays the same through all
# passes. A view of an array, such as `x[1]` or `W.T`, is written where it is used.)

# %%
model, step = training()
compiled = mg.compile(step)
stages = dict(compiled.stages(x, y))


def show(stage, *words):
    """Print the lines of a stage that contain one of the words, without the place where they were recorded."""
    for line in stages[stage]:
        if any(word in line for word in words):
            print("   ", line.rpartition("  # ")[0] or line)


print(
    f"recorded: {len(stages['recorded'])} calls, of them {sum('/t=' in line for line in stages['recorded'])} in time steps"
)
show("recorded", "/t=4")

# %% [markdown]
# The number of lines after each pass, and how many of them went and came:

# %%
before = None
for name, lines in stages.items():
    gone = (
        ""
        if before is None
        else f"-{len(set(before) - set(lines)):<3} +{len(set(lines) - set(before)):<3}"
    )
    print(f"{len(lines):4} lines  {gone:9} {name}")
    before = lines

# %% [markdown]
# ## Duplicates
#
# The loss and its gradient both compute the softmax, and each gradient of a weight stacks the same gradients of the six steps.
# The program computes each of them once.

# %%
for name in ("recorded", "without duplicates"):
    counts = [
        f"{sum(f'= {word}(' in line for line in stages[name])} x {word}"
        for word in ("concatenate", "exp", "max")
    ]
    print(f"{name}:", *counts)

# %% [markdown]
# ## Folding
#
# The six iterations have the same calls and differ only in what they read. So the compiler keeps one body, and writes down for
# each operand where an iteration finds it:
#
# - **the same in all**: a weight, such as `weight_hh_l0`;
# - **a row**, `x[t]`: element t of an array over time;
# - **carried**, `h_prev = carried(...)`: a value of the iteration before, and what the first iteration starts from. The line
#   `h_prev = h` at the end of the body says what it is in the next iteration.
#
# A value leaves a loop as an array over time: `collected` has the results of all iterations, `history` also the start. The
# backward pass is a loop of its own. Its t falls, and it carries a gradient.
#
# The gradient of W is a sum over time, and needs no loop: the sum of the products of da[t] and h[t-1] is one product, that of
# the array of all da, transposed, and the array of all h.

# %%
print("the loops:")
show("folded into loops", "for t from")
print("what leaves them, and the products with it:")
show("folded into loops", "history_", "= collected(")
print(
    len(stages["folded into loops"]),
    "lines; for a sequence of 60 letters",
    end=" ",
)
many = np.arange(60) % T
print(len(dict(compiled.stages(x[many], y[many]))["folded into loops"]))

# %% [markdown]
# ## Sums in another order
#
# (Ux + b) + (Wh + c) becomes (Ux + (b + c)) + Wh. Now b + c is computed once, and only one sum waits for the state h.
# Floating-point sums in another order differ in the last digits. `mg.compile(step, batch=False)` leaves out folding and all
# passes after it. Its results are those of the function, bit for bit; its program has all the steps one after the other.

# %%
for when, stage in (
    ("before", "folded into loops"),
    ("after", "merged and reordered"),
):
    print(f"{when}:")
    for line in stages[stage]:
        if " + " in line and ("t from 0" in line or " bias" in line):
            print("   ", line.rpartition("  # ")[0] or line)
exact = mg.compile(training()[1], batch=False)
assert exact(x, y).item() == training()[1](x, y).item()
print("with batch=False:", len(exact.source.splitlines()), "lines")

# %% [markdown]
# ## Distribution: before the loop, in it, after it
#
# Each call of a body gets one of three places:
#
# - A call that needs nothing carried moves **before the loop** and runs once, on the array of all steps: Ux of all letters is
#   one product, which is faster than six small ones. The slopes of tanh, 1 - h h, come before the backward loop.
# - What the loop carries stays **in the loop**: forward a product, a sum, a tanh; backward a product, a sum, a product.
# - A call whose result no later iteration needs moves **after the loop**. The gradients of the weights are there, and also the
#   readout, if it is called in each step.

# %%
print("for all steps at once:")
for line in stages["done for all steps at once"]:
    if line.endswith("# rnn/layer=0") and not re.search(
        r"= (history|collected)\(", line
    ):
        print("   ", line.rpartition("  # ")[0])
print("left in the loops:")
show("done for all steps at once", "for t from")

# %% [markdown]
# ## Updates side by side
#
# The optimizer has a product and a difference for each of six parameters. Those that fit into one array get one of each.

# %%
print("before:")
show("done for all steps at once", "# update")
print("after:")
show("updates side by side", "# update")

# %% [markdown]
# ## The program
#
# Every value gets its place in memory once, before the first run. The states need no copies: the forward loop writes them into
# rows 1 to 6 of one array whose row 0 is the start. Rows 1 to 6 are what the readout reads, rows 0 to 5 what the gradient of W
# needs. New parameters are written over the old ones.
#
# The loop itself is a plain `for`. `steps_0` is a list made beforehand: for each step, the arrays that the names in the head
# stand for. So an iteration does no indexing.

# %%
first = compiled(x, y).item()
source = compiled.source
program = source[source.index("def run") :].splitlines()
legend = source.splitlines()[: -len(program)]
print(
    len(program), "lines, and", len(legend), "that say what the names stand for:"
)
for line in legend:
    print("   ", line)
print(compiled.report().splitlines()[-1])

# %% [markdown]
# The same as a picture, with a frame for each loop. With a folder as argument it is saved there, by Graphviz.

# %%
drawing = compiled.graph
frames = [group.title for group in drawing.picture.groups if group.framed]
print(len(drawing.picture.all_boxes()), "boxes, in frames", *frames)
if len(sys.argv) > 1:
    print(drawing.save(Path(sys.argv[1]) / "compiled.svg"))

# %% [markdown]
# ## By hand
#
# Backpropagation through time as you would write it in NumPy. Its parts are those of the program, in the same order: the
# product with the inputs for all steps, a loop forward, readout and loss and all slopes, a loop backward, one product for each
# weight and the update. [COMPILED.md](COMPILED.md) shows both, part by part.


# %%
def by_hand(model):
    weights = {name: value.copy() for name, value in model.state_dict().items()}
    U, W = weights["recurrent.weight_ih_l0"], weights["recurrent.weight_hh_l0"]
    b, c = weights["recurrent.bias_ih_l0"], weights["recurrent.bias_hh_l0"]
    V, d = weights["readout.weight"], weights["readout.bias"]
    rows = np.arange(T)
    h = np.zeros((T + 1, 1, hidden), x.dtype)
    da = np.empty((T, 1, hidden), x.dtype)
    states, before, gradient = (
        h[1:].reshape(T, hidden),
        h[:-1].reshape(T, hidden),
        da.reshape(T, hidden),
    )

    def step(x, y):
        # Before the first loop
        inputs, targets = x.reshape(T, -1), y.reshape(T)
        a = (inputs @ U.T + (b + c)).reshape(T, 1, -1)

        # Forward
        for t in range(T):
            h[t + 1] = np.tanh(a[t] + h[t] @ W.T)

        # Between the loops
        scores = states @ V.T + d
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[rows, targets]).sum() / T
        p /= total
        p[rows, targets] -= 1
        p /= T
        dh = (p @ V).reshape(T, 1, -1)
        dd = p.sum(axis=0)
        dV = p.T @ states
        slope = 1 - h[1:] * h[1:]

        # Backward
        da[-1] = dh[-1] * slope[-1]
        for t in reversed(range(T - 1)):
            da[t] = (dh[t] + da[t + 1] @ W) * slope[t]

        # After the last loop
        db = gradient.sum(axis=0)
        dU = gradient.T @ inputs
        dW = gradient.T @ before
        for weight, change in zip(
            (U, W, b, c, V, d), (dU, dW, db, db, dV, dd), strict=True
        ):
            weight -= lr * change
        return loss

    return weights, step


# %% [markdown]
# From the same weights, both give the same losses and the same weights after 200 steps, to 1e-12.

# %%
model, step = training()
weights, hand = by_hand(model)
compiled = mg.compile(step)
for _ in range(200):
    loss, other = compiled(x, y).item(), hand(x, y)
    assert abs(loss - other) < 1e-12
furthest = max(
    np.abs(value - weights[name]).max()
    for name, value in model.state_dict().items()
)
assert furthest < 1e-12
print(
    f"loss {first:.4f} at first, {loss:.6f} after 200 steps: {rnn.predict(model, task)}; the weights are the same to 1e-12"
)

# %% [markdown]
# The times, measured in turns: medians of 21 rounds. (They differ from machine to machine, and a little from run to run.) The
# program is ahead of this function because all its arrays and views exist before it runs.

# %%
eager = training()[1]
steps = {
    "the engine, with a graph": (eager, 5),
    "by hand in NumPy": (hand, 50),
    "compiled": (compiled, 50),
}
times = {name: [] for name in steps}
for _ in range(21):
    for name, (run, n) in steps.items():
        begin = perf_counter()
        for _ in range(n):
            run(x, y)
        times[name].append((perf_counter() - begin) / n)
middle = {name: median(found) for name, found in times.items()}
for name, seconds in middle.items():
    print(
        f"{name:25} {1e6 * seconds:8.1f} us  {seconds / middle['by hand in NumPy']:6.2f} times by hand"
    )

# %% [markdown]
# ## Blocks
#
# In a longer and wider network the arrays over time are larger than the cache. Then the program goes through the sequence in
# blocks of steps: it computes what a block of steps needs, runs these steps, and adds what they have made to the gradients of
# the weights. So an array that only the loop reads has the size of a block, not of the whole sequence.
#
# In the program this is a loop around the loop. (The names in its head are left out here.)

# %%
longer, wide = rnn.RNN(5, 40, rng=0), np.ones((600, 32, 5), np.float32)
larger = mg.compile(
    lambda x: mg.grad((longer(x)[0] ** 2).sum(), longer.parameters())
)
larger(wide)
inside = False
for line in larger.source[larger.source.index("def run") :].splitlines()[1:]:
    inside = line.startswith(("        ", "    for "))
    if inside and line.strip().startswith("for "):
        head, _, rest = line.partition(" in ")
        line = f"{head[: head.index('for ')]}for ... in {rest}"
    if inside:
        print(line)

# %% [markdown]
# ## Gates
#
# An LSTM computes its four gates as one product, and a gate is then a quarter of each row: parts that are not contiguous, which
# NumPy takes two to three times as long for. So in wide layers each gate gets a product of its own, with its quarter of the
# weights. And -(Ux + b + Wh), in the exponent of a sigmoid, becomes (-(Ux + b)) - Wh: all of that except one product and one
# difference is computed before the loop. Here is what the loop computes the forget gate from.

# %%
lstm = rnn.LSTM(5, 40, rng=0)
gated = dict(
    mg.compile(
        lambda x: mg.grad((lstm(x)[0] ** 2).sum(), lstm.parameters())
    ).stages(wide[:60])
)


def behind(stage, name):
    """The lines of the forward loop from which a value is computed."""
    lines = [
        line.rpartition("  # ")[0]
        for line in gated[stage]
        if "for t from 0" in line
    ]
    wanted, found = {name}, []
    for line in reversed(lines):
        made, _, expression = line.partition(" = ")
        if made in wanted and not expression.startswith("carried("):
            wanted.discard(made)
            wanted.update(re.findall(r"\w+", expression.replace("h_prev", "")))
            found.append(f"    {line}")
    return "\n".join(reversed(found))


print(f"as it was folded:\n{behind('folded into loops', 'f')}")
print(f"at the end:\n{behind('updates side by side', 'f')}")

# %% [markdown]
# ## What stays straight
#
# A body needs iterations that are alike. Where the compiler finds no such loop, it makes the program of all steps, one after
# the other: the same results, but a longer program and a longer first call. Two steps are no loop; and the steps of the last
# function here read a sum that grows from step to step. `report()` says why a program has no loops.

# %%
cell = rnn.RNN(5, 8, rng=0)


def gradients(loss):
    return mg.grad(loss, cell.parameters())


def whole_sequence(x):
    return gradients((cell(x)[0] ** 2).sum())


def two_steps(x):
    return gradients((cell(x[:2])[0] ** 2).sum())


def sum_of_all_before(x):
    states = []
    for t in range(len(x)):
        states.append(cell(x[t : t + 1])[0] + sum(states))
    return gradients((np.stack(states) ** 2).sum())


sequence = np.random.default_rng(0).normal(size=(20, 1, 5)).astype(np.float32)
for function in (whole_sequence, two_steps, sum_of_all_before):
    made = mg.compile(function)
    made(sequence)
    lines = made.source.splitlines()
    print(
        f"{function.__name__}: {len(lines)} lines, {sum(line.startswith('    for ') for line in lines)} loops"
    )
print(made.report().splitlines()[-2])

# %% [markdown]
# ## What cannot be compiled
#
# A program does the same calls at each run, and has no effects other than values, gradients and updates. Anything else is an
# error during the recording, and the message says what to do instead.


# %%
def depends_on_values(x):
    return x if x.sum() > 0 else -x


def turns_into_a_number(x):
    return x / float(x.max())


def writes_into_an_array(x):
    x[0] = 0.0
    return x


def selects_by_mask(x):
    return x[x > 0]


generator = np.random.default_rng(0)
kept = []


def draws(x):
    return x + generator.normal(size=3)


def keeps(x):
    kept.append(x * 2)
    return x


for function in (
    depends_on_values,
    turns_into_a_number,
    writes_into_an_array,
    selects_by_mask,
    draws,
    keeps,
):
    try:
        mg.compile(function)(np.ones(3))
    except mg.CompileError as error:
        print(f"{function.__name__}: {error}")
    else:
        print(f"{function.__name__}: compiled")

# %% [markdown]
# A length is not a value. A sequence of another length gets a program of its own, and both are kept.

# %%
compiled(x[:3], y[:3])
print(
    len(compiled.programs),
    "programs; with three letters",
    " ".join(compiled.report().splitlines()[0].split()),
)
