"""The array that `Tensor.data` returns."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

__all__ = ["Data"]


class Data(np.ndarray):
    """A read-only view of the values of a tensor, on which ``w.data -= lr * w.grad`` works.

    Nothing writes into the values: an in-place operator computes new ones and gives them to the tensor. What is computed from
    it is a plain array, and so is a copy.
    """

    _owner: tuple[Any, np.ndarray] | None = None  # the leaf it was taken from, and the array that the leaf had then

    @classmethod
    def of(cls, array: np.ndarray, leaf: Any) -> Data:
        view = array.view(cls)
        view.flags.writeable = False
        if leaf is not None:
            view._owner = (leaf, array)
        return view

    def is_current(self, tensor: Any) -> bool:
        """Whether these are the values that the tensor has now."""
        return self._owner is not None and self._owner[0] is tensor and self._owner[1] is tensor._data

    def _changed(self, function: Callable[[Any, Any], Any], other: Any) -> Any:
        if self._owner is None or not self.is_current(self._owner[0]):
            self._refuse()
        tensor = self._owner[0]
        tensor.data = function(np.asarray(self), other)
        return tensor.data

    def _refuse(self) -> NoReturn:
        raise ValueError(
            "the values of a tensor are read-only, also a part of them, those of a result and those it had before. Change all "
            "of a leaf's at once, w.data -= step, or a copy: new = w.data.copy(); new[0] = 1; w.data = new"
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
