"""Who knows of whom: the engine computes with any array that follows NumPy's protocols, and has no word of those who use it."""

import re
from pathlib import Path

import pytest

import minigrad

ROOT = Path(minigrad.__file__).parent
CORE = ["arrays", "broadcasting", "errors", "graph", "hooks", "methods", "selection", "state", "sweep", "tensor", "ops"]
USERS = re.compile(r"compil|recorder|stand-?in(?!g)|minigrad_rnn|\bRNN|\bfrom \.+(pictures|debugging|loop)", re.IGNORECASE)
RECORDING = re.compile(r"\bRECORDER\b|\bRecorder\b|stand-?in(?!g)|\.compiling\.(?:trace|recorder|standins)", re.IGNORECASE)


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).glob("*.py")) if (ROOT / room).is_dir() else [ROOT / f"{room}.py"]


@pytest.mark.parametrize("path", [path for room in CORE for path in files(room)], ids=lambda path: path.stem)
def test_the_core_has_no_word_of_its_users(path: Path) -> None:
    assert not USERS.findall(path.read_text("utf-8"))


def test_only_the_compiler_knows_of_recording_for_it() -> None:
    outside = [p for p in ROOT.rglob("*.py") if "compiling" not in p.parts]
    outside += (ROOT.parent / "minigrad_rnn").rglob("*.py")
    found = {p.name: RECORDING.findall(p.read_text("utf-8")) for p in outside}
    assert {name: words for name, words in found.items() if words and name != "flow.py"} == {}  # which has a GradientRecorder
