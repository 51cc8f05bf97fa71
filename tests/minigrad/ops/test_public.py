"""The functions people call: their three spellings, Python numbers, arrays on the left, dtypes, and NumPy's results."""

import operator
import re
from itertools import product
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import FUNCTIONS, REDUCTIONS, TABLE

RANDOM = np.random.default_rng(0)
A = RANDOM.uniform(0.5, 2.0, (2, 3, 4))
B = RANDOM.uniform(0.5, 2.0, (3, 4))


def leaf(array: Any, dtype: Any = None) -> minigrad.Tensor:
    return minigrad.tensor(array, requires_grad=True, dtype=dtype)


def op_name(t: minigrad.Tensor) -> str:
    return minigrad.Graph(t).outputs[0].op.name


def assert_same(found: Any, expected: Any) -> None:
    """The same bits in the same dtype."""
    found = found.data if isinstance(found, minigrad.Tensor) else found
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.tobytes() == np.asarray(expected).tobytes()


# -- one op, several spellings ---------------------------------------------------------------------------------

UNARY, BINARY = ([op.name for op in TABLE.values() if isinstance(op.forward, np.ufunc) and op.forward.nin == n] for n in (1, 2))


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions_are_numpys(name: str) -> None:
    domain = TABLE[name].domain
    x = A + 1 if domain.low >= 1 else A - 1 if domain.high <= 1 else A
    t, expected = leaf(x), getattr(np, name)(x)
    spellings = [getattr(np, name)(t), getattr(minigrad, name)(t)]
    if hasattr(minigrad.Tensor, name):
        spellings.append(getattr(t, name)())
    for y in spellings:
        assert op_name(y) == name
        assert_same(y, expected)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kinds", ["tt", "ta", "at"])
def test_binary_functions_are_numpys(name: str, kinds: str) -> None:
    x, y = (leaf(v) if kind == "t" else v for kind, v in zip(kinds, (A, B), strict=True))
    for f in (getattr(np, name), getattr(minigrad, name)):
        assert op_name(f(x, y)) == name
        assert_same(f(x, y), getattr(np, name)(A, B))


