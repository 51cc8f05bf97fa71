"""Weights and training checkpoints in safetensors files: arrays, and JSON. Loading a file runs no code.

Each is a single file that is replaced whole or not at all, and has a checksum of its contents.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from minigrad.files import regular_file, replace_file

__all__ = ["WeightsError", "load_checkpoint", "load_weights", "save_checkpoint", "save_weights"]

_DTYPES = {
    "BOOL": "|b1", "I8": "|i1", "U8": "|u1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4",
    "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip
_WRITABLE = {np.dtype(code) for code in _DTYPES.values()}
_KEY = "minigrad"  # our entry in the metadata: a version, the checksum, and a checkpoint's info
_VERSION = 1
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library


class WeightsError(ValueError):
    """Raised for a file whose contents are wrong. The message has its name and the reason."""


def save_weights(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays by name, and texts by name if given, as safetensors. The file is replaced whole or not at all.

    The arrays may have any shape, and bool, integer or float dtypes up to 64 bits. PyTorch reads the file with
    ``safetensors.torch.load_file``.

    Raises TypeError for another dtype and for names or metadata that are not text, ValueError for a name or metadata that the
    format cannot hold, and OSError if the file cannot be written; an existing file is untouched.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/w.safetensors", {"bias": np.array([0.5, -0.5])}, {"made": "by hand"})
    ...     load_weights(f"{folder}/w.safetensors")
    ({'bias': array([ 0.5, -0.5])}, {'made': 'by hand'})
    """
    _save(path, arrays, metadata or {}, {"version": _VERSION})


def load_weights(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read arrays and metadata by name from any safetensors file: from `save_weights`, a checkpoint, or PyTorch.

    bfloat16, which NumPy lacks, becomes float32, which holds each of its values exactly.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/w.safetensors", {"w": np.ones(2)}, {"of": "an example"})
    ...     load_weights(f"{folder}/w.safetensors")
    ({'w': array([1., 1.])}, {'of': 'an example'})

    Raises WeightsError if the file is not safetensors, or damaged; OSError if it cannot be read, and FileNotFoundError if it
    does not exist.
    """
    arrays, metadata, _ = _load(path)
    return arrays, metadata


def save_checkpoint(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], info: dict[str, Any]) -> None:
    """Write arrays and `info`, nested dicts and lists of text, numbers, bools and None, as one safetensors file.

    Tuples come back as lists; integers may be large, and floats NaN or infinite. Errors as in `save_weights`, and
    TypeError for an `info` that JSON cannot hold.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/c.safetensors", {"w": np.ones(2)}, {"epoch": 3, "state": 2**127})
    ...     load_checkpoint(f"{folder}/c.safetensors")
    ({'w': array([1., 1.])}, {'epoch': 3, 'state': 170141183460469231731687303715884105728})
    """
    if not isinstance(info, dict):
        raise TypeError(f"info must be a dict, not {type(info).__name__}")
    try:
        _check_info(info, "info")
        _save(path, arrays, {}, {"version": _VERSION, "info": info})
    except RecursionError:
        raise ValueError("info is nested too deeply, or holds itself") from None


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and the info that `save_checkpoint` wrote. Errors as in `load_weights`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/c.safetensors", {}, {"epoch": 3})
    ...     load_checkpoint(f"{folder}/c.safetensors")
    ({}, {'epoch': 3})
    """
    arrays, _, record = _load(path)
    if not isinstance(record.get("info"), dict):
        raise WeightsError(f"{os.fspath(path)}: holds weights, but no checkpoint; read it with load_weights")
    return arrays, record["info"]


# -- writing -----------------------------------------------------------------------------------------------------------


def _save(path: str | os.PathLike[str], arrays: Mapping[str, Any], metadata: Mapping[str, str], record: dict[str, Any]) -> None:
    if not isinstance(arrays, Mapping) or not isinstance(path, str | os.PathLike):
        raise TypeError(
            "expected first the path, then arrays by name, as in save_weights('w.safetensors', model.state_dict()), "
            f"not {type(path).__name__} and {type(arrays).__name__}"
        )
    for text in (*arrays, *metadata, *metadata.values()):
        if not isinstance(text, str):
            raise TypeError(f"names and metadata must be text, not {type(text).__name__} {text!r}")
    if taken := arrays.keys() & {"__metadata__"} | metadata.keys() & {_KEY}:
        raise ValueError(f"the name {taken.pop()} is taken by the file format; choose another")
    plain = {name: _plain(name, value) for name, value in arrays.items()}
    note = json.dumps({**record, "sha256": _digest(plain, metadata, record)})
    data = safetensors.numpy.save(plain, {**metadata, _KEY: note})
    if (length := int.from_bytes(data[:8], "little")) > _LONGEST_HEADER:
        raise ValueError(f"names, metadata and info take {length} bytes; the format holds {_LONGEST_HEADER}")
    replace_file(path, data)


def _plain(name: str, value: Any) -> np.ndarray:
    """Return the array in C order and little-endian, as the library needs it."""
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{name!r} must be a NumPy array, not {type(value).__name__}")
    if value.dtype.kind not in "biuf" or (dtype := value.dtype.newbyteorder("<")) not in _WRITABLE:
        raise TypeError(f"{name!r} has dtype {value.dtype}; the file holds bool, and integers and floats of up to 64 bits")
    return np.asarray(value, dtype, order="C")


def _check_info(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; the keys must be text")
            _check_info(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check_info(item, f"{where}[{i}]")
    elif not isinstance(value, str | int | float | None):
        raise TypeError(f"{where} is of type {type(value).__name__}, which JSON cannot hold; arrays belong in `arrays`")


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], record: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps([sorted(metadata.items()), record]).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


# -- reading -----------------------------------------------------------------------------------------------------------


def _load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, Any]]:
    """Return arrays, metadata, and our own entry in the metadata ({} if minigrad did not write the file)."""
    file = regular_file(path)
    if not file.exists():
        meant = file.with_name(f"{file.name}.safetensors")
        advice = f"did you mean {meant}?" if meant.is_file() else "check the name and the folder, or save one first"
        raise FileNotFoundError(f"there is no file {file}; {advice}")
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = _header_length(stream.read(8), size)
            header = _parsed(stream.read(length), "its header")
            metadata = header.pop("__metadata__", {})
            _check_header(header, metadata, size - 8 - length)
            stream.seek(0)
            raw = dict(safetensors.deserialize(stream.read(size)))  # type: ignore[no-untyped-call]  # checks everything else
        arrays = {name: _array(entry, raw[name]["data"]) for name, entry in header.items()}
        record = _parsed(metadata.pop(_KEY).encode(), "what minigrad noted in it") if _KEY in metadata else {}
        if record and record.get("version") != _VERSION:
            raise ValueError("it was written by another version of minigrad, which this one cannot read")
        if record and record.pop("sha256", None) != _digest(arrays, metadata, record):
            raise ValueError("its checksum is wrong: it was damaged, or changed by another program, after it was saved")
    except (ValueError, RecursionError, safetensors.SafetensorError) as error:
        why = str(error) if isinstance(error, ValueError) else repr(str(error))[:300]  # the library quotes the contents
        raise WeightsError(f"{file}: {why}") from error
    return arrays, metadata, record


