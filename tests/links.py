"""Broken links of a built site: ``python tests/links.py build/site`` lists them, and fails if there are any.

A local link must lead to a file, and after a ``#`` to an id in it. A page may load nothing from elsewhere, so that it works
offline. Of links to other sites only the form is checked.
"""

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The ids and the links of a page. A link is (tag, address)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.ids.add(value or "")
            elif name in ("href", "src", "xlink:href"):
                self.links.append((tag, value or ""))


read = cache(Page)


def problem(path: Path, tag: str, address: str) -> str:
    """Return what is wrong with a link of the page at `path`, or an empty string."""
    try:
        scheme, host, place, _, anchor = urlsplit(address)
    except ValueError as error:
        return f"is not an address: {error}"
    if scheme in ("data", "mailto"):
        return ""
    if scheme or host:
        if tag != "a":
            return "is loaded from another site"
        return "" if scheme in ("http", "https") and "." in host else "must be https://host/..."
    target = (path.parent / unquote(place)).resolve() if place else path
    if not target.is_file():
        return "leads to no file"
    if anchor and target.suffix == ".html" and unquote(anchor) not in read(target).ids:
        return f"leads to a page without the id {anchor!r}"
    return ""


def broken(site: Path) -> Iterator[str]:
    """Describe every broken link of a site."""
    for path in sorted(site.resolve().rglob("*.html")):
        for tag, address in sorted(set(read(path).links)):
            if wrong := problem(path, tag, address):
                yield f"{path.relative_to(site.resolve())}: <{tag}> {address!r} {wrong}"


if __name__ == "__main__":
    found = list(broken(Path(sys.argv[1])))
    print(*found, f"{len(found)} broken links", sep="\n")
    sys.exit(bool(found))
