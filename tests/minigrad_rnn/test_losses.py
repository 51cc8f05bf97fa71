"""The cross-entropy of a sequence and the share of each step."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn


def by_hand(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log of the target's probability, and the probabilities."""
    e = np.exp(logits)
    p = e / e.sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0]), p


def data(T: int, batch: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(T, batch, classes)), rng.integers(classes, size=(T, batch))


sizes = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1))


@settings(deadline=None, max_examples=25)
@given(sizes)
def test_mean_is_its_formula(sizes: tuple[int, int, int, int]) -> None:
    logits, targets = data(*sizes)
    losses, _ = by_hand(logits, targets)
    loss = rnn.sequence_cross_entropy(logits, targets)
    np.testing.assert_allclose(loss.total.item(), losses.mean(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.steps, losses.mean(1) / len(losses), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(sizes)
def test_sum_is_its_formula(sizes: tuple[int, int, int, int]) -> None:
    logits, targets = data(*sizes)
    losses, _ = by_hand(logits, targets)
    loss = rnn.sequence_cross_entropy(logits, targets, reduction="sum")
    np.testing.assert_allclose(loss.total.item(), losses.mean(1).sum(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.steps, losses.mean(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@settings(deadline=None, max_examples=25)
@given(sizes=sizes)
def test_steps_add_up_to_the_total(reduction: str, sizes: tuple[int, int, int, int]) -> None:
    logits, targets = data(*sizes)
    loss = rnn.sequence_cross_entropy(logits, targets, reduction=reduction)
    assert loss.steps.shape == (sizes[0],)
    np.testing.assert_allclose(loss.steps.sum(), loss.total.item(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("reduction", "share"), [("mean", 1 / 15), ("sum", 1 / 3)])
def test_gradient_is_probabilities_minus_one_hot(reduction: str, share: float) -> None:
    logits, targets = data(5, 3, 4, seed=0)
    x = mg.tensor(logits, requires_grad=True)
    rnn.sequence_cross_entropy(x, targets, reduction=reduction).total.backward()
    _, p = by_hand(logits, targets)
    np.testing.assert_allclose(x.grad, (p - np.eye(4)[targets]) * share, rtol=1e-12, atol=1e-14)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss = rnn.sequence_cross_entropy(np.zeros((3, 2, 5)), np.ones((3, 2), int))
    assert loss.total.item() == pytest.approx(np.log(5), rel=1e-12)


def test_huge_logits_stay_finite() -> None:
    logits = np.array([[[1000.0, 0.0]], [[0.0, -1000.0]]])
    loss = rnn.sequence_cross_entropy(logits, np.array([[1], [0]]), reduction="sum")
    np.testing.assert_array_equal(loss.steps, [1000.0, 0.0])


def test_targets_may_be_a_list_or_a_tensor() -> None:
    logits, targets = data(4, 1, 3, seed=1)
    expected = rnn.sequence_cross_entropy(logits, targets).total.item()
    assert rnn.sequence_cross_entropy(logits, targets.tolist()).total.item() == expected
    assert rnn.sequence_cross_entropy(logits, mg.tensor(targets)).total.item() == expected


def test_steps_are_outside_the_graph() -> None:
    logits, targets = data(4, 2, 3, seed=2)
    loss = rnn.sequence_cross_entropy(mg.tensor(logits, requires_grad=True), targets)
    assert type(loss.steps) is np.ndarray
    assert loss.total.requires_grad


@pytest.mark.parametrize("wrong", ["none", "MEAN", None])
def test_unknown_reduction_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"reduction must be 'mean' or 'sum', not {wrong!r}")):
        rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros((3, 1), int), reduction=wrong)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (3, 1, 4, 1), (0, 1, 4), (3, 0, 4), (3, 1, 0)])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    expected = re.escape(f"logits have shape {shape}; expected (T, batch, classes), none of them 0")
    with pytest.raises(ValueError, match=expected):
        rnn.sequence_cross_entropy(np.zeros(shape), np.zeros(shape[:-1], int))


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (3, 2), (3, 1, 4)])
def test_targets_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"targets have shape {shape};") + r".* must have \(3, 1\)"):
        rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros(shape, int))


