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
``mask``       the elements of ``g`` that count, None for all (see `minigrad.selection`)
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
derivatives of any order. A rule need not undo broadcasting or convert dtypes: the sweep does both. For a float16 result
it runs in float32.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from ..errors import LeavesGraphError
from ..graph import Node
from ..sweep import Gather, reverse
from ..tensor import Tensor, lifted, wrap
from .entry import Elementwise, Entry, function_of
from .precision import HALF, at_least_single
from .pullbacks import Rule, bound, needed_names
from .running import apply, runner

__all__ = ["POSITIVE", "REAL", "Domain", "Op", "apply", "elementwise", "general", "linear"]

ndarray = np.ndarray
ARRAYS = (Tensor, ndarray)

Keeper = Callable[[tuple[Any, ...]], tuple[Any, ...]]  # of (None, out, *operands)


class Domain(NamedTuple):
    """The numbers with which an op may be tested: between `low` and `high`, away from its kinks."""

    low: float = -np.inf
    high: float = np.inf
    kinks: tuple[float, ...] = ()  # points where the derivative jumps
    ties: bool = False  # the derivative also jumps where two of its values are equal


REAL = Domain()
POSITIVE = Domain(low=0.0)


@dataclass(eq=False, repr=False, slots=True)
class Op:
    """One entry of the table."""

    name: str
    kind: str
    forward: Callable[..., Any]
    rules: tuple[Rule | int | None, ...]
    _: KW_ONLY
    operands: tuple[str, ...]
    options: tuple[str, ...] = ()
    variadic: bool = False
    domain: Domain
    analytic: bool = True  # the complex step may check it
    symbol: str = ""
    # By operand: what its many uses in this op send it, computed at once. Or a function of a node, for what pays.
    gathers: dict[int, Gather] | Callable[[Node], dict[int, Gather]] = field(default_factory=dict)
    gather_limit: int | None = None  # of at most so many uses, for they keep their arrays alive
    singular: bool = False  # a derivative of some order may be infinite where the function is not
    selects: bool | str = False  # it leaves something out; or the option that is the index of what it takes
    nan_wins: bool = False  # what it leaves out is a number: a NaN is the result
    multilinear: bool | None = None  # its rules are products with operands, as those of linear ops are
    core: tuple[int, int] | None = None  # trailing axes of an operand and of the result that it mixes; None: all, or `axis`
    weak: bool | None = None  # Python numbers stay such, and so do not promote; elementwise ops of several operands
    pullbacks: Any = field(init=False)  # by operand, the rules as functions of (g, node, saved, i)
    run: Callable[..., Any] = field(init=False)
    keepers: dict[int, tuple[tuple[bool, ...], Keeper]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for rule in self.rules:
            if not (rule is None or callable(rule) or (isinstance(rule, int) and rule in (1, -1))):
                raise TypeError(f"a rule of {self.name} must be a function, 1 or -1, or None (no derivative), not {rule!r}")
        if len(self.rules) != len(self.operands):
            raise TypeError(
                f"{self.name} has the operands ({', '.join(self.operands)}) and {len(self.rules)} rules; each needs one"
            )
        self.symbol = self.symbol or self.name
        if self.multilinear is None:
            self.multilinear = self.kind == "linear"
        if self.weak is None:
            self.weak = self.kind == "elementwise" and len(self.operands) > 1
        self.pullbacks = bound(self)
        self.run = runner(self)

    def keeper(self, wanted: int) -> tuple[tuple[bool, ...], Keeper]:
        """Return for each of (out, \\*operands) if a rule needs it, and the function that picks these from (None, out,
        \\*operands), with None in the place of the others. The binary digits of `wanted`, but for the first, say which operands
        require grad."""
        wants = tuple([digit == "1" for digit in f"{wanted:b}"[1:]])
        for operand, rule, want in zip(self.operands, self.rules, wants, strict=False):
            if want and rule is None:
                raise LeavesGraphError(
                    f"{self.name} has no derivative by {operand}, which requires grad here; give it {operand}.detach()"
                )
        rules = self.rules if self.variadic else [r for r, want in zip(self.rules, wants, strict=True) if want]
        used = {name for rule in rules for name in needed_names(rule)}
        names = self.operands * len(wants) if self.variadic else self.operands  # of *arrays all or none
        kept = tuple([name in used for name in ("out", *names)])
        return self.keepers.setdefault(wanted, (kept, itemgetter(*(k if keep else 0 for k, keep in enumerate(kept, 1)))))

    def pushforward(self, i: int, t: Any, node: Node, saved: tuple[Any, ...]) -> Any:
        """Return what the tangent `t` of operand i adds to the tangent of the result: `t` times the Jacobian.

        The rule multiplies by the transposed Jacobian. It is linear in g, so its own derivative is the transpose of that.
        """
        if node.dtype is HALF:
            t, saved = at_least_single(t), tuple(map(at_least_single, saved))
        pullback = self.pullbacks[i]
        if self.kind == "elementwise":
            return pullback(np.broadcast_to(t, node.shape), node, saved, i)
        g = Tensor(np.zeros(node.shape, np.float32 if node.dtype is HALF else node.dtype), requires_grad=True)
        record = isinstance(t, Tensor) or any(isinstance(x, Tensor) for x in saved)
        c = pullback(g, node, tuple([wrap(x) if isinstance(x, ndarray | np.generic) else x for x in saved]), i)
        found: dict[Any, Any] = {}
        if isinstance(c, Tensor) and c._node is not None:
            seed, lift = np.broadcast_to(t, c.shape), lifted if record else None
            # Without marks, to which the partial derivatives would be constant factors, and their zeros masks.
            found = reverse(c._node, seed, {g._node}, retain=record, lift=lift, mark=False)  # type: ignore[arg-type]
        return found[g._node] if found else np.zeros(node.shape, node.dtype)

    def __repr__(self) -> str:
        return f"<Op {self.name}: {self.kind}>"


def shape_of(x: Any) -> tuple[int, ...]:
    """np.shape, which asks a Tensor through __array_function__, 2 µs later."""
    return x.shape if isinstance(x, ARRAYS) else np.shape(x)


# -- making ops ------------------------------------------------------------------------------------------------


def elementwise(
    ufunc: Callable[..., Any],
    *partials: Rule | int | None,
    doc: str,
    name: str = "",
    operator: str = "",
    method: bool | str = False,
    associative: bool = False,
    also: tuple[np.ufunc, ...] = (),
    **rest: Any,
) -> Elementwise:
    """Make an elementwise op of one or two operands, from its partial derivatives; returns its public function.

    `operator`, `method` (True for the op's own name), `associative` and `also` (further ufuncs) say by which names it is
    called; see `Entry`. The `rest` is for `Op`.
    """
    name = name or ufunc.__name__
    if not name.isidentifier():
        raise TypeError(f"an op of a {name} needs a name: give name=")
    symbol = rest.pop("symbol", operator)
    op = Op(name, "elementwise", ufunc, partials, operands=("x", "y")[: len(partials)], symbol=symbol, **rest)
    numpys = (ufunc, *also) if getattr(np, op.name, None) is ufunc else ()
    called = op.name if method is True else method or ""
    return function_of(op, doc, Entry(numpys, associative=associative, method=called, operator=operator))


def linear(name: str, forward: Callable[..., Any], *transposes: Rule | None, domain: Domain = REAL, **rest: Any) -> Op:
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
    return Op(name, kind, forward, tuple(rules), operands=operands, options=options, variadic=variadic, **rest)
