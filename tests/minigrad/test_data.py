"""`Tensor.data`: read-only, and in-place operators give the tensor new values."""

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg

OPERATORS = ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"]


def leaf(*values: float, dtype: str = "float64") -> mg.Tensor:
    return mg.tensor(values, requires_grad=True, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("other", [2, 0.5, np.array([2.0, 3.0]), [2.0, 3.0], mg.tensor([2.0, 3.0])], ids=str)
def test_in_place_operators_do_what_they_do_to_an_array(name: str, other: Any, dtype: str) -> None:
    w = leaf(5.0, 7.0, dtype=dtype)
    expected = np.array([5.0, 7.0], dtype)
    graph = (w * w).sum()
    w.data = getattr(operator, name)(w.data, other)
    getattr(operator, name)(expected, other.numpy() if isinstance(other, mg.Tensor) else np.asarray(other))
    np.testing.assert_array_equal(w.data, getattr(operator, name)(np.array([5.0, 7.0], dtype), np.asarray(other)))
    assert (w.dtype, w.requires_grad, w.is_leaf) == (dtype, True, True)
    graph.backward()
    np.testing.assert_array_equal(w.grad, [10, 14])  # of the values that the graph was computed with


def test_gradient_descent_by_hand() -> None:
    w = leaf(4.0, -2.0)
    for _ in range(100):
        loss = ((w - 1) ** 2).sum()
        w.grad = None
        loss.backward()
        w.data -= 0.1 * w.grad
    np.testing.assert_allclose(w.data, [1, 1], atol=1e-8)


def test_a_matrix_product_in_place() -> None:
    w = mg.tensor(np.arange(4.0).reshape(2, 2))
    w.data @= np.array([[0.0, 1.0], [1.0, 0.0]])
    assert w.tolist() == [[1, 0], [3, 2]]


def test_a_name_for_the_values_changes_the_tensor_as_long_as_it_has_these_values() -> None:
    w = leaf(1.0)
    values = w.data
    values -= 0.25
    assert w.tolist() == values.tolist() == [0.75]
    w.data = [5.0]
    with pytest.raises(ValueError, match="former ones"):
        values -= 1
    w.data = values
    assert w.tolist() == [0.75]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_part_and_the_values_of_a_result_are_refused_with_words(name: str) -> None:
    w = leaf(1.0, 2.0)
    for values in (w.data[:1], w.data.reshape(2, 1), (w * 2).data):
        with pytest.raises(ValueError, match=r"read-only.*w\.data -= step.*new = w\.data\.copy\(\)"):
            getattr(operator, name)(values, 1)
    assert w.tolist() == [1, 2]


def test_elements_are_not_assigned() -> None:
    w = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"new = w\.data\.copy\(\); new\[0\] = 1; w\.data = new"):
        w.data[0] = 3
    with pytest.raises(ValueError, match="read-only"):
        w.data[0] += 3
    with pytest.raises(ValueError, match="read-only"):
        np.add(w.data, 1, out=w.data)
    with pytest.raises(ValueError, match=r"new data has shape \(2, 2\), but this tensor has \(2,\)"):
        w.data += np.ones((2, 2))
    with pytest.raises(TypeError, match="Cannot cast"):
        mg.tensor([1, 2]).data /= 2
    assert w.tolist() == [1, 2]


def test_what_is_computed_of_it_is_a_plain_array() -> None:
    values = leaf(1.0, 2.0).data
    for made in (values + 1, np.tanh(values), values.copy(), values.astype("float32"), np.stack([values, values]), values > 1,
                 values.sum(keepdims=True), copy.deepcopy(values), pickle.loads(pickle.dumps(values))):  # fmt: skip
        assert type(made) is np.ndarray
    assert type(mg.tensor(2.0).data * 2) is type(values.sum()) is np.float64
    own = values.copy()
    own -= 1
    own[0] = 5
    assert own.tolist() == [5, 1]
    assert values.tolist() == [1, 2]
    assert repr(values) == "array([1., 2.])"
    assert type(leaf(1.0).numpy()) is np.ndarray


def test_it_keeps_no_graph_alive() -> None:
    assert (leaf(1.0) * 2).data._owner is None


# -- w -= step on the tensor itself ----------------------------------------------------------------------------


SIGNS = {"iadd": r"\+", "isub": "-", "imul": r"\*", "itruediv": "/", "imod": "%", "ipow": r"\*\*"}


@pytest.mark.parametrize("name", SIGNS)
def test_an_update_of_a_leaf_that_would_lose_it_is_refused(name: str) -> None:
    w = leaf(3.0)
    (w * w).sum().backward()
    with pytest.raises(TypeError, match=rf"w\.data {SIGNS[name]}= step"):
        getattr(operator, name)(w, 0.5 * w.grad)


@pytest.mark.parametrize("name", SIGNS)
def test_without_recording_a_leaf_is_updated_in_place_as_in_pytorch(name: str) -> None:
    w = leaf(3.0)
    parameters = [w]
    (w * w).sum().backward()
    with mg.no_grad():
        for p in parameters:
            p = getattr(operator, name)(p, 2.0)
    assert w is parameters[0] is p
    assert w.requires_grad
    assert w.tolist() == [getattr(operator, name)(3.0, 2.0)]


def test_elsewhere_the_name_becomes_the_result() -> None:
    w = leaf(3.0)
    y = w
    y *= 2  # nothing was differentiated yet: a step of a computation
    assert (w.is_leaf, y.is_leaf) == (True, False)
    h = mg.tensor([1.0])
    before = h
    with mg.no_grad():
        h += 1
    assert (before.tolist(), h.tolist()) == ([1], [2])
    assert mg.grad(doubled)(3.0) == 2


def doubled(x: Any) -> Any:
    x *= 2
    return x


def test_who_made_a_leaf_a_result_is_told_at_its_gradient() -> None:
    w = leaf(1.0)
    w = w - 0.1
    with pytest.raises(AttributeError, match=r"only leaves gather a \.grad.*result of subtract.*w\.data -= step"):
        _ = w.grad
    with pytest.raises(
        ValueError, match=r"shape \(\), but this tensor has \(2,\).*to forget the gradient write t\.grad = None"
    ):
        leaf(1.0, 2.0).grad = 0  # type: ignore[assignment]
