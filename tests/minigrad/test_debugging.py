"""Debug mode finds the first NaN or infinity, forward and backward, and tells where."""

import inspect
import warnings

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn


def line_here(offset: int = 0) -> str:
    frame = inspect.currentframe().f_back
    return f"{__file__}, line {frame.f_lineno + offset}"


def test_a_nan_born_in_the_forward_pass_of_an_lstm_is_found_at_its_step():
    model = rnn.Sequence(rnn.LSTM(3, 4, dtype=float, rng=0), rnn.Linear(4, 2, dtype=float, rng=1))
    x = np.ones((20, 2, 3))
    x[17, 1, 2] = 1e308
    model.recurrent.weight_ih_l0.data = model.recurrent.weight_ih_l0.data * 100
    here = line_here(2)
    with mg.debug(), pytest.raises(FloatingPointError) as error:
        model(x)
    text = str(error.value)
    assert text.startswith(
        "linear, in scope lstm/layer=0/t=17, made inf out of finite operands of shapes (2, 3), (16, 3), (16,)"
    )
    assert here in text


def test_a_nan_born_in_the_backward_pass_only_is_found_at_its_step():
    cell = rnn.LSTM(3, 4, dtype=float, rng=0)
    x = np.ones((20, 1, 3))
    with mg.debug():
        outputs, _ = cell(x)
        total = 0.0
        for t in range(20):
            with mg.scope("loss"), mg.scope("t", t):
                gap = outputs[t] - outputs[t].detach() * (t == 17)
                here = line_here(1)
                total = total + np.sqrt(gap * gap).sum()
        assert np.isfinite(total.item())
        with pytest.raises(FloatingPointError) as error:
            total.backward()
    text = str(error.value)
    assert text.startswith("the backward pass of sqrt, in scope loss/t=17, made inf out of a finite gradient of shape (1, 4)")
    assert f"the op was run in {here}" in text


def test_what_was_infinite_before_is_not_blamed_on_the_next_op():
    x = mg.tensor([np.inf, 1.0], requires_grad=True)
    with mg.debug():
        y = (x * 2).sum()
    assert y.item() == np.inf


def test_an_array_changed_behind_the_back_is_noticed():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with mg.debug():
        y = np.exp(x)
        total = (y * y).sum()
        y._data[0] = 7.0
        with pytest.raises(RuntimeError, match=r"an array that multiply had kept for its gradient was changed"):
            total.backward()


def test_errors_in_rules_tell_the_line_of_the_forward_call():
    @mg.custom_op(lambda g: g.no_such_thing)
    def bad(x):
        return x * 1.0

    x = mg.tensor([1.0], requires_grad=True)
    with mg.debug(), mg.scope("t", 3):
        here = line_here(1)
        y = bad(x).sum()
        with pytest.raises(AttributeError) as error:
            y.backward()
    (note,) = [n for n in error.value.__notes__ if "backward" in n]
    assert here in note
    assert "t=3" in note


def test_results_are_the_same_and_outside_nothing_is_watched():
    def run():
        x = mg.tensor(np.linspace(-1, 1, 5), requires_grad=True)
        y = (np.tanh(x) * x[::-1]).sum() + mg.linear(x, np.eye(5)).mean()
        y.backward()
        return y.item(), x.grad.tolist()

    with mg.debug():
        inside = run()
    assert inside == run()
    x = mg.tensor([0.0], requires_grad=True)
    np.sqrt(x).sum().backward()
    assert x.grad.tolist() == [np.inf]


def test_no_grad_and_transforms_work_inside():
    with mg.debug():
        with mg.no_grad():
            assert not (mg.tensor([1.0], requires_grad=True) * 2).requires_grad
        assert (mg.tensor([1.0], requires_grad=True) * 2).requires_grad
        assert mg.grad(mg.grad(np.tanh))(0.5) == pytest.approx(-2 * np.tanh(0.5) * (1 - np.tanh(0.5) ** 2))
    assert (mg.tensor([1.0], requires_grad=True) * 2).requires_grad


def test_numpy_does_not_warn_before_the_report():
    with mg.debug(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (mg.tensor([-1.0], requires_grad=True), mg.tensor([-1.0])):
            with pytest.raises(FloatingPointError, match="log made nan"):
                np.log(x)
        with pytest.raises(FloatingPointError, match="divide made inf"):
            mg.tensor([1.0], requires_grad=True) / 0.0


def test_an_op_runs_once():
    calls = []

    @mg.custom_op(lambda g: g)
    def counted(x):
        calls.append(1)
        return x + 0

    with mg.debug():
        counted(mg.tensor([1.0], requires_grad=True))
    assert len(calls) == 1


def test_debug_stays_on_inside_debug_and_inside_no_grad():
    x = mg.tensor([-1.0, 2.0], requires_grad=True)
    with mg.debug(), mg.debug(), pytest.raises(FloatingPointError, match="log made nan"):
        np.log(x)
    with mg.debug(), mg.no_grad(), pytest.raises(FloatingPointError, match="log made nan"):
        np.log(x)
    y = np.sqrt(mg.tensor([0.0], requires_grad=True))
    with mg.debug(), mg.debug(), pytest.raises(FloatingPointError, match="backward pass of sqrt"):
        y.sum().backward()
