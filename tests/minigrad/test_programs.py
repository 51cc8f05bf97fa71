"""Random programs: what the derivatives of whole compositions of ops must satisfy.

A program is Python source, built step by step next to the numbers it computes, so that each step can be kept in its op's
domain, away from kinks and of moderate size. Elementwise ops come from the table; a new entry is used without a change here.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad.graph import ancestors
from minigrad.ops import TABLE
from minigrad.ops.op import Op

Shape = tuple[int, ...]

STEP = 1e-3  # of the differences, of which the longest goes twice as far
LARGEST = 2.0  # what values are scaled down to
STEEPEST = 0.02  # how far a value may move within the differences
MARGIN = 0.05  # between a value and a kink, more than two values together move


# -- programs --------------------------------------------------------------------------------------------------


class Program:
    """`values` computes every intermediate value of the inputs, and the program itself a weighted sum of some of them."""

    def __init__(self, inputs: Sequence[np.ndarray], lines: Sequence[str], total: str) -> None:
        self.inputs = tuple(inputs)
        names = ", ".join(f"x{i}" for i in range(len(inputs)))
        made = ", ".join(f"v{i}" for i in range(len(lines)))
        body = [
            f"def values({names}):", *(f"    v{i} = {line}" for i, line in enumerate(lines)), f"    return {made},",
            f"def program({names}):", f"    {made}, = values({names})", f"    return {total}",
        ]  # fmt: skip
        given = [f"x{i} = {written(x, 'float')}" for i, x in enumerate(self.inputs)]
        self.source = "\n".join(["import numpy as np", "import minigrad as mg", *given, *body, f"print(program({names}))"])
        scope: dict[str, Any] = {"np": np, "mg": mg}
        exec("\n".join(body), scope)
        self.values: Callable[..., tuple[Any, ...]] = scope["values"]
        self.run: Callable[..., Any] = scope["program"]

    def __call__(self, *inputs: Any) -> Any:
        return self.run(*inputs)

    def __repr__(self) -> str:
        return f"\n{self.source}\n"

    def arrays(self, dtype: Any = float) -> list[np.ndarray]:
        return [x.astype(dtype) for x in self.inputs]

    def tensors(self, dtype: Any = float) -> list[mg.Tensor]:
        return [mg.tensor(x, dtype=dtype, requires_grad=True) for x in self.inputs]

    def of_one_vector(self) -> tuple[Callable[[Any], Any], np.ndarray]:
        """The program as a function of all its inputs in one vector, and that vector."""
        ends = [0, *itertools.accumulate(x.size for x in self.inputs)]

        def f(z: Any) -> Any:
            return self(*(np.reshape(z[a:b], x.shape) for a, b, x in zip(ends, ends[1:], self.inputs, strict=False)))

        return f, np.concatenate([x.ravel() for x in self.inputs])


def written(array: np.ndarray, dtype: str = "x0.dtype") -> str:
    """An array as Python code; in a program it has the dtype of the inputs, for those of float32 to remain such."""
    if array.size == 0:
        return f"np.zeros({array.shape}, {dtype})"
    return f"np.array({array.tolist()}, {dtype})"


def numbers(shape: Shape, seed: int) -> np.ndarray:
    """A direction, weights or a cotangent: of both signs, none of them small, short in print and exact in float32."""
    random = np.random.default_rng(seed)
    return np.asarray(random.choice([-1, 1], shape) * random.integers(8, 25, shape) / 16)


def directions(shapes: Iterable[Shape]) -> list[np.ndarray]:
    return [numbers(shape, 100 + i) for i, shape in enumerate(shapes)]


# -- building one ----------------------------------------------------------------------------------------------


class Builder:
    """A program that grows, and its values at the inputs and at the ends of each direction that differences go along."""

    def __init__(self, draw: st.DrawFn, inputs: Sequence[np.ndarray]) -> None:
        self.draw = draw
        self.lines: list[str] = []
        base = {f"x{i}": x for i, x in enumerate(inputs)}
        self.points: list[dict[str, Any]] = [{"np": np, "mg": mg, **base}]
        for (name, x), d in zip(base.items(), directions(x.shape for x in inputs), strict=True):
            self.points += [{**self.points[0], name: x + 2 * side * STEP * d} for side in (-1, 1)]
        self.names = list(base)

    def at(self, text: str) -> np.ndarray:
        """An expression at all points, stacked."""
        code = compile(text, text, "eval")
        return np.stack([eval(code, point) for point in self.points])

    def shape(self, text: str) -> Shape:
        return np.shape(eval(text, self.points[0]))

    def emit(self, text: str) -> str:
        """A line more; its result is scaled down if it is large or steep. Returns its name."""
        found = self.at(text)
        assert np.all(np.isfinite(found)), text
        excess = max(np.max(np.abs(found), initial=0) / LARGEST, np.max(np.abs(found - found[0]), initial=0) / STEEPEST)
        if excess > 1:
            scale = 0.5 ** math.ceil(math.log2(excess))
            text, found = f"{scale!r} * {text}", scale * found
        name = f"v{len(self.lines)}"
        self.lines.append(text)
        self.names.append(name)
        for point, value in zip(self.points, found, strict=True):
            point[name] = eval(text, point)
            assert np.array_equal(point[name], value)
        return name

    # what a step draws

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def constant(self, shape: Shape) -> str:
        random = np.random.default_rng(self.draw(seeds))
        return written(random.integers(-32, 33, shape) / 16)

    def pick(self, least: int = 0, filled: bool = False, if_: Callable[[Shape], bool] = lambda shape: True) -> str:
        """The name of a value, with at least so many axes, and elements; one is made if there is none."""
        shapes = {name: self.shape(name) for name in reversed(self.names)}
        modest = {name: shape for name, shape in shapes.items() if math.prod(shape) <= 30 and len(shape) <= 3}
        fit = [name for name, shape in modest.items() if if_(shape) and not (filled and 0 in shape)]
        name: str = self.draw(st.sampled_from(fit)) if fit else self.emit(f"np.sum({self.one_of(*modest)}) + 0.5")
        shape = self.shape(name)
        return name if len(shape) >= least else self.emit(f"np.reshape({name}, {(*shape, *(1,) * (least - len(shape)))})")

    def shaped(self, shape: Shape) -> str:
        """Something of this shape: a value, if there is one, a constant, or one that depends on a value."""
        same = [name for name in reversed(self.names) if self.shape(name) == shape]
        kind = self.one_of("value", "constant", "made")
        if kind == "value" and same:
            return str(self.one_of(*same))
        if kind == "constant":
            return self.constant(shape)
        return self.emit(f"{self.constant(shape)} * np.sum({self.pick()})")

    def partner(self, shape: Shape) -> str:
        """Something that broadcasts against this shape: a value, a constant, or a Python number."""
        kind = self.one_of("value", "value", "constant", "number")
        if kind == "value":
            return self.pick(if_=lambda other: broadcasts(shape, other))
        if kind == "number":
            return repr(self.number(-24, 24) / 16)
        own = tuple(self.one_of(n, 1) for n in shape)
        return self.constant(own[self.number(0, len(own)) :])

    def axis(self, name: str) -> int:
        n = len(self.shape(name))
        return self.number(-n, n - 1)

    # where a step may go

    def inside(self, op: Op, text: str) -> str:
        """Within the bounds of the domain of `op`, as it is or squashed."""
        low, high = op.domain.low, op.domain.high
        if not (math.isfinite(low) or math.isfinite(high)):
            return text
        low = low if math.isfinite(low) else high - 2.8
        low, high = round(low + 0.3, 2), round(min(high, low + 2.8) - 0.3, 2)
        found = self.at(text)
        if np.all((low < found) & (found < high)) and self.one_of(True, False):
            return text
        return f"({low} + {round(high - low, 2)} * mg.sigmoid({text}))"

    def away(self, text: str, others: Iterable[Any]) -> str:
        """Shifted, if need be, so that no element comes near one of the others, numbers or their values at all points."""
        found = self.at(text)
        for k in range(200):
            shift = (k + 1) // 2 * (-1) ** k / 8
            if all(far(found + shift, other) for other in others):
                return f"({text} + {shift})" if shift else text
        raise AssertionError(f"no shift moves {text} away")

    def apart(self, name: str) -> str:
        """With no two elements near each other."""
        found = self.at(name).reshape(len(self.points), -1)
        if np.all(np.diff(found[:, np.argsort(found[0])], axis=-1) > MARGIN):
            return name
        places = np.random.default_rng(self.draw(seeds)).permutation(found[0].size) / 2
        return f"(np.tanh({name}) / 8 + {written(places.reshape(self.shape(name)))})"

    def matrices(self) -> str:
        """Square, and well-conditioned: with a dominant diagonal."""
        name = self.pick(least=2, filled=True)
        n, m = self.shape(name)[-2:]
        if n != m:
            name = self.emit(f"np.matmul({name}, np.swapaxes({name}, -1, -2))")
        return f"({name} / 4 + 2 * np.eye({n}, dtype=x0.dtype))"


seeds = st.integers(0, 2**32 - 1)


def broadcasts(*shapes: Shape) -> bool:
    try:
        return math.prod(np.broadcast_shapes(*shapes)) <= 60
    except ValueError:
        return False


def far(x: np.ndarray, y: Any) -> bool:
    """At all points on the same side, at a distance. The points are the first axis of both."""
    if np.ndim(y):
        ndim = max(x.ndim, y.ndim)
        x, y = (a.reshape(len(a), *(1,) * (ndim - a.ndim), *a.shape[1:]) for a in (x, y))
    difference = x - y
    return bool(np.all(np.abs(difference) > MARGIN) and np.all(np.sign(difference) == np.sign(difference[:1])))


# -- the steps -------------------------------------------------------------------------------------------------

Step = Callable[[Builder], str]  # gives the expression


def elementwise(op: Op, b: Builder) -> str:
    texts = [b.pick()]
    shape = b.shape(texts[0])
    for _ in op.operands[1:]:
        texts.append(b.partner(shape))
        shape = np.broadcast_shapes(shape, b.shape(texts[-1]))
    if len(texts) == 2 and b.one_of(False, True):
        texts.reverse()
    texts = [b.inside(op, text) for text in texts]
    texts = [b.away(text, op.domain.kinks) for text in texts]
    if op.name in ("remainder", "fmod"):  # their kinks are where the quotient is an integer
        texts = [f"({texts[0]} / 16 + {b.one_of(0.75, -0.75, 2.25)})", f"({b.one_of(1, -1)} + np.tanh({texts[1]}) / 16)"]
    if op.domain.ties:
        done: list[np.ndarray] = []
        for i, text in enumerate(texts):
            texts[i] = b.away(text, done)
            done.append(b.at(texts[i]))
    if op.name == "clip":
        texts[1:] = b.one_of(texts[1:], ["None", texts[2]], [texts[1], "None"])
    numpy = isinstance(op.forward, np.ufunc) and b.one_of(True, False)
    return f"{f'np.{op.forward.__name__}' if numpy else f'mg.{op.name}'}({', '.join(texts)})"


def where(b: Builder) -> str:
    x = b.pick()
    y = b.partner(b.shape(x))
    shape = np.broadcast_shapes(b.shape(x), b.shape(y))
    if b.one_of(True, False):
        mask = np.random.default_rng(b.draw(seeds)).integers(0, 2, shape).astype(bool)
        condition = f"np.array({mask.tolist()}, bool).reshape({shape})"
    else:
        other = b.pick(if_=lambda own: broadcasts(shape, own))
        condition = f"{b.away(other, [0.0])} > 0"
    first, second = b.one_of((x, y), (y, x))
    return f"np.where({condition}, {first}, {second})"


def reduction(function: str, b: Builder) -> str:
    few = {"np.sum", "np.prod", "mg.logsumexp"}  # have a value for no elements
    name = b.pick(filled=function not in few)
    ndim = len(b.shape(name))
    axes = tuple(i for i in range(ndim) if b.one_of(True, False))
    if function == "mg.logsumexp" and 0 in b.shape(name):
        return f"mg.logsumexp({b.constant((2,))} + np.sum({name}))"  # of no elements it is infinite
    if function == "np.median" and not axes:
        axes = tuple(range(ndim))  # np.median along no axis is an error
    options = b.one_of(f"axis={axes}", "axis=None", *([f"axis={b.axis(name)}"] if ndim else []))
    options += b.one_of("", ", keepdims=True")
    if function in ("np.max", "np.min", "np.median", "np.std", "np.ptp"):
        name = b.apart(name)
    if function in ("np.var", "np.std"):
        options += b.one_of("", ", ddof=0.5")
    return f"{function}({name}, {options})"


def norm(b: Builder) -> str:
    name = b.away(b.pick(filled=True), [0.0])
    axis = b.axis(name) if b.shape(name) else None
    return f"np.linalg.norm({name}, axis={axis}, keepdims={b.one_of(True, False)})"


def p_norm(b: Builder) -> str:
    name = b.pick(least=1, filled=True)
    power = b.one_of(3, 1.5, -1)
    return f"np.linalg.norm({b.away(name, [0.0])}, {power}, axis={b.axis(name)})"


def along_an_axis(function: str, b: Builder) -> str:
    name = b.pick(least=1, filled=True)
    axis = b.axis(name)
    if function in ("np.sort", "np.partition"):
        name = b.apart(name)
    if function == "np.partition":
        name += f", {b.number(0, b.shape(f'({name})')[axis] - 1)}"
    if function == "np.take":
        n = b.shape(name)[axis]
        name += f", {b.draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=3))}"
    if function == "np.take_along_axis":
        shape = b.shape(name)
        name += f", np.{b.one_of('argsort', 'flip', 'zeros_like')}(np.arange({shape[axis]})).reshape({outer(shape, axis)})"
    if function == "np.split":
        return f"np.split({name}, [{b.number(0, 2)}], axis={axis})[{b.number(0, 1)}]"
    return f"{function}({name}, axis={axis})"


def outer(shape: Shape, axis: int) -> Shape:
    """The shape of a vector along one of the axes."""
    return tuple(n if i == axis % len(shape) else 1 for i, n in enumerate(shape))


def reshape(b: Builder) -> str:
    name = b.pick()
    shape = b.shape(name)
    return f"np.reshape({name}, {b.one_of(shape[::-1], (math.prod(shape),), (1, *shape), (*shape, 1))})"


def transpose(b: Builder) -> str:
    name = b.pick()
    return f"np.transpose({name}, {b.draw(st.none() | st.permutations(range(len(b.shape(name)))).map(tuple))})"


def broadcast_to(b: Builder) -> str:
    name = b.pick()
    own = tuple(b.one_of(n, 2) if n == 1 else n for n in b.shape(name))
    return f"np.broadcast_to({name}, {(*b.one_of((), (2,), (1, 2)), *own)})"


def concatenate(b: Builder) -> str:
    name = b.pick(least=1)
    shape, axis = b.shape(name), b.axis(name)
    parts = [name]
    for _ in range(b.number(1, 2)):
        own = list(shape)
        own[axis] = b.number(0, 2)
        parts.insert(b.number(0, len(parts)), b.shaped(tuple(own)))
    return f"np.concatenate([{', '.join(parts)}], axis={axis})"


def stack(b: Builder) -> str:
    name = b.pick()
    shape = b.shape(name)
    parts = [name, *(b.shaped(shape) for _ in range(b.number(0, 2)))]
    return f"np.stack([{', '.join(b.draw(st.permutations(parts)))}], axis={b.number(0, len(shape))})"


def getitem(b: Builder) -> str:
    """Integers, slices, index arrays that repeat, None and ..., as they fit."""
    name = b.pick()
    items = []
    length = b.number(1, 3)  # of all index arrays
    for n in b.shape(name):
        kind = b.one_of("slice", "slice", "integer", "array", "mask") if n else "slice"
        if kind == "integer":
            items.append(str(b.number(-n, n - 1)))
        elif kind == "array":
            items.append(str(b.draw(st.lists(st.integers(-n, n - 1), min_size=length, max_size=length))))
        elif kind == "mask" and n >= length:
            items.append(str([i < length for i in b.draw(st.permutations(range(n)))]))
        else:
            items.append(b.one_of(":", "::-1", "1:", ":-1", "::2"))
    items = b.one_of(items, [*items[: b.number(0, len(items))], "..."])
    if b.one_of(False, True) or not items:
        items.insert(b.number(0, len(items)), "None")
    return f"{name}[{', '.join(items)}]"


def matmul(b: Builder) -> str:
    x = b.pick(least=1)
    k = b.shape(x)[-1]
    y = b.one_of(f"np.swapaxes({x}, 0, -1)", "", "") if len(b.shape(x)) == 2 else ""
    y = y or b.shaped(b.one_of((k,), (k, b.number(1, 3)), (*b.shape(x)[:-2], k, 1)))
    return f"np.matmul({x}, {y})" if b.one_of(True, False) else f"{x} @ {y}"


def linear(b: Builder) -> str:
    x = b.pick(least=1)
    outputs = b.number(1, 3)
    W = b.shaped((outputs, b.shape(x)[-1]))
    return f"mg.linear({x}, {W}{b.one_of('', f', {b.shaped((outputs,))}')})"


def einsum(b: Builder) -> str:
    """Operands share indices, or have one twice, where the lengths allow it; some of the indices are left in the result."""
    names = [b.pick() for _ in range(b.number(1, 3))]
    lengths: dict[str, int] = {}
    labels = []
    for name in names:
        label = ""
        for n in b.shape(name):
            label += b.one_of(*(c for c in lengths if lengths[c] == n), "ijklmnopq"[len(lengths)])
            lengths.setdefault(label[-1], n)
        labels.append(label)
    output, size = "", 1
    for c in b.draw(st.permutations(list(lengths))):
        if b.one_of(True, False) and size * lengths[c] <= 30:
            output, size = output + c, size * lengths[c]
    return f"np.einsum('{','.join(labels)}->{output}', {', '.join(names)})"


def cross_entropy(b: Builder) -> str:
    name = b.pick(least=1, filled=True)
    *lead, classes = b.shape(name)
    targets = np.random.default_rng(b.draw(seeds)).integers(0, classes, lead)
    return f"mg.cross_entropy({name}, {targets.tolist()}, reduction={b.one_of('mean', 'sum', 'none')!r})"


def solve(b: Builder) -> str:
    a = b.matrices()
    return f"np.linalg.solve({a}, {b.shaped((b.shape(a)[-1], b.number(1, 2)))})"


def spectrum(function: str, b: Builder) -> str:
    """Of a matrix whose values are apart; of the vectors what does not depend on their signs."""
    name = b.pick(least=2, filled=True)
    m, n = b.shape(name)[-2:]
    if function == "eigh" and m != n:
        name = b.emit(f"np.matmul({name}, np.swapaxes({name}, -1, -2))")
        n = m
    a = f"({name} / 16 + 2 * np.diag(np.arange(1, {max(m, n) + 1}, dtype=x0.dtype))[:{m}, :{n}])"
    if function == "pinv":
        return f"np.linalg.pinv({a})"
    if function == "qr":
        return f"np.square(np.linalg.qr({a})[{b.number(0, 1)}])"
    if function == "eigh":
        return b.one_of("np.square({}[1])", "{}[0]").format(f"np.linalg.eigh({a} + np.swapaxes({a}, -1, -2))")
    return b.one_of("np.square({}[0])", "{}[1]").format(f"np.linalg.svd({a}, full_matrices=False)")


def cholesky(b: Builder) -> str:
    a = b.matrices()
    return f"np.linalg.cholesky({a} + np.swapaxes({a}, -1, -2))"


REARRANGED = [
    "np.ravel({})", "np.flip({})", "np.flip({}, 0)", "np.roll({}, 1)", "np.roll({}, 1, -1)", "np.expand_dims({}, -1)",
    "np.squeeze({})", "np.swapaxes({}, 0, -1)", "np.moveaxis({}, 0, -1)", "np.tril({})", "np.triu({}, 1)", "np.diff({})",
    "np.diagonal({})", "np.trace({})", "np.diag({})", "np.rot90({})", "np.tile({}, 2)", "np.pad({}, 1)",
    "np.pad({}, 1, mode='edge')", "np.atleast_2d({})", "np.cumsum({})", "np.array_split({}, 2)[0]",
    "np.average({})", "np.matrix_transpose({})", "np.append({}, 1.5)", "np.repeat(np.atleast_1d({}), 2, axis=-1)",
    "np.vstack([{0}, {0}])", "np.hstack([{0}, {0}])",
]  # fmt: skip
PRODUCTS = [
    "np.outer({}, {})", "np.inner({}, {})", "np.dot({}, {})", "np.kron({}, {})", "np.tensordot({}, {}, 1)",
    "np.vecdot({}, {})", "np.vdot({}, {})", "np.cross({}, {})", "np.tensordot({}, {}, 0)",
]  # fmt: skip


def one_that_fits(templates: Sequence[str], count: int, b: Builder) -> str:
    """One of these expressions, of those that NumPy takes for the values drawn."""
    names = [b.pick() for _ in range(count)]
    fit = []
    for text in (template.format(*names) for template in templates):
        try:
            shape = b.shape(text)
        except (ValueError, IndexError, TypeError, DeprecationWarning, RuntimeWarning):  # too few axes, or elements
            continue
        if math.prod(shape) <= 60:
            fit.append(text)
    return str(b.one_of(*fit or [f"np.positive({names[0]})"]))


# By the op that it makes sure to use, if that is one of the table.
STEPS: dict[str, Step] = {
    "where": where, "norm": norm, "p_norm": p_norm, "cross_entropy": cross_entropy, "einsum": einsum,
    **{f: partial(reduction, f"np.{f}") for f in ("sum", "mean", "max", "min", "prod", "var", "std", "median", "ptp")},
    "logsumexp": partial(reduction, "mg.logsumexp"),
    **{f: partial(along_an_axis, f"np.{f}") for f in ("cumsum", "cumprod", "sort", "partition", "take", "take_along_axis")},
    "softmax": partial(along_an_axis, "mg.softmax"), "log_softmax": partial(along_an_axis, "mg.log_softmax"),
    "split": partial(along_an_axis, "np.split"),
    "reshape": reshape, "transpose": transpose, "broadcast_to": broadcast_to, "getitem": getitem,
    "concatenate": concatenate, "stack": stack, "matmul": matmul, "linear": linear,
    "inv": lambda b: f"np.linalg.inv({b.matrices()})", "det": lambda b: f"np.linalg.det({b.matrices()})",
    "logabsdet": lambda b: f"np.linalg.slogdet({b.matrices()})[1]", "solve": solve, "cholesky": cholesky,
    **{f: partial(spectrum, f) for f in ("eigh", "svd", "pinv", "qr")},
    "astype": lambda b: f"mg.astype({b.pick()}, float)",
    "rearranged": partial(one_that_fits, REARRANGED, 1), "a product": partial(one_that_fits, PRODUCTS, 2),
}  # fmt: skip
ELEMENTWISE: dict[str, Step] = {op.name: partial(elementwise, op) for op in TABLE.values() if op.kind == "elementwise"}
IN_GRADIENTS = {"scatter"}  # has no function: it is what becomes of getitem


@st.composite
def programs(draw: st.DrawFn, using: str | None = None, sides: int = 3, most: int = 8) -> Program:
    """At most so many steps, among them one called `using`; inputs with at most so long axes."""
    empty = draw(st.sampled_from([False] * 7 + [True]))
    found = hnp.mutually_broadcastable_shapes(
        num_shapes=draw(st.integers(1, 3)),
        min_dims=draw(st.sampled_from([0, 1, 2])),
        max_dims=sides,
        min_side=0 if empty else 1,
        max_side=sides,
    )
    shapes = draw(found).input_shapes
    random = np.random.default_rng(draw(seeds))
    inputs = [np.asarray(random.integers(-96, 97, shape) / 64) for shape in shapes]
    b = Builder(draw, inputs)
    steps: list[Step] = []
    for _ in range(draw(st.integers(0 if using else 1, most - 1))):
        group = draw(st.sampled_from([ELEMENTWISE, STEPS]))
        steps.append(group[draw(st.sampled_from([*group]))])
    if using:
        steps.insert(draw(st.integers(0, len(steps))), {**ELEMENTWISE, **STEPS}[using])
    for step in steps:
        b.emit(step(b))
    last = b.names[-1]
    used = [name for name in b.names[:-1] if draw(st.booleans())] + [last]
    total = " + ".join(f"np.sum({name} * {written(numbers(b.shape(name), i))})" for i, name in enumerate(used))
    return Program(inputs, b.lines, total)


# -- what holds for all of them --------------------------------------------------------------------------------

examples = settings().max_examples  # of the profile
given_a_program = given(f=programs())
given_a_small_one = given(f=programs(sides=2, most=6))


def size_of(*arrays: Any) -> float:
    return float(sum(np.sum(np.abs(x)) for x in arrays))


def same_bits(x: Any, y: Any) -> bool:
    x, y = np.asarray(x), np.asarray(y)
    return bool(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes())


def assert_apart(arrays: Sequence[np.ndarray]) -> None:
    for x, y in itertools.combinations(arrays, 2):
        assert not np.shares_memory(x, y)


def differences(f: Callable[..., Any], points: Sequence[np.ndarray], i: int, d: np.ndarray) -> tuple[Any, Any]:
    """The derivative along direction d of argument i, by central differences of fourth order, and how exact it is."""

    def at(k: float) -> Any:
        return f(*(x + k * STEP * d if j == i else x for j, x in enumerate(points)))

    rough, fine = ((8 * (at(k) - at(-k)) - (at(2 * k) - at(-2 * k))) / (12 * k * STEP) for k in (1, 0.5))
    return fine, np.abs(rough - fine)


def assert_is_that_of_differences(found: Any, expected: Any, error: Any, scale: float) -> None:
    assert np.all(error <= 1e-5 * scale), "the program is too steep to be checked: repair the generator"
    assert np.all(np.abs(found - expected) <= error + 1e-9 * scale)


def assert_gradient_is_that_of_differences(f: Program) -> None:
    points = f.arrays()
    found = mg.grad(f, tuple(range(len(points))))(*points)
    for i, (g, d) in enumerate(zip(found, directions(x.shape for x in points), strict=True)):
        assert_is_that_of_differences(np.sum(g * d), *differences(f, points, i, d), max(1.0, size_of(g * d)))


def assert_second_derivative_is_that_of_differences(f: Program) -> None:
    """Of the gradient by all inputs, along a direction of one of them."""
    g, z = f.of_one_vector()
    chosen = len(f.source) % len(f.inputs)
    ds = [d * (i == chosen) for i, d in enumerate(directions(x.shape for x in f.inputs))]
    v = np.concatenate([d.ravel() for d in ds])
    (found,) = mg.hvp(g, (z,), (v,))
    scale = max(1.0, np.max(np.abs(found), initial=0))
    assert_is_that_of_differences(found, *differences(mg.grad(g), [z], 0, v), scale)


@settings(max_examples=3 * examples)
@given_a_program
def test_gradient_is_that_of_differences(f: Program) -> None:
    assert_gradient_is_that_of_differences(f)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *STEPS])
@settings(max_examples=1 + examples // 8)
@given(data=st.data())
def test_every_op_is_reached_and_has_those_derivatives_amid_a_program(name: str, data: st.DataObject) -> None:
    f = data.draw(programs(using=name, most=3))
    nodes = ancestors([y._node for y in f.values(*f.tensors()) if y._node])
    assert name not in TABLE or name in {node.op.name for node in nodes if node.op}
    assert_gradient_is_that_of_differences(f)
    assert_second_derivative_is_that_of_differences(f)


def test_no_op_of_the_table_is_left_out() -> None:
    assert {op.name for op in TABLE.values() if op.kind == "elementwise"} == set(ELEMENTWISE)
    assert set(TABLE) - set(ELEMENTWISE) - set(STEPS) == IN_GRADIENTS


@settings(max_examples=3 * examples)
@given_a_program
def test_forward_and_reverse_mode_are_adjoint(f: Program) -> None:
    """<u, J v> = <J^T u, v>, where the result is all values of the program: of all of their terms is rounding a part."""
    points = f.arrays()
    vs = directions(x.shape for x in points)
    values, moved = mg.jvp(f.values, points, vs)
    us = [numbers(np.shape(y), i) for i, y in enumerate(values)]
    pulled = mg.vjp(f.values, *points)[1](us)
    terms = [[u * t for u, t in zip(us, moved, strict=True)], [g * v for g, v in zip(pulled, vs, strict=True)]]
    forward, reverse = (sum(np.sum(x) for x in side) for side in terms)
    assert abs(forward - reverse) <= 1e-12 * max(size_of(*side) for side in terms)


@settings(max_examples=2 * examples)
@given_a_small_one
def test_hessians_are_symmetric_and_the_same_in_both_ways(f: Program) -> None:
    g, z = f.of_one_vector()
    H = mg.hessian(g)(z)
    tolerance = 1e-10 * np.max(np.abs(H), initial=0.01)  # where second derivatives cancel, rounding is left
    np.testing.assert_allclose(H, H.T, rtol=0, atol=tolerance)
    np.testing.assert_allclose(mg.jacobian(mg.grad(g))(z), H, rtol=0, atol=tolerance)
    v = numbers(z.shape, 1)
    np.testing.assert_allclose(mg.hvp(g, (z,), (v,))[0], H @ v, rtol=0, atol=tolerance * size_of(v))
    assert_second_derivative_is_that_of_differences(f)


@settings(max_examples=3 * examples)
@given_a_program
def test_values_are_those_on_arrays_bit_for_bit(f: Program) -> None:
    plain, ours = f.arrays(), f.tensors()
    with mg.no_grad():
        unrecorded = f.values(*ours)
    assert not any(y.requires_grad for y in unrecorded if not any(y is x for x in ours))  # np.pad of a number is that number
    for on_arrays, recorded, other in zip(f.values(*plain), f.values(*ours), unrecorded, strict=True):
        assert same_bits(recorded.data, on_arrays)
        assert same_bits(other.data, on_arrays)
    assert same_bits(f(*ours).data, f(*plain))
    assert all(map(same_bits, plain, f.inputs))


@settings(max_examples=3 * examples)
@given_a_program
def test_gradients_are_arrays_of_their_own_and_leave_the_others_alone(f: Program) -> None:
    points = f.arrays()
    values, pull_back = mg.vjp(f.values, *points)
    us = [numbers(np.shape(y), i) for i, y in enumerate(values)]
    before = [x.copy() for x in (*points, *us)]
    pulled = pull_back(us)
    gradients = mg.grad(f, tuple(range(len(points))))(*points)
    for found in (pulled, gradients):
        assert [(np.shape(g), g.dtype) for g in found] == [(x.shape, x.dtype) for x in points]
    assert all(map(same_bits, (*points, *us), before))
    assert_apart([*map(np.asarray, (*pulled, *gradients)), *points, *us])
    xs = f.tensors()
    ys = f.values(*xs)
    every = list({id(t._node): t for t in (*xs, *ys)}.values())  # np.pad of a number is that number
    for y, u in zip(ys, us, strict=True):
        found = mg.grad(y, every, seed=u, retain_graph=True)
        assert_apart([*(t.data for t in (*found, *xs)), u])
    assert all(map(same_bits, us, before[len(points) :]))


@settings(max_examples=3 * examples)
@given_a_program
def test_float32_programs_have_float32_gradients(f: Program) -> None:
    every = tuple(range(len(f.inputs)))
    single, double = (mg.grad(f, every)(*f.arrays(dtype)) for dtype in ("float32", "float64"))
    for g, exact in zip(single, double, strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, exact, rtol=0, atol=1e-5 * max(1.0, np.max(np.abs(exact), initial=0)))


@settings(max_examples=3 * examples)
@given_a_program
def test_backward_gathers_what_grad_gives(f: Program) -> None:
    xs = f.tensors()
    y = f(*xs)
    expected = mg.grad(y, xs, retain_graph=True)
    for times in (1, 2):
        y.backward(retain_graph=True)
        for x, g in zip(xs, expected, strict=True):
            found = np.zeros(x.shape) if x.grad is None else x.grad  # None: nothing was made of it
            np.testing.assert_array_equal(found, times * g.data)
    assert_apart([*(x.grad for x in xs if x.grad is not None), *(t.data for t in (*expected, *xs))])
