"""The kinds of op. An op is one entry of the table: its forward function and its local derivatives.

elementwise
    a ufunc, and one partial derivative per operand: ``1``, ``-1``, or a function. The engine multiplies it by the
    cotangent.
linear
    a forward function that is linear in each operand, and for each operand its transpose.
general
    a forward function, and for each operand the vector-Jacobian product.

A rule's parameter names say what it needs, and so what is kept until the backward pass:

=============  ==================================================================
``g``          the cotangent of the result (transposes and vector-Jacobian products)
``asked``      which of its elements were asked for, None for all (see `minigrad.selection`)
``out``        the result
``x``          the operand of that name in the forward function
``x_shape``    its shape only: the array is not kept
``axis``       an option (keyword-only parameter) of that name of the forward function
``i``          which operand, in an op that takes any number of them (``*arrays``)
``arrays``     all of these operands
``shapes``     their shapes only
=============  ==================================================================

``None`` in place of a rule marks an operand that is not differentiated: a condition, class indices. There a tensor that
requires grad is an error.
A rule is plain NumPy code and runs on arrays and on Tensors alike; on Tensors it records itself, and so there are
derivatives of any order. Un-broadcasting and dtypes are not its business: the sweep sees to both. Of a float16 result it
runs in float32 (`in_single`).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..arrays import array_of
from ..errors import LeavesGraphError
from ..graph import CURRENT, DEBUG, NO_OPTIONS, RECORDING, WATCH, Gather, Leaf, Node, add_note, next_number, reverse
from ..standin import RECORDER, Standin, known
from ..tensor import Tensor, lifted, wrap
from .entry import Entry

__all__ = ["POSITIVE", "REAL", "Domain", "Op", "apply", "elementwise", "general", "linear"]

ndarray = np.ndarray
ARRAYS = (Tensor, ndarray, Standin)
SCALARS = (float, int, type(None))  # kept in a node as they are
current = CURRENT.get
HALF = np.dtype(np.float16)
UNCHANGED = contextlib.nullcontext()

Rule = Callable[..., Any]
Keeper = Callable[[Any, Sequence[Any]], tuple[Any, ...]]
Run = Callable[..., Any]
Pullback = Callable[..., Any]  # of g, node, saved, i, and what is asked of g


class Domain(NamedTuple):
    """The numbers with which an op may be tested: between `low` and `high`, away from its kinks."""

    low: float = -np.inf
    high: float = np.inf
    kinks: tuple[float, ...] = ()  # points where the derivative jumps
    ties: bool = False  # the derivative also jumps where two of its values are equal


REAL = Domain()
POSITIVE = Domain(low=0.0)


class Op:
    """One entry of the table."""

    __slots__ = (
        "_keepers",
        "analytic",
        "core",
        "domain",
        "forward",
        "gather_limit",
        "gathers",
        "kind",
        "multilinear",
        "name",
        "nan_wins",
        "operands",
        "options",
        "pullbacks",
        "rules",
        "run",
        "selects",
        "singular",
        "symbol",
        "variadic",
        "weak",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        kind: str,
        forward: Callable[..., Any],
        rules: Sequence[Rule | int | None],
        *,
        operands: tuple[str, ...],
        options: tuple[str, ...] = (),
        variadic: bool = False,
        domain: Domain,
        analytic: bool = True,
        symbol: str | None = None,
        gathers: dict[int, Gather] | Callable[[Node], dict[int, Gather]] | None = None,
        gather_limit: int | None = None,
        singular: bool = False,
        selects: bool | str = False,
        nan_wins: bool = False,
        multilinear: bool | None = None,
        core: tuple[int, int] | None = None,
        weak: bool | None = None,
    ) -> None:
        if len(rules) != len(operands):
            raise TypeError(f"{name} has the operands ({', '.join(operands)}) and {len(rules)} rules; each needs one")
        self.name = name
        self.kind = kind
        self.forward = forward
        self.rules = tuple(rules)
        self.operands = operands
        self.options = options
        self.variadic = variadic
        self.domain = domain
        self.analytic = analytic  # the complex step may check it
        self.symbol = symbol or name
        # By operand: what its many uses in this op send it, computed at once. Or a function of a node, for what pays.
        self.gathers = gathers or {}
        self.gather_limit = gather_limit  # of at most so many uses, for they keep their arrays alive
        self.singular = singular  # a derivative of some order may be infinite where the function is not
        self.selects = selects  # it leaves something out; or the option that is the index of what it takes
        self.nan_wins = nan_wins  # what it leaves out is a number: a NaN is the result
        self.multilinear = kind == "linear" if multilinear is None else multilinear  # its rules are products with operands
        self.core = core  # how many trailing axes of an operand and of the result it mixes; None: all, or those of `axis`
        # Whether Python numbers stay such, and so do not promote.
        self.weak = kind == "elementwise" and len(operands) > 1 if weak is None else weak
        self.pullbacks: tuple[Pullback | None, ...] = tuple(self._bind(rule) for rule in self.rules)
        self._keepers: dict[tuple[bool, ...], tuple[tuple[bool, ...], Keeper]] = {}
        self.run: Run = written_out(self) if not variadic else lambda *arrays, **options: apply(self, arrays, options)

    def kept(self, wants: tuple[bool, ...]) -> tuple[bool, ...]:
        """Which of (out, \\*operands) are kept when the operands of which `wants` is true require grad."""
        rules = self.rules if self.variadic else [r for r, want in zip(self.rules, wants, strict=True) if want]
        used = {name for rule in rules for name in needed_names(rule)}
        names = self.operands * len(wants) if self.variadic else self.operands  # of *arrays all or none
        return tuple([name in used for name in ("out", *names)])

    def keeper(self, wants: tuple[bool, ...]) -> tuple[tuple[bool, ...], Keeper]:
        """`kept`, and the function (out, arrays) -> what is kept, with None in the place of what is not."""
        found = self._keepers.get(wants)
        if found is None:
            for operand, rule, want in zip(self.operands, self.rules, wants, strict=False):
                if want and rule is None:
                    raise LeavesGraphError(
                        f"{self.name} has no derivative by {operand}, which requires grad here; give it {operand}.detach()"
                    )
            mask = self.kept(wants)
            kept = ["out" if mask[0] else "None", *(f"arrays[{i}]" if k else "None" for i, k in enumerate(mask[1:]))]
            found = self._keepers[wants] = mask, eval(f"lambda out, arrays: ({', '.join(kept)})")
        return found

    def pushforward(self, i: int, t: Any, node: Node, saved: tuple[Any, ...]) -> Any:
        """What the tangent `t` of operand i adds to that of the result: the partial derivative, or the transposed rule."""
        pullback = self.pullbacks[0 if self.variadic else i]
        if pullback is None:
            raise TypeError(f"{self.name} is not differentiated by its operand {i + 1}")
        if self.kind == "elementwise":
            return pullback(np.broadcast_to(t, node.shape), node, saved, i)
        g = Tensor(np.zeros(node.shape, np.float32 if node.dtype is HALF else node.dtype), requires_grad=True)
        record = isinstance(t, Tensor) or any(isinstance(x, Tensor) for x in saved)
        c = pullback(
            g, node, tuple(wrap(x) if isinstance(x, ndarray | Standin) and not isinstance(x, Tensor) else x for x in saved), i
        )
        if not isinstance(c, Tensor) or c._node is None:
            return np.zeros(node.shape, node.dtype)
        seed = np.broadcast_to(t, c.shape)
        lift = lifted if record else None
        # Without marks, to which the partial derivatives would be constant factors, and their zeros masks.
        found = reverse(c._node, seed, {g._node}, retain=record, lift=lift, mark=False)  # type: ignore[arg-type]
        return found[g._node] if g._node in found else np.zeros(node.shape, node.dtype)

    def mixed(self, own: Any, x_shape: tuple[int, ...], options: dict[str, Any]) -> Any:
        """The elements of an operand of this shape that meet one of the result for which `own` is true."""
        ndim = len(x_shape)
        if self.core is not None:
            here, there = self.core
            own = np.any(own, axis=tuple(range(own.ndim - there, own.ndim)))[(..., *(None,) * here)]
        elif "axis" in options:
            axis = options["axis"]
            axes = np.lib.array_utils.normalize_axis_tuple(range(ndim) if axis is None else axis, ndim)
            if own.ndim < ndim:
                own = np.expand_dims(own, axes)
            own = np.any(own, axis=axes, keepdims=True)
        else:
            own = np.any(own)
        return np.broadcast_to(own, np.broadcast_shapes(own.shape, x_shape))

    def _bind(self, rule: Rule | int | None) -> Pullback | None:
        """Turn a rule into a function of (g, node, saved, i, asked), looking up what its parameter names ask for."""
        if rule is None:
            return None
        if rule == 1:
            return lambda g, node, saved, i, asked=None: g
        if rule == -1:
            return lambda g, node, saved, i, asked=None: -g
        where = {"out": "saved[0]"} if self.kind == "elementwise" else {"g": "g", "out": "saved[0]"}
        if self.variadic:
            where["i"] = "i"
        for k, name in enumerate(self.operands):
            where[name] = "saved[1:]" if self.variadic else f"saved[{k + 1}]"
            where[f"{name}_shape"] = f"node.operands[{k}].shape"
        if self.variadic:
            where["shapes"] = "[x.shape for x in node.operands]"
        for name in self.options:
            where[name] = f"node.options[{name!r}]"
        if self.kind != "elementwise":
            where["asked"] = "asked"
        names = needed_names(rule)
        unknown = [name for name in names if name not in where]
        if unknown:
            raise TypeError(f"op {self.name}: a rule asks for {unknown[0]!r}; it may ask for {', '.join(where)}")
        call = f"rule({', '.join(where[name] for name in names)})"
        if self.kind == "elementwise":
            call = f"g * {call}"
        # Compiled once an op: it costs half of what looking the names up at each call would.
        plain = eval(f"lambda g, node, saved, i, asked: {call}", {"rule": rule})
        scope = {"rule": rule, "HALF": HALF, "in_single": in_single, "plain": plain}
        return eval(  # type: ignore[no-any-return]
            f"lambda g, node, saved, i, asked=None: {call} if node.dtype is not HALF "
            "else in_single(plain, g, node, saved, i, asked)",
            scope,
        )

    def __repr__(self) -> str:
        return f"<Op {self.name}: {self.kind}>"


def in_single(pullback: Pullback, g: Any, node: Node, saved: tuple[Any, ...], *rest: Any) -> Any:
    """The rule of a float16 result, in float32: squares, counts and reciprocals soon leave the range of float16. The sweep
    casts what comes out."""
    saved = tuple([None if x is None else at_least_single(x) for x in saved])
    return pullback(at_least_single(g), node, saved, *rest)


def needed_names(rule: Rule | int | None) -> tuple[str, ...]:
    if isinstance(rule, np.ufunc):  # whose signature is NumPy's own, with `out` and `where`
        return ("x", "y")[: rule.nin]
    return tuple(inspect.signature(rule).parameters) if callable(rule) else ()


# -- running an op ---------------------------------------------------------------------------------------------


def apply(op: Op, operands: Sequence[Any], options: dict[str, Any] = NO_OPTIONS) -> Any:
    """Run `op` on its operands, and record it if one of them requires grad.

    Arrays in, array out; with a Tensor among the operands, Tensor out.
    """
    arrays: list[Any] = []
    nodes: list[Any] = []
    tensors = 0
    paused, place = current()
    recorder = RECORDER.get() if paused >= RECORDING else None
    for x in operands:
        if isinstance(x, Tensor):
            tensors += 1
            arrays.append(x._data if recorder is None else recorder.cell(x))
            nodes.append(x._node)
        elif isinstance(x, Standin):
            arrays.append(x)
            nodes.append(None)
        else:
            array = x if type(x) is ndarray or x is None or (op.weak and isinstance(x, SCALARS)) else array_of(x)
            arrays.append(array if recorder is None else known(array))
            nodes.append(None)
    try:
        with np.errstate(all="ignore") if paused >= DEBUG else UNCHANGED:  # debug mode has better words than NumPy's warning
            out = op.forward(*arrays, **options)
    except Exception as error:
        add_note(error, f"in {op.name}", arrays, place)
        raise
    if not tensors:
        return out
    if type(out) is not ndarray and not isinstance(out, Standin):
        out = np.asarray(out)
    recorded = any(nodes)
    if out.dtype.kind != "f" and (recorded or out.dtype.kind not in "biu"):
        raise TypeError(not_real(op, out.dtype))
    if paused % DEBUG or not recorded:
        made = wrap(out)
        if not paused % DEBUG:
            made._leaf = inherited(operands, made._data)
        return watched(op, arrays, made) if DEBUG <= paused < RECORDING else made

    keep, keeper = op.keeper(tuple([node is not None for node in nodes]))
    for i, x in enumerate(operands):
        if nodes[i] is not None:
            continue
        if isinstance(x, Tensor):
            nodes[i] = x._leaf or x._constant()
        elif isinstance(arrays[i], Standin):
            nodes[i] = Leaf(arrays[i], requires_grad=False) if hasattr(arrays[i], "shape") else None
        elif x is None or (op.weak and isinstance(x, SCALARS)) or not hasattr(arrays[i], "shape"):
            nodes[i] = x
        else:  # somebody else's array: if a rule will need it, it must not change until then
            if keep[i + 1]:
                arrays[i] = np.array(x)
            nodes[i] = Leaf(arrays[i], requires_grad=False)
    made = wrap(out, Node(op, tuple(nodes), options, keeper(out, arrays), out.shape, out.dtype, place))
    if recorder is not None:
        recorder.note(made._node, out)
    return watched(op, arrays, made) if DEBUG <= paused < RECORDING else made


def inherited(operands: Sequence[Any], out: np.ndarray) -> Leaf | None:
    """What stands for the result of an op on constants: whatever says that there was a graph, and is none."""
    for x in operands:
        if isinstance(x, Tensor) and x._leaf is not None and (leaf := x._leaf.of(out)) is not None:
            return leaf
    return None


def watched(op: Op, arrays: list[Any], made: Tensor) -> Tensor:
    """Show a result to debug mode."""
    for watch in WATCH:
        watch.made(op.name, arrays, made._data, made._node, current()[1])
    return made


# `apply` for operands that are all Tensors, with no loop and no call of a constructor: 1.0 instead of 2.2 µs for an
# 8x32 multiply, of which NumPy's own multiply takes 0.4.
WRITTEN_OUT = """
def run({names}{options}):
    if {all_tensors}:
        paused, place = current()
        if paused >= DEBUG:
            return apply(op, ({names},), {node_options})
        {take_arrays}
        try:
            out = forward({arrays}{pass_options})
        except Exception as error:
            add_note(error, "in " + op.name, ({arrays},), place)
            raise
        if type(out) is not ndarray:
            out = asarray(out)
        dtype = out.dtype
        {take_nodes}
        if dtype.kind != "f" and not ({none_recorded} and dtype.kind in "biu"):
            raise TypeError(not_real(op, dtype))
        made = new(Tensor)
        made._data = out
        made._node = made._leaf = None
        if not paused:
            if {all_recorded}:
                saved = ({saved},)
            elif {none_recorded}:
                if {a_leaf}:
                    made._leaf = inherited(({names},), out)
                return made
            else:
                saved = op.keeper(({wants},))[1](out, ({arrays},))
                {take_constants}
            made._node = node = new_node(Node)
            node.op = op
            node.operands = ({nodes},)
            node.options = {node_options}
            node.saved = saved
            node.shape = out.shape
            node.dtype = dtype
            node.scope = place
            node.number = next_number()
            node.name = None
        return made
    if {all_arrays}:
        return forward({names}{pass_options})
    return apply(op, ({names},), {node_options})
