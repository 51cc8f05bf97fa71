"""Training of random models whose Python side changes at random moments: compiled it is what it is without.

A model has a recurrent layer, some pieces, and a readout. A piece reads a value (a number, a function, a mask, a layer, ...)
from a place (an attribute, a closure, a container, a global, ...) and does with it what its kind says; at some moments the
value is replaced or changed in place. Other pieces change something themselves in each forward pass, from some moment on.
"""

import abc
import array
import contextvars
import dataclasses
import enum
import functools
import operator
import random
import threading
import types
import weakref
from collections import ChainMap, OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad_rnn as rnn

H = 4  # hidden units
Pair = namedtuple("Pair", ["value", "other"])


# -- places of a value: each has read() and write(new) -----------------------------------------------------------------


class Attribute:
    def __init__(self, value):
        self.value = value

    def read(self):
        return self.value

    def write(self, value):
        self.value = value


class InModule(rnn.Module):
    def __init__(self, value):
        self.value = value

    def read(self):
        return self.value

    def write(self, value):
        if isinstance(self.value, rnn.Parameter) and not isinstance(value, rnn.Parameter):
            del self.value
        self.value = value


class Slot(Attribute):
    __slots__ = ("value",)


class Base(abc.ABC):
    @abc.abstractmethod
    def read(self): ...


class Abstract(Base, Attribute):
    def read(self):
        return super(Base, self).read()


class OnClass:
    def __init__(self, value):
        self.kind = type("Own", (), {"value": (value,), "read": lambda self: self.value[0]})
        self.own = self.kind()

    def read(self):
        return self.own.read()

    def write(self, value):
        self.kind.value = (value,)


class OnMeta:
    def __init__(self, value):
        self.meta = type("Meta", (type,), {"value": (value,)})
        self.kind = self.meta("Own", (), {})

    def read(self):
        return self.kind.value[0]

    def write(self, value):
        self.meta.value = (value,)


class Property(Attribute):
    @property
    def inner(self):
        return self.value

    def read(self):
        return self.inner


class Descriptor:
    def __init__(self):
        self.held = {}

    def __get__(self, owner, kind):
        return self.held["now"]


class Described:
    def __init__(self, value):
        self.descriptor = Descriptor()
        self.kind = type("Own", (), {"value": self.descriptor})
        self.own = self.kind()
        self.write(value)

    def read(self):
        return self.own.value

    def write(self, value):
        self.descriptor.held["now"] = value


class Dynamic:
    def __init__(self, value):
        self.table = {"value": value}

    def __getattr__(self, name):
        if name.startswith("_") or name == "table":
            raise AttributeError(name)
        return self.table[name.removesuffix("_now")]

    def read(self):
        return self.value_now

    def write(self, value):
        self.table["value"] = value


class Named:
    def __init__(self, value):
        self.place = Attribute(value)

    def read(self):
        return getattr(self.place, "val" + "ue")

    def write(self, value):
        setattr(self.place, "val" + "ue", value)


class InstanceMethod(Attribute):
    """The method is one of the object, not of its class."""

    def __init__(self, value):
        self.write(value)

    def write(self, value):
        self.read = lambda: value


class BoundMethod:
    def __init__(self, value):
        self.method = Attribute(value).read

    def read(self):
        return self.method()

    def write(self, value):
        self.method = Attribute(value).read


class OtherClass(rnn.Module):
    """Replaces its own class."""

    def __init__(self, value):
        self.write(value)

    def read(self):
        return self.of_class[0]

    def write(self, value):
        self.__class__ = type("Other", (OtherClass,), {"of_class": (value,)})


class PlainOtherClass:
    def __init__(self, value):
        self.write(value)

    def read(self):
        return self.of_class[0]

    def write(self, value):
        self.__class__ = type("Other", (PlainOtherClass,), {"of_class": (value,)})


class OtherDict(Attribute):
    def write(self, value):
        self.__dict__ = {"value": value}


class Called:
    def __init__(self, value):
        self.value = value

    def __call__(self):
        return self.value


class CalledObject:
    def __init__(self, value):
        self.called = Called(value)

    def read(self):
        return self.called()

    def write(self, value):
        self.called.value = value


class InList:
    def __init__(self, value):
        self.values = [value]

    def read(self):
        return self.values[-1]

    def write(self, value):
        self.values.append(value)


