"""Derivatives of functions, forward and backward, of any order: they take functions and give functions.

All of them run the function once on fresh tensors and walk over the graph it leaves. Where the answer depends on tensors that
require grad outside (inside another transform, or closed over), the walk is recorded too, so that transforms nest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, overload

import numpy as np

from .graph import CURRENT, Leaf, ancestors, forward, next_number, recording_again, reverse
from .ops import positive
from .tensor import Tensor, as_dtype, lifted, values, wrap
from .trees import leaves, mapped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["elementwise_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Function = Callable[..., Any]
P = ParamSpec("P")


# -- the gradient of a tensor ----------------------------------------------------------------------------------


@overload
def grad(
    y: Tensor, xs: Tensor, *, seed: ArrayLike | Tensor | None = None, create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Tensor: ...  # fmt: skip
@overload
def grad(
    y: Tensor, xs: Sequence[Tensor], *, seed: ArrayLike | Tensor | None = None, create_graph: bool = False,
    retain_graph: bool | None = None,
) -> list[Tensor]: ...  # fmt: skip
@overload
def grad(y: Callable[P, Any], xs: int | tuple[int, ...] = 0) -> Callable[P, Any]: ...
def grad(
    y: Tensor | Function,
    xs: Tensor | Sequence[Tensor] | int | tuple[int, ...] = 0,
    *,
    seed: ArrayLike | Tensor | None = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Any:
    """The gradient dy/dx, of a tensor or of a function.

    **Of a tensor**: ``grad(y, xs)``. `xs` is a tensor or a sequence of tensors, leaves or any results on the way to `y`; the
    answer is a tensor or a list of tensors of their shapes and dtypes, zeros where `y` does not depend on one. No ``.grad`` is
    touched. `y` is a single number, or comes with a `seed` of its shape: then the answer is the vector-Jacobian
    product, sum(seed * dy/dx). With ``create_graph=True`` the backward pass is recorded too, so that the answer can be
    differentiated again. `retain_graph` (by default the same as `create_graph`) keeps the graph for another pass.

    **Of a function**: ``grad(f)`` is the function that gives the gradient of f by its first argument, ``grad(f, 1)`` by its
    second, ``grad(f, (0, 1))`` a tuple of both. f returns a single number; arguments are arrays, numbers or
    containers (tuples, lists, dicts) of them, and the gradient comes in the same containers.

    Raises ValueError if `y` or one of `xs` does not require grad, if `y` is not a single number and there is no seed, or if
    the seed does not fit; LeavesGraphError if the seed requires grad and there is no `create_graph`; TypeError if an argument
    to differentiate by is not of floating-point numbers.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> slope = minigrad.grad(x**3, x, create_graph=True)
    >>> slope.item(), minigrad.grad(slope, x).item()
    (12.0, 12.0)
    >>> minigrad.grad(lambda w, x: np.tanh(w["a"] * x).sum())({"a": np.zeros(2)}, 3.0)
    {'a': array([3., 3.])}
    """
    if not isinstance(y, Tensor):
        return grad_of_function(y, xs)
    if not isinstance(xs, Iterable):
        raise TypeError(
            "grad(y) of a tensor y needs the tensors to differentiate by: grad(loss, w), or grad(loss, [w, b]) for several"
        )
    single = isinstance(xs, Tensor)
    inputs: list[Any] = [xs] if isinstance(xs, Tensor) else list(xs)
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or x._node is None:
            what = f"is of type {type(x).__name__}" if not isinstance(x, Tensor) else "does not require grad"
            where = "x" if single else f"xs[{i}]"
            raise ValueError(f"grad(y, {where}): {where} {what}; make it with minigrad.tensor(..., requires_grad=True)")
    if isinstance(seed, Tensor) and not create_graph:
        seed._stays("the seed of a gradient that is not recorded (give create_graph=True if it should be)")
    answers = swept_back(y, inputs, seed, create_graph, create_graph if retain_graph is None else retain_graph)
    return answers[0] if single else answers


def swept_back(y: Tensor, inputs: Iterable[Tensor], seed: Any, record: bool, retain: bool) -> list[Tensor]:
    nodes = [x._node for x in inputs if x._node is not None]
    root = y._differentiable()
    start: Any = y._seed(seed)
    if record:
        start = seed if isinstance(seed, Tensor) and seed.requires_grad else wrap(start)
    found = reverse(root, start, set(nodes), retain=retain, lift=lifted if record else None)
    return [as_tensor(found[n]) if n in found else wrap(np.zeros(n.shape, n.dtype)) for n in nodes]


def as_tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else wrap(g)


# -- what the transforms of functions share --------------------------------------------------------------------


def fresh(x: Any) -> Tensor:
    """A variable of our own with the value of x: a leaf, or inside another transform a node of its own behind x."""
    if isinstance(x, Tensor) and x.requires_grad:
        return positive(x)
    made = Tensor(x)
    if made.dtype.kind != "f":
        raise TypeError(
            f"a derivative is taken by real floating-point numbers, and this argument is {made.dtype}: {x!r}. "
            "Write 3.0 for 3, or choose other arguments with argnums"
        )
    made.requires_grad = True
    return made


class Traced:
    """A function run once on fresh variables: its result, and whether something outside wants to differentiate it too."""

    def __init__(self, f: Function, argnums: int | tuple[int, ...], args: tuple[Any, ...], options: dict[str, Any]) -> None:
        chosen = (argnums,) if isinstance(argnums, int) else argnums
        for n in chosen:
            if not -len(args) <= n < len(args):
                raise ValueError(
                    f"argnums names argument {n}, and the function is called with {len(args)} positional arguments"
                )
        chosen = tuple(n % len(args) for n in chosen)
        token = CURRENT.set(recording_again())  # under no_grad, too
        try:
            self.variables = {n: mapped(fresh, args[n]) for n in chosen}
            self.result = f(*(self.variables.get(n, x) for n, x in enumerate(args)), **options)
        finally:
            CURRENT.reset(token)
        self.chosen = chosen
        self.single = isinstance(argnums, int)
        self.inputs: list[Tensor] = leaves([self.variables[n] for n in chosen])
        self.outputs: list[Any] = leaves(self.result)
        nodes = [y._node for y in self.outputs if isinstance(y, Tensor) and y._node is not None]
        began = next_number() if not self.inputs else min(x._node.number for x in self.inputs if x._node is not None)
        nested = any(not x.is_leaf for x in self.inputs)
        self.record = nested or any(isinstance(n, Leaf) and n.number < began for n in ancestors(nodes))

    def array(self) -> Tensor:
        """The result, which must be one array. A plain array of floating-point numbers is constant: its gradient is zero."""
        y = self.result
        made = as_tensor(y) if isinstance(y, Tensor | np.ndarray | np.generic | float) else None
        if made is None or made.dtype.kind != "f":
            what = "nothing (None)" if y is None else what_it_is(y) if made is None else f"{made.dtype}"
            raise TypeError(
                f"the function returned {what}, and a gradient or a Jacobian is that of one array of floating-point numbers; "
                "for several arrays in a container there are vjp and jvp"
            )
        return made

    def scalar(self) -> Tensor:
        """The result, which must be one number that may be differentiated."""
        y = self.array()
        if y.size != 1:
            raise ValueError(
                f"the function gives a result of shape {y.shape}, and a gradient is that of a single number; "
                "reduce it (.sum(), .mean()), or ask for the jacobian"
            )
        return y

    def packed(self, parts: Iterable[Any]) -> Any:
        """Values for the inputs, in the containers of the arguments."""
        rest = iter(parts)
        trees = [mapped(lambda _: next(rest), self.variables[n]) for n in self.chosen]
        return trees[0] if self.single else tuple(trees)

    def given(self, x: Any) -> Any:
        """A result as the caller has it: a Tensor where transforms nest, otherwise an array or a number."""
        if not isinstance(x, Tensor):
            return x
        if self.record:
            return x
        return x.numpy().copy() if x.ndim else x.numpy()[()]

    def pulled_back(self, seeds: list[Any], retain: bool = True) -> list[Any]:
        """The vector-Jacobian product, a part for each input."""
        record = self.record or any(isinstance(u, Tensor) and u.requires_grad for u in seeds)
        totals: list[Any] = [None] * len(self.inputs)
        for y, u in zip(self.outputs, seeds, strict=True):
            if isinstance(y, Tensor) and y.requires_grad:
                for i, g in enumerate(swept_back(y, self.inputs, u, record, retain)):
                    totals[i] = g if totals[i] is None else totals[i] + g
        return [wrap(np.zeros(x.shape, x.dtype)) if g is None else g for x, g in zip(self.inputs, totals, strict=True)]

    def pushed_forward(self, tangents: list[Any]) -> list[Any]:
        """The Jacobian-vector product, a part for each output."""
        record = self.record or any(isinstance(t, Tensor) and t.requires_grad for t in tangents)
        start = {}
        for x, t in zip(self.inputs, tangents, strict=True):
            array = t
            if not record or not isinstance(t, Tensor):
                array = as_dtype(values(t), x.dtype)
                array = array.copy() if array is t else array  # the caller's own stays so
            if array.shape != x.shape:
                raise ValueError(f"a tangent has the shape of its argument {x.shape}, this one has {array.shape}")
            start[x._node] = wrap(array) if record and not isinstance(array, Tensor) else array
        nodes = [y._node if isinstance(y, Tensor) else None for y in self.outputs]
        found = forward([n for n in nodes if n is not None], start, lifted if record else None)  # type: ignore[arg-type]
        return [
            as_tensor(found[n]) if n in found else wrap(np.zeros(np.shape(y), getattr(y, "dtype", float)))
            for n, y in zip(nodes, self.outputs, strict=True)
        ]


# -- the transforms --------------------------------------------------------------------------------------------


def checked(name: str, f: Any, argnums: Any = 0) -> Any:
    """The argnums of ``name(f, argnums)``, if both are what they should be."""
    if not callable(f):
        raise TypeError(f"{name}: expected a function{' or a Tensor' * (name == 'grad')}, not {type(f).__name__}")
    numbers = argnums if isinstance(argnums, tuple | list) else (argnums,)
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
        raise TypeError(
            f"{name}(f, argnums): argnums is the number of an argument of f, 0 for the first, not {what_it_is(argnums)}; "
            f"{name}(f) is a function, and is called with the arguments: {name}(f)(x)"
        )
    return int(argnums) if numbers == (argnums,) else tuple(map(int, numbers))


def what_it_is(x: Any) -> str:
    return f"a {type(x).__name__}"


def several(name: str, what: str, given: Any) -> tuple[Any, ...]:
    """The arguments of f, which `jvp` and `hvp` are given as a tuple."""
    if not isinstance(given, tuple | list):
        raise TypeError(f"{name} takes the {what} as a tuple, one for each argument of f: (x,), not {what_it_is(given)}")
    return tuple(given)


def grad_of_function(f: Function, argnums: Any, name: str = "grad") -> Function:
    argnums = checked(name, f, argnums)
    with_value = value_and_grad(f, argnums)

    @functools.wraps(f)
    def gradient(*args: Any, **options: Any) -> Any:
        return with_value(*args, **options)[1]

    return gradient


def value_and_grad(f: Callable[P, Any], argnums: int | tuple[int, ...] = 0) -> Callable[P, tuple[Any, Any]]:
    """The function that gives both f's value and its gradient; see `grad`.

    >>> import minigrad
    >>> value, slope = minigrad.value_and_grad(lambda x: x * x)(3.0)
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    argnums = checked("value_and_grad", f, argnums)

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **options: Any) -> Any:
        run = Traced(f, argnums, args, options)
        y = run.scalar()
        gradient = run.pulled_back([np.ones(y.shape, y.dtype)], retain=run.record)
        return run.given(y), run.packed(map(run.given, gradient))

    return value_and_gradient


