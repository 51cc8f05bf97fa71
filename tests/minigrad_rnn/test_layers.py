"""Linear, and Sequence: a recurrent layer with a readout."""

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn


def model(kind: Any, seed: int = 0) -> rnn.Sequence:
    rng = np.random.default_rng(seed)
    return rnn.Sequence(kind(3, 4, dtype=float, rng=rng), rnn.Linear(4, 2, dtype=float, rng=rng))


# -- Linear ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (5, 2, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_maps_the_last_axis(shape: tuple[int, ...], bias: bool) -> None:
    rng = np.random.default_rng(0)
    layer = rnn.Linear(3, 2, bias, dtype=float, rng=rng)
    x = rng.normal(size=shape)
    expected = x @ layer.weight.data.T + (layer.bias.data if bias else 0)
    y = layer(x)
    assert y.shape == (*shape[:-1], 2)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (5, 2, 3)])
def test_linear_gradients_are_their_formulas(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    layer = rnn.Linear(3, 2, dtype=float, rng=rng)
    x = mg.tensor(rng.normal(size=shape), requires_grad=True)
    g = rng.normal(size=(*shape[:-1], 2))
    (layer(x) * g).sum().backward()
    rows, g_rows = x.data.reshape(-1, 3), g.reshape(-1, 2)
    np.testing.assert_allclose(layer.weight.grad, g_rows.T @ rows, rtol=1e-12)
    np.testing.assert_allclose(layer.bias.grad, g_rows.sum(0), rtol=1e-12)
    np.testing.assert_allclose(x.grad, g @ layer.weight.data, rtol=1e-12)


def test_linear_weights_are_drawn_in_order_from_the_generator() -> None:
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    layer = rnn.Linear(4, 2, dtype=float, rng=rng)
    np.testing.assert_array_equal(layer.weight.data, twin.uniform(-0.5, 0.5, (2, 4)))
    np.testing.assert_array_equal(layer.bias.data, twin.uniform(-0.5, 0.5, 2))
    assert rng.random() == twin.random()


def test_linear_without_bias_has_one_parameter() -> None:
    assert [name for name, _ in rnn.Linear(3, 2, bias=False).named_parameters()] == ["weight"]
    assert [name for name, _ in rnn.Linear(3, 2).named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize(
    ("sizes", "text"),
    [((0, 2), "in_features is 0; it must be at least 1"), ((3, -1), "out_features is -1; it must be at least 1")],
)
def test_linear_sizes_below_one_are_refused(sizes: tuple[int, int], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        rnn.Linear(*sizes)


@pytest.mark.parametrize("shape", [(), (2,), (3, 2)])
def test_linear_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the input has shape {shape}; expected (..., in_features=3)")):
        rnn.Linear(3, 2)(np.ones(shape))


# -- Sequence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_sequence_is_the_readout_of_every_output(kind: Any) -> None:
    net = model(kind)
    x = np.random.default_rng(1).normal(size=(5, 2, 3))
    outputs, _ = net.recurrent(x)
    y = net(x)
    assert y.shape == (5, 2, 2)
    np.testing.assert_allclose(y.data, outputs.data @ net.readout.weight.data.T + net.readout.bias.data, rtol=1e-12)


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_step_after_step_gives_the_outputs_of_forward(kind: Any) -> None:
    net = model(kind)
    x = np.random.default_rng(2).normal(size=(6, 2, 3))
    state = None
    for t, expected in enumerate(net(x).data):
        y, state = net.step(mg.tensor(x[t]), state, t)
        np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_step_after_step_gives_the_gradients_of_forward(kind: Any) -> None:
    whole, stepped = model(kind), model(kind)
    x = np.random.default_rng(3).normal(size=(6, 2, 3))
    whole(x).sum().backward()
    state, total = None, mg.tensor(0.0)
    for t in range(6):
        y, state = stepped.step(mg.tensor(x[t]), state, t)
        total = total + y.sum()
    total.backward()
    for p, q in zip(whole.parameters(), stepped.parameters(), strict=True):
        np.testing.assert_allclose(q.grad, p.grad, rtol=1e-10, atol=1e-12)


def test_step_carries_places_and_names() -> None:
    y, (h, c) = model(rnn.LSTM).step(mg.tensor(np.ones((1, 3))), None, 3)
    assert (str(y.scope), y.name) == ("readout/t=3", "o")
    assert [(str(part.scope), part.name) for part in (h, c)] == [("lstm/layer=0/t=3", "h"), ("lstm/layer=0/t=3", "c")]


def test_sequence_parameters_are_named_by_their_path() -> None:
    assert list(model(rnn.RNN).state_dict()) == [
        "recurrent.weight_ih_l0",
        "recurrent.weight_hh_l0",
        "recurrent.bias_ih_l0",
        "recurrent.bias_hh_l0",
        "readout.weight",
        "readout.bias",
    ]


def test_step_begins_with_a_state_for_every_sequence_of_the_batch() -> None:
    y, _ = model(rnn.LSTM).step(mg.tensor(np.ones((2, 3))), None, 0)
    shapes = {node.name: node.shape for node in mg.Graph(y) if node.name in ("h0", "c0")}
    assert shapes == {"h0": (2, 4), "c0": (2, 4)}


def test_readout_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the readout takes 5 features, but the recurrent layer gives 4"):
        rnn.Sequence(rnn.RNN(3, 4), rnn.Linear(5, 2))


def test_sequence_refuses_what_its_layer_refuses() -> None:
    with pytest.raises(ValueError, match=r"the input has shape \(5, 3\); expected \(T, batch, input_size=3\)"):
        model(rnn.LSTM)(np.ones((5, 3)))
