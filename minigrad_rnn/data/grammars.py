"""Formal languages, in which more than one symbol can come next."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batch import IGNORED, Batch
from .text import Alphabet

__all__ = ["Grammar", "anbn", "continual_reber", "embedded_reber", "reber", "second_last"]


@dataclass(frozen=True, eq=False)
class Grammar:
    """An automaton. ``moves(state)`` returns the symbols that can come next, and the state after each. A string is complete
    in a state without moves. The number of states can be infinite, for example to count letters.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> grammar = rnn.grammars.reber
    >>> grammar.sample(np.random.default_rng(2)), grammar.valid("BTXSE"), grammar.valid("BTXTE")
    ('BTSXXVVE', True, False)
    >>> grammar.legal("BTX")
    ['PT', 'SX', 'SX']
    """

    alphabet: Alphabet
    start: Hashable
    moves: Callable[[Any], Mapping[str, Hashable]]

    def legal(self, text: str) -> list[str]:
        """Return for each symbol of the text the symbols that can come after it. ValueError if the text breaks the rules."""
        found, state = [], self.start
        for t, symbol in enumerate(text):
            moves = self.moves(state)
            if symbol not in moves:
                after = f"after {text[:t]!r} comes {' or '.join(moves)}" if moves else f"{text[:t]!r} is complete"
                raise ValueError(f"{text!r} is not in this language: {after}, not {symbol!r}")
            state = moves[symbol]
            found.append("".join(sorted(self.moves(state))))
        return found

    def valid(self, text: str) -> bool:
        """Return True if the text is a complete string of the language."""
        try:
            legal = self.legal(text)
        except ValueError:
            return False
        return bool(legal) and not legal[-1]

    def sample(self, rng: np.random.Generator, length: int | None = None) -> str:
        """Return a string of at most `length` symbols, each drawn with equal probability from those that can come next."""
        symbols: list[str] = []
        moves = self.moves(self.start)
        while moves and len(symbols) != length:
            symbol = list(moves)[int(rng.random() * len(moves)) if len(moves) > 1 else 0]
            symbols.append(symbol)
            moves = self.moves(moves[symbol])
        return "".join(symbols)

    def entropy(self, length: int | None = None) -> tuple[float, float]:
        """Return two means over the strings of `sample`, from the second symbol on: the sum of -log p(symbol), below which no
        loss can fall, and the number of these symbols."""
        (first,) = self.moves(self.start).values()
        chances = {first: 1.0}
        nats = symbols = 0.0
        steps = 1
        while chances and steps != length:
            reached: dict[Hashable, float] = {}
            for state, chance in chances.items():
                moves = self.moves(state)
                if moves and chance > 1e-18:
                    nats += chance * math.log(len(moves))
                    symbols += chance
                    for following in moves.values():
                        reached[following] = reached.get(following, 0.0) + chance / len(moves)
            chances = reached
            steps += 1
        return nats, symbols

    def batch(self, strings: Iterable[str]) -> Batch:
        """Return strings as a batch: all symbols except the last as one-hot inputs, all except the first as targets. The
        padding is zeros and IGNORED.

        >>> import minigrad_rnn as rnn
        >>> batch = rnn.grammars.reber.batch(["BTXSE", "BPVVE", "BTSXSE"])
        >>> batch.inputs.shape, batch.lengths.tolist(), batch.targets[:, 0].tolist()
        ((5, 3, 7), [4, 4, 5], [1, 4, 3, 6, -100])
        """
        numbers = [self.alphabet.encode(string) for string in strings]
        lengths = np.array([len(string) - 1 for string in numbers])
        inputs = np.zeros((lengths.max(), len(numbers), len(self.alphabet)), np.float32)
        targets = np.full(inputs.shape[:2], IGNORED, np.intp)
        for b, string in enumerate(numbers):
            inputs[: lengths[b], b] = self.alphabet.one_hot(string[:-1])
            targets[: lengths[b], b] = string[1:]
        return Batch(inputs, targets, lengths)

    def correct(self, outputs: Any, batch: Batch) -> np.ndarray:
        """Return a mask (T, B) of the correct predictions, True in the padding, too.

        A prediction is correct if every symbol that can come next has a larger output than every symbol that cannot
        (Hochreiter and Schmidhuber 1997, experiment 1). ``.all(axis=0)`` is True for the strings that are predicted completely.
        `outputs` are scores (T, B, symbols), such as logits or probabilities.

        >>> import minigrad_rnn as rnn
        >>> batch = rnn.grammars.reber.batch(["BTXSE"])
        >>> rnn.grammars.reber.correct(batch.inputs, batch)[:, 0]
        array([False, False, False, False])
        """
        scores = np.asarray(outputs)
        if scores.shape != batch.inputs.shape:
            raise ValueError(
                f"the outputs have shape {scores.shape}; expected (T, batch, symbols) = {batch.inputs.shape}, as the inputs"
            )
        T, B = scores.shape[:2]
        lengths = np.full(B, T) if batch.lengths is None else batch.lengths
        right = np.ones((T, B), bool)
        for b in range(B):
            text = self.alphabet.decode(batch.inputs[: lengths[b], b].argmax(-1))
            for t, symbols in enumerate(self.legal(text)):
                may = np.zeros(len(self.alphabet), bool)
                may[self.alphabet.encode(symbols)] = True
                right[t, b] = scores[t, b, may].min(initial=np.inf) > scores[t, b, ~may].max(initial=-np.inf)
        return right


def second_last(outputs: Any, batch: Batch) -> np.ndarray:
    """Return a mask (B,) that is True if the largest output for the second last symbol of a string is that symbol. In an
    embedded Reber string it equals the second symbol, so this tests the memory: without it, half of the predictions are right.

    >>> import minigrad_rnn as rnn
    >>> batch = rnn.grammars.embedded_reber.batch(["BTBTXSETE", "BPBPVVEPE"])
    >>> always_T = rnn.text.one_hot([[1, 1]] * 8, 7)
    >>> rnn.grammars.second_last(always_T, batch)
    array([ True, False])
    """
    scores = np.asarray(outputs)
    B = batch.size
    steps = (np.full(B, len(batch.inputs)) if batch.lengths is None else batch.lengths) - 2
    right: np.ndarray = scores[steps, np.arange(B)].argmax(-1) == batch.targets[steps, np.arange(B)]
    return right


REBER = {
    0: {"B": 1}, 1: {"T": 2, "P": 3}, 2: {"S": 2, "X": 4}, 3: {"T": 3, "V": 5}, 4: {"X": 3, "S": 6}, 5: {"P": 4, "V": 6},
    6: {"E": 7}, 7: {},
}  # fmt: skip


def embedded_moves(state: Any, after: str = "done") -> dict[str, Hashable]:
    """Return the moves of the embedded Reber grammar."""
    match state:
        case "start":
            return {"B": "choice"}
        case "choice":
            return {"T": ("T", 0), "P": ("P", 0)}
        case (kept, 7):
            return {kept: "end"}
        case (kept, inner):
            return {symbol: (kept, following) for symbol, following in REBER[inner].items()}
        case "end":
            return {"E": after}
    return {}


def anbn_moves(state: Any) -> dict[str, Hashable]:
    """Return the moves of the language S a...a b...b T."""
    match state:
        case "start":
            return {"S": ("a", 0)}
        case ("a", 0):
            return {"a": ("a", 1)}
        case ("a", count):
            return {"a": ("a", count + 1), "b": ("b", count - 1)}
        case ("b", 0):
            return {"T": "done"}
        case ("b", count):
            return {"b": ("b", count - 1)}
    return {}


reber = Grammar(Alphabet("BTPSXVE"), 0, REBER.__getitem__)
embedded_reber = Grammar(reber.alphabet, "start", embedded_moves)
continual_reber = Grammar(reber.alphabet, "start", lambda state: embedded_moves(state, after="start"))
anbn = Grammar(Alphabet("SabT"), "start", anbn_moves)


def __dir__() -> list[str]:
    return __all__
