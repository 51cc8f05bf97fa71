"""A graph of plain data is drawn as it was given, whatever the order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg


@st.composite
def graphs(draw):
    """Labels and parents of up to 12 nodes, in any order, with keys of several kinds."""
    keys = draw(st.lists(st.integers() | st.text(max_size=3) | st.tuples(st.integers()), min_size=1, max_size=12, unique=True))
    parents = {key: draw(st.lists(st.sampled_from(keys[:i]), max_size=3)) for i, key in enumerate(keys) if i}
    shuffled = draw(st.permutations(keys))
    return {key: f"node\n{keys.index(key)}" for key in shuffled}, parents


@given(graphs())
def test_every_node_and_every_parent_is_drawn(graph):
    labels, parents = graph
    picture = mg.draw_graph(labels, parents).picture
    boxes = {box.id: box for box in picture.all_boxes()}
    assert sorted(box.lines for box in boxes.values()) == sorted(label.split("\n") for label in labels.values())
    drawn = [(boxes[a.source].lines[1], boxes[a.target].lines[1]) for a in picture.all_arrows()]
    asked = [(labels[p].split("\n")[1], labels[node].split("\n")[1]) for node, several in parents.items() for p in several]
    assert sorted(drawn) == sorted(asked)
    for box in boxes.values():
        read = any(a.target == box.id for a in picture.all_arrows())
        assert (box.role == "op") == read


@pytest.mark.parametrize("times", [2, 3])
def test_a_parent_that_is_used_twice_has_two_arrows_that_can_be_seen(times):
    svg = mg.draw_graph({"x": "x", "y": "+"}, {"y": ["x"] * times}).pipe("svg", encoding="utf-8")
    ways = re.findall(r'<g class="edge".*? d="(.*?)"', svg)
    assert len(set(ways)) == len(ways) == times


def test_it_is_saved_and_shown(tmp_path):
    drawing = mg.draw_graph({"x": "x", "y": "tanh"}, {"y": ["x"]}, title="an <engine>")
    svg = drawing.save(tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert "tanh" in svg
    assert "an &lt;engine&gt;" in svg
    assert drawing.text == "x\ntanh"
    assert "<svg" in drawing.html()


@pytest.mark.parametrize(
    ("nodes", "parents", "error", "said"),
    [
        ({}, {}, ValueError, "nothing to draw"),
        (["x"], {}, TypeError, "not a list"),
        ({"x": ""}, [], TypeError, "not a list"),
        ({"x": ""}, {"x": ["y"]}, ValueError, "a parent of 'x' is 'y'"),
        ({"x": ""}, {"y": ["x"]}, ValueError, "parents has 'y'"),
        ({"x": "", "y": ""}, {"x": ["y"], "y": ["x"]}, ValueError, "cannot be computed from itself"),
        (dict.fromkeys(range(9), ""), {}, ValueError, "limit=8"),
    ],
)
def test_wrong_graphs(nodes, parents, error, said):
    with pytest.raises(error, match=said):
        mg.draw_graph(nodes, parents, limit=8)
