"""Recording and the reverse sweep: what is kept, what is freed, what it costs, where it says that an error happened."""

import asyncio
import contextvars
import gc
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import GraphFreedError, no_grad, scope
from minigrad.ops import TABLE
from minigrad.ops.op import REAL, elementwise


def leaf(array: Any, **options: Any) -> minigrad.Tensor:
    return minigrad.tensor(array, requires_grad=True, **options)


def is_recording() -> bool:
    return (leaf(1.0) * 2).requires_grad


def place() -> str:
    return str((leaf(1.0) * 2).scope or "")


# -- the sweep -------------------------------------------------------------------------------------------------


def test_gradients_of_several_uses_add_up() -> None:
    x = leaf(3.0)
    y = x * x
    z = y + y * x + x
    z.backward()
    assert x.grad == 2 * 3 + 3 * 9 + 1


# Linear steps on vectors of four numbers: as an op, and as the matrices that it multiplies its operands with.
ONE, MASK, GATHER = np.eye(4), np.array([True, False, False, True]), [0, 0, 3, 1]
STEPS: list[tuple[Any, tuple[np.ndarray, ...]]] = [
    (lambda x, y: x + y, (ONE, ONE)),
    (lambda x, y: x - y, (ONE, -ONE)),
    (lambda x, y: np.where(MASK, x, y), (np.diag(1.0 * MASK), np.diag(1.0 * ~MASK))),
    (lambda x, y: np.concatenate([x[:2], y[2:]]), (np.diag([1, 1, 0, 0]), np.diag([0, 0, 1, 1]))),
    (lambda x, y: np.stack([x[0], y[1], x[2], y[3]]), (np.diag([1, 0, 1, 0]), np.diag([0, 1, 0, 1]))),
    (lambda x, y: x.sum() + y, (np.ones((4, 4)), ONE)),
    (lambda x, y: minigrad.linear(y, np.ones((4, 4)), x), (ONE, np.ones((4, 4)))),
    (lambda x: +x, (ONE,)),
    (lambda x: x * 2, (2 * ONE,)),
    (lambda x: x[::-1], (ONE[::-1],)),
    (lambda x: x[GATHER], (ONE[GATHER],)),
    (lambda x: x.reshape(2, 2).T.reshape(4), (ONE[[0, 2, 1, 3]],)),
]


@settings(max_examples=max(300, settings().max_examples))
@given(data=st.data())
def test_any_linear_graph_has_the_gradient_of_its_matrices(data: st.DataObject) -> None:
    """Exactly: all numbers are integers. It is here that a cotangent written to in the wrong place would show."""
    tensors = [leaf(np.zeros(4)), leaf(np.zeros(4))]
    made: list[tuple[tuple[np.ndarray, ...], list[int]]] = [((), []), ((), [])]
    for _ in range(data.draw(st.integers(1, 12))):
        step, matrices = data.draw(st.sampled_from(STEPS))
        operands = [data.draw(st.integers(0, len(tensors) - 1)) for _ in matrices]
        tensors.append(step(*(tensors[k] for k in operands)))
        made.append((matrices, operands))

    seed = np.array([1.0, 2.0, 3.0, 4.0])
    expected = [np.zeros(4) for _ in tensors]
    expected[-1] = seed.copy()
    for (matrices, operands), g in zip(reversed(made), reversed(expected), strict=True):
        for M, k in zip(matrices, operands, strict=True):
            expected[k] += M.T @ g

    for create_graph in (True, False):
        wanted = data.draw(st.permutations(range(len(tensors))))[: data.draw(st.integers(1, len(tensors)))]
        found = minigrad.grad(
            tensors[-1], [tensors[k] for k in wanted], seed=seed, create_graph=create_graph, retain_graph=True
        )
        for k, g in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(g.data, expected[k])
    tensors[-1].backward(seed)
    for x, g in zip(tensors[:2], expected, strict=False):
        np.testing.assert_array_equal(np.zeros(4) if x.grad is None else x.grad, g)


