"""The functions that rearrange elements: NumPy's results, bit for bit, and exact gradients.

Such a function applied to an array of positions tells where each element of the result comes from; the gradient of
<u, f(x)> then is u, put back to those places.
"""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import FUNCTIONS

SHARED = runpy.run_path(str(Path(__file__).with_name("derivatives.py")))
leaf, assert_same = (SHARED[name] for name in ("leaf", "assert_same_tensor"))
RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=(2, 3, 4))
M = RANDOM.normal(size=(3, 4))
S = RANDOM.normal(size=(3, 3))
V = RANDOM.normal(size=5)
N = np.array(1.5)
ORDER = np.argsort(A, axis=1)


# Of one array: the name, the array, and what else it is given.
CALLS: list[tuple[str, np.ndarray, tuple[Any, ...], dict[str, Any]]] = [
    *(("moveaxis", A, pair, {}) for pair in [(0, 2), (-1, 0), ((0, 1), (2, 0)), ((), ()), ([2, 0], [-3, -1])]),
    *(("rollaxis", A, (i, j), {}) for i in (-3, 0, 1, 2) for j in (-3, -1, 0, 1, 2, 3)),
    ("rollaxis", A, (2,), {}),
    *(("matrix_transpose", x, (), {}) for x in (M, A)),
    *(("permute_dims", A, args, {}) for args in [(), ((1, 0, 2),), ((-1, 0, 1),)]),
    *(("ravel", x, (), {}) for x in (N, V, A, A[:, ::-1], A.T)),
    ("ravel", A, ("C",), {}),
    *((f"atleast_{n}d", x, (), {}) for n in (1, 2, 3) for x in (N, V, M, A)),
    *((name, A, (), {}) for name in ("vstack", "hstack", "dstack", "column_stack", "concat")),
    *(("tile", x, (reps,), {}) for x in (N, V, M) for reps in (2, (3,), (2, 1, 3), (0, 2), ())),
    *(("repeat", x, (2,), {}) for x in (N, V, M)),
    *(("repeat", M, (r, axis), {}) for axis, r in [(0, 2), (1, [0, 1, 2, 3]), (-1, 1), (0, (2, 0, 1)), (None, 3)]),
    *(("flip", A, args, {}) for args in [(), (0,), (-1,), ((0, 2),), ((),)]),
    ("flip", N, (), {}),
    *((name, x, (), {}) for name in ("flipud", "fliplr") for x in (M, A)),
    ("flipud", V, (), {}),
    *(("roll", A, args, {}) for args in [(1,), (-5,), (30,), (1, 0), (-1, -1), (4, 2), ((1, 2), (0, 1)), (1, (0, 1))]),
    *(("roll", A, args, {}) for args in [((1, 1), 2), ((1, 2), (1, 1)), (0,)]),
    *(("roll", x, (2,), {}) for x in (N, V, np.zeros(0))),
    *(("rot90", M, (k,), {}) for k in range(-4, 6)),
    *(("rot90", A, (k, axes), {}) for k in (1, 2, 3) for axes in [(0, 2), (2, 1), (-1, 0)]),
    *(("pad", M, (width,), {}) for width in (0, 2, (1, 2), ((1, 0), (2, 3)), [[1], [2]], [2])),
    ("pad", N, (2,), {}),
    *(("pad", M, (2,), {"constant_values": v}) for v in (0, (0, 0), ((0, 0), (0, 0)))),
    *(("pad", x, (w, mode), {}) for x in (V, A) for w in (2, (3, 0), 9) for mode in ("edge", "reflect", "symmetric", "wrap")),
    ("pad", M, ([(2, 1), (0, 5)],), {"mode": "reflect", "reflect_type": "even"}),
    *(("diagonal", x, (k,), {}) for x in (S, M, M.T, A) for k in range(-4, 6)),
    *(("diagonal", A, args, {}) for args in [(), (1, 1, 2), (0, 2, 0), (-1, -1, -2)]),
    *(("diag", x, (k,), {}) for x in (V, M, S, V[:0]) for k in (-5, -1, 0, 2)),
    *((name, x, (k,), {}) for name in ("tril", "triu") for x in (V, S, M, A) for k in (-2, -1, 0, 1, 5)),
    *(("take_along_axis", A, (i, axis), {}) for i, axis in [(ORDER, 1), (ORDER[:, :1], 1), (ORDER[:1], 1)]),
    *(("take_along_axis", A, (i, axis), {}) for i, axis in [(ORDER[0, 0], None), (np.array([[[0, -1]]]), 2)]),
    *(("sort", x, (), {}) for x in (V, M, A)),
    *(("sort", A, (axis,), {}) for axis in (0, 1, -1, None)),
    *(("sort", A, (), {"kind": kind}) for kind in ("quicksort", "mergesort", "heapsort", "stable")),
    ("sort", A, (1,), {"stable": True}),
    *(("array_split", A, (parts, axis), {}) for parts, axis in [(1, 0), (2, 1), (3, 2), (5, -1)]),
    *(("array_split", A, (parts, axis), {}) for parts, axis in [([1, 3], 2), ([], 0), ([5], 1)]),
    *(("hsplit", x, (parts,), {}) for x, parts in [(A, 3), (V, 5), (V, [1, 2]), (M, [3])]),
    *(("vsplit", x, (parts,), {}) for x, parts in [(A, 2), (M, 3), (M, [1, 2])]),
    *(("append", A, (np.zeros(shape), axis), {}) for shape, axis in [((2, 3, 1), -1), ((1, 3, 4), 0), ((2,), None)]),
    ("append", V, (0.0,), {}),
    *(("kron", x, (y,), {}) for x in (N, V, M, A) for y in (np.ones(()), np.ones(2), np.eye(2), np.ones((2, 1, 2)))),
]  # fmt: skip


