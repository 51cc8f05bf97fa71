"""``minigrad-rnn gradflow``: measure how the gradient flows back through time."""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import minigrad_rnn as rnn

from . import UsageError
from ._data import describe
from ._model import Network, check_place, measurable, network_of, sequences
from ._options import add_network

if TYPE_CHECKING:
    import numpy as np

HELP = "measure how the gradient flows back through time"
DESCRIPTION = (
    "Measure the gradient on its way back through time, in a trained model or in an untrained network for a task: its norm at "
    "each step, the factors by which each step changes it, how fast it decays, and the share of each step in the gradient of "
    "the weights."
)
MANY_STEPS = 300  # from here on the matrix, which needs a backward pass for each step, is an option
COLUMNS = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_network(parser)
    parser.add_argument(
        "--cells", type=cells, metavar="CELL,...",
        help="untrained networks to compare: cells such as rnn, lstm or gru, or relu or sigmoid for an rnn with that "
        "activation in place of tanh",
    )  # fmt: skip
    parser.add_argument(
        "--matrix", action="store_true", help="print the gradient of the loss of each step with respect to each state, too"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="save a figure (needs matplotlib)")


def kinds() -> list[str]:
    """Return the networks that can be compared: the cells, and the activations of an RNN other than tanh."""
    from ..activations import USUAL

    return [*rnn.config.CELLS, *(name for name in USUAL if name != "tanh")]


def cells(text: str) -> list[str]:
    """Return the names in a list separated by commas."""
    names = [{"tanh": "rnn"}.get(name.strip(), name.strip()) for name in text.lower().split(",")]
    if unknown := [name for name in names if name not in kinds()]:
        raise argparse.ArgumentTypeError(f"cells are {', '.join(kinds())}, separated by commas, not {unknown[0][:40]!r}")
    return list(dict.fromkeys(names))


def run(options: argparse.Namespace) -> int:
    """Measure one network or several, and print the numbers."""
    network = network_of(options)
    if options.plot is not None:
        check_plot(options.plot)
    models = models_of(network, options.cells or [])
    batch = sequences(network, options)
    T = len(batch.inputs)
    matrix = options.matrix or T <= MANY_STEPS or isinstance(network.model, rnn.ManyToOne)
    try:
        flows = {
            name: rnn.gradient_flow(in_float64(model), batch, loss=network.loss, matrix=matrix)
            for name, model in models.items()
        }
    except ValueError as error:
        raise UsageError(f"{network.name} cannot be measured: {error}") from None
    print(network if len(flows) == 1 else title(network.config))
    print(f"{batch.size} sequence{'s' * (batch.size != 1)} of {T} steps, in float64; L is the mean loss")
    show(flows, options.matrix, matrix)
    if not matrix:
        print(f"\n{T} steps: --matrix measures the decay, too, with a backward pass for each step")
    if options.plot is not None:
        plot(flows, options.plot, matrix)
    return 0


def models_of(network: Network, cells: list[str]) -> dict[str, rnn.Model]:
    """Return the models to measure by name: a trained one, or untrained ones with these cells, or both."""
    if not network.config:
        if cells:
            raise UsageError(f"--cells compares networks for a task, and {network.name} has weights alone; leave out --cells")
        return {network.name: measurable(network.model)}
    models = {network.config["cell"]: network.model} if network.trained or not cells else {}
    if network.trained and cells:
        models = {network.name: network.model}
    return models | {cell: untrained(network.config, cell) for cell in cells}


def untrained(config: dict[str, Any], cell: str) -> rnn.Model:
    """Return an untrained model of this configuration with another cell."""
    kind = cell if cell in rnn.config.CELLS else "rnn"
    model = rnn.config.build(config | {"cell": kind}).eval()
    if cell != kind:
        for module in model.modules():
            if isinstance(module, rnn.RNNCell):
                module.nonlinearity = cell
    return model


def in_float64(model: Any) -> Any:
    """Return the model with its weights in float64, in which a gradient may be as small as 1e-300."""
    new = {id(p): rnn.Parameter(p.data, dtype=float, name=p.name) for p in model.parameters()}
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, rnn.Parameter):
                setattr(module, name, new[id(value)])
    return model


def title(config: dict[str, Any]) -> str:
    """Return two lines about several networks."""
    return f"{describe(config, None)}\nNetworks of {config['layers']} x {config['hidden']}"


