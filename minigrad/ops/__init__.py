"""The table of ops. A family of ops is a module; where is the derivative of tanh? In `elementwise`.

`TABLE` lists every op by name. All that is known of an op or a public function is written where it is defined: its rules, its
names in NumPy, its name as a method (see `entry`). The functions themselves are attributes of this package.
"""

from . import table
from .op import Op  # noqa: F401
from .table import ACCUMULATIONS, FAMILIES, FUNCTIONS, PLAIN, REDUCTIONS, TABLE, UFUNCS  # noqa: F401

__all__ = sorted(table.PUBLIC)
globals().update(table.PUBLIC)
