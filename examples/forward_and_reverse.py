# %% [markdown]
# # Forward or backward?
#
# The derivative of a function of n numbers that gives m is a matrix J, the Jacobian. Nobody writes it down. Forward mode
# computes J t, a column's worth, in one sweep; reverse mode computes u J, a row's worth, in one sweep.
# A loss has one output and many inputs: one sweep backward gives the whole gradient.

# %%
import time

import numpy as np

import minigrad as mg

A = np.random.default_rng(0).standard_normal((30, 30)) / 30**0.5


def f(x):
    for _ in range(10):
        x = np.tanh(A @ x)
    return x


x = np.ones(30)
u, t = np.eye(30)[0], np.eye(30)[1]
y, pull_back = mg.vjp(f, x)
_, moved = mg.jvp(f, (x,), (t,))
print("row 0 of J, its second element:", pull_back(u)[0][1])
print("column 1 of J, its first one:  ", moved[0])

# %% [markdown]
# The two are one number, computed from opposite ends of the graph. In general u . (J t) = (u J) . t, whatever u and t:

# %%
rng = np.random.default_rng(1)
u, t = rng.standard_normal((2, 30))
_, moved = mg.jvp(f, (x,), (t,))
print(f"u . (J t) = {u @ moved:.15f}")
print(f"(u J) . t = {pull_back(u)[0] @ t:.15f}")

# %% [markdown]
# The whole Jacobian takes as many sweeps as there are outputs (reverse) or inputs (forward). A forward sweep costs more than
# a reverse one here, for it is derived from the same rules by transposing them; with one input and many outputs it wins
# all the same.


# %%
def milliseconds(function, point, mode):
    start = time.perf_counter()
    mg.jacobian(function, mode=mode)(point)
    return (time.perf_counter() - start) * 1e3


for name, function, point in (
    ("30 inputs, 1 output", lambda x: f(x).sum(), x),
    ("1 input, 30 outputs", lambda s: f(s * x), 1.0),
):
    taken = {mode: min(milliseconds(function, point, mode) for _ in range(3)) for mode in ("reverse", "forward")}
    print(f"{name}: reverse {taken['reverse']:.1f} ms, forward {taken['forward']:.1f} ms")

# %% [markdown]
# A derivative is a function like any other, so it has derivatives. The Hessian of a loss times a vector is the forward
# derivative of the reverse one: two sweeps, and no matrix of 30 by 30.

# %%
loss = lambda x: (f(x) ** 2).sum()  # noqa: E731
(product,) = mg.hvp(loss, (x,), (t,))
print("H t agrees with the whole Hessian:", np.allclose(product, mg.hessian(loss)(x) @ t))
