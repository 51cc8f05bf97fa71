"""Every public name is documented, with an example that the doctests run; the table says what it needs to say."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import minigrad
import minigrad_rnn
from minigrad.ops import TABLE

PUBLIC = [
    *((f"minigrad.{name}", getattr(minigrad, name)) for name in minigrad.__all__),
    *((f"minigrad_rnn.{name}", getattr(minigrad_rnn, name)) for name in minigrad_rnn.__all__),
]


@pytest.mark.parametrize(("name", "thing"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_every_public_name_is_documented(name, thing):
    text = inspect.getdoc(thing)
    assert text, f"{name} has no docstring"
    small = inspect.ismodule(thing) or (inspect.isclass(thing) and issubclass(thing, Exception | tuple))
    base = (
        (inspect.isclass(thing) and "Subclasses define" in text)
        or "A subclass" in text
        or name.endswith((".Recurrent", ".History", ".Drawing"))
    )
    if not small and not base:
        assert doctest.DocTestParser().get_examples(text), f"the docstring of {name} has no example"


@pytest.mark.parametrize("op", TABLE.values(), ids=TABLE)
def test_every_op_says_where_it_may_be_tested(op):
    assert op.domain.low < op.domain.high
    assert op.kind in ("elementwise", "linear", "general")
    assert any(rule is not None for rule in op.rules)


def test_the_readme_has_no_figure_left_open():
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert not re.findall(r"@[A-Z_]+@", text)
