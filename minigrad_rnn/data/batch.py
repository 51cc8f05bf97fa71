"""Batches, and the sources that they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["IGNORED", "Batch", "Examples", "Fixed", "Generated", "Shuffled", "Source"]

IGNORED = -100  # the target of a step that does not count; PyTorch's ignore_index


class Batch(NamedTuple):
    """B sequences side by side.

    `inputs` has shape (T, B, I), float32, or (T, B), integers. `targets` are class numbers (T, B) or numbers (T, B, O);
    where there is one answer a sequence, (B,) or (B, O). `lengths` (B,) are those of sequences padded at their end: what
    stands in the padding never counts, neither of the inputs nor, where there is an answer at each step, of the targets.
    None: all have T steps. Other class numbers that do not count are IGNORED.
    """

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None

    def __repr__(self) -> str:
        parts = (f"{name} {np.shape(a)} {np.asarray(a).dtype}" for name, a in self._asdict().items() if a is not None)
        return f"Batch({', '.join(parts)})"

    @property
    def size(self) -> int:
        """How many sequences: B."""
        return int(self.inputs.shape[1])

    def take(self, sequences: Any, *, axis: int | None = None) -> Batch:
        """The batch of these sequences: numbers or a slice.

        `axis` is that of the sequences in the targets: 1 in (T, B) and (T, B, O), 0 in (B,) and (B, O). It need be given only
        where the shapes leave it open, as for integers (5, 5) and 5 sequences; there leaving it out is a ValueError.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> batch = rnn.tasks.adding(6).sample(4, np.random.default_rng(0))
        >>> batch.take([3, 0]).inputs.shape, batch.take([3, 0]).targets.shape
        ((6, 2, 2), (2, 1))
        """
        if axis is None and len(axes := self.target_axes()) > 1:
            raise ValueError(
                f"targets of shape {self.targets.shape} for {self.size} sequences may be class numbers at each step, (T, B), "
                "or one answer a sequence, (B, O): say which with axis=1 or axis=0"
            )
        axis = axes[0] if axis is None else axis
        targets = self.targets[(slice(None),) * axis + (sequences,)]
        return Batch(self.inputs[:, sequences], targets, None if self.lengths is None else self.lengths[sequences])

    def target_axes(self) -> list[int]:
        """Which axis of the targets may be that of the sequences, by their shape; ValueError if none."""
        shape, B = self.targets.shape, self.size
        axes = [axis for axis in (0, 1) if shape[axis : axis + 1] == (B,) and axis >= len(shape) - 2]
        if not axes:
            first = "; with the batch first, give np.swapaxes(inputs, 0, 1)" if shape[:1] == self.inputs.shape[:1] else ""
            raise ValueError(
                f"targets of shape {shape} do not fit inputs of shape {self.inputs.shape}, {B} sequences of {len(self.inputs)} "
                f"steps; expected (T, B) or (T, B, O), or for one answer a sequence (B,) or (B, O), with B = {B}{first}"
            )
        return axes[:1] if self.targets.dtype.kind == "f" else axes  # numbers (T, B) would have a last axis O

    @classmethod
    def of(cls, data: Any) -> Batch:
        """A batch of a pair (inputs, targets), or of three with the lengths; lists and Tensors are made arrays.

        Raises ValueError where the shapes do not fit each other.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> rnn.Batch.of((np.zeros((5, 3, 2)), [0, 1, 2])).size
        3
        """
        if not isinstance(data, tuple) or len(data) not in (2, 3):
            raise TypeError(f"a batch is a pair (inputs, targets), or (inputs, targets, lengths), not a {type(data).__name__}")
        inputs, targets, lengths = (*data, None)[:3]
        batch = cls(np.asarray(inputs), np.asarray(targets), None if lengths is None else np.asarray(lengths))
        shape, kind = batch.inputs.shape, batch.inputs.dtype.kind
        if len(shape) != 3 and not (len(shape) == 2 and kind in "iu"):
            raise ValueError(f"inputs have shape {shape}; expected (T, batch, features), or integers (T, batch)")
        batch.target_axes()
        return batch


class Source(ABC):
    """Where batches come from. The i-th batch of a whole training run is `batch(i)`, and depends on nothing but i and what
    the source was made with: a run that stops after i batches goes on with `batch(i)` as if it had not stopped.

    `len(source)` is the number of batches in an epoch, so i belongs to epoch ``i // len(source)``. Where `stateful`, a batch
    goes on with the sequences of the batch before, unless `begins` says that they are new and the state has to be too.

    >>> import minigrad_rnn as rnn
    >>> source = rnn.tasks.adding(length=10).data(batch_size=4, batches=50, seed=1)
    >>> len(source), source.batch(120).inputs.shape, bool((source.batch(7).inputs == source.batch(7).inputs).all())
    (50, (10, 4, 2), True)
    """

    stateful = False
    loss: str | None = None  # how a Trainer compares, unless it is told; `Task.data` sets it. None: classes by cross-entropy

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, i: int) -> Batch: ...

    def begins(self, i: int) -> bool:
        """Whether new sequences begin with batch i. IndexError if there is no such batch: i is 0 or more."""
        return not self.stateful or self._place(i)[1] == 0

    def __repr__(self) -> str:
        numbers = {k: v for k, v in vars(self).items() if isinstance(v, int | None) and not k.startswith("_")}
        return f"<{type(self).__name__}: {', '.join([f'{len(self):,} an epoch', *(f'{k}={v}' for k, v in numbers.items())])}>"

    def _place(self, i: int) -> tuple[int, int]:
        """The epoch of batch i, and its number there."""
        if index(i) < 0:
            raise IndexError(f"there is no batch {i}; they count from 0 on, through all epochs")
        return divmod(index(i), len(self))


class Fixed(Source):
    """One batch, again and again: an epoch is this batch.

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
    """Batches made as they are asked for, no two the same: batch i is ``sample(batch_size, rng)``, rng seeded with (seed, i).

    Raises ValueError where `batch_size` or `batches` is not 1 or more, or the seed is negative.

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
        return self.sample(self.batch_size, np.random.default_rng([self.seed, i]))


class Shuffled(Source):
    """`count` examples in batches, all of them once an epoch, in an order of its own in each; the last batch may be smaller.
    ``seed=None`` leaves them in their order. A subclass says what the examples are: ``take(numbers) -> Batch``."""

    def __init__(self, count: int, batch_size: int, seed: int | None = 0) -> None:
        self.count, self.batch_size, self.seed = whole("count", count), whole("batch_size", batch_size), seed
        if seed is not None:
            whole("seed", seed, least=0)
        self._order: tuple[int, np.ndarray] | None = None  # of the epoch last asked for

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
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return self.take(self._order[1][chosen])


class Examples(Shuffled):
    """The sequences of one big batch in small ones, shuffled in each epoch (``seed=None``: in their order). `axis` is that of
    the sequences in the targets, where their shape leaves it open; see `Batch.take`.

    >>> import minigrad_rnn as rnn
    >>> years = rnn.series.windows(rnn.series.sunspots().values[:, 1], length=10)
    >>> source = rnn.Examples(years, batch_size=32)
    >>> years.inputs.shape, len(source), source.batch(0).inputs.shape, source.batch(9).inputs.shape
    ((10, 299, 1), 10, (10, 32, 1), (10, 11, 1))
    """

    def __init__(self, examples: Batch, batch_size: int, seed: int | None = 0, *, axis: int | None = None) -> None:
        super().__init__(examples.size, batch_size, seed)
        self.examples, self.axis = examples, axis
        self.take(np.arange(0))  # or an error

    def take(self, numbers: np.ndarray) -> Batch:
        return self.examples.take(numbers, axis=self.axis)


def step_mask(lengths: ArrayLike | None, T: int, batch: int) -> np.ndarray | None:
    """Which steps are no padding, (T, batch); None where all are not. Raises ValueError unless the lengths (batch,) are from 1
    to T."""
    if lengths is None:
        return None
    numbers = checked_lengths(lengths, batch)
    if numbers.size and (numbers.min() < 1 or numbers.max() > T):
        raise ValueError(f"lengths go from 1 to the T={T} steps of the input, these from {numbers.min()} to {numbers.max()}")
    return None if (numbers == T).all() else np.less.outer(np.arange(T), numbers)


def checked_lengths(lengths: ArrayLike, batch: int) -> np.ndarray:
    numbers = np.asarray(lengths)
    if numbers.shape != (batch,) or numbers.dtype.kind not in "iu":
        raise ValueError(f"lengths are {batch} integers, one for each sequence, not {numbers.dtype} of shape {numbers.shape}")
    return numbers


def cleared(sequences: Any, lengths: ArrayLike | None) -> Any:
    """Arrays or Tensors (T, batch, ...) with zeros in the padding."""
    mask = step_mask(lengths, *sequences.shape[:2])
    if mask is None:
        return sequences
    return np.where(mask.reshape(mask.shape + (1,) * (sequences.ndim - 2)), sequences, 0)


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """The value, if it is a whole number from `least` to `most`; else an error that says what was expected."""
    expected = f"a whole number from {least} " + ("on" if most is None else f"to {most}")
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected {expected}") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name} is {value!r}; expected {expected}")
    return number
