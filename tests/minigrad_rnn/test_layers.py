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
    [
        ((0, 2), "in_features is 0; expected a whole number from 1 on"),
        ((3, -1), "out_features is -1; expected a whole number from 1 on"),
    ],
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
    with pytest.raises(ValueError, match="the readout reads 5 features, but the recurrent layer has 4"):
        rnn.Sequence(rnn.RNN(3, 4), rnn.Linear(5, 2))


def test_sequence_refuses_what_its_layer_refuses() -> None:
    with pytest.raises(ValueError, match=r"the input has shape \(5, 3\); expected \(T, batch, input_size=3\)"):
        model(rnn.LSTM)(np.ones((5, 3)))


# -- Embedding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (4,), (3, 2), (0, 2)])
def test_embedding_gives_rows_and_is_linear_on_one_hot_vectors(shape: tuple[int, ...]) -> None:
    layer = rnn.Embedding(5, 3, dtype=float, rng=0)
    symbols = np.random.default_rng(1).integers(5, size=shape)
    vectors = layer(symbols)
    assert vectors.shape == (*shape, 3)
    np.testing.assert_array_equal(vectors.data, layer.weight.data[symbols])
    np.testing.assert_allclose(vectors.data, np.eye(5)[symbols] @ layer.weight.data, atol=1e-15)


def test_repeated_symbols_add_up_their_gradients() -> None:
    layer = rnn.Embedding(5, 3, dtype=float, rng=0)
    symbols = np.array([[1, 3], [1, 1], [0, 3]])
    g = np.random.default_rng(1).normal(size=(3, 2, 3))
    (layer(symbols) * g).sum().backward()
    expected = np.zeros((5, 3))
    np.add.at(expected, symbols, g)
    np.testing.assert_allclose(layer.weight.grad, expected, rtol=1e-14)
    assert not layer.weight.grad[[2, 4]].any()


@pytest.mark.parametrize("optimizer", [rnn.SGD, rnn.Adam, rnn.RMSprop])
def test_the_row_of_the_padding_is_zero_and_stays_so(optimizer: Any) -> None:
    layer = rnn.Embedding(4, 3, padding_idx=2, dtype=float, rng=0)
    steps = optimizer(layer.parameters(), lr=0.1)
    for _ in range(3):
        before = layer.weight.data.copy()
        steps.zero_grad()
        vectors = layer([[0, 2], [2, 3]])
        np.testing.assert_array_equal(vectors.data[[0, 1], [1, 0]], 0)
        ((vectors - 1) ** 2).sum().backward()
        np.testing.assert_array_equal(layer.weight.grad[2], 0)
        steps.step()
        np.testing.assert_array_equal(layer.weight.data[[1, 2]], before[[1, 2]])
        assert (layer.weight.data[[0, 3]] != before[[0, 3]]).all()
    assert not layer.weight.data[2].any()


def test_embedding_begins_standard_normal() -> None:
    weight = rnn.Embedding(400, 50, dtype=float, rng=3).weight.data
    np.testing.assert_array_equal(weight, np.random.default_rng(3).standard_normal((400, 50)))
    assert rnn.Embedding(4, 5, rng=0).weight.dtype == np.float32


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rnn.Embedding(0, 3), "num_embeddings is 0; expected a whole number from 1 on"),
        (lambda: rnn.Embedding(3, -1), "embedding_dim is -1; expected a whole number from 1 on"),
        (lambda: rnn.Embedding(3, 2, 3), "padding_idx is 3; it must be a class index from 0 to 2"),
        (lambda: rnn.Embedding(3, 2, -1), "padding_idx is -1; it must be a class index from 0 to 2"),
        (lambda: rnn.Embedding(3, 2)([0, 3]), "indices must be from 0 to 2; these are from 0 to 3"),
        (lambda: rnn.Embedding(3, 2)(mg.tensor([-1, 1])), "indices must be from 0 to 2; these are from -1 to 1"),
        (lambda: rnn.LayerNorm(0), "features is 0; expected a whole number from 1 on"),
        (lambda: rnn.LayerNorm(3)(np.ones((3, 2))), "the input has shape (3, 2); expected (..., features=3)"),
        (lambda: rnn.LayerNorm(3)(1.0), "the input has shape (); expected (..., features=3)"),
        (lambda: rnn.Dropout(1.0), "p is 1.0; it must be the share of elements set to zero, from 0 to less than 1"),
        (lambda: rnn.Dropout(-0.5), "p is -0.5; it must be the share of elements set to zero, from 0 to less than 1"),
    ],
)
def test_layers_tell_what_was_given_and_expected(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


@pytest.mark.parametrize(
    ("given", "dtype"), [([0.0, 1.0], "float64"), ([True, False], "bool"), (np.eye(3, dtype="f4"), "float32")]
)
def test_symbols_that_are_no_integers_are_refused(given: Any, dtype: str) -> None:
    with pytest.raises(TypeError, match=rf"Embedding needs class indices \(integers\), not {dtype}"):
        rnn.Embedding(3, 2)(given)


# -- Dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    drop, n = rnn.Dropout(p, rng=0), 100_000
    y = drop(np.ones(n)).data
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-12)
    assert abs(kept.mean() - (1 - p)) < 5 * (p * (1 - p) / n) ** 0.5
    assert abs(y.mean() - 1) < 5 * (p / (1 - p) / n) ** 0.5


