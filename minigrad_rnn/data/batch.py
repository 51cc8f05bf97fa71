"""Batches, and the sources that they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import index
from typing import Any, NamedTuple

import numpy as np

__all__ = ["IGNORED", "Batch", "Examples", "Fixed", "Generated", "Shuffled", "Source"]

IGNORED = -100  # the target of a step that does not count; PyTorch's ignore_index


class Batch(NamedTuple):
    """B sequences side by side.

    `inputs` has shape (T, B, I), float32, or (T, B), integers. `targets` are class numbers (T, B) or numbers (T, B, O);
    where there is one answer a sequence, (B,) or (B, O). `lengths` (B,) are those of sequences padded at their end;
    None: all have T steps. Targets that do not count are IGNORED.
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

    def take(self, sequences: Any) -> Batch:
        """The batch of these sequences: numbers or a slice.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> batch = rnn.tasks.adding(6).sample(4, np.random.default_rng(0))
        >>> batch.take([3, 0]).inputs.shape, batch.take([3, 0]).targets.shape
        ((6, 2, 2), (2, 1))
        """
        axis = self.targets.ndim - (1 if self.targets.dtype.kind in "iu" else 2)  # class numbers have no axis O
        targets = self.targets[(slice(None),) * axis + (sequences,)]
        return Batch(self.inputs[:, sequences], targets, None if self.lengths is None else self.lengths[sequences])


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
    loss = "cross_entropy"  # what a Trainer compares by, if it is not told; `Task.data` sets it

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
    """The sequences of one big batch in small ones, shuffled in each epoch (``seed=None``: in their order).

    >>> import minigrad_rnn as rnn
    >>> years = rnn.series.windows(rnn.series.sunspots().values[:, 1], length=10)
    >>> source = rnn.Examples(years, batch_size=32)
    >>> years.inputs.shape, len(source), source.batch(0).inputs.shape, source.batch(9).inputs.shape
    ((10, 299, 1), 10, (10, 32, 1), (10, 11, 1))
    """

    def __init__(self, examples: Batch, batch_size: int, seed: int | None = 0) -> None:
        super().__init__(examples.size, batch_size, seed)
        self.examples = examples

    def take(self, numbers: np.ndarray) -> Batch:
        return self.examples.take(numbers)


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
