"""`compile`, and what it returns."""

from __future__ import annotations

import dis
import functools
import threading
from collections.abc import Callable
from types import CellType, CodeType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import CURRENT, DEBUG
from ..tensor import Tensor
from ..trees import leaves
from .program import OtherWay
from .recorded import Recorded
from .trace import CompileError

if TYPE_CHECKING:
    from ..pictures.drawing import Drawing

__all__ = ["Compiled", "compile"]

MOST_VARIANTS = 8  # programs for one signature, of functions whose conditions on values come out differently
MOST_SIGNATURES = 32  # kept; the one that was recorded first is forgotten

Place = int | str  # of an argument: its position or its name


def compile(
    f: Callable[..., Any] | None = None, *, static: tuple[Place, ...] = (), check: bool = False, batch: bool = True
) -> Any:
    """The same function as a NumPy program: recorded at the first call, and run without a graph after that.

    All that f does with Tensors and arrays is recorded, forward, backward and the update of an optimizer alike, and whatever
    it takes from outside is asked for anew at each run: arguments, the values of Tensors that f closes over, an
    optimizer's learning rate and states, random numbers from a `numpy.random.Generator` given as an argument or used by a
    dropout layer. What it writes outside (``p.grad``, ``p.data``) is written at each run. Arrays and
    numbers that f closes over are taken for constants, as are arguments that are neither arrays, Tensors nor numbers. If such
    a name stands for another array or number at a later call, that is a CompileError: make it an argument. What is written
    into such an array, and what is an attribute of an object, is not seen.

    One program serves all calls whose arguments have the same shapes and dtypes; other ones are recorded anew. Numbers may
    change from call to call; name those in `static` (by position or name) that are used as sizes or in conditions. With
    ``check=True`` each call runs f itself as well, on copies of the arguments, and compares; f must then be without effects.
    ``batch=False`` leaves out the passes that change the order of sums, and what comes out is then what f gives, bit for bit.
    Otherwise it may differ in the last digits. (So it may for arguments that are not contiguous.)

    What it returns is outside of any graph. Compiled functions that it calls become part of it; in debug mode f itself is
    run.

    ``.source`` is the program, ``.report()`` tells what it is made of, ``.graph`` draws it,
    ``.stages(...)`` shows what each pass did. Raises CompileError where f cannot be recorded: where
    Python's control flow depends on values, or they are turned into Python numbers; where it writes into an array, keeps a
    value outside of itself, or draws from ``np.random`` or a generator it closes over. The message says what to do.

    >>> import numpy as np, minigrad
    >>> step = minigrad.compile(lambda w, x: minigrad.value_and_grad(lambda w: np.tanh(x @ w).sum())(w))
    >>> value, slope = step(np.zeros((2, 1)), np.ones((3, 2)))
    >>> slope.tolist()
    [[3.0], [3.0]]
    >>> print(step.source)
    # turned_0: input_1.T
    # part_0: total_0[()]
    def run():
        input_1.dot(input_0, dot_0)
        tanh(dot_0, tanh_0)
        add_reduce(tanh_0, (0, 1), None, total_0)
        multiply(tanh_0, tanh_0, multiply_0)
        subtract(just_1_d, multiply_0, subtract_0)
        multiply(just_1_0_d, subtract_0, multiply_1)
        turned_0.dot(multiply_1, dot_1)
    <BLANKLINE>
    """
    if f is None:
        return lambda f: Compiled(f, static, check, batch)
    if not callable(f):
        raise TypeError(f"compile takes a function, not {type(f).__name__}: write compile(f), and call the result")
    return Compiled(f, static, check, batch)


