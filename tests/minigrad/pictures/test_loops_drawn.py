"""Pictures of loops written by hand: what `mg.loops` finds is what is drawn, over all programs of the zoo."""

import functools
import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import minigrad as mg
from minigrad.graph import Leaf
from minigrad.pictures.upright import upright

data_of = runpy.run_path(str(Path(__file__).with_name("written.py")))["data_of"]
ZOO = runpy.run_path(str(Path(__file__).parents[1] / "zoo.py"))["ZOO"]
thorough = settings().max_examples > 100
LENGTHS = (6, 50) if thorough else (6,)
UNLOOPED = {"an_inner_loop_of_one_two_three", "attention_over_the_past"}  # with no loop they are one large graph


@functools.cache
def program(name, T):
    root = ZOO[name][0](T)
    return root, mg.Graph(root, constants=True), mg.loops(root)


@functools.cache
def picture(name, T, **options):
    return mg.draw(program(name, T)[0], limit=None, **options).picture


def of_loops(found):
    return [*found.loops, *found.maps]


def in_boxes(shown):
    """For each box its frame, None outside of all."""
    return {box.id: group for group in [None, *shown.groups] for box in (shown if group is None else group).boxes}


def computed(ids, graph, node):
    """The box in which an op is computed: its ellipse, or the one box of a named result."""
    i = graph.index[node]
    return f"n{i}" if f"n{i}" in ids else f"v{i}"


def exits(ids, graph, node):
    """The box that the value of a node leaves from: its own, or the ellipse of its op, or what handed one number on."""
    i = graph.index[node]
    own = next((id for id in (f"v{i}", f"n{i}") if id in ids), None)
    return exits(ids, graph, next(iter(node.parents))) if own is None and hands_on(node) else own


def hands_on(node):
    """Whether an op leaves one number as it is, and so need not be drawn."""
    return node.op.name in ("sum", "mean", "reshape") and np.prod(next(iter(node.parents)).shape, dtype=int) == 1


def ends(shown, *roles):
    return [(arrow.source, arrow.target) for arrow in shown.all_arrows() if arrow.role in roles]


def looped():
    return [pytest.param(name, T, id=f"{name}-{T}") for name in ZOO for T in LENGTHS if T == 6 or name not in UNLOOPED]


# -- unrolled --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "T"), looped())
def test_each_op_has_one_box_in_the_frame_of_its_step(name, T):
    _, graph, found = program(name, T)
    shown = picture(name, T, steps="all" if found.home else None)
    ids = [box.id for box in shown.all_boxes()]
    assert len(set(ids)) == len(ids)
    frames = in_boxes(shown)
    drawn = {node: computed(frames, graph, node) for node in graph if node.op is not None}
    assert all(box in frames or hands_on(node) for node, box in drawn.items())
    order = {group.id: i for i, group in enumerate(shown.groups)}
    for loop in of_loops(found):
        each = [{frames[drawn[node]].id for node in step.values() if drawn[node] in frames} for step in loop.iterations]
        scoped = any(node.scope is not None and "t" in node.scope for node in loop.body)
        assert scoped or all(len(frame) == 1 for frame in each)
        places = [order[min(frame)] for frame in each]
        assert len(set(places)) == len(loop)
        assert places in (sorted(places), sorted(places, reverse=True))


@pytest.mark.parametrize(("name", "T"), looped())
def test_a_weight_is_an_alias_in_each_step_that_reads_it(name, T):
    _, graph, found = program(name, T)
    shown = picture(name, T, steps="all" if found.home else None)
    frames = in_boxes(shown)
    for loop in of_loops(found):
        for (i, _), leaf in loop.invariant.items():
            if isinstance(leaf, Leaf) and leaf.requires_grad:
                for step in loop.iterations:
                    if i in step:
                        reader = computed(frames, graph, step[i])
                        frame = frames[reader]
                        (alias,) = [a.source for a in frame.arrows if a.target == reader and a.source.startswith("p")]
                        assert frames[alias] is frame
                        assert str(graph.index[leaf]) in alias.removesuffix(f"_{reader}")[1:].split("_")


