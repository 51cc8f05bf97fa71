"""Recurrent layers against backpropagation through time written out by hand, and the tags they leave on their nodes."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn

Arrays = dict[str, np.ndarray]

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0.0), "sigmoid": lambda a: 1 / (1 + np.exp(-a))}
SLOPES = {"tanh": lambda h: 1 - h * h, "relu": lambda h: (h > 0).astype(float), "sigmoid": lambda h: h * (1 - h)}

sizes = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))  # T, batch, input, hidden
seeds = st.integers(0, 2**32 - 1)


def close(actual: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


def biases(w: Arrays) -> np.ndarray | float:
    return w["bias_ih_l0"] + w["bias_hh_l0"] if "bias_ih_l0" in w else 0.0


def weight_gradients(w: Arrays, x: np.ndarray, before: np.ndarray, d: np.ndarray) -> Arrays:
    """From the gradients d of W_ih x + b_ih + W_hh h + b_hh at every step, those of the weights and biases."""
    bias = d.sum((0, 1))
    all_of_them = {
        "weight_ih_l0": np.einsum("tbr,tbi->ri", d, x),
        "weight_hh_l0": np.einsum("tbr,tbh->rh", d, before),
        "bias_ih_l0": bias,
        "bias_hh_l0": bias,
    }
    return {name: all_of_them[name] for name in w}


def rnn_by_hand(
    w: Arrays, x: np.ndarray, h0: np.ndarray, nonlinearity: str, by_outputs: np.ndarray, by_h: np.ndarray
) -> tuple[np.ndarray, Arrays]:
    """The outputs, and the gradients of sum(by_outputs * outputs) + sum(by_h * last h)."""
    hs = [h0]
    for x_t in x:
        hs.append(ACTIVATIONS[nonlinearity](x_t @ w["weight_ih_l0"].T + hs[-1] @ w["weight_hh_l0"].T + biases(w)))
    d = np.empty((len(x), *h0.shape))
    dh = by_h
    for t in reversed(range(len(x))):
        d[t] = (dh + by_outputs[t]) * SLOPES[nonlinearity](hs[t + 1])
        dh = d[t] @ w["weight_hh_l0"]
    gradients = weight_gradients(w, x, np.stack(hs[:-1]), d)
    return np.stack(hs[1:]), {**gradients, "x": d @ w["weight_ih_l0"], "h0": dh}


def lstm_by_hand(
    w: Arrays, x: np.ndarray, h0: np.ndarray, c0: np.ndarray, by_outputs: np.ndarray, by_h: np.ndarray, by_c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Arrays]:
    """The outputs and the last c, and the gradients of sum(by_outputs * outputs) + sum(by_h * h) + sum(by_c * c)."""
    sigmoid = ACTIVATIONS["sigmoid"]
    hs, cs, gates = [h0], [c0], []
    for x_t in x:
        a = x_t @ w["weight_ih_l0"].T + hs[-1] @ w["weight_hh_l0"].T + biases(w)
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        gates.append((i, f, g, o))
        cs.append(f * cs[-1] + i * g)
        hs.append(o * np.tanh(cs[-1]))
    d = np.empty((len(x), len(h0), 4 * h0.shape[1]))
    dh, dc = by_h, by_c
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(cs[t + 1])
        dh = dh + by_outputs[t]
        dc = dc + dh * o * (1 - tanh_c**2)
        d_i, d_f, d_g, d_o = dc * g, dc * cs[t], dc * i, dh * tanh_c
        d[t] = np.hstack([d_i * i * (1 - i), d_f * f * (1 - f), d_g * (1 - g**2), d_o * o * (1 - o)])
        dh, dc = d[t] @ w["weight_hh_l0"], dc * f
    gradients = weight_gradients(w, x, np.stack(hs[:-1]), d)
    return np.stack(hs[1:]), cs[-1], {**gradients, "x": d @ w["weight_ih_l0"], "h0": dh, "c0": dc}


def check_rnn(layer: rnn.RNN, x: np.ndarray, h0: np.ndarray | None, rng: np.random.Generator, x_learns: bool) -> None:
    T, batch, hidden = *x.shape[:2], layer.hidden_size
    by_outputs, by_h = rng.normal(size=(T, batch, hidden)), rng.normal(size=(batch, hidden))
    start = np.zeros((batch, hidden)) if h0 is None else h0
    expected, gradients = rnn_by_hand(layer.state_dict(), x, start, layer.cell.nonlinearity, by_outputs, by_h)

    x_in = mg.tensor(x, requires_grad=True) if x_learns else x
    h_in = None if h0 is None else mg.tensor(h0[None], requires_grad=True)
    outputs, h = layer(x_in, h_in)
    close(outputs.data, expected)
    close(h.data, expected[-1:])
    ((outputs * by_outputs).sum() + (h[0] * by_h).sum()).backward()
    for name, p in layer.named_parameters():
        close(p.grad, gradients[name])
    if x_learns:
        close(x_in.grad, gradients["x"])
    if h_in is not None:
        close(h_in.grad, gradients["h0"][None])


def check_lstm(
    layer: rnn.LSTM,
    x: np.ndarray,
    state: tuple[np.ndarray, np.ndarray] | None,
    rng: np.random.Generator,
    x_learns: bool,
) -> None:
    T, batch, hidden = *x.shape[:2], layer.hidden_size
    by_outputs = rng.normal(size=(T, batch, hidden))
    by_h, by_c = rng.normal(size=(2, batch, hidden))
    start = np.zeros((2, batch, hidden)) if state is None else state
    expected, expected_c, gradients = lstm_by_hand(layer.state_dict(), x, *start, by_outputs, by_h, by_c)

    x_in = mg.tensor(x, requires_grad=True) if x_learns else x
    state_in = None if state is None else tuple(mg.tensor(part[None], requires_grad=True) for part in state)
    outputs, (h, c) = layer(x_in, state_in)
    close(outputs.data, expected)
    close(h.data, expected[-1:])
    close(c.data, expected_c[None])
    ((outputs * by_outputs).sum() + (h[0] * by_h).sum() + (c[0] * by_c).sum()).backward()
    for name, p in layer.named_parameters():
        close(p.grad, gradients[name])
    if x_learns:
        close(x_in.grad, gradients["x"])
    if state_in is not None:
        close(state_in[0].grad, gradients["h0"][None])
        close(state_in[1].grad, gradients["c0"][None])


# -- values and gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("bias", [True, False])
@settings(deadline=None, max_examples=25)
@given(sizes=sizes, seed=seeds, with_state=st.booleans(), x_learns=st.booleans())
def test_rnn_agrees_with_backpropagation_through_time_by_hand(
    nonlinearity: str, bias: bool, sizes: tuple[int, int, int, int], seed: int, with_state: bool, x_learns: bool
) -> None:
    T, batch, inputs, hidden = sizes
    rng = np.random.default_rng(seed)
    layer = rnn.RNN(inputs, hidden, nonlinearity=nonlinearity, bias=bias, dtype=float, rng=rng)
    h0 = rng.normal(size=(batch, hidden)) if with_state else None
    check_rnn(layer, rng.normal(size=(T, batch, inputs)), h0, rng, x_learns)


@pytest.mark.parametrize("bias", [True, False])
@settings(deadline=None, max_examples=25)
@given(sizes=sizes, seed=seeds, with_state=st.booleans(), x_learns=st.booleans())
def test_lstm_agrees_with_backpropagation_through_time_by_hand(
    bias: bool, sizes: tuple[int, int, int, int], seed: int, with_state: bool, x_learns: bool
) -> None:
    T, batch, inputs, hidden = sizes
    rng = np.random.default_rng(seed)
    layer = rnn.LSTM(inputs, hidden, bias=bias, dtype=float, rng=rng)
    state = (rng.normal(size=(batch, hidden)), rng.normal(size=(batch, hidden))) if with_state else None
    check_lstm(layer, rng.normal(size=(T, batch, inputs)), state, rng, x_learns)


@pytest.mark.parametrize("T", [63, 64, 65, 129, 2000])
@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_long_sequences_agree_with_backpropagation_through_time_by_hand(kind: Any, T: int) -> None:
    rng = np.random.default_rng(T)
    layer = kind(2, 3, dtype=float, rng=rng)
    x = rng.normal(size=(T, 2, 2))
    if kind is rnn.RNN:
        check_rnn(layer, x, rng.normal(size=(2, 3)), rng, x_learns=True)
    else:
        check_lstm(layer, x, (rng.normal(size=(2, 3)), rng.normal(size=(2, 3))), rng, x_learns=True)


def test_gradients_of_two_calls_add_up() -> None:
    rng = np.random.default_rng(3)
    layer = rnn.LSTM(2, 3, dtype=float, rng=rng)
    x, y = rng.normal(size=(2, 4, 1, 2))
    layer(x)[0].sum().backward()
    first = layer.weight_hh_l0.grad.copy()
    layer.zero_grad()
    layer(y)[0].sum().backward()
    second = layer.weight_hh_l0.grad.copy()
    layer(x)[0].sum().backward()
    close(layer.weight_hh_l0.grad, first + second)


def test_a_sequence_in_two_chunks_gives_what_it_gives_in_one() -> None:
    rng = np.random.default_rng(4)
    layer = rnn.LSTM(2, 3, dtype=float, rng=rng)
    x = rng.normal(size=(7, 2, 2))
    whole, (h, c) = layer(x)
    head, state = layer(x[:3])
    tail, (h2, c2) = layer(x[3:], state)
    close(np.concatenate([head.data, tail.data]), whole.data)
    close(h2.data, h.data)
    close(c2.data, c.data)


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_step_after_step_gives_the_outputs_of_forward(kind: Any) -> None:
    rng = np.random.default_rng(5)
    layer = kind(2, 3, dtype=float, rng=rng)
    x = rng.normal(size=(4, 2, 2))
    state = layer.cell.initial_state(2)
    for t, expected in enumerate(layer(x)[0].data):
        state = layer.step(mg.tensor(x[t]), state, t)
        close(state[0].data, expected)


KINDS_AND_NAMES: list[tuple[Any, set[str]]] = [
    (rnn.RNN, {"x", "h"}),
    (rnn.LSTM, {"x", "h", "c", "i", "f", "g", "o"}),
    (rnn.GRU, {"x", "h", "r", "z", "n"}),
]


# -- tags --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "names"), KINDS_AND_NAMES)
def test_nodes_of_each_step_carry_their_place_and_names(kind: Any, names: set[str]) -> None:
    outputs, _ = kind(3, 4, rng=0)(np.ones((5, 2, 3)))
    graph = mg.Graph(outputs)
    for t in range(5):
        here = [node for node in graph if str(node.scope) == f"{kind.__name__.lower()}/layer=0/t={t}"]
        assert {node.name for node in here} - {None} == names
        assert {node.scope.get("t") for node in here} == {t}
        for node in here:
            if node.name:
                assert node.shape == ((2, 3) if node.name == "x" else (2, 4))
    named = [node.name for node in graph if node.name]
    assert all(named.count(name) == 5 for name in names)


def test_gates_are_named_after_what_they_are() -> None:
    layer = rnn.LSTM(3, 4, dtype=float, rng=0)
    outputs, _ = layer(np.ones((1, 2, 3)))
    nodes = {node.name: node for node in mg.Graph(outputs) if node.op is not None and node.name}
    assert {name: nodes[name].op.name for name in "ifgohc"} == {
        "i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid", "c": "add", "h": "multiply"
    }  # fmt: skip
    w = layer.state_dict()
    blocks = np.split(np.ones((2, 3)) @ w["weight_ih_l0"].T + biases(w), 4, axis=1)
    for name, block in zip("ifgo", blocks, strict=True):
        close(nodes[name].saved[0], np.tanh(block) if name == "g" else ACTIVATIONS["sigmoid"](block))


def test_weights_and_initial_state_are_named_in_the_graph() -> None:
    outputs, _ = rnn.LSTM(3, 4, rng=0)(np.ones((2, 1, 3)))
    names = {node.name for node in mg.Graph(outputs) if node.op is None}
    assert names == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "x", "h0", "c0"}


def test_single_step_carries_the_same_tags() -> None:
    layer = rnn.RNN(3, 4, rng=0)
    (h,) = layer.step(mg.tensor(np.ones((1, 3))), layer.cell.initial_state(1), 3)
    assert str(h.scope) == "rnn/layer=0/t=3"
    assert h.name == "h"


def test_scope_around_the_layer_comes_first() -> None:
    with mg.scope("encoder"):
        _, h = rnn.RNN(3, 4, rng=0)(np.ones((1, 1, 3)))
    assert {str(node.scope) for node in mg.Graph(h) if node.name == "h"} == {"encoder/rnn/layer=0/t=0"}


def test_gradient_by_the_state_after_each_step_can_be_asked_for() -> None:
    rng = np.random.default_rng(6)
    layer = rnn.RNN(2, 3, dtype=float, rng=rng)
    state, hs = layer.cell.initial_state(2), []
    for t, x in enumerate(rng.normal(size=(5, 2, 2))):
        state = layer.step(mg.tensor(x), state, t)
        hs.append(state[0])
    gradients = mg.grad(hs[-1].sum(), hs)
    expected = np.ones((2, 3))
    for h, gradient in zip(reversed(hs), reversed(gradients), strict=True):
        close(gradient.data, expected)
        expected = (expected * (1 - h.data**2)) @ layer.weight_hh_l0.data


# -- parameters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rows"), [(rnn.RNN, 4), (rnn.LSTM, 16), (rnn.GRU, 12)])
def test_parameters_are_named_and_shaped_as_in_pytorch(kind: Any, rows: int) -> None:
    shapes = [(name, p.shape) for name, p in kind(3, 4).named_parameters()]
    assert shapes == [
        ("weight_ih_l0", (rows, 3)),
        ("weight_hh_l0", (rows, 4)),
        ("bias_ih_l0", (rows,)),
        ("bias_hh_l0", (rows,)),
    ]
    assert [name for name, _ in kind(3, 4, bias=False).named_parameters()] == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_parameters_are_those_of_the_cell(kind: Any) -> None:
    layer = kind(3, 4)
    for name, p in layer.named_parameters():
        assert getattr(layer, name) is p
        assert getattr(layer.cell, name.removesuffix("_l0")) is p
        assert p.name == name


def test_unknown_attributes_are_named() -> None:
    layer = rnn.LSTM(3, 4)
    for name in ("weight_ih_l1", "weight_ih", "gates_l", "whatever_l0"):
        with pytest.raises(AttributeError, match=f"'LSTM' object has no attribute '{name}'"):
            getattr(layer, name)


def test_sizes_are_those_of_the_cell() -> None:
    layer = rnn.RNN(3, 4)
    assert (layer.input_size, layer.hidden_size) == (3, 4)


def test_repr_counts_the_parameters() -> None:
    assert repr(rnn.RNN(3, 4)).startswith(f"RNN with {4 * 3 + 4 * 4 + 2 * 4} parameters\n  l0: RNNCell(")
    assert repr(rnn.LSTM(3, 4, bias=False)).startswith(f"LSTM with {16 * 3 + 16 * 4} parameters\n  l0: LSTMCell(")


def test_layer_and_cell_of_the_same_seed_have_the_same_weights() -> None:
    layer, cell = rnn.LSTM(3, 4, forget_bias=1.0, rng=7), rnn.LSTMCell(3, 4, forget_bias=1.0, rng=7)
    for p, q in zip(layer.parameters(), cell.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


class Leaky(rnn.Cell):
    """A cell with a state that is not its output."""

    state_names = ("y", "memory")

    def step(self, x: mg.Tensor, state: tuple[mg.Tensor, ...]) -> tuple[mg.Tensor, ...]:
        memory = state[1] * 0.5 + mg.linear(x, self.weight_ih)
        return memory * 2.0, memory


def test_a_cell_of_ones_own_runs_over_a_sequence() -> None:
    layer = rnn.Recurrent(Leaky(1, 1, bias=False, dtype=float, rng=0))
    outputs, (y, memory) = layer.run(np.ones((3, 1, 1)), None)
    w = layer.weight_ih_l0.item()
    close(outputs.data.ravel(), np.array([2.0, 3.0, 3.5]) * w)
    close(memory.data, [[1.75 * w]])
    assert (str(y.scope), y.name, memory.name) == ("recurrent/layer=0/t=2", "y", "memory")


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
@pytest.mark.parametrize("shape", [(3,), (5, 1, 4), (5, 1, 3, 1)])
def test_input_of_another_shape_is_refused(kind: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the input has shape {shape}; expected (T, batch, input_size=3)")):
        kind(3, 4)(np.ones(shape))


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_a_sequence_of_no_steps_is_refused(kind: Any) -> None:
    expected = re.escape("the input has T=0 steps; a sequence needs at least one")
    with pytest.raises(ValueError, match=expected):
        kind(3, 4)(np.ones((0, 2, 3)))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 2, 4)])
def test_initial_state_without_its_axis_of_layers_is_refused(shape: tuple[int, ...]) -> None:
    expected = f"an initial state must have shape (1, batch, hidden_size=4), not {shape}"
    h0 = np.zeros(shape)
    with pytest.raises(ValueError, match=re.escape(expected)):
        rnn.RNN(3, 4)(np.ones((5, 2, 3)), h0)
    with pytest.raises(ValueError, match=re.escape(expected)):
        rnn.LSTM(3, 4)(np.ones((5, 2, 3)), (h0, h0))


def test_initial_state_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the state h has shape \(2, 5\); expected .* \(2, 4\)"):
        rnn.RNN(3, 4)(np.ones((5, 2, 3)), np.zeros((1, 2, 5)))
    with pytest.raises(ValueError, match=r"the state c has shape \(2, 5\); expected .* \(2, 4\)"):
        rnn.LSTM(3, 4)(np.ones((5, 2, 3)), (np.zeros((1, 2, 4)), np.zeros((1, 2, 5))))


@pytest.mark.parametrize(("batch", "batch_of_state"), [(3, 1), (1, 3), (3, 2)])
def test_initial_state_of_another_batch_is_refused(batch: int, batch_of_state: int) -> None:
    x, h0 = np.ones((5, batch, 3)), np.zeros((1, batch_of_state, 4))
    with pytest.raises(ValueError, match="state"):
        rnn.RNN(3, 4)(x, h0)
    with pytest.raises(ValueError, match="state"):
        rnn.LSTM(3, 4)(x, (h0, h0))


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_lstm_state_of_other_than_two_parts_is_refused(parts: int) -> None:
    with pytest.raises(ValueError, match=rf"the state of LSTMCell is \(h, c\), not {parts} parts"):
        rnn.LSTM(3, 4)(np.ones((5, 2, 3)), (np.zeros((1, 2, 4)),) * parts)


def test_lstm_state_as_one_array_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the initial state must be \(h, c\), not ndarray"):
        rnn.LSTM(3, 4)(np.ones((5, 2, 3)), np.zeros((2, 1, 2, 4)))


def test_errors_of_the_constructor_are_those_of_the_cell() -> None:
    with pytest.raises(ValueError, match="hidden_size is 0; expected a whole number from 1 on"):
        rnn.LSTM(3, 0)
    with pytest.raises(ValueError, match=r"nonlinearity must be one of tanh, relu, sigmoid,.* not 'gelo'"):
        rnn.RNN(3, 4, nonlinearity="gelo")
    with pytest.raises(ValueError, match="forget_bias"):
        rnn.LSTM(3, 4, bias=False, forget_bias=1.0)


def test_an_error_inside_a_step_tells_where_it_happened() -> None:
    class Broken(Leaky):
        def step(self, x: mg.Tensor, state: tuple[mg.Tensor, ...]) -> tuple[mg.Tensor, ...]:
            return x @ self.weight_hh, state[1]

    with pytest.raises(ValueError, match="matmul") as error:
        rnn.Recurrent(Broken(3, 4)).run(np.ones((2, 1, 3)), None)
    assert "in matmul, operands (1, 3), (4, 4), in scope recurrent/layer=0/t=0" in error.value.__notes__[0]


def test_assigning_a_weight_gives_it_to_the_cell() -> None:
    layer = rnn.RNN(3, 4, rng=0)
    layer.weight_ih_l0 = rnn.Parameter(np.zeros((4, 3)))
    assert layer.cell.weight_ih is layer.weight_ih_l0
    assert dict(layer.named_parameters())["weight_ih_l0"] is layer.weight_ih_l0


def test_parameters_of_a_subclass_are_found_beside_those_of_the_cell() -> None:
    class Scaled(rnn.LSTM):
        def __init__(self) -> None:
            super().__init__(3, 4, rng=0)
            self.scale = rnn.Parameter([2.0])

    assert [name for name, _ in Scaled().named_parameters()][-1] == "scale"


def test_the_third_argument_is_the_number_of_layers_as_in_pytorch() -> None:
    assert "weight_ih_l1" in rnn.LSTM(5, 5, 2).state_dict()


def test_a_step_takes_arrays_and_leaves_a_name_that_is_there() -> None:
    layer = rnn.RNN(3, 4, rng=0)
    x = mg.tensor(np.ones((2, 3)), name="mine")
    (by_tensor,) = layer.step(x, layer.cell.initial_state(2), 0)
    (by_array,) = layer.step(np.ones((2, 3)), layer.cell.initial_state(2), 0)
    assert x.name == "mine"
    np.testing.assert_allclose(by_tensor.data, by_array.data, rtol=1e-6)


# -- GRU, peepholes and projection -------------------------------------------------------------------------------------


def gru_by_hand(
    w: Arrays, x: np.ndarray, h0: np.ndarray, reset_after: bool, by_outputs: np.ndarray, by_h: np.ndarray
) -> tuple[np.ndarray, Arrays]:
    """The outputs, and the gradients of sum(by_outputs * outputs) + sum(by_h * last h)."""
    sigmoid, W, R = ACTIVATIONS["sigmoid"], w["weight_ih_l0"], w["weight_hh_l0"]
    b, b_h = w.get("bias_ih_l0", np.zeros(len(W))), w.get("bias_hh_l0", np.zeros(len(W)))
    H = h0.shape[1]
    R_r, R_z, R_n = R[:H], R[H : 2 * H], R[2 * H :]
    hs, kept = [h0], []
    for x_t in x:
        h = hs[-1]
        a_r, a_z, a_n = np.split(x_t @ W.T + b, 3, axis=1)
        r = sigmoid(a_r + h @ R_r.T + b_h[:H])
        z = sigmoid(a_z + h @ R_z.T + b_h[H : 2 * H])
        m = h @ R_n.T + b_h[2 * H :] if reset_after else (r * h) @ R_n.T + b_h[2 * H :]
        n = np.tanh(a_n + r * m if reset_after else a_n + m)
        kept.append((r, z, m, n))
        hs.append((1 - z) * n + z * h)
    grads = {"weight_ih_l0": np.zeros_like(W), "weight_hh_l0": np.zeros_like(R), "bias_ih_l0": 0 * b, "bias_hh_l0": 0 * b}
    by_x, dh = np.empty_like(x), by_h
    for t in reversed(range(len(x))):
        (r, z, m, n), h = kept[t], hs[t]
        dh = dh + by_outputs[t]
        d_n = dh * (1 - z) * (1 - n * n)  # by what is inside each nonlinearity
        d_z = dh * (h - n) * z * (1 - z)
        before = dh * z
        if reset_after:
            d_m = d_n * r
            d_r = d_n * m * r * (1 - r)
            grads["weight_hh_l0"][2 * H :] += d_m.T @ h
            before = before + d_m @ R_n
        else:
            d_m = d_n
            d_rh = d_n @ R_n
            d_r = d_rh * h * r * (1 - r)
            grads["weight_hh_l0"][2 * H :] += d_n.T @ (r * h)
            before = before + d_rh * r
        grads["weight_hh_l0"][:H] += d_r.T @ h
        grads["weight_hh_l0"][H : 2 * H] += d_z.T @ h
        d = np.hstack([d_r, d_z, d_n])
        grads["weight_ih_l0"] += d.T @ x[t]
        grads["bias_ih_l0"] += d.sum(0)
        grads["bias_hh_l0"] += np.hstack([d_r, d_z, d_m]).sum(0)
        by_x[t] = d @ W
        dh = before + d_r @ R_r + d_z @ R_z
    return np.stack(hs[1:]), {**{name: grads[name] for name in w}, "x": by_x, "h0": dh}


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("bias", [True, "single", False])
@settings(deadline=None, max_examples=25)
@given(sizes=sizes, seed=seeds, with_state=st.booleans())
def test_gru_agrees_with_backpropagation_through_time_by_hand(
    reset_after: bool, bias: Any, sizes: tuple[int, int, int, int], seed: int, with_state: bool
) -> None:
    T, batch, inputs, hidden = sizes
    rng = np.random.default_rng(seed)
    layer = rnn.GRU(inputs, hidden, reset_after=reset_after, bias=bias, dtype=float, rng=rng)
    x, h0 = rng.normal(size=(T, batch, inputs)), rng.normal(size=(batch, hidden)) * with_state
    by_outputs, by_h = rng.normal(size=(T, batch, hidden)), rng.normal(size=(batch, hidden))
    expected, gradients = gru_by_hand(layer.state_dict(), x, h0, reset_after, by_outputs, by_h)
    x_in, h_in = mg.tensor(x, requires_grad=True), mg.tensor(h0[None], requires_grad=True)
    outputs, h = layer(x_in, h_in) if with_state else layer(x_in)
    close(outputs.data, expected)
    close(h.data, expected[-1:])
    ((outputs * by_outputs).sum() + (h[0] * by_h).sum()).backward()
    for name, p in layer.named_parameters():
        close(p.grad, gradients[name])
    close(x_in.grad, gradients["x"])
    if with_state:
        close(h_in.grad, gradients["h0"][None])


def lstm_with_everything(w: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The outputs and the last c of an LSTM that may have peepholes and a projection; of complex numbers too."""
    sigmoid, outputs = ACTIVATIONS["sigmoid"], []
    p_i, p_f, p_o = (w.get(f"weight_c{gate}_l0", np.zeros(c.shape[1])) for gate in "ifo")
    for x_t in x:
        i, f, g, o = np.split(x_t @ w["weight_ih_l0"].T + h @ w["weight_hh_l0"].T + biases(w), 4, axis=1)
        c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
        h = sigmoid(o + p_o * c) * np.tanh(c)
        h = h @ w["weight_hr_l0"].T if "weight_hr_l0" in w else h
        outputs.append(h)
    return np.stack(outputs), c


