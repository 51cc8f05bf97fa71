"""A picture as SVG, straight from where its layout puts everything: without a renderer, and one file for light and dark."""

from __future__ import annotations

import hashlib
import html
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from .copies import copied
from .layout import BAR, BESIDE_BAR, LEADING, TITLE, Layout, Point, Way, rounded
from .picture import Arrow, Box, Group, Picture
from .sizes import ROUND, font, lines_at
from .theme import HEATS, arrow_width, css, heat_class

__all__ = ["in_columns", "to_svg"]

FONT = "Helvetica,Arial,sans-serif"
BARE = ("words", "sign")


def to_svg(picture: Picture, layout: Layout) -> str:
    """The SVG text; the same picture always gives the same."""
    return Writer(picture, layout, None).text()


def in_columns(picture: Picture, layout: Layout, played: Collection[str]) -> tuple[str, list[list[str]]]:
    """The SVG for a page that plays it, which has a title and a legend of its own, and tooltips for these boxes; and of each
    column the ids in it, which the SVG leaves out."""
    writer = Writer(picture, layout, played)
    return writer.text(), writer.ids


class Writer:
    """An SVG being written."""

    def __init__(self, picture: Picture, layout: Layout, played: Collection[str] | None) -> None:
        self.picture, self.layout, self.in_page, self.played = picture, layout, played is not None, played or ()
        self.used: set[str] = set()
        self.ids: list[list[str]] = []
        self.heats = picture.legend is not None
        said = repr((picture.title, sorted(layout.boxes.items()), [box.lines for box in picture.all_boxes()]))
        # The styles of several pictures in a page stay apart; the page that plays one has no other.
        self.prefix = "p-" if self.in_page else f"m{hashlib.sha256(said.encode()).hexdigest()[:6]}-"

    def text(self) -> str:
        left, bottom, right, top = self.layout.bounds
        if self.in_page and self.layout.title:
            top -= LEADING * len(self.layout.title) + 6
        inside = "\n".join(['<g class="graph">', *self.inside(), "</g>"])
        p, width, height = self.prefix, right - left, top - bottom
        more = (  # in a page the rules have no ancestors, which the copies of a pattern do not have either
            f".{p}svg{{text-anchor:middle;stroke-linejoin:round}}[class^={p}l-]{{fill:none}}"
            f".{p}start{{text-anchor:start}}.{p}end{{text-anchor:end}}"
            f".{p}alias{{stroke-dasharray:3 2}}.{p}dashed{{stroke-dasharray:4 3}}"
            if self.in_page
            else f".{p}svg text{{text-anchor:middle;stroke:none}}.{p}svg path{{fill:none;stroke-linejoin:round}}"
            f".{p}svg .{p}start{{text-anchor:start}}.{p}svg .{p}end{{text-anchor:end}}"
            f".{p}svg .{p}alias{{stroke-dasharray:3 2}}.{p}svg .{p}dashed{{stroke-dasharray:4 3}}"
        )
        style = f"<style>{css(p, self.used, self.heats, 'screen and ' if self.in_page else '')}{more}</style>"
        view = f'class="{p}svg" viewBox="{left:.1f} {-top:.1f} {width:.1f} {height:.1f}" font-family="{FONT}"'
        xmlns = 'xmlns="http://www.w3.org/2000/svg"'
        if self.in_page:
            return f'<svg {xmlns} id="picture" {view}>{style}<g id="view">{inside}</g></svg>'
        title = clean(self.picture.title.split("\n")[0] or "A graph of operations")
        about = f'<title id="{p}title">{title}</title><desc id="{p}desc">{clean(self.described())}</desc>'
        ground = f'<rect class="{p}background" x="{left:.1f}" y="{-top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        said = f'role="img" aria-labelledby="{p}title {p}desc"'
        head = f'<svg {xmlns} width="{width:.0f}" height="{height:.0f}" {view} {said}>'
        return "\n".join([head, about, style, ground, inside, "</svg>\n"])

    def described(self) -> str:
        """A description of the picture for those who cannot see it."""
        frames = [group.title for group in self.picture.all_groups() if group.framed and group.title]
        states = [" ".join(box.lines) for box in self.picture.all_boxes() if box.role in ("state", "loss", "output")]
        parts = [f"{len(self.picture.all_boxes())} boxes, {len(self.layout.arrows)} arrows"]
        parts += [f"frames: {', '.join(frames[:20])}"] if frames else []
        parts += [f"states, outputs and losses: {', '.join(states[:40])}"] if states else []
        return ". ".join(parts)

    def name(self, *names: str) -> str:
        self.used.update(names)
        return " ".join(f"{self.prefix}{name}" for name in names)

    def inside(self) -> list[str]:
        if self.in_page:  # which has a title and a legend of its own
            return [*self.columns()]
        picture, layout = self.picture, self.layout
        said = []
        for i, line in enumerate(layout.title):
            x, y = layout.title_at
            said.append(self.word(x, y - LEADING * i, line, TITLE, "ink", "start"))
        if picture.legend:
            said += self.legend()
        groups, boxes, arrows = [*picture.all_groups()], picture.all_boxes(), picture.all_arrows()
        return [*said, *self.drawn(groups, boxes, arrows)]

    def drawn(self, groups: Iterable[Group], boxes: Sequence[Box], arrows: Iterable[Arrow]) -> Iterator[str]:
        """Frames, cells, arrows and boxes, each above the ones before it."""
        ways = self.layout.arrows
        yield from (self.frame(group) for group in groups if group.id in self.layout.frames)
        yield from (self.box(box) for box in boxes if box.role == "cell")
        kept = [arrow for arrow in arrows if id(arrow) in ways]
        yield from map(self.arrow, sorted(kept, key=lambda arrow: arrow_width(arrow, ways[id(arrow)].role)))
        yield from (self.box(box) for box in boxes if box.role != "cell")

    def columns(self) -> Iterator[str]:
        """The picture in parts from left to right, for a page that shows only those in sight; and what belongs to none."""
        whole, (parts, rest) = self.layout, self.parts()
        written = []
        for part in parts:
            left = min((x - w / 2 for x, _, w, _ in (whole.boxes[box.id] for box in part[1])), default=0.0)
            self.layout = whole.moved(-left, *part)
            written.append((left, "".join(self.drawn(*part))))
        self.layout = whole
        patterns, columns, self.ids = copied(written)
        yield f"<defs>{''.join(patterns)}</defs>"
        yield from columns
        yield from self.drawn([], self.picture.boxes, rest)

    def parts(self) -> tuple[list[tuple[list[Group], list[Box], list[Arrow]]], list[Arrow]]:
        """What is in each group, with the arrows to it from the one before; and the arrows that are longer."""
        picture = self.picture
        home: dict[str, int] = {}
        parts = []
        for k, group in enumerate(picture.groups):
            column = Picture(groups=[group])
            home |= {box.id: k for box in column.all_boxes()}
            parts.append(([*column.all_groups()], column.all_boxes(), column.all_arrows()))
        rest: list[Arrow] = []
        for arrow in picture.arrows:
            ends = [home.get(arrow.source, -9), home.get(arrow.target, -9)]
            (parts[max(ends)][2] if min(ends) >= 0 and max(ends) - min(ends) < 2 else rest).append(arrow)
        return parts, rest

    def frame(self, group: Group) -> str:
        x, y, w, h = self.layout.frames[group.id]
        look = self.name("back-frame" if group.backward else "frame")
        shapes = [rectangle(look, x, y, w, h, 9.0)]
        if group.repeated:
            shapes.append(rectangle(look, x, y, w - 5, h - 5, 7.0))
        shapes.append(self.word(x - w / 2 + 10, y + h / 2 - 16, group.title, 11.5, "pale", "start"))
        return f'<g class="cluster" data-group="{clean(group.id)}">{"".join(shapes)}</g>'

    def legend(self) -> list[str]:
        """The colour bar, at the top right, with both ends of its scale."""
        assert self.picture.legend is not None
        words, low, high = self.picture.legend
        _, _, right, _ = self.layout.bounds
        x, y = right - BAR - BESIDE_BAR, self.layout.title_at[1]
        each = BAR / HEATS
        said = [
            f'<rect class="{self.name(f"k{k}")}" x="{x + k * each:.1f}" y="{-y - 9:.1f}" width="{each + 0.3:.1f}" height="10"/>'
            for k in range(HEATS)
        ]
        said.append(self.word(x - 4, y, low, 9, "pale", "end"))
        said.append(self.word(x + BAR + 4, y, high, 9, "pale", "start"))
        return [*said, self.word(x - BESIDE_BAR, y, words, 10, "pale", "end")]

    def box(self, box: Box) -> str:
        heat = "" if box.heat is None or box.emphasis == "faint" else self.heat(box.heat)
        title = "" if box.id in self.played else f"<title>{clean(box.tooltip or ' '.join(box.lines))}</title>"
        inside = "".join([title, self.outline(box, heat), *self.pieces(box), *self.lines(box, heat)])
        if box.link and not self.in_page:
            inside = f'<a href="#{self.prefix}{clean(box.link)}">{inside}</a>'
        id = "" if self.in_page else f' id="{self.prefix}{clean(box.id)}"'
        return f'<g class="node"{id} data-box="{clean(box.id)}">{inside}</g>'

    def heat(self, heat: float) -> str:
        self.heats = True
        return str(heat_class(heat))

    def outline(self, box: Box, heat: str) -> str:
        x, y, w, h = self.layout.boxes[box.id]
        look = self.name(*filter(None, (box.role, heat and f"k{heat}", box.emphasis)))
        if box.role in ROUND and len(box.lines) < 3:
            return f'<ellipse class="{look}" cx="{x:.1f}" cy="{-y:.1f}" rx="{w / 2:.1f}" ry="{h / 2:.1f}"/>'
        corner = 2.0 if box.role in ("alias", "constant", "strip") else 7.0
        return "" if box.role in BARE else rectangle(look, x, y, w, h, corner)

    def pieces(self, box: Box) -> Iterator[str]:
        for piece, (x, y, w, h) in zip(box.pieces, self.layout.pieces.get(box.id, ()), strict=True):
            look = self.name("strip" if piece.heat is None else f"k{self.heat(piece.heat)}")
            at = f'x="{x - w / 2:.2f}" y="{-y - h / 2:.1f}" width="{w:.2f}" height="{h:.1f}"'
            yield f'<rect class="{look}" stroke="none" {at}><title>{clean(piece.tooltip)}</title></rect>'

    def lines(self, box: Box, heat: str) -> list[str]:
        """The text of a box: below a strip, at the foot of a cell, in the middle of others."""
        x, y, w, h = self.layout.boxes[box.id]
        if box.pieces:
            return [self.word(x, y - h / 2 - 9, " ".join(box.lines), 8, "pale")] if box.lines else []
        if box.role == "cell":
            return [self.word(x - w / 2 + 8, y - h / 2 + 6, line, font(box), "pale", "start") for line in box.lines[:1]]
        ink = "faint-ink" if box.emphasis == "faint" else heat and f"i{heat}"
        inks = [ink or ("ink" if i == 0 or box.role == "alias" else "pale") for i in range(len(box.lines))]
        each = enumerate(zip(box.lines, lines_at(box), inks, strict=True))
        return [self.word(x, y - down, line, font(box, i), ink) for i, (line, down, ink) in each]

    def arrow(self, arrow: Arrow) -> str:
        way = self.layout.arrows[id(arrow)]
        name, width = (arrow.emphasis or way.role or arrow.role).replace(" ", "-"), arrow_width(arrow, way.role)
        self.used.add(f"line {name}")
        points, head = with_head(way.points, 5.5 + 0.7 * width)
        dashed = f" {self.prefix}dashed" if arrow.role in ("first", "cut") else ""
        p = self.prefix
        wide = "" if self.in_page and width == 1.1 else f' stroke-width="{width:.1f}"'  # of most
        shapes = [f'<path class="{p}l-{name}{dashed}"{wide} d="{path(points)}"/>']
        shapes.append(f'<polygon class="{p}h-{name}" points="{" ".join(f"{x:.1f},{-y:.1f}" for x, y in head)}"/>')
        if arrow.label:
            x, y = way.label_at
            shapes.append(self.word(x, y, arrow.label, 14 if arrow.role == "cut" else 9.5, "pale"))
        if arrow.operand:
            shapes.append(self.word(*self.beside_tip(arrow, way), arrow.operand, 7.5, "pale"))
        ends = f'data-from="{clean(arrow.source)}" data-to="{clean(arrow.target)}"'
        return f'<g class="edge" {ends}>{"".join(shapes)}</g>'

    def beside_tip(self, arrow: Arrow, way: Way) -> Point:
        """The place for the number of an operand: next to the head of its arrow, away from the others."""
        (x, y), (u, v) = way.points[-2:]
        if abs(v - y) > abs(u - x):
            outward = 1 if u > self.layout.boxes[arrow.target][0] + 0.1 else -1
            return u + 5 * outward, v - (8 if v > y else -2)
        return u - 8 * (1 if u > x else -1), v + 4

    def word(self, x: float, y: float, text: str, points: float, *names: str) -> str:
        return f'<text class="{self.name(*names)}" x="{x:.1f}" y="{-y:.1f}" font-size="{points:g}">{clean(text)}</text>'


