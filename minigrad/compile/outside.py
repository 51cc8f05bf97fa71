"""What a recorded function reads from outside, and whether that is still what it was.

A program has what Python did while it was recorded, so every value that Python could read then is looked at again before each
run: closures, globals, defaults, attributes, the contents of containers and arrays, by identity or by value.
"""

from __future__ import annotations

import dis
import enum
import functools
import random
import sys
import types
from abc import ABC
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from operator import is_
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..graph import HOOKS
from ..standin import Counted, RecordsItself
from ..tensor import Tensor
from .trace import CompileError

__all__ = ["Outside"]

OWN = ("numpy", "minigrad", "minigrad_rnn")  # whose functions read nothing that a user changes
PLAIN = (bool, int, float, complex, str, bytes, np.generic, np.dtype, range, slice, enum.Enum, type(None), type(...))
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
UNCHANGING = (  # pieces of classes: what is written in C, the fields of named tuples, the register of abstract classes
    types.CodeType, types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType,
    type(vars(NamedTuple("_Pair", [("first", int)]))["first"]), type(vars(ABC)["_abc_impl"]),
)  # fmt: skip
MOST = 20_000  # values that are looked at before each run
ABSENT = object()


class Watch:
    """Some places that hold values, and what they held."""

    __slots__ = ("bytes", "fetch", "names", "put_back", "saved")

    def __init__(
        self, names: Callable[[], Iterable[str]], fetch: Callable[[], Iterable[Any]], put_back: Callable[[list[Any]], None]
    ) -> None:
        self.names = names
        self.fetch = fetch
        self.put_back = put_back
        self.saved = list(fetch())

    def same(self) -> bool:
        now = list(self.fetch())
        if len(now) != len(self.saved):
            return False
        if all(map(is_, now, self.saved)):
            return True
        if not all(map(alike, now, self.saved)):
            return False
        self.saved = now  # equal values in other objects: the next look is short again
        return True

    def differing(self) -> str:
        now, names = list(self.fetch()), list(self.names())
        for i, (a, b) in enumerate(zip(now, self.saved, strict=False)):
            if a is not b and not alike(a, b):
                return names[i] if i < len(names) else names[-1]
        return names[0] if names else "a container"

    def restore(self) -> None:
        self.put_back(self.saved)


class Contents(Watch):
    """The elements of an array that somebody may write to."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        self.bytes = array.tobytes()
        super().__init__(lambda: [name], lambda: [array], lambda _: None)

    def same(self) -> bool:
        array: np.ndarray = self.saved[0]
        return array.tobytes() == self.bytes

    def differing(self) -> str:
        return next(iter(self.names()))

    def restore(self) -> None:
        array: np.ndarray = self.saved[0]
        array[...] = np.frombuffer(self.bytes, array.dtype).reshape(array.shape)


def alike(a: Any, b: Any) -> bool:
    """The same object, or equal values of one type that nobody can change."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, float | np.floating):
        return bool(a == b or (a != a and b != b)) and np.signbit(a) == np.signbit(b)
    if isinstance(a, PLAIN):
        return bool(a == b)
    if isinstance(a, tuple | frozenset):
        return len(a) == len(b) and all(map(alike, a, b)) if isinstance(a, tuple) else bool(a == b)
    if isinstance(a, MethodType):
        return a.__func__ is b.__func__ and a.__self__ is b.__self__
    return by_value(a) and bool(a == b)


def by_value(x: Any) -> bool:
    """Whether its type compares values that cannot change: paths, dates, fractions, patterns."""
    kind: Any = type(x)
    return kind.__eq__ is not object.__eq__ and kind.__hash__ not in (None, object.__hash__) and not hasattr(x, "__dict__")


