"""A compiled function gives what the function gives: values, gradients, updates, errors."""

import importlib
import re

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

CELLS = {
    "tanh": lambda: rnn.RNN(5, 4, rng=0, dtype=float),
    "relu, two layers, learned state": lambda: rnn.RNN(5, 4, 2, nonlinearity="relu", learn_state=True, rng=0, dtype=float),
    "lstm": lambda: rnn.LSTM(5, 4, rng=0, dtype=float),
    "lstm, peepholes, projection": lambda: rnn.LSTM(5, 6, 2, peepholes=True, proj_size=4, rng=0, dtype=float),
    "gru": lambda: rnn.GRU(5, 4, rng=0, dtype=float),
    "gru, both directions": lambda: rnn.GRU(5, 2, 2, bidirectional=True, reset_after=False, rng=0, dtype=float),
}
OPTIMIZERS = {
    "sgd": lambda p: rnn.SGD(p, lr=0.1),
    "momentum": lambda p: rnn.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda p: rnn.Adagrad(p, lr=0.1),
    "rmsprop": lambda p: rnn.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "adam": lambda p: rnn.Adam(p, lr=0.1),
    "adamw": lambda p: rnn.AdamW(p, lr=0.1, amsgrad=True),
    "rprop": lambda p: rnn.Rprop(p, lr=0.01),
}
TASK = rnn.tasks.hello()
X, Y = TASK.inputs.astype(float), TASK.targets


