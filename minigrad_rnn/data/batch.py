"""Batches of sequences, and sources of batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minigrad.arrays import array_of, is_lazy

from .sequences import IGNORED, is_list, padded_pair

__all__ = ["IGNORED", "Batch", "Examples", "Fixed", "Generated", "Shuffled", "Source"]


class Batch(NamedTuple):
    """A batch of B sequences.

    `inputs` has shape (T, B, I), float32, or (T, B), integers. `targets` are class indices (T, B) or numbers (T, B, O), or,
    with one target for each sequence, (B,) or (B, O). `lengths` (B,) are the lengths of sequences that are padded at their
    end, None if all have T steps. The padding never counts, in the inputs and in targets at each step. Other targets that
    do not count are IGNORED.
    """

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None

    def __repr__(self) -> str:
        parts = (f"{name} {np.shape(a)} {np.asarray(a).dtype}" for name, a in self._asdict().items() if a is not None)
        return f"Batch({', '.join(parts)})"

    @property
    def size(self) -> int:
        """The number of sequences, B."""
        return int(self.inputs.shape[1])

    def take(self, sequences: Any, *, axis: int | None = None) -> Batch:
        """Return the batch of some of the sequences, given by their indices or by a slice.

        `axis` is the axis of the sequences in the targets: 1 in (T, B) and (T, B, O), 0 in (B,) and (B, O). You need it only
        if the shapes are ambiguous, as for integers (5, 5) and 5 sequences; without it that is a ValueError.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> batch = rnn.tasks.adding(6).sample(4, np.random.default_rng(0))
        >>> batch.take([3, 0]).inputs.shape, batch.take([3, 0]).targets.shape
        ((6, 2, 2), (2, 1))
        """
        if axis is None and len(axes := self.target_axes()) > 1:
            raise ValueError(
                f"targets of shape {self.targets.shape} for {self.size} sequences can be class indices at each step, (T, B), "
                "or one target for each sequence, (B, O); choose with axis=1 or axis=0"
            )
        axis = axes[0] if axis is None else axis
        targets = self.targets[(slice(None),) * axis + (sequences,)]
        return Batch(self.inputs[:, sequences], targets, None if self.lengths is None else self.lengths[sequences])

    def target_axes(self) -> list[int]:
        """Return the axes of the targets that can be the axis of the sequences; ValueError if there is none."""
        shape, B = self.targets.shape, self.size
        axes = [axis for axis in (0, 1) if shape[axis : axis + 1] == (B,) and axis >= len(shape) - 2]
        if not axes:
            first = "; with the batch first, give np.swapaxes(inputs, 0, 1)" if shape[:1] == self.inputs.shape[:1] else ""
            raise ValueError(
                f"targets of shape {shape} do not fit inputs of shape {self.inputs.shape}, {B} sequences of {len(self.inputs)} "
                f"steps; expected (T, B), (T, B, O), (B,) or (B, O), with B = {B}{first}"
            )
        return axes[:1] if self.targets.dtype.kind == "f" else axes  # numbers (T, B) would have a last axis O

    @classmethod
    def of(cls, data: Any) -> Batch:
        """Make a batch from arrays, or from a list of sequences, which may have different lengths.

        Arrays are (inputs, targets) or (inputs, targets, lengths), with the shapes described above; Tensors become arrays.

        The inputs can also be a list with a sequence for each example: integers (T,), or numbers (T,) or (T, I). Its targets
        are labels, a class or numbers for each sequence, or tags, a list as long as the sequence. A list of sequences
        alone is to be continued: the target at each step is the next element.

        Raises ValueError if the shapes do not fit together, with the index of the sequence.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> rnn.Batch.of((np.zeros((5, 3, 2)), [0, 1, 2])).size
        3
        >>> rnn.Batch.of(([[4, 5, 6], [7]], [0, 1]))                               # labelled
        Batch(inputs (3, 2) int64, targets (2,) int64, lengths (2,) int64)
        >>> rnn.Batch.of(([[4, 5, 6], [7]], [[0, 0, 1], [1]])).targets.T.tolist()  # tagged
        [[0, 0, 1], [1, -100, -100]]
        >>> rnn.Batch.of([[4, 5, 6], [7, 8]]).targets.T.tolist()                   # continued
        [[5, 6], [8, -100]]
        """
        if is_list(data) and not isinstance(data, tuple):
            data = (data, None)
        if not isinstance(data, tuple) or len(data) not in (2, 3):
            raise TypeError(
                "a batch must be (inputs, targets) or (inputs, targets, lengths), or a list of sequences, "
                f"not {type(data).__name__}"
            )
        inputs, targets, lengths = (*data, None)[:3]
        if is_list(inputs):
            if lengths is not None:
                raise ValueError(
                    "a list of sequences has its own lengths; leave them out, or give an array with the time first"
                )
            inputs, targets, lengths = padded_pair(inputs, targets)
        batch = cls(np.asarray(inputs), np.asarray(targets), None if lengths is None else np.asarray(lengths))
        shape, kind = batch.inputs.shape, batch.inputs.dtype.kind
        if len(shape) != 3 and not (len(shape) == 2 and kind in "iu"):
            raise ValueError(f"inputs have shape {shape}; expected (T, batch, features), or integers (T, batch)")
        batch.target_axes()
        return batch


class Source(ABC):
    """A source of batches. `batch(i)` is batch i of a whole training. It depends only on i and on the arguments of the source:
    a training that stops after i batches continues with `batch(i)` as if it had not stopped.

    `len(source)` is the number of batches in an epoch, so batch i is in epoch ``i // len(source)``. If `stateful`, a batch
    continues the sequences of the batch before, unless `begins(i)` is True: then they are new, with a new state.

    >>> import minigrad_rnn as rnn
    >>> source = rnn.tasks.adding(length=10).data(batch_size=4, batches=50, seed=1)
    >>> len(source), source.batch(120).inputs.shape, bool((source.batch(7).inputs == source.batch(7).inputs).all())
    (50, (10, 4, 2), True)
    """

    stateful = False
    loss: str | None = None  # the default loss of a Trainer, set by `Task.data`; None: cross-entropy, for class indices

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, i: int) -> Batch: ...

    def begins(self, i: int) -> bool:
        """Return True if new sequences begin with batch i. IndexError for a negative i."""
        return not self.stateful or self._place(i)[1] == 0

    def __repr__(self) -> str:
        numbers = {k: v for k, v in vars(self).items() if isinstance(v, int | None) and not k.startswith("_")}
        return f"<{type(self).__name__}: {', '.join([f'{len(self):,} an epoch', *(f'{k}={v}' for k, v in numbers.items())])}>"

    def _place(self, i: int) -> tuple[int, int]:
        """Return the epoch of batch i, and its index in the epoch."""
        if index(i) < 0:
            raise IndexError(f"there is no batch {i}; the index must be 0 or more, and counts through all epochs")
        return divmod(index(i), len(self))


class Fixed(Source):
    """A source that repeats one batch: an epoch is this batch.

    >>> import minigrad_rnn as rnn
    >>> source = rnn.tasks.hello().data()
    >>> len(source), source.batch(0) is source.batch(7)
    (1, True)
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return 1

    def batch(self, i: int) -> Batch:
        self._place(i)
        return self._batch


