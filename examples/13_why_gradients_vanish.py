# %% [markdown]
# # Lesson 13: why gradients vanish
#
# A recurrent network reads a sequence one step at a time. The loss often comes late, and its cause came early: the verb at
# the end of a sentence depends on the subject at its beginning. To learn this, the network needs a gradient that travels
# back from the last step to the first. In this lesson you see what happens to it on the way.
#
# **You need:** lessons 10 to 12 (the recurrent network, unrolled, and BPTT), matrix products, and the idea of a gradient.
#
# **You will be able to** say why tanh is used more often than the sigmoid, why its gradient vanishes as well, when a gradient
# is *certain* to vanish, and what the LSTM does about it.
#
# **Time:** about 50 minutes, 4 exercises.

# %%
import numpy as np

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. One number
#
# Start with the smallest recurrent network there is: one unit, one weight, no input.
#
# ```text
# h[t] = f(w * h[t-1])
# ```
#
# Here `f` is the **activation**, for example tanh. If `h[t-1]` changes by a little, `h[t]` changes `w * f'(a[t])` times as
# much, where `a[t] = w * h[t-1]` is what goes into the activation. So a gradient that goes back through `T` steps is
# multiplied by `T` such factors. Products of many factors rarely stay near 1: with factors of 0.9, only half a percent is
# left after 50 steps; with factors of 1.1, the product grows to 117.
#
# In the picture, the activation is the sigmoid and `w` is 1. The number in each state is the size of the gradient that
# arrives there. Predict: if 1 arrives at `h[3]`, how much is left at `h[0]`? Then run the cell.

# %%
w = mg.tensor(1.0, requires_grad=True, name="w")
h = mg.tensor(0.5, name="h")
for _step in range(4):
    h = mg.sigmoid(w * h)
rnn.draw.unrolled(h, names=locals(), gradients=True, title="one unit, four steps")

# %% tags=["remove-cell"]
assert round(rnn.gradient_flow(h, names=locals()).norms["h"][0, 0], 3) == 0.012

# %% [markdown]
# The gradient starts at `h[3]` on the right and goes left, against the arrows. At each step it loses more than three
# quarters. Only 0.012 of it reaches `h[0]`: the boxes fade from dark blue to almost white.
#
# The first question is therefore: how large is `f'`, the slope of the activation? `mg.elementwise_grad(f)` returns the slope
# of `f` at each point of an array.

# %%
ACTIVATIONS = {"sigmoid": mg.sigmoid, "tanh": mg.tanh, "relu": mg.relu}
points = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])

print("a            " + "".join(f"{a:8.1f}" for a in points))
for name, f in ACTIVATIONS.items():
    slopes = mg.elementwise_grad(f)(points)
    print(f"{name:7} slope" + "".join(f"{slope:8.4f}" for slope in slopes))

# %% [markdown]
# - **Sigmoid**, `y = 1 / (1 + exp(-a))`. The slope is `y * (1 - y)`, at most **1/4**.
# - **tanh**. The slope is `1 - tanh(a)**2`, at most **1**, and only at 0. Far from 0 it is close to 0. We say the unit is
#   **saturated**.
# - **ReLU**, `max(a, 0)`. The slope is 1 for positive `a` and 0 otherwise. ReLU passes a gradient unchanged or not at all.
#   (At exactly 0 there is no slope; minigrad uses 0.)
#
# You may read that the sigmoid is avoided because its derivative is complicated. Look at the formulas: it is as short as
# that of tanh. What matters is its size.
#
# ### Exercise 1
#
# With `w = 1` and the best slope a sigmoid has, how much of a gradient is left after `steps` steps? Write the function.


# %%
def sigmoid_leaves_at_most(steps):
    return ...


def check_1(f):
    assert isinstance(f(1), float), "return a number"
    assert f(1) == 0.25, f"after 1 step at most 1/4 is left, not {f(1)}"
    assert f(2) != 0.125, "the factors are multiplied, not halved: 1/4 * 1/4"
    assert f(10) == 0.25**10, (
        f"after 10 steps at most {0.25**10:.1e} is left, not {f(10)}"
    )


exercise(1, check_1, sigmoid_leaves_at_most)