def test_targets_that_are_not_class_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="targets are class numbers, integers; these are float64"):
        rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.zeros((3, 1)))
    for outside in (4, -1):
        with pytest.raises(ValueError, match=f"targets are from 0 to 3, .* these go from {outside} to {outside}"):
            rnn.sequence_cross_entropy(np.zeros((3, 1, 4)), np.full((3, 1), outside))


# -- ignored targets and weights of classes ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(sizes, st.booleans(), st.sampled_from([-100, -1, 0, 77]))
def test_ignored_targets_do_not_count_and_weights_say_how_much_the_others_do(
    sizes: tuple[int, int, int, int], weighted: bool, ignore_index: int
) -> None:
    _, batch, classes, seed = sizes
    logits, targets = data(*sizes)
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 2, classes) if weighted else None
    dropped = rng.random(targets.shape) < 0.4
    asked = np.where(dropped, ignore_index, targets)
    counts = (asked != ignore_index) * (np.ones(classes) if weight is None else weight)[targets]
    losses, p = by_hand(logits, targets)
    x = mg.tensor(logits, requires_grad=True)
    if not counts.any():
        with pytest.raises(ValueError, match="there is no mean of the losses: every target is ignored, or has a weight of 0"):
            rnn.sequence_cross_entropy(x, asked, ignore_index=ignore_index, weight=weight)
        return
    loss = rnn.sequence_cross_entropy(x, asked, ignore_index=ignore_index, weight=weight)
    np.testing.assert_allclose(loss.total.item(), (losses * counts).sum() / counts.sum(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.steps, (losses * counts).sum(1) / counts.sum(), rtol=1e-12, atol=1e-12)
    loss.total.backward()
    expected = (p - np.eye(classes)[targets]) * (counts / counts.sum())[..., None]
    np.testing.assert_allclose(x.grad, expected, rtol=1e-10, atol=1e-13)

    loss = rnn.sequence_cross_entropy(logits, asked, reduction="sum", ignore_index=ignore_index, weight=weight)
    np.testing.assert_allclose(loss.total.item(), (losses * counts).sum() / batch, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loss.steps, (losses * counts).sum(1) / batch, rtol=1e-12, atol=1e-12)


def test_weights_may_be_a_list_or_a_tensor_and_keep_the_dtype() -> None:
    logits, targets = data(4, 2, 3, seed=1)
    weight = np.array([1.0, 0.5, 2.0])
    expected = rnn.sequence_cross_entropy(logits, targets, weight=weight).total.item()
    for given_weight in (weight.tolist(), mg.tensor(weight)):
        assert rnn.sequence_cross_entropy(logits, targets, weight=given_weight).total.item() == expected
    assert rnn.sequence_cross_entropy(logits.astype("f4"), targets, weight=weight).total.dtype == np.float32


# -- squared error -----------------------------------------------------------------------------------------------------


def test_mse_loss_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 3, 2))
    for reduction, expected in (("mean", ((x - y) ** 2).mean()), ("sum", ((x - y) ** 2).sum()), ("none", (x - y) ** 2)):
        np.testing.assert_allclose(rnn.mse_loss(x, y, reduction=reduction).data, expected, rtol=1e-14)
    outputs = mg.tensor(x, requires_grad=True)
    rnn.mse_loss(outputs, y).backward()
    np.testing.assert_allclose(outputs.grad, 2 * (x - y) / 24, rtol=1e-14)


@pytest.mark.parametrize("wrap", [np.asarray, mg.tensor, list])
def test_losses_of_integers_are_not_cut_to_integers(wrap: Any) -> None:
    assert rnn.mse_loss(wrap([1, 2]), [1.5, 2.5]).item() == 0.25
    found = rnn.binary_cross_entropy_with_logits(wrap([0, 0]), [0.5, 0.5]).item()
    assert found == pytest.approx(np.log(2), rel=1e-15)


@pytest.mark.parametrize("loss", [rnn.mse_loss, rnn.binary_cross_entropy_with_logits])
def test_losses_of_numbers_keep_the_dtype_and_take_tensors(loss: Any) -> None:
    x, y = np.full((2, 3), 0.25, np.float32), np.full((2, 3), 0.5)
    assert loss(x, y).dtype == np.float32
    assert loss(mg.tensor(x), mg.tensor(y)).item() == loss(x, y).item()
    assert loss(x.tolist(), y.tolist()).item() == loss(x.astype(float), y).item()


