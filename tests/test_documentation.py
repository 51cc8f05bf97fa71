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


ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
READMES = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")]


def parted(page):
    """The blocks of code without their comments, and the text between them."""
    blocks = re.findall(r"^```\w*\n.*?^```$", page, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```\w*\n.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r" +# (?!doctest).*", "", block) for block in blocks], text


def links(text):
    return sorted(link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("README"))


def numbers(text):
    return sorted(set(re.findall(r"\d+(?:[.-]\d+)*", re.sub(r"\]\([^)]*\)", "", text))))


def names(text):
    return sorted(set(re.findall(r"`[^`]+`", text)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    local = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in local if not (page.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.])((?:minigrad|minigrad_rnn|tests|benchmarks|examples|docs|\.ci)/[\w/.]*\w)", text)
    homes = (ROOT, Path(minigrad.__file__).parents[1])  # the packages may be installed elsewhere
    assert [name for name in named if not any((home / name).exists() for home in homes) and "NAME" not in name] == []


def test_both_readmes_have_the_same_code_links_numbers_and_names():
    (code, text), (code_zh, text_zh) = map(parted, READMES)
    assert code == code_zh
    assert links(text) == links(text_zh)
    assert numbers(text) == numbers(text_zh)
    assert names(text) == names(text_zh)


def test_the_captions_of_the_readme_are_true():
    captions = " ".join(re.findall(r"!\[(.*?)\]", READMES[0]))
    both, compare = ((ROOT / f"examples/pictures/{name}.svg").read_text(encoding="utf-8") for name in ("both", "compare"))
    assert "folded on the left and unrolled over six time steps on the right" in captions
    assert ": folded, and unrolled over 6 steps" in both
    assert "Five networks read the same fifty steps" in captions
    assert "5 networks over the same 50 steps" in compare
    assert "sigmoid and tanh the gradient almost vanishes, in the others it does not" in captions
    first = sorted(float(number) for number in re.findall(r"\bh\[0\] ([\d.e-]+),", compare))
    assert [number < 1e-3 for number in first] == [True, True, False, False, False]


def test_continuous_integration_runs_the_commands_of_the_pages():
    (command,) = (line for line in READMES[0].splitlines() if "-m pytest" in line)
    assert command.startswith("python3 -m venv .venv && ")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "command=$(grep -m1 -- '-m pytest' README.md)" in script
    (site,) = (line for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines() if "-m sphinx" in line)
    assert "tests/links.py build/site" in site
    assert "$(grep -m1 -- '-m sphinx' CONTRIBUTING.md)" in script


def test_the_map_of_files_is_complete_and_true():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:minigrad|minigrad_rnn)/[\w/.]*)`", page))
    for package in (minigrad, minigrad_rnn):
        folder = Path(package.__file__).parent
        mapped = {name for name in named if name.startswith(f"{package.__name__}/")}
        assert [name for name in sorted(mapped) if not (folder.parent / name).exists()] == []
        rooms = {path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
        rooms -= {folder / "__init__.py"}
        assert sorted(path.name for path in rooms if not any(path.name in name.split("/") for name in mapped)) == []


DATA = sorted(path.name for path in (ROOT / "examples" / "data").iterdir())


@pytest.mark.parametrize("name", DATA)
def test_a_model_learns_from_each_file_in_at_most_eight_lines(name):
    page = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
    blocks = [
        block for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if f"data/{name}" in block
    ]
    assert any(".fit(" in block and len(re.findall(r"^(?:>>>|\.\.\.) ", block, re.MULTILINE)) <= 8 for block in blocks)


def test_the_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", text, re.MULTILINE) == [minigrad.__version__]
