"""ONNX files: what goes out gives the same outputs in onnxruntime, and comes in again."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx onnxruntime")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnx onnxruntime")

V, OUT, T, B = 9, 3, 5, 4
LENGTHS = np.array([5, 2, 3, 1], np.int32)
FUNCTIONS = (
    "tanh", "sigmoid", "relu", "linear", "softplus", "softsign", "elu(0.7)", "leaky_relu(0.2)", "hard_sigmoid",
    "scaled_tanh(0.8, 1.5)", "affine(0.9, 0.1)", "thresholded_relu(0.3)",
)  # fmt: skip
NUMBERS = {  # of ONNX's activations, how many of activation_alpha and of activation_beta
    "Tanh": (0, 0), "Relu": (0, 0), "Sigmoid": (0, 0), "Softplus": (0, 0), "Softsign": (0, 0), "LeakyRelu": (1, 0),
    "ThresholdedRelu": (1, 0), "Elu": (1, 0), "Affine": (1, 1), "ScaledTanh": (1, 1), "HardSigmoid": (1, 1),
}  # fmt: skip


def random_model(seed: int) -> tuple[Any, np.ndarray]:
    """A model of any kind that can be exported, and inputs for it."""
    rng = np.random.default_rng(seed)
    kind, wiring = rng.choice(["RNN", "GRU", "LSTM"]), rng.choice(["layer", "steps", "last", "translate"])
    options: dict[str, Any] = {
        "num_layers": int(rng.integers(1, 4)), "bias": [True, False, "single"][rng.integers(3)],
        "learn_state": bool(rng.integers(2)), "clip": [None, 0.8][rng.integers(2)], "rng": rng,
    }  # fmt: skip
    direction = ["forward", "bidirectional", "reverse"][rng.integers(3)] if wiring != "translate" else "forward"
    options |= {direction: True} if direction != "forward" else {}
    if kind == "RNN":
        options["nonlinearity"] = str(rng.choice(FUNCTIONS))
    else:
        names = ("activation", "recurrent_activation", "output_activation")[: 2 + (kind == "LSTM")]
        options |= {name: str(rng.choice(FUNCTIONS)) for name in names if rng.integers(2)}
    if kind == "GRU":
        options["reset_after"] = bool(rng.integers(2))
    if kind == "LSTM":
        options |= {"peepholes": bool(rng.integers(2)), "input_forget": bool(rng.integers(2))}
    reads, units = (int(n) for n in rng.integers(2, 6, size=2))
    make = getattr(rnn, kind)
    layer = make(reads, units, **options)
    inputs: np.ndarray = rng.standard_normal((T, B, reads)).astype(np.float32)
    if wiring == "layer":
        model: Any = layer
    elif wiring == "translate":
        model = rnn.EncoderDecoder(layer, make(V, units, **options), rnn.Linear(units, V, rng=rng), start=2)
    else:
        embedding = rnn.Embedding(V, reads, rng=rng) if rng.integers(2) else None
        inputs = inputs if embedding is None else rng.integers(V, size=(T, B))
        width = layer.output_size
        deep = rnn.Sequential(rnn.Linear(width, width + 1, rng=rng), np.tanh, rnn.Linear(width + 1, OUT, rng=rng))
        readout = deep if rng.integers(2) else rnn.Linear(width, OUT, bias=bool(rng.integers(2)), rng=rng)
        model = (rnn.Sequence if wiring == "steps" else rnn.ManyToOne)(layer, readout, embedding=embedding)
    for p in model.parameters():
        p.data = rng.uniform(-0.4, 0.4, p.shape).astype(p.dtype)
    return model, inputs


def outputs_of(model: Any, *inputs: Any, lengths: Any = None) -> np.ndarray:
    outputs = model(*inputs, lengths=lengths)
    array: np.ndarray = (outputs[0] if isinstance(outputs, tuple) else outputs).data
    return array


@pytest.mark.parametrize("seed", range(200))
def test_a_model_goes_out_and_comes_in_again(seed: int, tmp_path: Path) -> None:
    model, x = random_model(seed)
    targets = [np.random.default_rng(seed).integers(V, size=(3, B))] * isinstance(model, rnn.EncoderDecoder)
    with_lengths = seed % 2 == 0
    lengths = LENGTHS if with_lengths else None
    expected = outputs_of(model, x, *targets, lengths=lengths)
    rnn.save_onnx(tmp_path / "model.onnx", model, lengths=with_lengths)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    fed = {"input": x, "targets": targets[0] if targets else None, "lengths": lengths}
    found = session.run(["output"], {name: a for name, a in fed.items() if a is not None})[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    loaded, report = rnn.load(tmp_path / "model.onnx")
    np.testing.assert_allclose(outputs_of(loaded, x, *targets, lengths=lengths), expected, atol=1e-6)
    assert not report.left


def test_a_layer_has_its_last_states(tmp_path: Path) -> None:
    layer, x = rnn.LSTM(3, 4, 2, bidirectional=True, rng=0), np.ones((T, B, 3), np.float32)
    rnn.save_onnx(tmp_path / "model.onnx", layer)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    output, h, c = session.run(["output", "h", "c"], {"input": x})
    expected, (expected_h, expected_c) = layer(x)
    for ours, theirs in ((expected, output), (expected_h, h), (expected_c, c)):
        np.testing.assert_allclose(theirs, ours.data, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (rnn.LSTM(3, 4, proj_size=2, rng=0), "ONNX cannot express LSTMCell.*no proj_size"),
        (rnn.LSTM(3, 4, batch_first=True, rng=0), "batch_first=True cannot be exported"),
        (rnn.GRU(3, 4, zoneout=0.1, rng=0), "ONNX cannot express zoneout"),
        (rnn.RNN(3, 4, nonlinearity="gelu", rng=0), "ONNX has no activation 'gelu' for recurrent layers; it has tanh, relu"),
        (
            rnn.Recurrent((rnn.RNNCell(3, 4, clip=1.0, rng=0), rnn.RNNCell(3, 4, rng=1))),
            "ONNX cannot express RNNCell.*with the same clip, input_forget",
        ),
        (rnn.Linear(3, 4, rng=0), "can be exported, not Linear"),
        (rnn.Recurrent(rnn.AttentionCell(rnn.GRUCell(7, 4, rng=0), 2)), "ONNX cannot express AttentionCell"),
        (
            rnn.EncoderDecoder(rnn.GRU(3, 4), rnn.GRU(3, 4), rnn.Linear(8, 3), start=0, attention=rnn.Attention(4, 4)),
            "attention cannot be exported",
        ),
        (rnn.Sequence(rnn.RNN(3, 4, rng=0), rnn.Sequential(np.exp)), "cannot export exp"),
    ],
)
def test_models_that_onnx_cannot_express(model: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        rnn.save_onnx(tmp_path / "model.onnx", model)


# -- nodes -------------------------------------------------------------------------------------------------------------


def node_model(op: str, attributes: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A graph of one recurrent node."""
    names = ["X", "W", "R", "B", "lengths", "initial_h", "initial_c", "P"]
    names = [name if name in ("X", "lengths") or name in arrays else "" for name in names]
    while not names[-1]:
        names.pop()
    node = onnx.helper.make_node(op, names, ["Y"], **attributes)
    value = onnx.helper.make_tensor_value_info
    inputs = [value("X", onnx.TensorProto.FLOAT, [None, None, None]), value("lengths", onnx.TensorProto.INT32, [None])]
    constants = [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()]
    graph = onnx.helper.make_graph([node], "node", inputs, [value("Y", onnx.TensorProto.FLOAT, [None] * 4)], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def random_node(rng: np.random.Generator) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    op = str(rng.choice(["RNN", "GRU", "LSTM"]))
    direction, gates = str(rng.choice(["forward", "reverse", "bidirectional"])), {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    directions = 1 + (direction == "bidirectional")
    reads, units = (int(n) for n in rng.integers(1, 6, size=2))
    shapes = {"W": (directions, gates * units, reads), "R": (directions, gates * units, units)}
    if rng.integers(2):
        shapes["B"] = (directions, 2 * gates * units)
    if op == "LSTM" and rng.integers(2):
        shapes["P"] = (directions, 3 * units)
    attributes: dict[str, Any] = {"hidden_size": units, "direction": direction}
    if op == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    if op == "LSTM" and rng.integers(3) == 0:
        attributes["input_forget"] = 1
    if rng.integers(2):
        attributes["clip"] = float(rng.uniform(0.2, 1.5))
    if rng.integers(4):
        names = [str(name) for name in rng.choice(list(NUMBERS), {"RNN": 1, "GRU": 2, "LSTM": 3}[op] * directions)]
        attributes["activations"] = names
        for k, letter in enumerate(("alpha", "beta")):
            numbers = [float(rng.uniform(0.1, 1.1)) for name in names if NUMBERS[name][k]]
            attributes |= {f"activation_{letter}": numbers} if numbers else {}
    arrays = {name: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    for name in ("initial_h", "initial_c")[: 1 + (op == "LSTM")] if rng.integers(3) == 0 else ():
        arrays[name] = np.repeat(rng.uniform(-0.8, 0.8, (directions, 1, units)), B, axis=1).astype(np.float32)
    return op, attributes, arrays


@pytest.mark.parametrize("seed", range(20))
def test_random_nodes_with_all_attributes_are_those_of_onnxruntime(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        op, attributes, arrays = random_node(rng)
        made = node_model(op, attributes, arrays)
        x = rng.standard_normal((T, B, arrays["W"].shape[-1])).astype(np.float32)
        (tmp_path / "node.onnx").write_bytes(made.SerializeToString())
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        Y = session.run(["Y"], {"X": x, "lengths": LENGTHS})[0]
        ours = outputs_of(rnn.load(tmp_path / "node.onnx").model, x, lengths=LENGTHS)
        expected = Y.transpose(0, 2, 1, 3).reshape(T, B, -1)
        np.testing.assert_allclose(ours, expected, atol=1e-6 * max(1, abs(expected).max()))  # some activations have no bound


def test_the_node_tests_of_onnx(tmp_path: Path) -> None:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases of other ops, which onnx computes on the way
        every = collect_testcases(None)
    cases = [case for case in every if case.model.graph.node[0].op_type in ("RNN", "GRU", "LSTM")]
    assert len(cases) >= 18
    for case in cases:
        graph, (inputs, outputs) = case.model.graph, case.data_sets[0]
        fed = dict(zip([value.name for value in graph.input], inputs, strict=True))
        constants = [onnx.numpy_helper.from_array(a, name) for name, a in fed.items() if name != "X"]
        graph.initializer.extend(constants)
        (tmp_path / "node.onnx").write_bytes(case.model.SerializeToString())
        x = fed["X"].swapaxes(0, 1) if "batchwise" in case.name else fed["X"]
        _, state = rnn.load(tmp_path / "node.onnx").model(x)
        h = (state[0] if isinstance(state, tuple) else state).data
        expected = dict(zip([value.name for value in graph.output], outputs, strict=True))["Y_h"]
        np.testing.assert_allclose(h, expected.swapaxes(0, 1) if "batchwise" in case.name else expected, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        (
            "RNN",
            {"activations": ["Gelu"]},
            "a layer RNN with the activation Gelu, which the cells of this package cannot express",
        ),
        ("GRU", {"activations": ["Affine", "Tanh"], "activation_alpha": [1.0]}, "the activation Affine without numbers"),
        ("LSTM", {"activations": ["Tanh"]}, "with 1 activations in place of 3"),
        ("LSTM", {"direction": "bidirectional"}, r"with direction=bidirectional and weights of shapes \(1, 8, 3\)"),
        ("GRU", {"initial_h": [[[1.0, 2.0], [1.0, 3.0]]]}, "with an initial state h0 that differs from sequence to sequence"),
    ],
)
def test_nodes_that_the_cells_cannot_express(op: str, attributes: dict[str, Any], message: str, tmp_path: Path) -> None:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    arrays = {"W": np.ones((1, gates * 2, 3), np.float32), "R": np.ones((1, gates * 2, 2), np.float32)}
    path, given = tmp_path / "node.onnx", dict(attributes)
    arrays |= {"initial_h": np.array(given.pop("initial_h"), np.float32)} if "initial_h" in given else {}
    path.write_bytes(node_model(op, {"hidden_size": 2, **given}, arrays).SerializeToString())
    with pytest.raises(rnn.WeightsError, match=message):
        rnn.load(path)


@pytest.mark.parametrize(
    ("index", "direction"), [(-1, ""), (-1, "bidirectional"), (0, ""), (0, "reverse"), (-1, "reverse")]
)  # fmt: skip
def test_a_file_that_selects_a_step(index: int, direction: str, tmp_path: Path) -> None:
    """The last step is that of a `ManyToOne`; there is a warning for others, and where a direction ends at the first."""
    layer = rnn.GRU(3, 4, **{direction: True} if direction else {}, rng=0)  # type: ignore[arg-type]
    model = rnn.Sequence(layer, rnn.Linear(layer.output_size, 2, rng=1))
    rnn.save_onnx(tmp_path / "model.onnx", model)
    made = onnx.load(tmp_path / "model.onnx")
    place = next(k for k, node in enumerate(made.graph.node) if node.op_type in ("MatMul", "Gemm"))
    read = made.graph.node[place].input[0]
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array(index), "index"))
    made.graph.node[place].input[0] = "selected"
    made.graph.node.insert(place, onnx.helper.make_node("Gather", [read, "index"], ["selected"], axis=0))
    onnx.save(made, tmp_path / "model.onnx")
    x: np.ndarray = np.random.default_rng(0).standard_normal((T, B, 3)).astype(np.float32)
    if (index, direction) in ((-1, ""), (0, "reverse")):
        loaded = rnn.load(tmp_path / "model.onnx").model
        assert isinstance(loaded, rnn.ManyToOne)
        np.testing.assert_allclose(loaded(x).data, model(x).data[index], atol=1e-6)
    else:
        with pytest.warns(UserWarning, match="the model is without Gather"):
            rnn.load(tmp_path / "model.onnx")


def test_damaged_files_and_ops_that_are_left_out(tmp_path: Path) -> None:
    model = rnn.Sequence(rnn.GRU(3, 4, rng=0), rnn.Sequential(rnn.Linear(4, 2, rng=1), rnn.LayerNorm(2)))
    path = tmp_path / "model.onnx"
    rnn.save_onnx(path, model)
    with pytest.warns(UserWarning, match="the model is without LayerNormalization"):
        rnn.load(path)
    for data in (b"", b"text", path.read_bytes()[:-50]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"model.onnx"):
            rnn.load(path)


@pytest.mark.filterwarnings("ignore:the model is without")
def test_changed_bytes_give_a_model_or_a_value_error(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "model.onnx"
    rnn.save_onnx(path, rnn.Sequence(rnn.LSTM(3, 4, peepholes=True, learn_state=True, rng=0), rnn.Linear(4, 2, rng=1)))
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for _ in range(300):
        data = whole.copy()
        data[rng.integers(len(data), size=5)] = rng.integers(256, size=5)
        path.write_bytes(data.tobytes())
        try:
            rnn.load(path)
        except ValueError:
            refused += 1
    assert refused > 50
