"""Everything that a recorded function reads from outside, and a check before each run that it is still the same.

A program has what Python did while it was recorded, so every value that Python could read then is looked at again before each
run: closures, globals, defaults, attributes, the contents of containers and arrays, by identity or by value.
"""

from __future__ import annotations

import dis
import enum
import functools
import inspect
import os
import random
import sys
import sysconfig
import types
import weakref
from abc import ABC
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import chain, cycle, repeat
from operator import delitem, is_, setitem
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from ..ops.op import Op
from ..state import Counted, Stateful
from ..tensor import Tensor
from .recorder import contents
from .trace import CompileError

__all__ = ["Outside"]

OWN = ("numpy", "minigrad", "minigrad_rnn")  # whose functions read nothing that a user changes
PLAIN = (bool, int, float, complex, str, bytes, np.generic, np.dtype, range, slice, enum.Enum, type(None), type(...))
CONTAINERS = (list, tuple, set, frozenset, deque, dict, bytearray)
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
UNCHANGING = (  # pieces of classes: what is written in C, the fields of named tuples, the register of abstract classes
    types.CodeType, types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, MemberDescriptorType,
    type(vars(NamedTuple("_Pair", [("first", int)]))["first"]), type(vars(ABC)["_abc_impl"]),
)  # fmt: skip
OF_FUNCTIONS = (MethodType, classmethod, staticmethod, property, BuiltinFunctionType, types.MethodWrapperType)
USUALLY_KNOWN = (Tensor, np.ndarray, *GENERATORS, *CONTAINERS)  # and of a user's class, if it is one derived from these
STANDARD = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
MOST = 20_000  # values that are looked at before each run
FEW = 4  # elements of a list that are looked at one by one, which takes less time than all at once
ABSENT = object()


class Held:
    """Some places that hold values, and what they held."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.saved = self.look()

    def look(self) -> list[Any]:
        """Return what the places hold now."""
        raise NotImplementedError

    def restore(self) -> None:
        """Put back what they held."""
        raise NotImplementedError

    def text(self, name: str) -> tuple[str, dict[str, Any]]:
        """An expression that is true if they hold the same objects, and what its names stand for; all begin with `name`."""
        raise NotImplementedError

    def changed(self) -> str:
        """The first place that does not hold what it held, in words; otherwise an empty text."""
        now = self.look()
        different = (i for i, (a, b) in enumerate(zip(now, self.saved, strict=False)) if not alike(a, b))
        first = next(different, None if len(now) == len(self.saved) else 0)
        if first is not None:
            return self.names[first % len(self.names)]
        self.saved = now  # equal values in other objects: the next look is short again
        return ""


class Places(Held):
    """Attributes of objects that are written in C, or of slots; with `items` the values of a dict at some keys."""

    def __init__(self, names: list[str], places: list[tuple[Any, str]], items: bool = False) -> None:
        self.places = places
        self.items = items
        super().__init__(names)

    def look(self) -> list[Any]:
        return [holder.get(key, ABSENT) if self.items else attribute(holder, key) for holder, key in self.places]

    def restore(self) -> None:
        put, remove = (setitem, delitem) if self.items else (object.__setattr__, object.__delattr__)
        for (holder, key), now, value in zip(self.places, self.look(), self.saved, strict=True):
            if now is not value:
                remove(holder, key) if value is ABSENT else put(holder, key, value)

    def text(self, name: str) -> tuple[str, dict[str, Any]]:
        space: dict[str, Any] = {}
        parts = []
        for i, ((holder, key), value) in enumerate(zip(self.places, self.saved, strict=True)):
            here, held = f"{name}_{i}", f"{name}_{i}_held"
            space |= {here: holder, held: value}
            if value is ABSENT:
                now = f"{here}.get({key!r}, {held})" if self.items else f"getattr({here}, {key!r}, {held})"
            else:
                now = f"{here}[{key!r}]" if self.items else f"{here}.{key}"
            parts.append(f"{now} is {held}")
        return " and ".join(parts), space


class Elements(Held):
    """All elements of a container, or all attributes of an object or a class."""

    def __init__(self, names: list[str], holder: Any, attributes: bool = False) -> None:
        self.holder = holder
        self.attributes = attributes
        self.both = attributes or isinstance(holder, dict)  # keys and values
        super().__init__(names)

    def found(self) -> Any:
        return vars(self.holder) if self.attributes else self.holder

    def look(self) -> list[Any]:
        x = self.found()
        return [*x, *x.values()] if self.both else list(x)

    def restore(self) -> None:
        x, count = self.found(), len(self.saved) // 2
        before: Any = dict(zip(self.saved[:count], self.saved[count:], strict=True)) if self.both else self.saved
        if isinstance(x, MappingProxyType):
            for name in {*x, *before}:
                if name not in before:
                    delattr(self.holder, name)
                elif x.get(name, ABSENT) is not before[name]:
                    setattr(self.holder, name, before[name])
            return
        x.clear()
        x.extend(before) if isinstance(x, list | deque | bytearray) else x.update(before)

    def text(self, name: str) -> tuple[str, dict[str, Any]]:
        x = f"{name}.__dict__" if self.attributes else name
        count = len(self.saved) // (2 if self.both else 1)
        if 0 < count <= FEW and isinstance(self.holder, list) and not self.both:
            space = {name: self.holder, **{f"{name}_{i}": held for i, held in enumerate(self.saved)}}
            return " and ".join([f"len({name}) == {count}", *(f"{name}[{i}] is {name}_{i}" for i in range(count))]), space
        now = "chain(found, found.values())" if self.both else "found"
        text = f"len(found := {x}) == {count} and all(map(is_, {now}, {name}_held))" if count else f"not {x}"
        return text, {name: self.holder, f"{name}_held": self.saved}


class Contents(Held):
    """The elements of an array that somebody may write to."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        self.array = array
        super().__init__([name])

    def look(self) -> list[Any]:
        return [self.array.tobytes(), self.array.shape, self.array.dtype]

    def restore(self) -> None:
        setattr(self.array, "dtype", self.saved[2])  # noqa: B010  which types do not know of
        self.array.shape = self.saved[1]
        self.array[...] = np.frombuffer(self.saved[0], self.array.dtype).reshape(self.array.shape)

    def text(self, name: str) -> tuple[str, dict[str, Any]]:
        parts = (f"{name}.{part} == {name}_{i}" for i, part in enumerate(("tobytes()", "shape", "dtype")))
        return " and ".join(parts), {name: self.array, **{f"{name}_{i}": held for i, held in enumerate(self.saved)}}


