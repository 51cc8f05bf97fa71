"""Compile: record a function once, then run it as a straight-line NumPy program.

`trace` records the NumPy calls that the engine makes; `passes`, `rewrites` and `batching` make of them fewer and larger ones;
`memory` gives every value its place, `program` writes the code, `recorded` brings values in and results out, `compiled` keeps
the programs.
"""

from .compiled import Compiled, compile
from .trace import CompileError

__all__ = ["CompileError", "Compiled", "compile"]
