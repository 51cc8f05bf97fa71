"""Saving drawings whole or not at all, and showing them in a notebook without ever failing."""

import importlib.metadata
import os
import shutil
import stat
import webbrowser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from minigrad.errors import RendererMissing, RenderError, RenderTimeout
from minigrad.pictures import drawing
from minigrad.pictures.drawing import Drawing
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


def test_what_graphviz_own_drawings_can_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, SVG)
    made = Drawing(SOURCE)
    assert made.render(format="png") == made.render("png") == SVG
    with pytest.raises(AttributeError, match=r"has no show; \.view\(\) shows it in the browser, \.save"):
        made.show()
    assert not hasattr(made, "something")


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
    with pytest.raises(ValueError, match=r"must be one of \.dot, \.gv, \.svg, \.png, \.pdf"):
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


@pytest.mark.parametrize("error", [PermissionError("no"), KeyboardInterrupt()])
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
            raise PermissionError("read only")

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
        raise PermissionError("no entry")

    use_result(monkeypatch, RenderTimeout("too slow."))
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RenderTimeout, match=r"too slow\. .*not saved: no entry"):
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [RenderError("bad"), RendererMissing("none")])
def test_other_failures_write_nothing(error: RenderError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, error)
    with pytest.raises(type(error)):
        Drawing(SOURCE).save(tmp_path / "net.svg")
    assert os.listdir(tmp_path) == []


# The notebook.


def test_a_notebook_gets_picture_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = use_result(monkeypatch, SVG)
    shown = Drawing(SOURCE, text="a -> b")._repr_mimebundle_(include=None, exclude=None)
    assert shown == {"image/svg+xml": SVG.decode(), "text/plain": "a -> b"}
    assert calls == [("svg", 20.0)]


def test_without_text_a_notebook_gets_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, SVG)
    made = Drawing(SOURCE)
    assert made._repr_mimebundle_()["text/plain"] == repr(made)


@pytest.mark.parametrize("error", [RenderError("bad DOT"), RendererMissing("get one"), RenderTimeout("slow")])
def test_a_notebook_falls_back_on_text(error: RenderError, monkeypatch: pytest.MonkeyPatch) -> None:
    use_result(monkeypatch, error)
    shown = Drawing(SOURCE, text="a -> b")._repr_mimebundle_()
    assert shown == {"text/plain": f"a -> b\n\nNot shown as a picture: {error}"}


def test_a_notebook_without_a_renderer_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_renderers(monkeypatch)
    shown = Drawing(SOURCE)._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert "pip install" in shown["text/plain"]


@pytest.mark.parametrize("source", ["", "digraph {", "\x00", 'digraph {"\udc80"}'])
def test_a_notebook_never_fails(source: str) -> None:
    assert "text/plain" in Drawing(source)._repr_mimebundle_()


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


def test_a_drawing_is_rendered_into_a_file_as_graphviz_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "render", lambda source, format, timeout: f"{format} of {source}".encode())
    picture = Drawing("digraph {a -> b}")
    place = picture.render(str(tmp_path / "graph"), format="png")
    assert place == tmp_path / "graph.png"
    assert place.read_bytes() == b"png of digraph {a -> b}"
    assert picture.render(tmp_path / "v1.2", "svg").name == "v1.2.svg"
    assert picture.render() == picture.render("svg") == picture.render(format="svg") == b"svg of digraph {a -> b}"
    with pytest.raises(ValueError, match=r"cannot save as 'graph\.gif'"):
        picture.render("graph", format="gif")


def test_a_drawing_is_viewed_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    place = Drawing("digraph {a -> b}").view()
    assert opened == [place.as_uri()]
    assert place.read_text(encoding="utf-8").startswith("<!doctype html>")
    shutil.rmtree(place.parent)
