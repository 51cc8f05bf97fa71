"""A recorded loss read as a run in time: its loops are the layers, what they carry are the states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from minigrad import Loop, Tensor
from minigrad.graph import Leaf, Node
from minigrad.graph_view import Graph
from minigrad.loop import loops, sequences
from minigrad.loop_search import Place
from minigrad.pictures.details import named_sequences, named_tensors
from minigrad.pictures.known_values import values_saved, values_that_follow
from minigrad.pictures.timeline import Timeline

from .module import Module
from .saturation import saturates
from .stepwise import Backward, Line, Run, answered, as_batch

__all__ = ["Body", "RecordedRun", "as_run"]

PRODUCTS = ("matmul", "linear")
SUMS = ("add", "subtract")


@dataclass
class Body:
    """The body of a loop, in the place of a cell."""

    loop: Loop
    states: dict[str, tuple[int, ...]]  # by name the ops that make it
    gate_names: ClassVar[dict[str, str]] = {}
    weights: list[np.ndarray] = field(default_factory=list)  # the square matrices that a state is multiplied by
    nonlinearity: str = ""  # of a state h = f(W h + ...)

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(self.states)

    @property
    def ops(self) -> set[int]:
        """Those that make a state."""
        return {j for ops in self.states.values() for j in ops}


class RecordedRun(Run):
    """The run of a loss that somebody's own code recorded. `names` gives names to tensors that have none, as in `draw`."""

    def __init__(self, root: Tensor, names: Mapping[str, Any] | None = None) -> None:
        super().__init__(loss=None if root.shape else root)
        self.root = root
        self.graph = Graph(root, constants=True)
        self.timeline = Timeline(self.graph, named_sequences(names), values_saved(self.graph), sequences(loops(self.graph)))
        home = self.timeline.folded.home
        for name, t in named_tensors(names):  # the first of several
            self.names |= {node: name for node in (t._node, t._leaf) if node in self.graph.index and node not in self.names}
        self.names |= {leaf: f"{name}[{k}]" for leaf, (name, k) in self.timeline.elements.items() if leaf not in self.names}
        self.body_names = {(home[node][0], home[node][2]): name for node, name in reversed(self.names.items()) if node in home}
        self.sums = self.timeline.folded.adds()
        self.between = self.between_steps()
        self.learnt = self.used_in_steps()
        self.columns = 1 + max(self.timeline.steps.values(), default=-1)
        self.lines: dict[Loop, Line] = {}
        self.places = {}
        for loop in self.timeline.folded.loops:
            if states := self.states_of(loop):
                self.add(loop, states)

    def add(self, loop: Loop, states: dict[str, tuple[int, ...]]) -> None:
        """Read a loop that carries states as a layer."""
        line = self.lines[loop] = Line("", len(self.lines), self.timeline.ways[loop][0] < 0)
        body: Any = Body(loop, states)
        self.cells[line] = body
        for name, ops in states.items():
            for step in loop.iterations:
                if made := [step[j] for j in ops if j in step]:
                    self.places[made[-1]] = line, name, self.timeline.steps[made[-1]]
        self.initial |= self.before_the_first(loop, states)
        read_form(body)

    def between_steps(self) -> set[Node]:
        """Nodes outside of the steps that lead to one, such as a stack of all states, for the next layer."""
        found = set[Node]()
        for node in reversed(self.graph.nodes):
            if node in self.timeline.steps or node in found:
                found.update(x for x in node.parents if x not in self.timeline.steps)
        return found

    def before_the_first(self, loop: Loop, states: dict[str, tuple[int, ...]]) -> dict[Node, tuple[Line, str]]:
        """The constants that iterations read in the place of a state."""
        return {
            x: (self.lines[loop], name)
            for name, ops in states.items()
            for place, entry in loop.carried.items()
            if entry.ops[-1] == ops[-1]
            for x in loop.first.get(place, {}).values()
            if isinstance(x, Leaf) and not x.requires_grad
        }

    def states_of(self, loop: Loop) -> dict[str, tuple[int, ...]]:
        """The values that a loop carries, except sums, by name: a given name, that of the initial value, or that of the op."""
        ops: dict[int, set[int]] = {}
        initial: dict[int, str] = {}
        for place, entry in loop.carried.items():
            last = loop.body[entry.ops[-1]]
            if last not in self.sums and last.requires_grad:
                ops.setdefault(entry.ops[-1], set()).update(entry.ops)
                named = [x.name for x in loop.first.get(place, {}).values() if isinstance(x, Node) and x.name]
                initial.setdefault(entry.ops[-1], next(iter(named), ""))
        found: dict[str, tuple[int, ...]] = {}
        for j, those in ops.items():
            stem = self.body_names.get((loop, j)) or loop.body[j].name or initial[j] or loop.body[j].op.name
            name = stem = stem.partition("[")[0]
            while name in found:
                name += "'"
            found[name] = tuple(sorted(those))
        return found

    @property
    def roots(self) -> list[Tensor]:
        return [self.root]

    def used_in_steps(self) -> set[Node]:
        """The leaves that require grad and are used within steps, and what was made of leaves before, such as ``W.T``."""
        used: set[Node] = {x for node in self.timeline.steps for x in node.operands if isinstance(x, Leaf) and x.requires_grad}
        after = set[Node]()  # what needs a step
        for node in self.graph:
            if node.op is not None and (node in self.timeline.steps or not after.isdisjoint(node.parents)):
                after.add(node)
        for loop in self.timeline.folded.loops:
            whole = (x for (i, _), x in loop.invariant.items() if (i, "index") not in loop.options)
            used |= {x for x in whole if isinstance(x, Node) and x.requires_grad and x not in after}
        return used

    @property
    def parameters(self) -> dict[str, Node]:
        """The parameters that the steps use, by name, or by number in the graph."""
        learnt = [node for node in self.graph if node in self.learnt]
        return {self.names.get(node) or node.name or f"%{self.graph.index[node]}": node for node in learnt}

    def check(self) -> None:
        """Raise ValueError if there is nothing that is carried through time."""
        if not self.places and self.timeline.folded.growing:
            raise ValueError(
                f"what repeats in this graph grows ({self.timeline.folded.growing[0]}): each iteration reads all earlier ones, "
                "and there is no step from one to the next; minigrad.draw(loss, fold=True) draws it"
            )
        if not self.places:
            raise ValueError(
                "this graph has no loop that carries a state: the same ops three times or more, each reading what the one "
                "before has made. print(minigrad.loops(loss)) says what was found"
            )

    # -- where a node belongs ------------------------------------------------------------------------------------------------

    def line(self, node: Node) -> Line | None:
        place = self.timeline.folded.home.get(node)
        return None if place is None else self.lines.get(place[0])

    def column(self, node: Node) -> int | None:
        return self.timeline.steps.get(node)

    def column_of_use(self, node: Node) -> int | None:
        return self.column(node)

    def leaves(self, node: Node, user: Node) -> bool:
        inside = node.op is not None and node not in self.sums and self.column(node) is not None
        return inside and (user in self.sums or (self.column(user) is None and user not in self.between))

    def step_losses(self) -> dict[int, float]:
        losses = () if self.loss is None else self.losses(Backward(self))
        return {t: float(x) for t, x in enumerate(losses) if np.isfinite(x)}

    def products(self) -> Iterator[tuple[str, Line, int, Node]]:
        """Each weight that is multiplied within a loop: of what enters (U), of a state of the step before (W), or of one of the
        same step, for what no state reads (V); with its loop's line and the op."""
        for loop, line in self.lines.items():
            body: Any = self.cells[line]
            states = body.ops
            leading, waiting = loop.leading_to(states), loop.waits()
            for (i, k), weight in loop.invariant.items():
                other = i, 1 - k
                if loop.body[i].op.name in PRODUCTS and weight in self.learnt:
                    late = waiting.intersection(loop.inside.get(other, ())) - states  # made of a state of the step before
                    reads_out = i in states or i not in leading
                    letter = "W" if other in loop.carried else "V" if reads_out else "W" if late else "U"
                    yield letter, line, i, weight

    def letters(self) -> tuple[dict[tuple[str, Line | None], str], str]:
        """The letters at the arrows of the figure, and the line that explains those that are not names."""
        found: dict[tuple[str, Line | None], list[str]] = {}
        names = {node: name for name, node in self.parameters.items()}
        for letter, line, _, weight in self.products():
            found.setdefault((letter, None if letter == "V" else line), []).append(names[weight])
        several = len(self.cells) > 1
        number = {(letter, line): f"{letter}{line.layer if several and line else ''}" for letter, line in found}
        words = [
            f"{number[key]} = {', '.join(dict.fromkeys(each))}" for key, each in found.items() if set(each) != {number[key]}
        ]
        return number, ";  ".join(words)

    def read_out(self) -> set[int]:
        places = {(line, i) for letter, line, i, _ in self.products() if letter == "V"}
        home = self.timeline.folded.home
        return {self.timeline.steps[node] for node, (loop, _, i) in home.items() if (self.lines.get(loop), i) in places}

    @cached_property
    def known(self) -> dict[Node, np.ndarray]:
        """The values that are saved, and those that follow from them."""
        return values_that_follow(self.graph, self.timeline.values)

    def values(self) -> dict[Node, np.ndarray]:
        return {node: self.known[node] for node in self.places if node in self.known}

    def losses(self, back: Backward) -> np.ndarray:
        """L_t, where the loss is a sum or a mean of what single steps say, and that is known; otherwise NaN."""
        found = np.full(self.columns, np.nan)
        way = set(back.seeds)
        for node in self.graph:
            if node not in self.timeline.steps or node in self.sums:
                on_it = [k for k, x in enumerate(node.operands) if x in way]
                if on_it and not affine(node, on_it):
                    return found
                way.update([node] if on_it else ())
        for node, seed in back.seeds.items():
            if node not in self.known:
                return np.full(self.columns, np.nan)
            t = self.timeline.steps[node]
            found[t] = np.nan_to_num(found[t]) + float((seed * self.known[node]).sum(dtype=float))
        return found

    def ends(self, back: Backward) -> dict[int, list[tuple[Node, Any]]]:
        found: dict[int, list[tuple[Node, Any]]] = {}
        for node, seed in back.seeds.items():
            found.setdefault(self.timeline.steps[node], []).append((node, seed))
        return found


