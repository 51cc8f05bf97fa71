"""Modules: how parameters are found, named, saved, loaded and copied, and that dtypes stay what they are."""

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad_rnn as rnn


class Block(rnn.Module):
    def __init__(self) -> None:
        self.weight = rnn.Parameter(np.ones((2, 3)))

    def forward(self, x: Any) -> mg.Tensor:
        return mg.linear(x, self.weight)


class Tree(rnn.Module):
    def __init__(self) -> None:
        self.first = rnn.Parameter([1.0])
        self.block = Block()
        self.many = [rnn.Parameter([2.0]), Block()]
        self.pair = (Block(), rnn.Parameter([3.0]))
        self.table = {"a": rnn.Parameter([4.0]), "b": {"c": Block()}, 7: [[rnn.Parameter([5.0])]]}
        self.absent = None
        self.size = 3
        self.constant = mg.tensor([1.0], requires_grad=True)


class Tied(rnn.Module):
    """One parameter under two names, one module in two places."""

    def __init__(self) -> None:
        self.here = rnn.Parameter([2.0, 3.0])
        self.there = self.here
        self.block = Block()
        self.blocks = [self.block]


def small(seed: int = 0, **options: Any) -> rnn.Sequence:
    rng = np.random.default_rng(seed)
    return rnn.Sequence(rnn.RNN(3, 4, rng=rng, **options), rnn.Linear(4, 2, rng=rng, **options))


