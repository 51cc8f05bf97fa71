"""Modules: objects that hold parameters, and save and load them by name."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minigrad import Tensor
from minigrad.standin import Counted
from minigrad.tensor import values

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that a module learns: it requires grad, and `Module.parameters` finds it.

    >>> import minigrad_rnn as rnn
    >>> rnn.Parameter([1.0, 2.0], name="w")
    tensor([1., 2.], requires_grad=True, name='w')
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike | Tensor, *, dtype: DTypeLike | None = None, name: str | None = None) -> None:
        super().__init__(data, requires_grad=True, dtype=dtype, name=name)


P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class HasForward(Protocol[P, R]):
    """The type of a module for which a call has the arguments and the result of its ``forward``."""

    def forward(self, *args: P.args, **options: P.kwargs) -> R: ...


class Module(Counted):
    """The base of everything that has parameters. Subclasses define ``forward``; calling the module runs it.

    Parameters and modules are found in the attributes of the object, also inside lists, tuples and dicts, and are named
    by the path to them: ``readout.weight``, ``layers.0.bias``.

    >>> import minigrad_rnn as rnn
    >>> class Scale(rnn.Module):
    ...     def __init__(self):
    ...         self.factor = rnn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> scale = Scale()
    >>> [name for name, _ in scale.named_parameters()], scale(3.0).item()
    (['factor'], 6.0)
    """

    training = True  # whether dropout drops; see `train` and `eval`

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"{name} is a parameter of {type(self).__name__}, and would no longer be one; to give it new values write "
                f"module.{name}.data = values, to put another in its place module.{name} = Parameter(values)"
            )
        super().__setattr__(name, value)

    def forward(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self: HasForward[P, R], *args: P.args, **options: P.kwargs) -> R:
        return self.forward(*args, **options)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its name, in the order of definition; a shared one under each of its names."""
        return found_in(vars(self), "")

    def parameters(self) -> list[Parameter]:
        """Every parameter, once."""
        return list({id(p): p for _, p in self.named_parameters()}.values())

    def modules(self) -> Iterator[Module]:
        """This module, and those inside it, in the order of definition."""
        yield self
        for module in modules_in(vars(self)):
            yield from module.modules()

    def train(self, mode: bool = True) -> Self:
        """Set this module and those inside it to training, or with False to evaluation: what `Dropout` asks."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and those inside it to evaluation: nothing is dropped."""
        return self.train(False)

    def generators(self) -> list[np.random.Generator]:
        """The random generators that these modules draw from, once each; their states are a part of a training run."""
        found = (value for module in self.modules() for value in vars(module).values())
        return list({id(x): x for x in found if isinstance(x, np.random.Generator)}.values())

    def zero_grad(self) -> None:
        """Forget the gradients gathered so far."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """The parameters' values by name, as copies."""
        return {name: p.data.copy() for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, ArrayLike | Tensor]) -> None:
        """Take over values saved by `state_dict`. Either all fit and are taken, or ValueError and nothing changes.

        A parameter that has several names may be given under one of them, or under several with equal values.
        """
        own = dict(self.named_parameters())
        new = {name: value.numpy() if isinstance(value, Tensor) else np.asarray(value) for name, value in state.items()}
        given = {id(own[name]): name for name in reversed(new) if name in own}  # a name that each parameter is given under
        problems = [f"missing: {name} {p.shape}" for name, p in own.items() if id(p) not in given]
        problems += [
            f"{given[id(p)]} and {name} are one parameter here, and have different values"
            for name, p in own.items()
            if name in new and not same(new[name], new[given[id(p)]])
        ]
        problems += [f"not a parameter of this model: {name} {a.shape}" for name, a in new.items() if name not in own]
        for name, p in own.items():
            if name in new and new[name].shape != p.shape:
                problems.append(f"{name} has shape {new[name].shape}, the model's has {p.shape}")
            elif name in new and new[name].dtype.kind not in "fiu":
                problems.append(f"{name} has dtype {new[name].dtype}, the model's has {p.dtype}")
        if problems:
            raise ValueError("these weights are not of this model:\n  " + "\n  ".join([*problems, *renaming(own, new)]))
        for p in self.parameters():
            p.data = new[given[id(p)]].astype(p.dtype)

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """What `repr` shows inside, by name: modules."""
        return parts_in(vars(self), "")

    def __repr__(self) -> str:
        lines = list(tree("", self, "", set()))
        if len(lines) > 2 * SHOWN:
            lines[SHOWN:-SHOWN] = [f"  ... ({len(lines) - 2 * SHOWN} more lines)"]
        return "\n".join(lines)


