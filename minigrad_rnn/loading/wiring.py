"""Models from the layers that were found in a state dict: which layer reads the outputs of which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, pairwise, permutations
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg

from ..cell import Cell
from ..cells.gru import GRU, GRUCell
from ..cells.lstm import LSTM, LSTMCell
from ..cells.rnn import RNN, RNNCell
from ..layers import Embedding, Linear, Sequential
from ..models import EncoderDecoder, ManyToOne, Sequence
from ..module import Module, Parameter
from ..recurrent import Recurrent
from .layers import Found, Matrix, Parts, Stack

__all__ = ["WIRINGS", "Options", "Wired", "wired"]

WIRINGS = ("steps", "last", "translate", "parts")
ACTIVATIONS: dict[str, Callable[[Any], Any] | None] = {"relu": mg.relu, "tanh": mg.tanh, "sigmoid": mg.sigmoid, "none": None}
TABLE = re.compile(r"emb|lookup|table|token|wte|vocab|(?:^|\.)encoder$", re.IGNORECASE)
READOUT = re.compile(r"readout|linear|fc|out|head|dec|proj|classif|logit|predict", re.IGNORECASE)
SIDES = {
    "encoder": re.compile(r"enc|src|source", re.IGNORECASE),
    "decoder": re.compile(r"dec|tgt|trg|target", re.IGNORECASE),
}
FRONT = re.compile(r"(?:^|[._])(?:in|inp|input|pre|front|proj_in|emb\w*|encoder)(?:$|[._\d])", re.IGNORECASE)
Wired = tuple[Any, dict[str, str], list[str]]  # a model, the parameters by the names of the arrays, and the assumptions


class Options(NamedTuple):
    """The arguments of `load` that concern the model; see there. `cells` has the options of cells that the source contains, by
    the name of their ``weight_hh``."""

    wiring: str | None
    nonlinearity: str
    reset_after: bool
    activation: str | None
    start: int
    cells: Mapping[str, dict[str, Any]]


class Built(NamedTuple):
    """A module, and its parameters by the names of the arrays that they came from."""

    module: Any
    taken: list[tuple[str, Parameter]]


def wired(found: Found, options: Options, source: str) -> Wired:
    """Return the model, the parameters by the names of their arrays, and the properties that were assumed."""
    if options.wiring == "parts":
        return parts_tree(found, options)
    encoder = [stack for stack in found.stacks if "enc" in stack.path.lower()]
    decoder = [stack for stack in found.stacks if "dec" in stack.path.lower()]
    if options.wiring == "translate" or (options.wiring is None and encoder and decoder):
        return translating(found, encoder, decoder, options, source)
    return sequential(found, options, source)


def sequential(found: Found, options: Options, source: str) -> Wired:
    """Build recurrent layers that follow one another, with the layers before and after them."""
    stack, order = joined(found.stacks)
    if stack is None:
        raise unknown(found, source, "the recurrent layers do not follow one another")
    front, rest = front_of(found, stack)
    chain, others = chain_of(found, rest, stack, source)
    recurrent = build_stack(found, stack, options)
    first = None if front is None else build_front(found, front, stack.reads)
    assumed = assumptions(found, [stack], options) + order
    assumed.append("inputs (T, batch)" if first and isinstance(first.module, Embedding) else "inputs (T, batch, ...)")
    if chain:
        first_or_last = [m for m in chain if m.rows == stack.reads and len(chain) > 1]  # fits before the recurrent layer, too
        if len(chain) > 1 and options.activation not in ACTIVATIONS:
            raise without_activation(chain, first_or_last, options.activation)
        readout = build_readout(found, chain, options, first)
        kind = ManyToOne if options.wiring == "last" else Sequence
        model: Any = kind(recurrent.module, readout.module, embedding=first and first.module)
        assumed += ['an output at each step (wiring="steps")'] * (options.wiring is None)
        assumed += in_order(chain) if others or first_or_last else []
        return finished(model, [recurrent, readout, *([first] if first else [])], assumed)
    if options.wiring is not None:
        why = f"wiring={options.wiring!r} needs a linear layer that reads {stack.returns} features"
        raise unknown(found, source, why)
    if first:
        return finished(Sequence(recurrent.module, Sequential(), embedding=first.module), [first, recurrent], assumed)
    return finished(recurrent.module, [recurrent], assumed)


def finished(model: Any, built: Iterable[Built], assumed: list[str]) -> Wired:
    """Return a model in evaluation mode, with the names that its parameters have in it."""
    names = {id(p): name for name, p in reversed(list(model.named_parameters()))}
    return model.eval(), {name: names[id(p)] for part in built for name, p in part.taken}, assumed


def unknown(found: Found, source: str, why: str) -> ValueError:
    """Return the error for layers that are not one of the models."""
    layers = [f"{s.path or 'a recurrent layer'} ({s.reads} to {s.returns} features)" for s in found.stacks]
    layers += [f"{m.path} {m.rows, m.columns}" for m in found.matrices]
    return ValueError(
        f'{source}: {why}. It has {", ".join(layers)}. Pass wiring="parts" to get these layers, and call them yourself'
    )


def assumptions(found: Found, stacks: list[Stack], options: Options) -> list[str]:
    """Return the properties of recurrent layers that their weights do not contain."""
    every = [parts for stack in stacks for layer in stack.layers for parts in layer]
    kinds = {found.kind(parts) for parts in every if parts["weight_hh"] not in options.cells}
    said = {RNNCell: f"nonlinearity={options.nonlinearity!r}", GRUCell: f"reset_after={options.reset_after}"}
    return [text for kind, text in said.items() if kind in kinds]


# -- which layer reads which -------------------------------------------------------------------------------------------


def joined(stacks: list[Stack]) -> tuple[Stack | None, list[str]]:
    """Return stacks that follow one another as one, None if they do not; and their order, if they fit in others too."""
    if len({(len(stack.layers[0]), stack.reverse) for stack in stacks}) > 1:
        return None, []
    orders = (o for o in islice(permutations(stacks), 5040) if all(a.returns == b.reads for a, b in pairwise(o)))
    found = list(islice(orders, 2))
    if not found:
        return None, []
    first, layers = found[0], [layer for stack in found[0] for layer in stack.layers]
    stack = first[0]._replace(layers=layers, returns=first[-1].returns)
    return stack, in_order(first) if len(found) > 1 else []


def in_order(layers: Iterable[Stack | Matrix]) -> list[str]:
    """Return the assumption that layers follow one another in this order."""
    return [f"the order {', '.join(layer.path for layer in layers)}"]


def front_of(found: Found, stack: Stack) -> tuple[Matrix | None, list[Matrix]]:
    """Return the embedding or linear layer before the recurrent layer, or None, and the other matrices."""
    tables = [m for m in found.matrices if m.bias is None and m.columns == stack.reads]
    fronts = named(TABLE, tables) or [m for m in tables if m not in named(READOUT, tables)]
    if not fronts:
        linear = [m for m in found.matrices if m.rows == stack.reads]
        after = longest_chains(found.matrices, stack.returns)[0]
        fronts = named(FRONT, linear) or [m for m in linear if after and m not in after]
    front = fronts[0] if fronts else None
    return front, [m for m in found.matrices if m is not front]


def named(pattern: re.Pattern[str], matrices: list[Matrix]) -> list[Matrix]:
    """Return the matrices whose path has the pattern."""
    return [m for m in matrices if pattern.search(m.path)]


def chain_of(found: Found, matrices: list[Matrix], stack: Stack, source: str) -> tuple[list[Matrix], bool]:
    """Return the linear layers after the recurrent layer: the longest list in which each reads the outputs before it; and
    True if they fit in other orders too. The first is that of their names."""
    best = longest_chains(matrices, stack.returns)
    if len(best) > 1 and len(best[0]) == 1:
        names = ", ".join(chain[0].path for chain in best)
        raise unknown(found, source, f"each of {names} could be the readout")
    return best[0], len(best) > 1


def longest_chains(matrices: list[Matrix], width: int) -> list[list[Matrix]]:
    """Return the longest lists of linear layers that follow one another, of the first thousands of such lists."""
    chains = list(islice(chains_from(matrices, width), 5000))
    most = max(map(len, chains))
    return [chain for chain in chains if len(chain) == most]


def chains_from(matrices: list[Matrix], width: int, most: int = 6) -> Iterator[list[Matrix]]:
    """Yield the lists of linear layers of which the first reads `width` features, and each other those of the one before."""
    yield []
    for m in matrices if most else ():
        if m.columns == width:
            for chain in chains_from([other for other in matrices if other is not m], m.rows, most - 1):
                yield [m, *chain]


# -- modules -----------------------------------------------------------------------------------------------------------


def build_stack(found: Found, stack: Stack, options: Options) -> Built:
    """Build recurrent layers: an RNN, LSTM or GRU if all cells are alike, otherwise a `Recurrent`."""
    taken: list[tuple[str, Parameter]] = []
    cells = [[build_cell(found, parts, options, taken) for parts in layer] for layer in stack.layers]
    every = [cell for layer in cells for cell in layer]
    layers = [tuple(layer) if len(layer) == 2 else layer[0] for layer in cells]
    kinds: dict[type[Cell], type[Recurrent]] = {RNNCell: RNN, GRUCell: GRU, LSTMCell: LSTM}
    alike = len({(type(cell), cell.hidden_size) for cell in every}) == 1
    kind = kinds[type(every[0])] if alike else Recurrent
    recurrent = kind.__new__(kind)
    Recurrent.__init__(recurrent, *layers, reverse=stack.reverse)  # type: ignore[arg-type]  # the kinds' own __init__ would draw new cells
    return Built(recurrent, taken)


def build_cell(found: Found, parts: Parts, options: Options, taken: list[tuple[str, Parameter]]) -> Cell:
    """Build a cell, and append its parameters to `taken` by the names of their arrays."""
    kind, hidden = found.kind(parts), found.hidden(parts)
    values = {part: found.arrays[name] for part, name in parts.items()}
    W = values["weight_ih"]
    if "bias_hh" in values and "bias_ih" not in values:
        values["bias_ih"] = np.zeros_like(values["bias_hh"])
    bias: bool | str = (False, "single", True)[len(values.keys() & {"bias_ih", "bias_hh"})]
    common: dict[str, Any] = {"learn_state": "h0" in values, "dtype": W.dtype, "rng": 0}
    if kind is LSTMCell:
        projected = len(values["weight_hr"]) if "weight_hr" in values else 0
        common |= {"peepholes": "weight_ci" in values, "proj_size": projected}
    elif kind is GRUCell:
        common["reset_after"] = options.reset_after
    else:
        common["nonlinearity"] = options.nonlinearity
    common |= options.cells.get(parts["weight_hh"], {})
    cell: Cell = kind(W.shape[1], hidden, bias, **common)
    try:
        cell.load_state_dict(values)
    except ValueError as error:
        raise ValueError(f"the arrays next to {parts['weight_hh']} do not fit together: {error}") from None
    taken += [(parts[name], p) for name, p in cell.named_parameters() if name in parts]
    return cell


def build_front(found: Found, matrix: Matrix, reads: int) -> Built:
    """Build the layer before the recurrent layer: an embedding, or a linear layer if it has a bias or other columns."""
    if matrix.bias is not None or matrix.columns != reads:
        return build_linear(found, matrix)
    weight = found.arrays[matrix.weight]
    embedding = Embedding(1, matrix.columns, dtype=weight.dtype, rng=0)
    embedding.weight = Parameter(weight, name="weight")
    return Built(embedding, [(matrix.weight, embedding.weight)])


def build_linear(found: Found, matrix: Matrix) -> Built:
    """Build a linear layer."""
    weight = found.arrays[matrix.weight]
    linear = Linear(1, 1, bias=matrix.bias is not None, dtype=weight.dtype, rng=0)
    linear.weight = Parameter(weight, name="weight")
    taken = [(matrix.weight, linear.weight)]
    if matrix.bias is not None:
        linear.bias = Parameter(found.arrays[matrix.bias], dtype=weight.dtype, name="bias")
        taken.append((matrix.bias, linear.bias))
    return Built(linear, taken)


def without_activation(chain: list[Matrix], first_or_last: list[Matrix], activation: str | None) -> ValueError:
    """Return the error for several linear layers without the function between them. One of them may be a layer before."""
    given = "" if activation is None else f", not {activation!r}"
    hint = ""
    for m in first_or_last[:1]:
        rename = {key: f"input.{part}" for key, part in ((m.weight, "weight"), (m.bias, "bias")) if key}
        hint = f". If {m.path} is before the recurrent layer, pass rename={rename}"
    return ValueError(
        f"{', '.join(m.path for m in chain)} follow one another, and weights do not contain the function between them: "
        f"pass activation= one of {', '.join(ACTIVATIONS)}{given}{hint}"
    )


def build_readout(found: Found, chain: list[Matrix], options: Options, front: Built | None) -> Built:
    """Build the linear layers after the recurrent layer. A weight that equals the embedding's is shared with it."""
    linears = [build_linear(found, m) for m in chain]
    last = linears[-1]
    if front is not None and isinstance(front.module, Embedding):
        table = front.module.weight
        if np.array_equal(table.data, last.module.weight.data):
            last.module.weight = table
            last.taken[0] = chain[-1].weight, table
    taken = [pair for linear in linears for pair in linear.taken]
    if len(linears) == 1:
        return Built(last.module, taken)
    between = ACTIVATIONS[options.activation or "none"]
    modules = [module for linear in linears for module in (between, linear.module) if module is not None]
    return Built(Sequential(*(modules if between is None else modules[1:])), taken)


