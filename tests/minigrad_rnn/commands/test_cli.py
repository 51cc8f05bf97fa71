"""The command line, as a person types it."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

import minigrad
import minigrad_rnn as rnn
from minigrad.pictures import renderers
from minigrad_rnn.cli import main


@pytest.fixture
def no_renderer(monkeypatch, tmp_path):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "distribution", not_found)
    assert not renderers()


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_demo_trains_tells_and_draws_without_a_renderer(cell, no_renderer, tmp_path, capsys):
    folder = tmp_path / "new folder" / "bilder"
    assert main(["demo", "--out", str(folder), "--cell", cell]) == 0
    out, err = capsys.readouterr()
    losses = [float(line.split()[4].rstrip(",")) for line in out.splitlines() if line.startswith("  after")]
    assert len(losses) == 8
    assert losses[-1] < 0.1 < 1.2 < losses[0]
    assert "the network says:  ihello" in out
    assert "its own words:  ihello" in out
    assert "50/50" in err  # the progress bar
    assert sorted(path.name for path in folder.iterdir()) == ["folded.svg", "gradient.html", "gradient.svg", "unrolled.svg"]
    for path in folder.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert 'id="picture"' in (folder / "gradient.html").read_text(encoding="utf-8")
    *wrote, opens = out.splitlines()[-5:]
    assert {line.removeprefix("Wrote ") for line in wrote} == {str(path) for path in folder.iterdir()}
    assert opens.endswith((folder / "gradient.html").as_uri())


def test_a_seed_gives_the_same_run_again_and_another_another(tmp_path, capsys):
    texts = []
    for seed in ("3", "3", "4"):
        assert main(["demo", "--out", str(tmp_path / "out"), "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].splitlines()[1:] != texts[2].splitlines()[1:]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--seed", "-1"], "seed must be a whole number from 0 to 9,223,372,036,854,775,807, not '-1'"),
        (["demo", "--seed", "two"], "seed must be a whole number from 0 to 9,223,372,036,854,775,807, not 'two'"),
        (["demo", "--cell", "gru"], "invalid choice: 'gru'"),
        (["dmo"], "invalid choice: 'dmo'"),
        (["demo", "extra"], "unrecognized arguments: extra"),
    ],
)
def test_wrong_arguments_get_one_line_and_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_cannot_be_made_is_named_before_training(tmp_path, capsys):
    (tmp_path / "file").write_text("here already")
    assert main(["demo", "--out", str(tmp_path / "file" / "out")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert str(tmp_path / "file" / "out") in err
    assert "--out DIR" in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_written_to_is_named_before_training(monkeypatch, tmp_path, capsys):
    def refuse(**options):
        raise PermissionError(13, "Permission denied", "some name of no use")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"minigrad-rnn: cannot write into the folder {tmp_path}: Permission denied; choose another with --out DIR\n"


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"minigrad-rnn {minigrad.__version__}\n"


def test_an_interrupt_ends_without_a_traceback(monkeypatch, tmp_path, capsys):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(rnn.Trainer, "fit", interrupted)
    assert main(["demo", "--out", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--help"], ["demo", "--help"]])
def test_help_is_for_newcomers(arguments):
    run = subprocess.run(
        [sys.executable, "-m", "minigrad_rnn", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert "ihello" in run.stdout
    assert run.stderr == ""


def test_the_console_script_is_the_same_command():
    (script,) = [e for e in importlib.metadata.entry_points(group="console_scripts") if e.name == "minigrad-rnn"]
    assert script.load() is main
    assert Path(rnn.__file__).with_name("__main__.py").exists()


@pytest.mark.parametrize("slow", ["tqdm", "safetensors"])
def test_ctrl_c_while_a_command_is_imported_is_one_line(slow, tmp_path):
    package = tmp_path / slow
    package.mkdir()
    (package / "__init__.py").write_text("import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)\n")
    root = str(Path(rnn.__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-m", "minigrad_rnn", "train", "hello"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])},
    )  # fmt: skip
    assert process.stderr.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "minigrad-rnn: interrupted; no file is half written")


def test_no_help_waits_for_numpy():
    code = """
import contextlib, pkgutil, sys
from minigrad_rnn import cli, commands
names = [found.name for found in pkgutil.iter_modules(commands.__path__) if not found.name.startswith("_")]
assert len(names) >= 8
for arguments in [[], ["--help"], *([name, "--help"] for name in names)]:
    with contextlib.suppress(SystemExit):
        cli.main(arguments)
    assert not sys.modules.keys() & {"numpy", "minigrad", "safetensors", "tqdm"}, arguments
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(rnn.__file__).parent.parent, stdout=subprocess.DEVNULL)


def test_a_file_that_begins_with_a_dash_is_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-dash.txt").write_text("hello " * 50)
    with pytest.raises(SystemExit) as error:
        main(["train", "-dash.txt"])
    assert error.value.code == 2
    told = capsys.readouterr().err
    assert "write ./-dash.txt for the file -dash.txt, because a word that begins with a dash is an option" in told
    assert told.count("\n") == 1
    assert main(["train", "./-dash.txt", "--hidden", "2", "--epochs", "1", "--quiet", "--save", "dash.safetensors"]) == 0


@pytest.mark.parametrize("number", ["1_0", "0.1_0", "1e1_0", "１", "1,5", ""])
def test_numbers_are_written_plainly(number, capsys):
    with pytest.raises(SystemExit) as error:
        main(["train", "hello", "--lr", number])
    assert error.value.code == 2
    assert f"lr must be a number from 1e-12 to 1e+06, not {number!r}" in capsys.readouterr().err


def test_what_a_terminal_would_take_for_a_command_is_written_out(tmp_path, capsys):
    symbols = "ab\x1b[2J\x07\x9b\u202e\u2028\n\té\u3000"
    (tmp_path / "text.txt").write_text(symbols * 20, encoding="utf-8")
    model = str(tmp_path / "model.safetensors")
    assert main(["train", str(tmp_path / "text.txt"), "--hidden", "2", "--epochs", "1", "--quiet", "--save", model]) == 0
    capsys.readouterr()
    assert main(["sample", model, "--length", "400", "--temperature", "1000", "--prompt", "a\x1b"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("a\\x1b")
    assert not set(said) & set("\x1b\x07\x9b\u202e\u2028")
    assert {"\n", "\t", "é", "\u3000"} <= set(said)
    for written in ("\\x1b", "\\x07", "\\x9b", "\\u202e", "\\u2028"):
        assert written in said


def test_a_command_that_cannot_be_used_is_named_and_the_others_work(monkeypatch, capsys):
    from minigrad_rnn.commands import info

    monkeypatch.delattr(info, "HELP")
    assert main(["tasks"]) == 0
    out, err = capsys.readouterr()
    assert "hello" in out
    assert err.startswith("minigrad-rnn: the command info was left out: AttributeError: ")
    assert "no attribute 'HELP'" in err
