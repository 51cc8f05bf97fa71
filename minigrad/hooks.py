"""Hooks: functions that the gradient of a tensor goes through in every backward pass. See `Tensor.register_hook`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from .arrays import array_of, as_gradient, read_only
from .graph import Node
from .state import Counted

__all__ = ["Hook", "hooked"]


class Hook:
    """Handle of a hook, returned by `Tensor.register_hook`."""

    def __init__(self, hooks: list[Callable[[Any], Any]], hook: Callable[[Any], Any]) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Do not call the hook any more."""
        with contextlib.suppress(ValueError):
            self._hooks.remove(self._hook)
        Counted.changes[0] += 1

    def __repr__(self) -> str:
        return f"<Hook {getattr(self._hook, '__name__', type(self._hook).__name__)}; remove() ends it>"

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def hooked(g: Any, node: Node, lift: Callable[[Any, Any], Any] | None) -> Any:
    """Return the cotangent of a node after its hooks, in its dtype. They see an array that they cannot write to, or in a sweep
    that is recorded a Tensor, which `lift` makes of what they return."""
    for hook in tuple(node.hooks or ()):
        new = hook(read_only(g) if lift is None else g)
        if new is None:
            continue
        if lift is None or not hasattr(new, "requires_grad"):
            new = array_of(new).copy("K")
        if new.shape != node.shape:
            raise ValueError(f"a hook must return None or an array of shape {node.shape}; this one returned shape {new.shape}")
        g = as_gradient(new if lift is None else lift(new, None), node.dtype)
    return g
