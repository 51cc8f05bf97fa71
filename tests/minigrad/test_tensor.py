"""What a Tensor is: the owner of its values, a good citizen of NumPy and Python, and plain about what it cannot do."""

import copy
import math
import operator
import pickle
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import LeavesGraphError, Tensor


def leaf(array: Any, **options: Any) -> Tensor:
    return minigrad.tensor(array, requires_grad=True, **options)


# -- making one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [(1, int), (1.5, float), ([1, 2], int), ([[1.0]], float), ([True], bool), (np.float32(1), np.float32), ([], float)],
    ids=str,
)
def test_the_dtype_is_numpys_choice(data: Any, dtype: Any) -> None:
    t = minigrad.tensor(data)
    assert t.dtype == np.dtype(dtype)
    assert (t.shape, t.ndim, t.size) == (np.shape(data), np.ndim(data), np.size(data))
    np.testing.assert_array_equal(t.data, data)


def test_a_tensor_of_a_tensor_is_a_copy() -> None:
    x = minigrad.tensor([1.0, 2.0])
    y = minigrad.tensor(x, dtype="float32")
    assert not y.requires_grad
    assert y.dtype == np.float32


@pytest.mark.parametrize("data", [[1j], ["a"], [object()], np.array(["2020-01-01"], "M8[D]")], ids=["c", "U", "O", "M"])
def test_only_real_numbers(data: Any) -> None:
    with pytest.raises(TypeError, match=r"not supported|only real numbers"):
        minigrad.tensor(data)


@pytest.mark.parametrize("data", [[1, 2], [True], np.array([1], np.uint8)], ids=str)
def test_only_floating_point_tensors_require_grad(data: Any) -> None:
    with pytest.raises(TypeError, match=r"only floating-point tensors can require grad, this one is .* dtype=float"):
        leaf(data)
    assert leaf(data, dtype=float).requires_grad


@pytest.mark.parametrize("other", [1j, np.array([1j])], ids=["number", "array"])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_complex_operands_are_refused(other: Any, requires_grad: bool) -> None:
    t = minigrad.tensor([1.0], requires_grad=requires_grad)
    with pytest.raises(TypeError, match=r"complex numbers are not"):
        t * other
    with pytest.raises(TypeError, match=r"complex numbers are not"):
        other * t


def test_casting_to_integers_cannot_be_differentiated() -> None:
    with pytest.raises(TypeError, match=r"astype of a tensor that requires grad came out as int64.*detach"):
        leaf([1.0]).astype(np.int64)


def test_requires_grad_can_be_switched_on_leaves() -> None:
    x = minigrad.tensor([1.0, 2.0], name="x")
    x.requires_grad = True
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 4])
    x.requires_grad = False
    assert (x.requires_grad, x.grad, x.name, (x * x).requires_grad) == (False, None, "x", False)


def test_switching_requires_grad_off_leaves_recorded_graphs_alone() -> None:
    x, y = leaf(3.0), leaf(2.0)
    z = x * y
    x.requires_grad = False
    z.backward()
    assert y.grad == 3


def test_requires_grad_of_a_result_cannot_be_set() -> None:
    with pytest.raises(ValueError, match=r"leaves only; use \.detach\(\)"):
        (leaf(1.0) * 2).requires_grad = False


# -- ownership -------------------------------------------------------------------------------------------------


def change(array: np.ndarray) -> None:
    array[...] = 77 if array.dtype.kind == "f" else 0


