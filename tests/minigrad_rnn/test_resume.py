"""Resuming: a run that was stopped, however, and goes on in a new process is the run that was not stopped, bit by bit."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import minigrad_rnn as rnn

UPDATES = 9
TEXT = "if you want to build a ship, do not drum up people to collect wood"

OPTIMIZERS: dict[str, Callable[[Any], rnn.Optimizer]] = {
    "SGD": lambda p: rnn.SGD(p, lr=0.1),
    "momentum": lambda p: rnn.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adagrad": lambda p: rnn.Adagrad(p, lr=0.1, lr_decay=0.1),
    "RMSprop": lambda p: rnn.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Adam": lambda p: rnn.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: rnn.AdamW(p, lr=0.01, weight_decay=0.1),
    "NAdam": lambda p: rnn.NAdam(p, lr=0.01, weight_decay=0.1),
    "RAdam": lambda p: rnn.RAdam(p, lr=0.01, betas=(0.8, 0.9)),
    "Rprop": lambda p: rnn.Rprop(p, lr=0.01),
    "groups": lambda p: rnn.Adam([{"params": p[:2]}, {"params": p[2:], "lr": 0.02, "betas": (0.8, 0.9)}], lr=0.01),
}
SCHEDULES: dict[str, Callable[[rnn.Optimizer], Any]] = {
    "none": lambda o: None,
    "StepLR": lambda o: rnn.schedule.StepLR(o, step_size=3, gamma=0.5),
    "MultiStepLR": lambda o: rnn.schedule.MultiStepLR(o, milestones=[2, 5], gamma=0.5),
    "ExponentialLR": lambda o: rnn.schedule.ExponentialLR(o, gamma=0.9),
    "LinearLR": lambda o: rnn.schedule.LinearLR(o, total_iters=6),
    "CosineAnnealingLR": lambda o: rnn.schedule.CosineAnnealingLR(o, T_max=8),
    "LambdaLR": lambda o: rnn.schedule.LambdaLR(o, lambda t: 1 / (1 + t)),
    "WarmupLR": lambda o: rnn.schedule.WarmupLR(rnn.schedule.StepLR(o, step_size=2), total_iters=4),
    "CosineAnnealingWarmRestarts": lambda o: rnn.schedule.CosineAnnealingWarmRestarts(o, T_0=2, T_mult=2),
    "OneCycleLR": lambda o: rnn.schedule.OneCycleLR(o, max_lr=0.2, total_steps=60),
    "SequentialLR": lambda o: rnn.schedule.SequentialLR(
        o,
        [
            rnn.schedule.OneCycleLR(o, 0.2, 60),
            rnn.schedule.WarmupLR(rnn.schedule.StepLR(o, 2), total_iters=3),
            rnn.schedule.LinearLR(o),
        ],
        [2, 7],
    ),
    "ReduceLROnPlateau": lambda o: rnn.schedule.ReduceLROnPlateau(o, factor=0.5, patience=0),
}


@pytest.fixture(scope="module", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda fd: None)
        yield


def adding(seed: int) -> Any:
    model = rnn.ManyToOne(rnn.LSTM(2, 3, num_layers=2, dropout=0.3, rng=seed), rnn.Linear(3, 1, rng=seed + 1))
    return model, "mse", lambda: rnn.tasks.adding(3).data(batch_size=3, batches=4, seed=1)


def examples(seed: int) -> Any:
    model = rnn.ManyToOne(rnn.GRU(2, 3, rng=seed), rnn.Sequential(rnn.Dropout(0.2, rng=seed), rnn.Linear(3, 1, rng=seed + 1)))
    batch = rnn.tasks.adding(3).sample(11, np.random.default_rng(0))
    return model, "mse", lambda: rnn.Examples(batch, batch_size=3, seed=2)


def streams(seed: int) -> Any:
    alphabet = rnn.Alphabet.of(TEXT)
    recurrent = rnn.LSTM(len(alphabet), 4, num_layers=2, dropout=0.3, rng=seed)
    model = rnn.Sequence(recurrent, rnn.Linear(4, len(alphabet), rng=seed + 1))
    return model, "cross_entropy", lambda: rnn.Streams(alphabet.encode(TEXT), length=5, batch_size=3, one_hot=len(alphabet))


DATA = {"generated": adding, "shuffled": examples, "streams": streams}


def made(data: str, seed: int, optimizer: str = "Adam", schedule: str = "none", **options: Any) -> tuple[rnn.Trainer, Any]:
    """A trainer, and its data, all new."""
    model, loss, source = DATA[data](seed)
    over = OPTIMIZERS[optimizer](model.parameters())
    options.setdefault("compile", False)  # which takes longer to begin than to train here
    return rnn.Trainer(model, over, loss=loss, schedule=SCHEDULES[schedule](over), **options), source


def content(trainer: rnn.Trainer) -> bytes:
    """All that a checkpoint has: the same training gives the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        trainer.save(f"{folder}/c")
        return Path(f"{folder}/c").read_bytes()


