"""The parts of the page of a training that need no script: the loss by update, and the gradient by time step and snapshot."""

from __future__ import annotations

from itertools import groupby

import numpy as np

__all__ = ["LEVELS", "curve", "heat", "ramp", "range_of"]

LEVELS = 16  # of a colour
POINTS = 500  # of a curve
WIDE, HIGH = 1000, 100  # of a curve


def range_of(norms: np.ndarray) -> tuple[float, float]:
    """Return the ends of the logarithmic scale of norms, at least a factor of ten apart; (0.1, 1) if none is positive."""
    some = norms[np.isfinite(norms) & (norms > 0)]
    high = float(some.max(initial=0.0)) or 1.0
    return min(float(some.min(initial=high)), high / 10), high


@np.errstate(divide="ignore", invalid="ignore")
def levels_of(norms: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the colours of norms, from 1 at `low` to LEVELS at `high`; 0 is no colour, for a norm of 0 or NaN."""
    place = (np.log10(norms) - np.log10(low)) / (np.log10(high) - np.log10(low))
    found: np.ndarray = np.where(norms > 0, 1 + np.round(np.clip(np.nan_to_num(place), 0, 1) * (LEVELS - 1)), 0).astype(int)
    return found


def heat(norms: np.ndarray, low: float, high: float) -> str:
    """Return norms (snapshots, T) as SVG, a row for each snapshot, in as many strengths of the text's colour as LEVELS."""
    paths = [""] * (LEVELS + 1)
    for y, row in enumerate(levels_of(norms, low, high).tolist()):
        x = 0
        for level, cells in groupby(row):
            count = len(list(cells))
            paths[level] += f"M{x} {y}h{count}v1h-{count}z"
            x += count
    shapes = "".join(f'<path fill-opacity="{k / LEVELS:.4g}" d="{d}"/>' for k, d in enumerate(paths) if k and d)
    return svg(norms.shape[1], len(norms), f'<g fill="currentColor" shape-rendering="crispEdges">{shapes}</g>')


def ramp() -> str:
    """Return the colours of `heat`, from the smallest norm to the largest."""
    cells = "".join(f'<path fill-opacity="{k / LEVELS:.4g}" d="M{k - 1} 0h1v1h-1z"/>' for k in range(1, LEVELS + 1))
    return svg(LEVELS, 1, f'<g fill="currentColor">{cells}</g>')


def curve(losses: list[float], validation: dict[int, float]) -> tuple[str, float]:
    """Return the loss by update as SVG, with a dot for each validation, and the loss at its upper edge; 0 is the lower one."""
    shown = [x for x in (*losses, *validation.values()) if np.isfinite(x)]
    top = max(shown, default=0.0) or 1.0
    parts = np.array_split(np.array(losses, float), min(POINTS, max(1, len(losses))))
    ends = np.cumsum([len(part) for part in parts])
    wide = WIDE / max(1, len(losses))
    points = [(end - len(part) / 2, part[np.isfinite(part)]) for part, end in zip(parts, ends.tolist(), strict=True)]
    line = "L".join(f"{x * wide:.5g} {height(float(some.mean()), top):.4g}" for x, some in points if some.size)
    dots = "".join(f"M{i * wide:.5g} {height(x, top):.4g}h0" for i, x in validation.items() if np.isfinite(x))
    style = 'fill="none" stroke="currentColor" stroke-linecap="round" vector-effect="non-scaling-stroke"'
    shapes = f'<path {style} stroke-width="1.6" d="M{line or "0 0"}"/>'
    return svg(WIDE, HIGH, shapes + (f'<path {style} stroke-width="5" d="{dots}"/>' if dots else "")), top


def height(loss: float, top: float) -> float:
    return HIGH * (1 - max(0.0, loss / top))


def svg(wide: int, high: int, inside: str) -> str:
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" preserveAspectRatio="none"'
    return f'{start} aria-hidden="true">{inside}</svg>'
