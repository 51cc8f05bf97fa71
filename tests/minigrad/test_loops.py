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


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("T", [3, 6, 50])
@pytest.mark.parametrize("name", ZOO)
def test_the_tables_give_the_record_back(name, T, backward):
    check(folded(name, T, backward), graph(name, T, backward))


@pytest.mark.parametrize("T", [3, 6, 50])
@pytest.mark.parametrize("name", ZOO)
def test_a_program_has_the_loops_that_a_reader_finds(name, T):
    expected = ZOO[name][1](T)
    if expected is not None:
        assert sorted((len(loop), len(loop.state)) for loop in folded(name, T).loops) == sorted(expected)


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
    conditions = ["", "", "", "if t % 2", "if t in (2, 5)", "if t"]
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
    runs = list(itertools.product(LAYERS, (6, 50), (False, True)))
    other = [run for run in runs if shape(mg.loops(bare(graph(*run)))) != shape(folded(*run))]
    assert len(other) <= 2, other
