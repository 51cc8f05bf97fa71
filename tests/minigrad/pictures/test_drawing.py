"""Saving drawings whole or not at all, and showing them in a notebook without ever failing."""

import importlib.metadata
import inspect
import itertools
import os
import shutil
import stat
import webbrowser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minigrad.errors import RendererMissing, RenderError, RenderTimeout
from minigrad.pictures import drawing
from minigrad.pictures.drawing import FORMATS, Drawing, Page
from minigrad.pictures.render import renderers

SOURCE = 'digraph {\n  a -> "Ω é"\n}\n'
SVG = b"<?xml version='1.0'?><svg/>"

needs_renderer = pytest.mark.skipif(not renderers(), reason="neither dot nor pygraphviz is installed")


def use_result(monkeypatch: pytest.MonkeyPatch, result: bytes | BaseException) -> list[tuple[str, float]]:
    """Put a fixed result in place of drawing; what is asked for goes on the list."""
    calls = []

    def render(source: str, format: str, *, timeout: float) -> bytes:
        assert source == SOURCE
        calls.append((format, timeout))
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(drawing, "render", render)
    return calls


def hide_renderers(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.metadata, "distribution", not_found)


# The text.


def test_the_dot_text_needs_no_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_renderers(monkeypatch)
    made = Drawing(SOURCE, text="a -> Ω é")
    assert made.source == made.to_dot() == SOURCE
    assert made.text == "a -> Ω é"


@pytest.mark.parametrize("name", ["source", "text"])
def test_the_texts_are_read_only(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Drawing(SOURCE), name, "digraph {}")


def test_repr_is_short() -> None:
    assert repr(Drawing(SOURCE)) == 'Drawing(3 lines of DOT; .save("x.svg") or .source)'
    assert repr(Drawing("digraph {}")) == 'Drawing(1 line of DOT; .save("x.svg") or .source)'


def test_show_is_called_view() -> None:
    with pytest.raises(AttributeError, match=r"has no show; \.view\(\) shows it in the browser, \.save"):
        Drawing(SOURCE).show()
    assert not hasattr(Drawing(SOURCE), "something")


# Saving.


@pytest.mark.parametrize("name", ["net.dot", "net.gv", "NET.DOT", "my réseau Ω.dot"])
@pytest.mark.parametrize("kind", [str, Path])
def test_dot_is_saved_as_it_is_without_a_renderer(
    name: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_renderers(monkeypatch)
    saved = Drawing(SOURCE).save(kind(tmp_path / name))
    assert saved == tmp_path / name
    assert saved.read_bytes() == SOURCE.encode("utf-8")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(("name", "format"), [("net.svg", "svg"), ("a b é.PNG", "png"), ("net.v2.Pdf", "pdf")])
def test_the_suffix_decides_the_format(name: str, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = use_result(monkeypatch, SVG)
    assert Drawing(SOURCE).save(tmp_path / name, timeout=7).read_bytes() == SVG
    assert calls == [(format, 7)]


def test_a_bare_name_is_saved_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Drawing(SOURCE).save("net.dot") == Path("net.dot")
    assert os.listdir(tmp_path) == ["net.dot"]


@pytest.mark.parametrize("name", ["net", "net.gif", ".svg", "net.svg.gz"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be one of \.dot, \.gv, \.svg, \.png, \.pdf, \.html"):
        Drawing(SOURCE).save(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere; create it"):
        Drawing(SOURCE).save(tmp_path / "nowhere" / "net.svg")


@pytest.mark.parametrize("name", ["folder", "folder.svg"])
def test_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=f"{name} is a folder"):
        Drawing(SOURCE).save(tmp_path / name)


@pytest.mark.parametrize("error", [RenderError("bad"), RendererMissing("none"), RenderTimeout("slow")])
def test_a_failed_drawing_leaves_the_old_file(error: RenderError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.svg").write_text("old", encoding="utf-8")
    (tmp_path / "net.dot").write_text("old too", encoding="utf-8")
    use_result(monkeypatch, error)
    with pytest.raises(type(error)):
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == "old"
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == "old too"
    assert sorted(os.listdir(tmp_path)) == ["net.dot", "net.svg"]


@pytest.mark.parametrize("error", [PermissionError(13, "no"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: object) -> None:
        raise error

    (tmp_path / "net.dot").write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(error)):
        Drawing(SOURCE).save(tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["net.dot"]


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "read only"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):  # root, or Windows, may write there all the same

        def fail(*paths: object) -> None:
            raise PermissionError(13, "read only")

        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError):
        Drawing(SOURCE).save(folder / "net.dot")
    assert os.listdir(folder) == []
    folder.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_umask_decides_the_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        saved = Drawing(SOURCE).save(tmp_path / "net.dot")
    finally:
        os.umask(old)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="making a link needs a privilege on Windows")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.dot").write_text("old", encoding="utf-8")
    (tmp_path / "link.dot").symlink_to("real.dot")
    Drawing(SOURCE).save(tmp_path / "link.dot")
    assert (tmp_path / "link.dot").is_symlink()
    assert (tmp_path / "real.dot").read_bytes() == SOURCE.encode("utf-8")


def test_after_a_timeout_the_dot_is_saved_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, RenderTimeout("too slow. Fold steps."))
    with pytest.raises(RenderTimeout) as raised:
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert str(raised.value) == f"too slow. Fold steps. The DOT text was saved as {tmp_path / 'net.dot'}."
    assert (tmp_path / "net.dot").read_bytes() == SOURCE.encode("utf-8")
    assert os.listdir(tmp_path) == ["net.dot"]


def test_after_a_timeout_an_old_dot_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.dot").write_text("mine", encoding="utf-8")
    use_result(monkeypatch, RenderTimeout("too slow."))
    with pytest.raises(RenderTimeout, match=r"not saved: .*net\.dot exists already"):
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == "mine"


def test_after_a_timeout_a_failed_write_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*paths: object) -> None:
        raise PermissionError(13, "no entry")

    use_result(monkeypatch, RenderTimeout("too slow."))
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RenderTimeout, match=r"too slow\. .*not saved: .*no entry"):
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [RenderError("bad"), RendererMissing("none")])
def test_other_failures_write_nothing(error: RenderError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, error)
    with pytest.raises(type(error)):
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert os.listdir(tmp_path) == []


