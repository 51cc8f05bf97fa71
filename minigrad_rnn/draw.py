"""Pictures of recurrent networks: folded, unrolled, and with the gradient that flows back along the time axis."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.graph import Node, reverse
from minigrad.pictures import Drawing, Graph, Marks, fold, to_dot, unroll
from minigrad.pictures.board import default_role, step_of

from .cells import State, as_input
from .data.text import Alphabet
from .models import Sequence
from .recurrent import Recurrent

__all__ = ["folded", "unrolled"]

MOST_DECADES = 8  # of the colour scale


class Run(NamedTuple):
    """A network run step by step, everything recorded."""

    states: list[State]
    outputs: list[Tensor]
    shares: list[Tensor]  # L[t], the loss of each step
    loss: Tensor | None  # their sum


def run(model: Sequence | Recurrent, inputs: Any, targets: Any = None) -> Run:
    """Run the network as its unrolled view shows it: in each step the cell, the readout, and the step's loss.

    The loss L[t] of a step is the cross-entropy, the batch's mean; their sum gathers along the sequence.
    """
    if not isinstance(model, Sequence | Recurrent):
        raise TypeError(f"can draw a Sequence or a recurrent layer (RNN, LSTM), not a {type(model).__name__}")
    recurrent = model.recurrent if isinstance(model, Sequence) else model
    x = as_input(inputs, recurrent.cell, ("T", "batch"))
    if not len(x):
        raise ValueError(f"the input has shape {x.shape}: a sequence of no steps cannot be drawn")
    if targets is not None and not isinstance(model, Sequence):
        raise ValueError("targets need a readout to be compared with: draw a Sequence(recurrent, Linear)")
    if targets is not None and np.shape(targets) != x.shape[:2]:
        raise ValueError(f"targets have shape {np.shape(targets)}; expected (T, batch) = {x.shape[:2]}")
    state = recurrent.initial_state(x.shape[1])
    states, outputs, shares = [], [], []
    loss: Tensor | None = None
    for t in range(len(x)):
        if isinstance(model, Sequence):
            output, state = model.step(x[t], state, t)
        else:
            state = model.step(x[t], state, t)
            output = recurrent.output_of(state)
        states.append(state)
        outputs.append(output)
        if targets is not None:
            with mg.scope("loss"), mg.scope("t", t):
                share = mg.cross_entropy(output, mg.tensor(targets[t], name="y"))
                share.name = "L"
                shares.append(share)
                if loss is None:
                    loss = share
                else:
                    loss = loss + share
                    loss.name = "sum"
    if loss is not None:
        loss.name = "loss"
    return Run(states, outputs, shares, loss)


def unrolled(
    model: Sequence | Recurrent,
    inputs: Any,
    targets: Any = None,
    *,
    gradients: bool = False,
    symbols: Alphabet | None = None,
    title: str | None = None,
) -> Drawing:
    """The network unrolled in time: a frame for each step, with every op, and the states on straight lines.

    `inputs` has shape (T, batch, input_size); with `targets` (T, batch), class numbers, the loss of each step is drawn too.
    ``gradients=True`` colours each state by the norm of the gradient that reaches it, dL/dh[t], and each recurrent arrow
    by that of the part which comes back along it from the next step, on a logarithmic scale; it needs targets. The loss is
    the sum of the losses of the steps. `symbols` writes what the one-hot inputs and the targets of the first sequence mean.
    Raises ValueError for shapes that do not fit.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> drawing = rnn.draw.unrolled(model, task.inputs, task.targets, gradients=True)
    >>> [f"t = {t}" in drawing.source for t in (0, 5, 6)]
    [True, True, False]
    """
    if gradients and targets is None:
        raise ValueError("a gradient begins at a loss: give targets too")
    made = run(model, inputs, targets)
    graph = Graph(made.outputs if made.loss is None else made.loss)
    marks = Marks(role=role, tracks=tracks(model), sums={"sum", "loss"}, names=names(graph, inputs, targets, symbols))
    for part in (*made.shares, made.loss):
        if part is not None and part._node is not None:
            marks.notes[part._node] = f"{part.item():.3g}"
    words = f"{describe(model)} unrolled over {len(made.states)} steps"
    if gradients and made.loss is not None:
        words += (
            "  |  blue: gradient of the loss; boxes: all that reaches a state, arrows: what comes back from the next step; "
        )
        words += add_gradients(marks, made, graph)
    picture = unroll(graph, marks, words if title is None else title)
    return Drawing(to_dot(picture), text=str(graph))


def folded(model: Sequence | Recurrent, inputs: Any, targets: Any = None, *, title: str | None = None) -> Drawing:
    """The network folded: one step for all, with the state led back from its end to its beginning.

    `inputs` and `targets` as for `unrolled`; each parameter is drawn once, with how often it is used.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> "used x6" in rnn.draw.folded(model, task.inputs, task.targets).source
    True
    """
    made = run(model, inputs, targets)
    graph = Graph(made.outputs if made.loss is None else made.loss)
    marks = Marks(role=role, names=names(graph, inputs, targets, None))
    words = f"{describe(model)} folded: the same cell at each of {len(made.states)} steps"
    return Drawing(to_dot(fold(graph, marks, words if title is None else title)), text=str(graph))


def role(node: Node) -> str:
    """What a node of a recurrent network is, by the names and scopes that its layers give."""
    place = node.scope
    if node.name in ("h", "c") and place is not None and "layer" in place:
        return "state"
    if node.name == "o" and place is not None and "readout" in place:
        return "output"
    if node.name in ("L", "loss") and place is not None and "loss" in place:
        return "loss"
    fixed = {"x": "input", "y": "target", "h0": "initial", "c0": "initial"}
    if node.name in fixed and not node.requires_grad:
        return fixed[node.name]
    return "op" if node.op is not None else default_role(node)


def names(graph: Graph, inputs: Any, targets: Any, symbols: Alphabet | None) -> dict[Node, str]:
    """Names other than the nodes' own: initial states, the total loss, and the symbols that went in."""
    found = {}
    for node in graph:
        t = step_of(node)
        if role(node) == "initial" and node.name is not None:
            found[node] = f"{node.name[0]}[-1]"
        elif node.name == "loss":
            found[node] = "loss"
        elif symbols is not None and t is not None and role(node) == "input":
            found[node] = f"x[{t}] = {symbols.decode([int(np.argmax(np.asarray(inputs)[t, 0]))])!r}"
        elif symbols is not None and t is not None and role(node) == "target":
            found[node] = f"y[{t}] = {symbols.decode([int(np.asarray(targets)[t, 0])])!r}"
    return found


