"""Reber's grammar and its kin: against regular expressions written from the diagram in the paper."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad_rnn.data import grammars, tasks
from minigrad_rnn.data.batch import IGNORED

INNER = r"B(?:(?:TS*X|PT*VP)(?:XT*VP)*(?:S|XT*VV)|PT*VV)E"
EMBEDDED = rf"(?:BT{INNER}TE|BP{INNER}PE)"
SYMBOLS = "BTPSXVE"
INNER_ENDS = ["", "E", "SE", "VE", "VVE", "XSE", "TXSE", "BTXSE"]  # at least one from every place
ENDS = ["", "E", *(f"{inner}{kept}E" for inner in INNER_ENDS for kept in "TP"), "TBTXSETE"]
seeds = st.integers(0, 2**32)


def every_reber(most: int) -> list[str]:
    return [
        text
        for length in range(most - 1)
        for middle in itertools.product(SYMBOLS, repeat=length)
        if re.fullmatch(INNER, text := "B" + "".join(middle) + "E")
    ]


def test_reber_strings_are_those_of_the_diagram() -> None:
    valid = set(every_reber(8))
    assert {"BTXSE", "BPVVE", "BTSXSE", "BPTVVE", "BTXXVVE", "BPVPSE"} <= valid
    for length in range(1, 7):
        for middle in itertools.product(SYMBOLS, repeat=length - 1):
            text = "B" + "".join(middle)
            assert grammars.reber.valid(text) == (text in valid)
    assert all(map(grammars.reber.valid, valid))


def test_legal_symbols_are_those_with_which_some_string_goes_on() -> None:
    strings = every_reber(9)
    prefixes = {text[:n] for text in strings for n in range(1, 6)}  # from there three symbols and an end are enough
    for prefix in prefixes:
        following = {text[len(prefix)] for text in strings if text.startswith(prefix) and len(text) > len(prefix)}
        assert grammars.reber.legal(prefix)[-1] == "".join(sorted(following))


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_samples_are_valid_strings(seed: int) -> None:
    assert re.fullmatch(INNER, grammars.reber.sample(np.random.default_rng(seed)))
    embedded = grammars.embedded_reber.sample(np.random.default_rng(seed))
    assert re.fullmatch(EMBEDDED, embedded)
    assert grammars.embedded_reber.valid(embedded)
    assert embedded[1] == embedded[-2]
    stream = grammars.continual_reber.sample(np.random.default_rng(seed), 200)
    assert len(stream) == 200
    cut = re.match(f"(?:{EMBEDDED})*", stream).end()
    assert cut > 100
    assert stream[cut : cut + 1] in ("B", "")
    assert len(grammars.continual_reber.legal(stream)) == 200
    assert not grammars.continual_reber.valid(stream)  # it has no end


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(0, 50), st.sampled_from(SYMBOLS))
def test_a_changed_string_is_valid_only_if_the_expression_says_so(seed: int, place: int, symbol: str) -> None:
    text = grammars.embedded_reber.sample(np.random.default_rng(seed))
    place %= len(text)
    for changed in (text[:place] + symbol + text[place + 1 :], text[:place] + text[place + 1 :], text + symbol):
        assert grammars.embedded_reber.valid(changed) == bool(re.fullmatch(EMBEDDED, changed))


def test_legal_symbols_of_embedded_strings() -> None:
    assert grammars.embedded_reber.legal("BPBTXSEPE") == ["PT", "B", "PT", "SX", "SX", "E", "P", "E", ""]
    assert grammars.continual_reber.legal("BTBPVVETE")[-3:] == ["T", "E", "B"]
    assert grammars.anbn.legal("SaabbT") == ["a", "ab", "ab", "b", "T", ""]


@settings(deadline=None)
@given(st.text(alphabet="SabT", max_size=9) | st.integers(0, 9).map(lambda n: f"S{n * 'a'}{n * 'b'}T"))
def test_anbn_counts(text: str) -> None:
    n = text.count("a")
    assert grammars.anbn.valid(text) == (n > 0 and text == f"S{n * 'a'}{n * 'b'}T")


def test_what_breaks_the_rules_is_named() -> None:
    with pytest.raises(ValueError, match="'BTSE' is not in this language: after 'BTS' comes S or X, not 'E'"):
        grammars.reber.legal("BTSE")
    with pytest.raises(ValueError, match="'BTXSE' is complete, not 'B'"):
        grammars.reber.legal("BTXSEB")


def test_strings_are_padded_at_the_end() -> None:
    batch = grammars.reber.batch(["BTXSE", "BPTTVVE"])
    assert batch.lengths.tolist() == [4, 6]
    assert [SYMBOLS[i] for i in batch.inputs[:4, 0].argmax(-1)] == list("BTXS")
    assert not batch.inputs[4:, 0].any()
    assert [SYMBOLS[i] for i in batch.targets[:4, 0]] == list("TXSE")
    assert (batch.targets[4:, 0] == IGNORED).all()
    assert [SYMBOLS[i] for i in batch.targets[:, 1]] == list("PTTVVE")


def test_uncertainty_is_expected_over_all_strings() -> None:
    """h = nats here + mean of h where it leads, solved for the states of the diagram."""
    moves = {1: (2, 3), 2: (2, 4), 3: (3, 5), 4: (3, 6), 5: (4, 6)}  # after B; 6 is before E
    M = np.zeros((5, 5))
    for state, reached in moves.items():
        for to in reached:
            if to < 6:
                M[state - 1, to - 1] += 0.5
    visits = np.linalg.solve(np.eye(5) - M, np.ones(5))[0]  # choices between two
    nats, symbols = grammars.reber.entropy()
    assert nats == pytest.approx(visits * math.log(2))
    assert symbols == pytest.approx(visits + 1)
    assert grammars.embedded_reber.entropy() == pytest.approx((nats + math.log(2), symbols + 4))


def test_predictions_are_right_where_all_that_may_come_is_above_all_that_may_not() -> None:
    task = tasks.embedded_reber()
    batch = task.sample(50, np.random.default_rng(0))
    legal = np.zeros(batch.inputs.shape)
    for b, n in enumerate(batch.lengths):
        for t in range(n):
            text = task.alphabet.decode(batch.inputs[: t + 1, b].argmax(-1))
            for symbol in SYMBOLS:
                # legal is what some string goes on with; the shortest ends are enough
                legal[t, b, SYMBOLS.index(symbol)] = any(re.fullmatch(EMBEDDED, text + symbol + rest) for rest in ENDS)
    right = grammars.embedded_reber.correct(legal, batch)
    assert right.shape == batch.targets.shape
    assert right.all()
    assert not grammars.embedded_reber.correct(-legal, batch)[: batch.lengths.min()].any()
    assert not grammars.embedded_reber.correct(np.zeros_like(legal), batch)[: batch.lengths.min()].any()
    legal[3, 7, 0] = 2.0  # B, which may not come there
    wrong = np.argwhere(~grammars.embedded_reber.correct(legal, batch))
    assert wrong.tolist() == [[3, 7]]
    assert grammars.second_last(legal, batch).all()
    with pytest.raises(ValueError, match=r"the outputs have shape \(3, 7\); expected \(T, batch, symbols\)"):
        grammars.embedded_reber.correct(np.zeros((3, 7)), batch)


def test_the_second_last_symbol_asks_what_is_remembered() -> None:
    batch = tasks.embedded_reber().sample(400, np.random.default_rng(1))
    remembered = batch.inputs[1, :, SYMBOLS.index("T")] == 1
    outputs: Any = np.zeros(batch.inputs.shape)
    outputs[..., SYMBOLS.index("T")] = np.where(remembered, 1, -1)
    assert grammars.second_last(outputs, batch).mean() == remembered.mean()
    outputs[..., SYMBOLS.index("P")] = np.where(remembered, -1, 1)
    assert grammars.second_last(outputs, batch).all()
