"""The errors that belong to this library alone; everything else is a TypeError, ValueError or IndexError."""

__all__ = ["GraphFreedError", "LeavesGraphError", "RenderError", "RenderTimeout", "RendererMissing"]


class GraphFreedError(RuntimeError):
    """A backward pass went through a part of the graph whose saved values are already freed."""


class LeavesGraphError(TypeError):
    """Something would have taken a tensor's values out of the graph without being asked to."""


class RenderError(RuntimeError):
    """A picture could not be rendered from its DOT text."""


class RendererMissing(RenderError):
    """Neither the ``dot`` program nor the ``pygraphviz`` package is there."""


class RenderTimeout(RenderError):
    """The renderer did not finish within the given time."""
