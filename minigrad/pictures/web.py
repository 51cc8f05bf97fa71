"""Parts of a web page that runs no script but its own, each written so that nothing in it is taken for markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["as_json", "deflated", "filled", "head", "source_hash", "sources"]

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{{styles}}'; script-src '{{scripts}}'; \
base-uri 'none'; form-action 'none'">
<meta name="color-scheme" content="light dark">
<title>{{title}}</title>
<style>{{style}}</style>
</head>"""


def sources(package: str, *names: str) -> list[str]:
    """Return the text of these files of a package. Those that the pages share are in `minigrad.pictures`."""
    return [(files(package) / name).read_text(encoding="utf-8") for name in names]


def as_json(data: Any) -> str:
    """Return data as JSON for a script element, which no text in it can end.

    >>> as_json({"x": "</script>"})
    '{"x":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def deflated(data: bytes) -> str:
    """Return bytes as base64 of raw deflate, for a script element that a page reads with inflate.js.

    >>> len(deflated(b"0.25, " * 1000)) < 100
    True
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return base64.b64encode(deflate.compress(data) + deflate.flush()).decode()


def source_hash(text: str) -> str:
    """Return the hash by which a content security policy lets a script or a style through."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def filled(frame: str, parts: Mapping[str, str]) -> str:
    """Return a frame with its parts in place of ``{{name}}``. It is done once, so a part may have braces itself.

    >>> filled("<p>{{x}}</p>", {"x": "{{y}}"})
    '<p>{{y}}</p>'
    """
    return re.sub(r"\{\{([\w ]+)\}\}", lambda found: parts[found[1]], frame)


def head(title: str, style: str, script: str, *, inline_styles: bool = False) -> str:
    """Return the beginning of a page, whose policy lets through this script and this style, and nothing else.

    `title` is text that is escaped already. `inline_styles` lets through the style of every element, which an SVG picture has.
    """
    styles = "unsafe-inline" if inline_styles else source_hash(style)
    return filled(HEAD, {"title": title, "style": style, "styles": styles, "scripts": source_hash(script)})
