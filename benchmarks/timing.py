"""Time several ways of doing one thing against each other, in turns, so that the machine's moods hit all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable


def calibrate(run: Callable[[], object], seconds: float) -> int:
    """How many calls take about this long."""
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        took = time.perf_counter() - start
        if took > seconds / 4:
            return max(1, round(calls * seconds / took))
        calls *= 4


def compare(ways: dict[str, Callable[[], object]], *, rounds: int = 40, seconds: float = 0.02) -> dict[str, list[float]]:
    """Seconds per call of each way, one value a round; the garbage collector runs as it would for anyone."""
    calls = {name: calibrate(run, seconds) for name, run in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            times[name].append((time.perf_counter() - start) / calls[name])
    return times


def table(title: str, times: dict[str, list[float]], base: str) -> str:
    """Microseconds, and the ratio to `base` taken round by round: median, and the middle half of the rounds."""
    lines = [title, f"  {'':32} {'median µs':>10} {'ratio to ' + base:>28}  quartiles"]
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, times[base], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        lines.append(f"  {name:32} {statistics.median(values) * 1e6:10.2f} {middle:28.2f}  {low:.2f} - {high:.2f}")
    return "\n".join(lines)