def add_gradients(marks: Marks, made: Run, graph: Graph) -> str:
    """Mark every state with the norm of dL/dstate, a dash where the loss does not depend on it, and every arrow to the next
    step with the norm of what comes back along it; returns the scale in words."""
    assert made.loss is not None
    root = made.loss._differentiable()
    states = {part._node for state in made.states for part in state if part._node is not None}
    crossings = [
        (node, i, operand)
        for node in graph
        for i, operand in enumerate(node.operands)
        if isinstance(operand, Node) and operand in states and step_of(operand) != step_of(node)
    ]
    cotangents = reverse(root, np.ones(root.shape, root.dtype), {*states, *(node for node, _, _ in crossings)}, retain=True)
    norms = {node: norm(cotangents[node]) for node in states if node in cotangents}
    flows = {
        (operand, node): norm(node.op.pullbacks[i](cotangents[node], node, node.recall(), i))
        for node, i, operand in crossings
        if node in cotangents
    }
    finite = [size for size in (*norms.values(), *flows.values()) if size > 0 and math.isfinite(size)]
    largest, smallest = max(finite, default=1.0), min(finite, default=1.0)
    decades = min(max(math.ceil(math.log10(largest / smallest)), 1), MOST_DECADES)

    def heat(size: float) -> float:
        return min(max(1 + math.log10(size / largest) / decades, 0.0), 1.0)

    for node in states:
        size = norms.get(node, 0.0)
        marks.notes[node] = f"|dL/d{node.name}| {size:.1e}" if size else f"|dL/d{node.name}| -"
        if size > 0 and math.isfinite(size):
            marks.heat[node] = heat(size)
    marks.flow.update({pair: heat(size) for pair, size in flows.items() if size > 0 and math.isfinite(size)})
    return f"from {largest:.1e} (dark) down to {largest / 10**decades:.1e} (light), log scale"


def norm(g: np.ndarray) -> float:
    return float(np.linalg.norm(g))


def tracks(model: Sequence | Recurrent) -> dict[str, set[str]]:
    states = (model.recurrent if isinstance(model, Sequence) else model).cell.state_names
    return {**{name: {name, f"{name}0"} for name in states}, "sum": {"L", "sum", "loss"}}


def describe(model: Sequence | Recurrent) -> str:
    layer = model.recurrent if isinstance(model, Sequence) else model
    kind = type(layer).__name__
    nonlinearity = getattr(layer.cell, "nonlinearity", None)
    return f"{kind}({nonlinearity})" if nonlinearity else kind
