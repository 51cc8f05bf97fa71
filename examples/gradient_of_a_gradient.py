# %% [markdown]
# # The gradient of a gradient
#
# The rules of the table are NumPy code. On arrays they compute; on Tensors they compute and record themselves, like any code.
# So a gradient can come with a graph, and the sweep that goes back through that graph needs to know nothing new.

# %%
import numpy as np

import minigrad as mg

x = mg.tensor(0.5, requires_grad=True, name="x")
first = mg.grad(np.tanh(x), x, create_graph=True)
second = mg.grad(first, x, create_graph=True)
third = mg.grad(second, x, create_graph=True)
print(mg.Graph(second))

# %% [markdown]
# %1 is the tanh of the forward pass itself: the rule of tanh, `1 - out * out`, was handed it as `out`. The product and the
# difference in that rule were then differentiated by their own lines of the table. By formula, with t = tanh(x):

# %%
t = np.tanh(0.5)
for name, by_engine, formula in (
    ("tanh'", first, 1 - t**2),
    ("tanh''", second, -2 * t * (1 - t**2)),
    ("tanh'''", third, (1 - t**2) * (6 * t**2 - 2)),
):
    print(f"{name:7} {by_engine.item():+.12f}, by formula {formula:+.12f}; a graph of {len(mg.Graph(by_engine))} nodes")

# %% [markdown]
# A function of n variables has n^2 second derivatives. `hessian` records one reverse sweep and goes forward through the record
# once for each column. `hvp` goes forward once, along v: H v, without H. A tanh that counts how often its rule is asked:

# %%
asked = []


@mg.custom_op(lambda out: asked.append("once more") or 1 - out * out, kind="elementwise")
def counted_tanh(x):
    return np.tanh(x)


for n in (5, 20, 80):
    A, point = np.random.default_rng(n).standard_normal((n, n)) / n**0.5, np.ones(n)
    f = lambda x: (counted_tanh(A @ x) ** 2).sum()  # noqa: B023, E731
    H, for_hessian = mg.hessian(f)(point), len(asked)
    (product,) = mg.hvp(f, (point,), (point,))
    print(f"n = {n:2}: {for_hessian} for H, {len(asked) - for_hessian} for H v; they agree: {np.allclose(H @ point, product)}")
    asked.clear()

# %% [markdown]
# Derivatives within derivatives must not be taken for one another. In d/dx (x * d/dy (x + y)) the inner one is 1, so the whole
# is 1. Dual numbers with one kind of "small part" for both variables see x move in the inner derivative as well, and say 2.
# Here each transform asks about a node of its own, and there is nothing to confuse.


# %%
class Dual:
    def __init__(self, value, small):
        self.value, self.small = value, small

    def __add__(self, other):
        return Dual(self.value + other.value, self.small + other.small)

    def __rmul__(self, number):
        return Dual(number * self.value, number * self.small)


confused = lambda f: lambda at: f(Dual(at, 1.0)).small  # noqa: E731
forward = lambda f: lambda at: mg.jvp(f, (at,), (1.0,))[1]  # noqa: E731
for name, d in (("one small part for all", confused), ("reverse", mg.grad), ("forward", forward)):
    print(f"{name:23}", d(lambda x, d=d: d(lambda y: x + y)(1.0) * x)(1.0))

# %% [markdown]
# What second derivatives are good for: Newton's method goes where the quadratic that touches f has its minimum. It needs the
# Hessian, but no step size, and near the minimum each step about doubles the number of right digits.

# %%
valley = lambda p: np.exp(p[0] + 3 * p[1]) + np.exp(p[0] - 3 * p[1]) + np.exp(-p[0])  # noqa: E731
slope, curvature, lowest = mg.grad(valley), mg.hessian(valley), np.array([-np.log(2) / 2, 0])
p = np.array([-1.0, 0.5])
for step in range(1, 6):
    p = p - np.linalg.solve(curvature(p), slope(p))
    print(f"Newton, step {step}: off by {np.linalg.norm(p - lowest):.1e}")
p, step = np.array([-1.0, 0.5]), 0
while np.linalg.norm(p - lowest) > 1e-12:
    p, step = p - 0.05 * slope(p), step + 1
print(f"gradient descent, step {step}: off by {np.linalg.norm(p - lowest):.1e}")
