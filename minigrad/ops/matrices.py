"""Linear algebra: norms, inverses, determinants, solutions, factors and spectra of matrices and of stacks of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from ..errors import LeavesGraphError
from ..tensor import Tensor
from . import arranging, products
from .elementwise import over_length
from .entry import Operand, public
from .op import REAL, Domain, general, shape_of
from .precision import at_least_single as computable  # LAPACK has no half precision
from .products import einsum, matmul, swapped
from .reduce import in_range, normalized, restored
from .shape import as_array, reshape, transpose

Axes = int | tuple[int, ...] | None
T = TypeVar("T")  # Tensor or array
SPECTRAL: dict[Any, Callable[..., Any]] = {2: np.max, -2: np.min, "nuc": np.sum}


def plain(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


# -- norms -----------------------------------------------------------------------------------------------------


def length_vjp(g: Any, out: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    # The direction of x, and 0 where x is 0: there no further derivative may divide by the length either.
    axes = normalized(axis, len(shape_of(x)))
    return restored(over_length(g, out), x.shape, axes, keepdims) * x


def p_norm_vjp(g: Any, out: Any, x: Any, p: float, axis: int, keepdims: bool) -> Any:
    # Of |x| relative to the norm, so that no power overflows.
    g, out = restored(g, x.shape, (axis,), keepdims), restored(out, x.shape, (axis,), keepdims)
    zero = np.equal(x, 0)
    relative = (np.abs(x) + zero) / (out + np.equal(out, 0))
    return g * np.where(zero, 0, np.sign(plain(x)) * np.power(relative, p - 1))


@in_range
def length(x: Any, *, axis: Any, keepdims: Any) -> Any:
    if axis is not None:
        return np.sqrt(np.add.reduce(x * x, axis=axis, keepdims=keepdims))
    flat = x.ravel("K")
    total = flat.dot(flat)
    if not 1e-30 < total < np.inf and np.any(flat):
        raise FloatingPointError  # as ufuncs do in `in_range`; BLAS does not
    found = np.sqrt(total)
    return found.reshape((1,) * x.ndim) if keepdims else found


length_op = general(
    "norm",
    length,
    length_vjp,
    domain=REAL,
    analytic=False,
)
p_norm_op = general(
    "p_norm",
    in_range(lambda x, *, p, axis, keepdims: np.linalg.norm(x, p, axis, keepdims)),
    p_norm_vjp,
    domain=Domain(kinks=(0.0,)),
    analytic=False,
    symbol="norm",
)


@public(np.linalg.norm)
def norm(x: Operand, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Operand:
    """Norm of vectors (along one axis) or of matrices (along two), as ``np.linalg.norm``.

    `ord` of vectors is None or 2 (the length), inf or -inf (the largest or smallest absolute value), 0 (how many are not 0:
    an array, for its derivative is 0), or any other p, for ``sum(|x|^p)^(1/p)``; of matrices None or "fro" (the root of the sum
    of squares), 1 or -1 (the largest or smallest sum of absolute values of a column), inf or -inf (of a row), 2 or -2 (the
    largest or smallest singular value), "nuc" (their sum).
    Without `axis` and `ord` it is the length of the flattened array.
    The derivative of the length at 0 is taken as 0, and so is that of ``|x|^p`` by an element that is 0. Singular values that
    are the largest together share equally, as those of `max`; the rest on their derivatives is said in `svd`.

    Raises ValueError for another `ord`.

    >>> import minigrad
    >>> x = minigrad.tensor([3.0, 4.0], requires_grad=True)
    >>> y = minigrad.linalg.norm(x)
    >>> y.backward()
    >>> y.item(), x.grad
    (5.0, array([0.6, 0.8]))
    """
    if isinstance(ord, Tensor):
        ord._stays("giving it as ord, by which norm is not differentiated,")
        ord = ord.item()
    x = as_array(x)
    if x.dtype.kind != "f":
        x = x.astype(float)
    axes = normalized(axis, x.ndim)
    if axis is None and (ord is None or (x.ndim == 1 and ord == 2)):
        return length_op.run(x, {"axis": None, "keepdims": keepdims})
    if len(axes) not in (1, 2):
        raise ValueError(f"norm takes vectors along one axis or matrices along two, not {len(axes)} axes of shape {x.shape}")
    return (norm_of_vectors if len(axes) == 1 else norm_of_matrices)(x, ord, axes, keepdims)


def norm_of_vectors(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"norm does not support ord={ord!r} for vectors; ord is None, inf, -inf or a number")
    if ord is None or ord == 2:
        return length_op.run(x, {"axis": axes, "keepdims": keepdims})
    if ord == 0:
        return np.sum(np.not_equal(x, 0), axis=axes, keepdims=keepdims).astype(x.dtype)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    return p_norm_op.run(x, {"p": ord, "axis": axes[0], "keepdims": keepdims})


def norm_of_matrices(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord is None or ord == "fro":
        return length_op.run(x, {"axis": axes, "keepdims": keepdims})
    if ord in SPECTRAL:
        found = SPECTRAL[ord](svdvals(np.moveaxis(x, axes, (-2, -1))), axis=-1)
        return np.expand_dims(found, axes) if keepdims else found
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(
            f"norm does not support ord={ord!r} for matrices; ord is None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
        )
    down, across = axes if ord in (1, -1) else axes[::-1]
    sums = np.sum(np.abs(x), axis=down, keepdims=True)
    found = (np.max if ord > 0 else np.min)(sums, axis=across, keepdims=True)
    return found if keepdims else np.squeeze(found, axes)


# -- matrices --------------------------------------------------------------------------------------------------


def cofactors(x: Any) -> Any:
    """Return the factor of each element in the determinant: the signed determinant of the rows and columns that it leaves."""
    n = x.shape[-1]
    others = np.array([[k for k in range(n) if k != i] for i in range(n)], np.intp).reshape(n, max(n - 1, 0))
    minors = x[..., others[:, None, :, None], others[None, :, None, :]]
    return (-1.0) ** np.add.outer(np.arange(n), np.arange(n)) * det(minors)


def nearly_singular(x: Any) -> bool:
    if x.size == 0:
        return False
    with np.errstate(all="ignore"):
        x = computable(x)
        return not np.all(np.linalg.cond(x) < np.finfo(x.dtype).eps ** -0.5)


def det_vjp(g: Any, out: Any, x: Any) -> Any:
    # out * inv(x).T is the same, and as good as inv(x) is.
    by_x = cofactors(x) if nearly_singular(plain(x)) else out[..., None, None] * swapped(inv(x))
    return g[..., None, None] * by_x


def logabsdet_vjp(g: Any, x: Any) -> Any:
    return g[..., None, None] * swapped(inv(x))


def solve_by_b(g: Any, a: Any) -> Any:
    return solve(swapped(a), g)


def solve_by_a(g: Any, out: Any, a: Any) -> Any:
    return -(solve(swapped(a), g) @ swapped(out))


def symmetric(x: Any) -> Any:
    x = computable(x)
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]  # of anything else NumPy tells what is wrong
    return 0.5 * (x + swapped(x)) if square else x


def cholesky_vjp(g: Any, out: Any) -> Any:
    # inv(L)^T P inv(L), where P is the lower triangle of L^T g with its diagonal halved; made symmetric.
    n = out.shape[-1]
    inner = swapped(out) @ np.where(np.tri(n, dtype=bool), g, 0) * (np.tri(n) - 0.5 * np.eye(n))
    inverse = inv(out)
    return symmetric(swapped(inverse) @ inner @ inverse)


def packed_qr(x: Any) -> Any:
    return np.concatenate(np.linalg.qr(computable(x)), -2)


def qr_vjp(g: Any, out: Any) -> Any:
    n = out.shape[-1]
    m = out.shape[-2] - n
    (Q, R), (gQ, gR) = ((t[..., :m, :], t[..., m:, :]) for t in (out, g))
    by_R, by_Q = R @ swapped(gR), swapped(Q) @ gQ
    lower, below, turned = (np.where(np.tri(n, k=k, dtype=bool), t, 0) for t, k in (
        (by_R, 0), (by_R, -1), (by_Q - swapped(by_Q), -1),
    ))  # fmt: skip
    found = Q @ (lower + swapped(below) + turned)
    if m > n:
        found = found + (gQ - Q @ by_Q)
    return swapped(solve(R, swapped(found)))


def pinv_vjp(g: Any, out: Any, x: Any) -> Any:
    P, G = swapped(out), swapped(g)
    down, across = G @ out @ P, P @ out @ G
    return down - x @ out @ down + across - across @ (out @ x) - P @ g @ P  # x @ out is of no scale


inv_op = general(
    "inv",
    lambda x: np.linalg.inv(computable(x)),
    lambda g, out: -(swapped(out) @ g @ swapped(out)),
    domain=REAL,
    core=(2, 2),
)
det_op = general("det", lambda x: np.linalg.det(computable(x)), det_vjp, domain=REAL, core=(2, 0))
logabsdet_op = general(
    "logabsdet",
    lambda x: np.linalg.slogdet(computable(x))[1],
    logabsdet_vjp,
    domain=REAL,
    analytic=False,
    core=(2, 0),
)
solve_op = general(
    "solve",
    lambda a, b: np.linalg.solve(computable(a), computable(b)),
    solve_by_a,
    solve_by_b,
    domain=REAL,
    core=(2, 2),
)
cholesky_op = general(
    "cholesky",
    lambda x: np.linalg.cholesky(symmetric(x)),
    cholesky_vjp,
    domain=REAL,
    analytic=False,
    core=(2, 2),
)
qr_op = general("qr", packed_qr, qr_vjp, domain=REAL, analytic=False, core=(2, 2))
pinv_op = general(
    "pinv",
    lambda x, *, rcond: np.linalg.pinv(computable(x), rcond),
    pinv_vjp,
    domain=REAL,
    analytic=False,
    core=(2, 2),
)


@public(np.linalg.inv)
def inv(x: Operand) -> Operand:
    """The inverse of a matrix, or of every matrix of a stack. As ``np.linalg.inv``.

    Raises LinAlgError if one is not square, or singular.

    >>> import minigrad
    >>> minigrad.linalg.inv(minigrad.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return inv_op.run(as_array(x))


@public(np.linalg.det)
def det(x: Operand) -> Operand:
    """The determinant of a matrix, or of every matrix of a stack. As ``np.linalg.det``.

    Its gradient is the matrix of cofactors, also of a singular matrix. There (if the condition number is too large for an
    inverse to be exact to half of the digits) it is computed from the n^2 minors, which for large n takes long.
    Raises LinAlgError if a matrix is not square.

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    >>> minigrad.linalg.det(x).backward()
    >>> x.grad.tolist()
    [[4.0, -2.0], [-2.0, 1.0]]
    """
    return det_op.run(as_array(x))


class SlogdetResult(NamedTuple, Generic[T]):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: T


@public(np.linalg.slogdet)
def slogdet(x: Operand) -> SlogdetResult[Operand]:
    """The sign of the determinant, a plain array, and the logarithm of its absolute value. As ``np.linalg.slogdet``.

    Neither overflows where the determinant would. The logarithm of a singular matrix is -inf, and has no gradient:
    asking for it raises LinAlgError, as does a matrix that is not square.

    >>> import minigrad
    >>> sign, logabsdet = minigrad.linalg.slogdet(minigrad.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> float(sign), logabsdet.item()
    (-1.0, 0.0)
    """
    x = as_array(x)
    return SlogdetResult(np.linalg.slogdet(computable(plain(x)))[0], logabsdet_op.run(x))


@public(np.linalg.solve)
def solve(a: Operand, b: Operand) -> Operand:
    """x for which a @ x = b, without the inverse of a. As ``np.linalg.solve`` of NumPy 2: b is a vector if it has one axis.

    Otherwise b is a matrix, or a stack of them.
    Raises LinAlgError if a matrix is not square, or singular.

    >>> import minigrad
    >>> minigrad.linalg.solve(minigrad.tensor([[2.0, 0.0], [0.0, 4.0]]), [1.0, 1.0])
    tensor([0.5 , 0.25])
    """
    a, b = as_array(a), as_array(b)
    return solve_op.run(a, b[:, None])[..., 0] if b.ndim == 1 else solve_op.run(a, b)


@public(np.linalg.cholesky)
def cholesky(x: Operand, *, upper: bool = False) -> Operand:
    """The lower triangular L with x = L @ L.T of a symmetric positive definite x; its transpose if `upper`.

    As ``np.linalg.cholesky``, which reads one triangle of x only. Here x counts with both, as 0.5 * (x + x.T), and
    the gradient is symmetric.
    Raises LinAlgError if a matrix is not square, or not positive definite.

    >>> import minigrad
    >>> minigrad.linalg.cholesky(minigrad.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    found = cholesky_op.run(as_array(x))
    return swapped(found) if upper else found


class QRResult(NamedTuple):
    """Orthonormal columns, and an upper triangular matrix."""

    Q: Any
    R: Any


@public(np.linalg.qr)
def qr(x: Operand, mode: Literal["reduced", "complete", "r"] = "reduced") -> Any:
    """Factor x = Q @ R, with orthonormal columns in Q and an upper triangular R. As ``np.linalg.qr``.

    Of an (m, n) matrix, k = min(m, n), Q is (m, k) and R (k, n). With ``mode="r"`` the result is R alone. With
    ``mode="complete"`` Q is (m, m), the same where m <= n.
    There is a gradient where the first k columns are independent (LinAlgError if R is singular); see Walter, Lehmann and
    Lamour, "On evaluating higher-order derivatives of the QR decomposition of tall matrices with full column rank in forward
    and reverse mode algorithmic differentiation" (2012).
    Raises LeavesGraphError if x requires grad, m > n and the mode is "complete": the columns beyond k have no derivative.
    ValueError for another mode, LinAlgError if x is no matrix.

    >>> import minigrad
    >>> x = minigrad.tensor([[3.0, 1.0], [4.0, 2.0]], requires_grad=True)
    >>> Q, R = minigrad.linalg.qr(x)
    >>> abs(R[0, 0]).backward()
    >>> x.grad.round(9).tolist()
    [[0.6, 0.0], [0.8, 0.0]]
    """
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr takes the mode 'reduced', 'complete' or 'r', not {mode!r}")
    x = as_array(x)
    if x.ndim < 2:
        raise np.linalg.LinAlgError(f"qr takes a matrix or a stack of them, not an array of shape {x.shape}")
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        if isinstance(x, Tensor) and x.requires_grad:
            raise LeavesGraphError(
                f"np.linalg.qr of shape {x.shape} has no derivative in minigrad with mode='complete', for matrices with more "
                "rows than columns, and this tensor requires grad. With mode='reduced' it has; if you need only the values, "
                "call it on t.detach().numpy()"
            )
        return QRResult(*np.linalg.qr(computable(plain(x)), mode))
    out = qr_op.run(x[..., :m])
    Q, R = out[..., :m, :], out[..., m:, :]
    if m < n:
        R = np.concatenate([R, matmul(swapped(Q), x[..., m:])], -1)
    return R if mode == "r" else QRResult(Q, R)


# -- spectra ---------------------------------------------------------------------------------------------------

# Both ops give their factors packed into one array, which the public functions take apart.


def turning(x: Any, gaps: Any, mask: Any) -> Any:
    # Vectors turn into each other by the difference of their values. Where there is none, there is no derivative, unless
    # these vectors are not needed.
    turned = x / np.where(np.equal(gaps, 0), np.nan, gaps)
    return turned if mask is None else np.where(np.any(mask, axis=-2, keepdims=True), turned, 0)


def packed_eigh(x: Any) -> Any:
    values, vectors = np.linalg.eigh(symmetric(x))
    return np.concatenate([values[..., None], vectors], -1)


def eigh_vjp(g: Any, out: Any, mask: Any) -> Any:
    w, V = out[..., 0], out[..., 1:]
    eye = np.eye(w.shape[-1], dtype=bool)
    gaps = np.where(eye, 1, w[..., None, :] - w[..., :, None])
    turned = turning(swapped(V) @ g[..., 1:], gaps, None if mask is None else mask[..., 1:])
    return symmetric(V @ np.where(eye, g[..., None, :, 0], turned) @ swapped(V))


def packed_svd(x: Any) -> Any:
    U, s, Vh = np.linalg.svd(computable(x), full_matrices=False)
    return np.concatenate([U, s[..., None, :], swapped(Vh)], -2)


def svd_vjp(g: Any, out: Any, x_shape: tuple[int, ...], mask: Any) -> Any:
    m, n = x_shape[-2:]
    (U, s, V), (gU, gs, gV) = ((t[..., :m, :], t[..., m : m + 1, :], t[..., m + 1 :, :]) for t in (out, g))
    mask_U, mask_V = (None, None) if mask is None else (mask[..., :m, :], mask[..., m + 1 :, :])
    eye = np.eye(min(m, n), dtype=bool)
    gaps, total = np.where(eye, 1, s - swapped(s)), s + swapped(s)
    share = s / np.where(np.equal(total, 0), 1, total)
    by_U, by_V = swapped(U) @ gU, swapped(V) @ gV
    turn_U, turn_V = turning(by_U, gaps, mask_U), turning(by_V, gaps, mask_V)
    inner = (turn_U + swapped(turn_U)) * share + swapped(share) * (turn_V + swapped(turn_V))
    found = U @ np.where(eye, gs, inner) @ swapped(V)
    if m > n:
        found = found + turning(gU - U @ by_U, s, mask_U) @ swapped(V)
    if n > m:
        found = found + U @ swapped(turning(gV - V @ by_V, s, mask_V))
    return found


eigh_op = general("eigh", packed_eigh, eigh_vjp, domain=REAL, analytic=False, core=(2, 2), singular=True)
svd_op = general("svd", packed_svd, svd_vjp, domain=REAL, analytic=False, core=(2, 2), singular=True)


class EighResult(NamedTuple, Generic[T]):
    """Eigenvalues, and eigenvectors in the columns of a matrix."""

    eigenvalues: T
    eigenvectors: T


class SVDResult(NamedTuple):
    """Left singular vectors in columns, singular values, right singular vectors in rows."""

    U: Any
    S: Any
    Vh: Any


@public(np.linalg.eigh)
def eigh(x: Operand, UPLO: str = "L") -> EighResult[Operand]:
    """Eigenvalues w, in ascending order, and eigenvectors V of a symmetric x = V @ diag(w) @ V.T. As ``np.linalg.eigh``.

    NumPy reads one triangle of x only, that of `UPLO`. Here x counts with both, as 0.5 * (x + x.T), and the gradient is
    symmetric: V @ (diag(gw) + F * (V.T @ gV)) @ V.T, where F[i, j] is 1 / (w[j] - w[i]), and 0 on the diagonal.

    The sign of an eigenvector is LAPACK's choice. Only a function that does not depend on it has a gradient to speak of.
    Of equal eigenvalues the vectors are any basis: where they are used, or a second derivative is taken, it comes out as
    NaN. The first derivative of the eigenvalues is finite; it is right for what does not depend on their order.
    Raises LinAlgError if a matrix is not square, ValueError for another `UPLO`.

    >>> import minigrad
    >>> x = minigrad.tensor([[2.0, 1.0], [1.0, 2.0]], requires_grad=True)
    >>> w, V = minigrad.linalg.eigh(x)
    >>> w[1].backward()
    >>> x.grad.round(9).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f"UPLO is 'L' or 'U', not {UPLO!r}")
    out = eigh_op.run(as_array(x))
    return EighResult(out[..., 0], out[..., 1:])


