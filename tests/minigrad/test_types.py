"""Types: mypy sees Tensors and arrays, the parameters of a decorated function, and a mistake where there is one."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from mypy import api

import minigrad as mg

HERE = Path(__file__).parent
PACKAGE = Path(mg.__file__).parent
CONFIG = "[mypy]\nstrict = True\n[mypy-minigrad.*]\nfollow_imports = silent\n"
PROGRAM = '''
import numpy as np
import minigrad as mg


def loss(w: mg.Tensor, scale: float) -> mg.Tensor:
    """The sum of squares of w, which a training makes small."""
    return (mg.tanh(w) * scale).sum()


w = mg.tensor(np.zeros(3), requires_grad=True)
w.required_grad = False  # attr-defined
for _ in range(10):
    slope = mg.grad(loss)(w)  # call-arg
    w.data -= 0.1 * slope
print(mg.softmax(w, axis="last"))  # call-overload
with mg.no_grad():
    print(loss(w, 2.0).item(), w.grad, (1 - w).tanh().T.shape)
'''


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """By file, the lines and codes of what mypy finds."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "mypy.ini").write_text(CONFIG)
    (folder / "program.py").write_text(PROGRAM)
    patch = pytest.MonkeyPatch()
    if "site-packages" not in PACKAGE.parts:
        patch.setenv("MYPYPATH", str(PACKAGE.parent))
    options = [
        "--config-file",
        str(folder / "mypy.ini"),
        "--cache-dir",
        str(folder / "cache"),
        "--python-executable",
        sys.executable,
    ]
    report, complaints, _ = api.run([*options, str(HERE / "typed.py"), str(folder / "program.py")])
    patch.undo()
    assert not complaints
    found: dict[str, list[tuple[int, str]]] = {"typed.py": [], "program.py": []}
    for path, line, code in re.findall(r"^(.*?):(\d+): error: .*\[(.*)\]$", report, re.M):
        found[Path(path).name].append((int(line), code))
    assert len(re.findall("error:", report)) == sum(map(len, found.values())), report
    return found


def test_functions_methods_and_transforms_have_types(errors: dict[str, list[tuple[int, str]]]) -> None:
    assert errors["typed.py"] == []


def test_mistakes_are_found_and_nothing_else(errors: dict[str, list[tuple[int, str]]]) -> None:
    planted = [(i, line.split("# ")[1]) for i, line in enumerate(PROGRAM.splitlines(), 1) if "  # " in line]
    assert errors["program.py"] == planted


def test_the_stubs_are_those_of_the_entries() -> None:
    """Otherwise run ``python tests/stubs.py``."""
    for path, text in runpy.run_path(str(HERE.parent / "stubs.py"))["texts"]().items():
        assert (PACKAGE / path).read_text(encoding="utf-8") == text, path
