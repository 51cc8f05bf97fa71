"""Pictures of compiled programs, and the lines after each pass."""

import re

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.compiling import picture
from minigrad.compiling.folding import marker
from minigrad.compiling.passes import is_view
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


@pytest.fixture(scope="module")
def straight():
    step = compiled_step(batch=False)
    step(X, Y)
    return step


def boxes(drawing, *roles):
    return [box for box in drawing.picture.all_boxes() if box.role in roles]


@pytest.mark.parametrize("step", ["hello", "straight"])
def test_each_call_that_computes_is_a_box(step, request):
    step = request.getfixturevalue(step)
    calls = [call for call in step.last.program.calls if not is_view(call) and not marker(call)]
    ops = boxes(step.graph, "op", "backward")
    assert len(ops) == len(calls)
    assert all(box.lines[1] == "(1, 4)" for box in ops if "tanh" in box.lines[0])


def test_a_loop_is_drawn_once(hello, straight):
    for step, names in ((hello, ["h = tanh"]), (straight, [f"h{t} = tanh" for t in range(6)])):
        assert [box.lines[0] for box in boxes(step.graph, "op") if "tanh" in box.lines[0]] == names


def test_loops_are_frames_that_tell_their_direction(hello):
    frames = [group for group in hello.graph.picture.groups if group.framed]
    assert [group.title for group in frames] == ["rnn/layer=0: for t from 0 to 5", "rnn/layer=0: for t from 5 to 0"]
    assert [group.backward for group in frames] == [False, True]
    assert all(group.repeated for group in frames)
    assert {box.role for box in frames[1].boxes} == {"backward", "alias", "state"}


def test_what_a_loop_carries_leads_back_to_its_head(hello):
    for group in hello.graph.picture.groups:
        heads = {box.id: box for box in group.boxes if box.role == "state"}
        ways = [arrow for arrow in group.arrows if arrow.role == "loop"]
        assert [arrow.target for arrow in ways] == list(heads)
        assert {arrow.label for arrow in ways} <= {"next step"}
        assert {arrow.target for arrow in hello.graph.picture.all_arrows() if arrow.role == "first"} >= set(heads)
    assert [box.lines[0] for box in boxes(hello.graph, "state")] == ["h_prev", "dh"]
    assert hello.graph.source.count("dir=back") == 2  # Graphviz puts the head first
    assert "h of t-1" in boxes(hello.graph, "state")[0].tooltip


def test_rows_of_arrays_of_all_steps_are_written_at_the_arrows(hello):
    shown = hello.graph.picture
    home = {box.id: group for group in shown.groups for box in group.boxes}
    into = [arrow.label for arrow in shown.arrows if home[arrow.target].framed and arrow.role == "flow"]
    assert into == ["[t]", "[t]", "[t-1]"]
    out = [(arrow.label, arrow.target) for arrow in shown.arrows if home[arrow.source].framed]
    assert [label for label, _ in out] == ["[t+1]", "[t]"]
    collected = boxes(hello.graph, "tensor")
    assert [box.id for box in collected] == [target for _, target in out]
    assert [box.lines for box in collected] == [["all_h", "(7, 1, 4)"], ["das", "(6, 1, 4)"]]


def test_steps_in_no_loop_are_frames_in_the_order_they_run(straight):
    frames = [group for group in straight.graph.picture.groups if group.framed]
    assert [group.title for group in frames] == [f"t={t}" for t in (0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0)]
    assert [group.backward for group in frames] == [False] * 6 + [True] * 6
    assert {box.role for group in frames for box in group.boxes if group.backward} == {"backward", "alias", "collect"}


def test_what_comes_in_and_goes_out_is_there(hello):
    drawing = hello.graph
    assert {box.lines[0] for box in boxes(drawing, "input")} == {"x", "y", "lr"}
    names = {box.lines[0].removesuffix(".T") for box in boxes(drawing, "parameter")}
    assert names == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "readout_weight", "readout_bias"}
    out = [box.lines[0] for box in boxes(drawing, "output")]
    assert out.count("returned") == 1
    assert sum(words.endswith(".grad") for words in out) == sum(words.endswith("updated") for words in out) == 6