def clean(text: str) -> str:
    """Text as XML takes it: nothing in it is markup, what cannot be printed is a blank."""
    return html.escape("".join(c if c.isprintable() or c == "\n" else " " for c in text))


def rectangle(look: str, x: float, y: float, w: float, h: float, corner: float) -> str:
    at = f'x="{x - w / 2:.1f}" y="{-y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}"'
    return f'<rect class="{look}" {at} rx="{corner:g}"/>'


def with_head(points: list[Point], length: float) -> tuple[list[Point], list[Point]]:
    """A way that ends under its head, and the corners of the head."""
    (x, y), (u, v) = points[-2], points[-1]
    whole = math.dist((x, y), (u, v)) or 1.0
    length = min(length, max(3.5, 0.8 * whole))
    a, b = (u - x) / whole, (v - y) / whole
    m, n, half = u - a * length, v - b * length, 0.38 * length
    return [*points[:-1], (u - 0.8 * a * length, v - 0.8 * b * length)], [
        (u, v),
        (m - b * half, n + a * half),
        (m + b * half, n - a * half),
    ]


def path(points: list[Point]) -> str:
    """The way with rounded corners."""
    said = [f"M{points[0][0]:.1f},{-points[0][1]:.1f}"]
    for piece in rounded(points):
        said.append("QL"[len(piece) == 1] + " ".join(f"{x:.1f},{-y:.1f}" for x, y in piece))
    return "".join(said)