class Generated(Source):
    """A source of generated batches, all different: batch i is ``sample(batch_size, rng)``, with rng seeded by (seed, i). If it
    has lengths, it is padded to one of few numbers of steps, as those of `Examples` are.

    Raises ValueError if `batch_size` or `batches` is less than 1, or the seed is negative.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> noise = rnn.Generated(lambda n, rng: rnn.Batch(rng.random((5, n, 1)), rng.random((n, 1))), 3, batches=10)
    >>> noise.batch(0).inputs.shape, bool((noise.batch(0).inputs == noise.batch(1).inputs).any())
    ((5, 3, 1), False)
    """

    def __init__(
        self, sample: Callable[[int, np.random.Generator], Batch], batch_size: int, batches: int = 100, seed: int = 0
    ) -> None:
        self.sample = sample
        self.batch_size, self.batches, self.seed = whole("batch_size", batch_size), whole("batches", batches), seed
        whole("seed", seed, least=0)

    def __len__(self) -> int:
        return self.batches

    def batch(self, i: int) -> Batch:
        self._place(i)
        return of_few_lengths(self.sample(self.batch_size, np.random.default_rng([self.seed, i])))


class Shuffled(Source):
    """A source of `count` examples, each once in an epoch, shuffled for each epoch; the last batch may be smaller.
    ``seed=None`` keeps their order. Subclasses define ``take(numbers)``, which returns the batch of these examples."""

    def __init__(self, count: int, batch_size: int, seed: int | None = 0) -> None:
        self.count, self.batch_size, self.seed = whole("count", count), whole("batch_size", batch_size), seed
        if seed is not None:
            whole("seed", seed, least=0)
        self._order: tuple[int, np.ndarray] | None = None  # of the last epoch that was used

    @abstractmethod
    def take(self, numbers: np.ndarray) -> Batch: ...

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batch(self, i: int) -> Batch:
        epoch, place = self._place(i)
        chosen = np.arange(place * self.batch_size, min((place + 1) * self.batch_size, self.count))
        if self.seed is None:
            return self.take(chosen)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self.shuffled(np.random.default_rng([self.seed, epoch]))
        return self.take(self._order[1][chosen])

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Return the examples in the order of an epoch."""
        return rng.permutation(self.count)


class Examples(Shuffled):
    """A source of small batches from one big batch, or from what `Batch.of` makes one of, shuffled for each epoch
    (``seed=None``: in their order). `axis` is the axis of the sequences in the targets, if their shape is ambiguous; see
    `Batch.take`.

    Sequences of different lengths are batched by length: a batch has sequences of about the same length, and little padding.
    Its number of steps is one of few, so that a `Trainer` compiles few programs: up to 8 it is the longest length, above that
    at most a quarter more.

    >>> import minigrad_rnn as rnn
    >>> years = rnn.series.windows(rnn.series.sunspots().values[:, 1], length=10)
    >>> source = rnn.Examples(years, batch_size=32)
    >>> years.inputs.shape, len(source), source.batch(0).inputs.shape, source.batch(9).inputs.shape
    ((10, 299, 1), 10, (10, 32, 1), (10, 11, 1))
    >>> names = rnn.Examples(([[1, 2, 3], [4], [5], [6, 7, 8]], [0, 1, 1, 0]), batch_size=2)
    >>> sorted(names.batch(i).inputs.shape for i in range(2))
    [(1, 2), (3, 2)]
    """

    def __init__(self, examples: Any, batch_size: int, seed: int | None = 0, *, axis: int | None = None) -> None:
        self.examples = examples if isinstance(examples, Batch) else Batch.of(examples)
        super().__init__(self.examples.size, batch_size, seed)
        self.axis = axis
        self.take(np.arange(0))  # raises an error for ambiguous targets

    def take(self, numbers: np.ndarray) -> Batch:
        return of_few_lengths(self.examples.take(numbers, axis=self.axis))

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        order = super().shuffled(rng)
        if self.examples.lengths is None:
            return order
        order = order[np.argsort(self.examples.lengths[order], kind="stable")]
        batches = [rng.permutation(order[i : i + self.batch_size]) for i in range(0, self.count, self.batch_size)]
        full = self.count // self.batch_size  # a smaller batch is the last
        return np.concatenate([*(batches[i] for i in rng.permutation(full)), *batches[full:]])


def of_few_lengths(batch: Batch) -> Batch:
    """Return a batch with less or more padding: its number of steps is at least its longest length, and one of few."""
    T, B = batch.inputs.shape[:2]
    if batch.lengths is None or not B or T == 1:
        return batch
    steps, targets = rounded_up(min(int(batch.lengths.max()), T)), batch.targets
    if targets.shape[:2] == (T, B):  # at each step, or another sequence, as long
        ignored = IGNORED if targets.dtype.kind in "iu" else 0
        if (targets[steps:] != ignored).any():
            return batch
        targets = resized(targets, steps, ignored)
    return Batch(resized(batch.inputs, steps, 0), targets, batch.lengths)


def resized(array: np.ndarray, steps: int, value: int) -> np.ndarray:
    """Return this many steps of an array, the last of them filled with the value if it has fewer."""
    more = [(0, max(steps - len(array), 0))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array[:steps], more, constant_values=value) if more[0][1] else array[:steps]


def rounded_up(longest: int) -> int:
    """Return a number of steps for sequences up to this length: the length itself up to 8, then one of few, a quarter more at
    most."""
    coarse: int = 2 ** max(longest.bit_length() - 3, 0)
    return -(-longest // coarse) * coarse


def step_mask(lengths: ArrayLike | None, T: int, batch: int) -> np.ndarray | None:
    """Return a mask (T, batch) that is False in the padding, or None without padding. ValueError unless the lengths are from
    1 to T."""
    if lengths is None:
        return None
    numbers = checked_lengths(lengths, batch)
    if numbers.size and (numbers.min() < 1 or numbers.max() > T):
        raise ValueError(f"lengths must be from 1 to T={T}, the steps of the input, not {numbers.min()} to {numbers.max()}")
    if not is_lazy(numbers) and (numbers == T).all():
        return None
    mask: np.ndarray = np.arange(T)[:, None] < numbers
    return mask


def checked_lengths(lengths: ArrayLike, batch: int) -> np.ndarray:
    """Return the lengths as an array; ValueError unless there is an integer for each sequence."""
    numbers = array_of(lengths)
    if numbers.shape != (batch,) or numbers.dtype.kind not in "iu":
        raise ValueError(f"lengths must be {batch} integers, one a sequence, not {numbers.dtype} of shape {numbers.shape}")
    return numbers


def cleared(sequences: Any, lengths: ArrayLike | None) -> Any:
    """Return arrays or Tensors (T, batch, ...) with zeros in the padding."""
    mask = step_mask(lengths, *sequences.shape[:2])
    if mask is None:
        return sequences
    return np.where(mask.reshape(mask.shape + (1,) * (sequences.ndim - 2)), sequences, 0)


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return the value as an int; an error unless it is a whole number from `least` to `most`."""
    expected = f"a whole number from {least} " + ("on" if most is None else f"to {most}")
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected {expected}") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name} is {value!r}; expected {expected}")
    return number