def pieces(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else [found]


@pytest.mark.parametrize(("name", "x", "args", "options"), CALLS, ids=lambda v: str(v) if not isinstance(v, np.ndarray) else "")
def test_value_and_gradient_are_those_of_the_places(name: str, x: np.ndarray, args: Any, options: Any) -> None:
    f = getattr(np, name)
    positions = np.arange(1.0, x.size + 1).reshape(x.shape)  # from 1: 0 is from nowhere
    if name == "sort":
        axis = args[0] if args else -1
        by_position = np.take_along_axis(positions, np.argsort(x, axis), axis)
    else:
        by_position = f(positions, *args, **options)
    for call in (f, getattr(minigrad, name)):
        t = leaf(x)
        found = pieces(call(t, *args, **options))
        expected = pieces(f(x, *args, **options))
        assert len(found) == len(expected)
        for part, value, places in zip(found, expected, pieces(by_position), strict=True):
            assert_same(part, value)
            u = RANDOM.integers(1, 100, part.shape).astype(float)  # sums of these are exact
            gradient = np.bincount(np.ravel(places).astype(int), np.ravel(u), x.size + 1)[1:]
            np.testing.assert_array_equal(minigrad.grad(part, t, seed=u, retain_graph=True).data, gradient.reshape(x.shape))


def test_every_function_of_this_file_is_tried() -> None:
    in_test_public = {
        "reshape", "transpose", "swapaxes", "squeeze", "expand_dims", "broadcast_to", "concatenate", "stack", "split", "take",
        "full_like",
    }  # fmt: skip
    in_test_made_of_ops = {"dsplit", "copy", "real", "real_if_close", "broadcast_arrays", "meshgrid", "unstack"}
    here = {name for name, *_ in CALLS} | {"trace", "partition", "select", "choose"}
    found = {f.__name__ for f, own in FUNCTIONS.items() if own.__module__.endswith(("shape", "arranging"))}
    assert found - in_test_public - in_test_made_of_ops <= here


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "bool"])
@pytest.mark.parametrize("name", ["tril", "triu", "diag", "diagonal", "pad", "tile", "sort", "flip", "rot90", "roll", "append"])
def test_dtypes_stay(name: str, dtype: str) -> None:
    x = np.abs(S).round().astype(dtype)
    args = {"pad": (2,), "tile": (2,), "roll": (1,), "append": (x[0],)}.get(name, ())
    assert_same(getattr(np, name)(minigrad.tensor(x), *args), getattr(np, name)(x, *args))


