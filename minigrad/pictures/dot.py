"""A picture as DOT text. Only this module uses Graphviz' attributes.

Where a picture has a layout, Graphviz only draws it: ``layout=nop2`` lets every engine take each place as it is given. A
picture of nested frames it lays out itself, from left to right: ``newrank`` together with unseen edges from the end of each
step to the beginning of the next keeps steps in one row.
"""

from __future__ import annotations

import graphviz

from .layout import BAR, BESIDE_BAR, LEADING, TITLE, Layout, cubics
from .picture import LOOPS, Arrow, Box, Group, Picture
from .sizes import SECOND, font, text_width
from .svg import with_head
from .theme import BACKGROUND, FAINT, HEATS, LINES, STRONG, arrow_width, colour, heat_class, ink_on, shade

__all__ = ["to_dot"]

SHAPES = {"op": "ellipse", "backward": "ellipse", "unit": "ellipse", "collect": "ellipse", "words": "plain", "sign": "plain"}
STYLES = {"alias": "filled,dashed", "constant": "filled", "strip": "filled", "loss": "filled,rounded"}
LONGEST_TOOLTIP = 3000  # Graphviz reads no text of more than 16384 bytes
MOST_CORNERS = 200
FONT = "Helvetica,Arial,sans-serif"


def to_dot(picture: Picture, layout: Layout | None = None) -> str:
    """The DOT text of a picture, at the places of its layout if it has one; the same picture always gives the same text."""
    return Writer(picture, layout).text()


