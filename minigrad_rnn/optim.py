"""Optimizers: pure functions from (parameter, gradient, state) to the new ones, and a small object around each."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from minigrad import scope
from minigrad.standin import RECORDER, RecordsItself, decide

from .module import Module, Parameter

__all__ = [
    "SGD", "Adagrad", "AdagradState", "Adam", "AdamState", "AdamW", "NAdam", "NAdamState", "Optimizer", "RAdam", "RMSprop",
    "RMSpropState", "Rprop", "RpropState", "SGDState", "adagrad", "adam", "adamw", "nadam", "radam", "rmsprop", "rprop", "sgd",
    "sgd_momentum",
]  # fmt: skip

# -- the functions -----------------------------------------------------------------------------------------------------


def sgd(p: np.ndarray, g: np.ndarray, *, lr: float, weight_decay: float = 0.0) -> np.ndarray:
    """Gradient descent: p - lr g, in the dtype of p. With `weight_decay` g is g + weight_decay p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> rnn.optim.sgd(np.array([1.0]), np.array([2.0]), lr=0.25)
    array([0.5])
    """
    if weight_decay:
        g = g + weight_decay * p
    return p - lr * g


class SGDState(NamedTuple):
    """What momentum remembers: the velocity, and after how many steps."""

    buffer: np.ndarray
    t: int


def sgd_momentum(
    p: np.ndarray,
    g: np.ndarray,
    state: SGDState,
    *,
    lr: float,
    momentum: float,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> tuple[np.ndarray, SGDState]:
    """Gradient descent with momentum (Polyak 1964), in the dtype of p:

        g = g + weight_decay p
        buffer = momentum buffer + (1 - dampening) g        without dampening in the first step
        p - lr buffer

    With `nesterov` (Nesterov 1983, as in Sutskever et al. 2013) the last line is p - lr (g + momentum buffer).

    >>> import numpy as np, minigrad_rnn as rnn
    >>> p, state = np.array([1.0]), rnn.optim.SGDState(np.zeros(1), 0)
    >>> for _ in range(2):
    ...     p, state = rnn.optim.sgd_momentum(p, np.array([2.0]), state, lr=0.25, momentum=0.5)
    >>> p, state.buffer
    (array([-0.25]), array([3.]))
    """
    if weight_decay:
        g = g + weight_decay * p
    buffer = momentum * state.buffer + (g if not dampening or decide(state.t == 0) else (1 - dampening) * g)
    step = g + momentum * buffer if nesterov else buffer
    return p - lr * step, SGDState(buffer, state.t + 1)


class AdagradState(NamedTuple):
    """What Adagrad remembers: the sum of the squared gradients, and after how many steps."""

    total: np.ndarray
    t: int


def adagrad(
    p: np.ndarray,
    g: np.ndarray,
    state: AdagradState,
    *,
    lr: float,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
) -> tuple[np.ndarray, AdagradState]:
    """Adagrad (Duchi, Hazan & Singer 2011), in the dtype of p:

        g = g + weight_decay p
        total = total + g^2
        p - lr / (1 + (t - 1) lr_decay) g / (sqrt(total) + eps)

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdagradState(np.zeros(1), 0)
    >>> p, state = rnn.optim.adagrad(np.array([1.0]), np.array([2.0]), state, lr=0.5, eps=0.0)
    >>> p, state.total
    (array([0.5]), array([4.]))
    """
    t = state.t + 1
    if weight_decay:
        g = g + weight_decay * p
    total = state.total + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * (g / (np.sqrt(total) + eps)), AdagradState(total, t)


class RMSpropState(NamedTuple):
    """What RMSprop remembers: the running mean of the squared gradient; if centered, of the gradient; with momentum,
    the velocity."""

    v: np.ndarray
    m: Any = None
    buffer: Any = None


def rmsprop(
    p: np.ndarray,
    g: np.ndarray,
    state: RMSpropState,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> tuple[np.ndarray, RMSpropState]:
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5), in the dtype of p:

        g = g + weight_decay p
        v = alpha v + (1 - alpha) g^2
        p - lr g / (sqrt(v) + eps)

    If `centered` (Graves 2013) v less the square of the mean gradient, m = alpha m + (1 - alpha) g, stands under the root;
    where rounding makes that negative it is taken as 0. With `momentum` the last line is

        buffer = momentum buffer + g / (sqrt(v) + eps)
        p - lr buffer

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.RMSpropState(np.zeros(1))
    >>> p, state = rnn.optim.rmsprop(np.array([1.0]), np.array([2.0]), state, lr=0.25, alpha=0.75, eps=0.0)
    >>> p, state.v
    (array([0.5]), array([1.]))
    """
    if weight_decay:
        g = g + weight_decay * p
    m, buffer = state.m, state.buffer
    square = v = alpha * state.v + (1 - alpha) * (g * g)
    if centered:
        m = alpha * m + (1 - alpha) * g
        square = np.maximum(v - m * m, 0)
    step = g / (np.sqrt(square) + eps)
    if buffer is not None:
        step = buffer = momentum * buffer + step
    return p - lr * step, RMSpropState(v, m, buffer)


