"""Nodes, scopes and the reverse sweep. No op is named here.

A recorded op is a `Node`. It knows its op, its operands (the nodes it was computed from), and the few arrays
that the op's rules need. Nodes are numbered as they are made, and an operand is always made before its user,
so their numbers are a topological order: newest first is how gradients flow. Nothing recurses.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextvars import ContextVar
from itertools import count
from operator import attrgetter
from typing import Any
from weakref import WeakSet

import numpy as np

from .arrays import array_of
from .errors import GraphFreedError
from .selection import Marks, all_finite, leaves_out, unbroadcast, values
from .standin import Standin, decide, known

__all__ = ["Leaf", "Node", "Scope", "ancestors", "no_grad", "reverse", "scope", "unbroadcast"]

next_number = count().__next__
NO_OPTIONS: dict[str, Any] = {}


class Node:
    """One recorded op: what it was, what it was computed from, and what its rules need."""

    __slots__ = ("__weakref__", "dtype", "hooks", "name", "number", "op", "operands", "options", "saved", "scope", "shape")
    requires_grad = True
    hooks: list[Callable[[Any], Any]]  # what its cotangent goes through; set for those in HOOKS only

    def __init__(
        self,
        op: Any,
        operands: tuple[Any, ...],
        options: dict[str, Any],
        saved: tuple[Any, ...] | Forgotten | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        scope: Scope | None,
    ) -> None:
        self.op = op
        self.operands = operands  # Nodes, and Python scalars as they were written
        self.options = options  # axis, index, ...: what is not differentiated
        self.saved = saved  # (out, *operands), None where no rule needs it; as a whole None once freed, or a Forgotten
        self.shape = shape
        self.dtype = dtype
        self.scope = scope
        self.number = next_number()
        self.name: str | None = None

    @property
    def parents(self) -> Iterator[Node]:
        """The operands that are nodes, constants among them."""
        return (operand for operand in self.operands if isinstance(operand, Node))

    def recall(self) -> tuple[Any, ...]:
        """What its rules need: what was saved, or computed again where a checkpoint forgot it."""
        while isinstance(self.saved, Forgotten):  # once more for each checkpoint inside another
            self.saved.recompute()
        if not isinstance(self.saved, tuple):
            raise GraphFreedError(freed_message(self))
        return self.saved

    def __repr__(self) -> str:
        what = self.op.name if self.op else "leaf"
        name = f" {self.name!r}" if self.name else ""
        where = f" in {self.scope}" if self.scope else ""
        return f"<Node {self.number}: {what}{name} {self.shape} {self.dtype}{where}>"


class Forgotten:
    """What stands in `Node.saved` for values that can be computed again; see `minigrad.checkpoint`."""

    __slots__ = ()

    def recompute(self) -> None:
        """Save them again, in every node that has this object."""
        raise NotImplementedError


class Leaf(Node):
    """A node that no op made: a tensor that requires grad, or a constant that a recorded op read."""

    __slots__ = ("grad", "requires_grad", "thawed")

    def __init__(self, array: np.ndarray, requires_grad: bool, name: str | None = None, thawed: Leaf | None = None) -> None:
        super().__init__(None, (), NO_OPTIONS, None, array.shape, array.dtype, CURRENT.get()[1])
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self.thawed = thawed  # of a frozen tensor: the leaf it has when it requires grad
        self.name = name

    def of(self, result: np.ndarray) -> Leaf | None:
        """What stands for the result of an op on constants, this among them: in general nothing."""
        return None


# -- where we are: the scope, and whether ops are recorded -----------------------------------------------------


class Scope:
    """A place in the computation, such as ``lstm/layer=0/t=17``. Every node made there carries it."""

    __slots__ = ("name", "parent", "value")

    def __init__(self, parent: Scope | None, name: str, value: Any = None) -> None:
        self.parent = parent
        self.name = name
        self.value = value

    def __iter__(self) -> Iterator[Scope]:
        """From the outermost to this one."""
        chain = []
        place: Scope | None = self
        while place is not None:
            chain.append(place)
            place = place.parent
        return reversed(chain)

    def __contains__(self, name: str) -> bool:
        return any(place.name == name for place in self)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of the innermost scope called `name`: ``node.scope.get("t")``."""
        place: Scope | None = self
        while place is not None:
            if place.name == name:
                return place.value
            place = place.parent
        return default

    def __str__(self) -> str:
        return "/".join(s.name if s.value is None else f"{s.name}={s.value}" for s in self)

    def __repr__(self) -> str:
        return f"<Scope {self}>"


