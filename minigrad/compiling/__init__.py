"""Compile: record a function once, then run it as a NumPy program with loops.

`trace` records the NumPy calls that the engine makes. `folding` turns repeated steps into loops, `distribution` moves calls
out of them, `blocks` divides long ones; `passes`, `rewrites` and `algebra` make fewer and larger calls, and `batching` does so
for steps that are in no loop. `memory` gives every value its place, `program` and `loop_code` write the code, `recorded` has
the order of the passes, brings values in and results out, and `compiled` keeps the programs.
"""

from .compiled import Compiled, compile
from .trace import CompileError

__all__ = ["CompileError", "Compiled", "compile"]
