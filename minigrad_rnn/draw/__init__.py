"""Pictures of recurrent networks: folded, unrolled, both side by side, and with what flows along the time axis.

Saved as ``.html`` a picture becomes a page that plays the forward and the backward pass on it, with every value and cotangent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigrad import Tensor
from minigrad.pictures import Drawing, Graph, Marks, Timeline, drawn, fold, keep_within, unroll
from minigrad.pictures.picture import Box, Group, Legend, Picture
from minigrad.pictures.strips import chosen_steps

from ..data.text import Alphabet
from ..module import Module
from ..reading import Reading, read
from ..stepwise import Drawable, Run, run
from .cells import cell_view
from .compare import compare
from .figure import figure
from .marks import describe, gate_blocks, marks_of
from .overlays import OVERLAYS, Measured, Scale, measure, number, put
from .playing import playback

__all__ = ["both", "compare", "folded", "unrolled"]

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
    """The network unrolled in time, a frame for each step, with the states on straight lines.

    `model` is a Sequence, ManyToOne, OneToMany, EncoderDecoder or a recurrent layer, or of a subclass, with cells of this
    package or your own. It is run step by step, and what is drawn is what it computes.
    `inputs` has shape (T, batch, input_size), or what its embedding takes; with `targets` the loss is drawn too. A `Task`, a
    source of data (its first batch) or a `Batch` may take the place of both. Any other `Module` is drawn as it runs, and so is
    a loss that your own code recorded, ``unrolled(loss, names=locals())``: its loops are what `minigrad.loops` finds.

    `loss` is "cross_entropy", "mse" or "binary": by default that of the task or source, and of arrays the cross-entropy of
    class numbers and the squared error of other numbers. As in a `Trainer` it is the mean over the steps and sequences that
    count; with ``reduction="sum"`` it is the sum over the steps of the mean over sequences. L[t] is the share of step t:
    the shares add up to the loss.

    `level` says how much is in a frame: every "op"; the ops of each "gate" as one box; or one box for a "cell". Of more than
    eight `steps` the first and the last three are drawn, and a strip for the others, coloured by the gradient of each;
    ``steps="all"``, ``"0-3,48-49"`` or a list of numbers chooses others.

    ``gradients=True`` colours each state by the norm of the gradient that reaches it, dL/dh[t], on a logarithmic scale; a
    recurrent arrow is the wider, the more of it comes back along it from the next step. It needs targets.
    `overlay` colours by something else: the "activation" (mean size), its "saturation", or
    each step's "share" of a parameter's gradient. ``scale=(low, high)`` fixes the colours, to compare pictures.

    `chunk` cuts the states every so many steps, as truncated backpropagation does; a pair of scissors says where. `symbols`
    writes what the one-hot inputs and the targets of the first sequence mean. Raises ValueError for shapes that do not fit, and
    for more than `limit` boxes.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> drawing = rnn.draw.unrolled(model, task.inputs, task.targets, gradients=True)
    >>> [f"t = {t}" in drawing.source for t in (0, 5, 6)]
    [True, True, False]
    """
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}, not {level!r}")
    kind = overlay_of(gradients, overlay)
    made = recorded(model, inputs, targets, names, loss=loss, reduction=reduction, chunk=chunk)
    if isinstance(made, Reading) and level != "op":
        raise ValueError(f"level={level!r} is for the models of this package; of code of one's own every op is drawn")
    if kind in ("gradient", "share") and made.loss is None:
        raise ValueError("a gradient begins at a loss: give targets too")
    graph = made.graph
    marks = marks_of(made, graph, symbols)
    measured, scale_, legend = coloured(kind, made, marks, scale)
    marks.shown = chosen_steps(steps, made.columns, turning_points(made, steps))
    if title is None:
        title = f"{describe(model, made)} unrolled over {made.columns} step{'s' * (made.columns != 1)}{loss_words(made)}"
        title += f"  |  truncated: the states are cut every {chunk} step{'s' * (chunk != 1)}" if chunk is not None else ""
    advice = 'level="cell", or fewer steps such as steps="0-2,-1"'
    if level == "op":
        keep_within(sum(node.op is not None and marks.step(node) in marks.shown for node in graph), limit, advice)
    if level == "cell":
        picture = cell_view(made, marks, title, measured, scale_)
    else:
        marks.blocks = gate_blocks(made, graph) if level == "gate" else {}
        picture = unroll(graph, marks, title)
        if measured is not None and measured.totals:
            add_totals(picture, measured, marks)
    picture.legend = legend
    return drawn(picture, graph, limit, advice, playback(model, made, graph, marks, picture))


def coloured(
    kind: str, made: Run, marks: Marks, scale: tuple[float, float] | None
) -> tuple[Measured | None, Scale | None, Legend | None]:
    """Measure a run, and write and colour the numbers; without an overlay only those of folded steps, their gradients."""
    if not kind and made.loss is None:
        return None, None, None
    measured = measure(kind or "gradient", made, made.graph)
    found = measured.scale(scale)
    if kind:
        return measured, found, put(measured, marks, made, found)
    strips = marks_of(made, made.graph, None)
    put(measured, strips, made, found)
    marks.pieces = strips.pieces
    return None, None, None


def overlay_of(gradients: bool, overlay: str | None) -> str:
    """The name of the overlay, or ""."""
    if gradients and overlay not in (None, "gradient"):
        raise ValueError(f"a picture has one colouring: gradients=True or overlay={overlay!r}")
    kind = "gradient" if gradients else overlay or ""
    if kind and kind not in OVERLAYS:
        raise ValueError(f"overlay is one of {', '.join(OVERLAYS)}, not {overlay!r}")
    return kind


def recorded(model: Any, inputs: Any, targets: Any, names: Any = None, **options: Any) -> Run:
    """The run that is drawn."""
    if isinstance(model, Tensor) or (isinstance(model, Module) and not isinstance(model, Drawable)):
        return read(model, inputs, targets, names, **options)
    made = run(model, inputs, targets, **options)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("nothing here was recorded: no parameter of this model requires grad")
    return made


def loss_words(made: Run) -> str:
    """The part of a title that names the loss."""
    return f"  |  loss: {made.words}" if made.words else ""


def turning_points(made: Run, steps: Any) -> tuple[int, ...]:
    """The last step of the encoder and the first of the decoder; shown unless the steps were chosen."""
    return (made.source_steps - 1, made.source_steps) if made.source_steps and steps is None else ()


def add_totals(picture: Picture, found: Measured, marks: Marks) -> None:
    """A box with the whole gradient of each parameter, after the last step."""
    lines = [f"|dL/d{marks.alias(leaf) or leaf.name or 'p'}| {number(size)}" for leaf, size in found.totals.items()]
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
    """The network folded: one step for all, with the state led back from its end to its beginning.

    `inputs`, `targets`, `loss` and `reduction` are as for `unrolled`; each parameter is drawn once, with how often it is used.

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
        raise ValueError(f"a loop shows from three steps on, and this sequence has {made.columns}: draw it unrolled")
    graph = Graph(made.loss) if made.loss is not None and not isinstance(made, Reading) else made.graph
    marks = marks_of(made, graph, None)
    marks.notes = {}
    words = f"{describe(model, made)} folded: the same cell at each of {made.columns} steps{loss_words(made)}"
    timeline = made.timeline if isinstance(made, Reading) else Timeline(graph)
    picture = fold(graph, marks, words if title is None else title, timeline)
    return drawn(picture, graph, None, "", playback(model, made, graph, marks, picture, timeline))


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
    """The textbook's figure of this network: folded on the left, unrolled on the right, with U, W and V for its parameters.

    x is the input, h the state, o the output, y the target, L the loss; with an embedding e is the row that stands for x, and a
    cell with several states, such as an LSTM, has a circle for each. `inputs`, `targets`, `loss` and `reduction` are as for
    `unrolled`; so is a loss alone, whose U, W and V are what its loop multiplies x[t], h[t-1] and h[t] by. Of more than five
    `steps` the first two and the last two are drawn. Both directions of a bidirectional layer stand side by side. Raises
    ValueError for an EncoderDecoder, which is two networks.

    >>> import minigrad_rnn as rnn
    >>> task = rnn.tasks.hello()
    >>> model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    >>> "U = weight_ih_l0" in rnn.draw.both(model, task.inputs, task.targets).source
    True
    """
    made = recorded(model, inputs, targets, names, loss=loss, reduction=reduction)
    if made.source_steps:
        raise ValueError("both() is for one network; an encoder and a decoder are two: draw them unrolled")
    count = made.columns
    shown = chosen_steps("all" if count <= 5 else "0-1,-2--1", count) if steps is None else chosen_steps(steps, count)
    words = f"{describe(model, made)}: folded, and unrolled over {count} step{'s' * (count != 1)}{loss_words(made)}"
    graph = made.graph
    picture = figure(model, made, graph, shown, words if title is None else title)
    return drawn(picture, graph, None, "", playback(model, made, graph, marks_of(made, graph, None), picture))
