"""One time step: values by formula, how the weights begin, and what is refused."""

import re
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

CELLS = [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell]


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def affine(cell: rnn.Cell, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    return x @ cell.weight_ih.data.T + cell.bias_ih.data + h @ cell.weight_hh.data.T + cell.bias_hh.data


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nonlinearity", "function"), [("tanh", np.tanh), ("relu", lambda a: np.maximum(a, 0)), ("sigmoid", sigmoid)]
)
def test_rnn_cell_is_its_formula(nonlinearity: str, function: Any) -> None:
    rng = np.random.default_rng(0)
    cell = rnn.RNNCell(3, 4, nonlinearity=nonlinearity, dtype=float, rng=rng)
    x, h = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
    np.testing.assert_allclose(cell(x, h).data, function(affine(cell, x, h)), rtol=1e-12)


def test_lstm_cell_is_its_formula() -> None:
    rng = np.random.default_rng(1)
    cell = rnn.LSTMCell(3, 4, dtype=float, rng=rng)
    x, h, c = rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    i, f, g, o = np.split(affine(cell, x, h), 4, axis=1)
    c_expected = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h_new, c_new = cell(x, (h, c))
    np.testing.assert_allclose(c_new.data, c_expected, rtol=1e-12)
    np.testing.assert_allclose(h_new.data, sigmoid(o) * np.tanh(c_expected), rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_cell_is_its_formula(reset_after: bool) -> None:
    rng = np.random.default_rng(1)
    cell = rnn.GRUCell(3, 4, reset_after=reset_after, dtype=float, rng=rng)
    x, h = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
    i_r, i_z, i_n = np.split(x @ cell.weight_ih.data.T + cell.bias_ih.data, 3, axis=1)
    W_r, W_z, W_n = np.split(cell.weight_hh.data, 3)
    b_r, b_z, b_n = np.split(cell.bias_hh.data, 3)
    r, z = sigmoid(i_r + h @ W_r.T + b_r), sigmoid(i_z + h @ W_z.T + b_z)
    n = np.tanh(i_n + (r * (h @ W_n.T + b_n) if reset_after else (r * h) @ W_n.T + b_n))
    np.testing.assert_allclose(cell(x, h).data, (1 - z) * n + z * h, rtol=1e-12)


def test_lstm_cell_with_peepholes_and_projection_is_its_formula() -> None:
    rng = np.random.default_rng(1)
    cell = rnn.LSTMCell(3, 4, peepholes=True, proj_size=2, dtype=float, rng=rng)
    x, h, c = rng.normal(size=(2, 3)), rng.normal(size=(2, 2)), rng.normal(size=(2, 4))
    i, f, g, o = np.split(affine(cell, x, h), 4, axis=1)
    i, f = sigmoid(i + cell.weight_ci.data * c), sigmoid(f + cell.weight_cf.data * c)
    c_expected = f * c + i * np.tanh(g)
    o = sigmoid(o + cell.weight_co.data * c_expected)
    h_new, c_new = cell(x, (h, c))
    np.testing.assert_allclose(c_new.data, c_expected, rtol=1e-12)
    np.testing.assert_allclose(h_new.data, (o * np.tanh(c_expected)) @ cell.weight_hr.data.T, rtol=1e-12)


ACTIVATIONS: dict[str, Any] = {
    "tanh": np.tanh,
    "softplus": lambda a: np.log1p(np.exp(a)),
    "sin": np.sin,
    "linear": lambda a: a,
    "affine(2, -0.5)": lambda a: 2 * a - 0.5,
    "leaky_relu": lambda a: np.where(a > 0, a, 0.01 * a),
    "leaky_relu(0.3)": lambda a: np.where(a > 0, a, 0.3 * a),
    "thresholded_relu(0.4)": lambda a: np.where(a > 0.4, a, 0),
    "elu(1.5)": lambda a: np.where(a > 0, a, 1.5 * (np.exp(a) - 1)),
    "scaled_tanh(1.7, 0.6)": lambda a: 1.7 * np.tanh(0.6 * a),
    "hard_sigmoid": lambda a: np.clip(a / 6 + 0.5, 0, 1),
    "hard_sigmoid(0.2,0.5)": lambda a: np.clip(0.2 * a + 0.5, 0, 1),
    "softsign": lambda a: a / (1 + abs(a)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_their_formulas_with_a_clip_before(name: str) -> None:
    x = np.array([-800.0, -3.0, -0.9, -0.2, 0.3, 0.7, 5.0, 800.0])
    cell = rnn.RNNCell(1, 1, nonlinearity=name, bias=False, dtype=float, rng=0)
    cell.weight_ih.data = np.ones((1, 1))
    near = x[1:-1, None]
    np.testing.assert_allclose(cell(near).data, ACTIVATIONS[name](near), rtol=1e-12)
    mg.check_grads(cell, near)
    assert np.isfinite(cell(x[:, None]).data).all()
    t = mg.tensor(x[:, None], requires_grad=True)
    cell(t).sum().backward()
    assert np.isfinite(t.grad).all()  # also where a branch that is not taken overflows
    cell.clip = 0.8
    np.testing.assert_allclose(cell(near).data, ACTIVATIONS[name](np.clip(near, -0.8, 0.8)), rtol=1e-12)


def test_lstm_cell_with_other_activations_coupled_gates_and_a_clip_is_its_formula() -> None:
    rng = np.random.default_rng(1)
    names = {"recurrent_activation": "hard_sigmoid", "activation": "softsign", "output_activation": "elu"}
    cell = rnn.LSTMCell(3, 4, input_forget=True, clip=0.3, peepholes=True, **names, dtype=float, rng=rng)
    x, h, c = rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    i, _, g, o = np.split(affine(cell, x, h), 4, axis=1)
    gate, candidate = ACTIVATIONS["hard_sigmoid"], ACTIVATIONS["softsign"]
    i = gate(np.clip(i + cell.weight_ci.data * c, -0.3, 0.3))
    c_expected = (1 - i) * c + i * candidate(np.clip(g, -0.3, 0.3))
    o = gate(np.clip(o + cell.weight_co.data * c_expected, -0.3, 0.3))
    h_new, c_new = cell(x, (h, c))
    np.testing.assert_allclose(c_new.data, c_expected, rtol=1e-12)
    np.testing.assert_allclose(h_new.data, o * np.where(c_expected > 0, c_expected, np.expm1(c_expected)), rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_cell_with_other_activations_and_a_clip_is_its_formula(reset_after: bool) -> None:
    rng = np.random.default_rng(1)
    options: dict[str, Any] = {"recurrent_activation": "hard_sigmoid", "activation": "softsign", "clip": 0.4}
    cell = rnn.GRUCell(3, 4, reset_after=reset_after, **options, dtype=float, rng=rng)
    x, h = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
    i_r, i_z, i_n = np.split(x @ cell.weight_ih.data.T + cell.bias_ih.data, 3, axis=1)
    (W_r, W_z, W_n), (b_r, b_z, b_n) = np.split(cell.weight_hh.data, 3), np.split(cell.bias_hh.data, 3)
    r, z = (ACTIVATIONS["hard_sigmoid"](np.clip(a, -0.4, 0.4)) for a in (i_r + h @ W_r.T + b_r, i_z + h @ W_z.T + b_z))
    n = i_n + (r * (h @ W_n.T + b_n) if reset_after else (r * h) @ W_n.T + b_n)
    n = ACTIVATIONS["softsign"](np.clip(n, -0.4, 0.4))
    np.testing.assert_allclose(cell(x, h).data, (1 - z) * n + z * h, rtol=1e-12)


CHECKED: dict[str, Any] = {
    "tanh": lambda: rnn.RNNCell(2, 3, dtype=float, rng=0),
    "sigmoid": lambda: rnn.RNNCell(2, 3, nonlinearity="sigmoid", bias="single", dtype=float, rng=0),
    "lstm": lambda: rnn.LSTMCell(2, 3, dtype=float, rng=0),
    "peepholes": lambda: rnn.LSTMCell(2, 3, peepholes=True, dtype=float, rng=0),
    "projection": lambda: rnn.LSTMCell(2, 3, peepholes=True, proj_size=2, dtype=float, rng=0),
    "gru": lambda: rnn.GRUCell(2, 3, dtype=float, rng=0),
    "gru of the paper": lambda: rnn.GRUCell(2, 3, reset_after=False, dtype=float, rng=0),
    "gru without bias": lambda: rnn.GRUCell(2, 3, bias=False, reset_after=False, dtype=float, rng=0),
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_of_a_step_agree_with_finite_differences_to_second_order(name: str) -> None:
    cell = CHECKED[name]()
    rng = np.random.default_rng(1)
    names = [name for name, _ in cell.named_parameters()]

    n = len(cell.state_names)

    def step(*arrays: Any) -> Any:
        x, *rest = (a if isinstance(a, mg.Tensor) else mg.tensor(a) for a in arrays)
        vars(cell).update(zip(names, rest[n:], strict=True))  # past the guard of parameters
        return sum((part * part).sum() for part in cell.step(x, tuple(rest[:n])))

    values = cell.state_dict().values()
    x, state = rng.normal(size=(2, 2)), [rng.normal(size=(2, size)) for size in cell.state_sizes]
    mg.check_grads(step, x, *state, *values, order=2)


def test_cell_without_bias_is_the_cell_with_biases_of_zero() -> None:
    x = np.random.default_rng(2).normal(size=(2, 3))
    with_bias = rnn.RNNCell(3, 4, dtype=float, rng=0)
    without = rnn.RNNCell(3, 4, bias=False, dtype=float, rng=0)
    assert without.bias_ih is None
    assert without.bias_hh is None
    with_bias.bias_ih.data = with_bias.bias_hh.data = np.zeros(4)
    np.testing.assert_allclose(without(x).data, with_bias(x).data, rtol=1e-12)


def test_state_is_zeros_unless_given() -> None:
    x, zeros = np.ones((2, 3)), np.zeros((2, 4))
    cell = rnn.RNNCell(3, 4, rng=0)
    np.testing.assert_array_equal(cell(x).data, cell(x, zeros).data)
    lstm = rnn.LSTMCell(3, 4, rng=0)
    for part, same in zip(lstm(x), lstm(x, (zeros, zeros)), strict=True):
        np.testing.assert_array_equal(part.data, same.data)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_shapes_are_batch_by_hidden(batch: int) -> None:
    assert rnn.RNNCell(3, 4)(np.ones((batch, 3))).shape == (batch, 4)
    assert [part.shape for part in rnn.LSTMCell(3, 4)(np.ones((batch, 3)))] == [(batch, 4)] * 2


@pytest.mark.parametrize("cell", [rnn.RNNCell(3, 4, dtype=np.float32), rnn.LSTMCell(3, 4, dtype=float)])
def test_initial_state_is_named_zeros_of_the_weights_dtype(cell: rnn.Cell) -> None:
    state = cell.initial_state(2)
    assert [part.name for part in state] == [f"{name}0" for name in cell.state_names]
    for part in state:
        assert part.dtype == cell.weight_hh.dtype
        np.testing.assert_array_equal(part.data, np.zeros((2, 4)))


def test_lists_and_arrays_of_integers_are_taken() -> None:
    cell = rnn.RNNCell(2, 1, rng=0)
    expected = cell(np.array([[1.0, 2.0]]), np.array([[3.0]])).data
    np.testing.assert_array_equal(cell([[1, 2]], [[3]]).data, expected)


@pytest.mark.parametrize("kind", CELLS)
def test_a_single_bias_is_two_of_which_the_other_is_zero(kind: Any) -> None:
    single, double = kind(3, 4, bias="single", dtype=float, rng=0), kind(3, 4, dtype=float, rng=0)
    assert [name for name, _ in single.named_parameters()] == ["weight_ih", "weight_hh", "bias_ih"]
    assert single.bias_hh is None
    double.load_state_dict({**single.state_dict(), "bias_hh": np.zeros(double.bias_hh.shape)})
    x = np.random.default_rng(1).normal(size=(2, 3))
    a, b = ([t.data for t in (r if isinstance(r, tuple) else (r,))] for r in (single(x), double(x)))
    np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize("bias", [True, 1, np.True_])
def test_a_true_bias_is_two(bias: Any) -> None:
    assert len(rnn.RNNCell(3, 4, bias=bias).parameters()) == 4
    assert len(rnn.RNNCell(3, 4, bias=not bias).parameters()) == 2


@pytest.mark.parametrize("kind", CELLS)
def test_a_learned_state_begins_at_zero_and_learns(kind: Any) -> None:
    cell, fixed = kind(3, 4, learn_state=True, dtype=float, rng=0), kind(3, 4, dtype=float, rng=0)
    learned = [getattr(cell, f"{name}0") for name in cell.state_names]
    assert [name for name, _ in cell.named_parameters()][-len(learned) :] == [f"{name}0" for name in cell.state_names]
    assert [(p.shape, p.data.any()) for p in learned] == [((4,), False)] * len(learned)
    x = np.random.default_rng(1).normal(size=(5, 3))
    found, expected = cell(x), fixed(x)
    h, h_expected = (r[0] if isinstance(r, tuple) else r for r in (found, expected))
    np.testing.assert_array_equal(h.data, h_expected.data)
    h.sum().backward()
    assert all(np.abs(p.grad).min() > 0 for p in learned)
    for p in learned:
        p.data = np.arange(4.0)
    assert all(np.array_equal(part.data, np.tile(np.arange(4.0), (5, 1))) for part in cell.initial_state(5))


def test_gradients_reach_input_and_state() -> None:
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    h = mg.tensor(np.zeros((2, 4)), requires_grad=True)
    c = mg.tensor(np.ones((2, 4)), requires_grad=True)
    out, _ = rnn.LSTMCell(3, 4, dtype=float, rng=0)(x, (h, c))
    out.sum().backward()
    assert all(np.abs(leaf.grad).min() > 0 for leaf in (x, h, c))


# -- how the weights begin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "gates"), [(rnn.RNNCell, 1), (rnn.LSTMCell, 4), (rnn.GRUCell, 3)])
def test_weights_are_drawn_in_order_from_the_generator(kind: Any, gates: int) -> None:
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    cell = kind(3, 4, dtype=float, rng=rng)
    rows = gates * 4
    for name, shape in (
        ("weight_ih", (rows, 3)),
        ("weight_hh", (rows, 4)),
        ("bias_ih", (rows,)),
        ("bias_hh", (rows,)),
    ):
        np.testing.assert_array_equal(getattr(cell, name).data, twin.uniform(-0.5, 0.5, shape))
    assert rng.random() == twin.random()


@pytest.mark.parametrize("kind", CELLS)
def test_same_seed_same_weights(kind: Any) -> None:
    one, same, other = kind(3, 4, rng=1), kind(3, 4, rng=1), kind(3, 4, rng=2)
    for p, q, r in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert not np.array_equal(p.data, r.data)


def test_without_a_seed_weights_differ() -> None:
    assert not np.array_equal(rnn.RNNCell(3, 4).weight_ih.data, rnn.RNNCell(3, 4).weight_ih.data)


@pytest.mark.parametrize("kind", CELLS)
def test_weights_lie_within_one_over_root_hidden(kind: Any) -> None:
    for p in kind(30, 25, rng=0).parameters():
        assert 0.15 < np.abs(p.data).max() <= 0.2


@pytest.mark.parametrize("forget_bias", [3, 1.5, 0.0, -1])
@pytest.mark.parametrize("bias", [True, "single"])
def test_the_bias_of_the_forget_gate_begins_at_forget_bias(forget_bias: float, bias: bool | str) -> None:
    plain, set_ = rnn.LSTMCell(3, 4, bias, rng=0), rnn.LSTMCell(3, 4, bias, forget_bias=forget_bias, rng=0)
    total = set_.bias_ih.data + (0 if set_.bias_hh is None else set_.bias_hh.data)
    np.testing.assert_array_equal(total[4:8], [forget_bias] * 4)
    others = np.r_[:4, 8:16]
    for name, p in set_.named_parameters():
        rows = others if name.startswith("bias") else slice(None)
        np.testing.assert_array_equal(p.data[rows], getattr(plain, name).data[rows])


def test_every_cell_of_a_layer_begins_with_the_forget_bias() -> None:
    layer = rnn.LSTM(3, 4, num_layers=2, bidirectional=True, forget_bias=3, peepholes=True, rng=0)
    for k in (0, 1):
        for end in ("", "_reverse"):
            total = getattr(layer, f"bias_ih_l{k}{end}").data + getattr(layer, f"bias_hh_l{k}{end}").data
            assert total[4:8].tolist() == [3, 3, 3, 3]
    rnn.init.keras(layer.cell, rng=0)
    assert (layer.bias_ih_l0.data + layer.bias_hh_l0.data)[4:8].tolist() == [1, 1, 1, 1]


def test_forget_bias_keeps_the_dtype() -> None:
    assert rnn.LSTMCell(3, 4, forget_bias=np.float64(1.0)).bias_ih.dtype == np.float32


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((0, 4), "input_size is 0; expected a whole number from 1 on"),
        ((-2, 4), "input_size is -2; expected a whole number from 1 on"),
        ((3, 0), "hidden_size is 0; expected a whole number from 1 on"),
    ],
)
def test_sizes_below_one_are_refused(kind: Any, sizes: tuple[int, int], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        kind(*sizes)


@pytest.mark.parametrize("wrong", ["gelo", "", "Tanh", None, 1, [], np.tanh, "elu(1, 2)", "elu(x)", "tanh(1)", "add", "elu(1"])
def test_unknown_nonlinearity_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"nonlinearity must be one of tanh, relu, .*, not {re.escape(repr(wrong))}"):
        rnn.RNNCell(3, 4, nonlinearity=wrong)
    with pytest.raises(ValueError, match=r"output_activation must be one of tanh"):
        rnn.LSTM(3, 4, output_activation=[wrong])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0, -1.0, True, np.nan, "1", [1]])
def test_a_clip_is_a_positive_number(wrong: Any) -> None:
    for kind in CELLS:
        with pytest.raises(ValueError, match=rf"clip is {re.escape(repr(wrong))}; it must be the positive number"):
            kind(3, 4, clip=wrong)


def test_forget_bias_needs_a_bias() -> None:
    with pytest.raises(ValueError, match=r"forget_bias is 1\.0, and with input_forget=True f = 1 - i, so there is no bias"):
        rnn.LSTM(3, 4, input_forget=True, forget_bias=1.0)
    with pytest.raises(ValueError, match=r"forget_bias is 1\.0, and this cell has bias=False"):
        rnn.LSTMCell(3, 4, bias=False, forget_bias=1.0)
    rnn.LSTMCell(3, 4, bias=False, forget_bias=0.0)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (5, 2, 3)])
