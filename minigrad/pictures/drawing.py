"""A graph as DOT text, which can be saved, or shown in a notebook; its names are those of the package graphviz."""

import html
import os
import tempfile
import warnings
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, overload

from minigrad.errors import RenderTimeout
from minigrad.files import regular_file, replace_file
from minigrad.graph_view import Graph
from minigrad.pictures.dot import to_dot
from minigrad.pictures.grid import grid_layout
from minigrad.pictures.layout import Layout
from minigrad.pictures.page import Playback, page
from minigrad.pictures.picture import Picture
from minigrad.pictures.render import render
from minigrad.pictures.svg import to_svg
from minigrad.pictures.upright import upright

Name = str | os.PathLike[str]

FORMATS = ("dot", "gv", "svg", "png", "pdf", "html")
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
        self._too_slow = ""  # for a notebook: what was said

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
        """The boxes and arrows, or None for a drawing of DOT text alone."""
        return self._picture

    def to_dot(self) -> str:
        """The same as `source`."""
        return self._source

    @overload
    def pipe(
        self, format: str | None = None, *, encoding: None = None, quiet: bool = False, timeout: float = 60.0
    ) -> bytes: ...
    @overload
    def pipe(self, format: str | None = None, *, encoding: str, quiet: bool = False, timeout: float = 60.0) -> str: ...
    def pipe(
        self, format: str | None = None, *, encoding: str | None = None, quiet: bool = False, timeout: float = 60.0
    ) -> bytes | str:
        """The drawing as bytes: "svg" (the default), "png", "pdf", "html" (the page of :meth:`html`), "dot" or "gv" (`source`).

        With ``encoding="utf-8"`` it is text. As nothing is ever printed, ``quiet`` changes nothing.

        Raises ValueError for another format, and for an encoding of "png" and "pdf" or one that reads the text wrongly;
        RenderError if it cannot be drawn: RendererMissing without Graphviz, RenderTimeout after `timeout` seconds.

        >>> Drawing("digraph {a -> b}").pipe("dot")
        b'digraph {a -> b}'
        >>> Drawing("digraph {a -> b}").pipe("gif")
        Traceback (most recent call last):
            ...
        ValueError: cannot draw format 'gif'; it must be one of dot, gv, svg, png, pdf, html
        """
        format = _known("svg" if format is None else format)
        if encoding is not None and format in ("png", "pdf"):
            raise ValueError(f"a {format} is bytes, not text, and has no encoding {encoding!r}: leave out encoding=")
        if format in ("dot", "gv"):
            data = self._source.encode("utf-8")
        elif format == "html":
            data = self.html(timeout=timeout).encode("utf-8", "replace")
        elif format == "svg" and self._picture is not None and self._layout is not None:
            data = to_svg(self._picture, self._layout).encode("utf-8")
        else:
            data = render(self._source, format, timeout=timeout)
        if encoding is None:
            return data
        if data.decode(encoding, "replace") != (text := data.decode("utf-8")):
            raise ValueError(f"the {format} has characters that encoding={encoding!r} reads wrongly: give encoding='utf-8'")
        return text

    def render(
        self, filename: Name | None = None, directory: Name | None = None, view: bool = False, cleanup: bool = False,
        format: str | None = None, *, outfile: Name | None = None, quiet: bool = False, quiet_view: bool = False,
        timeout: float = 60.0,
    ) -> Path:  # fmt: skip
        """Write the DOT text to ``filename`` and the picture to ``filename.format``, and return the path of the picture.

        As in graphviz, except that the format is "svg" by default, and that the path is a Path. The filename is ``graph.gv``
        unless you give another; a missing folder is made. ``outfile="graph.png"`` is the path of the picture, with the DOT
        text in ``graph.gv``. ``cleanup=True`` leaves out the DOT text; ``view=True`` opens the picture in the web browser.
        As nothing is ever printed, ``quiet`` changes nothing. :meth:`save` writes one file, :meth:`pipe` returns bytes.

        Raises what :meth:`pipe` does, and ValueError for names that would surprise you: a format, or a DOT text in graph.png.
        Where the picture cannot be drawn, the DOT text is written all the same.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Drawing("digraph {a -> b}").render("net", folder, format="html").name, sorted(os.listdir(folder))
        ('net.html', ['net', 'net.html'])
        >>> Drawing("digraph {a -> b}").render("svg")
        Traceback (most recent call last):
            ...
        ValueError: "svg" is a format, not a file or folder: for bytes call pipe("svg"), for a file render("svg", format="svg")
        """
        source, target, format = _places(filename, directory, outfile, format)
        for place in (source, target):
            regular_file(place)
            place.parent.mkdir(parents=True, exist_ok=True)
        if not cleanup:
            replace_file(source, self.pipe("dot"))
        replace_file(target, self.pipe(format, timeout=timeout))
        if view or quiet_view:
            webbrowser.open(target.resolve().as_uri())
        return target

    def view(
        self, filename: Name | None = None, directory: Name | None = None, cleanup: bool = False, quiet: bool = False,
        quiet_view: bool = False, *, timeout: float = 60.0,
    ) -> Path:  # fmt: skip
        """Show it in the web browser, as the page of :meth:`html`, and return the path of that page.

        The page is a temporary file. With a ``filename`` or a ``directory`` it is kept there, as :meth:`render` does with
        ``format="html"``.
        """
        if filename is None and directory is None:
            directory, cleanup = tempfile.mkdtemp(prefix="minigrad-"), True
        return self.render(filename or "graph", directory, True, cleanup, "html", timeout=timeout)

    def svg(self) -> str:
        """Draw as SVG text: ``pipe("svg", encoding="utf-8")``.

        >>> from minigrad.pictures.render import renderers
        >>> not renderers() or "<svg" in Drawing("digraph {a -> b}").svg()
        True
        """
        return self.pipe("svg", encoding="utf-8")

    def html(self, *, timeout: float = 60.0) -> str:
        """A web page that needs nothing else: the picture, to look around in, and the values and gradients that flow through
        it, by time step, by named value or by op, forward and backward. ``page.html#t=3,backward`` is a link to a moment.

        The backward pass is run for it; `backward()` may not have freed the graph. A picture that Graphviz has to lay out
        is a list of its nodes where there is no renderer. Without scripts, or in a browser that cannot unpack the numbers
        (from before 2023), the page shows the picture alone.

        >>> Drawing("digraph {a -> b}").html()[:15]
        '<!doctype html>'
        """
        return page(self._source, self._picture, self._layout, self._playback, timeout=timeout)

    def page(self, height: int = 600, *, timeout: float = 60.0) -> "Page":
        """The page of :meth:`html` for a notebook, which shows it in a frame of that height in pixels.

        >>> Drawing("digraph {a -> b}").page()._repr_html_()[:24]
        '<iframe srcdoc="&lt;!doc'
        """
        return Page(self.html(timeout=timeout), height)

    def save(self, path: Name, *, timeout: float = 60.0) -> Path:
        """Write ``.dot``, ``.gv``, ``.svg``, ``.png``, ``.pdf`` or ``.html``, by the suffix of ``path``, and return it.

        ``.html`` is the page of :meth:`html`. The file is replaced whole or not at all.

        Raises ValueError for another suffix, FileNotFoundError if the folder does not exist, IsADirectoryError if ``path`` is a
        folder, RenderError if it cannot be drawn, and RenderTimeout if drawing takes longer than ``timeout`` seconds. The DOT
        text is then saved next to ``path`` as ``.dot``, unless there is such a file already.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Drawing("digraph {a -> b}").save(f"{folder}/net.dot").name
        'net.dot'
        """
        target = _checked(path, FORMATS)
        try:
            data = self.pipe(target.suffix[1:].lower(), timeout=timeout)
        except RenderTimeout as error:
            raise RenderTimeout(f"{error} {self._save_beside(target)}") from error
        replace_file(target, data)
        return target

    def _save_beside(self, target: Path) -> str:
        """Save the DOT text of a picture that took too long, and say what became of it."""
        beside = target.with_suffix(".dot")
        if beside.exists():
            return f"The DOT text was not saved: {beside} exists already."
        try:
            replace_file(beside, self._source.encode("utf-8"))
        except OSError as error:
            return f"The DOT text was not saved: {error}."
        return f"The DOT text was saved as {beside}."

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        # Notebooks apply include and exclude themselves.
        svg, failure = self._for_notebook()
        text = (self.text or repr(self)).encode("utf-8", "replace").decode("utf-8")  # no message holds a lone surrogate
        return {"image/svg+xml": svg, "text/plain": text} if svg else {"text/plain": f"{text}\n\n{failure}"}

    def _repr_svg_(self) -> str | None:
        return self._for_notebook()[0]

    def _for_notebook(self) -> tuple[str | None, str]:
        """The SVG text, or None and the reason: whatever that is, the notebook goes on."""
        if self._too_slow:  # where the bundle has no picture IPython tries _repr_svg_ too: it must not wait twice
            return None, self._too_slow
        try:
            return self.pipe("svg", encoding="utf-8", timeout=_NOTEBOOK_TIMEOUT), ""
        except Exception as error:
            failure = f"Not shown as a picture: {error}"
            if isinstance(error, RenderTimeout):
                self._too_slow = failure
            return None, failure

    if not TYPE_CHECKING:  # there a misspelt attribute is an error

        def __getattr__(self, name):
            hint = '; .view() shows it in the browser, .save("x.svg") writes a file' if name == "show" else ""
            raise AttributeError(f"a Drawing has no {name}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        lines = len(self._source.splitlines())
        return f'Drawing({lines} line{"s" * (lines != 1)} of DOT; .save("x.svg") or .source)'


class Page:
    """A web page (``html``) that a notebook shows in a frame of its own, with that ``title``. It cannot touch the notebook.

    >>> Page("<!doctype html><p>hello</p>")
    Page(27 characters of HTML; .save("x.html") or .html)
    """

    def __init__(self, html: str, height: int = 600, title: str = "A recorded graph, step by step") -> None:
        if not isinstance(height, int) or height <= 0:
            raise ValueError(f"height must be a positive number of pixels, such as 600, not {height!r}")
        self.html = html
        self.height = height
        self.title = title

    def save(self, path: Name) -> Path:
        """Write it as ``.html`` and return the path. The file is replaced whole or not at all."""
        target = _checked(path, ("html",))
        replace_file(target, self.html.encode("utf-8", "replace"))
        return target

    def _repr_html_(self) -> str:
        # In ASCII: read in another encoding the script would not have its hash, and not run.
        page = html.escape(self.html).encode("ascii", "xmlcharrefreplace").decode("ascii")
        frame = f'sandbox="allow-scripts" allow="fullscreen" width="100%" height="{self.height}" style="border: 0"'
        return f'<iframe srcdoc="{page}" title="{html.escape(self.title)}" {frame}></iframe>'

    def __repr__(self) -> str:
        return f'Page({len(self.html):,} characters of HTML; .save("x.html") or .html)'


def _known(format: str) -> str:
    if format not in FORMATS:
        raise ValueError(f"cannot draw format {format!r}; it must be one of {', '.join(FORMATS)}")
    return format


def _checked(path: Name, formats: tuple[str, ...]) -> Path:
    """The path of a file to write in a folder that is there, whose suffix is one of the formats."""
    target = Path(path)
    regular_file(target)
    if target.suffix[1:].lower() not in formats:
        raise ValueError(f"cannot save as {target.name!r}; its suffix must be one of .{', .'.join(formats)}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}; create it first")
    return target


def _places(filename: Name | None, directory: Name | None, outfile: Name | None, format: str | None) -> tuple[Path, Path, str]:
    """The paths at which `render` writes the DOT text and the picture, and the format of the picture."""
    folder = Path(directory or "")
    if outfile is not None:
        target = Path(outfile)
        suffix = _known(target.suffix[1:].lower())
        if format not in (None, suffix):
            raise ValueError(f"outfile={str(target)!r} is a {suffix}, and format={format!r} another: leave out format=")
        source = Path(filename or target.with_suffix(".gv"))
        format = suffix
    else:
        for given in (filename, directory):
            if format is None and str(given).lower() in FORMATS:
                name = filename or "graph"
                raise ValueError(
                    f'"{given}" is a format, not a file or folder: for bytes call pipe("{given}"), '
                    f'for a file render("{name}", format="{given}")'
                )
        format = _known("svg" if format is None else format)
        source = Path(filename or "graph.gv")
        target = folder / f"{source}.{format}"
    if source.suffix[1:].lower() in ("svg", "png", "pdf", "html"):
        raise ValueError(
            f"{source.name} would hold the DOT text, and the picture {target.name}: for one file call save({str(source)!r}), "
            f"for both leave out {source.suffix}"
        )
    return folder / source, target, format


def drawn(
    picture: Picture,
    text: str | Graph,
    limit: int | None = _LIMIT,
    advice: str = "a smaller part of the graph",
    playback: Playback | None = None,
) -> Drawing:
    """The drawing of a picture. Warn above 2000 boxes, raise ValueError above `limit`, both with advice."""
    count = len(picture.all_boxes())
    keep_within(count, limit, advice)
    if limit is not None and count > _MANY_BOXES:
        warnings.warn(f"this picture has {count:,} boxes and is hard to read: better draw {advice}", stacklevel=3)
    layout = laid_out(picture)
    return Drawing(to_dot(picture, layout), text=text, picture=picture, layout=layout, playback=playback)


def laid_out(picture: Picture) -> Layout | None:
    """The layout of a picture; None for nested frames, which Graphviz lays out."""
    if picture.nested:
        return None
    return grid_layout(picture) if any(box.at for box in picture.boxes) else upright(picture)


def keep_within(count: int, limit: int | None, advice: str) -> None:
    """ValueError for a picture of more boxes than `limit`."""
    if limit is not None and count > limit:
        raise ValueError(f"a picture of {count:,} boxes is above limit={limit:,}: draw {advice}, or force it with limit=None")
