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
    said = run(path, *(["--quick"] if path in QUICK else []), cwd=tmp_path)
    assert not list(tmp_path.iterdir())  # pictures are only made when asked for
    if path in LESSONS:
        numbers = range(1, exercises_of(path) + 1)
        for label, verdict in (("exercise", "not yet - replace the ... with your answer"), ("solution", "right")):
            assert re.findall(rf"^{label} .*$", said, re.MULTILINE) == [f"{label} {n}: {verdict}" for n in numbers]


def test_the_results_are_of_examples_that_exist():
    results = (FOLDER / "tasks" / "RESULTS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.py)`", results))
    assert named
    assert named <= {path.name for path in EXAMPLES}


def test_there_are_examples_in_every_folder():
    assert {path.parent.name for path in EXAMPLES} == {"examples", "labs", "tasks"}


def exercises_of(path):
    """The number of exercises that the first cell of a lesson announces."""
    return int(re.search(r"\*\*Time:\*\* about \d+ minutes, (\d+) exercises\.", path.read_text(encoding="utf-8"))[1])


def test_the_course_is_complete():
    assert [path.name[:2] for path in LESSONS] == [f"{n:02}" for n in range(22)]
    assert sum(map(exercises_of, LESSONS)) >= 60


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_says_what_it_needs_and_leads_to_the_next(path):
    text = path.read_text(encoding="utf-8")
    number = int(path.name[:2])
    assert text.startswith(f"# %% [markdown]\n# # Lesson {number}: ")
    first = text.split("\n# %%")[0]
    for label in ("You need", "You will be able to"):
        assert f"\n# **{label}" in first
    for heading in ("## What to remember", "## Solutions"):
        assert f"\n# {heading}\n" in text
    assert f"### Exercise {exercises_of(path)}\n" in text
    assert f"lesson {number + 1}" in text.partition("**Next:**")[2] or path == LESSONS[-1]
