"""minigrad: a tensor-level autodiff engine on NumPy, small enough to read in an evening.

Begin with `tensor.py` (what you touch), `graph.py` (nodes), `sweep.py` (the backward pass) and `ops/` (the table of rules).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import linalg, methods, ops  # noqa: F401 methods makes the table's functions operators and methods of a Tensor
from .checking import GradientError, check_grads
from .custom import custom_op
from .debugging import debug
from .errors import GraphFreedError, LeavesGraphError, RendererMissing, RenderError, RenderTimeout
from .explaining import explain
from .graph import no_grad, scope
from .graph_view import Graph
from .ops import *  # noqa: F403 the functions of the table
from .recompute import checkpoint
from .tensor import Tensor, tensor
from .transforms import elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from .compiling import CompileError, compile
    from .loop import Loop, loops
    from .pictures import Drawing, draw, draw_graph

__version__ = "0.1.0"

__all__ = [
    "CompileError", "Drawing", "GradientError", "Graph", "GraphFreedError", "LeavesGraphError", "Loop", "RenderError",
    "RenderTimeout", "RendererMissing", "Tensor", "check_grads", "checkpoint", "compile", "custom_op", "debug", "draw",
    "draw_graph", "elementwise_grad", "explain", "grad", "hessian", "hvp", "jacobian", "jvp", "linalg", "loops", "no_grad",
    "ops", "scope", "tensor", "value_and_grad", "vjp",
]  # fmt: skip
__all__ += ops.__all__

# Imported when they are first used: half of the time that all rooms would take.
_ROOMS = {"compiling": ("CompileError", "compile"), "loop": ("Loop", "loops"), "pictures": ("Drawing", "draw", "draw_graph")}


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in (room, *names):
            module = import_module(f".{room}", __name__)
            globals().update({each: getattr(module, each) for each in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
