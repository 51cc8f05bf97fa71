"""The tasks' data and bounds."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad_rnn as rnn


def test_hello_reads_hihell_and_says_ihello() -> None:
    task = rnn.tasks.hello()
    assert task.name == "hello"
    assert task.inputs.shape == (6, 1, 5)
    assert "".join("hielo"[i] for i in task.inputs[:, 0].argmax(-1)) == "hihell"
    assert task.targets.shape == (6, 1)
    assert "".join("hielo"[i] for i in task.targets[:, 0]) == "ihello"
    assert task.alphabet.symbols == tuple("hielo")


def test_inputs_are_one_hot_and_targets_class_numbers() -> None:
    task = rnn.tasks.hello()
    assert task.inputs.dtype == np.float32
    assert np.issubdtype(task.targets.dtype, np.integer)
    np.testing.assert_array_equal(task.inputs.sum(-1), np.ones((6, 1)))
    np.testing.assert_array_equal((task.inputs == 1).sum(-1), np.ones((6, 1)))


def test_hello_needs_a_memory() -> None:
    task = rnn.tasks.hello()
    after = {}
    for number, target in zip(task.inputs[:, 0].argmax(-1), task.targets[:, 0], strict=True):
        after.setdefault("hielo"[number], set()).add("hielo"[target])
    assert after["h"] == {"i", "e"}
    assert after["l"] == {"l", "o"}


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=2))
def test_next_symbol_reads_all_but_the_last_and_says_all_but_the_first(text: str) -> None:
    task = rnn.tasks.next_symbol(text)
    assert task.inputs.shape == (len(text) - 1, 1, len(set(text)))
    assert task.alphabet.decode(task.inputs[:, 0].argmax(-1)) == text[:-1]
    assert task.alphabet.decode(task.targets[:, 0]) == text[1:]


def test_symbols_are_in_order_of_appearance_unless_given() -> None:
    assert rnn.tasks.next_symbol("cabac").alphabet.symbols == ("c", "a", "b")
    task = rnn.tasks.next_symbol("cabac", symbols="abcd", name="letters")
    assert task.alphabet.symbols == ("a", "b", "c", "d")
    assert task.inputs.shape == (4, 1, 4)
    assert task.name == "letters"


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=2))
def test_the_bound_is_the_loss_of_equal_logits(text: str) -> None:
    task = rnn.tasks.next_symbol(text)
    bound = task.bounds["every symbol equally likely"]
    assert bound == pytest.approx(np.log(len(set(text))))
    loss = rnn.sequence_cross_entropy(np.zeros(task.inputs.shape), task.targets)
    assert loss.total.item() == pytest.approx(bound, abs=1e-12)


@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_too_short_to_predict_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"the next symbol a text needs at least two, this one has {len(text)}"):
        rnn.tasks.next_symbol(text)


def test_a_symbol_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="'c' is not in this alphabet, 'ab'"):
        rnn.tasks.next_symbol("abc", symbols="ab")


def test_a_task_cannot_be_reassigned() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        rnn.tasks.hello().name = "other"
