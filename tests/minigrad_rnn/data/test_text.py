"""Text to numbers and back."""

import math
import re
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad_rnn as rnn
from minigrad_rnn.data import IGNORED, Alphabet, Streams, Windows
from minigrad_rnn.data.text import entropy, one_hot, read, window_entropy, words


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
    with pytest.raises(ValueError, match=re.escape(f"an alphabet must be one or more different symbols, not {symbols!r}")):
        rnn.Alphabet(symbols)


@pytest.mark.parametrize(
    ("numbers", "words"), [([-1], "-1 is not the number"), ([9], "9 is not the number"), ([0.5], "an integer")]
)
def test_what_is_not_the_number_of_a_symbol_is_refused(numbers, words) -> None:
    alphabet = rnn.Alphabet("abc")
    for method in (alphabet.decode, alphabet.one_hot):
        with pytest.raises(ValueError, match=words):
            method(numbers)


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1), st.text(), st.characters())
def test_what_is_not_in_the_alphabet_is_the_unknown_symbol(known: str, text: str, unknown: str) -> None:
    alphabet = rnn.Alphabet.of(known, unknown=unknown)
    assert len(alphabet) == len({*known, unknown})
    assert alphabet.decode(alphabet.encode(text)) == "".join(c if c in known else unknown for c in text)


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, alphabet="abcdé漢🙂"), st.integers(1, 8))
def test_the_most_frequent_symbols_are_kept_in_the_order_of_the_text(text: str, most: int) -> None:
    alphabet = Alphabet.of(text, most=most, unknown="?")
    first = list(dict.fromkeys(text))
    kept = sorted(first, key=lambda c: (-text.count(c), first.index(c)))[:most]
    assert alphabet.symbols == (*[c for c in first if c in kept], "?")


def test_symbols_left_out_need_an_unknown_one() -> None:
    assert Alphabet.of("abc", most=3).symbols == ("a", "b", "c")
    with pytest.raises(ValueError, match="the text has 3 symbols, more than most=2; give one for the others"):
        Alphabet.of("abc", most=2)
    with pytest.raises(ValueError, match="the text is empty"):
        Alphabet.of("")


def test_a_large_alphabet_is_not_shown_whole() -> None:
    alphabet = Alphabet([f"word{i}" for i in range(5000)])
    assert len(repr(alphabet)) < 1100
    assert "(5000 symbols)" in repr(alphabet)


def test_vectors_of_many_symbols_take_no_table_of_all() -> None:
    assert one_hot([65535], 65536).argmax() == 65535  # a table would have 17 GB


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text


def test_words_are_split_at_spaces_and_punctuation() -> None:
    assert words("I want to play basketball") == ["I", " want", " to", " play", " basketball"]
    assert words("«Früher», sagte\n\tsie - it’s 3.5!") == [
        "«", "Früher", "»", ",", " sagte", "\n", "\t", "sie", " -", " it’s", " 3", ".", "5", "!",
    ]  # fmt: skip
    assert words("") == []


def test_the_packaged_text(capsys: Any) -> None:
    sys.modules.pop("this", None)
    text = read("this")
    assert len(text) == 856
    assert len(set(text)) == 45
    assert text.startswith("The Zen of Python, by Tim Peters\n\nBeautiful is better than ugly.\n")
    assert text.endswith("Namespaces are one honking great idea -- let's do more of those!")
    assert "this" not in sys.modules
    assert capsys.readouterr().out == ""


def test_a_file_is_read_as_python_reads_text(tmp_path: Path) -> None:
    for data, text in [
        ("häuser 漢字 🙂".encode(), "häuser 漢字 🙂"),
        (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\nc\n"),
    ]:
        (tmp_path / "text").write_bytes(data)
        assert read(tmp_path / "text") == read(str(tmp_path / "text")) == text
    (tmp_path / "this").write_text("another")
    assert read(tmp_path / "this") == "another"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "text is empty"),
        (b"\xef\xbb\xbf", "text has only a byte order mark"),
        (b"caf\xe9 noir", "text is not UTF-8: byte 3 is 0xe9"),
        (b"\xef\xbb\xbfab\xff", "byte 5 is 0xff"),
        (b"PK\x03\x04\x00", "looks binary, byte 4 is NUL"),
        ("text".encode("utf-16"), "is UTF-16, as its first two bytes say; give its encoding, utf-16"),
    ],
)
def test_what_is_not_a_text_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "text").write_bytes(data)
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path / "text")
    assert str(tmp_path / "text") in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030", "big5"])
