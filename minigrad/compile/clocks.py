"""Clocks and sources of chance: a program would keep what they gave while it was recorded, so they are an error there."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .outside import has_dict, trusted
from .trace import CompileError

__all__ = ["unrepeatable_refused"]

# Functions of modules; those with a number give the present time only if they get fewer arguments.
READ: list[tuple[Any, str, str, int | None]] = [
    *((time, name, f"time.{name}", None) for name in (
        "time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "process_time_ns",
        "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns",
    )),
    (time, "localtime", "time.localtime", 1), (time, "gmtime", "time.gmtime", 1), (time, "ctime", "time.ctime", 1),
    (time, "asctime", "time.asctime", 1), (time, "strftime", "time.strftime", 2), (uuid, "uuid1", "uuid.uuid1", None),
    (os, "urandom", "os.urandom (which uuid4 takes, too)", None),
    (random, "_urandom", "random numbers of the system (default_rng() without a seed, RandomState, secrets)", None),
    (random.Random, "seed", "random.Random() without a seed", 2),
]  # fmt: skip
BUILTINS = {getattr(of, name): label for of, name, label, pure in READ if pure is None and hasattr(of, name)}
NOW = {"now", "utcnow", "today"}  # of datetime.datetime and datetime.date
WORDS = NOW | {name for _, name, _, _ in READ if name != "seed"}

listening: ContextVar[list[str] | None] = ContextVar("minigrad clocks", default=None)  # what was read, in words
lock = threading.Lock()
recordings = 0
originals: list[tuple[Any, str, Any]] = []


def refuse(label: str) -> None:
    raise CompileError(
        f"the function uses {label}, and a program would have at each run what it gave while it was recorded: make it an "
        "argument; a generator that is always the same is np.random.default_rng(seed)"
    )


def heard(original: Callable[..., Any], label: str, pure: int | None) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **options: Any) -> Any:
        found = listening.get()
        given = sum(x is not None for x in (*args, *options.values()))
        if found is not None and (pure is None or given < pure):
            found.append(label)
            refuse(label)
        return original(*args, **options)

    return function


def install() -> None:
    global recordings
    with lock:
        recordings += 1
        if recordings == 1:
            for of, name, label, pure in READ:
                if hasattr(of, name):
                    originals.append((of, name, getattr(of, name)))
                    setattr(of, name, heard(getattr(of, name), label, pure))


def remove() -> None:
    global recordings
    with lock:
        recordings -= 1
        if recordings == 0:
            for of, name, original in originals:
                setattr(of, name, original)
            originals.clear()


@contextlib.contextmanager
def unrepeatable_refused(f: Any) -> Iterator[None]:
    """Raise CompileError if a clock or a source of chance is read in this thread, also if its error is caught.

    Functions of modules are replaced for that time. Where a function bears one of their names, as after ``from time import
    time``, or that of a class that tells the time, all calls of builtins are looked at; that takes twice as long.
    """
    found: list[str] = []
    profiled = sys.getprofile() is None and reaches_a_clock(f)
    token = listening.set(found)
    install()

    def watch(_: Any, event: str, called: Any) -> None:
        if event == "c_call" and (label := label_of(called)):
            found.append(label)

    if profiled:
        sys.setprofile(watch)
    try:
        yield
    finally:
        if profiled:
            sys.setprofile(None)
        remove()
        listening.reset(token)
    if found:
        refuse(found[0])


def label_of(called: Any) -> str:
    """What a builtin reads, in words."""
    if not isinstance(called, BuiltinFunctionType):
        return ""
    of = called.__self__
    if isinstance(of, type) and issubclass(of, datetime.date) and called.__name__ in NOW:
        return f"{of.__name__}.{called.__name__}"
    return BUILTINS.get(called, "")


def reaches_a_clock(f: Any) -> bool:
    """Whether a function, or what it can find in closures, globals and objects, has a clock under a name of its own."""
    seen: dict[int, Any] = {}
    ahead = [f]
    while ahead and len(seen) < MOST:
        x = ahead.pop()
        if id(x) in seen:
            continue
        seen[id(x)] = x
        if label_of(x) or (isinstance(x, type) and issubclass(x, datetime.date)):
            return True
        if isinstance(x, FunctionType):
            names = names_in(x.__code__)
            if not WORDS.isdisjoint(names):
                return True
            ahead += list(found_by(x, names))
        elif isinstance(x, MethodType):
            ahead += [x.__func__, x.__self__]
        elif isinstance(x, property | functools.partial | staticmethod | classmethod):
            ahead += [getattr(x, name, None) for name in ("fget", "func", "__func__")]
        elif isinstance(x, list | tuple | dict):
            ahead += x.values() if isinstance(x, dict) else x
        elif not isinstance(x, ModuleType) and not trusted(type(x).__module__):
            ahead += [value for kind in type(x).__mro__ if not trusted(kind.__module__) for value in vars(kind).values()]
            ahead += vars(x).values() if has_dict(x) else ()
    return False


MOST = 5000  # objects looked at


def found_by(f: FunctionType, names: set[str]) -> Iterator[Any]:
    """What a function can look up."""
    yield getattr(f, "__wrapped__", None)
    yield from f.__defaults__ or ()
    for cell in f.__closure__ or ():
        with contextlib.suppress(ValueError):  # it may be empty yet
            yield cell.cell_contents
    if trusted(f.__module__):
        return
    for name in names & f.__globals__.keys():
        found = f.__globals__[name]
        if isinstance(found, ModuleType) and not trusted(found.__name__):
            yield from (vars(found)[n] for n in names & vars(found).keys())
        yield found


def names_in(code: CodeType) -> set[str]:
    inner = (names_in(x) for x in code.co_consts if isinstance(x, CodeType))
    return {*code.co_names}.union(*inner)
