"""The browser that the tests of a module open pages in."""

import runpy
from pathlib import Path

import pytest

DRIVEN = runpy.run_path(str(Path(__file__).parents[2] / "minigrad" / "pictures" / "browser.py"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if DRIVEN["CHROMIUM"] is None:
        pytest.skip("there is no Chromium here to try the page in")
    opened = DRIVEN["Browser"](tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
