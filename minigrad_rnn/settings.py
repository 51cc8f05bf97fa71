"""Settings that are checked when they are set, saved as JSON and restored: of optimizers and of schedules."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

__all__ = ["Configured", "Option", "choice", "flag", "mapping", "maybe", "number", "numbers", "pair", "whole", "wholes"]


class Option:
    """A setting of a `Configured` object: its possible values, and the conversion to a plain Python value.

    The state of an optimizer depends on whether a `lasting` setting is zero. Once there is a state, that cannot change.
    """

    def __init__(self, text: str, plain: Callable[[Any], Any], *, several: bool = False, lasting: bool = False) -> None:
        self.text = text
        self.plain = plain
        self.several = several
        self.lasting = lasting

    def checked(self, owner: Any, name: str, value: Any) -> Any:
        try:
            plain = self.plain(value)
        except (TypeError, ValueError, OverflowError):
            being, they = ("are", "they") if self.several else ("is", "it")
            raise ValueError(f"{name} {being} {value!r}; {they} must be {self.text}") from None
        if self.lasting and hasattr(owner, "states") and bool(plain) != bool(old := getattr(owner, name)):
            raise ValueError(
                f"{name} is {old} and cannot become {plain}, because the state of {type(owner).__name__} depends on it; "
                "make a new optimizer"
            )
        return plain


def plain_number(value: Any) -> float:
    if isinstance(value, str | bytes):  # which float() would read
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def require(condition: bool) -> None:
    if not condition:
        raise ValueError


def number(
    text: str = "a number that is not negative", holds: Callable[[float], bool] = lambda x: x >= 0, *, lasting: bool = False
) -> Any:
    def plain(value: Any) -> float:
        x = plain_number(value)
        require(holds(x))
        return x

    return Option(text, plain, lasting=lasting)


def pair(text: str, holds: Callable[[float, float], bool]) -> Any:
    def plain(value: Any) -> tuple[float, float]:
        first, second = map(plain_number, value)
        require(holds(first, second))
        return first, second

    return Option(text, plain, several=True)


def whole(low: int) -> Any:
    def plain(value: Any) -> int:
        n = operator.index(value)
        require(n >= low)
        return n

    return Option(f"a whole number, at least {low}", plain)


def wholes(low: int) -> Any:
    def plain(value: Any) -> tuple[int, ...]:
        numbers = tuple(map(operator.index, value))
        require(all(low <= n for n in numbers) and sorted(numbers) == list(numbers))
        return numbers

    return Option(f"whole numbers, at least {low}, in rising order", plain, several=True)


def numbers() -> Any:
    def plain(value: Any) -> tuple[float, ...]:
        found = tuple(map(plain_number, value))
        require(all(x >= 0 for x in found))
        return found

    return Option("numbers that are not negative", plain, several=True)


def choice(*values: str) -> Any:
    def plain(value: Any) -> str:
        require(isinstance(value, str) and value in values)
        return str(value)

    return Option(" or ".join(map(repr, values)), plain)


def maybe(option: Option) -> Any:
    return Option(f"{option.text}, or None", lambda value: None if value is None else option.plain(value))


def flag(*, lasting: bool = False) -> Any:
    def plain(value: Any) -> bool:
        require(isinstance(value, bool | np.bool_))
        return bool(value)

    return Option("True or False", plain, lasting=lasting)


class Configured:
    """An object whose options are checked when they are set, and can be saved as JSON and restored.

    They are declared in the body of the class, ``lr: float = number()``, and inherited.
    """

    settings: ClassVar[dict[str, Option]] = {}

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
        for name in own:
            delattr(cls, name)  # reading an option in the middle of a step is then as fast as reading can be
        cls.settings = {**cls.settings, **own}

    def __setattr__(self, name: str, value: Any) -> None:
        option = self.settings.get(name)
        super().__setattr__(name, value if option is None else option.checked(self, name, value))

    def configure(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            if name not in self.settings:
                raise TypeError(f"{type(self).__name__} has no option {name}; it has {', '.join(self.settings)}")
            setattr(self, name, value)
        self.check()

    def check(self) -> None:
        """Raise ValueError if the options do not go together."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.settings)})"

    def options(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.settings}
        return {"class": type(self).__name__, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}

    def configured(self, options: Mapping[str, Any]) -> Self:
        """Return a copy with these options. ValueError, with everything that is wrong, if they are not those of its class."""
        own = type(self).__name__
        given = mapping(options, "the options of an optimizer or a schedule")
        kind = given.pop("class", None)
        if kind != own:
            raise ValueError(f"this is the state of {kind}, and this is {own}; make {kind} and load it there")
        copied = copy.copy(self)
        vars(copied).pop("states", None)
        names = self.settings
        problems = [f"missing: {name}" for name in names if name not in given]
        problems += [f"not an option of {own}: {name}" for name in given if name not in names]
        for name in names:
            if name in given:
                try:
                    setattr(copied, name, given[name])
                except ValueError as error:
                    problems.append(str(error))
        if problems:
            raise ValueError(f"these are not the options of {own}:\n  " + "\n  ".join(problems))
        copied.check()
        return copied


def mapping(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} are a dict, as state_dict() makes it, not {type(given).__name__}")
    return dict(given)
