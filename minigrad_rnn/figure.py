"""Figures of matplotlib, which is there only with the extra `plot`."""

import io
from functools import partial
from typing import Any

__all__ = ["blank"]


def blank(width: float, height: float) -> Any:
    """An empty figure, in inches, that shows itself in a notebook: of its own a notebook shows only those of pyplot."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'minigrad-rnn[plot]'") from error
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    figure._repr_svg_ = partial(svg, figure)  # in the place of a subclass, which could not be pickled
    return figure


def svg(figure: Any) -> str | None:
    """The figure as SVG text, or None: whatever the failure is, the notebook goes on."""
    written = io.StringIO()
    try:
        figure.savefig(written, format="svg")
    except Exception:
        return None
    return written.getvalue()
