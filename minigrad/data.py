"""The array that `Tensor.data` returns."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

__all__ = ["Data"]


class Data(np.ndarray):
    """Read-only view of a tensor's values that supports ``w.data -= lr * w.grad``.

    An in-place operator computes new values and assigns them to the tensor; it does not write into the old ones. Results of
    computations and copies are plain arrays. Raises ValueError for an assignment to single elements, and for an in-place
    operator if the tensor has other values by now or was computed by an op.

    >>> import numpy as np, minigrad
    >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> w.data -= 0.5
    >>> w.data
    array([0.5, 1.5])
    """

    _owner: tuple[Any, np.ndarray] | None = None  # the leaf it was taken from, and the array that the leaf had then

    @classmethod
    def of(cls, array: np.ndarray, leaf: Any) -> Data:
        view = array.view(cls)
        view.setflags(write=False)
        if leaf is not None:
            view._owner = (leaf, array)
        return view

    def is_current(self, tensor: Any) -> bool:
        """Return True if these are the tensor's present values."""
        return self._owner is not None and self._owner[0] is tensor and self._owner[1] is tensor._data

    def _changed(self, function: Callable[[Any, Any], Any], other: Any) -> Any:
        if self._owner is None or not self.is_current(self._owner[0]):
            self._refuse()
        tensor = self._owner[0]
        tensor.data = function(np.asarray(self), other)
        return tensor.data

    def _refuse(self) -> NoReturn:
        raise ValueError(
            "a tensor's values are read-only: you cannot assign to a part of them, to those of a result, or to former ones. "
            "Change all values of a leaf at once, w.data -= step, or a copy: new = w.data.copy(); new[0] = 1; w.data = new"
        )

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.flags.writeable:
            self._refuse()
        super().__setitem__(index, value)

    def copy(self, order: Any = "C") -> np.ndarray:  # type: ignore[override]
        return np.array(self, order=order)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> np.ndarray:
        return np.asarray(self).astype(dtype, *args, **options)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __repr__(self) -> str:
        return repr(np.asarray(self))

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()

    def __deepcopy__(self, memo: Any) -> np.ndarray:  # type: ignore[override]
        return self.copy()


def in_place(name: str) -> Callable[[Any, Any], Any]:
    function, on_array = getattr(operator, name), getattr(np.ndarray, f"__i{name}__")

    def changed(self: Data, other: Any) -> Any:
        return on_array(self, other) if self.flags.writeable else self._changed(function, other)

    return changed


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Data, f"__i{_name}__", in_place(_name))
