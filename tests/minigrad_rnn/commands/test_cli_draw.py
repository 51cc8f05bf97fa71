"""draw and gradflow, as a person types them; and what a person may type wrong."""

import builtins
import importlib.metadata
import json
import os
import re
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.pictures import drawing, renderers
from minigrad_rnn import config
from minigrad_rnn.cli import main
from minigrad_rnn.commands import gradflow

needs_renderer = pytest.mark.skipif(not renderers(), reason="neither dot nor pygraphviz is installed")
SMALL = ["--hidden", "5", "--quiet"]
WORDS = "the cat sat on the mat, and the dog sat by the door. "


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text and models of it and of tasks."""
    folder, before = tmp_path_factory.mktemp("trained"), Path.cwd()
    os.chdir(folder)
    try:
        Path("cats.txt").write_text(WORDS * 30, encoding="utf-8")
        assert main(["train", "cats.txt", "--epochs", "1", *SMALL]) == 0
        size = str(len(set(WORDS)))
        options = ["--epochs", "1", "--embedding", size, "--layers", "2", "--dropout", "0.5", "--save", "deep.safetensors"]
        assert main(["train", "cats.txt", *options, *SMALL]) == 0
        assert main(["train", "hello", "--epochs", "3", "--cell", "rnn", *SMALL]) == 0
        assert main(["train", "adding", "--length", "5", "--epochs", "1", *SMALL]) == 0
        assert main(["train", "digits_to_letters", "--length", "2", "--epochs", "1", *SMALL]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def no_renderer(monkeypatch, tmp_path_factory):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setattr(importlib.metadata, "distribution", not_found)


def run(line):
    """The exit status, also where argparse makes it."""
    try:
        return main(line.split() if isinstance(line, str) else line)
    except SystemExit as stopped:
        return stopped.code


def drawn(line):
    """The DOT text that the command makes."""
    assert run(f"{line} --out new.dot") == 0
    return Path("new.dot").read_text(encoding="utf-8")


# -- draw --------------------------------------------------------------------------------------------------------------


def test_a_trained_model_is_drawn_as_the_library_draws_it(here):
    _, model, _ = config.load("hello.safetensors")
    task = rnn.tasks.hello()
    x, y, symbols = task.inputs, task.targets, task.alphabet
    draw, model = rnn.draw, model.eval()
    assert drawn("draw hello.safetensors --view folded") == draw.folded(model, x, y).source
    assert drawn("draw hello.safetensors --view both --steps 0-1") == draw.both(model, x, y, steps="0-1").source
    for options, arguments in (
        ("", {}),
        ("--level gate --gradients", {"level": "gate", "gradients": True}),
        ("--level cell --steps 0,4-5", {"level": "cell", "steps": "0,4-5"}),
        ("--steps=0,-2--1", {"steps": "0,-2--1"}),
        ("--steps all --chunk 2 --overlay gradient", {"steps": "all", "chunk": 2, "overlay": "gradient"}),
        ("--overlay share", {"overlay": "share"}),
        ("--overlay activation", {"overlay": "activation"}),
        ("--overlay saturation", {"overlay": "saturation"}),
    ):
        assert drawn(f"draw hello.safetensors {options}") == draw.unrolled(model, x, y, symbols=symbols, **arguments).source


@pytest.mark.parametrize("task", rnn.tasks.TASKS)
def test_every_task_can_be_drawn_untrained(task, here):
    source = drawn(f"draw {task} --hidden 3 --cell gru --layers 2 --level cell --gradients --seed 3")
    assert "GRU, 2 layers unrolled" in source
    assert "size of dL/dh" in source


def test_an_untrained_network_is_the_one_that_train_begins_with(here):
    about, _, _ = config.load("adding.safetensors")
    model, data = config.build(about | {"seed": 7}).eval(), rnn.tasks.adding(5).data(1, 1, 7).batch(0)
    expected = rnn.draw.unrolled(model, data.inputs, data.targets, overlay="activation").source
    assert drawn("draw adding --length 5 --hidden 5 --seed 7 --overlay activation") == expected


def test_a_model_of_a_text_reads_what_it_was_not_trained_on(here):
    source = drawn("draw cats.safetensors --length 12 --steps all")
    said = "".join(re.findall(r"y\[\d+\] = '(.)'", source))
    text = WORDS * 30
    assert len(said) == 12
    assert said in text[-(len(text) // 10) :]
    assert drawn("draw cats.safetensors --length 12 --steps all --seed 1") != source


def test_a_prompt_is_read_and_foretold(here):
    assert run(["draw", "cats.safetensors", "--prompt", "the cat", "--out", "new.dot"]) == 0
    source = Path("new.dot").read_text(encoding="utf-8")
    assert "".join(re.findall(r"x\[\d\] = '(.)'", source)) == "the ca"
    assert "".join(re.findall(r"y\[\d\] = '(.)'", source)) == "he cat"
    Path("cats.txt").unlink()
    assert run(["draw", "cats.safetensors", "--prompt", "the cat"]) == 0
    assert "x[0] = 'h'" in drawn("draw hello --prompt hi")


def test_an_embedding_as_long_as_the_alphabet_is_no_one_hot_and_nothing_is_dropped(here):
    source = drawn("draw deep.safetensors --length 4")
    assert "x[0] =" not in source
    assert "dropout" not in source


def test_a_model_of_a_text_reads_as_a_page(here, capsys):
    Path("long.txt").write_text(WORDS * 300, encoding="utf-8")
    assert run(["train", "long.txt", "--epochs", "1", *SMALL]) == 0
    for name, options, count, probed in (("long", "", 795, True), ("cats", "--length 60 --seed 3", 60, False)):
        assert run(f"draw {name}.safetensors --view reading {options}") == 0
        printed = capsys.readouterr().out
        assert f"{count} symbols" in printed
        assert printed.count(" follows ") == printed.count(", in an untrained twin up to ")
        page = Path(f"{name}-reading.html").read_text(encoding="utf-8")
        facts = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
        assert "".join(facts["text"]) in WORDS * 300
        assert len(facts["text"]) == count
        assert facts["probed"] == probed
    Path("long.txt").unlink()
    assert run(["draw", "long.safetensors", "--view", "reading", "--prompt", WORDS, "--out", "x.html"]) == 0
    assert "and the dog" in Path("x.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("draw hello.safetensors --view reading", "needs a model of a text, and hello is for the task hello"),
        ("draw cats.safetensors --view reading --out x.svg", "--out must be a file name that ends in .html"),
        ("draw cats.safetensors --view reading --steps 0-3", "--steps is for --view unrolled"),
        ("draw cats.safetensors --view reading --prompt short", "the text has 5 symbols; a reading needs at least 20"),
    ],
)
def test_what_cannot_be_read_is_refused(line, message, here, capsys):
    assert run(line) == 2
    assert message in capsys.readouterr().err


@needs_renderer
def test_every_suffix_of_a_drawing_and_the_default_name(here, capsys):
    for suffix in ("svg", "png", "pdf", "dot", "gv", "SVG"):
        assert run(f"draw hello --hidden 2 --level cell --out new.{suffix}") == 0
        assert f"Wrote new.{suffix}" in capsys.readouterr().out
    assert ElementTree.parse("new.svg").getroot().tag.endswith("svg")
    assert run("draw adding.safetensors --view both") == 0
    assert run("draw adding.safetensors --view both") == 0  # again: its own picture is replaced
    out = capsys.readouterr().out
    assert "ManyToOne of LSTM(5)" in out
    assert "trained; 5 steps" in out
    assert "Wrote adding-both.svg" in out
    assert Path("adding-both.svg").exists()


def test_the_loss_that_is_drawn_is_that_of_the_task(here):
    about = config.load("hello.safetensors")[0] | {"task": "parity", "text": None, "length": 3, "seed": 0, "hidden": 4}
    model, data = config.build(about).eval(), rnn.tasks.parity(3).data(1, 1, 0).batch(0)
    total, steps = rnn.sequence_loss("binary", model(data.inputs), data.targets)
    source = drawn("draw parity --length 3 --hidden 4 --cell rnn")
    assert "the mean of the binary cross-entropy of 3 answers" in source
    assert f'label=<loss<br/><font point-size="9.3">{total.item():.3g}</font>>' in source
    assert all(re.search(rf"label=<L\[{t}\]<br/>.*= {share:.3g}</font>", source) for t, share in enumerate(steps))


def test_without_a_renderer_the_dot_text_is_saved_with_the_reason(here, no_renderer, capsys):
    assert run("draw hello --out new.svg") == 0  # which needs none
    assert capsys.readouterr().out.endswith("Wrote new.svg\n")
    Path("new.svg").unlink()
    assert run("draw hello --out new.png") == 0
    out, err = capsys.readouterr()
    assert "Wrote" not in out
    assert err.startswith("The picture is saved as DOT text only: new.dot\nThe reason: no working Graphviz renderer")
    assert Path("new.dot").read_text().startswith("digraph")
    assert not Path("new.png").exists()
    Path("new.dot").write_text("notes")
    assert run("draw hello --out new.png") == 1
    assert "new.dot exists and is not a picture" in one_line(capsys)
    assert Path("new.dot").read_text() == "notes"


@pytest.mark.parametrize("error", [mg.RenderError("too large for png"), mg.errors.RenderTimeout("dot did not finish")])
def test_a_picture_that_cannot_be_rendered(error, here, monkeypatch, capsys):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr(drawing, "render", refuse)
    assert run("draw hello --out new.png") == 1
    assert str(error) in capsys.readouterr().err
    assert not Path("new.png").exists()
    assert Path("new.dot").read_text().startswith("digraph")


def test_a_large_picture_warns_in_one_line(here, capsys):
    drawn("draw parity --length 120 --hidden 2 --steps all")
    assert re.match(r"minigrad-rnn: this picture has [\d,]+ boxes and .* --level cell, .*\n$", capsys.readouterr().err)


# -- gradflow ------------------------------------------------------------------------------------------------------------


def test_gradflow_tells_the_numbers_of_the_library(here, capsys):
    _, model, _ = config.load("hello.safetensors")
    flow = rnn.gradient_flow(gradflow.in_float64(model), rnn.tasks.hello())
    assert run("gradflow hello.safetensors --matrix") == 0
    out = capsys.readouterr().out
    assert flow.table() in out
    assert "bound^t" in out
    for name, shares in flow.shares.items():
        (line,) = re.findall(rf"^{name} +(.*)$", out, re.M)
        assert line.split() == [f"{share:.2e}" for share in shares]
    for t in range(6):
        (line,) = re.findall(rf"^t = {t} +(.*)$", out, re.M)
        assert line.split() == [f"{x:.2e}" for x in flow.matrix["h"][0, t, : t + 1]]


def test_gradflow_is_in_float64_and_leaves_the_weights(here):
    _, model, _ = config.load("deep.safetensors")
    before = model.state_dict()
    after = gradflow.in_float64(model).state_dict()
    assert {a.dtype for a in after.values()} == {np.dtype("float64")}
    assert all((after[name] == a).all() for name, a in before.items())


def test_several_cells_are_compared(here, capsys):
    assert run("gradflow adding --length 20 --hidden 6 --seed 2 --cells sigmoid,tanh,relu,lstm,gru") == 0
    out = capsys.readouterr().out
    about, data = config.load("adding.safetensors")[0], rnn.tasks.adding(20).data(32, 1, 2).batch(0)
    found = {}
    for name in ("sigmoid", "rnn", "relu", "lstm", "gru"):
        model = gradflow.untrained(about | {"length": 20, "hidden": 6, "seed": 2}, name)
        found[name] = rnn.gradient_flow(gradflow.in_float64(model), data, loss="mse")
        assert getattr(model.recurrent.cell, "nonlinearity", name) == {"rnn": "tanh"}.get(name, name)
    assert rnn.flow.Comparison(found).table() in out
    for name, flow in found.items():
        (line,) = re.findall(rf"^{name} +(.*)$", out.partition("What is left")[0], re.M)
        gain = np.exp(np.log(flow.gains["total"][0, 1:]).mean())
        assert line.split()[0] == f"{gain:.4f}"
        assert line.split()[-1] == ("-" if np.isnan(flow.bound[0]) else f"{flow.bound[0]:.4f}")


def test_a_trained_model_beside_untrained_ones_and_a_text(here, capsys):
    assert run("gradflow cats.safetensors --length 10 --cells gru") == 0
    out = capsys.readouterr().out
    assert "The text cats.txt" in out
    assert {line.split()[0] for line in out.splitlines() if re.match(r"(cats|gru) ", line)} == {"cats", "gru"}
    assert run("gradflow deep.safetensors --length 5") == 0
    assert "layer 1: LSTMCell, T=5" in capsys.readouterr().out


def test_of_many_steps_the_decay_is_measured_when_asked_for(here, monkeypatch, capsys):
    monkeypatch.setattr(gradflow, "MANY_STEPS", 10)
    assert run("gradflow parity --length 11 --hidden 2") == 0
    out = capsys.readouterr().out
    assert "half-life" not in out
    assert "11 steps: --matrix measures the decay, too" in out
    assert run("gradflow parity --length 11 --hidden 2 --matrix") == 0
    assert "half-life" in capsys.readouterr().out
    assert run("gradflow parity --length 11 --hidden 2 --cells rnn,gru") == 0
    assert "What is left" not in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert run("gradflow parity --length 11 --hidden 2 --cells rnn,gru --plot new.svg") == 2
    assert "add --matrix" in one_line(capsys)
    assert not Path("new.svg").exists()


def test_gradflow_follows_the_gradient_from_the_decoder_into_the_encoder(here, capsys):
    assert run("gradflow digits_to_letters.safetensors") == 0
    out = capsys.readouterr().out
    assert "layer 0: LSTMCell, T=4" in out
    assert "encoder.weight_hh_l0" in out


@pytest.mark.parametrize("options", ["", " --cells rnn,lstm"])
def test_a_figure_is_saved(options, here, capsys):
    pytest.importorskip("matplotlib")
    for _ in range(2):
        assert run(f"gradflow hello --plot new.svg{options}") == 0
    assert "Wrote new.svg" in capsys.readouterr().out
    assert ElementTree.parse("new.svg").getroot().tag.endswith("svg")


def test_a_figure_without_matplotlib(here, monkeypatch, capsys):
    original = builtins.__import__

    def absent(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert run("gradflow hello --plot new.svg") == 2
    assert one_line(capsys) == "minigrad-rnn: --plot needs matplotlib: pip install 'minigrad-rnn[plot]'\n"
    assert run("gradflow hello") == 0


# -- what is typed wrong -----------------------------------------------------------------------------------------------


def one_line(capsys):
    err = capsys.readouterr().err
    assert err.startswith("minigrad-rnn: ")
    assert err.count("\n") == 1
    return err


CATS, HELLO = "cats.safetensors", "hello.safetensors"
KINDS = ", ".join(gradflow.kinds())
WRONG = [
    (2, "the following arguments are required: MODEL|TASK", "draw"),
    (1, "there is no model and no task 'helo'; did you mean 'hello'?", "draw helo"),
    (1, "there is no model and no task 'none'; `minigrad-rnn tasks`", "gradflow none"),
    (1, "it is not a safetensors file", "draw cats.txt"),
    (1, "folder is a folder", "draw folder"),
    (1, "no recurrent layer was found in weights.safetensors", "gradflow weights.safetensors"),
    (1, "it is truncated", "draw cut.safetensors"),
    (2, "--view: invalid choice: 'sideways'", "draw hello --view sideways"),
    (2, "--level: invalid choice: 'atom'", "draw hello --level atom"),
    (2, "--overlay: invalid choice: 'loss'", "draw hello --overlay loss"),
    (2, "--cell: invalid choice: 'elman'", "draw hello --cell elman"),
    (2, "--level is for --view unrolled, not for --view folded", "draw hello --view folded --level op"),
    (2, "--gradients is for --view unrolled, not for --view both", "draw hello --view both --gradients"),
    (2, "--chunk is for --view unrolled", "draw hello --view both --chunk 2"),
    (2, "--steps is for --view unrolled", "draw hello --view folded --steps 1"),
    (2, "a picture has one colouring: --gradients or --overlay share", "draw hello --gradients --overlay share"),
    (2, "there is no step 6; this sequence has steps 0 to 5", "draw hello --steps 0-6"),
    (2, "there is no step -7; this sequence", "draw hello --steps=-7"),
    (2, "there is no step 9; this sequence", "draw hello --view both --steps 9"),
    (2, "there is no step 99999999999999999999", "draw hello --steps 99999999999999999999"),
    (2, "there are no steps from 5 to 3", "draw hello --steps 0,5-3"),
    (2, "steps are written all, or 0-3,48-49, not 'first'", "draw hello --steps first"),
    (2, "steps are written all, or 0-3,48-49, not '1-'", "draw hello --steps 1-"),
    (2, "--chunk 6 cuts nothing: there are 6 steps", "draw hello --chunk 6"),
    (2, "chunk must be a whole number from 1 to 1,000,000, not 0", "draw hello --chunk 0"),
    (2, "has an encoder and a decoder, two networks", "draw digits_to_letters --view folded"),
    (2, "has an encoder and a decoder, two networks", "draw digits_to_letters.safetensors --view both"),
    (2, "is not trained in chunks", "draw digits_to_letters --chunk 2"),
    (2, "the task hello has no length to choose", "draw hello --length 7"),
    (2, "the task hello has no length to choose", f"draw {HELLO} --length 7"),
    (2, "length is 1; expected a whole number from 2 on", "draw adding.safetensors --length 1"),
    (2, "length must be a whole number from 1 to 10,000, not 0", "draw adding --length 0"),
    (2, "the text has 1,590 symbols, too few for --length 1600", f"draw {CATS} --length 1600"),
    (2, "hidden must be a whole number from 1 to 100,000, not 0", "draw hello --hidden 0"),
    (2, "GB of memory", "draw hello --hidden 99999 --layers 100"),
    (2, "was trained with --hidden 5; leave out --hidden", f"draw {HELLO} --hidden 6"),
    (2, "was trained with --cell rnn; leave out --cell", f"draw {HELLO} --cell gru"),
    (2, "seed must be a whole number from 0", "draw hello --seed -1"),
    (2, "--prompt is too short", "draw hello --prompt h"),
    (1, "'z' is not in this alphabet", "draw hello --prompt hz"),
    (2, "the task adding has no text to go on with", "draw adding --prompt abc"),
    (2, "boxes is above limit=20,000: draw --level cell, or fewer steps", "draw parity --length 999 --hidden 1 --steps all"),
    (2, "ends in one of .dot, .gv, .svg, .png", "draw hello --out new.gif"),
    (2, "ends in one of .dot, .gv, .svg, .png", "draw hello --out new"),
    (2, "ends in one of .dot, .gv, .svg, .png", "draw hello --out cats.txt"),
    (1, "notes.svg exists and is not a picture of this kind", "draw hello --out notes.svg"),
    (1, "template.dot exists and is not a picture", "draw hello --out template.dot"),
    (1, "folder.svg is a folder", "draw hello --out folder.svg"),
    (1, "cannot write into the folder no: No such file", "draw hello --out no/new.svg"),
    (2, f"cells are {KINDS}, separated by commas, not 'elman'", "gradflow hello --cells rnn,elman"),
    (2, f"cells are {KINDS}, separated by commas, not ''", "gradflow hello --cells rnn,"),
    (2, "the task hello has no length to choose", "gradflow hello --length 7"),
    (2, "was trained with --layers 1; leave out --layers", f"gradflow {HELLO} --layers 2"),
]
PLOTS = [
    (2, "--plot must be a file name that ends in one of .", "gradflow hello --plot new.txt"),
    (2, "--plot must be a file name that ends in one of .", "gradflow hello --plot new"),
    (1, "notes.svg exists and is not a picture", "gradflow hello --plot notes.svg"),
    (1, "cannot write into the folder no: No such file", "gradflow hello --plot no/new.svg"),
]


@pytest.fixture
def traps(here):
    for folder in ("folder", "folder.svg"):
        Path(folder).mkdir()
    Path("notes.svg").write_text("my own notes")
    Path("template.dot").write_bytes(b"\xd0\xcf\x11\xe0 of a word processor")
    rnn.save_weights("weights.safetensors", {"a": np.zeros((2, 3))})
    good = Path(CATS).read_bytes()
    Path("cut.safetensors").write_bytes(good[: len(good) // 2])
    return here


@pytest.mark.parametrize(("status", "words", "line"), WRONG + PLOTS, ids=[line[:60] for _, _, line in WRONG + PLOTS])
def test_what_is_typed_wrong_gets_one_line_and_breaks_nothing(status, words, line, traps, capsys):
    if "--plot" in line:
        pytest.importorskip("matplotlib")
    before = {path: path.read_bytes() for path in traps.iterdir() if path.is_file()}
    assert run(line) == status
    assert words in one_line(capsys)
    assert {path: path.read_bytes() for path in traps.iterdir() if path.is_file()} == before


def test_a_text_that_is_gone_or_changed(here, capsys):
    Path("cats.txt").write_text(WORDS * 31)
    assert run(f"draw {CATS}") == 1
    assert "has changed since" in one_line(capsys)
    Path("cats.txt").unlink()
    for view in ("", " --view reading"):
        assert run(f"draw {CATS}{view}") == 1
        assert "the text of cats.safetensors: put it back there, or give symbols to read with --prompt" in one_line(capsys)
    assert run(f"gradflow {CATS}") == 1
    assert one_line(capsys).strip().endswith("the text of cats.safetensors: put it back there")
    assert not list(here.glob("*.svg"))


def test_a_folder_one_may_not_write_to_is_named_before_drawing(here, monkeypatch, capsys):
    def refuse(**options):
        raise PermissionError(13, "Permission denied", "some name of no use")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert run("draw hello") == 1
    assert one_line(capsys) == "minigrad-rnn: cannot write into the folder .: Permission denied; choose another --out FILE\n"


def test_weights_that_are_not_finite_are_refused(here, capsys):
    arrays, info = rnn.load_checkpoint(HELLO)
    arrays["model.readout.bias"] = np.full_like(arrays["model.readout.bias"], np.nan)
    rnn.save_checkpoint(HELLO, arrays, info)
    for command in ("draw", "gradflow"):
        assert run([command, HELLO]) == 1
        assert "has NaN or infinity in it" in one_line(capsys)


@pytest.mark.parametrize("command", ["draw", "gradflow"])
def test_the_help_names_every_option(command, capsys):
    assert run([command, "--help"]) == 0
    out = capsys.readouterr().out
    for option in {"draw": ("view", "level", "steps", "gradients", "overlay", "chunk", "prompt", "out"),
                   "gradflow": ("cells", "matrix", "plot")}[command] + ("length", "hidden", "layers", "seed"):  # fmt: skip
        assert f"--{option}" in out
