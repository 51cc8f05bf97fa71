"""Modules: objects that hold parameters, and save and load them by name."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minigrad import Tensor
from minigrad.state import Counted
from minigrad.tensor import values

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that training changes: it requires grad, and `Module.parameters` finds it.

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

    training = True  # set by `train` and `eval`; Dropout reads it

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"{name} is a parameter of {type(self).__name__} and would no longer be one; for new values write "
                f"module.{name}.data = values, for another parameter module.{name} = Parameter(values)"
            )
        super().__setattr__(name, value)

    def forward(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self: HasForward[P, R], *args: P.args, **options: P.kwargs) -> R:
        return self.forward(*args, **options)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its name, in the order of definition; a shared one under each of its names."""
        return found_in(vars(self), "")

    def parameters(self) -> list[Parameter]:
        """Return every parameter, once."""
        return list({id(p): p for _, p in self.named_parameters()}.values())

    def modules(self) -> Iterator[Module]:
        """Yield this module and the modules inside it, in the order of definition."""
        yield self
        for module in modules_in(vars(self)):
            yield from module.modules()

    def train(self, mode: bool = True) -> Self:
        """Set this module and the modules inside it to training mode, or with False to evaluation mode, for `Dropout`."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and the modules inside it to evaluation mode: `Dropout` does nothing."""
        return self.train(False)

    def generators(self) -> list[np.random.Generator]:
        """Return the random generators of these modules, each once. A checkpoint contains their states."""
        found = (value for module in self.modules() for value in vars(module).values())
        return list({id(x): x for x in found if isinstance(x, np.random.Generator)}.values())

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the parameters' values by name."""
        return {name: p.data.copy() for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, ArrayLike | Tensor]) -> None:
        """Load values that `state_dict` saved. ValueError, and nothing changes, unless all of them fit.

        A parameter that has several names can be given under one of them, or under several with equal values.
        """
        own = dict(self.named_parameters())
        new = {name: value.numpy() if isinstance(value, Tensor) else np.asarray(value) for name, value in state.items()}
        given = {id(own[name]): name for name in reversed(new) if name in own}  # a given name of each parameter
        problems = [f"missing: {name} {p.shape}" for name, p in own.items() if id(p) not in given]
        problems += [
            f"{given[id(p)]} and {name} are the same parameter here, but have different values"
            for name, p in own.items()
            if name in new and not same(new[name], new[given[id(p)]])
        ]
        problems += [f"not a parameter of this model: {name} {a.shape}" for name, a in new.items() if name not in own]
        for name, p in own.items():
            if name in new and new[name].shape != p.shape:
                problems.append(f"{name} has shape {new[name].shape}, in the model {p.shape}")
            elif name in new and new[name].dtype.kind not in "fiu":
                problems.append(f"{name} has dtype {new[name].dtype}, in the model {p.dtype}")
        if problems:
            raise ValueError("these weights do not fit this model:\n  " + "\n  ".join([*problems, *renaming(own, new)]))
        for p in self.parameters():
            p.data = new[given[id(p)]].astype(p.dtype)

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Yield the modules that `repr` shows inside this one, by name."""
        return parts_in(vars(self), "")

    def __repr__(self) -> str:
        lines = list(tree("", self, "", set()))
        if len(lines) > 2 * SHOWN:
            lines[SHOWN:-SHOWN] = [f"  ... ({len(lines) - 2 * SHOWN} more lines)"]
        return "\n".join(lines)


SHOWN = 12  # lines of a long `repr`, at the beginning and at the end


def tree(name: str, part: Any, indent: str, seen: set[int]) -> Iterator[str]:
    """Yield a line for each module: its name, settings, number of parameters, and the shapes of its parameters and state."""
    heading = f"{indent}{name}: " if name else indent
    if not isinstance(part, Module):
        yield heading + getattr(part, "__name__", type(part).__name__)
        return
    again = id(part) in seen
    seen.add(id(part))
    settings = ", ".join(
        f"{key}={reprlib.repr(value)}"
        for key, value in vars(part).items()
        if is_setting(value) and value != getattr(type(part), key, None) and not key.startswith("_") and key != "training"
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
    states = [
        f"{key} ({size},)"
        for key, size in zip(getattr(part, "state_names", ()), getattr(part, "state_sizes", ()), strict=False)
    ]
    yield line + (f": {', '.join(shapes)}" if shapes else "") + (f"; state {', '.join(states)}" if states else "")
    for key, child in inside:
        yield from tree(key, child, f"{indent}  ", seen)


def is_setting(value: Any) -> bool:
    """Return True for a number, a text or a tuple of them that is not 0 or empty."""
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(x, int | float | str) for x in parts) and any(parts)


def parts_in(items: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the modules in attributes, and in containers there, with their names."""
    for key, value in items.items():
        if isinstance(value, Module):
            yield f"{prefix}{key}", value
        elif isinstance(value, dict):
            yield from parts_in(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield from parts_in(dict(enumerate(value)), f"{prefix}{key}.")


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return True if two arrays are equal bit for bit."""
    return one is other or (one.shape == other.shape and one.tobytes() == other.astype(one.dtype).tobytes())


def renaming(own: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield advice on weights whose names all have a prefix that the model's names lack, or the other way round."""
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
    """Set the model to training or evaluation mode inside a with block, and restore the mode of each module after it."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def modules_in(items: Mapping[Any, Any]) -> Iterator[Module]:
    """Yield the modules in attributes, and in containers there."""
    for value in items.values():
        if isinstance(value, Module):
            yield value
        elif isinstance(value, dict):
            yield from modules_in(value)
        elif isinstance(value, list | tuple):
            yield from modules_in(dict(enumerate(value)))


def found_in(items: Mapping[Any, Any], prefix: str, modules: bool = True) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters in attributes, in containers there, and in modules there, with their names."""
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
    """Return an array or a Tensor as a Tensor of this dtype. Gradients flow back through the conversion."""
    if not isinstance(x, Tensor):
        if isinstance(x, tuple) and x and isinstance(x[0], Tensor):
            raise TypeError(
                "the input is a tuple of Tensors, such as the (outputs, state) of a recurrent layer; take the outputs, "
                "outputs, state = layer(x), or use Sequence(layer, readout)"
            )
        array = values(x)
        if array.dtype.kind == "U":
            raise TypeError(
                "the input is text; give one-hot vectors, alphabet.one_hot(alphabet.encode(text)[:, None]), for a task with "
                "task.alphabet, or with an embedding the numbers alphabet.encode(text)[:, None]"
            )
        return Tensor(array, dtype=dtype)
    if x.dtype == dtype:
        return x
    return x.astype(dtype)
