"""Names that other libraries' arrays have: a Tensor has them, or says what to write."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

x = mg.tensor([[3.0, 1.0, 2.0], [1.0, 5.0, 4.0]], requires_grad=True)
FOLDER = Path(mg.__file__).parent.parent
ONLY_NUMPYS = {"byteswap", "getfield", "setfield", "setflags"}

PYTORCH = {
    "view": "t.reshape", "unsqueeze": "np.expand_dims", "permute": "t.transpose", "numel": "t.size",
    "masked_fill": "np.where", "gather": "np.take_along_axis", "chunk": "np.array_split", "split": "np.split", "cpu": "CPU",
    "cuda": "CPU", "to": "t.astype", "float": "t.astype", "double": "t.astype", "half": "t.astype", "long": "astype",
    "int": "astype", "bool": "astype", "zero_": "t.data = np.zeros", "copy_": "t.data =", "fill_": "t.data = np.full",
    "add_": "t.data =", "t": "t.T", "mm": "t @ x", "bmm": "t @ x", "cat": "np.concatenate", "norm": "np.linalg.norm",
    "clone": "t.copy()", "dim": "t.ndim", "clamp": "t.clip", "requires_grad_": "t.requires_grad = True",
    "retain_grad": "minigrad.grad", "grad_fn": "minigrad.Graph", "eq": "t == x", "expand": "np.broadcast_to",
    "topk": "np.sort", "sort": "np.sort", "isnan": "np.isnan(t)", "floor": "np.floor(t)", "erf": "minigrad.erf(t)",
    "arctan2": "np.arctan2(t)", "unbind": "list(t)", "contiguous": "leave", "pow": "t ** n", "index_select": "np.take",
    "where": "np.where", "device": "CPU", "add": "t + x", "mul": "t * x", "tril": "np.tril(t)",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in dir(np.ndarray) if not name.startswith("_")])
def test_every_name_of_an_array_is_there_or_has_a_hint(name: str) -> None:
    if name in ONLY_NUMPYS:
        return
    if not hasattr(x, name):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; write "):
            getattr(x, name)


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorchs_names_have_a_hint(name: str) -> None:
    hint = PYTORCH[name]
    with pytest.raises(AttributeError) as error:
        getattr(x, name)
    assert f"'Tensor' object has no attribute '{name}'" in str(error.value)
    assert ("t; " if hint == "leave" else hint) in str(error.value)
    assert not hasattr(x, name)


def test_a_misspelt_name_finds_the_right_one_and_hints_are_no_attributes() -> None:
    for wrong, right in {
        "tanhh": "tanh",
        "backwards": "backward",
        "require_grad": "requires_grad",
        "reshpe": "reshape",
    }.items():
        code = f"import minigrad; minigrad.tensor([1.0]).{wrong}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FOLDER)
        assert f"'Tensor' object has no attribute '{wrong}'. Did you mean: '{right}'?" in done.stderr  # Python's own words
    assert not {"view", "zero_", "isnan", "unsqueeze"} & set(dir(x))
    assert {"reshape", "data", "grad", "__add__"} <= set(dir(x))
    with pytest.raises(AttributeError, match=r"'Parameter' object has no attribute 'view'; write t\.reshape"):
        rnn.Parameter([1.0]).view  # noqa: B018


def test_size_is_a_number_and_a_call_of_it_says_what_to_write() -> None:
    assert x.size == 6
    assert isinstance(x.size, int)
    assert repr(x.size) == "6"
    for arguments in ((), (0,)):
        with pytest.raises(TypeError, match=r"t\.shape, for t\.size\(0\) t\.shape\[0\]"):
            x.size(*arguments)  # type: ignore[operator]


def calls() -> dict[str, Any]:
    return {
        "any": lambda t: t.any(axis=1, keepdims=True), "all": lambda t: t.all(), "argsort": lambda t: t.argsort(0),
        "argpartition": lambda t: t.argpartition(1), "argmax": lambda t: t.argmax(axis=1, keepdims=True),
        "argmin": lambda t: t.argmin(keepdims=True), "nonzero": lambda t: t.nonzero(), "round": lambda t: t.round(1),
        "searchsorted": lambda t: t[0].searchsorted(2.5), "mT": lambda t: t.mT, "copy": lambda t: t.copy(),
        "0": lambda t: round(t, 1),
        "1": lambda t: 2.5 // t, "2": lambda t: t // 2, "3": lambda t: divmod(t, 2), "4": lambda t: divmod(7, t),
        "5": lambda t: np.ones(3) // t, "6": lambda t: t == "a", "7": lambda t: t != "a", "8": lambda t: t == 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", calls())
def test_methods_and_operators_give_what_an_array_gives(name: str) -> None:
    call = calls()[name]
    given, expected = call(x), call(NumPys(x.numpy()) if name == "0" else x.numpy().copy())
    given, expected = (v if isinstance(v, tuple) else (v,) for v in (given, expected))
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_array_equal(a.detach().numpy() if isinstance(a, mg.Tensor) else a, b)


class NumPys(np.ndarray):
    """An array that can be rounded by Python's own function."""

    def __new__(cls, array: np.ndarray) -> Any:
        return array.view(cls)

    def __round__(self, decimals: int = 0) -> Any:
        return np.round(self, decimals)


def test_a_copy_lets_the_gradient_through() -> None:
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    (w.copy() * 3).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [3, 3]


def test_formats() -> None:
    assert f"{mg.tensor([0.12345, -2]):.3f}" == "[0.123, -2.000]"
    assert f"{mg.tensor([[1.0], [2.5]]):.1e}" == "[[1.0e+00],\n [2.5e+00]]"
    assert f"{mg.tensor([1, 20]):3d}" == "[  1,  20]"
    with pytest.raises(ValueError, match="Unknown format code 'd'"):
        f"{mg.tensor([1.0, 2.0]):d}"