# How many times `no_grad` is entered (ops are recorded where it is 0), with what debug mode and recording add to it, and the
# scope: one look-up an op. Each thread and
# asyncio task has its own; what a context manager puts back is in here too, not in the object, which threads may share.
CURRENT: ContextVar[tuple[int, Scope | None]] = ContextVar("minigrad", default=(0, None))


DEBUG = 1 << 32  # what debug mode adds to the count, so that the usual case stays one comparison with 0
RECORDING = 1 << 40  # what recording for `compile` adds


def recording_again() -> tuple[int, Scope | None]:
    """`CURRENT` as it would be outside of every `no_grad`."""
    paused, place = CURRENT.get()
    return paused - paused % DEBUG, place


class Watch:
    """What debug mode does at each op; see `minigrad.debugging`."""

    def made(self, name: str, arrays: list[Any], out: np.ndarray, node: Node | None, place: Scope | None) -> None:
        """An op was run."""

    def entering(self, node: Node) -> None:
        """The reverse sweep is at a node."""

    def sent(self, node: Node, i: int, g: Any, part: Any) -> None:
        """A rule turned the cotangent g of a node into the part of its operand i."""

    def origin(self, node: Node) -> str:
        """The line that ran a node's op, in words."""
        return ""


WATCH: list[Watch] = []


# The nodes whose cotangents go through functions, `Node.hooks`, which `Tensor.register_hook` was given. The node has them, so
# that a hook that mentions its tensor, and so the node, is garbage together with it.
HOOKS: WeakSet[Node] = WeakSet()


class no_grad(contextlib.ContextDecorator):
    """Inside ``with no_grad():`` ops are computed and not recorded. Also a decorator: ``@no_grad()``.

    It holds for the current thread (and asyncio task) only.

    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> with minigrad.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __call__(self, function: Any) -> Any:
        if (
            inspect.isgeneratorfunction(function)
            or inspect.iscoroutinefunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise TypeError(
                f"@no_grad() would end before the body of {function.__name__} runs, for it is a generator or a coroutine; "
                "write `with no_grad():` inside it"
            )
        return super().__call__(function)

    def __repr__(self) -> str:
        return "no_grad()"

    def __enter__(self) -> None:
        paused, place = CURRENT.get()
        CURRENT.set((paused + 1, place))

    def __exit__(self, *error: object) -> None:
        paused, place = CURRENT.get()
        CURRENT.set((paused - 1, place))


class scope:
    """Say where the computation is: every node made inside carries the place, and so do errors and pictures.

    ``scope("lstm")`` is a name, ``scope("t", 17)`` a name with a value.

    >>> import minigrad
    >>> x = minigrad.tensor(1.0, requires_grad=True)
    >>> with minigrad.scope("lstm"), minigrad.scope("t", 17):
    ...     y = x * 2
    >>> print(y.scope)
    lstm/t=17
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any = None) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"scope({self.name!r})" if self.value is None else f"scope({self.name!r}, {self.value!r})"

    def __enter__(self) -> None:
        paused, place = CURRENT.get()
        CURRENT.set((paused, Scope(place, self.name, self.value)))

    def __exit__(self, *error: object) -> None:
        paused, place = CURRENT.get()
        CURRENT.set((paused, place and place.parent))