@pytest.mark.parametrize("make", [np.ones, lambda shape: mg.tensor(np.ones(shape))])
def test_input_of_another_shape_is_refused(kind: Any, shape: tuple[int, ...], make: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the input has shape {shape}; expected (batch, input_size=3)")):
        kind(3, 4)(make(shape))


@pytest.mark.parametrize("shape", [(), (4,), (1, 4), (3, 4), (2, 5), (1, 2, 4)])
def test_state_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    x, ends = np.ones((2, 3)), re.escape(f"has shape {shape}; expected (batch, hidden_size) = (2, 4)")
    with pytest.raises(ValueError, match=f"the state h {ends}"):
        rnn.RNNCell(3, 4)(x, np.zeros(shape))
    with pytest.raises(ValueError, match=f"the state c {ends}"):
        rnn.LSTMCell(3, 4)(x, (np.zeros((2, 4)), np.zeros(shape)))


@pytest.mark.parametrize(
    ("state", "given"),
    [
        ((), "0 parts"),
        ((np.zeros((2, 4)),), "1 parts"),
        ([np.zeros((2, 4))] * 3, "3 parts"),
        (np.zeros((2, 2, 4)), "ndarray"),
        (mg.tensor(np.zeros((2, 4))), "Tensor"),
    ],
)
def test_lstm_state_that_is_not_a_pair_is_refused(state: Any, given: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the state of LSTMCell is (h, c), not {given}")):
        rnn.LSTMCell(3, 4)(np.ones((2, 3)), state)


def test_a_projected_state_of_another_size_is_refused() -> None:
    cell = rnn.LSTMCell(3, 4, proj_size=2)
    assert cell.state_sizes == (2, 4)
    with pytest.raises(ValueError, match=re.escape("the state h has shape (2, 4); expected (batch, proj_size) = (2, 2)")):
        cell(np.ones((2, 3)), (np.zeros((2, 4)), np.zeros((2, 4))))


@pytest.mark.parametrize("proj_size", [4, 5, -1])
def test_a_projection_is_smaller_than_the_state(proj_size: int) -> None:
    text = f"proj_size is {proj_size}; it must be less than hidden_size=4, or 0 for none"
    with pytest.raises(ValueError, match=re.escape(text)):
        rnn.LSTMCell(3, 4, proj_size=proj_size)


@pytest.mark.parametrize("wrong", ["none", "Single", 2, None])
def test_an_unknown_bias_is_refused(wrong: Any) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"bias must be True (two, as in PyTorch), 'single' or False, not {wrong!r}")
    ):
        rnn.GRUCell(3, 4, bias=wrong)


