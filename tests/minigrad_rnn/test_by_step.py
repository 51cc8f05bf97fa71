"""Pictures and flows show the model's own forward pass and its own loss: step by step they are what they are all at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn.by_step import observed, observer
from minigrad_rnn.stepwise import run

SIZE, HIDDEN, SYMBOLS = 3, 4, 7
EXACT = {"rtol": 1e-12, "atol": 1e-12}


class OfOwnRun(rnn.Sequence):
    def run(self, x, state=None, lengths=None):
        output, state = super().run(x, state, lengths)
        return 2 * output, state


class OfOwnAnswer(rnn.Sequence):
    def predict_batch(self, batch, state=None):
        hidden, state = self.recurrent.run(self.embedded(batch.inputs, batch.lengths), state, batch.lengths)
        return self.readout(hidden * hidden), state


class OfOwnLoop(rnn.Sequence):
    def predict_batch(self, batch, state=None):
        outputs = []
        for t, x in enumerate(batch.inputs):
            output, state = self.step(x, state, t)
            outputs.append(output)
        return mg.stack(outputs), state


class OfOneMean(rnn.ManyToOne):
    def forward(self, x, lengths=None):
        hidden, _ = self.recurrent.run(x, None, lengths)
        return self.readout(hidden.mean(axis=0))


class OverTime(rnn.Linear):
    """A readout that looks at all steps."""

    def forward(self, x):
        return super().forward(x) + super().forward(x).sum(axis=0)


class Residual(rnn.GRU):
    def run(self, x, state=None, lengths=None):
        output, state = super().run(x, state, lengths)
        return output + 0.5 * output, state


KINDS = {**rnn.config.LAYERS, "own": Residual}
WIRINGS = {
    "many to many": rnn.Sequence,
    "many to one": rnn.ManyToOne,
    "one to many": rnn.OneToMany,
    "encoder-decoder": rnn.EncoderDecoder,
    "own run": OfOwnRun,
    "own answer": OfOwnAnswer,
    "own loop": OfOwnLoop,
    "own mean": OfOneMean,
}


@st.composite
def cases(draw, wiring):
    """A model, a batch for it, a loss, a reduction, and after how many steps the states are cut."""
    kind, rng = WIRINGS[wiring], np.random.default_rng(draw(st.integers(0, 99)))
    once, fed = issubclass(kind, rnn.ManyToOne), kind is rnn.OneToMany
    translates = kind is rnn.EncoderDecoder
    T, B = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    directions = translates or fed or kind is OfOwnLoop or draw(st.booleans())
    options = {"dtype": float, "num_layers": draw(st.integers(1, 2)), "learn_state": draw(st.booleans())}
    options |= {"bidirectional": not directions, "dropout": 0.5 * (options["num_layers"] - 1)}
    make = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    layer = make(SIZE, HIDDEN, rng=rng, **options)
    readout = draw(st.sampled_from([rnn.Linear, OverTime])) if kind in (rnn.Sequence, OfOwnRun) else rnn.Linear
    readout = readout(layer.output_size, SIZE, dtype=float, rng=rng)
    inputs = rng.normal(size=(T, B, SIZE))
    if translates:
        model = kind(layer, make(SIZE + 1, HIDDEN, rng=rng, **options), readout, start=SIZE)
    elif kind in (rnn.Sequence, OfOwnAnswer, rnn.ManyToOne) and draw(st.booleans()):
        embedding = rnn.Embedding(SYMBOLS, SIZE, padding_idx=draw(st.sampled_from([None, 0])), dtype=float, rng=rng)
        model, inputs = kind(layer, readout, embedding=embedding), rng.integers(SYMBOLS, size=(T, B))
    else:
        model = kind(layer, readout)
    for p in model.parameters():
        p.requires_grad = draw(st.integers(0, 5)) > 0
    lengths = rng.integers(1, T + 1, size=B) if kind is not OfOwnLoop and draw(st.booleans()) else None
    loss = "cross_entropy" if translates else draw(st.sampled_from(["mse", "binary"] + ["cross_entropy"] * (not fed)))
    shape = (B,) if once else (draw(st.integers(1, 4)) if translates else T, B)
    if loss == "cross_entropy":
        targets = rng.integers(SIZE, size=shape)
        targets[(rng.random(shape) < 0.3) & (np.arange(B) > 0)] = -100
    else:
        targets = rng.integers(2, size=(*shape, SIZE)) if loss == "binary" else rng.normal(size=(*shape, SIZE))
    if lengths is not None:  # whatever is there
        padding = np.arange(T)[:, None] >= lengths
        for array in (inputs,) if once else (inputs, targets):
            if array.dtype.kind == "f" and array.shape[:2] == (T, B):
                array[padding] = np.nan
    if fed:
        inputs = inputs[:1]
    cut = draw(st.sampled_from([None, 1, 2, 3])) if directions and not translates else None
    return model, rnn.Batch(inputs, targets, lengths), loss, draw(st.sampled_from(["mean", "sum"])), cut


def truth(model, batch, loss, reduction, chunk, monkeypatch):
    """Outputs, loss and shares, all steps at once; the states are cut in the cells."""
    layer = model.encoder if isinstance(model, rnn.EncoderDecoder) else model.recurrent
    calls = dict.fromkeys((cell for cells in layer.cells for cell in cells), 0)

    def step(cell, x, state):
        if chunk and calls[cell] and calls[cell] % chunk == 0:
            state = tuple(part.detach() for part in state)
        calls[cell] += 1
        return original(cell, x, state)

    with monkeypatch.context() as patch:
        original = rnn.recurrent.checked_step
        if chunk:
            patch.setattr(rnn.recurrent, "checked_step", step)
        outputs, _ = model.predict_batch(batch)
    return outputs, rnn.sequence_loss(loss, outputs, batch.targets, model.output_lengths(batch), reduction)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_step_by_step_it_is_the_same(wiring):
    @given(cases(wiring))
    def law(case):
        model, batch, loss, reduction, chunk = case
        made = run(model, batch, loss=loss, reduction=reduction, chunk=chunk)
        model.eval()
        with pytest.MonkeyPatch.context() as patch:
            outputs, (total, shares) = truth(model, batch, loss, reduction, chunk, patch)
        steps = [output.data for _, output in sorted(made.outputs.items())]
        np.testing.assert_allclose(steps[0] if outputs.ndim == 2 else np.stack(steps), outputs.data, **EXACT)
        np.testing.assert_allclose(made.loss.item(), total.item(), **EXACT)
        found = [made.shares[t].item() if t in made.shares else 0 for t in sorted(made.outputs)]
        np.testing.assert_allclose(found, shares, **EXACT)
        learned = [p for p in model.parameters() if p.requires_grad]
        gradients = mg.grad(total, learned) if total.requires_grad else [np.zeros(p.shape) for p in learned]
        for p, expected, g in zip(learned, gradients, mg.grad(made.loss, learned), strict=True):
            np.testing.assert_allclose(g, expected, err_msg=p.name, **EXACT)

    law()


def test_a_layer_alone_is_what_it_says():
    x = np.random.default_rng(0).normal(size=(5, 2, SIZE))
    for options in ({}, {"bidirectional": True}, {"num_layers": 2}):
        layer = Residual(SIZE, HIDDEN, dtype=float, rng=0, **options)
        outputs = run(layer, rnn.Batch(x, None, np.array([5, 3]))).outputs
        np.testing.assert_allclose([outputs[t].data for t in range(5)], layer(x, lengths=[5, 3])[0].data, **EXACT)


def test_afterwards_and_elsewhere_nobody_looks_on():
    model = rnn.Sequence(rnn.GRU(SIZE, HIDDEN, rng=0), rnn.Linear(HIDDEN, SIZE, rng=1))
    with pytest.raises(ValueError, match="T=0 steps"):
        run(model, np.ones((0, 1, SIZE)))
    assert observer() is None
    assert model.training


def test_a_compiled_function_is_that_of_all_steps_at_once():
    model = rnn.Sequence(rnn.GRU(SIZE, HIDDEN, dtype=float, rng=0), rnn.Linear(HIDDEN, SIZE, dtype=float, rng=1))
    x = np.random.default_rng(0).normal(size=(5, 2, SIZE))

    def answers(x):
        with mg.no_grad():
            return model(x)

    outside, inside = mg.compile(answers), mg.compile(answers)
    outside(x)
    looks = []

    class Onlooker:
        def __getattr__(self, name):
            looks.append(name)
            raise AssertionError(name)

    with observed(Onlooker()):
        np.testing.assert_allclose(inside(x).data, outside(x).data, **EXACT)
    assert not looks
    assert inside.source == outside.source
    np.testing.assert_allclose(inside(x).data, model(x).data, **EXACT)
    with pytest.raises(mg.CompileError, match="while a function is recorded"):
        mg.compile(lambda x: rnn.gradient_flow(model, x, np.zeros((5, 2), int)).losses)(x)


def test_the_vector_of_one_to_many_may_be_given_alone():
    model = rnn.OneToMany(rnn.RNN(SIZE, HIDDEN, dtype=float, rng=0), rnn.Linear(HIDDEN, SIZE, dtype=float, rng=1))
    x, targets = np.ones((2, SIZE)), np.zeros((4, 2, SIZE))
    loss = rnn.sequence_loss("mse", model(x, targets=targets), targets).total.item()
    np.testing.assert_allclose(run(model, x, targets).loss.item(), loss, **EXACT)
