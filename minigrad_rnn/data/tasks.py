"""Toy tasks: their data, and the losses to compare a model with.

To add a task, add a function that returns a `Task` and needs no arguments.
"""

from __future__ import annotations

import inspect
import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from . import grammars
from .batch import Batch, Fixed, Generated, Source, whole
from .grammars import Grammar
from .text import Alphabet, conditional_entropy, window_entropy, xlogx
from .text import words as words_of

__all__ = ["TASKS", "Task", "binary_pairs", "next_symbol"]  # and the functions in TASKS

GUESS = "every symbol equally likely"
MEMORYLESS = "without memory"


@dataclass(frozen=True, eq=False)
class Task:
    """A task to learn. ``sample(n, rng)`` returns n sequences as a Batch.

    `wiring` is "steps" if there is a target at each step, "last" if there is one after the last step, and "translate" if the
    targets are another sequence, from a decoder that first reads the symbol `start` and then its own predictions. `loss` is
    "cross_entropy" of logits with class indices, "mse" of numbers, or "binary" cross-entropy of logits with 0 or 1. `bounds`
    are losses that need no training, by name (an accuracy is named as one). Those of a cross-entropy are in nats a target.

    A task with symbols has an `alphabet` of the symbols to predict, and a `source_alphabet` of the symbols to read, mostly
    the same. A task with one fixed batch has `inputs` and `targets`. A task of a formal language has a `grammar`.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.adding(50)
    >>> task.wiring, task.loss, task.input_size, task.output_size, task.bounds
    ('last', 'mse', 2, 1, {'always 1': 0.16666666666666666})
    """

    name: str
    summary: str
    wiring: Literal["steps", "last", "translate"]
    loss: Literal["cross_entropy", "mse", "binary"]
    input_size: int
    output_size: int
    sample: Callable[[int, np.random.Generator], Batch] = field(repr=False)
    bounds: Mapping[str, float] = field(default_factory=dict)
    answers: Alphabet | None = field(default=None, repr=False)
    reads: Alphabet | None = field(default=None, repr=False)
    fixed: Batch | None = field(default=None, repr=False)
    grammar: Grammar | None = field(default=None, repr=False)
    start: int | None = None

    def data(self, batch_size: int = 32, batches: int = 100, seed: int = 0) -> Source:
        """Return a source of batches, `batches` in an epoch; for a task with one fixed batch, that batch. The source has the
        `loss` of the task.

        >>> import minigrad_rnn as rnn
        >>> source = rnn.tasks.parity(20).data(batch_size=16)
        >>> source.batch(0).targets.shape, source.loss
        ((20, 16, 1), 'binary')
        """
        source: Source = Generated(self.sample, batch_size, batches, seed) if self.fixed is None else Fixed(self.fixed)
        source.loss = self.loss
        return source

    @property
    def alphabet(self) -> Alphabet:
        """The symbols of the class indices to predict."""
        return self._symbols(self.answers)

    @property
    def source_alphabet(self) -> Alphabet:
        """The symbols of the one-hot inputs."""
        return self._symbols(self.reads or self.answers)

    @property
    def inputs(self) -> np.ndarray:
        """The inputs of a task with one fixed batch."""
        return self._one().inputs

    @property
    def targets(self) -> np.ndarray:
        """The targets of a task with one fixed batch."""
        return self._one().targets

    def _symbols(self, alphabet: Alphabet | None) -> Alphabet:
        if alphabet is None:
            raise AttributeError(f"the task {self.name} has no alphabet, because its data are numbers")
        return alphabet

    def _one(self) -> Batch:
        if self.fixed is None:
            raise AttributeError(f"the task {self.name} has no fixed batch; use sample(n, rng), or data(batch_size)")
        return self.fixed


def one_batch(name: str, summary: str, batch: Batch, alphabet: Alphabet, bounds: Mapping[str, float] | None = None) -> Task:
    """Return the task of predicting the next symbol in a batch."""
    before = batch.inputs.argmax(-1).ravel()
    bounds = {
        GUESS: math.log(len(alphabet)),
        MEMORYLESS: conditional_entropy(before, batch.targets.ravel()),
        **(bounds or {}),
    }

    def sample(n: int, rng: np.random.Generator) -> Batch:
        return batch.take(rng.integers(batch.size, size=n), axis=1)

    size = len(alphabet)
    return Task(name, summary, "steps", "cross_entropy", size, size, sample, bounds, alphabet, fixed=batch)


