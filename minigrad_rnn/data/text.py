"""Text as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

__all__ = ["Alphabet"]


class Alphabet:
    """The symbols a model knows, numbered in the order given.

    >>> import minigrad_rnn as rnn
    >>> alphabet = rnn.Alphabet("hielo")
    >>> alphabet.encode("hello")
    array([0, 2, 3, 3, 4])
    >>> alphabet.decode([0, 1])
    'hi'
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self.number = {symbol: i for i, symbol in enumerate(self.symbols)}
        if len(self.number) != len(self.symbols) or not self.symbols:
            raise ValueError(f"an alphabet is one or more different symbols, not {symbols!r}")

    def __len__(self) -> int:
        return len(self.symbols)

    def __repr__(self) -> str:
        return f"Alphabet({''.join(self.symbols)!r})"

    def encode(self, text: Iterable[str]) -> np.ndarray:
        """The numbers of the symbols; ValueError names one that is not in the alphabet."""
        try:
            return np.array([self.number[symbol] for symbol in text], dtype=np.intp)
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is not in this alphabet, {''.join(self.symbols)!r}") from None

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers; ValueError names one that is not the number of a symbol."""
        return "".join(self.symbols[i] for i in self._checked(list(numbers)).tolist())

    def one_hot(self, numbers: ArrayLike, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Each number as a vector of zeros with a single one: shape (..., len(alphabet)). ValueError as in `decode`."""
        made: np.ndarray = np.eye(len(self), dtype=dtype)[self._checked(numbers)]
        return made

    def _checked(self, numbers: ArrayLike) -> np.ndarray:
        array = np.asarray(numbers)
        if array.size and array.dtype.kind not in "iu":
            raise ValueError(f"the number of a symbol is an integer, not {array.dtype}")
        wrong = array[(array < 0) | (array >= len(self))]
        if wrong.size:
            raise ValueError(f"{wrong[0]} is not the number of a symbol; they go from 0 to {len(self) - 1}")
        checked: np.ndarray = array.astype(np.intp)
        return checked