def as_run(
    model: Tensor | Module, inputs: Any, targets: Any, names: Any, *, loss: str | None, reduction: str, chunk: int | None = None
) -> RecordedRun:
    """The run of a loss, or of your own module on a batch: of its loss if there are targets."""
    if chunk is not None:
        raise ValueError("chunk is for the models of this package; in your own code, detach the states yourself")
    if isinstance(model, Tensor):
        if any(x is not None for x in (inputs, targets, loss)):
            raise TypeError("inputs, targets and loss= are for a model; leave them out with a recorded loss")
        root = model
    else:
        root = answered(model, *as_batch(inputs, targets, loss, reduction), reduction)
    if not root.requires_grad:
        raise ValueError("nothing was recorded: no parameter of this model has requires_grad=True")
    found = RecordedRun(root, names)
    found.check()
    return found


def affine(node: Node, places: list[int]) -> bool:
    """True if a node is a sum of these operands, each times a constant."""
    if node.op.name in (*SUMS, "negative") or node.op.variadic:
        return node.op.kind in ("linear", "elementwise")
    alone = node.op.kind == "linear" or node.op.name == "multiply" or (node.op.name == "divide" and places == [0])
    return alone and len(places) == 1


def read_form(body: Body) -> None:
    """Find the matrices that states are multiplied by, in square blocks, and f of a body h = f(W h + ...)."""
    loop, states = body.loop, body.ops
    readers = {place: loop.body[max(entry.ops)] for place, entry in loop.carried.items() if states & set(entry.ops)}
    weights = [W for place, state in readers.items() for W in square_blocks(loop, place, state)]
    body.weights = weights if len({W.shape for W in weights}) < 2 else []
    ops = [loop.body[i].op.name for i in loop.recurrence() - states]
    plain = all(op in (*PRODUCTS, *SUMS) for op in ops) and sum(op in PRODUCTS for op in ops) == 1
    if plain and len(states) == len(readers) == 1 and all(loop.body[i].op.name in PRODUCTS for i, _ in readers):
        name = loop.body[next(iter(states))].op.name
        body.nonlinearity = name if saturates(name) else ""


def square_blocks(loop: Loop, place: Place, state: Node) -> list[np.ndarray]:
    """The matrix that a state is multiplied by at this operand, in square blocks; none if it has another shape or was freed."""
    i, k = place
    node, weight = loop.body[i], loop.invariant.get((i, 1 - k))
    if node.op.name not in PRODUCTS or not isinstance(weight, Node) or len(weight.shape) != 2:
        return []
    every = [step[i].saved for step in loop.iterations if i in step]
    value = next((saved[2 - k] for saved in every if isinstance(saved, tuple) and saved[2 - k] is not None), None)
    if value is None:
        return []
    value = value.T if k == 0 and node.op.name == "matmul" else value  # of shape (out, in)
    size = state.shape[-1] if k == 0 else state.shape[0]
    fits = value.shape[1] == size and value.shape[0] % size == 0
    return np.split(value.astype(float), value.shape[0] // size) if fits else []