def test_plain_arrays_and_lists_give_plain_arrays() -> None:
    assert type(minigrad.flip([1.0, 2.0])) is np.ndarray
    assert type(minigrad.pad([[1, 2]], 1)) is np.ndarray
    assert type(minigrad.select([[True]], [[1.0]])) is np.ndarray
    assert [type(x) for x in minigrad.atleast_2d(1.0, [2.0])] == [np.ndarray] * 2


@pytest.mark.parametrize("name", ["vstack", "hstack", "dstack", "column_stack", "concat"])
@pytest.mark.parametrize("arrays", [[V, V], [M, 2 * M, M], [A, A]], ids=["vectors", "matrices", "stacks"])
def test_several_arrays_are_put_together(name: str, arrays: list[np.ndarray]) -> None:
    tensors = [leaf(x) for x in arrays]
    for f in (getattr(np, name), getattr(minigrad, name)):
        found = f(tensors)
        assert_same(found, f(arrays))
        u = RANDOM.normal(size=found.shape)
        numbers = np.split(np.arange(len(arrays) * arrays[0].size), len(arrays))
        places = f([n.reshape(x.shape) for n, x in zip(numbers, arrays, strict=True)])
        for g, n in zip(minigrad.grad(found, tensors, seed=u, retain_graph=True), numbers, strict=True):
            back = u.ravel()[np.argsort(places, axis=None)][n]
            np.testing.assert_array_equal(g.data.ravel(), back)


def test_of_several_arrays_atleast_gives_a_tuple() -> None:
    found = np.atleast_2d(leaf(N), leaf(V))
    assert isinstance(found, tuple)
    assert [t.shape for t in found] == [(1, 1), (1, 5)]
    assert all(t.requires_grad for t in found)


@pytest.mark.parametrize("args", [(), (1,), (-2,), (0, 1, 2), (1, -1, 0), (9,)], ids=str)
def test_trace_is_numpys(args: Any) -> None:
    t = leaf(A)
    for y in (np.trace(t, *args), minigrad.trace(t, *args), t.trace(*args)):
        assert_same(y, np.trace(A, *args))
    u = RANDOM.normal(size=y.shape)
    d = RANDOM.normal(size=A.shape)
    np.testing.assert_allclose(np.sum(minigrad.grad(y, t, seed=u).data * d), np.sum(u * np.trace(d, *args)), atol=1e-14)


@pytest.mark.parametrize(("kth", "axis"), [(0, -1), (2, -1), (1, 0), (3, None), ([0, 2], 2), (-1, 1)], ids=str)
def test_partition_puts_the_element_in_its_place(kth: Any, axis: int | None) -> None:
    t = leaf(A)
    for f in (np.partition, minigrad.partition):
        found = f(t, kth, axis)
        along = -1 if axis is None else axis
        np.testing.assert_array_equal(np.take(found.data, kth, along), np.take(np.sort(A, axis), kth, along))
        np.testing.assert_array_equal(np.sort(found.data, along), np.sort(A, axis))
        np.testing.assert_array_equal(minigrad.grad(found, t, seed=2 * found.data).data, 2 * A)


