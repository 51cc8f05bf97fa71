"""The text of a graph."""

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Graph
from minigrad.pictures.known_values import values_held, values_saved, values_that_follow


def leaf(array: Any, **options: Any) -> minigrad.Tensor:
    return minigrad.tensor(array, requires_grad=True, **options)


def test_a_line_per_node() -> None:
    x = minigrad.tensor(np.ones((4, 3)), name="x")
    W, b = leaf(np.ones((2, 3)), name="W"), leaf(np.ones(2), dtype="float32")
    with minigrad.scope("layer", 0):
        h = np.tanh(x @ W.T + b)
    loss = (h * 0.5).sum()
    loss.name = "loss"
    assert str(Graph(loss)).splitlines() == [
        "%0  x     constant           (4, 3)  float64",
        "%1  W     requires grad      (2, 3)  float64",
        "%2        requires grad      (2,)    float32",
        "%3        transpose(%1)      (3, 2)  float64  layer=0",
        "%4        matmul(%0, %3)     (4, 2)  float64  layer=0",
        "%5        add(%4, %2)        (4, 2)  float64  layer=0",
        "%6        tanh(%5)           (4, 2)  float64  layer=0",
        "%7        multiply(%6, 0.5)  (4, 2)  float64",
        "%8  loss  sum(%7)            ()      float64",
    ]


def test_it_stays_after_backward() -> None:
    x = leaf([1.0, 2.0], name="x")
    loss = (np.exp(x) * x).sum()
    before = str(Graph(loss))
    graph = Graph(loss)
    loss.backward()
    assert str(Graph(loss)) == str(graph) == before


def test_nodes_are_in_the_order_they_were_made() -> None:
    x = leaf([1.0])
    y = x * 2
    z = y + x
    graph = Graph([z, y])
    assert len(graph) == 3
    assert [node.op and node.op.name for node in graph] == [None, "multiply", "add"]
    assert [node.number for node in graph.nodes] == sorted(node.number for node in graph)
    assert [graph.index[node] for node in graph.outputs] == [2, 1]
    assert repr(graph) == "<Graph of 3 nodes; print() shows them>"


def test_arrays_and_tensors_without_grad_are_constants() -> None:
    c = minigrad.tensor([2.0], name="c")
    y = leaf([1.0]) * c + np.array([3.0]) + c
    assert [line.split()[1:3] for line in str(Graph(y)).splitlines() if "constant" in line] == [
        ["c", "constant"],
        ["constant", "(1,)"],
    ]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: x[1:3, ..., None], "getitem(%0, index=(1:3, ..., None))"),
        (lambda x: x[0], "getitem(%0, index=(0,))"),
        (lambda x: x[::-1, 2:], "getitem(%0, index=(::-1, 2:))"),
        (lambda x: x[[0, 2]], "getitem(%0, index=([0, 2],))"),
        (lambda x: x[np.arange(8) % 4], "getitem(%0, index=(array(8,),))"),
        (lambda x: x.sum(), "sum(%0)"),
        (lambda x: x.sum(axis=0), "sum(%0, axis=(0,))"),
        (lambda x: x.max(axis=(0, 1), keepdims=True), "max(%0, axis=(0, 1), keepdims=True)"),
        (lambda x: x.softmax(0), "softmax(%0, axis=0)"),
        (lambda x: x.reshape(12), "reshape(%0)"),
        (lambda x: x.transpose(1, 0), "transpose(%0, axes=(1, 0))"),
        (lambda x: np.concatenate([x, x], 1), "concatenate(%0, %0, axis=1)"),
        (lambda x: 2 / x, "divide(2, %0)"),
        (lambda x: np.clip(x, 0.5, None), "clip(%0, 0.5, None)"),
        (lambda x: x.astype("float32"), "astype(%0, dtype=float32)"),
    ],
)
def test_an_op_as_a_call(call: Any, text: str) -> None:
    graph = Graph(call(leaf(np.ones((4, 3)))))
    assert graph.expression(graph.outputs[0]) == text


def test_odd_names_do_not_break_lines() -> None:
    x = leaf([1.0], name="a\nb\t c")
    lines = str(Graph(x * 2)).splitlines()
    assert len(lines) == 2
    assert lines[0].split()[1:4] == ["a", "b", "c"]


def test_odd_scopes_do_not_break_lines() -> None:
    with minigrad.scope("first\nsecond", "x\ny"):
        y = leaf([1.0]) * 2
    assert len(str(Graph(y)).splitlines()) == 2