def test_a_text_in_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    text, place = "白日依山盡\n黃河入海流\n", tmp_path / "poem"
    place.write_bytes(text.encode(encoding))
    assert read(place, encoding) == text
    for other, message in {
        "utf-8": "is not UTF-8: .* give its encoding, such as gb18030|is UTF-16",
        "latin-1": "is UTF-8, not latin-1; leave out the encoding|looks binary|is UTF-16",
        "chinese-9": "there is no encoding 'chinese-9'; there are utf-8",
    }.items():
        if other != encoding and (other != "latin-1" or encoding in ("utf-8", "utf-16")):
            with pytest.raises(ValueError, match=message):
                read(place, other)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing \(looked for in "):
        read(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="is a folder; give the path of a text file"):
        read(tmp_path)


sizes = st.integers(1, 12)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 80), sizes, sizes)
def test_streams_cover_the_text_once_in_order(count: int, length: int, batch_size: int) -> None:
    if count <= max(length, batch_size):
        with pytest.raises(ValueError, match=f"the text has {count} symbols"):
            Streams(np.arange(count), length, batch_size)
        return
    streams = Streams(np.arange(count), length, batch_size)
    batches = [streams.batch(i) for i in range(len(streams))]
    assert [len(b.inputs) for b in batches[:-1]] == [length] * (len(batches) - 1)
    inputs, targets = (np.concatenate(parts) for parts in zip(*(b[:2] for b in batches), strict=True))
    assert inputs.shape == targets.shape == (len(inputs), batch_size)
    counted = targets != IGNORED
    assert counted[:-1].all()  # only a last step may not count
    np.testing.assert_array_equal(np.concatenate([inputs[counted[:, b], b] for b in range(batch_size)]), np.arange(count - 1))
    np.testing.assert_array_equal(targets[counted], inputs[counted] + 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 60), sizes, sizes, sizes)
def test_windows_are_all_there_once(count: int, length: int, batch_size: int, stride: int) -> None:
    if count <= length:
        with pytest.raises(ValueError, match=f"the text has {count} symbols; {length} steps need {length + 1}"):
            Windows(np.arange(count), length, batch_size, stride)
        return
    windows = Windows(np.arange(count), length, batch_size, stride, seed=3)
    batches = [windows.batch(len(windows) + i) for i in range(len(windows))]
    found = np.concatenate([b.inputs for b in batches], axis=1)
    assert sorted(map(tuple, found.T.tolist())) == [
        tuple(range(i, i + length)) for i in range(0, count, stride) if i + length < count
    ]
    np.testing.assert_array_equal(np.concatenate([b.targets for b in batches], axis=1), found + 1)


def test_a_text_is_kept_small_and_one_hot_a_batch_at_a_time() -> None:
    numbers = np.random.default_rng(0).integers(65, size=1_000_000)
    tracemalloc.start()
    sources: list[Any] = [Streams(numbers, 50, 32, one_hot=65), Windows(numbers, 50, 32, one_hot=65)]
    batches = [source.batch(1) for source in sources]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for source, batch in zip(sources, batches, strict=True):
        assert source.numbers.dtype == np.uint8
        assert batch.inputs.shape == (50, 32, 65)
        assert batch.inputs.dtype == np.float32
        assert batch.targets.dtype == np.intp
        np.testing.assert_array_equal(batch.inputs.argmax(-1)[1:], batch.targets[:-1])
    assert peak < 30e6  # one-hot the text would take 260 MB


@pytest.mark.parametrize("numbers", [[[1, 2], [3, 4]], [0.5, 1.5, 2.5], "abc"])
def test_only_the_numbers_of_a_text_are_batched(numbers: Any) -> None:
    with pytest.raises(ValueError, match=r"expected the numbers of a text, as Alphabet.encode returns them"):
        Windows(numbers, 1, 1)
    with pytest.raises(ValueError, match="9 is not the number of a symbol"):
        Streams([1, 9], 1, 1, one_hot=9)


def counted_entropy(pairs: list[tuple[str, str]]) -> float:
    """-mean log p(next | context), by counting."""
    both, alone = Counter(pairs), Counter(context for context, _ in pairs)
    return -sum(n * math.log(n / alone[context]) for (context, _), n in both.items()) / len(pairs)


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet="abc漢", min_size=1, max_size=40), st.integers(0, 5))
def test_entropy_is_that_of_a_symbol_given_those_before(text: str, context: int) -> None:
    if len(text) <= context:
        with pytest.raises(ValueError, match=f"the text has {len(text)} symbols; a context of {context} needs"):
            entropy(text, context)
        return
    pairs = [(text[i - context : i], text[i]) for i in range(context, len(text))]
    assert entropy(text, context) == pytest.approx(counted_entropy(pairs), abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet="abc漢", min_size=2, max_size=40), st.integers(1, 8), st.integers(1, 3))
def test_the_entropy_in_a_window_is_that_of_a_symbol_given_the_window_up_to_it(text: str, length: int, stride: int) -> None:
    if len(text) <= length:
        with pytest.raises(ValueError, match=f"the text has {len(text)} symbols; a window of {length}"):
            window_entropy(text, length, stride)
        return
    starts = range(0, len(text) - length, stride)
    pairs = [(text[i : i + t + 1], text[i + t + 1]) for i in starts for t in range(length)]
    assert window_entropy(text, length, stride) == pytest.approx(counted_entropy(pairs), abs=1e-12)


def test_entropy_of_words() -> None:
    text = words("to be or not to be")
    assert entropy(text) == pytest.approx(-(4 * math.log(1 / 6) + 2 * math.log(2 / 6)) / 6)  # "to" is not " to"
