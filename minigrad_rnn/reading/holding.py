"""The hold test: keep one unit at its mean while the model reads, and see which next symbols it predicts worse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import minigrad as mg

from ..models import Sequence
from .observing import Part

__all__ = ["Held", "hold"]

LEAST_COUNT, LEAST_NATS, LEAST_ERRORS = 5, 0.25, 3.0  # a symbol counts if it occurs so often, and suffers by so much


class Held(NamedTuple):
    """The rise of the loss, in nats, when a unit is held."""

    costs: np.ndarray  # (V,) the mean by next symbol, NaN for symbols that occur too seldom
    mean: float  # over all symbols
    symbol: int | None  # the next symbol that suffers most, None if none suffers clearly
    cost: float  # its rise
    others: float  # the mean rise of all other symbols


def hold(
    model: Sequence, inputs: np.ndarray, numbers: np.ndarray, states: list[np.ndarray], parts: list[Part]
) -> dict[str, list[Held]]:
    """Return what happens when each unit is held, by the names of these parts of the state.

    `states` are those of `observe`. Features of equal number in parts of equal size, such as h[3] and c[3] of an LSTM, are one
    unit and are held together. All units run at once, each as one sequence of a batch. Its last sequence is the model as it is.
    """
    units: dict[tuple[int, int, int], int] = {}  # by layer, size and number its sequence in the batch
    rows = {part: [units.setdefault((part.layer, part.size, k), len(units)) for k in range(part.size)] for part in parts}
    means = {part: states[part.place][1:].mean(0) for part in parts}
    count = len(units)
    state = model.recurrent.initial_state(count + 1)
    losses = np.zeros((len(numbers) - 1, count + 1))
    with mg.no_grad():
        for t, after in enumerate(numbers[1:]):
            if t:
                new = [part.data.copy() for part in state]
                for part in parts:
                    new[part.place][rows[part], range(part.size)] = means[part]
                state = tuple(map(mg.tensor, new))
            output, state = model.step(np.repeat(inputs[t : t + 1], count + 1, axis=0), state, t)
            losses[t] = mg.logsumexp(output.data, axis=-1) - output.data[:, after]
    rises = losses[:, :count] - losses[:, count:]
    found = [summed(rises[:, row], numbers[1:], output.shape[-1]) for row in range(count)]
    return {part.name: [found[row] for row in rows[part]] for part in parts}


def summed(rises: np.ndarray, after: np.ndarray, symbols: int) -> Held:
    """Sum up the rises of the loss of one unit by the next symbol."""
    counts = np.bincount(after, minlength=symbols)
    often = counts >= LEAST_COUNT
    n = np.where(often, counts, np.nan)
    costs = np.bincount(after, rises, symbols) / n
    errors = np.sqrt(np.maximum(np.bincount(after, rises**2, symbols) / n - costs**2, 0) / n)
    clear = often & (costs > LEAST_NATS) & (costs > LEAST_ERRORS * errors)
    mean = float(rises.mean())
    if not clear.any():
        return Held(costs, mean, None, 0.0, mean)
    symbol = int(np.where(clear, costs, -np.inf).argmax())
    others = rises[after != symbol]
    return Held(costs, mean, symbol, float(costs[symbol]), float(others.sum() / max(1, len(others))))
