"""Text as numbers: alphabets, words, batches of a long text, and the entropy of a text."""

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

__all__ = ["Alphabet", "Streams", "Windows", "conditioned", "entropy", "one_hot", "read", "window_entropy", "words"]

TOKEN = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s")


class Alphabet:
    """The symbols of a model, numbered in the given order. `unknown` replaces every other symbol; it comes last unless it is
    one of the symbols.

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
            raise ValueError(f"an alphabet must be one or more different symbols, not {symbols!r}")

    @classmethod
    def of(cls, text: Iterable[str], most: int | None = None, unknown: str | None = None) -> Alphabet:
        """Return the alphabet of the symbols of a text, or of its words, in the order in which they first appear. `most` keeps
        only that number of symbols, the most frequent, and `unknown` replaces the others.

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
                    f"the text has {len(counts)} symbols, more than most={most}; give one for the others, as in unknown='?'"
                )
            kept = {symbol for symbol, _ in counts.most_common(most)}
            return cls([symbol for symbol in counts if symbol in kept], unknown)
        return cls(list(counts), unknown)

    def __len__(self) -> int:
        return len(self.symbols)

    def __repr__(self) -> str:
        return f"Alphabet({self._shown()}{'' if self.unknown is None else f', unknown={self.unknown!r}'})"

    def encode(self, text: Iterable[str]) -> np.ndarray:
        """Return the numbers of the symbols. ValueError for a symbol outside the alphabet, unless there is `unknown`."""
        if self.unknown is not None:
            other = self.number[self.unknown]
            return np.fromiter((self.number.get(symbol, other) for symbol in text), np.intp)
        try:
            return np.fromiter((self.number[symbol] for symbol in text), np.intp)
        except KeyError as error:
            raise ValueError(
                f"{error.args[0]!r} is not in this alphabet, {self._shown(60)}; leave it out, "
                "or make the alphabet with a symbol for all others, as in Alphabet(symbols, unknown='?')"
            ) from None

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of these numbers; ValueError for one that is not the number of a symbol."""
        return "".join(self.symbols[i] for i in checked(list(numbers), len(self)).tolist())

    def one_hot(self, numbers: ArrayLike, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return one-hot vectors of shape (..., len(alphabet)). ValueError as in `decode`."""
        return one_hot(numbers, len(self), dtype)

    def _shown(self, most: int = 1000) -> str:
        joined = "".join(self.symbols)
        return repr(joined) if len(joined) <= most else f"{joined[:most]!r}... ({len(self)} symbols)"


def checked(numbers: ArrayLike, size: int) -> np.ndarray:
    """Return the numbers as an array; ValueError unless they are integers from 0 to size - 1."""
    array = np.asarray(numbers)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"the number of a symbol must be an integer, not {array.dtype}")
    if array.size and not (array.min() >= 0 and array.max() < size):
        wrong = array[(array < 0) | (array >= size)][0]
        raise ValueError(f"{wrong} is not the number of a symbol; the numbers are from 0 to {size - 1}")
    found: np.ndarray = array.astype(np.intp)
    return found


