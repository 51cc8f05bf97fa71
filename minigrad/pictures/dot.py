"""A picture as DOT text. All that is known of Graphviz' attributes is known here.

Steps of time are laid out by `frames` and tables by `table`; Graphviz only draws them (its engine nop2 takes every place as
it is given). Any other picture Graphviz lays out itself, from left to right: ``newrank`` together with invisible edges from the
end of each step to the beginning of the next keeps steps in one row; without either they become a staircase.
"""

from __future__ import annotations

import graphviz

from .frames import framed
from .picture import Arrow, Box, Group, Picture
from .table import Layout, placed

__all__ = ["heat_colour", "to_dot"]

INK = "#212529"
RECURRENT = "#0d6efd"
GATHERED = "#b5545f"
BACKWARD = "#b35900"
FAINT = "#ced4da"
LOOKS: dict[str, dict[str, str]] = {
    "op": {"shape": "ellipse", "fillcolor": "#ffffff", "margin": "0.06,0.03"},
    "backward": {"shape": "ellipse", "fillcolor": "#ffecd9", "color": BACKWARD, "margin": "0.06,0.03"},
    "block": {"fillcolor": "#ffffff", "style": "filled"},
    "tensor": {"fillcolor": "#ffffff"},
    "input": {"fillcolor": "#d4edda"},
    "target": {"fillcolor": "#d4edda"},
    "state": {"fillcolor": "#cfe2ff"},
    "unit": {"shape": "ellipse", "fillcolor": "#cfe2ff", "fontsize": "11"},
    "output": {"fillcolor": "#e2d9f3"},
    "parameter": {"fillcolor": "#fff3cd"},
    "alias": {"fillcolor": "#fff3cd", "style": "filled,dashed", "fontsize": "8", "margin": "0.05,0.03"},
    "gradient": {"fillcolor": "#ffd8a8", "color": BACKWARD},
    "initial": {"fillcolor": "#e2e3e5"},
    "constant": {"fillcolor": "#e2e3e5"},
    "loss": {"shape": "octagon", "fillcolor": "#f8d7da", "style": "filled"},
    "strip": {"fillcolor": "#ffffff", "style": "filled", "color": "#adb5bd"},
    "collect": {"shape": "circle", "fillcolor": GATHERED, "color": GATHERED, "width": "0.08", "height": "0.08"},
    "cell": {"fillcolor": "#f6f8fc", "color": "#9fb3d1", "fontsize": "10"},
    "words": {"shape": "plain", "style": "", "fontsize": "10"},
    "sign": {"shape": "plain", "style": "", "fontsize": "28"},
}
LONGEST_TOOLTIP = 3000  # Graphviz reads no text of more than 16384 bytes
FONT = "Helvetica,Arial,sans-serif"


def to_dot(picture: Picture) -> str:
    """The DOT text of a picture; the same picture always gives the same text."""
    layout = placed(picture) if any(box.at for box in picture.boxes) else framed(picture) if picture.in_row else None
    words = text(layout.title, "l") if layout else text(picture.title.split("\n"))
    title = {"label": words, "tooltip": text([picture.title or "graph"])}
    how = {"layout": "nop2", "outputorder": "nodesfirst"} if layout else {"rankdir": "LR", "newrank": "true"}
    if layout:
        x, y = layout.title_at
        title |= {"lp": f"{x:g},{y:g}", "bb": ",".join(f"{x:g}" for x in layout.bounds), "fontsize": "11"}
    dot = graphviz.Digraph(
        graph_attr={
            **how, "nodesep": "0.12", "ranksep": "0.22", "fontname": FONT, "fontsize": "12", "labelloc": "t", "labeljust": "l",
            **title,
        },
        node_attr={
            "shape": "box", "style": "filled,rounded", "fontname": FONT, "fontsize": "9", "height": "0.2", "width": "0.2",
            "margin": "0.07,0.04", "color": INK, "fontcolor": INK, "penwidth": "0.8",
        },
        edge_attr={
            "arrowsize": "0.5", "color": INK, "penwidth": "0.8", "fontname": FONT, "fontsize": "8", "fontcolor": INK,
        },
    )  # fmt: skip
    write(dot, picture, layout)
    return str(dot.source)


