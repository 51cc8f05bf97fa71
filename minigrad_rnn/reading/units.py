"""Units of a network and features of a text: correlations, their chance level, and the units ranked by what they follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .features import Features
from .holding import Held

__all__ = ["Sample", "Together", "Unit", "all_together", "chance_level", "correlations", "memory_needed", "ranked"]

SHIFTS, QUANTILE = 60, 0.95
LEAST_R, MARGIN = 0.4, 0.02  # a label needs so large an |r|, so far above chance
AGAIN = 0.8  # each further unit of a feature counts so much less
RIDGE = 1e-2


@dataclass(frozen=True)
class Unit:
    """A unit of a state, `state`[`index`], with the feature that it follows and what it is needed for.

    `feature` is None unless its correlation is above chance on both parts of the text: `r_chosen` on the part on which it was
    chosen, `r` on the other. `chance` is the level that the best of all units reaches by chance. `held` is the hold test.
    """

    state: str
    index: int
    feature: str | None
    r: float
    r_chosen: float
    chance: float
    deviation: float  # standard deviation of the state over the text
    held: Held

    @property
    def name(self) -> str:
        return f"{self.state}[{self.index}]"


class Sample(NamedTuple):
    """A part of a text: the states there, by name (T, units), and the features (T,)."""

    states: dict[str, np.ndarray]
    features: Features

    def of(self, names: list[str]) -> Sample:
        """Return the sample with these features only."""
        return self._replace(features={name: self.features[name] for name in names})


class Together(NamedTuple):
    """A linear mixture of all units for each feature, its values over the text (T, features), and its correlation."""

    values: np.ndarray
    r: np.ndarray


def squashed(state: np.ndarray) -> np.ndarray:
    """Return a state between -1 and 1: c of an LSTM has a long tail, so it is tanh(c), which the output gate reads."""
    return np.tanh(state) if np.abs(state).max() > 1.0001 else state


def standard(columns: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1; constant ones are zeros."""
    centred = columns - columns.mean(0)
    deviation = centred.std(0)
    scaled: np.ndarray = centred / np.where(deviation > 1e-6, deviation, np.inf)
    return scaled


def matrix(features: Features, count: int) -> np.ndarray:
    """Return the features side by side, (count, features)."""
    return np.array([*features.values()], float).reshape(len(features), count).T


def correlations(state: np.ndarray, features: Features) -> np.ndarray:
    """Return Pearson's r of each unit of a state (T, units) with each feature, (units, features)."""
    r: np.ndarray = standard(squashed(state)).T @ standard(matrix(features, len(state))) / len(state)
    return r


def chance_level(state: np.ndarray, features: Features, seed: int = 0) -> np.ndarray:
    """Return the |r| that the best of all units reaches by chance with each feature, (features,).

    The features are shifted in a circle against the states, which keeps what both have of rhythm and slowness: the 95th
    percentile over 60 shifts.
    """
    rng = np.random.default_rng(seed)
    T = len(state)
    U, F = standard(squashed(state)), standard(matrix(features, T))
    best = [np.abs(U.T @ np.roll(F, shift, 0) / T).max(0) for shift in rng.integers(T // 10, T - T // 10, SHIFTS)]
    level: np.ndarray = np.quantile(best, QUANTILE, axis=0)
    return level


def memory_needed(feature: np.ndarray, numbers: np.ndarray) -> float:
    """Return the weight of a feature in the ranking, 1 minus half of the share of its variance that the symbol itself explains:
    1/2 for "a vowel", nearly 1 for "inside brackets", which needs memory."""
    counts = np.maximum(np.bincount(numbers), 1)
    explained = (np.bincount(numbers, feature) / counts)[numbers].var()
    return float(1 - explained / max(feature.var(), 1e-12) / 2)


def ranked(
    chosen: Sample, measured: Sample, memory: dict[str, float], chance: dict[str, np.ndarray], held: dict[str, list[Held]]
) -> list[Unit]:
    """Return all units, first those that follow a feature best.

    A unit counts by the smaller of its two correlations, times `memory` of the feature, and less if other units follow the
    same feature better.
    """
    names = [*chosen.features]
    found = []
    for state, values in chosen.states.items():
        r_chosen, r = correlations(values, chosen.features), correlations(measured.states[state], measured.features)
        deviations = squashed(measured.states[state]).std(0)
        for k, deviation in enumerate(deviations.tolist()):
            unit = Unit(state, k, None, 0.0, 0.0, 0.0, deviation, held[state][k])
            if (f := best(r_chosen[k], r[k], chance[state])) is not None:
                unit = replace(
                    unit, feature=names[f], r=float(r[k, f]), r_chosen=float(r_chosen[k, f]), chance=float(chance[state][f])
                )
            found.append((min(abs(unit.r), abs(unit.r_chosen)) * memory.get(unit.feature or "", 0.0), unit))
    found.sort(key=lambda pair: (-pair[0], -pair[1].deviation))
    before = Counter[str | None]()
    scores = []
    for score, unit in found:
        scores.append((-score * AGAIN ** before[unit.feature], -unit.deviation))
        before[unit.feature] += 1
    return [found[i][1] for i in sorted(range(len(found)), key=scores.__getitem__)]


def best(r_chosen: np.ndarray, r: np.ndarray, chance: np.ndarray) -> int | None:
    """Return the feature that a unit follows, chosen by its correlations on one part and confirmed by those on the other."""
    if not len(r):
        return None
    feature = int(np.where(np.abs(r_chosen) > chance + MARGIN, np.abs(r_chosen), 0).argmax())
    clear = abs(r_chosen[feature]) > max(LEAST_R, chance[feature] + MARGIN)
    return feature if clear and r[feature] * np.sign(r_chosen[feature]) > chance[feature] else None


def all_together(shown: dict[str, np.ndarray], chosen: Sample, measured: Sample) -> Together:
    """Fit a linear mixture of all units to each feature by ridge regression on the chosen part, and return it over the shown
    text, with its correlation on the measured part. A value is above 0 where the feature is present, or above its mean.
    """
    P = side_by_side(chosen.states)
    F = matrix(chosen.features, len(P))
    mean, deviation, middle = P.mean(0), np.maximum(P.std(0), 1e-6), F.mean(0)
    P = (P - mean) / deviation
    W = np.linalg.solve(P.T @ P / len(P) + RIDGE * np.eye(P.shape[1]), P.T @ (F - middle) / len(P))
    low, high = F.min(0), F.max(0)
    two = np.array([len(np.unique(column)) <= 2 for column in F.T], bool)
    offset, scale = np.where(two, middle - (low + high) / 2, 0.0), np.maximum(high - low, 1e-9)

    def values(states: dict[str, np.ndarray]) -> np.ndarray:
        mixed: np.ndarray = ((side_by_side(states) - mean) / deviation @ W + offset) / scale
        return mixed

    again = values(measured.states)
    return Together(values(shown), (standard(again) * standard(matrix(measured.features, len(again)))).mean(0))


def side_by_side(states: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([squashed(state) for state in states.values()], axis=1)
