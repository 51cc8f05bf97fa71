"""Linear algebra, by the names it has in ``np.linalg``: ``minigrad.linalg.solve(a, b)``."""

from .ops.linalg_functions import cholesky, cond, det, eigh, eigvalsh, inv, norm, pinv, slogdet, solve, svd, svdvals

__all__ = ["cholesky", "cond", "det", "eigh", "eigvalsh", "inv", "norm", "pinv", "slogdet", "solve", "svd", "svdvals"]