def of_the_input(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    array = np.array([1.0, 2.0])
    x = leaf(array)
    y = x * x
    change(array)
    return y, x, [2, 4]


def of_a_raw_operand(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    y = x * array
    change(array)
    return y, x, [3, 4]


def of_a_view_of_a_raw_operand(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([3.0, 0.0, 4.0])
    y = np.sin(x[:1]) * 0 + x * array[::2]
    change(array)
    return y, x, [3, 4]


def of_a_matrix(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([[3.0], [4.0]])
    y = x @ array
    change(array)
    return y, x, [3, 4]


def of_a_raw_input_of_linear(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    W, array = leaf([[1.0, 2.0]]), np.array([[3.0, 4.0]])
    y = minigrad.linear(array, W)
    change(array)
    return y, W, [[3, 4]]  # type: ignore[list-item]


def of_a_condition(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([True, True])
    y = np.where(array, x, 0)
    change(array)
    return y, x, [1, 1]


def of_an_index_array(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([1, 1])
    y = x[array]
    change(array)
    return y, x, [0, 2]


def of_an_index_array_in_a_tuple(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([1, 1])
    y = x[..., array]
    change(array)
    return y, x, [0, 2]


def of_a_mask(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([False, True])
    y = x[array]
    change(array)
    return y, x, [0, 1]


def of_indices_to_take(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([1, 1])
    y = np.take(x, array)
    change(array)
    return y, x, [0, 2]


def of_targets(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([[0.0, 0.0]]), np.array([1])
    y = minigrad.cross_entropy(x, array)
    change(array)
    return y, x, [[0.5, -0.5]]  # type: ignore[list-item]


def of_bounds(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([1.0, 2.0]), np.array([1.5, 1.5])
    y = np.clip(x, array, None)
    change(array)
    return y, x, [0, 1]


def of_new_data(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, array = leaf([0.0, 0.0]), np.array([1.0, 2.0])
    x.data = array
    y = x * x
    change(array)
    return y, x, [2, 4]


def by_rebinding(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x = leaf([1.0, 2.0])
    y = x * x
    x.data = [5.0, 5.0]
    return y, x, [2, 4]


def by_rebinding_a_constant(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, c = leaf([1.0, 2.0]), minigrad.tensor([3.0, 4.0])
    y = x * c
    c.data = [5.0, 5.0]
    return y, x, [3, 4]


def by_rebinding_the_base_of_a_view(change: Any) -> tuple[Tensor, Tensor, list[float]]:
    x, c = leaf([1.0, 2.0]), minigrad.tensor([3.0, 0.0, 4.0])
    view = c[::2]
    c.data = [5.0, 5.0, 5.0]
    return x * view, x, [3, 4]


CHANGES = [f for name, f in list(globals().items()) if name.startswith(("of_", "by_"))]


@pytest.mark.parametrize("make", CHANGES, ids=lambda f: f.__name__)
def test_no_change_after_the_forward_pass_changes_the_gradient(make: Any) -> None:
    y, x, expected = make(change)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, expected)


def test_a_seed_changed_later_does_not_change_a_second_derivative() -> None:
    x, seed = leaf([1.0, 2.0]), np.ones(2)
    first = minigrad.grad(x * x, x, seed=seed, create_graph=True)
    seed[:] = 100
    np.testing.assert_array_equal(minigrad.grad(first.sum(), x).data, [2, 2])


def test_a_seed_stays_the_callers() -> None:
    x, seed = leaf([1.0, 2.0]), np.ones(2)
    found = minigrad.grad(x + 1, x, seed=seed, create_graph=True)
    assert found.data.tolist() == [1, 1]
    seed[0] = 5
    assert found.data.tolist() == [1, 1]


def test_gradients_are_the_callers_to_change() -> None:
    x, y, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0]), np.ones(2)
    (x + y).backward(seed)
    x.grad[:] = 9
    np.testing.assert_array_equal(y.grad, [1, 1])
    np.testing.assert_array_equal(seed, [1, 1])


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaf": lambda x: x,
    "result": lambda x: x * 2,
    "slice": lambda x: x[1:],
    "row": lambda x: x[0],
    "transpose": lambda x: x.T,
    "reshape": lambda x: x.reshape(-1),
    "broadcast": lambda x: np.broadcast_to(x, (4, 3, 2)),
    "view of a view": lambda x: x.T[1:].reshape(-1)[::2],
    "detached": lambda x: x.detach(),
    "gradient": lambda x: minigrad.grad((x * x).sum(), x),
    "recorded gradient": lambda x: minigrad.grad((x * x).sum(), x, create_graph=True),
}


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("name", VIEWS)
def test_values_are_read_only_and_stay_so(name: str, requires_grad: bool) -> None:
    x = leaf(np.ones((3, 2)))
    if not requires_grad and "gradient" not in name:
        x.requires_grad = False
    t = VIEWS[name](x)
    for array in (t.data, t.numpy(), t.data.T, t.data[...]):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 5
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True


def test_a_numpy_array_of_a_tensor_without_grad() -> None:
    t = minigrad.tensor([1.0, 2.0])
    shared, own = np.asarray(t), np.array(t)
    assert not shared.flags.writeable
    own[0] = 5
    assert t.tolist() == [1, 2]
    assert np.asarray(t, dtype="float32").dtype == np.float32


def test_new_data_must_fit() -> None:
    p = leaf(np.zeros((2, 3), "float32"), name="p")
    p.data = np.ones((2, 3))
    assert (p.dtype, p.name, p.requires_grad) == (np.float32, "p", True)
    with pytest.raises(ValueError, match=r"new data has shape \(3,\), but this tensor has \(2, 3\)"):
        p.data = np.ones(3)
    with pytest.raises(TypeError, match="Cannot cast"):
        p.data = np.full((2, 3), 1j)
    with pytest.raises(ValueError, match=r"values of a result .here of multiply. .* cannot be replaced"):
        (p * 2).data = np.ones((2, 3))


def test_new_data_keep_the_name() -> None:
    t = minigrad.tensor([1.0], name="x")
    t.data = [2.0]
    assert t.name == "x"


# -- leaving the graph -----------------------------------------------------------------------------------------


def assign_all(t: Tensor) -> None:
    np.zeros(2)[:] = t


def assign_one(t: Tensor) -> None:
    np.zeros((3, 2))[0] = t


def add_in_place(t: Tensor) -> None:
    a = np.zeros(2)
    a += t


LEAVING: dict[str, Callable[[Tensor], Any]] = {
    "np.asarray": np.asarray,
    "np.array": np.array,
    "list of tensors": lambda t: np.array([t, t]),
    "list of numbers": lambda t: np.array([t[0], t[1]]),
    "float": lambda t: float(t[0]),
    "int": lambda t: int(t[0]),
    "math.tanh": lambda t: math.tanh(t[0]),
    "a[:] = t": assign_all,
    "a[0] = t": assign_one,
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING.keys())
def test_no_silent_way_out_of_the_graph(leave: Callable[[Tensor], Any]) -> None:
    text = r"requires grad.*silently cut.*t\.detach\(\)\.numpy\(\).*t\.item\(\).*np\.stack"
    with pytest.raises(LeavesGraphError, match=text):
        leave(leaf([1.0, 2.0]))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("np.linalg.eigvals", lambda t: np.linalg.eigvals(t)),
        ("np.fft.fft", lambda t: np.fft.fft(t)),
        ("np.fft.rfft", lambda t: np.fft.rfft(t)),
        ("np.unwrap", lambda t: np.unwrap(t)),
        ("np.nextafter", lambda t: np.nextafter(t, 1.0)),
        ("np.subtract.reduce", lambda t: np.subtract.reduce(t)),
        ("np.subtract.outer", lambda t: np.subtract.outer(t, t)),
    ],
)
def test_functions_without_a_derivative_say_so(name: str, call: Callable[[Tensor], Any]) -> None:
    text = rf"^{name} has no derivative in minigrad.*detach\(\).*minigrad\.ops\.TABLE"
    with pytest.raises(LeavesGraphError, match=text):
        call(leaf(np.eye(2)))


@pytest.mark.parametrize("call", [lambda t: np.add(t, 1, out=np.zeros((2, 2))), lambda t: add_in_place(t[0])])
def test_a_tensor_in_the_graph_is_not_written_into_an_array(call: Callable[[Tensor], Any]) -> None:
    with pytest.raises(LeavesGraphError, match=r"^np\.add\(\.\.\., out=array\).*use the result: a = a \+ t"):
        call(leaf(np.eye(2)))


def test_functions_without_a_derivative_take_tensors_that_need_none() -> None:
    t = minigrad.tensor(np.diag([3.0, 4.0]))
    for found, expected in (
        (np.linalg.eigvals(t), [3, 4]),
        (np.vander(t[0], 2), [[3, 1], [0, 1]]),
        (np.subtract.reduce(t), [3, -4]),
    ):
        assert not isinstance(found, Tensor)
        np.testing.assert_array_equal(found, expected)
    out = np.zeros((2, 2))
    np.add(t, 1, out=out)
    np.testing.assert_array_equal(out, [[4, 1], [1, 5]])


def test_a_tensor_is_never_written_to() -> None:
    for t in (leaf([1.0]), minigrad.tensor([1.0])):
        with pytest.raises(TypeError, match=r"np\.add\(\.\.\., out=tensor\): a Tensor's values are never written to"):
            np.add(np.ones(1), np.ones(1), out=t)
        with pytest.raises(TypeError, match=r"cannot be assigned to.*np\.where\(mask, v, t\).*p\.data = new_values"):
            t[0] = 5
        with pytest.raises((TypeError, ValueError)):
            np.copyto(t, 5)
        assert t.item() == 1


def test_adding_in_place_makes_a_new_tensor() -> None:
    x = leaf([1.0, 2.0])
    y = x
    y += 1
    assert x.tolist() == [1, 2]
    assert y.tolist() == [2, 3]


COMPARISONS = [np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal]


@pytest.mark.parametrize("f", COMPARISONS, ids=lambda f: f.__name__)
def test_comparisons_are_plain_arrays(f: Any) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    for found in (f(leaf(x), leaf(y)), f(x, leaf(y)), f(leaf(x), y)):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, f(x, y))


@pytest.mark.parametrize("f", [operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne])
def test_operators_of_comparison_are_plain_arrays(f: Any) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    for found in (f(leaf(x), leaf(y)), f(x, leaf(y)), f(leaf(x), y)):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, f(x, y))
    np.testing.assert_array_equal(f(2, leaf(x)), f(2, x))
    np.testing.assert_array_equal(f(leaf(x), 2), f(x, 2))


@pytest.mark.parametrize(
    "f",
    [np.isfinite, np.isnan, np.sign, np.floor, np.rint, np.round, np.all, np.any, np.argmax, np.argsort, np.nonzero,
     np.count_nonzero, np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.isinf, np.logical_not],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_functions_that_are_flat_give_plain_arrays(f: Any) -> None:
    x = np.array([[1.5, -0.5, 0.0], [2.5, -7.0, 3.0]])
    found, expected = f(leaf(x)), f(x)
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found, expected)


def test_argmax_and_sign_of_tensors() -> None:
    x = np.array([[1.5, -0.5], [2.5, -7.0]])
    assert leaf(x).argmax() == 2
    assert leaf(x).argmin(axis=1).tolist() == [1, 1]
    assert minigrad.sign(leaf(x)).tolist() == [[1, -1], [1, -1]]


# -- Python's protocols ----------------------------------------------------------------------------------------


def test_len_and_iteration() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    first, second = x
    (first * second).sum().backward()
    np.testing.assert_array_equal(x.grad, [[3, 4], [1, 2]])
    assert [t.item() for t in minigrad.tensor([5, 6])] == [5, 6]


def test_len_and_iteration_of_one_number() -> None:
    with pytest.raises(TypeError, match="0-d"):
        len(leaf(1.0))
    with pytest.raises(TypeError, match="0-d"):
        iter(leaf(1.0))


def test_bool_and_contains() -> None:
    assert leaf(1.0)
    assert not leaf(0.0)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(leaf([1.0, 2.0]))
    assert 2 in leaf([1.0, 2.0])
    assert 3 not in leaf([1.0, 2.0])


def test_numbers_of_tensors_without_grad() -> None:
    assert float(minigrad.tensor(1.5)) == math.floor(1.5) + 0.5
    assert int(minigrad.tensor(3)) == 3
    assert [10, 20, 30][minigrad.tensor(1)] == 20
    assert leaf([1.5]).item() == 1.5
    assert type(minigrad.tensor(1).item()) is int
    assert leaf([[1.0, 2.0]]).tolist() == [[1, 2]]
    with pytest.raises(TypeError):
        [10, 20][minigrad.tensor(1.0)]


def test_tensors_are_keys_by_identity() -> None:
    x, y = leaf([1.0]), leaf([1.0])
    assert {x: 1, y: 2}[x] == 1
    assert len({x, y, x}) == 2


def test_repr() -> None:
    assert repr(minigrad.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(leaf([1.0, 2.0], name="x")) == "tensor([1., 2.], requires_grad=True, name='x')"
    assert repr(leaf([1.0], dtype="float32") * 2) == "tensor([2.], dtype=float32, op=multiply)"
    assert repr(leaf([[1.0], [2.0]])) == "tensor([[1.],\n        [2.]], requires_grad=True)"
    assert str(minigrad.tensor(3.0)) == "tensor(3.)"


def test_format() -> None:
    assert f"{leaf(1.23456):.2f}" == f"{leaf([[1.23456]]):.2f}" == "1.23"
    assert f"{minigrad.tensor([1, 2])}" == "tensor([1, 2])"


def test_names() -> None:
    x = leaf(1.0)
    assert x.name is None
    x.name = "x"
    y = x * 2
    y.name = "y"
    assert (x.name, y.name, y.detach().name) == ("x", "y", "y")


def pickled(t: Tensor) -> Any:
    return pickle.loads(pickle.dumps(t))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled], ids=lambda f: f.__name__)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_leaves_can_be_copied_and_pickled(again: Any, requires_grad: bool) -> None:
    t = minigrad.tensor([1.0, 2.0], requires_grad=requires_grad, dtype="float32", name="t")
    other = again(t)
    assert (other.tolist(), other.dtype, other.name, other.requires_grad) == ([1, 2], np.float32, "t", requires_grad)
    assert not np.shares_memory(other.data, t.data)
    if requires_grad:
        other.sum().backward()
        assert t.grad is None


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__name__)
def test_results_can_be_neither_copied_nor_pickled(again: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot copy or pickle.*\.detach\(\)"):
        again(leaf([1.0]) * 2)
    assert again((leaf([1.0]) * 2).detach()) is not None


# -- .grad and backward ----------------------------------------------------------------------------------------


def test_backward_adds_to_grad() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    first = x.grad
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [5, 7])
    np.testing.assert_array_equal(first, [2, 4])


def test_backward_from_a_leaf() -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad == 1


def test_backward_takes_a_seed() -> None:
    x = leaf([1.0, 2.0])
    (x * x).backward([10, 1])
    np.testing.assert_array_equal(x.grad, [20, 4])
    (x * x).backward(minigrad.tensor([1.0, 0.0]))
    np.testing.assert_array_equal(x.grad, [22, 4])


def test_backward_of_one_element_needs_no_seed() -> None:
    x = leaf([[2.0]])
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, [[4]])


def test_backward_refuses_what_has_no_one_gradient() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\), and a gradient starts from one number.*give a seed"):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"the seed has shape \(3,\), but this tensor has \(2,\)"):
        (x * x).backward(np.ones(3))
    with pytest.raises(ValueError, match=r"the seed has shape \(\), but this tensor has \(2,\)"):
        (x * x).backward(1.0)
    with pytest.raises(TypeError, match="Cannot cast"):
        (x * x).backward(np.array([1j, 1j]))
    assert x.grad is None


def test_backward_refuses_what_was_not_recorded() -> None:
    with pytest.raises(ValueError, match=r"does not depend on any tensor with requires_grad=True.*no_grad.*detached"):
        minigrad.tensor(1.0).backward()
    with pytest.raises(ValueError, match="does not depend on any"):
        leaf(1.0).detach().backward()


def test_detach_cuts() -> None:
    x = leaf(3.0)
    y = x * x
    (y.detach() * x).backward()
    assert x.grad == 9
    assert y.detach().is_leaf
    assert not y.is_leaf


def test_grad_belongs_to_leaves() -> None:
    x = leaf([1.0])
    y = x * 2
    text = r"only leaves gather a \.grad.*result of multiply.*minigrad\.grad\(loss, tensor\)"
    with pytest.raises(AttributeError, match=text):
        _ = y.grad
    with pytest.raises(ValueError, match=r"only a leaf that requires grad has a \.grad to set"):
        y.grad = np.ones(1)
    assert x.grad is None
    assert minigrad.tensor([1.0]).grad is None


def test_grad_can_be_set() -> None:
    x = leaf([1.0, 2.0], dtype="float32")
    given = np.array([5.0, 6.0])
    x.grad = given
    given[:] = 0
    assert x.grad.dtype == np.float32
    x.sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 7])
    x.grad = None
    assert x.grad is None
    with pytest.raises(ValueError, match=r"a gradient has shape \(\), but this tensor has \(2,\)"):
        x.grad = 0.0


# -- freezing, copying, threads --------------------------------------------------------------------------------


def test_a_graph_recorded_before_freezing_finds_its_leaf_after_thawing():
    a = minigrad.tensor([1.0, 2.0], requires_grad=True, name="a")
    y = (a * a).sum()
    a.requires_grad = False
    assert a.name == "a"
    assert not (a * 2).requires_grad
    a.requires_grad = True
    np.testing.assert_array_equal(minigrad.grad(y, a, retain_graph=True).data, [2.0, 4.0])
    y.backward()
    np.testing.assert_array_equal(a.grad, [2.0, 4.0])


def test_what_was_computed_while_frozen_stays_constant():
    a = minigrad.tensor([1.0, 2.0], requires_grad=True)
    b = minigrad.tensor([3.0, 4.0], requires_grad=True)
    a.requires_grad = False
    y = (a * b).sum()
    a.requires_grad = True
    y.backward()
    assert a.grad is None
    np.testing.assert_array_equal(b.grad, [1.0, 2.0])


def test_a_tensor_is_not_made_of_one_in_a_graph():
    x = minigrad.tensor([1.0], requires_grad=True)
    with pytest.raises(minigrad.LeavesGraphError, match="detach"):
        minigrad.tensor(x * 2)
    assert minigrad.tensor((x * 2).detach()).tolist() == [2.0]


def test_many_threads_may_add_to_one_gradient():
    w = minigrad.tensor([1.0], requires_grad=True)

    def work() -> None:
        for _ in range(200):
            (w * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert w.grad.item() == 8 * 200 * 2


def test_nones_that_mean_nothing_are_taken_and_real_options_are_named():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    assert np.sum(x, dtype=None, out=None).item() == 3.0
    with pytest.raises(TypeError, match=r"np\.sum of a Tensor supports only out="):
        np.sum(x, out=np.zeros(()))
    with pytest.raises(TypeError, match=r"np\.exp of a Tensor supports only where="):
        np.exp(x, where=np.array([True, False]))
    a = np.zeros(2)
    with pytest.raises(minigrad.LeavesGraphError, match="a = a \\+ t"):
        a += x


def test_a_name_is_a_text():
    with pytest.raises(TypeError, match="a name must be a string, not 5"):
        minigrad.tensor(1.0, name=5)


def test_errors_in_an_op_show_its_generated_source():
    x, y = minigrad.tensor([1.0, 2.0], requires_grad=True), minigrad.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ValueError, match="broadcast") as error:
        minigrad.multiply(x, y)
    assert "out = forward(a, b)" in "".join(traceback.format_exception(error.value))


def test_matplotlib_plots_detached_tensors_and_says_what_to_give_of_others() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    w = leaf([1.0, 2.0])
    y = w * 2
    for t in (y.detach(), minigrad.tensor([1.0, 2.0])):
        axes.plot(t)
        axes.plot(t, t)
        axes.scatter(t, t)
        axes.hist(t)
        axes.bar([0, 1], t)
        axes.imshow(t[None])
        axes.axhline(t[0])
    assert [line.get_ydata(orig=False).tolist() for line in axes.lines[:2]] == [[2, 4], [2, 4]]
    for t in (w, y):
        for call in (
            axes.plot,
            axes.hist,
            lambda t: axes.scatter(t, t),
            lambda t: axes.imshow(t[None]),
            lambda t: axes.plot(t, t),
        ):
            with pytest.raises((TypeError, LeavesGraphError), match=r"t\.detach\(\)"):
                call(t)


def test_an_element_that_is_put_into_an_array_is_refused_with_words() -> None:
    a = np.zeros(3)
    with pytest.raises(ValueError, match="setting an array element") as error:
        a[0] = leaf([1.0])[0]
    assert isinstance(error.value.__cause__, LeavesGraphError)
    assert "a[0] = t" in str(error.value.__cause__)
    a[0] = leaf([1.0])[0].detach()
    a[1] = leaf([2.0])[0].item()
    assert a.tolist() == [1, 2, 0]


def test_arrays_of_other_libraries_are_converted() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.array([1.0, 2.0], dtype)

        def __array_function__(self, *_: Any) -> Any:
            raise AssertionError("it is an array for this function already")

    x = minigrad.tensor([3.0, 4.0], requires_grad=True)
    assert minigrad.tensor(Foreign()).tolist() == [1.0, 2.0]  # type: ignore[arg-type]
    minigrad.multiply(x, Foreign()).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 2.0]
