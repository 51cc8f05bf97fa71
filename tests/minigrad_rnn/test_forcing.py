"""Teacher forcing: its schedules, and the models that read their own outputs while they are trained."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn

T, BATCH, SYMBOLS = 5, 6, 4
DOUBLE: dict[str, Any] = {"dtype": np.float64}
SOURCE = np.random.default_rng(0).normal(size=(3, BATCH, 2))
TARGETS = np.random.default_rng(1).integers(SYMBOLS, size=(T, BATCH))


def translator(share: Any = 1.0, rng: Any = 0, kind: str | None = "general") -> rnn.EncoderDecoder:
    parts = [rnn.GRU(2, 3, rng=0, **DOUBLE), rnn.GRU(SYMBOLS, 3, rng=1, **DOUBLE)]
    attention = None if kind is None else rnn.Attention(3, 3, kind, rng=3, **DOUBLE)
    readout = rnn.Linear(3 if kind is None else 6, SYMBOLS, rng=2, **DOUBLE)
    readout.weight.data = 10 * readout.weight.data  # so that its answers vary
    return rnn.EncoderDecoder(*parts, readout, start=0, attention=attention, teacher_forcing=share, rng=rng)


def writer(share: Any = 1.0, rng: Any = 0) -> rnn.OneToMany:
    parts = rnn.GRU(2, 3, rng=0, **DOUBLE), rnn.Linear(3, 2, rng=1, **DOUBLE)
    return rnn.OneToMany(*parts, teacher_forcing=share, rng=rng)


def outputs(model: Any) -> np.ndarray:
    if isinstance(model, rnn.OneToMany):
        answer: mg.Tensor = model(SOURCE[0], targets=np.resize(SOURCE, (T, BATCH, 2)))
    else:
        answer = model(SOURCE, TARGETS)
    return np.array(answer.data)


MODELS = [writer, translator, lambda *args: translator(*args, kind=None)]


@given(base=st.floats(0.5, 1), k=st.floats(1, 500), slope=st.floats(1e-4, 1), least=st.floats(0, 1))
def test_schedules_fall_from_1(base: float, k: float, slope: float, least: float) -> None:
    made = [rnn.forcing.exponential(base), rnn.forcing.inverse_sigmoid(k), rnn.forcing.linear(slope, least=least)]
    for schedule in made:
        shares = [schedule(i) for i in (0, 1, 2, 10, 100, 10**4, 10**7)]
        assert all(0 <= later <= share <= 1 for share, later in pairwise(shares))
    assert made[0](3) == pytest.approx(base**3)
    assert made[1](0) == pytest.approx(k / (k + 1))
    assert made[1](k * math.log(k)) == pytest.approx(0.5)  # type: ignore[arg-type]
    assert made[2](0) == 1
    assert made[2](10**7) == least


@pytest.mark.parametrize("make", MODELS)
def test_a_share_of_1_is_plain_and_one_of_0_is_free_running(make: Any) -> None:
    plain, always, never = make(), make(lambda update: 1.0), make(0.0)
    np.testing.assert_allclose(outputs(always), outputs(plain), rtol=1e-12)
    if isinstance(never, rnn.OneToMany):
        np.testing.assert_array_equal(outputs(never), never(SOURCE[0], steps=T).data)
    else:
        np.testing.assert_array_equal(outputs(never).argmax(-1), never.generate(SOURCE, T))
    assert not np.allclose(outputs(never), outputs(plain))
    for model in (always, never):  # only training mode reads its own outputs
        np.testing.assert_array_equal(outputs(model.eval()), outputs(plain))


@pytest.mark.parametrize("make", MODELS)
def test_the_same_seed_draws_the_same_and_each_batch_anew(make: Any) -> None:
    model, same, other = make(0.5, 0), make(0.5, 0), make(0.5, 1)
    first, second = outputs(model), outputs(model)
    np.testing.assert_array_equal(outputs(same), first)
    np.testing.assert_array_equal(outputs(same), second)
    assert not np.allclose(first, second)
    assert not np.allclose(first, outputs(other))
    np.testing.assert_allclose(first[0], outputs(make())[0], rtol=1e-12)


def test_the_share_of_targets_that_are_read() -> None:
    forced = translator(0.3).forced(2001, 100, TARGETS)
    assert forced.shape == (2000, 100)
    assert abs(forced.mean() - 0.3) < 0.005


@pytest.mark.parametrize("kind", [None, "general"])
def test_a_trainer_follows_the_schedule_compiled_or_not_also_when_it_is_resumed(kind: Any, tmp_path: Path) -> None:
    data, schedule, asked = rnn.Fixed(rnn.Batch(SOURCE, TARGETS)), rnn.forcing.linear(0.2), []

    def trainer(compiled: bool) -> rnn.Trainer:
        model = translator(schedule, kind=kind)
        return rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.01), compile=compiled)

    whole, eager = trainer(True), trainer(False)
    whole.fit(data, 6, progress=False)
    eager.fit(data, 6, progress=False, after_update=lambda trainer: asked.append(trainer.model._share.item()))
    np.testing.assert_allclose(asked, [schedule(i) for i in range(6)])
    assert not whole.not_compiled
    np.testing.assert_allclose(whole.history.loss, eager.history.loss, rtol=1e-9)
    assert "1 programs" in repr(whole._program)
    part = trainer(True)
    part.fit(data, 3, progress=False)
    part.save(tmp_path / "part.safetensors")
    rest = trainer(True)
    rest.load(tmp_path / "part.safetensors")
    rest.fit(data, 3, progress=False)
    np.testing.assert_allclose(rest.history.loss, whole.history.loss, rtol=1e-12)


def test_wrong_shares() -> None:
    for share in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match=f"teacher_forcing must be a number from 0 to 1, not {share}"):
            translator(share)
    with pytest.raises(TypeError, match="teacher_forcing must be a number from 0 to 1, not str"):
        translator("often")
    model = translator()
    assert model.rng is not None
    assert writer(1.0, None).rng is None
    model.teacher_forcing = rnn.forcing.linear(0.5)
    with pytest.raises(ValueError, match=r"a number from 0 to 1, not 3\.0"):
        writer(lambda update: 3.0)
    made = writer(lambda update: 1.0 - update / 2)
    with pytest.raises(ValueError, match=r"teacher_forcing\(3\) must be a number from 0 to 1, not -0\.5"):
        made.before_update(3)
    for make, name, values in (
        (rnn.forcing.linear, "slope", (-0.1, math.inf)),
        (rnn.forcing.inverse_sigmoid, "k", (0.5, math.inf)),
        (rnn.forcing.exponential, "base", (1.5, math.nan)),
    ):
        for value in values:
            with pytest.raises(ValueError, match=f"{name} must be a number from"):
                make(value)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_targets_of_another_shape_are_not_repeated(share: float) -> None:
    for shape in ((T, 1, 2), (T, BATCH, 1), (T, 2), (T,)):
        with pytest.raises(ValueError, match=r"expected \(T, batch, features\) = \(T, 6, 2\)"):
            writer(share)(SOURCE[0], targets=np.ones(shape))
