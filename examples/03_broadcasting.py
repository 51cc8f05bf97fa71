# %% [markdown]
# # Lesson 3: broadcasting and its transpose
#
# A bias is one row of numbers. It is added to every row of a batch, at every time step of a sequence. NumPy does this
# without being asked: it **broadcasts** the bias to the larger shape. Going forward you hardly notice it. Going
# backward you must, because the gradient of the bias has to have the shape of the bias, and not that of the batch.
#
# Broadcasting also hides one of the most expensive mistakes in training: a wrong shape that gives no error, only a
# network that learns nothing. At the end of the lesson you see it and write a guard against it.
#
# **You need:** lessons 0 to 2, and NumPy's shapes and axes.
#
# **You will be able to** predict the shape and the value of a gradient through broadcasting, write the transpose of an
# operation that moves numbers, test it without knowing the answer, and find a shape mistake that broadcasting hides.
#
# **Time:** about 45 minutes, 4 exercises.

# %%
import numpy as np

import minigrad as mg
from minigrad.exercises import exercise, solution

# %% [markdown]
# ## 1. A bias in a batch
#
# Three rows of two numbers, and a bias of two numbers:

# %%
x = mg.tensor(np.arange(6.0).reshape(3, 2), name="x")
b = mg.tensor([10.0, 20.0], requires_grad=True, name="b")
y = x + b
print(y.data)

# %% [markdown]
# Each element of `b` went into three places. As a graph of single numbers (without `x`) it looks like this. At each
# `y` you see a gradient that we chose: the numbers 1 to 6. (`seed=g` starts the backward pass with `g` instead of 1.
# A tensor that is not a single number needs one.) Predict the two gradients of `b` before you look at them.

# %%
g = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
g_b = mg.grad(y, b, seed=g).data

labels = {("b", j): f"b[{j}]\ngradient {g_b[j]:g}" for j in range(2)}
labels |= {
    (i, j): f"y[{i},{j}]\ngradient {g[i, j]:g}" for i, j in np.ndindex(3, 2)
}
mg.draw_graph(labels, {(i, j): [("b", j)] for i, j in np.ndindex(3, 2)})

# %% [markdown]
# A value that is used three times receives three gradients, and they are added: 1 + 3 + 5 = 9, and 2 + 4 + 6 = 12. So
# the gradient of a repeated array is the **sum over the repetitions**.
#
# Which axes are summed? NumPy's rule says which axes were repeated:
#
# - Write the shapes below each other, aligned at the right. Missing axes on the left count as length 1.
# - An axis of length 1 is repeated as often as the other array needs.
#
# ```text
# x   (4, 3)        x   (4, 3)        x   (4, 3)
# s      (3,)       c   (4, 1)        k       ()
# axis 0 is summed  axis 1 is summed  both are summed
# ```
#
# In minigrad the two rules of `+` do not sum. They are only the number 1, the derivative of a sum by each operand. (A
# rule is a function, as in lesson 1; where it is a constant, the number alone is enough.) The sweep compares the
# shape of what comes back with the shape of the operand, and sums where they differ. It does so in one place, for all
# operations.

# %%
print("rules of +:", mg.ops.TABLE["add"].rules)
print("gradient of b through x * b:", mg.grad((x * b).sum(), b).data)
print("sums of the columns of x:   ", x.data.sum(axis=0))

# %% [markdown]
# In `x * b` the derivative with respect to `b` is `x`. Summed over the rows, it gives the sums of the columns of `x`.
#
# ### Exercise 1
#
# `x` has the shape (4, 3), and `s`, `c` and `k` have the shapes above. The loss is `(x + s + c + k).sum()`. How large
# is each element of the three gradients? Answer with three numbers, in this order.

# %%
gradients_of_s_c_k = ...