def _header_length(start: bytes, size: int) -> int:
    length = int.from_bytes(start, "little")
    if size < 8:
        raise ValueError(f"it is not a safetensors file: it has only {size} bytes")
    if length > min(size - 8, _LONGEST_HEADER):
        if start.startswith(b"PK") or (start[0] == 0x80 and start[1] <= 5):  # how zip files and pickles begin
            raise ValueError("it was written by torch.save, pickle or np.savez; save it with safetensors.torch.save_file")
        if length <= _LONGEST_HEADER:
            raise ValueError(f"it is truncated: {8 + length} bytes expected for its header alone, {size} there")
        raise ValueError(
            f"it is not a safetensors file, such as `minigrad-rnn train` writes: it would have a header of {length} bytes"
        )
    return length


def _parsed(text: bytes, what: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text.decode(), object_pairs_hook=_without_repeats)
    except ValueError as error:
        raise ValueError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ValueError(f"{what} is not a JSON object")
    return parsed


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"it has {reprlib.repr(twice)} twice")
    return entries


def _check_header(header: dict[str, Any], metadata: Any, room: int) -> None:
    """Raise ValueError for errors that the library ignores or reports less clearly. `room`: bytes of data in the file."""
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata must be a dict of texts")
    end = 0
    for name, entry in header.items():
        it = reprlib.repr(name)
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"{it} is not described by just dtype, shape and data_offsets")
        code, offsets = entry["dtype"], entry["data_offsets"]
        if not isinstance(code, str) or code not in _DTYPES:
            raise ValueError(f"{it} has dtype {reprlib.repr(code)}; only {', '.join(_DTYPES)} can be read")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(at) is int and 0 <= at < 2**63 for at in offsets):
            raise ValueError(f"{it} has the impossible data_offsets {reprlib.repr(offsets)}")
        end = max(end, *offsets)
    if end > room:
        raise ValueError(f"it is truncated: {end} bytes of data expected, {room} there")
    if end < room:
        raise ValueError(f"it has {room - end} bytes too many at the end")


def _array(entry: Mapping[str, Any], data: bytearray) -> np.ndarray:
    array = np.frombuffer(data, _DTYPES[entry["dtype"]])
    if entry["dtype"] == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    elif entry["dtype"] == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array of dtype bool holds bytes other than 0 and 1")
    return array.reshape(entry["shape"])
