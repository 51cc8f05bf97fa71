"""Every op of the table, and random programs of them: compiled they give what the engine gives, on whatever arrays."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import TABLE
from minigrad.ops.shape import scatter
from minigrad.trees import tree_leaves

# Where NumPy's answer depends, in the last digit, on how the operands lie in memory.
LAYOUT_MATTERS = {"solve", "inv", "det", "logabsdet", "cholesky", "eigh", "svd", "pinv", "qr"}
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def arrays_of(tree):
    return [np.asarray(x._data if isinstance(x, mg.Tensor) else x) for x in tree_leaves(tree)]


def assert_compiled_is_eager(f, calls, exact, near=1e-12):
    """Both programs, for calls with different values: results the caller's own, arguments and earlier results untouched."""
    with np.errstate(all="ignore"):
        expected = [arrays_of(f(*args)) for args in calls]
    for batch in (False, True):
        compiled = mg.compile(f, batch=batch)
        earlier = []
        for args, wanted in zip(calls, expected, strict=True):
            before = [x.copy() for x in args]
            found = arrays_of(compiled(*args))
            assert all(map(same, args, before))
            for a, b in zip(found, wanted, strict=True):
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                if exact and not batch:
                    assert np.array_equal(a, b, equal_nan=True)
                else:
                    size = np.max(np.abs(b), initial=1, where=np.isfinite(b))
                    np.testing.assert_allclose(a, b, rtol=near, atol=near * size)
                assert not any(np.shares_memory(a, x) for x in args)
            assert all(same(a, copy) for a, copy in earlier)
            earlier += [(a, a.copy()) for a in found]


def same(x, y):
    return np.array_equal(x, y, equal_nan=True)


def directions(arrays, seed):
    random = np.random.default_rng(seed)
    return [(random.choice([-1, 1], x.shape) * random.integers(8, 25, x.shape) / 16).astype(x.dtype) for x in arrays]


# By turns in one dtype and in the other; in the thorough profile each op in both.
TURNS = [
    (op, dtype) for i, op in enumerate(TABLE) for j, dtype in enumerate((np.float64, np.float32)) if THOROUGH or (i + j) % 2
]


@pytest.mark.parametrize(("name", "dtype"), TURNS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=20 if THOROUGH else 1)
@given(data=st.data())
def test_every_op_and_its_derivatives_of_every_kind(table, name, dtype, data):
    case = data.draw(table.cases_of(TABLE[name]))
    wanted = case.wanted
    first = [case.operands[i].base.astype(dtype) for i in wanted]
    second = [dtype(1 + 2**-10) * x for x in first]

    def f(*bases):
        operands = [x.array if isinstance(x, table.Operand) else x for x in case.operands]
        for i, base in zip(wanted, bases, strict=True):
            operands[i] = case.operands[i].view(base)
        return case(*operands)

    every = tuple(range(len(wanted)))
    exact, near = name not in LAYOUT_MATTERS, 1e-12 if dtype is np.float64 else 1e-4
    calls = [first, second, first]
    assert_compiled_is_eager(f, calls, exact, near)
    assert_compiled_is_eager(lambda *xs: f(*map(mg.tensor, xs)), calls, exact, near)
    if wanted:
        (weight,) = directions([np.asarray(f(*first))], 0)
        ways = directions(first, 1)

        def total(*xs):
            return (f(*xs) * weight).sum()

        def slope(*xs):
            return sum((g * way).sum() for g, way in zip(mg.grad(total, every)(*xs), ways, strict=True))

        for derived in (
            mg.value_and_grad(total, every),
            lambda *xs: mg.jvp(f, xs, ways),
            lambda *xs: mg.hvp(total, xs, ways),
            mg.grad(slope, every),
        ):
            assert_compiled_is_eager(derived, calls, exact, near)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=500 if THOROUGH else 20)
@given(data=st.data())
def test_random_programs(random_programs, data):
    f = data.draw(random_programs.programs())
    first = f.arrays()
    calls = [first, [x + 2**-8 for x in first], first]
    every = tuple(range(len(first)))
    exact = "linalg" not in f.source
    assert_compiled_is_eager(f.values, calls, exact, 1e-11)
    assert_compiled_is_eager(mg.value_and_grad(f, every), calls, exact, 1e-11)