# %% [markdown]
# ## 2. Many numbers: the Jacobian
#
# A real network has many units, and a matrix in place of `w`:
#
# ```text
# a[t] = W_ih x[t] + W_hh h[t-1] + b
# h[t] = f(a[t])
# ```
#
# The factor `w * f'(a[t])` becomes a matrix, the **Jacobian** `J[t] = dh[t]/dh[t-1]`. Its row `i`, column `j` says how much
# unit `i` after the step changes when unit `j` before the step changes:
#
# ```text
# J[t] = diag(f'(a[t])) W_hh
# ```
#
# `diag(v)` is the matrix with the vector `v` on its diagonal and zeros elsewhere; multiplying by it scales each row. Do not
# take the formula on trust: `mg.jacobian(f)(h)` computes the Jacobian of `f` at `h` from the code of the step.

# %%
cell = rnn.RNNCell(2, 3, dtype=np.float64, rng=0)
x = np.array([[1.0, -1.0]])
start = np.array([0.1, 0.2, -0.3])


def one_step(h):
    return cell(x, h.reshape(1, 3))[0]


W_hh = cell.weight_hh.data
new = one_step(mg.tensor(start)).data
from_code = mg.jacobian(one_step)(start).data
from_formula = np.diag(1 - new**2) @ W_hh
print("Jacobian, computed from the code:\n", from_code.round(4))
print("Jacobian, from the formula:\n", from_formula.round(4))
assert np.allclose(from_code, from_formula)

# %% [markdown]
# ### Exercise 2
#
# The same for ReLU: given `W_hh` and `a` (a vector), return the Jacobian of `relu(a)` with respect to `h`, where
# `a = W_hh h + ...`.


# %%
def relu_jacobian(W_hh, a):
    return ...


def check_2(f):
    rng = np.random.default_rng(1)
    W, h, rest = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    answer = f(W, W @ h + rest)
    assert np.shape(answer) == (4, 4), (
        f"the Jacobian has shape (4, 4), not {np.shape(answer)}"
    )
    expected = mg.jacobian(lambda h: mg.relu(W @ h + rest))(h).data
    slopes = np.diag((W @ h + rest > 0).astype(float))
    assert not np.allclose(answer, W @ slopes), (
        "you scaled the columns of W_hh. The slope belongs to the unit after the "
        "step, which is the row: diag(...) goes to the left of W_hh"
    )
    assert np.allclose(answer, expected), (
        "that is not the matrix that minigrad finds; compare them row by row"
    )


exercise(2, check_2, relu_jacobian)

# %% [markdown]
# ## 3. The product of Jacobians
#
# Let `g[t] = dL/dh[t]` be the gradient of the loss at the state of step `t`. If the loss looks only at the last state, the
# chain rule gives (`d` in `dL/dh` means a derivative; lesson 12 used `dA` for the whole gradient)
#
# ```text
# g[t-1] = J[t].T g[t]
# g[0]   = J[1].T J[2].T ... J[T-1].T g[T-1]
# ```
#
# One Jacobian for each step, all multiplied. Again we check it: four steps, the Jacobian of the whole against the product of
# the Jacobians of the steps.

# %%
inputs = np.random.default_rng(2).normal(size=(4, 1, 2))


def all_steps(h):
    for x in inputs:
        h = cell(x, h.reshape(1, 3))[0]
    return h


product, state = np.eye(3), start
for x in inputs:
    state = cell(x, state.reshape(1, 3))[0].data
    product = np.diag(1 - state**2) @ W_hh @ product
difference = abs(product - mg.jacobian(all_steps)(start).data).max()
print(f"largest difference: {difference:.0e}")
assert difference < 1e-15