def vjp(f: Function, *args: Any) -> tuple[Any, Function]:
    """f's value at `args`, and the function from a cotangent u of that value to u^T J, a tuple with a part for each argument.

    Reverse mode: one sweep gives a row of the Jacobian, whatever the number of inputs.

    >>> import numpy as np, minigrad
    >>> y, pull_back = minigrad.vjp(np.tanh, np.zeros(2))
    >>> pull_back(np.array([1.0, 0.0]))
    (array([1., 0.]),)
    """
    checked("vjp", f)
    run = Traced(f, tuple(range(len(args))), args, {})

    def pull_back(u: Any) -> Any:
        parts = run.pulled_back(leaves(u))
        nested = run.record or any(isinstance(x, Tensor) and x.requires_grad for x in leaves(u))
        return run.packed(g if nested else run.given(g) for g in parts)

    return mapped(run.given, run.result), pull_back


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """f's value at `primals`, and J t: how it moves when they move along `tangents`.

    Forward mode: one sweep gives a column of the Jacobian, whatever the number of outputs.

    >>> import numpy as np, minigrad
    >>> y, t = minigrad.jvp(np.sin, (np.zeros(2),), (np.array([1.0, 2.0]),))
    >>> t
    array([1., 2.])
    """
    checked("jvp", f)
    primals, tangents = several("jvp", "primals", primals), several("jvp", "tangents", tangents)
    if len(leaves(primals)) != len(leaves(tangents)):
        raise ValueError(f"there are {len(leaves(primals))} arrays in primals and {len(leaves(tangents))} in tangents")
    run = Traced(f, tuple(range(len(primals))), primals, {})
    parts = iter(run.pushed_forward(leaves(tangents)))
    nested = run.record or any(isinstance(t, Tensor) and t.requires_grad for t in leaves(tangents))
    moved = mapped(lambda _: next(parts), run.result)
    return mapped(run.given, run.result), moved if nested else mapped(run.given, moved)