def same_weights(one: rnn.Module, other: rnn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# -- finding parameters ------------------------------------------------------------------------------------------------


def test_parameters_are_found_in_attributes_lists_tuples_dicts_and_modules() -> None:
    assert [name for name, _ in Tree().named_parameters()] == [
        "first",
        "block.weight",
        "many.0",
        "many.1.weight",
        "pair.0.weight",
        "pair.1",
        "table.a",
        "table.b.c.weight",
        "table.7.0.0",
    ]


def test_parameters_are_the_objects_in_the_order_of_definition() -> None:
    tree = Tree()
    assert tree.parameters()[0] is tree.first
    assert tree.parameters()[3] is tree.many[1].weight
    assert len(tree.parameters()) == 9


def test_a_parameter_added_later_is_found() -> None:
    block = Block()
    block.extra = rnn.Parameter([1.0])
    assert [name for name, _ in block.named_parameters()] == ["weight", "extra"]


def test_a_module_without_parameters_has_none() -> None:
    assert rnn.Module().parameters() == []
    assert rnn.Module().state_dict() == {}


def test_a_shared_parameter_is_one_parameter_with_several_names() -> None:
    tied = Tied()
    assert list(tied.state_dict()) == ["here", "there", "block.weight", "blocks.0.weight"]
    assert [id(p) for p in tied.parameters()] == [id(tied.here), id(tied.block.weight)]


def test_a_shared_parameter_gathers_the_gradient_of_all_its_uses() -> None:
    cell = rnn.RNNCell(3, 3, bias=False, dtype=float, rng=0)
    x, h = np.random.default_rng(1).normal(size=(2, 2, 3))
    cell(x, h).sum().backward()
    apart = cell.weight_ih.grad
    cell.zero_grad()
    cell.weight_hh = cell.weight_ih
    d = 1 - cell(x, h).data ** 2
    cell(x, h).sum().backward()
    np.testing.assert_allclose(cell.weight_ih.grad, d.T @ (x + h), rtol=1e-12)
    assert not np.allclose(cell.weight_ih.grad, apart)
    assert len(cell.parameters()) == 1


def test_repr_counts_each_number_once() -> None:
    assert repr(rnn.Linear(3, 2)) == "Linear with 8 parameters: weight (2, 3), bias (2,)"


def test_calling_a_module_runs_forward() -> None:
    block = Block()
    np.testing.assert_array_equal(block(np.ones((1, 3))).data, block.forward(np.ones((1, 3))).data)
    with pytest.raises(NotImplementedError, match=r"Module does not define forward\(\)"):
        rnn.Module()(1)


def test_zero_grad_forgets_every_gradient() -> None:
    model = small()
    model(np.ones((2, 1, 3))).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_zero_grad_passes_over_a_frozen_parameter() -> None:
    layer = rnn.Linear(3, 2)
    layer.bias.requires_grad = False
    layer.weight.grad = np.ones((2, 3))
    layer.zero_grad()
    assert layer.weight.grad is None


# -- Parameter ---------------------------------------------------------------------------------------------------------


def test_a_parameter_requires_grad_and_copies_its_data() -> None:
    data = np.ones(3)
    p = rnn.Parameter(data, name="w")
    data[0] = 5.0
    assert p.requires_grad
    assert p.name == "w"
    np.testing.assert_array_equal(p.data, [1.0, 1.0, 1.0])


def test_a_parameter_of_integers_is_refused_and_with_a_dtype_taken() -> None:
    with pytest.raises(TypeError, match="only floating-point tensors can require grad, this one is int64"):
        rnn.Parameter(np.array([1, 2]))
    assert rnn.Parameter([1, 2], dtype=np.float32).dtype == np.float32


# -- saving and loading ------------------------------------------------------------------------------------------------


def test_state_goes_from_one_model_to_another() -> None:
    one, other = small(1), small(2)
    assert not same_weights(one, other)
    other.load_state_dict(one.state_dict())
    assert same_weights(one, other)


def test_state_is_a_copy() -> None:
    model = small()
    state = model.state_dict()
    before = {name: array.copy() for name, array in state.items()}
    for array in state.values():
        array[...] = 7.0
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_loaded_values_are_copied() -> None:
    model = small()
    state = model.state_dict()
    model.load_state_dict(state)
    before = model.state_dict()
    for array in state.values():
        array[...] = 7.0
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_loading_keeps_the_parameters_and_their_dtype() -> None:
    model = rnn.Linear(3, 2, dtype=np.float32)
    weight = model.weight
    model.load_state_dict({"weight": np.full((2, 3), 0.1), "bias": [1, 2]})
    assert model.weight is weight
    assert (model.weight.dtype, model.bias.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(weight.data, np.full((2, 3), 0.1, np.float32))
    np.testing.assert_array_equal(model.bias.data, [1.0, 2.0])


def test_loading_leaves_recorded_graphs_as_they_were() -> None:
    layer = rnn.Linear(1, 1, bias=False, dtype=float)
    layer.load_state_dict({"weight": [[3.0]]})
    loss = (layer.weight * layer.weight).sum()
    layer.load_state_dict({"weight": [[5.0]]})
    loss.backward()
    assert layer.weight.grad.item() == 6.0


def test_state_survives_a_file(tmp_path: Any) -> None:
    one, other = small(1), small(2)
    np.savez(tmp_path / "weights.npz", **one.state_dict())
    with np.load(tmp_path / "weights.npz") as state:
        other.load_state_dict(state)
    assert same_weights(one, other)


def test_everything_wrong_with_a_state_is_told_at_once_and_nothing_changes() -> None:
    model = small(1)
    before = model.state_dict()
    state = small(2).state_dict()
    del state["readout.bias"]
    state["readout.scale"] = np.ones(5)
    state["recurrent.weight_ih_l0"] = np.ones((3, 4))
    state["recurrent.bias_ih_l0"] = np.array(list("abcd"))
    state["recurrent.bias_hh_l0"] = np.ones(4, complex)
    problems = [
        "these weights do not fit this model:",
        "missing: readout.bias (2,)",
        "not a parameter of this model: readout.scale (5,)",
        "recurrent.weight_ih_l0 has shape (3, 4), in the model (4, 3)",
        "recurrent.bias_ih_l0 has dtype <U1, in the model float32",
        "recurrent.bias_hh_l0 has dtype complex128, in the model float32",
    ]
    with pytest.raises(ValueError, match="^" + re.escape("\n  ".join(problems)) + "$"):
        model.load_state_dict(state)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_state_without_any_name_of_the_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"missing: weight \(2, 3\)\n  missing: bias \(2,\)"):
        rnn.Linear(3, 2).load_state_dict({})


def test_a_shared_parameter_is_loaded_from_its_names() -> None:
    tied = Tied()
    state = tied.state_dict()
    state["here"] = state["there"] = np.array([8.0, 9.0])
    tied.load_state_dict(state)
    assert tied.here is tied.there
    np.testing.assert_array_equal(tied.here.data, [8.0, 9.0])


# -- copies ------------------------------------------------------------------------------------------------------------


def again(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, again])
@pytest.mark.parametrize("kind", [rnn.RNN, rnn.LSTM])
def test_a_copy_is_equal_and_independent(duplicate: Any, kind: Any) -> None:
    model = rnn.Sequence(kind(3, 4, rng=0), rnn.Linear(4, 2, rng=1))
    before = model.state_dict()
    x = np.ones((2, 1, 3))
    twin = duplicate(model)
    np.testing.assert_array_equal(twin(x).data, model(x).data)
    assert twin.recurrent.weight_ih_l0 is twin.recurrent.cell.weight_ih
    assert twin.recurrent.weight_ih_l0.name == "weight_ih_l0"

    twin(x).sum().backward()
    rnn.SGD(twin.parameters(), lr=0.1).step()
    assert all(p.grad is None for p in model.parameters())
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])
    assert not any(np.array_equal(p.data, before[name]) for name, p in twin.named_parameters())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, again])
