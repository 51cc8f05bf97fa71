"""Models from weights alone, without PyTorch: what goes out comes in, or an error says what to do."""

import ast
import io
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad_rnn as rnn

V, OUT, T, B = 9, 3, 4, 2
LAYERS: dict[str, list[dict[str, Any]]] = {
    "RNN": [{}, {"learn_state": True}],
    "GRU": [{}, {"learn_state": True}],
    "LSTM": [{}, {"peepholes": True}, {"proj_size": 2}, {"peepholes": True, "proj_size": 2, "learn_state": True}],
}


@st.composite
def models(draw: Any) -> tuple[Any, np.ndarray, dict[str, Any]]:
    """A model, inputs for it, and the options of `load` for what weights do not contain."""
    kind = draw(st.sampled_from(list(LAYERS)))
    options = draw(st.sampled_from(LAYERS[kind])) | {
        "num_layers": draw(st.integers(1, 3)), "bidirectional": draw(st.booleans()),
        "bias": draw(st.sampled_from([True, False, "single"])), "dtype": draw(st.sampled_from([np.float32, float])), "rng": 0,
    }  # fmt: skip
    wiring = draw(st.sampled_from(["steps", "last", "layer"]))
    reads, units = draw(st.integers(1, 5)), draw(st.integers(3, 5))
    layer = getattr(rnn, kind)(reads, units, **options)
    inputs: np.ndarray = np.random.default_rng(1).standard_normal((T, B, reads))
    if wiring == "layer":
        return layer, inputs, {}
    embedding = rnn.Embedding(V, reads, rng=1) if draw(st.booleans()) else None
    readout = rnn.Linear(layer.output_size, OUT, rng=2)
    if embedding is not None and draw(st.booleans()) and layer.output_size == reads:
        readout = rnn.Linear(reads, V, rng=2)
        readout.weight = embedding.weight
    inputs = inputs if embedding is None else np.random.default_rng(1).integers(V, size=(T, B))
    model = (rnn.Sequence if wiring == "steps" else rnn.ManyToOne)(layer, readout, embedding=embedding)
    return model, inputs, {"wiring": wiring}


def outputs_of(model: Any, inputs: np.ndarray) -> np.ndarray:
    outputs = model(inputs)
    array: np.ndarray = (outputs[0] if isinstance(outputs, tuple) else outputs).data
    return array


@given(made=models(), prefix=st.sampled_from(["", "module.", "net.", "a.0.b."]))
def test_every_model_comes_back(made: Any, prefix: str) -> None:
    model, inputs, options = made
    state = model.state_dict()
    loaded, report = rnn.load({prefix + name: a for name, a in state.items()}, **options)
    np.testing.assert_array_equal(outputs_of(loaded, inputs), outputs_of(model, inputs))
    assert report.taken == {prefix + name: name for name in state} or "readout.weight" in state
    assert not report.left
    assert len(loaded.parameters()) == len(model.parameters())
    assert type(loaded) is type(model)
    for line in str(report).splitlines()[1 : 1 + len(state)]:
        assert line.split()[0].removeprefix(prefix) in state


@pytest.mark.parametrize(("kind", "order"), [("LSTM", "iofg"), ("LSTM", "ifgo"), ("GRU", "zrn")])
def test_the_order_of_the_gates(kind: str, order: str) -> None:
    layer = getattr(rnn, kind)(3, 4, rng=0)
    own = "".join(layer.cell.gate_names)
    blocks = {name: dict(zip(own, np.split(a, len(own)), strict=True)) for name, a in layer.state_dict().items()}
    state = {name: np.concatenate([gates[letter] for letter in order]) for name, gates in blocks.items()}
    loaded, _ = rnn.load(state, gates=order)
    assert {n: a.tolist() for n, a in loaded.state_dict().items()} == {n: a.tolist() for n, a in layer.state_dict().items()}


def test_options_that_weights_do_not_contain() -> None:
    state = rnn.GRU(3, 4, rng=0).state_dict()
    assert rnn.load(state, reset_after=False).model.cell.reset_after is False
    model, report = rnn.load(rnn.RNN(3, 4, rng=0).state_dict(), nonlinearity="relu")
    assert model.cell.nonlinearity == "relu"
    assert report.assumed[0] == "nonlinearity='relu'"


def test_cells_of_several_sizes_follow_one_another() -> None:
    cells = {"a.10": rnn.LSTMCell(3, 4, rng=0), "a.2": rnn.GRUCell(5, 3, rng=1)}
    model, _ = rnn.load({f"{path}.{name}": p.data for path, cell in cells.items() for name, p in cell.named_parameters()})
    assert [type(layer[0]) for layer in model.cells] == [rnn.GRUCell, rnn.LSTMCell]


