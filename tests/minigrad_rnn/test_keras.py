"""Layers with the interface of Keras, whose outputs are computed here by its equations."""

import sys
import types
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn

T, B = 5, 3
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
FUNCTIONS: dict[str, Any] = {  # as the documentation of Keras 3 defines them
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "linear": lambda x: x,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "exponential": np.exp,
}


class Layer:
    """The parts of a Keras layer that `load` reads."""

    def __init__(self, weights: list[np.ndarray], **config: Any) -> None:
        self.weights, self.config = weights, config

    def get_weights(self) -> list[np.ndarray]:
        return self.weights

    def get_config(self) -> dict[str, Any]:
        return self.config


def layer(kind: str, weights: list[np.ndarray], **config: Any) -> Any:
    return type(kind, (Layer,), {})(weights, **config)


def random_layer(rng: np.random.Generator, reads: int, kind: str = "", **given: Any) -> Any:
    kind = kind or str(rng.choice(list(GATES)))
    units = int(rng.integers(1, 6))
    config = {"units": units, "activation": str(rng.choice(list(FUNCTIONS)[:-1])), "return_sequences": True}
    if kind != "SimpleRNN":
        config["recurrent_activation"] = str(rng.choice(["sigmoid", *FUNCTIONS][:-1]))
    if kind == "GRU":
        config["reset_after"] = bool(rng.integers(2))
    rows = GATES[kind] * units
    shapes: list[tuple[int, ...]] = [(reads, rows), (units, rows)]
    if rng.integers(2):
        shapes.append((2, rows) if config.get("reset_after") else (rows,))
    return layer(kind, [rng.uniform(-0.6, 0.6, shape) for shape in shapes], **{**config, **given})


def outputs_of(keras: Any, x: np.ndarray) -> np.ndarray:
    """All outputs, (T, batch, units), by the equations in the documentation of Keras."""
    kind, config, (W, U, *b) = type(keras).__name__, keras.config, keras.weights
    units, f = config["units"], FUNCTIONS[config["activation"]]
    sigmoid = FUNCTIONS[config.get("recurrent_activation", "sigmoid")]
    b_in, b_state = np.broadcast_to(b[0], (2, W.shape[1])) if b and b[0].ndim == 2 else (b[0] if b else 0, np.zeros(W.shape[1]))
    h, c, outputs = np.zeros((B, units)), np.zeros((B, units)), []
    for x_t in x:
        a = x_t @ W + b_in
        if kind == "SimpleRNN":
            h = f(a + h @ U)
        elif kind == "LSTM":
            i, forget, g, o = np.split(a + h @ U, 4, -1)
            c = sigmoid(forget) * c + sigmoid(i) * f(g)
            h = sigmoid(o) * f(c)
        else:
            (a_z, a_r, a_h), (U_z, U_r, U_h) = np.split(a, 3, -1), np.split(U, 3, -1)
            b_z, b_r, b_h = np.split(b_state, 3)
            z, r = sigmoid(a_z + h @ U_z + b_z), sigmoid(a_r + h @ U_r + b_r)
            n = f(a_h + r * (h @ U_h + b_h)) if config["reset_after"] else f(a_h + (r * h) @ U_h)
            h = z * h + (1 - z) * n
        outputs.append(h)
    return np.array(outputs)


def of_both(ahead: Any, back: Any, merge_mode: str = "concat") -> Any:
    keras = layer("Bidirectional", [], merge_mode=merge_mode)
    keras.forward_layer, keras.backward_layer, keras.layers = ahead, back, []
    return keras


@pytest.mark.parametrize("seed", range(80))
def test_random_layers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keras = random_layer(rng, 3)
    x = rng.standard_normal((T, B, 3))
    expected = outputs_of(keras, x)
    if seed % 4 == 0:
        config = {name: value for name, value in keras.config.items() if name != "units"}
        back = random_layer(rng, 3, type(keras).__name__, **config, units=keras.config["units"])
        back.weights = [rng.uniform(-0.6, 0.6, a.shape) for a in keras.weights]
        keras, expected = of_both(keras, back), np.concatenate([expected, outputs_of(back, x[::-1])[::-1]], -1)
    model, report = rnn.load(keras)
    np.testing.assert_allclose(model(x)[0].data, expected, atol=1e-6)
    assert not report.left


@pytest.mark.parametrize(("last", "backwards"), [(True, False), (False, False), (True, True)])
def test_a_model_of_layers(last: bool, backwards: bool) -> None:
    rng = np.random.default_rng(0)
    recurrent = random_layer(rng, 4, "GRU", return_sequences=not last, go_backwards=backwards)
    units = recurrent.config["units"]
    table, W, b, V = (rng.standard_normal(shape) for shape in ((9, 4), (units, 6), (6,), (6, 2)))
    layers = [
        layer("Embedding", [table]), recurrent, layer("Dropout", []),
        layer("Dense", [W, b], activation="relu"), layer("Dense", [V], activation="linear"),
    ]  # fmt: skip
    keras = layer("Sequential", [])
    keras.layers = layers
    symbols = rng.integers(9, size=(T, B))
    outputs = np.maximum(outputs_of(recurrent, table[symbols[:: -1 if backwards else 1]]) @ W + b, 0) @ V
    model = rnn.load(keras).model
    np.testing.assert_allclose(model(symbols).data, outputs[-1] if last else outputs, atol=1e-6)
    layers[-1].config["activation"] = "softmax"
    with pytest.warns(UserWarning, match="the model is without softmax"):
        rnn.load(keras)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("keras", "message"),
    [
        (random_layer(RNG, 3, "LSTM", recurrent_activation="relu6"), "LSTM has the activation 'relu6'"),
        (random_layer(RNG, 3, "SimpleRNN", activation={"class_name": "Own"}), "has the activation {'class_name': 'Own'}"),
        (random_layer(RNG, 3, "GRU", go_backwards=True), "go_backwards=True and return_sequences=True"),
        (of_both(random_layer(RNG, 3), random_layer(RNG, 3), "sum"), "merge_mode='sum'"),
        (layer("Conv1D", [np.ones((3, 4))]), "no recurrent layer was found in the Keras Conv1D"),
    ],
)
def test_layers_that_the_cells_cannot_express(keras: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rnn.load(keras)


def test_the_hard_sigmoid_of_keras_2(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = random_layer(RNG, 3, "LSTM", recurrent_activation="hard_sigmoid")
    monkeypatch.setattr(type(keras), "__module__", "keras.layers")
    for version, name in (("2.15.0", "hard_sigmoid(0.2, 0.5)"), ("3.1.0", "hard_sigmoid")):
        monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(__version__=version))  # type: ignore[arg-type]
        assert rnn.load(keras).model.cell.recurrent_activation == name
