"""``minigrad-rnn tasks``: list the tasks."""

from __future__ import annotations

import argparse

import minigrad_rnn as rnn

HELP = "list the tasks"
DESCRIPTION = "List the tasks that a model can be trained on, with the losses to compare a model with."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: there are none."""


def run(options: argparse.Namespace) -> int:
    """Print two lines for each task."""
    for name, make in rnn.tasks.TASKS.items():
        task = make()
        length = ", --length" if rnn.config.has_length(name) else ""
        print(f"{name:<18}{task.summary} ({task.wiring}, {task.loss}{length})")
        print(" " * 18 + "; ".join(f"{what}: {value:.4f}" for what, value in task.bounds.items()))
    return 0
