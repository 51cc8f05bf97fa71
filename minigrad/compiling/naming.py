"""Names for the values of a program, in the letters of backpropagation through time.

Parameters, arguments, states and gates have names of their own, and so has the gradient that flows back into one of them: `dh`.
Every other value is named after what it becomes, or after what it was made of.
"""

from __future__ import annotations

import functools
import keyword
import operator
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .folding import advance, carried, collected, history, row, states_of
from .passes import Calls, flat, is_view, users_of
from .rewrites import SCATTERED
from .trace import Call, Var, cast, contiguous, dot, transpose

__all__ = ["FLOWS_BACK", "identifier", "is_update", "names_of", "plural"]

Columns = tuple[str, int, int, bool]  # the sum, the first column, the end, and True if the value is more than a view of them

FLOWS_BACK = "∂"  # first letter of the label of a gradient that flows back
LOOKS = (row, collected, history)  # calls that read an array of all steps, or collect one
DEEP = 10  # calls between a value and what it is named after, at most
SHORT = 16  # letters of a name that other names are made of, at most
WORDS = {"maximum": "max", "minimum": "min", "add": "sum", "multiply": "product"}  # of reductions


def names_of(calls: Calls, labels: dict[Var, str], gradients: dict[Var, str]) -> tuple[dict[Var, str], set[Var]]:
    """Return the names of values, and the values that depend on a gradient that flows back.

    `gradients` has the gradients of parameters, and whose they are.
    """
    naming = Naming(calls, labels, gradients)
    naming.apply(naming.side_by_side)
    naming.apply(lambda call: naming.product(call) or naming.affine(call))
    naming.find_gates()
    naming.apply(naming.gate)
    naming.apply(naming.view, views=True)
    for rule in (naming.cotangent, naming.read_often, naming.pattern, naming.part, naming.update):
        naming.apply(rule)
        naming.follow()
    naming.calls.reverse()
    naming.apply(naming.made_for)
    naming.calls.reverse()
    naming.apply(naming.made_of)
    slopes = [v for v, name in naming.names.items() if name.startswith("slope_") and not name.endswith("_in")]
    if len(slopes) == 1:
        naming.names[slopes[0]] = "slope"
    layers = {call.out: naming.layer(call) for call in calls}
    if len({*layers.values()} - {None}) > 1:
        for v, layer in layers.items():
            if v in naming.names and layer is not None and v not in naming.of_weights:
                naming.names[v] += f"_l{layer}"
    return naming.names, naming.backward


def plural(name: str) -> str:
    """Return the name of the array of all steps of a value with this name."""
    return f"{name}_s" if keyword.iskeyword(f"{name}s") else f"{name}s"


@functools.lru_cache(maxsize=4096)
def identifier(text: str) -> str:
    """Return the ASCII name that is nearest to a text, or an empty text if there is none."""
    near = unicodedata.normalize("NFKD", text.replace("∂", "d"))
    name = re.sub(r"\W", "_", "".join(c for c in near if c.isascii() or not unicodedata.combining(c)), flags=re.ASCII)
    return name.strip("_") if name.strip("_").isidentifier() else ""