def next_symbol(
    text: Sequence[str], *, symbols: Sequence[str] | None = None, name: str = "text", summary: str | None = None
) -> Task:
    """Return the task of predicting the next symbol of a text at each step. It is one sequence, one-hot: inputs (T - 1, 1, I).

    The alphabet is `symbols`, by default the symbols of the text in the order in which they appear. `text` can be a list of
    words. Bounds: ln I for a guess; for a model without memory the entropy of a symbol given the symbol before.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.next_symbol("abab")
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((3, 1, 2), 'bab')
    """
    if len(text) < 2:
        raise ValueError(f"to predict the next symbol a text needs at least two, this one has {len(text)}")
    alphabet = Alphabet.of(text) if symbols is None else Alphabet(symbols)
    numbers = alphabet.encode(text)[:, None]
    batch = Batch(alphabet.one_hot(numbers[:-1]), numbers[1:])
    return one_batch(name, summary or "predict the next symbol of a text", batch, alphabet)


def hello() -> Task:
    """Predict "ihello" from "hihell": the smallest task that needs a memory, because after h comes first i and then e, after
    l first l and then o. From the labs of DeepLearningZeroToAll (Sung Kim).

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((6, 1, 5), 'ihello')
    """
    return next_symbol("hihello", symbols="hielo", name="hello", summary="read 'hihell', predict 'ihello'")


def sentence(text: str = " if you want you") -> Task:
    """Predict the next letter of " if you want you": inputs (15, 1, 10). Without memory the least loss is 0.2773, because i, y
    or w comes after a space, and a space or the end after u. From the same labs.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.sentence()
    >>> task.inputs.shape, round(task.bounds["without memory"], 4)
    ((15, 1, 10), 0.2773)
    """
    return next_symbol(text, name="sentence", summary=f"read {text!r} letter by letter, predict the next")


def words(text: str = "I want to play basketball") -> Task:
    """Predict the next word of a sentence: inputs (words - 1, 1, different words). No word comes twice, so no memory is needed.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.words()
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((4, 1, 5), ' want to play basketball')
    """
    return next_symbol(words_of(text), name="words", summary=f"read {text!r} word by word, predict the next")


SENTENCE = (
    "a net that reads a text one letter at a time must know what came before. to guess the next of them, it keeps a few "
    "numbers, drops what does not help, and learns just which is which."
)


def long_sentence(length: int = 10, text: str = SENTENCE) -> Task:
    """Predict the next letter in all windows of a sentence of 181 letters, one window at every letter: inputs
    (length, windows, symbols), by default (10, 171, 25).

    The least loss is the entropy of a letter given the letters of its window before: 0.2380. From the same labs, with another
    sentence.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.long_sentence()
    >>> task.inputs.shape, round(task.bounds["all windows by heart"], 4)
    ((10, 171, 25), 0.238)
    """
    bounds = {"all windows by heart": window_entropy(text, length)}
    alphabet = Alphabet.of(text)
    numbers = alphabet.encode(text)
    places = np.arange(len(text) - length) + np.arange(length)[:, None]
    batch = Batch(alphabet.one_hot(numbers[places]), numbers[places + 1])
    summary = f"the next letter in each window of {length} of a sentence of {len(text)}"
    return one_batch("long_sentence", summary, batch, alphabet, bounds)


def sine(length: int = 40, period: float = 20) -> Task:
    """Predict the next value of a sine of random phase: inputs and targets (length, B, 1), x_t = sin(2 pi t / period + phase).

    Bounds, mean squared errors with w = 2 pi / period: 1/2 for always 0; 1 - cos w for repeating the last value; and the
    least, sin(w)^2 / (2 length), because at the first step it is unknown if the curve rises or falls.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.sine()
    >>> batch = task.sample(2, np.random.default_rng(0))
    >>> batch.inputs.shape, bool((batch.inputs[1:] == batch.targets[:-1]).all())
    ((40, 2, 1), True)
    """
    whole("length", length)
    if not period > 2:
        raise ValueError(f"period is {period!r}; it must be more than 2 steps, or the values do not show the curve")
    w = 2 * math.pi / period

    def sample(n: int, rng: np.random.Generator) -> Batch:
        phase = rng.uniform(0, 2 * math.pi, n)
        values = np.sin(np.arange(length + 1)[:, None] * w + phase).astype(np.float32)[..., None]
        return Batch(values[:-1], values[1:])

    return Task(
        "sine", "the next value of a sine of random phase", "steps", "mse", 1, 1, sample,
        {"always 0": 0.5, "it stays as it is": 1 - math.cos(w), "the least there is": math.sin(w) ** 2 / (2 * length)},
    )  # fmt: skip


