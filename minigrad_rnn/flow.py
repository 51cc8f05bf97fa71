"""Gradient flow through time: the norm of the gradient at every step, the gain of every hop, why it vanishes or explodes.

L is the loss, and the sum of L_t, the shares of the steps; h[t] is the state after step t. Norms are over the whole batch, and
right for numbers as small as 1e-300; float32 ends at 1e-45, so look at vanishing gradients in models of ``dtype=np.float64``.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from collections.abc import Sequence as Sequence_
from typing import Any

import numpy as np

from minigrad import Tensor
from minigrad.graph import Leaf, Node, ancestors
from minigrad.norms import norm
from minigrad.sweep import reverse

from . import models
from .cells import RNNCell
from .figure import blank
from .models import EncoderDecoder, ManyToOne, OneToMany, Sequence
from .recorded_run import Body, RecordedRun, as_run
from .saturation import saturated, saturates
from .stepwise import Backward, Run, run
from .train import Path_, Trainer

__all__ = ["Comparison", "GradientFlow", "GradientRecorder", "compare", "gradient_flow"]

GAMMA = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25}  # the greatest slopes
COLOURS = ("#2b62b0", "#d1671c", "#2b8a57", "#b5302a", "#7d4aa0", "#5a5a5a", "#b98a00", "#3a9aa8")

Model = Sequence | ManyToOne | OneToMany | EncoderDecoder


class ByParameter(dict[str, np.ndarray]):
    """Arrays by the full name of a parameter; the parameter itself, or the end of its name, will do where it is the only one:
    ``"recurrent.weight_hh_l0"``, ``"weight_hh_l0"``, ``"weight_hh"``."""

    def __missing__(self, key: Any) -> np.ndarray:
        if isinstance(key, Tensor):
            matching = [name for name, p in self.parameters.items() if p is key or p is key._node]
        else:
            matching = [name for name in self if key in endings(name)]
        if len(matching) == 1:
            return self[matching[0]]
        few = f"is one of {', '.join(matching)}: say which" if matching else f"is none of {', '.join(self)}"
        raise KeyError(f"{getattr(key, 'name', key)!r} {few}")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters


def endings(name: str) -> set[str]:
    """The short forms of a parameter's name.

    >>> sorted(endings("recurrent.weight_hh_l0"))
    ['recurrent.weight_hh', 'weight_hh', 'weight_hh_l0']
    """
    parts = name.split(".")
    ends = {".".join(parts[i:]) for i in range(len(parts))}
    return (ends | {re.sub(r"_l\d+(_reverse)?$", "", end) for end in ends}) - {name}


class GradientFlow:
    """The result of `gradient_flow`, as float64 arrays.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
    >>> flow = rnn.gradient_flow(model, rnn.tasks.hello())
    >>> flow.norms["h"].shape, flow.matrix["h"].shape
    ((1, 6), (1, 6, 6))

    The axis `layers` has an entry for each layer, T for each time step, of an EncoderDecoder those of the encoder, then those
    of the decoder; NaN stands where there is nothing to measure: no such state in that layer, no step before the first, no
    gradient arrived. Printed it is a short `table`.

    - `loss`: L. `losses` (T,): the L_t. `norms`, by state ("h", of an LSTM also "c", of your own cell its `state_names`)
      (layers, T): ``|dL/dh[t]|``, of all that reaches h[t].
    - `matrix`, by state (layers, T, T): ``matrix["h"][layer, t, k]`` is ``|dL_t/dh[k]|``, what the loss of step t says to the
      state of step k. It is 0 above the diagonal, for a later state has no part in L_t.
    - `gains`, by kind (layers, T): by which factor the norm changes in the hop from step t to t-1. With s = (h, c), or h alone,
      J = ds[t]/ds[t-1], and G the cotangent of s[t] from outside of the layer's step t, the "total" is ``|J^T G| / |G|``: what
      comes back along the recurrent path alone, relative to what arrived. Of RNN cells "activation" and "weight" are its
      factors: with a = W_ih x + W_hh h[t-1] + b and d = f'(a) * G they are ``|d| / |G|`` and ``|W_hh^T d| / |d|``. "carry" is
      the gain of the path without weights and activations, of an LSTM ``|f * S| / |S|`` with S = dL/dc[t], of a GRU
      ``|z * S| / |S|`` with S = dL/dh[t] (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Cho et al. 2014).
      ``flow.gain("total")`` are those of one layer, without the NaN of the first step.
    - `gates`, by name (i, f, g, o or r, z, n; of your own cell its `gate_names`) (layers, T): the mean over units and batch.
    - `saturation`, by name (layers, T): the share of units whose slope is less than a tenth of the largest: tanh' < 0.1, a
      sigmoid below 0.0257 or above 0.9743, a relu at 0; "h" is the activation of an RNN cell, "tanh(c)" that in the output of
      an LSTM.
    - `singular_values`, `spectral_radius`, of each layer (gates, n) and (gates,): those of each gate's block of W_hh, of an
      EncoderDecoder those of both. `bound` (layers,), of RNN cells without clip or zoneout: gamma s, with gamma the greatest
      slope (1 of tanh and relu, 1/4 of sigmoid) and s the largest singular value. No gain is above it: below 1 the gradient
      vanishes, above it may explode (Pascanu, Mikolov & Bengio 2013).
    - `shares`, by parameter (T,): the norm of what its uses in step t add to its gradient. ``flow.shares["weight_hh"]`` finds a
      parameter by the end of its name, ``flow.shares[p]`` finds p. `gradients`, if asked for, ``(T, *shape)``: these parts
      themselves, whose sum over t is the gradient.
    """

    @np.errstate(all="ignore")  # 0/0 is NaN: where nothing arrived
    def __init__(self, parameters: Mapping[str, Any], made: Run, matrix: bool, gradients: bool) -> None:
        stack = defaultdict[int, list[Any]](list)  # the cells of each layer, of an encoder and a decoder both
        for line, cell in made.cells.items():
            stack[line.layer].append(cell)
        self.cells: list[Any] = [cells[-1] for cells in stack.values()]
        self.kinds = [" and ".join(dict.fromkeys(map(kind_of, cells))) for cells in stack.values()]
        self._nothing = np.full((len(stack), made.columns), math.nan)
        self._dtype = made.roots[0].dtype
        back = Backward(made, keep=gradients)
        order = ancestors([tensor._differentiable() for tensor in made.roots])
        self.loss, self.losses = float(made.roots[0].item()), made.losses(back)
        self._measure_states(made, back, order)
        self._measure_activations(made, order)
        self.shares, self.gradients = ByParameter(parameters), ByParameter(parameters)
        self._measure_parameters(made, back, parameters)
        absent = {name: np.where(np.isnan(a), math.nan, 0.0) for name, a in self.norms.items() if matrix}
        self.matrix = {name: np.repeat(zeros[:, None], made.columns, axis=1) for name, zeros in absent.items()}
        if matrix:
            self._measure_matrix(made, back)
        self._measure_weights(list(stack.values()))
        names = {
            (line.layer, node.op.name, activation_of(made.cells[line])) for node, (line, _, _) in made.places.items() if node.op
        }
        plain = {layer for layer, op, f in names if op == f}
        self.bound[[layer not in plain for layer in stack]] = math.nan  # with zoneout, a state is more than the activation
        self._backwards = [line.reverse for line in made.cells if line.part != "encoder"]

    def _measure_states(self, made: Run, back: Backward, order: list[Node]) -> None:
        """The norms, and the gains: what arrives at the states of a layer and step, and what comes back from there."""
        at = {node: (line and line.layer, made.column(node)) for node in order for line in [made.line(node)]}
        within = leading_within(order, made.places, at)
        states = {(name, line.layer, t): state for state, (line, name, t) in made.places.items()}
        self.norms = {name: self._nothing.copy() for name, _, _ in states}
        arrived: dict[Any, list[Any]] = defaultdict(list)  # at the states of a layer and step, from outside of that step
        crossed: dict[Any, list[Any]] = defaultdict(list)  # from a layer and step to its states of the step before
        carried: dict[Any, list[Any]] = defaultdict(list)  # of those what came without a weight, and what arrived there
        for state, (line, name, t) in made.places.items():
            k, later = line.layer, t + 1 - 2 * line.reverse
            parts = back.parts[state]
            hops = [(node, part) for node, part in parts if node in within[k, later]]
            arrived[k, t].append(sum((part for node, part in parts if node not in within[k, t]), np.zeros(())))
            crossed[k, later].append(sum((part for _, part in hops), np.zeros(())))
            self.norms[name][k, t] = norm(back.cotangents[state]) if state in back.cotangents else math.nan
            after: Any = states.get((name, k, later))
            direct = carriers(after, at) if after in back.cotangents else ()
            if kept := [part for node, part in hops if node in direct]:
                carried[k, later].append((sum(kept[1:], kept[0]), back.cotangents[after]))
        self._measure_gains(made, back, arrived, crossed)
        for (k, t), pairs in carried.items():
            self.gains["carry"][k, t] = norm(*(part for part, _ in pairs)) / norm(*(g for _, g in pairs))

    def _measure_gains(self, made: Run, back: Backward, arrived: Mapping[Any, Any], crossed: Mapping[Any, Any]) -> None:
        """The gains of every hop, and their factors, of cells that are one activation of one product."""
        self.gains = {kind: self._nothing.copy() for kind in ("total", "activation", "weight", "carry")}
        for k, t in arrived.keys() & crossed.keys():
            self.gains["total"][k, t] = norm(*crossed[k, t]) / norm(*arrived[k, t])
        for state, (line, _, t) in made.places.items():
            if (line.layer, t) in crossed and state.op.name == activation_of(made.cells[line]):
                delta = norm(back.through.get(state, np.zeros(())))
                self.gains["activation"][line.layer, t] = delta / norm(back.cotangents.get(state, np.zeros(())))
                self.gains["weight"][line.layer, t] = norm(*crossed[line.layer, t]) / delta

    def _measure_weights(self, stack: list[list[Any]]) -> None:
        """The singular values and spectral radii of W_hh, and the bound that follows, for the cells of each layer."""
        blocks = [[W for cell in cells for W in blocks_of(cell)] for cells in stack]
        if wrong := [k for k, Ws in enumerate(blocks) if not all(np.isfinite(W).all() for W in Ws)]:
            raise ValueError(
                f"weight_hh of layer {wrong[0]} has infinite or NaN elements; give weights from before they appeared"
            )
        self.singular_values = [np.array([np.linalg.svd(W, compute_uv=False) for W in Ws]) for Ws in blocks]
        self.spectral_radius = [
            np.array([abs(np.linalg.eigvals(W)).max() if W.shape[0] == W.shape[1] else math.nan for W in Ws]) for Ws in blocks
        ]
        gammas = [max(GAMMA.get(activation_of(cell), math.nan) for cell in cells) for cells in stack]
        largest = [s.max() if s.size else math.nan for s in self.singular_values]
        self.bound = np.array([gamma * s for gamma, s in zip(gammas, largest, strict=True)])

    def _measure_activations(self, made: Run, order: list[Node]) -> None:
        """Saturation, and the means of the gates."""
        self.gates, self.saturation = dict[str, np.ndarray](), dict[str, np.ndarray]()
        for node in order:
            line, t = made.line(node), made.column(node)
            if node.op is not None and saturates(node.op.name) and line is not None and t is not None:
                place = line.layer, t
                operand, y = getattr(node.operands[0], "name", None), node.recall()[0]
                name = node.name or (f"{node.op.name}({operand})" if operand else node.op.name)
                while not np.isnan(self.saturation.setdefault(name, self._nothing.copy())[place]):
                    name += "'"  # the second of that name in a step
                self.saturation[name][place] = saturated(node.op.name, y)
                if node.name in made.cells[line].gate_names:
                    self.gates.setdefault(name, self._nothing.copy())[place] = y.mean(dtype=float)

    def _measure_parameters(self, made: Run, back: Backward, parameters: Mapping[str, Any]) -> None:
        """The part of each parameter's gradient that comes from each step."""
        known = set[Any]()
        for name, p in parameters.items():
            node = p._node if isinstance(p, Tensor) else p
            if node is None or node in known:  # frozen, or the same as another
                continue
            known.add(node)
            self.shares[name] = np.array([back.shares.get((node, t), 0.0) for t in range(made.columns)])
            if back.keep:
                nothing = np.zeros(p.shape, p.dtype)
                self.gradients[name] = np.stack([back.gradients.get((node, t), nothing) for t in range(made.columns)])

    def _measure_matrix(self, made: Run, back: Backward) -> None:
        """The gradient of the loss of each step for the states before it: a sweep for each."""
        for t, ends in made.ends(back).items():
            said: dict[Node, np.ndarray] = {}
            for node, seed in ends:
                for state, g in reverse(node, seed, made.places, retain=True).items():
                    said[state] = said[state] + g if state in said else g
            for state, g in said.items():
                line, name, before = made.places[state]
                self.matrix[name][line.layer, t, before] = norm(g)

    def __repr__(self) -> str:
        return self.table(rows=6)

    def gain(self, kind: str = "total", layer: int = -1) -> np.ndarray:
        """The gains of one layer, (T-1,): entry d is that of the hop from step d+1 to step d.

        >>> import minigrad_rnn as rnn
        >>> model = rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
        >>> rnn.gradient_flow(model, rnn.tasks.hello()).gain("weight").shape
        (5,)
        """
        if kind not in self.gains:
            raise ValueError(f"kind must be one of {', '.join(self.gains)}, not {kind!r}")
        return self.gains[kind][layer, :-1] if self._backwards[layer] else self.gains[kind][layer, 1:]

    @np.errstate(all="ignore")
    def decay(self, state: str | None = None, layer: int = -1) -> np.ndarray:
        """The part of the gradient that is left after d = 0, ..., T-1 hops, (T,): the sum over t >= d of ``|dL_t/ds[t-d]|``,
        relative to that of ``|dL_t/ds[t]|``. s defaults to the layer's last state (c, or h). In a top layer of RNN cells it is
        at most bound^d."""
        name = state or last_state(self.cells[layer])
        if name not in self.matrix:
            raise ValueError(f"there is no matrix for {name!r}, only for {list(self.matrix)}; measure with matrix=True")
        M = self.matrix[name][layer]
        M = M[::-1, ::-1] if self._backwards[layer] else M
        if np.triu(np.nan_to_num(M), 1).any():  # the loss of a step reads states of later ones: another loop goes on from here
            return np.full(len(M), math.nan)
        pairs = [(np.diagonal(M, -d), np.diagonal(M)[d:]) for d in range(len(M))]
        return np.array([far.sum(where=~np.isnan(far)) / near.sum(where=~np.isnan(far)) for far, near in pairs])

    def half_life(self, state: str | None = None, layer: int = -1) -> float:
        """The number of hops that halve the gradient: -1/slope of the line fitted to log2 of `decay` by least squares, where it
        is not too small for the dtype. Infinite where it does not fall, NaN with fewer than two points."""
        left = self.decay(state, layer)
        hops = np.flatnonzero((left > 1e3 * np.finfo(self._dtype).tiny) & np.isfinite(left))
        slope = float(np.polyfit(hops, np.log2(left[hops]), 1)[0]) if len(hops) > 1 else math.nan
        return math.inf if slope > -1e-12 else -1 / slope

    @np.errstate(all="ignore")
    def verdict(self, layer: int = -1) -> str:
        """A sentence about the gradient of a layer: the geometric means of its gains, and what follows from them.

        >>> import minigrad_rnn as rnn
        >>> model = rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
        >>> print(rnn.gradient_flow(model, rnn.tasks.hello()).verdict())
        W_hh shrinks the gradient by 0.5 a step and tanh by 0.8: half is gone every 0.76 steps
        """
        gains = {kind: a[layer][np.isfinite(a[layer]) & (a[layer] > 0)] for kind, a in self.gains.items()}
        means = {kind: float(np.exp(np.log(a).mean())) for kind, a in gains.items() if len(a)}
        if "total" not in means:
            return "nothing comes back from one step to the one before"
        total = means["total"]
        if {"weight", "activation"} <= means.keys():
            weight, activation = means["weight"], means["activation"]
            f = self.cells[layer].nonlinearity
            verb, other = ("shrinks" if x < 1 else "stretches" for x in (weight, activation))
            cause = (
                f"W_hh {verb} the gradient by {weight:.2g} a step and {f}{f' {other} it' * (verb != other)} by {activation:.2g}"
            )
        else:
            cause = f"a step multiplies the gradient by {total:.2g}"
            cause += f", and the path without weights by {means['carry']:.2g}" if "carry" in means else ""
        steps = math.log(2) / abs(math.log(total)) if total != 1 else math.inf
        effect = (
            "it stays as it is" if steps > 100 else f"{'half is gone' if total < 1 else 'it doubles'} every {steps:.2g} steps"
        )
        cut = int((self.gain(layer=layer) == 0).sum())
        return f"{cause}: {effect}" + (f"; at {cut} step{'s' * (cut != 1)} nothing comes back" if cut else "")

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
            lines.append(self.verdict(k))
            if len(self.singular_values[k]):
                largest, radius = self.singular_values[k][:, 0].round(3).tolist(), self.spectral_radius[k].round(3).tolist()
                lines.append(f"W_hh: largest singular value {largest}, spectral radius {radius}")
            lines += [f"half-life: {self.half_life(layer=k):.3g} steps"] if self.matrix else []
        return "\n".join(lines)

    def plot(self, path: Path_ | None = None, layer: int = -1) -> Any:
        """A figure of a layer, of norms, gains and matrix; saved if a path is given. A notebook shows it. Needs matplotlib (the
        extra ``plot``)."""
        figure = blank(12 if self.matrix else 8, 3.6)
        axes = figure.subplots(1, 3 if self.matrix else 2)
        norms = {f"|dL/d{name}|": a[layer] for name, a in self.norms.items()}
        draw(axes[0], norms, f"{self.kinds[layer]}: gradient of the loss", "time step t")
        gains = {name: a[layer] for name, a in self.gains.items()} | {"bound": self.bound[layer] + 0 * self.losses}
        draw(axes[1], gains, "gain of the hop from t to t-1", "time step t")
        if self.matrix:
            name = last_state(self.cells[layer])
            M = self.matrix[name][layer]
            image = axes[2].imshow(np.log10(np.where(M > 0, M, math.nan)), cmap="Blues", interpolation="nearest")
            axes[2].set(xlabel=f"state {name}[k]", ylabel="loss of step t", title=f"log10 |dL_t/d{name}[k]|")
            figure.colorbar(image, ax=axes[2], shrink=0.9)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


