"""Exercises of the course: an answer is checked as soon as its cell runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

__all__ = ["exercise", "solution"]


def exercise(number: int, check: Callable[[Any], object], answer: Any) -> None:
    """Print whether `answer` passes `check`: a function that raises an error with the reason if it does not.

    An answer that is still ``...``, or a function that returns ``...``, is empty.

    >>> def check(answer):
    ...     assert answer == 13, f"the derivative is not {answer}"
    >>> exercise(1, check, ...)
    exercise 1: not yet - replace the ... with your answer
    >>> exercise(1, check, 12)
    exercise 1: not yet - the derivative is not 12
    >>> exercise(1, check, 13)
    exercise 1: right
    """
    try:
        check(answered(filled(answer) if isinstance(answer, FunctionType) else answer))
    except Exception as error:
        kind = "" if isinstance(error, AssertionError | Empty) else f"{type(error).__name__}: "
        print(f"exercise {number}: not yet - {kind}{error or 'the answer does not pass the check'}")
    else:
        print(f"exercise {number}: right")


def solution(number: int, check: Callable[[Any], object], answer: Any) -> None:
    """Print that `answer` of the lesson itself passes `check`. An error of the check is raised.

    >>> def check(answer):
    ...     assert answer == 13, f"the derivative is not {answer}"
    >>> solution(1, check, 13)
    solution 1: right
    """
    check(answer)
    print(f"solution {number}: right")


class Empty(Exception):
    """An exercise that nobody has answered."""


def answered(answer: Any) -> Any:
    """Return `answer`. Raise Empty for ``...``."""
    if answer is ...:
        raise Empty("replace the ... with your answer")
    return answer


def filled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which raises Empty where it would return ``...``."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        return answered(function(*args, **options))

    return called