class AdamState(NamedTuple):
    """Adam's running means: of the gradient, of its square, and after how many steps; with amsgrad, the largest v."""

    m: np.ndarray
    v: np.ndarray
    t: int
    largest: Any = None


def adam(
    p: np.ndarray,
    g: np.ndarray,
    state: AdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> tuple[np.ndarray, AdamState]:
    """Adam (Kingma & Ba 2015), in the dtype of p:

        g = g + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    With `amsgrad` (Reddi, Kale & Kumar 2018) the last line has the largest v so far in place of v.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, state = rnn.optim.adam(np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.9, 0.999), eps=0.0)
    >>> p, state.t
    (array([0.5]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    if weight_decay:
        g = g + weight_decay * p
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    largest = None
    root = v
    if amsgrad:
        root = largest = np.maximum(state.largest, v)
    step = m / (np.sqrt(root / (1 - b2**t)) + eps)
    return p - lr / (1 - b1**t) * step, AdamState(m, v, t, largest)


def adamw(
    p: np.ndarray,
    g: np.ndarray,
    state: AdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool = False,
) -> tuple[np.ndarray, AdamState]:
    """Adam with the weight decay apart from the gradient (Loshchilov & Hutter 2019): `adam` of (1 - lr weight_decay) p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, _ = rnn.optim.adamw(
    ...     np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.9, 0.999), eps=0.0, weight_decay=0.5
    ... )
    >>> p
    array([0.25])
    """
    return adam((1 - lr * weight_decay) * p, g, state, lr=lr, betas=betas, eps=eps, amsgrad=amsgrad)


class NAdamState(NamedTuple):
    """NAdam's running means: of the gradient, of its square; after how many steps; and the product of the momenta so far."""

    m: np.ndarray
    v: np.ndarray
    t: int
    mu_product: Any


