"""What the commands of the command line do."""

from .flows import CELLS, gradflow
from .judge import evaluate, info, sample, tasks
from .learn import train
from .picture import draw
from .source import UPDATES, UsageError

__all__ = ["CELLS", "UPDATES", "UsageError", "draw", "evaluate", "gradflow", "info", "sample", "tasks", "train"]
