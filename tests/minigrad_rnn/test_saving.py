"""Saving: what is written comes back bit for bit; damaged files are errors; a save is whole or not at all."""

import io
import json
import math
import os
import pickle
import random
import re
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given

from minigrad import files
from minigrad_rnn import saving
from minigrad_rnn.saving import WeightsError, load_checkpoint, load_weights, save_checkpoint, save_weights

INFO = {
    "model": {"kind": "LSTM", "sizes": [5, 5], "bias": True, "proj": None},
    "optimizer": {"lr": 0.1, "betas": [0.9, 0.999], "steps": 3},
    "generator": np.random.default_rng(1).bit_generator.state,
    "history": [1.6094379124341003, 5e-324, -0.0, 1e308],
    "name": "größe \U0001f600 \x00 \ud800",
}


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "lstm.weight": rng.normal(size=(4, 3)),
        "lstm.bias": rng.normal(size=4).astype("f4"),
        "half": rng.normal(size=(2, 2)).astype("f2"),
        "steps": np.array(7),
        "mask": np.array([True, False, True]),
        "none": np.zeros((3, 0), "f4"),
    }


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Equal to the last bit, whatever the order and NaN or not."""
    return one.keys() == other.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (other[name].dtype, other[name].shape, other[name].tobytes())
        for name, a in one.items()
    )


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# -- what is written comes back ----------------------------------------------------------------------------------------

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
some_arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))
numbers = st.integers() | st.floats(allow_nan=False)
infos = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(state=st.dictionaries(texts, some_arrays, max_size=5), metadata=st.dictionaries(texts, texts, max_size=3))
def test_weights_come_back(tmp_path_factory: pytest.TempPathFactory, state: Any, metadata: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "weights"
    save_weights(path, state, metadata)
    found, texts = load_weights(path)
    assert same(found, state)
    assert texts == metadata
    assert all(a.flags.writeable and a.dtype.isnative for a in found.values())


@given(state=st.dictionaries(texts, some_arrays, max_size=2), info=st.dictionaries(st.text(max_size=5), infos, max_size=3))
def test_checkpoints_come_back(tmp_path_factory: pytest.TempPathFactory, state: Any, info: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "checkpoint"
    save_checkpoint(path, state, info)
    found, same_info = load_checkpoint(path)
    assert same(found, state)
    assert repr(same_info) == repr(info)  # repr tells 1 from True and 0.0 from -0.0
    assert load_weights(path)[1] == {}


def test_checkpoint_of_a_training_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", arrays(), INFO)
    found, info = load_checkpoint(str(tmp_path / "c"))
    assert same(found, arrays())
    assert info == INFO
    rng, again = np.random.default_rng(1), np.random.default_rng(2)
    again.bit_generator.state = info["generator"]
    assert rng.random() == again.random()


def test_tuples_become_lists_and_nan_stays(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {}, {"betas": (0.9, 0.99), "lost": [math.nan, math.inf, -math.inf], "np": np.float64(0.1)})
    info = load_checkpoint(tmp_path / "c")[1]
    assert repr(info) == "{'betas': [0.9, 0.99], 'lost': [nan, inf, -inf], 'np': 0.1}"


@pytest.mark.parametrize("dtype", ["f8", ">f8", ">f4", ">f2", ">i2", ">u8"])
def test_layout_in_memory_does_not_matter(tmp_path: Path, dtype: str) -> None:
    a = np.arange(24).reshape(2, 3, 4).astype(dtype)
    views = {
        "C": a, "transposed": a.T, "F": np.asfortranarray(a), "strided": a[:, ::2, 1:], "reversed": a[::-1, :, ::-1],
        "broadcast": np.broadcast_to(a[0, 0], (3, 4)), "0-d": a[0, 0, 0, ...], "scalar": a[1, 1, 1], "row": a[0, 0, :0],
    }  # fmt: skip
    save_weights(tmp_path / "w", views)
    found = load_weights(tmp_path / "w")[0]
    for name, view in views.items():
        assert found[name].shape == view.shape, name
        np.testing.assert_array_equal(found[name], view)
        assert found[name].dtype == np.dtype(dtype).newbyteorder("="), name


def test_nan_payloads_and_signed_zeros_survive(tmp_path: Path) -> None:
    bits = np.array([0x7FF8DEADBEEF0001, 0xFFF0000000000001, 0x8000000000000000], "u8").view("f8")
    save_weights(tmp_path / "w", {"bits": bits})
    assert load_weights(tmp_path / "w")[0]["bits"].tobytes() == bits.tobytes()


def test_library_reads_our_files_and_we_read_its(tmp_path: Path) -> None:
    save_weights(tmp_path / "ours", arrays(), {"by": "us"})
    assert same(safetensors.numpy.load_file(tmp_path / "ours"), arrays())
    safetensors.numpy.save_file(arrays(), tmp_path / "theirs", {"by": "them"})
    found, metadata = load_weights(tmp_path / "theirs")
    assert same(found, arrays())
    assert metadata == {"by": "them"}
    with pytest.raises(WeightsError, match=r"theirs: .* no checkpoint"):
        load_checkpoint(tmp_path / "theirs")


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", arrays(), INFO)
    save_checkpoint(tmp_path / "b", dict(reversed(arrays().items())), INFO)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# -- what cannot be saved ----------------------------------------------------------------------------------------------

LONG = np.zeros(2, np.longdouble)
UNFIT = {
    "complex128": np.zeros(2, complex), "complex64": np.zeros(2, "c8"), "object": np.array([None]), "<U1": np.array(["a"]),
    "datetime64": np.zeros(2, "M8[s]"), "f0": np.zeros(2, "i4,f4"), "list": [1.0], "float": 1.0, "StringDType": np.array(
        ["a"], np.dtypes.StringDType()
    ),
} | ({str(LONG.dtype): LONG} if LONG.itemsize > 8 else {})  # fmt: skip


@pytest.mark.parametrize("what", UNFIT)
def test_unfit_arrays_are_errors_before_anything_is_written(tmp_path: Path, what: str) -> None:
    with pytest.raises(TypeError, match=f"'odd' (has dtype|must be a NumPy array, not) .*{re.escape(what)}"):
        save_weights(tmp_path / "w", {"fine": np.zeros(2), "odd": UNFIT[what]})  # type: ignore[dict-item]
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("state", "metadata", "error", "message"),
    [
        ({1: np.zeros(2)}, {}, TypeError, "names and metadata must be text, not int 1"),
        ({}, {"epoch": 3}, TypeError, "must be text, not int 3"),
        ({}, {3: "epoch"}, TypeError, "must be text, not int 3"),
        ({"\ud800": np.zeros(2)}, {}, ValueError, "surrogates"),
        ({}, {"a": "\ud800"}, ValueError, "surrogates"),
        ({"__metadata__": np.zeros(2)}, {}, ValueError, "__metadata__ is taken"),
        ({}, {"minigrad": "x"}, ValueError, "minigrad is taken"),
    ],
)
def test_unfit_names_and_metadata(tmp_path: Path, state: Any, metadata: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        save_weights(tmp_path / "w", state, metadata)
    assert names(tmp_path) == []


CIRCLE: dict[str, Any] = {}
CIRCLE["again"] = [CIRCLE]


@pytest.mark.parametrize(
    ("info", "error", "message"),
    [
        ([1], TypeError, "info must be a dict, not list"),
        ({"a": {1: 2}}, TypeError, r"info\['a'\] has the key 1"),
        ({"a": [0, np.zeros(2)]}, TypeError, r"info\['a'\]\[1\] is of type ndarray"),
        ({"a": np.int64(3)}, TypeError, r"info\['a'\] is of type int64"),
        ({"a": b""}, TypeError, "bytes"),
        (CIRCLE, ValueError, "holds itself"),
        ({"a": 10**5000}, ValueError, "4300"),
    ],
)
def test_unfit_info(tmp_path: Path, info: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        save_checkpoint(tmp_path / "c", {}, info)
    assert names(tmp_path) == []


def test_a_header_nobody_could_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_LONGEST_HEADER", 1000)
    save_checkpoint(tmp_path / "c", {}, {"a": "x" * 500})
    with pytest.raises(ValueError, match=r"info take 1[0-9]{3} bytes; the format holds 1000"):
        save_checkpoint(tmp_path / "c", {}, {"a": "x" * 1000})
    assert load_checkpoint(tmp_path / "c")[1] == {"a": "x" * 500}


# -- damaged and hostile files -----------------------------------------------------------------------------------------


def packed(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: Any, offsets: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


ONE = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
DEEP = b"[" * 100_000 + b"]" * 100_000
HOSTILE = {
    "empty": (b"", "only 0 bytes"),
    "seven bytes": (b"1234567", "only 7 bytes"),
    "text": (b"Not weights at all, but a sentence.", "would have a header of"),
    "header of 100 MB": (packed(b"{}", length=100_000_000), "truncated: 100000008 bytes expected for its header"),
    "header of 2**64 - 1": (packed(b"{}", length=2**64 - 1), "would have a header of 18446744073709551615 bytes"),
    "header of 0": (packed(b""), "not valid JSON"),
    "not JSON": (packed(b"{weights}"), "not valid JSON: Expecting property name"),
    "a list": (packed([]), "not a JSON object"),
    "null": (packed(b"null"), "not a JSON object"),
    "invalid utf-8": (packed(b'{"\xff":1}'), "not valid JSON: 'utf-8' codec"),
    "utf-16": (packed("{}".encode("utf-16")), "not valid JSON"),
    "byte order mark": (packed(b"\xef\xbb\xbf{}"), "not valid JSON"),
    "lone surrogate": (packed(ONE.replace(b'"a"', b'{"\\ud800"') + b"}", b"1234"), "hex escape"),
    "NaN key": (packed(b'{NaN:{"dtype":"F32"}}'), "not valid JSON"),
    "NaN shape": (packed(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', b"1234"), "deserializing"),
    "NaN offset": (packed({"a": entry([1], [0, math.nan])}, b"1234"), "data_offsets"),
    "same name twice": (packed(b"{" + ONE + b"," + ONE + b"}", b"1234"), "'a' twice"),
    "same field twice": (packed(b"{" + ONE[:-1] + b',"shape":[1]}}', b"1234"), "'shape' twice"),
    "same metadata twice": (packed(b'{"__metadata__":{"b":"","b":""}}'), "'b' twice"),
    "two metadata": (packed(b'{"__metadata__":{},"__metadata__":{}}'), "'__metadata__' twice"),
    "metadata numbers": (packed({"__metadata__": {"a": 1}}), "metadata must be a dict of texts"),
    "metadata list": (packed({"__metadata__": []}), "metadata must be a dict of texts"),
    "metadata null": (packed({"__metadata__": None}), "metadata must be a dict of texts"),
    "entry a number": (packed({"a": 1}), "'a' is not described"),
    "entry incomplete": (packed({"a": {"dtype": "F32", "shape": []}}), "'a' is not described"),
    "entry with more": (packed({"a": {**entry([1], [0, 4]), "more": 1}}, b"1234"), "'a' is not described"),
    "unknown dtype": (packed({"a": entry([4], [0, 4], "F8_E4M3")}, b"1234"), "'a' has dtype 'F8_E4M3'; only BOOL"),
    "complex dtype": (packed({"a": entry([1], [0, 8], "C64")}, b"12345678"), "'a' has dtype 'C64'"),
    "list as dtype": (packed({"a": entry([1], [0, 4], ["F32"])}, b"1234"), "'a' has dtype"),
    "object as dtype": (packed({"a": entry([1], [0, 4], "O")}, b"1234"), "'a' has dtype 'O'"),
    "negative offset": (packed({"a": entry([1], [-4, 0])}, b"1234"), r"data_offsets \[-4, 0\]"),
    "huge offsets": (packed({"a": entry([1], [2**64, 2**64 + 4])}, b"1234"), "data_offsets"),
    "endless offset": (packed(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,' + b"9" * 5000 + b"]}}"), "4300"),
    "float offset": (packed({"a": entry([1], [0, 4.0])}, b"1234"), "data_offsets"),
    "bool offset": (packed({"a": entry([1], [False, 4])}, b"1234"), "data_offsets"),
    "three offsets": (packed({"a": entry([1], [0, 4, 4])}, b"1234"), "data_offsets"),
    "offsets backwards": (packed({"a": entry([1], [4, 0])}, b"1234"), "deserializing"),
    "overlap": (packed({"a": entry([1], [0, 4]), "b": entry([1], [0, 4])}, b"1234"), "offset for tensor `[ab]`"),
    "half overlap": (packed({"a": entry([2], [0, 8]), "b": entry([2], [4, 12])}, b"123456789012"), "offset for tensor `b`"),
    "hole": (packed({"a": entry([1], [4, 8])}, b"12345678"), "offset for tensor `a`"),
    "10**12 elements": (packed({"a": entry([10**12], [0, 4 * 10**12])}, b"1234"), "4000000000000 bytes of data expected, 4"),
    "10**12 in 4 bytes": (packed({"a": entry([10**12], [0, 4])}, b"1234"), "deserializing"),
    "shape overflows": (packed({"a": entry([2**32, 2**32], [0, 0])}), "overflow"),
    "shape overflows to 4": (packed({"a": entry([2**62 + 1, 4], [0, 16], "U8")}, b"1" * 16), "overflow|deserializing"),
    "huge and empty": (packed({"a": entry([0, 2**62, 4], [0, 0])}), "too big|overflow"),
    "65 dimensions": (packed({"a": entry([1] * 65, [0, 4])}, b"1234"), "dimension"),
    "negative shape": (packed({"a": entry([-1, -1], [0, 4])}, b"1234"), "deserializing"),
    "float shape": (packed({"a": entry([1.0], [0, 4])}, b"1234"), "deserializing"),
    "bool shape": (packed({"a": entry([True], [0, 4])}, b"1234"), "deserializing"),
    "text shape": (packed({"a": entry("1", [0, 4])}, b"1234"), "deserializing"),
    "trailing bytes": (packed({"a": entry([1], [0, 4])}, b"12345678"), "4 bytes too many at the end"),
    "truncated": (packed({"a": entry([2], [0, 8])}, b"1234"), "truncated: 8 bytes of data expected, 4 there"),
    "bool of 7": (packed({"a": entry([2], [0, 2], "BOOL")}, b"\x01\x07"), "other than 0 and 1"),
    "deep": (packed(DEEP), "recursion"),
    "deep in an entry": (packed(b'{"a":{"dtype":"F32","shape":[],"data_offsets":' + DEEP + b"}}"), "recursion"),
    "deep objects": (packed(b'{"a":' * 100_000), "recursion"),
    "deep note": (packed({"__metadata__": {"minigrad": DEEP.decode()}}), "recursion"),
    "note not JSON": (packed({"__metadata__": {"minigrad": "?"}}), "what minigrad noted in it is not valid JSON"),
    "note of another version": (packed({"__metadata__": {"minigrad": '{"version":2}'}}), "another version"),
    "note without checksum": (packed({"__metadata__": {"minigrad": '{"version":1}'}}), "checksum"),
    "many lists": (packed(b'{"a":[' + b",".join([b"[]"] * 100_000) + b"]}"), "'a' is not described"),
    "many keys": (packed(b"{" + b",".join(b'"%d":0' % i for i in range(20_000)) + b"}"), "'0' is not described"),
    "rude name": (packed({"\x1b\n" * 10_000: entry([1], [4, 8])}, b"12345678"), r"offset for tensor `.x1b.n"),
    "rude shape": (packed({"a": entry("\x1b\n" * 10_000, [0, 4])}, b"1234"), "deserializing"),
    "long name": (packed({"n" * 100_000: entry([1], [0, 4], "?")}, b"1234"), "has dtype '[?]'"),
}


def peak_of(function: Any, *args: Any) -> tuple[Any, int]:
    """The result or exception, and the most memory that was taken at a time."""
    tracemalloc.start()
    try:
        return function(*args), tracemalloc.get_traced_memory()[1]
    except Exception as error:
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def the_error(path: Path, content: bytes) -> WeightsError | None:
    """The error of loading this content; None if it loads. Other exceptions, or much memory, fail the test."""
    path.write_bytes(content)
    result, peak = peak_of(load_weights, path)
    # JSON takes up to 40 times its text: a list of empty lists, the pairs of an object.
    header = min(int.from_bytes(content[:8], "little"), len(content))
    assert peak < 100_000 + 4 * len(content) + 40 * header
    if not isinstance(result, Exception):
        return None
    assert type(result) is WeightsError, repr(result)
    assert str(result).startswith(f"{path}: ")
    assert "\n" not in str(result)
    assert len(str(result)) < 500 + len(str(path))
    return result


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_file(tmp_path: Path, what: str) -> None:
    content, message = HOSTILE[what]
    error = the_error(tmp_path / "w", content)
    assert error is not None
    assert re.search(message, str(error)), str(error)


def damaged(good: bytes, count: int) -> list[tuple[str, bytes]]:
    """`count` files made of a good one, each with a little damage, always the same ones."""
    rng = random.Random(0)
    end = 8 + int.from_bytes(good[:8], "little")
    edges = [*range(9), end - 1, end, end + 1, len(good) - 1]
    made = [("truncated", good[:at]) for at in edges]
    made += [("length", flipped(good, bit)) for bit in range(64)]
    while len(made) < count:
        kind = rng.choice(["truncated", "header", "header", "data", "bytes", "inserted", "removed", "zeroed", "appended"])
        at = rng.randrange(8, end) if kind == "header" else rng.randrange(end, len(good)) if kind == "data" else -1
        at = rng.randrange(len(good)) if at < 0 else at
        many = rng.randint(1, 20)
        content = {
            "truncated": good[:at],
            "header": flipped(good, 8 * at + rng.randrange(8)),
            "data": flipped(good, 8 * at + rng.randrange(8)),
            "bytes": (good[:at] + rng.randbytes(many) + good[at + many :]),
            "inserted": good[:at] + rng.randbytes(many) + good[at:],
            "removed": good[:at] + good[at + many :],
            "zeroed": (good[:at] + bytes(many) + good[at + many :])[: len(good)],
            "appended": good + rng.randbytes(many),
        }[kind]
        if content != good:
            made.append((kind, content))
    return made


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


SORTS = {
    "truncated": "truncated|has only", "header length": "would have a header", "JSON": "JSON", "described": "described",
    "dtype": "has dtype", "offsets": "offset", "too many": "too many", "checksum": "checksum", "metadata": "metadata",
    "bool": "other than 0 and 1", "library": "deserializing", "version": "version",
}  # fmt: skip


def test_a_thousand_damaged_files(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "good", arrays(), INFO)
    outcomes = Counter[str]()
    for kind, content in damaged((tmp_path / "good").read_bytes(), 1000):
        error = the_error(tmp_path / "bad", content)
        if error is not None:
            sorts = (sort for sort, pattern in SORTS.items() if re.search(pattern, str(error).partition(": ")[2]))
            outcomes[next(sorts)] += 1
            continue
        # Other text of the same meaning, or a new name for our note: the checksum, but nothing else, is lost.
        outcomes["loads rightly"] += 1
        found, metadata = load_weights(tmp_path / "bad")
        assert kind != "data"
        assert same(found, arrays())
        if not metadata:
            assert load_checkpoint(tmp_path / "bad")[1] == INFO
        else:
            with pytest.raises(WeightsError, match="no checkpoint"):
                load_checkpoint(tmp_path / "bad")
    print(outcomes)
    assert outcomes.total() == 1000
    assert outcomes["loads rightly"] < 10
    assert len(outcomes) >= 8, outcomes


def test_every_flipped_bit_of_the_data_is_found(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", {"a": np.arange(4.0)}, {"by": "us"})
    good = (tmp_path / "w").read_bytes()
    for bit in range(8 * (len(good) - 32), 8 * len(good)):
        (tmp_path / "w").write_bytes(flipped(good, bit))
        with pytest.raises(WeightsError, match="w: its checksum is wrong"):
            load_weights(tmp_path / "w")


def test_loading_takes_memory_in_proportion(tmp_path: Path) -> None:
    big = {"big": np.ones(10**6), "small": np.ones(3, "f4")}
    save_weights(tmp_path / "w", big)
    (found, _), peak = peak_of(load_weights, tmp_path / "w")
    assert same(found, big)
    assert peak < 2.2 * 8e6


def test_files_of_others_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "torch.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    np.savez(tmp_path / "arrays.npz", a=np.ones(2))
    (tmp_path / "old.pkl").write_bytes(pickle.dumps({"a": list(range(100))}))
    for name in names(tmp_path):
        with pytest.raises(WeightsError, match=f"{name}: it was written by torch.save.*safetensors.torch.save_file"):
            load_weights(tmp_path / name)


def test_no_pickle_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "w").write_bytes(pickle.dumps(Trap(), protocol))
        with pytest.raises(WeightsError):
            load_weights(tmp_path / "w")
    assert names(tmp_path) == ["w"]


@pytest.mark.parametrize("load", [load_weights, load_checkpoint])
def test_no_file_there(tmp_path: Path, load: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*w; check the name"):
        load(tmp_path / "w")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        load(tmp_path)
    with pytest.raises(OSError, match="device"):
        load(os.devnull)


def test_a_loaded_file_is_closed_and_may_be_replaced(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", {"a": np.ones(1000)})
    found = load_weights(tmp_path / "w")[0]
    (tmp_path / "w").write_bytes(b"")  # would show, or crash, if the array were a map of the file
    assert (found["a"] == 1).all()
    if os.path.isdir("/proc/self/fd"):
        assert not any(os.path.realpath(f"/proc/self/fd/{fd}") == str(tmp_path / "w") for fd in os.listdir("/proc/self/fd"))


# -- whole or not at all -----------------------------------------------------------------------------------------------


def failing(error: BaseException) -> Any:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


class HalfWritten(io.FileIO):
    error: BaseException = OSError()

    def write(self, data: Any) -> int:
        super().write(data[: len(data) // 2])
        raise self.error


@pytest.mark.parametrize("where", ["os.fsync", "os.replace", "open", "write", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_a_failed_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException
) -> None:
    save_weights(tmp_path / "w", {"a": np.ones(3)})
    with monkeypatch.context() as patch:
        if where == "open":
            patch.setattr(files, "open", failing(error), raising=False)
        elif where == "write":
            patch.setattr(HalfWritten, "error", error)
            patch.setattr(files, "open", HalfWritten, raising=False)
        elif where == "chmod":
            patch.setattr(Path, "chmod", failing(error))
        else:
            patch.setattr(where, failing(error))
        with pytest.raises(type(error)) as caught:
            save_weights(tmp_path / "w", {"a": np.zeros(3)})
    if isinstance(caught.value, OSError):
        assert caught.value.errno == 28
        assert "w: No space left on device; what was there before is untouched. Make room" in str(caught.value)
    assert same(load_weights(tmp_path / "w")[0], {"a": np.ones(3)})
    assert names(tmp_path) == ["w"]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.open", failing(PermissionError(13, "Permission denied")))
    save_weights(tmp_path / "w", {"a": np.ones(3)})
    monkeypatch.undo()
    assert same(load_weights(tmp_path / "w")[0], {"a": np.ones(3)})


def test_the_folder_is_synced_after_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    fsync, replace = os.fsync, os.replace

    def synced(fd: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def replaced(a: Any, b: Any) -> None:
        done.append("replace")
        replace(a, b)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr("os.replace", replaced)
    save_weights(tmp_path / "w", {"a": np.ones(3)})
    assert done in (["file", "replace", "folder"], ["file", "replace"])


def run(code: str, path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", START + code, str(path), str(saving.__file__), str(Path(files.__file__).parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# The two modules alone: the packages take half a second to import.
START = """
import importlib.util, sys, time, types
import numpy as np
sys.modules["minigrad"] = core = types.ModuleType("minigrad")
core.__path__ = [sys.argv[3]]
spec = importlib.util.spec_from_file_location("saving", sys.argv[2])
saving = importlib.util.module_from_spec(spec)
spec.loader.exec_module(saving)
"""

FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
saving.save_weights(sys.argv[1], {"a": np.zeros(1000)})
try:
    saving.save_weights(sys.argv[1], {"a": np.zeros(10_000)})
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits are of POSIX")
def test_a_file_that_really_does_not_fit(tmp_path: Path) -> None:
    out, errors = run(FULL, tmp_path / "w").communicate(timeout=60)
    assert b"w: File too large; what was there before is untouched" in out, errors.decode()
    assert same(load_weights(tmp_path / "w")[0], {"a": np.zeros(1000)})
    assert names(tmp_path) == ["w"]


AGAIN_AND_AGAIN = """
i, start = 0, time.monotonic()
while time.monotonic() < start + 60:
    i += 1
    saving.save_checkpoint(sys.argv[1], {"a": np.full(100_000, float(i)), "b": np.full(7, i)}, {"i": i})
    if i == 1:
        print("saved", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """20 times; each time the file is one of those that were saved, and what is left over is taken away later."""
    rng = random.Random(0)
    processes = []
    for group in range(10):  # two at a time, to wait less for imports
        for i in (2 * group, 2 * group + 1):
            (tmp_path / str(i)).mkdir()
            processes.append(run(AGAIN_AND_AGAIN, tmp_path / str(i) / "c"))
        for process in processes[-2:]:
            assert process.stdout is not None
            assert process.stdout.readline() == b"saved\n"
        for process in processes[-2:]:
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    left = 0
    for i in range(20):
        folder = tmp_path / str(i)
        found, info = load_checkpoint(folder / "c")
        assert same(found, {"a": np.full(100_000, float(info["i"])), "b": np.full(7, info["i"])})
        unfinished = [name for name in names(folder) if name != "c"]
        assert all(re.fullmatch(r"\.minigrad-[0-9a-f]{16}-[0-9a-f]{12}\.tmp", name) for name in unfinished)
        left += len(unfinished)
        for name in unfinished:
            os.utime(folder / name, (time.time() - 3600,) * 2)
        save_weights(folder / "c", {})
        assert names(folder) == ["c"]
    print(f"{left} of 20 left an unfinished file")


def test_only_old_unfinished_files_of_its_own_name_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", failing(KeyboardInterrupt()))
        patch.setattr(Path, "unlink", failing(PermissionError()))
        for name in ("a", "b", "a"):
            with pytest.raises(KeyboardInterrupt):
                save_weights(tmp_path / name, {})
    first, *others = sorted((tmp_path / name for name in names(tmp_path)), key=lambda path: path.stat().st_mtime_ns)
    assert len(others) == 2
    os.utime(first, (time.time() - 3600,) * 2)
    save_weights(tmp_path / "a", {})
    assert names(tmp_path) == sorted(["a", *(path.name for path in others)])


def test_saves_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: save_weights(tmp_path / "w", {"a": np.full(1000, i)}), range(40)))
    found = load_weights(tmp_path / "w")[0]["a"]
    assert (found == found[0]).all()
    assert names(tmp_path) == ["w"]