def test_an_order_that_is_not_certain_is_reported() -> None:
    state = rnn.LSTM(3, 4, rng=0).state_dict() | {f"fc{k}.weight": np.eye(4) * k for k in (10, 9)}
    model, report = rnn.load(state, activation="tanh")
    assert report.assumed[-1] == "the order fc9, fc10"
    assert model.readout[0].weight.data[0, 0] == 9
    cells = {f"{path}.{name}": a for path in ("upper", "lower") for name, a in rnn.GRUCell(3, 3, rng=0).state_dict().items()}
    assert "the order lower, upper" in rnn.load(cells).report.assumed


def test_a_linear_layer_that_may_be_before_the_recurrent_layer() -> None:
    l1, l2, lstm = rnn.Linear(5, 8, rng=0), rnn.Linear(8, 5, rng=1), rnn.LSTM(8, 8, rng=2)
    layers = {"l1": l1, "rnn": lstm, "l2": l2}
    state = {f"{path}.{name}": a for path, layer in layers.items() for name, a in layer.state_dict().items()}
    with pytest.raises(ValueError, match="If l1 is before the recurrent layer, pass rename=") as error:
        rnn.load(state)
    x = np.ones((T, B, 5))
    model, report = rnn.load(state, rename=ast.literal_eval(str(error.value).partition("rename=")[2]))
    np.testing.assert_array_equal(model(x).data, l2(lstm(l1(x))[0]).data)
    assert "order" not in str(report)
    assert "the order l2, l1" in rnn.load(state, activation="relu").report.assumed


def test_parts_have_the_names_of_the_file() -> None:
    parts = {"x.y": rnn.LSTM(3, 4, rng=0), "z": rnn.GRU(7, 2, rng=0), "x.table": rnn.Embedding(5, 3, rng=0)}
    state = {f"{path}.{name}": a for path, part in parts.items() for name, a in part.state_dict().items()}
    with pytest.raises(ValueError, match=r'do not follow one another.*x.y .3 to 4 features.*wiring="parts"'):
        rnn.load(state)
    model, report = rnn.load(state, wiring="parts")
    assert report.taken == {name: name for name in state}
    assert model.x.y.hidden_size == 4
    assert isinstance(model.x.table, rnn.Embedding)


def test_arrays_of_no_layer_are_reported() -> None:
    state = rnn.LSTM(3, 4, rng=0).state_dict()
    with pytest.warns(UserWarning, match="the model is without norm.weight, so its outputs may differ"):
        report = rnn.load({**state, "norm.weight": np.ones(4), "norm.count": np.array(3)}).report
    assert report.left == ["norm.weight", "norm.count"]


def test_files(tmp_path: Path) -> None:
    model = rnn.Sequence(rnn.LSTM(3, 4, rng=0), rnn.Linear(4, 2, rng=1))
    x = np.ones((T, B, 3))
    rnn.save_weights(tmp_path / "w.safetensors", model.state_dict())
    np.savez(tmp_path / "w.npz", **model.state_dict())
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters()), compile=False)
    trainer.fit((x, np.zeros((T, B), int)), 1, progress=False)
    trainer.save(tmp_path / "trained.safetensors")
    for name in ("w.safetensors", "w.npz"):
        assert rnn.load(tmp_path / name).model(x).shape == (T, B, 2)
    np.testing.assert_array_equal(rnn.load(tmp_path / "trained.safetensors").model(x).data, model(x).data)


OWN = {"lstm_W": (16, 3), "lstm_U": (16, 4), "lstm_b": (16,), "out_W": (2, 4), "out_b": (2,), "table": (9, 3)}


