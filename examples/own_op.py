# %% [markdown]
# # An op of one's own
#
# An op is a NumPy function and, for each operand, a rule that takes the cotangent of the result back to the operand. Here
# one that the table does not have: the "swish" x * sigmoid(b x), whose sharpness b can be learnt too.

# %%
import numpy as np

import minigrad as mg


@mg.custom_op(
    lambda x, b: (s := mg.sigmoid(b * x)) + b * x * s * (1 - s),  # d/dx
    lambda x, b: x * x * (s := mg.sigmoid(b * x)) * (1 - s),  # d/db
    kind="elementwise",
)
def swish(x, b):
    return x * mg.sigmoid(b * x)


# %% [markdown]
# The names of a rule's parameters say what has to be kept for it: both rules here need both operands. The engine multiplies
# by the cotangent, sums over what was broadcast (b is one number, x an array), and sees to the dtypes.

# %%
x = mg.tensor(np.linspace(-2, 2, 5), requires_grad=True, name="x")
b = mg.tensor(1.5, requires_grad=True, name="b")
y = swish(x, b).sum()
print(mg.Graph(y))
y.backward()
print("dy/dx", x.grad.round(4))
print("dy/db", b.grad.round(4))

# %% [markdown]
# Are the rules right? Finite differences know nothing of them. Order 2 checks the gradient of the gradient as well, which
# exists because the rules are NumPy code that records itself.

# %%
mg.check_grads(swish, np.linspace(-2, 2, 5), 1.5, order=2)
print("the rules agree with finite differences, first and second order, forward and backward")

# %% [markdown]
# And if one is wrong? Forget the factor b in the first:


# %%
@mg.custom_op(
    lambda x, b: (s := mg.sigmoid(b * x)) + x * s * (1 - s),
    lambda x, b: x * x * (s := mg.sigmoid(b * x)) * (1 - s),
    kind="elementwise",
)
def wrong(x, b):
    return x * mg.sigmoid(b * x)


try:
    mg.check_grads(wrong, np.linspace(-2, 2, 5), 1.5)
except mg.GradientError as error:
    print("found:", error)