@public(np.linalg.eigvalsh)
def eigvalsh(x: Operand, UPLO: str = "L") -> Operand:
    """The eigenvalues of a symmetric matrix, in ascending order: those of `eigh`. As ``np.linalg.eigvalsh``.

    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    >>> minigrad.linalg.eigvalsh(x).sum().backward()
    >>> x.grad.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return eigh(x, UPLO)[0]


@public(np.linalg.svd)
def svd(x: Operand, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Singular values s, in descending order, and vectors: x = U @ diag(s) @ Vh. As ``np.linalg.svd``.

    Of an (m, n) matrix, k = min(m, n), U is (m, k) and Vh (k, n), with ``full_matrices=False`` or if it is square.
    Without `compute_uv` the result is s alone.

    The gradient by s is U @ diag(gs) @ Vh, also where s is 0: as if it went on below. The sign of a pair of vectors is
    LAPACK's choice. Only a function that does not depend on it has a gradient to speak of. Of equal singular values the
    vectors are any basis: where they are used, or a second derivative is taken, it comes out as NaN; so it does where one
    is 0 and x is not square. The first derivative of s is finite; it is right for what does not depend on its order.
    The gradient by the vectors is Townsend's, "Differentiating the singular value decomposition" (2016).
    Raises LeavesGraphError if x requires grad, is not square, and the vectors are requested with `full_matrices`: those
    beyond k have no derivative (if x does not require grad, all are given as plain arrays). LinAlgError if x is no matrix.

    >>> import minigrad
    >>> x = minigrad.tensor([[0.0, 2.0], [1.0, 0.0]], requires_grad=True)
    >>> U, s, Vh = minigrad.linalg.svd(x)
    >>> s[0].backward()
    >>> s.tolist(), x.grad.tolist()
    ([2.0, 1.0], [[0.0, 1.0], [0.0, 0.0]])
    """
    x = as_array(x)
    out = svd_op.run(x)
    m, n = x.shape[-2:]
    if not compute_uv:
        return out[..., m, :]
    if full_matrices and m != n:
        if isinstance(x, Tensor) and x.requires_grad:
            raise LeavesGraphError(
                f"np.linalg.svd of shape {x.shape} has no derivative in minigrad with full_matrices=True, for matrices that "
                "are not square, and this tensor requires grad. With full_matrices=False it has; if you need only the "
                "values, call it on t.detach().numpy()"
            )
        return SVDResult(*np.linalg.svd(computable(plain(x))))
    return SVDResult(out[..., :m, :], out[..., m, :], swapped(out[..., m + 1 :, :]))