def check_1(answer):
    assert np.size(answer) == 3, "write three numbers: (..., ..., ...)"
    x, s, c, k = np.ones((4, 3)), np.ones(3), np.ones((4, 1)), np.ones(())
    found = mg.grad(lambda x, s, c, k: (x + s + c + k).sum(), (1, 2, 3))(
        x, s, c, k
    )
    for name, number, g in zip("sck", answer, found, strict=True):
        assert number != 1, f"each element of {name} is used more than once"
        assert number == g.flat[0], (
            f"how often is one element of {name} used? Not {number} times"
        )


exercise(1, check_1, gradients_of_s_c_k)

# %% [markdown]
# ### Exercise 2
#
# Write the rule for the second operand of `y = x * b`, with NumPy only. `g` is the gradient of `y`. Return the gradient
# of `b`. It must be right for all shapes that NumPy can broadcast.


# %%
def gradient_of_factor(g, x, b):
    return ...


def check_2(gradient_of_factor):
    rng = np.random.default_rng(0)
    shapes = ((2,), (3, 2), (3, 1), (1, 2), (1,), (), (4, 1, 2), (4, 3, 2))
    for shape in shapes:
        x, b = rng.normal(size=(3, 2)), rng.normal(size=shape)
        g = rng.normal(size=np.broadcast_shapes(x.shape, shape))
        answer = gradient_of_factor(g, x, b)
        assert np.shape(answer) == shape, (
            f"for b of shape {shape} you return shape {np.shape(answer)}"
        )
        # vjp returns the value and a function that sends g back to the operand
        right = mg.vjp(lambda b, x=x: x * b, b)[1](g)[0]
        if g.size > b.size:
            mean = right * b.size / g.size
            assert not np.allclose(answer, mean), "a sum, not a mean"
        assert np.allclose(answer, right), f"wrong values for b of shape {shape}"


exercise(2, check_2, gradient_of_factor)

# %% [markdown]
# ## 2. Why "transpose"
#
# Repeating is linear: it is a product with a matrix of zeros and ones. minigrad can print that matrix, because it is
# the **Jacobian** of repeating: one row for each element of the result, one column for each element of `b`.

# %%
R = mg.jacobian(lambda b: np.broadcast_to(b, (3, 2)))(np.zeros(2)).reshape(6, 2)
print(R)
print("R @ b   ", R @ b.data)
print("R.T @ g ", R.T @ g.reshape(6))

# %% [markdown]
# Each row of `R` has a single 1: it takes one number of `b`. Each *column* has three: this number goes to three
# places. The forward pass multiplies by `R`, the backward pass by its **transpose** `R.T`, and that is the sum. The
# same holds for everything that only moves, repeats or adds numbers. Nobody stores such a matrix, but it tells you
# what the rule must be:
#
# ```text
# forward                     backward (the transpose)
# repeat                      sum
# sum                         repeat
# take a part, x[0, 1:]       put it into zeros at this place
# reshape, x.T                back to the old shape
# concatenate                 cut into pieces
# ```
#
# How do you test a transpose without knowing it? By the **dot product test**. For every `b` and every `g`:
#
# ```text
# (R b) . g  =  b . (R.T g)
# ```
#
# Try it with random numbers. If both sides agree for a few random pairs, the transpose is right.

# %%
rng = np.random.default_rng(0)


def dot_product_test(f, transpose, shape):
    """Return both sides of the test, for a random v and a random g."""
    v = rng.normal(size=shape)
    g = rng.normal(size=np.shape(f(v)))
    return (f(v) * g).sum(), (v * transpose(g)).sum()


def rows(v):
    return np.broadcast_to(v, (3, 2))


for name, transpose in {
    "sum": lambda g: g.sum(0),
    "mean": lambda g: g.mean(0),
}.items():
    left, right = dot_product_test(rows, transpose, (2,))
    print(f"repeat and {name:4}: {left:7.4f} {right:7.4f}")

# %% [markdown]
# ### Exercise 3
#
# An **embedding** is a table with a row of numbers for each word. A sentence is a list of indices, and `table[indices]`
# takes their rows. Write its transpose: `g` has one row for each word of the sentence; return an array of the shape of
# the table. Words can occur more than once.


