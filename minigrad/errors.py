"""Error classes of this library, and what the errors of its engine say. All other errors are TypeError, ValueError or
IndexError."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["GraphFreedError", "LeavesGraphError", "RenderError", "RenderTimeout", "RendererMissing"]


class GraphFreedError(RuntimeError):
    """Raised when a backward pass reaches a part of the graph whose saved values are already freed.

    A first backward pass frees them. Call ``backward(retain_graph=True)`` if you need a second one.
    """


class LeavesGraphError(TypeError):
    """Raised when an operation would drop a tensor from the graph, so that no gradient could reach it.

    Call the operation on ``t.detach()`` if you need only the values.
    """


class RenderError(RuntimeError):
    """Raised when Graphviz could not render a picture from its DOT text."""


class RendererMissing(RenderError):
    """Raised when neither the ``dot`` program nor the ``pygraphviz`` package is installed."""


class RenderTimeout(RenderError):
    """Raised when the renderer did not finish within the given time."""


# -- what the errors of the engine say -------------------------------------------------------------------------


def add_note(error: BaseException, what: str, operands: Iterable[Any], place: Any) -> None:
    """Tell which op failed, on which shapes, and where in the computation."""
    shapes = ", ".join(str(x.shape) if hasattr(x, "shape") else repr(x) for x in operands)
    where = f", in scope {place}" if place else ""
    error.add_note(f"minigrad: {what}, operands {shapes}{where}")


def freed_message(node: Any) -> str:
    where = f" in scope {node.scope}" if node.scope else ""
    return (
        f"backward() reached {node.op.name}{where} for the second time; what it had saved was freed by the first. "
        "If this is a state carried over from an earlier chunk of a sequence, cut it there with "
        "h = h.detach(). If you do want to go through the same graph again, call the first one with "
        "backward(retain_graph=True)."
    )


def not_floating(dtype: Any) -> str:
    """The message where a tensor of this dtype is to require grad."""
    what = f"only floating-point tensors can require grad, this one is {dtype}"
    return f"{what}; make it with dtype=float, or leave requires_grad out"


def not_real(name: str, dtype: Any) -> str:
    if dtype.kind in "biu":
        return (
            f"{name} of a tensor that requires grad came out as {dtype}, which cannot be differentiated. "
            "Compute on .detach() if you do not need the gradient"
        )
    what = "complex numbers are" if dtype.kind == "c" else "this dtype is"
    return f"{name} came out as {dtype}: {what} not supported, only real numbers are"


NOTHING_TO_DIFFERENTIATE = (
    "this tensor does not depend on any tensor with requires_grad=True (or was computed under no_grad, or detached), so there "
    "is nothing to differentiate. To differentiate a gradient, compute it with create_graph=True"
)


def needs_seed(shape: tuple[int, ...]) -> str:
    return (
        f"this tensor has shape {shape}, and a gradient starts from one number: reduce it first (.sum(), .mean()), or give a "
        "seed of that shape"
    )


def cut_out(what: str) -> str:
    """The message where something, such as ``float(t)``, takes the values of a tensor that requires grad."""
    return (
        f"this tensor requires grad, and {what} would silently cut it out of the graph. For its values use t.detach().numpy() "
        "or, for one number, t.item(); to put tensors together use np.stack or np.concatenate"
    )


def no_leaf(op: str) -> str:
    """The message where the ``.grad`` of a result of this op is read."""
    return (
        f"only leaves gather a .grad, and this tensor is the result of {op}; its gradient is minigrad.grad(loss, tensor). If "
        "it was a leaf that you changed by w = w - step or w -= step, write w.data -= step"
    )
