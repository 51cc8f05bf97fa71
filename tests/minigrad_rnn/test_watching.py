"""Watching a training: it computes the same, and each snapshot is what the model of that time was and did."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn
from minigrad_rnn import watching

HELLO = rnn.tasks.hello()
TEXT = rnn.text.read("this")[:150]
LETTERS = rnn.Alphabet.of(TEXT)
STREAMS = rnn.Streams(LETTERS.encode(TEXT), 5, 4)
DIGITS = rnn.tasks.digits_to_letters(2)


class OwnCell(rnn.GRUCell):
    state_names = ("memory",)


class OwnLoop(rnn.Model):
    """A loop written by hand, with its own loss over time."""

    def __init__(self, rng: int = 0) -> None:
        self.U, self.W = (rnn.Parameter(np.random.default_rng(rng + k).normal(size=(n, 4)) / 2) for k, n in enumerate((5, 4)))
        self.readout = rnn.Linear(4, 5, dtype=np.float64, rng=rng)

    def predict_batch(self, batch: rnn.Batch, state: Any = None) -> Any:
        h, outputs = mg.tensor(np.zeros((batch.size, 4))), []
        for x in batch.inputs:
            h = np.tanh(x @ self.U + h @ self.W)
            outputs.append(self.readout(h))
        return mg.stack(outputs), None


def sequence(layer: Any, size: int = 5, **options: Any) -> rnn.Sequence:
    return rnn.Sequence(layer, rnn.Linear(layer.output_size, size, rng=1, dtype=layer.cell.weight_ih.dtype), **options)


MODELS: dict[str, tuple[Any, Any]] = {
    "RNN": (lambda: sequence(rnn.RNN(5, 3, rng=0)), HELLO),
    "LSTM, two layers with dropout, float64": (lambda: sequence(rnn.LSTM(5, 3, 2, dropout=0.5, dtype=float, rng=0)), HELLO),
    "GRU with an embedding": (
        lambda: sequence(rnn.GRU(4, 3, rng=0), len(LETTERS), embedding=rnn.Embedding(len(LETTERS), 4, rng=0)), STREAMS,
    ),
    "your own cell": (lambda: sequence(rnn.Recurrent(OwnCell(5, 3, rng=0), rng=0)), HELLO),
    "your own loop": (OwnLoop, HELLO),
    "the last step": (lambda: rnn.ManyToOne(rnn.RNN(2, 3, rng=0), rnn.Linear(3, 1, rng=1)), rnn.tasks.adding(4).data(3, 2)),
    "encoder and decoder": (
        lambda: rnn.EncoderDecoder(rnn.GRU(10, 3, rng=0), rnn.GRU(11, 3, rng=1), rnn.Linear(3, 11, rng=2), start=DIGITS.start),
        DIGITS.data(3, 2),
    ),
}  # fmt: skip


def trainer(model: Any, **options: Any) -> rnn.Trainer:
    return rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1), **options)


def hello(layer: Any = rnn.RNN, **options: Any) -> rnn.Trainer:
    return trainer(sequence(layer(5, 4, rng=0)), **options)


def bits(made: rnn.Trainer) -> Any:
    weights = {name: (a.dtype, a.tobytes()) for name, a in made.model.state_dict().items()}
    return weights, made.history.loss, made.history.grad_norm, [rng.bit_generator.state for rng in made.model.generators()]


# -- laws ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_snapshot_is_the_model_of_that_time_and_watching_changes_nothing(name: str) -> None:
    make, data = MODELS[name]
    epochs = 3 if data is HELLO else 1
    plain, watched, watch = trainer(make()), trainer(make()), rnn.Watch(says=total)
    weights = [plain.model.state_dict()]
    plain.fit(data, epochs, progress=False, after_update=lambda t: weights.append(t.model.state_dict()))
    watched.model.eval()
    watched.fit(data, epochs, progress=False, watch=watch)
    before, grads = bits(watched), [p.grad for p in watched.model.parameters()]
    assert before == bits(plain)
    assert watched.not_compiled == plain.not_compiled
    assert watch.updates == list(range(len(plain.history.loss) + 1))
    fresh = make()
    for shot, then in zip(watch.snapshots, weights, strict=True):
        assert {key: a.tobytes() for key, a in shot.weights.items()} == {key: a.tobytes() for key, a in then.items()}
        assert not any(a.flags.writeable for a in shot.weights.values())
        fresh.load_state_dict(shot.weights)
        flow = rnn.gradient_flow(fresh, data)
        assert shot.norms.keys() == flow.norms.keys()
        for state, norms in shot.norms.items():
            np.testing.assert_array_equal(norms, flow.norms[state])
        assert shot.loss == flow.loss
        assert shot.says == total(fresh)
    assert all(watch.norms[state].shape == (len(weights), *flow.norms[state].shape) for state in flow.norms)
    assert bits(watched) == before
    assert all(a is p.grad for a, p in zip(grads, watched.model.parameters(), strict=True))
    assert not any(module.training for module in watched.model.modules())


def total(model: rnn.Module) -> str:
    return f"{sum(p.data.sum() for p in model.parameters()):.6g}"


@pytest.mark.parametrize("compile", [True, False])
def test_loss_and_text_are_those_of_the_training(compile: bool) -> None:
    """The same batch again and again: update k begins with the loss of the snapshot after k - 1 updates."""
    made, watch = hello(compile=compile), rnn.Watch()
    history = made.fit(HELLO, 12, progress=False, watch=watch)
    assert bool(made.not_compiled) is not compile
    np.testing.assert_allclose([shot.loss for shot in watch.snapshots[:-1]], history.loss, rtol=1e-5)
    for shot in watch.snapshots:
        made.model.load_state_dict(shot.weights)
        assert shot.says == rnn.predict(made.model, HELLO)
    assert watch.history is made.history


@pytest.mark.parametrize(("keep", "every"), [(2, 1), (8, 3), (64, 1)])
def test_snapshots_are_few_and_evenly_spread_with_the_first_and_the_last(keep: int, every: int) -> None:
    """Also in several calls, which may end anywhere."""
    whole, made = hello(compile=False), hello(compile=False)
    watch, pieces = rnn.Watch(keep=keep, every=every), rnn.Watch(keep=keep, every=every)
    whole.fit(HELLO, 73, progress=False, watch=watch)
    for count in (1, 2, 7, 23, 40):
        made.fit(HELLO, count, progress=False, watch=pieces)
        end, updates = len(made.history.loss), pieces.updates
        assert (updates[0], updates[-1]) == (0, end)
        assert updates[:-1] == [*range(0, end, pieces.every)]
        assert len(updates) <= keep
        assert np.log2(pieces.every / every) % 1 == 0
    assert pieces.updates == watch.updates
    assert len(watch.updates) > keep / 2 or watch.every == every


# -- more calls, and what may go wrong ------------------------------------------------------------------------------------


def test_training_that_is_interrupted_has_its_last_snapshot() -> None:
    def stop(made: rnn.Trainer) -> None:
        if len(made.history.loss) == 7:
            raise KeyError("enough")

    watch = rnn.Watch(every=5)
    with pytest.raises(KeyError, match="enough"):
        hello().fit(HELLO, 20, progress=False, watch=watch, after_update=stop)
    assert watch.updates == [0, 5, 7]


def test_the_last_snapshot_is_of_the_last_update_also_if_patience_restores_others() -> None:
    made, watch = hello(compile=False), rnn.Watch(every=50)
    made.optimizer.lr = 1.0
    history = made.fit(HELLO, 40, progress=False, watch=watch, validation=HELLO, patience=2)
    assert watch.updates == [0, len(history.loss)]
    assert made.best is not None
    assert len(history.loss) < 40
    assert all(np.array_equal(made.best[2][name], p.data) for name, p in made.model.named_parameters())
    assert watch.snapshots[-1].loss > rnn.evaluate(made.model, HELLO).loss


def test_an_older_checkpoint_takes_later_snapshots_back(tmp_path: Any) -> None:
    made, watch = hello(compile=False), rnn.Watch()
    made.fit(HELLO, 3, progress=False, watch=watch, save=tmp_path / "x", save_every=3)
    made.fit(HELLO, 3, progress=False, watch=watch)
    later = watch.snapshots[4].weights["readout.bias"]
    made.load(tmp_path / "x")
    made.optimizer.lr = 0.2
    made.fit(HELLO, 2, progress=False, watch=watch)
    assert watch.updates == [0, 1, 2, 3, 4, 5]
    assert not np.array_equal(watch.snapshots[4].weights["readout.bias"], later)


def test_other_sequences_and_their_loss() -> None:
    model = sequence(rnn.RNN(5, 4, rng=0))
    x, y = HELLO.inputs[:3], np.eye(5)[HELLO.targets[:3, 0]][:, None]
    watch = rnn.Watch(x, y, loss="mse")
    trainer(model).fit(HELLO, 1, progress=False, watch=watch)
    assert watch.norms["h"].shape == (2, 1, 3)
    assert watch.snapshots[-1].loss == rnn.gradient_flow(model, x, y, loss="mse").loss
    assert "loss" in repr(watch.snapshots[-1])


def test_snapshots_may_be_read_in_several_threads_and_compared() -> None:
    alone, shared = rnn.Watch(), rnn.Watch(says=lambda model: str(model.load_state_dict(STILL)))
    STILL = {name: 0 * value for name, value in sequence(rnn.RNN(5, 4, rng=0)).state_dict().items()}
    for watch in (alone, shared):
        trainer(sequence(rnn.RNN(5, 4, rng=0))).fit(HELLO, 8, progress=False, watch=watch)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: [shot.loss for shot in shared.snapshots], range(4)))
    assert found == [[shot.loss for shot in alone.snapshots]] * 4
    first, last = shared.snapshots[0], shared.snapshots[-1]
    assert first != last
    assert {first: 1}[first] == 1


def test_wrong_arguments() -> None:
    both = trainer(sequence(rnn.RNN(5, 4, bidirectional=True, rng=0)))
    plain = trainer(rnn.Linear(5, 5, rng=0))
    used = rnn.Watch()
    hello().fit(HELLO, 1, progress=False, watch=used)
    for make, error, words in (
        (lambda: rnn.Watch(says="hello"), TypeError, "says must be a function .*, not str"),
        (lambda: rnn.Watch(every=0), ValueError, "every"),
        (lambda: rnn.Watch(keep=1), ValueError, "keep"),
        (lambda: rnn.Watch(targets=HELLO.targets), ValueError, "targets, but no inputs"),
        (lambda: hello().fit(HELLO, 1, watch=True), TypeError, r"watch must be a Watch, such as rnn.Watch\(\), not bool"),
        (lambda: hello().fit(HELLO, 1, watch=used), ValueError, "another trainer"),
        (lambda: both.fit(HELLO, 1, watch=rnn.Watch()), ValueError, "bidirectional"),
        (lambda: plain.fit(HELLO, 1, watch=rnn.Watch()), TypeError, "not Linear"),
        (lambda: hello().fit(HELLO, 1, watch=rnn.Watch(HELLO.inputs[..., :3], HELLO.targets)), ValueError, "3"),
        (lambda: hello().fit(HELLO, 1, watch=rnn.Watch(says=lambda m: rnn.greedy(m, LETTERS, "§", 3))), ValueError, "§"),
        (lambda: hello().fit(HELLO, 1, watch=rnn.Watch(says=lambda m: None)), TypeError, "must return a text, not None"),
        (lambda: rnn.draw.training(used, symbols="hielo"), TypeError, "symbols must be the Alphabet .* not str"),
        (lambda: rnn.draw.training(rnn.Watch()), ValueError, "no training"),
        (lambda: rnn.draw.training([]), TypeError, "not list"),
    ):
        with pytest.raises(error, match=words):
            make()


# -- during the training --------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def __init__(self, encoding: str, tty: bool = True) -> None:
        super().__init__()
        self.name_of_encoding, self.tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.name_of_encoding

    def isatty(self) -> bool:
        return self.tty


def seen(monkeypatch: pytest.MonkeyPatch, stream: Terminal, **options: Any) -> str:
    monkeypatch.setattr(watching, "PAUSE", 0.0)
    monkeypatch.setattr(watching, "SHARE", 0)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "200")
    hello().fit(HELLO, 4, watch=rnn.Watch(**options))
    return stream.getvalue()


def test_a_terminal_shows_the_gradient_through_time_next_to_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    found = seen(monkeypatch, Terminal("utf-8"))
    assert "|dL/dh[t]| " in found
    assert set(found.rpartition("|dL/dh[t]| ")[2][:6]) <= set(watching.BLOCKS)
    plain = seen(monkeypatch, Terminal("ascii"))
    assert set(plain.rpartition("|dL/dh[t]| ")[2][:6]) <= set(watching.PLAIN)
    assert plain.isascii()
    for stream, options in ((Terminal("utf-8", tty=False), {}), (Terminal("utf-8"), {"live": False})):
        assert "dL/dh" not in seen(monkeypatch, stream, **options)


def test_the_line_of_any_norms() -> None:
    assert watching.sparkline(np.array([1.0, 0.1, np.nan, 0.0])) == "█▁  "
    assert watching.sparkline(np.ones(3)) == "███"
    assert watching.sparkline(np.array([np.nan, 0.0])) == "  "
    assert watching.sparkline(10.0 ** -np.arange(300.0)) == "██▇▇▆▆▅▅▄▄▃▃▂▂▁▁"
    assert len(watching.sparkline(np.ones(1000))) == watching.CELLS


def test_a_notebook_updates_one_picture_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def display(made: Any, display_id: bool = False) -> Any:
        assert display_id
        shown.append(made._repr_html_())
        return SimpleNamespace(update=lambda other: shown.append(other._repr_html_()))

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert "dL/dh" not in seen(monkeypatch, Terminal("utf-8", tty=False))
    assert [text.count("<svg ") for text in shown] == [2] * 5  # after each update, and at the end
    assert "After 1 update it says" in shown[0].replace("</b>", "")
    assert "After 4 updates it says" in shown[-1]
    assert "<script" not in "".join(shown)
    del shell.kernel  # IPython in a terminal
    assert "dL/dh" in seen(monkeypatch, Terminal("utf-8"))
    assert len(shown) == 5
