# %% [markdown]
# # Activations, and why a gradient vanishes
#
# Why do recurrent networks use tanh, and not the sigmoid, which came first? And why does tanh not suffice? Both have to do
# with slopes that are multiplied, one for each step of time.

# %%
import sys
from pathlib import Path

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

FUNCTIONS = {"tanh": mg.tanh, "sigmoid": mg.sigmoid, "relu": mg.relu}


def curve(name, x):
    """The values and the slopes: the gradient of the sum has in each element the slope there."""
    return FUNCTIONS[name](x), mg.grad(lambda x: FUNCTIONS[name](x).sum())(x)


points = np.array([-4.0, -2, -1, 0, 1, 2, 4])
print("x              " + "".join(f"{x:8.1f}" for x in points))
for name in FUNCTIONS:
    for what, row in zip(("", " slope"), curve(name, points), strict=True):
        print(f"{name + what:15}" + "".join(f"{y:8.4f}" for y in row))

# %% [markdown]
# The slopes are not finite differences: the engine's table has a rule for each, tanh: 1 - out^2, sigmoid: out (1 - out),
# relu: 1 where x > 0. The largest slope of tanh is 1, at 0. That of the sigmoid is 1/4, everywhere else it is less.

# %%
x = np.linspace(-6, 6, 241)
values = {name: curve(name, x) for name in FUNCTIONS}
for name, (_, slope) in values.items():
    print(f"{name:8} largest slope {slope.max():.4f}, mean over -3...3 {slope[abs(x) <= 3].mean():.4f}")

# %% [markdown]
# Backwards through T steps of h' = activation(w h) the gradient is multiplied T times by w times a slope. With w = 1 and the
# largest slope there is:

# %%
for T in (1, 5, 10, 20, 50):
    print(f"T = {T:2}: tanh at most 1, sigmoid at most {0.25**T:.0e}")

# %% [markdown]
# With a matrix W_hh in the place of w it is the same with its largest singular value s: at each step the norm grows at most
# by the factor s times the largest slope (Pascanu, Mikolov and Bengio 2013). s < 1 (tanh, relu) or s < 4 (sigmoid) is enough
# to vanish.
#
# Now measured: a network with 32 units, 50 steps of noise, and a loss at the last step only. The weights W_hh are orthogonal,
# s = 1: they neither shrink nor stretch, what is lost is lost by the activation. A hook at each state sees its gradient pass.


# %%
def through_time(cell, T=50):
    """The norm of dL/dh[t], or of a state's part that carries it, for each t; the loss is a random direction of the last h."""
    rng = np.random.default_rng(1)
    inputs, direction = rng.standard_normal((T, 1, cell.input_size)), rng.standard_normal(cell.hidden_size)
    norms = {}
    state = cell.initial_state(1)
    for t in range(T):
        state = cell.step(mg.tensor(inputs[t], dtype=np.float64), state)

        def see(g, t=t):
            norms[t] = float(np.linalg.norm(g))

        state[-1].register_hook(see)  # h, or of an LSTM the memory c
    (state[0] @ direction / np.linalg.norm(direction)).sum().backward()
    return [norms.get(t, 0.0) for t in range(T)]


def made(kind, **options):
    rng = np.random.default_rng(0)
    cell = kind(8, 32, dtype=np.float64, rng=rng, **options)
    rnn.init.keras(cell, rng=rng)
    return cell


measured = {
    "tanh": through_time(made(rnn.RNNCell)),
    "relu": through_time(made(rnn.RNNCell, nonlinearity="relu")),
    "sigmoid": through_time(made(rnn.RNNCell, nonlinearity="sigmoid")),
    "LSTM, dL/dc": through_time(made(rnn.LSTMCell)),
}
keeping = made(rnn.LSTMCell)
bias = keeping.bias_ih.data.copy()
bias[32:64] = 5  # the forget gate nearly open: sigmoid(5) = 0.993
keeping.bias_ih.data = bias
measured["LSTM, f bias 5"] = through_time(keeping)
print("steps back     " + "".join(f"{back:9}" for back in (0, 1, 5, 10, 20, 49)) + "   a step")
for name, norms in measured.items():
    factor = (norms[0] / norms[-1]) ** (1 / 49)
    print(f"{name:15}" + "".join(f"{norms[-1 - back]:9.1e}" for back in (0, 1, 5, 10, 20, 49)) + f"   x {factor:.3f}")

# %% [markdown]
# The sigmoid loses more than three quarters at each step. tanh loses a good part, because its states are rarely near 0 where
# the slope is 1. relu lets about half of its units pass, with slope 1, and stops the others. In the LSTM the memory goes from
# step to step as f * c: no weight matrix and no slope of an activation, only the forget gate stands in the way, and it can be
# learnt to be open. There is a second way back, from gate to state and through the weights. It comes on top, and where the
# gate is nearly open it makes the gradient grow: vanishing is cured, exploding is not, and for that there is clipping.
#
# It is sometimes said that the sigmoid's derivative is more complicated. It is not: out (1 - out) is as short as 1 - out^2.
# What matters is its size, and that its values are never negative, so that the states cannot be around 0.

# %% [markdown]
# And a picture: with a folder as argument it is saved there (with matplotlib, the extra `plot`).

# %%
folders = [Path(argument) for argument in sys.argv[1:] if argument != "--quick"]
if folders:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "activations"  # the same file each time
    from matplotlib import pyplot as plt

    colours = ["#1f4e79", "#c0504d", "#6b8e23", "#7f7f7f", "#b8860b"]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for colour, (name, (value, slope)) in zip(colours, values.items(), strict=False):
        left.plot(x, value, color=colour, label=name)
        middle.plot(x, slope, color=colour, label=name)
    left.set(title="value", xlabel="x", ylim=(-1.3, 3))
    middle.set(title="slope", xlabel="x", ylim=(-0.1, 1.2))
    for colour, name in zip((*colours[:1], *colours[2:3], *colours[1:2], *colours[3:]), measured, strict=True):
        norms = np.array(measured[name])
        right.semilogy(np.arange(len(norms)), norms, color=colour, label=name)
    right.set(title="gradient through time", xlabel="t", ylabel="norm of dL/dh[t]")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(folders[0] / "activations.svg", metadata={"Date": None})
    print("saved", folders[0] / "activations.svg")
