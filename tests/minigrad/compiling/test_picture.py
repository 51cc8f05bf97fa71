"""Pictures of compiled programs, and the lines after each pass."""

import re

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.compiling import picture
from minigrad.pictures import renderers

TASK = rnn.tasks.hello()
X, Y = TASK.inputs.astype(float), TASK.targets


def compiled_step(layer=None, batch=True):
    model = rnn.Sequence(layer or rnn.RNN(5, 4, rng=0, dtype=float), rnn.Linear(4, 5, rng=1, dtype=float))
    optimizer = rnn.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    return mg.compile(step, batch=batch)


@pytest.fixture(scope="module")
def hello():
    step = compiled_step()
    step(X, Y)
    return step


def boxes(drawing, *roles):
    return [box for box in drawing.picture.all_boxes() if box.role in roles]


def test_each_call_that_computes_is_a_box(hello):
    calls = [call for call in hello.last.program.calls if not picture.is_look(call)]
    ops = boxes(hello.graph, "op", "backward")
    assert len(ops) == len(calls)
    assert [sum("tanh" in box.lines[0] for box in ops)] == [6]
    assert all(box.lines[1] == "(1, 4)" for box in ops if "tanh" in box.lines[0])
    assert [box.lines[0] for box in ops if "tanh" in box.lines[0]] == [f"h{t} = tanh" for t in range(6)]


def test_steps_are_frames_in_the_order_they_run(hello):
    frames = [group for group in hello.graph.picture.groups if group.framed]
    assert [group.title for group in frames] == [f"t={t}" for t in (0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0)]
    assert [group.backward for group in frames] == [False] * 6 + [True] * 6
    assert {box.role for group in frames for box in group.boxes if group.backward} == {"backward", "alias", "collect"}


def test_what_comes_in_and_goes_out_is_there(hello):
    drawing = hello.graph
    assert {box.lines[0] for box in boxes(drawing, "input")} == {"input_0", "input_1", "number_0"}
    names = {box.lines[0].removesuffix(".T") for box in boxes(drawing, "parameter")}
    assert names == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "readout_weight", "readout_bias"}
    out = [box.lines[0] for box in boxes(drawing, "output")]
    assert out.count("returned") == 1
    assert sum(words.endswith(".grad") for words in out) == sum(words.endswith("updated") for words in out) == 6


def test_nothing_is_a_hub_and_every_arrow_has_its_ends():
    step = compiled_step()
    step(np.tile(X, (5, 1, 1)), np.tile(Y, (5, 1)))
    shown = step.graph.picture
    ids = [box.id for box in shown.all_boxes()]
    assert len(ids) == len(set(ids))
    count = dict.fromkeys(ids, 0)
    into = dict.fromkeys(ids, 0)
    for arrow in shown.all_arrows():
        count[arrow.source] += 1
        into[arrow.target] += 1
    outputs = {box.id for box in shown.all_boxes() if box.role == "output"}
    assert max(count.values()) <= len(outputs)
    assert max(into.values()) <= 6
    aliases = [box.lines[0] for box in shown.all_boxes() if box.role == "alias"]
    assert aliases.count("weight_hh_l0.T") == 29  # one in each step after the first
    assert all(count[box.id] for box in shown.all_boxes() if box.role == "alias")


def test_arrows_follow_the_order_of_the_program(hello):
    shown = hello.graph.picture
    place = {box.id: i for i, group in enumerate(shown.groups) for box in group.boxes}
    assert all(place[arrow.source] <= place[arrow.target] for arrow in shown.all_arrows())
    assert sum(arrow.role == "recurrent" for arrow in shown.arrows) == 5
    assert sum(arrow.role == "backward" for arrow in shown.arrows) == 5


@pytest.mark.parametrize(
    "layer",
    [
        lambda: rnn.LSTM(5, 4, 2, rng=0, dtype=float),
        lambda: rnn.GRU(5, 2, bidirectional=True, rng=0, dtype=float),
        lambda: rnn.RNN(5, 4, 2, learn_state=True, dropout=0.5, rng=0, dtype=float),
    ],
)
@pytest.mark.parametrize("batch", [True, False])
def test_other_networks_and_passes(layer, batch):
    step = compiled_step(layer(), batch)
    step(X, Y)
    shown = step.graph.picture
    place = {box.id: i for i, group in enumerate(shown.groups) for box in group.boxes}
    assert all(place[arrow.source] <= place[arrow.target] for arrow in shown.all_arrows())
    assert "digraph" in step.graph.source


