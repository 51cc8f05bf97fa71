"""What is tested of each op? Prints the table of ops with their tests, the orders of differentiation and the values tried.

    python tests/table.py

None of it is written by hand. The tests are collected; those in tests/minigrad/ops that are not property tests are run,
with an eye on what reaches the ops they are about; the cases of the property tests are drawn as the tests draw them.

tests          those generated from the table, and the others that are about the op: they have it or one of its functions
               as a parameter, or name the function
derivatives    r reverse, f forward; fr is forward over reverse, and so on
values         what its operands were in these tests, among them arrays that are not contiguous

Fails if an op lacks a derivative of first or second order in some mode. Not part of the test suite.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import io
import os
import sys
import textwrap
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent
GENERATED = TESTS / "minigrad" / "ops"

# The generated test that checks each order, or its part with that parameter.
ORDERS = {
    "r": "test_gradient_is_that_of_differences",
    "f": "test_forward_derivative_is_that_of_differences",
    "rr": "test_second_derivative_is_that_of_differences_of_the_first",
    "fr": "test_second_derivative_in_each_mode_is_that_of_differences[forward_over_reverse]",
    "rf": "test_second_derivative_in_each_mode_is_that_of_differences[reverse_over_forward]",
    "ff": "test_second_derivative_in_each_mode_is_that_of_differences[forward_over_forward]",
    "rrr": "test_third_derivative_is_that_of_differences_of_the_second",
}
NEEDED = [order for order in ORDERS if len(order) < 3]
DTYPES = "test_gradient_has_its_operands_shape_and_dtype"
VALUES = {
    "zero": lambda x: np.any(x == 0),
    "tie": lambda x: np.isfinite(x).sum() > len(np.unique(x[np.isfinite(x)])),
    "huge": lambda x: np.any((np.abs(x) >= 1e4) & np.isfinite(x)),
    "inf": lambda x: np.any(np.isinf(x)),
    "nan": lambda x: np.any(np.isnan(x)),
    "empty": lambda x: x.size == 0,
    "0-d": lambda x: x.ndim == 0,
    "strided": lambda x: not x.flags.c_contiguous,
    "float32": lambda x: x.dtype == np.float32,
}


def special(operands):
    """Which of VALUES there are in the operands."""
    arrays = [np.asarray(x) for x in operands if x is not None]
    arrays = [x for x in arrays if x.dtype.kind == "f"]
    found = {label for label, holds in VALUES.items() if any(holds(x) for x in arrays)}
    with contextlib.suppress(ValueError):  # of shapes that do not broadcast
        if len(arrays) == 2 and np.any(np.equal(*arrays)):
            found.add("tie")
    return found


def functions_of(op):
    """The names of the functions that run this op, found in their code."""
    import minigrad

    return {
        name
        for module in (minigrad, minigrad.linalg)
        for name, f in vars(module).items()
        if getattr(f, "op", None) is op
        or (inspect.isfunction(f) and any(f.__globals__.get(used) is op for used in f.__code__.co_names))
    }


@functools.cache
def names_in(source, strings):
    """The names of functions in a piece of code: np.f, np.linalg.f, minigrad.f, and with `strings` "f"."""
    names = set()
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
            names |= {node.attr} if owner in ("np", "minigrad", "mg", "linalg") else set()
        elif strings and isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return frozenset(names)


class Observer:
    """A plugin that keeps what is collected, runs only what is said above, and sees what reaches the ops."""

    def __init__(self, table):
        self.table = table
        self.functions = {name: functions_of(op) for name, op in table.items()}
        self.generated = defaultdict(list)  # by op: its items
        self.others = defaultdict(list)
        self.tried = defaultdict(set)
        self.about = frozenset()
        for op in table.values():
            self.watch(op)

    def watch(self, op):
        forward = op.forward

        def watched(*arrays, **options):
            if op.name in self.about:
                self.tried[op.name] |= special(arrays)
            return forward(*arrays, **options)

        op.forward = watched
        for name, cell in zip(op.run.__code__.co_freevars, op.run.__closure__ or (), strict=True):
            if name == "forward":
                cell.cell_contents = watched

    def subjects(self, item):
        """The names of the ops that a test is about."""
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        names = set(names_in(inspect.getsource(item.function), strings=not parameters))
        for value in parameters.values():
            names |= {name for name in (value, getattr(value, "__name__", None)) if isinstance(name, str)}
            names |= {*value.__code__.co_names} if inspect.isfunction(value) else set()  # a lambda
        return frozenset(name for name in self.table if names & self.functions[name])

    def pytest_collection_modifyitems(self, config, items):
        self.conftest = next(p for p in config.pluginmanager.get_plugins() if hasattr(p, "STRATEGIES"))
        ran = []
        for item in items:
            if not hasattr(item, "function"):  # a doctest
                continue
            op = getattr(item, "callspec", None) and item.callspec.params.get("op")
            if self.table.get(getattr(op, "name", None)) is op and op is not None:
                item.subjects = frozenset({op.name})
                self.generated[op.name].append(item)
            else:
                item.subjects = self.subjects(item)
                for name in item.subjects:
                    self.others[name].append(item)
            if item.subjects and GENERATED in item.path.parents and not hasattr(item.function, "hypothesis"):
                ran.append(item)
        items[:] = ran

    def pytest_runtest_call(self, item):
        self.about = item.subjects

    def pytest_runtest_teardown(self):
        self.about = frozenset()

    def checked(self, op):
        """The orders that the generated tests of an op check."""
        ids = {
            (item.function.__name__, part) for item in self.generated[op.name] for part in ("", *item.callspec.id.split("-"))
        }
        return [order for order, test in ORDERS.items() if (*test.rstrip("]").split("["), "")[:2] in ids]

    def draw(self, op):
        """See what the property tests of an op try."""
        from hypothesis import given
        from hypothesis import strategies as st

        @given(st.data())
        def look(data):
            self.tried[op.name] |= special(data.draw(self.conftest.cases_of(op)).arrays())

        look()
        for item in self.generated[op.name]:
            if item.function.__name__ == DTYPES:
                self.tried[op.name] |= {"float32"} & {t for dtypes in item.module.MIXED for t in dtypes}


def main():
    os.chdir(TESTS.parent)
    sys.path.insert(0, os.getcwd())
    import pytest

    from minigrad.ops import TABLE

    observer = Observer(TABLE)
    with contextlib.redirect_stdout(io.StringIO()) as log:
        code = pytest.main([str(TESTS), "-q", "-p", "no:cacheprovider"], plugins=[observer])
    if code:
        sys.exit(f"{log.getvalue()}\nthe tests fail, so what they cover says nothing")

    rows = [("op", "kind", "operands (* not differentiated)", "derivatives", "tests", "values", "files of the others")]
    missing = {}
    for op in TABLE.values():
        observer.draw(op)
        orders = observer.checked(op)
        lacking = [order for order in NEEDED if order not in orders]
        if lacking:
            missing[op.name] = lacking
        operands = [name + "*" * (rule is None) for name, rule in zip(op.operands, op.rules, strict=True)]
        rows.append((
            op.name, op.kind, ", ".join(operands) if not op.variadic else f"any number of {op.operands[0]}",
            " ".join(orders),
            f"{len(observer.generated[op.name])} + {len(observer.others[op.name])}",
            " ".join(label for label in VALUES if label in observer.tried[op.name]),
            " ".join(sorted({item.path.stem.removeprefix("test_") for item in observer.others[op.name]})) or "none",
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(op.kind for op in TABLE.values()).items())
    generated = sum(map(len, observer.generated.values()))
    others = len({item for items in observer.others.values() for item in items})
    print(f"\n{len(TABLE)} ops: {kinds}; {generated} tests generated from the table, {others} others about its ops")
    print("lacking a derivative:", "; ".join(f"{name} {' '.join(orders)}" for name, orders in missing.items()) or "none")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
