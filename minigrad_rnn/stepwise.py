"""A model run step by step with everything recorded: what pictures show and `gradient_flow` measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.broadcasting import unbroadcast
from minigrad.graph import CURRENT, Leaf, Node, Scope, ancestors
from minigrad.graph_view import Graph
from minigrad.norms import norm
from minigrad.sweep import reverse
from minigrad.tensor import values
from minigrad.watch import Watch

from .by_step import in_steps, observed, steps_of
from .cell import Cell, State
from .data.batch import IGNORED, Batch, Source, step_mask
from .data.tasks import Task
from .losses import LOSSES, SequenceLoss, sequence_loss
from .models import EncoderDecoder, ManyToOne, Model, OneToMany, Sequence
from .module import mode
from .recurrent import Recurrent, Zone, masked_step

__all__ = ["Backward", "Line", "Run", "node_of", "run"]

Drawable = Sequence | ManyToOne | OneToMany | EncoderDecoder | Recurrent
NAMES = {"cross_entropy": "cross-entropy", "mse": "squared error", "binary": "binary cross-entropy"}


Features = tuple[int, int] | None  # from and to which, or all


class Line(NamedTuple):
    """The place of a cell: the part of the model ("", encoder, decoder), the layer, and the direction in which it reads."""

    part: str
    layer: int
    reverse: bool

    @property
    def id(self) -> str:
        """Layer and direction, as ids of boxes have them."""
        return f"{self.layer}{'r' * self.reverse}"

    @property
    def whole(self) -> Line:
        """The line of an encoder and a decoder together."""
        return self._replace(part="")


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
    words: str = ""  # what the loss is
    cuts: dict[Node, Node] = field(default_factory=dict)  # from a detached state to what it was cut from
    source_steps: int = 0  # of an encoder
    learnt: set[Node] = field(default_factory=set)  # apart from the leaves: what was made of them before all steps

    @property
    def layers(self) -> int:
        return len({line.layer for line in self.cells})

    def own_step(self, t: int) -> int:
        """The step of a column, in a decoder counted from its first one."""
        return t - self.source_steps * (t >= self.source_steps)

    @property
    def roots(self) -> list[Tensor]:
        """The tensors that the graph is traced back from: the loss, or the outputs; and every state."""
        ends = [*self.outputs.values()] if self.loss is None else [self.loss]
        states = [part for line in self.states.values() for state in line.values() for part in state]
        return [end for end in (*ends, *states) if end._node is not None]

    @cached_property
    def graph(self) -> Graph:
        return Graph(self.roots)

    @cached_property
    def decoding(self) -> set[Node]:
        """The parameters of a decoder's cells."""
        return {node_of(p) for line, cell in self.cells.items() if line.part == "decoder" for p in cell.parameters()}

    @cached_property
    def places(self) -> dict[Node, tuple[Line, str, int]]:
        """The cell, the name and the column of the node of each state."""
        return {
            part._node: (line, name, t)
            for line, steps in self.states.items()
            for t, state in steps.items()
            for name, part in zip(self.cells[line].state_names, state, strict=True)
            if part._node is not None
        }

    @cached_property
    def roles(self) -> dict[Node, str]:
        """The roles of the nodes that are more than an op of a cell."""
        kinds = {"input": self.inputs, "target": self.targets, "output": self.outputs, "loss": self.shares}
        found = {node_of(tensor): kind for kind, by_column in kinds.items() for tensor in by_column.values()}
        found |= dict.fromkeys(self.initial, "initial") | dict.fromkeys(self.places, "state")
        return found if self.loss is None else found | {node_of(self.loss): "loss"}

    # -- where a node belongs --------------------------------------------------------------------------------------------

    def line(self, node: Node) -> Line | None:
        """The cell that a node belongs to."""
        return line_of(node.scope)

    def column(self, node: Node) -> int | None:
        """The column of a node."""
        return self.at(node.scope)

    def at(self, place: Scope | None) -> int | None:
        """The column of the step in this scope."""
        t = None if place is None else place.get("t")
        return t + self.source_steps * ("encoder" not in place) if place is not None and isinstance(t, int) else None

    def column_of_use(self, node: Node) -> int | None:
        """The column that a use of a parameter counts in: of a readout of the last state that of the output, of a learned state
        the first."""
        t = self.column(node)
        if t is None:
            return max(self.outputs, default=self.columns - 1) if node.scope is not None and "readout" in node.scope else 0
        return t

    def leaves(self, node: Node, user: Node) -> bool:
        """True if a node leaves the steps at this use, and its part of the loss counts in its step."""
        return False

    def step_losses(self) -> dict[int, float]:
        """The L[t] that are known."""
        return {t: share.item() for t, share in self.shares.items()}

    def read_out(self) -> set[int]:
        """The columns in which an output is read from a state."""
        return set(self.outputs)

    def read_by(self, column: int) -> list[tuple[Line, int]]:
        """The cells and columns whose states the output of a column is read from."""
        found: set[tuple[Line, int]] = set()
        queue: dict[tuple[Node, Features], None] = {(node_of(self.outputs[column]), None): None}
        while queue:
            (node, features), _ = queue.popitem()
            if node in self.places:
                line, _, t = self.places[node]
                found.add((line, t))
            elif node.op is not None:
                queue |= dict.fromkeys(picked(node, features))
        return sorted(found)

    def values(self) -> dict[Node, np.ndarray]:
        """The values of the states."""
        parts = [part for steps in self.states.values() for state in steps.values() for part in state]
        return {node_of(part): part.data for part in parts}

    def losses(self, back: Backward) -> np.ndarray:
        """L_t, (T,)."""
        return np.array([self.shares[t].item() if t in self.shares else 0.0 for t in range(self.columns)])

    def ends(self, back: Backward) -> dict[int, list[tuple[Node, Any]]]:
        """By column the nodes that L_t goes back from, and the gradient that each begins with."""
        nodes = {t: share._differentiable() for t, share in self.shares.items()}
        return {t: [(node, np.ones((), node.dtype))] for t, node in nodes.items()}


