"""The layers of a live Keras layer or model, as a state dict with PyTorch's names. Keras itself is not needed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .layers import reordered
from .onnx_import import Contents

__all__ = ["is_keras", "read_keras"]

ORDERS = {"SimpleRNN": ("h", "h"), "LSTM": ("ifgo", "ifgo"), "GRU": ("rzn", "zrn")}  # of the gates: ours, and Keras's
BETWEEN = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "none"}
SAME = ("tanh", "sigmoid", "relu", "linear", "elu", "softplus", "softsign", "silu", "gelu", "hard_sigmoid")
OTHER = {"leaky_relu": "leaky_relu(0.2)", "swish": "silu", "exponential": "exp"}
NOTHING = ("InputLayer", "Dropout", "SpatialDropout1D")


def is_keras(source: Any) -> bool:
    """Return True for a layer or a model of Keras."""
    return hasattr(source, "get_weights") and hasattr(source, "get_config")


def read_keras(source: Any) -> Contents:
    """Read a recurrent layer, or the layers of a model one after the other. ValueError for what the cells cannot express."""
    found = Contents({}, {}, [], {})
    several = not hasattr(source, "forward_layer") and hasattr(source, "layers")
    readouts: list[str] = []
    for k, layer in enumerate(source.layers if several else [source]):
        kind = type(layer).__name__
        if kind == "Bidirectional" or kind in ORDERS:
            found.arrays.update(recurrent(layer, f"recurrent{k}", found))
        elif kind == "Embedding":
            found.arrays[f"embedding{k}.weight"] = layer.get_weights()[0]
        elif kind == "Dense":
            word = "readout" if any(name.startswith("recurrent") for name in found.arrays) else "input"
            found.arrays.update(zip((f"{word}{k}.weight", f"{word}{k}.bias"), transposed(layer.get_weights()), strict=False))
            readouts += [layer.get_config()["activation"]] * (word == "readout")
            if word == "input" and layer.get_config()["activation"] != "linear":
                found.ignored.append(f"the activation of layer {k}")
        elif kind not in NOTHING:
            found.ignored.append(kind)
    return finished(found, readouts)


def finished(found: Contents, activations: list[str]) -> Contents:
    """Return the contents with the option for the activations between linear layers, and without wiring for a layer alone."""
    *between, last = activations or [""]
    if between:
        if len(set(between)) > 1 or between[0] not in BETWEEN:
            raise ValueError(f"the Dense layers have activations={between}; they must all be one of {', '.join(BETWEEN)}")
        found.options["activation"] = BETWEEN[between[0]]
    if last not in ("", "linear"):
        found.ignored.append(last)
    options = {name: value for name, value in found.options.items() if name != "wiring" or activations}
    return found._replace(options=options)


def recurrent(layer: Any, path: str, found: Contents) -> dict[str, np.ndarray]:
    """Return the arrays of a recurrent layer by PyTorch's names, and note its options."""
    if type(layer).__name__ != "Bidirectional":
        reverse = layer.get_config().get("go_backwards")
        if reverse and layer.get_config()["return_sequences"]:
            raise cannot(layer, "go_backwards=True and return_sequences=True, the outputs in the order from the end")
        return cell(layer, f"{path}.{{}}_l0{'_reverse' * bool(reverse)}", found)
    if layer.get_config().get("merge_mode") != "concat":
        raise cannot(layer, f"merge_mode={layer.get_config().get('merge_mode')!r}")
    ahead = cell(layer.forward_layer, f"{path}.{{}}_l0", found)
    return ahead | cell(layer.backward_layer, f"{path}.{{}}_l0_reverse", found)


def cell(layer: Any, name: str, found: Contents) -> dict[str, np.ndarray]:
    """Return the arrays of one direction, and note the options of the cell and the wiring."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind not in ORDERS:
        raise cannot(layer, "a cell of another kind")
    own, order = ORDERS[kind]
    given = {option: activation(layer, config[option]) for option in ("activation", "recurrent_activation") if option in config}
    options: dict[str, Any] = {"nonlinearity": given["activation"]} if kind == "SimpleRNN" else given
    found.cells[name.format("weight_hh")] = options | ({"reset_after": bool(config["reset_after"])} if kind == "GRU" else {})
    found.options["wiring"] = "steps" if config["return_sequences"] else "last"
    kernel, state_kernel, *bias = layer.get_weights()
    biases = list(np.atleast_2d(bias[0])) if bias else []
    arrays = [*transposed([kernel, state_kernel]), *biases]
    parts = zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), arrays, strict=False)
    return {name.format(part): reordered(a, own, order) for part, a in parts}


def activation(layer: Any, name: Any) -> str:
    """Return the name that an activation has in the cells. ValueError if they do not have it."""
    if name == "hard_sigmoid" and version(layer) < 3:
        return "hard_sigmoid(0.2, 0.5)"
    if not isinstance(name, str) or name not in (*SAME, *OTHER):
        raise cannot(layer, f"the activation {name!r}")
    return OTHER.get(name, name)


def version(layer: Any) -> int:
    """Return the main version of Keras that a layer is from, which has been imported; of another package the newest, 3."""
    package = sys.modules.get(type(layer).__module__.partition(".")[0])
    main = str(getattr(package, "__version__", "3")).partition(".")[0]
    return int(main) if "keras" in type(layer).__module__ and main.isdigit() else 3


def transposed(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays with their last axis, of the features that they compute, first."""
    return [np.asarray(a).T for a in weights]


def cannot(layer: Any, what: str) -> ValueError:
    """Return the error for a layer that the cells cannot express."""
    return ValueError(f"the Keras layer {type(layer).__name__} has {what}, which the cells of this package cannot express")
