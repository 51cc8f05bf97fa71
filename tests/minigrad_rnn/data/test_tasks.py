"""The tasks' data and bounds."""

import dataclasses
import itertools
import math
import re
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad_rnn as rnn
from minigrad_rnn.data import IGNORED, Batch
from minigrad_rnn.data.tasks import TASKS, Task


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


def samples(task: Task, n: int = 500) -> Batch:
    return task.sample(n, np.random.default_rng(11))


def texts(alphabet: rnn.Alphabet, numbers: np.ndarray) -> list[str]:
    return [alphabet.decode(column) for column in numbers.T]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_the_data_it_describes(name: str) -> None:
    task = TASKS[name]()
    assert task.name == name
    assert 0 < len(task.summary) < 70
    for batch in (task.sample(7, np.random.default_rng(0)), task.data(batch_size=7).batch(3)):
        T, B = batch.inputs.shape[:2]
        assert batch.inputs.shape == (T, B, task.input_size)
        assert batch.inputs.dtype == np.float32
        ahead = {"steps": (T, B), "last": (B,), "translate": (len(batch.targets), B)}[task.wiring]
        if task.loss == "cross_entropy":
            assert batch.targets.shape == ahead
            assert batch.targets.dtype == np.intp
            counted = batch.targets[batch.targets != IGNORED]
            assert counted.min() >= 0
            assert counted.max() < task.output_size == len(task.alphabet)
            assert len(task.source_alphabet) == task.input_size
            assert set(np.unique(batch.inputs.sum(-1))) <= {0.0, 1.0}
        else:
            assert batch.targets.shape == (*ahead, task.output_size)
            assert batch.targets.dtype == np.float32
            if task.loss == "binary":
                assert set(np.unique(batch.targets)) <= {0.0, 1.0}
        if batch.lengths is not None:
            past = np.arange(T)[:, None] >= batch.lengths
            np.testing.assert_array_equal(batch.targets == IGNORED, past)
            assert not batch.inputs[past].any()
        else:
            assert not (batch.targets == IGNORED).any()
    assert task.bounds
    assert all(isinstance(value, float) and 0 <= value < 5 for value in task.bounds.values())
    assert (task.start is None) == (task.wiring != "translate")
    assert len(repr(task)) < 500


@pytest.mark.parametrize("name", ["hello", "sentence", "words", "long_sentence"])
def test_a_fixed_task_is_one_batch(name: str) -> None:
    task = TASKS[name]()
    source = task.data(batch_size=3, batches=9, seed=4)
    assert len(source) == 1
    assert source.batch(0).inputs is source.batch(5).inputs is task.inputs
    assert source.batch(0).targets is task.targets
    assert task.sample(4, np.random.default_rng(0)).inputs.shape == (len(task.inputs), 4, task.input_size)


def test_what_a_task_does_not_have_is_said() -> None:
    with pytest.raises(AttributeError, match=r"the task adding has no fixed batch; use sample\(n, rng\), or data"):
        _ = rnn.tasks.adding().inputs
    with pytest.raises(AttributeError, match="the task adding has no alphabet, because its data are numbers"):
        _ = rnn.tasks.adding().alphabet


def counted_entropy(pairs: list[tuple[Any, Any]]) -> float:
    """-mean log p(answer | what is known), by counting."""
    both, known = Counter(pairs), Counter(a for a, _ in pairs)
    return -sum(n * math.log(n / known[a]) for (a, _), n in both.items()) / len(pairs)


def test_the_sentence_of_the_lab() -> None:
    task = rnn.tasks.sentence()
    assert task.inputs.shape == (15, 1, 10)
    text = task.source_alphabet.decode(task.inputs[:, 0].argmax(-1))
    assert text == " if you want yo"
    assert task.alphabet.decode(task.targets[:, 0]) == "if you want you"
    assert task.bounds["without memory"] == pytest.approx(0.2772588722)
    # at most 13 of 15 are right without memory
    right = sum(max(Counter(b for a, b in zip(text, text[1:] + "u", strict=True) if a == c).values()) for c in set(text))
    assert right == 13


def test_words_one_by_one() -> None:
    task = rnn.tasks.words()
    assert [task.alphabet.symbols[i] for i in task.targets[:, 0]] == [" want", " to", " play", " basketball"]