def test_a_copy_shares_what_the_model_shares(duplicate: Any) -> None:
    twin = duplicate(Tied())
    assert twin.here is twin.there
    assert twin.blocks[0] is twin.block


@pytest.mark.parametrize("duplicate", [copy.deepcopy, again])
def test_a_frozen_parameter_stays_frozen_in_a_copy(duplicate: Any) -> None:
    layer = rnn.Linear(3, 2)
    layer.bias.requires_grad = False
    twin = duplicate(layer)
    assert (twin.weight.requires_grad, twin.bias.requires_grad) == (True, False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, again])
def test_a_copy_of_every_module_says_the_same_and_learns_apart(duplicate: Any) -> None:
    for name, (make, shape) in MODULES.items():
        module = make(rng=0)
        twin = duplicate(module)
        assert same_weights(module, twin), name
        assert [(n, p.name, p.dtype) for n, p in module.named_parameters()] == [
            (n, p.name, p.dtype) for n, p in twin.named_parameters()
        ]
        assert not {id(p) for p in module.parameters()} & {id(p) for p in twin.parameters()}
        x = np.random.default_rng(0).normal(size=shape)
        for _ in range(2):  # their generators go on from the same point, each its own way
            for a, b in zip(tensors(module(x)), tensors(twin(x)), strict=True):
                np.testing.assert_array_equal(a.data, b.data)
        sum((t * t).sum() for t in tensors(twin(x))).backward()
        assert all(p.grad is None for p in module.parameters())


def test_the_state_of_every_module_goes_to_another_of_its_kind() -> None:
    for name, (make, shape) in MODULES.items():
        one, other = make(rng=0).eval(), make(rng=1).eval()
        for p in one.parameters():
            p.data = np.random.default_rng(p.size).normal(size=p.shape)
        other.load_state_dict(one.state_dict())
        assert same_weights(one, other), name
        x = np.random.default_rng(0).normal(size=shape)
        for a, b in zip(tensors(one(x)), tensors(other(x)), strict=True):
            np.testing.assert_array_equal(a.data, b.data)


def test_an_embedding_goes_through_a_copy_and_a_state() -> None:
    table = rnn.Embedding(5, 3, 1, rng=0)
    other = rnn.Embedding(5, 3, 1, rng=1)
    other.load_state_dict(table.state_dict())
    for twin in (other, copy.deepcopy(table), again(table)):
        np.testing.assert_array_equal(twin([[0, 1], [4, 4]]).data, table([[0, 1], [4, 4]]).data)


# -- training and evaluation -------------------------------------------------------------------------------------------


class Nest(rnn.Module):
    def __init__(self) -> None:
        self.drop = rnn.Dropout(0.5, rng=0)
        self.parts = [rnn.Dropout(0.5, rng=1), {"a": (rnn.Sequential(rnn.Dropout(0.5, rng=2)),)}]
        self.rng = np.random.default_rng(3)


