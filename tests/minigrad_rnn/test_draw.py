"""The pictures of recurrent networks: their structure, their numbers, and where the renderer puts the states."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad.pictures import renderers

TASK = rnn.tasks.hello()


def network(kind: str = "RNN", symbols: int = 5, hidden: int = 5, **options) -> rnn.Sequence:
    return rnn.Sequence(
        getattr(rnn, kind)(symbols, hidden, dtype=np.float64, rng=0, **options),
        rnn.Linear(hidden, symbols, dtype=np.float64, rng=1),
    )


def sequence(T: int, symbols: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.eye(symbols)[rng.integers(symbols, size=(T, 1))], rng.integers(symbols, size=(T, 1))


def clusters(source: str) -> dict[str, str]:
    """The text of each framed group by its title."""
    parts = re.findall(r"subgraph cluster_\w+ \{(.*?)\n\t\}", source, flags=re.S)
    return {m.group(1): part for part in parts if (m := re.search(r'label="((?:t =|one step)[^"]*)"', part))}


def states_by_hand(model: rnn.Sequence, x: np.ndarray, y: np.ndarray) -> list[float]:
    """|dL/dh[t]| for every t, by backpropagation through time written out."""
    return [total for total, _ in gradients_by_hand(model, x, y)]


def gradients_by_hand(model: rnn.Sequence, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """|dL/dh[t]| for every t, and the norm of its part that comes back from step t+1."""
    W = model.state_dict()
    U, R, V = W["recurrent.weight_ih_l0"], W["recurrent.weight_hh_l0"], W["readout.weight"]
    b = W["recurrent.bias_ih_l0"] + W["recurrent.bias_hh_l0"]
    h = [np.zeros((1, U.shape[0]))]
    for x_t in x:
        h.append(np.tanh(x_t @ U.T + h[-1] @ R.T + b))
    norms = []
    later = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        e = np.exp(h[t + 1] @ V.T + W["readout.bias"])
        p = e / e.sum()
        p[0, y[t, 0]] -= 1
        g = p @ V + later
        norms.append((float(np.linalg.norm(g)), float(np.linalg.norm(later))))
        later = (g * (1 - h[t + 1] ** 2)) @ R
    return norms[::-1]


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_unrolled_shows_each_step_with_all_its_parameters(kind):
    source = rnn.draw.unrolled(network(kind), TASK.inputs, TASK.targets).source
    steps = clusters(source)
    assert list(steps) == [f"t = {t}" for t in range(6)]
    for t, part in enumerate(steps.values()):
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "readout.weight", "readout.bias"):
            assert len(re.findall(rf'label="?{re.escape(name)}"? ', part)) == 1
        for name in ("x", "h", "o", "y") + (("c",) if kind == "LSTM" else ()):
            assert f'label="{name}[{t}]' in part
    assert sum('label="L[' in part for part in steps.values()) == 6
    assert 'label="loss' in steps["t = 5"]


def test_the_gates_of_an_lstm_are_named():
    part = clusters(rnn.draw.unrolled(network("LSTM"), TASK.inputs, TASK.targets).source)["t = 2"]
    for gate in ("sigmoid\\ni", "sigmoid\\nf", "tanh\\ng", "sigmoid\\no"):
        assert f'label="{gate}"' in part


def test_the_recurrent_arrow_leads_from_each_state_to_the_next_step():
    source = rnn.draw.unrolled(network(), TASK.inputs, TASK.targets).source
    outside = source[source.rindex("}", 0, source.rindex("}")) :]
    assert len([line for line in outside.splitlines() if "#0d6efd" in line]) == 6  # the states, with the initial one
    assert len([line for line in outside.splitlines() if "#b5545f" in line]) == 5  # the sum of the losses


def test_symbols_are_written_at_inputs_and_targets():
    source = rnn.draw.unrolled(network(), TASK.inputs, TASK.targets, symbols=TASK.alphabet).source
    assert [re.search(rf"x\[{t}\] = '(.)'", source).group(1) for t in range(6)] == list("hihell")
    assert [re.search(rf"y\[{t}\] = '(.)'", source).group(1) for t in range(6)] == list("ihello")


def test_the_losses_are_written_at_their_steps():
    model = network()
    source = rnn.draw.unrolled(model, TASK.inputs, TASK.targets).source
    total, steps = rnn.sequence_cross_entropy(model(TASK.inputs), TASK.targets, reduction="sum")
    for t in range(6):
        assert f'label="L[{t}]\\n{steps[t]:.3g}"' in source
    assert f'label="loss\\n{total.item():.3g}"' in source


@pytest.mark.parametrize("T", [1, 6, 30])
def test_gradients_are_those_of_backpropagation_by_hand(T):
    model = network()
    x, y = sequence(T)
    source = rnn.draw.unrolled(model, x, y, gradients=True).source
    shown = re.findall(r"label=\"h\[(\d+)\]\\n\(1,5\)\\n\|dL/dh\| ([\d.e+-]+)\"", source)
    assert [int(t) for t, _ in shown] == list(range(T))
    assert [text for _, text in shown] == [f"{norm:.1e}" for norm in states_by_hand(model, x, y)]


def test_the_larger_gradient_is_the_darker():
    model = network(hidden=5)
    x, y = sequence(30)
    source = rnn.draw.unrolled(model, x, y, gradients=True).source
    reds = [int(red, 16) for red in re.findall(r'label="h\[\d+\][^\n]*?\|dL/dh\|[^\n]*?fillcolor="#(..)', source)]
    by_size = [red for _, red in sorted(zip(states_by_hand(model, x, y), reds, strict=True))]
    assert by_size == sorted(by_size, reverse=True)
    assert by_size[-1] == 0x08


def test_colours_and_widths_stand_on_the_scale_that_the_title_tells():
    model = network()
    x, y = sequence(12)
    source = rnn.draw.unrolled(model, x, y, gradients=True).source
    high, low = (float(s) for s in re.search(r"from (\S+) \(dark\) down to (\S+) \(light\)", source).groups())
    by_hand = gradients_by_hand(model, x, y)
    assert high == pytest.approx(max(max(pair) for pair in by_hand), rel=0.05)
    decades = round(np.log10(high / low))

    def share(size: float) -> float:
        return 1 + np.log10(size / high) / decades

    reds = [int(red, 16) for red in re.findall(r'label="h\[\d+\][^\n]*?fillcolor="#(..)', source)]
    widths = [float(w) for w in re.findall(r"-> n\d+ \[color=\"#[0-9a-f]{6}\" penwidth=([\d.]+) weight=100\]", source)]
    for (total, _), red in zip(by_hand, reds, strict=True):
        assert red == pytest.approx(247 + (8 - 247) * share(total), abs=5)
    inner = [w for w in widths if w not in (1.6, 1.2)]  # without the initial state's and those of the sum
    assert len(inner) == 11
    for (_, back), width in zip(by_hand[:-1], inner, strict=True):
        assert width == pytest.approx(0.6 + 3.4 * share(back), abs=0.1)


def test_a_frozen_layer_is_drawn_with_what_still_learns():
    model = network()
    for p in model.recurrent.parameters():
        p.requires_grad = False
    assert "readout.weight" in rnn.draw.unrolled(model, TASK.inputs, TASK.targets, gradients=True).source


def test_a_state_the_loss_does_not_depend_on_gets_a_dash():
    model = network("RNN", nonlinearity="relu")
    for name, p in model.named_parameters():
        p.data = np.full(p.shape, -1.0) if name.startswith("recurrent") else np.zeros(p.shape)
    source = rnn.draw.unrolled(model, TASK.inputs, TASK.targets, gradients=True).source
    assert source.count('|dL/dh| -"') == 6


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_folded_draws_each_parameter_once(kind):
    source = rnn.draw.folded(network(kind), TASK.inputs, TASK.targets).source
    assert source.count("used x6") == 6
    assert list(clusters(source)) == ["one step, repeated 6 times (t = 0 ... 5)"]
    assert source.count('label="h[t-1]"') == 1
    assert source.count('label="c[t-1]"') == (kind == "LSTM")
    assert source.count('label="t = 0"') == (2 if kind == "LSTM" else 1)


def test_a_layer_alone_and_a_model_without_targets_can_be_drawn():
    source = rnn.draw.unrolled(rnn.RNN(5, 3, rng=0), TASK.inputs).source
    assert "cross_entropy" not in source
    assert 'label="h[5]' in source
    assert 'label="o[5]' in rnn.draw.unrolled(network(), TASK.inputs).source
    assert 'label="h[t]' in rnn.draw.folded(rnn.LSTM(5, 3, rng=0), TASK.inputs).source


@pytest.mark.parametrize("T", [1, 2, 50])
@pytest.mark.parametrize("gradients", [False, True])
def test_two_runs_give_identical_text(T, gradients):
    x, y = sequence(T)
    first, second = (rnn.draw.unrolled(network("LSTM"), x, y, gradients=gradients).source for _ in range(2))
    assert first == second
    assert rnn.draw.folded(network(), x, y).source == rnn.draw.folded(network(), x, y).source


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_fifty_states_stand_on_one_horizontal_line_in_order_of_time(kind):
    if not renderers():
        pytest.skip("neither dot nor pygraphviz is installed")
    x, y = sequence(50)
    svg = ElementTree.fromstring(rnn.draw.unrolled(network(kind), x, y).svg())
    text = "{http://www.w3.org/2000/svg}text"
    places = {e.text: (float(e.get("x")), float(e.get("y"))) for e in svg.iter(text) if re.fullmatch(r"h\[\d+\]", e.text or "")}
    along = [places[f"h[{t}]"] for t in range(50)]
    assert [x for x, _ in along] == sorted(x for x, _ in along)
    assert max(y for _, y in along) - min(y for _, y in along) < 1.0
    steps = {e.text: float(e.get("y")) for e in svg.iter(text) if re.fullmatch(r"t = \d+", e.text or "")}
    assert len(steps) == 50


def test_what_cannot_be_drawn_is_refused_with_words():
    with pytest.raises(ValueError, match="a gradient begins at a loss: give targets too"):
        rnn.draw.unrolled(network(), TASK.inputs, gradients=True)
    with pytest.raises(TypeError, match=r"can draw a Sequence or a recurrent layer .*, not a Linear"):
        rnn.draw.unrolled(rnn.Linear(5, 5), TASK.inputs)
    with pytest.raises(ValueError, match=r"targets have shape \(5, 1\); expected \(T, batch\) = \(6, 1\)"):
        rnn.draw.folded(network(), TASK.inputs, TASK.targets[1:])
    with pytest.raises(ValueError, match="no steps"):
        rnn.draw.unrolled(network(), TASK.inputs[:0])
    with pytest.raises(ValueError, match="targets need a readout"):
        rnn.draw.unrolled(rnn.RNN(5, 5), TASK.inputs, TASK.targets)
