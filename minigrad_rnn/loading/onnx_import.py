"""The layers of an ONNX file, as a state dict with PyTorch's names (extra ``onnx``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cell import Cell
from ..cells.gru import GRUCell
from ..cells.lstm import LSTMCell
from ..cells.rnn import RNNCell
from ..saving import WeightsError
from .layers import reordered

__all__ = ["ACTIVATIONS", "OPS", "USUAL", "Contents", "imported", "live", "read_onnx"]

OPS: dict[type[Cell], tuple[str, str]] = {  # the ONNX op of each cell, and the order of its gates there
    RNNCell: ("RNN", "h"), GRUCell: ("GRU", "zrn"), LSTMCell: ("LSTM", "iofg"),
}  # fmt: skip
CELLS = {op: (cell, order) for cell, (op, order) in OPS.items()}
USUAL = {  # by op, the options of a cell that name its activations, and what they are by default
    "RNN": {"nonlinearity": "tanh"},
    "GRU": {"recurrent_activation": "sigmoid", "activation": "tanh"},
    "LSTM": {"recurrent_activation": "sigmoid", "activation": "tanh", "output_activation": "tanh"},
}
ACTIVATIONS: dict[str, tuple[str, tuple[float | None, ...]]] = {  # by name, that of the cells, and the default alpha and beta
    "Tanh": ("tanh", ()), "Relu": ("relu", ()), "Sigmoid": ("sigmoid", ()), "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()), "Affine": ("affine", (None, None)), "LeakyRelu": ("leaky_relu", (0.01,)),
    "ThresholdedRelu": ("thresholded_relu", (None,)), "ScaledTanh": ("scaled_tanh", (None, None)),
    "HardSigmoid": ("hard_sigmoid", (0.2, 0.5)), "Elu": ("elu", (1.0,)),
}  # fmt: skip  # None: onnxruntime takes 0, the specification 1 or nothing
BETWEEN = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}
PLUMBING = {  # ops that move values and compute none
    "Cast", "Concat", "Constant", "ConstantOfShape", "Dropout", "Expand", "Flatten", "Gather", "Identity", "OneHot", "Reshape",
    "Shape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


class Contents(NamedTuple):
    """The arrays of a file by PyTorch's names, options of `load` that the file contains, and ops that were left out.

    `cells` has the options of each cell, by the name of its ``weight_hh``.
    """

    arrays: dict[str, np.ndarray]
    options: dict[str, Any]
    ignored: list[str]
    cells: dict[str, dict[str, Any]]


def imported() -> Any:
    """Return the package onnx. ImportError says how to install it."""
    try:
        import onnx
    except ImportError:
        raise ImportError("ONNX files need the package onnx: pip install 'minigrad-rnn[onnx]'") from None
    return onnx


def read_onnx(path: Path) -> Contents:
    """Read the recurrent and linear layers and embeddings. WeightsError for a damaged file, and for what cells cannot do."""
    onnx = imported()
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
        constants = {a.name: onnx.numpy_helper.to_array(a) for a in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    except Exception as error:  # protobuf's own errors, and those of arrays in other files
        raise WeightsError(f"{path} is not an ONNX file with its arrays in it, or it is damaged: {str(error)[:200]}") from None
    numbers = {name: a for name, a in constants.items() if a.dtype.kind in "biuf"}
    reader = Reader(path, model.graph, numbers, onnx)
    for node in reader.nodes:
        reader.read(node)
    return reader.contents()


def live(nodes: Any, outputs: list[str]) -> list[Any]:
    """Return the nodes on which these outputs depend, in their order."""
    needed, found = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            found.append(node)
    return found[::-1]


class Reader:
    """The layers that were read so far."""

    def __init__(self, path: Path, graph: Any, constants: dict[str, np.ndarray], onnx: Any) -> None:
        self.path, self.constants, self.onnx = path, constants, onnx
        outputs = [value.name for value in graph.output]
        self.nodes = live(graph.node, outputs)
        self.used = {name for node in self.nodes for name in node.input} | {*outputs}
        self.arrays: dict[str, np.ndarray] = {}
        self.options: dict[str, Any] = {}
        self.cells: dict[str, dict[str, Any]] = {}
        self.ignored: list[str] = []
        self.linear: dict[str, str] = {}  # the path of the linear layer that computed a value
        self.between: dict[str, str] = {}  # the op after a linear layer that computed a value
        self.states: dict[str, str] = {}  # the path of the recurrent layer that a state is of
        self.expanded: dict[str, np.ndarray] = {}
        self.starts: dict[str, int] = {}  # the class index with which these symbols begin
        self.time: dict[str, int] = {}  # the axis of time in the outputs of a recurrent layer
        self.directions: tuple[bool, ...] = ()  # of the last recurrent layer, True for backwards
        self.layers = 0
        self.wiring = "steps"

    def read(self, node: Any) -> None:
        """Read a node."""
        op, constant = node.op_type, [self.constants.get(name) for name in node.input]
        if op in CELLS:
            self.recurrent(node, constant)
        elif op in ("MatMul", "Gemm") and constant[1] is not None:
            self.linear_layer(node, constant)
        elif op == "Add" and not self.linear.keys().isdisjoint(node.input):
            self.bias(node, constant)
        elif op in BETWEEN and node.input[0] in self.linear:
            self.between[node.output[0]] = op
        elif op in PLUMBING and node.input and node.input[0] in self.time:
            self.along_time(op, node, constant)
        elif op in PLUMBING:
            self.moved(op, node, constant)
        else:
            self.ignored.append(op)

    def moved(self, op: str, node: Any, constant: list[np.ndarray | None]) -> None:
        """Read an op that moves values: the rows of an embedding, a learned initial state, the start of a decoder."""
        table = constant[0] if constant else None
        if table is not None and op == "Gather" and table.ndim == 2 and constant[1] is None:
            self.arrays[f"embedding{self.number('embedding')}.weight"] = table
        elif table is not None and op == "Expand":
            self.expanded[node.output[0]] = table
        elif op == "ConstantOfShape" and node.attribute:
            value = self.onnx.numpy_helper.to_array(node.attribute[0].t)
            self.starts |= {node.output[0]: int(value.item())} if value.dtype.kind == "i" else {}
        elif op == "Concat" and node.input[0] in self.starts:
            self.starts[node.output[0]] = self.starts[node.input[0]]
        elif op == "OneHot" and node.input[0] in self.starts:
            self.options["start"] = self.starts[node.input[0]]

    def along_time(self, op: str, node: Any, constant: list[np.ndarray | None]) -> None:
        """Follow the outputs of a recurrent layer to an op that selects the last step. Note one that selects another part."""
        axis = self.time[node.input[0]]
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        if op in ("Gather", "Slice"):
            index = constant[1] if op == "Gather" and attributes.get("axis", 0) == axis else None
            if index is not None and index.shape == () and [-int(not reverse) for reverse in self.directions] == [index]:
                self.wiring = "last"
            else:
                self.ignored.append(op)
        elif op == "Transpose" and "perm" in attributes:
            self.time[node.output[0]] = list(attributes["perm"]).index(axis)
        elif op in ("Cast", "Dropout", "Identity", "Reshape", "Squeeze"):
            self.time[node.output[0]] = axis

    def bias(self, node: Any, constant: list[np.ndarray | None]) -> None:
        """Read a sum with the bias of a linear layer."""
        path = next(self.linear[name] for name in node.input if name in self.linear)
        self.arrays |= {f"{path}.bias": a for a in constant if a is not None}
        self.linear[node.output[0]] = path

    def number(self, word: str) -> int:
        """Return the number of layers whose path begins with the word."""
        return len({name.partition(".")[0] for name in self.arrays if name.startswith(word)})

    def linear_layer(self, node: Any, constant: list[np.ndarray | None]) -> None:
        """Read a product with a matrix."""
        assert constant[1] is not None
        if node.input[0] in self.linear or node.input[0] in self.between:
            self.note(node.op_type, "activation", BETWEEN.get(self.between.pop(node.input[0], ""), "none"))
        word = "readout" if self.layers else "input"
        path = f"{word}{self.number(word)}"
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        self.arrays[f"{path}.weight"] = constant[1] if attributes.get("transB") else constant[1].T
        if len(constant) > 2 and constant[2] is not None:
            self.arrays[f"{path}.bias"] = constant[2]
        self.linear[node.output[0]] = path

    def recurrent(self, node: Any, constant: list[np.ndarray | None]) -> None:
        """Read a recurrent layer of one or two directions."""
        op = node.op_type
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        cell, order = CELLS[op]
        names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
        given = dict(zip(names, constant, strict=False))
        W, R = given["W"], given["R"]
        if W is None or R is None:
            raise self.cannot(op, "weights that are computed, or inputs of the graph")
        own = "".join(cell.gate_names) or "h"
        path = self.path_of(node)
        direction = attributes.get("direction", b"forward").decode()
        self.directions = {"forward": (False,), "reverse": (True,)}.get(direction, (False, True))
        if len(W) != len(self.directions) or R.ndim != 3:
            raise self.cannot(op, f"direction={direction} and weights of shapes {W.shape} and {R.shape}")
        starts = self.starts_of(node, cell, (len(W), R.shape[2]), attributes.get("layout", 0) == 1)
        for d, (options, reverse) in enumerate(zip(self.options_of(op, attributes, len(W)), self.directions, strict=True)):
            name = f"{path}.{{}}_l0{'_reverse' * reverse}"
            self.cells[name.format("weight_hh")] = options
            parts = {"weight_ih": reordered(W[d], own, order), "weight_hh": reordered(R[d], own, order)}
            if (B := given.get("B")) is not None:
                parts["bias_ih"], parts["bias_hh"] = (reordered(b, own, order) for b in np.split(B[d], 2))
            if (P := given.get("P")) is not None and P.any():
                parts |= {f"weight_c{gate}": p for gate, p in zip("iof", np.split(P[d], 3), strict=True)}
            parts |= {state: start[d] for state, start in starts.items()}
            self.arrays |= {name.format(part): a for part, a in parts.items()}
        self.states |= dict.fromkeys(node.output[1:], path)
        self.time[node.output[0]] = 0
        self.wiring = "steps" if node.output[0] in self.used else "last"

    def path_of(self, node: Any) -> str:
        """Return a path for a recurrent layer. One that begins with the state of another is a decoder, the other an encoder."""
        self.layers += 1
        encoder = self.states.get(node.input[5]) if len(node.input) > 5 else None
        if encoder is None:
            return f"recurrent{self.layers}"
        path = encoder.replace("recurrent", "encoder")
        self.arrays = {name.replace(f"{encoder}.", f"{path}."): a for name, a in self.arrays.items()}
        self.cells = {name.replace(f"{encoder}.", f"{path}."): options for name, options in self.cells.items()}
        return f"decoder{self.layers}"

    def contents(self) -> Contents:
        """Return the layers. With a linear layer after them it is known which outputs it reads."""
        translating = any(name.startswith("decoder") for name in self.arrays)
        wiring = {"wiring": "translate" if translating else self.wiring} if self.number("readout") else {}
        ignored = list(dict.fromkeys([*self.ignored, *self.between.values()]))
        return Contents(self.arrays, self.options | wiring, ignored, self.cells)

    def starts_of(self, node: Any, cell: type[Cell], shape: tuple[int, int], batch_first: bool) -> dict[str, np.ndarray]:
        """Return the learned initial states, each (directions, hidden); {} if they are zeros or computed."""
        found = {f"{name}0": np.zeros(shape, np.float32) for name in cell.state_names}
        for name, state in zip(node.input[5:7], found, strict=False):
            start = self.expanded.get(name, self.constants.get(name))
            if start is not None:
                start = start.swapaxes(0, 1) if batch_first else start
                if start.ndim != 3 or start[:, 0].shape != shape or (start != start[:, :1]).any():
                    raise self.cannot(node.op_type, f"an initial state {state} that differs from sequence to sequence")
                found[state] = start[:, 0]
        learned = self.expanded.keys() & {*node.input[5:7]} or any(start.any() for start in found.values())
        return found if learned else {}

    def options_of(self, op: str, attributes: dict[str, Any], directions: int) -> list[dict[str, Any]]:
        """Return the options of the cell of each direction. WeightsError for activations that the cells do not have."""
        options: dict[str, Any] = {"clip": attributes["clip"]} if attributes.get("clip") else {}
        if op == "GRU":
            options["reset_after"] = bool(attributes.get("linear_before_reset", 0))
        if attributes.get("input_forget"):
            options["input_forget"] = True
        names = [name.decode() for name in attributes.get("activations", ())]
        numbers = [list(attributes.get(f"activation_{letter}", ())) for letter in ("alpha", "beta")]
        given = [self.activation(op, name, numbers) for name in names] or [*USUAL[op].values()] * directions
        count = len(USUAL[op])
        if len(given) != count * directions:
            raise self.cannot(op, f"{len(given)} activations in place of {count * directions}")
        return [options | dict(zip(USUAL[op], given[d * count :], strict=False)) for d in range(directions)]

    def activation(self, op: str, name: str, numbers: list[list[float]]) -> str:
        """Return the name of an activation in the cells, and take its alpha and beta from the numbers that are left."""
        found = {known.lower(): of for known, of in ACTIVATIONS.items()}.get(name.lower())
        if found is None:
            raise self.cannot(op, f"the activation {name}")
        own, defaults = found
        taken: list[Any] = [given.pop(0) if given else default for given, default in zip(numbers, defaults, strict=False)]
        if None in taken:
            raise self.cannot(op, f"the activation {name} without numbers in activation_alpha and activation_beta")
        return f"{own}({', '.join(str(np.float32(number)) for number in taken)})" if taken else own

    def note(self, op: str, option: str, value: Any) -> None:
        """Note an option of `load`. WeightsError if another layer has another value."""
        if self.options.setdefault(option, value) != value:
            raise self.cannot(op, f"{option}={value} in one layer, and {self.options[option]} in another")

    def cannot(self, op: str, what: str) -> WeightsError:
        """Return the error for a layer that the cells cannot express."""
        return WeightsError(f"{self.path} has a layer {op} with {what}, which the cells of this package cannot express")
