"""Linear algebra: norms, inverses, determinants, solutions and factors of matrices and of stacks of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor
from .kinds import REAL, Domain, general, shape_of
from .linalg import swapped
from .reduce import normalized, restored
from .shape import as_array

Axes = int | tuple[int, ...] | None


def computable(x: Any) -> Any:
    # LAPACK has no half precision.
    return x.astype(np.float32) if x.dtype == np.float16 else x


def plain(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


# -- norms -----------------------------------------------------------------------------------------------------


def length_vjp(g: Any, out: Any, x: Any, axis: Axes, keepdims: bool) -> Any:
    # The direction of x, and 0 where x is 0: there no further derivative may divide by the length either.
    axes = normalized(axis, len(shape_of(x)))
    g, out = restored(g, x.shape, axes, keepdims), restored(out, x.shape, axes, keepdims)
    zero = np.equal(out, 0)
    return np.where(zero, 0, g / np.where(zero, 1, out)) * x


def p_norm_vjp(g: Any, out: Any, x: Any, p: float, axis: int, keepdims: bool) -> Any:
    # Of |x| relative to the norm, so that no power overflows.
    axes = normalized(axis, len(shape_of(x)))
    g, out = restored(g, x.shape, axes, keepdims), restored(out, x.shape, axes, keepdims)
    zero = np.equal(x, 0)
    relative = np.where(zero, 1, np.abs(x)) / np.where(np.equal(out, 0), 1, out)
    return g * np.where(zero, 0, np.sign(plain(x)) * np.power(relative, p - 1))


length_op = general(
    "norm",
    lambda x, *, axis, keepdims: np.linalg.norm(x, axis=axis, keepdims=keepdims),
    length_vjp,
    domain=REAL,
    analytic=False,
)
p_norm_op = general(
    "p_norm",
    lambda x, *, p, axis, keepdims: np.linalg.norm(x, p, axis, keepdims),
    p_norm_vjp,
    domain=Domain(kinks=(0.0,)),
    analytic=False,
    symbol="norm",
)


def norm(x: Any, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Any:
    """Norm of vectors (along one axis) or of matrices (along two), as ``np.linalg.norm``.

    `ord` of vectors is None or 2 (the length), inf or -inf (the largest or smallest absolute value), or any other p, for
    sum(|x|^p)^(1/p); of matrices None or "fro" (the root of the sum of squares), 1 or -1 (the largest or smallest sum of
    absolute values of a column), inf or -inf (of a row). Without `axis` and `ord` it is the length of the flattened array.
    The derivative of the length at 0 is taken as 0, and so is that of |x|^p by an element that is 0.

    Raises ValueError for another `ord`; among them are the norms of matrices by their singular values (2, -2, "nuc").

    >>> import minigrad
    >>> x = minigrad.tensor([3.0, 4.0], requires_grad=True)
    >>> y = minigrad.linalg.norm(x)
    >>> y.backward()
    >>> y.item(), x.grad
    (5.0, array([0.6, 0.8]))
    """
    x = as_array(x)
    if x.dtype.kind != "f":
        x = x.astype(float)
    axes = normalized(axis, x.ndim)
    options = {"axis": axis if axis is None else axes, "keepdims": keepdims}
    if ord is None and (axis is None or len(axes) in (1, 2)):
        return length_op.run(x, options)
    if len(axes) == 1:
        if isinstance(ord, str) or ord == 0:
            raise ValueError(f"norm knows no ord {ord!r} of vectors; ord is None, inf, -inf or a number other than 0")
        if ord == 2:
            return length_op.run(x, options)
        if ord in (np.inf, -np.inf):
            return (np.max if ord > 0 else np.min)(np.abs(x), axis=axes, keepdims=keepdims)
        if ord == 1:
            return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
        return p_norm_op.run(x, {"p": ord, "axis": axes[0], "keepdims": keepdims})
    if len(axes) != 2:
        raise ValueError(f"norm takes vectors along one axis or matrices along two, not {len(axes)} axes of shape {x.shape}")
    if ord == "fro":
        return length_op.run(x, {"axis": axes, "keepdims": keepdims})
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"norm knows no ord {ord!r} of matrices; ord is None, 'fro', 1, -1, inf or -inf")
    down, across = axes if ord in (1, -1) else axes[::-1]
    sums = np.sum(np.abs(x), axis=down, keepdims=True)
    found = (np.max if ord > 0 else np.min)(sums, axis=across, keepdims=True)
    return found if keepdims else np.squeeze(found, axes)


# -- matrices --------------------------------------------------------------------------------------------------


def cofactors(x: Any) -> Any:
    """What each element of the matrices is multiplied by in their determinants: those of what its row and column leave."""
    n = x.shape[-1]
    others = np.array([[k for k in range(n) if k != i] for i in range(n)], np.intp).reshape(n, max(n - 1, 0))
    minors = x[..., others[:, None, :, None], others[None, :, None, :]]
    return (-1.0) ** np.add.outer(np.arange(n), np.arange(n)) * det(minors)


def nearly_singular(x: Any) -> bool:
    if x.size == 0:
        return False
    with np.errstate(all="ignore"):
        x = computable(x)
        return not bool(np.all(np.linalg.cond(x) < np.finfo(x.dtype).eps ** -0.5))


def det_vjp(g: Any, out: Any, x: Any) -> Any:
    # out * inv(x).T is the same, and as good as inv(x) is.
    by_x = cofactors(x) if nearly_singular(plain(x)) else out[..., None, None] * swapped(inv(x))
    return g[..., None, None] * by_x


def solve_by_a(g: Any, out: Any, a: Any) -> Any:
    return -(solve(swapped(a), g) @ swapped(out))


def lower_factor(x: Any) -> Any:
    x = computable(x)
    if x.ndim >= 2 and x.shape[-1] == x.shape[-2]:  # of anything else NumPy tells what is wrong
        x = 0.5 * (x + swapped(x))
    return np.linalg.cholesky(x)


def cholesky_vjp(g: Any, out: Any) -> Any:
    # inv(L)^T P inv(L), where P is the lower triangle of L^T g with its diagonal halved; made symmetric.
    n = out.shape[-1]
    inner = swapped(out) @ np.where(np.tri(n, dtype=bool), g, 0) * (np.tri(n) - 0.5 * np.eye(n))
    inverse = inv(out)
    whole = swapped(inverse) @ inner @ inverse
    return 0.5 * (whole + swapped(whole))


inv_op = general("inv", lambda x: np.linalg.inv(computable(x)), lambda g, out: -(swapped(out) @ g @ swapped(out)), domain=REAL)
det_op = general("det", lambda x: np.linalg.det(computable(x)), det_vjp, domain=REAL)
logabsdet_op = general(
    "logabsdet",
    lambda x: np.linalg.slogdet(computable(x))[1],
    lambda g, x: g[..., None, None] * swapped(inv(x)),
    domain=REAL,
    analytic=False,
)
solve_op = general(
    "solve",
    lambda a, b: np.linalg.solve(computable(a), computable(b)),
    solve_by_a,
    lambda g, a: solve(swapped(a), g),
    domain=REAL,
)
cholesky_op = general(
    "cholesky",
    lower_factor,
    cholesky_vjp,
    domain=REAL,
    analytic=False,
)


def inv(x: Any) -> Any:
    """The inverse of a matrix, or of every matrix of a stack. As ``np.linalg.inv``.

    Raises LinAlgError if one is not square, or singular.

    >>> import minigrad
    >>> minigrad.linalg.inv(minigrad.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return inv_op.run(as_array(x))


def det(x: Any) -> Any:
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


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


def slogdet(x: Any) -> SlogdetResult:
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


def solve(a: Any, b: Any) -> Any:
    """x for which a @ x = b, without the inverse of a. As ``np.linalg.solve`` of NumPy 2: b is a vector if it has one axis.

    Otherwise b is a matrix, or a stack of them.
    Raises LinAlgError if a matrix is not square, or singular.

    >>> import minigrad
    >>> minigrad.linalg.solve(minigrad.tensor([[2.0, 0.0], [0.0, 4.0]]), [1.0, 1.0])
    tensor([0.5 , 0.25])
    """
    a, b = as_array(a), as_array(b)
    return solve_op.run(a, b[:, None])[..., 0] if b.ndim == 1 else solve_op.run(a, b)


def cholesky(x: Any, *, upper: bool = False) -> Any:
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


OPS = [length_op, p_norm_op, inv_op, det_op, logabsdet_op, solve_op, cholesky_op]
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.linalg.norm: norm, np.linalg.inv: inv, np.linalg.det: det, np.linalg.slogdet: slogdet, np.linalg.solve: solve,
    np.linalg.cholesky: cholesky,
}  # fmt: skip