def test_integer_weights_are_refused() -> None:
    with pytest.raises(TypeError, match="only floating-point tensors can require grad, this one is int64"):
        rnn.RNNCell(3, 4, dtype=np.int64)


def test_a_cell_without_a_step_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Cell does not define step\(\)"):
        rnn.Cell(3, 4).step(mg.tensor(np.ones((1, 3))), ())


# -- what a step of one's own returns ------------------------------------------------------------------------------------


class Returns(rnn.Cell):
    """A cell whose step returns what `what` makes of its new state."""

    def __init__(self, what: Any, names: tuple[str, ...] = ("h",)) -> None:
        self.state_names = names
        super().__init__(3, 4, rng=0)
        self.what = what

    def step(self, x: mg.Tensor, state: Any) -> Any:
        return self.what(np.tanh(self.affine(x, state[0])))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda h: h, "Tensor of shape (2, 4)"),
        (lambda h: [h], "list of 1: Tensor of shape (2, 4)"),
        (lambda h: (h, h), "tuple of 2: Tensor of shape (2, 4), Tensor of shape (2, 4)"),
        (lambda h: (), "tuple of 0"),
        (lambda h: (h[:1],), "tuple of 1: Tensor of shape (1, 4)"),
        (lambda h: (h[:, :3],), "tuple of 1: Tensor of shape (2, 3)"),
        (lambda h: (h.detach().numpy(),), "tuple of 1: ndarray of shape (2, 4)"),
        (lambda h: None, "NoneType"),
    ],
)
@pytest.mark.parametrize("run", ["cell", "layer", "step", "lengths"])
def test_a_step_that_returns_no_state_is_told_what_to_return(run: str, what: Any, words: str) -> None:
    cell = Returns(what)
    layer, x = rnn.Recurrent(cell), np.ones((5, 2, 3))
    calls = {
        "cell": lambda: cell(x[0]),
        "layer": lambda: layer(x),
        "step": lambda: layer.step(x[0], layer.initial_state(2), 0),
        "lengths": lambda: layer(x, lengths=[2, 5]),
    }
    with pytest.raises(TypeError) as found:
        calls[run]()
    expected = f"step of Returns returned {words}; it must return the new state, a tuple of Tensors of shape (2, 4)"
    assert str(found.value) == f"{expected}: write `return (h,)`"


