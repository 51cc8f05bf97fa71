"""Text as numbers: alphabets, words, batches of a long text, and how much of it can be foretold."""

from __future__ import annotations

import codecs
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .batch import IGNORED, Batch, Shuffled, Source, whole

__all__ = ["Alphabet", "Streams", "Windows", "entropy", "one_hot", "read", "window_entropy", "words"]

TOKEN = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s")


class Alphabet:
    """The symbols a model knows, numbered in the order given. `unknown` stands for every other symbol; it comes last unless
    it is one of them.

    >>> import minigrad_rnn as rnn
    >>> alphabet = rnn.Alphabet("hielo")
    >>> alphabet.encode("hello")
    array([0, 2, 3, 3, 4])
    >>> alphabet.decode([0, 1])
    'hi'
    >>> rnn.Alphabet("hielo", unknown="?").encode("help")
    array([0, 2, 3, 5])
    """

    def __init__(self, symbols: Sequence[str], unknown: str | None = None) -> None:
        self.symbols = tuple(symbols)
        if unknown is not None and unknown not in self.symbols:
            self.symbols += (unknown,)
        self.unknown = unknown
        self.number = {symbol: i for i, symbol in enumerate(self.symbols)}
        if len(self.number) != len(self.symbols) or not self.symbols:
            raise ValueError(f"an alphabet is one or more different symbols, not {symbols!r}")

    @classmethod
    def of(cls, text: Iterable[str], most: int | None = None, unknown: str | None = None) -> Alphabet:
        """The symbols of a text, or its words, in the order in which they first appear; with `most` only so many, the most
        frequent (of equally frequent ones the first), and `unknown` for the others.

        >>> import minigrad_rnn as rnn
        >>> rnn.Alphabet.of("banana")
        Alphabet('ban')
        >>> rnn.Alphabet.of("banana", most=2, unknown="?")
        Alphabet('an?', unknown='?')
        >>> rnn.Alphabet.of(rnn.text.words("to be or not to be")).symbols
        ('to', ' be', ' or', ' not', ' to')
        """
        counts = Counter(text)
        if not counts:
            raise ValueError("the text is empty; an alphabet needs at least one symbol")
        if most is not None and whole("most", most) < len(counts):
            if unknown is None:
                raise ValueError(
                    f"the text has {len(counts)} symbols and most is {most}: give the others one, as in unknown='?'"
                )
            kept = {symbol for symbol, _ in counts.most_common(most)}
            return cls([symbol for symbol in counts if symbol in kept], unknown)
        return cls(list(counts), unknown)

    def __len__(self) -> int:
        return len(self.symbols)

    def __repr__(self) -> str:
        return f"Alphabet({self._shown()}{'' if self.unknown is None else f', unknown={self.unknown!r}'})"

    def encode(self, text: Iterable[str]) -> np.ndarray:
        """The numbers of the symbols; ValueError names one that is not in the alphabet, if it has none for the unknown."""
        if self.unknown is not None:
            other = self.number[self.unknown]
            return np.fromiter((self.number.get(symbol, other) for symbol in text), np.intp)
        try:
            return np.fromiter((self.number[symbol] for symbol in text), np.intp)
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is not in this alphabet, {self._shown()}") from None

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers; ValueError names one that is not the number of a symbol."""
        return "".join(self.symbols[i] for i in checked(list(numbers), len(self)).tolist())

    def one_hot(self, numbers: ArrayLike, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Each number as a vector of zeros with a single one: shape (..., len(alphabet)). ValueError as in `decode`."""
        return one_hot(numbers, len(self), dtype)

    def _shown(self) -> str:
        joined = "".join(self.symbols)
        return repr(joined) if len(joined) <= 1000 else f"{joined[:1000]!r}... ({len(self)} symbols)"


def checked(numbers: ArrayLike, size: int) -> np.ndarray:
    """The numbers, if they are those of `size` symbols."""
    array = np.asarray(numbers)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"the number of a symbol is an integer, not {array.dtype}")
    if array.size and not (array.min() >= 0 and array.max() < size):
        wrong = array[(array < 0) | (array >= size)][0]
        raise ValueError(f"{wrong} is not the number of a symbol; they go from 0 to {size - 1}")
    found: np.ndarray = array.astype(np.intp)
    return found


