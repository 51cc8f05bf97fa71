"""Figures show themselves in a notebook, whatever plots them, and can be copied."""

import copy
import pickle
from typing import Any
from xml.etree import ElementTree

import pytest

import minigrad_rnn as rnn

pytest.importorskip("matplotlib")

HISTORY = rnn.History(loss=[2.0, 1.0], grad_norm=[1.0, 0.5], lr=[0.1, 0.1])
FLOW = rnn.gradient_flow(rnn.Sequence(rnn.RNN(5, 4, rng=0), rnn.Linear(4, 5, rng=1)), rnn.tasks.hello())
PLOTS = {"history": HISTORY.plot, "flow": FLOW.plot, "comparison": rnn.flow.compare({"RNN": FLOW}).plot}


def words(figure: Any) -> int:
    """How many words there are, which matplotlib writes as comments beside their outlines."""
    svg = figure._repr_svg_()
    assert ElementTree.fromstring(svg.encode("utf-8")).tag == "{http://www.w3.org/2000/svg}svg"
    return svg.count("<!-- ")


@pytest.mark.parametrize("name", PLOTS)
def test_a_notebook_shows_the_figure(name: str) -> None:
    assert words(PLOTS[name]()) > 5


def test_a_copy_shows_itself() -> None:
    figure = PLOTS["comparison"]()
    before = words(figure)
    for other in (pickle.loads(pickle.dumps(figure)), copy.deepcopy(figure)):
        other.text(0.5, 0.5, "only here")
        assert words(other) == before + 1
    assert words(figure) == before


def test_a_figure_that_cannot_be_drawn_is_not_shown() -> None:
    figure = HISTORY.plot()
    figure.text(0.5, 0.5, "$nonsense{$")
    assert figure._repr_svg_() is None
