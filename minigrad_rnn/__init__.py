"""minigrad_rnn: recurrent networks on minigrad, toy sequence tasks, and pictures of what flows through time.

A name is imported when it is first used, so that ``minigrad-rnn --help`` does not wait for NumPy. `__init__.pyi` has the
same names for type checkers; `tests/minigrad_rnn/stubs.py` writes it.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

_MODULES = {name: name for name in ("clip", "config", "draw", "flow", "forcing", "init", "optim", "schedule")} | {
    name: f"data.{name}" for name in ("grammars", "series", "tasks", "text")
}
_NAMES = {
    "attention": ("Attention", "AttentionCell"),
    "cell": ("Cell",),
    "clip": ("clip_grad_norm", "clip_grad_value"),
    "data": ("IGNORED", "Alphabet", "Batch", "Examples", "Fixed", "Generated", "Source", "Streams", "Windows", "pad_sequences"),
    "flow": ("GradientFlow", "GradientRecorder", "gradient_flow"),
    "generate": ("greedy", "predict", "sample"),
    "layers": ("Dropout", "Embedding", "LayerNorm", "Linear", "Sequential"),
    "loading": ("load",),
    "losses": (
        "SequenceLoss", "binary_cross_entropy_with_logits", "mse_loss", "sequence_cross_entropy", "sequence_loss",
    ),
    "models": ("EncoderDecoder", "ManyToOne", "Model", "OneToMany", "Sequence"),
    "module": ("Module", "Parameter"),
    "onnx_export": ("save_onnx",),
    "optimizer": ("Optimizer",),
    "reading": ("Reading", "read"),
    "recurrent": ("Recurrent", "last_output"),
    "saving": ("WeightsError", "load_checkpoint", "load_weights", "save_checkpoint", "save_weights"),
    "summaries": ("Summary", "summary"),
    "train": ("Evaluation", "History", "Trainer", "evaluate"),
    "watching": ("Snapshot", "Watch"),
}  # fmt: skip


def _defined_in() -> dict[str, str]:
    """Return the module that defines each public name. The cells, layers and optimizers are found by their files."""
    from .additions import classes

    listed = {name: module for module, names in _NAMES.items() for name in names}
    return {**dict.fromkeys(_MODULES, ""), **listed, **classes()}


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of this package."""
    if name == "__all__":
        value: Any = sorted(_defined_in())
    elif name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    elif name in _MODULES or (name.isidentifier() and find_spec(f"{__name__}.{name}") is not None):
        value = import_module(f".{_MODULES.get(name, name)}", __name__)
    elif home := next((module for module, names in _NAMES.items() if name in names), "") or _defined_in().get(name):
        value = getattr(import_module(f".{home}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_defined_in())
