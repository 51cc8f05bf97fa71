"""Rules as the sweeps call them: functions of (g, node, saved, i), whatever parameters a rule itself has.

`g` is the cotangent of the result, `saved` what the node kept of (out, *operands), `i` the number of the operand. A marked
sweep (`minigrad.selection`) also gives the `mask` of the elements of g that count.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .op import Op

__all__ = ["Pullback", "Rule", "bound", "needed_names"]

Rule = Callable[..., Any]
Pullback = Callable[..., Any]  # of g, node, saved, i, and optionally `mask`


class EveryOperand(tuple[Any, ...]):
    """One item, in the place of a tuple with an item for each operand, where all operands have the same."""

    __slots__ = ()

    def __getitem__(self, i: Any) -> Any:
        return super().__getitem__(0)


def needed_names(rule: Rule | int | None) -> tuple[str, ...]:
    """The names of a rule's parameters, which say what it needs."""
    if isinstance(rule, np.ufunc):  # whose signature is NumPy's own, with `out` and `where`
        return ("x", "y")[: rule.nin]
    return tuple(inspect.signature(rule).parameters) if callable(rule) else ()


def bound(op: Op) -> Any:
    """By operand, the rules of an op as functions of (g, node, saved, i)."""
    rules = tuple(None if rule is None else pullback(op, rule) for rule in op.rules)
    return EveryOperand(rules) if op.variadic else rules


def pullback(op: Op, rule: Any) -> Pullback:
    if rule == 1:
        return lambda g, node, saved, i, mask=None: g
    if rule == -1:
        return lambda g, node, saved, i, mask=None: -g
    found = sources(op)
    names = needed_names(rule)
    for name in names:
        if name not in found:
            raise TypeError(f"op {op.name}: a rule asks for {name!r}; it may ask for {', '.join(found)}")
    read = [found[name] for name in names]
    kinds = "".join(source[0] for source in read)
    elementwise = op.kind == "elementwise"
    form = (PARTIALS if elementwise else PRODUCTS).get(kinds)
    if form is not None:
        return form(rule, *[which for _, which in read])
    whole = any_rule(rule, read)
    return (lambda g, node, saved, i, mask=None: g * whole(g, node, saved, i, mask)) if elementwise else whole


Source = tuple[str, Any]  # a letter, and which one of that kind


def sources(op: Op) -> dict[str, Source]:
    """For each name that a rule may ask for: a saved array (s), an operand's shape (n), an option (o), or something else."""
    found: dict[str, Source] = {"out": ("s", 0)} if op.kind == "elementwise" else {"g": ("g", None), "out": ("s", 0)}
    for k, name in enumerate(op.operands):
        found |= {name: ("s", slice(1, None) if op.variadic else k + 1), f"{name}_shape": ("n", k)}
    if op.variadic:
        found |= {"i": ("i", None), "shapes": ("m", None)}
    found |= {name: ("o", name) for name in op.options}
    if op.kind != "elementwise":
        found.setdefault("mask", ("a", None))  # an operand of that name comes first
    return found


# The forms of rules that recurrent networks have are read without a loop: it costs a third of a microsecond less.
Form = Callable[..., Pullback]  # of a rule, and which of its kind each name is: see `sources`
PARTIALS: dict[str, Form] = {
    "s": lambda rule, a: lambda g, node, saved, i, mask=None: g * rule(saved[a]),
    "ss": lambda rule, a, b: lambda g, node, saved, i, mask=None: g * rule(saved[a], saved[b]),
}
PRODUCTS: dict[str, Form] = {
    "gs": lambda rule, _, a: lambda g, node, saved, i, mask=None: rule(g, saved[a]),
    "gns": lambda rule, _, n, a: lambda g, node, saved, i, mask=None: rule(g, node.operands[n].shape, saved[a]),
    "gsn": lambda rule, _, a, n: lambda g, node, saved, i, mask=None: rule(g, saved[a], node.operands[n].shape),
    "gio": lambda rule, _, __, name: lambda g, node, saved, i, mask=None: rule(g, i, node.options[name]),
}


def any_rule(rule: Rule, read: list[Source]) -> Pullback:
    getters = [GETTERS[kind](which) for kind, which in read]
    return lambda g, node, saved, i, mask=None: rule(*[get(g, node, saved, i, mask) for get in getters])


GETTERS: dict[str, Callable[[Any], Pullback]] = {
    "g": lambda _: lambda g, node, saved, i, mask: g,
    "s": lambda place: lambda g, node, saved, i, mask: saved[place],
    "o": lambda name: lambda g, node, saved, i, mask: node.options[name],
    "n": lambda k: lambda g, node, saved, i, mask: node.operands[k].shape,
    "m": lambda _: lambda g, node, saved, i, mask: [operand.shape for operand in node.operands],
    "i": lambda _: lambda g, node, saved, i, mask: i,
    "a": lambda _: lambda g, node, saved, i, mask: mask,
}
