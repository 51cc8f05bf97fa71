"""Predictions of a trained model, and text that it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence as SequenceOf
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

import minigrad as mg
from minigrad import Tensor

from .data.sequences import is_list, pad_sequences
from .data.tasks import Task
from .data.text import Alphabet, joined
from .init import Seed, generator
from .models import Sequence
from .module import Module, mode

__all__ = ["greedy", "predict", "sample"]


@overload
def predict(model: Sequence, data: Task) -> str: ...
@overload
def predict(model: Module, data: ArrayLike | Tensor, lengths: ArrayLike | None = None) -> np.ndarray: ...
def predict(model: Module, data: Any, lengths: ArrayLike | None = None) -> str | np.ndarray:
    """Return the predictions of a model in evaluation mode.

    For a task, they are the most likely next symbols at each step of its first sequence, as text. For inputs (T, batch, I),
    which may be padded beyond `lengths`, or for a list of sequences, they are the outputs as an array.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=0))
    >>> len(rnn.predict(model, rnn.tasks.hello()))
    6
    >>> rnn.predict(model, rnn.tasks.hello().inputs).shape
    (6, 1, 5)
    """
    with mg.no_grad(), mode(model, training=False):
        if isinstance(data, Task):
            batch = data._one()
            steps = None if batch.lengths is None else int(batch.lengths[0])
            return data.alphabet.decode(model(batch.inputs[:steps, :1]).data[:, 0].argmax(axis=-1))
        inputs, lengths = pad_sequences(data) if is_list(data) else (np.asarray(data), lengths)
        outputs = model(inputs) if lengths is None else model(inputs, lengths=lengths)
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the model must return one Tensor of outputs, not {type(outputs).__name__}; use a model, such as Sequence"
        )
    return outputs.numpy()


def greedy(model: Sequence, alphabet: Alphabet, prompt: SequenceOf[str], length: int) -> str:
    """Read the prompt, then return `length` symbols, each the most likely next one, fed back as the next input.

    Raises ValueError if the prompt is empty or has a symbol that is not in the alphabet.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=0))
    >>> len(rnn.greedy(model, rnn.Alphabet("hielo"), "h", 6))
    6
    """
    return sample(model, alphabet, prompt, length, temperature=0.0)


def sample(
    model: Sequence,
    alphabet: Alphabet,
    prompt: SequenceOf[str],
    length: int,
    temperature: float = 1.0,
    rng: Seed = None,
    *,
    top_k: int | None = None,
    condition: ArrayLike | None = None,
) -> str:
    """Read the prompt, then return `length` symbols drawn from the probabilities of the model, each fed back as the next input.

    The logits are divided by the `temperature`: at 1 the probabilities are the model's own, below 1 likely symbols become
    more likely, at 0 there is only the most likely one (`greedy`). With `top_k` only the `top_k` most likely symbols are
    drawn. The prompt is a text, or a list of symbols. The model keeps its state, so memory does not grow with the length.
    A model that was trained on batches of `text.conditioned` reads the vector `condition` (C,), such as a class, at each step.

    Raises ValueError if the prompt is empty or has a symbol that is not in the alphabet, and for numbers out of range.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=0))
    >>> said = rnn.generate.sample(model, rnn.Alphabet("hielo"), "h", 20, temperature=0.5, rng=0)
    >>> len(said), set(said) <= set("hielo")
    (20, True)
    """
    if not len(prompt):
        raise ValueError("the prompt is empty; the model needs at least one symbol to start from")
    if length < 0:
        raise ValueError(f"length is {length}; it cannot be negative")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; it must be a number from 0 on")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1, the number of symbols to draw among")
    rng, temperature = generator(rng), float(temperature)
    numbers = alphabet.encode(prompt).tolist()
    if condition is not None and model.embedding is not None:
        raise ValueError("a condition is joined to the one-hot vector of a symbol, and this model has an embedding instead")
    state = None
    with mg.no_grad(), mode(model, training=False):
        for t in range(len(prompt) + length - 1):
            x = np.array([[numbers[t]]])
            x = x if model.embedding is not None else alphabet.one_hot(x)
            x = x if condition is None else joined(x, np.asarray(condition)[None])
            output, state = model.step(x[0], state, t)
            if t >= len(prompt) - 1:
                numbers.append(draw_symbol(output.data[0], temperature, top_k, rng))
    return alphabet.decode(numbers[len(prompt) :])


def draw_symbol(logits: np.ndarray, temperature: float, top_k: int | None, rng: np.random.Generator) -> int:
    """Return a class index drawn from softmax(logits / temperature), among the `top_k` most likely if given."""
    if not np.isfinite(logits).all():
        raise ValueError("the model's outputs are not finite; its weights are too large, or are not finite")
    if temperature == 0:
        return int(logits.argmax())
    among = np.argsort(-logits, kind="stable")[:top_k]  # of equal ones the first, as argmax does
    with np.errstate(over="ignore"):  # -inf, which has the probability 0
        chances = np.exp((logits[among].astype(np.float64) - float(logits[among[0]])) / temperature)
    place = np.searchsorted(np.cumsum(chances), rng.random() * chances.sum(), side="right")
    return int(among[min(int(place), len(among) - 1)])