def test_all_windows_of_the_long_sentence() -> None:
    task = rnn.tasks.long_sentence()
    text = rnn.tasks.SENTENCE
    assert 170 <= len(text) <= 190
    assert len(set(text)) == 25
    assert texts(task.alphabet, task.inputs.argmax(-1)) == [text[i : i + 10] for i in range(len(text) - 10)]
    assert texts(task.alphabet, task.targets) == [text[i + 1 : i + 11] for i in range(len(text) - 10)]
    steps = [(i, t) for i in range(len(text) - 10) for t in range(10)]
    assert task.bounds["all windows by heart"] == pytest.approx(
        counted_entropy([(text[i : i + t + 1], text[i + t + 1]) for i, t in steps])
    )
    assert task.bounds["without memory"] == pytest.approx(counted_entropy([(text[i + t], text[i + t + 1]) for i, t in steps]))


def test_a_sine_is_foretold_from_two_values() -> None:
    task = rnn.tasks.sine(length=30, period=12)
    batch = samples(task, 20_000)
    x, y = batch.inputs[..., 0].astype(float), batch.targets[..., 0].astype(float)
    w = 2 * np.pi / 12
    np.testing.assert_allclose(y[1:], 2 * np.cos(w) * x[1:] - x[:-1], atol=1e-6)
    assert np.mean(y**2) == pytest.approx(task.bounds["always 0"], rel=0.02)
    assert np.mean((y - x) ** 2) == pytest.approx(task.bounds["it stays as it is"], rel=0.02)
    best = ((x[0] @ y[0]) / (x[0] @ x[0]) * x[0] - y[0]) ** 2  # the first step by least squares, the others without error
    assert best.mean() / 30 == pytest.approx(task.bounds["the least there is"], rel=0.03)