@pytest.mark.parametrize("loss", [rnn.mse_loss, rnn.binary_cross_entropy_with_logits])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (3, 2), (1, 2, 3)])
def test_targets_are_not_broadcast(loss: Any, shape: tuple[int, ...]) -> None:
    text = f"targets have shape {shape}, the outputs (2, 3); they must be equal"
    with pytest.raises(ValueError, match=re.escape(text)):
        loss(np.zeros((2, 3)), np.zeros(shape))


@pytest.mark.parametrize("loss", [rnn.mse_loss, rnn.binary_cross_entropy_with_logits])
def test_losses_of_numbers_know_three_reductions(loss: Any) -> None:
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', not 'max'"):
        loss([1.0], [1.0], reduction="max")


# -- binary cross-entropy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pos_weight", [None, 2.5, [0.5, 1.0, 3.0]])
def test_binary_cross_entropy_is_its_formula(pos_weight: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = 3 * rng.normal(size=(4, 3)), rng.random((4, 3))
    p, w = 1 / (1 + np.exp(-x)), 1.0 if pos_weight is None else np.asarray(pos_weight)
    expected = -w * y * np.log(p) - (1 - y) * np.log(1 - p)
    logits = mg.tensor(x, requires_grad=True)
    found = rnn.binary_cross_entropy_with_logits(logits, y, reduction="none", pos_weight=pos_weight)
    np.testing.assert_allclose(found.data, expected, rtol=1e-12)
    found.sum().backward()
    np.testing.assert_allclose(logits.grad, (1 - y) * p - w * y * (1 - p), rtol=1e-12)


@pytest.mark.parametrize("pos_weight", [None, 1.0])
def test_binary_cross_entropy_is_exact_for_logits_of_any_size(pos_weight: Any) -> None:
    x = np.array([40.0, -40.0, 700.0, -700.0, 1e4, -1e4, 1e4, -1e4])
    y = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    logits = mg.tensor(x, requires_grad=True)
    found = rnn.binary_cross_entropy_with_logits(logits, y, reduction="none", pos_weight=pos_weight)
    tiny = [np.exp(-40.0), np.exp(-40.0), np.exp(-700.0), np.exp(-700.0), 0.0, 0.0]
    np.testing.assert_allclose(found.data, [*tiny, 1e4, 1e4], rtol=1e-15)
    found.sum().backward()
    signs = np.where(y == 1, -1.0, 1.0)
    np.testing.assert_allclose(logits.grad, signs * np.array([*tiny, 1.0, 1.0]), rtol=1e-15)


@pytest.mark.parametrize(("targets", "low", "high"), [([0.0, 1.5], 0.0, 1.5), ([-1.0, 1.0], -1.0, 1.0)])
def test_binary_targets_are_from_0_to_1(targets: Any, low: float, high: float) -> None:
    text = f"targets of this cross-entropy must be from 0 to 1; these are from {low} to {high}"
    with pytest.raises(ValueError, match=re.escape(text)):
        rnn.binary_cross_entropy_with_logits([0.0, 0.0], targets)
    with pytest.raises(ValueError, match="these are from nan to nan"):
        rnn.binary_cross_entropy_with_logits([0.0], [np.nan])


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 1)])
def test_a_pos_weight_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{shape}")):
        rnn.binary_cross_entropy_with_logits([0.0, 0.0], [0.0, 1.0], pos_weight=np.ones(shape))


# -- the loss of a task ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mse", "binary"])
def test_sequence_loss_of_numbers_adds_up_over_the_steps(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 3, 2)), rng.random((5, 3, 2))
    each = {"mse": rnn.mse_loss, "binary": rnn.binary_cross_entropy_with_logits}[kind](x, y, reduction="none").data
    total, steps = rnn.sequence_loss(kind, mg.tensor(x), y)
    np.testing.assert_allclose(total.item(), each.mean(), rtol=1e-14)
    np.testing.assert_allclose(steps, each.sum((1, 2)) / each.size, rtol=1e-14)
    total, steps = rnn.sequence_loss(kind, mg.tensor(x[0]), y[0])
    np.testing.assert_allclose(total.item(), each[0].mean(), rtol=1e-14)
    np.testing.assert_allclose(steps, [each[0].mean()], rtol=1e-14)