SHOWN = 12  # lines of a model, from the beginning and from the end


def tree(name: str, part: Any, indent: str, seen: set[int]) -> Iterator[str]:
    """A line for each module: its name, settings, number of parameters, and the shapes of those of its own."""
    heading = f"{indent}{name}: " if name else indent
    if not isinstance(part, Module):
        yield heading + getattr(part, "__name__", type(part).__name__)
        return
    again = id(part) in seen
    seen.add(id(part))
    settings = ", ".join(
        f"{key}={reprlib.repr(value)}"
        for key, value in vars(part).items()
        if isinstance(value, int | float | str) and value and not key.startswith("_") and key != "training"
    )
    line = heading + type(part).__name__ + (f"({settings})" if settings else "")
    if count := sum(p.size for p in part.parameters()):
        line += f" with {count:,} parameters"
    if again:
        yield f"{line}, the one above"
        return
    inside = list(part._parts())
    own = found_in(vars(part), "", modules=False)
    shapes = [f"{key} {p.shape}{'' if p.requires_grad else ' frozen'}" for key, p in own]
    shapes[8:] = [f"{len(shapes) - 8} more"] * (len(shapes) > 8)
    yield line + (f": {', '.join(shapes)}" if shapes else "")
    for key, child in inside:
        yield from tree(key, child, f"{indent}  ", seen)


def parts_in(items: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in items.items():
        if isinstance(value, Module):
            yield f"{prefix}{key}", value
        elif isinstance(value, dict):
            yield from parts_in(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield from parts_in(dict(enumerate(value)), f"{prefix}{key}.")


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or (one.shape == other.shape and one.tobytes() == other.astype(one.dtype).tobytes())


def renaming(own: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """How to rename weights whose names all have something before those of the model, or lack it."""
    for longer, shorter, there in ((new, own, True), (own, new, False)):
        for name in shorter:
            for other in longer:
                prefix = other.removesuffix(name)
                if other.endswith(f".{name}") and {prefix + n for n in shorter} == set(longer):
                    change = f"name.removeprefix({prefix!r})" if there else f"{prefix!r} + name"
                    what = f"all names begin with {prefix!r}" if there else f"all names lack {prefix!r} at their beginning"
                    why = ", as torch.nn.DataParallel saves them" if there and prefix == "module." else ""
                    yield f"{what}{why}: load {{{change}: a for name, a in state.items()}}"
                    return


@contextmanager
def mode(model: Module, *, training: bool) -> Iterator[None]:
    """The model in training or in evaluation; afterwards each of its modules in what it was before."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def modules_in(items: Mapping[Any, Any]) -> Iterator[Module]:
    for value in items.values():
        if isinstance(value, Module):
            yield value
        elif isinstance(value, dict):
            yield from modules_in(value)
        elif isinstance(value, list | tuple):
            yield from modules_in(dict(enumerate(value)))


def found_in(items: Mapping[Any, Any], prefix: str, modules: bool = True) -> Iterator[tuple[str, Parameter]]:
    for key, value in items.items():
        if isinstance(value, Parameter):
            yield f"{prefix}{key}", value
        elif isinstance(value, Module):
            for name, p in value.named_parameters() if modules else ():
                yield f"{prefix}{key}.{name}", p
        elif isinstance(value, dict):
            yield from found_in(value, f"{prefix}{key}.", modules)
        elif isinstance(value, list | tuple):
            yield from found_in(dict(enumerate(value)), f"{prefix}{key}.", modules)


def in_dtype(x: Any, dtype: DTypeLike) -> Tensor:
    """An array or a Tensor as a Tensor of this dtype, by which a gradient finds its way back."""
    if not isinstance(x, Tensor):
        if isinstance(x, tuple) and x and isinstance(x[0], Tensor):
            raise TypeError(
                "the input is a tuple of Tensors, such as the (outputs, state) of a recurrent layer; take the outputs, "
                "outputs, state = layer(x), or use Sequence(layer, readout)"
            )
        return Tensor(values(x), dtype=dtype)
    if x.dtype == dtype:
        return x
    return x.astype(dtype)