class Naming:
    """The names that have been found so far."""

    def __init__(self, calls: Calls, labels: dict[Var, str], gradients: dict[Var, str]) -> None:
        self.views = [call for call in calls if is_view(call) and call.fn is operator.getitem]
        self.calls = [
            call for call in calls if not is_view(call) and call.fn not in LOOKS and call.fn not in (carried, advance)
        ]
        self.next = states_of(calls)
        self.users = users_of(calls)
        there = {v for call in calls for v in (*call.inputs(), call.out)}
        labels = {v: label for v, label in labels.items() if v in there}
        self.names: dict[Var, str] = {
            v: name
            for v, label in labels.items()
            if (name := identifier(label)) and (v.call is None or v.call.fn is not carried)
        }
        self.backward = {v for v, label in labels.items() if label.startswith(FLOWS_BACK)}
        self.of_weights = {self.root(v) for v in gradients}
        self.backward |= self.of_weights
        self.names |= {self.root(v): f"d{identifier(name)}" for v, name in gradients.items()}
        self.followed = -1  # how many values `backward` had when nothing more could be added
        self.follow()
        self.single: dict[Var, str] = {}  # by array of all steps: the name of one step's value
        self.gates: dict[tuple[str, int, int], str] = {}  # by the columns of the sum that a gate is computed from

    def layer(self, call: Call) -> Any:
        """Return the layer in which a value was made, or of a view the array that it is a view of."""
        made = self.root(call.out).call if is_view(call) else call
        return made.scope.get("layer") if made is not None and made.scope is not None else None

    def follow(self) -> None:
        """Add all values that are computed from gradients to `backward`."""
        before = len(self.backward)
        if before == self.followed:
            return
        for call in self.calls:
            if call.out not in self.backward and not self.backward.isdisjoint(map(self.root, call.inputs())):
                self.backward.add(call.out)
        if len(self.backward) == before:
            self.followed = before

    def apply(self, rule: Callable[[Call], str], views: bool = False) -> None:
        """Name the values that have no name yet by a rule."""
        for call in self.views if views else self.calls:
            v = call.out
            if v not in self.names and v.dtype is not None and not v.is_tuple and (name := rule(call)):
                self.names[v] = name

    # -- what is read, and by whom -----------------------------------------------------------------------------------

    def source(self, v: Any) -> Any:
        """Return the value that a view, a row or a carried value is read from; any other value itself."""
        if not isinstance(v, Var) or v.call is None:
            return v
        if v.call.fn is carried:
            return self.next.get(v, v)
        return v.call.args[0] if v.call.fn in LOOKS or v.call.fn is contiguous or is_view(v.call) else v

    def root(self, v: Any) -> Any:
        """Follow `source` to the value that is read from no other."""
        seen = {v}
        while (v := self.source(v)) not in seen:
            seen.add(v)
        return v

    def uses(self, v: Var, seen: frozenset[Var] = frozenset()) -> Iterator[Call]:
        """Yield the calls that read a value, also as a view, as a row, or in the next step."""
        for call in self.users.get(v, []):
            if call.fn is advance:
                if call.args[0] not in seen and call.args[1] is v:
                    yield from self.uses(call.args[0], seen | {call.args[0]})
            elif call.fn in LOOKS or is_view(call):
                yield from self.uses(call.out, seen)
            elif call.fn is not carried:
                yield call

    def becomes(self, v: Var) -> Var | None:
        """Return the value that is computed from v, if there is just one."""
        found = {call.out for call in self.uses(v)}
        return found.pop() if len(found) == 1 else None

    def name(self, v: Var) -> str:
        """Return the name of a value, or of what it is a view of, if the name is short."""
        seen = {v}
        while v not in self.names and (v := self.source(v)) not in seen:
            seen.add(v)
        name = self.single.get(v) or self.names.get(v, "")
        return name if len(name) <= SHORT else ""

    def letter(self, v: Var) -> str:
        """The name without the `d` of a gradient."""
        made = self.root(v).call
        if made is not None and made.fn is cast:
            v = made.args[0]
        name = self.name(v).removesuffix("_prev").removesuffix("_next")
        return name[1:] if self.root(v) in self.backward else name

    # -- the rules ---------------------------------------------------------------------------------------------------

    def weight(self, v: Any) -> str:
        """The name of the parameter that an operand is, or an empty text."""
        root = self.root(v) if isinstance(v, Var) else v
        outside = isinstance(v, Var) and root.call is None and root.source != "constant" and root.dtype is not None
        return self.names.get(root, "") if outside else ""

    def product(self, call: Call) -> str:
        """A product with a weight: of inputs x `a_x`, of a state h `a_h`, and by its own name `readout_h`."""
        if call.fn is not dot or call.out in self.backward or any(not isinstance(v, Var) for v in call.args):
            return ""
        given, by = call.args
        if by.call is not None and by.call.fn is contiguous:
            by = by.call.args[0]
        weight, name = self.weight(by), self.letter(given)
        if not weight or by.call is None or by.call.fn is not transpose or not name:
            return ""
        new = self.made_by(self.becomes(call.out), np.add)
        of = f"{weight.removesuffix('_weight')}_{name}" if weight.endswith("_weight") else f"a_{name}"
        return f"{of}_in" if new is not None and any(map(self.is_bias, new.args)) else of

    def affine(self, call: Call) -> str:
        """A sum of products with weights and biases: `a_x` and `a_h`, their sum `a`, or `readout`."""
        if call.fn is not np.add or call.out in self.backward or any(not isinstance(v, Var) for v in call.args):
            return ""
        biases = [self.weight(v) for v in call.args if self.weight(v)]
        found = [self.name(v).removesuffix("_in") for v in call.args if not self.weight(v)]
        if len(biases) == 2:
            return "bias"
        end = biases[0].removesuffix("_bias") if biases else ""
        if end and found[0].startswith(f"{end}_"):
            return end
        sums = [name for name in found if stem(name) == "a"]
        if len(sums) == 1 and any(map(self.is_bias, call.args)):
            return sums[0]
        return "a" if len(sums) == 2 else ""

    def is_bias(self, v: Any) -> bool:
        """True for a parameter, or a sum of two."""
        return bool(self.weight(v)) or (isinstance(v, Var) and self.names.get(self.root(v)) == "bias")

    def cotangent(self, call: Call) -> str:
        """The gradient of a sum of products with a weight: it is a factor in the weight's own gradient."""
        for user in self.uses(call.out):
            name = self.names.get(user.out, "")
            if user.fn is dot and user.out in self.of_weights and self.root(user.args[0]) is call.out:
                made = self.made_with(name[1:])
                if made:
                    self.backward.add(call.out)
                    return f"d{made}"
        return ""

    def made_with(self, weight: str) -> str:
        """The name of the sum in which the product with a weight ends."""
        for call in self.calls:
            if call.fn is dot and call.out not in self.backward and self.weight(call.args[1]) == weight:
                v = call.out
                for _ in range(DEEP):
                    new = self.becomes(v)
                    if new is None or stem(self.name(new)) != stem(self.name(v)):
                        break
                    v = new
                return self.name(v).removesuffix("_in")
        return ""

    def pattern(self, call: Call) -> str:
        """Values that are known by their form: squares, 1 - f, slopes, the softmax."""
        rule = {np.multiply: self.product_pattern, np.subtract: self.difference, np.divide: self.softmax}.get(call.fn)  # type: ignore[call-overload]
        return rule(*call.args) if rule is not None else ""

    def product_pattern(self, one: Any, other: Any) -> str:
        """A square, or the slope f (1 - f) of the logistic function."""
        if one is other:
            return f"{self.name(one)}_squared" if self.name(one) else ""
        rest = self.made(other, np.subtract)
        slope = rest is not None and is_one(rest.args[0]) and rest.args[1] is one
        return f"slope_{self.name(one)}".rstrip("_") if slope else ""

    def difference(self, one: Any, other: Any) -> str:
        """The slope 1 - h h of tanh, 1 - f, or a value less its largest element."""
        if not isinstance(other, Var):
            return ""
        if isinstance(one, Var):
            return f"{self.name(one)}_shifted" if self.name(other) == f"{self.name(one)}_max" != "_max" else ""
        square = self.made(other, np.multiply)
        if is_one(one) and square is not None and square.args[0] is square.args[1]:
            return f"slope_{self.name(square.args[0])}".rstrip("_")
        return f"one_minus_{self.name(other)}" if is_one(one) and self.name(other) else ""

    def softmax(self, one: Any, other: Any) -> str:
        """An exponential function over its sum."""
        total = self.made(other, np.add.reduce)
        of_exp = isinstance(one, Var) and self.made(one, np.exp) is not None
        return "softmax" if of_exp and total is not None and self.root(total.args[0]) is one else ""

    def made(self, v: Any, fn: Any) -> Call | None:
        """Return the call of `fn` that made a value, or what it is a view of; None if another function did."""
        return self.made_by(self.root(v), fn) if isinstance(v, Var) else None

    def made_by(self, v: Var | None, fn: Any) -> Call | None:
        """Return the call of `fn` that made a value itself; None if another function did."""
        return v.call if v is not None and v.call is not None and v.call.fn == fn else None

    def columns(self, v: Any, depth: int = 0) -> Columns | None:
        """Return the columns of a sum, such as `a`, that a value is computed from."""
        if not isinstance(v, Var) or v.call is None or not v.shape or v in self.backward or depth > DEEP:
            return None
        call = v.call
        name = self.names.get(v, "")
        if stem(name) == "a" and not is_view(call) and call.fn not in LOOKS:
            first = self.first_row(v)
            return name, first, first + v.shape[-1], False
        if depth and name and stem(name) != "a":
            return None
        if call.fn is operator.getitem:
            return self.columns_of_part(call, self.columns(call.args[0], depth + bool(depth)))
        if is_view(call) or call.fn in LOOKS:
            return self.columns(call.args[0], depth + bool(depth))
        if isinstance(call.fn, np.ufunc):
            for x in reversed(call.args):
                found = self.columns(x, depth + 1) if isinstance(x, Var) and x.shape[-1:] == v.shape[-1:] else None
                if found is not None:
                    return (*found[:3], True)
        return None

    @staticmethod
    def columns_of_part(call: Call, found: Columns | None) -> Columns | None:
        """Return the columns of a part of an array that is computed from the columns `found`."""
        shape, index = call.args[0].shape, call.args[1]
        if found is None:
            return None
        if isinstance(index, tuple) and len(index) == len(shape) and isinstance(index[-1], slice):
            start, stop, _ = index[-1].indices(shape[-1])
            return found[0], found[1] + start, found[1] + stop, found[3]
        return found if call.out.shape[-1:] == shape[-1:] else None

    def first_row(self, v: Var) -> int:
        """Return the first row of the part of a weight with which a value is a product."""
        for _ in range(DEEP):
            call = self.root(v).call
            if call is None or call.fn is dot:
                break
            v = next((x for x in call.args if isinstance(x, Var) and stem(self.name(x)) == "a"), v)
        if call is None or call.fn is not dot:
            return 0
        by = call.args[1]
        while by.call is not None and by.call.fn in (contiguous, transpose):
            by = by.call.args[0]
        index = by.call.args[1] if by.call is not None and by.call.fn is operator.getitem else ()
        return int(index[0].start or 0) if isinstance(index, tuple) and index and isinstance(index[0], slice) else 0

    def find_gates(self) -> None:
        for v, name in list(self.names.items()):
            if v.call is not None and v.call.loop is not None and (found := self.columns(v)) is not None and found[3]:
                place = (stem(found[0]), *found[1:3])
                self.gates[place] = name if self.gates.get(place, name) == name else ""  # two cells have the same columns

    def gate(self, call: Call) -> str:
        """Several gates that are computed together."""
        found = self.columns(call.out) if call.loop is not None else None
        in_parts = any(is_view(user) for user in self.users.get(call.out, []))
        return self.gates_at(*found[:3]) if found is not None and found[3] and in_parts else ""

    def gates_at(self, whole: str, start: int, stop: int) -> str:
        """The names of the gates that are computed from these columns of a sum."""
        inside = sorted(
            (a, gate) for (name, a, b), gate in self.gates.items() if name == stem(whole) and start <= a and b <= stop
        )
        return "_".join(gate for _, gate in inside)

    def part(self, call: Call) -> str:
        """A part of a gradient, named after the gate that is computed from the same columns."""
        found = {}
        for user in self.uses(call.out):
            whole = self.names.get(user.out, "")
            if user.fn is SCATTERED and whole and user.out in self.backward:
                for v, index in zip(user.args, user.options["indices"], strict=True):
                    if self.root(v) is call.out and isinstance(index[-1], slice):
                        start, stop, _ = index[-1].indices(user.out.shape[-1])
                        found[whole] = self.gates_at(whole[1:], start, stop)
        gates = {*found.values()} - {""}
        if len(gates) != 1:
            return ""
        return f"{stem(next(iter(found))) if len(found) > 1 else next(iter(found))}_{gates.pop()}"

    def read_often(self, call: Call) -> str:
        """A function of a named value that several others read, such as tanh(c); or the same in another dtype."""
        if call.fn is contiguous and self.name(call.args[0]):
            return f"{self.name(call.args[0])}_copy"
        if call.fn is cast and self.name(call.args[0]):
            return f"{self.name(call.args[0])}_{call.out.dtype}"
        unary = isinstance(call.fn, np.ufunc) and call.fn.nin == 1
        return self.made_of(call) if unary or getattr(call.fn, "__name__", "") == "reduce" else ""

    def made_for(self, call: Call) -> str:
        """A value from which just one other is computed: named after that one, and a product also after a factor."""
        new = self.becomes(call.out)
        name = self.names.get(new, "") if new is not None else ""
        if not name or is_update(call) or len(name) > SHORT or new.dtype != call.out.dtype:  # type: ignore[union-attr]
            return ""
        if call.out not in self.backward and self.scales_gradient(new):
            return f"factor_{name[1:]}"
        name = name.removesuffix("_in")
        if call.fn in (np.multiply, dot):
            own = name[1:] if new in self.backward else name
            letters = [x for v in call.inputs() if (x := self.letter(v)) and stem(x) != stem(own) and not self.weight(v)]
            return f"{name}_{min(letters, key=len)}" if letters else f"{name}_in"
        if getattr(call.fn, "__name__", "") == "reduce":
            return f"{name}_sum"
        return f"{name}_in" if isinstance(call.fn, np.ufunc) else ""

    def scales_gradient(self, v: Any) -> bool:
        """True for the product of a gradient with something else."""
        return v.call.fn is np.multiply and not self.backward.isdisjoint(map(self.root, v.call.inputs()))

    def made_of(self, call: Call) -> str:
        """A function of one named value."""
        names = [self.name(v) for v in call.inputs() if self.root(v).source != "constant"]
        if len({*names}) != 1 or not names[0]:
            return ""
        fn = getattr(call.fn, "__name__", "")
        if fn == "reduce":
            of = call.fn.__self__.__name__  # type: ignore[attr-defined]
            return f"{names[0]}_{WORDS.get(of, of)}"
        if call.fn in (np.equal, np.less, np.greater):
            return f"{names[0]}_{fn}"
        often = len([*self.uses(call.out)]) > 1
        return f"{fn}_{names[0]}" if often and isinstance(call.fn, np.ufunc) and call.fn.nin == 1 else ""

    def side_by_side(self, call: Call) -> str:
        """All parameters of an update in one array, and all their gradients."""
        if call.fn is not flat:
            return ""
        if all(map(self.weight, call.args)):
            return "parameters"
        return "gradients" if self.of_weights.issuperset(map(self.root, call.args)) else ""

    def update(self, call: Call) -> str:
        """The difference that an update makes."""
        if not is_update(call):
            return ""
        return "step" if any(new.fn is np.subtract and new.args[1] is call.out for new in self.uses(call.out)) else ""

    def view(self, call: Call) -> str:
        """A part of an array: of a gate, or of the states of all steps."""
        source = call.args[0]
        root, index = self.root(source), call.args[1]
        if source.call is not None and source.call.fn is history and isinstance(index, tuple) and len(index) == 1:
            steps = index[0].indices(source.shape[0]) if isinstance(index[0], slice) else ()
            late = steps == (1, source.shape[0], 1)
            if self.name(root) and steps in ((1, source.shape[0], 1), (0, source.shape[0] - 1, 1)):
                self.single[call.out] = self.name(root)
                return plural(self.name(root)) + ("" if late != source.call.args[0].call.loop.back else "_prev")
        found = self.columns(call.out)
        gate = self.gates_at(*found[:3]) if found is not None else ""
        if not gate or found is None:
            return ""
        if not found[3]:
            return f"{found[0]}_{gate}"
        if source.call is None or source.call.fn not in (collected, history):
            return gate
        self.single[call.out] = gate
        return plural(gate)


def stem(name: str) -> str:
    return name.partition("_")[0]


def is_update(call: Call) -> bool:
    """True for the calls of an optimizer."""
    return call.scope is not None and "update" in call.scope


def is_one(x: Any) -> bool:
    return type(x) in (int, float) and x == 1
