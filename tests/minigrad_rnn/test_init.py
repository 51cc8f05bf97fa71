"""How weights may begin: each scheme keeps what it promises."""

import re
from typing import Any

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad_rnn import init


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (8, 3), (3, 8)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_is_orthogonal(shape: tuple[int, int], gain: float) -> None:
    for seed in range(5):
        Q = init.orthogonal(shape, gain, rng=seed)
        assert Q.shape == shape
        square = Q @ Q.T if shape[0] <= shape[1] else Q.T @ Q
        np.testing.assert_allclose(square, gain**2 * np.eye(min(shape)), atol=1e-14)


def test_orthogonal_has_each_block_orthogonal_and_different() -> None:
    blocks = np.split(init.orthogonal((12, 3), blocks=4, rng=0), 4)
    for Q in blocks:
        np.testing.assert_allclose(Q @ Q.T, np.eye(3), atol=1e-14)
    assert not np.allclose(blocks[0], blocks[1])


def test_orthogonal_favours_no_direction() -> None:
    drawn = np.array([init.orthogonal((3, 3), rng=seed) for seed in range(3000)])
    # Of a uniform orthogonal matrix each element has mean 0 and variance 1/n, and the trace mean 0 and variance 1.
    assert np.abs(drawn.mean(0)).max() < 5 * (1 / 3 / 3000) ** 0.5
    np.testing.assert_allclose(drawn.var(0), 1 / 3, atol=0.05)
    traces = np.trace(drawn, axis1=1, axis2=2)
    assert abs(traces.mean()) < 5 / 3000**0.5
    np.testing.assert_allclose(traces.var(), 1, atol=0.15)
    assert 0.45 < (np.linalg.det(drawn) > 0).mean() < 0.55


@pytest.mark.parametrize("make", [init.xavier_uniform, init.xavier_normal])
@pytest.mark.parametrize(("shape", "blocks"), [((200, 100), 1), ((100, 200), 1), ((400, 100), 4)])
@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_xavier_has_its_variance(make: Any, shape: tuple[int, int], blocks: int, gain: float) -> None:
    drawn = make(shape, gain, blocks=blocks, rng=0)
    variance = gain**2 * 2 / (shape[0] // blocks + shape[1])
    assert drawn.shape == shape
    np.testing.assert_allclose(drawn.var(), variance, rtol=0.05)
    assert abs(drawn.mean()) < 5 * (variance / drawn.size) ** 0.5
    if make is init.xavier_uniform:
        assert 0.99 * (3 * variance) ** 0.5 < np.abs(drawn).max() <= (3 * variance) ** 0.5


def test_identity_is_the_identity_in_each_block() -> None:
    np.testing.assert_array_equal(init.identity((3, 3), 2.0), 2 * np.eye(3))
    np.testing.assert_array_equal(init.identity((6, 3), blocks=2), np.concatenate([np.eye(3)] * 2))
    np.testing.assert_array_equal(init.identity((2, 3)), np.eye(2, 3))


@pytest.mark.parametrize("make", [init.orthogonal, init.xavier_uniform, init.xavier_normal])
def test_a_seed_or_a_generator_decides_what_is_drawn(make: Any) -> None:
    expected = make((4, 3), rng=5)
    np.testing.assert_array_equal(make((4, 3), rng=5), expected)
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(make((4, 3), rng=rng), expected)
    assert not np.array_equal(make((4, 3), rng=rng), expected)


@pytest.mark.parametrize("make", [init.orthogonal, init.xavier_uniform, init.xavier_normal, init.identity])
@pytest.mark.parametrize(("shape", "blocks"), [((3,), 1), ((4, 3, 2), 1), ((5, 3), 2), ((4, 3), 0)])
def test_a_shape_without_such_blocks_is_refused(make: Any, shape: Any, blocks: int) -> None:
    text = f"a weight of {blocks} stacked blocks has shape (blocks * out, in), not {shape}"
    with pytest.raises(ValueError, match=re.escape(text)):
        make(shape, blocks=blocks)


@pytest.mark.parametrize("bias", [True, "single", False])
def test_irnn_keeps_its_state_and_reads_little(bias: Any) -> None:
    cell = rnn.RNNCell(2, 5, bias, "relu", dtype=float)
    init.irnn(cell, rng=0)
    h = np.random.default_rng(1).random((3, 5))
    np.testing.assert_array_equal(cell(np.zeros((3, 2)), h).data, h)  # no input: for ever
    x = np.random.default_rng(2).normal(size=(100, 3, 2))
    layer = rnn.Recurrent(cell)
    outputs, _ = layer(x, h[None])
    np.testing.assert_allclose(outputs.data[-1], h, atol=0.1)
    expected = np.random.default_rng(0).standard_normal((5, 2))
    np.testing.assert_array_equal(cell.weight_ih.data, 0.001 * expected)
    init.irnn(cell, 0.5, rng=0)
    np.testing.assert_array_equal(cell.weight_ih.data, 0.5 * expected)


@pytest.mark.parametrize("kind", rnn.config.CELLS.values())
@pytest.mark.parametrize("bias", [True, "single", False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keras_begins_orthogonal_and_remembers(kind: Any, bias: Any, dtype: Any) -> None:
    cell = kind(30, 20, bias, dtype=dtype)
    init.keras(cell, rng=0)
    for block in np.split(cell.weight_hh.data, cell.gates):
        np.testing.assert_allclose(block @ block.T, np.eye(20), atol=1e-6 if dtype == np.float32 else 1e-14)
    np.testing.assert_allclose(cell.weight_ih.data.var(), 2 / (cell.gates * 20 + 30), rtol=0.15)
    if bias:
        expected = np.zeros(cell.gates * 20)
        if kind is rnn.LSTMCell:
            expected[20:40] = 1
        np.testing.assert_array_equal(cell.bias_ih.data, expected)
    if bias is True:
        np.testing.assert_array_equal(cell.bias_hh.data, 0)
    assert {p.dtype for p in cell.parameters()} == {np.dtype(dtype)}


def test_keras_of_a_projected_lstm_has_orthogonal_columns() -> None:
    cell = rnn.LSTMCell(3, 6, proj_size=2, dtype=float)
    init.keras(cell, rng=0)
    for block in np.split(cell.weight_hh.data, 4):
        np.testing.assert_allclose(block.T @ block, np.eye(2), atol=1e-14)


def test_dropout_masks_are_zeros_and_one_over_what_is_kept() -> None:
    mask = init.dropout_mask(np.ones((300, 300)), 0.2, np.random.default_rng(0))
    assert set(np.unique(mask)) == {0.0, 1.25}
    assert abs(mask.mean() - 1) < 5 * (0.25 / mask.size) ** 0.5
    assert init.dropout_mask(np.ones(3, np.float32), 0.2, np.random.default_rng(0)).dtype == np.float32
