"""Pictures of recurrent networks: folded, unrolled, both side by side, and with what flows along the time axis.

Saved as ``.html`` a picture becomes a page that plays the forward and the backward pass on it, with every value and cotangent.
Two more pages are of another kind: `reading` is a text, coloured by what a trained network does at each symbol; `training` is a
training, with a slider over its updates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigrad import Tensor
from minigrad.pictures import Annotations, Drawing, Graph, Timeline, drawn, fold, keep_within, unroll
from minigrad.pictures.folded_steps import chosen_steps
from minigrad.pictures.picture import Box, Group, Legend, Picture

from ..data.text import Alphabet
from ..module import Module
from ..recorded_run import RecordedRun, as_run
from ..stepwise import Drawable, Run, run
from .annotations import annotations_of, describe, gate_blocks, loss_words
from .cells import cell_view
from .compare import compare
from .figure import figure
from .overlays import OVERLAYS, Measured, Scale, measure, number, put
from .playing import playback
from .reading_view import reading
from .training_view import training
from .weights import attention

__all__ = ["attention", "both", "compare", "folded", "reading", "training", "unrolled"]

LEVELS = ("op", "gate", "cell")


def unrolled(
    model: Any,
    inputs: Any = None,
    targets: Any = None,
    *,
    loss: str | None = None,
    reduction: str = "mean",
    level: str = "op",
    steps: str | Iterable[int] | None = None,
    gradients: bool = False,
    overlay: str | None = None,
    scale: tuple[float, float] | None = None,
    chunk: int | None = None,
    symbols: Alphabet | None = None,
    names: Mapping[str, Any] | None = None,
    title: str | None = None,
    limit: int | None = 20_000,
) -> Drawing:
    """Draw the network unrolled in time: a frame for each step, with the states on straight lines.

    `model` is a Sequence, ManyToOne, OneToMany, EncoderDecoder or a recurrent layer, with cells of this package or your own. It
    runs step by step. `inputs` has shape (T, batch, input_size), or class indices for an embedding; `targets` add the loss. A
    `Task`, a source of data (its first batch) or a `Batch` may replace both. You can also draw any other `Module`, or a loss
    that your own code recorded: ``unrolled(loss, names=locals())`` draws the loops that `minigrad.loops` finds.

    `loss` is "cross_entropy", "mse" or "binary". The default is that of the task or source; for arrays, the cross-entropy of
    class indices or the squared error of other numbers. ``reduction="mean"`` is the mean over the steps and sequences that
    count, as in a `Trainer`; ``"sum"`` is the sum over the steps of the mean over sequences. L[t] is the share of step t.

    `level` is "op" for every op, "gate" for one box per gate, or "cell" for one box per cell. Of more than eight `steps`, the
    first and the last three are drawn, and a strip for the others, coloured by their gradients; ``steps="all"``,
    ``"0-3,48-49"`` or a list of numbers chooses others.

    ``gradients=True`` colours each state by ``|dL/dh[t]|`` on a log scale, and makes a recurrent arrow wider if more of the
    gradient comes back along it; it needs targets. `overlay` colours by the "activation" (mean size), its "saturation", or each
    step's "share" of a parameter's gradient instead. ``scale=(low, high)`` fixes the colours, to compare pictures. `chunk`
    detaches the states every so many steps, as truncated BPTT does; scissors mark the cuts. `symbols` names the inputs
    (one-hot, or class indices for an embedding) and the targets of the first sequence. Raises ValueError for shapes that do not
    fit, and for more than `limit` boxes.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> drawing = rnn.draw.unrolled(model, task.inputs, task.targets, gradients=True)
    >>> [f"t = {t}" in drawing.source for t in (0, 5, 6)]
    [True, True, False]
    """
    kind = overlay_of(gradients, overlay)
    made = recorded(model, inputs, targets, names, loss=loss, reduction=reduction, chunk=chunk)
    check_drawable(level, kind, made)
    graph = made.graph
    annotations = annotations_of(made, graph, symbols)
    measured, scale_, legend = coloured(kind, made, annotations, scale)
    annotations.shown = chosen_steps(steps, made.columns, turning_points(made, steps))
    title = title_unrolled(model, made, chunk) if title is None else title
    advice = 'level="cell", or fewer steps such as steps="0-2,-1"'
    if level == "op":
        keep_within(sum(node.op is not None and annotations.step(node) in annotations.shown for node in graph), limit, advice)
    picture = picture_at(level, made, annotations, title, measured, scale_)
    picture.legend = legend if kind or any(box.pieces for box in picture.all_boxes()) else None
    return drawn(picture, graph, limit, advice, playback(model, made, graph, annotations, picture))


def check_drawable(level: str, kind: str | None, made: Run | RecordedRun) -> None:
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    if isinstance(made, RecordedRun) and level != "op":
        raise ValueError(f"level={level!r} is for the models of this package; your own code is drawn op by op: leave out level")
    if kind in ("gradient", "share") and made.loss is None:
        raise ValueError("a gradient begins at a loss: give targets too")


def picture_at(
    level: str, made: Run | RecordedRun, annotations: Annotations, title: str, measured: Measured | None, scale: Scale | None
) -> Picture:
    """Make the picture of a run whose ops, gates or cells are its boxes."""
    if level == "cell":
        return cell_view(made, annotations, title, measured, scale)
    annotations.blocks = gate_blocks(made, made.graph) if level == "gate" else {}
    picture = unroll(made.graph, annotations, title)
    if measured is not None and measured.totals:
        add_totals(picture, measured, annotations)
    return picture


def title_unrolled(model: Any, made: Run | RecordedRun, chunk: int | None) -> str:
    title = f"{describe(model, made)} unrolled over {made.columns} step{'s' * (made.columns != 1)}{loss_words(made)}"
    return f"{title}  |  truncated: the states are cut every {chunk} step{'s' * (chunk != 1)}" if chunk is not None else title


def coloured(
    kind: str, made: Run, annotations: Annotations, scale: tuple[float, float] | None
) -> tuple[Measured | None, Scale | None, Legend | None]:
    """Measure a run, and write and colour the numbers; without an overlay only those of folded steps, their gradients."""
    if not kind and made.loss is None:
        return None, None, None
    measured = measure(kind or "gradient", made, made.graph)
    found = measured.scale(scale)
    if kind:
        return measured, found, put(measured, annotations, made, found)
    strips = annotations_of(made, made.graph, None)
    legend = put(measured, strips, made, found)
    annotations.pieces = strips.pieces
    return None, None, legend


def overlay_of(gradients: bool, overlay: str | None) -> str:
    """The name of the overlay, or ""."""
    if gradients and overlay not in (None, "gradient"):
        raise ValueError(f"a picture has one colouring: gradients=True or overlay={overlay!r}")
    kind = "gradient" if gradients else overlay or ""
    if kind and kind not in OVERLAYS:
        raise ValueError(f"overlay must be one of {', '.join(OVERLAYS)}, not {overlay!r}")
    return kind


def recorded(model: Any, inputs: Any, targets: Any, names: Any = None, **options: Any) -> Run:
    """The run that is drawn."""
    if isinstance(model, Tensor) or (isinstance(model, Module) and not isinstance(model, Drawable)):
        return as_run(model, inputs, targets, names, **options)
    made = run(model, inputs, targets, **options)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("nothing was recorded: no parameter of this model has requires_grad=True")
    return made


def turning_points(made: Run, steps: Any) -> tuple[int, ...]:
    """The last step of the encoder and the first of the decoder; shown unless the steps were chosen."""
    return (made.source_steps - 1, made.source_steps) if made.source_steps and steps is None else ()


def add_totals(picture: Picture, found: Measured, annotations: Annotations) -> None:
    """A box with the whole gradient of each parameter, after the last step."""
    lines = [f"|dL/d{annotations.alias(leaf) or leaf.name or 'p'}| {number(size)}" for leaf, size in found.totals.items()]
    boxes = [Box("totals", "alias", lines, "the sums of all shares")]
    picture.groups.append(Group("totals", "sum over the steps", boxes, kind="totals"))


def folded(
    model: Any,
    inputs: Any = None,
    targets: Any = None,
    *,
    loss: str | None = None,
    reduction: str = "mean",
    names: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Drawing:
    """Draw the network folded: one step for all, with an arrow for each state from its end back to its beginning.

    `inputs`, `targets`, `loss` and `reduction` are as for `unrolled`. Each parameter is drawn once, with its number of uses.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> "used x6" in rnn.draw.folded(model, task.inputs, task.targets).source
    True
    """
    made = recorded(model, inputs, targets, names, loss=loss, reduction=reduction)
    if made.source_steps:
        raise ValueError("an encoder and a decoder are two networks: draw model.encoder and model.decoder folded, or unrolled")
    if made.columns < 3:
        raise ValueError(f"a folded picture needs at least three steps, and this sequence has {made.columns}: draw it unrolled")
    graph = Graph(made.loss) if made.loss is not None and not isinstance(made, RecordedRun) else made.graph
    annotations = annotations_of(made, graph, None)
    annotations.notes = {}
    words = f"{describe(model, made)} folded: the same cell at each of {made.columns} steps{loss_words(made)}"
    timeline = made.timeline if isinstance(made, RecordedRun) else Timeline(graph)
    picture = fold(graph, annotations, words if title is None else title, timeline)
    return drawn(picture, graph, None, "", playback(model, made, graph, annotations, picture, timeline))


def both(
    model: Any,
    inputs: Any = None,
    targets: Any = None,
    *,
    loss: str | None = None,
    reduction: str = "mean",
    steps: str | Iterable[int] | None = None,
    names: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Drawing:
    """Draw the textbook's figure of a network: folded on the left, unrolled on the right, with U, W and V for its parameters.

    x is the input, h the state, o the output, y the target, L the loss. With an embedding, e is the row for x. A cell with
    several states, such as an LSTM, has a circle for each. `inputs`, `targets`, `loss` and `reduction` are as for `unrolled`.
    For a recorded loss, U, W and V are the weights that its loop multiplies x[t], h[t-1] and h[t] by. Of more than five
    `steps`, the first two and the last two are drawn. Both directions of a bidirectional layer are drawn side by side. Raises
    ValueError for an EncoderDecoder, which is two networks.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> "U = weight_ih_l0" in rnn.draw.both(model, task.inputs, task.targets).source
    True
    """
    made = recorded(model, inputs, targets, names, loss=loss, reduction=reduction)
    if made.source_steps:
        raise ValueError("both() draws one network; an encoder and a decoder are two: use unrolled()")
    count = made.columns
    shown = chosen_steps("all" if count <= 5 else "0-1,-2--1", count) if steps is None else chosen_steps(steps, count)
    words = f"{describe(model, made)}: folded, and unrolled over {count} step{'s' * (count != 1)}{loss_words(made)}"
    graph = made.graph
    picture = figure(model, made, graph, shown, words if title is None else title)
    return drawn(picture, graph, None, "", playback(model, made, graph, annotations_of(made, graph, None), picture))