def test_train_and_eval_reach_every_module() -> None:
    nest = Nest()
    found = list(nest.modules())
    assert found == [nest, nest.drop, nest.parts[0], nest.parts[1]["a"][0], nest.parts[1]["a"][0][0]]
    assert all(m.training for m in found)
    assert nest.eval() is nest
    assert not any(m.training for m in found)
    assert nest.train() is nest
    assert all(m.training for m in found)
    nest.parts[0].eval()
    assert [m.training for m in found] == [True, True, False, True, True]
    assert [m.training for m in copy.deepcopy(nest).modules()] == [True, True, False, True, True]
    nest.train(False)
    assert not any(m.training for m in again(nest).modules())
    assert rnn.Dropout().training


def test_generators_are_found_once_each_in_the_order_of_definition() -> None:
    nest = Nest()
    deep = nest.parts[1]["a"][0][0]
    assert nest.generators() == [nest.rng, nest.drop.rng, nest.parts[0].rng, deep.rng]
    deep.rng = nest.rng
    assert nest.generators() == [nest.rng, nest.drop.rng, nest.parts[0].rng]
    rng = np.random.default_rng(0)
    model = rnn.Sequence(rnn.GRU(3, 4, 2, dropout=0.5, rng=rng), rnn.Linear(4, 2, rng=rng))
    assert model.generators() == [rng]
    assert rnn.Linear(3, 2).generators() == []


def test_the_states_of_the_generators_are_what_dropout_goes_on_from() -> None:
    model = rnn.Sequence(rnn.GRU(3, 4, 2, dropout=0.5, rng=0), rnn.Linear(4, 2, rng=1))
    x = np.ones((3, 2, 3))
    states = [rng.bit_generator.state for rng in model.generators()]
    first, second = model(x).data, model(x).data
    assert not np.array_equal(first, second)
    for rng, state in zip(model.generators(), states, strict=True):
        rng.bit_generator.state = state
    np.testing.assert_array_equal(model(x).data, first)


# -- sharing -----------------------------------------------------------------------------------------------------------


class TiedWords(rnn.Module):
    """The readout's weight is that of the embedding."""

    def __init__(self) -> None:
        self.embedding = rnn.Embedding(6, 4, dtype=float, rng=0)
        self.recurrent = rnn.GRU(4, 4, dtype=float, rng=1)
        self.readout = rnn.Linear(4, 6, bias=False, dtype=float, rng=2)
        self.readout.weight = self.embedding.weight

    def forward(self, symbols: Any) -> mg.Tensor:
        return self.readout(self.recurrent(self.embedding(symbols))[0])


@pytest.mark.parametrize("duplicate", [lambda model: model, copy.deepcopy, again])
def test_a_model_that_reads_and_says_with_the_same_weight(duplicate: Any) -> None:
    model = duplicate(TiedWords())
    assert model.readout.weight is model.embedding.weight
    assert len(model.parameters()) == 5
    names = list(model.state_dict())
    assert (names[0], names[-1]) == ("embedding.weight", "readout.weight")
    apart = TiedWords()
    apart.readout.weight = rnn.Parameter(model.embedding.weight.data)
    apart.load_state_dict(model.state_dict())
    symbols = np.array([[1, 2], [5, 1], [0, 0]])
    for net in (model, apart):
        mg.cross_entropy(net(symbols), symbols).backward()
    both = apart.embedding.weight.grad + apart.readout.weight.grad
    np.testing.assert_allclose(model.embedding.weight.grad, both, rtol=1e-12, atol=1e-15)
    rnn.SGD(model.parameters(), lr=0.1).step()
    np.testing.assert_allclose(model.readout.weight.data, apart.embedding.weight.data - 0.1 * both, rtol=1e-12)
    assert model.readout.weight is model.embedding.weight


# -- dtypes ------------------------------------------------------------------------------------------------------------


class Sayer(rnn.OneToMany):
    """One to many, of one argument like the others here."""

    def forward(self, x: Any, steps: int | None = 3, targets: Any = None) -> mg.Tensor:
        return super().forward(x, steps, targets)


class Translator(rnn.EncoderDecoder):
    def forward(self, source: Any, targets: Any = ((0, 1), (2, 4)), lengths: Any = None) -> mg.Tensor:
        return super().forward(source, targets, lengths)


def without_rng(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "rng"}


