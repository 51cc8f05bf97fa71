"""A tensor that requires grad, put into any argument of any public call of the package: a gradient or an error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad import Tensor

RNG = np.random.default_rng(0)
DOUBLE: dict[str, Any] = {"dtype": float}


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def classes(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(count, size=shape)


def shares(*shape: int) -> np.ndarray:
    return RNG.uniform(0.1, 0.9, size=shape)


LENGTHS = np.array([1, 3])
READOUT = rnn.Linear(4, 2, rng=1, **DOUBLE)
GRU, LSTM = rnn.GRU(3, 4, rng=0, **DOUBLE), rnn.LSTM(3, 4, rng=0, **DOUBLE)
DEEP = rnn.RNN(3, 4, num_layers=2, rng=0, **DOUBLE)
BOTH = rnn.LSTM(3, 4, bidirectional=True, rng=0, **DOUBLE)
BATCH_FIRST = rnn.GRU(3, 4, batch_first=True, rng=0, **DOUBLE)
SEQUENCE, LAST = rnn.Sequence(GRU, READOUT), rnn.ManyToOne(GRU, READOUT)
WORDS = rnn.Sequence(rnn.GRU(2, 4, rng=0, **DOUBLE), READOUT, embedding=rnn.Embedding(5, 2, rng=0, **DOUBLE))
ONE = rnn.OneToMany(GRU, rnn.Linear(4, 3, rng=1, **DOUBLE))
PAIR = rnn.EncoderDecoder(GRU, rnn.GRU(5, 4, rng=1, **DOUBLE), rnn.Linear(4, 5, rng=2, **DOUBLE), start=4)
HELLO = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=0))


def trained(data: Any, **options: Any) -> Any:
    model = rnn.Sequence(rnn.GRU(3, 4, rng=0), rnn.Linear(4, 2, rng=1))
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters()), loss="mse", **options)
    return trainer.fit(data, 1, progress=False)


def clipped(norm: Any, value: Any) -> Any:
    return trained((normal(3, 2, 3), normal(3, 2, 2)), clip_norm=norm, clip_value=value)


Case = tuple[Callable[..., Any], dict[str, np.ndarray]]
CASES: dict[str, Case] = {
    # losses
    "mse_loss": (lambda o, t, n: rnn.mse_loss(o, t, lengths=n), {"o": normal(3, 2, 2), "t": normal(3, 2, 2), "n": LENGTHS}),
    "mse_loss of one": (rnn.mse_loss, {"outputs": normal(4), "targets": normal(4)}),
    "binary_cross_entropy_with_logits": (
        lambda o, t, w, n: rnn.binary_cross_entropy_with_logits(o, t, pos_weight=w, lengths=n),
        {"o": normal(3, 2, 2), "t": shares(3, 2, 2), "w": shares(2), "n": LENGTHS},
    ),
    "sequence_cross_entropy": (
        lambda o, t, w, n: rnn.sequence_cross_entropy(o, t, weight=w, lengths=n),
        {"o": normal(3, 2, 4), "t": classes(4, 3, 2), "w": shares(4), "n": LENGTHS},
    ),
    "sequence_cross_entropy, sum": (
        lambda o, w: rnn.sequence_cross_entropy(o, classes(4, 3, 2) * 0 + 1, weight=w, reduction="sum"),
        {"o": normal(3, 2, 4), "w": shares(4)},
    ),
    "sequence_cross_entropy of probabilities": (
        lambda o, t, w, n, s: rnn.sequence_cross_entropy(o, t, weight=w, lengths=n, label_smoothing=s),
        {"o": normal(3, 2, 4), "t": shares(3, 2, 4), "w": shares(4), "n": LENGTHS, "s": np.float64(0.1)},
    ),
    "minigrad.cross_entropy of probabilities": (
        lambda o, t, w, s: mg.cross_entropy(o, t, weight=w, label_smoothing=s),
        {"o": normal(3, 2, 4), "t": shares(3, 2, 4), "w": shares(4), "s": np.float64(0.1)},
    ),
    "minigrad.cross_entropy": (
        lambda o, t, w: mg.cross_entropy(o, t, weight=w),
        {"o": normal(3, 2, 4), "t": np.array([[1, 2], [-100, 0], [3, 3]]), "w": shares(4)},
    ),
    **{
        f"sequence_loss, {kind}, {len(shape)} axes": (
            lambda o, t, n, kind=kind: rnn.sequence_loss(kind, o, t, n),
            {"o": normal(*shape), "t": classes(2, *shape[:-1]) if kind == "cross_entropy" else shares(*shape), "n": LENGTHS},
        )
        for kind in ("cross_entropy", "mse", "binary")
        for shape in ((3, 2, 2), (2, 2))
    },
    # cells and recurrent layers
    "RNNCell": (rnn.RNNCell(3, 4, rng=0, **DOUBLE), {"x": normal(2, 3), "state": normal(2, 4)}),
    "GRUCell": (rnn.GRUCell(3, 4, rng=0, **DOUBLE), {"x": normal(2, 3), "state": normal(2, 4)}),
    "LSTMCell": (
        lambda x, h, c: rnn.LSTMCell(3, 4, peepholes=True, rng=0, **DOUBLE)(x, (h, c)),
        {"x": normal(2, 3), "h": normal(2, 4), "c": normal(2, 4)},
    ),
    "RNN": (DEEP, {"x": normal(3, 2, 3), "state": normal(2, 2, 4), "lengths": LENGTHS}),
    "GRU": (GRU, {"x": normal(3, 2, 3), "state": normal(1, 2, 4), "lengths": LENGTHS}),
    "GRU, batch first": (BATCH_FIRST, {"x": normal(2, 3, 3), "state": normal(2, 1, 4), "lengths": LENGTHS}),
    "GRU, one sequence": (GRU, {"x": normal(3, 3), "state": normal(1, 4)}),
    "LSTM": (
        lambda x, h, c, n: LSTM(x, (h, c), n),
        {"x": normal(3, 2, 3), "h": normal(1, 2, 4), "c": normal(1, 2, 4), "n": LENGTHS},
    ),
    "LSTM, bidirectional": (
        lambda x, h, c, n: BOTH(x, (h, c), n),
        {"x": normal(3, 2, 3), "h": normal(2, 2, 4), "c": normal(2, 2, 4), "n": LENGTHS},
    ),
    "Recurrent.step": (lambda x, h: GRU.step(x, (h,), 0), {"x": normal(2, 3), "h": normal(2, 4)}),
    "Recurrent.run": (lambda x, h, n: GRU.run(x, (h,), n), {"x": normal(3, 2, 3), "h": normal(2, 4), "n": LENGTHS}),
    "last_output": (rnn.last_output, {"output": normal(3, 2, 4), "lengths": LENGTHS}),
    "last_output, bidirectional": (
        lambda o, n: rnn.last_output(o, n, bidirectional=True), {"o": normal(3, 2, 4), "n": LENGTHS},
    ),
    "Attention": (
        lambda q, k, n: rnn.Attention(3, 4, "additive", rng=0, **DOUBLE)(q, k, n)[0],
        {"q": normal(2, 2, 3), "k": normal(3, 2, 4), "n": LENGTHS},
    ),
    # layers
    "Linear": (rnn.Linear(3, 2, rng=0, **DOUBLE), {"x": normal(2, 3)}),
    "Linear in float32": (rnn.Linear(3, 2, rng=0), {"x": np.round(4 * normal(2, 3)) / 4}),
    "LayerNorm": (rnn.LayerNorm(3, **DOUBLE), {"x": normal(2, 3)}),
    "Dropout": (lambda x, p: rnn.Dropout(p, rng=0)(x), {"x": normal(2, 3), "p": np.array(0.5)}),
    "Embedding": (rnn.Embedding(5, 2, rng=0), {"symbols": classes(5, 3, 2)}),
    "Sequential": (rnn.Sequential(rnn.Linear(3, 2, rng=0, **DOUBLE), np.tanh), {"x": normal(2, 3)}),
    "Parameter": (rnn.Parameter, {"data": normal(3)}),
    # models
    "Sequence": (SEQUENCE, {"x": normal(3, 2, 3), "lengths": LENGTHS}),
    "Sequence with an embedding": (WORDS, {"x": classes(5, 3, 2), "lengths": LENGTHS}),
    "Sequence.run": (lambda x, h, n: SEQUENCE.run(x, (h,), n), {"x": normal(3, 2, 3), "h": normal(2, 4), "n": LENGTHS}),
    "Sequence.step": (lambda x, h: SEQUENCE.step(x, (h,), 0), {"x": normal(2, 3), "h": normal(2, 4)}),
    "Sequence.answer": (
        lambda x, n, h: SEQUENCE.predict_batch(rnn.Batch(x, classes(2, 3, 2), n), (h,)),
        {"x": normal(3, 2, 3), "n": LENGTHS, "h": normal(2, 4)},
    ),
    "ManyToOne": (LAST, {"x": normal(3, 2, 3), "lengths": LENGTHS}),
    "ManyToOne.answer": (lambda x, n: LAST.predict_batch(rnn.Batch(x, classes(2, 2), n)), {"x": normal(3, 2, 3), "n": LENGTHS}),
    "OneToMany, free": (lambda x: ONE(x, steps=3), {"x": normal(2, 3)}),
    "OneToMany, forced": (lambda x, t: ONE(x, targets=t), {"x": normal(2, 3), "t": normal(3, 2, 3)}),
    "OneToMany.answer": (
        lambda x, t, n: ONE.predict_batch(rnn.Batch(x, t, n)), {"x": normal(1, 2, 3), "t": normal(3, 2, 3), "n": LENGTHS},
    ),
    "EncoderDecoder": (PAIR, {"source": normal(3, 2, 3), "targets": classes(4, 3, 2), "lengths": LENGTHS}),
    "EncoderDecoder.answer": (
        lambda x, t, n: PAIR.predict_batch(rnn.Batch(x, t, n)), {"x": normal(3, 2, 3), "t": classes(4, 3, 2), "n": LENGTHS},
    ),
    # data, training and what is said
    "Batch.of": (lambda x, t, n: rnn.Batch.of((x, t, n)), {"x": normal(3, 2, 3), "t": normal(3, 2, 2), "n": LENGTHS}),
    "windows": (lambda s: rnn.series.windows(s, 3), {"s": normal(8, 2)}),
    "one_hot": (rnn.Alphabet("abc").one_hot, {"numbers": classes(3, 4)}),
    "evaluate": (
        lambda x, t, n: rnn.evaluate(SEQUENCE, (x, t, n), loss="mse"),
        {"x": normal(3, 2, 3), "t": normal(3, 2, 2), "n": LENGTHS},
    ),
    "Trainer.fit": (lambda x, y, n: trained((x, y, n)), {"x": normal(3, 2, 3), "y": normal(3, 2, 2), "n": LENGTHS}),
    "Trainer, clipping": (clipped, {"norm": np.array(1.0), "value": np.array(1.0)}),
    "predict": (lambda x, n: rnn.predict(SEQUENCE, x, n), {"x": normal(3, 2, 3), "n": LENGTHS}),
    "sample": (lambda t: rnn.sample(HELLO, rnn.Alphabet("hielo"), "h", 3, t, 0), {"t": np.array(0.5)}),
    # optimizers and initial values
    "SGD": (
        lambda lr, m, d: rnn.SGD(READOUT.parameters(), lr=lr, momentum=m, weight_decay=d),
        {"lr": np.array(0.1), "m": np.array(0.1), "d": np.array(0.1)},
    ),
    "Adam": (lambda lr: rnn.Adam(READOUT.parameters(), lr=lr), {"lr": np.array(0.1)}),
    "orthogonal": (lambda g: rnn.init.orthogonal((2, 2), g, rng=0), {"g": np.array(2.0)}),
    "identity": (lambda g: rnn.init.identity((2, 2), g), {"g": np.array(2.0)}),
    "xavier_normal": (lambda g: rnn.init.xavier_normal((2, 2), g, rng=0), {"g": np.array(2.0)}),
    "xavier_uniform": (lambda g: rnn.init.xavier_uniform((2, 2), g, rng=0), {"g": np.array(2.0)}),
    "forget_bias": (lambda b: rnn.LSTMCell(1, 2, forget_bias=b, rng=0).bias_ih, {"b": np.array(2.0)}),
}  # fmt: skip

# What each argument has to give where it is not a gradient.
NO_GRADIENT = (TypeError, ValueError, mg.LeavesGraphError)


def parts_of(result: Any) -> list[Any]:
    if isinstance(result, tuple | list):
        return [part for item in result for part in parts_of(item)]
    return [result]


def weighted(result: Any) -> Any:
    """The Tensors of a result, or else its arrays, as one number."""
    found = parts_of(result)
    found = [x for x in found if isinstance(x, Tensor)] or found
    parts = [np.sum(x * np.cos(np.arange(x.size)).reshape(x.shape)) for x in found]
    return sum(parts[1:], parts[0])


@pytest.mark.parametrize(("name", "argument"), [(name, a) for name, (_, given) in CASES.items() for a in given])
def test_every_argument_gets_its_gradient_or_is_refused(name: str, argument: str) -> None:
    function, given = CASES[name]
    x = given[argument].astype(float)
    t = mg.tensor(x, requires_grad=True)
    try:
        result = weighted(function(**{**given, argument: t}))
    except NO_GRADIENT:
        return
    assert isinstance(result, Tensor), "the argument was cut out of the graph"
    result.backward()
    step = 0.25 if "float32" in name else 1e-5  # linear in it, and exact
    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            values.append(float(weighted(function(**{**given, argument: moved})).item()))
        expected[index] = (values[0] - values[1]) / (2 * step)
    assert t.grad is not None
    np.testing.assert_allclose(t.grad, expected, rtol=1e-5, atol=1e-6 if "float32" in name else 1e-8)


def test_the_arguments_that_are_differentiated() -> None:
    """Not all of them are refused: those of which a gradient is expected have one."""
    differentiated = {
        "mse_loss": "ot", "binary_cross_entropy_with_logits": "otw", "sequence_cross_entropy": "ow",
        "minigrad.cross_entropy": "ow", "minigrad.cross_entropy of probabilities": "otw",
        "sequence_cross_entropy of probabilities": "otw", "LSTM": "xhc", "OneToMany, forced": "xt", "Sequence.run": "xh",
    }  # fmt: skip
    for name, arguments in differentiated.items():
        function, given = CASES[name]
        for argument in arguments:
            t = mg.tensor(given[argument].astype(float), requires_grad=True)
            weighted(function(**{**given, argument: t})).backward()
            assert np.any(t.grad), (name, argument)