def nadam(
    p: np.ndarray,
    g: np.ndarray,
    state: NAdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> tuple[np.ndarray, NAdamState]:
    """NAdam (Dozat 2016), Adam with Nesterov's momentum, in the dtype of p:

        g = g + weight_decay p
        mu[t] = b1 (1 - 0.96^(t momentum_decay) / 2)
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        step = (1 - mu[t]) g / (1 - mu[1] ... mu[t]) + mu[t + 1] m / (1 - mu[1] ... mu[t + 1])
        p - lr step / (sqrt(v / (1 - b2^t)) + eps)

    With `decoupled_weight_decay` the first line is p = (1 - lr weight_decay) p, as in AdamW.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.NAdamState(np.zeros(1), np.zeros(1), 0, np.ones(()))
    >>> p, state = rnn.optim.nadam(np.array([1.0]), np.array([2.0]), state, lr=0.5, betas=(0.5, 0.999), eps=0.0)
    >>> p.round(3), state.t
    (array([0.433]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    mu, following = (b1 * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in (t, t + 1))
    mu_product = state.mu_product * mu
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    step = (1 - mu) / (1 - mu_product) * g + following / (1 - mu_product * following) * m
    return p - lr * (step / (np.sqrt(v / (1 - b2**t)) + eps)), NAdamState(m, v, t, mu_product)


def radam(
    p: np.ndarray,
    g: np.ndarray,
    state: AdamState,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> tuple[np.ndarray, AdamState]:
    """RAdam (Liu et al. 2020), Adam that scales its steps by a factor r while v is still the mean of few gradients:

        g = g + weight_decay p
        m = b1 m + (1 - b1) g
        v = b2 v + (1 - b2) g^2
        rho_inf = 2 / (1 - b2) - 1
        rho = rho_inf - 2 t b2^t / (1 - b2^t)
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
        p - lr m / (1 - b1^t) r sqrt(1 - b2^t) / (sqrt(v) + eps)    if rho > 5
        p - lr m / (1 - b1^t)                                       otherwise

    With `decoupled_weight_decay` the first line is p = (1 - lr weight_decay) p, as in AdamW. The result has the dtype of p.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.AdamState(np.zeros(1), np.zeros(1), 0)
    >>> p, state = rnn.optim.radam(np.array([1.0]), np.array([2.0]), state, lr=0.25, betas=(0.5, 0.999), eps=0.0)
    >>> p, state.t
    (array([0.5]), 1)
    """
    b1, b2 = betas
    t = state.t + 1
    p, g = decayed(p, g, lr, weight_decay, decoupled_weight_decay)
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * (g * g)
    step = lr / (1 - b1**t) * m
    correction = 1 - b2**t
    most = 2 / (1 - b2) - 1
    rho = most - 2 * t * b2**t / correction
    if decide(rho > 5):
        r = ((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)) ** 0.5
        step = step * (r * correction**0.5 / (np.sqrt(v) + eps))
    return p - step, AdamState(m, v, t)


def decayed(p: Any, g: Any, lr: float, weight_decay: float, decoupled: bool) -> tuple[Any, Any]:
    """The parameter and its gradient with the weight decay in one of them."""
    if not weight_decay:
        return p, g
    return ((1 - lr * weight_decay) * p, g) if decoupled else (p, g + weight_decay * p)


class RpropState(NamedTuple):
    """What Rprop remembers of each element: its last gradient, and the size of its step."""

    previous: np.ndarray
    size: np.ndarray


def rprop(
    p: np.ndarray, g: np.ndarray, state: RpropState, *, etas: tuple[float, float], step_sizes: tuple[float, float]
) -> tuple[np.ndarray, RpropState]:
    """Rprop (Riedmiller & Braun 1993), in its form iRprop- (Igel & Hüsken 2003), in the dtype of p; each element for itself:

        size = etas[1] size    where g has the sign it had in the last step
        size = etas[0] size    and then g = 0, where it has the other
        p - sign(g) size       with the size kept within `step_sizes`

    >>> import numpy as np, minigrad_rnn as rnn
    >>> state = rnn.optim.RpropState(np.array([1.0, -1.0, 0.0]), np.ones(3))
    >>> p, state = rnn.optim.rprop(np.zeros(3), np.array([2.0, 2.0, 2.0]), state, etas=(0.5, 1.25), step_sizes=(0.1, 9.0))
    >>> p, state.size
    (array([-1.25,  0.  , -1.  ]), array([1.25, 0.5 , 1.  ]))
    """
    shrink, grow = etas
    same = g * state.previous
    turned = np.less(same, 0)
    size = np.where(np.greater(same, 0), grow * state.size, np.where(turned, shrink * state.size, state.size))
    size = np.clip(size, *step_sizes)
    g = np.where(turned, 0, g)
    return p - np.sign(g) * size, RpropState(g, size)


# -- settings that are checked -----------------------------------------------------------------------------------------


class Option:
    """What an attribute of a `Configured` object may be, and how it is made a plain Python value.

    What an optimizer remembers depends on a `lasting` one being zero or not, and so that cannot change once there is
    something to remember.
    """

    def __init__(self, text: str, plain: Callable[[Any], Any], *, several: bool = False, lasting: bool = False) -> None:
        self.text = text
        self.plain = plain
        self.several = several
        self.lasting = lasting

    def checked(self, owner: Any, name: str, value: Any) -> Any:
        try:
            plain = self.plain(value)
        except (TypeError, ValueError, OverflowError):
            being, they = ("are", "they") if self.several else ("is", "it")
            raise ValueError(f"{name} {being} {value!r}; {they} must be {self.text}") from None
        if self.lasting and hasattr(owner, "states") and bool(plain) != bool(old := getattr(owner, name)):
            raise ValueError(
                f"{name} is {old} and cannot become {plain}, for what {type(owner).__name__} remembers depends on it; "
                "make a new optimizer"
            )
        return plain


def plain_number(value: Any) -> float:
    if isinstance(value, str | bytes):  # which float() would read
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def require(condition: bool) -> None:
    if not condition:
        raise ValueError


def number(
    text: str = "a number that is not negative", holds: Callable[[float], bool] = lambda x: x >= 0, *, lasting: bool = False
) -> Any:
    def plain(value: Any) -> float:
        x = plain_number(value)
        require(holds(x))
        return x

    return Option(text, plain, lasting=lasting)


def pair(text: str, holds: Callable[[float, float], bool]) -> Any:
    def plain(value: Any) -> tuple[float, float]:
        first, second = map(plain_number, value)
        require(holds(first, second))
        return first, second

    return Option(text, plain, several=True)


def whole(low: int) -> Any:
    def plain(value: Any) -> int:
        n = operator.index(value)
        require(n >= low)
        return n

    return Option(f"a whole number, at least {low}", plain)


def wholes(low: int) -> Any:
    def plain(value: Any) -> tuple[int, ...]:
        numbers = tuple(map(operator.index, value))
        require(all(low <= n for n in numbers) and sorted(numbers) == list(numbers))
        return numbers

    return Option(f"whole numbers, at least {low}, in rising order", plain, several=True)


def numbers() -> Any:
    def plain(value: Any) -> tuple[float, ...]:
        found = tuple(map(plain_number, value))
        require(all(x >= 0 for x in found))
        return found

    return Option("numbers that are not negative", plain, several=True)


def choice(*values: str) -> Any:
    def plain(value: Any) -> str:
        require(isinstance(value, str) and value in values)
        return str(value)

    return Option(" or ".join(map(repr, values)), plain)


def maybe(option: Option) -> Any:
    return Option(f"{option.text}, or None", lambda value: None if value is None else option.plain(value))


def flag(*, lasting: bool = False) -> Any:
    def plain(value: Any) -> bool:
        require(isinstance(value, bool | np.bool_))
        return bool(value)

    return Option("True or False", plain, lasting=lasting)


class Configured:
    """An object whose options are checked whenever they are set, saved as JSON, and taken over from it.

    They are declared in the body of the class, ``lr: float = number()``, and inherited.
    """

    settings: ClassVar[dict[str, Option]] = {}

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
        for name in own:
            delattr(cls, name)  # reading an option in the middle of a step is then as fast as reading can be
        cls.settings = {**cls.settings, **own}

    def __setattr__(self, name: str, value: Any) -> None:
        option = self.settings.get(name)
        super().__setattr__(name, value if option is None else option.checked(self, name, value))

    def configure(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            if name not in self.settings:
                raise TypeError(f"{type(self).__name__} has no option {name}; it has {', '.join(self.settings)}")
            setattr(self, name, value)
        self.check()

    def check(self) -> None:
        """Raise ValueError if the options do not go together."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.settings)})"

    def options(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.settings}
        return {"class": type(self).__name__, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}

    def configured(self, options: Mapping[str, Any]) -> Self:
        """A copy that has these options. ValueError, with all that is wrong, if they are not those of its class."""
        own = type(self).__name__
        given = mapping(options, "the options of an optimizer or a schedule")
        kind = given.pop("class", None)
        if kind != own:
            raise ValueError(f"this is the state of {kind}, and this is {own}; make {kind} and load it there")
        made = copy.copy(self)
        vars(made).pop("states", None)
        names = self.settings
        problems = [f"missing: {name}" for name in names if name not in given]
        problems += [f"not an option of {own}: {name}" for name in given if name not in names]
        for name in names:
            if name in given:
                try:
                    setattr(made, name, given[name])
                except ValueError as error:
                    problems.append(str(error))
        if problems:
            raise ValueError(f"these are not the options of {own}:\n  " + "\n  ".join(problems))
        made.check()
        return made


def mapping(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} are a dict, as state_dict() makes it, not {type(given).__name__}")
    return dict(given)


# -- the objects -------------------------------------------------------------------------------------------------------


Parameters = Iterable[Parameter | Mapping[str, Any]]  # or groups of them


class Optimizer(Configured, RecordsItself):
    """Holds the parameters and what the update remembers of each. Subclasses define ``update``.

    In place of parameters you can give groups: dicts with the parameters as "params" and the options that are different for
    them. The other options are the common ones. `param_groups` are then optimizers, one for each group, whose options you can
    read and set. An option set here is set for all groups, and read here if it is the same for all.

    With `maximize` every optimizer goes up the gradient: it updates along -g in place of g.

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
    states: list[Any]
    initial_lr: float | None = None  # where the schedules over this began

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
        """What the update remembers of a parameter before the first step: None, or a NamedTuple of arrays and counts."""
        return None

    def update(self, p: np.ndarray, g: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define update()")

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        recorder = RECORDER.get()
        if recorder is not None:
            first = 0
            for group in self.param_groups:
                group._recorded_step(recorder, first)
                first += len(group.parameters)
            return
        for group in self.param_groups:
            states, maximize = group.states, group.maximize
            for i, p in enumerate(group.parameters):
                g = p.grad
                if g is not None:
                    # An update makes a new array, which the parameter takes over; p.data = new would copy it once more.
                    # Neither it nor the old one can be written to.
                    new, states[i] = group.update(p._data, -g if maximize else g, states[i])
                    p._rebind(new if type(new) is np.ndarray and new.dtype == g.dtype else np.asarray(new, p.dtype))

    varying: tuple[str, ...] = ("lr",)  # options that a compiled step reads anew at each run; with others it is recorded anew

    def _recorded_step(self, recorder: Any, first: int) -> None:
        """`step` for `minigrad.compile`: learning rate and states come from here, and the new ones go back, at each run."""
        own = vars(self)
        for name in self.settings:
            if name not in self.varying:
                recorder.setting(self, name)
        before = {name: own[name] for name in self.varying}
        own.update({name: read_anew(recorder, own, name) for name in before})
        try:
            with scope("update"):
                for i, p in enumerate(self.parameters):
                    if not p.requires_grad:
                        recorder.setting(p, "requires_grad")
                    g = p.grad
                    if g is not None:
                        state = recorder.slot(self, "states", i)
                        with scope("parameter", first + i):
                            new, self.states[i] = self.update(recorder.cell(p), -g if self.maximize else g, state)
                        p._rebind(new.astype(p.dtype))
        finally:
            own.update(before)

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
        made = copy.copy(self)
        made._groups = tuple(group.configured(own) for group, own in zip(self._groups, given["groups"], strict=True))
        return made

    def zero_grad(self) -> None:
        """Forget the gradients gathered so far."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """All that is needed to go on as if nothing had happened, but the parameters, which the model saves.

        ``arrays`` has copies of what the update remembers, by the place of the parameter and the name of the field, and
        ``options`` the class and its hyperparameters, as JSON has them.

        >>> import minigrad_rnn as rnn
        >>> state = rnn.Adam([rnn.Parameter([1.0])], lr=0.5).state_dict()
        >>> state["arrays"]
        {'0.m': array([0.]), '0.v': array([0.]), '0.t': array(0)}
        >>> state["options"]["class"], state["options"]["betas"]
        ('Adam', [0.9, 0.999])
        """
        return {"arrays": {name: np.array(value) for name, value in fields(self.states)}, "options": self.options()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what `state_dict` saved, with its hyperparameters. Either all fits, or ValueError and nothing changes.

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
        made = self.configured(parts["options"])
        initial = [group.initial(p._data) for group in made.param_groups for p in group.parameters]
        expected = dict(fields(initial))
        given = {name: np.array(value) for name, value in mapping(parts["arrays"], "the arrays of an optimizer").items()}
        problems = [f"missing: {name} {np.shape(value)}" for name, value in expected.items() if name not in given]
        problems += [f"not of these parameters: {name} {a.shape}" for name, a in given.items() if name not in expected]
        for name, value in expected.items():
            a = given.get(name)
            if a is None:
                continue
            if isinstance(value, int):
                if a.shape != () or a.dtype.kind not in "iu" or a < 0:
                    problems.append(f"{name} is {a.tolist()} ({a.dtype}); it counts steps: a whole number, not negative")
            elif a.shape != value.shape:
                problems.append(f"{name} has shape {a.shape}, its parameter here has {value.shape}")
            elif a.dtype != value.dtype:
                problems.append(f"{name} has dtype {a.dtype}, its parameter here has {value.dtype}")
        if problems:
            raise ValueError(
                f"this state does not fit the {len(self.parameters)} parameters of this {type(self).__name__}; it needs those "
                "of the same model, in the same order:\n  " + "\n  ".join(problems)
            )
        states = iter([
            start if start is None else start._replace(**{field: like(value, given[f"{i}.{field}"]) for field, value in known})
            for i, (start, known) in enumerate((start, named(start)) for start in initial)
        ])  # fmt: skip
        for group, new in zip(self.param_groups, made.param_groups, strict=True):
            vars(group).update(vars(new), states=[next(states) for _ in group.parameters])


def groups_of(parameters: Any) -> list[tuple[list[Parameter], dict[str, Any]]]:
    """The parameters of each group, and the options it has of its own."""
    given = members_of(parameters, Parameter | Mapping)
    grouped = [isinstance(x, Mapping) for x in given]
    if not any(grouped):
        return [(given, {})]
    if not all(grouped):
        raise TypeError(
            "an optimizer takes parameters, or groups of them, dicts such as {'params': parameters, 'lr': 0.1}; here are both"
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
    if isinstance(parameters, Module):
        raise TypeError(f"an optimizer takes parameters, not a {type(parameters).__name__}; give it model.parameters()")
    members = list(parameters)
    if not members:
        raise ValueError("an optimizer needs parameters: give it model.parameters()")
    for p in members:
        if not isinstance(p, kinds):
            raise TypeError(f"an optimizer takes the parameters of a model, model.parameters(), not {type(p).__name__}")
    return members


def read_anew(recorder: Any, options: dict[str, Any], name: str) -> Any:
    """Stand-ins for an option, a number or several, that a recorded program reads at each run."""
    value = options[name]
    if isinstance(value, tuple):
        return tuple(recorder.input(x, lambda i=i: options[name][i]) for i, x in enumerate(value))
    return recorder.input(value, lambda: options[name])


def named(state: Any) -> list[tuple[str, Any]]:
    """The fields of a state that are in use."""
    if state is None:
        return []
    if not hasattr(state, "_fields"):
        raise TypeError(f"a state that can be saved is a NamedTuple of arrays and counts, or None, not {type(state).__name__}")
    return [(field, value) for field, value in zip(state._fields, state, strict=True) if value is not None]


def fields(states: list[Any]) -> Iterable[tuple[str, Any]]:
    return ((f"{i}.{field}", value) for i, state in enumerate(states) for field, value in named(state))


def like(value: Any, a: np.ndarray) -> Any:
    return int(a) if isinstance(value, int) else a


class SGD(Optimizer):
    """Gradient descent, p - lr g; with momentum, the formulas at `sgd_momentum`.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5])
    """

    momentum: float = number(lasting=True)
    dampening: float = number("a number", lambda x: True)
    weight_decay: float = number()
    nesterov: bool = flag()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def check(self) -> None:
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError(
                f"nesterov needs momentum, and no dampening; here momentum is {self.momentum}, dampening {self.dampening}"
            )

    def initial(self, p: np.ndarray) -> SGDState | None:
        return SGDState(np.zeros_like(p), 0) if self.momentum else None

    def update(self, p: np.ndarray, g: np.ndarray, state: SGDState | None) -> tuple[np.ndarray, SGDState | None]:
        if state is None:
            return sgd(p, g, lr=self.lr, weight_decay=self.weight_decay), None
        return sgd_momentum(
            p, g, state, lr=self.lr, momentum=self.momentum, dampening=self.dampening, weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )  # fmt: skip


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011); the formulas stand at `adagrad`.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.Adagrad([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.75])
    """

    lr_decay: float = number()
    weight_decay: float = number()
    initial_accumulator_value: float = number()
    eps: float = number()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize,
        )  # fmt: skip

    def initial(self, p: np.ndarray) -> AdagradState:
        return AdagradState(np.full_like(p, self.initial_accumulator_value), 0)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdagradState) -> tuple[np.ndarray, AdagradState]:
        return adagrad(p, g, state, lr=self.lr, lr_decay=self.lr_decay, weight_decay=self.weight_decay, eps=self.eps)


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012); the formulas stand at `rmsprop`.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.RMSprop([w], lr=0.25, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.5])
    """

    alpha: float = number("a number, at least 0 and less than 1", lambda x: 0 <= x < 1)
    eps: float = number()
    weight_decay: float = number()
    momentum: float = number(lasting=True)
    centered: bool = flag(lasting=True)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def initial(self, p: np.ndarray) -> RMSpropState:
        m = np.zeros_like(p) if self.centered else None
        return RMSpropState(np.zeros_like(p), m, np.zeros_like(p) if self.momentum else None)

    def update(self, p: np.ndarray, g: np.ndarray, state: RMSpropState) -> tuple[np.ndarray, RMSpropState]:
        return rmsprop(
            p, g, state, lr=self.lr, alpha=self.alpha, eps=self.eps, weight_decay=self.weight_decay, momentum=self.momentum,
            centered=self.centered,
        )  # fmt: skip


BETAS = pair("two numbers, each at least 0 and less than 1", lambda b1, b2: 0 <= b1 < 1 and 0 <= b2 < 1)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015); the formulas stand at `adam`.

    >>> import minigrad_rnn as rnn
    >>> optimizer = rnn.Adam(rnn.Linear(2, 1).parameters(), lr=0.01)
    >>> optimizer.betas
    (0.9, 0.999)
    """

    betas: tuple[float, float] = BETAS
    eps: float = number()
    weight_decay: float = number()
    amsgrad: bool = flag(lasting=True)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)

    def initial(self, p: np.ndarray) -> AdamState:
        return AdamState(np.zeros_like(p), np.zeros_like(p), 0, np.zeros_like(p) if self.amsgrad else None)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return adam(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, amsgrad=self.amsgrad
        )


