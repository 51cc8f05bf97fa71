"""Recurrent layers: cells run over a sequence, one time step after the other.

The loop names the place of each step (``lstm/layer=0/t=17``), and the input, the state and the gates. Pictures, error
messages and gradients of single steps use these names.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

import minigrad as mg
from minigrad import Tensor
from minigrad.arrays import array_of, is_lazy

from .by_step import halves, in_steps, observer, steps_of
from .cell import Cell, State, as_input, as_state, checked_step, describe
from .data.batch import cleared, step_mask, whole
from .init import Seed, chosen, dropout_mask, generator
from .module import Module, Parameter, found_in

__all__ = ["Recurrent", "last_output"]

Zone = tuple[Any, ...]  # for each part of a state: 1 where it keeps the value before, or the share that it keeps
OF_A_LAYER = re.compile(r"(?P<name>.+)_l(?P<layer>\d+)(?P<reverse>_reverse)?")


class Recurrent(Module):
    """Layers that run cells over a sequence; each layer reads the outputs of the layer below.

    A layer is a cell, or a pair of cells: the second reads the sequence backwards. With ``reverse=True`` all cells read it
    backwards. You can use your own cells. In training mode,

    - `dropout` sets that share of the outputs between two layers to zero;
    - `zoneout` is the probability p with which a unit keeps its value, s[t] = s[t-1]. In evaluation mode this is the mean,
      s[t] = p s[t-1] + (1 - p) s'[t], with the new state s' of the cell. A tuple has a probability for each part of the state,
      ``zoneout=(0.05, 0.5)`` those of h and c (Krueger et al. 2017);
    - `weight_dropout` sets that share of each ``weight_hh`` to zero and multiplies the rest by 1 / (1 - weight_dropout), with
      the same mask for all steps of a call (Merity, Keskar & Socher 2018; DropConnect: Wan et al. 2013).

    The input has shape (T, batch, input_size), or (T, input_size) for one sequence; with ``batch_first=True``
    (batch, T, input_size). The result is a pair. The outputs of the last layer have shape (T, batch, features), with the
    features of both directions. The final state has a part for each of the cell's `state_names`, or is that part if there
    is only one. Each part has shape (layers * directions, batch, size), as has the initial state, by default zeros. With
    ``batch_first=True`` the states have the batch first, too, unlike in PyTorch.

    With `lengths` (batch,), sequences end before the padding: their outputs from there on are zeros, their final state is
    that of their last step, and the backward direction starts there. The result is the same as for each sequence alone,
    whatever the padding contains.

    Parameters are named as in PyTorch: ``weight_hh_l1_reverse`` is the ``weight_hh`` of the cell in layer 1 that reads
    backwards. Arrays and Tensors are cast to the dtype of the weights. Raises ValueError for shapes that do not fit.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> deep = rnn.Recurrent(rnn.LSTMCell(3, 4, rng=0), rnn.LSTMCell(4, 4, peepholes=True, rng=1))
    >>> output, (h, c) = deep(np.ones((7, 2, 3)))
    >>> output.shape, c.shape
    ((7, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        *layers: Cell | tuple[Cell, Cell],
        reverse: bool = False,
        batch_first: bool = False,
        dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_dropout: float = 0.0,
        rng: Seed = None,
    ) -> None:
        self.cells = [list(layer) if isinstance(layer, tuple | list) else [layer] for layer in layers]
        if not self.cells:
            raise ValueError("a recurrent layer needs at least one cell")
        check_shares(dropout=dropout, weight_dropout=weight_dropout)
        check_cells(self.cells)
        if dropout and len(self.cells) == 1:
            level = 2 if type(self).__init__ is Recurrent.__init__ else 3
            warnings.warn("dropout acts between layers, and there is only one", stacklevel=level)
        if reverse and self.bidirectional:
            raise ValueError("a bidirectional layer reads the sequence in both directions; leave out reverse=True")
        for cell in (cell for layer in self.cells for cell in layer):
            check_zoneout(zoneout, cell)
        self.reverse = reverse
        self.batch_first = batch_first
        self.dropout, self.weight_dropout = float(dropout), float(weight_dropout)
        self.zoneout = tuple(map(float, zoneout)) if isinstance(zoneout, tuple | list) else float(zoneout)
        self.rng = generator(rng)
        for name, p in self.cell_parameters():
            p.name = name

    # -- parts -----------------------------------------------------------------------------------------------

    @property
    def cell(self) -> Cell:
        """The cell of the first layer."""
        return self.cells[0][0]

    @property
    def input_size(self) -> int:
        return self.cell.input_size

    @property
    def hidden_size(self) -> int:
        return self.cell.hidden_size

    @property
    def output_size(self) -> int:
        """The number of features of the output, in both directions together."""
        return sum(cell.state_sizes[0] for cell in self.cells[-1])

    @property
    def bidirectional(self) -> bool:
        return len(self.cells[0]) == 2

    @property
    def directions(self) -> tuple[bool, ...]:
        """True for each cell of a layer that reads the sequence backwards."""
        return (False, True) if self.bidirectional else (self.reverse,)

    def cell_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for place, cell in self._parts():
            for name, p in cell.named_parameters():
                yield f"{name}_{place}", p

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        yield from self.cell_parameters()
        yield from found_in({name: value for name, value in vars(self).items() if name != "cells"}, "")

    def _parts(self) -> Iterator[tuple[str, Any]]:
        for k, layer in enumerate(vars(self).get("cells", ())):
            for cell, reverse in zip(layer, self.directions, strict=True):
                yield f"l{k}{'_reverse' * reverse}", cell

    def _named(self, name: str) -> tuple[Cell, str] | None:
        """Return the cell and the attribute that a name such as ``weight_ih_l0`` means."""
        found = OF_A_LAYER.fullmatch(name)
        cells: list[list[Cell]] = vars(self).get("cells", [])
        if not found or int(found["layer"]) >= len(cells) or bool(found["reverse"]) not in self.directions:
            return None
        cell = cells[int(found["layer"])][self.directions.index(bool(found["reverse"]))]
        return (cell, found["name"]) if hasattr(cell, found["name"]) else None

    if TYPE_CHECKING:  # names for type checkers, of two layers; another name is an error
        weight_ih_l0: Parameter
        weight_hh_l0: Parameter
        bias_ih_l0: Parameter
        bias_hh_l0: Parameter
        weight_ih_l1: Parameter
        weight_hh_l1: Parameter
        bias_ih_l1: Parameter
        bias_hh_l1: Parameter
        weight_ih_l0_reverse: Parameter
        weight_hh_l0_reverse: Parameter
        bias_ih_l0_reverse: Parameter
        bias_hh_l0_reverse: Parameter
    else:

        def __getattr__(self, name: str) -> Any:
            found = self._named(name)
            if found is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(*found)

    def __setattr__(self, name: str, value: Any) -> None:
        found = self._named(name)
        if found is None:
            super().__setattr__(name, value)
        else:
            setattr(*found, value)

    # -- running it ------------------------------------------------------------------------------------------

    def initial_state(self, batch: int) -> State:
        """Return the initial state for `step` and `run`: the parts of each layer's cells, one after the other."""
        return tuple(part for layer in self.cells for cell in layer for part in cell.initial_state(batch))

    def step(self, x: Any, state: State, t: int) -> State:
        """Return the state after one time step, given `x` of shape (batch, input_size) and the state before.

        The state has the parts of each layer, one after the other. The output is the first part of the last layer.
        """
        if any(self.directions):
            how = "bidirectional layer reads the sequence from both ends"
            how = how if self.bidirectional else "layer with reverse=True reads the sequence from its end"
            raise ValueError(f"a {how}, so it has no single steps; call forward")
        if self.weight_dropout and self.training:
            raise ValueError("weight_dropout draws one mask for a sequence: make the steps with layer.with_dropped_weights()")
        x = as_input(x, self.cell, ("batch",))
        before = self._checked(state, x.shape[0])
        after: list[Tensor] = []
        advance = masked_step
        if (seen := observer()) is not None:
            advance = seen.step
            with mg.scope("t", t):
                x = seen.reader(self)(x, None)
        with mg.scope(self._scope_name()):
            for k, ((cell,), part) in enumerate(zip(self.cells, before, strict=True)):
                with mg.scope("layer", k), mg.scope("t", t):
                    if x.name is None:
                        x.name = "x"
                    output, new = advance(cell, x, part, None, self._zones(cell, part, 1)[0])
                after.extend(new)
                x = self._dropped(output, k)
        return tuple(after)

    def output_of(self, state: State) -> Tensor:
        """Return the output of the last layer in a state that `step` returned."""
        return state[-len(self.cells[-1][0].state_names)]

    def run(self, x: Any, state: State | None = None, lengths: ArrayLike | None = None) -> tuple[Tensor, State]:
        """Return the outputs (T, batch, features), and the final state: the parts of each cell, one after the other."""
        x = as_input(x, self.cell, ("T", "batch"))
        T, batch = x.shape[:2]
        if T == 0:
            raise ValueError("the input has T=0 steps; a sequence needs at least one")
        masks = masks_of(lengths, T, batch)
        seen = observer()
        # without the padding, where a NaN would reach the gradients of the weights
        steps: Any = cleared(x, lengths) if seen is None else in_steps(seen.reader(self), steps_of(x), masks)
        before = iter(self._checked(self.initial_state(batch) if state is None else state, batch))
        after: list[Tensor] = []
        with mg.scope(self._scope_name()):
            for k, layer in enumerate(self.with_dropped_weights().cells):
                with mg.scope("layer", k):
                    outputs = []
                    for cell, reverse in zip(layer, self.directions, strict=True):
                        order, start = range(T)[:: -1 if reverse else 1], next(before)
                        with mg.scope("direction", "reverse" if reverse else "forward") if self._directed() else nullcontext():
                            found, final = run_cell(cell, steps, start, masks, order, self._zones(cell, start, T))
                        outputs.append(found)
                        after.extend(final)
                    steps = outputs[0] if len(layer) == 1 else in_steps(both_ways, *outputs)
                    steps = [self._dropped(h, k) for h in steps] if self.dropout else steps
        return mg.stack(steps), tuple(after)

    def forward(self, x: Any, state: Any = None, lengths: ArrayLike | None = None) -> tuple[Tensor, Any]:
        single = np.ndim(x) == 2
        x = as_input(x, self.cell, ("T",) if single else ("batch", "T") if self.batch_first else ("T", "batch"))
        if single:
            if lengths is not None:
                raise ValueError("lengths are for a batch, and this is one sequence; cut it with x[:length]")
            x = mg.expand_dims(x, 1)
        elif self.batch_first:
            x = mg.swapaxes(x, 0, 1)
        given = None if state is None else self._unpacked(state, single)
        output, final = self.run(x, given, lengths)
        if single:
            output = output[:, 0]
        elif self.batch_first:
            output = mg.swapaxes(output, 0, 1)
        return output, self._packed(final, single)

    def _scope_name(self) -> str:
        return type(self).__name__.lower()

    def with_dropped_weights(self) -> Self:
        """Return this layer with masks of `weight_dropout` for one sequence, sharing its parameters; in evaluation mode
        the layer itself. `run` and `forward` draw masks themselves. Before a loop over `step`, call this once."""
        if not self.weight_dropout or not self.training:
            return self
        twin = copy.copy(self)
        vars(twin).update(weight_dropout=0.0, cells=[[self._thinned(cell) for cell in layer] for layer in self.cells])
        return twin

    def _thinned(self, cell: Cell) -> Cell:
        """Return the cell with a part of its recurrent weights set to zero; of a cell around another that of the other."""
        thinned, inside = copy.copy(cell), {name: value for name, value in vars(cell).items() if isinstance(value, Cell)}
        if "weight_hh" in vars(cell):
            W = cell.weight_hh
            vars(thinned)["weight_hh"] = W * dropout_mask(W, self.weight_dropout, self.rng)  # not a parameter, but its product
        elif inside:
            vars(thinned).update({name: self._thinned(value) for name, value in inside.items()})
        else:
            raise ValueError(f"weight_dropout is for cells with a parameter weight_hh, and {type(cell).__name__} has none")
        return thinned

    def _zones(self, cell: Cell, state: State, T: int) -> list[Zone | None]:
        """Return the zone of each step. All are drawn before the first one, so that the steps of a compiled loop are alike."""
        shares = self.zoneout if isinstance(self.zoneout, tuple) else (self.zoneout,) * len(state)
        if not any(shares):
            return [None] * T
        zones: list[Any] = [
            [p or None] * T if not p or not self.training else chosen((T, *part.shape), part.dtype, p, self.rng, like=part.data)
            for p, part in zip(shares, state, strict=True)
        ]
        return [tuple(keep[t] for keep in zones) for t in range(T)]

    def _directed(self) -> bool:
        """True if the places of the steps name the direction."""
        return self.bidirectional or self.reverse

    def _dropped(self, h: Tensor, k: int) -> Tensor:
        if not self.dropout or not self.training or k == len(self.cells) - 1:
            return h
        dropped: Tensor = h * dropout_mask(h, self.dropout, self.rng)
        return dropped

    def _checked(self, state: State, batch: int) -> list[State]:
        """Return the state of each cell."""
        rest, found = list(state), []
        for layer in self.cells:
            for cell in layer:
                n = len(cell.state_names)
                found.append(as_state(tuple(rest[:n]), cell, batch))
                rest = rest[n:]
        if rest:
            raise ValueError(f"the state has {len(state)} parts, {len(rest)} more than the cells of this layer")
        return found

    def _packed(self, state: State, single: bool) -> Any:
        """Return the parts of all cells as arrays of shape (layers * directions, batch, size), one for each name."""
        names = self.cell.state_names
        parts = [state[i :: len(names)] for i in range(len(names))]
        kinds = {(cell.state_names, cell.state_sizes) for layer in self.cells for cell in layer}
        if len(kinds) > 1:
            raise ValueError("the cells of these layers have different states, which do not fit into one array; call run(x)")
        stacks = [mg.expand_dims(p[0], 0) if len(p) == 1 else mg.stack(p) for p in parts]
        if single:
            stacks = [s[:, 0] for s in stacks]
        elif self.batch_first:
            stacks = [mg.swapaxes(s, 0, 1) for s in stacks]
        return stacks[0] if len(names) == 1 else tuple(stacks)

    def _unpacked(self, state: Any, single: bool) -> State:
        """Return the parts of each cell: the inverse of `_packed`."""
        names = self.cell.state_names
        count = sum(map(len, self.cells))
        given = (state,) if len(names) == 1 else state
        if not isinstance(given, tuple | list):
            raise ValueError(f"the initial state must be ({', '.join(names)}), not {type(state).__name__}")
        if len(given) != len(names):
            raise ValueError(f"the state of {type(self.cell).__name__} is ({', '.join(names)}), not {describe(given)}")
        parts = []
        for part, size in zip(given, self.cell.state_sizes, strict=True):
            shape = np.shape(part)
            if not single and self.batch_first and len(shape) == 3:
                part = mg.swapaxes(part, 0, 1)
            axes = (f"{count}",) if single else ("batch", f"{count}") if self.batch_first else (f"{count}", "batch")
            if len(shape) != 3 - single or np.shape(part)[0] != count:
                what = "hidden_size" if size == self.hidden_size else "size"
                raise ValueError(f"an initial state must have shape ({', '.join(axes)}, {what}={size}), not {shape}")
            parts.append([part[n : n + 1] if single else part[n] for n in range(count)])
        return tuple(part for parts_of_a_cell in zip(*parts, strict=True) for part in parts_of_a_cell)


def tagged_step(cell: Cell, x: Tensor, state: State, zone: Zone | None) -> State:
    """Return the new state, with the names of its parts."""
    new = checked_step(cell, x, state)
    if zone is not None:
        new = zoned(zone, new, state)
    for name, part in zip(cell.state_names, new):  # noqa: B905 strict costs as much as the loop
        part.name = name
    return new


def zoned(zone: Zone, new: State, old: State) -> State:
    """Return the new state, of which a part, or a share of each element, keeps the value before."""
    return tuple(
        part if keep is None else keep * before + (1 - keep) * part for keep, part, before in zip(zone, new, old, strict=True)
    )


def masked_step(cell: Cell, x: Tensor, state: State, mask: np.ndarray | None, zone: Zone | None) -> tuple[Tensor, State]:
    """Return the output of a step and the new state. `mask` (batch, 1) is True for the sequences that have this step; None
    means all. The other sequences keep their state and have the output 0."""
    new = tagged_step(cell, x, state, zone)
    if mask is None:
        return new[0], new
    kept = tuple(mg.where(mask, part, old) for part, old in zip(new, state, strict=True))
    for name, part in zip(cell.state_names, kept, strict=True):
        part.name = name
    return mg.where(mask, kept[0], 0.0), kept  # through the state, so that dL/dh[t] is all that reaches h[t]


def run_cell(
    cell: Cell,
    xs: Tensor | list[Tensor],
    state: State,
    masks: list[np.ndarray | None],
    order: Sequence[int],
    zones: list[Zone | None],
) -> tuple[list[Tensor], State]:
    """Run a cell over the steps in this order; return its outputs, in the order of time, and the final state."""
    outputs: list[Any] = [None] * len(order)
    bottom = isinstance(xs, Tensor)
    seen = observer()
    advance = masked_step if seen is None else seen.step
    for t in order:
        with mg.scope("t", t):
            x = xs[t]
            if bottom:
                x.name = "x"
            outputs[t], state = advance(cell, x, state, masks[t], zones[t])
    return outputs, state


def masks_of(lengths: ArrayLike | None, T: int, batch: int) -> list[np.ndarray | None]:
    """Return for each step a mask (batch, 1) of the sequences that have it, or None if all have it."""
    mask = step_mask(lengths, T, batch)
    if mask is None:
        return [None] * T
    return [None if not is_lazy(row) and row.all() else row[:, None] for row in mask]


def last_output(
    output: Any,
    lengths: ArrayLike | None = None,
    *,
    bidirectional: bool = False,
    reverse: bool = False,
    batch_first: bool = False,
) -> Tensor:
    """Return the last output of each sequence, (batch, features); for the backward direction the output at the first step.

    `output` (T, batch, features) is the result of a recurrent layer for these `lengths`. In a bidirectional layer the
    second half of the features comes from the cell that reads backwards, so its last output is at step 0. With
    ``reverse=True`` all of them do.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> layer = rnn.GRU(3, 4, bidirectional=True, rng=0)
    >>> output, h = layer(np.ones((5, 2, 3)), lengths=[5, 2])
    >>> last = rnn.last_output(output, [5, 2], bidirectional=True)
    >>> np.array_equal(last.data, np.concatenate([h.data[0], h.data[1]], -1))
    True
    """
    y = output if isinstance(output, Tensor) else mg.tensor(output)
    if y.ndim != 3 or not y.shape[0]:
        raise ValueError(f"the output must have three axes and at least one step; this one has shape {y.shape}")
    if batch_first:
        y = mg.swapaxes(y, 0, 1)
    T, batch, features = y.shape
    masks_of(lengths, T, batch)
    if reverse and bidirectional:
        raise ValueError("a layer is bidirectional or reads in reverse; leave out one of bidirectional and reverse")
    if reverse:
        return y[0] if observer() is None else steps_of(y)[0]
    if bidirectional and features % 2:
        raise ValueError(f"the output of a bidirectional layer must have an even number of features; this one has {features}")
    if lengths is None and observer() is not None:
        ahead, back = steps_of(y)[-1], steps_of(y)[0]
        return mg.concatenate([halves(ahead)[0], halves(back)[1]], -1) if bidirectional else ahead
    last = y[-1] if lengths is None else y[array_of(lengths) - 1, np.arange(batch)]
    if not bidirectional:
        return last
    return mg.concatenate([last[:, : features // 2], y[0, :, features // 2 :]], -1)


def both_ways(ahead: Tensor, back: Tensor) -> Tensor:
    """Return the outputs of both directions next to each other."""
    return mg.concatenate([ahead, back], -1)


def check_cells(layers: list[list[Any]]) -> None:
    """Raise TypeError for what is not a cell, and ValueError unless each layer reads what the layer below returns."""
    for k, layer in enumerate(layers):
        for cell in layer:
            if not isinstance(cell, Cell):
                raise TypeError(f"layer {k} must be a Cell, or a pair of them, not {type(cell).__name__}")
    if {len(layer) for layer in layers} not in ({1}, {2}):
        raise ValueError("either each layer must be one cell, or each a pair of cells, forward and backward")
    width = layers[0][0].input_size
    for k, layer in enumerate(layers):
        for cell in layer:
            if cell.input_size != width:
                raise ValueError(f"layer {k} gets {width} features, but its cell has input_size={cell.input_size}")
        width = sum(cell.state_sizes[0] for cell in layer)


def check_shares(dropout: float, weight_dropout: float) -> None:
    """Raise ValueError unless both are at least 0 and less than 1."""
    for option, share, of in (("dropout", dropout, "outputs"), ("weight_dropout", weight_dropout, "recurrent weights")):
        if not 0 <= share < 1:
            raise ValueError(f"{option} is {share}; it must be the share of {of} set to zero, from 0 to less than 1")


def check_zoneout(zoneout: Any, cell: Cell) -> None:
    """Raise ValueError unless there is a probability for each part of the cell's state, or one for all."""
    names, several = cell.state_names, isinstance(zoneout, tuple | list)
    shares: Any = zoneout if several else (zoneout,)
    if (several and len(shares) != len(names)) or not all(isinstance(p, Real) and 0 <= float(p) <= 1 for p in shares):
        raise ValueError(
            f"zoneout is {zoneout!r}; it must be the probability that a unit keeps its value, from 0 to 1, or a tuple with "
            f"those of ({', '.join(names)})"
        )


def stacked(
    make: Callable[[int, Any], Cell],
    input_size: int,
    num_layers: int,
    bidirectional: bool,
    rng: Seed,
) -> tuple[list[Any], np.random.Generator]:
    """Build layers with `make(width, rng)`, each as wide as the output of the layer below; return them and the generator."""
    whole("num_layers", num_layers)
    rng = generator(rng)
    layers: list[Any] = []
    width = input_size
    for _ in range(num_layers):
        cells = [make(width, rng) for _ in range(1 + bidirectional)]
        layers.append(tuple(cells) if bidirectional else cells[0])
        width = sum(cell.state_sizes[0] for cell in cells)
    return layers, rng
