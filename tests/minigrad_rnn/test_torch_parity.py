"""The same numbers as PyTorch, and weights that go both ways."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
torch.set_num_threads(1)  # for arrays this small, threads only wait for each other

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
    "gru": (
        lambda bias: rnn.GRU(INPUTS, HIDDEN, bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.GRU(INPUTS, HIDDEN, bias=bias, dtype=torch.float64),
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
    "gru": (
        lambda bias: rnn.GRUCell(INPUTS, HIDDEN, bias=bias, dtype=float, rng=0),
        lambda bias: torch.nn.GRUCell(INPUTS, HIDDEN, bias=bias, dtype=torch.float64),
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


# -- recurrent layers, all options at random ----------------------------------------------------------------------------


class Setting(NamedTuple):
    kind: str
    sizes: tuple[int, int, int, int]  # T, batch, inputs, hidden
    num_layers: int
    bidirectional: bool
    bias: bool
    batch_first: bool
    unbatched: bool
    lengths: list[int] | None
    with_state: bool
    proj_size: int
    from_torch: bool

    def layers(self) -> tuple[rnn.Recurrent, Any]:
        """Ours and theirs, of the same weights."""
        _, _, inputs, hidden = self.sizes
        options: dict[str, Any] = {
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "bias": self.bias,
            "batch_first": self.batch_first,
        }
        if self.kind in ("tanh", "relu"):
            options["nonlinearity"] = self.kind
        if self.proj_size:
            options["proj_size"] = self.proj_size
        name = "RNN" if self.kind in ("tanh", "relu") else self.kind
        ours = getattr(rnn, name)(inputs, hidden, **options, dtype=float, rng=sum(self.sizes))
        theirs = getattr(torch.nn, name)(inputs, hidden, **options, dtype=torch.float64)
        (from_torch if self.from_torch else to_torch)(ours, theirs)
        return ours, theirs


def setting(number: int) -> Setting:
    rng = np.random.default_rng(number)

    def coin() -> bool:
        return bool(rng.integers(2))

    kind = ("tanh", "relu", "LSTM", "GRU")[number % 4]
    T, batch, inputs, hidden = (int(rng.integers(1, most)) for most in (8, 5, 6, 7))
    unbatched = rng.random() < 0.2
    return Setting(
        kind=kind,
        sizes=(T, batch, inputs, hidden),
        num_layers=int(rng.integers(1, 4)),
        bidirectional=coin(),
        bias=coin(),
        batch_first=coin(),
        unbatched=unbatched,
        lengths=None if unbatched or coin() else rng.integers(1, T + 1, size=batch).tolist(),
        with_state=coin(),
        proj_size=int(rng.integers(1, hidden)) if kind == "LSTM" and hidden > 1 and coin() else 0,
        from_torch=coin(),
    )


SETTINGS = [setting(number) for number in range(240)]


def test_the_random_settings_have_everything() -> None:
    for kind in ("tanh", "relu", "LSTM", "GRU"):
        mine = [s for s in SETTINGS if s.kind == kind]
        assert {s.num_layers for s in mine} == {1, 2, 3}
        for options in ("bidirectional", "bias", "batch_first", "unbatched", "with_state", "from_torch"):
            assert {getattr(s, options) for s in mine} == {False, True}
        assert {s.lengths is None for s in mine} == {False, True}
        assert any(s.lengths and s.bidirectional and s.num_layers > 1 and s.with_state and s.batch_first for s in mine)
    assert sum(s.proj_size > 0 and s.lengths is not None for s in SETTINGS) >= 5


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_recurrent_layers_agree_in_outputs_states_and_every_gradient(number: int) -> None:
    s = SETTINGS[number]
    rng = np.random.default_rng([1, number])
    T, batch, inputs, hidden = s.sizes
    ours, theirs = s.layers()

    axes = (T,) if s.unbatched else (batch, T) if s.batch_first else (T, batch)
    x, x_torch = both(rng.normal(size=(*axes, inputs)))
    count = s.num_layers * (1 + s.bidirectional)
    state_sizes = (s.proj_size or hidden, hidden) if s.kind == "LSTM" else (hidden,)
    swaps = s.batch_first and not s.unbatched  # here the states have the batch first too
    states = []
    for size in state_sizes:
        data = rng.normal(size=(count, size) if s.unbatched else (count, batch, size))
        states.append((mg.tensor(data.swapaxes(0, 1) if swaps else data, requires_grad=True), both(data)[1]))

    state, state_torch = (tuple(pair[i] for pair in states) for i in (0, 1))
    if s.kind != "LSTM":
        state, state_torch = state[0], state_torch[0]
    if not s.with_state:
        state = state_torch = None
    output, final = ours(x, state, s.lengths)
    if s.lengths is None:
        output_torch, final_torch = theirs(x_torch, state_torch)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x_torch, torch.tensor(s.lengths), s.batch_first, enforce_sorted=False)
        packed, final_torch = theirs(packed, state_torch)
        output_torch, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, s.batch_first, total_length=T)

    def by_torch(part: Any) -> Any:
        return part.transpose(0, 1) if swaps else part

    pairs = [(output, output_torch)]
    pairs += [(a, by_torch(b)) for a, b in zip(flat(final), flat(final_torch), strict=True)]
    loss, loss_torch = mg.tensor(0.0), torch.tensor(0.0, dtype=torch.float64)
    for a, b in pairs:
        close(a.data, b)
        factors = rng.normal(size=a.shape)
        loss = loss + (a * factors).sum()
        loss_torch = loss_torch + (b * torch.from_numpy(factors)).sum()
    loss.backward()
    loss_torch.backward()
    same_gradients(ours, theirs)
    close(x.grad, x_torch.grad)
    if s.with_state:
        for a, b in states:
            close(a.grad, by_torch(b.grad))


# -- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(8))
def test_weights_go_both_ways_through_files(number: int, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    s = SETTINGS[number]._replace(unbatched=False, batch_first=False)
    ours, _ = s.layers()
    _, theirs = s._replace(from_torch=False).layers()
    T, batch, inputs, _ = s.sizes
    x = np.random.default_rng(number).normal(size=(T, batch, inputs))

    torch.manual_seed(number)
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.3)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(rnn.load_weights(tmp_path / "theirs.safetensors")[0])
    expected = theirs(torch.tensor(x))[0]
    close(ours(x)[0].data, expected)

    for p in theirs.parameters():
        torch.nn.init.zeros_(p)
    rnn.save_weights(tmp_path / "ours.safetensors", ours.state_dict(), {"made": "here"})
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    torch.testing.assert_close(theirs(torch.tensor(x))[0], expected, rtol=0, atol=0)


# -- one layer, one cell ------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
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


# -- layers without a memory, and losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("padding_idx", [None, 0, 3])
@pytest.mark.parametrize("load", [to_torch, from_torch])
@pytest.mark.parametrize("shape", [(), (4,), (T, BATCH)])
def test_embedding_agrees(shape: tuple[int, ...], load: Any, padding_idx: int | None) -> None:
    rng = np.random.default_rng(5)
    ours = rnn.Embedding(6, 4, padding_idx, dtype=float, rng=0)
    theirs = torch.nn.Embedding(6, 4, padding_idx, dtype=torch.float64)
    load(ours, theirs)
    symbols = rng.integers(6, size=shape)
    vectors, vectors_torch = ours(symbols), theirs(torch.tensor(symbols))
    close(vectors.data, vectors_torch)
    factors = rng.normal(size=vectors.shape)
    (vectors * factors).sum().backward()
    (vectors_torch * torch.tensor(factors)).sum().backward()
    same_gradients(ours, theirs)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("shape", [(5,), (BATCH, 5), (T, BATCH, 5)])
def test_layer_norm_agrees(shape: tuple[int, ...], eps: float) -> None:
    ours = rnn.LayerNorm(5, eps, dtype=float)
    theirs = torch.nn.LayerNorm(5, eps, dtype=torch.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for p in ours.parameters():
        p.data = np.random.default_rng(6).normal(size=5)
    to_torch(ours, theirs)
    check(ours, theirs, shape, (), with_state=False)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, -1, 2, 99])
@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy_with_ignored_targets_and_weights_agrees(
    seed: int, ignore_index: int, weighted: bool, reduction: str
) -> None:
    rng = np.random.default_rng(seed)
    logits, logits_torch = both(5 * rng.normal(size=(T, BATCH, HIDDEN)))
    targets = rng.integers(HIDDEN, size=(T, BATCH))
    targets[rng.random(targets.shape) < 0.4] = ignore_index
    weight = rng.random(HIDDEN) if weighted else None
    loss = mg.cross_entropy(logits, targets, reduction=reduction, ignore_index=ignore_index, weight=weight)
    loss_torch = torch.nn.functional.cross_entropy(
        logits_torch.permute(0, 2, 1),
        torch.from_numpy(targets),
        None if weight is None else torch.from_numpy(weight),
        reduction=reduction,
        ignore_index=ignore_index,
    )
    close(loss.data, loss_torch)
    seed_of_backward = rng.normal(size=loss.shape)
    loss.backward(seed_of_backward)
    loss_torch.backward(torch.from_numpy(np.asarray(seed_of_backward)))
    close(logits.grad, logits_torch.grad)
    if reduction == "mean":
        total, steps = rnn.sequence_cross_entropy(logits, targets, ignore_index=ignore_index, weight=weight)
        close(total.data, loss_torch)
        np.testing.assert_allclose(steps.sum(), total.item(), rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss_agrees(reduction: str) -> None:
    rng = np.random.default_rng(7)
    outputs, outputs_torch = both(rng.normal(size=(T, BATCH, 2)))
    targets = rng.normal(size=(T, BATCH, 2))
    loss = rnn.mse_loss(outputs, targets, reduction=reduction)
    loss_torch = torch.nn.functional.mse_loss(outputs_torch, torch.tensor(targets), reduction=reduction)
    close(loss.data, loss_torch)
    loss.sum().backward()
    loss_torch.sum().backward()
    close(outputs.grad, outputs_torch.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [None, 3.0, [0.5, 2.0]])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_binary_cross_entropy_agrees(scale: float, soft: bool, pos_weight: Any, reduction: str) -> None:
    rng = np.random.default_rng(8)
    logits, logits_torch = both(scale * rng.normal(size=(T, BATCH, 2)))
    targets = rng.random((T, BATCH, 2))
    targets = targets if soft else np.round(targets)
    loss = rnn.binary_cross_entropy_with_logits(logits, targets, reduction=reduction, pos_weight=pos_weight)
    loss_torch = torch.nn.functional.binary_cross_entropy_with_logits(
        logits_torch,
        torch.tensor(targets),
        reduction=reduction,
        pos_weight=None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64),
    )
    close(loss.data, loss_torch)
    loss.sum().backward()
    loss_torch.sum().backward()
    close(logits.grad, logits_torch.grad)


@pytest.mark.parametrize("lengths", [None, [3, 7, 1]])
def test_attention(lengths: Any) -> None:
    rng = np.random.default_rng(0)
    query, keys = rng.normal(size=(2, BATCH, HIDDEN)), rng.normal(size=(T, BATCH, HIDDEN))
    q, k = mg.tensor(query, requires_grad=True), mg.tensor(keys, requires_grad=True)
    ours, _ = rnn.Attention(HIDDEN, HIDDEN)(q, k, lengths)
    (ours**2).sum().backward()
    tq, tk = (torch.from_numpy(a.copy()).requires_grad_() for a in (query, keys))
    mask = None if lengths is None else torch.from_numpy((np.arange(T) < np.array(lengths)[:, None])[:, None])
    first = [t.swapaxes(0, 1) for t in (tq, tk, tk)]
    theirs = torch.nn.functional.scaled_dot_product_attention(*first, attn_mask=mask).swapaxes(0, 1)
    (theirs**2).sum().backward()
    close(ours.data, theirs)
    close(q.grad, tq.grad)
    close(k.grad, tk.grad)
