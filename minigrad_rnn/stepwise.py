"""A model run step by step with everything recorded: what pictures show and `gradient_flow` measures."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.graph import Leaf, Node, Watch, ancestors, reverse, unbroadcast
from minigrad.norms import norm
from minigrad.pictures.board import step_of
from minigrad.snapshot import Graph
from minigrad.tensor import values

from .cells import Cell, State, as_input
from .data.batch import IGNORED, Batch, Source
from .data.tasks import Task
from .losses import LOSSES
from .models import EncoderDecoder, ManyToOne, OneToMany, Sequence
from .module import mode
from .recurrent import Recurrent, last_output, masks_of

__all__ = ["Backward", "Line", "Run", "node_of", "run"]

Drawable = Sequence | ManyToOne | OneToMany | EncoderDecoder | Recurrent
OVERRIDES = ("forward", "run", "step", "answer", "embedded", "initial_state", "output_of")
NAMES = {"cross_entropy": "cross-entropy", "mse": "squared error", "binary": "binary cross-entropy"}

Masks = SequenceOf[np.ndarray | None]


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
    numbers: dict[int, np.ndarray] = field(default_factory=dict)  # what an embedding read, by column
    states: dict[Line, dict[int, State]] = field(default_factory=dict)
    names: dict[Node, str] = field(default_factory=dict)  # of nodes that have none
    initial: dict[Node, tuple[Line, str]] = field(default_factory=dict)  # the states that nobody learns, and whose they are
    outputs: dict[int, Tensor] = field(default_factory=dict)
    targets: dict[int, Tensor] = field(default_factory=dict)
    shares: dict[int, Tensor] = field(default_factory=dict)  # L[t], the share of a step in the loss
    sums: set[Node] = field(default_factory=set)  # the shares added up so far
    loss: Tensor | None = None  # the sum of all shares
    kind: str = ""  # of the loss
    words: str = ""  # what the loss is
    cuts: dict[Node, Node] = field(default_factory=dict)  # from a detached state to what it was cut from
    source_steps: int = 0  # of an encoder
    learnt: set[Node] = field(default_factory=set)  # beside the leaves: what was made of them before all steps

    @property
    def roots(self) -> list[Tensor]:
        """What the graph is traced back from: the loss, or the outputs; and every state."""
        ends = [*self.outputs.values()] if self.loss is None else [self.loss]
        states = [part for line in self.states.values() for state in line.values() for part in state]
        return [end for end in (*ends, *states) if end._node is not None]

    @cached_property
    def graph(self) -> Graph:
        return Graph(self.roots)

    @cached_property
    def places(self) -> dict[Node, tuple[Line, str, int]]:
        """Of the node of each state its cell, its name and its column."""
        return {
            part._node: (line, name, t)
            for line, steps in self.states.items()
            for t, state in steps.items()
            for name, part in zip(self.cells[line].state_names, state, strict=True)
            if part._node is not None
        }

    @cached_property
    def roles(self) -> dict[Node, str]:
        """What the nodes are that are more than an op of a cell."""
        kinds = {"input": self.inputs, "target": self.targets, "output": self.outputs, "loss": self.shares}
        found = {node_of(tensor): kind for kind, by_column in kinds.items() for tensor in by_column.values()}
        found |= dict.fromkeys(self.initial, "initial") | dict.fromkeys(self.places, "state")
        return found if self.loss is None else found | {node_of(self.loss): "loss"}

    # -- where a node belongs --------------------------------------------------------------------------------------------

    def line(self, node: Node) -> Line | None:
        """The cell that a node belongs to."""
        place = node.scope
        if place is None or "layer" not in place:
            return None
        part = "encoder" if "encoder" in place else "decoder" if "decoder" in place else ""
        return Line(part, place.get("layer", 0), place.get("direction") == "reverse")

    def column(self, node: Node) -> int | None:
        """The column that a node stands in."""
        t = step_of(node)
        return None if t is None else t + self.source_steps * ("decoder" in node.scope if node.scope else False)

    def column_of_use(self, node: Node) -> int | None:
        """The column that a use of a parameter counts in: of a readout of the last state the last, of a learned state the
        first."""
        t = self.column(node)
        if t is None:
            return self.columns - 1 if node.scope is not None and "readout" in node.scope else 0
        return t

    def leaves(self, node: Node, user: Node) -> bool:
        """Whether a node leaves the steps at this use, and its part of the loss counts in its step."""
        return False

    def step_losses(self) -> dict[int, float]:
        """The L[t] that are known."""
        return {t: share.item() for t, share in self.shares.items()}

    def read_out(self) -> set[int]:
        """The columns in which an output is read from a state."""
        return set(self.outputs)

    def values(self) -> dict[Node, np.ndarray]:
        """Those of the states."""
        parts = [part for steps in self.states.values() for state in steps.values() for part in state]
        return {node_of(part): part.data for part in parts}

    def losses(self, back: Backward) -> np.ndarray:
        """L_t, (T,)."""
        return np.array([self.shares[t].item() if t in self.shares else 0.0 for t in range(self.columns)])

    def ends(self, back: Backward) -> dict[int, list[tuple[Node, Any]]]:
        """By column the nodes that L_t goes back from, and the gradient that each begins with."""
        nodes = {t: share._differentiable() for t, share in self.shares.items()}
        return {t: [(node, np.ones((), node.dtype))] for t, node in nodes.items()}


def node_of(tensor: Tensor) -> Node:
    """What stands for a tensor in a graph."""
    return tensor._node or tensor._constant()


def run(
    model: Any, inputs: Any, targets: Any = None, *, loss: str | None = None, reduction: str = "mean", chunk: int | None = None
) -> Run:
    """Run a model in evaluation mode; with targets the share of each step in the loss, and their sum.

    `inputs` may be a `Batch`, a source (its first batch) or a `Task` instead, whose `loss` it then is. With arrays the loss is
    "cross_entropy" of class numbers, "mse" of other numbers. With `chunk` the states are detached every so many steps, as
    truncated backpropagation through time does.
    """
    if not isinstance(model, Drawable):
        raise TypeError(
            f"can draw a Sequence, a ManyToOne, a OneToMany, an EncoderDecoder or a recurrent layer (RNN, LSTM, GRU, or "
            f"Recurrent of your own cells), not a {type(model).__name__}"
        )
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; it is the number of steps between two cuts, at least 1")
    inputs, loss = as_batch(inputs, targets, loss, reduction)
    with mode(model, training=False):
        made = Run()
        if isinstance(model, EncoderDecoder):
            encode_and_decode(made, model, inputs, chunk)
        elif isinstance(model, OneToMany):
            one_to_many(made, model, inputs, chunk)
        else:
            read_forwards(made, model, inputs, chunk)
        if inputs.targets is not None:
            compare(made, model, inputs, loss, reduction)
        check_outputs(made, model, inputs)
    return made


def as_batch(inputs: Any, targets: Any, loss: str | None, reduction: str) -> tuple[Batch, str]:
    """The batch of what `run` is given, and its loss: the one asked for, that of a task or source, or by the targets' dtype."""
    if isinstance(inputs, Task):
        inputs, loss = inputs.data(), loss or inputs.loss
    if isinstance(inputs, Source):
        inputs, loss = inputs.batch(0), loss or inputs.loss
    if not isinstance(inputs, Batch):
        inputs = Batch(inputs, targets)
    elif targets is not None:
        raise ValueError("the inputs are a batch, which has its targets; leave out the other targets")
    if loss not in (None, *LOSSES) or reduction not in ("mean", "sum"):
        raise ValueError(f"a loss is one of {', '.join(LOSSES)}, a reduction mean or sum, not {loss!r}, {reduction!r}")
    of_numbers = inputs.targets is not None and values(inputs.targets).dtype.kind not in "iu"
    return inputs, loss or ("mse" if of_numbers else "cross_entropy")


