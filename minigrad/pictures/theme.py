"""Every colour of a picture, in light and in dark."""

from __future__ import annotations

from .picture import Arrow

__all__ = ["HEATS", "RAMPS", "arrow_width", "colour", "css", "heat_class", "ink_on", "shade"]

# by role: fill and edge in light, fill and edge in dark
BOXES: dict[str, tuple[str, str, str, str]] = {
    "op": ("#ffffff", "#57606a", "#22272e", "#9aa4af"),
    "backward": ("#ffecd9", "#b35900", "#3d2a14", "#e3a35f"),
    "slice": ("#f1f3f5", "#adb5bd", "#2d333b", "#768390"),
    "block": ("#ffffff", "#57606a", "#22272e", "#9aa4af"),
    "tensor": ("#ffffff", "#57606a", "#22272e", "#9aa4af"),
    "constant": ("#eef1f4", "#8a939d", "#2d333b", "#768390"),
    "input": ("#d3f0dc", "#3b7d4f", "#1f4a2e", "#7fce9a"),
    "target": ("#d3f0dc", "#3b7d4f", "#1f4a2e", "#7fce9a"),
    "state": ("#dbe8fb", "#35618f", "#20405f", "#86b6ea"),
    "unit": ("#dbe8fb", "#35618f", "#20405f", "#86b6ea"),
    "initial": ("#e4e7ea", "#6e7781", "#30363d", "#9aa4af"),
    "output": ("#e7defa", "#6b4fb3", "#3a2f5e", "#b9a3ee"),
    "loss": ("#fbdcdc", "#a8464e", "#5a2a2e", "#f09aa0"),
    "collect": ("#b4474f", "#b4474f", "#e8848b", "#e8848b"),
    "parameter": ("#fff4d1", "#a07d1c", "#453812", "#e0be62"),
    "alias": ("#fff4d1", "#a07d1c", "#453812", "#e0be62"),
    "gradient": ("#ffd8a8", "#b35900", "#5a3a10", "#e3a35f"),
    "strip": ("#ffffff", "#adb5bd", "#22272e", "#768390"),
    "cell": ("#eef3fb", "#9fb3d1", "#1b2430", "#4a5f7d"),
}
FRAMES = {"frame": ("#f6f8fb", "#cdd6e1", "#161b22", "#343b45"), "back-frame": ("#fff8f0", "#e3b98a", "#1f1a12", "#6b5231")}
LINES: dict[str, tuple[str, str, float]] = {  # colour in light and dark, width
    "flow": ("#4b535d", "#8b96a2", 1.1),
    "first": ("#4b535d", "#8b96a2", 1.1),
    "recurrent": ("#1769d2", "#5ea1f5", 2.0),
    "loop": ("#1769d2", "#5ea1f5", 2.0),
    "gathered": ("#b4474f", "#e8848b", 1.6),
    "sum loop": ("#b4474f", "#e8848b", 1.6),
    "parameter": ("#a98c3c", "#b79b4c", 0.9),
    "backward": ("#b35900", "#e3a35f", 1.1),
    "cut": ("#868e96", "#6e7781", 1.2),
}
STRONG, FAINT = ("#c2255c", "#f783ac"), ("#ced4da", "#3b434d")
TEXTS = {"ink": ("#1b1f24", "#e6edf3"), "pale": ("#4d5661", "#aab4bf"), "faint-ink": ("#868e96", "#6e7781")}
BACKGROUND = ("#ffffff", "#0d1117")
RAMPS = (
    ("#e8f1fc", "#c6dcf5", "#9cc2eb", "#6ca2dd", "#3f80c8", "#1f5fa8", "#123f78"),
    ("#1c2b3d", "#22405f", "#2a5885", "#3673ad", "#4f93d4", "#80b7ec", "#bfe0ff"),  # more is what stands out
)
HEATS = 16


def shade(heat: float, dark: bool = False) -> str:
    """The colour of a heat from 0 to 1."""
    ramp = RAMPS[dark]
    place = min(max(heat, 0.0), 1.0) * (len(ramp) - 1)
    i = min(int(place), len(ramp) - 2)
    ends = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in ramp[i : i + 2]]
    return "#" + "".join(f"{round(a + (b - a) * (place - i)):02x}" for a, b in zip(*ends, strict=True))


def heat_class(heat: float) -> int:
    return round(min(max(heat, 0.0), 1.0) * (HEATS - 1))


def ink_on(step: int, dark: bool) -> str:
    """The colour of letters on a heat."""
    if dark:
        return "#e6edf3" if step < 10 else "#0d1b2a"
    return "#ffffff" if step > 7 else "#10243c"


def colour(name: str, dark: bool = False, edge: bool = False) -> str:
    """That of a box, a frame or a text."""
    if name in TEXTS:
        return TEXTS[name][dark]
    return (BOXES | FRAMES)[name][2 * dark + edge]


def arrow_width(arrow: Arrow, role: str = "") -> float:
    """State arrows are as wide as the gradient that comes back along them."""
    if arrow.emphasis == "strong":
        return 2.2
    return LINES[role or arrow.role][2] if arrow.heat is None else 1.0 + 3.4 * arrow.heat


def css(prefix: str, boxes: set[str], heats: bool, screen: str = "") -> str:
    """The style of an SVG that serves light and dark: a class for each role that occurs. With ``screen="screen and "`` it is
    printed as in light."""
    both = [rules(prefix, boxes, heats, dark) for dark in (False, True)]
    return f"{both[0]}@media {screen}(prefers-color-scheme:dark){{{both[1]}}}"


def rules(prefix: str, used: set[str], heats: bool, dark: bool) -> str:
    found = [f".{prefix}background{{fill:{BACKGROUND[dark]}}}"]
    for name, colours in (BOXES | FRAMES).items():
        if name in used:
            found.append(f".{prefix}{name}{{fill:{colours[2 * dark]};stroke:{colours[2 * dark + 1]}}}")
    lines = {name.replace(" ", "-"): (light, night) for name, (light, night, _) in LINES.items()}
    for name, pair in (lines | {"strong": STRONG, "faint": FAINT}).items():
        if f"line {name}" in used:
            found.append(f".{prefix}l-{name}{{stroke:{pair[dark]}}}.{prefix}h-{name}{{fill:{pair[dark]}}}")
    found += [f".{prefix}{name}{{fill:{pair[dark]}}}" for name, pair in TEXTS.items()]
    if "strong" in used:
        found.append(f".{prefix}strong{{stroke:{STRONG[dark]};stroke-width:2.2}}")
    if "faint" in used:
        found.append(f".{prefix}faint{{stroke:{FAINT[dark]};fill:{BACKGROUND[dark]}}}")
    if heats:
        for k in range(HEATS):
            found.append(f".{prefix}k{k}{{fill:{shade(k / (HEATS - 1), dark)}}}.{prefix}i{k}{{fill:{ink_on(k, dark)}}}")
    return "".join(found)