def jacobian(f: Callable[P, Any], argnums: int = 0, *, mode: str = "reverse") -> Callable[P, Any]:
    """The function that gives the Jacobian of f by one argument, an array: shape (*shape of f's value, *shape of the argument).

    ``mode="reverse"`` takes a sweep for each element of the value, ``"forward"`` one for each element of the argument.

    >>> import numpy as np, minigrad
    >>> minigrad.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f"mode is 'reverse' or 'forward', not {mode!r}")
    argnums = checked("jacobian", f, argnums)

    @functools.wraps(f)
    def jacobian_of(*args: Any, **options: Any) -> Any:
        run = Traced(f, argnums, args, options)
        if len(run.inputs) != 1 or len(run.outputs) > 1:
            raise TypeError("a Jacobian is that of one array by one array; for containers use vjp or jvp")
        y = run.array()
        (x,) = run.inputs
        sweep, count = (run.pulled_back, y.size) if mode == "reverse" else (run.pushed_forward, x.size)
        unit = y if mode == "reverse" else x
        rows = [sweep([one])[0] for one in np.eye(count, dtype=unit.dtype).reshape(count, *unit.shape)]
        shape = y.shape + x.shape
        if not rows:
            return run.given(wrap(np.zeros(shape, y.dtype)))
        return run.given(np.stack(rows, 0 if mode == "reverse" else -1).reshape(shape))

    return jacobian_of


def hessian(f: Callable[P, Any], argnums: int = 0) -> Callable[P, Any]:
    """The function that gives the Hessian of f by one argument, an array of shape (*shape, *shape): forward over reverse.

    >>> import numpy as np, minigrad
    >>> minigrad.hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad_of_function(f, argnums, "hessian"), argnums, mode="forward")


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of f at `primals` times `tangents`, without the Hessian: a jvp of the gradient. A tuple, a part for each.

    >>> import numpy as np, minigrad
    >>> minigrad.hvp(lambda x: (x**3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    (array([ 6., 12.]),)
    """
    primals = several("hvp", "primals", primals)
    return jvp(grad_of_function(f, tuple(range(len(primals))), "hvp"), primals, tangents)[1]


def elementwise_grad(f: Callable[P, Any], argnums: int = 0) -> Callable[P, Any]:
    """The derivative of a function that works on each element by itself, as a function of arrays.

    >>> import numpy as np, minigrad
    >>> minigrad.elementwise_grad(np.tanh)(np.array([0.0, 100.0]))
    array([1., 0.])
    """
    argnums = checked("elementwise_grad", f, argnums)

    @functools.wraps(f)
    def total(*args: Any, **options: Any) -> Any:
        return np.sum(f(*args, **options))

    return grad_of_function(total, argnums)