def write(dot: graphviz.Digraph, part: Picture | Group, layout: Layout | None) -> None:
    for box in sorted(part.boxes, key=lambda box: box.role != "cell"):  # frames first: the others stand on them
        if layout:
            write_placed(dot, box, layout)
        else:
            dot.node(box.id, **box_attributes(box))
    for group in part.groups:
        with dot.subgraph(name=f"cluster_{group.id}") as cluster:
            attributes = group_attributes(group)
            if layout and group.id in layout.frames:
                left, bottom, right, top = layout.frames[group.id]
                where = (left + 8 + 2.7 * len(group.title), top - 9)
                attributes |= {"bb": f"{left:g},{bottom:g},{right:g},{top:g}", "lp": f"{where[0]:g},{where[1]:g}"}
            cluster.attr(**attributes)
            write(cluster, group, layout)
    for arrow in part.arrows:
        attributes = arrow_attributes(arrow)
        ends = (arrow.source, arrow.target)
        if layout:
            way, label = layout.arrows[id(arrow)]
            attributes |= {"pos": way} | ({"lp": label} if "label" in attributes else {})
            attributes.pop("dir", None)
        elif arrow.back:
            ends = (arrow.target, arrow.source)
        dot.edge(*ends, **attributes)


def write_placed(dot: graphviz.Digraph, box: Box, layout: Layout) -> None:
    """A box at its place; a strip as the pieces it is made of."""
    x, y, width, height = layout.boxes[box.id]
    if not box.pieces:
        framing = {"label": ""} if box.role == "cell" else {}
        dot.node(box.id, **{**box_attributes(box), **framing, **at(x, y, width, height)})
        if framing:  # its title, at the upper left
            words = {**LOOKS["words"], "label": text(box.lines), "tooltip": " "}
            left = x - width / 2 + 9 + 2.6 * max(map(len, box.lines))
            dot.node(f"{box.id}_title", **words, pos=f"{left:g},{y + height / 2 - 10:g}")
        return
    dot.node(box.id, **{**LOOKS["strip"], "label": "", "tooltip": text(box.lines), **at(x, y, width, height)})
    for i, (piece, place) in enumerate(zip(box.pieces, layout.pieces[box.id], strict=True)):
        colour = "#ffffff" if piece.heat is None else heat_colour(piece.heat)
        look = {"label": "", "tooltip": text([piece.tooltip]), "style": "filled", "fillcolor": colour, "penwidth": "0"}
        dot.node(f"{box.id}_{i}", **look, **at(*place))
    if box.lines:
        words = {"label": text([" ".join(box.lines)]), "shape": "plain", "style": "", "fontsize": "8", "tooltip": " "}
        dot.node(f"{box.id}_words", **words, pos=f"{x:g},{y - height / 2 - 8:g}")


def at(x: float, y: float, width: float, height: float) -> dict[str, str]:
    size = {"width": f"{width / 72:.4f}", "height": f"{height / 72:.4f}", "fixedsize": "true"}
    return {"pos": f"{x:g},{y:g}", **size}


def group_attributes(group: Group) -> dict[str, str]:
    if not group.framed:
        return {"label": "", "peripheries": "0"}
    attributes = {
        "label": text([group.title]),
        "tooltip": text([group.title]),
        "fontsize": "11",
        "style": "filled,rounded",
        "fillcolor": "#fff8f0" if group.backward else "#f6f8fc",
    }
    if group.repeated:
        return {**attributes, "color": "#7a93b8", "penwidth": "1.2", "peripheries": "2", "labeljust": "r"}
    return {**attributes, "color": "#e3b98a" if group.backward else "#c5cfdf", "penwidth": "0.8"}