@pytest.mark.parametrize(
    "shapes",
    [
        OWN,
        {"i2h": (12, 5), "h2h": (12, 4)},
        {"U": (16, 3), "Wrec": (16, 4), "Wy": (2, 4)},
        {"input_W": (4, 4), "state_W": (4, 4), "state_b": (4,)},
        {"a_Wx": (16, 4), "a_Wh": (16, 4), "b_Wx": (12, 4), "b_Wh": (12, 4)},
    ],
)
def test_the_rename_that_the_error_proposes(shapes: dict[str, tuple[int, ...]]) -> None:
    state = {name: np.random.default_rng(0).standard_normal(shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match="by their shapes") as error:
        rnn.load(state)
    rename = ast.literal_eval(str(error.value).partition("rename=")[2])
    model, report = rnn.load(state, rename=rename)
    assert set(report.taken) == set(shapes)
    if shapes is OWN:
        assert report.taken == {
            "lstm_W": "recurrent.weight_ih_l0", "lstm_U": "recurrent.weight_hh_l0", "lstm_b": "recurrent.bias_ih_l0",
            "out_W": "readout.weight", "out_b": "readout.bias", "table": "embedding.weight",
        }  # fmt: skip
        assert model.readout.weight.data.tolist() == state["out_W"].tolist()


NAMES = [
    f"{path}{name}{end}"
    for path in ("", "lstm.", "encoder.rnn.", "decoder.0.")
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_ci", "h0", "weight", "bias", "W", "U")
    for end in ("", "_l0", "_l1", "_l0_reverse")
]
SHAPES = st.sampled_from([(), (4,), (12,), (16,), (4, 4), (16, 4), (12, 4), (16, 3), (0, 4), (4, 16), (2, 3, 4)])


@pytest.mark.filterwarnings("ignore:the model is without")
@given(
    shapes=st.dictionaries(st.sampled_from(NAMES), SHAPES, max_size=12),
    dtype=st.sampled_from([np.float32, np.float16, np.int64, bool]),
    wiring=st.sampled_from([None, "steps", "last", "translate", "parts"]),
)
def test_any_arrays_are_a_model_or_an_error(shapes: Any, dtype: Any, wiring: Any) -> None:
    state = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    try:
        model, report = rnn.load(state, wiring=wiring)
    except ValueError:
        return
    assert report.taken.keys() | {*report.left} == shapes.keys()
    assert [*model.parameters()]


def test_many_layers_of_one_size_take_no_time() -> None:
    state = rnn.LSTM(4, 4, rng=0).state_dict() | {f"fc{k}.weight": np.eye(4, dtype=np.float32) for k in range(60)}
    with pytest.raises(ValueError, match="pass activation= one of"):
        rnn.load(state)
    stacks = {f"a{k}.{name}": a for k in range(9) for name, a in rnn.LSTM(4, 5 - k % 2, rng=0).state_dict().items()}
    with pytest.raises(ValueError, match="do not follow one another"):
        rnn.load(stacks)


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 2]


def saved(save: Any, *arguments: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arguments, **options)
    return stream.getvalue()


