"""The same numbers as PyTorch, and weights that go both ways."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")

T, BATCH, INPUTS, HIDDEN = 7, 3, 4, 5


def close(ours: Any, theirs: Any) -> None:
    expected = theirs.detach().numpy()
    assert ours.dtype == expected.dtype == np.float64
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


def same_gradients(ours: rnn.Module, theirs: Any) -> None:
    named = list(ours.named_parameters())
    assert [name for name, _ in named] == [name for name, _ in theirs.named_parameters()]
    for (_, p), (_, q) in zip(named, theirs.named_parameters(), strict=True):
        close(p.grad, q.grad)


def to_torch(ours: rnn.Module, theirs: Any) -> None:
    """Load our weights into PyTorch's module; it would refuse other names or shapes."""
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})


def from_torch(ours: rnn.Module, theirs: Any) -> None:
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})


def both(data: np.ndarray) -> tuple[mg.Tensor, Any]:
    return mg.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)


LAYERS = {
    "tanh": (
        lambda bias: rnn.RNN(INPUTS, HIDDEN, bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.RNN(INPUTS, HIDDEN, bias=bias, dtype=torch.float64),
    ),
    "relu": (
        lambda bias: rnn.RNN(INPUTS, HIDDEN, nonlinearity="relu", bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", bias=bias, dtype=torch.float64),
    ),
    "lstm": (
        lambda bias: rnn.LSTM(INPUTS, HIDDEN, bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.LSTM(INPUTS, HIDDEN, bias=bias, dtype=torch.float64),
    ),
}
CELLS = {
    "tanh": (
        lambda bias: rnn.RNNCell(INPUTS, HIDDEN, bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.RNNCell(INPUTS, HIDDEN, bias=bias, dtype=torch.float64),
    ),
    "relu": (
        lambda bias: rnn.RNNCell(INPUTS, HIDDEN, nonlinearity="relu", bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.RNNCell(INPUTS, HIDDEN, nonlinearity="relu", bias=bias, dtype=torch.float64),
    ),
    "lstm": (
        lambda bias: rnn.LSTMCell(INPUTS, HIDDEN, bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.LSTMCell(INPUTS, HIDDEN, bias=bias, dtype=torch.float64),
    ),
}


def check(ours: Any, theirs: Any, x_shape: tuple[int, ...], state_shape: tuple[int, ...], with_state: bool) -> None:
    """Same outputs, and same gradients of a loss on all of them."""
    rng = np.random.default_rng(1)
    names = ("h", "c") if "LSTM" in type(ours).__name__ else ("h",)
    x, x_torch = both(rng.normal(size=x_shape))
    states = [both(rng.normal(size=state_shape)) for _ in names]
    args: list[Any] = [x]
    args_torch: list[Any] = [x_torch]
    if with_state:
        args.append(tuple(s for s, _ in states) if len(names) == 2 else states[0][0])
        args_torch.append(tuple(s for _, s in states) if len(names) == 2 else states[0][1])
    results, results_torch = flat(ours(*args)), flat(theirs(*args_torch))
    assert len(results) == len(results_torch)
    loss, loss_torch = mg.tensor(0.0), torch.tensor(0.0, dtype=torch.float64)
    for result, result_torch in zip(results, results_torch, strict=True):
        close(result.data, result_torch)
        weights = rng.normal(size=result.shape)
        loss = loss + (result * weights).sum()
        loss_torch = loss_torch + (result_torch * torch.from_numpy(weights)).sum()
    loss.backward()
    loss_torch.backward()
    same_gradients(ours, theirs)
    close(x.grad, x_torch.grad)
    if with_state:
        for s, s_torch in states:
            close(s.grad, s_torch.grad)


def flat(result: Any) -> list[Any]:
    return [t for part in result for t in flat(part)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("load", [to_torch, from_torch])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_agree(name: str, load: Any, bias: bool, with_state: bool) -> None:
    make, make_torch = LAYERS[name]
    ours, theirs = make(bias), make_torch(bias)
    load(ours, theirs)
    check(ours, theirs, (T, BATCH, INPUTS), (1, BATCH, HIDDEN), with_state)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("load", [to_torch, from_torch])
@pytest.mark.parametrize("name", CELLS)
def test_cells_agree(name: str, load: Any, bias: bool, with_state: bool) -> None:
    make, make_torch = CELLS[name]
    ours, theirs = make(bias), make_torch(bias)
    load(ours, theirs)
    check(ours, theirs, (BATCH, INPUTS), (BATCH, HIDDEN), with_state)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("load", [to_torch, from_torch])
@pytest.mark.parametrize("shape", [(INPUTS,), (BATCH, INPUTS), (T, BATCH, INPUTS)])
def test_linear_agrees(shape: tuple[int, ...], load: Any, bias: bool) -> None:
    ours = rnn.Linear(INPUTS, HIDDEN, bias, dtype=float, rng=0)
    theirs = torch.nn.Linear(INPUTS, HIDDEN, bias, dtype=torch.float64)
    load(ours, theirs)
    check(ours, theirs, shape, (), with_state=False)


@pytest.mark.parametrize("name", LAYERS)
def test_names_shapes_and_order_of_the_state_are_the_same(name: str) -> None:
    make, make_torch = LAYERS[name]
    shapes = [(key, value.shape) for key, value in make(True).state_dict().items()]
    assert shapes == [(key, tuple(value.shape)) for key, value in make_torch(True).state_dict().items()]


@pytest.mark.parametrize("name", LAYERS)
def test_weights_begin_within_the_same_bounds(name: str) -> None:
    make, make_torch = LAYERS[name]
    bound = HIDDEN**-0.5
    assert all(np.abs(p.data).max() <= bound for p in make(True).parameters())
    assert all(p.abs().max() <= bound for p in make_torch(True).parameters())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_agrees(reduction: str) -> None:
    rng = np.random.default_rng(2)
    logits, logits_torch = both(5 * rng.normal(size=(T, BATCH, HIDDEN)))
    targets = rng.integers(HIDDEN, size=(T, BATCH))
    loss = mg.cross_entropy(logits, targets, reduction=reduction)
    # PyTorch has the classes along the second axis.
    loss_torch = torch.nn.functional.cross_entropy(
        logits_torch.permute(0, 2, 1), torch.from_numpy(targets), reduction=reduction
    )
    close(loss.data, loss_torch)
    seed = rng.normal(size=loss.shape)
    loss.backward(seed)
    loss_torch.backward(torch.from_numpy(np.asarray(seed)))
    close(logits.grad, logits_torch.grad)


def test_sequence_cross_entropy_agrees() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(T, BATCH, HIDDEN))
    targets = rng.integers(HIDDEN, size=(T, BATCH))
    logits_torch, targets_torch = torch.from_numpy(logits).permute(0, 2, 1), torch.from_numpy(targets)
    losses = torch.nn.functional.cross_entropy(logits_torch, targets_torch, reduction="none")
    mean = rnn.sequence_cross_entropy(logits, targets)
    close(mean.total.data, losses.mean())
    close(mean.steps, losses.mean(1) / T)
    total = rnn.sequence_cross_entropy(logits, targets, reduction="sum")
    close(total.total.data, losses.sum() / BATCH)
    close(total.steps, losses.mean(1))


OPTIMIZERS = {
    "SGD": (lambda p: rnn.SGD(p, lr=0.3), lambda p: torch.optim.SGD(p, lr=0.3)),
    "Adam": (lambda p: rnn.Adam(p, lr=0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
    "Adam, other settings": (
        lambda p: rnn.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6),
        lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6),
    ),
}


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_steps_of_training_agree(name: str, kind: str) -> None:
    make, make_torch = OPTIMIZERS[name]
    task = rnn.tasks.hello()
    rng = np.random.default_rng(4)
    ours = rnn.Sequence(getattr(rnn, kind)(5, 5, dtype=float, rng=rng), rnn.Linear(5, 5, dtype=float, rng=rng))
    layer = getattr(torch.nn, kind)(5, 5, dtype=torch.float64)
    readout = torch.nn.Linear(5, 5, dtype=torch.float64)
    to_torch(ours.recurrent, layer)
    to_torch(ours.readout, readout)
    optimizer, optimizer_torch = make(ours.parameters()), make_torch([*layer.parameters(), *readout.parameters()])
    x, targets = torch.tensor(task.inputs, dtype=torch.float64), torch.tensor(task.targets[:, 0])
    for _ in range(50):
        optimizer.zero_grad()
        optimizer_torch.zero_grad()
        loss = rnn.sequence_cross_entropy(ours(task.inputs), task.targets).total
        loss_torch = torch.nn.functional.cross_entropy(readout(layer(x)[0])[:, 0], targets)
        close(loss.data, loss_torch)
        loss.backward()
        loss_torch.backward()
        same_gradients(ours.recurrent, layer)
        same_gradients(ours.readout, readout)
        optimizer.step()
        optimizer_torch.step()
        for p, q in zip(ours.parameters(), [*layer.parameters(), *readout.parameters()], strict=True):
            close(p.data, q)