def box_attributes(box: Box) -> dict[str, str]:
    attributes = {
        "label": text(box.lines),
        "tooltip": tooltip(box.tooltip or " ".join(box.lines)),
        **LOOKS[box.role],
    }
    if box.role in ("op", "backward") and len(box.lines) > 2:
        attributes["shape"] = "box"  # an ellipse around as many lines is mostly empty
    if box.track:
        attributes["group"] = box.track
    if box.heat is not None:
        attributes["fillcolor"] = heat_colour(box.heat)
        attributes["fontcolor"] = "#ffffff" if box.heat > 0.5 else INK
    if box.emphasis == "strong":
        attributes |= {"color": "#c2255c", "penwidth": "2"}
    elif box.emphasis == "faint":
        attributes |= {"color": FAINT, "fontcolor": "#868e96", "fillcolor": "#ffffff"}
    return attributes


def arrow_attributes(arrow: Arrow) -> dict[str, str]:
    if arrow.role == "order":
        return {"style": "invis", "minlen": "2"}  # the rank between is for the leaves that the op reads
    attributes: dict[str, str] = {}
    if arrow.role == "gathered":
        attributes |= {"color": GATHERED, "penwidth": "1.2"}
    if arrow.role == "backward":
        attributes |= {"color": BACKWARD}
    if arrow.role == "cut":
        attributes |= {
            "style": "dashed",
            "color": "#868e96",
            "label": "✂",
            "fontsize": "14",
            "tooltip": "detached: no gradient comes back",
        }
    if arrow.role in ("recurrent", "loop"):
        attributes |= {"color": RECURRENT, "penwidth": "1.6"}
    if arrow.role in ("loop", "sum loop"):
        colour = RECURRENT if arrow.role == "loop" else GATHERED
        attributes |= {"constraint": "false", "color": colour, "fontcolor": colour}
    if arrow.role == "first":
        attributes |= {"style": "dashed"}
    if arrow.straight:
        attributes["weight"] = "100"
    if arrow.label:
        attributes["label"] = text([arrow.label])
    if arrow.operand:
        attributes["taillabel" if arrow.back else "headlabel"] = text([arrow.operand])
        attributes["labeldistance"] = "1.2"
    if arrow.heat is not None:
        attributes |= {"color": heat_colour(max(arrow.heat, 0.15)), "penwidth": f"{0.6 + 3.4 * arrow.heat:.2f}"}
    if arrow.back:
        attributes["dir"] = "back"
    if arrow.emphasis == "strong":
        attributes |= {"color": "#c2255c", "penwidth": "2"}
    elif arrow.emphasis == "faint":
        attributes |= {"color": FAINT}
    return attributes


def heat_colour(heat: float) -> str:
    """From near white at 0 to dark blue at 1, one hue, growing darker evenly."""
    light, dark = (247, 251, 255), (8, 48, 107)
    share = min(max(heat, 0.0), 1.0)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(light, dark, strict=True))


def printable(line: str) -> str:
    return without_controls(" ".join(line.split()))


def without_controls(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)


def tooltip(text: str) -> str:
    """A tooltip, with the blanks that code begins with."""
    text = text if len(text) <= LONGEST_TOOLTIP else f"{text[:LONGEST_TOOLTIP]} ..."
    lines = map(without_controls, text.split("\n"))
    return str(graphviz.nohtml("\\n".join(map(graphviz.escape, lines))))


def text(lines: list[str], align: str = "n") -> str:
    """Lines as a DOT label, centred or with "l" at the left: nothing in them is taken for markup or an escape."""
    blank = " " * (len(lines) > 1)  # Graphviz may crash on a label whose first line is empty
    escaped = [graphviz.escape(printable(line)) or blank for line in lines]
    joined: str = graphviz.nohtml("\\n".join(escaped) if align == "n" else "".join(f"{line}\\l" for line in escaped))
    return joined
