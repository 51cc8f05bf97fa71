"""The strategies of other tests: calls of every op of the table, and random programs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


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