# %% [markdown]
# ## 4. When it is certain: Pascanu's bound
#
# How much can one step stretch or shrink a gradient? We measure the length of a vector by its **norm** `|g|`, the root of
# the sum of squares, and call `|J[t].T g| / |g|` the **gain** of the step.
#
# Two numbers limit it:
#
# - `s`, the largest **singular value** of `W_hh`. It is the largest factor by which `W_hh` can stretch any vector.
# - `gamma`, the largest slope of the activation: 1/4 for the sigmoid, 1 for tanh and ReLU.
#
# No gain can exceed `gamma * s`. After `k` steps at most `(gamma * s)**k` of the gradient is left. **If `gamma * s < 1`, the
# gradient must vanish**, whatever the data are (Pascanu, Mikolov and Bengio, 2013). If `gamma * s > 1`, nothing is certain:
# it may grow (**explode**), it may still vanish.
#
# For the sigmoid, the gradient must vanish when `s < 4`. For tanh and ReLU, when `s < 1`.
#
# ### Exercise 3
#
# Return a multiple of `W` for which the sigmoid's bound `gamma * s` is exactly 1. (`np.linalg.svd(W, compute_uv=False)`
# returns the singular values, the largest first.) Then think: does the gradient of this network survive?


# %%
def scaled_for_sigmoid(W):
    return ...


def check_3(f):
    W = np.random.default_rng(3).normal(size=(5, 5))
    scaled = f(W)
    assert np.shape(scaled) == (5, 5), "return a matrix of the same shape"
    assert np.allclose(scaled / scaled[0, 0], W / W[0, 0]), (
        "return a multiple of W"
    )
    bound = np.linalg.svd(scaled, compute_uv=False)[0] / 4
    assert not np.isclose(bound, 1 / 4), (
        "you made s = 1. That is the limit for tanh; the sigmoid's gamma is 1/4"
    )
    assert np.isclose(bound, 1), f"the bound is {bound:.3f}, not 1"


exercise(3, check_3, scaled_for_sigmoid)

# %% [markdown]
# It does not survive. The bound is reached only where every unit is at `a = 0`, the one point where the slope is 1/4. In the
# network of the next section such a matrix gives a typical gain of 0.6.
#
# ## 5. Measured
#
# The bound is only a limit. `rnn.gradient_flow` measures what happens. We compare four networks with 16 units over 30 steps
# of random input; only the last step has a loss. Their matrices `W_hh` are **orthogonal**: all singular values are 1, so the
# matrix alone neither shrinks nor stretches. What is lost is lost in the activation. The fourth network is an LSTM, to which
# we come in section 7.

# %%
T, UNITS = 30, 16
sequence = np.random.default_rng(0).normal(size=(T, 1, 4))
target = np.array([1])


def network(kind, scale=1.0):
    if kind == "LSTM":
        layer = rnn.LSTM(4, UNITS, forget_bias=3.0, dtype=np.float64, rng=0)
    else:
        layer = rnn.RNN(4, UNITS, nonlinearity=kind, dtype=np.float64, rng=0)
        rnn.init.keras(layer.cell, rng=0)  # an orthogonal W_hh
        layer.cell.weight_hh.data = scale * layer.cell.weight_hh.data
    return rnn.ManyToOne(layer, rnn.Linear(UNITS, 2, dtype=np.float64, rng=1))


models = {kind: network(kind) for kind in ("sigmoid", "tanh", "relu", "LSTM")}
flows = {
    kind: rnn.gradient_flow(model, sequence, target)
    for kind, model in models.items()
}

print("         gain of one step back             |dL/dh|")
print("         bound  largest  typical   last step  first step")
for kind in ("sigmoid", "tanh", "relu"):
    flow = flows[kind]
    gains, norms = flow.gain("total"), flow.norms["h"][0]
    typical = np.exp(np.log(gains).mean())  # the geometric mean
    print(
        f"{kind:8} {flow.bound[0]:5.2f} {gains.max():8.2f} {typical:8.2f}", end=""
    )
    print(f" {norms[-1]:11.1e} {norms[0]:11.1e}")
    assert (gains <= flow.bound[0] + 1e-12).all()

# %% tags=["remove-cell"]
_typical = {
    kind: float(np.exp(np.log(flows[kind].gain("total")).mean()))
    for kind in ("sigmoid", "tanh", "relu")
}
_left = {kind: flows[kind].norms["h"][0, 0] for kind in flows}
assert 0.19 < _typical["sigmoid"] < 0.25
assert 0.6 < _typical["tanh"] < 0.8
assert 0.6 < _typical["relu"] < 0.8
assert _left["sigmoid"] < 1e-18
assert 0.2 < _left["relu"] / _left["tanh"] < 5
assert (flows["LSTM"].norms["c"] > 0.05).all()
assert [f"{x:.1e}" for x in flows["LSTM"].norms["c"][0, [-1, 0]]] == [
    "8.5e-02",
    "2.0e-01",
]
_scaled = rnn.gradient_flow(network("sigmoid", 4.0), sequence, target)
assert round(float(np.exp(np.log(_scaled.gain("total")).mean())), 1) == 0.6
assert flows["relu"].saturation["h"].mean().round(1) == 0.5

