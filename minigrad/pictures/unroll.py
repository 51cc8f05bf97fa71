"""The unrolled view: every node of a graph, those of one time step in a group of their own.

What many steps share (a parameter, or anything made outside of them) is drawn anew, small and dashed, in each step that uses
it: with one box for all, the lines to it hide the time axis. So is what gathers the steps, such as a stack of all outputs: it
gets an element in each step, and a line along them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ..graph import Leaf, Node
from ..graph_view import Graph
from .annotations import Annotations
from .builder import Builder, operand_nodes, runs
from .folded_steps import SCISSORS, strip
from .matching import slots_of
from .picture import Arrow, Box, Group, Picture

__all__ = ["unroll"]


def unroll(graph: Graph, annotations: Annotations, title: str = "") -> Picture:
    """The picture of a graph with a group for each time step; without scopes called ``t`` there is none."""
    builder = Unrolling(graph, annotations, title)
    for node in graph:
        if not isinstance(node, Leaf):
            builder.draw(node)
    builder.add_leaves(builder.group_of)
    for node, t in builder.steps.items():
        builder.groups[t].backward |= node in annotations.backward
    builder.picture.groups = [group for group in builder.picture.groups if group.boxes]
    builder.picture.in_row = bool(builder.picture.groups)
    return builder.picture


class Unrolling(Builder):
    """The builder of the unrolled view."""

    def __init__(self, graph: Graph, annotations: Annotations, title: str) -> None:
        super().__init__(graph, annotations, title)
        self.steps = {node: t for node in graph if (t := annotations.step(node)) is not None}
        self.first, self.last = min(self.steps.values(), default=0), max(self.steps.values(), default=0)
        self.slots = slots_of(graph, self.steps, annotations.kind)
        self.groups: dict[int, Group] = {}
        self.folded: dict[str, tuple[int, int]] = {}  # by their group
        self.start = Group("start", "", framed=False, begins=True)  # initial states, before the first step
        self.end = Group("end", "", framed=False, begins=True)  # those of what runs from the last step to the first
        self.add_groups()
        self.parameters: dict[str, list[Node]] = {}  # by the box that reads them, those that have small boxes next to it
        for node in graph:
            if not self.hidden(node) and node.op is not None:
                beside = self.parameters.setdefault(self.box_of(node), [])
                anew = dict.fromkeys(x for _, x in operand_nodes(node) if self.drawn_anew(x, node))
                beside += [x for x in anew if x not in beside]
        self.drawn: set[tuple[str, str]] = set()
        self.totals: dict[Node, Node] = {}  # by what is added up so far its first summand
        self.begun: dict[tuple[Any, ...], str] = {}  # first states, by what they are
        self.order = {group.id: i for i, group in enumerate(self.picture.groups)}
        self.growing = self.those_that_grow()

    def add_groups(self) -> None:
        """A group for each step that is shown, and for each run of folded steps of one kind."""
        annotations, times = self.annotations, set(self.steps.values())
        shown = times if annotations.shown is None else times & annotations.shown
        every = [(t, t) for t in shown]
        for kind in {annotations.kind(t): None for t in times}:
            every += runs(t for t in times - shown if annotations.kind(t) == kind)
        self.picture.groups = [self.start]
        for first, last in sorted(every):
            if first in shown:
                group = Group(f"t{first}", annotations.step_name(first), kind=annotations.kind(first))
            else:
                begin, end = annotations.step_name(first), annotations.step_name(last)
                inside = begin if first == last else f"{begin.partition(',')[0]} ... {end[end.find('t = ') + 4 :]}"
                group = Group(f"folded{first}", f"{inside}, folded", repeated=True)
                group.kind = f"{annotations.kind(first)} folded {last - first}"
                self.folded[group.id] = (first, last)
            self.picture.groups.append(group)
            self.groups |= dict.fromkeys(range(first, last + 1), group)
        self.picture.groups.append(self.end)

    def group_of(self, node: Node) -> Group | None:
        t = self.steps.get(node)
        return None if t is None else self.groups[t]

    def hidden(self, node: Node) -> bool:
        group = self.group_of(node)
        return group is not None and group.id in self.folded

    def box_of(self, node: Node) -> str:
        """The box of an op: its own, or the block that it is in."""
        block = self.annotations.blocks.get(node)
        return block.id if block else super().box_of(node)

    def slot(self, node: Node) -> str:
        return self.slots.get(node, "")

    def draw(self, node: Node) -> None:
        if self.hidden(node):
            here = self.group_of(node)
            for i, operand in operand_nodes(node):
                origin = self.annotations.cuts.get(operand, operand)
                there = self.group_of(origin)
                if there is not None and there is not here and not self.apart(operand, node):
                    source = self.source(operand, node, i)
                    self.lead(source, self.strip_of(node if node in self.annotations.sums else origin, here), operand, node, i)
            return
        places = {group.id: group for _, operand in operand_nodes(node) if (group := self.group_of(operand)) is not None}
        here = self.group_of(node)
        gathers = node.op.variadic and len([id for id in places if here is None or id != here.id]) > 2
        sources = [] if gathers else [(i, operand, self.source(operand, node, i)) for i, operand in operand_nodes(node)]
        op = self.add_result(node, here)
        if self.unchanged(node) is not None:
            return
        if gathers:
            self.gather(node, op)
        for i, operand, source in sources:
            if source != op:  # within a block
                self.lead(source, op, operand, node, i)

    def lead(self, source: str, target: str, operand: Node, user: Node, i: int) -> None:
        """An arrow; between two boxes that stand for several nodes only one."""
        block = self.annotations.blocks.get(user)
        merged = block is not None or self.place[target] is not self.group_of(user) or self.hidden(user) or source[0] == "p"
        if merged and (source, target) in self.drawn:
            return
        self.drawn.add((source, target))
        beside = any(self.drawn_anew(x, user) for _, x in operand_nodes(user))  # then it is plain which operand is which
        number = "" if beside else self.operand_number(user, i)
        arrow = Arrow(source, target, self.arrow_role(user), operand=number, emphasis=self.emphasis(operand, user))
        arrow.place = i if block is None else 1000 * block.users.index(user) + i
        origin, here = self.place[source], self.place[target]
        if operand in self.annotations.cuts:
            arrow.role, arrow.label = "cut", SCISSORS
        elif source[0] == "p":
            arrow.role = "parameter"
        elif origin is not None and here is not None and origin is not here and arrow.role == "flow":
            arrow.role = "gathered" if user in self.annotations.sums else "recurrent"
            arrow.heat = self.annotations.flow.get((operand, user))
        self.connect(arrow)

    def source(self, operand: Node, user: Node, i: int) -> str:
        """The box from which `operand` goes to its user. A leaf gets its box when it is first used."""
        operand = self.annotations.cuts.get(operand, operand)
        group = self.group_of(user)
        if self.drawn_anew(operand, user):
            return self.beside(operand, user)
        if self.hidden(operand):
            return self.strip_of(operand, self.group_of(operand))
        role = self.annotations.role(operand)
        if operand not in self.exits:
            place = self.start_of(user) if role == "initial" and group is not None else self.group_of(operand)
            box = self.value_box(operand, role)
            box.link = self.exits.get(self.annotations.turned.get(operand, operand), "")
            track = self.annotations.track(operand)
            alike = (self.steps.get(user), track, *box.lines)
            if role == "initial" and place is not None and track:  # such as the same array wrapped several times
                if alike in self.begun:
                    self.exits[operand] = self.begun[alike]
                    self.boxes[self.begun[alike]].also.append(self.graph.index[operand])
                    return self.exits[operand]
                self.begun[alike] = box.id
            box.slot = f"{self.slot(user)}.{i}" if place is not None and not place.begins else ""
            self.exits[operand] = self.add(box, place)
        return self.exits[operand]

    def start_of(self, user: Node) -> Group:
        """The group of an initial value that a step reads: that of the step, and the layout finds that it begins a line; of a
        single step, or one that is folded, a group before the steps or after them."""
        t = self.steps[user]
        if self.first < self.last and not self.hidden(user):
            return self.groups[t]
        return self.start if t - self.first <= self.last - t else self.end

    def drawn_anew(self, operand: Node, user: Node) -> bool:
        """True if a step that is shown has a box of its own for it."""
        operand = self.annotations.cuts.get(operand, operand)
        group = self.group_of(user)
        apart = self.annotations.apart(operand, user)
        if isinstance(operand, Leaf) and self.annotations.track(operand) and not apart:
            return False  # a first state that is learnt
        if group is None:  # outside of the steps parameters are drawn as in them
            learnt = self.is_parameter(operand) and not self.notes(operand)
            return bool(self.steps) and (learnt or (apart and operand in self.steps))
        return apart or (not self.hidden(operand) and self.annotations.role(operand) != "initial" and self.apart(operand, user))

    def beside(self, operand: Node, user: Node) -> str:
        """The small box next to its user, with all other parameters of the op."""
        target = self.box_of(user)
        every = self.parameters[target]
        id = f"p{'_'.join(str(self.graph.index[x]) for x in every)}_{target}"
        if id not in self.boxes:
            t = self.steps.get(user, self.last)
            uses = [self.annotations.uses.get((x, t), ("", None)) for x in every]
            heat = max((heat for _, heat in uses if heat is not None), default=None)
            lines = self.parameter_lines(every, [note for note, _ in uses])
            tips = "\n".join(f"{self.name(x)} {self.tooltip(x)}".lstrip() for x in every)
            box = Box(id, "alias", lines, tips, heat=heat, emphasis=self.emphasis(every[0], user))
            box.link = self.exits.get(every[0], "") if len(every) == 1 else ""
            block = self.annotations.blocks.get(user)
            if self.group_of(user) is not None:
                box.slot = f"p{block.slot if block else self.slot(user)}"
            self.add(box, self.group_of(user))
        return id

    def parameter_lines(self, every: list[Node], notes: list[str]) -> list[str]:
        """The names of parameters in one box, with their notes, or those of their use in this step; or in two lines."""
        names = [self.annotations.alias(x) or self.lines(x)[0] for x in every]
        if any(self.notes(x) for x in every):
            return [line for x, name in zip(every, names, strict=True) for line in (name, *self.lines(x)[1:])]
        if any(notes):
            return [f"{name} {note}" for name, note in zip(names, notes, strict=True)]
        half = len(names) if len(names) < 3 else -(-len(names) // 2)
        return [", ".join(part) for part in (names[:half], names[half:]) if part]

    def apart(self, operand: Node, user: Node) -> bool:
        """True for a parameter, and for what is made outside of the steps and used in several: each step has its own box."""
        if self.annotations.apart(operand, user) or self.is_parameter(operand):
            return True
        steps = {self.steps.get(other) for other in self.users.get(operand, ())} - {None}
        return len(steps) > 2 and self.group_of(operand) is None

    # -- folded steps ----------------------------------------------------------------------------------------

    def total_of(self, node: Node) -> str:
        """The running sum that a node is part of: its track, whichever ops add to it."""
        first = node
        while first in self.annotations.sums and (
            before := next((x for x in first.parents if x in self.annotations.sums), None)
        ):
            first = self.totals.get(before, before)
        self.totals[node] = first
        return (self.annotations.track(first) or f"sum {self.graph.index[first]}") if node in self.annotations.sums else ""

    def strip_of(self, operand: Node, group: Group | None) -> str:
        """The box of one slot or track in a range of folded steps."""
        assert group is not None
        track = self.total_of(operand) or self.annotations.track(operand)
        slot = self.exit_slot(operand)
        id = f"s_{group.id}_{''.join(c if c.isalnum() else '_' for c in track or slot)}"
        if id not in self.boxes:
            first, last = self.folded[group.id]
            name = "" if track in ("", "sum") else self.name(operand).rpartition("[")[0]
            box = strip(id, name, first, last, self.annotations.pieces.get(track, {}), self.annotations.cut_steps(track))
            box.slot, box.track = slot, track or slot
            self.add(box, group)
        return id

    # -- what gathers the steps ------------------------------------------------------------------------------

    def those_that_grow(self) -> set[str]:
        """The places of ops that read one thing from each earlier step: what these read is one line through the steps."""
        every: dict[str, list[list[Node]]] = {}
        for node in self.graph:
            if node.op is not None and node.op.variadic and self.slot(node):
                every.setdefault(self.slot(node), []).append([x for _, x in operand_nodes(node)])
        return {
            slot
            for slot, reads in every.items()
            if len(reads) > 1 and all(other[: len(one)] == one for one, other in pairwise(sorted(reads, key=len)))
        }

    def gather(self, node: Node, op: str) -> None:
        """Lead the operands of an op that takes one from each step along a line through the steps."""
        grows = self.slot(node) in self.growing
        track = f"gather{self.slot(node) if grows else self.graph.index[node]}"
        role = "backward" if node in self.annotations.backward else "gathered"
        chain: dict[str, None] = {}
        for i, operand in operand_nodes(node):
            group = self.group_of(operand)
            if group is None or group is self.place[op]:
                self.lead(self.source(operand, node, i), op, operand, node, i)
                continue
            element = f"{track}_{group.id}"
            chain[element] = None
            if element not in self.boxes:
                look = "strip" if group.id in self.folded else "collect"
                box = Box(element, look, ["..."] if look == "strip" else [], f"an element of {node.op.name}", slot=track)
                self.add(box, group)
                if look == "collect":
                    self.connect(Arrow(self.source(operand, node, i), element, emphasis=self.emphasis(operand, node)))
        in_time = sorted(chain, key=lambda element: self.order[self.place[element].id])  # type: ignore[union-attr]
        for one, other in pairwise(in_time):
            if (one, other) not in self.drawn:
                self.drawn.add((one, other))
                self.connect(Arrow(one, other, role, emphasis=self.emphasis(node)))
        here = self.place[op]
        nearest = in_time[-1]
        if here is not None and self.order[here.id] < self.order[self.place[nearest].id]:  # type: ignore[union-attr]
            nearest = in_time[0]
        self.connect(Arrow(nearest, op, role, place=-1, emphasis=self.emphasis(node)))
