"""Reading: what a trained model of symbols does at each symbol of a text, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg

from ..data.batch import whole
from ..data.text import Alphabet
from ..models import Sequence
from ..module import mode
from .features import Features, features_of
from .holding import Held, hold
from .observing import Observed, Part, layer_name, observe, parts_of, saliency
from .twin import untrained
from .units import Sample, Together, Unit, compare

__all__ = ["Held", "Reading", "Together", "Unit", "read"]

LEAST = 20  # symbols of a text
HELD = 2000  # symbols that the hold test reads


@dataclass(frozen=True)
class Reading:
    """The numbers that `read` returns, for a text of T symbols and an alphabet of V.

    - ``states``, by name (T, units): h, c; with several layers h0, c0, h1, c1. ``gates`` likewise, as the cell names them.
    - ``surprise`` (T,): -log p of each symbol given all before it, in nats; NaN for the first.
    - ``guesses`` (T, top): the most likely next symbols after each, as class indices; ``probabilities`` (T, top).
    - ``saliency`` (T, window): ``|d logit of the first guess after t / d x[t - j]|`` in column j; NaN before the text begins.
    - ``features``, by name (T,). ``correlations``, by state (units, features): Pearson's r where no label is chosen;
      ``correlations_chosen`` where they are. ``chance``, by state (features,): the ``|r|`` that the best unit has by chance.
    - ``units``: every `Unit`, those that follow a feature best first. ``together``: a linear mixture of all units.
    - ``twin``: the reading of an untrained model, or None.

    >>> import minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.GRU(2, 3, rng=0), rnn.Linear(3, 2, rng=1))
    >>> rnn.read(model, "ab" * 20, rnn.Alphabet("ab"), twin=False)
    Reading(40 symbols, 3 units, 0 needed)
    """

    text: tuple[str, ...]
    alphabet: Alphabet
    states: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    gate_names: dict[str, str]  # such as "forget gate"
    surprise: np.ndarray
    guesses: np.ndarray
    probabilities: np.ndarray
    saliency: np.ndarray
    features: Features
    correlations: dict[str, np.ndarray]
    correlations_chosen: dict[str, np.ndarray]
    chance: dict[str, np.ndarray]
    units: list[Unit]
    together: Together
    probed: bool  # True if labels were chosen on another text, False if on the first half of this one
    twin: Reading | None = field(default=None, repr=False)

    @property
    def held(self) -> dict[str, np.ndarray]:
        """The rise of the loss at each next symbol when a unit is held at its mean, by state (units, V), in nats. NaN for
        symbols that occur fewer than five times."""
        costs = {(unit.state, unit.index): unit.held.costs for unit in self.units}
        return {state: np.stack([costs[state, k] for k in range(a.shape[1])]) for state, a in self.states.items()}

    @property
    def needed(self) -> list[Unit]:
        """The units for which some next symbol suffers when they are held, the most costly first. An LSTM's h[k] and c[k] are
        held together and listed once."""
        found = {id(unit.held): unit for unit in reversed(self.units) if unit.held.symbol is not None}
        return sorted(found.values(), key=lambda unit: -unit.held.cost)

    @property
    def accuracy(self) -> float:
        """The share of symbols that are the first guess."""
        return float(np.mean(self.guesses[:-1, 0] == self.alphabet.encode(self.text)[1:]))

    def best(self, feature: str) -> float:
        """Return the ``|r|`` of the unit that follows a feature best, chosen as labels are. KeyError for another feature."""
        if feature not in self.features:
            raise KeyError(f"this text has no feature {feature!r}; it has {', '.join(self.features)}")
        k = [*self.features].index(feature)
        chosen, r = (
            np.concatenate([a[:, k] for a in found.values()]) for found in (self.correlations_chosen, self.correlations)
        )
        return float(np.abs(r[np.abs(chosen).argmax()]))

    def __repr__(self) -> str:
        first = self.units[0]
        follows = "" if first.feature is None else f"; {first.name} follows {first.feature!r}, r = {first.r:+.2f}"
        return f"Reading({len(self.text)} symbols, {len(self.units)} units{follows}, {len(self.needed)} needed)"


def read(
    model: Sequence,
    text: SequenceOf[str],
    alphabet: Alphabet,
    *,
    probe: SequenceOf[str] | None = None,
    layer: int | None = None,
    features: Mapping[str, Callable[[Any], Any]] | None = None,
    window: int = 60,
    top: int = 5,
    twin: bool | Sequence = True,
) -> Reading:
    """Return what a trained model of symbols does at each symbol of a text (Karpathy, Johnson and Fei-Fei 2015).

    `model` is a `Sequence` that reads forwards, with cells of this package or your own. `text` is a string, or a list of
    symbols such as `rnn.text.words` returns. It is read in evaluation mode, from the initial state. The weights, their
    ``.grad`` and the mode of the model stay as they are.

    A unit is labelled with a feature of the text f, such as "inside brackets", by Pearson's correlation r of its state u[t]
    with f[t]. The feature is chosen on `probe`, another text, and r is measured on `text`. Without `probe` it is chosen on the
    first half of the text and measured on the second. Next to r is the level that the best of all units reaches by chance.

    A correlation does not show that a unit is used, and units of untrained networks have large ones. The hold test keeps a unit
    at its mean, at each step of the probe, and measures the rise of -log p at each next symbol. `twin` is an untrained model to
    compare with: True for a copy with new random matrices, your own model, or False for none.

    `layer` selects a layer; by default all are read. `features` adds your own by name: functions of the text that return a
    number for each symbol. `window` is the number of symbols that `saliency` looks back, `top` the number of guesses.

    Raises TypeError unless the model is a Sequence. Raises ValueError for a bidirectional model, a text of fewer than 20
    symbols, symbols that are not in the alphabet, and numbers out of range.

    >>> import minigrad_rnn as rnn
    >>> text = "to be or not to be, that is the question. " * 3
    >>> alphabet = rnn.Alphabet.of(text)
    >>> model = rnn.Sequence(rnn.LSTM(len(alphabet), 8, rng=0), rnn.Linear(8, len(alphabet), rng=1))
    >>> reading = rnn.read(model, text, alphabet)
    >>> reading.states["c"].shape, reading.gates["f"].shape, reading.surprise.shape, reading.saliency.shape
    ((126, 8), (126, 8), (126,), (126, 60))
    >>> reading.needed  # it is not trained
    []
    """
    layers = check(model, layer, window, top)
    parts = [part for part in parts_of(model) if part.layer in layers]
    with mode(model, training=False):
        shown = read_pass(model, text, alphabet)
        chosen = shown if probe is None else read_pass(model, probe, alphabet, gates=False, name="probe")
        guesses = np.argsort(-shown.run.logits, axis=1, kind="stable")[:, :top]
        looked = saliency(model, shown.inputs, shown.run.states, guesses[:, 0], window)
        held = hold(model, chosen.inputs[:HELD], chosen.numbers[:HELD], chosen.run.states, parts)
    log_p = np.asarray(mg.log_softmax(shown.run.logits.astype(float)))
    every = features_of(text, features)
    half = len(text) // 2 if probe is None else None
    chosen_on = sample(chosen, parts, every if probe is None else features_of(probe, features), slice(half))
    measured_on = sample(shown, parts, every, slice(half, None))
    states = named_states(shown, parts)
    names, comparison = compare(states, chosen_on, measured_on, chosen.numbers[:half], held)
    other = untrained(model) if twin is True else twin
    return Reading(
        text=tuple(text), alphabet=alphabet, states=states,
        gates={layer_name(model, name, k): a for (k, name), a in shown.run.gates.items() if k in layers},
        gate_names={layer_name(model, name, k): words for k in layers for name, words in gates_of(model, k).items()},
        surprise=np.append(np.nan, -log_p[np.arange(len(text) - 1), shown.numbers[1:]]),
        guesses=guesses, probabilities=np.exp(np.take_along_axis(log_p, guesses, 1)), saliency=looked,
        features={name: every[name] for name in names}, **comparison._asdict(), probed=probe is not None,
        twin=None if other is False else read(
            other, text, alphabet, probe=probe, layer=layer, features=features, window=0, top=top, twin=False
        ),
    )  # fmt: skip


class Pass(NamedTuple):
    """A model run over a text."""

    numbers: np.ndarray
    inputs: np.ndarray
    run: Observed


def read_pass(model: Sequence, text: SequenceOf[str], alphabet: Alphabet, gates: bool = True, name: str = "text") -> Pass:
    """Run a model over a text; TypeError or ValueError if they do not fit together."""
    if not isinstance(alphabet, Alphabet):
        raise TypeError(f"alphabet must be an Alphabet, such as rnn.Alphabet.of(text), not {type(alphabet).__name__}")
    if isinstance(text, bytes) or not hasattr(text, "__len__"):
        raise TypeError(f"{name} must be a string or a list of symbols, not {type(text).__name__}")
    if isinstance(text, str) and any(len(s) > 1 for s in alphabet.symbols if s != alphabet.unknown):
        raise ValueError(
            "the alphabet has symbols of several characters; give the text as a list of them, as in rnn.text.words(text)"
        )
    if len(text) < LEAST:
        raise ValueError(f"the {name} has {len(text)} symbols; a reading needs at least {LEAST}")
    numbers = alphabet.encode(text)
    dtype = model.recurrent.cell.weight_ih.dtype
    inputs = numbers if model.embedding else alphabet.one_hot(numbers, dtype)
    run = observe(model, inputs, gates)
    if run.logits.shape[-1] != len(alphabet):
        raise ValueError(
            f"the model predicts {run.logits.shape[-1]} symbols and the alphabet has {len(alphabet)}; give its own alphabet"
        )
    if not np.isfinite(run.logits).all():
        raise ValueError("the model's outputs are not finite; its weights are too large, or are not finite")
    return Pass(numbers, inputs, run)


def check(model: Sequence, layer: int | None, window: int, top: int) -> list[int]:
    """Return the layers to read; an error for a model or a number that does not fit."""
    if not isinstance(model, Sequence):
        raise TypeError(f"read needs a Sequence, which predicts the next symbol at each step, not {type(model).__name__}")
    if any(model.recurrent.directions):
        kind = "bidirectional model reads a text from both ends"
        kind = kind if model.recurrent.bidirectional else "model with reverse=True reads a text from its end"
        raise ValueError(f"a {kind}, so it predicts nothing; use one that reads forwards")
    whole("window", window, least=0)
    whole("top", top)
    layers = range(len(model.recurrent.cells))
    if layer is None:
        return list(layers)
    if not -len(layers) <= whole("layer", layer, least=-len(layers)) < len(layers):
        raise ValueError(f"layer is {layer}; this model has layers 0 to {len(layers) - 1}")
    return [layers[layer]]


def gates_of(model: Sequence, layer: int) -> Mapping[str, str]:
    return model.recurrent.cells[layer][0].gate_names


def named_states(made: Pass, parts: list[Part]) -> dict[str, np.ndarray]:
    return {part.name: made.run.states[part.place][1:] for part in parts}


def sample(made: Pass, parts: list[Part], features: Features, rows: slice) -> Sample:
    """Return the states and features at these steps."""
    states = {name: a[rows] for name, a in named_states(made, parts).items()}
    return Sample(states, {name: values[rows] for name, values in features.items()})
