"""A cell, an optimizer, a task and a command are each added in one file, and are then found everywhere."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad_rnn as rnn

ROOT = Path(rnn.__file__).parent.parent
STUBS = Path(__file__).with_name("stubs.py")

CELL = '''
"""The minimal gated unit (Zhou et al. 2016) under a name that nobody will choose."""

from ..cell import Cell
from ..recurrent import Recurrent, stacked
import minigrad as mg

__all__ = ["GIZMO", "GizmoCell"]


class GizmoCell(Cell):
    """One step of a minimal gated unit.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.GizmoCell(3, 4, rng=0)(np.ones((2, 3))).shape
    (2, 4)
    """

    gate_names = {"f": "forget gate", "n": "candidate"}
    gates = 2

    def step(self, x, state):
        (h,) = state
        f, n = mg.split(mg.linear(x, self.weight_ih, self.bias_ih), 2, axis=-1)
        f_h, n_h = mg.split(mg.linear(h, self.weight_hh, self.bias_hh), 2, axis=-1)
        f = mg.sigmoid(f + f_h)
        n = mg.tanh(n + f * n_h)
        return ((1 - f) * h + f * n,)


class GIZMO(Recurrent):
    """A minimal gated unit over a sequence."""

    def __init__(self, input_size, hidden_size, num_layers=1, *, bidirectional=False, dropout=0.0, rng=None, **options):
        cells, rng = stacked(
            lambda width, rng: GizmoCell(width, hidden_size, rng=rng, **options), input_size, num_layers, bidirectional, rng
        )
        super().__init__(*cells, dropout=dropout, rng=rng)
'''
OPTIMIZER = '''
"""Lion (Chen et al. 2023) under another name: a step of the sign of a running mean."""

from typing import NamedTuple

import numpy as np

from ..optimizer import Optimizer

__all__ = ["Widget", "widget"]


class WidgetState(NamedTuple):
    m: np.ndarray


def widget(p, g, state, *, lr):
    """One step."""
    return p - lr * np.sign(0.9 * state.m + 0.1 * g), WidgetState(0.99 * state.m + 0.01 * g)


class Widget(Optimizer):
    """Lion."""

    usual_lr = 0.0003

    def __init__(self, parameters, lr=1e-4, *, maximize=False):
        super().__init__(parameters, lr, maximize=maximize)

    def initial(self, p):
        return WidgetState(np.zeros_like(p))

    def update(self, p, g, state):
        return widget(p, g, state, lr=self.lr)
'''
DOUBLE = '''

def double(length: int = 4) -> Task:
    """Twice the number that was read."""

    def sample(n: int, rng: np.random.Generator) -> Batch:
        x = rng.random((length, n, 1), dtype=np.float32)
        return Batch(x, 2 * x)

    return Task("double", "twice the number", "steps", "mse", 1, 1, sample, {"always 1": 1 / 3})


'''
GREET = '''
"""``minigrad-rnn greet``: a greeting."""

HELP = "print a greeting"
DESCRIPTION = "Print a greeting."


def arguments(parser):
    parser.add_argument("name")


def run(options):
    print(f"hello {options.name}")
    return 0
'''
USE = """
import numpy as np, minigrad_rnn as rnn
from minigrad_rnn.cli import main
assert {"GIZMO", "GizmoCell", "Widget"} <= set(rnn.__all__) & set(dir(rnn))
assert rnn.GIZMO(3, 4, rng=0)(np.ones((5, 2, 3)))[0].shape == (5, 2, 4)
assert rnn.optim.Widget is rnn.Widget and callable(rnn.optim.widget) and rnn.cells.GIZMO is rnn.GIZMO
assert rnn.config.LAYERS["gizmo"] is rnn.GIZMO and rnn.config.OPTIMIZERS["widget"] is rnn.Widget
assert rnn.tasks.TASKS["double"] is rnn.tasks.double
cell = rnn.GizmoCell(3, 2)
rnn.init.keras(cell, rng=0)
assert cell.bias_ih.tolist() == [1, 1, 0, 0]
train = "train double --cell gizmo --optimizer widget --length 3 --hidden 4 --epochs 1 --quiet"
assert main(train.split()) == 0
for command in ("eval double.safetensors", "info double.safetensors", "draw double.safetensors", "tasks", "greet you",
                "gradflow double --cells gizmo,lstm --length 3"):
    assert main(command.split()) == 0, command
for arguments in ([], ["train", "--help"]):
    try:
        main(arguments)
    except SystemExit:
        pass
"""


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with one more of each."""
    folder = tmp_path_factory.mktemp("enlarged")
    for package in ("minigrad", "minigrad_rnn"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    package = folder / "minigrad_rnn"
    (package / "cells" / "gizmo.py").write_text(CELL)
    (package / "optim" / "_widget.py").write_text(OPTIMIZER)
    (package / "commands" / "greet.py").write_text(GREET)
    tasks = package / "data" / "tasks.py"
    before, after = tasks.read_text(encoding="utf-8").split("\n\ndef parity")
    tasks.write_text(f"{before}{DOUBLE}def parity{after}", encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_each_is_found_everywhere(enlarged: Path) -> None:
    out = run(enlarged, "-c", USE)
    assert "LSTM" not in out.partition("Mean factor")[0]
    assert "ManyToOne" not in out
    assert "Sequence of GIZMO(4)" in out
    assert "optimizer widget" in out
    assert "lr 0.0003" in out
    assert "double            twice the number (steps, mse, --length)" in out
    assert "hello you" in out
    assert "greet     print a greeting" in out
    assert "{" + ",".join(sorted({*rnn.config.CELLS, "gizmo"})) + "}" in out
    assert "widget" in out.partition("--optimizer {")[2].partition("}")[0]


def test_the_stubs_have_them_after_a_run_of_the_script(enlarged: Path) -> None:
    (enlarged / "tests" / "minigrad_rnn").mkdir(parents=True)
    shutil.copy(STUBS, enlarged / "tests" / "minigrad_rnn")
    run(enlarged, "tests/minigrad_rnn/stubs.py")
    stub = (enlarged / "minigrad_rnn" / "__init__.pyi").read_text()
    for line in (
        "from minigrad_rnn.cells.gizmo import GIZMO as GIZMO",
        "from minigrad_rnn.optim._widget import Widget as Widget",
    ):
        assert line in stub.splitlines()
    assert "import widget as widget" in (enlarged / "minigrad_rnn" / "optim" / "__init__.pyi").read_text()


def test_the_tests_come_free(enlarged: Path) -> None:
    tests = Path(__file__).parent
    files = [str(tests / name) for name in ("test_optim.py", "test_reprs.py", "data/test_tasks.py")]
    shown = run(enlarged, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", f"--rootdir={tests}", *files)
    for name in ("goes_down[Widget]", "shows_itself[Widget]", "shows_itself[GizmoCell]", "shows_itself[GIZMO]", "[double]"):
        assert name in shown


def test_the_stubs_are_current() -> None:
    stubs = runpy.run_path(str(STUBS))
    for package in stubs["PACKAGES"]:
        text = stubs["path_of"](package).read_text(encoding="utf-8")
        assert text == stubs["stub"](package), f"run python tests/minigrad_rnn/{STUBS.name}"