@pytest.mark.parametrize(("name", "of_two"), [("adding", np.add), ("multiplication", np.multiply)])
@pytest.mark.parametrize("length", [2, 7, 100])
def test_the_marked_numbers_are_added_or_multiplied(name: str, of_two: Any, length: int) -> None:
    task = TASKS[name](length)
    batch = samples(task, 20_000 if length == 2 else 200)
    values, marks = np.moveaxis(batch.inputs, -1, 0)
    assert values.min() >= 0
    assert values.max() < 1
    assert (marks[: length // 2].sum(0) == 1).all()
    assert (marks[length // 2 :].sum(0) == 1).all()
    pairs = np.array([column[chosen == 1] for column, chosen in zip(values.T, marks.T, strict=True)])
    np.testing.assert_allclose(batch.targets[:, 0], of_two(*pairs.T), rtol=1e-6)
    if length == 2:
        (words, bound), *_ = task.bounds.items()
        constant = {"always 1": 1.0, "always 1/4": 0.25}[words]
        assert np.mean((batch.targets - constant) ** 2) == pytest.approx(bound, rel=0.03)
        assert batch.targets.mean() == pytest.approx(constant, rel=0.03)  # no other constant is better


def test_bounds_of_a_constant_are_the_variances_of_the_answers() -> None:
    mean, square = Fraction(1, 2), Fraction(1, 3)  # of a number uniform in (0, 1)
    assert rnn.tasks.adding().bounds["always 1"] == pytest.approx(float(2 * (square - mean**2)))
    assert rnn.tasks.multiplication().bounds["always 1/4"] == pytest.approx(float(square**2 - mean**4))


def test_marks_are_everywhere_in_their_half() -> None:
    marks = samples(rnn.tasks.adding(6), 300).inputs[..., 1].sum(1)
    assert (marks > 60).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 30), st.integers(1, 12), st.integers(2, 26))
def test_copy_memory_says_what_it_read(delay: int, length: int, symbols: int) -> None:
    task = rnn.tasks.copy_memory(delay, length, symbols)
    batch = samples(task, 5)
    T = delay + 2 * length
    for read, said in zip(texts(task.alphabet, batch.inputs.argmax(-1)), texts(task.alphabet, batch.targets), strict=True):
        letters = read[:length]
        assert set(letters) <= set("abcdefghijklmnopqrstuvwxyz"[:symbols])
        assert read == letters + "." * (delay - 1) + "|" + "." * length
        assert said == "." * (T - length) + letters
    # without memory: blanks for certain, then each letter equally likely
    losses = np.where(batch.targets == symbols, 0.0, math.log(symbols))
    assert task.bounds["without memory"] == pytest.approx(losses.mean())


def test_temporal_order_is_that_of_the_two_signals() -> None:
    task = rnn.tasks.temporal_order()
    batch = samples(task, 2000)
    places = []
    for text, answer in zip(texts(task.source_alphabet, batch.inputs.argmax(-1)), batch.targets, strict=True):
        assert re.fullmatch("E[abcd]*[XY][abcd]*[XY][abcd]*B", text)
        assert len(text) == 50
        assert "".join(c for c in text if c in "XY") == task.alphabet.symbols[answer]
        places.append([i for i, c in enumerate(text) if c in "XY"])
    assert np.min(places, axis=0).tolist() == [5, 25]
    assert np.max(places, axis=0).tolist() == [9, 29]
    shares = np.bincount(batch.targets, minlength=4) / 2000
    assert shares == pytest.approx([0.25] * 4, abs=0.05)
    assert task.bounds == pytest.approx({"every class equally likely": math.log(4), "a guess (accuracy)": 0.25})


def test_parity_is_the_exclusive_or_up_to_here() -> None:
    task = rnn.tasks.parity(15)
    batch = samples(task, 2000)
    np.testing.assert_array_equal(batch.targets.astype(int), np.bitwise_xor.accumulate(batch.inputs.astype(int), axis=0))
    pairs = [(bit, odd) for bit, odd in zip(batch.inputs[5:].ravel(), batch.targets[5:].ravel(), strict=True)]
    assert counted_entropy(pairs) == pytest.approx(task.bounds["0 and 1 equally likely"], abs=1e-3)


def test_reber_tasks_hold_strings_of_their_language_and_their_bound() -> None:
    for task in (rnn.tasks.embedded_reber(), rnn.tasks.continual_reber(40)):
        batch = samples(task, 3000)
        lengths = np.full(3000, 40) if batch.lengths is None else batch.lengths
        choices = 0.0
        for b, n in enumerate(lengths):
            read = task.alphabet.decode(batch.inputs[:n, b].argmax(-1))
            said = task.alphabet.decode(batch.targets[:n, b])
            assert read[1:] == said[:-1]
            choices += sum(len(symbols) == 2 for symbols in task.grammar.legal(read))
            if task.name == "embedded_reber":
                assert task.grammar.valid(read + said[-1])
        assert choices * math.log(2) / lengths.sum() == pytest.approx(task.bounds["the least there is"], rel=0.02)
        if task.name == "embedded_reber":
            forgotten = (choices + 3000) * math.log(2) / lengths.sum()
            assert forgotten == pytest.approx(task.bounds["the second symbol forgotten"], rel=0.02)


@pytest.mark.parametrize(("length", "choices"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_a_continual_stream_begins_with_a_string(length: int, choices: int) -> None:
    """After the first B comes T or P, then B, then T or P, and then two choices at least."""
    bound = rnn.tasks.continual_reber(length).bounds["the least there is"]
    assert bound == pytest.approx(choices * math.log(2) / length)


@pytest.mark.parametrize(("least", "most"), [(1, 10), (4, 6), (3, 3)])
def test_anbn_strings_and_the_least_loss_on_all_of_them(least: int, most: int) -> None:
    task = rnn.tasks.anbn(most, least)
    batch = samples(task, 300)
    found = {task.alphabet.decode(batch.targets[:n, b]) for b, n in enumerate(batch.lengths)}
    assert found == {n * "a" + n * "b" + "T" for n in range(least, most + 1)}
    strings = ["S" + text for text in found]
    pairs = [(text[:i], text[i]) for text in strings for i in range(1, len(text))]
    assert task.bounds["the least there is"] == pytest.approx(counted_entropy(pairs))
    assert all(task.grammar.valid(text) for text in strings)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 62), st.integers(0, 2**31))
def test_binary_addition_adds(bits: int, seed: int) -> None:
    batch = rnn.tasks.binary_addition(bits).sample(20, np.random.default_rng(seed))
    weights = [2**t for t in range(bits + 1)]
    for a, b, answer in zip(*batch.inputs.T.astype(int).tolist(), batch.targets[..., 0].T.astype(int).tolist(), strict=True):
        first, second, third = (sum(w * d for w, d in zip(weights, digits, strict=True)) for digits in (a, b, answer))
        assert first + second == third
        assert max(first, second) < 2**bits


def test_all_binary_pairs_and_the_least_loss_without_memory() -> None:
    batch = rnn.tasks.binary_pairs(4)
    a, b = np.tensordot(2 ** np.arange(5), batch.inputs, axes=1).T.astype(int)
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(i, j) for i in range(16) for j in range(16)]
    np.testing.assert_array_equal(np.tensordot(2 ** np.arange(5), batch.targets[..., 0], axes=1), a + b)
    pairs = [(tuple(bits), answer) for bits, answer in zip(batch.inputs.reshape(-1, 2), batch.targets.ravel(), strict=True)]
    assert rnn.tasks.binary_addition(4).bounds["without memory"] == pytest.approx(counted_entropy(pairs))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("digits", [1, 3, 18])
def test_decimal_addition_adds(digits: int, reverse: bool) -> None:
    task = rnn.tasks.decimal_addition(digits, reverse)
    batch = samples(task, 200)
    assert batch.inputs.shape == (2 * digits + 1, 200, 12)
    assert batch.targets.shape == (digits + 1, 200)
    sizes = set()
    for question, answer in zip(
        texts(task.alphabet, batch.inputs.argmax(-1)), texts(task.alphabet, batch.targets), strict=True
    ):
        question = question[::-1] if reverse else question
        a, b = question.rstrip().split("+")
        assert question == f"{int(a)}+{int(b)}".ljust(2 * digits + 1)
        assert answer == str(int(a) + int(b)).ljust(digits + 1)
        sizes.add(len(a))
    assert sizes == set(range(1, digits + 1))
    assert task.alphabet.symbols[task.start] == " "


@pytest.mark.parametrize("digits", [1, 2])
def test_what_an_answer_is_uncertain_by_before_the_question(digits: int) -> None:
    numbers = {}
    for n in range(1, digits + 1):
        for i in range(10**n):
            numbers[i] = numbers.get(i, 0) + Fraction(1, digits * 10**n)
    sums: dict[int, Fraction] = {}
    for (i, p), (j, q) in itertools.product(numbers.items(), repeat=2):
        sums[i + j] = sums.get(i + j, 0) + p * q
    assert sum(sums.values()) == 1
    expected = -sum(float(p) * math.log(p) for p in sums.values()) / (digits + 1)
    assert rnn.tasks.decimal_addition(digits).bounds["the question not read"] == pytest.approx(expected)
    found = [
        text.rstrip()
        for text in texts(rnn.Alphabet("0123456789+ "), samples(rnn.tasks.decimal_addition(digits), 20_000).targets)
    ]
    seen = Counter(map(int, found))
    assert max(abs(seen[i] / 20_000 - float(p)) for i, p in sums.items()) < 0.02


def test_digits_become_letters() -> None:
    task = rnn.tasks.digits_to_letters()
    batch = samples(task)
    for read, said in zip(
        texts(task.source_alphabet, batch.inputs.argmax(-1)), texts(task.alphabet, batch.targets), strict=True
    ):
        assert said == read.translate(str.maketrans("0123456789", "abcdefghij"))
        assert len(read) == 7
    shares = np.bincount(batch.targets.ravel(), minlength=11) / batch.targets.size
    assert shares == pytest.approx([0.1] * 10 + [0], abs=0.03)
    assert task.alphabet.symbols[task.start] == " "


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rnn.tasks.adding(1), "length is 1; expected a whole number from 2 on"),
        (lambda: rnn.tasks.temporal_order(9), "length is 9; expected a whole number from 10 on"),
        (lambda: rnn.tasks.copy_memory(symbols=27), "symbols is 27; expected a whole number from 2 to 26"),
        (lambda: rnn.tasks.anbn(3, least=4), "most is 3; expected a whole number from 4 on"),
        (lambda: rnn.tasks.binary_pairs(11), "bits is 11; expected a whole number from 1 to 10"),
        (lambda: rnn.tasks.decimal_addition(0), "digits is 0"),
        (lambda: rnn.tasks.sine(period=2), "period is 2; it must be more than 2 steps"),
        (lambda: rnn.tasks.long_sentence(500), "the text has 181 symbols; a window of 500"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
