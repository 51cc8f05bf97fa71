"""The two sweeps over a graph: gradients flow back from the newest node, tangents forward from the oldest.

`reverse` is backpropagation as textbooks have it. Its loop needs little: `Cotangents` adds up what the uses of a value send
back to it, `Rules` runs the rules, and `selection.Marks` tells zeros that a selection made from those of the chain rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from .arrays import HALF, as_gradient, at_least_single
from .broadcasting import unbroadcast
from .errors import add_note
from .graph import CURRENT, Node, ancestors, leading_to, move_to, read, same_place
from .hooks import hooked
from .selection import Marks, all_finite, leaves_out, values
from .watch import Watch

__all__ = ["Gather", "Piece", "forward", "reverse"]

ndarray = np.ndarray

Piece = tuple[Any, Node, tuple[Any, ...]]  # a cotangent, the node it belongs to, and what that node saved
Gather = Callable[[tuple[int, ...], list[Piece]], Any]
Lift = Callable[[Any, Any], Any]


def reverse(
    root: Node,
    seed: Any,
    wanted: Collection[Node] | None = None,
    *,
    retain: bool,
    lift: Lift | None = None,
    watch: Sequence[Watch] = (),
    mark: bool = True,
) -> dict[Node, Any]:
    """The reverse sweep: from `root` back to the leaves, newest node first, each rule turning the cotangent of a result into
    those of its operands. Returns the cotangents of the `wanted` nodes, or of all leaves.

    Without `lift` the rules run on plain arrays. With it they run on Tensors, which `lift(array, node)` makes from what was
    saved; so the backward pass is itself recorded, each op of it in the scope of the op it belongs to. Saved values are freed
    unless `retain`. Each of `watch` is told what every rule sends.

    A zero that a selection made (`minigrad.selection`) must stop what is infinite behind it, and a sweep without marks does
    not know it from others. So where there may be one, a sweep that comes out infinite or NaN runs again with marks; where
    somebody looks on, or a further derivative may be infinite, the first has them. Without `mark` no sweep has.
    """
    order = ancestors([root])
    live = set(order) if wanted is None else leading_to(order, wanted)
    if root not in live:
        return {}
    order.reverse()
    ends = {node for node in order if node.op is None} if wanted is None else wanted
    around = CURRENT.get()[2]
    watching = [*watch, *(() if around is None else around.of_rules())]

    def sweep(marks: Marks | None) -> dict[Node, Any]:
        rules = Rules(lift, watching, marks, each_use=bool(watch))
        return pass_back(order, live, ends, rules, Cotangents(root, seed, lift, marks), retain)

    # A rule may meet sqrt'(0) or 0 * inf where the forward pass had nothing to warn about.
    with np.errstate(all="ignore"), same_place():
        if not (mark and leaves_out(order, seed)):
            return sweep(None)
        if watching or seen_or_differentiated(order, lift):
            return sweep(Marks())
        before = [node.saved for node in order]
        found = sweep(None)
        if all_finite(*map(values, found.values())):
            return found
        for node, saved in zip(order, before, strict=True):
            node.saved = saved
        return sweep(Marks())


def seen_or_differentiated(order: list[Node], lift: Lift | None) -> bool:
    """True if a hook sees the cotangents, or a further derivative may be infinite: then no sweep is made on trial."""
    return any(node.hooks or (lift is not None and node.op is not None and node.op.singular) for node in order)


def pass_back(
    order: list[Node], live: AbstractSet[Node], ends: Collection[Node], rules: Rules, cotangents: Cotangents, retain: bool
) -> dict[Node, Any]:
    """One sweep over the nodes of `order`, newest first, which sends to those of `live` and returns what arrives at the `ends`.

    What a node saved is freed when it has been passed, unless `retain`.
    """
    sums, held, recorded = cotangents.sums, cotangents.held, cotangents.recorded
    add, hold, read_node = cotangents.add, cotangents.hold, rules.read
    found: dict[Node, Any] = {}
    for node in order:
        if node in held or recorded:
            cotangents.complete(node)
        g = sums.pop(node, None)
        if g is None:
            continue
        if node.hooks:
            g = cotangents.hooked(node, g)
        if node in ends:
            found[node] = g
            if live.isdisjoint(node.operands):
                continue  # no gradient behind it is wanted; its own graph is left as it is
        g, saved, pull, gathers = read_node(node, g)
        try:
            for i, operand in enumerate(node.operands):
                if operand not in live:
                    continue  # a constant, a number, or a node that leads to nothing wanted
                if i in gathers:
                    if rules.each_use:
                        pull[i](g, node, saved, i)
                    hold(operand, gathers[i], (g, node, saved))
                else:
                    add(operand, pull[i](g, node, saved, i))
        except Exception as error:
            line = "".join(each.origin(node) for each in rules.watch)
            add_note(error, f"in the backward pass of {node.op.name}{line}", node.operands, node.scope)
            raise
        if not retain:
            node.saved = None
    return cotangents.given_away(found)


class Cotangents:
    """The cotangents that a sweep has not passed on yet: of each node the sum of what its uses have sent."""

    def __init__(self, root: Node, seed: Any, lift: Lift | None, marks: Marks | None) -> None:
        self.sums: dict[Node, Any] = {root: seed if lift is not None else read(seed)}
        # The uses of each node that are held back, by how they are computed at once: `Op.gathers`.
        self.held: dict[Node, dict[Gather, list[Piece]]] = defaultdict(lambda: defaultdict(list))
        self.owned: set[Node] = set()  # nodes whose sum is an array that nobody else has, so that it may be added to in place
        self.watch = CURRENT.get()[2]
        self.recorded = lift is not None or self.watch is not None
        self.lift = lift
        self.marks = marks
        if marks is not None:
            marks.start(root, seed)

    def add(self, node: Node, part: Any) -> None:
        """Add what one use of a node sends, in the shape and dtype of the node."""
        if part.shape != node.shape:
            part = unbroadcast(part, node.shape)
        if part.dtype is not node.dtype and part.dtype != node.dtype:
            part = as_gradient(part, node.dtype)
        sums = self.sums
        if node not in sums:
            sums[node] = part
        elif node in self.owned:
            sums[node] += part
        else:
            sums[node] = sums[node] + part
            if type(sums[node]) is ndarray:
                self.owned.add(node)

    def hold(self, node: Node, gather: Gather, piece: Piece) -> None:
        """Hold one use of a node back: `gather` computes at once what many send (the slices of an array, a weight at each
        time step)."""
        pieces = self.held[node][gather]
        pieces.append(piece)
        if len(pieces) == piece[1].op.gather_limit:
            self.add_gathered(node, gather, self.held[node].pop(gather))

    def add_gathered(self, node: Node, gather: Gather, pieces: list[Piece]) -> None:
        user = pieces[-1][1]
        try:
            if self.marks is not None and node.op is not None:
                self.marks.add(node, self.marks.gathered(gather, node.shape, pieces))
            self.add(node, gather(node.shape, pieces))
        except Exception as error:
            add_note(error, f"in the backward pass of {user.op.name}", user.operands, user.scope)
            raise

    def complete(self, node: Node) -> None:
        """Add what was held back, before the cotangent of a node is passed on. In a sweep that is recorded this, and what its
        rules compute, is in the scope of the node."""
        if self.recorded:
            move_to(node.scope)
        if node in self.held:
            for gather, pieces in self.held.pop(node).items():
                self.add_gathered(node, gather, pieces)
            if type(self.sums[node]) is ndarray:
                self.owned.add(node)
        if self.watch is not None and node in self.sums:
            self.watch.arrived(node, self.sums[node])

    def hooked(self, node: Node, g: Any) -> Any:
        """A cotangent after the hooks of its node, which may have kept what they were shown."""
        self.owned.discard(node)
        new = hooked(g, node, self.lift)
        if self.marks is not None and new is not g:
            self.marks.of.pop(node, None)
        return new

    def given_away(self, found: dict[Node, Any]) -> dict[Node, Any]:
        """Cotangents for the caller, who may write to them: each an array of its own."""
        return found if self.lift is not None else {node: g if node in self.owned else g.copy() for node, g in found.items()}


class Rules:
    """The rules as one sweep runs them: on arrays or on Tensors (`lift`), watched or not, with marks or without."""

    def __init__(self, lift: Lift | None, watch: Sequence[Watch], marks: Marks | None, each_use: bool) -> None:
        self.lift = lift
        self.watch = watch
        self.marks = marks
        self.each_use = each_use  # those who watch are also told what is sent to operands whose uses are computed at once
        self.observed = bool(watch) or marks is not None

    def read(self, node: Node, g: Any) -> tuple[Any, tuple[Any, ...], Any, Mapping[int, Gather]]:
        """Return the cotangent of a node and what it saved (of float16 in float32), its rules by operand, and the operands
        whose uses are gathered."""
        op = node.op
        saved: Any = node.saved
        if type(saved) is not tuple:
            saved = node.recall()
        gathers = op.gathers
        if type(gathers) is not dict:
            gathers = gathers(node)
        if self.lift is not None:
            saved = tuple(map(self.lift, saved, (node, *node.operands)))
        if node.dtype is HALF:
            g, saved = at_least_single(g), tuple(map(at_least_single, saved))
        if not self.observed:
            return g, saved, op.pullbacks, gathers
        for each in self.watch:
            each.entering(node)
        if self.marks is not None:
            saved = self.marks.cleaned(node, saved)
        return g, saved, [self.pull] * len(node.operands), gathers

    def pull(self, g: Any, node: Node, saved: tuple[Any, ...], i: int) -> Any:
        """Return the cotangent part of operand i, after marking it and showing it to the observers."""
        part = node.op.pullbacks[i](g, node, saved, i) if self.marks is None else self.marks.pull(g, node, saved, i)
        for each in self.watch:
            each.sent(node, i, g, part)
        return part


def forward(outputs: list[Node], tangents: dict[Node, Any], lift: Lift | None = None) -> dict[Node, Any]:
    """The forward sweep: oldest node first, each op turning the tangents of its operands into that of its result.

    Returns the tangents of those of the `outputs` that depend on a node of `tangents`. As in `reverse`, the rules run on
    arrays, or with `lift` on Tensors.
    """
    order = ancestors(outputs)
    live = leading_to(order, tangents)
    with np.errstate(all="ignore"), same_place():
        for marks in (None, Marks()) if lift is None else (Marks(),):
            moved = pass_forward(order, live, tangents, lift, marks)
            found = {node: moved[node] for node in outputs if node in moved}
            if marks is not None or all_finite(*map(values, found.values())):
                break
    return found


def pass_forward(
    order: list[Node], live: Collection[Node], tangents: dict[Node, Any], lift: Lift | None, marks: Marks | None
) -> dict[Node, Any]:
    """The tangents of all `live` nodes of `order`, oldest first, from those given."""
    found = {node: t if lift is not None else read(t) for node, t in tangents.items()}
    if marks is not None:
        for node, t in tangents.items():
            marks.start(node, t)
    for node in order:
        if node in found or node not in live:
            continue
        raw = saved = node.recall()
        if lift is not None:
            move_to(node.scope)
            saved = tuple(map(lift, raw, (node, *node.operands)))
        total: Any = None
        for i, operand in enumerate(node.operands):
            if operand in live:
                part = node.op.pushforward(i, found[operand], node, saved)
                if marks is not None:
                    part, mark = marks.moved(node, i, part, raw)
                    marks.add(node, mark)
                total = part if total is None else total + part
        found[node] = total if total.dtype == node.dtype else as_gradient(total, node.dtype)
    return found
