"""What holds for every op of the table, on operands that Hypothesis makes up."""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.ops import FAMILIES, TABLE, Op
from minigrad.ops.kinds import Domain

for_every_op = pytest.mark.parametrize("op", TABLE.values(), ids=TABLE.keys())
analytic = [op for op in TABLE.values() if op.analytic]
gathering = [op for op in TABLE.values() if op.gathers]
elementwise = [op for op in TABLE.values() if op.kind == "elementwise"]
given_data = given(data=st.data())


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A direction or a cotangent: of both signs, none of them small."""
    random = np.random.default_rng(seed)
    return np.asarray(random.choice([-1.0, 1.0], shape) * random.uniform(0.5, 1.5, shape))


def slope(f: Callable[[Any], Any], at: Any, d: Any = 1.0, step: float = 1e-3) -> Any:
    """The derivative of f in the direction d, by central differences of fourth order."""
    near, far = (f(at + k * step * d) - f(at - k * step * d) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def assert_close(actual: Any, expected: Any, tolerance: float, scale: float = 0.0) -> None:
    """Equal but for `tolerance`, relative to the largest number, or to the `scale` of what they are sums of."""
    scale = max(scale, 1.0, *(float(np.max(np.abs(x), initial=0)) for x in (actual, expected)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def inner(x: Any, y: Any) -> Any:
    return np.sum(x * y)


def size_of(*arrays: Any) -> float:
    return float(sum(np.sum(np.abs(x)) for x in arrays))


def replaced(arrays: list[Any], i: int, new: Any) -> list[Any]:
    return [new if k == i else x for k, x in enumerate(arrays)]


def gradients(case: Any, seed: Any, operands: list[Any] | None = None, **how: Any) -> list[Any]:
    """The gradients of <seed, op(operands)> by the operands that are Tensors."""
    operands = case.tensors() if operands is None else operands
    return minigrad.grad(case(*operands), [x for x in operands if isinstance(x, minigrad.Tensor)], seed=seed, **how)


# -- the table itself ------------------------------------------------------------------------------------------


@for_every_op
def test_it_has_a_domain_and_cases(op: Op, cases: Any) -> None:
    assert isinstance(op.domain, Domain)
    assert cases(op) is not None  # KeyError: write a strategy for it, in conftest.py


def test_every_op_of_a_family_is_in_the_table() -> None:
    things = [thing for family in FAMILIES for thing in vars(family).values()]
    ops = [getattr(thing, "op", thing) for thing in things]
    assert {op for op in ops if isinstance(op, Op)} == set(TABLE.values())


def test_every_op_has_a_rule_or_none_for_each_operand() -> None:
    assert [op for op in TABLE.values() if len(op.rules) != len(op.operands)] == []


# -- gradients against independent truth -----------------------------------------------------------------------


@for_every_op
@given_data
def test_gradient_is_that_of_differences(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    arrays = case.arrays()
    u = numbers(case.forward(*arrays).shape, 1)
    for i, gradient in zip(case.wanted, gradients(case, u), strict=True):
        if arrays[i].size == 0:  # no direction to go in
            continue
        d = numbers(arrays[i].shape, 2 + i)
        expected = slope(lambda x, i=i: inner(u, case.forward(*replaced(arrays, i, x))), arrays[i], d)
        assert_close(inner(gradient.data, d), expected, 1e-8, size_of(gradient.data))


@pytest.mark.parametrize("op", analytic, ids=lambda op: op.name)
@given_data
def test_gradient_is_that_of_a_complex_step(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    arrays = case.arrays()
    u = numbers(case.forward(*arrays).shape, 1)
    found = gradients(case, u)
    if op.name == "astype":
        case.options["dtype"] = np.dtype(complex)  # for there to be an imaginary part
    for i, gradient in zip(case.wanted, found, strict=True):
        d = numbers(arrays[i].shape, 2 + i)
        stepped = case.forward(*replaced(arrays, i, arrays[i] + 1e-30j * d))
        assert_close(inner(gradient.data, d), inner(u, stepped.imag / 1e-30), 1e-13, size_of(gradient.data))


@for_every_op
@given_data
def test_second_derivative_is_that_of_differences_of_the_first(op: Op, cases: Any, data: st.DataObject) -> None:
    """Of the sum of all gradients times given numbers, by the operands and by the cotangent."""
    case = data.draw(cases(op))
    arrays = case.arrays()
    cotangent = numbers(case.forward(*arrays).shape, 1)
    vs = [numbers(arrays[i].shape, 2 + i) for i in case.wanted]

    operands = case.tensors()
    u = minigrad.tensor(cotangent, requires_grad=True)
    first = gradients(case, u, operands, create_graph=True)
    total = sum((inner(v, g) for v, g in zip(vs, first, strict=True)), start=minigrad.tensor(0.0))
    second = minigrad.grad(total, [*(operands[i] for i in case.wanted), u])

    def by(i: int, x: np.ndarray) -> Any:
        """`total` with x in the place of operand i, or at i = -1 of the cotangent."""
        changed = [
            minigrad.tensor(x if k == i else arrays[k], requires_grad=True) if k in case.wanted else operands[k]
            for k in range(len(operands))
        ]
        found = gradients(case, x if i == -1 else cotangent, changed)
        return sum(float(inner(v, g.data)) for v, g in zip(vs, found, strict=True))

    for i, gradient in zip([*case.wanted, -1], second, strict=True):
        x = cotangent if i == -1 else arrays[i]
        d = numbers(x.shape, 10 + i)
        expected = slope(partial(by, i), x, d)
        assert_close(inner(gradient.data, d), expected, 1e-7, size_of(gradient.data, *(g.data for g in first)))


# -- one rule, two kinds of argument ---------------------------------------------------------------------------


@for_every_op
@given_data
def test_recorded_and_plain_gradients_are_equal(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    u = numbers(case.forward(*case.arrays()).shape, 1)
    recorded = gradients(case, u, create_graph=True)
    for plain, other in zip(gradients(case, u), recorded, strict=True):
        assert_close(plain.data, other.data, 1e-13)


@for_every_op
@given_data
def test_rules_give_the_same_on_arrays_and_on_tensors(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    node = case(*case.tensors())._node
    g = numbers(node.shape, 1)
    saved = tuple(minigrad.tensor(x) if isinstance(x, np.ndarray) else x for x in node.saved)
    for i in case.wanted:
        pullback = op.pullbacks[0 if op.variadic else i]
        on_arrays = pullback(g, node, node.saved, i)
        on_tensors = pullback(minigrad.tensor(g), node, saved, i)
        assert isinstance(on_arrays, np.ndarray | np.generic)
        assert isinstance(on_tensors, minigrad.Tensor)
        assert_close(on_tensors.data, on_arrays, 1e-13)


@for_every_op
@given_data
def test_gradient_does_not_depend_on_which_operands_want_one(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    u = numbers(case.forward(*case.arrays()).shape, 1)
    complete = dict(zip(case.wanted, gradients(case, u), strict=True))
    for number in range(1, len(case.wanted)):
        for some in combinations(case.wanted, number):
            for i, g in zip(some, gradients(case, u, case.tensors(list(some))), strict=True):
                assert_close(g.data, complete[i].data, 1e-13)


@pytest.mark.parametrize("op", gathering, ids=lambda op: op.name)
@given_data
def test_what_is_gathered_is_the_sum_of_the_rules(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    uses = data.draw(st.integers(1, 3))
    nodes = [case(*case.tensors())._node for _ in range(uses)]
    gs = [numbers(node.shape, 3 + k) for k, node in enumerate(nodes)]
    for i, gather in op.gathers.items():
        if i in case.wanted:
            gathered = gather(nodes[0].operands[i].shape, [(g, n, n.saved) for g, n in zip(gs, nodes, strict=True)])
            each = [op.pullbacks[i](g, n, n.saved, i) for g, n in zip(gs, nodes, strict=True)]
            whole = [x.sum(axis=tuple(range(x.ndim - gathered.ndim))) for x in each]  # a rule may leave un-broadcasting
            assert_close(gathered, sum(whole), 1e-13)


@pytest.mark.parametrize("op", gathering, ids=lambda op: op.name)
@given_data
def test_gradient_of_more_uses_than_are_gathered_at_once(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    u = numbers(case.forward(*case.arrays()).shape, 1)
    uses = 2 * (op.gather_limit or 10) + 1
    tensors = case.tensors()
    total = sum(case(*tensors) * u * k for k in range(uses)).sum()
    often = minigrad.grad(total, [tensors[i] for i in case.wanted])
    for one, many in zip(gradients(case, u), often, strict=True):
        assert_close(many.data, one.data * (uses * (uses - 1) / 2), 1e-13)


# -- shapes, dtypes, memory ------------------------------------------------------------------------------------

MIXED = [
    ("float16",),
    ("float32",),
    ("float64",),
    ("float32", "float64"),
    ("float64", "float16"),
    ("float16", "float32"),
]


@for_every_op
@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "recorded"])
@given_data
def test_gradient_has_its_operands_shape_and_dtype(op: Op, cases: Any, data: st.DataObject, create_graph: bool) -> None:
    dtypes = data.draw(st.sampled_from(MIXED))
    case = data.draw(cases(op)).cast(*dtypes)
    arrays = case.arrays()
    u = numbers(case.forward(*arrays).shape, 1)
    exact = gradients(case.cast("float64"), u)
    roughness = max(float(np.finfo(t).eps) for t in dtypes)
    for i, g, in_full in zip(case.wanted, gradients(case, u, create_graph=create_graph), exact, strict=True):
        assert (g.shape, g.dtype) == (arrays[i].shape, arrays[i].dtype)
        assert_close(g.data.astype(float), in_full.data, 50 * roughness)


@for_every_op
@given_data
def test_value_is_that_of_the_bare_function_bit_for_bit(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op)).cast(*data.draw(st.sampled_from(MIXED)))
    expected = case.forward(*case.arrays())
    some = data.draw(st.sampled_from([[], case.wanted[:1], case.wanted]))
    found = case(*case.tensors(some))
    value = found.data if some else np.asarray(found)
    assert (value.shape, value.dtype) == (expected.shape, expected.dtype)
    assert value.tobytes() == expected.tobytes()


@for_every_op
@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "recorded"])
@given_data
def test_nothing_given_is_changed(op: Op, cases: Any, data: st.DataObject, create_graph: bool) -> None:
    case = data.draw(cases(op))
    operands = case.tensors()
    u = numbers(case.forward(*case.arrays()).shape, 1)
    kept = u.copy()
    gradients(case, u, operands, create_graph=create_graph)
    assert u.flags.writeable
    np.testing.assert_array_equal(u, kept)
    for i, x in enumerate(case.arrays()):
        if i in case.wanted:
            np.testing.assert_array_equal(operands[i].data, x)
        elif isinstance(x, np.ndarray):
            np.testing.assert_array_equal(operands[i], x)


@for_every_op
@given_data
def test_gradients_share_no_memory(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    operands = case.tensors()
    y = case(*operands)
    u = numbers(y.shape, 1)
    found = [g.data for g in gradients(case, u, operands)]
    others = [x.data if isinstance(x, minigrad.Tensor) else x for x in operands if hasattr(x, "dtype")]
    for k, g in enumerate(found):
        for other in [u, y.data, *others, *found[:k]]:
            assert not np.shares_memory(g, other)


@for_every_op
@given_data
def test_recorded_gradients_share_no_memory_with_the_seed(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    u = numbers(case.forward(*case.arrays()).shape, 1)
    for g in gradients(case, u, create_graph=True):
        assert not np.shares_memory(g.data, u)


# -- elementwise ops: the smallest arrays, the third derivative --------------------------------------------------


@pytest.mark.parametrize("op", elementwise, ids=lambda op: op.name)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0)], ids=str)
def test_elementwise_on_the_smallest_arrays(op: Op, shape: tuple[int, ...]) -> None:
    values = max(op.domain.low, 0.0) + np.array([0.25, 0.5, 0.75])
    xs = [minigrad.tensor(np.full(shape, value), requires_grad=True) for value in values[: len(op.operands)]]
    y = op.run(*xs)
    y.backward(np.ones(shape))
    assert y.shape == shape
    assert [(x.grad.shape, type(x.grad)) for x in xs] == [(shape, np.ndarray)] * len(xs)


@pytest.mark.parametrize("op", [op for op in elementwise if len(op.operands) == 1], ids=lambda op: op.name)
def test_third_derivative_is_that_of_differences_of_the_second(op: Op) -> None:
    def derivative(at: float, order: int) -> float:
        x = minigrad.tensor(at, requires_grad=True)
        y = op.run(x)
        for _ in range(order):
            y = minigrad.grad(y, x, create_graph=True)
            if not y.requires_grad:  # a constant
                y = 0 * x + y
        return y.item()

    places = [at for at in (0.4, 1.3) if op.domain.low < at < op.domain.high]
    assert places
    for at in places:
        expected = slope(lambda x: derivative(x, 2), at)
        assert_close(derivative(at, 3), expected, 1e-7)
