"""Training steps of random recurrent networks, compiled and not, side by side."""

import importlib
import os

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.trees import tree_leaves, tree_map

OPTIMIZERS = [
    lambda p: rnn.SGD(p, lr=0.1),
    lambda p: rnn.SGD(p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.01),
    lambda p: rnn.Adagrad(p, lr=0.1, lr_decay=0.1),
    lambda p: rnn.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    lambda p: rnn.Adam(p, lr=0.02),
    lambda p: rnn.AdamW(p, lr=0.02, amsgrad=True),
    lambda p: rnn.Rprop(p, lr=0.01),
    lambda p: rnn.NAdam(p, lr=0.02, weight_decay=0.01),
    lambda p: rnn.RAdam(p, lr=0.02, betas=(0.8, 0.9), maximize=True),
    lambda p: rnn.Adam([{"params": p[:2]}, {"params": p[2:], "lr": 0.05, "weight_decay": 0.01}], lr=0.01),
]


class Choice:
    """A network, an optimizer, a loss, and what happens between the steps."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)

        def sometimes(p):
            return bool(random.random() < p)

        self.seed = seed
        self.dtype = np.float64 if sometimes(0.8) else np.float32
        self.symbols, self.hidden, self.layers = (int(random.choice(x)) for x in ([2, 3, 4], [1, 2, 3, 5], [1, 1, 2, 3]))
        self.kind = str(random.choice(["RNN", "LSTM", "GRU"]))
        self.options = {
            "bidirectional": sometimes(0.3), "batch_first": sometimes(0.3), "learn_state": sometimes(0.3),
            "bias": sometimes(0.8), "dropout": 0.4 * (self.layers > 1 and sometimes(0.4)), "dtype": self.dtype,
        }  # fmt: skip
        if self.kind == "LSTM":
            self.options["peepholes"] = sometimes(0.3)
        if self.kind == "GRU":
            self.options["reset_after"] = sometimes(0.5)
        self.embedded = sometimes(0.3)
        self.optimizer = OPTIMIZERS[random.integers(len(OPTIMIZERS))]
        self.steps = 70 if sometimes(0.05) else int(random.choice([1, 2, 3, 5, 8]))
        self.batch = int(random.choice([1, 1, 2, 3]))
        self.loss = str(random.choice(["cross entropy", "weighted", "sum", "mse", "binary"]))
        self.carries = sometimes(0.3) and not self.options["bidirectional"]
        self.gathers = sometimes(0.25)  # gradients over several steps
        self.forgets_outside = sometimes(0.4)  # zero_grad() is not part of the step
        self.checkpoints = sometimes(0.2) and not self.options["dropout"]
        self.clips, self.freezes, self.mixes, self.replaces = (sometimes(0.3) for _ in range(4))
        self.exact = sometimes(0.3)

    def inputs(self, random):
        shape = (self.steps, self.batch)
        x = random.integers(self.symbols, size=shape)
        if not self.embedded:
            x = random.standard_normal((*shape, self.symbols)).astype(self.dtype)
        y = random.integers(self.symbols, size=shape)
        if self.loss in ("mse", "binary"):
            y = random.random((*shape, self.symbols)).astype(self.dtype)
        elif random.random() < 0.5:
            ignored = random.random(shape) < 0.5
            ignored.flat[0] = False
            y = np.where(ignored, -100, y)
        return np.swapaxes(x, 0, 1) if self.options["batch_first"] else x, y


class Side:
    """The network and its training step, of which there is one that is compiled and one that is not."""

    def __init__(self, choice):
        self.choice = c = choice
        width = 3 if c.embedded else c.symbols
        self.embedding = rnn.Embedding(c.symbols, width, rng=c.seed, dtype=c.dtype)
        self.layer = getattr(rnn, c.kind)(width, c.hidden, c.layers, rng=c.seed, **c.options)
        self.readout = rnn.Linear(c.hidden * (1 + c.options["bidirectional"]), c.symbols, rng=c.seed, dtype=c.dtype)
        modules = (self.embedding, self.layer, self.readout) if c.embedded else (self.layer, self.readout)
        self.parameters = [p for m in modules for p in m.parameters()]
        self.optimizer = c.optimizer(self.parameters)

    def forward(self, x, state):
        return self.layer(self.embedding(x) if self.choice.embedded else x, *([] if state is None else [state]))

    def step(self, x, y, state=None):
        c = self.choice
        if not (c.gathers or c.forgets_outside):
            self.optimizer.zero_grad()
        out, state = (mg.checkpoint(self.forward) if c.checkpoints else self.forward)(x, state)
        z = self.readout(out)
        z = np.swapaxes(z, 0, 1) if c.options["batch_first"] else z
        if c.loss in ("mse", "binary"):
            loss = (rnn.mse_loss if c.loss == "mse" else rnn.binary_cross_entropy_with_logits)(z, y)
        else:
            weight = np.linspace(0.5, 1.5, c.symbols) if c.loss == "weighted" else None
            reduction = "sum" if c.loss == "sum" else "mean"
            loss = rnn.sequence_cross_entropy(z, y, weight=weight, reduction=reduction).total
        loss.backward()
        norm = rnn.clip.clip_grad_norm(self.parameters, 0.5) if c.clips else 0.0
        self.optimizer.step()
        return loss, norm, tree_map(lambda h: h.detach(), state)

    def between(self, k, random):
        c = self.choice
        self.optimizer.lr = 0.05 / (k + 1)
        if c.freezes:
            self.parameters[0].requires_grad = k != 3
        if c.replaces and k == 2:
            for p in self.parameters:
                p.data = random.standard_normal(p.shape) * 0.3
        if c.forgets_outside and not c.gathers:
            self.optimizer.zero_grad()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("seed", range(500 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 18))
def test_random_networks_learn_the_same(seed, large, monkeypatch):
    if large:  # what is done only where steps have many numbers is done with these few
        for module, settings in {"rewrites": {"MOST": 0, "MANY": 2}, "batching": {"BLOCK": 1, "FEWEST": 3}}.items():
            for name, value in settings.items():
                monkeypatch.setattr(importlib.import_module(f"minigrad.compiling.{module}"), name, value)
    choice = Choice(seed)
    eager, side = Side(choice), Side(choice)
    programs = [mg.compile(side.step, batch=not choice.exact) for _ in range(2)]  # that share a model
    random, states, earlier = np.random.default_rng(seed), [None, None], []
    near = 1e-9 if choice.dtype is np.float64 else 2e-3

    def values(one):
        yield from (p.data for p in one.parameters)
        yield from (p.grad for p in one.parameters if p.grad is not None)
        yield from one.optimizer.state_dict()["arrays"].values()

    for k in range(5):
        x, y = choice.inputs(random)
        for one in (eager, side):
            one.between(k, np.random.default_rng(k))
        run = side.step if choice.mixes and k == 1 else programs[choice.mixes and k == 3]
        expected, found = eager.step(x, y, states[0]), run(x, y, states[1])
        if choice.carries:
            states = [expected[2], found[2]]
        results = [[np.asarray(getattr(r, "data", r)) for r in tree_leaves(tree)] for tree in (expected, found)]
        for a, b in zip([*results[0], *values(eager)], [*results[1], *values(side)], strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            if choice.exact:
                assert np.array_equal(a, b, equal_nan=True)
            else:
                np.testing.assert_allclose(b, a, rtol=near, atol=near)
        assert all(np.array_equal(a, copy, equal_nan=True) for a, copy in earlier)
        earlier += [(a, np.array(a)) for a in (*results[1], *values(side))]