def marked(length: int, rng: np.random.Generator, n: int) -> tuple[Batch, np.ndarray]:
    """Return numbers from (0, 1) with marks at two of them, one in each half; and these two numbers, (2, n)."""
    inputs = np.zeros((length, n, 2), np.float32)
    inputs[:, :, 0] = rng.random((length, n), dtype=np.float32)
    half = length // 2
    places = np.stack([rng.integers(half, size=n), rng.integers(half, length, size=n)])
    inputs[places, np.arange(n), 1] = 1
    return Batch(inputs, np.empty(0)), inputs[places, np.arange(n), 0]


def adding(length: int = 100) -> Task:
    """Add two marked numbers among many: inputs (length, B, 2), a number from (0, 1) and 1 if it is marked, else 0; targets
    (B, 1). One number is marked in each half.

    Hochreiter and Schmidhuber (1997), experiment 4, in the form of Arjovsky, Shah and Bengio (2016). The mean squared error
    of always 1 is 1/6, the variance of the sum.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> batch = rnn.tasks.adding(6).sample(3, np.random.default_rng(0))
    >>> bool(np.allclose((batch.inputs[..., 0] * batch.inputs[..., 1]).sum(0)[:, None], batch.targets))
    True
    """
    whole("length", length, least=2)

    def sample(n: int, rng: np.random.Generator) -> Batch:
        batch, pair = marked(length, rng, n)
        return batch._replace(targets=pair.sum(0)[:, None])

    return Task("adding", "the sum of the two marked numbers", "last", "mse", 2, 1, sample, {"always 1": 1 / 6})


def multiplication(length: int = 100) -> Task:
    """Multiply two marked numbers among many; the data are as in `adding`. Hochreiter and Schmidhuber (1997), experiment 5. The
    mean squared error of always 1/4 is 7/144, the variance of the product: 1/3 * 1/3 - 1/16.

    >>> import minigrad_rnn as rnn
    >>> rnn.tasks.multiplication().bounds
    {'always 1/4': 0.04861111111111111}
    """
    whole("length", length, least=2)

    def sample(n: int, rng: np.random.Generator) -> Batch:
        batch, pair = marked(length, rng, n)
        return batch._replace(targets=pair.prod(0)[:, None])

    bounds = {"always 1/4": 7 / 144}
    return Task("multiplication", "the product of the two marked numbers", "last", "mse", 2, 1, sample, bounds)


def copy_memory(delay: int = 20, length: int = 10, symbols: int = 8) -> Task:
    """Read `length` letters, wait until a "|" after `delay` steps, and then repeat them: T = delay + 2 length, inputs
    (T, B, symbols + 2), targets (T, B). A "." means that there is nothing to read or to repeat.

    Hochreiter and Schmidhuber (1997) in the form of Arjovsky, Shah and Bengio (2016). Without memory the least loss is
    length * ln(symbols) / T.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.copy_memory(delay=4, length=3)
    >>> batch = task.sample(1, np.random.default_rng(1))
    >>> task.alphabet.decode(batch.inputs[:, 0].argmax(-1)), task.alphabet.decode(batch.targets[:, 0])
    ('deg...|...', '.......deg')
    """
    whole("delay", delay)
    whole("length", length)
    whole("symbols", symbols, least=2, most=26)
    alphabet = Alphabet(string.ascii_lowercase[:symbols] + ".|")
    blank, size, T = symbols, symbols + 2, delay + 2 * length

    def sample(n: int, rng: np.random.Generator) -> Batch:
        letters = rng.integers(symbols, size=(length, n))
        inputs, targets = np.full((2, T, n), blank)
        inputs[:length] = targets[-length:] = letters
        inputs[length + delay - 1] = blank + 1
        return Batch(alphabet.one_hot(inputs), targets)

    return Task(
        "copy_memory", f"repeat {length} letters after {delay} steps", "steps", "cross_entropy", size, size, sample,
        {MEMORYLESS: length * math.log(symbols) / T}, alphabet,
    )  # fmt: skip


