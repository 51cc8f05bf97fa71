"""Products and linear algebra: NumPy's values, gradients against differences, and what is a decision."""

import runpy
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.ops import FUNCTIONS, UFUNCS, matrices

SHARED = runpy.run_path(str(Path(__file__).with_name("derivatives.py")))
leaf, assert_same = (SHARED[name] for name in ("leaf", "assert_same_tensor"))
RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=(2, 3, 4))
M = RANDOM.normal(size=(3, 4))
S = RANDOM.normal(size=(3, 3)) + 3 * np.eye(3)
Q = RANDOM.normal(size=(4, 4)) + 3 * np.eye(4)
T = RANDOM.normal(size=(2, 5, 3, 3)) + 3 * np.eye(3)
V = RANDOM.normal(size=4)
N = np.array(1.5)


def assert_near(found: Any, expected: Any) -> None:
    """The same but for rounding, in the same dtype."""
    assert isinstance(found, minigrad.Tensor)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.data, expected, rtol=1e-13 if expected.dtype == float else 1e-5, atol=1e-13)


def slope(f: Any, step: float = 1e-3) -> Any:
    """The derivative at 0, by central differences of fourth order."""
    return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)


def check(f: Any, *arrays: np.ndarray, tolerance: float = 1e-8) -> None:
    """First and second derivatives of f against differences, in a direction of all arrays at once."""
    tensors = [leaf(x) for x in arrays]
    y = f(*tensors)
    random = np.random.default_rng(0)  # of its own, so that the directions do not depend on which tests ran before
    u = random.normal(size=y.shape)
    ds = [random.normal(size=x.shape) for x in arrays]

    def value(h: float) -> Any:
        return np.sum(u * f(*[x + h * d for x, d in zip(arrays, ds, strict=True)]))

    def along(tensors: list[Any], **how: Any) -> Any:
        found = minigrad.grad(f(*tensors), tensors, seed=u, **how)
        return sum(((g * d).sum() for g, d in zip(found, ds, strict=True)), start=0 * tensors[0].sum())

    def first(h: float) -> float:
        return along([leaf(x + h * d) for x, d in zip(arrays, ds, strict=True)]).item()

    np.testing.assert_allclose(first(0), slope(value), rtol=tolerance, atol=tolerance)
    twice = along(tensors, create_graph=True)
    second = minigrad.grad(twice, tensors)
    found = sum(np.sum(g.data * d) for g, d in zip(second, ds, strict=True))
    np.testing.assert_allclose(found, slope(first), rtol=10 * tolerance, atol=10 * tolerance)


# -- einsum ----------------------------------------------------------------------------------------------------

EINSUMS: list[tuple[str, tuple[np.ndarray, ...]]] = [
    ("ij,jk->ik", (S, M)), ("ij,jk", (S, M)), ("ba", (M,)), ("ij->ji", (M,)), ("ij->", (M,)), ("ij->i", (M,)),
    ("ii", (S,)), ("ii->i", (S,)), ("ii->", (S,)), ("iij->ji", (T[0, :3],)), ("...ii->...i", (T,)), ("...ii", (T,)),
    ("iii->i", (T[0, :3],)), ("ij,ij", (M, M)), ("ij,ij->j", (M, M)), ("i,j", (V, V)), ("i,j->ji", (V, V)),
    ("i,i,i", (V, V, V)), ("ij,jk,kl->il", (M.T, S, M)), ("ij,k->", (M, V)), ("ij,kl->k", (M, M)),
    ("ii,i->i", (Q, V)), ("ii,jj->ij", (S, Q)), ("ii,ij->j", (S, M)), ("ij,ii->", (Q, Q)), ("ijj,j->i", (T[0], V[:3])),
    ("...ij,...jk->...ik", (A, M.T)), ("...ij,...jk", (A, M.T)), ("i...,i...->...", (A, A)), ("...,...", (A, M)),
    ("...i,i", (A, V)), ("i...->...i", (A,)), ("...", (A,)), ("...->...", (M,)), (" i j , j k -> i k ", (S, M)),
    (",i->i", (N, V)), (",", (N, N)), ("", (N,)), (",ij,->ji", (N, M, N)), ("i,i->i", (V[:1], V)), ("i,i->", (V, V[:1])),
    ("ii,i->i", (S[:1, :1], V)), ("aB,Bc", (S, M)), ("Za,a", (M, V)), ("ij,jk,ik->", (S, M, M)), ("i,ij,j", (V[:3], M, V)),
    ("ij,ij,ij->ij", (M, M, M)), ("bij,bjk->bik", (A, A.swapaxes(1, 2))), ("i->i", (V[:0],)), ("ij,jk->ik", (M[:, :0], M[:0])),
    ("ij->j", (M[:0],)),
]  # fmt: skip