@public(np.linalg.svdvals)
def svdvals(x: Operand) -> Operand:
    """The singular values of a matrix, in descending order: those of `svd`. As ``np.linalg.svdvals``.

    >>> import minigrad
    >>> minigrad.linalg.svdvals(minigrad.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]))
    tensor([4., 3.])
    """
    return svd(x, compute_uv=False)


@public(np.linalg.cond)
def cond(x: Operand, p: Any = None) -> Operand:
    """The condition number norm(x, p) * norm(inv(x), p) of a matrix. As ``np.linalg.cond``.

    With p None or 2 the largest singular value over the smallest, with -2 the inverse of that; then x need not be square.
    Raises LinAlgError if x has no elements or, for another p, is not square.

    >>> import minigrad
    >>> minigrad.linalg.cond(minigrad.tensor([[3.0, 0.0], [0.0, 4.0]]), -2).item()
    0.75
    """
    x = as_array(x)
    if 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError("an empty matrix has no condition number")
    if p not in (None, 2, -2):
        return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))
    s = svdvals(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.min(s, -1) / np.max(s, -1) if p == -2 else np.max(s, -1) / np.min(s, -1)


@public(np.linalg.pinv)
def pinv(x: Operand, rcond: Any = None) -> Operand:
    """The pseudo-inverse of a matrix, in which singular values up to `rcond` times the largest count as 0.

    As ``np.linalg.pinv``. The derivative is that among matrices of the same rank (Golub and Pereyra 1973). It needs no
    singular vectors, so equal singular values do not matter.
    Raises LinAlgError if x is no matrix.

    >>> import minigrad
    >>> minigrad.linalg.pinv(minigrad.tensor([[2.0, 0.0], [0.0, 0.0]]))
    tensor([[0.5, 0. ],
            [0. , 0. ]])
    """
    return pinv_op.run(as_array(x), {"rcond": plain(rcond)})


@public(np.linalg.lstsq)
def lstsq(a: Operand, b: Operand, rcond: Any = None) -> tuple[Operand, Any, Any, Operand]:
    """x for which the squares of b - a @ x have the least sum, and the shortest of several. As ``np.linalg.lstsq``.

    The result is x, that sum for each column of b (empty if a has not full rank, or no more rows than columns), the rank,
    and the singular values of a, of which those up to `rcond` times the largest count as 0. The derivative is that of `pinv`.
    Raises LinAlgError if a is no matrix, or if b has not as many rows.

    >>> import minigrad
    >>> minigrad.linalg.lstsq(minigrad.tensor([[1.0], [1.0]]), [1.0, 3.0])[0]
    tensor([2.])
    """
    a, b = as_array(a), as_array(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise np.linalg.LinAlgError(f"lstsq takes a matrix, and as b as many rows, not {a.shape} and {b.shape}")
    m, n = a.shape
    s = svdvals(a)
    rcond = np.finfo(s.dtype).eps * max(m, n) if rcond is None else rcond
    rank = np.count_nonzero(plain(s) > rcond * np.max(plain(s), initial=0))
    x = matmul(pinv(a, rcond), b)
    if m <= n or rank < n:
        return x, np.zeros(0, s.dtype), rank, s
    left = b - matmul(a, x)
    return x, reshape(np.sum(left * left, axis=0), -1), rank, s


@public(np.linalg.matrix_power)
def matrix_power(x: Operand, n: int) -> Operand:
    """A square matrix, or every matrix of a stack, multiplied by itself `n` times; a negative `n` of its inverse.

    As ``np.linalg.matrix_power``. Raises LinAlgError if a matrix is not square, TypeError if n is no integer.

    >>> import minigrad
    >>> minigrad.linalg.matrix_power(minigrad.tensor([[1.0, 1.0], [0.0, 1.0]]), 3).tolist()
    [[1.0, 3.0], [0.0, 1.0]]
    """
    x, n = as_array(x), operator.index(n)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power takes square matrices, not an array of shape {x.shape}")
    if n == 0:
        return np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    square, found = inv(x) if n < 0 else x, None
    digits = abs(n)
    while True:
        if digits % 2:
            found = square if found is None else matmul(found, square)
        digits //= 2
        if not digits:
            return found
        square = matmul(square, square)


@public(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Operand]) -> Operand:
    """The product of two or more matrices, in a cheap order, for the gradients as well. As ``np.linalg.multi_dot``.

    The first may be a vector, as a row, and the last, as a column.
    Raises ValueError for fewer than two arrays, LinAlgError if one has the wrong number of axes.

    >>> import minigrad
    >>> minigrad.linalg.multi_dot([minigrad.tensor([1.0, 2.0]), [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0]]).item()
    11.0
    """
    arrays = [as_array(x) for x in arrays]
    if len(arrays) < 2:
        raise ValueError(f"multi_dot takes at least two arrays, not {len(arrays)}")
    ends = (0, len(arrays) - 1)
    for i, x in enumerate(arrays):
        if x.ndim != 2 and not (x.ndim == 1 and i in ends):
            raise np.linalg.LinAlgError(f"multi_dot takes matrices, and vectors at the ends; array {i} has shape {x.shape}")
    labels: list[Any] = []
    for i, x in enumerate(arrays):
        labels += [x, [i, i + 1] if x.ndim == 2 else [1] if i == 0 else [i]]
    outer_axes = [0] * (arrays[0].ndim == 2) + [len(arrays)] * (arrays[-1].ndim == 2)
    return einsum(*labels, outer_axes, optimize=True)


# -- other names and defaults in np.linalg ---------------------------------------------------------------------


@public(np.linalg.vector_norm)
def vector_norm(x: Operand, *, axis: Axes = None, keepdims: bool = False, ord: Any = 2) -> Operand:
    """`norm` of vectors along one axis; along several, or all, of their elements as one. As ``np.linalg.vector_norm``.

    >>> import minigrad
    >>> minigrad.linalg.vector_norm(minigrad.tensor([[3.0], [4.0]])).item()
    5.0
    """
    x = as_array(x)
    axes = normalized(axis, x.ndim)
    rest = tuple([i for i in range(x.ndim) if i not in axes])
    kept = [x.shape[i] for i in rest]
    found = norm(reshape(transpose(x, (*rest, *axes)), (*kept, math.prod(x.shape[i] for i in axes))), ord, -1)
    return reshape(found, [1 if i in axes else n for i, n in enumerate(x.shape)]) if keepdims else found


@public(np.linalg.matrix_norm)
def matrix_norm(x: Operand, *, keepdims: bool = False, ord: Any = "fro") -> Operand:
    """`norm` of matrices along the last two axes. As ``np.linalg.matrix_norm``.

    >>> import minigrad
    >>> minigrad.linalg.matrix_norm(minigrad.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    return norm(x, ord, (-2, -1), keepdims)


@public(np.linalg.diagonal)
def diagonal(x: Operand, *, offset: int = 0) -> Operand:
    """The diagonals of matrices, which lie along the last two axes. As ``np.linalg.diagonal``.

    >>> import minigrad
    >>> minigrad.linalg.diagonal(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    return arranging.diagonal(x, offset, -2, -1)


@public(np.linalg.trace)
def trace(x: Operand, *, offset: int = 0, dtype: Any = None) -> Operand:
    """The sums of the diagonals of matrices, which lie along the last two axes. As ``np.linalg.trace``.

    >>> import minigrad
    >>> minigrad.linalg.trace(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    return arranging.trace(x, offset, -2, -1, dtype)


@public(np.linalg.outer)
def outer(x: Operand, y: Operand) -> Operand:
    """Every element of a vector times every element of another. As ``np.linalg.outer``.

    >>> import minigrad
    >>> minigrad.linalg.outer(minigrad.tensor([1.0, 2.0]), [3.0]).tolist()
    [[3.0], [6.0]]
    """
    if len(shape_of(x)) != 1 or len(shape_of(y)) != 1:
        raise ValueError(f"linalg.outer takes vectors, not shapes {shape_of(x)} and {shape_of(y)}; np.outer flattens others")
    return products.outer(x, y)
