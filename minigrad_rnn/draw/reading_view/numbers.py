"""The numbers of a reading as its page gets them: levels of colours, packed, and facts about units and features."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...reading import Reading, Unit
from .pack import packed
from .sentences import heading_of

__all__ = ["STEPS", "level", "levels_of", "page_data"]

STEPS = 10  # levels of a state on each side of 0
GATE = 7  # levels of a gate above 0
NAT = 10  # levels of surprise in a nat
PULL = 16  # levels of the saliency above 0
SCALE = 0.985  # this share of a unit's values is within its levels: a few large ones would make the others pale


def levels_of(values: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Return the levels of columns of values, from 0 to 2 STEPS, one row for each, and the size of a step of each row."""
    most = np.maximum(np.quantile(np.abs(values), SCALE, axis=0), 1e-9)
    levels = np.round(np.clip(values / most, -1, 1) * STEPS).T + STEPS
    return levels.astype(np.uint8), [float(f"{m / STEPS:.4g}") for m in most]


def page_data(reading: Reading) -> tuple[dict[str, Any], str]:
    """Return the facts for JSON and the packed matrices."""
    matrices, steps = {}, {}
    for name, state in [*reading.states.items(), ("together", reading.together.values)]:
        matrices[f"state {name}"], steps[name] = levels_of(state)
    gates = {name: a for name, a in reading.gates.items() if a.min() >= 0 and a.max() <= 1}
    for name, gate in gates.items():
        matrices[f"gate {name}"] = np.round(gate * GATE).T
    saliency = np.nan_to_num(reading.saliency)
    matrices |= {
        "surprise": np.minimum(255, np.round(np.nan_to_num(reading.surprise) * NAT))[None],
        "guesses": reading.guesses & 255,
        "guesses high": reading.guesses >> 8,
        "probabilities": np.round(reading.probabilities * 100),
        "saliency": np.round(PULL * np.sqrt(saliency / np.maximum(saliency.max(1, initial=0, keepdims=True), 1e-30))),
        "correlations": np.concatenate([np.round(r * 100) + 100 for r in reading.correlations.values()]),
    }
    places, data = packed(matrices)
    lags = mean_lags(saliency)
    headings = [heading_of(reading, unit) for unit in reading.units]
    names = [*reading.features]
    return {
        "text": reading.text, "symbols": reading.alphabet.symbols, "places": places,
        "states": [*reading.states], "steps": steps, "scale": {"state": STEPS, "gate": GATE, "nat": NAT, "pull": PULL},
        "gates": {name: reading.gate_names[name] for name in gates},
        "units": [unit_facts(unit, names) for unit in reading.units], "headings": headings,
        "features": [feature_facts(reading, k, name) for k, name in enumerate(names)],
        "twin": None if reading.twin is None else {"labelled": labelled(reading.twin), "needed": len(reading.twin.needed)},
        "labelled": labelled(reading), "needed": len(reading.needed), "probed": reading.probed,
        "mean": round(float(np.nanmean(reading.surprise)), 3), "accuracy": round(reading.accuracy, 3),
        "lags": [round(float(lag), 1) for lag in lags * (reading.probabilities[:, 0] > 0.3)],
        "start": beginning(lags * reading.probabilities[:, 0]),
    }, data  # fmt: skip


def unit_facts(unit: Unit, names: list[str]) -> list[Any]:
    """Return what the page writes about a unit."""
    held = unit.held
    feature = -1 if unit.feature is None else names.index(unit.feature)
    numbers = (unit.r, unit.r_chosen, unit.chance, unit.deviation, held.cost, held.others, held.mean)
    return [unit.state, unit.index, feature, -1 if held.symbol is None else held.symbol, *(round(x, 3) for x in numbers)]


def feature_facts(reading: Reading, k: int, name: str) -> dict[str, Any]:
    """Return what the page writes about a feature."""
    found = {"name": name, "together": round(float(reading.together.r[k]), 2)}
    return found if reading.twin is None else found | {"twin": round(reading.twin.best(name), 2)}


def labelled(reading: Reading) -> int:
    return sum(unit.feature is not None for unit in reading.units)


def mean_lags(saliency: np.ndarray) -> np.ndarray:
    """Return how far each guess looks back on average, (T,)."""
    lags: np.ndarray = (saliency * np.arange(saliency.shape[1])).sum(1) / np.maximum(saliency.sum(1), 1e-30)
    return lags


def beginning(worth: np.ndarray) -> int:
    """Return the step to show first: the one that is worth most, not near an end of the text."""
    T = len(worth)
    within = slice(min(120, T // 4), max(T * 4 // 5, 1))
    return int(worth[within].argmax()) + within.start


def level(steps: int) -> int:
    """Return the colour, p0 to p32, of a level of a state, as the page computes it."""
    return int(np.floor(16 + (steps - STEPS) * 16 / STEPS + 0.5))