@pytest.mark.parametrize("optimize", [False, True, "optimal"])
@pytest.mark.parametrize(("subscripts", "arrays"), EINSUMS, ids=[text for text, _ in EINSUMS])
def test_einsum_is_numpys(subscripts: str, arrays: Any, optimize: Any) -> None:
    expected = np.asarray(np.einsum(subscripts, *arrays, optimize=optimize))
    for f in (np.einsum, minigrad.einsum):
        assert_same(f(subscripts, *map(leaf, arrays), optimize=optimize), expected)
    check(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *arrays)


LISTS: list[tuple[Any, ...]] = [
    (M, [0, 1]), (M, [1, 0]), (M, [0, 1], [1, 0]), (M, [0, 1], []), (S, [0, 0]), (S, [0, 0], [0]), (A, [...], [...]),
    (S, [0, 1], M, [1, 2], [0, 2]), (S, [0, 1], M, [1, 2]), (S, [30, 2], M, [2, 7]), (A, [..., 0], V, [0]), (N, [], V, [5]),
    (A, [..., 0], V, [0], [...]), (A, [Ellipsis, 0, 1], M, [0, 1], [1, Ellipsis]), (M, (0, 1), V, (1,)), (S, [51, 26], [26]),
]  # fmt: skip


@pytest.mark.parametrize("given", LISTS, ids=lambda given: str([x for x in given if not isinstance(x, np.ndarray)]))
def test_einsum_of_lists_of_indices(given: tuple[Any, ...]) -> None:
    expected = np.asarray(np.einsum(*given))
    tensors = [leaf(x) if isinstance(x, np.ndarray) else x for x in given]
    assert_same(np.einsum(*tensors), expected)
    assert_same(minigrad.einsum(*tensors), expected)


def test_einsum_of_constants_and_numbers() -> None:
    t = leaf(M)
    assert_same(np.einsum(",ij,j->i", 2, t, V), np.einsum(",ij,j->i", 2, M, V))
    np.testing.assert_allclose(minigrad.grad(np.einsum(",ij,j->", 2, t, V), t).data, np.tile(2 * V, (3, 1)))
    x = np.array(V)
    y = np.einsum("ij,j->i", t, x)
    x[:] = 0
    np.testing.assert_array_equal(minigrad.grad(y.sum(), t).data, np.tile(V, (3, 1)))
    assert type(minigrad.einsum("i,i", V, V)) is not minigrad.Tensor


def test_einsum_takes_the_order_of_products_it_is_given() -> None:
    path = ["einsum_path", (1, 2), (0, 1)]
    t = leaf(S)
    y = np.einsum("ij,jk,kl->il", t, M, M.T, optimize=path)
    np.testing.assert_allclose(y.data, S @ (M @ M.T))
    np.testing.assert_allclose(minigrad.grad(y.sum(), t).data, np.ones((3, 3)) @ (M @ M.T).T)


