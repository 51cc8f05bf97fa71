"""What a compiled function may meet outside of itself: right, or an error that says so."""

import threading

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

X = np.arange(3.0)
RNG = np.random.default_rng(0)


def draws_from_numpy(x):
    return x + np.random.standard_normal(3)  # noqa: NPY002


def draws_from_its_own(x):
    return x + RNG.standard_normal(3)


def writes(x):
    x += 1
    return x


def writes_elements(x):
    x[0] = 1
    return x


def debugs(x):
    with mg.debug():
        return mg.grad(lambda x: np.tanh(x).sum())(x)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (draws_from_numpy, "draws from np.random"),
        (draws_from_its_own, "a generator that it closes over"),
        (writes, "writing into an array"),
        (writes_elements, "assigning into an array"),
        (debugs, "debug mode"),
        (lambda x: np.zeros(3)[x.astype(int)], "the values of an array were asked for"),
    ],
)
def test_errors_leave_everything_as_it_was(f, message):
    x, state, numpys = X.copy(), RNG.bit_generator.state, repr(np.random.get_state())  # noqa: NPY002
    with pytest.raises(mg.CompileError, match=message):
        mg.compile(f)(x)
    assert np.array_equal(x, X)
    assert RNG.bit_generator.state == state
    assert repr(np.random.get_state()) == numpys  # noqa: NPY002


def test_what_a_function_keeps_is_an_error():
    class Carried:
        h = mg.tensor(np.zeros(3))

    def step(x):
        Carried.h = (Carried.h + x).detach()
        return Carried.h * 1

    with pytest.raises(mg.CompileError, match=r"gives Carried\.h another value"):
        mg.compile(step)(X)
    with pytest.raises(mg.CompileError, match="used up when it is read"):
        mg.compile(sum)(iter([X]))
    with pytest.raises(mg.CompileError, match="has no hash"):
        mg.compile(lambda x, s: x)(X, {1})


def test_many_short_lived_tensors_are_told_apart():
    def f(x):
        return sum((mg.tensor(np.full(3, float(i))) * mg.tensor(x)).sum() for i in range(50))

    assert mg.compile(f)(X).item() == f(X).item()


def test_tensors_that_the_function_makes_and_changes_are_its_own():
    def f(x):
        q = mg.tensor(np.zeros(3), requires_grad=True)
        (q * q * x).sum().backward()
        y = q + x
        q.data = y.data
        return q + x, q.grad

    compiled = mg.compile(f)
    for x in (X, X + 1, X):
        for a, b in zip(compiled(x), f(x), strict=True):
            assert np.array_equal(np.asarray(getattr(a, "data", a)), np.asarray(getattr(b, "data", b)))
    assert [len(known) for known in compiled.programs.values()] == [1]


def test_constants_that_are_written_to_meanwhile():
    def f(x):
        buffer = np.zeros(3)
        first = x + buffer
        buffer += 1
        return first + 2 * (x + buffer), buffer

    compiled = mg.compile(f)
    value, buffer = compiled(X)
    assert np.array_equal(value, f(X)[0])
    buffer[:] = 9
    assert np.array_equal(compiled(X)[1], np.ones(3))


def test_numbers_of_numpy_are_arrays_and_those_of_python_are_not():
    f = mg.compile(lambda x, s: x * s)
    single = np.ones(2, np.float32)
    assert f(single, 2.0).dtype == np.float32
    assert f(single, np.float64(2)).dtype == np.float64
    assert mg.compile(mg.grad(lambda x: x * x))(3.0) == 6
    assert mg.compile(lambda s: mg.tensor(s) * 2)(4.0).item() == 8


def test_another_generator_each_time_and_a_way_not_taken_draws_nothing():
    def f(logits, targets, rng):
        return mg.cross_entropy(logits + rng.standard_normal(3), targets)

    compiled, logits = mg.compile(f), np.zeros((2, 3))
    for i, targets in enumerate(([0, 1], [0, -100], [0, 1], [-100, 2])):
        one, other = np.random.default_rng(i), np.random.default_rng(i)
        assert compiled(logits, np.array(targets), one) == f(logits, np.array(targets), other)
        assert one.bit_generator.state == other.bit_generator.state


def test_indices_and_the_rows_they_name():
    def f(numbers):
        return mg.value_and_grad(lambda W: (mg.take(W, numbers, 0) ** 2).sum())(np.arange(6.0).reshape(3, 2))

    compiled = mg.compile(f)
    for numbers in ([0, 0, 1], [2, 1, 2], [1, 1, 1]):
        for a, b in zip(compiled(np.array(numbers)), f(np.array(numbers)), strict=True):
            assert np.array_equal(a, b)


def test_hooks_custom_ops_and_compiled_functions_inside():
    @mg.custom_op(lambda g, x: 2 * g)
    def twice(x):
        out = np.zeros_like(x)
        for i in range(len(x)):
            out[i] = 2 * x[i]
        return out

    inner = mg.compile(lambda x: np.tanh(x))

    def f(x):
        w = mg.tensor(x, requires_grad=True)
        h = twice(w) * w
        h.register_hook(lambda g: np.clip(g, -1, 1))
        (10 * h).sum().backward()
        with mg.no_grad():
            return inner(x) + w.grad

    compiled = mg.compile(f)
    for x in (X, X - 2):
        assert np.array_equal(compiled(x), f(x))
    with mg.debug():
        assert np.array_equal(compiled(X), f(X))


def test_gradients_stay_and_settings_are_looked_at_again():
    w = rnn.Parameter(np.ones(3), dtype=float)
    optimizer = rnn.SGD([w], lr=0.0)
    dropout = rnn.Dropout(0.5, rng=0)

    @mg.compile
    def step(x):
        optimizer.zero_grad()
        loss = dropout(w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    dropout.train(False)
    assert step(X).item() == 3
    first = w.grad
    step(X + 1)
    assert np.array_equal(first, X)
    assert np.array_equal(w.grad, X + 1)
    optimizer.lr, optimizer.weight_decay = 1.0, 0.5
    step(X)
    assert np.array_equal(w.data, 0.5 - X)
    dropout.train()
    assert len({step(X).item() for _ in range(8)}) > 1
    w.requires_grad = False
    w.data = np.ones(3)
    with pytest.raises(ValueError, match="nothing to differentiate"):
        step(X)


def test_threads_take_turns():
    f = mg.compile(lambda x: np.tanh(x) + x @ x)
    f(np.ones((40, 40)))
    wrong = []

    def work(i):
        x = np.full((40, 40), i / 10)
        expected = np.tanh(x) + x @ x
        wrong.extend(i for _ in range(50) if not np.array_equal(f(x), expected))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_long_programs_in_several_functions_keep_their_names_apart():
    def f(x):
        return sum(x[i % 3] * np.tanh(x[(i + 1) % 3] + i) for i in range(1200))

    compiled = mg.compile(f, batch=False)
    assert compiled(X) == f(X)
    assert "def lines_1" in compiled.source


def test_a_tensor_that_only_an_installed_module_holds_is_looked_at_too(monkeypatch):
    hidden = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    monkeypatch.setattr(np, "hidden", hidden, raising=False)

    def f(x):
        total = (np.hidden * x).sum()
        if total.requires_grad:
            total.backward()

    compiled = mg.compile(f)
    for wanted in (True, False, True, False):
        hidden.grad, hidden.requires_grad = None, wanted
        compiled(X)
        assert (hidden.grad is not None) == wanted
    assert sum(map(len, compiled.programs.values())) == 2
