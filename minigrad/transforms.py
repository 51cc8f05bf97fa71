"""Transforms of functions: derivatives in forward and reverse mode, of any order.

Each transform runs the function once on fresh tensors and walks over the recorded graph. If the answer depends on other tensors
that require grad (inside another transform, or closed over), the walk is recorded too, so that transforms nest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, overload

import numpy as np

from .arrays import as_dtype
from .graph import CURRENT, Leaf, ancestors, move_to, next_number, same_place
from .ops import positive
from .sweep import forward, reverse
from .tensor import Tensor, lifted, values, wrap
from .trees import tree_leaves, tree_map

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
def grad(
    y: Callable[P, Any], xs: int | tuple[int, ...] = 0, *, argnums: int | tuple[int, ...] | None = None
) -> Callable[P, Any]: ...
def grad(
    y: Tensor | Function,
    xs: Tensor | Sequence[Tensor] | int | tuple[int, ...] = 0,
    *,
    argnums: int | tuple[int, ...] | None = None,
    seed: ArrayLike | Tensor | None = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Any:
    """Compute the gradient dy/dx of a tensor, or return the function that computes the gradient of a function.

    **Of a tensor**: ``grad(y, xs)``. `xs` is a tensor or a sequence of tensors: leaves, or any results that `y` depends on. The
    answer is a tensor or a list of tensors of their shapes and dtypes, zeros where `y` does not depend on one. No ``.grad``
    changes. `y` must be a single number, or come with a `seed` of its shape; the answer is then the vector-Jacobian product,
    sum(seed * dy/dx). With ``create_graph=True`` the backward pass is recorded too, so that you can differentiate the answer.
    `retain_graph` (by default the same as `create_graph`) keeps the graph for another pass.

    **Of a function**: ``grad(f)`` returns a function that computes the gradient of f with respect to its first argument.
    ``grad(f, 1)`` or ``grad(f, argnums=1)`` does so for the second, ``grad(f, (0, 1))`` returns a tuple of both. f returns a
    single number. Its arguments are arrays, numbers or containers (tuples, lists, dicts) of them, and the gradient comes in the
    same containers.

    Raises ValueError if `y` or one of `xs` does not require grad, if `y` is not a single number and there is no seed, or if
    the seed does not fit; LeavesGraphError if the seed requires grad and there is no `create_graph`; TypeError if an argument
    to differentiate by is not of floating-point numbers, or if an option does not apply.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> slope = minigrad.grad(x**3, x, create_graph=True)
    >>> slope.item(), minigrad.grad(slope, x).item()
    (12.0, 12.0)
    >>> minigrad.grad(lambda w, x: np.tanh(w["a"] * x).sum())({"a": np.zeros(2)}, 3.0)
    {'a': array([3., 3.])}
    """
    if isinstance(y, Tensor):
        if argnums is not None:
            raise TypeError("argnums is for functions; for the gradient of a tensor pass tensors: grad(loss, [w, b])")
        return grad_of_tensor(y, xs, seed, create_graph, create_graph if retain_graph is None else retain_graph)
    if seed is not None or create_graph or retain_graph is not None:
        raise TypeError(
            "grad of a function has no seed=, create_graph= or retain_graph=; it can be differentiated as it is: "
            "grad(grad(f)). For another seed than 1 use vjp"
        )
    if argnums is None:
        return grad_of_function(y, xs)
    if not isinstance(xs, int) or xs:
        raise TypeError(f"grad received argnums={argnums!r} and also {xs!r}; pass grad(f, argnums={argnums!r})")
    return grad_of_function(y, argnums)


def grad_of_tensor(y: Tensor, xs: Any, seed: Any, create_graph: bool, retain_graph: bool) -> Tensor | list[Tensor]:
    if not isinstance(xs, Iterable):
        raise TypeError(
            "grad(y) of a tensor y needs the tensors to differentiate with respect to: grad(loss, w), or grad(loss, [w, b])"
        )
    single = isinstance(xs, Tensor)
    inputs: list[Any] = [xs] if single else list(xs)
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or x._node is None:
            what = f"is of type {type(x).__name__}" if not isinstance(x, Tensor) else "does not require grad"
            where = "x" if single else f"xs[{i}]"
            raise ValueError(f"grad(y, {where}): {where} {what}; make it with minigrad.tensor(..., requires_grad=True)")
    if isinstance(seed, Tensor) and not create_graph:
        seed._stays("the seed of a gradient that is not recorded (pass create_graph=True if it should be)")
    answers = swept_back(y, inputs, seed, create_graph, retain_graph)
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
    """Return a new variable with the value of x: a leaf, or inside another transform a new node computed from x."""
    if isinstance(x, Tensor) and x.requires_grad:
        return positive(x)
    made = Tensor(x)
    if made.dtype.kind != "f":
        raise TypeError(
            f"an argument to differentiate with respect to must be real floating-point numbers, not {made.dtype}: {x!r}. "
            "Write 3.0 for 3, or choose other arguments with argnums"
        )
    made.requires_grad = True
    return made


class Traced:
    """Run of a function on fresh variables: its result, and in `record` whether it is part of a larger derivative."""

    def __init__(self, f: Function, argnums: int | tuple[int, ...], args: tuple[Any, ...], options: dict[str, Any]) -> None:
        chosen = (argnums,) if isinstance(argnums, int) else argnums
        for n in chosen:
            if not -len(args) <= n < len(args):
                raise ValueError(
                    f"argnums includes argument {n}, but the function was called with {len(args)} positional arguments"
                )
        chosen = tuple(n % len(args) for n in chosen)
        with same_place():
            move_to(CURRENT.get()[1], recording=True)  # under no_grad, too
            self.variables = {n: tree_map(fresh, args[n]) for n in chosen}
            self.result = f(*(self.variables.get(n, x) for n, x in enumerate(args)), **options)
        self.chosen = chosen
        self.single = isinstance(argnums, int)
        self.inputs: list[Tensor] = tree_leaves([self.variables[n] for n in chosen])
        self.outputs: list[Any] = tree_leaves(self.result)
        nodes = [y._node for y in self.outputs if isinstance(y, Tensor) and y._node is not None]
        began = next_number() if not self.inputs else min(x._node.number for x in self.inputs if x._node is not None)
        nested = any(not x.is_leaf for x in self.inputs)
        self.record = nested or any(isinstance(n, Leaf) and n.number < began for n in ancestors(nodes))

    def array(self) -> Tensor:
        """Return the result, which must be one array. A plain array of floating-point numbers is a constant with gradient 0."""
        y = self.result
        made = as_tensor(y) if isinstance(y, Tensor | np.ndarray | np.generic | float) else None
        if made is None or made.dtype.kind != "f":
            what = "nothing (None)" if y is None else what_it_is(y) if made is None else f"{made.dtype}"
            raise TypeError(
                f"the function returned {what}; for a gradient or a Jacobian it must return one array of floating-point "
                "numbers. For several arrays in a container use vjp or jvp"
            )
        return made

    def scalar(self) -> Tensor:
        """Return the result, which must be one number."""
        y = self.array()
        if y.size != 1:
            raise ValueError(
                f"the function must return a single number, not an array of shape {y.shape}; "
                "reduce it (.sum(), .mean()), or use jacobian"
            )
        return y

    def packed(self, parts: Iterable[Any]) -> Any:
        """Put values for the inputs into the containers of the arguments."""
        rest = iter(parts)
        trees = [tree_map(lambda _: next(rest), self.variables[n]) for n in self.chosen]
        return trees[0] if self.single else tuple(trees)

    def given(self, x: Any) -> Any:
        """Return a result for the caller: a Tensor where transforms nest, otherwise an array or a number."""
        if not isinstance(x, Tensor):
            return x
        if self.record:
            return x
        return x.numpy().copy() if x.ndim else x.numpy()[()]

    def pulled_back(self, seeds: list[Any], retain: bool = True) -> list[Any]:
        """Compute the vector-Jacobian product, one part for each input."""
        record = self.record or any(isinstance(u, Tensor) and u.requires_grad for u in seeds)
        totals: list[Any] = [None] * len(self.inputs)
        for y, u in zip(self.outputs, seeds, strict=True):
            if isinstance(y, Tensor) and y.requires_grad:
                for i, g in enumerate(swept_back(y, self.inputs, u, record, retain)):
                    totals[i] = g if totals[i] is None else totals[i] + g
        return [wrap(np.zeros(x.shape, x.dtype)) if g is None else g for x, g in zip(self.inputs, totals, strict=True)]

    def pushed_forward(self, tangents: list[Any]) -> list[Any]:
        """Compute the Jacobian-vector product, one part for each output."""
        record = self.record or any(isinstance(t, Tensor) and t.requires_grad for t in tangents)
        start = {}
        for x, t in zip(self.inputs, tangents, strict=True):
            array = t
            if not record or not isinstance(t, Tensor):
                array = as_dtype(values(t), x.dtype)
                array = array.copy() if array is t else array  # the caller's array must not change
            if array.shape != x.shape:
                raise ValueError(f"a tangent must have the shape of its argument, {x.shape}, not {array.shape}")
            start[x._node] = wrap(array) if record and not isinstance(array, Tensor) else array
        nodes = [y._node if isinstance(y, Tensor) else None for y in self.outputs]
        found = forward([n for n in nodes if n is not None], start, lifted if record else None)  # type: ignore[arg-type]
        return [
            as_tensor(found[n]) if n in found else wrap(np.zeros(np.shape(y), getattr(y, "dtype", float)))
            for n, y in zip(nodes, self.outputs, strict=True)
        ]


# -- the transforms --------------------------------------------------------------------------------------------


def checked(name: str, f: Any, argnums: Any = 0) -> Any:
    """Return the argnums of ``name(f, argnums)``. Raise TypeError if f or argnums is of a wrong type."""
    if not callable(f):
        raise TypeError(f"{name}: expected a function{' or a Tensor' * (name == 'grad')}, not {type(f).__name__}")
    numbers = argnums if isinstance(argnums, tuple | list) else (argnums,)
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
        raise TypeError(
            f"{name}(f, argnums): argnums must be the position of an argument, 0 for the first, not {what_it_is(argnums)}. "
            f"{name}(f) returns a function; call that with the arguments: {name}(f)(x)"
        )
    return int(argnums) if numbers == (argnums,) else tuple(map(int, numbers))


def what_it_is(x: Any) -> str:
    return f"a {type(x).__name__}"


def several(name: str, what: str, given: Any) -> tuple[Any, ...]:
    """Return the arguments of f, which `jvp` and `hvp` receive as a tuple."""
    if not isinstance(given, tuple | list):
        raise TypeError(f"{name} needs the {what} as a tuple, one for each argument of f: (x,), not {what_it_is(given)}")
    return tuple(given)


def grad_of_function(f: Function, argnums: Any, name: str = "grad") -> Function:
    argnums = checked(name, f, argnums)
    with_value = value_and_grad(f, argnums)

    @functools.wraps(f)
    def gradient(*args: Any, **options: Any) -> Any:
        return with_value(*args, **options)[1]

    return gradient


def value_and_grad(f: Callable[P, Any], argnums: int | tuple[int, ...] = 0) -> Callable[P, tuple[Any, Any]]:
    """Return a function that computes f's value and its gradient in one forward and one backward pass; see `grad`.

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
    """Return f's value at `args`, and a function that computes the vector-Jacobian product u^T J.

    That function takes u, the gradient that flows back into the value (its cotangent), of the same shape and in the same
    containers, and returns a tuple with a part for each argument, of its shape. You can call it more than once.
    Reverse mode: one call gives one row of the Jacobian J, for any number of inputs.
    Raises TypeError if f is not a function or an argument is not of floating-point numbers.

    >>> import numpy as np, minigrad
    >>> y, pull_back = minigrad.vjp(np.tanh, np.zeros(2))
    >>> pull_back(np.array([1.0, 0.0]))
    (array([1., 0.]),)
    """
    checked("vjp", f)
    run = Traced(f, tuple(range(len(args))), args, {})

    def pull_back(u: Any) -> Any:
        parts = run.pulled_back(tree_leaves(u))
        nested = run.record or any(isinstance(x, Tensor) and x.requires_grad for x in tree_leaves(u))
        return run.packed(g if nested else run.given(g) for g in parts)

    return tree_map(run.given, run.result), pull_back


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return f's value at `primals`, and the Jacobian-vector product J t: the change of the value along `tangents`.

    `primals` and `tangents` are tuples with one part for each argument of f, of the same shapes. The change has the shape of
    the value. Forward mode: one call gives one column of the Jacobian J, for any number of outputs.
    Raises TypeError if `primals` or `tangents` is not a tuple, ValueError if their shapes differ.

    >>> import numpy as np, minigrad
    >>> y, t = minigrad.jvp(np.sin, (np.zeros(2),), (np.array([1.0, 2.0]),))
    >>> t
    array([1., 2.])
    """
    checked("jvp", f)
    primals, tangents = several("jvp", "primals", primals), several("jvp", "tangents", tangents)
    n, m = len(tree_leaves(primals)), len(tree_leaves(tangents))
    if n != m:
        raise ValueError(f"jvp needs one tangent for each array in primals: {n}, not {m}")
    run = Traced(f, tuple(range(len(primals))), primals, {})
    parts = iter(run.pushed_forward(tree_leaves(tangents)))
    nested = run.record or any(isinstance(t, Tensor) and t.requires_grad for t in tree_leaves(tangents))
    moved = tree_map(lambda _: next(parts), run.result)
    return tree_map(run.given, run.result), moved if nested else tree_map(run.given, moved)


def jacobian(f: Callable[P, Any], argnums: int = 0, *, mode: str = "reverse") -> Callable[P, Any]:
    """Return a function that computes the Jacobian of f with respect to one argument.

    J[i, j] is the derivative of element i of f's value by element j of the argument; J has shape
    ``(*shape of the value, *shape of the argument)``. ``mode="reverse"`` needs a sweep over the graph for each element of the
    value, ``"forward"`` one for each element of the argument.
    Raises TypeError if value or argument is not one array, ValueError for another mode.

    >>> import numpy as np, minigrad
    >>> minigrad.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f"mode must be 'reverse' or 'forward', not {mode!r}")
    argnums = checked("jacobian", f, argnums)

    @functools.wraps(f)
    def jacobian_of(*args: Any, **options: Any) -> Any:
        run = Traced(f, argnums, args, options)
        if len(run.inputs) != 1 or len(run.outputs) > 1:
            raise TypeError("jacobian needs a function of one array to one array; for containers use vjp or jvp")
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
    """Return a function that computes the Hessian of f, all second derivatives with respect to one argument.

    f returns a single number. For an argument of shape s the Hessian has shape ``(*s, *s)``. It is computed in forward mode
    over reverse mode, one sweep for each element of the argument.

    >>> import numpy as np, minigrad
    >>> minigrad.hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad_of_function(f, argnums, "hessian"), argnums, mode="forward")


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Compute the product of the Hessian of f at `primals` with `tangents`, without computing the Hessian.

    It is the Jacobian-vector product of the gradient, a tuple with a part for each argument (Pearlmutter, Fast exact
    multiplication by the Hessian, 1994). f returns a single number. `primals` and `tangents` are tuples, as in `jvp`.

    >>> import numpy as np, minigrad
    >>> minigrad.hvp(lambda x: (x**3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    (array([ 6., 12.]),)
    """
    primals = several("hvp", "primals", primals)
    return jvp(grad_of_function(f, tuple(range(len(primals))), "hvp"), primals, tangents)[1]


def elementwise_grad(f: Callable[P, Any], argnums: int = 0) -> Callable[P, Any]:
    """Return a function that computes the derivative f'(x) of each element, for a function that works element by element.

    The derivative has the shape of the argument `argnums`.

    >>> import numpy as np, minigrad
    >>> minigrad.elementwise_grad(np.tanh)(np.array([0.0, 100.0]))
    array([1., 0.])
    """
    argnums = checked("elementwise_grad", f, argnums)

    @functools.wraps(f)
    def total(*args: Any, **options: Any) -> Any:
        return np.sum(f(*args, **options))

    return grad_of_function(total, argnums)
