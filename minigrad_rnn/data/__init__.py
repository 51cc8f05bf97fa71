"""Toy tasks, and the text they are made of."""

from . import tasks
from .text import Alphabet

__all__ = ["Alphabet", "tasks"]
