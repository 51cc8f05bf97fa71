"""A model run step by step, everything recorded, in the way in which the pictures show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.graph import Node
from minigrad.pictures.board import step_of

from ..cells import Cell, State, as_input
from ..models import EncoderDecoder, ManyToOne, Sequence
from ..module import mode
from ..recurrent import Recurrent, tagged_step

__all__ = ["Line", "Run", "column", "line_of", "run"]

Drawable = Sequence | ManyToOne | EncoderDecoder | Recurrent
IGNORED = -100


class Line(NamedTuple):
    """Where a cell stands: the part of the model ("", encoder, decoder), the layer, and the direction in which it reads."""

    part: str
    layer: int
    reverse: bool


@dataclass
class Run:
    """The tensors of a run. Columns count the steps, of a decoder those of its encoder first."""

    columns: int = 0
    cells: dict[Line, Cell] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)  # by column
    states: dict[Line, dict[int, State]] = field(default_factory=dict)
    outputs: dict[int, Tensor] = field(default_factory=dict)
    targets: dict[int, Tensor] = field(default_factory=dict)
    shares: dict[int, Tensor] = field(default_factory=dict)  # L[t], the loss of a step
    loss: Tensor | None = None  # their sum
    cuts: dict[Node, Node] = field(default_factory=dict)  # from a detached state to what it was cut from
    source_steps: int = 0  # of an encoder

    @property
    def roots(self) -> list[Tensor]:
        """What the graph is traced back from: the loss, or the outputs; and every state."""
        ends = [*self.outputs.values()] if self.loss is None else [self.loss]
        states = [part for line in self.states.values() for state in line.values() for part in state]
        return [end for end in (*ends, *states) if end._node is not None]


def run(model: Any, inputs: Any, targets: Any = None, chunk: int | None = None) -> Run:
    """Run a model; with `targets` a loss for each output, and their sum, which gathers along the sequence.

    The loss of class numbers is the cross-entropy, of real numbers the mean squared error, each the batch's mean. With `chunk`
    the states are detached every so many steps, as truncated backpropagation through time does. Nothing is dropped.
    """
    if not isinstance(model, Drawable):
        raise TypeError(
            f"can draw a Sequence, a ManyToOne, an EncoderDecoder or a recurrent layer (RNN, LSTM, GRU), "
            f"not a {type(model).__name__}"
        )
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; it is the number of steps between two cuts, at least 1")
    with mode(model, training=False):
        return made_of(model, inputs, targets, chunk)


def made_of(model: Any, inputs: Any, targets: Any, chunk: int | None) -> Run:
    made = Run()
    if isinstance(model, EncoderDecoder):
        encode_and_decode(made, model, inputs, targets)
        return made
    recurrent = model if isinstance(model, Recurrent) else model.recurrent
    x = as_steps(made, model, recurrent, inputs)
    T, batch = len(x), x[0].shape[0]
    if targets is not None:
        if isinstance(model, Recurrent):
            raise ValueError("targets need a readout to be compared with: draw a Sequence(recurrent, Linear)")
        expected, words = ((batch,), "(batch,)") if isinstance(model, ManyToOne) else ((T, batch), "(T, batch)")
        if np.shape(targets)[: len(expected)] != expected:
            raise ValueError(f"targets have shape {np.shape(targets)}; expected {words} = {expected}")
    steps = both_ways(made, recurrent, x) if recurrent.bidirectional else forwards(made, "", recurrent, x, None, chunk)
    if recurrent.bidirectional and chunk is not None:
        raise ValueError("a bidirectional layer reads to both ends of the sequence; it is not trained in chunks")
    if isinstance(model, ManyToOne):
        last = steps[-1]
        if recurrent.bidirectional:
            top = len(recurrent.cells) - 1
            last = mg.concatenate([made.states[Line("", top, False)][T - 1][0], made.states[Line("", top, True)][0][0]], -1)
        with mg.scope("readout"):
            read(made, model.readout, last, T - 1)
        with mg.scope("loss"):
            compare(made, T - 1, None if targets is None else np.asarray(targets))
    else:
        for t, output in enumerate(steps):
            if isinstance(model, Recurrent):
                made.outputs[t] = output
                continue
            with mg.scope("readout"), mg.scope("t", t):
                read(made, model.readout, output, t)
            with mg.scope("loss"), mg.scope("t", t):
                compare(made, t, None if targets is None else np.asarray(targets[t]))
    if made.loss is not None and not isinstance(model, ManyToOne):
        made.loss.name = "loss"
    if not made.roots:
        raise ValueError("nothing here was recorded: no parameter of this model requires grad")
    return made


def as_steps(made: Run, model: Any, recurrent: Recurrent, inputs: Any) -> list[Tensor]:
    """The input of each step, through the embedding if there is one."""
    embedding = getattr(model, "embedding", None)
    x: Any = np.asarray(inputs) if embedding is not None else as_input(inputs, recurrent.cell, ("T", "batch"))
    if not x.ndim or not len(x):
        raise ValueError(f"the input has shape {x.shape}: a sequence of no steps cannot be drawn")
    steps = []
    for t in range(len(x)):
        with mg.scope("t", t):
            step = x[t] if embedding is None else embedding(x[t])
            step.name = "x"
        steps.append(step)
        made.inputs[made.columns + t] = step
    return steps


def forwards(
    made: Run, part: str, recurrent: Recurrent, x: list[Tensor], state: State | None, chunk: int | None
) -> list[Tensor]:
    """The outputs of the last layer, step by step."""
    state = recurrent.initial_state(x[0].shape[0]) if state is None else state
    cells = [layer[0] for layer in recurrent.cells]
    outputs = []
    for t, step in enumerate(x):
        if chunk and t and t % chunk == 0:
            whole, state = state, tuple(s.detach() for s in state)
            made.cuts |= {cut._constant(): s._node for s, cut in zip(whole, state, strict=True) if s._node is not None}
        state = recurrent.step(step, state, t)
        rest = list(state)
        for k, cell in enumerate(cells):
            line = Line(part, k, False)
            made.cells[line] = cell
            made.states.setdefault(line, {})[made.columns + t] = tuple(rest[: len(cell.state_names)])
            rest = rest[len(cell.state_names) :]
        outputs.append(recurrent.output_of(state))
    made.columns += len(x)
    return outputs


def both_ways(made: Run, recurrent: Recurrent, x: list[Tensor]) -> list[Tensor]:
    """The outputs of the last layer, both directions' side by side."""
    T, steps = len(x), list(x)
    begin = iter([cell.initial_state(x[0].shape[0]) for layer in recurrent.cells for cell in layer])
    with mg.scope(recurrent._scope_name()):
        for k, layer in enumerate(recurrent.cells):
            outputs = []
            for cell, name, order in zip(layer, ("forward", "reverse"), (range(T), range(T - 1, -1, -1)), strict=True):
                line = Line("", k, name == "reverse")
                made.cells[line], made.states[line], state = cell, {}, next(begin)
                for t in order:
                    with mg.scope("layer", k), mg.scope("direction", name), mg.scope("t", t):
                        state = tagged_step(cell, steps[t], state)
                    made.states[line][t] = state
                outputs.append([made.states[line][t][0] for t in range(T)])
            for t in range(T):
                with mg.scope("layer", k), mg.scope("t", t):
                    steps[t] = mg.concatenate([side[t] for side in outputs], -1)
    made.columns = T
    return steps


