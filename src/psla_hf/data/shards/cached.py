"""Clips that are read once, into the cache of `datasets`, which is memory-mapped. Knows no kind of shards."""

from collections.abc import Callable, Iterator
from typing import Any

from datasets import Dataset, Features
from datasets.exceptions import DatasetGenerationError

__all__ = ["cached_clips"]


def cached_clips(
    read: Callable[..., Iterator[dict[str, Any]]],
    how: dict[str, Any],
    features: Features,
    fingerprint: str,
    cache_dir: str | None = None,
) -> Dataset:
    """The clips that `read(**how)` yields; what the cache has under this fingerprint is not read again.

    Args:
        read: The reader.
        how: Its arguments.
        features: Of the clips.
        fingerprint: Of all that they depend on: `datasets` would know its copy by the files' names alone, and serve it
            when they hold something else.
        cache_dir: Of `datasets`, by default its own.

    Raises:
        Exception: What the reader raised, as it was.
    """
    try:
        return Dataset.from_generator(
            read, features=features, cache_dir=cache_dir, gen_kwargs=how, fingerprint=fingerprint
        )
    except DatasetGenerationError as error:
        cause = error.__cause__ or error
    raise cause  # out of the block: there it would be shown with the error of `datasets` as its context
