# %% [markdown]
# # The pictures
#
# This makes every picture of PICTURES.md: `python pictures.py` saves them here, `python pictures.py FOLDER` in another folder,
# `python pictures.py FOLDER .html` as pages that play both passes (`.png` and `.pdf` need Graphviz). With `--quick` two of them
# are shorter, and without a folder they are only counted.

# %%
import sys
from pathlib import Path

import numpy as np

import minigrad as mg
import minigrad_rnn as rnn

QUICK = "--quick" in sys.argv
task = rnn.tasks.hello()
x, y, letters = task.inputs, task.targets, task.alphabet  # (6, 1, 5), (6, 1)


def network(layer):
    """With a readout to the five letters."""
    return rnn.Sequence(layer, rnn.Linear(layer.output_size, 5, rng=1))


elman, lstm, gru = (
    network(layer(5, 5, rng=0)) for layer in (rnn.RNN, rnn.LSTM, rnn.GRU)
)
drawings = {}

# %% [markdown]
# ## One network in its views
#
# As in a textbook, then op by op, gate by gate, cell by cell.

# %%
drawings["both"] = rnn.draw.both(elman, x, y, steps="all")
drawings["folded"] = rnn.draw.folded(elman, x, y)
drawings["unrolled"] = rnn.draw.unrolled(elman, x[:3], y[:3], symbols=letters)
drawings["lstm"] = rnn.draw.unrolled(
    lstm, x[:4], y[:4], symbols=letters, gradients=True
)
drawings["gru"] = rnn.draw.unrolled(gru, x[:3], y[:3], symbols=letters)
drawings["lstm_gates"] = rnn.draw.unrolled(
    lstm, x[:3], y[:3], symbols=letters, level="gate"
)
drawings["cells"] = rnn.draw.unrolled(lstm, x, y, symbols=letters, level="cell")

# %% [markdown]
# ## What flows back
#
# The gradient of the trained network that `minigrad-rnn demo` draws, each step's share of the gradient of the weights, and
# truncated backpropagation, where the states are cut.

# %%
rng = np.random.default_rng(0)
trained = rnn.Sequence(rnn.RNN(5, 5, rng=rng), rnn.Linear(5, 5, rng=rng))
rnn.Trainer(trained, rnn.Adam(trained.parameters(), lr=0.1)).fit(
    task, epochs=50, progress=False
)
drawings["gradient"] = rnn.draw.unrolled(
    trained, x, y, symbols=letters, gradients=True
)
drawings["share"] = rnn.draw.unrolled(
    elman, x, y, symbols=letters, level="cell", overlay="share"
)
drawings["scissors"] = rnn.draw.unrolled(
    elman, x, y, symbols=letters, level="cell", gradients=True, chunk=2
)

# %% [markdown]
# ## Which networks forget
#
# Five networks read the same fifty letters, and only the last answer counts. Each is begun as is usual where memory matters:
# orthogonal weights, for ReLU the identity, and gates that are open.


# %%
def begun(name):
    options = {"dtype": np.float64, "rng": 0}
    if name.startswith("LSTM"):
        layer = rnn.LSTM(5, 16, forget_bias=3.0, **options)
    elif name.startswith("GRU"):
        layer = rnn.GRU(5, 16, **options)
        bias = layer.cell.bias_ih.data.copy()
        bias[16:32] = (
            3.0  # of the update gate: sigmoid(3) = 0.95 of the state is kept
        )
        layer.cell.bias_ih.data = bias
    else:
        layer = rnn.RNN(5, 16, nonlinearity=name.split()[0].lower(), **options)
        if name.startswith("ReLU"):
            rnn.init.irnn(layer.cell, scale=1.0, rng=0)
        else:
            rnn.init.keras(layer.cell, rng=0)
    return rnn.ManyToOne(layer, rnn.Linear(16, 5, dtype=np.float64, rng=1))


def sequence(T):
    return np.eye(5)[np.random.default_rng(0).integers(5, size=(T, 1))]


