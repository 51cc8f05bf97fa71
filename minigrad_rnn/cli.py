"""The command line, ``minigrad-rnn`` or ``python -m minigrad_rnn``: finds the commands, reads the arguments, reports errors.

Each module of the package `commands` is a command. Its ``HELP`` is one line, its ``DESCRIPTION`` a few sentences,
``arguments(parser)`` declares its arguments, and ``run(options)`` returns the exit status.
"""

from __future__ import annotations

import argparse
import difflib
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from . import commands

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 when done, 1 after an error, 2 after arguments that do not fit
    together, 130 when interrupted.

    >>> from minigrad_rnn.cli import main
    >>> main([])  # doctest: +ELLIPSIS
    usage: minigrad-rnn ...
    """
    try:
        parser = build_parser()
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help()
            return 0
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")  # for characters that the terminal lacks
        status: int = options.run(options)
        print(end="", flush=True)
        return status
    except BrokenPipeError:  # as in `minigrad-rnn demo | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        return failed("there is not enough memory; choose a smaller --hidden, --layers, --length or --batch, or a shorter text")
    except commands.UsageError as error:
        return failed(error, 2)
    except (OSError, ValueError, ArithmeticError) as error:
        return failed(error)
    except KeyboardInterrupt:
        print("\nminigrad-rnn: interrupted; no file is half written", file=sys.stderr)
        return 130


def failed(error: object, status: int = 1) -> int:
    """Print an error in one line and return the exit status."""
    text = "; ".join(line.strip() for line in str(error).splitlines())
    print(f"minigrad-rnn: {text if len(text) < 2000 else text[:2000] + '...'}", file=sys.stderr)
    return status


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with a hint for a misspelt word and where a file name begins with a dash."""

    given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.given = list(sys.argv[1:] if args is None else args)
        options, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if near := difflib.get_close_matches(word.partition("=")[0], self._option_string_actions, 1):
                self.error(f"unrecognized arguments: {' '.join(rest)}; did you mean {near[0]}?")
        return options, rest

    def error(self, message: str) -> NoReturn:
        if wrong := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), 1)
            message += f"; did you mean {near[0]}?" if near else ""
        for name in self.given:
            if name.startswith("-") and os.path.lexists(name):
                message += f"; write ./{name} for the file {name}, because a word that begins with a dash is an option"
        self.exit(2, f"minigrad-rnn: {message}; see {self.prog} --help\n")


class Version(argparse.Action):
    """Print the version, which is in `minigrad`, and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from minigrad import __version__

        print(f"{parser.prog} {__version__}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Build the parser, with a subparser for each module of `commands` that is not private."""
    parser = Parser(
        prog="minigrad-rnn",
        description="Recurrent networks from scratch: train one, and see what flows through time. Begin with the demo.",
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and stop")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for found in pkgutil.iter_modules(commands.__path__):  # in the order of their names
        if not found.name.startswith("_"):
            try:
                command = import_module(f"{commands.__name__}.{found.name}")
                words, run, arguments = (command.HELP, command.DESCRIPTION), command.run, command.arguments
            except Exception as error:  # the other commands still work
                print(f"minigrad-rnn: the command {found.name} was left out: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            subparser = subparsers.add_parser(found.name, help=words[0], description=words[1])
            subparser.set_defaults(run=run)
            arguments(subparser)
    return parser
