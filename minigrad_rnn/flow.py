"""How the gradient flows back through time: its norm at every step, the gain of every hop, and why it vanishes or explodes.

L is the sum of L_t, the losses of the steps; h[t] is the state after step t. Norms are over the whole batch, and right for
numbers as small as 1e-300; float32 ends at 1e-45, so look at vanishing gradients in models of ``dtype=np.float64``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Tensor
from minigrad.graph import Node, ancestors, reverse, unbroadcast
from minigrad.norms import norm

from .cells import RNNCell
from .data.batch import IGNORED, Batch
from .data.tasks import Task
from .losses import LOSSES
from .models import ManyToOne, Sequence
from .train import Path_, Trainer

__all__ = ["Comparison", "GradientFlow", "GradientRecorder", "compare", "gradient_flow"]

GAMMA = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25}  # the greatest slopes
CARRIES = {"c": "f", "h": "z"}  # which gate multiplies the state before: f * c of an LSTM, z * h of a GRU
SATURATED = {"tanh": lambda y: 1 - y * y < 0.1, "sigmoid": lambda y: (y < 0.05) | (y > 0.95), "relu": lambda y: y <= 0}
COLOURS = ("#2b62b0", "#d1671c", "#2b8a57", "#b5302a", "#7d4aa0", "#5a5a5a", "#b98a00", "#3a9aa8")

Model = Sequence | ManyToOne
Places = dict[Node, tuple[str, int, int]]  # of each state its name, layer and step, in the order of time


class GradientFlow:
    """What `gradient_flow` found, as float64 arrays.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
    >>> flow = rnn.gradient_flow(model, rnn.tasks.hello())
    >>> flow.norms["h"].shape, flow.matrix["h"].shape
    ((1, 6), (1, 6, 6))

    The axis `layers` has an entry for each layer, T for each time step; NaN
    stands where there is nothing to measure: no such state in that layer, no step before the first, no gradient arrived.

    - `losses` (T,): the L_t. `norms`, by state ("h", of an LSTM also "c") (layers, T): |dL/dh[t]|, of all that reaches h[t].
    - `matrix`, by state (layers, T, T): ``matrix["h"][layer, t, k]`` is |dL_t/dh[k]|, what the loss of step t says to the state
      of step k. It is 0 above the diagonal, for a later state has no part in L_t.
    - `gains`, by kind (layers, T): by which factor the norm changes in the hop from step t to t-1. With s = (h, c), or h alone,
      J = ds[t]/ds[t-1], and G the cotangent of s[t] from outside of the layer's step t, the "total" is ``|J^T G| / |G|``: what
      comes back along the recurrent path alone, relative to what arrived. Of RNN cells "activation" and "weight" are its
      factors: with a = W_ih x + W_hh h[t-1] + b and d = f'(a) * G they are ``|d| / |G|`` and ``|W_hh^T d| / |d|``. "carry" is
      the gain of the path without weights, of an LSTM ``|f * S| / |S|`` with S = dL/dc[t], of a GRU ``|z * S| / |S|`` with
      S = dL/dh[t] (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Cho et al. 2014).
    - `gates`, by name (i, f, g, o or r, z, n) (layers, T): the mean over units and batch.
    - `saturation`, by name (layers, T): the share of units that hardly pass a gradient, tanh' < 0.1, a sigmoid below 0.05 or
      above 0.95, a relu at 0; "h" is the activation of an RNN cell, "tanh(c)" that in the output of an LSTM.
    - `singular_values`, `spectral_radius`, of each layer (gates, n) and (gates,): those of each gate's block of W_hh. `bound`
      (layers,), of RNN cells: gamma s, with gamma the greatest slope (1 of tanh and relu, 1/4 of sigmoid) and s the largest
      singular value. No gain is above it: below 1 the gradient vanishes, above it may explode (Pascanu, Mikolov & Bengio 2013).
    - `shares`, by parameter (T,): the norm of what its uses in step t add to its gradient. `gradients`, if asked for,
      (T, *shape): these parts themselves, whose sum over t is the gradient.
    """

    @np.errstate(all="ignore")  # 0/0 is NaN: where nothing arrived
    def __init__(self, model: Model, places: Places, steps: list[Any], matrix: bool, gradients: bool) -> None:
        self.cells: list[Any] = [layer[0] for layer in model.recurrent.cells]
        self.losses = np.array([step.item() for step in steps])
        self.kinds = [f"{type(cell).__name__} {getattr(cell, 'nonlinearity', '')}".rstrip() for cell in self.cells]
        elman = [type(cell).step is RNNCell.step for cell in self.cells]  # h' = f(W_hh h + ...), and nothing else
        nothing = np.full((len(self.cells), len(steps)), math.nan)
        root = sum(steps[1:], steps[0])._differentiable()
        order = ancestors([root])
        parameters = {p._node: name for name, p in reversed(list(model.named_parameters())) if p._node is not None}
        uses: dict[Any, list[tuple[Node, int]]] = {node: [] for node in (*places, *parameters)}
        for node in order:
            for i, operand in enumerate(node.operands):
                if operand in uses:
                    uses[operand].append((node, i))
        found = reverse(
            root, np.ones((), root.dtype), {*places, *(node for users in uses.values() for node, _ in users)}, retain=True
        )

        sends = {x: ((n, sent(n, i, found[n])) for n, i in users if n in found) for x, users in uses.items()}  # one at a time
        self.norms = {name: nothing.copy() for name, _, _ in places.values()}
        self.gains = {kind: nothing.copy() for kind in ("total", "activation", "weight", "carry")}
        arrived: dict[Any, list[Any]] = defaultdict(list)  # at the states of a layer and step, from outside of that step
        crossed: dict[Any, list[Any]] = defaultdict(list)  # from a layer and step to its states of the step before
        for state, (name, k, t) in places.items():
            g, parts = found.get(state, np.zeros(())), list(sends[state])
            hops = [(node, part) for node, part in parts if place(node) == (k, t + 1)]
            arrived[k, t].append(sum((part for node, part in parts if place(node) != (k, t)), np.zeros(())))
            crossed[k, t + 1].append(sum((part for _, part in hops), np.zeros(())))
            self.norms[name][k, t] = norm(g)
            for node, part in hops:
                if CARRIES.get(name) in [getattr(operand, "name", "") for operand in node.operands]:
                    self.gains["carry"][k, t + 1] = norm(part) / norm(found[node])
            if t and elman[k]:
                delta = sent(state, 0, g)
                self.gains["activation"][k, t] = norm(delta) / norm(g)
                self.gains["weight"][k, t] = norm(*crossed[k, t]) / norm(delta)
        for k, t in arrived:
            self.gains["total"][k, t] = norm(*crossed[k, t]) / norm(*arrived[k, t]) if t else math.nan
        self.shares, self.gradients, self.gates, self.saturation = (dict[str, np.ndarray]() for _ in range(4))
        for p, name in reversed(parameters.items()):
            by_step = np.zeros((len(steps), *p.shape), p.dtype)
            for node, part in sends[p]:
                by_step[place(node)[1]] += part
            self.shares[name] = np.array([norm(part) for part in by_step])
            self.gradients |= {name: by_step} if gradients else {}
        for node in order:
            if node.op is not None and node.op.name in SATURATED and place(node)[0] is not None:
                name, y = node.name or f"{node.op.name}({node.operands[0].name or ''})", node.recall()[0]
                self.saturation.setdefault(name, nothing.copy())[place(node)] = SATURATED[node.op.name](y).mean()
                if node.name and node not in places:
                    self.gates.setdefault(name, nothing.copy())[place(node)] = y.mean(dtype=float)
        absent = {name: np.where(np.isnan(a), math.nan, 0.0) for name, a in self.norms.items() if matrix}
        self.matrix = {name: np.repeat(zeros[:, None], len(steps), axis=1) for name, zeros in absent.items()}
        for t, step in enumerate(steps if matrix else ()):
            sweep = reverse(step._node, np.ones((), step.dtype), places, retain=True) if step.requires_grad else {}
            for state, g in sweep.items():
                name, k, before = places[state]
                self.matrix[name][k, t, before] = norm(g)
        blocks = [np.stack(np.split(cell.weight_hh.data.astype(float), cell.gates)) for cell in self.cells]
        self.singular_values = [np.linalg.svd(W, compute_uv=False) for W in blocks]
        self.spectral_radius = [abs(np.linalg.eigvals(W)).max(-1) if W[0].size == len(W[0]) ** 2 else np.nan for W in blocks]
        gammas = [GAMMA[cell.nonlinearity] if own else math.nan for cell, own in zip(self.cells, elman, strict=True)]
        self.bound = np.array([gamma * s.max() for gamma, s in zip(gammas, self.singular_values, strict=True)])

    @np.errstate(all="ignore")
    def decay(self, state: str | None = None, layer: int = -1) -> np.ndarray:
        """What is left of the gradient after d = 0, ..., T-1 hops, (T,): the sum over t >= d of |dL_t/ds[t-d]|, relative to the
        one of |dL_t/ds[t]|. s is the layer's last state (c, or h) unless told. In a top layer of RNN cells at most bound^d."""
        name = state or self.cells[layer].state_names[-1]
        if name not in self.matrix:
            raise ValueError(f"there is no matrix of {name!r}, but of {list(self.matrix)}; was it made with matrix=False?")
        M = self.matrix[name][layer]
        return np.array([np.diagonal(M, -d).sum() / np.diagonal(M)[d:].sum() for d in range(len(M))])

    def half_life(self, state: str | None = None, layer: int = -1) -> float:
        """The number of hops that halve the gradient: -1/slope of the line fitted to log2 of `decay` by least squares, where it
        is not too small for the dtype. Infinite where it does not fall, NaN with fewer than two points."""
        left = self.decay(state, layer)
        hops = np.flatnonzero((left > 1e3 * np.finfo(self.cells[layer].weight_hh.dtype).tiny) & np.isfinite(left))
        slope = float(np.polyfit(hops, np.log2(left[hops]), 1)[0]) if len(hops) > 1 else math.nan
        return math.inf if slope > -1e-12 else -1 / slope

    @np.errstate(over="ignore")
    def table(self, rows: int = 20) -> str:
        """The numbers as text, with at most so many time steps, evenly spread. `left` is the `decay` after t hops."""
        lines, T = [], len(self.losses)
        for k in range(len(self.cells)):
            columns = {"L_t": self.losses} | {f"|dL/d{name}|": a[k] for name, a in self.norms.items()}
            columns |= {"gain" if name == "total" else name: a[k] for name, a in self.gains.items()}
            columns |= {f"{name} sat.": a[k] for name, a in self.saturation.items()}
            columns |= {"left": self.decay(layer=k), "bound^t": self.bound[k] ** np.arange(T)} if self.matrix else {}
            columns = {title: a for title, a in columns.items() if not np.isnan(a[1:]).all()}
            lines += [f"layer {k}: {self.kinds[k]}, T={T}", "   t" + "".join(f"{title:>13}" for title in columns)]
            for t in np.unique(np.linspace(0, T - 1, min(T, rows)).astype(int)):
                lines.append(f"{t:>4}" + "".join(f"{a[t]:>13.3g}" for a in columns.values()))
            largest, radius = self.singular_values[k][:, 0].round(3).tolist(), np.round(self.spectral_radius[k], 3).tolist()
            lines.append(f"W_hh: largest singular value {largest}, spectral radius {radius}")
            lines += [f"half-life: {self.half_life(layer=k):.3g} steps"] if self.matrix else []
        return "\n".join(lines)

    def plot(self, path: Path_ | None = None, layer: int = -1) -> Any:
        """A figure of a layer, of norms, gains and matrix; saved if a path is given. Needs matplotlib (the extra `plot`)."""
        figure, axes = blank(12 if self.matrix else 8, 3.6, 3 if self.matrix else 2)
        norms = {f"|dL/d{name}|": a[layer] for name, a in self.norms.items()}
        draw(axes[0], norms, f"{self.kinds[layer]}: gradient of the loss", "time step t")
        gains = {name: a[layer] for name, a in self.gains.items()} | {"bound": self.bound[layer] + 0 * self.losses}
        draw(axes[1], gains, "gain of the hop from t to t-1", "time step t")
        if self.matrix:
            name, M = self.cells[layer].state_names[-1], self.matrix[self.cells[layer].state_names[-1]][layer]
            image = axes[2].imshow(np.log10(np.where(M > 0, M, math.nan)), cmap="Blues", interpolation="nearest")
            axes[2].set(xlabel=f"state {name}[k]", ylabel="loss of step t", title=f"log10 |dL_t/d{name}[k]|")
            figure.colorbar(image, ax=axes[2], shrink=0.9)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


