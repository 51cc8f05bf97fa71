"""The Tensor people touch: an array that remembers how it was computed.

Its operators and most of its methods are the functions of the op table. `methods` hangs them on the class, with the two
protocols by which NumPy calls them: ``np.tanh(t)``, ``np.sum(t)``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import array_of, as_dtype, frozen, read_only
from .data import Data
from .errors import NOTHING_TO_DIFFERENTIATE, LeavesGraphError, cut_out, needs_seed, no_leaf, not_floating
from .graph import CURRENT, Leaf, Node, Scope
from .hints import Size
from .hooks import Hook
from .state import Counted
from .sweep import reverse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from .tensor_methods import TensorMethods  # a stub of what `methods` hangs on the class
else:
    TensorMethods = object

__all__ = ["Tensor", "tensor"]

ndarray = np.ndarray
blank = object.__new__
ARRAYS = (ndarray, np.generic)
GATHERING = threading.Lock()  # several threads may call backward() into the same leaves


def tensor(
    data: ArrayLike | Tensor, *, requires_grad: bool = False, dtype: DTypeLike | None = None, name: str | None = None
) -> Tensor:
    """Make a Tensor from anything that NumPy can turn into an array. The data are copied.

    `dtype` is NumPy's choice unless given. With ``requires_grad=True`` gradients are computed for it; its dtype
    must then be a real floating-point one, otherwise TypeError. `name` shows in graphs and pictures.

    >>> import minigrad
    >>> minigrad.tensor([1.0, 2.0], requires_grad=True, name="x")
    tensor([1., 2.], requires_grad=True, name='x')
    """
    return Tensor(data, requires_grad=requires_grad, dtype=dtype, name=name)


class Tensor(TensorMethods):
    """An array with a memory of how it was computed. Make one with `minigrad.tensor`.

    It has the operators, methods and attributes of ndarray that make sense for it, and from PyTorch
    ``requires_grad``, ``grad``, ``backward()``, ``detach()`` and ``item()``. It owns its values: they are copied in,
    handed out read-only, and an update puts a new array in their place (``p.data = new``); so nothing can change
    under a recorded graph.

    >>> import numpy as np, minigrad
    >>> x = minigrad.tensor([3.0, 4.0], requires_grad=True)
    >>> y = np.sqrt((x * x).sum())
    >>> y.backward()
    >>> x.grad
    array([0.6, 0.8])
    """

    __slots__ = ("__weakref__", "_data", "_leaf", "_node")
    _data: np.ndarray  # the values; never written to
    _node: Node | None  # how it was computed, or its Leaf, if it requires grad
    _leaf: Leaf | None  # what stands for it in a graph if it does not

    def __init__(
        self, data: ArrayLike | Tensor, *, requires_grad: bool = False, dtype: DTypeLike | None = None, name: str | None = None
    ) -> None:
        if isinstance(data, Tensor):
            data._stays("making a new tensor of it")
            data = plain(data)
        self._data = owned_array(data, dtype)
        self._node = self._leaf = None
        if requires_grad:
            self._thaw()
        if name is not None:
            self.name = name

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return Size(self._data.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def requires_grad(self) -> bool:
        """True if gradients are computed for this tensor. You can set it on leaves."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise ValueError("requires_grad can be set on leaves only; use .detach() for a tensor outside the graph")
        Counted.changes[0] += 1
        if wanted and self._node is None:
            self._thaw()
        elif not wanted and isinstance(self._node, Leaf):
            self._leaf = Leaf(self._data, requires_grad=False, name=self.name, thawed=self._node)
            self._node = None

    def _thaw(self) -> None:
        if self.dtype.kind != "f":
            raise TypeError(not_floating(self.dtype))
        thawed = self._leaf.thawed if self._leaf is not None else None
        self._node = thawed or Leaf(self._data, requires_grad=True, name=self.name)
        self._leaf = None

    @property
    def is_leaf(self) -> bool:
        """True unless the tensor is the result of a recorded op."""
        return self._node is None or self._node.op is None

    @property
    def name(self) -> str | None:
        """Its name in graphs, pictures and errors."""
        return getattr(self._node or self._leaf, "name", None)

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a name must be a string, not {name!r}")
        (self._node or self._constant()).name = name

    @property
    def scope(self) -> Scope | None:
        """The scope in which it was made, such as ``lstm/layer=0/t=17``; see `minigrad.scope`."""
        return getattr(self._node or self._leaf, "scope", None)

    def _constant(self) -> Leaf:
        """The leaf that stands for it in a graph when it does not require grad."""
        if self._leaf is None:
            self._leaf = Leaf(self._data, requires_grad=False)
        return self._leaf

    # -- values ----------------------------------------------------------------------------------------------

    @property
    def data(self) -> np.ndarray:
        """The values, as a read-only array. Assigning puts a copy of the new values in their place (leaves only).

        ``w.data -= lr * w.grad`` does that, too. Of a tensor only the values are taken. Graphs that were recorded before keep
        the values they were computed with.
        """
        array = frozen(plain(self))
        return Data.of(array, self if self.is_leaf else None) if type(array) is np.ndarray else array

    @data.setter
    def data(self, new: ArrayLike) -> None:
        if not self.is_leaf:
            raise ValueError(
                f"the values of a result (here of {self._node.op.name}) are what its graph was computed with and "  # type: ignore[union-attr]
                "cannot be replaced; make a new tensor instead"
            )
        if isinstance(new, Data) and new.is_current(self):
            return
        self._rebind(self._fitting(plain(new), "new data"))

    def _fitting(self, new: Any, what: str, hint: str = "") -> Any:
        """A copy of an array in the dtype of this tensor, if it has its shape."""
        array = array_of(new).copy("K")
        here = plain(self)
        if array.shape != here.shape:
            raise ValueError(f"{what} has shape {array.shape}, but this tensor has {here.shape}; they must be equal{hint}")
        return as_dtype(array, here.dtype)

    def _rebind(self, array: np.ndarray) -> None:
        """Take `array` as the new values, without a copy. Whoever has it cannot write to it any more."""
        array.setflags(write=False)
        self._data = array
        if self._leaf is not None:
            self._leaf = Leaf(array, requires_grad=False, name=self._leaf.name, thawed=self._leaf.thawed)

    def numpy(self) -> np.ndarray:
        """The values, as a read-only array; write ``t.numpy().copy()`` for one of your own."""
        return read_only(frozen(plain(self)))  # type: ignore[no-any-return]

    def item(self) -> float | int | bool:
        """The value of a tensor with one element, as a Python number."""
        return plain(self).item()  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        """The values as (nested lists of) Python numbers."""
        return plain(self).tolist()

    def detach(self) -> Tensor:
        """The same values, outside the graph: no gradient flows through it."""
        cut = wrap(plain(self))
        if self.name is not None:
            cut.name = self.name
        return cut

    # -- gradients -------------------------------------------------------------------------------------------

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient that `backward` has gathered, an array of this tensor's shape and dtype, or None.

        Leaves only. For any other tensor ask ``minigrad.grad(loss, tensor)``.
        """
        if self._node is None:
            return None
        if isinstance(self._node, Leaf):
            return gathered(self._node)  # type: ignore[no-any-return]
        raise AttributeError(no_leaf(self._node.op.name))

    @grad.setter
    def grad(self, new: np.ndarray | None) -> None:
        if new is None and self._node is None:
            return
        if not isinstance(self._node, Leaf):
            raise ValueError("only a leaf that requires grad has a .grad to set")
        watch = CURRENT.get()[2]
        if watch is not None:
            watch.gradient(self._node, replaced=True)
        if new is not None:
            new = self._fitting(new, "a gradient", "; to forget the gradient write t.grad = None")
        self._node.grad = new

    def backward(self, seed: ArrayLike | Tensor | None = None, *, retain_graph: bool = False) -> None:
        """Compute the gradient of this tensor with respect to every leaf it depends on, and add it to their ``.grad``.

        A tensor of more than one element needs a `seed` of its shape (the cotangent to start from; PyTorch calls it
        ``gradient``). ``.grad`` is an array, so a seed that requires grad raises LeavesGraphError: `minigrad.grad` with
        ``create_graph=True`` differentiates it. What the graph had saved is freed on the way, so a second call raises
        `GraphFreedError`, unless this one is given ``retain_graph=True``.

        >>> import minigrad
        >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> w.grad
        array([2., 4.])
        """
        node = self._differentiable()
        if isinstance(seed, Tensor):
            seed._stays("a seed of backward(), whose gradients are arrays (see minigrad.grad with create_graph=True),")
        found = reverse(node, self._seed(seed), None, retain=retain_graph)
        with GATHERING:
            for leaf, g in found.items():
                assert isinstance(leaf, Leaf)
                before = gathered(leaf)
                leaf.grad = values(g if before is None else before + g)

    def register_hook(self, hook: Callable[[Any], Any]) -> Hook:
        """Have ``hook(g)`` called in each backward pass with the gradient of this tensor, once all of it is there.

        `g` is a read-only array, or a Tensor where the backward pass is recorded (``create_graph``). What the hook
        returns takes the place of the gradient from there on, for ``.grad`` and for all that lies behind; None leaves it as it
        is. Returns a handle: its ``remove()`` ends it, as does the end of a ``with`` block around it. Raises ValueError if the
        tensor does not require grad, and in the backward pass if the shape of what the hook returns is another. Copies of the
        tensor have no hooks.

        >>> import numpy as np, minigrad
        >>> x = minigrad.tensor([3.0, 4.0], requires_grad=True)
        >>> h = x * x
        >>> with h.register_hook(lambda g: np.clip(g, -1, 1)):
        ...     (10 * h).sum().backward()
        >>> x.grad
        array([6., 8.])
        """
        if not callable(hook):
            raise TypeError(f"a hook is a function of the gradient, not {type(hook).__name__}")
        node = self._differentiable()
        if node.hooks is None:
            node.hooks = []
        node.hooks.append(hook)
        Counted.changes[0] += 1
        return Hook(node.hooks, hook)

    def _differentiable(self) -> Node:
        if self._node is None:
            if self._leaf is not None and self._leaf.requires_grad:  # where that is an error, it says which
                return self._leaf
            raise ValueError(NOTHING_TO_DIFFERENTIATE)
        return self._node

    def _seed(self, seed: ArrayLike | Tensor | None) -> np.ndarray:
        if seed is None:
            if self._data.size != 1:
                raise ValueError(needs_seed(self.shape))
            return np.ones(self._data.shape, self._data.dtype)
        return self._fitting(plain(seed), "the seed")  # type: ignore[no-any-return]

    # -- Python's protocols ----------------------------------------------------------------------------------

    def _stays(self, what: str) -> None:
        if self._node is not None:
            raise LeavesGraphError(cut_out(what))

    def __float__(self) -> float:
        self._stays("float(t), a[0] = t, or a function of the math module (there is np.tanh(t) for math.tanh(t)),")
        return float(plain(self))

    def __int__(self) -> int:
        self._stays("int(t)")
        return int(plain(self))

    def __index__(self) -> int:
        return plain(self).__index__()  # type: ignore[no-any-return]  # of integers only, and they never require grad

    def __bool__(self) -> bool:
        return bool(plain(self))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no len() and no elements to iterate over; its value is t.item()")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))


def owned_array(data: Any, dtype: Any) -> np.ndarray:
    """A copy that nobody can write to, of real numbers."""
    given = array_of(data)
    array = np.array(given, dtype=dtype, like=given) if given.dtype.kind in "biuf" else given
    if array.dtype.kind not in "biuf":
        what = "complex numbers are not supported" if array.dtype.kind == "c" else "only real numbers are supported"
        raise TypeError(f"a tensor cannot be made of dtype {array.dtype}: {what}")
    array.setflags(write=False)
    return array


def wrap(array: Any, node: Node | None = None) -> Tensor:
    """A Tensor around an array that nobody else will write to."""
    made = blank(Tensor)
    made._data = array if type(array) is ndarray else values(array)
    made._node = node
    made._leaf = None
    return made


def lifted(array: Any, node: Any) -> Any:
    """A saved array as the Tensor it was, so that rules applied to it are recorded."""
    if not isinstance(array, ARRAYS) or not (node is None or isinstance(node, Node)):
        return array
    if node is not None and node.requires_grad:
        return wrap(array, node)
    made = wrap(array)
    made._leaf = node  # type: ignore[assignment]
    return made


def differentiable(x: Any) -> Node:
    """The node of a Tensor that requires grad; of anything else an error that says so."""
    if not isinstance(x, Tensor):
        what = "call the function and give its result" if callable(x) else "make it with minigrad.tensor(x, requires_grad=True)"
        raise TypeError(f"expected a Tensor, not {type(x).__name__}; {what}")
    return x._differentiable()


def gathered(leaf: Leaf) -> Any:
    """The gradient of a leaf, or None."""
    watch = CURRENT.get()[2]
    if watch is not None:
        watch.gradient(leaf, replaced=False)
    return leaf.grad


def plain(x: Any) -> Any:
    """The array of a Tensor, anything else as it is."""
    if not isinstance(x, Tensor):
        return x
    watch = CURRENT.get()[2]
    return x._data if watch is None else watch.read(x)


def values(x: Any) -> Any:
    """The array of a Tensor, anything else made an array."""
    return array_of(plain(x))
