"""minigrad: a tensor-level autodiff engine on NumPy, small enough to read in an evening.

Begin with `tensor.py` (what people touch), `graph.py` (nodes and the reverse sweep) and `ops/` (the table of rules).
"""

from .tensor import Tensor, tensor  # first: Tensor and the table need each other, and there it is arranged

# isort: split
from .errors import GraphFreedError, LeavesGraphError, RendererMissing, RenderError, RenderTimeout
from .graph import no_grad, scope
from .ops import (
    abs,
    absolute,
    add,
    astype,
    broadcast_to,
    clip,
    concatenate,
    cos,
    cross_entropy,
    divide,
    dot,
    exp,
    expand_dims,
    expm1,
    getitem,
    linear,
    log,
    log1p,
    log_softmax,
    logsumexp,
    masked_multiply,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    multiply,
    negative,
    positive,
    power,
    reciprocal,
    relu,
    reshape,
    sigmoid,
    sign,
    sin,
    softmax,
    softplus,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    subtract,
    sum,
    swapaxes,
    take,
    tanh,
    transpose,
    where,
)  # fmt: skip
from .pictures import Drawing, draw
from .snapshot import Graph
from .transforms import grad

__version__ = "0.1.0"

__all__ = [
    "Drawing", "Graph", "GraphFreedError", "LeavesGraphError", "RenderError", "RenderTimeout", "RendererMissing",
    "Tensor", "abs", "absolute", "add", "astype", "broadcast_to", "clip", "concatenate", "cos", "cross_entropy",
    "divide", "dot", "draw", "exp", "expand_dims", "expm1", "getitem", "grad", "linear", "log", "log1p", "log_softmax",
    "logsumexp", "masked_multiply", "matmul", "max", "maximum", "mean", "min", "minimum", "multiply", "negative",
    "no_grad", "positive", "power", "reciprocal", "relu", "reshape", "scope", "sigmoid", "sign", "sin", "softmax",
    "softplus", "split", "sqrt", "square", "squeeze", "stack", "subtract", "sum", "swapaxes", "take", "tanh", "tensor",
    "transpose", "where",
]  # fmt: skip
