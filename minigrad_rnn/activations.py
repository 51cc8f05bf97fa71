"""The activations of cells by name: the ops of one operand, and functions of a few ops that other libraries have."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from numbers import Real
from typing import Any

import minigrad as mg
from minigrad.ops import TABLE

__all__ = ["USUAL", "activation", "check_activations", "name_and_numbers"]

USUAL = ("tanh", "relu", "sigmoid")  # each is one op, whose saturation is measured
CALL = re.compile(r"([a-z]\w*)(?:\((.*)\))?")


def linear(x: Any) -> Any:
    return x


def affine(x: Any, alpha: float = 1.0, beta: float = 0.0) -> Any:
    return alpha * x + beta


def leaky_relu(x: Any, alpha: float = 0.01) -> Any:
    return mg.where(x > 0, x, alpha * x)


def thresholded_relu(x: Any, alpha: float = 1.0) -> Any:
    return mg.where(x > alpha, x, 0.0)


def elu(x: Any, alpha: float = 1.0) -> Any:
    return mg.where(x > 0, x, alpha * mg.expm1(mg.minimum(x, 0.0)))


def scaled_tanh(x: Any, alpha: float = 1.0, beta: float = 1.0) -> Any:
    return alpha * mg.tanh(beta * x)


def hard_sigmoid(x: Any, alpha: float = 1 / 6, beta: float = 0.5) -> Any:
    return mg.clip(alpha * x + beta, 0.0, 1.0)


def softsign(x: Any) -> Any:
    return x / (1 + abs(x))


MADE = {f.__name__: f for f in (linear, affine, leaky_relu, thresholded_relu, elu, scaled_tanh, hard_sigmoid, softsign)}
OPS = {name: op.run for name, op in TABLE.items() if op.kind == "elementwise" and len(op.rules) == 1}


@functools.cache
def activation(name: str, clip: float | None = None) -> Callable[[Any], Any]:
    """Return the function with this name. With `clip` its input is cut off at -clip and clip.

    A name is that of an op of one operand ("tanh", "sigmoid", "relu", "softplus", "gelu", "silu", "sin", ...), or one of:

        linear              x
        affine(a, b)        a x + b
        leaky_relu(a)       x where x > 0, else a x                     a = 0.01
        thresholded_relu(a) x where x > a, else 0                       a = 1
        elu(a)              x where x > 0, else a (e^x - 1)             a = 1
        scaled_tanh(a, b)   a tanh(b x)                                 a = b = 1
        hard_sigmoid(a, b)  a x + b, not below 0, not above 1           a = 1/6, b = 1/2
        softsign            x / (1 + |x|)

    with numbers, as in ``"leaky_relu(0.2)"``, or without: then they are the ones on the right, PyTorch's.

    >>> activation("leaky_relu(0.5)")(mg.tensor([-2.0, 3.0]))
    tensor([-1.,  3.])
    >>> activation("linear", 2.5)(mg.tensor([-2.0, 3.0]))
    tensor([-2. ,  2.5])
    """
    word, numbers = name_and_numbers(name)
    f = OPS[word] if word in OPS else functools.partial(MADE[word], **numbers)
    return f if clip is None else lambda x: f(mg.clip(x, -clip, clip))


def name_and_numbers(name: str, what: str = "an activation") -> tuple[str, dict[str, float]]:
    """Return the word in the name of an activation, and its numbers by name. ValueError if there is no such activation.

    >>> name_and_numbers("elu"), name_and_numbers("affine(2)")
    (('elu', {'alpha': 1.0}), ('affine', {'alpha': 2.0, 'beta': 0.0}))
    """
    word, numbers = split(name)
    defaults = getattr(MADE.get(word), "__defaults__", None) or ()
    if word not in OPS.keys() | MADE.keys() or len(numbers) > len(defaults):
        raise ValueError(
            f"{what} must be one of {', '.join([*USUAL, *MADE])}, perhaps with numbers such as 'leaky_relu(0.2)', or another "
            f"op of one operand such as 'softplus', not {name!r}"
        )
    return word, dict(zip(("alpha", "beta"), [*numbers, *defaults[len(numbers) :]], strict=False))


def split(name: Any) -> tuple[str, list[float]]:
    """Return the word and the numbers of a name such as ``affine(2, 1)``; ("", []) for what is not one."""
    found = CALL.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return "", []
    try:
        return found[1], [float(number) for number in found[2].split(",")] if found[2] else []
    except ValueError:
        return "", []


def check_activations(clip: float | None, **names: Any) -> None:
    """Raise ValueError unless all of these options of a cell are names of activations, and `clip` is a positive number."""
    for option, name in names.items():
        name_and_numbers(name, option)
    if clip is not None and not (isinstance(clip, Real) and clip > 0 and clip is not True):
        raise ValueError(f"clip is {clip!r}; it must be the positive number at which the inputs of activations are cut off")
