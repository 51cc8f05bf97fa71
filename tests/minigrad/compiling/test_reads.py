"""What Python reads from outside while a function is recorded, and changes afterwards: as without compiling."""

import abc
import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import importlib
import math
import pickle
import sys
import time
import types
import typing
import weakref

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad.compiling import Compiled
from minigrad.state import Counted

X = np.arange(3.0)
FACTOR = 2.0
SETTINGS = types.SimpleNamespace(scale=1.0)
TABLE = {"shift": [1.0]}
WEIGHTS = np.ones(3)


class Config:
    power = 2


def helper(x, extra=(1.0,)):
    return x * FACTOR + extra[0]


def reads_all(x):
    return helper(x) ** Config.power * SETTINGS.scale + TABLE["shift"][0] + WEIGHTS


def test_globals_helpers_attributes_containers_and_arrays(monkeypatch):
    compiled = mg.compile(reads_all)

    def agrees():
        return np.array_equal(compiled(X), reads_all(X)) and np.array_equal(compiled(X + 1), reads_all(X + 1))

    assert agrees()
    monkeypatch.setattr(helper, "__defaults__", ((1.5,),))
    assert agrees()
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert agrees()
    monkeypatch.setattr(Config, "power", 3)
    assert agrees()
    monkeypatch.setattr(SETTINGS, "scale", 0.5)
    assert agrees()
    try:
        TABLE["shift"][0] = 7.0
        assert agrees()
        WEIGHTS[1] = 5
        assert agrees()
    finally:
        TABLE["shift"][0] = WEIGHTS[1] = 1.0


def test_a_state_in_a_closure_is_carried():
    h = mg.tensor(np.zeros(2))

    def step(x):
        return np.tanh(x + h)

    compiled, expected = mg.compile(step), np.zeros(2)
    for _ in range(20):
        expected = np.tanh(np.ones(2) + expected)
        h = compiled(np.ones(2))
        assert np.allclose(h.data, expected, rtol=1e-12)


def test_the_contents_of_arguments_count():
    compiled = mg.compile(lambda x, functions: functions[0](x))
    assert np.array_equal(compiled(X, (np.tanh,)), np.tanh(X))
    assert np.array_equal(compiled(X, (np.sin,)), np.sin(X))
    one, other = (rnn.Linear(3, 2, rng=i, dtype=float) for i in range(2))
    compiled = mg.compile(lambda x, models: models[0](x))
    for layer in (one, other):
        assert np.allclose(compiled(X, [layer]).data, layer(X).data, rtol=1e-12)


def test_a_change_made_by_the_function_is_refused_and_undone():
    class Counter:
        n = 0

    counter, seen = Counter(), []

    def counts(x):
        counter.n += 1
        return x * counter.n

    def appends(x):
        seen.append(1)
        return x * len(seen)

    for f, name in ((counts, "counter"), (appends, "seen")):
        with pytest.raises(mg.CompileError, match=name):
            mg.compile(f)(X)
    assert counter.n == 0
    assert seen == []


def test_what_cannot_be_looked_at_is_refused_by_name():
    rows = iter([1.0, 2.0])
    with pytest.raises(mg.CompileError, match="rows, which the function reads from outside, is used up"):
        mg.compile(lambda x: x + next(rows))(X)


def test_a_result_in_a_graph_that_is_differentiated_is_an_error():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    forward = mg.compile(lambda x: (w * x).sum())
    loss = forward(np.ones(2)) + 0.1 * (w * w).sum()
    with pytest.raises(mg.LeavesGraphError, match="compiled function"):
        loss.backward()
    results = mg.compile(lambda x: w * x)
    for from_it in (lambda y: y.sum(), lambda y: np.stack([2 * y[:1], y[1:]]).sum(), lambda y: mg.tensor(1.0) - (y @ y)):
        with pytest.raises(mg.LeavesGraphError, match="compiled function"):
            (from_it(results(np.ones(2))) + (w * w).sum()).backward()
        with pytest.raises(mg.LeavesGraphError, match="compiled function"):
            from_it(results(np.ones(2))).backward()
    (forward(np.ones(2)).detach() + (w * w).sum()).backward()
    assert np.array_equal(w.grad, [2.0, 4.0])