def test_a_step_of_two_states_is_told_both() -> None:
    cell = Returns(lambda h: h, ("s", "m"))
    with pytest.raises(TypeError, match=r"of shape \(2, 4\) and \(2, 4\): write `return \(s, m\)`"):
        cell(np.ones((2, 3)))
    two = Returns(lambda h: (h, 2 * h), ("s", "m"))
    assert len(two(np.ones((2, 3)))) == 2


def test_a_step_may_return_a_named_tuple() -> None:
    class State(NamedTuple):
        h: mg.Tensor

    assert rnn.Recurrent(Returns(State))(np.ones((5, 2, 3)))[0].shape == (5, 2, 4)


# -- one rule of dtypes ----------------------------------------------------------------------------------------------------

LAYERS: dict[str, Any] = {
    "Linear": lambda dtype: rnn.Linear(3, 4, dtype=dtype, rng=0),
    "LayerNorm": lambda dtype: rnn.LayerNorm(3, dtype=dtype),
    **{
        cell.__name__: lambda dtype, cell=cell: cell(3, 4, dtype=dtype, rng=0)
        for cell in (rnn.RNNCell, rnn.GRUCell, rnn.LSTMCell, rnn.RNN, rnn.GRU, rnn.LSTM)
    },
    "bidirectional": lambda dtype: rnn.GRU(3, 4, bidirectional=True, dtype=dtype, rng=0),
}