class Outside:
    """All that a function may read from outside. Look before recording, ask `changed` before each run."""

    def __init__(self, f: Any, others: Iterable[Any] = ()) -> None:
        self.watches: list[Watch] = []
        self.counted: list[Watch] = []  # attributes, that are looked at only if one has been set
        self.generators: list[tuple[str, Any]] = []
        self.hooks: list[tuple[Any, tuple[Any, ...]]] = []
        self._seen: dict[int, Any] = {}
        self._ahead: list[tuple[Any, str]] = [(x, getattr(x, "__name__", type(x).__name__)) for x in (f, *others)]
        while self._ahead:
            self._look(*self._ahead.pop())
            if len(self._seen) > MOST:
                raise CompileError(
                    f"the function can read more than {MOST:,} values from outside, too many to look at before each run; "
                    "give it what it needs as arguments"
                )
        self._count = Counted.changes[0]
        self.states = [(name, rng, state_of(rng)) for name, rng in self.generators]

    # -- before each run -------------------------------------------------------------------------------------

    def changed(self) -> str:
        """What is not any more as it was, in words; otherwise an empty text."""
        if Counted.changes[0] != self._count:
            for watch in self.counted:
                if not watch.same():
                    return watch.differing()
            self._count = Counted.changes[0]
        for watch in self.watches:
            if not watch.same():
                return watch.differing()
        if len(HOOKS) and not all(hooks_of(tensor) == hooks for tensor, hooks in self.hooks):
            return "a hook"
        return ""

    def undo(self) -> str:
        """Put everything back as it was before the recording; returns what was changed in words."""
        found = ""
        for watch in (*self.counted, *self.watches):
            if not watch.same():
                found = found or watch.differing()
                watch.restore()
        return found

    def drew(self, openly: set[int]) -> str:
        """A generator that drew numbers that were not recorded, in words; all are put back."""
        found = ""
        for name, rng, before in self.states:
            if id(rng) not in openly and contents(state_of(rng)) != contents(before):
                put_state(rng, before)
                found = f"a generator that it closes over or finds in an object, {name}"
        return found

    # -- looking around --------------------------------------------------------------------------------------

    def _look(self, x: Any, path: str) -> None:
        if isinstance(x, PLAIN) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if isinstance(x, Tensor):
            self.hooks.append((x, hooks_of(x)))
            self._all(hooks_of(x), f"a hook of {path}")
        elif isinstance(x, np.ndarray):
            if writeable(x):
                if x.dtype.hasobject:
                    raise CompileError(f"{path} is an array of Python objects, whose contents cannot be compared; use numbers")
                self.watches.append(Contents(f"the contents of {path}", x))
        elif isinstance(x, FunctionType):
            self._function(x, path)
        elif isinstance(x, MethodType):
            self._all((x.__func__, x.__self__), path)
        elif isinstance(x, functools.partial):
            self._all((x.func, *x.args, *x.keywords.values()), path)
        elif isinstance(x, classmethod | staticmethod):
            self._ahead.append((x.__func__, path))
        elif isinstance(x, property):
            self._all((x.fget, x.fset), path)
        elif isinstance(x, GENERATORS):
            self.generators.append((path, x))
        elif isinstance(x, (ModuleType, np.ufunc, *UNCHANGING)):
            pass
        elif isinstance(x, types.BuiltinFunctionType | types.MethodWrapperType):
            self._ahead.append((x.__self__, path))
        elif isinstance(x, type):
            self._class(x, path)
        elif isinstance(x, RecordsItself):
            self._class(type(x), path)
            self._ahead.append((getattr(x, "__wrapped__", None), path))  # of a compiled function, the function
        elif isinstance(x, list | tuple | set | frozenset | deque | dict | bytearray):
            self._container(x, path)
        elif hasattr(x, "__next__"):
            raise CompileError(
                f"{path}, which the function reads from outside, is used up when it is read (a {type(x).__name__}): give its "
                "next value as an argument"
            )
        else:
            self._object(x, path)

    def _all(self, values: Iterable[Any], path: str) -> None:
        self._ahead += [(value, path) for value in values]

    def _watch(self, names: list[str], fetch: Any, put_back: Any, counted: bool = False) -> None:
        watch = Watch(lambda: names, fetch, put_back)
        (self.counted if counted else self.watches).append(watch)
        self._ahead += zip(watch.saved, names, strict=False)

    def _function(self, f: FunctionType, path: str) -> None:
        code = f.__code__
        if f.__closure__:
            cells = f.__closure__

            def put_cells(values: list[Any]) -> None:
                for cell, value in zip(cells, values, strict=True):
                    if value is not ABSENT:
                        cell.cell_contents = value

            self._watch(list(code.co_freevars), lambda: map(content, cells), put_cells)
        if not trusted(f.__globals__.get("__name__")):
            self._globals_of(code, f.__globals__)
            self._attributes(f, path)

        def put_back(values: list[Any]) -> None:
            f.__defaults__, f.__kwdefaults__, f.__code__ = values

        own = f"the defaults or the code of {path}"
        self._watch([own, own, own], lambda: (f.__defaults__, f.__kwdefaults__, f.__code__), put_back)

    def _globals_of(self, code: CodeType, space: dict[str, Any]) -> None:
        looked_up, attributes = names_in(code)
        names = [name for name in looked_up if name in space]
        if names:
            self._globals(space, names)
        for name in names:
            module = space[name]
            if isinstance(module, ModuleType) and not trusted(module.__name__):
                self._globals(vars(module), [n for n in attributes if n in vars(module)], f"{name}.")

    def _globals(self, space: dict[str, Any], names: list[str], prefix: str = "") -> None:
        def put_back(values: list[Any]) -> None:
            space.update((n, v) for n, v in zip(names, values, strict=True) if v is not ABSENT)

        self._watch([prefix + n for n in names], lambda: [space.get(n, ABSENT) for n in names], put_back)

    def _class(self, kind: type, path: str) -> None:
        for base in kind.__mro__:
            if trusted(base.__module__) or (base is not kind and id(base) in self._seen):
                continue
            self._seen[id(base)] = base
            names = [name for name in vars(base) if not name.startswith("__") or callable(vars(base)[name])]

            def fetch(base: type = base, names: list[str] = names) -> list[Any]:
                return [vars(base).get(name, ABSENT) for name in names]

            def put_back(values: list[Any], base: type = base, names: list[str] = names) -> None:
                for name, value in zip(names, values, strict=True):
                    if vars(base).get(name, ABSENT) is not value:
                        setattr(base, name, value)

            self._watch([f"{base.__name__}.{name}" for name in names], fetch, put_back)

    def _attributes(self, x: Any, path: str, counted: bool = False) -> None:
        held = vars(x)

        def put_back(values: list[Any]) -> None:
            half = len(values) // 2
            held.clear()
            held.update(zip(values[:half], values[half:], strict=True))

        names = [f"{path}.{name}" for name in held]
        self._watch([*names, *names] or [path], lambda: (*held.keys(), *held.values()), put_back, counted)

    def _container(self, x: Any, path: str) -> None:
        if isinstance(x, tuple | frozenset):
            self._all(x, path)
        elif isinstance(x, dict):

            def put_items(values: list[Any]) -> None:
                half = len(values) // 2
                x.clear()
                x.update(zip(values[:half], values[half:], strict=True))

            names = [f"{path}[{key!r}]" for key in x]
            self._watch([*names, *names] or [path], lambda: (*x.keys(), *x.values()), put_items)
        else:

            def put_elements(values: list[Any]) -> None:
                x.clear()
                x.update(values) if isinstance(x, set) else x.extend(values)

            self._watch([f"{path}[{i}]" for i in range(len(x))] or [path], lambda: x, put_elements)
        if not trusted(type(x).__module__) and type(x).__module__ != "builtins":
            self._class(type(x), path)

    def _object(self, x: Any, path: str) -> None:
        kind = type(x)
        self._class(kind, path)
        slots = [name for base in kind.__mro__ for name in names_of_slots(base)]
        if slots and not trusted(kind.__module__):

            def put_slots(values: list[Any]) -> None:
                for name, value in zip(slots, values, strict=True):
                    if value is not ABSENT:
                        object.__setattr__(x, name, value)

            self._watch([f"{path}.{n}" for n in slots], lambda: [getattr(x, n, ABSENT) for n in slots], put_slots)
        if hasattr(x, "__dict__"):
            self._attributes(x, path, isinstance(x, Counted))
        elif not slots and not by_value(x) and kind is not object:
            raise CompileError(
                f"{path}, which the function reads from outside, is a {kind.__module__}.{kind.__name__}, and whether it has "
                "changed cannot be seen: give what it is needed for as an argument"
            )


