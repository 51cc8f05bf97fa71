"""Step by step under an observer: the computations that models otherwise do for all time steps at once, such as the readout.

Pictures and `gradient_flow` show o[t], y[t] and L[t]. They run the model itself with an observer, `stepwise.Observer`, which
recurrent layers, models and `sequence_loss` look for. Without one they compute all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import minigrad as mg
from minigrad import Tensor
from minigrad.graph import CURRENT
from minigrad.tensor import lifted, values

__all__ = ["each_step", "halves", "in_steps", "observed", "observer", "steps_of"]

OBSERVER: ContextVar[tuple[Any, Any] | None] = ContextVar("minigrad_rnn observer", default=None)


def observer() -> Any:
    """The current observer, or None. One around a compiled function does not see it: that computes all steps at once."""
    found = OBSERVER.get()
    return None if found is None or found[1] is not CURRENT.get()[2] else found[0]


@contextmanager
def observed(by: Any) -> Iterator[None]:
    """Let models inside run step by step under the observer `by`, in the current thread (and asyncio task) only."""
    token = OBSERVER.set((by, CURRENT.get()[2]))
    try:
        yield
    finally:
        OBSERVER.reset(token)


def each_step(f: Callable[[Any], Tensor], x: Any, place: str) -> Tensor:
    """f(x), for a function that treats every time step of x (T, ...) alike; under an observer step by step, in a scope of this
    name."""
    seen = observer()
    return f(x) if seen is None else seen.each_step(f, x, place)


def in_steps(f: Callable[..., Any], *sequences: Any) -> list[Any]:
    """f of the first elements, of the second, ..., each in the scope of its time step."""
    found = []
    for t, arguments in enumerate(zip(*sequences, strict=True)):
        with mg.scope("t", t):
            found.append(f(*arguments))
    return found


def steps_of(x: Any) -> list[Any]:
    """The time steps of x (T, ...): those that were stacked, if x is a stack, otherwise slices."""
    if not isinstance(x, Tensor):
        return list(values(x))
    return joined(x, "stack") or in_steps(x.__getitem__, range(len(x)))


def halves(x: Tensor) -> list[Tensor]:
    """The outputs of both directions, of x (batch, features): those that were concatenated, otherwise slices."""
    half = x.shape[-1] // 2
    parts = joined(x, "concatenate")
    return parts if [part.shape[-1] for part in parts] == [half, half] else [x[:, :half], x[:, half:]]


def joined(x: Tensor, how: str) -> list[Tensor]:
    """The parts that were joined to x along its first axis ("stack") or its last ("concatenate"); [] for any other x."""
    node, axis = x._node, 0 if how == "stack" else x.ndim - 1
    if node is None or node.op is None or node.op.name != how or node.options["axis"] != axis:
        return []
    bounds = node.options.get("bounds")
    parts = list(x._data) if bounds is None else [x._data[..., a:b] for a, b in pairwise(bounds)]
    return [lifted(part, operand) for part, operand in zip(parts, node.operands, strict=True)]