class Holdings:
    """Looks at many places at once, by code of its own: 20 ns for each instead of 200."""

    def __init__(self) -> None:
        self.all: list[Held] = []
        self.same: Callable[[], bool] = self._write  # whether all places hold the objects that they held
        self._space: dict[str, Any] = {}

    def changed(self) -> str:
        """A place that does not hold any more what it held, in words; otherwise an empty text."""
        if self.same():
            return ""
        for held in self.all:
            if name := held.changed():
                return name
        for i, held in enumerate(self.all):
            self._space |= held.text(f"x{i}")[1]
        return ""

    def _write(self) -> bool:
        texts, self._space = ["True"], {"is_": is_, "chain": chain}
        for i, held in enumerate(self.all):
            text, space = held.text(f"x{i}")
            texts += [text] if text else []
            self._space |= space
        look = " and ".join(texts)
        gone = "(KeyError, AttributeError, ValueError)"  # a place that is not there any more
        exec(f"def same():\n try: return {look}\n except {gone}: return False", self._space)
        self.same = self._space["same"]
        return self.same()


def attribute(x: Any, name: str) -> Any:
    """An attribute, the content of a closure's cell among them, or ABSENT."""
    try:
        return getattr(x, name)
    except (AttributeError, ValueError):
        return ABSENT


