"""An op and a public function are one entry: all names by which they are called are read from where they are defined."""

import ast
import graphlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg

PACKAGE = Path(mg.__file__).parent
TESTS = Path(__file__).parent.parent.parent
M = np.array([[0.4, 0.3], [0.1, 0.7]])
V = np.array([0.2, 0.9])

# -- names -----------------------------------------------------------------------------------------------------

NEW = """
copysign = elementwise(
    np.copysign, lambda x, y: np.sign(x) * np.sign(y), lambda x, y: 0 * x, domain=Domain(kinks=(0.0,)), analytic=False,
    method=True, doc="The absolute value of x with the sign of y.",
)  # fmt: skip
"""
LOOK = """
import runpy, sys
import numpy as np, pytest
import minigrad as mg
t = mg.tensor([3.0, -2.0], requires_grad=True)
assert "copysign" in mg.ops.TABLE and "copysign" in dir(mg)
for y in (mg.copysign(t, -1.0), np.copysign(t, -1.0), t.copysign(-1.0)):
    assert y.tolist() == [-3, -2]
    assert mg.grad(y.sum(), t).tolist() == [-1, 1]
stubs = runpy.run_path("tests/stubs.py")["texts"]()
assert "def copysign(x: Tensor, y: _Operand, /) -> Tensor: ..." in stubs["ops/__init__.pyi"]
assert "def copysign(self, y: _Operand, /) -> Tensor: ..." in stubs["tensor_methods.pyi"]
sys.exit(pytest.main(["tests", "-q", "-k", "copysign", "--collect-only", "-p", "no:cacheprovider"]))
"""


def test_an_op_is_added_by_an_edit_of_one_file(tmp_path: Path) -> None:
    """As a function, an operand of NumPy's function and a method, with types, and with the tests of every op."""
    shutil.copytree(PACKAGE, tmp_path / "minigrad", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for path in (TESTS / "conftest.py", TESTS / "stubs.py", TESTS / "minigrad/ops/conftest.py"):
        target = tmp_path / "tests" / path.relative_to(TESTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(TESTS / "minigrad/ops/test_table.py", tmp_path / "tests/minigrad/ops")
    with (tmp_path / "minigrad/ops/elementwise.py").open("a", encoding="utf-8") as file:
        file.write(NEW)
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("copysign") > 10  # laws over the table


def test_dir_shows_the_public_names_and_no_module_of_the_package() -> None:
    assert dir(mg) == sorted(mg.__all__)
    assert dir(mg.linalg) == sorted(mg.linalg.__all__)
    assert {path.stem for path in PACKAGE.glob("[a-z]*")} & set(dir(mg)) <= {"linalg", "ops", "tensor"}
    from minigrad import compiling, tensor  # submodules can be imported as before

    assert compiling.__name__ == "minigrad.compiling"
    assert callable(tensor)  # the function


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, modules: set[str]) -> set[str]:
    """The modules of the package that one imports when it is imported itself."""
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            found |= {name if (name := f"{base}.{alias.name}") in modules else base for alias in node.names}
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    paths = {module_of(path): path for path in PACKAGE.rglob("*.py")}
    graphlib.TopologicalSorter({name: imported(path, {*paths}) for name, path in paths.items()}).prepare()


# -- options with NumPy's own default --------------------------------------------------------------------------

OUT = {"axis": None, "out": None, "keepdims": False, "where": True}
CASTS = {"order": "K", "casting": "unsafe", "subok": True, "copy": True}
METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    **dict.fromkeys(("all", "any"), ((), OUT)),
    **dict.fromkeys(("argmax", "argmin"), ((), {"axis": None, "out": None, "keepdims": False})),
    **dict.fromkeys(("sum", "prod", "mean"), ((), {**OUT, "dtype": None})),
    **dict.fromkeys(("std", "var"), ((), {**OUT, "dtype": None, "ddof": 0})),
    **dict.fromkeys(("max", "min"), ((), OUT)),
    **dict.fromkeys(("cumsum", "cumprod"), ((), {"axis": None, "dtype": None, "out": None})),
    **dict.fromkeys(("copy", "flatten", "ravel"), ((), {"order": "C"})),
    **dict.fromkeys(("item", "tolist", "nonzero", "transpose"), ((), {})),
    "argpartition": ((1,), {"axis": -1, "kind": "introselect", "order": None}),
    "argsort": ((), {"axis": -1, "kind": None, "order": None}), "astype": (("float32",), CASTS),
    "clip": ((0.2, 0.5), {"out": None, "where": True, "casting": "same_kind", "order": "K", "subok": True}),
    "diagonal": ((), {"offset": 0, "axis1": 0, "axis2": 1}), "dot": ((M,), {"out": None}), "repeat": ((2,), {"axis": None}),
    "reshape": ((4,), {"order": "C"}), "round": ((), {"decimals": 0, "out": None}), "squeeze": ((), {"axis": None}),
    "searchsorted": ((0.5,), {"side": "left", "sorter": None}), "swapaxes": ((0, 1), {}),
    "take": (([0, 2],), {"axis": None, "out": None, "mode": "raise"}),
    "trace": ((), {"offset": 0, "axis1": 0, "axis2": 1, "dtype": None, "out": None}),
}  # fmt: skip


