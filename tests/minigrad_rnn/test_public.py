"""`dir` of the package and of its public modules shows the public names and nothing else."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import minigrad_rnn as rnn

ROOT = Path(rnn.__file__).parent.parent
MODULES = {name: module for name in rnn.__all__ if isinstance(module := getattr(rnn, name), ModuleType)}
MODULES |= {"minigrad_rnn": rnn, "data": rnn.data, "cells": rnn.cells}


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ("draw", "flow")])
def test_dir_shows_the_public_names(name: str) -> None:
    module = MODULES[name]
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)


def test_other_modules_can_be_imported_and_other_names_are_errors() -> None:
    assert isinstance(rnn.recurrent, ModuleType)
    with pytest.raises(AttributeError, match="module 'minigrad_rnn' has no attribute 'LSMT'"):
        rnn.LSMT  # noqa: B018
    assert not hasattr(rnn, "a.b")


@pytest.mark.parametrize("name", ["mg.draw", "rnn.Trainer", "rnn.draw"])
def test_the_first_use_of_a_name_may_be_in_a_compiled_function(name: str) -> None:
    code = f"""
import minigrad as mg, numpy as np
def step(x):
    import minigrad_rnn as rnn
    assert callable({name}) or {name}.__all__
    return (x * x).sum()
print(mg.compile(mg.value_and_grad(step))(np.ones(3))[1])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[2. 2. 2.]\n", "")
