"""Work that goes on in threads beside other work, in order. Knows no sounds and no models."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["ahead", "in_streams"]

Item = TypeVar("Item")

Result = TypeVar("Result")

END: Any = object()


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """The same items; as many as `depth` are made in a thread in the meantime, on one core."""
    source = iter(items)
    with _pool(1, threads=1) as thread:
        coming = deque(thread.submit(next, source, END) for _ in range(depth))
        while (item := coming.popleft().result()) is not END:
            coming.append(thread.submit(next, source, END))
            yield item


def in_streams(
    function: Callable[[Item], Result], items: Iterable[Item], streams: int
) -> Generator[tuple[Item, Result], None, None]:
    """Each item and what a function makes of it, of so many items at a time.

    Each stream has its share of torch's threads, which none waits for: on two cores, two networks with a thread each
    finish sooner than one after the other with two. What is one at a time, or alone, has the caller's thread and all
    of torch's.
    """
    failed: list[Exception] = []
    source = _until_error(items, failed)
    first = list(islice(source, streams))
    if len(first) < 2:
        yield from ((item, function(item)) for item in chain(first, source))
    else:
        coming: deque[tuple[Item, Future[Result]]] = deque()
        with _pool(len(first), max(1, torch.get_num_threads() // len(first))) as pool:
            for item in chain(first, source):
                coming.append((item, pool.submit(function, item)))
                if len(coming) > streams:
                    item, result = coming.popleft()
                    yield item, result.result()
            for item, result in coming:
                yield item, result.result()
    if failed:
        raise failed[0]


def _until_error(items: Iterable[Item], failed: list[Exception]) -> Iterator[Item]:
    """The items before an error, which is kept until they are done."""
    try:
        yield from items
    except Exception as error:
        failed.append(error)


@contextmanager
def _pool(workers: int, threads: int) -> Iterator[ThreadPoolExecutor]:
    """Workers, in each of which torch computes with so many threads; what is left to do at the end is not done."""

    def begin() -> None:
        torch.get_num_threads()  # which else begins with a number of its own, later
        _openmp().limit(limits=threads)  # of this thread alone; torch's own setter is the whole process's

    pool = ThreadPoolExecutor(workers, initializer=begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
