# %% [markdown]
# # From the loop to the program
#
# `compile` records a training step once, call by call, and makes a NumPy program of it. Here it is watched at work, on the
# smallest task and a plain recurrent network: what is recorded, what each pass does to it, and what one would have written
# by hand instead.

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
    model = rnn.Sequence(rnn.RNN(5, hidden, rng=0, dtype=np.float64), rnn.Linear(hidden, 5, rng=1, dtype=np.float64))
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
# The layer is a loop over its cell: for each letter two products, two biases, a sum and a tanh, h' = tanh(Ux + b + Wh + c).
# The recording has it all one after the other, first forward, then backward, then the update. Here are the steps 1 and 4.
#
# (`@` is the product of matrices, and a name such as `dot_22` that of the function and a number, which it keeps through all
# passes. A view of an array, such as `x[1]` or `W.T`, is no line of its own. `report()` counts these too.)

# %%
model, step = training()
compiled = mg.compile(step)
stages = dict(compiled.stages(x, y))


def show(stage, *words):
    """The lines of a stage in which one of the words is, without the place where they were recorded."""
    for line in stages[stage]:
        if any(word in line for word in words):
            print("   ", line.rpartition("  # ")[0] or line)


print(f"recorded: {len(stages['recorded'])} calls, of them {sum('/t=' in line for line in stages['recorded'])} in time steps")
show("recorded", "/t=1", "/t=4")

# %% [markdown]
# ## Pass by pass
#
# How many lines there are after each pass, and how many of them went and came. (What a pass leaves without use is removed with
# the next.)

# %%
before = None
for name, lines in stages.items():
    gone = "" if before is None else f"-{len(set(before) - set(lines)):<3} +{len(set(lines) - set(before)):<3}"
    print(f"{len(lines):4} lines  {gone:9} {name}")
    before = lines

# %% [markdown]
# **Duplicates.** Each gradient of a weight puts the same six gradients of the steps together, and the softmax is computed for
# the loss and for its gradient. Once is enough.

# %%
for name in ("recorded", "without duplicates"):
    counts = [f"{sum(f'= {word}(' in line for line in stages[name])} x {word}" for word in ("concatenate", "exp", "max")]
    print(f"{name}:", *counts)

# %% [markdown]
# **What is the same at each step is added first.** (Ux + b) + (Wh + c) becomes (Ux + (b + c)) + Wh. The sum of the biases is
# computed once, and all that does not wait for the state before stands together.

# %%
show("merged and reordered", "= bias_ih_l0 + ", "/t=1")

# %% [markdown]
# **Batched over time.** The calls of all steps that look the same and do not wait for one another become one call on a stack:
# U x of all letters is one product, and backward the slope of tanh, 1 - h h, is one call for all states. What is left in the
# steps is the recurrence itself: forward a product, a sum and a tanh, backward a factor, a product and a sum.

# %%
print("for all steps at once:")
for line in stages["batched over time"]:
    if line.endswith("# rnn/layer=0"):
        print("   ", line.rpartition("  # ")[0])
print("left in step 4:")
show("batched over time", "/t=4")

# %% [markdown]
# **Updates side by side.** Instead of a product and a difference for each of six parameters there is one of each for all that
# can lie in one array.

# %%
print("before:")
show("batched over time", "# update")
print("after:")
show("updates side by side", "# update")

# %% [markdown]
# ## The program
#
# Then every value gets its place in memory, once. The states h0 to h5 are needed twice as a stack: h0 to h5 for the readout,
# and zeros, h0 to h4 for the gradient of W. So they live in one array, a chain of seven rows, each tanh writes into its row,
# and both stacks are views of it. Nothing is copied. The new parameters are written over the old ones.

# %%
first = compiled(x, y).item()
source = compiled.source.splitlines()
for line in source:
    if "chain_0" in line or "overwritten" in line:
        print("   ", line)
print("and of the lines of the program:")
for line in source:
    if line.endswith("/t=4"):
        print("   ", line.strip())
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
# ## Larger steps
#
# A step of the lab has five numbers; there the calls are what costs time. In larger ones it is the arrays, and other passes
# have something to do. An LSTM computes its four gates as one product, and each gate is then a quarter of each row: parts that
# do not lie side by side, which NumPy takes two to three times as long for. So each gate gets a product of its own, with its
# quarter of the weights. And -(Ux + b + Wh), in the exponent of a sigmoid, becomes (-(Ux + b)) - Wh: of that all but a product
# and a difference is computed outside of the steps.

# %%
lstm = rnn.LSTM(5, 40, rng=0)
larger = mg.compile(lambda x: mg.grad((lstm(x)[0] ** 2).sum(), lstm.parameters()))
wide = np.ones((60, 32, 5), np.float32)
stages = dict(larger.stages(wide))


