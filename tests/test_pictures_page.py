"""examples/PICTURES.md shows the pictures that examples/pictures.py makes."""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "examples"


def made(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / "pictures.py", "--quick", *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return {line.split()[0] for line in done.stdout.splitlines()}


def test_every_picture_is_made_saved_and_shown(tmp_path):
    names = made(str(tmp_path), ".dot", cwd=tmp_path)
    assert {path.stem for path in tmp_path.glob("*.dot")} == names
    shown = re.findall(r"\]\(pictures/(\w+)\.svg\)", (FOLDER / "PICTURES.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(names)
    assert names <= {path.stem for path in (FOLDER / "pictures").glob("*.svg")}
