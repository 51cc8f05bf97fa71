"""Your own ops, equal to those of the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from sys import getrefcount, version_info
from typing import Any

import numpy as np

from .arrays import array_function, array_of
from .ops.op import REAL, Domain, from_signature
from .ops.pullbacks import Rule
from .tensor import Tensor
from .trees import tree_leaves

__all__ = ["custom_op"]

KINDS = ("general", "elementwise", "linear")


def custom_op(
    *rules: Rule | int | None, kind: str = "general", domain: Domain = REAL
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an op of a function of arrays: a decorator that takes a rule for each operand.

    The function's positional parameters are its operands, keyword-only ones its options. What a rule may ask for by the names
    of its parameters is told in `minigrad.ops.op`: ``g``, ``out``, the operands, ``x_shape``, the options. With
    ``kind="general"`` a rule gives the cotangent of its operand, g^T J; with ``kind="elementwise"`` the partial derivative,
    which the engine multiplies by g; with ``kind="linear"`` the transpose, applied to g. None is for an operand that is not
    differentiated. Rules are NumPy code: on Tensors they record themselves, and so the op has derivatives of any order,
    forward and backward, and `minigrad.check_grads` can check it.

    What the function and its rules return may be a buffer that they use again: it is copied.

    Raises TypeError if a rule asks for what there is not, or if the number of rules is not that of the operands; when the op is
    called, LeavesGraphError if an operand without a rule or an option requires grad; in the backward pass TypeError if a rule
    returns complex numbers.

    >>> import numpy as np, minigrad
    >>> @minigrad.custom_op(lambda g, x, k: g * k * np.cos(k * x))
    ... def wave(x, *, k=2.0):
    ...     return np.sin(k * x)
    >>> float(minigrad.grad(lambda x: wave(x, k=3.0))(0.0))
    3.0
    >>> minigrad.check_grads(wave, np.array([0.5, 1.0]), order=2)
    """
    if kind not in KINDS:
        raise TypeError(f"kind is one of {KINDS}, not {kind!r}")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        op = from_signature(function.__name__, kind, array_function(copying(function)), rules, domain=domain)
        if op.variadic:
            raise TypeError(f"{op.name} takes any number of operands; a custom op has a fixed number, with a rule for each")
        if kind != "elementwise":  # there the engine multiplies by g, into an array of its own
            op.pullbacks = tuple(rule and copying(rule) for rule in op.pullbacks)
        defaults, options_known = function.__kwdefaults__ or {}, set(op.options)

        @functools.wraps(function)
        def public(*operands: Any, **options: Any) -> Any:
            given = {**defaults, **options}
            if given.keys() != options_known or len(operands) != len(op.operands):
                return function(*operands, **options)  # which says in Python's own words what is wrong
            for name, option in options.items():
                for x in tree_leaves(option):
                    if isinstance(x, Tensor):
                        x._stays(
                            f"giving it to {op.name} as the option {name}, by which it is not differentiated (a positional "
                            "parameter with a rule is),"
                        )
            return op.run(*operands, given) if op.options else op.run(*operands)

        public.op = op  # type: ignore[attr-defined]
        return public

    return decorate


ndarray = np.ndarray
# What `sys.getrefcount` says of an array that only one local variable has; since Python 3.14 the call itself does not count.
ONE_REFERENCE = 2 if version_info < (3, 14) else 1


def copying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its result a copy if somebody else has the array, who might write to it again."""

    @functools.wraps(function)
    def copied(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        if type(result) is ndarray and result.base is None and getrefcount(result) <= ONE_REFERENCE:
            return result  # copied as well, an array of 2 MB would make the op slower by a third
        return array_of(result).copy("K") if isinstance(result, ndarray) else result

    return copied