# As in the package graphviz.


def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures say which format they are, whoever draws them."""

    def dot(command: list[str], *, cwd: Path | None = None, **options: object) -> None:
        *options, last = map(str, command)
        (format,) = (option[2:] for option in options if option.startswith("-T"))
        name = options[options.index("-o") + 1] if "-o" in options else f"{last}.{format}"
        (Path(cwd or "") / name).write_text(format, encoding="utf-8")

    monkeypatch.setattr(graphviz.backend.execute, "run_check", dot)
    monkeypatch.setattr(drawing, "render", lambda source, format, timeout: format.encode())


def files(folder: Path) -> dict[Path, str]:
    return {path.relative_to(folder): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


def test_render_writes_what_graphviz_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    wishes: list[dict[str, Any]] = [{"format": format} for format in ("svg", "png", "pdf")]
    wishes += [{"outfile": Path("v1.2.svg")}, {"outfile": "made/x.png"}, {"outfile": "x.pdf", "format": "pdf"}]
    cases = itertools.product([None, "net", "net.gv", Path("out/v1.2")], [None, "a/b"], [False, True], wishes)
    for i, (filename, directory, cleanup, wish) in enumerate(cases):
        found = []
        for maker in (graphviz.Source(SOURCE, filename="graph.gv"), Drawing(SOURCE)):
            folder = tmp_path / f"{i} {type(maker).__name__}"
            (folder / "made").mkdir(parents=True)
            monkeypatch.chdir(folder)
            path = maker.render(filename, directory=directory, cleanup=cleanup, **wish)
            found.append((Path(path), files(folder)))
        assert found[0] == found[1]
    assert i == 95


@pytest.mark.parametrize("name", ["render", "view", "pipe"])
def test_the_arguments_are_those_of_graphviz(name: str) -> None:
    theirs = list(inspect.signature(getattr(graphviz.Source, name)).parameters)
    ours = list(inspect.signature(getattr(Drawing, name)).parameters)
    left_out = {"renderer", "formatter", "neato_no_op", "engine", "raise_if_result_exists", "overwrite_source"}
    assert set(theirs) - left_out <= set(ours)
    positional = {"render": 6, "view": 6, "pipe": 2}[name]
    assert theirs[:positional] == ours[:positional]


@pytest.mark.parametrize("format", FORMATS)
def test_pipe_save_and_render_give_the_same(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    made = Drawing(SOURCE)
    data = made.pipe(format)
    assert made.save(tmp_path / f"saved.{format}").read_bytes() == data
    assert made.render("rendered", tmp_path, format=format).read_bytes() == data
    assert made.render(format, tmp_path, format=format).read_bytes() == data  # a file of that name
    assert (tmp_path / format).read_text(encoding="utf-8") == SOURCE
    if format in ("png", "pdf"):
        with pytest.raises(ValueError, match=f"a {format} is bytes, not text.*'utf-8': leave out"):
            made.pipe(format, encoding="utf-8")
    else:
        assert made.pipe(format, encoding="utf-8") == data.decode("utf-8")


@given(text=st.text(st.characters(codec="utf-8")), encoding=st.sampled_from(["ascii", "latin-1", "UTF-8", "utf-16", "cp1252"]))
def test_an_encoding_gives_the_text_or_an_error(text: str, encoding: str) -> None:
    if text.encode("utf-8").decode(encoding, "replace") == text:
        assert Drawing(text).pipe("dot", encoding=encoding) == text
    else:
        with pytest.raises(ValueError, match=f"encoding='{encoding}' reads wrongly: give encoding='utf-8'"):
            Drawing(text).pipe("dot", encoding=encoding)


def test_pipe_draws_svg_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = use_result(monkeypatch, SVG)
    assert Drawing(SOURCE).pipe() == Drawing(SOURCE).pipe(quiet=True) == SVG
    assert Drawing(SOURCE).svg() == SVG.decode()
    assert calls == [("svg", 60.0)] * 3


@pytest.mark.parametrize("format", ["gif", "", "SVG", ".svg", 5, ["svg"]])
def test_another_format_is_refused(format: Any, tmp_path: Path) -> None:
    for call in (Drawing(SOURCE).pipe, lambda format: Drawing(SOURCE).render("net", tmp_path / "new", format=format)):
        with pytest.raises(ValueError, match=r"cannot draw format .*; it must be one of dot, gv, svg, png, pdf, html$"):
            call(format)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", [*FORMATS, "SVG"])
def test_a_format_is_not_taken_for_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hint = r'"{0}" is a format.* pipe\("{0}"\), for a file render\("{1}", format="{0}"\)'
    with pytest.raises(ValueError, match=hint.format(name, name)):
        Drawing(SOURCE).render(name)
    with pytest.raises(ValueError, match=hint.format(name, "net")):
        Drawing(SOURCE).render("net", name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"filename": "net.png"}, ValueError, r"net\.png would hold the DOT text, .* net\.png\.svg: .*save\('net\.png'\)"),
        ({"filename": "a.html", "format": "svg"}, ValueError, r"save\('a\.html'\), for both leave out \.html"),
        ({"outfile": "net.gif"}, ValueError, r"cannot draw format 'gif'"),
        ({"outfile": "net"}, ValueError, r"cannot draw format ''"),
        ({"outfile": "net.svg", "format": "png"}, ValueError, r"outfile='net\.svg' is a svg, and format='png'"),
        ({"filename": "folder"}, IsADirectoryError, r"folder is a folder; give the name"),
        ({"outfile": "folder.svg"}, IsADirectoryError, r"folder\.svg is a folder"),
    ],
)
def test_names_that_surprise_are_refused(
    arguments: dict[str, str], error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.svg"):
        Path(name).mkdir()
    with pytest.raises(error, match=message):
        Drawing(SOURCE).render(**arguments)
    assert files(tmp_path) == {}


def test_where_render_cannot_draw_the_dot_text_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, RendererMissing("none"))
    with pytest.raises(RendererMissing):
        Drawing(SOURCE).render("net", tmp_path)
    assert files(tmp_path) == {Path("net"): SOURCE}


def test_a_drawing_is_viewed_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    place = Drawing(SOURCE).view()
    assert opened == [place.as_uri()]
    assert place.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert os.listdir(place.parent) == ["graph.html"]
    shutil.rmtree(place.parent)
    assert Drawing(SOURCE).view("net", "out", True, quiet=True) == Path("out/net.html")
    assert list(files(tmp_path)) == [Path("out/net.html")]
    assert Drawing(SOURCE).view(directory="other") == Path("other/graph.html")
    assert files(tmp_path)[Path("other/graph")] == SOURCE
    for wish in ({"view": True}, {"quiet_view": True}):
        assert Drawing(SOURCE).render("net", format="svg", **wish) == Path("net.svg")
    assert opened[1:] == [
        (tmp_path / name).resolve().as_uri() for name in ("out/net.html", "other/graph.html", "net.svg", "net.svg")
    ]


# The notebook.


def test_a_notebook_gets_picture_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = use_result(monkeypatch, SVG)
    shown = Drawing(SOURCE, text="a -> b")._repr_mimebundle_(include=None, exclude=None)
    assert shown == {"image/svg+xml": SVG.decode(), "text/plain": "a -> b"}
    assert Drawing(SOURCE)._repr_svg_() == SVG.decode()
    assert calls == [("svg", 20.0)] * 2


def test_without_text_a_notebook_gets_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, SVG)
    made = Drawing(SOURCE)
    assert made._repr_mimebundle_()["text/plain"] == repr(made)


@pytest.mark.parametrize(
    "error", [RenderError("bad DOT"), RendererMissing("get one"), RenderTimeout("slow"), OSError("full"), ValueError("why")]
)
def test_a_notebook_falls_back_on_text(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = use_result(monkeypatch, error)
    made = Drawing(SOURCE, text="a -> b")
    assert made._repr_mimebundle_() == {"text/plain": f"a -> b\n\nNot shown as a picture: {error}"}
    assert made._repr_svg_() is None
    assert len(calls) == (1 if isinstance(error, RenderTimeout) else 2)  # nobody waits twice


def test_a_renderer_that_came_later_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Drawing(SOURCE)
    use_result(monkeypatch, RendererMissing("get one"))
    assert made._repr_svg_() is None
    use_result(monkeypatch, SVG)
    assert made._repr_svg_() == SVG.decode()


def test_a_notebook_without_a_renderer_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_renderers(monkeypatch)
    shown = Drawing(SOURCE)._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert "pip install" in shown["text/plain"]


@pytest.mark.parametrize("source", ["", "digraph {", "\x00", 'digraph {"\udc80"}'])
def test_a_notebook_never_fails(source: str) -> None:
    made = Drawing(source, text=source)
    assert made._repr_mimebundle_()["text/plain"].encode("utf-8")
    assert made._repr_svg_() is None
    assert made.page()._repr_html_().isascii()


class Frames(HTMLParser):
    """The tags of a text, with their attributes as a browser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        raise AssertionError(f"outside of the frame: {data!r}")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"])), st.integers(1, 5000))
