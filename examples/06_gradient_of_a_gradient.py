# %% [markdown]
# # Lesson 6: a gradient of a gradient
#
# The gradient says in which direction the loss falls. It does not say how far you can go in that direction before the
# slope changes. That is a question about the slope of the slope: the second derivative. You also need one when the
# loss itself contains a derivative, for example when a network has to obey a law such as "the speed is proportional
# to the distance".
#
# In this lesson you compute derivatives of derivatives, without a single new rule.
#
# **You need:** lessons 1 and 5 (the reverse sweep, `mg.grad`, `mg.jvp`), matrix products, and the derivative of tanh.
#
# **You will be able to** differentiate a gradient, multiply by a Hessian that you never build, and use both: in
# Newton's method, and in a loss that contains a derivative.
#
# **Time:** about 45 minutes, 4 exercises.

# %%
import textwrap

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. The backward pass is a program
#
# The rule of tanh multiplies by `1 - out * out`, where `out` is the result of tanh. That is NumPy code: a product and
# a difference. You know how to record NumPy code. So let us record it: with `create_graph=True` the rules run on
# tensors, and the gradient remembers how it was computed, like any other tensor.

# %%
x = mg.tensor(0.5, requires_grad=True, name="x")
y = np.tanh(x)
slope = mg.grad(y, x, create_graph=True)
print(mg.Graph(slope))

# %%
mg.draw(slope, show=("value",), names={"x": x, "y": y, "slope": slope})

# %% [markdown]
# Read the picture from below. `y` is the forward pass. Everything above it was recorded by the backward pass:
# `y * y`, `1 - y * y`, and the product with the seed, 1. The slope depends on `x` through `y`, so we can ask for
# *its* gradient. On paper, with `t = tanh(x)`:
#
# ```text
# tanh'   = 1 - t**2
# tanh''  = -2 t (1 - t**2)
# tanh''' = (1 - t**2) (6 t**2 - 2)
# ```

# %%
second = mg.grad(slope, x, create_graph=True)
third = mg.grad(second, x, create_graph=True)
t = np.tanh(0.5)
formulas = [1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2)]
for name, computed, formula in zip(
    ("tanh'", "tanh''", "tanh'''"), (slope, second, third), formulas, strict=True
):
    nodes = len(mg.Graph(computed))
    print(f"{name:8}{computed.item():9.6f}  formula {formula:9.6f}", end="")
    print(f"  {nodes:2} nodes in its graph")
    assert np.isclose(computed.item(), formula)

# %% [markdown]
# No rule for `tanh''` exists anywhere. The product and the difference were differentiated by *their* rules. The last
# column shows the price: each derivative is a longer program than the one before.
#
# If you forget `create_graph`, the slope is a number without a graph. The error says so:

# %%
try:
    mg.grad(mg.grad(np.tanh(x), x), x)
except ValueError as error:
    print(textwrap.fill(str(error), 80))

# %% [markdown]
# ## 2. Derivatives of functions
#
# `mg.grad(f)` of a *function* `f` is again a function. It needs no `create_graph`: it notices that it runs inside
# another derivative. So `mg.grad(mg.grad(f))` is the second derivative of a function of one number.
#
# One danger hides in derivatives inside derivatives. Compute this on paper before you run the cell:
#
# ```text
# d/dx ( x * d/dy (x + y) )       at x = 1, y = 1
# ```


# %%
def forward(f):
    return lambda x: mg.jvp(f, (x,), (1.0,))[1]


for name, d in (("reverse", mg.grad), ("forward", forward)):
    nested = d(lambda x, d=d: x * d(lambda y: x + y)(1.0))
    print(f"{name} {nested(1.0)}")
    assert nested(1.0) == 1.0

# %% [markdown]
# The inner derivative is 1, whatever `x` is. So the whole is `d/dx (x * 1) = 1`. An engine that uses the dual numbers
# of lesson 5, with *one* kind of tangent for all variables, answers 2: while it computes `d/dy`, `x` carries its own
# tangent for `d/dx`, and the inner derivative counts that too. The mistake is called **perturbation confusion**
# (Siskind and Pearlmutter, 2005). minigrad asks about a node of the graph, and `x` and `y` are different nodes, so
# there is nothing to confuse.
#
# ## 3. Many inputs: the Hessian
#
# A function of `n` variables has `n * n` second derivatives. Row `i`, column `j` of the **Hessian** `H` says how much
# the slope in direction `i` changes when variable `j` changes. Here is a function of two variables with a long
# valley.


