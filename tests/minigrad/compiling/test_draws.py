"""Every method of a random generator, with positional and keyword arguments: compiled it draws what the function would, and
leaves the same state, or it is refused by name."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn

SHAPE = (3, 4)
P = [0.2, 0.3, 0.5]
COVARIANCE = [[1.0, 0.2], [0.2, 2.0]]
ARGUMENTS = {  # by name, in the order of the method; of an array `x` between 0 and 1 and a number `k`
    "beta": {"a": 2.0, "b": 3.0, "size": SHAPE},
    "binomial": {"n": 9, "p": "x", "size": SHAPE},
    "chisquare": {"df": 2.0, "size": SHAPE},
    "choice": {"a": 9, "size": 4, "replace": False, "p": None, "axis": 0, "shuffle": False},
    "dirichlet": {"alpha": P, "size": 3},
    "exponential": {"scale": "x", "size": SHAPE},
    "f": {"dfnum": 2.0, "dfden": 5.0, "size": SHAPE},
    "gamma": {"shape": 2.0, "scale": "x", "size": SHAPE},
    "geometric": {"p": 0.4, "size": SHAPE},
    "gumbel": {"loc": "x", "scale": 2.0, "size": SHAPE},
    "hypergeometric": {"ngood": 9, "nbad": 5, "nsample": 6, "size": SHAPE},
    "integers": {"low": 2, "high": 30, "size": SHAPE, "dtype": np.int32, "endpoint": True},
    "laplace": {"loc": "k", "scale": "x", "size": SHAPE},
    "logistic": {"loc": 1.0, "scale": "x", "size": SHAPE},
    "lognormal": {"mean": "x", "sigma": 0.5, "size": SHAPE},
    "logseries": {"p": 0.4, "size": SHAPE},
    "multinomial": {"n": 9, "pvals": P, "size": 4},
    "multivariate_hypergeometric": {"colors": [9, 8, 7], "nsample": 6, "size": 3, "method": "count"},
    "multivariate_normal": {"mean": [0.0, 1.0], "cov": COVARIANCE, "size": 3, "check_valid": "raise", "tol": 1e-6},
    "negative_binomial": {"n": 4, "p": 0.4, "size": SHAPE},
    "noncentral_chisquare": {"df": 3.0, "nonc": "x", "size": SHAPE},
    "noncentral_f": {"dfnum": 3.0, "dfden": 9.0, "nonc": "x", "size": SHAPE},
    "normal": {"loc": "x", "scale": "k", "size": SHAPE},
    "pareto": {"a": 3.0, "size": SHAPE},
    "permutation": {"x": "x", "axis": 1},
    "permuted": {"x": "x", "axis": 1},
    "poisson": {"lam": "x", "size": SHAPE},
    "power": {"a": 3.0, "size": SHAPE},
    "random": {"size": SHAPE, "dtype": np.float32},
    "rayleigh": {"scale": "x", "size": SHAPE},
    "standard_cauchy": {"size": SHAPE},
    "standard_exponential": {"size": SHAPE, "dtype": np.float32, "method": "inv"},
    "standard_gamma": {"shape": 2.0, "size": SHAPE, "dtype": np.float32},
    "standard_normal": {"size": SHAPE, "dtype": np.float32},
    "standard_t": {"df": 3.0, "size": SHAPE},
    "triangular": {"left": -1.0, "mode": 0.5, "right": 2.0, "size": SHAPE},
    "uniform": {"low": -1.0, "high": "k", "size": SHAPE},
    "vonmises": {"mu": 0.1, "kappa": "k", "size": SHAPE},
    "wald": {"mean": 2.0, "scale": "k", "size": SHAPE},
    "weibull": {"a": 3.0, "size": SHAPE},
    "zipf": {"a": 3.0, "size": SHAPE},
}  # fmt: skip
REFUSED = {"shuffle", "bytes", "spawn", "bit_generator"}
METHODS = [name for name in dir(np.random.Generator) if not name.startswith("_")]
ALL_KEYWORDS = {"permuted"}


def test_all_methods_are_here():
    assert ARGUMENTS.keys() | REFUSED == set(METHODS)


def state_of(rng):
    return repr(rng.bit_generator.state)


def assert_the_same_draws(f):
    compiled = mg.compile(f)
    for seed in range(3):
        one, other = np.random.default_rng(seed), np.random.default_rng(seed)
        x, k = np.random.default_rng(100 + seed).uniform(0.1, 0.9, SHAPE), 1.5 + seed
        for _ in range(2):
            found, wanted = compiled(x, k, one), f(x, k, other)
            assert type(found) is type(wanted)
            assert np.shape(found) == np.shape(wanted)
            assert getattr(found, "dtype", float) == getattr(wanted, "dtype", float)
            assert np.array_equal(found, wanted)
            assert state_of(one) == state_of(other)
    assert [len(known) for known in compiled.programs.values()] == [1]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_positional_and_keyword_arguments_count_in_every_mixture(name):
    given = ARGUMENTS[name]

    def drawing(positional, left_out=()):
        def f(x, k, rng):
            now = {key: {"x": x, "k": k}[v] if v in ("x", "k") else v for key, v in given.items() if key not in left_out}
            args = [now.pop(key) for key in list(now)[:positional]]
            return getattr(rng, name)(*args, **now)

        return f

    for positional in range(len(given) + 1 if name not in ALL_KEYWORDS else 2):
        assert_the_same_draws(drawing(positional))
    for key in given:
        try:
            drawing(0, (key,))(np.full(SHAPE, 0.5), 2.0, np.random.default_rng(0))
        except (TypeError, ValueError):
            continue
        assert_the_same_draws(drawing(0, (key,)))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_draws_no_numbers_is_refused(name):
    def f(x, rng):
        member = getattr(rng, name)
        return member(x) if name == "shuffle" else member(3) if callable(member) else x

    rng = np.random.default_rng(0)
    before = state_of(rng)
    with pytest.raises(mg.CompileError, match=f"Generator.{name} is not recorded"):
        mg.compile(f)(np.ones(3), rng)
    assert state_of(rng) == before


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, buffer: rng.random(out=buffer), lambda rng, buffer: rng.standard_normal(3, float, buffer),
        lambda rng, buffer: rng.standard_gamma(2.0, out=buffer), lambda rng, buffer: rng.permuted(buffer, out=buffer),
        lambda rng, buffer: copy.deepcopy(rng), lambda rng, buffer: copy.copy(rng), lambda rng, buffer: pickle.dumps(rng),
    ],
)  # fmt: skip
def test_writing_and_copying_are_refused(draw):
    def f(x, rng):
        buffer = np.ones(3)
        draw(rng, buffer)
        return x + buffer

    with pytest.raises(mg.CompileError, match=r"out=|writes|copied|deepcopy"):
        mg.compile(f)(np.ones(3), np.random.default_rng(0))


def test_a_size_that_changes_is_never_broadcast():
    def f(n, rng):
        return rng.normal(size=n) * 2

    compiled = mg.compile(f)
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    for n in (3, 1, 4, 1):
        found, wanted = compiled(n, one), f(n, other)
        assert found.shape == wanted.shape
        assert np.array_equal(found, wanted)
        assert state_of(one) == state_of(other)


def test_a_generator_is_one_to_isinstance_and_has_no_other_names():
    def f(x, rng):
        if not isinstance(rng, np.random.Generator) or hasattr(rng, "rand"):
            return x
        return x + rng.normal(scale=0.1, size=x.shape)

    assert len(set(mg.compile(f)(np.zeros(5), np.random.default_rng(0)).tolist())) == 5


@pytest.mark.parametrize("order", ["before", "between", "after"])
def test_a_draw_that_is_not_recorded_is_refused_also_from_a_generator_of_dropout(order):
    rng = np.random.default_rng(0)
    dropout = rnn.Dropout(0.5, rng=rng)

    def f(x):
        hidden = rng.normal(size=3) if order == "before" else 0.0
        y = dropout(x)
        hidden = rng.normal(size=3) if order == "between" else hidden
        y = dropout(y)
        hidden = rng.normal(size=3) if order == "after" else hidden
        return (y + hidden).detach()

    before = rng.bit_generator.state
    with pytest.raises(mg.CompileError, match="a generator that it closes over or finds in an object, rng"):
        mg.compile(f)(np.ones(3))
    assert rng.bit_generator.state == before


def test_a_dropout_layer_draws_from_a_generator_given_as_an_argument():
    def f(x, rng):
        return rnn.Dropout(0.5, rng=rng)(x + rng.normal(size=3)).detach()

    compiled, one, other = mg.compile(f), np.random.default_rng(0), np.random.default_rng(0)
    for i in range(4):
        x = np.arange(3.0) + i
        np.testing.assert_array_equal(compiled(x, one).data, f(x, other).data)
    assert one.bit_generator.state == other.bit_generator.state