@example('</iframe><script>alert(\'"&amp;")</script>', 600)
def test_a_page_stays_in_its_frame(text: str, height: int) -> None:
    shown = Page(text, height)._repr_html_()
    assert shown.isascii()
    ((tag, attributes),) = Frames(shown).tags
    assert tag == "iframe"
    assert attributes["srcdoc"] == text
    assert attributes["sandbox"] == "allow-scripts"
    assert (attributes["height"], attributes["width"]) == (str(height), "100%")


def test_a_page_is_that_of_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    made = Drawing(SOURCE).page(height=400)
    assert made.html == Drawing(SOURCE).html()
    assert made.save(tmp_path / "net.html").read_bytes() == Drawing(SOURCE).pipe("html")
    assert repr(made) == f'Page({len(made.html):,} characters of HTML; .save("x.html") or .html)'
    with pytest.raises(ValueError, match=r"cannot save as 'net\.svg'; its suffix must be one of \.html"):
        made.save(tmp_path / "net.svg")


@pytest.mark.parametrize("height", [0, -1, "600px", None, 1.5])
def test_a_page_has_a_height_in_pixels(height: Any) -> None:
    with pytest.raises(ValueError, match=r"height must be a positive number of pixels, such as 600, not "):
        Drawing(SOURCE).page(height)


# A real renderer.


@needs_renderer
def test_svg_is_text_that_parses_as_xml() -> None:
    svg = Drawing(SOURCE).svg()
    assert "Ω é" in svg
    ElementTree.fromstring(svg.encode("utf-8"))


@needs_renderer
@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-")])
def test_real_pictures_are_saved(suffix: str, start: bytes, tmp_path: Path) -> None:
    saved = Drawing(SOURCE).save(tmp_path / f"my réseau Ω.{suffix}")
    assert saved.read_bytes().startswith(start)
    assert os.listdir(tmp_path) == [saved.name]