@pytest.mark.parametrize(("peepholes", "proj_size"), [(True, 0), (False, 2), (True, 2)])
@settings(deadline=None, max_examples=4)
@given(T=st.integers(1, 4), batch=st.integers(1, 2), seed=seeds)
def test_peepholes_and_projection_are_their_formulas_and_the_gradient_their_slope(
    peepholes: bool, proj_size: int, T: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    layer = rnn.LSTM(2, 3, peepholes=peepholes, proj_size=proj_size, dtype=float, rng=rng)
    values = layer.state_dict()
    values |= {"x": rng.normal(size=(T, batch, 2)), "h0": rng.normal(size=(batch, proj_size or 3))}
    values |= {"c0": rng.normal(size=(batch, 3))}
    by_outputs, by_c = rng.normal(size=(T, batch, proj_size or 3)), rng.normal(size=(batch, 3))

    leaves = {name: mg.tensor(values[name], requires_grad=True) for name in ("x", "h0", "c0")}
    outputs, (h, c) = layer(leaves["x"], (leaves["h0"][None], leaves["c0"][None]))
    expected, expected_c = lstm_with_everything(values, values["x"], values["h0"], values["c0"])
    close(outputs.data, expected)
    close(h.data, expected[-1:])
    close(c.data, expected_c[None])

    ((outputs * by_outputs).sum() + (c[0] * by_c).sum()).backward()
    leaves |= dict(layer.named_parameters())
    assert leaves.keys() == values.keys()
    for name, value in values.items():
        slopes = np.empty(value.shape)
        for place in np.ndindex(value.shape):  # f(x + i e) = f(x) + i e f'(x), exact to the last digits
            moved = value.astype(complex)
            moved[place] += 1e-30j
            w = {**values, name: moved}
            y, c_last = lstm_with_everything(w, w["x"], w["h0"], w["c0"])
            slopes[place] = ((y * by_outputs).sum() + (c_last * by_c).sum()).imag / 1e-30
        close(leaves[name].grad, slopes)


# -- layers, directions and lengths are made of simpler runs -----------------------------------------------------------


class Decay(rnn.Cell):
    """Two parts of different sizes: the output, and a memory twice as wide."""

    state_names = ("y", "m")

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.inner = rnn.Linear(hidden_size, 2 * hidden_size, dtype=float, rng=options.get("rng"))

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.hidden_size, 2 * self.hidden_size)

    def step(self, x: mg.Tensor, state: tuple[mg.Tensor, ...]) -> tuple[mg.Tensor, ...]:
        y, m = state
        new = mg.tanh(self.affine(x, y))
        m = 0.5 * m + self.inner(new)
        return new + m[:, : self.hidden_size], m


