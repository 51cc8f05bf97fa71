"""Write the stubs from which an editor and mypy know the types of the table's functions.

    python tests/stubs.py

They are made from the entries and signatures of the functions. An annotation `Operand` means: a Tensor here gives a Tensor,
arrays and numbers alone give an array; that takes an overload for each.
"""

import inspect
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # run as a script, it is about the package next to it

import minigrad
from minigrad.methods import ARITHMETIC, METHODS
from minigrad.ops.table import LINALG, PUBLIC

TABLES = ("ACCUMULATIONS", "FAMILIES", "FUNCTIONS", "PLAIN", "REDUCTIONS", "TABLE", "UFUNCS")
HEADER = """# Made by tests/stubs.py from the entries of the table: do not edit.
# mypy: disable-error-code="overload-overlap"

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

{imports}

_Plain: TypeAlias = np.ndarray | np.generic | float | list[Any] | tuple[Any, ...]
_Operand: TypeAlias = Tensor | _Plain
"""
TENSOR, PLAIN, BOTH = "Tensor", "_Plain", "_Operand"
ELEMENTWISE = inspect.Parameter.POSITIONAL_ONLY


def parameters(function):
    """Those of a function; an elementwise op's are its operands."""
    if hasattr(function, "op"):
        return [inspect.Parameter(name, ELEMENTWISE, annotation="Operand") for name in function.op.operands]
    return [
        p.replace(annotation="Operand | None") if p.default is None and p.annotation == "Operand" else p
        for p in inspect.signature(function).parameters.values()
    ]


def result(function):
    return "Operand" if hasattr(function, "op") else inspect.signature(function).return_annotation


def shown(parameter, operands):
    """A parameter with its annotation, in which Operand is of these types."""
    as_one = {TENSOR: TENSOR, PLAIN: "np.ndarray", BOTH: f"{TENSOR} | np.ndarray"}[operands]
    annotation = re.sub(r"Sequence\[Operand\]", f"Sequence[{operands}] | {as_one}", str(parameter.annotation))
    annotation = re.sub(r"\bOperand\b", operands, annotation)
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}: {annotation}"
    if parameter.default is parameter.empty:
        return text
    simple = parameter.default is None or isinstance(parameter.default, bool | int | float | str)
    return f"{text} = {parameter.default!r}".replace("'", '"') if simple else f"{text} = ..."


def listed(parameters, operands):
    """The text between the parentheses, with Operand of a type for each parameter."""
    parts, before = [], None
    for parameter, kinds in zip(parameters, operands, strict=True):
        if before is parameter.POSITIONAL_ONLY is not parameter.kind:
            parts.append("/")
        if parameter.kind is parameter.KEYWORD_ONLY and before not in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL):
            parts.append("*")
        parts.append(shown(parameter, kinds))
        before = parameter.kind
    return ", ".join(parts + ["/"] * (before is inspect.Parameter.POSITIONAL_ONLY))


def function_stub(name, function):
    """A definition for each kind of result. No two of them fit one call, or mypy would see Any where an array is of Any."""
    given, gives = parameters(function), result(function)
    if "Operand" not in gives:
        return f"def {name}({listed(given, [BOTH] * len(given))}) -> {gives}: ...\n"
    found = [(given, [PLAIN] * len(given), "NDArray[Any]")]
    for i in [i for i, p in enumerate(given) if "Operand" in str(p.annotation)]:
        kinds = [PLAIN] * i + [TENSOR] + [BOTH] * (len(given) - i - 1)
        found += [(own, kinds, TENSOR) for own in with_required(given, i)]
    if any("Sequence[Operand]" in str(p.annotation) for p in given):  # of both kinds
        found.append((given, [BOTH] * len(given), TENSOR))
    return "".join(
        f"@overload\ndef {name}({listed(own, kinds)}) -> {re.sub('Operand', kind, gives)}: ...\n" for own, kinds, kind in found
    )


def with_required(given, i):
    """The parameters with no default for the one at i: all before it are given too, or this one by its name."""
    empty, by_name = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY
    chosen = given[i].replace(default=empty, annotation=given[i].annotation.removesuffix(" | None"))
    if chosen.kind is not by_name:
        yield [*(p.replace(default=empty) for p in given[:i]), chosen, *given[i + 1 :]]
    if any(p.default is not empty for p in given[:i]):
        after = [p if p.kind is p.VAR_KEYWORD else p.replace(kind=by_name) for p in given[i + 1 :]]
        yield [*given[:i], chosen.replace(kind=by_name), *after]


def method_stub(name, method):
    if isinstance(method, property):
        return "" if name.startswith("_") else f"    @property\n    def {name}(self) -> Tensor: ...\n"
    if name in {f"__i{operator}__" for operator in ARITHMETIC.values()}:  # as without the i
        return ""
    if name in {f"__r{operator}__" for operator in ARITHMETIC.values()}:
        return f"    def {name}(self, other: _Operand) -> Tensor: ...\n"
    if hasattr(method, "__signature__"):  # of NumPy, and another in each version
        return f"    def {name}(self, *args: Any, **options: Any) -> Any: ...\n"
    given = parameters(method)[1:]
    text = ", ".join(["self", *filter(None, [listed(given, [BOTH] * len(given))])])
    return f"    def {name}({text}) -> {re.sub('Operand', TENSOR, result(method))}: ...\n"


def imports(text, level):
    """What a stub needs of the package."""
    of = {"ops.matrices": ["Axes", "EighResult", "SlogdetResult"], "ops.reduce": ["Axis"], "ops.shape": ["Shape"]}
    lines = [f"from .{level}tensor import Tensor"]
    for module, names in of.items():
        used = [name for name in names if re.search(rf"\b{name}\b", text)]
        if used:
            lines.append(f"from .{module if not level else module.removeprefix('ops.')} import {', '.join(used)}")
    return "\n".join(sorted(lines, key=lambda line: (not line.startswith("from .."), line)))


def module(functions, level="", more=""):
    body = "".join(function_stub(name, functions[name]) for name in sorted(functions))
    named = ", ".join(f'"{name}"' for name in sorted(functions))
    return f"{HEADER.format(imports=imports(body, level) + more)}\n__all__ = [{named}]\n\n{body}"


def texts():
    """The stubs, by their path in the package."""
    table = "\nfrom .op import Op as Op\nfrom .table import " + ", ".join(f"{name} as {name}" for name in TABLES)
    methods = "".join(method_stub(name, METHODS[name]) for name in sorted(METHODS))
    return {
        "ops/__init__.pyi": module(PUBLIC, ".", table),
        "linalg.pyi": module(LINALG),
        "tensor_methods.pyi": f"{HEADER.format(imports=imports(methods, ''))}\nclass TensorMethods:\n{methods}",
    }


if __name__ == "__main__":
    for path, text in texts().items():
        (Path(minigrad.__file__).parent / path).write_text(text, encoding="utf-8")
