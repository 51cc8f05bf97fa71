"""A folder for each test of the commands."""

import shutil

import pytest


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A copy of the folder `trained`, which each module makes, to work in."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
