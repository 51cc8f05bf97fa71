"""Commands in the READMEs and on the page of pictures run as they are written, on a small text."""

import re
from pathlib import Path

import pytest

from minigrad_rnn.cli import main

ROOT = Path(__file__).parents[3]
TEXT = "(the cat) sat on the mat, and (the old dog) sat by the door. " * 60


def commands(page):
    """The commands of a page that stand in blocks of their own, without the first word."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.split()[1:] for line in lines if line.startswith(".venv/bin/minigrad-rnn ")]


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "examples/PICTURES.md"])
def test_commands_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("cats.txt").write_text(TEXT, encoding="utf-8")
    found = commands(page)
    assert found
    for words in found:
        given = [word.replace("FILE", "cats") if "." in word else word.replace("FILE", "cats.txt") for word in words]
        small = ["--epochs", "2", "--hidden", "16", "--quiet"] if words[0] == "train" else []
        assert main([*given, *small]) == 0, capsys.readouterr().err