class InDeque(InList):
    def __init__(self, value):
        self.values = deque([value], maxlen=2)


class InUserList(InList):
    def __init__(self, value):
        self.values = UserList([value])


class InTuple(Attribute):
    def __init__(self, value):
        self.write(value)

    def read(self):
        return self.value[1][0]

    def write(self, value):
        self.value = (1, [value])


class InNamedTuple(Attribute):
    def __init__(self, value):
        self.pair = Pair(value, 1)

    def read(self):
        return self.pair.value

    def write(self, value):
        self.pair = self.pair._replace(value=value)


class InDict:
    make = dict

    def __init__(self, value):
        self.values = self.make()
        self.write(value)

    def read(self):
        return self.values["now"]

    def write(self, value):
        self.values["now"] = value


class InOrderedDict(InDict):
    make = OrderedDict


class InDefaultDict(InDict):
    make = staticmethod(lambda: defaultdict(int))


class InUserDict(InDict):
    make = UserDict


class InChainMap(InDict):
    make = staticmethod(lambda: ChainMap({}, {"other": 1}))


class InNamespace(InDict):
    make = types.SimpleNamespace

    def read(self):
        return self.values.now

    def write(self, value):
        self.values.now = value


class InNested:
    def __init__(self, value):
        self.values = {"a": [({"b": [value]},)]}

    def read(self):
        return self.values["a"][0][0]["b"][0]

    def write(self, value):
        self.values["a"][0][0]["b"][0] = value


class FirstKey:
    """The order of the keys says which is taken."""

    def __init__(self, value):
        self.values = {"one": value, "other": value}

    def read(self):
        return self.values[next(iter(self.values))]

    def write(self, value):
        key = next(iter(self.values))
        del self.values[key]
        self.values[key] = value
        other = next(iter(self.values))
        self.values[other] = value


class Closure:
    def __init__(self, value):
        def read():
            return value

        def write(new):
            nonlocal value
            value = new

        self.read, self.write = read, write


class InnerFunction:
    def __init__(self, value):
        held = [value]

        def read():
            return next(x for x in (held[i] for i in range(1)))

        self.read, self.write = read, functools.partial(operator.setitem, held, 0)


class Default:
    def __init__(self, value):
        def read(value=value):
            return value

        self.read = read

    def write(self, value):
        self.read.__defaults__ = (value,)


class NamedDefault:
    def __init__(self, value):
        def read(*, value=value):
            return value

        self.read = read

    def write(self, value):
        self.read.__kwdefaults__["value"] = value


class FunctionAttribute:
    def __init__(self, value):
        def read():
            return read.value

        read.value = value
        self.read = read

    def write(self, value):
        self.read.value = value


class Code:
    """A reloaded function: the same object with other code."""

    def __init__(self, value):
        self.values = [value]

        def one(values):
            return values[0]

        self.function = one

    def read(self):
        return self.function(self.values)

    def write(self, value):
        index = len(self.values)
        self.values.append(value)
        space = {}
        exec(f"def other(values): return values[{index}]", space)
        self.function.__code__ = space["other"].__code__


class Global:
    def __init__(self, value):
        self.space = {"SETTING": value, "__name__": "of_a_user"}
        exec("def read(): return SETTING", self.space)
        self.read = self.space["read"]

    def write(self, value):
        self.space["SETTING"] = value


class OfModule:
    def __init__(self, value):
        self.module = types.ModuleType("settings_of_a_user")
        self.module.value = value
        space = {"settings": self.module, "__name__": "of_a_user"}
        exec("def read(): return settings.value", space)
        self.read = space["read"]

    def write(self, value):
        self.module.value = value


class Partial:
    def __init__(self, value):
        self.write(value)

    def write(self, value):
        self.read = functools.partial(lambda x: x, value)


class Decorated:
    def __init__(self, value):
        self.value = value

        def decorator(f):
            @functools.wraps(f)
            def wrapped():
                return f()

            return wrapped

        @decorator
        def read():
            return self.value

        self.read = read

    def write(self, value):
        self.value = value


class Cached(Attribute):
    def __init__(self, value):
        self.value = value
        self.cached = functools.lru_cache(lambda: self.value)

    def read(self):
        return self.cached()

    def write(self, value):
        self.value = value
        self.cached.cache_clear()