class same_place:
    """Whatever a walk does to the scope, afterwards it is as it was."""

    __slots__ = ("before",)

    def __enter__(self) -> None:
        self.before = CURRENT.get()

    def __exit__(self, *error: object) -> None:
        CURRENT.set(self.before)


# -- walks -----------------------------------------------------------------------------------------------------


def ancestors(roots: Iterable[Node], constants: bool = False, since: int = 0) -> list[Node]:
    """Every node that `roots` were computed from, themselves included, oldest first; only those numbered `since` or later."""
    seen = {root for root in roots if root.number >= since}
    found = list(seen)
    for node in found:  # which grows meanwhile
        for operand in node.operands:
            if (
                operand not in seen
                and isinstance(operand, Node)
                and (constants or operand.requires_grad)
                and operand.number >= since
            ):
                seen.add(operand)
                found.append(operand)
    found.sort(key=attrgetter("number"))
    return found


def leading_to(order: list[Node], wanted: Collection[Node]) -> set[Node]:
    """Of the nodes in `order` (oldest first), those that depend on a node of `wanted`."""
    live: set[Node] = set(wanted)
    for node in order:
        if node not in live and any(parent in live for parent in node.parents):
            live.add(node)
    return live


Lift = Callable[[Any, Any], Any]
Piece = tuple[Any, Node, tuple[Any, ...]]  # a cotangent, the node it belongs to, and what that node saved
Gather = Callable[[tuple[int, ...], list[Piece]], Any]