def alike(a: Any, b: Any) -> bool:
    """The same object, or equal values of one type that nobody can change."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if has_dict(a):
        return False
    if isinstance(a, float | np.floating):
        return bool(a == b or (a != a and b != b)) and np.signbit(a) == np.signbit(b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return (isinstance(a, PLAIN) or by_value(a)) and bool(a == b)


def by_value(x: Any) -> bool:
    """True if its type compares values that cannot change: paths, dates, fractions, patterns."""
    kind: Any = type(x)
    return kind.__eq__ is not object.__eq__ and kind.__hash__ not in (None, object.__hash__) and not has_dict(x)


class Outside:
    """All that a function may read from outside. Look before recording, ask `changed` before each run."""

    def __init__(self, f: Any, others: Iterable[Any] = ()) -> None:
        self.held = Holdings()
        self.counted = Holdings()  # attributes, that are looked at only if one has been set
        self.generators: list[tuple[str, Any]] = [("np.random", np.random.mtrand._rand), ("the module random", random._inst)]
        self.tensors: list[tuple[Tensor, Any]] = []  # with their nodes and hooks
        self.stateful: list[Stateful] = []
        self.seen: dict[int, Any] = {}  # by id, all that was looked at
        self._modules: list[ModuleType] = []
        self.words: set[str] = set()  # the names and texts in its functions
        self._read: set[tuple[int, str]] = set()  # what is looked at of which
        self._guessing = False
        self._ahead: list[tuple[Any, str]] = [(x, name_of(x)) for x in (f, *others)]
        while self._ahead or self._of_modules():
            self._look(*self._ahead.pop())
            if len(self.seen) > MOST:
                if self._guessing:
                    break
                raise CompileError(
                    f"the function can read more than {MOST:,} values from outside, too many to look at before each run; "
                    "give it what it needs as arguments"
                )
        self._count = Counted.changes[0]
        self.states = [state_of(rng) for _, rng in self.generators]  # before the recording

    # -- before each run -------------------------------------------------------------------------------------

    def changed(self) -> str:
        """Return in words what has changed; an empty text if nothing has."""
        if Counted.changes[0] == self._count and self.held.same():
            return ""
        count = Counted.changes[0]
        if changed := self.counted.changed() or self.held.changed():
            return changed
        if any(place_of(tensor) != before for tensor, before in self.tensors):
            return "requires_grad or a hook of a tensor"
        self._count = count
        return ""

    def undo(self) -> str:
        """Put everything back as it was before the recording; returns what was changed in words."""
        found = ""
        for held in (*self.counted.all, *self.held.all):
            if name := held.changed():
                found = found or name
                held.restore()
        return found

    def drew(self) -> str:
        """A generator that drew numbers that were not recorded, in words; all are put back."""
        found = ""
        for (name, rng), before in zip(self.generators, self.states, strict=True):
            if contents(state_of(rng)) != contents(before):
                put_state(rng, before)
                found = found or name
        self.states.clear()
        return found

    def include(self, tensors: Iterable[Tensor | None]) -> None:
        """Look before each run at these Tensors too, which the recorded function has read."""
        self.tensors += [(x, place_of(x)) for x in tensors if x is not None and id(x) not in self.seen]

    # -- looking around --------------------------------------------------------------------------------------

    def _look(self, x: Any, path: str) -> None:
        if id(x) in self.seen or (isinstance(x, PLAIN) and not has_dict(x)):
            return
        if self._guessing and (isinstance(x, FunctionType | MethodType | type) or installed(x)):
            return
        self.seen[id(x)] = x
        look = next((look for kinds, look in KINDS if isinstance(x, kinds)), Outside._other)
        look(self, x, path)
        if isinstance(x, USUALLY_KNOWN) and not trusted(type(x).__module__):
            self._object(x, path)  # of a class that is a user's

    def _tensor(self, x: Tensor, path: str) -> None:
        self.tensors.append((x, place_of(x)))
        self._all(place_of(x)[1], f"a hook of {path}")

    def _array(self, x: np.ndarray, path: str) -> None:
        if not writeable(x):
            return
        if not x.dtype.hasobject:
            self.held.all.append(Contents(f"the contents of {path}", x))
        elif not self._guessing:
            raise CompileError(f"{path} is an array of Python objects, whose contents cannot be compared; use numbers")

    def _partial(self, x: functools.partial[Any], path: str) -> None:
        self._all((x.func, x.keywords), path)
        names = inspect.signature(x.func).parameters if isinstance(x.func, FunctionType) else ()
        self._ahead += zip(x.args, chain(names, repeat(path)), strict=False)

    def _generator(self, x: Any, path: str) -> None:
        self.generators.append((f"a generator that it closes over or finds in an object, {path}", x))

    def _module(self, x: ModuleType, path: str) -> None:
        if not trusted(x.__name__):
            self._modules.append(x)

    def _other(self, x: Any, path: str) -> None:
        if not hasattr(type(x), "__next__"):
            self._object(x, path)
        elif not self._guessing:
            raise CompileError(
                f"{path}, which the function reads from outside, is used up when it is read (a {type(x).__name__}): give its "
                "next value as an argument"
            )

    def _all(self, values: Iterable[Any], path: str) -> None:
        self._ahead += [(value, path) for value in values]

    def _hold(self, held: Held, counted: bool = False) -> None:
        (self.counted if counted else self.held).all.append(held)
        self._ahead += zip(held.saved, cycle(held.names), strict=False)

    def _function(self, f: FunctionType, path: str) -> None:
        code = f.__code__
        if f.__closure__:
            self._hold(Places(list(code.co_freevars), [(cell, "cell_contents") for cell in f.__closure__]))
        if not trusted(f.__globals__.get("__name__")):
            self._globals_of(code, f.__globals__)
            self._attributes(f, path)
            held = ["__code__", *(name for name in ("__defaults__", "__kwdefaults__") if getattr(f, name))]
            self._hold(Places([f"the defaults or the code of {path}"] * len(held), [(f, name) for name in held]))

    def _globals_of(self, code: CodeType, space: dict[str, Any]) -> None:
        looked_up, attributes, imported = names_in(code)
        self.words.update(looked_up, attributes, imported)
        if looked_up:
            self._globals(space, list(looked_up))
        for name in looked_up:
            module = space.get(name)
            if isinstance(module, ModuleType) and not trusted(module.__name__):
                self._of_module(module, attributes)
        package = f"{space.get('__package__')}."
        for name in [name for top in imported for name in (top, package + top)]:
            module = sys.modules.get(name)
            if is_own_module(module):
                self._of_module(module, attributes)
            self._ahead.append((module, name))

    def _globals(self, space: dict[str, Any], names: list[str], prefix: str = "") -> None:
        self._hold(Places([prefix + n for n in names], [(space, n) for n in names], items=True))

    def _of_modules(self) -> bool:
        """Look at what the functions found so far may read of the modules found so far; whether there is something new.

        That they do is a guess, by names and texts that they have. So from here on what cannot be looked at is no error, and
        functions, classes and installed modules are only compared with what they were.
        """
        self._guessing = True
        for module in self._modules:
            self._of_module(module, self.words)
        return bool(self._ahead)

    def _of_module(self, module: ModuleType, words: Iterable[str]) -> None:
        names = [n for n in sorted(words) if n in vars(module) and (id(module), n) not in self._read]
        self._read.update((id(module), n) for n in names)
        if names:
            self._globals(vars(module), names, f"{module.__name__}.")
        for inner in [vars(module)[name] for name in names]:  # of package.module.function
            if is_own_module(inner):
                self._of_module(inner, words)

    def _class(self, kind: type, path: str) -> None:
        metaclass: type = type(kind)
        for base in [*kind.__mro__, *metaclass.__mro__]:
            module: Any = base.__module__  # of some metaclasses in C a descriptor
            if not isinstance(module, str) or trusted(module) or (base is not kind and id(base) in self.seen):
                continue
            self.seen[id(base)] = base
            names = [f"{base.__name__}.{name}" for name in vars(base)]
            self.held.all.append(Elements(names, base, attributes=True))  # also what is added later
            self._ahead += [
                (value, f"{base.__name__}.{name}")
                for name, value in vars(base).items()
                if not name.startswith("__") or callable(value)
            ]

    def _attributes(self, x: Any, path: str, counted: bool = False) -> None:
        names = [f"{path}.{name}" for name in vars(x)]
        self._hold(Elements(names or [path], x, attributes=True), counted)

    def _stateful(self, x: Stateful, path: str) -> None:
        self.stateful.append(x)
        self._class(type(x), path)
        of_class = {name for base in type(x).__mro__ if not trusted(base.__module__) for name in vars(base)}
        names = sorted({*x.read(), *of_class} - {*x.varying, x.updated, "__module__", "__doc__"})
        self._hold(Places([f"{path}.{name}" for name in names], [(vars(x), name) for name in names], items=True))

    def _container(self, x: Any, path: str) -> None:
        if isinstance(x, tuple | frozenset):
            self._all(x, path)
        elif isinstance(x, dict):
            if isinstance(x, defaultdict):
                self._hold(Places([f"the default of {path}"], [(x, "default_factory")]))
            self._hold(Elements([f"{path}[{key!r}]" for key in x] or [path], x))
        else:
            self._hold(Elements([f"{path}[{i}]" for i in range(len(x))] or [path], x))

    def _object(self, x: Any, path: str) -> None:
        kind = type(x)
        self._class(kind, path)
        own = [vars(base) for base in kind.__mro__ if "__slots__" in vars(base)]
        slots = [name for pieces in own for name, piece in pieces.items() if isinstance(piece, MemberDescriptorType)]
        if slots and not trusted(kind.__module__):
            self._hold(Places([f"{path}.{n}" for n in slots], [(x, n) for n in slots]))
        if has_dict(x):
            counted = isinstance(x, Counted)
            self._hold(Places([f"the class of {path}"], [(x, "__class__")]), counted)
            self._attributes(x, path, counted)
        elif not slots and not by_value(x) and kind is not object and not self._guessing:
            raise CompileError(
                f"{path}, which the function reads from outside, is a {kind.__module__}.{kind.__name__}, and whether it has "
                "changed cannot be seen: give what it is needed for as an argument"
            )


def inside(values: Callable[[Any], Iterable[Any]], words: str = "{}") -> Callable[[Outside, Any, str], None]:
    """Return a function that looks at what a thing consists of, under the same name or one made of it."""
    return lambda outside, x, path: outside._all(values(x), words.format(path))


# How things are looked at, by their kinds: the first counts.
KINDS: tuple[tuple[Any, Callable[[Outside, Any, str], None]], ...] = (
    (Tensor, Outside._tensor),
    (np.ndarray, Outside._array),
    (FunctionType, Outside._function),
    (functools.partial, Outside._partial),
    (OF_FUNCTIONS, inside(lambda x: [getattr(x, name, None) for name in ("__func__", "__self__", "fget", "fset")])),
    (GENERATORS, Outside._generator),
    (ModuleType, Outside._module),
    ((np.ufunc, *UNCHANGING), inside(lambda x: ())),
    (Op, inside(lambda x: x.rules, "a rule of {}")),
    (weakref.ReferenceType, inside(lambda x: (x(),))),
    (type, Outside._class),
    (Stateful, Outside._stateful),
    (CONTAINERS, Outside._container),
)


def has_dict(x: Any) -> bool:
    """True if an object has attributes of its own; its ``__getattr__`` is not called."""
    return any("__dict__" in vars(base) for base in type(x).__mro__)


def is_own_module(x: Any) -> TypeGuard[ModuleType]:
    """True for a module that a user wrote."""
    return isinstance(x, ModuleType) and not trusted(x.__name__) and not installed(x)


def installed(x: Any) -> bool:
    """True for a module that was installed, not one of the user's own."""
    return isinstance(x, ModuleType) and "site-packages" in (getattr(x, "__file__", None) or "")


