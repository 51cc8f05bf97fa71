"""Ops of classification and sequence models: the affine map, softmax and cross-entropy, from logits."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..arrays import array_function, is_lazy, item
from ..graph import read
from ..sweep import Piece
from ..tensor import Tensor, values
from .entry import Operand, public
from .op import REAL, apply, general, shape_of
from .precision import at_least_single, by_way_of_single, floating
from .products import rows, rowwise, stacked
from .reduce import Axis, mean, normalized, restored, sum

# Each forward shifts by the maximum, so that the largest exponential is 1 and nothing overflows.


def shifted(x: Any, axis: int) -> Any:
    x = floating(x)
    return x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)


def soft_max(x: Any, *, axis: int) -> Any:
    e = np.exp(shifted(x, axis))
    return e / np.add.reduce(e, axis=axis, keepdims=True)


def log_soft_max(x: Any, *, axis: int) -> Any:
    x = shifted(x, axis)
    if not x.size:
        return x  # also of no classes, whose sum has no logarithm
    return x - np.log(np.add.reduce(np.exp(x), axis=axis, keepdims=True))


def log_sum_exp(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    x = floating(x)
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)  # a row of -inf only is left where it is
    with np.errstate(divide="ignore"):
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else out.squeeze(axis)


def log_sum_exp_vjp(g: Any, out: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    # softmax(x), and not exp(x - out), which is off by as much as out is rounded.
    g, out = restored(g, x.shape, axis, keepdims), restored(out, x.shape, axis, keepdims)
    nothing = np.equal(out, -np.inf)
    return np.where(nothing, 0, g * softmax(np.where(nothing, 0, x), axis))


def soft_max_vjp(g: Any, out: Any, axis: int) -> Any:
    return out * (g - np.add.reduce(g * out, axis=axis, keepdims=True))


def log_soft_max_vjp(g: Any, out: Any, axis: int) -> Any:
    return g - np.exp(out) * np.add.reduce(g, axis=axis, keepdims=True)


def negative_log_likelihood(logits: Any, targets: Any) -> Any:
    x = shifted(logits, -1)
    classes = targets.reshape(-1)
    at_target = x.reshape(-1, x.shape[-1])[np.arange(classes.size), classes].reshape(targets.shape)
    return np.log(np.add.reduce(np.exp(x), axis=-1)) - at_target


def negative_log_likelihood_vjp(g: Any, logits: Any, targets: Any) -> Any:
    one_hot = np.equal(targets[..., None], np.arange(logits.shape[-1]))
    return g[..., None] * (softmax(logits) - one_hot)


def affine(x: Any, W: Any, b: Any) -> Any:
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != W.shape[1]:
        raise ValueError(f"linear(x, W) takes x of shape (..., in) and W of shape (out, in), not {x.shape} and {W.shape}")
    if b is None:
        return rowwise(x, W.T)
    if b.shape != W.shape[:1]:
        raise ValueError(f"linear(x, W, b) with W of shape {W.shape} takes b of shape {W.shape[:1]}, not {b.shape}")
    return rowwise(x, W.T) + b


# The weights of a recurrent network are used at every time step. Stacked, the cotangents and inputs of all steps make one
# product instead of many outer products and sums: half of the time of a whole training step of 25 steps, batch 1.


def weight_gathered(shape: tuple[int, ...], pieces: list[Piece]) -> Any:
    return stacked([g for g, _, _ in pieces]).T.dot(stacked([saved[1] for _, _, saved in pieces]))


def bias_gathered(shape: tuple[int, ...], pieces: list[Piece]) -> Any:
    return np.add.reduce(stacked([g for g, _, _ in pieces]), axis=0)


linear_op = general(
    "linear",
    affine,
    lambda g, W: rowwise(g, W),
    lambda g, x: rows(g).T.dot(rows(x)),
    lambda g: g,
    domain=REAL,
    gathers={1: weight_gathered, 2: bias_gathered},
    gather_limit=64,
    multilinear=True,
)
logsumexp_op = general("logsumexp", by_way_of_single(log_sum_exp), log_sum_exp_vjp, domain=REAL, analytic=False)
softmax_op = general("softmax", by_way_of_single(soft_max), soft_max_vjp, domain=REAL, analytic=False)
log_softmax_op = general("log_softmax", by_way_of_single(log_soft_max), log_soft_max_vjp, domain=REAL, analytic=False)
cross_entropy_op = general(
    "cross_entropy",
    by_way_of_single(negative_log_likelihood),
    negative_log_likelihood_vjp,
    None,
    domain=REAL,
    analytic=False,
    core=(1, 0),
)


@public()
def linear(x: Operand, W: Operand, b: Operand = None) -> Operand:
    """x W^T + b: the affine map of a layer, on the last axis of x.

    x has shape (..., in), W (out, in), b (out,) or None; the result (..., out). One op, because it is the one that networks
    repeat most: as three, a step of a recurrent network takes 1.5 times as long.
    Raises ValueError if the shapes do not fit.

    >>> import minigrad
    >>> minigrad.linear(minigrad.tensor([1.0, 2.0]), [[3.0, 4.0]], [0.5])
    tensor([11.5])
    """
    return linear_op.run(x, W, b)


@public(reduces=np.logaddexp, method=True)
def logsumexp(x: Operand, axis: Axis = None, *, keepdims: bool = False) -> Operand:
    """log(sum(exp(x))) over `axis`, without overflow; -inf where all elements are -inf.

    >>> import minigrad
    >>> minigrad.logsumexp(minigrad.tensor([1000.0, 1000.0])).item() == 1000.0 + 0.6931471805599453
    True
    """
    return logsumexp_op.run(x, {"axis": normalized(axis, len(shape_of(x))), "keepdims": keepdims})


@public(method=True)
def softmax(x: Operand, axis: int | tuple[int, ...] = -1) -> Operand:
    """exp(x) / sum(exp(x)) along `axis`: positive, and summing to 1.

    >>> import minigrad
    >>> minigrad.softmax(minigrad.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    return softmax_op.run(x, {"axis": axis})


@public(method=True)
def log_softmax(x: Operand, axis: int = -1) -> Operand:
    """x - log(sum(exp(x))) along `axis`: the logarithm of `softmax`, exact where that underflows.

    >>> import minigrad
    >>> minigrad.log_softmax(minigrad.tensor([0.0, 1000.0]))
    tensor([-1000.,     0.])
    """
    return log_softmax_op.run(x, {"axis": axis})


@public()
def cross_entropy(
    logits: Operand,
    targets: Any,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    weight: Operand = None,
    label_smoothing: float = 0.0,
) -> Operand:
    """-log softmax(logits)[target], in nats: how surprised the model is by the class that came.

    `logits` has shape (..., classes), unnormalised; `targets` shape (...), integers from 0 to classes - 1, or `ignore_index`
    where there is no target and the loss is 0. `weight` (classes,) multiplies the loss of each target by that of its class,
    and is differentiated as well. The result is the weighted ``"mean"`` over all targets that count, their ``"sum"``, or with
    ``"none"`` an array of shape (...).
    The gradient with respect to the logits is softmax(logits) minus the one-hot target, times the cotangent.

    `targets` may also be class probabilities y, floating numbers in the shape of the logits, whose loss is
    -sum(weight y log softmax(logits)). They are differentiated as well, and their mean is over all, whatever the weights.
    With `label_smoothing` s (Szegedy et al. 2016) y is (1 - s) y + s / classes, where y is one-hot for class numbers.

    Raises ValueError or TypeError if shapes, dtype or range of the targets do not fit, or for the mean if all are ignored.

    >>> import minigrad
    >>> logits = minigrad.tensor([[2.0, 2.0], [0.0, 1000.0], [0.0, 0.0]])
    >>> minigrad.cross_entropy(logits, [0, 1, -100], reduction="none")
    tensor([0.69314718, 0.        , 0.        ])
    >>> minigrad.cross_entropy(logits[0], [0.25, 0.75]).item() == minigrad.cross_entropy(logits[0], 0).item()
    True
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    losses, factors = class_losses(logits, targets, ignore_index, weight, label_smoothing)
    if reduction != "mean":
        return losses if reduction == "none" else sum(losses)
    return mean(losses) if factors is None else scaled_mean(losses, mean_scale(losses, factors))


def of_probabilities(targets: Any, shape: tuple[int, ...]) -> bool:
    """True if the targets of logits of this shape are class probabilities."""
    return bool(shape) and shape_of(targets) == shape and values(targets).dtype.kind == "f"


def class_losses(logits: Any, targets: Any, ignore_index: int, weight: Any, label_smoothing: float = 0.0) -> tuple[Any, Any]:
    """Check the arguments of `cross_entropy`; return the loss of each target and its factor, None where all count once."""
    shape = shape_of(logits)
    classes = values(targets)
    probabilities = of_probabilities(classes, shape)
    check_targets(classes, shape, probabilities)
    dtype = logits.dtype if hasattr(logits, "dtype") and logits.dtype.kind == "f" else np.dtype(float)
    smoothing = checked_smoothing(label_smoothing)
    weights = None if weight is None else in_dtype(weight, dtype)
    if weights is not None and weights.shape != shape[-1:]:
        raise ValueError(f"weight has shape {weights.shape}; with {shape[-1]} classes it must have ({shape[-1]},)")
    if probabilities:
        if ignore_index >= 0:
            raise ValueError(f"ignore_index is {ignore_index}, and is of class numbers; of class probabilities leave it out")
        return probability_losses(logits, in_dtype(targets, dtype), weights, smoothing), None
    classes = classes.astype(np.intp, copy=False)
    mask = counted_targets(classes, ignore_index, shape[-1])
    if mask is not None:
        classes = targets = np.where(mask, classes, 0)
    losses = apply(cross_entropy_op, (logits, targets if isinstance(targets, Tensor) else classes))
    factors = loss_factors(classes, weights, None if mask is None else mask.astype(dtype))
    losses = counted_losses(losses, mask)
    if weights is not None:
        losses = losses * factors
    if smoothing != 0:
        others = probability_losses(logits, np.full(shape[-1], 1 / shape[-1], dtype), weights, 0.0)
        losses = (1 - smoothing) * losses + smoothing * counted_losses(others, mask)
    return losses, factors


def check_targets(classes: Any, shape: tuple[int, ...], probabilities: bool) -> None:
    """Raise TypeError or ValueError if these are no targets of logits of this shape."""
    if classes.dtype.kind not in "iu" and classes.size and not probabilities:
        raise TypeError(
            f"targets are class numbers, integers; these are {classes.dtype}; use targets.astype(int), or give class "
            f"probabilities in the shape of the logits, {shape}"
        )
    if not probabilities and (not shape or classes.shape != shape[:-1]):
        raise ValueError(
            f"targets have shape {classes.shape}; for logits of shape {shape} (classes along the last axis) they "
            f"must have {shape[:-1]}" + ("; for one-hot targets use targets.argmax(-1)" if classes.shape == shape else "")
        )
    if shape[-1] == 0:
        raise ValueError(f"logits of shape {shape} have no classes along the last axis")


def counted_targets(classes: Any, ignore_index: int, count: int) -> Any:
    """Return a mask of the targets that count, None if all do. Raise ValueError for one that is no class."""
    if ignore_index < 0 and not outside(classes, count):
        return None
    counted = classes != ignore_index
    if outside(np.where(counted, classes, 0), count):
        refuse_classes(classes, counted, count)
    return None if np.all(counted) else counted


@array_function
def refuse_classes(classes: Any, counted: Any, count: int) -> NoReturn:
    seen = classes[counted]
    raise ValueError(
        f"targets are from 0 to {count - 1}, one for each of the {count} classes of the logits; "
        f"these go from {seen.min()} to {seen.max()}"
    )


def loss_factors(classes: Any, weights: Any, counted: Any) -> Any:
    if weights is None:
        return counted
    return weights[classes] if counted is None else weights[classes] * counted


def counted_losses(losses: Any, mask: Any) -> Any:
    # Not 0 times the loss: one that does not count may be infinite.
    return losses if mask is None else np.where(mask, losses, 0.0)


def probability_losses(logits: Any, y: Any, weights: Any, smoothing: Any) -> Any:
    if smoothing != 0:
        y = y * (1 - smoothing) + smoothing / y.shape[-1]
    return -sum((y if weights is None else y * weights) * log_softmax(logits), -1)


def in_dtype(x: Any, dtype: Any) -> Any:
    """Return an argument in this dtype, as a Tensor only if it requires grad."""
    return (x if isinstance(x, Tensor) and x.requires_grad else read(values(x))).astype(dtype)


def checked_smoothing(label_smoothing: Any) -> Any:
    if type(label_smoothing) is float and 0 <= label_smoothing <= 1:
        return label_smoothing
    plain = isinstance(label_smoothing, int | float | np.number) and not isinstance(label_smoothing, bool)
    if not plain or not (label_smoothing >= 0) & (label_smoothing <= 1):
        raise ValueError(f"label_smoothing is {label_smoothing!r}; it must be a number from 0 to 1")
    return label_smoothing if is_lazy(label_smoothing) else float(label_smoothing)


def mean_scale(losses: Any, factors: Any) -> Any:
    """The mean over what counts, divided by the mean over all: a number, or a Tensor if the factors require grad."""
    total = factors.astype(float).sum()
    if not values(total) > 0:
        raise ValueError("there is no mean of the losses: every target is ignored, or has a weight of 0")
    if isinstance(total, Tensor):
        return (losses.size / total).astype(np.promote_types(losses.dtype, np.float32))
    return item(losses.size / total)


def scaled_mean(losses: Any, scale: Any) -> Any:
    """mean(losses) * scale, of float16 by way of float32: of few that count among many the one is too small, the other too
    large for it."""
    found = mean(at_least_single(losses)) * scale
    return found if found.dtype == losses.dtype else found.astype(losses.dtype)


def outside(classes: np.ndarray, count: int) -> bool:
    """True if one of these is less than 0 or not less than `count`."""
    return bool(classes.size and np.maximum.reduce(classes.view(np.uintp), axis=None) >= count)  # -1 is huge there