@pytest.mark.parametrize("batch", [True, False])
def test_nothing_is_a_hub_and_every_arrow_has_its_ends(batch):
    step = compiled_step(batch=batch)
    step(np.tile(X, (5, 1, 1)), np.tile(Y, (5, 1)))
    shown = step.graph.picture
    role = {box.id: box.role for box in shown.all_boxes()}
    assert len(role) == len(shown.all_boxes())
    count = dict.fromkeys(role, 0)
    into = dict.fromkeys(role, 0)
    for arrow in shown.all_arrows():
        count[arrow.source] += 1
        into[arrow.target] += role[arrow.source] != "alias"
    outputs = {box.id for box in shown.all_boxes() if box.role == "output"}
    assert max(count.values()) <= len(outputs)
    assert max(into.values()) <= 6
    aliases = [box.lines[0] for box in shown.all_boxes() if box.role == "alias"]
    assert aliases.count("weight_hh_l0.T") == (0 if batch else 29)  # one in each step after the first
    assert all(count[box.id] for box in shown.all_boxes() if box.role == "alias")


def test_a_longer_sequence_has_the_same_picture(hello):
    step = compiled_step()
    step(np.tile(X, (5, 1, 1)), np.tile(Y, (5, 1)))
    roles = ("op", "backward", "state", "tensor", "output")
    assert [box.lines[0] for box in boxes(step.graph, *roles)] == [box.lines[0] for box in boxes(hello.graph, *roles)]
    assert "for t from 0 to 29" in step.graph.source


def test_arrows_follow_the_order_of_the_program(straight):
    shown = straight.graph.picture
    place = {box.id: i for i, group in enumerate(shown.groups) for box in group.boxes}
    assert all(place[arrow.source] <= place[arrow.target] for arrow in shown.all_arrows())
    assert sum(arrow.role == "recurrent" for arrow in shown.arrows) == 5
    assert sum(arrow.role == "backward" for arrow in shown.arrows) == 5


@pytest.mark.parametrize(
    "layer",
    [
        lambda: rnn.LSTM(5, 4, 2, rng=0, dtype=float),
        lambda: rnn.GRU(5, 4, 3, rng=0, dtype=float),
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
    leaving = {arrow.target for arrow in shown.arrows if shown.groups[place[arrow.source]].repeated}
    assert leaving == {box.id for box in boxes(step.graph, "tensor")}
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
    assert "h = tanh" in text
    assert "for t from 0 to 5" in text
    assert hello.graph.pipe("png").startswith(b"\x89PNG")


def test_too_many_boxes(hello, monkeypatch):
    monkeypatch.setattr(picture, "MANY", 50)
    with pytest.warns(UserWarning, match="takes long to lay out: better call the function with a shorter sequence"):
        _ = hello.graph
    monkeypatch.setattr(picture, "LIMIT", 50)
    with pytest.raises(ValueError, match=r"above the limit of 50: .* shorter sequence"):
        _ = hello.graph


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
    assert sum(line.endswith("/t=3") for line in stages["recorded"]) == 11

    def lines(stage, where):
        found = [line.removesuffix(f"  # {where}") for line in stages[stage] if line.endswith(f"  # {where}")]
        return [re.sub(r"_\d+\b", "_n", line) for line in found]

    assert len(lines("folded into loops", "rnn/layer=0: for t from 0 to 5")) == 8
    assert lines("done for all steps at once", "rnn/layer=0: for t from 0 to 5") == [
        "h_prev = carried(zeros((1, 4)))",
        "dot_n = h_prev @ weight_hh_l0.T",
        "add_n = add_n[t] + dot_n",
        "h = tanh(add_n)",
        "h_prev = h",
    ]
    assert lines("done for all steps at once", "rnn/layer=0")[:2] == [
        "dot_n = x.reshape(6, 5) @ weight_ih_l0.T",
        "add_n = dot_n.reshape(6, 1, 4) + add_n",
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
    assert other.last.show is None


def test_stages_need_no_call_before_and_say_what_cannot_be_recorded():
    assert dict(mg.compile(lambda x: x * 2).stages(np.ones(2)))["recorded"] == ["multiply_2 = x * 2"]
    with pytest.raises(mg.CompileError, match="control flow"):
        mg.compile(lambda x: x if x.sum() > 0 else -x).stages(np.ones(2))


def test_exact_programs_have_three_stages():
    assert len(compiled_step(batch=False).stages(X, Y)) == 3
