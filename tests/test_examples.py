"""Every example runs from beginning to end, on its own, without a warning and with nothing on stderr.

A lesson is a script whose name begins with two digits. Scripts that train for long have an option ``--quick``: the same steps
with a smaller task, fewer seeds and fewer updates. examples/tasks/RESULTS.md has the results of the full forms.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.rglob("*.py"))
LESSONS = [path for path in EXAMPLES if path.name[:2].isdigit()]
QUICK = [path for path in EXAMPLES if "--quick" in path.read_text(encoding="utf-8")]


FLAG = "ignore:invalid value encountered in dot:RuntimeWarning"  # of OpenBLAS for finite products, see pyproject.toml


def run(path, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", FLAG, str(path), *arguments],
        capture_output=True, text=True, encoding="utf-8", cwd=cwd, timeout=300, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    run(path, *(["--quick"] if path in QUICK else []), cwd=tmp_path)
    assert not list(tmp_path.iterdir())  # pictures are only made when asked for


def test_the_curves_of_the_activations_can_be_saved(tmp_path):
    pytest.importorskip("matplotlib")
    run(FOLDER / "activations.py", ".", cwd=tmp_path)
    assert (tmp_path / "activations.svg").read_text(encoding="utf-8").count("<path") > 10


def test_char_rnn_reads_a_file(tmp_path):
    (tmp_path / "text.txt").write_text("hello hello hello hello hello\n" * 10, encoding="utf-8")
    said = run(FOLDER / "char_rnn.py", "text.txt", "--quick", "--temperature", "0.5", cwd=tmp_path)
    assert "300 symbols, 6 different ones" in said


def test_the_results_are_of_examples_that_exist():
    results = (FOLDER / "tasks" / "RESULTS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.py)`", results))
    assert named
    assert named <= {path.name for path in EXAMPLES}


def test_there_are_examples_in_every_folder():
    assert {path.parent.name for path in EXAMPLES} == {"examples", "labs", "tasks"}


def test_each_lesson_has_a_number_of_its_own():
    numbers = [path.name[:2] for path in LESSONS]
    assert sorted(set(numbers)) == numbers