# %% [markdown]
# Read the table row by row.
#
# - **Sigmoid.** The bound is 1/4, and the gain is close to it. Three quarters of the gradient are lost at every step. After
#   29 steps nothing is left that could teach the network.
# - **tanh.** The bound is 1, so nothing is certain. The measured gain is about 0.7: the slope is 1 only where a unit is at
#   0, and few units are. The gradient vanishes too, only more slowly.
# - **ReLU.** About half of the units are active at each step. They pass everything, the others nothing. The norm falls about
#   as fast as with tanh.
#
# In the picture every box is the state of one step. Dark blue means a large gradient, white means almost none. All rows
# share one logarithmic scale, so you can compare them. The strips in the middle are the steps 3 to 26.

# %%
rnn.draw.compare(models, sequence, target)

# %% [markdown]
# What does this mean for learning? The gradient of `W_hh` is a sum over all steps, and each step contributes in proportion
# to the gradient at its state. `flow.shares` has the size of each contribution.

# %%
for kind in ("sigmoid", "tanh", "relu"):
    share = flows[kind].shares["recurrent.weight_hh_l0"]
    late = share[-5:].sum() / share.sum()
    print(f"{kind:8} {late:.1%} of the contributions come from the last 5 steps")

# %% [markdown]
# The network learns from what happened just now, and almost nothing from what happened long ago. It is not that the state
# cannot *hold* old information. Nobody *teaches* it what to hold.
#
# ## 6. Can a larger matrix help?
#
# With tanh, the matrix keeps the length of a gradient and the slopes lose 30 %. Multiply the matrix by 1.5: does that make up
# for the 30 %? Predict the typical gain. `flow.gain("activation")` and `flow.gain("weight")` are its two factors.


# %%
def geometric_mean(gains):
    return np.exp(np.log(gains).mean())


typical = {}
print("W_hh     bound    slopes x matrix         |dL/dh|    |dL/dh|")
print("times             = typical gain      last step  first step")
for scale in (0.5, 1.0, 1.5, 2.0, 3.0):
    flow = rnn.gradient_flow(network("tanh", scale), sequence, target)
    slopes, matrix, typical[scale] = (
        geometric_mean(flow.gain(kind))
        for kind in ("activation", "weight", "total")
    )
    last, first = flow.norms["h"][0, [-1, 0]]
    print(
        f"{scale:5.1f} {flow.bound[0]:8.2f}    {slopes:.2f} x {matrix:.2f} "
        f"= {typical[scale]:.2f} {last:14.1e} {first:11.1e}"
    )

# %% tags=["remove-cell"]
assert [round(x, 2) for x in typical.values()] == [0.38, 0.70, 0.92, 1.03, 1.19]
assert first > 100 * last

# %% [markdown]
# Not 0.70 * 1.5 = 1.05, but 0.92. A larger matrix makes larger states, larger states saturate tanh, and the slopes fall from
# 0.70 to 0.61. The bound is 1.5, well above 1, and the gradient still vanishes. With 3.0 it explodes: at the first step it
# is more than a hundred times as large as at the last. A value in between, such as 2.0, is close to 1. But it is right only
# for *these* data and *these* weights, and training changes the weights.
#
# A good start helps for a while. For example, Le, Jaitly and Hinton (2015) use ReLU and let `W_hh` begin as the identity
# matrix, so that every active unit has a gain of 1 (the **IRNN**, `rnn.init.irnn`). What we want is a gain near 1 that the
# *structure* of the network gives, not the luck of its numbers.
#
# ### Exercise 4
#
# A unit of a tanh network keeps one bit: it has settled at `h = 0.9`, because `0.9 = tanh(w * 0.9)`. This unit *remembers*
# perfectly. Does it pass a gradient back? Write the gain of one step, `w * tanh'(a)`, as a function of `h` alone, for any
# `h` between 0 and 1. (`np.arctanh` is the inverse of tanh.)


