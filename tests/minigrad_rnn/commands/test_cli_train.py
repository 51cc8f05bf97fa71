"""train, sample, eval, tasks and info, as a person types them; and what a person may type wrong."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad_rnn import config
from minigrad_rnn.cli import main
from minigrad_rnn.commands import _data, train
from minigrad_rnn.generate import sample

SMALL = ["--hidden", "8", "--quiet"]
WORDS = "the cat sat on the mat, and the dog sat by the door. "
WAIT = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text and models of it and of tasks."""
    folder, before = tmp_path_factory.mktemp("trained"), Path.cwd()
    os.chdir(folder)
    try:
        Path("cats.txt").write_text(WORDS * 30, encoding="utf-8")
        assert main(["train", "cats.txt", "--epochs", "12", "--batch", "4", "--lr", "0.02", "--hidden", "24", "--quiet"]) == 0
        assert main(["train", "cats.txt", "--words", "--epochs", "2", "--save", "words.safetensors", *SMALL]) == 0
        assert main(["train", "hello", "--epochs", "150", "--lr", "0.05", *SMALL]) == 0
        assert main(["train", "adding", "--length", "5", "--epochs", "1", *SMALL]) == 0
        assert main(["train", "digits_to_letters", "--length", "2", "--epochs", "1", *SMALL]) == 0
        rnn.save_weights("weights.safetensors", {"a": np.zeros((2, 3)), "b\x1b[31m": np.ones(4)})
    finally:
        os.chdir(before)
    return folder


def run(*arguments):
    """The exit status, also where argparse makes it."""
    try:
        return main(list(arguments))
    except SystemExit as stopped:
        return stopped.code


def parts(path):
    """All that is in a checkpoint, to be compared bit by bit."""
    arrays, info = rnn.load_checkpoint(path)
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}, info


def start(*arguments, before="pass", **options):
    """The command in a process of its own, after some Python; it saves as often as it can."""
    code = "import sys; from minigrad_rnn import cli; from minigrad_rnn.commands import train; train.SAVE_EVERY = 0.02; "
    code += f"{before}; sys.exit(cli.main())"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **pipes)


# -- train, and what it tells ------------------------------------------------------------------------------------------


def test_training_tells_what_it_does_and_how_it_goes_on(here, capsys):
    assert run("train", "cats.txt", "--epochs", "2", "--hidden", "8", "--save", "new.safetensors", "--history", "h.csv") == 0
    out, err = capsys.readouterr()
    text = WORDS * 30
    assert f"{len(text):,} characters, {len(set(text))} different; the last {len(text) // 10} for validation" in out
    for bound in (math.log(len(set(text))), rnn.text.entropy(text), rnn.text.entropy(text, 1)):
        assert f"{bound:.4f}" in out
    V = len(set(text))
    assert f"{4 * 8 * (V + 8 + 2) + V * 9:,} parameters" in out
    assert [line.split(":")[0] for line in out.splitlines() if "validation loss" in line] == ["epoch 1", "epoch 2"]
    assert "minigrad-rnn eval new.safetensors" in out
    assert "minigrad-rnn sample new.safetensors" in out
    assert "100%" in err
    _, info = rnn.load_checkpoint("new.safetensors")
    assert list(info["validation"].values())[-1] == pytest.approx(float(out.split("validation loss ")[-1].split()[0]), abs=1e-4)
    assert len(Path("h.csv").read_text().splitlines()) == 1 + info["batches"]


@pytest.mark.parametrize("data", ["hello", "cats.txt --length 20 --batch 8"])
def test_a_watched_training_is_the_same_and_has_a_page(data, here, capsys):
    options = [*data.split(), "--epochs", "1", "--hidden", "4", "--no-compile", "--quiet"]
    assert run("train", *options, "--save", "plain") == 0
    capsys.readouterr()
    assert run("train", *options, "--save", "watched", "--watch", "w.html") == 0
    page = Path("w.html").read_text(encoding="utf-8")
    found = re.search(r"Wrote w.html: (\d+) snapshots", capsys.readouterr().out)
    assert page.count("<tr><td>") == int(found[1])
    assert ">it says<" in page
    assert "steps named" in page
    assert parts("watched") == parts("plain")


