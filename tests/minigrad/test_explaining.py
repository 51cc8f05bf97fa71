"""The way of a gradient, told node by node."""

import numpy as np
import pytest

import minigrad as mg


def test_it_tells_rules_shapes_and_norms_on_the_way_only():
    x = mg.tensor([[1.0, 2.0]], requires_grad=True, name="x")
    W = mg.tensor(np.eye(2), requires_grad=True, name="W")
    with mg.scope("t", 3):
        y = np.tanh(x @ W)
    loss = (y * y).sum() + np.exp(W).sum()
    text = mg.explain(loss, x)
    blocks = {block.split()[1].split("(")[0]: block for block in text.split("\n%")}
    assert list(blocks) == ["add", "sum", "multiply", "tanh", "matmul", "x"]
    assert "exp" not in text
    assert "g * (lambda out: 1 - out * out)" in blocks["tanh"]
    assert "in t=3" in blocks["matmul"]
    assert "matmul_by_x(g, x_shape, y), where\n        def matmul_by_x(" in blocks["matmul"]
    assert blocks["multiply"].count("to %") == 2  # y is both operands
    t = np.tanh([[1.0, 2.0]])
    assert f"norm {np.linalg.norm(2 * t * (1 - t**2)):.4g}" in blocks["x"]


def test_the_graph_stays_for_the_real_thing():
    x = mg.tensor(2.0, requires_grad=True)
    y = x * x
    mg.explain(y, x)
    y.backward()
    assert x.grad == 4.0


def test_what_is_returned_reads_as_its_text_and_has_the_steps():
    x = mg.tensor([1.0, 2.0], requires_grad=True, name="x")
    told = mg.explain((x * x).sum(), x)
    assert repr(told) == str(told) == f"{told}"
    assert type(str(told)) is str
    assert [step.node.op and step.node.op.name for step in told.steps] == ["sum", "multiply", None]
    product, leaf = told.steps[1:]
    assert product.shape == (2,)
    assert product.norm == pytest.approx(2**0.5)
    assert [rule.text for rule in product.rules] == ["g * (lambda y: y)", "g * (lambda x: x)"]
    assert {rule.operand for rule in product.rules} == {leaf.node}
    assert leaf.rules == ()
    np.testing.assert_array_equal(leaf.cotangent, [2.0, 4.0])


def test_a_leaf_by_itself():
    x = mg.tensor(2.0, requires_grad=True, name="x")
    assert str(mg.explain(x, x)) == "%0 x  requires grad  ()\n    gradient: shape (), norm 1"


def test_after_a_backward_pass_it_says_what_to_do():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    mg.explain(loss, x)
    loss.backward()
    with pytest.raises(mg.GraphFreedError, match=r"explain before backward.*retain_graph=True.*compute y again"):
        mg.explain(loss, x)


def test_what_cannot_be_explained_is_said():
    x, z = mg.tensor(2.0, requires_grad=True), mg.tensor(1.0, requires_grad=True)
    with pytest.raises(ValueError, match="does not depend on x"):
        mg.explain(x * x, z)
    with pytest.raises(ValueError, match="depend on any tensor"):
        mg.explain(mg.tensor(1.0), x)
    with pytest.raises(ValueError, match=r"y must be a single number, not of shape \(2,\); pass y.sum\(\)"):
        mg.explain(mg.tensor([1.0, 2.0], requires_grad=True) * 2, x)
    with pytest.raises(
        TypeError, match="takes two tensors, a result and an input, not function; call the function and pass its result"
    ):
        mg.explain(lambda x: x * x, x)
    with pytest.raises(TypeError, match=r"takes two tensors, a result and an input, not float$"):
        mg.explain(x * x, 2.0)