"""


def written_out(op: Op) -> Callable[..., Any]:
    names = op.operands
    keep_out, *keep = op.kept((True,) * len(names))
    source = WRITTEN_OUT.format(
        names=", ".join(names),
        options=", options" if op.options else "",
        all_tensors=" and ".join(f"isinstance({x}, Tensor)" for x in names),
        all_arrays=" and ".join(f"type({x}) is ndarray" for x in names),
        take_nodes="; ".join(f"{x}_node = {x}._node" for x in names),
        all_recorded=str(None not in op.rules and " and ".join(f"{x}_node is not None" for x in names)),
        none_recorded=" and ".join(f"{x}_node is None" for x in names),
        a_leaf=" or ".join(f"{x}._leaf is not None" for x in names),
        wants=", ".join(f"{x}_node is not None" for x in names),
        take_constants="; ".join(f"{x}_node = {x}_node or {x}._leaf or {x}._constant()" for x in names),
        take_arrays="; ".join(f"{x}_array = {x}._data" for x in names),
        arrays=", ".join(f"{x}_array" for x in names),
        pass_options=", **options" if op.options else "",
        nodes=", ".join(f"{x}_node" for x in names),
        node_options="options" if op.options else "NO_OPTIONS",
        saved=", ".join(
            ["out" if keep_out else "None", *(f"{x}_array" if k else "None" for x, k in zip(names, keep, strict=True))]
        ),
    )
    namespace: dict[str, Any] = {
        "op": op, "forward": op.forward, "apply": apply, "add_note": add_note, "not_real": not_real, "current": CURRENT.get,
        "Tensor": Tensor, "new": Tensor.__new__, "Node": Node, "new_node": Node.__new__, "next_number": next_number,
        "ndarray": ndarray, "asarray": np.asarray, "NO_OPTIONS": NO_OPTIONS, "DEBUG": DEBUG,
        "inherited": inherited, "__name__": __name__,
    }  # fmt: skip
    filename = f"<minigrad {op.name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)  # for tracebacks
    exec(compile(source, filename, "exec"), namespace)
    return namespace["run"]  # type: ignore[no-any-return]


def shape_of(x: Any) -> tuple[int, ...]:
    """np.shape, which asks a Tensor through __array_function__, 2 µs later."""
    return x.shape if isinstance(x, ARRAYS) else np.shape(x)


def floating(x: Any) -> Any:
    """An array of integers or booleans as one of floats, others as they are."""
    return x if x.dtype.kind == "f" else x.astype(float)


def at_least_single(x: Any) -> Any:
    """An array of float16 as one of float32, anything else as it is."""
    return x.astype(np.float32) if getattr(x, "dtype", None) == HALF else x


def by_way_of_single(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward function that adds up on the way: of float16 computed in float32, and the result cast."""

    @functools.wraps(forward)
    def run(x: Any, *others: Any, **options: Any) -> Any:
        if x.dtype is not HALF:
            return forward(x, *others, **options)
        return forward(x.astype(np.float32), *others, **options).astype(HALF)

    return run