def gradient_flow(
    model: Model | Tensor, inputs: Any = None, targets: Any = None, *, loss: str | None = None, reduction: str = "mean",
    matrix: bool = True, gradients: bool = False, names: Mapping[str, Any] | None = None,
) -> GradientFlow:  # fmt: skip
    """Measure the gradient on its way back through time: of a model on some sequences, or of a loss. No ``.grad`` is touched.

    ``gradient_flow(loss)`` takes the graph that your own code recorded, such as an RNN written as a Python loop. Its layers are
    the loops that `minigrad.loops` finds, its states what they carry, its steps their iterations, and what of the loss is said
    at step t is what leaves the loop there: then `losses` are NaN where they are not known, `shares` are those of the uses
    within the steps, and `activation` and `weight` gains are those of loops h = f(W h + ...). ``names=locals()`` names states
    and parameters that have no name. Raises ValueError if the graph has no loop, or was freed by ``backward()``.

    >>> import numpy as np, minigrad as mg, minigrad_rnn as rnn
    >>> rng = np.random.default_rng(0)
    >>> x, U, W = rng.normal(size=(6, 3)), *(mg.tensor(rng.normal(size=(n, 4)) / 2, requires_grad=True) for n in (3, 4))
    >>> h, loss = mg.tensor(np.zeros(4)), 0.0
    >>> for t in range(6):
    ...     h = np.tanh(x[t] @ U + h @ W)
    ...     loss = loss + (h * h).mean()
    >>> flow = rnn.gradient_flow(loss, names=locals())
    >>> flow.norms["h"].shape, flow.shares["W"].shape, bool((flow.gain("total") <= flow.bound).all())
    ((1, 6), (6,), True)

    The model is a `Sequence`, a `ManyToOne` (whose only L_t is that of the last step), a `OneToMany` (given the targets) or an
    `EncoderDecoder`, with any cells in one direction, yours too, run in evaluation mode. What comes back along attention counts
    as well. Then come inputs (T, batch, I) and targets as its loss takes them; or a `Batch`, whose padding does not count; or a
    source or `Task`, of whose data the first batch is taken. `loss` is "cross_entropy", "mse" or "binary", by default the
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
    if isinstance(model, Tensor):
        return flow_of(model, (inputs, targets, loss), names, matrix, gradients)
    check_model(model)
    made: Run
    if isinstance(model, Model):
        made, parameters = run(model, inputs, targets, loss=loss, reduction=reduction), dict(model.named_parameters())
    else:
        made = own = as_run(model, inputs, targets, names, loss=loss, reduction=reduction)
        parameters = own.parameters
    if made.loss is None:
        raise ValueError("a gradient begins at a loss: give targets after the inputs, or a task or batch in their place")
    if not made.places or not made.loss.requires_grad:
        raise ValueError("no state was recorded: measure outside of no_grad(), a model whose parameters require grad")
    return GradientFlow(parameters, made, matrix, gradients)


def check_model(model: Any) -> None:
    """Raise an error for a model whose gradient through time cannot be measured."""
    if not isinstance(model, models.Model):
        raise TypeError(
            "give a loss that your own code recorded, or a Sequence, ManyToOne, OneToMany or EncoderDecoder, with cells of "
            f"this package or your own, as rnn.Sequence(layer, rnn.Linear(...)), not {type(model).__name__}"
        )
    if any(getattr(model, part).bidirectional for part in ("recurrent", "encoder") if hasattr(model, part)):
        raise ValueError("gradient_flow does not support bidirectional layers; use bidirectional=False")


def flow_of(loss: Tensor, others: Sequence_[Any], names: Any, matrix: bool, gradients: bool) -> GradientFlow:
    """See `gradient_flow`."""
    if any(x is not None for x in others):
        raise TypeError("gradient_flow(loss) takes a loss alone; inputs, targets and loss= go with a model")
    if loss.shape or not loss.requires_grad:
        what = f"has shape {loss.shape}" if loss.shape else "was not recorded: it depends on nothing that requires grad"
        raise ValueError(f"a gradient flows back from one number, a loss; this tensor {what}")
    made = RecordedRun(loss, names)
    made.check()
    return GradientFlow(made.parameters, made, matrix, gradients)


class GradientRecorder:
    """``|dL/dh[t]|`` during training: ``trainer.fit(data, after_update=recorder)`` measures after every so many updates, and
    once before, always on the same sequences, given as to `gradient_flow`. `updates` says when, `flows` has what was found.

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

    def __repr__(self) -> str:
        measured = self and all(flow.matrix for flow in self.values())
        return self.table() if measured else f"a comparison of {', '.join(self) or 'nothing'}; measured without the matrix"

    def table(self, hops: Iterable[int] = (1, 2, 5, 10, 20, 50, 100)) -> str:
        """The part of each gradient that is left so many steps back, and its half-life in steps, as text."""
        wide, shown = max(map(len, self)), [d for d in hops if d < max(len(flow.losses) for flow in self.values())]
        heads = [f"{d} step{'s' * (d != 1)} back" for d in shown]
        lines = [" " * wide + "".join(f"{head:>15}" for head in heads) + "   half-life"]
        for label, flow in self.items():
            left = [*flow.decay(), *[math.nan] * (max(shown, default=0) + 1)]
            cells = "".join(f"{left[d]:>15.3g}" for d in shown)
            lines.append(f"{label:<{wide}}{cells}{flow.half_life():>12.3g}")
        return "\n".join(lines)

    def plot(self, path: Path_ | None = None, title: str = "what is left of the gradient", axes: Any = None) -> Any:
        """A figure of all decays, saved if a path is given; or drawn into `axes`. A notebook shows it. Needs matplotlib (the
        extra ``plot``)."""
        axes = blank(7, 4.5).subplots() if axes is None else axes
        draw(axes, {label: flow.decay() for label, flow in self.items()}, title, "steps back in time")
        if path is not None:
            axes.figure.savefig(path, dpi=150)
        return axes.figure