class Writer:
    """DOT text being written."""

    def __init__(self, picture: Picture, layout: Layout | None) -> None:
        self.picture, self.layout = picture, layout
        self.x, self.y = (layout.bounds[0], layout.bounds[1]) if layout else (0.0, 0.0)  # Graphviz begins at 0, 0

    def text(self) -> str:
        tip = {"tooltip": text([self.picture.title or "graph"])}
        if self.layout:
            left, bottom, right, top = self.layout.bounds
            how = {"layout": "nop2", "splines": "true", "outputorder": "edgesfirst", "pad": "0", **tip}
            how |= {"bb": f"0,0,{right - left:g},{top - bottom:g}"}
        else:
            how = {"rankdir": "LR", "newrank": "true", "nodesep": "0.12", "ranksep": "0.22", "labelloc": "t", "labeljust": "l"}
            how |= {"label": text(self.picture.title.split("\n"), "l"), "fontsize": "12", **tip}
        ink = colour("ink")
        dot = graphviz.Digraph(
            graph_attr={"fontname": FONT, "bgcolor": BACKGROUND[0], **how},
            node_attr={
                "shape": "box", "style": "filled,rounded", "fontname": FONT, "height": "0.2", "width": "0.2",
                "margin": "0" if self.layout else "0.07,0.04", "fontcolor": ink, "penwidth": "1",
            },
            edge_attr={"arrowsize": "0.55", "fontname": FONT, "fontsize": "9.5", "fontcolor": colour("pale")},
        )  # fmt: skip
        if self.layout:
            self.corners(dot)
            self.title(dot)
        self.write(dot, self.picture)
        return str(dot.source)

    def place(self, x: float, y: float) -> str:
        return f"{x - self.x:.1f},{y - self.y:.1f}"

    def at(self, x: float, y: float, width: float, height: float) -> dict[str, str]:
        return {"pos": self.place(x, y), "width": f"{width / 72:.4f}", "height": f"{height / 72:.4f}", "fixedsize": "true"}

    def corners(self, dot: graphviz.Digraph) -> None:
        """Two invisible points, so that Graphviz does not crop the picture to its boxes."""
        assert self.layout is not None
        left, bottom, right, top = self.layout.bounds
        for i, (x, y) in enumerate(((left, bottom), (right, top))):
            unseen = {"style": "invis", "shape": "point", "width": "0.01", "height": "0.01", "label": ""}
            dot.node(f"corner{i}", **unseen, pos=self.place(x, y))

    def title(self, dot: graphviz.Digraph) -> None:
        """The lines of the title, and the colour bar."""
        assert self.layout is not None
        x, y = self.layout.title_at
        for i, line in enumerate(self.layout.title):
            self.words(dot, f"title{i}", line, TITLE, x, y - LEADING * i, "ink")
        if self.picture.legend:
            words, low, high = self.picture.legend
            right, each = self.layout.bounds[2] - BESIDE_BAR, BAR / HEATS
            for k in range(HEATS):
                look = {"label": "", "shape": "box", "style": "filled", "penwidth": "0", "fillcolor": shade(k / (HEATS - 1))}
                dot.node(f"heat{k}", **look, **self.at(right - BAR + (k + 0.5) * each, y + 4, each, 10))
            self.words(dot, "low", low, 9, right - BAR - 4 - text_width(low, 9), y, "pale")
            self.words(dot, "high", high, 9, right + 4, y, "pale")
            self.words(dot, "legend", words, 10, right - BAR - BESIDE_BAR - text_width(words, 10), y, "pale")

    def words(self, dot: graphviz.Digraph, id: str, line: str, points: float, x: float, y: float, ink: str) -> None:
        """Bare words that begin at x, on the base line y."""
        width = text_width(line, points) + 4
        look = {"shape": "plaintext", "style": "", "label": text([line], "l"), "fontsize": f"{points:g}", "tooltip": " "}
        look |= self.at(x + width / 2 - 2, y + points / 3, width, 1.2 * points) | {"fixedsize": "shape"}
        dot.node(f"{id}_words", **look, fontcolor=colour(ink))

    def write(self, dot: graphviz.Digraph, part: Picture | Group) -> None:
        for box in sorted(part.boxes, key=lambda box: box.role != "cell"):  # frames first: the others stand on them
            self.box(dot, box)
        for group in part.groups:
            with dot.subgraph(name=f"cluster_{group.id}") as cluster:
                self.group(cluster, group)
                self.write(cluster, group)
        for arrow in part.arrows:
            self.arrow(dot, arrow)

    def group(self, dot: graphviz.Digraph, group: Group) -> None:
        if not group.framed:
            dot.attr(label="", peripheries="0", **({"style": "invis"} if self.layout else {}))
            return
        name = "back-frame" if group.backward else "frame"
        look = {"style": "filled,rounded", "fillcolor": colour(name), "color": colour(name, edge=True)}
        if self.layout and group.id in self.layout.frames:
            x, y, w, h = self.layout.frames[group.id]
            width = text_width(group.title, 11.5)
            look |= {"bb": f"{self.place(x - w / 2, y - h / 2)},{self.place(x + w / 2, y + h / 2)}"}
            look |= {"lp": self.place(x - w / 2 + 10 + width / 2, y + h / 2 - 12)}
            look |= {"lwidth": f"{width / 72:.2f}", "lheight": "0.2"}
        if group.repeated:
            look |= {"peripheries": "2"} if not self.layout else {"penwidth": "2"}
        title = text([group.title])
        dot.attr(label=title, tooltip=title, fontsize="11.5", fontcolor=colour("pale"), **look)

    def box(self, dot: graphviz.Digraph, box: Box) -> None:
        look = attributes(box)
        if not self.layout:
            dot.node(box.id, **look)
            return
        x, y, width, height = self.layout.boxes[box.id]
        if box.pieces or box.role == "cell":
            look["label"] = ""
        dot.node(box.id, **look, **self.at(x, y, width, height))
        if box.role == "cell":
            self.words(dot, box.id, box.lines[0], font(box), x - width / 2 + 8, y - height / 2 + 6, "pale")
        for i, (piece, place) in enumerate(zip(box.pieces, self.layout.pieces.get(box.id, ()), strict=True)):
            fill = "#ffffff" if piece.heat is None else shade(piece.heat)
            plain = {"label": "", "tooltip": text([piece.tooltip]), "style": "filled", "fillcolor": fill, "penwidth": "0"}
            dot.node(f"{box.id}_{i}", **plain, **self.at(*place))
        if box.pieces and box.lines:
            line = " ".join(box.lines)
            self.words(dot, box.id, line, 8, x - text_width(line, 8) / 2, y - height / 2 - 9, "pale")

    def arrow(self, dot: graphviz.Digraph, arrow: Arrow) -> None:
        if arrow.role == "order":
            if not self.layout:
                dot.edge(arrow.source, arrow.target, style="invis", minlen="2")
            return
        role = self.layout.arrows[id(arrow)].role if self.layout else ""
        line = {"strong": STRONG, "faint": FAINT}[arrow.emphasis] if arrow.emphasis else LINES[role or arrow.role]
        look = {"color": line[0], "penwidth": f"{arrow_width(arrow, role):.1f}"}
        if arrow.role in ("first", "cut"):
            look["style"] = "dashed"
        if arrow.label:
            look["label"] = text([arrow.label])
        if arrow.operand and not self.layout:
            look |= {"headlabel": text([arrow.operand]), "labeldistance": "1.2"}
        if self.layout:
            way = self.layout.arrows[id(arrow)]
            points = way.points
            points = [*points[: -1 : 1 + len(points) // MOST_CORNERS], points[-1]]
            short, _ = with_head(points, 5.5)
            tip = self.place(*points[-1])
            look["pos"] = f"e,{tip} " + " ".join(self.place(x, y) for x, y in cubics(short))
            if arrow.label:
                look["lp"] = self.place(way.label_at[0], way.label_at[1] + 3)
        if arrow.role in LOOPS and not self.layout:  # written from its tip, so that Graphviz puts that first
            dot.edge(arrow.target, arrow.source, dir="back", **look)
        else:
            dot.edge(arrow.source, arrow.target, **look)


def attributes(box: Box) -> dict[str, str]:
    """The attributes of a box."""
    shape = {"shape": SHAPES.get(box.role, "box")}
    if shape["shape"] == "ellipse":
        shape["style"] = "filled"
        if len(box.lines) > 2:
            shape["shape"] = "box"  # an ellipse around as many lines is mostly empty
    look = {"tooltip": tooltip(box.tooltip or " ".join(box.lines)), "fontsize": f"{font(box):g}", **shape}
    look["label"] = text(box.lines) if len(box.lines) < 2 else smaller(box)
    look |= {"style": style} if (style := STYLES.get(box.role)) else {}
    if look["shape"] == "plain":
        return {**look, "style": ""}
    fill, edge, ink = colour(box.role), colour(box.role, edge=True), None
    if box.heat is not None:
        fill, ink = shade(box.heat), ink_on(heat_class(box.heat), dark=False)
    if box.emphasis == "strong":
        edge, look["penwidth"] = STRONG[0], "2.2"
    elif box.emphasis == "faint":
        fill, edge, ink = BACKGROUND[0], FAINT[0], colour("faint-ink")
    return {**look, "fillcolor": fill, "color": edge, **({"fontcolor": ink} if ink else {})}


def smaller(box: Box) -> str:
    """Several lines, those after the first in smaller letters where the box has them so."""
    if font(box, 1) == font(box):
        return text(box.lines)
    first, *others = (escaped(line) for line in box.lines)
    points = font(box) - SECOND
    return f"<{first}" + "".join(f'<br/><font point-size="{points:g}">{line}</font>' for line in others) + ">"


def escaped(line: str) -> str:
    """A line in an HTML-like label."""
    plain = printable(line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return plain or " "


def printable(line: str) -> str:
    return without_controls(" ".join(line.split()))


def without_controls(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)


def tooltip(text: str) -> str:
    """A tooltip, with the blanks that code begins with."""
    text = text if len(text) <= LONGEST_TOOLTIP else f"{text[:LONGEST_TOOLTIP]} ..."
    lines = map(without_controls, text.split("\n"))
    return str(graphviz.nohtml("\\n".join(map(graphviz.escape, lines)).replace("&", "&amp;")))


def text(lines: list[str], align: str = "n") -> str:
    """Lines as a DOT label, centred or with "l" at the left: nothing in them is taken for markup or an escape."""
    blank = " " * (len(lines) > 1)  # Graphviz may crash on a label whose first line is empty
    escaped = [graphviz.escape(printable(line)).replace("&", "&amp;") or blank for line in lines]
    joined: str = graphviz.nohtml("\\n".join(escaped) if align == "n" else "".join(f"{line}\\l" for line in escaped))
    return joined
