"""Reading a file within limits of time and memory, to something or to a refusal that names it."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

resource = pytest.importorskip("resource")

MOST_SECONDS, MOST_BYTES = 10, 1 << 30


@contextmanager
def limits() -> Iterator[None]:
    """Fail what takes too long or prints a traceback, and let there be no more memory than is allowed."""
    printed: list[str] = []

    def too_long(number: int, frame: object) -> None:
        pytest.fail(f"over {MOST_SECONDS} s")

    before, hook = resource.getrlimit(resource.RLIMIT_DATA), sys.unraisablehook
    sys.unraisablehook = lambda unraisable: printed.append(repr(unraisable))
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_DATA, (psutil.Process().memory_info().data + MOST_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        sys.unraisablehook = hook
    assert not printed


def refusal(read: Callable, path: Path) -> str | None:
    """Why a file is refused, or nothing where it is read."""
    with limits():
        try:
            read(path)
        except (ValueError, OSError) as error:
            why = str(error)
            assert type(error) in (ValueError, FileNotFoundError), repr(error)
            assert (path.name in why or path.parent.name in why) and "\n" not in why and len(why) < 2000, why
            assert not re.search("memory|alloc", why, re.IGNORECASE), why
            return why
    return None
