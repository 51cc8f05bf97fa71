"""A graph as DOT text, which can be saved, or shown in a notebook."""

import contextlib
import os
import tempfile
import uuid
import warnings
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, overload

from minigrad.errors import RenderTimeout
from minigrad.pictures.dot import to_dot
from minigrad.pictures.layout import Layout
from minigrad.pictures.page import Playback, page
from minigrad.pictures.picture import Picture
from minigrad.pictures.render import render
from minigrad.pictures.svg import to_svg
from minigrad.pictures.table import placed
from minigrad.pictures.upright import upright
from minigrad.snapshot import Graph

_SUFFIXES = (".dot", ".gv", ".svg", ".png", ".pdf", ".html")
_NOTEBOOK_TIMEOUT = 20.0
_MANY_BOXES = 2000
_LIMIT = 20_000


class Drawing:
    """DOT text (``source``) and, optionally, a plain ``text`` form of the same graph.

    A notebook shows it as a picture. Making one draws nothing and raises nothing.

    >>> Drawing("digraph {a -> b}")
    Drawing(1 line of DOT; .save("x.svg") or .source)
    """

    def __init__(
        self,
        source: str,
        *,
        text: str | Graph = "",
        picture: Picture | None = None,
        layout: Layout | None = None,
        playback: Playback | None = None,
    ) -> None:
        self._source = source
        self._text = text
        self._picture = picture
        self._layout = layout
        self._playback = playback

    @property
    def source(self) -> str:
        """The DOT text. It needs no renderer and raises nothing."""
        return self._source

    @property
    def text(self) -> str:
        """The plain text form, empty if there is none."""
        return str(self._text)

    @property
    def picture(self) -> Picture | None:
        """What it shows, as boxes and arrows, if it was made from that."""
        return self._picture

    def to_dot(self) -> str:
        """The same as `source`."""
        return self._source

    @overload
    def render(self, filename: str | os.PathLike[str], format: str, *, timeout: float = 60.0) -> Path: ...
    @overload
    def render(self, filename: str = "svg", format: None = None, *, timeout: float = 60.0) -> bytes: ...
    @overload
    def render(self, *, format: str, timeout: float = 60.0) -> bytes: ...
    def render(
        self, filename: str | os.PathLike[str] | None = None, format: str | None = None, *, timeout: float = 60.0
    ) -> bytes | Path:
        """Draw as ``"svg"``, ``"png"`` or ``"pdf"``; with two arguments, ``render("graph", "png")``, into that file, whose path
        it returns, as in graphviz. Raises what :func:`minigrad.pictures.render.render` does.

        >>> Drawing("digraph {a -> b}").render("gif")
        Traceback (most recent call last):
            ...
        ValueError: cannot draw format 'gif'; it must be one of svg, png, pdf
        """
        if filename is not None and format is not None:
            return self.save(f"{os.fspath(filename)}.{format}", timeout=timeout)
        return render(self._source, str(filename or format or "svg"), timeout=timeout)

    def view(self) -> Path:
        """Show it in the web browser, as the page of :meth:`html`, and return the path of that page, a temporary file."""
        place = self.save(Path(tempfile.mkdtemp(prefix="minigrad-")) / "graph.html")
        webbrowser.open(place.as_uri())
        return place

    def svg(self) -> str:
        """Draw as SVG text. Raises what :meth:`render` does.

        >>> from minigrad.pictures.render import renderers
        >>> not renderers() or "<svg" in Drawing("digraph {a -> b}").svg()
        True
        """
        if self._picture is not None and self._layout is not None:
            return to_svg(self._picture, self._layout)
        return render(self._source, "svg").decode("utf-8")

    def html(self, *, timeout: float = 60.0) -> str:
        """A web page that needs nothing else: the picture, to look around in, and the values and gradients that flow through
        it, step by step, in the order of the forward and of the backward pass.

        The backward pass is run for it; `backward()` may not have freed the graph. Without a renderer it is drawn plainly, or
        listed. Raises nothing for lack of one.

        >>> Drawing("digraph {a -> b}").html()[:15]
        '<!doctype html>'
        """
        return page(self._source, self._picture, self._playback, timeout=timeout)

    def save(self, path: str | os.PathLike[str], *, timeout: float = 60.0) -> Path:
        """Write ``.dot``, ``.gv``, ``.svg``, ``.png``, ``.pdf`` or ``.html``, by the suffix of ``path``, and return it.

        ``.html`` is the page of :meth:`html`. The file is replaced whole or not at all.

        Raises:
            ValueError: for another suffix.
            FileNotFoundError: if the folder does not exist.
            IsADirectoryError: if ``path`` is a folder.
            RenderTimeout: if drawing takes longer than ``timeout`` seconds. The DOT text is then saved next
                to ``path`` as ``.dot``, unless there is such a file already.
            RenderError: if it cannot be drawn; see :func:`minigrad.pictures.render.render`.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Drawing("digraph {a -> b}").save(f"{folder}/net.dot").name
        'net.dot'
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder; give the name of a file in it")
        if suffix not in _SUFFIXES:
            raise ValueError(f"cannot save as {target.name!r}; its suffix must be one of {', '.join(_SUFFIXES)}")
        if not target.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {target.parent}; create it first")
        if suffix in (".dot", ".gv"):
            data = self._source.encode("utf-8")
        elif suffix == ".html":
            data = self.html(timeout=timeout).encode("utf-8", "replace")
        else:
            try:
                data = self.render(suffix[1:], timeout=timeout)
            except RenderTimeout as error:
                raise RenderTimeout(f"{error} {self._save_beside(target)}") from error
        _replace(target, data)
        return target

    def _save_beside(self, target: Path) -> str:
        """Save the DOT text of a picture that took too long, and say what became of it."""
        beside = target.with_suffix(".dot")
        if beside.exists():
            return f"The DOT text was not saved: {beside} exists already."
        try:
            _replace(beside, self._source.encode("utf-8"))
        except OSError as error:
            return f"The DOT text was not saved: {error}."
        return f"The DOT text was saved as {beside}."

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        # Notebooks apply include and exclude themselves.
        text = self.text or repr(self)
        try:
            svg = self.render("svg", timeout=_NOTEBOOK_TIMEOUT).decode("utf-8")
        except Exception as error:  # whatever it is, the notebook goes on
            return {"text/plain": f"{text}\n\nNot shown as a picture: {error}"}
        return {"image/svg+xml": svg, "text/plain": text}

    if not TYPE_CHECKING:  # there a misspelt attribute is an error

        def __getattr__(self, name):
            hint = '; .view() shows it in the browser, .save("x.svg") writes a file' if name in ("show", "pipe") else ""
            raise AttributeError(f"a Drawing has no {name}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        lines = len(self._source.splitlines())
        return f'Drawing({lines} line{"s" * (lines != 1)} of DOT; .save("x.svg") or .source)'


def _replace(target: Path, data: bytes) -> None:
    """Write a file whole or not at all; a link keeps pointing to where it points."""
    target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def drawn(
    picture: Picture,
    graph: Graph,
    limit: int | None = _LIMIT,
    advice: str = "a smaller part of the graph",
    playback: Playback | None = None,
) -> Drawing:
    """The drawing of a picture, with a warning above 2000 boxes and ValueError above `limit`, both with an advice."""
    count = len(picture.all_boxes())
    keep_within(count, limit, advice)
    if limit is not None and count > _MANY_BOXES:
        warnings.warn(f"this picture has {count:,} boxes and takes long to lay out: better draw {advice}", stacklevel=3)
    layout = laid_out(picture)
    return Drawing(to_dot(picture, layout), text=graph, picture=picture, layout=layout, playback=playback)


def laid_out(picture: Picture) -> Layout | None:
    """Where everything stands; None for what Graphviz lays out."""
    if picture.nested:
        return None
    return placed(picture) if any(box.at for box in picture.boxes) else upright(picture)


def keep_within(count: int, limit: int | None, advice: str) -> None:
    """ValueError for a picture of more boxes than `limit`."""
    if limit is not None and count > limit:
        raise ValueError(f"a picture of {count:,} boxes is above limit={limit:,}: draw {advice}, or force it with limit=None")
