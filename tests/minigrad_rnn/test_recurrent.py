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


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_step_after_step_gives_the_outputs_of_forward(kind: Any) -> None:
    rng = np.random.default_rng(5)
    layer = kind(2, 3, dtype=float, rng=rng)
    x = rng.normal(size=(4, 2, 2))
    state = layer.cell.initial_state(2)
    for t, expected in enumerate(layer(x)[0].data):
        state = layer.step(mg.tensor(x[t]), state, t)
        close(state[0].data, expected)


# -- tags --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "names"), [(rnn.RNN, {"x", "h"}), (rnn.LSTM, {"x", "h", "c", "i", "f", "g", "o"})])
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


@pytest.mark.parametrize(("kind", "rows"), [(rnn.RNN, 4), (rnn.LSTM, 16)])
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
    assert repr(rnn.RNN(3, 4)) == f"<RNN with {4 * 3 + 4 * 4 + 2 * 4} parameters>"
    assert repr(rnn.LSTM(3, 4, bias=False)) == f"<LSTM with {16 * 3 + 16 * 4} parameters>"


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


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
@pytest.mark.parametrize("shape", [(3,), (5, 1, 4), (5, 1, 3, 1)])
def test_input_of_another_shape_is_refused(kind: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the input has shape {shape}; expected (T, batch, input_size=3)")):
        kind(3, 4)(np.ones(shape))


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_a_sequence_of_no_steps_is_refused(kind: Any) -> None:
    expected = re.escape("the input has shape (0, 2, 3): a sequence of no steps has no output")
    with pytest.raises(ValueError, match=expected):
        kind(3, 4)(np.ones((0, 2, 3)))


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 2, 4)])
def test_initial_state_without_its_axis_of_layers_is_refused(shape: tuple[int, ...]) -> None:
    expected = f"an initial state has shape (1, batch, hidden_size=4), not {shape}"
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
    with pytest.raises(ValueError, match=r"the initial state is \(h, c\), not a ndarray"):
        rnn.LSTM(3, 4)(np.ones((5, 2, 3)), np.zeros((2, 1, 2, 4)))


def test_errors_of_the_constructor_are_those_of_the_cell() -> None:
    with pytest.raises(ValueError, match="hidden_size is 0; it must be at least 1"):
        rnn.LSTM(3, 0)
    with pytest.raises(ValueError, match="nonlinearity is one of tanh, relu, sigmoid, not 'gelu'"):
        rnn.RNN(3, 4, nonlinearity="gelu")
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
