"""The loops of a recorded graph: the tables give the record back, and programs have the loops that their code has."""

import copy
import functools
import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.graph import Node

PROGRAMS = runpy.run_path(str(Path(__file__).with_name("zoo.py")))
ZOO, LAYERS = PROGRAMS["ZOO"], PROGRAMS["LAYERS"]
examples = settings().max_examples  # of the profile


@functools.cache
def graph(name, T, backward=False):
    return mg.Graph(ZOO[name][0](T), backward=backward)


@functools.cache
def folded(name, T, backward=False):
    return mg.loops(graph(name, T, backward))


# -- the law ---------------------------------------------------------------------------------------------------


def same(x, y):
    """Whether two operands or options are the same: nodes and arrays by identity, numbers by type and value."""
    if isinstance(x, tuple | list) and isinstance(y, tuple | list):
        return type(x) is type(y) and len(x) == len(y) and all(map(same, x, y))
    return x is y or (type(x) is type(y) and not isinstance(x, Node | np.ndarray) and x == y)


def law(loop):
    """Raises if the tables of a loop do not tell exactly what its nodes are."""
    for node, op, operands, options in loop.expanded():
        assert op is node.op
        assert same(operands, node.operands), (node, operands, node.operands)
        assert options.keys() == node.options.keys()
        assert all(same(options[key], node.options[key]) for key in options), node
    for inner in loop.inner:
        law(inner)


def check(found, nodes):
    """The law of each loop, and each node of the record in one place."""
    for loop in (*found.loops, *found.maps):
        law(loop)
    assert all(loop.carried for loop in found.loops)
    assert not any(loop.carried for loop in found.maps)
    inside = [node for loop in (*found.loops, *found.maps) for step in loop.iterations for node in step.values()]
    assert sorted([*inside, *found.outside], key=lambda node: node.number) == list(nodes)
    assert found.home.keys() == set(inside)
    assert all(loop.iterations[n][i] is node for node, (loop, n, i) in found.home.items())
    for loop in (*found.loops, *found.maps):
        assert all(list(step.values()) == sorted(step.values(), key=lambda node: node.number) for step in loop.iterations)


RUNS = [(T, backward) for T in (3, 6, 50) for backward in (False, True)]


@pytest.mark.parametrize(("T", "backward"), RUNS if examples > 100 else [*RUNS[1:4], RUNS[4]])
@pytest.mark.parametrize("name", ZOO)
def test_the_tables_give_the_record_back(name, T, backward):
    check(folded(name, T, backward), graph(name, T, backward))


@pytest.mark.parametrize("T", [3, 6, 50])
@pytest.mark.parametrize("name", ZOO)
def test_a_program_has_the_loops_that_a_reader_finds(name, T):
    expected = ZOO[name][1](T)
    if expected is not None:
        assert sorted((len(loop), len(loop.state)) for loop in folded(name, T).loops) == sorted(expected)


@pytest.mark.parametrize("behind", [0, 1, 2])
@pytest.mark.parametrize("T", [3, 4, 5])
def test_a_short_record_has_small_loops(T, behind):
    W, h = mg.tensor(np.eye(2), requires_grad=True), mg.tensor(np.ones((2, 1)), requires_grad=True)
    for _ in range(T):
        h = np.tanh(W @ h)
    for _ in range(behind):
        h = h.sum() * 2.0 if behind == 1 else np.abs(h)
    (loop,) = mg.loops(h).loops
    assert (len(loop), [node.op.name for node in loop.body]) == (T, ["matmul", "tanh"])


SMALL = {
    "a sum": lambda a, b, c, d: a + b + c + d,
    "a product": lambda a, b, c, d: a * b * c * d,
    "a power": lambda a, b, c, d: a * a * a * a,
    "squares": lambda a, b, c, d: ((a**2) ** 2) ** 2,
    "products added": lambda a, b, c, d: a * b + b * c + c * d,
    "three layers": lambda a, b, c, d: np.tanh(np.tanh(np.tanh(a * b) * c) * d),
    "a mean of three": lambda a, b, c, d: (np.exp(a) + np.exp(b) + np.exp(c)) / 3,
}


@pytest.mark.parametrize("name", SMALL)
def test_a_short_expression_has_no_loop(name):
    assert mg.loops(SMALL[name](*(mg.tensor(np.ones(2), requires_grad=True) for _ in range(4)))).loops == []


def collected(found, nodes):
    """What is read outside of its loop, or by nobody, found anew."""
    readers = {node: set() for node in nodes}
    for node in nodes:
        for x in node.parents:
            readers[x].add(found.home.get(node, (None,))[0])
    return {node for node, (loop, _, _) in found.home.items() if not readers[node] or readers[node] - {loop}}


