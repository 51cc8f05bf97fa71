"""Arrays in containers: tuples, named tuples, lists and dicts of them, nested as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["leaves", "mapped"]


def leaves(tree: Any) -> list[Any]:
    """What is not a container, from left to right; None counts as an empty container.

    >>> from minigrad.trees import leaves
    >>> leaves({"w": 1.0, "layers": [2.0, (3.0, None)]})
    [1.0, 2.0, 3.0]
    """
    found: list[Any] = []
    mapped(found.append, tree)
    return found


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same containers, with the function's result in the place of each leaf.

    >>> from minigrad.trees import mapped
    >>> mapped(lambda x: x + 1, {"a": 1, "b": [2, None]})
    {'a': 2, 'b': [3, None]}
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: mapped(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(function, value) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(mapped(function, value) for value in tree)
    return function(tree)
