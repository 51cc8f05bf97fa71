"""The source of a compiled step reads like backpropagation through time: laws about its names, its parts and its length."""

import re

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

CELLS = {"RNN": "h", "LSTM": "hc", "GRU": "h"}
LINES = {"RNN": 66, "LSTM": 104, "GRU": 100}  # at most
NUMBERED = re.compile(r"\b(?:add|multiply|subtract|divide|dot|exp|tanh|negative|scattered|after|before)_\d")


def source_of(cell: str, steps: int = 6) -> tuple[rnn.Model, str]:
    model = rnn.Sequence(getattr(rnn, cell)(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    optimizer = rnn.SGD(model.parameters(), lr=0.1)

    @mg.compile
    def step(x: np.ndarray, y: np.ndarray) -> mg.Tensor:
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    symbols = np.arange(steps)[:, None] % 5
    step(np.eye(5)[symbols], symbols)
    return model, step.source


@pytest.fixture(scope="module", params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_gradient_of_a_parameter_has_its_name(cell: str) -> None:
    model, source = source_of(cell)
    for name, parameter in model.named_parameters():
        own = (parameter.name or name).replace(".", "_")
        assert re.search(rf"\bd{own}\b", source), own
        assert re.search(rf"\b{own}\b", source), own


def test_states_and_the_gradients_that_flow_back_into_them_have_their_letters(cell: str) -> None:
    _, source = source_of(cell)
    forward, backward = (source[source.index(f"# {way}: ") :].split("\n\n")[0] for way in ("forward", "backward"))
    for state in CELLS[cell]:
        assert re.search(rf"[(, ]{state}\)$", forward, flags=re.MULTILINE), state
        assert f"{state}_prev" in forward
        assert re.search(rf"[(, ]d{state}\)$", backward, flags=re.MULTILINE), state
    assert not NUMBERED.search(forward)
    assert not NUMBERED.search(backward)


def test_names_are_the_same_each_time(cell: str) -> None:
    assert source_of(cell)[1] == source_of(cell)[1]


@pytest.mark.parametrize("steps", [6, 400])
def test_the_program_is_short_for_any_number_of_steps(cell: str, steps: int) -> None:
    assert len(source_of(cell, steps)[1].splitlines()) <= LINES[cell]


def test_the_parts_are_apart(cell: str) -> None:
    _, source = source_of(cell)
    parts = source[source.index("def run") :].split("\n\n")
    assert [re.findall(r"# ([^:\n]*)", part) for part in parts] == [
        ["before the loops"],
        ["forward"],
        ["outputs, loss, and what the way back needs"],
        ["backward"],
        ["gradients of the weights"],
        ["update"],
    ]


def test_a_name_in_the_head_of_a_loop_is_there_once(cell: str) -> None:
    _, source = source_of(cell)
    for names in re.findall(r"for (.*) in \w+:", source):
        assert len({*names.split(", ")}) == len(names.split(", "))
