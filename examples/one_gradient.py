# %% [markdown]
# # One gradient, from the inside
#
# What happens between `loss = ...` and `W.grad`? Everything the engine knows can be looked at.

# %%
import inspect

import numpy as np

import minigrad as mg
from minigrad.ops import TABLE

x = mg.tensor([[1.0, 2.0]], name="x")
W = mg.tensor([[0.5, -1.0], [0.25, 0.75]], requires_grad=True, name="W")
loss = np.tanh(x @ W).sum()

# %% [markdown]
# Going forward left a list of nodes, in the order in which they were made. An operand always stands above its user.

# %%
graph = mg.Graph(loss)
print(graph)

# %% [markdown]
# Each op is an entry of a table. Its rule for each operand is a line of NumPy code, and the names of the rule's parameters
# say what is kept until the backward pass: tanh needs its result (`out`), a matrix product needs, for the gradient of the
# one operand, the other. Here nobody asks for the gradient of x, so W is not kept.

# %%
print(inspect.getsource(TABLE["tanh"].rules[0]).strip())
for node in graph:
    if node.op is not None:
        kept = ["out", *node.op.operands]
        print(f"{node.op.name:8} keeps", [name for name, array in zip(kept, node.saved, strict=True) if array is not None])

# %% [markdown]
# Going backward is the same list, newest node first. By hand, with the rules of the table:

# %%
g_loss = np.ones(())
g_tanh = np.broadcast_to(g_loss, (1, 2))  # of a sum every element gets the same
out = np.tanh(x.data @ W.data)
g_product = g_tanh * (1 - out * out)
g_W = x.data.T @ g_product

loss.backward()
print(W.grad)
assert np.array_equal(W.grad, g_W)

# %% [markdown]
# What was kept is freed as the sweep passes, but the structure stays. A second sweep would need what is gone:

# %%
try:
    loss.backward()
except mg.GraphFreedError as error:
    print(error)

# %% [markdown]
# Run on Tensors instead of arrays, the same rules record themselves, and the slope is a function that has a slope.

# %%
x = mg.tensor(0.5, requires_grad=True, name="x")
slope = mg.grad(np.tanh(x), x, create_graph=True)
print(mg.Graph(slope))
print("d2 tanh:", mg.grad(slope, x).item(), "by formula:", -2 * np.tanh(0.5) * (1 - np.tanh(0.5) ** 2))
