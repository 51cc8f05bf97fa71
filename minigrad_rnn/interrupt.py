"""Ctrl-C while a command is imported: a line, as later, and no traceback."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

__all__ = ["as_usual", "is_command"]


def is_command() -> bool:
    """Whether this is ``minigrad-rnn`` or ``python -m minigrad_rnn``, not a program that imports the package."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return os.path.splitext(name)[0] == "minigrad-rnn" or (name == "-m" and "minigrad_rnn" in sys.orig_argv)


def stop(number: int, frame: Any) -> NoReturn:
    """There is nothing yet that could be half done."""
    os.write(2, b"\nminigrad-rnn: interrupted\n")
    os._exit(130)


def as_usual() -> None:
    """The imports are done: Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, stop)