def encode_and_decode(made: Run, model: EncoderDecoder, inputs: Any, targets: Any) -> None:
    """The encoder over the inputs, the decoder over the targets, each told the one before."""
    if targets is None:
        raise ValueError("the decoder is told the targets: give them too, class numbers (T, batch)")
    numbers = np.asarray(targets)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(f"targets are class numbers (T, batch), T at least 1, not {numbers.dtype} of shape {numbers.shape}")
    with mg.scope("encoder"):
        x = as_steps(made, None, model.encoder, inputs)
        forwards(made, "encoder", model.encoder, x, None, None)
    S = made.source_steps = made.columns
    state = tuple(part for line in made.states for part in made.states[line][S - 1])
    told = np.concatenate([np.full((1, numbers.shape[1]), model.start), numbers[:-1]])
    with mg.scope("decoder"):
        x = as_steps(made, None, model.decoder, model.one_hot(told))
        outputs = forwards(made, "decoder", model.decoder, x, state, None)
        for t, output in enumerate(outputs):
            with mg.scope("readout"), mg.scope("t", t):
                read(made, model.readout, output, S + t)
            with mg.scope("loss"), mg.scope("t", t):
                compare(made, S + t, numbers[t])
    if made.loss is not None:
        made.loss.name = "loss"


def read(made: Run, readout: Any, h: Tensor, at: int) -> None:
    output = readout(h)
    output.name = "o"
    made.outputs[at] = output


def compare(made: Run, at: int, target: np.ndarray | None) -> None:
    """The loss of an output, unless its targets do not count, added to those before."""
    if target is None:
        return
    output = made.outputs[at]
    if target.dtype.kind in "iu":
        if (target == IGNORED).all():
            return
        y = made.targets[at] = mg.tensor(target, name="y")
        share = mg.cross_entropy(output, y)
    else:
        y = made.targets[at] = mg.tensor(target, dtype=output.dtype, name="y")
        gap = output - (y if y.shape == output.shape else y.reshape(output.shape))
        share = mg.mean(gap * gap)
    share.name = "L"
    made.shares[at] = share
    if made.loss is None:
        made.loss = share
    else:
        made.loss = made.loss + share
        made.loss.name = "sum"


def line_of(node: Node) -> Line:
    """The cell that a node of a recurrent layer belongs to, by its scope."""
    place = node.scope
    if place is None:
        return Line("", 0, False)
    part = "encoder" if "encoder" in place else "decoder" if "decoder" in place else ""
    layer = place.get("layer", 0)
    return Line(part, layer, place.get("direction") == "reverse")


def column(made: Run, node: Node) -> int | None:
    """The column that a node stands in."""
    t = step_of(node)
    return None if t is None else t + made.source_steps * ("decoder" in node.scope if node.scope else False)