def reverse(
    root: Node,
    seed: Any,
    wanted: Collection[Node] | None,
    *,
    retain: bool,
    lift: Lift | None = None,
    watch: Sequence[Watch] = (),
    mark: bool = True,
) -> dict[Node, Any]:
    """The reverse sweep: from `root` back, newest node first, each rule turning a cotangent into its operands'.

    Returns the cotangents of the `wanted` nodes, or of all leaves. Without `lift` the rules run on plain arrays.
    With it they run on Tensors, `lift(array, node)` making them from what was saved, and so the backward pass
    is itself recorded, each node of it in the scope of the op it belongs to. Saved values are freed unless `retain`.
    Each of `watch` is told what every rule sends.

    Some ops gather: what their many uses send to one operand (the slices of an array, a weight at every time step) is
    held back and computed at once; a watcher is told the parts all the same.

    If something may be left out (`minigrad.selection`), and a gradient comes out infinite or NaN, the sweep runs again with
    marks of what counts. If somebody looks on it has them from the start, and also if it is recorded and a further derivative
    may be infinite. Without `mark` it never has them.
    """
    order = ancestors([root])
    live = set(order) if wanted is None else leading_to(order, wanted)
    if root not in live:
        return {}
    order.reverse()
    cotangents: dict[Node, Any] = {}
    owned: set[Node] = set()  # whose cotangent is a buffer of the sweep's own, so that it may be added to in place
    pending: dict[Node, dict[Gather, list[Piece]]] = {}
    hooks = HOOKS if len(HOOKS) else None
    state = CURRENT.get()[0]
    placing = lift is not None or state >= RECORDING
    watching = [*watch, *(WATCH if DEBUG <= state < RECORDING else ())]
    passed: list[Node] = []
    ops = {node.op for node in order} - {None}
    singular = any(op.singular for op in ops)
    marked = mark and leaves_out(order, seed, ops, singular)
    shown = len(watching) > 0 or (hooks is not None and any(node in hooks for node in order))
    twice = marked and not shown and not (lift is not None and singular)  # if need be
    # What may be needed twice is freed at the end, or forgotten again.
    forgotten = {node: node.saved for node in order if isinstance(node.saved, Forgotten)} if twice and not retain else {}

    def receive(node: Node, g: Any) -> None:
        if g.shape != node.shape:
            g = unbroadcast(g, node.shape)
        if g.dtype is not node.dtype and g.dtype != node.dtype:
            g = converted(g, node)
        have = cotangents.get(node)
        if have is None:
            cotangents[node] = g
        elif node in owned:
            have += g
            cotangents[node] = have  # += made a new object where `have` was a NumPy scalar
        else:
            cotangents[node] = have + g
            if not placing:
                owned.add(node)

    def receive_gathered(node: Node, gather: Gather, pieces: list[Piece], marks: Marks | None) -> None:
        user = pieces[-1][1]
        try:
            if marks is not None and node.op is not None:
                marks.add(node, marks.gathered(gather, node.shape, pieces), first=node not in cotangents)
            receive(node, gather(node.shape, pieces))
        except Exception as error:
            add_note(error, f"in the backward pass of {user.op.name}", user.operands, user.scope)
            raise

    def sweep(marks: Marks | None) -> dict[Node, Any]:
        found: dict[Node, Any] = {}
        cotangents[root] = seed if lift is not None else known(seed)
        if marks is not None:
            marks.start(root, seed)
        for node in order:
            if placing:
                CURRENT.set((CURRENT.get()[0], node.scope))
            if node in pending:
                for gather, pieces in pending.pop(node).items():
                    receive_gathered(node, gather, pieces, marks)
                if not placing:
                    owned.add(node)
            g = cotangents.pop(node, None)
            if g is None:
                continue
            if hooks is not None and node in hooks:
                before, g = g, hooked(node, g, lift)
                owned.discard(node)
                if marks is not None and g is not before:
                    marks.of.pop(node, None)
            op = node.op
            if op is None or (wanted is not None and node in wanted):
                found[node] = g.copy() if lift is None and node not in owned else g
                if op is None or not any(operand in live for operand in node.operands):
                    continue  # nothing behind it was asked for; its own graph is left as it is
            saved: Any = node.saved
            if type(saved) is not tuple:
                saved = node.recall()
            if lift is not None:
                saved = tuple(map(lift, saved, (node, *node.operands)))
            gathers = op.gathers
            if type(gathers) is not dict:
                gathers = gathers(node)
            if watching:
                for each in watching:
                    each.entering(node)
            pullbacks = op.pullbacks * len(node.operands) if op.variadic else op.pullbacks
            try:
                if marks is not None:
                    saved = marks.cleaned(node, saved)
                for i, parent in enumerate(node.operands):
                    if parent not in live:  # a constant, a number, or nothing that was asked for
                        continue
                    gather = gathers.get(i)
                    if gather is None or watch:
                        if marks is None:
                            part = pullbacks[i](g, node, saved, i)
                        else:
                            part = pullbacks[i](g, node, saved, i, marks.of.get(node))
                            part, mark = marks.sent(node, i, part, saved)
                            if gather is None:
                                marks.add(parent, mark, first=parent not in cotangents)
                        if watching:
                            for each in watching:
                                each.sent(node, i, g, part)
                    if gather is None:
                        if parent not in cotangents and part.shape == parent.shape and part.dtype is parent.dtype:
                            cotangents[parent] = part  # what `receive` would do, without the call
                        else:
                            receive(parent, part)
                        continue
                    groups = pending.get(parent)
                    if groups is None:
                        groups = pending[parent] = {}
                    others = groups.get(gather)
                    if others is None:
                        groups[gather] = [(g, node, saved)]
                        continue
                    others.append((g, node, saved))
                    if len(others) == op.gather_limit:
                        del groups[gather]
                        receive_gathered(parent, gather, others, marks)
            except Exception as error:
                line = "".join(each.origin(node) for each in watching)
                add_note(error, f"in the backward pass of {op.name}{line}", node.operands, node.scope)
                raise
            if not retain:
                if twice:
                    node.saved = forgotten.get(node, saved)
                    passed.append(node)
                else:
                    node.saved = None
        return found

    # A rule may meet sqrt'(0) or 0 * inf where the forward pass had nothing to warn about.
    with np.errstate(all="ignore"), same_place():
        found = sweep(Marks() if marked and not twice else None)
        if twice and not decide(all_finite(*map(values, found.values()))):
            owned.clear()
            found = sweep(Marks())
    if twice:
        for node in reversed(passed):
            node.saved = None
    return found