def one_hot(numbers: ArrayLike, size: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Each number as a vector of zeros with a single one: shape (..., size). ValueError for a number outside 0...size - 1.

    >>> import minigrad_rnn as rnn
    >>> rnn.text.one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    ones = checked(numbers, size)[..., None]
    made: np.ndarray = np.zeros((*ones.shape[:-1], size), dtype)
    np.put_along_axis(made, ones, 1, axis=-1)
    return made


def words(text: str) -> list[str]:
    """The words of a text, each with the space before it, punctuation and other white space singly. Joined, they are the
    text again.

    >>> import minigrad_rnn as rnn
    >>> rnn.text.words("Don't stop, it's  late.")
    ["Don't", ' stop', ',', " it's", ' ', ' late', '.']
    """
    return TOKEN.findall(text)


def read(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, with lines that end in a newline, as Python reads text; or by the name "this" the text that
    comes with Python, the Zen of Python: 856 characters, 45 symbols. (A file of that name is "./this".)

    Raises FileNotFoundError, IsADirectoryError, and ValueError for a file that is empty, binary or not UTF-8.

    >>> import minigrad_rnn as rnn
    >>> rnn.text.read("this").splitlines()[0]
    'The Zen of Python, by Tim Peters'
    """
    if path == "this":
        return zen()
    place = Path(path)
    if place.is_dir():
        raise IsADirectoryError(f"{place} is a folder; give the path of a text file")
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {place} (looked for in {Path.cwd()})") from None
    if not data:
        raise ValueError(f"{place} is empty; a text needs at least one character")
    if b"\0" in data:
        where = data.index(b"\0")
        raise ValueError(f"{place} looks binary, byte {where} is NUL; give a text file, saved as UTF-8")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        bad = data[error.start]
        raise ValueError(f"{place} is not UTF-8: byte {error.start} is 0x{bad:02x}, {error.reason}; save it as UTF-8") from None
    if not text:
        raise ValueError(f"{place} is empty but for a byte order mark; a text needs at least one character")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def zen() -> str:
    """The text in the standard library's module `this`, read from its code, because importing the module prints it."""
    spec = importlib.util.find_spec("this")
    loader: Any = None if spec is None else spec.loader
    if loader is None:
        raise FileNotFoundError("this Python has no module `this`; give the path of a text file")
    return codecs.decode(max((part for part in loader.get_code("this").co_consts if isinstance(part, str)), key=len), "rot13")


class _Text(Source):
    """A text as numbers, kept in the smallest integers that hold them."""

    def __init__(self, numbers: ArrayLike, length: int, one_hot: int | None) -> None:
        array = np.asarray(numbers)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(
                f"expected the numbers of a text, one after the other, as Alphabet.encode gives them; "
                f"this is {array.dtype} of shape {array.shape}"
            )
        if len(array) <= whole("length", length):
            raise ValueError(f"the text has {len(array)} symbols; {length} steps need {length + 1}: choose a smaller length")
        size = int(array.max()) + 1 if one_hot is None else whole("one_hot", one_hot)
        self.numbers = checked(array, size).astype(np.min_scalar_type(size - 1))
        self.length, self.one_hot = length, one_hot

    def _batch(self, places: np.ndarray, counts: Any = True) -> Batch:
        """The symbols in these places of the text, and the next ones, where they count."""
        inputs = self.numbers[places].astype(np.intp)
        targets = np.where(counts, self.numbers[places + 1].astype(np.intp), IGNORED)
        return Batch(inputs if self.one_hot is None else one_hot(inputs, self.one_hot), targets)


class Windows(_Text, Shuffled):
    """All windows of `length` symbols, one every `stride`, with the symbol that comes next at each step, in batches: in an
    order of its own in each epoch, or with ``seed=None`` from the beginning to the end.

    `numbers` (N,) is the text. Inputs are integers (length, B), or with ``one_hot=V`` vectors (length, B, V); targets
    (length, B). Raises ValueError for a text too short.

    >>> import minigrad_rnn as rnn
    >>> text = rnn.text.read("this")
    >>> alphabet = rnn.Alphabet.of(text)
    >>> windows = rnn.Windows(alphabet.encode(text), length=20, batch_size=32, stride=10, one_hot=len(alphabet))
    >>> len(windows), windows.batch(0).inputs.shape, windows.batch(0).targets.shape
    (3, (20, 32, 45), (20, 32))
    """

    def __init__(
        self,
        numbers: ArrayLike,
        length: int,
        batch_size: int,
        stride: int = 1,
        seed: int | None = 0,
        *,
        one_hot: int | None = None,
    ) -> None:
        _Text.__init__(self, numbers, length, one_hot)
        self.stride = whole("stride", stride)
        Shuffled.__init__(self, (len(self.numbers) - length - 1) // stride + 1, batch_size, seed)

    def take(self, numbers: np.ndarray) -> Batch:
        return self._batch(numbers * self.stride + np.arange(self.length)[:, None])


class Streams(_Text):
    """A text cut into `batch_size` streams that are read side by side, `length` steps a batch, each batch going on where the
    one before stopped: for a state that is carried along, and a gradient that is not (truncated backpropagation through
    time; Williams and Peng 1990).

    An epoch is the whole text once: at each of its symbols but the last, the next one is the target. Streams differ by one
    symbol at most; where one ends earlier, its last target is IGNORED. The last batch of an epoch may be shorter.
    Inputs and targets as in `Windows`. Raises ValueError for a text too short.

    >>> import minigrad_rnn as rnn
    >>> streams = rnn.Streams(rnn.Alphabet("abcdefghi").encode("abcdefghi"), length=2, batch_size=2)
    >>> [streams.batch(i).inputs.T.tolist() for i in range(len(streams))]
    [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    >>> streams.begins(0), streams.begins(1), streams.begins(2)
    (True, False, True)
    """

    stateful = True

    def __init__(self, numbers: ArrayLike, length: int, batch_size: int, *, one_hot: int | None = None) -> None:
        super().__init__(numbers, length, one_hot)
        pairs = len(self.numbers) - 1
        if whole("batch_size", batch_size) > pairs:
            raise ValueError(f"the text has {pairs + 1} symbols, too few for {batch_size} streams: choose a smaller batch_size")
        self.batch_size = batch_size
        self.starts = np.arange(batch_size + 1) * (pairs // batch_size) + np.minimum(
            np.arange(batch_size + 1), pairs % batch_size
        )

    def __len__(self) -> int:
        return -(-int(self.starts[1]) // self.length)  # the first stream is never shorter than another

    def batch(self, i: int) -> Batch:
        begin = self._place(i)[1] * self.length
        steps = np.arange(begin, min(begin + self.length, int(self.starts[1])))[:, None]
        places = self.starts[:-1] + steps
        return self._batch(np.minimum(places, len(self.numbers) - 2), places < self.starts[1:])


def entropy(text: Sequence[str], context: int = 0) -> float:
    """How uncertain a symbol of the text is to one who knows the `context` symbols before it, and the text: in nats a symbol.

    H = -mean log p(next | context), p by counting. With 0 that of the single symbols, the loss of the best constant
    prediction; with 1 that of pairs, the least loss of a model without memory.

    >>> import minigrad_rnn as rnn
    >>> round(rnn.text.entropy(" if you want you", 1), 4)
    0.2773
    """
    if len(text) <= whole("context", context, least=0):
        raise ValueError(f"the text has {len(text)} symbols; a context of {context} needs at least {context + 1}")
    numbers = Alphabet.of(text).encode(text)
    known = np.zeros(len(text) - context, np.intp)
    for t in range(context):
        known = group(known, numbers[t : len(text) - context + t])
    return conditional_entropy(known, numbers[context:])


def window_entropy(text: Sequence[str], length: int, stride: int = 1) -> float:
    """The least loss on windows of `length` symbols, one every `stride`, of a model that sees nothing but the window: in
    nats a step.

    H = -mean log p(next | the symbols of the window up to here), over all steps of all windows, p by counting. A model that
    has learnt all of them by heart is there; below it is none.

    >>> import minigrad_rnn as rnn
    >>> round(rnn.text.window_entropy(rnn.text.read("this"), 10), 3)
    0.347
    """
    if len(text) <= whole("length", length):
        raise ValueError(f"the text has {len(text)} symbols; a window of {length} and the next need {length + 1}")
    numbers = Alphabet.of(text).encode(text)
    starts = np.arange(0, len(text) - length, whole("stride", stride))
    known = np.zeros(len(starts), np.intp)
    total = 0.0
    for t in range(length):
        known = group(known, numbers[starts + t])
        total += conditional_entropy(known, numbers[starts + t + 1])
    return total / length


def group(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A number for each pair, the same for the same pair."""
    numbers: np.ndarray = np.unique(first * (int(second.max()) + 1) + second, return_inverse=True)[1]
    return numbers


def conditional_entropy(known: np.ndarray, next: np.ndarray) -> float:
    """-mean log p(next | known), p by counting."""
    joint = np.bincount(group(known, next))
    alone = np.bincount(known)
    return float((xlogx(alone).sum() - xlogx(joint).sum()) / len(known))


def xlogx(counts: ArrayLike) -> np.ndarray:
    """x log x, 0 where x is 0."""
    x = np.asarray(counts, np.float64)
    return x * np.log(np.where(x > 0, x, 1.0))


def __dir__() -> list[str]:
    return __all__
