"""How parameters begin."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .module import Parameter

__all__ = ["Seed", "generator", "uniform"]

Seed = int | np.random.Generator | None


def generator(rng: Seed) -> np.random.Generator:
    """A random generator from a seed, from a generator (itself), or from None (unpredictable)."""
    return np.random.default_rng(rng)


def uniform(shape: tuple[int, ...], bound: float, rng: np.random.Generator, dtype: DTypeLike, name: str) -> Parameter:
    """Numbers drawn uniformly between -bound and bound."""
    return Parameter(rng.uniform(-bound, bound, shape), dtype=dtype, name=name)