def line_of(place: Scope | None) -> Line | None:
    """The cell that runs in this scope."""
    if place is None or "layer" not in place:
        return None
    part = "encoder" if "encoder" in place else "decoder" if "decoder" in place else ""
    return Line(part, place.get("layer", 0), place.get("direction") == "reverse")


def picked(node: Node, features: Features) -> list[tuple[Node, Features]]:
    """The operands that some features of a node come from, and which of theirs: of a slice of a stack, such as the last step of
    each sequence, the steps that it takes; of both directions side by side the one."""
    operands = [x for x in node.operands if isinstance(x, Node)]
    if node.op.name == "concatenate" and node.options["axis"] == len(node.shape) - 1 and features:
        begins = accumulate((x.shape[-1] for x in operands), initial=0)
        own = [(x, (features[0] - begin, features[1] - begin)) for x, begin in zip(operands, begins, strict=False)]
        return [(x, (first, end)) for x, (first, end) in own if first < x.shape[-1] and end > 0]
    if node.op.name == "getitem":
        return picked_by_index(operands[0], node.options["index"], features)
    return [(x, features if node.op.kind == "elementwise" else None) for x in operands]


def picked_by_index(x: Node, index: Any, features: Features) -> list[tuple[Node, Features]]:
    """The same of x[index]."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) == len(x.shape) and isinstance(parts[-1], slice):
        begin, end, _ = parts[-1].indices(x.shape[-1])
        features = (begin, end) if features is None else (begin + features[0], begin + features[1])
    if x.op is not None and x.op.name == "stack" and x.options["axis"] == 0:
        rows = np.unique(np.arange(x.shape[0])[parts[0]])
        return [(step, features) for k in rows if isinstance(step := x.operands[int(k)], Node)]
    return [(x, features)]


def node_of(tensor: Tensor) -> Node:
    """The node of a tensor: that of its result, or a constant."""
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
            f"Recurrent of your own cells), not {type(model).__name__}"
        )
    if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
        raise ValueError(f"chunk is {chunk!r}; it is the number of steps between two cuts, at least 1")
    if isinstance(model, EncoderDecoder) and model.encoder.reverse:
        raise ValueError("an encoder with reverse=True cannot be drawn or measured; use reverse=False and give source[::-1]")
    batch, loss = as_batch(inputs, targets, loss, reduction)
    if batch.targets is None and isinstance(model, OneToMany | EncoderDecoder):
        raise ValueError(f"this {type(model).__name__} reads the targets: give them too, after the inputs")
    if isinstance(model, OneToMany) and np.ndim(batch.inputs) == 2:
        batch = batch._replace(inputs=values(batch.inputs)[None])
    made = Run()
    seen = Observer(made, chunk)
    with observed(seen):
        outputs = answered(model, batch, loss, reduction)
        if batch.targets is None:
            made.outputs = seen.outputs(outputs, None if isinstance(model, Recurrent) else "o")
    return made


def answered(model: Any, batch: Batch, kind: str, reduction: str) -> Tensor:
    """The loss of a module in evaluation mode, or its output, without targets."""
    if isinstance(model, Recurrent) and batch.targets is not None:
        raise ValueError("targets need a readout to be compared with: draw a Sequence(recurrent, Linear)")
    with mode(model, training=False):
        if isinstance(model, Recurrent):
            outputs: Tensor = model.run(batch.inputs, None, batch.lengths)[0]
        else:
            outputs = model.predict_batch(batch)[0] if isinstance(model, Model) else model(batch.inputs)
    if batch.targets is None:
        return outputs
    lengths = model.output_lengths(batch) if isinstance(model, Model) else batch.lengths
    return sequence_loss(kind, outputs, batch.targets, lengths, reduction=reduction).total


def as_batch(inputs: Any, targets: Any, loss: str | None, reduction: str) -> tuple[Batch, str]:
    """The batch of what `run` is given, and its loss: the one asked for, that of a task or source, or by the targets' dtype."""
    if inputs is None or isinstance(inputs, str):
        raise TypeError(
            f"give inputs (T, batch, features) and targets after the model, a batch, or a task such as rnn.tasks.hello(), "
            f"not {inputs!r}"
        )
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