def test_equal_elements_are_sorted_by_place_if_stable() -> None:
    t = leaf([2.0, 1.0, 2.0, 1.0])
    g = minigrad.grad(np.sort(t, kind="stable"), t, seed=[1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(g.data, [3, 1, 4, 2])


@pytest.mark.parametrize("values", [5.0, (1.0, 2.0), ((1.0, 2.0), (3.0, 4.0))], ids=str)
def test_margins_of_given_values(values: Any) -> None:
    width = ((1, 2), (3, 0))
    assert_same(np.pad(leaf(M), width, constant_values=values), np.pad(M, width, constant_values=values))
    for dtype in ("float32", "int8"):
        expected = np.pad(M.astype(dtype), width, constant_values=values)
        assert_same(np.pad(minigrad.tensor(M.astype(dtype)), width, constant_values=values), expected)


def test_margins_of_some_axes_by_their_numbers() -> None:
    """NumPy takes a dict since 2.2."""
    for mode in ("constant", "wrap"):
        assert_same(np.pad(leaf(A), {0: 1, -1: (2, 0)}, mode), np.pad(A, [(1, 1), (0, 0), (2, 0)], mode))


def test_gradient_by_the_values_of_a_margin() -> None:
    value = leaf(7.0)
    minigrad.pad(M, 1, constant_values=value).sum().backward()
    assert value.grad.item() == 30 - M.size


def test_select_takes_the_first_condition_that_is_true() -> None:
    x, y = leaf(M), leaf(M[0])
    conditions = [M > 1, M > 0, M[0] < -0.2]
    expected = np.select(conditions, [M, 2 * M[0], -1], 9)
    for f in (np.select, minigrad.select):
        found = f(conditions, [x, 2 * y, -1], 9)
        assert_same(found, expected)
        by_x, by_y = minigrad.grad(found, [x, y], seed=np.ones(M.shape))
        np.testing.assert_array_equal(by_x.data, M > 1)
        np.testing.assert_array_equal(by_y.data, 2 * np.sum((M > 0) & ~(M > 1), axis=0))
    assert_same(np.select([x > 0], [x]), np.select([M > 0], [M]))
    narrow = M.astype("float32")
    for choices in ([1, narrow, 2.5], [1.0, 2, narrow]):
        given = [leaf(c) if c is narrow else c for c in choices]
        assert_same(np.select(conditions, given), np.select(conditions, choices))


def test_select_tells_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="one choice for each condition, not 1 for 2"):
        np.select([M > 0, M < 0], [leaf(M)])
    with pytest.raises(ValueError, match="not 0 for 0"):
        minigrad.select([], [])
    with pytest.raises(TypeError, match="arrays of booleans"):
        np.select([M], [leaf(M)])


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
def test_choose_is_numpys(mode: str) -> None:
    numbers = np.array([[0, 1, 2, 1], [2, 0, 0, 1], [1, 1, 1, 1]]) + (0 if mode == "raise" else 2)
    x, y = leaf(M), leaf(M[0])
    for f in (np.choose, minigrad.choose):
        found = f(numbers, [x, y, 3.0], mode=mode)
        assert_same(found, np.choose(numbers, [M, M[0], 3.0], mode=mode))
        by_x, by_y = minigrad.grad(found, [x, y], seed=np.ones(M.shape))
        chosen = np.choose(numbers, [0, 1, 2], mode=mode)
        np.testing.assert_array_equal(by_x.data, chosen == 0)
        np.testing.assert_array_equal(by_y.data, np.sum(chosen == 1, axis=0))
    with pytest.raises(ValueError, match="invalid entry in choice array"):
        np.choose([5], [leaf(V)])


def test_methods_are_ndarrays() -> None:
    t = leaf(A)
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("ravel", ()), ("flatten", ()), ("flatten", ("C",)), ("repeat", (2,)), ("repeat", ([1, 0, 2], 1)),
        ("diagonal", ()), ("diagonal", (1, 1, 2)),
    ]  # fmt: skip
    for name, args in calls:
        found = getattr(t, name)(*args)
        assert found.requires_grad
        assert_same(found, getattr(A, name)(*args))