def one_hot(numbers: ArrayLike, size: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Return one-hot vectors of shape (..., size). ValueError for a number outside 0...size - 1.

    >>> import minigrad_rnn as rnn
    >>> rnn.text.one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    ones = checked(numbers, size)[..., None]
    vectors: np.ndarray = np.zeros((*ones.shape[:-1], size), dtype)
    np.put_along_axis(vectors, ones, 1, axis=-1)
    return vectors


def conditioned(batch: Batch, condition: ArrayLike, *, symbols: int | None = None) -> Batch:
    """Return a batch with a vector for each sequence, `condition` (B, C), as further inputs at each step, such as the class of
    the text to write. Inputs that are integers become one-hot vectors of `symbols` symbols. `sample` takes the same vector.

    >>> import minigrad_rnn as rnn
    >>> names = rnn.Batch.of([[0, 1, 2], [3, 2]])
    >>> rnn.text.conditioned(names, rnn.text.one_hot([1, 0], 2), symbols=4).inputs[0]
    array([[1., 0., 0., 0., 0., 1.],
           [0., 0., 0., 1., 1., 0.]], dtype=float32)
    """
    if (batch.inputs.ndim == 2) != (symbols is not None):
        wrong = "integers: give their number, symbols=len(alphabet)" if symbols is None else "vectors: leave out symbols"
        raise ValueError(f"the inputs of this batch are {wrong}")
    inputs = batch.inputs if symbols is None else one_hot(batch.inputs, symbols)
    return batch._replace(inputs=joined(inputs, condition))


def joined(inputs: np.ndarray, condition: ArrayLike) -> np.ndarray:
    """Return inputs (T, B, I) with a vector (B, C) for each sequence joined to each of its steps: (T, B, I + C)."""
    vectors = np.asarray(condition)
    if vectors.ndim != 2 or len(vectors) != inputs.shape[1] or vectors.dtype.kind not in "iufb":
        raise ValueError(
            f"the condition is {vectors.dtype} of shape {vectors.shape}; expected numbers of shape ({inputs.shape[1]}, C), a "
            "vector for each sequence. For classes give one-hot vectors, rnn.text.one_hot(classes, number_of_classes)"
        )
    repeated = np.broadcast_to(vectors.astype(inputs.dtype), (len(inputs), *vectors.shape))
    return np.concatenate([inputs, repeated], axis=-1)


def words(text: str) -> list[str]:
    """Split a text into words, each with the space before it, and single punctuation marks and white space. Joined, they are
    the text again.

    >>> import minigrad_rnn as rnn
    >>> rnn.text.words("Don't stop, it's  late.")
    ["Don't", ' stop', ',', " it's", ' ', ' late', '.']
    """
    return TOKEN.findall(text)


def read(path: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """Read a text file, with "\\n" at the end of each line. With the name "this", return the text that comes with Python,
    the Zen of Python: 856 characters, 45 symbols. (For a file of that name write "./this".)

    `encoding` is one of Python's, such as "utf-8", "utf-16", "gb18030" (Chinese) or "cp1252" (Western Europe). Raises
    FileNotFoundError, IsADirectoryError, and ValueError for a file that is empty, binary or in another encoding.

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
    text = decoded(data, encoding, str(place)).removeprefix("\ufeff")
    if not text:
        raise ValueError(f"{place} has only a byte order mark; a text needs at least one character")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decoded(data: bytes, encoding: str, source: str) -> str:
    """Return the text of these bytes. ValueError for other bytes than text in this encoding, with advice."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(f"there is no encoding {encoding!r}; there are utf-8, utf-16, gb18030, cp1252 and others") from None
    wide = name.startswith(("utf-16", "utf-32"))
    if not wide and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{source} is UTF-16, as its first two bytes say; give its encoding, utf-16")
    if not wide and b"\0" in data:
        raise ValueError(
            f"{source} looks binary, byte {data.index(0)} is NUL; give a text file. To train on bytes, read them as numbers "
            "with np.fromfile(path, np.uint8)"
        )
    if not name.startswith("utf") and not data.isascii() and is_utf8(data):
        raise ValueError(f"{source} is UTF-8, not {encoding}; leave out the encoding")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        bad = f"byte {error.start} is 0x{data[error.start]:02x}, {error.reason}"
        told = "UTF-8" if name == "utf-8" else encoding
        raise ValueError(
            f"{source} is not {told}: {bad}; save it as UTF-8, or give its encoding, such as gb18030 (Chinese) or "
            "cp1252 (Western Europe)"
        ) from None


def is_utf8(data: bytes) -> bool:
    """Return True for bytes that are text in UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def zen() -> str:
    """Return the text of the standard module `this`, from its code, because importing the module prints the text."""
    spec = importlib.util.find_spec("this")
    loader: Any = None if spec is None else spec.loader
    if loader is None:
        raise FileNotFoundError("this Python has no module `this`; give the path of a text file")
    return codecs.decode(max((part for part in loader.get_code("this").co_consts if isinstance(part, str)), key=len), "rot13")


class _Text(Source):
    """A source of batches from a text, kept as the smallest integers that hold its numbers."""

    def __init__(self, numbers: ArrayLike, length: int, one_hot: int | None) -> None:
        array = np.asarray(numbers)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(
                f"expected the numbers of a text, as Alphabet.encode returns them; this is {array.dtype} of shape {array.shape}"
            )
        if len(array) <= whole("length", length):
            raise ValueError(f"the text has {len(array)} symbols; {length} steps need {length + 1}: choose a smaller length")
        size = int(array.max()) + 1 if one_hot is None else whole("one_hot", one_hot)
        self.numbers = checked(array, size).astype(np.min_scalar_type(size - 1))
        self.length, self.one_hot = length, one_hot

    def _batch(self, places: np.ndarray, counts: Any = True) -> Batch:
        """Return the symbols at these positions of the text, and as targets the next ones, where they count."""
        inputs = self.numbers[places].astype(np.intp)
        targets = np.where(counts, self.numbers[places + 1].astype(np.intp), IGNORED)
        return Batch(inputs if self.one_hot is None else one_hot(inputs, self.one_hot), targets)


class Windows(_Text, Shuffled):
    """A source of all windows of `length` symbols, one every `stride`. The target at each step is the next symbol. The
    windows are shuffled for each epoch, or with ``seed=None`` in order.

    `numbers` (N,) is the text. Inputs are integers (length, B), or with ``one_hot=V`` vectors (length, B, V); targets
    (length, B). Raises ValueError for a text that is too short.

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
    """A source that cuts a text into `batch_size` streams and reads `length` steps of each in a batch. Each batch continues
    where the one before stopped: the state is carried over, the gradient is not (truncated backpropagation through time;
    Williams and Peng 1990).

    An epoch is the whole text once. The target at each symbol except the last is the next symbol. The streams have equal
    lengths, except for one symbol: at the end of a shorter stream the target is IGNORED. The last batch of an epoch may be
    shorter. See `Windows` for inputs and targets. Raises ValueError for a text that is too short.

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
    """Return the entropy of a symbol of the text given the `context` symbols before it, in nats for each symbol.

    H = -mean log p(next | context), with p from counts. With 0 it is the loss of the best constant prediction. With 1 it is
    the least loss of a model without memory.

    >>> import minigrad_rnn as rnn
    >>> round(rnn.text.entropy(" if you want you", 1), 4)
    0.2773
    """
    if len(text) <= whole("context", context, least=0):
        raise ValueError(f"the text has {len(text)} symbols; a context of {context} needs at least {context + 1}")
    numbers = Alphabet.of(text).encode(text)
    contexts = np.zeros(len(text) - context, np.intp)
    for t in range(context):
        contexts = group(contexts, numbers[t : len(text) - context + t])
    return conditional_entropy(contexts, numbers[context:])


def window_entropy(text: Sequence[str], length: int, stride: int = 1) -> float:
    """Return the least loss, in nats for each step, of a model that reads windows of `length` symbols, one every `stride`.

    H = -mean log p(next | the symbols of the window so far), over all steps of all windows, with p from counts. A model that
    has memorised all windows has this loss, and no model a lower one.

    >>> import minigrad_rnn as rnn
    >>> round(rnn.text.window_entropy(rnn.text.read("this"), 10), 3)
    0.347
    """
    if len(text) <= whole("length", length):
        raise ValueError(f"the text has {len(text)} symbols; a window of {length} and the next need {length + 1}")
    numbers = Alphabet.of(text).encode(text)
    starts = np.arange(0, len(text) - length, whole("stride", stride))
    contexts = np.zeros(len(starts), np.intp)
    total = 0.0
    for t in range(length):
        contexts = group(contexts, numbers[starts + t])
        total += conditional_entropy(contexts, numbers[starts + t + 1])
    return total / length


def group(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a number for each pair, equal for equal pairs."""
    numbers: np.ndarray = np.unique(first * (int(second.max()) + 1) + second, return_inverse=True)[1]
    return numbers


def conditional_entropy(contexts: np.ndarray, next: np.ndarray) -> float:
    """Return -mean log p(next | context), with p from counts."""
    joint = np.bincount(group(contexts, next))
    alone = np.bincount(contexts)
    return float((xlogx(alone).sum() - xlogx(joint).sum()) / len(contexts))


def xlogx(counts: ArrayLike) -> np.ndarray:
    """Return x log x, and 0 where x is 0."""
    x = np.asarray(counts, np.float64)
    return x * np.log(np.where(x > 0, x, 1.0))


def __dir__() -> list[str]:
    return __all__
