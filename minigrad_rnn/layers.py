"""Layers without a state. Inputs, arrays or Tensors, are cast to the dtype of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import minigrad as mg
from minigrad import Tensor
from minigrad.tensor import values

from .data.batch import whole
from .init import Seed, dropout_mask, generator, uniform
from .module import Module, Parameter, found_in, in_dtype
from .recurrent import Recurrent

__all__ = ["Dropout", "Embedding", "LayerNorm", "Linear", "Sequential"]


class Linear(Module):
    """Compute x W^T + b on the last axis of x: shape (..., in_features) to (..., out_features).

    ``weight`` has shape (out_features, in_features), ``bias`` (out_features,). Both start uniform between
    -1/sqrt(in_features) and 1/sqrt(in_features), as in PyTorch.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.Linear(3, 2, rng=0)(np.ones((7, 3))).shape
    (7, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: DTypeLike = np.float32, rng: Seed = None
    ) -> None:
        at_least_one(in_features=in_features, out_features=out_features)
        rng = generator(rng)
        bound = in_features**-0.5
        self.weight = uniform((out_features, in_features), bound, rng, dtype, "weight")
        self.bias: Parameter | None = uniform((out_features,), bound, rng, dtype, "bias") if bias else None

    def forward(self, x: Any) -> Tensor:
        x = in_dtype(x, self.weight.dtype)
        if not x.ndim or x.shape[-1] != self.weight.shape[1]:
            raise ValueError(f"the input has shape {x.shape}; expected (..., in_features={self.weight.shape[1]})")
        return mg.linear(x, self.weight, self.bias)


class Embedding(Module):
    """Return a vector for each symbol: class indices of shape (...) to rows of ``weight``, (..., embedding_dim).

    ``weight`` has shape (num_embeddings, embedding_dim) and starts standard normal, as in PyTorch. The row of `padding_idx`,
    if given, is and stays zero. The result equals that of a Linear layer without bias for one-hot vectors.
    Raises ValueError for an index out of range, TypeError for numbers that are not integers.

    >>> import minigrad_rnn as rnn
    >>> rnn.Embedding(10, 3, rng=0)([[1, 2], [9, 1]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        at_least_one(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx is {padding_idx}; it must be a class index from 0 to {num_embeddings - 1}")
        start = generator(rng).standard_normal((num_embeddings, embedding_dim))
        if padding_idx is not None:
            start[padding_idx] = 0
        self.weight = Parameter(start, dtype=dtype, name="weight")
        self.padding_idx = padding_idx

    def forward(self, symbols: Any) -> Tensor:
        numbers = values(symbols)
        if numbers.dtype.kind not in "iu":
            raise TypeError(
                f"Embedding needs class indices (integers), not {numbers.dtype}; for text, use alphabet.encode(text)"
            )
        count = len(self.weight)
        if numbers.size and (np.min(numbers) < 0) | (np.max(numbers) >= count):
            raise ValueError(f"indices must be from 0 to {count - 1}; these are from {numbers.min()} to {numbers.max()}")
        rows: Tensor = mg.take(self.weight, numbers, axis=0)
        return rows if self.padding_idx is None else rows * (numbers != self.padding_idx)[..., None].astype(rows.dtype)


class Dropout(Module):
    """Set each element to zero with probability p, and multiply the others by 1 / (1 - p), so that the mean stays the same
    (Srivastava et al. 2014). In evaluation mode (`Module.eval`), do nothing.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> drop = rnn.Dropout(0.5, rng=0)
    >>> sorted(set(drop(np.ones(100)).tolist())), set(drop.eval()(np.ones(100)).tolist())
    ([0.0, 2.0], {1.0})
    """

    def __init__(self, p: float = 0.5, *, rng: Seed = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"p is {p}; it must be the share of elements set to zero, from 0 to less than 1")
        self.p = float(p)
        self.rng = generator(rng)

    def forward(self, x: Any) -> Tensor:
        y: Tensor = x if isinstance(x, Tensor) else mg.tensor(x)
        if self.training and self.p:
            y = y * dropout_mask(y, self.p, self.rng)
        return y


class LayerNorm(Module):
    """Compute (x - mean) / sqrt(variance + eps) * weight + bias over the last axis (Ba, Kiros & Hinton 2016).

    The variance is the mean of the squared deviations. ``weight`` starts as ones, ``bias`` as zeros, both (features,).

    >>> import minigrad_rnn as rnn
    >>> rnn.LayerNorm(2, dtype=float)([[1.0, 3.0]]).tolist() == [[-1 / 1.00001**0.5, 1 / 1.00001**0.5]]
    True
    """

    def __init__(self, features: int, eps: float = 1e-5, *, dtype: DTypeLike = np.float32) -> None:
        at_least_one(features=features)
        self.eps = float(eps)
        self.weight = Parameter(np.ones(features), dtype=dtype, name="weight")
        self.bias = Parameter(np.zeros(features), dtype=dtype, name="bias")

    def forward(self, x: Any) -> Tensor:
        x = in_dtype(x, self.weight.dtype)
        if not x.ndim or x.shape[-1] != len(self.weight):
            raise ValueError(f"the input has shape {x.shape}; expected (..., features={len(self.weight)})")
        centred = x - np.mean(x, axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        y: Tensor = centred / np.sqrt(variance + self.eps) * self.weight + self.bias
        return y


class Sequential(Module):
    """Apply modules and functions one after the other. Parameters are named by their position, ``0.weight``.

    If a module is a recurrent layer, only its output is passed on, not its state.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> net = rnn.Sequential(rnn.Linear(3, 8, rng=0), np.tanh, rnn.Linear(8, 2, rng=1))
    >>> net(np.ones((5, 3))).shape, [name for name, _ in net.named_parameters()]
    ((5, 2), ['0.weight', '0.bias', '2.weight', '2.bias'])
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        for module in modules:
            if not callable(module):
                raise TypeError(f"Sequential needs modules and functions, not {type(module).__name__}")
        self._modules = modules

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return found_in(dict(enumerate(self._modules)), "")

    def _parts(self) -> Iterator[tuple[str, Any]]:
        return ((str(i), module) for i, module in enumerate(self._modules))

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, i: int) -> Any:
        return self._modules[i]

    def forward(self, x: Any) -> Any:
        for module in self._modules:
            x = module(x)
            if isinstance(module, Recurrent):
                x = x[0]
        return x


def at_least_one(**sizes: int) -> None:
    for what, size in sizes.items():
        whole(what, size)
