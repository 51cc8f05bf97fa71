"""Optimizers: for each a pure function from (parameter, gradient, state) to the new ones, and a class that applies it.

Each is a file of this package; see `minigrad_rnn.additions`. `__init__.pyi` has the same names for type checkers.
"""

from ..additions import public_names
from ..optimizer import Optimizer

_NAMES = {"Optimizer": Optimizer, **public_names("optim")}
globals().update(_NAMES)
__all__ = sorted(_NAMES)


def __dir__() -> list[str]:
    return __all__