OPERATORS = ["add", "sub", "mul", "truediv", "pow", "matmul"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kinds", ["tt", "ta", "at"])
def test_operators_work_with_arrays_on_either_side(name: str, kinds: str) -> None:
    square = A[0, :, :3]
    x, y = (leaf(square) if kind == "t" else square for kind in kinds)
    f = getattr(operator, name)
    assert isinstance(f(x, y), minigrad.Tensor)
    assert f(x, y).requires_grad
    assert_same(f(x, y), f(square, square))


@pytest.mark.parametrize("name", OPERATORS[:-1])
@pytest.mark.parametrize("number", [3, 2.5, True, np.float64(2.5), np.float32(2.5)], ids=repr)
def test_operators_work_with_numbers_on_either_side(name: str, number: Any) -> None:
    f = getattr(operator, name)
    for dtype in ("float16", "float32", "float64"):
        x = A.astype(dtype)
        assert_same(f(leaf(x), number), f(x, number))
        assert_same(f(number, leaf(x)), f(number, x))


@pytest.mark.parametrize("f", [operator.neg, operator.pos, abs])
def test_unary_operators(f: Any) -> None:
    assert_same(f(leaf(A - 1)), f(A - 1))


def test_derivatives_by_either_side_of_an_operator() -> None:
    def slope(f: Any) -> float:
        t = leaf(2.0)
        return minigrad.grad(f(t), t).item()

    assert slope(lambda t: t - 3) == 1
    assert slope(lambda t: 3 - t) == -1
    assert slope(lambda t: t / 4) == 0.25
    assert slope(lambda t: 4 / t) == -1
    assert slope(lambda t: t**3) == 12
    assert slope(lambda t: 3**t) == pytest.approx(9 * np.log(3), rel=1e-15)
    assert slope(lambda t: np.array([1.0, 2.0]) @ (t * np.array([3.0, 4.0]))) == 11


def test_dtypes_follow_numpys_promotion() -> None:
    x = leaf([1.0, 2.0], "float32")
    assert (x * 2.0).dtype == (x * 2).dtype == (2.0 / x).dtype == np.float32
    assert (x * np.float64(2)).dtype == (np.float64(2) * x).dtype == np.float64
    assert (x * np.ones(2)).dtype == (x + leaf(1.0)).dtype == np.float64
    assert (leaf([1.0], "float16") * x).dtype == np.float32
    (x * np.float64(2)).sum().backward()
    assert x.grad.dtype == np.float32


def test_astype_casts_and_its_gradient_casts_back() -> None:
    x = leaf(A)
    y = x.astype("float32")
    assert_same(y, A.astype("float32"))
    assert_same(minigrad.astype(x, np.float16), A.astype("float16"))
    (g,) = minigrad.grad(y * y, [x], seed=np.ones(A.shape))
    assert_same(g, 2.0 * A.astype("float32").astype(float))


def test_without_a_tensor_the_result_is_a_plain_array() -> None:
    assert type(minigrad.add(A, B)) is np.ndarray
    assert type(minigrad.softmax(A)) is np.ndarray
    assert type(minigrad.concatenate([A, A])) is np.ndarray


# -- reductions ------------------------------------------------------------------------------------------------

AXES = [None, 0, 1, -1, (0, 2), (-1, 0), ()]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize(("axis", "keepdims"), list(product(AXES, [False, True])))
def test_reductions_are_numpys(name: str, axis: Any, keepdims: bool) -> None:
    t, expected = leaf(A), np.asarray(getattr(np, name)(A, axis=axis, keepdims=keepdims))
    for f in (getattr(np, name), getattr(minigrad, name), getattr(minigrad.Tensor, name)):
        assert_same(f(t, axis=axis, keepdims=keepdims), expected)
        assert op_name(f(t, axis)) == name


@pytest.mark.parametrize("ufunc", [f for f in REDUCTIONS if f is not np.logaddexp], ids=lambda f: f.__name__)
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": None}, {"axis": (0, 1), "keepdims": True}], ids=str)
def test_reduce_of_a_ufunc(ufunc: np.ufunc, options: dict[str, Any]) -> None:
    assert_same(ufunc.reduce(leaf(A), **options), np.asarray(ufunc.reduce(A, **options)))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_logsumexp_is_the_logarithm_of_the_sum(axis: Any) -> None:
    expected = np.log(np.sum(np.exp(A), axis=axis))
    np.testing.assert_allclose(minigrad.logsumexp(leaf(A), axis).data, expected, rtol=1e-14)
    np.testing.assert_allclose(leaf(A).logsumexp(axis).data, expected, rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_and_log_softmax_along_an_axis(axis: int) -> None:
    expected = np.exp(A) / np.sum(np.exp(A), axis=axis, keepdims=True)
    for t in (leaf(A).softmax(axis), minigrad.softmax(A, axis), np.exp(leaf(A).log_softmax(axis))):
        np.testing.assert_allclose(t.data if isinstance(t, minigrad.Tensor) else t, expected, rtol=1e-14)


@pytest.mark.parametrize("f", [minigrad.softmax, minigrad.log_softmax, minigrad.logsumexp, minigrad.sigmoid])
def test_functions_of_real_numbers_take_integers(f: Any) -> None:
    np.testing.assert_array_equal(f(np.array([1, 2, 3])), f(np.array([1.0, 2.0, 3.0])))
    np.testing.assert_array_equal(f(minigrad.tensor([1, 2, 3])).data, f(np.array([1.0, 2.0, 3.0])))


def test_cross_entropy_is_minus_the_logarithm_of_the_probability() -> None:
    targets = np.array([[3, 0, 1], [2, 2, 0]])
    p = np.exp(A) / np.sum(np.exp(A), axis=-1, keepdims=True)
    each = -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0])
    for given in (targets, targets.tolist(), minigrad.tensor(targets), targets.astype(np.uint8)):
        for reduction, expected in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
            found = minigrad.cross_entropy(leaf(A), given, reduction=reduction)
            np.testing.assert_allclose(found.data, expected, rtol=1e-14)
    logits = leaf(A)
    minigrad.cross_entropy(logits, targets).backward()
    np.testing.assert_allclose(logits.grad, (p - np.eye(4)[targets]) / 6, atol=1e-16)


