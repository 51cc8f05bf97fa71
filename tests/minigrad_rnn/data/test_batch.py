"""Batches and their sources."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad_rnn.data import IGNORED, Batch, Examples, Fixed, Generated, Source, Streams, Windows, tasks


def noise(n: int, rng: np.random.Generator) -> Batch:
    return Batch(rng.random((5, n, 2), dtype=np.float32), rng.random((n, 1), dtype=np.float32))


def numbered(count: int) -> Batch:
    """Sequences that hold their number."""
    here = np.arange(count)
    return Batch(np.broadcast_to(here[:, None].astype(np.float32), (3, count, 1)), np.stack([here] * 3), here + 1)


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype for a, b in zip(one, other, strict=True))


SOURCES: dict[str, Any] = {
    "generated": lambda: Generated(noise, 3, batches=4, seed=5),
    "fixed": lambda: Fixed(numbered(2)),
    "examples": lambda: Examples(numbered(10), 3, seed=2),
    "examples in order": lambda: Examples(numbered(10), 3, seed=None),
    "windows": lambda: Windows(np.arange(40), length=4, batch_size=8, seed=1),
    "streams": lambda: Streams(np.arange(40), length=4, batch_size=3),
    **{name: lambda make=make: make().data(batch_size=2, batches=3, seed=9) for name, make in tasks.TASKS.items()},
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_batch_depends_on_its_number_alone(name: str) -> None:
    source: Source = SOURCES[name]()
    before = str(np.random.get_state())  # noqa: NPY002
    inorder = [source.batch(i) for i in range(2 * len(source) + 1)]
    assert all(same(SOURCES[name]().batch(i), inorder[i]) for i in reversed(range(len(inorder))))
    assert all(same(source.batch(i), inorder[i]) for i in np.random.default_rng(0).permutation(len(inorder)).tolist())
    assert str(np.random.get_state()) == before  # noqa: NPY002


@pytest.mark.parametrize("name", SOURCES)
def test_only_streams_go_on_from_batch_to_batch(name: str) -> None:
    source: Source = SOURCES[name]()
    assert source.stateful == (name == "streams")
    epochs = [i for i in range(3 * len(source)) if source.begins(i)]
    assert epochs == ([0, len(source), 2 * len(source)] if source.stateful else list(range(3 * len(source))))


@pytest.mark.parametrize("name", ["generated", "fixed", "examples", "streams"])
def test_there_is_no_batch_before_the_first(name: str) -> None:
    with pytest.raises(IndexError, match="there is no batch -1; the index must be 0 or more"):
        SOURCES[name]().batch(-1)


def test_no_two_batches_are_the_same_nor_those_of_two_seeds() -> None:
    batches = [Generated(noise, 3, seed=seed).batch(i) for seed in (0, 1) for i in (0, 1, 100)]
    assert len({batch.inputs.tobytes() for batch in batches}) == 6


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 35), st.one_of(st.none(), st.integers(0, 5)))
def test_an_epoch_has_every_example_once(count: int, batch_size: int, seed: int | None) -> None:
    source = Examples(numbered(count), batch_size, seed)
    orders = []
    for epoch in range(2):
        batches = [source.batch(epoch * len(source) + i) for i in range(len(source))]
        assert [b.size for b in batches[:-1]] == [batch_size] * (len(source) - 1)
        assert 1 <= batches[-1].size <= batch_size
        for b in batches:
            np.testing.assert_array_equal(b.inputs[..., 0], b.targets)
            np.testing.assert_array_equal(b.targets[0] + 1, b.lengths)
        orders.append([int(n) for b in batches for n in b.targets[0]])
        assert sorted(orders[-1]) == list(range(count))
    if seed is None:
        assert orders[0] == orders[1] == list(range(count))
    elif count > 20:
        assert orders[0] != orders[1]


@pytest.mark.parametrize(
    ("targets", "taken"),
    [
        (np.arange(3), [2, 0]),
        (np.arange(6).reshape(2, 3), [[2, 0], [5, 3]]),
        (np.arange(3.0)[:, None], [[2.0], [0.0]]),
        (np.arange(6.0).reshape(2, 3, 1), [[[2.0], [0.0]], [[5.0], [3.0]]]),
    ],
)
def test_sequences_are_taken_with_their_targets(targets: Any, taken: Any) -> None:
    batch = Batch(np.arange(6.0).reshape(2, 3, 1), targets).take([2, 0])
    assert batch.inputs[..., 0].tolist() == [[2, 0], [5, 3]]
    assert batch.targets.tolist() == taken
    assert batch.lengths is None


def test_what_does_not_count_is_marked_as_in_torch() -> None:
    assert IGNORED == -100


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Generated(noise, 0), ValueError, "batch_size is 0; expected a whole number from 1 on"),
        (lambda: Generated(noise, 2.5), TypeError, "batch_size is 2.5; expected a whole number from 1 on"),
        (lambda: Generated(noise, 2, batches=0), ValueError, "batches is 0"),
        (lambda: Generated(noise, 2, seed=-1), ValueError, "seed is -1; expected a whole number from 0 on"),
        (lambda: Examples(numbered(3), 2, seed=-1), ValueError, "seed is -1"),
        (lambda: Examples(numbered(3), -2), ValueError, "batch_size is -2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


# -- the axis of the sequences ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [int, np.int8, float, np.float32])
@pytest.mark.parametrize(
    ("steps", "count", "shape", "axis"),
    [
        (6, 8, (8,), 0),
        (6, 8, (8, 1), 0),
        (6, 8, (8, 12), 0),
        (6, 8, (8, 6), 0),
        (6, 8, (6, 8), 1),
        (6, 8, (5, 8), 1),
        (6, 8, (6, 8, 1), 1),
        (6, 8, (8, 8, 3), 1),
        (8, 8, (8, 8, 8), 1),
        (8, 8, (8,), 0),
        (8, 8, (8, 3), 0),
        (6, 1, (6, 1), 1),
        (6, 1, (1, 4), 0),
    ],
)
def test_sequences_are_taken_along_their_axis_whatever_the_dtype(
    steps: int, count: int, shape: tuple[int, ...], axis: int, dtype: Any
) -> None:
    batch = Batch(np.zeros((steps, count, 2)), np.arange(np.prod(shape)).reshape(shape).astype(dtype), np.arange(count))
    for chosen in ([0], [count - 1, 0], slice(0, 1), np.arange(count)[::-1]):
        taken = batch.take(chosen)
        expected = np.moveaxis(np.moveaxis(batch.targets, axis, 0)[chosen], 0, axis)
        np.testing.assert_array_equal(taken.targets, expected)
        np.testing.assert_array_equal(taken.lengths, np.arange(count)[chosen])
        assert taken.inputs.shape == (steps, len(np.arange(count)[chosen]), 2)


def test_a_shape_that_may_be_two_things_needs_an_axis() -> None:
    batch = Batch(np.zeros((5, 5, 2)), np.arange(25).reshape(5, 5))
    words = r"targets of shape \(5, 5\) for 5 sequences can be class indices .* choose with axis=1 or axis=0"
    for take in (lambda: batch.take([1]), lambda: Examples(batch, 2)):
        with pytest.raises(ValueError, match=words):
            take()
    assert batch.take([1], axis=1).targets.ravel().tolist() == [1, 6, 11, 16, 21]
    assert batch.take([1], axis=0).targets.ravel().tolist() == [5, 6, 7, 8, 9]
    assert Examples(batch, 2, None, axis=0).batch(0).targets.shape == (2, 5)
    floats = Batch(batch.inputs, batch.targets.astype(float))  # of numbers only (batch, O) makes sense
    assert floats.take([1]).targets.ravel().tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("shape", [(), (7,), (7, 4), (3, 7), (8, 3, 1), (6, 8, 1, 1)])
def test_targets_that_do_not_fit_the_inputs_are_refused(shape: tuple[int, ...]) -> None:
    batch = Batch(np.zeros((6, 8, 2)), np.zeros(shape))
    for call in (lambda: batch.take([0]), lambda: Batch.of(tuple(batch))):
        with pytest.raises(ValueError, match="do not fit inputs of shape"):
            call()


@pytest.mark.parametrize("name", tasks.TASKS)
def test_batches_of_every_task_can_be_taken_apart(name: str) -> None:
    task = tasks.TASKS[name]()
    batch = task.sample(4, np.random.default_rng(0))
    axis = 0 if task.wiring == "last" else 1
    taken = batch.take([2, 1], axis=axis)
    np.testing.assert_array_equal(taken.targets, np.take(batch.targets, [2, 1], axis=axis))


def test_a_pair_of_arrays_is_a_batch() -> None:
    batch = Batch.of((np.array([[[1.0]], [[2.0]]]), [3], [2]))
    assert (batch.inputs.shape, batch.targets.tolist(), batch.lengths.tolist()) == ((2, 1, 1), [3], [2])
    assert Batch.of((np.zeros((2, 1), int), [3])).lengths is None
    with pytest.raises(ValueError, match=r"with the batch first, give np.swapaxes\(inputs, 0, 1\)"):
        Batch.of((np.zeros((7, 5, 2)), np.zeros(7)))
    with pytest.raises(ValueError, match=r"inputs have shape \(7, 5\); expected \(T, batch, features\)"):
        Batch.of((np.zeros((7, 5)), np.zeros(5)))
    for wrong in (np.zeros(3), (np.zeros(3),), (1, 2, 3, 4)):
        with pytest.raises(TypeError, match=r"a batch must be \(inputs, targets\)"):
            Batch.of(wrong)