@pytest.mark.parametrize(("name", "T"), looped())
def test_what_is_carried_is_at_one_height(name, T):
    _, graph, found = program(name, T)
    shown = picture(name, T, steps="all" if found.home else None)
    boxes = {box.id: box for box in shown.all_boxes()}
    places = upright(shown).boxes
    for loop in found.loops:
        for (i, _), entry in loop.carried.items():
            alike = {}  # iterations of the same ops; a sum begins with another op
            for step in loop.iterations[i in loop.adds() : -1]:
                made = [(j, step[j]) for j in entry.ops if j in step and "t" not in (step[j].scope or ())][-1:]
                for j, node in made:
                    alike.setdefault((j, *sorted(step)), []).append(exits(boxes, graph, node))
            for ids in alike.values():
                assert len({places[id][1] for id in ids}) == 1


def test_states_and_their_beginning_are_at_one_height():
    shown = picture("two_layers_in_one_loop", 6)
    places = upright(shown).boxes
    boxes = {box.id: box for box in shown.all_boxes()}
    first = {a.target: places[a.source][1] for a in shown.all_arrows() if boxes[a.source].role == "initial"}
    assert len(first) == len(set(first.values())) == 2  # of h and g
    heights = {boxes[target].slot: y for target, y in first.items()}
    later = [(boxes[a.target].slot, places[a.source][1]) for a in shown.all_arrows() if a.role == "recurrent"]
    assert {heights[slot] == y for slot, y in later if slot in heights} == {True}


# -- folded ----------------------------------------------------------------------------------------------------


def folds():
    return [each for each in looped() if program(*each.values)[2].home]


@pytest.mark.parametrize(("name", "T"), folds())
def test_folded_the_frames_have_the_bodies_of_the_loops_and_each_op_outside_is_there_once(name, T):
    _, graph, found = program(name, T)
    shown = picture(name, T, fold=True)
    frames = in_boxes(shown)
    bodies = [node for loop in of_loops(found) for node in loop.body]
    outside = [node for node in found.outside if node.op is not None]
    boxes = {node: computed(frames, graph, node) for node in (*bodies, *outside)}
    assert all(box in frames or hands_on(node) for node, box in boxes.items())
    assert all(frames[boxes[node]] is not None for node in bodies if boxes[node] in frames)
    assert all(frames[boxes[node]] is None for node in outside if boxes[node] in frames)
    drawn = [box for box in boxes.values() if box in frames]
    assert len(set(drawn)) == len(drawn)
    assert {id for id in frames if id.startswith("n")} <= set(drawn)


@pytest.mark.parametrize(("name", "T"), folds())
def test_folded_what_is_carried_is_a_loop_arrow_and_nothing_else_is(name, T):
    _, graph, found = program(name, T)
    shown = picture(name, T, fold=True)
    expected, ids = set(), in_boxes(shown)
    for loop in of_loops(found):
        for (i, _), entry in loop.carried.items():
            adds = {j for places in loop.sums().values() for j, _ in places}
            for j in entry.ops if i not in adds else entry.ops[-1:]:
                own = computed(ids, graph, loop.body[j])
                reader = computed(ids, graph, loop.body[i])
                expected.add((own if i == j else exits(ids, graph, loop.body[j]), reader))
    assert set(ends(shown, "loop", "sum loop")) == expected


@pytest.mark.parametrize(("name", "T"), folds())
def test_folded_an_op_reads_what_the_tables_say(name, T):
    _, graph, found = program(name, T)
    shown = picture(name, T, fold=True)
    arrows, frames = set(ends(shown, "flow")), in_boxes(shown)
    for loop in of_loops(found):
        boxes = [computed(frames, graph, node) for node in loop.body]
        for (i, _), ops in loop.inside.items():
            if boxes[i] in frames:
                assert {(exits(frames, graph, loop.body[j]), boxes[i]) for j in ops} <= arrows
        for (i, _), x in loop.invariant.items():
            if isinstance(x, mg.graph.Node):
                x = found.home[x][0].body[found.home[x][2]] if x in found.home else x
                assert (exits(frames, graph, x), boxes[i]) in arrows
        for each in loop.per_step.values():
            kinds = {x for x in each.values() if isinstance(x, mg.graph.Node)}
            if kinds and len(kinds) < min(len(each), 9):  # in turns: each has a box
                assert {f"v{graph.index[x]}" for x in kinds if isinstance(x, Leaf)} <= frames.keys()
    both = [(a.source, a.target) for a in shown.all_arrows() if a.role == "first"]
    assert len(set(both)) == len(both)


