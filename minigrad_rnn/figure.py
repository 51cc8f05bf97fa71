"""Figures of matplotlib, which only the extra `plot` installs."""

import io
from functools import partial
from typing import Any

__all__ = ["blank"]


def blank(width: float, height: float) -> Any:
    """Return an empty figure, its size in inches. A notebook shows it, as it does by itself only for figures of pyplot."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'minigrad-rnn[plot]'") from error
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    figure._repr_svg_ = partial(svg, figure)  # not a subclass, which could not be pickled
    return figure


def svg(figure: Any) -> str | None:
    """Return the figure as SVG text, or None after an error, so that the notebook can continue."""
    written = io.StringIO()
    try:
        figure.savefig(written, format="svg")
    except Exception:
        return None
    return written.getvalue()
