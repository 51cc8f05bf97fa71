"""The ladder of renderers, what each failure raises, and real pictures where a renderer is there."""

import importlib.metadata
import os
import re
import select
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from minigrad.errors import RendererMissing, RenderError, RenderTimeout
from minigrad.pictures.render import render, renderers

SOURCE = 'digraph { a -> b; b -> "Ω é" }'
SVG = "<?xml version='1.0'?><svg/>"

NO_PLUGIN = 'Format: "png" not recognized. Use one of: canon dot svg xdot'
NO_LAYOUT = 'There is no layout engine support for "dot"'

fake_dot = pytest.mark.skipif(os.name == "nt", reason="the fake dot is a shell script")
no_renderer = pytest.mark.skip(reason="neither dot nor pygraphviz is installed")
each_renderer = pytest.mark.parametrize("only", renderers() or [pytest.param("none", marks=no_renderer)], indirect=True)


def hide_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def hide_pygraphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", not_found)


@pytest.fixture
def only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave one renderer, named by the parameter."""
    if request.param == "dot":
        hide_pygraphviz(monkeypatch)
    else:
        hide_dot(monkeypatch)
    return str(request.param)


def put_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Make a shell script the ``dot`` that is found."""
    folder = folder / "bin"
    folder.mkdir()
    (folder / "dot").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")


def put_pygraphviz(folder: Path, monkeypatch: pytest.MonkeyPatch, draw: str = f'return b"{SVG}"', version: str = "2.0") -> None:
    """Make a stand-in the ``pygraphviz`` that is found; a real one, if installed, still comes first."""
    package = folder / "packages" / "pygraphviz"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class DotError(ValueError): pass\n"
        "class AGraph:\n"
        "    def __init__(self, string): pass\n"
        f"    def draw(self, format, prog): {draw}\n",
        encoding="utf-8",
    )
    found = SimpleNamespace(version=version, locate_file=lambda path: package.parent / path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)


# The ladder.


@pytest.mark.parametrize("format", ["gif", "SVG", ""])
def test_another_format_is_refused(format: str) -> None:
    with pytest.raises(ValueError, match=rf"format '{format}'.* svg, png, pdf"):
        render(SOURCE, format)


def test_without_a_renderer_the_error_names_both_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_dot(monkeypatch)
    hide_pygraphviz(monkeypatch)
    assert renderers() == []
    with pytest.raises(RendererMissing) as raised:
        render(SOURCE, "svg")
    message = str(raised.value)
    for fix in (
        'pip install "minigrad-rnn[render]"',
        "apt install graphviz",
        "brew install graphviz",
        "winget install graphviz",
        ".dot needs no renderer",
    ):
        assert fix in message


@fake_dot
def test_dot_comes_before_pygraphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dot(tmp_path, monkeypatch, f'cat > "{tmp_path}/stdin"; echo "$@" > "{tmp_path}/args"; printf "{SVG}"')
    put_pygraphviz(tmp_path, monkeypatch)
    assert renderers() == ["dot", "pygraphviz"]
    assert render(SOURCE, "svg") == SVG.encode()
    assert (tmp_path / "stdin").read_text(encoding="utf-8") == SOURCE
    assert (tmp_path / "args").read_text(encoding="utf-8") == "-Tsvg\n"


def test_pygraphviz_is_used_without_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_dot(monkeypatch)
    put_pygraphviz(tmp_path, monkeypatch)
    assert renderers() == ["pygraphviz"]
    assert render(SOURCE, "svg").startswith(b"<?xml")


def test_pygraphviz_is_not_imported_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_dot(monkeypatch)
    put_pygraphviz(tmp_path, monkeypatch)
    monkeypatch.delitem(sys.modules, "pygraphviz", raising=False)
    render(SOURCE, "svg")
    assert "pygraphviz" not in sys.modules