def test_only_recorded_tensors_have_a_graph() -> None:
    with pytest.raises(ValueError, match="does not depend on any tensor with requires_grad=True"):
        Graph(minigrad.tensor([1.0]))
    assert str(Graph(minigrad.tensor([1.0], name="c"), constants=True)) == "%0  c  constant  (1,)  float64"


def test_the_graph_of_a_gradient() -> None:
    x = leaf(2.0, name="x")
    y = x * x
    slope = minigrad.grad(y, x, create_graph=True)
    assert [node.op.name for node in Graph(slope) if node.op] == ["multiply", "multiply", "add"]


def test_the_backward_pass_is_shown_too():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True, name="x")
    w = minigrad.tensor(3.0, requires_grad=True)
    with minigrad.scope("t", 4):
        y = np.tanh(x * w)
    graph = minigrad.Graph(y.sum(), backward=True)
    text = str(graph)
    forward, backward = text.split("-- backward\n")
    assert forward.rstrip("\n").replace(" ", "") == str(minigrad.Graph(y.sum())).replace(" ", "")
    assert "seed" in backward.splitlines()[0]
    assert "grad x" in backward
    assert "grad %1" in backward
    assert "t=4" in next(line for line in backward.splitlines() if "subtract(1" in line)
    assert graph.gradients.keys() == {x._node, w._node}
    assert [g.shape for g in graph.gradients.values()] == [(2,), ()]
    assert x.grad is None


def test_the_backward_pass_shown_is_the_gradient():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = np.sin(x) * np.exp(x)
    graph = minigrad.Graph(y.sum(), backward=True)
    ops = [node.op.name for node in graph if node.op and node.number > graph.seed.number]
    assert "cos" in ops
    assert ops.count("multiply") >= 3
    y.sum().backward()  # the graph was kept
    assert np.allclose(x.grad, np.exp(x.data) * (np.sin(x.data) + np.cos(x.data)))


def test_the_backward_pass_of_the_leaf_itself_and_of_a_sum():
    x = minigrad.tensor(1.0, requires_grad=True, name="x")
    assert str(minigrad.Graph(x, backward=True)).splitlines()[-1].startswith("%1  seed, grad x")
    y = minigrad.tensor(2.0, requires_grad=True, name="y")
    assert "seed, grad x, grad y" in str(minigrad.Graph(x + y, backward=True))
    with pytest.raises(ValueError, match="begins at one tensor, not at 2"):
        minigrad.Graph([x + y, x * y], backward=True)


def test_the_backward_pass_needs_a_graph_that_is_not_freed():
    x = minigrad.tensor(1.0, requires_grad=True)
    y = np.sin(x)
    y.backward()
    with pytest.raises(minigrad.GraphFreedError):
        minigrad.Graph(y, backward=True)


def test_the_backward_pass_is_recorded_under_no_grad_too():
    y = np.sin(minigrad.tensor(1.0, requires_grad=True))
    with minigrad.no_grad():
        assert "cos" in str(minigrad.Graph(y, backward=True))


def test_a_function_in_the_place_of_a_tensor_is_refused_with_words() -> None:
    with pytest.raises(TypeError, match="expected a Tensor, not function; call the function and give its result"):
        minigrad.Graph(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected a Tensor, not ndarray; make it with minigrad\.tensor"):
        minigrad.Graph(np.ones(2))  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_recorded_backward_pass_says_which_node_is_the_gradient_of_which(steps: int) -> None:
    rng = np.random.default_rng(steps)
    W, U = (minigrad.tensor(rng.normal(size=(3, 3)), requires_grad=True) for _ in range(2))
    h: minigrad.Tensor = minigrad.tensor(np.zeros((2, 3)))
    made: list[minigrad.Tensor] = []
    for t in range(steps):
        h = np.tanh(h @ W + rng.normal(size=(2, 3)) @ U + 0.1 * t)
        made += [h, h * h]
    loss = sum((x**2).sum() for x in made)
    graph = minigrad.Graph(loss, backward=True)
    known = {**values_saved(graph), **values_held(graph, [W, U, *made]), graph.seed: np.ones(())}
    values = values_that_follow(graph, known)
    expected = minigrad.grad(loss, made, retain_graph=True)
    for tensor, gradient in zip(made, expected, strict=True):
        np.testing.assert_allclose(values[graph.cotangents[tensor._node]], gradient.data, rtol=1e-12)
    assert {W._differentiable(), U._differentiable()} <= set(graph.gradients)
