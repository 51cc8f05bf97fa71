"""An exercise says "right" for what passes its check, and why not for all else."""

import pytest

import minigrad as mg
from minigrad.exercises import exercise, solution


def check(f):
    """A square, for numbers and in a graph."""
    assert f(3) == 9, f"3 squared is 9, not {f(3)}"
    mg.check_grads(f, 2.0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x * x, "exercise 4: right"),
        (lambda x: 2 * x, "exercise 4: not yet - 3 squared is 9, not 6"),
        (lambda x: ..., "exercise 4: not yet - replace the ... with your answer"),
        (..., "exercise 4: not yet - replace the ... with your answer"),
        (7, "exercise 4: not yet - TypeError: 'int' object is not callable"),
        (lambda: 9, "exercise 4: not yet - TypeError: "),
    ],
    ids=["right", "wrong", "function left empty", "left empty", "no function", "other arguments"],
)
def test_what_it_says(answer, said, capsys):
    exercise(4, check, answer)
    assert capsys.readouterr().out.startswith(said)


def test_a_check_without_words(capsys):
    def silent(answer):
        assert answer == 1

    exercise(1, silent, 2)
    assert capsys.readouterr().out.startswith("exercise 1: not yet - ")


def test_an_interrupt_is_not_an_answer():
    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercise(1, lambda f: f(), stopped)


def test_a_solution_is_named_as_such_and_must_be_right(capsys):
    solution(4, check, lambda x: x * x)
    assert capsys.readouterr().out == "solution 4: right\n"
    with pytest.raises(AssertionError, match="3 squared is 9, not 6"):
        solution(4, check, lambda x: 2 * x)