class CachedProperty(Attribute):
    @functools.cached_property
    def once(self):
        return self.value

    def read(self):
        return self.once

    def write(self, value):
        self.value = value
        vars(self).pop("once", None)


@dataclasses.dataclass(frozen=True)
class Config:
    value: object


class Frozen:
    def __init__(self, value):
        self.config = Config(value)

    def read(self):
        return self.config.value

    def write(self, value):
        self.config = dataclasses.replace(self.config, value=value)


class OfEnum:
    def __init__(self, value):
        self.enum = enum.Enum("Way", {"ONE": 1})
        self.write(value)

    def read(self):
        return self.enum.ONE.setting

    def write(self, value):
        self.enum.ONE.setting = value


class Context:
    def __init__(self, value):
        self.var = contextvars.ContextVar("setting", default=None)
        self.write(value)

    def read(self):
        return self.var.get()

    def write(self, value):
        self.var.set(value)


class Weak:
    def __init__(self, value):
        self.kept = [Attribute(value)]
        self.ref = weakref.ref(self.kept[0])

    def read(self):
        return self.ref().value

    def write(self, value):
        self.kept[0].value = value


class WeakTable(Weak):
    def __init__(self, value):
        self.key = Attribute(1)
        self.table = weakref.WeakKeyDictionary({self.key: value})

    def read(self):
        return self.table[self.key]

    def write(self, value):
        self.table[self.key] = value


class OfThread:
    def __init__(self, value):
        self.local = threading.local()
        self.local.value = value

    def read(self):
        return self.local.value

    def write(self, value):
        self.local.value = value


class OfBuiltins:
    """A container's own method, kept."""

    def __init__(self, value):
        self.values = {"now": value}
        self.get = self.values.get

    def read(self):
        return self.get("now")

    def write(self, value):
        self.values["now"] = value


PLACES = [
    Attribute, InModule, Slot, Abstract, OnClass, OnMeta, Property, Described, Dynamic, Named, InstanceMethod, BoundMethod,
    OtherClass, PlainOtherClass, OtherDict, CalledObject, InList, InDeque, InUserList, InTuple, InNamedTuple, InDict,
    InOrderedDict, InDefaultDict, InUserDict, InChainMap, InNamespace, InNested, FirstKey, Closure, InnerFunction, Default,
    NamedDefault, FunctionAttribute, Code, Global, OfModule, Partial, Decorated, Cached, CachedProperty, Frozen, OfEnum,
    Context, Weak, WeakTable, OfThread, OfBuiltins,
]  # fmt: skip


# -- kinds of values: how one is made of a number k, changed in place if that is possible, and used --------------------


def halved(h):
    return h * 0.5


def made_layer(k):
    rng = np.random.default_rng(k)
    makers = (
        lambda: rnn.Linear(H, H, dtype=float, rng=rng), lambda: rnn.LayerNorm(H, dtype=float),
        lambda: rnn.Sequential(np.tanh, rnn.Linear(H, H, dtype=float, rng=rng)), lambda: rnn.Dropout(0.3, rng=rng),
    )  # fmt: skip
    return makers[k % 4]()


def layer_in_place(layer, k):
    for p in layer.parameters():
        p.data = p.data * (1 + k / 10)
    if isinstance(layer, rnn.Dropout):
        layer.p = (0.0, 0.2, 0.5)[k % 3]


def array_in_place(a, k):
    a[..., k % H] = k / 5


def loops(h, n):
    for _ in range(n):
        h = np.tanh(h)
    return h


def one_in_place(values, k):
    values[k % len(values)] = 1 + k / 20


def settings_in_place(x, k):
    x.scale = 1 - k / 20


def tensor_in_place(t, k):
    t.data = t.data + k / 10


def generator_in_place(rng, k):
    rng.bit_generator.state = np.random.default_rng(k).bit_generator.state


class Settings:
    def __init__(self, k):
        self.scale = 1 + k / 10


def own(kind, make):
    """Makes values of a class that a user has derived from `kind`, with an attribute."""
    own = type("Own", (kind,), {})

    def made(k):
        value = make(own, k)
        value.extra = k / 10
        return value

    return made


def extra_in_place(x, k):
    x.extra = 0.1 + k / 10