# %%
def valley(p):
    return np.exp(p[0] + 3 * p[1]) + np.exp(p[0] - 3 * p[1]) + np.exp(-p[0])


point = np.array([-1.0, 0.5])
print("gradient", mg.grad(valley)(point).round(3))
print("Hessian\n", mg.hessian(valley)(point).round(3))

# %% [markdown]
# Read the diagonal: the slope in direction 1, across the valley, changes 3.5 times as fast as the slope in direction
# 0, along it (15.577 against 4.449). The other two elements are equal. A Hessian is symmetric, because it does not
# matter which variable you differentiate by first.
#
# ### Exercise 1
#
# Build the Hessian yourself. Record the gradient once, then differentiate each of its elements.
# `mg.grad(slopes[i], x)` is row `i`, and `.data` is its array. (Each row walks through the same graph, so keep it:
# `retain_graph=True`.)


# %%
def hessian_by_rows(f, point):
    return ...  # x = mg.tensor(point, requires_grad=True), then ...


def check_1(hessian_by_rows):
    f = lambda p: np.sin(p[0] * p[1]) + p[1] ** 3 + p[2] * p[0]  # noqa: E731
    for function, point in (
        (valley, np.array([-1.0, 0.5])),
        (f, np.array([0.3, -0.7, 2.0])),
    ):
        found = hessian_by_rows(function, point)
        n = len(point)
        assert np.shape(found) == (n, n), (
            f"for {n} variables the shape is {(n, n)}, not {np.shape(found)}"
        )
        assert np.allclose(found, mg.hessian(function)(point)), (
            "the shape is right, but mg.hessian finds other numbers"
        )


exercise(1, check_1, hessian_by_rows)

# %% [markdown]
# What does a Hessian cost? We count the calls of a rule: a tanh of our own that notes each time it is asked for its
# slope.

# %%
calls = []


def counted_slope(out):
    calls.append(1)
    return 1 - out * out


@mg.custom_op(counted_slope, kind="elementwise")
def counted_tanh(x):
    return np.tanh(x)


def calls_of(f):
    calls.clear()
    f()
    return len(calls)


def layer(x):
    n = len(x)
    A = np.random.default_rng(n).normal(size=(n, n)) / np.sqrt(n)
    return (counted_tanh(A @ x) ** 2).sum()


print("  n   calls for the gradient   for H   for H times a vector")
for n in (5, 20, 80):
    x, v = np.ones(n), np.arange(n) / n
    for_gradient = calls_of(lambda x=x: mg.grad(layer)(x))
    for_hessian = calls_of(lambda x=x: mg.hessian(layer)(x))
    for_product = calls_of(lambda x=x, v=v: mg.hvp(layer, (x,), (v,)))
    print(f"{n:3} {for_gradient:15} {for_hessian:15} {for_product:13}")
    assert for_hessian > n
    assert for_product <= 3

# %% [markdown]
# The Hessian takes one sweep for each variable, so its cost grows with `n`. A network with a million weights has a
# Hessian of `10**12` numbers: you can neither compute nor store it. But many methods need only its *product with a
# vector*, `H v`, and that costs as much as a few gradients for any `n`. Why? `H v` is itself a gradient:
#
# ```text
# s(x) = sum(grad f(x) * v)        one number; v is constant
# grad s(x) = H v
# ```
#
# ### Exercise 2
#
# Write the product with these two lines of mathematics, without building `H`. (Papers call this Pearlmutter's trick,
# 1994.)


# %%
def hessian_times(f, x, v):
    return ...


