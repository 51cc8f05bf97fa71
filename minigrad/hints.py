"""Hints for methods and attributes that PyTorch's or NumPy's arrays have and a Tensor lacks: what to write instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NoReturn

import numpy as np

__all__ = ["Missing", "Size", "missing"]

WRITE = {
    "add": "t + x", "sub": "t - x", "subtract": "t - x", "mul": "t * x", "multiply": "t * x", "div": "t / x",
    "divide": "t / x", "true_divide": "t / x", "floor_divide": "t // x", "remainder": "t % x", "fmod": "np.fmod(t, x)",
    "pow": "t ** n", "neg": "-t", "negative": "-t", "rsub": "x - t", "reciprocal": "1 / t", "rsqrt": "1 / np.sqrt(t)",
    "matmul": "t @ x", "mm": "t @ x", "bmm": "t @ x", "mv": "t @ x", "addmm": "c + a @ b", "addmv": "c + a @ v",
    "addbmm": "c + (a @ b).sum(0)", "baddbmm": "c + a @ b", "addcmul": "t + value * a * b", "addcdiv": "t + value * a / b",
    "addr": "c + np.outer(a, b)", "ger": "np.outer(t, x)", "lerp": "t + weight * (end - t)", "cdist": "np.linalg.norm",
    "eq": "t == x", "ne": "t != x", "lt": "t < x", "le": "t <= x", "gt": "t > x", "ge": "t >= x", "not_equal": "t != x",
    "less_equal": "t <= x", "greater_equal": "t >= x", "less": "t < x", "greater": "t > x", "equal": "np.array_equal(t, x)",
    "view": "t.reshape(...)", "view_as": "t.reshape(x.shape)", "reshape_as": "t.reshape(x.shape)",
    "unflatten": "t.reshape(...)", "resize": "t.reshape(...)", "unsqueeze": "np.expand_dims(t, axis)",
    "permute": "t.transpose(...)", "t": "t.T", "H": "t.T", "mH": "t.mT", "adjoint": "t.mT", "movedim": "np.moveaxis(t, i, j)",
    "swapdims": "t.swapaxes(i, j)", "expand": "np.broadcast_to(t, shape)", "expand_as": "np.broadcast_to(t, x.shape)",
    "repeat_interleave": "t.repeat(n, axis)", "narrow": "t[start:stop]", "numel": "t.size", "nelement": "t.size",
    "dim": "t.ndim", "ndimension": "t.ndim", "element_size": "t.dtype.itemsize", "itemsize": "t.dtype.itemsize",
    "nbytes": "t.numpy().nbytes", "masked_fill": "np.where(mask, value, t)", "masked_select": "t[mask]",
    "masked_scatter": "np.where(mask, values, t)", "where": "np.where(condition, t, x)",
    "gather": "np.take_along_axis(t, indices, axis)", "index_select": "np.take(t, indices, axis)", "select": "t[:, i]",
    "compress": "t[condition]", "choose": "np.choose(t, choices)",
    "scatter": "np.where(mask, x, t), or a product with one-hot rows", "scatter_add": "t + one_hot.T @ x",
    "index_add": "t + one_hot.T @ x", "index_fill": "np.where(mask, value, t)", "index_copy": "np.where(mask, x, t)",
    "chunk": "np.array_split(t, n, axis)", "split": "np.split(t, places, axis)", "tensor_split": "np.array_split(t, n, axis)",
    "unbind": "list(t)", "unfold": "np.stack([t[i : i + n] for i in ...])", "cat": "np.concatenate([t, x], axis)",
    "contiguous": "t; the layout in memory is NumPy's matter", "is_contiguous": "t.numpy().flags", "flags": "t.numpy().flags",
    "stride": "t.numpy().strides", "strides": "t.numpy().strides", "data_ptr": "t.numpy().ctypes.data",
    "ctypes": "t.numpy().ctypes", "base": "t.numpy().base", "tobytes": "t.numpy().tobytes()",
    "tofile": "t.numpy().tofile(file)", "dump": "np.save(file, t.numpy())", "dumps": "pickle.dumps(t.numpy())",
    "untyped_storage": "t.numpy()", "storage": "t.numpy()", "values": "t.numpy()", "to_numpy": "t.detach().numpy()",
    "float": "t.astype(np.float32)", "double": "t.astype(np.float64)", "half": "t.astype(np.float16)",
    "type": "t.astype(dtype)", "type_as": "t.astype(x.dtype)", "int": "t.numpy().astype(np.int32)",
    "long": "t.numpy().astype(np.int64)", "short": "t.numpy().astype(np.int16)", "char": "t.numpy().astype(np.int8)",
    "byte": "t.numpy().astype(np.uint8)", "bool": "t.numpy().astype(bool)",
    "bfloat16": "t.astype(np.float32), for NumPy has no bfloat16", "is_floating_point": "t.dtype.kind == 'f'",
    "norm": "np.linalg.norm(t)", "dist": "np.linalg.norm(t - x)", "det": "np.linalg.det(t)", "inverse": "np.linalg.inv(t)",
    "logdet": "np.linalg.slogdet(t)[1]", "cholesky": "np.linalg.cholesky(t)", "svd": "np.linalg.svd(t)",
    "qr": "np.linalg.qr(t)", "amax": "t.max(axis)", "amin": "t.min(axis)", "aminmax": "(t.min(axis), t.max(axis))",
    "topk": "np.sort(t)[..., -k:]", "kthvalue": "np.sort(t)[..., k]", "clamp": "t.clip(min, max)",
    "clamp_min": "np.maximum(t, least)", "clamp_max": "np.minimum(t, most)", "leaky_relu": "np.where(t > 0, t, 0.01 * t)",
    "hardshrink": "np.where(np.abs(t) > 0.5, t, 0)", "logit": "np.log(t / (1 - t))", "asin": "np.arcsin(t)",
    "acos": "np.arccos(t)", "atan": "np.arctan(t)", "atan2": "np.arctan2(t, x)", "asinh": "np.arcsinh(t)",
    "acosh": "np.arccosh(t)", "atanh": "np.arctanh(t)", "frac": "t - np.trunc(t)", "sgn": "np.sign(t)", "fix": "np.trunc(t)",
    "sort": "np.sort(t)", "partition": "np.partition(t, k)", "msort": "np.sort(t, 0)", "clone": "t.copy()",
    "requires_grad_": "t.requires_grad = True", "detach_": "t = t.detach()", "retain_grad": "minigrad.grad(loss, t)",
    "grad_fn": "minigrad.Graph(t) or minigrad.explain(loss, t)", "new_tensor": "minigrad.tensor(values)",
    "new_zeros": "np.zeros(shape, t.dtype)", "new_ones": "np.ones(shape, t.dtype)",
    "new_full": "np.full(shape, value, t.dtype)", "new_empty": "np.empty(shape, t.dtype)", "zero_grad": "t.grad = None",
    "flat": "t.ravel()", "fill": "t.data = np.full(t.shape, value)", "put": "np.where(mask, value, t)",
    "itemset": "np.where(mask, value, t)", "bernoulli": "rng.random(t.shape) < t.numpy()",
    "multinomial": "rng.choice(len(t), n, p=t.numpy())", "bincount": "np.bincount(t.numpy())",
    "unique": "np.unique(t.numpy())", "histc": "np.histogram(t.numpy())", "conjugate": "t", "conj": "t", "real": "t",
    "imag": "0 * t", "apply_": "a function of t", "map_": "a function of t and x", "nanmean": "np.nanmean(t)",
    "nansum": "np.nansum(t)", "isin": "np.isin(t.numpy(), x)", "fill_diagonal": "np.where(np.eye(n), value, t)",
    "to": "t.astype(dtype); every tensor is on the CPU",
    **dict.fromkeys(("cpu", "cuda", "to_device", "pin_memory"), "t; every tensor is on the CPU"),
    **dict.fromkeys(("device", "is_cuda", "get_device"), "'cpu'; every tensor is on the CPU"),
}  # fmt: skip


WRITING = (
    "zero fill copy normal uniform random exponential set apply map clamp masked_fill masked_scatter index_fill index_add "
    "index_copy index_put scatter scatter_add fill_diagonal add sub mul div pow neg relu unsqueeze resize erfinv lerp addmm"
)


class Missing:
    """Raises an AttributeError that says what to write, in place of a method that a class does not have.

    A ``__getattr__`` would make every attribute slower: a multiplication by a tenth."""

    def __init__(self, name: str, advice: str) -> None:
        self.name = name
        self.advice = advice

    def __get__(self, thing: Any, kind: type) -> NoReturn:
        raise AttributeError(f"{kind.__name__!r} object has no attribute {self.name!r}{self.advice}")


class Size(int):
    """The number of elements. Calling it, as PyTorch's ``t.size()``, raises a TypeError that says what to write."""

    def __call__(self, axis: int | None = None) -> NoReturn:
        raise TypeError(
            "t.size is the number of elements, as in NumPy; for PyTorch's t.size() write t.shape, for t.size(0) t.shape[0]"
        )


def missing(functions: Collection[str], plain: Collection[Any]) -> Iterator[Missing]:
    """Hints for the names that a Tensor lacks: PyTorch's, `functions` of the table, and NumPy's that give `plain` arrays."""
    for name, advice in WRITE.items():
        yield Missing(name, f"; write {advice}")
    for name in {*WRITING.split(), *functions}:
        value = {"zero": "np.zeros(t.shape)", "fill": "np.full(t.shape, value)"}.get(name, "new_values")
        yield Missing(
            f"{name}_", f": nothing writes into a tensor; for a leaf write t.data = {value}, for a result make a new tensor"
        )
    for name in functions:
        yield Missing(name, f"; write {'np' if hasattr(np, name) else 'minigrad'}.{name}(t)")
    for function in plain:
        yield Missing(function.__name__, f"; write np.{function.__name__}(t)")