def behind(stage, name, t):
    """The lines of a time step from which a value is computed."""
    lines = [line.rpartition("  # ")[0] for line in stages[stage] if line.endswith(f"/t={t}")]
    wanted, found = {name}, []
    for line in reversed(lines):
        made, _, expression = line.partition(" = ")
        if made in wanted:
            wanted.update(re.findall(r"\w+", expression))
            found.append(f"    {line}")
    return "\n".join(reversed(found))


print(f"the forget gate of step 4, as recorded:\n{behind('recorded', 'f4', 4)}")
print(f"at the end:\n{behind('updates side by side', 'f4', 4)}")

# %% [markdown]
# What is batched over time is batched in blocks of steps, a megabyte or so at a time, which is still in the cache when the
# steps use it; and as soon as a block is done, what its steps have made is added to the gradients of the weights, and its
# memory is free for the next. So what is batched takes the memory of a block, and not that of the whole sequence. (The sums
# over steps, too, are made block by block where they would take much memory: the pass called "sums in blocks". That W.T is
# written down once, `contiguous`, is done by "weights turned".)

# %%
larger(wide)
print("steps in a block:", larger.last.recorder.block)
print(larger.report().splitlines()[-1])


# %% [markdown]
# ## By hand
#
# Backpropagation through time as one writes it in NumPy, with all that the passes have found: U x of all letters at once, the
# slopes at once, the gradients of the weights as one product each.


# %%
def by_hand(model):
    weights = {name: value.copy() for name, value in model.state_dict().items()}
    U, W = weights["recurrent.weight_ih_l0"], weights["recurrent.weight_hh_l0"]
    b, c = weights["recurrent.bias_ih_l0"], weights["recurrent.bias_hh_l0"]
    V, d = weights["readout.weight"], weights["readout.bias"]
    rows = np.arange(T)

    def step(x, y):
        inputs, targets = x.reshape(T, -1), y.reshape(T)
        h = np.zeros((T + 1, hidden))
        a = inputs @ U.T + (b + c)
        for t in range(T):
            h[t + 1] = np.tanh(a[t] + h[t] @ W.T)
        scores = h[1:] @ V.T + d
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[rows, targets]).sum() / T
        p /= total
        p[rows, targets] -= 1
        p /= T
        slope = 1 - h[1:] * h[1:]
        dh = p @ V
        da = np.empty((T, hidden))
        da[-1] = dh[-1] * slope[-1]
        for t in reversed(range(T - 1)):
            da[t] = (dh[t] + da[t + 1] @ W) * slope[t]
        bias = da.sum(axis=0)
        gradients = (da.T @ inputs, da.T @ h[:-1], bias, bias, p.T @ h[1:], p.sum(axis=0))
        for weight, gradient in zip((U, W, b, c, V, d), gradients, strict=True):
            weight -= lr * gradient
        return loss

    return weights, step


# %% [markdown]
# Both begin anew with the same weights, and after 200 steps loss and weights are the same, to 1e-12.

# %%
model, step = training()
weights, hand = by_hand(model)
compiled = mg.compile(step)
for _ in range(200):
    loss, other = compiled(x, y).item(), hand(x, y)
    assert abs(loss - other) < 1e-12
furthest = max(np.abs(value - weights[name]).max() for name, value in model.state_dict().items())
assert furthest < 1e-12
print(f"loss {first:.4f} at first, {loss:.6f} after 200 steps: {rnn.predict(model, task)}; the weights are the same to 1e-12")

# %% [markdown]
# And the times: rounds of each in turns, and of the rounds the median. (They differ from machine to machine, and a little from
# run to run.) What the program has before the function by hand: every array and every view of it is made beforehand.

# %%
eager = training()[1]
steps = {"the engine, with a graph": (eager, 5), "by hand in NumPy": (hand, 50), "compiled": (compiled, 50)}
times = {name: [] for name in steps}
for _ in range(21):
    for name, (run, n) in steps.items():
        begin = perf_counter()
        for _ in range(n):
            run(x, y)
        times[name].append((perf_counter() - begin) / n)
middle = {name: median(found) for name, found in times.items()}
for name, seconds in middle.items():
    print(f"{name:25} {1e6 * seconds:8.1f} us  {seconds / middle['by hand in NumPy']:6.2f} times by hand")

# %% [markdown]
# ## What cannot be compiled
#
# A program takes the same way each time, and has no other effects than values, gradients and updates. What does not fit is
# refused when it is recorded, and the message says what to do instead.


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


for function in (depends_on_values, turns_into_a_number, writes_into_an_array, selects_by_mask, draws, keeps):
    try:
        mg.compile(function)(np.ones(3))
    except mg.CompileError as error:
        print(f"{function.__name__}: {error}")
    else:
        print(f"{function.__name__}: compiled")

# %% [markdown]
# Lengths are no values: for a sequence of another length another program is recorded, and kept beside the first.

# %%
compiled(x[:3], y[:3])
print(len(compiled.programs), "programs; with three letters", " ".join(compiled.report().splitlines()[0].split()))