# -- the forward pass ----------------------------------------------------------------------------------------------------


def read_forwards(made: Run, model: Any, batch: Batch, chunk: int | None) -> None:
    """A recurrent layer, and a readout of each output or of the last."""
    recurrent = model if isinstance(model, Recurrent) else model.recurrent
    if isinstance(model, Recurrent) and batch.targets is not None:
        raise ValueError("targets need a readout to be compared with: draw a Sequence(recurrent, Linear)")
    if recurrent.bidirectional and chunk is not None:
        raise ValueError("a bidirectional layer reads to both ends of the sequence; it is not trained in chunks")
    x, masks = as_steps(made, getattr(model, "embedding", None), recurrent, batch.inputs, batch.lengths)
    steps, _ = through(made, "", recurrent, x, masks, chunk=chunk)
    if isinstance(model, Recurrent):
        made.outputs = dict(enumerate(steps))
    elif isinstance(model, ManyToOne):
        T = len(steps)
        if batch.lengths is not None:
            last = last_output(mg.stack(steps), batch.lengths, bidirectional=recurrent.bidirectional)
        elif recurrent.bidirectional:
            top = len(recurrent.cells) - 1
            ends = (Line("", top, False), T - 1), (Line("", top, True), 0)
            last = mg.concatenate([made.states[line][t][0] for line, t in ends], -1)
        else:
            last = steps[-1]
        with mg.scope("readout"):
            read(made, model.readout, last, T - 1)
    else:
        read_each(made, model.readout, steps)


