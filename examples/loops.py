# %% [markdown]
# # The loop in the record
#
# A Python loop leaves no trace of itself: the engine records ops, one after the other, and knows of no `for`. But the same ops
# come again and again, and `mg.loops` finds them. Here is a recurrent network as a course writes it, with nothing added.

# %%
import sys

import numpy as np

import minigrad as mg


def network(T, steps=None):
    draw = np.random.default_rng(0).normal
    W, U, V = (mg.tensor(draw(size=size), requires_grad=True, name=name) for name, size in sizes.items())
    x, h, loss = draw(size=(T, 1, 3)), np.zeros((1, 4)), 0
    for t in steps or range(T):
        h = np.tanh(x[t] @ W + h @ U)
        loss = loss + ((h @ V) ** 2).sum()
    return loss, {"W": W, "U": U, "V": V, "x": x, "h": h, "loss": loss}


sizes = {"W": (3, 4), "U": (4, 4), "V": (4, 2)}
loss, names = network(6)
print(mg.loops(loss))

# %% [markdown]
# 48 ops were recorded: 6 iterations of 8 ops. How is that found? Write each op as a word, made of its name, its shape and the
# weights that it reads. The record of an RNN is then a text in which the same 8 words come again and again. Each operand is
# then looked up: where does its value come from? There are four answers:
#
# - **inside**: an op of the same iteration. `tanh` reads `+`.
# - **carried**: an op of an earlier iteration. `h @ U` reads the h of step t - 1. The first iteration has no such step: it
#   reads the initial value instead.
# - **shared**: the same node in every iteration: a weight. Its gradient is a sum over the iterations.
# - **entering**: another node in each iteration, from outside: `x[t]`.

# %%
loop = mg.loops(loss).loops[0]
for i, node in enumerate(loop.body):
    for k in range(len(node.operands)):
        place = (i, k)
        if place in loop.inside:
            where = "inside, from " + loop.body[loop.inside[place][0]].op.name
        elif place in loop.carried:
            entry = loop.carried[place]
            where = f"carried, from {loop.body[entry.ops[-1]].op.name}, {entry.lag} step before"
        else:
            where = "shared" if place in loop.invariant else "entering"
        print(f"{node.op.name:9} operand {k}: {where}")

# %% [markdown]
# These tables are exact: with them the loop gives back every node that was recorded. If they did not, it would not be a loop.

# %%
print(all(node.op is op and node.operands == operands for node, op, operands, options in loop.expanded()))

# %% [markdown]
# The pictures use the same tables. `fold=True` draws the body once: arrows lead back for what is carried, a dashed arrow stands
# for what is read at one step only. Without it each iteration has a frame. With `names=locals()` the name of `h` holds for all
# iterations, and x[t] is recognised by its values.

# %%
folded = mg.draw(loss, names=names, fold=True)
print([box.lines[0] for box in folded.picture.groups[0].boxes])
print([(arrow.role, arrow.label) for arrow in folded.picture.all_arrows() if arrow.role in ("loop", "sum loop", "first")])

# %% [markdown]
# The size of the record grows with T. The size of the picture does not: of more than eight steps the first and the last three
# are drawn, and a folded loop is as large for 1000 steps as for 6.

# %%
for T in (6, 1000 if "--quick" not in sys.argv else 100):
    loss, names = network(T)
    pictures = [mg.draw(loss, names=names, fold=fold).picture for fold in (True, False)]
    print(f"T = {T}: {len(mg.Graph(loss)):5} nodes, boxes folded and unrolled:", [len(p.all_boxes()) for p in pictures])

# %% [markdown]
# Time may run backwards. The iterations are recorded in the order in which they ran; what they read, here x[5] first, says
# which step each of them is.

# %%
loss, names = network(6, steps=range(5, -1, -1))
folded = mg.draw(loss, names=names, fold=True)
print([arrow.label for arrow in folded.picture.all_arrows() if arrow.role == "loop"])

# %% [markdown]
# What is not a loop:
#
# - fewer than three iterations, and of a body of one or two ops a few more: so few may be alike by chance;
# - the layers of a network: their ops are the same, but each has weights of its own;
# - attention over all earlier states, whose shapes grow from step to step. It is reported as "grows";
# - an inner loop of another length in each iteration.
#
# An op that only some iterations have is no obstacle: `if t % 10 == 0` gives "only in 5 of 50".

# %%
h = mg.tensor(np.ones((1, 4)), requires_grad=True)
for _ in range(6):
    h = np.tanh(h @ mg.tensor(np.eye(4), requires_grad=True))
print(mg.loops(h))