def translating(found: Found, encoder: list[Stack], decoder: list[Stack], options: Options, source: str) -> Wired:
    """Build an encoder and a decoder. Embeddings are multiplied into the first weights, which then read one-hot vectors."""
    (one, order), (other, order_of_other) = (joined(stacks) if stacks else (None, []) for stacks in (encoder, decoder))
    if one is None or other is None:
        raise unknown(found, source, 'the recurrent layers must be called "encoder" and "decoder"; use rename')
    tables = {word: table_of(found, stack, word, source) for word, stack in (("encoder", one), ("decoder", other))}
    readouts = [m for m in found.matrices if m.columns == other.returns and m not in tables.values()]
    if len(readouts) != 1:
        raise unknown(found, source, f"there must be one linear layer that reads {other.returns} features")
    for stack, table in zip((one, other), tables.values(), strict=True):
        for name in [parts["weight_ih"] for parts in stack.layers[0] if table is not None]:
            assert table is not None
            found.arrays[name] = found.arrays[name] @ found.arrays[table.weight].T
    built = [build_stack(found, one, options), build_stack(found, other, options), build_linear(found, readouts[0])]
    model = EncoderDecoder(*(part.module for part in built), start=options.start)
    assumed = assumptions(found, [one, other], options) + order + order_of_other
    assumed += [f"start={options.start}", "inputs (T, batch, ...)"]
    model, became, assumed = finished(model, built, assumed)
    folded = {table.weight: f"{word}.weight_ih_l0, multiplied into it" for word, table in tables.items() if table}
    return model, became | folded, assumed