def one_to_many(made: Run, model: OneToMany, batch: Batch, chunk: int | None) -> None:
    """The vector, then the targets, each step told what it should have said before."""
    if batch.targets is None:
        raise ValueError("one to many is told the targets: give them too, (T, batch, features), one for each step")
    first, told = values(batch.inputs), values(batch.targets)
    first = first[0] if first.ndim == 3 else first
    if told.ndim != 3 or not len(told) or first.shape != told.shape[1:]:
        raise ValueError(
            f"one to many reads a vector (batch, features) and is told targets (T, batch, features), "
            f"not {first.shape} and {told.shape}"
        )
    x, masks = as_steps(made, None, model.recurrent, np.concatenate([first[None], told[:-1]]), None)
    read_each(made, model.readout, through(made, "", model.recurrent, x, masks, chunk=chunk)[0])


def encode_and_decode(made: Run, model: EncoderDecoder, batch: Batch, chunk: int | None) -> None:
    """The encoder over the inputs, the decoder over the targets, each told the one before."""
    if chunk is not None:
        raise ValueError("an encoder and a decoder are not trained in chunks; leave out chunk")
    if model.encoder.bidirectional:
        raise ValueError("can draw an encoder that reads forwards; this one is bidirectional")
    if batch.targets is None:
        raise ValueError("the decoder is told the targets: give them too, class numbers (T, batch)")
    numbers = values(batch.targets)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(f"targets are class numbers (T, batch), T at least 1, not {numbers.dtype} of shape {numbers.shape}")
    with mg.scope("encoder"):
        x, masks = as_steps(made, None, model.encoder, batch.inputs, batch.lengths)
        _, state = through(made, "encoder", model.encoder, x, masks)
    made.source_steps = made.columns
    told = np.concatenate([np.full((1, numbers.shape[1]), model.start), numbers[:-1]])
    with mg.scope("decoder"):
        x, masks = as_steps(made, None, model.decoder, model.one_hot(told), None)
        read_each(made, model.readout, through(made, "decoder", model.decoder, x, masks, state)[0])


def as_steps(
    made: Run, embedding: Any, recurrent: Recurrent, inputs: Any, lengths: Any
) -> tuple[list[Tensor], list[np.ndarray | None]]:
    """The input of each step, through the embedding if there is one, and for each step which sequences have it.

    The inputs of a layer that is frozen require grad, so that its states are recorded, too.
    """
    x: Any = inputs if isinstance(inputs, Tensor) and embedding is None else values(inputs)
    if x.ndim != 2 + (embedding is None) or not len(x):
        wanted = "(T, batch, I)" if embedding is None else "(T, batch) for an embedding"
        raise ValueError(
            f"the input has shape {x.shape}; expected {wanted}{', and this one has no steps' * (0 in x.shape[:1])}"
        )
    masks = masks_of(lengths, len(x), x.shape[1])
    frozen = not all(p.requires_grad for p in recurrent.parameters())
    steps = []
    for t, mask in enumerate(masks):
        with mg.scope("t", t):
            if embedding is not None:
                made.numbers[made.columns + t] = x[t]
            step = as_input(x[t], recurrent.cell, ("batch",)) if embedding is None else embedding(x[t])
            if mask is not None:
                step = mg.where(mask, step, 0.0)
            if frozen and not step.requires_grad:
                step = mg.tensor(step.data, requires_grad=True)
            step.name = "x"
        steps.append(step)
        made.inputs[made.columns + t] = step
    return steps, masks