def test_the_cotangent_of_a_diagonal_leaves_the_rest_exactly_zero() -> None:
    t = leaf(S)
    g = minigrad.grad(np.einsum("ii->i", t), t, seed=[np.inf, 1.0, 2.0]).data
    np.testing.assert_array_equal(g, [[np.inf, 0, 0], [0, 1, 0], [0, 0, 2]])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("ij,jk", M), "subscripts for 2 operands, but there are 1"),
        (("ij", V), "operand 0 has 1 axes, which its subscripts 'ij' do not fit"),
        (("i", M), "operand 0 has 2 axes, which its subscripts 'i' do not fit"),
        (("i...j,j", V, V), r"operand 0 has 1 axes, which its subscripts 'i\.\.\.j'"),
        (("...i->i", M), r"the output 'i' has no '\.\.\.'"),
        (("i->j", V), "never appeared in an input"),
        (("i->ii", V), "multiple times"),
        (("i,i", V, V[:3]), "could not be broadcast together"),
        (("i..", V), r"may have one '\.\.\.'"),
        ((V, [52]), "integers from 0 to 51"),
        ((V, [-1]), "integers from 0 to 51"),
        ((V, ["i"]), "integers from 0 to 51"),
        ((), "takes subscripts and operands"),
    ],
    ids=str,
)
def test_einsum_tells_what_does_not_fit(given: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        minigrad.einsum(*[leaf(x) if isinstance(x, np.ndarray) else x for x in given])


def test_options_that_einsum_does_not_take() -> None:
    with pytest.raises(TypeError, match=r"np\.einsum of a Tensor supports only casting="):
        np.einsum("i", leaf(V), casting="unsafe")


# -- other products --------------------------------------------------------------------------------------------

PRODUCTS: list[tuple[str, Any, Any, dict[str, Any]]] = [
    *(("inner", x, y, {}) for x, y in product((N, V, M, A), repeat=2)),
    *(("outer", x, y, {}) for x, y in product((N, V, M), repeat=2)),
    *(("vdot", x, x[::-1] if x.ndim else x, {}) for x in (N, V, M, A)),
    *(("tensordot", A, A, {"axes": n}) for n in (0, 3)),
    ("tensordot", A, V, {"axes": 1}), ("tensordot", A, M.T, {"axes": ([1, 2], [1, 0])}), ("tensordot", A, A, {"axes": (0, 0)}),
    ("tensordot", A, M, {"axes": ([-1], [1])}), ("tensordot", M, A, {"axes": ((), ())}),
    ("tensordot", M[:0], M[:0], {"axes": 2}),
    *(("vecdot", x, y, {}) for x, y in product((V, M, A), repeat=2)),
    ("vecdot", A, A, {"axis": 0}), ("vecdot", M, M, {"axis": -2}),
    ("cross", V[:3], V[1:], {}), ("cross", M[:, 1:], V[:3], {}), ("cross", A[..., 1:], M[:, 1:], {}),
    ("cross", M, M, {"axis": 0}), ("cross", M.T, M, {"axisb": 0}), ("cross", M, M.T, {"axisa": 0, "axisc": 0}),
    ("cross", A, A, {"axisa": 1, "axisb": 1, "axisc": 0}), ("cross", A, A, {"axis": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "y", "options"), PRODUCTS, ids=lambda v: str(v.shape if hasattr(v, "shape") else v))
def test_products_are_numpys(name: str, x: np.ndarray, y: np.ndarray, options: dict[str, Any]) -> None:
    expected = np.asarray(getattr(np, name)(x, y, **options))
    for f in (getattr(np, name), getattr(minigrad, name)):
        found = f(leaf(x), leaf(y), **options)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found.data, expected, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(f(x, leaf(y), **options).data, expected, rtol=1e-13, atol=1e-14)
        if name in ("outer", "cross"):
            assert_same(found, expected)
    check(lambda s, t: getattr(np, name)(s, t, **options), x, y)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: np.tensordot(leaf(A), leaf(A), 1), "not of the same lengths"),
        (lambda: np.tensordot(leaf(M), leaf(M), ([0, 1], [0])), "not of the same lengths"),
        (lambda: np.inner(leaf(M), leaf(M.T)), "not of the same lengths"),
        (lambda: np.vecdot(leaf(V), leaf(V[1:])), "of 4 and 3 elements"),
        (lambda: np.cross(leaf(V[:2]), leaf(V[:2])), "3 elements, not of 2 and 2"),
        (lambda: np.vdot(leaf(V), leaf(M)), "mismatch"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_products_of_what_does_not_fit(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


# -- norms -----------------------------------------------------------------------------------------------------

INF = np.inf
NORMS: list[tuple[np.ndarray, dict[str, Any]]] = [
    *((x, {}) for x in (N, V, M, A)),
    *((V, {"ord": ord}) for ord in (2, 1, INF, -INF, 3, 1.5, 0.5, -1, -2, -2.5)),
    *((A, {"ord": ord, "axis": axis}) for ord in (None, 2, 1, INF, -INF, 3) for axis in (0, -1, (1,))),
    *((A, {"ord": ord, "axis": axis}) for ord in (None, "fro", 1, -1, INF, -INF) for axis in ((0, 1), (2, 0), (-1, 1))),
    *((M, {"ord": ord}) for ord in ("fro", 1, -1, INF, -INF)),
]
SPECTRAL = [
    *((M, {"ord": ord}) for ord in (2, -2, "nuc")),
    *((A, {"ord": ord, "axis": axis}) for ord in (2, -2, "nuc") for axis in ((0, 1), (2, 0), (-1, 1))),
    *((M[:0], {"ord": "nuc"}), (A[:0], {"ord": 2, "axis": (1, 2)})),
]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("x", "options"), NORMS, ids=lambda v: str(v.shape if hasattr(v, "shape") else v))
def test_norms_are_numpys(x: np.ndarray, options: dict[str, Any], keepdims: bool) -> None:
    expected = np.asarray(np.linalg.norm(x, **options, keepdims=keepdims))
    for f in (np.linalg.norm, minigrad.linalg.norm):
        assert_same(f(leaf(x), **options, keepdims=keepdims), expected)
    check(lambda t: np.linalg.norm(t, **options, keepdims=keepdims), x + 0.3 * np.sign(x), tolerance=1e-7)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("x", "options"), SPECTRAL, ids=lambda v: str(v.shape if hasattr(v, "shape") else v))
def test_norms_by_singular_values_are_numpys(x: np.ndarray, options: dict[str, Any], keepdims: bool) -> None:
    expected = np.asarray(np.linalg.norm(x, **options, keepdims=keepdims))
    for f in (np.linalg.norm, minigrad.linalg.norm):
        assert_near(f(leaf(x), **options, keepdims=keepdims), expected)
    check(lambda t: np.linalg.norm(t, **options, keepdims=keepdims), x, tolerance=1e-7)


@pytest.mark.parametrize("x", [M, M.T, S], ids=["wide", "tall", "square"])
def test_gradients_of_norms_by_singular_values_are_made_of_their_vectors(x: np.ndarray) -> None:
    U, _, Vh = np.linalg.svd(x, full_matrices=False)
    for ord, expected in (("nuc", U @ Vh), (2, np.outer(U[:, 0], Vh[0])), (-2, np.outer(U[:, -1], Vh[-1]))):
        np.testing.assert_allclose(minigrad.grad(lambda t, ord=ord: np.linalg.norm(t, ord))(x), expected, atol=1e-13)


@pytest.mark.parametrize(("ord", "share"), [(2, 0.5), (-2, 0.5), ("nuc", 1)])
def test_equal_singular_values_share_the_gradient_of_a_norm(ord: Any, share: float) -> None:
    for x in (np.eye(2), np.array([[0.0, 3.0], [-3.0, 0.0]]), np.eye(3, 2)):
        size = np.max(np.abs(x))
        np.testing.assert_allclose(minigrad.grad(lambda t: np.linalg.norm(t, ord))(x), share * x / size, atol=1e-15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "options", [{}, {"ord": 2, "axis": 0}, {"ord": "fro"}, {"axis": (0, 1)}, {"ord": 3, "axis": 1}], ids=str
)
def test_at_zero_all_derivatives_of_the_length_are_zero(options: dict[str, Any]) -> None:
    x = leaf(np.zeros((2, 3)))
    (g,) = minigrad.grad(np.linalg.norm(x, **options).sum(), [x], create_graph=True)
    h = minigrad.grad((g * np.ones((2, 3))).sum(), x)
    np.testing.assert_array_equal(g.data, 0)
    np.testing.assert_array_equal(h.data, 0)


def test_one_vector_of_zeros_among_others() -> None:
    x = leaf([[0.0, 0.0], [3.0, 4.0]])
    (g,) = minigrad.grad(np.linalg.norm(x, axis=1).sum(), [x], create_graph=True)
    np.testing.assert_allclose(g.data, [[0, 0], [0.6, 0.8]])
    h = minigrad.grad(g[:, 0].sum(), x)
    np.testing.assert_allclose(h.data, [[0, 0], [0.128, -0.096]])


def test_elements_that_are_zero_in_other_norms() -> None:
    for ord in (1, 1.5, 3, 0.5):
        x = leaf([0.0, 2.0])
        found = minigrad.grad(np.linalg.norm(x, ord), x).data
        assert found[0] == 0
        np.testing.assert_array_max_ulp(found, np.array([0.0, 1.0]), 2)  # NumPy's powers are not the same on all processors


@pytest.mark.parametrize(
    ("x", "ord", "axis", "text"),
    [
        (V, "fro", None, "ord='fro' for vectors"),
        (V, "nuc", None, "ord='nuc' for vectors"),
        (M, "nuclear", None, "ord='nuclear' for matrices"),
        (M, 3, None, "ord=3 for matrices"),
        (A, 1, None, "not 3 axes"),
        (A, None, (0, 1, 2), "not 3 axes"),
        (N, 1, None, "not 0 axes"),
    ],
    ids=str,
)
def test_norms_that_there_are_not(x: Any, ord: Any, axis: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        np.linalg.norm(leaf(x), ord, axis)


# -- matrices --------------------------------------------------------------------------------------------------

SQUARE = {"one": S, "stack": T, "number": N.reshape(1, 1), "no elements": S[:0, :0], "no matrices": T[:0]}
each_square = pytest.mark.parametrize("x", SQUARE.values(), ids=SQUARE.keys())


@each_square
@pytest.mark.parametrize("name", ["inv", "det"])
def test_inverse_and_determinant_are_numpys(name: str, x: np.ndarray) -> None:
    expected = np.asarray(getattr(np.linalg, name)(x))
    for f in (getattr(np.linalg, name), getattr(minigrad.linalg, name)):
        assert_same(f(leaf(x)), expected)
    check(getattr(np.linalg, name), x)


@each_square
def test_slogdet_is_numpys(x: np.ndarray) -> None:
    for f in (np.linalg.slogdet, minigrad.linalg.slogdet):
        found, expected = f(leaf(x)), np.linalg.slogdet(x)
        assert_same(found.logabsdet, np.asarray(expected.logabsdet))
        assert not isinstance(found.sign, minigrad.Tensor)
        np.testing.assert_array_equal(found.sign, expected.sign)
    check(lambda t: np.linalg.slogdet(t)[1], x)


@each_square
@pytest.mark.parametrize("lead", [None, (), (5,), (2, 1)], ids=str)
@pytest.mark.parametrize("columns", [1, 4])
def test_solve_is_numpys(x: np.ndarray, lead: Any, columns: int) -> None:
    n = x.shape[-1]
    b = RANDOM.normal(size=(n,) if lead is None else (*lead, n, columns) if x is not SQUARE["no matrices"] else (n, columns))
    expected = np.asarray(np.linalg.solve(x, b))
    for f in (np.linalg.solve, minigrad.linalg.solve):
        assert_same(f(leaf(x), leaf(b)), expected)
        assert_same(f(x, leaf(b)), expected)
    check(np.linalg.solve, x, b)


@pytest.mark.parametrize("upper", [False, True])
@each_square
def test_cholesky_is_numpys(x: np.ndarray, upper: bool) -> None:
    x = x @ np.swapaxes(x, -1, -2)
    x = 0.5 * (x + np.swapaxes(x, -1, -2))
    expected = np.linalg.cholesky(x, upper=upper)
    for f in (np.linalg.cholesky, minigrad.linalg.cholesky):
        assert_same(f(leaf(x)), np.linalg.cholesky(x))
        np.testing.assert_allclose(f(leaf(x), upper=upper).data, expected, rtol=1e-13, atol=1e-14)

    def symmetric(t: Any) -> Any:
        return np.linalg.cholesky(0.5 * (t + np.swapaxes(t, -1, -2)), upper=upper)

    check(symmetric, x)
    t = leaf(x)
    g = minigrad.grad(np.linalg.cholesky(t), t, seed=RANDOM.normal(size=x.shape)).data
    np.testing.assert_array_equal(g, np.swapaxes(g, -1, -2))


SINGULAR = {
    "of rank 2": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]),
    "of rank 1": np.outer([1.0, 2.0, 3.0], [1.0, 0.5, 2.0]),
    "zeros": np.zeros((3, 3)),
    "zero": np.zeros((1, 1)),
    "one of a stack": np.stack([np.ones((2, 2)), np.eye(2)]),
    "nearly": np.array([[1.0, 1.0], [1.0, 1.0 + 1e-15]]),
}


