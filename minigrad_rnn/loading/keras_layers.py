"""The layers of a live Keras layer or model, as a state dict with PyTorch's names. Keras itself is not needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .layers import reordered
from .onnx_import import Contents

__all__ = ["is_keras", "read_keras"]

ORDERS = {"SimpleRNN": ("h", "h"), "LSTM": ("ifgo", "ifgo"), "GRU": ("rzn", "zrn")}  # of the gates: ours, and Keras's
BETWEEN = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "none"}
NOTHING = ("InputLayer", "Dropout", "SpatialDropout1D")


def is_keras(source: Any) -> bool:
    """Return True for a layer or a model of Keras."""
    return hasattr(source, "get_weights") and hasattr(source, "get_config")


def read_keras(source: Any) -> Contents:
    """Read a recurrent layer, or the layers of a model one after the other. ValueError for what the cells cannot express."""
    found = Contents({}, {}, [])
    several = not hasattr(source, "forward_layer") and hasattr(source, "layers")
    readouts: list[str] = []
    for k, layer in enumerate(source.layers if several else [source]):
        kind = type(layer).__name__
        if kind == "Bidirectional" or kind in ORDERS:
            found.arrays.update(recurrent(layer, f"recurrent{k}", found.options))
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


def recurrent(layer: Any, path: str, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of a recurrent layer by PyTorch's names, and set the options of `load`."""
    if type(layer).__name__ != "Bidirectional":
        if layer.get_config().get("go_backwards"):
            raise cannot(layer, "go_backwards=True alone")
        return cell(layer, f"{path}.{{}}_l0", options)
    if layer.get_config().get("merge_mode") != "concat":
        raise cannot(layer, f"merge_mode={layer.get_config().get('merge_mode')!r}")
    ahead = cell(layer.forward_layer, f"{path}.{{}}_l0", options)
    return ahead | cell(layer.backward_layer, f"{path}.{{}}_l0_reverse", options)


def cell(layer: Any, name: str, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of one direction, and set the options of `load`."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind not in ORDERS:
        raise cannot(layer, "a cell of another kind")
    own, order = ORDERS[kind]
    if kind == "SimpleRNN":
        note(layer, options, "nonlinearity", config["activation"])
    elif (config["activation"], config["recurrent_activation"]) != ("tanh", "sigmoid"):
        raise cannot(layer, f"activations {config['activation']} and {config['recurrent_activation']}")
    if kind == "GRU":
        note(layer, options, "reset_after", bool(config["reset_after"]))
    options["wiring"] = "steps" if config["return_sequences"] else "last"
    kernel, state_kernel, *bias = layer.get_weights()
    biases = list(np.atleast_2d(bias[0])) if bias else []
    arrays = [*transposed([kernel, state_kernel]), *biases]
    parts = zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), arrays, strict=False)
    return {name.format(part): reordered(a, own, order) for part, a in parts}


def note(layer: Any, options: dict[str, Any], option: str, value: Any) -> None:
    """Set an option. ValueError if the cells do not have it, or another layer has another value."""
    fits = option != "nonlinearity" or value in ("tanh", "relu", "sigmoid")
    if not fits or options.setdefault(option, value) != value:
        raise cannot(layer, f"{option}={value!r}")


def transposed(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays with their last axis, of the features that they compute, first."""
    return [np.asarray(a).T for a in weights]


def cannot(layer: Any, what: str) -> ValueError:
    """Return the error for a layer that the cells cannot express."""
    return ValueError(f"the Keras layer {type(layer).__name__} has {what}, which the cells of this package cannot express")
