"""A picture as SVG to stand in a web page, each shape with the box, frame or arrow that it belongs to."""

from __future__ import annotations

import html
from xml.etree import ElementTree

__all__ = ["compact"]

KEPT = {"g", "path", "polygon", "polyline", "ellipse", "circle", "rect", "text"}


def compact(svg: str) -> str:
    """Reduce Graphviz' SVG to the shapes and to the ids of boxes, frames and arrows. Nothing else is let through."""
    root = ElementTree.fromstring(svg)
    view = html.escape(root.get("viewBox", ""))
    inside = "".join(map(written, root))
    return f'<svg id="picture" viewBox="{view}" xmlns="http://www.w3.org/2000/svg"><g id="view">{inside}</g></svg>'


def written(element: ElementTree.Element) -> str:
    """An element, and those inside it, with the tags and attributes that are let through."""
    tag, kind = element.tag.rpartition("}")[2], element.get("class", "")
    inside = "".join(map(written, element))
    if tag == "a" or (tag == "g" and not kind):
        return inside
    if tag not in KEPT:
        return ""
    about = {key: value for key, value in element.attrib.items() if let_through(key)}
    if tag == "text":
        inside, about["font-size"] = html.escape(element.text or ""), element.get("font-size", "9")
    if tag == "g":
        about |= names(kind, next((child.text or "" for child in element if child.tag.endswith("}title")), ""))
    attributes = "".join(f' {key}="{html.escape(value)}"' for key, value in about.items())
    return f"<{tag}{attributes}>{inside}</{tag}>"


def let_through(attribute: str) -> bool:
    if attribute.startswith("on") or attribute in ("id", "class", "style"):
        return False
    return attribute.isidentifier() or attribute.startswith(("stroke-", "text-"))


def names(kind: str, title: str) -> dict[str, str]:
    """The class of a group, and the id of the frame, box or arrow that it draws."""
    if kind == "cluster":
        return {"class": kind, "data-group": title.removeprefix("cluster_")}
    if kind == "edge":
        source, _, target = title.partition("->")
        return {"class": kind, "data-from": source, "data-to": target}
    return {"class": kind, "data-box": title} if kind == "node" else {"class": kind}