FUNCTIONS = [np.tanh, mg.relu, np.sin, mg.sigmoid, halved, lambda h: h * h, functools.partial(np.multiply, 0.7), np.negative]
TEXTS = {"tanh": np.tanh, "sin": np.sin, "relu": mg.relu, "none": lambda h: h}
KINDS = {
    "number": (lambda k: 1 - k / 10, None, lambda h, v: h * v),
    "number of numpy": (lambda k: np.float64(1 + k / 10), None, lambda h, v: h * v),
    "fraction": (lambda k: Fraction(1 + k, 10), None, lambda h, v: h * float(v)),
    "own number": (own(float, lambda own, k: own(1.5)), extra_in_place, lambda h, v: h * (v - v.extra)),
    "own text": (own(str, lambda own, k: own("sin")), extra_in_place, lambda h, v: TEXTS[v](h) * v.extra),
    "own list": (own(list, lambda own, k: own([1.0])), extra_in_place, lambda h, v: h * (v[0] - v.extra)),
    "own dict": (own(dict, lambda own, k: own(a=1.0)), extra_in_place, lambda h, v: h * (v["a"] - v.extra)),
    "own tuple": (own(tuple, lambda own, k: own([1.0])), extra_in_place, lambda h, v: h * (v[0] - v.extra)),
    "own array": (own(np.ndarray, lambda own, k: np.ones(H).view(own)), extra_in_place, lambda h, v: h * (v - v.extra)),
    "own tensor": (own(mg.Tensor, lambda own, k: own(np.ones(H))), extra_in_place, lambda h, v: h * (v - v.extra)),
    "own parameter": (own(rnn.Parameter, lambda own, k: own(np.ones(H))), extra_in_place, lambda h, v: h * (v - v.extra)),
    "count": (lambda k: k % 3, None, loops),
    "flag": (lambda k: k % 2 == 1, None, lambda h, v: -h if v else h),
    "signed zero": (lambda k: (0.0, -0.0)[k % 2], None, lambda h, v: h * np.copysign(0.8, v)),
    "option": (lambda k: (None, 0.5, 0.9)[k % 3], None, lambda h, v: h if v is None else h * v),
    "text": (lambda k: list(TEXTS)[k % 4], None, lambda h, v: TEXTS[v](h)),
    "function": (lambda k: FUNCTIONS[k % len(FUNCTIONS)], None, lambda h, v: v(h)),
    "numbers": (lambda k: [1.0, 1 + k / 10], one_in_place, lambda h, v: h * (v[0] * v[-1])),
    "numbers by name": (lambda k: {0: 1.0, 1: 1 - k / 10}, one_in_place, lambda h, v: h * (v[0] + v[1])),
    "set": (lambda k: {k, k + 1}, lambda v, k: v.add(k), lambda h, v: h * len(v) * 0.4),
    "machine numbers": (lambda k: array.array("d", [1.0, k / 10]), one_in_place, lambda h, v: h * v[1]),
    "bytes": (lambda k: bytearray([1, k]), lambda v, k: v.append(k), lambda h, v: h * (sum(v) / 9)),
    "settings": (Settings, settings_in_place, lambda h, v: h * v.scale),
    "mask": (lambda k: np.where(np.arange(H) == k % H, 0.0, 1.0), array_in_place, lambda h, v: h * v),
    "mask of flags": (lambda k: np.arange(H) != k % H, array_in_place, lambda h, v: np.where(v, h, 0.0)),
    "view": (lambda k: np.full((2, H), 1 + k / 10)[1], array_in_place, lambda h, v: h + v),
    "order": (lambda k: np.roll(np.arange(H), k), lambda v, k: array_in_place(v, 0), lambda h, v: h[..., v]),
    "tensor": (lambda k: mg.tensor(np.full(H, 1 - k / 10)), tensor_in_place, lambda h, v: h * v),
    "parameter": (lambda k: rnn.Parameter(np.full(H, 1 + k / 10)), tensor_in_place, lambda h, v: h * v),
    "layer": (made_layer, layer_in_place, lambda h, v: v(h)),
    "dropout": (lambda k: rnn.Dropout(k % 4 / 5, rng=k), layer_in_place, lambda h, v: v(h)),
    "generator of a dropout": (
        np.random.default_rng, generator_in_place, lambda h, v: rnn.init.dropout_mask(h, 0.5, v) * h
    ),
    "cell": (lambda k: rnn.RNN(H, H, dtype=float, rng=k), layer_in_place, lambda h, v: v(h)[0]),
}  # fmt: skip


