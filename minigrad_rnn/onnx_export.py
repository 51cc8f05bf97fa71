"""Models as ONNX files, for onnxruntime and other programs (extra ``onnx``)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minigrad.files import replace_file

from .activations import name_and_numbers
from .cells.gru import GRUCell
from .cells.lstm import LSTMCell
from .layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from .loading.layers import reordered
from .loading.onnx_import import ACTIVATIONS, OPS, USUAL, imported, live
from .models import EncoderDecoder, ManyToOne, Sequence
from .recurrent import Recurrent

__all__ = ["save_onnx"]

OPSET, IR = 17, 8  # versions that programs since 2022 read
FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def save_onnx(path: str | os.PathLike[str], model: Any, *, lengths: bool = False) -> None:
    """Write a model as an ONNX file: a recurrent layer, a `Sequence`, `ManyToOne` or `EncoderDecoder`, in evaluation mode.

    The inputs of the file are ``input``, of shape (T, batch, ...), for an `EncoderDecoder` also ``targets`` (T, batch), and
    with ``lengths=True`` the int32 ``lengths`` (batch,). The output is ``output``; a recurrent layer alone also has the last
    ``h``, and an LSTM ``c``. T and batch may vary. Weights are written in float32. `load` reads the file again.

    Raises ImportError without the package onnx, and ValueError for what ONNX cannot express, such as a projection
    or zoneout.

    >>> import importlib.util, tempfile, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.GRU(3, 4, rng=0), rnn.Linear(4, 2, rng=1))
    >>> if importlib.util.find_spec("onnx"):  # the extra is installed
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         rnn.save_onnx(f"{folder}/model.onnx", model)
    ...         assert rnn.load(f"{folder}/model.onnx").model.readout.weight.shape == (2, 4)
    """
    replace_file(path, graph_of(model, lengths).SerializeToString())


def graph_of(model: Any, lengths: bool) -> Any:
    """Return the ONNX model, a protocol buffer."""
    writer = Writer()
    lens = writer.input("lengths", np.int32, "batch") if lengths else ""
    if isinstance(model, Recurrent):
        output, states, _ = writer.recurrent(model, writer.numbers(model.input_size), lens)
        writer.output("output", output, "T", "batch", "features")
        for name, parts in zip(model.cell.state_names, zip(*states, strict=True), strict=True):
            writer.output(name, writer.add("Concat", parts, axis=0), "layers", "batch", "hidden")
    elif isinstance(model, Sequence | ManyToOne):
        if model.embedding is None:
            x = writer.numbers(model.recurrent.input_size)
        elif isinstance(model.embedding, Embedding):
            symbols = writer.input("input", np.int64, "T", "batch")
            x = writer.add("Gather", [writer.array(model.embedding.weight.data), symbols], axis=0)
        else:
            x = writer.apply(model.embedding, writer.numbers(np.shape(getattr(model.embedding, "weight", [[]]))[-1]))
        output, states, last = writer.recurrent(model.recurrent, x, lens)
        if isinstance(model, ManyToOne):
            writer.output("output", writer.apply(model.readout, last), "batch", "features")
        else:
            writer.output("output", writer.apply(model.readout, output), "T", "batch", "features")
    elif isinstance(model, EncoderDecoder):
        if model.attention is not None:
            raise ValueError("attention cannot be exported; export model.encoder and model.decoder, each to a file")
        _, states, _ = writer.recurrent(model.encoder, writer.numbers(model.encoder.input_size), lens)
        targets = writer.input("targets", np.int64, "T_targets", "batch")
        value = writer.onnx.numpy_helper.from_array(np.array([model.start]))
        first = writer.add("ConstantOfShape", [writer.add("Shape", [writer.cut(targets, 0, 1)])], value=value)
        symbols = writer.add("Concat", [first, writer.cut(targets, 0, -1)], axis=0)
        size = model.decoder.input_size
        one_hot = writer.add("OneHot", [symbols, writer.array(np.array(size)), writer.array(np.array([0.0, 1.0]))], axis=-1)
        output, _, _ = writer.recurrent(model.decoder, one_hot, "", states)
        writer.output("output", writer.apply(model.readout, output), "T_targets", "batch", "features")
    else:
        raise ValueError(
            f"a recurrent layer, Sequence, ManyToOne or EncoderDecoder can be exported, not {type(model).__name__}"
        )
    return writer.model()


class Writer:
    """The nodes, arrays, inputs and outputs of a graph."""

    def __init__(self) -> None:
        self.onnx = imported()
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def model(self) -> Any:
        """Return the checked model, without the nodes and arrays on which no output depends."""
        helper = self.onnx.helper
        nodes = live(self.nodes, [output.name for output in self.outputs])
        used = {name for node in nodes for name in node.input}
        arrays = [a for a in self.arrays if a.name in used]
        graph = helper.make_graph(nodes, "minigrad_rnn", self.inputs, self.outputs, arrays)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="minigrad"
        )
        self.onnx.checker.check_model(model)
        return model

    def array(self, a: np.ndarray) -> str:
        """Add an array, floats as float32 and integers as int64, and return its name."""
        name = f"array{len(self.arrays)}"
        a = np.asarray(a, np.float32 if a.dtype.kind == "f" else np.int64, order="C")
        self.arrays.append(self.onnx.numpy_helper.from_array(a, name))
        return name

    def input(self, name: str, dtype: Any, *shape: Any) -> str:
        """Add an input, and return its name."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def numbers(self, features: int) -> str:
        """Add the input of numbers."""
        return self.input("input", np.float32, "T", "batch", features)

    def output(self, name: str, value: str, *shape: str) -> None:
        """Give a value a name, and make it an output."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, list(shape)))

    def add(self, op: str, inputs: Any, **attributes: Any) -> str:
        """Add a node with one output, and return the name of the output."""
        return self.add_several(op, inputs, 1, **attributes)[0]

    def add_several(self, op: str, inputs: Any, count: int, **attributes: Any) -> list[str]:
        """Add a node, and return the names of its outputs."""
        names = [f"{op.lower()}{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(count)]
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names

    def cut(self, x: str, first: int, end: int) -> str:
        """Add x[first:end]."""
        return self.add("Slice", [x, self.array(np.array([first])), self.array(np.array([end]))])

    def apply(self, module: Any, x: str) -> str:
        """Add a module, or a function, that is applied to the last axis of x."""
        if isinstance(module, Linear):
            y = self.add("MatMul", [x, self.array(module.weight.data.T)])
            return y if module.bias is None else self.add("Add", [y, self.array(module.bias.data)])
        if isinstance(module, Sequential):
            for i in range(len(module)):
                x = self.apply(module[i], x)
            return x
        if isinstance(module, LayerNorm):
            arrays = [self.array(module.weight.data), self.array(module.bias.data)]
            return self.add("LayerNormalization", [x, *arrays], axis=-1, epsilon=module.eps)
        if isinstance(module, Dropout):
            return x
        name = getattr(module, "__name__", type(module).__name__)
        if name not in FUNCTIONS:
            raise ValueError(f"cannot export {name}; the layers may be Linear, LayerNorm, Dropout and {', '.join(FUNCTIONS)}")
        return self.add(FUNCTIONS[name], [x])

    def recurrent(
        self, layers: Recurrent, x: str, lengths: str, initial: list[list[str]] | None = None
    ) -> tuple[str, list[list[str]], str]:
        """Add recurrent layers. Return the outputs, the last states of each layer, and the last output of the top layer."""
        states = []
        if np.any(layers.zoneout):
            raise ValueError("ONNX cannot express zoneout, whose mean in evaluation mode is in every step; export without it")
        if layers.batch_first:
            raise ValueError("a layer with batch_first=True cannot be exported; the files have the time first")
        for k, cells in enumerate(layers.cells):
            given = initial[k] if initial else self.learned_states(cells, x)
            Y, *last = self.layer(layers, cells, x, lengths, given)
            states.append(last)
            x = self.add("Transpose", [Y], perm=[0, 2, 1, 3])  # (T, directions, batch, hidden)
            x = self.add("Reshape", [x, self.array(np.array([0, 0, -1]))])
        top = self.add("Transpose", [states[-1][0]], perm=[1, 0, 2])
        return x, states, self.add("Reshape", [top, self.array(np.array([0, -1]))])

    def layer(self, layers: Recurrent, cells: list[Any], x: str, lengths: str, initial: list[str]) -> list[str]:
        """Add the node of a layer, and return the names of its outputs."""
        check_layer(cells)
        first = cells[0]
        op, order = OPS[type(first)]
        own = "".join(first.gate_names) or "h"
        zeros = np.zeros(len(first.weight_ih))

        def stacked(*names: str) -> str:
            parts = [[getattr(cell, name) for name in names] for cell in cells]
            rows = [[reordered(zeros if p is None else p.data, order, own) for p in of_cell] for of_cell in parts]
            return self.array(np.stack([np.concatenate(of_cell) for of_cell in rows]))

        inputs = [x, stacked("weight_ih"), stacked("weight_hh"), stacked("bias_ih", "bias_hh"), lengths, *initial]
        options: dict[str, Any] = {"hidden_size": first.hidden_size}
        options["direction"] = "bidirectional" if len(cells) == 2 else "reverse" if layers.reverse else "forward"
        options |= {"clip": float(first.clip)} if first.clip is not None else {}
        options |= activations_of(cells, op)
        if isinstance(first, LSTMCell) and first.input_forget:
            options["input_forget"] = 1
        if isinstance(first, LSTMCell) and first.peepholes:
            peepholes = [np.concatenate([getattr(c, f"weight_c{gate}").data for gate in "iof"]) for c in cells]
            inputs += [""] * (7 - len(inputs)) + [self.array(np.stack(peepholes))]
        if isinstance(first, GRUCell):
            options["linear_before_reset"] = int(first.reset_after)
        while not inputs[-1]:
            inputs.pop()
        return self.add_several(op, inputs, 1 + len(first.state_names), **options)

    def learned_states(self, cells: list[Any], x: str) -> list[str]:
        """Add the learned initial states, repeated for the batch; [] if they are zeros."""
        if not cells[0].learn_state:
            return []
        batch = self.cut(self.add("Shape", [x]), 1, 2)
        one = self.array(np.array([1]))
        shape = self.add("Concat", [one, batch, one], axis=0)
        names = [f"{name}0" for name in cells[0].state_names]
        starts = [np.stack([getattr(c, name).data for c in cells])[:, None] for name in names]
        return [self.add("Expand", [self.array(start), shape]) for start in starts]


def check_layer(cells: list[Any]) -> None:
    """Raise ValueError unless ONNX has an op for the cells of a layer."""
    kinds = {(type(cell), cell.hidden_size, cell.state_sizes[0]) for cell in cells}
    kind, hidden, returned = next(iter(kinds))
    same = "clip", "input_forget", "reset_after", "peepholes", "learn_state"
    shared = {tuple(getattr(cell, name, None) for name in same) for cell in cells}
    if len(kinds) > 1 or len(shared) > 1 or kind not in OPS or hidden != returned:
        raise ValueError(
            f"ONNX cannot express {cells[0]!r}; a layer must have RNNCell, GRUCell or LSTMCell, of one size and with the same "
            f"{', '.join(same)} in both directions, and no proj_size"
        )


def activations_of(cells: list[Any], op: str) -> dict[str, Any]:
    """Return the attributes of the activations of a layer's cells. ValueError for one that ONNX does not have."""
    own = {name: theirs for theirs, (name, _) in ACTIVATIONS.items()} | {"linear": "Affine"}
    names, alpha, beta = [], [], []
    for name in [getattr(cell, option) for cell in cells for option in USUAL[op]]:
        word, numbers = name_and_numbers(name)
        if word not in own:
            raise ValueError(f"ONNX has no activation {name!r} for recurrent layers; it has {', '.join(own)}")
        numbers = {"alpha": 1.0, "beta": 0.0} if word == "linear" else numbers
        names.append(own[word])
        alpha += [numbers["alpha"]] if "alpha" in numbers else []
        beta += [numbers["beta"]] if "beta" in numbers else []
    if names == [own[name] for name in USUAL[op].values()] * len(cells):
        return {}
    lists = {"activations": names, "activation_alpha": alpha, "activation_beta": beta}
    return {name: values for name, values in lists.items() if values}
