"""For every op of the table, what it may be called with: operands inside its domain, and options.

A new elementwise op is covered by its domain alone; any other needs an entry in `STRATEGIES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad
from minigrad.ops.op import Op

# A layout is a pair: how to lay elements out in memory, and the view that gets them back, from an array or a Tensor.
LAYOUTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Any], Any]]] = {
    "contiguous": (lambda x: x, lambda base: base),
    "transposed": (lambda x: x.T.copy(), lambda base: base.T),
    "strided": (lambda x: np.repeat(x, 2, axis=-1), lambda base: base[..., ::2]),
    "reversed": (lambda x: x[::-1].copy(), lambda base: base[::-1]),
}


@dataclass(frozen=True)
class Operand:
    """A floating-point operand: `base` is what lies in memory, the operand is a view of it."""

    base: np.ndarray
    layout: str = "contiguous"

    @property
    def array(self) -> np.ndarray:
        return self.view(self.base.copy())

    def view(self, base: Any) -> Any:
        return LAYOUTS[self.layout][1](base)


@dataclass(frozen=True)
class Case:
    """One call of an op. `operands` are Operands, and whatever is not differentiated as it is."""

    op: Op
    operands: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def wanted(self) -> list[int]:
        """The operands that can be differentiated."""
        rules = self.op.rules * len(self.operands) if self.op.variadic else self.op.rules
        return [i for i, x in enumerate(self.operands) if isinstance(x, Operand) and rules[i] is not None]

    def arrays(self) -> list[Any]:
        return [x.array if isinstance(x, Operand) else x for x in self.operands]

    def tensors(self, wanted: list[int] | None = None) -> list[Any]:
        """The operands with Tensors in the places `wanted`, by default in all that can be differentiated."""
        places = self.wanted if wanted is None else wanted
        return [
            x.view(minigrad.tensor(x.base, requires_grad=True)) if i in places
            else x.array if isinstance(x, Operand)
            else x
            for i, x in enumerate(self.operands)
        ]  # fmt: skip

    def forward(self, *arrays: Any) -> np.ndarray:
        """The function on bare arrays, without the engine."""
        return np.asarray(self.op.forward(*arrays, **self.options))

    def __call__(self, *operands: Any) -> Any:
        """The op on Tensors."""
        if self.op.variadic:
            return self.op.run(*operands, **self.options)
        return self.op.run(*operands, self.options) if self.op.options else self.op.run(*operands)

    def cast(self, *dtypes: str) -> "Case":
        """With the Operands in these dtypes, over and over."""
        turn = (np.dtype(dtypes[i % len(dtypes)]) for i in range(len(self.operands)))
        pairs = zip(self.operands, turn, strict=True)
        cast = [replace(x, base=x.base.astype(t)) if isinstance(x, Operand) else x for x, t in pairs]
        return replace(self, operands=tuple(cast))


# -- numbers and shapes ----------------------------------------------------------------------------------------

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(0, 3)
layouts = st.sampled_from([*LAYOUTS])
array_shapes = cache(hnp.array_shapes)  # Hypothesis validates every new strategy, which takes longer than to draw from it
shapes = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


def values(op: Op, shape: tuple[int, ...], random: np.random.Generator, place: int = 0) -> np.ndarray:
    """Numbers inside the domain of `op`, away from its ends, kinks and ties; `place` is that of the operand."""
    domain = op.domain
    size = int(np.prod(shape))
    if domain.ties:  # multiples of 0.3, shifted by 0.1 for each operand: no two are closer than 0.1
        x = 0.3 * (random.permutation(size) - size // 2) + 0.1 * place
    elif np.isfinite(domain.low) or np.isfinite(domain.high):
        low = domain.low if np.isfinite(domain.low) else domain.high - 2.5
        high = domain.high if np.isfinite(domain.high) else domain.low + 2.5
        x = random.uniform(low + 0.3, min(high, low + 2.8) - 0.3, size)
    else:
        x = random.uniform(-2, 2, size)
    for kink in domain.kinks:
        x = np.where(np.abs(x - kink) < 0.1, kink + np.where(x < kink, -0.1, 0.1), x)
    return x.reshape(shape)


def operand(draw: st.DrawFn, op: Op, shape: tuple[int, ...], place: int = 0) -> Operand:
    array = values(op, shape, np.random.default_rng(draw(seeds)), place)
    layout = draw(layouts) if shape else "contiguous"
    return Operand(LAYOUTS[layout][0](array), layout)


@cache
def broadcastable(number: int, max_dims: int = 3) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    found = hnp.mutually_broadcastable_shapes(num_shapes=number, max_dims=max_dims, min_side=0, max_side=3)
    return found.map(lambda shapes: shapes.input_shapes)


@cache
def booleans(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(bool, shape)


# -- cases -----------------------------------------------------------------------------------------------------


@st.composite
def elementwise(draw: st.DrawFn, op: Op) -> Case:
    found = draw(broadcastable(len(op.operands)))
    return Case(op, tuple(operand(draw, op, shape, i) for i, shape in enumerate(found)), {})


@st.composite
def clip(draw: st.DrawFn, op: Op) -> Case:
    x, low, high = draw(elementwise(op)).operands
    return Case(op, (x, draw(st.sampled_from([low, None, -0.45])), draw(st.sampled_from([high, None, 0.45]))), {})


@st.composite
def where(draw: st.DrawFn, op: Op) -> Case:
    condition, x, y = draw(broadcastable(3))
    return Case(op, (draw(booleans(condition)), operand(draw, op, x), operand(draw, op, y)), {})


@st.composite
def astype(draw: st.DrawFn, op: Op) -> Case:
    return Case(op, (operand(draw, op, draw(shapes)),), {"dtype": np.dtype(float)})


@st.composite
def division_with_remainder(draw: st.DrawFn, op: Op) -> Case:
    """x / y is at least 0.1 away from an integer: y is +-1, x an integer and a part, both in some unit."""
    first, second = draw(broadcastable(2))
    random, unit = np.random.default_rng(draw(seeds)), draw(st.sampled_from([0.5, 1.0, 3.0]))
    x = unit * (random.integers(-3, 3, first) + random.uniform(0.2, 0.8, first))
    y = unit * random.choice([-1.0, 1.0], second) * random.uniform(0.98, 1.02, second)
    return Case(op, (Operand(x), Operand(y)), {})


@st.composite
def reduction(draw: st.DrawFn, op: Op) -> Case:
    empty = op.name in ("sum", "prod", "logsumexp")  # the others have no value for no elements
    shape = draw(array_shapes(min_dims=0, max_dims=3, min_side=0 if empty else 1, max_side=3))
    axis = tuple(i for i in range(len(shape)) if draw(st.booleans()))
    if not empty and op.name != "median":  # np.median of nothing, along no axis, is an error
        shape = tuple(n if i in axis else draw(st.integers(0, 3)) for i, n in enumerate(shape))
    return Case(op, (operand(draw, op, shape),), {"axis": axis, "keepdims": draw(st.booleans())})


@st.composite
def dispersion(draw: st.DrawFn, op: Op) -> Case:
    """With elements to differ from each other, and more of them than `ddof`."""
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=3))
    axis = tuple(i for i in range(len(shape)) if draw(st.booleans())) or (0,)
    shape = tuple(n if i in axis else draw(st.integers(0, 3)) for i, n in enumerate(shape))
    options = {"axis": axis, "keepdims": draw(st.booleans()), "ddof": draw(st.sampled_from([0, 1, 0.5]))}
    return Case(op, (operand(draw, op, shape),), options)


@st.composite
def running(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6))
    return Case(op, (operand(draw, op, shape),), {"axis": draw(st.integers(0, len(shape) - 1))})


@st.composite
def reshape(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(shapes)
    size = int(np.prod(shape))
    others = [shape[::-1], (size,), (1, *shape), (*shape, 1), *([(-1, shape[-1])] if shape and shape[-1] else [])]
    return Case(op, (operand(draw, op, shape),), {"shape": draw(st.sampled_from(others))})


@st.composite
def transpose(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))
    axes = draw(st.none() | st.permutations(range(len(shape))).map(tuple))
    return Case(op, (operand(draw, op, shape),), {"axes": axes})


@st.composite
def broadcast_to(draw: st.DrawFn, op: Op) -> Case:
    target = draw(shapes)
    own = [n if draw(st.booleans()) else 1 for n in target][draw(st.integers(0, len(target))) :]
    return Case(op, (operand(draw, op, tuple(own)),), {"shape": target})


@st.composite
def concatenate(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))
    axis = draw(st.integers(0, len(shape) - 1))
    lengths = draw(st.lists(sides, min_size=1, max_size=4))
    parts = [(*shape[:axis], n, *shape[axis + 1 :]) for n in lengths]
    options = {"axis": axis, "bounds": [0, *accumulate(lengths)]}
    return Case(op, tuple(operand(draw, op, part) for part in parts), options)


@st.composite
def stack(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(shapes)
    number = draw(st.integers(1, 4))
    return Case(op, tuple(operand(draw, op, shape) for _ in range(number)), {"axis": draw(st.integers(0, len(shape)))})


def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Integers, slices, index arrays that repeat, masks, ``...`` and None, in any mixture that fits the shape."""
    if shape and draw(st.integers(0, 7)) == 0:  # a mask of several axes
        dims = draw(st.integers(1, len(shape)))
        return (draw(booleans(shape[:dims])),)
    length = draw(sides) if 0 not in shape else 0  # of all index arrays, and the number of True in all masks
    items: list[Any] = []
    for n in shape:
        kind = draw(st.sampled_from(["slice", "slice", "integer", "array", "square", "mask"]))
        if kind == "integer" and n:
            items.append(draw(st.integers(-n, n - 1)))
        elif kind == "array" and (n or not length):
            items.append(draw(hnp.arrays(np.intp, length, elements=st.integers(-n, max(n - 1, -n)))))
        elif kind == "square" and n:
            items.append(draw(hnp.arrays(np.intp, (2, length), elements=st.integers(-n, n - 1))))
        elif kind == "mask" and n >= length:
            items.append(np.isin(np.arange(n), draw(st.permutations(range(n)))[:length]))
        else:
            items.append(draw(st.slices(n)))
    if draw(st.booleans()):
        items = items[: draw(st.integers(0, len(items)))]
    elif draw(st.booleans()):
        start = draw(st.integers(0, len(items)))
        stop = draw(st.integers(start, len(items)))
        items[start:stop] = [Ellipsis]
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    return tuple(items)


