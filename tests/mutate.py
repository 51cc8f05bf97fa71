"""Would the tests notice? Breaks each rule of the table in turn and runs the tests generated for that op.

    python tests/mutate.py            every rule, every way of breaking it; prints the survivors
    python tests/mutate.py tanh exp   these ops only

A rule is broken by turning its sign, by a factor of 1.001, by giving it another operand's rule, and the sweep by
forgetting to add up what was broadcast. Not part of the test suite: it takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parent / "minigrad" / "ops" / "test_table.py"


class OnlyTestsOf:
    """A plugin that leaves of all tests those generated for one op."""

    def __init__(self, op):
        self.op = op

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if hasattr(item, "callspec") and item.callspec.params.get("op") is self.op]


def broken(rule, how, others):
    """A rule of the form (g, node, saved, i, ...) -> cotangent, spoilt."""
    if how == "sign":
        return lambda *args: -rule(*args)
    if how == "factor":
        return lambda *args: rule(*args) * 1.001
    return others if how == "swapped" else rule


def mutants(names):
    """(op, operand, how) for every way of breaking each op."""
    from minigrad.ops import TABLE

    for name in names or TABLE:
        pullbacks = TABLE[name].pullbacks
        for i, rule in enumerate(pullbacks):
            if rule is None:
                continue
            yield name, i, "sign"
            yield name, i, "factor"
            if pullbacks[i - 1] is not None and TABLE[name].rules[i] != TABLE[name].rules[i - 1]:
                yield name, i, "swapped"
    yield from () if names else ((name, 0, "broadcast") for name in ("add", "multiply", "where", "matmul"))


def run(name, i, how):
    """In a process of its own: break the rule and run the op's tests. True if none noticed."""
    import numpy as np
    import pytest

    from minigrad import sweep
    from minigrad.ops import TABLE

    op = TABLE[name]
    if how == "broadcast":
        sweep.unbroadcast = lambda g, shape: (
            np.resize(g, shape) if isinstance(g, np.ndarray) else g.reshape(-1)[0] + np.zeros(shape)
        )
    else:
        rules = list(op.pullbacks)
        rules[i] = broken(rules[i], how, rules[i - 1])
        op.pullbacks = type(op.pullbacks)(rules)
    only = OnlyTestsOf(op)
    return pytest.main([str(TESTS), "-x", "-q", "--no-header", "-p", "no:cacheprovider"], plugins=[only]) == 0


def survives(mutant):
    name, i, how = mutant
    return subprocess.run([sys.executable, __file__, "--one", name, str(i), how], capture_output=True).returncode == 0


def main(arguments):
    if arguments[:1] == ["--one"]:
        return 0 if run(arguments[1], int(arguments[2]), arguments[3]) else 1
    if not survives(("tanh", 0, "unbroken")):
        sys.exit("the tests fail without any mutant, so they would prove nothing")
    every = list(mutants(arguments))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = [mutant for mutant, alive in zip(every, pool.map(survives, every), strict=True) if alive]
    print(f"{len(every)} mutants, {len(every) - len(survivors)} killed, {len(survivors)} survived")
    for name, i, how in survivors:
        print(f"  survived: {name}, rule {i}, {how}")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
