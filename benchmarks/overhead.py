"""What recording costs: one op on tensors that require grad, against the same op in bare NumPy.

python benchmarks/overhead.py
"""

from __future__ import annotations

import numpy as np
from timing import compare, table

import minigrad as mg


def main() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 8, 32))
    x, y = mg.tensor(a, requires_grad=True), mg.tensor(b, requires_grad=True)
    s, t = rng.standard_normal((2, 8, 8))
    p, q = mg.tensor(s, requires_grad=True), mg.tensor(t, requires_grad=True)
    ways = {
        "8x32 multiply": (lambda: a * b, lambda: x * y),
        "8x32 tanh": (lambda: np.tanh(a), lambda: mg.tanh(x)),
        "8x32 sum": (lambda: a.sum(), lambda: x.sum()),
        "8x8 matmul": (lambda: s @ t, lambda: p @ q),
        "8x32 getitem": (lambda: a[3], lambda: x[3]),
        "8x32 transpose": (lambda: a.T, lambda: x.T),
    }
    for name, (bare, recorded) in ways.items():
        print(table(name, compare({"NumPy": bare, "minigrad": recorded}), "NumPy"))


if __name__ == "__main__":
    main()