@pytest.mark.parametrize("name", ZOO)
def test_what_is_read_outside_is_collected(name):
    found = folded(name, 6, True)
    told = {loop.iterations[n][i] for loop in (*found.loops, *found.maps) for i, steps in loop.collected.items() for n in steps}
    assert told == collected(found, graph(name, 6, True))


def mutants(loop):
    """Copies of a loop with one entry of a table changed."""
    nodes = [node for step in loop.iterations for node in step.values()]

    def changed(table, place, value):
        other = copy.copy(loop)
        setattr(other, table, getattr(loop, table) | {place: value})
        return other

    for place, ops in loop.inside.items():
        yield changed("inside", place, (*ops[:-1], ops[-1] + 1 if ops[-1] + 1 < place[0] else ops[-1] - 1))
    for place, entry in loop.carried.items():
        yield changed("carried", place, entry._replace(lag=entry.lag + 1))
        yield changed("carried", place, entry._replace(ops=tuple(j + 1 for j in entry.ops)))
    for place in loop.invariant:
        yield changed("invariant", place, nodes[-1])
    for table in ("per_step", "first"):
        for place, steps in getattr(loop, table).items():
            for n in steps:
                yield changed(table, place, steps | {n: nodes[-1]})
    for place, steps in loop.options.items():
        for n in steps:
            yield changed("options", place, steps | {n: "another"})


@pytest.mark.parametrize(
    "name",
    ["rnn_with_the_loss_inside", "a_state_halved_at_two_steps", "two_steps_back", "LSTM with lengths", "embedded_tokens"],
)
def test_the_law_sees_each_change_of_a_table(name):
    for loop, backward in itertools.product(range(2), (False, True)):
        for mutant in itertools.chain.from_iterable(map(mutants, folded(name, 6, backward).loops[loop : loop + 1])):
            with pytest.raises((AssertionError, LookupError, ValueError)):
                law(mutant)


# -- random programs -------------------------------------------------------------------------------------------


BODIES = [
    "np.tanh(a @ W + b)", "np.sin(a * b)", "a + b", "a - b * 0.5", "np.sin(a @ U)", "a @ W", "np.maximum(a, b)", "x[t] + a",
    "x[t] * b", "a / (1 + b * b)",
]  # fmt: skip


@st.composite
def programs(draw):
    """A loop over states: some ops at some steps only, states read one or two steps back, errors added up."""
    conditions = ["", "", "", "if t % 2", "if t % 3 == 1", "if t in (2, 5)", "if t"]
    names = st.sampled_from("pqrs")
    line = st.tuples(names, st.sampled_from(BODIES), names, names, st.sampled_from(conditions))
    lines = draw(st.lists(line, min_size=1, max_size=6))
    return lines, draw(st.integers(1, 14)), draw(st.sampled_from([None, "p", "(p * q)", "old"])), draw(st.booleans())


def run(program):
    lines, T, error, scoped = program
    random = np.random.default_rng(0)
    scope = {"np": np, "x": mg.tensor(random.normal(size=(T, 3)), requires_grad=True)}
    scope |= {name: mg.tensor(random.normal(size=(3, 3)) / 2, requires_grad=True) for name in "WU"}
    scope |= {name: mg.tensor(random.normal(size=3), requires_grad=True) for name in "pqrs"}
    total, past = mg.tensor(0.0, requires_grad=True), [scope["p"], scope["p"]]
    for t in range(T):
        with mg.scope("t", t) if scoped else mg.scope("here"):
            for target, body, a, b, condition in lines:
                scope |= {"t": t, "a": scope[a], "b": scope[b], "old": past[-2]}
                if not condition or eval(condition.removeprefix("if "), {}, scope):
                    scope[target] = eval(body, {}, scope)
            past.append(scope["p"])
            if error:
                total = total + eval(error, {}, scope).sum()
    return total + sum(scope[name].sum() for name in "pqrs")


