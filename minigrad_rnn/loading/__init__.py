"""Models from weights alone: the layers are found in a file or a state dict by the names and shapes of its arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .layers import Found, find_layers
from .report import Report
from .sources import arrays_of, renamed
from .wiring import WIRINGS, Options, wired

__all__ = ["Loaded", "Report", "load"]


class Loaded(NamedTuple):
    """A model, and a `Report` of which arrays it took and which it left."""

    model: Any
    report: Report


def load(
    source: Any,
    *,
    rename: Mapping[str, str] | None = None,
    wiring: str | None = None,
    nonlinearity: str = "tanh",
    reset_after: bool = True,
    gates: str | None = None,
    activation: str | None = None,
    start: int = 0,
) -> Loaded:
    """Build a model from weights: find the recurrent layers, embeddings and linear layers by their names and shapes.

    `source` is a safetensors file, a ``.npz`` file, an ONNX file (extra ``onnx``), a state dict of arrays or PyTorch tensors,
    or a layer or model of Keras. A pickle (``.pt``, ``.pth``) is never opened, because it can run code; the error has the
    lines that convert it. The names of recurrent layers are those of PyTorch, ``weight_ih_l0_reverse`` or in a cell
    ``weight_ih``, with anything before them; with ``_reverse`` alone the layer reads backwards. Weights shared by the embedding
    and the readout stay shared. Other names need `rename`, new names by the names in the file; the error proposes one if the
    shapes allow it.

    The model is a `Sequence`; without a readout it is the recurrent layer, and for layers called encoder and decoder an
    `EncoderDecoder` that reads one-hot vectors. It reads inputs (T, batch, ...), time first. Weights do not contain
    the rest, which you can choose:

    - `wiring`: "steps" (an output at each step), "last" (`ManyToOne`), "translate" (`EncoderDecoder`), or "parts": the
      layers, under their names in the file, to wire yourself;
    - `nonlinearity` of an RNN, `reset_after` of a GRU, and `gates`, the order of the gates' blocks in the file, if it is not
      PyTorch's "ifgo" or "rzn";
    - `activation` between several linear layers after the recurrent one: "relu", "tanh", "sigmoid" or "none";
    - `start`: the class index with which a decoder begins.

    The options of cells in an ONNX file or a Keras layer, such as activations and a clip, are kept. Weights alone become plain
    cells; for others build the model and call its `load_state_dict`.

    Warns of floating-point arrays that are in no layer. Raises WeightsError for a damaged file, ValueError if no recurrent
    layer is found or the layers do not fit together.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> trained = rnn.LSTM(3, 4, rng=0)
    >>> state = {f"module.lstm.{name}": a for name, a in trained.state_dict().items()} | {"module.step": np.array(7)}
    >>> model, report = rnn.load(state)
    >>> print(report)
    array                     shape    became
    module.lstm.weight_ih_l0  (16, 3)  weight_ih_l0
    module.lstm.weight_hh_l0  (16, 4)  weight_hh_l0
    module.lstm.bias_ih_l0    (16,)    bias_ih_l0
    module.lstm.bias_hh_l0    (16,)    bias_hh_l0
    module.step               ()       left
    assumed: inputs (T, batch, ...)
    >>> x = np.ones((7, 2, 3))
    >>> np.array_equal(model(x)[0].data, trained(x)[0].data)
    True
    """
    if wiring not in (None, *WIRINGS):
        raise ValueError(f"wiring must be one of {', '.join(WIRINGS)}, not {wiring!r}")
    read = arrays_of(source)
    arrays, ties = renamed(read.arrays, read.ties, rename or {})
    found: Found = find_layers(arrays, ties, read.name, gates)
    cells = {(rename or {}).get(name, name): options for name, options in read.cells.items()}
    options = Options(wiring, nonlinearity, reset_after, activation, start, cells)._replace(**read.options)
    model, became, assumed = wired(found, options if wiring is None else options._replace(wiring=wiring), read.name)
    back = {new: old for old, new in (rename or {}).items()}
    rows = [(back.get(key, key), np.shape(a), became.get(key, "left")) for key, a in arrays.items()]
    ignored = read.ignored + [key for key, a in arrays.items() if key not in became and a.dtype.kind == "f"]
    if ignored:
        names = ", ".join(ignored[:5]) + (f" and {len(ignored) - 5} more" if len(ignored) > 5 else "")
        warnings.warn(f"the model is without {names}, so its outputs may differ; see the report", stacklevel=2)
    return Loaded(model, Report(tuple(rows), tuple(said for said in assumed if said.partition("=")[0] not in read.options)))


def __dir__() -> list[str]:
    return __all__
