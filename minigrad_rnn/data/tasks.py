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
    """What a model is to learn, and where the data come from: ``sample(n, rng)`` are n sequences, a Batch.

    `wiring` says when an answer is due: "steps", at each; "last", one after the last; "translate", a sequence of its own,
    by a decoder that is first fed the symbol number `start` and then its own words. `loss` says how it is compared with
    the target: "cross_entropy" of logits with class numbers, "mse" of numbers, "binary" cross-entropy of logits with 0 or 1.
    `bounds` are losses that need no training to know (one that is an accuracy says so), by what they are the loss of;
    those of a cross-entropy in nats an answer.

    A task of symbols has an `alphabet` of those it answers, and a `source_alphabet` of those it reads, mostly the same. A
    task of one fixed batch has `inputs` and `targets`. A task of a formal language has its `grammar`.

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
        """Batches to train on, `batches` an epoch. Of a task that is one fixed batch this batch, whatever the arguments.
        They know the task's `loss`.

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
        """What the class numbers of the answers mean."""
        return self._symbols(self.answers)

    @property
    def source_alphabet(self) -> Alphabet:
        """What the one-hot inputs mean."""
        return self._symbols(self.reads or self.answers)

    @property
    def inputs(self) -> np.ndarray:
        """The inputs of the one batch that the task is."""
        return self._one().inputs

    @property
    def targets(self) -> np.ndarray:
        """The targets of the one batch that the task is."""
        return self._one().targets

    def _symbols(self, alphabet: Alphabet | None) -> Alphabet:
        if alphabet is None:
            raise AttributeError(f"the task {self.name} has no alphabet: it is made of numbers")
        return alphabet

    def _one(self) -> Batch:
        if self.fixed is None:
            raise AttributeError(f"the task {self.name} is not one fixed batch; use sample(n, rng), or data(batch_size)")
        return self.fixed


def one_batch(name: str, summary: str, batch: Batch, alphabet: Alphabet, bounds: Mapping[str, float] | None = None) -> Task:
    """The task of foretelling the next symbol in this batch."""
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
    """Read a text symbol by symbol and say at each which comes next. One sequence, one-hot: inputs (T - 1, 1, I).

    The alphabet is `symbols`, by default those of the text in the order in which they appear. `text` may be a list of words.

    Bounds: ln I for a guess; for a model without memory the entropy of a symbol given the one before.

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
    return one_batch(name, summary or "read a text and say which symbol comes next", batch, alphabet)


def hello() -> Task:
    """ "hihell" to "ihello": the smallest task that needs a memory, for after h comes first i and then e, after l first l
    and then o. Known from the labs of DeepLearningZeroToAll (Sung Kim).

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((6, 1, 5), 'ihello')
    """
    return next_symbol("hihello", symbols="hielo", name="hello", summary="read 'hihell', say 'ihello'")


def sentence(text: str = " if you want you") -> Task:
    """The next letter of " if you want you": inputs (15, 1, 10). Without memory 0.2773 is the least loss, for after a space
    comes i, y or w and after u a space, then the end. From the same labs.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.sentence()
    >>> task.inputs.shape, round(task.bounds["without memory"], 4)
    ((15, 1, 10), 0.2773)
    """
    return next_symbol(text, name="sentence", summary=f"read {text!r} letter by letter, say the next")


def words(text: str = "I want to play basketball") -> Task:
    """The next word of a sentence: inputs (words - 1, 1, different words). No word comes twice, so no memory is needed.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.words()
    >>> task.inputs.shape, task.alphabet.decode(task.targets[:, 0])
    ((4, 1, 5), ' want to play basketball')
    """
    return next_symbol(words_of(text), name="words", summary=f"read {text!r} word by word, say the next")


SENTENCE = (
    "a net that reads a text one letter at a time must know what came before. to guess the next of them, it keeps a few "
    "numbers, drops what does not help, and learns just which is which."
)


def long_sentence(length: int = 10, text: str = SENTENCE) -> Task:
    """The next letter in all windows of a sentence of 181 letters, one every letter, side by side: inputs
    (length, windows, symbols), by default (10, 171, 25).

    No model is below the entropy of a letter given its window up to there: 0.2380. From the same labs, with another sentence.

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
    """The next value of a sine of random phase: inputs and targets (length, B, 1), x_t = sin(2 pi t / period + phase).

    Bounds, mean squared errors, w = 2 pi / period: always 0, 1/2; "it stays as it is", 1 - cos w; and the least, for at the
    first step nothing tells whether the curve rises or falls, sin(w)^2 / (2 length).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> task = rnn.tasks.sine()
    >>> batch = task.sample(2, np.random.default_rng(0))
    >>> batch.inputs.shape, bool((batch.inputs[1:] == batch.targets[:-1]).all())
    ((40, 2, 1), True)
    """
    whole("length", length)
    if not period > 2:
        raise ValueError(f"period is {period!r}; expected more than 2 steps, or the values do not show the curve")
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
    """Numbers from (0, 1), and marks at two of them, one in each half; and these two (2, n)."""
    inputs = np.zeros((length, n, 2), np.float32)
    inputs[:, :, 0] = rng.random((length, n), dtype=np.float32)
    half = length // 2
    places = np.stack([rng.integers(half, size=n), rng.integers(half, length, size=n)])
    inputs[places, np.arange(n), 1] = 1
    return Batch(inputs, np.empty(0)), inputs[places, np.arange(n), 0]


