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
from types import BuiltinFunctionType
from typing import Any

from .outside import Outside
from .trace import CompileError

__all__ = ["unrepeatable_refused"]

# Functions of modules; those with a number give the present time only if they get fewer arguments.
CLOCKS = ("time", "perf_counter", "monotonic", "process_time", "thread_time", "clock_gettime")
READ: list[tuple[Any, str, str, int | None]] = [
    *((time, name, f"time.{name}", None) for clock in CLOCKS for name in (clock, f"{clock}_ns")),
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
        if found is not None and (pure is None or given < pure) and not importing():
            found.append(label)
            refuse(label)
        return original(*args, **options)

    return function


def importing() -> bool:
    """Return True inside an import: a module that the function uses for the first time may read what it likes, once."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame.f_back is not None


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
def unrepeatable_refused(outside: Outside) -> Iterator[None]:
    """Raise CompileError if a clock or a source of chance is read in this thread, also if its error is caught.

    Functions of modules are replaced for that time. Where a function bears one of their names, as after ``from time import
    time``, or that of a class that tells the time, all calls of builtins are looked at; that takes twice as long.
    """
    found: list[str] = []
    profiled = sys.getprofile() is None and reaches_a_clock(outside)
    token = listening.set(found)
    install()

    def watch(_: Any, event: str, called: Any) -> None:
        if event == "c_call" and (label := label_of(called)) and not importing():
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
    """Return in words what a builtin reads."""
    if not isinstance(called, BuiltinFunctionType):
        return ""
    of = called.__self__
    if isinstance(of, type) and issubclass(of, datetime.date) and called.__name__ in NOW:
        return f"{of.__name__}.{called.__name__}"
    return BUILTINS.get(called, "")


def reaches_a_clock(outside: Outside) -> bool:
    """True if a function can read a clock from outside under a name of its own."""
    return not WORDS.isdisjoint(outside.words) or any(
        label_of(x) or (isinstance(x, type) and issubclass(x, datetime.date)) for x in outside.seen.values()
    )
