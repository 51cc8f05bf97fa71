"""examples/PICTURES.md shows the pictures that examples/pictures.py makes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
SHOWN = re.findall(r"\]\(pictures/(\w+)\.svg\)", (FOLDER / "PICTURES.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / "pictures.py", folder], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_every_picture_is_made_shown_and_kept(drawn):
    assert sorted(SHOWN) == sorted(drawn) == sorted(path.stem for path in (FOLDER / "pictures").iterdir())


# To the byte: with every instruction set of NumPy and OpenBLAS that was tried, the pictures came out the same.
@pytest.mark.parametrize("name", SHOWN)
def test_a_committed_picture_is_what_is_drawn_now(name, drawn):
    committed = (FOLDER / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert committed == drawn[name], "`python examples/pictures.py examples/pictures` draws them anew"