@st.composite
def getitem(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(shapes)
    return Case(op, (operand(draw, op, shape),), {"index": indices(draw, shape)})


@st.composite
def scatter(draw: st.DrawFn, op: Op) -> Case:
    shape = draw(shapes)
    places = [indices(draw, shape) for _ in range(draw(st.integers(1, 3)))]
    parts = tuple(operand(draw, op, np.empty(shape)[place].shape) for place in places)
    return Case(op, parts, {"indices": places, "shape": shape})


@st.composite
def matmul(draw: st.DrawFn, op: Op) -> Case:
    n, k, m = draw(sides), draw(sides), draw(sides)
    left, right = draw(broadcastable(2, max_dims=2))
    x = draw(st.sampled_from([(k,), (*left, n, k)]))
    y = draw(st.sampled_from([(k,), (*right, k, m)]))
    return Case(op, (operand(draw, op, x), operand(draw, op, y)), {})


@st.composite
def linear(draw: st.DrawFn, op: Op) -> Case:
    lead, inputs, outputs = draw(shapes), draw(sides), draw(sides)
    b = operand(draw, op, (outputs,)) if draw(st.booleans()) else None
    return Case(op, (operand(draw, op, (*lead, inputs)), operand(draw, op, (outputs, inputs)), b), {})


@st.composite
def along_an_axis(draw: st.DrawFn, op: Op) -> Case:
    shape = list(draw(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] = max(shape[axis], 1)  # test_special_points.py has the softmax of nothing
    return Case(op, (operand(draw, op, tuple(shape)),), {"axis": axis})


@st.composite
def cross_entropy(draw: st.DrawFn, op: Op) -> Case:
    lead, classes = draw(shapes), draw(st.integers(1, 4))
    targets = draw(hnp.arrays(np.intp, lead, elements=st.integers(0, classes - 1)))
    return Case(op, (operand(draw, op, (*lead, classes)), targets), {})


@st.composite
def einsum(draw: st.DrawFn, op: Op) -> Case:
    """Operands that share indices, have indices twice, alone, or none, and an output of some of them."""
    lengths = {c: draw(sides) for c in "ijk"}
    labels = draw(st.lists(st.text("ijk", max_size=3), min_size=1, max_size=3))
    output = "".join(c for c in draw(st.permutations("ijk")) if any(c in part for part in labels) and draw(st.booleans()))
    # An operand may have length 1 where the others are longer, but not in a diagonal.
    lone = [draw(st.booleans()) and len({*part}) == len(part) for part in labels]
    parts = [tuple(1 if one else lengths[c] for c in part) for part, one in zip(labels, lone, strict=True)]
    operands = tuple(operand(draw, op, shape, i) for i, shape in enumerate(parts))
    options = {"subscripts": ",".join(labels) + "->" + output, "optimize": draw(st.booleans())}
    return Case(op, operands, options)


def matrices(draw: st.DrawFn, op: Op, lead: tuple[int, ...] = (), n: int | None = None) -> Operand:
    """Well-conditioned matrices, symmetric and positive definite ones for the ops that need such."""
    n = draw(sides) if n is None else n
    random = np.random.default_rng(draw(seeds))
    x = random.uniform(-0.5, 0.5, (*lead, n, n))
    if op.name == "cholesky":
        return Operand(x + np.swapaxes(x, -1, -2) + (n + 1) * np.eye(n))
    layout = draw(st.sampled_from(["contiguous", "strided"]))
    return Operand(LAYOUTS[layout][0](x + np.diag(random.choice([-1, 1], n) * (0.5 * n + 1))), layout)


@st.composite
def of_matrices(draw: st.DrawFn, op: Op) -> Case:
    return Case(op, (matrices(draw, op, draw(array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2))),), {})


@st.composite
def solve(draw: st.DrawFn, op: Op) -> Case:
    n, m = draw(sides), draw(sides)
    left, right = draw(broadcastable(2, max_dims=2))
    return Case(op, (matrices(draw, op, left, n), operand(draw, op, (*right, n, m))), {})


def turned(random: np.random.Generator, lead: tuple[int, ...], n: int, k: int) -> np.ndarray:
    """The first k columns of orthogonal (n, n) matrices."""
    return np.linalg.qr(random.normal(size=(*lead, n, k)))[0]


def keeps_signs(op: Op, x: np.ndarray, random: np.random.Generator) -> bool:
    """Whether LAPACK gives the vectors of all matrices near x the same signs, which differences rely on."""
    near = x + 0.03 * random.uniform(-1, 1, (50, *x.shape))
    return bool(np.all(np.abs(op.forward(near) - op.forward(x)) < 0.5))


@st.composite
def spectrum(draw: st.DrawFn, op: Op) -> Case:
    """Of matrices with orthogonal vectors and values 2 or more apart; singular ones are also that far from 0."""
    lead = draw(array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2))
    m, n = draw(sides), draw(sides)
    if op.name == "qr":
        m, n = max(m, n), min(m, n)
    random = np.random.default_rng(draw(seeds))
    while True:
        if op.name == "eigh":
            U = Vt = turned(random, lead, n, n)
            values = 2.0 * random.permutation(n) - random.uniform(0, 2 * n)
        else:
            U, Vt = turned(random, lead, m, min(m, n)), turned(random, lead, n, min(m, n))
            values = 2.0 * random.permutation(min(m, n)) + 2
        x = U * values @ np.swapaxes(Vt, -1, -2)
        if op.name == "pinv" or keeps_signs(op, x, random):
            break
    return Case(op, (Operand(x),), {"rcond": draw(st.sampled_from([None, 1e-5]))} if op.options else {})


