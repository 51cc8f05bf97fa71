"""Zeros of a selection block what is not finite beyond them; zeros of the chain rule are numbers. In every mode and order."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops import TABLE

Function = Callable[[Any], Any]
quiet = np.errstate(all="ignore")

FIRST: dict[str, Callable[[Function, np.ndarray], np.ndarray]] = {
    "reverse": lambda f, x: mg.grad(lambda t: np.sum(f(t)))(x),
    "recorded": lambda f, x: recorded(f, x),
    "forward": lambda f, x: mg.jacobian(lambda t: np.sum(f(t)), mode="forward")(x),
    "compiled": lambda f, x: mg.compile(mg.grad(lambda t: np.sum(f(t))))(x),
}


def recorded(f: Function, x: np.ndarray) -> np.ndarray:
    t = mg.tensor(x, requires_grad=True)
    return mg.grad(np.sum(f(t)), t, create_graph=True).data


every_mode = pytest.mark.parametrize("mode", FIRST)

# -- the chain rule --------------------------------------------------------------------------------------------

# Each is the identity, or close to it, and passes through an infinite slope and one of 0.
CHAINS: dict[str, tuple[Function, float]] = {
    "square of a root": (lambda x: np.sqrt(x) ** 2, 0.0),
    "root times itself": (lambda x: np.sqrt(x) * np.sqrt(x), 0.0),
    "reciprocal of a reciprocal": (lambda x: 1 / (1 / x), 0.0),
    "exp of log": (lambda x: np.exp(np.log(x)), 0.0),
    "cube of a cube root": (lambda x: np.cbrt(x) ** 3, 0.0),
    "log of exp": (lambda x: np.log(np.exp(x)), -1000.0),
    "root of a square": (lambda x: np.sqrt(np.square(x)), 0.0),
    "cosh of arccosh": (lambda x: np.cosh(np.arccosh(x)), 1.0),
    "product": (lambda x: np.prod(np.stack([np.sqrt(x), np.sqrt(x)])), 0.0),
    "in a where": (lambda x: np.where(x <= x, np.sqrt(x) ** 2, 0), 0.0),
    "before a choice": (lambda x: mg.relu(np.sqrt(x) ** 2 + 1), 0.0),
    "an element": (lambda x: np.stack([np.sqrt(x) ** 2, x])[0], 0.0),
    "the largest": (lambda x: np.max(np.stack([np.sqrt(x) ** 2 + 1, x])), 0.0),
}


@quiet
@pytest.mark.parametrize("chain", CHAINS)
@every_mode
def test_a_zero_of_the_chain_rule_is_a_number(chain: str, mode: str) -> None:
    f, x = CHAINS[chain]
    assert str(np.asarray(FIRST[mode](f, np.asarray(x))).item()) in ("1.0", "nan")


@quiet
@pytest.mark.parametrize("chain", CHAINS)
def test_debug_mode_sees_it(chain: str) -> None:
    f, x = CHAINS[chain]
    with mg.debug(), pytest.raises(FloatingPointError):
        mg.grad(f)(x)


# -- selections ------------------------------------------------------------------------------------------------

W = np.array([[1.0, 2.0], [0.0, 3.0]])

# With x = (0, 4): the derivative of the root is infinite at the first, which nothing asks for.
SELECTIONS: dict[str, Function] = {
    "where": lambda x: np.where(x > 0, np.sqrt(x), 0),
    "index": lambda x: np.sqrt(x)[1],
    "slice": lambda x: np.sqrt(x)[1:],
    "index array": lambda x: np.sqrt(x)[[1]],
    "mask": lambda x: np.sqrt(x)[np.array([False, True])],
    "constant factor": lambda x: np.sqrt(x) * np.array([0.0, 1.0]),
    "constant vector": lambda x: np.sqrt(x) @ np.array([0.0, 1.0]),
    "take": lambda x: np.take(np.sqrt(x), [1]),
    "split": lambda x: np.split(np.sqrt(x), 2)[1],
    "max": lambda x: np.max(np.sqrt(x)),
    "minimum of elements": lambda x: -np.min(-np.sqrt(x)),
    "maximum": lambda x: np.maximum(np.sqrt(x), 1.0) - 1,
    "minimum": lambda x: -np.minimum(-np.sqrt(x), -1.0) - 1,
    "fmax": lambda x: np.fmax(np.sqrt(x), 1.0) - 1,
    "fmin": lambda x: -np.fmin(-np.sqrt(x), -1.0) - 1,
    "clip": lambda x: np.clip(np.sqrt(x), 1.0, 9.0) - 1,
    "relu": lambda x: mg.relu(np.sqrt(x) - 1),
    "median": lambda x: np.median(np.concatenate([np.sqrt(x), np.array([5.0])])),
    "sort": lambda x: np.sort(np.sqrt(x))[-1],
    "through a product": lambda x: np.where(np.array([[False], [True]]), np.sqrt(x)[:, None] @ W[:1], 0)[:, 0],
    "through linear": lambda x: mg.linear(np.sqrt(x)[:, None], W[:, :1])[1, 0],
    "through softmax": lambda x: (
        mg.softmax(np.sqrt(x)[:, None] + np.array([0.0, 0.0]))[1] @ np.array([1.0, 1.0]) + np.sqrt(x)[1]
    ),
    "through a stack": lambda x: np.stack([np.sqrt(x), 2 * np.sqrt(x)])[0, 1],
    "through reshape and transpose": lambda x: np.sqrt(x).reshape(2, 1).T[0, 1],
    "through a running sum": lambda x: np.cumsum(np.sqrt(x)[::-1])[0],
    "through einsum": lambda x: np.einsum("i,j->ij", np.sqrt(x), np.ones(2))[1, 0],
    "through cross-entropy": lambda x: (
        np.sqrt(x)[1] + 0 * mg.cross_entropy(np.sqrt(x)[:, None] * np.ones(3), [-100, 0], reduction="sum")
    ),
    "through many ops": lambda x: np.where(x > 0, np.exp(np.log(np.sqrt(x))), 0),
    "row of a product": lambda x: (np.sqrt(x)[:, None] * np.ones((2, 2)) @ W)[1, 0],
}


@quiet
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("mode", ["reverse", "recorded", "compiled"])
def test_what_was_not_asked_for_gets_0(selection: str, mode: str) -> None:
    found = FIRST[mode](SELECTIONS[selection], np.array([0.0, 4.0]))
    np.testing.assert_allclose(found, [0, 0.25], rtol=1e-14)


@quiet
@pytest.mark.parametrize("selection", [s for s in SELECTIONS if "through" not in s])
def test_and_is_not_moved_forward(selection: str) -> None:
    found = FIRST["forward"](SELECTIONS[selection], np.array([0.0, 4.0]))
    np.testing.assert_allclose(found, [0, 0.25], rtol=1e-14)


@quiet
@pytest.mark.parametrize("selection", [s for s in SELECTIONS if "softmax" not in s and "entropy" not in s])
def test_nor_in_a_second_derivative(selection: str) -> None:
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    slope = mg.grad(np.sum(SELECTIONS[selection](x)), x, create_graph=True)
    np.testing.assert_allclose(mg.grad(slope.sum(), x).data, [0, -1 / 32], rtol=1e-13)


@quiet
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "f",
    [np.tanh, mg.relu, mg.sigmoid, np.sin, np.exp, lambda x: np.clip(x, -1, 1), lambda x: x @ W, lambda x: mg.linear(x, W),
     mg.softmax, np.square, lambda x: np.maximum(x, 0), lambda x: x / x.sum(-1, keepdims=True)],
)  # fmt: skip
def test_nothing_comes_back_to_rows_that_are_padding(f: Function, value: float) -> None:
    """Whatever stands in them. The rule of a weight sums over the rows, and may not meet them either."""
    kept = np.array([[True], [False], [True]])
    inside = np.array([[0.5, 1.0], [0.3, 0.2], [-2.0, 0.7]])
    filled = np.where(kept, inside, value)
    weight = mg.tensor(np.eye(2), requires_grad=True)

    def gradients(array: np.ndarray, create_graph: bool) -> list[np.ndarray]:
        x = mg.tensor(array, requires_grad=True)
        y = np.where(kept, f(x @ weight), 0).sum()
        return [g.data for g in mg.grad(y, [x, weight], create_graph=create_graph)]

    for create_graph in (False, True):
        for found, expected in zip(gradients(filled, create_graph), gradients(inside, create_graph), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-14)


POINTS = np.array([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0])
SMOOTH = [op for op in TABLE.values() if op.kind == "elementwise" and not op.singular and len(op.operands) < 3]


@quiet
@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_slopes_of_ops_that_are_not_singular_are_finite(op: Any) -> None:
    """So that nothing has to be looked for beyond a constant factor of 0."""
    xs = [mg.tensor(x, requires_grad=True) for x in np.meshgrid(*[POINTS] * len(op.operands))]
    y = op.run(*xs)
    finite = np.isfinite(y.data)
    for slope in mg.grad(y, xs, seed=np.ones(y.shape), create_graph=True):
        assert np.isfinite(slope.data[finite]).all()
        if slope.requires_grad:
            for g in mg.grad(slope, xs, seed=np.ones(y.shape), retain_graph=True):
                assert np.isfinite(g.data[finite]).all()


@quiet
@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.kind == "elementwise" and op.selects], ids=lambda op: op.name)
def test_where_nan_wins_it_is_the_result_whatever_the_others_are(op: Any) -> None:
    xs = np.meshgrid(*[[np.nan, -1.0, 0.0, 1.0, 2.0]] * len(op.operands))
    with_nan = np.any(np.isnan(xs), axis=0)
    assert np.isnan(op.run(*xs))[with_nan].all() == op.nan_wins


@quiet
@pytest.mark.parametrize(
    "f", [np.tanh, mg.sigmoid, np.exp, mg.relu, np.max, mg.softmax, lambda x: np.clip(x, 0, 1), lambda x: x @ W]
)
@pytest.mark.parametrize("mode", ["reverse", "recorded"])
def test_zero_factors_cost_nothing_where_slopes_are_finite(f: Function, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the state that a recurrent network starts from: no sweep has marks."""
    monkeypatch.setattr(mg.sweep, "Marks", None)
    assert np.isfinite(FIRST[mode](lambda x: f(x) * np.array([0.0, 1.0]), np.array([0.5, 4.0]))).all()


