"""Units of a network and features of a text: correlations, their chance level, and the units ranked by what they follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .features import Features, varied
from .holding import Held

__all__ = ["Comparison", "Sample", "Together", "Unit", "compare"]

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


class Together(NamedTuple):
    """A linear mixture of all units for each feature, its values over the text (T, features), and its correlation."""

    values: np.ndarray
    r: np.ndarray


class Comparison(NamedTuple):
    """The correlations of units with features, as in a `Reading`, with the units ranked."""

    correlations: dict[str, np.ndarray]
    correlations_chosen: dict[str, np.ndarray]
    chance: dict[str, np.ndarray]
    units: list[Unit]
    together: Together


def compare(
    shown: dict[str, np.ndarray], chosen: Sample, measured: Sample, numbers: np.ndarray, held: dict[str, list[Held]]
) -> tuple[list[str], Comparison]:
    """Compare units with the features that vary in both samples; return the names of these features, and the comparison.

    Labels are chosen on one sample and measured on the other. `shown` has the states of the whole text, `numbers` the symbols
    of the chosen sample.
    """
    names = [name for name in chosen.features if varied(chosen.features[name]) and varied(measured.features[name])]
    # c of an LSTM has a long tail: tanh(c), which the output gate reads, is compared
    wide = {name for sample in (chosen, measured) for name, state in sample.states.items() if np.abs(state).max() > 1.0001}
    P, M, S = (
        {name: np.tanh(state) if name in wide else state for name, state in states.items()}
        for states in (chosen.states, measured.states, shown)
    )
    F, G = (side_by_side(sample, names) for sample in (chosen, measured))
    made = Comparison(
        correlations={name: correlations(state, G) for name, state in M.items()},
        correlations_chosen={name: correlations(state, F) for name, state in P.items()},
        chance={name: chance_level(state, F) for name, state in P.items()},
        units=[],
        together=all_together(tuple(np.concatenate([*states.values()], 1) for states in (S, P, M)), F, G),
    )
    deviations = {name: state.std(0) for name, state in M.items()}
    weights = [memory_needed(feature, numbers) for feature in F.T]
    return names, made._replace(units=ranked(made, names, weights, deviations, held))


def side_by_side(sample: Sample, names: list[str]) -> np.ndarray:
    """Return features of a sample as columns, (T, features)."""
    T = len(next(iter(sample.states.values())))
    return np.array([sample.features[name] for name in names], float).reshape(len(names), T).T


def standard(columns: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1; constant ones are zeros."""
    centred = columns - columns.mean(0)
    deviation = centred.std(0)
    scaled: np.ndarray = centred / np.where(deviation > 1e-6, deviation, np.inf)
    return scaled


def correlations(state: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each unit of a state (T, units) with each feature (T, features): (units, features)."""
    r: np.ndarray = standard(state).T @ standard(features) / len(state)
    return r


def chance_level(state: np.ndarray, features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the |r| that the best of all units reaches by chance with each feature, (features,).

    The features are shifted in a circle against the states, which keeps what both have of rhythm and slowness: the 95th
    percentile over 60 shifts.
    """
    rng = np.random.default_rng(seed)
    T = len(state)
    U, F = standard(state), standard(features)
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
    made: Comparison, names: list[str], weights: list[float], deviations: dict[str, np.ndarray], held: dict[str, list[Held]]
) -> list[Unit]:
    """Return all units, first those that follow a feature best.

    A unit counts by the smaller of its two correlations, times the weight of the feature, and less if other units follow the
    same feature better.
    """
    found = []
    for state, r in made.correlations.items():
        r_chosen, chance = made.correlations_chosen[state], made.chance[state]
        for k, deviation in enumerate(deviations[state].tolist()):
            label: tuple[str | None, float, float, float] = (None, 0.0, 0.0, 0.0)
            score = 0.0
            if (f := best(r_chosen[k], r[k], chance)) is not None:
                label = names[f], float(r[k, f]), float(r_chosen[k, f]), float(chance[f])
                score = min(abs(r[k, f]), abs(r_chosen[k, f])) * weights[f]
            found.append((score, Unit(state, k, *label, deviation, held[state][k])))
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


def all_together(states: tuple[np.ndarray, ...], F: np.ndarray, G: np.ndarray) -> Together:
    """Fit a linear mixture of all units (T, units) to each feature by ridge regression, on the chosen states and features F.
    Return it over the shown text, with its correlation with the measured features G. A value is above 0 where the feature is
    present, or above its mean. `states` are the shown, the chosen and the measured ones.
    """
    shown, chosen, measured = states
    mean, deviation, middle = chosen.mean(0), np.maximum(chosen.std(0), 1e-6), F.mean(0)
    U = (chosen - mean) / deviation
    W = np.linalg.solve(U.T @ U / len(U) + RIDGE * np.eye(U.shape[1]), U.T @ (F - middle) / len(U))
    low, high = F.min(0), F.max(0)
    two = np.array([len(np.unique(column)) <= 2 for column in F.T], bool)
    offset, scale = np.where(two, middle - (low + high) / 2, 0.0), np.maximum(high - low, 1e-9)
    mixed, again = (((part - mean) / deviation @ W + offset) / scale for part in (shown, measured))
    return Together(mixed, (standard(again) * standard(G)).mean(0))