def adding(length: int = 100) -> Task:
    """The sum of two marked numbers among many: inputs (length, B, 2), a number from (0, 1) and whether it is marked, one in
    each half; target (B, 1).

    Hochreiter and Schmidhuber (1997), experiment 4, in the form of Arjovsky, Shah and Bengio (2016). Always 1 has a mean
    squared error of 1/6, the variance of a sum of two.

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
    """The product of two marked numbers among many: as `adding`. Hochreiter and Schmidhuber (1997), experiment 5. Always 1/4
    has a mean squared error of 7/144, the variance of the product: 1/3 * 1/3 - 1/16.

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
    """Read `length` letters, wait until a "|" after `delay` steps, and then say them: T = delay + 2 length, inputs
    (T, B, symbols + 2), targets (T, B), a "." wherever there is nothing to read or to say.

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
        "copy_memory", f"say {length} letters again after {delay} steps", "steps", "cross_entropy", size, size, sample,
        {MEMORYLESS: length * math.log(symbols) / T}, alphabet,
    )  # fmt: skip


def temporal_order(length: int = 50) -> Task:
    """Two letters X or Y among others: which came, in which order? Inputs (length, B, 8), targets (B,): XX, XY, YX or YY.

    The first is in the second tenth of the sequence, the other in the sixth; the sequence begins with E, ends with B, the
    rest is a, b, c and d. Hochreiter and Schmidhuber (1997), experiment 6a, at one length.

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
    """Whether the number of ones up to here is odd, at each step: inputs and targets (length, B, 1), 0 or 1. The answer is
    one step of an exclusive or from the last; who forgets it has to guess, ln 2.

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
    """The task of foretelling the next symbol in strings of a grammar."""

    def sample(n: int, rng: np.random.Generator) -> Batch:
        return grammar.batch([make(rng) for _ in range(n)])

    size = len(grammar.alphabet)
    bounds = {GUESS: math.log(size), **bounds}
    return Task(name, summary, "steps", "cross_entropy", size, size, sample, bounds, grammar.alphabet, grammar=grammar)


def embedded_reber() -> Task:
    """The next symbol of an embedded Reber string: B, then T or P, a string of Reber's grammar, the T or P again, E. Inputs
    (T, B, 7), targets (T, B), strings of 9 symbols and more, padded.

    Where two symbols may come next, both come equally often; that uncertainty, over the mean number of symbols, is the least
    loss there is. Who knows the grammar but not the second symbol has to guess once more. Reber (1967); Hochreiter and
    Schmidhuber (1997), experiment 1. `grammars` judges the predictions.

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
    """The next symbol of embedded Reber strings that follow each other without a sign: inputs (length, B, 7), targets
    (length, B). Each sequence begins with a string; the last is cut off.

    Gers, Schmidhuber and Cummins (2000), who showed with it that an LSTM has to be able to forget.

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
    """The next symbol of S a...a b...b T, as many b as a: inputs (T, B, 4), targets (T, B), padded. How many is uniform from
    `least` to `most`; after the first b all is certain for a model that counts. With larger numbers than it has seen, does
    it still? Gers and Schmidhuber (2001).

    The least loss is the ln of how many numbers there are, over the least + most + 1 symbols that a string has on average
    after the S. `grammars.anbn` knows which symbols may come next.

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
    """The sum of two binary numbers, from the lowest bit on, at each step a bit of it: inputs (bits + 1, B, 2), targets
    (bits + 1, B, 1), 0 or 1. At the last step both inputs are 0, and the answer is the carry.

    A guess has ln 2. Without memory of the carry c, of which P(c_0) = 0 and P(c_t+1) = 1/4 + P(c_t) / 2 are known, the least
    loss is the entropy of the answer given the two bits.

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
    """All pairs of numbers of so many bits, for `binary_addition`: has a model that saw some learnt to add? `bits` is at most
    10: a million pairs.

    >>> import minigrad_rnn as rnn
    >>> rnn.tasks.binary_pairs(3).inputs.shape
    (4, 64, 2)
    """
    whole("bits", bits, most=10)
    return added(np.indices((2**bits, 2**bits)).reshape(2, -1), bits)


def added(pairs: np.ndarray, bits: int) -> Batch:
    places = np.arange(bits + 1)[:, None]
    first, second = (((numbers >> places) & 1).astype(np.float32) for numbers in pairs)
    answer = ((pairs.sum(0) >> places) & 1).astype(np.float32)
    return Batch(np.stack([first, second], axis=-1), answer[..., None])


def decimal_addition(digits: int = 3, reverse: bool = True) -> Task:
    """ "12+345" to "357": inputs (2 digits + 1, B, 12), targets (digits + 1, B), both filled up with spaces. Each number has
    1 to `digits` digits, each digit equally likely, and is written without zeros before it. ``reverse=True`` reads the
    question backwards, which helps to learn it. The space is also the `start` of the decoder.

    Sutskever, Vinyals and Le (2014) for the reversal; as the example `addition_rnn` of Keras. Bounds: ln 12 for a guess; up to
    4 digits, what an answer is uncertain by to one who has not read the question, over its digits + 1 symbols.

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
        "decimal_addition", "read '12+345', say '357'", "translate", "cross_entropy", 12, 12, sample,
        bounds, alphabet, start=alphabet.number[" "],
    )  # fmt: skip


def digits_to_letters(length: int = 7) -> Task:
    """ "3014159" to "dabebfj", digit by digit, once all are read: inputs (length, B, 10), targets (length, B). The answers are
    the letters a to j; an eleventh symbol, a space, is the `start` of the decoder.

    Cho et al. (2014) and Sutskever, Vinyals and Le (2014) for the wiring. Who has not read the digits is uncertain by ln 10.

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
        "digits_to_letters", f"read {length} digits, say them in the letters a to j", "translate", "cross_entropy", 10, 11,
        sample, {"every letter equally likely": math.log(10)}, letters, source, start=letters.number[" "],
    )  # fmt: skip


def translated(questions: Sequence[str], answers: Sequence[str], source: Alphabet, target: Alphabet) -> Batch:
    """Questions and answers, each of one length, as a batch."""
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