def test_sequence_loss_of_classes_is_sequence_cross_entropy() -> None:
    logits, targets = data(4, 3, 5, seed=0)
    targets[1:3, 0] = rnn.IGNORED
    expected = rnn.sequence_cross_entropy(logits, targets)
    total, steps = rnn.sequence_loss("cross_entropy", mg.tensor(logits), targets)
    assert total.item() == expected.total.item()
    np.testing.assert_array_equal(steps, expected.steps)
    total, steps = rnn.sequence_loss("cross_entropy", mg.tensor(logits[0]), targets[0])
    assert total.item() == pytest.approx(mg.cross_entropy(logits[0], targets[0]).item(), rel=1e-14)
    assert steps.shape == (1,)


def test_sequence_loss_tells_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="a loss must be one of cross_entropy, mse, binary, not 'l1'"):
        rnn.sequence_loss("l1", mg.tensor(np.ones((2, 1, 1))), np.ones((2, 1, 1)))
    for shape in ((3,), (3, 2, 2, 2)):
        text = re.escape(f"outputs have shape {shape}; expected (T, batch, O), or (batch, O) for one for each sequence")
        for kind in ("mse", "binary"):
            with pytest.raises(ValueError, match=text):
                rnn.sequence_loss(kind, mg.tensor(np.ones(shape)), np.ones(shape))


def test_both_sides_of_a_loss_of_numbers_are_differentiated() -> None:
    a, b = np.random.default_rng(0).uniform(0.1, 0.9, size=(2, 3, 2))
    for loss in (rnn.mse_loss, rnn.binary_cross_entropy_with_logits):
        mg.check_grads(loss, a, b)
        mg.check_grads(lambda y, loss=loss: loss(a, y), b)
    mg.check_grads(lambda w: rnn.binary_cross_entropy_with_logits(a, b, pos_weight=w), a[0])
    x, y = mg.tensor(a, requires_grad=True), mg.tensor(b, requires_grad=True)
    rnn.mse_loss(x, y).backward()
    np.testing.assert_array_equal(x.grad, -y.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_classes_are_differentiated(reduction: str) -> None:
    logits, targets = data(4, 3, 5, seed=0)
    targets[0, 1] = rnn.IGNORED
    weight = np.random.default_rng(1).uniform(0.5, 2, size=5)
    mg.check_grads(lambda x, w: mg.cross_entropy(x, targets, weight=w, reduction=reduction), logits, weight, order=2)
    if reduction != "none":
        mg.check_grads(lambda x, w: rnn.sequence_cross_entropy(x, targets, weight=w, reduction=reduction).total, logits, weight)


@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "binary"])
def test_targets_and_weights_of_another_dtype_leave_that_of_the_outputs(kind: str) -> None:
    outputs = np.zeros((3, 2, 2), np.float32)
    targets = np.zeros((3, 2), int) if kind == "cross_entropy" else np.zeros((3, 2, 2))
    for wrap in (np.asarray, mg.tensor):
        for lengths in (None, [1, 3]):
            assert rnn.sequence_loss(kind, wrap(outputs), wrap(targets), lengths).total.dtype == np.float32
    if kind == "cross_entropy":
        w = mg.tensor([1.0, 2.0], requires_grad=True)
        assert rnn.sequence_cross_entropy(outputs, targets, weight=w).total.dtype == np.float32


def test_a_loss_of_a_sequence_goes_back_itself() -> None:
    logits, targets = data(4, 2, 3, seed=2)
    x, y = mg.tensor(logits, requires_grad=True), mg.tensor(logits, requires_grad=True)
    loss = rnn.sequence_cross_entropy(x, targets)
    loss.backward()
    rnn.sequence_cross_entropy(y, targets).total.backward()
    np.testing.assert_array_equal(x.grad, y.grad)
    assert loss.item() == loss.total.item()