BOTH = [
    "rnn_with_the_loss_inside", "rnn_of_trainable_items", "rnn_with_append_and_stack", "a_first_step_of_its_own",
    "both_directions", "weights_in_turns", "detached_every_five", "newton", "descent_through_grad", "momentum",
    "LSTM with lengths",
]  # fmt: skip


@pytest.mark.parametrize("name", ZOO if thorough else BOTH)
def test_both_passes_are_drawn(name):
    root, _, _ = program(name, 6)
    if mg.loops(mg.Graph(root, backward=True)).home:
        for options in ({}, {"fold": True}):
            shown = mg.draw(root, backward=True, limit=None, **options).picture
            ids = [box.id for box in shown.all_boxes()]
            assert len(set(ids)) == len(ids)


# -- names, and numbers in t -----------------------------------------------------------------------------------


def hand(T, order=lambda T: range(T), trainable=True, numpy=False):
    """An RNN as a course writes it, and its variables."""
    draw = np.random.default_rng(0).normal
    W, U, b = (mg.tensor(draw(size=size), requires_grad=True) for size in ((3, 4), (4, 4), (4,)))
    x = draw(size=(T, 2, 3)) if numpy else mg.tensor(draw(size=(T, 2, 3)), requires_grad=trainable)
    h, hs, loss = np.zeros((2, 4)), {}, 0
    for t in order(T):
        h = np.tanh(x[t] @ W + h @ U + b)
        hs[t] = h
        loss = loss + (h**2).mean()
    return loss, {"W": W, "U": U, "b": b, "x": x, "h": h, "hs": hs, "loss": loss}


def titled(shown, role):
    return sorted(box.lines[0] for box in shown.all_boxes() if box.role == role)


@pytest.mark.parametrize("T", [6, 50])
@pytest.mark.parametrize("numpy", [False, True])
def test_a_name_is_that_of_all_iterations(T, numpy):
    loss, names = hand(T, trainable=False, numpy=numpy)
    shown = mg.draw(loss, names=names, steps="all").picture
    every = [f"h[{t}]" for t in range(T)]
    assert titled(shown, "state") == sorted(every)
    assert titled(shown, "loss") == [f"loss[{T - 1}]"]  # of a sum that grows the last
    assert titled(shown, "input") == sorted(f"x[{t}]" for t in range(T))  # recognised by its values
    assert titled(shown, "initial") == ["h[-1]"]
    assert titled(shown, "alias") == sorted([*"WUb"] * T)
    for group in shown.groups[1:]:
        t = group.title.removeprefix("t = ")
        assert {f"x[{t}]", f"h[{t}]"} <= {box.lines[0] for box in group.boxes}
    folded = mg.draw(loss, names=names, fold=True).picture
    assert [titled(folded, role) for role in ("state", "input", "initial")] == [["h[t]"], ["x[t]"], ["h[-1]"]]


@pytest.mark.parametrize("order", [range(6), range(5, -1, -1)])
def test_letters_that_come_twice_are_told_apart_by_their_order(order):
    x = np.eye(4)[[0, 1, 0, 2, 3, 3]]  # "hihell"
    W, U = (mg.tensor(np.ones((4, 4)), requires_grad=True) for _ in "WU")
    h = np.zeros(4)
    for t in order:
        h = np.tanh(x[t] @ W + h @ U)
    shown = mg.draw(h.sum(), names=locals()).picture
    frames = {group.title: [line for box in group.boxes for line in box.lines] for group in shown.groups}
    assert all({f"x[{t}]", f"h[{t}]"} <= set(frames[f"t = {t}"]) for t in range(6))