def train_to(trainer: rnn.Trainer, source: Any, updates: int, **options: Any) -> None:
    if len(trainer.history.loss) < updates:
        trainer.fit(source(), 99, progress=False, after_update=lambda t: len(t.history.loss) >= updates, **options)


def assert_resumes(data: str, k: int, validated: bool, **options: Any) -> None:
    straight, source = made(data, 0, **options)
    fit = {"validation": source()} if validated else {}
    train_to(straight, source, UPDATES, **fit)
    first, source = made(data, 0, **options)
    train_to(first, source, k, **fit)
    second, source = made(data, 1000, **options)
    assert k == 0 or content(second) != content(first)
    with tempfile.TemporaryDirectory() as folder:
        first.save(f"{folder}/c")
        second.load(f"{folder}/c")
    assert content(second) == content(first)
    train_to(second, source, UPDATES, **fit)
    assert content(second) == content(straight)
    assert second.history.loss == straight.history.loss
    assert second.history.lr == straight.history.lr
    assert second.history.validation == straight.history.validation
    for a, b in zip(second.history.steps, straight.history.steps, strict=True):
        np.testing.assert_array_equal(a, b)


cases = {
    "data": st.sampled_from(list(DATA)),
    "k": st.integers(0, UPDATES),
    "accumulate": st.integers(1, 3),
    "validated": st.booleans(),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(**cases)
@settings(max_examples=8)
def test_training_in_two_parts_is_training_in_one(optimizer: str, **case: Any) -> None:
    assert_resumes(**case, optimizer=optimizer)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(**cases, by=st.sampled_from(["update", "epoch"]))
@settings(max_examples=8)
def test_schedules_go_on_too(schedule: str, by: str, **case: Any) -> None:
    assert_resumes(**case, optimizer="momentum", schedule=schedule, schedule_by=by, clip_norm=0.5)


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_whatever_the_random_generator(bits: str, tmp_path: Path) -> None:
    def dropped(seed: int) -> rnn.Trainer:
        rng = np.random.Generator(getattr(np.random, bits)(seed))
        model = rnn.Sequence(rnn.RNN(5, 5, rng=seed), rnn.Sequential(rnn.Dropout(0.5, rng=rng), rnn.Linear(5, 5, rng=seed)))
        return rnn.Trainer(model, rnn.SGD(model.parameters(), lr=0.1))

    first, second = dropped(0), dropped(1)
    first.fit(rnn.tasks.hello(), 3, progress=False)
    first.save(tmp_path / "c")
    second.load(tmp_path / "c")
    history = [trainer.fit(rnn.tasks.hello(), 3, progress=False).loss for trainer in (first, second)]
    assert history[0] == history[1]
    other = dropped(0)
    other.model.readout[0].rng = np.random.Generator(np.random.MT19937() if bits != "MT19937" else np.random.PCG64())
    with pytest.raises(ValueError, match="not a checkpoint of a training like this one"):
        other.load(tmp_path / "c")


@pytest.mark.parametrize("k", [0, 3, 5, 8])
def test_early_stopping_goes_on_with_its_best(k: int, tmp_path: Path) -> None:
    """With a learning rate that lets the loss rise in the end; and once it has stopped, `until` trains no more."""

    def run(seed: int) -> rnn.Trainer:
        model, _, _ = streams(seed)
        return rnn.Trainer(model, rnn.SGD(model.parameters(), lr=8.0, momentum=0.9), compile=False)

    source = streams(0)[2]()
    numbers = source.numbers[::-1].copy()
    options = {"validation": rnn.Streams(numbers, 5, 3, one_hot=source.one_hot), "patience": 3, "progress": False}
    straight, first, second = run(0), run(0), run(1000)
    straight.fit(source, until=40, **options)
    stopped = len(straight.history.validation)
    assert straight.best is not None
    assert 3 < stopped < 40
    assert straight.best[1] == stopped - 1 - 3
    for name, p in straight.model.named_parameters():
        np.testing.assert_array_equal(p.data, straight.best[2][name])
    first.fit(source, until=min(k, stopped), **options)
    first.save(tmp_path / "c")
    second.load(tmp_path / "c")
    second.fit(source, until=40, **options)
    assert content(second) == content(straight)
    again = run(2000)
    second.save(tmp_path / "c")
    again.load(tmp_path / "c")
    assert again.fit(source, until=40, **options).loss == []
    assert content(again) == content(straight)


def test_steps_of_unequal_length_come_back(tmp_path: Path) -> None:
    first, source = made("streams", 0)
    first.fit(source(), 1, progress=False)
    assert len({len(steps) for steps in first.history.steps}) == 2
    first.save(tmp_path / "c")
    second, source = made("streams", 1)
    second.load(tmp_path / "c")
    part = second.fit(source(), 1, progress=False)
    assert len(part.steps) == len(part.loss) == len(source())
    for history in (part, second.history):
        for loss, steps in zip(history.loss, history.steps, strict=True):
            assert steps.sum() == pytest.approx(loss, rel=1e-5)


# -- killed ------------------------------------------------------------------------------------------------------------

# One process imports, and forks one after the other that trains; each is killed while it trains or saves. It writes a byte for
# each update, so that the moment is random, but the run does not end before the last is killed.
DRIVER = """
import json, os, random, signal, sys, time
import numpy as np
import minigrad_rnn as rnn

UPDATES, KILLS = 240, 20

def training(seed):
    alphabet = rnn.Alphabet.of(text := "if you want to build a ship, do not drum up people to collect wood")
    recurrent = rnn.LSTM(len(alphabet), 6, num_layers=2, dropout=0.3, rng=seed)
    model = rnn.Sequence(recurrent, rnn.Linear(6, len(alphabet), rng=seed))
    optimizer = rnn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = rnn.schedule.CosineAnnealingLR(optimizer, T_max=UPDATES)
    trainer = rnn.Trainer(model, optimizer, schedule=schedule, clip_norm=1.0)
    return trainer, rnn.Streams(alphabet.encode(text), length=5, batch_size=3, one_hot=len(alphabet))

def run(path, seed, told):
    trainer, data = training(seed)
    if os.path.exists(path):
        trainer.load(path)
    def tell(trainer):
        os.write(told, b".")
        return len(trainer.history.loss) >= UPDATES
    if len(trainer.history.loss) < UPDATES:
        trainer.fit(data, until=UPDATES, progress=False, after_update=tell, save=path, save_every=1)

def forked(path, seed):
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            run(path, seed, write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    return pid, read

folder, rng = sys.argv[1], random.Random(0)
told = os.open(os.devnull, os.O_WRONLY)
start = time.perf_counter()
run(f"{folder}/straight", 0, told)
killed, saved = 0, []
while killed < KILLS:
    pid, read = forked(f"{folder}/killed", killed)
    for _ in range(rng.randrange(14)):
        os.read(read, 1)
    time.sleep(rng.uniform(0, 0.006))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(read)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (status, saved)
    killed += 1
    if os.path.exists(f"{folder}/killed"):
        saved.append(rnn.load_checkpoint(f"{folder}/killed")[1]["batches"])
pid, read = forked(f"{folder}/killed", 99)
while os.read(read, 4096):
    pass
assert os.waitpid(pid, 0)[1] == 0
unfinished = len([name for name in os.listdir(folder) if name.endswith(".tmp")])
print(json.dumps({"killed": killed, "saved": saved, "while saving": unfinished, "seconds": time.perf_counter() - start}))
"""


def python(code: str, *arguments: Any, **options: Any) -> subprocess.Popen[str]:
    root = Path(rnn.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork and SIGKILL are of POSIX")
def test_killed_twenty_times(tmp_path: Path) -> None:
    out, errors = python(DRIVER, tmp_path).communicate(timeout=120)
    assert out, errors
    told = json.loads(out)
    print(told)
    assert told["killed"] == 20
    assert told["saved"] == sorted(told["saved"])
    assert 0 < told["saved"][-1] < 240
    assert len(set(told["saved"])) > 10
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "straight").read_bytes()