# -- the forward pass, and the loss, seen step by step ----------------------------------------------------------------------


class Observer:
    """Runs a model step by step, and records the run. With `chunk` it detaches the states every so many steps."""

    def __init__(self, made: Run, chunk: int | None) -> None:
        self.made, self.chunk = made, chunk

    def each_step(self, f: Any, x: Any, place: str) -> Tensor:
        """f(x), step by step unless that is something else, as for a readout that looks at several steps."""
        if not len(x) or (place == "embedding" and np.ndim(x) == 1):  # the numbers of a single step
            return f(x)  # type: ignore[no-any-return]
        with mg.scope(place):
            stacked: Tensor = mg.stack(in_steps(f, steps_of(x)))
        with mg.no_grad():
            whole = f(x).data
        near = float(np.finfo(whole.dtype).eps) ** 0.5
        if stacked.shape != whole.shape or not norm(stacked.data - whole) <= near * norm(whole):
            return f(x)  # type: ignore[no-any-return]
        if place == "embedding":
            self.made.numbers |= dict(enumerate(values(x)))
        return stacked

    def reader(self, recurrent: Recurrent) -> Callable[[Tensor, np.ndarray | None], Tensor]:
        """A function that makes of x[t] what a layer reads. For a frozen layer it requires grad, so states are recorded."""
        return partial(self.input, not all(p.requires_grad for p in recurrent.parameters()))

    def input(self, frozen: bool, x: Tensor, mask: np.ndarray | None) -> Tensor:
        """The input of a layer in the current step, with zeros in the padding."""
        made, place = self.made, CURRENT.get()[1]
        column: Any = made.at(place)
        if mask is not None:
            x = mg.where(mask, x, 0.0)
        if frozen and not x.requires_grad:
            x = mg.tensor(x.data, requires_grad=True)
        x.name = x.name or "x"
        made.inputs[column] = x
        made.columns = column + 1
        if place is not None and "encoder" in place:
            made.source_steps = made.columns
        return x

    def step(self, cell: Cell, x: Tensor, state: State, mask: np.ndarray | None, zone: Zone | None) -> tuple[Tensor, State]:
        """`masked_step`, of the current layer and step."""
        made, place = self.made, CURRENT.get()[1]
        line: Any = line_of(place)
        column: Any = made.at(place)
        if self.chunk and (line.part or line.reverse):
            raise ValueError("only what reads forwards, without a decoder, is trained in chunks; leave out chunk")
        if line not in made.cells:
            made.cells[line], made.states[line] = cell, {}
            pairs = zip(cell.state_names, state, strict=True)
            made.initial |= {part._constant(): (line, name) for name, part in pairs if part._node is None}
        elif self.chunk and column % self.chunk == 0:
            whole, state = state, tuple(part.detach() for part in state)
            made.cuts |= {cut._constant(): s._node for s, cut in zip(whole, state, strict=True) if s._node is not None}
        if made.cells[line] is not cell or column in made.states[line]:
            raise ValueError(
                "this model runs a step twice, or two recurrent layers, and a picture has a place for one; draw the loss that "
                "it records, rnn.draw.unrolled(loss)"
            )
        output, made.states[line][column] = masked_step(cell, x, state, mask, zone)
        return output, made.states[line][column]

    def outputs(self, outputs: Tensor, name: str | None = "o") -> dict[int, Tensor]:
        """By column: one for each step, or one for all in the last."""
        T = self.made.columns - self.made.source_steps
        with mg.scope("readout"):
            steps = [outputs] if outputs.ndim == 2 else steps_of(outputs)
        if not T or (outputs.ndim != 2 and len(steps) != T):
            raise ValueError(
                f"this model has {T} steps of recurrent layers of this package, and outputs of shape {outputs.shape}; expected "
                f"({T}, batch, O), or (batch, O) for one a sequence. Draw the loss that it records, rnn.draw.unrolled(loss)"
            )
        for output in steps if name else ():
            output.name = output.name or name  # a state that is an output keeps its name
        ends_first = outputs.ndim == 2 and all(line.reverse for line in self.made.cells)  # the last step that it read is 0
        return dict(enumerate(steps, 0 if ends_first else self.made.columns - len(steps)))

    def loss(self, kind: str, outputs: Tensor, targets: Any, lengths: Any, reduction: str) -> SequenceLoss:
        """`sequence_loss`: the share of each step, added to those before."""
        if isinstance(targets, Tensor) and targets.requires_grad:
            raise ValueError("targets must not require grad: a picture shows no gradient of targets; use targets.detach()")
        made, each, y = self.made, outputs.ndim == 3, values(targets)
        made.outputs = self.outputs(outputs)
        y = y if each else y[None]
        counted = y != IGNORED if y.ndim == 2 else np.ones(y.shape[:2], bool)
        mask = step_mask(lengths if each else None, *counted.shape)
        counted = counted if mask is None else counted & mask
        if not counted.any():
            raise ValueError("every target is IGNORED: there is no loss, and no gradient")
        T, B = counted.shape
        answers = int(counted.sum()) if reduction == "mean" else B
        many = f"of {answers} answer{'s' * (answers != 1)}" if reduction == "mean" else "over the steps"
        made.words = f"the {reduction} of the {NAMES[kind]} {many}, L[t] the share of step t"
        if not each or answers == 1 == T:
            made.words = f"the {NAMES[kind]}" + f", mean of {B} sequences" * (B > 1)
        for t, column in enumerate(made.outputs):
            if counted[t].any():
                with mg.scope("loss"), mg.scope("t", t) if each else nullcontext():
                    self.add_share(kind, column, y[t], counted[t], answers)
        total: Any = made.loss
        total.name = "loss" if each else "L"
        shares = [made.shares[column].item() if column in made.shares else 0.0 for column in made.outputs]
        return SequenceLoss(total, np.array(shares, total.dtype))

    def add_share(self, kind: str, column: int, target: np.ndarray, counted: np.ndarray, answers: int) -> None:
        """The loss of one step, summed over what counts, as a share of so many answers; and the sum so far."""
        made, output, of_classes = self.made, self.made.outputs[column], target.ndim == 1
        live = counted if of_classes else counted[:, None]
        y = np.where(live, target, IGNORED if of_classes else 0)
        made.targets[column] = mg.tensor(y, dtype=None if of_classes else output.dtype, name="y")
        losses = LOSSES[kind](output, made.targets[column], reduction="none")
        share = (losses if losses.ndim == 1 or live.all() else mg.where(live, losses, 0.0)).sum()  # of no target it is 0
        parts = answers * losses[0].size
        share = share / float(parts) if parts > 1 else share
        share.name = "L"
        made.shares[column] = share
        if made.loss is not None:
            share = made.loss + share
            share.name = "sum"
            made.sums.add(node_of(share))
        made.loss = share


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