@pytest.mark.parametrize(
    ("targets", "error", "text"),
    [
        ([0, 4], ValueError, "from 0 to 3.*these go from 0 to 4"),
        ([-1, 0], ValueError, "from 0 to 3.*these go from -1 to 0"),
        ([0.0, 1.0], TypeError, "integers; these are float64"),
        ([True, False], TypeError, "integers; these are bool"),
        ([0, 1, 2], ValueError, r"shape \(3,\).*must have \(2,\)"),
        ([[0, 1]], ValueError, r"shape \(1, 2\).*must have \(2,\)"),
    ],
    ids=str,
)
def test_cross_entropy_tells_what_is_wrong_with_the_targets(targets: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        minigrad.cross_entropy(leaf(A[0, :2]), targets)


def test_cross_entropy_knows_three_reductions() -> None:
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none', not 'max'"):
        minigrad.cross_entropy(leaf(A[0, 0]), 1, reduction="max")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, [1.0, 0.5, 2.0, 0.0]])
@pytest.mark.parametrize("ignore_index", [-100, -1, 2, 9])
def test_cross_entropy_of_ignored_targets_and_weighted_classes(ignore_index: int, weight: Any, reduction: str) -> None:
    targets = np.array([[3, 0, 1], [0, 2, 1]])
    counted = np.ones(targets.shape) if weight is None else np.array(weight)[targets]
    asked = targets.copy()
    asked[[0, 1], [1, 2]] = ignore_index
    counted[asked == ignore_index] = 0
    p = np.exp(A) / np.sum(np.exp(A), axis=-1, keepdims=True)
    each = -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0]) * counted
    expected = {"mean": each.sum() / counted.sum(), "sum": each.sum(), "none": each}[reduction]
    shares = counted / counted.sum() if reduction == "mean" else counted
    options = {"reduction": reduction, "ignore_index": ignore_index}
    for given in (asked, asked.tolist(), minigrad.tensor(asked)):
        for weights in (weight, weight and np.array(weight), weight and minigrad.tensor(weight)):
            logits = leaf(A)
            found = minigrad.cross_entropy(logits, given, weight=weights, **options)
            np.testing.assert_allclose(found.data, expected, rtol=1e-14)
            found.sum().backward()
            np.testing.assert_allclose(logits.grad, (p - np.eye(4)[targets]) * shares[..., None], atol=1e-15)
    minigrad.check_grads(lambda x: minigrad.cross_entropy(x, asked, weight=weight, **options), A, order=2)
    single = minigrad.cross_entropy(leaf(A.astype("f4")), asked, weight=weight, **options)
    assert single.dtype == np.float32


def test_cross_entropy_of_nothing_asked_is_zero_and_has_no_mean() -> None:
    ignored = np.full((2, 3), -100)
    for weight, targets in ((None, ignored), (np.ones(4), ignored), (np.array([0.0, 1, 1, 1]), np.zeros((2, 3), int))):
        logits = leaf(A)
        minigrad.cross_entropy(logits, targets, reduction="sum", weight=weight).backward()
        np.testing.assert_array_equal(logits.grad, 0)
        np.testing.assert_array_equal(minigrad.cross_entropy(A, targets, reduction="none", weight=weight), np.zeros((2, 3)))
        with pytest.raises(ValueError, match="no mean of the losses: every target is ignored, or has a weight of 0"):
            minigrad.cross_entropy(leaf(A), targets, weight=weight)


