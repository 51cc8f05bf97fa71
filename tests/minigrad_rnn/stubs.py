"""Write the stubs of the modules whose public names are found when they are used: ``python tests/minigrad_rnn/stubs.py``."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

PACKAGES = ["minigrad_rnn", "minigrad_rnn.cells", "minigrad_rnn.optim"]


def stub(package: str) -> str:
    """Return the text of a stub: an import of each public name from the module that defines it."""
    module = import_module(package)
    lines = [f"from {home} import {own} as {name}" for home, own, name in sorted(origins(module))]
    return "\n".join(["# Written by tests/minigrad_rnn/stubs.py.", "", *lines, ""])


def origins(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """Yield for each public name the module to import it from, its name there, and its name here."""
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            home, _, own = value.__name__.rpartition(".")
            yield home, own, name
        else:
            yield getattr(value, "__module__", None) or f"{module.__name__}.{module._defined_in()[name]}", name, name


def path_of(package: str) -> Path:
    """Return the path of the stub of a package."""
    return Path(str(import_module(package).__file__)).with_suffix(".pyi")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    for package in PACKAGES:
        path_of(package).write_text(stub(package), encoding="utf-8")