def through(
    made: Run,
    part: str,
    recurrent: Recurrent,
    x: list[Tensor],
    masks: Masks,
    state: State | None = None,
    chunk: int | None = None,
) -> tuple[list[Tensor], State]:
    """The outputs of a recurrent layer, step by step, and the final state; `state` is that of an encoder."""
    pairs = [(k, reverse, cell) for k, cells in enumerate(recurrent.cells) for reverse, cell in enumerate(cells)]
    lines = {Line(part, k, reverse > 0): cell for k, reverse, cell in pairs}
    if state is None:
        state = recurrent.initial_state(x[0].shape[0])
        places = [(line, name) for line, cell in lines.items() for name in cell.state_names]
        made.initial |= {s._constant(): place for s, place in zip(state, places, strict=True) if s._node is None}
    made.cells |= lines
    made.states |= {line: {} for line in lines}

    def seen(k: int, reverse: bool, t: int, new: State) -> None:
        made.states[Line(part, k, reverse)][made.columns + t] = new

    outputs: list[Tensor] = []
    size = chunk or len(x)
    for first in range(0, len(x), size):
        if first:
            whole, state = state, tuple(s.detach() for s in state)
            made.cuts |= {cut._constant(): s._node for s, cut in zip(whole, state, strict=True) if s._node is not None}
        piece = slice(first, first + size)
        more, state = recurrent.steps(x[piece], state, list(masks[piece]), first, seen)
        outputs += more
    made.columns += len(x)
    return outputs, state


def read_each(made: Run, readout: Any, steps: list[Tensor]) -> None:
    for t, output in enumerate(steps):
        with mg.scope("readout"), mg.scope("t", t):
            read(made, readout, output, made.source_steps + t)


def read(made: Run, readout: Any, h: Tensor, at: int) -> None:
    output = readout(h)
    output.name = "o"
    made.outputs[at] = output


def check_outputs(made: Run, model: Any, batch: Batch) -> None:
    """That the model computes what its layers computed here, where its class has a forward pass of its own."""
    layers = [model, *(getattr(model, part) for part in ("recurrent", "encoder", "decoder") if hasattr(model, part))]
    bases = [next(kind for kind in Drawable.__args__ if isinstance(layer, kind)) for layer in layers]
    pairs = [(type(layer), base, name) for layer, base in zip(layers, bases, strict=True) for name in OVERRIDES]
    own = [
        f"{kind.__name__}.{name}" for kind, base, name in pairs if getattr(kind, name, None) is not getattr(base, name, None)
    ]
    if not own:
        return
    with mg.no_grad():
        outputs = model.run(batch.inputs, None, batch.lengths)[0] if isinstance(model, Recurrent) else model.answer(batch)[0]
    steps = [output.data for _, output in sorted(made.outputs.items())]
    drawn = steps[-1] if isinstance(model, ManyToOne) else np.stack(steps)
    if outputs.shape != drawn.shape or not np.allclose(outputs.data, drawn, rtol=1e-3, atol=1e-5):
        raise ValueError(
            f"{own[0]} gives other outputs than the layers of the model, run step by step, and these are what can be drawn: "
            "a recurrent layer, and a readout of its outputs"
        )


# -- the loss ------------------------------------------------------------------------------------------------------------


def compare(made: Run, model: Any, batch: Batch, kind: str, reduction: str) -> None:
    """The share of each step in the loss, added to those before."""
    y = fixed(batch.targets)
    made.kind = kind
    last, first = isinstance(model, ManyToOne), made.source_steps
    B, size = made.outputs[made.columns - 1].shape
    T = 1 if last else made.columns - first
    expected, words = ((B,), "batch") if last else ((T, B), "T, batch")
    if kind != "cross_entropy":
        expected, words = (*expected, size), f"{words}, outputs"
    if y.shape != expected:
        comma = "," * (len(expected) == 1)
        raise ValueError(f"targets have shape {y.shape}; expected ({words}{comma}) = {expected} for the loss {kind!r}")
    y = y[None] if last else y
    counted = y != IGNORED if kind == "cross_entropy" else np.ones((T, B), bool)
    if batch.lengths is not None and isinstance(model, Sequence | OneToMany):
        counted = counted & (np.arange(T)[:, None] < np.asarray(batch.lengths))
    if not counted.any():
        raise ValueError("every target is IGNORED: there is no loss, and no gradient")
    answers = int(counted.sum()) if reduction == "mean" else B
    many = f"the {NAMES[kind]} " + (f"of {answers} answers" if reduction == "mean" else "over the steps")
    made.words = f"the {reduction} of {many}, L[t] the share of step t"
    if last or answers == 1 == T:
        made.words = f"the {NAMES[kind]}" + f", mean of {B} sequences" * (B > 1)
    for t in np.flatnonzero(counted.any(axis=1)):
        at = made.columns - 1 if last else first + int(t)
        with contextlib.ExitStack() as scopes:
            for name in ["decoder"] * (first > 0) + ["loss"]:
                scopes.enter_context(mg.scope(name))
            if not last:
                scopes.enter_context(mg.scope("t", int(t)))
            share = compared(made, kind, at, y[t], counted[t], answers)
            share.name = "L"
            made.shares[at] = share
            if made.loss is not None:
                share = made.loss + share
                share.name = "sum"
                made.sums.add(node_of(share))
            made.loss = share
    if not last and made.loss is not None:
        made.loss.name = "loss"


