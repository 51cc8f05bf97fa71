# %% [markdown]
# # Why a recurrent network forgets
#
# A recurrent network learns from a loss that is many steps later than its cause. On the way back the gradient is multiplied by
# the Jacobian of every step it passes. Why is the activation mostly tanh and not a sigmoid, why does tanh forget all the same,
# and what do ReLU and the cell of an LSTM do better? Here is a task that asks for nothing but memory: read one of four letters,
# then blanks, and at the end say which letter it was.

# %%
import sys
from pathlib import Path

import numpy as np

import minigrad_rnn as rnn
from minigrad_rnn.flow import GradientRecorder, compare, gradient_flow

T, HIDDEN, UPDATES = 25, 16, 100


def sample(n, rng, letters=None):
    letters = rng.integers(4, size=n) if letters is None else letters
    symbols = np.full((T, n), 4)
    symbols[0] = letters
    return rnn.Batch(np.eye(5)[symbols], letters)


def network(name):
    if name == "LSTM":
        layer = rnn.LSTM(5, HIDDEN, forget_bias=3.0, dtype=np.float64, rng=0)
    elif name == "GRU":
        layer = rnn.GRU(5, HIDDEN, dtype=np.float64, rng=0)
    else:
        layer = rnn.RNN(5, HIDDEN, nonlinearity="relu" if name == "IRNN" else name, dtype=np.float64, rng=0)
    if name == "IRNN":
        rnn.init.irnn(layer.cell, scale=0.3, rng=0)
    return rnn.ManyToOne(layer, rnn.Linear(HIDDEN, 4, dtype=np.float64, rng=1))


everything = sample(4, None, np.arange(4))  # the four sequences that there are
models = {name: network(name) for name in ("sigmoid", "tanh", "IRNN", "LSTM", "GRU")}
before = {name: gradient_flow(model, everything) for name, model in models.items()}

# %% [markdown]
# ## Why not a sigmoid
#
# In a hop the gradient passes two factors: the slope of the activation, and W_hh transposed. A sigmoid's slope is at most 1/4.
# W_hh can stretch a vector by no more than its largest singular value s, so no hop has a gain above s/4 (Pascanu, Mikolov and
# Bengio 2013). Below 1 that is a sentence: the gradient has to vanish.

# %%
for name in ("sigmoid", "tanh"):
    flow = before[name]
    means = {kind: np.exp(np.nanmean(np.log(flow.gains[kind][0]))) for kind in ("activation", "weight", "total")}
    print(
        f"{name:8} a hop: activation {means['activation']:.3f} x weight {means['weight']:.3f} = gain {means['total']:.3f}, ",
        end="",
    )
    print(f"never above {flow.bound[0]:.3f}; halved every {flow.half_life():.2f} steps")
    assert np.nanmax(flow.gains["total"]) <= flow.bound[0]

# %% [markdown]
# ## Why tanh vanishes, too
#
# Its slope is 1 at 0, so the activation costs next to nothing here. What is left is W_hh: drawn at random it shrinks most
# vectors, though its largest singular value is near 1. Many hops are a power of it, and a power goes with the spectral radius,
# the size of its largest eigenvalue.

# %%
flow = before["tanh"]
print(f"tanh: largest singular value {flow.singular_values[0][0, 0]:.3f}, spectral radius {flow.spectral_radius[0][0]:.3f}")
print(f"the loss moves h[{T - 1}] by {flow.norms['h'][0, -1]:.1e}, and h[0] by {flow.norms['h'][0, 0]:.1e}")
share = flow.shares["recurrent.weight_hh_l0"]
late = share[-3:].sum() / share.sum()
print(f"of what the {T} steps say about W_hh, {late:.1%} comes from the last three: the letter is not heard")

# %% [markdown]
# ## ReLU and the cell
#
# ReLU passes a gradient as it is, or not at all. With W_hh = 1 every active unit has a gain of 1: the IRNN (Le, Jaitly and
# Hinton 2015). The LSTM gets to the same by another way: from c[t] to c[t-1] there is no matrix, only the forget gate. Begun
# with a bias of 3 it is nearly open. The GRU's gate z does that for h, but begins half closed.

# %%
print("IRNN: gains", *(f"{gain:.3f}" for gain in before["IRNN"].gains["total"][0, 1:5]), "...")
for name, gate in (("LSTM", "f"), ("GRU", "z")):
    flow = before[name]
    carry = np.nanmean(flow.gains["carry"])
    print(f"{name}: mean of {gate} {flow.gates[gate].mean():.3f}, gain along {'c' if name == 'LSTM' else 'h'} {carry:.3f}")
print(compare(before).table(hops=(1, 2, 5, 10, 20)))

# %% [markdown]
# ## And after training
#
# The gradient's way is not fixed: it is made of weights, and they learn, if there is enough of a gradient to begin with.

# %%
recorders = {}
for name, model in models.items():
    recorders[name] = GradientRecorder(model, everything, every=UPDATES // 4)
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.01), clip_norm=1.0)
    trainer.fit(rnn.Generated(sample, 16, batches=UPDATES), epochs=1, after_update=recorders[name], progress=False)
after = {name: gradient_flow(model, everything) for name, model in models.items()}
for name, model in models.items():
    right = (model(everything.inputs).data.argmax(-1) == everything.targets).sum()
    print(f"{name:8} {right} of 4 letters, loss {after[name].losses[-1]:.1e} (a guess: {np.log(4):.2f}); ", end="")
    norms = recorders[name].norms["c" if name == "LSTM" else "h"][:, 0]  # (measurements, T)
    print("first step / last, in training:", *(f"{x:.0e}" for x in norms[:, 0] / norms[:, -1]))
print(compare(after).table(hops=(1, 2, 5, 10, 20)))

# %% [markdown]
# Given a folder, as in `python gradient_flow.py .`, all of it in a picture there. It needs matplotlib.

# %%
if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set_ylim(1e-22, 1e2)
    right.set_ylim(1e-22, 1e2)
    compare(before).plot(axes=left, title="untrained")
    compare(after).plot(axes=right, title=f"after {UPDATES} updates")
    left.set_ylabel(f"gradient left, of what reaches step {T - 1}")
    figure.savefig(Path(sys.argv[1]) / "gradient_flow.png", dpi=150)
    print("wrote gradient_flow.png")