@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "binary"])
def test_the_sum_is_over_the_steps_and_the_mean_over_the_rest(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3, 2))
    y = rng.integers(2, size=(5, 3)) if kind == "cross_entropy" else rng.uniform(size=(5, 3, 2))
    each = [rnn.sequence_loss(kind, x[t], y[t]).item() for t in range(5)]
    total, steps = rnn.sequence_loss(kind, x, y, reduction="sum")
    np.testing.assert_allclose(steps, each, rtol=1e-13)
    assert total.item() == pytest.approx(sum(each), rel=1e-13)
    total, steps = rnn.sequence_loss(kind, x, y)
    np.testing.assert_allclose(steps, np.array(each) / 5, rtol=1e-13)
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum', not 'none'"):
        rnn.sequence_loss(kind, x, y, reduction="none")


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "words"),
    [
        (
            "cross_entropy",
            (3, 2, 4),
            (3, 2, 4),
            "class indices have no axis of classes; for one-hot targets",
        ),
        ("cross_entropy", (2, 4), (2, 4), "class indices have no axis of classes; for one-hot targets"),
        ("cross_entropy", (3, 2, 4), (2, 3), "targets must have the time first, np.swapaxes(targets, 0, 1)"),
        ("cross_entropy", (3, 2, 4), (2,), "these targets are for one output for each sequence"),
        ("cross_entropy", (2, 4), (3, 2), "these targets are for outputs at each step"),
        ("mse", (3, 2, 1), (3, 2), "targets need an axis for the one output, targets[..., None]"),
        ("mse", (2, 1), (2,), "targets need an axis for the one output, targets[..., None]"),
        ("mse", (3, 2, 4), (2, 3, 4), "targets must have the time first, np.swapaxes(targets, 0, 1)"),
        ("binary", (3, 2, 4), (2, 4), "these targets are for one output for each sequence"),
        ("binary", (2, 4), (3, 2, 4), "these targets are for outputs at each step"),
        ("binary", (3, 2, 4), (5, 5, 5), "expected targets of shape (3, 2, 4)"),
    ],
)
def test_targets_of_a_wrong_shape_are_told_what_to_do(kind: str, outputs: Any, targets: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"targets have shape {targets}, the outputs {outputs}: {words}")):
        rnn.sequence_loss(kind, np.zeros(outputs), np.zeros(targets, int))


def test_one_hot_targets_and_classes_that_are_floats_are_told_what_to_do() -> None:
    logits = np.zeros((3, 2, 4))
    for loss in (mg.cross_entropy, rnn.sequence_cross_entropy):
        with pytest.raises(ValueError, match=re.escape("for one-hot targets use targets.argmax(-1)")):
            loss(logits, np.zeros((3, 2, 4), int))
        with pytest.raises(TypeError, match=re.escape("these are float64; use targets.astype(int)")):
            loss(logits, np.zeros((3, 2)))


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("kind", ["cross_entropy", "mse", "binary"])
def test_more_elements_than_float16_can_count(kind: str, few: bool) -> None:
    """The loss, its steps and its gradients, of 70,000 elements, also where only two of these count."""
    shape = (70_000, 1, 2)
    outputs = np.random.default_rng(0).normal(size=shape).astype("float16")
    targets = np.zeros(shape[:2], int) if kind == "cross_entropy" else np.zeros(shape, "float16")
    lengths = [2] if few else None

    def found(outputs: np.ndarray, targets: np.ndarray) -> tuple[Any, ...]:
        x = mg.tensor(outputs, requires_grad=True)
        loss = rnn.sequence_loss(kind, x, targets, lengths)
        loss.backward()
        tangent = mg.jvp(lambda x: rnn.sequence_loss(kind, x, targets, lengths).total, (outputs,), (outputs,))[1]
        assert loss.total.dtype == loss.steps.dtype == outputs.dtype
        return loss.total.data, loss.steps, x.grad, tangent

    exact = found(outputs.astype(float), targets.astype(float) if kind != "cross_entropy" else targets)
    for half, double in zip(found(outputs, targets), exact, strict=True):
        np.testing.assert_allclose(half, double, rtol=8e-3, atol=max(6e-8, 2e-3 * np.max(np.abs(double))))


# -- class probabilities and label smoothing ---------------------------------------------------------------------------


def smoothed(logits: np.ndarray, targets: np.ndarray, weight: np.ndarray, smoothing: float) -> np.ndarray:
    """Each loss, by the formula, of class probabilities or numbers."""
    classes = logits.shape[-1]
    y = targets if targets.shape == logits.shape else np.eye(classes)[targets]
    y = (1 - smoothing) * y + smoothing / classes
    e = np.exp(logits)
    return -(weight * y * np.log(e / e.sum(-1, keepdims=True))).sum(-1)