MODULES: dict[str, Any] = {
    "RNNCell": (lambda **o: rnn.RNNCell(3, 4, **o), (2, 3)),
    "LSTMCell": (lambda **o: rnn.LSTMCell(3, 4, forget_bias=1.0, **o), (2, 3)),
    "LSTMCell, all options": (
        lambda **o: rnn.LSTMCell(3, 4, "single", peepholes=True, proj_size=2, learn_state=True, **o),
        (2, 3),
    ),
    "GRUCell": (lambda **o: rnn.GRUCell(3, 4, **o), (2, 3)),
    "GRUCell of the paper": (lambda **o: rnn.GRUCell(3, 4, reset_after=False, learn_state=True, **o), (2, 3)),
    "Linear": (lambda **o: rnn.Linear(3, 4, **o), (2, 3)),
    "LayerNorm": (lambda **o: rnn.LayerNorm(3, **without_rng(o)), (2, 3)),
    "Sequential": (
        lambda **o: rnn.Sequential(rnn.Linear(3, 4, **o), np.tanh, rnn.Dropout(0.5, rng=1), rnn.LayerNorm(4, **without_rng(o))),
        (2, 3),
    ),
    "RNN": (lambda **o: rnn.RNN(3, 4, **o), (5, 2, 3)),
    "RNN relu": (lambda **o: rnn.RNN(3, 4, nonlinearity="relu", **o), (5, 2, 3)),
    "RNN sigmoid": (lambda **o: rnn.RNN(3, 4, nonlinearity="sigmoid", **o), (5, 2, 3)),
    "LSTM": (lambda **o: rnn.LSTM(3, 4, **o), (5, 2, 3)),
    "GRU": (lambda **o: rnn.GRU(3, 4, 2, dropout=0.5, bidirectional=True, **o), (5, 2, 3)),
    "LSTM, all options": (
        lambda **o: rnn.LSTM(3, 4, 2, bidirectional=True, peepholes=True, proj_size=2, learn_state=True, **o),
        (5, 2, 3),
    ),
    "Recurrent": (lambda **o: rnn.Recurrent(rnn.LSTMCell(3, 4, **o), rnn.LSTMCell(4, 4, **o)), (5, 2, 3)),
    "Sequence": (lambda **o: small(**without_rng(o)), (5, 2, 3)),
    "ManyToOne": (
        lambda **o: rnn.ManyToOne(rnn.GRU(3, 4, bidirectional=True, **o), rnn.Linear(8, 2, **o)),
        (5, 2, 3),
    ),
    "OneToMany": (lambda **o: Sayer(rnn.GRU(3, 4, **o), rnn.Linear(4, 3, **o)), (2, 3)),
    "EncoderDecoder": (
        lambda **o: Translator(rnn.GRU(3, 4, **o), rnn.GRU(5, 4, **o), rnn.Linear(4, 5, **o), start=0),
        (5, 2, 3),
    ),
}


def tensors(result: Any) -> list[mg.Tensor]:
    return [result] if isinstance(result, mg.Tensor) else [t for part in result for t in tensors(part)]