@st.composite
def norm(draw: st.DrawFn, op: Op) -> Case:
    """Of no vector that is nearly 0, where the derivatives are steep."""
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    x = np.random.default_rng(draw(seeds)).uniform(0.5, 1.5, shape) * np.where(draw(booleans(shape)), 1, -1)
    options = {"axis": draw(st.integers(0, len(shape) - 1)), "keepdims": draw(st.booleans())}
    if op.name == "p_norm":
        options["p"] = draw(st.sampled_from([3, 1.5, 0.5, -1, -2.5]))
    else:
        pairs = st.permutations(range(len(shape))).map(lambda axes: tuple(axes[:2]))
        options["axis"] = draw(st.none() | pairs | st.just(options["axis"]))
    return Case(op, (Operand(x),), options)


STRATEGIES: dict[str, Callable[[Op], st.SearchStrategy[Case]]] = {
    "where": where, "clip": clip, "astype": astype,
    "sum": reduction, "mean": reduction, "max": reduction, "min": reduction, "logsumexp": reduction,
    "prod": reduction, "median": reduction, "var": dispersion, "std": dispersion, "cumsum": running, "cumprod": running,
    "remainder": division_with_remainder, "fmod": division_with_remainder,
    "reshape": reshape, "transpose": transpose, "broadcast_to": broadcast_to,
    "concatenate": concatenate, "stack": stack, "getitem": getitem, "scatter": scatter,
    "matmul": matmul, "linear": linear,
    "softmax": along_an_axis, "log_softmax": along_an_axis, "cross_entropy": cross_entropy,
    "einsum": einsum, "inv": of_matrices, "det": of_matrices, "logabsdet": of_matrices, "cholesky": of_matrices,
    "solve": solve, "norm": norm, "p_norm": norm,
    "eigh": spectrum, "svd": spectrum, "pinv": spectrum, "qr": spectrum,
}  # fmt: skip


@cache
def cases_of(op: Op) -> st.SearchStrategy[Case]:
    """KeyError for an op that has none."""
    if op.kind == "elementwise" and op.name not in STRATEGIES:
        return elementwise(op)
    return STRATEGIES[op.name](op)


@pytest.fixture(scope="session")
def cases() -> Callable[[Op], st.SearchStrategy[Case]]:
    """op -> a strategy of its cases; see `cases_of`."""
    return cases_of