def test_the_source_is_the_same_each_time(hello):
    assert hello.graph.source == hello.graph.source
    other = compiled_step()
    other(X, Y)
    assert other.graph.source == hello.graph.source


def test_a_program_without_steps():
    f = mg.compile(lambda x, y: {"sum": np.tanh(x).T @ y, "same": y})
    f(np.ones((2, 3)), np.ones((2, 4)))
    shown = f.graph.picture
    assert not shown.groups
    assert [arrow.label for arrow in shown.arrows if arrow.label] == [".T"]
    assert [box.lines for box in shown.boxes if box.role == "output"] == [["returned", "(3, 4)"], ["returned", "(2, 4)"]]


def test_the_picture_of_the_hello_step_renders(hello):
    if not renderers():
        pytest.skip("no renderer")
    text = re.sub(r"<[^>]*>", " ", hello.graph.svg())
    assert "h5 = tanh" in text
    assert hello.graph.pipe("png").startswith(b"\x89PNG")


def test_too_many_boxes(hello, monkeypatch):
    monkeypatch.setattr(picture, "MANY", 100)
    with pytest.warns(UserWarning, match="takes long to lay out: better call the function with a shorter sequence"):
        _ = hello.graph
    with pytest.raises(ValueError, match=r"above the limit of 100: .* shorter sequence"):
        picture.drawing(hello.last, limit=100)


def test_there_is_no_picture_before_the_first_call():
    with pytest.raises(mg.CompileError, match="first call"):
        _ = mg.compile(np.tanh).graph


def test_stages_are_those_of_the_report(hello):
    stages = dict(hello.stages(X, Y))
    told = [line.rsplit("  ", 1)[0].strip() for line in hello.report().splitlines()[:-1]]
    assert [name for name in stages if name in told] == told
    final = [call for call in hello.last.program.calls if not picture.is_look(call)]
    assert len(stages["updates side by side"]) == len(final)


def test_the_lines_show_what_the_passes_did(hello):
    stages = dict(hello.stages(X, Y))
    per_step = {name: sum(line.endswith("/t=3") for line in lines) for name, lines in stages.items()}
    assert (per_step["recorded"], per_step["merged and reordered"], per_step["batched over time"]) == (11, 10, 6)
    batched = [line for line in stages["batched over time"] if line.endswith("# rnn/layer=0")]
    assert [re.sub(r"_\d+\b", "_n", line) for line in batched] == [
        "dot_n = input_n.reshape(6, 5) @ weight_ih_l0.T  # rnn/layer=0",
        "add_n = dot_n.reshape(6, 1, 4) + add_n  # rnn/layer=0",
        "multiply_n = stack_n * stack_n  # rnn/layer=0",
        "subtract_n = 1 - multiply_n  # rnn/layer=0",
    ]
    assert sum("= concatenate(" in line for line in stages["recorded"]) == 6
    assert sum("= concatenate(" in line for line in stages["without duplicates"]) == 3


def test_stages_have_no_effect_and_leave_the_program_alone():
    step = compiled_step()
    step(X, Y)
    program, source = step.last, step.source
    after = step(X, Y).item()
    other = compiled_step()
    other.stages(X, Y)
    other(X, Y)
    other.stages(X[:3], Y[:3])
    assert other(X, Y).item() == after
    assert (step.last, other.source) == (program, source)
    assert other.last.watch is None


def test_stages_need_no_call_before_and_say_what_cannot_be_recorded():
    assert dict(mg.compile(lambda x: x * 2).stages(np.ones(2)))["recorded"] == ["multiply_2 = input_0 * 2"]
    with pytest.raises(mg.CompileError, match="control flow"):
        mg.compile(lambda x: x if x.sum() > 0 else -x).stages(np.ones(2))


def test_exact_programs_have_three_stages():
    assert len(compiled_step(batch=False).stages(X, Y)) == 3