def not_real(op: Op, dtype: np.dtype[Any]) -> str:
    if dtype.kind in "biu":
        return (
            f"{op.name} of a tensor that requires grad came out as {dtype}, which cannot be differentiated. "
            "Compute on .detach() if you do not need the gradient"
        )
    what = "complex numbers are" if dtype.kind == "c" else "this dtype is"
    return f"{op.name} came out as {dtype}: {what} not supported, only real numbers are"


# -- making ops ------------------------------------------------------------------------------------------------


class Elementwise(Protocol):
    """The public function of an elementwise op."""

    __name__: str
    op: Op
    entry: Entry

    def __call__(self, *operands: Any) -> Any: ...


def elementwise(
    ufunc: Callable[..., Any],
    *partials: Rule | int | None,
    doc: str,
    domain: Domain,
    name: str | None = None,
    analytic: bool = True,
    symbol: str | None = None,
    singular: bool = False,
    selects: bool = False,
    nan_wins: bool = False,
    multilinear: bool = False,
    operator: str = "",
    method: bool | str = False,
    associative: bool = False,
    also: tuple[np.ufunc, ...] = (),
) -> Elementwise:
    """Make an elementwise op of one or two operands; returns its public function.

    `partials` are the partial derivatives; `singular` if they, or theirs, may be infinite where the function is not.
    The last four say by which names it is called (see `Entry`): `method` is True for the op's own name, and `also` are further
    ufuncs than `ufunc`.
    """
    names = ("x", "y")[: len(partials)]
    op = Op(
        name or ufunc.__name__, "elementwise", ufunc, partials, operands=names, domain=domain, analytic=analytic,
        symbol=symbol or operator, singular=singular, selects=selects,
        nan_wins=nan_wins, multilinear=multilinear,
    )  # fmt: skip
    function: Any = op.run
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = describe(op, doc)
    function.__module__ = "minigrad"
    function.op = op
    numpys = (ufunc, *also) if getattr(np, op.name, None) is ufunc else ()
    called = op.name if method is True else method or ""
    function.entry = Entry(numpys, associative=associative, method=called, operator=operator)
    return function  # type: ignore[no-any-return]