# %%
def embedding_transpose(g, indices, shape):
    return ...


def check_3(embedding_transpose):
    sentence = np.array([2, 0, 2, 1])  # "to be to do"
    g = np.arange(1.0, 9.0).reshape(4, 2)
    answer = embedding_transpose(g, sentence, (5, 2))
    assert answer is not None, (
        "you returned None: np.add.at changes its first argument and returns "
        "nothing"
    )
    answer = np.asarray(answer)
    assert answer.shape == (5, 2), f"shape {answer.shape}, not (5, 2)"
    assert not np.allclose(answer[2], g[2]), (
        "word 2 occurs twice, and only its last row arrived. With indices that "
        "repeat, a[indices] += g adds only once: look for np.add.at"
    )
    assert np.allclose(answer[[3, 4]], 0), "words that do not occur receive 0"
    for indices in (sentence, np.array([0, 0, 0]), np.array([4])):
        left, right = dot_product_test(
            lambda table, i=indices: table[i],
            lambda g, i=indices: embedding_transpose(g, i, (5, 2)),
            (5, 2),
        )
        assert np.isclose(left, right), f"the test fails: {left:.4f}, {right:.4f}"


exercise(3, check_3, embedding_transpose)

# %% [markdown]
# ## 3. Twice repeated: over the batch and over time
#
# In a recurrent network the bias is used for each sequence of the batch *and* at each time step. Here are three steps
# for a batch of two sequences.

# %%
U = mg.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="U")
W = mg.tensor(rng.normal(size=(4, 4)) / 2, requires_grad=True, name="W")
bias = mg.tensor(np.zeros(4), requires_grad=True, name="bias")
inputs = rng.normal(size=(3, 2, 3))  # time, sequences, features

h, sums = np.zeros((2, 4)), []
for x in inputs:
    sums.append(x @ U + h @ W + bias)
    h = np.tanh(sums[-1])
loss = (h * h).sum()
mg.draw(loss)

# %% [markdown]
# The small yellow box `bias` is drawn in each frame, but it is one array. Look at the shapes: `bias` is (4,), and the
# sum that it is added to is (2, 4). So each step uses it for two sequences, and there are three steps. Now the
# gradients:

# %%
parts = mg.grad(loss, sums, retain_graph=True)
g_bias = mg.grad(loss, bias).data
print("gradient at each step:", *(part.shape for part in parts))
print("gradient of the bias: ", g_bias.shape)
total = sum(part.data.sum(axis=0) for part in parts)
print("largest difference:   ", f"{abs(total - g_bias).max():.0e}")
assert np.allclose(total, g_bias)

# %% [markdown]
# There are two sums, for the same reason. Inside a step we sum over the sequences of the batch, because NumPy repeated
# the bias. Then we sum over the steps, because each of them used it.
#
# ## 4. The mistake that gives no error
#
# A network predicts one number for each of 32 examples. Its answer has the shape (32, 1), because it is the result of a
# matrix product. The targets have the shape (32,), because they come from a list. What is the shape of
# `answer - target`?

# %%
n = 32
points = rng.normal(size=(n, 1))
target = 2 * points[:, 0] + 1  # the network should find w = 2 and b = 1


def train(loss_of):
    w = mg.tensor([[0.0]], requires_grad=True, name="w")
    b = mg.tensor([0.0], requires_grad=True, name="b")
    for _ in range(300):
        loss = loss_of(points @ w + b, target)
        g_w, g_b = mg.grad(loss, [w, b])
        w.data -= 0.1 * g_w.data
        b.data -= 0.1 * g_b.data
    return loss.item(), w.item(), b.item()


def careless(answer, target):
    return ((answer - target) ** 2).mean()


def with_shapes_that_fit(answer, target):
    return ((answer - target.reshape(answer.shape)) ** 2).mean()


