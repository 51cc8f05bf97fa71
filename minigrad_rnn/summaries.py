"""The summary of a model: a table of its modules, with the shapes that an input has on its way through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.trees import tree_leaves

from .cell import Cell
from .module import Module, mode
from .recurrent import Recurrent

__all__ = ["Summary", "summary"]

Shape = tuple[int, ...]


class Row(NamedTuple):
    """A module in a `Summary`: its name and kind, and what it gave when it was last called."""

    name: str
    kind: str
    depth: int
    called: bool
    output: Shape | None  # None: no Tensor came out
    state: dict[str, Shape]
    parameters: int


class Summary(NamedTuple):
    """A table of the modules of a model. ``print(summary)`` shows it.

    `rows` has for each module its name, kind, depth in the tree, whether it was called, the shape of its output (None
    if no Tensor came out), for a cell the shapes of its state, and the number of its parameters with those of the modules
    inside it. A parameter that several modules share counts once in the totals `parameters`, `frozen` and `nbytes`.
    """

    rows: tuple[Row, ...]
    parameters: int
    frozen: int
    nbytes: int

    def __repr__(self) -> str:
        return f"Summary({len(self.rows)} modules, {self.parameters:,} parameters; print it for the table)"

    def __str__(self) -> str:
        table = [("module", "output", "state", "parameters")]
        for row in self.rows:
            name = f"{row.name}: {row.kind}" if row.name else row.kind
            state = ", ".join(f"{part} {shape}" for part, shape in row.state.items())
            output = "not called" if not row.called else "" if row.output is None else str(row.output)
            table.append(("  " * row.depth + name, output, state, f"{row.parameters:,}" if row.parameters else ""))
        wide = [max(len(line[i]) for line in table) for i in range(4)]
        lines = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:<{wide[2]}}  {d:>{wide[3]}}".rstrip() for a, b, c, d in table]
        frozen = f", {self.frozen:,} of them frozen" if self.frozen else ""
        return "\n".join([*lines, f"{self.parameters:,} parameters{frozen}; {self.nbytes:,} bytes"])


def summary(model: Module, *inputs: Any, **options: Any) -> Summary:
    """Call ``model(*inputs, **options)`` and return a table of its modules: outputs, states, and numbers of parameters.

    The model runs in evaluation mode, and no graph is recorded; its modes and gradients are as before. TypeError if `model`
    is not a `Module`; errors of the model itself, such as one for an input of the wrong shape, are not caught.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.LSTM(5, 8, rng=0), rnn.Linear(8, 5, rng=1))
    >>> print(rnn.summary(model, np.ones((6, 1, 5))))
    module             output     state               parameters
    Sequence           (6, 1, 5)                             525
      recurrent: LSTM  (6, 1, 8)                             480
        l0: LSTMCell   (1, 8)     h (1, 8), c (1, 8)         480
      readout: Linear  (6, 1, 5)                              45
    525 parameters; 2,100 bytes
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary needs a Module, not {type(model).__name__}; for a graph of Tensors, print mg.Graph(y)")
    given: dict[int, tuple[Shape | None, dict[str, Shape]]] = {}
    with mg.no_grad(), mode(model, training=False), calls_seen(model, given):
        model(*inputs, **options)
    parameters = model.parameters()
    return Summary(
        tuple(rows_of("", model, 0, given, set())),
        sum(p.size for p in parameters),
        sum(p.size for p in parameters if not p.requires_grad),
        sum(p.data.nbytes for p in parameters),
    )


def rows_of(name: str, part: Any, depth: int, given: dict[int, Any], above: set[int]) -> Iterator[Row]:
    """Yield a row for a module and for each inside it. One that was there before has only its own row."""
    if not isinstance(part, Module):
        return
    output, state = given.get(id(part), (None, {}))
    called = id(part) in given
    yield Row(name, type(part).__name__, depth, called, output, state, sum(p.size for p in part.parameters()))
    if id(part) not in above:
        above.add(id(part))
        for key, child in part._parts():
            yield from rows_of(key, child, depth + 1, given, above)


@contextmanager
def calls_seen(model: Module, given: dict[int, Any]) -> Iterator[None]:
    """Write into `given` the shapes that each module of the model gives while the block runs.

    The methods are replaced on the objects themselves, not by an assignment that a compiled function would count as a change.
    """
    replaced = []
    try:
        for module in {id(m): m for m in model.modules()}.values():
            for method in ("read", "step", "run", "forward"):
                if callable(getattr(type(module), method, None)) and method not in vars(module):
                    vars(module)[method] = seen(module, method, given)
                    replaced.append((module, method))
        yield
    finally:
        for module, method in replaced:
            del vars(module)[method]


def seen(module: Module, method: str, given: dict[int, Any]) -> Callable[..., Any]:
    """Return a method that does the same and notes the shape of the output: the first Tensor or array in the result."""
    run = getattr(module, method)

    def noted(*args: Any, **options: Any) -> Any:
        result = run(*args, **options)
        output, state = result, given.get(id(module), (None, {}))[1]
        if method == "step" and isinstance(module, Recurrent):
            output = module.output_of(result)
        elif method == "step" and isinstance(module, Cell):
            state = dict(zip(module.state_names, map(np.shape, result), strict=False))
        shapes = [leaf.shape for leaf in tree_leaves(output) if isinstance(leaf, mg.Tensor | np.ndarray)]
        given[id(module)] = (shapes[0] if shapes else None, state)
        return result

    return noted
