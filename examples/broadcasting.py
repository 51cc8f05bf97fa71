# %% [markdown]
# # Broadcasting, and its transpose
#
# A bias is one row, added to every row of a batch. Going forward NumPy repeats it; what then is its gradient?

# %%
import numpy as np

import minigrad as mg

x = mg.tensor(np.arange(6.0).reshape(3, 2), name="x")
b = mg.tensor([10.0, 20.0], requires_grad=True, name="b")
y = x + b
print(y.data)

# %% [markdown]
# Each element of b went into three places, and each place sends a cotangent back. They add up: the transpose of repeating is
# summing. The rule of `add` knows nothing of this, it is just `1`; the sweep does it for every op, in one place.

# %%
seed = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
print(mg.ops.TABLE["add"].rules)
(by_engine,) = mg.grad(y, [b], seed=seed)
print(by_engine.data, "=", seed.sum(axis=0))

# %% [markdown]
# "Transpose" is meant as it stands. Repeating is a matrix, of zeros and ones, and summing is that matrix turned round:

# %%
repeat = mg.jacobian(lambda b: np.broadcast_to(b, (3, 2)))(np.zeros(2)).reshape(6, 2).astype(int)
print(repeat)
print((repeat.T @ seed.reshape(6)).tolist())

# %% [markdown]
# So it is with all that moves numbers about: a slice sends its cotangent back to where it was cut out, `concatenate` cuts what
# it had joined, a reshape reshapes back, a sum spreads what it had summed.

# %%
x = mg.tensor(np.zeros((2, 3)), requires_grad=True, name="x")
for name, y in {"x[0, 1:]": x[0, 1:], "x.sum(axis=0)": x.sum(axis=0), "x.T": x.T}.items():
    g = mg.grad(y, x, seed=np.arange(1.0, 1 + y.size).reshape(y.shape))
    print(f"{name:14} {g.tolist()}")
