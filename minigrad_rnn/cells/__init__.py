"""The cells, one time step of each kind of recurrent network as a textbook writes it, and the layers that run them.

Each kind is a file of this package; see `minigrad_rnn.additions`. Parameter names, shapes and the order of the gates are
PyTorch's, so weights go both ways. `__init__.pyi` has the same names for type checkers.
"""

from ..additions import public_names
from ..cell import Cell

_NAMES = {"Cell": Cell, **public_names("cells")}
globals().update(_NAMES)
__all__ = sorted(_NAMES)


def __dir__() -> list[str]:
    return __all__