def test_a_hook_asks_for_what_it_fills_in() -> None:
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    root = np.sqrt(x)
    with root.register_hook(lambda g: g + 1):
        root[1].backward()
    assert x.grad.tolist() == [np.inf, 0.5]


def test_rows_of_a_jacobian_are_asked_for_one_at_a_time() -> None:
    for mode in ("reverse", "forward"):
        found = mg.jacobian(np.sqrt, mode=mode)(np.array([0.0, 4.0]))
        np.testing.assert_array_equal(found, [[np.inf, 0], [0, 0.25]])


def test_a_seed_that_is_0_at_one_point_only_keeps_its_derivatives() -> None:
    u = mg.tensor([0.0, 1.0], requires_grad=True)
    x = mg.tensor([1.0, 4.0], requires_grad=True)
    g = mg.grad(np.sqrt(x), x, seed=u, create_graph=True)
    np.testing.assert_allclose(mg.grad(g.sum(), u).data, [0.5, 0.25])


@quiet
def test_a_sweep_with_marks_frees_and_retains_as_any() -> None:
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    y = np.sqrt(x)[1]
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [0, 0.5]
    with pytest.raises(mg.GraphFreedError):
        y.backward()


@quiet
def test_a_checkpoint_is_run_again_for_it() -> None:
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    mg.checkpoint(lambda t: np.sqrt(t)[1])(x).backward()
    assert x.grad.tolist() == [0, 0.25]


