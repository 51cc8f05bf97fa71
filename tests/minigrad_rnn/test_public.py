"""`dir` of the package and of its public modules shows the public names and nothing else."""

from types import ModuleType

import pytest

import minigrad_rnn as rnn

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
