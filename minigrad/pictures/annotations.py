"""Annotations of a graph: what a picture shows beyond the nodes, such as their roles, names, notes, colours and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..graph import Leaf, Node

__all__ = ["Annotations", "Block", "default_role", "step_of"]


def default_role(node: Node) -> str:
    """The role of a node by default: of a leaf by requires_grad and name, of a result by its name."""
    if isinstance(node, Leaf):
        return "parameter" if node.requires_grad else "input" if node.name else "constant"
    return "tensor" if node.name else "op"


def step_of(node: Node) -> int | None:
    """The time step a node was made in, from its scope."""
    t = node.scope.get("t") if node.scope else None
    return t if isinstance(t, int) else None


def nothing(node: Node) -> str:
    return ""


@dataclass(eq=False)
class Block:
    """Several ops drawn as one box."""

    id: str
    lines: tuple[str, ...]
    slot: str = ""  # the same in every step
    users: list[Node] = field(default_factory=list)  # the ops in it


@dataclass
class Annotations:
    """Roles, names, notes and colours of nodes, and their place in time; every view reads them."""

    role: Callable[[Node], str] = default_role  # one of the roles of `Box`; a result with the role "op" has no box of its own
    names: dict[Node, str] = field(default_factory=dict)  # in place of the node's own name
    notes: dict[Node, str] = field(default_factory=dict)  # a line below name and shape
    tooltip: Callable[[Node], str] = nothing  # lines after those that every tooltip has
    heat: dict[Node, float] = field(default_factory=dict)  # of boxes, 0 to 1
    flow: dict[tuple[Node, Node], float] = field(default_factory=dict)  # of arrows from one step to the next, 0 to 1
    uses: dict[tuple[Node, int], tuple[str, float | None]] = field(default_factory=dict)  # of a parameter in a step: note, heat
    sums: set[Node] = field(default_factory=set)  # what is added up from step to step
    shapes: bool = True  # shown
    dtypes: bool = False
    step: Callable[[Node], int | None] = step_of  # the frame of a node
    step_name: Callable[[int], str] = "t = {}".format
    track: Callable[[Node], str] = nothing  # the line, by name, of what is carried from step to step
    kind: Callable[[int], str] = lambda t: ""  # steps of one kind are laid out alike
    alias: Callable[[Node], str] = nothing  # a short name, where it is drawn small next to an op
    apart: Callable[[Node, Node], bool] = lambda operand, user: False  # the operand has a box of its own at this user
    cuts: dict[Node, Node] = field(default_factory=dict)  # from a detached leaf to the node it was cut from
    turned: dict[Node, Node] = field(default_factory=dict)  # of a leaf of the backward pass the one whose transpose it is
    blocks: dict[Node, Block] = field(default_factory=dict)  # nodes drawn as one box
    shown: set[int] | None = None  # the steps drawn in full; the others are folded into strips
    pieces: Mapping[str, Mapping[int, tuple[str, float | None]]] = field(default_factory=dict)  # by track and step: note, heat
    path: set[Node] | None = None  # the nodes that stand out
    backward: set[Node] = field(default_factory=set)  # the nodes of a backward pass

    def in_full(self, node: Node) -> bool:
        """True if the node is in a step that is drawn in full, or in none."""
        return self.shown is None or (t := self.step(node)) is None or t in self.shown

    def cut_steps(self, track: str) -> set[int]:
        """The steps at which the value of a track was detached from the step before."""
        cut = {self.step(node) for node in self.cuts.values() if self.track(node) == track}
        return {t + 1 for t in cut if t is not None}
