"""Linear algebra, by the names it has in ``np.linalg``: ``minigrad.linalg.solve(a, b)``."""

from .ops.linalg_functions import cholesky, det, inv, norm, slogdet, solve

__all__ = ["cholesky", "det", "inv", "norm", "slogdet", "solve"]