@pytest.mark.parametrize("shape", [(), (3,), (4, 1), (1, 4)])
def test_cross_entropy_takes_a_weight_for_each_class(shape: tuple[int, ...]) -> None:
    text = rf"weight has shape {re.escape(str(shape))}; with 4 classes it must have \(4,\)"
    with pytest.raises(ValueError, match=text):
        minigrad.cross_entropy(leaf(A), np.zeros((2, 3), int), weight=np.ones(shape))


def test_cross_entropy_ignores_one_number_and_no_other() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 3.*these go from -100 to 3"):
        minigrad.cross_entropy(leaf(A[0]), [3, -1, -100], ignore_index=-1)
    assert minigrad.cross_entropy(leaf(A[0]), [3, -1, 2], ignore_index=-1).item() > 0


# -- shapes ----------------------------------------------------------------------------------------------------

SHAPING: list[tuple[str, tuple[Any, ...]]] = [
    ("reshape", ((4, 6),)), ("reshape", ((-1,),)), ("reshape", (24,)), ("reshape", ((3, -1, 2),)),
    ("transpose", ()), ("transpose", ((1, 0, 2),)), ("transpose", ((-1, 0, 1),)),
    ("swapaxes", (0, 2)), ("swapaxes", (-1, -2)),
    ("squeeze", ()), ("expand_dims", (0,)), ("expand_dims", (-1,)), ("expand_dims", ((0, 2),)),
    ("broadcast_to", ((5, 2, 3, 4),)),
    ("take", ([3, 0, -1, 3],)), ("take", ([[1, 0]], 0)), ("take", (1, -1)), ("take", (np.array([2, 2]), 1)),
    ("sum", ()), ("clip", (0.8, 1.2)), ("clip", (None, 1.2)), ("clip", (0.8, None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), SHAPING, ids=lambda x: str(x))
def test_functions_that_move_elements_are_numpys(name: str, arguments: tuple[Any, ...]) -> None:
    expected = np.asarray(getattr(np, name)(A, *arguments))
    t = leaf(A)
    found = [getattr(np, name)(t, *arguments), getattr(minigrad, name)(t, *arguments)]
    if hasattr(minigrad.Tensor, name):
        found.append(getattr(t, name)(*arguments))
    for y in found:
        assert y.requires_grad
        assert_same(y, expected)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_squeeze_of_some_axes(axis: int | None) -> None:
    x = A[:1, :, :1]
    assert_same(np.squeeze(leaf(x), axis), np.squeeze(x, axis))
    with pytest.raises(ValueError, match="cannot select an axis to squeeze out"):
        np.squeeze(leaf(x), 1)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_concatenate_is_numpys(axis: int | None) -> None:
    assert_same(np.concatenate([leaf(A), A, leaf(A)], axis), np.concatenate([A, A, A], axis))
    assert_same(minigrad.concatenate((leaf(A), A), axis), np.concatenate([A, A], axis))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -4])
def test_stack_is_numpys(axis: int) -> None:
    x, y = leaf(A), leaf(2 * A)
    stacked = np.stack([x, y], axis)
    assert_same(stacked, np.stack([A, 2 * A], axis))
    g = RANDOM.normal(size=stacked.shape)
    for i, found in enumerate(minigrad.grad(stacked, [x, y], seed=g)):
        np.testing.assert_array_equal(found.data, np.take(g, i, axis))


@pytest.mark.parametrize("axis", [4, -5])
def test_stack_along_an_axis_that_the_result_lacks(axis: int) -> None:
    with pytest.raises(np.exceptions.AxisError):
        np.stack([A, A], axis)
    with pytest.raises(np.exceptions.AxisError):
        minigrad.stack([leaf(A), leaf(A)], axis)


@pytest.mark.parametrize(("parts", "axis"), [(3, 1), (2, -1), ([1, 3], 2), ([2, 1], 1), ([5], 0), (np.int64(2), 0)])
def test_split_is_numpys(parts: Any, axis: int) -> None:
    for f in (np.split, minigrad.split):
        for found, expected in zip(f(leaf(A), parts, axis), np.split(A, parts, axis), strict=True):
            assert_same(found, expected)