def name_of(x: Any) -> str:
    named = isinstance(x, FunctionType | BuiltinFunctionType | MethodType | type)
    return str(x.__name__) if named else type(x).__name__


@functools.lru_cache(maxsize=4096)
def trusted(module: str | None) -> bool:
    """True if what is defined there reads nothing that a user changes. A user's own code.py is not the library's."""
    top = (module or "").partition(".")[0]
    if top in OWN:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    return top in sys.stdlib_module_names and (file is None or file.startswith(STANDARD))


@functools.lru_cache(maxsize=4096)
def names_in(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The globals that a function and those defined in it look up, what else it names (attributes, texts), its imports."""
    looked_up: set[str] = set()
    imported: set[str] = set()
    for i in dis.get_instructions(code):
        if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            looked_up.add(i.argval)
        elif i.opname == "IMPORT_NAME":
            imported.update((i.argval, i.argval.partition(".")[0]))
    named = {*code.co_names, *(x for x in code.co_consts if isinstance(x, str) and x.isidentifier())} - looked_up
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            for found, more in zip((looked_up, named, imported), names_in(inner), strict=True):
                found.update(more)
    return tuple(sorted(looked_up)), tuple(sorted(named)), tuple(sorted(imported))


def writeable(array: Any) -> bool:
    """True if somebody can write to an array, through it or through what it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return array is not None


def place_of(x: Tensor) -> Any:
    """Return the node of a tensor, None if it does not require grad, and its hooks."""
    return x._node, tuple(getattr(x._node, "hooks", None) or ())


def state_of(rng: Any) -> Any:
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator.state
    return rng.getstate() if isinstance(rng, random.Random) else rng.get_state(legacy=False)


def put_state(rng: Any, state: Any) -> None:
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = state
    elif isinstance(rng, random.Random):
        rng.setstate(state)
    else:
        rng.set_state(state)