def check_2(hessian_times):
    for n in (5, 30):
        x, v = np.ones(n), np.arange(n) / n
        found = hessian_times(layer, x, v)
        assert np.shape(found) == (n,), (
            f"H v has the shape of x, {(n,)}, not {np.shape(found)}"
        )
        (expected,) = mg.hvp(layer, (x,), (v,))
        assert np.allclose(found, expected), "the numbers are not those of mg.hvp"
    rules = calls_of(lambda: hessian_times(layer, x, v))
    assert rules < 10, (
        f"your answer is right, but it called a rule {rules} times for n = 30: "
        "do not build H"
    )


exercise(2, check_2, hessian_times)

# %% [markdown]
# ## 4. How far to go: Newton's method
#
# Gradient descent takes a step against the gradient, of a length that you have to guess. Newton's method fits a
# quadratic to `f` at the point: same value, same slopes, same curvature. Then it goes where that quadratic has its
# minimum:
#
# ```text
# solve   H d = g      then   p_new = p - d
# ```
#
# ### Exercise 3
#
# Write one step. (`np.linalg.solve(H, g)` returns `d`.)


# %%
def newton_step(f, p):
    return ...


def check_3(newton_step):
    A, b = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([1.0, -4.0])
    bowl = lambda p: 0.5 * p @ A @ p - b @ p  # noqa: E731
    for start in (np.array([5.0, 5.0]), np.array([-2.0, 0.3])):
        found = newton_step(bowl, start)
        assert np.shape(found) == (2,), "return the new point"
        assert not np.allclose(found, 2 * start - np.linalg.solve(A, b)), (
            "you went up the hill: subtract the step"
        )
        assert np.allclose(found, np.linalg.solve(A, b)), (
            "for a quadratic one step must reach the minimum, and it did not"
        )


exercise(3, check_3, newton_step)

# %% [markdown]
# Predict: how many steps does each method need until the error is below 1e-12? The valley's lowest point is
# `(-log(2) / 2, 0)`.

# %%
lowest = np.array([-np.log(2) / 2, 0])
slope_at, curvature_at = mg.grad(valley), mg.hessian(valley)

p = point
for step in range(1, 6):
    p = p - np.linalg.solve(curvature_at(p), slope_at(p))
    print(f"Newton, step {step}: error {np.linalg.norm(p - lowest):.0e}")

for rate in (0.02, 0.10, 0.16):
    p, steps = point, 0
    while np.linalg.norm(p - lowest) > 1e-12 and steps < 1000:
        p, steps = p - rate * slope_at(p), steps + 1
    error = np.linalg.norm(p - lowest)
    print(f"gradient descent, rate {rate:.2f}: {steps} steps, error {error:.0e}")
assert error > 1e-3  # with the last rate

# %% [markdown]
# Close to the minimum each Newton step about *doubles* the number of correct digits. Gradient descent adds the same
# small number of digits at each step, and with a rate of 0.16 it jumps from one side of the valley to the other and
# never arrives. Newton's method needs no rate. Its price is the system of equations, which is why networks with many
# weights are not trained with it. (Far from a minimum it can also run to a maximum: it looks for *any* point with
# slope 0.)
#
# ## 5. A loss with a derivative in it
#
# Radioactive decay obeys the law `y' = -y` with `y(0) = 1`. Let a network find `y`, from the law alone. No values of
# `y` are given. The loss asks at 9 points how badly the law is violated:
#
# ```text
# y(t) = 1 + t * (tanh(t w + b) @ v)      this form has y(0) = 1
# loss = mean((y'(t) + y(t))**2)
# ```
#
# `y'` is a gradient with respect to the *input* `t`, and training needs the gradient of the loss with respect to the
# *weights*: a gradient of a gradient. Each `y(t)` depends only on its own `t`, so `mg.elementwise_grad` gets all
# slopes in one sweep.

# %%
rng = np.random.default_rng(0)
start = {"w": rng.normal(size=8), "b": rng.normal(size=8), "v": np.zeros(8)}
times = np.linspace(0, 2, 9)


def network(weights):
    def y(t):
        hidden = np.tanh(t[:, None] * weights["w"] + weights["b"])
        return 1 + t * (hidden @ weights["v"])

    return y