def linear(
    name: str,
    forward: Callable[..., Any],
    *transposes: Rule | None,
    domain: Domain = REAL,
    **rest: Any,
) -> Op:
    """Make an op that is linear in each of its operands, from its forward function and its transposes."""
    return from_signature(name, "linear", forward, transposes, domain=domain, **rest)


def general(name: str, forward: Callable[..., Any], *vjps: Rule | None, domain: Domain, **rest: Any) -> Op:
    """Make an op from its forward function and its vector-Jacobian products."""
    return from_signature(name, "general", forward, vjps, domain=domain, **rest)


def from_signature(name: str, kind: str, forward: Callable[..., Any], rules: Sequence[Any], **rest: Any) -> Op:
    """Positional parameters of `forward` are operands (or ``*arrays``), keyword-only ones are options."""
    parameters = inspect.signature(forward).parameters.values()
    operands = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return Op(name, kind, forward, rules, operands=operands, options=options, variadic=variadic, **rest)


def describe(op: Op, doc: str) -> str:
    """The docstring of an elementwise function, with its derivative as it stands in the table."""
    numpy_name = f"np.{op.forward.__name__}" if isinstance(op.forward, np.ufunc) else None
    names = ", ".join(op.operands)
    same = f" The same as ``{numpy_name}({names})``." if numpy_name else ""
    inside = "1.25, 1.5" if op.domain.low >= 1 else "0.25, 0.5"
    arguments = ", ".join(["x"] * len(op.operands))
    return f"""{doc}

    Elementwise; operands are Tensors, arrays or numbers, broadcast and promoted as NumPy does.{same}
    A Tensor among them gives a Tensor, recorded if one requires grad; otherwise an array.
    Raises ValueError if the shapes do not broadcast.

    >>> import minigrad
    >>> x = minigrad.tensor([{inside}], requires_grad=True)
    >>> y = minigrad.{op.name}({arguments})
    >>> y.shape, y.dtype, y.requires_grad
    ((2,), dtype('float64'), True)
    """
