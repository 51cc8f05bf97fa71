"""Placeholders for arrays while `minigrad.compile` records a function.

The engine meets it in four places: a Tensor may hold one, an op reads the Tensors around it as such, a condition on values is
decided (`decide`) and random numbers are drawn (`drawn`) in the open.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

__all__ = ["RECORDER", "Counted", "RecordsItself", "Standin", "decide", "drawn", "known", "number", "primitive", "setting"]

RECORDER: ContextVar[Any] = ContextVar("minigrad recorder", default=None)


class Standin:
    """The base of what a recorder hands out in place of arrays and numbers."""

    __slots__ = ()

    if TYPE_CHECKING:  # it has what arrays have

        def __getattr__(self, name: str) -> Any: ...


class Counted:
    """The base of objects whose attributes a recorded function may read.

    `changes` counts how often any of them was set: a program whose count is still the same need not look at them again.
    """

    changes: ClassVar[list[int]] = [0]

    def __setattr__(self, name: str, value: Any) -> None:
        Counted.changes[0] += 1
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        Counted.changes[0] += 1
        super().__delattr__(name)


class RecordsItself:
    """The base of objects that tell the recorder themselves what they read and write: optimizers, compiled functions."""


def decide(condition: Any) -> bool:
    """The truth of a condition on values that the engine branches on. A recorded program asks again at each run, and is
    recorded anew where the answer is another."""
    return condition.decided() if isinstance(condition, Standin) else bool(condition)


def drawn(rng: np.random.Generator, draw: Callable[[], np.ndarray]) -> Any:
    """Random numbers that `draw` gets from `rng`. A recorded program draws anew at each run."""
    recorder = RECORDER.get()
    if recorder is None:
        return draw()
    recorder.will_draw(rng)
    return recorder.record(draw, (), {}, pure=False)


def setting(owner: Any, name: str) -> Any:
    """An attribute that says what is to be done. A recorded program looks again at each run, as for `decide`."""
    recorder = RECORDER.get()
    return getattr(owner, name) if recorder is None else recorder.setting(owner, name)


def known(array: Any) -> Any:
    """An array that is the same at each run, as a stand-in: next to others an array has methods that would ask for their
    values, such as ``array.dot(standin)``. Not while recording, what it is given."""
    recorder = RECORDER.get()
    fixed = recorder is not None and isinstance(array, np.ndarray) and not isinstance(array, Standin)
    return recorder.as_constant(array) if fixed else array


def primitive(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays that is recorded as one call: because it writes into arrays, or looks at values."""

    @functools.wraps(function)
    def recorded(*args: Any, **options: Any) -> Any:
        recorder = RECORDER.get()
        if recorder is None or not any(isinstance(x, Standin) for x in args):
            return function(*args, **options)
        return recorder.record(function, args, options)

    return recorded


@primitive
def number(x: Any) -> Any:
    """The value of an array of one element as a Python number, which promotes nothing."""
    return x.item()