class AdamW(Adam):
    """Adam with the weight decay apart from the gradient (Loshchilov & Hutter 2019); the formula stands at `adamw`.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.AdamW([w], lr=0.5, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.25])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return adamw(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, amsgrad=self.amsgrad
        )


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016); the formulas stand at `nadam`.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.NAdam([w], lr=0.5, betas=(0.5, 0.999))
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(3)
    array([0.433])
    """

    betas: tuple[float, float] = BETAS
    eps: float = number()
    weight_decay: float = number()
    momentum_decay: float = number()
    decoupled_weight_decay: bool = flag()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize,
        )  # fmt: skip

    def initial(self, p: np.ndarray) -> NAdamState:
        return NAdamState(np.zeros_like(p), np.zeros_like(p), 0, np.ones((), p.dtype))

    def update(self, p: np.ndarray, g: np.ndarray, state: NAdamState) -> tuple[np.ndarray, NAdamState]:
        return nadam(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay,
            momentum_decay=self.momentum_decay, decoupled_weight_decay=self.decoupled_weight_decay,
        )  # fmt: skip


class RAdam(Optimizer):
    """Adam with rectified steps (Liu et al. 2020), which needs no warm-up; the formulas stand at `radam`.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.RAdam([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.5])
    """

    betas: tuple[float, float] = BETAS
    eps: float = number()
    weight_decay: float = number()
    decoupled_weight_decay: bool = flag()

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )  # fmt: skip

    def initial(self, p: np.ndarray) -> AdamState:
        return AdamState(np.zeros_like(p), np.zeros_like(p), 0)

    def update(self, p: np.ndarray, g: np.ndarray, state: AdamState) -> tuple[np.ndarray, AdamState]:
        return radam(
            p, g, state, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay,
            decoupled_weight_decay=self.decoupled_weight_decay,
        )  # fmt: skip


class Rprop(Optimizer):
    """Rprop (Riedmiller & Braun 1993), for gradients of the whole data; the formulas stand at `rprop`.

    `lr` is the size of the first step. From then on each element has its own, and a change of `lr` does nothing.

    >>> import minigrad_rnn as rnn
    >>> w = rnn.Parameter([1.0])
    >>> optimizer = rnn.optim.Rprop([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.75])
    """

    etas: tuple[float, float] = pair(
        "two numbers, the first between 0 and 1, the second greater than 1", lambda shrink, grow: 0 < shrink < 1 < grow
    )
    step_sizes: tuple[float, float] = pair(
        "two numbers, the smallest step and the largest, greater than 0 and in this order", lambda low, high: 0 < low <= high
    )

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def initial(self, p: np.ndarray) -> RpropState:
        return RpropState(np.zeros_like(p), np.full_like(p, self.lr))

    def update(self, p: np.ndarray, g: np.ndarray, state: RpropState) -> tuple[np.ndarray, RpropState]:
        return rprop(p, g, state, etas=self.etas, step_sizes=self.step_sizes)