def temporal_order(length: int = 50) -> Task:
    """Find the order of two letters X or Y among others: inputs (length, B, 8), targets (B,): XX, XY, YX or YY.

    The first is in the second tenth of the sequence, the other in the sixth. The sequence begins with E and ends with B; the
    rest is a, b, c and d. Hochreiter and Schmidhuber (1997), experiment 6a, with one length.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.temporal_order(20)
    >>> batch = task.sample(1, np.random.default_rng(0))
    >>> task.source_alphabet.decode(batch.inputs[:, 0].argmax(-1)), task.alphabet.decode(batch.targets)
    ('EccXbaaaadYdccdccccB', 'XY')
    """
    whole("length", length, least=10)
    source, classes = Alphabet("abcdXYEB"), Alphabet(["XX", "XY", "YX", "YY"])

    def sample(n: int, rng: np.random.Generator) -> Batch:
        inputs = rng.integers(4, size=(length, n))
        inputs[0], inputs[-1] = source.number["E"], source.number["B"]
        marks = rng.integers(2, size=(2, n))
        for mark, begin, end in zip(marks, (length // 10, length // 2), (length // 5, length * 3 // 5), strict=True):
            inputs[rng.integers(begin, end, size=n), np.arange(n)] = source.number["X"] + mark
        return Batch(source.one_hot(inputs), 2 * marks[0] + marks[1])

    return Task(
        "temporal_order", "which of two signals came first, which second", "last", "cross_entropy", 8, 4, sample,
        {"every class equally likely": math.log(4), "a guess (accuracy)": 0.25}, classes, source,
    )  # fmt: skip


def parity(length: int = 20) -> Task:
    """Find the parity of the number of ones so far, at each step: inputs and targets (length, B, 1), 0 or 1. Each target is the
    exclusive or of the input and the target before; without that memory the least loss is ln 2.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> batch = rnn.tasks.parity(6).sample(1, np.random.default_rng(0))
    >>> batch.inputs[:, 0, 0].tolist(), batch.targets[:, 0, 0].tolist()
    ([1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    """
    whole("length", length)

    def sample(n: int, rng: np.random.Generator) -> Batch:
        bits = rng.integers(2, size=(length, n, 1))
        return Batch(bits.astype(np.float32), (bits.cumsum(0) % 2).astype(np.float32))

    bounds = {"0 and 1 equally likely": math.log(2)}
    return Task("parity", "is the number of ones up to here odd?", "steps", "binary", 1, 1, sample, bounds)


def language(
    name: str, summary: str, grammar: Grammar, make: Callable[[np.random.Generator], str], bounds: Mapping[str, float]
) -> Task:
    """Return the task of predicting the next symbol in strings of a grammar."""

    def sample(n: int, rng: np.random.Generator) -> Batch:
        return grammar.batch([make(rng) for _ in range(n)])

    size = len(grammar.alphabet)
    bounds = {GUESS: math.log(size), **bounds}
    return Task(name, summary, "steps", "cross_entropy", size, size, sample, bounds, grammar.alphabet, grammar=grammar)


def embedded_reber() -> Task:
    """Predict the next symbol of an embedded Reber string: B, then T or P, a string of Reber's grammar, the same T or P, E.
    Inputs (T, B, 7), targets (T, B), strings of 9 symbols and more, padded.

    Where two symbols can come next, both are equally likely. This entropy, divided by the mean number of symbols, is the
    least loss. A model that uses the grammar but does not keep the second symbol has one more guess. Reber (1967);
    Hochreiter and Schmidhuber (1997), experiment 1. `Grammar.correct` evaluates predictions.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.embedded_reber()
    >>> batch = task.sample(3, np.random.default_rng(0))
    >>> batch.lengths.tolist(), task.alphabet.decode(batch.targets[: batch.lengths[0], 0])
    ([10, 8, 11], 'PBTSSXSEPE')
    """
    grammar = grammars.embedded_reber
    nats, symbols = grammar.entropy()
    bounds = {"the second symbol forgotten": (nats + math.log(2)) / symbols, "the least there is": nats / symbols}
    return language("embedded_reber", "the next symbol of an embedded Reber string", grammar, grammar.sample, bounds)


def continual_reber(length: int = 100) -> Task:
    """Predict the next symbol of embedded Reber strings that follow each other without a separator: inputs (length, B, 7),
    targets (length, B). Each sequence begins with a whole string and ends with a part of one.

    Gers, Schmidhuber and Cummins (2000), who showed with this task that an LSTM needs a forget gate.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.continual_reber(20)
    >>> batch = task.sample(1, np.random.default_rng(0))
    >>> task.alphabet.decode(batch.targets[:, 0])
    'PBTSSXSEPEBPBPVVEPEB'
    """
    whole("length", length)
    grammar = grammars.continual_reber
    nats, symbols = grammar.entropy(length + 1)
    summary = "the next symbol of embedded Reber strings without end"

    def make(rng: np.random.Generator) -> str:
        return grammar.sample(rng, length + 1)

    return language("continual_reber", summary, grammar, make, {"the least there is": nats / symbols})


def anbn(most: int = 10, least: int = 1) -> Task:
    """Predict the next symbol of S a...a b...b T, with as many b as a: inputs (T, B, 4), targets (T, B), padded. The number n
    of a is uniform from `least` to `most`. After the first b, a model that counts is certain. Test it with larger numbers
    than in training (Gers and Schmidhuber 2001).

    The least loss is ln(most - least + 1), divided by the mean number of symbols after the S, least + most + 1.
    `grammars.anbn` has the symbols that can come next.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.anbn(most=5)
    >>> batch = task.sample(2, np.random.default_rng(0))
    >>> [task.alphabet.decode(batch.targets[:n, b]) for b, n in enumerate(batch.lengths)]
    ['aaaaabbbbbT', 'aaaabbbbT']
    """
    whole("least", least)
    whole("most", most, least)

    def make(rng: np.random.Generator) -> str:
        n = int(rng.integers(least, most + 1))
        return "S" + n * "a" + n * "b" + "T"

    bounds = {"the least there is": math.log(most - least + 1) / (least + most + 1)}
    return language("anbn", "as many b as there were a", grammars.anbn, make, bounds)


def binary_addition(bits: int = 8) -> Task:
    """Add two binary numbers, one bit at each step, lowest bit first: inputs (bits + 1, B, 2), targets (bits + 1, B, 1), 0 or
    1. At the last step both inputs are 0, and the target is the carry.

    The loss of a guess is ln 2. Without memory of the carry c, with P(c_0) = 0 and P(c_t+1) = 1/4 + P(c_t) / 2, the least
    loss is the entropy of the target given the two bits.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> batch = rnn.tasks.binary_addition(3).sample(1, np.random.default_rng(0))
    >>> batch.inputs[:, 0].T.tolist(), batch.targets[:, 0, 0].tolist()     # 6 + 5 = 11
    ([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]], [1.0, 1.0, 0.0, 1.0])
    """
    whole("bits", bits, most=62)
    carry = (1 - 0.5 ** np.arange(bits + 1)) / 2
    zeros = bits / 4 + 1  # steps with two zeros, the last among them
    chance = np.array([(carry[:-1].sum() / 4 + carry[-1]) / zeros, carry[:-1].mean()])
    memoryless = -(xlogx(chance) + xlogx(1 - chance)) @ [zeros, bits * 3 / 4] / (bits + 1)

    def sample(n: int, rng: np.random.Generator) -> Batch:
        return added(rng.integers(2**bits, size=(2, n)), bits)

    return Task(
        "binary_addition", "add two binary numbers, lowest bit first", "steps", "binary", 2, 1, sample,
        {"0 and 1 equally likely": math.log(2), MEMORYLESS: float(memoryless)},
    )  # fmt: skip


def binary_pairs(bits: int) -> Batch:
    """Return all pairs of numbers with `bits` bits, to test a model of `binary_addition` on pairs that it was not trained on.
    `bits` is at most 10: a million pairs.

    >>> import minigrad_rnn as rnn
    >>> rnn.tasks.binary_pairs(3).inputs.shape
    (4, 64, 2)
    """
    whole("bits", bits, most=10)
    return added(np.indices((2**bits, 2**bits)).reshape(2, -1), bits)


def added(pairs: np.ndarray, bits: int) -> Batch:
    """Return pairs of numbers and their sums as a batch of bits."""
    places = np.arange(bits + 1)[:, None]
    first, second = (((numbers >> places) & 1).astype(np.float32) for numbers in pairs)
    answer = ((pairs.sum(0) >> places) & 1).astype(np.float32)
    return Batch(np.stack([first, second], axis=-1), answer[..., None])


def decimal_addition(digits: int = 3, reverse: bool = True) -> Task:
    """Translate "12+345" to "357": inputs (2 digits + 1, B, 12), targets (digits + 1, B), both padded with spaces. Each number
    has 1 to `digits` digits, all equally likely, and no leading zeros. ``reverse=True`` reads the question backwards, which
    makes it easier to learn. The space is also the `start` of the decoder.

    See Sutskever, Vinyals and Le (2014) for the reversal, and the example `addition_rnn` of Keras. Bounds: ln 12 for a guess;
    for up to 4 digits, the entropy of the answer without the question, divided by its digits + 1 symbols.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.decimal_addition(reverse=False)
    >>> batch = task.sample(1, np.random.default_rng(0))
    >>> task.alphabet.decode(batch.inputs[:, 0].argmax(-1)), task.alphabet.decode(batch.targets[:, 0])
    ('511+26 ', '537 ')
    """
    whole("digits", digits, most=18)
    alphabet = Alphabet("0123456789+ ")
    bounds = {GUESS: math.log(12)}
    if digits <= 4:
        chances = np.zeros(10**digits)
        for many in range(1, digits + 1):
            chances[: 10**many] += 1 / (digits * 10**many)
        bounds["the question not read"] = float(-xlogx(np.convolve(chances, chances)).sum() / (digits + 1))

    def sample(n: int, rng: np.random.Generator) -> Batch:
        numbers = rng.integers(10 ** rng.integers(1, digits + 1, size=(n, 2))).tolist()
        questions = [f"{a}+{b}".ljust(2 * digits + 1)[:: -1 if reverse else 1] for a, b in numbers]
        return translated(questions, [str(a + b).ljust(digits + 1) for a, b in numbers], alphabet, alphabet)

    return Task(
        "decimal_addition", "translate '12+345' to '357'", "translate", "cross_entropy", 12, 12, sample,
        bounds, alphabet, start=alphabet.number[" "],
    )  # fmt: skip


def digits_to_letters(length: int = 7) -> Task:
    """Translate "3014159" to "dabebfj", digit by digit, after reading all of them: inputs (length, B, 10), targets (length, B).
    The targets are the letters a to j. An eleventh symbol, a space, is the `start` of the decoder.

    See Cho et al. (2014) and Sutskever, Vinyals and Le (2014) for the wiring. Without the digits the least loss is ln 10.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.digits_to_letters()
    >>> batch = task.sample(1, np.random.default_rng(0))
    >>> task.source_alphabet.decode(batch.inputs[:, 0].argmax(-1)), task.alphabet.decode(batch.targets[:, 0])
    ('8652300', 'igfcdaa')
    """
    whole("length", length)
    source, letters = Alphabet(string.digits), Alphabet("abcdefghij ")

    def sample(n: int, rng: np.random.Generator) -> Batch:
        numbers = rng.integers(10, size=(length, n))
        return Batch(source.one_hot(numbers), numbers)

    return Task(
        "digits_to_letters", f"translate {length} digits to the letters a to j", "translate", "cross_entropy", 10, 11,
        sample, {"every letter equally likely": math.log(10)}, letters, source, start=letters.number[" "],
    )  # fmt: skip


def translated(questions: Sequence[str], answers: Sequence[str], source: Alphabet, target: Alphabet) -> Batch:
    """Return questions and answers, each of one length, as a batch."""
    read, said = (np.array([a.encode(text) for text in texts]).T for a, texts in ((source, questions), (target, answers)))
    return Batch(source.one_hot(read), said)


def is_task(value: object) -> bool:
    """Return True for a function of this module that returns a Task and needs no argument."""
    if not inspect.isfunction(value) or value.__module__ != __name__ or value.__annotations__.get("return") != "Task":
        return False
    return all(parameter.default is not parameter.empty for parameter in inspect.signature(value).parameters.values())


TASKS: dict[str, Callable[..., Task]] = {name: value for name, value in globals().items() if is_task(value)}
__all__.extend(TASKS)


def __dir__() -> list[str]:
    return __all__