def test_dropout_passes_back_what_it_let_through() -> None:
    x = mg.tensor(np.ones((4, 5)), requires_grad=True)
    y = rnn.Dropout(0.5, rng=0)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)
    assert set(np.unique(y.data)) == {0.0, 2.0}


def test_dropout_in_evaluation_and_of_nothing_does_nothing() -> None:
    x = mg.tensor(np.ones(9), requires_grad=True)
    assert rnn.Dropout(0.5).eval()(x) is x
    assert rnn.Dropout(0.0)(x) is x


def test_dropout_is_the_same_for_the_same_seed_and_keeps_the_dtype() -> None:
    one, same, other = (rnn.Dropout(0.5, rng=seed) for seed in (1, 1, 2))
    x = np.ones(50, np.float32)
    for _ in range(2):
        expected = one(x).data
        assert expected.dtype == np.float32
        np.testing.assert_array_equal(same(x).data, expected)
        assert not np.array_equal(other(x).data, expected)


# -- LayerNorm ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_layer_norm_is_its_formula(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    layer = rnn.LayerNorm(4, eps=0.1, dtype=float)
    np.testing.assert_array_equal([layer.weight.data, layer.bias.data], [np.ones(4), np.zeros(4)])
    layer.weight.data, layer.bias.data = rng.normal(size=(2, 4))
    x = rng.normal(size=shape)
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1)
    np.testing.assert_allclose(layer(x).data, normal * layer.weight.data + layer.bias.data, rtol=1e-12)


def test_layer_norm_gradients_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(0)
    layer = rnn.LayerNorm(4, dtype=float)

    def run(x: Any, weight: Any, bias: Any) -> Any:
        vars(layer).update(weight=weight, bias=bias)  # past the guard of parameters
        return layer(x)

    mg.check_grads(run, rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4), order=2)


def test_layer_norm_of_equal_numbers_is_its_bias() -> None:
    x = mg.tensor(np.full((2, 3), 7.0), requires_grad=True)
    y = rnn.LayerNorm(3, dtype=float)(x)
    y.sum().backward()
    np.testing.assert_array_equal(y.data, 0)
    np.testing.assert_array_equal(x.grad, 0)


# -- Sequential --------------------------------------------------------------------------------------------------------


def test_sequential_is_one_after_the_other() -> None:
    first, last = rnn.Linear(3, 4, rng=0), rnn.Linear(4, 2, rng=1)
    net = rnn.Sequential(first, np.tanh, rnn.Dropout(0.5, rng=2), last)
    x = np.ones((5, 3))
    np.testing.assert_array_equal(net.eval()(x).data, last(np.tanh(first(x))).data)
    assert (len(net), net[0], net[1], net[-1]) == (4, first, np.tanh, last)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert [type(m).__name__ for m in net.modules()] == ["Sequential", "Linear", "Dropout", "Linear"]
    assert net.generators() == [net[2].rng]


def test_sequential_of_nothing_gives_what_it_is_given() -> None:
    x = np.ones(3)
    assert rnn.Sequential()(x) is x


def test_sequential_takes_what_can_be_called() -> None:
    with pytest.raises(TypeError, match="Sequential needs modules and functions, not ndarray"):
        rnn.Sequential(rnn.Linear(3, 2), np.ones(3))


def test_sequential_is_a_readout() -> None:
    readout = rnn.Sequential(rnn.Linear(4, 8, rng=0), mg.relu, rnn.Linear(8, 2, rng=1))
    net = rnn.Sequence(rnn.GRU(3, 4, rng=2), readout)
    assert net(np.ones((5, 2, 3))).shape == (5, 2, 2)
    assert "readout.2.weight" in net.state_dict()
    assert readout[2].weight.name == "readout.2.weight"


@pytest.mark.parametrize("kind", rnn.config.LAYERS.values())
def test_the_output_of_a_recurrent_layer_goes_on(kind: Any) -> None:
    x = np.ones((5, 2, 3))
    first, second, last = kind(3, 4, rng=0), rnn.GRU(4, 4, rng=1), rnn.Linear(4, 2, rng=2)
    expected = last(np.tanh(second(first(x)[0])[0]))
    np.testing.assert_array_equal(rnn.Sequential(first, second, np.tanh, last)(x).data, expected.data)
    np.testing.assert_array_equal(rnn.Sequential(first)(x).data, first(x)[0].data)