def shared_methods() -> set[str]:
    """Those that an array has as well."""
    names = [name for name in dir(np.ndarray) if not name.startswith("_") and hasattr(mg.Tensor, name)]
    return {name for name in names if callable(getattr(np.ndarray, name))}


def numbers(result: Any) -> Any:
    parts = result if isinstance(result, tuple) else (result,)
    return [np.asarray(x.detach() if isinstance(x, mg.Tensor) else x).tolist() for x in parts]


@pytest.mark.parametrize("name", sorted(shared_methods()))
def test_numpys_own_default_is_no_option_of_a_method(name: str) -> None:
    args, options = METHODS[name]
    x = {"item": np.array([0.5]), "searchsorted": V}.get(name, M)
    t = mg.tensor(x, requires_grad=True)
    expected = numbers(getattr(x, name)(*args))
    assert numbers(getattr(t, name)(*args)) == expected
    for option, value in options.items():
        assert numbers(getattr(x, name)(*args, **{option: value})) == expected
        assert numbers(getattr(t, name)(*args, **{option: value})) == expected


@pytest.mark.parametrize("name", [name for name, (_, options) in METHODS.items() if "out" in options])
def test_a_method_writes_no_tensor_that_requires_grad_into_an_array(name: str) -> None:
    t, (args, _) = mg.tensor(M, requires_grad=True), METHODS[name]
    if name not in {f.__name__ for f in mg.ops.PLAIN}:
        with pytest.raises(TypeError, match=rf"np\.{name} of a Tensor supports only out=None"):
            getattr(t, name)(*args, out=np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("call", "option"),
    [
        (lambda t: t.take([0], mode="clip"), "mode"),
        (lambda t: t.reshape(4, order="F"), "order"),
        (lambda t: t.astype(float, casting="safe"), "casting"),
        (lambda t: t.clip(0, 1, where=M > 0.3), "where"),
    ],
)  # fmt: skip
def test_an_option_that_means_something_and_is_not_there_is_an_error(call: Any, option: str) -> None:
    with pytest.raises(TypeError, match=f"of a Tensor supports only {option}="):
        call(mg.tensor(M))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.dot(M, outt=None), lambda t: t.clip(0, 1, maxx=None), lambda t: t.astype(float, oder=None),
        lambda t: mg.take(t, [0], axsi=None), lambda t: np.clip(t, 0, 1, minimum=3), lambda t: mg.trace(t, ofset=None),
    ],
)  # fmt: skip
def test_a_misspelt_option_is_an_error_whatever_its_value(call: Any) -> None:
    with pytest.raises(TypeError, match=r"has no option|unexpected keyword|invalid keyword"):
        call(mg.tensor(M))
