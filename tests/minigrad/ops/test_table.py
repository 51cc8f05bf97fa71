"""What holds for every op of the table, on operands that Hypothesis makes up."""

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.ops import FAMILIES, TABLE, Op
from minigrad.ops.op import Domain

for_every_op = pytest.mark.parametrize("op", TABLE.values(), ids=TABLE.keys())
analytic = [op for op in TABLE.values() if op.analytic]
gathering = [op for op in TABLE.values() if op.gathers]
elementwise = [op for op in TABLE.values() if op.kind == "elementwise"]
given_data = given(data=st.data())
few_examples = settings(max_examples=settings().max_examples // 5)  # of what does not depend on the numbers much


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


def as_function(case: Any) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """The op as a function of the operands that can be differentiated, and these operands."""
    arrays = [np.asarray(x) if i in case.wanted else x for i, x in enumerate(case.arrays())]

    def f(*xs: Any) -> Any:
        operands = list(arrays)
        for i, x in zip(case.wanted, xs, strict=True):
            operands[i] = x
        return case(*operands)

    return f, [arrays[i] for i in case.wanted]


def directions(xs: list[Any], seed: int) -> list[np.ndarray]:
    return [numbers(x.shape, seed + i) for i, x in enumerate(xs)]


def moved(xs: list[Any], step: float, ds: list[Any]) -> list[Any]:
    return [x + step * d for x, d in zip(xs, ds, strict=True)]


def pulled_back(f: Callable[..., Any], xs: Any, u: Any) -> Any:
    """u^T J, a part for each of xs."""
    return minigrad.vjp(f, *xs)[1](u)


def pushed_forward(f: Callable[..., Any], xs: Any, ds: Any) -> Any:
    """J d."""
    return minigrad.jvp(f, tuple(xs), tuple(ds))[1]


def pairing(xs: Any, ys: Any) -> Any:
    return sum(inner(x, y) for x, y in zip(xs, ys, strict=True))


def size_of_pairing(xs: Any, ys: Any) -> float:
    return size_of(*(x * y for x, y in zip(xs, ys, strict=True)))


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


# -- forward mode, and both modes over each other ----------------------------------------------------------------


@for_every_op
@few_examples
@given_data
def test_forward_derivative_is_that_of_differences(op: Op, cases: Any, data: st.DataObject) -> None:
    f, xs = as_function(data.draw(cases(op)))
    ds = directions(xs, 2)
    found = pushed_forward(f, xs, ds)
    if all(x.size == 0 for x in xs):  # no direction to go in
        return
    expected = slope(lambda step: np.asarray(f(*moved(xs, step, ds))), 0.0)
    assert_close(found, expected, 1e-8, size_of(found))


@for_every_op
@few_examples
@given_data
def test_forward_is_the_adjoint_of_reverse(op: Op, cases: Any, data: st.DataObject) -> None:
    """<u, J d> = <J^T u, d>"""
    f, xs = as_function(data.draw(cases(op)))
    ds = directions(xs, 2)
    u = numbers(np.shape(f(*xs)), 1)
    forward, reverse = pushed_forward(f, xs, ds), pulled_back(f, xs, u)
    scale = size_of(u * forward) + size_of_pairing(reverse, ds)
    assert abs(inner(u, forward) - pairing(reverse, ds)) <= 1e-12 * scale


def forward_over_reverse(f: Callable[..., Any], xs: list[Any], u: Any, v: Any, w: Any) -> Any:
    return pairing(v, pushed_forward(lambda *xs: pulled_back(f, xs, u), xs, w))


def reverse_over_forward(f: Callable[..., Any], xs: list[Any], u: Any, v: Any, w: Any) -> Any:
    return pairing(w, pulled_back(lambda *xs: pushed_forward(f, xs, v), xs, u))


def forward_over_forward(f: Callable[..., Any], xs: list[Any], u: Any, v: Any, w: Any) -> Any:
    return inner(u, pushed_forward(lambda *xs: pushed_forward(f, xs, v), xs, w))


MODES = (forward_over_reverse, reverse_over_forward, forward_over_forward)  # reverse over reverse: see above


@for_every_op
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@few_examples
@given_data
def test_second_derivative_in_each_mode_is_that_of_differences(op: Op, cases: Any, data: st.DataObject, mode: Any) -> None:
    """v^T H w, where H is the second derivative of <u, op(xs)> by all operands."""
    f, xs = as_function(data.draw(cases(op)))
    v, w = directions(xs, 2), directions(xs, 12)
    u = numbers(np.shape(f(*xs)), 1)
    expected = slope(lambda step: pairing(v, pulled_back(f, moved(xs, step, w), u)), 0.0)
    assert_close(mode(f, xs, u, v, w), expected, 1e-7, size_of(*pulled_back(f, xs, u)))


@for_every_op
@few_examples
@given_data
def test_hessian_is_symmetric(op: Op, cases: Any, data: st.DataObject) -> None:
    """v^T H w = w^T H v in any two directions. H is by forward over reverse, of which symmetry is no part."""
    f, xs = as_function(data.draw(cases(op)))
    v, w = directions(xs, 2), directions(xs, 12)
    u = numbers(np.shape(f(*xs)), 1)

    def gradient(*xs: Any) -> Any:
        return pulled_back(f, xs, u)

    by_v, by_w = pushed_forward(gradient, xs, v), pushed_forward(gradient, xs, w)
    assert_close(pairing(w, by_v), pairing(v, by_w), 1e-10, size_of(*by_v, *by_w))


# -- one rule, two kinds of argument ---------------------------------------------------------------------------


@for_every_op
@given_data
def test_recorded_gradients_equal_plain_ones_and_share_no_memory_with_the_seed(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    u = numbers(case.forward(*case.arrays()).shape, 1)
    recorded = gradients(case, u, create_graph=True)
    for plain, other in zip(gradients(case, u), recorded, strict=True):
        assert_close(plain.data, other.data, 1e-13)
        assert not np.shares_memory(other.data, u)


@for_every_op
@given_data
def test_rules_give_the_same_on_arrays_and_on_tensors(op: Op, cases: Any, data: st.DataObject) -> None:
    case = data.draw(cases(op))
    node = case(*case.tensors())._node
    g = numbers(node.shape, 1)
    saved = tuple(minigrad.tensor(x) if isinstance(x, np.ndarray) else x for x in node.saved)
    arrays = tuple(x.data if isinstance(x, minigrad.Tensor) else x for x in saved)  # other strides may give other last bits
    for i in case.wanted:
        pullback = op.pullbacks[0 if op.variadic else i]
        on_arrays = pullback(g, node, arrays, i)
        on_tensors = pullback(minigrad.tensor(g), node, saved, i)
        assert isinstance(on_arrays, np.ndarray | np.generic)
        assert isinstance(on_tensors, minigrad.Tensor)
        assert (on_tensors.shape, on_tensors.dtype) == (on_arrays.shape, on_arrays.dtype)
        assert on_tensors.data.tobytes() == on_arrays.tobytes()


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
    gathers = op.gathers if isinstance(op.gathers, dict) else op.gathers(nodes[0])
    for i, gather in gathers.items():
        if i in case.wanted:
            gathered = gather(nodes[0].operands[i].shape, [(g, n, n.saved) for g, n in zip(gs, nodes, strict=True)])
            each = [op.pullbacks[0 if op.variadic else i](g, n, n.saved, i) for g, n in zip(gs, nodes, strict=True)]
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
@few_examples
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
@few_examples
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
@few_examples
@given_data
def test_forward_derivative_has_its_results_shape_and_dtype(op: Op, cases: Any, data: st.DataObject) -> None:
    dtypes = data.draw(st.sampled_from(MIXED))
    case = data.draw(cases(op)).cast(*dtypes)
    f, xs = as_function(case)
    ds = directions(xs, 2)
    value, found = minigrad.jvp(f, tuple(xs), tuple(ds))
    assert (np.shape(found), found.dtype) == (value.shape, value.dtype)
    in_full = pushed_forward(*as_function(case.cast("float64")), ds)
    assert_close(found.astype(float), in_full, 50 * max(float(np.finfo(t).eps) for t in dtypes), size_of(in_full))


@for_every_op
@few_examples
@given_data
def test_forward_mode_changes_nothing_and_shares_no_memory(op: Op, cases: Any, data: st.DataObject) -> None:
    f, xs = as_function(data.draw(cases(op)))
    ds = directions(xs, 2)
    copies = [x.copy() for x in (*xs, *ds)]
    value, found = minigrad.jvp(f, tuple(xs), tuple(ds))
    for other, copy in zip((*xs, *ds), copies, strict=True):
        np.testing.assert_array_equal(other, copy)
        other += 1  # it is still the caller's to change
    for other in (*xs, *ds, value):
        assert not np.shares_memory(found, other)


# -- cost ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without_the_garbage_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@for_every_op
@few_examples
@given_data
def test_its_graphs_are_freed_by_counting_references(op: Op, cases: Any, data: st.DataObject) -> None:
    """Of a backward pass, a recorded one, one over it, and of forward over reverse."""
    case = data.draw(cases(op))
    f, xs = as_function(case)
    u = numbers(np.shape(f(*xs)), 1)
    with without_the_garbage_collector():
        tensors = case.tensors()
        y = case(*tensors)
        recorded = minigrad.grad(y, [tensors[i] for i in case.wanted], seed=u, create_graph=True)
        total = sum((g.sum() for g in recorded), start=y.sum())
        nodes = [weakref.ref(node) for node in minigrad.Graph(total)]
        total.backward()

        def watched(*xs: Any) -> Any:
            result = f(*xs)
            nodes.extend(weakref.ref(node) for node in minigrad.Graph(result))
            return result

        pushed_forward(lambda *xs: pulled_back(watched, xs, u), xs, directions(xs, 2))
        assert len(nodes) > len(case.wanted)
        del tensors, y, recorded, total
        assert [node() for node in nodes if node() is not None] == []


@for_every_op
@few_examples
@given_data
def test_cost_is_linear_in_the_number_of_uses(op: Op, cases: Any, data: st.DataObject) -> None:
    """How often its rules run, backward and forward, and how many nodes a recorded backward pass leaves."""
    case = data.draw(cases(op))
    f, xs = as_function(case)
    u, ds = numbers(np.shape(f(*xs)), 1), directions(xs, 2)

    def used(times: int, *xs: Any) -> Any:
        return sum((inner(f(*xs), u * k) for k in range(2, times + 1)), start=inner(f(*xs), u))

    def cost(times: int) -> np.ndarray:
        calls: list[int] = []
        rules = op.pullbacks
        op.pullbacks = type(rules)(rule and partial(lambda rule, *args: calls.append(1) or rule(*args), rule) for rule in rules)
        try:
            minigrad.grad(partial(used, times), tuple(range(len(xs))))(*xs)
            backward = len(calls)
            pushed_forward(partial(used, times), xs, ds)
            tensors = [minigrad.tensor(x, requires_grad=True) for x in xs]
            recorded = minigrad.grad(used(times, *tensors), tensors, create_graph=True)
        finally:
            op.pullbacks = rules
        return np.array([backward, len(calls), len(minigrad.Graph(sum((g.sum() for g in recorded), start=tensors[0].sum())))])

    with np.errstate(invalid="ignore"):  # of the logarithm of an empty sum: -inf - -inf
        two, four, six = cost(2), cost(4), cost(6)
    np.testing.assert_array_equal(six - four, four - two)


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


@pytest.mark.parametrize("op", elementwise, ids=lambda op: op.name)
def test_elementwise_on_one_number_is_as_on_an_array_of_one(op: Op) -> None:
    def derivatives(shape: tuple[int, ...]) -> list[float]:
        values = max(op.domain.low, 0.0) + np.array([0.25, 0.5, 0.75])
        xs = [minigrad.tensor(np.full(shape, value), requires_grad=True) for value in values[: len(op.operands)]]
        found = minigrad.grad(op.run(*xs), xs, seed=np.full(shape, 2.0))
        assert [g.shape for g in found] == [shape] * len(xs)
        return [g.item() for g in found]

    assert derivatives(()) == derivatives((1,))


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
