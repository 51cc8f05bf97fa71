"""Programs to look at: as a picture of boxes and arrows, and as lines of text after each pass."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ..pictures.dot import to_dot
from ..pictures.drawing import Drawing
from ..pictures.picture import Arrow, Box, Group, Picture
from ..trees import tree_leaves
from .calling import Out
from .folding import Repeat, advance, carried, collected, history, marker, row
from .loop_code import index_text
from .naming import FLOWS_BACK
from .passes import Calls, is_view
from .recorded import Recorded
from .recorder import Recorder
from .trace import Call, Var, as_array, cast, dot, reshape, transpose

__all__ = ["drawing", "lines_of"]

LIMIT = 20_000
MANY = 2000
SYMBOLS: dict[Any, str] = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.power: "**", dot: "@", np.matmul: "@",
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.pow: "**",
    np.greater: ">", np.greater_equal: ">=", np.less: "<", np.less_equal: "<=", np.equal: "==",
}  # fmt: skip
REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}


# -- words -----------------------------------------------------------------------------------------------------


def is_look(call: Call) -> bool:
    """True for a view of the first argument, and for the row of it that an iteration of a loop reads."""
    return call.fn is row or is_view(call)


def function_name(fn: Any) -> str:
    """The name of a function, as a user writes it.

    >>> function_name(np.tanh), function_name(np.add.reduce)
    ('tanh', 'sum')
    """
    name = getattr(fn, "__name__", type(fn).__name__).strip("<>")
    if name == "reduce":
        ufunc = fn.__self__.__name__
        return REDUCTIONS.get(ufunc, f"{ufunc}.reduce")
    return {"true_divide": "divide", "flat": "side by side", "getitem": "index"}.get(name, name)


def look_text(call: Call, shapes: bool = True) -> str:
    """The text of a view or a row, as you write it behind the name of the array."""
    if call.fn is row:
        return place_text(call.args[1])
    if call.fn is operator.getitem:
        return f"[{index_text(call.args[1])}]"
    if call.fn is transpose:
        return ".T" if call.args[1] == (1, 0) else f".transpose{call.args[1]}"
    if not shapes:
        return ""
    if call.fn is reshape:
        return f".reshape{call.args[1]}"
    return f".{function_name(call.fn)}({', '.join(map(str, call.args[1:]))})"


def place_text(offset: int) -> str:
    """The place of an iteration in an array of all iterations, moved by an offset."""
    return f"[t{offset:+d}]" if offset else "[t]"


def loop_text(repeat: Repeat) -> str:
    """The scope of a loop, and its direction: ``rnn/layer=0: for t from 0 to 5``."""
    where = f"{repeat.scope.parent}: " if repeat.scope is not None and repeat.scope.parent is not None else ""
    return f"{where}for t from {repeat.time(0)} to {repeat.time(repeat.n - 1)}"


class Text:
    """The calls of a program as lines, with the views of a value written behind its name."""

    def __init__(self, calls: Calls, recorder: Recorder) -> None:
        self.made = {call.out: call for call in calls}
        self.names: dict[Var, str] = {}
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}
        for _, v in recorder.inputs:
            self.names[v] = self.free(recorder.labels.get(v), "number" if v.dtype is None else "input")
        for v, label in recorder.labels.items():
            if v not in self.names:
                self.names[v] = self.free(label, "")

    def free(self, label: str | None, other: str) -> str:
        stem = (label or other).replace(FLOWS_BACK, "d")
        if label and stem not in self.taken:
            self.taken.add(stem)
            return stem
        n = self.counts.get(stem, 0)
        self.counts[stem] = n + 1
        self.taken.add(f"{stem}_{n}")
        return f"{stem}_{n}"

    def name(self, x: Any) -> str:
        if isinstance(x, np.ndarray | np.generic):
            return shortly(x)
        if isinstance(x, slice):
            return index_text(x)
        if isinstance(x, list):
            return f"[{', '.join(map(self.name, x))}]"
        if isinstance(x, tuple):
            return f"({', '.join(map(self.name, x))}{',' * (len(x) == 1)})"
        if not isinstance(x, Var):
            return "..." if x is Ellipsis else str(x)
        call = self.made.get(x)
        if call is not None and is_look(call):
            return self.name(call.args[0]) + look_text(call)
        if x in self.names:
            return self.names[x]
        if call is None:
            return shortly(x.value) if x.source == "constant" else f"value_{x.number}"
        stem = function_name(call.fn).replace(" ", "_").replace(".", "_")
        return f"{stem}_{x.number}"

    def expression(self, call: Call) -> str:
        args = list(map(self.name, (call.inputs() or (0,)) if marker(call) else call.args))
        symbol = SYMBOLS.get(call.fn)
        if symbol and len(args) == 2 and not call.options:
            return f"{args[0]} {symbol} {args[1]}"
        if call.fn is operator.getitem:
            return f"{args[0]}[{', '.join(map(self.name, call.args[1])) if isinstance(call.args[1], tuple) else args[1]}]"
        if call.fn in (cast, as_array):
            return f"{args[0]}.astype({args[1]})"
        named = [f"{key}={self.name(x)}" for key, x in call.options.items() if x is not None or key == "axis"]
        return f"{function_name(call.fn).replace(' ', '_')}({', '.join([*args, *named])})"

    def line(self, call: Call) -> str:
        where = loop_text(call.loop) if call.loop else str(call.scope or "")
        names = map(self.name, call.args) if call.fn is advance else (self.name(call.out), self.expression(call))
        return " = ".join(names) + (f"  # {where}" if where else "")


def lines_of(calls: Calls, recorder: Recorder) -> list[str]:
    """A line for each call that computes something; views stand where they are used."""
    text = Text(calls, recorder)
    return [text.line(call) for call in calls if not is_look(call)]


def shortly(x: Any) -> str:
    array = np.asarray(x)
    if array.size == 1:
        return f"{array.item():.6g}" if array.dtype.kind == "f" else str(array.item())
    if array.size and (array == array.flat[0]).all():
        known = {0: "zeros", 1: "ones"}.get(array.flat[0].item())
        return f"{known}({array.shape})" if known else f"full({array.shape}, {shortly(array.flat[0])})"
    return str(array.tolist()) if array.size <= 6 else f"constant{array.shape}"


# -- the picture -----------------------------------------------------------------------------------------------


class Zones:
    """The place of each call from left to right: the number of its frame, or a half between those of two frames.

    A loop has a frame, and so has a time step that is in no loop. A step that comes again, as in the backward pass, has
    another frame there.
    """

    def __init__(self, calls: Calls) -> None:
        self.views = {call.out: call for call in calls if is_look(call)}
        self.computing = [call for call in calls if not is_look(call) and call.fn is not advance]
        self.frames: list[Group] = []
        self.known: dict[Any, list[int]] = {}  # the frames of a loop, or of a time step
        self.ways: dict[str, Any] = {}  # by scope: its first frame, or the direction of its first loop
        self.zone: dict[Var, float] = {}  # of results, except those of views
        for call in self.computing:
            after = max(map(self.of, call.inputs()), default=-0.5)
            own = call.loop or call.step
            self.zone[call.out] = self.behind(after) if own is None else self.frame(own, call, after)
        self.put_off()

    def look(self, v: Var) -> tuple[Var, str]:
        """The value that a view is of, and the index and the transposition of the view."""
        words = ""
        while v in self.views:
            words = look_text(self.views[v], shapes=False) + words
            v = self.views[v].args[0]
        return v, words

    def of(self, v: Var) -> float:
        """The zone of a value; that of a view is where its base is."""
        return self.zone.get(self.look(v)[0], -0.5)

    @staticmethod
    def behind(zone: float) -> float:
        """The nearest zone that is in no frame."""
        return zone if zone % 1 else zone + 0.5

    def frame(self, own: Any, call: Call, after: float) -> int:
        """The frame of a call of this loop, or of this time step, that reads values of the zone `after`."""
        known = self.known.setdefault(own, [])
        i = next((i for i in known if i >= after), len(self.frames))
        loop = call.loop
        where, way = (str(loop.scope.parent), loop.back) if loop else (str(call.scope), i)
        seen = self.ways.setdefault(where, way)
        if i == len(self.frames):
            known.append(i)
            title = loop_text(loop) if loop else f"t={own}"
            self.frames.append(Group(f"frame{i}", title, repeated=bool(loop), backward=seen != way))
        return i

    def put_off(self) -> None:
        """Move calls that need no frame to where their results are needed first, but not past a turn.

        What a loop leaves stays next to it.
        """
        needed: dict[Var, float] = {}
        for call in reversed(self.computing):
            zone = self.zone[call.out]
            last = needed.get(call.out, zone)
            if zone == -0.5:
                zone = last
            while zone % 1 and zone < last and not marker(call) and not self.is_turn(zone):
                zone += 1
            self.zone[call.out] = zone
            for v in call.inputs():
                base = self.look(v)[0]
                needed[base] = min(needed.get(base, math.inf), zone if zone % 1 else zone - 0.5)

    def are_near(self, one: float, other: float) -> bool:
        """True if an arrow between them passes no frame, and does not lead from a forward step to a backward one."""
        if one % 1 or other % 1 or one == other:
            return abs(one - other) <= 1
        return abs(one - other) == 1 and self.is_backward(one) == self.is_backward(other)

    def is_turn(self, zone: float) -> bool:
        """True if steps end here, or the backward pass begins."""
        after = math.ceil(zone)
        return not 0 < after < len(self.frames) or self.is_backward(after - 1) != self.is_backward(after)

    def is_backward(self, zone: float) -> bool:
        return not zone % 1 and self.frames[int(zone)].backward


class Board:
    """Puts a program into a picture."""

    def __init__(self, recorded: Recorded, title: str) -> None:
        self.recorded, self.program = recorded, recorded.program
        calls = self.program.calls
        self.zones = Zones(calls)
        self.next: dict[Var, Var] = dict(call.args for call in calls if call.fn is advance)
        self.text = Text(calls, recorded.recorder)
        self.text.names.update(self.program.names)
        self.home: dict[str, float] = {}  # the zone of a box
        self.boxes: dict[tuple[Any, ...], Box] = {}
        self.arrows: set[tuple[str, str, str]] = set()
        self.seen: set[Var] = set()  # the values from outside that have a box
        self.picture = Picture(title, in_row=bool(self.zones.frames))
        self.groups: dict[float, Group | Picture] = {} if self.zones.frames else {-0.5: self.picture}
        self.parameters = {
            made.stands_for: tensor for weak, made, _ in recorded.recorder.cells.values() if (tensor := weak()) is not None
        }
        self.named: set[Var] = set(recorded.recorder.labels)
        for call in self.zones.computing:
            self.op(call)
        for call in self.zones.computing:
            self.lead_into(call)
        self.results()
        for call in self.zones.computing:
            if call.out in self.named and not marker(call):
                box = self.boxes["op", call.out]
                box.lines[0] = f"{self.text.name(call.out)} = {box.lines[0]}"
        self.picture.groups = [group for _, group in sorted(self.groups.items()) if isinstance(group, Group)]

    # -- boxes -----------------------------------------------------------------------------------------------

    def add(self, key: tuple[Any, ...], box: Box, zone: float) -> Box:
        if zone not in self.groups:
            between = Group(f"between{math.ceil(zone)}", "", framed=False)
            self.groups[zone] = between if zone % 1 else self.zones.frames[int(zone)]
        self.groups[zone].boxes.append(box)
        self.home[box.id] = zone
        self.boxes[key] = box
        return box

    def op(self, call: Call) -> None:
        """The box of a call; what a loop carries or collects has its name there."""
        zone, name = self.zones.zone[call.out], self.text.name(call.out)
        words, role = function_name(call.fn), "backward" if self.zones.is_backward(zone) else "op"
        told = self.program.legend.get(name, "")
        if marker(call):
            words, role = name, "state" if call.loop else "tensor"
        elif told:
            told = f"made in {told}"
        tooltip = "\n".join(filter(None, (self.text.line(call), told)))
        self.add(("op", call.out), Box(f"c{call.out.number}", role, [words, *shape_line(call.out)], tooltip), zone)

    def source(self, v: Var, zone: float, look: str) -> Box:
        """The box of a value that no call makes, or that is made far away: one in each step that uses it."""
        found = self.boxes.get(("source", v, zone, look))
        if found is not None:
            return found
        id = f"s{len(self.boxes)}"
        name = self.program.names.get(v, "constant")
        if v in self.zones.zone:
            box = Box(id, "alias", [name + look], f"{name}, from another place")
            self.named.add(v)
        elif v.source == "constant":
            words = self.program.legend.get(name, "") or "a constant"
            box = Box(id, "constant", [self.constant(v) + look, *shape_line(v)], words)
        elif v in self.seen:
            box = Box(id, "alias", [name + look], f"{name}, again")
        else:
            tensor = self.parameters.get(v)
            role = "input" if tensor is None else "parameter" if tensor.requires_grad else "constant"
            what = "an argument" if v in self.recorded.argument_of else "from outside, read at each run"
            box = Box(id, role, [name + look, *shape_line(v)], f"{name} {v.shape}, {what}")
        self.seen.add(v)
        return self.add(("source", v, zone, look), box, zone)

    def constant(self, v: Var) -> str:
        array = self.program.arrays.get(v)
        if array is None or not array.size:
            return "constant"
        if (array == array.flat[0]).all():
            return shortly(array.flat[0])
        return shortly(array) if array.size <= 6 else self.program.names[v]

    # -- arrows ----------------------------------------------------------------------------------------------

    def lead(self, source: Box, target: Box, label: str = "", role: str = "flow") -> None:
        one, other = self.home[source.id], self.home[target.id]
        if role == "flow" and one != other and not one % 1 and not other % 1:
            role = "backward" if self.zones.is_backward(one) and self.zones.is_backward(other) else "recurrent"
        key = (source.id, target.id, label)
        if key not in self.arrows:
            self.arrows.add(key)
            arrows = self.picture.arrows if one != other else self.groups[one].arrows
            arrows.append(Arrow(source.id, target.id, role, label))

    def lead_from(self, v: Var, target: Box, place: str = "", role: str = "flow") -> None:
        """An arrow from where v is made, or from a box with its name where that is far away; to this place in an array."""
        base, look = self.zones.look(v)
        zone = self.home[target.id]
        if base in self.zones.zone and self.zones.are_near(self.zones.zone[base], zone):
            self.lead(self.boxes["op", base], target, " to ".join(filter(None, (look, place))), role)
        else:
            self.lead(self.source(base, zone, look), target, place, role)

    def lead_into(self, call: Call) -> None:
        """The arrows to a call. If it reads several time steps, they are one line through these steps."""
        zone, target = self.zones.zone[call.out], self.boxes["op", call.out]
        steps = sorted({i for i in map(self.zones.of, call.inputs()) if not i % 1} - {zone})
        for v, place, role in self.reads(call):
            base, look = self.zones.look(v)
            i = self.zones.of(v)
            if len(steps) < 3 or i not in steps:
                self.lead_from(v, target, place, role)
            else:
                self.lead(self.boxes["op", base], self.element(call, i), look)
        if len(steps) > 2:
            chain = [*(self.element(call, i) for i in steps), target]
            for one, other in pairwise(chain):
                self.lead(one, other, role="gathered")

    def reads(self, call: Call) -> Iterator[tuple[Var, str, str]]:
        """The values that a call reads, their places in an array that a loop fills, and the roles of their arrows."""
        if call.fn in (collected, history):
            repeat, (value, *start) = self.text.made[call.args[0]].loop, call.args
            yield value, place_text(int(bool(start) and not repeat.back)), "flow"
            for v in start:
                yield v, f"[{repeat.n if repeat.back else 0}]", "first"
            return
        if call.fn is carried:
            yield self.next[call.out], "next step", "loop"
        for v in call.inputs():
            yield v, "", "first" if call.fn is carried else "flow"

    def element(self, call: Call, i: float) -> Box:
        """The box of the element that a time step adds to the arguments of a call."""
        found = self.boxes.get(("collect", call.out, i))
        box = found or Box(f"g{call.out.number}_{int(i)}", "collect", [], f"an element of {self.text.name(call.out)}")
        return found or self.add(("collect", call.out, i), box, i)

    def results(self) -> None:
        """Draw a box for each output of the program, and for each condition that must hold."""
        told = [("returned", v) for v in outs_of(self.recorded.result)]
        for kind, owner, new in self.recorded.effects:
            label = getattr(owner, "name", None) or "a tensor"
            words = {"data": f"{label} updated", "grad": f"{label}.grad"}.get(kind, "state updated")
            told += [(words, v) for v in outs_of(new)]
        for i, (words, out) in enumerate(told):
            v = self.recorded.kept(out)
            self.end(v, Box(f"r{i}", "output", [words, *shape_line(v)]))
        for i, (v, outcome) in enumerate(dict.fromkeys(self.program.guards)):
            self.end(v, Box(f"q{i}", "words", [f"must be {outcome}"], "otherwise another program is recorded"))

    def end(self, v: Var, box: Box) -> None:
        self.lead_from(v, self.add((box.id,), box, self.zones.behind(self.zones.of(v))))


def shape_line(v: Var) -> list[str]:
    return [str(v.shape)] if v.dtype is not None and v.shape else []


def outs_of(tree: Any) -> list[Var]:
    return [x.var for x in tree_leaves(tree) if isinstance(x, Out)]


def drawing(recorded: Recorded, title: str = "") -> Drawing:
    """The program of a recording as a picture. ValueError above 20,000 boxes, and a warning above 2000."""
    picture = Board(recorded, title).picture
    count = len(picture.all_boxes())
    advice = "call the function with a shorter sequence, and draw the program of that"
    if count > LIMIT:
        raise ValueError(f"a picture of {count:,} boxes is above the limit of {LIMIT:,}: {advice}; .source has all lines")
    if count > MANY:
        warnings.warn(f"this picture has {count:,} boxes and takes long to lay out: better {advice}", stacklevel=3)
    return Drawing(to_dot(picture), text=recorded.program.source, picture=picture)