def training_step(cell, optimizer):
    model = rnn.Sequence(CELLS[cell](), rnn.Linear(4, 5, rng=1, dtype=float))
    steps = OPTIMIZERS[optimizer](model.parameters())

    def step(x, y):
        steps.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        steps.step()
        return loss

    return model, steps, step


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("cell", CELLS)
def test_whole_training_steps_are_those_of_the_engine(cell, optimizer):
    eager_model, eager_optimizer, eager = training_step(cell, optimizer)
    model, compiled_optimizer, step = training_step(cell, optimizer)
    compiled = mg.compile(step)
    for _ in range(4):
        a, b = eager(X, Y), compiled(X, Y)
        assert isinstance(b, mg.Tensor)
        assert b.item() == pytest.approx(a.item(), rel=1e-12)
        for p, q in zip(eager_model.parameters(), model.parameters(), strict=True):
            np.testing.assert_allclose(q.data, p.data, rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(q.grad, p.grad, rtol=1e-11, atol=1e-12)
    one, other = eager_optimizer.state_dict()["arrays"], compiled_optimizer.state_dict()["arrays"]
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_without_batching_it_is_so_bit_for_bit(cell):
    eager_model, _, eager = training_step(cell, "adam")
    model, _, step = training_step(cell, "adam")
    compiled = mg.compile(step, batch=False)
    for _ in range(3):
        assert eager(X, Y).item() == compiled(X, Y).item()
    for p, q in zip(eager_model.parameters(), model.parameters(), strict=True):
        assert np.array_equal(p.data, q.data)


def test_the_learning_rate_and_new_weights_are_asked_for_at_each_run():
    model, optimizer, step = training_step("tanh", "sgd")
    compiled = mg.compile(step)
    compiled(X, Y)
    optimizer.lr = 0.0
    before = model.state_dict()
    compiled(X, Y)
    assert all(np.array_equal(p.data, before[name]) for name, p in model.named_parameters())
    model.readout.weight.data = np.zeros((5, 4))
    model.readout.bias.data = np.zeros(5)
    assert compiled(X, Y).item() == pytest.approx(np.log(5), rel=1e-12)


def test_one_program_for_each_shape_and_dtype():
    f = mg.compile(lambda x: np.tanh(x) * 2)
    for x in (np.ones(3), np.zeros(3), np.ones((2, 2)), np.ones(3, np.float32), 0.5):
        y = f(x)
        expected = np.tanh(x) * 2
        assert np.array_equal(y, expected)
        assert np.asarray(y).dtype == np.asarray(expected).dtype
    assert len(f.programs) == 4


def test_results_are_the_callers_own():
    f = mg.compile(lambda x: x + 1)
    first = f(np.zeros(3))
    second = f(np.ones(3))
    first[0] = 99
    assert np.array_equal(second, [2, 2, 2])
    assert np.array_equal(f(np.zeros(3)), [1, 1, 1])


def test_containers_numbers_and_static_arguments():
    @mg.compile(static=("times",))
    def f(tree, scale, times=1):
        for _ in range(times):
            tree = {"a": tree["a"] * scale, "b": [tree["b"][0] + scale]}
        return tree, scale**2

    tree, square = f({"a": np.ones(2), "b": [np.zeros(1)]}, 3.0, times=2)
    assert np.array_equal(tree["a"], [9, 9])
    assert np.array_equal(tree["b"][0], [6])
    assert square == 9.0
    assert f({"a": np.ones(2), "b": [np.zeros(1)]}, 4.0, times=2)[1] == 16.0
    assert f({"a": np.ones(2), "b": [np.zeros(1)]}, 4.0, times=3)[0]["a"][0] == 64


def test_a_generator_draws_anew_what_the_function_would():
    def noisy(x, rng):
        return x + rng.standard_normal(3)

    one, other = np.random.default_rng(5), np.random.default_rng(5)
    compiled = mg.compile(noisy)
    for _ in range(3):
        assert np.array_equal(compiled(np.zeros(3), one), noisy(np.zeros(3), other))


def test_dropout_draws_anew_what_the_function_would():
    def make():
        model = rnn.Sequence(rnn.LSTM(5, 4, 2, dropout=0.5, rng=0, dtype=float), rnn.Linear(4, 5, rng=1, dtype=float))
        return lambda x: model(x)

    eager, compiled = make(), mg.compile(make())
    for _ in range(3):
        np.testing.assert_allclose(compiled(X).data, eager(X).data, rtol=1e-12)
    assert not np.array_equal(compiled(X).data, compiled(X).data)


def test_derivatives_of_every_kind():
    def f(x):
        return np.sum(np.sin(x) * np.exp(x))

    x, v = np.array([0.3, -1.0, 2.0]), np.array([1.0, 0.5, -2.0])
    for transformed in (
        mg.grad(f), mg.hessian(f), mg.jacobian(mg.grad(f)), lambda x: mg.hvp(f, (x,), (v,)),
        lambda x: mg.jvp(f, (x,), (v,)), mg.grad(lambda x: mg.grad(f)(x).sum()), lambda x: mg.vjp(np.tanh, x)[1](v),
    ):  # fmt: skip
        for one, other in zip(
            mg.trees.tree_leaves(mg.compile(transformed)(x)), mg.trees.tree_leaves(transformed(x)), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


def test_a_condition_that_comes_out_otherwise_is_recorded_anew():
    f = mg.compile(lambda logits, targets: mg.cross_entropy(logits, targets))
    logits = np.random.default_rng(0).standard_normal((4, 3))
    for targets in ([0, 1, 2, 0], [0, -100, 2, 0], [2, 2, 2, 2], [-100, 1, 1, 1]):
        assert f(logits, np.array(targets)) == pytest.approx(mg.cross_entropy(logits, targets), rel=1e-14)
    assert [len(known) for known in f.programs.values()] == [2]
    with pytest.raises(ValueError, match="targets are from 0 to 2"):
        f(logits, np.array([0, 1, 7, 0]))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x if x.sum() > 0 else -x, "Python's control flow depends on the values"),
        (lambda x: float(x.sum()), "Python's control flow depends on the values"),
        (lambda x: np.asarray(x) + 1, "the values of an array were asked for"),
        (lambda x: x[x > 0], r"x\[mask\] has as many elements as the mask says"),
        (lambda x: x.tolist(), "Python's control flow depends"),
    ],
)
def test_what_cannot_be_recorded_says_what_to_do(function, message):
    with pytest.raises(mg.CompileError, match=message):
        mg.compile(function)(np.ones(3))


def test_a_failed_recording_leaves_everything_as_it_was():
    model, optimizer, step = training_step("lstm", "adam")
    before, states = model.state_dict(), list(optimizer.states)

    def broken(x, y):
        loss = step(x, y)
        return loss.item()

    with pytest.raises(mg.CompileError):
        mg.compile(broken)(X, Y)
    assert all(np.array_equal(p.data, before[name]) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())
    assert all(a is b for a, b in zip(optimizer.states, states, strict=True))
    step(X, Y)  # and can go on


def test_source_and_report():
    f = mg.compile(lambda x: np.tanh(x) + np.tanh(x))
    with pytest.raises(mg.CompileError, match="recorded at the first call"):
        f.source  # noqa: B018
    f(np.ones(3))
    assert f.source.count("tanh(") == 1
    assert "recorded" in f.report()
    with pytest.raises(TypeError, match="takes a function, not int"):
        mg.compile(3)