def gradient_flow(
    model: Model, inputs: Any, targets: Any = None, *, loss: str | None = None, reduction: str = "mean",
    matrix: bool = True, gradients: bool = False,
) -> GradientFlow:  # fmt: skip
    """Run a model on some sequences and measure the gradient on its way back. No ``.grad`` is touched.

    The model is a `Sequence`, or a `ManyToOne` (whose only L_t is that of the last step), with any cells in one direction, run
    in evaluation mode. Then come inputs (T, batch, I) and targets as its loss takes them; or a `Batch`, if padded with IGNORED
    targets; or a `Task`, of whose data the first batch is taken. `loss` is "cross_entropy", "mse" or "binary", by default the
    task's. With ``reduction="mean"`` L is what a `Trainer` minimises, the mean over steps and sequences, with ``"sum"`` the sum
    over the steps of the mean over sequences. It takes a backward sweep for L and, unless ``matrix=False``, over the same graph
    one for each L_t, linear in t. ``gradients=True`` keeps the parts of the gradients, T times the size of the parameters.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 8, dtype=np.float64, rng=0), rnn.Linear(8, 5, dtype=np.float64, rng=1))
    >>> flow = gradient_flow(model, rnn.tasks.hello())
    >>> flow.norms["h"].shape, flow.matrix["h"].shape, flow.shares["recurrent.weight_hh_l0"].shape
    ((1, 6), (1, 6, 6), (6,))
    >>> bool((flow.gains["total"][0, 1:] <= flow.bound).all()), bool((flow.decay() <= flow.bound ** np.arange(6)).all())
    (True, True)
    """
    if not isinstance(model, Sequence | ManyToOne):
        raise TypeError(f"give a Sequence or ManyToOne, as rnn.Sequence(layer, rnn.Linear(...)), not a {type(model).__name__}")
    if model.recurrent.bidirectional:
        raise ValueError("a bidirectional layer has no one way back through time; measure a model with bidirectional=False")
    whole, lengths = isinstance(model, Sequence), None
    if isinstance(inputs, Task):
        inputs, loss = inputs.data().batch(0), loss or inputs.loss
    if isinstance(inputs, Batch):
        inputs, targets, lengths = inputs
    loss = loss or "cross_entropy"
    if targets is None:
        raise ValueError("a gradient begins at a loss: give targets after the inputs, or a task or batch in their place")
    if loss not in LOSSES or reduction not in ("mean", "sum"):
        raise ValueError(f"a loss is one of {', '.join(LOSSES)}, a reduction mean or sum, not {loss!r}, {reduction!r}")
    x, y = (a.numpy() if isinstance(a, Tensor) else np.asarray(a) for a in (inputs, targets))
    if lengths is not None and not (whole and (y[np.arange(len(x))[:, None] >= lengths] == IGNORED).all()):
        raise ValueError("the padding would be measured, too; give sequences of one length, or targets IGNORED there")
    expected = x.shape[not whole : 2]
    if x.ndim != 2 + (model.embedding is None) or not x.size:
        raise ValueError(f"the inputs have shape {x.shape}; expected (T, batch, I), or (T, batch) for an embedding")
    if y.shape[: len(expected)] != expected or y.ndim != len(expected) + (loss != "cross_entropy"):
        raise ValueError(f"the targets have shape {y.shape}; expected {expected}, and unless classes an axis of outputs")
    count = float(np.count_nonzero(y != IGNORED)) if loss == "cross_entropy" else float(y.size)
    if not count:
        raise ValueError("every target is IGNORED: there is no loss, and no gradient")
    count = count if reduction == "mean" else y.size / (len(x) if whole else 1)
    recurrent, steps, places = model.recurrent, list[Any](), Places()
    names = [(name, k) for k, (cell,) in enumerate(recurrent.cells) for name in cell.state_names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with mg.scope("t", 0):
            state = recurrent.initial_state(x.shape[1])
        for t in range(len(x)):
            with mg.scope("t", t):  # every use of a parameter knows its step
                if model.embedding is None:  # requires grad: so the states of a frozen layer are recorded, too
                    now = mg.tensor(x[t], dtype=recurrent.cell.weight_ih.dtype, requires_grad=True)
                state = recurrent.step(now if model.embedding is None else model.embedding(x[t]), state, t)
                places |= {part._node: (*at, t) for part, at in zip(state, names, strict=True) if part._node is not None}
                steps.append(mg.tensor(0.0))
                if whole or t == len(x) - 1:
                    output = model.readout(recurrent.output_of(state))
                    steps[t] = LOSSES[loss](output, y[t] if whole else y, reduction="sum") / count
    finally:
        for module, mode in modes:
            module.training = mode
    if not places or not steps[-1].requires_grad:
        raise ValueError("no state was recorded: measure outside of no_grad(), a model whose parameters require grad")
    return GradientFlow(model, places, steps, matrix, gradients)


class GradientRecorder:
    """|dL/dh[t]| during training: ``trainer.fit(data, after_update=recorder)`` measures after every so many updates, and once
    before, always on the same sequences, told as to `gradient_flow`. `updates` says when, `flows` has what was found.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 8, rng=0), rnn.Linear(8, 5, rng=1))
    >>> recorder, trainer = GradientRecorder(model, task), rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1))
    >>> history = trainer.fit(task, epochs=30, after_update=recorder, progress=False)
    >>> recorder.updates, recorder.norms["h"].shape
    ([0, 10, 20, 30], (4, 1, 6))
    """

    def __init__(self, model: Model, inputs: Any, targets: Any = None, *, every: int = 10, **options: Any) -> None:
        if every < 1:
            raise ValueError(f"every is {every}; it is the number of updates between two measurements, at least 1")
        self._measured = (model, inputs, targets), {"matrix": False, **options}
        self.every, self.updates, self.flows = every, [0], [gradient_flow(*self._measured[0], **self._measured[1])]

    def __call__(self, trainer: Trainer) -> None:
        if len(trainer.history.loss) % self.every == 0:
            self.updates.append(len(trainer.history.loss))
            self.flows.append(gradient_flow(*self._measured[0], **self._measured[1]))

    @property
    def norms(self) -> dict[str, np.ndarray]:
        return {name: np.stack([flow.norms[name] for flow in self.flows]) for name in self.flows[0].norms}


class Comparison(dict[str, GradientFlow]):
    """Flows by label, ``compare({"tanh": flow, "LSTM": other})``: the `decay` and `half_life` of the top layers, on a scale."""

    def table(self, hops: Iterable[int] = (1, 2, 5, 10, 20, 50, 100)) -> str:
        """What is left of each gradient after so many hops, and its half-life in steps, as text."""
        wide, shown = max(map(len, self)), [d for d in hops if d < max(len(flow.losses) for flow in self.values())]
        lines = [" " * wide + "".join(f"{f'{d} hops':>10}" for d in shown) + "   half-life"]
        for label, flow in self.items():
            left = [*flow.decay(), *[math.nan] * (max(shown, default=0) + 1)]
            cells = "".join(f"{left[d]:>10.3g}" for d in shown)
            lines.append(f"{label:<{wide}}{cells}{flow.half_life():>12.3g}")
        return "\n".join(lines)

    def plot(self, path: Path_ | None = None, title: str = "what is left of the gradient", axes: Any = None) -> Any:
        """A figure of all decays, saved if a path is given; or drawn into `axes`. Needs matplotlib (the extra `plot`)."""
        figure, (own,) = blank(7, 4.5, 1) if axes is None else (axes.figure, [axes])
        draw(own, {label: flow.decay() for label, flow in self.items()}, title, "hops back in time")
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


compare = Comparison


def place(node: Node) -> tuple[int, int]:
    """The layer that a node belongs to, None outside of the layers, and its step."""
    return node.scope.get("layer"), node.scope.get("t")  # type: ignore[union-attr]


def sent(node: Node, i: int, g: np.ndarray) -> np.ndarray:
    """What a node of cotangent g sends to its operand i, by its rule."""
    part = node.op.pullbacks[0 if node.op.variadic else i](g, node, node.recall(), i)
    return np.asarray(unbroadcast(part, node.operands[i].shape))


def blank(width: float, height: float, panels: int) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'minigrad-rnn[plot]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def draw(axes: Any, lines: Mapping[str, np.ndarray], title: str, xlabel: str) -> None:
    """Lines named at their ends, where names that would touch are moved down; on a logarithmic axis if they span a lot."""
    shown = {name: np.where(np.isfinite(y) & (y > 0), y, math.nan) for name, y in lines.items()}
    shown = {name: y for name, y in shown.items() if not np.isnan(y).all()}
    wide = shown and max(map(np.nanmax, shown.values())) > 20 * min(map(np.nanmin, shown.values()))
    axes.set(title=title, xlabel=xlabel, yscale="log" if wide else "linear")
    ends = []
    for (name, y), colour in zip(shown.items(), COLOURS * len(shown), strict=False):
        axes.plot(y, "--" if name == "bound" else "-" if len(y) > 1 else "o", color=colour, linewidth=1.8)
        ends.append((float(y[~np.isnan(y)][-1]), name, colour))
    axes.set_ylim(bottom=None if wide else 0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#ececec", linewidth=0.8)
    height = math.inf
    for end, name, colour in sorted(ends, reverse=True):
        height = min(height - 0.055, (axes.transScale + axes.transLimits).transform((0, end))[1])
        axes.annotate(name, (1.01, height), xycoords="axes fraction", color=colour, va="center", annotation_clip=False)