def compared(made: Run, kind: str, at: int, target: np.ndarray, counted: np.ndarray, answers: int) -> Tensor:
    """The loss of one step, summed over what counts, as a share of so many answers."""
    output, every = made.outputs[at], bool(counted.all())
    if kind == "cross_entropy":
        y = made.targets[at] = mg.tensor(target if every else np.where(counted, target, IGNORED), name="y")
        share, size = mg.cross_entropy(output, y, reduction="sum"), 1
    else:
        y = made.targets[at] = mg.tensor(np.where(counted[:, None], target, 0), dtype=output.dtype, name="y")
        losses, size = LOSSES[kind](output, y, reduction="none"), output.shape[-1]
        share = (losses if every else mg.where(counted[:, None], losses, 0.0)).sum()
    return share if answers * size == 1 else share / float(answers * size)  # type: ignore[no-any-return]


def fixed(targets: Any) -> np.ndarray:
    """Targets as an array. They are not differentiated."""
    if isinstance(targets, Tensor) and targets.requires_grad:
        raise ValueError("the targets require grad, and a picture shows no gradient of theirs; give targets.detach()")
    return values(targets)  # type: ignore[no-any-return]


# -- the backward pass ---------------------------------------------------------------------------------------------------


class Backward(Watch):
    """One sweep back from the loss of a run, watched: what arrives at each state, and what each use of it sends; and the part
    of each parameter's gradient that comes from each column. `keep` keeps these parts, and not only their norms."""

    def __init__(self, made: Run, keep: bool = False) -> None:
        assert made.loss is not None
        self.pictured, self.keep = made, keep
        self.parts: dict[Node, list[tuple[Node, np.ndarray]]] = {state: [] for state in made.places}
        self.through: dict[Node, np.ndarray] = {}  # from the op that made a state to its first operand
        self.shares: dict[tuple[Node, int], float] = {}
        self.gradients: dict[tuple[Node, int], np.ndarray] = {}
        root = made.loss._differentiable()
        order = ancestors([root])
        self.learnt = {node for node in order if isinstance(node, Leaf)} | made.learnt
        uses = (self.place(x, node) for node in order for x in node.operands if x in self.learnt)
        self.waiting = Counter(place for place in uses if place is not None)
        self.seeds: dict[Node, np.ndarray] = {}  # what comes to a node from where it leaves the steps
        seed = np.ones(root.shape, root.dtype)
        self.cotangents: dict[Node, np.ndarray] = reverse(root, seed, {*made.places, *self.learnt}, retain=True, watch=[self])

    def place(self, leaf: Node, user: Node) -> tuple[Node, int] | None:
        t = self.pictured.column_of_use(user)
        return None if t is None else (leaf, t)

    def sent(self, node: Node, i: int, g: Any, part: Any) -> None:
        operand = node.operands[i]
        place = self.place(operand, node) if operand in self.learnt and operand not in self.parts else None
        leaves = self.pictured.leaves(operand, node)
        if operand in self.parts or place is not None or leaves:
            arrived = np.asarray(unbroadcast(part, operand.shape))
        if operand in self.parts:
            self.parts[operand].append((node, arrived))
        elif place is not None:
            self.add(place, arrived)
        if leaves:
            self.seeds[operand] = self.seeds[operand] + arrived if operand in self.seeds else arrived
        if i == 0 and node in self.parts:
            self.through[node] = np.asarray(part)

    def add(self, place: tuple[Node, int], part: np.ndarray) -> None:
        """One use of a parameter in a column; after the last one the sum is measured."""
        self.gradients[place] = self.gradients[place] + part if place in self.gradients else part
        self.waiting[place] -= 1
        if not self.waiting[place]:
            self.shares[place] = norm(self.gradients[place])
            if not self.keep:
                del self.gradients[place]