print("(32, 1) and (32,) give", np.broadcast_shapes((n, 1), (n,)))
for loss_of in (careless, with_shapes_that_fit):
    loss, w, b = train(loss_of)
    print(f"{loss_of.__name__:20}  loss {loss:.3f}  w {w:.3f}  b {b:.3f}")
print(f"variance of the targets {target.var():.3f}, mean {target.mean():.3f}")

# %% tags=["remove-cell"]
assert abs(train(careless)[1]) < 0.01
assert np.allclose(train(careless)[::2], [target.var(), target.mean()], atol=0.01)
assert np.allclose(train(with_shapes_that_fit), [0, 2, 1], atol=0.01)

# %% [markdown]
# By the rule of section 1, a column and a row give a square: every answer is compared with *every* target. The best
# that the network can do is to answer the mean of all targets, whatever the input is. So `w` goes to 0, `b` to the
# mean, and the loss stops at the variance. No error, no NaN, a loss that falls at first: you could look for this
# mistake for days.
#
# In a picture it takes a second. Look at the shape of the difference.

# %%
answer = mg.tensor(np.zeros((n, 1)), requires_grad=True, name="answer")
difference = answer - mg.tensor(target, name="target")
mg.draw((difference**2).mean(), names={"difference": difference})

# %% [markdown]
# ### Exercise 4
#
# Write a loss that refuses to do this. `strict_mse(answer, target)` returns the mean squared difference if both have
# the same shape. Otherwise it raises a `ValueError` whose message has both shapes.


# %%
def strict_mse(answer, target):
    return ...


def check_4(strict_mse):
    answer = mg.tensor([[1.0], [3.0]], requires_grad=True)
    loss = strict_mse(answer, np.array([[0.0], [1.0]]))
    assert np.shape(loss) == (), "return one number, the mean"
    assert loss.item() == 2.5, f"the mean of 1 and 4 is 2.5, not {loss.item()}"
    assert mg.grad(loss, answer).shape == (2, 1), "no gradient reaches the answer"
    for target in (np.zeros(2), np.zeros((1, 1)), np.zeros(())):
        try:
            strict_mse(answer, target)
        except ValueError as error:
            message = str(error)
        except AssertionError:
            raise AssertionError(
                "use raise ValueError(...), not assert"
            ) from None
        else:
            raise AssertionError(f"no error for (2, 1) and {target.shape}")
        for shape in ("(2, 1)", str(target.shape)):
            assert shape in message, (
                f"the message does not have {shape}: {message}"
            )


exercise(4, check_4, strict_mse)

# %% [markdown]
# ## What to remember
#
# - NumPy repeats axes of length 1, and axes that are missing on the left. The gradient is summed over exactly these
#   axes.
# - Repeating is a matrix of zeros and ones. The backward pass multiplies by its transpose: that is the sum.
# - Everything that only moves, repeats or adds numbers has such a transpose. The dot product test checks it with
#   random numbers.
# - The gradient of a bias is a sum over the batch and over time.
# - A column and a row give a square. Check the shapes of answers and targets before you subtract.
#
# **Next:** in lesson 4 you write an operation of your own, with its rules.
#
# ## Solutions


# %% tags=["hide-cell"]
gradients_of_s_c_k_solution = (4, 3, 12)


def gradient_of_factor_solution(g, x, b):
    g = g * x
    while g.ndim > np.ndim(b):
        g = g.sum(axis=0)
    for axis, length in enumerate(np.shape(b)):
        if length == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


def embedding_transpose_solution(g, indices, shape):
    table = np.zeros(shape)
    np.add.at(table, indices, g)
    return table


def strict_mse_solution(answer, target):
    if np.shape(answer) != np.shape(target):
        raise ValueError(
            f"answer has shape {np.shape(answer)}, target {np.shape(target)}; "
            "reshape one of them"
        )
    return ((answer - target) ** 2).mean()


solution(1, check_1, gradients_of_s_c_k_solution)
solution(2, check_2, gradient_of_factor_solution)
solution(3, check_3, embedding_transpose_solution)
solution(4, check_4, strict_mse_solution)
