"""The site: its reference has every public name, its course every lesson, its glossary both languages; links are checked."""

import inspect
import re
import runpy
from pathlib import Path
from pydoc import locate

import pytest

import minigrad
import minigrad_rnn

ROOT = Path(__file__).parent.parent
MADE = runpy.run_path(str(ROOT / "docs" / "conf.py"))["myst_substitutions"]
broken = runpy.run_path(str(ROOT / "tests" / "links.py"))["broken"]


def public_things(package):
    """The public things of a package and of its public modules, by name."""
    things = {f"{package.__name__}.{name}": getattr(package, name) for name in package.__all__}
    modules = {name: thing for name, thing in things.items() if inspect.ismodule(thing)}
    return {name: thing for name, thing in things.items() if name not in modules} | {
        f"{name}.{inner}": getattr(module, inner) for name, module in modules.items() for inner in module.__all__
    }


@pytest.mark.parametrize("package", [minigrad, minigrad_rnn], ids=lambda package: package.__name__)
def test_the_reference_has_every_public_name(package):
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    text = re.sub(r"\{\{ (\w+) \}\}", lambda name: MADE[name[1]], pages)
    named = re.findall(r"\.\. auto(\w+):: ([\w.]+)", text)
    assert len(named) == len(set(named))
    found = []
    for kind, name in named:
        thing = locate(name)
        found += [getattr(thing, inner) for inner in thing.__all__] if kind == "module" else [thing]
    documented = set(map(id, found))
    assert [name for name, thing in public_things(package).items() if id(thing) not in documented] == []


def test_the_course_has_every_lesson_with_what_it_needs_and_its_time():
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in MADE["course"].splitlines()[2:]]
    assert [re.search(r"\.\./examples/(.+)\)", title)[1] for title, _, _ in rows] == [
        path.name for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
    ]
    assert [title for title, needs, time in rows if not (needs and "minutes" in time)] == []


def test_every_term_of_the_glossary_has_its_chinese_and_two_sentences():
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S.*) · (.*)\n((?:  .*\n)+)", page, re.MULTILINE)
    assert len(entries) == page.count(" · ") > 40
    assert [term for term, chinese, _ in entries if not re.search(r"[\u4e00-\u9fff]", chinese)] == []
    assert [term for term, _, text in entries if len(re.findall(r"[.:](?:\s|$)", text)) < 2] == []


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ('<a href="b.html">', ""),
        ('<a href="b.html#there">', ""),
        ('<a href="#here">', ""),
        ('<a href="folder/a%20b.svg">', ""),
        ('<a href="https://numpy.org/doc">', ""),
        ('<img src="data:image/png;base64,AA">', ""),
        ('<a href="c.html">', "leads to no file"),
        ('<a href="folder">', "leads to no file"),
        ('<a href="b.html#here">', "without the id 'here'"),
        ('<a href="#there">', "without the id 'there'"),
        ('<img src="folder/b.svg">', "leads to no file"),
        ('<a href="https:/numpy.org">', "must be https://host/..."),
        ('<a href="http://[numpy.org">', "is not an address"),
        ('<script src="https://cdn.example.org/x.js">', "is loaded from another site"),
        ('<link href="//fonts.example.org/x.css">', "is loaded from another site"),
    ],
)
def test_links_of_the_site(tmp_path, link, wrong):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a b.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="there"></p>', encoding="utf-8")
    (tmp_path / "a.html").write_text(f'<p id="here"></p>{link}', encoding="utf-8")
    found = list(broken(tmp_path))
    assert len(found) == bool(wrong)
    assert all(wrong in text for text in found)