def test_elements_in_no_order_that_are_equal_stay_without_a_name():
    x = np.eye(4)[[0, 1, 0, 2, 3, 3]]
    W, U = (mg.tensor(np.ones((4, 4)), requires_grad=True) for _ in "WU")
    h = np.zeros(4)
    for t in (3, 5, 1, 0, 2, 4):
        h = np.tanh(x[t] @ W + h @ U)
    assert not [box for box in mg.draw(h.sum(), names=locals()).picture.all_boxes() if "x[" in "".join(box.lines)]
    folded = mg.draw(h.sum(), names=locals(), fold=True).picture
    assert "[t]" in [box.lines[0] for box in folded.all_boxes()]


def test_tensors_in_dicts_and_lists_have_names():
    w = {"i": [mg.tensor([1.0], requires_grad=True)], "o": (mg.tensor([2.0], requires_grad=True),)}
    loss = (w["i"][0] * w["o"][0]).sum()
    assert titled(mg.draw(loss, names={"w": w}).picture, "parameter") == ["w['i'][0]", "w['o'][0]"]


@pytest.mark.parametrize(
    ("order", "index", "titles", "back"),
    [
        (lambda T: range(T), "[t]", (0, 5), "h[t-1]"),
        (lambda T: range(2, T), "[t]", (2, 5), "h[t-1]"),
        (lambda T: reversed(range(T)), "[t]", (0, 5), "h[t+1]"),
        (lambda T: range(0, T, 2), "[2t]", (0, 2), "h[t-1]"),
        (lambda T: range(1, T, 2), "[2t+1]", (0, 2), "h[t-1]"),
        (lambda T: [3, 1, 4, 1, 5, 2], "[i[t]]", (0, 5), "h[t-1]"),
    ],
)
def test_an_index_is_written_in_t_and_a_loop_has_the_steps_that_it_reads(order, index, titles, back):
    loss, names = hand(6, order)
    first, last = titles
    folded = mg.draw(loss, names=names, fold=True).picture
    (group,) = folded.groups
    assert group.title == f"one step, repeated {last - first + 1} times  (t = {first} ... {last})"
    assert [box.lines[0] for box in group.boxes if box.lines[0].startswith("[")] == [index]
    assert [arrow.label for arrow in folded.all_arrows() if arrow.role == "loop"] == [back]
    unrolled = mg.draw(loss, names=names, steps="all").picture
    assert [g.title for g in unrolled.groups if g.framed] == [f"t = {t}" for t in range(first, last + 1)]


def test_a_loop_that_is_stacked_the_other_way_round_goes_backwards():
    W = mg.tensor(np.eye(2) * 0.5, requires_grad=True)
    h, outputs = np.ones(2), {}
    for t in reversed(range(6)):
        h = outputs[t] = np.tanh(h @ W)
    shown = mg.draw(np.stack([outputs[t] for t in range(6)]).sum(), names={"h": h}).picture
    frames = {group.title: group for group in shown.groups}
    assert all(f"h[{t}]" in [line for box in frames[f"t = {t}"].boxes for line in box.lines] for t in range(6))
    order = [group.title for group in shown.groups if group.framed]
    assert order == [f"t = {t}" for t in range(6)]
    places = upright(shown).boxes
    states = [arrow for arrow in shown.all_arrows() if arrow.role == "recurrent"]
    assert states
    assert all(places[arrow.source][0] > places[arrow.target][0] for arrow in states)


def test_numbers_that_differ_are_not_given_as_those_of_one_iteration():
    x, total = (mg.tensor(value, requires_grad=True) for value in (0.5, 1.0))
    for c in (1.0, -0.5, 3.0, 2.0, 0.25, 0.75):
        total = total * x + c
    folded = mg.draw(total, fold=True).picture
    assert [box.lines for box in folded.groups[0].boxes if box.role == "op"] == [["×"], ["+ c[t]"]]