def table_of(found: Found, stack: Stack, word: str, source: str) -> Matrix | None:
    """Return the embedding that an encoder or a decoder reads, or None. ValueError if the names do not say which it is."""
    fitting = [m for m in found.matrices if m.bias is None and m.columns == stack.reads]
    tables = named(TABLE, fitting)
    others = [m for side in SIDES if side != word for m in named(SIDES[side], tables)]
    tables = named(SIDES[word], tables) or [m for m in tables if m not in others] or tables
    if len({m.weight for m in tables}) > 1:
        names = " and ".join(m.path for m in tables)
        raise unknown(found, source, f'{names} could be the embedding of the {word}; rename one to "{word}.embedding.weight"')
    return next(iter(tables or fitting), None)


class PartsTree(Module):
    """The layers of a state dict under their names, to call one by one."""


def parts_tree(found: Found, options: Options) -> Wired:
    """Return a module with each layer under its path in the file, such as ``model.encoder.gru``."""
    widths = {stack.reads for stack in found.stacks}
    built = {stack.path or "recurrent": build_stack(found, stack, options) for stack in found.stacks}
    for m in found.matrices:
        built[m.path] = build_front(found, m, m.columns) if m.columns in widths else build_linear(found, m)
    root = PartsTree()
    for path, part in built.items():
        *above, last = path.split(".")
        place: Any = root
        for name in above:
            if not isinstance(vars(place).get(name), Module):
                setattr(place, name, PartsTree())
            place = vars(place)[name]
        setattr(place, last, part.module)
    return finished(root, built.values(), assumptions(found, found.stacks, options))
