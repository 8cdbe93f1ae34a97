"""How long ways to do the same take, in turn. Knows nothing of what they do."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

__all__ = ["rates", "seconds_per_clip"]


def seconds_per_clip(ways: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Seconds per clip of each way, round by round.

    Args:
        ways: What is timed, by name; each returns how many clips it did.
        rounds: How often each is timed, in turn, after one round that does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            clips = way()
            times[name].append((time.perf_counter() - started) / clips)
    return {name: taken[1:] for name, taken in times.items()}


def rates(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Seconds per clip of each way, round by round, as speeds.

    Returns:
        By way: the median of `clips_per_second`, its `slowest` and `fastest` round, and `ratio`, how many times as long
        the first way takes (median over the rounds of that round's ratio).
    """
    first = next(iter(times.values()))
    return {
        name: {
            "clips_per_second": 1 / median(taken),
            "slowest": 1 / max(taken),
            "fastest": 1 / min(taken),
            "ratio": median(theirs / ours for theirs, ours in zip(first, taken, strict=True)),
        }
        for name, taken in times.items()
    }
