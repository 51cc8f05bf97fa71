"""Linear algebra, by the names it has in ``np.linalg``: ``minigrad.linalg.solve(a, b)``."""

from .ops.linalg import cross, matmul, tensordot, vecdot
from .ops.linalg_functions import (
    cholesky,
    cond,
    det,
    diagonal,
    eigh,
    eigvalsh,
    inv,
    lstsq,
    matrix_norm,
    matrix_power,
    multi_dot,
    norm,
    outer,
    pinv,
    slogdet,
    solve,
    svd,
    svdvals,
    trace,
    vector_norm,
)  # fmt: skip
from .ops.shape import matrix_transpose

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul", "matrix_norm",
    "matrix_power", "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "slogdet", "solve", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm",
]  # fmt: skip
