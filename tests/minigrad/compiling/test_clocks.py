"""What gives something else at each call is an error in a compiled function, wherever it is called and by whatever name."""

import datetime
import os
import random
import secrets
import sys
import threading
import time
import uuid
from datetime import date
from datetime import datetime as stamp
from time import perf_counter
from time import time as clock

import numpy as np
import pytest

import minigrad as mg

X = np.arange(3.0)


class Timer:
    def read(self):
        return clock()


def helper():
    return perf_counter()


TIMER, HELPERS = Timer(), {"one": [helper]}
READ = {
    "unseeded generator": lambda x: x + np.random.default_rng().normal(size=3),
    "generator of a bit generator": lambda x: x + np.random.Generator(np.random.PCG64()).normal(),
    "legacy generator": lambda x: x + np.random.RandomState().normal(),
    "legacy generator with a seed, which draws one first": lambda x: x + np.random.RandomState(1).normal(),
    "seed sequence": lambda x: x + np.random.SeedSequence().generate_state(1)[0],
    "global numpy": lambda x: x + np.random.rand(),  # noqa: NPY002
    "global seed": lambda x: (np.random.seed(), x)[1],  # noqa: NPY002
    "global python": lambda x: x + random.random(),
    "own python": lambda x: x + random.Random().random(),
    "system": lambda x: x + random.SystemRandom().random(),
    "urandom": lambda x: x + os.urandom(1)[0],
    "uuid": lambda x: x + uuid.uuid4().int % 7,
    "uuid of the clock": lambda x: x + uuid.uuid1().int % 7,
    "secrets": lambda x: x + secrets.randbelow(10),
    "time": lambda x: x + time.time(),
    "perf_counter": lambda x: x + time.perf_counter(),
    "monotonic": lambda x: x + time.monotonic_ns(),
    "localtime": lambda x: x + time.localtime().tm_sec,
    "strftime": lambda x: x + int(time.strftime("%S")),
    "a name of its own": lambda x: x + clock(),
    "another one": lambda x: x + perf_counter(),
    "now": lambda x: x + stamp.now().second,
    "now of the module": lambda x: x + datetime.datetime.now().second,
    "today": lambda x: x + date.today().day,
    "a helper": lambda x: x + helper(),
    "a method": lambda x: x + TIMER.read(),
    "in containers": lambda x: x + HELPERS["one"][0](),
}


def caught(x):
    try:
        return x + time.time()
    except RuntimeError:
        return x


@pytest.mark.parametrize("name", READ)
def test_it_is_an_error(name):
    with pytest.raises(mg.CompileError, match=r"uses|draws from"):
        mg.compile(READ[name])(X)


def test_an_error_that_is_caught_is_one_all_the_same():
    with pytest.raises(mg.CompileError, match=r"time\.time"):
        mg.compile(caught)(X)


def test_what_is_the_same_at_each_call_is_allowed():
    def f(x):
        noise = np.random.default_rng(0).normal(size=3) + random.Random(2).random()
        return x + noise + time.gmtime(0).tm_year + stamp(2020, 1, 2).day + time.strptime("2000", "%Y").tm_year

    compiled = mg.compile(f)
    for x in (X, X + 1):
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-14)


def test_everything_is_put_back_and_other_threads_go_on():
    before = (time.time, os.urandom, random.Random.seed, sys.getprofile())
    readings, stop = [], threading.Event()

    def other():
        while not stop.is_set():
            readings.append((time.time(), os.urandom(1), np.random.default_rng().random()))

    thread = threading.Thread(target=other)
    thread.start()
    i = 0
    while i < 20 or (len(readings) < 2 and i < 2000):  # a busy machine may not have let the other one run yet
        mg.compile(lambda x, i=i: np.tanh(x) + i)(X)
        with pytest.raises(mg.CompileError):
            mg.compile(caught)(X)
        i += 1
    stop.set()
    thread.join()
    assert len(readings) > 1
    assert before == (time.time, os.urandom, random.Random.seed, sys.getprofile())
