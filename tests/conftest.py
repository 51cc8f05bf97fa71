"""Hypothesis: quick and reproducible by default, long and random with HYPOTHESIS_PROFILE=thorough. NumPy: one thread."""

import gc
import os

from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=24, database=None)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Read when NumPy is imported, here and in the processes that tests start. Threads of tests side by side wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Keep tests and modules out of later garbage collections, which take 0.24 s with them. Every compilation has one."""
    gc.collect()
    gc.freeze()
