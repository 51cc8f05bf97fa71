"""Gradients as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .graph import Node, reverse
from .tensor import Tensor, wrap

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["grad"]


@overload
def grad(
    y: Tensor, xs: Tensor, *, seed: ArrayLike | Tensor | None = None, create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Tensor: ...  # fmt: skip
@overload
def grad(
    y: Tensor, xs: Sequence[Tensor], *, seed: ArrayLike | Tensor | None = None, create_graph: bool = False,
    retain_graph: bool | None = None,
) -> list[Tensor]: ...  # fmt: skip
def grad(
    y: Tensor,
    xs: Tensor | Sequence[Tensor],
    *,
    seed: ArrayLike | Tensor | None = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Tensor | list[Tensor]:
    """The gradient of `y` with respect to each of `xs`, dy/dx; no ``.grad`` is touched.

    `xs` is a tensor or a sequence of tensors, leaves or any results on the way to `y`; the answer is a tensor or a list
    of tensors of their shapes and dtypes, zeros where `y` does not depend on one. `y` is a single number, or
    comes with a `seed` of its shape: then the answer is the vector-Jacobian product, sum(seed * dy/dx).

    With ``create_graph=True`` the backward pass is recorded too, so that the answer can be differentiated again.
    `retain_graph` (by default the same as `create_graph`) keeps the graph for another pass.

    Raises ValueError if `y` or one of `xs` does not require grad, or if the seed does not fit.

    >>> import minigrad
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> slope = minigrad.grad(x**3, x, create_graph=True)
    >>> curvature = minigrad.grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    single = isinstance(xs, Tensor)
    inputs: list[Tensor] = [xs] if isinstance(xs, Tensor) else list(xs)
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or x._node is None:
            what = f"is of type {type(x).__name__}" if not isinstance(x, Tensor) else "does not require grad"
            where = "x" if single else f"xs[{i}]"
            raise ValueError(f"grad(y, {where}): {where} {what}; make it with minigrad.tensor(..., requires_grad=True)")
    nodes = [x._node for x in inputs if x._node is not None]
    root = y._differentiable()
    start = y._seed(seed)
    retain = create_graph if retain_graph is None else retain_graph
    if create_graph:
        first = seed if isinstance(seed, Tensor) and seed.requires_grad else wrap(start)
        found = reverse(root, first, set(nodes), retain=retain, lift=lifted)
    else:
        found = reverse(root, start, set(nodes), retain=retain)
    zero = [np.zeros(x.shape, x.dtype) for x in inputs]
    answers = [as_tensor(found.get(node, z)) for node, z in zip(nodes, zero, strict=True)]
    return answers[0] if single else answers


def as_tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else wrap(g)


def lifted(array: Any, node: Any) -> Any:
    """A saved array as the Tensor it was, so that rules applied to it are recorded."""
    if not isinstance(array, np.ndarray):
        return array
    made = wrap(array)
    if isinstance(node, Node) and node.requires_grad:
        made._node = node
    else:
        made._leaf = node
    return made