compare = Comparison


def last_state(cell: Any) -> str:
    """The last state of a cell, c or h; of one inside another cell, without what the outer one adds."""
    name: str = getattr(cell, "cell", cell).state_names[-1]
    return name


def kind_of(cell: Any) -> str:
    kind = f"a loop of {len(cell.loop.body)} ops," if isinstance(cell, Body) else type(cell).__name__
    return f"{kind} {getattr(cell, 'nonlinearity', '')}".rstrip(", ")


def blocks_of(cell: Any) -> list[np.ndarray]:
    """The block of W_hh of each gate; none where the cell has no such matrix."""
    if isinstance(cell, Body):
        return cell.weights
    W = cell.weight_hh.data.astype(float)
    return np.split(W, cell.gates) if W.ndim == 2 and len(W) % cell.gates == 0 else []


def activation_of(cell: Any) -> str:
    """f, of a cell that is h' = f(W h + ...) and no more: other ones have more ways than one."""
    plain = isinstance(cell, Body) or type(cell).step is RNNCell.step
    return cell.nonlinearity if plain and getattr(cell, "clip", None) is None else ""


def leading_within(order: list[Node], states: Container[Node], at: Mapping[Node, Any]) -> dict[Any, set[Node]]:
    """By layer and step, the nodes that lead to a state of the same step."""
    found: dict[Any, set[Node]] = defaultdict(set)
    for node in reversed(order):
        inside = found[at[node]]
        if node in states or node in inside:
            inside.add(node)
            inside.update(x for x in node.parents if at.get(x) == at[node])
    return found


def carriers(state: Node, at: Mapping[Node, Any]) -> set[Node]:
    """The ops that lead to a state without a weight or an activation: sums, choices, and products with what is not a parameter,
    such as f * c of an LSTM and z * h of a GRU."""
    found, queue = set[Node](), [state]
    while queue:
        node = queue.pop()
        if node.op is None or node in found or at.get(node) != at[state]:
            continue
        if node.op.name in ("add", "subtract", "where"):
            queue += node.parents
        elif node.op.name != "multiply" or any(isinstance(x, Leaf) and x.requires_grad for x in node.operands):
            continue
        found.add(node)
    return found


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