def trusted(module: str | None) -> bool:
    """Whether what is defined there reads nothing that a user changes."""
    top = (module or "").partition(".")[0]
    return top in OWN or top in sys.stdlib_module_names


@functools.lru_cache(maxsize=4096)
def names_in(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The globals that a function and those defined in it look up, and the attributes."""
    looked_up = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    attributes = set(code.co_names) - looked_up
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more, others = names_in(inner)
            looked_up.update(more)
            attributes.update(others)
    return tuple(sorted(looked_up)), tuple(sorted(attributes))


def names_of_slots(kind: type) -> Iterator[str]:
    slots = vars(kind).get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if name not in ("__dict__", "__weakref__"):
            yield f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name


def content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing in it yet
        return ABSENT


def writeable(array: Any) -> bool:
    """Whether somebody can write to an array, through it or through what it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return array is not None


def hooks_of(x: Tensor) -> tuple[Any, ...]:
    return tuple(getattr(x._node, "hooks", ()))


def state_of(rng: Any) -> Any:
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator.state
    return rng.getstate() if isinstance(rng, random.Random) else rng.get_state(legacy=False)


def contents(state: Any) -> Any:
    """The state of a generator as something to compare; the text of its arrays takes 5 ms."""
    if isinstance(state, dict):
        return {key: contents(x) for key, x in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state


def put_state(rng: Any, state: Any) -> None:
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = state
    elif isinstance(rng, random.Random):
        rng.setstate(state)
    else:
        rng.set_state(state)
