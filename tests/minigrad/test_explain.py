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
    assert "def matmul_by_x" not in text
    assert "matmul_by_x(g" in blocks["matmul"]
    assert blocks["multiply"].count("to %") == 2  # y is both operands
    t = np.tanh([[1.0, 2.0]])
    assert f"norm {np.linalg.norm(2 * t * (1 - t**2)):.4g}" in blocks["x"]


def test_the_graph_stays_for_the_real_thing():
    x = mg.tensor(2.0, requires_grad=True)
    y = x * x
    mg.explain(y, x)
    y.backward()
    assert x.grad == 4.0


@pytest.mark.parametrize("name", sorted(mg.ops.TABLE))
def test_every_rule_of_the_table_has_a_text(name):
    from minigrad.explain import source_of

    for rule in mg.ops.TABLE[name].rules:
        if callable(rule):
            text = source_of(rule)
            assert text.count("(") == text.count(")")
            assert "\n" not in text
            assert text.startswith("lambda") or "(" in text


def test_what_cannot_be_explained_is_said():
    x, z = mg.tensor(2.0, requires_grad=True), mg.tensor(1.0, requires_grad=True)
    with pytest.raises(ValueError, match="does not depend on x"):
        mg.explain(x * x, z)
    with pytest.raises(ValueError, match="depend on any tensor"):
        mg.explain(mg.tensor(1.0), x)
