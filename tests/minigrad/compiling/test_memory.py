"""The memory of a program: what is needed at the same time lies apart, and there is not much more of it than there must be."""

import gc
import importlib
import linecache
import tracemalloc

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn


def training_step(cell, hidden, layers=1, **options):
    layer = getattr(rnn, cell)(5, hidden, layers, rng=0, **options)
    model = rnn.Sequence(layer, rnn.Linear(hidden * (1 + options.get("bidirectional", False)), 5, rng=1))
    optimizer = rnn.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    return step


def batch(T, size, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((T, size, 5)).astype(np.float32), random.integers(5, size=(T, size))


@pytest.mark.parametrize("options", [{}, {"layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_what_is_needed_at_the_same_time_lies_apart(cell, options, monkeypatch):
    program = importlib.import_module("minigrad.compiling.program")
    plans = []
    forget = program.Program.forget
    monkeypatch.setattr(program.Program, "forget", lambda self: (plans.append((self.memory, self.calls)), forget(self)))
    mg.compile(training_step(cell, 6, **options))(*batch(9, 4))
    memory, calls = plans[0]
    homes = [h for h in memory.first if h not in memory.joined and memory.sizes[h]]
    assert len(homes) > 10
    for i, one in enumerate(homes):
        for other in homes[:i]:
            together = memory.first[one] <= memory.last[other] and memory.first[other] <= memory.last[one]
            ends = [memory.offsets[h] + memory.sizes[h] for h in (one, other)]
            apart = min(ends) <= max(memory.offsets[one], memory.offsets[other])
            assert apart or not together
    # They are needed from the first call that touches them to the last, however they are called there.
    for n, call in enumerate(calls):
        for v in (*call.inputs(), call.out):
            home = memory.root(memory.homes[v])
            assert home is None or memory.first[home] <= n <= memory.last[home]


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_a_program_of_large_steps_takes_no_more_memory_than_the_engine(cell):
    x, y = batch(64, 64)

    def peak(run):
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        run(x, y)
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        eager = training_step(cell, 64)
        eager(x, y)
        by_the_engine = peak(eager)
        step = mg.compile(training_step(cell, 64))
        recorded = peak(step)
        step(x, y)
        arrays = int(step.report().rpartition(" in ")[2].split()[0].replace(",", ""))
    finally:
        tracemalloc.stop()
    assert arrays < by_the_engine
    assert recorded < 3 * by_the_engine  # the arrays of the function itself, then those of the program


def test_two_stacks_of_the_same_arrays_the_other_way_round():
    def f(x):
        a, b = np.tanh(x), np.sin(x)
        return np.stack([a, b]) - 2.0 * np.stack([b, a])

    compiled, x = mg.compile(f), np.arange(3.0)
    for _ in range(2):
        np.testing.assert_array_equal(compiled(x), f(x))


def test_what_has_members_of_a_larger_stack_is_a_part_of_it():
    def f(x):
        a, b, c = np.tanh(x), np.sin(x), np.cos(x)
        return np.stack([b, c]), np.concatenate([a, b]), np.stack([a, b, c])

    compiled = mg.compile(f)
    for x in (np.arange(3.0), np.ones(3)):
        for found, expected in zip(compiled(x), f(x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert "copyto" not in compiled.source
    assert "concatenate(" not in compiled.source


def test_a_loss_of_the_last_state_needs_no_array_of_gradients_by_all_states():
    layer = rnn.RNN(2, 16, rng=0)
    step = mg.compile(lambda x: (layer(x)[0][-1] ** 2).sum().backward())
    step(np.ones((64, 4, 2)))
    assert "scattered" not in step.source


def test_the_source_of_a_program_that_is_gone_is_forgotten_when_the_next_is_made():
    """Not at once: a collection may come while somebody walks over the sources, as `linecache.checkcache` does."""

    def made():
        compiled = mg.compile(lambda x: np.tanh(x) * 2.0)
        for _ in range(2):
            compiled(np.ones(3))
        return {name for name in linecache.cache if name.startswith("<minigrad program")}

    before = {name for name in linecache.cache if name.startswith("<minigrad program")}
    first = made() - before
    gc.collect()
    assert first
    assert first <= set(linecache.cache)
    made()
    gc.collect()
    made()
    assert first.isdisjoint(linecache.cache)


def test_of_a_recording_only_the_program_stays():
    def alive(T):
        step = mg.compile(training_step("LSTM", 4))
        gc.collect()
        before = sum(type(x).__name__ in ("Var", "Call") for x in gc.get_objects())
        step(*batch(T, 2))
        gc.collect()
        return sum(type(x).__name__ in ("Var", "Call") for x in gc.get_objects()) - before, step

    (few, _), (many, _) = alive(10), alive(40)
    assert 0 < many <= 1.05 * few
