"""The command that measures how the gradient flows back through time."""

from __future__ import annotations

import io
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

import minigrad_rnn as rnn
from minigrad.pictures.drawing import _replace as replace

from .. import building
from ..cells import NONLINEARITIES
from ..flow import Comparison, GradientFlow, gradient_flow
from ..models import Model
from ..module import Parameter
from .source import UsageError, describe, loss_of
from .subject import check_place, sequences, subject

__all__ = ["CELLS", "gradflow"]

CELLS = ("rnn", "lstm", "gru", "relu", "sigmoid")  # the last two are plain networks with another activation than tanh
MANY_STEPS = 300  # from here on the matrix, a sweep for every step, is only made when asked for
COLUMNS = 8


def gradflow(options: Namespace) -> int:
    told = subject(options)
    if options.plot is not None:
        check_plot(options.plot)
    models = {told.about["cell"]: told.model} if told.trained or not options.cells else {}
    if told.trained and options.cells:
        models = {told.name: told.model}
    for cell in options.cells or ():
        models[cell] = untrained(told.about, cell)
    batch = sequences(told, options)
    T = len(batch.inputs)
    matrix = options.matrix or T <= MANY_STEPS or isinstance(told.model, rnn.ManyToOne)
    try:
        flows = {
            name: gradient_flow(in_float64(model), batch, loss=loss_of(told.about), matrix=matrix)
            for name, model in models.items()
        }
    except ValueError as error:
        raise UsageError(f"{told.name} cannot be measured: {error}") from None
    print(
        told
        if len(flows) == 1
        else f"{describe(told.about, None)}\nNetworks of {told.about['layers']} x {told.about['hidden']}"
    )
    print(f"{batch.size} sequence{'s' * (batch.size != 1)} of {T} steps, in float64; L is the mean loss")
    for name, flow in flows.items():
        if len(flows) == 1:
            print(f"\n{flow.table()}\n\n{shares(flow)}")
        if options.matrix:
            print(f"\n{name}: {matrix_table(flow)}")
    if len(flows) > 1:
        print(f"\n{summary(flows)}")
        if matrix:
            print("\nWhat is left of the gradient:\n" + Comparison(flows).table())
    if not matrix:
        print(f"\n{T} steps: --matrix measures the decay, too, with a sweep for each")
    if options.plot is not None:
        plot(flows, options.plot, matrix)
    return 0


def untrained(about: dict[str, Any], cell: str) -> Model:
    """Such a network with another cell, as it is before training."""
    kind = cell if cell in building.CELLS else "rnn"
    model = building.build(about | {"cell": kind, "text": about["text"]}).eval()
    if cell != kind:
        for module in model.modules():
            if isinstance(module, rnn.RNNCell):
                module.nonlinearity, module.activation = cell, NONLINEARITIES[cell]
    return model


def in_float64(model: Any) -> Any:
    """The model with the same weights in float64, where a gradient may be as small as 1e-300."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Parameter):
                setattr(module, name, Parameter(value.data, dtype=np.float64, name=value.name))
    return model


def spread(count: int, most: int) -> list[int]:
    """So many of the steps, evenly spread, the first and the last among them."""
    return [int(t) for t in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]


def shares(flow: GradientFlow) -> str:
    """What the steps add to the gradient of each parameter, as text."""
    shown = spread(len(flow.losses), COLUMNS)
    wide = max(map(len, flow.shares))
    lines = ["Norm of each step's share of a parameter's gradient", " " * wide + "".join(f"{f't = {t}':>10}" for t in shown)]
    return "\n".join(
        [*lines, *(f"{name:<{wide}}" + "".join(f"{a[t]:>10.2e}" for t in shown) for name, a in flow.shares.items())]
    )


def matrix_table(flow: GradientFlow) -> str:
    """What the loss of step t says to the state of step k, in the top layer, as text."""
    name = flow.cells[-1].state_names[-1]
    shown, M = spread(len(flow.losses), COLUMNS), flow.matrix[name][-1]
    rows = [t for t in shown if M[t].any()]  # a ManyToOne has its loss at the end only
    lines = [f"|dL_t/d{name}[k]|", " " * 10 + "".join(f"{f'k = {k}':>10}" for k in shown)]
    for t in rows:
        lines.append(f"{f't = {t}':<10}" + "".join(f"{M[t, k]:>10.2e}" if k <= t else f"{'':>10}" for k in shown))
    return "\n".join(lines)


def summary(flows: dict[str, GradientFlow]) -> str:
    """Of each network the gain of a hop in its top layer, the geometric mean over the steps, and its factors, as text."""
    wide = max(map(len, flows))
    kinds = {"gain": "total", "activation": "activation", "weight": "weight", "carry": "carry"}
    rows = {name: [*(mean(flow.gain(kind)) for kind in kinds.values()), flow.bound[-1]] for name, flow in flows.items()}
    lines = ["Mean factor of a hop back in time, and its bound", " " * wide + "".join(f"{t:>12}" for t in [*kinds, "bound"])]
    for name, numbers in rows.items():
        lines.append(f"{name:<{wide}}" + "".join(f"{'-' if math.isnan(x) else f'{x:.4f}':>12}" for x in numbers))
    return "\n".join(lines)


@np.errstate(all="ignore")
def mean(factors: np.ndarray) -> float:
    """The geometric mean, NaN of none."""
    known = factors[~np.isnan(factors)]
    return float(np.exp(np.log(known).mean())) if len(known) else math.nan


def check_plot(path: Path) -> None:
    """That there is a matplotlib that writes such a file, and that it can be written there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'minigrad-rnn[plot]'") from None
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise UsageError(f"--plot is the name of a file that ends in one of .{', .'.join(kinds)}, not {path.name!r}")
    check_place(path, "--plot")


def plot(flows: dict[str, GradientFlow], path: Path, matrix: bool) -> None:
    """A figure of one network, or of the decays of several; the file is written whole or not at all."""
    if len(flows) > 1 and not matrix:
        raise UsageError("--plot of several networks shows their decay; add --matrix to measure it")
    figure = Comparison(flows).plot() if len(flows) > 1 else next(iter(flows.values())).plot()
    made = io.BytesIO()
    figure.savefig(made, dpi=150, format=path.suffix[1:].lower())
    replace(path, made.getvalue())
    print(f"Wrote {path}")
