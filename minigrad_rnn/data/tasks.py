"""Toy tasks with their data and the bounds that a model can be held against."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .text import Alphabet

__all__ = ["Task", "hello", "next_symbol"]


@dataclass(frozen=True, eq=False)
class Task:
    """Inputs (T, batch, I) and targets (T, batch), class numbers of `alphabet`.

    `bounds` are losses in nats a step that need no training to know, by what they say.
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    alphabet: Alphabet
    bounds: dict[str, float] = field(default_factory=dict)


def next_symbol(text: str, *, symbols: str | None = None, name: str = "text") -> Task:
    """Read a text symbol by symbol and say at each which comes next. One sequence, one-hot.

    The alphabet is `symbols`, by default those of the text in the order in which they appear.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.next_symbol("abab")
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((3, 1, 2), 'bab')
    """
    if len(text) < 2:
        raise ValueError(f"to predict the next symbol a text needs at least two, this one has {len(text)}")
    alphabet = Alphabet(symbols if symbols is not None else "".join(dict.fromkeys(text)))
    numbers = alphabet.encode(text)[:, None]
    return Task(
        name,
        inputs=alphabet.one_hot(numbers[:-1]),
        targets=numbers[1:],
        alphabet=alphabet,
        bounds={"every symbol equally likely": math.log(len(alphabet))},
    )


def hello() -> Task:
    """ "hihell" to "ihello": the smallest task that needs a memory, for after h comes first i and then e, after l first l
    and then o. Known from the labs of DeepLearningZeroToAll (Sung Kim).

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((6, 1, 5), 'ihello')
    """
    return next_symbol("hihello", symbols="hielo", name="hello")