def test_split_into_unequal_parts() -> None:
    with pytest.raises(ValueError, match="length 3 cannot be split into 2 equal parts"):
        np.split(leaf(A), 2, axis=1)


def test_reshape_and_transpose_take_their_numbers_one_by_one() -> None:
    assert leaf(A).reshape(4, -1).shape == (4, 6)
    assert leaf(A).transpose(2, 0, 1).shape == (4, 2, 3)
    assert leaf(A).T.shape == (4, 3, 2)
    assert leaf(1.0).reshape().shape == ()


@pytest.mark.parametrize("ranks", list(product([0, 1, 2, 3, 4], repeat=2)), ids=str)
def test_dot_is_numpys(ranks: tuple[int, int]) -> None:
    x, y = (RANDOM.normal(size=(*(2, 3, 4)[: r - 1][::-1], 5) if r else ()) for r in ranks)
    y = np.swapaxes(y, -1, -2) if y.ndim > 1 else y
    assert (x.ndim, y.ndim) == ranks
    s, t = leaf(x), leaf(y)
    found = np.dot(s, t)
    np.testing.assert_allclose(found.data, np.dot(x, y), rtol=1e-13, atol=1e-14)
    g, d, e = RANDOM.normal(size=found.shape), RANDOM.normal(size=x.shape), RANDOM.normal(size=y.shape)
    by_s, by_t = minigrad.grad(found, [s, t], seed=g)
    np.testing.assert_allclose(np.sum(by_s.data * d), np.sum(g * np.dot(d, y)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.sum(by_t.data * e), np.sum(g * np.dot(x, e)), rtol=1e-12, atol=1e-12)


def test_dot_of_no_elements_and_of_lists() -> None:
    assert_same(minigrad.dot(leaf(np.zeros((2, 0))), np.zeros((3, 0, 4))), np.zeros((2, 3, 4)))
    y = [[[1.0, 2.0], [3.0, 4.0]]]
    assert_same(minigrad.dot(leaf([1.0, 2.0]), y), np.dot([1.0, 2.0], y))


@pytest.mark.parametrize("ranks", list(product([1, 2, 3, 4], repeat=2)), ids=str)
def test_matmul_of_all_ranks(ranks: tuple[int, int]) -> None:
    """Broadcasting both ways: one of the leading axes is of length 1 on either side."""
    x = RANDOM.normal(size=((5,), (4, 5), (1, 4, 5), (2, 1, 4, 5))[ranks[0] - 1])
    y = RANDOM.normal(size=((5,), (5, 3), (6, 5, 3), (1, 6, 5, 3))[ranks[1] - 1])
    s, t = leaf(x), leaf(y)
    found = s @ t
    assert_same(found, np.asarray(x @ y))
    g, d, e = RANDOM.normal(size=found.shape), RANDOM.normal(size=x.shape), RANDOM.normal(size=y.shape)
    by_s, by_t = minigrad.grad(found, [s, t], seed=g)
    np.testing.assert_allclose(np.sum(by_s.data * d), np.sum(g * (d @ y)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.sum(by_t.data * e), np.sum(g * (x @ e)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (2, 3, 1)], ids=str)
def test_linear_is_the_product_with_the_transposed_weight(lead: tuple[int, ...]) -> None:
    x, W, b = RANDOM.normal(size=(*lead, 4)), RANDOM.normal(size=(5, 4)), RANDOM.normal(size=5)
    np.testing.assert_allclose(minigrad.linear(leaf(x), W).data, x @ W.T, rtol=1e-13)
    np.testing.assert_allclose(minigrad.linear(x, leaf(W), b).data, x @ W.T + b, rtol=1e-12)


def test_linear_tells_which_shapes_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"x of shape \(..., in\).*not \(3,\) and \(5, 4\)"):
        minigrad.linear(leaf(np.ones(3)), np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"b of shape \(5,\), not \(4,\)"):
        minigrad.linear(leaf(np.ones(4)), np.ones((5, 4)), np.ones(4))


def test_functions_take_plain_numbers() -> None:
    assert minigrad.mean(3.0) == np.mean(3.0)
    assert minigrad.transpose(3.0) == np.transpose(3.0)
    assert minigrad.exp(0.0) == 1.0


# -- indexing --------------------------------------------------------------------------------------------------

INDICES: dict[str, Any] = {
    "integer": 1,
    "negative": -1,
    "numpy integer": np.int64(1),
    "0-d array": (slice(None), np.array(1)),
    "integers": (1, 2, 3),
    "slice": slice(None, None, -1),
    "steps": (slice(None), slice(2, None, -2), slice(1, 4, 2)),
    "beyond the end": slice(1, 100),
    "nothing": slice(5, 1),
    "ellipsis": (..., 2),
    "new axes": (None, 1, None, ..., None),
    "empty tuple": (),
    "list": [0, 0, 1],
    "empty list": [],
    "repeated": (slice(None), [2, 0, 2]),
    "two arrays": ([0, 1, 1], [2, 2, 2]),
    "broadcast arrays": ([[0], [1]], slice(None), [3, 3]),
    "array and integer": ([1, 1], 0),
    "mask": A > 1,
    "mask of an axis": (slice(None), np.array([True, False, True])),
    "mask and array": (np.array([True, True]), slice(None), [0, 3]),
    "list of bools": [True, False],
    "True": True,
    "False": (False, ...),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_indexing_is_numpys(index: Any) -> None:
    t = leaf(A)
    expected = np.asarray(A[index])
    assert_same(t[index], expected)
    assert_same(minigrad.tensor(A)[index], expected)
    g = RANDOM.normal(size=expected.shape)
    scattered = np.zeros(A.shape)
    np.add.at(scattered, index, g)
    np.testing.assert_array_equal(minigrad.grad(t[index], t, seed=g).data, scattered)


def test_tensors_as_indices() -> None:
    t = leaf(A)
    assert_same(t[minigrad.tensor([1, 0])], A[[1, 0]])
    assert_same(t[t > 1], A[A > 1])
    assert_same(A[minigrad.tensor([1, 0])], A[[1, 0]])


@pytest.mark.parametrize("index", [1.0, "a", [0.5], np.array([1.0]), (0, 0, 0, 0), 5, [7]], ids=repr)
def test_what_is_no_index(index: Any) -> None:
    with pytest.raises(IndexError):
        leaf(A)[index]


# -- where and clip --------------------------------------------------------------------------------------------


def test_where_takes_conditions_of_all_kinds() -> None:
    x, y = leaf(A), leaf(-B)
    for condition in (A > 1, leaf(A) > 1, minigrad.tensor(A > 1), (A > 1).tolist(), minigrad.tensor(A > 1).data):
        assert_same(np.where(condition, x, y), np.where(A > 1, A, -B))
    assert_same(minigrad.where(True, x, 0), A)


def test_clip_takes_its_bounds_by_either_name() -> None:
    t, expected = leaf(A), np.clip(A, 0.8, 1.2)
    for y in (np.clip(t, a_min=0.8, a_max=1.2), minigrad.clip(t, min=0.8, max=1.2), t.clip(0.8).clip(max=1.2)):
        assert_same(y, expected)
    assert_same(t.clip(), A)


def test_every_function_of_numpy_is_tried() -> None:
    tried = {name for name, _ in SHAPING} | {"where", "concatenate", "stack", "split", "dot", "mean", "max", "min"}
    in_test_elementwise = {
        "average", "cumprod", "cumsum", "diff", "median", "nan_to_num", "prod", "ptp", "sinc", "std", "var",
    }  # fmt: skip
    # test_shape.py, test_linalg.py and test_made_of_ops.py look after the rest of these families themselves.
    families = ("shape", "arranging", "products", "matrices", "statistics", "sampled")
    elsewhere = {"astype", "cumulative_sum", "cumulative_prod"}
    found = {f.__name__ for f, own in FUNCTIONS.items() if not own.__module__.endswith(families)} - elsewhere
    assert found - {"amax", "amin"} <= tried | in_test_elementwise


@pytest.mark.parametrize("fill", [2.5, np.array([1.0, 2.0, 3.0, 4.0]), [[1], [2], [3]]])
@pytest.mark.parametrize("options", [{}, {"dtype": "float32"}, {"shape": (5, 3, 4)}, {"dtype": int}])
def test_full_like_is_numpys(fill: Any, options: dict[str, Any]) -> None:
    expected = np.full_like(B, fill, **options)
    for f in (np.full_like, minigrad.full_like):
        assert_same(f(leaf(B), fill, **options), expected)
        assert_same(f(leaf(B), minigrad.tensor(fill), **options), expected)


def test_take_has_booleans_as_numbers() -> None:
    assert_same(np.take(leaf(B), [True, False, True], 0), np.take(B, [True, False, True], 0))


def test_where_takes_both_or_neither() -> None:
    with pytest.raises(ValueError, match="with both x and y, or alone"):
        minigrad.where(A > 1, leaf(A))


def test_linear_takes_a_matrix() -> None:
    with pytest.raises(ValueError, match=r"W of shape \(out, in\)"):
        minigrad.linear(leaf(2.0), leaf(3.0))


# -- arrays that would mean something else ---------------------------------------------------------------------

MASKED = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[True, False], [False, False]])
WAYS_IN = {
    "tensor": minigrad.tensor,
    "t.data": lambda x: setattr(leaf(np.zeros((2, 2))), "data", x),
    "t.grad": lambda x: setattr(leaf(np.zeros((2, 2))), "grad", x),
    "seed": lambda x: leaf(np.zeros((2, 2))).copy().backward(x),
    "tangent": lambda x: minigrad.jvp(np.sin, (np.zeros((2, 2)),), (x,)),
    "grad of a function": minigrad.grad(np.sum),
    "hook": lambda x: hooked(lambda g: x),
    "t * x": lambda x: leaf(2.0) * x,
    "t @ x": lambda x: leaf(np.ones((2, 2))) @ x,
    "np.concatenate": lambda x: np.concatenate([leaf(np.ones((2, 2))), x]),
    "np.where": lambda x: np.where(x, leaf(2.0), 0.0),
    "t[x]": lambda x: leaf(np.ones((2, 2)))[x > 2],
    "np.take": lambda x: np.take(leaf(np.ones(5)), x.astype(int)),
    "einsum": lambda x: np.einsum("ij,ij", leaf(np.ones((2, 2))), x),
    "solve": lambda x: np.linalg.solve(leaf(np.eye(2)), x),
    "cross_entropy": lambda x: minigrad.cross_entropy(leaf(np.ones((2, 2, 5))), x.astype(int)),
    "linear": lambda x: minigrad.linear(x, leaf(np.eye(2))),
    "no tensor": minigrad.tanh,
}


def hooked(hook: Any) -> None:
    t = leaf(np.ones((2, 2)))
    t.register_hook(hook)
    np.sum(t).backward()


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_masked_array_does_not_lose_its_mask(way: str) -> None:
    with pytest.raises(TypeError, match=r"a masked array would lose its mask; pass x\.filled\(value\)"):
        WAYS_IN[way](MASKED)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("way", WAYS_IN)
def test_an_np_matrix_does_not_lose_its_product(way: str) -> None:
    with pytest.raises(
        TypeError, match=r"would no longer be the matrix product of an np\.matrix; pass np\.asarray\(x\), and write x @ y"
    ):
        WAYS_IN[way](np.matrix([[1.0, 2.0], [3.0, 4.0]]))


def test_a_masked_array_on_the_left_keeps_its_mask() -> None:
    product = MASKED * minigrad.tensor(2.0)
    np.testing.assert_array_equal(product.mask, MASKED.mask)
    with pytest.raises(minigrad.LeavesGraphError, match="a masked array"):
        MASKED * leaf(2.0)
