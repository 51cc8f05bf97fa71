"""The base of the optimizers: parameters, in groups or not, and the state that an update keeps for each."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from minigrad.arrays import as_dtype
from minigrad.state import Stateful
from minigrad.tensor import values

from .module import Module, Parameter
from .settings import Configured, flag, mapping, number

__all__ = ["Optimizer", "Parameters"]

Parameters = Iterable[Parameter | Mapping[str, Any]]  # or groups of them


class Optimizer(Configured, Stateful):
    """Update parameters along their gradients. Subclasses define ``update``.

    Instead of parameters you can give groups: dicts with the parameters as "params", and with the options in which the group
    differs from the others. `param_groups` are then optimizers, one for each group, whose options you can read and set.
    Setting an option of this optimizer sets it for all groups. Reading it works if it is the same for all.

    With ``maximize=True`` an optimizer maximises: it uses -g instead of g.

    >>> import minigrad_rnn as rnn
    >>> layer = rnn.Linear(3, 2)
    >>> optimizer = rnn.AdamW([{"params": [layer.weight]}, {"params": [layer.bias], "weight_decay": 0.0}], lr=0.5)
    >>> [group.weight_decay for group in optimizer.param_groups]
    [0.01, 0.0]
    >>> optimizer.lr
    0.5
    """

    lr: float = number()
    maximize: bool = flag()
    usual_lr: ClassVar[float] = 0.003  # of `minigrad-rnn train`: a good start for a recurrent network
    states: list[Any]
    initial_lr: float | None = None  # the learning rate from which a schedule started

    def __init__(self, parameters: Parameters, lr: float, **options: Any) -> None:
        given = groups_of(parameters)
        self.parameters = [p for members, _ in given for p in members]
        if len({id(p) for p in self.parameters}) != len(self.parameters):
            raise ValueError("a parameter is given twice and would be updated twice at each step")
        self._groups: tuple[Optimizer, ...] = ()
        if len(given) > 1:
            self._groups = tuple(copy.copy(self) for _ in given)
        for group, (members, own) in zip(self.param_groups, given, strict=True):
            group.parameters = members
            group.configure({"lr": lr, "maximize": False, **options, **own})
            group.states = [group.initial(p._data) for p in members]

    @property
    def param_groups(self) -> tuple[Optimizer, ...]:
        """The groups of parameters, each with its options; this optimizer alone if no groups were given."""
        return self._groups or (self,)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            groups = vars(self).get("_groups")
            if name == "states" and groups:
                return [state for group in groups for state in group.states]
            if name not in self.settings or not groups:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            values = [getattr(group, name) for group in groups]
            if any(value != values[0] for value in values):
                raise AttributeError(
                    f"{name} is not the same for all groups, {values}; read that of one, optimizer.param_groups[0].{name}"
                )
            return values[0]

    def __setattr__(self, name: str, value: Any) -> None:
        option = self.settings.get(name)
        if option is not None and (groups := self._groups):
            for group, new in zip(groups, [option.checked(group, name, value) for group in groups], strict=True):
                setattr(group, name, new)
            return
        super().__setattr__(name, value)
        if name == "lr" and self.initial_lr is not None:  # set by hand: the next schedule begins here
            self.initial_lr = None

    def initial(self, p: np.ndarray) -> Any:
        """Return the state of a parameter before the first step: None, or a NamedTuple of arrays and counts."""
        return None

    def update(self, p: np.ndarray, g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define update()")

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            states, maximize = group.states, group.maximize
            for i, p in enumerate(group.parameters):
                g = p.grad
                if g is not None:
                    # An update makes a new array, which the parameter takes over; p.data = new would copy it once more.
                    # Neither it nor the old one can be written to.
                    state = states[i]
                    new, states[i] = group.update(values(p), -g if maximize else g, state)
                    p._rebind(new if type(new) is np.ndarray and new.dtype == g.dtype else as_dtype(values(new), p.dtype))

    varying: tuple[str, ...] = ("lr",)
    updated = "states"

    def __repr__(self) -> str:
        if self._groups:
            return f"{type(self).__name__} of {len(self._groups)} groups:" + "".join(f"\n  {group!r}" for group in self._groups)
        return f"{super().__repr__()} of {len(self.parameters)} parameters"

    def options(self) -> dict[str, Any]:
        if not self._groups:
            return super().options()
        return {"class": type(self).__name__, "groups": [group.options() for group in self._groups]}

    def configured(self, options: Mapping[str, Any]) -> Self:
        given = mapping(options, "the options of an optimizer or a schedule")
        if not self._groups and "groups" not in given:
            return super().configured(given)
        there, here = len(given.get("groups", [0])), len(self.param_groups)
        if there != here:
            raise ValueError(f"this is the state of {there} groups of parameters, and this optimizer has {here}")
        copied = copy.copy(self)
        copied._groups = tuple(group.configured(own) for group, own in zip(self._groups, given["groups"], strict=True))
        return copied

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Return everything that is needed to continue the training, except the parameters, which the model saves.

        ``arrays`` has copies of the states, by the position of the parameter and the name of the field. ``options`` has the
        class and its hyperparameters as JSON values.

        >>> import minigrad_rnn as rnn
        >>> state = rnn.Adam([rnn.Parameter([1.0])], lr=0.5).state_dict()
        >>> state["arrays"]
        {'0.m': array([0.]), '0.v': array([0.]), '0.t': array(0)}
        >>> state["options"]["class"], state["options"]["betas"]
        ('Adam', [0.9, 0.999])
        """
        return {"arrays": {name: np.array(value) for name, value in fields(self.states)}, "options": self.options()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Restore what `state_dict` saved, with its hyperparameters. ValueError, and nothing changes, if it does not fit.

        >>> import minigrad_rnn as rnn
        >>> w = rnn.Parameter([1.0])
        >>> saved = rnn.SGD([w], lr=0.5, momentum=0.9).state_dict()
        >>> optimizer = rnn.SGD([w])
        >>> optimizer.load_state_dict(saved)
        >>> optimizer.lr, optimizer.momentum
        (0.5, 0.9)
        """
        parts = mapping(state, "the arrays and options of an optimizer")
        if set(parts) != {"arrays", "options"}:
            raise ValueError(
                f"the state of an optimizer has arrays and options, as state_dict() makes it; given are {list(parts)}"
            )
        copied = self.configured(parts["options"])
        initial = [group.initial(p._data) for group in copied.param_groups for p in group.parameters]
        given = {name: np.array(value) for name, value in mapping(parts["arrays"], "the arrays of an optimizer").items()}
        if problems := problems_of(given, dict(fields(initial))):
            raise ValueError(
                f"this state does not fit the {len(self.parameters)} parameters of this {type(self).__name__}; it needs those "
                "of the same model, in the same order:\n  " + "\n  ".join(problems)
            )
        states = iter([
            start if start is None else start._replace(**{field: like(value, given[f"{i}.{field}"]) for field, value in used})
            for i, (start, used) in enumerate((start, named(start)) for start in initial)
        ])  # fmt: skip
        for group, new in zip(self.param_groups, copied.param_groups, strict=True):
            vars(group).update(vars(new), states=[next(states) for _ in group.parameters])


def problems_of(given: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> list[str]:
    """Return why saved arrays do not fit the state of these parameters; empty if they fit."""
    problems = [f"missing: {name} {np.shape(value)}" for name, value in expected.items() if name not in given]
    problems += [f"not of these parameters: {name} {a.shape}" for name, a in given.items() if name not in expected]
    common = [(name, given[name], value) for name, value in expected.items() if name in given]
    return problems + [problem for name, a, value in common if (problem := problem_of(name, a, value))]


def problem_of(name: str, a: np.ndarray, value: Any) -> str:
    """Return why a saved array cannot take the place of a value of the state; empty if it can."""
    if isinstance(value, int):
        fits = a.shape == () and a.dtype.kind in "iu" and a >= 0
        return "" if fits else f"{name} is {a.tolist()} ({a.dtype}); it counts steps and must be an integer from 0 on"
    if a.shape != value.shape:
        return f"{name} has shape {a.shape}, its parameter here has {value.shape}"
    if a.dtype != value.dtype:
        return f"{name} has dtype {a.dtype}, its parameter here has {value.dtype}"
    return ""


def groups_of(parameters: Any) -> list[tuple[list[Parameter], dict[str, Any]]]:
    """Return the parameters of each group, and the group's own options."""
    given = members_of(parameters, Parameter | Mapping)
    grouped = [isinstance(x, Mapping) for x in given]
    if not any(grouped):
        return [(given, {})]
    if not all(grouped):
        raise TypeError(
            "an optimizer needs parameters, or groups of them, dicts such as {'params': parameters, 'lr': 0.1}; these are both"
        )
    groups = []
    for group in given:
        if "params" not in group:
            raise ValueError(f"a group is a dict with its parameters as 'params'; this one has {list(group)}")
        own = {name: value for name, value in group.items() if name != "params"}
        members = members_of([group["params"]] if isinstance(group["params"], Parameter) else group["params"], Parameter)
        groups.append((members, own))
    return groups


def members_of(parameters: Any, kinds: Any) -> list[Any]:
    """Return the parameters, or the groups of them, as a list. TypeError for anything else."""
    if isinstance(parameters, Module):
        raise TypeError(f"an optimizer needs parameters, not {type(parameters).__name__}; give it model.parameters()")
    members = list(parameters)
    if not members:
        raise ValueError("an optimizer needs parameters: give it model.parameters()")
    for p in members:
        if not isinstance(p, kinds):
            raise TypeError(f"an optimizer needs the parameters of a model, model.parameters(), not {type(p).__name__}")
    return members


def named(state: Any) -> list[tuple[str, Any]]:
    """Return the fields of a state that are not None, with their names."""
    if state is None:
        return []
    if not hasattr(state, "_fields"):
        raise TypeError(f"a state that can be saved is a NamedTuple of arrays and counts, or None, not {type(state).__name__}")
    return [(field, value) for field, value in zip(state._fields, state, strict=True) if value is not None]


def fields(states: list[Any]) -> Iterable[tuple[str, Any]]:
    return ((f"{i}.{field}", value) for i, state in enumerate(states) for field, value in named(state))


def like(value: Any, a: np.ndarray) -> Any:
    return int(a) if isinstance(value, int) else a


def decayed(p: Any, g: Any, lr: float, weight_decay: float, decoupled: bool) -> tuple[Any, Any]:
    """Return the parameter and its gradient with weight decay in one of them."""
    if not weight_decay:
        return p, g
    return ((1 - lr * weight_decay) * p, g) if decoupled else (p, g + weight_decay * p)
