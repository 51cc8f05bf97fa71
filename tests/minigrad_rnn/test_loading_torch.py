"""Models of PyTorch, loaded from their state dicts, have the same outputs."""

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
nn: Any = torch.nn
torch.set_num_threads(1)  # for arrays this small, threads only wait for each other

T, B, IN, H, V, E, OUT = 6, 3, 4, 5, 11, 7, 2
SYMBOLS = np.random.default_rng(0).integers(V, size=(T, B))
NUMBERS = np.random.default_rng(1).standard_normal((T, B, IN)).astype(np.float32)


class Net(nn.Module):  # type: ignore[misc]
    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def net(forward: Callable[..., Any], **parts: Any) -> Any:
    torch.manual_seed(3)
    made = Net(forward, **parts)
    for p in made.parameters():
        nn.init.uniform_(p, -0.7, 0.7)
    return made


def tied() -> Any:
    made = net(
        lambda m, x: m.decoder(m.rnn(m.encoder(x))[0]),
        encoder=nn.Embedding(V, H),
        rnn=nn.LSTM(H, H, 2),
        decoder=nn.Linear(H, V),
    )
    made.decoder.weight = made.encoder.weight
    return made


def by_hand(kind: Any, x: Any, cells: list[Any]) -> Any:
    states: list[Any] = [None] * len(cells)
    outputs = []
    for step in x:
        for k, cell in enumerate(cells):
            states[k] = cell(step, states[k])
            step = states[k][0] if kind is nn.LSTMCell else states[k]
        outputs.append(step)
    return torch.stack(outputs)


