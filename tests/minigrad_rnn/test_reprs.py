"""Every public object shows itself in a few readable lines."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn


def optimizer(kind: Any = rnn.Adam) -> Any:
    return kind(rnn.Linear(3, 2, rng=0).parameters(), lr=0.5)


def trained() -> rnn.Trainer:
    model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters()), compile=False)
    trainer.fit(rnn.tasks.hello(), 3, progress=False, validation=rnn.tasks.hello())
    return trainer


class Own(rnn.Module):
    def __init__(self) -> None:
        self.blocks = [rnn.Linear(2, 2, rng=0), {"a": rnn.LayerNorm(2)}]
        self.scale = rnn.Parameter(np.ones((2, 2)))
        self.scale.requires_grad = False
        self.again = self.blocks[0]
        self.note = "x" * 5000
        self.rate = 0.25


class Batches(rnn.Source):
    def __len__(self) -> int:
        return 7

    def batch(self, i: int) -> rnn.Batch:
        return rnn.tasks.hello().data().batch(0)


def big() -> rnn.Sequential:
    return rnn.Sequential(*[rnn.Linear(2, 2, rng=0) for _ in range(300)])


MADE: dict[str, Any] = {
    "Linear": lambda: rnn.Linear(3, 2),
    "Embedding": lambda: rnn.Embedding(9, 3),
    "Dropout": lambda: rnn.Dropout(0.25),
    "LayerNorm": lambda: rnn.LayerNorm(3),
    "Attention": lambda: rnn.Attention(3, 2, "additive"),
    "AttentionCell": lambda: rnn.AttentionCell(rnn.GRUCell(5, 3), 4),
    "Sequential": lambda: rnn.Sequential(rnn.RNN(2, 3), np.tanh, lambda x: x),
    **{kind.__name__: lambda kind=kind: kind(2, 3) for kind in (*rnn.config.CELLS.values(), *rnn.config.LAYERS.values())},
    "LSTMCell": lambda: rnn.LSTMCell(2, 3, peepholes=True),
    "LSTM": lambda: rnn.LSTM(2, 3, 4, bidirectional=True),
    "Recurrent": lambda: rnn.Recurrent(rnn.RNNCell(2, 3), rnn.RNNCell(3, 3)),
    "Cell": lambda: rnn.Cell(2, 3),
    "Sequence": lambda: rnn.Sequence(rnn.RNN(2, 3), rnn.Linear(3, 2)),
    "Module": Own,
    "Model": big,
    "ManyToOne": lambda: rnn.ManyToOne(rnn.RNN(2, 3), rnn.Linear(3, 2)),
    "OneToMany": lambda: rnn.OneToMany(rnn.RNN(2, 3), rnn.Linear(3, 2)),
    "EncoderDecoder": lambda: rnn.EncoderDecoder(rnn.RNN(2, 3), rnn.RNN(2, 3), rnn.Linear(3, 2), start=1),
    "Parameter": lambda: rnn.Parameter(np.ones((1000, 1000))),
    "Optimizer": lambda: rnn.Optimizer([rnn.Parameter([1.0])], 0.1),
    **{kind.__name__: lambda kind=kind: optimizer(kind) for kind in rnn.config.OPTIMIZERS.values()},
    "History": lambda: trained().history,
    "Trainer": trained,
    "Watch": rnn.Watch,
    "Batch": lambda: rnn.Batch(np.ones((50, 9, 3)), np.ones((50, 9, 3)), np.ones(9)),
    "Fixed": lambda: rnn.tasks.hello().data(),
    "Generated": lambda: rnn.tasks.adding(9).data(),
    "Source": Batches,
    "Examples": lambda: rnn.Examples(rnn.Batch(np.ones((5, 900, 3)), np.ones((900, 1))), 10),
    "Windows": lambda: rnn.Windows(np.arange(500), 3, 4),
    "Streams": lambda: rnn.Streams(np.arange(500), 3, 4),
    "Alphabet": lambda: rnn.Alphabet("abc", unknown="?"),
    "Evaluation": lambda: rnn.Evaluation(1.0, 0.5, 0.25),
    "Summary": lambda: rnn.summary(rnn.RNN(2, 3), np.ones((4, 1, 2))),
    "WeightsError": lambda: rnn.WeightsError("a file"),
}
ELSEWHERE = {"GradientFlow", "GradientRecorder", "Reading", "SequenceLoss", "Snapshot"}
SCHEDULES: dict[str, Any] = {
    "LambdaLR": lambda: rnn.schedule.LambdaLR(optimizer(), lambda t: 1.0),
    "StepLR": lambda: rnn.schedule.StepLR(optimizer(), 3),
    "WarmupLR": lambda: rnn.schedule.WarmupLR(rnn.schedule.StepLR(optimizer(), 3)),
    "CosineAnnealingWarmRestarts": lambda: rnn.schedule.CosineAnnealingWarmRestarts(optimizer(), 3),
    "OneCycleLR": lambda: rnn.schedule.OneCycleLR(optimizer(), 0.1, 30),
    "SequentialLR": lambda: sequence_of_two(optimizer()),
    "ReduceLROnPlateau": lambda: rnn.schedule.ReduceLROnPlateau(optimizer()),
    "Series": rnn.series.sunspots,
    "Task": rnn.tasks.hello,
    "Scaler": lambda: rnn.series.Scaler.standard(rnn.series.sunspots().values),
}
OF_THE_ENGINE: dict[str, Any] = {
    "Tensor": lambda: mg.tensor(np.ones((300, 300))),
    "Graph": lambda: mg.Graph(leaf() * 2),
    "Drawing": lambda: mg.draw(leaf() * 2),
    "Loop": lambda: newton().loops[0],
    "Folded": lambda: newton(),
    "no_grad": mg.no_grad,
    "debug": mg.debug,
    "scope": lambda: mg.scope("t", 3),
    "Hook": lambda: leaf().register_hook(print),
    "Node": lambda: next(iter(mg.Graph(leaf() * 2))),
    "Op": lambda: mg.ops.TABLE["tanh"],
    "compile": lambda: mg.compile(np.tanh),
}


def leaf() -> mg.Tensor:
    return mg.tensor(1.0, requires_grad=True)


def sequence_of_two(optimizer: rnn.Optimizer) -> Any:
    return rnn.schedule.SequentialLR(optimizer, [rnn.schedule.StepLR(optimizer, 3) for _ in range(2)], [4])


def newton() -> Any:
    x = leaf()
    for _ in range(5):
        x = x - (x * x - 2.0) / (2 * x)
    return mg.loops(x)


def test_the_tables_have_every_public_class() -> None:
    classes = {name for name in rnn.__all__ if isinstance(getattr(rnn, name), type)}
    assert classes == MADE.keys() | ELSEWHERE
    classes = {name for name in mg.__all__ if isinstance(getattr(mg, name), type)}
    assert {name for name in classes if not issubclass(getattr(mg, name), Exception)} <= OF_THE_ENGINE.keys()


@pytest.mark.parametrize("name", [*MADE, *SCHEDULES, *OF_THE_ENGINE])
def test_every_object_shows_itself(name: str) -> None:
    shown = repr((MADE | SCHEDULES | OF_THE_ENGINE)[name]())
    assert " object at 0x" not in shown
    assert 5 < len(shown) < 2000
    assert not shown.endswith("\n")


@pytest.mark.parametrize(
    "name", [name for name in MADE if isinstance(getattr(rnn, name), type) and issubclass(getattr(rnn, name), rnn.Module)]
)
def test_a_model_shows_its_parts_shapes_and_counts(name: str) -> None:
    model = MADE[name]()
    lines = repr(model).splitlines()
    assert lines[0].startswith(type(model).__name__)
    count = sum(p.size for p in model.parameters())
    assert (f"with {count:,} parameters" in lines[0]) == bool(count)
    if len(lines) < 20:
        shapes = sorted(str(p.shape) for _, p in {id(p): (n, p) for n, p in model.named_parameters()}.values())
        for shape in shapes:
            assert shape in repr(model)
        for module in model.modules():
            assert any(type(module).__name__ in line for line in lines)


def test_the_tree_of_a_model() -> None:
    model = rnn.Sequence(rnn.LSTM(3, 4, 2, dropout=0.5, rng=0), rnn.Sequential(np.tanh, rnn.Linear(4, 2, rng=0)))
    assert repr(model) == (
        "Sequence with 314 parameters\n"
        "  recurrent: LSTM(dropout=0.5) with 304 parameters\n"
        "    l0: LSTMCell(input_size=3, hidden_size=4) with 144 parameters: "
        "weight_ih (16, 3), weight_hh (16, 4), bias_ih (16,), bias_hh (16,); state h (4,), c (4,)\n"
        "    l1: LSTMCell(input_size=4, hidden_size=4) with 160 parameters: "
        "weight_ih (16, 4), weight_hh (16, 4), bias_ih (16,), bias_hh (16,); state h (4,), c (4,)\n"
        "  readout: Sequential with 10 parameters\n"
        "    0: tanh\n"
        "    1: Linear with 10 parameters: weight (2, 4), bias (2,)"
    )
    assert repr(Own()) == (
        "Own(note='xxxxxxxxxxxx...xxxxxxxxxxxxx', rate=0.25) with 14 parameters: scale (2, 2) frozen\n"
        "  blocks.0: Linear with 6 parameters: weight (2, 2), bias (2,)\n"
        "  blocks.1.a: LayerNorm(eps=1e-05) with 4 parameters: weight (2,), bias (2,)\n"
        "  again: Linear with 6 parameters, the one above"
    )
    assert "  ... (277 more lines)" in repr(big()).splitlines()


def test_what_training_shows() -> None:
    assert repr(rnn.History()) == "<History of 0 updates>"
    history = rnn.History(loss=[2.0, 0.5, 0.75], grad_norm=[1.0] * 3, lr=[0.1] * 3, validation={1: 0.9, 2: 0.8, 3: 0.85})
    assert repr(history) == (
        "<History of 3 updates: loss 2 at first, 0.75 at last, 0.5 at least (update 2); "
        "3 validations, 0.8 at least (after update 2)>"
    )
    assert repr(rnn.SGD([rnn.Parameter([1.0])], lr=0.1)) == (
        "SGD(lr=0.1, maximize=False, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False) of 1 parameters"
    )
    assert repr(trained()).startswith("<Trainer of a Sequence with Adam, lr 0.001: <History of 3 updates: loss 1.")
    assert repr(rnn.tasks.hello().data().batch(0)) == "Batch(inputs (6, 1, 5) float32, targets (6, 1) int64)"
    assert repr(rnn.tasks.adding(5).data()) == "<Generated: 100 an epoch, batch_size=32, batches=100, seed=0>"
    assert repr(rnn.series.sunspots()) == "Series('year', 'sunspots'; 309 rows)"
