"""Nested containers of arrays (a tree): tuples, named tuples, lists and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["tree_leaves", "tree_map"]


def tree_leaves(tree: Any) -> list[Any]:
    """Return the leaves of nested containers, from left to right. None counts as an empty container.

    >>> from minigrad.trees import tree_leaves
    >>> tree_leaves({"w": 1.0, "layers": [2.0, (3.0, None)]})
    [1.0, 2.0, 3.0]
    """
    found: list[Any] = []
    tree_map(found.append, tree)
    return found


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the same containers with ``function(leaf)`` in the place of each leaf.

    >>> from minigrad.trees import tree_map
    >>> tree_map(lambda x: x + 1, {"a": 1, "b": [2, None]})
    {'a': 2, 'b': [3, None]}
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: tree_map(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tree_map(function, value) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(tree_map(function, value) for value in tree)
    return function(tree)
