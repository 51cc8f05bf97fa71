"""Text to numbers and back."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad_rnn as rnn


def alphabet_of(text: str) -> rnn.Alphabet:
    return rnn.Alphabet("".join(dict.fromkeys(text)))


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=1))
def test_decode_undoes_encode(text: str) -> None:
    alphabet = alphabet_of(text)
    numbers = alphabet.encode(text)
    assert numbers.shape == (len(text),)
    assert alphabet.decode(numbers) == text


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=1))
def test_numbers_are_places_in_the_alphabet(text: str) -> None:
    alphabet = alphabet_of(text)
    assert [alphabet.symbols[i] for i in alphabet.encode(text)] == list(text)
    np.testing.assert_array_equal(alphabet.encode(alphabet.symbols), np.arange(len(alphabet)))


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=1))
def test_one_hot_rows_have_their_one_at_the_number(text: str) -> None:
    alphabet = alphabet_of(text)
    numbers = alphabet.encode(text)
    rows = alphabet.one_hot(numbers)
    assert rows.shape == (len(text), len(alphabet))
    np.testing.assert_array_equal(rows.argmax(1), numbers)
    np.testing.assert_array_equal(rows.sum(1), np.ones(len(text)))
    assert set(np.unique(rows)) <= {0.0, 1.0}


@settings(deadline=None, max_examples=25)
@given(st.text(min_size=1), st.characters())
def test_a_symbol_that_is_missing_is_named(text: str, symbol: str) -> None:
    symbols = "".join(dict.fromkeys(text.replace(symbol, ""))) or ("b" if symbol == "a" else "a")
    with pytest.raises(ValueError, match=re.escape(f"{symbol!r} is not in this alphabet, {symbols!r}")) as error:
        rnn.Alphabet(symbols).encode(symbols + symbol)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_no_text_is_no_numbers() -> None:
    numbers = rnn.Alphabet("ab").encode("")
    assert numbers.shape == (0,)
    assert numbers.dtype == np.intp
    assert rnn.Alphabet("ab").decode(numbers) == ""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
def test_one_hot_adds_an_axis_in_the_dtype_asked_for(shape: tuple[int, ...], dtype: Any) -> None:
    rows = rnn.Alphabet("abcd").one_hot(np.full(shape, 2), dtype)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, np.broadcast_to([0, 0, 1, 0], (*shape, 4)))


def test_one_hot_is_single_precision_unless_asked_for() -> None:
    assert rnn.Alphabet("ab").one_hot([0]).dtype == np.float32


def test_symbols_may_be_longer_than_a_letter() -> None:
    alphabet = rnn.Alphabet(["he", "l", "lo"])
    assert alphabet.encode(["he", "l", "lo"]).tolist() == [0, 1, 2]
    assert alphabet.decode([0, 1, 2]) == "hello"


def test_an_alphabet_knows_its_length_and_shows_its_symbols() -> None:
    assert len(rnn.Alphabet("hielo")) == 5
    assert repr(rnn.Alphabet("hielo")) == "Alphabet('hielo')"


@pytest.mark.parametrize("symbols", ["", "hello", ["a", "a"]])
def test_no_symbols_or_one_twice_are_refused(symbols: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"an alphabet is one or more different symbols, not {symbols!r}")):
        rnn.Alphabet(symbols)


@pytest.mark.parametrize(
    ("numbers", "words"), [([-1], "-1 is not the number"), ([9], "9 is not the number"), ([0.5], "an integer")]
)
def test_what_is_not_the_number_of_a_symbol_is_refused(numbers, words) -> None:
    alphabet = rnn.Alphabet("abc")
    for method in (alphabet.decode, alphabet.one_hot):
        with pytest.raises(ValueError, match=words):
            method(numbers)