def zip_with(name: str, data: bytes = b"cos\nsystem\n(S'false'\ntR.") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def zip_of_array(header: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return stream.getvalue()


HUGE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }"
FILES = {
    "huge.npz": (zip_of_array(HUGE), "not a .npz file of numbers, or it is damaged"),
    "model.pt": (zip_with("archive/data.pkl"), "can run code, so it is not opened(?s:.*)torch.load.*weights_only=True"),
    "old.pth": (pickle.dumps({"w": [1.0]}), "can run code"),
    "whole.pt": (zip_with("m/data.pkl", b"ctorch.nn.modules.rnn\nLSTM\n"), "is a whole model(?s:.*)=False..state_dict"),
    "whole.pkl": (b"\x80\x02ctorch.nn.modules.rnn\nLSTM\nq\x00.", "is a whole model"),
    "w.bin": (b"\x80\x02}q\x00.", "can run code"),
    "half.npz": (damaged(saved(np.savez, w=np.ones((50, 50)))), "not a .npz file of numbers, or it is damaged"),
    "objects.npz": (saved(np.savez, w=np.array([None])), "not a .npz file of numbers"),
    "empty.safetensors": (b"", "it has only 0 bytes"),
    "text.txt": (b"hello, this is a text\n", "not a safetensors file"),
    "net.h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "a file of Keras"),
    "none.npz": (saved(np.savez, w=np.ones((5, 3)), n=np.arange(3)), r"no recurrent layer was found in none.npz.*'w' \(5, 3\)"),
    "nothing.npz": (saved(np.savez), "The arrays are none"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_wrong(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(FILES[name][0])
    with pytest.raises(ValueError, match=FILES[name][1]):
        rnn.load(name)


def test_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    rnn.save_weights(path, rnn.LSTM(3, 4, rng=0).state_dict())
    data = path.read_bytes()
    for n in range(0, len(data), 37):
        path.write_bytes(data[:n])
        with pytest.raises(rnn.WeightsError):
            rnn.load(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        rnn.load(tmp_path / "other.safetensors")


LSTM = {name: a.shape for name, a in rnn.LSTM(3, 4, rng=0).state_dict().items()}


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ({**LSTM, "weight_hh_l0": None}, {}, "weight_ih_l0 has no weight_hh next to it"),
        ({**LSTM, "weight_hh_l0": (16, 5)}, {}, "its rows must be the number of units, 5, times 1 .RNNCell., 3 .GRUCell., 4"),
        ({**LSTM, "weight_hh_l0": (0, 0)}, {}, "matrices that are not empty"),
        ({**LSTM, "bias_hh_l0": (15,)}, {}, r"bias_hh_l0 has shape \(15,\); it must have 16 rows"),
        ({**LSTM, "weight_ci_l0": (4,)}, {}, "do not fit together(?s:.*)missing: weight_cf"),
        ({**LSTM, "weight_ih_l2": (16, 4), "weight_hh_l2": (16, 4)}, {}, "has no weight_ih_l1"),
        ({**LSTM, "a.weight": (2, 4), "b.weight": (9, 4)}, {}, "each of a, b could be the readout"),
        ({**LSTM, "a.weight": (4, 4), "a.bias": (4,), "b.weight": (2, 4), "b.bias": (2,)}, {}, "pass activation= one of relu"),
        (LSTM, {"wiring": "last"}, "wiring='last' needs a linear layer that reads 4 features"),
        (LSTM, {"wiring": "many"}, "wiring must be one of steps, last, translate, parts, not 'many'"),
        (LSTM, {"wiring": "translate"}, 'must be called "encoder" and "decoder"'),
        (LSTM, {"gates": "zrn"}, "is for a GRUCell, and there is none"),
        (LSTM, {"gates": "ifco"}, "gates must be an order of the letters rzn or ifgo, not 'ifco'"),
        (LSTM, {"rename": {"weight_ih": "w"}}, "there is no such array; did you mean 'weight_ih_l0'"),
        (LSTM, {"rename": {"weight_ih_l0": "weight_hh_l0"}}, "two arrays the same name"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit(shapes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    state = {name: np.zeros(shape) for name, shape in shapes.items() if shape is not None}
    with pytest.raises(ValueError, match=message):
        rnn.load(state, **options)


def test_weights_that_are_stored_transposed_or_as_integers() -> None:
    trained = rnn.LSTM(3, 4, bias="single", rng=0)
    names = {"kernel": "weight_ih_l0", "recurrent_kernel": "weight_hh_l0", "bias": "bias_ih_l0"}
    state = {theirs: trained.state_dict()[ours].T for theirs, ours in names.items()}
    with pytest.raises(ValueError, match=r"transpose the matrices, \{name: a\.T for .*, and pass rename=") as error:
        rnn.load(state)
    rename = ast.literal_eval(str(error.value).partition("rename=")[2])
    model, _ = rnn.load({name: a.T for name, a in state.items()}, rename=rename)
    np.testing.assert_array_equal(model(np.ones((T, B, 3)))[0].data, trained(np.ones((T, B, 3)))[0].data)
    for kind in (rnn.LSTM, rnn.GRU, rnn.RNN):
        with pytest.raises(ValueError, match=r"stored as \(input, \d+\), transpose the matrices"):
            rnn.load({name: a.T for name, a in kind(3, 4, rng=0).state_dict().items()})
    with pytest.raises(
        ValueError, match=r"weight_ih_l0 in the state dict has integers .int8., and weights must be floating-point"
    ):
        rnn.load({name: np.ones(a.shape, np.int8) for name, a in trained.state_dict().items()})


@pytest.mark.parametrize("wiring", [rnn.Sequence, rnn.ManyToOne])
def test_a_layer_that_reads_in_reverse_has_names_that_say_so(wiring: Any) -> None:
    model = wiring(rnn.GRU(3, 4, 2, reverse=True, rng=0), rnn.Linear(4, 2, rng=1))
    loaded, report = rnn.load(model.state_dict(), wiring="last" if wiring is rnn.ManyToOne else "steps")
    assert loaded.recurrent.reverse
    assert not report.left
    x, lengths = np.random.default_rng(0).standard_normal((T, B, 3)), [T, *[2] * (B - 1)]
    np.testing.assert_array_equal(loaded(x, lengths).data, model(x, lengths).data)
    both = rnn.GRU(3, 4, 2, bidirectional=True, rng=0).state_dict()
    with pytest.raises(ValueError, match="the recurrent layer has no weight_ih_l1"):
        rnn.load({name: a for name, a in both.items() if not name.endswith("_l1")})


def test_sources_of_another_type() -> None:
    with pytest.raises(TypeError, match=r"not LSTM; pass its state_dict\(\)"):
        rnn.load(rnn.LSTM(3, 4, rng=0))
    with pytest.raises(TypeError, match="'w' must be an array of numbers, not dict"):
        rnn.load({"w": {}})
    with pytest.raises(TypeError, match=r"if it contains the weights, pass state\['model'\]"):
        rnn.load({"model": rnn.LSTM(3, 4, rng=0).state_dict(), "epoch": 3})


def test_onnx_files_need_the_package_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ImportError, match=r"pip install 'minigrad-rnn\[onnx\]'"):
        rnn.load(tmp_path / "model.onnx")
    with pytest.raises(ImportError, match=r"pip install 'minigrad-rnn\[onnx\]'"):
        rnn.save_onnx(tmp_path / "other.onnx", rnn.LSTM(3, 4, rng=0))
    assert not (tmp_path / "other.onnx").exists()
