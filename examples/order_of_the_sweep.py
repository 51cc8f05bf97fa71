# %% [markdown]
# # The order of the sweep
#
# A value that is used twice is sent a cotangent from each place, and may be passed only when both have come. In which order
# does the backward pass visit the nodes? They are numbered as they are made, and an operand is made before its user: newest
# first, all users of a node come before it.

# %%
import numpy as np

import minigrad as mg
from minigrad.graph import WATCH, Watch

x = mg.tensor([0.5, 1.0], requires_grad=True, name="x")
h = np.tanh(x)
y = (h * np.exp(h)).sum()
print(graph := mg.Graph(y))
assert all(parent.number < node.number for node in graph for parent in node.parents)


class Sweep(Watch):  # in debug mode the engine tells everyone in WATCH what it does
    def __init__(self, y, **options):
        self.graph, self.visits, self.calls = mg.Graph(y), [], 0
        WATCH.append(self)
        with mg.debug():
            y.backward(**options)
        WATCH.remove(self)

    def entering(self, node):
        self.visits.append(f"{node.op.name} ({sum(other.saved is not None for other in self.graph)})")

    def sent(self, node, i, g, part):
        self.calls += 1


print(*Sweep(y, retain_graph=True).visits, sep=" -> ")
print(mg.explain(y, x))

# %% [markdown]
# The product and exp both use h, and at %1 their cotangents have been added up. Now the same rules depth first, from the root
# into each operand at once. To visit each node only once is wrong: h is passed when half of its cotangent has come. To visit
# it again each time is right, and costs a walk for every path.


# %%
def depth_first(node, g, totals, again):
    first, calls = node not in totals, 0
    totals[node] = totals.get(node, 0) + g
    for i, operand in enumerate(node.operands if first or again else ()):
        part = node.op.pullbacks[i](g, node, node.saved, i)
        calls += 1 + depth_first(operand, part, totals, again)
    return calls


print("newest first       ", x.grad)
for again in (False, True):
    depth_first(graph.nodes[-1], np.ones(()), totals := {}, again)
    print("depth first,", "again " * again or "once  ", totals[graph.nodes[0]])
for depth in (4, 8, 12, 40):
    x = y = mg.tensor(1.0, requires_grad=True, name="x")
    for _ in range(depth):
        y = y + y
    calls = depth_first(mg.Graph(y).nodes[-1], np.ones(()), {}, again=True) if depth < 20 else f"would make {2**41 - 2}"
    print(f"{depth:2} doublings: {Sweep(y).calls:2} rule calls, dy/dx {x.grad:.0f}; depth first {calls}")

# %% [markdown]
# A weight of a recurrent network is shared by all time steps. Here each step has a node of its own, `+W`, so that the sweep can
# tell what it contributes. At W they add up: its gradient is the sum over the steps. The early ones have less of a say here.
#
# In parentheses stands how many nodes still have what they saved. Unless told to retain it, the sweep gives it back on its way.

# %%
rng = np.random.default_rng(0)
W = mg.tensor(0.6 * rng.standard_normal((3, 3)), requires_grad=True, name="W")
h, own = np.ones(3), []
for x in rng.standard_normal((6, 3)):
    own.append(+W)
    h = np.tanh(own[-1] @ h + x)
loss = (h * h).sum()
parts = [part.data for part in mg.grad(loss, own, retain_graph=True)]
sweep = Sweep(loss)
print("norm by step", *(f"{np.linalg.norm(part):.3f}" for part in parts))
print("the parts add up to W.grad:", np.allclose(sum(parts), W.grad))
print(*sweep.visits[:3], "...", *sweep.visits[-2:], sep=" -> ")
print("saved:", {node.saved for node in mg.Graph(loss)})
try:
    loss.backward()
except mg.GraphFreedError as error:
    print(error)