# -- straight-line programs of arrays, for the plan of the memory ------------------------------------------------


@st.composite
def array_programs(draw):
    """Lines over a pool of values of shape (2, 3), in steps of a scope, that stack, slice, turn, scatter and reuse them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lines, many = [], ["a", "b", "c0", "p"]
    stacks = []
    for n in range(random.integers(3, 30)):
        x, y, z = random.choice(many, 3)
        kind = random.choice(
            ["op", "op", "op", "turn", "row", "stack", "part", "cat", "scatter", "flat", "cast", "dot", "where"]
        )
        members = ", ".join(random.choice(many, random.integers(1, 5)))
        if kind == "op":
            text = random.choice([f"{x} + {y}", f"{x} * {y}", f"np.tanh({x})", f"{x} - {y}[:1]", f"{x} + {y}[:, 1:2]", f"-{x}"])
        elif kind == "turn":
            text = f"({x}.T + {y}.T).T" if random.random() < 0.5 else f"{x}.T.reshape(2, 3)"
        elif kind == "row":
            text = f"{x}[{random.integers(2)}] + {y}"
        elif kind == "stack":
            stacks.append((f"s{n}", members.count(",") + 1))
            lines.append(f"s{n} = np.stack([{members}])")
            continue
        elif kind == "part" and stacks:
            name, length = stacks[random.integers(len(stacks))]
            text = random.choice([f"{name}[{random.integers(length)}]", f"{name}.sum(axis=0)", f"{name}[::-1][0] * 2"])
        elif kind == "cat":
            text = random.choice(
                [f"np.concatenate([{x}[:1], {y}[1:]])", f"np.concatenate([{x}[:, :1], {y}[:, 1:]], 1)",
                 f"np.concatenate([{x}, {y}, {x}])[1:3]", f"np.concatenate([{x} + 1, {y} * 2], 1)[:, 2:5]"]
            )  # fmt: skip
        elif kind == "scatter":
            pieces = random.choice(["[:, :2], [:, 2:]", "[:1], [1:]", "[:, :2], [:, 1:]", "[0], [1]", "[1], [1]"])
            text = f"scattered({x}, {y}, {pieces!r})"
        elif kind == "flat":
            text = f"np.concatenate([{x}.ravel(), {y}.ravel()]).reshape(2, 2, 3)[{random.integers(2)}]"
        elif kind == "cast":
            text = f"{x}.astype(np.float32).astype(float) + {y}"
        elif kind == "dot":
            text = f"({x} @ {y}.T) @ {z} / 4"
        else:
            text = f"np.where({x} > {y}, {y}, {z})"
        lines.append(f"v{n} = np.clip({text}, -4, 4)" if random.random() < 0.2 else f"v{n} = {text}")
        many.append(f"v{n}")
    out = ", ".join(random.choice([*many, *(s for s, _ in stacks)], random.integers(1, 6)))
    places = [f"with mg.scope('t', {i % 5}): " if random.random() < 0.5 else "" for i in range(len(lines))]
    body = [f"    {place}{line}" for place, line in zip(places, lines, strict=True)]
    return "\n".join(["def f(a, b, p):", *body, f"    return {out},"])


def scattered(x, y, pieces):
    indices = [eval(f"np.index_exp{piece.strip()}") for piece in pieces.split(", [")[:1]]
    indices.append(eval("np.index_exp[" + pieces.split(", [")[1]))
    return scatter([x[index] for index, x in zip(indices, (x, y), strict=True)], indices, (2, 3))


@settings(max_examples=3000 if THOROUGH else 100)
@given(source=array_programs())
def test_programs_of_views_stacks_and_scattered_parts(source):
    constant = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
    space = {"np": np, "mg": mg, "c0": constant, "scattered": scattered}
    exec(source, space)
    random = np.random.default_rng(len(source))
    calls = [[random.uniform(-2, 2, (2, 3)) for _ in range(3)] for _ in range(3)]
    assert_compiled_is_eager(space["f"], calls, True)
