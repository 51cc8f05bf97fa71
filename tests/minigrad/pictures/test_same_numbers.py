"""What is shown of a gradient is the same in `.grad`, `explain`, a page and a picture, whatever its dtype and size."""

import runpy
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import RendererMissing
from minigrad.norms import norm
from minigrad.pictures import page as page_module

WRITTEN = runpy.run_path(str(Path(__file__).with_name("written.py")))
OPS = [
    lambda x, y: x + y, lambda x, y: x * y, lambda x, y: np.tanh(x) - y, lambda x, y: np.maximum(x, y),
    lambda x, y: x @ y.T @ x, lambda x, y: np.where(x > y, x, 2 * y), lambda x, y: x[::-1] + y[0],
    lambda x, y: mg.softmax(x) * y.sum(axis=0),
]  # fmt: skip
# Float16 and float32 numbers whose squares are 0 or infinite are among them.
SIZES = {np.float16: (1e-6, 1e-3, 1.0), np.float32: (1e-30, 1e-24, 1.0, 1e25), np.float64: (1e-200, 1e-24, 1.0, 1e200)}


@st.composite
def programs(draw):
    """A loss and its two named leaves; a factor makes the gradients tiny or huge."""
    dtype = draw(st.sampled_from(sorted(SIZES, key=str)))
    size = draw(st.sampled_from(SIZES[dtype]))
    shape = draw(st.sampled_from([(1, 2), (2, 3), (9, 9)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, W = (mg.tensor(random.normal(size=shape), dtype=dtype, requires_grad=True, name=name) for name in "xW")
    value = x + W
    for step in draw(st.lists(st.sampled_from(OPS), max_size=5)):
        value = np.tanh(step(value, draw(st.sampled_from([x, W]))))
    return (value * dtype(size)).sum(), x, W


def data_of(drawing):
    with mock.patch.object(page_module, "render", side_effect=RendererMissing("which takes long")):
        text = drawing.html()
    return WRITTEN["data_of"](text)


@pytest.mark.filterwarnings("ignore:overflow")
@given(programs())
def test_every_view_says_the_same(program):
    loss, *leaves = program
    graph = mg.Graph(loss)
    drawing = mg.draw(loss, show=("grad",))
    page = {graph.nodes[step["node"]]: step["g"] for step in data_of(drawing)["back"]}
    told = [mg.explain(loss, leaf) for leaf in leaves]
    loss.backward()
    for leaf, way in zip(leaves, told, strict=True):
        last = way.steps[-1]
        np.testing.assert_array_equal(last.cotangent, leaf.grad)
        assert last.cotangent.dtype == leaf.grad.dtype
        assert last.norm == page[last.node]["norm"] == norm(leaf.grad)
        for step in way.steps:
            assert step.norm == page[step.node]["norm"]
            assert f"shape {step.shape}, norm {step.norm:.4g}" in way
        (box,) = [box for box in drawing.picture.boxes if box.lines[0] == leaf.name]
        if leaf.size <= 6:
            expected = np.array2string(leaf.grad, precision=4, separator=", ").replace("\n", "")
        else:
            expected = " ".join(f"{key} {page[last.node][key]:.4g}" for key in ("min", "mean", "max"))
        assert box.lines[1] == f"grad {expected}"


def test_the_parts_of_a_gradient_on_a_page_add_up_to_it_also_behind_a_selection():
    x = mg.tensor([0.0, 1.0, 4.0], requires_grad=True)
    loss = (np.where(x > 0, np.sqrt(x), 0) + np.maximum(x, 1) * x).sum()
    data = data_of(mg.draw(loss))
    parts = {}
    for step in data["back"]:
        for part in step["parts"]:
            parts.setdefault(part["to"], []).append(WRITTEN["sent"](data, step, part))
    for step in data["back"]:
        if step["node"] in parts:
            np.testing.assert_allclose(sum(parts[step["node"]]), WRITTEN["array"](step["g"]), rtol=1e-6)


def test_the_gradient_of_eight_tiny_numbers_is_not_nothing():
    x = mg.tensor(np.ones(8), dtype=np.float32, requires_grad=True)
    loss = (x * np.float32(1e-24)).sum()
    assert mg.explain(loss, x).endswith("gradient: shape (8,), norm 2.828e-24")
    assert f"{data_of(mg.draw(loss))['back'][-1]['g']['norm']:.4g}" == "2.828e-24"