def show(flows: dict[str, rnn.GradientFlow], matrix: bool, decay: bool) -> None:
    """Print the tables of one network, or a comparison of several."""
    for name, flow in flows.items():
        if len(flows) == 1:
            print(f"\n{flow.table()}\n\n{share_table(flow)}")
        if matrix:
            print(f"\n{name}: {matrix_table(flow)}")
    if len(flows) > 1:
        print(f"\n{summary(flows)}")
        if decay:
            print("\nWhat is left of the gradient:\n" + rnn.flow.Comparison(flows).table())


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` of the numbers below `count`, evenly spread, with the first and the last."""
    most = min(count, most)
    return [i * (count - 1) // max(1, most - 1) for i in range(most)]


def share_table(flow: rnn.GradientFlow) -> str:
    """Return the share of each step in the gradient of each parameter, as text."""
    shown = spread(len(flow.losses), COLUMNS)
    wide = max(map(len, flow.shares))
    lines = ["Norm of each step's share of a parameter's gradient", " " * wide + "".join(f"{f't = {t}':>10}" for t in shown)]
    return "\n".join(
        [*lines, *(f"{name:<{wide}}" + "".join(f"{a[t]:>10.2e}" for t in shown) for name, a in flow.shares.items())]
    )


def matrix_table(flow: rnn.GradientFlow) -> str:
    """Return the gradient of the loss of step t with respect to the state of step k, in the top layer, as text."""
    name = flow.cells[-1].state_names[-1]
    shown, M = spread(len(flow.losses), COLUMNS), flow.matrix[name][-1]
    rows = [t for t in shown if M[t].any()]  # a ManyToOne has its loss at the end only
    lines = [f"|dL_t/d{name}[k]|", " " * 10 + "".join(f"{f'k = {k}':>10}" for k in shown)]
    for t in rows:
        lines.append(f"{f't = {t}':<10}" + "".join(f"{M[t, k]:>10.2e}" if k <= t else f"{'':>10}" for k in shown))
    return "\n".join(lines)


def summary(flows: dict[str, rnn.GradientFlow]) -> str:
    """Return for each network the mean gain of a step back in its top layer, and the factors of the gain, as text."""
    wide = max(map(len, flows))
    columns = {"gain": "total", "activation": "activation", "weight": "weight", "carry": "carry"}
    rows = {
        name: [*(geometric_mean(flow.gain(kind)) for kind in columns.values()), flow.bound[-1]] for name, flow in flows.items()
    }
    lines = ["Mean factor of a step back in time, and its bound", " " * wide]
    lines[1] += "".join(f"{text:>12}" for text in [*columns, "bound"])
    for name, numbers in rows.items():
        lines.append(f"{name:<{wide}}" + "".join(f"{'-' if math.isnan(x) else f'{x:.4f}':>12}" for x in numbers))
    return "\n".join(lines)


def geometric_mean(factors: np.ndarray) -> float:
    """Return the geometric mean of the factors that are not NaN; NaN if all are."""
    known = [x for x in factors.tolist() if not math.isnan(x)]
    if not known or 0 in known:
        return 0.0 if known else math.nan
    return math.exp(math.fsum(map(math.log, known)) / len(known))


def check_plot(path: Path) -> None:
    """Raise UsageError unless matplotlib can write a file of this kind, OSError unless it can be written there."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'minigrad-rnn[plot]'") from None
    suffixes = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in suffixes:
        raise UsageError(f"--plot must be a file name that ends in one of .{', .'.join(suffixes)}, not {path.name!r}")
    check_place(path, "--plot")


def plot(flows: dict[str, rnn.GradientFlow], path: Path, matrix: bool) -> None:
    """Write a figure of one network, or of the decay in several; the file is written whole or not at all."""
    from minigrad.files import replace_file

    if len(flows) > 1 and not matrix:
        raise UsageError("--plot of several networks shows their decay; add --matrix to measure it")
    figure = rnn.flow.Comparison(flows).plot() if len(flows) > 1 else next(iter(flows.values())).plot()
    written = io.BytesIO()
    figure.savefig(written, dpi=150, format=path.suffix[1:].lower())
    replace_file(path, written.getvalue())
    print(f"Wrote {path}")