MAKERS: dict[str, Any] = {
    "rnn": lambda i, h, **o: rnn.RNNCell(i, h, **o),
    "lstm": lambda i, h, **o: rnn.LSTMCell(i, h, **o),
    "lstm with everything": lambda i, h, **o: rnn.LSTMCell(
        i, h, peepholes=True, proj_size=h - 1, clip=0.5, output_activation="elu", **o
    ),
    "gru": lambda i, h, **o: rnn.GRUCell(i, h, bias="single", **o),
    "gru of the paper": lambda i, h, **o: rnn.GRUCell(i, h, reset_after=False, **o),
    "of one's own": lambda i, h, **o: Decay(i, h, **o),
}


def stack_of(
    kind: str, num_layers: int, directions: int, rng: np.random.Generator, zoneout: float = 0.0, **options: Any
) -> rnn.Recurrent:
    """Layers of one direction (1), of both (2), or of the other (3), in evaluation mode."""
    layers: list[Any] = []
    width = 2
    for _ in range(num_layers):
        cells = [MAKERS[kind](width, 3, dtype=float, rng=rng, **options) for _ in range(1 + (directions == 2))]
        width = sum(cell.state_sizes[0] for cell in cells)
        layers.append(tuple(cells) if directions == 2 else cells[0])
    return rnn.Recurrent(*layers, reverse=directions == 3, zoneout=zoneout).eval()


