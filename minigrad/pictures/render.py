"""DOT text to picture bytes, by whichever Graphviz is there."""

import contextlib
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys

from minigrad.errors import RendererMissing, RenderError, RenderTimeout

# How the bytes of each format begin.
_SIGNATURES = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}

_INSTALL = (
    'Either `pip install "minigrad-rnn[render]"`, or install Graphviz '
    "(Debian/Ubuntu: `apt install graphviz`; macOS: `brew install graphviz`; "
    "Windows: `winget install graphviz`). Saving as .dot needs no renderer."
)

# Run in a process of its own: a layout cannot be interrupted from Python, and a crash in the C library
# would take the caller along. The folder goes last on the path so that it hides nothing.
_PYGRAPHVIZ_CHILD = """
import sys
sys.tracebacklimit = 0
format, folder = sys.argv[1:]
sys.path.append(folder)
import pygraphviz
source = sys.stdin.buffer.read().decode("utf-8")
try:
    graph = pygraphviz.AGraph(string=source)
except pygraphviz.DotError as error:
    sys.exit(f"Error: {error}")
sys.stdout.buffer.write(graph.draw(format=format, prog="dot"))
"""

_TOO_LARGE = re.compile(r"too large for \S+ bitmaps")
_NO_PLUGIN = re.compile(r'(Format|Layout type|Renderer type): ".*" not recognized|no layout engine support')
_BAD_SOURCE = re.compile(r"^Error: ", re.MULTILINE)  # how Graphviz starts a complaint about the source


class _Unusable(Exception):
    """This renderer does not work here; another one may."""


def render(source: str, format: str, *, timeout: float = 60.0) -> bytes:
    """Draw DOT text as ``"svg"``, ``"png"`` or ``"pdf"`` with the first of :func:`renderers` that works.

    Raises ValueError for another format, RendererMissing if no renderer is there or none of them works, RenderTimeout if a
    renderer takes longer than ``timeout`` seconds (it is killed), and RenderError if Graphviz refuses the source or a PNG
    would be too large.

    >>> render("digraph {a -> b}", "gif")
    Traceback (most recent call last):
        ...
    ValueError: cannot draw format 'gif'; it must be one of svg, png, pdf
    """
    if format not in _SIGNATURES:
        raise ValueError(f"cannot draw format {format!r}; it must be one of {', '.join(_SIGNATURES)}")
    try:
        data = source.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RenderError(f"the DOT text is not valid Unicode: {error}") from error
    failures = []
    for name, command in _commands(format):
        try:
            return _draw(name, command, data, format, timeout)
        except _Unusable as failure:
            failures.append(f"{name}: {failure}")
    tried = f" ({'; '.join(failures)})" if failures else ""
    raise RendererMissing(f"no working Graphviz renderer was found{tried}. {_INSTALL}")


def renderers() -> list[str]:
    """Name the renderers that are there, in the order :func:`render` tries them. Raises nothing.

    >>> set(renderers()) <= {"dot", "pygraphviz"}
    True
    """
    return [name for name, _ in _commands("svg")]


def _commands(format: str) -> list[tuple[str, list[str]]]:
    commands = []
    if dot := shutil.which("dot"):
        commands.append(("dot", [dot, f"-T{format}"]))
    if folder := _pygraphviz_folder():
        # -I keeps a user's own pygraphviz.py, and PYTHON* variables, out of the child.
        commands.append(("pygraphviz", [sys.executable, "-I", "-c", _PYGRAPHVIZ_CHILD, format, folder]))
    return commands


def _pygraphviz_folder() -> str | None:
    """The folder of pygraphviz, if it has Graphviz inside, as it does from version 2 on."""
    if not sys.executable or getattr(sys, "frozen", False):  # there is no Python to run the child with
        return None
    try:
        found = importlib.metadata.distribution("pygraphviz")
    except importlib.metadata.PackageNotFoundError:
        return None
    return None if found.version.startswith(("0.", "1.")) else str(found.locate_file(""))


def _draw(name: str, command: list[str], data: bytes, format: str, timeout: float) -> bytes:
    try:
        status, picture, messages = _run(command, data, timeout)
    except OSError as error:
        raise _Unusable(f"could not be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise RenderTimeout(
            f"{name} did not finish within {timeout:g} s. Fold steps or draw fewer nodes, allow a longer "
            "timeout, or save as .dot, which needs no renderer."
        ) from error
    if format == "png" and _TOO_LARGE.search(messages):
        raise RenderError(
            "the picture is too large for png, which Graphviz limits to 32767 pixels a side. Save it as .svg, or fold steps."
        )
    if _NO_PLUGIN.search(messages):
        raise _Unusable(_first_lines(messages))
    if complaint := _BAD_SOURCE.search(messages):
        raise RenderError(f"{name} cannot draw this DOT: {_first_lines(messages[complaint.start() :])}")
    if status == 0 and not picture:
        raise RenderError(f"{name} drew nothing: there is no graph in the DOT text.")
    if status != 0 or not picture.startswith(_SIGNATURES[format]):
        raise _Unusable(f"wrote no {format}, exit status {status} {_first_lines(messages)}".rstrip())
    return picture


def _run(command: list[str], data: bytes, timeout: float) -> tuple[int, bytes, str]:
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,  # POSIX: lets _kill reach what the child starts; ignored on Windows
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    ) as child:
        try:
            picture, messages = child.communicate(data, timeout)
        except BaseException:  # KeyboardInterrupt too: the child must not outlive the call
            _kill(child)
            raise
    return child.returncode, picture, messages.decode("utf-8", "replace")


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill and reap the child, with its own children: ``dot`` is often a wrapper script."""
    with contextlib.suppress(OSError):  # it may be gone by now
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(child.pid)], capture_output=True)
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def _first_lines(messages: str) -> str:
    return "\n".join(messages.strip().splitlines()[:3])[:500]