# %%
def gain_of_a_held_bit(h):
    return ...


def check_4(f):
    for h in (0.5, 0.9, 0.99):
        w = np.arctanh(h) / h
        a = mg.tensor(np.array([h]), requires_grad=True)
        mg.tanh(w * a).sum().backward()
        expected = float(a.grad[0])
        assert not np.isclose(f(h), 1 - h * h), (
            "that is the slope alone; multiply by w = arctanh(h) / h"
        )
        assert np.isclose(f(h), expected), (
            f"for h = {h} the engine finds {expected:.4f}, not {f(h):.4f}"
        )


exercise(4, check_4, gain_of_a_held_bit)

# %% [markdown]
# For `h = 0.9` the gain is 0.31. The unit holds its bit for ever, but of a gradient of 1 only 8e-6 is left after 10 steps.
# Bengio, Simard and Frasconi (1994) show this for any recurrent network that holds a bit safely against noise.
#
# ## 7. A way around the product
#
# The LSTM (Hochreiter and Schmidhuber, 1997; forget gate: Gers, Schmidhuber and Cummins, 2000) has a second state, the
# **cell state** `c`. Its update is a sum:
#
# ```text
# c[t] = f[t] * c[t-1] + i[t] * n[t]
# ```
#
# The **gates** `f[t]` and `i[t]` are vectors of numbers between 0 and 1, computed from the input and from `h[t-1]`; `*`
# multiplies element by element; `n[t]` is the new content (lesson 14 has all the formulas). From here on `f[t]` is the forget
# gate, as in the papers, and no longer the activation. Follow `c` back by one step, along the direct path:
#
# ```text
# dc[t]/dc[t-1] = diag(f[t])
# ```
#
# Compare it with section 2. There is no `W_hh` and no slope of an activation: only the forget gate `f[t]`. If the gate is
# open (`f[t]` near 1), the gradient passes almost unchanged, and over many steps if `f[t]` is near enough to 1: `0.95**29` is
# 0.23, and `0.999**1000` is 0.37. And the gate is not fixed. The network *learns* when to keep and when to forget.

# %%
lstm = flows["LSTM"]
carry = np.nanmean(lstm.gains["carry"])
print(f"mean forget gate {lstm.gates['f'].mean():.3f}, gain along c {carry:.3f}")
assert carry > 0.93

# %% [markdown]
# We set the bias of the forget gate to 3, so the gate starts at about `sigmoid(3) = 0.95`, and so does the gain. Look at the
# last two rows of the picture again, `h` and `c` of the LSTM: they are dark from end to end. At `c` the gradient even grows
# on its way back, from 8.5e-02 at the last step to 2.0e-01 at the first, although the gain along `c` is below 1. The direct
# path is not the only one: `h` leads back to `c` as well, and its part is added.
#
# ## What to remember
#
# - A gradient through time is multiplied by one Jacobian, `diag(f'(a[t])) W_hh`, for every step.
# - Its gain is at most `gamma * s`. Below 1 the gradient must vanish. The sigmoid's `gamma` is 1/4, that of tanh is 1.
# - With tanh the gradient vanishes as well, because real slopes are below 1. A larger matrix saturates the units.
# - A state that holds a bit firmly is saturated. It remembers, but it does not let the gradient through.
# - The LSTM's cell state has a path with the forget gate as its only factor. That helps against vanishing, not against
#   exploding.
#
# **Next:** lesson 14 trains these networks on a task that needs memory, and measures the gradient before and after.
#
# ## Solutions


# %% tags=["hide-cell"]
def sigmoid_leaves_at_most_solution(steps):
    return 0.25**steps


def relu_jacobian_solution(W_hh, a):
    return np.diag((a > 0).astype(float)) @ W_hh


def scaled_for_sigmoid_solution(W):
    return W * 4 / np.linalg.svd(W, compute_uv=False)[0]


def gain_of_a_held_bit_solution(h):
    return np.arctanh(h) / h * (1 - h * h)


solution(1, check_1, sigmoid_leaves_at_most_solution)
solution(2, check_2, relu_jacobian_solution)
solution(3, check_3, scaled_for_sigmoid_solution)
solution(4, check_4, gain_of_a_held_bit_solution)