@pytest.mark.parametrize("x", SINGULAR.values(), ids=SINGULAR.keys())
def test_derivatives_of_the_determinant_of_singular_matrices(x: np.ndarray) -> None:
    check(np.linalg.det, x)


def test_gradient_of_the_determinant_of_a_matrix_that_has_no_inverse_is_exact() -> None:
    x = leaf([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(minigrad.grad(np.linalg.det(x), x).data, [[4, -2], [-2, 1]], rtol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_cofactors_are_the_determinant_times_the_inverse(n: int) -> None:
    x = RANDOM.normal(size=(2, n, n))
    expected = np.linalg.det(x)[:, None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)
    np.testing.assert_allclose(matrices.cofactors(x), expected, rtol=1e-10, atol=1e-12)


def test_singular_matrices_have_neither_inverse_nor_logarithm() -> None:
    x = leaf(np.ones((2, 2)))
    for f in (np.linalg.inv, lambda t: np.linalg.solve(t, [1.0, 2.0]), lambda t: np.linalg.cholesky(t - 2)):
        with pytest.raises(np.linalg.LinAlgError):
            f(x)
    y = np.linalg.slogdet(x)[1]
    assert y.item() == -np.inf
    with pytest.raises(np.linalg.LinAlgError):
        y.backward()


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh"])
@pytest.mark.parametrize("x", [M, V], ids=["oblong", "vector"])
def test_matrices_that_are_not_square(name: str, x: np.ndarray) -> None:
    with pytest.raises(np.linalg.LinAlgError):
        getattr(np.linalg, name)(leaf(x))


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "norm", "pinv"])
def test_integers_and_narrow_floats(name: str) -> None:
    x = np.array([[4, 1], [1, 3]])
    f = getattr(np.linalg, name)
    np.testing.assert_array_equal(f(minigrad.tensor(x)).data, f(x))
    assert_same(f(leaf(x.astype("float32"))), np.asarray(f(x.astype("float32"))))
    half = leaf(x.astype("float16"))
    np.testing.assert_allclose(f(half).data, f(x), rtol=1e-3)
    assert minigrad.grad(f(half).sum(), half).dtype == np.float16


# -- spectra ---------------------------------------------------------------------------------------------------

OBLONG = {**SQUARE, "wide": A, "tall": M.T, "row": M[:1], "column": M[:, :1], "no rows": M[:0], "no columns": A[..., :0]}
each_matrix = pytest.mark.parametrize("x", OBLONG.values(), ids=OBLONG.keys())
each_width = pytest.mark.parametrize("dtype", ["float64", "float32"])


def transposed(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def made_symmetric(x: Any) -> Any:
    return 0.5 * (x + transposed(x))


@each_width
@each_square
def test_eigenvalues_and_vectors_are_numpys(x: np.ndarray, dtype: str) -> None:
    x = made_symmetric(x).astype(dtype)
    for f in (np.linalg.eigh, minigrad.linalg.eigh):
        found, expected = f(leaf(x)), np.linalg.eigh(x)
        assert_same(found.eigenvalues, expected.eigenvalues)
        assert_same(found.eigenvectors, expected.eigenvectors)
        assert_same(f(leaf(x), UPLO="U").eigenvalues, expected.eigenvalues)
    for f in (np.linalg.eigvalsh, minigrad.linalg.eigvalsh):
        assert_near(f(leaf(x)), np.linalg.eigvalsh(x))
    t = leaf(x)
    g = minigrad.grad(np.linalg.eigh(t)[1].sum() + np.linalg.eigvalsh(t)[..., :1].sum(), t)
    assert g.dtype == dtype
    np.testing.assert_allclose(g.data, transposed(g.data), atol=1e-5)


@each_width
@each_matrix
def test_singular_values_and_vectors_are_numpys(x: np.ndarray, dtype: str) -> None:
    x = x.astype(dtype)
    for f in (np.linalg.svd, minigrad.linalg.svd):
        for found, expected in zip(f(leaf(x), full_matrices=False), np.linalg.svd(x, full_matrices=False), strict=True):
            assert_same(found, expected)
        assert_near(f(leaf(x), compute_uv=False), np.linalg.svdvals(x))
    for f in (np.linalg.svdvals, minigrad.linalg.svdvals):
        assert_near(f(leaf(x)), np.linalg.svdvals(x))
    if x.shape[-1] == x.shape[-2]:
        assert_same(np.linalg.svd(leaf(x)).Vh, np.linalg.svd(x).Vh)


@each_width
@each_matrix
@pytest.mark.parametrize("mode", ["reduced", "r", "complete"])
def test_orthonormal_and_triangular_factors_are_numpys(x: np.ndarray, dtype: str, mode: str) -> None:
    x = x.astype(dtype)
    beyond = mode == "complete" and x.shape[-2] > x.shape[-1]
    t = minigrad.tensor(x, requires_grad=not beyond)
    for f in (np.linalg.qr, minigrad.linalg.qr):
        found, expected = f(t, mode), np.linalg.qr(x, mode)
        pairs = [(found, expected)] if mode == "r" else zip(found, expected, strict=True)
        for a, b in pairs:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(minigrad.ops.positive(a) if beyond else a.data, b, rtol=1e-4, atol=1e-5)
    if beyond:
        with pytest.raises(minigrad.LeavesGraphError, match="With mode='reduced' it has"):
            np.linalg.qr(leaf(x), mode)


@pytest.mark.parametrize("x", [x for x in OBLONG.values() if x.size], ids=[name for name, x in OBLONG.items() if x.size])
def test_derivatives_of_orthonormal_and_triangular_factors(x: np.ndarray) -> None:
    check(lambda t: np.linalg.qr(t).Q, x)
    check(lambda t: np.linalg.qr(t, mode="r"), x)
    check(lambda t: matrices_multiplied(*np.linalg.qr(t)), x)
    minigrad.check_grads(lambda t: sum(part.sum() for part in np.linalg.qr(t)), x, order=2)  # forward mode as well


def matrices_multiplied(Q: Any, R: Any) -> Any:
    return np.sin(Q) @ R + Q @ np.cos(R)


def test_what_has_no_orthonormal_and_triangular_factors() -> None:
    with pytest.raises(ValueError, match="not 'raw'"):
        np.linalg.qr(leaf(M), "raw")
    with pytest.raises(np.linalg.LinAlgError, match="takes a matrix"):
        np.linalg.qr(leaf(V))
    t = leaf(np.zeros((3, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.qr(t).R.sum().backward()


@each_square
def test_derivatives_of_eigenvalues_and_of_what_does_not_depend_on_signs(x: np.ndarray) -> None:
    def f(t: Any) -> Any:
        w, V = np.linalg.eigh(made_symmetric(t))
        return w, V**2, V * np.sin(w)[..., None, :] @ transposed(V)

    minigrad.check_grads(f, x, order=2)


@each_matrix
def test_derivatives_of_singular_values_and_of_what_does_not_depend_on_signs(x: np.ndarray) -> None:
    def f(t: Any) -> Any:
        U, s, Vh = np.linalg.svd(t, full_matrices=False)
        return s, U @ Vh, np.sum((U @ Vh) ** 2 * 0.5), U**2, Vh**2, U * np.sin(s)[..., None, :] @ Vh

    minigrad.check_grads(f, x, order=2)


@each_matrix
def test_the_gradient_of_a_reconstruction_is_the_cotangent(x: np.ndarray) -> None:
    def f(t: Any) -> Any:
        U, s, Vh = np.linalg.svd(t, full_matrices=False)
        return U * s[..., None, :] @ Vh

    u = RANDOM.normal(size=x.shape)
    np.testing.assert_allclose(minigrad.vjp(f, x)[1](u)[0], u, atol=1e-10)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("x", [np.eye(3), np.zeros((3, 3)), np.diag([2.0, 1.0, 2.0]), np.zeros((2, 0, 0))], ids=str)
def test_of_equal_eigenvalues_the_symmetric_functions_have_their_gradient(x: np.ndarray) -> None:
    for f, expected in (
        (lambda w: w, np.broadcast_to(np.eye(x.shape[-1]), x.shape)),
        (lambda w: w**2, 2 * x),
        (lambda w: w**3, 3 * x @ x),
    ):
        g = minigrad.grad(lambda t, f=f: np.sum(f(np.linalg.eigvalsh(t))))(x)
        np.testing.assert_allclose(g, expected, atol=1e-14)
        np.testing.assert_allclose(minigrad.jvp(lambda t, f=f: np.sum(f(np.linalg.eigvalsh(t))), (x,), (x + 1,))[1],
                                   np.sum(expected * (x + 1)), atol=1e-14)  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("x", [np.eye(3), np.zeros((2, 3)), np.diag([2.0, 0.0, 0.0]), np.ones((2, 4, 3))], ids=str)
def test_of_equal_singular_values_the_sum_of_squares_has_its_gradient(x: np.ndarray) -> None:
    np.testing.assert_allclose(minigrad.grad(lambda t: np.sum(np.linalg.svdvals(t) ** 2))(x), 2 * x, atol=1e-14)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.sum(np.linalg.eigh(t)[1] * [[1.0, 2.0], [3.0, 5.0]]),
        lambda t: np.sum(np.linalg.svd(t).U * [[1.0, 2.0], [3.0, 5.0]]),
        lambda t: np.sum(np.linalg.svd(t).Vh * [[1.0, 2.0], [3.0, 5.0]]),
        minigrad.grad(lambda t: np.sum(np.linalg.eigvalsh(t) ** 2)),
        minigrad.grad(lambda t: np.sum(np.linalg.svdvals(t) ** 2)),
    ],
    ids=["V", "U", "Vh", "second of eigvalsh", "second of svdvals"],
)
def test_where_vectors_of_equal_values_are_used_no_number_comes_out_in_any_mode(f: Any) -> None:
    assert np.all(np.isnan(minigrad.vjp(f, np.eye(2))[1](np.ones(np.shape(f(np.eye(2)))))))
    assert np.any(np.isnan(minigrad.jvp(f, (np.eye(2),), (np.array([[1.0, 2.0], [2.0, 5.0]]),))[1]))


def test_vectors_of_a_tall_matrix_of_lower_rank_have_no_derivative() -> None:
    x = np.eye(3, 2) * [2.0, 0.0]
    weights = RANDOM.normal(size=(3, 2))
    assert np.any(np.isnan(minigrad.grad(lambda t: np.sum(weights * np.linalg.svd(t, full_matrices=False).U))(x)))
    np.testing.assert_allclose(minigrad.grad(lambda t: np.linalg.svdvals(t)[0])(x), np.eye(3, 2) * [1.0, 0.0], atol=1e-15)


def test_options_of_svd_and_eigh() -> None:
    text = r"np\.linalg\.svd of shape \(3, 4\) has no derivative.*full_matrices=True.*full_matrices=False it has.*detach\(\)"
    with pytest.raises(minigrad.LeavesGraphError, match=text):
        np.linalg.svd(leaf(M))
    assert np.linalg.svd(minigrad.tensor(M)).Vh.shape == (4, 4)
    assert np.linalg.svd(leaf(M), compute_uv=False).shape == (3,)
    with pytest.raises(TypeError, match=r"np\.linalg\.svd of a Tensor supports only hermitian="):
        np.linalg.svd(leaf(S), hermitian=True)
    with pytest.raises(ValueError, match="UPLO is 'L' or 'U', not 'X'"):
        np.linalg.eigh(leaf(S), UPLO="X")
    for f in (np.linalg.svd, np.linalg.svdvals, np.linalg.pinv, np.linalg.cond):
        with pytest.raises(np.linalg.LinAlgError):
            f(leaf(V))


@pytest.mark.parametrize("p", [None, 2, -2, "fro", 1, INF])
@pytest.mark.parametrize("x", [S, T, N.reshape(1, 1)], ids=["one", "stack", "number"])
def test_condition_numbers_are_numpys(x: np.ndarray, p: Any) -> None:
    for f in (np.linalg.cond, minigrad.linalg.cond):
        found = f(leaf(x), p)
        np.testing.assert_allclose(found.data, np.linalg.cond(x, p), rtol=1e-12)
    check(lambda t: np.linalg.cond(t, p), x, tolerance=1e-7)


def test_condition_numbers_of_matrices_that_are_not_square_singular_or_empty() -> None:
    assert_near(np.linalg.cond(leaf(A)), np.linalg.cond(A))
    assert np.linalg.cond(leaf(np.diag([1.0, 0.0]))).item() == np.inf
    np.testing.assert_array_equal(minigrad.grad(np.linalg.cond)(np.eye(2)), 0)
    for f in (np.linalg.cond, minigrad.linalg.cond):
        with pytest.raises(np.linalg.LinAlgError):
            f(leaf(M[:0]))


@each_matrix
def test_pseudo_inverses_are_numpys(x: np.ndarray) -> None:
    for f in (np.linalg.pinv, minigrad.linalg.pinv):
        assert_same(f(leaf(x)), np.linalg.pinv(x))
        assert_same(f(leaf(x), 0.5), np.linalg.pinv(x, 0.5))
    check(np.linalg.pinv, x)


def test_pseudo_inverses_where_singular_values_are_equal_or_zero() -> None:
    check(np.linalg.pinv, np.eye(3, 2))
    check(lambda u, v: np.linalg.pinv(u @ v, 1e-9), M[:, :2], M[:2])  # of rank 2
    check(lambda t: np.linalg.pinv(t, 1e-9), np.eye(2))


def test_without_a_tensor_the_result_is_a_plain_array() -> None:
    for name in ("inv", "det", "cholesky", "norm", "pinv", "cond", "eigvalsh", "svdvals"):
        assert not isinstance(getattr(minigrad.linalg, name)((S @ S.T).tolist()), minigrad.Tensor)
    assert type(minigrad.linalg.solve(S.tolist(), [1.0, 2.0, 3.0])) is np.ndarray


def test_every_function_of_these_files_is_tried() -> None:
    products = {name for name, *_ in PRODUCTS} | {"einsum", "dot", "matmul"}
    assert {f.__name__ for f, own in (FUNCTIONS | UFUNCS).items() if own.__module__.endswith("products")} <= products
    assert {f.__name__ for f in FUNCTIONS if f.__module__ == "numpy.linalg"} == {*minigrad.linalg.__all__}
