"""What a type checker sees of the package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("typing_rnn.py")


def test_mypy_sees_the_types_and_finds_the_mistakes() -> None:
    pytest.importorskip("mypy")
    root = Path(__file__).parents[2]
    mypy = subprocess.run([sys.executable, "-m", "mypy", "--strict", str(PROGRAM)], cwd=root, capture_output=True, text=True)
    found = {int(line) for line in re.findall(r"typing_rnn\.py:(\d+): error", mypy.stdout)}
    lines = PROGRAM.read_text(encoding="utf-8").splitlines()
    assert found == {i for i, line in enumerate(lines, 1) if line.endswith("# mistake")}, mypy.stdout
    assert len(found) == 7