def state_for(layer: rnn.Recurrent, batch: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return tuple(rng.normal(size=part.shape) for part in layer.initial_state(batch))


def factors_for(layer: rnn.Recurrent, T: int, batch: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """What the loss multiplies the outputs and the parts of the final state with."""
    return rng.normal(size=(T, batch, layer.output_size)), list(state_for(layer, batch, rng))


def loss_of(outputs: Any, state: Any, by_outputs: np.ndarray, by_state: Any) -> mg.Tensor:
    return sum(((a * b).sum() for a, b in zip(state, by_state, strict=True)), (outputs * by_outputs).sum())


def exactly(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def one_way(cell: rnn.Cell, x: mg.Tensor, state: tuple[Any, ...], backwards: bool) -> tuple[mg.Tensor, tuple[mg.Tensor, ...]]:
    """A cell over a sequence, by nothing but its step; backwards on the sequence turned around, and turned back."""
    steps = [x[t] for t in range(len(x))]
    outputs = []
    for x_t in reversed(steps) if backwards else steps:
        state = cell.step(x_t, state)
        outputs.append(state[0])
    return mg.stack(outputs[::-1] if backwards else outputs), state


@pytest.mark.parametrize("kind", MAKERS)
@settings(deadline=None, max_examples=15)
@given(num_layers=st.integers(1, 3), directions=st.integers(1, 3), T=st.integers(1, 5), seed=seeds)
def test_a_stack_is_layer_by_layer_and_each_direction_a_run_on_the_sequence_or_the_reversed_one(
    kind: str, num_layers: int, directions: int, T: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    layer = stack_of(kind, num_layers, directions, rng)
    start = state_for(layer, 2, rng)
    by_outputs, by_state = factors_for(layer, T, 2, rng)
    x = rng.normal(size=(T, 2, 2))

    def by_layers(x: mg.Tensor, state: list[mg.Tensor]) -> tuple[mg.Tensor, list[mg.Tensor]]:
        left, final = list(state), []
        for cells in layer.cells:
            both = []
            for backwards, cell in zip(layer.directions, cells, strict=True):
                n = len(cell.state_names)
                outputs, after = one_way(cell, x, tuple(left[:n]), backwards)
                left = left[n:]
                both.append(outputs)
                final.extend(after)
            x = mg.concatenate(both, -1) if len(both) == 2 else both[0]
        return x, final

    found: list[Any] = []
    for run in (layer.run, by_layers):
        layer.zero_grad()
        x_in, state_in = mg.tensor(x, requires_grad=True), [mg.tensor(part, requires_grad=True) for part in start]
        outputs, final = run(x_in, state_in)
        loss_of(outputs, final, by_outputs, by_state).backward()
        found.append([outputs.data, *(part.data for part in final), x_in.grad, *(part.grad for part in state_in)])
        found[-1] += [p.grad for p in layer.parameters()]
    for ours, expected in zip(*found, strict=True):
        exactly(ours, expected)


@pytest.mark.parametrize("padding", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("learn_state", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
@settings(deadline=None, max_examples=10)
@given(
    num_layers=st.integers(1, 3),
    directions=st.integers(1, 3),
    zoneout=st.sampled_from([0.0, 0.3]),
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=seeds,
)
def test_with_lengths_each_sequence_is_as_on_its_own(
    kind: str,
    learn_state: bool,
    padding: float,
    num_layers: int,
    directions: int,
    zoneout: float,
    lengths: list[int],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    T, batch = 5, len(lengths)
    layer = stack_of(kind, num_layers, directions, rng, zoneout, learn_state=learn_state)
    for name, p in layer.named_parameters():
        if name[1:3] == "0_":
            p.data = rng.normal(size=p.shape)
    start = None if learn_state else state_for(layer, batch, rng)
    by_outputs, by_state = factors_for(layer, T, batch, rng)
    x = rng.normal(size=(T, batch, 2))
    for b, length in enumerate(lengths):
        x[length:, b] = padding

    x_in = mg.tensor(x, requires_grad=True)
    state_in = None if start is None else tuple(mg.tensor(part, requires_grad=True) for part in start)
    outputs, final = layer.run(x_in, state_in, lengths)
    loss_of(outputs, final, by_outputs, by_state).backward()
    together = {name: p.grad for name, p in layer.named_parameters()}
    layer.zero_grad()
    for b, length in enumerate(lengths):
        x_b = mg.tensor(x[:length, b : b + 1], requires_grad=True)
        state_b = None if start is None else tuple(mg.tensor(part[b : b + 1], requires_grad=True) for part in start)
        outputs_b, final_b = layer.run(x_b, state_b)
        loss_of(outputs_b, final_b, by_outputs[:length, b : b + 1], [f[b : b + 1] for f in by_state]).backward()
        exactly(outputs.data[:length, b : b + 1], outputs_b.data)
        np.testing.assert_array_equal(outputs.data[length:, b], 0)
        for part, part_b in zip(final, final_b, strict=True):
            exactly(part.data[b : b + 1], part_b.data)
        exactly(x_in.grad[:length, b : b + 1], x_b.grad)
        np.testing.assert_array_equal(x_in.grad[length:, b], 0)
        for part, part_b in zip(state_in or (), state_b or (), strict=True):
            exactly(part.grad[b : b + 1], part_b.grad)
    for name, p in layer.named_parameters():
        exactly(together[name], p.grad)


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_lengths_of_the_whole_sequence_change_nothing(kind: Any) -> None:
    layer = kind(2, 3, num_layers=2, bidirectional=True, rng=0)
    x = np.random.default_rng(1).normal(size=(4, 3, 2))
    outputs, _ = layer(x)
    for lengths in ([4, 4, 4], np.full(3, 4, np.uint8), (4, 4, 4)):
        with_lengths, _ = layer(x, lengths=lengths)
        np.testing.assert_array_equal(with_lengths.data, outputs.data)
    assert len(mg.Graph(with_lengths)) == len(mg.Graph(outputs))


def test_masks_keep_single_precision() -> None:
    outputs, (h, c) = rnn.LSTM(2, 3, 2, bidirectional=True, rng=0)(np.ones((4, 2, 2)), lengths=[4, 2])
    assert {outputs.dtype, h.dtype, c.dtype} == {np.dtype(np.float32)}


# -- batch first, one sequence -----------------------------------------------------------------------------------------


def flat(result: Any) -> list[Any]:
    return [t for part in result for t in flat(part)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
@pytest.mark.parametrize("lengths", [None, [2, 5, 1]])
def test_batch_first_moves_the_batch_of_input_output_and_states(kind: Any, directions: int, lengths: Any) -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": directions == 2, "dtype": float, "rng": 0}
    usual, first = kind(2, 4, **options), kind(2, 4, batch_first=True, **options)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 3, 2))
    parts = [rng.normal(size=(2 * directions, 3, 4)) for _ in usual.cell.state_names]
    moved = [part.swapaxes(0, 1) for part in parts]
    expected = flat(usual(x, tuple(parts) if len(parts) > 1 else parts[0], lengths))
    for given_parts in (moved, [part.tolist() for part in moved], [mg.tensor(part) for part in moved]):
        state = tuple(given_parts) if len(parts) > 1 else given_parts[0]
        found = flat(first(x.swapaxes(0, 1), state, lengths))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours.data, theirs.data.swapaxes(0, 1))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_one_sequence_is_a_batch_of_one(kind: Any, batch_first: bool) -> None:
    layer = kind(2, 4, num_layers=2, bidirectional=True, batch_first=batch_first, dtype=float, rng=0)
    rng = np.random.default_rng(1)
    x, parts = rng.normal(size=(5, 2)), [rng.normal(size=(4, 4)) for _ in layer.cell.state_names]
    batched = [part[None] if batch_first else part[:, None] for part in parts]
    found = flat(layer(x, tuple(parts) if len(parts) > 1 else parts[0]))
    expected = flat(layer(x[None] if batch_first else x[:, None], tuple(batched) if len(parts) > 1 else batched[0]))
    assert [t.shape for t in found] == [(5, 8)] + [(4, 4)] * len(parts)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data[0] if batch_first else theirs.data[:, 0])


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_the_final_state_is_taken_as_the_initial_one_of_the_next_part(kind: Any) -> None:
    layer = kind(2, 3, num_layers=2, dtype=float, rng=0, batch_first=True)
    x = np.random.default_rng(1).normal(size=(2, 7, 2))
    whole, final = layer(x)
    head, state = layer(x[:, :3])
    tail, final_of_parts = layer(x[:, 3:], state)
    close(np.concatenate([head.data, tail.data], 1), whole.data)
    for ours, expected in zip(flat(final_of_parts), flat(final), strict=True):
        close(ours.data, expected.data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_first", [False, True])
def test_arrays_are_cast_to_the_dtype_of_the_weights(dtype: Any, batch_first: bool) -> None:
    layer = rnn.GRU(3, 4, batch_first=batch_first, dtype=dtype, rng=0)
    outputs, h = layer(np.ones((2, 2, 3), int), np.zeros((2, 1, 4) if batch_first else (1, 2, 4), int))
    assert (outputs.dtype, h.dtype) == (dtype, dtype)


# -- last_output -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [None, [2, 5, 1]])
def test_last_output_is_the_final_state_of_the_last_layer(lengths: Any, batch_first: bool, directions: int) -> None:
    layer = rnn.GRU(2, 3, 2, bidirectional=directions == 2, batch_first=batch_first, dtype=float, rng=0)
    x = np.random.default_rng(1).normal(size=(3, 5, 2) if batch_first else (5, 3, 2))
    outputs, h = layer(x, lengths=lengths)
    last = rnn.last_output(outputs, lengths, bidirectional=directions == 2, batch_first=batch_first)
    parts = h.data.swapaxes(0, 1) if batch_first else h.data
    np.testing.assert_array_equal(last.data, np.concatenate(list(parts[-directions:]), -1))
    last.sum().backward()
    by_output = {name: p.grad for name, p in layer.named_parameters()}
    layer.zero_grad()
    outputs, h = layer(x, lengths=lengths)
    (mg.swapaxes(h, 0, 1) if batch_first else h)[-directions:].sum().backward()
    for name, p in layer.named_parameters():
        exactly(by_output[name], p.grad)


def test_last_output_tells_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=re.escape("three axes and at least one step; this one has shape (5, 3)")):
        rnn.last_output(np.ones((5, 3)))
    with pytest.raises(ValueError, match=re.escape("at least one step; this one has shape (0, 2, 3)")):
        rnn.last_output(np.ones((0, 2, 3)))
    with pytest.raises(ValueError, match="even number of features; this one has 3"):
        rnn.last_output(np.ones((5, 2, 3)), bidirectional=True)
    with pytest.raises(ValueError, match="lengths must be from 1 to T=5, the steps of the input, not 2 to 6"):
        rnn.last_output(np.ones((5, 2, 3)), [2, 6])


# -- learned states, one bias ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_learned_states_begin_at_zero_and_get_the_gradient_of_every_sequence(kind: Any) -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": float, "rng": 0}
    layer, fixed = kind(2, 3, learn_state=True, **options), kind(2, 3, **options)
    names = [f"{n}0_l{k}{d}" for k in (0, 1) for d in ("", "_reverse") for n in layer.cell.state_names]
    learned = {name: p for name, p in layer.named_parameters() if "0_l" in name}
    assert sorted(learned) == sorted(names)
    assert all(p.shape == (3,) and not p.data.any() for p in learned.values())
    x = np.random.default_rng(1).normal(size=(4, 5, 2))
    zeros = [mg.tensor(np.zeros((4, 5, 3)), requires_grad=True) for _ in layer.cell.state_names]
    outputs, _ = layer(x)
    expected, _ = fixed(x, tuple(zeros) if len(zeros) > 1 else zeros[0])
    np.testing.assert_array_equal(outputs.data, expected.data)
    (outputs * outputs).sum().backward()
    (expected * expected).sum().backward()
    for part, name in zip(zeros, layer.cell.state_names, strict=True):
        rows = [learned[f"{name}0_l{k}{d}"].grad for k in (0, 1) for d in ("", "_reverse")]
        exactly(np.stack(rows), part.grad.sum(1))
        assert np.abs(part.grad).min() > 0
    given_state = tuple(np.ones((4, 5, 3)) for _ in zeros)
    layer.zero_grad()
    layer(x, given_state if len(zeros) > 1 else given_state[0])[0].sum().backward()
    assert all(p.grad is None for p in learned.values())


def test_learned_states_of_a_projection_have_their_own_sizes() -> None:
    layer = rnn.LSTM(2, 4, proj_size=3, learn_state=True)
    assert (layer.h0_l0.shape, layer.c0_l0.shape) == ((3,), (4,))
    assert layer(np.ones((2, 1, 2)))[0].shape == (2, 1, 3)


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_a_single_bias_is_two_of_which_the_other_is_zero(kind: Any) -> None:
    single = kind(2, 3, 2, bias="single", bidirectional=True, dtype=float, rng=0)
    double = kind(2, 3, 2, bidirectional=True, dtype=float, rng=1)
    values = single.state_dict()
    assert not any("bias_hh" in name for name in values)
    assert sum("bias_ih" in name for name in values) == 4
    double.load_state_dict(
        {name: values.get(name, np.zeros(p.shape)) for name, p in double.named_parameters()},
    )
    x = np.random.default_rng(2).normal(size=(4, 2, 2))
    for layer in (single, double):
        layer(x)[0].sum().backward()
    exactly(single(x)[0].data, double(x)[0].data)
    for name, p in single.named_parameters():
        exactly(p.grad, dict(double.named_parameters())[name].grad)


# -- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
@pytest.mark.parametrize("directions", [1, 2])
def test_dropout_acts_between_layers_and_nowhere_else(kind: Any, directions: int) -> None:
    options: dict[str, Any] = {"bidirectional": directions == 2, "dtype": float}
    deep = kind(2, 4, 3, dropout=0.5, rng=0, **options)
    layers = [kind(2 if k == 0 else 4 * directions, 4, **options) for k in range(3)]
    for k, layer in enumerate(layers):
        layer.load_state_dict({name: getattr(deep, name.replace("_l0", f"_l{k}")).data for name in layer.state_dict()})
    x = np.random.default_rng(1).normal(size=(5, 3, 2))
    deep.rng, twin = np.random.default_rng(7), np.random.default_rng(7)
    found, _ = deep(x)
    h: Any = x
    for k, layer in enumerate(layers):
        h, _ = layer(h)
        if k < 2:
            h = h * np.stack([rnn.init.dropout_mask(step, 0.5, twin) for step in h.data])
    exactly(found.data, h.data)
    found.sum().backward()
    h.sum().backward()
    for k, layer in enumerate(layers):
        for name, p in layer.named_parameters():
            exactly(getattr(deep, name.replace("_l0", f"_l{k}")).grad, p.grad)


def test_dropout_acts_only_in_training() -> None:
    plain, dropped = rnn.LSTM(2, 4, 2, rng=0), rnn.LSTM(2, 4, 2, dropout=0.5, rng=0)
    x = np.ones((3, 2, 2))
    expected = plain(x)[0].data
    assert not np.array_equal(dropped(x)[0].data, expected)
    assert not np.array_equal(dropped(x)[0].data, dropped(x)[0].data)
    before = dropped.rng.bit_generator.state
    assert dropped.eval() is dropped
    np.testing.assert_array_equal(dropped(x)[0].data, expected)
    assert dropped.rng.bit_generator.state == before
    dropped.train()
    assert not np.array_equal(dropped(x)[0].data, expected)


def test_dropout_is_the_same_for_the_same_seed() -> None:
    one, same, other = (rnn.GRU(2, 4, 2, dropout=0.5, rng=seed) for seed in (3, 3, 4))
    x = np.ones((3, 2, 2))
    for _ in range(2):
        expected = one(x)[0].data
        np.testing.assert_array_equal(same(x)[0].data, expected)
        assert not np.array_equal(other(x)[0].data, expected)


def test_dropout_in_a_step_draws_as_a_run_of_one_layer_after_the_other_does() -> None:
    layer = rnn.GRU(2, 4, 2, dropout=0.5, dtype=float, rng=0)
    x = np.random.default_rng(1).normal(size=(4, 3, 2))
    layer.rng = np.random.default_rng(5)
    expected, _ = layer(x)
    layer.rng = np.random.default_rng(5)
    state = layer.initial_state(3)
    for t in range(4):
        state = layer.step(x[t], state, t)
        exactly(layer.output_of(state).data, expected.data[t])


def test_dropout_of_one_layer_warns_where_it_was_asked_for() -> None:
    for make in (lambda: rnn.LSTM(2, 3, dropout=0.5), lambda: rnn.Recurrent(rnn.GRUCell(2, 3), dropout=0.5)):
        with pytest.warns(UserWarning, match="dropout acts between layers, and there is only one") as warned:
            make()
        assert [(w.filename, w.lineno) for w in warned] == [(__file__, make.__code__.co_firstlineno)]
    rnn.LSTM(2, 3, 2, dropout=0.5)
    rnn.LSTM(2, 3, dropout=0.0)


# -- cells of one's own ------------------------------------------------------------------------------------------------


def test_cells_of_ones_own_in_stacks_and_pairs_have_states_by_layer_and_direction() -> None:
    rng = np.random.default_rng(0)
    layer = rnn.Recurrent(*((Decay(w, 3, dtype=float, rng=rng), Decay(w, 3, dtype=float, rng=rng)) for w in (2, 6)))
    assert (layer.input_size, layer.hidden_size, layer.output_size, layer.bidirectional) == (2, 3, 6, True)
    outputs, (y, m) = layer(np.ones((4, 5, 2)))
    assert (outputs.shape, y.shape, m.shape) == ((4, 5, 6), (4, 5, 3), (4, 5, 6))
    assert "inner.weight_l1_reverse" in layer.state_dict()
    again, _ = layer(np.ones((4, 5, 2)), (np.zeros((4, 5, 3)), np.zeros((4, 5, 6))))
    np.testing.assert_array_equal(again.data, outputs.data)


def test_different_cells_in_one_stack_run_with_the_parts_of_their_states_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    layer = rnn.Recurrent(*(kind(4, 4, dtype=float, rng=rng) for kind in (rnn.LSTMCell, rnn.GRUCell, rnn.GRUCell)))
    x = rng.normal(size=(5, 2, 4))
    outputs, state = layer.run(x)
    assert [part.name for part in state] == ["h", "c", "h", "h"]
    np.testing.assert_array_equal(outputs.data[-1], layer.output_of(state).data)
    head, between = layer.run(x[:2])
    tail, _ = layer.run(x[2:], between)
    exactly(np.concatenate([head.data, tail.data]), outputs.data)


@pytest.mark.parametrize(
    "cells",
    [
        (rnn.LSTMCell(4, 4), rnn.GRUCell(4, 4)),
        (rnn.LSTMCell(4, 4), rnn.GRUCell(4, 4), rnn.GRUCell(4, 4)),  # as many parts as two LSTMs
        (rnn.RNNCell(4, 4), rnn.LSTMCell(4, 4)),
        (rnn.GRUCell(4, 4), rnn.GRUCell(4, 3)),
    ],
)
def test_states_of_different_cells_are_not_put_into_one_array(cells: Any) -> None:
    with pytest.raises(ValueError, match=r"have different states, which do not fit into one array; call run\(x\)"):
        rnn.Recurrent(*cells)(np.ones((2, 1, 4)))


def test_one_cell_in_two_layers_shares_its_weights() -> None:
    cell = rnn.GRUCell(3, 3, dtype=float, rng=0)
    layer = rnn.Recurrent(cell, cell)
    assert len(layer.parameters()) == 4
    assert len(layer.state_dict()) == 8
    apart = rnn.GRU(3, 3, 2, dtype=float)
    apart.load_state_dict(layer.state_dict())
    x = np.random.default_rng(1).normal(size=(4, 2, 3))
    for net in (layer, apart):
        (net(x)[0] ** 2).sum().backward()
    for name, p in cell.named_parameters():
        exactly(p.grad, getattr(apart, f"{name}_l0").grad + getattr(apart, f"{name}_l1").grad)


# -- names, tags -------------------------------------------------------------------------------------------------------


def test_parameters_of_layers_and_directions_are_named_as_in_pytorch() -> None:
    layer = rnn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        (f"{name}_l{k}{d}", shape)
        for k, width in ((0, 3), (1, 4))
        for d in ("", "_reverse")
        for name, shape in (
            ("weight_ih", (16, width)), ("weight_hh", (16, 2)), ("bias_ih", (16,)), ("bias_hh", (16,)), ("weight_hr", (2, 4))
        )
    ]  # fmt: skip
    assert all(p.name == name for name, p in layer.named_parameters())
    assert layer.weight_hr_l1_reverse is layer.cells[1][1].weight_hr
    assert list(rnn.GRU(3, 4, 2, bias=False).state_dict()) == [
        "weight_ih_l0", "weight_hh_l0", "weight_ih_l1", "weight_hh_l1"
    ]  # fmt: skip


def test_attributes_of_layers_that_are_not_there_are_named() -> None:
    for name in ("weight_ih_l2", "weight_ih_l0_reverse", "weight_hr_l9", "nothing_l0"):
        with pytest.raises(AttributeError, match=f"'GRU' object has no attribute '{name}'"):
            getattr(rnn.GRU(3, 4, 2), name)


@pytest.mark.parametrize(("kind", "names"), KINDS_AND_NAMES)
@pytest.mark.parametrize("lengths", [None, [3, 1]])
def test_nodes_carry_their_layer_direction_and_step(kind: Any, names: set[str], lengths: Any) -> None:
    outputs, _ = kind(3, 4, 2, bidirectional=True, rng=0)(np.ones((3, 2, 3)), lengths=lengths)
    graph = list(mg.Graph(outputs))
    of = kind.__name__.lower()
    for k in (0, 1):
        for direction in ("forward", "reverse"):
            for t in range(3):
                here = [n for n in graph if str(n.scope) == f"{of}/layer={k}/direction={direction}/t={t}"]
                # the second layer reads what the first said, under its own name
                assert {n.name for n in here} - {None} == names - ({"x"} if k else set())
                assert all(
                    (n.scope.get("layer"), n.scope.get("direction"), n.scope.get("t")) == (k, direction, t) for n in here
                )
        for t in range(3):
            joined = [n for n in graph if str(n.scope) == f"{of}/layer={k}/t={t}"]
            assert [n.op.name for n in joined] == ["concatenate"]


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_nodes_of_a_stack_carry_their_layer_and_step(kind: Any) -> None:
    outputs, _ = kind(3, 4, 2, rng=0)(np.ones((3, 2, 3)))
    scopes = {str(node.scope) for node in mg.Graph(outputs) if node.name == "h"}
    assert scopes == {f"{kind.__name__.lower()}/layer={k}/t={t}" for k in (0, 1) for t in range(3)}


# -- errors of the new options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: rnn.RNN(3, 4, 0), ValueError, "num_layers is 0; expected a whole number from 1 on"),
        (
            lambda: rnn.GRU(3, 4, 2, dropout=1.0),
            ValueError,
            "dropout is 1.0; it must be the share of outputs set to zero, from 0 to",
        ),
        (
            lambda: rnn.GRU(3, 4, 2, dropout=-0.1),
            ValueError,
            "dropout is -0.1; it must be the share of outputs set to zero, from 0",
        ),
        (lambda: rnn.LSTM(3, 4, proj_size=4), ValueError, "proj_size is 4; it must be less than hidden_size=4, or 0 for none"),
        (
            lambda: rnn.LSTM(3, 4, bias="both"),
            ValueError,
            "bias must be True (two, as in PyTorch), 'single' or False, not 'both'",
        ),
        (lambda: rnn.Recurrent(), ValueError, "a recurrent layer needs at least one cell"),
        (
            lambda: rnn.Recurrent(rnn.Linear(3, 4)),
            TypeError,
            "layer 0 must be a Cell, or a pair of them, not Linear",
        ),
        (lambda: rnn.Recurrent(rnn.RNN(3, 4)), TypeError, "layer 0 must be a Cell, or a pair of them, not RNN"),
        (
            lambda: rnn.Recurrent(rnn.RNNCell(3, 4), (rnn.RNNCell(4, 4), rnn.RNNCell(4, 4))),
            ValueError,
            "either each layer must be one cell, or each a pair of cells, forward and backward",
        ),
        (
            lambda: rnn.Recurrent((rnn.RNNCell(3, 4),) * 3),
            ValueError,
            "either each layer must be one cell, or each a pair of cells",
        ),
        (lambda: rnn.Recurrent(()), ValueError, "either each layer must be one cell, or each a pair of cells"),
        (
            lambda: rnn.Recurrent(rnn.RNNCell(3, 4), rnn.RNNCell(3, 4)),
            ValueError,
            "layer 1 gets 4 features, but its cell has input_size=3",
        ),
        (
            lambda: rnn.Recurrent((rnn.RNNCell(3, 4), rnn.RNNCell(2, 4))),
            ValueError,
            "layer 0 gets 3 features, but its cell has input_size=2",
        ),
    ],
)
def test_layers_that_cannot_be_made_say_why(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.parametrize(
    ("shape", "batch_first", "expected"),
    [
        ((5, 4), False, "(T, input_size=3)"),
        ((5, 4), True, "(T, input_size=3)"),
        ((2, 5, 4), True, "(batch, T, input_size=3)"),
        ((5, 2, 4), False, "(T, batch, input_size=3)"),
        ((3,), True, "(batch, T, input_size=3)"),
        ((1, 5, 2, 3), True, "(batch, T, input_size=3)"),
    ],
)
def test_a_wrong_input_is_told_as_it_was_given(shape: tuple[int, ...], batch_first: bool, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the input has shape {shape}; expected {expected}")):
        rnn.GRU(3, 4, batch_first=batch_first)(np.ones(shape))


@pytest.mark.parametrize(
    ("options", "x", "state", "text"),
    [
        ({}, (5, 2, 3), (2, 2, 4), "an initial state must have shape (4, batch, hidden_size=4), not (2, 2, 4)"),
        ({"batch_first": True}, (2, 5, 3), (4, 2, 4), "shape (batch, 4, hidden_size=4), not (4, 2, 4)"),
        ({}, (5, 3), (4, 1, 4), "an initial state must have shape (4, hidden_size=4), not (4, 1, 4)"),
        ({}, (5, 2, 3), (4, 3, 4), "the state h has shape (3, 4); expected (batch, hidden_size) = (2, 4)"),
    ],
)
def test_a_wrong_state_is_told_as_it_was_given(options: Any, x: Any, state: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        rnn.GRU(3, 4, 2, bidirectional=True, **options)(np.ones(x), np.zeros(state))


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([5], "lengths must be 2 integers, one a sequence, not int64 of shape (1,)"),
        ([5.0, 2.0], "lengths must be 2 integers, one a sequence, not float64 of shape (2,)"),
        ([True, True], "lengths must be 2 integers, one a sequence, not bool of shape (2,)"),
        (5, "lengths must be 2 integers, one a sequence, not int64 of shape ()"),
        ([0, 5], "lengths must be from 1 to T=5, the steps of the input, not 0 to 5"),
        ([1, 6], "lengths must be from 1 to T=5, the steps of the input, not 1 to 6"),
    ],
)
def test_wrong_lengths_are_refused(lengths: Any, text: str) -> None:
    for kind in rnn.config.LAYERS.values():
        with pytest.raises(ValueError, match=re.escape(text)):
            kind(3, 4)(np.ones((5, 2, 3)), lengths=lengths)


def test_lengths_of_one_sequence_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("this is one sequence; cut it with x[:length]")):
        rnn.GRU(3, 4)(np.ones((5, 3)), lengths=[3])


def test_states_of_run_and_step_have_the_parts_of_every_cell() -> None:
    layer = rnn.LSTM(3, 4, 2)
    part = np.zeros((2, 4))
    with pytest.raises(ValueError, match="the state has 6 parts, 2 more than the cells of this layer"):
        layer.run(np.ones((5, 2, 3)), (part,) * 6)
    with pytest.raises(ValueError, match=re.escape("the state of LSTMCell is (h, c), not 1 parts")):
        layer.step(np.ones((2, 3)), (part,) * 3, 0)


@pytest.mark.parametrize(
    ("direction", "words"),
    [("bidirectional", "reads the sequence from both ends"), ("reverse", "with reverse=True reads the sequence from its end")],
)
def test_a_layer_that_reads_backwards_does_not_go_step_by_step(direction: str, words: str) -> None:
    layer = rnn.GRU(3, 4, **{direction: True}, rng=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{words}, so it has no single steps; call forward"):
        layer.step(np.ones((2, 3)), layer.initial_state(2), 0)
    readout = rnn.Linear(layer.output_size, 3, rng=1)
    with pytest.raises(ValueError, match=f"the decoder cannot be {direction}, because it reads its own predictions"):
        rnn.EncoderDecoder(layer, layer, readout, start=0)
    with pytest.raises(ValueError, match=r"reads a text from (both ends|its end), so it predicts nothing"):
        rnn.read(rnn.Sequence(layer, readout), "abcabc" * 10, rnn.Alphabet("abc"))


def test_the_last_output_of_one_direction_or_of_both() -> None:
    output = rnn.GRU(3, 4, reverse=True, rng=0)(np.ones((5, 2, 3)), lengths=[5, 2])[0]
    np.testing.assert_array_equal(rnn.last_output(output, [5, 2], reverse=True).data, output.data[0])
    with pytest.raises(ValueError, match="leave out one of bidirectional and reverse"):
        rnn.last_output(output, reverse=True, bidirectional=True)


def test_an_encoder_may_read_in_reverse_and_is_then_not_drawn() -> None:
    decoder, readout, x = rnn.GRU(5, 4, rng=1), rnn.Linear(4, 5, rng=2), np.random.default_rng(0).normal(size=(6, 2, 3))
    targets = np.array([[1, 2], [0, 3]])
    model = rnn.EncoderDecoder(rnn.GRU(3, 4, reverse=True, rng=0), decoder, readout, start=4)
    same = rnn.EncoderDecoder(rnn.GRU(3, 4, rng=0), decoder, readout, start=4)
    np.testing.assert_array_equal(model(x, targets).data, same(x[::-1], targets).data)
    with pytest.raises(ValueError, match=r"use reverse=False and give source\[::-1\]"):
        rnn.gradient_flow(model, x, targets)