def test_constants_that_do_not_differ_are_not_named_by_t():
    folded = picture("descent_through_grad", 6, fold=True)
    assert "(5,3)" in titled(folded, "constant")
    assert "[t]" in titled(picture("rnn_with_the_loss_inside", 6, fold=True), "constant")


@pytest.mark.parametrize("steps", ["0", None, "2-3"])
def test_the_steps_of_the_two_passes_are_folded_apart(steps):
    loss, names = hand(50)
    titles = [g.title for g in mg.draw(loss, names=names, backward=True, steps=steps).picture.groups if g.framed]
    expected = {
        "0": ["t = 0", "t = 1 ... 49, folded", "t = 49 ... 1, backward, folded", "t = 0, backward"],
        None: [
            *("t = 0", "t = 1", "t = 2", "t = 3 ... 46, folded", "t = 47", "t = 48", "t = 49"),
            *("t = 49, backward", "t = 48, backward", "t = 47, backward", "t = 46 ... 3, backward, folded"),
            *("t = 2, backward", "t = 1, backward", "t = 0, backward"),
        ],
        "2-3": [
            *("t = 0 ... 1, folded", "t = 2", "t = 3", "t = 4 ... 49, folded"),
            *("t = 49 ... 4, backward, folded", "t = 3, backward", "t = 2, backward"),
            "t = 1 ... 0, backward, folded",
        ],
    }[steps]
    assert titles == expected


# -- the page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn_with_the_loss_inside", "lstm_with_four_matrices", "weights_in_turns", "RNN"])
def test_folded_every_node_plays_in_the_box_of_its_like(name):
    root, graph, found = program(name, 6)
    drawing = mg.draw(root, fold=True)
    ids = {box.id for box in drawing.picture.all_boxes()}
    data = data_of(drawing.html())
    nodes = data["nodes"]
    assert len(nodes) == len(graph.nodes)
    for node, entry in zip(graph, nodes, strict=True):
        assert entry["boxes"]
        assert set(entry["boxes"]) <= ids
        if node in found.home:
            loop, n, i = found.home[node]
            assert entry["t"] == n
            assert f"n{graph.index[loop.body[i]]}" in entry["boxes"]
    assert len(data["back"]) == sum(node.requires_grad for node in graph)


# -- work ------------------------------------------------------------------------------------------------------


def calls(work):
    """How many functions of Python it calls."""
    count = 0

    def watch(frame, event, argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "options", [{}, {"fold": True}, {"steps": "all"}, {"backward": True}, {"fold": True, "backward": True}], ids=str
)
@pytest.mark.parametrize("named", [False, True])
def test_the_work_is_in_proportion_to_the_steps(options, named):
    counts, lengths = [], (60, 120, 240) if thorough else (40, 80)
    for T in lengths:
        loss, names = hand(T)
        draw = functools.partial(mg.draw, loss, names=names if named else None, limit=None, **options)
        counts.append(calls(draw))
    assert all(twice < 2.3 * once for once, twice in itertools.pairwise(counts))


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(
    "name", ["rnn_with_append_and_stack", "three_layers_outside_time", "both_directions", "two_steps_back"]
)
def test_the_work_is_in_proportion_for_other_wirings(name, fold):
    once, twice = (
        calls(functools.partial(mg.draw, program(name, T)[0], fold=fold)) for T in ((100, 200) if thorough else (50, 100))
    )
    assert twice < 2.3 * once


def test_a_stack_of_thousands_can_be_drawn():  # its tooltip names no more operands than Graphviz reads
    root = np.stack([mg.tensor(float(k), requires_grad=True) * 2 for k in range(1500)])
    lengths = [len(line) for line in mg.draw(root, limit=None).source.splitlines()]
    assert max(lengths) < 16384


def test_a_longer_loop_has_the_same_boxes():
    sizes = []
    for T in (50, 100, 200):
        loss, names = hand(T)
        drawn = [mg.draw(loss, names=names, **options).picture for options in ({}, {"fold": True})]
        sizes.append([(len(shown.all_boxes()), len(shown.all_arrows()), len(shown.groups)) for shown in drawn])
    assert sizes[0] == sizes[1] == sizes[2]
