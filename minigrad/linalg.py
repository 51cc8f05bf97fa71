"""Linear algebra, by the names it has in ``np.linalg``: ``minigrad.linalg.solve(a, b)``."""

from .ops.table import LINALG

__all__ = sorted(LINALG)
globals().update(LINALG)


def __dir__() -> list[str]:
    return __all__
