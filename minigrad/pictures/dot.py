"""A picture as DOT text. All that is known of Graphviz' attributes is known here.

The layout recipe, found by trial: ranks go from left to right; ``newrank`` together with invisible edges from the end of
each group to the beginning of the next keeps the groups in one row (without either they become a staircase); the boxes of a
track share a ``group`` and heavy edges, which draws them to one straight line.
"""

from __future__ import annotations

import graphviz

from .picture import Arrow, Box, Group, Picture

__all__ = ["heat_colour", "to_dot"]

INK = "#212529"
RECURRENT = "#0d6efd"
GATHERED = "#b5545f"
LOOKS: dict[str, dict[str, str]] = {
    "op": {"shape": "ellipse", "fillcolor": "#ffffff", "margin": "0.06,0.03"},
    "tensor": {"fillcolor": "#ffffff"},
    "input": {"fillcolor": "#d4edda"},
    "target": {"fillcolor": "#d4edda"},
    "state": {"fillcolor": "#cfe2ff"},
    "output": {"fillcolor": "#e2d9f3"},
    "parameter": {"fillcolor": "#fff3cd"},
    "alias": {"fillcolor": "#fff3cd", "style": "filled,dashed", "fontsize": "8", "margin": "0.05,0.03"},
    "initial": {"fillcolor": "#e2e3e5"},
    "constant": {"fillcolor": "#e2e3e5"},
    "loss": {"shape": "octagon", "fillcolor": "#f8d7da", "style": "filled"},
}
FONT = "Helvetica,Arial,sans-serif"


def to_dot(picture: Picture) -> str:
    """The DOT text of a picture; the same picture always gives the same text."""
    dot = graphviz.Digraph(
        graph_attr={
            "rankdir": "LR", "newrank": "true", "nodesep": "0.12", "ranksep": "0.22", "fontname": FONT, "fontsize": "12",
            "labelloc": "t", "labeljust": "l", "label": text([picture.title]), "tooltip": text([picture.title or "graph"]),
        },
        node_attr={
            "shape": "box", "style": "filled,rounded", "fontname": FONT, "fontsize": "9", "height": "0.2", "width": "0.2",
            "margin": "0.07,0.04", "color": INK, "fontcolor": INK, "penwidth": "0.8",
        },
        edge_attr={
            "arrowsize": "0.5", "color": INK, "penwidth": "0.8", "fontname": FONT, "fontsize": "8", "fontcolor": INK,
        },
    )  # fmt: skip
    for box in picture.boxes:
        dot.node(box.id, **box_attributes(box))
    for group in picture.groups:
        with dot.subgraph(name=f"cluster_{group.id}") as cluster:
            cluster.attr(**group_attributes(group))
            for box in group.boxes:
                cluster.node(box.id, **box_attributes(box))
            for arrow in group.arrows:
                cluster.edge(arrow.source, arrow.target, **arrow_attributes(arrow))
    for arrow in picture.arrows:
        dot.edge(arrow.source, arrow.target, **arrow_attributes(arrow))
    return str(dot.source)


def group_attributes(group: Group) -> dict[str, str]:
    if not group.framed:
        return {"label": "", "peripheries": "0"}
    attributes = {
        "label": text([group.title]),
        "tooltip": text([group.title]),
        "fontsize": "11",
        "style": "filled,rounded",
        "fillcolor": "#f6f8fc",
    }
    if group.repeated:
        return {**attributes, "color": "#7a93b8", "penwidth": "1.2", "peripheries": "2", "labeljust": "r"}
    return {**attributes, "color": "#c5cfdf", "penwidth": "0.8"}


def box_attributes(box: Box) -> dict[str, str]:
    attributes = {"label": text(box.lines), "tooltip": text([box.tooltip or " ".join(box.lines)]), **LOOKS[box.role]}
    if box.track:
        attributes["group"] = box.track
    if box.heat is not None:
        attributes["fillcolor"] = heat_colour(box.heat)
        attributes["fontcolor"] = "#ffffff" if box.heat > 0.5 else INK
    return attributes


def arrow_attributes(arrow: Arrow) -> dict[str, str]:
    if arrow.role == "order":
        return {"style": "invis", "minlen": "2"}  # the rank between is for the leaves that the op reads
    attributes: dict[str, str] = {}
    if arrow.role == "gathered":
        attributes |= {"color": GATHERED, "penwidth": "1.2"}
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
        attributes["headlabel"] = text([arrow.operand])
        attributes["labeldistance"] = "1.2"
    if arrow.heat is not None:
        attributes |= {"color": heat_colour(max(arrow.heat, 0.15)), "penwidth": f"{0.6 + 3.4 * arrow.heat:.2f}"}
    return attributes


def heat_colour(heat: float) -> str:
    """From near white at 0 to dark blue at 1, one hue, growing darker evenly."""
    light, dark = (247, 251, 255), (8, 48, 107)
    share = min(max(heat, 0.0), 1.0)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(light, dark, strict=True))


def text(lines: list[str]) -> str:
    """Lines as a DOT label: nothing in them is taken for markup or an escape."""
    shown = ("".join(c if c.isprintable() else " " for c in " ".join(line.split())) for line in lines)
    joined: str = graphviz.nohtml("\\n".join(graphviz.escape(line) for line in shown))
    return joined
