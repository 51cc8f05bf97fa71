# %% [markdown]
# # Finding a NaN
#
# A NaN spreads to all that is computed from it, so where it shows tells little about where it was born. First one that is
# famous for being born on the way back: sqrt has an infinite slope at 0, which `where` does not ask for.

# %%
import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

np.seterr(all="ignore")  # NumPy's own warnings tell neither the time step nor your line
x = mg.tensor([0.0, 4.0], requires_grad=True, name="x")
np.where(x.data > 0, np.sqrt(x), 0).sum().backward()
print("cotangent times slope:", np.array([0.0, 1.0]) * (0.5 / np.sqrt(x.data)), "engine:", x.grad)
print("where selects:", mg.ops.TABLE["where"].selects, "sqrt is singular:", mg.ops.TABLE["sqrt"].singular)

# %% [markdown]
# The cotangent of the branch not taken is 0, and 0 times infinity is NaN. The engine finds out which zeros `where`, an index, a
# maximum or a mask made, and sends nothing back from there. You can also choose twice: give sqrt a harmless operand, too.

# %%
x = mg.tensor([-1.0, 0.0, 4.0], requires_grad=True, name="x")
np.where(x.data > 0, np.sqrt(np.where(x.data > 0, x, 1)), 0).sum().backward()
print("chosen twice:", x.grad)

# %% [markdown]
# Now a recurrent network whose cell takes a logarithm. Most of the time its operand is positive:


# %%
class Logarithmic(rnn.Cell):
    def step(self, x, state):
        return (np.log(2 + self.affine(x, *state)),)


layer = rnn.Recurrent(Logarithmic(2, 3, rng=0))
inputs = np.random.default_rng(0).standard_normal((12, 1, 2))
output, _ = layer.run(inputs, None)
(output * output).mean().backward()
print("steps with NaN:", np.flatnonzero(np.isnan(output.data).any(axis=(1, 2))))
print("NaN in the gradients:", {p.name: int(np.isnan(p.grad).sum()) for p in layer.parameters()})


def found(function):
    try:
        with mg.debug():
            function()
        print("found nothing")
    except FloatingPointError as error:
        print("found:", error)


found(lambda: layer.run(inputs, None))

# %% [markdown]
# The op, the step and the line. Another is born only on the way back. A penalty on how far the state moves is finite, but where
# the input begins with zeros the state does not move, and at 0 the norm has a kink:


# %%
def movement(norm):
    output, _ = rnn.RNN(2, 3, bias=False, rng=0)(np.concatenate([np.zeros((2, 1, 2)), inputs]))
    total = 0.0
    for t in range(1, len(inputs)):
        with mg.scope("movement"), mg.scope("t", t):
            total = total + norm(output[t] - output[t - 1])
    print("penalty:", round(total.item(), 4))
    total.backward()


found(lambda: movement(lambda d: np.sqrt((d * d).sum())))
found(lambda: movement(lambda d: np.sqrt(np.clip((d * d).sum(), 1e-12, None))))
found(lambda: movement(np.linalg.norm))

# %% [markdown]
# np.clip keeps the operand away from that point, as an epsilon would; the engine's own norm has slope 0 there. Often there is
# a better way, another formula that is the same on paper and does not overflow. Here are both, with their slopes, at +-1000:

# %%
for name, naive, stable in (
    ("log sigmoid", lambda x: np.log(1 / (1 + np.exp(-x))), lambda x: -mg.softplus(-x)),
    ("log sum exp", lambda x: np.log(np.exp(x) + np.exp(x + 1)), lambda x: mg.logsumexp(np.stack([x, x + 1]))),
    ("cross entropy", lambda x: -np.log(mg.softmax(np.stack([x, 0]))[0]), lambda x: mg.cross_entropy(np.stack([x, 0]), 0)),
):
    for at in (-1000.0, 1000.0):
        numbers = [float(z) for f in (naive, stable) for z in mg.value_and_grad(f)(at)]
        print("{:13} at {:5.0f}: naive {:5.1f} slope {:4.1f}, stable {:8.3f} slope {:4.1f}".format(name, at, *numbers))
