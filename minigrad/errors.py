"""Error classes of this library. All other errors are TypeError, ValueError or IndexError."""

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
