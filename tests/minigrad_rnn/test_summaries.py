"""The summary of a model: the shapes in it are those of a run, and the run changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

STEPS = np.ones((6, 2, 3))
MODELS: dict[str, Any] = {
    "deep": lambda: (rnn.Sequence(rnn.LSTM(3, 4, 2, dropout=0.5, rng=0), rnn.Linear(4, 5, rng=1)), (STEPS,)),
    "both directions": lambda: (rnn.ManyToOne(rnn.GRU(3, 4, bidirectional=True, rng=0), rnn.Linear(8, 5, rng=1)), (STEPS,)),
    "batch first": lambda: (rnn.RNN(3, 4, batch_first=True, rng=0), (STEPS.swapaxes(0, 1),)),
    "projection": lambda: (rnn.LSTM(3, 4, proj_size=2, rng=0), (STEPS,)),
    "one to many": lambda: (rnn.OneToMany(rnn.RNN(3, 4, rng=0), rnn.Linear(4, 3, rng=1)), (STEPS[0], 6)),
    "encoder and decoder": lambda: (
        rnn.EncoderDecoder(rnn.LSTM(3, 4, rng=0), rnn.LSTM(5, 4, rng=1), rnn.Linear(4, 5, rng=2), start=0),
        (STEPS, np.ones((6, 2), int)),
    ),
    "attention": lambda: (
        rnn.EncoderDecoder(
            rnn.Recurrent(rnn.AttentionCell(rnn.GRUCell(3 + 4, 4, rng=0), 2, rnn.Attention(4, 4, "general", rng=1))),
            rnn.Recurrent(rnn.AttentionCell(rnn.GRUCell(5 + 4, 4, rng=2), 2)),
            rnn.Linear(8, 5, rng=3),
            start=0,
            attention=rnn.Attention(4, 4, "additive", rng=4),
        ),
        (STEPS, np.ones((6, 2), int)),
    ),
    "embedding": lambda: (
        rnn.Sequence(rnn.LSTM(3, 4, rng=0), rnn.Linear(4, 5, rng=1), embedding=rnn.Embedding(9, 3, rng=2)),
        (np.ones((6, 2), int),),
    ),
    "a cell": lambda: (rnn.LSTMCell(3, 4, rng=0), (STEPS[0],)),
}


def first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_numbers_are_those_of_the_run(name: str) -> None:
    model, inputs = MODELS[name]()
    table = rnn.summary(model, *inputs)
    assert table.rows[0].output == first(model.eval()(*inputs)).shape
    assert table.rows[0].parameters == table.parameters == sum(p.size for p in model.parameters())
    assert table.nbytes == sum(p.data.nbytes for p in model.parameters())
    assert {row.kind for row in table.rows} == {type(module).__name__ for module in model.modules()}
    assert all(row.output for row in table.rows)
    for row, module in zip(table.rows, (m for m in model.modules()), strict=True):
        if isinstance(module, rnn.Cell):
            assert row.state == {part: (2, size) for part, size in zip(module.state_names, module.state_sizes, strict=True)}
            assert row.output == next(iter(row.state.values()))
        else:
            assert not row.state
    lines = str(table).splitlines()
    assert len(lines) == len(table.rows) + 2
    assert lines[-1] == f"{table.parameters:,} parameters; {table.nbytes:,} bytes"


def test_the_run_changes_nothing() -> None:
    model, inputs = MODELS["deep"]()
    model.train()(*inputs).sum().backward()
    model.readout.eval()
    before = {name: p.grad.copy() for name, p in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    attributes = [dict(vars(module)) for module in model.modules()]
    step = mg.compile(model)
    step(*inputs)
    chance = [generator.bit_generator.state for generator in model.generators()]
    rnn.summary(model, *inputs)
    assert [generator.bit_generator.state for generator in model.generators()] == chance
    step(*inputs)
    assert len(step.programs) == 1
    assert [module.training for module in model.modules()] == modes
    assert [dict(vars(module)) for module in model.modules()] == attributes
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.grad, before[name])
    with pytest.raises(ValueError, match="the input has shape"):
        rnn.summary(model, np.ones((6, 2, 9)))
    assert [dict(vars(module)) for module in model.modules()] == attributes


def test_modules_that_several_share_or_nobody_calls() -> None:
    class Own(rnn.Module):
        def __init__(self) -> None:
            self.first = rnn.Linear(3, 3, rng=0)
            self.again = self.first
            self.spare = rnn.Linear(3, 9, rng=0)
            self.first.weight.requires_grad = False

        def forward(self, x: Any) -> Any:
            return self.again(self.first(x))

    table = rnn.summary(Own(), np.ones((2, 3)))
    assert [(row.name, row.output) for row in table.rows] == [
        ("", (2, 3)), ("first", (2, 3)), ("again", (2, 3)), ("spare", None)
    ]  # fmt: skip
    assert (table.parameters, table.frozen, table.nbytes) == (12 + 36, 9, 4 * 48)
    assert "not called" in str(table)
    assert str(table).endswith("48 parameters, 9 of them frozen; 192 bytes")
    with pytest.raises(TypeError, match="summary needs a Module, not Tensor"):
        rnn.summary(mg.tensor(1.0), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "output", "words"),
    [
        (lambda y: {"y": y}, (2, 4), "(2, 4)"), (lambda y: [y[0], y], (4,), "(4,)"), (lambda y: y.sum(), (), "()"),
        (lambda y: None, None, ""), (lambda y: (), None, ""), (lambda y: "text", None, ""),
    ],
)  # fmt: skip
def test_a_result_of_any_kind(result: Any, output: Any, words: str) -> None:
    class Own(rnn.Module):
        step = 0

        def __init__(self) -> None:
            self.inner = rnn.Linear(3, 4, rng=0)

        def forward(self, x: Any) -> Any:
            self.inner(x)
            assert self.step == 0
            return result(self.inner(x))

    table = rnn.summary(Own(), np.ones((2, 3)))
    assert [(row.called, row.output) for row in table.rows] == [(True, output), (True, (2, 4))]
    assert str(table).splitlines()[1].split("  ")[0] == "Own"
    assert words in str(table).splitlines()[1]
    assert "not called" not in str(table)
