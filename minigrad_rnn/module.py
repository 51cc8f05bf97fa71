"""Modules: objects that hold parameters, and save and load them by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minigrad import Tensor

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


class Module:
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

    def __call__(self, *args: Any, **options: Any) -> Any:
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
        """Take over values saved by `state_dict`. Either all fit and are taken, or ValueError and nothing changes."""
        own = dict(self.named_parameters())
        new = {name: value.numpy() if isinstance(value, Tensor) else np.asarray(value) for name, value in state.items()}
        problems = [f"missing: {name} {p.shape}" for name, p in own.items() if name not in new]
        problems += [f"not a parameter of this model: {name} {a.shape}" for name, a in new.items() if name not in own]
        for name, p in own.items():
            if name in new and new[name].shape != p.shape:
                problems.append(f"{name} has shape {new[name].shape}, the model's has {p.shape}")
            elif name in new and new[name].dtype.kind not in "fiu":
                problems.append(f"{name} has dtype {new[name].dtype}, the model's has {p.dtype}")
        if problems:
            raise ValueError("these weights are not of this model:\n  " + "\n  ".join(problems))
        for name, p in own.items():
            p.data = new[name].astype(p.dtype)

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        return f"<{type(self).__name__} with {count} parameters>"


def modules_in(items: Mapping[Any, Any]) -> Iterator[Module]:
    for value in items.values():
        if isinstance(value, Module):
            yield value
        elif isinstance(value, dict):
            yield from modules_in(value)
        elif isinstance(value, list | tuple):
            yield from modules_in(dict(enumerate(value)))


def found_in(items: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Parameter]]:
    for key, value in items.items():
        if isinstance(value, Parameter):
            yield f"{prefix}{key}", value
        elif isinstance(value, Module):
            for name, p in value.named_parameters():
                yield f"{prefix}{key}.{name}", p
        elif isinstance(value, dict):
            yield from found_in(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield from found_in(dict(enumerate(value)), f"{prefix}{key}.")