@settings(max_examples=1 + examples // 2)
@given(programs())
def test_random_programs_are_given_back(program):
    root = run(program)
    for backward in (False, True):
        nodes = mg.Graph(root, backward=backward)
        check(mg.loops(nodes), nodes)


# -- two loops, one after the other ----------------------------------------------------------------------------


SEQ2SEQ = {
    "kind": ["rnn", "lstm", "gru"],
    "attention": [None, "before", "after", "last"],
    "feed": ["own", "learnt", "forced"],
    **{key: [False, True] for key in ("bias", "bridge", "added", "trainable", "tied")},
}


@settings(max_examples=2 * examples)
@given(st.integers(3, 20), st.integers(3, 20), st.fixed_dictionaries({k: st.sampled_from(v) for k, v in SEQ2SEQ.items()}))
def test_an_encoder_and_a_decoder_have_the_iterations_that_their_code_has(T, S, options):
    loss, _, ends = PROGRAMS["seq2seq"](T, S, **options)
    nodes = [node for node in mg.Graph(loss) if node.op is not None]
    run = [[[node for node in nodes if a < node.number < b] for a, b in itertools.pairwise(each)] for each in ends]
    found = mg.loops(loss).loops
    assert [[list(step.values()) for step in loop.iterations] for loop in found] == run
    for loop in found:
        law(loop)


# -- without scopes --------------------------------------------------------------------------------------------


def bare(nodes):
    """The same record without its scopes."""
    copies = {}
    for node in nodes:
        twin = copy.copy(node)
        twin.scope = None
        twin.operands = tuple(copies[x] if isinstance(x, Node) else x for x in node.operands)
        copies[node] = twin
    return list(copies.values())


def shape(found):
    return sorted((len(loop), len(loop.state)) for loop in found.loops)


def test_without_their_scopes_the_layers_have_the_same_loops():
    runs = list(itertools.product(LAYERS, (6, 50) if examples > 100 else (6, 20), (False, True)))
    other = [run for run in runs if shape(mg.loops(bare(graph(*run)))) != shape(folded(*run))]
    assert len(other) <= 2, other


# -- loops whose iterations are not alike ----------------------------------------------------------------------


def test_an_op_that_some_iterations_have_is_one_op_of_the_body():
    (loop,) = folded("an_op_more_at_two_steps", 20).loops
    assert list(loop.optional.values()) == [[10, 18]] * 3
    assert [loop.body[i].op.name for i in loop.optional] == ["multiply", "sum", "add"]


def test_a_state_that_changes_once_more_is_read_from_wherever_it_changed_last():
    (loop,) = folded("a_state_halved_at_two_steps", 20).loops
    tanh, half = (next(i for i, node in enumerate(loop.body) if node.op.name == name) for name in ("tanh", "divide"))
    assert loop.optional == {half: [10, 18]}
    assert (tanh, half) in loop.inside.values()  # the readout
    assert [entry for entry in loop.carried.values() if entry.ops == (tanh, half)] == [((tanh, half), 1)]  # h @ U


def test_a_first_step_of_its_own_is_the_first_iteration():
    (loop,) = folded("a_first_step_of_its_own", 20).loops
    assert {tuple(steps) for steps in loop.optional.values()} == {tuple(range(1, 20))}
    assert len(loop.iterations[0]) == 7
    assert len(loop.body) == 10


def test_masked_steps_are_iterations_with_more_ops():
    (loop,) = folded("LSTM with lengths", 20).loops
    assert {loop.body[i].op.name for i in loop.optional} == {"where"}
    assert {n for steps in loop.optional.values() for n in steps} == {17, 18, 19}


@pytest.mark.parametrize("name", ["LSTM with lengths", "LSTM in both directions with lengths"])
def test_masked_steps_of_a_backward_pass_are_iterations_of_one_loop(name):
    loops = folded(name, 50, True).loops
    assert [len(loop) for loop in loops] == [50] * len(loops)
    assert len(loops) == (2 if name == "LSTM with lengths" else 4)


def test_two_steps_back_is_a_lag_of_two():
    (loop,) = folded("two_steps_back", 20).loops
    assert {entry.lag for entry in loop.carried.values()} == {1, 2}
    assert [len(steps) for steps in loop.first.values() if len(steps) == 2] == [2]  # two initial values


@pytest.mark.parametrize(("name", "T"), [("RNN", 150), ("LSTM", 150), ("GRU", 150), ("RNN", 300)])
def test_gradients_gathered_in_blocks_leave_one_loop(name, T):
    forward, backward = mg.loops(mg.Graph(LAYERS[name][0](T), backward=True)).loops
    assert len(forward) == len(backward) == T


def test_an_inner_loop_is_found_within_the_body():
    (loop,) = folded("an_inner_loop", 6).loops
    (inner,) = loop.inner
    assert (len(inner), len(inner.body), len(inner.state)) == (3, 7, 1)


def test_layers_are_no_loops_and_heads_are_maps():
    assert [len(loop) for loop in folded("heads", 6).maps] == [6]
    assert [len(loop) for loop in folded("examples_one_by_one", 6).maps] == [6]
    for name in ("mlp", "mlp_of_smaller_and_smaller_widths", "resnet", "no_loop_at_all"):
        found = folded(name, 6)
        assert (found.loops, found.maps, found.growing, found.home) == ([], [], [], {})


@pytest.mark.parametrize("T", [6, 20])
def test_attention_over_the_past_grows(T):
    (growing,) = folded("attention_over_the_past", T).growing
    assert len(growing.iterations) == T
    assert [growing.iterations[0][i].op.name for i in growing.by] == ["tanh"]
    assert all(len(set(sizes)) == T for sizes in growing.sizes.values())
    assert "grows by tanh" in str(growing)


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"attention_over_the_past"}))
def test_nothing_else_grows(name):
    assert folded(name, 6).growing == []


