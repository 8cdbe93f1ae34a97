"""Work that goes on in threads beside other work, in order. Knows no sounds and no models."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

import torch

__all__ = ["ahead", "in_streams"]

Item = TypeVar("Item")

Result = TypeVar("Result")

END: Any = object()


def ahead(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """The same items; as many as `depth` are made in a thread in the meantime, on one core."""
    source = iter(items)
    with _pool(1, threads=1) as thread:
        coming = deque(thread.submit(next, source, END) for _ in range(depth))
        while (item := coming.popleft().result()) is not END:
            coming.append(thread.submit(next, source, END))
            yield item


def in_streams(
    function: Callable[[Item], Result], items: Iterable[Item], streams: int
) -> Iterator[tuple[Item, Result]]:
    """Each item and what a function makes of it, of so many items at a time.

    Each stream has its share of torch's threads, which none waits for: on two cores, two networks with a thread each
    finish sooner than one after the other with two. An item that is the only one has all threads.
    """
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:
        yield from ((item, function(item)) for item in first)
        return
    coming: deque[tuple[Item, Future[Result]]] = deque()
    with _pool(streams, max(1, torch.get_num_threads() // streams)) as pool:
        for item in chain(first, source):
            coming.append((item, pool.submit(function, item)))
            if len(coming) > streams:
                item, result = coming.popleft()
                yield item, result.result()
        for item, result in coming:
            yield item, result.result()


@contextmanager
def _pool(workers: int, threads: int) -> Iterator[ThreadPoolExecutor]:
    """Workers, in each of which torch computes with so many threads."""
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(torch.get_num_threads())  # this thread's; others begin with what was set last
