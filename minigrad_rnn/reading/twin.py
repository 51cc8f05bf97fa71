"""An untrained twin of a model, to compare with: some units of a random network follow a text too."""

from __future__ import annotations

import copy

import numpy as np

from ..cell import Cell
from ..init import Seed, generator
from ..layers import Embedding
from ..models import Sequence
from ..module import Module, Parameter

__all__ = ["untrained"]


def untrained(model: Sequence, rng: Seed = 0) -> Sequence:
    """Return a copy of the model whose matrices are drawn again, as PyTorch does. Biases stay, so gates are as open as before.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(3, 4, rng=0), rnn.Linear(4, 3, rng=1))
    >>> twin = untrained(model)
    >>> twin.recurrent.cell.weight_hh.shape, bool((twin.readout.bias.data == model.readout.bias.data).all())
    ((4, 4), True)
    """
    rng = generator(rng)
    twin = copy.deepcopy(model)
    for module in twin.modules():
        for parameter in vars(module).values():
            if isinstance(parameter, Parameter) and parameter.ndim > 1:
                parameter.data = drawn(module, parameter.shape, rng).astype(parameter.dtype)
    return twin


def drawn(module: Module, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw the initial values of a matrix of this module."""
    if isinstance(module, Embedding):
        return rng.standard_normal(shape)
    bound = (module.hidden_size if isinstance(module, Cell) else shape[-1]) ** -0.5
    return rng.uniform(-bound, bound, shape)
