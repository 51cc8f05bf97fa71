"""Attention: a weighted mean of many states, with weights that depend on what is looked for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

import minigrad as mg
from minigrad import Tensor

from .by_step import each_step
from .cell import Cell, State
from .data.batch import cleared, step_mask, whole
from .init import Seed, generator, uniform
from .losses import as_tensor
from .module import Module, Parameter, in_dtype

__all__ = ["Attention", "AttentionCell", "Keys"]

KINDS = ("dot", "general", "additive")


class Keys(NamedTuple):
    """The states that attention reads: themselves, as the score reads them, and which of them count."""

    states: Tensor  # (S, batch, key_size)
    compared: Tensor  # (S, batch, size)
    mask: np.ndarray | None  # (batch, 1, S); None if all count


class Attention(Module):
    """A weighted mean of states, with a weight for each state that depends on a query:

        context = sum_s a_s k_s,    a = softmax over s of scale * score(q, k_s)

        score(q, k) = q . k                       "dot" (Luong, Pham & Manning 2015)
                      q . W_k k                   "general" (the same)
                      v . tanh(W_q q + W_k k)     "additive" (Bahdanau, Cho & Bengio 2014)

    `query` has shape (T, batch, query_size), or (batch, query_size) for one step. `keys` (S, batch, key_size) are the states
    k_s. Returns the contexts (T, batch, key_size), or (batch, key_size), and the weights (batch, T, S), or (batch, S). Each
    row of weights sums to 1. With `lengths` (batch,) the keys from there on are padding: their weights are 0, whatever they
    contain. Arrays and Tensors are cast to the dtype of the parameters; "dot", which has none, casts the query to that of the
    keys.

    `scale` defaults to 1/sqrt(size) for products of `size` features (Vaswani et al. 2017), and to 1 for "additive".
    ``scale=1.0`` is the dot product of Luong et al. "general" has ``weight_key`` (query_size, key_size); "additive"
    has ``weight_query`` (hidden_size, query_size), ``weight_key`` (hidden_size, key_size) and ``vector`` (1, hidden_size), with
    `hidden_size` features, by default `key_size`. All start uniform between -1/sqrt(columns) and 1/sqrt(columns).

    Raises ValueError for shapes that do not fit, and for "dot" with a query and keys of different sizes.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> context, weights = rnn.Attention(2, 2)(np.zeros((1, 1, 2)), [[[1.0, 2.0]], [[3.0, 6.0]]])
    >>> context.tolist(), weights.tolist()
    ([[[2.0, 4.0]]], [[[0.5, 0.5]]])
    >>> rnn.Attention(3, 4, "additive", rng=0)(np.ones((7, 2, 3)), np.ones((5, 2, 4)))[0].shape
    (7, 2, 4)
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        kind: str = "dot",
        *,
        hidden_size: int | None = None,
        scale: float | None = None,
        dtype: DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        if hidden_size is not None and kind != "additive":
            raise ValueError(f'hidden_size is for kind="additive"; leave it out for {kind!r}')
        self.query_size, self.key_size = whole("query_size", query_size), whole("key_size", key_size)
        if kind == "dot" and query_size != key_size:
            raise ValueError(
                f'a dot product needs a query and keys of one size, not {query_size} and {key_size}; use kind="general", or '
                '"additive"'
            )
        if scale is not None and not (isinstance(scale, int | float | np.number) and np.isfinite(scale)):
            raise ValueError(f"scale is {scale!r}; expected a finite number, or None for its default")
        self.kind = kind
        rng = generator(rng)
        self.weight_query: Parameter | None = None
        self.weight_key: Parameter | None = None
        self.vector: Parameter | None = None
        size = query_size
        if kind == "additive":
            size = key_size if hidden_size is None else whole("hidden_size", hidden_size)
            self.weight_query = uniform((size, query_size), query_size**-0.5, rng, dtype, "weight_query")
            self.vector = uniform((1, size), size**-0.5, rng, dtype, "vector")
        if kind != "dot":
            self.weight_key = uniform((size, key_size), key_size**-0.5, rng, dtype, "weight_key")
        self.scale = float(scale if scale is not None else 1.0 if kind == "additive" else size**-0.5)

    def forward(self, query: Any, keys: Any, lengths: ArrayLike | None = None) -> tuple[Tensor, Tensor]:
        dtype = as_tensor(keys).dtype if self.weight_key is None else self.weight_key.dtype
        query, keys = in_dtype(query, dtype), in_dtype(keys, dtype)
        if keys.ndim != 3 or keys.shape[-1] != self.key_size or not len(keys):
            raise ValueError(f"keys have shape {keys.shape}; expected (S, batch, key_size={self.key_size}), S at least 1")
        batch = keys.shape[1]
        if query.ndim not in (2, 3) or query.shape[-2:] != (batch, self.query_size):
            raise ValueError(
                f"the query has shape {query.shape}; expected (T, batch={batch}, query_size={self.query_size}), or without T"
            )
        return self.read(query, self.keys(cleared(keys, lengths), lengths))

    def keys(self, states: Tensor, lengths: ArrayLike | None = None) -> Keys:
        """Return what `read` needs of states (S, batch, key_size), for any number of queries."""
        mask = step_mask(lengths, *states.shape[:2])
        compared = states
        if self.weight_key is not None:
            weight = self.weight_key
            compared = each_step(lambda k: mg.linear(k, weight), states, "attention")
            compared.name = "keys"
        return Keys(states, compared, None if mask is None else mask.T[:, None])

    def read(self, query: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """Return the contexts and the weights of queries; see `Attention`."""
        single = query.ndim == 2
        with mg.scope("attention"):
            scores = self._scores(mg.expand_dims(query, 0) if single else query, keys.compared)
            if self.scale != 1.0:
                scores = scores * self.scale
            if keys.mask is not None:
                least = float(np.finfo(scores.dtype).min) / 2  # its weight is 0, and nothing in the graph is infinite
                scores = mg.where(keys.mask, scores, least)
            weights: Tensor = mg.softmax(scores, axis=-1)
            weights.name = "a"
            context: Tensor = mg.swapaxes(weights @ mg.swapaxes(keys.states, 0, 1), 0, 1)
            context = context[0] if single else context
            context.name = "context"
        return context, weights[:, 0] if single else weights

    def _scores(self, query: Tensor, compared: Tensor) -> Tensor:
        """Return the scores (batch, T, S) of queries (T, batch, Q)."""
        if self.weight_query is None or self.vector is None:
            product: Tensor = mg.swapaxes(query, 0, 1) @ mg.transpose(compared, (1, 2, 0))
            return product
        pairs = mg.expand_dims(mg.linear(query, self.weight_query), 1) + mg.expand_dims(compared, 0)  # (T, S, batch, size)
        scores: Tensor = mg.transpose(mg.linear(mg.tanh(pairs), self.vector)[..., 0], (2, 0, 1))
        return scores


class AttentionCell(Cell):
    """A cell that attends to its own states of earlier steps (Cheng, Dong & Lapata 2016):

        context = attention(query h, keys h of the last `window` steps)
        h', ... = cell([x, context], (h, ...))

    `cell` reads input_size + hidden features: x, and the context, which has as many features as its output h. The state has
    one more part, ``m`` (batch, window * hidden): the last `window` outputs, oldest first. Before the first step they are the
    cell's initial h. `attention` defaults to the scaled dot product; its queries and keys have the size of h.

    The cell runs in a `Recurrent`, alone or with others; see `weights` for what it attends to. Raises ValueError for sizes
    that do not fit.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> cell = rnn.AttentionCell(rnn.GRUCell(3 + 4, 4, rng=0), window=6)
    >>> model = rnn.Sequence(rnn.Recurrent(cell), rnn.Linear(4, 2, rng=1))
    >>> model(np.ones((9, 2, 3))).shape
    (9, 2, 2)
    """

    def __init__(self, cell: Cell, window: int, attention: Attention | None = None) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"AttentionCell needs a cell, such as GRUCell, not {type(cell).__name__}; put it in a Recurrent")
        size = cell.state_sizes[0]
        if cell.input_size <= size:
            raise ValueError(
                f"the cell reads {cell.input_size} features, x and the context; it needs more than the {size} of the context: "
                f"input_size={size} + the features of x"
            )
        attention = Attention(size, size) if attention is None else attention
        if not isinstance(attention, Attention):
            raise TypeError(f"attention must be an Attention({size}, {size}, kind), not {type(attention).__name__}")
        if (attention.query_size, attention.key_size) != (size, size):
            raise ValueError(
                f"the query and the keys are outputs of the cell, of {size} features; the attention has "
                f"query_size={attention.query_size} and key_size={attention.key_size}"
            )
        self.cell, self.attention, self.window = cell, attention, whole("window", window)
        self.input_size, self.hidden_size = cell.input_size - size, cell.hidden_size
        self.learn_state = cell.learn_state
        self.state_names = (*cell.state_names, "m")
        self.gate_names = cell.gate_names  # type: ignore[misc]

    @property
    def gates(self) -> int:  # type: ignore[override]
        return self.cell.gates

    @property
    def weight_ih(self) -> Parameter:  # type: ignore[override]
        return self.cell.weight_ih

    @property
    def weight_hh(self) -> Parameter:  # type: ignore[override]
        return self.cell.weight_hh

    @property
    def state_sizes(self) -> tuple[int, ...]:
        sizes = self.cell.state_sizes
        return (*sizes, self.window * sizes[0])

    def initial_state(self, batch: int) -> State:
        state = self.cell.initial_state(batch)
        m: Tensor = mg.concatenate([state[0]] * self.window, -1)
        m.name = "m0"
        return (*state, m)

    def step(self, x: Tensor, state: State) -> State:
        *own, m = state
        h = own[0]
        earlier = mg.swapaxes(m.reshape(len(m), self.window, -1), 0, 1)
        context, _ = self.attention.read(h, self.attention.keys(earlier))
        new = self.cell.step(mg.concatenate([x, context], -1), tuple(own))
        return (*new, mg.concatenate([m[:, h.shape[1] :], new[0]], -1))

    def weights(self, outputs: Any) -> np.ndarray:
        """Return the weights of attention, for the outputs (T, batch, hidden) of this cell from its initial state.

        The result has shape (batch, T, T): entry [b, t, k] is the weight in step t of the output of step k. A row sums to 1 if
        it has `window` earlier steps. Otherwise the rest is the weight of the initial state.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> layer = rnn.Recurrent(rnn.AttentionCell(rnn.RNNCell(3 + 4, 4, rng=0), window=2))
        >>> output, _ = layer.run(np.ones((5, 1, 3)))
        >>> weights = layer.cell.weights(output)
        >>> weights.shape, weights[0, 2:].sum(axis=-1).round(6).tolist(), weights[0, 4, :2].tolist()
        ((1, 5, 5), [1.0, 1.0, 1.0], [0.0, 0.0])
        """
        with mg.no_grad():
            h = in_dtype(outputs, self.weight_hh.dtype)
            if h.ndim != 3 or h.shape[-1] != self.state_sizes[0]:
                raise ValueError(f"outputs have shape {h.shape}; expected (T, batch, {self.state_sizes[0]})")
            before = mg.concatenate([mg.expand_dims(self.cell.initial_state(h.shape[1])[0], 0)] * self.window)
            every = mg.concatenate([before, h])
            T, w = len(h), self.window
            back = np.arange(T)[:, None] - np.arange(-w, T)  # from step t to the step of each key
            keys = self.attention.keys(every)._replace(mask=(back >= 1) & (back <= w))
            _, found = self.attention.read(every[w - 1 : -1], keys)
        return found.numpy()[:, :, w:]