# -- NaN -------------------------------------------------------------------------------------------------------

CHOICES: dict[str, Function] = {
    "relu": mg.relu,
    "maximum": lambda x: np.maximum(x, 0.0),
    "minimum": lambda x: np.minimum(0.0, x),
    "clip": lambda x: np.clip(x, -1, 1),
    "clip from below": lambda x: np.clip(x, -1, None),
    "max": lambda x: np.max(x, axis=0),
    "min": lambda x: np.min(x, axis=0),
    "median": lambda x: np.median(x, axis=0),
    "abs": np.abs,
    "ptp": lambda x: np.ptp(x, axis=0),
}


@quiet
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("mode", [*FIRST])
def test_where_the_value_is_nan_so_is_the_gradient(choice: str, mode: str) -> None:
    x = np.array([[np.nan, 0.5], [2.0, 0.25]])
    for k in range(2):
        found = FIRST[mode](lambda t, k=k: np.atleast_2d(CHOICES[choice](t))[0, k], x)
        assert np.isnan(found[0, 0]) == (k == 0)


@quiet
def test_bounds_that_are_nan() -> None:
    low = mg.tensor(np.nan, requires_grad=True)
    np.clip(np.ones(2), low, 5.0).sum().backward()
    assert np.isnan(low.grad)


# -- vectors of equal values -----------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("values", [[3.0, 0.0, 0.0], [2.0, 2.0, 1.0], [0.0, 0.0, 0.0]], ids=str)
@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)], ids=str)
def test_a_matrix_put_together_again_has_gradient_1_or_nan(values: list[float], shape: tuple[int, int]) -> None:
    def again(x: Any) -> Any:
        U, s, Vh = np.linalg.svd(x, full_matrices=False)
        return np.sum(U * s @ Vh)

    x = np.zeros(shape)
    x[:3, :3] = np.diag(values)
    found = mg.grad(again)(x)
    assert np.all(np.isnan(found) | (np.abs(found - 1) < 1e-12))


@quiet
def test_singular_values_that_are_0_twice_have_a_gradient() -> None:
    x = np.diag([3.0, 0.0, 0.0])
    assert np.all(np.isfinite(mg.grad(lambda x: np.sum(np.linalg.svd(x, compute_uv=False)))(x)))
    found = mg.grad(lambda x: np.linalg.svd(x)[0][0, 0] ** 2)(x)  # of the vector that no other has the value of
    np.testing.assert_allclose(found, np.zeros((3, 3)), atol=1e-15)


# -- what is freed ---------------------------------------------------------------------------------------------


def test_a_hook_that_mentions_its_tensor_is_garbage_with_it() -> None:
    def nodes_of_a_graph() -> list[Any]:
        x = mg.tensor([1.0], requires_grad=True)
        y = x * 2
        seen = []
        y.register_hook(lambda g: seen.append(g * y.data))
        y.sum().backward()
        assert seen[0].tolist() == [2.0]
        return [weakref.ref(node) for node in mg.Graph(y)]

    nodes = nodes_of_a_graph()
    gc.collect()
    assert len(nodes) > 1
    assert [node() for node in nodes if node() is not None] == []