def test_quiet_is_quiet(here, capsys):
    assert run("train", "hello", "--epochs", "5", "--save", "new.safetensors", "--history", "h.jsonl", *SMALL) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "epoch " not in out
    assert [json.loads(line)["update"] for line in Path("h.jsonl").read_text().splitlines()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "options",
    [
        ["parity", "--length", "3", "--cell", "gru", "--layers", "2", "--dropout", "0.5"],
        ["hello", "--cell", "lstm", "--zoneout", "0.3", "--weight-dropout", "0.2"],
        ["digits_to_letters", "--length", "2", "--optimizer", "rmsprop", "--cell", "rnn"],
        ["cats.txt", "--optimizer", "sgd", "--clip", "0"],
        ["cats.txt", "--embedding", "4", "--length", "7", "--batch", "3"],
        ["cats.txt", "--words", "--optimizer", "adagrad"],
    ],
    ids=" ".join,
)
def test_going_on_is_the_same_as_not_stopping(options, here):
    """Bit for bit: weights, optimizer, random states, history and all."""
    assert run("train", *options, "--epochs", "2", "--save", "whole", *SMALL) == 0
    assert run("train", *options, "--epochs", "1", "--save", "part", *SMALL) == 0
    assert run("train", "--resume", "part", "--epochs", "2", "--quiet") == 0
    assert parts("part") == parts("whole")


