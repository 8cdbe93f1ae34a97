"""Whether the machine had anything else to do while something was measured."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

__all__ = ["watched_load"]


MOST_BUSY = 0.1  # of all cores


@contextmanager
def watched_load(seconds: float = 1.0) -> Iterator[dict[str, float | bool]]:
    """Measure how busy the cores are before and after, while this process sleeps; warn where they were.

    Args:
        seconds: How long to look, each time.

    Yields:
        Filled in by the end: `before` and `after`, shares of all cores, and `busy`, whether one was too much.
    """
    load: dict[str, float | bool] = {}
    load["before"] = psutil.cpu_percent(interval=seconds) / 100
    yield load
    load["after"] = psutil.cpu_percent(interval=seconds) / 100
    load["busy"] = max(load["before"], load["after"]) > MOST_BUSY
    if load["busy"]:
        warnings.warn(
            f"Expected an idle machine, but {load['before']:.0%} of its cores were busy before and {load['after']:.0%} "
            "after. The figures say so; measure again when nothing else runs.",
            stacklevel=3,
        )