@pytest.mark.parametrize("optimizer", [rnn.SGD, rnn.Adam])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODULES)
def test_dtype_stays_through_forward_backward_and_steps(name: str, dtype: Any, optimizer: Any) -> None:
    make, shape = MODULES[name]
    module = make(dtype=dtype, rng=0)
    x = np.random.default_rng(0).normal(size=shape)  # float64, whatever the module's
    steps = optimizer(module.parameters(), lr=0.1)
    for _ in range(2):
        steps.zero_grad()
        outputs = tensors(module(x))
        loss = sum(((t * t).mean() for t in outputs[1:]), (outputs[0] * outputs[0]).mean())
        loss.backward()
        steps.step()
        assert {t.dtype for t in (*outputs, loss)} == {np.dtype(dtype)}
        assert {array.dtype for p in module.parameters() for array in (p.data, p.grad)} == {np.dtype(dtype)}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays_through_the_loss_of_a_sequence(dtype: Any, reduction: str) -> None:
    model = small(dtype=dtype)
    loss = rnn.sequence_cross_entropy(model(np.ones((3, 2, 3))), np.zeros((3, 2), int), reduction=reduction)
    loss.total.backward()
    assert loss.total.dtype == loss.steps.dtype == dtype
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_node_of_a_training_step_has_the_dtype_of_the_model(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    model = rnn.Sequence(rnn.LSTM(5, 4, dtype=dtype, rng=rng), rnn.Linear(4, 5, dtype=dtype, rng=rng))
    task = rnn.tasks.hello()
    graph = mg.Graph(rnn.sequence_cross_entropy(model(task.inputs), task.targets).total)
    assert {node.dtype for node in graph if node.requires_grad} == {np.dtype(dtype)}


def test_dtype_is_single_precision_unless_asked_for() -> None:
    for make, _ in MODULES.values():
        assert {p.dtype for p in make().parameters()} == {np.dtype(np.float32)}


def test_the_parameters_of_another_model_can_be_loaded_as_they_are() -> None:
    one, other = rnn.Linear(2, 3, rng=0), rnn.Linear(2, 3, rng=1)
    other.load_state_dict(dict(one.named_parameters()))
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_a_parameter_is_not_replaced_by_something_that_is_none() -> None:
    layer = rnn.Linear(2, 3, rng=0)
    with pytest.raises(TypeError, match=r"module\.weight\.data = values"):
        layer.weight = np.zeros((3, 2))
    layer.weight = rnn.Parameter(np.zeros((3, 2)))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


# -- names and ties ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "net.0."])
def test_a_prefix_of_all_names_is_found_and_the_renaming_works(prefix: str) -> None:
    model = small()
    state = {prefix + name: value for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"all names begin with '{re.escape(prefix)}'.*: load {{name\.removeprefix") as error:
        small(1).load_state_dict(state)
    code = str(error.value).rpartition(": load ")[2]
    other = small(1)
    other.load_state_dict(eval(code, {"state": state}))
    assert same_weights(model, other)
    assert ("DataParallel" in str(error.value)) == (prefix == "module.")


def test_a_prefix_that_is_missing_is_found_and_the_renaming_works() -> None:
    outer = rnn.Sequential(small())
    state = small(3).state_dict()
    with pytest.raises(ValueError, match=r"all names lack '0\.' at their beginning") as error:
        outer.load_state_dict(state)
    outer.load_state_dict(eval(str(error.value).rpartition(": load ")[2], {"state": state}))
    assert same_weights(outer[0], small(3))
    with pytest.raises(ValueError, match="missing") as error:
        outer.load_state_dict({"weight": np.ones(2)})
    assert "all names" not in str(error.value)


def test_a_tied_parameter_is_given_once_or_with_equal_values() -> None:
    whole = {"here": np.array([8.0, 9.0]), "there": np.array([8.0, 9.0]), **Block().state_dict()}
    weight = np.full((2, 3), 5.0)
    tied = Tied()
    weight = np.full(tied.block.weight.shape, 5.0)
    whole = {"here": [8.0, 9.0], "there": [8.0, 9.0], "block.weight": weight, "blocks.0.weight": weight}
    for left_out in ((), ("here",), ("there",), ("block.weight",), ("here", "blocks.0.weight")):
        tied = Tied()
        tied.load_state_dict({name: value for name, value in whole.items() if name not in left_out})
        assert tied.there.tolist() == [8, 9]
        assert (tied.blocks[0].weight.data == 5).all()
    tied = Tied()
    before = tied.state_dict()
    with pytest.raises(ValueError, match="here and there are the same parameter here, but have different values"):
        tied.load_state_dict({**whole, "there": [8.0, 7.0]})
    with pytest.raises(ValueError, match=r"missing: here \(2,\)\n  missing: there \(2,\)"):
        tied.load_state_dict({name: value for name, value in whole.items() if "here" not in name})
    assert all((before[name] == value).all() for name, value in tied.state_dict().items())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, again])
def test_a_copy_keeps_the_gradient_and_has_no_hooks(duplicate: Any) -> None:
    model = small()
    model(np.ones((2, 1, 3))).sum().backward()
    called = []
    handle = model.readout.weight.register_hook(called.append)
    other = duplicate(model)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)
        assert p.grad is not q.grad
    other(np.ones((2, 1, 3))).sum().backward()
    assert not called
    handle.remove()