@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_an_equal_tensor_gives_what_an_array_gives(name: str, dtype: Any, given: Any) -> None:
    layer = LAYERS[name](dtype)
    shape = (2, 3) if name.endswith("Cell") else (5, 2, 3)
    x = np.random.default_rng(0).normal(scale=3, size=shape).astype(given)
    tensors = [mg.tensor(x), mg.tensor(x, requires_grad=True)] if x.dtype.kind == "f" else [mg.tensor(x)]
    expected = flat(layer(x))
    assert {part.dtype for part in expected} == {np.dtype(dtype)}
    for t in tensors:
        for a, b in zip(flat(layer(t)), expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a.data, b.data)
    if x.dtype.kind == "f":
        sum((part * np.arange(part.size).reshape(part.shape)).sum() for part in flat(layer(tensors[1]))).backward()
        assert tensors[1].grad.dtype == x.dtype
        assert np.any(tensors[1].grad)


def flat(result: Any) -> list[mg.Tensor]:
    return [part for item in result for part in flat(item)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.GRU, rnn.LSTM])
def test_gradients_of_layers_in_float32_can_be_checked(kind: Any) -> None:
    task = rnn.tasks.hello()
    model = rnn.Sequence(kind(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    mg.check_grads(model, task.inputs)
    mg.check_grads(lambda x: rnn.sequence_cross_entropy(model(x), task.targets).total, task.inputs, order=2)


def test_a_wrong_gradient_of_a_function_in_float32_is_found() -> None:
    @mg.custom_op(lambda g, out: g * (1.03 - out * out))
    def wrong(x: Any) -> Any:
        return np.tanh(x)

    layer = rnn.Linear(3, 2, rng=0)
    with pytest.raises(mg.GradientError):
        mg.check_grads(lambda x: wrong(layer(x)), np.ones((2, 3)))


def test_a_tuple_of_outputs_and_state_is_told_what_to_do() -> None:
    layer, readout = rnn.RNN(3, 4, rng=0), rnn.Linear(4, 2, rng=1)
    with pytest.raises(TypeError, match=r"outputs, state = layer\(x\), or use Sequence\(layer, readout\)"):
        readout(layer(np.ones((5, 2, 3))))
    with pytest.raises(ValueError, match="for class indices use an embedding, or one-hot vectors"):
        rnn.RNN(5, 3)(np.array([[0, 1], [2, 3]]))