class Compiled:
    """What `compile` returns."""

    def __init__(self, f: Callable[..., Any], static: tuple[Place, ...], check: bool, batch: bool) -> None:
        functools.update_wrapper(self, f)
        self.f = f
        self.static = (static,) if isinstance(static, str | int) else tuple(static)
        self.check = check
        self.batch = batch
        self.programs: dict[Any, list[Recorded]] = {}
        self.last: Recorded | None = None
        self._names = closed_over(f)
        self._constants: dict[str, Any] = {}  # what they stood for when a program was recorded
        self._lock = threading.RLock()  # the buffers of a program serve one run at a time

    def __repr__(self) -> str:
        return f"<compiled {getattr(self.f, '__name__', 'function')}: {sum(map(len, self.programs.values()))} programs>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: compiled for each object by itself."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **options: Any) -> Any:
        if CURRENT.get()[0] >= DEBUG:  # which looks at each op; or while another function is recorded, and becomes part of it
            return self.f(*args, **options)
        with self._lock:
            result = self._run(args, options)
        if self.check:
            compare(result, self.f(*args, **options))
        return result

    def _run(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        key = self.signature(args, options)
        known = self.programs.get(key)
        if self.programs:
            for name, old in self._constants.items():
                now = self._names[name]()
                if now is not old and (isinstance(old, np.ndarray) or type(now) is not type(old) or now != old):
                    raise CompileError(
                        f"{name!r}, which the function closes over, is another {type(old).__name__} than when it was recorded, "
                        "and a program has the one of then; make it an argument"
                    )
        else:
            values = ((name, read()) for name, read in self._names.items())
            kinds = np.ndarray | np.generic | int | float
            self._constants = {name: x for name, x in values if isinstance(x, kinds) and not isinstance(x, bool)}
        if known is None:
            known = self.programs[key] = []
            if len(self.programs) > MOST_SIGNATURES:
                self.programs.pop(next(iter(self.programs)))
        for recorded in known:
            try:
                result = recorded.run(args, options)
            except OtherWay:
                continue
            self.last = recorded
            return result
        made = Recorded(self.f, args, options, self.is_static, self.batch)
        if len(known) >= MOST_VARIANTS:
            known.pop(0)
        known.append(made)
        self.last = made
        return made.run(args, options)

    @property
    def source(self) -> str:
        """The NumPy program that ran last: what its names stand for, where that is a part of something else, and its lines."""
        program = self._there().program
        legend = [f"# {name}: {text}\n" for name, text in program.legend.items() if text]
        return "".join(legend) + program.source

    def report(self) -> str:
        """What the program that ran last is made of: calls after each pass, buffers and their bytes.

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
        """A picture of the program that ran last: a box for each call, in a frame for each time step, in the order they run.

        What comes from outside is a box too, and so is what comes out; views are written at the arrows. What is made far away,
        or used in many steps, stands in each of them as a box with its name. The tooltip of a call is its line.

        >>> import numpy as np, minigrad
        >>> f = minigrad.compile(lambda x: np.tanh(x) * x)
        >>> y = f(np.ones(3))
        >>> [" ".join(box.lines) for box in f.graph.picture.all_boxes()]
        ['tanh (3,)', 'multiply (3,)', 'input_0 (3,)', 'returned (3,)']
        """
        from .picture import drawing

        return drawing(self._there(), getattr(self, "__name__", ""))

    def stages(self, *args: Any, **options: Any) -> list[tuple[str, list[str]]]:
        """What each pass makes of the function, for these arguments: its name, and the lines after it.

        It is recorded anew for that, without effect, and nothing is kept. Views are no lines of their own: they are written
        where they are used. (`report()` counts them too.) A value keeps its name from pass to pass.

        >>> import numpy as np, minigrad
        >>> f = minigrad.compile(lambda x: np.tanh(x) + np.tanh(x))
        >>> stages = dict(f.stages(np.ones(3)))
        >>> stages["recorded"]
        ['tanh_2 = tanh(input_0)', 'tanh_3 = tanh(input_0)', 'add_4 = tanh_2 + tanh_3']
        >>> stages["without duplicates"]
        ['tanh_2 = tanh(input_0)', 'add_4 = tanh_2 + tanh_2']
        """
        from .picture import lines_of

        found: list[tuple[str, list[str]]] = []

        def watch(name: str, calls: Any, recorder: Any) -> None:
            found.append((name, lines_of(calls, recorder)))

        with self._lock:
            Recorded(self.f, args, options, self.is_static, self.batch, watch)
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
        return not isinstance(x, float | int | np.ndarray | np.generic | Tensor | list | tuple | dict | np.random.Generator)

    def signature(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What two calls must have in common for the same program to serve both."""
        if not options and not self.static and all(type(x) is np.ndarray for x in args):
            return (CURRENT.get()[0], *[(x.shape, x.dtype) for x in args])
        places: list[tuple[Place, Any]] = [*enumerate(args), *sorted(options.items())]
        return (CURRENT.get()[0], *((place, kind_of(x, self.is_static(place, x))) for place, x in places))


def closed_over(f: Any) -> dict[str, Callable[[], Any]]:
    """How to read what a function's names from outside stand for, by name."""
    code = getattr(f, "__code__", None)
    if code is None:
        return {}
    names: set[str] = set()
    codes = [code]
    while codes:
        inner = codes.pop()
        names |= {i.argval for i in dis.get_instructions(inner) if i.opname in ("LOAD_GLOBAL", "LOAD_DEREF")}
        codes += [x for x in inner.co_consts if isinstance(x, CodeType)]
    cells = dict(zip(code.co_freevars, f.__closure__ or (), strict=True))
    found: dict[str, Callable[[], Any]] = {}
    for name in names:
        if name in cells:
            found[name] = functools.partial(content, cells[name])
        elif name in f.__globals__:
            found[name] = functools.partial(f.__globals__.get, name)
    return found


def content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing in it yet
        return None


def kind_of(x: Any, static: bool) -> Any:
    """What two arguments must have in common for the same program to serve both."""
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
        return (type(x), x)
    if isinstance(x, dict):
        return ("dict", *((key, kind_of(y, isinstance(y, bool | str | None))) for key, y in x.items()))
    if isinstance(x, list | tuple):
        return (type(x), *(kind_of(y, isinstance(y, bool | str | type(None))) for y in x))
    if isinstance(x, Tensor):
        return ("tensor", x.shape, x.dtype.str, x.requires_grad)
    if isinstance(x, np.ndarray | np.generic):
        return ("array", x.shape, x.dtype.str)
    return type(x)


def compare(compiled: Any, eager: Any) -> None:
    """Raise if the results of a program are not those of the function."""
    for i, (a, b) in enumerate(zip(leaves(compiled), leaves(eager), strict=True)):
        one, other = (np.asarray(x._data if isinstance(x, Tensor) else x) for x in (a, b))
        rtol = 1e-4 if one.dtype == np.float32 else 1e-9
        if one.shape != other.shape or not np.allclose(one, other, rtol=rtol, atol=rtol, equal_nan=True):
            raise CompileError(
                f"result {i} of the compiled function differs from that of the function itself. Does the function use an "
                "array it closes over that has changed, or something else that is not an argument?"
            )
