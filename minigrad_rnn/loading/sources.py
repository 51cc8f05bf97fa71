"""Arrays by name from a file or a state dict. No source is unpickled."""

from __future__ import annotations

import difflib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..config import checked, task_of
from ..saving import WeightsError, load_checkpoint, load_weights
from .keras_layers import is_keras, read_keras
from .onnx_import import Contents, read_onnx

__all__ = ["Source", "arrays_of", "read_file", "renamed"]

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".tar")
MOST = 1_000_000  # bytes of a pickle in which the names of its classes are looked for
KERAS = (".keras", ".h5", ".hdf5")


class Source(NamedTuple):
    """Arrays by name, the names of tied arrays by the names under which they are in the file, and a name for messages.

    Some sources have `options` of `load`, names of ops and layers that were `ignored`, and the options of `cells`, by the name
    of their ``weight_hh``.
    """

    arrays: dict[str, np.ndarray]
    ties: dict[str, str]
    name: str
    options: dict[str, Any] = {}
    ignored: list[str] = []
    cells: Mapping[str, dict[str, Any]] = {}


def arrays_of(source: Any) -> Source:
    """Return the arrays of a file or a state dict."""
    if isinstance(source, Mapping):
        found = Source(dict(source), {}, "the state dict")
    elif is_keras(source):
        found = contents(read_keras(source), f"the Keras {type(source).__name__}")
    elif isinstance(source, str | os.PathLike):
        found = read_file(Path(source))
        if "history.loss" in found.arrays:  # a checkpoint of a Trainer, with the state of its optimizer
            weights = {name.removeprefix("model."): a for name, a in found.arrays.items() if name.startswith("model.")}
            found = found._replace(arrays=weights, options=options_of(load_checkpoint(source)[1].get("about")))
    else:
        more = "; pass its state_dict()" if hasattr(source, "state_dict") else ""
        raise TypeError(f"expected the path of a file, a state dict, or a Keras layer, not {type(source).__name__}{more}")
    return found._replace(arrays={str(name): as_array(str(name), a) for name, a in found.arrays.items()})


def contents(found: Contents, name: str) -> Source:
    """Return the source with these contents."""
    return Source(found.arrays, {}, name, found.options, found.ignored, found.cells)


def options_of(about: Any) -> dict[str, Any]:
    """Return the options of `load` that the configuration in a checkpoint contains; {} if there is none."""
    try:
        task = task_of(checked(about))
    except ValueError:
        return {}
    return {"wiring": "steps"} if task is None else {"wiring": task.wiring, "start": task.start or 0}


def read_file(path: Path) -> Source:
    """Return the arrays in a file. WeightsError for a damaged file and a pickle."""
    start = first_bytes(path)
    if path.suffix == ".onnx" and path.is_file():
        return contents(read_onnx(path), str(path))
    if start.startswith(b"PK") and path.suffix != ".keras":
        return Source(from_npz(path), {}, str(path))
    if path.suffix in KERAS or start.startswith(b"\x89HDF"):
        raise WeightsError(
            f"{path} is a file of Keras. Load it with Keras, and pass the model or one of its layers: "
            "rnn.load(keras.saving.load_model(...))"
        )
    if is_pickle(path, start):
        raise WeightsError(pickled(path, first_bytes(path, MOST)))
    return Source(*load_weights(path), str(path))


def first_bytes(path: Path, count: int = 16) -> bytes:
    """Return how the file begins; b"" if there is no such file, which `load_weights` reports."""
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(count)


def is_pickle(path: Path, start: bytes) -> bool:
    """Return True for a file that begins as a pickle does, or has the name of one, and does not begin as safetensors does."""
    if not start or start[5:9] == b"\0\0\0{":
        return False
    return path.suffix in PICKLES or (start[0] == 0x80 and start[1:2] <= b"\5")


def from_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.npz`` file. WeightsError for a file of torch.save, a damaged one, and arrays of objects."""
    try:
        with zipfile.ZipFile(path) as archive:
            if pickles := [name for name in archive.namelist() if name.endswith("data.pkl")]:
                with archive.open(pickles[0]) as stream:
                    raise WeightsError(pickled(path, stream.read(MOST)))
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except WeightsError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError) as error:
        raise WeightsError(f"{path} is not a .npz file of numbers, or it is damaged: {error}") from error


def pickled(path: Path, start: bytes) -> str:
    """Return the error message for a pickle that starts with these bytes, with the lines that convert it."""
    new = str(path.with_suffix(".safetensors"))
    whole = b"torch.nn.modules" in start
    what, more = "was written by torch.save or pickle", '  # or a part of it, such as [...]["model"]'
    if whole:
        what, more = (
            "is a whole model, as torch.save(model, ...) writes it, with its classes",
            ".state_dict()  # needs its classes",
        )
    return (
        f"{path} {what}. Such a file can run code, so it is not opened. If you trust it, "
        f"convert it with these lines, and load the new file\n"
        f"    import torch, safetensors.torch\n"
        f'    state = torch.load({str(path)!r}, map_location="cpu", weights_only={not whole}){more}\n'
        f"    safetensors.torch.save_file({{n: a.clone() for n, a in state.items()}}, {new!r})"
    )


def as_array(name: str, value: Any) -> np.ndarray:
    """Return an array or tensor as an array: float64 as it is, other floats as float32."""
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.cpu() if hasattr(value, "cpu") else value
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        hint = f"; if it contains the weights, pass state[{name!r}]" if isinstance(value, Mapping) else ""
        raise TypeError(f"{name!r} must be an array of numbers, not {type(value).__name__} of dtype {array.dtype}{hint}")
    return array.astype(np.float32) if array.dtype.kind == "f" and array.dtype != np.float64 else array


def renamed(
    arrays: dict[str, np.ndarray], ties: dict[str, str], rename: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays with new names, and with those names among the ties that the file has."""
    for old in rename:
        if old not in arrays:
            near = difflib.get_close_matches(old, arrays, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the names are {', '.join(list(arrays)[:20])}"
            raise ValueError(f"rename has {old!r}, and there is no such array{hint}")
    new = {rename.get(name, name): a for name, a in arrays.items()}
    if len(new) < len(arrays):
        raise ValueError("rename gives two arrays the same name")
    return new, {tied: rename.get(name, name) for tied, name in ties.items() if name in arrays and tied not in new}
