"""The cells and the optimizers, found as the files of the packages `cells` and `optim`.

To add one, add a file. Its ``__all__`` is public in the package, and its name, without an underscore, is the name on the
command line. A file of `cells` defines a `Recurrent` layer and its `Cell`, a file of `optim` an `Optimizer`. The stubs for
type checkers are written by `tests/minigrad_rnn/stubs.py`.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["classes", "classes_in", "modules_in", "names_in", "public_names"]


def files_in(package: str) -> list[str]:
    """Return the names of the modules in a package of this package, sorted, without importing them."""
    return [found.name for found in pkgutil.iter_modules([str(Path(__file__).with_name(package))])]


def names_in(package: str) -> list[str]:
    """Return the names on the command line of what a package adds, without importing it."""
    return [name.removeprefix("_") for name in files_in(package)]


def modules_in(package: str) -> dict[str, ModuleType]:
    """Import the modules of a package and return them by their names on the command line."""
    return {name.removeprefix("_"): import_module(f".{package}.{name}", __package__) for name in files_in(package)}


def public_names(package: str) -> dict[str, Any]:
    """Return everything that the modules of a package make public, by name."""
    return {name: getattr(module, name) for module in modules_in(package).values() for name in module.__all__}


def class_in(module: ModuleType, base: type) -> Any:
    """Return the subclass of `base` that a module defines and makes public."""
    found = [value for value in map(vars(module).get, module.__all__) if isinstance(value, type) and issubclass(value, base)]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define one subclass of {base.__name__} and name it in __all__, not {found}")
    return found[0]


def classes_in(package: str, base: type) -> dict[str, Any]:
    """Return the subclass of `base` in each module of a package, by its name on the command line."""
    return {name: class_in(module, base) for name, module in modules_in(package).items()}


def classes() -> dict[str, str]:
    """Return the public cells, layers and optimizers: for the name of each class the module that defines it."""
    from .module import Module
    from .optimizer import Optimizer

    return {
        name: f"{package}.{file}"
        for package in ("cells", "optim")
        for file, module in zip(files_in(package), modules_in(package).values(), strict=True)
        for name in module.__all__
        if isinstance(value := getattr(module, name), type) and issubclass(value, Module | Optimizer)
    }
