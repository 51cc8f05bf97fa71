"""Every function, ufunc and method of NumPy that meets a recorded array, with its options: compiled it gives on other values
what it gives itself, or it is refused by name."""

import functools
import inspect
import itertools
import os

import numpy as np
import pytest

import minigrad as mg
from minigrad.trees import tree_map

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
RUNS = (1, 2, 3) if THOROUGH else (1, 2)  # each with values of its own


class A:
    """The place of an array in arguments."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


@functools.cache
def arrays(seed):
    """Of one shape for each name, with values that differ from seed to seed: other ties, masks and orders, too."""
    random = np.random.default_rng(seed)
    square = random.standard_normal((3, 3))
    return {
        "x": np.round(random.standard_normal((3, 4)), 1), "y": random.uniform(0.1, 2, (3, 4)), "square": square,
        "positive": square @ square.T + np.eye(3), "v": np.round(random.standard_normal(5), 1), "w": random.uniform(0.1, 2, 5),
        "i": random.integers(0, 3, (3, 4)), "j": random.integers(0, 3, 5), "mask": random.random((3, 4)) < 0.5,
        "bits": random.random(5) < 0.5, "small": random.integers(-100, 100, (3, 4), dtype=np.int8),
        "single": random.standard_normal((3, 4)).astype(np.float32), "c": random.standard_normal(4) + 1j,
        "cube": random.standard_normal((2, 3, 4)), "sorted": np.sort(random.standard_normal(5)),
        "number": random.uniform(1, 2, ()),
        "bytes": random.integers(0, 255, 8, dtype=np.uint8), "k": random.integers(1, 3, ()),
    }  # fmt: skip


NAMES = tuple(arrays(0))
x, y, square, positive, v, w, i, j, mask, bits, small, single, c, cube, ordered, number, octets, k = map(A, NAMES)

PATTERNS = [  # of arguments: whatever NumPy takes is tried
    (x,), (v,), (i,), (j,), (mask,), (square,), (cube,), (c,), (small,), (single,), (x, y), (x, x), (v, w), (i, i),
    (square, square),
    (mask, mask), (c, c), (x, 2), (v, 2), (x, (4, 3)), (x, 1, 0), (x, (3, 4)), (x, [1, 2]), (v, j), (x, i), (mask, x),
    (bits, v),
    ([x, y],), ([v, w],), ([bits], [v]), (x, y, x), (v, w, v), (mask, x, y), (v, ordered, v), (v, ordered), (number,),
    (number, 2.0),
    (octets,), (x, np.float32), (x, number), (j, [v, w, v]), (j, (3, 3)), ((j, j), (3, 3)), (x, 0.5),
    (positive, v[:0] if False else 2),
]  # fmt: skip
OWN_PATTERNS = {
    "apply_along_axis": [(np.sum, 0, x), (np.sort, 1, x)],
    "apply_over_axes": [(np.sum, x, [0, 1])],
    "einsum": [("ij,ij->i", x, y), ("ij->ji", x), ("ii", square), ("ij,kj", x, y), (x, [0, 1], [1, 0])],
    "einsum_path": [("ij,jk", square, square)],
    "piecewise": [(v, [v, v], [1.0, 2.0]), (x, [mask], [np.sin, np.cos])],
    "select": [([mask, mask], [x, y]), ([mask], [x], 0.5)],
    "choose": [(j, [v, w, v])],
    "interp": [(v, ordered, w)],
    "block": [([[x, x], [y, y]],)],
    "tensordot": [(x, y), (x, square, ([0], [0]))],
    "kron": [(x, square)],
    "cross": [(square, square)],
    "pad": [(x, 1), (x, ((1, 0), (0, 2)))],
    "linspace": [(number, 3.0, 5), (v, w, 3)],
    "logspace": [(number, 3.0, 5)],
    "geomspace": [(number, 3.0, 5)],
    "solve": [(positive, square)],
    "lstsq": [(x, x), (square, square)],
    "inv": [(positive,)], "cholesky": [(positive,)], "tensorinv": [(positive, 1)], "tensorsolve": [(positive, [1.0, 2.0, 3.0])],
    "multi_dot": [([square, x],), ([square, square, x],)],
    "matrix_power": [(square, 3), (square, -1)],
    "histogram2d": [(v, w)], "histogramdd": [(x,)],
    "copyto": [(x, y)], "put": [(x, [0], [1.0])], "put_along_axis": [(x, i, y, 1)], "place": [(x, mask, [1.0])],
    "putmask": [(x, mask, y)], "fill_diagonal": [(x, 0.0)],
    "take_along_axis": [(x, i, 1)],
    "unravel_index": [(j, (3, 3))], "ravel_multi_index": [((j, j), (3, 3))],
    "savetxt": [("never", x)], "save": [("never", x)], "savez": [("never", x)], "savez_compressed": [("never", x)],
    "bincount": [(j,), (j, w)],
    "insert": [(x, 1, 5.0), (v, 2, w)],
    "delete": [(v, 1), (x, 1, 0)],
    "polyfit": [(ordered, v, 2)], "polyval": [(v, w)],
    "lexsort": [((v, w),)],
    "dsplit": [(cube, 2)],
    "shares_memory": [(x, y)], "may_share_memory": [(x, y)],
    "sliding_window_view": [(v, 2)],
    "as_strided": [],
    "mask_indices": [],
}  # fmt: skip
OPTIONS = {
    "axis": [0, 1, -1, None, (0, 1)], "keepdims": [True, False], "dtype": [None, np.float32, int, complex],
    "where": [mask, True, bits],
    "initial": [0.5, 0, None], "ddof": [0, 1], "correction": [1, 0], "order": ["C", "F", "A", "K"], "copy": [True, False, None],
    "casting": ["same_kind", "unsafe", "safe"], "subok": [True, False], "out": [None, x, v], "mean": [None],
    "overwrite_input": [False],
    "method": ["linear", "nearest"], "interpolation": [None], "kind": ["quicksort", "stable"], "stable": [None, True],
    "side": ["left", "right"],
    "sorter": [None], "mode": ["raise", "wrap", "clip", "full", "same", "edge", "reflect"], "weights": [None, y, w],
    "returned": [True],
    "bins": [3, "auto", ordered], "range": [None, (0, 1)], "density": [True], "full_matrices": [False], "compute_uv": [False],
    "hermitian": [False, True], "ord": [1, 2, np.inf, "fro"], "rcond": [1e-3], "k": [0, 1, -1], "offset": [0, 1],
    "decimals": [1],
    "n": [1, 2], "prepend": [0.0], "append": [number], "equal_nan": [True, False], "return_index": [True],
    "return_inverse": [True],
    "return_counts": [True], "assume_unique": [True], "invert": [True], "rowvar": [False], "bias": [True], "right": [True],
    "repeats": [2, [1, 2, 0]], "shift": [1, k], "axes": [(0, 1), (1, 0), None], "axis1": [0], "axis2": [1], "source": [0],
    "destination": [-1], "start": [0], "indices_or_sections": [2, [1, 2]], "nan": [0.5, number], "posinf": [1.0],
    "neginf": [-1.0],
    "a_min": [0.0], "a_max": [0.5], "min": [0.0, number], "max": [0.5], "ascending": [True], "increasing": [True], "N": [3],
    "norm": ["ortho", None], "s": [None, (2, 2)], "shape": [(4, 3), (2, 6), -1], "reps": [2, (2, 1)], "new_shape": [(2, 3)],
    "deg": [2], "rtol": [1e-2], "atol": [number], "edge_order": [1], "dx": [0.5], "x": [None], "bitorder": [None, "little"],
    "count": [5],
    "device": [None, "cpu"], "include_initial": [True], "upper": [True], "UPLO": ["U"], "minlength": [9, 3], "optimize": [True],
    "ndim": [2], "fill_value": [number, 2.5], "condition": [mask], "trim": ["fb"], "period": [None], "left": [0.0],
    "discont": [None],
    "indexing": ["ij"], "sparse": [True], "ddof_": [0], "tol": [1e-3], "endpoint": [False], "retstep": [True], "num": [4],
}  # fmt: skip


def namespaces():
    for prefix, module in (
        ("np", np), ("np.linalg", np.linalg), ("np.fft", np.fft), ("np.emath", np.emath), ("np.strings", np.strings),
        ("np.lib.stride_tricks", np.lib.stride_tricks), ("np.lib.array_utils", np.lib.array_utils),
    ):  # fmt: skip
        for name in sorted(dir(module)):
            yield f"{prefix}.{name}", name, getattr(module, name)


FUNCTIONS = {full: f for full, _, f in namespaces() if type(f).__name__ == "_ArrayFunctionDispatcher"}
NOT_OF_NUMBERS = {  # but of text or of dates
    *(full for full, _, _ in namespaces() if full.startswith("np.strings.")), "np.isnat", "np.is_busday", "np.busday_offset",
    "np.datetime_as_string",
}  # fmt: skip
UFUNCS = {full: f for full, _, f in namespaces() if isinstance(f, np.ufunc)}


def parameters(f):
    try:
        return inspect.signature(f).parameters
    except (TypeError, ValueError):
        return {}


def filled(tree, values):
    return tree_map(lambda a: values[a.name] if isinstance(a, A) else a, tree)


def places(tree):
    found = []
    tree_map(lambda a: found.append(a.name) if isinstance(a, A) else None, tree)
    return sorted(set(found))


def as_called(f, args, options):
    """A function of the arrays in arguments and options, and their names."""
    names = places((args, tuple(options.values())))

    def call(*given):
        values = dict(zip(names, given, strict=True))
        return f(*filled(args, values), **filled(options, values))

    return call, names


def outcome(call, given):
    with np.errstate(all="ignore"):
        try:
            return call(*given), None
        except Exception as error:
            return None, error


def assert_alike(found, wanted):
    if isinstance(wanted, tuple | list):
        assert isinstance(found, type(wanted))
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert_alike(a, b)
        return
    assert type(found) is type(wanted)
    a, b = np.asarray(found), np.asarray(wanted)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    if b.dtype.kind in "fc":
        np.testing.assert_allclose(a, b, rtol=1e-5 if b.itemsize <= 4 * (1 + (b.dtype.kind == "c")) else 1e-10, atol=1e-6)
    else:
        assert np.array_equal(a, b)


def check(name, f, args, options):
    """1 if the case is one: NumPy takes these arguments."""
    call, names = as_called(f, args, options)
    if not names:
        return 0
    runs = [[arrays(seed)[n] for n in names] for seed in RUNS]
    wanted = [outcome(call, [a.copy() for a in given]) for given in runs]
    if any(error is not None for _, error in wanted):
        return 0
    for batch in (True, False) if THOROUGH else (True,):
        compiled = mg.compile(call, batch=batch)
        for given, (value, _) in zip(runs, wanted, strict=True):
            try:
                with np.errstate(all="ignore"):
                    found = compiled(*[a.copy() for a in given])
            except mg.CompileError as error:
                refused = str(error)
                names = {name, f.__name__, getattr(getattr(f, "__self__", None), "__name__", name)}
                named = any(n in refused for n in names) or has_lists(args)  # a list of arrays is not seen by functions in C
                if not named:
                    raise AssertionError(f"{name} is not named: {refused}") from error
                return 1
            assert_alike(found, value)
    return 1


def has_lists(args):
    return any(isinstance(x, list) for x in args)


def cases_of(f, name):
    """Arguments and options that may be some; whether they are, NumPy decides."""
    random = np.random.default_rng(len(name))
    values = arrays(1)
    valid = []
    for args in OWN_PATTERNS.get(name, PATTERNS):
        call, names = as_called(f, args, {})
        if outcome(call, [values[n].copy() for n in names])[1] is None:
            valid.append(args)
            yield args, {}
    known = [p for p in parameters(f) if p in OPTIONS]
    ones = [{p: value} for p in known for value in OPTIONS[p]]
    pairs = [{**a, **b} for a, b in itertools.combinations(ones, 2) if a.keys() != b.keys()]
    random.shuffle(pairs)
    for options in [*ones, *pairs[: len(pairs) if THOROUGH else 1]]:
        for k in random.permutation(len(valid))[: len(valid) if THOROUGH else 1]:
            yield valid[k], options


def tried(name, f):
    return sum(check(name, f, args, options) for args, options in cases_of(f, name))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("full", FUNCTIONS)
def test_functions(full, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where np.save and its like write
    name = full.rpartition(".")[2]
    assert tried(name, FUNCTIONS[full]) or full in NOT_OF_NUMBERS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("full", UFUNCS)
def test_ufuncs_and_their_methods(full):
    ufunc, name = UFUNCS[full], full.rpartition(".")[2]
    operands = [
        [x, y, square, v, i, mask, small, single, number, 2, 2.5],
        [x, y, square, 2, i, mask, v, small, 0.5, number, single],
    ]
    patterns = list(itertools.product(*operands[: ufunc.nin])) if ufunc.nin < 3 else [(x, y, 2.0), (v, w, v), (i, 0, 2)]
    options = [{}, {"dtype": np.float64}, {"casting": "unsafe", "dtype": np.float32}, {"order": "F"},
    {"where": True, "out": None},
               {"where": mask}, {"out": x}, {"subok": False}, {"axis": -1}, {"keepdims": True},
               {"axes": [-1, -1, -1]}]  # fmt: skip
    n = 0
    for k, args in enumerate(patterns if THOROUGH else patterns[:: 9 if ufunc.nin == 2 else 1]):
        for given in options if THOROUGH or k == 0 else [{}]:
            n += check(name, ufunc, args, given)
    if ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None:
        for args in [(x,), (small,), (mask,), (i,), (number,)][:: 1 if THOROUGH else 2]:
            for given in [{}, {"axis": None}, {"axis": 1}, {"axis": (0, 1)}, {"axis": -1, "keepdims": True},
            {"dtype": float, "axis": 0},
                          {"initial": 1}, {"where": mask, "initial": 2}, {"where": True, "out": None, "initial": None},
                          {"out": v}]:  # fmt: skip
                n += check(name, ufunc.reduce, args, given)
            for given in [{}, {"axis": 1}, {"dtype": float}, {"out": x}]:
                n += check(name, ufunc.accumulate, args, given)
        n += (
            check(name, ufunc.outer, (v, w), {})
            + check(name, ufunc.outer, (j, 2), {})
            + check(name, ufunc.outer, (v, w), {"dtype": float})
        )
        n += check(name, ufunc.reduceat, (x, [0, 2]), {}) + check(name, ufunc.reduceat, (x, [0, 2, 1]), {"axis": 1})
        n += check(name, ufunc.at, (v, [0, 1], w), {}) + check(name, ufunc.at, (v, j, 2.0), {})
    assert n or full in NOT_OF_NUMBERS


# -- methods and attributes --------------------------------------------------------------------------------------

IN_METHODS = {
    "argpartition": [(2,)], "astype": [(np.float32,), (int,), (bool,)], "choose": [], "clip": [(-0.5, 0.5), (None, 0.5)],
    "compress": [([True, False, True],)],
    "dot": [(v,), (2.0,)], "getfield": [(np.float32,)], "item": [(), (0,)], "partition": [(1,)], "put": [([0], [1.0])],
    "fill": [(1.0,)],
    "repeat": [(2,), ([1, 2, 0],)], "reshape": [(-1,), ((4, 3),), (4, 3), (2, 6)], "resize": [((2, 2),)], "round": [(), (1,)],
    "searchsorted": [(0.5,), (w,)], "setfield": [(1.0, float)], "swapaxes": [(0, 1), (-1, 0)], "take": [([1, 0],), (j,)],
    "transpose": [(), (1, 0), ((1, 0),), (None,)],
    "view": [(), (np.int64,), (np.float32,)], "tofile": [], "dump": [], "to_device": [("cpu",)], "setflags": [(), (True,)],
}  # fmt: skip
IN_OPTIONS = {
    "astype": [{"dtype": np.float32, "copy": False}, {"dtype": np.float32, "order": "F"}, {"dtype": float, "casting": "safe"}],
    "clip": [{"min": 0.0}, {"max": 0.5}, {"min": -0.1, "max": 0.1}], "transpose": [],
    "reshape": [{"order": o} for o in "CFA"] + [{"copy": c} for c in (True, False)],
}  # fmt: skip
IN_KEYWORDS = {  # which have no signature to look them up in
    **dict.fromkeys(("sum", "prod", "max", "min", "all", "any"), ("axis", "keepdims", "dtype", "out", "where", "initial")),
    **dict.fromkeys(("mean", "var", "std"), ("axis", "keepdims", "dtype", "out", "where", "ddof", "correction", "mean")),
    **dict.fromkeys(("cumsum", "cumprod"), ("axis", "dtype", "out")),
    **dict.fromkeys(("argmax", "argmin"), ("axis", "keepdims", "out")),
    **dict.fromkeys(("argsort", "sort"), ("axis", "kind", "order", "stable")), "copy": ("order",), "flatten": ("order",),
    "ravel": ("order",),
    "take": ("axis", "mode", "out"), "repeat": ("axis",), "squeeze": ("axis",), "diagonal": ("offset", "axis1", "axis2"),
    "trace": ("offset", "axis1", "axis2", "dtype"), "round": ("decimals", "out"), "searchsorted": ("side",), "dot": ("out",),
    "compress": ("axis", "out"), "argpartition": ("axis", "kind"), "partition": ("axis",), "tobytes": ("order",),
}  # fmt: skip
METHODS_OF_ARRAYS = [name for name in sorted(dir(np.ndarray)) if not name.startswith("__")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METHODS_OF_ARRAYS)
def test_methods_and_attributes_of_arrays(name):
    n = 0
    for own in (x, c, number, v, cube, mask, small, square)[: 8 if THOROUGH else 3]:
        member = getattr(np.ndarray, name)
        if not callable(member):
            n += check(name, lambda array: getattr(array, name), (own,), {})
            continue

        def called(array, *args, **options):
            return getattr(array, name)(*args, **options)

        keywords = [{p: value} for p in IN_KEYWORDS.get(name, ()) for value in OPTIONS[p]]
        for options in [{}, *IN_OPTIONS.get(name, []), *keywords]:
            for args in IN_METHODS.get(name, [()]) if not options or name not in IN_OPTIONS else [()]:
                n += check(name, called, (own, *args), options)
    assert n or name in ("tofile", "dump", "choose")
