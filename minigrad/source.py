"""Source text of one function: a lambda's expression, or a named function with its body.

A function is found by its code, not by its text: its file is compiled again, and only the function whose code and positions are
the same is accepted. This distinguishes several lambdas in one line, and never shows a file that has changed since it was run.
"""

from __future__ import annotations
import __future__

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Source", "source_of"]

Definition = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef
FACTS = (
    "co_name", "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount", "co_posonlyargcount",
    "co_kwonlyargcount", "co_flags", "co_firstlineno",
)  # fmt: skip
FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})


class Source(NamedTuple):
    """Source of a function. `text` is the whole lambda, or the expression that calls another function, such as its name."""

    text: str
    definition: str = ""  # a named function, from its decorators to its last line
    missing: str = ""  # the reason why there is no source

    @property
    def is_lambda(self) -> bool:
        return self.text.startswith("lambda")

    def __str__(self) -> str:
        """Return the lambda, the definition, or the name and the reason why there is no source."""
        return self.definition or (f"{self.text}  ({self.missing})" if self.missing else self.text)


def source_of(function: Callable[..., Any]) -> Source:
    """Return the source of any function. For a partial this is the function inside, for an object its ``__call__``.

    A function without Python source, or whose file has changed, has a `missing` that gives the reason.

    >>> half, twice = lambda x: x / 2, lambda x : 2*x
    >>> print(source_of(twice))
    lambda x : 2*x
    >>> print(source_of(abs))
    abs  (built in, so there is no Python source)
    """
    if isinstance(function, functools.partial):
        inner = source_of(function.func)
        given = [*map(repr, function.args), *(f"{key}={value!r}" for key, value in function.keywords.items())]
        return inner._replace(text=f"partial({', '.join([inner.text, *given])})")
    if inspect.ismethod(function):
        inner = source_of(function.__func__)
        owner = function.__self__ if inspect.isclass(function.__self__) else type(function.__self__)
        return inner._replace(text=f"{owner.__name__}.{function.__name__}")
    layers = [function]  # the function, then what it wraps
    while hasattr(layers[-1], "__wrapped__"):
        layers.append(layers[-1].__wrapped__)
    functions = [layer for layer in layers if inspect.isfunction(layer)]
    if not functions:
        call = inspect.getattr_static(type(function), "__call__", None)
        if inspect.isfunction(call):
            return source_of(call)._replace(text=type(function).__name__)
        name = getattr(function, "__name__", type(function).__name__)
        module = "np" if isinstance(function, np.ufunc) else getattr(function, "__module__", None) or "builtins"
        return Source(name if module == "builtins" else f"{module}.{name}", missing="built in, so there is no Python source")
    try:
        places = [found(layer) for layer in functions]
    except OSError as error:
        return Source(functions[0].__name__, missing=str(error))
    decorators = getattr(places[-1][1], "decorator_list", [])
    shown = places[-1:] if len(functions) - 1 <= len(decorators) else places  # decorators show the functions around it
    texts = [one_line(text, node) if isinstance(node, ast.Lambda) else whole(text, node) for text, node in shown]
    if len(shown) == 1 and isinstance(shown[0][1], ast.Lambda):
        return Source(texts[0])
    return Source(getattr(shown[0][1], "name", "lambda"), "\n# around\n".join(texts))


def found(function: Any) -> tuple[str, Definition]:
    """Return the text of a function's file and the function's syntax tree. Raise OSError if it is not found."""
    code = function.__code__
    here = f"{code.co_filename}, line {code.co_firstlineno}"
    try:
        lines, _ = inspect.findsource(function)
    except (OSError, TypeError):
        raise OSError(f"its source was not kept: {here}") from None
    source = "".join(lines)
    try:
        candidates = functions_in(source, code.co_filename, code.co_flags & FUTURES)
    except (SyntaxError, ValueError):
        candidates = []
    for other, node in candidates:
        if same(code, other):
            return source, node
    raise OSError(f"its source has changed since it was run: {here}")


@functools.lru_cache(maxsize=32)
def functions_in(source: str, filename: str, flags: int) -> list[tuple[CodeType, Definition]]:
    """Return the code of each function in a file with its syntax tree.

    The file is compiled a second time with a number in place of each function's line; the number in the code identifies it.
    """
    tree, numbered = ast.parse(source), ast.parse(source)
    nodes = dict(enumerate(definitions(tree), source.count("\n") + 2))
    for number, node in zip(nodes, definitions(numbered), strict=True):
        for part in (node, *getattr(node, "decorator_list", [])[:1]):  # code starts at the first decorator
            part.lineno = part.end_lineno = number
            part.col_offset = part.end_col_offset = 0
    first, second = (compile(t, filename, "exec", flags=flags, dont_inherit=True) for t in (tree, numbered))
    pairs = zip(codes(first), codes(second), strict=True)
    return [(code, nodes[other.co_firstlineno]) for code, other in pairs if other.co_firstlineno in nodes]


def definitions(tree: ast.AST) -> Iterator[Any]:
    return (node for node in ast.walk(tree) if isinstance(node, Definition))


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of everything that is defined inside."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def same(one: CodeType, other: CodeType) -> bool:
    """Return True if two pieces of code do the same, at the same place of the same text."""
    return (
        all(getattr(one, fact) == getattr(other, fact) for fact in FACTS)
        and list(one.co_positions()) == list(other.co_positions())
        and len(one.co_consts) == len(other.co_consts)
        and all(map(same_constant, one.co_consts, other.co_consts))
    )


def same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same(one, other)
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


def one_line(source: str, node: ast.Lambda) -> str:
    """Return the text of a lambda, joined into one line if it has several."""
    assert node.end_lineno is not None
    if node.end_lineno > node.lineno:
        return ast.unparse(node)
    line = source.split("\n")[node.lineno - 1]
    return line.encode()[node.col_offset : node.end_col_offset].decode()  # columns are counted in bytes


def whole(source: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return a named function from its decorators to its last line, unindented, except inside of strings over several lines."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    inside = {
        line
        for part in ast.walk(node)
        if isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str | bytes))
        for line in range(part.lineno + 1, (part.end_lineno or 0) + 1)
    }
    lines = source.split("\n")[first - 1 : node.end_lineno]
    kept = [line if n in inside else line.removeprefix(lines[0][: node.col_offset]) for n, line in enumerate(lines, first)]
    return "\n".join(line.rstrip() if n not in inside else line for n, line in enumerate(kept, first))