def test_states_of_an_optimizer_that_were_loaded_are_used_and_those_of_a_program_are_saved():
    def made():
        w = rnn.Parameter(np.array([1.0, -2.0]), dtype=float)
        return w, rnn.Adam([w], lr=0.1)

    def step(w, optimizer):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    (w, adam), (v, other) = made(), made()
    run = mg.compile(functools.partial(step, w, adam))
    run()
    step(v, other)
    start = other.state_dict()
    for _ in range(3):
        run()
        step(v, other)
    adam.load_state_dict(start)
    other.load_state_dict(start)
    for _ in range(3):
        run()
        step(v, other)
    assert np.allclose(w.data, v.data, rtol=1e-12)
    for name, array in other.state_dict()["arrays"].items():
        assert np.allclose(adam.state_dict()["arrays"][name], array, rtol=1e-12)


def test_many_shapes_are_recorded_only_where_they_recur():
    compiled = mg.compile(lambda x: np.tanh(x).sum())
    for n in [*range(1, 60)] * 3:
        assert np.isclose(compiled(np.ones(n)), n * np.tanh(1.0))
    assert len(compiled.programs) <= 32
    assert "too rare" in compiled.not_compiled


@pytest.mark.parametrize(("together", "programs"), [(1, 1), (2, 2), (8, 8), (20, 1)])
def test_a_training_records_shapes_that_come_again_soon(together, programs):
    """All the shapes in turn, or first so many of them in turn."""
    compiled = Compiled(lambda x: np.tanh(x).sum(), at_once=1)
    for n in [*range(1, together + 1)] * 2 + [*range(1, 21)] * 3:
        assert np.isclose(compiled(np.ones(n)), n * np.tanh(1.0))
    assert len(compiled.programs) == programs, compiled
    assert "too rare" in compiled.not_compiled


def test_a_number_that_changes_at_each_call_is_run_as_it_is():
    scale = 1.0

    def f(x):
        return x * scale

    compiled = mg.compile(f)
    for i in range(30):
        scale = 1.0 + i
        assert np.array_equal(compiled(X), X * scale)
    assert "scale changes so often" in compiled.not_compiled


def test_check_compares_each_run_with_the_function():
    class Held(Counted):
        k = 1.0

    held = Held()
    compiled = mg.compile(lambda x: x * held.k, check=True)
    compiled(X)
    vars(held)["k"] = 1.0
    compiled(X)
    vars(held)["k"] = 2.0  # not through setattr: the one change of an attribute that is not seen
    with pytest.raises(mg.CompileError, match="differs from that of the function itself"):
        compiled(X)


class Kind(enum.IntEnum):
    DOUBLE = 2


class Pair(typing.NamedTuple):
    left: float
    right: float


class Scaled(abc.ABC):
    @abc.abstractmethod
    def scale(self): ...


class Twice(Scaled):
    def scale(self):
        return Kind.DOUBLE


def test_named_tuples_enums_and_abstract_classes_may_be_read():
    scaled, pair = Twice(), Pair(1.0, 2.0)

    @mg.compile
    def f(x):
        return x * scaled.scale() + pair.left - Pair(*pair).right + Kind.DOUBLE

    for x in (1.0, 2.0, 3.0):
        assert f(np.array(x)) == 2 * x + 1
    assert f.source


# -- what is not there yet, is reached in another way, or changes without a sign -----------------------------------------

module = types.ModuleType("module_of_this_test")
module.scale = 2.0
sys.modules[module.__name__] = module
rule = {"slope": 2.0}


@mg.custom_op(lambda x: rule["slope"] * x, kind="elementwise")
def with_a_rule(x):
    return x * x


class Base:
    scale = 2.0


class Later(Base):
    pass


class Meta(type):
    scale = 2.0


class OfMeta(metaclass=Meta):
    pass


class Keys(dict):
    __getattr__ = dict.__getitem__


class Asking:
    def __init__(self):
        self.inside = {"k": 2.0}

    def __getattr__(self, name):
        return self.inside[name]


def imported(x):
    import module_of_this_test

    return x * module_of_this_test.scale


def imported_from(x):
    from module_of_this_test import scale

    return x * scale


def shadowed(x):
    return x * abs(-2.0)


def times(x, k):
    return x * k


odd, weak, column = {"keys": Keys(k=2.0), "asking": Asking()}, Base(), np.ones((3, 1))
reference = weakref.ref(weak)
default = collections.defaultdict(lambda: 2.0)
holder = types.SimpleNamespace(module=module)
part = functools.partial(times, k=2.0)
own_later = Later()