def test_an_old_pygraphviz_needs_dot_and_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_dot(monkeypatch)
    put_pygraphviz(tmp_path, monkeypatch, version="1.14")
    assert renderers() == []


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("frozen", True)])
def test_pygraphviz_does_not_count_without_a_python_to_run(
    name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_dot(monkeypatch)
    put_pygraphviz(tmp_path, monkeypatch)
    monkeypatch.setattr(sys, name, value, raising=False)
    assert renderers() == []


def test_a_users_own_pygraphviz_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_dot(monkeypatch)
    put_pygraphviz(tmp_path, monkeypatch)
    own = tmp_path / "own"
    own.mkdir()
    (own / "pygraphviz.py").write_text("raise SystemExit('the wrong file')", encoding="utf-8")
    monkeypatch.chdir(own)
    monkeypatch.setenv("PYTHONPATH", str(own))
    monkeypatch.syspath_prepend(own)
    assert render(SOURCE, "svg").startswith(b"<?xml")


@fake_dot
@pytest.mark.parametrize(
    "script",
    [
        f"echo '{NO_PLUGIN}' >&2; exit 1",
        f"echo 'Error: {NO_PLUGIN}' >&2; exit 1",
        f"echo '{NO_LAYOUT}' >&2; exit 1",
        "echo 'dot: error while loading shared libraries' >&2; exit 127",
        "kill -SEGV $$",
        "echo 'not Graphviz at all'",
        "echo 'error: unknown option -T' >&2; exit 2",
    ],
)
def test_a_broken_dot_gives_way_to_the_next(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dot(tmp_path, monkeypatch, script)
    put_pygraphviz(tmp_path, monkeypatch)
    assert render(SOURCE, "svg").startswith(b"<?xml")


@fake_dot
def test_a_dot_that_cannot_be_run_gives_way_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dot(tmp_path, monkeypatch, "")
    (tmp_path / "bin" / "dot").write_text("#!/no/such/interpreter\n", encoding="utf-8")
    put_pygraphviz(tmp_path, monkeypatch)
    assert renderers() == ["dot", "pygraphviz"]
    assert render(SOURCE, "svg").startswith(b"<?xml")


@fake_dot
def test_with_nothing_after_a_broken_dot_the_error_says_what_was_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dot(tmp_path, monkeypatch, f"echo '{NO_PLUGIN}' >&2; exit 1")
    hide_pygraphviz(monkeypatch)
    with pytest.raises(RendererMissing, match=r'dot: Format: "png" not recognized.*pip install'):
        render(SOURCE, "png")


@fake_dot
def test_a_syntax_error_is_raised_in_graphviz_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = "Fontconfig warning: a line to leave out"
    put_dot(tmp_path, monkeypatch, f"echo '{warning}\nError: <stdin>: syntax error in line 7' >&2; exit 1")
    put_pygraphviz(tmp_path, monkeypatch)
    with pytest.raises(RenderError, match=r"DOT: Error: <stdin>: syntax error in line 7$") as raised:
        render(SOURCE, "svg")
    assert type(raised.value) is RenderError


@fake_dot
def test_warnings_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dot(tmp_path, monkeypatch, f"echo 'Fontconfig error: no file' >&2; printf \"{SVG}\"")
    assert render(SOURCE, "svg") == SVG.encode()


@fake_dot
def test_a_png_that_would_be_shrunk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warning = "dot: graph is too large for cairo-renderer bitmaps. Scaling by 0.16 to fit"
    put_dot(tmp_path, monkeypatch, f"echo '{warning}' >&2; printf '\\211PNG'")
    with pytest.raises(RenderError, match=r"too large for png.*\.svg.*fold steps"):
        render(SOURCE, "png")


def test_text_that_is_not_unicode_is_a_render_error() -> None:
    with pytest.raises(RenderError, match="not valid Unicode"):
        render('digraph {"\udc80"}', "svg")


# Stopping a renderer.


@fake_dot
def test_a_slow_renderer_is_stopped_with_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "held open by all that run"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    put_dot(tmp_path, monkeypatch, f'exec 3> "{pipe}"\nsleep 60\nexit 0')
    put_pygraphviz(tmp_path, monkeypatch)
    try:
        with pytest.raises(RenderTimeout, match=r"dot did not finish within 0\.5 s.*[Ff]old.*fewer.*\.dot"):
            render(SOURCE, "svg", timeout=0.5)
        ended, _, _ = select.select([reader], [], [], 10)
        assert ended
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@fake_dot
def test_an_interrupted_renderer_is_killed_and_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    noted = tmp_path / "pid"
    put_dot(tmp_path, monkeypatch, f'echo $$ > "{noted}.new"; mv "{noted}.new" "{noted}"; exec sleep 60')

    def interrupt() -> None:
        while not noted.exists():
            time.sleep(0.01)
        time.sleep(0.2)  # until the parent has started it, too, and waits for it
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        render(SOURCE, "svg")
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text(encoding="utf-8")), 0)


def test_pygraphviz_is_stopped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_dot(monkeypatch)
    put_pygraphviz(tmp_path, monkeypatch)
    with pytest.raises(RenderTimeout, match="pygraphviz did not finish within"):
        render(SOURCE, "svg", timeout=0.001)


# Real pictures, by each renderer that is there.


@each_renderer
def test_svg_is_xml_with_the_labels(only: str) -> None:
    root = ElementTree.fromstring(render(SOURCE, "svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")] == ["a", "b", "Ω é"]


@each_renderer
@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-")])
def test_png_and_pdf_are_what_they_say(only: str, format: str, start: bytes) -> None:
    assert render(SOURCE, format).startswith(start)


@each_renderer
def test_the_same_dot_gives_the_same_svg(only: str) -> None:
    assert render(SOURCE, "svg") == render(SOURCE, "svg")


@each_renderer
def test_parallel_edges_and_loops_are_kept(only: str) -> None:
    svg = render("digraph { a -> b; a -> b; a -> a }", "svg").decode("utf-8")
    assert len(re.findall('class="edge"', svg)) == 3


@each_renderer
@pytest.mark.parametrize("source", ["digraph {a ->", "hello", 'digraph {a [label="x}', "digraph {a [label=<<b>x>]}"])
def test_bad_dot_is_refused_in_graphviz_words(only: str, source: str) -> None:
    with pytest.raises(RenderError, match=rf"^{only} cannot draw this DOT: Error: .*in line \d") as raised:
        render(source, "svg")
    assert type(raised.value) is RenderError


@each_renderer
@pytest.mark.parametrize("source", ["", "  \n", "// only a comment"])
def test_dot_without_a_graph_is_refused(only: str, source: str) -> None:
    with pytest.raises(RenderError) as raised:
        render(source, "svg")
    assert type(raised.value) is RenderError


@each_renderer
def test_a_png_too_large_is_refused_and_its_svg_is_not(only: str) -> None:
    source = "digraph { a [shape=box, fixedsize=true, width=500, height=0.1] }"
    with pytest.raises(RenderError, match="too large for png"):
        render(source, "png")
    ElementTree.fromstring(render(source, "svg"))