# -- pieces that change something themselves ----------------------------------------------------------------------------


class Changing:
    """Does so if `on`; `state` is what it has changed, to be compared."""

    def __init__(self, way, seed):
        self.on, self.way, self.seed = False, way, seed
        self.count, self.mean, self.seen, self.last = 0, np.zeros(H), [], None
        self.rng, self.random = np.random.default_rng(seed), random.Random(seed)
        self.steps = iter(range(1000)) if way == "iterates" else None

    def __call__(self, h):
        return getattr(self, self.way)(h) if self.on else h

    def counts(self, h):
        self.count += 1
        return h * (1 + self.count / 20)

    def averages(self, h):
        self.mean = 0.9 * self.mean + 0.1 * np.asarray(h.data.mean(axis=(0, 1)))
        return h - self.mean

    def keeps_a_list(self, h):
        self.seen.append(len(self.seen))
        return h * (1 + len(self.seen) / 20)

    def keeps_a_tensor(self, h):
        last, self.last = self.last, h.detach()
        return h if last is None or last.shape != h.shape else h + 0.1 * last

    def makes_noise(self, h):
        return h + self.rng.normal(scale=0.1, size=h.shape)

    def tosses(self, h):
        return -h if self.random.random() < 0.5 else h * 0.9

    def draws_from_numpy(self, h):
        return h * np.random.uniform(0.5, 1.0)  # noqa: NPY002

    def draws_from_python(self, h):
        return h * random.choice([0.5, 1.0])

    def iterates(self, h):
        return h * (1 + next(self.steps) / 20)

    def writes_into_an_array(self, h):
        self.mean[self.count % H] += 0.1
        return h + self.mean

    def looks_at_values(self, h):
        return -h if h.data.sum() > 0 else h * 0.9

    def notes_in_itself(self, h):
        self.__class__.total = getattr(self.__class__, "total", 0)
        return h

    def state(self):
        return self.count, self.mean.round(9).tolist(), self.seen, self.random.getstate(), repr(self.rng.bit_generator.state)


WAYS = [name for name, f in vars(Changing).items() if callable(f) and not name.startswith("_") and name != "state"]
UNSEEN = {"looks_at_values", "notes_in_itself"}  # these may be compiled


# -- models, and how they are trained ------------------------------------------------------------------------------------


class Piece:
    def __init__(self, kind, place, k):
        self.make, self.in_place, self.use = KINDS[kind]
        self.place = place(self.make(k))

    def __call__(self, h):
        return self.use(h, self.place.read())

    def change(self, k, in_place):
        if in_place and self.in_place is not None:
            self.in_place(self.place.read(), k)
        else:
            self.place.write(self.make(k))


class Model(rnn.Module):
    def __init__(self, cell, pieces):
        self.layer = getattr(rnn, cell)(3, H, dtype=float, rng=1)
        self.readout = rnn.Linear(H, 2, dtype=float, rng=2)
        self.pieces = pieces
        self.places = [piece.place for piece in pieces if isinstance(piece, Piece)]

    def forward(self, x):
        h, _ = self.layer(x)
        for piece in self.pieces:
            h = piece(h)
        return self.readout(h)


class Louder(Model):
    def forward(self, x):
        return super().forward(x) * 1.5


def forward_otherwise(model, k):
    readout = model.readout
    model.forward = lambda x: readout(np.tanh(model.layer(x)[0])) * k


def hooked(model, k):
    model.readout.weight.register_hook(lambda g: g * (1 + k / 10))


def frozen(model, k):
    model.readout.bias.requires_grad = k % 2 == 0


def another_class(model, k):
    model.__class__ = Louder if k % 2 else Model


def scaled_weights(model, k):
    model.readout.weight.data *= 1 - k / 20


def reloaded(model, k):
    model.load_state_dict({name: value * 0.9 for name, value in model.state_dict().items()})


def fewer_pieces(model, k):
    model.pieces = model.pieces[:-1] if k % 2 else [*model.pieces, np.tanh]


def reversed_pieces(model, k):
    model.pieces.reverse()


def another_readout(model, k):
    model.readout = rnn.Linear(H, 2, dtype=float, rng=k)


