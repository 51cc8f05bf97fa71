"""A picture as SVG to stand in a web page, each shape with the box, frame or arrow that it belongs to."""

from __future__ import annotations

import html
from xml.etree import ElementTree

__all__ = ["compact"]

KEPT = {"g", "path", "polygon", "polyline", "ellipse", "circle", "rect", "text"}


def compact(svg: str) -> str:
    """Graphviz' SVG with what the page needs: which box, frame or arrow it is, and its shapes. Nothing else is let through."""
    root = ElementTree.fromstring(svg)
    view = html.escape(root.get("viewBox", ""))
    inside = "".join(written(child) for child in root)
    return whole(view, inside)


def whole(view: str, inside: str) -> str:
    return f'<svg id="picture" viewBox="{view}" xmlns="http://www.w3.org/2000/svg"><g id="view">{inside}</g></svg>'


def written(element: ElementTree.Element) -> str:
    tag = element.tag.rpartition("}")[2]
    inside = "".join(written(child) for child in element)
    if tag == "a":
        return inside
    kind = element.get("class", "")
    if tag not in KEPT or (tag == "g" and not kind):
        return inside if tag == "g" else ""
    about = {key: value for key, value in element.attrib.items() if key.isidentifier() or key.startswith(("stroke-", "text-"))}
    about = {key: value for key, value in about.items() if not key.startswith("on") and key not in ("id", "class", "style")}
    about |= {"font-size": element.get("font-size", "9")} if tag == "text" else {}
    if tag == "g":
        title = next((child.text or "" for child in element if child.tag.endswith("}title")), "")
        about |= names(kind, title)
    attributes = "".join(f' {key}="{html.escape(value)}"' for key, value in about.items())
    return f"<{tag}{attributes}>{html.escape(element.text or '') if tag == 'text' else inside}</{tag}>"


def names(kind: str, title: str) -> dict[str, str]:
    if kind == "cluster":
        return {"class": kind, "data-group": title.removeprefix("cluster_")}
    if kind == "edge":
        source, _, target = title.partition("->")
        return {"class": kind, "data-from": source, "data-to": target}
    return {"class": kind, "data-box": title} if kind == "node" else {"class": kind}