def test_second_derivatives_go_through() -> None:
    t = leaf(M)
    y = np.pad(np.sort(np.tile(t, 2), 0), 1, mode="reflect") ** 3
    d = RANDOM.normal(size=M.shape)
    (g,) = minigrad.grad(y.sum(), [t], create_graph=True)
    second = minigrad.grad((g * d).sum(), t).data
    times = g.data / (3 * M**2)  # how often each element occurs
    np.testing.assert_allclose(second, 6 * M * d * times, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: np.ravel(leaf(A), "F"), ValueError, "only order='C', not 'F'"),
        (lambda: leaf(A).flatten("K"), ValueError, "only order='C', not 'K'"),
        (lambda: np.pad(leaf(V), 1, "linear_ramp", end_values=3), ValueError, "constant, .*, not 'linear_ramp'"),
        (lambda: np.pad(leaf(V), 1, mode="mean"), ValueError, "not 'mean'"),
        (lambda: np.pad(leaf(V), 1, mode="reflect", reflect_type="odd"), ValueError, "only reflect_type='even', not 'odd'"),
        (lambda: np.pad(leaf(V), 1, stat_length=2), TypeError, "stat_length="),
        (lambda: np.pad(leaf(V), -1), ValueError, "cannot be negative"),
        (lambda: np.pad(leaf(V), 1.5), TypeError, "integers, not float64"),
        (lambda: np.pad(leaf(V[:0]), 1, mode="edge"), ValueError, "empty axis"),
        (lambda: np.rot90(leaf(M), 1, (0, 1, 2)), ValueError, "two axes, not of 3"),
        (lambda: np.rot90(leaf(M), 1, (0, 0)), ValueError, "repeated axis"),
        (lambda: np.moveaxis(leaf(A), (0, 1), 0), ValueError, "not 1 for 2"),
        (lambda: np.moveaxis(leaf(A), 3, 0), np.exceptions.AxisError, "source"),
        (lambda: np.matrix_transpose(leaf(V)), ValueError, "at least two axes"),
        (lambda: np.diag(leaf(A)), ValueError, r"shape \(2, 3, 4\)"),
        (lambda: np.diagonal(leaf(V)), np.exceptions.AxisError, "out of bounds"),
        (lambda: np.take_along_axis(leaf(V), np.array([0.5]), 0), IndexError, "integers as indices, not float64"),
        (lambda: np.take_along_axis(leaf(M), np.array([0]), 0), ValueError, "2 axes, its indices 1"),
        (lambda: np.array_split(leaf(V), 0), ValueError, "into 0 parts"),
        (lambda: np.hsplit(leaf(N), 1), ValueError, "at least one axis"),
        (lambda: np.vsplit(leaf(V), 1), ValueError, "at least two axes"),
        (lambda: np.sort(leaf(V), order="a"), TypeError, "np.sort of a Tensor supports only order="),
        (lambda: np.trace(leaf(S), out=np.zeros(())), TypeError, "np.trace of a Tensor supports only out="),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_what_is_not_taken(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_number_is_taken_for_an_array_of_one_as_numpy_does():
    x = minigrad.tensor(1.5, requires_grad=True)
    for f in (
        lambda x: np.repeat(x, 2, axis=-1), lambda x: np.repeat(x, 2, axis=0), lambda x: np.take(x, [0], axis=0),
        lambda x: np.take(x, 0, axis=-1), lambda x: np.take(x, [[0, 0]]),
    ):  # fmt: skip
        y = f(x)
        assert np.array_equal(y.data, f(np.array(1.5)))
        assert y.shape == f(np.array(1.5)).shape
        assert minigrad.grad(y.sum(), x).item() == y.size
    with pytest.raises(np.exceptions.AxisError):
        np.take(x, [0], axis=1)


@pytest.mark.parametrize("parts", [1, 3])
def test_split_of_nothing(parts):
    x = minigrad.tensor(np.zeros((0, 2)), requires_grad=True)
    assert [y.shape for y in np.split(x, parts)] == [(0, 2)] * parts