CHANGES = {
    "a name added to a class": (lambda x: x * own_later.scale, lambda: setattr(Later, "scale", 3.0)),
    "an import": (imported, lambda: setattr(module, "scale", 3.0)),
    "a name from an import": (imported_from, lambda: setattr(module, "scale", 4.0)),
    "a module in an object": (lambda x: x * holder.module.scale, lambda: setattr(module, "scale", 5.0)),
    "getattr of a module": (lambda x: x * getattr(holder.module, "scale"), lambda: setattr(module, "scale", 6.0)),  # noqa: B009
    "a rule": (lambda x: mg.grad(lambda v: with_a_rule(v).sum())(x), lambda: rule.update(slope=3.0)),
    "keywords of a partial": (part, lambda: part.keywords.update(k=3.0)),
    "a weak reference": (lambda x: x * reference().scale, lambda: setattr(weak, "scale", 3.0)),
    "a shape": (lambda x: (x + column).sum(), lambda: setattr(column, "shape", (1, 3))),
    "a default": (lambda x: x * default.default_factory(), lambda: setattr(default, "default_factory", lambda: 3.0)),
    "a metaclass": (lambda x: x * type(OfMeta).scale, lambda: setattr(Meta, "scale", 3.0)),
    "a global that hides a builtin": (shadowed, lambda: globals().update(abs=lambda x: 7.0)),
    "a dict of attributes": (lambda x: x * odd["keys"].k, lambda: odd["keys"].update(k=3.0)),
    "an object that is asked": (lambda x: x * odd["asking"].k, lambda: odd["asking"].inside.update(k=3.0)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_reached_in_other_ways_is_seen(name):
    f, change = CHANGES[name]
    compiled = mg.compile(f)
    for _ in range(2):
        assert np.array_equal(compiled(X), f(X))
    before = f(X)
    change()
    assert np.array_equal(compiled(X), f(X))
    assert not np.array_equal(f(X), before)
    globals().pop("abs", None)


def test_static_arguments_that_are_equal_and_yet_differ():
    @dataclasses.dataclass(frozen=True)
    class Setting:
        a: float
        k: float = dataclasses.field(default=2.0, compare=False)

    f = mg.compile(lambda x, c: x * c.k)
    assert [f(X, Setting(1.0)).tolist(), f(X, Setting(1.0, 3.0)).tolist()] == [(2 * X).tolist(), (3 * X).tolist()]
    g = mg.compile(lambda x, s: x * math.copysign(1, s), static=1)
    assert [g(X, 0.0).tolist(), g(X, -0.0).tolist()] == [X.tolist(), (-X).tolist()]


def test_a_recording_that_fails_leaves_the_clocks_alone():
    class Broken:
        @property
        def __dict__(self):
            raise KeyError("whatever")

    broken = Broken()
    with contextlib.suppress(Exception):
        mg.compile(lambda x: x * len([broken]))(X)
    assert time.perf_counter() > 0


def test_a_compiled_function_can_be_copied_and_pickled():
    compiled = mg.compile(shadowed)
    assert np.array_equal(compiled(X), 2 * X)
    for other in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert np.array_equal(other(X), 2 * X)


def test_rows_of_a_tensor_are_read_at_each_run():
    table = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    compiled = mg.compile(lambda w: table[0] * w)
    for value in (1.0, 5.0):
        table.data = np.full((2, 2), value)
        assert np.array_equal(compiled(np.ones(2)).numpy(), [value, value])


def test_a_constant_that_is_written_into_a_tensor_is_written_at_each_run():
    p, start = mg.tensor([1.0, 1.0]), np.zeros(2)

    def reset(w):
        before = p * w
        p.data = start
        return before, p + w

    compiled = mg.compile(reset)
    for value in (1.0, 7.0):
        p.data = np.full(2, value)
        before, after = compiled(np.ones(2))
        assert np.array_equal(before.numpy(), [value, value])
        assert np.array_equal(after.numpy(), [1.0, 1.0])
        assert np.array_equal(p.numpy(), start)


def test_a_learning_rate_that_the_function_reads_itself_is_read_at_each_run():
    optimizer = rnn.SGD([rnn.Parameter([1.0])], lr=0.5)
    compiled = mg.compile(lambda x: optimizer.lr * x)
    for lr in (0.5, 0.25, 0.125):
        optimizer.lr = lr
        assert compiled(np.ones(2)).tolist() == [lr, lr]
    assert optimizer.lr == 0.125
    assert [len(known) for known in compiled.programs.values()] == [1]


IN_A_PACKAGE = """
import numpy as np, minigrad_rnn as rnn
drop, W, scale = rnn.Dropout(0.5, rng=0), rnn.Parameter([1.0, 2.0]), 2.0
optimizer = rnn.SGD([W], lr=0.5)
def step(x):
    optimizer.zero_grad()
    (W * drop(x) * scale).sum().backward()
    optimizer.step()
"""


@pytest.mark.parametrize("imported", ["outside", "inside"])
def test_functions_of_a_module_in_a_package(tmp_path, monkeypatch, imported):
    name = f"package_{imported}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "inner.py").write_text(IN_A_PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    inner = importlib.import_module(f"{name}.inner")
    space = {}
    body = f"from {name}.inner import step; step(x)" if imported == "inside" else f"{name}.inner.step(x)"
    exec(f"import {name}.inner\ndef f(x):\n    {body}", space)
    compiled = mg.compile(space["f"])
    for change in ("", "drop.eval()", "optimizer.lr = 0.25", "scale = 3.0", "drop.train()"):
        exec(change, vars(inner))
        results = []
        for step in (compiled, inner.step):
            inner.W.data, inner.drop.rng = [1.0, 2.0], np.random.default_rng(1)
            step(np.ones(2))
            results.append(inner.W.tolist())
        assert results[0] == results[1], change


def test_a_tensor_is_frozen_or_thawed_whose_values_the_program_does_not_need():
    w, b = mg.tensor(np.ones(3), requires_grad=True), mg.tensor(np.zeros(3))

    def gradients(x):
        w.grad = b.grad = None
        ((x + b) * w).sum().backward()

    compiled = mg.compile(gradients)
    for i, wanted in enumerate([False, False, True, True, False, True]):
        b.requires_grad = wanted
        compiled(X + i)
        np.testing.assert_array_equal(w.grad, X + i)
        assert np.array_equal(b.grad, np.ones(3)) if wanted else b.grad is None


def test_a_condition_on_requires_grad_is_looked_at_again():
    w = mg.tensor(2.0)
    compiled = mg.compile(lambda x: x * 2 if w.requires_grad else x)
    for wanted in (False, True, True, False):
        w.requires_grad = wanted
        np.testing.assert_array_equal(compiled(X), 2 * X if wanted else X)


class Scaled(rnn.Optimizer):
    """A user's optimizer with attributes of its own."""

    factor = 2.0

    def __init__(self, parameters, lr):
        super().__init__(parameters, lr)
        self.scales = {"all": 1.0}
        self.on = True

    def update(self, p, g, state):
        return (p - self.lr * self.factor * self.scales["all"] * g if self.on else p), state


@pytest.mark.parametrize("change", [
    lambda opt, u, w: setattr(opt, "factor", 0.5), lambda opt, u, w: opt.scales.update(all=3.0),
    lambda opt, u, w: setattr(opt, "on", False), lambda opt, u, w: opt.parameters.__setitem__(0, w),
    lambda opt, u, w: opt.parameters.append(w) or opt.states.append(None),
    lambda opt, u, w: setattr(u, "requires_grad", False), lambda opt, u, w: setattr(opt, "maximize", True),
])  # fmt: skip
def test_every_attribute_of_an_optimizer_may_change(change):
    def run(wrapper):
        u, w = rnn.Parameter(np.ones(3), name="u"), rnn.Parameter(np.ones(3), name="w")
        optimizer = Scaled([u], lr=0.1)

        def step(x):
            u.grad = w.grad = None
            (u * w * x).sum().backward()
            optimizer.step()

        step = wrapper(step)
        for i in range(6):
            if i == 3:
                change(optimizer, u, w)
            step(X + i)
        return u.numpy(), w.numpy()

    np.testing.assert_allclose(run(mg.compile), run(lambda f: f), rtol=1e-12)


def test_an_attribute_that_an_optimizer_changes_in_a_step_is_refused():
    class Counting(Scaled):
        def update(self, p, g, state):
            self.factor = self.factor + 1
            return super().update(p, g, state)

    w = rnn.Parameter(np.ones(3))
    optimizer = Counting([w], lr=0.1)
    w.grad = np.ones(3)
    with pytest.raises(mg.CompileError, match="factor"):
        mg.compile(optimizer.step)()
    assert optimizer.factor == 2.0
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_a_learning_rate_that_the_function_sets_is_refused():
    w = rnn.Parameter(np.ones(3))
    optimizer = rnn.SGD([w], lr=0.1)
    w.grad = np.ones(3)

    def step():
        optimizer.lr = 0.5
        optimizer.step()

    with pytest.raises(mg.CompileError, match="gives lr of SGD another value"):
        mg.compile(step)()
    assert optimizer.lr == 0.1


def test_errors_of_a_layer_in_a_later_run_show_the_values():
    embedding = rnn.Embedding(3, 2, rng=0)
    compiled = mg.compile(lambda symbols: embedding(symbols).detach())
    compiled(np.array([0, 2]))
    with pytest.raises(ValueError, match="indices must be from 0 to 2; these are from -1 to 7"):
        compiled(np.array([-1, 7]))
    np.testing.assert_array_equal(compiled(np.array([1, 1])), embedding(np.array([1, 1])).data)