# -- paths and permissions ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of POSIX")
def test_permissions_are_those_of_the_umask_or_of_the_old_file(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        save_weights(tmp_path / "w", {})
        assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o640
        (tmp_path / "w").chmod(0o600)
        save_weights(tmp_path / "w", {})
        assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for link in ("link", "dangling"):
        target = tmp_path / "folder" / f"of {link}"
        if link == "link":
            save_weights(target, {})
        try:
            (tmp_path / link).symlink_to(target)
        except OSError:
            pytest.skip("no links here")
        save_weights(tmp_path / link, {"a": np.ones(2)})
        assert (tmp_path / link).is_symlink()
        assert same(load_weights(target)[0], {"a": np.ones(2)})
        assert same(load_weights(tmp_path / link)[0], {"a": np.ones(2)})


def test_where_nothing_can_be_saved(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        save_weights(tmp_path, {})
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing; create it first"):
        save_weights(tmp_path / "missing" / "w", {})
    (tmp_path / "w").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save_weights(tmp_path / "w" / "w", {})
    with pytest.raises(OSError, match="device"):
        save_weights(os.devnull, {})
    assert names(tmp_path) == ["w"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"cannot save .*w: Permission denied.* choose another folder"):
            save_weights(tmp_path / "w", {})
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["größe \U0001f600.safetensors", "a[1-9]*?.x", "n" * 250, "-", ".hidden"])
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    for value in (1.0, 2.0):
        save_weights(tmp_path / name, {"a": np.array(value)})
    assert load_weights(tmp_path / name)[0]["a"] == 2
    assert names(tmp_path) == [name]


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def bfloat16(bits: np.ndarray) -> bytes:
    return packed({"w": entry([len(bits)], [0, 2 * len(bits)], "BF16")}, bits.astype("<u2").tobytes())


def test_bfloat16_becomes_float32_exactly(tmp_path: Path) -> None:
    bits = np.arange(2**16)
    (tmp_path / "w").write_bytes(bfloat16(bits))
    found = load_weights(tmp_path / "w")[0]["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view("u4"), bits << 16)
    assert found[0x3F80] == 1
    assert found[0xC049] == -3.140625


def test_torch_weights_load_here(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    files = pytest.importorskip("safetensors.torch")
    model = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    files.save_file(model.state_dict(), tmp_path / "w", {"format": "pt"})
    found, metadata = load_weights(tmp_path / "w")
    assert same(found, {name: value.numpy() for name, value in model.state_dict().items()})
    assert metadata == {"format": "pt"}
    others = {"f16": torch.randn(3).half(), "i": torch.tensor(3), "b": torch.tensor([True])}
    brain = torch.randn(50, dtype=torch.bfloat16)
    files.save_file({**others, "brain": brain}, tmp_path / "w")
    wanted = {name: value.numpy() for name, value in {**others, "brain": brain.float()}.items()}
    assert same(load_weights(tmp_path / "w")[0], wanted)


def test_our_weights_load_in_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    files = pytest.importorskip("safetensors.torch")
    model = torch.nn.LSTM(3, 4)
    state = {name: np.random.default_rng(0).normal(size=value.shape).astype("f4") for name, value in model.state_dict().items()}
    save_checkpoint(tmp_path / "w", {name: np.asfortranarray(a) for name, a in state.items()}, INFO)
    model.load_state_dict(files.load_file(tmp_path / "w"))
    assert same({name: value.numpy() for name, value in model.state_dict().items()}, state)
    save_weights(tmp_path / "all", arrays())
    assert same({name: value.numpy() for name, value in files.load_file(tmp_path / "all").items()}, arrays())


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save_are_named(tmp_path: Path, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.LSTM(3, 4).state_dict(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"w\.pt: it was written by torch\.save"):
        load_weights(tmp_path / "w.pt")
