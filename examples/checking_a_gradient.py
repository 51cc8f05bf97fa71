# %% [markdown]
# # Checking a gradient
#
# A wrong rule gives no error, only a network that learns badly. Differences know nothing of the rules: (f(x + h) - f(x)) / h,
# or centred, (f(x + h) - f(x - h)) / 2h. How small should h be?

# %%
import numpy as np

import minigrad as mg
from minigrad.ops import TABLE


def f(x):
    return np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)


x, s, c = 1.5, np.sin(1.5), np.cos(1.5)
exact = f(x) * (1 - 1.5 * (s * s * c - c * c * s) / (s**3 + c**3))  # by hand
print("     h   forward   central")
for k in range(1, 15):
    h = 10.0**-k
    print(f"1e-{k:02}   {abs((f(x + h) - f(x)) / h - exact):.1e}   {abs((f(x + h) - f(x - h)) / (2 * h) - exact):.1e}")

# %% [markdown]
# Downhill first: what the series cuts off goes with h (forward) or h^2 (central). Then uphill: f(x + h) and f(x - h) share more
# and more digits, which cancel, and rounding leaves an error that goes with eps / h. The lowest point of this V lies near the
# square root of eps for forward and near the cube root for central differences. In float32 it does not go down far:

# %%
for dtype in (np.float64, np.float32):
    steps = [dtype(10.0 ** (-k / 4)) for k in range(4, 60)]
    at, eps = dtype(x), np.finfo(dtype).eps
    errors = [abs((f(at + h) - f(at - h)) / (2 * h) - exact) for h in steps]
    by_engine = abs(mg.grad(f)(at) - exact)
    print(f"{dtype.__name__}: best h {steps[np.argmin(errors)]:.0e}, cube root of eps {np.cbrt(eps):.0e}, "
          f"error {min(errors):.0e}; of the engine {by_engine:.0e}")  # fmt: skip

# %% [markdown]
# A step into the complex plane subtracts nothing: f(x + ih) = f(x) + ih f'(x) - ..., so the imaginary part over h is f'(x),
# and h may be as small as you like. But f must be analytic. `abs` is not, nor is what is made with it; the table knows.

# %%
print("complex step:", f(x + 1e-200j).imag / 1e-200, "engine:", float(mg.grad(f)(x)), "by hand:", float(exact))
print("abs at 1.5: complex step", np.abs(x + 1e-200j).imag / 1e-200, "engine", float(mg.grad(np.abs)(x)))
print("not analytic:", *[name for name, op in TABLE.items() if op.kind == "elementwise" and not op.analytic][:8], "...")

# %% [markdown]
# `check_grads` takes central differences of fourth order, in float64, for each element and a random cotangent (its numbers are
# slopes times that), and tests forward mode too. Here one rule is ten times too large for x < 0, and one is right but hides
# from the engine that it depends on x:


# %%
@mg.custom_op(lambda x: np.where(np.greater(x, 0), 1, 0.1), kind="elementwise")
def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


@mg.custom_op(lambda x: 3 * np.square(x.detach() if isinstance(x, mg.Tensor) else x), kind="elementwise")
def cube(x):
    return x**3


def report(name, *args, **options):
    try:
        mg.check_grads(*args, **options)
        print(f"{name}: passes")
    except mg.GradientError as error:
        print(f"{name}: {error}")


report("leaky", leaky, np.array([2.0, -1.0]))
for order in (1, 2):
    report(f"cube, order {order}", cube, 2.0, order=order)

# %% [markdown]
# At a kink there is no derivative, and the engine has to choose: 0 for relu and abs at 0, equal shares for those that tie. The
# differences to the right and to the left do not meet there, and do not come closer when h shrinks to an eighth, as they would
# where f is smooth. So `check_grads` knows a kink, and accepts there what lies between the two sides, but nothing else.

# %%
for name, function in (("relu", mg.relu), ("abs", np.abs), ("square", np.square)):
    apart = [(function(h) - function(0.0)) / h - (function(0.0) - function(-h)) / h for h in (1e-4, 1e-4 / 8)]
    print(f"{name:6} engine {mg.grad(function)(0.0)}, right less left {apart[0]:.1e}, at an eighth {apart[1]:.1e}")
print("max", mg.grad(np.max)(np.array([1.0, 3.0, 3.0])), "maximum", *mg.grad(np.maximum, (0, 1))(3.0, 3.0))
report("relu at 0", mg.relu, np.zeros(1))
steep = mg.custom_op(lambda x: np.where(np.equal(x, 0), 2, np.greater(x, 0)), kind="elementwise")(lambda x: np.maximum(x, 0))
report("relu with a slope of 2 at 0", steep, np.zeros(1))