def drawn(seed: int, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    T, B, C = (int(n) for n in rng.integers(1, 5, size=3))
    targets = rng.dirichlet(np.ones(C), size=(T, B)) if kind == "probabilities" else rng.integers(C, size=(T, B))
    return 3 * rng.normal(size=(T, B, C)), targets, rng.uniform(0.3, 2, size=C), float(rng.choice([0.0, rng.uniform(), 1.0]))


@pytest.mark.parametrize("kind", ["probabilities", "numbers"])
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_smoothed_losses_of_sequences_are_their_formula(kind: str, seed: int, data: st.DataObject) -> None:
    logits, targets, weight, smoothing = drawn(seed, kind)
    weighted = data.draw(st.booleans())
    lengths = data.draw(st.none() | st.lists(st.integers(1, len(logits)), min_size=logits.shape[1], max_size=logits.shape[1]))
    mask = np.ones(logits.shape[:2], bool) if lengths is None else np.arange(len(logits))[:, None] < np.array(lengths)
    each = np.where(mask, smoothed(logits, targets, weight if weighted else np.ones_like(weight), smoothing), 0)
    counts = mask * (weight[targets] if weighted and kind == "numbers" else 1.0)
    padded = logits.copy()
    padded[~mask] = np.nan
    for reduction, scale in (("mean", counts.sum()), ("sum", logits.shape[1])):
        options = {"lengths": lengths, "reduction": reduction, "label_smoothing": smoothing}
        x = mg.tensor(padded, requires_grad=True)
        loss = rnn.sequence_cross_entropy(x, targets, weight=weight if weighted else None, **options)
        np.testing.assert_allclose(loss.item(), each.sum() / scale, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(loss.steps, each.sum(1) / scale, rtol=1e-11, atol=1e-13)
        loss.backward()
        assert np.all(np.isfinite(x.grad))
        if not weighted:
            again = rnn.sequence_loss("cross_entropy", padded, targets, **options)
            np.testing.assert_allclose(again.item(), loss.item(), rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_logits_probabilities_and_weights_are_differentiated(reduction: str, smoothing: float) -> None:
    logits, targets = data(2, 2, 3, seed=0)
    targets[0, 1] = rnn.IGNORED
    rng = np.random.default_rng(1)
    y, weight = rng.dirichlet(np.ones(3), size=(2, 2)), rng.uniform(0.5, 2, size=3)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    mg.check_grads(lambda x, w: mg.cross_entropy(x, targets, weight=w, **options), logits, weight, order=2)
    mg.check_grads(lambda x, y, w: mg.cross_entropy(x, y, weight=w, **options), logits, y, weight, order=2)


@pytest.mark.parametrize("kind", ["probabilities", "numbers"])
def test_a_compiled_smoothed_loss_is_the_one_that_is_not(kind: str) -> None:
    def gradient(x: Any, y: Any, smoothing: float) -> Any:
        x = mg.tensor(x, requires_grad=True)
        loss = rnn.sequence_cross_entropy(x, y, label_smoothing=smoothing).total
        return loss.detach(), mg.grad(loss, x)

    compiled = mg.compile(gradient)
    rng = np.random.default_rng(0)
    for smoothing in (0.1, 0.2, 0.0, 0.3):
        x = rng.normal(size=(3, 2, 4))
        y = rng.dirichlet(np.ones(4), size=(3, 2)) if kind == "probabilities" else rng.integers(4, size=(3, 2))
        for found, expected in zip(compiled(x, y, smoothing), gradient(x, y, smoothing), strict=True):
            np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-15)


def test_a_model_is_trained_on_class_probabilities() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3, 2)), rng.dirichlet(np.ones(3), size=(4, 3))
    model = rnn.Sequence(rnn.RNN(2, 4, dtype=float, rng=1), rnn.Linear(4, 3, dtype=float, rng=2))
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.05), loss="cross_entropy")
    history = trainer.fit((x, y), epochs=200, progress=False)
    assert -(y * np.log(y)).sum(-1).mean() < history.loss[-1] < 0.9 * history.loss[0]
    outputs = model(x).data
    found = rnn.evaluate(model, (x, y), loss="cross_entropy")
    assert found.accuracy == pytest.approx(np.mean(outputs.argmax(-1) == y.argmax(-1)))
    assert found.loss == pytest.approx(smoothed(outputs, y, np.ones(3), 0.0).mean(), rel=1e-12)
    flow = rnn.gradient_flow(model, x, y, loss="cross_entropy")
    assert flow.losses.sum() == pytest.approx(found.loss, rel=1e-12)