def test_training_and_evaluation_are_asked_for_at_each_run():
    model = rnn.Sequence(rnn.LSTM(5, 5, 2, dropout=0.5, rng=1, dtype=float), rnn.Linear(5, 5, rng=2, dtype=float))
    compiled = mg.compile(lambda x: model(x))
    for first in (True, False):
        for mode in (first, not first):
            model.train(mode)
            outputs = [compiled(X).data for _ in range(2)]
            assert np.array_equal(*outputs) is not mode
            if not mode:
                np.testing.assert_allclose(outputs[0], model(X).data, rtol=1e-12)


def test_what_is_always_the_same_is_computed_when_it_is_recorded():
    C = np.arange(6.0).reshape(2, 3) + np.eye(2, 3)

    def f(x):
        u, s, vh = np.linalg.svd(mg.tensor(C), full_matrices=False)  # several results
        length = mg.tensor(C).sum() * 2.0
        return x * s.sum() + (u * s) @ vh + length

    compiled = mg.compile(f)
    for x in (np.ones((2, 3)), np.full((2, 3), 2.0)):
        np.testing.assert_allclose(compiled(x).numpy(), f(x).numpy(), rtol=1e-13)
    assert "svd" not in compiled.source


def test_cotangents_that_are_views_are_summed_too(monkeypatch):
    for name, value in {"BLOCK": 1, "FEWEST": 3}.items():
        monkeypatch.setattr(importlib.import_module("minigrad.compiling.batching"), name, value)
    random = np.random.default_rng(0)
    x, W, U = random.standard_normal((12, 3, 5)), random.standard_normal((5, 6)), random.standard_normal((6, 6))

    def loss(W, U):
        h = np.zeros((3, 6))
        for t in range(12):
            with mg.scope("t", t):
                z = (x[t] @ W + h @ U).reshape(3, 2, 3)
                h = (np.tanh(z) * np.array([[1.0], [0.5]])).reshape(3, 6)
        return (h * h).sum()

    step = mg.compile(lambda W, U: mg.value_and_grad(loss, argnums=(0, 1))(W, U)[1])
    for a, b in zip(step(W, U), mg.value_and_grad(loss, argnums=(0, 1))(W, U)[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert "\n    for " in step.source
    assert "concatenate" not in step.source


def loops_of(source):
    """The lines of each loop over time, and the source without them."""
    loops, rest = [], []
    for line in source.splitlines():
        indent = len(line) - len(line.lstrip())
        if loops and indent > loops[-1][0]:
            loops[-1][1].append(line.strip())
        elif line.lstrip().startswith("for ") and " in steps" in line:
            loops.append((indent, []))
        else:
            rest.append(line.strip())
    return [lines for _, lines in loops], rest


def steps(cell, hidden, batch):
    """The loops in the program of a layer's forward and backward pass, and its other lines."""
    layer = getattr(rnn, cell)(5, hidden, rng=0)
    x = np.ones((9, batch, 5), np.float32)

    @mg.compile
    def slopes(x):
        return mg.grad((layer(x)[0] ** 2).sum(), layer.parameters())

    slopes(x)
    return *loops_of(slopes.source), slopes.source


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_each_gate_of_a_large_step_has_a_product_of_its_own_and_no_call_for_its_sign(cell):
    (forward, backward), _, source = steps(cell, 40, 32)
    products = [line for line in forward if "_copy" in line and ".dot(" in line]
    assert len(products) == {"LSTM": 4, "GRU": 3}[cell]
    assert not [line for line in forward + backward if line.startswith("negative(")]
    assert len(re.findall(r"copyto\(\w+_copy", source)) == len(products)  # W.T, once for all steps


def test_of_a_small_step_the_gates_are_one_product():
    (forward, backward), _, source = steps("LSTM", 4, 2)
    assert [sum(".dot(" in line for line in lines) for lines in (forward, backward)] == [1, 1]
    assert "_copy" not in source


@pytest.mark.parametrize("hidden", [4, 40])
def test_slopes_do_not_wait_for_the_recurrence(hidden):
    """1 - o o and its like are computed for all steps at once, of gates that look alike too."""
    (_, backward), rest, _ = steps("LSTM", hidden, 32)
    assert not [line for line in backward if line.startswith("subtract(just_1")]
    assert [line for line in rest if line.startswith("subtract(just_1")]
