"""Initial values of parameters, and other random draws.

The layers use `uniform`, as PyTorch does. Use the others for your own initial values:
``cell.weight_hh.data = rnn.init.orthogonal(cell.weight_hh.shape, rng=0)``. `blocks` is the number of gates that are stacked
in one array: ``weight_hh`` of an LSTM has four square blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad.arrays import array_function
from minigrad.tensor import values

from .module import Parameter

if TYPE_CHECKING:
    from .cell import Cell

__all__ = ["Seed", "generator", "identity", "irnn", "keras", "orthogonal", "uniform", "xavier_normal", "xavier_uniform"]

Seed = int | np.random.Generator | None


def generator(rng: Seed) -> np.random.Generator:
    """Return a random generator: from a seed, a generator unchanged, or a new unpredictable one for None."""
    try:
        return rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)
    except TypeError:
        raise TypeError(
            f"rng must be a seed (a whole number from 0 on), a numpy.random.Generator or None, not {rng!r}"
        ) from None


def uniform(shape: tuple[int, ...], bound: float, rng: np.random.Generator, dtype: DTypeLike, name: str) -> Parameter:
    """Return a parameter with numbers drawn uniformly between -bound and bound."""
    return Parameter(rng.uniform(-bound, bound, shape), dtype=dtype, name=name)


def xavier_uniform(shape: tuple[int, int], gain: float = 1.0, *, blocks: int = 1, rng: Seed = None) -> np.ndarray:
    """Uniform between -a and a, a = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010). Shape (out, in) of a weight.

    >>> import minigrad_rnn as rnn
    >>> bool(abs(rnn.init.xavier_uniform((3, 3), rng=0)).max() <= 1)
    True
    """
    rows, columns = square_blocks(shape, blocks)
    bound = gain * (6 / (rows + columns)) ** 0.5
    values: np.ndarray = generator(rng).uniform(-bound, bound, shape)
    return values


def xavier_normal(shape: tuple[int, int], gain: float = 1.0, *, blocks: int = 1, rng: Seed = None) -> np.ndarray:
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010).

    >>> import minigrad_rnn as rnn
    >>> rnn.init.xavier_normal((8, 3), blocks=4, rng=0).shape
    (8, 3)
    """
    rows, columns = square_blocks(shape, blocks)
    values: np.ndarray = gain * (2 / (rows + columns)) ** 0.5 * generator(rng).standard_normal(shape)
    return values


def orthogonal(shape: tuple[int, int], gain: float = 1.0, *, blocks: int = 1, rng: Seed = None) -> np.ndarray:
    """Draw each block uniformly from the orthogonal matrices, times `gain`. In a block that is not square, the vectors along
    the shorter side are orthogonal. Orthogonal weights preserve the norm of a vector (Saxe, McClelland & Ganguli 2014).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> Q = rnn.init.orthogonal((3, 3), rng=0)
    >>> np.allclose(Q @ Q.T, np.eye(3))
    True
    """
    rows, columns = square_blocks(shape, blocks)
    rng = generator(rng)
    matrices = []
    for _ in range(blocks):
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1, 1)  # without the signs, QR favours some matrices
        matrices.append(gain * (q if rows >= columns else q.T))
    return np.concatenate(matrices)


def identity(shape: tuple[int, int], gain: float = 1.0, *, blocks: int = 1) -> np.ndarray:
    """Return the identity times `gain` in each block.

    >>> import minigrad_rnn as rnn
    >>> rnn.init.identity((2, 2), 0.5)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    rows, columns = square_blocks(shape, blocks)
    return np.concatenate([gain * np.eye(rows, columns)] * blocks)


def irnn(cell: Cell, scale: float = 0.001, rng: Seed = None) -> None:
    """Initialise a cell as an IRNN: the recurrent weight is the identity, biases are zero, the input weights are normal with
    standard deviation `scale`. The nonlinearity should be relu (Le, Jaitly & Hinton 2015).

    >>> import minigrad_rnn as rnn
    >>> cell = rnn.RNNCell(1, 2, nonlinearity="relu")
    >>> rnn.init.irnn(cell)
    >>> cell.weight_hh.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    cell.weight_ih.data = scale * generator(rng).standard_normal(cell.weight_ih.shape)
    cell.weight_hh.data = identity(cell.weight_hh.shape, blocks=cell.gates)  # type: ignore[arg-type]
    for bias in (cell.bias_ih, cell.bias_hh):
        if bias is not None:
            bias.data = np.zeros(bias.shape)


def keras(cell: Cell, rng: Seed = None) -> None:
    """Initialise a cell as Keras does: input weights are Xavier uniform, recurrent weights orthogonal, biases zero, and 1 in a
    forget gate.

    >>> import minigrad_rnn as rnn
    >>> cell = rnn.LSTMCell(3, 2)
    >>> rnn.init.keras(cell, rng=0)
    >>> cell.bias_ih.tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    rng = generator(rng)
    whole = (cell.gates * cell.hidden_size, cell.input_size)
    cell.weight_ih.data = xavier_uniform(whole, rng=rng)  # Keras treats the gates as one matrix here
    cell.weight_hh.data = orthogonal(cell.weight_hh.shape, blocks=cell.gates, rng=rng)  # type: ignore[arg-type]
    for bias in (cell.bias_ih, cell.bias_hh):
        if bias is not None:
            bias.data = np.zeros(bias.shape)
    gates = list(cell.gate_names)
    if "f" in gates and cell.bias_ih is not None:
        start = np.zeros((cell.gates, cell.hidden_size))
        start[gates.index("f")] = 1
        cell.bias_ih.data = start.ravel()


def square_blocks(shape: tuple[int, ...], blocks: int) -> tuple[int, int]:
    """Return the shape of one of the blocks that are stacked in a weight."""
    if len(shape) != 2 or blocks < 1 or shape[0] % blocks:
        raise ValueError(f"a weight of {blocks} stacked blocks has shape (blocks * out, in), not {tuple(shape)}")
    return shape[0] // blocks, shape[1]


def dropout_mask(x: Any, p: float, rng: np.random.Generator) -> Any:
    """Return a mask: 0 with probability p, otherwise 1 / (1 - p), so that the mean stays the same."""
    return random_mask(x.shape, x.dtype, p, rng, like=values(x))


@array_function
def random_mask(shape: tuple[int, ...], dtype: Any, p: float, rng: np.random.Generator) -> Any:
    return ((rng.random(shape, dtype=np.float32) >= p) / (1 - p)).astype(dtype)


@array_function
def chosen(shape: tuple[int, ...], dtype: Any, p: float, rng: np.random.Generator) -> Any:
    """Return an array of 1 with probability p, and 0."""
    return (rng.random(shape, dtype=np.float32) < p).astype(dtype)


def __dir__() -> list[str]:
    return __all__