class Own(nn.Module):  # type: ignore[misc]
    """An LSTM under names of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        for name, shape in {
            "W_x": (4 * H, E),
            "W_h": (4 * H, H),
            "b": (4 * H,),
            "table": (V, E),
            "V": (OUT, H),
            "c": (OUT,),
        }.items():
            setattr(self, name, nn.Parameter(torch.randn(shape) * 0.5))

    def forward(self, x: Any) -> Any:
        h, c = torch.zeros(B, H), torch.zeros(B, H)
        outputs = []
        for step in self.table[x]:
            i, f, g, o = (step @ self.W_x.T + h @ self.W_h.T + self.b).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h @ self.V.T + self.c)
        return torch.stack(outputs)


KINDS: dict[str, tuple[Callable[[], Any], Any, dict[str, Any]]] = {
    "embedding, LSTM, linear": (
        lambda: net(
            lambda m, x: m.fc(m.lstm(m.embedding(x))[0]), embedding=nn.Embedding(V, E), lstm=nn.LSTM(E, H), fc=nn.Linear(H, OUT)
        ),
        SYMBOLS,
        {},
    ),
    "two layers, both directions": (
        lambda: net(lambda m, x: m.out(m.gru(x)[0]), gru=nn.GRU(IN, H, 2, bidirectional=True), out=nn.Linear(2 * H, OUT)),
        NUMBERS,
        {},
    ),
    "tied": (tied, SYMBOLS, {}),
    "DataParallel": (
        lambda: nn.DataParallel(net(lambda m, x: m.fc(m.rnn(x)[0]), rnn=nn.RNN(IN, H), fc=nn.Linear(H, OUT, bias=False))),
        NUMBERS,
        {},
    ),
    "names of its own": (Own, SYMBOLS, {}),
    "projection": (
        lambda: net(lambda m, x: m.fc(m.lstm(x)[0]), lstm=nn.LSTM(IN, H, 2, proj_size=3), fc=nn.Linear(3, OUT)), NUMBERS, {}
    ),
    "speech": (
        lambda: net(
            lambda m, x: m.linear(m.lstm(x)[1][0][-1]).relu(), lstm=nn.LSTM(IN, H, 3), linear=nn.Linear(H, H)
        ),
        NUMBERS,
        {"wiring": "last"},
    ),
    "cells": (
        lambda: net(
            lambda m, x: m.fc(by_hand(nn.LSTMCell, x, m.cells)),
            cells=nn.ModuleList([nn.LSTMCell(IN, H), nn.LSTMCell(H, H)]),
            fc=nn.Linear(H, OUT),
        ),
        NUMBERS,
        {},
    ),
    "layers of several sizes, two linear layers": (
        lambda: net(
            lambda m, x: m.fc2(torch.relu(m.fc1(m.lstm2(m.lstm1(x)[0])[0]))),
            lstm1=nn.LSTM(IN, H), lstm2=nn.LSTM(H, 3), fc1=nn.Linear(3, 8), fc2=nn.Linear(8, OUT),
        ),
        NUMBERS,
        {"activation": "relu"},
    ),
    "a linear layer first, no bias": (
        lambda: net(
            lambda m, x: m.head(m.rnn(m.pre(x))[0]), pre=nn.Linear(IN, E), rnn=nn.RNN(E, H, bias=False), head=nn.Linear(H, OUT)
        ),
        NUMBERS,
        {},
    ),
    "relu": (
        lambda: net(lambda m, x: m.rnn(x)[0], rnn=nn.RNN(IN, H, 2, nonlinearity="relu")), NUMBERS, {"nonlinearity": "relu"}
    ),
}  # fmt: skip


def load_or_rename(state: Any, **options: Any) -> Any:
    """The model; if names are missing, with the rename that the error proposes."""
    try:
        return rnn.load(state, **options)
    except ValueError as error:
        return rnn.load(state, rename=ast.literal_eval(str(error).partition("rename=")[2]), **options)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", KINDS)
def test_the_outputs_are_those_of_pytorch(name: str) -> None:
    make, x, options = KINDS[name]
    theirs = make()
    model, report = load_or_rename(theirs.state_dict(), **options)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    outputs = model(x)
    outputs = outputs[0] if isinstance(model, rnn.Recurrent) else outputs
    outputs = np.maximum(outputs.data, 0) if name == "speech" else outputs.data
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)
    assert not report.left
    assert sum(p.size for p in model.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_an_encoder_and_a_decoder_with_embeddings() -> None:
    def forward(m: Any, x: Any) -> Any:
        source, targets = x
        _, h = m.encoder.gru(m.encoder.embedding(source))
        inputs = torch.cat([torch.full((1, B), 1), targets[:-1]])
        return m.decoder.out(m.decoder.gru(m.decoder.embedding(inputs), h)[0])

    theirs = net(
        forward,
        encoder=nn.ModuleDict({"embedding": nn.Embedding(V, E), "gru": nn.GRU(E, H)}),
        decoder=nn.ModuleDict({"embedding": nn.Embedding(9, E), "gru": nn.GRU(E, H), "out": nn.Linear(H, 9)}),
    )
    theirs.encoder.forward = None
    model, report = rnn.load(theirs.state_dict(), start=1)
    targets = np.random.default_rng(2).integers(9, size=(4, B))
    with torch.no_grad():
        expected = theirs((torch.from_numpy(SYMBOLS), torch.from_numpy(targets))).numpy()
    outputs = model(np.eye(V, dtype=np.float32)[SYMBOLS], targets)
    np.testing.assert_allclose(outputs.data, expected, rtol=1e-6, atol=1e-6)
    assert report.taken["decoder.embedding.weight"] == "decoder.weight_ih_l0, multiplied into it"
    parts = rnn.load(theirs.state_dict(), wiring="parts").model
    assert {n: a.shape for n, a in parts.state_dict().items()} == {n: tuple(a.shape) for n, a in theirs.state_dict().items()}
    np.testing.assert_array_equal(
        parts.encoder.embedding(SYMBOLS).data, theirs.encoder.embedding(torch.from_numpy(SYMBOLS)).detach()
    )


def test_the_embedding_of_an_encoder_and_that_of_a_decoder() -> None:
    layers = {"encoder": nn.GRU(E, H), "decoder": nn.GRU(E, H), "out": nn.Linear(H, V)}
    theirs = nn.ModuleDict(layers | {"src_embed": nn.Embedding(V, E), "tgt_embed": nn.Embedding(V, E)})
    targets = np.random.default_rng(2).integers(V, size=(4, B))
    with torch.no_grad():
        _, h = theirs.encoder(theirs.src_embed(torch.from_numpy(SYMBOLS)))
        inputs = theirs.tgt_embed(torch.cat([torch.full((1, B), 1), torch.from_numpy(targets[:-1])]))
        expected = theirs.out(theirs.decoder(inputs, h)[0]).numpy()
    model, report = rnn.load(theirs.state_dict(), start=1)
    outputs = model(np.eye(V, dtype=np.float32)[SYMBOLS], targets)
    np.testing.assert_allclose(outputs.data, expected, rtol=1e-6, atol=1e-6)
    assert not report.left
    unclear = {n.replace("src_embed", "embed1").replace("tgt_embed", "embed2"): a for n, a in theirs.state_dict().items()}
    with pytest.raises(ValueError, match="embed1 and embed2 could be the embedding of the encoder; rename one"):
        rnn.load(unclear)
    told = rnn.load(unclear, rename={"embed2.weight": "decoder.embedding.weight"}, start=1).model
    np.testing.assert_array_equal(told(np.eye(V, dtype=np.float32)[SYMBOLS], targets).data, outputs.data)


def test_files_that_pytorch_saves(tmp_path: Any) -> None:
    from safetensors.torch import save_file, save_model

    theirs = tied()
    save_model(theirs, str(tmp_path / "tied.safetensors"))  # has the shared weight once
    save_file({n: a.clone() for n, a in theirs.state_dict().items()}, tmp_path / "twice.safetensors")
    save_file({n: a.bfloat16() for n, a in theirs.state_dict().items() if n != "decoder.weight"}, tmp_path / "half.safetensors")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(SYMBOLS)).numpy()
    for name in ("tied", "twice", "half"):
        model = rnn.load(tmp_path / f"{name}.safetensors").model
        assert model.readout.weight is model.embedding.weight
        np.testing.assert_allclose(model(SYMBOLS).data, expected, atol=1e-6 if name != "half" else 0.05)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_never_opened(tmp_path: Any, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the error convert it."""
    monkeypatch.chdir(tmp_path)
    theirs = KINDS["DataParallel"][0]()
    torch.save(theirs.state_dict(), "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(rnn.WeightsError, match="can run code") as error:
        rnn.load("model.pt")
    import safetensors.torch

    lines = "\n".join(line.strip() for line in str(error.value).splitlines()[1:])
    exec(lines, {"torch": torch, "safetensors": safetensors})
    assert rnn.load("model.safetensors").report.taken["module.rnn.weight_ih_l0"] == "recurrent.weight_ih_l0"
