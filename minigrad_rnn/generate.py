"""What a trained model says."""

from __future__ import annotations

import numpy as np

import minigrad as mg

from .data.tasks import Task
from .data.text import Alphabet
from .models import Sequence

__all__ = ["greedy", "predict"]


@mg.no_grad()
def predict(model: Sequence, task: Task) -> str:
    """The likeliest next symbol at each step of the task's first sequence, given the true symbols before it.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=0))
    >>> len(rnn.predict(model, rnn.tasks.hello()))
    6
    """
    return task.alphabet.decode(model(task.inputs).data[:, 0].argmax(axis=-1))


@mg.no_grad()
def greedy(model: Sequence, alphabet: Alphabet, prompt: str, length: int) -> str:
    """Feed the prompt, then `length` times the likeliest next symbol, each fed back as the next input; returns these.

    Raises ValueError if the prompt is empty or has a symbol that is not in the alphabet.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=0))
    >>> len(rnn.greedy(model, rnn.Alphabet("hielo"), "h", 6))
    6
    """
    if not prompt:
        raise ValueError("the prompt is empty; the model needs at least one symbol to begin with")
    if length < 0:
        raise ValueError(f"length is {length}; it cannot be negative")
    numbers = list(alphabet.encode(prompt))
    state = None
    for t in range(len(prompt) + length - 1):
        output, state = model.step(alphabet.one_hot([numbers[t]]), state, t)
        if t >= len(prompt) - 1:
            numbers.append(int(np.argmax(output.data[0])))
    return alphabet.decode(numbers[len(prompt) :])