def test_padding_of_class_probabilities_in_a_picture_does_not_count() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3, 2)), rng.dirichlet(np.ones(3), size=(4, 3))
    model = rnn.Sequence(rnn.RNN(2, 4, dtype=float, rng=1), rnn.Linear(4, 3, dtype=float, rng=2))
    batch = rnn.Batch(x, y, np.array([2, 4, 3]))
    flow = rnn.gradient_flow(model, batch, loss="cross_entropy")
    expected = rnn.sequence_loss("cross_entropy", model(x), y, batch.lengths)
    np.testing.assert_allclose(flow.losses, expected.steps, rtol=1e-12)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), "0.1", None, True])
def test_a_smoothing_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"label_smoothing is {wrong!r}; it must be a number from 0 to 1")):
        mg.cross_entropy(np.zeros((2, 3)), [0, 1], label_smoothing=wrong)


def test_what_class_probabilities_do_not_go_with_is_refused() -> None:
    with pytest.raises(ValueError, match="ignore_index is 1, and is of class numbers; of class probabilities leave it out"):
        mg.cross_entropy(np.zeros((2, 3)), np.full((2, 3), 1 / 3), ignore_index=1)
    for kind in ("mse", "binary"):
        with pytest.raises(ValueError, match=f"label_smoothing is for the cross-entropy; leave it out for '{kind}'"):
            rnn.sequence_loss(kind, np.zeros((2, 1, 3)), np.zeros((2, 1, 3)), label_smoothing=0.1)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_class_probabilities_leave_the_dtype_of_the_logits(dtype: str) -> None:
    logits, y = np.zeros((3, 2, 4), dtype), np.full((3, 2, 4), 0.25)
    for smoothing in (0.0, np.float64(0.1)):
        for targets in (y, mg.tensor(y, requires_grad=True), np.zeros((3, 2), int)):
            loss = rnn.sequence_cross_entropy(logits, targets, lengths=[1, 3], label_smoothing=smoothing)
            assert loss.total.dtype == loss.steps.dtype == dtype
            assert loss.item() == pytest.approx(np.log(4), rel=2e-3)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_the_cross_entropy_is_that_of_pytorch(seed: int, data: st.DataObject) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    kind = data.draw(st.sampled_from(["probabilities", "numbers"]))
    logits, targets, weight, smoothing = drawn(seed, kind)
    options: dict[str, Any] = {"reduction": data.draw(st.sampled_from(["mean", "sum", "none"])), "label_smoothing": smoothing}
    if kind == "numbers" and data.draw(st.booleans()):
        options["ignore_index"] = data.draw(st.sampled_from([-100, 0]))
        targets = np.where(np.random.default_rng(seed).random(targets.shape) < 0.3, options["ignore_index"], targets)
        if np.all(targets == options["ignore_index"]):
            options["reduction"] = "sum"  # PyTorch's mean of nothing is NaN, and here an error
    weighted = data.draw(st.booleans())
    C = logits.shape[-1]
    x, y = (mg.tensor(a, requires_grad=a.dtype.kind == "f") for a in (logits, targets))
    u = torch.tensor(logits.reshape(-1, C), requires_grad=True)
    v = torch.tensor(targets.reshape(-1, *targets.shape[2:]), requires_grad=kind == "probabilities")
    found = mg.cross_entropy(x, y, weight=weight if weighted else None, **options)
    theirs = torch.nn.functional.cross_entropy(u, v, weight=torch.tensor(weight) if weighted else None, **options)
    expected = theirs.detach().numpy().reshape(found.shape)
    np.testing.assert_allclose(found.data, expected, rtol=1e-11, atol=1e-12)
    seeds = np.cos(np.arange(expected.size)).reshape(expected.shape)
    (found * seeds).sum().backward()
    (theirs * torch.tensor(seeds.reshape(theirs.shape))).sum().backward()
    np.testing.assert_allclose(x.grad, u.grad.numpy().reshape(x.shape), rtol=1e-10, atol=1e-12)
    if kind == "probabilities":
        np.testing.assert_allclose(y.grad, v.grad.numpy().reshape(y.shape), rtol=1e-10, atol=1e-12)
