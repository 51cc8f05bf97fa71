"""draw, info and gradflow of a file that has weights alone."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad_rnn.cli import main

LSTM, GRU = rnn.LSTM(4, 5, 2, rng=0), rnn.GRU(3, 4, bidirectional=True, rng=0)
WORDS = rnn.Sequence(rnn.LSTM(4, 5, rng=0), rnn.Linear(5, 7, rng=1), embedding=rnn.Embedding(7, 4, rng=2))
TRANSLATE = rnn.EncoderDecoder(rnn.GRU(3, 5, rng=0), rnn.GRU(4, 5, rng=1), rnn.Linear(5, 4, rng=2), start=0)
NETWORKS = {"lstm": LSTM, "words": WORDS, "translate": TRANSLATE, "both_ways": GRU}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with files of weights alone."""
    monkeypatch.chdir(tmp_path)
    for name, model in NETWORKS.items():
        rnn.save_weights(f"{name}.safetensors", {f"module.{key}": a for key, a in model.state_dict().items()})
    np.savez("lstm.npz", **LSTM.state_dict())
    rnn.save_weights("normed.safetensors", {**WORDS.state_dict(), "norm.weight\x1b": np.ones(5)})
    return tmp_path


@pytest.mark.parametrize("name", [*(f"{name}.safetensors" for name in NETWORKS), "lstm.npz"])
@pytest.mark.parametrize("options", ["", "--level cell --length 3"])
def test_draw(name, options, here, capsys):
    assert main(["draw", name, "--out", "net.svg", *options.split()]) == 0
    assert "reads random numbers; assumed:" in capsys.readouterr().out
    text = "".join(ElementTree.parse("net.svg").getroot().itertext())
    assert "x[0]" in text or "x" in text


@pytest.mark.parametrize("name", ["lstm", "words", "translate"])
def test_the_gradient_is_drawn_and_measured(name, here, capsys):
    assert main(["draw", f"{name}.safetensors", "--gradients", "--length", "4", "--out", "net.svg"]) == 0
    states = "h1[0]" if name == "lstm" else "h[0]"
    assert states in "".join(ElementTree.parse("net.svg").getroot().itertext())
    assert main(["gradflow", f"{name}.safetensors", "--length", "4"]) == 0
    assert "layer 0: " in capsys.readouterr().out


def test_the_same_seed_gives_the_same_picture(here):
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        assert main(["draw", "lstm.npz", "--gradients", "--seed", str(seed), "--out", f"{name}.dot"]) == 0
    assert Path("a.dot").read_bytes() == Path("b.dot").read_bytes() != Path("c.dot").read_bytes()


def test_info_shows_what_each_array_became(here, capsys):
    assert main(["info", "normed.safetensors"]) == 0
    out, err = capsys.readouterr()
    assert "embedding: Embedding with 28 parameters" in out
    assert "assumed: inputs (T, batch), an output at each step" in out
    assert any(line.split()[0] == "readout.bias" and line.endswith("readout.bias") for line in out.splitlines() if line.strip())
    assert any("norm.weight" in line and line.endswith("left") for line in out.splitlines())
    assert "the model is without norm.weight" in err
    assert "\x1b" not in out + err
    assert main(["info", "lstm.npz"]) == 0
    assert f"LSTM with {sum(p.size for p in LSTM.parameters())} parameters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("draw words.safetensors --prompt abc", "has weights alone, and no alphabet; leave out --prompt"),
        ("draw words.safetensors --hidden 3", "--hidden is for a task"),
        ("gradflow words.safetensors --cells gru", "--cells compares networks for a task"),
        ("gradflow both_ways.safetensors", "does not support bidirectional layers"),
        ("draw translate.safetensors --view folded", "has an encoder and a decoder, two networks"),
    ],
)
def test_options_that_do_not_fit(line, message, here, capsys):
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["draw", "gradflow", "info"])
def test_a_pickle_is_not_opened(command, here, capsys):
    Path("model.pt").write_bytes(b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00false\x85R.")
    assert main([command, "model.pt"]) == 1
    assert "so it is not opened. If you trust it, convert it with these lines" in capsys.readouterr().err


def test_an_onnx_file(here, capsys):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    rnn.save_onnx("words.onnx", WORDS)
    assert main(["info", "words.onnx"]) == 0
    assert "recurrent: LSTM with" in capsys.readouterr().out
    for command in (["draw", "--out", "net.svg"], ["gradflow"]):
        assert main([*command, "words.onnx"]) == 0


@pytest.mark.parametrize("command", ["draw", "gradflow", "info"])
def test_an_onnx_file_without_the_package(command, here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    Path("model.onnx").write_bytes(b"")
    assert main([command, "model.onnx"]) == 1
    assert "pip install 'minigrad-rnn[onnx]'" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["hello", "adding", "digits_to_letters"])
def test_load_builds_the_model_of_a_checkpoint(task, here):
    assert main(["train", task, "--epochs", "1", "--hidden", "4", "--quiet", "--no-compile"]) == 0
    _, trained, _ = rnn.config.load(f"{task}.safetensors")
    model, report = rnn.load(f"{task}.safetensors")
    assert type(model) is type(trained)
    assert not report.left
    batch = rnn.tasks.TASKS[task]().data(2, 1).batch(0)
    assert np.array_equal(model.predict_batch(batch)[0].data, trained.eval().predict_batch(batch)[0].data)