def test_constants_get_no_gradient() -> None:
    x, c = leaf(3.0), minigrad.tensor(2.0)
    (x * c).backward()
    assert (x.grad, c.grad) == (2, None)


def test_a_diamond_is_swept_once_per_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty times y = y + y: 40 nodes, and 2**40 paths."""
    calls = count_pullbacks(monkeypatch, "add")
    x = leaf(1.0)
    y = x
    for _ in range(40):
        y = y + y
    y.backward()
    assert x.grad == 2.0**40
    assert len(calls) == 2 * 40


def test_only_what_rules_need_is_kept() -> None:
    x, y = leaf(np.ones(3)), leaf(np.ones(3))
    assert (x + y)._node.saved == (None, None, None)
    assert (x.sum())._node.saved == (None, None)
    kept = (x * minigrad.tensor(np.ones(3)))._node.saved
    assert kept[:2] == (None, None)
    assert kept[2] is not None
    out = np.tanh(x)
    assert out._node.saved[0] is not None
    assert out._node.saved[1] is None


def test_an_error_of_a_rule_leaves_no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = np.exp(x) * y
    monkeypatch.setattr(TABLE["exp"], "pullbacks", (lambda *args: 1 / 0,))
    with pytest.raises(ZeroDivisionError):
        z.backward()
    assert (x.grad, y.grad) == (None, None)


# -- freeing ---------------------------------------------------------------------------------------------------


def test_a_second_backward_tells_what_to_do() -> None:
    x = leaf(2.0)
    with scope("lstm"), scope("t", 3):
        h = np.tanh(x)
    (h * 2).backward()
    with pytest.raises(GraphFreedError) as caught:
        (h * 3).backward()
    text = str(caught.value)
    for part in ("tanh", "lstm/t=3", "h = h.detach()", "backward(retain_graph=True)"):
        assert part in text


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 12
    with pytest.raises(GraphFreedError):
        y.backward()


def test_detaching_between_chunks() -> None:
    w = leaf(0.5)
    h = minigrad.tensor(1.0)
    for _ in range(3):
        h = h.detach() * w
        h.backward()
    assert w.grad == 1 + 0.5 + 0.25


@pytest.fixture
def without_the_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def nodes_of(*tensors: minigrad.Tensor) -> list[weakref.ref[Any]]:
    return [weakref.ref(node) for node in minigrad.Graph(tensors)]


def alive(nodes: list[weakref.ref[Any]]) -> int:
    return sum(node() is not None for node in nodes)


def network(x: minigrad.Tensor) -> minigrad.Tensor:
    h = np.concatenate([x[0:1], np.tanh(x[1:]) @ np.ones((1, 1))]) if x.ndim == 2 else np.tanh(x[1:])
    return (np.maximum(h, 0.1) * np.exp(h) + minigrad.softmax(h)).sum()


@pytest.mark.parametrize("how", ["forward", "backward", "retained", "grad", "create_graph", "second order", "error"])
@pytest.mark.usefixtures("without_the_garbage_collector")
def test_a_graph_is_freed_by_counting_references(how: str) -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = network(x)
    nodes = nodes_of(y)
    if how in ("backward", "retained", "error"):
        y.backward(retain_graph=how == "retained")
    if how == "error":
        with pytest.raises(GraphFreedError):
            y.backward()
    if how == "grad":
        minigrad.grad(y, x)
    if how in ("create_graph", "second order"):
        g = minigrad.grad(y, x, create_graph=True)
        nodes += nodes_of(g)
        if how == "second order":
            g.sum().backward()
        del g
    own = x._node
    del y
    assert [node() for node in nodes if node() is not None and node() is not own] == []


@pytest.mark.usefixtures("without_the_garbage_collector")
def test_backward_frees_what_rules_needed() -> None:
    x = leaf(np.ones(3))
    h = np.exp(x)
    y = (h * h).sum()
    values = weakref.ref(h._data)
    del h
    assert values() is not None
    y.backward()
    assert values() is None


@pytest.mark.usefixtures("without_the_garbage_collector")
def test_a_chain_of_100_000_ops() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = (y * 1.00001) + x
    nodes = nodes_of(y)
    assert len(nodes) == 100_001
    y.backward()
    q = 1.00001
    assert x.grad == pytest.approx(q**50_000 + (q**50_000 - 1) / (q - 1), rel=1e-9)
    del y
    assert alive(nodes) == 1  # x itself


def test_a_chain_of_20_000_ops_is_differentiated_twice() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y * 1.0001
    slope = minigrad.grad(y * y, x, create_graph=True)
    assert minigrad.grad(slope, x).item() == pytest.approx(2 * 1.0001**40_000, rel=1e-9)


# -- cost ------------------------------------------------------------------------------------------------------


def count_pullbacks(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    """The list grows by one with each call of a rule of that op."""
    op, calls = TABLE[name], []

    def counted(rule: Any) -> Any:
        return lambda *args: calls.append(1) or rule(*args)

    monkeypatch.setattr(op, "pullbacks", tuple(rule and counted(rule) for rule in op.pullbacks))
    return calls


def test_ten_thousand_slices_are_gathered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    op = TABLE["getitem"]
    gather, gathered = op.gathers[0], []
    monkeypatch.setitem(op.gathers, 0, lambda shape, pieces: gathered.append(len(pieces)) or gather(shape, pieces))
    pullbacks = count_pullbacks(monkeypatch, "getitem")
    x = leaf(np.ones((10_000, 2)))
    total = x[0].sum()
    for t in range(1, 10_000):
        total = total + x[t].sum() * t
    total.backward()
    np.testing.assert_array_equal(x.grad[:, 0], [1, *range(1, 10_000)])
    assert gathered == [10_000]
    assert pullbacks == []


@pytest.mark.parametrize("create_graph", [False, True])
def test_slices_cost_memory_for_one_array_and_not_for_each(create_graph: bool) -> None:
    x = leaf(np.ones((1000, 500)))
    total = sum(x[t][0] for t in range(1000))
    tracemalloc.start()
    minigrad.grad(total, x, create_graph=create_graph)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.data.nbytes  # the slices' cotangents are as large as x itself; 1000 arrays like x would be 4 GB


def test_a_fan_out_of_1000(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_pullbacks(monkeypatch, "multiply")
    x = leaf(np.ones(3))
    np.stack([x * float(k) for k in range(1000)]).sum().backward()
    np.testing.assert_array_equal(x.grad, 499_500)
    assert len(calls) == 1000


def test_a_fan_out_is_added_up_in_one_buffer() -> None:
    x = leaf(np.ones(100_000))
    parts = [x * float(k) for k in range(50)]
    total = sum(part[0] for part in parts)
    tracemalloc.start()
    total.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * x.data.nbytes


@pytest.mark.parametrize("uses", [63, 64, 65, 128, 200])
def test_a_weight_at_every_step_is_gathered_in_groups(uses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    op = TABLE["linear"]
    gather, gathered = op.gathers[1], []
    monkeypatch.setitem(op.gathers, 1, lambda shape, pieces: gathered.append(len(pieces)) or gather(shape, pieces))
    W, b = leaf(np.eye(2)), leaf(np.zeros(2))
    x = np.random.default_rng(0).normal(size=(uses, 3, 2))
    np.stack([minigrad.linear(row, W, b) for row in x]).sum().backward()
    np.testing.assert_allclose(W.grad, np.ones((2, 1)) * x.sum((0, 1)), rtol=1e-12)
    np.testing.assert_array_equal(b.grad, 3 * uses)
    assert gathered == [64] * (uses // 64) + [uses % 64] * (uses % 64 > 0)


def in_a_context(f: Callable[[], None]) -> None:
    """Call it so that, should it fail, no setting of it stays for the tests that follow."""
    contextvars.copy_context().run(f)


# -- no_grad ---------------------------------------------------------------------------------------------------


def test_nothing_is_recorded_under_no_grad() -> None:
    x = leaf([1.0, 2.0])
    with no_grad():
        results = [x * 2, x[0], np.concatenate([x, x]), x @ x, minigrad.softmax(x), x.reshape(2, 1)]
    assert not any(y.requires_grad for y in results)
    assert is_recording()


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def f(depth: int) -> list[bool]:
        return [is_recording(), *(f(depth - 1) if depth else [])]

    assert f(3) == [False] * 4
    assert is_recording()


def test_no_grad_nests() -> None:
    with no_grad():
        with no_grad():
            assert not is_recording()
        assert not is_recording()
    assert is_recording()


def test_one_no_grad_entered_twice() -> None:
    def twice() -> None:
        off = no_grad()
        with off:
            with off:
                assert not is_recording()
            assert not is_recording()
        assert is_recording()

    in_a_context(twice)


def test_recording_is_restored_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), no_grad():
        _ = 1 / 0

    @no_grad()
    def fails() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert is_recording()


def test_leaves_made_under_no_grad_require_grad() -> None:
    with no_grad():
        x = leaf(2.0)
    (x * x).backward()
    assert x.grad == 4


def in_a_thread(f: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(f()))
    thread.start()
    thread.join()
    return found[0]


def test_no_grad_and_scopes_hold_for_their_own_thread() -> None:
    with no_grad(), scope("outside"):
        assert in_a_thread(lambda: (is_recording(), place())) == (True, "")
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        with no_grad(), scope("other"):
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    assert (is_recording(), place()) == (True, "")
    done.set()
    thread.join()


def test_no_grad_and_scopes_hold_for_their_own_task() -> None:
    async def other(inside: asyncio.Event, done: asyncio.Event) -> None:
        with no_grad(), scope("other"):
            inside.set()
            await done.wait()

    async def main() -> tuple[bool, str]:
        inside, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(other(inside, done))
        await inside.wait()
        found = is_recording(), place()
        done.set()
        await task
        return found

    assert asyncio.run(main()) == (True, "")


# -- scopes ----------------------------------------------------------------------------------------------------


def test_scopes_nest_and_are_left() -> None:
    assert place() == ""
    with scope("lstm"):
        assert place() == "lstm"
        with scope("layer", 0), scope("t", 17):
            assert place() == "lstm/layer=0/t=17"
        assert place() == "lstm"
    assert place() == ""


def test_scopes_are_left_by_exceptions() -> None:
    with pytest.raises(ZeroDivisionError), scope("a"), scope("b"):
        _ = 1 / 0
    assert place() == ""


def test_one_scope_entered_twice() -> None:
    def twice() -> None:
        same = scope("a")
        with same:
            with same:
                assert place() == "a/a"
            assert place() == "a"
        assert place() == ""

    in_a_context(twice)


def test_a_scope_is_read_by_name() -> None:
    with scope("t", 1), scope("cell"), scope("t", 2):
        y = leaf(1.0) * 2
    get = y.scope.get
    assert (get("t"), get("cell", 5), get("layer"), get("layer", 3)) == (2, None, None, 3)
    assert [s.name for s in y.scope] == ["t", "cell", "t"]
    assert str(y.scope.parent) == "t=1/cell"


def test_scope_and_no_grad_do_not_undo_each_other() -> None:
    with scope("a"):
        with no_grad(), scope("b"):
            assert not is_recording()
            assert str(leaf(1.0).scope) == "a/b"
        assert (is_recording(), place()) == (True, "a")


def test_tensors_without_a_node_have_no_scope() -> None:
    assert minigrad.tensor(1.0).scope is None
    with scope("made"):
        assert str(leaf(1.0).scope) == "made"


# -- errors tell where -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["tensor", "array"])
def test_a_shape_mismatch_tells_the_op_the_shapes_and_the_scope(other: str) -> None:
    x = leaf(np.ones((2, 3)))
    y = leaf(np.ones((4, 3))) if other == "tensor" else np.ones((4, 3))
    for call, name in ((lambda: x + y, "add"), (lambda: x @ y, "matmul")):
        with pytest.raises(ValueError, match=r"shape|mismatch|aligned") as caught, scope("gru"), scope("t", 2):
            call()
        assert caught.value.__notes__ == [f"minigrad: in {name}, operands (2, 3), (4, 3), in scope gru/t=2"]


def test_the_note_without_a_scope_and_with_a_number() -> None:
    with pytest.raises(ValueError, match="reshape") as caught:
        leaf(np.ones((2, 3))).reshape(5)
    assert caught.value.__notes__ == ["minigrad: in reshape, operands (2, 3)"]
    with pytest.raises(TypeError) as error:
        leaf(1.0) + "a"
    assert "minigrad: in add, operands ()" in error.value.__notes__[0]


def fails(*args: Any) -> Any:
    raise ZeroDivisionError("on purpose")


def test_an_error_in_the_backward_pass_tells_where() -> None:
    bad = elementwise(np.multiply, lambda y: fails(), lambda x: x, name="bad", domain=REAL, doc="")
    x = leaf(np.ones((2, 3)))
    with scope("gru"), scope("t", 2):
        y = bad(x, 2.5)
    for create_graph in (False, True):
        with pytest.raises(ZeroDivisionError) as caught:
            minigrad.grad(y.sum(), x, create_graph=create_graph)
        note = "minigrad: in the backward pass of bad, operands (2, 3), 2.5, in scope gru/t=2"
        assert caught.value.__notes__ == [note]


def test_an_error_while_gathering_tells_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE["getitem"].gathers, 0, fails)
    x = leaf(np.ones((2, 3)))
    y = x[0].sum()
    with pytest.raises(ZeroDivisionError) as caught:
        y.backward()
    assert "in the backward pass of getitem" in caught.value.__notes__[0]


def test_a_rule_that_asks_for_what_there_is_not() -> None:
    with pytest.raises(TypeError, match="op twice: a rule asks for 'w'; it may ask for out, x, x_shape"):
        elementwise(np.exp, lambda w: w, name="twice", domain=REAL, doc="")


def test_a_new_op_is_differentiated_twice() -> None:
    cube = elementwise(lambda x: x * x * x, lambda x: 3 * x * x, name="cube", domain=REAL, doc="x cubed.")
    x = leaf([2.0])
    slope = minigrad.grad(cube(x), x, create_graph=True)
    assert (slope.item(), minigrad.grad(slope, x).item()) == (12, 12)
    assert cube(2.0) == 8


def test_reprs() -> None:
    x = leaf([1.0], name="w")
    with scope("t", 1):
        y = np.exp(x)
    number = y._node.number
    assert repr(y._node) == f"<Node {number}: exp (1,) float64 in t=1>"
    assert repr(x._node) == f"<Node {x._node.number}: leaf 'w' (1,) float64>"
    assert repr(y.scope) == "<Scope t=1>"
    assert repr(y._node.op) == "<Op exp: elementwise>"


@pytest.mark.parametrize("setting", [minigrad.no_grad(), minigrad.scope("shared")], ids=["no_grad", "scope"])
def test_one_setting_shared_by_two_threads_is_put_back_in_each(setting):
    inside, leave = threading.Barrier(2), threading.Barrier(2)
    after = []

    def enter():
        with setting:
            inside.wait()
            leave.wait()
        y = minigrad.tensor(1.0, requires_grad=True) * 2
        after.append((y.requires_grad, y.scope))

    threads = [threading.Thread(target=enter) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert after == [(True, None), (True, None)]
