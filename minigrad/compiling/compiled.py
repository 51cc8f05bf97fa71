"""`compile`, and what it returns."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import numpy as np

from ..data import Data
from ..graph import CURRENT
from ..state import Stateful
from ..tensor import Tensor
from ..trees import tree_leaves, tree_map
from .outside import PLAIN
from .program import OtherWay
from .recorded import CHANGING, Recorded
from .trace import CompileError

if TYPE_CHECKING:
    from ..pictures.drawing import Drawing

__all__ = ["Compiled", "compile"]

MOST_VARIANTS = 8  # programs for one signature, of functions whose conditions on values come out differently
MOST_SIGNATURES = 32  # kept; the one that was not used for longest is forgotten
COST = 80  # runs of a program that it takes to earn what a recording costs, and as much again: the next may be longer
AT_ONCE = 8  # recordings before any run, and how many shapes that have no program may come in turn, to call it soon again
ARRAYS = {np.ndarray, Data}  # which are treated alike

Place = int | str  # of an argument: its position or its name
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")


@overload
def compile(
    f: Callable[P, R], *, static: tuple[Place, ...] = (), check: bool = False, batch: bool = True
) -> Compiled[P, R]: ...
@overload
def compile(
    f: None = None, *, static: tuple[Place, ...] = (), check: bool = False, batch: bool = True
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...


def compile(
    f: Callable[..., Any] | None = None, *, static: tuple[Place, ...] = (), check: bool = False, batch: bool = True
) -> Any:
    """The same function as a NumPy program: recorded at the first call, and run without a graph after that.

    All that f does with Tensors and arrays is recorded, forward, backward and the update of an optimizer alike, and whatever
    it takes from outside is read again at each run: arguments, the values of Tensors that f closes over, an
    optimizer's learning rate and states, random numbers from a `numpy.random.Generator` given as an argument or used by a
    dropout layer. What it writes outside (``p.grad``, ``p.data``) is written at each run. All else that Python
    reads from outside while f is recorded, in f and in the functions and objects it uses (closures, globals, defaults,
    attributes, elements of containers and arrays), is looked at again before each run: where it has changed, f is recorded
    again, or run as it is if that happens often. A function that changes such a thing itself cannot be compiled.
    Not seen: what C code reads, and what is written with ``vars(module)[name] = value``.

    One program serves all calls whose arguments have the same shapes and dtypes; other ones get programs of their own, if calls
    like them recur often enough to pay for it, and until then f is run as it is; ``.not_compiled`` says why. Numbers may
    change from call to call; name those in `static` (by position or name) that are used as sizes or in conditions. With
    ``check=True`` each call runs f itself as well, on copies of the arguments, and compares; f must then be without effects.

    Calls that repeat, as those of time steps do, become a ``for`` loop of the program, forward and backward. What a step does
    not need from the step before is computed for all steps at once, before the loop or after it; in long sequences for a
    block of steps at a time. Calls that are in no loop that can be found are written one after the other. These passes change
    the order of sums, so results may differ in the last digits. ``batch=False`` leaves them out: the program has every step
    one after the other, and gives what f gives, bit for bit (except for arguments that are not contiguous).

    What it returns is outside of any graph, and to use it in one that is differentiated is a LeavesGraphError. The first run of
    each program is compared with what f gave on the same values; a difference is a CompileError. Compiled functions that f
    calls become part of it; in debug mode f itself is run.

    ``.source`` is the program, ``.report()`` counts its calls and arrays, ``.graph`` draws it,
    ``.stages(...)`` shows what each pass did. Raises CompileError where f cannot be recorded: where
    Python's control flow depends on values, or they are turned into Python numbers; where it writes into an array, keeps a
    value outside of itself, or draws from ``np.random`` or a generator it closes over. The message says what to do.

    >>> import numpy as np, minigrad
    >>> step = minigrad.compile(lambda w, x: minigrad.value_and_grad(lambda w: np.tanh(x @ w).sum())(w))
    >>> value, slope = step(np.zeros((2, 1)), np.ones((3, 2)))
    >>> slope.tolist()
    [[3.0], [3.0]]
    >>> print(step.source)
    # x_T is x transposed
    def run():
        x.dot(w, dot_0)
        tanh(dot_0, tanh_0)
        add_reduce(tanh_0, (0, 1), None, total_0)
        multiply(tanh_0, tanh_0, slope_in)
        subtract(just_1_d, slope_in, slope)
        multiply(just_1_0_d, slope, multiply_0)
        x_T.dot(multiply_0, dot_1)
    <BLANKLINE>
    """
    if f is None:
        return lambda f: Compiled(f, static, check, batch)
    if not callable(f):
        raise TypeError(f"compile takes a function, not {type(f).__name__}: write compile(f), and call the result")
    return Compiled(f, static, check, batch)


class Compiled(Stateful, Generic[P, R]):
    """A function that runs as a NumPy program; `compile` makes it."""

    def __init__(
        self, f: Callable[P, R], static: tuple[Place, ...] = (), check: bool = False, batch: bool = True,
        at_once: int = AT_ONCE,
    ) -> None:  # fmt: skip
        functools.update_wrapper(self, f)
        self.f = f
        self.static = (static,) if isinstance(static, str | int) else tuple(static)
        self.check = check
        self.batch = batch
        self.programs: OrderedDict[Any, list[Recorded]] = OrderedDict()  # the one used last at the end
        self.at_once = at_once  # signatures that are recorded at the first call: later ones if they come again soon
        self.credit = AT_ONCE * COST
        self.gave_up = False  # it runs the function itself from now on
        self.not_compiled = ""  # why it runs the function itself, now and then or always
        self._seen: dict[str, int] = {}
        self._expected: dict[str, int] = {}  # how many programs there were before a training was resumed
        self.last: Recorded | None = None
        self._lock = threading.RLock()  # the buffers of a program serve one run at a time

    def __repr__(self) -> str:
        return f"<compiled {getattr(self.f, '__name__', 'function')}: {sum(map(len, self.programs.values()))} programs>"

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Compiled[P, R]: ...
    @overload
    def __get__(self: Compiled[Concatenate[T, Q], R], instance: T, owner: type | None = None) -> Callable[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: compiled for each object by itself."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: P.args, **options: P.kwargs) -> R:
        mode, _, watch = CURRENT.get()
        if watch is not None:  # debug mode; or another function is recorded, of which this becomes a part
            return self.f(*args, **options)
        with self._lock:
            last = self.last
            if last is None or options or self.gave_up or not last.fits(mode, args) or last.outside.changed():
                result = self._run(args, options)
            else:  # the same as `_run`, but for 1.5 µs less
                try:
                    result = last.call(*args)
                    self.credit += 1
                except OtherWay:
                    result = self._run(args, options, tried=last)
        if self.check:
            compare(result, self.f(*args, **options))
        return result  # type: ignore[no-any-return]

    def _run(self, args: tuple[Any, ...], options: dict[str, Any], tried: Recorded | None = None) -> Any:
        key = self.signature(args, options)
        known = self.programs.get(key)
        changed = ""
        for recorded in () if known is None or self.gave_up else known:  # until one of them returns
            changed = recorded.outside.changed()
            if changed or recorded is tried:
                continue
            try:
                result = recorded.run(args, options)
            except OtherWay:
                continue
            self.last = recorded
            self.credit += 1
            if len(self.programs) > 1:
                self.programs.move_to_end(key)
            if known[0] is not recorded:  # type: ignore[index]
                known.remove(recorded)  # type: ignore[union-attr]
                known.insert(0, recorded)  # type: ignore[union-attr]
            return result
        if not self._may_record(key, changed):
            return tree_map(detached, self.f(*args, **options))
        made = Recorded(self.f, args, options, self.is_static, self.batch)
        try:
            result = made.run(args, options)
        except Exception as error:
            if not made.has_loops:
                raise
            made = self._without_loops(made, error, args, options)
            result = made.run(args, options)
        known = self.programs.setdefault(key, [])
        known.insert(0, made)
        del known[MOST_VARIANTS:]
        self.programs.move_to_end(key)
        if len(self.programs) > MOST_SIGNATURES:
            self.programs.popitem(last=False)
        if self.not_compiled and {*map(repr, self.programs)}.issuperset(self._seen):
            self.not_compiled = ""
        self.last = made
        return result

    def _without_loops(self, made: Recorded, error: Exception, args: Any, options: Any) -> Recorded:
        """Record once more, for a program that failed at its first run, or gave something else than the function; its report
        says so."""
        for rng, state, _ in made.recorder.drawn_from.values():
            rng.bit_generator.state = state
        again = Recorded(self.f, args, options, self.is_static, self.batch, loops=False)
        again.not_folded = f"a program with loops failed, please report it: {type(error).__name__}: {error}"
        return again

    def _may_record(self, key: Any, changed: str) -> bool:
        """True if a recording, which takes as long as some runs of the function itself, is likely to pay. It depends on nothing
        but the calls before, so that a training that is resumed decides alike; see `history`."""
        text = repr(key)
        again = self._expected.pop(text, 0)
        if again > 1:
            self._expected[text] = again - 1
        if again and not self.gave_up:  # before the training was resumed there was a program, which would be run now
            self.credit += 1
            return True
        soon = text in [*self._seen][-AT_ONCE:]
        self._seen[text] = self._seen.pop(text, 0) + 1  # the one that came last at the end
        if self.gave_up:
            return False
        if self.credit >= COST and (soon or key in self.programs or len(self._seen) <= self.at_once):
            self.credit -= COST
            return True
        if changed:
            self.gave_up = True
            self.not_compiled = f"{changed} changes so often that recording the function anew costs more than it saves"
        elif key not in self.programs and self._seen[text] >= COST:
            return True
        else:
            self.not_compiled = self.not_compiled or "some calls have shapes that are too rare to record a program for them"
        return False

    def __reduce__(self) -> Any:
        """Copies and pickles have the function and the history, and record again."""
        return Compiled, (self.f, self.static, self.check, self.batch, self.at_once), self.history()

    def __setstate__(self, history: dict[str, Any]) -> None:
        self.resume(history)

    def history(self) -> dict[str, Any]:
        """Return, in JSON's types, all that `_may_record` needs to decide the same after `resume`."""
        programs = dict(self._expected)
        for key, known in self.programs.items():
            programs[repr(key)] = programs.get(repr(key), 0) + len(known)
        return {
            "credit": self.credit, "seen": dict(self._seen), "gave_up": self.gave_up,
            "not_compiled": self.not_compiled, "programs": dict(sorted(programs.items())),
        }  # fmt: skip

    def read(self) -> tuple[str, ...]:
        return ("f",)

    def state(self) -> dict[str, Any]:
        """All that a call changes, as `restore` takes it; 3 µs, where `history` takes 50."""
        copies = {"_seen": dict(self._seen), "_expected": dict(self._expected)}
        return vars(self) | copies | {"programs": OrderedDict((key, list(known)) for key, known in self.programs.items())}

    def restore(self, state: dict[str, Any]) -> None:
        """Be what it was when it had this `state`."""
        vars(self).update(state)

    def resume(self, history: dict[str, Any]) -> None:
        """Decide from now on as a function with this `history` would."""
        self.programs.clear()
        self.last = None
        self.credit, self.gave_up = int(history["credit"]), bool(history["gave_up"])
        self.not_compiled = str(history["not_compiled"])
        self._seen = {str(key): int(n) for key, n in history["seen"].items()}
        self._expected = {str(key): int(n) for key, n in history["programs"].items()}

    @property
    def source(self) -> str:
        """The NumPy program that ran last, after a few lines that say which names are parts of other arrays.

        Values have the names of arguments, parameters, states and gates. ``dh`` is the gradient that flows back into the state
        ``h``, ``a`` the sum that a cell computes from ``h`` and its input, ``hs`` the array of all states, ``dW`` the gradient
        of the parameter ``W``. The head of a ``for`` loop lists the arrays that an iteration reads and writes; the comment
        before it says where the loop was recorded, and which way t runs.
        """
        program = self._there().program
        return program.heading() + program.source

    def report(self) -> str:
        """Count the calls after each pass, and the arrays of the program that ran last. A loop has the calls of one iteration.
        Where steps that repeat could not become a loop, a line says why.

        >>> import numpy as np, minigrad
        >>> f = minigrad.compile(lambda x: np.tanh(x) + np.tanh(x))
        >>> y = f(np.ones(3))
        >>> print(f.report())
        recorded                    3 calls
        without what is not needed  3 calls
        without duplicates          2 calls
        merged and reordered        2 calls
        batched over time           2 calls
        updates side by side        2 calls
        2 arrays in 88 bytes
        """
        return self._there().report()

    @property
    def graph(self) -> Drawing:
        """A picture of the program that ran last: a box for each call, from left to right as they run.

        Inputs and outputs are boxes too; views are written at the arrows. The body of a loop is drawn once, in a frame: the
        blue arrow "next step" leads back to the value that it carries, ``[t]`` at an arrow is the row that a step reads or
        writes. Time steps in no loop have a frame each. A value that is made far away, or used in several frames, is drawn
        again there, as a box with its name. The tooltip of a call is its line.

        >>> import numpy as np, minigrad
        >>> f = minigrad.compile(lambda x: np.tanh(x) * x)
        >>> y = f(np.ones(3))
        >>> [" ".join(box.lines) for box in f.graph.picture.all_boxes()]
        ['tanh (3,)', 'multiply (3,)', 'x (3,)', 'returned (3,)']
        """
        from .picture import drawing

        return drawing(self._there(), getattr(self, "__name__", ""))

    def stages(self, *args: Any, **options: Any) -> list[tuple[str, list[str]]]:
        """Return the name of each pass and the lines after it, for these arguments.

        The function is recorded for that, without effect, and nothing is kept. A view is written where it is used, and has no
        line of its own. (`report()` counts them too.) A value keeps its name from pass to pass.

        The comment of a line in a loop has ``for t from ... to ...``. In a loop, ``x[t]`` is an element of an array over
        time, and ``h = carried(h0)`` a value of the iteration before, or h0 in the first one; a line ``h = ...`` at the end
        says what it is in the next iteration. After a loop, ``collected(h)`` is the array of the results of all iterations,
        ``history(h, h0)`` the same with h0. If the calls cannot be folded into loops, the passes begin again after
        ``recorded``.

        >>> import numpy as np, minigrad
        >>> f = minigrad.compile(lambda x: np.tanh(x) + np.tanh(x))
        >>> stages = dict(f.stages(np.ones(3)))
        >>> stages["recorded"]
        ['tanh_2 = tanh(x)', 'tanh_3 = tanh(x)', 'add_4 = tanh_2 + tanh_3']
        >>> stages["without duplicates"]
        ['tanh_2 = tanh(x)', 'add_4 = tanh_2 + tanh_2']
        """
        from .picture import lines_of

        found: list[tuple[str, list[str]]] = []

        def show(name: str, calls: Any, recorder: Any) -> None:
            found.append((name, lines_of(calls, recorder)))

        with self._lock:
            Recorded(self.f, args, options, self.is_static, self.batch, show)
        return found

    def _there(self) -> Recorded:
        if self.last is None:
            raise CompileError("there is no program yet: it is recorded at the first call")
        return self.last

    def is_static(self, place: Place, x: Any) -> bool:
        if hasattr(x, "__next__"):
            raise CompileError(f"argument {place!r} is used up when it is read (a generator, an iterator): give a list")
        if place in self.static or x is None or isinstance(x, bool | str | bytes):
            return True
        return is_fixed(x)

    def signature(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Return a key that is equal for two calls if the same program serves both."""
        if not options and not self.static and ARRAYS.issuperset(map(type, args)):
            return (CURRENT.get()[0], *[(x.shape, x.dtype) for x in args])
        places: list[tuple[Place, Any]] = [*enumerate(args), *sorted(options.items())]
        return (CURRENT.get()[0], *((place, kind_of(x, self.is_static(place, x))) for place, x in places))


def detached(x: Any) -> Any:
    """A result without its graph, as a program gives it."""
    return x.detach() if isinstance(x, Tensor) else x


def is_fixed(x: Any) -> bool:
    """True if a program keeps the value that x had when it was recorded."""
    return x is None or isinstance(x, bool) or not isinstance(x, (*CHANGING, list, tuple, dict))


class Identity:
    """An object that is taken for the same only if it is, whatever its class says: two that are equal may differ elsewhere."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.x is other.x

    def __hash__(self) -> int:
        return id(self.x)


def kind_of(x: Any, static: bool) -> Any:
    """Return a key that is equal for two arguments if the same program serves both."""
    if static:
        if isinstance(x, list | tuple):
            return (type(x), *(kind_of(y, True) for y in x))
        try:
            hash(x)
        except TypeError:
            raise CompileError(
                f"a {type(x).__name__} is taken for the same at each call, and it may change (it has no hash): give numbers, "
                "texts or tuples of them, or close over it"
            ) from None
        if isinstance(x, float | np.floating | complex):
            return (type(x), repr(x))  # 0.0 is not -0.0
        equal: Any = type(x).__eq__
        own = equal is not object.__eq__ and not isinstance(x, PLAIN)
        return (type(x), Identity(x) if own else x)
    if isinstance(x, dict):
        return ("dict", *((key, kind_of(y, is_fixed(y))) for key, y in x.items()))
    if isinstance(x, list | tuple):
        return (type(x), *(kind_of(y, is_fixed(y)) for y in x))
    if isinstance(x, Tensor):
        return ("tensor", x.shape, x.dtype.str, x.requires_grad)
    if isinstance(x, np.ndarray | np.generic):
        return (np.ndarray if type(x) in ARRAYS else type(x), x.shape, x.dtype.str)
    return type(x)


def compare(compiled: Any, eager: Any) -> None:
    """Raise if the results of a program are not those of the function."""
    for i, (a, b) in enumerate(zip(tree_leaves(compiled), tree_leaves(eager), strict=True)):
        one, other = (np.asarray(x._data if isinstance(x, Tensor) else x) for x in (a, b))
        rtol = 1e-4 if one.dtype == np.float32 else 1e-9
        if one.shape != other.shape or not np.allclose(one, other, rtol=rtol, atol=rtol, equal_nan=True):
            raise CompileError(
                f"result {i} of the compiled function differs from that of the function itself. Does the function use an "
                "array it closes over that has changed, or something else that is not an argument?"
            )