def forward(outputs: list[Node], tangents: dict[Node, Any], lift: Lift | None = None) -> dict[Node, Any]:
    """The forward sweep: oldest node first, each op turning the tangents of its operands into that of its result.

    Returns the tangents of those of the `outputs` that depend on a node of `tangents`. As in `reverse`, the rules run on
    arrays, or with `lift` on Tensors.
    """
    order = ancestors(outputs)
    live = leading_to(order, tangents)

    def sweep(marks: Marks | None) -> dict[Node, Any]:
        found = dict(tangents) if lift is not None else {node: known(t) for node, t in tangents.items()}
        if marks is not None:
            for node, t in tangents.items():
                marks.start(node, t)
        for node in order:
            if node in found or node not in live:
                continue
            saved: Any = node.recall()
            raw = saved
            if lift is not None:
                CURRENT.set((CURRENT.get()[0], node.scope))
                saved = tuple(map(lift, saved, (node, *node.operands)))
            total: Any = None
            for i, operand in enumerate(node.operands):
                if operand in live:
                    part = node.op.pushforward(i, found[operand], node, saved)
                    if marks is not None:
                        part, mark = marks.moved(node, i, part, raw)
                        marks.add(node, mark, first=total is None)
                    total = part if total is None else total + part
            found[node] = converted(total, node) if total.dtype != node.dtype else total
        return {node: found[node] for node in outputs if node in found}

    with np.errstate(all="ignore"), same_place():
        if lift is not None:
            return sweep(Marks())
        found = sweep(None)
        return found if decide(all_finite(*map(values, found.values()))) else sweep(Marks())


def hooked(node: Node, g: Any, lift: Lift | None) -> Any:
    """A cotangent after the hooks of its node."""
    for hook in tuple(node.hooks):
        shown = g
        if lift is None and not isinstance(g, Standin):
            shown = np.asarray(g).view()
            shown.flags.writeable = False
        new = hook(shown)
        if new is None:
            continue
        if isinstance(new, Standin):
            pass
        elif lift is None:
            new = np.array(array_of(new))
        elif not hasattr(new, "requires_grad"):
            new = lift(np.array(array_of(new)), None)
        if new.shape != node.shape:
            raise ValueError(
                f"a hook was given the gradient, of shape {node.shape}, and returned one of shape {new.shape}; it returns one "
                "of the same shape to go on with, or None to leave it as it is"
            )
        g = converted(new, node)
    return g


def converted(g: Any, node: Node) -> Any:
    """A cotangent or tangent in the dtype of its node."""
    if g.dtype.kind == "c":
        raise TypeError(
            f"a rule or a hook gave {g.dtype} for the gradient of a tensor of {node.dtype}, and its imaginary part would be "
            "lost; gradients are real: return g.real if that is what you mean"
        )
    return g.astype(node.dtype)


# -- words for errors ------------------------------------------------------------------------------------------


def add_note(error: BaseException, what: str, operands: Iterable[Any], place: Scope | None) -> None:
    """Tell which op failed, on which shapes, and where in the computation."""
    shapes = ", ".join(str(x.shape) if hasattr(x, "shape") else repr(x) for x in operands)
    where = f", in scope {place}" if place else ""
    error.add_note(f"minigrad: {what}, operands {shapes}{where}")


def freed_message(node: Node) -> str:
    where = f" in scope {node.scope}" if node.scope else ""
    return (
        f"backward() reached {node.op.name}{where} for the second time; what it had saved was freed by the first. "
        "If this is a state carried over from an earlier chunk of a sequence, cut it there with "
        "h = h.detach(). If you do want to go through the same graph again, call the first one with "
        "backward(retain_graph=True)."
    )