@pytest.mark.parametrize("cell", rnn.config.CELLS)
def test_going_on_after_the_process_was_killed(cell, here):
    options = ["cats.txt", "--hidden", "6", "--layers", "2", "--dropout", "0.2", "--length", "30", "--cell", cell, "--quiet"]
    process = start("train", *options, "--epochs", "100000", "--save", "part")
    waited = time.monotonic()
    while not Path("part").exists() and process.poll() is None and time.monotonic() < waited + WAIT:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT)
    done = rnn.load_checkpoint("part")[1]["batches"]
    _, text = train.resumed(build_options("--resume", "part"))
    each = len(_data.training_data(rnn.load_checkpoint("part")[1]["about"], text))
    epochs = str(done // each + 2)
    assert run("train", "--resume", "part", "--epochs", epochs, "--quiet") == 0
    assert run("train", *options, "--epochs", epochs, "--save", "whole") == 0
    assert parts("part") == parts("whole")


def build_options(*arguments):
    from minigrad_rnn.cli import build_parser

    return build_parser().parse_args(["train", *arguments])


def test_ctrl_c_saves_and_tells_how_to_go_on(here):
    process = start("train", "cats.txt", "--hidden", "8", "--epochs", "100000", "--save", "part", "--history", "h.csv")
    while "epoch 2:" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert "Traceback" not in err
    done = rnn.load_checkpoint("part")[1]["batches"]
    assert f"Interrupted after {done:,} updates, and saved to part" in out
    assert out.endswith("Go on with: minigrad-rnn train --resume part --history h.csv\n")
    assert len(Path("h.csv").read_text().splitlines()) == 1 + done
    assert run("train", "--resume", "part", "--epochs", "100000", "--hidden", "9") == 2


@pytest.mark.parametrize("saved", [True, False])
def test_a_second_ctrl_c_names_the_checkpoint_that_this_run_saved(saved, here, capsys, monkeypatch):
    def fit(trainer, source, *, save, **options):
        if saved:
            trainer.save(save)
        raise KeyboardInterrupt

    monkeypatch.setattr(rnn.Trainer, "fit", fit)
    assert run("train", "hello", "--force", "--history", "h.csv", *SMALL) == 130
    out, err = capsys.readouterr()
    going_on = (
        "hello.safetensors has an earlier one. Go on with: minigrad-rnn train --resume hello.safetensors --history h.csv\n"
    )
    assert out.endswith(going_on) == saved
    assert ("interrupted; no file" in err) != saved


@pytest.mark.parametrize(("options", "diverges"), [("--lr 1e6 --optimizer sgd --clip 0", True), ("--lr 0.01", False)])
def test_divergence_is_a_warning_in_one_line(options, diverges, here, capsys):
    assert run("train", "cats.txt", "--epochs", "1", "--save", "new", *SMALL, *options.split()) == 0
    err = capsys.readouterr().err
    assert ("warning: training diverged: the training loss went from " in err) == diverges
    assert err.count("\n") == diverges


def test_the_end_says_which_epoch_the_file_has(capsys):
    trainer = SimpleNamespace(not_compiled="", best=(2.65625, 43, {}))
    train.show_result(trainer, {"epochs": 50, "text": None, "compile": True}, Path("new"))
    out = capsys.readouterr().out
    assert "lowest after epoch 44: 2.6562. new has the weights of the last\nepoch; " in out
    assert "train again with --epochs 44 --force" in out


def test_a_text_that_was_moved_or_changed(here, capsys):
    shutil.move("cats.txt", "moved.txt")
    assert run("train", "--resume", "cats.safetensors", "--epochs", "13", "--quiet") == 1
    assert "it is the text of cats.safetensors: give its present path as FILE" in capsys.readouterr().err
    assert run("train", "moved.txt", "--resume", "cats.safetensors", "--epochs", "13", "--quiet") == 0
    assert run("eval", "cats.safetensors") == 0
    Path("moved.txt").write_text(WORDS * 29 + WORDS.upper())
    assert run("train", "--resume", "cats.safetensors", "--epochs", "14", "--quiet") == 1
    assert "is not the text that cats.safetensors was trained on, or has changed" in capsys.readouterr().err


def test_force_replaces_a_checkpoint_but_nothing_else(here, capsys):
    before = Path("weights.safetensors").read_bytes()
    assert run("train", "hello", "--epochs", "1", "--force", *SMALL) == 0
    assert rnn.load_checkpoint("hello.safetensors")[1]["batches"] == 1
    assert run("train", "hello", "--epochs", "1", "--force", "--save", "weights.safetensors", *SMALL) == 1
    assert Path("weights.safetensors").read_bytes() == before


def test_a_run_that_blows_up_leaves_the_last_good_checkpoint(here, capsys):
    explode = ["adding", "--length", "5", "--optimizer", "sgd", "--clip", "0", "--save", "new", *SMALL]
    assert run("train", *explode, "--lr", "1e6", "--epochs", "2") == 1
    assert "is not saved" in one_line(capsys)
    arrays, info = rnn.load_checkpoint("adding.safetensors")
    info["optimizer"] |= {"lr": 1e30}
    rnn.save_checkpoint("adding.safetensors", arrays, info)
    before = Path("adding.safetensors").read_bytes()
    assert run("train", "--resume", "adding.safetensors", "--epochs", "3", "--quiet") == 1
    assert "adding.safetensors is unchanged" in one_line(capsys)
    assert Path("adding.safetensors").read_bytes() == before


def test_a_text_in_another_encoding(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes(b"caf\xe9 au lait, caf\xe9 noir, th\xe9\n" * 3)
    assert main(["train", "latin.txt", "--encoding", "latin-1", "--epochs", "1", "--hidden", "2", "--quiet"]) == 0
    assert main(["train", "--resume", "latin.safetensors", "--epochs", "2", "--quiet"]) == 0
    assert main(["eval", "latin.safetensors"]) == 0
    assert main(["sample", "latin.safetensors", "--prompt", "thé", "--length", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("thé")


# -- what is typed wrong -----------------------------------------------------------------------------------------------


def one_line(capsys):
    err = capsys.readouterr().err
    assert err.startswith("minigrad-rnn: ")
    assert err.count("\n") == 1
    return err


CATS, ADDING = "cats.safetensors", "adding.safetensors"
WRONG = [
    (2, "nothing to train on", "train"),
    (1, "there is no file and no task 'no/such.txt'", "train no/such.txt"),
    (1, "did you mean 'embedded_reber'?", "train embeded_reber"),
    (1, "folder is a folder", "train folder"),
    (1, "empty.txt is empty", "train empty.txt"),
    (1, "looks binary, byte 2 is NUL", "train binary.txt"),
    (1, "is not UTF-8: byte 3 is 0xe9", "train latin.txt"),
    (1, "short.txt has 5 characters; training needs at least 20", "train short.txt"),
    (1, "/dev/zero is not a regular file", "train /dev/zero"),
    (2, "hidden must be a whole number from 1 to 100,000, not 0", "train adding --hidden 0"),
    (2, "layers must be a whole number from 1 to 100, not '-1'", "train adding --layers -1"),
    (2, "batch must be a whole number from 1 to 1,000,000, not '1e3'", "train adding --batch 1e3"),
    (2, "would take about 258,834 GB of memory", "train adding --hidden 99999 --layers 100"),
    (2, "GB of memory", "train adding --length 10000 --batch 1000000"),
    (2, "epochs must be a whole number from 1 to 1,000,000,000, not 0", "train adding --epochs 0"),
    (2, "lr must be a number from 1e-12 to 1e+06, not nan", "train adding --lr nan"),
    (2, "lr must be a number from 1e-12 to 1e+06, not -0.1", "train adding --lr -0.1"),
    (2, "clip must be a number from 0 to 1e+09, not inf", "train adding --clip inf"),
    (2, "dropout must be a number from 0 to 0.99, not 1.0", "train adding --dropout 1"),
    (2, "--dropout acts between layers", "train adding --dropout 0.5"),
    (2, "seed must be a whole number from 0", "train adding --seed -1"),
    (2, "seed must be a whole number from 0", "train adding --seed " + "9" * 5000),
    (2, "length is 1; expected a whole number from 2 on", "train adding --length 1"),
    (2, "the task anbn has no length to choose", "train anbn --length 5"),
    (2, "are for texts; adding is a task", "train adding --words"),
    (2, "are for texts; adding is a task", "train adding --encoding gb18030"),
    (1, "there is no encoding 'latin-99'", "train latin.txt --encoding latin-99"),
    (2, "choose a smaller length", "train cats.txt --length 9000 --save new"),
    (2, "too few for 2000 streams", "train cats.txt --length 2 --batch 2000 --save new"),
    (2, "invalid choice: 'elman'", "train adding --cell elman"),
    (1, "hello.safetensors exists already; --resume hello.safetensors continues with it, --force", "train hello"),
    (1, "cats.txt exists and was not written by this command", "train hello --save cats.txt"),
    (1, "weights.safetensors exists and was not written by this command", "train hello --save weights.safetensors --force"),
    (1, "folder exists and was not written by this command", "train hello --save folder"),
    (1, "cannot write into the folder no/such: No such file", "train hello --save no/such/file"),
    (2, "--history must be a .csv or .jsonl file", "train hello --save new --history h.txt"),
    (1, "mine.csv exists and was not written by this command", "train hello --save new --history mine.csv --force"),
    (2, "--watch must be a .html file, not x.svg", "train hello --save new --watch x.svg"),
    (1, "page.html exists and is not a picture of this kind", "train hello --save new --watch page.html --force"),
    (2, "was begun with --hidden 24; leave out --hidden", f"train --resume {CATS} --hidden 25"),
    (2, "was begun with --words False", f"train --resume {CATS} --words"),
    (2, "was begun with --encoding utf-8", f"train --resume {CATS} --encoding latin-1"),
    (2, "was begun with --seed 0", f"train --resume {CATS} --seed 1"),
    (2, "has 12 epochs of training already", f"train --resume {CATS}"),
    (1, "is not the text that cats.safetensors was trained on", f"train this --resume {CATS} --epochs 20"),
    (1, "is a model of the task adding, not of sine", f"train sine --resume {ADDING} --epochs 9"),
    (1, "is a model of the text cats.txt, not of the task sine", f"train sine --resume {CATS} --epochs 20"),
    (1, "there is no file none", "train --resume none"),
    (1, "holds weights, but no checkpoint", "train --resume weights.safetensors"),
    (1, "'Z' is not in this alphabet, 'the ca", f"sample {CATS} --prompt catZ"),
    (2, "temperature must be a number from 0 to 1e+06, not -1.0", f"sample {CATS} --temperature -1"),
    (2, "temperature must be a number from 0 to 1e+06, not nan", f"sample {CATS} --temperature nan"),
    (2, "length must be a whole number from 1 to 10,000,000, not 0", f"sample {CATS} --length 0"),
    (2, "seed must be a whole number from 0 to", f"sample {CATS} --seed -1"),
    (2, "top_k must be a whole number from 1", f"sample {CATS} --top-k 0"),
    (1, "is a model of the task adding, which has no text to write on", f"sample {ADDING}"),
    (1, "there is no file none", "sample none"),
    (1, "folder is a folder", "sample folder"),
    (1, "it is truncated", "sample cut.safetensors"),
    (1, "was written by torch.save, pickle or np.savez", "sample torch.pt"),
    (1, "it is not a safetensors file", "sample cats.txt"),
    (1, "its checksum is wrong", "sample changed.safetensors"),
    (1, "cannot be evaluated on sine", f"eval {ADDING} sine"),
    (1, "not of the task sine", f"eval {CATS} sine"),
    (1, "'T' is not in this alphabet", f"eval {CATS} this"),
    (1, "there is no file and no task 'adding2'; did you mean 'adding'?", f"eval {ADDING} adding2"),
    (1, "it is not a safetensors file", "info cats.txt"),
    (2, "invalid choice: 'trian'", "trian hello"),
    (2, "did you mean sample?", "smaple"),
    (2, "did you mean --hidden?", "train hello --hiden 3"),
    (2, "did you mean lstm?", "train hello --cell lsmt"),
    (2, "(for a file write ./hello)", "train hello --words"),
    (1, "there is no file cats; did you mean cats.safetensors?", "sample cats"),
    (1, "it is not a safetensors file, such as `minigrad-rnn train` writes", "sample cats.txt"),
    (1, "leave it out, or make the alphabet with", f"sample {CATS} --prompt catZ"),
]


@pytest.fixture
def traps(here):
    Path("folder").mkdir()
    Path("mine.csv").write_text("my,own,data\n")
    Path("page.html").write_text("my own page")
    Path("empty.txt").touch()
    Path("binary.txt").write_bytes(b"ab\0cd")
    Path("latin.txt").write_bytes(b"caf\xe9 au lait, caf\xe9 noir, th\xe9")
    Path("short.txt").write_text("short")
    good = Path(CATS).read_bytes()
    Path("cut.safetensors").write_bytes(good[: len(good) // 2])
    Path("changed.safetensors").write_bytes(good[:-9] + bytes([good[-9] ^ 1]) + good[-8:])
    with open("torch.pt", "wb") as file:
        np.savez(file, a=np.ones(3))
    return here


@pytest.mark.parametrize(("status", "words", "line"), WRONG, ids=[line[:60] for _, _, line in WRONG])
def test_what_is_typed_wrong_gets_one_line_and_breaks_nothing(status, words, line, traps, capsys):
    before = {path: path.read_bytes() for path in traps.iterdir() if path.is_file()}
    assert run(*line.split()) == status
    assert words in one_line(capsys)
    assert {path: path.read_bytes() for path in traps.iterdir() if path.is_file()} == before


def test_an_empty_prompt(here, capsys):
    assert run("sample", CATS, "--prompt", "") == 1
    assert "the prompt is empty" in one_line(capsys)


HOSTILE = {
    "no description": lambda about: about.clear(),
    "huge hidden": lambda about: about.update(hidden=90_000),
    "huger hidden": lambda about: about.update(hidden=10**400),
    "hidden as text": lambda about: about.update(hidden="24"),
    "true layers": lambda about: about.update(layers=True),
    "many layers": lambda about: about.update(layers=99),
    "huge batch": lambda about: about.update(batch=10**6, length=10_000),
    "NaN lr": lambda about: about.update(lr=math.nan),
    "cell of code": lambda about: about.update(cell="__import__('os')"),
    "cell a list": lambda about: about.update(cell=["lstm"]),
    "no length": lambda about: about.update(length=None),
    "a task": lambda about: about.update(task="adding"),
    "another task": lambda about: about.update(task="adding", text=None),
    "neither": lambda about: about.update(text=None),
    "no alphabet": lambda about: about["text"].update(symbols=[]),
    "double alphabet": lambda about: about["text"].update(symbols=["a"] * len(set(WORDS))),
    "alphabet of numbers": lambda about: about["text"].update(symbols=list(range(len(set(WORDS))))),
    "alphabet too long": lambda about: about["text"]["symbols"].append("Z"),
    "strange unknown": lambda about: about["text"].update(unknown="?"),
    "words as text": lambda about: about["text"].update(words="no"),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_description_is_refused_in_one_line(spoil, here, capsys):
    arrays, info = rnn.load_checkpoint(CATS)
    spoil(info["about"])
    rnn.save_checkpoint(CATS, arrays, info)
    for command in (["sample", CATS], ["eval", CATS], ["train", "--resume", CATS, "--epochs", "13"]):
        assert run(*command) == 1
        assert f"{CATS}: " in one_line(capsys)
    assert run("info", CATS) == 0
    assert "No model that this program can build" in capsys.readouterr().out


@pytest.mark.parametrize("junk", [None, -1, 10**30, math.nan, True, "x", [], [[]], {}, {"a": 1}], ids=repr)
def test_a_description_with_anything_in_its_place_is_refused_or_builds_what_the_arrays_are(junk, here):
    weights, info = rnn.load_checkpoint(CATS)
    arrays = {name.removeprefix("model."): a for name, a in weights.items() if name.startswith("model.")}
    about, refused = info["about"], 0
    spoilt = [about | {key: junk} for key in about] + [{k: v for k, v in about.items() if k != key} for key in about]
    spoilt += [about | {"text": about["text"] | {key: junk}} for key in about["text"]]
    for description in spoilt:
        try:
            model = config.build(description, arrays)
        except ValueError:
            refused += 1
        else:
            assert {name: p.shape for name, p in model.named_parameters()} == {name: a.shape for name, a in arrays.items()}
    assert refused > 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batches", -5), ("batches", None), ("batches", 10**30), ("optimizer", {}), ("optimizer", 3), ("generators", []),
        ("generators", [{"bit_generator": "PCG64"}]), ("best", ["a", 1, 2]), ("best", ["a", 1]), ("validation", {"x": 1}),
        ("validation", [1]), ("schedule", {}),
    ],
)  # fmt: skip
def test_a_hostile_state_is_refused_in_one_line(name, value, here, capsys):
    arrays, info = rnn.load_checkpoint(CATS)
    rnn.save_checkpoint(CATS, arrays, info | {name: value})
    assert run("train", "--resume", CATS, "--epochs", "13", "--quiet") == 1
    assert CATS in one_line(capsys)


@pytest.mark.parametrize("name", ["carried.0", "history.loss", "optimizer", "model.readout.bias"])
def test_hostile_arrays_are_refused_in_one_line(name, here, capsys):
    arrays, info = rnn.load_checkpoint(CATS)
    name = next(key for key in arrays if key.startswith(name))
    for spoilt in (np.full(3, np.nan), np.zeros((2, 2), bool), None):
        others = {key: a for key, a in arrays.items() if key != name}
        rnn.save_checkpoint(CATS, others if spoilt is None else others | {name: spoilt}, info)
        status = run("train", "--resume", CATS, "--epochs", "13", "--quiet")
        if status or not name.startswith("carried"):
            assert status == 1
            one_line(capsys)


def test_a_full_disk_keeps_what_was_there(here):
    Path("part.safetensors").write_bytes(Path(CATS).read_bytes())
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    process = start("train", "--resume", "part.safetensors", "--epochs", "13", "--quiet", before=limit)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert err.startswith("minigrad-rnn: ")
    assert "what was there before is untouched" in err
    assert err.count("\n") == 1
    assert Path("part.safetensors").read_bytes() == Path(CATS).read_bytes()
    assert not list(here.glob(".minigrad*"))


def test_a_folder_one_may_not_write_to_is_named_before_training(here, monkeypatch, capsys):
    def refuse(**options):
        raise PermissionError(13, "Permission denied", "some name of no use")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert run("train", "hello", "--save", "new") == 1
    assert one_line(capsys) == "minigrad-rnn: cannot write into the folder .: Permission denied; choose another --save PATH\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_is_closed_or_full():
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full:
        closed, stuffed = start("tasks", stdout=writer), start("tasks", stdout=full)
        os.close(writer)
        assert (closed.communicate(timeout=WAIT)[1], closed.returncode) == ("", 141)
        assert (stuffed.communicate(timeout=WAIT)[1].count("\n"), stuffed.returncode) == (1, 1)


# -- sample, eval, tasks, info -----------------------------------------------------------------------------------------


def test_sample_writes_what_the_function_says(here, capsys):
    about, model, _ = config.load(CATS)
    alphabet = rnn.Alphabet(about["text"]["symbols"])

    def said(*options):
        assert run("sample", CATS, "--prompt", "the ", "--length", "40", *options) == 0
        return capsys.readouterr().out

    assert said("--temperature", "0") == f"the {rnn.greedy(model, alphabet, 'the ', 40)}\n"
    assert said("--seed", "3") == f"the {sample(model, alphabet, 'the ', 40, 1.0, 3)}\n" == said("--seed", "3")
    assert said("--seed", "3") != said("--seed", "4")
    assert said("--top-k", "1") == said("--temperature", "0") == said("--temperature", "1e-300")
    assert "the cat" in said("--temperature", "0")


def test_sample_of_words_and_of_a_task(here, capsys):
    assert run("sample", "words.safetensors", "--prompt", "cat sat", "--length", "5") == 0
    assert capsys.readouterr().out.startswith("cat sat")
    assert run("sample", "hello.safetensors", "--prompt", "h", "--length", "6", "--temperature", "0") == 0
    assert capsys.readouterr().out == "hihello\n"


def test_eval_gives_the_numbers_of_evaluate(here, capsys):
    about, model, _ = config.load(CATS)
    alphabet, text = rnn.Alphabet(about["text"]["symbols"]), WORDS * 30
    last = text[-(len(text) // 10) :]
    result = rnn.evaluate(model, rnn.Streams(alphabet.encode(last), 50, 1, one_hot=len(alphabet)))
    for data in ([], ["cats.txt"]):
        assert run("eval", CATS, *data) == 0
        out = capsys.readouterr().out
        assert f"loss                 {result.loss:.6f} nats" in out
        assert f"{result.loss / math.log(2):.4f}" in out
        assert f"{math.exp(result.loss):.4f}" in out
        assert f"{result.accuracy:.2%}" in out
        assert f"{rnn.text.entropy(last, 1):.4f}" in out
    Path("other.txt").write_text("the mat sat on the cat." * 9)
    assert run("eval", CATS, "other.txt") == 0
    assert "all of it, 207 symbols" in capsys.readouterr().out


def test_eval_of_tasks(here, capsys):
    for name, kind in (("adding", "mse"), ("hello", "cross_entropy"), ("digits_to_letters", "cross_entropy")):
        about, model, _ = config.load(f"{name}.safetensors")
        task = config.task_of(about)
        unseen = task.data(32, 32, _data.VALIDATION_SEED)
        result = rnn.evaluate(model, unseen, loss=kind)
        assert run("eval", f"{name}.safetensors", name) == 0
        out = capsys.readouterr().out
        assert f"{result.loss:.6f}" in out
        assert ("right answers" in out) == (kind != "mse")
        assert all(f"{what} {bound:.4f}" in out for what, bound in task.bounds.items())
        if name == "digits_to_letters":
            batches = [unseen.batch(i) for i in range(len(unseen))]
            hits = [(model.generate(b.inputs, 2) == b.targets).all(0) for b in batches]
            assert f"strings all right    {np.mean(hits):.2%}, of 1,024 in free running" in out


def test_tasks_lists_them_all(capsys):
    assert run("tasks") == 0
    out = capsys.readouterr().out
    for name, make in rnn.tasks.TASKS.items():
        assert f"{name} " in out
        assert make().summary in out
        assert all(f"{what}: {bound:.4f}" in out for what, bound in make().bounds.items())


def test_info_of_a_model_and_of_other_weights(here, capsys):
    assert run("info", CATS) == 0
    out = capsys.readouterr().out
    assert f"The text cats.txt, by characters, {len(set(WORDS))} different" in out
    assert "Sequence of LSTM(24)" in out
    assert f"{rnn.load_checkpoint(CATS)[1]['batches']:,} updates done" in out
    for name, p in config.load(CATS)[1].named_parameters():
        assert any(f"model.{name} " in line and str(p.shape) in line for line in out.splitlines())
    assert run("info", "weights.safetensors") == 0
    out = capsys.readouterr().out
    assert "(2, 3)" in out
    assert "\x1b" not in out


# -- models from descriptions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", rnn.config.CELLS)
@pytest.mark.parametrize("data", [*rnn.tasks.TASKS, "text", "embedded text"])
def test_the_shapes_foretold_are_those_of_the_model(cell, data):
    about = {
        "program": "minigrad-rnn", "task": data, "text": None, "length": None, "cell": cell, "hidden": 5, "layers": 2,
        "embedding": 0, "dropout": 0.1, "batch": 3, "epochs": 1, "optimizer": "adam", "lr": 0.1, "clip": 0, "seed": 0,
    }  # fmt: skip
    if data not in rnn.tasks.TASKS:
        told = {"path": "x", "sha256": "", "words": False, "symbols": list("abcdefg"), "unknown": None}
        about |= {"task": None, "text": told, "length": 4, "embedding": 3 * (data != "text")}
    model = config.build(about)
    assert config.shapes_of(about) == {name: p.shape for name, p in model.named_parameters()}
    again = config.build(about | {"seed": 1}, model.state_dict())
    assert all((p.data == q.data).all() for p, q in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only there a process tells what it took itself")
def test_a_big_text_is_read_in_bounded_memory(tmp_path):
    """A megabyte: the numbers of its symbols and little else.

    The process tells its own peak at its end. The one that getrusage has of it begins, where it was forked, with the size of
    the test run.
    """
    (tmp_path / "big.txt").write_text((WORDS * 20_000)[:1_000_000])
    tell = "import atexit; atexit.register(lambda: print(open('/proc/self/status').read()))"
    arguments = ("train", str(tmp_path / "big.txt"), "--hidden", "16", "--epochs", "100", "--quiet")
    with start(*arguments, before=tell, cwd=tmp_path) as process:
        try:
            while "updates an epoch" not in process.stdout.readline():
                assert process.poll() is None, process.stderr.read()
            while not (tmp_path / "big.safetensors").exists():  # it trains
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert process.returncode == 130
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", out)[1])
    assert 20_000 < peak < 180_000


def test_without_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "hello", "--epochs", "3", "--quiet", "--no-compile", "--save", "eager.safetensors"]) == 0
    assert main(["train", "hello", "--epochs", "3", "--quiet", "--save", "compiled.safetensors"]) == 0
    one, other = (rnn.load_checkpoint(f"{name}.safetensors") for name in ("eager", "compiled"))
    assert (one[1]["about"]["compile"], other[1]["about"]["compile"]) == (False, True)
    for name, array in one[0].items():
        np.testing.assert_allclose(array, other[0][name], rtol=1e-3, atol=1e-5)
    capsys.readouterr()
    assert main(["train", "--resume", "compiled.safetensors", "--epochs", "4", "--no-compile"]) == 2
    assert "was begun compiled; leave out --no-compile" in capsys.readouterr().err
    assert main(["train", "embedded_reber", "--epochs", "1", "--quiet", "--hidden", "2"]) == 0
    assert "not compiled: some calls have shapes that are too rare" in capsys.readouterr().out
