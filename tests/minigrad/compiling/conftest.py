"""The strategies of other tests: calls of every op of the table, and random programs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from minigrad.compiling.compiled import Compiled


def loaded(path: str) -> ModuleType:
    name = f"of_{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def table() -> ModuleType:
    return loaded("ops/conftest.py")


@pytest.fixture(scope="session")
def random_programs() -> ModuleType:
    return loaded("test_programs.py")


@pytest.fixture(autouse=True)
def no_program_with_loops_fails(monkeypatch):
    """Users get a program without loops then; here it is an error."""

    def raised(self, made, error, args, options):
        raise error

    monkeypatch.setattr(Compiled, "_without_loops", raised)
