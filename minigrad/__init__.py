"""minigrad: a tensor-level autodiff engine on NumPy, small enough to read in an evening.

Begin with `tensor.py` (what people touch), `graph.py` (nodes and the reverse sweep) and `ops/` (the table of rules).
"""

from . import linalg, methods, ops  # noqa: F401 methods makes the table's functions operators and methods of a Tensor
from .checking import GradientError, check_grads
from .compiling import CompileError, compile
from .custom import custom_op
from .debugging import debug
from .errors import GraphFreedError, LeavesGraphError, RendererMissing, RenderError, RenderTimeout
from .explaining import explain
from .graph import no_grad, scope
from .graph_view import Graph
from .loop import Loop, loops
from .ops import *  # noqa: F403 the functions of the table
from .pictures import Drawing, draw
from .recompute import checkpoint
from .tensor import Tensor, tensor
from .transforms import elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__version__ = "0.1.0"

__all__ = [
    "CompileError", "Drawing", "GradientError", "Graph", "GraphFreedError", "LeavesGraphError", "Loop", "RenderError",
    "RenderTimeout", "RendererMissing", "Tensor", "check_grads", "checkpoint", "compile", "custom_op", "debug", "draw",
    "elementwise_grad", "explain", "grad", "hessian", "hvp", "jacobian", "jvp", "linalg", "loops", "no_grad", "ops", "scope",
    "tensor", "value_and_grad", "vjp",
]  # fmt: skip
__all__ += ops.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
