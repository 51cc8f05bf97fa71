"""Programs to look at: as a picture of boxes and arrows, and as lines of text after each pass."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pictures.dot import to_dot
from ..pictures.drawing import Drawing
from ..pictures.picture import Arrow, Box, Group, Picture
from .passes import VIEWS, Calls, basic
from .program import index_text
from .trace import Call, Recorder, Var, as_array, cast, dot, reshape, transpose

if TYPE_CHECKING:
    from .recorded import Recorded

__all__ = ["drawing", "lines_of", "picture_of"]

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
    """Whether the result is another look at the first argument. (As `is_view`, also when the values are forgotten.)"""
    if call.fn in VIEWS:
        return True
    return call.fn is operator.getitem and basic(call.args[1]) and call.args[0].dtype is not None


def function_name(fn: Any) -> str:
    """What a function is called.

    >>> function_name(np.tanh), function_name(np.add.reduce)
    ('tanh', 'sum')
    """
    name = getattr(fn, "__name__", type(fn).__name__).strip("<>")
    if name == "reduce":
        ufunc = fn.__self__.__name__
        return REDUCTIONS.get(ufunc, f"{ufunc}.reduce")
    return {"true_divide": "divide", "flat": "side by side", "getitem": "index"}.get(name, name)


def look_text(call: Call, shapes: bool = True) -> str:
    """What a view does, as one writes it behind the name of what is viewed."""
    if call.fn is operator.getitem:
        return f"[{index_text(call.args[1])}]"
    if call.fn is transpose:
        return ".T" if call.args[1] == (1, 0) else f".transpose{call.args[1]}"
    if call.fn is reshape:
        return f".reshape{call.args[1]}" if shapes else ""
    return f".{function_name(call.fn)}({', '.join(map(str, call.args[1:]))})" if shapes else ""


class Text:
    """The calls of a program as lines, with the views of a value written behind its name."""

    def __init__(self, calls: Calls, recorder: Recorder) -> None:
        self.made = {call.out: call for call in calls}
        self.recorder = recorder
        self.names: dict[Var, str] = {}
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}
        for _, v in recorder.inputs:
            self.names[v] = self.free(recorder.labels.get(v), "number" if v.dtype is None else "input")
        for v, label in recorder.labels.items():
            if v not in self.names:
                self.names[v] = self.free(label, "")

    def free(self, label: str | None, other: str) -> str:
        stem = label or other
        if label and label not in self.taken:
            self.taken.add(label)
            return label
        n = self.counts.get(stem, 0)
        self.counts[stem] = n + 1
        self.taken.add(f"{stem}_{n}")
        return f"{stem}_{n}"

    def name(self, x: Any) -> str:
        if isinstance(x, np.ndarray | np.generic):
            return shortly(x)
        if isinstance(x, slice):
            return index_text(x)
        if isinstance(x, tuple | list):
            inner = ", ".join(map(self.name, x))
            return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' * (len(x) == 1)})"
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
        args = [self.name(a) for a in call.args]
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
        where = f"  # {call.scope}" if call.scope else ""
        return f"{self.name(call.out)} = {self.expression(call)}{where}"


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


class Frames:
    """Which time step each call stands in: a number, from left to right, for the frame of a step; between two of them, at a
    half, stands what belongs to no step. A step that is come back to, as in the backward pass, has another frame there."""

    def __init__(self, calls: Calls) -> None:
        self.zone: dict[Var, float] = {}  # of results, those of views are where the views are of
        self.steps: list[int] = []
        self.backward: list[bool] = []
        scopes: list[set[str]] = []
        of_step: dict[int, list[int]] = {}
        self.views: dict[Var, Call] = {}
        computing = []
        for call in calls:
            if is_look(call):
                self.views[call.out] = call
                continue
            computing.append(call)
            after = max((self.zone.get(self.base(v), -0.5) for v in call.inputs()), default=-0.5)
            t = call.step
            if t is None:
                self.zone[call.out] = after if after % 1 else after + 0.5
                continue
            known = of_step.setdefault(t, [])
            frame = next((i for i in known if i >= after), None)
            where = str(call.scope)
            if frame is None:
                frame = len(self.steps)
                known.append(frame)
                self.steps.append(t)
                self.backward.append(any(where in scopes[i] for i in known[:-1]))
                scopes.append(set())
            scopes[frame].add(where)
            self.zone[call.out] = frame
        users: dict[Var, list[float]] = {}
        for call in reversed(computing):  # what needs no step, or is needed later, stands later
            zone = self.zone[call.out]
            last = min(users.get(call.out, [zone]))
            if zone == -0.5:
                zone = last
            while zone % 1 and zone < last and not self.is_turn(zone):
                zone += 1
            self.zone[call.out] = zone
            for v in call.inputs():
                users.setdefault(self.base(v), []).append(zone if zone % 1 else zone - 0.5)

    def are_near(self, one: float, other: float) -> bool:
        """Whether an arrow between them passes no frame, and does not lead from a forward step to a backward one."""
        if one % 1 or other % 1 or one == other:
            return abs(one - other) <= 1
        return abs(one - other) == 1 and self.backward[int(one)] == self.backward[int(other)]

    def is_turn(self, zone: float) -> bool:
        """Whether steps end here, or the backward pass begins."""
        after = math.ceil(zone)
        return not 0 < after < len(self.steps) or self.backward[after - 1] != self.backward[after]

    def base(self, v: Var) -> Var:
        while v in self.views:
            v = self.views[v].args[0]
        return v

    def look(self, v: Var) -> str:
        """The index and transposition by which v is seen in its base."""
        words = ""
        while v in self.views:
            words = look_text(self.views[v], shapes=False) + words
            v = self.views[v].args[0]
        return words


class Board:
    """Puts a program into a picture."""

    def __init__(self, recorded: Recorded, title: str) -> None:
        self.recorded = recorded
        self.program = program = recorded.program
        self.frames = Frames(program.calls)
        self.calls = {call.out: call for call in program.calls if not is_look(call)}
        self.text = Text(program.calls, recorded.recorder)
        self.text.names.update(program.names)
        self.groups: dict[float, Group] = {}
        self.home: dict[str, Group] = {}
        self.boxes: dict[tuple[Any, ...], Box] = {}
        self.arrows: dict[tuple[str, str, str], Arrow] = {}
        self.picture = Picture(title, in_row=bool(self.frames.steps))
        self.parameters = {
            made.stands_for: tensor for weak, made in recorded.recorder.cells.values() if (tensor := weak()) is not None
        }
        self.number = {v: i for i, v in enumerate(self.calls)}
        self.named: set[Var] = set(recorded.recorder.labels)
        for call in self.calls.values():
            self.op(call)
        for call in self.calls.values():
            self.lead_into(call)
        self.results()
        for v in self.named & self.number.keys():
            box = self.boxes["op", v]
            box.lines[0] = f"{program.names[v]} = {box.lines[0]}"
        self.match()
        self.picture.groups = [self.groups[zone] for zone in sorted(self.groups)]
        if not self.picture.in_row:
            self.picture.boxes = [box for group in self.picture.groups for box in group.boxes]
            self.picture.arrows = [*(a for group in self.picture.groups for a in group.arrows), *self.picture.arrows]
            self.picture.groups = []

    # -- boxes -----------------------------------------------------------------------------------------------

    def add(self, key: tuple[Any, ...], box: Box, zone: float) -> Box:
        if zone not in self.groups:
            if zone % 1:
                self.groups[zone] = Group(f"between{math.floor(zone) + 1}", "", framed=False)
            else:
                i = int(zone)
                back = self.frames.backward[i]
                kind = "backward" if back else "forward"
                self.groups[zone] = Group(f"frame{i}", f"t={self.frames.steps[i]}", backward=back, kind=kind)
        self.groups[zone].boxes.append(box)
        self.home[box.id] = self.groups[zone]
        self.boxes[key] = box
        return box

    def op(self, call: Call) -> None:
        zone = self.frames.zone[call.out]
        role = "backward" if not zone % 1 and self.frames.backward[int(zone)] else "op"
        lines = [function_name(call.fn), *shape_line(call.out)]
        told = self.program.legend.get(self.program.names.get(call.out, ""), "")
        tooltip = self.text.line(call) + (f"\nmade in {told}" if told else "")
        self.add(("op", call.out), Box(f"c{self.number[call.out]}", role, lines, tooltip), zone)

    def source(self, v: Var, zone: float, look: str) -> Box:
        """The box of a value that no call makes, or that is made far away: one in each step that uses it."""
        found = self.boxes.get(("source", v, zone, look))
        if found is not None:
            return found
        id = f"s{len(self.boxes)}"
        name = self.program.names.get(v, "constant")
        first = ("seen", v) not in self.boxes
        if v in self.calls:
            box = Box(id, "alias", [name + look], f"{name}, from another place")
            self.named.add(v)
        elif v.source == "constant":
            box = Box(
                id, "constant", [self.constant(v) + look, *shape_line(v)], self.program.legend.get(name, "") or "a constant"
            )
        elif not first:
            box = Box(id, "alias", [name + look], f"{name}, again")
        else:
            tensor = self.parameters.get(v)
            role = "input" if tensor is None else "parameter" if tensor.requires_grad else "constant"
            what = "an argument" if v in self.recorded.argument_of else "from outside, asked for at each run"
            box = Box(id, role, [name + look, *shape_line(v)], f"{name} {v.shape}, {what}")
        self.boxes["seen", v] = box
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
        if role == "flow" and one is not other and one.framed and other.framed:
            role = "backward" if one.backward and other.backward else "recurrent"
        key = (source.id, target.id, label)
        if key in self.arrows:
            return
        arrow = self.arrows[key] = Arrow(source.id, target.id, role, label)
        (self.picture if one is not other else one).arrows.append(arrow)

    def from_base(self, v: Var, target: Box, zone: float) -> None:
        """An arrow from where v is made, or from a box with its name where that is far away."""
        base, look = self.frames.base(v), self.frames.look(v)
        if base in self.calls and self.frames.are_near(self.frames.zone[base], zone):
            self.lead(self.boxes["op", base], target, look)
        else:
            self.lead(self.source(base, zone, look), target)

    def lead_into(self, call: Call) -> None:
        """The arrows to a call."""
        zone, target = self.frames.zone[call.out], self.boxes["op", call.out]
        inputs = call.inputs()
        zones = {self.frames.zone.get(self.frames.base(v), -0.5) for v in inputs}
        frames = sorted(z for z in zones if not z % 1 and z != zone)
        if len(frames) < 3:
            for v in inputs:
                self.from_base(v, target, zone)
            return
        for v in inputs:  # one from each step: along a line through the steps
            base = self.frames.base(v)
            here = self.frames.zone.get(base, -0.5)
            if here not in frames:
                self.from_base(v, target, zone)
                continue
            key = ("collect", call.out, here)
            if key not in self.boxes:
                id = f"g{self.number[call.out]}_{int(here)}"
                element = self.add(key, Box(id, "collect", [], f"an element of {self.program.names[call.out]}"), here)
                element.slot = f"gather{self.number[call.out]}"
            self.lead(self.boxes["op", base], self.boxes[key], self.frames.look(v))
        chain = [self.boxes["collect", call.out, here] for here in frames]
        for one, other in zip(chain, [*chain[1:], target], strict=True):
            self.lead(one, other, role="gathered")

    def results(self) -> None:
        """What comes out, each in a box behind what it is."""
        recorded = self.recorded
        told = [("returned", v) for v in outs_of(recorded.result)]
        for kind, owner, new in recorded.effects:
            for v in outs_of(new):
                label = getattr(owner, "name", None) or "a tensor"
                told.append(
                    (f"{label} updated" if kind == "data" else f"{label}.grad" if kind == "grad" else "state updated", v)
                )
        for i, (words, out) in enumerate(told):
            v = recorded.kept(out)
            zone = self.frames.zone.get(self.frames.base(v), -0.5)
            zone = zone if zone % 1 else zone + 0.5
            self.from_base(v, self.add(("out", i), Box(f"r{i}", "output", [words, *shape_line(v)]), zone), zone)
        for i, (v, outcome) in enumerate(dict.fromkeys(self.program.guards)):
            zone = self.frames.zone.get(self.frames.base(v), -0.5)
            zone = zone if zone % 1 else zone + 0.5
            box = Box(f"q{i}", "words", [f"must be {outcome}"], "otherwise another program is recorded")
            self.from_base(v, self.add(("guard", i), box, zone), zone)

    def match(self) -> None:
        """Say what is the same in every step: by what it does, and how many of these there were in its frame."""
        seen: dict[tuple[Any, ...], int] = {}
        slots: dict[tuple[Any, ...], int] = {}
        for call in self.calls.values():
            box = self.boxes["op", call.out]
            group = self.home[box.id]
            if group.framed:
                n = seen[group.id, call.fn, call.out.shape] = seen.get((group.id, call.fn, call.out.shape), 0) + 1
                kind = (group.backward, call.fn, call.out.shape, n)
                box.slot = str(slots.setdefault(kind, len(slots)))


def shape_line(v: Var) -> list[str]:
    return [str(v.shape)] if v.dtype is not None and v.shape else []


def outs_of(tree: Any) -> Iterable[Var]:
    from .recorded import Out

    if isinstance(tree, Out):
        yield tree.var
    elif isinstance(tree, list | tuple):
        for x in tree:
            yield from outs_of(x)
    elif isinstance(tree, dict):
        for x in tree.values():
            yield from outs_of(x)


def picture_of(recorded: Recorded, title: str = "") -> Picture:
    """The program of a recording: a box for each call, time steps in frames, from left to right as they run."""
    return Board(recorded, title).picture


def drawing(recorded: Recorded, title: str = "", limit: int = LIMIT) -> Drawing:
    """The same as a Drawing; ValueError above `limit` boxes, and a warning above 2000."""
    picture = picture_of(recorded, title)
    count = len(picture.all_boxes())
    advice = "call the function with a shorter sequence, and draw the program of that"
    if count > limit:
        raise ValueError(f"a picture of {count:,} boxes is above the limit of {limit:,}: {advice}; .source has all lines")
    if count > MANY:
        warnings.warn(f"this picture has {count:,} boxes and takes long to lay out: better {advice}", stacklevel=3)
    return Drawing(to_dot(picture), text=recorded.program.source, picture=picture)