def train(residual, updates=300):
    """Return weights for which residual(y, t) is small at all times."""
    weights = {
        name: rnn.Parameter(value, dtype=np.float64, name=name)
        for name, value in start.items()
    }
    optimizer = rnn.Adam(weights.values(), lr=0.03)
    for _ in range(updates):
        optimizer.zero_grad()
        loss = (residual(network(weights), times) ** 2).mean()
        loss.backward()
        optimizer.step()
    print(f"loss after {updates} updates: {loss.item():.1e}")
    return weights


def decay(y, t):
    return mg.elementwise_grad(y)(t) + y(t)


y = network(train(decay))
print("   t   network   exp(-t)")
for t in (0.0, 0.5, 1.0, 1.5, 2.0):
    value = y(np.array([t])).item()
    print(f"{t:4.1f} {value:9.4f} {np.exp(-t):9.4f}")
    assert abs(value - np.exp(-t)) < 0.01

# %% [markdown]
# The network has found the exponential function, without having seen one value of it. Programs that solve physical
# equations in this way are called **physics-informed neural networks** (Raissi, Perdikaris and Karniadakis, 2019).
#
# The picture shows the graph of one such residual, for a network of one weight. In red are all paths on which `w`
# influences the residual: through `y`, and through the backward pass that computed `y'`.

# %%
w = mg.tensor(0.8, requires_grad=True, name="w")
t = mg.tensor(0.5, requires_grad=True, name="t")
y = t * np.tanh(t * w)
slope = mg.grad(y, t, create_graph=True)
residual = slope + y
mg.draw(
    residual,
    highlight=(residual, w),
    names={"y": y, "y'": slope, "residual": residual},
)

# %% [markdown]
# ### Exercise 4
#
# A swing obeys `y'' = -y`. Write its residual: the function that is 0 at all times `t` if `y` obeys the law. Return
# all residuals, not their mean.


# %%
def swing(y, t):
    return ...


def check_4(swing):
    t = np.linspace(0, 3, 7)
    found = np.asarray(swing(np.sin, t))
    assert found.shape == t.shape, (
        f"return one residual for each time, shape {t.shape}, not {found.shape}"
    )
    assert np.allclose(found, 0), (
        "the residual of y = sin must be 0: sin obeys the law"
    )
    assert not np.allclose(swing(np.exp, t), 0), (
        "exp does not obey the law (exp'' = exp), but its residual is 0"
    )
    assert np.allclose(swing(lambda t: t**2, t), 2 + t**2), (
        "for y = t**2 the residual is 2 + t**2"
    )
    weights = {
        name: mg.tensor(value + 0.1, requires_grad=True, name=name)
        for name, value in start.items()
    }
    residual = swing(network(weights), t)
    assert isinstance(residual, mg.Tensor), (
        "the residual has lost the graph of the weights; do not use .data"
    )


exercise(4, check_4, swing)

# %% [markdown]
# ## What to remember
#
# - A backward pass is a program. With `create_graph=True` it is recorded, and you can differentiate it again.
# - The Hessian has `n * n` elements and costs `n` sweeps. Its product with a vector costs a few, because it is a
#   gradient.
# - Newton's method uses the curvature to choose the length of the step. It is fast near a minimum, and expensive for
#   many weights.
# - A loss may contain derivatives. Training then needs a gradient of a gradient, and you get it without extra work.
#
# **Next:** lesson 7 asks how you can know that a gradient is right.
#
# ## Solutions


# %% tags=["hide-cell"]
def hessian_by_rows_solution(f, point):
    x = mg.tensor(point, requires_grad=True)
    slopes = mg.grad(f(x), x, create_graph=True)
    return np.stack(
        [mg.grad(slopes[i], x, retain_graph=True).data for i in range(len(point))]
    )


def hessian_times_solution(f, x, v):
    return mg.grad(lambda x: (mg.grad(f)(x) * v).sum())(x)


def newton_step_solution(f, p):
    return p - np.linalg.solve(mg.hessian(f)(p), mg.grad(f)(p))


def swing_solution(y, t):
    return mg.elementwise_grad(mg.elementwise_grad(y))(t) + y(t)


solution(1, check_1, hessian_by_rows_solution)
solution(2, check_2, hessian_times_solution)
solution(3, check_3, newton_step_solution)
solution(4, check_4, swing_solution)
