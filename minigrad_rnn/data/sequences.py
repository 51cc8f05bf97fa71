"""Sequences of different lengths as arrays: padding, lengths, and targets that do not count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.tensor import values

__all__ = ["IGNORED", "is_list", "pad_sequences", "padded_pair"]

IGNORED = -100  # the target of a step that does not count, PyTorch's ignore_index
ENCODED = "encode it with an alphabet, as in alphabet = rnn.Alphabet.of({of}) and {code}"


def pad_sequences(sequences: Sequence[Any], padding_value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of different lengths as one array with the time first, and their lengths.

    Sequences of integers (T,) become integers (longest, batch). Sequences of numbers, (T,) or (T, I), become numbers
    (longest, batch, I). Raises ValueError, with the index of the sequence, if one is empty or is not like the first.

    >>> import minigrad_rnn as rnn
    >>> array, lengths = rnn.pad_sequences([[1, 2, 3], [4]])
    >>> array.T.tolist(), lengths.tolist()
    ([[1, 2, 3], [4, 0, 0]], [3, 1])
    """
    arrays = arrays_of(sequences)
    if any(array.dtype.kind == "f" for array in arrays):
        arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    for i, array in enumerate(arrays):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"sequence {i} has steps of shape {array.shape[1:]}, sequence 0 of shape {arrays[0].shape[1:]}; they must be "
                "equal"
            )
    lengths = np.array([len(array) for array in arrays])
    shape = (int(lengths.max()), len(arrays), *arrays[0].shape[1:])
    padded = np.full(shape, padding_value, np.result_type(*{array.dtype for array in arrays}))
    for i, array in enumerate(arrays):
        padded[: len(array), i] = array
    return padded, lengths


def arrays_of(sequences: Sequence[Any]) -> list[np.ndarray]:
    """Return each sequence as an array (T,) or (T, I); ValueError if there are none, or if they are text."""
    if not len(sequences):
        raise ValueError("there are no sequences; expected a list of at least one")
    refuse_text("the sequences are", sequences, of="''.join(texts)", code="[alphabet.encode(text) for text in texts]")
    return [steps_of(sequence, i) for i, sequence in enumerate(sequences)]


def steps_of(sequence: Any, i: int) -> np.ndarray:
    """Return sequence number i as an array (T,) or (T, I) of integers or floating-point numbers."""
    try:
        array: np.ndarray = values(sequence)
    except ValueError:
        raise ValueError(
            f"sequence {i}, a {type(sequence).__name__}, is no array, because its elements have different shapes; for inputs "
            "with targets give a tuple of both, (inputs, targets)"
        ) from None
    if array.dtype.kind not in "iufb" or array.ndim not in (1, 2):
        raise ValueError(
            f"sequence {i} is {array.dtype} of shape {array.shape}; expected integers (T,), or numbers (T,) or (T, I). "
            "A list is of sequences, an array has the time first: for a list of time steps, give np.stack(inputs)"
        )
    if not len(array):
        raise ValueError(f"sequence {i} is empty; leave it out, and its target")
    if array.dtype.kind == "f":
        return array
    return array.astype(np.intp if array.ndim == 1 else np.float32)


def is_list(x: Any) -> bool:
    """Return True for a list of sequences: a list, a tuple, or an array of objects."""
    return isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.dtype == object)


def padded_pair(sequences: Sequence[Any], targets: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the inputs, targets and lengths of a batch of sequences; see `Batch.of`."""
    if targets is None:
        sequences = arrays_of(sequences)
        if short := [i for i, sequence in enumerate(sequences) if len(sequence) < 2]:
            raise ValueError(f"sequence {short[0]} has one element, and no next one to predict; leave it out")
        targets, sequences = [sequence[1:] for sequence in sequences], [sequence[:-1] for sequence in sequences]
    inputs, lengths = pad_sequences(sequences)
    return inputs, padded_targets(targets, lengths), lengths


def padded_targets(targets: Any, lengths: np.ndarray) -> np.ndarray:
    """Return the targets of sequences with these lengths as an array: one for each sequence, or one for each step."""
    if not is_list(targets) and np.ndim(targets) == 0:
        raise ValueError(
            f"the targets are {targets!r}; expected a list or an array, with one for each of {len(lengths)} sequences"
        )
    refuse_text("the targets are", targets, of="targets", code="alphabet.encode(targets)")
    each: np.ndarray = listed_targets(list(targets), lengths) if is_list(targets) else values(targets)
    return each[:, None] if each.ndim == 1 and each.dtype.kind == "f" else each


def listed_targets(targets: list[Any], lengths: np.ndarray) -> np.ndarray:
    """Return a list of targets as an array. They are for each step if each is as long as its sequence."""
    if len(targets) != len(lengths):
        raise ValueError(f"there are {len(targets)} targets for {len(lengths)} sequences; each sequence needs one")
    counts = [len(target) if isinstance(target, Sequence) or np.ndim(target) else 1 for target in targets]
    wrong = [i for i, count in enumerate(counts) if count != lengths[i]]
    if not wrong and any(map(np.ndim, targets)):
        classes = all(array.ndim == 1 and array.dtype.kind in "iub" for array in map(values, targets))
        return pad_sequences(targets, IGNORED if classes else 0)[0]
    each = np.array(targets) if len(set(map(np.shape, targets))) == 1 else None
    if each is None or (each.ndim > 1 and each.dtype.kind != "f"):
        raise ValueError(
            f"target {wrong[0]} is for {counts[wrong[0]]} steps, and its sequence has {lengths[wrong[0]]}; give a target for "
            "each step or for each sequence. For an EncoderDecoder, whose targets are other sequences, give "
            f"rnn.pad_sequences(targets, {IGNORED})[0]"
        )
    return each


def refuse_text(what: str, items: Any, of: str, code: str) -> None:
    """Raise a ValueError if the first item is text, or a list of it."""
    first = items[0] if len(items) else None
    while isinstance(first, list | tuple) and len(first):
        first = first[0]
    if isinstance(first, str):
        raise ValueError(f"{what} text, {str(first)!r}; {ENCODED.format(of=of, code=code)}")
