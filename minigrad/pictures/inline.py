"""A picture as SVG to stand in a web page, each shape with the box, frame or arrow that it belongs to."""

from __future__ import annotations

import html
from collections.abc import Iterable
from xml.etree import ElementTree

from .dot import BACKWARD, GATHERED, INK, LOOKS, RECURRENT, heat_colour, printable
from .frames import framed
from .picture import Arrow, Picture
from .table import FONT_SIZES, placed

__all__ = ["compact", "plain"]

KEPT = {"g", "path", "polygon", "polyline", "ellipse", "circle", "rect", "text"}
COLOURS = {"recurrent": RECURRENT, "gathered": GATHERED, "backward": BACKWARD, "loop": RECURRENT, "sum loop": GATHERED}


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


def plain(picture: Picture) -> str:
    """The picture drawn without Graphviz: boxes, lines and words where the layout puts them."""
    layout = placed(picture) if any(box.at for box in picture.boxes) else framed(picture)
    left, bottom, right, top = layout.bounds
    said = [words((left + right) / 2, top - 12, picture.title.split("\n")[0], 11)]
    titles = {group.id: group.title for group in picture.all_groups()}
    for name, (a, b, c, d) in layout.frames.items():
        shape = rectangle(((a + c) / 2, (b + d) / 2, c - a, d - b), "#f6f8fc", "#c5cfdf")
        said.append(f'<g class="cluster" data-group="{name}">{shape}{words(a + 24, d - 12, titles[name], 11)}</g>')
    for box in sorted(picture.all_boxes(), key=lambda box: box.role != "cell"):
        x, y, width, height = layout.boxes[box.id]
        fill = LOOKS[box.role].get("fillcolor", "none") if box.heat is None else heat_colour(box.heat)
        ink = "#ffffff" if (box.heat or 0) > 0.5 else INK
        size = FONT_SIZES.get(box.role, 9)
        first = y + 1.25 * size * ((len(box.lines) - 1) / 2) - size / 3 if box.role != "cell" else y + height / 2 - 12
        lines = "".join(words(x, first - 1.25 * size * i, line, size, ink) for i, line in enumerate(box.lines))
        shape = "" if box.role in ("words", "sign") else rectangle((x, y, width, height), fill, INK)
        said.append(f'<g class="node" data-box="{box.id}">{shape}{lines}</g>')
    for arrow in picture.all_arrows():
        if arrow.role != "order":
            said.append(line(arrow, layout.arrows[id(arrow)][0]))
    view = f"{left:g} {-top:g} {right - left:g} {top - bottom:g}"
    return whole(view, f'<g class="graph">{"".join(said)}</g>')


def line(arrow: Arrow, way: str) -> str:
    """An arrow along its way as the layout gives it, in Graphviz' form: its tip, and the points of a curve up to there."""
    (u, v), *points = ([float(number) for number in point.split(",")] for point in way.removeprefix("e,").split(" "))
    colour = COLOURS.get(arrow.role, INK)
    curve = " ".join(f"{x:g},{-y:g}" for x, y in points[1:])
    x, y = points[-1]
    a, b = (u - x) * 0.35, (v - y) * 0.35
    head = f"{u:g},{-v:g} {x - b:g},{-(y + a):g} {x + b:g},{-(y - a):g}"
    path = f'<path fill="none" stroke="{colour}" d="M{points[0][0]:g},{-points[0][1]:g}C{curve}"/>'
    shapes = f'{path}<polygon fill="{colour}" points="{head}"/>'
    return f'<g class="edge" data-from="{arrow.source}" data-to="{arrow.target}">{shapes}</g>'


def words(x: float, y: float, line: str, size: float, ink: str = INK) -> str:
    said = html.escape(printable(line))
    return f'<text text-anchor="middle" x="{x:g}" y="{-y:g}" font-size="{size:g}" fill="{ink}">{said}</text>'


def rectangle(place: Iterable[float], fill: str, ink: str) -> str:
    x, y, width, height = place
    at = f'x="{x - width / 2:g}" y="{-y - height / 2:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {at} rx="4" fill="{fill}" stroke="{ink}" stroke-width="0.8"/>'