# -- readings of the tables ------------------------------------------------------------------------------------


def names(loop, ops):
    return [loop.body[i].op.name for i in sorted(ops)]


def test_what_waits_for_the_iteration_before():
    (loop,) = folded("rnn_of_a_trainable_x", 6).loops
    assert names(loop, set(range(10)) - loop.waits()) == ["getitem", "matmul"]
    assert names(loop, loop.recurrence()) == ["matmul", "add", "add", "tanh"]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("rnn_with_the_loss_inside", 1),
        ("an_op_more_at_two_steps", 1),
        ("every_other_step_another", 1),
        ("min_char_rnn", 1),
        ("newton", 0),
    ],
)
def test_what_a_sum_adds(name, count):
    """Going back from the last result through its additions, one comes to what is added, and to the initial value."""
    (loop,) = folded(name, 6).loops
    sums = loop.sums()
    assert len(sums) == count
    for places in sums.values():
        added = [loop.operand(n, i, k) for n, step in enumerate(loop.iterations) for i, k in places if i in step]
        chain = {step[i] for step in loop.iterations for i, _ in places if i in step}
        found, waiting = [], [max(chain, key=lambda node: node.number)]
        while waiting:
            node = waiting.pop()
            if node in chain:
                waiting += node.operands
            else:
                found.append(node)
        (initial,) = [x for x in found if x not in added]
        assert isinstance(initial, int)
        assert {x for x in found if x is not initial} == set(added)
        assert len(found) == len(added) + 1


def test_the_gradients_of_shared_weights_are_sums():
    _, backward = folded("rnn_with_the_loss_inside", 20, True).loops
    shapes = [(3, 4), (4, 4), (4,), (4, 3)]  # W, U, b, V
    assert sorted(backward.body[i].shape for i in backward.sums()) == sorted(shapes)


# -- in words, and what is no graph ----------------------------------------------------------------------------


def test_a_loop_in_words():
    draw = np.random.default_rng(0).normal
    shapes = {"x": (50, 2, 3), "h": (2, 4), "W": (3, 4), "U": (4, 4), "b": (4,)}
    x, h, W, U, b = (mg.tensor(draw(size=shape), requires_grad=True, name=name) for name, shape in shapes.items())
    for t in range(50):
        h = np.tanh(x[t] @ W + h @ U + b)
        if t in (4, 9):
            h = h / 2
    found = mg.loops(h)
    assert str(found) == ("50 times: 7 ops, carries h; x[t] enters; W, U, b are shared; divide only in 2 of 50\n0 ops outside")
    assert repr(found) == "<Folded: 1 loop, 0 maps, 0 ops outside>"
    assert repr(found.loops[0]) == f"<Loop: {found.loops[0]}>"


@pytest.mark.parametrize(
    "what", [[], mg.tensor(1.0), mg.tensor(1.0, requires_grad=True), mg.Graph(mg.tensor([1.0], requires_grad=True) * 2)]
)
def test_a_record_without_loops(what):
    found = mg.loops(what)
    assert (found.loops, found.maps, found.home) == ([], [], {})
    assert str(found) in ("0 ops outside", "1 op outside")


def test_nodes_may_come_in_any_order_and_from_a_generator():
    nodes = list(graph("newton", 6))
    assert [len(loop) for loop in mg.loops(node for node in reversed(nodes)).loops] == [6]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (None, "NoneType"),
        (3, "int"),
        ("x", "str"),
        (np.ones(3), "ndarray"),
        ([1], "int as item 0"),
        ([[]], "list as item 0"),
        ([mg.tensor(1.0)], "Tensor as item 0"),
    ],
)
def test_what_is_no_graph_is_refused(what, message):
    with pytest.raises(TypeError, match=f"{message}.*Graph"):
        mg.loops(what)


@pytest.mark.parametrize("T", [6, 20])
@pytest.mark.parametrize("name", LAYERS)
def test_with_scopes_an_iteration_is_one_time_step(name, T):
    for loop in folded(name, T).loops:
        for step in loop.iterations:
            assert len({node.scope and node.scope.get("t") for node in step.values()}) == 1
