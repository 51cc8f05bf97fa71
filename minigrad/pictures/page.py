"""A drawing as one web page that needs nothing else: the picture, and the values that flow through it, forward and backward.

Values, cotangents, rules and the gradients that they sent are written into the page as JSON, deflated, in order of time;
``page.js`` plays it on what ``picture.js`` shows. The picture is in a ``noscript`` element, which a browser without scripts
shows; the script copies it into the page, column by column, as far as it is in sight. The page may run no script but its own,
by its hash.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..broadcasting import unbroadcast
from ..debugging import ORIGINS
from ..errors import GraphFreedError, RendererMissing, RenderError
from ..explaining import rule_text
from ..graph import Leaf, Node, ancestors
from ..graph_view import Graph
from ..norms import norm
from ..sweep import reverse
from ..watch import Watch
from .annotations import step_of
from .dot import printable
from .inline import compact
from .known_values import values_saved, values_that_follow
from .layout import Layout
from .picture import Picture
from .render import render
from .svg import in_columns
from .theme import HEATS, RAMPS, ink_on, shade
from .web import as_json, deflated, filled, head, sources

__all__ = ["Playback", "Shown", "own_boxes", "page"]

PRINTED = 64  # elements that are written one by one
COLOURED = 1024  # elements that are shown as a colour each
LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxy"  # of these colours, from -1 over 0, the middle, to 1
MOST_ROOTS = 4
ITSELF = 0  # in the place of what a rule sent: the gradient of its node; nothing is written where it is all of its operand's


# A notebook shows the page in a frame, which may be hidden at first: then nothing in it has a size yet that can be measured.
_STARTS = """\
if (self === top) start();
else new ResizeObserver((_, sizes) => { if (innerWidth) { sizes.disconnect(); start(); } }).observe(document.documentElement);
"""


class Shown(NamedTuple):
    """The boxes, names and steps of the nodes in a picture."""

    where: Mapping[Node, list[str]]  # the boxes of each
    names: Mapping[Node, str]
    parts: Mapping[Node, tuple[str, str]] = {}  # what can be folded: id, and a title
    steps: Mapping[Node, int] = {}  # in time; of others by their scope


@dataclass
class Playback:
    """The graph that a page plays on its picture."""

    graph: Graph
    roots: list[Node] | None = None  # where the backward passes begin; of None at the outputs
    known: Mapping[Node, Any] = field(default_factory=dict)  # values that somebody holds, of leaves above all
    shown: Callable[[], Shown] | None = None  # called when a page is made; of None what `Builder` makes
    notes: tuple[str, ...] = ()  # said above the picture


def page(
    source: str, picture: Picture | None, layout: Layout | None, playback: Playback | None, *, timeout: float = 60.0
) -> str:
    """The page, as HTML. Where the layout is not known and there is no renderer, the nodes are listed.

    >>> text = page("digraph {a -> b}", None, None, None)
    >>> text.startswith("<!doctype html>"), "http://" in text.replace("http://www.w3.org/", "")
    (True, False)
    """
    nothing = "This page has a picture and nothing to play: it was not drawn from one recorded graph."
    notes = list(playback.notes) if playback else [nothing]
    data: dict[str, Any] = recorded(playback, picture, notes) if playback else {"nodes": []}
    if picture is not None and layout is not None:
        drawn, data["columns"] = in_columns(picture, layout, {id for node in data["nodes"] for id in node.get("boxes", ())})
    else:
        try:
            drawn = compact(render(source, "svg", timeout=timeout).decode("utf-8"))
        except (RendererMissing, RenderError) as error:
            drawn = ""
            notes.append(f"There is no picture, the nodes are listed instead: {str(error).splitlines()[0]}")
    title, _, more = (picture.title if picture else "").partition("\n")
    data |= {"title": title, "groups": groups(picture), "notes": notes, "legend": picture and picture.legend}
    names = ("inflate.js", "picture.js", "page.js", "colours.css", "page.css", "page.html")
    inflate, moves, plays, shared, style, frame = sources("minigrad.pictures", *names)
    script = f'"use strict";\n{{\n{inflate}const start = async () => {{\n{moves}\n{plays}}};\n{_STARTS}}}\n'
    heading = html.escape(printable(title)[:300] or "A recorded graph")
    parts = {
        "head": head(heading, shared + style + colours(), script, inline_styles=True), "title": heading,
        "more": html.escape(printable(more.replace("\n", "  "))[:1000]),
        "script": script, "picture": drawn, "data": deflated(as_json(data).encode()),
    }  # fmt: skip
    return filled(frame, parts)


def colours() -> str:
    """The colours of sizes and of the letters on them, for the colour bar and for what is folded, in light and in dark."""

    def those(dark: bool) -> str:
        each = [f"--k{k}:{shade(k / (HEATS - 1), dark)};--i{k}:{ink_on(k, dark)}" for k in range(HEATS)]
        return f":root{{--ramp:{','.join(RAMPS[dark])};{';'.join(each)}}}"

    return f"{those(False)}@media screen and (prefers-color-scheme:dark){{{those(True)}}}"


# -- what was computed -----------------------------------------------------------------------------------------


def recorded(playback: Playback, picture: Picture | None, notes: list[str]) -> dict[str, Any]:
    """The nodes and the backward passes, as JSON takes them; what is missing is said in the notes."""
    graph, rules = playback.graph, dict[str, int]()
    shown = playback.shown() if playback.shown else Shown(own_boxes(graph, picture), {})
    order = in_time(graph, shown)
    back = backward_passes(playback, order, rules, notes)
    values = values_of(playback)
    missing = sum(node not in values for node in graph)
    if missing and back:
        notes.append(
            f"{missing} of {len(graph)} values are not known: no rule needs them, so nothing kept them. "
            "Name the tensors, as in draw(..., names=locals()), and what follows from them is computed."
        )
    nodes = [entry(graph, node, shown, values.get(node), not back) for node in graph]
    ops = {node.op.name: [*node.op.operands, node.op.kind == "elementwise"] for node in graph if node.op is not None}
    places: dict[Any, int] = {}  # most nodes share theirs with others
    for node in nodes:
        node["place"] = places.setdefault(node["place"], len(places))
    at = [graph.index[x] for x in order]
    return {"nodes": nodes, "order": at, "back": back, "rules": list(rules), "ops": ops, "places": list(places)}


def in_time(graph: Graph, shown: Shown) -> list[Node]:
    """The nodes in the order in which they are played, step after step: each named result right after what led to it."""
    steps: dict[Node, int] = {}
    for node in graph:
        own = shown.steps.get(node, step_of(node))
        steps[node] = max((steps[x] for x in node.parents), default=-1) if own is None else own
    results = [node for node in graph if node.op is not None]
    named = [node for node in results if node in shown.names or node.name]
    order: dict[Node, None] = {}
    for goal in [*sorted(named, key=lambda node: (steps[node], node.number)), *results, *graph]:
        waiting = [goal]
        while waiting:
            node = waiting[-1]
            missing = [x for x in node.parents if x not in order]
            waiting.extend(sorted(missing, key=lambda x: x.number, reverse=True))
            if not missing:
                order[waiting.pop()] = None
    return list(order)


def entry(graph: Graph, node: Node, shown: Shown, value: np.ndarray | None, left: bool) -> dict[str, Any]:
    """A node as JSON takes it; with the gradient that an earlier backward pass has `left` in a leaf."""
    said = {
        "name": node.name or "", "label": shown.names.get(node, ""), "expr": graph.expression(node),
        "shape": list(node.shape), "place": (str(node.dtype), str(node.scope or "")),
        "t": shown.steps.get(node, step_of(node)), "boxes": shown.where.get(node, []),
        "from": [graph.index[x] for x in node.parents], "value": None if value is None else packed(value),
        "left": packed(node.grad) if left and isinstance(node, Leaf) and node.grad is not None else None,
        "part": shown.parts.get(node), "line": ORIGINS[node].line if node in ORIGINS else "",
    }  # fmt: skip
    return {key: x for key, x in said.items() if key == "shape" or x not in ("", [], None)}


def backward_passes(playback: Playback, order: list[Node], rules: dict[str, int], notes: list[str]) -> list[dict[str, Any]]:
    """The sweeps from the first results, one after the other, against the order; none if the graph was freed."""
    graph = playback.graph
    roots = [root for root in (graph.outputs if playback.roots is None else playback.roots) if root.requires_grad]
    if len(roots) > MOST_ROOTS:
        notes.append(f"Of {len(roots)} results the backward passes of the first {MOST_ROOTS} are played.")
    try:
        return [step for root in roots[:MOST_ROOTS] for step in sweep(graph, root, order[::-1], rules)]
    except GraphFreedError:
        notes.append(
            "There is no backward pass to play, and few values: backward() has freed what was saved. "
            "Save the page before it, or call backward(retain_graph=True)."
        )
        return []


class Sent(Watch):
    """The gradient that every rule of a sweep sends to its operand."""

    def __init__(self) -> None:
        self.parts: dict[tuple[Node, int], Any] = {}

    def sent(self, node: Node, i: int, g: Any, part: Any) -> None:
        self.parts[node, i] = part


def sweep(graph: Graph, root: Node, order: list[Node], rules: dict[str, int]) -> list[dict[str, Any]]:
    """The reverse sweep from `root`, node by node in this order, with what each rule sent."""
    every = set(ancestors([root]))
    sent = Sent()
    found = reverse(root, np.ones(root.shape, root.dtype), every, retain=True, watch=[sent])
    uses: dict[Node, int] = {}
    for node in found:
        for operand in node.operands:
            if operand in every:
                uses[operand] = uses.get(operand, 0) + 1
    sums: dict[Node, Any] = {}
    texts: dict[tuple[Any, int], int] = {}
    steps = []
    with np.errstate(all="ignore"):
        for node in (node for node in order if node in found):
            g, parts = found[node], []
            for i, operand in enumerate(node.operands):
                if operand not in every:
                    continue
                which = 0 if node.op.variadic else i
                part = unbroadcast(np.asarray(sent.parts[node, i]), operand.shape).astype(operand.dtype)
                if (node.op, which) not in texts:
                    texts[node.op, which] = rules.setdefault(rule_text(node, i), len(rules))
                said: dict[str, Any] = {"to": graph.index[operand], "rule": texts[node.op, which]}
                if not same(part, found[operand]):
                    said["sent"] = ITSELF if same(part, g) else packed(part)
                if uses[operand] > 1:
                    sums[operand] = sums[operand] + part if operand in sums else part
                    said["sum"] = digits(norm(sums[operand]), 9)
                parts.append(said)
            step: dict[str, Any] = {"node": graph.index[node], "g": packed(g), "parts": parts}
            if node is root:
                step["root"] = True
            if node.hooks:
                step["hooked"] = True
            steps.append(step)
    return steps


def same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def values_of(playback: Playback) -> dict[Node, np.ndarray]:
    """Values that were saved for the rules or are held by somebody, and those that the ops compute from them."""
    return values_that_follow(playback.graph, {**playback.known, **values_saved(playback.graph)})


def packed(array: Any) -> dict[str, Any]:
    """An array for JSON: its norm, and its elements, or their least, mean and greatest, and colours.

    Elements are written in base64, as little-endian float32, without the zeros at both ends; as decimals where float32 would
    overflow or underflow.

    >>> packed(np.array([[3.0, -4.0]])), packed(np.array([0, 1e-50]))
    ({'norm': 5.0, 'values': 'AABAQAAAgMA='}, {'norm': 1e-50, 'values': [0.0, 1e-50]})
    >>> packed(np.array([0.0, 0.0, 2.0, 0.0, 0.0]))
    {'norm': 2.0, 'values': 'AAAAQA==', 'zeros': [2, 2]}
    """
    x = np.asarray(array)
    flat = x.ravel().astype(float)
    with np.errstate(all="ignore"):
        said: dict[str, Any] = {"norm": digits(norm(flat), 17)}
        if x.size <= PRINTED:
            short = flat.astype("<f4")
            if not np.isclose(flat, short, rtol=1e-7, atol=0, equal_nan=True).all():
                return {**said, "values": [digits(v) for v in flat]}
            there = np.flatnonzero(short)
            first, last = (there[0], there[-1] + 1) if there.size else (0, 0)
            zeros = [int(first), int(x.size - last)]
            said["values"] = base64.b64encode(short[first:last].tobytes()).decode()
            return said | ({"zeros": zeros} if any(zeros) else {})
        said |= {"min": digits(flat.min()), "mean": digits(flat.mean()), "max": digits(flat.max())}
        if x.size <= COLOURED:
            top = np.abs(flat[np.isfinite(flat)]).max(initial=0.0) or 1.0
            middle = len(LEVELS) // 2
            levels = np.nan_to_num(np.clip(flat / top, -1, 1) * middle).round().astype(int) + middle
            letters = "".join(LEVELS[v] for v in levels)
            said["colours"] = re.sub(r"(.)\1{2,}", lambda run: f"{run[1]}{len(run[0])}", letters)  # ZZZZ is Z4
    return said


def digits(v: Any, count: int = 7) -> float | str:
    """A number with so many digits; JSON has no NaN and no infinity, they are words."""
    return float(f"{v:.{count}g}") if np.isfinite(v) else str(float(v))


def own_boxes(
    graph: Graph, picture: Picture | None, twins: Mapping[Node, Node] = MappingProxyType({})
) -> dict[Node, list[str]]:
    """The boxes that `Builder` makes for each node, by their ids: n of an op, v of a value, p of a parameter in a step; and
    those of its twin, the node that is drawn in its place in a folded picture."""
    found: dict[Node, list[str]] = {}
    for box in picture.all_boxes() if picture else []:
        if numbers := re.match(r"[nvp](\d+(?:_\d+)*)(_|$)", box.id):
            for number in numbers[1].split("_"):
                found.setdefault(graph.nodes[int(number)], []).append(box.id)
        for number in box.also:
            found.setdefault(graph.nodes[number], []).append(box.id)
    return found | {node: [*found.get(twin, []), *found.get(node, [])] for node, twin in twins.items() if twin is not node}


def groups(picture: Picture | None) -> list[dict[str, Any]]:
    """The frames, and the boxes in them."""
    if picture is None:
        return []
    found = []
    for group in picture.all_groups():
        if group.framed:
            boxes = Picture(groups=[group]).all_boxes()
            ids = [[box.id, box.role == "state"] for box in boxes]
            found.append({"id": group.id, "title": group.title, "steps": picture.in_row, "boxes": ids})
    return found