def another_bias(model, k):
    model.readout.bias = rnn.Parameter(np.full(2, k / 10))


def evaluates(model, k):
    model.train(k % 2 == 0)


EVENTS = [
    forward_otherwise, hooked, frozen, another_class, scaled_weights, reloaded, fewer_pieces, reversed_pieces, another_readout,
    another_bias, evaluates,
]  # fmt: skip

moments = st.lists(st.integers(1, 9), max_size=3, unique=True)
plans = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(["RNN", "RNN", "GRU", "LSTM"]),
        "pieces": st.lists(
            st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(PLACES), st.integers(0, 4), moments, st.booleans()),
            min_size=1, max_size=4,
        ),
        "changing": st.one_of(st.none(), st.tuples(st.sampled_from(WAYS), st.integers(0, 9))),
        "events": st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 9)), max_size=1),
        "optimizer": st.sampled_from(["SGD", "Adam"]),
        "accumulate": st.sampled_from([1, 1, 2]),
        "fits": st.lists(st.tuples(st.integers(1, 4), st.sampled_from([2, 2, 2, 3])), min_size=2, max_size=4),
    }
)  # fmt: skip


def data(length):
    rng = np.random.default_rng(length)
    return rng.standard_normal((length, 2, 3)), rng.standard_normal((length, 2, 2))


def trained(plan, compile):
    """The trainer at the end, and all that was changed."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    pieces = [Piece(kind, place, k) for kind, place, k, _, _ in plan["pieces"]]
    own = [] if plan["changing"] is None else [Changing(plan["changing"][0], 3)]
    model = Model(plan["cell"], [*pieces, *own])
    optimizer = getattr(rnn, plan["optimizer"])(model.parameters(), lr=0.05)
    trainer = rnn.Trainer(model, optimizer, loss="mse", compile=compile, accumulate=plan["accumulate"])

    def change(trainer):
        now = len(trainer.history.loss)
        for piece, (_, _, k, moments, in_place) in zip(pieces, plan["pieces"], strict=True):
            if now in moments:
                piece.change((k + now) % 7, in_place)
        for part in own:
            part.on = now >= plan["changing"][1]
        for event, moment in plan["events"]:
            if now == moment:
                event(model, now)

    for epochs, length in plan["fits"]:
        trainer.fit(data(length), epochs, progress=False, after_update=change)
    values = [p for piece in pieces for p in parameters_of(piece.place.read())]
    states = [part.state() for part in own]
    return trainer, [*model.parameters(), *values], states, random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002


def parameters_of(x):
    return [x] if isinstance(x, rnn.Parameter) else x.parameters() if isinstance(x, rnn.Module) else []


def agrees(plan):
    """Train in both ways, compare, and return the one that was compiled."""
    plain, weights, *states = trained(plan, False)
    compiled, others, *also = trained(plan, True)
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(getattr(compiled.history, name), getattr(plain.history, name), rtol=1e-7, atol=1e-10)
    for a, b in zip(others, weights, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-6, atol=1e-9)
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            np.testing.assert_allclose(a.grad, b.grad, rtol=1e-6, atol=1e-9)
    np.testing.assert_equal(also, states)
    return compiled


@given(plans)
@settings(max_examples=2 * settings().max_examples // 5)
def test_compiled_training_is_what_it_is_without(plan):
    compiled = agrees(plan)
    way, since = plan["changing"] or ("", 0)
    if compiled.not_compiled == "":
        assert compiled._program.programs
        assert not way or way in UNSEEN or since >= len(compiled.history.loss) - 1 or plan["events"]


CALM = {
    "cell": "RNN", "pieces": [], "changing": None, "events": [], "optimizer": "SGD", "accumulate": 1, "fits": [(2, 2), (3, 2)]
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_each_place(place):
    agrees(CALM | {"pieces": [("number", place, 1, [1, 3], False)]})


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind(kind):
    for in_place in (True, False):
        agrees(CALM | {"pieces": [(kind, Attribute, 1, [1, 3], in_place)]})


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_change_something(way):
    assert agrees(CALM | {"changing": (way, 2)}).not_compiled or way in UNSEEN


@pytest.mark.parametrize("event", EVENTS)
def test_each_event(event):
    agrees(CALM | {"pieces": [("dropout", Attribute, 2, [], False)], "events": [(event, 3)]})