names = (
    "sigmoid",
    "tanh",
    "ReLU from W = 1",
    "LSTM, forget bias 3",
    "GRU, update bias 3",
)
kinds = {name: begun(name) for name in names}
drawings["compare"] = rnn.draw.compare(
    kinds, sequence(10 if QUICK else 50), np.array([2]), scale=(1e-8, 1.0)
)

# %% [markdown]
# And a thousand steps: all are computed, four are drawn in full.

# %%
reader = rnn.ManyToOne(
    rnn.LSTM(5, 16, forget_bias=5.0, dtype=np.float64, rng=0),
    rnn.Linear(16, 5, dtype=np.float64, rng=1),
)
T = 20 if QUICK else 1000
drawings["thousand"] = rnn.draw.unrolled(
    reader, sequence(T), np.array([2]), gradients=True, steps=[0, 1, T - 2, T - 1]
)

# %% [markdown]
# ## Other wirings

# %%
drawings["deep"] = rnn.draw.unrolled(
    network(rnn.LSTM(5, 5, 2, rng=0)), x[:3], y[:3], symbols=letters
)
both_ways = network(rnn.RNN(5, 5, bidirectional=True, rng=0))
drawings["bidirectional"] = rnn.draw.unrolled(
    both_ways, x[:3], y[:3], symbols=letters
)
digits = rnn.tasks.digits_to_letters(3)
translator = rnn.EncoderDecoder(
    rnn.GRU(10, 8, rng=0),
    rnn.GRU(11, 8, rng=1),
    rnn.Linear(8, 11, rng=2),
    start=digits.start,
)
question, answer, _ = digits.sample(1, np.random.default_rng(0))
drawings["encoder_decoder"] = rnn.draw.unrolled(
    translator,
    question,
    answer,
    symbols=digits.alphabet,
    level="cell",
    gradients=True,
)

# %% [markdown]
# ## Your own loop
#
# An LSTM, written as a loop without any annotation, unrolled and folded.

# %%
inputs, normal = x.astype(float), np.random.default_rng(0).normal


def loop_of_your_own():
    W, U = (mg.tensor(normal(size=(5, 20)), requires_grad=True) for _ in "WU")
    h, c, loss = np.zeros((1, 5)), np.zeros((1, 5)), 0
    for t in range(3):
        i, f, o, g = np.split(inputs[t] @ W + h @ U, 4, axis=1)
        c = mg.sigmoid(f) * c + mg.sigmoid(i) * np.tanh(g)
        h = mg.sigmoid(o) * np.tanh(c)
        loss = loss + (h**2).sum()
    names = {**locals(), "x": inputs}
    return mg.draw(loss, names=names), mg.draw(loss, names=names, fold=True)


drawings["own_loop"], drawings["own_loop_folded"] = loop_of_your_own()

# %% [markdown]
# ## Any graph
#
# With values and gradients at the nodes, the order of the backward sweep, and the ways from a parameter to the loss; then with
# the backward pass itself as nodes.

# %%
data = mg.tensor([[1.0, -1.0]], name="x")
W = mg.tensor([[0.5, -0.25], [0.25, 0.5]], requires_grad=True, name="W")
b = mg.tensor([0.1, 0.2], requires_grad=True, name="b")
loss = (np.tanh(data @ W + b) ** 2).sum()
loss.backward(retain_graph=True)
drawings["highlight"] = mg.draw(
    loss,
    show=("shape", "value", "grad"),
    order=True,
    highlight=(loss, W),
    names={"W": W, "b": b, "loss": loss},
)
drawings["backward"] = mg.draw(np.tanh(data @ W).sum(), backward=True)

# %%
arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
suffix = (
    arguments.pop()
    if arguments and arguments[-1].startswith(".") and len(arguments[-1]) > 2
    else ".svg"
)
folder = Path(arguments[0]) if arguments else None if QUICK else Path()
for name, drawing in drawings.items():
    told = f"{name:16} {len(drawing.picture.all_boxes()):4} boxes"
    if folder is not None:
        told += f", saved as {drawing.save(folder / f'{name}{suffix}')}"
    print(told)
