"""Rules of algebra: sums and products in another order, so that less of them waits for the step before.

A rule is a formula and the one that takes its place. They are equal but for the last digits. Its letters are

- `d`, a value of the recurrence that the result is part of, and `a` and `b`, values that are not;
- `r`, a value that waits for the step before, and `p`, one that does not;
- `c` and `k`, biases: the same at every step, with fewer axes than the result;
- `x` and `y`, any value.

All but the biases have the shape and dtype of the result. What is within a formula is used for nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np

from .passes import Calls, added, alike, settled, uses_of
from .recorder import Recorder
from .trace import Call, Var

__all__ = ["RULES", "reordered"]

Parts = dict[Var, int]  # which of the recurrences a value is part of, forward or backward; of the others nothing
OPS: dict[type, np.ufunc] = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.USub: np.negative}
EITHER_WAY = (np.add, np.multiply)


def parsed(formula: Any) -> Any:
    """A formula as a tuple of a ufunc and its operands, and a letter as itself."""
    if isinstance(formula, str):
        return parsed(ast.parse(formula, mode="eval").body)
    if isinstance(formula, ast.Name):
        return formula.id
    operands = [formula.left, formula.right] if isinstance(formula, ast.BinOp) else [formula.operand]
    return OPS[type(formula.op)], *map(parsed, operands)


RULES = {
    "what is the same at each step added first": {  # the bias joins what is computed for all steps at once
        "(p + k) + (r + c)": "(p + (k + c)) + r",
        "((p + k) + r) + c": "(p + (k + c)) + r",
        "p + (r + c)": "(p + c) + r",
        "(p + r) + c": "(p + c) + r",
    },
    "signs first": {  # the exponent of a sigmoid then costs a step no call for its sign
        "-(p + r)": "-p - r",
        "x + -y": "x - y",
    },
    "factors first": {"d * a + d * b": "d * (a + b)", "d * a - d * b": "d * (a - b)"},
    "products first": {"d * a * b": "d * (a * b)"},  # slopes and gates are multiplied for all steps at once
}
TABLE = {name: [(parsed(before), parsed(after)) for before, after in rules.items()] for name, rules in RULES.items()}


def reordered(calls: Calls, recorder: Recorder, part: Parts, name: str) -> Calls:
    """The calls of time steps after the rules of this name; the same list if none fits."""
    uses = uses_of(calls)
    left: Calls = []
    changed = False

    def bias(v: Var, like: Var) -> bool:
        return settled(v) and len(v.shape) < len(like.shape) and v.dtype == like.dtype

    def waits(v: Var) -> bool:
        """For the step before, or, in the first step, for nothing but what is given."""
        return v in part or (v.call is not None and all(map(settled, v.call.inputs())))

    def fits(letter: str, v: Var, out: Var) -> bool:
        """Return True if a value is of the kind that a letter means, in a formula of `out`."""
        if letter in "ck" or not alike(v, out):
            return letter in "ck" and bias(v, out)
        if letter in "dab":
            return out in part and (part.get(v) == part[out]) is (letter == "d")
        return letter in "xy" or waits(v) is (letter == "r")

    def matches(formulas: Any, values: Any, call: Call, found: dict[str, Var]) -> Iterator[dict[str, Var]]:
        """The values of the letters, for each way in which values are those of formulas within a call's."""
        if not formulas:
            yield found
            return
        (first, *formulas), (v, *values) = formulas, values
        if not isinstance(v, Var):
            return
        if isinstance(first, str):
            if found[first] is v if first in found else fits(first, v, call.out):
                yield from matches(formulas, values, call, {**found, first: v})
        elif uses[v] == 1 and v.call is not None and v.call.step == call.step:
            for operands in ways(first, v.call):
                yield from matches((*first[1:], *formulas), (*operands, *values), call, found)

    def built(formula: Any, found: dict[str, Var], scope: Any) -> Var:
        if isinstance(formula, str):
            return found[formula]
        args = tuple(built(x, found, scope) for x in formula[1:])
        v = added(left, recorder, formula[0], args, None if all(map(settled, args)) else scope)
        uses[v] = 1
        return v

    for call in calls:
        for before, after in TABLE[name] if call.step is not None else ():
            found = next((one for args in ways(before, call) for one in matches(before[1:], args, call, {})), None)
            if found is not None:
                changed = True
                call.fn, call.args = after[0], tuple(built(x, found, call.scope) for x in after[1:])
                break
        left.append(call)
    return left if changed else calls


def ways(formula: Any, call: Call) -> list[tuple[Any, ...]]:
    """The orders in which a call can have the operands of a formula; none if it is of another function."""
    if call.fn is not formula[0] or call.options:
        return []
    return [call.args, call.args[::-1]] if call.fn in EITHER_WAY else [call.args]
