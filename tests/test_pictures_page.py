"""examples/PICTURES.md shows the pictures that examples/pictures.py makes."""

import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
SHOWN = re.findall(r"\]\(pictures/(\w+)\.svg\)", (FOLDER / "PICTURES.md").read_text(encoding="utf-8"))


def made(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / "pictures.py", *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {line.split()[0] for line in done.stdout.splitlines()}


def test_every_picture_is_made_saved_and_shown(tmp_path):
    names = made("--quick", str(tmp_path), ".dot", cwd=tmp_path)
    assert {path.stem for path in tmp_path.glob("*.dot")} == names
    assert sorted(SHOWN) == sorted(names)
    assert names <= {path.stem for path in (FOLDER / "pictures").glob("*.svg")}


# -- the committed pictures are those that the code draws now, by what they say ------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")


def said(path):
    """What each node, arrow and frame of an SVG says: its lines, and its tooltip; and what the whole says."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    found = {"": [" ".join(text.text for text in root.iter(f"{SVG}text"))]}
    for group in root.iter(f"{SVG}g"):
        name = " ".join(value for key, value in sorted(group.items()) if key.startswith("data-"))
        if name:
            tips = [title.text or "" for title in group.iter(f"{SVG}title")]
            found.setdefault(name, []).append(" ".join([*(text.text or "" for text in group.iter(f"{SVG}text")), *tips]))
    return found


def alike(one, other):
    """The same words, and the same numbers but for rounding, which another machine may do otherwise."""
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (one, other)]
    return NUMBER.sub("#", one) == NUMBER.sub("#", other) and all(
        math.isclose(a, b, rel_tol=0.02, abs_tol=1e-6) for a, b in zip(*numbers, strict=True)
    )


@pytest.fixture(scope="module")
def drawn_now(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    made(str(folder), ".svg", cwd=folder)
    return folder


@pytest.mark.parametrize("name", SHOWN)
def test_a_committed_picture_says_what_is_drawn_now(name, drawn_now):
    committed, now = (said(folder / f"{name}.svg") for folder in (FOLDER / "pictures", drawn_now))
    again = "`python examples/pictures.py examples/pictures` draws them anew"
    assert committed.keys() == now.keys(), again
    for part in now:
        assert len(committed[part]) == len(now[part]), (part, again)
        for before, after in zip(sorted(committed[part]), sorted(now[part]), strict=True):
            assert alike(before, after), (part, before, after, again)
